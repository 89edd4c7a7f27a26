//! The real daemon, a process of its own on a Unix socket of its own, asked in plain HTTP/1.1 written by hand.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::wire::{self, Reply, Server};

/// A running daemon; dropped, it is ended and waited for.
pub(super) struct OverSocket {
    socket: PathBuf,
    daemon: Child,
}

impl OverSocket {
    /// A daemon over the sources in `dir`, with the reference's company and its way of answering errors.
    pub(super) fn start(dir: &Path) -> Self {
        let file = wire::configuration(dir);
        let socket = dir.join("data.sock");
        let daemon = Command::new(env!("CARGO_BIN_EXE_calotype"))
            .args(["daemon", "--config", file.to_str().expect("UTF-8"), "--socket", socket.to_str().expect("UTF-8")])
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let running = Self { socket, daemon };
        let begun = Instant::now();
        while UnixStream::connect(&running.socket).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the daemon does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        running
    }
}

impl Drop for OverSocket {
    fn drop(&mut self) {
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}

impl Server for OverSocket {
    fn get(&self, request: &str, headers: &[(String, String)]) -> Result<Reply, String> {
        let mut stream = UnixStream::connect(&self.socket).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).map_err(|e| e.to_string())?;
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("GET /is/image/{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).map_err(|e| e.to_string())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").ok_or("no end of the reply's head")?;
        let head = std::str::from_utf8(&bytes[..end]).map_err(|e| e.to_string())?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let headers =
            lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let reply = Reply { status: status.ok_or("no status")?, headers, body: bytes[end + 4..].to_vec() };
        match reply.header("content-length") {
            Some(length) if length != reply.body.len().to_string() && reply.status != 304 => {
                Err(format!("{} bytes of {length}", reply.body.len()))
            }
            _ => Ok(reply),
        }
    }

    fn has_headers(&self) -> bool {
        true
    }
}
