//! One request: checked, passed on, and its reply passed back.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap,
    HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, RETRY_AFTER, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};

use super::Front;
use super::access::{Line, Logged, Source};
use super::upstream::Away;
use crate::error::shortened;
use crate::wire::{self, Body, Problem};

/// Answers one request.
pub(super) async fn answer(front: Arc<Front>, peer: SocketAddr, request: Request<Incoming>) -> Response<Logged> {
    // GET and HEAD carry no content that means anything [RFC 9110 9.3.1], so a body stays where it is.
    let (parts, _) = request.into_parts();
    let id = wire::request_id(&parts.headers);
    let peer = peer.ip().to_canonical();
    let mut line = Line {
        room: Arc::clone(&front.open_requests).try_acquire_owned().ok(),
        id: id.clone(),
        peer,
        method: parts.method.clone(),
        target: parts.uri.path_and_query().map(|target| shortened(target.as_str())).unwrap_or_default(),
        version: parts.version,
        began: Instant::now(),
        status: None,
        bytes: 0,
    };
    let is_picture = parts.uri.path().starts_with(PICTURES);
    let mut reply = match check(&front, &parts, line.room.is_some()) {
        Ok(host) => pass_on(&front, peer, &id, &parts, host).await,
        Err(reply) => *reply,
    };
    let headers = reply.headers_mut();
    if is_picture && !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(wire::REQUEST_ID, id);
    }
    line.status = Some(reply.status());
    reply.map(|body| Logged::new(body, line))
}

/// What is decided here, without the daemon. Returns the host that the client asked for.
fn check(front: &Front, parts: &Parts, is_room: bool) -> Result<HeaderValue, Box<Response<Source>>> {
    wire::check_head(parts).map_err(|reply| own(parts, *reply))?;
    let path = parts.uri.path();
    let host = host(parts)?;
    let page = front.snapshot.as_ref().and_then(|snapshot| snapshot.file(path));
    if parts.method == Method::OPTIONS {
        return Err(match path {
            path if path.starts_with(PICTURES) => own(parts, preflight()),
            "*" | "/livez" | "/readyz" => own(parts, wire::no_content(METHODS)),
            _ if page.is_some() => own(parts, wire::no_content(METHODS)),
            _ => unknown(parts),
        });
    }
    if !(path.starts_with(PICTURES) || path == "/livez" || path == "/readyz" || page.is_some()) {
        return Err(unknown(parts));
    }
    if parts.method != Method::GET && parts.method != Method::HEAD {
        let problem = Problem {
            status: StatusCode::METHOD_NOT_ALLOWED,
            title: "Wrong method",
            detail: &shortened(parts.method.as_str()),
            advice: "Use one of GET, HEAD, OPTIONS; work is posted to the daemon's own socket.",
        };
        let mut reply = problem.reply();
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
        return Err(own(parts, reply));
    }
    if let Some(page) = page {
        return Err(own(parts, page));
    }
    if !is_room {
        let problem = Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "Busy",
            detail: "the front has as many requests in hand as it takes",
            advice: "Try again in a moment.",
        };
        let mut reply = problem.reply();
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return Err(own(parts, reply));
    }
    Ok(host)
}

/// The host that the client asked for: from `:authority` or `Host`. HTTP/1.1 demands exactly one [RFC 9112 3.2].
fn host(parts: &Parts) -> Result<HeaderValue, Box<Response<Source>>> {
    let mut named = parts.headers.get_all(HOST).iter();
    let authority = parts.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    match (authority, named.next(), named.next()) {
        (Some(host), _, None) => Ok(host),
        (None, Some(host), None) => Ok(host.clone()),
        (None, None, None) if parts.version < Version::HTTP_11 => Ok(HeaderValue::from_static("localhost")),
        (_, _, extra) => {
            let problem = Problem {
                status: StatusCode::BAD_REQUEST,
                title: "Bad request",
                detail: if extra.is_some() { "more than one Host header" } else { "no Host header" },
                advice: "Send exactly one Host header.",
            };
            Err(own(parts, problem.reply()))
        }
    }
}

/// Sends the request to the daemon and hands its reply back.
async fn pass_on(front: &Front, peer: IpAddr, id: &str, parts: &Parts, host: HeaderValue) -> Response<Source> {
    let mut headers = parts.headers.clone();
    strip_hop_by_hop(&mut headers);
    for of_body in [CONTENT_LENGTH, EXPECT] {
        headers.remove(of_body);
    }
    headers.insert(HOST, host);
    for (name, value) in [(FORWARDED_FOR, peer.to_string()), (HeaderName::from_static(wire::REQUEST_ID), id.to_owned())]
    {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    let mut target = Uri::builder().scheme("http").authority("calotype");
    if let Some(path_and_query) = parts.uri.path_and_query() {
        target = target.path_and_query(path_and_query.clone());
    }
    let away = match target.build() {
        Ok(target) => match front.upstream.send(&parts.method, &target, &headers).await {
            Ok(mut reply) => {
                strip_hop_by_hop(reply.headers_mut());
                return reply.map(Source::Daemon);
            }
            Err(away) => away,
        },
        Err(cause) => Away::Broken(cause.to_string()),
    };
    *own(parts, no_reply(&away))
}

/// The daemon stays away. What exactly is wrong with it is for the log, not for the world.
fn no_reply(away: &Away) -> Response<Body> {
    let (status, detail) = match away {
        Away::Down(cause) => {
            tracing::warn!(cause, "the daemon is down");
            (StatusCode::SERVICE_UNAVAILABLE, "the image server is not running just now")
        }
        Away::Broken(cause) => {
            tracing::warn!(cause, "the daemon gave no reply");
            (StatusCode::BAD_GATEWAY, "the image server broke off")
        }
        Away::Silent => {
            tracing::warn!("the daemon is silent");
            (StatusCode::GATEWAY_TIMEOUT, "the image server did not answer in time")
        }
    };
    let mut reply = Problem { status, title: "No reply", detail, advice: "Try again in a moment." }.reply();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    reply
}

/// Any page may show and read pictures; that is what they are served for.
fn preflight() -> Response<Body> {
    let mut reply = wire::no_content(METHODS);
    let headers = reply.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    reply
}

fn unknown(parts: &Parts) -> Box<Response<Source>> {
    let problem = Problem {
        status: StatusCode::NOT_FOUND,
        title: "No such path",
        detail: &shortened(parts.uri.path()),
        advice: "Pictures are at /is/image/{Company}/{Asset}.",
    };
    own(parts, problem.reply())
}

fn own(parts: &Parts, mut reply: Response<Body>) -> Box<Response<Source>> {
    wire::fit_to_method(&parts.method, &mut reply);
    Box::new(reply.map(Source::Own))
}

/// Takes out what belongs to one connection only [RFC 9110 7.6.1], and what the `Connection` header names as such.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    let always = [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        PROXY_CONNECTION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    for name in named.into_iter().chain(always) {
        headers.remove(name);
    }
}

/// Where pictures are; passed on whatever follows.
const PICTURES: &str = "/is/";
const METHODS: &str = "GET, HEAD, OPTIONS";
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_headers_stay_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Secret"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "x"),
            ("accept", "image/webp"),
            ("if-none-match", "\"x\""),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["accept", "if-none-match"]);
    }
}
