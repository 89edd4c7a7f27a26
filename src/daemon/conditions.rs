//! Conditions of requests [RFC 9110 13]: whether the client has what would be sent, and whether it is still the same.

use std::time::{SystemTime, UNIX_EPOCH};

use hyper::header::{HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};

use crate::service::Known;

/// What the client has: `If-None-Match`, or else `If-Modified-Since` [RFC 9110 13.2.2].
pub(super) fn known(headers: &HeaderMap) -> Option<Known> {
    let mut tags = Vec::new();
    for line in headers.get_all(IF_NONE_MATCH) {
        // A tag is printable; a line that is not matches nothing.
        let line = line.to_str().unwrap_or_default();
        if line.trim() == "*" {
            return Some(Known::Any);
        }
        tags.extend(opaque_tags(line));
    }
    if headers.contains_key(IF_NONE_MATCH) {
        return (!tags.is_empty()).then_some(Known::Tags(tags));
    }
    // A date that is none is as good as absent [RFC 9110 13.1.3].
    date(headers, IF_MODIFIED_SINCE).map(Known::Since)
}

/// Whether one of the tags that the client has is weak.
pub(super) fn has_weak_tag(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split('"').step_by(2)).any(|between| between.trim_end().ends_with("W/"))
}

/// The tags of one list, quotes included, `W/` left out. A comma may stand inside the quotes.
fn opaque_tags(line: &str) -> impl Iterator<Item = String> {
    // Quoted strings are every second piece between quotes.
    line.split('"').skip(1).step_by(2).map(|tag| format!("\"{tag}\""))
}

/// Whether `If-Match`, or else `If-Unmodified-Since`, lets the request go on [RFC 9110 13.1.1, 13.1.4]. Strong comparison: a
/// weak tag is equal to none.
pub(super) fn is_expected(headers: &HeaderMap, etag: &str, last_modified: SystemTime) -> bool {
    if headers.contains_key(IF_MATCH) {
        return headers
            .get_all(IF_MATCH)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .any(|line| line.trim() == "*" || (!etag.starts_with("W/") && strong_tags(line).any(|tag| tag == etag)));
    }
    date(headers, IF_UNMODIFIED_SINCE).is_none_or(|since| seconds(last_modified) <= seconds(since))
}

/// Whether `If-Range` allows a part of the whole: it must name exactly this state, by a strong tag or by its time.
pub(super) fn allows_range(headers: &HeaderMap, etag: &str, last_modified: SystemTime) -> bool {
    let Some(condition) = headers.get(IF_RANGE) else { return true };
    match condition.to_str().map(str::trim) {
        Ok(tag) if tag.starts_with('"') => tag == etag,
        // A time is strong enough only where no second change can hide within its second [RFC 9110 13.1.5]; where one can,
        // the tag is weak.
        Ok(_) => date(headers, IF_RANGE)
            .is_some_and(|since| !etag.starts_with("W/") && seconds(since) == seconds(last_modified)),
        Err(_) => false,
    }
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    // A date that is none is as good as absent.
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The tags of a list that are not weak, quotes included.
fn strong_tags(line: &str) -> impl Iterator<Item = String> {
    let pieces: Vec<&str> = line.split('"').collect();
    let strong = pieces.chunks(2).filter(|pair| !pair[0].trim_end().ends_with("W/"));
    strong.filter_map(|pair| pair.get(1)).map(|tag| format!("\"{tag}\"")).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn tags_are_taken_apart_at_quotes() {
        let tags: Vec<_> = opaque_tags(r#"W/"a,b" , "c","#).collect();
        assert_eq!(tags, ["\"a,b\"", "\"c\""]);
        assert_eq!(opaque_tags("junk").count(), 0);
    }

    #[test]
    fn a_range_needs_the_very_same_state() {
        let when = UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
        let allows = |condition: &'static str, etag| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_RANGE, HeaderValue::from_static(condition));
            allows_range(&headers, etag, when)
        };
        for (condition, etag, want) in [
            ("\"a\"", "\"a\"", true),
            ("\"a\"", "\"b\"", false),
            ("W/\"a\"", "W/\"a\"", false),
            ("\"a\"", "W/\"a\"", false),
            ("Sun, 06 Nov 1994 08:49:37 GMT", "\"a\"", true),
            ("Sun, 06 Nov 1994 08:49:37 GMT", "W/\"a\"", false),
            ("Sun, 06 Nov 1994 08:49:38 GMT", "\"a\"", false),
            ("junk", "\"a\"", false),
        ] {
            assert_eq!(allows(condition, etag), want, "{condition} {etag}");
        }
        assert!(allows_range(&HeaderMap::new(), "\"a\"", when));
    }

    #[test]
    fn what_is_expected_must_be_there() {
        let when = UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
        let goes_on = |name: HeaderName, value: &'static str, etag| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            is_expected(&headers, etag, when)
        };
        for (value, etag, want) in [
            ("*", "W/\"a\"", true),
            ("\"x\", \"a\"", "\"a\"", true),
            ("W/\"a\"", "\"a\"", false),
            ("W/\"x\", \"a\"", "\"a\"", true),
            ("\"a\"", "W/\"a\"", false),
            ("junk", "\"a\"", false),
        ] {
            assert_eq!(goes_on(IF_MATCH, value, etag), want, "{value} {etag}");
        }
        for (value, want) in
            [("Sun, 06 Nov 1994 08:49:37 GMT", true), ("Sun, 06 Nov 1994 08:49:36 GMT", false), ("junk", true)]
        {
            assert_eq!(goes_on(IF_UNMODIFIED_SINCE, value, "\"a\""), want, "{value}");
        }
    }
}
