//! The daemon: HTTP/1.1 and HTTP/2 on two Unix sockets, routes, systemd, drain.
//!
//! It moves bytes and words between HTTP and the [`Service`], and decides nothing about pictures. Invariants: it never
//! opens a network port; `/livez` and `/readyz` never wait for work; every body is counted before it is kept; a client
//! that leaves drops its request's future, and with it the work.

mod conditions;
mod content;
mod image;
mod invalidate;
mod listen;
mod ranges;
mod renditions;
mod reply;
mod routes;
mod streamed;
mod systemd;
mod upload;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use crate::config::{Config, ErrorStyle};
use crate::error::Result;
use crate::limits;
use crate::service::Service;
use crate::wire::Connections;

pub use listen::{Listeners, SocketFile, admin_socket, bind, data_socket};
pub use systemd::reload_on_hup;

/// What every request needs.
struct Daemon {
    service: Arc<Service>,
    errors: ErrorStyle,
    compat_headers: bool,
    deadline: Duration,
    /// One permit a request, probes excepted.
    open_requests: Semaphore,
    /// One permit a KiB of request bodies in hand.
    uploads: Arc<Semaphore>,
    /// One permit a static file that is being sent.
    content_files: Arc<Semaphore>,
    draining: AtomicBool,
}

/// Which of the two sockets a request came in on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Socket {
    /// For fronts: pictures, work and probes.
    Data,
    /// For the site's owner: everything.
    Admin,
}

/// Serves until `shutdown` resolves; then stops accepting, finishes the requests in hand, drains the lanes, all in at
/// most `limits::DRAIN_MS_MAX`, and removes the socket files. The admin socket answers to the end.
///
/// # Errors
/// `Io`: a listener cannot be handed to the runtime.
pub async fn serve(
    service: Arc<Service>,
    config: &Config,
    listeners: Listeners,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<()> {
    let Listeners { data, admin, files } = listeners;
    let daemon = Arc::new(Daemon {
        service,
        errors: config.daemon.errors,
        compat_headers: config.daemon.compat_headers,
        deadline: Duration::from_millis(config.daemon.deadline_ms),
        open_requests: Semaphore::new(limits::OPEN_REQUESTS_MAX),
        uploads: Arc::new(Semaphore::new(upload::permits(limits::UPLOADS_BYTES_MAX))),
        content_files: Arc::new(Semaphore::new(limits::CONTENT_FILES_MAX)),
        draining: AtomicBool::new(false),
    });
    let to_data = Connections::new(limits::OPEN_REQUESTS_MAX);
    let to_admin = Connections::new(limits::ADMIN_CONNECTIONS_MAX);
    let mut serve_admin = pin!(accept(&daemon, Socket::Admin, &admin, &to_admin));
    let _watchdog = systemd::Watchdog::start(&daemon.service);
    systemd::ready();
    {
        let mut shutdown = pin!(shutdown);
        tokio::select! {
            () = accept(&daemon, Socket::Data, &data, &to_data) => {}
            () = serve_admin.as_mut() => {}
            () = shutdown.as_mut() => {}
        }
    }

    systemd::stopping();
    daemon.draining.store(true, Ordering::Release);
    drop(data);
    let began = Instant::now();
    let whole = Duration::from_millis(limits::DRAIN_MS_MAX);
    let drain = async {
        let cut_off = to_data.finish(whole).await;
        daemon.service.start_drain();
        let rest = whole.saturating_sub(began.elapsed());
        let lanes_empty = tokio::time::timeout(rest, daemon.service.drained()).await.is_ok();
        tracing::info!(ms = began.elapsed().as_millis(), cut_off, lanes_empty, "drained");
    };
    tokio::select! {
        () = drain => {}
        () = serve_admin.as_mut() => {}
    }
    to_admin.finish(ADMIN_FINISH).await;
    drop(files);
    Ok(())
}

/// Accepts until dropped.
async fn accept(daemon: &Arc<Daemon>, socket: Socket, listener: &UnixListener, connections: &Connections) {
    loop {
        let slot = connections.slot().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let daemon = Arc::clone(daemon);
                connections.serve(slot, stream, move |request| routes::answer(Arc::clone(&daemon), socket, request));
            }
            Err(cause) => {
                // Out of descriptors, most likely: what is open has to end before more can come.
                tracing::warn!(%cause, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Time for the last questions on the admin socket.
const ADMIN_FINISH: Duration = Duration::from_millis(500);
