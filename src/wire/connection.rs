//! Connections: how many, how long, and how they end.
//!
//! HTTP/1.1 and HTTP/2 (told apart by the preface) over any byte stream. One rule bounds them all: a connection on which
//! no request is being worked on and to which nothing could be written for `limits::CONNECTION_IDLE_MS_MAX` is closed.
//! That covers clients that connect and say nothing, dribble a head, idle, or stop reading a reply. When a client
//! leaves, the futures of its requests are dropped, and with them their work.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use crate::limits;

/// The open connections of one listener.
#[derive(Debug)]
pub struct Connections {
    slots: Arc<Semaphore>,
    stop: watch::Sender<Stop>,
    builder: auto::Builder<TokioExecutor>,
}

/// Room for one connection, taken before it is accepted.
#[derive(Debug)]
pub struct Slot(OwnedSemaphorePermit);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    /// Finish the requests in hand, take no more.
    Finish,
    Now,
}

impl Connections {
    /// None yet, and never more than `connections_max`.
    pub fn new(connections_max: usize) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(limits::HEAD_MS_MAX))
            .max_headers(limits::HEADERS_PARSED_MAX)
            .max_buf_size(limits::HEAD_BUFFER_BYTES_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits::HTTP2_STREAMS_MAX)
            .max_header_list_size(u32::try_from(limits::HEAD_BUFFER_BYTES_MAX).unwrap_or(u32::MAX));
        let slots = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
        Self { slots, stop: watch::Sender::new(Stop::No), builder }
    }

    /// Waits for room. What is not accepted meanwhile waits in the kernel's backlog.
    ///
    /// # Panics
    /// Never: the semaphore is not closed while `self` lives.
    pub async fn slot(&self) -> Slot {
        let slots = Arc::clone(&self.slots);
        Slot(slots.acquire_owned().await.expect("nothing in this file closes the semaphore"))
    }

    /// Serves one connection in a task of its own. `handler` is called for each request; its future is dropped when the
    /// client leaves.
    pub fn serve<S, H, F, B>(&self, slot: Slot, stream: S, handler: H)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let Slot(permit) = slot;
        let mut stop = self.stop.subscribe();
        let builder = self.builder.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let activity = Arc::new(Activity::new());
            let io = TokioIo::new(Noted { stream, activity: Arc::clone(&activity) });
            let service = hyper::service::service_fn(|request| {
                let work = Work::begin(&activity);
                let reply = handler(request);
                async move {
                    let reply = reply.await;
                    drop(work);
                    Ok::<_, Infallible>(reply)
                }
            });
            let mut connection = pin!(builder.serve_connection(io, service));
            let mut leaving = false;
            loop {
                let event = tokio::select! {
                    ended = connection.as_mut() => Event::Ended(ended),
                    stop = next(&mut stop, leaving) => Event::Stop(stop),
                    () = activity.idle() => Event::Idle,
                };
                match event {
                    Event::Ended(Ok(())) | Event::Stop(Stop::Now) => return,
                    Event::Ended(Err(cause)) => {
                        tracing::debug!(%cause, "connection ended early");
                        return;
                    }
                    Event::Stop(Stop::Finish | Stop::No) => {
                        leaving = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    Event::Idle => {
                        // A goodbye for HTTP/2, then a moment to send it.
                        connection.as_mut().graceful_shutdown();
                        drop(tokio::time::timeout(GOODBYE, connection.as_mut()).await);
                        return;
                    }
                }
            }
        });
    }

    /// Asks every connection to finish what it has in hand, waits at most `wait`, and cuts off the rest. Returns how
    /// many were cut off.
    pub async fn finish(&self, wait: Duration) -> usize {
        self.stop.send_replace(Stop::Finish);
        let ended = tokio::time::timeout(wait, self.stop.closed()).await;
        let cut_off = if ended.is_ok() { 0 } else { self.stop.receiver_count() };
        self.stop.send_replace(Stop::Now);
        cut_off
    }
}

/// What a connection's task wakes up for.
enum Event<E> {
    Ended(Result<(), E>),
    Stop(Stop),
    Idle,
}

/// The next stop that a connection has to act on. A server that is gone means now.
async fn next(stop: &mut watch::Receiver<Stop>, leaving: bool) -> Stop {
    match stop.wait_for(|stop| *stop == Stop::Now || (*stop == Stop::Finish && !leaving)).await {
        Ok(stop) => *stop,
        Err(_) => Stop::Now,
    }
}

/// Time for a goodbye on a connection that is given up.
const GOODBYE: Duration = Duration::from_millis(500);

/// What happened last on a connection.
#[derive(Debug)]
struct Activity {
    start: Instant,
    /// Requests whose reply has not begun.
    working: AtomicUsize,
    /// When a reply began or bytes were written, ms after `start`.
    last_ms: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self { start: Instant::now(), working: AtomicUsize::new(0), last_ms: AtomicU64::new(0) }
    }

    fn note(&self) {
        let ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.fetch_max(ms, Ordering::Relaxed);
    }

    /// Resolves when the connection is to be given up.
    async fn idle(&self) {
        loop {
            let last = self.start + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            let end = last + Duration::from_millis(limits::CONNECTION_IDLE_MS_MAX);
            if self.working.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(Duration::from_millis(limits::CONNECTION_IDLE_MS_MAX)).await;
            } else if Instant::now() >= end {
                return;
            } else {
                tokio::time::sleep_until(end).await;
            }
        }
    }
}

/// One request that is being worked on.
struct Work(Arc<Activity>);

impl Work {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.working.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.note();
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that notes when bytes were written. Reading is not noted: a head that dribbles in is no activity.
struct Noted<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        self.activity.note();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs));
        self.activity.note();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// One connection to a server that answers each request after `work` with `bytes` bytes.
    fn connect(work: Duration, bytes: usize) -> (Connections, DuplexStream) {
        let connections = Connections::new(1);
        let (client, server) = duplex(1 << 10);
        let slot = Slot(Arc::clone(&connections.slots).try_acquire_owned().unwrap());
        connections.serve(slot, server, move |_| async move {
            tokio::time::sleep(work).await;
            Response::new(crate::wire::Body::from(vec![b'.'; bytes]))
        });
        (connections, client)
    }

    /// How long the server kept the connection, reading all that it says.
    async fn kept(client: &mut DuplexStream) -> (Duration, Vec<u8>) {
        let start = Instant::now();
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        (start.elapsed(), said)
    }

    const HEAD_MS: Duration = Duration::from_millis(limits::HEAD_MS_MAX);
    const IDLE_MS: Duration = Duration::from_millis(limits::CONNECTION_IDLE_MS_MAX);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_given_up() {
        let (_connections, mut client) = connect(Duration::ZERO, 2);
        let (time, said) = kept(&mut client).await;
        assert!(time >= IDLE_MS && time < IDLE_MS * 2 && said.is_empty(), "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_dribbled_head_is_given_up() {
        for head in [REQUEST, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let (_connections, client) = connect(Duration::ZERO, 2);
            let (mut reader, mut writer) = tokio::io::split(client);
            let dribble = tokio::spawn(async move {
                for byte in head {
                    tokio::time::sleep(HEAD_MS / 4).await;
                    if writer.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                }
                std::future::pending::<()>().await;
            });
            let start = Instant::now();
            let mut said = Vec::new();
            reader.read_to_end(&mut said).await.unwrap();
            assert!(start.elapsed() < IDLE_MS * 2, "{:?}", start.elapsed());
            assert!(!said.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&said));
            dribble.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stops_is_given_up_and_a_slow_one_is_not() {
        let bytes = 64 << 10;
        let (connections, mut client) = connect(Duration::ZERO, bytes);
        client.write_all(REQUEST).await.unwrap();
        let served = tokio::time::timeout(IDLE_MS * 3, connections.slot()).await;
        assert!(served.is_ok(), "the slot of a client that does not read is free again");

        let (_connections, mut client) = connect(Duration::ZERO, bytes);
        client.write_all(REQUEST).await.unwrap();
        let mut read = 0;
        let mut chunk = [0; 1 << 10];
        let start = Instant::now();
        while read < bytes {
            tokio::time::sleep(IDLE_MS / 10).await;
            let n = client.read(&mut chunk).await.unwrap();
            assert!(n > 0, "cut off after {read} bytes and {:?}", start.elapsed());
            read += n;
        }
        assert!(start.elapsed() > IDLE_MS * 2, "this took long enough to prove something");
    }

    #[tokio::test(start_paused = true)]
    async fn long_work_is_no_idleness() {
        let (_connections, mut client) = connect(IDLE_MS * 4, 2);
        client.write_all(REQUEST).await.unwrap();
        let (time, said) = kept(&mut client).await;
        assert!(said.starts_with(b"HTTP/1.1 200") && said.ends_with(b".."), "{}", String::from_utf8_lossy(&said));
        // The reply, and then nothing more to do.
        assert!(time >= IDLE_MS * 4 + HEAD_MS && time < IDLE_MS * 6, "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn finish_waits_for_work_but_not_for_ever() {
        let (connections, mut client) = connect(Duration::from_secs(5), 2);
        client.write_all(REQUEST).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(connections.finish(Duration::from_secs(60)).await, 0);
        assert!(kept(&mut client).await.1.ends_with(b".."));

        let (connections, mut client) = connect(Duration::from_secs(500), 2);
        client.write_all(REQUEST).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(connections.finish(Duration::from_secs(60)).await, 1);
        assert!(kept(&mut client).await.1.is_empty());
    }
}
