//! The front over real TCP and TLS: in front of a small daemon that this file plays byte by byte, and of the real one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use calotype::catalog::{Company, Network};
use calotype::config;
use calotype::error::Error;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::http::{Client, PATIENCE, Site, ask_http2, has_tool, head, http2};

/// A front on a free port, in this process.
pub(crate) struct Front {
    pub(crate) addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    done: Receiver<calotype::error::Result<()>>,
    runtime: Runtime,
}

impl Front {
    pub(crate) fn start(socket: &Path, edit: impl FnOnce(&mut config::Front)) -> Self {
        let mut front = config::Front {
            listen: String::from("127.0.0.1:0"),
            socket: None,
            tls_cert: None,
            tls_key: None,
            connections_max: 64,
            retry_ms: 300,
            snapshot: Vec::new(),
        };
        edit(&mut front);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(&front.listen)).unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let (send, done) = channel();
        let socket = socket.to_owned();
        runtime.spawn(async move {
            let shutdown = async { drop(stopped.await) };
            drop(send.send(calotype::front::serve(&front, socket, listener, shutdown).await));
        });
        Self { addr, stop: Some(stop), done, runtime }
    }

    pub(crate) fn client(&self) -> Client<TcpStream> {
        Client::tcp(self.addr)
    }
}

/// A daemon for as long as a test needs one: every connection and every request on it is handed to the test.
struct Played {
    connections: Receiver<UnixStream>,
}

impl Played {
    fn listen(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let (send, connections) = channel();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if send.send(stream).is_err() {
                    return;
                }
            }
        });
        Self { connections }
    }

    /// A daemon that answers every request with `answer(its head)`.
    fn answering(socket: &Path, answer: impl Fn(&str) -> String + Send + Clone + 'static) -> Receiver<String> {
        let (heads, received) = channel();
        let played = Self::listen(socket);
        std::thread::spawn(move || {
            while let Ok(stream) = played.connections.recv() {
                let (heads, answer): (Sender<String>, _) = (heads.clone(), answer.clone());
                std::thread::spawn(move || {
                    let mut stream = stream;
                    while let Some(head) = read_head(&mut stream) {
                        let reply = answer(&head);
                        drop(heads.send(head));
                        if stream.write_all(reply.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        received
    }

    fn next(&self) -> UnixStream {
        let stream = self.connections.recv_timeout(PATIENCE).expect("the front opened no connection");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// Everything up to the empty line, without it.
fn read_head(stream: &mut UnixStream) -> Option<String> {
    let mut head = String::new();
    let mut lines = BufReader::with_capacity(1, stream);
    while !head.ends_with("\r\n\r\n") {
        if lines.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head.trim_end().to_owned())
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nETag: \"x\"\r\nContent-Length: 4\r\n\r\nJPEG";

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("data.sock");
    (dir, socket)
}

fn line<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

#[test]
fn path_and_query_go_through_untouched() {
    let (_dir, socket) = scratch();
    let heads = Played::answering(&socket, |_| String::from(OK));
    let front = Front::start(&socket, |_| {});
    let mut client = front.client();
    for target in [
        "/is/image/Co/A?wid=400&x=%26%2F&y=a+b&&.v=3",
        "/is/image/Co/a%2Fb",
        "/is/image/../x",
        "/is/image/%2e%2e/%2E%2E/etc/passwd",
        "/is/image//Co///A",
        "/is/image/Co/A?",
        "/is/image/Co/%00%zz",
        "/is/content/a?b#c".trim_end_matches("#c"),
        "/livez",
        "/readyz",
    ] {
        let reply = client.ask("GET", target, &[]);
        assert_eq!((reply.status, reply.text().as_str()), (200, "JPEG"), "{target}");
        let head = heads.recv_timeout(PATIENCE).unwrap();
        assert_eq!(head.lines().next().unwrap(), format!("GET {target} HTTP/1.1"));
        assert_eq!(line(&head, "host"), ["test"]);
    }
}

#[test]
fn headers_of_the_connection_stay_behind_and_the_peer_is_named() {
    let (_dir, socket) = scratch();
    let heads = Played::answering(&socket, |_| {
        String::from(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Inner\r\nX-Inner: 1\r\nKeep-Alive: timeout=5\r\n\
             X-Request-ID: from-daemon\r\nX-Outer: 2\r\n\r\nok",
        )
    });
    let front = Front::start(&socket, |_| {});
    let mut client = front.client();
    let reply = client.ask(
        "GET",
        "/is/image/Co/A",
        &[
            "X-Forwarded-For: 203.0.113.9",
            "X-Forwarded-For: 203.0.113.10",
            "Connection: keep-alive, X-Mine",
            "X-Mine: 1",
            "TE: trailers",
            "Upgrade: h2c",
            "Proxy-Authorization: x",
            "Accept: image/webp",
            "X-Request-ID: abc-1",
        ],
    );
    let head = heads.recv_timeout(PATIENCE).unwrap();
    assert_eq!(line(&head, "x-forwarded-for"), ["127.0.0.1"], "{head}");
    assert_eq!(line(&head, "x-request-id"), ["abc-1"]);
    assert_eq!(line(&head, "accept"), ["image/webp"]);
    for gone in ["x-mine", "te", "upgrade", "proxy-authorization"] {
        assert!(line(&head, gone).is_empty(), "{gone} in {head}");
    }
    assert!(!reply.has("x-inner") && !reply.has("keep-alive"), "{reply}");
    assert_eq!(reply.header("x-outer"), "2");
    assert_eq!(reply.header("x-request-id"), "abc-1");
    assert_eq!(reply.header("access-control-allow-origin"), "*");

    let reply = client.ask("GET", "/is/image/Co/A", &["X-Request-ID: <script>"]);
    let head = heads.recv_timeout(PATIENCE).unwrap();
    assert_eq!(line(&head, "x-request-id"), [reply.header("x-request-id")]);
    assert_eq!(reply.header("x-request-id").len(), 16, "{reply}");
}

#[test]
fn only_pictures_and_probes_are_passed_on() {
    let (_dir, socket) = scratch();
    let heads = Played::answering(&socket, |_| String::from(OK));
    let front = Front::start(&socket, |_| {});
    let mut client = front.client();
    for target in ["/", "/metrics", "/v1/engines", "/v1/transcode", "/is", "/isx/image", "/livez/", "//is/image/Co/A"] {
        let reply = client.ask("GET", target, &[]);
        assert_eq!(reply.status, 404, "{target}: {reply}");
        assert!(reply.text().contains("/is/image/{Company}/{Asset}"), "{reply}");
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    for method in ["PUT", "DELETE", "PATCH", "POST", "TRACE", "get", "BREW"] {
        let reply = client.ask(method, "/is/image/Co/A", &[]);
        assert_eq!((reply.status, reply.header("allow")), (405, "GET, HEAD, OPTIONS"), "{method}: {reply}");
    }
    let reply = front.client().post("/is/image/Co/A", &[], b"body that nobody reads");
    assert_eq!(reply.status, 405);

    let preflight = client.ask("OPTIONS", "/is/image/Co/A", &["Origin: https://shop.example"]);
    assert_eq!((preflight.status, preflight.header("allow")), (204, "GET, HEAD, OPTIONS"), "{preflight}");
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    assert_eq!(preflight.header("access-control-allow-methods"), "GET, HEAD, OPTIONS");
    assert_eq!(preflight.header("access-control-max-age"), "86400");
    assert_eq!(client.ask("OPTIONS", "*", &[]).status, 204);
    assert_eq!(client.ask("OPTIONS", "/v1/engines", &[]).status, 404);
    assert!(heads.try_recv().is_err(), "none of this is the daemon's business");
}

#[test]
fn hosts_are_exactly_one() {
    let (_dir, socket) = scratch();
    let heads = Played::answering(&socket, |_| String::from(OK));
    let front = Front::start(&socket, |_| {});
    let status = |request: &str| front.client().send(request).reply(false).status;
    assert_eq!(status("GET /is/image/Co/A HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(status("GET /is/image/Co/A HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
    assert_eq!(status("GET /is/image/Co/A HTTP/1.0\r\n\r\n"), 200);
    heads.recv_timeout(PATIENCE).unwrap();
    assert_eq!(status("GET http://shop.example:81/is/image/Co/A HTTP/1.1\r\nHost: other\r\n\r\n"), 200);
    let head = heads.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("GET /is/image/Co/A HTTP/1.1"), "{head}");
    assert_eq!(line(&head, "host"), ["shop.example:81"]);
}

#[test]
fn ceilings_come_before_the_daemon() {
    let (_dir, socket) = scratch();
    let heads = Played::answering(&socket, |_| String::from(OK));
    let front = Front::start(&socket, |_| {});
    let longest = calotype::limits::URL_BYTES_MAX;
    let at = |bytes: usize| format!("/is/image/Co/A?{}", "x".repeat(bytes - "/is/image/Co/A?".len()));
    assert_eq!(front.client().ask("GET", &at(longest), &[]).status, 200);
    heads.recv_timeout(PATIENCE).unwrap();
    let reply = front.client().ask("GET", &at(longest + 1), &[]);
    assert_eq!(reply.status, 414, "{reply}");
    let cookie = format!("Cookie: {}", "c".repeat(calotype::limits::HEADERS_BYTES_MAX));
    let reply = front.client().ask("GET", "/is/image/Co/A", &[&cookie]);
    assert_eq!(reply.status, 431, "{reply}");
    let cookie = format!("Cookie: {}", "c".repeat(8 * calotype::limits::HEAD_BUFFER_BYTES_MAX));
    let mut client = front.client();
    // The front may close while this is still being written.
    drop(client.stream.write_all(head("GET", "/is/image/Co/A", &[&cookie]).as_bytes()));
    // The parser's own refusal has no body.
    if let Some(reply) = client.try_reply(true) {
        assert_eq!(reply.status, 431, "{reply}");
    }
    assert!(heads.try_recv().is_err());
}

#[test]
fn a_client_that_leaves_takes_its_upstream_connection_along() {
    let (_dir, socket) = scratch();
    let played = Played::listen(&socket);
    let front = Front::start(&socket, |_| {});

    let mut client = front.client();
    client.send(head("GET", "/is/image/Co/A", &[]));
    let mut upstream = played.next();
    assert!(read_head(&mut upstream).unwrap().starts_with("GET /is/image/Co/A"));
    drop(client);
    let mut rest = Vec::new();
    upstream.read_to_end(&mut rest).expect("the front closed its connection");
    assert!(rest.is_empty());

    // And in the middle of a body.
    let mut client = front.client();
    client.send(head("GET", "/is/image/Co/B", &[]));
    let mut upstream = played.next();
    read_head(&mut upstream).unwrap();
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\nstart").unwrap();
    let mut start = [0; 512];
    assert!(client.stream.read(&mut start).unwrap() > 0);
    drop(client);
    let chunk = vec![0_u8; 1 << 20];
    let cut_off = (0..49).any(|_| upstream.write_all(&chunk).is_err());
    assert!(cut_off, "50 MB went into a connection whose reader has left");
}

#[test]
fn bodies_stream_through() {
    let (_dir, socket) = scratch();
    let played = Played::listen(&socket);
    let front = Front::start(&socket, |_| {});
    let mut client = front.client();
    client.send(head("GET", "/is/image/Co/A", &[]));
    let mut upstream = played.next();
    read_head(&mut upstream).unwrap();
    upstream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").unwrap();
    // The first chunk is here before the second exists.
    let mut seen = Vec::new();
    while !seen.windows(5).any(|five| five == b"first") {
        let mut chunk = [0; 512];
        let n = client.stream.read(&mut chunk).unwrap();
        assert!(n > 0);
        seen.extend_from_slice(&chunk[..n]);
    }
    upstream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").unwrap();
    while !seen.windows(6).any(|six| six == b"second") {
        let mut chunk = [0; 512];
        let n = client.stream.read(&mut chunk).unwrap();
        assert!(n > 0);
        seen.extend_from_slice(&chunk[..n]);
    }
}

#[test]
fn a_reply_cut_short_is_not_passed_off_as_whole() {
    let (_dir, socket) = scratch();
    let played = Played::listen(&socket);
    let front = Front::start(&socket, |_| {});
    let mut client = front.client();
    client.send(head("GET", "/is/image/Co/A", &[]));
    let mut upstream = played.next();
    read_head(&mut upstream).unwrap();
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
    drop(upstream);
    assert_eq!(client.try_reply(false), None, "100 bytes were announced");
    assert!(played.connections.try_recv().is_err(), "once a reply has begun nothing is sent again");
}

#[test]
fn requests_wait_for_a_daemon_that_restarts() {
    let (_dir, socket) = scratch();
    let front = Front::start(&socket, |front| front.retry_ms = 15_000);

    // No socket yet.
    let mut client = front.client();
    client.send(head("GET", "/is/image/Co/A", &[]));
    std::thread::sleep(Duration::from_millis(50));
    let played = Played::listen(&socket);
    let mut upstream = played.next();
    read_head(&mut upstream).unwrap();
    // Killed before the first byte of a reply: sent again.
    drop(upstream);
    let mut upstream = played.next();
    assert!(read_head(&mut upstream).unwrap().starts_with("GET /is/image/Co/A"));
    upstream.write_all(OK.as_bytes()).unwrap();
    assert_eq!(client.reply(false).text(), "JPEG");
}

#[test]
fn a_daemon_that_stays_away_is_said_to() {
    let (_dir, socket) = scratch();
    let front = Front::start(&socket, |front| front.retry_ms = 100);
    let reply = front.client().ask("GET", "/is/image/Co/A", &[]);
    assert_eq!((reply.status, reply.header("retry-after")), (503, "1"), "{reply}");
    assert!(!reply.text().contains("sock"), "no inner paths in public: {reply}");
    let reply = front.client().ask("HEAD", "/is/image/Co/A", &[]);
    assert_eq!(reply.status, 503);
    assert!(reply.header("content-length").parse::<u32>().unwrap() > 0);

    // It accepts, and hangs up every time.
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read_head(&mut stream);
        }
    });
    let reply = front.client().ask("GET", "/is/image/Co/A", &[]);
    assert_eq!(reply.status, 502, "{reply}");
}

#[test]
fn nonsense_from_the_daemon_is_a_bad_gateway() {
    let (_dir, socket) = scratch();
    let _heads = Played::answering(&socket, |_| String::from("SSH-2.0-OpenSSH_9.2\r\n\r\n"));
    let front = Front::start(&socket, |front| front.retry_ms = 50);
    let reply = front.client().ask("GET", "/is/image/Co/A", &[]);
    assert_eq!(reply.status, 502, "{reply}");
}

#[test]
fn connections_above_the_ceiling_wait() {
    let (_dir, socket) = scratch();
    let _heads = Played::answering(&socket, |_| String::from(OK));
    let front = Front::start(&socket, |front| front.connections_max = 2);
    let mut first = front.client();
    assert_eq!(first.ask("GET", "/livez", &[]).status, 200);
    let mut second = front.client();
    assert_eq!(second.ask("GET", "/livez", &[]).status, 200);
    let mut third = front.client();
    third.send(head("GET", "/livez", &[]));
    third.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let early = third.stream.read(&mut [0; 1]);
    assert!(early.is_err(), "the third is not served while two are open: {early:?}");
    drop(first);
    third.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(third.reply(false).status, 200);
}

#[test]
fn shutdown_finishes_what_is_in_hand() {
    let (_dir, socket) = scratch();
    let played = Played::listen(&socket);
    let mut front = Front::start(&socket, |_| {});
    let mut idle = front.client();
    let mut busy = front.client();
    busy.send(head("GET", "/is/image/Co/A", &[]));
    let mut upstream = played.next();
    read_head(&mut upstream).unwrap();
    drop(front.stop.take());
    assert!(idle.is_closed(), "an idle connection is closed at once");
    assert!(front.done.try_recv().is_err(), "one request is in hand");
    upstream.write_all(OK.as_bytes()).unwrap();
    let reply = busy.reply(false);
    assert_eq!((reply.status, reply.header("connection")), (200, "close"), "{reply}");
    front.done.recv_timeout(PATIENCE).expect("serve returned").unwrap();
    assert!(TcpStream::connect(front.addr).is_err(), "nobody listens any more");
}

/// A certificate for `localhost`, written as PEM files.
fn certificate(dir: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (cert, key)
}

#[test]
fn tls_speaks_both_versions_of_http() {
    if !has_tool("curl") {
        return;
    }
    let (dir, socket) = scratch();
    let (cert, key) = certificate(dir.path());
    let heads = Played::answering(&socket, |_| String::from(OK));
    let front = Front::start(&socket, |front| {
        front.tls_cert = Some(cert.clone());
        front.tls_key = Some(key);
    });
    let port = front.addr.port();
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let curl = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20", flag, "--path-as-is", "--cacert"])
            .arg(&cert)
            .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
            .args(["--write-out", " %{http_version} %{response_code} %{content_type}"])
            .arg(format!("https://localhost:{port}/is/image/Co/../a%2Fb?wid=1"))
            .output()
            .expect("curl is installed");
        let out = String::from_utf8_lossy(&curl.stdout).into_owned();
        assert_eq!(out, format!("JPEG {version} 200 image/jpeg"), "{}", String::from_utf8_lossy(&curl.stderr));
        let head = heads.recv_timeout(PATIENCE).unwrap();
        assert!(head.starts_with("GET /is/image/Co/../a%2Fb?wid=1 HTTP/1.1"), "{head}");
        assert_eq!(line(&head, "host"), [format!("localhost:{port}")]);
    }
    // A client that connects and says nothing keeps nobody else from a handshake.
    let _silent = TcpStream::connect(front.addr).unwrap();
    let curl = Command::new("curl")
        .args(["--silent", "--max-time", "20", "--cacert"])
        .arg(&cert)
        .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
        .arg(format!("https://localhost:{port}/livez"))
        .output()
        .unwrap();
    assert_eq!(curl.stdout, b"JPEG");
}

#[test]
fn http2_with_prior_knowledge_runs_requests_side_by_side() {
    let (dir, socket) = scratch();
    let played = Played::listen(&socket);
    let front = Front::start(&socket, |_| {});
    let (addr, started) = (front.addr, played.connections);
    let replies = front.runtime.spawn(async move {
        let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        let client = http2(stream).await;
        let all = (0..20).map(|n| ask_http2(&client, "GET", "test", &format!("/is/image/Co/A?n={n}")));
        let mut replies = Vec::new();
        for reply in all.map(tokio::spawn).collect::<Vec<_>>() {
            replies.push(reply.await.unwrap());
        }
        replies
    });
    // The pool may open a connection more than it comes to need, so each is listened to on its own.
    let (send, asked) = channel();
    std::thread::spawn(move || {
        for mut stream in started {
            let send = send.clone();
            std::thread::spawn(move || read_head(&mut stream).map(|head| send.send((stream, head))));
        }
    });
    // All twenty are upstream before the first is answered.
    let mut upstream: Vec<_> = (0..20).map(|_| asked.recv_timeout(PATIENCE).unwrap()).collect();
    for (stream, head) in upstream.iter_mut().rev() {
        let n = head.lines().next().unwrap().strip_suffix(" HTTP/1.1").unwrap().rsplit('=').next().unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{n}", n.len()).unwrap();
    }
    let replies = front.runtime.block_on(replies).unwrap();
    for (n, reply) in replies.iter().enumerate() {
        assert_eq!((reply.status, reply.text()), (200, n.to_string()));
        assert!(!reply.has("connection") && !reply.has("transfer-encoding"), "{reply}");
    }

    if !has_tool("curl") {
        return;
    }
    let heads = Played::answering(&dir.path().join("second.sock"), |_| String::from(OK));
    let front = Front::start(&dir.path().join("second.sock"), |_| {});
    let curl = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--http2-prior-knowledge", "--head"])
        .arg(format!("http://{}/is/image/Co/A", front.addr))
        .output()
        .expect("curl is installed");
    let out = String::from_utf8_lossy(&curl.stdout).into_owned();
    assert!(out.starts_with("HTTP/2 200"), "{out} {}", String::from_utf8_lossy(&curl.stderr));
    assert!(heads.recv_timeout(PATIENCE).unwrap().starts_with("HEAD "));
}

#[test]
fn unusable_certificates_are_named() {
    let (dir, socket) = scratch();
    let (cert, key) = certificate(dir.path());
    let other = tempfile::tempdir().unwrap();
    let (_, foreign_key) = certificate(other.path());
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let missing = dir.path().join("missing.pem");
    for (cert, key, names) in [
        (Some(&missing), Some(&key), "missing.pem"),
        (Some(&empty), Some(&key), "empty.pem"),
        (Some(&cert), Some(&missing), "missing.pem"),
        (Some(&cert), Some(&cert), "cert.pem"),
        (Some(&cert), Some(&foreign_key), "does not go with"),
        (Some(&cert), None, "tls_key"),
        (None, Some(&key), "tls_cert"),
    ] {
        let front = Front::start(&socket, |front| {
            front.tls_cert = cert.cloned();
            front.tls_key = key.cloned();
        });
        let error = front.done.recv_timeout(PATIENCE).unwrap().unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error}");
        assert!(error.to_string().contains(names), "{error}");
    }
}

#[test]
fn the_real_daemon_may_be_killed_and_restarted() {
    let mut daemon = crate::daemon::Process::start("");
    let front = Front::start(&daemon.data, |front| front.retry_ms = 20_000);
    let picture = "/is/image/Co/A?wid=30";
    let direct = crate::http::get(&daemon.data, picture);
    let (send, seen) = channel();
    let addr = front.addr;
    let traffic = std::thread::spawn(move || {
        // Until the test has seen enough.
        for n in 0.. {
            let reply = Client::tcp(addr).ask("GET", picture, &["Connection: close"]);
            if send.send((n, reply)).is_err() {
                return;
            }
        }
    });
    for _ in 0..3 {
        for _ in 0..5 {
            let (n, reply): (u32, crate::http::Reply) = seen.recv_timeout(PATIENCE).unwrap();
            assert_eq!((reply.status, &reply.body), (200, &direct.body), "request {n}: {reply}");
        }
        daemon.kill();
        daemon.run();
    }
    drop(seen);
    traffic.join().unwrap();
    let reply = front.client().ask("HEAD", picture, &[]);
    assert_eq!((reply.status, reply.header("etag")), (200, direct.header("etag")), "{reply}");
    let known = format!("If-None-Match: {}", direct.header("etag"));
    assert_eq!(front.client().ask("GET", picture, &[&known]).status, 304);
    assert_eq!(front.client().ask("GET", "/is/image/Co/..%2Fsecret", &[]).status, 403);
    assert_eq!(front.client().ask("GET", "/readyz", &[]).text(), "ready\n");
    assert_eq!(front.client().ask("GET", "/metrics", &[]).status, 404);
}

/// Whatever a client writes, an address filter of a company sees where it connects from.
#[test]
fn a_client_cannot_choose_its_address() {
    let site = Site::start(|config| {
        let near = config.catalog.companies["Co"].clone();
        let only = |network: &str| vec![Network::read(network).expect("a network")];
        for (root_id, network) in [("Near", "127.0.0.1"), ("Far", "203.0.113.0/24")] {
            let root_id = root_id.to_owned();
            let company = Company { root_id: root_id.clone(), address_filter: only(network), ..near.clone() };
            config.catalog.companies.insert(root_id, company);
        }
    });
    let front = Front::start(&site.data, |_| {});
    for headers in [&[][..], &["X-Forwarded-For: 203.0.113.9"], &["Connection: X-Forwarded-For"]] {
        let near = front.client().ask("GET", "/is/image/Near/A?wid=9", headers);
        assert_eq!(near.status, 200, "{headers:?}: {near}");
        let far = front.client().ask("GET", "/is/image/Far/A?wid=9", headers);
        assert_eq!(far.status, 403, "{headers:?}: {far}");
    }
}
