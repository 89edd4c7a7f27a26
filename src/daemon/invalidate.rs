//! `POST /v1/invalidate`: the site's owner says that derivatives are no longer valid.

use std::time::Instant;

use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use serde_json::json;

use super::upload::{self, Counted};
use super::{Daemon, renditions, reply};
use crate::error::{Error, Result, shortened};
use crate::limits;
use crate::service::Invalidation;
use crate::wire::Body;

pub(super) async fn answer(daemon: &Daemon, parts: &Parts, body: Incoming) -> Response<Body> {
    let deadline = Instant::now() + daemon.deadline;
    if renditions::media_type(parts) != "application/json" {
        return *renditions::wrong_media_type(parts, "Send application/json.");
    }
    let json_max = limits::INVALIDATE_JSON_BYTES_MAX as u64;
    let json = match upload::read(daemon, body, json_max, Counted::Once, deadline).await {
        Ok(json) => json,
        Err(reply) => return *reply,
    };
    let invalidated = async {
        let what = read(&json.bytes)?;
        daemon.service.invalidate(&what).await.map(|unknown| (what, unknown))
    };
    let words = match invalidated.await {
        Ok((Invalidation::Company(company), _)) => {
            tracing::info!(company, "invalidation");
            json!({ "invalidated": { "company": company } })
        }
        Ok((Invalidation::Assets(assets), unknown)) => {
            tracing::info!(assets = listed(&assets), unknown = listed(&unknown), "invalidation");
            json!({ "invalidated": { "assets": assets.len() }, "unknown": unknown })
        }
        Err(error) => {
            // The owner's own business is not in the log of renditions.
            tracing::warn!(%error, "invalidation refused");
            return reply::failure(&error, daemon.errors);
        }
    };
    let mut reply = Response::new(Body::from(format!("{words}\n")));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// Names for the log: the first of them, and how many more there are.
fn listed(names: &[String]) -> String {
    let (first, more) = names.split_at(names.len().min(NAMES_LOGGED_MAX));
    let first: Vec<_> = first.iter().map(|name| shortened(name)).collect();
    match more.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

const NAMES_LOGGED_MAX: usize = 20;

/// The body.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    assets: Option<Vec<String>>,
    company: Option<String>,
}

fn read(bytes: &[u8]) -> Result<Invalidation> {
    let refused = |got: String| Error::Request {
        got: shortened(&got),
        want: r#"JSON: {"assets": ["Company/Asset", …]} or {"company": "Company"}"#.into(),
    };
    let order: Order = serde_json::from_slice(bytes).map_err(|cause| refused(format!("body: {cause}")))?;
    match order {
        Order { assets: None, company: Some(company) } => Ok(Invalidation::Company(company)),
        Order { assets: Some(assets), company: None }
            if (1..=limits::INVALIDATE_ASSETS_MAX).contains(&assets.len()) =>
        {
            Ok(Invalidation::Assets(assets))
        }
        Order { assets: Some(assets), company: None } => Err(Error::Request {
            got: format!("{} assets", assets.len()),
            want: format!("1 to {} assets", limits::INVALIDATE_ASSETS_MAX).into(),
        }),
        Order { assets: Some(_), company: Some(_) } => Err(refused(String::from("assets and company"))),
        Order { assets: None, company: None } => Err(refused(String::from("neither assets nor company"))),
    }
}
