//! Bodies of the daemon's replies: what is in memory, and files read piece by piece while they are sent.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::{Method, Response};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use crate::limits;
use crate::wire;

/// The body of a reply.
pub(super) enum Sent {
    /// Whole, in memory.
    Memory(wire::Body),
    /// Read as it is sent.
    File(Streamed),
}

/// Pieces of a file, and words between them. Invariant: it gives as many bytes as it says, or fails; never more than a
/// chunk is in memory.
pub(super) struct Streamed {
    file: Arc<File>,
    left: VecDeque<Part>,
    /// The piece that is being read.
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    /// Bytes that were not given yet.
    bytes_left: u64,
    /// Its place among the files that are being sent.
    _room: OwnedSemaphorePermit,
}

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// These bytes.
    Words(Bytes),
    /// First byte and number of bytes of the file.
    Piece { first: u64, bytes: u64 },
}

/// What the method makes of a finished reply. A reply to `HEAD` never has a file for its body.
pub(super) fn fit_to_method(method: &Method, reply: Response<Sent>) -> Response<Sent> {
    let (parts, body) = reply.into_parts();
    match body {
        Sent::File(_) => Response::from_parts(parts, body),
        Sent::Memory(body) => {
            let mut reply = Response::from_parts(parts, body);
            wire::fit_to_method(method, &mut reply);
            reply.map(Sent::Memory)
        }
    }
}

impl Part {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Words(words) => words.len() as u64,
            Self::Piece { bytes, .. } => *bytes,
        }
    }
}

impl Streamed {
    pub(super) fn new(file: File, parts: Vec<Part>, room: OwnedSemaphorePermit) -> Self {
        let bytes_left = parts.iter().map(Part::bytes).sum();
        let left = parts.into_iter().filter(|part| part.bytes() > 0).collect();
        Self { file: Arc::new(file), left, reading: None, bytes_left, _room: room }
    }
}

impl hyper::body::Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Memory(body) => {
                let Some(Ok(frame)) = ready!(Pin::new(body).poll_frame(cx)) else { return Poll::Ready(None) };
                Poll::Ready(Some(Ok(frame)))
            }
            Self::File(streamed) => streamed.poll(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Memory(body) => body.is_empty(),
            Self::File(streamed) => streamed.bytes_left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Memory(body) => body.len(),
            Self::File(streamed) => streamed.bytes_left,
        })
    }
}

impl Streamed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.reading.is_none() {
            match self.left.pop_front() {
                None => return Poll::Ready(None),
                Some(Part::Words(words)) => {
                    self.bytes_left -= words.len() as u64;
                    return Poll::Ready(Some(Ok(words)));
                }
                Some(Part::Piece { first, bytes }) => {
                    let now = bytes.min(limits::CONTENT_CHUNK_BYTES as u64);
                    if now < bytes {
                        self.left.push_front(Part::Piece { first: first + now, bytes: bytes - now });
                    }
                    let file = Arc::clone(&self.file);
                    self.reading = Some(tokio::task::spawn_blocking(move || read(&file, first, now)));
                }
            }
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let chunk = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        let chunk = chunk.unwrap_or_else(|failed| Err(io::Error::other(failed)));
        match &chunk {
            Ok(chunk) => self.bytes_left -= chunk.len() as u64,
            // The connection ends with it: a reply that is cut must not look like a whole one.
            Err(cause) => {
                tracing::warn!(%cause, "a file could not be sent to its end");
                self.left.clear();
            }
        }
        Poll::Ready(Some(chunk))
    }
}

/// Exactly these bytes; fewer are there only if the file became shorter meanwhile.
fn read(file: &File, first: u64, bytes: u64) -> io::Result<Bytes> {
    let mut chunk = vec![0; usize::try_from(bytes).unwrap_or(limits::CONTENT_CHUNK_BYTES)];
    file.read_exact_at(&mut chunk, first)?;
    Ok(Bytes::from(chunk))
}
