//! The body of a reply on its way out, and the access log line that is written when it is gone.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{Method, StatusCode, Version};

use tokio::sync::OwnedSemaphorePermit;

use crate::wire;

/// A body of ours, or the daemon's as it streams through; ends with the log line of its request.
pub(super) struct Logged {
    body: Source,
    line: Line,
}

/// Where the bytes come from.
pub(super) enum Source {
    /// The front's own words.
    Own(wire::Body),
    /// The daemon's reply; dropping it early closes its connection.
    Daemon(Incoming),
}

/// One line of the access log; written when it is dropped, so that a client that leaves early has one too.
pub(super) struct Line {
    /// The request's place among those that are open; `None` if there was none left.
    pub(super) room: Option<OwnedSemaphorePermit>,
    pub(super) id: String,
    pub(super) peer: IpAddr,
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) version: Version,
    pub(super) began: Instant,
    /// `None`: the client left before there was a reply.
    pub(super) status: Option<StatusCode>,
    pub(super) bytes: u64,
}

impl Logged {
    pub(super) fn new(body: Source, line: Line) -> Self {
        Self { body, line }
    }
}

impl Body for Logged {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let frame = match &mut self.body {
            Source::Own(body) => ready!(Pin::new(body).poll_frame(cx)).map(|Ok(frame)| Ok(frame)),
            Source::Daemon(body) => ready!(Pin::new(body).poll_frame(cx)),
        };
        if let Some(chunk) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            self.line.bytes += chunk.len() as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Source::Own(body) => body.is_end_stream(),
            Source::Daemon(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Source::Own(body) => body.size_hint(),
            Source::Daemon(body) => body.size_hint(),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Self { room: _, id, peer, method, target, version, began, status, bytes } = self;
        tracing::info!(
            target: "access",
            id,
            %peer,
            %method,
            target,
            ?version,
            status = status.map_or(0, |status| status.as_u16()),
            bytes,
            ms = began.elapsed().as_secs_f64() * 1e3,
        );
    }
}
