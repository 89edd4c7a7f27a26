//! The thin HTTP front: TCP, TLS and HTTP/2 outside, HTTP/1.1 to the daemon's data socket inside.
//!
//! It adds nothing to the meaning of a request: `/is/…`, `/livez` and `/readyz` are passed on byte for byte as they
//! came, path and query never decoded or normalised, and nothing else is; the Snapshot page is its own. It holds no source, no cache, no GPU.
//! Invariant: a client that leaves closes its connection to the daemon, and with that cancels the work.

mod access;
mod forward;
mod snapshot;
mod tls;
mod upstream;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::config;
use crate::error::Result;
use crate::limits;
use crate::wire::{Connections, Slot};

use snapshot::Snapshot;
use upstream::Upstream;

/// What every request needs.
struct Front {
    upstream: Upstream,
    /// One permit a request that is being answered.
    open_requests: Arc<Semaphore>,
    snapshot: Option<Snapshot>,
}

/// Serves until `shutdown` resolves, then finishes what is in hand, in at most `limits::DRAIN_MS_MAX`. HTTPS if
/// certificate and key are configured.
///
/// # Errors
/// `Config`: certificate or key are unusable; the file is named.
pub async fn serve(
    front: &config::Front,
    socket: PathBuf,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<()> {
    let tls = tls::acceptor(front)?;
    let connections = Arc::new(Connections::new(front.connections_max));
    let front = Arc::new(Front {
        snapshot: Snapshot::new(&front.snapshot),
        upstream: Upstream::new(socket, Duration::from_millis(front.retry_ms)),
        open_requests: Arc::new(Semaphore::new(limits::OPEN_REQUESTS_MAX)),
    });
    notify(&[NotifyState::Ready, NotifyState::Status("serving")]);
    {
        let mut shutdown = pin!(shutdown);
        tokio::select! {
            () = accept(&front, &listener, tls, &connections) => {}
            () = shutdown.as_mut() => {}
        }
    }
    notify(&[NotifyState::Stopping, NotifyState::Status("finishing the requests in hand")]);
    drop(listener);
    let cut_off = connections.finish(Duration::from_millis(limits::DRAIN_MS_MAX)).await;
    if cut_off > 0 {
        tracing::warn!(cut_off, "connections cut off at the end");
    }
    Ok(())
}

/// Accepts until dropped.
async fn accept(front: &Arc<Front>, listener: &TcpListener, tls: Option<TlsAcceptor>, connections: &Arc<Connections>) {
    loop {
        // Clients above the ceiling wait in the kernel's backlog.
        let slot = connections.slot().await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Replies are written whole; waiting for more to send would only delay their last bytes.
                drop(stream.set_nodelay(true));
                match &tls {
                    None => {
                        let front = Arc::clone(front);
                        connections
                            .serve(slot, stream, move |request| forward::answer(Arc::clone(&front), peer, request));
                    }
                    Some(tls) => {
                        tokio::spawn(shake_hands(
                            tls.clone(),
                            Arc::clone(front),
                            Arc::clone(connections),
                            slot,
                            stream,
                            peer,
                        ));
                    }
                }
            }
            Err(cause) => {
                // Out of descriptors, most likely: what is open has to end before more can come.
                tracing::warn!(%cause, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The TLS handshake, apart from the accept loop, so that a slow one delays nobody else.
async fn shake_hands(
    tls: TlsAcceptor,
    front: Arc<Front>,
    connections: Arc<Connections>,
    slot: Slot,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let handshake = Duration::from_millis(limits::TLS_HANDSHAKE_MS_MAX);
    match tokio::time::timeout(handshake, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            connections.serve(slot, stream, move |request| forward::answer(Arc::clone(&front), peer, request))
        }
        Ok(Err(cause)) => tracing::debug!(%peer, %cause, "TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(cause) = sd_notify::notify(states) {
        tracing::debug!(%cause, "the service manager did not hear us");
    }
}

/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
