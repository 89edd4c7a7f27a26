//! The command line: one file a subcommand, and nothing but arguments in, lines and exit codes out.
//!
//! Exit codes: 0 fine, 1 the work failed, 2 usage, 78 bad configuration (before any socket is bound). An error is one
//! line on stderr that says what to do.

mod bench;
mod daemon;
mod doctor;
mod front;
mod import;
mod import_catalog;
mod log;
mod render;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::EngineChoice;
use crate::error::{Blame, Error, Result};

/// One master per picture, every rendition made on request: an open Image Serving daemon.
#[derive(Parser)]
#[command(name = "calotype", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: up::UpArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Daemon and front in one go, for a try-out or a small site (default when no command is given)
    Up(up::UpArgs),
    /// The daemon alone, on its Unix sockets
    Daemon(daemon::DaemonArgs),
    /// The thin HTTP front alone
    Front(front::FrontArgs),
    /// One rendition (or one of each of several files) without a server
    Render(render::RenderArgs),
    /// Adapters, engines checked against the oracle, codecs and limits; exit 1 when something is unfit to serve
    Doctor(doctor::DoctorArgs),
    /// The original's catalogs to a configuration, with a report on every line; exit 1 when something is left out
    ImportCatalog(import_catalog::ImportArgs),
    /// Load on a server: how many requests it serves, and how long they take; exit 1 when none is served
    Bench(bench::BenchArgs),
}

/// Where the configuration comes from.
#[derive(Args, Clone, Debug)]
struct ConfigArg {
    /// Configuration file (TOML); environment variables such as CALOTYPE_DAEMON__THREADS=4 override its keys
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// `--engine`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum EngineArg {
    /// A hardware GPU where it pays, else SIMD
    Auto,
    /// The GPU, a software adapter included
    Gpu,
    /// SIMD on the CPU
    Simd,
    /// The slow oracle
    Scalar,
}

impl From<EngineArg> for EngineChoice {
    fn from(arg: EngineArg) -> Self {
        match arg {
            EngineArg::Auto => Self::Auto,
            EngineArg::Gpu => Self::Gpu,
            EngineArg::Simd => Self::Simd,
            EngineArg::Scalar => Self::Scalar,
        }
    }
}

/// Parses the arguments, runs the subcommand, turns its error into a line and an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command.unwrap_or(Command::Up(cli.up)) {
        Command::Up(args) => up::run(args),
        Command::Daemon(args) => daemon::run(args),
        Command::Front(args) => front::run(args),
        Command::Render(args) => render::run(args),
        Command::Doctor(args) => doctor::run(&args),
        Command::ImportCatalog(args) => import_catalog::run(args),
        Command::Bench(args) => bench::run(args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("calotype: {error}");
            exit_code(&error)
        }
    }
}

fn exit_code(error: &Error) -> ExitCode {
    const BAD_CONFIGURATION: u8 = 78; // EX_CONFIG of sysexits.h
    match error.blame() {
        Blame::Config => ExitCode::from(BAD_CONFIGURATION),
        Blame::Client | Blame::Source | Blame::Load | Blame::Device | Blame::Bug => ExitCode::FAILURE,
    }
}

/// A multi-threaded runtime: it only moves bytes, so two threads do.
///
/// # Errors
/// `Io` if the system gives no threads.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("calotype-io")
        .enable_all()
        .build()
        .map_err(|cause| Error::Io { doing: "start", path: "the I/O threads".into(), cause })
}

/// Resolves at the first SIGINT or SIGTERM.
///
/// # Errors
/// `Io` if the handlers cannot be installed.
fn stop_signal() -> Result<impl Future<Output = ()> + Send> {
    let install = |kind| signal(kind).map_err(|cause| Error::Io { doing: "handle", path: "signals".into(), cause });
    let (mut interrupt, mut terminate) = (install(SignalKind::interrupt())?, install(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
