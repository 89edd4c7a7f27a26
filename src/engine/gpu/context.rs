//! One device with everything on it: pipelines, tables, the pool and the batches in flight.
//!
//! Invariant: a context is used until its first fault and then dropped whole; nothing of it survives into the next one.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::adapter::{self, Opened};
use super::clock::{Clock, STAMPS_BYTES};
use super::fault::{Fault, FaultCell};
use super::pipelines::Pipelines;
use super::pool::{Mapping, Pool, Sizes};
use super::shape::Shape;
use super::steps::{Limits, Recording, Role, Step};
use super::tables::{Full, Tables};
use super::worker::{Queued, message};
use super::{AdapterInfo, Choice, Options, StageTimes, Totals};
use crate::engine::Completion;
use crate::error::{Error, Result};
use crate::pixel::{Image, Plane, RowSource};

/// A job with its dispatches, before it joins a batch and while it is in flight.
pub(super) struct Prepared {
    queued: Queued,
    source: Shape,
    plans: Vec<PlanRun>,
    need: Sizes,
}

/// One plan of a job.
struct PlanRun {
    recording: Result<Recording>,
    /// First quad of the finished picture in the batch's `out`.
    out_first: u32,
}

impl Prepared {
    /// What it adds to a batch.
    pub(super) fn need(&self) -> Sizes {
        self.need
    }

    /// Whether there is anything to dispatch at all.
    pub(super) fn has_steps(&self) -> bool {
        self.need.uniforms > 0
    }

    /// The job as it was, for a later batch.
    pub(super) fn into_queued(self) -> Queued {
        self.queued
    }

    /// Answers every plan with `fault`.
    pub(super) fn refuse(self, fault: &Fault, doing: &'static str) {
        self.queued.reply.refuse(|| fault.clone().during(doing));
    }

    /// Answers with the pictures in `out`, the batch's readback, and with the source itself where a plan changes nothing.
    pub(super) fn answer(self, out: Option<&[u8]>, pass_time: Duration) {
        let source = &*self.queued.job.source;
        let images = self
            .plans
            .into_iter()
            .map(|plan| {
                let recording = plan.recording?;
                let picture = || match out {
                    Some(out) if !recording.steps.is_empty() => {
                        recording.out.image(&out[4 * plan.out_first as usize..])
                    }
                    Some(_) | None => whole(source),
                };
                // A source that panics sinks its own plans and no others.
                catch_unwind(AssertUnwindSafe(picture)).map_err(|panic| Error::Panic { message: message(&*panic) })
            })
            .collect();
        self.queued.reply.send(Completion { images, pass_time });
    }

    fn steps(&self) -> impl Iterator<Item = (&Step, u32)> {
        let recordings = self.plans.iter().filter_map(|plan| Some((plan.recording.as_ref().ok()?, plan.out_first)));
        recordings.flat_map(|(recording, out_first)| recording.steps.iter().map(move |step| (step, out_first)))
    }
}

/// All rows of a source as an image.
fn whole(source: &dyn RowSource) -> Image {
    let (size, format) = (source.size(), source.format());
    let plane = |i| {
        let size = format.plane_size(i, size);
        Plane::from_vec(size, source.rows(i, 0, size.h).to_vec())
    };
    Image::from_planes(size, format, (0..format.planes()).map(plane).collect())
}

/// A batch on the GPU.
struct Flight {
    slot: usize,
    submission: wgpu::SubmissionIndex,
    jobs: Vec<Prepared>,
    source_bytes: u64,
    out_bytes: u64,
    started: Instant,
    submitted: Instant,
}

/// See the module.
pub(super) struct Context {
    info: AdapterInfo,
    device: wgpu::Device,
    queue: wgpu::Queue,
    limits: Limits,
    uniform_stride: u32,
    faults: FaultCell,
    pipelines: Pipelines,
    tables: Tables,
    pool: Pool,
    clock: Option<Clock>,
    next_slot: usize,
    flights: VecDeque<Flight>,
    /// 0xFF bytes that are copied over whatever a step is about to write: in tests, so that a sample never written does
    /// not look like black.
    poison: Option<wgpu::Buffer>,
}

const POISON_BYTES: u64 = 1 << 20;

impl Context {
    /// Opens a device and builds every pipeline.
    ///
    /// # Errors
    /// `Error::Device` if there is no adapter as asked for, or it refuses the device or a shader.
    pub(super) fn open(choice: Choice, options: &Options) -> Result<Self> {
        let Opened { info, device, queue, limits, uniform_stride } = adapter::open(choice)?;
        let faults = FaultCell::default();
        let lost = faults.clone();
        device.set_device_lost_callback(move |reason, words| {
            lost.report(Fault::Lost(format!("{reason:?}: {words}")));
        });
        let uncaptured = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error| uncaptured.report(Fault::new(error))));

        let pipelines = Pipelines::new(&device);
        let tables = Tables::new(&device, &queue);
        let clock = Clock::new(&device, &queue);
        let poison = options.poison.then(|| poison(&device));
        faults.check().map_err(|fault| fault.during("building the pipelines"))?;
        Ok(Self {
            info,
            device,
            queue,
            limits,
            uniform_stride,
            faults,
            pipelines,
            tables,
            pool: Pool::new(options.pool_bytes_max, limits.buffer_bytes_max, clock.as_ref().map(|_| STAMPS_BYTES)),
            clock,
            next_slot: 0,
            flights: VecDeque::new(),
            poison,
        })
    }

    /// The adapter it runs on.
    pub(super) fn info(&self) -> &AdapterInfo {
        &self.info
    }

    /// Its device.
    pub(super) fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// Whether nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.flights.is_empty()
    }

    /// Whether another batch can be in flight. Without any buffers yet the first job makes them.
    pub(super) fn has_room(&self) -> bool {
        self.flights.len() < self.pool.slots().max(1)
    }

    /// Whether the buffers there are hold a batch that needs `need`.
    pub(super) fn holds(&self, need: Sizes) -> bool {
        self.pool.sizes().hold(need)
    }

    /// # Errors
    /// The first fault that wgpu reported.
    pub(super) fn check(&self) -> Result<(), Fault> {
        self.faults.check()
    }

    /// Gives every buffer back that belongs to no table. Nothing may be in flight.
    pub(super) fn give_back(&mut self) {
        self.pool.clear();
    }

    /// The dispatches of a job; plans that cannot be are errors from here on.
    pub(super) fn prepare(&self, queued: Queued) -> Prepared {
        let (size, format) = (queued.job.source.size(), queued.job.source.format());
        let plan =
            |plan: &Arc<_>| PlanRun { recording: Recording::try_new(plan, size, format, &self.limits), out_first: 0 };
        let plans: Vec<PlanRun> = queued.job.plans.iter().map(plan).collect();
        let source = Shape::of(size, format);
        let mut need = Sizes::default();
        for recording in plans.iter().filter_map(|plan| plan.recording.as_ref().ok()).filter(|r| !r.steps.is_empty()) {
            let uniforms = recording.steps.len() as u64 * u64::from(self.uniform_stride);
            let (bytes, wide) = (recording.bytes_max, recording.wide_max);
            need = need.with(Sizes { uniforms, source: 0, out: 4 * recording.out.quads(), bytes, wide });
        }
        if need.uniforms > 0 {
            need.source = 4 * source.quads();
        }
        Prepared { queued, source, plans, need }
    }

    /// Uploads the tables that a job reads and the GPU does not have yet; whether there was room for all of them.
    pub(super) fn place_tables(&mut self, job: &mut Prepared) -> bool {
        self.try_place_tables(job).is_ok()
    }

    fn try_place_tables(&mut self, job: &mut Prepared) -> Result<(), Full> {
        for step in job.plans.iter_mut().filter_map(|plan| plan.recording.as_mut().ok()).flat_map(|r| &mut r.steps) {
            if let Some(table) = step.table.clone() {
                step.table_first = Some(self.tables.first_word(table, &self.queue)?);
            }
        }
        Ok(())
    }

    /// Makes the buffers hold a job, and room for its tables. Nothing may be in flight or recorded.
    ///
    /// # Errors
    /// If the job is more than the pool or the device can hold.
    pub(super) fn make_room(&mut self, job: &mut Prepared) -> Result<(), Fault> {
        for bytes in [job.need.source, job.need.out] {
            if bytes > self.limits.buffer_bytes_max {
                let (name, max) = (self.limits.buffer_limit, self.limits.buffer_bytes_max);
                return Err(Fault::Limit { name, need: bytes, max });
            }
        }
        if !self.holds(job.need) {
            self.next_slot = 0;
            self.pool.grow(&self.device, job.need)?;
        }
        if !self.place_tables(job) {
            self.tables.clear();
            self.try_place_tables(job).map_err(|full| Fault::Limit {
                name: "GPU_TABLES_BYTES_MAX",
                need: 4 * full.words as u64,
                max: 4 * Tables::WORDS_MAX as u64,
            })?;
        }
        Ok(())
    }

    /// Stages, records and submits a batch that needs `need`.
    ///
    /// # Errors
    /// If wgpu reports a fault; every job is answered with it.
    pub(super) fn submit(&mut self, mut batch: Vec<Prepared>, need: Sizes) -> Result<(), Fault> {
        let started = Instant::now();
        match self.try_submit(&mut batch, need) {
            Ok((slot, submission)) => {
                let submitted = Instant::now();
                self.flights.push_back(Flight {
                    slot,
                    submission,
                    jobs: batch,
                    source_bytes: need.source,
                    out_bytes: need.out,
                    started,
                    submitted,
                });
                Ok(())
            }
            Err(fault) => {
                batch.into_iter().for_each(|job| job.refuse(&fault, "submitting a batch"));
                Err(fault)
            }
        }
    }

    fn try_submit(&mut self, batch: &mut [Prepared], need: Sizes) -> Result<(usize, wgpu::SubmissionIndex), Fault> {
        let slot = self.next_slot;
        self.next_slot = (slot + 1) % self.pool.slots();
        self.stage(slot, batch, need)?;

        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("batch") });
        let uniform_room = self.pool.sizes().uniforms;
        let stamp = |encoder: &mut _, clock: &Option<Clock>, n| {
            if let Some(clock) = clock {
                clock.stamp(encoder, slot, n);
            }
        };
        stamp(&mut encoder, &self.clock, 0);
        let buffers = self.pool.slot(slot);
        encoder.copy_buffer_to_buffer(&buffers.staging, 0, &buffers.uniforms, 0, need.uniforms);
        encoder.copy_buffer_to_buffer(&buffers.staging, uniform_room, &buffers.source, 0, need.source);
        stamp(&mut encoder, &self.clock, 1);
        self.record(&mut encoder, slot, batch);
        stamp(&mut encoder, &self.clock, 2);
        let buffers = self.pool.slot(slot);
        encoder.copy_buffer_to_buffer(&buffers.out, 0, &buffers.readback, 0, need.out);
        stamp(&mut encoder, &self.clock, 3);
        if let (Some(clock), Some(stamps)) = (&self.clock, &buffers.stamps) {
            clock.resolve(&mut encoder, slot, stamps);
        }
        let submission = self.queue.submit([encoder.finish()]);
        buffers.map(need.out);
        self.check()?;
        Ok((slot, submission))
    }

    /// Writes uniform blocks and sources into the slot's staging buffer and unmaps it. Everything gets its place here.
    fn stage(&self, slot: usize, batch: &mut [Prepared], need: Sizes) -> Result<(), Fault> {
        let staging = &self.pool.slot(slot).staging;
        let uniform_room = self.pool.sizes().uniforms;
        let range = staging.slice(..uniform_room + need.source);
        let mut view = range.get_mapped_range_mut().map_err(|e| Fault::Invalid(e.to_string()))?;
        let (mut source_first, mut out_first, mut block) = (0_u64, 0_u64, 0_usize);
        for job in batch {
            for plan in &mut job.plans {
                if let Ok(recording) = &plan.recording
                    && !recording.steps.is_empty()
                {
                    plan.out_first = quad(out_first);
                    out_first += recording.out.quads();
                }
            }
            let first_byte = index(uniform_room + 4 * source_first);
            let copied = catch_unwind(AssertUnwindSafe(|| {
                copy_source(&*job.queued.job.source, &job.source, &mut view.slice(first_byte..));
            }));
            if let Err(panic) = copied {
                let message = message(&*panic);
                for plan in &mut job.plans {
                    plan.recording = Err(Error::Panic { message: message.clone() });
                }
            }
            for (step, out_first) in job.steps() {
                let first = |role| match role {
                    Role::Source => quad(source_first),
                    Role::Out => out_first,
                    Role::Bytes(_) | Role::Wide(_) | Role::Measured => 0,
                };
                let uniform = step.uniform.at(first(step.src), first(step.dst), step.table_first);
                let bytes = uniform.bytes();
                view.slice(block..block + bytes.len()).copy_from_slice(bytes);
                block += self.uniform_stride as usize;
            }
            source_first += job.source.quads();
        }
        drop(view);
        staging.unmap();
        Ok(())
    }

    fn record(&mut self, encoder: &mut wgpu::CommandEncoder, slot: usize, batch: &[Prepared]) {
        let descriptor = wgpu::ComputePassDescriptor { label: Some("batch"), timestamp_writes: None };
        let mut pass = encoder.begin_compute_pass(&descriptor).forget_lifetime();
        let mut block = 0;
        for (step, out_first) in batch.iter().flat_map(Prepared::steps) {
            if let Some(poison) = &self.poison {
                drop(pass);
                let first = if step.dst == Role::Out { 4 * u64::from(out_first) } else { 0 };
                let dst = self.pool.buffer(slot, step.dst);
                for at in (0..step.dst_bytes).step_by(index(POISON_BYTES)) {
                    let bytes = POISON_BYTES.min(step.dst_bytes - at);
                    encoder.copy_buffer_to_buffer(poison, 0, dst, first + at, bytes);
                }
                pass = encoder.begin_compute_pass(&descriptor).forget_lifetime();
            }
            let group = self.pool.group(&self.device, &self.pipelines, &self.tables, slot, step);
            pass.set_pipeline(self.pipelines.pipeline(step.shader));
            pass.set_bind_group(0, group, &[block]);
            let [x, y, z] = step.groups;
            pass.dispatch_workgroups(x, y, z);
            block += self.uniform_stride;
        }
    }

    /// Waits for the oldest batch, at most `timeout`.
    ///
    /// # Errors
    /// If wgpu reports a fault.
    pub(super) fn poll(&self, timeout: Duration) -> Result<(), Fault> {
        let Some(oldest) = self.flights.front() else { return Ok(()) };
        let submission_index = Some(oldest.submission.clone());
        match self.device.poll(wgpu::PollType::Wait { submission_index, timeout: Some(timeout) }) {
            Ok(_) | Err(wgpu::PollError::Timeout) => self.check(),
            Err(error) => {
                self.check()?;
                Err(Fault::Lost(error.to_string()))
            }
        }
    }

    /// Reads the oldest batch back and answers its jobs, if it is done.
    ///
    /// # Errors
    /// If wgpu reports a fault; the batch stays in flight.
    pub(super) fn finish_oldest(&mut self) -> Result<Option<Totals>, Fault> {
        let Some(oldest) = self.flights.front() else { return Ok(None) };
        match self.pool.slot(oldest.slot).maps().state() {
            Mapping::Waiting => return Ok(None),
            Mapping::Done => {}
            Mapping::Failed => {
                self.check()?;
                return Err(Fault::Lost(String::from("its buffers could not be mapped")));
            }
        }
        let done = Instant::now();
        let readback = &self.pool.slot(oldest.slot).readback;
        let view = readback.slice(..oldest.out_bytes).get_mapped_range();
        let view = view.map_err(|e| Fault::Invalid(e.to_string()))?;
        let stamps = self.pool.slot(oldest.slot).stamps.as_ref().map(|buffer| buffer.slice(..).get_mapped_range());
        let stamps = stamps.transpose().map_err(|e| Fault::Invalid(e.to_string()))?;
        let mut batch = Totals {
            batches: 1,
            jobs: oldest.jobs.len() as u64,
            source_bytes: oldest.source_bytes,
            out_bytes: oldest.out_bytes,
            times: StageTimes {
                upload: oldest.submitted - oldest.started,
                dispatch: done - oldest.submitted,
                readback: Duration::ZERO,
                device: self.clock.as_ref().zip(stamps.as_ref()).map(|(clock, stamps)| clock.times(stamps)),
            },
        };
        drop(stamps);
        let Some(oldest) = self.flights.pop_front() else { return Ok(None) };
        for job in oldest.jobs {
            job.answer(Some(&view), oldest.started.elapsed());
        }
        batch.times.readback = done.elapsed();
        drop(view);
        self.pool.slot(oldest.slot).unmap();
        Ok(Some(batch))
    }

    /// Finishes everything in flight, each batch counted by `count`.
    ///
    /// # Errors
    /// If wgpu reports a fault.
    pub(super) fn drain(&mut self, mut count: impl FnMut(&Totals)) -> Result<(), Fault> {
        while !self.is_idle() {
            self.poll(Duration::from_millis(10))?;
            self.finish_oldest()?.iter().for_each(&mut count);
        }
        Ok(())
    }

    /// Answers everything in flight with `fault`.
    pub(super) fn fail(self, fault: &Fault) {
        for job in self.flights.into_iter().flat_map(|flight| flight.jobs) {
            job.refuse(fault, "running a batch");
        }
    }
}

/// Copies a source into mapped memory, rows padded to whole quads; the padding keeps what was there.
fn copy_source(source: &dyn RowSource, shape: &Shape, dst: &mut wgpu::WriteOnly<'_, [u8]>) {
    for i in 0..shape.format.planes() {
        let size = shape.plane(i);
        let (first, stride) = shape.rows(i);
        let data = source.rows(i, 0, size.h);
        let width = size.w as usize;
        assert_eq!(data.len(), size.samples(), "rows of plane {i}");
        if stride == width {
            dst.slice(first..first + data.len()).copy_from_slice(data);
        } else {
            for (row, at) in data.chunks_exact(width).zip((first..).step_by(stride)) {
                dst.slice(at..at + width).copy_from_slice(row);
            }
        }
    }
}

fn poison(device: &wgpu::Device) -> wgpu::Buffer {
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("poison"),
        size: POISON_BYTES,
        usage: wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: true,
    });
    if let Ok(mut view) = buffer.slice(..).get_mapped_range_mut() {
        view.slice(..).fill(0xFF);
    }
    buffer.unmap();
    buffer
}

/// A quad's index: `Limits::check` bounds every buffer by what a u32 can index.
fn quad(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A byte's index in mapped memory.
fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
