//! The daemon's HTTP over real sockets, and the small client that the other socket tests borrow.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use calotype::catalog::{Company, SourceRoot};
use calotype::config::{Config, EngineChoice, ErrorStyle};
use calotype::daemon::{self, Listeners};
use calotype::pixel::{Size, testcard};
use calotype::plan::{EncodeSpec, JpegQuality};
use calotype::service::Service;
use calotype::{codec, limits};
use tokio::runtime::Runtime;

/// Nothing on these sockets may take longer; a test that would hang fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One reply as it came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The value of a header; `""` if there is none. Panics if there are several.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let first = values.next().map_or("", |(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} more than once: {self}");
        first
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.text();
        let start: String = text.chars().take(300).collect();
        write!(f, "{} {:#?}\n{start:?} ({} bytes)", self.status, self.headers, self.body.len())
    }
}

/// An HTTP/1.1 client that sends what it is told, byte for byte.
pub(crate) struct Client<S> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
}

impl Client<UnixStream> {
    pub(crate) fn unix(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap_or_else(|e| panic!("{}: {e}", socket.display()));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, buffer: Vec::new() }
    }
}

impl Client<TcpStream> {
    pub(crate) fn tcp(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, buffer: Vec::new() }
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// One request without a body, and its reply. `headers` are whole lines, without their ends.
    pub(crate) fn ask(&mut self, method: &str, target: &str, headers: &[&str]) -> Reply {
        self.send(head(method, target, headers)).reply(method == "HEAD")
    }

    /// One request with a body, and its reply.
    pub(crate) fn post(&mut self, target: &str, headers: &[&str], body: &[u8]) -> Reply {
        let length = format!("Content-Length: {}", body.len());
        let headers: Vec<&str> = headers.iter().copied().chain([length.as_str()]).collect();
        // In one piece: whoever is refused by his head may find the connection closed when he sends more.
        self.send([head("POST", target, &headers).as_bytes(), body].concat()).reply(false)
    }

    /// The next reply. Panics if the connection ends within it.
    pub(crate) fn reply(&mut self, to_head: bool) -> Reply {
        self.try_reply(to_head).expect("the connection ended before the reply did")
    }

    /// The next reply; `None` if the connection ends first.
    pub(crate) fn try_reply(&mut self, to_head: bool) -> Option<Reply> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            self.fill()?;
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let first = lines.next().unwrap();
        let status: u16 = first.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("{first}"));
        let headers = lines
            .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("header line {line:?}")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut reply = Reply { status, headers, body: Vec::new() };
        if status == 100 {
            return Some(reply);
        }
        if !to_head && status != 204 && status != 304 {
            reply.body = if reply.header("transfer-encoding") == "chunked" {
                self.chunks()?
            } else {
                let length = reply.header("content-length");
                let length = length.parse().unwrap_or_else(|_| panic!("content-length {length:?}: {reply}"));
                self.take(length)?
            };
        }
        Some(reply)
    }

    /// Whether the other side has closed, everything having been read.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && self.fill().is_none()
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                    break end;
                }
                self.fill()?;
            };
            let line = self.take(end + 2)?;
            let length = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim_end(), 16).unwrap();
            let chunk = self.take(length + 2)?;
            if length == 0 {
                return Some(body);
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill()?;
        }
        Some(self.buffer.drain(..length).collect())
    }

    fn fill(&mut self) -> Option<()> {
        let mut chunk = vec![0; 64 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => None,
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Some(())
            }
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => None,
            // By a signal to this process, which some tests are about.
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => self.fill(),
            Err(e) => panic!("reading a reply: {e}"),
        }
    }
}

/// A request's head.
pub(crate) fn head(method: &str, target: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n")
}

/// One GET on a connection of its own.
pub(crate) fn get(socket: &Path, target: &str) -> Reply {
    Client::unix(socket).ask("GET", target, &["Connection: close"])
}

/// Whether a program is installed. Where the whole suite has to run (`CI=true`, `REQUIRE_TOOLS=1`) it must be.
pub(crate) fn has_tool(name: &str) -> bool {
    let found =
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()));
    let set_to = |variable: &str, value: &str| std::env::var(variable).is_ok_and(|now| now == value);
    if !found {
        assert!(
            !set_to("CI", "true") && !set_to("REQUIRE_TOOLS", "1"),
            "{name} is not installed: apt-get install {name}"
        );
        println!("{name} is not installed: this part of the test did not run");
    }
    found
}

/// An HTTP/2 connection with prior knowledge. Call it inside a runtime.
pub(crate) async fn http2<S>(stream: S) -> Http2
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (client, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) type Http2 = hyper::client::conn::http2::SendRequest<http_body_util::Empty<bytes::Bytes>>;

/// One GET over HTTP/2.
pub(crate) fn ask_http2(
    client: &Http2,
    method: &'static str,
    authority: &str,
    target: &str,
) -> impl Future<Output = Reply> + Send + use<> {
    let request = hyper::Request::builder()
        .method(method)
        .uri(format!("http://{authority}{target}"))
        .body(http_body_util::Empty::new())
        .unwrap();
    let mut client = client.clone();
    async move {
        use http_body_util::BodyExt;
        let reply = client.send_request(request).await.unwrap();
        let status = reply.status().as_u16();
        let headers = reply.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let body = reply.into_body().collect().await.unwrap().to_bytes().to_vec();
        Reply { status, headers, body }
    }
}

/// A daemon in this process, with company `Co` over a folder of its own: `A` (60×40), `big` (1200×800), `broken`.
pub(crate) struct Site {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) data: PathBuf,
    pub(crate) admin: PathBuf,
    pub(crate) runtime: Runtime,
}

impl Site {
    pub(crate) fn start(edit: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let images = dir.path().join("images");
        fill(&images);
        let mut config = Config::demo();
        config.daemon.socket = Some(dir.path().join("data.sock"));
        config.daemon.engine = EngineChoice::Simd;
        let mut company = Company::new("Co", SourceRoot::Dir(images));
        company.headers = vec![(String::from("Timing-Allow-Origin"), String::from("*"))];
        company.presets.insert(String::from("small"), String::from("wid=24&qlt=70"));
        config.catalog.companies.insert(company.root_id.clone(), company);
        edit(&mut config);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let inside = runtime.enter();
        let listeners: Listeners = daemon::bind(&config.daemon).unwrap();
        let service = Service::try_new(&config).unwrap();
        let (data, admin) = (daemon::data_socket(&config.daemon), daemon::admin_socket(&config.daemon));
        // It ends with the runtime.
        let forever = std::future::pending();
        runtime.spawn(async move { daemon::serve(service, &config, listeners, forever).await });
        drop(inside);
        Self { dir, data, admin, runtime }
    }

    pub(crate) fn client(&self) -> Client<UnixStream> {
        Client::unix(&self.data)
    }

    pub(crate) fn get(&self, target: &str) -> Reply {
        get(&self.data, target)
    }

    /// One number of `/metrics`; 0 if it is not there yet.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        metric(&self.admin, name)
    }
}

/// One number of `/metrics`; 0 if it is not there yet.
pub(crate) fn metric(admin: &Path, name: &str) -> u64 {
    let text = get(admin, "/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap_or_else(|_| panic!("{name} {value}")))
}

/// The pictures of company `Co`, and beside their folder a secret that no request may reach.
pub(crate) fn fill(images: &Path) {
    std::fs::create_dir_all(images.join("sub")).unwrap();
    let spec = EncodeSpec::Jpeg { quality: JpegQuality(90), chroma: calotype::pixel::Chroma::Half, progressive: false };
    let jpeg = |w, h| codec::encode(&testcard::photo(Size::new(w, h), 7), &spec).unwrap();
    let small = jpeg(60, 40);
    std::fs::write(images.join("A.jpg"), &small).unwrap();
    std::fs::write(images.join("sub/B.jpg"), &small).unwrap();
    std::fs::write(images.join("big.jpg"), jpeg(1200, 800)).unwrap();
    std::fs::write(images.join("broken.jpg"), &small[..20]).unwrap();
    std::fs::write(images.join("notes.jpg"), "no picture at all").unwrap();
    std::fs::write(images.parent().unwrap().join("secret.jpg"), &small).unwrap();
    std::os::unix::fs::symlink("../secret.jpg", images.join("link.jpg")).unwrap();
    std::os::unix::fs::symlink("..", images.join("up")).unwrap();
}

/// Waits until nothing below `images` counts as just written: until then nobody is told to keep a reply for long.
pub(crate) fn settle(images: &Path) {
    fn newest_ms(dir: &Path) -> i64 {
        let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
        let times = entries.map(|entry| {
            // Of a link itself, wherever it leads.
            let metadata = entry.metadata().unwrap();
            let own = metadata.ctime() * 1000 + metadata.ctime_nsec() / 1_000_000;
            if metadata.is_dir() { own.max(newest_ms(&entry.path())) } else { own }
        });
        times.max().unwrap_or(0)
    }
    let settled = newest_ms(images).unsigned_abs() + limits::SETTLED_MS_MIN + 20;
    let settled = SystemTime::UNIX_EPOCH + Duration::from_millis(settled);
    std::thread::sleep(settled.duration_since(SystemTime::now()).unwrap_or_default());
}

/// What `ask` answers while what `write` writes counts as just written; on a busy machine that may take several attempts.
pub(crate) fn just_written<T>(write: impl Fn(), ask: impl Fn() -> T) -> T {
    for _ in 0..20 {
        let begun = Instant::now();
        write();
        let answer = ask();
        if begun.elapsed() < Duration::from_millis(limits::SETTLED_MS_MIN) {
            return answer;
        }
    }
    panic!("never in time");
}

#[test]
fn every_route_method_and_status() {
    let site = Site::start(|_| {});
    let picture = "/is/image/Co/A?wid=30";
    let cases = [
        // data: (method, target, status, Allow)
        ("GET", picture, 200, ""),
        ("HEAD", picture, 200, ""),
        ("OPTIONS", picture, 204, "GET, HEAD, OPTIONS"),
        ("POST", picture, 405, "GET, HEAD, OPTIONS"),
        ("PUT", picture, 405, "GET, HEAD, OPTIONS"),
        ("get", picture, 405, "GET, HEAD, OPTIONS"),
        ("GET", "/is/image", 200, ""),
        ("GET", "/is/image/", 200, ""),
        ("GET", "/livez", 200, ""),
        ("HEAD", "/livez", 200, ""),
        ("GET", "/readyz", 200, ""),
        ("POST", "/readyz", 405, "GET, HEAD, OPTIONS"),
        ("GET", "/v1/transcode", 405, "POST, OPTIONS"),
        ("GET", "/v1/fanout", 405, "POST, OPTIONS"),
        ("OPTIONS", "/v1/fanout", 204, "POST, OPTIONS"),
        ("OPTIONS", "*", 204, "GET, HEAD, POST, OPTIONS"),
        ("GET", "/", 404, ""),
        ("GET", "/is/imagex", 404, ""),
        ("GET", "/is/content/Co/film.vtt", 404, ""),
        ("POST", "/is/content/Co/film.vtt", 405, "GET, HEAD, OPTIONS"),
        ("GET", "/is/contents", 404, ""),
        ("GET", "/livez/", 404, ""),
        ("GET", "//livez", 404, ""),
        ("GET", "/is/../livez", 404, ""),
        ("GET", "/is/image/Co/Nope", 404, ""),
        ("GET", "/is/image/Nope/A", 404, ""),
        ("GET", "/is/image/Co/A?wid=abc", 400, ""),
        ("GET", "/is/image/Co/A?wid=3001&fit=fit,1", 400, ""),
        ("GET", "/is/image/Co/broken", 422, ""),
        ("GET", "/is/image/Co/notes", 422, ""),
        ("HEAD", "/is/image/Co/notes", 422, ""),
    ];
    for (socket, is_admin) in [(&site.data, false), (&site.admin, true)] {
        let mut client = Client::unix(socket);
        let only_admin = if is_admin { 200 } else { 404 };
        let admin = [
            ("GET", "/metrics", only_admin, ""),
            ("HEAD", "/v1/engines", only_admin, ""),
            ("GET", "/v1/explain/Co/A?wid=300", only_admin, ""),
            ("GET", "/v1/explain/Co/A?wid=abc", if is_admin { 400 } else { 404 }, ""),
            ("GET", "/v1/explain/Co/Nope", 404, ""),
            // No picture, so that there is nothing to explain.
            ("GET", "/v1/explain/Co/A?req=props&bfc=on", if is_admin { 400 } else { 404 }, ""),
            ("GET", "/v1/explain/Co/A?req=tmb", only_admin, ""),
            ("POST", "/v1/invalidate", if is_admin { 415 } else { 404 }, ""),
            ("GET", "/v1/invalidate", if is_admin { 405 } else { 404 }, if is_admin { "POST, OPTIONS" } else { "" }),
        ];
        for (method, target, status, allow) in cases.iter().chain(&admin) {
            let reply = client.ask(method, target, &["X-Request-ID: t-1"]);
            assert_eq!((reply.status, reply.header("allow")), (*status, *allow), "{method} {target}: {reply}");
            assert_eq!(reply.header("x-request-id"), "t-1", "{method} {target}");
            if *status >= 400 {
                assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8", "{method} {target}");
                assert_eq!(reply.header("cache-control"), "no-store", "{method} {target}");
                assert_eq!(reply.header("x-content-type-options"), "nosniff", "{method} {target}");
                assert!(*method == "HEAD" || reply.text().lines().count() == 3, "title, detail, advice: {reply}");
            }
        }
    }
    let hint = site.get("/metrics");
    assert!(hint.text().contains("admin socket"), "{hint}");
    let engines: serde_json::Value = serde_json::from_slice(&get(&site.admin, "/v1/engines").body).unwrap();
    assert!(engines.is_object(), "{engines}");
    let metrics = get(&site.admin, "/metrics");
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"), "{metrics}");
    assert!(metrics.text().contains("calotype_open_requests 0\n"), "{}", metrics.text());
}

#[test]
fn the_bare_root_is_a_property_text() {
    let site = Site::start(|_| {});
    let reply = site.get("/is/image");
    let text = reply.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "#S7Z OK");
    assert!(lines[1].starts_with("#20") && lines[1].ends_with('Z'), "{text}");
    assert!(lines[2].starts_with("copyright="), "{text}");
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    // With modifiers it is a request for no object.
    assert!(site.get("/is/image?wid=30").status >= 400);
}

#[test]
fn pictures_come_with_all_their_headers() {
    let site = Site::start(|config| {
        for (name, hours) in [("Now", 0.0), ("Ever", -1.0)] {
            let mut company = config.catalog.companies["Co"].clone();
            (company.root_id, company.expiration_hours) = (name.to_owned(), hours);
            config.catalog.companies.insert(name.to_owned(), company);
        }
    });
    settle(&site.dir.path().join("images"));
    let reply = site.get("/is/image/Co/A?wid=30&foo=1&.v=3&wd=2");
    assert_eq!(reply.status, 200, "{reply}");
    assert_eq!(reply.header("content-type"), "image/jpeg");
    assert!(reply.body.starts_with(b"\xff\xd8\xff"), "{reply}");
    assert_eq!(reply.header("content-length"), reply.body.len().to_string());
    assert_eq!(reply.header("cache-control"), "public, max-age=36000");
    assert_eq!(reply.header("x-image-serving-ignored"), "foo, wd");
    assert_eq!(reply.header("timing-allow-origin"), "*");
    assert_eq!(reply.header("x-request-id").len(), 16);
    let etag = reply.header("etag");
    assert!(etag.len() > 10 && etag.starts_with('"') && etag.ends_with('"'), "{reply}");
    assert_eq!(site.get("/is/image/Co/A?wid=30").header("etag"), etag, "same bytes, same tag");
    assert_ne!(site.get("/is/image/Co/A?wid=31").header("etag"), etag, "other bytes, other tag");
    assert_eq!(site.get("/is/image/Now/A").header("cache-control"), "no-cache");
    assert_eq!(site.get("/is/image/Ever/A").header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(site.get("/is/image/Co/A?wid=24&fmt=webp").header("content-type"), "image/webp");
    assert_eq!(site.get("/is/image/Co/A?$small$").status, 200);
    // The company's own headers are on its errors too.
    let reply = site.get("/is/image/Co/Nope");
    assert_eq!((reply.status, reply.header("timing-allow-origin")), (404, "*"), "{reply}");
    let reply = site.get("/is/image/Nope/A");
    assert!(!reply.has("timing-allow-origin"), "{reply}");
    assert_eq!(reply.text().lines().take(2).collect::<Vec<_>>(), ["Company not found", "no such company: Nope"]);
}

#[test]
fn head_and_known_tags_render_nothing() {
    let site = Site::start(|_| {});
    settle(&site.dir.path().join("images"));
    let target = "/is/image/Co/big?wid=300";
    let mut client = site.client();
    let before = client.ask("HEAD", target, &[]);
    assert_eq!((before.status, before.header("content-type")), (200, "image/jpeg"), "{before}");
    assert_eq!(before.header("cache-control"), "public, max-age=36000");
    assert!(!before.has("etag") && !before.has("content-length"), "nobody knows them yet: {before}");
    assert_eq!(site.metric("calotype_bytes"), 0, "HEAD has rendered");

    let first = client.ask("GET", target, &[]);
    let etag = first.header("etag").to_owned();
    let rendered = site.metric("calotype_bytes");
    assert_eq!(rendered, first.body.len() as u64);
    let after = client.ask("HEAD", target, &[]);
    for name in ["etag", "content-length", "content-type", "cache-control", "timing-allow-origin"] {
        assert_eq!(after.header(name), first.header(name), "{name}");
    }
    for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), String::from("*")] {
        for method in ["GET", "HEAD"] {
            let reply = client.ask(method, target, &[&format!("If-None-Match: {known}")]);
            assert_eq!(reply.status, 304, "{method} {known}: {reply}");
            assert_eq!(reply.header("etag"), etag);
            assert_eq!(reply.header("cache-control"), "public, max-age=36000");
            assert_eq!(reply.header("timing-allow-origin"), "*");
            assert!(!reply.has("content-type"), "{reply}");
        }
    }
    assert_eq!(site.metric("calotype_bytes"), rendered, "304 has rendered");

    let stale = client.ask("GET", target, &["If-None-Match: \"other\", junk"]);
    assert_eq!((stale.status, stale.body.len()), (200, first.body.len()));
    // A tag that this process has never given out, but is right: found out by rendering.
    let second = Site::start(|_| {});
    let reply = second.client().ask("GET", target, &[&format!("If-None-Match: {etag}")]);
    assert_eq!(reply.status, 304, "{reply}");
    // Errors come before any comparison.
    let reply = client.ask("GET", "/is/image/Co/Nope", &["If-None-Match: *"]);
    assert_eq!(reply.status, 404);
}

#[test]
fn paths_never_leave_the_root() {
    let site = Site::start(|_| {});
    assert_eq!(site.get("/is/image/Co/sub/B").status, 200, "folders are fine");
    assert_eq!(site.get("/is/image/Co/%41").status, 200, "escapes of harmless characters are fine");
    for target in [
        "/is/image/Co/../secret",
        "/is/image/Co/sub/../../secret",
        "/is/image/Co/%2e%2e/secret",
        "/is/image/Co/%2E%2e/secret",
        "/is/image/Co/..%2Fsecret",
        "/is/image/Co/sub%2FB",
        "/is/image/Co/%2Fetc%2Fhostname",
        "/is/image/Co//etc/hostname",
        "/is/image/Co/A%00",
        "/is/image/Co/A%00.jpg",
        "/is/image/Co/link",
        "/is/image/Co/link.jpg",
        "/is/image/Co/up/secret",
        "/is/image/Co/.",
        "/is/image/Co/..",
        "/is/image/Co/",
        "/is/image/Co/sub",
        "/is/image/../../etc/hostname",
        "/is/image/%2e%2e/A",
        "/is/image/Co/%",
        "/is/image/Co/%4",
        "/is/image/Co/%zz",
        "/is/image/Co/%ff",
        "/is/image/Co/a%c3%28",
    ] {
        for method in ["GET", "HEAD"] {
            let reply = site.client().ask(method, target, &[]);
            assert!([400, 403, 404].contains(&reply.status), "{method} {target}: {reply}");
        }
    }
    assert_eq!(site.get("/is/image/Co/%zz").status, 400);
    assert_eq!(site.get("/is/image/Co/../secret").status, 403);
    assert_eq!(site.get("/is/image/Co/%2e%2e/secret").status, 403);
    assert_eq!(site.get("/is/image/Co/link").status, 403);
    assert_eq!(site.get("/is/image/Co/A").status, 200, "and the daemon serves on");
}

#[test]
fn requests_may_arrive_in_any_pieces() {
    let site = Site::start(|_| {});
    let whole = head("GET", "/is/image/Co/A?wid=8", &["Accept: */*"]);
    let expected = site.client().send(&whole).reply(false);
    assert_eq!(expected.status, 200);
    let mut client = site.client();
    for at in 1..whole.len() {
        client.send(&whole[..at]);
        // Long enough for the daemon to see the first piece alone, most of the time.
        std::thread::sleep(Duration::from_micros(300));
        let reply = client.send(&whole[at..]).reply(false);
        assert_eq!((reply.status, &reply.body), (200, &expected.body), "split at {at}");
    }
    for byte in whole.as_bytes() {
        client.send([*byte]);
    }
    assert_eq!(client.reply(false).body, expected.body);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = Site::start(|_| {});
    let targets =
        ["/is/image/Co/big?wid=200", "/livez", "/is/image/Co/Nope", "/is/image/Co/A?wid=8", "/nowhere", "/readyz"];
    let all: String = targets.iter().map(|target| head("GET", target, &[])).collect();
    let mut client = site.client();
    client.send(all);
    let statuses: Vec<u16> = targets.iter().map(|_| client.reply(false).status).collect();
    assert_eq!(statuses, [200, 200, 404, 200, 404, 200]);
}

#[test]
fn http2_with_prior_knowledge() {
    let site = Site::start(|_| {});
    let one = site.get("/is/image/Co/A?wid=30");
    let data = site.data.clone();
    site.runtime.block_on(async {
        let client = http2(tokio::net::UnixStream::connect(&data).await.unwrap()).await;
        let ask = |method, target: &str| ask_http2(&client, method, "localhost", target);
        let reply = ask("GET", "/is/image/Co/A?wid=30").await;
        assert_eq!((reply.status, &reply.body), (200, &one.body), "{reply}");
        for name in ["etag", "content-length", "cache-control", "timing-allow-origin"] {
            assert_eq!(reply.header(name), one.header(name), "{name}");
        }
        let reply = ask("HEAD", "/is/image/Co/A?wid=30").await;
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{reply}");
        assert_eq!(reply.header("content-length"), one.header("content-length"));
        let reply = ask("HEAD", "/livez").await;
        assert_eq!((reply.status, reply.body.len(), reply.header("content-length")), (200, 0, "6"), "{reply}");
        assert_eq!(ask("GET", "/is/image/Co/%2e%2e/secret").await.status, 403);
        assert_eq!(ask("DELETE", "/livez").await.status, 405);
        let long = format!("/is/image/Co/A?{}", "x".repeat(limits::URL_BYTES_MAX));
        assert_eq!(ask("GET", &long).await.status, 414);
        let all: Vec<_> = (8..40).map(|w| tokio::spawn(ask("GET", &format!("/is/image/Co/A?wid={w}")))).collect();
        for (w, reply) in (8..40).zip(all) {
            let reply = reply.await.unwrap();
            assert_eq!((reply.status, reply.header("content-type")), (200, "image/jpeg"), "wid={w}: {reply}");
        }
    });
    if has_tool("curl") {
        let curl = std::process::Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20", "--http2-prior-knowledge", "--unix-socket"])
            .arg(&site.data)
            .args(["--write-out", "%{http_version} %{response_code} %{size_download}", "--output"])
            .arg(site.dir.path().join("out.jpg"))
            .arg("http://localhost/is/image/Co/A?wid=30")
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&curl.stdout).into_owned();
        assert_eq!(out, format!("2 200 {}", one.body.len()), "{}", String::from_utf8_lossy(&curl.stderr));
        assert_eq!(std::fs::read(site.dir.path().join("out.jpg")).unwrap(), one.body);
    }
}

#[test]
fn heads_have_ceilings() {
    let site = Site::start(|_| {});
    let at = |bytes: usize| format!("/is/image/Co/A?.{}", "x".repeat(bytes - "/is/image/Co/A?.".len()));
    assert_eq!(site.get(&at(limits::URL_BYTES_MAX)).status, 200);
    let reply = site.get(&at(limits::URL_BYTES_MAX + 1));
    assert_eq!(reply.status, 414);
    assert!(reply.text().contains(&limits::URL_BYTES_MAX.to_string()), "{reply}");
    let reply = site.client().ask("GET", "/livez", &[&format!("Cookie: {}", "c".repeat(limits::HEADERS_BYTES_MAX))]);
    assert_eq!(reply.status, 431, "{reply}");
    // One more than allowed: `Host` is one, too.
    let many = |headers: usize| site.client().ask("GET", "/livez", &vec!["A: b"; headers - 1]);
    assert_eq!(many(limits::HEADERS_MAX).status, 200);
    let reply = many(limits::HEADERS_MAX + 1);
    assert_eq!(reply.status, 431, "{reply}");
    assert!(reply.text().contains(&format!("at most {} are allowed", limits::HEADERS_MAX)), "{reply}");
    // More than the parser holds, of bytes or of headers: refused by the parser itself, bare.
    for flood in [format!("Cookie: {}", "c".repeat(4 * limits::HEAD_BUFFER_BYTES_MAX)), "A: b\r\n".repeat(500)] {
        let mut client = site.client();
        // The daemon may close while this is still being written.
        drop(client.stream.write_all(head("GET", "/livez", &[flood.trim_end()]).as_bytes()));
        if let Some(reply) = client.try_reply(true) {
            assert_eq!(reply.status, 431, "{reply}");
        }
    }
    assert_eq!(site.get("/livez").status, 200);
}

#[test]
fn garbage_is_refused_and_the_daemon_serves_on() {
    let site = Site::start(|_| {});
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET /livez HTTP/9.9\r\n\r\n",
        b"GET /li vez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nNo colon\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"POST /v1/transcode HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/transcode HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut client = site.client();
        client.send(garbage);
        drop(client.stream.shutdown(std::net::Shutdown::Write));
        let mut said = Vec::new();
        drop(client.stream.read_to_end(&mut said));
        let refused = said.is_empty() || said.starts_with(b"HTTP/1.1 4") || said.starts_with(b"\0\0");
        assert!(refused, "{:?}: {:?}", String::from_utf8_lossy(garbage), String::from_utf8_lossy(&said));
    }
    assert_eq!(site.get("/livez").status, 200);
}

#[test]
fn bodies_are_counted_before_they_are_kept() {
    let site = Site::start(|_| {});
    let announce = |target: &str, bytes: u64, more: &str| {
        head("POST", target, &[&format!("Content-Length: {bytes}"), "Content-Type: application/json", more])
    };
    // Announced: refused before a byte of it is there, and without asking for it.
    for (target, bytes_max) in
        [("/v1/transcode", limits::SOURCE_BYTES_MAX), ("/v1/fanout", limits::FANOUT_JSON_BYTES_MAX as u64)]
    {
        let reply = site.client().send(announce(target, bytes_max + 1, "Expect: 100-continue")).reply(false);
        assert_eq!(reply.status, 413, "{target}: {reply}");
        assert!(reply.text().contains(&bytes_max.to_string()), "{reply}");
    }
    // Not announced: refused when it gets too long.
    let mut client = site.client();
    client.send(head("POST", "/v1/fanout", &["Content-Type: application/json", "Transfer-Encoding: chunked"]));
    let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
    for _ in 0..limits::FANOUT_JSON_BYTES_MAX / 0x4000 + 1 {
        drop(client.stream.write_all(chunk.as_bytes()));
    }
    assert_eq!(client.reply(false).status, 413);

    // All together: as many announcements as fit, and the next one is told to wait, while pictures go on.
    let fit = limits::UPLOADS_BYTES_MAX / limits::SOURCE_BYTES_MAX;
    let hold = announce("/v1/transcode", limits::SOURCE_BYTES_MAX, "Expect: 100-continue");
    let mut held: Vec<_> = (0..fit).map(|_| site.client()).collect();
    for client in &mut held {
        assert_eq!(client.send(&hold).reply(false).status, 100, "this body is welcome");
    }
    assert_eq!(site.metric("calotype_upload_bytes"), limits::UPLOADS_BYTES_MAX);
    let reply = site.client().send(&hold).reply(false);
    assert_eq!((reply.status, reply.header("retry-after")), (503, "1"), "{reply}");
    assert_eq!(site.get("/is/image/Co/A").status, 200);
    // Whoever leaves makes room.
    drop(held);
    let start = Instant::now();
    while site.metric("calotype_upload_bytes") > 0 {
        assert!(start.elapsed() < PATIENCE, "uploads whose clients have left are still counted");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(site.client().send(&hold).reply(false).status, 100);
}

#[test]
fn slow_bodies_end_at_the_deadline() {
    let site = Site::start(|config| config.daemon.deadline_ms = 300);
    let mut client = site.client();
    client.send(head("POST", "/v1/transcode?wid=8", &["Content-Length: 1000"])).send("begun");
    let reply = client.reply(false);
    assert_eq!(reply.status, 408, "{reply}");
}

#[test]
fn transcode_renders_the_body() {
    let site = Site::start(|config| {
        config.catalog.companies.get_mut("Co").unwrap().presets.insert(String::from("tiny"), String::from("wid=16"));
    });
    let picture = std::fs::read(site.dir.path().join("images/A.jpg")).unwrap();
    let mut client = site.client();
    let stored = client.ask("GET", "/is/image/Co/A?wid=30&fmt=webp", &[]);
    let posted = client.post("/v1/transcode?wid=30&fmt=webp&company=Co", &[], &picture);
    assert_eq!((posted.status, &posted.body), (200, &stored.body), "{posted}");
    assert_eq!(posted.header("content-type"), "image/webp");
    assert_eq!(posted.header("etag"), stored.header("etag"));
    assert_eq!(posted.header("timing-allow-origin"), "*");
    assert_eq!(client.post("/v1/transcode?$tiny$&COMPANY=Co", &[], &picture).status, 200);
    // What curl --data-binary says of its body is not believed.
    let form = "Content-Type: application/x-www-form-urlencoded";
    assert_eq!(client.post("/v1/transcode?wid=30", &[form], &picture).status, 200);
    // In chunks, with no length announced.
    client.send(head("POST", "/v1/transcode?wid=30&fmt=webp", &["Transfer-Encoding: chunked"]));
    for chunk in picture.chunks(100) {
        client.send(format!("{:x}\r\n", chunk.len())).send(chunk).send("\r\n");
    }
    assert_eq!(client.send("0\r\n\r\n").reply(false).body, stored.body);

    for (target, headers, body, status) in [
        ("/v1/transcode?wid=abc", &[][..], &picture[..], 400),
        ("/v1/transcode?$tiny$", &[], &picture, 400),
        ("/v1/transcode?company=Nope", &[], &picture, 404),
        ("/v1/transcode?company=%zz", &[], &picture, 400),
        ("/v1/transcode", &[], b"", 422),
        ("/v1/transcode", &[], b"no picture", 422),
        ("/v1/transcode", &[], &picture[..20], 422),
        ("/v1/transcode", &["Content-Type: multipart/form-data; boundary=x"], &picture, 415),
    ] {
        let reply = site.client().post(target, headers, body);
        assert_eq!(reply.status, status, "{target}: {reply}");
    }
}

/// One part of a `multipart/mixed` reply.
struct Part {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Part {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

fn parts(reply: &Reply) -> Vec<Part> {
    let boundary = reply.header("content-type").strip_prefix("multipart/mixed; boundary=").unwrap();
    let mut rest = &reply.body[..];
    let mut parts = Vec::new();
    let open = format!("--{boundary}\r\n");
    while let Some(after) = rest.strip_prefix(open.as_bytes()) {
        let end = after.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let headers: Vec<_> = std::str::from_utf8(&after[..end])
            .unwrap()
            .split("\r\n")
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let part = Part { headers, body: Vec::new() };
        let length: usize = part.header("Content-Length").parse().unwrap();
        let body = &after[end + 4..];
        parts.push(Part { body: body[..length].to_vec(), ..part });
        rest = body[length..].strip_prefix(b"\r\n").expect("a part ends where it says");
    }
    assert_eq!(rest, format!("--{boundary}--\r\n").as_bytes());
    parts
}

#[test]
fn fanout_renders_all_in_order() {
    let site = Site::start(|_| {});
    let json = "Content-Type: application/json";
    let queries = ["wid=30", "wid=abc", "wid=20&fmt=webp&wd=1", "$small$", "wid=10&fmt=png"];
    let order = serde_json::json!({"source": "Co/A", "renditions": queries}).to_string();
    let picture = std::fs::read(site.dir.path().join("images/A.jpg")).unwrap();
    let mut form = Vec::new();
    let list = serde_json::to_string(&queries).unwrap();
    form.extend_from_slice(b"--XX\r\nContent-Disposition: form-data; name=\"source\"; filename=\"a.jpg\"\r\n\r\n");
    form.extend_from_slice(&picture);
    form.extend_from_slice(b"\r\n--XX\r\nContent-Disposition: form-data; name=\"renditions\"\r\n\r\n");
    form.extend_from_slice(list.as_bytes());
    form.extend_from_slice(b"\r\n--XX--\r\n");
    let replies = [
        site.client().post("/v1/fanout", &[json], order.as_bytes()),
        site.client().post("/v1/fanout?company=Co", &["Content-Type: multipart/form-data; boundary=XX"], &form),
    ];
    for reply in &replies {
        assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"), "{reply}");
        let parts = parts(reply);
        let statuses: Vec<&str> = parts.iter().map(|part| part.header("Status")).collect();
        assert_eq!(statuses, ["200", "400", "200", "200", "200"]);
        for (part, query) in parts.iter().zip(queries) {
            let alone = site.get(&format!("/is/image/Co/A?{query}"));
            assert_eq!(part.header("Status"), alone.status.to_string());
            assert_eq!(part.header("Content-Type"), alone.header("content-type"), "{query}");
            assert_eq!(part.body, alone.body, "{query}");
            assert_eq!(part.header("ETag"), alone.header("etag"), "{query}");
            assert_eq!(part.header("X-Image-Serving-Ignored"), alone.header("x-image-serving-ignored"), "{query}");
        }
    }
    let too_many = vec!["wid=8"; limits::FANOUT_RENDITIONS_MAX + 1];
    for (target, media, body, status) in [
        ("/v1/fanout", json, serde_json::json!({"source": "Co/A", "renditions": too_many}).to_string(), 400),
        ("/v1/fanout", json, serde_json::json!({"source": "Co/A", "renditions": []}).to_string(), 400),
        ("/v1/fanout", json, serde_json::json!({"source": "A", "renditions": ["wid=8"]}).to_string(), 400),
        ("/v1/fanout", json, serde_json::json!({"source": "Co/Nope", "renditions": ["wid=8"]}).to_string(), 404),
        ("/v1/fanout", json, serde_json::json!({"source": "Co/../secret", "renditions": ["wid=8"]}).to_string(), 403),
        ("/v1/fanout", json, serde_json::json!({"source": "Co/broken", "renditions": ["wid=8"]}).to_string(), 422),
        ("/v1/fanout", json, serde_json::json!({"source": "Co/A", "rendition": ["wid=8"]}).to_string(), 400),
        ("/v1/fanout", json, String::from("{"), 400),
        ("/v1/fanout?wid=8", json, order.clone(), 400),
        ("/v1/fanout?company=Nope", json, order.clone(), 404),
        ("/v1/fanout", "Content-Type: text/plain", order.clone(), 415),
        ("/v1/fanout", "X-None: 1", order.clone(), 415),
        ("/v1/fanout", "Content-Type: multipart/form-data", order.clone(), 400),
        ("/v1/fanout", "Content-Type: multipart/form-data; boundary=XX", String::from("--XX--\r\n"), 400),
        ("/v1/fanout", "Content-Type: multipart/form-data; boundary=XX", String::from("never begins"), 400),
    ] {
        let reply = site.client().post(target, &[media], body.as_bytes());
        assert_eq!(reply.status, status, "{target} {media} {body:.80}: {reply}");
    }
}

#[test]
fn errors_follow_the_style_that_is_configured() {
    let site = Site::start(|config| config.daemon.errors = ErrorStyle::Compat);
    for target in ["Co/Nope", "Co/A?wid=abc", "Co/../secret", "Co/notes", "Co/A?wid=3001&fit=fit,1"] {
        assert_eq!(site.get(&format!("/is/image/{target}")).status, 403, "{target}");
    }
    assert_eq!(site.get("/nowhere").status, 404, "a path that is not the original's");
    assert_eq!(site.client().ask("PUT", "/is/image/Co/A", &[]).status, 405);
}
