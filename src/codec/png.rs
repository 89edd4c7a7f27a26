//! PNG: the png crate both ways, row by row.
//!
//! Colours as browsers read them, the first of: cICP (not the high-dynamic-range curves), iCCP, sRGB, gAMA with or
//! without cHRM. Text chunks are never read. Everything before the first IDAT counts, nothing after it: an eXIf chunk
//! that follows the pixels is not looked for. Of an animation the default picture is taken.
//! Source: PNG 3rd edition, 4.3 and 11.3.2.

use std::borrow::Cow;
use std::io::{BufRead, Cursor, Seek, SeekFrom};

use png::{
    BitDepth, ColorType, Decoder, DecodingError, DeflateCompression, Filter, Info, InterlaceInfo, Limits,
    PixelDimensions, Reader, Transformations, Unit,
};

use crate::codec::icc::{Profile, Space};
use crate::codec::quantize::{self, Indexed};
use crate::codec::rows::{Depth, Layout, Rows};
use crate::codec::{Beside, Facts, bounds, check_size, exif, read_error, rows};
use crate::error::{Error, Result};
use crate::limits;
use crate::pixel::{Density, Image, Model, Size};
use crate::plan::Palette;

const NAME: &str = "png";
/// Level of all pictures: 6 takes 3 % off photographs for twice the time (`docs/measurements.md`).
pub(super) const LEVEL: u8 = 3;
/// Rows are handed on in strips of about this many bytes.
const STRIP_BYTES: usize = 256 << 10;

/// What stands before the first IDAT; without the ICC profile, if that is what stops the decoder.
pub(super) fn facts(source: &mut (impl BufRead + Seek), pixels_max: u64) -> Result<Facts> {
    let from = source.stream_position().map_err(|e| read_error(NAME, e))?;
    match open(&mut *source, pixels_max, Icc::Read).and_then(|reader| facts_of(&reader)) {
        Err(Error::BrokenSource { .. }) => {
            source.seek(SeekFrom::Start(from)).map_err(|e| read_error(NAME, e))?;
            open(source, pixels_max, Icc::Skip).and_then(|reader| facts_of(&reader))
        }
        facts => facts,
    }
}

fn facts_of(reader: &Reader<impl BufRead + Seek>) -> Result<Facts> {
    let info = reader.info();
    let (layout, _) = layout(reader)?;
    let native = layout.planes();
    let space = if native.model == Model::Grey { Space::Grey } else { Space::Rgb };
    let stored = Size::new(info.width, info.height);
    let profile = profile(info, space);
    let metadata = [&info.icc_profile, &info.exif_metadata].iter().map(|m| m.as_ref().map_or(0, |m| m.len())).sum();
    let row_bytes = reader.output_line_size(info.width).ok_or_else(|| Error::broken(NAME, "rows too long"))?;
    let pixels = bounds::png(stored, layout, row_bytes, info.interlaced);
    Ok(Facts {
        stored,
        native,
        orientation: info.exif_metadata.as_deref().map_or(1, exif::orientation),
        decoder_bytes: bounds::with_constants(pixels, metadata, profile.is_some()),
        density: info.pixel_dims.filter(|d| d.unit == Unit::Meter).and_then(|d| Density::from_per_metre(d.xppu.into())),
        profile,
    })
}

/// Whether the decoder looks at an iCCP chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Icc {
    Read,
    Skip,
}

/// The decoder at the first IDAT.
fn open<R: BufRead + Seek>(source: R, pixels_max: u64, icc: Icc) -> Result<Reader<R>> {
    let mut decoder = Decoder::new_with_limits(source, Limits { bytes: limits::METADATA_BYTES_MAX });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(icc == Icc::Skip);
    decoder.set_transformations(Transformations::EXPAND);
    let header = decoder.read_header_info().map_err(broken)?;
    // Before anything is allocated by it.
    check_size(NAME, Size::new(header.width, header.height), pixels_max)?;
    decoder.read_info().map_err(broken)
}

fn broken(error: DecodingError) -> Error {
    match error {
        DecodingError::IoError(e) => read_error(NAME, e),
        DecodingError::LimitsExceeded => Error::broken(NAME, "too much metadata"),
        DecodingError::Format(_) | DecodingError::Parameter(_) => Error::broken(NAME, error),
    }
}

/// Rows as they come after palettes, low depths and tRNS are expanded.
fn layout(reader: &Reader<impl BufRead + Seek>) -> Result<(Layout, Depth)> {
    let (colour, depth) = reader.output_color_type();
    let layout = match colour {
        ColorType::Grayscale => Layout::Grey,
        ColorType::GrayscaleAlpha => Layout::GreyAlpha,
        ColorType::Rgb => Layout::Rgb,
        ColorType::Rgba => Layout::RgbAlpha,
        ColorType::Indexed => return Err(Error::broken(NAME, "a palette picture without its palette")),
    };
    Ok((layout, if depth == BitDepth::Sixteen { Depth::Sixteen } else { Depth::Eight }))
}

fn profile(info: &Info<'_>, space: Space) -> Option<Profile> {
    let cicp = info.coding_independent_code_points;
    if let Some(cicp) = cicp.filter(|c| c.is_video_full_range_image && c.matrix_coefficients == 0) {
        return Profile::from_cicp(cicp.color_primaries, cicp.transfer_function, space);
    }
    if let Some(icc) = &info.icc_profile {
        return Profile::from_icc(icc, space);
    }
    if info.srgb.is_some() {
        return None;
    }
    // In hundred thousandths; a file with cHRM alone says nothing about its curve, so it is left alone.
    let gamma = f64::from(info.gama_chunk?.into_scaled()) / 100_000.0;
    let xy = info.chrm_chunk.map(|c| {
        [c.white, c.red, c.green, c.blue]
            .map(|(x, y)| (f64::from(x.into_scaled()) / 100_000.0, f64::from(y.into_scaled()) / 100_000.0))
    });
    Profile::from_gamma(gamma, xy, space)
}

/// The pixels. A damaged file gives the rows (or, interlaced, the passes) before the damage.
pub(super) fn decode(bytes: &[u8], facts: &Facts) -> Result<Image> {
    // The profile is in `facts` already.
    let mut reader = open(Cursor::new(bytes), limits::SOURCE_PIXELS_MAX, Icc::Skip)?;
    let (layout, depth) = layout(&reader)?;
    let rows = Rows::new(facts.stored, layout, depth, facts.profile.as_ref());
    let image = if reader.info().interlaced {
        interlaced(&mut reader, rows, layout, depth, facts.stored)?
    } else {
        sequential(&mut reader, rows, depth, facts.stored)?
    };
    Ok(exif::turn(image, facts.orientation))
}

fn sequential(reader: &mut Reader<Cursor<&[u8]>>, mut rows: Rows, depth: Depth, size: Size) -> Result<Image> {
    let row_len = reader.output_line_size(size.w).ok_or_else(|| Error::broken(NAME, "rows too long"))?;
    let mut strip = vec![0; (STRIP_BYTES / row_len).clamp(1, size.h as usize) * row_len];
    let mut y = 0;
    while y < size.h as usize {
        let count = (strip.len() / row_len).min(size.h as usize - y);
        let mut filled = 0;
        let mut damage = None;
        for row in strip.chunks_exact_mut(row_len).take(count) {
            match reader.read_row(row) {
                Ok(Some(_)) => filled += 1,
                Ok(None) => damage = Some(Error::broken(NAME, "fewer rows than its header says")),
                Err(error) => damage = Some(broken(error)),
            }
            if damage.is_some() {
                break;
            }
        }
        put(&mut rows, y, &strip[..filled * row_len], depth);
        y += filled;
        match damage {
            Some(error) if y == 0 => return Err(error),
            Some(_) => return Ok(rows.finish_damaged(y)),
            None => {}
        }
    }
    Ok(rows.finish())
}

fn interlaced(
    reader: &mut Reader<Cursor<&[u8]>>,
    mut rows: Rows,
    layout: Layout,
    depth: Depth,
    size: Size,
) -> Result<Image> {
    let row_len = reader.output_line_size(size.w).ok_or_else(|| Error::broken(NAME, "rows too long"))?;
    let missing = if layout.planes().alpha { 0 } else { 128 };
    let mut picture = vec![missing; row_len * size.h as usize];
    // A pixel has at most four samples of 16 bits.
    let bits = u8::try_from(row_len / size.w as usize * 8).map_err(|e| Error::broken(NAME, e))?;
    let mut rows_read = 0_u64;
    loop {
        match reader.next_interlaced_row() {
            Ok(Some(row)) => {
                if let InterlaceInfo::Adam7(info) = row.interlace() {
                    // Each sample covers the whole area that later passes will refine, in case they never come.
                    png::splat_interlaced_row(&mut picture, row_len, row.data(), info, bits);
                }
                rows_read += 1;
            }
            Ok(None) => break,
            Err(error) if rows_read == 0 => return Err(broken(error)),
            Err(_) => break,
        }
    }
    let strip_rows = (STRIP_BYTES / row_len).max(1);
    for (i, strip) in picture.chunks(strip_rows * row_len).enumerate() {
        put(&mut rows, i * strip_rows, strip, depth);
    }
    Ok(rows.finish())
}

fn put(rows: &mut Rows, y: usize, bytes: &[u8], depth: Depth) {
    match depth {
        Depth::Eight => rows.put8(y, bytes),
        Depth::Sixteen => {
            let samples: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|b| u16::from_be_bytes(*b)).collect();
            rows.put16(y, &samples);
        }
    }
}

/// Encodes grey or RGB planes at deflate's `level`, 1 to 9, or by fdeflate at 0, with alpha unless it is opaque everywhere.
pub(super) fn encode(image: &Image, beside: &Beside<'_>, level: u8) -> Result<Vec<u8>> {
    let alpha = !image.is_opaque();
    let colour = match (image.format().model, alpha) {
        (Model::Grey, false) => ColorType::Grayscale,
        (Model::Grey, true) => ColorType::GrayscaleAlpha,
        (Model::Rgb, false) => ColorType::Rgb,
        (Model::Rgb, true) => ColorType::Rgba,
        (Model::Ycbcr(_) | Model::Yuv | Model::Cmyk, _) => {
            return Err(refuse(format!("planes of {:?}: expected grey or RGB", image.format())));
        }
    };
    write(image.size(), beside, level, &rows::interleaved(image, alpha), |encoder| {
        encoder.set_color(colour);
        encoder.set_depth(BitDepth::Eight);
    })
}

/// Encodes grey or RGB planes by palette, in as few bits as that has.
pub(super) fn encode_indexed(image: &Image, palette: Palette, beside: &Beside<'_>) -> Result<Vec<u8>> {
    if !matches!(image.format().model, Model::Grey | Model::Rgb) {
        return Err(refuse(format!("planes of {:?}: expected grey or RGB", image.format())));
    }
    let Indexed { size, palette, has_key, indices } = quantize::indexed(image, palette, &beside.output.colours);
    let (depth, bits) = match palette.len() {
        ..=2 => (BitDepth::One, 1),
        3..=4 => (BitDepth::Two, 2),
        5..=16 => (BitDepth::Four, 4),
        17.. => (BitDepth::Eight, 8),
    };
    let rows = packed(size, &indices, bits);
    drop(indices);
    write(size, beside, LEVEL, &rows, |encoder| {
        encoder.set_color(ColorType::Indexed);
        encoder.set_depth(depth);
        encoder.set_palette(palette.as_flattened().to_vec());
        // Differences of indices mean nothing.
        encoder.set_filter(Filter::NoFilter);
        if has_key {
            encoder.set_trns(vec![0]);
        }
    })
}

/// Rows of samples of `bits` bits each, first sample in the highest.
fn packed(size: Size, indices: &[u8], bits: usize) -> Vec<u8> {
    let mut rows = Vec::with_capacity((size.w as usize * bits).div_ceil(8) * size.h as usize);
    for row in indices.chunks_exact(size.w as usize) {
        rows.extend(
            row.chunks(8 / bits)
                .map(|part| part.iter().enumerate().fold(0, |byte, (i, index)| byte | index << (8 - bits * (i + 1)))),
        );
    }
    rows
}

fn write(
    size: Size,
    beside: &Beside<'_>,
    level: u8,
    rows: &[u8],
    set: impl FnOnce(&mut png::Encoder<'_, &mut Vec<u8>>),
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut info = Info::with_size(size.w, size.h);
    info.icc_profile = beside.icc.map(Cow::Borrowed);
    let mut encoder = png::Encoder::with_info(&mut bytes, info).map_err(refuse)?;
    encoder.set_deflate_compression(match level {
        0 => DeflateCompression::FdeflateUltraFast,
        level => DeflateCompression::Level(level),
    });
    encoder.set_filter(Filter::Adaptive);
    encoder.set_pixel_dims(beside.output.density.map(|density| {
        let pixels = density.per_metre();
        PixelDimensions { xppu: pixels, yppu: pixels, unit: Unit::Meter }
    }));
    // PNG has text of UTF-8 alone; so have nearly all packets.
    if let Some(packet) = beside.xmp.and_then(|packet| std::str::from_utf8(packet).ok()) {
        encoder.add_itxt_chunk(XMP_KEYWORD.to_owned(), packet.to_owned()).map_err(refuse)?;
    }
    set(&mut encoder);
    let mut writer = encoder.write_header().map_err(refuse)?;
    writer.write_image_data(rows).map_err(refuse)?;
    writer.finish().map_err(refuse)?;
    Ok(bytes)
}

/// Keyword of the chunk of an XMP packet.
const XMP_KEYWORD: &str = "XML:com.adobe.xmp";

fn refuse(reason: impl std::fmt::Display) -> Error {
    Error::Encode { format: NAME, reason: reason.to_string() }
}
