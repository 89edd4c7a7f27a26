//! `calotype bench`: load on a server, and how long its replies took.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::runtime;
use crate::error::{Error, Result};
use crate::load::{self, Load, Pacing, Report, Target};

#[derive(Args, Clone, Debug)]
pub(super) struct BenchArgs {
    /// http://HOST:PORT/PATH?QUERY, or with --socket the path and query alone; n in braces is the number of the request
    // As such it would break the line here: clap takes it for one.
    #[arg(value_name = "URL")]
    urls: Vec<String>,
    /// More of these from a file, one a line; empty lines and lines that begin with # are left out
    #[arg(long, value_name = "FILE")]
    urls_from: Option<PathBuf>,
    /// The Unix socket to ask [default: the host of the first URL]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Connections: in a closed loop each asks again as soon as it has its reply
    #[arg(long, short, default_value_t = 8, value_name = "COUNT")]
    connections: usize,
    /// Requests a second by the clock (an open loop): times count from when a request was due
    #[arg(long, short, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// How long to send requests
    #[arg(long, short, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    duration: f64,
    /// How long before that, uncounted
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", value_parser = seconds)]
    warm_up: f64,
    /// How long to wait for a reply
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS", value_parser = seconds)]
    timeout: f64,
    /// A request header, e.g. --header 'Accept: image/avif,image/webp'
    #[arg(long, short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// Print the report as one line of JSON
    #[arg(long)]
    json: bool,
}

/// Those that are printed.
const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p95", 95.0), ("p99", 99.0), ("max", 100.0)];

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err(String::from("expected seconds, 0 to 86400")),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let parsed = text.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    parsed.ok_or_else(|| String::from("expected NAME: VALUE"))
}

pub(super) fn run(args: BenchArgs) -> Result<ExitCode> {
    let mut urls = args.urls;
    if let Some(file) = &args.urls_from {
        urls.extend(lines(file)?);
    }
    let (target, paths) = targets(args.socket, &urls)?;
    let load = Load {
        target,
        paths,
        headers: args.header,
        pacing: args.rate.map_or(Pacing::Closed, Pacing::Open),
        connections: args.connections,
        warm_up: Duration::from_secs_f64(args.warm_up),
        duration: Duration::from_secs_f64(args.duration),
        patience: Duration::from_secs_f64(args.timeout),
    };
    let report = runtime()?.block_on(load::run(load.clone()))?;
    if args.json {
        println!("{}", as_json(&load, &report));
    } else {
        print(&load, &report);
    }
    // A figure about nothing is no success.
    Ok(if report.served() > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn lines(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).map_err(|cause| Error::Io { doing: "read", path: file.into(), cause })?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(String::from).collect())
}

/// Where to, and what to ask there. Without a socket, every URL names the same host.
fn targets(socket: Option<PathBuf>, urls: &[String]) -> Result<(Target, Vec<String>)> {
    let refuse = |got: &str, want: &'static str| Error::Request { got: got.into(), want: want.into() };
    if let Some(socket) = socket {
        return Ok((Target::Socket(socket), urls.to_vec()));
    }
    let mut host = None;
    let mut paths = Vec::new();
    for url in urls {
        let rest =
            url.strip_prefix("http://").ok_or_else(|| refuse(url, "http://HOST:PORT/PATH, or --socket and a path"))?;
        let (at, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        if *host.get_or_insert(at) != at {
            return Err(refuse(url, "the host of the first URL: one server at a time"));
        }
        paths.push(String::from(path));
    }
    let host = host.ok_or_else(|| refuse("no URL", "http://HOST:PORT/PATH, or --socket and a path"))?;
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let host = if has_port { host.to_owned() } else { format!("{host}:80") };
    Ok((Target::Tcp(host), paths))
}

fn described(load: &Load) -> String {
    let target = match &load.target {
        Target::Socket(path) => path.display().to_string(),
        Target::Tcp(host) => format!("http://{host}"),
    };
    let connections = if load.connections == 1 { "connection" } else { "connections" };
    let pacing = match load.pacing {
        Pacing::Closed => String::from("closed loop"),
        Pacing::Open(rate) => format!("open loop, {rate} requests a second"),
    };
    let (duration, warm_up) = (load.duration.as_secs_f64(), load.warm_up.as_secs_f64());
    format!("{target}, {} {connections}, {pacing}, {duration} s after {warm_up} s of warm-up", load.connections)
}

fn print(load: &Load, report: &Report) {
    println!("{}", described(load));
    println!("  served    {:>9}   {:.1} a second", report.served(), report.per_second());
    let megabytes = report.bytes as f64 / 1e6;
    println!("  bytes     {megabytes:>9.1} MB   {:.1} MB a second", megabytes / report.elapsed.as_secs_f64());
    let times = PERCENTILES.map(|(name, percent)| {
        let bound = if report.is_lower_bound(percent) { "≥ " } else { "" };
        format!("{name} {bound}{:.2} ms", report.percentile_ms(percent))
    });
    println!("  time      {}", times.join("   "));
    if PERCENTILES.iter().any(|(_, percent)| report.is_lower_bound(*percent)) {
        println!(
            "            ≥: at least that; requests that timed out or were not sent count with the time that they had waited"
        );
    }
    let statuses: Vec<String> = report.statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
    println!("  status    {}", if statuses.is_empty() { String::from("no reply") } else { statuses.join("   ") });
    if report.broken > 0 {
        println!("  broken    {:>9}   {}", report.broken, report.first_failure.as_deref().unwrap_or(""));
    }
    if report.timed_out > 0 {
        println!("  timed out {:>9}   after {} s", report.timed_out, load.patience.as_secs_f64());
    }
    if report.unsent > 0 {
        println!(
            "  unsent    {:>9}   were due, and no connection was free: the server does not keep up",
            report.unsent
        );
    }
}

fn as_json(load: &Load, report: &Report) -> serde_json::Value {
    let ms = PERCENTILES.map(|(name, percent)| (name.to_owned(), json!(report.percentile_ms(percent))));
    let bounds = PERCENTILES.iter().filter(|(_, percent)| report.is_lower_bound(*percent)).map(|(name, _)| name);
    json!({
        "target": match &load.target {
            Target::Socket(path) => path.display().to_string(),
            Target::Tcp(host) => format!("http://{host}"),
        },
        "connections": load.connections,
        "rate": match load.pacing {
            Pacing::Closed => None,
            Pacing::Open(rate) => Some(rate),
        },
        "seconds": report.elapsed.as_secs_f64(),
        "served": report.served(),
        "per_second": report.per_second(),
        "bytes": report.bytes,
        "ms": serde_json::Map::from_iter(ms),
        "lower_bounds": bounds.collect::<Vec<_>>(),
        "status": report.statuses.iter().map(|(status, count)| (status.to_string(), json!(count)))
            .collect::<serde_json::Map<_, _>>(),
        "broken": report.broken,
        "timed_out": report.timed_out,
        "unsent": report.unsent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_one_server() {
        let of = |urls: &[&str]| targets(None, &urls.iter().map(|url| String::from(*url)).collect::<Vec<_>>());
        let tcp = |host: &str| Target::Tcp(String::from(host));
        assert_eq!(
            of(&["http://[::1]:8080/a?b={n}", "http://[::1]:8080"]).unwrap(),
            (tcp("[::1]:8080"), vec![String::from("/a?b={n}"), String::from("/")])
        );
        assert_eq!(of(&["http://host/a"]).unwrap().0, tcp("host:80"));
        for urls in [&[][..], &["https://host/a"], &["/a"], &["http://a/", "http://b/"]] {
            assert!(matches!(of(urls), Err(Error::Request { .. })), "{urls:?}");
        }
        let socket = targets(Some("/s".into()), &[String::from("/a")]).unwrap();
        assert_eq!(socket, (Target::Socket("/s".into()), vec![String::from("/a")]));
    }
}
