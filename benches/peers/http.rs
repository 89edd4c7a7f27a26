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

/// Job 1's request to both, in a closed loop, in turns.
pub(crate) fn run(sources: &Sources) {
    let runtime = Runtime::new().expect("a runtime");
    let connections = 4 * crate::cores();
    let settings = tempfile::tempdir().expect("a temporary folder");
    let ours = calotype(sources, settings.path());
    let mut sides = vec![("calotype", ours)];
    match ipx(sources, &runtime, connections) {
        Ok((ipx, about)) => {
            println!("\n{about}");
            sides.push(("ipx", ipx));
        }
        Err(why) => println!("\nno ipx: {why}"),
    }
    let mut reports: Vec<Vec<Report>> = vec![Vec::new(); sides.len()];
    for _ in 0..ROUNDS {
        for ((_, server), reports) in sides.iter().zip(&mut reports) {
            reports.push(loaded(&runtime, server, connections, ROUND));
        }
    }
    println!(
        "\nHTTP on loopback, job 1's request, every rendition made anew, closed loop of {connections} connections, \
         medians of {ROUNDS} rounds of {} s in turns\n",
        ROUND.as_secs()
    );
    println!("| server | req/s (rounds) | p50 ms | p99 ms | bytes a reply | peak of its process, MiB |");
    println!("|---|---|---|---|---|---|");
    for ((name, server), reports) in sides.iter().zip(&reports) {
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
    if let [ours, theirs] = &reports[..] {
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a.per_second() / b.per_second()).collect();
        let (low, high) = span(&ratios);
        println!("\nreq/s, ratio: {:.2} ({low:.2} to {high:.2})", median(&ratios));
    }
}

/// One closed loop; every reply must be a picture.
fn loaded(runtime: &Runtime, server: &Server, connections: usize, duration: Duration) -> Report {
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
    let report = runtime.block_on(load::run(load)).expect("a server that listens");
    assert!(report.served() > 0 && report.served() == report.replies(), "{report:?}");
    assert!(report.broken + report.timed_out == 0, "{report:?}");
    report
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

/// ipx in its best setting, and what is to be said of it.
fn ipx(sources: &Sources, runtime: &Runtime, connections: usize) -> Result<(Server, String), String> {
    let mut best: Option<(f64, Server, String)> = None;
    let mut settings = vec![1, crate::cores()];
    settings.dedup();
    for concurrency in settings {
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
        let rate = loaded(runtime, &server, connections, TRY).per_second();
        let of = |name: &str| said[name].as_str().unwrap_or("?").to_owned();
        let about = format!(
            "ipx {} over sharp {}, libvips {}; sharp's concurrency {concurrency}; asked for {}",
            of("ipx"),
            of("sharp"),
            of("vips"),
            server.paths[0]
        );
        if best.as_ref().is_none_or(|(other, ..)| rate > *other) {
            best = Some((rate, server, about));
        }
    }
    best.map(|(_, server, about)| (server, about)).ok_or_else(|| String::from("no setting to try"))
}
