//! What a whole daemon holds, and what a request costs it in memory, as the system sees the real binary: everything
//! included, its threads and what its allocator keeps.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use calotype::codec;
use calotype::pixel::{Chroma, Image, PixelFormat, Plane, Size, testcard};
use calotype::plan::{EncodeSpec, JpegQuality};

use crate::camera;

const IN_FLIGHT: usize = 8;
const MIB: u64 = 1 << 20;
/// Two of the pictures at a time or three, of eight that are asked for.
const MEMORY_MIB: u64 = 512;
const CACHE_MIB: u64 = 16;
/// Beside both, at most.
const BESIDE_MIB: u64 = 200;
const PATIENCE: Duration = Duration::from_secs(60);

/// The real binary, serving a folder as company `Co`; it is ended whatever happens.
struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    fn start(dir: &Path, folder: &Path) -> Self {
        let (config, socket) = (dir.join("calotype.toml"), dir.join("data.sock"));
        let text = format!(
            "[daemon]\ndeadline_ms = 60000\nengine = \"simd\"\nmemory = \"{MEMORY_MIB}MiB\"\n\
             [cache]\nmemory = \"{CACHE_MIB}MiB\"\n[company.Co]\nsource = \"file://{}\"\n",
            folder.display()
        );
        std::fs::write(&config, text).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_calotype"));
        command.arg("daemon").arg("--config").arg(config).arg("--socket").arg(&socket).env("CALOTYPE_LOG", "error");
        let daemon = Self { child: command.stdout(Stdio::null()).spawn().expect("the binary"), socket };
        let begun = Instant::now();
        while UnixStream::connect(&daemon.socket).is_err() {
            assert!(begun.elapsed() < PATIENCE, "the daemon does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon
    }

    /// One request on a connection of its own, rendered anew, that has to be served.
    fn get(&self, asset: &str, query: &str) {
        let target = format!("/is/image/Co/{asset}?{query}&cache=on,off");
        let mut stream = UnixStream::connect(&self.socket).expect("a daemon that listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let accept = "Accept: image/avif,image/webp";
        let head = format!("GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{accept}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("the request is sent");
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).expect("a reply");
        assert!(reply.starts_with(b"HTTP/1.1 200 "), "{target}: {}", String::from_utf8_lossy(&reply));
    }

    /// What is resident (`VmRSS:`), or was at most (`VmHWM:`), in bytes.
    fn resident(&self, name: &str) -> u64 {
        let text =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a daemon that is there");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line of /proc");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") << 10
    }

    /// Pages that the system had to provide so far.
    fn faults(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a daemon that is there");
        // After the name, which may hold spaces: state is field 3, minflt field 10.
        let mut fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.nth(7).and_then(|field| field.parse().ok()).expect("a number")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may be gone already; there is nobody to tell.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A photograph of a few megapixels, four by four of it: 16 megapixels and more.
fn large(size: Size, progressive: bool) -> Vec<u8> {
    let part = testcard::photo(Size::new(size.w / 4, size.h / 4), 7);
    let repeated = |plane: &Plane<u8>| {
        let mut data = Vec::with_capacity(size.samples());
        for y in 0..size.h as usize {
            let row = plane.row(y % plane.size().h as usize);
            (0..4).for_each(|_| data.extend_from_slice(row));
        }
        Plane::from_vec(size, data)
    };
    let image = Image::from_planes(size, PixelFormat::RGB, part.planes().iter().map(repeated).collect());
    if !progressive {
        return camera::jpeg(&image, 85);
    }
    let spec = EncodeSpec::Jpeg { quality: JpegQuality(85), chroma: Chroma::Half, progressive };
    codec::encode(&image, &spec).expect("a picture of ours")
}

/// Large pictures in `dir` or of the corpus: a folder and the names in it.
fn pictures(dir: &Path) -> (PathBuf, Vec<&'static str>) {
    if let Some(corpus) = std::env::var_os("CORPUS") {
        let names = [
            "large/pineapple.jpg",
            "large/space.jpg",
            "jpeg-variants/large_no_samp_7680_4320.jpg",
            "jpeg-variants/progressive_420_7680x4320.jpg",
        ];
        return (std::fs::canonicalize(corpus).expect("CORPUS names a folder"), names.to_vec());
    }
    println!("CORPUS is not set: computed pictures");
    for (name, size, progressive) in [
        ("a.jpg", Size::new(4928, 3280), false),
        ("b.jpg", Size::new(7680, 4320), false),
        ("c.jpg", Size::new(7680, 4320), true),
    ] {
        std::fs::write(dir.join(name), large(size, progressive)).expect("a file");
    }
    (dir.to_owned(), vec!["a.jpg", "b.jpg", "c.jpg"])
}

#[test]
fn a_daemon_stays_within_its_budget_its_cache_and_200_mib() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (folder, names) = pictures(dir.path());
    let daemon = Daemon::start(dir.path(), &folder);
    let queries = ["wid=800", "wid=800&fmt=webp", "wid=800&bfc=on", "wid=801&op_usm=1.75,0.3,2,0"];
    let asked: Vec<_> = queries.iter().flat_map(|query| names.iter().map(move |name| (name, query))).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..IN_FLIGHT {
            scope.spawn(|| {
                while let Some((name, query)) = asked.get(next.fetch_add(1, Ordering::Relaxed)) {
                    daemon.get(name, query);
                }
            });
        }
    });
    let (peak, limit) = (daemon.resident("VmHWM:"), (MEMORY_MIB + CACHE_MIB + BESIDE_MIB) * MIB);
    println!("{} requests, peak {} MiB of at most {} MiB", asked.len(), peak / MIB, limit / MIB);
    assert!(peak <= limit, "{} MiB resident, at most {} MiB", peak / MIB, limit / MIB);
}

/// A decoder hands out interleaved samples, 3 bytes a pixel; the planes that are made of them take 3 more. The first go back to the
/// system while the second grow.
#[test]
fn the_samples_of_a_large_picture_go_while_its_planes_grow() {
    let size = Size::new(6000, 4000);
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("a.jpg"), large(size, false)).expect("a file");
    let daemon = Daemon::start(dir.path(), dir.path());
    let before = daemon.resident("VmRSS:");
    daemon.get("a.jpg", "wid=400");
    let bytes_a_pixel = (daemon.resident("VmHWM:") - before) as f64 / size.pixels() as f64;
    println!("{bytes_a_pixel:.2} bytes a pixel at most");
    assert!(bytes_a_pixel < 4.5, "{bytes_a_pixel:.2} bytes a pixel at most");

    let enabled = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if !enabled.contains("[madvise]") && !enabled.contains("[always]") {
        println!("this system has no large pages: {enabled:?}");
        return;
    }
    let pages = (0..6).map(|_| {
        let before = daemon.faults();
        daemon.get("a.jpg", "wid=400");
        daemon.faults() - before
    });
    let (pages, small) = (pages.min().expect("some requests"), 3 * size.pixels() / 4096);
    println!("{pages} pages a request at least, {small} were they small");
    assert!(2 * pages < small, "{pages} pages a request at least");
}

/// What a request gave back is there for the next one, until the daemon rests: no buffer comes from the system once warm,
/// in our code, in decoders or in C. A picture of this size takes thousands of pages.
#[test]
fn a_warm_request_takes_no_pages_from_the_system() {
    const ROUNDS: usize = 12;
    const PAGES_MAX: u64 = 200;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let photo = testcard::photo(Size::new(1500, 1000), 7);
    let mut planes = photo.planes().to_vec();
    planes.push(photo.planes()[1].clone());
    let clear = Image::from_planes(photo.size(), PixelFormat::RGBA, planes);
    let png = codec::encode(&clear, &EncodeSpec::Png).expect("bytes");
    for (name, bytes) in [("a.jpg", camera::jpeg(&photo, 90)), ("b.png", png)] {
        std::fs::write(dir.path().join(name), bytes).expect("a file");
    }
    let daemon = Daemon::start(dir.path(), dir.path());
    let asked = [
        ("a.jpg", "hei=500&fmt=jpeg"),
        ("a.jpg", "hei=500&fmt=webp"),
        ("a.jpg", "hei=500&fmt=avif"),
        ("b.png", "hei=500&fmt=webp-alpha"),
        ("a.jpg", "hei=500&op_usm=1.75,0.3,2,0&bfc=on"),
    ];
    for (name, query) in asked {
        // Either lane may take it.
        (0..ROUNDS).for_each(|_| daemon.get(name, query));
        let mut pages: Vec<u64> = (0..ROUNDS)
            .map(|_| {
                let before = daemon.faults();
                daemon.get(name, query);
                daemon.faults() - before
            })
            .collect();
        pages.sort_unstable();
        // Free memory may have been given back in between.
        let pages = pages[ROUNDS / 2];
        println!("{name} {query}: {pages} pages a request");
        assert!(pages <= PAGES_MAX, "{name} {query}: {pages} pages a request, at most {PAGES_MAX}");
    }
    // All of that is free, and goes back when nobody asks any more.
    let (busy, begun) = (daemon.resident("VmRSS:"), Instant::now());
    while daemon.resident("VmRSS:") * 4 > busy * 3 {
        assert!(
            begun.elapsed() < PATIENCE,
            "{} MiB resident, and {} at rest",
            busy / MIB,
            daemon.resident("VmRSS:") / MIB
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("{} MiB resident, {} at rest", busy / MIB, daemon.resident("VmRSS:") / MIB);
}
