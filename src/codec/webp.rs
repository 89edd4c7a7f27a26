//! WebP: our own walk over the RIFF chunks, image-webp (through `image`) for the pixels, libwebp for the way out.
//!
//! Of an animation the first page is taken. EXIF is looked for after the pixels, where the format puts it; the walk
//! only jumps from chunk to chunk. Source: RFC 9649, 2.

use std::borrow::Cow;
use std::hash::Hasher;
use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};

use image::ImageDecoder;
use image::codecs::webp::WebPDecoder;

use crate::codec::bounds::{self, WebpKind};
use crate::codec::ffi::libwebp::{self, Samples, Settings};
use crate::codec::icc::{Profile, Space};
use crate::codec::rows::{self, Depth, Layout, Rows};
use crate::codec::{Facts, check_size, exif, read_error};
use crate::error::{Error, Result};
use crate::limits;
use crate::pixel::{Image, Model, Plane, Size};
use crate::plan::WebpQuality;

const NAME: &str = "webp";
/// libwebp's method for lossy pictures: 5 saves 1 to 2 % for a sixth more time, 6 saves 3 to 5 % for twice the time, 2 loses 5 %
/// (`docs/measurements.md`).
pub(super) const METHOD: u8 = 3;
/// And for those without loss.
pub(super) const LOSSLESS_METHOD: u8 = 4;
/// Chunks of one file: an animation has one a page.
const CHUNKS_MAX: usize = 100_000;

/// What the chunks before and after the pixels say.
pub(super) fn facts(source: &mut (impl BufRead + Seek), pixels_max: u64) -> Result<Facts> {
    let chunks = read_chunks(source)?;
    check_size(NAME, chunks.size, pixels_max)?;
    let layout = if chunks.alpha { Layout::RgbAlpha } else { Layout::Rgb };
    let profile = Profile::from_icc(&chunks.icc, Space::Rgb);
    // Whatever is made up at the end is read like the rest.
    let pixels = bounds::webp(chunks.size, layout, chunks.kind) + 4 * chunks.missing_bytes;
    Ok(Facts {
        stored: chunks.size,
        native: layout.planes(),
        orientation: exif::orientation(&chunks.exif),
        decoder_bytes: bounds::with_constants(pixels, chunks.icc.len() + chunks.exif.len(), profile.is_some()),
        profile,
        density: None,
    })
}

struct Chunks {
    size: Size,
    alpha: bool,
    kind: WebpKind,
    icc: Vec<u8>,
    exif: Vec<u8>,
    /// Offset of the flags of an extended header, and those flags that promise a chunk that is not there.
    lies: Option<(usize, u8)>,
    /// How much longer the file says it is, as far as a picture of its size can be.
    missing_bytes: u64,
}

fn read_chunks(source: &mut (impl BufRead + Seek)) -> Result<Chunks> {
    let failed = |e| read_error(NAME, e);
    let mut riff = [0; 12];
    source.read_exact(&mut riff).map_err(failed)?;
    let mut found = Chunks {
        size: Size::new(0, 0),
        alpha: false,
        kind: WebpKind::Lossy,
        icc: Vec::new(),
        exif: Vec::new(),
        lies: None,
        missing_bytes: 0,
    };
    let [.., l0, l1, l2, l3, _, _, _, _] = riff;
    let claimed = u64::from(u32::from_le_bytes([l0, l1, l2, l3])) + 8;
    let there = source.seek(SeekFrom::End(0)).map_err(failed)?;
    source.seek(SeekFrom::Start(riff.len() as u64)).map_err(failed)?;
    let missing = |size: Size| claimed.saturating_sub(there).min(size.pixels() * 4 + (64 << 10));
    let mut flags = None;
    for _ in 0..CHUNKS_MAX {
        let mut head = [0; 8];
        match source.read_exact(&mut head) {
            Ok(()) => {}
            // The end of a whole file, or of a truncated one: the decoder will tell which.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof && flags.is_some() => break,
            Err(e) => return Err(failed(e)),
        }
        let [tag @ .., l0, l1, l2, l3] = head;
        let length = u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
        // Chunks are padded to an even length.
        let mut left = length + length % 2;
        let mut body = |source: &mut _, max: usize| -> Result<Vec<u8>> {
            let mut body = Vec::new();
            let max = length.min(max as u64);
            Read::take(source, max).read_to_end(&mut body).map_err(failed)?;
            left -= body.len() as u64;
            Ok(body)
        };
        match &tag {
            b"VP8X" => {
                let [bits, _, _, _, w0, w1, w2, h0, h1, h2, ..] = body(source, 10)?[..] else {
                    return Err(Error::broken(NAME, "an extended header that is too short"));
                };
                found.size =
                    Size::new(1 + u32::from_le_bytes([w0, w1, w2, 0]), 1 + u32::from_le_bytes([h0, h1, h2, 0]));
                found.alpha = bits & 0x10 != 0;
                found.kind = match (bits & 0x02 != 0, found.alpha) {
                    (true, _) => WebpKind::Animated,
                    (false, true) => WebpKind::LossyAlpha,
                    (false, false) => WebpKind::Lossy,
                };
                flags = Some(bits);
            }
            b"VP8 " if flags.is_none() => {
                let [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1] = body(source, 10)?[..] else {
                    return Err(Error::broken(NAME, "a lossy picture without its start code"));
                };
                let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
                found.size = Size::new(side(w0, w1), side(h0, h1));
                found.missing_bytes = missing(found.size);
                return Ok(found);
            }
            b"VP8L" if flags.is_none() => {
                let [0x2f, b0, b1, b2, b3] = body(source, 5)?[..] else {
                    return Err(Error::broken(NAME, "a lossless picture without its signature"));
                };
                let bits = u32::from_le_bytes([b0, b1, b2, b3]);
                found.size = Size::new(1 + (bits & 0x3fff), 1 + ((bits >> 14) & 0x3fff));
                found.alpha = bits & (1 << 28) != 0;
                found.kind = WebpKind::Lossless;
                found.missing_bytes = missing(found.size);
                return Ok(found);
            }
            b"VP8L" if found.kind != WebpKind::Animated => found.kind = WebpKind::Lossless,
            b"ICCP" if found.icc.is_empty() => found.icc = body(source, limits::METADATA_BYTES_MAX)?,
            b"EXIF" if found.exif.is_empty() => found.exif = body(source, limits::METADATA_BYTES_MAX)?,
            _ if flags.is_none() => return Err(Error::broken(NAME, "a first chunk that is no picture")),
            _ => {}
        }
        // At most 2³² + 1, so it fits.
        source.seek_relative(left as i64).map_err(failed)?;
    }
    found.missing_bytes = missing(found.size);
    let missing = if found.exif.is_empty() { 0x08 } else { 0 };
    found.lies = flags.filter(|bits| bits & (missing | 0x04) != 0).map(|bits| (20, bits & (missing | 0x04)));
    Ok(found)
}

/// The pixels. A file cut short gives the rows before the cut.
pub(super) fn decode(bytes: &[u8], facts: &Facts) -> Result<Image> {
    let chunks = read_chunks(&mut Cursor::new(bytes))?;
    let layout = if chunks.alpha { Layout::RgbAlpha } else { Layout::Rgb };
    let mut samples = vec![0; facts.stored.samples() * layout.channels()];
    let read = |source: Source<'_>, samples: &mut [u8]| -> Result<()> {
        let decoder = WebPDecoder::new(BufReader::new(source)).map_err(|e| Error::broken(NAME, e))?;
        if decoder.dimensions() != (facts.stored.w, facts.stored.h) {
            return Err(Error::broken(NAME, "its chunks disagree about its size"));
        }
        if decoder.total_bytes() != samples.len() as u64 {
            return Err(Error::broken(NAME, "its chunks disagree about alpha"));
        }
        decoder.read_image(samples).map_err(|e| Error::broken(NAME, e))
    };
    let source = |fill| Source { bytes, len: bytes.len() as u64, fill, lies: None, at: 0 };
    let mut good_rows = facts.stored.h as usize;
    if let Err(error) = read(source(Fill::Zeros), &mut samples) {
        // A file cut short lacks the metadata that its header promises, on which the decoder insists, and the end of
        // its pixels. Both are made up, the latter twice and differently: rows that come out alike owe nothing to it.
        let ended = |fill| Source { len: bytes.len() as u64 + chunks.missing_bytes, lies: chunks.lies, ..source(fill) };
        if chunks.missing_bytes == 0 && chunks.lies.is_none() {
            return Err(error);
        }
        let row_bytes = facts.stored.w as usize * layout.channels();
        // What is made up may ask for more bytes than the file has room for.
        let mut fills = [Fill::Zeros, Fill::Noise, Fill::Murmur].into_iter();
        if !fills.any(|fill| read(ended(fill), &mut samples).is_ok()) {
            return Err(error);
        }
        let hashes: Vec<u64> = samples.chunks(row_bytes).map(hash).collect();
        if !fills.any(|fill| read(ended(fill), &mut samples).is_ok()) {
            return Err(error);
        }
        good_rows = samples.chunks(row_bytes).zip(&hashes).take_while(|(row, want)| hash(row) == **want).count();
        if good_rows == 0 {
            return Err(Error::broken(NAME, "the file ends before its first row"));
        }
        samples.truncate(good_rows * row_bytes);
    }
    let image = if good_rows == facts.stored.h as usize {
        rows::image8(facts.stored, layout, facts.profile.as_ref(), samples)
    } else {
        let mut rows = Rows::new(facts.stored, layout, Depth::Eight, facts.profile.as_ref());
        rows.put8(0, &samples);
        drop(samples);
        rows.finish_damaged(good_rows)
    };
    Ok(exif::turn(image, facts.orientation))
}

fn hash(row: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(row);
    hasher.finish()
}

/// What stands where a file has been cut off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    Zeros,
    /// Any bytes that do not repeat.
    Noise,
    /// Such bytes, but small: an arithmetic decoder makes less of them.
    Murmur,
}

/// The file, as long as its header says and without promises that it does not keep.
struct Source<'b> {
    bytes: &'b [u8],
    len: u64,
    fill: Fill,
    /// See [`Chunks::lies`].
    lies: Option<(usize, u8)>,
    at: u64,
}

impl Read for Source<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let from = usize::try_from(self.at).unwrap_or(usize::MAX);
        let there = self.bytes.get(from..).unwrap_or_default();
        let len = if there.is_empty() { buf.len().min(left) } else { buf.len().min(left).min(there.len()) };
        let buf = &mut buf[..len];
        if there.is_empty() {
            for (at, v) in (self.at..).zip(buf) {
                // The golden ratio's multiples fill the range evenly and never in step with anything.
                let noise = at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0];
                *v = match self.fill {
                    Fill::Zeros => 0,
                    Fill::Noise => noise,
                    Fill::Murmur => noise / 16,
                };
            }
        } else {
            buf.copy_from_slice(&there[..len]);
            if let Some((lie, bits)) = self.lies
                && let Some(flags) = lie.checked_sub(from).and_then(|i| buf.get_mut(i))
            {
                *flags &= !bits;
            }
        }
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for Source<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let to = match to {
            SeekFrom::Start(to) => Some(to),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        self.at = to.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Encodes grey or Y U V planes by one of libwebp's methods, 0 to 6, with alpha unless it is opaque everywhere.
pub(super) fn encode(image: &Image, WebpQuality(hundredths): WebpQuality, method: u8) -> Result<Vec<u8>> {
    if hundredths > 10_000 {
        return Err(refuse(&format!("quality {hundredths}: expected 0 to 10000 hundredths")));
    }
    let planes = match (image.format().model, image.planes()) {
        (Model::Grey, [grey, ..]) => {
            let chroma = grey.size().half();
            let luma = Plane::from_vec(grey.size(), grey.data().iter().map(|&v| video_luma(v)).collect());
            let neutral = || Cow::Owned(Plane::from_vec(chroma, vec![128; chroma.samples()]));
            [Cow::Owned(luma), neutral(), neutral()]
        }
        (Model::Yuv, [y, u, v, ..]) => [y, u, v].map(Cow::Borrowed),
        (_, _) => return Err(refuse(&format!("planes of {:?}: expected grey or Y U V", image.format()))),
    };
    let alpha = image.alpha().filter(|_| !image.is_opaque());
    let settings = Settings { quality: f32::from(hundredths) / 100.0, method };
    libwebp::encode(Samples::Yuv { planes, alpha }, settings).map_err(|reason| refuse(&reason))
}

/// `16 + 219 v / 255`, rounded: BT.601's video range.
fn video_luma(v: u8) -> u8 {
    let above_black = (438 * u32::from(v) + 255) / 510;
    u8::try_from(16 + above_black).unwrap_or(235)
}

/// Encodes grey or RGB planes without loss by one of libwebp's methods, 0 to 6, with alpha unless it is opaque everywhere.
pub(super) fn encode_lossless(image: &Image, method: u8) -> Result<Vec<u8>> {
    let [r, g, b] = match (image.format().model, image.planes()) {
        (Model::Grey, [grey, ..]) => [grey; 3],
        (Model::Rgb, [r, g, b, ..]) => [r, g, b],
        (_, _) => return Err(refuse(&format!("planes of {:?}: expected grey or RGB", image.format()))),
    };
    let colours = r.data().iter().zip(g.data()).zip(b.data());
    let packed = colours.map(|((r, g), b)| u32::from_be_bytes([255, *r, *g, *b]));
    let pixels = match image.alpha() {
        Some(alpha) => packed.zip(alpha.data()).map(|(px, a)| px & 0x00ff_ffff | u32::from(*a) << 24).collect(),
        None => packed.collect(),
    };
    let settings = Settings { quality: 75.0, method };
    libwebp::encode(Samples::Argb { size: image.size(), pixels }, settings).map_err(|reason| refuse(&reason))
}

fn refuse(reason: &dyn std::fmt::Display) -> Error {
    Error::Encode { format: NAME, reason: reason.to_string() }
}

/// The same file with an XMP packet behind its pixels (RFC 9649, 2.7).
pub(super) fn with_xmp(file: Vec<u8>, packet: Option<&[u8]>) -> Vec<u8> {
    const HAS_XMP: u8 = 0x04;
    const HAS_ALPHA: u8 = 0x10;
    let (Some(packet), Some(chunks), Some(size)) = (packet, file.get(12..), written_size(&file)) else { return file };
    let mut out = b"RIFF\0\0\0\0WEBP".to_vec();
    if let Some(flags) = chunks.starts_with(b"VP8X").then(|| chunks.get(8)).flatten() {
        out.extend_from_slice(chunks);
        out[12 + 8] = flags | HAS_XMP;
    } else {
        // Of VP8L alone: whether it has alpha is the bit after both sides.
        let has_alpha = chunks.starts_with(b"VP8L") && chunks.get(12).is_some_and(|byte| byte & 0x10 != 0);
        let [w, h] = [size.w, size.h].map(|side| (side - 1).to_le_bytes());
        out.extend(b"VP8X\x0a\0\0\0");
        out.extend([HAS_XMP | if has_alpha { HAS_ALPHA } else { 0 }, 0, 0, 0, w[0], w[1], w[2], h[0], h[1], h[2]]);
        out.extend_from_slice(chunks);
    }
    out.extend(b"XMP ");
    // Packets and pictures together stay far below 4 GiB.
    out.extend(u32::try_from(packet.len()).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(packet);
    out.resize(out.len().next_multiple_of(2), 0);
    let length = u32::try_from(out.len() - 8).unwrap_or(0).to_le_bytes();
    out[4..8].copy_from_slice(&length);
    out
}

/// Size of a file that libwebp wrote.
fn written_size(file: &[u8]) -> Option<Size> {
    read_chunks(&mut Cursor::new(file)).ok().map(|chunks| chunks.size)
}
