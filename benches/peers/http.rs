//! calotype as a server beside ipx: the real binary, daemon and front, over HTTP on loopback.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use calotype::load::{self, Load, Pacing, Report, Target};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::jobs::{SHARPENED, Sources};
use crate::measure::{median, peak_bytes, span};
use crate::ours::COMPANY;
use crate::sharp::node;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(5);
/// Of each setting of ipx, to find the best.
const TRY: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of its own process, ended with this.
struct Server {
    child: Child,
    /// Host and port.
    address: String,
    paths: Vec<String>,
    /// Held open: a server that cannot say what it has to say would end.
    said: BufReader<ChildStdout>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Who is measured, and what came of it so far.
struct Contestant {
    name: &'static str,
    server: Server,
    reports: Vec<Report>,
}

/// Job 1's request to both, in a closed loop, in turns. Who does not answer every request with a picture is left out.
pub(crate) fn run(sources: &Sources) {
    let runtime = Runtime::new().expect("a runtime");
    let connections = 4 * crate::cores();
    let settings = tempfile::tempdir().expect("a temporary folder");
    let contestant = |name, server| Contestant { name, server, reports: Vec::new() };
    let mut contestants = vec![contestant("calotype", calotype(sources, settings.path()))];
    match ipx(sources, &runtime, connections) {
        Ok(Tried { server, about, .. }) => {
            println!("\n{about}");
            contestants.push(contestant("ipx", server));
        }
        Err(why) => println!("\nno ipx: {why}"),
    }
    for _ in 0..ROUNDS {
        contestants.retain_mut(|Contestant { name, server, reports }| {
            match loaded(&runtime, server, connections, ROUND) {
                Ok(report) => reports.push(report),
                Err(why) => {
                    println!("\n{name} is left out: {why}");
                    return false;
                }
            }
            true
        });
    }
    println!(
        "\nHTTP on loopback, job 1's request, every rendition made anew, closed loop of {connections} connections, \
         medians of {ROUNDS} rounds of {} s in turns\n",
        ROUND.as_secs()
    );
    println!("| server | req/s (rounds) | p50 ms | p99 ms | bytes a reply | peak of its process, MiB |");
    println!("|---|---|---|---|---|---|");
    for Contestant { name, server, reports } in &contestants {
        let of = |value: &dyn Fn(&Report) -> f64| -> Vec<f64> { reports.iter().map(value).collect() };
        let rates = of(&Report::per_second);
        let (low, high) = span(&rates);
        println!(
            "| {name} | {:.1} ({low:.1} to {high:.1}) | {:.1} | {:.1} | {:.0} | {} |",
            median(&rates),
            median(&of(&|report| report.percentile_ms(50.0))),
            median(&of(&|report| report.percentile_ms(99.0))),
            median(&of(&|report| report.bytes as f64 / report.replies() as f64)),
            peak_bytes(server.child.id()) >> 20,
        );
    }
    if let [ours, theirs] = &contestants[..] {
        let rounds = ours.reports.iter().zip(&theirs.reports);
        let ratios: Vec<f64> = rounds.map(|(a, b)| a.per_second() / b.per_second()).collect();
        let (low, high) = span(&ratios);
        println!("\nreq/s, ratio: {:.2} ({low:.2} to {high:.2})", median(&ratios));
    }
}

/// One closed loop.
///
/// # Errors
/// What came instead where not every reply was a picture, in words.
fn loaded(runtime: &Runtime, server: &Server, connections: usize, duration: Duration) -> Result<Report, String> {
    let load = Load {
        target: Target::Tcp(server.address.clone()),
        paths: server.paths.clone(),
        headers: Vec::new(),
        pacing: Pacing::Closed,
        connections,
        warm_up: WARM_UP,
        duration,
        patience: PATIENCE,
    };
    let report = runtime.block_on(load::run(load)).map_err(|cause| cause.to_string())?;
    let (served, Report { statuses, broken, timed_out, first_failure, .. }) = (report.served(), &report);
    if served > 0 && served == report.replies() && broken + timed_out == 0 {
        return Ok(report);
    }
    let first = first_failure.as_ref().map_or_else(String::new, |first| format!(", the first by {first}"));
    Err(format!(
        "not every reply of {} was a picture: {served} were, status codes {statuses:?}, {timed_out} timed out, \
         {broken} broke off{first}",
        server.address
    ))
}

fn calotype(sources: &Sources, folder: &Path) -> Server {
    let config = folder.join("site.toml");
    let mut text = String::from("[daemon]\nengine = \"simd\"\n");
    write!(text, "[company.{COMPANY}]\nsource = \"file://{}\"\n", sources.folder().display()).expect("a text");
    std::fs::write(&config, text).expect("a temporary file");
    let mut child = Command::new(env!("CARGO_BIN_EXE_calotype"))
        .args(["up", "--listen", "127.0.0.1:0", "--config"])
        .arg(config)
        .arg("--socket")
        .arg(folder.join("calotype.sock"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary");
    let mut said = BufReader::new(child.stdout.take().expect("piped"));
    let address = said
        .by_ref()
        .lines()
        .find_map(|line| Some(line.ok()?.split_once("http://")?.1.split('/').next()?.to_owned()))
        .expect("a line that says where it serves");
    let path = |file: &String| format!("/is/image/{COMPANY}/{file}?{SHARPENED}&cache=off,off");
    Server { child, address, paths: sources.photos.iter().map(path).collect(), said }
}

/// ipx in one of its settings.
struct Tried {
    per_second: f64,
    server: Server,
    /// What is to be said of it.
    about: String,
}

/// ipx in its best setting.
///
/// # Errors
/// Why none of them works, in words.
fn ipx(sources: &Sources, runtime: &Runtime, connections: usize) -> Result<Tried, String> {
    let mut best: Option<Tried> = None;
    let mut failures = Vec::new();
    let mut settings = vec![1, crate::cores()];
    settings.dedup();
    for concurrency in settings {
        match ipx_at(concurrency, sources, runtime, connections) {
            Ok(tried) if best.as_ref().is_none_or(|best| tried.per_second > best.per_second) => best = Some(tried),
            Ok(_) => {}
            Err(why) => failures.push(format!("with concurrency {concurrency}, {why}")),
        }
    }
    let failures = failures.join("; ");
    match best {
        Some(best) if failures.is_empty() => Ok(best),
        Some(best) => Ok(Tried { about: format!("{}; {failures}", best.about), ..best }),
        None => Err(failures),
    }
}

fn ipx_at(concurrency: usize, sources: &Sources, runtime: &Runtime, connections: usize) -> Result<Tried, String> {
    let mut child = node("ipx.mjs", include_str!("ipx.mjs"))?
        .arg(sources.folder())
        .arg(concurrency.to_string())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|cause| format!("Node.js does not start: {cause}"))?;
    let mut line = String::new();
    let said = BufReader::new(child.stdout.take().expect("piped"));
    // Ended with this function if it says nothing.
    let mut server = Server { child, address: String::new(), paths: Vec::new(), said };
    server.said.read_line(&mut line).map_err(|cause| format!("ipx does not start: {cause}"))?;
    let said: Value = serde_json::from_str(&line).map_err(|_| format!("ipx does not start: it said {line:?}"))?;
    server.address = format!("127.0.0.1:{}", said["port"]);
    let path = |file: &String| format!("/h_500,f_webp,q_80,sharpen_0.6_1_2/{file}");
    server.paths = sources.photos.iter().map(path).collect();
    let per_second = loaded(runtime, &server, connections, TRY)?.per_second();
    let of = |name: &str| said[name].as_str().unwrap_or("?").to_owned();
    let about = format!(
        "ipx {} over sharp {}, libvips {}; sharp's concurrency {concurrency}; asked for {}",
        of("ipx"),
        of("sharp"),
        of("vips"),
        server.paths[0]
    );
    Ok(Tried { per_second, server, about })
}
