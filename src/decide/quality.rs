//! Which quality of one codec looks like which quality of another.
//!
//! Each codec counts quality in its own way. The tables say, for the JPEG that was asked for, what another codec needs so
//! that nobody sees a difference; between their rows the value is linear.

use crate::pixel::Chroma;
use crate::plan::{AvifQuantiser, Jpeg2000Quality, JpegQuality, JpegXrQuantiser, WebpQuality};

/// JPEG quality and WebP quality in hundredths. The rows of 40 to 92 have the same mean SSIMULACRA2 over 14 photographs at
/// height 500 (`docs/measurements.md`); those beyond continue them.
const WEBP: [(u8, u16); 7] = [(1, 100), (40, 3940), (60, 6210), (75, 7980), (85, 8740), (92, 9540), (100, 10_000)];
/// JPEG quality and AVIF quantiser at 4:2:0, measured like those of WebP.
const AVIF_420: [(u8, u16); 7] = [(1, 63), (40, 32), (60, 26), (75, 19), (85, 12), (92, 6), (100, 1)];
/// The same at 4:4:4; the rows of 60, 85 and 93 are measured.
const AVIF_444: [(u8, u16); 6] = [(1, 63), (30, 44), (60, 29), (85, 17), (93, 10), (100, 2)];

/// JPEG quality at 4:2:0 and JPEG 2000 quality in hundredths of a decibel, measured like those of WebP; the first row and
/// the last continue the others.
const JPEG_2000_420: [(u8, u16); 9] =
    [(1, 2800), (30, 3941), (40, 4082), (60, 4254), (75, 4454), (85, 4648), (92, 4894), (97, 5190), (100, 5400)];
/// The same for a JPEG at 4:4:4.
const JPEG_2000_444: [(u8, u16); 7] =
    [(1, 2850), (30, 4001), (60, 4333), (75, 4564), (85, 4806), (93, 5217), (100, 5700)];

/// JPEG quality at 4:2:0 and JPEG XR quantiser, measured like those of WebP.
const JPEG_XR_420: [(u8, u16); 7] = [(1, 110), (40, 66), (60, 58), (75, 50), (85, 42), (92, 33), (100, 12)];
/// The same for a JPEG at 4:4:4.
const JPEG_XR_444: [(u8, u16); 6] = [(1, 110), (60, 55), (75, 45), (85, 36), (93, 22), (100, 4)];

/// The AVIF quantiser that looks like a JPEG of `quality`, both with that chroma; between two, the finer one.
pub fn avif(quality: JpegQuality, chroma: Chroma) -> AvifQuantiser {
    let table = match chroma {
        Chroma::Half => &AVIF_420[..],
        Chroma::Full => &AVIF_444,
    };
    AvifQuantiser(u8::try_from(interpolated(table, quality.0)).unwrap_or(0))
}

/// The JPEG 2000 quality that looks like a JPEG of `quality` with that chroma.
pub fn jpeg2000(quality: JpegQuality, chroma: Chroma) -> Jpeg2000Quality {
    let table = match chroma {
        Chroma::Half => &JPEG_2000_420[..],
        Chroma::Full => &JPEG_2000_444,
    };
    Jpeg2000Quality(interpolated(table, quality.0))
}

/// The JPEG XR quantiser that looks like a JPEG of `quality` with that chroma; between two, the finer one.
pub fn jpegxr(quality: JpegQuality, chroma: Chroma) -> JpegXrQuantiser {
    let table = match chroma {
        Chroma::Half => &JPEG_XR_420[..],
        Chroma::Full => &JPEG_XR_444,
    };
    JpegXrQuantiser(u8::try_from(interpolated(table, quality.0)).unwrap_or(1))
}

/// The WebP quality that looks like a JPEG of `quality`.
pub fn webp(quality: JpegQuality) -> WebpQuality {
    WebpQuality(interpolated(&WEBP, quality.0))
}

/// The value of a table with rising keys at `key`, rounded down; beyond its ends, that of its end.
fn interpolated(table: &[(u8, u16)], key: u8) -> u16 {
    let after = table.partition_point(|(k, _)| *k < key);
    let (Some(&(k1, v1)), Some(&(k0, v0))) = (table.get(after), table.get(after.saturating_sub(1))) else {
        return table.last().map_or(0, |(_, v)| *v);
    };
    if k1 == k0 {
        return v1;
    }
    let (share, whole) = (i32::from(key.saturating_sub(k0)), i32::from(k1 - k0));
    let value = i32::from(v0) + ((i32::from(v1) - i32::from(v0)) * share).div_euclid(whole);
    u16::try_from(value).unwrap_or(v1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_met_and_what_lies_between_rises() {
        for (key, value) in WEBP {
            assert_eq!(interpolated(&WEBP, key), value, "{key}");
        }
        assert_eq!(interpolated(&WEBP, 80), 8360);
        assert_eq!(interpolated(&WEBP, 0), 100);
        let all: Vec<u16> = (1..=100).map(|q| webp(JpegQuality(q)).0).collect();
        assert!(all.is_sorted(), "{all:?}");
        for chroma in [Chroma::Half, Chroma::Full] {
            let all: Vec<u8> = (1..=100).rev().map(|q| avif(JpegQuality(q), chroma).0).collect();
            assert!(all.is_sorted(), "{all:?}");
            let all: Vec<u8> = (1..=100).rev().map(|q| jpegxr(JpegQuality(q), chroma).0).collect();
            assert!(all.is_sorted() && all[0] >= 2, "{all:?}");
            let all: Vec<u16> = (1..=100).map(|q| jpeg2000(JpegQuality(q), chroma).0).collect();
            assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
        }
        assert_eq!(avif(JpegQuality(85), Chroma::Half), AvifQuantiser(12));
    }
}
