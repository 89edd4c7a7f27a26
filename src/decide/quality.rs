//! Which quality of one codec looks like which quality of another.
//!
//! Each codec counts quality in its own way. `qlt` means what libjpeg-turbo makes of that number at 4:2:0; the tables say
//! what another codec needs for the same mean SSIMULACRA2. Between their rows, and between sizes, the value is linear.

use crate::pixel::{Chroma, Size};
use crate::plan::{AvifQuantiser, Jpeg2000Quality, JpegQuality, JpegXrQuantiser, Trim, WebpQuality};

/// Rows of a map for pictures of one size: JPEG quality, the other codec's.
type Rows = [(u8, i32); 9];

/// Pixels of the pictures that the rows were measured with, as [`log2_q8`] has them: longer sides of 500, 1000 and 2000 px.
const SIZES_Q8: [i32; 3] = [17 * 256 + 128, 19 * 256 + 128, 21 * 256 + 128];

/// WebP quality in hundredths. Measured on 14 photographs at each size and 16 pictures of 512 px more, 0.7 above
/// `cjpeg -optimize` (libjpeg-turbo 2.1.5) on average at the first size and 1 at the others, because pictures differ from what
/// is expected of them, 2026-11-21: the curves with `./x bench calibrate`, the yardstick by a script of the same steps
/// (`docs/measurements.md`). The first row, the last, and those of 96 at the two larger sizes continue the others.
const WEBP: [Rows; 3] = [
    [(1, 100), (30, 2800), (50, 5258), (65, 6933), (75, 7890), (85, 8568), (92, 9172), (96, 9715), (100, 10_000)],
    [(1, 100), (30, 2644), (50, 5553), (65, 7359), (75, 8204), (85, 8891), (92, 9609), (96, 9880), (100, 10_000)],
    [(1, 100), (30, 2753), (50, 6058), (65, 7810), (75, 8469), (85, 9155), (92, 9880), (96, 9950), (100, 10_000)],
];
/// AVIF quantiser in tenths at 4:2:0, measured like WebP's, 0.1 above the yardstick at every size, each picture with its trim.
const AVIF_420: [Rows; 3] = [
    [(1, 630), (30, 355), (50, 286), (65, 242), (75, 199), (85, 135), (92, 81), (96, 40), (100, 10)],
    [(1, 630), (30, 363), (50, 283), (65, 233), (75, 178), (85, 115), (92, 64), (96, 23), (100, 0)],
    [(1, 630), (30, 361), (50, 275), (65, 220), (75, 157), (85, 96), (92, 49), (96, 15), (100, 0)],
];
/// Rows of a trim: JPEG quality, and a mean or a change.
type TrimRows = [(u8, i32); 7];

/// Mean log₂ of the bits a pixel that a JPEG takes of those pictures in 1/1000, at each size.
const BITS_MILLI: [TrimRows; 3] = [
    [(30, -1053), (50, -563), (65, -237), (75, 45), (85, 482), (92, 962), (96, 1515)],
    [(30, -1499), (50, -996), (65, -660), (75, -368), (85, 90), (92, 599), (96, 1196)],
    [(30, -1875), (50, -1364), (65, -1013), (75, -705), (85, -205), (92, 327), (96, 924)],
];
/// Mean share of flat neighbours of those pictures in 1/1000, at each size.
const FLAT_MILLI: [i32; 3] = [531, 621, 679];
/// What one bit more changes in AVIF's quantiser at 4:2:0, in tenths, and what a flat share of 1 does: by ridge regression
/// over the pictures behind the rows above (`docs/measurements.md`).
const AVIF_PER_BIT: TrimRows = [(30, 12), (50, 26), (65, 38), (75, 45), (85, 45), (92, 41), (96, 38)];
const AVIF_PER_FLAT: TrimRows = [(30, 106), (50, 123), (65, 131), (75, 127), (85, 106), (92, 88), (96, 78)];
/// The same of WebP's quality in hundredths: nothing did any good at 2000 px, and flat shares nowhere.
const WEBP_PER_BIT: TrimRows = [(30, -317), (50, -581), (65, -736), (75, -675), (85, -528), (92, -445), (96, -407)];
const NO_CHANGE: TrimRows = [(1, 0); 7];

/// AVIF quantiser at 4:4:4; the rows of 60, 85 and 93 are measured at height 500.
const AVIF_444: [(u8, i32); 6] = [(1, 63), (30, 44), (60, 29), (85, 17), (93, 10), (100, 2)];

/// JPEG quality at 4:2:0 and JPEG 2000 quality in hundredths of a decibel: the same mean score as our own JPEG over 14
/// photographs at height 500 (`docs/measurements.md`); the first row and the last continue the others.
const JPEG_2000_420: [(u8, i32); 9] =
    [(1, 2800), (30, 3941), (40, 4082), (60, 4254), (75, 4454), (85, 4648), (92, 4894), (97, 5190), (100, 5400)];
/// The same for a JPEG at 4:4:4.
const JPEG_2000_444: [(u8, i32); 7] =
    [(1, 2850), (30, 4001), (60, 4333), (75, 4564), (85, 4806), (93, 5217), (100, 5700)];

/// JPEG quality at 4:2:0 and JPEG XR quantiser, measured like those of JPEG 2000.
const JPEG_XR_420: [(u8, i32); 7] = [(1, 110), (40, 66), (60, 58), (75, 50), (85, 42), (92, 33), (100, 12)];
/// The same for a JPEG at 4:4:4.
const JPEG_XR_444: [(u8, i32); 6] = [(1, 110), (60, 55), (75, 45), (85, 36), (93, 22), (100, 4)];

/// The AVIF quantiser that looks like a JPEG of `quality` in a picture of `size`, both with that chroma.
pub fn avif(quality: JpegQuality, chroma: Chroma, size: Size) -> AvifQuantiser {
    let quantiser = match chroma {
        Chroma::Half => (by_size(&AVIF_420, quality, size) + 5) / 10,
        Chroma::Full => interpolated(&AVIF_444, quality.0),
    };
    AvifQuantiser(u8::try_from(quantiser).unwrap_or(63))
}

/// The JPEG 2000 quality that looks like a JPEG of `quality` with that chroma.
pub fn jpeg2000(quality: JpegQuality, chroma: Chroma) -> Jpeg2000Quality {
    let table = match chroma {
        Chroma::Half => &JPEG_2000_420[..],
        Chroma::Full => &JPEG_2000_444,
    };
    Jpeg2000Quality(u16::try_from(interpolated(table, quality.0)).unwrap_or(u16::MAX))
}

/// The JPEG XR quantiser that looks like a JPEG of `quality` with that chroma; between two, the finer one.
pub fn jpegxr(quality: JpegQuality, chroma: Chroma) -> JpegXrQuantiser {
    let table = match chroma {
        Chroma::Half => &JPEG_XR_420[..],
        Chroma::Full => &JPEG_XR_444,
    };
    JpegXrQuantiser(u8::try_from(interpolated(table, quality.0)).unwrap_or(1))
}

/// The WebP quality that looks like a JPEG of `quality` in a picture of `size`.
pub fn webp(quality: JpegQuality, size: Size) -> WebpQuality {
    WebpQuality(u16::try_from(by_size(&WEBP, quality, size)).unwrap_or(10_000))
}

/// How a WebP that replaces a JPEG of `quality` follows the picture, of `size`.
pub fn webp_trim(quality: JpegQuality, size: Size) -> Trim {
    let per_bit = by_size(&[WEBP_PER_BIT, WEBP_PER_BIT, NO_CHANGE], quality, size);
    trim(by_size(&WEBP, quality, size), per_bit, 0, quality, size)
}

/// How an AVIF at 4:2:0 that replaces a JPEG of `quality` follows the picture, of `size`.
pub fn avif_trim(quality: JpegQuality, size: Size) -> Trim {
    let [per_bit, per_flat] = [&AVIF_PER_BIT, &AVIF_PER_FLAT].map(|rows| interpolated(rows, quality.0));
    trim(by_size(&AVIF_420, quality, size), per_bit, per_flat, quality, size)
}

fn trim(usual: i32, per_bit: i32, per_flat: i32, quality: JpegQuality, size: Size) -> Trim {
    let bits_milli = by_size(&BITS_MILLI, quality, size);
    let flat_milli = by_size(&FLAT_MILLI.map(|flat| [(1, flat)]), quality, size);
    Trim { usual, bits_milli, per_bit, flat_milli, per_flat }
}

/// The value of `quality` between the rows of the two sizes that are nearest, beyond them that of the nearest.
fn by_size<const N: usize>(tables: &[[(u8, i32); N]; 3], quality: JpegQuality, size: Size) -> i32 {
    let [small, middle, large] = tables.each_ref().map(|rows| interpolated(rows, quality.0));
    let at = log2_q8(size.pixels()).clamp(SIZES_Q8[0], SIZES_Q8[2]);
    let (from, low, high) = if at < SIZES_Q8[1] { (SIZES_Q8[0], small, middle) } else { (SIZES_Q8[1], middle, large) };
    low + ((high - low) * (at - from)).div_euclid(SIZES_Q8[1] - SIZES_Q8[0])
}

/// log₂ in 1/256, linear between powers of two.
fn log2_q8(pixels: u64) -> i32 {
    let pixels = u32::try_from(pixels).unwrap_or(u32::MAX).max(1);
    let whole = pixels.ilog2();
    // 256 to 511.
    let share = (u64::from(pixels) << 8) >> whole;
    i32::try_from(u64::from(whole) * 256 + share - 256).unwrap_or(0)
}

/// The value of a table with rising keys at `key`, rounded down; beyond its ends, that of its end.
fn interpolated(table: &[(u8, i32)], key: u8) -> i32 {
    let after = table.partition_point(|(k, _)| *k < key);
    let (Some(&(k1, v1)), Some(&(k0, v0))) = (table.get(after), table.get(after.saturating_sub(1))) else {
        return table.last().map_or(0, |(_, v)| *v);
    };
    if k1 == k0 {
        return v1;
    }
    let (share, whole) = (i32::from(key.saturating_sub(k0)), i32::from(k1 - k0));
    v0 + ((v1 - v0) * share).div_euclid(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_met_and_what_lies_between_rises() {
        let sides = [500, 1000, 2000];
        // Three by two, as many photographs are: near the pixels of each size.
        let sizes = sides.map(|w| Size::new(w, w * 3 / 4));
        for (rows, size) in WEBP.iter().zip(sizes) {
            for (key, value) in rows {
                assert_eq!(interpolated(rows, *key), *value, "{key}");
                let near = i32::from(webp(JpegQuality(*key), size).0);
                assert!(near.abs_diff(*value) <= 60, "{key} at {size}: {near}, row {value}");
            }
        }
        assert_eq!(interpolated(&WEBP[0], 80), 8229);
        assert_eq!(interpolated(&WEBP[0], 0), 100);
        let extremes = [Size::new(1, 1), Size::new(16_383, 16_383)];
        for size in sizes.into_iter().chain(extremes) {
            let all: Vec<u16> = (1..=100).map(|q| webp(JpegQuality(q), size).0).collect();
            assert!(all.is_sorted(), "{all:?}");
            for chroma in [Chroma::Half, Chroma::Full] {
                let all: Vec<u8> = (1..=100).rev().map(|q| avif(JpegQuality(q), chroma, size).0).collect();
                assert!(all.is_sorted(), "{all:?}");
            }
        }
        for chroma in [Chroma::Half, Chroma::Full] {
            let all: Vec<u8> = (1..=100).rev().map(|q| jpegxr(JpegQuality(q), chroma).0).collect();
            assert!(all.is_sorted() && all[0] >= 2, "{all:?}");
            let all: Vec<u16> = (1..=100).map(|q| jpeg2000(JpegQuality(q), chroma).0).collect();
            assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
        }
        assert_eq!(avif(JpegQuality(85), Chroma::Half, extremes[0]), AvifQuantiser(14));
        assert_eq!(avif(JpegQuality(85), Chroma::Half, extremes[1]), AvifQuantiser(10));
    }

    #[test]
    fn logarithms_are_of_pixels() {
        assert_eq!([1, 2, 3, 1 << 20].map(log2_q8), [0, 256, 384, 20 * 256]);
    }
}
