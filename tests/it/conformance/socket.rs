//! The real daemon and the real front, processes of their own, asked in plain HTTP/1.1 written by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::wire::{self, Reply, Server};
use crate::support::Running;

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(arguments: &[&str], stderr: Stdio) -> Running {
    let child = Command::new(env!("CARGO_BIN_EXE_calotype")).args(arguments).stderr(stderr).spawn();
    Running(child.expect("the binary starts"))
}

/// The daemon, on a Unix socket of its own.
pub(super) struct OverSocket {
    socket: PathBuf,
    _daemon: Running,
}

impl OverSocket {
    /// A daemon over the sources in `dir`, with the reference's company and its way of answering errors.
    pub(super) fn start(dir: &Path) -> Self {
        let file = wire::configuration(dir);
        let socket = dir.join("data.sock");
        let [config, path] = [&file, &socket].map(|path| path.to_str().expect("UTF-8"));
        let daemon = start(&["daemon", "--config", config, "--socket", path], Stdio::null());
        let begun = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the daemon does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { socket, _daemon: daemon }
    }
}

impl Server for OverSocket {
    fn get(&self, request: &str, headers: &[(String, String)]) -> Result<Reply, String> {
        let stream = UnixStream::connect(&self.socket).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
        ask(stream, request, headers)
    }

    fn has_headers(&self) -> bool {
        true
    }
}

/// The front on a TCP port of its own, before a daemon that outlives it.
pub(super) struct ThroughFront<'a> {
    address: SocketAddr,
    _front: Running,
    _daemon: &'a OverSocket,
}

impl<'a> ThroughFront<'a> {
    pub(super) fn start(daemon: &'a OverSocket) -> Self {
        let socket = daemon.socket.to_str().expect("UTF-8");
        let arguments = ["front", "--listen", "127.0.0.1:0", "--socket", socket];
        let mut front = start(&arguments, Stdio::piped());
        let mut log = BufReader::new(front.0.stderr.take().expect("a pipe was asked for"));
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(log.read_line(&mut line).expect("UTF-8") > 0, "the front ended before it served");
            if let Some((_, rest)) = line.split_once("front serves listen=") {
                break rest.split(' ').next().and_then(|address| address.parse().ok()).expect("an address");
            }
        };
        // Its access log goes on: whoever does not read it stops it.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { address, _front: front, _daemon: daemon }
    }
}

impl Server for ThroughFront<'_> {
    fn get(&self, request: &str, headers: &[(String, String)]) -> Result<Reply, String> {
        let stream = TcpStream::connect(self.address).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
        let reply = ask(stream, request, headers)?;
        match reply.header("x-request-id") {
            Some(_) => Ok(reply),
            None => Err(String::from("no X-Request-ID: the front did not answer")),
        }
    }

    fn has_headers(&self) -> bool {
        true
    }
}

fn ask(mut stream: impl Read + Write, request: &str, headers: &[(String, String)]) -> Result<Reply, String> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("GET /is/image/{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").ok_or("no end of the reply's head")?;
    let head = std::str::from_utf8(&bytes[..end]).map_err(|e| e.to_string())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let reply = Reply { status: status.ok_or("no status")?, headers, body: bytes[end + 4..].to_vec() };
    match reply.header("content-length") {
        Some(length) if length != reply.body.len().to_string() && reply.status != 304 => {
            Err(format!("{} bytes of {length}", reply.body.len()))
        }
        _ => Ok(reply),
    }
}
