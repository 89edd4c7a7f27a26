//! Static files: found, opened and described; whoever asked reads them (protocol.md 1.1, 6).

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::xxh3_128;

use super::meta::Freshness;
use super::properties::{self, Properties, Text};
use super::{ImageRequest, Manners, Service, Words, blocking, words};
use crate::error::{Error, Result};
use crate::limits;
use crate::request::{ContentCommands, ContentKind, ContentTarget, Form};
use crate::store::{self, Plain, Version};

/// The reply to a request for a static file.
#[derive(Debug)]
pub enum ContentReply {
    /// The file.
    File(StaticFile),
    /// What is known of it, or the file inside a script.
    Words(Words),
}

/// A static file.
#[derive(Debug)]
pub struct StaticFile {
    /// The file, open.
    pub file: File,
    /// What a reply's headers need.
    pub meta: FileMeta,
}

/// What is known of a static file beside its bytes.
#[derive(Clone, Debug)]
pub struct FileMeta {
    /// Its length when it was opened, bytes.
    pub length: u64,
    /// MIME type, by its name.
    pub mime: Cow<'static, str>,
    /// Entity tag, quotes included; weak (`W/"…"`) while it may change unnoticed.
    pub etag: String,
    /// When it was changed last.
    pub last_modified: SystemTime,
    /// For how long others may keep it.
    pub freshness: Freshness,
    /// The company's own headers, and those of its rules.
    pub headers: Vec<(String, String)>,
    /// Commands that mean nothing here.
    pub ignored: Vec<String>,
}

impl Service {
    /// `GET|HEAD /is/content/…`.
    ///
    /// # Errors
    /// `Command`, `UnknownCommand`, `UnknownPreset`, `Request`, `Refused`: the request. `NoFile`, `Forbidden`, `Io`.
    /// `SourceTooLong`, `BrokenSource`: a script is wanted of a file that is no text, or too much of it.
    pub async fn content(&self, request: &ImageRequest, deadline: Instant) -> Result<ContentReply> {
        let reply = self.by(deadline, self.content_of(request)).await;
        reply.inspect_err(|error| self.telemetry.refusal(&request.id(), None, error))
    }

    /// As [`Self::manners`], for static files.
    pub fn content_manners(&self, request: &ImageRequest) -> Manners {
        let catalog = self.catalog();
        match ContentTarget::of_url(&catalog, &request.path, &request.query, request.client) {
            Ok(target) => {
                let headers = target.headers(&target.commands().unwrap_or_default());
                let error_detail = target.company.error_detail;
                Manners { headers, varies_by: Vec::new(), error_detail, req: target.req() }
            }
            Err(_) => Manners::of_company(&catalog, request),
        }
    }

    async fn content_of(&self, request: &ImageRequest) -> Result<ContentReply> {
        let catalog = self.catalog();
        let target = match ContentTarget::of_url(&catalog, &request.path, &request.query, request.client) {
            Err(Error::NotFound { id }) => return Err(Error::NoFile { id }),
            target => target?,
        };
        let commands = target.commands()?;
        let ContentCommands { kind, common, .. } = &commands;
        let of_company = target.company.non_img_expiration_hours;
        let (text, hours) = match kind {
            ContentKind::File if common.req.form == Form::Json => (script(&target, &commands).await?, hours(&target)),
            ContentKind::File => return file(&target, commands).await.map(ContentReply::File),
            ContentKind::Props => (written(props(&target).await?, &commands), of_company),
            ContentKind::Exists => {
                let value = match opened(&target).await {
                    Ok(_) => "1",
                    Err(Error::NoFile { .. }) => "0",
                    Err(error) => return Err(error),
                };
                (written(vec![(String::from("catalogRecord.exists"), value.to_owned())], &commands), of_company)
            }
            ContentKind::UserData => {
                let own = target.file.as_ref().and(target.record).and_then(|record| record.user_data.as_deref());
                let text = words::ended(own, Vec::new());
                (properties::lines("userdata", &text, &common.req, now_s()), hours(&target))
            }
        };
        let (freshness, headers) =
            (Freshness::in_hours(Some(hours), common, &target.company), target.headers(&commands));
        let Text { mime, body } = text;
        Ok(ContentReply::Words(Words { mime, body, freshness, headers, ignored: commands.common.ignored }))
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn written(properties: Properties, commands: &ContentCommands) -> Text {
    properties::written(&properties, &commands.common.req, now_s())
}

/// Time to live, hours.
fn hours(target: &ContentTarget<'_>) -> f64 {
    target.record.and_then(|record| record.expiration_hours).unwrap_or(target.company.expiration_hours)
}

/// The file that is asked for, by its name, and open.
async fn opened(target: &ContentTarget<'_>) -> Result<(String, Plain)> {
    let missing = || Error::NoFile { id: target.id() };
    let (Some(root), Some(path)) = (target.company.content.root.clone(), target.file.clone()) else {
        return Err(missing());
    };
    let name = path.last().cloned().ok_or_else(missing)?;
    let id = target.id();
    let plain = blocking(move || store::open_plain(&root, &id, &path)).await?;
    Ok((name, plain))
}

async fn file(target: &ContentTarget<'_>, commands: ContentCommands) -> Result<StaticFile> {
    let (name, Plain { version, file }) = opened(target).await?;
    let freshness = Freshness::in_hours(Some(hours(target)), &commands.common, &target.company);
    let meta = FileMeta {
        length: version.bytes,
        mime: mime(&name),
        etag: etag(&version),
        last_modified: last_modified(target, &version),
        freshness: if version.is_settled() { freshness } else { freshness.brief() },
        headers: target.headers(&commands),
        ignored: commands.common.ignored,
    };
    Ok(StaticFile { file, meta })
}

/// The record's time if it says one, else the file's; one to come is now.
fn last_modified(target: &ContentTarget<'_>, version: &Version) -> SystemTime {
    let of_file = Duration::from_nanos(u64::try_from(version.modified_ns).unwrap_or(0));
    let changed = target.record.and_then(|record| record.timestamp_s).map_or(of_file, Duration::from_secs);
    (UNIX_EPOCH + changed).min(SystemTime::now())
}

/// A hash of the file's state. While another change could leave the same state behind, nobody may put pieces of the two
/// together: then the tag is weak.
fn etag(version: &Version) -> String {
    let Version { bytes, modified_ns, changed_ns, node } = version;
    let hash = xxh3_128(format!("{bytes} {modified_ns} {changed_ns} {node:?}").as_bytes());
    format!("{}\"{hash:032x}\"", if version.is_settled() { "" } else { "W/" })
}

async fn props(target: &ContentTarget<'_>) -> Result<Properties> {
    let (name, Plain { version, .. }) = opened(target).await?;
    let changed = last_modified(target, &version).duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Ok([
        ("content.length", version.bytes.to_string()),
        ("content.type", mime(&name).into_owned()),
        ("content.userType", target.record.map(|record| record.kind.clone()).unwrap_or_default()),
        ("content.timeStamp", properties::utc(changed)),
        ("content.expiration", hours(target).to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into())
}

/// A text file as the argument of a call, for pages of other hosts: captions, mostly.
async fn script(target: &ContentTarget<'_>, commands: &ContentCommands) -> Result<Text> {
    let (name, Plain { version, file }) = opened(target).await?;
    let mime = mime(&name);
    if !is_text(&mime) {
        return Err(Error::command("req", "content,json", format!("a file of text: this one is {mime}")));
    }
    let bytes_max = limits::SCRIPT_BYTES_MAX;
    if version.bytes > bytes_max {
        return Err(Error::SourceTooLong { bytes_max });
    }
    let id = target.id();
    let read = move || {
        let mut bytes = Vec::new();
        let io = |cause| Error::Io { doing: "read the file", path: id.into(), cause };
        file.take(bytes_max).read_to_end(&mut bytes).map_err(io)?;
        Ok(bytes)
    };
    let text = String::from_utf8(blocking(read).await?).map_err(|_| Error::broken("text", "it is not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(properties::script("content", text, &commands.common.req))
}

/// Whether a type is text, so that it can stand inside a script.
fn is_text(mime: &str) -> bool {
    let essence = mime.split(';').next().unwrap_or_default();
    let others = ["application/json", "application/javascript", "application/x-subrip", "application/ttml+xml"];
    essence.starts_with("text/") || others.contains(&essence)
}

/// The type of a file by its name's extension, texts with their encoding.
fn mime(name: &str) -> Cow<'static, str> {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    // What players of streams go by (RFC 8216), where the table has an older or another use of the extension.
    let essence = match extension.as_str() {
        "m3u8" => "application/vnd.apple.mpegurl",
        "ts" => "video/mp2t",
        "m4s" => "video/iso.segment",
        "mjs" => "text/javascript",
        _ => mime_guess::from_ext(&extension).first_raw().unwrap_or("application/octet-stream"),
    };
    if essence.starts_with("text/") { Cow::Owned(format!("{essence}; charset=utf-8")) } else { Cow::Borrowed(essence) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_the_extension() {
        for (name, want) in [
            ("film.mp4", "video/mp4"),
            ("FILM.MP4", "video/mp4"),
            ("captions.vtt", "text/vtt; charset=utf-8"),
            ("style.css", "text/css; charset=utf-8"),
            ("page.html", "text/html; charset=utf-8"),
            ("list.m3u8", "application/vnd.apple.mpegurl"),
            ("piece.ts", "video/mp2t"),
            ("manual.pdf", "application/pdf"),
            ("shoe.glb", "model/gltf-binary"),
            ("plain", "application/octet-stream"),
            ("odd.nosuchextension", "application/octet-stream"),
        ] {
            assert_eq!(mime(name), want, "{name}");
        }
        assert!(is_text("text/vtt; charset=utf-8") && is_text("application/json") && !is_text("video/mp4"));
    }
}
