//! Memory bounds.
use crate::pixel::Size;
use crate::plan::{DecodeAs, EncodeSpec, Header};
/// Upper bound of the bytes that `decode` holds at once, the resulting image included.
pub fn decode_bytes_max(header: &Header, decode_as: DecodeAs) -> u64 {
    let _ = decode_as;
    header.size.pixels() * 16 + (64 << 20)
}
/// Upper bound of the bytes that `encode` holds at once, the resulting bytes included, the image not.
pub fn encode_bytes_max(size: Size, spec: &EncodeSpec) -> u64 {
    let _ = spec;
    size.pixels() * 16 + (16 << 20)
}
