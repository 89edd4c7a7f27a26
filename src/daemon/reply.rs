//! From renditions and errors to replies: status, headers, words.

use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, RETRY_AFTER,
    VARY,
};
use hyper::{Response, StatusCode};

use crate::config::ErrorStyle;
use crate::error::Error;
use crate::service::{Freshness, Manners, Meta, Rendition, Words, error_in_form};
use crate::wire::{Body, NO_SNIFFING, Problem};

/// Names the commands that were ignored, so that a misspelt one does not look like success.
pub(super) const IGNORED: HeaderName = HeaderName::from_static("x-image-serving-ignored");

/// Bytes saved by another format, or lost by the one that was tried in vain.
const SMART_IMAGING: HeaderName = HeaderName::from_static("x-smart-imaging");
/// The original's name for it.
const ADOBE_SMART_IMAGING: HeaderName = HeaderName::from_static("x-adobe-smart-imaging");
/// Why this format.
const SMART_IMAGING_REASON: HeaderName = HeaderName::from_static("x-smart-imaging-reason");
/// Client hints that could change the reply.
const ACCEPT_CH: HeaderName = HeaderName::from_static("accept-ch");

/// 200 with the picture.
pub(super) fn picture(rendition: Rendition) -> Response<Body> {
    let mut reply = Response::new(Body::from(rendition.bytes));
    describe(&rendition.meta, reply.headers_mut());
    reply
}

/// 200 without the picture, for `HEAD`.
pub(super) fn head(meta: &Meta) -> Response<Body> {
    let mut reply = Response::new(Body::empty());
    describe(meta, reply.headers_mut());
    if let Some(length) = meta.length {
        reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    reply
}

/// 200 with JSON for people, true at this moment.
pub(super) fn json(value: &serde_json::Value) -> Response<Body> {
    let mut reply = Response::new(Body::from(format!("{value:#}\n")));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// 304: what a cache needs to go on using what it has.
pub(super) fn not_modified(meta: &Meta) -> Response<Body> {
    let mut reply = head(meta);
    *reply.status_mut() = StatusCode::NOT_MODIFIED;
    reply.headers_mut().remove(CONTENT_TYPE);
    reply.headers_mut().remove(CONTENT_LENGTH);
    reply
}

/// Type, tag, time to live, ignored commands, and the company's own headers.
fn describe(meta: &Meta, headers: &mut HeaderMap) {
    if let Some(mime) = meta.mime {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(mime));
    }
    add_vary(headers, &meta.varies_by);
    if let Some(wanted) = list(&meta.hints_wanted) {
        headers.insert(ACCEPT_CH, wanted);
    }
    if let Some(reason) = meta.reason {
        headers.insert(SMART_IMAGING_REASON, HeaderValue::from_static(reason));
    }
    if let Some(saved) = meta.saved {
        headers.insert(SMART_IMAGING, HeaderValue::from(saved));
    }
    headers.insert(CACHE_CONTROL, cache_control(meta.freshness));
    if let Some(when) = meta.last_modified.and_then(|when| HeaderValue::try_from(httpdate::fmt_http_date(when)).ok()) {
        headers.insert(LAST_MODIFIED, when);
    }
    if let Some(etag) = meta.etag.as_deref().and_then(|tag| HeaderValue::from_str(tag).ok()) {
        headers.insert(ETAG, etag);
    }
    if let Some(ignored) = ignored(&meta.ignored) {
        headers.insert(IGNORED, ignored);
    }
    add_company_headers(headers, &meta.headers);
}

/// Says the bytes saved once more, under the original's name.
pub(super) fn add_original_name(headers: &mut HeaderMap) {
    if let Some(saved) = headers.get(SMART_IMAGING).cloned() {
        headers.insert(ADOBE_SMART_IMAGING, saved);
    }
}

/// The request headers that the reply depends on.
pub(super) fn add_vary(headers: &mut HeaderMap, fields: &[&str]) {
    if let Some(fields) = list(fields) {
        headers.insert(VARY, fields);
    }
}

fn list(fields: &[&str]) -> Option<HeaderValue> {
    // Names of headers, of this program's own: always printable.
    (!fields.is_empty()).then(|| HeaderValue::try_from(fields.join(", ")).ok()).flatten()
}

/// The ignored commands as one header. Names come from the URL, decoded, so what is no plain header text is `?`.
pub(super) fn ignored(names: &[String]) -> Option<HeaderValue> {
    if names.is_empty() {
        return None;
    }
    let names = names.join(", ");
    let plain: String = names.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect();
    HeaderValue::from_str(&plain).ok()
}

/// `None` never expires, 0 is asked again every time.
pub(super) fn cache_control(freshness: Freshness) -> HeaderValue {
    let Freshness { is_kept, max_age_s, stale_while_revalidate_s } = freshness;
    let words = match (is_kept, max_age_s, stale_while_revalidate_s) {
        (false, _, _) => return HeaderValue::from_static("no-store"),
        (true, None, _) => return HeaderValue::from_static("public, max-age=31536000, immutable"),
        (true, Some(0), _) => return HeaderValue::from_static("no-cache"),
        (true, Some(seconds), 0) => format!("public, max-age={seconds}"),
        (true, Some(seconds), stale) => format!("public, max-age={seconds}, stale-while-revalidate={stale}"),
    };
    // Digits and ASCII words.
    HeaderValue::try_from(words).unwrap_or(HeaderValue::from_static("no-cache"))
}

/// The company's own headers, as configured; what the daemon says itself stands.
pub(super) fn add_company_headers(headers: &mut HeaderMap, of_company: &[(String, String)]) {
    let ours = headers.clone();
    for (name, value) in of_company {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                // A rule may add several of one name.
                if !ours.contains_key(&name) {
                    headers.append(name, value);
                }
            }
            _ => tracing::error!(name, "a company's header is no HTTP header: the configuration let it pass"),
        }
    }
}

/// The reply to a request that failed.
pub(super) fn failure(error: &Error, style: ErrorStyle) -> Response<Body> {
    let detail = error.to_string();
    let mut reply = problem(error, &detail, style).reply();
    if reply.status() == StatusCode::SERVICE_UNAVAILABLE {
        reply.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S);
    }
    reply
}

/// As [`failure`], saying as much as the company lets it, in the form that the request asked for.
pub(super) fn failure_in(error: &Error, style: ErrorStyle, manners: &Manners) -> Response<Body> {
    let mut reply = failure(error, style);
    let (title, _) = words_for(error);
    let is_short = manners.error_detail < 2;
    let message = if is_short { String::new() } else { error.to_string() };
    if let Some((mime, body)) = error_in_form(title, &message, &manners.req) {
        *reply.body_mut() = Body::from(body);
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(mime));
    } else if is_short {
        *reply.body_mut() = Body::from(format!("{title}\n"));
    }
    reply
}

/// 200 with words.
pub(super) fn words(words: Words) -> Response<Body> {
    let mut reply = Response::new(Body::from(words.body));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(words.mime));
    headers.insert(NO_SNIFFING.0, NO_SNIFFING.1);
    headers.insert(CACHE_CONTROL, cache_control(words.freshness));
    if let Some(ignored) = ignored(&words.ignored) {
        headers.insert(IGNORED, ignored);
    }
    add_company_headers(headers, &words.headers);
    reply
}

/// The words for an error; `detail` is its own text.
pub(super) fn problem<'a>(error: &Error, detail: &'a str, style: ErrorStyle) -> Problem<'a> {
    let (title, advice) = words_for(error);
    Problem { status: status(error, style), title, detail, advice }
}

/// The one place where an error becomes a status. `Compat` folds what the original folds into its 403.
pub(super) fn status(error: &Error, style: ErrorStyle) -> StatusCode {
    let semantic = match error {
        Error::Command { .. }
        | Error::UnknownCommand { .. }
        | Error::NotSupported { .. }
        | Error::UnknownPreset { .. }
        | Error::Request { .. }
        | Error::MaxPix { .. } => StatusCode::BAD_REQUEST,
        Error::NoCompany { .. } | Error::NotFound { .. } | Error::NoFile { .. } => StatusCode::NOT_FOUND,
        Error::Refused { .. } | Error::Forbidden { .. } => StatusCode::FORBIDDEN,
        Error::UnknownFormat { .. }
        | Error::BrokenSource { .. }
        | Error::SourceTooLarge { .. }
        | Error::SourceTooLong { .. }
        | Error::TooMuchMemory { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Busy { .. } | Error::Draining | Error::Cancelled { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Error::Deadline { .. } => StatusCode::GATEWAY_TIMEOUT,
        Error::Device { .. } | Error::Encode { .. } | Error::Panic { .. } | Error::Config { .. } | Error::Io { .. } => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    match style {
        ErrorStyle::Compat if semantic.is_client_error() => StatusCode::FORBIDDEN,
        ErrorStyle::Compat | ErrorStyle::Semantic => semantic,
    }
}

/// Title and advice.
fn words_for(error: &Error) -> (&'static str, &'static str) {
    match error {
        Error::Command { .. } => ("Bad command", "Correct the command's value."),
        Error::UnknownCommand { .. } => ("Unknown command", "Correct the name, or remove the command."),
        Error::NotSupported { .. } => ("Not supported", "Remove the command, or use another value."),
        Error::UnknownPreset { .. } => ("Unknown preset", "Correct the name, or define the preset for this company."),
        Error::Request { .. } => ("Bad request", "Correct the URL or the body."),
        Error::MaxPix { .. } => ("Too large a reply", "Ask for a smaller picture, or raise the company's max_pix."),
        Error::NoCompany { .. } => ("Company not found", "Check the company's name; it is case-sensitive."),
        Error::NotFound { .. } => ("Image not found", "Check company and asset; both are case-sensitive."),
        Error::NoFile { .. } => ("File not found", "Check company and file; both are case-sensitive."),
        Error::Refused { .. } => ("Request refused", "Ask the site's owner for a URL that is allowed."),
        Error::Forbidden { .. } => {
            ("Path refused", "Name an asset below the company's folder, without .. in its path.")
        }
        Error::UnknownFormat { .. } => ("Not a picture", "Send or store a JPEG, PNG, WebP, GIF or TIFF file."),
        Error::BrokenSource { .. } => ("Broken picture", "Replace the source with an intact file."),
        Error::SourceTooLarge { .. } => ("Too large a source", "Use a smaller source, or raise source_pixels_max."),
        Error::SourceTooLong { .. } => ("Too long a source", "Use a smaller source file."),
        Error::TooMuchMemory { .. } => ("Too large a job", "Ask for less, or raise the daemon's memory."),
        Error::Busy { .. } => ("Busy", "Try again in a moment."),
        Error::Draining => ("Shutting down", "Try again in a moment."),
        Error::Cancelled { .. } => ("Cancelled", "Try again."),
        Error::Deadline { .. } => ("Too late", "Try again in a moment, or raise deadline_ms."),
        Error::Device { .. } | Error::Encode { .. } | Error::Panic { .. } | Error::Config { .. } | Error::Io { .. } => {
            ("Internal error", "Tell the site's owner; the log has the same X-Request-ID.")
        }
    }
}

/// When a client that was shed may come again, s. Queues are short and a rendition takes well under a second.
pub(super) const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_live_become_cache_control() {
        let of = |max_age_s, stale_while_revalidate_s| {
            cache_control(Freshness { is_kept: true, max_age_s, stale_while_revalidate_s })
        };
        assert_eq!(of(Some(36_000), 0), "public, max-age=36000");
        assert_eq!(of(Some(36_000), 60), "public, max-age=36000, stale-while-revalidate=60");
        assert_eq!(of(Some(0), 60), "no-cache");
        assert_eq!(of(None, 60), "public, max-age=31536000, immutable");
        let not_kept = Freshness { is_kept: false, max_age_s: None, stale_while_revalidate_s: 0 };
        assert_eq!(cache_control(not_kept), "no-store");
    }

    #[test]
    fn company_headers_never_replace_ours_and_broken_ones_are_left_out() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
        let company = [("content-type", "text/html"), ("Timing-Allow-Origin", "*"), ("bad name", "x"), ("x-y", "a\nb")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        add_company_headers(&mut headers, &company);
        assert_eq!(headers[CONTENT_TYPE], "image/jpeg");
        assert_eq!(headers["timing-allow-origin"], "*");
        assert_eq!(headers.len(), 2);
    }
}
