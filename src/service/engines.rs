//! Which engines a service runs on, by configuration and by what the machine has.

use std::sync::{Arc, Weak};
use std::thread;

use serde_json::{Value, json};

use crate::config::EngineChoice;
use crate::engine::Engine;
use crate::engine::gpu::{self, Choice};
use crate::engine::placement::CostTable;
use crate::engine::scalar::Scalar;
use crate::engine::simd::Simd;
use crate::error::Result;
use crate::sched::{Engines, Gpu, Sched};

/// Starts the engines of `choice` that are needed before the first request.
///
/// # Errors
/// `Device`: the GPU was asked for by name and there is none.
pub(super) fn start(choice: EngineChoice) -> Result<Engines> {
    let cpu: Arc<dyn Engine> = match choice {
        EngineChoice::Auto | EngineChoice::Gpu | EngineChoice::Simd => Arc::new(Simd::default()),
        EngineChoice::Scalar => Arc::new(Scalar),
    };
    let gpu = match choice {
        EngineChoice::Gpu => Some(Gpu { engine: Arc::new(gpu::Gpu::try_new(Choice::Any)?), costs: None }),
        EngineChoice::Auto | EngineChoice::Simd | EngineChoice::Scalar => None,
    };
    Ok(Engines { cpu, gpu })
}

/// Lets a hardware GPU join when it is warm and its costs are known. Nobody waits for it, and a machine without one is
/// as good as any.
pub(super) fn warm_up(sched: &Arc<Sched>) {
    let sched = Arc::downgrade(sched);
    let started = thread::Builder::new().name(String::from("gpu-start")).spawn(move || match join(&sched) {
        Ok(Some(adapter)) => tracing::info!(adapter, "the GPU has joined"),
        Ok(None) => {}
        Err(error) => tracing::info!(%error, "serving without a GPU"),
    });
    if let Err(error) = started {
        tracing::warn!(%error, "serving without a GPU: no thread to start it");
    }
}

/// The adapter that joined; `None`: the service has ended meanwhile.
fn join(sched: &Weak<Sched>) -> Result<Option<String>> {
    let engine = gpu::Gpu::try_new(Choice::Hardware)?;
    let Some(sched) = sched.upgrade() else { return Ok(None) };
    let costs = CostTable::measure(&engine, &**sched.cpu())?;
    let adapter = engine.adapter().to_string();
    sched.join_gpu(Gpu { engine: Arc::new(engine), costs: Some(costs) });
    Ok(Some(adapter))
}

/// Engines and adapters as JSON. Looks at the machine: some milliseconds.
pub(super) fn describe(choice: EngineChoice, sched: &Sched) -> Value {
    let adapters: Vec<Value> = gpu::adapters()
        .into_iter()
        .map(|adapter| {
            json!({
                "name": adapter.name,
                "kind": adapter.kind.name(),
                "backend": adapter.backend,
                "driver": adapter.driver,
                "hardware": adapter.kind.is_hardware(),
            })
        })
        .collect();
    json!({
        "choice": choice.word(),
        "cpu": { "engine": sched.cpu().name(), "lanes": sched.threads() },
        "gpu": sched.gpu().map(|gpu| json!({ "engine": gpu.engine.name(), "placed": gpu.costs.is_some() })),
        "adapters": adapters,
    })
}
