//! The Snapshot page: one picture as asked for and with Smart Imaging, side by side, with what the replies say.
//!
//! Three static files. The page asks for client hints by its own reply, which is where browsers look for that, so it
//! proves the way of the hints as well.

use hyper::Response;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};

use crate::wire::Body;

/// Every hint that a rendition may depend on.
const HINTS: HeaderValue =
    HeaderValue::from_static("Sec-CH-DPR, Sec-CH-Width, Sec-CH-Viewport-Width, ECT, Downlink, RTT");
/// Scripts and styles of its own files alone; pictures from here, or made of replies that were fetched from here.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The page, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    page: String,
}

impl Snapshot {
    /// A page that offers these assets, the first of them shown; `None` without any.
    pub(super) fn new(assets: &[String]) -> Option<Self> {
        // JSON inside HTML: no text of it may end the script.
        let json = serde_json::Value::from(assets).to_string().replace('<', "\\u003c");
        (!assets.is_empty()).then(|| Self { page: include_str!("snapshot/page.html").replacen("ASSETS", &json, 1) })
    }

    /// The file at `path`, if it is one of the page's.
    pub(super) fn file(&self, path: &str) -> Option<Response<Body>> {
        let (mime, text) = match path {
            "/" => ("text/html; charset=utf-8", self.page.clone()),
            "/snapshot.css" => ("text/css; charset=utf-8", include_str!("snapshot/page.css").to_owned()),
            "/snapshot.js" => ("text/javascript; charset=utf-8", include_str!("snapshot/page.js").to_owned()),
            _ => return None,
        };
        let mut reply = Response::new(Body::from(text));
        for (name, value) in [
            (CONTENT_TYPE, HeaderValue::from_static(mime)),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (CONTENT_SECURITY_POLICY, POLICY),
            (HeaderName::from_static("accept-ch"), HINTS),
            (HeaderName::from_static("critical-ch"), HeaderValue::from_static("Sec-CH-DPR")),
        ] {
            reply.headers_mut().insert(name, value);
        }
        Some(reply)
    }
}
