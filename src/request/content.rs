//! Requests for static files: whose they are, which file, what is asked of it (protocol.md 1.1, 2.8, 6).
//!
//! Of the commands `type`, `req` and `cache` mean something here, `id` and `handler` where the reply is a script; the
//! others are for pictures and are named as ignored.

use std::borrow::Cow;
use std::net::IpAddr;

use super::grammar::{self, Strings};
use super::preprocess::Context;
use super::target::{Ruled, ruled_headers};
use super::{Commands, Form, Kind, Refused, Req, read, registry};
use crate::catalog::{Catalog, Company, ContentRecord, Published, RuleHeader};
use crate::error::{Error, Result, shortened};

/// A request for a static file.
#[derive(Clone, Debug)]
pub struct ContentTarget<'a> {
    /// Whose attributes hold, a rule's overrides in them.
    pub company: Cow<'a, Company>,
    /// The file's record, if it has one.
    pub record: Option<&'a ContentRecord>,
    /// Whether there is a file to be looked for, by its name, element by element; `None`: there is none, or the world may
    /// not see it.
    pub file: Option<Vec<String>>,
    elements: Vec<String>,
    query: Cow<'a, str>,
    headers: Vec<&'a RuleHeader>,
}

/// What is asked of a static file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentKind {
    /// The file.
    #[default]
    File,
    /// Its properties.
    Props,
    /// Whether there is such a file.
    Exists,
    /// The record's own text.
    UserData,
}

/// The commands of a request for a static file.
#[derive(Clone, Debug, Default)]
pub struct ContentCommands {
    /// What is asked for.
    pub kind: ContentKind,
    /// What the file's type must be.
    pub type_wanted: Option<String>,
    /// The form of the reply, `id` and `handler`, and what may be cached.
    pub common: Commands,
}

impl<'a> ContentTarget<'a> {
    /// As [`super::Target::of_url`].
    ///
    /// # Errors
    /// As [`super::Target::of_url`], but for the look-up of objects.
    pub fn of_url(catalog: &'a Catalog, path: &'a str, query: &'a str, client: Option<IpAddr>) -> Result<Self> {
        let Ruled { company, elements, query, headers, overrides } =
            Ruled::of_url(catalog, Context::Content, path, query, client)?;
        let id = elements.join("/");
        // A slash that came encoded belongs to its element and separates nothing.
        let is_plain = !elements.is_empty() && !elements.iter().any(|element| element.contains('/'));
        let record = is_plain.then(|| company.content.records.get(&id)).flatten();
        let listed = record.and_then(|record| record.published);
        let is_published = listed.unwrap_or(company.published == Published::All);
        let file = match record {
            Some(ContentRecord { path: Some(path), .. }) => Some(path.split('/').map(str::to_owned).collect()),
            Some(_) => Some(elements.clone()),
            None => (!company.full_match && !elements.is_empty()).then(|| elements.clone()),
        };
        let mut company = Cow::Borrowed(company);
        overrides.put_into(&mut company);
        Ok(Self { company, record, file: file.filter(|_| is_published), elements, query, headers })
    }

    /// `Company/file`, for people: it is never taken apart again.
    pub fn id(&self) -> String {
        shortened(&self.elements.iter().fold(self.company.root_id.clone(), |id, element| id + "/" + element))
    }

    /// All that is asked.
    ///
    /// # Errors
    /// `Command`, `UnknownCommand` (strict companies only), `UnknownPreset`, `Request`.
    pub fn commands(&self) -> Result<ContentCommands> {
        let mut commands = ContentCommands::default();
        let strings = Strings { query: &self.query, ..Strings::default() };
        let variables = grammar::each_command(strings, &self.company, &mut |name, value| {
            commands.take(name, value, self.company.strict)
        })?;
        commands.common.variables = variables;
        match (&commands.type_wanted, self.record) {
            (Some(wanted), Some(record)) if !record.kind.is_empty() && record.kind != *wanted => {
                Err(Error::command("type", wanted, "the type of the file"))
            }
            _ => Ok(commands),
        }
    }

    /// The form in which an error is told, as far as it can be read.
    pub fn req(&self) -> Req {
        let mut commands = ContentCommands::default();
        let strings = Strings { query: &self.query, ..Strings::default() };
        // It ends where nothing more can be read; what was read before counts.
        drop(grammar::each_command(strings, &self.company, &mut |name, value| {
            // What is refused here is refused again where the request is read.
            commands.take(name, value, false).or(Ok(()))
        }));
        commands.common.req
    }

    /// The headers of its reply: the company's own, and over them those of the rules.
    pub fn headers(&self, commands: &ContentCommands) -> Vec<(String, String)> {
        ruled_headers(&self.company, &self.headers, &commands.common.variables)
    }
}

impl ContentCommands {
    fn take(&mut self, name: &str, value: &str, strict: bool) -> Result<()> {
        let Some(row) = registry::find(name) else { return self.common.ignore(name, strict) };
        let read = match row.name {
            "type" => {
                self.type_wanted = Some(value.to_owned());
                return Ok(());
            }
            "req" => {
                let (kind, form) = req(value).map_err(|_| Error::command(row.name, value, REQ))?;
                self.kind = kind;
                self.common.req.form = form;
                return Ok(());
            }
            "cache" => read::cache,
            "id" => read::id,
            // Without a form of its own it asks for a call of that function.
            "handler" => {
                self.common.req.form = Form::Json;
                read::handler
            }
            _ => return self.common.ignore(name, false),
        };
        read(&mut self.common, value).map_err(|_| Error::command(row.name, value, row.range))
    }
}

const REQ: &str = "content, content,json, props or exists (each then text, javascript, xml or json) or userdata (then \
                   text, xml or json)";

fn req(value: &str) -> Result<(ContentKind, Form), Refused> {
    let (name, form) = value.split_once(',').map_or((value, None), |(name, form)| (name, Some(form)));
    if name.eq_ignore_ascii_case("content") {
        return match form {
            None => Ok((ContentKind::File, Form::Text)),
            Some(form) if form.eq_ignore_ascii_case("json") => Ok((ContentKind::File, Form::Json)),
            Some(_) => Err(Refused::Bad),
        };
    }
    let (kind, form) = super::req::read(value)?;
    match kind {
        Kind::Props => Ok((ContentKind::Props, form)),
        Kind::Exists => Ok((ContentKind::Exists, form)),
        Kind::UserData => Ok((ContentKind::UserData, form)),
        _ => Err(Refused::Bad),
    }
}
