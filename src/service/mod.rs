//! The only composition of all the rest: a request in, a [`Rendition`] out.
//!
//! parse → source's version and header → decide → plan → cache → lanes → [`Rendition`]. What is pure runs where it is
//! called, files are touched on tokio's blocking threads or on a lane, pixels on lanes alone. Invariants: HEAD renders
//! nothing; what is in the cache is served however full the queue is; work is cancelled when all who wait for it have
//! dropped their futures.

mod answers;
mod areas;
mod content;
mod derivatives;
mod engines;
pub mod explain;
mod invalidation;
mod known;
mod meta;
mod properties;
mod recent;
mod sets;
mod sources;
mod upgrades;
mod words;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

pub use self::answers::{Failure, Reply, Wanted};
pub use self::content::{ContentReply, FileMeta, StaticFile};
use self::derivatives::{Derivative, Derivatives, Planned};
pub use self::invalidation::Invalidation;
pub use self::known::Known;
use self::meta::Outline;
pub use self::meta::{Freshness, Meta};
pub use self::properties::{error_in_form, utc};
use self::sources::{Found, Sources};
use self::upgrades::Finder;
pub use self::words::Words;
use crate::cache::{self, Cache, Stamp};
use crate::catalog::{Catalog, Company, SourceRoot};
use crate::codec::Allow;
use crate::config::{Config, EngineChoice};
use crate::decide::Hints;
use crate::error::{Error, Result};
use crate::plan::{Decision, Header, Plan, SourcePath, Verdict};
use crate::request::{Commands, Context, MaskSource, Req, Target};
use crate::sched::{Engines, Options, Sched};
use crate::store::EXTENSIONS;
use crate::telemetry::{Load, Telemetry, Timings};
use crate::{decide, limits, request};

/// A request as it came over the wire.
#[derive(Clone, Debug, Default)]
pub struct ImageRequest {
    /// What follows the root context: `/Company/Asset`, still percent-encoded.
    pub path: String,
    /// Raw query without `?`.
    pub query: String,
    /// What the client tells of itself.
    pub hints: Hints,
    /// The client's address, if the front says it.
    pub client: Option<IpAddr>,
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
    /// Name of the engine that ran the passes, or `cache`.
    pub engine: &'static str,
}

/// How an error is sent in the place of a reply.
#[derive(Clone, Debug)]
pub struct Manners {
    /// The company's own headers.
    pub headers: Vec<(String, String)>,
    /// The request headers that a reply depends on, failed or not.
    pub varies_by: Vec<&'static str>,
    /// How much an error says: 0 and 1 its kind, 2 and 3 what is wrong and what to do.
    pub error_detail: u8,
    /// What kind of reply was asked for.
    pub req: Req,
}

/// Renditions from companies, sources, queries.
pub struct Service {
    catalog: RwLock<Arc<Catalog>>,
    sources: Arc<Sources>,
    derivatives: Arc<Derivatives>,
    sched: Arc<Sched>,
    telemetry: Arc<Telemetry>,
    is_idle: Arc<Notify>,
    choice: EngineChoice,
}

impl Manners {
    /// Where only the company can be read, if that.
    fn of_company(catalog: &Catalog, request: &ImageRequest) -> Self {
        let nobody = Company::new("", SourceRoot::Nothing);
        let company = request.company(catalog).or(catalog.default.as_ref()).unwrap_or(&nobody);
        Self {
            headers: company.headers.clone(),
            varies_by: Vec::new(),
            error_detail: company.error_detail,
            req: request::lenient_req(&request.query),
        }
    }
}

impl ImageRequest {
    fn target<'a>(&'a self, catalog: &'a Catalog) -> Result<Target<'a>> {
        Target::of_url(catalog, Context::Image, &self.path, &self.query, self.client)
    }

    /// For logs: the path as far as it can be read.
    fn id(&self) -> String {
        let path = self.path.trim_start_matches('/');
        crate::error::shortened(&percent_encoding::percent_decode_str(path).decode_utf8_lossy())
    }
}

/// The asset as it is invalidated: `A` and `A.jpg` may be one file, so they go together.
fn asset_name(name: String) -> String {
    let known = |extension: &str| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension));
    match name.rsplit_once('.') {
        Some((stem, extension)) if known(extension) => stem.to_owned(),
        _ => name,
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
        for header in Hints::HEADERS {
            telemetry.malformed_hints(header, 0);
        }
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
        let sources = Arc::new(Sources::new(allow, Arc::clone(&telemetry)));
        let sched = Arc::new(Sched::try_new(options, engines, Arc::clone(&telemetry), idle)?);
        let disk = config.cache.disk.clone();
        let disk = disk.map(|path| cache::DiskOptions { path, bytes_max: config.cache.disk_bytes_max });
        let cache = cache::Options { memory_bytes_max: config.cache.memory_bytes_max, disk };
        let cache = Cache::new(&cache, Arc::clone(&telemetry));
        Ok(Arc::new(Self {
            catalog: RwLock::new(Arc::new(config.catalog.clone())),
            derivatives: Derivatives::new(cache, Arc::clone(&sources), Arc::clone(&sched), Arc::clone(&telemetry)),
            sources,
            sched,
            telemetry,
            is_idle,
            choice: daemon.engine,
        }))
    }

    /// `GET /v1/explain/…`: what would be done for this request and why, and what came of it if it was made of late.
    /// Renders nothing.
    ///
    /// # Errors
    /// As [`Self::head`]; `Command`: it asks for no picture.
    pub async fn explain(&self, request: &ImageRequest, deadline: Instant) -> Result<serde_json::Value> {
        self.by(deadline, async {
            let catalog = self.catalog();
            let target = request.target(&catalog)?;
            let commands = target.commands()?;
            if !commands.req.kind.is_picture() {
                let want = "img, tmb or mask: what is explained is how a picture is made";
                return Err(Error::command("req", commands.req.kind.keyword(), want));
            }
            let company = &*target.company;
            let (ask, decision) = self.ask(&target, &request.hints, &commands).await?;
            let (header, plan) = (ask.found.header, Arc::clone(&ask.plan));
            let known = self.derivatives.known(ask).await?;
            Ok(serde_json::json!({
                "asset": target.id(),
                "record": target.object.record.map(|(id, _)| id),
                "source": explain::source(&header),
                "decision": explain::decision(&decision),
                "varies_by": decide::varies_by(&commands, company),
                "hints_wanted": decide::hints_wanted(&commands, company),
                "ignored": commands.ignored,
                "plan": explain::plan(&plan),
                "verdict": known.as_ref().map(|entry| explain::verdict(&entry.note.verdict, &decision)),
                "placement": known.and_then(|entry| entry.note.placement).map(explain::placement),
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
                Some(name) => request::company(&catalog, name)?,
                // Defaults of a new account; its source is never asked.
                None => &Company::new("", SourceRoot::Nothing),
            };
            if source.len() as u64 > limits::SOURCE_BYTES_MAX {
                return Err(Error::SourceTooLong { bytes_max: limits::SOURCE_BYTES_MAX });
            }
            let asked: Vec<_> = counted(queries)?
                .iter()
                .map(|query| {
                    let target = Target::of_object(&catalog, company, Vec::new(), query)?;
                    target.commands().map(|commands| (target, commands))
                })
                .collect();
            let slot = self.sched.admit()?;
            let sources = Arc::clone(&self.sources);
            // The slot travels with the look at the source, so that looks nobody waits for are counted too.
            let given = with_paths(want_paths(&asked), move || sources.given(source));
            let given = move || given().map(|(found, paths)| (slot, found, paths));
            let (slot, found, paths) = blocking(given).await?;
            let (outlines, plans) = outlined(asked, Stamp::default(), (&found, paths.as_ref()), hints);
            let plans: Vec<_> = plans.into_iter().map(|(plan, _)| plan).collect();
            let renditions = if plans.is_empty() {
                Vec::new()
            } else {
                self.derivatives.given(&id, slot, found, plans, deadline).await?
            };
            Ok(in_order(outlines, renditions))
        });
        self.told(&id, renditions.await)
    }

    /// `POST /v1/fanout` over a stored source: decoded once. One result a query, in order.
    ///
    /// # Errors
    /// What concerns all of them: the company, the source, the queue.
    pub async fn fanout(
        &self,
        source: &str,
        company: Option<&str>,
        queries: &[String],
        hints: &Hints,
        deadline: Instant,
    ) -> Result<Vec<Result<Rendition>>> {
        let id = crate::error::shortened(source);
        let renditions = self.by(deadline, async {
            let catalog = self.catalog();
            let (owner, elements) = named(source)?;
            let owner = request::company(&catalog, owner)?;
            // Named by whoever may connect to the socket: no rules of the world outside apply.
            let target = |query: &str| Target::of_object(&catalog, owner, elements.clone(), query.to_owned());
            let company = company.map(|name| request::company(&catalog, name)).transpose()?;
            let asked: Vec<_> = counted(queries)?
                .iter()
                .map(|query| {
                    let target = target(query)?.for_company(company);
                    target.commands().map(|commands| (target, commands))
                })
                .collect();
            let target = target("")?;
            let stamp = self.stamp(&target);
            let find = self.finder(&target);
            let (found, paths) = blocking(with_paths(want_paths(&asked), move || find())).await?;
            let (outlines, plans) = outlined(asked, stamp, (&found, paths.as_ref()), hints);
            let renditions = if plans.is_empty() {
                Vec::new()
            } else {
                self.derivatives.all(&id, stamp, found, &plans, deadline).await?
            };
            Ok(in_order(outlines, renditions))
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

    /// What is wrong with the disk part of the cache, if it is configured: all is served without it.
    pub fn cache_trouble(&self) -> Option<String> {
        self.derivatives.trouble()
    }

    /// Whether the threads that work are still there, for the watchdog.
    pub fn lanes_alive(&self) -> bool {
        self.sched.lanes_alive()
    }

    /// The company's own headers, which go with its errors too; none for a company that nobody knows.
    pub fn company_headers(&self, company: &str) -> Vec<(String, String)> {
        self.catalog().companies.get(company).map(|company| company.headers.clone()).unwrap_or_default()
    }

    /// The headers of the company that a path names, still percent-encoded, for a refusal that looks at nothing else.
    pub fn headers_below(&self, path: &str) -> Vec<(String, String)> {
        let request = ImageRequest { path: path.to_owned(), ..ImageRequest::default() };
        Manners::of_company(&self.catalog(), &request).headers
    }

    /// How an error in the place of a reply to `request` is sent, as far as the request can be read.
    pub fn manners(&self, request: &ImageRequest) -> Manners {
        answers::Read::of(&self.catalog(), request).manners()
    }

    /// Counts the hints of one request that could not be understood.
    pub fn count_malformed(&self, hints: &Hints) {
        for header in &hints.malformed {
            self.telemetry.malformed_hints(header, 1);
        }
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
        let (cache_memory_bytes, cache_disk_bytes) = self.derivatives.bytes();
        self.telemetry.text(Load { cache_memory_bytes, cache_disk_bytes, ..self.sched.load() })
    }

    /// Refuses new work from now on.
    pub fn start_drain(&self) {
        self.sched.start_drain();
    }

    /// Waits until no job is queued or running, or `limits::DRAIN_MS_MAX` passed; and until what was made is on disk, or
    /// `limits::CACHE_FLUSH_MS_MAX` passed.
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
        self.derivatives.flush().await;
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

    /// To be taken before the source is looked for: an invalidation from then on must not be missed.
    fn stamp(&self, target: &Target<'_>) -> Stamp {
        self.derivatives.stamp(target.object.root_id, &asset_name(target.object.name()))
    }

    /// Stamp and finder of a request's source, and of the picture that masks it.
    ///
    /// # Errors
    /// `NotSupported`: the mask is a named crop.
    fn masked(&self, target: &Target<'_>, commands: &Commands) -> Result<(Stamp, Finder)> {
        let (stamp, find) = (self.stamp(target), self.finder(target));
        let Some(mask) = commands.wanted_mask() else { return Ok((stamp, find)) };
        let catalog = self.catalog();
        let (words, of_mask, find_mask) = match mask {
            MaskSource::Object(text) => {
                let target = target.for_object(&catalog, text).map_err(|error| missing_mask(text, error))?;
                if target.object.crop.is_some() {
                    return Err(Error::NotSupported { key: "mask", got: crate::error::shortened(text) });
                }
                (text.clone(), self.stamp(&target), self.finder(&target))
            }
            MaskSource::File(file) => {
                let (root, root_id) = (target.object.source.clone(), target.object.root_id.to_owned());
                let (sources, file, name) = (Arc::clone(&self.sources), vec![file.clone()], file.join("/"));
                let stamp = self.derivatives.stamp(&root_id, &asset_name(name.clone()));
                let id = name.clone();
                let find: Finder = Arc::new(move || sources.stored(&root, &root_id, &id, &file));
                (name, stamp, find)
            }
        };
        let both =
            Stamp { id: sources::both(stamp.id, of_mask.id), changed_ms: stamp.changed_ms.max(of_mask.changed_ms) };
        let find: Finder = Arc::new(move || {
            let mut found = find()?;
            let mask = find_mask().map_err(|error| missing_mask(&words, error))?;
            found.mask = Some(Box::new(mask));
            Ok(found)
        });
        Ok((both, find))
    }

    /// Looks for the stored source of a request; the look itself blocks.
    fn finder(&self, target: &Target<'_>) -> Finder {
        let (sources, id, files) = (Arc::clone(&self.sources), target.id(), target.object.files.clone());
        let (root, root_id) = (target.object.source.clone(), target.object.root_id.to_owned());
        Arc::new(move || sources.stored(&root, &root_id, &id, &files))
    }
}

/// A mask that is missing is no missing picture: nothing stands in for it.
fn missing_mask(words: &str, error: Error) -> Error {
    match error {
        Error::NotFound { .. } => Error::command("mask", words, "an object that is there"),
        error => error,
    }
}

/// `Company/Asset` as the site's owner writes it, without percent escapes, taken apart.
fn named(id: &str) -> Result<(&str, Vec<String>)> {
    id.split_once('/')
        .filter(|(_, asset)| !asset.is_empty())
        .map(|(company, asset)| (company, asset.split('/').map(str::to_owned).collect()))
        .ok_or_else(|| Error::Request { got: crate::error::shortened(id), want: "\"Company/Asset\"".into() })
}

/// The queries of a fan-out, if there are not too many of them.
fn counted(queries: &[String]) -> Result<&[String]> {
    if queries.is_empty() || queries.len() > limits::FANOUT_RENDITIONS_MAX {
        let want = format!("1 to {} renditions", limits::FANOUT_RENDITIONS_MAX);
        return Err(Error::Request { got: format!("{} renditions", queries.len()), want: want.into() });
    }
    Ok(queries)
}

/// A look at a source, and at the paths of its file if they are wanted.
fn with_paths(wanted: bool, look: impl FnOnce() -> Result<Found>) -> impl FnOnce() -> Result<(Found, Option<Paths>)> {
    move || {
        let mut found = look()?;
        let paths = wanted.then(|| found.paths());
        Ok((found, paths))
    }
}

type Paths = Arc<[SourcePath]>;

/// The commands with the paths they want, if they have been read.
fn on_paths<'c>(commands: &'c Commands, paths: Option<&Paths>) -> Cow<'c, Commands> {
    match paths {
        Some(paths) if commands.wants_paths() => Cow::Owned(commands.clone().with_paths(paths)),
        Some(_) | None => Cow::Borrowed(commands),
    }
}

/// decide → plan.
fn planned(commands: &Commands, header: &Header, company: &Company, hints: &Hints) -> Result<(Plan, Decision)> {
    let decision = decide::decide(commands, header, company, hints)?;
    Ok((request::plan(commands, header, company, &decision)?, decision))
}

/// Whether one of the queries of a fan-out wants the paths of its source.
fn want_paths(asked: &[Result<(Target<'_>, Commands)>]) -> bool {
    asked.iter().flatten().any(|(_, commands)| commands.wants_paths())
}

/// The queries of a fan-out, planned or not, and what is to be made of the source for those that are.
fn outlined(
    asked: Vec<Result<(Target<'_>, Commands)>>,
    stamp: Stamp,
    (found, paths): (&Found, Option<&Paths>),
    hints: &Hints,
) -> (Vec<Result<Outline>>, Vec<Planned>) {
    let mut plans = Vec::new();
    let outlines = asked.into_iter().map(|asked| {
        let (target, commands) = asked?;
        if commands.wanted_mask().is_some() {
            // One picture is decoded for all of them.
            return Err(Error::NotSupported { key: "mask", got: String::from("in a fan-out") });
        }
        let (plan, decision) = planned(&on_paths(&commands, paths), &found.header, &target.company, hints)?;
        let plan = Arc::new(plan);
        plans.push((Arc::clone(&plan), commands.cache.server));
        Ok(Outline::new(plan, decision, &commands, &target, (found, stamp)))
    });
    (outlines.collect(), plans)
}

/// One result a query: its own error, or that of its rendition.
fn in_order(outlines: Vec<Result<Outline>>, renditions: Vec<Result<Derivative>>) -> Vec<Result<Rendition>> {
    let mut renditions = renditions.into_iter();
    let results = outlines.into_iter().map(|outline| {
        let outline = outline?;
        // As many as there are plans, in their order.
        Ok(outline.rendition(renditions.next().unwrap_or_else(|| Err(broken_off()))?))
    });
    results.collect()
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
