//! `calotype doctor`: is this machine fit to serve, and with what?

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::ConfigArg;
use crate::codec;
use crate::config::{Config, EngineChoice, Flags};
use crate::engine::gpu::{self, Gpu};
use crate::engine::scalar::Scalar;
use crate::engine::simd::Simd;
use crate::engine::{self, Cancel, Engine, Job};
use crate::error::{Error, Result};
use crate::kernel::{Axis, Kernel};
use crate::limits;
use crate::pixel::{Image, Size, WorkingSpace, testcard};
use crate::plan::{DecodeAs, EncodeLadder, EncodeSpec, Fill, Output, Pass, Plan, Resample};

#[derive(Args, Clone, Debug)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) fn run(args: &DoctorArgs) -> Result<ExitCode> {
    let config = Config::load(args.config.config.as_deref(), std::env::vars_os(), &Flags::default())?;
    let mut fit = true;
    let mut line = |good: bool, what: &str, says: String| {
        let mark = match (good, stdout().is_terminal()) {
            (true, true) => "\x1b[32mok\x1b[0m ",
            (true, false) => "ok ",
            (false, true) => "\x1b[31mBAD\x1b[0m",
            (false, false) => "BAD",
        };
        fit &= good;
        println!("{mark} {what:<12} {says}");
    };

    let adapters = gpu::adapters();
    if adapters.is_empty() {
        line(true, "adapters", String::from("none: the CPU serves"));
    }
    for adapter in &adapters {
        line(true, "adapter", adapter.to_string());
    }

    let agrees = engine_agrees(&Simd::new());
    line(agrees.is_ok(), "simd", verdict(agrees));
    let choice = if config.daemon.engine == EngineChoice::Gpu { gpu::Choice::Any } else { gpu::Choice::Hardware };
    let wanted = config.daemon.engine == EngineChoice::Gpu;
    match (adapters.is_empty(), Gpu::try_new(choice)) {
        (_, Ok(gpu)) => {
            let agrees = engine_agrees(&gpu);
            line(agrees.is_ok(), "gpu", format!("{}: {}", gpu.adapter(), verdict(agrees)));
        }
        (_, Err(error)) if wanted => line(false, "gpu", format!("daemon.engine = \"gpu\", but {error}")),
        (true, Err(_)) => {}
        (false, Err(error)) => line(true, "gpu", format!("not used by engine = \"auto\": {error}")),
    }

    for (name, version) in codec::versions() {
        line(true, "codec", format!("{name} {version}"));
    }
    let daemon = &config.daemon;
    let pixels_max = daemon.source_pixels_max;
    line(true, "limits", format!("sources of {pixels_max} pixels and {} bytes", limits::SOURCE_BYTES_MAX));
    line(true, "limits", format!("{} bytes for jobs in flight", daemon.memory_bytes_max));
    line(true, "limits", format!("{} jobs queued or running, {} ms each", daemon.queue_jobs_max, daemon.deadline_ms));
    line(true, "companies", config.catalog.companies.keys().cloned().collect::<Vec<_>>().join(" "));
    Ok(if fit { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verdict(agrees: Result<u8>) -> String {
    match agrees {
        Ok(worst) => format!("agrees with the oracle within {worst} level"),
        Err(error) => error.to_string(),
    }
}

/// Renders a small picture in every way that matters and compares with the oracle.
///
/// # Errors
/// The engine's own, or `Panic` that says how far it is off.
fn engine_agrees(engine: &dyn Engine) -> Result<u8> {
    let mut worst = 0;
    for (source, plan) in [
        (testcard::photo(Size::new(317, 211), 7), plan(Size::new(317, 211), Size::new(120, 80), WorkingSpace::Encoded)),
        (testcard::vase(Size::new(160, 160), 7), plan(Size::new(160, 160), Size::new(240, 240), WorkingSpace::Linear)),
    ] {
        let job = Job { source: Arc::new(source), plans: vec![Arc::new(plan)], cancel: Cancel::default() };
        let want = one(&Scalar, job.clone())?;
        let got = one(engine, job)?;
        let off = want.planes().iter().zip(got.planes()).flat_map(|(w, g)| w.data().iter().zip(g.data()));
        worst = worst.max(off.map(|(w, g)| w.abs_diff(*g)).max().unwrap_or(0));
        if worst > 1 || want.size() != got.size() {
            return Err(Error::Panic { message: format!("{worst} levels off the oracle") });
        }
    }
    Ok(worst)
}

fn one(engine: &dyn Engine, job: Job) -> Result<Image> {
    let missing = || Error::Panic { message: String::from("no image") };
    engine::run(engine, job).images.pop().ok_or_else(missing)?
}

/// Resized both ways and flattened onto a view of four pixels more each way.
fn plan(source: Size, size: Size, space: WorkingSpace) -> Plan {
    let axis = |src, dst| Resample { kernel: Kernel::Sharp2, axis: Axis::whole(src, dst), chroma_axis: None };
    let canvas = Size::new(size.w + 4, size.h + 4);
    Plan {
        source,
        decode: DecodeAs::Rgb,
        size: canvas,
        passes: vec![
            Pass::Load { space, add_alpha: false },
            Pass::ResizeV(axis(source.h, size.h)),
            Pass::ResizeH(axis(source.w, size.w)),
            Pass::Pack { space },
            Pass::Place { canvas, x: 2, y: 2, fill: Fill::Opaque([255; 3]) },
        ],
        encode: EncodeLadder::only(EncodeSpec::Png),
        output: Output::default(),
    }
}
