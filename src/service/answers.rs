//! Which picture answers a request: the one that it names, the company's default image, its error image (protocol.md 1.8).
//!
//! Invariant: an error of ours, or of the load just now, is never hidden behind an image: status and `Retry-After` tell
//! clients and caches what to do about it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::derivatives::Ask;
use super::meta::{Meta, Outline};
use super::{ImageRequest, Rendition, Service, blocking, planned};
use crate::catalog::{Catalog, Company, DefaultImageMode};
use crate::decide::Hints;
use crate::error::{Blame, Error, Result};
use crate::plan::Decision;
use crate::request::{self, Commands, Format, Kind, Target};

impl Service {
    /// `GET /is/image/…`. Dropping the future cancels the work. Needs a tokio runtime with its timer, as all that waits
    /// here does.
    ///
    /// # Errors
    /// Any `Error` but `Config`, unless the company's error image stands for it.
    pub async fn image(&self, request: &ImageRequest, deadline: Instant) -> Result<Rendition> {
        let catalog = self.catalog();
        let rendition = self.by(deadline, async {
            let (ask, outline) = self.answer(&catalog, request).await?;
            Ok(outline.rendition(self.derivatives.get(ask, deadline).await?))
        });
        let error = match rendition.await {
            Ok(rendition) => return Ok(rendition),
            Err(error) => error,
        };
        self.telemetry.refusal(&request.id(), None, &error);
        let image = self.by(deadline, async {
            let (ask, outline) = self.error_answer(&catalog, request, &error).await?;
            Ok(outline.rendition(self.derivatives.get(ask, deadline).await?))
        });
        match image.await {
            Ok(image) => Ok(Rendition { meta: image.meta.of_error(), ..image }),
            Err(_) => Err(error),
        }
    }

    /// `HEAD /is/image/…`, and the question behind `If-None-Match`: everything that is known without rendering.
    ///
    /// # Errors
    /// As [`Self::image`], as far as they show before pixels exist.
    pub async fn head(&self, request: &ImageRequest, deadline: Instant) -> Result<Meta> {
        let catalog = self.catalog();
        let meta = self.by(deadline, async {
            let (ask, outline) = self.answer(&catalog, request).await?;
            Ok(outline.meta(self.derivatives.known(ask).await?.as_deref()))
        });
        let error = match meta.await {
            Ok(meta) => return Ok(meta),
            Err(error) => error,
        };
        self.telemetry.refusal(&request.id(), None, &error);
        let image = self.by(deadline, async {
            let (ask, outline) = self.error_answer(&catalog, request, &error).await?;
            Ok(outline.meta(self.derivatives.known(ask).await?.as_deref()))
        });
        image.await.map_or(Err(error), |meta| Ok(meta.of_error()))
    }

    /// The answer to a conditional request for a picture that never expires (protocol.md 5: 304, unchecked); `None`: it may
    /// expire, or something else may be shown for it.
    ///
    /// # Errors
    /// What is wrong with the request itself.
    pub fn unchecked(&self, request: &ImageRequest) -> Result<Option<Meta>> {
        let catalog = self.catalog();
        let target = request.target(&catalog)?;
        let commands = target.commands()?;
        if default_image(&target, &commands).is_some() {
            return Ok(None);
        }
        let meta = Meta::of_request(&commands, &target);
        Ok((meta.freshness.is_kept && meta.freshness.max_age_s.is_none()).then_some(meta))
    }

    /// What is asked for, or the default image in its place.
    async fn answer(&self, catalog: &Catalog, request: &ImageRequest) -> Result<(Ask, Outline)> {
        let target = request.target(catalog)?;
        let commands = target.commands()?;
        let missing = match self.ask(&target, &request.hints, &commands).await {
            Err(error @ Error::NotFound { .. }) => error,
            asked => return asked.map(|(ask, decision)| outlined(ask, decision, &commands, &target)),
        };
        let Some(image) = default_image(&target, &commands) else { return Err(missing) };
        let Ok((target, commands)) = in_its_place(catalog, &target, &commands, image) else { return Err(missing) };
        match self.ask(&target, &request.hints, &commands).await {
            Ok((ask, decision)) => Ok(outlined(ask, decision, &commands, &target)),
            Err(Error::NotFound { .. }) => Err(missing),
            Err(error) => Err(error),
        }
    }

    /// The company's error image in the place of an error.
    async fn error_answer(&self, catalog: &Catalog, request: &ImageRequest, error: &Error) -> Result<(Ask, Outline)> {
        let none = || Error::NotFound { id: String::from("error image") };
        match error.blame() {
            Blame::Client | Blame::Source => {}
            Blame::Load | Blame::Device | Blame::Config | Blame::Bug => return Err(none()),
        }
        let target = match request.target(catalog) {
            Ok(target) => target,
            Err(_) => {
                let company = request.company(catalog).or(catalog.default.as_ref()).ok_or_else(none)?;
                Target::of_object(catalog, company, Vec::new(), "")?
            }
        };
        if target.company.error_image.is_empty() {
            return Err(none());
        }
        let target = target.for_object(catalog, &target.company.error_image)?.without_query();
        let commands = target.commands()?;
        let (ask, decision) = self.ask(&target, &request.hints, &commands).await?;
        Ok(outlined(ask, decision, &commands, &target))
    }

    /// Finds the source of a request and plans its rendition.
    pub(super) async fn ask(&self, target: &Target<'_>, hints: &Hints, commands: &Commands) -> Result<(Ask, Decision)> {
        let stamp = self.stamp(target);
        let find = self.finder(target);
        let look = Arc::clone(&find);
        let found = blocking(move || look()).await?;
        let (plan, decision) = planned(commands, &found.header, &target.company, hints)?;
        let ask = Ask { id: target.id(), stamp, find, found, plan: Arc::new(plan), cache: commands.cache.server };
        Ok((ask, decision))
    }
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
