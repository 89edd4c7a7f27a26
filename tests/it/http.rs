//! The daemon's HTTP over real sockets, and the small client that the other socket tests borrow.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Nothing on these sockets may take longer; a test that would hang fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

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
        self.send(head("POST", target, &headers)).send(body).reply(false)
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
            Err(e) => panic!("reading a reply: {e}"),
        }
    }
}

/// A request's head.
pub(crate) fn head(method: &str, target: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n")
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
