//! Which engine runs a job, by estimated cost: a pure function of a cost table.
//!
//! A GPU wins by fan-out, long windows and sharpening, and loses on one small picture, where the transfers and the fixed
//! cost of a submission outweigh everything. Invariant: [`place`] decides from its arguments alone; the table comes from
//! [`CostTable::measure`] at start-up, or from a test.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Cancel, Engine, Job, run};
use crate::error::Result;
use crate::kernel::{Axis, Kernel, SigmaPx};
use crate::pixel::{Image, Model, PixelFormat, Size, WorkingSpace};
use crate::plan::{DecodeAs, EncodeLadder, EncodeSpec, Fill, Output, Pass, Plan, Resample};

/// What one engine's time goes into. Every member is at least 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EngineCosts {
    /// Any job at all, ns.
    pub fixed_ns: f64,
    /// Taking the source over, ns a byte.
    pub upload_ns: f64,
    /// One tap of one output sample of a resize or a blur, ns.
    pub tap_ns: f64,
    /// One output sample of any other pass, ns.
    pub sample_ns: f64,
    /// Giving a finished picture back, ns a byte.
    pub readback_ns: f64,
}

impl EngineCosts {
    /// Time of a job of this shape on an engine that is free, ns.
    pub fn estimate_ns(&self, shape: &JobShape) -> u64 {
        let terms = [
            (self.upload_ns, shape.source_bytes),
            (self.tap_ns, shape.taps),
            (self.sample_ns, shape.samples),
            (self.readback_ns, shape.out_bytes),
        ];
        let ns = terms.into_iter().fold(self.fixed_ns, |sum, (cost, n)| sum + cost * n as f64);
        whole_ns(ns)
    }
}

/// What the estimate knows of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobShape {
    /// Bytes of the source's planes; uploaded once, however many plans there are.
    pub source_bytes: u64,
    /// Taps of all resizes and blurs of all plans, over all their output samples.
    pub taps: u64,
    /// Output samples of all other passes of all plans.
    pub samples: u64,
    /// Bytes of all finished pictures.
    pub out_bytes: u64,
    /// How many they are: as many CPU threads can work at a time.
    pub plans: u64,
}

impl JobShape {
    /// The shape of a job: a source of `size` and `format`, and what is to be made of it.
    pub fn new(size: Size, format: PixelFormat, plans: &[Arc<Plan>]) -> Self {
        let mut shape = Self { source_bytes: format.samples(size), plans: plans.len() as u64, ..Self::default() };
        for plan in plans {
            shape.add(size, format, plan);
        }
        shape
    }

    fn add(&mut self, mut size: Size, mut format: PixelFormat, plan: &Plan) {
        for pass in &plan.passes {
            match pass {
                Pass::YcbcrToRgb => format.model = Model::Rgb,
                Pass::RgbToYcbcr { form } => format.model = form.model(),
                Pass::Grey => format.model = Model::Grey,
                Pass::Load { add_alpha, .. } => format.alpha |= add_alpha,
                Pass::ResizeH(resample) => size.w = resample.axis.dst_len,
                Pass::ResizeV(resample) => size.h = resample.axis.dst_len,
                Pass::Place { canvas, fill, .. } => {
                    size = *canvas;
                    let alpha = format.alpha && *fill == Fill::Transparent;
                    format = PixelFormat { model: fill.model(format.model), alpha };
                }
                Pass::Turn(turn) => size = turn.turned(size),
                Pass::Rotate(rotation) => {
                    size = rotation.canvas;
                    format.alpha = true;
                }
                Pass::Cover(cover) => format = PixelFormat { model: cover.model(format.model), alpha: true },
                Pass::Mask(_) => format.alpha = true,
                Pass::Matte => format = PixelFormat::GREY,
                Pass::Point(point) => format.model = point.model(format.model),
                Pass::Pack { .. }
                | Pass::Median
                | Pass::GrowH(_)
                | Pass::GrowV(_)
                | Pass::Noise(_)
                | Pass::UnsharpH(_)
                | Pass::UnsharpV(_)
                | Pass::Sharpen => {}
            }
            let samples = format.samples(size);
            match pass {
                Pass::ResizeH(resample) | Pass::ResizeV(resample) => self.taps += samples * window(resample),
                Pass::UnsharpH(usm) | Pass::UnsharpV(usm) => {
                    // Four standard deviations either way hold all but a 2⁻¹⁴ of the mass.
                    let reach = whole_ns((4.0 * SigmaPx::from_radius(usm.radius_px()).0).ceil());
                    self.taps += samples * (2 * reach + 1);
                }
                Pass::Rotate(_) => self.taps += samples * 16,
                // A comparison costs less than a tap, so this errs on the side of more.
                Pass::GrowH(grow) => self.taps += samples * u64::from(grow.powers(size.w)),
                Pass::GrowV(grow) => {
                    let rows = (2 * u64::from(grow.radius_px) + 1).min(2 * u64::from(size.h));
                    self.taps += samples * 2 * rows;
                }
                Pass::YcbcrToRgb
                | Pass::RgbToYcbcr { .. }
                | Pass::Grey
                | Pass::Load { .. }
                | Pass::Pack { .. }
                | Pass::Turn(_)
                | Pass::Cover(_)
                | Pass::Mask(_)
                | Pass::Matte
                | Pass::Median
                | Pass::Point(_)
                | Pass::Noise(_)
                | Pass::Sharpen
                | Pass::Place { .. } => self.samples += samples,
            }
        }
        self.out_bytes += format.samples(size);
    }
}

/// Taps of one window of a resize.
fn window(resample: &Resample) -> u64 {
    let step = match resample.kernel {
        Kernel::Gaussian { .. } => 1.0,
        Kernel::Bilin | Kernel::Bicub | Kernel::Sharp2 | Kernel::Bisharp | Kernel::Trilin => {
            resample.axis.step.to_f64().max(1.0)
        }
    };
    whole_ns((2.0 * resample.kernel.support() * step).ceil()).clamp(1, u64::from(resample.axis.src_len.max(1)))
}

/// Costs of the two engines that [`place`] chooses between.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CostTable {
    /// The GPU engine.
    pub gpu: EngineCosts,
    /// The CPU engine, on one thread.
    pub cpu: EngineCosts,
}

/// What else there is to do, and who is there to do it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// How long a job would wait for the GPU engine, ns.
    pub gpu_ns: u64,
    /// How long those of its renditions would wait for a CPU thread that are not begun at once, ns.
    pub cpu_ns: u64,
    /// CPU threads with nothing to do; the one that asks is always there.
    pub cpu_threads: u64,
}

/// The two sides of a [`Placement`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Side {
    /// The GPU engine.
    Gpu,
    /// The CPU engine.
    Cpu,
}

impl Side {
    /// One word for logs and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Cpu => "cpu",
        }
    }
}

/// Where a job goes, and the estimates that say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The engine with the lower estimate; the CPU if they are equal.
    pub side: Side,
    /// Waiting and running on the GPU, ns.
    pub gpu_ns: u64,
    /// Waiting and running on the CPU, ns.
    pub cpu_ns: u64,
}

/// Where a job of this shape finishes first.
///
/// CPU threads share its renditions evenly: each reads all of the source, so that they differ little in time. Where there
/// is one alone, it is begun at once.
pub fn place(table: &CostTable, shape: &JobShape, queues: Queues) -> Placement {
    let Queues { gpu_ns, cpu_ns, cpu_threads } = queues;
    let gpu_ns = table.gpu.estimate_ns(shape).saturating_add(gpu_ns);
    let cpu_ns = if shape.plans > 1 { cpu_ns } else { 0 };
    let cpu_ns = (table.cpu.estimate_ns(shape) / cpu_threads.min(shape.plans).max(1)).saturating_add(cpu_ns);
    Placement { side: if gpu_ns < cpu_ns { Side::Gpu } else { Side::Cpu }, gpu_ns, cpu_ns }
}

impl CostTable {
    /// Costs of two engines by a few small computed jobs on each, one after the other; some ten milliseconds.
    ///
    /// # Errors
    /// Whatever an engine answers if it cannot run a job.
    pub fn measure(gpu: &dyn Engine, cpu: &dyn Engine) -> Result<Self> {
        Ok(Self { gpu: EngineCosts::measure(gpu)?, cpu: EngineCosts::measure(cpu)? })
    }
}

/// Source or view of the larger probes: large enough to show above a submission's fixed cost.
const PROBE: Size = Size::new(1536, 1024);
/// Source or view of the smaller ones.
const SMALL: Size = Size::new(8, 8);
/// Runs of each probe; the fastest counts, since everything else in the machine only ever adds.
const RUNS: usize = 5;

impl EngineCosts {
    /// Costs of one engine, each isolated by a job that differs from another in one thing.
    ///
    /// # Errors
    /// Whatever the engine answers if it cannot run a job.
    pub fn measure(engine: &dyn Engine) -> Result<Self> {
        let space = WorkingSpace::Encoded;
        let (load, pack) = (|| Pass::Load { space, add_alpha: false }, || Pass::Pack { space });
        let on = |canvas| Pass::Place { canvas, x: 0, y: 0, fill: Fill::Opaque([0; 3]) };
        let fixed_ns = probe(engine, SMALL, SMALL, &[on(SMALL)])?;
        let upload = probe(engine, PROBE, SMALL, &[on(SMALL)])? - fixed_ns;
        let one_pass = probe(engine, SMALL, PROBE, &[on(PROBE)])? - fixed_ns;
        let three_passes = probe(engine, SMALL, PROBE, &[on(PROBE), load(), pack()])? - fixed_ns;

        let reduced = Size::new(PROBE.w / 4, PROBE.h / 4);
        let reduction = |kernel| {
            let resample = |from, to| Resample { kernel, axis: Axis::whole(from, to), chroma_axis: None };
            let [h, v] = [resample(PROBE.w, reduced.w), resample(PROBE.h, reduced.h)];
            let passes = [load(), Pass::ResizeH(h), Pass::ResizeV(v), pack()];
            let taps = JobShape::new(PROBE, PixelFormat::GREY, &[plan(PROBE, reduced, passes.to_vec())]).taps as f64;
            probe(engine, PROBE, reduced, &passes).map(|ns| (ns, taps))
        };
        let ((few_ns, few_taps), (many_ns, many_taps)) = (reduction(Kernel::Bilin)?, reduction(Kernel::Sharp2)?);

        let pixels = PROBE.pixels() as f64;
        let sample_ns = ((three_passes - one_pass) / (2.0 * pixels)).max(0.0);
        Ok(Self {
            fixed_ns,
            upload_ns: (upload / pixels).max(0.0),
            tap_ns: ((many_ns - few_ns) / (many_taps - few_taps)).max(0.0),
            sample_ns,
            readback_ns: (one_pass / pixels - sample_ns).max(0.0),
        })
    }
}

fn plan(source: Size, size: Size, passes: Vec<Pass>) -> Arc<Plan> {
    let encode = EncodeLadder::only(EncodeSpec::Png);
    Arc::new(Plan { source, decode: DecodeAs::Native, size, passes, encode, output: Output::default() })
}

/// The shortest time of a grey job from `source` to `size`, ns.
fn probe(engine: &dyn Engine, source: Size, size: Size, passes: &[Pass]) -> Result<f64> {
    let job = Job {
        source: Arc::new(Image::new(source, PixelFormat::GREY)),
        plans: vec![plan(source, size, passes.to_vec())],
        cancel: Cancel::default(),
    };
    let mut shortest = Duration::MAX;
    // The first run warms buffers and tables up and does not count.
    for i in 0..=RUNS {
        let start = Instant::now();
        run(engine, job.clone()).images.into_iter().collect::<Result<Vec<Image>>>()?;
        if i > 0 {
            shortest = shortest.min(start.elapsed());
        }
    }
    Ok(shortest.as_nanos() as f64)
}

/// The nearest whole number of something that is at least 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates when it is cast")]
fn whole_ns(n: f64) -> u64 {
    n.round() as u64
}
