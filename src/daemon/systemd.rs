//! What the service manager hears from us, and `SIGHUP`. Without `NOTIFY_SOCKET` all of it is silent.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::service::Service;

/// Both sockets are being served.
pub(super) fn ready() {
    notify(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// No more connections are accepted.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("finishing the requests in hand")]);
}

/// Pings the watchdog, if the manager wants one, for as long as the lanes are alive.
pub(super) struct Watchdog(Option<JoinHandle<()>>);

impl Watchdog {
    pub(super) fn start(service: &Arc<Service>) -> Self {
        let Some(patience) = sd_notify::watchdog_enabled() else { return Self(None) };
        let service = Arc::clone(service);
        Self(Some(tokio::spawn(async move {
            let mut ticks = tokio::time::interval((patience / 2).max(Duration::from_millis(1)));
            loop {
                ticks.tick().await;
                // A runtime that still turns proves nothing about the threads that do the work, so they are asked.
                if service.lanes_alive() {
                    notify(&[NotifyState::Watchdog]);
                } else {
                    tracing::error!("a lane has died: the watchdog gets no ping");
                }
            }
        })))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Reloads companies and presets on every `SIGHUP`, all or nothing: `load` reads and checks the whole configuration,
/// and what it refuses leaves everything as it was, with one line in the log. The signal is caught from the moment this
/// returns; the future never ends.
///
/// # Errors
/// `Io`: the system refuses the handler.
pub fn reload_on_hup<L>(service: Arc<Service>, load: L) -> Result<impl Future<Output = ()> + Send>
where
    L: Fn() -> Result<Config> + Send + Sync + 'static,
{
    let mut hangups = signal(SignalKind::hangup()).map_err(|cause| Error::Io {
        doing: "catch",
        path: std::path::PathBuf::from("SIGHUP"),
        cause,
    })?;
    let load = Arc::new(load);
    Ok(async move {
        while hangups.recv().await.is_some() {
            match NotifyState::monotonic_usec_now() {
                Ok(now) => notify(&[NotifyState::Reloading, now]),
                Err(cause) => {
                    tracing::warn!(%cause, "no monotonic clock: the service manager is not told of the reload")
                }
            }
            let load = Arc::clone(&load);
            // Reading files is no work for the threads that move bytes.
            let loaded = tokio::task::spawn_blocking(move || load()).await;
            let status = match loaded {
                Ok(Ok(config)) => {
                    let companies = config.catalog.companies.len();
                    service.reload(config.catalog);
                    tracing::info!(companies, "reloaded");
                    "serving"
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "reload refused: the companies stay as they were");
                    "serving; the last reload was refused"
                }
                Err(panic) => {
                    tracing::error!(%panic, "reload failed: the companies stay as they were");
                    "serving; the last reload failed"
                }
            };
            notify(&[NotifyState::Ready, NotifyState::Status(status)]);
        }
    })
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(cause) = sd_notify::notify(states) {
        tracing::debug!(%cause, "the service manager did not hear us");
    }
}
