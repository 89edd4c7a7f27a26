//! Who works when: bounded lanes, deadlines, cancellation, the memory budget, and the encode ladder.
//!
//! A job is admitted or refused at once. Its life on the lanes: memory, decode, then for each rendition passes and
//! encode, where renditions that differ in format alone share their passes. CPU lanes do all of it; where a GPU takes the
//! passes, what comes back is encoded on a CPU lane. Invariants: waiting and running jobs together never exceed
//! `queue_jobs_max`; every job admitted is answered exactly once, whatever panics; nothing is begun for a job that nobody
//! waits for or that is past its deadline; what is begun is finished before something new is begun; a job that no client
//! waits for has no place in the queue and takes no lane that a client needs.

mod budget;
mod deadline;
mod encode;
mod fit;
mod job;
mod ladder;
mod lane;
mod mask;
mod needs;
mod pace;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use crossbeam::channel::{Receiver, Sender, bounded, unbounded};

use self::budget::Budget;
pub use self::deadline::Deadline;
use self::job::{Queued, Step};
pub use self::ladder::climb;
use self::lane::Lane;
pub use self::mask::MaskWork;
pub use self::needs::job_bytes_max;
use self::pace::Pace;
use crate::engine::placement::{CostTable, Placement, Side};
use crate::engine::{Cancel, Engine};
use crate::error::{Error, Result};
use crate::plan::{Header, Plan, Verdict};
use crate::telemetry::{Load, Telemetry, Timings};

/// How much a scheduler may do at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Lane threads, at least 1.
    pub threads: usize,
    /// Jobs waiting or running at most.
    pub queue_jobs_max: usize,
    /// Bytes of all jobs that are begun.
    pub memory_bytes_max: u64,
}

/// Who runs the passes.
pub struct Engines {
    /// Runs on the lanes, and replays what the GPU failed.
    pub cpu: Arc<dyn Engine>,
    /// Takes the jobs that it is better at.
    pub gpu: Option<Gpu>,
}

/// An engine of its own beside the lanes.
pub struct Gpu {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// What it and the CPU engine cost: each job goes where it ends first. `None`: it takes every job.
    pub costs: Option<CostTable>,
}

/// One source and the renditions that are wanted of it.
pub struct Work {
    /// Reads the source's bytes; called on a lane, once.
    pub read: Box<dyn FnOnce() -> Result<Bytes> + Send>,
    /// How many bytes those are.
    pub source_bytes: u64,
    /// What the source's header says.
    pub header: Header,
    /// Another picture as its alpha; plans are made for [`Header::masked`] then.
    pub mask: Option<MaskWork>,
    /// What to make of it; one result each, in order.
    pub plans: Vec<Arc<Plan>>,
    /// Nothing is begun after it.
    pub deadline: Deadline,
    /// Set when nobody waits any more.
    pub cancel: Cancel,
}

/// One rendition as it comes off the lanes.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The encoded picture.
    pub bytes: Bytes,
    /// What was tried, and which is served.
    pub verdict: Verdict,
    /// Where the time went.
    pub timings: Timings,
    /// Name of the engine that ran the passes.
    pub engine: &'static str,
    /// Where they were sent, if there was a choice.
    pub placement: Option<Placement>,
}

/// One result a plan, in order; or what concerns them all.
pub type Outcome = Result<Vec<Result<Rendered>>>;

/// Called once, on whatever thread finished the job.
pub type Done = Box<dyn FnOnce(Outcome) + Send>;

/// The lanes. Dropped, it takes nothing new; its threads end with the last job in hand.
pub struct Sched {
    shared: Arc<Shared>,
    jobs: Sender<Box<Queued>>,
}

/// What lanes, slots and engines' completions have in common.
struct Shared {
    options: Options,
    cpu: Arc<dyn Engine>,
    /// Joins when it is warm.
    gpu: OnceLock<Gpu>,
    /// Estimated time of all that the GPU has taken and not answered, ns.
    gpu_busy_ns: AtomicU64,
    /// Estimated time of all `steps` in line, ns; counted where there is a GPU that may take the next job instead.
    steps_ns: AtomicU64,
    telemetry: Arc<Telemetry>,
    budget: Arc<Budget>,
    /// Renditions that are begun and go on: bounded by the jobs in hand, each of which has a bounded number of them.
    steps: (Sender<Step>, Receiver<Step>),
    /// Clients' jobs, waiting or running …
    in_hand: AtomicUsize,
    /// … and running.
    running: AtomicUsize,
    /// Lanes that work on something, and helpers of lanes.
    at_work: AtomicUsize,
    /// Jobs that were begun so far.
    begun: AtomicU64,
    /// Somebody has the spare slot.
    is_spare_taken: AtomicBool,
    pace: Pace,
    is_draining: AtomicBool,
    lanes: Vec<Lane>,
    /// Called when the last job in hand is done.
    idle: Box<dyn Fn() + Send + Sync>,
}

/// The right to one job. Dropped, the next may come.
pub struct Slot {
    shared: Arc<Shared>,
    /// It is the one for a job that no client waits for.
    is_spare: bool,
}

/// One of those at work. Dropped, it counts no more.
struct AtWork<'a>(&'a Shared);

impl Shared {
    /// Clients' jobs that wait for a lane.
    fn waiting(&self) -> usize {
        self.in_hand.load(Ordering::SeqCst).saturating_sub(self.running.load(Ordering::Relaxed))
    }

    /// Whether a lane is left when each client's job has its own.
    fn has_spare_lane(&self) -> bool {
        !self.is_draining.load(Ordering::SeqCst) && self.in_hand.load(Ordering::SeqCst) < self.lanes.len()
    }

    /// The place of a lane that has nothing to do, if there is one and nobody waits for it.
    fn idle_lane(&self) -> Option<AtWork<'_>> {
        if self.waiting() > 0 || !self.steps.1.is_empty() {
            return None;
        }
        let more = |at_work| (at_work < self.lanes.len()).then_some(at_work + 1);
        self.at_work.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| AtWork(self))
    }

    /// Counts a lane that works, whoever else does.
    fn at_work(&self) -> AtWork<'_> {
        self.at_work.fetch_add(1, Ordering::Relaxed);
        AtWork(self)
    }

    /// Estimated time of what one side has still to do.
    fn busy_ns(&self, side: Side) -> &AtomicU64 {
        match side {
            Side::Gpu => &self.gpu_busy_ns,
            Side::Cpu => &self.steps_ns,
        }
    }

    fn busy(&self) -> Error {
        Error::Busy { lane: "cpu", depth: self.options.queue_jobs_max }
    }
}

impl Sched {
    /// Starts the lanes. `idle` is called whenever no job is waiting or running any more.
    ///
    /// # Errors
    /// `Io`: the system refuses a thread.
    pub fn try_new(
        options: Options,
        engines: Engines,
        telemetry: Arc<Telemetry>,
        idle: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        let Engines { cpu, gpu } = engines;
        let shared = Arc::new(Shared {
            cpu,
            gpu: gpu.map_or_else(OnceLock::new, OnceLock::from),
            gpu_busy_ns: AtomicU64::new(0),
            steps_ns: AtomicU64::new(0),
            budget: Budget::new(options.memory_bytes_max),
            steps: unbounded(),
            in_hand: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            at_work: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            is_spare_taken: AtomicBool::new(false),
            pace: Pace::new(),
            is_draining: AtomicBool::new(false),
            lanes: (0..options.threads.max(1)).map(|_| Lane::new()).collect(),
            idle: Box::new(idle),
            options,
            telemetry,
        });
        // One more for the spare slot.
        let (jobs, queue) = bounded(options.queue_jobs_max + 1);
        for i in 0..shared.lanes.len() {
            let (shared, queue) = (Arc::clone(&shared), queue.clone());
            thread::Builder::new()
                .name(format!("lane-{i}"))
                .spawn(move || lane::run(&shared, &queue, i))
                .map_err(|cause| Error::Io { doing: "start the thread", path: format!("lane-{i}").into(), cause })?;
        }
        Ok(Self { shared, jobs })
    }

    /// Takes a place for one job, or says at once that there is none.
    ///
    /// # Errors
    /// `Busy`, `Draining`.
    pub fn admit(&self) -> Result<Slot> {
        let depth = self.shared.options.queue_jobs_max;
        let more = |in_hand| (in_hand < depth).then_some(in_hand + 1);
        self.shared.in_hand.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).map_err(|_| self.shared.busy())?;
        let slot = Slot { shared: Arc::clone(&self.shared), is_spare: false };
        // After the count, so that a drain that saw none in hand can rely on it.
        if self.shared.is_draining.load(Ordering::SeqCst) { Err(Error::Draining) } else { Ok(slot) }
    }

    /// The place of a job that no client waits for, beside the queue: there is one, and none while clients need every
    /// lane. Such a job tries all candidates, stays away from the GPU, and ends with `Busy` before its next stage when a
    /// client needs its lane or its memory.
    pub fn spare(&self) -> Option<Slot> {
        let is_free = self.shared.has_spare_lane() && !self.shared.is_spare_taken.swap(true, Ordering::SeqCst);
        is_free.then(|| Slot { shared: Arc::clone(&self.shared), is_spare: true })
    }

    /// Puts a job in line.
    pub fn submit(&self, slot: Slot, work: Work, done: Done) {
        let queued = Box::new(Queued { slot, work, done, submitted: Instant::now() });
        // There are as many places in line as slots, and the lanes hold the other end for as long as we are here.
        if let Err(refused) = self.jobs.try_send(queued) {
            let Queued { slot, done, .. } = *refused.into_inner();
            drop(slot);
            done(Err(self.shared.busy()));
        }
    }

    /// [`Self::admit`] and [`Self::submit`] in one.
    ///
    /// # Errors
    /// `Busy`, `Draining`; then `done` is not called.
    pub fn try_submit(&self, work: Work, done: Done) -> Result<()> {
        let slot = self.admit()?;
        self.submit(slot, work, done);
        Ok(())
    }

    /// To be called after a job's [`Cancel`] was set: a job that waits for memory looks at it.
    pub fn wake(&self) {
        self.shared.budget.wake();
    }

    /// Able to take a job now?
    ///
    /// # Errors
    /// `Busy`, `Draining`.
    pub fn ready(&self) -> Result<()> {
        if self.shared.is_draining.load(Ordering::SeqCst) {
            return Err(Error::Draining);
        }
        let depth = self.shared.options.queue_jobs_max;
        if self.in_hand() < depth { Ok(()) } else { Err(self.shared.busy()) }
    }

    /// Refuses new jobs from now on.
    pub fn start_drain(&self) {
        self.shared.is_draining.store(true, Ordering::SeqCst);
        if self.in_hand() == 0 {
            (self.shared.idle)();
        }
    }

    /// Clients' jobs, waiting or running.
    pub fn in_hand(&self) -> usize {
        self.shared.in_hand.load(Ordering::SeqCst)
    }

    /// Whether a lane at least shows signs of life: it waits for work, or has not overrun its job's deadline by far.
    pub fn lanes_alive(&self) -> bool {
        self.shared.lanes.iter().any(Lane::is_alive)
    }

    /// What is so just now.
    pub fn load(&self) -> Load {
        Load {
            waiting: self.shared.waiting(),
            running: self.shared.running.load(Ordering::Relaxed),
            memory_bytes: self.shared.budget.granted(),
            lanes_stuck: self.shared.lanes.iter().filter(|lane| !lane.is_alive()).count(),
            ..Load::default()
        }
    }

    /// Gives the lanes a GPU beside them, from now on. There is one at most: a second is dropped.
    pub fn join_gpu(&self, gpu: Gpu) {
        drop(self.shared.gpu.set(gpu));
    }

    /// Who runs the passes on the lanes.
    pub fn cpu(&self) -> &Arc<dyn Engine> {
        &self.shared.cpu
    }

    /// The engine beside the lanes, if it is there.
    pub fn gpu(&self) -> Option<&Gpu> {
        self.shared.gpu.get()
    }

    /// Lane threads.
    pub fn threads(&self) -> usize {
        self.shared.lanes.len()
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.is_spare {
            self.shared.is_spare_taken.store(false, Ordering::SeqCst);
        } else if self.shared.in_hand.fetch_sub(1, Ordering::SeqCst) == 1 {
            (self.shared.idle)();
        }
    }
}

impl fmt::Debug for Sched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sched({:?}, {} in hand)", self.shared.options, self.in_hand())
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

impl fmt::Debug for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gpu = self.gpu.as_ref().map(|gpu| gpu.engine.name());
        write!(f, "Engines({}, {gpu:?})", self.cpu.name())
    }
}
