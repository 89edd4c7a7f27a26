//! The pool of HTTP/1.1 connections to the daemon's data socket.
//!
//! HTTP/1.1 because one connection is then one request: closing it cancels exactly that. A request that got no reply is
//! sent again while the daemon restarts; once the first byte of a reply is here it never is.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{HeaderMap, Method, Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::limits;

/// The daemon, as seen from outside.
pub(super) struct Upstream {
    client: Client<Connector, Empty<Bytes>>,
    retry: Duration,
}

/// Why there is no reply.
#[derive(Debug)]
pub(super) enum Away {
    /// Nobody accepts on the socket.
    Down(String),
    /// The daemon broke off, or spoke no HTTP.
    Broken(String),
    /// No reply in `limits::UPSTREAM_REPLY_MS_MAX`.
    Silent,
}

impl Upstream {
    /// No connection yet.
    pub(super) fn new(socket: PathBuf, retry: Duration) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // Well before the daemon closes an idle connection itself.
            .pool_idle_timeout(Duration::from_millis(limits::CONNECTION_IDLE_MS_MAX / 2))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .set_host(false)
            .build(Connector { socket: socket.into() });
        Self { client, retry }
    }

    /// Sends a request without a body, again and again until there is a reply or `retry_ms` have passed. Dropping the
    /// future closes the connection.
    ///
    /// # Errors
    /// [`Away`]: how the last attempt failed.
    pub(super) async fn send(
        &self,
        method: &Method,
        target: &Uri,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>, Away> {
        let give_up = Instant::now() + self.retry;
        let wait = Duration::from_millis(limits::UPSTREAM_REPLY_MS_MAX);
        let mut pause = PAUSE_MIN;
        loop {
            let mut request = Request::new(Empty::new());
            request.method_mut().clone_from(method);
            request.uri_mut().clone_from(target);
            request.headers_mut().clone_from(headers);
            let away = match tokio::time::timeout(wait, self.client.request(request)).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(cause)) if cause.is_connect() => Away::Down(chain(&cause)),
                Ok(Err(cause)) => Away::Broken(chain(&cause)),
                Err(_) => return Err(Away::Silent),
            };
            if Instant::now() + pause >= give_up {
                return Err(away);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// An error with all its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// Connects to the socket, whatever the URI says.
#[derive(Clone)]
struct Connector {
    socket: Arc<Path>,
}

impl tower::Service<Uri> for Connector {
    type Response = Wire;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Wire>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let socket = Arc::clone(&self.socket);
        Box::pin(async move { UnixStream::connect(&socket).await.map(|stream| Wire(TokioIo::new(stream))) })
    }
}

/// A Unix stream that the pool takes for a connection.
struct Wire(TokioIo<UnixStream>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// First and longest pause between two attempts: a restart takes tens of milliseconds, a crash loop should not be fed.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// Idle connections that are kept for the next requests.
const IDLE_CONNECTIONS_MAX: usize = 128;
