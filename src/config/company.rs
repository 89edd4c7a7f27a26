//! One `[company.*]` section to one checked [`Company`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::content;
use super::read::Section;
use super::record::{self, DPI, HOURS, is_dpi, is_hours};
use super::rules;
use crate::catalog::{
    Company, DEFAULT_COMPANY, Kernel, LocaleMap, NetworkSignal, Published, Records, SourceRoot, ThumbAlign, ThumbType,
};
use crate::error::{Error, Result, shortened};
use crate::limits;
use crate::pixel::{Chroma, Size, WorkingSpace};
use crate::request;

/// Headers that are the protocol's own: a company's value would contradict the reply it travels on.
pub(super) const HEADERS_OF_OURS: [&str; 20] = [
    "accept-ch",
    "accept-ranges",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "keep-alive",
    "last-modified",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "x-adobe-smart-imaging",
    "x-smart-imaging",
    "x-smart-imaging-reason",
];

/// The company `root_id` as its section says; what it does not say is as in the default catalog, if there is one.
pub(super) fn read(root_id: &str, mut section: Section, default: Option<&Company>) -> Result<Company> {
    check_root_id(root_id)?;
    let mut company = inheriting(root_id, default);
    match section.take("source") {
        None if root_id == DEFAULT_COMPANY || company.source != SourceRoot::Nothing => {}
        None => {
            return Err(Error::Config {
                key: format!("{}.source", section.name()),
                problem: format!("missing: expected {SOURCE_WANT}"),
            });
        }
        Some(given) => match &given {
            super::read::Given::File(toml::Value::String(text)) => {
                company.source = source_root(text).map_err(|want| section.refusal("source", &given, want))?;
            }
            _ => return Err(section.refusal("source", &given, SOURCE_WANT)),
        },
    }
    read_objects(&mut company, &mut section)?;
    read_answers(&mut company, &mut section)?;
    // Those of the default catalog are for requests that name no company.
    company.rules = rules::read_all(&mut section)?.unwrap_or_default().into();
    if let Some(size) = sides(&mut section, "max_pix")? {
        company.max_pix = size;
    }
    if let Some(size) = sides(&mut section, "default_pix")? {
        company.default_pix = size;
    }
    read_thumbnails(&mut company, &mut section)?;
    let want = "a quality 1 to 100, or [quality, 0 | 1] where 1 keeps colour at full size";
    if let Some((quality, chroma)) = section.integers("jpeg_quality", 1, [1..=100, 0..=1], want)? {
        company.jpeg_quality = u8::try_from(quality).unwrap_or(100);
        company.jpeg_chroma = if chroma == Some(1) { Chroma::Full } else { Chroma::Half };
    }
    let kernels = Kernel::ALL.map(Kernel::keyword).join(" | ");
    if let Some(kernel) = section.text("res_mode", Kernel::from_keyword, kernels)? {
        company.res_mode = kernel;
    }
    if let Some(colour) = section.text("bkg_color", colour, COLOUR)? {
        company.bkg_color = colour;
    }
    let spaces = [("encoded", WorkingSpace::Encoded), ("linear", WorkingSpace::Linear)];
    if let Some(space) = section.choice("working_space", &spaces)? {
        company.working_space = space;
    }
    if let Some(may) = section.boolean("upscale_without_fit")? {
        company.upscale_without_fit = may;
    }
    if let Some(strict) = section.boolean("strict")? {
        company.strict = strict;
    }
    for (key, switch) in [
        ("bfc", &mut company.bfc),
        ("dpr", &mut company.dpr),
        ("network", &mut company.network),
        ("avif", &mut company.avif),
        ("legacy_ua", &mut company.legacy_ua),
        ("ch_width", &mut company.ch_width),
    ] {
        if let Some(on) = section.boolean(key)? {
            *switch = on;
        }
    }
    let signals = NetworkSignal::ALL.map(|signal| (signal.word(), signal));
    if let Some(signals) = section.choices("network_signals", &signals)? {
        // In the order of `Vary`, each once.
        company.network_signals = NetworkSignal::ALL.into_iter().filter(|signal| signals.contains(signal)).collect();
    }
    let steps = 1..=u64::from(limits::VIEW_SIDE_MAX);
    let want = format!("an integer from 1 to {}, px", limits::VIEW_SIDE_MAX);
    if let Some((step, _)) = section.integers("width_step", 1, [steps, 0..=0], &want)? {
        company.width_step = u32::try_from(step).unwrap_or(limits::VIEW_SIDE_MAX);
    }
    if let Some(hours) = section.number("expiration_hours", is_hours, HOURS)? {
        company.expiration_hours = hours;
    }
    if let Some(stale) = section.integer("stale_while_revalidate_s", 0..=limits::STALE_S_MAX)? {
        company.stale_while_revalidate_s = stale;
    }
    if let Some(says) = section.boolean("use_last_modified")? {
        company.use_last_modified = says;
    }
    let own = headers(section.section("headers")?)?;
    company.headers.retain(|(name, _)| !own.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
    company.headers.extend(own);
    content::read(&mut company.content, section.section("content")?)?;
    let presets = section.section("presets")?;
    let records = section.section("record")?;
    section.finish()?;
    let prefix = format!("company.{root_id}");
    read_presets(&mut company, presets)?;
    let inherited = default.map(|default| Arc::clone(&default.records));
    company.records = Arc::new(Records { own: record::read_all(records)?, inherited });
    record::check_all(&company, &prefix)?;
    Ok(company)
}

/// What a company is before its section is read.
fn inheriting(root_id: &str, default: Option<&Company>) -> Company {
    match default {
        Some(default) => Company { root_id: root_id.to_owned(), ..default.clone() },
        None => Company::new(root_id, SourceRoot::Nothing),
    }
}

/// How objects are found, and what holds for those without a word of their own.
fn read_objects(company: &mut Company, section: &mut Section) -> Result<()> {
    if let Some(only) = section.boolean("full_match")? {
        company.full_match = only;
    }
    let want = "an extension without its dot, or nothing";
    if let Some(extension) = section.text("default_ext", extension, want)? {
        company.default_ext = Some(extension).filter(|extension| !extension.is_empty());
    }
    if let Some(published) = section.choice("published", &[("all", Published::All), ("listed", Published::Listed)])? {
        company.published = published;
    }
    let want = "rows locale,suffix[,suffix]* separated by |, each locale once";
    if let Some(map) = section.text("locale_map", LocaleMap::read, want)? {
        company.locale_map = map;
    }
    if let Some(locale) = section.text("default_locale", |text| Some(text.to_owned()), "a locale")? {
        company.default_locale = locale;
    }
    for (key, dpi) in [("resolution", &mut company.resolution), ("print_resolution", &mut company.print_resolution)] {
        *dpi = section.number(key, is_dpi, DPI)?.or(*dpi);
    }
    Ok(())
}

/// How thumbnails are made.
fn read_thumbnails(company: &mut Company, section: &mut Section) -> Result<()> {
    let side_max = u64::from(limits::VIEW_SIDE_MAX);
    let want = format!("[width, height], each 1 to {side_max}");
    let size = section.integers("default_thumb_pix", 2, [1..=side_max, 1..=side_max], &want)?;
    if let Some((w, Some(h))) = size {
        let side = |n: u64| u32::try_from(n).unwrap_or(limits::VIEW_SIDE_MAX);
        company.default_thumb_pix = Size::new(side(w), side(h));
    }
    company.thumb_type = section.choice("thumb_type", &ThumbType::WORDS)?.unwrap_or(company.thumb_type);
    company.thumb_res = section.number("thumb_res", is_dpi, DPI)?.or(company.thumb_res);
    let [h, v] = company.thumb_align;
    company.thumb_align = [
        section.choice("thumb_horiz_align", &ThumbAlign::HORIZONTAL)?.unwrap_or(h),
        section.choice("thumb_vert_align", &ThumbAlign::VERTICAL)?.unwrap_or(v),
    ];
    if let Some(colour) = section.text("thumb_bkg_color", colour, COLOUR)? {
        company.thumb_bkg_color = colour;
    }
    Ok(())
}

/// Who is answered, and how what is missing or wrong is answered.
fn read_answers(company: &mut Company, section: &mut Section) -> Result<()> {
    for (key, switch) in
        [("request_lock", &mut company.request_lock), ("request_obfuscation", &mut company.request_obfuscation)]
    {
        *switch = section.boolean(key)?.unwrap_or(*switch);
    }
    if let Some(networks) = rules::networks(section, "address_filter")? {
        company.address_filter = networks;
    }
    for (key, object) in [("default_image", &mut company.default_image), ("error_image", &mut company.error_image)] {
        if let Some(text) = section.text(key, |text| Some(text.to_owned()), "an object, or nothing")? {
            *object = text;
        }
    }
    if let Some(mode) = section.choice("default_image_mode", &rules::DEFAULT_IMAGE_MODES)? {
        company.default_image_mode = mode;
    }
    for (key, hours) in [
        ("default_expiration_hours", &mut company.default_expiration_hours),
        ("non_img_expiration_hours", &mut company.non_img_expiration_hours),
    ] {
        *hours = section.number(key, is_hours, HOURS)?.unwrap_or(*hours);
    }
    if let Some(detail) = section.integer("error_detail", 0..=3)? {
        company.error_detail = u8::try_from(detail).unwrap_or(3);
    }
    Ok(())
}

fn extension(text: &str) -> Option<String> {
    text.bytes().all(|b| b.is_ascii_alphanumeric()).then(|| text.to_owned())
}

const SOURCE_WANT: &str = "file:///absolute/directory, or demo: for computed pictures";

/// What the word of `source` stands for; `Err` is what would have been right.
pub(super) fn source_root(text: &str) -> Result<SourceRoot, String> {
    if text == "demo:" {
        return Ok(SourceRoot::Demo);
    }
    let Some((scheme, rest)) = text.split_once("://") else { return Err(SOURCE_WANT.into()) };
    match scheme {
        "file" => {
            let path = percent_decode_str(rest).decode_utf8().map_err(|_| SOURCE_WANT)?;
            if !path.starts_with('/') || path.contains('\0') {
                return Err(format!("{SOURCE_WANT} (three slashes: no host)"));
            }
            directory(PathBuf::from(&*path)).map(SourceRoot::Dir)
        }
        "s3" | "gs" | "az" | "http" | "https" => Err(format!("{SOURCE_WANT}: {scheme} sources are not supported yet")),
        _ => Err(SOURCE_WANT.into()),
    }
}

/// `path` if it is a directory that can be looked into.
pub(super) fn directory(path: PathBuf) -> Result<PathBuf, String> {
    match std::fs::read_dir(Path::new(&path)) {
        Ok(_) => Ok(path),
        Err(cause) => Err(format!("an existing, readable directory ({cause})")),
    }
}

pub(super) fn sides(section: &mut Section, key: &'static str) -> Result<Option<Size>> {
    let side_max = u64::from(limits::VIEW_SIDE_MAX);
    let want = format!("[width, height], each 0 (no limit) to {side_max}");
    let sides = section.integers(key, 2, [0..=side_max, 0..=side_max], &want)?;
    let side = |n: u64| u32::try_from(n).unwrap_or(limits::VIEW_SIDE_MAX);
    Ok(sides.and_then(|(w, h)| Some(Size::new(side(w), side(h?)))))
}

const COLOUR: &str = "six hexadecimal digits as in \"ffffff\"";

fn colour(text: &str) -> Option<[u8; 3]> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let [_, r, g, b] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([r, g, b])
}

/// A RootId is one path element that needs no decoding to be told from another.
fn check_root_id(root_id: &str) -> Result<()> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ' | '~');
    if !root_id.is_empty() && !root_id.starts_with('.') && root_id.chars().all(fits) {
        return Ok(());
    }
    Err(Error::Config {
        key: format!("company.\"{}\"", shortened(root_id)),
        problem: String::from("expected a name of letters, digits, - _ . ~ and spaces that does not begin with a dot"),
    })
}

fn headers(section: Section) -> Result<Vec<(String, String)>> {
    let prefix = section.name().to_owned();
    let headers = section.texts()?;
    let refuse = |name: &str, problem: &str| {
        Err(Error::Config { key: format!("{prefix}.{}", shortened(name)), problem: problem.into() })
    };
    if headers.len() > limits::COMPANY_HEADERS_MAX {
        return Err(Error::Config {
            key: prefix,
            problem: format!("{} headers: expected at most {}", headers.len(), limits::COMPANY_HEADERS_MAX),
        });
    }
    let mut bytes = 0;
    for (i, (name, value)) in headers.iter().enumerate() {
        if name.is_empty() || !name.bytes().all(is_token) {
            return refuse(name, "not a header name: expected letters, digits and !#$%&'*+-.^_`|~");
        }
        if HEADERS_OF_OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
            return refuse(name, "set by calotype itself on every reply: expected another header");
        }
        if headers[..i].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return refuse(name, "given twice, in upper and in lower case");
        }
        // RFC 9110, section 5.5, without its obsolete part: visible ASCII, inner spaces and tabs.
        if !value.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t')) || value.trim() != value {
            return refuse(
                name,
                "not a header value: expected printable ASCII without line breaks, no space at its ends",
            );
        }
        bytes += name.len() + value.len();
    }
    // Half of what a request may carry leaves the other half to our own.
    if bytes > limits::HEADERS_BYTES_MAX / 2 {
        let most = limits::HEADERS_BYTES_MAX / 2;
        return Err(Error::Config {
            key: prefix,
            problem: format!("{bytes} bytes of headers: expected at most {most}"),
        });
    }
    Ok(headers)
}

/// `tchar` of RFC 9110, section 5.6.2.
pub(super) fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// Presets know one another, so all are put in before the first is tried.
fn read_presets(company: &mut Company, section: Section) -> Result<()> {
    let prefix = section.name().to_owned();
    // Those of the default catalog are there, and may be defined anew.
    let mut presets = BTreeMap::new();
    for (name, body) in section.texts()? {
        let key = format!("{prefix}.{}", shortened(&name));
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if name.is_empty() || !name.bytes().all(fits) {
            return Err(Error::Config { key, problem: "not a preset name: expected letters, digits, - _ .".into() });
        }
        if presets.insert(name.to_ascii_lowercase(), body).is_some() {
            return Err(Error::Config { key, problem: "given twice, in upper and in lower case".into() });
        }
    }
    company.presets.extend(presets);
    for name in company.presets.keys() {
        request::check(&format!("${name}$"), company)
            .map_err(|cause| Error::Config { key: format!("{prefix}.{name}"), problem: cause.to_string() })?;
    }
    Ok(())
}
