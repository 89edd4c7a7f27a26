//! Replies that are no pictures: what is known of a request, its object and its company (protocol.md 1.10, 2.9).

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::Xxh3;

use super::answers::Read;
use super::areas;
use super::derivatives::{self, Ask};
use super::meta::Freshness;
use super::properties::{self, Properties, Text};
use super::{ImageRequest, Service, blocking, on_paths, with_paths};
use crate::catalog::{Catalog, Company, Record, SmartCrop};
use crate::codec;
use crate::decide::{self, Hints};
use crate::error::{Error, Result, shortened};
use crate::pixel::{Chroma, Density, Model};
use crate::plan::{Conversion, EncodeSpec, Header, Plan, TiffPacking};
use crate::request::{self, Commands, Form, Kind, PixelType, Screen, Target};

/// A reply that is no picture.
#[derive(Clone, Debug)]
pub struct Words {
    /// Its MIME type.
    pub mime: &'static str,
    /// Its body.
    pub body: Vec<u8>,
    /// For how long others may keep it.
    pub freshness: Freshness,
    /// The company's own headers, and those of its rules.
    pub headers: Vec<(String, String)>,
    /// Unknown commands.
    pub ignored: Vec<String>,
}

impl Service {
    /// The reply to a request that asks for no picture; `None`: it asks for one, or what is wrong with it is told where a
    /// picture is looked for.
    ///
    /// # Errors
    /// As [`Self::reply`], as far as it concerns what is asked for.
    pub(super) async fn words(&self, read: &Read<'_>, deadline: Instant) -> Result<Option<Words>> {
        if read.req().kind.is_picture() {
            return Ok(None);
        }
        let words = self.by(deadline, async {
            match read.whole() {
                Ok((target, commands)) => self.told_in_words(target, commands, deadline).await,
                Err(error) => match of_nobody(read.catalog, read.request) {
                    Some(target) => {
                        let target = target?;
                        self.told_in_words(&target, &target.commands()?, deadline).await
                    }
                    None => Err(error),
                },
            }
        });
        words.await.map(Some).inspect_err(|error| self.telemetry.refusal(&read.request.id(), None, error))
    }

    async fn told_in_words(&self, target: &Target<'_>, commands: &Commands, deadline: Instant) -> Result<Words> {
        let (req, company) = (&commands.req, &*target.company);
        let record = target.object.record.map(|(_, record)| record);
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let properties = |properties: Properties| properties::written(&properties, req, now_s);
        let one = |name: &str, value: String| properties(vec![(name.to_owned(), value)]);
        let (text, hours) = match req.kind {
            // Not asked for here.
            Kind::Img | Kind::Tmb | Kind::Mask => return Err(Error::NotFound { id: target.id() }),
            Kind::Props => (properties(self.props(target, commands).await?), Some(company.non_img_expiration_hours)),
            Kind::ImageProps => (properties(self.image_props(target).await?), Some(company.non_img_expiration_hours)),
            Kind::CatalogProps => (properties(catalog_props(company)), Some(company.non_img_expiration_hours)),
            Kind::Exists => {
                let exists = self.exists(target).await?;
                let value = String::from(if exists { "1" } else { "0" });
                (one("catalogRecord.exists", value), Some(company.non_img_expiration_hours))
            }
            Kind::UserData => {
                let text = ended(record.and_then(|record| record.user_data.as_deref()), crop_lines(target));
                (properties::lines("userdata", &text, req, now_s), Some(image_hours(target)))
            }
            Kind::Targets => {
                let text = ended(record.and_then(|record| record.targets.as_deref()), Vec::new());
                (properties::lines("targets", &text, req, now_s), Some(image_hours(target)))
            }
            Kind::Map => {
                let map = self.map(target, commands).await?;
                let text = match req.form {
                    Form::Text => Text::plain(map + "\r\n"),
                    Form::Javascript | Form::Xml(_) | Form::Json => one("IMAGE_MAP", map),
                };
                (text, Some(image_hours(target)))
            }
            Kind::ImageSet => {
                let set = record.and_then(|record| record.image_set.clone()).unwrap_or_default();
                let text = match req.form {
                    Form::Text => Text::plain(set + "\r\n"),
                    Form::Javascript | Form::Xml(_) | Form::Json => one("IMAGE_SET", set),
                };
                (text, Some(company.non_img_expiration_hours))
            }
            Kind::Set => {
                let set = self.set(target, req, commands.image_set.as_ref()).await?;
                (set, Some(company.non_img_expiration_hours))
            }
            Kind::Xmp => {
                let find = self.finder(target);
                let look = move || {
                    let mut found = find()?;
                    Ok(codec::xmp(&mut found.source.reader(), found.header.format))
                };
                // A packet of nothing, where there is none: clients read XML.
                let packet = blocking(look).await?.unwrap_or_else(|| NO_PACKET.to_vec());
                (Text { mime: "text/xml; charset=utf-8", body: packet }, Some(image_hours(target)))
            }
            Kind::Validate => {
                target.check()?;
                (one("request.isValid", String::from("1")), None)
            }
            Kind::Resolve => (Text::plain(target.resolved()? + "\n"), None),
            Kind::LoadCache => {
                let (ask, _) = self.ask(target, &Hints::default(), commands).await?;
                let length = self.derivatives.get(ask, deadline).await?.entry.body.len();
                (one("image.length", length.to_string()), None)
            }
            Kind::Xlate => {
                let id = if target.object.files.is_empty() && record.is_none() {
                    String::new()
                } else {
                    format!("{}/{}", target.object.root_id, target.object.name())
                };
                (one("xlate.translatedIds", id), Some(image_hours(target)))
            }
            Kind::Message => {
                tracing::info!(asset = target.id(), words = shortened(&commands.message), "message of a client");
                (Text::plain(""), None)
            }
        };
        let freshness = Freshness::in_hours(hours, commands, company);
        let headers = target.headers(commands);
        let Text { mime, body } = text;
        Ok(Words { mime, body, freshness, headers, ignored: commands.ignored.clone() })
    }

    /// What the same request gives as a picture. Only the URL counts: what a client says of itself is on its own replies.
    async fn props(&self, target: &Target<'_>, commands: &Commands) -> Result<Properties> {
        let (ask, _) = self.ask(target, &Hints::default(), commands).await?;
        let version = derivatives::version(&ask);
        let Ask { plan, .. } = &ask;
        let plan = Arc::clone(plan);
        let known = self.derivatives.known(ask).await?;
        let spec = known.as_ref().map_or(plan.encode.requested, |entry| entry.note.verdict.served);
        let alpha = commands.fmt.alpha;
        let [r, g, b] = commands.bgc.unwrap_or(target.company.bkg_color);
        let mut out = vec![
            pair("image.bgc", format!("{r:02x}{g:02x}{b:02x}")),
            pair("image.height", plan.size.h),
            pair("image.width", plan.size.w),
            pair("image.iccEmbed", u8::from(plan.output.embeds_profile)),
            pair("image.iccProfile", profile(&plan)),
            pair("image.length", known.map_or(0, |entry| entry.body.len())),
            pair("image.mask", u8::from(alpha)),
            pair(
                "image.pixTyp",
                match commands.pixels() {
                    PixelType::Cmyk => "CMYK",
                    PixelType::Grey => "BW",
                    PixelType::Rgb => "RGB",
                },
            ),
            pair("image.pathEmbed", u8::from(commands.clips.embeds)),
        ];
        if let Some(density) = plan.output.density {
            out.push(pair("image.printRes", density.dpi()));
        }
        out.extend([
            pair("image.quality", quality(&spec, &plan, commands, &target.company)),
            pair("image.type", spec.mime()),
            pair("image.xmpEmbed", u8::from(plan.output.embeds_xmp)),
            pair("image.version", version),
            pair("metadata.version", metadata_version(target.object.record.map(|(_, record)| record))),
        ]);
        Ok(out)
    }

    /// The record's areas in the view; nothing without them, whatever the view.
    async fn map(&self, target: &Target<'_>, commands: &Commands) -> Result<String> {
        let Some(map) = target.object.record.and_then(|(_, record)| record.map.as_deref()) else {
            return Ok(String::new());
        };
        let find = self.finder(target);
        let (found, paths) = blocking(with_paths(commands.wants_paths(), move || find())).await?;
        let (header, commands) = (found.header, &*on_paths(commands, paths.as_ref()));
        let company = &*target.company;
        let decision = decide::decide(commands, &header, company, &Hints::default())?;
        let screen = Screen { ratio: decision.dpr, width_max: decision.width_max };
        let layout = request::layout(commands, header.size, company, &screen)?.clamped(company.max_pix);
        let not_supported =
            || Error::NotSupported { key: "req", got: String::from("map of a turned picture or a tile") };
        if commands.rect.is_some() {
            return Err(not_supported());
        }
        areas::transformed(map, &layout).ok_or_else(not_supported)
    }

    /// What the source and its record say.
    async fn image_props(&self, target: &Target<'_>) -> Result<Properties> {
        let find = self.finder(target);
        let (found, paths) = blocking(with_paths(true, move || find())).await?;
        let names: Vec<&str> = paths.iter().flat_map(|paths| paths.iter()).map(|path| path.name.as_str()).collect();
        let Header { size, native, .. } = found.header;
        let none = Record::default();
        let record = target.object.record.map_or(&none, |(_, record)| record);
        let [x, y] = record.anchor.map_or([size.w / 2, size.h / 2].map(i64::from), |anchor| anchor.map(i64::from));
        let mask = match (native.alpha, &record.mask_path) {
            (_, Some(_)) => 3,
            (true, None) => 2,
            (false, None) => 0,
        };
        let mut out = vec![
            pair("image.anchor", format!("{x},{y}")),
            pair("image.expiration", image_hours(target)),
            pair("image.height", size.h),
            pair("image.width", size.w),
            pair("image.embeddedPhotoshopPaths", u8::from(!names.is_empty())),
            pair("image.photoshopPathNames", names.join(",")),
            pair("image.mask", mask),
            pair("image.modifier", &record.modifier),
            pair("image.postModifier", &record.post_modifier),
            pair(
                "image.pixTyp",
                match native.model {
                    Model::Grey => "BW",
                    Model::Rgb | Model::Ycbcr(_) | Model::Yuv => "RGB",
                    Model::Cmyk => "CMYK",
                },
            ),
        ];
        let resolution = record.resolution.or(target.company.resolution);
        let numbers = [
            ("image.printRes", print_resolution(target).or(found.header.density.map(Density::dpi))),
            ("image.resolution", resolution),
            ("image.thumbRes", record.thumb_res.or(target.company.thumb_res)),
        ];
        out.extend(numbers.into_iter().filter_map(|(name, value)| Some(pair(name, value?))));
        let changed_s = found.source.version.modified_ns / 1_000_000_000;
        let changed_s = record.timestamp_s.unwrap_or(u64::try_from(changed_s).unwrap_or(0));
        out.extend([
            pair("image.timeStamp", properties::utc(changed_s)),
            pair("image.thumbType", record.thumb_type.unwrap_or(target.company.thumb_type).number()),
            pair("image.translatedId", format!("{}/{}", target.object.root_id, target.object.name())),
        ]);
        Ok(out)
    }

    /// Whether there is a record, or a file by that name.
    async fn exists(&self, target: &Target<'_>) -> Result<bool> {
        if target.object.files.is_empty() {
            // A template has no file of its own; what is not published is not there.
            let is_template = target.object.record.is_some_and(|(_, record)| record.path.as_deref() == Some(""));
            return Ok(is_template && target.object.is_published);
        }
        if target.object.record.is_some() {
            return Ok(true);
        }
        let find = self.finder(target);
        match blocking(move || find()).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            // It is there, and is no picture.
            Err(Error::UnknownFormat { .. } | Error::BrokenSource { .. } | Error::SourceTooLarge { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// The empty packet.
const NO_PACKET: &[u8] = b"<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"/>\n";

/// The attributes of the default catalog, which are asked for without a company.
fn of_nobody<'a>(catalog: &'a Catalog, request: &'a ImageRequest) -> Option<Result<Target<'a>>> {
    if !request.path.trim_matches('/').is_empty() {
        return None;
    }
    let default = catalog.default.as_ref();
    let default = default.filter(|_| request::lenient_req(&request.query).kind == Kind::CatalogProps);
    Some(match default {
        Some(default) => Target::of_object(catalog, default, Vec::new(), request.query.as_str()),
        None => Err(Error::NotFound { id: String::from("(no company)") }),
    })
}

fn pair(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

fn catalog_props(company: &Company) -> Properties {
    let [r, g, b] = company.bkg_color;
    let mut out = vec![
        pair("catalog.bkgColor", format!("{r:02x}{g:02x}{b:02x}")),
        pair("catalog.defaultExt", company.default_ext.as_deref().unwrap_or("")),
        pair("catalog.defaultPix", format!("{},{}", company.default_pix.w, company.default_pix.h)),
        pair("catalog.expiration", company.expiration_hours),
        pair("catalog.defaultExpiration", company.default_expiration_hours),
        pair("catalog.nonImgExpiration", company.non_img_expiration_hours),
        pair(
            "catalog.jpegQuality",
            format!("{},{}", company.jpeg_quality, u8::from(company.jpeg_chroma == Chroma::Full)),
        ),
        pair("catalog.maxPix", format!("{},{}", company.max_pix.w, company.max_pix.h)),
        pair("catalog.resMode", company.res_mode.keyword()),
    ];
    let numbers = [("catalog.printResolution", company.print_resolution), ("catalog.resolution", company.resolution)];
    out.extend(numbers.into_iter().filter_map(|(name, value)| Some(pair(name, value?))));
    out
}

/// The time to live of the object's pictures, hours.
fn image_hours(target: &Target<'_>) -> f64 {
    let of_record = target.object.record.and_then(|(_, record)| record.expiration_hours);
    of_record.unwrap_or(target.company.expiration_hours)
}

fn print_resolution(target: &Target<'_>) -> Option<f64> {
    let of_record = target.object.record.and_then(|(_, record)| record.print_resolution);
    of_record.or(target.company.print_resolution)
}

/// The profile of a reply's colours; inks without one have none.
fn profile(plan: &Plan) -> &'static str {
    match plan.output.conversion {
        None => "sRGB",
        Some(Conversion::Inks) => "",
        Some(Conversion::To { profile, .. }) => profile.name(),
    }
}

/// The quality of a JPEG, lowered to fit or not; of others the one asked for, on the same scale.
fn quality(served: &EncodeSpec, plan: &Plan, commands: &Commands, company: &Company) -> u8 {
    match (served, &plan.encode.requested) {
        (EncodeSpec::Jpeg { quality, .. }, _)
        | (_, EncodeSpec::Jpeg { quality, .. })
        | (EncodeSpec::Tiff { packing: TiffPacking::Jpeg { quality, .. } }, _) => quality.0,
        _ => commands.qlt.map_or(company.jpeg_quality, |qlt| qlt.quality),
    }
}

/// `??` ends a line, and so does the text.
pub(super) fn ended(text: Option<&str>, more: Vec<String>) -> String {
    let own = text.map(|text| text.replace("??", "\r\n"));
    let lines: Vec<String> = own.into_iter().chain(more).collect();
    lines.join("\r\n") + "\r\n"
}

/// What clients read of a named crop (protocol.md 6).
pub(super) fn crop_words(name: &str, crop: &SmartCrop) -> [(&'static str, String); 5] {
    let [x, y, w, h] = crop.rect.map(|part| f64::from(part) / f64::from(SmartCrop::WHOLE));
    let size = crop.size;
    [
        ("SmartCropDef", name.to_owned()),
        // Given by the site's owner: nothing was computed.
        ("SmartCropType", String::from("manual")),
        ("SmartCropWidth", format!("{:.1}", f64::from(size.w))),
        ("SmartCropHeight", format!("{:.1}", f64::from(size.h))),
        ("SmartCropRect", format!("{x},{y},{w},{h},{},{}", size.w, size.h)),
    ]
}

/// The same, as lines, of the crop that is asked for.
fn crop_lines(target: &Target<'_>) -> Vec<String> {
    let Some(crop) = target.object.crop else { return Vec::new() };
    let name = target.object.elements.last().and_then(|last| last.rsplit_once(':')).map_or("", |(_, name)| name);
    crop_words(name, &crop).map(|(word, value)| format!("{word}={value}")).to_vec()
}

/// Differs when the record's texts do.
fn metadata_version(record: Option<&Record>) -> String {
    let mut hasher = Xxh3::new();
    if let Some(record) = record {
        let Record { image_set, user_data, targets, map, asset_type, .. } = record;
        (image_set, user_data, targets, map, asset_type).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}
