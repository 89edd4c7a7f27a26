//! `GET|HEAD /is/image/{Company}/{Asset}?{commands}`.

use std::net::IpAddr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response};

use super::conditions::Known;
use super::{Daemon, reply};
use crate::decide::Hints;
use crate::error::{Error, Result};
use crate::service::{ImageRequest, utc};
use crate::wire::Body;

/// The root context of pictures.
pub(super) const ROOT: &str = "/is/image";
/// The same, explained instead of rendered.
pub(super) const EXPLAIN: &str = "/v1/explain/";

pub(super) async fn answer(daemon: &Daemon, parts: &Parts) -> Response<Body> {
    let path = parts.uri.path().strip_prefix(ROOT).unwrap_or_default();
    if path.trim_start_matches('/').is_empty() && parts.uri.query().unwrap_or_default().is_empty() {
        return root();
    }
    let request = request(daemon, parts, path);
    let mut reply = match render(daemon, parts, &request).await {
        Ok(reply) => reply,
        Err(error) => failure(daemon, &request, &error),
    };
    if daemon.compat_headers {
        reply::add_original_name(reply.headers_mut());
    }
    reply
}

/// The reply to a request that is not even looked at.
pub(super) fn refused(daemon: &Daemon, parts: &Parts, error: &Error) -> Response<Body> {
    let path = parts.uri.path().strip_prefix(ROOT).unwrap_or_default();
    failure(daemon, &request(daemon, parts, path), error)
}

/// An error, with what is on every reply to its URL.
fn failure(daemon: &Daemon, request: &ImageRequest, error: &Error) -> Response<Body> {
    let manners = daemon.service.manners(request);
    let mut reply = reply::failure_in(error, daemon.errors, &manners);
    reply::add_vary(reply.headers_mut(), &manners.varies_by);
    reply::add_company_headers(reply.headers_mut(), &manners.headers);
    reply
}

/// `GET /v1/explain/{Company}/{Asset}?{commands}`.
pub(super) async fn explain(daemon: &Daemon, parts: &Parts) -> Response<Body> {
    let path = parts.uri.path().strip_prefix(EXPLAIN).unwrap_or_default();
    let deadline = Instant::now() + daemon.deadline;
    match daemon.service.explain(&request(daemon, parts, path), deadline).await {
        Ok(explained) => reply::json(&explained),
        Err(error) => reply::failure(&error, daemon.errors),
    }
}

async fn render(daemon: &Daemon, parts: &Parts, request: &ImageRequest) -> Result<Response<Body>> {
    let deadline = Instant::now() + daemon.deadline;
    if let Some(words) = daemon.service.words(request, deadline).await? {
        return Ok(reply::words(words));
    }
    let known = Known::of(&parts.headers);
    if let Some(known) = &known
        // What is wrong with it shows when it is looked at.
        && let Ok(Some(mut meta)) = daemon.service.unchecked(request)
    {
        meta.etag = known.only_tag();
        return Ok(reply::not_modified(&meta));
    }
    if parts.method == Method::HEAD || known.is_some() {
        let meta = daemon.service.head(request, deadline).await?;
        if known.as_ref().is_some_and(|known| known.is(meta.etag.as_deref(), meta.last_modified)) {
            return Ok(reply::not_modified(&meta));
        }
        if parts.method == Method::HEAD {
            return Ok(reply::head(&meta));
        }
    }
    let rendition = daemon.service.image(request, deadline).await?;
    if known.is_some_and(|known| known.is(rendition.meta.etag.as_deref(), rendition.meta.last_modified)) {
        return Ok(reply::not_modified(&rendition.meta));
    }
    Ok(reply::picture(rendition))
}

/// The request for `path`, which is what follows the root.
pub(super) fn request(daemon: &Daemon, parts: &Parts, path: &str) -> ImageRequest {
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let client = client(&parts.headers);
    ImageRequest { path: path.to_owned(), query, hints: hints(daemon, &parts.headers), client }
}

/// The client's address: the last one of `X-Forwarded-For`, which is what the proxy before this socket saw with its own
/// eyes; the front replaces all others by it. Whoever may connect to the socket is believed.
pub(super) fn client(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim();
    last.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// What the client tells of itself. To be called once a request: what cannot be understood is counted.
pub(super) fn hints(daemon: &Daemon, headers: &HeaderMap) -> Hints {
    // A value that is no text is sent all the same, and means nothing.
    let lines = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("\u{fffd}")));
    let hints = Hints::from_headers(lines);
    daemon.service.count_malformed(&hints);
    hints
}

/// The bare root: a text reply of the property form [protocol, 1.1].
fn root() -> Response<Body> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let text = format!("#S7Z OK\n#{}\ncopyright=calotype {}\n", utc(now), env!("CARGO_PKG_VERSION"));
    let mut reply = Response::new(Body::from(text));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // NonImgExpiration, 0.1 h.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=360"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_s_address_is_the_one_that_was_written_last() {
        let of = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", HeaderValue::from_static(line));
            }
            client(&headers).map(|address| address.to_string())
        };
        assert_eq!(of(&["10.0.0.1"]).unwrap(), "10.0.0.1");
        assert_eq!(of(&["6.6.6.6, 10.0.0.1"]).unwrap(), "10.0.0.1");
        assert_eq!(of(&["10.0.0.1", "::ffff:10.0.0.2"]).unwrap(), "10.0.0.2");
        for none in [&[][..], &[""], &["10.0.0.1, unknown"], &["10.0.0.1:80"]] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}
