//! Codecs: bytes to planes and back. A closed enum of formats, one file a format.
//!
//! Invariants: decoders are memory-safe Rust and see hostile bytes; C encoders see only our own pixels; a decoded
//! [`Image`] is upright, sRGB, 8-bit, straight; sizes are checked on the header before any pixel exists; no codec type
//! leaves this room.

use std::io::{BufRead, Seek};

use crate::error::Result;
use crate::pixel::{Image, Size};
use crate::plan::{DecodeAs, EncodeSpec, Header, SourceFormat};

/// Which formats may be read and how large a picture may be; from the configuration.
#[derive(Clone, Debug)]
pub struct Allow {
    /// Formats that are decoded; others are refused as unknown.
    pub formats: Vec<SourceFormat>,
    /// Pixels of the largest source.
    pub pixels_max: u64,
}

/// Reads the header alone: format by content, upright size, model, orientation, profile.
///
/// # Errors
/// `UnknownFormat`, `BrokenSource`, `SourceTooLarge`.
pub fn probe(source: &mut (impl BufRead + Seek), allow: &Allow) -> Result<Header> {
    let _ = (source, allow);
    todo!()
}

/// Decodes the (first) picture of `bytes`: upright, sRGB, 8-bit. A truncated file gives what is there, if the format
/// allows it (JPEG scans, interlaced PNG rows): the rest is grey or transparent.
///
/// # Errors
/// `BrokenSource`; `SourceTooLarge` if the pixels disagree with `header`.
pub fn decode(bytes: &[u8], header: &Header, decode_as: DecodeAs) -> Result<Image> {
    let _ = (bytes, header, decode_as);
    todo!()
}

/// Encodes a picture. Alpha is kept where the format can (PNG, WebP), and must not be there where it cannot (JPEG).
///
/// # Errors
/// `Encode`: an encoder refused our pixels (a bug, or a side over `EncodeSpec::side_max`).
pub fn encode(image: &Image, spec: &EncodeSpec) -> Result<Vec<u8>> {
    let _ = (image, spec);
    todo!()
}

/// Upper bound of the bytes that `decode` holds at once, the resulting image included.
pub fn decode_bytes_max(header: &Header, decode_as: DecodeAs) -> u64 {
    let _ = (header, decode_as);
    todo!()
}

/// Upper bound of the bytes that `encode` holds at once, the resulting bytes included, the image not.
pub fn encode_bytes_max(size: Size, spec: &EncodeSpec) -> u64 {
    let _ = (size, spec);
    todo!()
}

/// Name and version of every codec and of the colour library, for `doctor`.
pub fn versions() -> Vec<(&'static str, String)> {
    Vec::new()
}
