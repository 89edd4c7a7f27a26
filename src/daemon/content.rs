//! `GET|HEAD /is/content/{Company}/{file}?{commands}`: static files, whole or in ranges.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, LAST_MODIFIED, RANGE,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::conditions;
use super::ranges::{self, Wanted};
use super::streamed::{Part, Sent, Streamed};
use super::{Daemon, image, reply};
use crate::error::{Error, Result};
use crate::limits;
use crate::service::{ContentReply, FileMeta, StaticFile};
use crate::wire::{self, Body, Problem};

/// The root context of static files.
pub(super) const ROOT: &str = "/is/content";

pub(super) async fn answer(daemon: &Daemon, parts: &Parts) -> Response<Sent> {
    let path = parts.uri.path().strip_prefix(ROOT).unwrap_or_default();
    let request = image::request(daemon, parts, path);
    let deadline = Instant::now() + daemon.deadline;
    let error = match daemon.service.content(&request, deadline).await {
        Ok(ContentReply::Words(words)) => return reply::words(words).map(Sent::Memory),
        Ok(ContentReply::File(file)) => match send(daemon, parts, file) {
            Ok(reply) => return reply,
            Err(error) => error,
        },
        Err(error) => error,
    };
    failure(daemon, parts, &error).map(Sent::Memory)
}

/// The reply to a request that failed, or is not even looked at.
pub(super) fn failure(daemon: &Daemon, parts: &Parts, error: &Error) -> Response<Body> {
    let path = parts.uri.path().strip_prefix(ROOT).unwrap_or_default();
    let manners = daemon.service.content_manners(&image::request(daemon, parts, path));
    let mut reply = reply::failure_in(error, daemon.errors, &manners);
    reply::add_company_headers(reply.headers_mut(), &manners.headers);
    reply
}

/// The file, as much of it as is asked for and the client does not have.
fn send(daemon: &Daemon, parts: &Parts, file: StaticFile) -> Result<Response<Sent>> {
    let StaticFile { file, meta } = file;
    let asked = &parts.headers;
    if !conditions::is_expected(asked, &meta.etag, meta.last_modified) {
        return Ok(not_expected(&meta));
    }
    if let Some(known) = conditions::known(asked) {
        // What never expires is never looked at again (protocol.md 5), but for what may have been half written: a weak tag
        // is that of a file that had just changed.
        let never_expires = meta.freshness.is_kept && meta.freshness.max_age_s.is_none();
        if (never_expires && !conditions::has_weak_tag(asked)) || known.is(Some(&meta.etag), Some(meta.last_modified)) {
            let mut reply = described(StatusCode::NOT_MODIFIED, nothing(), &meta);
            reply.headers_mut().remove(CONTENT_TYPE);
            return Ok(reply);
        }
    }
    if parts.method == Method::HEAD {
        let mut reply = described(StatusCode::OK, nothing(), &meta);
        reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(meta.length));
        return Ok(reply);
    }
    let header = asked.get(RANGE).and_then(|header| header.to_str().ok());
    let header = header.filter(|_| conditions::allows_range(asked, &meta.etag, meta.last_modified));
    let wanted = header.map_or(Wanted::Whole, |header| ranges::wanted(header, meta.length));
    let pieces = match wanted {
        Wanted::Nothing => return Ok(out_of_range(&meta)),
        Wanted::Whole => None,
        Wanted::Pieces(pieces) => Some(pieces),
    };
    let room = Arc::clone(&daemon.content_files).try_acquire_owned();
    let room = room.map_err(|_| Error::Busy { lane: "static file", depth: limits::CONTENT_FILES_MAX })?;
    let sent = |parts| Sent::File(Streamed::new(file, parts, room));
    Ok(match pieces.as_deref() {
        None => {
            let whole = vec![Part::Piece { first: 0, bytes: meta.length }];
            described(StatusCode::OK, sent(whole), &meta)
        }
        Some(&[(first, last)]) => {
            let piece = vec![Part::Piece { first, bytes: last - first + 1 }];
            let mut reply = described(StatusCode::PARTIAL_CONTENT, sent(piece), &meta);
            insert(reply.headers_mut(), CONTENT_RANGE, range(first, last, meta.length));
            reply
        }
        Some(pieces) => {
            let boundary = wire::fresh_id();
            let mut reply = described(StatusCode::PARTIAL_CONTENT, sent(multipart(pieces, &meta, &boundary)), &meta);
            insert(reply.headers_mut(), CONTENT_TYPE, format!("multipart/byteranges; boundary={boundary}"));
            reply
        }
    })
}

/// All that is said of a file, whatever of it is sent.
fn described(status: StatusCode, body: Sent, meta: &FileMeta) -> Response<Sent> {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    insert(headers, CONTENT_TYPE, &*meta.mime);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    insert(headers, ETAG, &*meta.etag);
    insert(headers, LAST_MODIFIED, httpdate::fmt_http_date(meta.last_modified));
    headers.insert(CACHE_CONTROL, reply::cache_control(meta.freshness));
    headers.insert(wire::NO_SNIFFING.0, wire::NO_SNIFFING.1);
    if let Some(ignored) = reply::ignored(&meta.ignored) {
        headers.insert(reply::IGNORED, ignored);
    }
    reply::add_company_headers(headers, &meta.headers);
    reply
}

/// A header of this program's own making: always printable.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: impl AsRef<str>) {
    if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
        headers.insert(name, value);
    }
}

fn nothing() -> Sent {
    Sent::Memory(Body::empty())
}

fn range(first: u64, last: u64, length: u64) -> String {
    format!("bytes {first}-{last}/{length}")
}

/// Pieces with their types and places between boundaries [RFC 9110 14.6].
fn multipart(pieces: &[(u64, u64)], meta: &FileMeta, boundary: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for &(first, last) in pieces {
        let (mime, range) = (&meta.mime, range(first, last, meta.length));
        let head = format!("\r\n--{boundary}\r\nContent-Type: {mime}\r\nContent-Range: {range}\r\n\r\n");
        parts.push(Part::Words(Bytes::from(head)));
        parts.push(Part::Piece { first, bytes: last - first + 1 });
    }
    parts.push(Part::Words(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
    parts
}

/// 412: it is not what the client takes it for.
fn not_expected(meta: &FileMeta) -> Response<Sent> {
    let problem = Problem {
        status: StatusCode::PRECONDITION_FAILED,
        title: "Changed",
        detail: "the file is not in the state that If-Match or If-Unmodified-Since names",
        advice: "Ask for it anew, without the condition.",
    };
    told(&problem, meta)
}

/// 416, with the length that there is.
fn out_of_range(meta: &FileMeta) -> Response<Sent> {
    let problem = Problem {
        status: StatusCode::RANGE_NOT_SATISFIABLE,
        title: "Out of range",
        detail: &format!("the file has {} bytes", meta.length),
        advice: "Ask for bytes that are there.",
    };
    let mut reply = told(&problem, meta);
    insert(reply.headers_mut(), CONTENT_RANGE, format!("bytes */{}", meta.length));
    reply
}

fn told(problem: &Problem<'_>, meta: &FileMeta) -> Response<Sent> {
    let mut reply = problem.reply();
    reply.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    reply::add_company_headers(reply.headers_mut(), &meta.headers);
    reply.map(Sent::Memory)
}
