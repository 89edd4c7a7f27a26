//! What the daemon adds to a render, how it behaves under load, and how soon it serves.
//!
//! In one run, alternating, so that whatever else the machine does falls on both sides: the same rendition by
//! `Service::image` in this process and by a request on the socket of `daemon::serve` over the same service. Then closed
//! loops of 1, 8 and 64 connections, the time from the start of `calotype up` to its first reply, and criterion's group
//! `daemon/…`; `-- figures` leaves that out, any other filter leaves the figures out. Every answer is checked before it
//! is timed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use calotype::catalog::{Company, SourceRoot};
use calotype::config::{Config, EngineChoice};
use calotype::daemon;
use calotype::decide::Hints;
use calotype::heap;
use calotype::load::{self, Load, Pacing, Target};
use calotype::pixel::{Size, testcard};
use calotype::service::{ImageRequest, Service};
use criterion::Criterion;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

mod camera;

/// About 50 kB as JPEG, of a source that is hardly larger: the less the render takes, the better the rest is seen.
/// Rendered anew each time.
const QUERY: &str = "wid=800&qlt=85&cache=on,off";
/// The same from the cache.
const HIT: &str = "wid=800&qlt=85";
const SOURCE: Size = Size::new(880, 587);
const PAIRS: usize = 400;
const LOOP: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(60);

#[global_allocator]
static HEAP: heap::Heap = heap::Heap;

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    // As the daemon does.
    heap::settle();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut config = Config::demo();
    let photo = camera::jpeg(&testcard::photo(SOURCE, 7), 92);
    std::fs::write(dir.path().join("photo.jpg"), photo).expect("a temporary file");
    let company = Company::new("bench", SourceRoot::Dir(dir.path().to_owned()));
    config.catalog.companies.insert(company.root_id.clone(), company);
    config.daemon.engine = EngineChoice::Simd;
    config.daemon.socket = Some(dir.path().join("bench.sock"));
    let runtime = Runtime::new().expect("a runtime");
    let service = Service::try_new(&config).expect("a service");
    let listeners = runtime.block_on(async { daemon::bind(&config.daemon) }).expect("two sockets");
    let socket = daemon::data_socket(&config.daemon);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = {
        let service = Arc::clone(&service);
        runtime.spawn(async move { daemon::serve(service, &config, listeners, async { drop(stopped.await) }).await })
    };

    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if filter.as_deref().is_none_or(|filter| filter == "figures") {
        figures(&runtime, &service, &socket, dir.path());
    }
    if filter.as_deref() != Some("figures") {
        groups(&runtime, &service, &socket);
    }
    drop(stop);
    runtime.block_on(serving).expect("no panic").expect("a clean end");
}

fn figures(runtime: &Runtime, service: &Service, socket: &Path, dir: &Path) {
    overhead(runtime, service, socket);
    println!();
    println!("{:>11} {:>9} {:>9} {:>9} {:>7} {:>9}", "connections", "req/s", "p50 ms", "p99 ms", "shed %", "replies");
    for connections in [1, 8, 64] {
        load(runtime, socket, connections);
    }
    println!();
    idle_lanes(runtime, dir);
    first_request(dir);
}

/// One request at a time on one lane and on two, in turns: what a lane with nothing to do is good for.
fn idle_lanes(runtime: &Runtime, dir: &Path) {
    const ROUNDS: usize = 60;
    let services = [1, 2].map(|threads| {
        let mut config = Config::demo();
        let company = Company::new("bench", SourceRoot::Dir(dir.to_owned()));
        config.catalog.companies.insert(company.root_id.clone(), company);
        config.daemon.engine = EngineChoice::Simd;
        config.daemon.threads = threads;
        Service::try_new(&config).expect("a service")
    });
    for query in ["wid=800&fmt=png&bfc=on", "wid=800&fmt=png&bfc=off"] {
        let hints = Hints::from_headers([("Accept", "image/avif,image/webp")]);
        let query = format!("{query}&cache=on,off");
        let request = ImageRequest { path: String::from("/bench/photo"), query, hints, ..ImageRequest::default() };
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (service, times) in services.iter().zip(&mut times) {
                let start = Instant::now();
                let image = service.image(&request, Instant::now() + DEADLINE);
                runtime.block_on(image).expect("a rendition");
                times.push(start.elapsed());
            }
        }
        let [one, two] = times.map(|mut times| percentile(&mut times, 50));
        println!("{}: one lane {one:.3} ms, two lanes {two:.3} ms, ratio {:.2}", request.query, one / two);
    }
    println!();
}

fn image(runtime: &Runtime, service: &Service) -> Bytes {
    let request =
        ImageRequest { path: String::from("/bench/photo"), query: String::from(QUERY), ..ImageRequest::default() };
    runtime.block_on(service.image(&request, Instant::now() + DEADLINE)).expect("a rendition").bytes
}

/// Criterion's group: a rendition in process and over the socket, a hit, a reply without work.
fn groups(runtime: &Runtime, service: &Service, socket: &Path) {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("daemon");
    group.sample_size(50);
    let expected = image(runtime, service);
    group.bench_function("in process", |b| b.iter(|| image(runtime, service)));
    let mut client = Client::connect(socket);
    for (name, target) in [
        ("over the socket", format!("/is/image/bench/photo?{QUERY}")),
        ("hit", format!("/is/image/bench/photo?{HIT}")),
        ("livez", String::from("/livez")),
    ] {
        let (status, body) = client.get(&target);
        assert!(status == 200 && (name == "livez" || body == expected), "{name}: the same bytes both ways");
        group.bench_function(name, |b| b.iter(|| client.get(&target)));
    }
    group.finish();
    criterion.final_summary();
}

/// The same rendition in process and over the socket, in turns.
fn overhead(runtime: &Runtime, service: &Service, socket: &Path) {
    let in_process = || image(runtime, service);
    let mut client = Client::connect(socket);
    let target = format!("/is/image/bench/photo?{QUERY}");
    let expected = in_process();
    let (status, body) = client.get(&target);
    assert!(status == 200 && body == expected, "both ways give the same bytes");
    let mut inside = Vec::new();
    let mut outside = Vec::new();
    for _ in 0..PAIRS {
        let start = Instant::now();
        let bytes = in_process();
        inside.push(start.elapsed());
        let start = Instant::now();
        let (_, body) = client.get(&target);
        outside.push(start.elapsed());
        assert_eq!(bytes, body);
    }
    let (inside, outside) = (percentile(&mut inside, 50), percentile(&mut outside, 50));
    println!("daemon overhead, {QUERY}, {} bytes, {PAIRS} pairs in turns, medians:", expected.len());
    println!("  in process {inside:.3} ms, over the socket {outside:.3} ms, difference {:.3} ms", outside - inside);
    let hit = format!("/is/image/bench/photo?{HIT}");
    assert_eq!(client.get(&hit).0, 200);
    let mut hits: Vec<_> = (0..PAIRS * 5)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(client.get(&hit).1.len(), expected.len());
            start.elapsed()
        })
        .collect();
    let (p50, p99) = (percentile(&mut hits, 50), percentile(&mut hits, 99));
    println!("  a hit of the cache: median {p50:.3} ms, 99th percentile {p99:.3} ms");
    // And the way alone: a reply that needs no render.
    let mut way: Vec<_> = (0..PAIRS * 5)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(client.get("/livez").0, 200);
            start.elapsed()
        })
        .collect();
    println!("  a reply without work (/livez) {:.3} ms", percentile(&mut way, 50));
}

/// A closed loop of different sizes, so that nothing can be shared.
fn load(runtime: &Runtime, socket: &Path, connections: usize) {
    let paths = (700..850).map(|w| format!("/is/image/bench/photo?wid={w}&qlt=85&cache=on,off"));
    let load = Load {
        target: Target::Socket(socket.to_owned()),
        paths: paths.collect(),
        headers: Vec::new(),
        pacing: Pacing::Closed,
        connections,
        warm_up: Duration::from_secs(1),
        duration: LOOP,
        patience: DEADLINE,
    };
    let report = runtime.block_on(load::run(load)).expect("a daemon that listens");
    let (served, shed) = (report.served(), report.statuses.get(&503).copied().unwrap_or(0));
    assert!(report.replies() == served + shed && report.broken + report.timed_out == 0, "{report:?}");
    println!(
        "{connections:>11} {:>9.1} {:>9.2} {:>9.2} {:>7.2} {served:>9}",
        report.per_second(),
        report.percentile_ms(50.0),
        report.percentile_ms(99.0),
        100.0 * shed as f64 / report.replies() as f64,
    );
}

/// From the start of the process to the last byte of its first picture.
fn first_request(dir: &Path) {
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_calotype"))
            .args(["up", "--engine", "auto", "--listen", "127.0.0.1:0", "--socket"])
            .arg(dir.join("up.sock"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary");
        let mut said = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = said
            .find_map(|line| Some(line.ok()?.split_once("http://")?.1.split('/').next()?.to_owned()))
            .expect("a line that says where it serves");
        let mut client = Client::over(TcpStream::connect(&address).expect("a front that listens"));
        let (status, body) = client.get("/is/image/demo/Valley?wid=400");
        times.push(start.elapsed());
        assert!(status == 200 && body.starts_with(b"\xff\xd8"));
        child.kill().expect("still there");
        child.wait().expect("gone");
    }
    println!("process start to first picture, cold, 5 runs: {:?}", times);
}

/// A percentile in ms.
fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort();
    times.get(times.len().saturating_sub(1) * percent / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// One HTTP/1.1 connection.
struct Client<S> {
    stream: BufReader<S>,
}

impl Client<UnixStream> {
    fn connect(socket: &Path) -> Self {
        Self::over(UnixStream::connect(socket).expect("a daemon that listens"))
    }
}

impl<S: Read + Write> Client<S> {
    fn over(stream: S) -> Self {
        Self { stream: BufReader::with_capacity(256 << 10, stream) }
    }

    fn get(&mut self, target: &str) -> (u16, Vec<u8>) {
        let request = format!("GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).expect("the request is sent");
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("a head");
            match line.trim_end() {
                "" => break,
                first if first.starts_with("HTTP/1.1 ") => status = first[9..12].parse().expect("a status"),
                header => {
                    if let Some((_, value)) =
                        header.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                    {
                        length = value.parse().expect("a length");
                    }
                }
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a body");
        (status, body)
    }
}
