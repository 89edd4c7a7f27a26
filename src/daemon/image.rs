//! `GET|HEAD /is/image/{Company}/{Asset}?{commands}`.

use std::net::IpAddr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response};

use super::{Daemon, conditions, reply};
use crate::decide::Hints;
use crate::error::Error;
use crate::service::{ImageRequest, Manners, Reply, Wanted, utc};
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
    let wanted = if parts.method == Method::HEAD { Wanted::Head } else { Wanted::Whole };
    let known = conditions::known(&parts.headers);
    let deadline = Instant::now() + daemon.deadline;
    let mut reply = match daemon.service.reply(&request, wanted, known.as_ref(), deadline).await {
        Ok(Reply::Words(words)) => reply::words(words),
        Ok(Reply::NotModified(meta)) => reply::not_modified(&meta),
        Ok(Reply::Head(meta)) => reply::head(&meta),
        Ok(Reply::Picture(rendition)) => reply::picture(*rendition),
        Err(failure) => told(daemon, &failure.error, &failure.manners),
    };
    if daemon.compat_headers {
        reply::add_original_name(reply.headers_mut());
    }
    reply
}

/// The reply to a request that is not even looked at.
pub(super) fn refused(daemon: &Daemon, parts: &Parts, error: &Error) -> Response<Body> {
    let path = parts.uri.path().strip_prefix(ROOT).unwrap_or_default();
    told(daemon, error, &daemon.service.manners(&request(daemon, parts, path)))
}

/// An error, with what is on every reply to its URL.
fn told(daemon: &Daemon, error: &Error, manners: &Manners) -> Response<Body> {
    let mut reply = reply::failure_in(error, daemon.errors, manners);
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
