//! The only composition of all the rest: a request in, a [`Rendition`] out.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::catalog::Catalog;
use crate::config::Config;
use crate::error::Result;
use crate::pixel::Size;

/// What a request names, as the daemon read it from the wire.
#[derive(Clone, Debug)]
pub struct ImageRequest {
    /// First path element after `/is/image/`, percent-decoded.
    pub company: String,
    /// The rest of the path, each element percent-decoded, in order. An element may hold `/` (it came as `%2F`); such
    /// and `..`, empty and NUL-carrying elements are refused by the service.
    pub asset: Vec<String>,
    /// Raw query without `?`.
    pub query: String,
}

/// An encoded picture and all that the reply's headers need.
#[derive(Clone, Debug)]
pub struct Rendition {
    /// The encoded picture.
    pub bytes: Bytes,
    /// Everything else.
    pub meta: Meta,
}

/// What is known of a rendition beside its bytes.
#[derive(Clone, Debug)]
pub struct Meta {
    /// MIME type.
    pub mime: &'static str,
    /// Strong entity tag, quotes included; `None` if it was never rendered (HEAD alone).
    pub etag: Option<String>,
    /// Length of the bytes, if known.
    pub length: Option<u64>,
    /// Time to live, seconds; `None`: never expires.
    pub max_age_s: Option<u64>,
    /// The company's own headers.
    pub headers: Vec<(String, String)>,
    /// Unknown commands, for `X-Image-Serving-Ignored`.
    pub ignored: Vec<String>,
    /// Size in pixels.
    pub size: Size,
    /// `Plan::key`.
    pub plan_key: u64,
}

/// Renditions from companies, sources, queries.
pub struct Service {}

impl Service {
    /// Starts lanes and engines.
    ///
    /// # Errors
    /// `Config`, `Device` (only with `engine = "gpu"`).
    pub fn try_new(config: &Config) -> Result<Arc<Self>> {
        let _ = config;
        todo!()
    }

    /// `GET /is/image/…`. Dropping the future cancels the work.
    ///
    /// # Errors
    /// Any `Error` but `Config`.
    pub async fn image(&self, request: &ImageRequest, deadline: Instant) -> Result<Rendition> {
        let _ = (request, deadline);
        todo!()
    }

    /// `HEAD /is/image/…`, and the question behind `If-None-Match`: everything that is known without rendering.
    ///
    /// # Errors
    /// As [`Self::image`], as far as they show before pixels exist.
    pub async fn head(&self, request: &ImageRequest, deadline: Instant) -> Result<Meta> {
        let _ = (request, deadline);
        todo!()
    }

    /// `POST /v1/transcode`: renditions of one body. One result a query, in order.
    ///
    /// # Errors
    /// What concerns all of them: the company, the source.
    pub async fn transcode(
        &self,
        company: Option<&str>,
        source: Bytes,
        queries: &[String],
        deadline: Instant,
    ) -> Result<Vec<Result<Rendition>>> {
        let _ = (company, source, queries, deadline);
        todo!()
    }

    /// `POST /v1/fanout` over a stored source: decoded once. One result a query, in order.
    ///
    /// # Errors
    /// What concerns all of them: the company, the source.
    pub async fn fanout(
        &self,
        source: &ImageRequest,
        company: Option<&str>,
        queries: &[String],
        deadline: Instant,
    ) -> Result<Vec<Result<Rendition>>> {
        let _ = (source, company, queries, deadline);
        todo!()
    }

    /// Replaces companies and presets, all or nothing; requests in hand keep what they began with.
    pub fn reload(&self, catalog: Catalog) {
        let _ = catalog;
    }

    /// Able to take work now? The reason if not.
    ///
    /// # Errors
    /// `Busy`, `Draining`.
    pub fn ready(&self) -> Result<()> {
        todo!()
    }

    /// Whether the threads that work are still there, for the watchdog.
    pub fn lanes_alive(&self) -> bool {
        todo!()
    }

    /// The company's own headers, which go with its errors too; none for a company that nobody knows.
    pub fn company_headers(&self, company: &str) -> Vec<(String, String)> {
        let _ = company;
        todo!()
    }

    /// Adapters and engines, for `/v1/engines` and `doctor`.
    pub fn engines_json(&self) -> serde_json::Value {
        todo!()
    }

    /// Prometheus text of all metrics.
    pub fn metrics_text(&self) -> String {
        todo!()
    }

    /// Refuses new work from now on.
    pub fn start_drain(&self) {}

    /// Waits until no job is queued or running, or `limits::DRAIN_MS_MAX` passed.
    pub async fn drained(&self) {}
}
