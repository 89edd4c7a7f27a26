//! The daemon: HTTP on two Unix sockets, routes, systemd, drain.

use std::future::Future;
use std::sync::Arc;

use tokio::net::UnixListener;

use crate::config::Config;
use crate::error::Result;
use crate::service::Service;

/// The two sockets, bound.
#[derive(Debug)]
pub struct Listeners {
    /// Serves `/is/…`, `/v1/transcode`, `/v1/fanout`, `/livez`, `/readyz`.
    pub data: UnixListener,
    /// Serves everything.
    pub admin: UnixListener,
}

/// Serves until `shutdown` resolves, then drains.
///
/// # Errors
/// `Io`.
pub async fn serve(
    service: Arc<Service>,
    config: &Config,
    listeners: Listeners,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<()> {
    let _ = (service, config, listeners);
    shutdown.await;
    Ok(())
}
