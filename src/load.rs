//! Load: many requests to one server, and how long the replies took.
//!
//! In a closed loop every connection asks again as soon as it has its reply. That finds what a server can do, but flatters
//! one that stalls: while it stalls, it is asked nothing. In an open loop requests fall due by the clock, and the time of
//! each counts from when it was due, whether or not a connection was free (coordinated omission, after G. Tene).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use crate::error::{Error, Result};

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A Unix socket.
    Socket(PathBuf),
    /// Host and port, HTTP without TLS.
    Tcp(String),
}

/// When the next request is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pacing {
    /// As soon as a connection has its reply.
    Closed,
    /// By the clock, so many a second.
    Open(f64),
}

/// What to send, and for how long.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where to.
    pub target: Target,
    /// Paths with queries, taken in turns; `{n}` in one stands for the number of the request, from 0.
    pub paths: Vec<String>,
    /// Request headers beside `Host`, names and values.
    pub headers: Vec<(String, String)>,
    /// When.
    pub pacing: Pacing,
    /// Connections, kept open; in an open loop also the most requests at once.
    pub connections: usize,
    /// Time at the start whose replies are not counted.
    pub warm_up: Duration,
    /// Time after that in which requests are begun.
    pub duration: Duration,
    /// How long a reply may take, from when its request was sent.
    pub patience: Duration,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Report {
    /// From the end of the warm-up to the last reply.
    pub elapsed: Duration,
    /// Replies by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Requests without a whole reply: the connection was refused or broke off.
    pub broken: u64,
    /// Requests whose reply took longer than [`Load::patience`].
    pub timed_out: u64,
    /// Requests of an open loop that were due and could not be sent before its end: the server does not keep up.
    pub unsent: u64,
    /// Why the first of the broken ones broke.
    pub first_failure: Option<String>,
    times_us: Histogram<u64>,
    /// The shortest time that a request without a reply has waited for one: as far as times are known.
    cut_us: u64,
}

impl Report {
    /// Nothing yet.
    fn new() -> Self {
        // Three figures, and bounds that are in order: it cannot fail.
        let times_us = Histogram::new_with_bounds(1, TIME_US_MAX, 3);
        Self {
            elapsed: Duration::ZERO,
            statuses: BTreeMap::new(),
            bytes: 0,
            broken: 0,
            timed_out: 0,
            unsent: 0,
            first_failure: None,
            times_us: times_us
                .unwrap_or_else(|_| unreachable!("1 is below TIME_US_MAX / 2, and 3 figures are allowed")),
            cut_us: u64::MAX,
        }
    }

    /// Replies with a status below 400.
    pub fn served(&self) -> u64 {
        self.statuses.range(..400).map(|(_, count)| count).sum()
    }

    /// Replies, whatever they said.
    pub fn replies(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Served replies a second.
    pub fn per_second(&self) -> f64 {
        self.served() as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The time, ms, that `percent` (0 to 100) of the requests took at most, to three figures; 0 without any. Those are
    /// the served ones, and at the time that they had waited those that timed out or could not be sent.
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        self.times_us.value_at_percentile(percent) as f64 / 1e3
    }

    /// Whether that percentile is a lower bound: a request without a reply had waited no longer when the wait was over.
    pub fn is_lower_bound(&self, percent: f64) -> bool {
        // To three figures.
        self.times_us.highest_equivalent(self.times_us.value_at_percentile(percent)) >= self.cut_us
    }

    /// Counts requests without a reply that have waited so long.
    fn cut(&mut self, waited: Duration, requests: u64) {
        let us = whole_us(waited);
        self.times_us.saturating_record_n(us, requests);
        self.cut_us = self.cut_us.min(us.min(TIME_US_MAX));
    }

    fn take(&mut self, outcome: Outcome, waited: Duration) {
        match outcome {
            Outcome::Reply { status, bytes } => {
                *self.statuses.entry(status).or_default() += 1;
                self.bytes += bytes;
                if status < 400 {
                    self.times_us.saturating_record(whole_us(waited));
                }
            }
            Outcome::Broken(why) => {
                self.broken += 1;
                self.first_failure.get_or_insert(why);
            }
            Outcome::TimedOut => {
                self.timed_out += 1;
                self.cut(waited, 1);
            }
        }
    }

    fn add(&mut self, other: &Self) {
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.bytes += other.bytes;
        self.broken += other.broken;
        self.timed_out += other.timed_out;
        self.unsent += other.unsent;
        if self.first_failure.is_none() {
            self.first_failure.clone_from(&other.first_failure);
        }
        self.cut_us = self.cut_us.min(other.cut_us);
        // Both have the same bounds.
        self.times_us.add(&other.times_us).unwrap_or_else(|_| unreachable!("the same bounds"));
    }
}

/// Ten minutes: longer ones count as that.
const TIME_US_MAX: u64 = 600_000_000;
/// Requests that were not sent are counted at this many different times at most.
const UNSENT_STEPS: u64 = 10_000;

/// For a histogram that begins at 1.
fn whole_us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// What became of one request.
enum Outcome {
    Reply { status: u16, bytes: u64 },
    Broken(String),
    TimedOut,
}

/// Puts the load on the server and waits for the last reply.
///
/// # Errors
/// `Io` if not even a first connection is accepted; `Request` for a path or header that is none, a rate out of
/// bounds, or none of paths or connections.
pub async fn run(load: Load) -> Result<Report> {
    check(&load)?;
    let headers = headers(&load)?;
    // Whether anybody is there at all.
    drop(connect(&load.target).await.map_err(|cause| Error::Io {
        doing: "connect to",
        path: name(&load.target),
        cause,
    })?);
    let start = Instant::now();
    let shared = Arc::new(Shared { next: AtomicU64::new(0), counted_from: start + load.warm_up, load, headers, start });
    let mut connections = JoinSet::new();
    for _ in 0..shared.load.connections {
        connections.spawn(connection(Arc::clone(&shared)));
    }
    let mut report = Report::new();
    while let Some(ended) = connections.join_next().await {
        report.add(&ended.map_err(|panic| Error::Panic { message: panic.to_string() })?);
    }
    let end = Instant::now();
    report.elapsed = end.saturating_duration_since(shared.counted_from);
    if let Pacing::Open(rate) = shared.load.pacing {
        // What nobody took any more, but for what fell due in the warm-up.
        let [counted, due] = [shared.counted_from, shared.end()].map(|until| shared.due_before(until, rate));
        let mut next = shared.next.load(Ordering::Relaxed).max(counted);
        report.unsent = due.saturating_sub(next);
        let step = report.unsent.div_ceil(UNSENT_STEPS);
        while next < due {
            let requests = step.min(due - next);
            // All like the last of them, which has waited for the shortest time.
            report.cut(end.saturating_duration_since(shared.due_at(next + requests - 1, rate)), requests);
            next += requests;
        }
    }
    Ok(report)
}

fn refuse<T>(got: String, want: &'static str) -> Result<T> {
    Err(Error::Request { got, want: want.into() })
}

/// All request headers.
fn headers(load: &Load) -> Result<HeaderMap> {
    let host = match &load.target {
        Target::Socket(_) => "calotype",
        Target::Tcp(host) => host,
    };
    let mut headers = HeaderMap::new();
    for (name, value) in [("host", host)].into_iter().chain(load.headers.iter().map(|(n, v)| (&**n, &**v))) {
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) else {
            return refuse(format!("{name}: {value}"), "the name and value of a header");
        };
        if name == HOST {
            headers.insert(name, value);
        } else {
            headers.append(name, value);
        }
    }
    Ok(headers)
}

fn check(load: &Load) -> Result<()> {
    if load.paths.is_empty() {
        return refuse(String::from("no path"), "at least one path to ask for");
    }
    if let Some(path) = load.paths.iter().find(|path| !path.starts_with('/') || uri(path, 0).is_none()) {
        return refuse(path.clone(), "a path and a query that begin with / and are percent-encoded");
    }
    if load.connections == 0 {
        return refuse(String::from("0 connections"), "1 connection at least");
    }
    match load.pacing {
        Pacing::Open(rate) if !(1e-6..=1e6).contains(&rate) => {
            refuse(format!("a rate of {rate}"), "requests a second, 0.000001 to 1000000")
        }
        Pacing::Open(_) | Pacing::Closed => Ok(()),
    }
}

fn name(target: &Target) -> PathBuf {
    match target {
        Target::Socket(path) => path.clone(),
        Target::Tcp(host) => PathBuf::from(host),
    }
}

fn uri(path: &str, n: u64) -> Option<Uri> {
    path.replace("{n}", &n.to_string()).parse().ok()
}

/// What all connections know.
struct Shared {
    load: Load,
    headers: HeaderMap,
    start: Instant,
    counted_from: Instant,
    /// Number of the next request.
    next: AtomicU64,
}

impl Shared {
    fn end(&self) -> Instant {
        self.counted_from + self.load.duration
    }

    /// When request `n` of an open loop falls due.
    fn due_at(&self, n: u64, rate: f64) -> Instant {
        self.start + Duration::from_secs_f64(n as f64 / rate)
    }

    /// Requests of an open loop that fall due before that.
    #[expect(clippy::cast_possible_truncation, reason = "a million a second for two days at most")]
    fn due_before(&self, until: Instant, rate: f64) -> u64 {
        ((until - self.start).as_secs_f64() * rate).ceil() as u64
    }
}

/// One connection's life: request after request until the end, a new connection where the old one broke.
async fn connection(shared: Arc<Shared>) -> Report {
    let Shared { load, .. } = &*shared;
    let mut report = Report::new();
    let mut open = None;
    while Instant::now() < shared.end() {
        let n = shared.next.fetch_add(1, Ordering::Relaxed);
        let due = match load.pacing {
            Pacing::Closed => Instant::now(),
            Pacing::Open(rate) => shared.due_at(n, rate),
        };
        if due >= shared.end() {
            // Taken, but of no time: not among those that were due.
            break;
        }
        // The timer wakes up to a millisecond late, which is not the server's doing; what it made us late for is.
        let from = if Instant::now() < due {
            time::sleep_until(due).await;
            Instant::now()
        } else {
            due
        };
        let outcome = time::timeout(load.patience, request(&shared, &mut open, n)).await.unwrap_or(Outcome::TimedOut);
        let waited = from.elapsed();
        if !matches!(outcome, Outcome::Reply { .. }) {
            open = None;
            // A server that refuses connections is not asked a million times a second.
            time::sleep(PAUSE).await;
        }
        if due >= shared.counted_from {
            report.take(outcome, waited);
        }
    }
    report
}

const PAUSE: Duration = Duration::from_millis(10);

type Sender = SendRequest<Empty<Bytes>>;

/// Sends request `n` on the connection, opened if there is none, and reads its reply to the end.
async fn request(shared: &Shared, open: &mut Option<Sender>, n: u64) -> Outcome {
    match exchange(shared, open, n).await {
        Ok(outcome) => outcome,
        Err(why) => Outcome::Broken(why),
    }
}

async fn exchange(Shared { load, headers, .. }: &Shared, open: &mut Option<Sender>, n: u64) -> Result<Outcome, String> {
    let mut sender = match open.take() {
        Some(sender) if !sender.is_closed() => sender,
        Some(_) | None => connect(&load.target).await.map_err(|cause| cause.to_string())?,
    };
    sender.ready().await.map_err(|cause| cause.to_string())?;
    let path = &load.paths[usize::try_from(n).unwrap_or(0) % load.paths.len()];
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri(path, n).ok_or_else(|| format!("{path}: no path"))?;
    request.headers_mut().clone_from(headers);
    let reply = sender.send_request(request).await.map_err(|cause| cause.to_string())?;
    let status = reply.status().as_u16();
    let mut body = reply.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|cause| cause.to_string())?;
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    *open = Some(sender);
    Ok(Outcome::Reply { status, bytes })
}

async fn connect(target: &Target) -> std::io::Result<Sender> {
    match target {
        Target::Socket(path) => spoken(UnixStream::connect(path).await?).await,
        Target::Tcp(host) => {
            let stream = TcpStream::connect(host).await?;
            stream.set_nodelay(true)?;
            spoken(stream).await
        }
    }
}

/// HTTP/1.1 over a stream; what drives it ends with the connection.
async fn spoken(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> std::io::Result<Sender> {
    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
    tokio::spawn(driver);
    Ok(sender)
}
