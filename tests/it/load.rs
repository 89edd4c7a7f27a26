//! `calotype bench` against the real daemon, and its clock against a server that stalls.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use calotype::error::Error;
use calotype::load::{self, Load, Pacing, Report, Target};
use serde_json::{Value, json};

use crate::cli::{calotype, stderr};
use crate::http::Site;

const STALL: Duration = Duration::from_millis(600);

/// Answers at once, but for request `stalls` of each connection, which it keeps waiting.
fn stalling(stalls: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let serve = move |stream: TcpStream| -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let mut replies = stream;
        for n in 0.. {
            while !lines.next().ok_or(std::io::ErrorKind::UnexpectedEof)??.is_empty() {}
            if n == stalls {
                thread::sleep(STALL);
            }
            replies.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
        }
        Ok(())
    };
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            thread::spawn(move || serve(stream));
        }
    });
    addr
}

/// Accepts, and never answers.
fn silent() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut held = vec![];
        while let Ok((stream, _)) = listener.accept() {
            held.push(stream);
        }
    });
    addr
}

fn load(addr: SocketAddr, pacing: Pacing) -> Load {
    Load {
        target: Target::Tcp(addr.to_string()),
        paths: vec![String::from("/a?n={n}")],
        headers: vec![],
        pacing,
        connections: 1,
        warm_up: Duration::ZERO,
        duration: 3 * STALL,
        patience: Duration::from_secs(20),
    }
}

fn run(load: Load) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(load::run(load)).unwrap()
}

#[test]
fn in_an_open_loop_a_stall_is_seen_by_all_who_were_due_in_it() {
    // The first connection only sees whether anybody is there: it asks nothing.
    let closed = run(load(stalling(20), Pacing::Closed));
    let open = run(load(stalling(20), Pacing::Open(200.0)));
    let stall_ms = STALL.as_secs_f64() * 1e3;
    for report in [&closed, &open] {
        assert!(report.percentile_ms(100.0) >= stall_ms, "{report:?}");
        assert_eq!(report.replies(), report.served());
        assert_eq!((report.broken, report.timed_out), (0, 0), "{report:?}");
        assert_eq!(report.bytes, 2 * report.replies());
    }
    // In a closed loop one of many waited. By the clock, 120 requests of at most 360 fell due meanwhile.
    assert!(closed.percentile_ms(99.0) < stall_ms / 2.0, "{closed:?}");
    assert!(open.replies() + open.unsent <= 361, "{open:?}");
    assert!(open.percentile_ms(85.0) > stall_ms / 4.0, "{open:?}");
    assert!(open.unsent > 0 || !open.is_lower_bound(100.0), "{open:?}");
}

#[test]
fn a_server_that_stops_answering_has_no_fine_percentiles() {
    let stall_ms = STALL.as_secs_f64() * 1e3;
    // The time of whoever is given up on counts, without the pause after it.
    let closed = run(Load { patience: STALL / 2, duration: STALL, ..load(silent(), Pacing::Closed) });
    assert!(closed.timed_out >= 1 && closed.replies() == 0, "{closed:?}");
    assert!(closed.percentile_ms(0.0) >= stall_ms / 2.0 && closed.is_lower_bound(0.0), "{closed:?}");
    // 60 requests are due by the clock, half of them uncounted; the first one takes the only connection to the end.
    let (warm_up, duration) = (STALL / 2, STALL / 2);
    let open = run(Load { patience: STALL, warm_up, duration, ..load(silent(), Pacing::Open(100.0)) });
    assert_eq!((open.timed_out, open.unsent, open.replies()), (0, 30, 0), "{open:?}");
    let [shortest, p50, longest] = [0.0, 50.0, 100.0].map(|percent| open.percentile_ms(percent));
    assert!(shortest < p50 && p50 < longest && longest >= stall_ms * 0.49, "{shortest} {p50} {longest}: {open:?}");
    assert!(open.is_lower_bound(0.0), "{open:?}");
    // Of a few that time out among many served, only what is as late is a bound.
    let mixed = run(Load { patience: STALL / 2, ..load(stalling(200), Pacing::Closed) });
    assert!(mixed.timed_out >= 1 && mixed.served() >= 200, "{mixed:?}");
    assert!(!mixed.is_lower_bound(50.0) && mixed.is_lower_bound(100.0), "{mixed:?}");
    assert!(mixed.percentile_ms(100.0) >= stall_ms / 2.0, "{mixed:?}");
}

#[test]
fn who_breaks_off_or_is_late_is_counted_apart() {
    let slow = Load { patience: STALL / 4, ..load(stalling(2), Pacing::Closed) };
    let late = run(slow);
    assert!(late.timed_out >= 1 && late.broken == 0 && late.served() >= 2, "{late:?}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    // Accepts, and hangs up.
    thread::spawn(move || while listener.accept().is_ok() {});
    let broken = run(Load { duration: STALL / 4, ..load(addr, Pacing::Closed) });
    assert!(broken.broken >= 1 && broken.replies() == 0 && broken.first_failure.is_some(), "{broken:?}");
}

#[test]
fn what_makes_no_load_is_refused() {
    let addr = stalling(0);
    let fine = load(addr, Pacing::Closed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = |load: Load| runtime.block_on(load::run(load)).unwrap_err();
    for load in [
        Load { paths: vec![], ..fine.clone() },
        Load { paths: vec![String::from("a")], ..fine.clone() },
        Load { paths: vec![String::from("/a b")], ..fine.clone() },
        Load { connections: 0, ..fine.clone() },
        Load { headers: vec![(String::from("a b"), String::new())], ..fine.clone() },
        Load { headers: vec![(String::from("a"), String::from("\n"))], ..fine.clone() },
        Load { pacing: Pacing::Open(0.0), ..fine.clone() },
        // Its second request would be due in more years than a clock counts.
        Load { pacing: Pacing::Open(1e-300), ..fine.clone() },
        Load { pacing: Pacing::Open(f64::NAN), ..fine.clone() },
    ] {
        let shown = format!("{load:?}");
        assert!(matches!(refused(load), Error::Request { .. }), "{shown}");
    }
    let nobody = Load { target: Target::Socket(PathBuf::from("/no/such.sock")), ..fine };
    assert!(refused(nobody).to_string().contains("/no/such.sock"));
}

#[test]
fn bench_counts_what_the_daemon_serves() {
    let site = Site::start(|_| {});
    let socket = site.data.to_str().unwrap();
    let urls = site.dir.path().join("urls");
    std::fs::write(&urls, "# one line a URL\n/is/image/Co/A?wid=30&id={n}\n\n/is/image/Co/Nope\n").unwrap();
    let args = ["bench", "--socket", socket, "--urls-from", urls.to_str().unwrap()];
    let short = ["--connections", "2", "--duration", "0.5", "--warm-up", "0"];
    let ran = calotype(&[&args[..], &short, &["--json"]].concat());
    assert!(ran.status.success(), "{}", stderr(&ran));
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let count = |key: &str| report[key].as_u64().unwrap();
    let statuses = report["status"].as_object().unwrap();
    let fine = statuses["200"].as_u64().unwrap();
    let missing = statuses.iter().find(|(status, _)| *status != "200").unwrap().1.as_u64().unwrap();
    assert!(fine == count("served") && fine > 0 && missing.abs_diff(fine) <= 2, "{report}");
    assert!(count("bytes") > fine * 100 && report["ms"]["p50"].as_f64().unwrap() > 0.0, "{report}");
    assert_eq!((count("broken"), count("timed_out"), count("unsent")), (0, 0, 0), "{report}");
    assert_eq!(report["lower_bounds"], json!([]), "{report}");

    let by_the_clock = ["--rate", "40", "/is/image/Co/A?wid=30"];
    let ran = calotype(&[&["bench", "--socket", socket], &short[..], &by_the_clock].concat());
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success() && text.contains("open loop, 40 requests a second"), "{text}");
    for word in ["served", "bytes", "p50", "p95", "p99", "max", "200: "] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    // Percentiles of requests that nobody answers are bounds, in words and in JSON.
    let url = format!("http://{}/", silent());
    let unanswered =
        ["bench", &url, "--timeout", "0.2", "--duration", "0.1", "--warm-up", "0", "--rate", "40", "-c", "1"];
    let ran = calotype(&unanswered);
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.code() == Some(1) && text.contains("p50 ≥ ") && text.contains("max ≥ "), "{text}");
    let ran = calotype(&[&unanswered[..], &["--json"]].concat());
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(report["lower_bounds"], json!(["p50", "p95", "p99", "max"]), "{report}");
    assert!(report["ms"]["max"].as_f64().unwrap() >= 200.0 && report["unsent"] == 3, "{report}");
    // Nothing served is no success, and neither is nobody to ask.
    let none = calotype(&[&["bench", "--socket", socket], &short[..], &["/is/image/Co/Nope"]].concat());
    assert_eq!(none.status.code(), Some(1));
    let nobody = calotype(&["bench", "http://127.0.0.1:1/"]);
    assert!(nobody.status.code() == Some(1) && stderr(&nobody).contains("127.0.0.1:1"), "{}", stderr(&nobody));
}
