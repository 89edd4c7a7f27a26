//! Request bodies: read whole, but only after they have been counted, each against its own ceiling and all against one.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::{Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Daemon, reply};
use crate::error::Error;
use crate::limits;
use crate::wire::{Body, Problem};

/// A body in memory, and its share of the ceiling on all bodies, which is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) bytes: Bytes,
    #[expect(dead_code, reason = "held, not read")]
    share: Option<OwnedSemaphorePermit>,
}

/// How often `bytes_max` is counted: an `Upload` that is going to be copied once counts twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Once,
    Twice,
}

/// Reads a body of at most `bytes_max`.
///
/// # Errors
/// The finished reply: 413 (before anything is read if the length is announced), 503, 408, 400.
pub(super) async fn read(
    daemon: &Daemon,
    mut body: Incoming,
    bytes_max: u64,
    counted: Counted,
    deadline: Instant,
) -> Result<Upload, Box<Response<Body>>> {
    let announced = body.size_hint().lower();
    if announced > bytes_max {
        return Err(too_large(bytes_max));
    }
    let mut share = Share { uploads: Arc::clone(&daemon.uploads), counted, held: None, daemon };
    let mut buffer = BytesMut::new();
    share.grow(announced)?;
    // The ceiling on all bodies has just let this through.
    buffer.reserve(usize::try_from(announced).unwrap_or(usize::MAX));
    loop {
        let frame = match tokio::time::timeout_at(deadline.into(), body.frame()).await {
            Err(_) => return Err(slow()),
            Ok(None) => return Ok(Upload { bytes: buffer.freeze(), share: share.held }),
            Ok(Some(Err(cause))) => return Err(unreadable(&cause)),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(chunk) = frame.into_data() else { continue };
        let needed = buffer.len() + chunk.len();
        if needed as u64 > bytes_max {
            return Err(too_large(bytes_max));
        }
        if needed > buffer.capacity() {
            let doubled = (needed.max(64 << 10) as u64 * 2).min(bytes_max);
            share.grow(doubled)?;
            buffer.reserve(usize::try_from(doubled).unwrap_or(usize::MAX) - buffer.len());
        }
        buffer.extend_from_slice(&chunk);
    }
}

/// Permits for so many bytes.
pub(super) fn permits(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(BYTES_A_PERMIT)).unwrap_or(Semaphore::MAX_PERMITS)
}

/// Bytes of all bodies in hand, as counted.
pub(super) fn bytes_in_hand(uploads: &Semaphore) -> u64 {
    let held = permits(limits::UPLOADS_BYTES_MAX) - uploads.available_permits();
    held as u64 * BYTES_A_PERMIT
}

struct Share<'a> {
    uploads: Arc<Semaphore>,
    counted: Counted,
    held: Option<OwnedSemaphorePermit>,
    daemon: &'a Daemon,
}

impl Share<'_> {
    /// Holds enough for a buffer of `bytes`, or says no at once.
    fn grow(&mut self, bytes: u64) -> Result<(), Box<Response<Body>>> {
        let counted = match self.counted {
            Counted::Once => bytes,
            Counted::Twice => bytes * 2,
        };
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = permits(counted).saturating_sub(held);
        let busy = || {
            let lane = Error::Busy { lane: "upload", depth: permits(limits::UPLOADS_BYTES_MAX) };
            Box::new(reply::failure(&lane, self.daemon.errors))
        };
        let more = u32::try_from(more).map_err(|_| busy())?;
        let more = Arc::clone(&self.uploads).try_acquire_many_owned(more).map_err(|_| busy())?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

fn too_large(bytes_max: u64) -> Box<Response<Body>> {
    let problem = Problem {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        title: "Body too large",
        detail: &format!("at most {bytes_max} bytes are allowed here"),
        advice: "Send a smaller file.",
    };
    Box::new(problem.reply())
}

fn slow() -> Box<Response<Body>> {
    let problem = Problem {
        status: StatusCode::REQUEST_TIMEOUT,
        title: "Body too slow",
        detail: "the deadline passed before the body was complete",
        advice: "Send it faster, or raise deadline_ms.",
    };
    Box::new(problem.reply())
}

fn unreadable(cause: &hyper::Error) -> Box<Response<Body>> {
    let problem = Problem {
        status: StatusCode::BAD_REQUEST,
        title: "Broken body",
        detail: &cause.to_string(),
        advice: "Send as many bytes as announced, or well-formed chunks.",
    };
    Box::new(problem.reply())
}

/// Semaphores count permits in 32 bits at a time; a KiB is fine enough.
const BYTES_A_PERMIT: u64 = 1024;
