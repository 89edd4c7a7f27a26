//! Replies that carry no picture: problems in plain text, and what a method does to a finished reply.

use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode};

use super::Body;

/// Why a request was refused or failed, for a person.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// HTTP status.
    pub status: StatusCode,
    /// First line: the kind of problem.
    pub title: &'a str,
    /// Second line: this problem.
    pub detail: &'a str,
    /// Third line: what to do.
    pub advice: &'a str,
}

impl Problem<'_> {
    /// The reply: `text/plain`, never stored by anybody.
    pub fn reply(&self) -> Response<Body> {
        let mut reply = Response::new(Body::from(self.text()));
        *reply.status_mut() = self.status;
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(NO_SNIFFING.0, NO_SNIFFING.1);
        reply
    }

    /// The reply's body.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.title, self.detail, self.advice)
    }
}

/// For a reply that holds words of the client's: no browser may take it for a page.
pub const NO_SNIFFING: (HeaderName, HeaderValue) = (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

/// `OPTIONS`: the methods and nothing else.
pub fn no_content(allow: &'static str) -> Response<Body> {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    reply
}

/// What the method makes of a finished reply: `HEAD` keeps the length and loses the body. HTTP/2 needs this, HTTP/1.1
/// would do it by itself.
pub fn fit_to_method(method: &Method, reply: &mut Response<Body>) {
    if method == Method::HEAD {
        let body = std::mem::take(reply.body_mut());
        if !body.is_empty() && !reply.headers().contains_key(CONTENT_LENGTH) {
            reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
    }
}
