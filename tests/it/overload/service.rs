//! The service over lanes that wait for the test.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use calotype::config::Config;
use calotype::decide::Hints;
use calotype::engine::Engine;
use calotype::engine::placement::{CostTable, EngineCosts};
use calotype::engine::simd::Simd;
use calotype::error::Error;
use calotype::sched::{Engines, Gpu};
use calotype::service::{ImageRequest, Service};
use serde_json::{Value, json};

use super::rig::{Noop, Order, Reins, metric, soon};

/// A service over the demo catalogue, on engines of the test.
pub(super) fn service(queue_jobs_max: usize, cpu: Arc<dyn Engine>) -> Arc<Service> {
    let mut config = Config::demo();
    config.daemon.threads = 1;
    config.daemon.queue_jobs_max = queue_jobs_max;
    Service::try_with(&config, Engines { cpu, gpu: None }).unwrap()
}

pub(super) fn request(asset: &str, query: &str) -> ImageRequest {
    let path = format!("/{}/{asset}", calotype::config::DEMO_COMPANY);
    ImageRequest { path, query: query.to_owned(), ..ImageRequest::default() }
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn a_dropped_future_cancels_its_work() {
    let (noop, reins) = Noop::new();
    let service = service(1, noop);
    let runtime = runtime();
    let task = {
        let service = Arc::clone(&service);
        runtime.spawn(async move { service.image(&request("Chart", "wid=40&fmt=png"), soon()).await.map(drop) })
    };
    reins.entered();
    assert!(matches!(service.ready(), Err(Error::Busy { .. })));
    task.abort();
    runtime.block_on(async { assert!(task.await.unwrap_err().is_cancelled()) });
    reins.order(Order::Run);
    runtime.block_on(service.drained());
    assert_eq!(metric(&service.metrics_text(), "calotype_cancelled"), 1.0);
    assert_eq!(metric(&service.metrics_text(), "calotype_encode_ms_count"), 0.0);
    assert!(service.ready().is_ok());
}

#[test]
fn a_full_service_says_so_before_it_looks_for_anything() {
    let (noop, reins) = Noop::new();
    let service = service(1, noop);
    let runtime = runtime();
    runtime.block_on(async {
        let first = {
            let service = Arc::clone(&service);
            tokio::spawn(async move { service.image(&request("Chart", "wid=40"), soon()).await })
        };
        let reins = has_entered(reins).await;
        let body = Bytes::from_static(b"never looked at");
        let busy = answer_now(service.transcode(None, body, &[String::from("wid=41")], &Hints::default(), soon()));
        assert!(matches!(busy, Some(Err(Error::Busy { .. }))), "expected an answer at the first poll");
        // A stored source is looked at first: what is in the cache is served all the same.
        let busy = service.image(&request("Chart", "wid=41"), soon()).await;
        assert!(matches!(busy, Err(Error::Busy { .. })), "{busy:?}");
        // What is wrong with the request itself is said first.
        let wrong = answer_now(service.image(&request("Chart", "wid=x"), soon()));
        assert!(matches!(wrong, Some(Err(Error::Command { key: "wid", .. }))));
        reins.order(Order::Run);
        assert!(first.await.unwrap().is_ok());
        // The deadline of a request that does not come to an end.
        let late = service.image(&request("Chart", "wid=42"), Instant::now() + Duration::from_millis(100)).await;
        assert!(matches!(late, Err(Error::Deadline { .. })), "{late:?}");
    });
}

#[test]
fn a_flight_takes_the_longest_deadline_of_those_who_wait() {
    let (noop, reins) = Noop::new();
    let service = service(4, noop);
    let runtime = runtime();
    runtime.block_on(async {
        // The demo picture is computed when it is first looked at.
        service.head(&request("Chart", "wid=40"), soon()).await.unwrap();
        let early = Instant::now() + Duration::from_millis(500);
        let ask = |deadline| {
            let service = Arc::clone(&service);
            tokio::spawn(async move { service.image(&request("Chart", "wid=40"), deadline).await })
        };
        let first = ask(early);
        let reins = has_entered(reins).await;
        let second = ask(soon());
        while metric(&service.metrics_text(), "calotype_cache_joined") == 0.0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        reins.order(Order::RunAt(early + Duration::from_millis(100)));
        let late = first.await.unwrap();
        assert!(matches!(late, Err(Error::Deadline { .. })), "{late:?}");
        assert!(second.await.unwrap().is_ok(), "it was still in time for this one");
        assert_eq!(metric(&service.metrics_text(), "calotype_renders"), 1.0);
    });
}

/// Waits for a job to enter the engine, without holding up the runtime.
async fn has_entered(reins: Reins) -> Reins {
    let waits = tokio::task::spawn_blocking(move || {
        reins.entered();
        reins
    });
    waits.await.unwrap()
}

/// What a future answers when it is polled once.
fn answer_now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn a_draining_service_finishes_and_refuses() {
    let (noop, reins) = Noop::new();
    let service = service(4, noop);
    let runtime = runtime();
    runtime.block_on(async {
        let in_hand = {
            let service = Arc::clone(&service);
            tokio::spawn(async move { service.image(&request("Vase", "wid=30"), soon()).await })
        };
        let reins = has_entered(reins).await;
        service.start_drain();
        assert!(matches!(service.ready(), Err(Error::Draining)));
        let refused = service.image(&request("Vase", "wid=31"), soon()).await;
        assert!(matches!(refused, Err(Error::Draining)), "{refused:?}");
        assert!(answer_now(service.drained()).is_none(), "drained while a job is running");
        reins.order(Order::Run);
        service.drained().await;
        assert!(in_hand.await.unwrap().is_ok());
    });
}

/// A lane with nothing to do makes the first candidate meanwhile; what is tried and served is what one lane alone tries.
#[test]
fn where_a_rendition_was_sent_is_told_with_the_estimates() {
    let runtime = runtime();
    let of = |fixed_ns| EngineCosts { fixed_ns, ..EngineCosts::default() };
    for (gpu, cpu, side) in [(2e6, 5e6, "gpu"), (5e6, 2e6, "cpu")] {
        let engine = || Arc::new(Simd::new()) as Arc<dyn Engine>;
        let costs = Some(CostTable { gpu: of(gpu), cpu: of(cpu) });
        let engines = Engines { cpu: engine(), gpu: Some(Gpu { engine: engine(), costs }) };
        let service = Service::try_with(&Config::demo(), engines).unwrap();
        let request = request("Valley", "wid=100");
        let told = || runtime.block_on(service.explain(&request, soon())).unwrap()["placement"].clone();
        assert_eq!(told(), Value::Null, "nothing is made yet");
        runtime.block_on(service.image(&request, soon())).unwrap();
        assert_eq!(told(), json!({ "side": side, "gpu_estimate_ms": gpu / 1e6, "cpu_estimate_ms": cpu / 1e6 }));
    }
}

#[test]
fn idle_lanes_change_no_byte() {
    let runtime = runtime();
    let hints = || Hints::from_headers([("Accept", "image/avif,image/webp")]);
    for (asset, query) in [
        ("Valley", "wid=300&fmt=png&bfc=on"),
        ("Chart", "wid=200&fmt=png&bfc=on"),
        ("Vase", "wid=200&fmt=png-alpha&bfc=on"),
        ("Valley", "wid=300&fmt=jpeg&qlt=80&bfc=on"),
    ] {
        let [alone, helped] = [1, 2].map(|threads| {
            let mut config = Config::demo();
            config.daemon.threads = threads;
            let engines = Engines { cpu: Arc::new(Simd::new()), gpu: None };
            let service = Service::try_with(&config, engines).unwrap();
            let request = ImageRequest { hints: hints(), ..request(asset, query) };
            let answer = runtime.block_on(service.image(&request, soon())).unwrap();
            // What follows the bytes of the JPEG has to wait for them.
            let is_helped = threads > 1 && !query.contains("fmt=jpeg");
            let ahead = metric(&service.metrics_text(), "calotype_encoded_ahead");
            assert_eq!(ahead, f64::from(u8::from(is_helped)), "{asset} {query}, {threads} threads");
            answer
        });
        assert!(alone.verdict.tried.len() > 1, "{asset} {query}: {:?}", alone.verdict);
        assert_eq!(alone.verdict, helped.verdict, "{asset} {query}");
        assert!(alone.bytes == helped.bytes, "{asset} {query}: other bytes");
    }
}
