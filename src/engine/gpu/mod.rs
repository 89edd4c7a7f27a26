//! The GPU engine: WGSL compute shaders through wgpu.
//!
//! One thread owns the device (`worker`); a plan becomes a list of dispatches over quads of samples (`steps`), several
//! jobs become one submission (`context`), all in buffers and bind groups that are made once (`pool`, `tables`).
//! Invariants: nothing is allocated on the GPU once every shape was seen; a job that fails here answers
//! `Error::Device` and is safe to run elsewhere; no type of wgpu leaves this folder.

mod adapter;
mod bandwidth;
mod clock;
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
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use adapter::{AdapterInfo, AdapterKind, Choice, adapters, choose};
pub use bandwidth::Bandwidth;
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

/// What the device did for a batch, by its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceTimes {
    /// From staging memory to its own.
    pub upload: Duration,
    /// All dispatches.
    pub passes: Duration,
    /// From its own memory to where the CPU reads.
    pub readback: Duration,
}

/// Where the time of batches went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Copying sources to staging memory, recording and submitting.
    pub upload: Duration,
    /// From the submission until the pictures could be read: transfers and passes.
    pub dispatch: Duration,
    /// Copying the pictures out and answering.
    pub readback: Duration,
    /// Of `dispatch`, what the device worked; `None` where the adapter has no timestamps.
    pub device: Option<DeviceTimes>,
}

/// All that was done since the engine was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Batches that were finished: with the number of jobs, how well they share submissions.
    pub batches: u64,
    /// Jobs in them.
    pub jobs: u64,
    /// Bytes of sources that were uploaded.
    pub source_bytes: u64,
    /// Bytes of finished pictures that were read back.
    pub out_bytes: u64,
    /// Sums over all batches.
    pub times: StageTimes,
}

impl Totals {
    /// What was done since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let device = |now: DeviceTimes| {
            let before = before.times.device.unwrap_or_default();
            DeviceTimes {
                upload: now.upload - before.upload,
                passes: now.passes - before.passes,
                readback: now.readback - before.readback,
            }
        };
        Self {
            batches: self.batches - before.batches,
            jobs: self.jobs - before.jobs,
            source_bytes: self.source_bytes - before.source_bytes,
            out_bytes: self.out_bytes - before.out_bytes,
            times: StageTimes {
                upload: self.times.upload - before.times.upload,
                dispatch: self.times.dispatch - before.times.dispatch,
                readback: self.times.readback - before.times.readback,
                device: self.times.device.map(device),
            },
        }
    }

    /// Counts what `other` did as well.
    pub fn add(&mut self, other: &Self) {
        self.batches += other.batches;
        self.jobs += other.jobs;
        self.source_bytes += other.source_bytes;
        self.out_bytes += other.out_bytes;
        let (sum, times) = (&mut self.times, &other.times);
        sum.upload += times.upload;
        sum.dispatch += times.dispatch;
        sum.readback += times.readback;
        if let Some(times) = times.device {
            let sum = sum.device.get_or_insert_default();
            sum.upload += times.upload;
            sum.passes += times.passes;
            sum.readback += times.readback;
        }
    }
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
    totals: Mutex<Totals>,
}

impl Shared {
    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

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
            totals: Mutex::default(),
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

    /// All that was done since it was built; a batch counts once all its jobs are answered.
    pub fn totals(&self) -> Totals {
        *self.shared.totals()
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
