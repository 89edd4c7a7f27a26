//! Which request goes where, and what is said to those that go nowhere.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tracing::Instrument;

use super::streamed::{self, Sent};
use super::{Daemon, Socket, content, image, invalidate, renditions, reply, upload};
use crate::error::Error;
use crate::limits;
use crate::wire::{self, Body, Problem};

/// Everything that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Image,
    Content,
    Explain,
    Live,
    Ready,
    Transcode,
    Fanout,
    Invalidate,
    Engines,
    Metrics,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/livez" => Some(Self::Live),
            "/readyz" => Some(Self::Ready),
            "/v1/transcode" => Some(Self::Transcode),
            "/v1/fanout" => Some(Self::Fanout),
            "/v1/invalidate" => Some(Self::Invalidate),
            "/v1/engines" => Some(Self::Engines),
            "/metrics" => Some(Self::Metrics),
            _ if path.starts_with(image::EXPLAIN) => Some(Self::Explain),
            _ => {
                let below =
                    |root| path.strip_prefix(root).is_some_and(|rest: &str| rest.is_empty() || rest.starts_with('/'));
                [(image::ROOT, Self::Image), (content::ROOT, Self::Content)]
                    .into_iter()
                    .find_map(|(root, route)| below(root).then_some(route))
            }
        }
    }

    fn is_served_on(self, socket: Socket) -> bool {
        match self {
            Self::Image | Self::Content | Self::Live | Self::Ready | Self::Transcode | Self::Fanout => true,
            Self::Invalidate | Self::Explain | Self::Engines | Self::Metrics => socket == Socket::Admin,
        }
    }

    /// Whether it takes a place among the open requests.
    fn is_work(self) -> bool {
        match self {
            Self::Live | Self::Ready | Self::Metrics | Self::Engines | Self::Invalidate => false,
            Self::Image | Self::Content | Self::Explain | Self::Transcode | Self::Fanout => true,
        }
    }

    /// For `Allow`.
    fn methods(self) -> &'static str {
        match self {
            Self::Transcode | Self::Fanout | Self::Invalidate => "POST, OPTIONS",
            Self::Image | Self::Content | Self::Explain | Self::Live | Self::Ready | Self::Engines | Self::Metrics => {
                "GET, HEAD, OPTIONS"
            }
        }
    }
}

/// Answers one request.
pub(super) async fn answer(daemon: Arc<Daemon>, socket: Socket, request: Request<Incoming>) -> Response<Sent> {
    let (parts, body) = request.into_parts();
    let id = wire::request_id(&parts.headers);
    // Whoever may connect to the socket is believed; the front writes the peer's address there, over what came in.
    let client = parts.headers.get("x-forwarded-for").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let span = tracing::info_span!("request", id, client);
    let reply = dispatch(&daemon, socket, &parts, body).instrument(span).await;
    let mut reply = streamed::fit_to_method(&parts.method, reply);
    if let Ok(id) = HeaderValue::from_str(&id) {
        reply.headers_mut().insert(wire::REQUEST_ID, id);
    }
    reply
}

async fn dispatch(daemon: &Daemon, socket: Socket, parts: &Parts, body: Incoming) -> Response<Sent> {
    let route = match refusal(socket, parts) {
        Ok(route) => route,
        Err(mut refused) => {
            // Of a picture or a file: its company's headers are on every reply.
            let below = |root| parts.uri.path().strip_prefix(root).filter(|rest: &&str| rest.starts_with('/'));
            if let Some(path) = [image::ROOT, content::ROOT].into_iter().find_map(below) {
                reply::add_company_headers(refused.headers_mut(), &daemon.service.headers_below(path));
            }
            return refused.map(Sent::Memory);
        }
    };
    // Probes and the owner's words are answered whether or not there is room for work.
    let room = route.is_work().then(|| daemon.open_requests.try_acquire()).transpose();
    match room {
        Ok(_room) => answered(daemon, route, parts, body).await,
        Err(_) => busy(daemon, parts, route).map(Sent::Memory),
    }
}

/// The route of a request, or what is said to one that has none.
fn refusal(socket: Socket, parts: &Parts) -> Result<Route, Box<Response<Body>>> {
    wire::check_head(parts)?;
    let path = parts.uri.path();
    if parts.method == Method::OPTIONS && path == "*" {
        return Err(Box::new(wire::no_content("GET, HEAD, POST, OPTIONS")));
    }
    let Some(route) = Route::of(path) else { return Err(Box::new(unknown(path))) };
    if !route.is_served_on(socket) {
        return Err(Box::new(not_found(path, "This is answered on the admin socket only.")));
    }
    if parts.method == Method::OPTIONS {
        return Err(Box::new(wire::no_content(route.methods())));
    }
    // The methods of a route are few and written in capitals, so that a search in the list is exact enough.
    if !route.methods().split(", ").any(|method| method == parts.method.as_str()) {
        return Err(Box::new(wrong_method(parts, route)));
    }
    Ok(route)
}

/// The reply where there is no room for one more request.
fn busy(daemon: &Daemon, parts: &Parts, route: Route) -> Response<Body> {
    let busy = Error::Busy { lane: "request", depth: limits::OPEN_REQUESTS_MAX };
    match route {
        Route::Image => image::refused(daemon, parts, &busy),
        Route::Content => content::failure(daemon, parts, &busy),
        _ => reply::failure(&busy, daemon.errors),
    }
}

async fn answered(daemon: &Daemon, route: Route, parts: &Parts, body: Incoming) -> Response<Sent> {
    let reply = match route {
        Route::Content => return content::answer(daemon, parts).await,
        Route::Live => text("alive\n"),
        Route::Ready => ready(daemon),
        Route::Metrics => metrics(daemon),
        Route::Engines => engines(daemon),
        Route::Invalidate => invalidate::answer(daemon, parts, body).await,
        Route::Image => image::answer(daemon, parts).await,
        Route::Explain => image::explain(daemon, parts).await,
        Route::Transcode => renditions::transcode(daemon, parts, body).await,
        Route::Fanout => renditions::fanout(daemon, parts, body).await,
    };
    reply.map(Sent::Memory)
}

/// Able to take work now? Asks nobody who might be at work.
fn ready(daemon: &Daemon) -> Response<Body> {
    let able = if daemon.draining.load(Ordering::Acquire) { Err(Error::Draining) } else { daemon.service.ready() };
    match able {
        Ok(()) => text(match daemon.service.cache_trouble() {
            None => String::from("ready\n"),
            // It serves without.
            Some(trouble) => format!("ready\ncache on disk: {trouble}\n"),
        }),
        Err(error) => {
            let problem = Problem {
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "Not ready",
                detail: &error.to_string(),
                advice: "Try again in a moment.",
            };
            let mut reply = problem.reply();
            reply.headers_mut().insert(RETRY_AFTER, reply::RETRY_AFTER_S);
            reply
        }
    }
}

fn metrics(daemon: &Daemon) -> Response<Body> {
    let mut metrics = daemon.service.metrics_text();
    let open = limits::OPEN_REQUESTS_MAX - daemon.open_requests.available_permits();
    let uploads = upload::bytes_in_hand(&daemon.uploads);
    for (name, help, value) in [
        ("calotype_open_requests", "requests being answered, probes excepted", open as u64),
        ("calotype_upload_bytes", "bytes of request bodies in hand", uploads),
    ] {
        metrics += &format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
    }
    let mut reply = text(metrics);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    reply
}

fn engines(daemon: &Daemon) -> Response<Body> {
    reply::json(&daemon.service.engines_json())
}

/// 200, the state of this moment.
fn text(words: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut reply = Response::new(Body::from(words));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

fn wrong_method(parts: &Parts, route: Route) -> Response<Body> {
    let problem = Problem {
        status: StatusCode::METHOD_NOT_ALLOWED,
        title: "Wrong method",
        detail: &format!("{} {}", crate::error::shortened(parts.method.as_str()), parts.uri.path()),
        advice: &format!("Use one of {}.", route.methods()),
    };
    let mut reply = problem.reply();
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(route.methods()));
    reply
}

fn unknown(path: &str) -> Response<Body> {
    let advice = "Pictures are at /is/image/{Company}/{Asset}, files at /is/content/{Company}/{file}; work is posted to \
                  /v1/transcode and /v1/fanout.";
    not_found(path, advice)
}

fn not_found(path: &str, advice: &str) -> Response<Body> {
    let detail = crate::error::shortened(path);
    Problem { status: StatusCode::NOT_FOUND, title: "No such path", detail: &detail, advice }.reply()
}
