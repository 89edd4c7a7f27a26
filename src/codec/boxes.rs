//! The boxes of ISO base media files, which AVIF and JP2 have in common: a length, a type, a body (ISO/IEC 14496-12, 4.2).

/// A box: its length, its type, its body.
pub(super) fn boxed(kind: &[u8; 4], body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    [&u32_be(8 + body.len()), &kind[..], &body].concat()
}

/// A box whose body starts with a version and no flags.
pub(super) fn versioned(kind: &[u8; 4], version: u8, body: &[&[u8]]) -> Vec<u8> {
    boxed(kind, &[&[version, 0, 0, 0], &body.concat()])
}

/// A length or an offset: `limits::VIEW_PIXELS_MAX` keeps files far below 4 GiB.
#[expect(clippy::cast_possible_truncation, reason = "files are far below 4 GiB")]
pub(super) fn u32_be(length: usize) -> [u8; 4] {
    (length as u32).to_be_bytes()
}
