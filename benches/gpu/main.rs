//! The GPU path beside the CPU's: one command, one table, for a machine with an adapter.
//!
//! `./x bench gpu` measures what plain copies reach on the adapter, then a handful of requests with one, eight and
//! sixty-four in flight: where a job's time goes on the device, passes alone on either side, and whole renditions with
//! the CPU alone, the GPU alone, and each job where its estimate is lower; at the end, whether that was as fast as the
//! better of the two. A software adapter gets small pictures and short rounds; what it says of time means nothing. Every
//! answer is checked against the CPU's once before it is timed. What an adapter cannot do is said, the rest is measured.

use std::path::Path;
use std::process::ExitCode;
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
use calotype::plan::{Pass, Plan};
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

#[global_allocator]
static HEAP: heap::Heap = heap::Heap;

fn main() -> ExitCode {
    // `cargo test --benches` only wants to know that it runs.
    if std::env::args().any(|arg| arg == "--test") {
        return ExitCode::SUCCESS;
    }
    // As the daemon does.
    heap::settle();
    let gpu = match Gpu::try_new(Choice::Any) {
        Ok(gpu) => Arc::new(gpu),
        Err(error) => {
            println!("no GPU to measure: {error}");
            return ExitCode::SUCCESS;
        }
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
        Ok((_, bandwidth)) => {
            let [to, on, back] = [bandwidth.upload, bandwidth.copy, bandwidth.readback].map(|rate| rate / 1e9);
            let mib = scale.copy_bytes >> 20;
            println!("copies of {mib} MiB, GB/s: to the device {to:.1}, on it {on:.1}, back {back:.1}");
            Some(bandwidth)
        }
        Err(error) => {
            println!("no shares of what copies reach: {error}");
            None
        }
    };
    let costs = match CostTable::measure(&*gpu, &*simd) {
        Ok(costs) => {
            println!("costs, ns: GPU {:?}\n           CPU {:?}\n", costs.gpu, costs.cpu);
            Some(costs)
        }
        Err(error) => {
            println!("no auto: costs cannot be measured: {error}\n");
            None
        }
    };

    let dir = tempfile::tempdir().expect("a temporary folder");
    let cases = cases(dir.path(), &scale);
    let runtime = Runtime::new().expect("a runtime");
    let spy = Arc::new(Spy { engine: Arc::clone(&gpu), seen: Mutex::default() });
    let on = |gpu| service(&runtime, dir.path(), Engines { cpu: Arc::clone(&simd), gpu });
    let by_cost = |costs| sched::Gpu { engine: Arc::clone(&gpu) as Arc<dyn Engine>, costs: Some(costs) };
    let bench = Bench {
        gpu: &gpu,
        simd: &*simd,
        bandwidth,
        scale,
        only_cpu: on(None),
        only_gpu: on(Some(sched::Gpu { engine: Arc::clone(&spy) as Arc<dyn Engine>, costs: None })),
        auto: costs.map(|costs| on(Some(by_cost(costs)))),
        runtime: &runtime,
    };
    println!(
        "On the device: ms a job, of its clock where it has one; in brackets the share of what plain copies reach (of \
         passes: each byte of a source read once, of a picture written once). Without a clock, marked ~: by what the \
         engine saw from outside, which is longer; passes are with their transfers then. Passes alone: sources/s of all \
         cores, then of the GPU. Whole, bytes of the file to bytes of the rendition: end to end, the median time of a \
         source, ms, by CPU only, GPU only, auto; then sources/s of each, in brackets what part of it was the GPU's.\n"
    );
    println!(
        "| request | in flight | jobs a batch | upload | passes | readback | passes alone | end to end, ms | CPU only | \
         GPU only | auto (of it on the GPU) |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for case in &cases {
        let job = match bench.job(case, &spy) {
            Ok(job) => job,
            Err(why) => {
                failures.push(format!("{}: {why}", case.what));
                continue;
            }
        };
        for in_flight in IN_FLIGHT {
            match bench.row(case, &job, in_flight) {
                Ok(row) => {
                    println!("{}", row.printed);
                    rows.push((case.what, in_flight, row));
                }
                Err(why) => failures.push(format!("{}, {in_flight} in flight: {why}", case.what)),
            }
        }
    }
    failures.iter().for_each(|failure| println!("\nleft out: {failure}"));
    conclude(&rows);
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether each job went where it is faster.
fn conclude(rows: &[(&str, usize, Row)]) {
    let compared: Vec<_> =
        rows.iter().filter_map(|(what, in_flight, row)| Some((what, in_flight, row.auto()?))).collect();
    if compared.is_empty() {
        return;
    }
    println!("\nauto beside the better of CPU only and GPU only, sources/s, ratio (rounds):\n");
    let mut slower = 0;
    for (what, in_flight, Auto { rate, better, better_rate, ratios }) in &compared {
        let (ratio, low, high) = (median(ratios), least(ratios), most(ratios));
        let verdict = match () {
            () if ratio >= 1.0 => "at least as fast",
            () if high >= 1.0 => "as fast, as far as rounds can tell",
            () => {
                slower += 1;
                "SLOWER"
            }
        };
        println!(
            "- {what}, {in_flight} in flight: {rate:.1} and {better_rate:.1} ({better} only): {ratio:.2} ({low:.2} to \
             {high:.2}): {verdict}"
        );
    }
    println!("\nauto was slower in {slower} of {} rows", compared.len());
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
    /// Unless it cannot be measured.
    bandwidth: Option<Bandwidth>,
    scale: Scale,
    only_cpu: Arc<Service>,
    only_gpu: Arc<Service>,
    /// Unless what a job costs cannot be measured.
    auto: Option<Arc<Service>>,
    runtime: &'a Runtime,
}

/// Whole renditions of one mode: what each round came to.
#[derive(Default)]
struct Whole {
    /// Sources a second.
    rates: Vec<f64>,
    /// Of each source, all rounds.
    times_ms: Vec<f64>,
    by_gpu: u32,
    renditions: u32,
}

/// One request with so many in flight.
struct Row {
    printed: String,
    only_cpu: Whole,
    only_gpu: Whole,
    auto: Option<Whole>,
}

/// Whether the engines agree on a picture of that plan.
///
/// # Errors
/// What is wrong, in words.
fn check(a: &Image, b: &Image, plan: &Plan) -> Result<(), String> {
    // Each is within a level of the oracle after every pass. A sharpening makes more of that level, and most where it takes
    // a pixel over the threshold: a few pixels, but not so many that a row of a picture could be wrong.
    let sharpens = plan.passes.iter().any(|pass| matches!(pass, Pass::UnsharpH(_)));
    for (plane, (a, b)) in a.planes().iter().zip(b.planes()).enumerate() {
        let off = a.data().iter().zip(b.data()).filter(|(a, b)| a.abs_diff(**b) > 2).count();
        let off_max = if sharpens { a.data().len() / 1000 } else { 0 };
        if a.size() != b.size() || off > off_max {
            return Err(format!(
                "the engines differ by more than 2 levels in {off} of {} samples of plane {plane}, at most {off_max} may",
                a.data().len()
            ));
        }
    }
    Ok(())
}

/// How `auto` did.
struct Auto {
    rate: f64,
    better: &'static str,
    better_rate: f64,
    /// Round by round.
    ratios: Vec<f64>,
}

impl Row {
    fn auto(&self) -> Option<Auto> {
        let auto = self.auto.as_ref()?;
        let [cpu, gpu] = [&self.only_cpu, &self.only_gpu].map(|whole| median(&whole.rates));
        let (better, better_rate, whole) =
            if gpu > cpu { ("GPU", gpu, &self.only_gpu) } else { ("CPU", cpu, &self.only_cpu) };
        let ratios = auto.rates.iter().zip(&whole.rates).map(|(auto, other)| auto / other).collect();
        Some(Auto { rate: median(&auto.rates), better, better_rate, ratios })
    }
}

impl Bench<'_> {
    /// The job that a case comes to, with the same pictures on either engine.
    ///
    /// # Errors
    /// Why the GPU does not do it, in words.
    fn job(&self, case: &Case, spy: &Spy) -> Result<Job, String> {
        let renditions = self.runtime.block_on(render(&self.only_gpu, case.file, &case.queries))?;
        if let Some(other) = renditions.iter().find(|rendition| rendition.engine != "gpu") {
            return Err(format!("not by the GPU, but by {}", other.engine));
        }
        let job = spy.seen.lock().expect("nobody panics").take().expect("the GPU had a job");
        assert_eq!(job.plans.len(), case.queries.len(), "{}: not one job", case.what);
        let pictures = |engine| -> Result<Vec<Image>, String> {
            let images = engine::run(engine, job.clone()).images.into_iter();
            images.map(|image| image.map_err(|error| error.to_string())).collect()
        };
        let all = pictures(self.gpu)?.into_iter().zip(pictures(self.simd)?).zip(&job.plans);
        all.into_iter().try_for_each(|((a, b), plan)| check(&a, &b, plan))?;
        Ok(job)
    }

    /// # Errors
    /// What failed on the way, in words.
    fn row(&self, case: &Case, job: &Job, in_flight: usize) -> Result<Row, String> {
        let (mut by_cpu, mut by_gpu) = (Vec::new(), Vec::new());
        let [mut only_cpu, mut only_gpu] = [(); 2].map(|()| Whole::default());
        let mut auto = self.auto.as_ref().map(|service| (service, Whole::default()));
        let mut on_device = Totals::default();
        for _ in 0..ROUNDS {
            by_cpu.push(self.on_cpu(job, in_flight));
            let before = self.gpu.totals();
            by_gpu.push(self.on_gpu(job, in_flight)?);
            on_device.add(&self.gpu.totals().since(&before));
            self.whole(&self.only_cpu, case, in_flight, &mut only_cpu)?;
            self.whole(&self.only_gpu, case, in_flight, &mut only_gpu)?;
            if let Some((service, auto)) = &mut auto {
                self.whole(service, case, in_flight, auto)?;
            }
        }
        let auto = auto.map(|(_, whole)| whole);
        let modes = || [Some(&only_cpu), Some(&only_gpu), auto.as_ref()].into_iter().flatten();
        let times: Vec<String> = modes().map(|whole| format!("{:.2}", median(&whole.times_ms))).collect();
        let on_gpu = |whole: &Whole| 100.0 * f64::from(whole.by_gpu) / f64::from(whole.renditions);
        let placed = |whole: &Whole| format!("{:.1} ({:.0} %)", median(&whole.rates), on_gpu(whole));
        let auto_cell = auto.as_ref().map_or_else(|| String::from("not measured"), placed);
        // What it refuses is made by the CPU.
        let all_placed = only_gpu.by_gpu == only_gpu.renditions;
        let gpu_cell = if all_placed { format!("{:.1}", median(&only_gpu.rates)) } else { placed(&only_gpu) };
        let printed = format!(
            "| {} | {in_flight} | {:.1} | {} | {:.1}, {:.1} | {} | {:.1} | {gpu_cell} | {auto_cell} |",
            case.what,
            on_device.jobs as f64 / on_device.batches as f64,
            self.stages(&on_device),
            median(&by_cpu),
            median(&by_gpu),
            times.join(", "),
            median(&only_cpu.rates),
        );
        Ok(Row { printed, only_cpu, only_gpu, auto })
    }

    /// Upload, passes, readback: of the device's clock, or what the engine saw from outside.
    fn stages(&self, totals: &Totals) -> String {
        let (source, out) = (totals.source_bytes as f64, totals.out_bytes as f64);
        let each = |time: Duration| format!("{:.3}", 1e3 * time.as_secs_f64() / totals.jobs as f64);
        let cell = |mark: &str, time: Duration, bytes: f64, best: fn(Bandwidth) -> f64| {
            let share = |bandwidth| 100.0 * bytes / time.as_secs_f64().max(1e-9) / best(bandwidth);
            let share =
                self.bandwidth.map_or_else(String::new, |bandwidth| format!(" ({mark}{:.1} %)", share(bandwidth)));
            format!("{mark}{}{share}", each(time))
        };
        let upload = |mark, time| cell(mark, time, source, |bandwidth| bandwidth.upload);
        let readback = |mark, time| cell(mark, time, out, |bandwidth| bandwidth.readback);
        let cells = match totals.times.device {
            Some(device) => [
                upload("", device.upload),
                // A copy moves each byte twice.
                cell("", device.passes, source + out, |bandwidth| 2.0 * bandwidth.copy),
                readback("", device.readback),
            ],
            None => {
                let times = totals.times;
                [upload("~", times.upload), format!("~{}", each(times.dispatch)), readback("~", times.readback)]
            }
        };
        cells.join(" | ")
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
    ///
    /// # Errors
    /// What the engine says of one that it cannot do.
    fn on_gpu(&self, job: &Job, in_flight: usize) -> Result<f64, String> {
        let counted = self.gpu.totals().jobs;
        let (send, receive) = channel();
        let submit = || {
            let send = send.clone();
            self.gpu.submit(job.clone(), Box::new(move |completion| drop(send.send(completion))));
        };
        let start = Instant::now();
        (0..in_flight).for_each(|_| submit());
        let (mut submitted, mut done) = (in_flight, 0_u32);
        let mut failed = None;
        while submitted > 0 {
            let completion = receive.recv_timeout(PATIENCE).map_err(|_| String::from("the GPU does not answer"))?;
            failed = failed.or(completion.images.into_iter().find_map(Result::err));
            (submitted, done) = (submitted - 1, done + 1);
            if failed.is_none() && start.elapsed() < self.scale.round {
                submit();
                submitted += 1;
            }
        }
        let rate = f64::from(done) / start.elapsed().as_secs_f64();
        if let Some(error) = failed {
            return Err(error.to_string());
        }
        // A batch is counted after its last answer.
        while self.gpu.totals().jobs < counted + u64::from(done) {
            std::thread::yield_now();
        }
        Ok(rate)
    }

    /// One round from file to rendition.
    ///
    /// # Errors
    /// Why a rendition failed, in words.
    fn whole(&self, service: &Arc<Service>, case: &Case, in_flight: usize, sum: &mut Whole) -> Result<(), String> {
        self.runtime.block_on(async {
            let start = Instant::now();
            let end = start + self.scale.round;
            let mut lanes = JoinSet::new();
            for _ in 0..in_flight {
                let (service, file, queries) = (Arc::clone(service), case.file, case.queries.clone());
                lanes.spawn(async move {
                    let mut lane = Whole::default();
                    while lane.times_ms.is_empty() || Instant::now() < end {
                        let start = Instant::now();
                        let renditions = render(&service, file, &queries).await?;
                        lane.times_ms.push(1e3 * start.elapsed().as_secs_f64());
                        lane.by_gpu += renditions.iter().map(|one| u32::from(one.engine == "gpu")).sum::<u32>();
                        lane.renditions += renditions.iter().map(|_| 1).sum::<u32>();
                    }
                    Ok::<_, String>(lane)
                });
            }
            let mut sources = 0;
            while let Some(lane) = lanes.join_next().await {
                let lane = lane.expect("no panic")?;
                sources += lane.times_ms.len();
                sum.times_ms.extend(lane.times_ms);
                (sum.by_gpu, sum.renditions) = (sum.by_gpu + lane.by_gpu, sum.renditions + lane.renditions);
            }
            sum.rates.push(sources as f64 / start.elapsed().as_secs_f64());
            Ok(())
        })
    }
}

async fn render(service: &Service, file: &str, queries: &[String]) -> Result<Vec<Rendition>, String> {
    let deadline = Instant::now() + PATIENCE;
    let renditions = match queries {
        [query] => {
            let request = ImageRequest { path: format!("/g/{file}"), query: query.clone(), ..ImageRequest::default() };
            service.image(&request, deadline).await.map(|rendition| vec![rendition])
        }
        queries => {
            let renditions = service.fanout(&format!("g/{file}"), None, queries, &Hints::default(), deadline).await;
            renditions.and_then(|renditions| renditions.into_iter().collect())
        }
    };
    renditions.map_err(|error| error.to_string())
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
