//! Which picture answers a request: the one that it names, the company's default image, its error image (protocol.md 1.8).
//!
//! Invariant: an error of ours, or of the load just now, is never hidden behind an image: status and `Retry-After` tell
//! clients and caches what to do about it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::derivatives::Ask;
use super::meta::{Meta, Outline};
use super::{ImageRequest, Known, Manners, Rendition, Service, Words, blocking, on_paths, planned, with_paths};
use crate::catalog::{Catalog, Company, DefaultImageMode};
use crate::decide::{self, Hints};
use crate::error::{Blame, Error, Result};
use crate::plan::Decision;
use crate::request::{self, Commands, Format, Kind, Req, Target};

/// What of a reply is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// What is known of it without rendering.
    Head,
}

/// The reply to a request.
#[derive(Debug)]
pub enum Reply {
    /// It asks for no picture.
    Words(Words),
    /// The client has it already.
    NotModified(Meta),
    /// What is known of the picture.
    Head(Meta),
    /// The picture.
    Picture(Box<Rendition>),
}

/// What went wrong, and how that is told.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub error: Error,
    /// How it is told.
    pub manners: Manners,
}

/// A request, read once for all that is done with it.
pub(super) struct Read<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) request: &'a ImageRequest,
    /// Whose it is and what it names.
    pub(super) target: Result<Target<'a>>,
    /// What it says; as wrong as its target is.
    pub(super) commands: Result<Commands>,
}

impl<'a> Read<'a> {
    pub(super) fn of(catalog: &'a Catalog, request: &'a ImageRequest) -> Self {
        let target = request.target(catalog);
        let commands = match &target {
            Ok(target) => target.commands(),
            Err(error) => Err(error.repeated()),
        };
        Self { catalog, request, target, commands }
    }

    /// # Errors
    /// What is wrong with it.
    pub(super) fn whole(&self) -> Result<(&Target<'a>, &Commands)> {
        let target = self.target.as_ref().map_err(Error::repeated)?;
        Ok((target, self.commands.as_ref().map_err(Error::repeated)?))
    }

    /// What kind of reply is asked for, as far as that can be read.
    pub(super) fn req(&self) -> Req {
        match (&self.target, &self.commands) {
            (Ok(_), Ok(commands)) => commands.req.clone(),
            (Ok(target), Err(_)) => target.readable().req,
            (Err(_), _) => request::lenient_req(&self.request.query),
        }
    }

    /// How an error in the place of its reply is sent.
    pub(super) fn manners(&self) -> Manners {
        match &self.target {
            Ok(target) => {
                let commands = self.commands.as_ref().map_or_else(|_| Cow::Owned(target.readable()), Cow::Borrowed);
                Manners {
                    varies_by: decide::varies_by(&commands, &target.company),
                    headers: target.headers(&commands),
                    error_detail: target.company.error_detail,
                    req: commands.req.clone(),
                }
            }
            Err(_) => Manners::of_company(self.catalog, self.request),
        }
    }
}

impl Service {
    /// `GET|HEAD /is/image/…`, whatever it asks for, of a client that may have it already. Dropping the future cancels the
    /// work. Needs a tokio runtime with its timer, as all that waits here does.
    ///
    /// # Errors
    /// Any `Error` but `Config`, unless the company's error image stands for it.
    pub async fn reply(
        &self,
        request: &ImageRequest,
        wanted: Wanted,
        known: Option<&Known>,
        deadline: Instant,
    ) -> Result<Reply, Box<Failure>> {
        let catalog = self.catalog();
        let read = Read::of(&catalog, request);
        let reply = self.reply_to(&read, wanted, known, deadline).await;
        reply.map_err(|error| Box::new(Failure { manners: read.manners(), error }))
    }

    /// As [`Self::reply`], for a picture that is wanted whole.
    ///
    /// # Errors
    /// As [`Self::reply`].
    pub async fn image(&self, request: &ImageRequest, deadline: Instant) -> Result<Rendition> {
        let catalog = self.catalog();
        self.picture(&Read::of(&catalog, request), deadline).await
    }

    /// As [`Self::reply`], for what is known of a picture without rendering.
    ///
    /// # Errors
    /// As [`Self::reply`], as far as they show before pixels exist.
    pub async fn head(&self, request: &ImageRequest, deadline: Instant) -> Result<Meta> {
        let catalog = self.catalog();
        self.picture_head(&Read::of(&catalog, request), deadline).await
    }

    async fn reply_to(
        &self,
        read: &Read<'_>,
        wanted: Wanted,
        known: Option<&Known>,
        deadline: Instant,
    ) -> Result<Reply> {
        if let Some(words) = self.words(read, deadline).await? {
            return Ok(Reply::Words(words));
        }
        if let Some(known) = known
            && let Some(mut meta) = unchecked(read)
        {
            meta.etag = known.only_tag();
            return Ok(Reply::NotModified(meta));
        }
        let has = |meta: &Meta| known.is_some_and(|known| known.is(meta.etag.as_deref(), meta.last_modified));
        if wanted == Wanted::Head || known.is_some() {
            let meta = self.picture_head(read, deadline).await?;
            if has(&meta) {
                return Ok(Reply::NotModified(meta));
            }
            if wanted == Wanted::Head {
                return Ok(Reply::Head(meta));
            }
        }
        let rendition = self.picture(read, deadline).await?;
        if has(&rendition.meta) {
            return Ok(Reply::NotModified(rendition.meta));
        }
        Ok(Reply::Picture(Box::new(rendition)))
    }

    async fn picture(&self, read: &Read<'_>, deadline: Instant) -> Result<Rendition> {
        let rendition = self.by(deadline, async {
            let (ask, outline) = self.answer(read).await?;
            Ok(outline.rendition(self.derivatives.get(ask, deadline).await?))
        });
        let error = match rendition.await {
            Ok(rendition) => return Ok(rendition),
            Err(error) => error,
        };
        self.telemetry.refusal(&read.request.id(), None, &error);
        let image = self.by(deadline, async {
            let (ask, outline) = self.error_answer(read, &error).await?;
            Ok(outline.rendition(self.derivatives.get(ask, deadline).await?))
        });
        match image.await {
            Ok(image) => Ok(Rendition { meta: image.meta.of_error(), ..image }),
            Err(_) => Err(error),
        }
    }

    /// Everything that is known without rendering.
    async fn picture_head(&self, read: &Read<'_>, deadline: Instant) -> Result<Meta> {
        let meta = self.by(deadline, async {
            let (ask, outline) = self.answer(read).await?;
            Ok(outline.meta(self.derivatives.known(ask).await?.as_deref()))
        });
        let error = match meta.await {
            Ok(meta) => return Ok(meta),
            Err(error) => error,
        };
        self.telemetry.refusal(&read.request.id(), None, &error);
        let image = self.by(deadline, async {
            let (ask, outline) = self.error_answer(read, &error).await?;
            Ok(outline.meta(self.derivatives.known(ask).await?.as_deref()))
        });
        image.await.map_or(Err(error), |meta| Ok(meta.of_error()))
    }

    /// What is asked for, or the default image in its place.
    async fn answer(&self, read: &Read<'_>) -> Result<(Ask, Outline)> {
        let (target, commands) = read.whole()?;
        let hints = &read.request.hints;
        let missing = match self.ask(target, hints, commands).await {
            Err(error @ Error::NotFound { .. }) => error,
            asked => return asked.map(|(ask, decision)| outlined(ask, decision, commands, target)),
        };
        let Some(image) = default_image(target, commands) else { return Err(missing) };
        let Ok((target, commands)) = in_its_place(read.catalog, target, commands, image) else { return Err(missing) };
        match self.ask(&target, hints, &commands).await {
            Ok((ask, decision)) => Ok(outlined(ask, decision, &commands, &target)),
            Err(Error::NotFound { .. }) => Err(missing),
            Err(error) => Err(error),
        }
    }

    /// The company's error image in the place of an error.
    async fn error_answer(&self, read: &Read<'_>, error: &Error) -> Result<(Ask, Outline)> {
        let none = || Error::NotFound { id: String::from("error image") };
        match error.blame() {
            Blame::Client | Blame::Source => {}
            Blame::Load | Blame::Device | Blame::Config | Blame::Bug => return Err(none()),
        }
        let catalog = read.catalog;
        let of_company;
        let target = match &read.target {
            Ok(target) => target,
            Err(_) => {
                let company = read.request.company(catalog).or(catalog.default.as_ref()).ok_or_else(none)?;
                of_company = Target::of_object(catalog, company, Vec::new(), "")?;
                &of_company
            }
        };
        if target.company.error_image.is_empty() {
            return Err(none());
        }
        let target = target.for_object(catalog, &target.company.error_image)?.without_query();
        let commands = target.commands()?;
        let (ask, decision) = self.ask(&target, &read.request.hints, &commands).await?;
        Ok(outlined(ask, decision, &commands, &target))
    }

    /// Finds the source of a request and plans its rendition.
    pub(super) async fn ask(&self, target: &Target<'_>, hints: &Hints, commands: &Commands) -> Result<(Ask, Decision)> {
        let (stamp, find) = self.masked(target, commands)?;
        let look = Arc::clone(&find);
        let (found, paths) = blocking(with_paths(commands.wants_paths(), move || look())).await?;
        let commands = &*on_paths(commands, paths.as_ref());
        let (plan, decision) = planned(commands, &found.seen(), &target.company, hints)?;
        let ask = Ask { id: target.id(), stamp, find, found, plan: Arc::new(plan), cache: commands.cache.server };
        Ok((ask, decision))
    }
}

/// The answer to a conditional request for a picture that never expires (protocol.md 5: 304, unchecked); `None`: it may
/// expire, it is another one for other clients, something else may be shown for it, or something is wrong, which shows
/// when it is looked at.
fn unchecked(read: &Read<'_>) -> Option<Meta> {
    let (target, commands) = read.whole().ok()?;
    let meta = Meta::of_request(commands, target);
    (meta.is_the_same_for_ever() && default_image(target, commands).is_none()).then_some(meta)
}

impl ImageRequest {
    /// The company that the path names, as it came.
    pub(super) fn company<'a>(&self, catalog: &'a Catalog) -> Option<&'a Company> {
        let first = self.path.trim_start_matches('/').split('/').next().unwrap_or_default();
        request::company(catalog, &request::decoded(first).ok()?).ok()
    }
}

fn outlined(ask: Ask, decision: Decision, commands: &Commands, target: &Target<'_>) -> (Ask, Outline) {
    let outline = ask.outline(decision, commands, target);
    (ask, outline)
}

/// The object that is shown if the one asked for is missing.
fn default_image(target: &Target<'_>, commands: &Commands) -> Option<String> {
    let image = commands.default_image.as_ref().unwrap_or(&target.company.default_image);
    (!image.is_empty() && commands.req.kind != Kind::Mask).then(|| image.clone())
}

/// The request for the default image that stands for another one.
fn in_its_place<'a>(
    catalog: &'a Catalog,
    missing: &Target<'a>,
    asked: &Commands,
    image: String,
) -> Result<(Target<'a>, Commands)> {
    let mut target = missing.for_object(catalog, &image)?;
    let hours = target.company.default_expiration_hours;
    let company: &mut Company = Cow::to_mut(&mut target.company);
    company.expiration_hours = hours;
    match target.company.default_image_mode {
        DefaultImageMode::Swap => {
            let commands = target.commands()?;
            Ok((target, commands))
        }
        DefaultImageMode::Replace => {
            let target = target.without_query();
            let mut commands = target.commands()?;
            (commands.wid, commands.hei) = (asked.wid.or(commands.wid), asked.hei.or(commands.hei));
            commands.qlt = asked.qlt.or(commands.qlt);
            (commands.req, commands.thumb) = (asked.req.clone(), asked.thumb);
            if asked.fmt != Format::default() {
                commands.fmt = asked.fmt;
            }
            commands.ignored.clone_from(&asked.ignored);
            Ok((target, commands))
        }
    }
}
