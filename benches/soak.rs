//! Does memory stay where it is, and below what was promised, however long the daemon serves?
//!
//! `./x bench soak [COUNT]`: so many random requests (50,000 by default), eight in flight, to the release binary on its
//! socket: renditions of every format by most operations, of computed pictures and of all of `CORPUS`, those included that
//! were made to break decoders; transcoding, fan-outs, explanations, properties, nonsense, and clients that leave.
//! Prints each tenth, with medians of the resident memory; ends with 1 if at the end it was more than 1.15 times what it
//! was after the first tenth (5,000 of 50,000), the daemon ever had more than its budget, its cache and 200 MiB, replied
//! with what the manual does not know, or did not end well. `SEED=` replays a run: request i depends on the seed and i
//! alone. `CALOTYPE=` names another binary to compare with, and variables like `LD_PRELOAD` reach it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

mod rig;

use rig::{Client, Daemon, Random, Reply, asked, corpus, folders};

const COUNT: usize = 50_000;
const IN_FLIGHT: usize = 8;
const LEGS: usize = 10;
const MIB: u64 = 1 << 20;
/// The daemon's budget: two of the largest pictures at a time, so that others wait.
const MEMORY_MIB: u64 = 512;
/// Its cache: soon full.
const CACHE_MIB: u64 = 32;
const CACHE_DISK_MIB: u64 = 128;
/// Beside them, at most: the binary itself, buffers of the wire, what the allocator keeps.
const BESIDE_MIB: u64 = 200;
/// At the end it may take so many times what it took after the first tenth of the requests. Each is the mean of all looks
/// during a tenth of them, the one around that moment and the last: large pictures in hand move single looks by half.
const GROWTH_MAX: f64 = 1.15;
/// Pictures of 16 and 33 megapixels in `CORPUS`.
const LARGE: [&str; 3] = [
    "Corpus/large/pineapple.jpg",
    "Corpus/jpeg-variants/large_no_samp_7680_4320.jpg",
    "Corpus/jpeg-variants/progressive_420_7680x4320.jpg",
];
/// How often the daemon's memory is looked at, and when once more after the last request.
const LOOK: Duration = Duration::from_millis(20);
const REST: Duration = Duration::from_secs(10);
/// Violations that are printed.
const SHOWN_MAX: usize = 20;

fn main() -> ExitCode {
    let Some((count, seed)) = asked(COUNT) else { return ExitCode::SUCCESS };
    println!("{count} requests, {IN_FLIGHT} in flight, SEED={seed}");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let site = Site { dir: dir.path().to_owned(), folders: folders(dir.path(), |_| true) };
    println!("{} pictures in {} folders", site.folders.iter().map(Vec::len).sum::<usize>(), site.folders.len());
    let settings = format!(
        "[daemon]\ndeadline_ms = 60000\nmemory = \"{MEMORY_MIB}MiB\"\n[cache]\nmemory = \"{CACHE_MIB}MiB\"\n\
         disk = \"{}\"\ndisk_size = \"{CACHE_DISK_MIB}MiB\"",
        dir.path().join("cache").display()
    );
    let daemon = Daemon::start(dir.path(), &settings);
    let process = Process(daemon.pid());
    println!(
        "{:>9} {:>7} {:>8} {:>9} {:>11} {:>11}",
        "requests", "req/s", "CPU ms", "faults", "median MiB", "most MiB"
    );
    let mut results = Results::default();
    let (mut looks, mut medians) = (Vec::new(), Vec::new());
    let start = Instant::now();
    for leg in 0..LEGS {
        let (from, to) = (count * leg / LEGS, count * (leg + 1) / LEGS);
        let leg = run(&daemon, &process, &site, seed, from..to, &mut results);
        let rss = sorted(&leg.looks);
        let (median, most) = (rss[rss.len() / 2], rss[rss.len() - 1]);
        medians.push(median);
        let each = (to - from).max(1) as f64;
        println!(
            "{to:>9} {:>7.1} {:>8.1} {:>9.0} {:>11.1} {:>11.1}",
            each / leg.took.as_secs_f64(),
            leg.cpu_ms as f64 / each,
            leg.faults as f64 / each,
            mib(median),
            mib(most),
        );
        looks.extend(leg.looks);
    }
    let took = start.elapsed();
    let peak = process.status("VmHWM:");
    thread::sleep(REST);
    println!("{:.0} s in all, at rest {:.1} MiB", took.as_secs_f64(), mib(process.rss()));
    let wrong = &mut results.violations;
    daemon.end(wrong);
    println!("status codes {:?}", results.statuses);
    let tenth = count / LEGS;
    let early = mean(&looks, tenth / 2..=tenth + tenth / 2);
    let late = mean(&looks, count - tenth..=count);
    let within = late <= early * GROWTH_MAX;
    println!(
        "means of {tenth} requests: {:.1} MiB around request {tenth}, {:.1} MiB at the end: {:.2} times, at most \
         {GROWTH_MAX:.2}: {}",
        early / MIB as f64,
        late / MIB as f64,
        late / early,
        verdict(within),
    );
    // Beside it, what single large pictures move less, and where the cache is full from the start.
    let (second, last) = (medians[1], medians[LEGS - 1]);
    println!(
        "medians: {:.1} MiB in the second tenth, {:.1} MiB in the last: {:.2} times",
        mib(second),
        mib(last),
        last as f64 / second as f64,
    );
    if !within {
        wrong.push(String::from("it takes ever more memory"));
    }
    let limit = MEMORY_MIB + CACHE_MIB + BESIDE_MIB;
    let within = peak <= limit * MIB;
    println!(
        "peak {:.1} MiB, at most {MEMORY_MIB} + {CACHE_MIB} + {BESIDE_MIB} = {limit} MiB: {}",
        mib(peak),
        verdict(within)
    );
    if !within {
        wrong.push(String::from("it had more memory than it may"));
    }
    println!("{} violations", wrong.len());
    for violation in wrong.iter().take(SHOWN_MAX) {
        println!("  {violation}");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

/// The mean of the looks during these requests; NaN of none.
fn mean(looks: &[Look], requests: std::ops::RangeInclusive<usize>) -> f64 {
    let during: Vec<f64> =
        looks.iter().filter(|look| requests.contains(&look.requests)).map(|look| look.rss as f64).collect();
    during.iter().sum::<f64>() / during.len() as f64
}

fn sorted(looks: &[Look]) -> Vec<u64> {
    let mut rss: Vec<u64> = looks.iter().map(|look| look.rss).collect();
    rss.sort_unstable();
    rss
}

fn verdict(is_well: bool) -> &'static str {
    if is_well { "kept" } else { "NOT kept" }
}

/// What /proc says of the daemon.
struct Process(u32);

impl Process {
    /// A line of its status that is given in kB, in bytes.
    fn status(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a process that is there");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") << 10
    }

    fn rss(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Minor page faults, and CPU time in ms.
    fn faults_and_cpu_ms(&self) -> (u64, u64) {
        // Clock ticks are 100 a second on Linux, whatever the kernel's own.
        const TICK_MS: u64 = 10;
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        // After the name, which may hold spaces: state is field 3, minflt 10, utime and stime 14 and 15.
        let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
        let fields: Vec<u64> = fields.map(|field| field.parse().unwrap_or(0)).collect();
        (fields[7], TICK_MS * (fields[11] + fields[12]))
    }
}

/// What a tenth cost.
struct Leg {
    took: Duration,
    cpu_ms: u64,
    faults: u64,
    /// At least one.
    looks: Vec<Look>,
}

/// The resident memory, when so many requests were begun.
struct Look {
    requests: usize,
    rss: u64,
}

/// Sends the requests of `range`, all clients at once.
fn run(
    daemon: &Daemon,
    process: &Process,
    site: &Site,
    seed: u64,
    range: std::ops::Range<usize>,
    results: &mut Results,
) -> Leg {
    let (next, ended) = (AtomicUsize::new(range.start), AtomicBool::new(false));
    let shared = Mutex::new(results);
    let before = process.faults_and_cpu_ms();
    let start = Instant::now();
    let (took, looks) = thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let mut looks = Vec::new();
            loop {
                // Clients that are done have looked for one more.
                let requests = next.load(Ordering::Relaxed).min(range.end);
                looks.push(Look { requests, rss: process.rss() });
                if ended.load(Ordering::Relaxed) {
                    return looks;
                }
                thread::sleep(LOOK);
            }
        });
        let client = || {
            let [mut data, mut admin] = [&daemon.socket, &daemon.admin()].map(|socket| Client::connect(socket));
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= range.end {
                    return;
                }
                let asked = Asked::random(&mut Random::new(seed, i), seed, site);
                let client = if asked.is_admin { &mut admin } else { &mut data };
                match (&asked.body, asked.leaves) {
                    (None, true) => client.leave(&asked.target, &asked.headers),
                    (body, _) => {
                        let reply = match body {
                            None => client.get(&asked.target, &asked.headers),
                            Some(body) => client.post(&asked.target, &asked.headers, body),
                        };
                        shared.lock().expect("no panic").add(i, &asked, &reply);
                    }
                }
            }
        };
        let clients: Vec<_> = (0..IN_FLIGHT).map(|_| scope.spawn(client)).collect();
        let clients: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        let took = start.elapsed();
        ended.store(true, Ordering::Relaxed);
        assert!(clients.iter().all(Result::is_ok), "a client without its reply");
        (took, looks.join().expect("a process that is there"))
    });
    let after = process.faults_and_cpu_ms();
    Leg { took, cpu_ms: after.1 - before.1, faults: after.0 - before.0, looks }
}

#[derive(Default)]
struct Results {
    statuses: BTreeMap<u16, usize>,
    violations: Vec<String>,
}

impl Results {
    fn add(&mut self, i: usize, asked: &Asked, reply: &Reply) {
        let status = reply.status;
        *self.statuses.entry(status).or_default() += 1;
        // Bad requests, unknown, broken or too large sources, too much to do: what the manual names.
        if !matches!(status, 200 | 400 | 403 | 404 | 413 | 415 | 422 | 503 | 504) {
            let Asked { target, headers, .. } = asked;
            self.violations.push(format!("{i}: status {status}: {target} with {headers:?}: {}", reply.text()));
        }
    }
}

/// What there is to ask for.
struct Site {
    dir: PathBuf,
    folders: Vec<Vec<String>>,
}

impl Site {
    fn asset(&self, random: &mut Random) -> &str {
        let folder = &self.folders[random.below(self.folders.len())];
        &folder[random.below(folder.len())]
    }

    /// The file of an asset.
    fn file(&self, asset: &str) -> Vec<u8> {
        let path = match asset.strip_prefix("Corpus/") {
            Some(name) => corpus().unwrap_or_default().join(name),
            None => self.dir.join("made").join(Path::new(asset).file_name().unwrap_or_default()),
        };
        std::fs::read(path).expect("a file that was just listed")
    }
}

/// One request.
struct Asked {
    target: String,
    /// Whole lines.
    headers: String,
    /// Of a POST.
    body: Option<Vec<u8>>,
    is_admin: bool,
    /// The client does not wait for the reply.
    leaves: bool,
}

impl Asked {
    fn random(random: &mut Random, seed: u64, site: &Site) -> Self {
        let kind = random.below(100);
        // Some are asked again and again, and come from the cache.
        if kind < 12 {
            return Self::rendition(&mut Random::new(!seed, random.below(200)), site);
        }
        let asset = site.asset(random).to_owned();
        let mut asked = match kind {
            12..18 => {
                let target = format!("/v1/transcode?{}", query(random));
                Self { target, body: Some(site.file(&asset)), ..Self::rendition(random, site) }
            }
            18..22 => {
                let renditions: Vec<_> = (0..=random.below(5)).map(|_| query(random)).collect();
                let body = serde_json::json!({ "source": asset, "renditions": renditions }).to_string();
                let headers = String::from("Content-Type: application/json\r\n");
                Self { body: Some(body.into_bytes()), headers, ..Self::to(String::from("/v1/fanout")) }
            }
            22..24 => Self { is_admin: true, ..Self::to(format!("/v1/explain/{asset}?{}", query(random))) },
            24..27 => {
                let what = random.pick(&["props", "imageprops", "exists", "userdata", "xmp", "validate", "map"]);
                let text = random.pick(&["", ",json", ",xml", ",javascript"]);
                Self::to(format!("/is/image/{asset}?req={what}{text}"))
            }
            27..29 => {
                let nonsense =
                    random.pick(&["wid=x", "wid=0", "fmt=bmp", "rgn=1", "$nope$", "op_usm=9", "%zz", "=&=&"]);
                Self::to(format!("/is/image/{asset}?{nonsense}"))
            }
            29 => Self::to(random.pick(&["/is/image/Nope/x", "/is/image/Made/nope", "/livez", "/readyz"]).to_owned()),
            // Large ones, reduced.
            30 => {
                let large: Vec<_> =
                    site.folders.iter().flatten().filter(|asset| LARGE.contains(&asset.as_str())).collect();
                let asset = large.get(random.below(large.len().max(1))).map_or(&*asset, |asset| asset.as_str());
                let query = random.pick(&["wid=800", "wid=800&fmt=webp", "wid=800&bfc=on", "hei=800&op_usm=1,1,2,0"]);
                Self::to(format!("/is/image/{asset}?{query}&cache=on,off"))
            }
            _ => Self::rendition(random, site),
        };
        // The body is written whole before anyone could leave.
        asked.leaves = asked.body.is_none() && random.below(50) == 0;
        asked
    }

    fn to(target: String) -> Self {
        Self { target, headers: String::new(), body: None, is_admin: false, leaves: false }
    }

    fn rendition(random: &mut Random, site: &Site) -> Self {
        let target = format!("/is/image/{}?{}", site.asset(random), query(random));
        let mut headers = String::new();
        headers += random.pick(&[
            "Accept: image/avif,image/webp,*/*\r\n",
            "Accept: image/avif,image/webp,*/*\r\n",
            "Accept: image/webp,*/*\r\n",
            "Accept: image/jp2,image/png\r\n",
            "Accept: */*\r\n",
        ]);
        headers += random.pick(&["", "", "Sec-CH-DPR: 2\r\n", "DPR: 1.3\r\n"]);
        headers += random.pick(&["", "", "", "ECT: 3g\r\n", "Save-Data: on\r\n"]);
        Self { headers, ..Self::to(target) }
    }
}

/// The commands of one rendition.
fn query(random: &mut Random) -> String {
    const FORMATS: [&str; 20] = [
        "",
        "",
        "",
        "jpeg",
        "jpeg",
        "pjpeg",
        "jpeg,gray",
        "jpeg,cmyk",
        "png",
        "png-alpha",
        "png8",
        "gif",
        "gif-alpha",
        "tif",
        "tif,,lzw",
        "tif-alpha,,zip",
        "webp",
        "webp-alpha,,lossless",
        "avif",
        "jpeg2000",
    ];
    const OPERATIONS: [&str; 22] = [
        "op_usm=1.75,0.3,2,0",
        "op_usm=5,0.5,0,1",
        "op_sharpen=1",
        "op_brightness=20",
        "op_contrast=-30",
        "op_hue=90",
        "op_saturation=-100",
        "op_colorize=20a0f0",
        "op_invert=1",
        "op_grow=2",
        "op_blur=8",
        "op_noise=20",
        "rotate=33",
        "rotate=90",
        "flip=lr",
        "flip=ud",
        "extendN=0.1,0.1,0.1,0.1",
        "bgc=20a0f0",
        "opac=50",
        "dpr=on,2",
        "dpr=on",
        "network=on",
    ];
    let mut query = String::from(random.pick(&["bfc=on", "bfc=off"]));
    let mut add = |command: String| write!(query, "&{command}").expect("a string");
    let format = random.pick(&FORMATS);
    if !format.is_empty() {
        add(format!("fmt={format}"));
    }
    match random.below(8) {
        0 => add(format!("scl={:.2}", 1.0 + 7.0 * random.part())),
        sides => {
            add(format!("wid={}", random.side()));
            if sides > 4 {
                add(format!("hei={}", random.side()));
            }
            add(random.pick(&["id=x", "fit=constrain", "fit=crop", "fit=stretch", "fit=fit,1", "align=-1,0.5"]).into());
        }
    }
    if random.below(2) == 0 {
        add(format!("qlt={},{}", 1 + random.below(100), random.below(2)));
    }
    if random.below(5) == 0 {
        let [x, y] = [random.part() * 0.5, random.part() * 0.5];
        add(format!("rgnN={x:.3},{y:.3},{:.3},{:.3}", 0.5 * random.part() + 0.01, 0.5 * random.part() + 0.01));
    }
    for _ in 0..random.below(3) {
        add(random.pick(&OPERATIONS).into());
    }
    add(random
        .pick(&["id=y", "resMode=sharp2", "resMode=bilin", "resMode=bicub", "quantize=adaptive,diffuse,32"])
        .into());
    query
}
