//! Time that no client needs: who may have it, and what is made of it.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use calotype::decide::Hints;
use calotype::engine::scalar::Scalar;
use calotype::engine::{Done, Engine, Job, run};
use calotype::error::Error;
use calotype::plan::Pass;
use calotype::sched::{Options, Outcome};
use calotype::service::ImageRequest;

use super::rig::{Noop, ONE_LANE, Order, PATIENCE, Picture, Rig, check_renditions, metric, only, outcome, soon, until};
use super::service::{request, runtime, service};

/// Submits a job that no client waits for.
fn spare(rig: &Rig) -> Receiver<Outcome> {
    let slot = rig.sched.spare().expect("a lane should be free");
    let (send, outcome) = channel();
    rig.sched.submit(slot, rig.picture.work(1, soon()), Box::new(move |result| drop(send.send(result))));
    outcome
}

#[test]
fn a_spare_job_has_no_place_in_the_queue_and_gives_way_before_its_next_stage() {
    let (noop, reins) = Noop::new();
    let rig = Rig::new(Options { queue_jobs_max: 1, ..ONE_LANE }, noop, None);
    let at_work = spare(&rig);
    reins.entered();
    let load = rig.sched.load();
    assert_eq!((rig.sched.in_hand(), load.running, load.waiting), (0, 0, 0), "no client is there");
    assert!(rig.sched.ready().is_ok());
    assert!(rig.sched.spare().is_none(), "one at a time");
    // The only place in the queue is the client's, and soon the only lane.
    let client = rig.one();
    reins.order(Order::Run);
    let gave_way = only(outcome(&at_work).unwrap());
    assert!(matches!(gave_way, Err(Error::Busy { .. })), "{gave_way:?}");
    reins.entered();
    assert!(rig.sched.spare().is_none(), "the client has the only lane");
    reins.order(Order::Run);
    check_renditions(&client, &rig.picture.want(1));
    // With nobody there it comes to its end.
    until("the client's place is free", || rig.sched.in_hand() == 0);
    let alone = spare(&rig);
    reins.entered();
    reins.order(Order::Run);
    check_renditions(&alone, &rig.picture.want(1));
    rig.is_at_rest();
    rig.sched.start_drain();
    assert!(rig.sched.spare().is_none(), "the end is near");
}

#[test]
fn a_spare_job_takes_what_lanes_and_memory_are_left() {
    let (noop, reins) = Noop::new();
    let need = Picture::new().job_bytes(2);
    let rig = Rig::new(Options { threads: 2, queue_jobs_max: 4, memory_bytes_max: need * 5 / 2 }, noop, None);
    let client = rig.one();
    reins.entered();
    let beside = spare(&rig);
    reins.entered();
    reins.order(Order::Run);
    reins.order(Order::Run);
    check_renditions(&beside, &rig.picture.want(1));
    check_renditions(&client, &rig.picture.want(1));
    // A lane is free, but not the memory: it does not stand in line for it, where others would wait behind it.
    let (noop, reins) = Noop::new();
    let rig = Rig::new(Options { threads: 2, queue_jobs_max: 4, memory_bytes_max: need * 3 / 2 }, noop, None);
    let client = rig.one();
    reins.entered();
    let refused = outcome(&spare(&rig));
    assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
    reins.order(Order::Run);
    check_renditions(&client, &rig.picture.want(1));
    rig.is_at_rest();
}

/// Holds all jobs until it is opened; the second time that it sees a plan, it panics.
#[derive(Default)]
struct Dam {
    is_open: Mutex<bool>,
    opened: Condvar,
    seen: Mutex<HashMap<u64, usize>>,
}

impl Dam {
    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn times_seen(&self, plan_key: u64) -> usize {
        self.seen.lock().unwrap().get(&plan_key).copied().unwrap_or(0)
    }
}

impl Engine for Dam {
    fn name(&self) -> &'static str {
        "dam"
    }

    fn submit(&self, job: Job, done: Done) {
        if let [Pass::RgbToYcbcr { .. }] = job.plans[0].passes[..] {
            // What an encoder needs of a picture that has passed already.
            return done(run(&Scalar, job));
        }
        let times = {
            let mut seen = self.seen.lock().unwrap();
            let times = seen.entry(job.plans[0].key()).or_insert(0);
            *times += 1;
            *times
        };
        assert_ne!(times, 2, "the dam's own words");
        let is_open = self.is_open.lock().unwrap();
        let (is_open, late) = self.opened.wait_timeout_while(is_open, PATIENCE, |is_open| !*is_open).unwrap();
        assert!(!late.timed_out(), "the test should have opened it");
        drop(is_open);
        done(run(&Scalar, job));
    }
}

#[test]
fn what_a_crowd_got_in_a_hurry_is_made_anew_when_the_crowd_is_gone() {
    let dam = Arc::new(Dam::default());
    let service = service(4, Arc::clone(&dam) as Arc<dyn Engine>);
    let hints = Hints::from_headers([("accept", "image/avif,image/webp")]);
    let of = |i: u32| ImageRequest { hints: hints.clone(), ..request("Valley", &format!("wid={}&bfc=on", 200 + i)) };
    let number = |name| metric(&service.metrics_text(), name);
    runtime().block_on(async {
        let wait = async |what: &str, fact: &dyn Fn() -> bool| {
            let end = Instant::now() + PATIENCE;
            while !fact() {
                assert!(Instant::now() < end, "never: {what}");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let ask = |i| {
            let (service, request) = (Arc::clone(&service), of(i));
            tokio::spawn(async move { service.image(&request, soon()).await.unwrap() })
        };
        // Four in a queue of four: when the first one is encoded, three wait.
        let first = ask(0);
        wait("at work", &|| number("calotype_jobs_running") == 1.0).await;
        let others: Vec<_> = (1..4).map(ask).collect();
        wait("a crowd", &|| number("calotype_jobs_waiting") == 3.0).await;
        dam.open();
        let first = first.await.unwrap();
        assert_eq!((first.meta.reason, first.meta.mime), (Some("deadline"), Some("image/webp")), "{:?}", first.verdict);
        assert_eq!(first.meta.freshness.max_age_s, Some(60));
        assert_eq!(first.verdict.skipped, [first.decision.encode.candidates[0]]);
        for other in others {
            let other = other.await.unwrap();
            assert_eq!((other.meta.reason, other.meta.freshness.max_age_s), (Some("avif"), Some(36_000)));
        }
        // It was tried at once, and came to nothing. The next hit asks for it again.
        let key = first.meta.plan_key;
        wait("made anew", &|| dam.times_seen(key) == 2).await;
        let mut last = first.clone();
        let end = Instant::now() + PATIENCE;
        while last.meta.reason == Some("deadline") {
            assert!(Instant::now() < end, "never made anew");
            assert_eq!((&last.bytes, last.meta.plan_key), (&first.bytes, key));
            tokio::time::sleep(Duration::from_millis(5)).await;
            last = service.image(&of(0), soon()).await.unwrap();
            assert_eq!(last.engine, "cache", "no client waits for it");
        }
        assert_eq!((last.meta.reason, last.meta.mime), (Some("avif"), Some("image/avif")));
        assert_eq!((last.meta.freshness.max_age_s, last.verdict.skipped.len()), (Some(36_000), 0));
        assert!(last.bytes.len() < first.bytes.len() && last.meta.etag != first.meta.etag);
        assert_eq!(dam.times_seen(key), 3);
        assert_eq!(
            (number("calotype_hurried"), number("calotype_upgrades"), number("calotype_renders")),
            (1.0, 1.0, 5.0)
        );
    });
}
