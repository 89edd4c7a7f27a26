//! Codecs: bytes to planes and back. A closed enum of formats, one file a format.
//!
//! Invariants: decoders are memory-safe Rust and see hostile bytes; C encoders see only our own pixels; a decoded
//! [`Image`] is upright, sRGB, 8-bit, straight; sizes are checked on the header before any pixel exists; no codec type
//! leaves this room. A panic inside a decoder is caught here and becomes `BrokenSource`: the last line of defence.

mod avif;
mod bounds;
mod boxes;
mod convert;
mod exif;
mod ffi;
mod gif;
mod icc;
mod jpeg;
mod jpeg2000;
#[cfg(feature = "jpegxr")]
mod jpegxr;
mod mend;
mod paths;
mod png;
mod quantize;
mod rows;
mod tiff;
mod webp;
mod xmp;

use std::io::{BufRead, ErrorKind, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crate::error::{Error, Result, shortened};
use crate::limits;
use crate::pixel::{self, Density, Image, Model, PixelFormat, Plane, Size};
use crate::plan::{DecodeAs, EncodeSpec, Header, Output, SourceFormat, SourcePath};

pub use bounds::{decode_bytes_max, encode_bytes_max};

/// Which formats may be read and how large a picture may be; from the configuration.
#[derive(Clone, Debug)]
pub struct Allow {
    /// Formats that are decoded; others are refused as unknown.
    pub formats: Vec<SourceFormat>,
    /// Pixels of the largest source.
    pub pixels_max: u64,
}

/// What a file's header says, before orientation is applied to it.
struct Facts {
    /// Size as stored.
    stored: Size,
    /// Planes of [`DecodeAs::Native`].
    native: PixelFormat,
    /// EXIF orientation, 1 to 8.
    orientation: u8,
    /// The profile to convert from; `None` when the samples are sRGB already.
    profile: Option<icc::Profile>,
    /// What the decoder will hold, see [`Header::decoder_bytes`]; the turn by orientation is added to it.
    decoder_bytes: u64,
    /// How large the file says that it is printed.
    density: Option<Density>,
}

impl Facts {
    fn header(&self, format: SourceFormat) -> Header {
        Header {
            format,
            size: exif::upright(self.stored, self.orientation),
            native: self.native,
            converts_profile: self.profile.is_some(),
            orientation: self.orientation,
            decoder_bytes: bounds::turned(self.stored, self.orientation, self.decoder_bytes),
            density: self.density,
        }
    }
}

/// Reads the header alone: format by content, upright size, model, orientation, profile. What it reads is bounded
/// by `limits::METADATA_BYTES_MAX` and a few buffers, however long the source is.
///
/// # Errors
/// `UnknownFormat`, `BrokenSource`, `SourceTooLarge`; `Io` if reading fails for another reason than its end.
pub fn probe(source: &mut (impl BufRead + Seek), allow: &Allow) -> Result<Header> {
    let mut magic = [0; 32];
    let magic = read_up_to(source, &mut magic).map_err(io_error)?;
    let format = sniff(magic).filter(|f| allow.formats.contains(f)).ok_or_else(|| unknown(magic))?;
    source.seek(SeekFrom::Start(0)).map_err(io_error)?;
    Ok(facts(source, format, allow.pixels_max)?.header(format))
}

/// The XMP packet of a source, as it is; `None`: it has none that can be read.
pub fn xmp(source: &mut (impl Read + Seek), format: SourceFormat) -> Option<Vec<u8>> {
    xmp::packet(source, format)
}

/// The paths that a source's file holds (JPEG and TIFF); none where none can be read.
pub fn paths(source: &mut (impl Read + Seek), header: &Header) -> Vec<SourcePath> {
    paths::paths(source, header)
}

/// Decodes the (first) picture of `bytes`: upright, sRGB, 8-bit. A damaged file gives what is there, if the format
/// allows it (JPEG, PNG, GIF and TIFF strips); the rest is grey (JPEG) or zero.
///
/// `decode_as` [`DecodeAs::Native`] gives exactly the planes that `header.native` announced.
///
/// # Errors
/// `BrokenSource`; `SourceTooLarge` if the size disagrees with `header`.
pub fn decode(bytes: &[u8], header: &Header, decode_as: DecodeAs) -> Result<Image> {
    let name = header.format.name();
    if sniff(bytes) != Some(header.format) {
        return Err(Error::broken(name, "the source changed its format after its header was read"));
    }
    let facts = facts(&mut std::io::Cursor::new(bytes), header.format, limits::SOURCE_PIXELS_MAX)?;
    let now = facts.header(header.format);
    if now.size != header.size {
        return Err(Error::SourceTooLarge { size: now.size.into(), pixels_max: header.size.pixels() });
    }
    if now != *header {
        return Err(Error::broken(name, "the source changed after its header was read"));
    }
    guarded(name, || match header.format {
        SourceFormat::Jpeg => jpeg::decode(bytes, &facts, decode_as),
        SourceFormat::Png => png::decode(bytes, &facts),
        SourceFormat::Webp => webp::decode(bytes, &facts),
        SourceFormat::Gif => gif::decode(bytes, &facts),
        SourceFormat::Tiff => tiff::decode(bytes, &facts),
    })
}

/// What goes into a file beside its pixels.
struct Beside<'a> {
    output: &'a Output,
    /// Profile of the colours.
    icc: Option<&'a [u8]>,
    /// XMP packet.
    xmp: Option<&'a [u8]>,
}

/// [`encode_with`] nothing else.
///
/// # Errors
/// As [`encode_with`].
pub fn encode(image: &Image, spec: &EncodeSpec) -> Result<Vec<u8>> {
    encode_with(image, spec, &Output::default(), None)
}

/// Encodes a picture, and what `output` asks for beside it; `xmp` is the source's packet. Alpha is kept where the format can (all but JPEG), dropped where every pixel is opaque, and must
/// not be there where it cannot be kept (JPEG).
///
/// # Errors
/// `Encode`: an encoder refused our pixels (a bug, or a side over [`EncodeSpec::side_max`]). `NotSupported`: there is no profile
/// of a press on this machine.
pub fn encode_with(image: &Image, spec: &EncodeSpec, output: &Output, xmp: Option<&[u8]>) -> Result<Vec<u8>> {
    let refuse = |reason: String| Err(Error::Encode { format: spec.name(), reason });
    let size = image.size();
    if size.w == 0 || size.h == 0 || size.w > spec.side_max() || size.h > spec.side_max() {
        return refuse(format!("{size} pixels: sides must be 1 to {}", spec.side_max()));
    }
    let converted = convert::converted(image, output)?;
    let image = &*converted;
    let icc = convert::embedded(image, output)?;
    let beside = &Beside { output, icc: icc.as_deref(), xmp: xmp.filter(|_| output.embeds_xmp) };
    match *spec {
        EncodeSpec::Jpeg { quality, chroma, progressive } => jpeg::encode(image, quality, chroma, progressive, beside),
        EncodeSpec::Png => png::encode(image, beside, png::LEVEL),
        EncodeSpec::Png8 { palette } => png::encode_indexed(image, palette, beside),
        EncodeSpec::Gif { palette } => gif::encode(image, palette, output),
        EncodeSpec::Tiff { packing } => tiff::encode(image, packing, beside),
        EncodeSpec::Webp { quality } => {
            webp::encode(image, quality, webp::METHOD).map(|file| webp::with_xmp(file, beside.xmp))
        }
        EncodeSpec::WebpLossless => {
            webp::encode_lossless(image, webp::LOSSLESS_METHOD).map(|file| webp::with_xmp(file, beside.xmp))
        }
        EncodeSpec::Avif { quantiser, effort, chroma } => avif::encode(image, quantiser, effort, chroma),
        EncodeSpec::AvifLossless => avif::encode_lossless(image, avif::LOSSLESS_SPEED),
        EncodeSpec::Jpeg2000 { quality } => jpeg2000::encode(image, Some(quality)),
        EncodeSpec::Jpeg2000Lossless => jpeg2000::encode(image, None),
        #[cfg(feature = "jpegxr")]
        EncodeSpec::JpegXr { quantiser } => jpegxr::encode(image, quantiser),
        #[cfg(feature = "jpegxr")]
        EncodeSpec::JpegXrLossless => jpegxr::encode_lossless(image),
        #[cfg(not(feature = "jpegxr"))]
        EncodeSpec::JpegXr { .. } | EncodeSpec::JpegXrLossless => refuse(String::from("not built in: feature jpegxr")),
    }
}

/// libwebp's method for lossy WebP of [`encode`].
pub const WEBP_METHOD: u8 = webp::METHOD;

/// As [`encode`] at another effort than ours, as the encoder counts it: libwebp's method (0 to 6, slower and slower),
/// libaom's speed (0 to 9, faster and faster), PNG's level (1 to 9, slower and slower; 0 is fdeflate's). For measuring what
/// an effort is worth.
///
/// # Errors
/// `Encode`: there is no such effort, or none to choose; the rest as [`encode`].
pub fn encode_at(image: &Image, spec: &EncodeSpec, effort: u8) -> Result<Vec<u8>> {
    match *spec {
        EncodeSpec::Webp { quality } if effort <= 6 => webp::encode(image, quality, effort),
        EncodeSpec::WebpLossless if effort <= 6 => webp::encode_lossless(image, effort),
        EncodeSpec::AvifLossless if effort <= 9 => avif::encode_lossless(image, effort),
        EncodeSpec::Avif { quantiser, chroma, .. } if effort <= 9 => avif::encode_at(image, quantiser, effort, chroma),
        EncodeSpec::Png if effort <= 9 => {
            let output = &Output::default();
            png::encode(image, &Beside { output, icc: None, xmp: None }, effort)
        }
        _ => Err(Error::Encode { format: spec.name(), reason: format!("an effort of {effort}: there is none such") }),
    }
}

/// Share of luma's neighbours, right and below, that differ by one level at most, 0 to 1; `None` for ink, and for a single
/// pixel.
pub fn flat_share(image: &Image) -> Option<f64> {
    let (flat, all) = match (image.format().model, image.planes()) {
        (Model::Grey | Model::Ycbcr(_) | Model::Yuv, [luma, ..]) => rows::flat_neighbours(luma),
        (Model::Rgb, [r, g, b, ..]) => {
            let rgb = r.data().iter().zip(g.data()).zip(b.data());
            let luma = rgb.map(|((r, g), b)| pixel::luma([*r, *g, *b])).collect();
            rows::flat_neighbours(&Plane::from_vec(image.size(), luma))
        }
        (_, _) => return None,
    };
    (all > 0).then(|| flat as f64 / all as f64)
}

/// Name and version of every codec and of the colour library, for `doctor`: what the lock file pins.
pub fn versions() -> Vec<(&'static str, String)> {
    const LOCK: &str = include_str!("../../Cargo.lock");
    [
        "zune-jpeg",
        "jpeg-decoder",
        "png",
        "image",
        "image-webp",
        "gif",
        "tiff",
        "libwebp-sys",
        "libaom-sys",
        "openjpeg-sys",
        "moxcms",
    ]
    .into_iter()
    .map(|name| {
        // The last of several versions is the one that we name in our own dependencies (they are sorted upwards).
        let entry = LOCK.split("[[package]]").filter(|p| p.contains(&format!("name = \"{name}\"\n"))).last();
        let version = entry.and_then(|p| p.split("version = \"").nth(1)).and_then(|v| v.split('"').next());
        (name, version.unwrap_or("unknown").to_owned())
    })
    .collect()
}

/// Format by its first bytes, never by a name.
fn sniff(magic: &[u8]) -> Option<SourceFormat> {
    match magic {
        [0xff, 0xd8, 0xff, ..] => Some(SourceFormat::Jpeg),
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some(SourceFormat::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(SourceFormat::Webp),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(SourceFormat::Gif),
        // 42 is the classic file, 43 the one with 64-bit offsets.
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(SourceFormat::Tiff),
        _ => None,
    }
}

/// Each format's `facts` calls [`check_size`] as soon as it knows the size, before anything is allocated by it.
fn facts(source: &mut (impl BufRead + Seek), format: SourceFormat, pixels_max: u64) -> Result<Facts> {
    guarded(format.name(), || match format {
        SourceFormat::Jpeg => jpeg::facts(source, pixels_max),
        SourceFormat::Png => png::facts(source, pixels_max),
        SourceFormat::Webp => webp::facts(source, pixels_max),
        SourceFormat::Gif => gif::facts(source, pixels_max),
        SourceFormat::Tiff => tiff::facts(source, pixels_max),
    })
}

fn check_size(format: &'static str, stored: Size, pixels_max: u64) -> Result<()> {
    if stored.w == 0 || stored.h == 0 {
        return Err(Error::broken(format, format!("a picture of {stored} pixels")));
    }
    let pixels_max = pixels_max.min(limits::SOURCE_PIXELS_MAX);
    if stored.pixels() > pixels_max || stored.w.max(stored.h) > limits::SOURCE_SIDE_MAX {
        return Err(Error::SourceTooLarge { size: stored.into(), pixels_max });
    }
    Ok(())
}

fn unknown(magic: &[u8]) -> Error {
    let text: String =
        magic.iter().take(16).map(|&b| if b.is_ascii_graphic() || b == b' ' { b as char } else { '.' }).collect();
    Error::UnknownFormat { starts_with: shortened(&text) }
}

/// Runs a third-party decoder: what it panics with becomes the source's fault, not ours.
fn guarded<T>(format: &'static str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    // Unwind safety: everything that `run` could leave half done is dropped with it.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(Error::broken(format, "decoder panicked")))
}

/// Fills as much of `buf` as the source has.
fn read_up_to<'b>(source: &mut impl Read, buf: &'b mut [u8]) -> std::io::Result<&'b [u8]> {
    let mut len = 0;
    while len < buf.len() {
        match source.read(&mut buf[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(&buf[..len])
}

fn io_error(cause: std::io::Error) -> Error {
    Error::Io { doing: "read the source", path: PathBuf::new(), cause }
}

/// A read that met the file's end is the source's fault; any other is the machine's.
fn read_error(format: &'static str, cause: std::io::Error) -> Error {
    match cause.kind() {
        ErrorKind::UnexpectedEof => Error::broken(format, "the file ends before its header does"),
        // Decoders wrap their own complaints about content as these.
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other => Error::broken(format, cause),
        _ => io_error(cause),
    }
}
