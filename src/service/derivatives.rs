//! Between plan and lanes: the cache of derivatives, single flight, and what is remembered of failures.
//!
//! A key is an asset's stamp, the content of its source, the plan, and the revision of all that renders. Invariants: a
//! hit takes no place in the queue; a rendition is kept only under the hash of the very bytes it was made of; nothing
//! that was begun before an invalidation is found after it.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, oneshot};
use tracing::Instrument;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::meta::Outline;
use super::recent::Recent;
use super::sources::{Found, Sources};
use super::upgrades::{Finder, Upgrade, Upgrades};
use super::{blocking, broken_off};
use crate::cache::{Cache, Entry, Flights, Note, Stamp, Target};
use crate::engine::Cancel;
use crate::engine::placement::Placement;
use crate::error::{Blame, Error, Result};
use crate::limits;
use crate::plan::{self, Decision, Plan, Verdict};
use crate::request::{self, Commands, ServerCache};
use crate::sched::{Deadline, MaskWork, Rendered, Sched, Slot, Work};
use crate::store::Source;
use crate::telemetry::{CacheEvent, Line, Placed, Telemetry, Timings};

/// What is kept of a rendition beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) verdict: Verdict,
    /// Where its passes were sent, if there was a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) placement: Option<Placement>,
}

impl Note for Kept {
    fn to_bytes(&self) -> Vec<u8> {
        // Enums and numbers alone, so that it cannot fail; nothing at all would not be read again.
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// A rendition, wherever it came from.
#[derive(Clone, Debug)]
pub(super) struct Derivative {
    pub(super) entry: Arc<Entry<Kept>>,
    /// Where the time of its rendering went; zero if it was there already.
    pub(super) timings: Timings,
    /// The engine that ran the passes, or `cache`.
    pub(super) engine: &'static str,
}

/// One rendition of a fan-out, and what the cache does for it.
pub(super) type Planned = (Arc<Plan>, ServerCache);

/// What is asked for.
pub(super) struct Ask {
    /// `Company/Asset`, for people.
    pub(super) id: String,
    /// Taken before the source was looked for.
    pub(super) stamp: Stamp,
    /// How its source was found.
    pub(super) find: Finder,
    pub(super) found: Found,
    pub(super) plan: Arc<Plan>,
    pub(super) cache: ServerCache,
}

impl Ask {
    /// What is known of the rendition before it is there.
    pub(super) fn outline(&self, decision: Decision, commands: &Commands, target: &request::Target<'_>) -> Outline {
        let Self { stamp, found, plan, .. } = self;
        Outline::new(Arc::clone(plan), decision, commands, target, (found, *stamp))
    }

    /// The same rendition once more, later.
    fn upgrade(&self, key: u128) -> Upgrade {
        let Self { id, stamp, find, plan, .. } = self;
        Upgrade { key, id: id.clone(), stamp: *stamp, find: Arc::clone(find), plan: Arc::clone(plan) }
    }
}

/// Derivatives from the cache or from the lanes.
pub(super) struct Derivatives {
    cache: Cache<Kept>,
    flights: Arc<Flights<u128, Deadline, Landing>>,
    /// By key: when it failed, and how.
    failed: Recent<u128, (Instant, Arc<Error>)>,
    upgrades: Upgrades,
    hashing: Semaphore,
    sources: Arc<Sources>,
    sched: Arc<Sched>,
    telemetry: Arc<Telemetry>,
}

/// What a flight comes to, for each who waited.
type Landing = Result<Derivative, Arc<Error>>;

impl Derivatives {
    pub(super) fn new(
        cache: Cache<Kept>,
        sources: Arc<Sources>,
        sched: Arc<Sched>,
        telemetry: Arc<Telemetry>,
    ) -> Arc<Self> {
        Arc::new(Self {
            cache,
            flights: Arc::default(),
            failed: Recent::new(limits::NEGATIVES_REMEMBERED_MAX),
            upgrades: Upgrades::default(),
            hashing: Semaphore::new(limits::SOURCES_HASHED_MAX),
            sources,
            sched,
            telemetry,
        })
    }

    /// To be taken before the source is looked for.
    pub(super) fn stamp(&self, company: &str, asset: &str) -> Stamp {
        self.cache.stamp(company, asset)
    }

    /// The rendition: from memory, from somebody's flight, from disk, or rendered now.
    ///
    /// # Errors
    /// As the lanes.
    pub(super) async fn get(self: &Arc<Self>, mut ask: Ask, deadline: Instant) -> Result<Derivative> {
        match ask.cache {
            ServerCache::Off => return self.render(ask, None, deadline.into()).await,
            ServerCache::Validate => drop(self.hash(&mut ask.found, &ask.id).await?),
            ServerCache::On | ServerCache::Update => {}
        }
        if let (Some(hash), true) = (ask.found.content(), ask.cache != ServerCache::Update) {
            let key = key(ask.stamp, hash, &ask.plan);
            if let Some(hit) = self.at_hand(key) {
                self.look_after(&hit, || ask.upgrade(key));
                return hit.map_err(|error| error.repeated());
            }
        }
        let (seat, joined) = self.flights.join(flight_key(&ask), || {
            let deadline = Deadline::from(deadline);
            let flight = Arc::clone(self).fly(ask, deadline.clone()).in_current_span();
            (deadline, flight)
        });
        if joined {
            self.telemetry.cache(CacheEvent::Joined);
            seat.share().put_off(deadline);
        }
        seat.landed().await.unwrap_or_else(|| Err(Arc::new(broken_off()))).map_err(|error| error.repeated())
    }

    /// What is known of it without rendering.
    ///
    /// # Errors
    /// `Io`: the source cannot be read.
    pub(super) async fn known(self: &Arc<Self>, mut ask: Ask) -> Result<Option<Arc<Entry<Kept>>>> {
        if ask.cache == ServerCache::Off {
            return Ok(None);
        }
        let hash = match ask.found.content() {
            Some(hash) if ask.cache != ServerCache::Validate => hash,
            _ => self.hash(&mut ask.found, &ask.id).await?,
        };
        let key = key(ask.stamp, hash, &ask.plan);
        match self.at_hand(key) {
            Some(hit) => hit.map(|derivative| Some(derivative.entry)).map_err(|error| error.repeated()),
            None => self.on_disk(key).await,
        }
    }

    /// Renditions of one source, decoded once for all that are not in the cache. One result a plan, in order.
    ///
    /// # Errors
    /// What concerns all of them: the source, the queue.
    pub(super) async fn all(
        self: &Arc<Self>,
        id: &str,
        stamp: Stamp,
        mut found: Found,
        plans: &[Planned],
        deadline: Instant,
    ) -> Result<Vec<Result<Derivative>>> {
        let hash = match found.content() {
            Some(hash) if !plans.iter().any(|(_, cache)| *cache == ServerCache::Validate) => hash,
            _ => self.hash(&mut found, id).await?,
        };
        let mut results = Vec::with_capacity(plans.len());
        let mut missing = Vec::new();
        for (i, (plan, cache)) in plans.iter().enumerate() {
            let key = key(stamp, hash, plan);
            let hit = match cache {
                ServerCache::Off | ServerCache::Update => None,
                ServerCache::On | ServerCache::Validate => match self.at_hand(key) {
                    Some(hit) => Some(hit.map_err(|error| error.repeated())),
                    None => self.on_disk(key).await?.map(|entry| Ok(Derivative::kept(entry))),
                },
            };
            if hit.is_none() {
                if *cache != ServerCache::Off {
                    self.telemetry.cache(CacheEvent::Miss);
                }
                missing.push(i);
            }
            results.push(hit);
        }
        if !missing.is_empty() {
            let slot = self.sched.admit()?;
            let wanted: Vec<_> = missing.iter().map(|&i| Arc::clone(&plans[i].0)).collect();
            let rendered = self.run(id, slot, found, wanted, deadline.into(), Some(hash)).await?;
            // As many as there were plans, in their order.
            for (i, result) in missing.into_iter().zip(rendered.renditions) {
                let (plan, cache) = &plans[i];
                let key = key(stamp, hash, plan);
                match &result {
                    Ok(derivative) if rendered.is_of_hash && *cache != ServerCache::Off => {
                        self.cache.insert(key, Arc::clone(&derivative.entry));
                    }
                    Ok(_) => {}
                    Err(error) => self.remember(key, &Arc::new(error.repeated())),
                }
                results[i] = Some(result);
            }
        }
        Ok(results.into_iter().map(|result| result.unwrap_or_else(|| Err(broken_off()))).collect())
    }

    /// Renditions of a source that came with the request: nobody will ask for them again.
    ///
    /// # Errors
    /// What concerns all of them.
    pub(super) async fn given(
        &self,
        id: &str,
        slot: Slot,
        found: Found,
        plans: Vec<Arc<Plan>>,
        deadline: Instant,
    ) -> Result<Vec<Result<Derivative>>> {
        Ok(self.run(id, slot, found, plans, deadline.into(), None).await?.renditions)
    }

    /// Makes all derivatives of these targets dead ones.
    ///
    /// # Errors
    /// As [`Cache::invalidate`].
    pub(super) async fn invalidate(self: &Arc<Self>, targets: Vec<Target>) -> Result<()> {
        let this = Arc::clone(self);
        blocking(move || this.cache.invalidate(&targets)).await
    }

    /// Waits until what was made is on disk, but not for long.
    pub(super) async fn flush(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let flush = move || {
            this.cache.flush(Duration::from_millis(limits::CACHE_FLUSH_MS_MAX));
            Ok(())
        };
        drop(blocking(flush).await);
    }

    /// Why there is no disk part just now, if there is to be one.
    pub(super) fn trouble(&self) -> Option<String> {
        self.cache.trouble()
    }

    /// Bytes in memory and on disk.
    pub(super) fn bytes(&self) -> (u64, u64) {
        self.cache.bytes()
    }

    /// What a flight does. The deadline moves while it is under way.
    async fn fly(self: Arc<Self>, mut ask: Ask, deadline: Deadline) -> Landing {
        let hash = match ask.found.content() {
            Some(hash) => hash,
            None => self.hash(&mut ask.found, &ask.id).await.map_err(Arc::new)?,
        };
        let key = key(ask.stamp, hash, &ask.plan);
        let upgrade = ask.upgrade(key);
        let landing = self.land(ask, key, hash, deadline).await;
        self.look_after(&landing, || upgrade);
        landing
    }

    async fn land(self: &Arc<Self>, ask: Ask, key: u128, hash: u128, deadline: Deadline) -> Landing {
        if ask.cache != ServerCache::Update {
            // Another flight may have landed since this one was asked for.
            if let Some(hit) = self.at_hand(key) {
                return hit;
            }
            if let Some(entry) = self.on_disk(key).await.map_err(Arc::new)? {
                return Ok(Derivative::kept(entry));
            }
        }
        self.telemetry.cache(CacheEvent::Miss);
        let landing = self.render(ask, Some((key, hash)), deadline).await.map_err(Arc::new);
        if let Err(error) = &landing {
            self.remember(key, error);
        }
        landing
    }

    /// A rendition that was made in a hurry is made anew when there is time.
    fn look_after(self: &Arc<Self>, landing: &Landing, upgrade: impl FnOnce() -> Upgrade) {
        let is_hurried = landing.as_ref().is_ok_and(|derivative| derivative.entry.note.verdict.is_hurried());
        if is_hurried && self.upgrades.add(upgrade()) {
            tokio::spawn(Self::upgrade_all(Arc::downgrade(self)));
        }
    }

    /// Makes anew whatever waits for it, one after the other, whenever no client needs the lane.
    async fn upgrade_all(this: Weak<Self>) {
        let pause = Duration::from_millis(limits::UPGRADE_PAUSE_MS);
        while let Some(derivatives) = this.upgrade() {
            if let Some(slot) = derivatives.sched.spare() {
                let Some(upgrade) = derivatives.upgrades.next() else { return };
                let made = derivatives.upgrade(upgrade.clone(), slot).await;
                derivatives.upgrades.done();
                match made {
                    Ok(()) => continue,
                    Err(Error::Busy { .. }) => {
                        tracing::debug!(asset = upgrade.id, "not made anew yet: a client came first");
                        // Somebody is at the line: this.
                        derivatives.upgrades.add(upgrade);
                    }
                    Err(error) => tracing::debug!(asset = upgrade.id, %error, "not made anew"),
                }
            }
            drop(derivatives);
            tokio::time::sleep(pause).await;
        }
    }

    /// Makes one anew, if it is still there and as it was.
    async fn upgrade(&self, upgrade: Upgrade, slot: Slot) -> Result<()> {
        let Upgrade { key, id, stamp, find, plan } = upgrade;
        match self.cache.in_memory(key) {
            Some(entry) if !entry.note.verdict.is_hurried() => return Ok(()),
            None if !self.cache.has_disk() => return Ok(()),
            Some(_) | None => {}
        }
        let mut found = blocking(move || find()).await?;
        let hash = match found.content() {
            Some(hash) => hash,
            None => self.hash(&mut found, &id).await?,
        };
        // Another source by now: nobody will ask for this one again.
        if self::key(stamp, hash, &plan) != key {
            return Ok(());
        }
        let deadline = Instant::now() + Duration::from_millis(limits::UPGRADE_MS_MAX);
        let mut run = self.run(&id, slot, found, vec![plan], deadline.into(), Some(hash)).await?;
        let derivative = run.renditions.pop().unwrap_or_else(|| Err(broken_off()))?;
        if run.is_of_hash {
            self.cache.insert(key, derivative.entry);
            self.telemetry.cache(CacheEvent::Upgraded);
        }
        Ok(())
    }

    /// What memory knows: a rendition, or that there can be none.
    fn at_hand(&self, key: u128) -> Option<Landing> {
        if let Some(entry) = self.cache.in_memory(key) {
            self.telemetry.cache(CacheEvent::HitMemory);
            return Some(Ok(Derivative::kept(entry)));
        }
        let (when, error) = self.failed.get(&key)?;
        if when.elapsed() >= Duration::from_millis(limits::NEGATIVE_MS_MAX) {
            return None;
        }
        self.telemetry.cache(CacheEvent::NegativeHit);
        Some(Err(error))
    }

    async fn on_disk(self: &Arc<Self>, key: u128) -> Result<Option<Arc<Entry<Kept>>>> {
        if !self.cache.has_disk() {
            return Ok(None);
        }
        let this = Arc::clone(self);
        let entry = blocking(move || Ok(this.cache.on_disk(key))).await?;
        if entry.is_some() {
            self.telemetry.cache(CacheEvent::HitDisk);
        }
        Ok(entry)
    }

    /// Remembers a failure, if it would be the same again.
    fn remember(&self, key: u128, error: &Arc<Error>) {
        match error.blame() {
            // Of requests, only that no quality is small enough shows this late.
            Blame::Source | Blame::Client => self.failed.insert(key, (Instant::now(), Arc::clone(error))),
            Blame::Load | Blame::Device | Blame::Config | Blame::Bug => {}
        }
    }

    /// The hash of the source's content, read now. A few at a time: it may be a large file on a slow disk.
    async fn hash(&self, found: &mut Found, id: &str) -> Result<u128> {
        let _turn = self.hashing.acquire().await.map_err(|_| broken_off())?;
        let (sources, id) = (Arc::clone(&self.sources), id.to_owned());
        let mut taken = found.take();
        let (source, hash) = blocking(move || sources.hash(&mut taken, &id).map(|hash| (taken, hash))).await?;
        *found = source;
        Ok(hash)
    }

    /// Renders it, and keeps it under its key if the source is still the one that was hashed.
    async fn render(&self, ask: Ask, keep: Option<(u128, u128)>, deadline: Deadline) -> Result<Derivative> {
        let slot = self.sched.admit()?;
        let Ask { id, found, plan, .. } = ask;
        let hash = keep.map(|(_, hash)| hash);
        let mut rendered = self.run(&id, slot, found, vec![plan], deadline, hash).await?;
        // One plan in, one rendition out.
        let derivative = rendered.renditions.pop().unwrap_or_else(|| Err(broken_off()))?;
        if let (Some((key, _)), true) = (keep, rendered.is_of_hash) {
            self.cache.insert(key, Arc::clone(&derivative.entry));
        }
        Ok(derivative)
    }

    /// Puts a job on the lanes and waits for it. Dropped, it takes its job along.
    async fn run(
        &self,
        id: &str,
        slot: Slot,
        found: Found,
        plans: Vec<Arc<Plan>>,
        deadline: Deadline,
        hash: Option<u128>,
    ) -> Result<Run> {
        let Found { source, header, hash: own, mask, .. } = found;
        // With a mask, `hash` is that of both.
        let own = if mask.is_some() { own.filter(|_| hash.is_some()) } else { hash };
        let (send, receive) = oneshot::channel();
        let done = move |outcome: Result<Vec<Result<Rendered>>>| {
            let derivative = |Rendered { bytes, verdict, timings, engine, placement }: Rendered| {
                // On the lane: to hash and copy a large picture takes its time.
                Derivative { entry: Arc::new(Entry::new(Kept { verdict, placement }, &bytes)), timings, engine }
            };
            let outcome = outcome.map(|results| results.into_iter().map(|result| result.map(derivative)).collect());
            // Nobody is there any more: the work was cancelled.
            drop(send.send(outcome));
        };
        let source_bytes = source.version.bytes;
        let is_of_hash = Arc::new(AtomicBool::new(true));
        let read = |source: Source, hash: Option<u128>| {
            let (name, is_of_hash) = (id.to_owned(), Arc::clone(&is_of_hash));
            move || -> Result<Bytes> {
                let bytes = source.read(&name)?;
                // A file that is written in place can change between the two times that it is read.
                if hash.is_some_and(|hash| hash != xxh3_128(&bytes)) {
                    is_of_hash.store(false, Ordering::Relaxed);
                }
                Ok(bytes)
            }
        };
        let mask = mask.map(|mask| MaskWork {
            plan: Arc::new(request::mask_plan(&mask.header, header.size)),
            source_bytes: mask.source.version.bytes,
            header: mask.header,
            read: Box::new(read(mask.source, mask.hash.filter(|_| hash.is_some()))),
        });
        let read = read(source, own);
        let cancel = Cancel::default();
        let leave = CancelOnDrop { cancel: cancel.clone(), sched: Arc::clone(&self.sched) };
        let keys: Vec<_> = plans.iter().map(|plan| (plan.key(), plan.size)).collect();
        let work = Work { read: Box::new(read), source_bytes, header, mask, plans, deadline, cancel };
        self.sched.submit(slot, work, Box::new(done));
        let renditions: Vec<Result<Derivative>> = receive.await.unwrap_or_else(|_| Err(broken_off()))?;
        drop(leave);
        for (derivative, (key, size)) in renditions.iter().zip(keys) {
            let Ok(Derivative { entry, timings, engine }) = derivative else { continue };
            if entry.note.verdict.is_hurried() {
                self.telemetry.cache(CacheEvent::Hurried);
            }
            self.telemetry.rendition(&Line {
                id,
                key,
                src: &format_args!("{}:{}", header.format.name(), header.size),
                dst: &format_args!("{}:{size}", entry.note.verdict.served.name()),
                engine,
                placed: entry.note.placement.map(|Placement { side, gpu_ns, cpu_ns }| Placed {
                    side: side.word(),
                    gpu: Duration::from_nanos(gpu_ns),
                    cpu: Duration::from_nanos(cpu_ns),
                }),
                timings: *timings,
                bytes: entry.body.len() as u64,
            });
        }
        Ok(Run { renditions, is_of_hash: is_of_hash.load(Ordering::Relaxed) })
    }
}

/// What came off the lanes.
struct Run {
    renditions: Vec<Result<Derivative>>,
    /// Whether the source that was rendered is the one that was hashed.
    is_of_hash: bool,
}

impl Derivative {
    fn kept(entry: Arc<Entry<Kept>>) -> Self {
        Self { entry, timings: Timings::default(), engine: "cache" }
    }
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

/// What a rendition is kept under.
fn key(stamp: Stamp, hash: u128, plan: &Plan) -> u128 {
    let mut hasher = Hashed(Xxh3::new());
    hasher.0.update(&stamp.id.to_le_bytes());
    hasher.0.update(&hash.to_le_bytes());
    hasher.plan(plan);
    hasher.0.digest128()
}

/// Differs whenever the rendition may: for `image.version`.
pub(super) fn version(ask: &Ask) -> String {
    format!("{:016x}", flight_key(ask) >> 64)
}

/// What is asked for by all who may share a flight: the state of a file stands for its content, which may not be known
/// yet.
fn flight_key(ask: &Ask) -> u128 {
    let mut hasher = Hashed(Xxh3::new());
    hasher.0.update(&[u8::from(ask.cache == ServerCache::Update)]);
    hasher.0.update(&ask.stamp.id.to_le_bytes());
    hasher.print(format_args!("{:?}", ask.found.keys()));
    hasher.plan(&ask.plan);
    hasher.0.digest128()
}

/// Hashes what things print. Plans are hashed by the names of what is in them: the numbers that the compiler gives to
/// variants may change from one build to the next, and a key of one build must not come to mean something else in another.
struct Hashed(Xxh3);

impl Hashed {
    fn plan(&mut self, plan: &Plan) {
        self.print(format_args!("{} {} {plan:?}", env!("CARGO_PKG_VERSION"), plan::REVISION));
    }

    fn print(&mut self, words: fmt::Arguments<'_>) {
        // A hasher takes every byte.
        self.write_fmt(words).unwrap_or(());
    }
}

impl fmt::Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}
