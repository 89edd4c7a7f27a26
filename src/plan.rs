//! The complete description of one rendition: plain, immutable, hashable data.
//!
//! Heads (`request`, `decide`) write it, hands (`engine`, `codec`) read it; it is all they share. Invariants: nothing
//! downstream of a `Plan` reads the URL again; passes come in the order that [`Pass`] allows.

mod operations;
mod output;
mod trim;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use operations::{
    Cover, Fill, Grain, Grow, Grown, Mask, MaskUse, Morph, Noise, Point, Rotation, Side, SourcePath, Tint, Turn,
    Unsharp, masked,
};
pub use output::{Conversion, Intent, Output, Profile};
pub use trim::{Traits, Trim, Trims};

use crate::kernel::{Axis, Kernel};
use crate::pixel::{Chroma, Density, PixelFormat, Ratio, Size, WorkingSpace, YcbcrForm};

/// Formats calotype reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceFormat {
    /// JPEG: baseline and progressive, grey, YCbCr, RGB, CMYK, YCCK.
    Jpeg,
    /// PNG, every colour type and depth.
    Png,
    /// WebP, lossy and lossless; the first page of an animation.
    Webp,
    /// GIF; the first page.
    Gif,
    /// TIFF; the first page.
    Tiff,
}

impl SourceFormat {
    /// Every readable format once.
    pub const ALL: [Self; 5] = [Self::Jpeg, Self::Png, Self::Webp, Self::Gif, Self::Tiff];

    /// Lower-case name, as in configuration and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Tiff => "tiff",
        }
    }
}

/// What a source's header says; no pixel was decoded for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The format, recognised by content.
    pub format: SourceFormat,
    /// Width and height upright, after EXIF orientation.
    pub size: Size,
    /// What [`DecodeAs::Native`] would give: the model the file stores (CMYK counts as RGB: it is converted on decode).
    pub native: PixelFormat,
    /// Whether an ICC profile other than sRGB is embedded (colours are converted to sRGB on decode).
    pub converts_profile: bool,
    /// EXIF orientation, 1 to 8.
    pub orientation: u8,
    /// Upper bound of what a decoder holds at once for this picture, bytes: its buffers and the image that comes of
    /// them; copies of the source's bytes are not in it.
    pub decoder_bytes: u64,
    /// How large it says it is printed.
    pub density: Option<Density>,
}

impl Header {
    /// The same with another picture as its alpha.
    #[must_use]
    pub fn masked(self) -> Self {
        Self { native: PixelFormat { alpha: true, ..self.native }, ..self }
    }
}

/// Which planes the decoder shall hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecodeAs {
    /// As stored: Y Cb Cr of a JPEG stays Y Cb Cr.
    Native,
    /// R, G, B (grey sources stay grey), with alpha if the source has it.
    Rgb,
}

/// One resample direction for all planes of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resample {
    /// The filter.
    pub kernel: Kernel,
    /// Axis of every full-size plane.
    pub axis: Axis,
    /// Axis of the chroma planes when they are half size; `None` when the picture has none. It makes them half the size of
    /// luma, or as large, in both directions alike.
    pub chroma_axis: Option<Axis>,
}

/// One whole-image step. 8-bit planes go in and come out, except between `Load` and `Pack` (f32), between `UnsharpH` and
/// `UnsharpV` (8-bit planes plus their blurred halves) and between `GrowH` and `GrowV` (8-bit planes plus their runs).
///
/// Each has a shader, a scalar function and a differential case of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// Y Cb Cr (either chroma size) to R G B, full size.
    YcbcrToRgb,
    /// R G B to Y Cb Cr, or Y Cb Cr to such that shares chroma: with the luma that keeps each pixel as bright as it was.
    RgbToYcbcr {
        /// What is made.
        form: YcbcrForm,
    },
    /// R G B to its luma; of Y Cb Cr the luma alone.
    Grey,
    /// 8-bit encoded straight to f32, premultiplied, in the working space.
    Load {
        /// Space of the f32 planes.
        space: WorkingSpace,
        /// Give an opaque picture an alpha plane of 255 (its surroundings are transparent: `Edge::Transparent`).
        add_alpha: bool,
    },
    /// Horizontal half of the resize.
    ResizeH(Resample),
    /// Vertical half of the resize.
    ResizeV(Resample),
    /// f32, premultiplied, in the working space to 8-bit encoded straight. Clamps and rounds, once.
    Pack {
        /// Space of the f32 planes.
        space: WorkingSpace,
    },
    /// Horizontal blur of the unsharp mask.
    UnsharpH(Unsharp),
    /// Vertical blur, comparison and sharpening of the unsharp mask.
    UnsharpV(Unsharp),
    /// Mirrored, or turned by quarters.
    Turn(Turn),
    /// Turned by any angle.
    Rotate(Rotation),
    /// Mask, a colour beneath, opacity.
    Cover(Cover),
    /// Clear outside paths.
    Mask(Arc<Mask>),
    /// Its alpha in its place, as a grey picture.
    Matte,
    /// The median luma of what is seen, for the next `Point`; the picture stays as it is.
    Median,
    /// Operations on one pixel at a time.
    Point(Point),
    /// Horizontal half of dilation or erosion: maxima of runs.
    GrowH(Grow),
    /// Vertical half of dilation or erosion.
    GrowV(Grow),
    /// Noise.
    Noise(Noise),
    /// The fixed 3×3 of `op_sharpen`.
    Sharpen,
    /// Onto the view: crop, pad and flatten.
    Place {
        /// Size of the view.
        canvas: Size,
        /// Column of the view where the picture's left edge comes; negative: columns cut.
        x: i32,
        /// Row of the view where the picture's top edge comes; negative: rows cut.
        y: i32,
        /// What shows elsewhere and through.
        fill: Fill,
    },
}

impl Pass {
    /// Names of all passes: shader file, entry point, scalar function, differential case.
    pub const ALL: [&'static str; 21] = [
        "ycbcr_to_rgb",
        "rgb_to_ycbcr",
        "grey",
        "load",
        "resize_h",
        "resize_v",
        "pack",
        "turn",
        "rotate",
        "cover",
        "mask",
        "matte",
        "median",
        "point",
        "grow_h",
        "grow_v",
        "noise",
        "unsharp_h",
        "unsharp_v",
        "sharpen",
        "place",
    ];

    /// Its name in [`Self::ALL`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::YcbcrToRgb => "ycbcr_to_rgb",
            Self::RgbToYcbcr { .. } => "rgb_to_ycbcr",
            Self::Grey => "grey",
            Self::Load { .. } => "load",
            Self::ResizeH(_) => "resize_h",
            Self::ResizeV(_) => "resize_v",
            Self::Pack { .. } => "pack",
            Self::Turn(_) => "turn",
            Self::Rotate(_) => "rotate",
            Self::Cover(_) => "cover",
            Self::Mask(_) => "mask",
            Self::Matte => "matte",
            Self::Median => "median",
            Self::Point(_) => "point",
            Self::GrowH(_) => "grow_h",
            Self::GrowV(_) => "grow_v",
            Self::Noise(_) => "noise",
            Self::UnsharpH(_) => "unsharp_h",
            Self::UnsharpV(_) => "unsharp_v",
            Self::Sharpen => "sharpen",
            Self::Place { .. } => "place",
        }
    }
}

/// Quality of a JPEG, 1 to 100, on libjpeg's scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JpegQuality(pub u8);

/// Quality of a lossy WebP in hundredths, 0 to 10000, on libwebp's scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WebpQuality(pub u16);

/// Quantiser of a lossy AVIF, 0 (finest) to 63 (coarsest): libaom's `cq-level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AvifQuantiser(pub u8);

/// Quality of a lossy JPEG 2000 in hundredths of a decibel: the peak signal-to-noise ratio of a picture whose neighbouring
/// samples differ by one level on average. Busier pictures get less, calmer ones more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Jpeg2000Quality(pub u16);

/// Quantiser of a lossy JPEG XR, 2 (nearly nothing is lost) to 255 (coarsest), for the finest details of luma: each 16
/// double the step. Other bands follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JpegXrQuantiser(pub u8);

/// How hard the AVIF encoder tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AvifEffort {
    /// A fifth of the time of the usual effort, an eighth more bytes.
    Quick,
    /// For a client who waits: under 400 ms a megapixel, since pictures too busy for that get the quick effort.
    Usual,
    /// For nobody who waits: two to three times the time of the usual effort, 5 % fewer bytes.
    Thorough,
}

impl AvifEffort {
    /// What a client who waits gets for a picture of `size`; `None` where AVIF is not for him.
    ///
    /// Small pictures take longest a pixel, and large ones lose little by the quick effort (`docs/measurements.md`). Above
    /// level 6.0 of AV1 (annex A.3), the last that AVIF's profiles allow, decoders promise nothing.
    pub fn for_size(size: Size) -> Option<Self> {
        match size.pixels() {
            _ if size.w > 16_384 || size.h > 8_704 => None,
            ..16_384 => Some(Self::Quick),
            16_384..4_194_304 => Some(Self::Usual),
            4_194_304..=35_651_584 => Some(Self::Quick),
            35_651_585.. => None,
        }
    }

    /// Lower-case name for logs and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Usual => "usual",
            Self::Thorough => "thorough",
        }
    }
}

/// How a TIFF is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TiffPacking {
    /// Not at all.
    None,
    /// LZW of differences.
    Lzw,
    /// Deflate of differences.
    Zip,
    /// JPEG; there is no alpha then.
    Jpeg {
        /// Quality.
        quality: JpegQuality,
        /// 4:2:0 or 4:4:4.
        chroma: Chroma,
    },
}

impl TiffPacking {
    /// The protocol's own keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lzw => "lzw",
            Self::Zip => "zip",
            Self::Jpeg { .. } => "jpeg",
        }
    }
}

/// How a palette is made, and pixels by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Palette {
    /// Where its colours come from.
    pub kind: PaletteKind,
    /// Whether what a pixel lacks goes to its neighbours.
    pub diffuses: bool,
    /// Colours at most, 2 to 256; beside a key for what is clear 255.
    pub colours: u16,
}

/// Where the colours of a palette come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PaletteKind {
    /// From the picture.
    Adaptive,
    /// The 216 that browsers once had.
    Web,
    /// The 256 of the Macintosh.
    Mac,
}

impl PaletteKind {
    /// The protocol's own keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Adaptive => "adaptive",
            Self::Web => "web",
            Self::Mac => "mac",
        }
    }
}

/// How to encode a rendition. Alpha is encoded when the pixels have it and the format can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EncodeSpec {
    /// JPEG, optimised Huffman tables.
    Jpeg {
        /// Quality.
        quality: JpegQuality,
        /// 4:2:0 or 4:4:4.
        chroma: Chroma,
        /// Progressive scans.
        progressive: bool,
    },
    /// PNG, 8 bits a channel.
    Png,
    /// PNG by palette, 1 to 8 bits a pixel; its alpha is there or not.
    Png8 {
        /// Its colours.
        palette: Palette,
    },
    /// GIF; its alpha is there or not.
    Gif {
        /// Its colours.
        palette: Palette,
    },
    /// TIFF, 8 bits a channel.
    Tiff {
        /// Compression.
        packing: TiffPacking,
    },
    /// Lossy WebP, 4:2:0.
    Webp {
        /// Quality.
        quality: WebpQuality,
    },
    /// Lossless WebP.
    WebpLossless,
    /// Lossy AVIF; its alpha is lossless.
    Avif {
        /// Quality.
        quantiser: AvifQuantiser,
        /// Time.
        effort: AvifEffort,
        /// 4:2:0 or 4:4:4; planes that are 4:2:0 stay so.
        chroma: Chroma,
    },
    /// Lossless AVIF.
    AvifLossless,
    /// Lossy JPEG 2000; its alpha is lossless.
    Jpeg2000 {
        /// Quality.
        quality: Jpeg2000Quality,
    },
    /// Lossless JPEG 2000.
    Jpeg2000Lossless,
    /// Lossy JPEG XR, 4:4:4; its alpha is lossless.
    JpegXr {
        /// Quality.
        quantiser: JpegXrQuantiser,
    },
    /// Lossless JPEG XR.
    JpegXrLossless,
}

impl EncodeSpec {
    /// Whether JPEG XR can be encoded: by a library of the system, in builds with the feature `jpegxr`.
    pub const HAS_JPEG_XR: bool = cfg!(feature = "jpegxr");

    /// MIME type of the reply.
    pub fn mime(&self) -> &'static str {
        match self {
            Self::Jpeg { .. } => "image/jpeg",
            Self::Png | Self::Png8 { .. } => "image/png",
            Self::Gif { .. } => "image/gif",
            Self::Tiff { .. } => "image/tiff",
            Self::Webp { .. } | Self::WebpLossless => "image/webp",
            Self::Avif { .. } | Self::AvifLossless => "image/avif",
            Self::Jpeg2000 { .. } | Self::Jpeg2000Lossless => "image/jp2",
            Self::JpegXr { .. } | Self::JpegXrLossless => "image/vnd.ms-photo",
        }
    }

    /// Lower-case name for logs and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Jpeg { .. } => "jpeg",
            Self::Png => "png",
            Self::Png8 { .. } => "png8",
            Self::Gif { .. } => "gif",
            Self::Tiff { .. } => "tiff",
            Self::Webp { .. } | Self::WebpLossless => "webp",
            Self::Avif { .. } | Self::AvifLossless => "avif",
            Self::Jpeg2000 { .. } | Self::Jpeg2000Lossless => "jpeg2000",
            Self::JpegXr { .. } | Self::JpegXrLossless => "jpegxr",
        }
    }

    /// How colour is stored; `None`: R G B.
    pub fn form(&self) -> Option<YcbcrForm> {
        match self {
            Self::Jpeg { chroma, .. }
            | Self::Avif { chroma, .. }
            | Self::Tiff { packing: TiffPacking::Jpeg { chroma, .. } } => match chroma {
                Chroma::Full => Some(YcbcrForm::Full),
                Chroma::Half => Some(YcbcrForm::Half),
            },
            Self::Webp { .. } => Some(YcbcrForm::Video),
            Self::Png
            | Self::Png8 { .. }
            | Self::Gif { .. }
            | Self::Tiff { packing: TiffPacking::None | TiffPacking::Lzw | TiffPacking::Zip }
            | Self::WebpLossless
            | Self::AvifLossless
            | Self::Jpeg2000 { .. }
            | Self::Jpeg2000Lossless
            | Self::JpegXr { .. }
            | Self::JpegXrLossless => None,
        }
    }

    /// Largest side the format can hold, px.
    pub fn side_max(&self) -> u32 {
        match self {
            Self::Jpeg { .. } | Self::Gif { .. } | Self::Tiff { .. } => 65_535,
            Self::Png | Self::Png8 { .. } => u32::MAX >> 1,
            Self::Webp { .. } | Self::WebpLossless => 16_383,
            // AV1 could have 65,536; libavif, by which most browsers read, takes no more than this.
            Self::Avif { .. } | Self::AvifLossless => 32_768,
            // Both could have more: of JPEG 2000, larger pictures have several precincts, of JPEG XR, wider headers, with
            // which nothing here is tested.
            Self::Jpeg2000 { .. } | Self::Jpeg2000Lossless | Self::JpegXr { .. } | Self::JpegXrLossless => 32_768,
        }
    }
}

/// What may be served, as data: the format asked for and the candidates that replace it if strictly smaller, tried in
/// order. Climbed by `sched`, which writes the [`Verdict`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EncodeLadder {
    /// The rendition in the format asked for.
    pub requested: EncodeSpec,
    /// Formats to try instead, best first.
    pub candidates: Vec<EncodeSpec>,
    /// Bytes that the format asked for may have: a JPEG that has more is made again, worse. Others have none.
    pub jpeg_bytes_max: Option<u64>,
    /// How candidates follow the picture.
    pub trims: Trims,
}

impl EncodeLadder {
    /// Only the format asked for.
    pub fn only(requested: EncodeSpec) -> Self {
        Self { requested, candidates: Vec::new(), jpeg_bytes_max: None, trims: Trims::default() }
    }
}

/// What came of an [`EncodeLadder`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Every encoding that could have been served: its spec and its bytes, in the order they were made.
    pub tried: Vec<(EncodeSpec, u64)>,
    /// The one that is served.
    pub served: EncodeSpec,
    /// Candidates that were left out because there was no time for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<EncodeSpec>,
}

impl Verdict {
    /// One word for the format that came of several candidates: its name, or `larger` if none was smaller than what was
    /// asked for, `deadline` if there was no time to try them all, `ineligible` if no memory for any.
    pub fn reason(&self) -> &'static str {
        match self.tried.first() {
            _ if self.is_hurried() => "deadline",
            Some(_) if self.tried.len() == 1 => "ineligible",
            Some((requested, _)) if *requested == self.served => "larger",
            _ => self.served.name(),
        }
    }

    /// Whether another time might come to another end.
    pub fn is_hurried(&self) -> bool {
        !self.skipped.is_empty()
    }

    /// Bytes that the candidate tried last is smaller than the format asked for, negative if it is larger; `None` if
    /// none was tried (protocol.md 4.2, Q7).
    pub fn saved(&self) -> Option<i64> {
        let [(_, requested), .., (_, last)] = self.tried.as_slice() else { return None };
        Some(i64::try_from(*requested).ok()? - i64::try_from(*last).ok()?)
    }
}

/// Smart Imaging's choices for one request, each with its reason. Intent, where [`Verdict`] is outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Factor by which the view is enlarged for the screen's pixel ratio; 1 is none.
    pub dpr: Ratio,
    /// Why.
    pub dpr_reason: DprReason,
    /// Width that DefaultPix is narrowed to, px, because the client says how wide it shows the picture.
    pub width_max: Option<u32>,
    /// How good the client's network is; `None` where quality does not follow the network.
    pub network: Option<Network>,
    /// Formats and qualities.
    pub encode: EncodeLadder,
    /// Why there are candidates, or none.
    pub format_reason: FormatReason,
}

/// Why a [`Decision`] has its `dpr` (protocol.md 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DprReason {
    /// Neither the URL nor the company asks for it, or the URL says off (D1).
    Off,
    /// The URL's own value, exactly (D2).
    Url,
    /// What the client says of its screen, rounded up to a step (D3).
    Hint,
    /// It is wanted, and the client says nothing of its screen.
    NoHint,
    /// The client's own display width has the ratio in it already (4.5).
    Width,
    /// A poor network takes it away, a fair one lowers it to 2 (D4).
    Network,
    /// Lowered so that nothing is enlarged past the source (4.3, completion c).
    NoEnlargement,
}

impl DprReason {
    /// One word for logs and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Url => "url",
            Self::Hint => "hint",
            Self::NoHint => "no-hint",
            Self::Width => "width",
            Self::Network => "network",
            Self::NoEnlargement => "no-enlargement",
        }
    }
}

/// How good a client's network is (protocol.md 4.4), worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Network {
    /// Save-Data, 2G, or worse than 0.3 Mbit/s or 1 s.
    Poor,
    /// 3G, or worse than 1.5 Mbit/s or 0.4 s.
    Fair,
    /// 4G below 5 Mbit/s.
    Good,
    /// Better, or nothing is known.
    Excellent,
}

impl Network {
    /// One word for logs and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Poor => "poor",
            Self::Fair => "fair",
            Self::Good => "good",
            Self::Excellent => "excellent",
        }
    }
}

/// Why a [`Decision`] has candidates for another format, or none (protocol.md 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatReason {
    /// Neither the URL nor the company asks for it (F2).
    Off,
    /// Only JPEG and PNG are replaced (F3).
    Ineligible,
    /// The client names no format that could replace it (F8).
    Unsupported,
    /// There are candidates (F4 to F7).
    Candidates,
}

impl FormatReason {
    /// One word for logs and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Ineligible => "ineligible",
            Self::Unsupported => "unsupported",
            Self::Candidates => "candidates",
        }
    }

    /// The one that a reply says: of candidates, what came of them.
    pub fn told(self, verdict: &Verdict) -> &'static str {
        if self == Self::Candidates { verdict.reason() } else { self.word() }
    }
}

/// Raise it whenever the same plan comes to other bytes than before: another encoder or release of one, another default
/// of it, a pass that rounds differently. Stored renditions of other revisions are not found again.
pub const REVISION: u32 = 8;

/// One rendition, completely: what to decode, which passes, how to encode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Upright size of the source this plan is for.
    pub source: Size,
    /// Which planes the decoder hands out.
    pub decode: DecodeAs,
    /// Size of the reply.
    pub size: Size,
    /// What the engine does, in order.
    pub passes: Vec<Pass>,
    /// How the result is encoded.
    pub encode: EncodeLadder,
    /// And with what.
    pub output: Output,
}

impl Plan {
    /// A short stable name of this plan for logs and caches: equal plans, equal keys.
    pub fn key(&self) -> u64 {
        key(self)
    }
}

/// A stable hash.
pub fn key(value: &impl Hash) -> u64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    value.hash(&mut hasher);
    hasher.finish()
}

/// FNV-1a: stable between runs, unlike the standard library's hashers.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.0 = (self.0 ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
