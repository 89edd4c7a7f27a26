//! What a GPU can do to us.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;

/// The cause inside every `Error::Device` of this engine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No adapter of the kind asked for.
    NoAdapter {
        /// Adapters that are there, of whatever kind.
        found: usize,
    },
    /// The adapter gave no device.
    Refused(String),
    /// The device is gone.
    Lost(String),
    /// The device had no memory left.
    OutOfMemory(String),
    /// wgpu or the driver refused what we sent.
    Invalid(String),
    /// The job needs more than the adapter, or the engine's own pool, allows.
    Limit {
        /// Which limit.
        name: &'static str,
        /// What the job needs.
        need: u64,
        /// What is allowed.
        max: u64,
    },
    /// The engine's thread panicked or ended.
    Thread(String),
}

impl Fault {
    /// From wgpu's own error.
    pub(super) fn new(error: wgpu::Error) -> Self {
        match error {
            wgpu::Error::OutOfMemory { source } => Self::OutOfMemory(source.to_string()),
            wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
                Self::Invalid(description)
            }
        }
    }

    /// As an error: safe to run elsewhere.
    pub(super) fn during(self, doing: &'static str) -> Error {
        Error::Device { doing, cause: Box::new(self) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAdapter { found: 0 } => write!(f, "no Vulkan adapter"),
            Self::NoAdapter { found } => write!(f, "{found} adapters, none of them a hardware one"),
            Self::Refused(words) => write!(f, "the adapter gave no device: {words}"),
            Self::Lost(words) => write!(f, "the device was lost: {words}"),
            Self::OutOfMemory(words) => write!(f, "out of memory: {words}"),
            Self::Invalid(words) => write!(f, "refused: {words}"),
            Self::Limit { name, need, max } => write!(f, "needs {need}, but {name} is {max}"),
            Self::Thread(words) => write!(f, "the engine's thread failed: {words}"),
        }
    }
}

impl std::error::Error for Fault {}

/// The first fault that wgpu's callbacks report, from whatever thread.
#[derive(Clone, Debug, Default)]
pub(super) struct FaultCell(Arc<Mutex<Option<Fault>>>);

impl FaultCell {
    /// Keeps the first one.
    pub(super) fn report(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
    }

    /// # Errors
    /// The fault, if there was one.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let fault = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        fault.map_or(Ok(()), Err)
    }
}
