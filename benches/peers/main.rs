//! calotype beside its peers on the same files, in one run, in turns: sharp as a library, ipx as a server.
//!
//! `./x bench peers [1 2 … 8] [http]`. Both sides read the same files and hand over the bytes of renditions of the same size
//! and format; sharp has its cache off and the best of its settings for each job, calotype all its lanes and as many
//! pictures in flight as is best. Ratios are of pictures a second with all cores. Memory is the peak of a process of its
//! own for each side and job. A peer that is not installed is named, and calotype runs alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use calotype::heap;
use calotype::pixel::Size;
use serde_json::{Value, json};

#[path = "../camera.rs"]
mod camera;
mod http;
mod jobs;
mod judge;
mod measure;
mod ours;
#[expect(dead_code, unused_imports, reason = "half of it is for who fits the map of qualities")]
#[path = "../calibrate/pictures.rs"]
mod pictures;
mod plot;
mod sharp;

use jobs::{Job, Score, Sources};
use measure::{Figures, Side, in_turns, median, peak_bytes, ratios, span};
use ours::Ours;
use plot::Bars;
use sharp::{Setting, Sharp};

/// First word of the command line of a process that is only there to be weighed.
const WEIGHED: &str = "weighed";
/// Sources that each of those goes over at least.
const WEIGHED_SOURCES: usize = 40;

#[global_allocator]
static HEAP: heap::Heap = heap::Heap;

fn main() {
    // As the daemon does.
    heap::settle();
    let words: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only wants to know that it runs.
    if words.iter().any(|word| word == "--test") {
        return;
    }
    if let [word, folder, job] = &words[..]
        && word == WEIGHED
    {
        return weighed(Path::new(folder), job);
    }
    let wanted: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| name.starts_with(wanted));
    let corpus = std::env::var_os("CORPUS").map(PathBuf::from);
    let sources = Sources::new(corpus.as_deref());
    let mut sharp = match Sharp::start() {
        Ok(sharp) => Some(sharp),
        Err(why) => {
            println!("no sharp: {why}");
            None
        }
    };
    machine(sharp.as_mut());
    let jobs: Vec<Job> = jobs::all(&sources).into_iter().filter(|job| is_wanted(job.name)).collect();
    if !jobs.is_empty() {
        let bench = Bench { ours: Ours::new(sources.folder()), folder: sources.folder() };
        println!(
            "\nIn each cell calotype, then sharp. One at a time: the median time of a source. Bytes: of a source's \
             renditions. Peak: of a process with {WEIGHED_SOURCES} sources and more.\n"
        );
        println!("| job | sources/s | ratio (rounds) | one at a time, ms | bytes | SSIMULACRA2 | peak, MiB |");
        println!("|---|---|---|---|---|---|---|");
        let mut bars = Vec::new();
        let notes: Vec<String> = jobs.iter().flat_map(|job| bench.job(job, sharp.as_mut(), &mut bars)).collect();
        println!();
        notes.iter().for_each(|note| println!("- {note}"));
        if wanted.is_empty() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/peers.svg");
            std::fs::write(&path, plot::svg(&bars)).expect("docs/ is writable");
            println!("\nplot: {}", path.display());
        }
    }
    if is_wanted("http") {
        http::run(&sources);
    }
    println!("\nload of the machine at the end: {}", load_average());
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What it runs on.
fn machine(sharp: Option<&mut Sharp>) {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    println!("{} cores of {}; load before: {}", cores(), cpu.unwrap_or("an unnamed CPU"), load_average());
    println!("calotype {}", env!("CARGO_PKG_VERSION"));
    if let Some(sharp) = sharp {
        let versions = sharp.versions();
        let of = |name: &str| versions[name].as_str().unwrap_or("?").to_owned();
        println!(
            "sharp {}, libvips {}, libwebp {}, libaom {}, mozjpeg {}, Node.js {}",
            of("sharp"),
            of("vips"),
            of("webp"),
            of("aom"),
            of("mozjpeg"),
            of("node")
        );
    }
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

struct Bench<'a> {
    ours: Ours,
    folder: &'a Path,
}

/// What there is to say of a job beside its time.
#[derive(Default)]
struct Judged {
    /// calotype's, then the other side's.
    scores: Option<[f64; 2]>,
    notes: Vec<String>,
}

impl Bench<'_> {
    /// Measures one job, prints its row, adds its bars to the plot; notes for below the table.
    fn job(&self, job: &Job, mut sharp: Option<&mut Sharp>, bars: &mut Vec<Bars>) -> Vec<String> {
        if job.is_avif() && Command::new("avifdec").arg("--version").output().is_err() {
            return vec![format!("{}: left out, avifdec is missing (Debian: libavif-bin)", job.name)];
        }
        let mut judged = Judged::default();
        // Sizes do not depend on the quality.
        let sizes = judge::sizes(&judge::renditions(&self.ours, &job.at(80)));
        let tasks = job.tasks(self.folder, &sizes);
        let mut notes = Vec::new();
        sharp = sharp.and_then(|sharp| match sharp.attempt(&tasks) {
            Ok(()) => Some(sharp),
            Err(why) => {
                notes.push(format!("{}: calotype alone, {why}", job.name));
                None
            }
        });
        let job = match sharp.as_deref_mut() {
            Some(sharp) if job.score != Score::Not => self.judge(job, sharp, &tasks, &sizes, &mut judged),
            Some(_) | None => job.at(80),
        };
        let (flights, settings) = (flights(), settings());
        let mut sides = vec![self.side(&job, &flights)];
        if let Some(sharp) = sharp {
            let run = |passes, setting: usize| sharp.run(&tasks, passes, settings[setting]);
            let lone = settings.iter().filter(|setting| setting.is_lone).count();
            sides.push(Side { run: Box::new(run), busy: settings.len() - lone, lone });
        }
        let figures = in_turns(&mut sides);
        drop(sides);
        let ours = &figures[0];
        let passes = WEIGHED_SOURCES.div_ceil(job.files.len());
        let mut peaks = vec![self.weigh(&job, passes, flights[ours.best])];
        if let Some(other) = figures.get(1) {
            let setting = settings[other.best];
            let mut fresh = Sharp::start().expect("it started before");
            fresh.run(&tasks, passes, setting);
            peaks.push(fresh.peak_bytes());
            notes.push(format!(
                "{}: calotype with {} in flight, sharp with concurrency {} and {} in flight",
                job.name, flights[ours.best], setting.concurrency, setting.in_flight
            ));
        }
        println!("{}", row(&job, &figures, &judged, &peaks));
        bars.push(Bars {
            name: format!("{} {}", job.name, job.what),
            stages_ms: (job.queries.len() == 1).then_some(ours.stages_ms),
            ours_ms: ours.lone_ms,
            theirs_ms: figures.get(1).map(|other| other.lone_ms),
        });
        let [queue, decode, pass, encode] = ours.stages_ms;
        notes.push(format!(
            "{}: of calotype's time for one source at a time, queue {queue:.2}, decode {decode:.2}, passes {pass:.2}, \
             encode {encode:.2} ms",
            job.name
        ));
        notes.append(&mut judged.notes);
        if job.queries.len() > 1 {
            notes.push(self.fanout_against_one(&job, &flights));
        }
        notes
    }

    fn side<'a>(&'a self, job: &'a Job, flights: &'a [usize]) -> Side<'a> {
        let run = |passes, setting: usize| {
            self.ours.run(&job.files, &job.queries, passes, flights.get(setting).copied().unwrap_or(1))
        };
        Side { run: Box::new(run), busy: flights.len(), lone: 1 }
    }

    /// Scores both sides; the job at the quality that calotype is timed with.
    fn judge(
        &self,
        job: &Job,
        sharp: &mut Sharp,
        tasks: &Value,
        sizes: &judge::PerRendition<Size>,
        judged: &mut Judged,
    ) -> Job {
        let references = judge::references(self.folder, job, sizes);
        let theirs = sharp.files(tasks);
        let their_score = judge::mean_score(&references, &theirs);
        if job.score == Score::AsIs {
            let job = job.at(80);
            let our_score = judge::mean_score(&references, &judge::renditions(&self.ours, &job));
            judged.scores = Some([our_score, their_score]);
            return job;
        }
        let equal = judge::equal(&self.ours, job, &references, their_score);
        judged.scores = Some([equal.score, their_score]);
        let their_bytes = pictures::mean(theirs.iter().flatten().map(|bytes| bytes.len() as f64));
        judged.notes.push(match equal.score >= their_score {
            true => format!(
                "{}: calotype at `qlt={}`, the least that scores no lower; at sharp's very score, interpolated, {:.0} \
                 bytes against {their_bytes:.0} ({:+.1} %)",
                job.name,
                equal.quality,
                equal.bytes_there,
                100.0 * (equal.bytes_there / their_bytes - 1.0)
            ),
            false => format!("{}: NOT at equal score, calotype scores lower even at `qlt={}`", job.name, equal.quality),
        });
        job.at(equal.quality)
    }

    /// What calotype needs for the job at most, bytes, in a process of its own.
    fn weigh(&self, job: &Job, passes: usize, in_flight: usize) -> u64 {
        let job =
            json!({"files": job.files, "queries": job.queries, "passes": passes, "in_flight": in_flight}).to_string();
        let binary = std::env::current_exe().expect("a path");
        let said = Command::new(binary).arg(WEIGHED).arg(self.folder).arg(job).output().expect("the same program");
        let text = String::from_utf8_lossy(&said.stdout);
        text.trim().parse().unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&said.stderr)))
    }

    /// A fan-out in turns with the largest of its renditions.
    fn fanout_against_one(&self, fanout: &Job, flights: &[usize]) -> String {
        let one = jobs::largest_of(fanout);
        let figures = in_turns(&mut [self.side(&one, flights), self.side(fanout, flights)]);
        let costs = ratios(&figures[0], &figures[1]);
        let (low, high) = span(&costs);
        format!(
            "{}: {} renditions of calotype, {:.2} sources/s, cost {:.2} ({low:.2} to {high:.2}) times its largest alone, \
             {:.2} sources/s",
            fanout.name,
            fanout.queries.len(),
            figures[1].rate(),
            median(&costs),
            figures[0].rate(),
        )
    }
}

/// Pictures in flight that calotype is tried with.
fn flights() -> [usize; 3] {
    [1, 2, 4].map(|times| times * cores())
}

/// What sharp is tried with; those for one picture at a time come last.
fn settings() -> Vec<Setting> {
    let n = cores();
    let mut busy = vec![(1, n), (1, 2 * n), (2, 1), (2, 2), (n, 1), (n, 2), (n, n)];
    // On few cores some are the same.
    busy.sort_unstable();
    busy.dedup();
    let setting = |is_lone| move |(concurrency, in_flight)| Setting { concurrency, in_flight, is_lone };
    busy.into_iter().map(setting(false)).chain([(1, 1), (n, 1)].map(setting(true))).collect()
}

fn row(job: &Job, figures: &[Figures], judged: &Judged, peaks: &[u64]) -> String {
    let cell = |of: &dyn Fn(&Figures) -> String| figures.iter().map(of).collect::<Vec<_>>().join(", ");
    let ratio = figures.get(1).map_or_else(String::new, |other| {
        let ratios = ratios(&figures[0], other);
        let (low, high) = span(&ratios);
        format!("{:.2} ({low:.2} to {high:.2})", median(&ratios))
    });
    let scores = judged.scores.map_or_else(String::new, |[ours, theirs]| format!("{ours:.2}, {theirs:.2}"));
    let peaks = peaks.iter().map(|bytes| format!("{}", bytes >> 20)).collect::<Vec<_>>().join(", ");
    format!(
        "| {} {} | {} | {ratio} | {} | {} | {scores} | {peaks} |",
        job.name,
        job.what,
        cell(&|side| format!("{:.2}", side.rate())),
        cell(&|side| format!("{:.1}", side.lone_ms)),
        cell(&|side| format!("{:.0}", side.bytes_each)),
    )
}

/// A process that does one job and says what it held at most.
fn weighed(folder: &Path, job: &str) {
    let job: Value = serde_json::from_str(job).expect("what `weigh` wrote");
    let words = |key: &str| -> Vec<String> {
        job[key].as_array().into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
    };
    let count = |key: &str| job[key].as_u64().and_then(|n| usize::try_from(n).ok()).expect("a count");
    let ours = Ours::new(folder);
    ours.run(&words("files"), &words("queries"), count("passes"), count("in_flight"));
    println!("{}", peak_bytes(std::process::id()));
}
