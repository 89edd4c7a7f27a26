//! Engines: who turns the planes of a source into the planes of a rendition.
//!
//! Four behind one trait: `scalar` (slow, safe: the oracle), `simd` (the CPU product path), `gpu` (WGSL through wgpu)
//! and `Noop` in tests. Invariants: engines know nothing of URLs, companies or browsers; `simd` and `gpu` agree with
//! `scalar` within 1 level per channel after the last pass, bit for bit in the integer passes.

pub mod gpu;
pub mod placement;
pub mod scalar;
pub mod simd;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::pixel::{Image, RowSource};
use crate::plan::Plan;

/// Set once when nobody waits for a job any more; looked at between stages.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Nobody waits any more.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether nobody waits any more.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// # Errors
    /// `Error::Cancelled` if nobody waits any more.
    pub fn check(&self, before: &'static str) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled { before }) } else { Ok(()) }
    }
}

/// One decoded source and one or more plans over it: one upload, N renditions.
#[derive(Clone)]
pub struct Job {
    /// The pixels.
    pub source: Arc<dyn RowSource>,
    /// What to make of them.
    pub plans: Vec<Arc<Plan>>,
    /// Set when nobody waits for the job any more.
    pub cancel: Cancel,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({} {:?} × {} plans)", self.source.size(), self.source.format(), self.plans.len())
    }
}

/// What an engine made of a job.
#[derive(Debug)]
pub struct Completion {
    /// One result a plan, in the job's order.
    pub images: Vec<Result<Image>>,
    /// Time in the passes alone, upload and readback included.
    pub pass_time: Duration,
}

/// Called once, on whatever thread finished the job.
pub type Done = Box<dyn FnOnce(Completion) + Send>;

/// Something that runs passes.
pub trait Engine: Send + Sync {
    /// Lower-case name, as in `--engine` and log lines.
    fn name(&self) -> &'static str;

    /// Runs `job` and calls `done` once: before returning (CPU engines) or later (the GPU). Never blocks on other jobs.
    ///
    /// A plan that fails does not sink its neighbours. An `Error::Device` means the job is safe to run elsewhere.
    fn submit(&self, job: Job, done: Done);
}

/// Runs `job` on `engine` and waits for it: for tests, benches, the command line and lanes.
pub fn run(engine: &dyn Engine, job: Job) -> Completion {
    let (send, receive) = std::sync::mpsc::sync_channel(1);
    let plans = job.plans.len();
    engine.submit(job, Box::new(move |completion| drop(send.send(completion))));
    receive.recv().unwrap_or_else(|_| Completion {
        images: (0..plans)
            .map(|_| Err(Error::Panic { message: String::from("an engine dropped its completion") }))
            .collect(),
        pass_time: Duration::ZERO,
    })
}
