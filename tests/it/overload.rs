//! Does it shed, expire, cancel, replay and drain? The scheduler and the service over it, with engines that wait for the
//! test; codecs and files are the real ones.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use calotype::codec::{self, Allow};
use calotype::config::Config;
use calotype::decide::Hints;
use calotype::engine::scalar::Scalar;
use calotype::engine::{Cancel, Completion, Done, Engine, Job, run};
use calotype::error::{Error, Result};
use calotype::limits;
use calotype::pixel::{PixelFormat, Size};
use calotype::plan::{DecodeAs, EncodeLadder, EncodeSpec, Header, Pass, Plan, SourceFormat};
use calotype::sched::{Engines, Gpu, Options, Outcome, Sched, Work, job_bytes_max};
use calotype::service::{ImageRequest, Service};
use calotype::telemetry::Telemetry;

use crate::support::{Content, SplitMix64, picture};

/// Longest wait for something that must happen: far beyond any machine's delay, so that a hang is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// An engine that tells the test of each job and waits until it may go on; the passes are then the oracle's.
struct Noop {
    entered: Sender<()>,
    go_on: Mutex<Receiver<Order>>,
}

/// What the test wants of a job that has entered.
enum Order {
    Run,
    /// Run, but only when this moment is past.
    RunAt(Instant),
    Panic,
}

/// The test's ends of a [`Noop`].
struct Reins {
    entered: Receiver<()>,
    go_on: Sender<Order>,
}

impl Noop {
    fn new() -> (Arc<Self>, Reins) {
        let (entered, was_entered) = channel();
        let (go_on, orders) = channel();
        (Arc::new(Self { entered, go_on: Mutex::new(orders) }), Reins { entered: was_entered, go_on })
    }
}

impl Reins {
    /// Returns when a job has entered the engine.
    fn entered(&self) {
        self.entered.recv_timeout(PATIENCE).expect("a job should have entered the engine");
    }

    fn order(&self, order: Order) {
        self.go_on.send(order).expect("the engine should be there");
    }

    fn nobody_entered(&self) {
        assert!(self.entered.try_recv().is_err(), "a job entered the engine that should not have");
    }
}

impl Engine for Noop {
    fn name(&self) -> &'static str {
        "noop"
    }

    fn submit(&self, job: Job, done: Done) {
        // A test that ended early takes no notice.
        self.entered.send(()).unwrap_or(());
        let order = self.go_on.lock().unwrap().recv_timeout(PATIENCE);
        match order.expect("the test should have said what to do") {
            Order::Run => {}
            Order::RunAt(moment) => wait_until(moment),
            Order::Panic => panic!("the engine's own words"),
        }
        done(run(&Scalar, job));
    }
}

/// An engine that answers on a thread of its own, when and as the test says.
struct Remote {
    jobs: Sender<(Job, Done)>,
}

impl Remote {
    fn new() -> (Arc<Self>, Receiver<(Job, Done)>) {
        let (jobs, taken) = channel();
        (Arc::new(Self { jobs }), taken)
    }
}

impl Engine for Remote {
    fn name(&self) -> &'static str {
        "gpu"
    }

    fn submit(&self, job: Job, done: Done) {
        self.jobs.send((job, done)).expect("the test should be there");
    }
}

fn wait_until(moment: Instant) {
    while Instant::now() < moment {
        std::thread::sleep(moment.saturating_duration_since(Instant::now()).min(Duration::from_millis(1)));
    }
}

/// Returns when `fact` holds. For facts that no channel tells of.
fn until(what: &str, fact: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::yield_now();
    }
}

/// A small real PNG.
struct Picture {
    bytes: Bytes,
    header: Header,
}

impl Picture {
    fn new() -> Self {
        let image = picture(Content::Opaque, Size::new(31, 17), PixelFormat::RGB, &mut SplitMix64::new("overload"));
        let bytes = Bytes::from(codec::encode(&image, &EncodeSpec::Png).unwrap());
        let allow = Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: limits::SOURCE_PIXELS_MAX };
        let header = codec::probe(&mut std::io::Cursor::new(&bytes), &allow).unwrap();
        Self { bytes, header }
    }

    /// `n` plans that differ: the first keeps the picture, the others sharpen it that many times.
    fn plans(&self, n: usize) -> Vec<Arc<Plan>> {
        let plan = |i| {
            Arc::new(Plan {
                source: self.header.size,
                decode: DecodeAs::Native,
                size: self.header.size,
                passes: vec![Pass::Sharpen; i],
                encode: EncodeLadder::only(EncodeSpec::Png),
            })
        };
        (0..n).map(plan).collect()
    }

    fn work(&self, n: usize, deadline: Instant) -> Work {
        let bytes = self.bytes.clone();
        Work {
            source_bytes: bytes.len() as u64,
            read: Box::new(move || Ok(bytes)),
            header: self.header,
            plans: self.plans(n),
            deadline: deadline.into(),
            cancel: Cancel::default(),
        }
    }

    /// What `n` renditions of it must be, by the oracle alone.
    fn want(&self, n: usize) -> Vec<Vec<u8>> {
        let source = Arc::new(codec::decode(&self.bytes, &self.header, DecodeAs::Native).unwrap());
        let job = Job { source, plans: self.plans(n), cancel: Cancel::default() };
        let encode = |image: Result<_>| codec::encode(&image.unwrap(), &EncodeSpec::Png).unwrap();
        run(&Scalar, job).images.into_iter().map(encode).collect()
    }

    fn job_bytes(&self, threads: usize) -> u64 {
        job_bytes_max(self.bytes.len() as u64, &self.header, &self.plans(1), threads)
    }
}

/// Lanes, and what the test needs to watch them.
struct Rig {
    sched: Sched,
    telemetry: Arc<Telemetry>,
    picture: Picture,
    idle: Receiver<()>,
}

impl Rig {
    fn new(options: Options, cpu: Arc<dyn Engine>, gpu: Option<Arc<dyn Engine>>) -> Self {
        let telemetry = Arc::new(Telemetry::new());
        let (idle, is_idle) = channel();
        let gpu = gpu.map(|engine| Gpu { engine, costs: None });
        let sched = Sched::try_new(options, Engines { cpu, gpu }, Arc::clone(&telemetry), move || {
            idle.send(()).unwrap_or(());
        });
        Self { sched: sched.unwrap(), telemetry, picture: Picture::new(), idle: is_idle }
    }

    /// Submits and hands out where the outcome will come.
    fn submit(&self, work: Work) -> Result<Receiver<Outcome>> {
        let (send, outcome) = channel();
        self.sched.try_submit(work, Box::new(move |result| drop(send.send(result))))?;
        Ok(outcome)
    }

    /// One rendition, with all the time in the world.
    fn one(&self) -> Receiver<Outcome> {
        self.submit(self.picture.work(1, soon())).unwrap()
    }

    fn metric(&self, name: &str) -> f64 {
        metric(&self.telemetry.text(self.sched.load()), name)
    }

    /// All is as before the first job.
    fn is_at_rest(&self) {
        until("no job in hand", || self.sched.in_hand() == 0);
        assert_eq!(self.sched.load().memory_bytes, 0, "memory that nobody gave back");
        until("no job running", || self.sched.load().running == 0);
    }
}

const ONE_LANE: Options = Options { threads: 1, queue_jobs_max: 4, memory_bytes_max: 1 << 30 };

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

fn outcome(from: &Receiver<Outcome>) -> Outcome {
    from.recv_timeout(PATIENCE).expect("every job is answered")
}

/// The outcome is these renditions, byte for byte.
fn check_renditions(from: &Receiver<Outcome>, want: &[Vec<u8>]) {
    let results = outcome(from).unwrap();
    let got: Vec<Vec<u8>> = results.into_iter().map(|result| result.unwrap().bytes.to_vec()).collect();
    assert!(got == want, "{} renditions that are not the oracle's", got.len());
}

/// The value of an unlabelled metric.
fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.split_once(' ').is_some_and(|(key, _)| key == name));
    let (_, value) = line.unwrap_or_else(|| panic!("no {name} in:\n{text}")).split_once(' ').unwrap();
    value.parse().unwrap()
}

#[test]
fn a_full_queue_is_busy_at_once_and_disturbs_nobody() {
    let (noop, reins) = Noop::new();
    let rig = Rig::new(Options { queue_jobs_max: 2, ..ONE_LANE }, noop, None);
    assert!(rig.sched.ready().is_ok());
    let running = rig.one();
    reins.entered();
    let waiting = rig.one();
    let load = rig.sched.load();
    assert_eq!((load.running, load.waiting), (1, 1));
    let refused = rig.submit(rig.picture.work(1, soon()));
    assert!(matches!(refused, Err(Error::Busy { depth: 2, .. })), "{refused:?}");
    assert!(matches!(rig.sched.ready(), Err(Error::Busy { .. })));
    reins.order(Order::Run);
    check_renditions(&running, &rig.picture.want(1));
    // Its place is free as soon as its answer is there.
    let next = rig.one();
    reins.order(Order::Run);
    reins.order(Order::Run);
    check_renditions(&waiting, &rig.picture.want(1));
    check_renditions(&next, &rig.picture.want(1));
    rig.is_at_rest();
    assert!(rig.sched.ready().is_ok());
    assert!(rig.sched.lanes_alive());
}

#[test]
fn a_deadline_is_kept_before_every_stage() {
    let (noop, reins) = Noop::new();
    let rig = Rig::new(ONE_LANE, noop, None);
    let expired = |outcome: Outcome, stage: &str| match outcome {
        Err(Error::Deadline { before }) => assert_eq!(before, stage),
        other => panic!("expected a deadline before {stage}, got {other:?}"),
    };
    // Before decode: it is not even read.
    let mut work = rig.picture.work(1, Instant::now());
    work.read = Box::new(|| panic!("read although its deadline had passed"));
    expired(outcome(&rig.submit(work).unwrap()), "decode");
    // Before the passes: reading took too long.
    let deadline = Instant::now() + Duration::from_millis(200);
    let mut work = rig.picture.work(1, deadline);
    let bytes = rig.picture.bytes.clone();
    work.read = Box::new(move || {
        wait_until(deadline);
        Ok(bytes)
    });
    expired(outcome(&rig.submit(work).unwrap()).and_then(only), "passes");
    reins.nobody_entered();
    // Before encode, and between the renditions of a fan-out: what was ready in time is there.
    let deadline = Instant::now() + Duration::from_millis(500);
    let three = rig.submit(rig.picture.work(3, deadline)).unwrap();
    reins.entered();
    reins.order(Order::Run);
    reins.entered();
    reins.order(Order::RunAt(deadline));
    let results = outcome(&three).unwrap();
    let stages: Vec<_> = results.iter().map(stage).collect();
    assert_eq!(stages, ["ready", "encode", "passes"]);
    reins.nobody_entered();
    rig.is_at_rest();
}

/// The error of an outcome with one rendition.
fn only(mut results: Vec<Result<calotype::sched::Rendered>>) -> Outcome {
    match results.pop().expect("one rendition") {
        Err(error) => Err(error),
        Ok(rendered) => Ok(vec![Ok(rendered)]),
    }
}

/// How far a rendition came.
fn stage(result: &Result<calotype::sched::Rendered>) -> &'static str {
    match result {
        Ok(_) => "ready",
        Err(Error::Deadline { before } | Error::Cancelled { before }) => before,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_client_that_left_stops_its_job_before_the_next_stage() {
    let (noop, reins) = Noop::new();
    let rig = Rig::new(ONE_LANE, noop, None);
    let work = rig.picture.work(1, soon());
    let leaves_in_passes = work.cancel.clone();
    let in_passes = rig.submit(work).unwrap();
    reins.entered();
    let mut work = rig.picture.work(1, soon());
    work.read = Box::new(|| panic!("read although nobody waits"));
    let leaves_in_line = work.cancel.clone();
    let in_line = rig.submit(work).unwrap();
    leaves_in_line.cancel();
    leaves_in_passes.cancel();
    reins.order(Order::Run);
    // The oracle sees it first; had it not, `encode` would have been the stage.
    let results = outcome(&in_passes).unwrap();
    assert!(matches!(results[0], Err(Error::Cancelled { .. })), "{:?}", results[0]);
    assert!(matches!(outcome(&in_line), Err(Error::Cancelled { before: "decode" })));
    assert_eq!(rig.metric("calotype_cancelled"), 2.0);
    rig.is_at_rest();
}

#[test]
fn a_panic_is_an_error_and_the_lane_lives_on() {
    let (noop, reins) = Noop::new();
    let rig = Rig::new(ONE_LANE, noop, None);
    let job = rig.one();
    reins.entered();
    reins.order(Order::Panic);
    match only(outcome(&job).unwrap()) {
        Err(Error::Panic { message }) => assert_eq!(message, "the engine's own words"),
        other => panic!("expected a panic, got {other:?}"),
    }
    let mut work = rig.picture.work(2, soon());
    work.read = Box::new(|| panic!("the reader's own words"));
    assert!(
        matches!(outcome(&rig.submit(work).unwrap()), Err(Error::Panic { message }) if message.starts_with("the reader"))
    );
    // The callback is somebody else's code too.
    rig.sched.try_submit(rig.picture.work(1, soon()), Box::new(|_| panic!("the callback's own words"))).unwrap();
    reins.entered();
    reins.order(Order::Run);
    let next = rig.one();
    reins.entered();
    reins.order(Order::Run);
    check_renditions(&next, &rig.picture.want(1));
    rig.is_at_rest();
}

#[test]
fn a_broken_source_is_one_answer_for_all_renditions() {
    let rig = Rig::new(ONE_LANE, Arc::new(Scalar), None);
    let mut work = rig.picture.work(3, soon());
    work.read = Box::new(|| Ok(Bytes::from_static(b"\x89PNG\r\n\x1a\nno more")));
    assert!(matches!(outcome(&rig.submit(work).unwrap()), Err(Error::BrokenSource { format: "png", .. })));
    rig.is_at_rest();
}

#[test]
fn what_the_gpu_fails_is_replayed_on_the_cpu() {
    let (remote, taken) = Remote::new();
    let rig = Rig::new(ONE_LANE, Arc::new(Scalar), Some(remote));
    let three = rig.submit(rig.picture.work(3, soon())).unwrap();
    let (job, done) = taken.recv_timeout(PATIENCE).unwrap();
    assert_eq!(job.plans.len(), 3, "one upload for all renditions");
    let Completion { mut images, pass_time } = run(&Scalar, job);
    images[1] = Err(lost());
    images[2] = Err(Error::Busy { lane: "gpu", depth: 1 });
    // On this thread, as if it were the GPU's: it must not have to encode anything.
    done(Completion { images, pass_time });
    let results = outcome(&three).unwrap();
    let engines: Vec<_> = results.iter().map(|result| result.as_ref().unwrap().engine).collect();
    assert_eq!(engines, ["gpu", "scalar", "scalar"]);
    let got: Vec<Vec<u8>> = results.into_iter().map(|result| result.unwrap().bytes.to_vec()).collect();
    assert!(got == rig.picture.want(3), "the client noticed");
    assert_eq!(rig.metric("calotype_device_lost"), 1.0);
    rig.is_at_rest();
}

fn lost() -> Error {
    Error::Device { doing: "submitting", cause: "the device is lost".into() }
}

#[test]
fn an_engine_that_never_answers_is_answered_for() {
    let (remote, taken) = Remote::new();
    let rig = Rig::new(ONE_LANE, Arc::new(Scalar), Some(remote));
    let job = rig.submit(rig.picture.work(2, soon())).unwrap();
    // Both the job and the duty to complete it are thrown away.
    drop(taken.recv_timeout(PATIENCE).unwrap());
    let results = outcome(&job).unwrap();
    assert!(results.iter().all(|result| matches!(result, Err(Error::Panic { .. }))), "{results:?}");
    // One that answers too little: the rest is answered for.
    let job = rig.submit(rig.picture.work(2, soon())).unwrap();
    let (job_of_gpu, done) = taken.recv_timeout(PATIENCE).unwrap();
    let mut completion = run(&Scalar, job_of_gpu);
    completion.images.pop();
    done(completion);
    let results = outcome(&job).unwrap();
    assert!(results[0].is_ok() && matches!(results[1], Err(Error::Panic { .. })), "{results:?}");
    rig.is_at_rest();
}

#[test]
fn memory_makes_jobs_wait_and_then_run() {
    let (noop, reins) = Noop::new();
    let threads = 2;
    let need = Picture::new().job_bytes(threads);
    let rig = Rig::new(Options { threads, queue_jobs_max: 8, memory_bytes_max: need * 3 / 2 }, noop, None);
    let holds = rig.one();
    reins.entered();
    let was_read = Arc::new(AtomicUsize::new(0));
    let waits = || {
        let (was_read, bytes) = (Arc::clone(&was_read), rig.picture.bytes.clone());
        let mut work = rig.picture.work(1, soon());
        work.read = Box::new(move || {
            was_read.fetch_add(1, Ordering::SeqCst);
            Ok(bytes)
        });
        work
    };
    // One that leaves while it waits for memory.
    let work = waits();
    let cancel = work.cancel.clone();
    let leaves = rig.submit(work).unwrap();
    until("the job is begun", || rig.sched.load().running == 2);
    cancel.cancel();
    rig.sched.wake();
    assert!(matches!(outcome(&leaves), Err(Error::Cancelled { before: "decode" })));
    // One whose deadline passes while it waits.
    let mut work = waits();
    work.deadline = (Instant::now() + Duration::from_millis(50)).into();
    assert!(matches!(outcome(&rig.submit(work).unwrap()), Err(Error::Deadline { before: "decode" })));
    // One that could never run does not wait at all.
    let mut work = waits();
    work.source_bytes = need;
    match outcome(&rig.submit(work).unwrap()) {
        Err(Error::TooMuchMemory { bytes, bytes_max }) => assert!(bytes > bytes_max && bytes_max == need * 3 / 2),
        other => panic!("expected too much memory, got {other:?}"),
    }
    // And one that runs when the memory is free.
    let patient = rig.submit(waits()).unwrap();
    until("the job is begun", || rig.sched.load().running == 2);
    assert_eq!(rig.sched.load().memory_bytes, need);
    assert_eq!(was_read.load(Ordering::SeqCst), 0);
    reins.order(Order::Run);
    check_renditions(&holds, &rig.picture.want(1));
    reins.entered();
    reins.order(Order::Run);
    check_renditions(&patient, &rig.picture.want(1));
    assert_eq!(was_read.load(Ordering::SeqCst), 1);
    rig.is_at_rest();
}

#[test]
fn a_lane_that_waits_for_memory_finishes_what_holds_it() {
    let (remote, taken) = Remote::new();
    let need = Picture::new().job_bytes(1);
    let rig = Rig::new(Options { memory_bytes_max: need * 3 / 2, ..ONE_LANE }, Arc::new(Scalar), Some(remote));
    let on_gpu = rig.one();
    let (job, done) = taken.recv_timeout(PATIENCE).unwrap();
    // The only lane now waits for memory that only the only lane can set free.
    let waits = rig.one();
    until("the job is begun", || rig.sched.load().running == 2);
    done(run(&Scalar, job));
    check_renditions(&on_gpu, &rig.picture.want(1));
    let (job, done) = taken.recv_timeout(PATIENCE).unwrap();
    done(run(&Scalar, job));
    check_renditions(&waits, &rig.picture.want(1));
    rig.is_at_rest();
}

#[test]
fn a_drain_finishes_what_is_in_hand_and_takes_nothing_new() {
    let (noop, reins) = Noop::new();
    let rig = Rig::new(ONE_LANE, noop, None);
    let running = rig.one();
    reins.entered();
    let waiting = rig.one();
    rig.sched.start_drain();
    assert!(matches!(rig.submit(rig.picture.work(1, soon())), Err(Error::Draining)));
    assert!(matches!(rig.sched.ready(), Err(Error::Draining)));
    // The refused one did not count as the last.
    assert!(rig.idle.try_recv().is_err());
    reins.order(Order::Run);
    reins.order(Order::Run);
    check_renditions(&running, &rig.picture.want(1));
    check_renditions(&waiting, &rig.picture.want(1));
    rig.idle.recv_timeout(PATIENCE).expect("the last job in hand should have been told");
    rig.is_at_rest();
}

#[test]
fn lanes_outlive_their_scheduler_for_as_long_as_a_job_is_in_hand() {
    let (noop, reins) = Noop::new();
    let rig = Rig::new(ONE_LANE, noop, None);
    let (running, waiting) = (rig.one(), rig.one());
    reins.entered();
    let want = rig.picture.want(1);
    drop(rig);
    reins.order(Order::Run);
    reins.order(Order::Run);
    check_renditions(&running, &want);
    check_renditions(&waiting, &want);
}

#[test]
fn every_job_is_answered_exactly_once_whatever_happens() {
    /// Fails, panics, forgets or works, by the numbers it was given.
    struct Moody(Mutex<SplitMix64>, &'static str);
    impl Engine for Moody {
        fn name(&self) -> &'static str {
            self.1
        }

        fn submit(&self, job: Job, done: Done) {
            let mood = self.0.lock().unwrap().within(0, 8);
            match mood {
                0 => panic!("moody"),
                1 => drop(done),
                2 if self.1 == "gpu" => {
                    let images = job.plans.iter().map(|_| Err(lost())).collect();
                    done(Completion { images, pass_time: Duration::ZERO });
                }
                _ => done(run(&Scalar, job)),
            }
        }
    }
    let mut random = SplitMix64::new("every_job_is_answered_exactly_once");
    let moody = |name| Arc::new(Moody(Mutex::new(SplitMix64::new(name)), name)) as Arc<dyn Engine>;
    let need = Picture::new().job_bytes(3);
    let options = Options { threads: 3, queue_jobs_max: 16, memory_bytes_max: need * 4 };
    let rig = Rig::new(options, moody("cpu"), Some(moody("gpu")));
    let (answer, answers) = channel();
    let (mut taken, mut refused) = (0, 0);
    for i in 0..400 {
        let plans = random.within(1, 5) as usize;
        let mut work = rig.picture.work(plans, soon());
        match random.within(0, 10) {
            0 => work.deadline = Instant::now().into(),
            1 => work.cancel.cancel(),
            2 => work.read = Box::new(|| panic!("no source")),
            _ => {}
        }
        let answer = answer.clone();
        let done = Box::new(move |outcome: Outcome| {
            if let Ok(results) = &outcome {
                assert_eq!(results.len(), plans);
            }
            answer.send(i).unwrap();
        });
        match rig.sched.try_submit(work, done) {
            Ok(()) => taken += 1,
            Err(Error::Busy { .. }) => {
                refused += 1;
                answers.recv_timeout(PATIENCE).expect("a job should have ended");
                taken -= 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    println!("{refused} refused, {taken} still in hand at the end");
    for _ in 0..taken {
        answers.recv_timeout(PATIENCE).expect("every job is answered");
    }
    rig.is_at_rest();
    drop(rig);
    drop(answer);
    assert!(answers.recv_timeout(PATIENCE).is_err(), "a job was answered twice");
}

/// A service over the demo catalogue, on engines of the test.
fn service(queue_jobs_max: usize, cpu: Arc<dyn Engine>) -> Arc<Service> {
    let mut config = Config::demo();
    config.daemon.threads = 1;
    config.daemon.queue_jobs_max = queue_jobs_max;
    Service::try_with(&config, Engines { cpu, gpu: None }).unwrap()
}

fn request(asset: &str, query: &str) -> ImageRequest {
    ImageRequest {
        company: String::from(calotype::config::DEMO_COMPANY),
        asset: vec![asset.to_owned()],
        query: query.to_owned(),
        hints: Hints::default(),
    }
}

fn runtime() -> tokio::runtime::Runtime {
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
