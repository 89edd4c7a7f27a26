//! From a URL's query to a plan: commands (a table), layout (pure arithmetic), planner (the one place that orders
//! passes).
//!
//! `parse` → `decide` → `plan`. Invariants: a value is either understood exactly or refused, never repaired; nothing here
//! touches a pixel; nothing after [`plan`] reads the query.

mod clips;
mod colour;
mod content;
mod data;
mod effects;
mod grammar;
mod layer;
mod layout;
mod lock;
mod object;
mod planner;
mod preprocess;
mod read;
pub mod registry;
mod req;
mod set;
mod target;
mod thumb;
mod variables;

use std::sync::Arc;

use grammar::Strings;
use variables::Variables;

use crate::catalog::{Company, Record, SmartCrop};
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::limits;
use crate::pixel::{Chroma, Density, Ratio, Size};
use crate::plan::{Intent, MaskUse, Palette, PaletteKind, Profile, SourcePath};

pub use clips::Clips;
pub use content::{ContentCommands, ContentKind, ContentTarget};
pub use effects::Effects;
pub use layer::{LayerCommands, Margins};
pub use layout::{Layout, Screen, layout};
pub use object::Object;
pub use planner::{mask_plan, plan};
pub use preprocess::Context;
pub use req::{Encoding, Form, Kind, Req};
pub use set::{MediaSet, SetKind, SetPart};
pub use target::{Target, company, decoded, lenient_req};
pub use thumb::Thumb;

/// A parsed query: every command's last value, checked.
#[derive(Clone, Debug, Default)]
pub struct Commands {
    /// Reply width before any pixel ratio.
    pub wid: Option<u32>,
    /// Reply height before any pixel ratio.
    pub hei: Option<u32>,
    /// Inverse factor: 2 halves.
    pub scl: Option<Ratio>,
    /// How picture and view meet.
    pub fit: Option<Fit>,
    /// Where picture and view meet, −1 to 1: horizontally, vertically; the middle of both, if nothing is said.
    pub align: Option<[Ratio; 2]>,
    /// Region of the composite that the view shows.
    pub rgn: Option<Area>,
    /// What the composite is made of.
    pub layer: LayerCommands,
    /// What is cut away along paths.
    pub clips: Clips,
    /// The picture whose alpha, or else its grey, is that of the layer.
    pub mask: Option<MaskSource>,
    /// A tile of the view is the reply.
    pub rect: Option<Tile>,
    /// Opaque colour behind the picture.
    pub bgc: Option<[u8; 3]>,
    /// Filter of all scaling.
    pub res_mode: Option<Kernel>,
    /// The other operations on the composite.
    pub effects: Effects,
    /// `op_usm`: radius in full-resolution pixels.
    pub usm: Unsharpen,
    /// `op_usmR`: radius in pixels of the view.
    pub usm_r: Unsharpen,
    /// `op_sharpen`.
    pub sharpen: bool,
    /// Format of the reply.
    pub fmt: Format,
    /// Its quality.
    pub qlt: Option<Quality>,
    /// How palettes are made.
    pub quantize: Quantize,
    /// Steps in which a progressive JPEG comes; `None`: as many as the encoder likes best.
    pub pscan: Option<u8>,
    /// Bytes that a JPEG may have; `None`: any number.
    pub jpeg_size: Option<u64>,
    /// Profile of the reply's colours, and how they are converted.
    pub icc: Option<(Profile, Intent)>,
    /// Whether it goes with them.
    pub icc_embed: bool,
    /// Whether the source's XMP packet goes with the reply.
    pub xmp_embed: bool,
    /// Pixels an inch that the reply says to be printed with.
    pub print_res: Option<Density>,
    /// The screen's pixel ratio.
    pub dpr: Option<Dpr>,
    /// Whether another format may be served.
    pub bfc: Option<bool>,
    /// Whether quality follows the client's network.
    pub network: Option<bool>,
    /// What may be cached, by whom.
    pub cache: CacheUse,
    /// What of the source is all there is: the named crop of a record.
    pub window: Option<Window>,
    /// How thumbnails are made, if that is what is asked for.
    pub thumb: Option<Thumb>,
    /// Object that is shown if the one asked for is missing; empty: none, whatever the company says.
    pub default_image: Option<String>,
    /// What kind of reply is asked for.
    pub req: Req,
    /// `imageSet`: what `req=set` is about, in the place of the record's.
    pub image_set: Option<MediaSet>,
    /// What `req=message` writes into the log.
    pub message: String,
    /// The variables as they are at the end.
    variables: Variables,
    /// Whether what is being read stands behind `layer=0`.
    is_in_layer: bool,
    /// Names nobody knows, each once, in order, cut and made printable: for `X-Image-Serving-Ignored`.
    pub ignored: Vec<String>,
}

/// Where a mask comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaskSource {
    /// The object that `mask` names.
    Object(String),
    /// The file that the record names, below its company's source.
    File(Vec<String>),
}

/// `fit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Which of the modes.
    pub mode: FitMode,
    /// Whether the picture may be enlarged.
    pub upscale: bool,
}

/// Modes of `fit` (protocol.md 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FitMode {
    /// Inside the box, padded to it.
    Fit,
    /// Inside the box, not padded.
    Constrain,
    /// Covers the box, cut to it.
    Crop,
    /// Covers the box, not cut.
    Wrap,
    /// Each axis on its own.
    Stretch,
    /// As wide as the box, cut or padded vertically.
    Hfit,
    /// As high as the box, cut or padded horizontally.
    Vfit,
}

impl FitMode {
    /// The protocol's own keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Fit => "fit",
            Self::Constrain => "constrain",
            Self::Crop => "crop",
            Self::Wrap => "wrap",
            Self::Stretch => "stretch",
            Self::Hfit => "hfit",
            Self::Vfit => "vfit",
        }
    }
}

/// A rectangle of a picture: `crop` and `rgn` in pixels, `cropN` and `rgnN` in parts of it. One slot each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// In pixels; the corner may lie outside the picture.
    Pixels {
        /// Left edge.
        x: i64,
        /// Top edge.
        y: i64,
        /// Width, 1 to [`limits::COMPOSITE_SIDE_MAX`].
        w: u32,
        /// Height, likewise.
        h: u32,
    },
    /// In parts of the picture's width and height.
    Parts {
        /// Left edge.
        x: Ratio,
        /// Top edge.
        y: Ratio,
        /// Width, above 0.
        w: Ratio,
        /// Height, above 0.
        h: Ratio,
    },
}

/// `rect`: a part of the finished view, counted in its pixels after it is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Left edge.
    pub x: i64,
    /// Top edge.
    pub y: i64,
    /// Size of the reply.
    pub size: Size,
    /// How much larger the view is made first.
    pub scale: Ratio,
}

/// A named crop: it comes before everything else, and says how large a reply is that names no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// In parts of the source.
    pub area: Area,
    /// In the place of DefaultPix.
    pub size: Size,
}

impl Window {
    fn of(crop: &SmartCrop) -> Self {
        let [x, y, w, h] = crop.rect.map(|part| Ratio::new(i128::from(part), i128::from(SmartCrop::WHOLE)));
        Self { area: Area::Parts { x, y, w, h }, size: crop.size }
    }
}

/// `op_usm` or `op_usmR`, as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsharpen {
    /// 0 to 5; 0 does nothing.
    pub amount: Ratio,
    /// 0 to 250 px; 0 does nothing.
    pub radius: Ratio,
    /// Levels.
    pub threshold: u8,
    /// Brightness alone.
    pub mono: bool,
}

/// `fmt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The format.
    pub format: OutputFormat,
    /// Alpha is kept: the name ends in `-alpha`.
    pub alpha: bool,
    /// Lossless compression of a format that has both.
    pub lossless: bool,
    /// What its pixels are, if that is said.
    pub pixels: Option<PixelType>,
}

impl Default for Format {
    fn default() -> Self {
        let format = OutputFormat::Jpeg { progressive: false };
        Self { format, alpha: false, lossless: false, pixels: None }
    }
}

/// The pixel types of `fmt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelType {
    /// Colours; a grey picture may stay one.
    Rgb,
    /// Luma alone.
    Grey,
    /// Inks.
    Cmyk,
}

impl PixelType {
    /// The protocol's own keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Rgb => "rgb",
            Self::Grey => "gray",
            Self::Cmyk => "cmyk",
        }
    }
}

/// Formats calotype writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// `jpeg`, `jpg`, `pjpeg`.
    Jpeg {
        /// `pjpeg`.
        progressive: bool,
    },
    /// `png`, `png-alpha`.
    Png,
    /// `png8`, `png8-alpha`.
    Png8,
    /// `gif`, `gif-alpha`.
    Gif,
    /// `tif`, `tif-alpha`.
    Tiff {
        /// Its compression.
        packing: Packing,
    },
    /// `webp`, `webp-alpha`.
    Webp,
    /// `avif`, `avif-alpha`.
    Avif,
    /// `jpeg2000`, `jpeg2000-alpha`.
    Jpeg2000,
    /// `jpegxr`, `jpegxr-alpha`: where it is built in.
    JpegXr,
}

impl OutputFormat {
    /// What its pixels may be (protocol.md 2.7).
    pub fn pixel_types(self) -> &'static [PixelType] {
        match self {
            Self::Jpeg { .. } | Self::Tiff { .. } => &[PixelType::Rgb, PixelType::Grey, PixelType::Cmyk],
            Self::Png | Self::Gif | Self::Jpeg2000 => &[PixelType::Rgb, PixelType::Grey],
            Self::Png8 | Self::Webp | Self::Avif | Self::JpegXr => &[PixelType::Rgb],
        }
    }

    /// The protocol's own keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Jpeg { progressive: false } => "jpeg",
            Self::Jpeg { progressive: true } => "pjpeg",
            Self::Png => "png",
            Self::Png8 => "png8",
            Self::Gif => "gif",
            Self::Tiff { .. } => "tif",
            Self::Webp => "webp",
            Self::Avif => "avif",
            Self::Jpeg2000 => "jpeg2000",
            Self::JpegXr => "jpegxr",
        }
    }
}

/// The pixel type that a profile is for.
fn class(profile: Profile) -> PixelType {
    match profile {
        Profile::Srgb | Profile::AdobeRgb | Profile::DisplayP3 => PixelType::Rgb,
        Profile::LinearGrey | Profile::Gamma22Grey => PixelType::Grey,
        Profile::Press => PixelType::Cmyk,
    }
}

/// How a `tif` is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    None,
    /// LZW.
    Lzw,
    /// Deflate.
    Zip,
    /// JPEG.
    Jpeg,
}

/// `qlt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// 1 to 100.
    pub quality: u8,
    /// Whether chroma is sampled down; `None`: as the company's JpegQuality says.
    pub chroma: Option<Chroma>,
}

/// `quantize`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantize {
    /// All but the colours.
    pub palette: Palette,
    /// Those that are in it whatever the picture holds.
    pub colours: Vec<[u8; 3]>,
}

impl Default for Quantize {
    fn default() -> Self {
        let palette = Palette { kind: PaletteKind::Adaptive, diffuses: true, colours: 256 };
        Self { palette, colours: Vec::new() }
    }
}

/// `dpr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dpr {
    /// None, whatever the company says.
    Off,
    /// What the client says of its screen.
    Detect,
    /// This one, exactly; above 0.
    Ratio(Ratio),
}

/// `cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheUse {
    /// Whether clients, and caches on the way to them, may keep the reply.
    pub client: bool,
    /// What our own cache does.
    pub server: ServerCache,
}

/// What our own cache does for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerCache {
    /// What is there is served, what is not is kept.
    On,
    /// It is left alone: neither asked nor told.
    Off,
    /// As `On`, but the source is read anew to see whether it is the same.
    Validate,
    /// What is there is replaced.
    Update,
}

impl Default for CacheUse {
    fn default() -> Self {
        Self { client: true, server: ServerCache::On }
    }
}

/// Why a reader refuses a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// Not in the command's grammar or range.
    Bad,
    /// In the protocol, not in calotype.
    NotYet,
}

/// Parses the raw query of a URL (without `?`, still percent-encoded) for a company.
///
/// Of a command that stands more than once the last instance counts, in presets or out of them. Bad values of working
/// commands are refused wherever they stand; of a command that does not work yet only the last instance matters.
///
/// # Errors
/// `Command`, `UnknownCommand` (strict companies only), `NotSupported`, `UnknownPreset`, `Request`.
pub fn parse(query: &str, company: &Company) -> Result<Commands> {
    parse_strings(Strings { query, ..Strings::default() }, company, None)
}

/// Whether commands of the configuration can be what a request is made of: as [`parse`], but a value that refers to a
/// variable is left to the request that defines it.
///
/// # Errors
/// As [`parse`].
pub fn check(commands: &str, company: &Company) -> Result<()> {
    let refers = |error: &Error| matches!(error, Error::Command { got, .. } if got.contains('$'));
    match parse(commands, company) {
        Err(error) if !refers(&error) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// [`parse`], with the commands of a record around those of the URL.
fn parse_strings(strings: Strings<'_>, company: &Company, record: Option<&Record>) -> Result<Commands> {
    let mut commands = Commands::default();
    let mut not_yet: Vec<(&'static registry::Command, String)> = Vec::new();
    // Whether a wrong command matters is known at the end: there are replies that do not depend on any.
    let mut wrong: Option<Error> = None;
    let variables = grammar::each_command(strings, company, &mut |name, value| {
        if let Err(error) = commands.take(name, value, company.strict, &mut not_yet)
            && (wrong.is_none() || is_of_reply(&error))
        {
            wrong = Some(error);
        }
        Ok(())
    })?;
    commands.variables = variables;
    if let Some(error) = wrong.filter(|error| commands.req.kind.reads_commands() || is_of_reply(error)) {
        return Err(error);
    }
    if !commands.req.kind.reads_commands() {
        return Ok(commands);
    }
    if let Some((row, value)) = not_yet.iter().find(|(row, value)| !row.is_harmless(value)) {
        return Err(not_supported(row, value));
    }
    commands.layer.resolution = thumb::resolution(company, record);
    if commands.req.kind == Kind::Tmb {
        commands.thumb = Some(Thumb::new(company, record));
        if let Some(fit) = commands.fit {
            return Err(Error::command("fit", fit.mode.keyword(), "none beside req=tmb: thumb_type says how they fit"));
        }
    }
    if let (Some(fit), None, None) = (commands.fit, commands.wid, commands.hei) {
        return Err(Error::command("fit", fit.mode.keyword(), "wid or hei beside it"));
    }
    if let (Some((profile, _)), Some(asked)) = (commands.icc, commands.fmt.pixels)
        && asked != class(profile)
    {
        return Err(Error::command("icc", profile.name(), format!("a profile of {} as fmt asks for", asked.keyword())));
    }
    if !commands.fmt.format.pixel_types().contains(&commands.pixels()) {
        let want = format!("a profile that fmt={} can hold", commands.fmt.format.keyword());
        return Err(Error::command("icc", commands.icc.map_or("", |(profile, _)| profile.name()), want));
    }
    let has_palette = matches!(commands.fmt.format, OutputFormat::Png8 | OutputFormat::Gif);
    if has_palette && commands.fmt.alpha && commands.quantize.palette.kind == PaletteKind::Mac {
        return Err(Error::command("quantize", "mac", "adaptive or web where alpha is kept"));
    }
    Ok(commands)
}

/// Whether an error is about what kind of reply is asked for, which is read in every case.
fn is_of_reply(error: &Error) -> bool {
    let (Error::Command { key, .. } | Error::NotSupported { key, .. }) = error else { return false };
    matches!(*key, "req" | "handler" | "imageSet")
}

fn not_supported(row: &registry::Command, value: &str) -> Error {
    Error::NotSupported { key: row.name, got: crate::error::shortened(value) }
}

impl Commands {
    /// Reads one command; one that does not work yet is put to the others of its kind.
    fn take(
        &mut self,
        name: &str,
        value: &str,
        strict: bool,
        not_yet: &mut Vec<(&'static registry::Command, String)>,
    ) -> Result<()> {
        let Some(row) = registry::find(name) else { return self.ignore(name, strict) };
        match row.read {
            Some(read) => read(self, value).map_err(|refused| match refused {
                Refused::Bad => Error::command(row.name, value, row.range),
                Refused::NotYet => not_supported(row, value),
            }),
            None => {
                not_yet.retain(|(other, _)| other.slot() != row.slot());
                not_yet.push((row, value.to_owned()));
                Ok(())
            }
        }
    }

    /// Notes a name nobody knows, or refuses it.
    fn ignore(&mut self, name: &str, strict: bool) -> Result<()> {
        // It goes into a reply header: printable, no separators.
        let printable = |c: char| if c.is_ascii_graphic() && c != ',' { c } else { '?' };
        let shown: String = name.chars().take(limits::IGNORED_NAME_CHARS_MAX).map(printable).collect();
        if strict {
            return Err(Error::UnknownCommand { nearest: registry::nearest(name), name: shown });
        }
        if self.ignored.len() < limits::IGNORED_NAMES_MAX && !shown.is_empty() && !self.ignored.contains(&shown) {
            self.ignored.push(shown);
        }
        Ok(())
    }

    /// Whether the reply depends on paths of the source's file: then they are to be read and given to [`Self::with_paths`].
    pub fn wants_paths(&self) -> bool {
        self.clips.wants_source()
    }

    /// The picture that the layer's alpha comes from, if it has to be looked for.
    pub fn wanted_mask(&self) -> Option<&MaskSource> {
        self.mask.as_ref().filter(|_| self.layer.mask != MaskUse::Off)
    }

    /// The same with the paths of the source's file.
    #[must_use]
    pub fn with_paths(mut self, paths: &Arc<[SourcePath]>) -> Self {
        self.clips.set_source(paths);
        self
    }

    /// What the reply's pixels are.
    pub fn pixels(&self) -> PixelType {
        let of_profile = self.icc.map(|(profile, _)| class(profile));
        self.fmt.pixels.or(of_profile).unwrap_or(PixelType::Rgb)
    }

    /// The palette of a format that has one: with a key for what is clear it has a colour less.
    pub(crate) fn palette(&self) -> Palette {
        let palette = self.quantize.palette;
        Palette { colours: palette.colours.min(if self.fmt.alpha { 255 } else { 256 }), ..palette }
    }

    /// Whether a pixel of the view depends on its neighbours there, or on all of them.
    fn looks_around(&self) -> bool {
        let Effects { point, grow, blur, noise } = self.effects;
        let sharpens = [self.usm, self.usm_r].iter().any(|usm| usm.amount.is_positive() && usm.radius.is_positive());
        let measures = point.tint.is_some_and(|tint| tint.normalise);
        self.sharpen || sharpens || measures || grow != 0 || blur.is_positive() || noise.is_some()
    }

    /// What is behind the picture.
    pub fn background(&self, company: &Company) -> [u8; 3] {
        self.bgc.or(self.thumb.map(|thumb| thumb.fill)).unwrap_or(company.bkg_color)
    }

    /// Whether what is clear stays clear.
    pub fn keeps_alpha(&self) -> bool {
        self.fmt.alpha || self.req.kind == Kind::Mask
    }

    /// Whether the view may outgrow the picture.
    pub fn upscales(&self, company: &Company) -> bool {
        self.fit.map_or(company.upscale_without_fit, |fit| fit.upscale)
    }
}
