//! JPEG: our own walk over the markers, zune-jpeg for the pixels, our own encoder for the way out.
//!
//! One kind of file goes to jpeg-decoder instead: sequential, one component a scan. zune-jpeg 0.5.15 takes its blocks in
//! the wrong order where chroma is subsampled, and does not notice a scan that is missing; our own files are of that kind,
//! since it is the smallest.
//!
//! The walk reads what stands before the first scan (size, components, EXIF, ICC, Adobe's colour transform) and
//! bounds what the decoder may meet after it: a file with more than [`SCANS_MAX`] scans is cut before the next one,
//! since every scan of a progressive file costs a visit to each block, however few bytes it has.
//! Source: ITU-T T.81; Adobe TN 5116 for the APP14 segment; ICC.1:2010 B.4 for APP2.

mod blocks;
mod encode;
mod huffman;
mod progressive;

use std::io::{BufRead, Seek};

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

pub(super) use self::encode::{encode, encode_interleaved};
use crate::codec::bounds::JpegScans;
use crate::codec::icc::{Profile, Space};
use crate::codec::rows::{self, Layout};
use crate::codec::{Facts, bounds, check_size, exif, mend, read_error};
use crate::error::{Error, Result};
use crate::limits;
use crate::pixel::{Chroma, Density, Image, Model, PixelFormat, Size};
use crate::plan::DecodeAs;

const NAME: &str = "jpeg";
/// Segments before the first scan.
const SEGMENTS_MAX: usize = 10_000;
/// Scans of one picture. Encoders write about ten; one scan for each bit and band of each component would be more,
/// but nobody does.
const SCANS_MAX: usize = 100;
/// What a sample is where a damaged file ends: grey in every colour space that JPEG has but inks.
const MISSING: u8 = 128;

/// How the components are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    Grey,
    Ycbcr,
    Rgb,
    Cmyk,
    Ycck,
}

/// What stands before the first scan.
struct Start {
    size: Size,
    components: Vec<u8>,
    /// Horizontal and vertical factors of each component.
    sampling: Vec<(u8, u8)>,
    is_progressive: bool,
    /// Components in the first scan.
    first_scan: usize,
    /// Adobe's transform flag; the segment's mere presence means inverted inks.
    adobe: Option<u8>,
    exif: Vec<u8>,
    icc: Vec<u8>,
    density: Option<Density>,
}

impl Start {
    fn colour(&self) -> Result<Colour> {
        match (self.components.as_slice(), self.adobe) {
            ([_], _) => Ok(Colour::Grey),
            // Files without JFIF or Adobe segments name their components.
            ([b'R', b'G', b'B'], _) | ([_, _, _], Some(0)) => Ok(Colour::Rgb),
            ([_, _, _], _) => Ok(Colour::Ycbcr),
            ([_, _, _, _], Some(2)) => Ok(Colour::Ycck),
            ([_, _, _, _], _) => Ok(Colour::Cmyk),
            (other, _) => Err(Error::broken(NAME, format!("{} colour components: expected 1, 3 or 4", other.len()))),
        }
    }

    /// Whether this is the kind of file that zune-jpeg scrambles.
    fn is_sequential_by_component(&self) -> bool {
        !self.is_progressive && self.first_scan < self.components.len()
    }

    fn scans(&self) -> JpegScans {
        match (self.is_progressive, self.is_sequential_by_component()) {
            (true, _) => JpegScans::Progressive,
            (false, true) => JpegScans::ByComponent,
            (false, false) => JpegScans::One,
        }
    }

    fn space(&self) -> Result<Space> {
        Ok(match self.colour()? {
            Colour::Grey => Space::Grey,
            Colour::Ycbcr | Colour::Rgb => Space::Rgb,
            Colour::Cmyk | Colour::Ycck => Space::Cmyk,
        })
    }
}

/// What the header says; nothing after the first scan's header is read.
pub(super) fn facts(source: &mut (impl BufRead + Seek), pixels_max: u64) -> Result<Facts> {
    let start = read_start(source)?;
    check_size(NAME, start.size, pixels_max)?;
    let profile = Profile::from_icc(&start.icc, start.space()?);
    let native = match start.colour()? {
        Colour::Grey => PixelFormat::GREY,
        Colour::Ycbcr if profile.is_none() => PixelFormat { model: Model::Ycbcr(Chroma::Full), alpha: false },
        Colour::Ycbcr | Colour::Rgb | Colour::Cmyk | Colour::Ycck => PixelFormat::RGB,
    };
    let layout = match start.colour()? {
        Colour::Grey => Layout::Grey,
        Colour::Ycbcr | Colour::Rgb => Layout::Rgb,
        Colour::Cmyk | Colour::Ycck => Layout::Cmyk,
    };
    let pixels = bounds::jpeg(start.size, layout, &start.sampling, start.scans());
    let decoder_bytes = bounds::with_constants(pixels, start.icc.len() + start.exif.len(), profile.is_some());
    let orientation = exif::orientation(&start.exif);
    Ok(Facts { stored: start.size, native, orientation, profile, decoder_bytes, density: start.density })
}

fn read_start(source: &mut (impl BufRead + Seek)) -> Result<Start> {
    let failed = |e| read_error(NAME, e);
    let mut size = None;
    let mut start = Start {
        size: Size::new(0, 0),
        components: Vec::new(),
        sampling: Vec::new(),
        is_progressive: false,
        first_scan: 0,
        adobe: None,
        exif: Vec::new(),
        icc: Vec::new(),
        density: None,
    };
    let mut icc_chunks: Vec<(u8, Vec<u8>)> = Vec::new();
    let mut metadata_bytes = 0;
    source.seek_relative(2).map_err(failed)?;
    for _ in 0..SEGMENTS_MAX {
        let marker = next_marker(source)?;
        let length = usize::from(u16::from_be_bytes(read_array(source)?));
        let mut left = length.checked_sub(2).ok_or_else(|| Error::broken(NAME, "a segment shorter than its length"))?;
        let mut body = |source: &mut _, left: &mut usize| -> Result<Vec<u8>> {
            metadata_bytes += *left;
            if metadata_bytes > limits::METADATA_BYTES_MAX {
                return Err(Error::broken(NAME, "too much metadata"));
            }
            let mut body = vec![0; *left];
            std::io::Read::read_exact(source, &mut body).map_err(failed)?;
            *left = 0;
            Ok(body)
        };
        match marker {
            0xc0..=0xc2 => {
                let frame = body(source, &mut left)?;
                let [bits, h1, h0, w1, w0, count, components @ ..] = frame.as_slice() else {
                    return Err(Error::broken(NAME, "a frame header that is too short"));
                };
                if *bits != 8 {
                    return Err(Error::broken(NAME, format!("{bits} bits a sample: only 8 are supported")));
                }
                let found = Size::new(u16::from_be_bytes([*w1, *w0]).into(), u16::from_be_bytes([*h1, *h0]).into());
                if size.replace(found).is_some() {
                    return Err(Error::broken(NAME, "two frame headers"));
                }
                start.size = found;
                let components = || components.chunks_exact(3).take(usize::from(*count));
                start.components = components().map(|c| c[0]).collect();
                start.sampling = components().map(|c| (c[1] >> 4, c[1] & 15)).collect();
                start.is_progressive = marker == 0xc2;
            }
            0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Err(Error::broken(NAME, "a lossless, hierarchical or arithmetic frame, which nobody decodes"));
            }
            0xda if size.is_some() => {
                let scan = body(source, &mut left)?;
                start.first_scan = scan.first().copied().unwrap_or(0).into();
                icc_chunks.sort_by_key(|c| c.0);
                start.icc = icc_chunks.into_iter().flat_map(|c| c.1).collect();
                return Ok(start);
            }
            0xda => return Err(Error::broken(NAME, "a scan before the frame header")),
            0xd9 => return Err(Error::broken(NAME, "the file ends before its first scan")),
            0xe0 => {
                let app0 = body(source, &mut left)?;
                // "JFIF\0", version, unit (0: none, 1: inch, 2: centimetre), columns, rows.
                if let (true, [_, _, unit, x1, x0, ..]) = (app0.starts_with(b"JFIF\0"), &app0[app0.len().min(5)..]) {
                    let columns = f64::from(u16::from_be_bytes([*x1, *x0]));
                    start.density = match unit {
                        1 => Density::from_dpi(columns),
                        2 => Density::from_per_metre(100.0 * columns),
                        _ => None,
                    };
                }
            }
            0xe1 if start.exif.is_empty() => {
                let app1 = body(source, &mut left)?;
                if app1.starts_with(b"Exif\0") {
                    start.exif = app1;
                }
            }
            0xe2 => {
                let app2 = body(source, &mut left)?;
                // "ICC_PROFILE\0", sequence number, count, data.
                if let Some([sequence, _count, data @ ..]) = app2.strip_prefix(b"ICC_PROFILE\0") {
                    icc_chunks.push((*sequence, data.to_vec()));
                }
            }
            0xee => {
                let app14 = body(source, &mut left)?;
                if let (true, Some(transform)) = (app14.starts_with(b"Adobe"), app14.get(11)) {
                    start.adobe = Some(*transform);
                }
            }
            _ => {}
        }
        if left > 0 {
            // `left` is below 65536, so it fits.
            source.seek_relative(left as i64).map_err(failed)?;
        }
    }
    Err(Error::broken(NAME, format!("more than {SEGMENTS_MAX} segments before the first scan")))
}

/// The next marker that has a segment, past fill bytes and stray ones.
fn next_marker(source: &mut impl BufRead) -> Result<u8> {
    // As much garbage between segments as real files have been seen with, and more.
    for _ in 0..65_536 {
        let [mut byte] = read_array(source)?;
        if byte != 0xff {
            continue;
        }
        while byte == 0xff {
            [byte] = read_array(source)?;
        }
        // 0 is stuffing; 01 and d0 to d8 stand alone.
        if !matches!(byte, 0 | 1 | 0xd0..=0xd8) {
            return Ok(byte);
        }
    }
    Err(Error::broken(NAME, "no marker where one should be"))
}

fn read_array<const N: usize>(source: &mut impl BufRead) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes).map_err(|e| read_error(NAME, e))?;
    Ok(bytes)
}

/// The pixels.
pub(super) fn decode(bytes: &[u8], facts: &Facts, decode_as: DecodeAs) -> Result<Image> {
    let start = read_start(&mut std::io::Cursor::new(bytes))?;
    let colour = start.colour()?;
    let (out, layout) = match colour {
        Colour::Grey => (ColorSpace::Luma, Layout::Grey),
        Colour::Ycbcr if decode_as == DecodeAs::Native && facts.profile.is_none() => (ColorSpace::YCbCr, Layout::Ycbcr),
        Colour::Ycbcr | Colour::Rgb => (ColorSpace::RGB, Layout::Rgb),
        Colour::Cmyk => (ColorSpace::CMYK, Layout::Cmyk),
        Colour::Ycck => (ColorSpace::YCCK, Layout::Cmyk),
    };
    let bytes = &bytes[..scans_end(bytes)];
    let mut samples = if start.is_sequential_by_component() {
        samples_by_component(bytes, facts.stored, colour, out)?
    } else {
        samples(bytes, facts.stored, out)?
    };
    let inverted = start.adobe.is_some();
    match colour {
        Colour::Ycck => samples.as_chunks_mut::<4>().0.iter_mut().for_each(|px| *px = inks_of_ycck(*px, inverted)),
        Colour::Cmyk if inverted => samples.iter_mut().for_each(|v| *v = 255 - *v),
        Colour::Cmyk | Colour::Grey | Colour::Ycbcr | Colour::Rgb => {}
    }
    Ok(exif::turn(rows::image8(facts.stored, layout, facts.profile.as_ref(), samples), facts.orientation))
}

/// The decoder's interleaved samples. A file that ends early or turns to nonsense gives the part before that, and
/// [`MISSING`] for the rest.
fn samples(bytes: &[u8], size: Size, out: ColorSpace) -> Result<Vec<u8>> {
    let options = DecoderOptions::default()
        .set_max_width(limits::SOURCE_SIDE_MAX as usize)
        .set_max_height(limits::SOURCE_SIDE_MAX as usize)
        .jpeg_set_max_scans(SCANS_MAX + 1)
        .jpeg_set_out_colorspace(out)
        .set_strict_mode(false);
    let len = size.samples() * out.num_components();
    let attempt = |bytes: &[u8], samples: &mut [u8]| -> Result<()> {
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        let broken = |e| Error::broken(NAME, e);
        decoder.decode_headers().map_err(broken)?;
        if decoder.output_buffer_size() != Some(len) {
            return Err(Error::broken(NAME, "two frame headers that disagree"));
        }
        decoder.decode_into(samples).map_err(broken)
    };
    let mut samples = vec![0; len];
    let Err(error) = attempt(bytes, &mut samples) else { return Ok(samples) };
    // Damaged. Once more with an end, which progressive files need, then with fewer and fewer scans, in case it is the
    // header of one that stops the decoder: halving, so that all of it costs no more than a second decode.
    let starts = mend::scan_starts(bytes);
    let fewer =
        std::iter::successors(starts.len().checked_sub(1), |scans| Some(scans / 2)).take_while(|&scans| scans > 0);
    // A file may end among the tables behind its last scan, too.
    let last = starts.last().map(|&start| scan_end(bytes, start));
    for end in std::iter::once(bytes.len()).chain(last).chain(fewer.map(|scans| starts[scans])) {
        samples.fill(MISSING);
        let mut ended = Vec::with_capacity(end + 2);
        ended.extend_from_slice(&bytes[..end]);
        ended.extend_from_slice(&[0xff, 0xd9]);
        match attempt(&ended, &mut samples) {
            Err(_) if samples.iter().all(|&v| v == MISSING) => {}
            Ok(()) | Err(_) => return Ok(samples),
        }
    }
    Err(error)
}

/// Where the data of the scan end whose marker is at `start`: at the next marker that is no part of them.
fn scan_end(bytes: &[u8], start: usize) -> usize {
    let is_end = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff);
    let data = (start + 2).min(bytes.len());
    bytes[data..].windows(2).position(is_end).map_or(bytes.len(), |at| data + at)
}

/// The same of a file with one component a scan. Half a file has half the components: the others are grey.
fn samples_by_component(bytes: &[u8], size: Size, colour: Colour, out: ColorSpace) -> Result<Vec<u8>> {
    match whole_samples_by_component(bytes, size, colour, out) {
        Ok(samples) => Ok(samples),
        Err(error) => match mend::completed(bytes) {
            Some(whole) => whole_samples_by_component(&whole, size, colour, out),
            None => Err(error),
        },
    }
}

fn whole_samples_by_component(bytes: &[u8], size: Size, colour: Colour, out: ColorSpace) -> Result<Vec<u8>> {
    let broken = |e| Error::broken(NAME, e);
    let len = size.samples() * out.num_components();
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(len);
    // As they are stored: its "no transform" does not even interleave, its CMYK inverts.
    let has_inks = matches!(colour, Colour::Cmyk | Colour::Ycck);
    decoder.set_color_transform(match has_inks {
        true => jpeg_decoder::ColorTransform::CMYK,
        false => jpeg_decoder::ColorTransform::RGB,
    });
    let mut samples = decoder.decode().map_err(broken)?;
    if samples.len() != len {
        return Err(Error::broken(NAME, "two frame headers that disagree"));
    }
    if has_inks {
        samples.iter_mut().for_each(|v| *v = 255 - *v);
    }
    if colour == Colour::Ycbcr && out == ColorSpace::RGB {
        samples.as_chunks_mut::<3>().0.iter_mut().for_each(|px| *px = rgb_of_ycbcr(*px));
    }
    Ok(samples)
}

/// Inks of a YCCK pixel: Y Cb Cr decodes to what is left of white, K stands as it is; Adobe's files hold
/// the inverse of it all.
fn inks_of_ycck([y, cb, cr, k]: [u8; 4], inverted: bool) -> [u8; 4] {
    let [r, g, b] = rgb_of_ycbcr([y, cb, cr]);
    if inverted { [r, g, b, 255 - k] } else { [255 - r, 255 - g, 255 - b, k] }
}

/// One full-range BT.601 pixel. Source: JFIF 1.02, page 3.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates at 0 and 255")]
pub(super) fn rgb_of_ycbcr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(|v| (v + 0.5) as u8)
}

/// Size in the frame header of a JPEG inside another format.
pub(super) fn frame_size(bytes: &[u8]) -> Result<Size> {
    read_start(&mut std::io::Cursor::new(bytes)).map(|start| start.size)
}

/// Where the bytes end that the decoder may see: at most [`SCANS_MAX`] scans.
fn scans_end(bytes: &[u8]) -> usize {
    mend::scan_starts(bytes).get(SCANS_MAX).copied().unwrap_or(bytes.len())
}
