//! `POST /v1/transcode` and `POST /v1/fanout`: renditions of bytes in the request, or many of one source.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use multer::{Constraints, Multipart};

use super::image::hints;
use super::upload::{self, Counted, Upload};
use super::{Daemon, reply};
use crate::error::{Error, Result, shortened};
use crate::limits;
use crate::request::decoded;
use crate::service::Rendition;
use crate::wire::{self, Body, Problem};

/// A request that ends here has its reply.
type Step<T> = std::result::Result<T, Box<Response<Body>>>;

pub(super) async fn transcode(daemon: &Daemon, parts: &Parts, body: Incoming) -> Response<Body> {
    let Query { company, commands } = match Query::of(parts) {
        Ok(query) => query,
        Err(error) => return reply::failure(&error, daemon.errors),
    };
    let of_company = company.as_deref().map(|name| daemon.service.company_headers(name)).unwrap_or_default();
    let mut reply = match try_transcode(daemon, parts, body, company.as_deref(), commands).await {
        Ok(reply) => reply,
        Err(reply) => *reply,
    };
    reply::add_company_headers(reply.headers_mut(), &of_company);
    reply
}

async fn try_transcode(
    daemon: &Daemon,
    parts: &Parts,
    body: Incoming,
    company: Option<&str>,
    commands: String,
) -> Step<Response<Body>> {
    let deadline = Instant::now() + daemon.deadline;
    if media_type(parts) == MULTIPART {
        return Err(wrong_media_type(parts, "Send the picture's bytes themselves: curl --data-binary @photo.jpg"));
    }
    let source = upload::read(daemon, body, limits::SOURCE_BYTES_MAX, Counted::Once, deadline).await?;
    let failed = |error| Box::new(reply::failure(&error, daemon.errors));
    let commands = [commands];
    let renditions = daemon
        .service
        .transcode(company, source.bytes.clone(), &commands, &hints(daemon, &parts.headers), deadline)
        .await;
    let mut renditions = renditions.map_err(failed)?;
    match renditions.pop() {
        Some(Ok(rendition)) => Ok(reply::picture(rendition)),
        Some(Err(error)) => Err(failed(error)),
        None => Err(failed(Error::Panic { message: String::from("one query gave no rendition") })),
    }
}

pub(super) async fn fanout(daemon: &Daemon, parts: &Parts, body: Incoming) -> Response<Body> {
    let company = match Query::of(parts) {
        Ok(query) if query.commands.is_empty() => query.company,
        Ok(query) => {
            let got = shortened(&query.commands);
            let error =
                Error::Request { got, want: "company=… alone in the URL; the commands go into the body".into() };
            return reply::failure(&error, daemon.errors);
        }
        Err(error) => return reply::failure(&error, daemon.errors),
    };
    let of_company = company.as_deref().map(|name| daemon.service.company_headers(name)).unwrap_or_default();
    let mut reply = match try_fanout(daemon, parts, body, company.as_deref()).await {
        Ok(reply) => reply,
        Err(reply) => *reply,
    };
    reply::add_company_headers(reply.headers_mut(), &of_company);
    reply
}

async fn try_fanout(daemon: &Daemon, parts: &Parts, body: Incoming, company: Option<&str>) -> Step<Response<Body>> {
    let deadline = Instant::now() + daemon.deadline;
    let failed = |error| Box::new(reply::failure(&error, daemon.errors));
    let service = &daemon.service;
    let renditions = match media_type(parts).as_str() {
        "application/json" => {
            let json_max = limits::FANOUT_JSON_BYTES_MAX as u64;
            let json = upload::read(daemon, body, json_max, Counted::Once, deadline).await?;
            let order: Order = from_json("body", &json.bytes).map_err(failed)?;
            let renditions = checked(order.renditions).map_err(failed)?;
            service.fanout(&order.source, company, &renditions, &hints(daemon, &parts.headers), deadline).await
        }
        MULTIPART => {
            let body_max = limits::SOURCE_BYTES_MAX + limits::FANOUT_JSON_BYTES_MAX as u64 + MULTIPART_FRAMING_BYTES;
            // The parser works in a copy of its own.
            let upload = upload::read(daemon, body, body_max, Counted::Twice, deadline).await?;
            let (source, renditions) = form(parts, &upload).await.map_err(failed)?;
            service.transcode(company, source, &renditions, &hints(daemon, &parts.headers), deadline).await
        }
        _ => return Err(wrong_media_type(parts, "Send application/json, or multipart/form-data with the picture.")),
    };
    Ok(mixed(daemon, renditions.map_err(failed)?))
}

/// The JSON body of a fan-out.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    source: String,
    renditions: Vec<String>,
}

fn from_json<'a, T: serde::Deserialize<'a>>(what: &str, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|cause| Error::Request {
        got: shortened(&format!("{what}: {cause}")),
        want: r#"JSON: {"source": "Company/Asset", "renditions": ["wid=320", …]}; in a form the list alone"#.into(),
    })
}

fn checked(renditions: Vec<String>) -> Result<Vec<String>> {
    let count = renditions.len();
    if (1..=limits::FANOUT_RENDITIONS_MAX).contains(&count) {
        return Ok(renditions);
    }
    let want = format!("1 to {} renditions", limits::FANOUT_RENDITIONS_MAX);
    Err(Error::Request { got: format!("{count} renditions"), want: want.into() })
}

/// The form of a fan-out: `source` with the bytes and `renditions` with the JSON list, in any order.
async fn form(parts: &Parts, upload: &Upload) -> Result<(Bytes, Vec<String>)> {
    let broken = |cause: &dyn std::fmt::Display| Error::Request {
        got: shortened(&cause.to_string()),
        want: "multipart/form-data with the fields source (the picture) and renditions (a JSON list)".into(),
    };
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(|cause| broken(&cause))?;
    let fields = Constraints::new().allowed_fields(vec!["source", "renditions"]);
    let body = BodyDataStream::new(Body::from(upload.bytes.clone()));
    let mut multipart = Multipart::with_constraints(body, boundary, fields);
    let (mut source, mut renditions) = (None, None);
    while let Some(mut field) = multipart.next_field().await.map_err(|cause| broken(&cause))? {
        let is_source = field.name() == Some("source");
        let mut chunks = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(|cause| broken(&cause))? {
            chunks.push(chunk);
        }
        // All of the body was there at once, so there is one chunk, and nothing is copied again.
        let bytes = if chunks.len() == 1 { chunks.remove(0) } else { Bytes::from(chunks.concat()) };
        if is_source {
            source = Some(bytes);
        } else {
            renditions = Some(checked(from_json("renditions", &bytes)?)?);
        }
    }
    match (source, renditions) {
        (Some(source), Some(renditions)) => Ok((source, renditions)),
        (None, _) => Err(broken(&"no field source")),
        (_, None) => Err(broken(&"no field renditions")),
    }
}

/// All renditions in order, each with a status of its own.
fn mixed(daemon: &Daemon, renditions: Vec<Result<Rendition>>) -> Response<Body> {
    // Parts have lengths, and 128 random bits do not turn up in a picture by accident.
    let boundary = format!("{}{}", wire::fresh_id(), wire::fresh_id());
    let mut chunks = Vec::new();
    for rendition in renditions {
        let (head, bytes) = match rendition {
            Ok(rendition) => (picture_head(&rendition), rendition.bytes),
            Err(error) => {
                let detail = error.to_string();
                let problem = reply::problem(&error, &detail, daemon.errors);
                (problem_head(&problem), Bytes::from(problem.text()))
            }
        };
        let open = format!("--{boundary}\r\n{head}Content-Length: {}\r\n\r\n", bytes.len());
        chunks.extend([Bytes::from(open), bytes, Bytes::from_static(b"\r\n")]);
    }
    chunks.push(Bytes::from(format!("--{boundary}--\r\n")));
    let mut reply = Response::new(Body::from_iter(chunks));
    let headers = reply.headers_mut();
    if let Ok(value) = HeaderValue::try_from(format!("multipart/mixed; boundary={boundary}")) {
        headers.insert(CONTENT_TYPE, value);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

fn picture_head(rendition: &Rendition) -> String {
    let meta = &rendition.meta;
    let mut head = format!("Status: {}\r\n", StatusCode::OK.as_u16());
    if let Some(mime) = meta.mime {
        head += &format!("Content-Type: {mime}\r\n");
    }
    if let Some(etag) = &meta.etag {
        head += &format!("ETag: {etag}\r\n");
    }
    if let Some(ignored) = reply::ignored(&meta.ignored).as_ref().and_then(|value| value.to_str().ok()) {
        head += &format!("X-Image-Serving-Ignored: {ignored}\r\n");
    }
    head
}

fn problem_head(problem: &Problem<'_>) -> String {
    format!("Status: {}\r\nContent-Type: text/plain; charset=utf-8\r\n", problem.status.as_u16())
}

/// A query without its `company=`, which is the daemon's word and no command.
struct Query {
    company: Option<String>,
    commands: String,
}

impl Query {
    fn of(parts: &Parts) -> Result<Self> {
        let mut company = None;
        let mut commands = Vec::new();
        for modifier in parts.uri.query().unwrap_or_default().split('&').filter(|modifier| !modifier.is_empty()) {
            match modifier.split_once('=') {
                Some((name, value)) if name.eq_ignore_ascii_case("company") => company = Some(decoded(value)?),
                _ => commands.push(modifier),
            }
        }
        Ok(Self { company, commands: commands.join("&") })
    }
}

/// The body's media type in lower case, without parameters.
pub(super) fn media_type(parts: &Parts) -> String {
    let value = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

pub(super) fn wrong_media_type(parts: &Parts, advice: &str) -> Box<Response<Body>> {
    let detail = match media_type(parts) {
        none if none.is_empty() => String::from("no Content-Type"),
        other => shortened(&other),
    };
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Box::new(Problem { status, title: "Wrong media type", detail: &detail, advice }.reply())
}

const MULTIPART: &str = "multipart/form-data";
/// Boundaries and part headers of a form with two fields.
const MULTIPART_FRAMING_BYTES: u64 = 4096;
