//! The GPU engine: WGSL compute shaders through wgpu.
//!
//! One thread owns the device (`worker`); a plan becomes a list of dispatches over quads of samples (`steps`), several
//! jobs become one submission (`context`), all in buffers and bind groups that are made once (`pool`, `tables`).
//! Invariants: nothing is allocated on the GPU once every shape was seen; a job that fails here answers
//! `Error::Device` and is safe to run elsewhere; no type of wgpu leaves this folder.

mod adapter;
mod context;
mod fault;
mod outcomes;
pub mod pipelines;
mod pool;
mod shape;
mod steps;
mod tables;
mod uniforms;
mod worker;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use adapter::{AdapterInfo, AdapterKind, Choice, adapters, choose};
pub use fault::Fault;

use self::context::Context;
use self::worker::{Queued, Reply, Worker};
use super::{Done, Engine, Job};
use crate::error::{Error, Result};
use crate::limits;

/// How an engine is built; [`Options::default`] is what the product uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Jobs that wait for the engine's thread, at least 1.
    pub queue_jobs_max: usize,
    /// Bytes of all buffers but the tables.
    pub pool_bytes_max: u64,
    /// Wait before the first attempt to build a new device after one was lost …
    pub retry_first: Duration,
    /// … doubling up to this.
    pub retry_max: Duration,
    /// Fill what each pass is about to write with 0xFF (NaN, −1) first: for tests.
    pub poison: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_jobs_max: limits::GPU_QUEUE_JOBS_MAX,
            pool_bytes_max: limits::GPU_POOL_BYTES_MAX,
            retry_first: Duration::from_millis(limits::GPU_RETRY_FIRST_MS),
            retry_max: Duration::from_millis(limits::GPU_RETRY_MS_MAX),
            poison: false,
        }
    }
}

/// Where the time of one batch went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Copying sources to staging memory, recording and submitting.
    pub upload: Duration,
    /// From the submission until the pictures could be read: transfers and passes.
    pub dispatch: Duration,
    /// Copying the pictures out and answering.
    pub readback: Duration,
}

/// What is allocated on the GPU at this moment, by wgpu's own counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocations {
    /// Buffers.
    pub buffers: isize,
    /// Their bytes.
    pub buffer_bytes: isize,
    /// Bind groups.
    pub bind_groups: isize,
    /// Compute pipelines.
    pub pipelines: isize,
    /// Command encoders, those that wait to be used again included.
    pub command_encoders: isize,
    /// Blocks of device memory that buffers are cut from.
    pub memory_blocks: usize,
}

/// What the engine and its thread share.
struct Shared {
    info: AdapterInfo,
    device: Mutex<Option<wgpu::Device>>,
    stage_times: Mutex<StageTimes>,
    batches: AtomicU64,
}

impl Shared {
    fn device(&self) -> MutexGuard<'_, Option<wgpu::Device>> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_device(&self, device: Option<wgpu::Device>) {
        *self.device() = device;
    }
}

/// The GPU engine. Dropping it answers everything in hand first.
pub struct Gpu {
    shared: Arc<Shared>,
    queue_jobs_max: usize,
    queue: Option<SyncSender<Queued>>,
    thread: Option<JoinHandle<()>>,
}

impl Gpu {
    /// An engine on the best adapter that `choice` allows, its pipelines built.
    ///
    /// # Errors
    /// `Error::Device` if there is no such adapter, or it gives no device or refuses a shader.
    pub fn try_new(choice: Choice) -> Result<Self> {
        Self::try_with(choice, Options::default())
    }

    /// As [`Self::try_new`], with other options.
    ///
    /// # Errors
    /// As [`Self::try_new`].
    pub fn try_with(choice: Choice, options: Options) -> Result<Self> {
        let context = Context::open(choice, &options)?;
        let shared = Arc::new(Shared {
            info: context.info().clone(),
            device: Mutex::new(Some(context.device().clone())),
            stage_times: Mutex::default(),
            batches: AtomicU64::new(0),
        });
        let queue_jobs_max = options.queue_jobs_max.max(1);
        let (queue, jobs) = sync_channel(queue_jobs_max);
        let worker = Worker::new(choice, options, shared.clone(), jobs, context);
        let thread = std::thread::Builder::new()
            .name(String::from("gpu"))
            .spawn(|| worker.run())
            .map_err(|e| Fault::Thread(e.to_string()).during("starting the GPU engine"))?;
        Ok(Self { shared, queue_jobs_max, queue: Some(queue), thread: Some(thread) })
    }

    /// The adapter it was built on.
    pub fn adapter(&self) -> &AdapterInfo {
        &self.shared.info
    }

    /// Whether it has no device at present; jobs are refused until the timer has built a new one.
    pub fn is_lost(&self) -> bool {
        self.shared.device().is_none()
    }

    /// Times of the last batch that was finished.
    pub fn stage_times(&self) -> StageTimes {
        *self.shared.stage_times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Batches that were submitted: with the number of jobs, how well they share submissions.
    pub fn batches(&self) -> u64 {
        self.shared.batches.load(Ordering::Relaxed)
    }

    /// What is allocated on the GPU; all 0 while the device is lost.
    pub fn allocations(&self) -> Allocations {
        let Some(device) = &*self.shared.device() else { return Allocations::default() };
        let hal = device.get_internal_counters().hal;
        Allocations {
            buffers: hal.buffers.read(),
            buffer_bytes: hal.buffer_memory.read(),
            bind_groups: hal.bind_groups.read(),
            pipelines: hal.compute_pipelines.read(),
            command_encoders: hal.command_encoders.read(),
            memory_blocks: device.generate_allocator_report().map_or(0, |report| report.blocks.len()),
        }
    }

    /// Destroys the device under whatever is running, as a driver that crashes does: for tests and `doctor`.
    pub fn destroy_device(&self) {
        if let Some(device) = &*self.shared.device() {
            device.destroy();
        }
    }
}

impl Engine for Gpu {
    fn name(&self) -> &'static str {
        "gpu"
    }

    fn submit(&self, job: Job, done: Done) {
        let reply = Reply::new(done, job.plans.len());
        if self.is_lost() {
            return reply.refuse(worker::lost);
        }
        let queued = Queued { job, reply, since: Instant::now() };
        let refused = match &self.queue {
            Some(queue) => queue.try_send(queued),
            None => Err(TrySendError::Disconnected(queued)),
        };
        match refused {
            Ok(()) => {}
            Err(TrySendError::Full(queued)) => {
                queued.reply.refuse(|| Error::Busy { lane: "gpu", depth: self.queue_jobs_max });
            }
            Err(TrySendError::Disconnected(queued)) => {
                queued.reply.refuse(|| Fault::Thread(String::from("it has ended")).during("taking a job"));
            }
        }
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            // The last owner may be a completion, which runs on that very thread.
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the GPU engine's thread panicked");
        }
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gpu({})", self.shared.info)
    }
}
