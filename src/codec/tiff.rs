//! TIFF: of a file the first page, by the tiff crate, one row of strips or tiles at a time.
//!
//! Grey, palette, RGB, CMYK and Y Cb Cr of 1 to 16 bits (32 in grey and RGB, their upper half), floating point taken
//! as encoded values from 0 to 1, straight and associated alpha, in one plane or several, both byte orders, classic
//! and big files; compressions: none, LZW, Deflate, PackBits, CCITT group 4, JPEG. The crate refuses palettes, so
//! it is shown a palette file as a grey one ([`AsGrey`]) and the colours are looked up here.
//! Source: TIFF 6.0.

mod write;

use std::io::{BufRead, Cursor, Read, Seek, SeekFrom};

use tiff::ColorType;
use tiff::TiffError;
use tiff::decoder::ifd::Value;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

use crate::codec::icc::{Profile, Space};
use crate::codec::rows::{Depth, Layout, Rows};
use crate::codec::{Facts, bounds, check_size, exif, jpeg, read_error};
use crate::error::{Error, Result};
use crate::limits;
use crate::pixel::{Density, Image, Size};

pub(super) use write::encode;

const NAME: &str = "tiff";
/// Samples that are converted together, beside those of one row.
const RUN_SAMPLES: usize = 1 << 16;

/// What the first directory says.
pub(super) fn facts(source: &mut (impl BufRead + Seek), pixels_max: u64) -> Result<Facts> {
    let (mut decoder, shape) = open(source, pixels_max)?;
    let orientation = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten().unwrap_or(1);
    let space = match shape.layout() {
        Layout::Grey | Layout::GreyAlpha => Space::Grey,
        Layout::Rgb | Layout::RgbAlpha | Layout::Ycbcr => Space::Rgb,
        Layout::Cmyk => Space::Cmyk,
    };
    let icc = decoder.get_tag_u8_vec(Tag::IccProfile).unwrap_or_default();
    let profile = Profile::from_icc(&icc, space);
    let (w, h) = decoder.chunk_dimensions();
    // Strips may be called higher than the picture, tiles larger.
    let (w, h) = (u64::from(w.min(shape.size.w)), u64::from(h.min(shape.size.h)));
    let samples = shape.samples as u64;
    let bands = bounds::TiffShape {
        chunk_pixels: w * h,
        band_pixels: u64::from(shape.size.w) * h,
        pixel_bytes: (if shape.is_planar { 1 } else { samples } * u64::from(shape.bits)).div_ceil(8),
        band_samples: if w == u64::from(shape.size.w) && shape.is_as_wanted() { 0 } else { samples },
        is_jpeg: shape.is_jpeg,
    };
    let pixels = bounds::tiff(shape.size, shape.layout(), &bands);
    Ok(Facts {
        stored: shape.size,
        native: shape.layout().planes(),
        orientation: if (1..=8).contains(&orientation) { orientation } else { 1 },
        decoder_bytes: bounds::with_constants(pixels, icc.len(), profile.is_some()),
        density: density(&mut decoder),
        profile,
    })
}

/// Columns a unit, and the unit: 2 an inch, as without it, 3 a centimetre.
fn density(decoder: &mut Decoder<impl Read + Seek>) -> Option<Density> {
    let columns = match decoder.find_tag(Tag::XResolution).ok()?? {
        Value::Rational(n, d) => f64::from(n) / f64::from(d),
        _ => return None,
    };
    match decoder.find_tag_unsigned::<u16>(Tag::ResolutionUnit).ok().flatten().unwrap_or(2) {
        2 => Density::from_dpi(columns),
        3 => Density::from_per_metre(100.0 * columns),
        _ => None,
    }
}

/// What a decoded sample means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    Grey,
    Palette,
    Rgb,
    Ycbcr,
    Cmyk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alpha {
    None,
    Straight,
    Associated,
}

/// The first page as the decoder hands it out.
struct Shape {
    size: Size,
    colour: Colour,
    alpha: Alpha,
    bits: u8,
    is_float: bool,
    /// Samples a pixel in the decoder's rows.
    samples: usize,
    is_planar: bool,
    is_jpeg: bool,
    palette: Vec<[u16; 3]>,
}

impl Shape {
    fn layout(&self) -> Layout {
        match (self.colour, self.alpha) {
            (Colour::Grey, Alpha::None) => Layout::Grey,
            (Colour::Grey, Alpha::Straight | Alpha::Associated) => Layout::GreyAlpha,
            (Colour::Palette | Colour::Rgb | Colour::Ycbcr, Alpha::None) => Layout::Rgb,
            (Colour::Palette | Colour::Rgb | Colour::Ycbcr, Alpha::Straight | Alpha::Associated) => Layout::RgbAlpha,
            (Colour::Cmyk, _) => Layout::Cmyk,
        }
    }

    /// Whether the decoder's rows can be taken as they are.
    fn is_as_wanted(&self) -> bool {
        (self.bits == 8 || self.bits == 16)
            && !self.is_float
            && !self.is_planar
            && matches!(self.colour, Colour::Grey | Colour::Rgb | Colour::Cmyk)
            && self.alpha != Alpha::Associated
            && self.samples == self.layout().channels()
    }
}

fn open<R: Read + Seek>(source: R, pixels_max: u64) -> Result<(Decoder<AsGrey<R>>, Shape)> {
    let source = AsGrey::new(source).map_err(|e| read_error(NAME, e))?;
    let is_palette = source.patch.is_some();
    let mut decoder = Decoder::new(source).map_err(broken)?;
    let (w, h) = decoder.dimensions().map_err(broken)?;
    let size = Size::new(w, h);
    check_size(NAME, size, pixels_max)?;
    let mut bounds = Limits::default();
    bounds.ifd_value_size = limits::METADATA_BYTES_MAX;
    // One strip may be the whole picture, at most five samples of eight bytes a pixel; its compressed bytes are in
    // memory already.
    bounds.decoding_buffer_size = size.samples() * 40 + limits::METADATA_BYTES_MAX;
    bounds.intermediate_buffer_size = bounds.decoding_buffer_size;
    let mut decoder = decoder.with_limits(bounds);
    let refuse = |what: String| Err(Error::broken(NAME, format!("{what}: not supported")));
    let (mut colour, bits, samples) = match decoder.colortype().map_err(broken)? {
        ColorType::Gray(bits) => (Colour::Grey, bits, 1),
        ColorType::Multiband { bit_depth, num_samples } => (Colour::Grey, bit_depth, num_samples.into()),
        ColorType::GrayA(bits) => (Colour::Grey, bits, 2),
        ColorType::RGB(bits) => (Colour::Rgb, bits, 3),
        ColorType::RGBA(bits) => (Colour::Rgb, bits, 4),
        ColorType::CMYK(bits) => (Colour::Cmyk, bits, 4),
        ColorType::CMYKA(bits) => (Colour::Cmyk, bits, 5),
        ColorType::YCbCr(bits @ 8) => (Colour::Ycbcr, bits, 3),
        other => return refuse(format!("{other:?}")),
    };
    let mut palette = Vec::new();
    if is_palette {
        colour = Colour::Palette;
        palette = read_palette(&mut decoder, bits)?;
    }
    let tag = |decoder: &mut Decoder<AsGrey<R>>, tag| decoder.find_tag_unsigned::<u16>(tag).ok().flatten();
    let first = |decoder: &mut Decoder<AsGrey<R>>, tag| {
        decoder.find_tag_unsigned_vec::<u16>(tag).ok().flatten().and_then(|v| v.first().copied())
    };
    // 1 unsigned, 2 signed, 3 floating point.
    let format = first(&mut decoder, Tag::SampleFormat);
    if format == Some(2) {
        return refuse("signed samples".to_owned());
    }
    let colours = match colour {
        Colour::Grey | Colour::Palette => 1,
        Colour::Rgb | Colour::Ycbcr => 3,
        Colour::Cmyk => 4,
    };
    // 1 associated, 2 unassociated; a fourth sample of RGB that nobody explains has always been alpha.
    let alpha = match first(&mut decoder, Tag::ExtraSamples) {
        _ if samples <= colours || matches!(colour, Colour::Cmyk | Colour::Palette) => Alpha::None,
        Some(1) => Alpha::Associated,
        Some(2) => Alpha::Straight,
        None if colour == Colour::Rgb => Alpha::Straight,
        Some(_) | None => Alpha::None,
    };
    let is_planar = tag(&mut decoder, Tag::PlanarConfiguration) == Some(2);
    let is_jpeg = tag(&mut decoder, Tag::Compression) == Some(7);
    Ok((
        decoder,
        Shape { size, colour, alpha, bits, is_float: format == Some(3), samples, is_planar, is_jpeg, palette },
    ))
}

fn broken(error: TiffError) -> Error {
    match error {
        TiffError::IoError(e) => read_error(NAME, e),
        other => Error::broken(NAME, other),
    }
}

/// The ColorMap tag: all reds, all greens, all blues, 16 bits each.
fn read_palette(decoder: &mut Decoder<impl Read + Seek>, bits: u8) -> Result<Vec<[u16; 3]>> {
    let map = decoder.get_tag_u16_vec(Tag::ColorMap).map_err(broken)?;
    let len = 1_usize.checked_shl(bits.into()).filter(|len| bits <= 16 && map.len() >= 3 * len);
    let Some(len) = len else { return Err(Error::broken(NAME, "a palette that is too short")) };
    // Some writers fill in 8-bit values.
    let scale = if map.iter().all(|&v| v < 256) { 257 } else { 1 };
    Ok((0..len).map(|i| [map[i] * scale, map[len + i] * scale, map[2 * len + i] * scale]).collect())
}

/// The pixels. A damaged file gives the rows of strips or tiles before the damage.
pub(super) fn decode(bytes: &[u8], facts: &Facts) -> Result<Image> {
    let (mut decoder, shape) = open(Cursor::new(bytes), limits::SOURCE_PIXELS_MAX)?;
    let layout = shape.layout();
    let depth = if shape.bits <= 8 && shape.palette.is_empty() { Depth::Eight } else { Depth::Sixteen };
    let (w, h) = (shape.size.w as usize, shape.size.h as usize);
    let (chunk_w, chunk_h) = decoder.chunk_dimensions();
    // Strips may be called higher than the picture; tiles of a small picture may be larger than it.
    let (chunk_w, chunk_h) = (chunk_w as usize, (chunk_h as usize).min(h));
    let (across, down) = (w.div_ceil(chunk_w), h.div_ceil(chunk_h));
    let planes = if shape.is_planar { shape.samples } else { 1 };
    if shape.is_jpeg {
        check_jpeg_chunks(bytes, &mut decoder)?;
    }
    let mut rows = Rows::new(shape.size, layout, depth, facts.profile.as_ref());
    // Samples of one row of chunks, as many a pixel as the decoder has.
    let mut band = Vec::new();
    for band_y in 0..down {
        let y = band_y * chunk_h;
        let band_h = chunk_h.min(h - y);
        for (tile, plane) in (0..across).flat_map(|tile| (0..planes).map(move |plane| (tile, plane))) {
            let index = (plane * down + band_y) * across + tile;
            let chunk = u32::try_from(index)
                .map_err(|e| Error::broken(NAME, e))
                .and_then(|index| decoder.read_chunk(index).map_err(broken));
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) if y == 0 => return Err(error),
                Err(_) => return Ok(exif::turn(rows.finish_damaged(y), facts.orientation)),
            };
            if across == 1 && shape.is_as_wanted() {
                match &chunk {
                    DecodingResult::U8(v) if shape.bits == 8 => rows.put8(y, v),
                    DecodingResult::U16(v) => rows.put16(y, v),
                    _ => return Err(Error::broken(NAME, "samples of another depth than its header says")),
                }
                continue;
            }
            band.resize(w * band_h * shape.samples, 0);
            let x = tile * chunk_w;
            place(&chunk, &shape, &Target { x, w: chunk_w.min(w - x), h: band_h, plane }, &mut band)?;
            if tile + 1 == across && plane + 1 == planes {
                // In runs of some rows, so that what is made of them stays small.
                let run = (RUN_SAMPLES / (w * shape.samples)).max(1);
                for (i, part) in band.chunks(run * w * shape.samples).enumerate() {
                    put(&mut rows, y + i * run, part, &shape, depth);
                }
            }
        }
    }
    Ok(exif::turn(rows.finish(), facts.orientation))
}

/// A JPEG inside brings its own size, and the crate believes it: none may be larger than its strip or tile, but for
/// filling up to whole blocks.
fn check_jpeg_chunks(bytes: &[u8], decoder: &mut Decoder<AsGrey<Cursor<&[u8]>>>) -> Result<()> {
    let (w, h) = decoder.chunk_dimensions();
    let offsets = decoder.get_tag_u64_vec(Tag::StripOffsets).or_else(|_| decoder.get_tag_u64_vec(Tag::TileOffsets));
    let most = Size::new(w.min(limits::SOURCE_SIDE_MAX) + 64, h.min(limits::SOURCE_SIDE_MAX) + 64);
    for offset in offsets.map_err(broken)? {
        let rest = usize::try_from(offset).ok().and_then(|from| bytes.get(from..)).unwrap_or_default();
        let size = jpeg::frame_size(rest)?;
        if size.w > most.w || size.h > most.h {
            return Err(Error::broken(NAME, format!("a JPEG of {size} pixels in a strip or tile of {w}x{h}")));
        }
    }
    Ok(())
}

/// Where a chunk goes in its band.
struct Target {
    x: usize,
    w: usize,
    h: usize,
    /// First sample of the pixel; the only one in planar files.
    plane: usize,
}

/// Widens a chunk's samples into the band; 8-bit samples use the lower half.
fn place(chunk: &DecodingResult, shape: &Shape, to: &Target, band: &mut [u16]) -> Result<()> {
    let row = to.w * if shape.is_planar { 1 } else { shape.samples };
    let placed = match chunk {
        DecodingResult::U8(v) if shape.bits < 8 => {
            let bits = usize::from(shape.bits);
            let row_bytes = (row * bits).div_ceil(8);
            fill(shape, to, band, |y, i| {
                // A sample may straddle two bytes (3, 5, 6, 7 bits).
                let at = y * row_bytes + i * bits / 8;
                let pair = u16::from_be_bytes([*v.get(at)?, v.get(at + 1).copied().unwrap_or(0)]);
                Some((pair >> (16 - bits - i * bits % 8)) & ((1 << bits) - 1))
            })
        }
        DecodingResult::U8(v) => fill(shape, to, band, |y, i| v.get(y * row + i).map(|&v| v.into())),
        DecodingResult::U16(v) => fill(shape, to, band, |y, i| v.get(y * row + i).copied()),
        DecodingResult::U32(v) => fill(shape, to, band, |y, i| v.get(y * row + i).map(|&v| (v >> 16) as u16)),
        DecodingResult::F16(v) => fill(shape, to, band, |y, i| v.get(y * row + i).map(|v| unit_to_16(v.to_f64()))),
        DecodingResult::F32(v) => fill(shape, to, band, |y, i| v.get(y * row + i).map(|&v| unit_to_16(v.into()))),
        DecodingResult::F64(v) => fill(shape, to, band, |y, i| v.get(y * row + i).map(|&v| unit_to_16(v))),
        DecodingResult::U64(_)
        | DecodingResult::I8(_)
        | DecodingResult::I16(_)
        | DecodingResult::I32(_)
        | DecodingResult::I64(_) => return Err(Error::broken(NAME, "signed or 64-bit samples: not supported")),
    };
    placed.ok_or_else(|| Error::broken(NAME, "a strip or tile that is too short"))
}

/// Fills the target with `sample(row, sample of the row)`; `None` when the chunk lacks one.
fn fill(shape: &Shape, to: &Target, band: &mut [u16], sample: impl Fn(usize, usize) -> Option<u16>) -> Option<()> {
    let per_pixel = if shape.is_planar { 1 } else { shape.samples };
    for y in 0..to.h {
        let row = &mut band[(y * shape.size.w as usize + to.x) * shape.samples..][..to.w * shape.samples];
        for (x, pixel) in row.chunks_exact_mut(shape.samples).enumerate() {
            for (i, v) in pixel[to.plane..][..per_pixel].iter_mut().enumerate() {
                *v = sample(y, x * per_pixel + i)?;
            }
        }
    }
    Some(())
}

#[expect(clippy::cast_possible_truncation, reason = "clamped; NaN becomes 0")]
fn unit_to_16(v: f64) -> u16 {
    (v.clamp(0.0, 1.0) * 65_535.0 + 0.5) as u16
}

/// A band of the decoder's samples on as the layout wants them.
#[expect(clippy::cast_possible_truncation, reason = "8-bit samples are in the lower half")]
fn put(rows: &mut Rows, y: usize, band: &[u16], shape: &Shape, depth: Depth) {
    let max = if depth == Depth::Eight { 255 } else { 65_535 };
    let mut out: Vec<u16> = Vec::with_capacity(band.len() / shape.samples * shape.layout().channels());
    for px in band.chunks_exact(shape.samples) {
        let straight = |v: u16, a: u16| {
            match shape.alpha {
                // Rounded; premultiplied samples above their alpha are somebody's mistake.
                Alpha::Associated if a > 0 => (u32::from(v) * max + u32::from(a) / 2) / u32::from(a),
                Alpha::None | Alpha::Straight | Alpha::Associated => v.into(),
            }
            .min(max) as u16
        };
        match (shape.colour, px) {
            (Colour::Palette, [index, ..]) => out.extend(shape.palette.get(usize::from(*index)).unwrap_or(&[0; 3])),
            (Colour::Grey, [v, ..]) if shape.alpha == Alpha::None => out.push(grow(*v, shape.bits)),
            (Colour::Grey, [v, a, ..]) => {
                let (v, a) = (grow(*v, shape.bits), grow(*a, shape.bits));
                out.extend([straight(v, a), a]);
            }
            (Colour::Rgb, [r, g, b, a, ..]) if shape.alpha != Alpha::None => {
                out.extend([straight(*r, *a), straight(*g, *a), straight(*b, *a), *a]);
            }
            (Colour::Ycbcr, [y, cb, cr, ..]) => {
                out.extend(jpeg::rgb_of_ycbcr([*y as u8, *cb as u8, *cr as u8]).map(u16::from));
            }
            (Colour::Cmyk, [c, m, y, k, ..]) => out.extend([c, m, y, k]),
            (_, px) => out.extend_from_slice(&px[..shape.layout().channels()]),
        }
    }
    match depth {
        Depth::Eight => rows.put8(y, &out.iter().map(|&v| v as u8).collect::<Vec<_>>()),
        Depth::Sixteen => rows.put16(y, &out),
    }
}

/// A grey sample of fewer than 8 bits to 8, rounded.
fn grow(v: u16, bits: u8) -> u16 {
    if bits >= 8 {
        return v;
    }
    let max = (1 << bits) - 1;
    (v * 255 + max / 2) / max
}

/// A source whose first directory calls a palette "black is zero", because the decoder takes no palettes.
struct AsGrey<R> {
    inner: R,
    at: u64,
    /// Offset and new value of the two bytes that differ.
    patch: Option<(u64, [u8; 2])>,
}

impl<R: Read + Seek> AsGrey<R> {
    fn new(mut inner: R) -> std::io::Result<Self> {
        let patch = find_palette(&mut inner).unwrap_or(None);
        inner.seek(SeekFrom::Start(0))?;
        Ok(Self { inner, at: 0, patch })
    }
}

/// Where the first directory says that colours come from a palette, and what to say instead.
fn find_palette(source: &mut (impl Read + Seek)) -> std::io::Result<Option<(u64, [u8; 2])>> {
    fn read<const N: usize>(source: &mut impl Read) -> std::io::Result<[u8; N]> {
        let mut bytes = [0; N];
        source.read_exact(&mut bytes).map(|()| bytes)
    }
    let magic: [u8; 4] = read(source)?;
    let is_little = magic[0] == b'I';
    let is_big_file = magic[2..].contains(&43);
    let number = |bytes: &[u8]| {
        let fold = |n: u64, b: &u8| (n << 8) | u64::from(*b);
        if is_little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) }
    };
    let (directory, count_len, entry_len) = if is_big_file {
        read::<4>(source)?;
        (number(&read::<8>(source)?), 8_u64, 20_usize)
    } else {
        (number(&read::<4>(source)?), 2, 12)
    };
    source.seek(SeekFrom::Start(directory))?;
    let count = if is_big_file { number(&read::<8>(source)?) } else { number(&read::<2>(source)?) };
    for i in 0..count.min(4096) {
        let mut entry = [0; 20];
        source.read_exact(&mut entry[..entry_len])?;
        // PhotometricInterpretation is one SHORT, in place; 3 is RGBPalette, 1 BlackIsZero.
        let value = if is_big_file { 12 } else { 8 };
        if number(&entry[..2]) == 262 {
            let is_palette = number(&entry[2..4]) == 3 && number(&entry[value..value + 2]) == 3;
            let at = directory + count_len + i * entry_len as u64 + value as u64;
            return Ok(is_palette.then_some((at, if is_little { [1, 0] } else { [0, 1] })));
        }
    }
    Ok(None)
}

impl<R: Read> Read for AsGrey<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = self.inner.read(buf)?;
        if let Some((patch, bytes)) = self.patch {
            for (i, byte) in bytes.into_iter().enumerate() {
                let offset = (patch + i as u64).checked_sub(self.at).and_then(|o| usize::try_from(o).ok());
                if let Some(slot) = offset.and_then(|o| buf[..len].get_mut(o)) {
                    *slot = byte;
                }
            }
        }
        self.at += len as u64;
        Ok(len)
    }
}

impl<R: Seek> Seek for AsGrey<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.at = self.inner.seek(to)?;
        Ok(self.at)
    }
}
