//! Lanes and engines on reins: engines that wait for the test, a small real picture, and what has to be watched.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use calotype::codec::{self, Allow};
use calotype::engine::scalar::Scalar;
use calotype::engine::{Cancel, Done, Engine, Job, run};
use calotype::error::Result;
use calotype::limits;
use calotype::pixel::{PixelFormat, Size};
use calotype::plan::{DecodeAs, EncodeLadder, EncodeSpec, Header, Output, Pass, Plan, SourceFormat};
use calotype::sched::{Engines, Gpu, Options, Outcome, Rendered, Sched, Work, job_bytes_max};
use calotype::telemetry::Telemetry;

use crate::support::{Content, SplitMix64, picture};

/// Longest wait for something that must happen: far beyond any machine's delay, so that a hang is a failure.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// An engine that tells the test of each job and waits until it may go on; the passes are then the oracle's.
pub(super) struct Noop {
    entered: Sender<()>,
    go_on: Mutex<Receiver<Order>>,
}

/// What the test wants of a job that has entered.
pub(super) enum Order {
    Run,
    /// Run, but only when this moment is past.
    RunAt(Instant),
    Panic,
}

/// The test's ends of a [`Noop`].
pub(super) struct Reins {
    entered: Receiver<()>,
    go_on: Sender<Order>,
}

impl Noop {
    pub(super) fn new() -> (Arc<Self>, Reins) {
        let (entered, was_entered) = channel();
        let (go_on, orders) = channel();
        (Arc::new(Self { entered, go_on: Mutex::new(orders) }), Reins { entered: was_entered, go_on })
    }
}

impl Reins {
    /// Returns when a job has entered the engine.
    pub(super) fn entered(&self) {
        self.entered.recv_timeout(PATIENCE).expect("a job should have entered the engine");
    }

    pub(super) fn order(&self, order: Order) {
        self.go_on.send(order).expect("the engine should be there");
    }

    pub(super) fn nobody_entered(&self) {
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
pub(super) struct Remote {
    jobs: Sender<(Job, Done)>,
}

impl Remote {
    pub(super) fn new() -> (Arc<Self>, Receiver<(Job, Done)>) {
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

pub(super) fn wait_until(moment: Instant) {
    while Instant::now() < moment {
        std::thread::sleep(moment.saturating_duration_since(Instant::now()).min(Duration::from_millis(1)));
    }
}

/// Returns when `fact` holds. For facts that no channel tells of.
pub(super) fn until(what: &str, fact: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::yield_now();
    }
}

/// A small real PNG.
pub(super) struct Picture {
    pub(super) bytes: Bytes,
    pub(super) header: Header,
}

impl Picture {
    pub(super) fn new() -> Self {
        Self::of(Size::new(31, 17))
    }

    pub(super) fn of(size: Size) -> Self {
        let image = picture(Content::Opaque, size, PixelFormat::RGB, &mut SplitMix64::new("overload"));
        let bytes = Bytes::from(codec::encode(&image, &EncodeSpec::Png).unwrap());
        let allow = Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: limits::SOURCE_PIXELS_MAX };
        let header = codec::probe(&mut std::io::Cursor::new(&bytes), &allow).unwrap();
        Self { bytes, header }
    }

    /// `n` plans that differ: the first keeps the picture, the others sharpen it that many times.
    pub(super) fn plans(&self, n: usize) -> Vec<Arc<Plan>> {
        let plan = |i| {
            Arc::new(Plan {
                source: self.header.size,
                decode: DecodeAs::Native,
                size: self.header.size,
                passes: vec![Pass::Sharpen; i],
                encode: EncodeLadder::only(EncodeSpec::Png),
                output: Output::default(),
            })
        };
        (0..n).map(plan).collect()
    }

    pub(super) fn work(&self, n: usize, deadline: Instant) -> Work {
        let bytes = self.bytes.clone();
        Work {
            mask: None,
            source_bytes: bytes.len() as u64,
            read: Box::new(move || Ok(bytes)),
            header: self.header,
            plans: self.plans(n),
            deadline: deadline.into(),
            cancel: Cancel::default(),
        }
    }

    /// What `n` renditions of it must be, by the oracle alone.
    pub(super) fn want(&self, n: usize) -> Vec<Vec<u8>> {
        let source = Arc::new(codec::decode(&self.bytes, &self.header, DecodeAs::Native).unwrap());
        let job = Job { source, plans: self.plans(n), cancel: Cancel::default() };
        let encode = |image: Result<_>| codec::encode(&image.unwrap(), &EncodeSpec::Png).unwrap();
        run(&Scalar, job).images.into_iter().map(encode).collect()
    }

    pub(super) fn job_bytes(&self, threads: usize) -> u64 {
        job_bytes_max(self.bytes.len() as u64, &self.header, &self.plans(1), threads)
    }
}

/// Lanes, and what the test needs to watch them.
pub(super) struct Rig {
    pub(super) sched: Sched,
    telemetry: Arc<Telemetry>,
    pub(super) picture: Picture,
    pub(super) idle: Receiver<()>,
}

impl Rig {
    pub(super) fn new(options: Options, cpu: Arc<dyn Engine>, gpu: Option<Arc<dyn Engine>>) -> Self {
        let telemetry = Arc::new(Telemetry::new());
        let (idle, is_idle) = channel();
        let gpu = gpu.map(|engine| Gpu { engine, costs: None });
        let sched = Sched::try_new(options, Engines { cpu, gpu }, Arc::clone(&telemetry), move || {
            idle.send(()).unwrap_or(());
        });
        Self { sched: sched.unwrap(), telemetry, picture: Picture::new(), idle: is_idle }
    }

    /// Submits and hands out where the outcome will come.
    pub(super) fn submit(&self, work: Work) -> Result<Receiver<Outcome>> {
        let (send, outcome) = channel();
        self.sched.try_submit(work, Box::new(move |result| drop(send.send(result))))?;
        Ok(outcome)
    }

    /// One rendition, with all the time in the world.
    pub(super) fn one(&self) -> Receiver<Outcome> {
        self.submit(self.picture.work(1, soon())).unwrap()
    }

    pub(super) fn metric(&self, name: &str) -> f64 {
        metric(&self.telemetry.text(self.sched.load()), name)
    }

    /// All is as before the first job.
    pub(super) fn is_at_rest(&self) {
        until("no job in hand", || self.sched.in_hand() == 0);
        assert_eq!(self.sched.load().memory_bytes, 0, "memory that nobody gave back");
        until("no job running", || self.sched.load().running == 0);
    }
}

pub(super) const ONE_LANE: Options = Options { threads: 1, queue_jobs_max: 4, memory_bytes_max: 1 << 30 };

pub(super) fn soon() -> Instant {
    Instant::now() + PATIENCE
}

pub(super) fn outcome(from: &Receiver<Outcome>) -> Outcome {
    from.recv_timeout(PATIENCE).expect("every job is answered")
}

/// The outcome is these renditions, byte for byte.
pub(super) fn check_renditions(from: &Receiver<Outcome>, want: &[Vec<u8>]) {
    let results = outcome(from).unwrap();
    let got: Vec<Vec<u8>> = results.into_iter().map(|result| result.unwrap().bytes.to_vec()).collect();
    assert!(got == want, "{} renditions that are not the oracle's", got.len());
}

/// The value of an unlabelled metric.
pub(super) fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.split_once(' ').is_some_and(|(key, _)| key == name));
    let (_, value) = line.unwrap_or_else(|| panic!("no {name} in:\n{text}")).split_once(' ').unwrap();
    value.parse().unwrap()
}

/// The error of an outcome with one rendition.
pub(super) fn only(mut results: Vec<Result<Rendered>>) -> Outcome {
    match results.pop().expect("one rendition") {
        Err(error) => Err(error),
        Ok(rendered) => Ok(vec![Ok(rendered)]),
    }
}
