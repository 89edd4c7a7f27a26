//! The GPU path beside the CPU's: one command, one table, for a machine with an adapter.
//!
//! `./x bench gpu` measures what plain copies reach on the adapter, then a handful of requests with one, eight and
//! sixty-four in flight: where a job's time goes on the device, passes alone on either side, and whole renditions with
//! the CPU alone, the GPU alone, and each job where its estimate is lower. A software adapter gets small pictures and
//! short rounds; what it says of time means nothing. Every answer is checked against the CPU's once before it is timed.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use calotype::catalog::{Catalog, Company, SourceRoot};
use calotype::config::Config;
use calotype::decide::Hints;
use calotype::engine::gpu::{Bandwidth, Choice, Gpu, Totals};
use calotype::engine::placement::CostTable;
use calotype::engine::simd::Simd;
use calotype::engine::{self, Cancel, Done, Engine, Job};
use calotype::heap;
use calotype::pixel::{Image, Size, testcard};
use calotype::sched::{self, Engines};
use calotype::service::{ImageRequest, Rendition, Service};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

#[path = "../camera.rs"]
mod camera;

const IN_FLIGHT: [usize; 3] = [1, 8, 64];
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(600);

/// How much is measured.
struct Scale {
    /// Pictures are smaller by this.
    smaller: u32,
    /// Length of a round.
    round: Duration,
    /// Of the buffer whose copies are timed.
    copy_bytes: u64,
}

/// A request and its source.
struct Case {
    what: &'static str,
    file: &'static str,
    /// More than one: a fan-out.
    queries: Vec<String>,
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    // As the daemon does.
    heap::settle();
    let gpu = match Gpu::try_new(Choice::Any) {
        Ok(gpu) => Arc::new(gpu),
        Err(error) => return println!("no GPU to measure: {error}"),
    };
    let is_hardware = gpu.adapter().kind.is_hardware();
    let scale = if is_hardware {
        Scale { smaller: 1, round: Duration::from_secs(2), copy_bytes: 256 << 20 }
    } else {
        Scale { smaller: 8, round: Duration::from_millis(100), copy_bytes: 4 << 20 }
    };
    println!("{}; {} cores", gpu.adapter(), cores());
    if !is_hardware {
        println!("a software adapter: THESE TIMES MEAN NOTHING; pictures are 8 times smaller each way");
    }
    let simd: Arc<dyn Engine> = Arc::new(Simd::default());
    let bandwidth = match Bandwidth::measure(Choice::Any, scale.copy_bytes) {
        Ok((_, bandwidth)) => bandwidth,
        Err(error) => return println!("no copies: {error}"),
    };
    println!(
        "copies of {} MiB, GB/s: to the device {:.1}, on it {:.1}, back {:.1}",
        scale.copy_bytes >> 20,
        bandwidth.upload / 1e9,
        bandwidth.copy / 1e9,
        bandwidth.readback / 1e9
    );
    let costs = CostTable::measure(&*gpu, &*simd).expect("costs of two engines that work");
    println!("costs, ns: GPU {:?}\n           CPU {:?}\n", costs.gpu, costs.cpu);

    let dir = tempfile::tempdir().expect("a temporary folder");
    let cases = cases(dir.path(), &scale);
    let runtime = Runtime::new().expect("a runtime");
    let spy = Arc::new(Spy { engine: Arc::clone(&gpu), seen: Mutex::default() });
    let on = |gpu| service(&runtime, dir.path(), Engines { cpu: Arc::clone(&simd), gpu });
    let by_cost = sched::Gpu { engine: Arc::clone(&gpu) as Arc<dyn Engine>, costs: Some(costs) };
    let bench = Bench {
        gpu: &gpu,
        simd: &*simd,
        bandwidth,
        scale,
        modes: [
            on(None),
            on(Some(sched::Gpu { engine: Arc::clone(&spy) as Arc<dyn Engine>, costs: None })),
            on(Some(by_cost)),
        ],
        runtime: &runtime,
    };
    println!(
        "On the device: ms a job, of its clock where it has one; in brackets the share of what plain copies reach (of \
         passes: each byte of a source read once, of a picture written once). Passes alone: sources/s of all cores, then \
         of the GPU. Whole: sources/s, bytes of the file to bytes of the rendition.\n"
    );
    println!(
        "| request | in flight | jobs a batch | upload | passes | readback | passes alone | CPU only | GPU only | auto \
         (of it on the GPU) |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for case in &cases {
        let job = bench.job(case, &spy);
        for in_flight in IN_FLIGHT {
            bench.row(case, &job, in_flight);
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Computed sources, and what is asked of them.
fn cases(folder: &Path, scale: &Scale) -> Vec<Case> {
    let Scale { smaller, .. } = *scale;
    for (name, size) in
        [("small.jpg", Size::new(640, 424)), ("photo.jpg", Size::new(2048, 1358)), ("large.jpg", Size::new(4928, 3280))]
    {
        let size = Size::new(size.w / smaller, size.h / smaller);
        std::fs::write(folder.join(name), camera::jpeg(&testcard::photo(size, 7), 92)).expect("a temporary file");
    }
    let side = |side: u32| side / smaller;
    let query = |query: String| format!("{query}&cache=off,off");
    let one = |what, file, text| Case { what, file, queries: vec![query(text)] };
    let sharp = "resMode=bisharp&op_usm=5,0.125,5,0";
    vec![
        one("640×424 to 100 px, JPEG", "small.jpg", format!("wid={}&fmt=jpeg", side(100))),
        one("2048×1358 to 500 lines, JPEG", "photo.jpg", format!("hei={}&fmt=jpeg", side(500))),
        one("the same, sharpened, WebP", "photo.jpg", format!("hei={}&fmt=webp&{sharp}", side(500))),
        one("the same, radius 20", "photo.jpg", format!("hei={}&fmt=jpeg&op_usmR=1,20,2,0", side(500))),
        Case {
            what: "2048×1358 to 320, 640, 960, 1280 px, JPEG and WebP",
            file: "photo.jpg",
            queries: [320, 640, 960, 1280]
                .iter()
                .flat_map(|width| ["jpeg", "webp"].map(|format| query(format!("wid={}&fmt={format}", side(*width)))))
                .collect(),
        },
        one("4928×3280 to 800 px, JPEG", "large.jpg", format!("wid={}&fmt=jpeg", side(800))),
    ]
}

fn service(runtime: &Runtime, folder: &Path, engines: Engines) -> Arc<Service> {
    let mut config = Config::demo();
    config.catalog = Catalog::default();
    let company = Company::new("g", SourceRoot::Dir(folder.to_owned()));
    config.catalog.companies.insert(company.root_id.clone(), company);
    let _inside = runtime.enter();
    Service::try_with(&config, engines).expect("a service")
}

/// The GPU engine, and the last job it was given.
struct Spy {
    engine: Arc<Gpu>,
    seen: Mutex<Option<Job>>,
}

impl Engine for Spy {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn submit(&self, job: Job, done: Done) {
        *self.seen.lock().expect("nobody panics") = Some(Job { cancel: Cancel::default(), ..job.clone() });
        self.engine.submit(job, done);
    }
}

struct Bench<'a> {
    gpu: &'a Gpu,
    simd: &'a dyn Engine,
    bandwidth: Bandwidth,
    scale: Scale,
    /// CPU only, GPU only, auto.
    modes: [Arc<Service>; 3],
    runtime: &'a Runtime,
}

impl Bench<'_> {
    /// The job that a case comes to, with the same pictures on either engine.
    fn job(&self, case: &Case, spy: &Spy) -> Job {
        let renditions = self.runtime.block_on(render(&self.modes[1], case.file, &case.queries));
        assert!(renditions.iter().all(|rendition| rendition.engine == "gpu"), "{}: not by the GPU", case.what);
        let job = spy.seen.lock().expect("nobody panics").take().expect("the GPU had a job");
        assert_eq!(job.plans.len(), case.queries.len(), "{}: not one job", case.what);
        let pictures = |engine| -> Vec<Image> {
            let images = engine::run(engine, job.clone()).images;
            images.into_iter().map(|image| image.expect("a picture")).collect()
        };
        for (a, b) in pictures(self.gpu).iter().zip(&pictures(self.simd)) {
            for (a, b) in a.planes().iter().zip(b.planes()) {
                // Each is within a level of the oracle.
                let off = a.data().iter().zip(b.data()).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(a.size() == b.size() && off <= Some(2), "{}: {off:?} levels off", case.what);
            }
        }
        job
    }

    fn row(&self, case: &Case, job: &Job, in_flight: usize) {
        let mut alone = [Vec::new(), Vec::new()];
        let mut whole = [Vec::new(), Vec::new(), Vec::new()];
        let mut on_device = Totals::default();
        let (mut by_gpu, mut placed) = (0, 0);
        for _ in 0..ROUNDS {
            alone[0].push(self.on_cpu(job, in_flight));
            let before = self.gpu.totals();
            alone[1].push(self.on_gpu(job, in_flight));
            on_device = self.gpu.totals().since(&before);
            for (service, rates) in self.modes.iter().zip(&mut whole) {
                let (rate, on_gpu, all) = self.whole(service, case, in_flight);
                rates.push(rate);
                (by_gpu, placed) = (on_gpu, all);
            }
        }
        let [cpu, gpu] = alone.each_ref().map(|rates| median(rates));
        let [only_cpu, only_gpu, auto] = whole.each_ref().map(|rates| median(rates));
        println!(
            "| {} | {in_flight} | {:.1} | {} | {cpu:.1}, {gpu:.1} | {only_cpu:.1} | {only_gpu:.1} | {auto:.1} ({:.0} %) |",
            case.what,
            on_device.jobs as f64 / on_device.batches as f64,
            self.stages(&on_device),
            100.0 * f64::from(by_gpu) / f64::from(placed),
        );
    }

    /// Upload, passes, readback: of the device's clock, or what the engine saw from outside.
    fn stages(&self, totals: &Totals) -> String {
        let jobs = totals.jobs as f64;
        let each = |time: Duration| 1e3 * time.as_secs_f64() / jobs;
        let Some(device) = totals.times.device else {
            let times = totals.times;
            let [upload, dispatch, readback] = [times.upload, times.dispatch, times.readback].map(each);
            return format!("{upload:.3} | {dispatch:.3} with transfers | {readback:.3}");
        };
        let (source, out) = (totals.source_bytes as f64, totals.out_bytes as f64);
        let share = |bytes: f64, time: Duration, best: f64| 100.0 * bytes / time.as_secs_f64().max(1e-9) / best;
        let cell = |time, share| format!("{:.3} ({share:.0} %)", each(time));
        [
            cell(device.upload, share(source, device.upload, self.bandwidth.upload)),
            // A copy moves each byte twice.
            cell(device.passes, share(source + out, device.passes, 2.0 * self.bandwidth.copy)),
            cell(device.readback, share(out, device.readback, self.bandwidth.readback)),
        ]
        .join(" | ")
    }

    /// Jobs a second, passes alone, on as many threads as there are cores and renditions of `in_flight` jobs: each is made
    /// by whoever is free, as the lanes do it.
    fn on_cpu(&self, job: &Job, in_flight: usize) -> f64 {
        let renditions: Vec<Job> =
            job.plans.iter().map(|plan| Job { plans: vec![Arc::clone(plan)], ..job.clone() }).collect();
        let next = AtomicUsize::new(0);
        let start = Instant::now();
        let run = || {
            let mut done = 0_u32;
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                // A job at least.
                if i >= renditions.len() && start.elapsed() >= self.scale.round {
                    return done;
                }
                engine::run(self.simd, renditions[i % renditions.len()].clone());
                done += 1;
            }
        };
        let done: u32 = std::thread::scope(|scope| {
            let threads = cores().min(in_flight * renditions.len());
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        f64::from(done) / renditions.len() as f64 / start.elapsed().as_secs_f64()
    }

    /// Jobs a second, passes alone, so many of them before the engine at any time.
    fn on_gpu(&self, job: &Job, in_flight: usize) -> f64 {
        let counted = self.gpu.totals().jobs;
        let (send, receive) = channel();
        let submit = || {
            let send = send.clone();
            self.gpu.submit(job.clone(), Box::new(move |completion| drop(send.send(completion))));
        };
        let start = Instant::now();
        (0..in_flight).for_each(|_| submit());
        let (mut submitted, mut done) = (in_flight, 0_u32);
        while submitted > 0 {
            let completion = receive.recv_timeout(PATIENCE).expect("an answer");
            assert!(completion.images.iter().all(Result::is_ok), "{completion:?}");
            (submitted, done) = (submitted - 1, done + 1);
            if start.elapsed() < self.scale.round {
                submit();
                submitted += 1;
            }
        }
        let rate = f64::from(done) / start.elapsed().as_secs_f64();
        // A batch is counted after its last answer.
        while self.gpu.totals().jobs < counted + u64::from(done) {
            std::thread::yield_now();
        }
        rate
    }

    /// Sources a second from file to rendition; how many renditions were the GPU's, and how many there were.
    fn whole(&self, service: &Arc<Service>, case: &Case, in_flight: usize) -> (f64, u32, u32) {
        self.runtime.block_on(async {
            let start = Instant::now();
            let end = start + self.scale.round;
            let mut lanes = JoinSet::new();
            for _ in 0..in_flight {
                let (service, file, queries) = (Arc::clone(service), case.file, case.queries.clone());
                lanes.spawn(async move {
                    let (mut sources, mut by_gpu, mut all) = (0, 0, 0);
                    while sources == 0 || Instant::now() < end {
                        let renditions = render(&service, file, &queries).await;
                        by_gpu += renditions.iter().map(|one| u32::from(one.engine == "gpu")).sum::<u32>();
                        all += renditions.iter().map(|_| 1).sum::<u32>();
                        sources += 1;
                    }
                    (sources, by_gpu, all)
                });
            }
            let (mut sources, mut by_gpu, mut all) = (0, 0, 0);
            while let Some(lane) = lanes.join_next().await {
                let lane = lane.expect("no panic");
                (sources, by_gpu, all) = (sources + lane.0, by_gpu + lane.1, all + lane.2);
            }
            (f64::from(sources) / start.elapsed().as_secs_f64(), by_gpu, all)
        })
    }
}

async fn render(service: &Service, file: &str, queries: &[String]) -> Vec<Rendition> {
    let deadline = Instant::now() + PATIENCE;
    if let [query] = queries {
        let request = ImageRequest { path: format!("/g/{file}"), query: query.clone(), ..ImageRequest::default() };
        return vec![service.image(&request, deadline).await.expect("a rendition")];
    }
    let renditions = service.fanout(&format!("g/{file}"), None, queries, &Hints::default(), deadline).await;
    renditions.expect("renditions").into_iter().map(|one| one.expect("a rendition")).collect()
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
