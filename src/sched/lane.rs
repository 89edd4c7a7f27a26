//! What a lane thread does: it takes steps of jobs that are begun, then begins new ones.

use std::cmp::Reverse;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{iter, slice};

use crossbeam::channel::{Receiver, RecvTimeoutError, TryRecvError, select};

use super::budget::Permit;
use super::encode::encoded;
use super::job::{Answer, Gate, Passed, Pending, Queued, Step, alike, caught, caught_callback};
use super::mask;
use super::needs::{self, job_bytes_max};
use super::{Rendered, Shared, Work};
use crate::codec;
use crate::engine::placement::{self, JobShape, Placement, Queues, Side};
use crate::engine::{self, Completion, Engine, Job};
use crate::error::{Error, Result};
use crate::heap;
use crate::limits;
use crate::pixel::{Chroma, Image, Model, Plane, RowSource, YcbcrForm};
use crate::plan::{DecodeAs, EncodeLadder, EncodeSpec, Header, Output, Pass, Plan};
use crate::telemetry::Timings;

/// A lane's signs of life, read by the watchdog.
#[derive(Debug)]
pub(super) struct Lane {
    epoch: Instant,
    /// Until when nothing need be seen of it, ms after `epoch`.
    quiet_until_ms: AtomicU64,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now(), quiet_until_ms: AtomicU64::new(limits::LANE_STAMP_MS_MAX) }
    }

    /// Whether it was seen when it should have been, give or take `LANE_GRACE_MS_MAX`.
    pub(super) fn is_alive(&self) -> bool {
        let quiet_until = self.quiet_until_ms.load(Ordering::Relaxed);
        self.ms_at(Instant::now()) <= quiet_until + limits::LANE_GRACE_MS_MAX
    }

    /// It waits for work and will be seen again soon.
    fn waits(&self) {
        self.quiet_until(Instant::now() + Duration::from_millis(limits::LANE_STAMP_MS_MAX));
    }

    /// It works and will be seen again at `deadline` at the latest.
    fn quiet_until(&self, deadline: Instant) {
        self.quiet_until_ms.store(self.ms_at(deadline.max(Instant::now())), Ordering::Relaxed);
    }

    fn ms_at(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX / 2)
    }
}

/// The life of lane `i`: until nobody can send jobs any more and the last one in hand is done.
pub(super) fn run(shared: &Arc<Shared>, queue: &Receiver<Box<Queued>>, i: usize) {
    let (steps, lane) = (&shared.steps.1, &shared.lanes[i]);
    let stamp = Duration::from_millis(limits::LANE_STAMP_MS_MAX);
    let mut tidy = (i == 0).then(Tidy::new);
    loop {
        lane.waits();
        tidy.iter_mut().for_each(|tidy| tidy.look(shared));
        // What is begun comes first: it holds memory, and someone has waited longer for it.
        match steps.try_recv() {
            Ok(step) => {
                at_work(shared, || take(shared, lane, step));
                continue;
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
        select! {
            recv(steps) -> step => if let Ok(step) = step { at_work(shared, || take(shared, lane, step)) },
            recv(queue) -> job => match job {
                Ok(job) => at_work(shared, || begin(shared, lane, *job)),
                Err(_) => return finish(shared, lane),
            },
            default(stamp) => {}
        }
    }
}

/// Does what a lane does, and counts it among those at work meanwhile.
fn at_work(shared: &Shared, work: impl FnOnce()) {
    let _at_work = shared.at_work();
    caught_callback(work);
}

/// When free memory was given back last; one of the lanes minds it.
struct Tidy {
    /// Jobs begun until then; 0 where one was in hand and has left something since.
    begun: u64,
    next: Instant,
}

impl Tidy {
    const EVERY: Duration = Duration::from_millis(limits::HEAP_TRIM_MS);

    fn new() -> Self {
        Self { begun: 0, next: Instant::now() + Self::EVERY }
    }

    /// To be called once a stamp at least: gives free memory back, now and then while there are jobs and once after the last.
    fn look(&mut self, shared: &Shared) {
        let begun = shared.begun.load(Ordering::Relaxed);
        if begun == self.begun || Instant::now() < self.next {
            return;
        }
        let is_at_rest = shared.in_hand.load(Ordering::SeqCst) == 0;
        heap::trim();
        *self = Self { begun: if is_at_rest { begun } else { 0 }, next: Instant::now() + Self::EVERY };
    }
}

/// The end: steps alone, until the last job is answered.
fn finish(shared: &Arc<Shared>, lane: &Lane) {
    while shared.in_hand.load(Ordering::SeqCst) > 0 {
        lane.waits();
        match shared.steps.1.recv_timeout(Duration::from_millis(limits::LANE_STAMP_MS_MAX)) {
            Ok(step) => at_work(shared, || take(shared, lane, step)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }
}

/// Begins a job: memory, source, decode; then its renditions.
fn begin(shared: &Arc<Shared>, lane: &Lane, queued: Queued) {
    let Queued { slot, work, done, submitted } = queued;
    let Work { read, source_bytes, header, mask, plans, deadline, cancel } = work;
    let gate = Gate { deadline, cancel, gives_way: slot.is_spare };
    lane.quiet_until(gate.deadline.get());
    shared.begun.fetch_add(1, Ordering::Relaxed);
    let threads = shared.lanes.len();
    // What plans see, and what it takes to get there.
    let seen = mask.as_ref().map_or(header, |mask| {
        let decoder_bytes = header.decoder_bytes.saturating_add(mask.bytes_max());
        Header { decoder_bytes, ..header.masked() }
    });
    let plans = needs::within(shared.options.memory_bytes_max, source_bytes, &seen, plans, threads);
    let mut answer = Answer::new(Arc::clone(shared), slot, done);
    let begun = caught(|| {
        gate.check(shared, "decode")?;
        let permit = memory(shared, lane, &gate, job_bytes_max(source_bytes, &seen, &plans, threads))?;
        gate.check(shared, "decode")?;
        let start = Instant::now();
        let bytes = read()?;
        let native_is_rgb = matches!(header.native.model, Model::Rgb | Model::Grey);
        let mask = mask.map(|mask| mask.plane(&*shared.cpu, &gate.cancel)).transpose()?;
        let sources = Sources::decode(&bytes, &header, &plans, native_is_rgb)?.masked(mask);
        let wants_xmp = plans.iter().any(|plan| plan.output.embeds_xmp);
        let xmp = wants_xmp.then(|| codec::xmp(&mut Cursor::new(&bytes), header.format)).flatten();
        let timings = Timings { queue: start.duration_since(submitted), decode: start.elapsed(), ..Timings::default() };
        Ok((permit, sources, xmp.map(Arc::from), timings))
    });
    match begun {
        Err(error) => answer.send(Err(error)),
        Ok((permit, sources, xmp, timings)) => {
            answer.hold(permit);
            let pending = Pending::all(plans, &gate, timings, xmp, answer);
            dispatch(shared, lane, &sources, pending);
        }
    }
}

/// Waits in line for memory, taking steps of other jobs meanwhile: they may hold what is waited for.
fn memory(shared: &Arc<Shared>, lane: &Lane, gate: &Gate, bytes: u64) -> Result<Permit> {
    let request = shared.budget.request(bytes)?;
    if gate.gives_way {
        // In line it would hold up those behind it.
        return request.at_once().ok_or_else(|| shared.busy());
    }
    loop {
        // After getting in line: whoever cancels from now on wakes those who are in it.
        gate.check(shared, "decode")?;
        let patience = gate.deadline.get().saturating_duration_since(Instant::now());
        select! {
            recv(request.granted) -> _ => return Ok(request.claim()),
            recv(request.look) -> _ => {}
            recv(shared.steps.1) -> step => if let Ok(step) = step {
                take(shared, lane, step);
                lane.quiet_until(gate.deadline.get());
            },
            default(patience) => {}
        }
    }
}

/// The decoded source, in the forms that its plans ask for.
struct Sources {
    native: Option<Arc<Image>>,
    rgb: Option<Arc<Image>>,
}

impl Sources {
    /// Decodes once, or twice where plans want both Y Cb Cr and R G B of it.
    fn decode(bytes: &[u8], header: &Header, plans: &[Arc<Plan>], native_is_rgb: bool) -> Result<Self> {
        let mut sources = Self { native: None, rgb: None };
        for plan in plans {
            let (wanted, other) = match plan.decode {
                DecodeAs::Native => (&mut sources.native, &sources.rgb),
                DecodeAs::Rgb => (&mut sources.rgb, &sources.native),
            };
            if wanted.is_none() {
                *wanted = Some(match other {
                    Some(same) if native_is_rgb => Arc::clone(same),
                    _ => Arc::new(codec::decode(bytes, header, plan.decode)?),
                });
            }
        }
        Ok(sources)
    }

    /// With another alpha, if there is one.
    fn masked(self, alpha: Option<Plane<u8>>) -> Self {
        let Some(alpha) = alpha else { return self };
        let with = |image: Arc<Image>| Arc::new(mask::masked(Arc::unwrap_or_clone(image), alpha.clone()));
        Self { native: self.native.map(&with), rgb: self.rgb.map(&with) }
    }

    fn form(&self, decode: DecodeAs) -> Option<&Arc<Image>> {
        match decode {
            DecodeAs::Native => self.native.as_ref(),
            DecodeAs::Rgb => self.rgb.as_ref(),
        }
    }
}

/// Gives each rendition to the engine that is better at it. The costliest begin first, so that no lane is left with one of
/// them when the others have nothing to do any more; the answers keep their order.
fn dispatch(shared: &Arc<Shared>, lane: &Lane, sources: &Sources, mut pending: Vec<Pending>) {
    pending.sort_by_cached_key(|pending| Reverse(shared.pace.of_plan(&pending.plan)));
    for decode in [DecodeAs::Native, DecodeAs::Rgb] {
        let plans = pending.iter().filter(|pending| pending.plan.decode == decode);
        let plans: Vec<_> = plans.map(|pending| Arc::clone(&pending.plan)).collect();
        let (Some(source), Some(first)) = (sources.form(decode), pending.first()) else { continue };
        // What nobody waits for does not make those wait who share the GPU.
        if plans.is_empty() || first.gate.gives_way {
            continue;
        }
        let job = Job { source: Arc::clone(source) as Arc<dyn RowSource>, plans, cancel: first.gate.cancel.clone() };
        let (placement, taken) = placed(shared, &job);
        let group = pending.iter_mut().filter(|pending| pending.plan.decode == decode);
        group.for_each(|pending| pending.placement = placement);
        if let Some((gpu, busy)) = taken {
            let (group, others) = pending.into_iter().partition(|pending| pending.plan.decode == decode);
            pending = others;
            submit(shared, gpu, busy, job, source, group);
        }
    }
    let mut steps: Vec<Step> = Vec::with_capacity(pending.len());
    for pending in pending {
        let Some(source) = sources.form(pending.plan.decode) else { continue };
        match steps.iter_mut().find(|step| step.is_alike(&pending.plan)) {
            Some(step) => step.others.push(pending),
            None => steps.push(Step::new(pending, source)),
        }
    }
    let mut steps = steps.into_iter();
    // The first for ourselves, the others for whoever is free.
    let own = steps.next();
    steps.for_each(|step| send(shared, step));
    if let Some(step) = own {
        take(shared, lane, step);
    }
}

/// Time that one side is expected to work on something; counted until this is dropped.
pub(super) struct Busy {
    shared: Arc<Shared>,
    side: Side,
    ns: u64,
}

impl Busy {
    fn new(shared: &Arc<Shared>, side: Side, ns: u64) -> Self {
        shared.busy_ns(side).fetch_add(ns, Ordering::Relaxed);
        Self { shared: Arc::clone(shared), side, ns }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.shared.busy_ns(self.side).fetch_sub(self.ns, Ordering::Relaxed);
    }
}

/// Where the job ends first, if there is a choice; and the GPU, if there is one and it takes the job.
fn placed<'a>(shared: &'a Arc<Shared>, job: &Job) -> (Option<Placement>, Option<(&'a dyn Engine, Busy)>) {
    let Some(gpu) = shared.gpu.get() else { return (None, None) };
    let (mut placement, mut ns) = (None, 0);
    if let Some(costs) = &gpu.costs {
        let shape = JobShape::new(job.source.size(), job.source.format(), &job.plans);
        let lanes = shared.lanes.len();
        // The lane that asks is at work, but on nothing else.
        let idle = lanes.saturating_sub(shared.at_work.load(Ordering::Relaxed)) + 1;
        let queues = Queues {
            gpu_ns: shared.busy_ns(Side::Gpu).load(Ordering::Relaxed),
            cpu_ns: shared.busy_ns(Side::Cpu).load(Ordering::Relaxed) / lanes as u64,
            cpu_threads: idle as u64,
        };
        let found = placement::place(costs, &shape, queues);
        placement = Some(found);
        if found.side == Side::Cpu {
            return (placement, None);
        }
        ns = costs.gpu.estimate_ns(&shape);
    }
    (placement, Some((&*gpu.engine, Busy::new(shared, Side::Gpu, ns))))
}

/// Gives a job to the GPU; what comes back are steps for the lanes.
fn submit(shared: &Arc<Shared>, gpu: &dyn Engine, busy: Busy, job: Job, source: &Arc<Image>, group: Vec<Pending>) {
    let (source, back) = (Arc::clone(source), Arc::clone(shared));
    let done = move |completion: Completion| {
        let since = Instant::now();
        drop(busy);
        // An engine that answers too few drops the rest of `group`, and each then answers for itself.
        for (pending, image) in group.into_iter().zip(completion.images) {
            let passed = Some(Passed::Gpu(image, completion.pass_time));
            send(&back, Step { passed, since, ..Step::new(pending, &source) });
        }
    };
    // Should it panic, `done` is dropped and every rendition in it answers for itself.
    caught_callback(|| gpu.submit(job, Box::new(done)));
}

/// Puts a step in line, with what it is expected to take where that decides who gets the next job.
fn send(shared: &Arc<Shared>, mut step: Step) {
    if let Some(costs) = shared.gpu.get().and_then(|gpu| gpu.costs.as_ref()) {
        let Step { pending, others, source, passed, .. } = &step;
        let shape = JobShape::new(source.size(), source.format(), slice::from_ref(&pending.plan));
        let passes_ns = if passed.is_some() { 0 } else { costs.cpu.estimate_ns(&shape) };
        let encodings = iter::once(pending).chain(others).map(|pending| shared.pace.of_plan(&pending.plan));
        let encode_ns = u64::try_from(encodings.sum::<Duration>().as_nanos()).unwrap_or(u64::MAX / 2);
        step.waits = Some(Busy::new(shared, Side::Cpu, passes_ns.saturating_add(encode_ns)));
    }
    // It fails only if all receivers are gone, and `shared` holds one; the step would answer as it drops.
    drop(shared.steps.0.send(step));
}

/// Takes one rendition as far as it goes, and those that are alike as far as they go together: each goes on by itself then,
/// on whatever lane is free.
fn take(shared: &Arc<Shared>, lane: &Lane, step: Step) {
    let Step { mut pending, others, source, passed, since, waits } = step;
    drop(waits);
    lane.quiet_until(pending.gate.deadline.get());
    pending.timings.queue += since.elapsed();
    let together = if others.is_empty() { None } else { together(shared, &pending, &source) };
    for mut other in others {
        other.timings.queue = pending.timings.queue;
        let passed = together.clone().map(Passed::Alike);
        send(shared, Step { passed, ..Step::new(other, &source) });
    }
    let passed = passed.or(together.map(Passed::Alike));
    let result = caught(|| {
        let (image, engine) = match passed {
            // The GPU failed it; nobody need know.
            Some(Passed::Gpu(Err(error @ Error::Device { .. }), _)) => {
                shared.telemetry.device_lost(pending.plan.key(), &error);
                alone(shared, &mut pending, source)?
            }
            // It has enough to do; the lanes have not.
            Some(Passed::Gpu(Err(Error::Busy { .. }), _)) | None => alone(shared, &mut pending, source)?,
            Some(Passed::Gpu(image, time)) => {
                pending.timings.pass = time;
                let name = shared.gpu.get().map_or("gpu", |gpu| gpu.engine.name());
                drop(source);
                (Arc::new(image?), name)
            }
            Some(Passed::Alike((image, time))) => {
                pending.timings.pass = time;
                drop(source);
                (stored(shared, &mut pending, image)?, shared.cpu.name())
            }
        };
        let start = Instant::now();
        let (bytes, verdict) = encoded(shared, &pending, image)?;
        pending.timings.encode = start.elapsed();
        Ok(Rendered { bytes, verdict, timings: pending.timings, engine, placement: pending.placement })
    });
    pending.answer(result);
}

/// What makes planes of `model` into those that `spec` stores. Where nothing competes with the format asked for, the
/// planner has seen to it.
pub(super) fn conversion(model: Model, spec: &EncodeSpec) -> Vec<Pass> {
    match (model, spec.form()) {
        (Model::Rgb, Some(form @ (YcbcrForm::Half | YcbcrForm::Video))) => vec![Pass::RgbToYcbcr { form }],
        // Full-size chroma is left to encoders.
        (Model::Rgb, Some(YcbcrForm::Full) | None) => vec![],
        (Model::Ycbcr(_), None) => vec![Pass::YcbcrToRgb],
        (Model::Ycbcr(_), Some(form)) if form.model() == model => vec![],
        (Model::Ycbcr(Chroma::Full), Some(form)) => vec![Pass::RgbToYcbcr { form }],
        (Model::Ycbcr(_), Some(form)) => vec![Pass::YcbcrToRgb, Pass::RgbToYcbcr { form }],
        (Model::Grey | Model::Yuv | Model::Cmyk, _) => vec![],
    }
}

/// The same picture after `passes`, on the CPU.
pub(super) fn convert(shared: &Shared, image: &Arc<Image>, passes: &[Pass], gate: &Gate) -> Result<Image> {
    let size = image.size();
    let encode = EncodeLadder::only(EncodeSpec::Png);
    let plan = Plan {
        source: size,
        decode: DecodeAs::Native,
        size,
        passes: passes.to_vec(),
        encode,
        output: Output::default(),
    };
    let job = Job {
        source: Arc::clone(image) as Arc<dyn RowSource>,
        plans: vec![Arc::new(plan)],
        cancel: gate.cancel.clone(),
    };
    engine::run(&*shared.cpu, job).images.pop().unwrap_or_else(no_image)
}

/// The passes that renditions have in common with `pending`. Where they fail, each tries and answers for itself.
fn together(shared: &Shared, pending: &Pending, source: &Arc<Image>) -> Option<(Arc<Image>, Duration)> {
    let passes = alike(&pending.plan)?.to_vec();
    let plan = Arc::new(Plan { passes, ..Plan::clone(&pending.plan) });
    caught(|| passed(shared, plan, &pending.gate, Arc::clone(source))).ok()
}

/// What the format of a rendition stores of a picture whose other passes are done.
fn stored(shared: &Shared, pending: &mut Pending, image: Arc<Image>) -> Result<Arc<Image>> {
    let done = alike(&pending.plan).map_or(0, <[Pass]>::len);
    let passes = &pending.plan.passes[done..];
    if passes.is_empty() {
        return Ok(image);
    }
    let start = Instant::now();
    let stored = convert(shared, &image, passes, &pending.gate)?;
    pending.timings.pass += start.elapsed();
    Ok(Arc::new(stored))
}

/// All passes of one rendition.
fn alone(shared: &Shared, pending: &mut Pending, source: Arc<Image>) -> Result<(Arc<Image>, &'static str)> {
    let (image, time) = passed(shared, Arc::clone(&pending.plan), &pending.gate, source)?;
    pending.timings.pass = time;
    Ok((image, shared.cpu.name()))
}

/// Runs the passes of one plan on the CPU.
fn passed(shared: &Shared, plan: Arc<Plan>, gate: &Gate, source: Arc<Image>) -> Result<(Arc<Image>, Duration)> {
    gate.check(shared, "passes")?;
    let job = Job { source, plans: vec![plan], cancel: gate.cancel.clone() };
    let Completion { mut images, pass_time } = engine::run(&*shared.cpu, job);
    Ok((Arc::new(images.pop().unwrap_or_else(no_image)?), pass_time))
}

fn no_image() -> Result<Image> {
    Err(Error::Panic { message: String::from("an engine completed without an image") })
}
