//! Which engines a service runs on, by configuration and by what the machine has.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::EngineChoice;
use crate::engine::Engine;
use crate::engine::scalar::Scalar;
use crate::engine::simd::Simd;
use crate::error::Result;
use crate::sched::{Engines, Sched};

/// Starts the engines of `choice`.
///
/// # Errors
/// `Device`: the GPU was asked for by name and there is none.
pub(super) fn start(choice: EngineChoice) -> Result<Engines> {
    let cpu: Arc<dyn Engine> = match choice {
        EngineChoice::Auto | EngineChoice::Gpu | EngineChoice::Simd => Arc::new(Simd::default()),
        EngineChoice::Scalar => Arc::new(Scalar),
    };
    Ok(Engines { cpu, gpu: None })
}

/// Engines and adapters as JSON.
pub(super) fn describe(choice: EngineChoice, sched: &Sched) -> Value {
    let engines = sched.engines();
    json!({
        "choice": choice.word(),
        "cpu": { "engine": engines.cpu.name(), "lanes": sched.threads() },
        "gpu": engines.gpu.as_ref().map(|gpu| json!({ "engine": gpu.engine.name() })),
    })
}
