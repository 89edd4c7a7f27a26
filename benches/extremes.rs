//! Is anything ever larger for Smart Imaging, and is every reply one that the manual knows?
//!
//! `./x bench extremes [COUNT]`: so many random requests (10,000 by default) over computed pictures, and over those of
//! `CORPUS`, to the release binary on its socket; each once with `bfc=on` and once with `bfc=off`, as many clients at a time
//! as there are cores. Prints what was served and the extremes; ends with 1 if a reply was larger, other than its headers
//! say, or of a kind that it must not be. `SEED=` replays a run: request i depends on the seed and i alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[expect(dead_code, reason = "the soak uses all of it")]
mod rig;

use rig::{Client, Daemon, Random, Reply, asked, folders};

const COUNT: usize = 10_000;
/// Violations that are printed.
const SHOWN_MAX: usize = 20;

fn main() -> ExitCode {
    let Some((count, seed)) = asked(COUNT) else { return ExitCode::SUCCESS };
    println!("{count} requests, SEED={seed}");
    let dir = tempfile::tempdir().expect("a temporary folder");
    // Files that were made to break decoders have tests of their own.
    let folders = folders(dir.path(), |name| !name.starts_with("hostile"));
    println!("{} pictures in {} folders", folders.iter().map(Vec::len).sum::<usize>(), folders.len());
    let daemon = Daemon::start(dir.path(), "[daemon]\ndeadline_ms = 60000");
    let results = Mutex::new(Results::default());
    let (next, start) = (AtomicUsize::new(0), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut client = Client::connect(&daemon.socket);
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= count {
                        return;
                    }
                    let asked = Asked::random(&mut Random::new(seed, i), &folders);
                    let begun = Instant::now();
                    let smart = client.get(&format!("{}&bfc=on", asked.target), &asked.headers);
                    let took = begun.elapsed();
                    let plain = client.get(&format!("{}&bfc=off", asked.target), &asked.headers);
                    results.lock().expect("no panic").add(i, &asked, took, &smart, &plain);
                    if (i + 1).is_multiple_of((count / 10).max(1)) {
                        eprintln!("{} of {count} after {:.0} s", i + 1, start.elapsed().as_secs_f64());
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no panic");
    daemon.end(&mut results.violations);
    results.print(start.elapsed());
    if results.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One request but for its `bfc=`.
struct Asked {
    target: String,
    /// Whole lines.
    headers: String,
    fmt: &'static str,
}

impl Asked {
    fn random(random: &mut Random, folders: &[Vec<String>]) -> Self {
        let folder = &folders[random.below(folders.len())];
        let fmt = random.pick(&["", "jpeg", "jpeg", "pjpeg", "png", "png-alpha", "webp", "avif"]);
        let mut target = format!("/is/image/{}?id=x", folder[random.below(folder.len())]);
        let mut add = |command: String| write!(target, "&{command}").expect("a string");
        if !fmt.is_empty() {
            add(format!("fmt={fmt}"));
        }
        let sides = random.below(8);
        if sides > 0 {
            add(format!("wid={}", random.side()));
        }
        if sides > 4 {
            add(format!("hei={}", random.side()));
        }
        if sides > 0 {
            add(random.pick(&["id=x", "fit=constrain", "fit=crop", "fit=stretch", "fit=fit,1", "align=-1,0.5"]).into());
        }
        if random.below(4) > 0 {
            add(format!("qlt={},{}", 1 + random.below(100), random.below(2)));
        }
        if random.below(4) == 0 {
            let [x, y] = [random.part() * 0.5, random.part() * 0.5];
            add(format!("rgnN={x:.3},{y:.3},{:.3},{:.3}", 0.5 * random.part() + 0.01, 0.5 * random.part() + 0.01));
        }
        add(random.pick(&["id=x", "op_usm=1.75,0.3,2,0", "op_usm=5,0.5,0,1", "op_sharpen=1", "id=y"]).into());
        add(random.pick(&["resMode=sharp2", "resMode=bilin", "resMode=bicub", "bgc=20a0f0"]).into());
        add(random.pick(&["dpr=off", "dpr=off", "dpr=on,1.5", "dpr=on,3", "dpr=on"]).into());
        let mut headers = String::new();
        headers += random.pick(&[
            "Accept: image/avif,image/webp,*/*\r\n",
            "Accept: image/avif,image/webp,*/*\r\n",
            "Accept: image/webp,*/*\r\n",
            "Accept: image/avif\r\n",
            "Accept: image/jp2,image/png\r\n",
            "Accept: */*\r\n",
        ]);
        headers += random.pick(&["", "", "Sec-CH-DPR: 2\r\n", "DPR: 1.3\r\n"]);
        headers += random.pick(&["", "", "", "ECT: 3g\r\n", "Save-Data: on\r\n"]);
        Self { target, headers, fmt }
    }
}

/// What was served for one format, by what came of it.
#[derive(Default)]
struct Served {
    replies: usize,
    bytes: u64,
    bytes_off: u64,
    /// The part of its bytes that a reply saved: the least and the most, with their requests.
    least: Option<(f64, usize, String)>,
    most: Option<(f64, usize, String)>,
}

#[derive(Default)]
struct Results {
    /// By the format asked for, the reason and the type served.
    served: BTreeMap<(&'static str, String, String), Served>,
    statuses: BTreeMap<u16, usize>,
    times: Vec<(Duration, usize, String)>,
    violations: Vec<String>,
}

impl Results {
    fn add(&mut self, i: usize, asked: &Asked, took: Duration, smart: &Reply, plain: &Reply) {
        for reply in [smart, plain] {
            *self.statuses.entry(reply.status).or_default() += 1;
        }
        if let Err(what) = check(smart, plain) {
            self.violations.push(format!("{i}: {what}: {} with {:?}", asked.target, asked.headers));
        }
        if smart.status != 200 || plain.status != 200 {
            return;
        }
        self.times.push((took, i, asked.target.clone()));
        let name = |header: &str| smart.header(header).to_owned();
        let fmt = if asked.fmt.is_empty() { "(none)" } else { asked.fmt };
        let served = self.served.entry((fmt, name("x-smart-imaging-reason"), name("content-type"))).or_default();
        served.replies += 1;
        served.bytes += smart.body.len() as u64;
        served.bytes_off += plain.body.len() as u64;
        // What the candidate tried last would have saved, served or not.
        if let Ok(saved) = smart.header("x-smart-imaging").parse::<f64>() {
            let part = (saved / plain.body.len() as f64, i, asked.target.clone());
            if served.least.as_ref().is_none_or(|least| part.0 < least.0) {
                served.least = Some(part.clone());
            }
            if served.most.as_ref().is_none_or(|most| part.0 > most.0) {
                served.most = Some(part);
            }
        }
    }

    fn print(&mut self, took: Duration) {
        println!(
            "\n{:9} {:12} {:10} {:>7} {:>12} {:>12} {:>7}   least, most saved by the candidate tried last",
            "fmt", "reason", "served", "replies", "bytes", "bfc=off", "saved"
        );
        let percent = |part: f64| format!("{:.1} %", 100.0 * part);
        for ((fmt, reason, mime), served) in &self.served {
            let Served { replies, bytes, bytes_off, least, most } = served;
            let saved = percent(1.0 - *bytes as f64 / *bytes_off as f64);
            let mime = mime.trim_start_matches("image/");
            print!("{fmt:9} {reason:12} {mime:10} {replies:>7} {bytes:>12} {bytes_off:>12} {saved:>7}");
            match (least, most) {
                (Some((least, ..)), Some((most, ..))) => println!("   {}, {}", percent(*least), percent(*most)),
                _ => println!(),
            }
        }
        let of = |reason: fn(&str) -> bool| self.served.iter().filter(move |((_, r, _), _)| reason(r)).map(|(_, s)| s);
        let order = |a: &&(f64, usize, String), b: &&(f64, usize, String)| a.0.total_cmp(&b.0);
        let won = |reason: &str| matches!(reason, "avif" | "webp" | "jpeg2000");
        let extremes = [
            ("the most that was saved", of(won).filter_map(|s| s.most.as_ref()).max_by(order)),
            ("the narrowest win", of(won).filter_map(|s| s.least.as_ref()).min_by(order)),
            ("the narrowest loss", of(|r| r == "larger").filter_map(|s| s.most.as_ref()).max_by(order)),
            ("the worst candidate", of(|r| r == "larger").filter_map(|s| s.least.as_ref()).min_by(order)),
        ];
        println!();
        for (what, extreme) in extremes {
            if let Some((part, i, target)) = extreme {
                println!("{what}: {} (request {i}, {target})", percent(*part));
            }
        }
        self.times.sort();
        let at = |percent: usize| self.times.get(self.times.len().saturating_sub(1) * percent / 100);
        if let (Some(median), Some(p99), Some(slowest)) = (at(50), at(99), at(100)) {
            let ms = |time: &(Duration, usize, String)| time.0.as_secs_f64() * 1e3;
            println!(
                "time of a reply: median {:.1} ms, 99th percentile {:.1} ms, slowest {:.1} ms (request {}, {})",
                ms(median),
                ms(p99),
                ms(slowest),
                slowest.1,
                slowest.2
            );
        }
        println!("status codes, {:.0} s in all: {:?}", took.as_secs_f64(), self.statuses);
        println!("{} violations", self.violations.len());
        for violation in self.violations.iter().take(SHOWN_MAX) {
            println!("  {violation}");
        }
    }
}

/// What must be so of a request's two replies.
fn check(smart: &Reply, plain: &Reply) -> Result<(), String> {
    let say = |ok: bool, what: String| if ok { Ok(()) } else { Err(what) };
    for reply in [smart, plain] {
        // Bad requests, broken or too large sources, too much to do: what the manual names.
        say(matches!(reply.status, 200 | 400 | 422 | 503 | 504), format!("status {}: {}", reply.status, reply.text()))?;
    }
    if smart.status != 200 || plain.status != 200 {
        let is_load = [smart.status, plain.status].iter().any(|status| matches!(status, 503 | 504));
        return say(is_load || smart.status == plain.status, format!("status {} and {}", smart.status, plain.status));
    }
    let (bytes, bytes_off) = (smart.body.len(), plain.body.len());
    let reason = smart.header("x-smart-imaging-reason");
    say(bytes <= bytes_off, format!("{bytes} bytes, {bytes_off} without Smart Imaging"))?;
    say(!smart.header("etag").is_empty() && plain.header("x-smart-imaging").is_empty(), "headers".to_owned())?;
    let saved: Option<i64> = smart.header("x-smart-imaging").parse().ok();
    if smart.header("content-type") == plain.header("content-type") {
        say(smart.body == plain.body, String::from("the same format, other bytes"))?;
        say(saved.is_none_or(|saved| saved <= 0), format!("{saved:?} bytes saved, but not served"))?;
        say(matches!(reason, "larger" | "unsupported" | "ineligible" | "deadline"), format!("reason {reason:?}"))
    } else {
        say(saved == Some((bytes_off - bytes) as i64), format!("{saved:?} said, {} saved", bytes_off - bytes))?;
        say(bytes < bytes_off, String::from("converted, but not smaller"))?;
        let named = match smart.header("content-type") {
            "image/jp2" => "jpeg2000",
            mime => mime.trim_start_matches("image/"),
        };
        say(reason == named || reason == "deadline", format!("reason {reason:?}"))
    }
}
