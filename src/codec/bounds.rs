//! How many bytes a decode or an encode may hold at once, for the admission of jobs.
//!
//! Derived from what each codec allocates, by what the header says; upper bounds, not estimates: `tests/memory/bounds.rs`
//! counts what is really held, C included, and fails on a bound that is too low or, on big pictures, wasteful.

use crate::codec::rows::Layout;
use crate::limits;
use crate::pixel::{Chroma, Size};
use crate::plan::{EncodeSpec, Header, SourceFormat, TiffPacking};

/// Huffman and inflate tables, strips under way, small vectors: whatever does not grow with the picture.
const CONSTANT_BYTES: u64 = 2 << 20;
/// Tables of a colour conversion: curves at 16 bits, a grid of four inks.
const PROFILE_BYTES: u64 = 6 << 20;

/// Upper bound of the bytes that `decode` holds at once, the resulting image included, the source's own not.
pub fn decode_bytes_max(header: &Header, source_bytes: u64) -> u64 {
    let copies = match header.format {
        // A damaged file is mended in a copy, which the decoder may keep beside a shorter one.
        SourceFormat::Jpeg => 2,
        // Partitions are read into growing buffers.
        SourceFormat::Webp => 4,
        // A JPEG strip is put together with its tables.
        SourceFormat::Tiff => 2,
        SourceFormat::Png | SourceFormat::Gif => 0,
    };
    header.decoder_bytes.saturating_add(source_bytes.saturating_mul(copies))
}

/// What every format adds to its `pixels` bytes: metadata and profile as read, joined and parsed, and tables.
pub(super) fn with_constants(pixels: u64, metadata_bytes: usize, converts_profile: bool) -> u64 {
    let metadata = 4 * metadata_bytes.min(limits::METADATA_BYTES_MAX) as u64;
    pixels + metadata + CONSTANT_BYTES + if converts_profile { PROFILE_BYTES } else { 0 }
}

/// Bytes of the image that comes of `layout`.
fn planes(size: Size, layout: Layout) -> u64 {
    size.pixels() * layout.planes().planes() as u64
}

/// How much of a JPEG its decoder has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JpegScans {
    /// The first scan is the whole picture: a row of MCUs at a time.
    One,
    /// Coefficients of the whole picture.
    Progressive,
    /// One component a scan: jpeg-decoder's planes beside its coefficients.
    ByComponent,
}

/// JPEG: interleaved samples beside, first, the decoder's own buffers, then the planes. `sampling` has each component's
/// horizontal and vertical factor.
pub(super) fn jpeg(size: Size, layout: Layout, sampling: &[(u8, u8)], scans: JpegScans) -> u64 {
    let most = |side: fn(&(u8, u8)) -> u8| u64::from(sampling.iter().map(side).max().unwrap_or(1).max(1));
    let (mcu_w, mcu_h) = (8 * most(|s| s.0), 8 * most(|s| s.1));
    let mcus = (u64::from(size.w).div_ceil(mcu_w), u64::from(size.h).div_ceil(mcu_h));
    let blocks_a_mcu: u64 = sampling.iter().map(|&(h, v)| u64::from(h.max(1)) * u64::from(v.max(1))).sum();
    // One row of MCUs: 16-bit samples as decoded, doubled in both directions, and the rows between.
    let rows = mcus.0 * mcu_w * mcu_h * 2 * 5 * sampling.len() as u64;
    let block_bytes = match scans {
        JpegScans::One => 0,
        JpegScans::Progressive => 64 * 2,
        // Samples as well, in a mended file a second time, whose every block may be made up.
        JpegScans::ByComponent => 64 * 4 + 16,
    };
    let coefficients = mcus.0 * mcus.1 * blocks_a_mcu * block_bytes;
    size.pixels() * layout.channels() as u64 + (coefficients + rows).max(planes(size, layout))
}

/// PNG: the planes, some rows, and an interlaced picture whole. `row_bytes` is a row as the decoder hands it out.
pub(super) fn png(size: Size, layout: Layout, row_bytes: usize, is_interlaced: bool) -> u64 {
    let picture = if is_interlaced { row_bytes as u64 * u64::from(size.h) } else { 0 };
    // The row before, this one, and the inflated ones to come, in a buffer that doubles; a strip, widened.
    planes(size, layout) + picture + 12 * row_bytes as u64
}

/// What a WebP file holds, as far as its header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WebpKind {
    /// A key frame of VP8 alone.
    Lossy,
    /// VP8 with an alpha plane of its own.
    LossyAlpha,
    /// VP8L.
    Lossless,
    /// Pages on a canvas.
    Animated,
}

/// WebP: the decoder's planes or pixels, then interleaved samples beside our planes.
pub(super) fn webp(size: Size, layout: Layout, kind: WebpKind) -> u64 {
    let filled = u64::from(size.w.next_multiple_of(16)) * u64::from(size.h.next_multiple_of(16));
    // Y U V, 4:2:0.
    let frame = filled * 3 / 2;
    // Four samples, and what predictors, colour transforms and code groups of 4×4 pixels take.
    let lossless = filled * 6;
    // Lossless once more, for its green, and that twice.
    let alpha = lossless + filled * 2;
    let samples = size.pixels() * layout.channels() as u64;
    let decoder = match kind {
        WebpKind::Lossy => frame,
        WebpKind::LossyAlpha => frame + alpha,
        WebpKind::Lossless => lossless,
        // The page and the canvas, four samples each.
        WebpKind::Animated => frame + alpha + filled * 8,
    };
    samples + decoder.max(planes(size, layout))
}

/// GIF: the planes and a few rows.
pub(super) fn gif(canvas: Size, page: Size, layout: Layout) -> u64 {
    planes(canvas, layout) + 16 * (u64::from(canvas.w) + u64::from(page.w))
}

/// TIFF: one strip or tile as the decoder gives it, a row of them widened to 16 bits, the planes.
pub(super) struct TiffShape {
    /// Pixels of a strip or tile.
    pub(super) chunk_pixels: u64,
    /// Pixels of a row of them.
    pub(super) band_pixels: u64,
    /// Bytes of a pixel as stored, all samples together, in the chunk (one sample of it in planar files).
    pub(super) pixel_bytes: u64,
    /// Samples of a pixel in the row; 0 when it goes on as it is.
    pub(super) band_samples: u64,
    /// Whether the strips are JPEGs.
    pub(super) is_jpeg: bool,
}

pub(super) fn tiff(size: Size, layout: Layout, shape: &TiffShape) -> u64 {
    // Four components with their coefficients, and the decoded samples a second time.
    let jpeg = if shape.is_jpeg { shape.chunk_pixels * 16 + (1 << 20) } else { 0 };
    // Decoders expand into a buffer and swap bytes or unpack bits in another.
    planes(size, layout)
        + shape.chunk_pixels * shape.pixel_bytes * 2
        + shape.band_pixels * shape.band_samples * 2
        + jpeg
}

/// A picture turned by EXIF: one plane of it twice.
pub(super) fn turned(size: Size, orientation: u8, bytes: u64) -> u64 {
    if orientation > 1 { bytes + size.pixels() } else { bytes }
}

/// Upper bound of the bytes that `encode` holds at once, the resulting bytes included, the image not.
/// `alpha` says whether the image has a plane of it.
pub fn encode_bytes_max(size: Size, alpha: bool, spec: &EncodeSpec) -> u64 {
    let samples = if alpha { 4 } else { 3 };
    let filled = |to: u32| u64::from(size.w.next_multiple_of(to)) * u64::from(size.h.next_multiple_of(to));
    let pixels = match *spec {
        // Blocks of 16-bit coefficients and a word that says which are not 0, beside them a row of their samples, at most
        // three times; the bytes, in a vector that doubles.
        EncodeSpec::Jpeg { quality, chroma, .. } => {
            let samples = match chroma {
                Chroma::Full => 3 * filled(16),
                Chroma::Half => filled(16) * 3 / 2,
            };
            let row = u64::from(size.w.next_multiple_of(16)) * 24;
            samples * 136 / 64 + row + 3 * samples * u64::from(100 + u32::from(quality.0)) / 200
        }
        // Interleaved, filtered, deflated, and put into chunks.
        EncodeSpec::Png => filled(1) * samples * 4,
        // A strip of it all, beside the file that holds it.
        EncodeSpec::Tiff { packing: TiffPacking::Jpeg { quality, chroma } } => {
            let jpeg = EncodeSpec::Jpeg { quality, chroma, progressive: false };
            return encode_bytes_max(size, alpha, &jpeg) + filled(16) * 3 * u64::from(100 + u32::from(quality.0)) / 100;
        }
        // Interleaved, and the file in a buffer that doubles; a strip of 1 MB as differences and packed, with LZW's tree.
        EncodeSpec::Tiff { packing: TiffPacking::Lzw } => filled(1) * samples * 5 + (20 << 20),
        EncodeSpec::Tiff { .. } => filled(1) * samples * 5 + (8 << 20),
        // The histogram and what is made of it; indices, packed, deflated or in codes of 12 bits, in buffers that grow.
        EncodeSpec::Png8 { .. } | EncodeSpec::Gif { .. } => filled(1) * 6 + (24 << 20),
        // Y U V of grey, or copied under alpha, libwebp's modes and levels: at most 12. Tokens of 16 bits, at the finest
        // quality as many as coefficients and signs, and the bytes, in buffers that grow. Alpha is a lossless picture
        // of its own.
        EncodeSpec::Webp { quality } => {
            let tokens = match quality.0 {
                0..7500 => 18,
                7500..9000 => 22,
                9000..9500 => 26,
                _ => 32,
            };
            filled(16) * (12 + tokens + if alpha { 24 } else { 0 })
        }
        // The same with hash chains and back references of several tries; and histograms, of which there are no more
        // however large the picture.
        EncodeSpec::WebpLossless => (filled(16) * 110).min(filled(16) * 45 + (48 << 20)),
        // Planes converted to Y Cb Cr, libaom's buffers (35 for noise at 4:4:4), the bytes as they grow and in their file.
        EncodeSpec::Avif { .. } | EncodeSpec::AvifLossless => filled(32) * 64,
        // Samples of 32 bits, their code blocks and passes, the bytes as they grow and in their file.
        EncodeSpec::Jpeg2000 { .. } | EncodeSpec::Jpeg2000Lossless => filled(64) * samples * 16,
        // Interleaved; jxrlib holds two rows of blocks; the bytes in buffers that double, and in their file.
        EncodeSpec::JpegXr { .. } | EncodeSpec::JpegXrLossless => {
            filled(16) * samples * 5 + u64::from(size.w.next_multiple_of(16)) * 32 * samples * 4
        }
    };
    pixels + CONSTANT_BYTES
}
