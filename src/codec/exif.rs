//! EXIF orientation: the one tag we read of it, and the turning of planes.
//!
//! The payload is a TIFF structure; only its first directory is searched. Anything odd means "upright".
//! Source: CIPA DC-008 (Exif 2.32), 4.6.2 and tag 0x0112.

use crate::pixel::{Image, Plane, Size};

/// Orientation 1 to 8 from an EXIF payload (with or without its `Exif\0\0` prefix); 1 when there is none.
pub(super) fn orientation(payload: &[u8]) -> u8 {
    find(payload.strip_prefix(b"Exif\0\0").unwrap_or(payload)).unwrap_or(1)
}

fn find(tiff: &[u8]) -> Option<u8> {
    let big = match tiff.get(..4)? {
        b"II\x2a\0" => false,
        b"MM\0\x2a" => true,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let b = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if big { u16::from_be_bytes(b) } else { u16::from_le_bytes(b) })
    };
    let u32_at = |at: usize| {
        let b = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) })
    };
    let directory = u32_at(4)? as usize;
    let entries = usize::from(u16_at(directory)?);
    for i in 0..entries {
        let entry = directory.checked_add(2 + 12 * i)?;
        if u16_at(entry)? == 0x0112 {
            let value = match u16_at(entry + 2)? {
                3 => u32::from(u16_at(entry + 8)?),
                4 => u32_at(entry + 8)?,
                _ => return None,
            };
            return u8::try_from(value).ok().filter(|v| (1..=8).contains(v));
        }
    }
    None
}

/// Size after the orientation is applied.
pub(super) fn upright(stored: Size, orientation: u8) -> Size {
    if orientation >= 5 { stored.transposed() } else { stored }
}

/// Turns a stored picture upright, plane by plane.
pub(super) fn turn(image: Image, orientation: u8) -> Image {
    if orientation <= 1 {
        return image;
    }
    let (size, format) = (upright(image.size(), orientation), image.format());
    let planes = image.into_planes().into_iter().map(|plane| turn_plane(plane, orientation)).collect();
    Image::from_planes(size, format, planes)
}

fn turn_plane(plane: Plane<u8>, orientation: u8) -> Plane<u8> {
    let stored = plane.size();
    match orientation {
        2 => {
            let mut plane = plane;
            (0..stored.h as usize).for_each(|y| plane.row_mut(y).reverse());
            plane
        }
        3 => {
            let mut plane = plane;
            plane.data_mut().reverse();
            plane
        }
        4 => {
            let w = stored.w as usize;
            let mut plane = plane;
            let (top, bottom) = plane.data_mut().split_at_mut((stored.h / 2) as usize * w);
            for (a, b) in top.chunks_exact_mut(w).zip(bottom.rchunks_exact_mut(w)) {
                a.swap_with_slice(b);
            }
            plane
        }
        // 5 transposes; 6, 7 and 8 then also mirror x, both, or y of the result.
        5..=8 => transpose(&plane, matches!(orientation, 6 | 7), matches!(orientation, 7 | 8)),
        _ => plane,
    }
}

/// `dst[x][y] = src[y][x]`, with the result's columns or rows in reverse order.
fn transpose(src: &Plane<u8>, mirror_x: bool, mirror_y: bool) -> Plane<u8> {
    // One cache line of source bytes a row; a tile of both stays in the first-level cache.
    const TILE: usize = 64;
    let (w, h) = (src.size().w as usize, src.size().h as usize);
    let mut dst = Plane::new(src.size().transposed());
    for y0 in (0..h).step_by(TILE) {
        for x0 in (0..w).step_by(TILE) {
            for x in x0..(x0 + TILE).min(w) {
                let row = dst.row_mut(if mirror_y { w - 1 - x } else { x });
                for y in y0..(y0 + TILE).min(h) {
                    row[if mirror_x { h - 1 - y } else { y }] = src.data()[y * w + x];
                }
            }
        }
    }
    dst
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::PixelFormat;

    /// 3×2: where each orientation's pixels come from, by the EXIF text ("row 0 is the visual …").
    #[test]
    fn every_orientation_of_a_small_plane() {
        let stored = || Image::from_interleaved(Size::new(3, 2), PixelFormat::GREY, &[1, 2, 3, 4, 5, 6]);
        for (orientation, size, want) in [
            (1, (3, 2), [1, 2, 3, 4, 5, 6]),
            (2, (3, 2), [3, 2, 1, 6, 5, 4]),
            (3, (3, 2), [6, 5, 4, 3, 2, 1]),
            (4, (3, 2), [4, 5, 6, 1, 2, 3]),
            (5, (2, 3), [1, 4, 2, 5, 3, 6]),
            (6, (2, 3), [4, 1, 5, 2, 6, 3]),
            (7, (2, 3), [6, 3, 5, 2, 4, 1]),
            (8, (2, 3), [3, 6, 2, 5, 1, 4]),
        ] {
            let upright = turn(stored(), orientation);
            assert_eq!(upright.size(), Size::new(size.0, size.1), "orientation {orientation}");
            assert_eq!(upright.to_interleaved(), want, "orientation {orientation}");
        }
    }

    #[test]
    fn odd_payloads_mean_upright() {
        for bad in [&b""[..], b"Exif\0\0", b"II\x2a\0\xff\xff\xff\xff", b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03"] {
            assert_eq!(orientation(bad), 1);
        }
        let good = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        assert_eq!(orientation(good), 6);
    }
}
