//! HTTP manners that the daemon and the front share: connections, ceilings on a request's head, plain-text replies.
//!
//! A leaf (it imports `error` and `limits` alone), so that the front can keep knowing nothing of the service.
//! Invariant: no meaning lives here; nothing in this folder knows a route, a company or a picture.

mod body;
mod connection;
mod reply;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

pub use body::Body;
pub use connection::{Connections, Slot};
pub use reply::{NO_SNIFFING, Problem, fit_to_method, no_content};

use crate::limits;

/// The header that carries a request's name through front, daemon and their logs.
pub const REQUEST_ID: &str = "x-request-id";

/// The ceilings on a request's head, before anything else is done with it.
///
/// # Errors
/// The finished reply: 414 or 431.
pub fn check_head(parts: &Parts) -> Result<(), Box<Response<Body>>> {
    let url = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if url > limits::URL_BYTES_MAX {
        return Err(Box::new(
            Problem {
                status: StatusCode::URI_TOO_LONG,
                title: "URL too long",
                detail: &format!("{url} bytes of path and query: at most {} are allowed", limits::URL_BYTES_MAX),
                advice: "Move the commands that repeat into a preset of the company.",
            }
            .reply(),
        ));
    }
    let (headers, headers_max) = (parts.headers.len(), limits::HEADERS_MAX);
    if headers > headers_max {
        return Err(too_large(&format!("{headers} headers: at most {headers_max} are allowed")));
    }
    let bytes: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let bytes_max = limits::HEADERS_BYTES_MAX;
    if bytes > bytes_max {
        return Err(too_large(&format!("{bytes} bytes of headers: at most {bytes_max} are allowed")));
    }
    Ok(())
}

fn too_large(detail: &str) -> Box<Response<Body>> {
    let problem = Problem {
        status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        title: "Headers too large",
        detail,
        advice: "Send fewer or shorter headers; cookies are not needed here.",
    };
    Box::new(problem.reply())
}

/// The request's own name if it is short and printable, else a fresh one of 16 hexadecimal digits.
pub fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=limits::REQUEST_ID_BYTES_MAX).contains(&id.len()))
        .filter(|id| id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&b)))
        .map_or_else(fresh_id, str::to_owned)
}

/// 16 hexadecimal digits that no other request of this host is likely to have. A name, not a secret.
pub fn fresh_id() -> String {
    // Every `RandomState` has keys of its own, seeded by the system; hashing anything with them is a random number.
    format!("{:016x}", RandomState::new().hash_one(0_u8))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn sane_request_ids_are_kept_and_others_replaced() {
        let id_of = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
            request_id(&headers)
        };
        assert_eq!(id_of(b"01J-abc_9:7"), "01J-abc_9:7");
        for bad in [&b""[..], b"a b", b"caf\xc3\xa9", b"<x>", &[b'a'; limits::REQUEST_ID_BYTES_MAX + 1]] {
            let id = id_of(bad);
            assert_eq!(id.len(), 16, "{bad:?} became {id}");
            assert_ne!(id.as_bytes(), bad);
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}
