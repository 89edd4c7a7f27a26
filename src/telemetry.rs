//! What operators see: metrics, and one log line a rendition.
//!
//! What is measured has the same name in the log line and in the metrics (`queue_ms` in the line is `calotype_queue_ms` in
//! `/metrics`).
//! Every [`Telemetry`] counts for itself: nothing here is global to the process.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::error::{Blame, Error};

/// Where the time of one rendition went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Waiting: for a lane, and for memory.
    pub queue: Duration,
    /// Reading and decoding the source; shared by the renditions of a fan-out.
    pub decode: Duration,
    /// The engine's passes, upload and readback included; shared by the renditions of a fan-out on the GPU, and by those that
    /// differ in nothing but their formats.
    pub pass: Duration,
    /// All encodings that were tried.
    pub encode: Duration,
}

/// Milliseconds with their fraction, as in logs and metrics.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Where a rendition was sent, and the estimates that say so: waiting and running.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// `gpu` or `cpu`.
    pub side: &'static str,
    /// Estimate of the one …
    pub gpu: Duration,
    /// … and of the other.
    pub cpu: Duration,
}

/// One rendition for its log line.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    /// `Company/Asset`.
    pub id: &'a str,
    /// `Plan::key`.
    pub key: u64,
    /// The source, as in `jpeg:2048x1358`.
    pub src: &'a dyn fmt::Display,
    /// The rendition, as in `webp:754x500`.
    pub dst: &'a dyn fmt::Display,
    /// The engine that ran the passes.
    pub engine: &'static str,
    /// Where it was sent, if there was a choice.
    pub placed: Option<Placed>,
    /// Where the time went.
    pub timings: Timings,
    /// Bytes of the rendition.
    pub bytes: u64,
}

/// What is so just now, for the gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Jobs that wait for a lane.
    pub waiting: usize,
    /// Jobs begun and not finished.
    pub running: usize,
    /// Bytes granted to the jobs that are begun.
    pub memory_bytes: u64,
    /// Lanes that show no sign of life.
    pub lanes_stuck: usize,
    /// Bytes of derivatives in memory …
    pub cache_memory_bytes: u64,
    /// … and on disk.
    pub cache_disk_bytes: u64,
}

/// A label of a metric, and its value.
type MetricLabel = (&'static str, &'static str);

/// What happens in the cache of derivatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheEvent {
    /// Served from memory.
    HitMemory,
    /// Served from disk.
    HitDisk,
    /// Found nowhere: to be rendered.
    Miss,
    /// Waited for somebody else's rendering.
    Joined,
    /// Refused again without being tried again.
    NegativeHit,
    /// A company or an asset was invalidated.
    Invalidated,
    /// A damaged file was found, and not served.
    Corrupt,
    /// Not written to disk, or not removed from it: too much waited, or there is no disk just now.
    NotWritten,
    /// Rendered while there was no time for a candidate.
    Hurried,
    /// Rendered again with all its candidates, while no client waited.
    Upgraded,
}

impl CacheEvent {
    /// Each with its metric, the metric's label if it has one, and what it counts.
    const ALL: [(Self, &'static str, Option<MetricLabel>, &'static str); 10] = [
        (Self::HitMemory, "calotype_cache_hits", Some(("part", "memory")), "derivatives served from the cache"),
        (Self::HitDisk, "calotype_cache_hits", Some(("part", "disk")), "derivatives served from the cache"),
        (Self::Miss, "calotype_cache_misses", None, "derivatives that were not in the cache"),
        (Self::Joined, "calotype_cache_joined", None, "requests that waited for another one's rendering"),
        (Self::NegativeHit, "calotype_cache_negative_hits", None, "requests refused as a moment before"),
        (Self::Invalidated, "calotype_cache_invalidations", None, "companies and assets that were invalidated"),
        (Self::Corrupt, "calotype_cache_corrupt", None, "damaged files found in the cache's directory"),
        (Self::NotWritten, "calotype_cache_not_written", None, "entries left out of the cache's directory"),
        (Self::Hurried, "calotype_hurried", None, "derivatives with no time for a candidate"),
        (Self::Upgraded, "calotype_upgrades", None, "hurried derivatives that were made anew"),
    ];
}

/// The counters of one service.
pub struct Telemetry {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    queue_ms: Histogram,
    decode_ms: Histogram,
    pass_ms: Histogram,
    encode_ms: Histogram,
    bytes: Counter,
    renders: Counter,
    cache: [Counter; CacheEvent::ALL.len()],
    blame: [Counter; 7],
    shed: Counter,
    cancelled: Counter,
    device_lost: Counter,
    encoded_ahead: Counter,
    jobs_waiting: Gauge,
    jobs_running: Gauge,
    memory_bytes: Gauge,
    lanes_stuck: Gauge,
    cache_memory_bytes: Gauge,
    cache_disk_bytes: Gauge,
    /// Renditions and refusals so far, for what happens only now and then.
    events: AtomicU64,
}

/// Samples of a histogram are folded into its buckets after this many events, so that they do not pile up where nobody
/// reads `/metrics`.
const EVENTS_BETWEEN_UPKEEP: u64 = 1024;
/// One in so many refusals for load is logged: a flood of them must not become a flood of lines.
const SHED_PER_LINE: u64 = 64;
/// Bucket limits of all times, ms.
const BUCKETS_MS: [f64; 14] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 5000.0];

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl Telemetry {
    /// All counters at zero.
    pub fn new() -> Self {
        let builder = PrometheusBuilder::new();
        // Refused only for an empty list.
        let recorder = match builder.set_buckets(&BUCKETS_MS) {
            Ok(builder) => builder.build_recorder(),
            Err(_) => PrometheusBuilder::new().build_recorder(),
        };
        let names = Names(&recorder);
        Self {
            queue_ms: names.histogram("calotype_queue_ms", "waiting for a lane and for memory, ms"),
            decode_ms: names.histogram("calotype_decode_ms", "reading and decoding the source, ms"),
            pass_ms: names.histogram("calotype_pass_ms", "the engine's passes, ms"),
            encode_ms: names.histogram("calotype_encode_ms", "encoding, all candidates, ms"),
            bytes: names.counter("calotype_bytes", "bytes of renditions made", None),
            renders: names.counter("calotype_renders", "renditions that were rendered", None),
            cache: CacheEvent::ALL.map(|(_, name, label, text)| names.counter(name, text, label)),
            blame: BLAMES.map(|blame| {
                names.counter("calotype_blame", "renditions by whose fault", Some(("blame", word(blame))))
            }),
            shed: names.counter("calotype_shed", "requests refused or given up for overload", None),
            cancelled: names.counter("calotype_cancelled", "jobs stopped because the client left", None),
            device_lost: names.counter("calotype_device_lost", "renditions replayed on the CPU", None),
            encoded_ahead: names.counter(
                "calotype_encoded_ahead",
                "candidates begun by lanes with nothing to do",
                None,
            ),
            jobs_waiting: names.gauge("calotype_jobs_waiting", "jobs that wait for a lane"),
            jobs_running: names.gauge("calotype_jobs_running", "jobs begun and not finished"),
            memory_bytes: names.gauge("calotype_memory_bytes", "bytes granted to the jobs that are begun"),
            lanes_stuck: names.gauge("calotype_lanes_stuck", "lanes that show no sign of life"),
            cache_memory_bytes: names.gauge("calotype_cache_memory_bytes", "bytes of derivatives in memory"),
            cache_disk_bytes: names.gauge("calotype_cache_disk_bytes", "bytes of derivatives on disk"),
            events: AtomicU64::new(0),
            handle: recorder.handle(),
            recorder,
        }
    }

    /// A rendition is ready.
    pub fn rendition(&self, line: &Line<'_>) {
        let Line { id, key, src, dst, engine, placed, timings, bytes } = line;
        self.queue_ms.record(ms(timings.queue));
        self.decode_ms.record(ms(timings.decode));
        self.pass_ms.record(ms(timings.pass));
        self.encode_ms.record(ms(timings.encode));
        self.bytes.increment(*bytes);
        self.renders.increment(1);
        self.count(None);
        tracing::info!(
            id,
            key = format_args!("{key:016x}"),
            %src,
            %dst,
            engine,
            placed = placed.map(|placed| placed.side),
            gpu_estimate_ms = placed.map(|placed| round(placed.gpu)),
            cpu_estimate_ms = placed.map(|placed| round(placed.cpu)),
            queue_ms = round(timings.queue),
            decode_ms = round(timings.decode),
            pass_ms = round(timings.pass),
            encode_ms = round(timings.encode),
            bytes,
            blame = word(None),
        );
    }

    /// There is no rendition, and why.
    pub fn refusal(&self, id: &str, key: Option<u64>, error: &Error) {
        let blame = error.blame();
        let events = self.count(Some(blame));
        let key = key.unwrap_or(0);
        let (key, name) = (format_args!("{key:016x}"), word(Some(blame)));
        match blame {
            Blame::Client => tracing::debug!(id, key, blame = name, %error),
            Blame::Source => tracing::info!(id, key, blame = name, %error),
            Blame::Load => {
                if !matches!(error, Error::Cancelled { .. }) {
                    self.shed.increment(1);
                }
                if events.is_multiple_of(SHED_PER_LINE) {
                    tracing::info!(id, key, blame = name, %error, "one of many");
                }
            }
            Blame::Device => tracing::warn!(id, key, blame = name, %error),
            Blame::Config | Blame::Bug => tracing::error!(id, key, blame = name, %error),
        }
    }

    /// Something happened in the cache.
    pub fn cache(&self, event: CacheEvent) {
        let i = CacheEvent::ALL.iter().position(|(known, ..)| *known == event).unwrap_or(0);
        self.cache[i].increment(1);
    }

    /// So many client hints of that name could not be understood; 0 makes the name known to `/metrics`. Names are those
    /// of the program, so that there are few.
    pub fn malformed_hints(&self, header: &'static str, times: u64) {
        let label = Some(("header", header));
        Names(&self.recorder).counter("calotype_malformed_hints", "hints taken for absent", label).increment(times);
    }

    /// A job stopped because nobody waits for it.
    pub fn cancelled(&self) {
        self.cancelled.increment(1);
    }

    /// The GPU failed a rendition, which goes to the CPU now.
    pub fn device_lost(&self, key: u64, error: &Error) {
        self.device_lost.increment(1);
        tracing::warn!(key = format_args!("{key:016x}"), blame = word(Some(Blame::Device)), %error, "replayed on the CPU");
    }

    /// A candidate is encoded while the format asked for is.
    pub fn encoded_ahead(&self) {
        self.encoded_ahead.increment(1);
    }

    /// All metrics as Prometheus text.
    pub fn text(&self, load: Load) -> String {
        self.jobs_waiting.set(whole(load.waiting as u64));
        self.jobs_running.set(whole(load.running as u64));
        self.memory_bytes.set(whole(load.memory_bytes));
        self.lanes_stuck.set(whole(load.lanes_stuck as u64));
        self.cache_memory_bytes.set(whole(load.cache_memory_bytes));
        self.cache_disk_bytes.set(whole(load.cache_disk_bytes));
        self.handle.render()
    }

    fn count(&self, blame: Option<Blame>) -> u64 {
        let i = BLAMES.iter().position(|&known| known == blame).unwrap_or(0);
        self.blame[i].increment(1);
        let events = self.events.fetch_add(1, Ordering::Relaxed);
        if events % EVENTS_BETWEEN_UPKEEP == EVENTS_BETWEEN_UPKEEP - 1 {
            self.handle.run_upkeep();
        }
        events
    }
}

const BLAMES: [Option<Blame>; 7] = [
    None,
    Some(Blame::Client),
    Some(Blame::Source),
    Some(Blame::Load),
    Some(Blame::Device),
    Some(Blame::Config),
    Some(Blame::Bug),
];

fn word(blame: Option<Blame>) -> &'static str {
    match blame {
        None => "none",
        Some(Blame::Client) => "client",
        Some(Blame::Source) => "source",
        Some(Blame::Load) => "load",
        Some(Blame::Device) => "device",
        Some(Blame::Config) => "config",
        Some(Blame::Bug) => "bug",
    }
}

/// Milliseconds to the microsecond, for a line that people read.
fn round(time: Duration) -> f64 {
    (ms(time) * 1e3).round() / 1e3
}

/// Exact up to 2^53, which no gauge of ours reaches.
fn whole(n: u64) -> f64 {
    n as f64
}

/// Registers metrics with their descriptions.
struct Names<'a>(&'a PrometheusRecorder);

const METADATA: Metadata<'static> = Metadata::new("calotype", Level::INFO, None);

impl Names<'_> {
    fn counter(&self, name: &'static str, text: &'static str, label: Option<MetricLabel>) -> Counter {
        self.0.describe_counter(KeyName::from(name), None, text.into());
        let labels = label.map(|(key, value)| Label::new(key, value)).into_iter().collect::<Vec<_>>();
        self.0.register_counter(&Key::from_parts(name, labels), &METADATA)
    }

    fn gauge(&self, name: &'static str, text: &'static str) -> Gauge {
        self.0.describe_gauge(KeyName::from(name), None, text.into());
        self.0.register_gauge(&Key::from_name(name), &METADATA)
    }

    fn histogram(&self, name: &'static str, text: &'static str) -> Histogram {
        self.0.describe_histogram(KeyName::from(name), None, text.into());
        self.0.register_histogram(&Key::from_name(name), &METADATA)
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}
