//! `calotype front`: TCP and TLS before a daemon that runs elsewhere on this host.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::net::TcpListener;

use super::{ConfigArg, log, runtime, stop_signal};
use crate::config::{Config, Flags};
use crate::error::{Error, Result};
use crate::{daemon, front};

#[derive(Args, Clone, Debug)]
pub(super) struct FrontArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Address to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The daemon's data socket [default: $XDG_RUNTIME_DIR/calotype.sock, else /run/calotype/calotype.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Certificate chain (PEM); with --tls-key: HTTPS
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM); with --tls-cert: HTTPS
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

pub(super) fn run(args: FrontArgs) -> Result<ExitCode> {
    let flags = Flags {
        socket: args.socket,
        listen: args.listen,
        tls_cert: args.tls_cert,
        tls_key: args.tls_key,
        ..Flags::default()
    };
    let config = Config::load(args.config.config.as_deref(), std::env::vars_os(), &flags)?;
    let socket = config.front.socket.clone().unwrap_or_else(|| daemon::data_socket(&config.daemon));
    log::to_stderr();
    runtime()?.block_on(async {
        let listener = listen(&config.front.listen).await?;
        let address = listener.local_addr().map_or_else(|_| config.front.listen.clone(), |a| a.to_string());
        let tls = config.front.tls_cert.is_some();
        tracing::info!(listen = %address, socket = %socket.display(), tls, "front serves");
        front::serve(&config.front, socket, listener, stop_signal()?).await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Binds the address of the front.
///
/// # Errors
/// `Io` that names the address: taken, or not an address of this host.
pub(super) async fn listen(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|cause| Error::Io {
        doing: "listen on (choose another with --listen)",
        path: address.into(),
        cause,
    })
}
