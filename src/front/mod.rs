//! The thin HTTP front: TCP, TLS and HTTP/2 outside, HTTP/1.1 to the daemon's data socket inside.

use std::future::Future;
use std::path::PathBuf;

use tokio::net::TcpListener;

use crate::config::Front;
use crate::error::Result;

/// Serves until `shutdown` resolves, then finishes what is in hand.
///
/// # Errors
/// `Config` (certificate or key), `Io`.
pub async fn serve(
    front: &Front,
    socket: PathBuf,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<()> {
    let _ = (front, socket, listener);
    shutdown.await;
    Ok(())
}
