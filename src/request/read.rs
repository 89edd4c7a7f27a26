//! Values of the working commands: strict, exact, never clamped.
//!
//! Each reader answers `Refused::Bad` where the value is not in its command's grammar or range, `Refused::NotYet` where
//! the protocol knows the value and calotype does not do it.

use super::{
    Area, CacheUse, Commands, Dpr, FitMode, OutputFormat, Packing, PixelType, Quality, Quantize, Refused, ServerCache,
    Tile, Unsharpen, colour,
};
use crate::kernel::Kernel;
use crate::limits;
use crate::pixel::{Chroma, Density, Ratio, Size};
use crate::plan::{EncodeSpec, Intent, Palette, PaletteKind, Profile};
use crate::request::{Fit, Format, MediaSet};

pub(super) type Answer = Result<(), Refused>;

/// Largest integer of any command; the original's own wall for coordinates.
const INTEGER_MAX: i64 = 2_147_483_647;

pub(super) fn wid(commands: &mut Commands, value: &str) -> Answer {
    commands.wid = Some(side(value)?);
    Ok(())
}

pub(super) fn hei(commands: &mut Commands, value: &str) -> Answer {
    commands.hei = Some(side(value)?);
    Ok(())
}

pub(super) fn scl(commands: &mut Commands, value: &str) -> Answer {
    commands.scl = Some(positive(value, 1_000_000)?);
    Ok(())
}

pub(super) fn fit(commands: &mut Commands, value: &str) -> Answer {
    let (mode, upscale) = match value.split_once(',') {
        Some((mode, switch)) => (mode, Some(switched(switch)?)),
        None => (value, None),
    };
    let mode = match (mode, upscale) {
        ("", Some(_)) => FitMode::Fit,
        (mode, _) => keyword(mode, &FIT_MODES)?,
    };
    commands.fit = Some(Fit { mode, upscale: upscale.unwrap_or(false) });
    Ok(())
}

const FIT_MODES: [(&str, FitMode); 7] = [
    ("fit", FitMode::Fit),
    ("constrain", FitMode::Constrain),
    ("crop", FitMode::Crop),
    ("wrap", FitMode::Wrap),
    ("stretch", FitMode::Stretch),
    ("hfit", FitMode::Hfit),
    ("vfit", FitMode::Vfit),
];

pub(super) fn rgn(commands: &mut Commands, value: &str) -> Answer {
    commands.rgn = Some(area_px(value)?);
    Ok(())
}

pub(super) fn rgn_n(commands: &mut Commands, value: &str) -> Answer {
    commands.rgn = Some(area_n(value)?);
    Ok(())
}

pub(super) fn crop(commands: &mut Commands, value: &str) -> Answer {
    commands.layer.crop = Some(area_px(value)?);
    Ok(())
}

pub(super) fn crop_n(commands: &mut Commands, value: &str) -> Answer {
    commands.layer.crop = Some(area_n(value)?);
    Ok(())
}

pub(super) fn rect(commands: &mut Commands, value: &str) -> Answer {
    let mut items = value.splitn(5, ',');
    let four: Vec<&str> = items.by_ref().take(4).collect();
    let Area::Pixels { x, y, w, h } = area_px(&four.join(","))? else { return Err(Refused::Bad) };
    let scale = items.next().map_or(Ok(Ratio::ONE), |item| positive(item, 1_000_000))?;
    commands.rect = Some(Tile { x, y, size: Size::new(w, h), scale });
    Ok(())
}

pub(super) fn align(commands: &mut Commands, value: &str) -> Answer {
    let [h, v] = exactly::<2>(value)?;
    let one = Ratio::ONE;
    commands.align = Some([between(h, Ratio::int(-1), one)?, between(v, Ratio::int(-1), one)?]);
    Ok(())
}

pub(super) fn bgc(commands: &mut Commands, value: &str) -> Answer {
    commands.bgc = Some(colour::rgb(value).ok_or(Refused::Bad)?);
    Ok(())
}

pub(super) fn res_mode(commands: &mut Commands, value: &str) -> Answer {
    commands.res_mode = Some(Kernel::from_keyword(value).ok_or(Refused::Bad)?);
    Ok(())
}

pub(super) fn op_usm(commands: &mut Commands, value: &str) -> Answer {
    commands.usm = unsharpen(value)?;
    Ok(())
}

pub(super) fn op_usm_r(commands: &mut Commands, value: &str) -> Answer {
    commands.usm_r = unsharpen(value)?;
    Ok(())
}

pub(super) fn op_sharpen(commands: &mut Commands, value: &str) -> Answer {
    commands.sharpen = switched(value)?;
    Ok(())
}

pub(super) fn fmt(commands: &mut Commands, value: &str) -> Answer {
    let mut items = value.split(',');
    let name = items.next().unwrap_or("");
    let (pixel_type, compression) = (items.next().unwrap_or(""), items.next().unwrap_or(""));
    if items.next().is_some() {
        return Err(Refused::Bad);
    }
    let &FormatRow { format, pixel_types, compressions, .. } =
        FORMATS.iter().find(|row| row.names.iter().any(|n| n.eq_ignore_ascii_case(name))).ok_or(Refused::Bad)?;
    let known = |word: &str, words: &[&str]| word.is_empty() || words.iter().any(|w| w.eq_ignore_ascii_case(word));
    if !known(pixel_type, pixel_types) || !known(compression, compressions) {
        return Err(Refused::Bad);
    }
    let mut format = format.ok_or(Refused::NotYet)?;
    format.pixels = match pixel_type.to_ascii_lowercase().as_str() {
        "" => None,
        "rgb" => Some(PixelType::Rgb),
        "gray" => Some(PixelType::Grey),
        // Only what knows inks lets it come here.
        _ => Some(PixelType::Cmyk),
    };
    format.lossless = compression.eq_ignore_ascii_case("lossless");
    if let OutputFormat::Tiff { packing } = &mut format.format {
        *packing = keyword(compression, &PACKINGS).unwrap_or(Packing::None);
        // A JPEG has no alpha.
        if format.alpha && *packing == Packing::Jpeg {
            return Err(Refused::Bad);
        }
    }
    commands.fmt = format;
    Ok(())
}

const PACKINGS: [(&str, Packing); 4] =
    [("none", Packing::None), ("lzw", Packing::Lzw), ("zip", Packing::Zip), ("jpeg", Packing::Jpeg)];

/// One line of protocol.md 2.7.
struct FormatRow {
    names: &'static [&'static str],
    /// `None`: not yet.
    format: Option<Format>,
    pixel_types: &'static [&'static str],
    compressions: &'static [&'static str],
}

const fn row(
    names: &'static [&'static str],
    format: Option<Format>,
    pixel_types: &'static [&'static str],
    compressions: &'static [&'static str],
) -> FormatRow {
    FormatRow { names, format, pixel_types, compressions }
}

const fn writes(format: OutputFormat, alpha: bool) -> Option<Format> {
    Some(Format { format, alpha, lossless: false, pixels: None })
}

const RGB: &[&str] = &["rgb"];
const RGB_GRAY: &[&str] = &["rgb", "gray"];
const ANY: &[&str] = &["rgb", "gray", "cmyk"];
const NONE: &[&str] = &["none"];
const TIFF: &[&str] = &["none", "lzw", "zip", "jpeg"];
const LOSSY: &[&str] = &["lossy", "lossless"];

/// Every format that `fmt` knows, with its pixel types and compressions.
const FORMATS: &[FormatRow] = &[
    row(&["jpeg", "jpg"], writes(OutputFormat::Jpeg { progressive: false }, false), ANY, NONE),
    row(&["pjpeg"], writes(OutputFormat::Jpeg { progressive: true }, false), ANY, NONE),
    row(&["png"], writes(OutputFormat::Png, false), RGB_GRAY, NONE),
    row(&["png-alpha"], writes(OutputFormat::Png, true), RGB_GRAY, NONE),
    row(&["webp"], writes(OutputFormat::Webp, false), RGB, LOSSY),
    row(&["webp-alpha"], writes(OutputFormat::Webp, true), RGB, LOSSY),
    row(&["png8"], writes(OutputFormat::Png8, false), RGB, NONE),
    row(&["png8-alpha"], writes(OutputFormat::Png8, true), RGB, NONE),
    row(&["gif"], writes(OutputFormat::Gif, false), RGB_GRAY, NONE),
    row(&["gif-alpha"], writes(OutputFormat::Gif, true), RGB_GRAY, NONE),
    row(&["avif"], writes(OutputFormat::Avif, false), RGB, LOSSY),
    row(&["avif-alpha"], writes(OutputFormat::Avif, true), RGB, LOSSY),
    row(&["tif"], writes(OutputFormat::Tiff { packing: Packing::None }, false), ANY, TIFF),
    row(&["tif-alpha"], writes(OutputFormat::Tiff { packing: Packing::None }, true), ANY, TIFF),
    row(&["jpeg2000"], writes(OutputFormat::Jpeg2000, false), RGB_GRAY, LOSSY),
    row(&["jpeg2000-alpha"], writes(OutputFormat::Jpeg2000, true), RGB_GRAY, LOSSY),
    row(&["jpegxr"], if EncodeSpec::HAS_JPEG_XR { writes(OutputFormat::JpegXr, false) } else { None }, RGB, LOSSY),
    row(&["jpegxr-alpha"], if EncodeSpec::HAS_JPEG_XR { writes(OutputFormat::JpegXr, true) } else { None }, RGB, LOSSY),
    row(&["heic"], None, RGB, LOSSY),
    row(&["eps"], None, ANY, &["raw"]),
    row(&["pdf"], None, ANY, &["none", "zip", "jpeg"]),
    row(&["swf", "swf-alpha", "swf3", "swf3-alpha"], None, RGB_GRAY, NONE),
    row(&["f4m", "m3u8"], None, &[], &[]),
];

pub(super) fn qlt(commands: &mut Commands, value: &str) -> Answer {
    let (quality, chroma) = match value.split_once(',') {
        Some((quality, flag)) => (quality, Some(if switched(flag)? { Chroma::Full } else { Chroma::Half })),
        None => (value, None),
    };
    let quality = u8::try_from(integer(quality, 1, 100)?).map_err(|_| Refused::Bad)?;
    commands.qlt = Some(Quality { quality, chroma });
    Ok(())
}

pub(super) fn quantize(commands: &mut Commands, value: &str) -> Answer {
    let mut items = value.split(',');
    let kinds = [PaletteKind::Adaptive, PaletteKind::Web, PaletteKind::Mac].map(|kind| (kind.keyword(), kind));
    let kind = keyword(items.next().unwrap_or(""), &kinds)?;
    let diffuses = items.next().map_or(Ok(true), |item| keyword(item, &[("diffuse", true), ("off", false)]))?;
    let colours = items.next().map_or(Ok(256), |item| integer(item, 2, 256))?;
    let palette = Palette { kind, diffuses, colours: u16::try_from(colours).map_err(|_| Refused::Bad)? };
    let colours: Vec<[u8; 3]> = items.take(257).map(hex6).collect::<Result<_, _>>()?;
    if colours.len() > usize::from(palette.colours) {
        return Err(Refused::Bad);
    }
    commands.quantize = Quantize { palette, colours };
    Ok(())
}

/// `RRGGBB`.
fn hex6(item: &str) -> Result<[u8; 3], Refused> {
    let is_hex = item.len() == 6 && item.bytes().all(|b| b.is_ascii_hexdigit());
    let [_, r, g, b] = u32::from_str_radix(item, 16).map_err(|_| Refused::Bad)?.to_be_bytes();
    if is_hex { Ok([r, g, b]) } else { Err(Refused::Bad) }
}

/// Black-point compensation and dither are read and not done.
pub(super) fn icc(commands: &mut Commands, value: &str) -> Answer {
    let mut items = value.split(',');
    let name: String = items.next().unwrap_or("").chars().filter(char::is_ascii_alphanumeric).collect();
    let profile = keyword(&name, &PROFILES)?;
    let intents = [Intent::Perceptual, Intent::Relative, Intent::Saturation, Intent::Absolute];
    let intents = intents.map(|intent| (intent.keyword(), intent));
    let intent = items.next().map_or(Ok(Intent::Relative), |item| keyword(item, &intents))?;
    for item in items.by_ref().take(2) {
        switched(item)?;
    }
    if items.next().is_some() {
        return Err(Refused::Bad);
    }
    commands.icc = Some((profile, intent));
    Ok(())
}

/// Names without what is neither letter nor digit.
const PROFILES: [(&str, Profile); 11] = [
    ("srgb", Profile::Srgb),
    ("srgbiec6196621", Profile::Srgb),
    ("adobergb", Profile::AdobeRgb),
    ("adobergb1998", Profile::AdobeRgb),
    ("displayp3", Profile::DisplayP3),
    ("lineargray", Profile::LinearGrey),
    ("lineargrey", Profile::LinearGrey),
    ("graygamma22", Profile::Gamma22Grey),
    ("greygamma22", Profile::Gamma22Grey),
    ("gammagray22", Profile::Gamma22Grey),
    ("cmyk", Profile::Press),
];

pub(super) fn icc_embed(commands: &mut Commands, value: &str) -> Answer {
    commands.icc_embed = switched(value)?;
    Ok(())
}

pub(super) fn xmp_embed(commands: &mut Commands, value: &str) -> Answer {
    commands.xmp_embed = switched(value)?;
    Ok(())
}

pub(super) fn pscan(commands: &mut Commands, value: &str) -> Answer {
    commands.pscan = match value {
        auto if auto.eq_ignore_ascii_case("auto") => None,
        steps => Some(u8::try_from(integer(steps, 3, 5)?).map_err(|_| Refused::Bad)?),
    };
    Ok(())
}

/// A kB is 1024 bytes.
pub(super) fn jpeg_size(commands: &mut Commands, value: &str) -> Answer {
    let kb = between(value, Ratio::ZERO, Ratio::int(1_000_000))?;
    let bytes = u64::try_from(kb.times(Ratio::int(1024)).floor()).unwrap_or(0);
    commands.jpeg_size = kb.is_positive().then_some(bytes);
    Ok(())
}

pub(super) fn print_res(commands: &mut Commands, value: &str) -> Answer {
    let dpi = between(value, Ratio::ONE, Ratio::int(Density::DPI_MAX.into()))?;
    commands.print_res = Density::from_dpi(dpi.to_f64());
    Ok(())
}

pub(super) fn dpr(commands: &mut Commands, value: &str) -> Answer {
    commands.dpr = match value.split_once(',') {
        None if value.eq_ignore_ascii_case("off") => Some(Dpr::Off),
        None if value.eq_ignore_ascii_case("on") => Some(Dpr::Detect),
        Some((on, ratio)) if on.eq_ignore_ascii_case("on") => Some(Dpr::Ratio(positive(ratio, 1000)?)),
        _ => return Err(Refused::Bad),
    };
    Ok(())
}

pub(super) fn network(commands: &mut Commands, value: &str) -> Answer {
    commands.network = Some(keyword(value, &ON_OFF)?);
    Ok(())
}

pub(super) fn bfc(commands: &mut Commands, value: &str) -> Answer {
    commands.bfc = Some(keyword(value, &ON_OFF)?);
    Ok(())
}

const ON_OFF: [(&str, bool); 2] = [("on", true), ("off", false)];

pub(super) fn cache(commands: &mut Commands, value: &str) -> Answer {
    let words = [("on", ServerCache::On), ("off", ServerCache::Off)];
    commands.cache = match value.split_once(',') {
        Some((client, server)) => {
            CacheUse { client: keyword(client, &words)? == ServerCache::On, server: keyword(server, &words)? }
        }
        None => {
            let server = keyword(value, &[("validate", ServerCache::Validate), ("update", ServerCache::Update)])
                .or_else(|_| keyword(value, &words))?;
            // validate and update are no business of clients.
            CacheUse { client: server != ServerCache::Off, server }
        }
    };
    Ok(())
}

/// It goes back with a JSON reply, and else only makes URLs differ.
pub(super) fn id(commands: &mut Commands, value: &str) -> Answer {
    value.clone_into(&mut commands.req.id);
    Ok(())
}

/// Read when the object was looked for.
pub(super) fn locale(_: &mut Commands, _: &str) -> Answer {
    Ok(())
}

/// For static files, which are not read here.
pub(super) fn of_content(_: &mut Commands, _: &str) -> Answer {
    Err(Refused::Bad)
}

pub(super) fn handler(commands: &mut Commands, value: &str) -> Answer {
    const CHARS_MAX: usize = 64;
    let fits = (1..=CHARS_MAX).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric());
    if !fits {
        return Err(Refused::Bad);
    }
    value.clone_into(&mut commands.req.handler);
    Ok(())
}

pub(super) fn message(commands: &mut Commands, value: &str) -> Answer {
    value.clone_into(&mut commands.message);
    Ok(())
}

pub(super) fn image_set(commands: &mut Commands, value: &str) -> Answer {
    if !MediaSet::is_braced(value) {
        return Err(Refused::Bad);
    }
    commands.image_set = Some(MediaSet::read(value).map_err(|_| Refused::Bad)?);
    Ok(())
}

pub(super) fn default_image(commands: &mut Commands, value: &str) -> Answer {
    commands.default_image = Some(value.to_owned());
    Ok(())
}

pub(super) fn req(commands: &mut Commands, value: &str) -> Answer {
    (commands.req.kind, commands.req.form) = super::req::read(value)?;
    Ok(())
}

fn unsharpen(value: &str) -> Result<Unsharpen, Refused> {
    let mut items = value.split(',');
    let amount = between(items.next().unwrap_or(""), Ratio::ZERO, Ratio::int(5))?;
    let radius = items.next().map_or(Ok(Ratio::ZERO), |item| between(item, Ratio::ZERO, Ratio::int(250)))?;
    let threshold = items.next().map_or(Ok(0), |item| integer(item, 0, 255))?;
    let mono = items.next().map_or(Ok(false), switched)?;
    if items.next().is_some() {
        return Err(Refused::Bad);
    }
    Ok(Unsharpen { amount, radius, threshold: u8::try_from(threshold).map_err(|_| Refused::Bad)?, mono })
}

fn side(item: &str) -> Result<u32, Refused> {
    u32::try_from(integer(item, 1, INTEGER_MAX)?).map_err(|_| Refused::Bad)
}

fn area_px(value: &str) -> Result<Area, Refused> {
    let [x, y, w, h] = exactly::<4>(value)?;
    let corner = |item| integer(item, -INTEGER_MAX, INTEGER_MAX);
    let side = |item| {
        let side = integer(item, 1, i64::from(limits::COMPOSITE_SIDE_MAX))?;
        u32::try_from(side).map_err(|_| Refused::Bad)
    };
    Ok(Area::Pixels { x: corner(x)?, y: corner(y)?, w: side(w)?, h: side(h)? })
}

fn area_n(value: &str) -> Result<Area, Refused> {
    let [x, y, w, h] = exactly::<4>(value)?;
    let most = Ratio::int(1000);
    let part = |item: &str| real(item, 9).filter(|n| *n <= most).ok_or(Refused::Bad);
    let corner = |item| part(item).and_then(|n| if n >= Ratio::int(-1000) { Ok(n) } else { Err(Refused::Bad) });
    let side = |item| part(item).and_then(|n| if n.is_positive() { Ok(n) } else { Err(Refused::Bad) });
    Ok(Area::Parts { x: corner(x)?, y: corner(y)?, w: side(w)?, h: side(h)? })
}

pub(super) fn exactly<const N: usize>(value: &str) -> Result<[&str; N], Refused> {
    let mut items = value.split(',');
    let mut out = [""; N];
    for slot in &mut out {
        *slot = items.next().ok_or(Refused::Bad)?;
    }
    if items.next().is_some() { Err(Refused::Bad) } else { Ok(out) }
}

pub(super) fn keyword<T: Copy>(word: &str, words: &[(&str, T)]) -> Result<T, Refused> {
    words.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, value)| *value).ok_or(Refused::Bad)
}

pub(super) fn switched(item: &str) -> Result<bool, Refused> {
    match item {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(Refused::Bad),
    }
}

pub(super) fn positive(item: &str, most: i64) -> Result<Ratio, Refused> {
    real(item, 6).filter(|n| n.is_positive() && *n <= Ratio::int(most)).ok_or(Refused::Bad)
}

pub(super) fn between(item: &str, least: Ratio, most: Ratio) -> Result<Ratio, Refused> {
    real(item, 6).filter(|n| (least..=most).contains(n)).ok_or(Refused::Bad)
}

/// A whole number in plain digits, `-` allowed.
pub(super) fn integer(item: &str, least: i64, most: i64) -> Result<i64, Refused> {
    let digits = item.strip_prefix('-').unwrap_or(item);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refused::Bad);
    }
    item.parse().ok().filter(|n| (least..=most).contains(n)).ok_or(Refused::Bad)
}

/// A plain decimal, to `decimals` places: programs print seventeen digits of a third, so what lies beyond is rounded
/// (halves away from 0), which no size of this product can feel. Whole parts of up to seven digits.
pub(super) fn real(item: &str, decimals: usize) -> Option<Ratio> {
    const WHOLE_DIGITS_MAX: usize = 7;
    const DIGITS_READ_MAX: usize = 40;
    let unsigned = item.strip_prefix('-').unwrap_or(item);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let plain = |digits: &str| digits.len() <= DIGITS_READ_MAX && digits.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0
        || !plain(whole)
        || !plain(fraction)
        || whole.trim_start_matches('0').len() > WHOLE_DIGITS_MAX
    {
        return None;
    }
    let mut scaled: i64 = 0;
    let kept = fraction.bytes().chain(std::iter::repeat(b'0')).take(decimals);
    for digit in whole.bytes().chain(kept) {
        scaled = scaled * 10 + i64::from(digit - b'0');
    }
    if fraction.as_bytes().get(decimals).is_some_and(|&digit| digit >= b'5') {
        scaled += 1;
    }
    let den = 10_i128.pow(u32::try_from(decimals).ok()?);
    Some(Ratio::new(i128::from(if item.starts_with('-') { -scaled } else { scaled }), den))
}
