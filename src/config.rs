//! File + environment + flags to one checked [`Config`]; reload.

use std::path::PathBuf;

use crate::catalog::Catalog;

/// Everything a site owner can set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[daemon]`.
    pub daemon: Daemon,
    /// `[front]`.
    pub front: Front,
    /// `[company.*]`.
    pub catalog: Catalog,
}

/// Which engine renders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    /// A hardware GPU where it pays, else SIMD.
    Auto,
    /// The GPU, a software adapter included.
    Gpu,
    /// SIMD on the CPU.
    Simd,
    /// The oracle.
    Scalar,
}

/// Status codes of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorStyle {
    /// 404, 400, …
    Semantic,
    /// The original's 403.
    Compat,
}

/// `[daemon]`.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// Data socket; `None`: `$XDG_RUNTIME_DIR/calotype.sock`, else `/run/calotype/calotype.sock`.
    pub socket: Option<PathBuf>,
    /// Admin socket; `None`: the data socket's name with `-admin` before the extension.
    pub admin_socket: Option<PathBuf>,
    /// CPU lane threads; 0 = all cores.
    pub threads: usize,
    /// Which engine renders.
    pub engine: EngineChoice,
    /// Status codes of errors.
    pub errors: ErrorStyle,
    /// Jobs waiting or running at most.
    pub queue_jobs_max: usize,
    /// Longest time from acceptance to reply, ms.
    pub deadline_ms: u64,
    /// Bytes for decoder, pixel and encoder buffers of all jobs in flight.
    pub memory_bytes_max: u64,
    /// Pixels of the largest source.
    pub source_pixels_max: u64,
    /// Formats that are read.
    pub formats: Vec<crate::plan::SourceFormat>,
}

/// `[front]`.
#[derive(Clone, Debug)]
pub struct Front {
    /// Address to listen on.
    pub listen: String,
    /// The daemon's data socket; `None` as for the daemon.
    pub socket: Option<PathBuf>,
    /// PEM file of the certificate chain; HTTPS when both are set.
    pub tls_cert: Option<PathBuf>,
    /// PEM file of the key.
    pub tls_key: Option<PathBuf>,
    /// Open client connections at most.
    pub connections_max: usize,
    /// How long a GET is retried while the daemon restarts, ms.
    pub retry_ms: u64,
}
