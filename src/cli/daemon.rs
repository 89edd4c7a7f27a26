//! `calotype daemon`: the daemon alone.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{ConfigArg, EngineArg, log, runtime, stop_signal};
use crate::config::{Config, Flags};
use crate::daemon;
use crate::error::Result;
use crate::service::Service;

#[derive(Args, Clone, Debug)]
pub(super) struct DaemonArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Data socket [default: $XDG_RUNTIME_DIR/calotype.sock, else /run/calotype/calotype.sock]; systemd's comes first
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Admin socket [default: the data socket's name with -admin]
    #[arg(long, value_name = "PATH")]
    admin_socket: Option<PathBuf>,
    /// CPU lane threads; 0 = all cores [default: 0]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Which engine renders [default: auto]
    #[arg(long, value_enum)]
    engine: Option<EngineArg>,
    /// Check the configuration and stop: exit 0 when it is fine, 78 when it is not
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: DaemonArgs) -> Result<ExitCode> {
    let file = args.config.config;
    let flags = Flags {
        socket: args.socket,
        admin_socket: args.admin_socket,
        threads: args.threads,
        engine: args.engine.map(Into::into),
        ..Flags::default()
    };
    let load = move || Config::load(file.as_deref(), std::env::vars_os(), &flags);
    let config = load()?;
    if args.check {
        let presets: usize = config.catalog.companies.values().map(|company| company.presets.len()).sum();
        println!("configuration is fine: {} companies, {presets} presets", config.catalog.companies.len());
        return Ok(ExitCode::SUCCESS);
    }
    log::to_stderr();
    runtime()?.block_on(async {
        let stop = stop_signal()?;
        let listeners = daemon::bind(&config.daemon)?;
        let service = Service::try_new(&config)?;
        let reload = daemon::reload_on_hup(service.clone(), load)?;
        tracing::info!(
            socket = %daemon::data_socket(&config.daemon).display(),
            companies = config.catalog.companies.len(),
            "daemon serves"
        );
        tokio::select! {
            served = daemon::serve(service, &config, listeners, stop) => served,
            () = reload => Ok(()),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}
