//! The only composition of all the rest: a request in, a [`Rendition`] out.
//!
//! parse → source's version and header → decide → plan → lanes → [`Rendition`]. What is pure runs where it is called,
//! files are touched on tokio's blocking threads or on a lane, pixels on lanes alone. Invariants: HEAD renders nothing;
//! whoever drops a future has cancelled its work; a full queue is told before anything is opened.

mod engines;
pub mod explain;
mod recent;
mod sources;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use xxhash_rust::xxh3::xxh3_128;

use self::recent::Recent;
use self::sources::{Found, SourceKey, Sources};
use crate::catalog::{Catalog, Company, SourceRoot};
use crate::codec::Allow;
use crate::config::{Config, EngineChoice};
use crate::decide::Hints;
use crate::engine::Cancel;
use crate::error::{Error, Result};
use crate::pixel::Size;
use crate::plan::{Decision, FormatReason, Header, Plan, Verdict};
use crate::request::Commands;
use crate::sched::{Engines, Options, Rendered, Sched, Slot, Work};
use crate::telemetry::{Line, Telemetry, Timings};
use crate::{decide, limits, request};

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
    /// What the client tells of itself.
    pub hints: Hints,
}

/// An encoded picture and all that the reply's headers need.
#[derive(Clone, Debug)]
pub struct Rendition {
    /// The encoded picture.
    pub bytes: Bytes,
    /// What a reply's headers need.
    pub meta: Meta,
    /// What was encoded on the way, and which of it is served.
    pub verdict: Verdict,
    /// Smart Imaging's choices.
    pub decision: Decision,
    /// Where the time went.
    pub timings: Timings,
    /// Name of the engine that ran the passes.
    pub engine: &'static str,
}

/// What is known of a rendition beside its bytes.
#[derive(Clone, Debug)]
pub struct Meta {
    /// MIME type; `None` if only rendering tells which of several formats it is (HEAD alone).
    pub mime: Option<&'static str>,
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
    /// Why this format is served (protocol.md 4.5), if that is known.
    pub reason: Option<&'static str>,
    /// Bytes that the candidate tried last is smaller than the format asked for; below 0: larger, and not served.
    pub saved: Option<i64>,
    /// Request headers that the reply depends on.
    pub varies_by: Vec<&'static str>,
    /// Client hints that could change it.
    pub hints_wanted: Vec<&'static str>,
    /// Size in pixels.
    pub size: Size,
    /// `Plan::key`.
    pub plan_key: u64,
}

/// Renditions from companies, sources, queries.
pub struct Service {
    catalog: RwLock<Arc<Catalog>>,
    sources: Arc<Sources>,
    sched: Arc<Sched>,
    telemetry: Arc<Telemetry>,
    /// Entity tags of what was rendered of late.
    made: Arc<Recent<(SourceKey, u64), Made>>,
    is_idle: Arc<Notify>,
    choice: EngineChoice,
}

/// What is remembered of a rendition that was made.
#[derive(Clone, Debug)]
struct Made {
    etag: String,
    length: u64,
    verdict: Verdict,
}

impl ImageRequest {
    /// `Company/Asset`, for people: it is never taken apart again.
    fn id(&self) -> String {
        [std::slice::from_ref(&self.company), &self.asset].concat().join("/")
    }
}

impl Service {
    /// Starts lanes and engines.
    ///
    /// # Errors
    /// `Config`, `Device` (only with `engine = "gpu"`), `Io`: the system refuses a thread.
    pub fn try_new(config: &Config) -> Result<Arc<Self>> {
        let service = Self::try_with(config, engines::start(config.daemon.engine)?)?;
        if config.daemon.engine == EngineChoice::Auto {
            engines::warm_up(&service.sched);
        }
        Ok(service)
    }

    /// As [`Self::try_new`], on engines that are there already, whatever the configuration says of them.
    ///
    /// # Errors
    /// `Io`: the system refuses a thread.
    pub fn try_with(config: &Config, engines: Engines) -> Result<Arc<Self>> {
        let daemon = &config.daemon;
        let telemetry = Arc::new(Telemetry::new());
        let options = Options {
            threads: match daemon.threads {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                threads => threads,
            },
            queue_jobs_max: daemon.queue_jobs_max,
            memory_bytes_max: daemon.memory_bytes_max,
        };
        let is_idle = Arc::new(Notify::new());
        let idle = {
            let is_idle = Arc::clone(&is_idle);
            move || is_idle.notify_waiters()
        };
        let allow = Allow { formats: daemon.formats.clone(), pixels_max: daemon.source_pixels_max };
        Ok(Arc::new(Self {
            catalog: RwLock::new(Arc::new(config.catalog.clone())),
            sources: Arc::new(Sources::new(allow)),
            sched: Arc::new(Sched::try_new(options, engines, Arc::clone(&telemetry), idle)?),
            telemetry,
            made: Arc::new(Recent::new(limits::ETAGS_REMEMBERED_MAX)),
            is_idle,
            choice: daemon.engine,
        }))
    }

    /// `GET /is/image/…`. Dropping the future cancels the work. Needs a tokio runtime with its timer, as all that waits
    /// here does.
    ///
    /// # Errors
    /// Any `Error` but `Config`.
    pub async fn image(&self, request: &ImageRequest, deadline: Instant) -> Result<Rendition> {
        let id = request.id();
        let rendition = self.by(deadline, async {
            let catalog = self.catalog();
            let company = company(&catalog, &request.company)?;
            let commands = request::parse(&request.query, company)?;
            let find = self.finder(company.source.clone(), &id, request)?;
            let mut results = self.render(&id, company, find, vec![Ok(commands)], &request.hints, deadline).await?;
            // One query in, one result out.
            results.pop().unwrap_or_else(|| Err(broken_off()))
        });
        rendition.await.inspect_err(|error| self.telemetry.refusal(&id, None, error))
    }

    /// `HEAD /is/image/…`, and the question behind `If-None-Match`: everything that is known without rendering.
    ///
    /// # Errors
    /// As [`Self::image`], as far as they show before pixels exist.
    pub async fn head(&self, request: &ImageRequest, deadline: Instant) -> Result<Meta> {
        let id = request.id();
        let meta = self.by(deadline, async {
            let catalog = self.catalog();
            let company = company(&catalog, &request.company)?;
            let commands = request::parse(&request.query, company)?;
            let found = blocking(self.finder(company.source.clone(), &id, request)?).await?;
            let (plan, decision) = planned(&commands, &found.header, company, &request.hints)?;
            let key = plan.key();
            let made = found.key.and_then(|source| self.made.get(&(source, key)));
            Ok(meta(&plan, &decision, &commands, company, made))
        });
        meta.await.inspect_err(|error| self.telemetry.refusal(&id, None, error))
    }

    /// `GET /v1/explain/…`: what would be done for this request and why, and what came of it if it was made of late.
    /// Renders nothing.
    ///
    /// # Errors
    /// As [`Self::head`].
    pub async fn explain(&self, request: &ImageRequest, deadline: Instant) -> Result<serde_json::Value> {
        let id = request.id();
        self.by(deadline, async {
            let catalog = self.catalog();
            let company = company(&catalog, &request.company)?;
            let commands = request::parse(&request.query, company)?;
            let Found { header, key, .. } = blocking(self.finder(company.source.clone(), &id, request)?).await?;
            let (plan, decision) = planned(&commands, &header, company, &request.hints)?;
            let made = key.and_then(|source| self.made.get(&(source, plan.key())));
            Ok(serde_json::json!({
                "asset": id,
                "source": explain::source(&header),
                "decision": explain::decision(&decision),
                "varies_by": decide::varies_by(&commands, company),
                "hints_wanted": decide::hints_wanted(&commands, company),
                "ignored": commands.ignored,
                "plan": explain::plan(&plan),
                "verdict": made.map(|made| explain::verdict(&made.verdict)),
            }))
        })
        .await
    }

    /// `POST /v1/transcode`: renditions of one body. One result a query, in order.
    ///
    /// # Errors
    /// What concerns all of them: the company, the source, the queue.
    pub async fn transcode(
        &self,
        company: Option<&str>,
        source: Bytes,
        queries: &[String],
        hints: &Hints,
        deadline: Instant,
    ) -> Result<Vec<Result<Rendition>>> {
        let id = company.map_or_else(|| String::from("-"), |name| format!("{name}/-"));
        let renditions = self.by(deadline, async {
            let catalog = self.catalog();
            let company = match company {
                Some(name) => self::company(&catalog, name)?,
                // Defaults of a new account; its source is never asked.
                None => &Company::new("", SourceRoot::Demo),
            };
            if source.len() as u64 > limits::SOURCE_BYTES_MAX {
                return Err(Error::SourceTooLong { bytes_max: limits::SOURCE_BYTES_MAX });
            }
            let commands = parsed(queries, company)?;
            let sources = Arc::clone(&self.sources);
            self.render(&id, company, move || sources.given(source), commands, hints, deadline).await
        });
        self.told(&id, renditions.await)
    }

    /// `POST /v1/fanout` over a stored source: decoded once. One result a query, in order.
    ///
    /// # Errors
    /// What concerns all of them: the company, the source, the queue.
    pub async fn fanout(
        &self,
        source: &ImageRequest,
        company: Option<&str>,
        queries: &[String],
        deadline: Instant,
    ) -> Result<Vec<Result<Rendition>>> {
        let id = source.id();
        let renditions = self.by(deadline, async {
            let catalog = self.catalog();
            let owner = self::company(&catalog, &source.company)?;
            let company = match company {
                Some(name) => self::company(&catalog, name)?,
                None => owner,
            };
            let commands = parsed(queries, company)?;
            let find = self.finder(owner.source.clone(), &id, source)?;
            self.render(&id, company, find, commands, &source.hints, deadline).await
        });
        self.told(&id, renditions.await)
    }

    /// Replaces companies and presets, all or nothing; requests in hand keep what they began with.
    pub fn reload(&self, catalog: Catalog) {
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
    }

    /// Able to take work now? The reason if not.
    ///
    /// # Errors
    /// `Busy`, `Draining`.
    pub fn ready(&self) -> Result<()> {
        self.sched.ready()
    }

    /// Whether the threads that work are still there, for the watchdog.
    pub fn lanes_alive(&self) -> bool {
        self.sched.lanes_alive()
    }

    /// The company's own headers, which go with its errors too; none for a company that nobody knows.
    pub fn company_headers(&self, company: &str) -> Vec<(String, String)> {
        self.catalog().companies.get(company).map(|company| company.headers.clone()).unwrap_or_default()
    }

    /// The request headers that a reply to `request` depends on, failed or not; none if it cannot be read.
    pub fn varies_by(&self, request: &ImageRequest) -> Vec<&'static str> {
        let catalog = self.catalog();
        let Ok(company) = company(&catalog, &request.company) else { return Vec::new() };
        request::parse(&request.query, company)
            .map(|commands| decide::varies_by(&commands, company))
            .unwrap_or_default()
    }

    /// What renders just now, for people: the engines by name. A hardware GPU joins when it is warm.
    pub fn engine_name(&self) -> String {
        match self.sched.gpu() {
            Some(gpu) if gpu.costs.is_some() => {
                format!("{} or {}, by cost", gpu.engine.name(), self.sched.cpu().name())
            }
            Some(gpu) => gpu.engine.name().to_owned(),
            None => self.sched.cpu().name().to_owned(),
        }
    }

    /// Adapters and engines, for `/v1/engines` and `doctor`.
    pub fn engines_json(&self) -> serde_json::Value {
        engines::describe(self.choice, &self.sched)
    }

    /// Prometheus text of all metrics.
    pub fn metrics_text(&self) -> String {
        self.telemetry.text(self.sched.load())
    }

    /// Refuses new work from now on.
    pub fn start_drain(&self) {
        self.sched.start_drain();
    }

    /// Waits until no job is queued or running, or `limits::DRAIN_MS_MAX` passed.
    pub async fn drained(&self) {
        let idle = async {
            loop {
                let mut next = std::pin::pin!(self.is_idle.notified());
                // Listening first and looking then, so that no end goes unnoticed between the two.
                next.as_mut().enable();
                if self.sched.in_hand() == 0 {
                    return;
                }
                next.await;
            }
        };
        let patience = Duration::from_millis(limits::DRAIN_MS_MAX);
        if tokio::time::timeout(patience, idle).await.is_err() {
            tracing::warn!(jobs = self.sched.in_hand(), "given up while draining");
        }
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// `work`, but no longer than `deadline`: then it is dropped, which cancels it.
    async fn by<T>(&self, deadline: Instant, work: impl Future<Output = Result<T>>) -> Result<T> {
        let late = Err(Error::Deadline { before: "the reply" });
        tokio::time::timeout_at(deadline.into(), work).await.unwrap_or(late)
    }

    /// Notes what a fan-out came to.
    fn told(&self, id: &str, renditions: Result<Vec<Result<Rendition>>>) -> Result<Vec<Result<Rendition>>> {
        match &renditions {
            Err(error) => self.telemetry.refusal(id, None, error),
            Ok(results) => {
                for error in results.iter().filter_map(|result| result.as_ref().err()) {
                    self.telemetry.refusal(id, None, error);
                }
            }
        }
        renditions
    }

    /// Looks for the stored source of `request`; the look itself blocks.
    ///
    /// # Errors
    /// `Request`: the asset's name has a character that no asset's name has.
    fn finder(
        &self,
        root: SourceRoot,
        id: &str,
        request: &ImageRequest,
    ) -> Result<impl FnOnce() -> Result<Found> + Send + 'static> {
        // protocol.md 1.1: neither is permitted in an object, not even encoded.
        if request.asset.iter().any(|element| element.contains([',', '?'])) {
            let got = crate::error::shortened(id);
            return Err(Error::Request { got, want: "an asset's name without , and ?".into() });
        }
        let (sources, id, asset) = (Arc::clone(&self.sources), id.to_owned(), request.asset.clone());
        Ok(move || sources.stored(&root, &id, &asset))
    }

    /// All renditions of one source, decoded once. One result for each of `commands`, in order.
    async fn render(
        &self,
        id: &str,
        company: &Company,
        find: impl FnOnce() -> Result<Found> + Send + 'static,
        commands: Vec<Result<Commands>>,
        hints: &Hints,
        deadline: Instant,
    ) -> Result<Vec<Result<Rendition>>> {
        let slot = self.sched.admit()?;
        // The slot travels with the look for the source, so that looks nobody waits for are counted too.
        let (slot, Found { source, header, key }) = blocking(move || find().map(|found| (slot, found))).await?;
        let planned: Vec<Result<Planned>> = commands
            .into_iter()
            .map(|commands| {
                let commands = commands?;
                let (plan, decision) = planned(&commands, &header, company, hints)?;
                Ok(Planned { plan: Arc::new(plan), decision, commands })
            })
            .collect();
        let plans: Vec<_> = planned.iter().flatten().map(|planned| Arc::clone(&planned.plan)).collect();
        let mut rendered = if plans.is_empty() {
            Vec::new()
        } else {
            let cancel = Cancel::default();
            let source_bytes = source.version.bytes;
            let name = id.to_owned();
            let read = Box::new(move || source.read(&name));
            self.run(slot, Work { read, source_bytes, header, plans, deadline, cancel }).await?
        }
        .into_iter();
        let renditions = planned.into_iter().map(|planned| {
            let Planned { plan, decision, commands } = planned?;
            // As many results as plans, in their order.
            let (Rendered { bytes, verdict, timings, engine }, etag) =
                rendered.next().unwrap_or_else(|| Err(broken_off()))?;
            let made = Made { etag, length: bytes.len() as u64, verdict: verdict.clone() };
            let plan_key = plan.key();
            if let Some(source) = key {
                self.made.insert((source, plan_key), made.clone());
            }
            self.telemetry.rendition(&Line {
                id,
                key: plan_key,
                src: &format_args!("{}:{}", header.format.name(), header.size),
                dst: &format_args!("{}:{}", verdict.served.name(), plan.size),
                engine,
                timings,
                bytes: made.length,
            });
            let meta = meta(&plan, &decision, &commands, company, Some(made));
            Ok(Rendition { bytes, meta, verdict, decision, timings, engine })
        });
        Ok(renditions.collect())
    }

    /// Puts `work` on the lanes and waits for it. Each rendition comes with its entity tag.
    async fn run(&self, slot: Slot, work: Work) -> Result<Vec<Result<(Rendered, String)>>> {
        let (send, receive) = oneshot::channel();
        let leave = CancelOnDrop { cancel: work.cancel.clone(), sched: Arc::clone(&self.sched) };
        let done = move |outcome: Result<Vec<Result<Rendered>>>| {
            let tagged = |rendered: Rendered| {
                let etag = etag(&rendered.bytes);
                (rendered, etag)
            };
            let outcome = outcome.map(|results| results.into_iter().map(|result| result.map(tagged)).collect());
            // Nobody is there any more: the work was cancelled.
            drop(send.send(outcome));
        };
        self.sched.submit(slot, work, Box::new(done));
        let outcome = receive.await.unwrap_or_else(|_| Err(broken_off()));
        drop(leave);
        outcome
    }
}

/// One query, planned.
struct Planned {
    plan: Arc<Plan>,
    decision: Decision,
    commands: Commands,
}

/// Cancels its work when nobody waits any more; afterwards it does no harm.
struct CancelOnDrop {
    cancel: Cancel,
    sched: Arc<Sched>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.sched.wake();
    }
}

/// The company of that name.
fn company<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Company> {
    catalog.companies.get(name).ok_or_else(|| Error::NotFound { id: crate::error::shortened(name) })
}

/// The queries of a fan-out, each parsed or not.
fn parsed(queries: &[String], company: &Company) -> Result<Vec<Result<Commands>>> {
    if queries.is_empty() || queries.len() > limits::FANOUT_RENDITIONS_MAX {
        let want = format!("1 to {} renditions", limits::FANOUT_RENDITIONS_MAX);
        return Err(Error::Request { got: format!("{} renditions", queries.len()), want: want.into() });
    }
    Ok(queries.iter().map(|query| request::parse(query, company)).collect())
}

/// decide → plan.
fn planned(commands: &Commands, header: &Header, company: &Company, hints: &Hints) -> Result<(Plan, Decision)> {
    let decision = decide::decide(commands, header, company, hints)?;
    Ok((request::plan(commands, header, company, &decision)?, decision))
}

/// What a reply's headers need.
fn meta(plan: &Plan, decision: &Decision, commands: &Commands, company: &Company, made: Option<Made>) -> Meta {
    let verdict = made.as_ref().map(|made| &made.verdict);
    let known = match verdict {
        Some(verdict) => Some(verdict.served),
        None => plan.encode.candidates.is_empty().then_some(plan.encode.requested),
    };
    let reason = match decision.format_reason {
        FormatReason::Candidates => verdict.map(Verdict::reason),
        FormatReason::Off | FormatReason::Ineligible | FormatReason::Unsupported => Some(decision.format_reason.word()),
    };
    Meta {
        mime: known.map(|spec| spec.mime()),
        reason,
        saved: verdict.and_then(Verdict::saved),
        varies_by: decide::varies_by(commands, company),
        hints_wanted: decide::hints_wanted(commands, company),
        length: made.as_ref().map(|made| made.length),
        etag: made.map(|made| made.etag),
        max_age_s: max_age_s(company.expiration_hours),
        headers: company.headers.clone(),
        ignored: commands.ignored.clone(),
        size: plan.size,
        plan_key: plan.key(),
    }
}

/// Seconds to live; −1 hours is for ever.
fn max_age_s(hours: f64) -> Option<u64> {
    // Checked by the configuration: 0 to a hundred years, far inside u64.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked range, not negative here")]
    (hours >= 0.0).then(|| (hours * 3600.0).round() as u64)
}

/// A strong entity tag: the bytes' own hash, in quotes.
fn etag(bytes: &[u8]) -> String {
    format!("\"{:032x}\"", xxh3_128(bytes))
}

/// Runs what blocks where blocking is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|failed| {
        let message = crate::error::shortened(&failed.to_string());
        Err(Error::Panic { message })
    })
}

/// The answer when a lane broke its promise to answer.
fn broken_off() -> Error {
    Error::Panic { message: String::from("a job ended without an answer") }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({:?})", self.sched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_become_seconds_or_for_ever() {
        assert_eq!(max_age_s(10.0), Some(36_000));
        assert_eq!(max_age_s(0.1), Some(360));
        assert_eq!(max_age_s(0.0), Some(0));
        assert_eq!(max_age_s(-1.0), None);
    }

    #[test]
    fn tags_are_strong_and_quoted() {
        // XXH3-128 of nothing, seed 0: the reference implementation's own vector.
        assert_eq!(etag(b""), "\"99aa06d3014798d86001c324468d497f\"");
        assert_ne!(etag(b"a"), etag(b"b"));
    }
}
