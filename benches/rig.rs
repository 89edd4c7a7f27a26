//! The binary under load: pictures to ask for, a daemon on its socket, a client, chance that can be replayed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use calotype::codec;
use calotype::pixel::{Chroma, Image, PixelFormat, Plane, Size, testcard};
use calotype::plan::{EncodeSpec, JpegQuality, WebpQuality};

#[path = "camera.rs"]
mod camera;
#[path = "stored.rs"]
mod stored;

/// Nothing takes longer; a daemon that hangs is an end, too.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many requests, and the seed of their chance: `count` unless the command line has a number, `SEED` or today's, which
/// is another every day. `None` for `cargo test --benches`, which only wants to know that it builds.
pub(crate) fn asked(count: usize) -> Option<(usize, u64)> {
    if !std::env::args().any(|arg| arg == "--bench") {
        return None;
    }
    let number = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let count = number.map_or(count, |number| number.parse().expect("a number of requests"));
    let seed = match std::env::var("SEED") {
        Ok(seed) => seed.parse().expect("SEED is a decimal number of 64 bits"),
        Err(_) => std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs() / 86_400),
    };
    Some((count, seed))
}

/// SplitMix64 (Steele, Lea, Flood, 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64, i: usize) -> Self {
        let mut random = Self(seed ^ (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }

    /// 0 up to 1.
    pub(crate) fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// 1 to 2047 px, every power of two as often as any other.
    pub(crate) fn side(&mut self) -> usize {
        let power = 1 << self.below(11);
        power + self.below(power)
    }
}

/// The folder that `CORPUS` names, if it is one.
pub(crate) fn corpus() -> Option<PathBuf> {
    std::env::var_os("CORPUS").and_then(|path| std::fs::canonicalize(path).ok()).filter(|path| path.is_dir())
}

/// Company and asset of every picture, by folder: a folder of many is not asked more often than one of few.
/// Of the corpus' folders, those whose path is `wanted`. What is missing of it is said.
pub(crate) fn folders(dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
    let made = dir.join("made");
    std::fs::create_dir(&made).expect("a temporary folder");
    let mut folders = vec![make(&made)];
    let Some(corpus) = corpus() else {
        match std::env::var_os("CORPUS") {
            Some(path) => println!("CORPUS={} names no folder: computed pictures alone", path.display()),
            None => println!("CORPUS is not set: computed pictures alone"),
        }
        return folders;
    };
    let mut below = vec![corpus.clone()];
    while let Some(folder) = below.pop() {
        let mut assets = Vec::new();
        let entries = match folder.read_dir() {
            Ok(entries) => entries,
            Err(cause) => {
                println!("{} of CORPUS cannot be read and is left out: {cause}", folder.display());
                continue;
            }
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.strip_prefix(&corpus).expect("below it").to_string_lossy().into_owned();
            let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
            let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
            if path.is_dir() {
                if wanted(&name) {
                    below.push(path);
                }
            } else if is_plain
                && (name.starts_with("hostile")
                    || matches!(&*extension, "jpg" | "jpeg" | "png" | "webp" | "gif" | "tif" | "tiff"))
            {
                assets.push(format!("Corpus/{name}"));
            }
        }
        // The order of a folder is anybody's guess, a replay must not depend on it.
        assets.sort();
        if !assets.is_empty() {
            folders.push(assets);
        }
    }
    if folders.len() == 1 {
        println!("CORPUS={} has no pictures: computed ones alone", corpus.display());
    }
    folders.sort();
    folders
}

/// Writes pictures of all kinds.
fn make(folder: &Path) -> Vec<String> {
    let jpeg = |quality, chroma| EncodeSpec::Jpeg { quality: JpegQuality(quality), chroma, progressive: false };
    let size = Size::new(1600, 1067);
    let grey = |size: Size, value: fn(u32) -> u8| {
        let data = (0..size.w * size.h).map(value).collect();
        Image::from_planes(size, PixelFormat::GREY, vec![Plane::from_vec(size, data)])
    };
    let noise = |i: u32| i.wrapping_mul(0x9e37_79b9).to_le_bytes()[3];
    let photo = camera::jpeg(&testcard::valley(size, 1), 92);
    std::fs::write(folder.join("photo420.jpg"), photo).expect("a file");
    let pictures = [
        ("photo444.jpg", testcard::valley(size, 2), jpeg(97, Chroma::Full)),
        ("poor.jpg", testcard::valley(size, 3), jpeg(20, Chroma::Half)),
        ("portrait.jpg", testcard::portrait(Size::new(900, 1300), 4), jpeg(90, Chroma::Half)),
        ("vase.png", testcard::vase(Size::new(700, 701), 5), EncodeSpec::Png),
        ("vase.webp", testcard::vase(Size::new(333, 500), 6), EncodeSpec::Webp { quality: WebpQuality(8000) }),
        ("chart.png", testcard::chart(Size::new(1200, 900)), EncodeSpec::Png),
        ("grey.jpg", grey(Size::new(640, 480), |i| (i / 1280).to_le_bytes()[0]), jpeg(85, Chroma::Half)),
        ("flat.png", grey(Size::new(800, 600), |_| 90), EncodeSpec::Png),
        ("noise.png", grey(Size::new(257, 255), noise), EncodeSpec::Png),
        ("dot.png", testcard::valley(Size::new(1, 1), 7), EncodeSpec::Png),
        ("line.png", testcard::valley(Size::new(1500, 1), 8), EncodeSpec::Png),
    ];
    let write = |(name, image, spec): (&str, Image, EncodeSpec)| {
        let bytes = codec::encode(&stored::as_stored(&image, &spec), &spec).expect("a picture of ours");
        std::fs::write(folder.join(name), bytes).expect("a file");
        format!("Made/{name}")
    };
    std::iter::once(String::from("Made/photo420.jpg")).chain(pictures.into_iter().map(write)).collect()
}

/// The release binary, or the one that `CALOTYPE` names, serving.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) socket: PathBuf,
    log: PathBuf,
}

impl Daemon {
    /// With the folder `made` in `dir` as company `Made`, and the [`corpus`] as company `Corpus`; `settings` are lines of the
    /// configuration before the companies.
    pub(crate) fn start(dir: &Path, settings: &str) -> Self {
        let [config, socket, log] = ["calotype.toml", "data.sock", "log"].map(|name| dir.join(name));
        let company = |name: &str, folder: &Path| {
            let switches = "dpr = true\nnetwork = true\nmax_pix = [4000, 4000]";
            format!("[company.{name}]\nsource = \"file://{}\"\n{switches}\n", folder.display())
        };
        let mut text = format!("{settings}\n");
        text += &company("Made", &dir.join("made"));
        if let Some(corpus) = corpus() {
            text += &company("Corpus", &corpus);
        }
        std::fs::write(&config, text).expect("a file");
        let binary = std::env::var_os("CALOTYPE").unwrap_or_else(|| env!("CARGO_BIN_EXE_calotype").into());
        let mut command = Command::new(binary);
        command.arg("daemon").arg("--config").arg(config).arg("--socket").arg(&socket).env("CALOTYPE_LOG", "warn");
        let stderr = std::fs::File::create(&log).expect("a file");
        let child = command.stdout(Stdio::null()).stderr(stderr).spawn().expect("the binary");
        let daemon = Self { child, socket, log };
        let begun = Instant::now();
        while UnixStream::connect(&daemon.socket).is_err() {
            assert!(begun.elapsed() < PATIENCE, "the daemon does not listen:\n{}", daemon.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon
    }

    /// The admin socket.
    pub(crate) fn admin(&self) -> PathBuf {
        self.socket.with_file_name("data-admin.sock")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it is still well and ends as it should, to be added to what else was `wrong`.
    pub(crate) fn end(mut self, wrong: &mut Vec<String>) {
        let metrics = Client::connect(&self.admin()).get("/metrics", "").text();
        let number = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        for name in ["calotype_hurried", "calotype_upgrades", "calotype_device_lost"] {
            println!("{name} {}", number(name).unwrap_or(0));
        }
        if number("calotype_blame{blame=\"bug\"}") != Some(0) {
            wrong.push(String::from("errors that are ours: see the log"));
        }
        let asked = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let ended = asked.and_then(|_| self.child.wait());
        if !ended.is_ok_and(|status| status.success()) {
            wrong.push(String::from("the daemon did not end well"));
        }
        let log = self.log();
        if log.contains("panicked") {
            wrong.push(String::from("a panic in the log"));
        }
        if !wrong.is_empty() {
            println!("the daemon's log:\n{log}");
        }
    }
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case.
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One HTTP/1.1 connection, anew when the daemon has closed it.
pub(crate) struct Client {
    socket: PathBuf,
    stream: Option<BufReader<UnixStream>>,
}

impl Client {
    pub(crate) fn connect(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), stream: None }
    }

    /// `headers` are whole lines.
    pub(crate) fn get(&mut self, target: &str, headers: &str) -> Reply {
        self.send("GET", target, headers, &[])
    }

    pub(crate) fn post(&mut self, target: &str, headers: &str, body: &[u8]) -> Reply {
        self.send("POST", target, &format!("{headers}Content-Length: {}\r\n", body.len()), body)
    }

    /// Asks, and is gone before the reply comes.
    pub(crate) fn leave(&mut self, target: &str, headers: &str) {
        let mut stream = self.connected();
        // A daemon that has closed the connection is left as well.
        drop(write(&mut stream, "GET", target, headers, &[]));
    }

    fn connected(&mut self) -> BufReader<UnixStream> {
        self.stream.take().unwrap_or_else(|| {
            let stream = UnixStream::connect(&self.socket).expect("a daemon that listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            BufReader::with_capacity(256 << 10, stream)
        })
    }

    fn send(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) -> Reply {
        let is_reused = self.stream.is_some();
        let mut stream = self.connected();
        let mut reply = exchange(&mut stream, method, target, headers, body);
        // One that nobody has used for long is closed.
        if is_reused && reply.as_ref().is_err_and(|cause| cause.kind() != ErrorKind::WouldBlock) {
            stream = self.connected();
            reply = exchange(&mut stream, method, target, headers, body);
        }
        let reply = reply.unwrap_or_else(|cause| panic!("{target}: no reply: {cause}"));
        self.stream = (reply.header("connection") != "close").then_some(stream);
        reply
    }
}

fn write(
    stream: &mut BufReader<UnixStream>,
    method: &str,
    target: &str,
    headers: &str,
    body: &[u8],
) -> std::io::Result<()> {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: bench\r\n{headers}\r\n").into_bytes();
    request.extend_from_slice(body);
    stream.get_mut().write_all(&request)
}

fn exchange(
    stream: &mut BufReader<UnixStream>,
    method: &str,
    target: &str,
    headers: &str,
    body: &[u8],
) -> std::io::Result<Reply> {
    write(stream, method, target, headers, body)?;
    let mut reply = Reply { status: 0, headers: BTreeMap::new(), body: Vec::new() };
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => break,
            first if first.starts_with("HTTP/1.1 ") => reply.status = first[9..12].parse().expect("a status"),
            header => {
                let (name, value) = header.split_once(": ").expect("a header");
                reply.headers.insert(name.to_ascii_lowercase(), value.to_owned());
            }
        }
    }
    reply.body = vec![0; reply.header("content-length").parse().expect("a length")];
    stream.read_exact(&mut reply.body)?;
    Ok(reply)
}
