//! The daemon, served by this process on a Unix socket of its own, asked in plain HTTP/1.1 written by hand.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use calotype::config::{Config, Flags};
use calotype::daemon;
use calotype::service::Service;
use tokio::sync::oneshot;

use super::wire::{Reply, Server};

/// A running daemon; dropped, it drains and ends.
pub(super) struct OverSocket {
    socket: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
}

impl OverSocket {
    /// A daemon over the sources in `dir`, with the reference's company and its way of answering errors.
    pub(super) fn start(dir: &Path) -> Self {
        let file = dir.join("calotype.toml");
        let text = format!(
            "[daemon]\nerrors = \"compat\"\nengine = \"simd\"\ndeadline_ms = 60000\n\
             [company.Co]\nsource = \"file://{}\"\n[company.Co.presets]\nsmall = \"wid=240&qlt=70\"\n",
            dir.display()
        );
        std::fs::write(&file, text).expect("writable");
        let socket = dir.join("data.sock");
        let flags = Flags { socket: Some(socket.clone()), ..Flags::default() };
        let config = Config::load(Some(&file), [], &flags).unwrap_or_else(|e| panic!("{e}"));
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, is_bound) = std::sync::mpsc::channel();
        let served = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let service = Service::try_new(&config).unwrap_or_else(|e| panic!("{e}"));
                let listeners = daemon::bind(&config.daemon).unwrap_or_else(|e| panic!("{e}"));
                bound.send(()).expect("somebody waits");
                let shutdown = async { drop(stopped.await) };
                daemon::serve(service, &config, listeners, shutdown).await.unwrap_or_else(|e| panic!("{e}"));
            });
        });
        is_bound.recv().expect("a daemon that starts");
        Self { socket, stop: Some(stop), served: Some(served) }
    }
}

impl Drop for OverSocket {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(served) = self.served.take() {
            assert!(served.join().is_ok() || std::thread::panicking(), "the daemon panicked");
        }
    }
}

impl Server for OverSocket {
    fn get(&self, request: &str, etag: Option<&str>) -> Result<Reply, String> {
        let mut stream = UnixStream::connect(&self.socket).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).map_err(|e| e.to_string())?;
        let condition = etag.map(|etag| format!("If-None-Match: {etag}\r\n")).unwrap_or_default();
        let head =
            format!("GET /is/image/{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{condition}\r\n");
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

    fn revalidates(&self) -> bool {
        true
    }
}
