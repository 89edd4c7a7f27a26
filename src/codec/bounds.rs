//! How many bytes a decode or an encode may hold at once, for the admission of jobs.
//!
//! Derived from what each codec allocates, rounded up; in bytes a pixel, with a constant for tables, profiles and
//! metadata. Upper bounds, not estimates.

use crate::limits;
use crate::pixel::Size;
use crate::plan::{DecodeAs, EncodeSpec, Header, SourceFormat};

/// Colour tables at both depths, inflate windows, Huffman tables, and the metadata that may be read.
const CONSTANT_BYTES: u64 = 16 << 20;

/// Upper bound of the bytes that `decode` holds at once, the resulting image included.
pub fn decode_bytes_max(header: &Header, decode_as: DecodeAs) -> u64 {
    // Both ways end in as many planes at most; the decoder's own buffers are the same.
    let (DecodeAs::Native | DecodeAs::Rgb) = decode_as;
    let bytes_a_pixel = match header.format {
        // Progressive: 16-bit coefficients of four components, filled up to whole blocks, beside four samples; then
        // four samples beside the planes.
        SourceFormat::Jpeg => 16,
        // Interlaced at 16 bits with alpha: the picture, its samples in native order, the planes.
        SourceFormat::Png => 24,
        // Lossless: the decoder's own four samples, four of the result, the planes.
        SourceFormat::Webp => 16,
        // Line by line.
        SourceFormat::Gif => 8,
        // One strip of four 32-bit floating-point samples, widened and reordered, the planes; JPEG strips as JPEG.
        SourceFormat::Tiff => 48,
    };
    let turned = if header.orientation > 1 { 1 } else { 0 };
    // Pictures of a few pixels are filled up to blocks of 32×32.
    let pixels = u64::from(header.size.w.next_multiple_of(32)) * u64::from(header.size.h.next_multiple_of(32));
    pixels * (bytes_a_pixel + turned) + CONSTANT_BYTES + limits::METADATA_BYTES_MAX as u64
}

/// Upper bound of the bytes that `encode` holds at once, the resulting bytes included, the image not.
pub fn encode_bytes_max(size: Size, spec: &EncodeSpec) -> u64 {
    let bytes_a_pixel = match spec {
        // Quantised blocks of three components at 16 bits, and as much again for bytes at quality 100.
        EncodeSpec::Jpeg { .. } => 16,
        // Interleaved, filtered, compressed: four samples each.
        EncodeSpec::Png => 16,
        // Interleaved, libwebp's ARGB, its Y U V A, modes and levels, the bytes.
        EncodeSpec::Webp { .. } => 32,
        // The same with hash chains and back references of several tries.
        EncodeSpec::WebpLossless => 96,
        // Planes converted to Y Cb Cr, libaom's buffers (35 for noise at 4:4:4), the bytes as they grow and in their file.
        EncodeSpec::Avif { .. } | EncodeSpec::AvifLossless => 64,
    };
    u64::from(size.w.next_multiple_of(32)) * u64::from(size.h.next_multiple_of(32)) * bytes_a_pixel + CONSTANT_BYTES
}
