//! Which quality of one codec looks like which quality of another.
//!
//! Each codec counts quality in its own way. `qlt` means what libjpeg-turbo makes of that number at 4:2:0; the tables say
//! what another codec needs for the same mean SSIMULACRA2. Between their rows, and between sizes, the value is linear.

use crate::pixel::{Chroma, Size};
use crate::plan::{AvifQuantiser, Jpeg2000Quality, JpegQuality, JpegXrQuantiser, Trim, WebpQuality};

/// Rows of a table: what is asked for, beside what it comes to.
const fn rows<const N: usize>(keys: [u8; N], values: [i32; N]) -> [(u8, i32); N] {
    let mut rows = [(0, 0); N];
    let mut i = 0;
    while i < N {
        rows[i] = (keys[i], values[i]);
        i += 1;
    }
    rows
}

/// JPEG qualities that maps have rows of, …
const JPEGS: [u8; 11] = [1, 10, 20, 30, 50, 65, 75, 85, 92, 96, 100];
/// … means of pictures …
const MEASURED: [u8; 10] = [10, 20, 30, 50, 65, 75, 85, 92, 96, 100];
/// … and trims.
const TRIMMED: [u8; 8] = [30, 50, 65, 75, 85, 92, 96, 100];
/// Rows of a map for pictures of one size: JPEG quality, the other codec's.
type Rows = [(u8, i32); 11];

/// Pixels of the pictures that the rows were measured with, as [`log2_q8`] has them: longer sides of 500, 1000 and 2000 px.
const SIZES_Q8: [i32; 3] = [17 * 256 + 128, 19 * 256 + 128, 21 * 256 + 128];

/// WebP quality in hundredths. Measured on 14 photographs at each size and 16 pictures of 512 px more, 0.7 above
/// `cjpeg -optimize` (libjpeg-turbo 2.1.5) on average at the first size and 1 at the others, because pictures differ from what
/// is expected of them, 2026-11-21: the curves with `./x bench calibrate`, the yardstick by a script of the same steps
/// (`docs/measurements.md`). The first row, the last, and those of 96 at the two larger sizes continue the others; those of 10 and
/// 20 are of every picture, every second and every fourth, by size.
const WEBP: [Rows; 3] = [
    rows(JPEGS, [0, 74, 1098, 2800, 5258, 6933, 7890, 8568, 9172, 9715, 10_000]),
    rows(JPEGS, [0, 0, 793, 2644, 5553, 7359, 8204, 8891, 9609, 9880, 10_000]),
    rows(JPEGS, [0, 0, 761, 2753, 6058, 7810, 8469, 9155, 9880, 9950, 10_000]),
];
/// AVIF quantiser in tenths at 4:2:0, measured like WebP's, 0.1 above the yardstick at every size, each picture with its trim.
const AVIF_420: [Rows; 3] = [
    rows(JPEGS, [630, 530, 418, 355, 286, 242, 199, 135, 81, 40, 10]),
    rows(JPEGS, [630, 562, 440, 363, 283, 233, 178, 115, 64, 23, 0]),
    rows(JPEGS, [630, 586, 456, 361, 275, 220, 157, 96, 49, 15, 0]),
];
/// Rows of a trim: JPEG quality, and a mean or a change.
type TrimRows = [(u8, i32); 8];

/// Mean log₂ of the bits a pixel that a JPEG takes of those pictures in 1/1000, at each size.
const BITS_MILLI: [[(u8, i32); 10]; 3] = [
    rows(MEASURED, [-2170, -1459, -1053, -563, -237, 45, 482, 962, 1515, 2355]),
    rows(MEASURED, [-2598, -1902, -1499, -996, -660, -368, 90, 599, 1196, 2073]),
    rows(MEASURED, [-2999, -2297, -1875, -1364, -1013, -705, -205, 327, 924, 1777]),
];
/// Mean share of flat neighbours of those pictures in 1/1000, at each size.
const FLAT_MILLI: [i32; 3] = [531, 621, 679];
/// What one bit more changes in AVIF's quantiser at 4:2:0, in tenths, and what a flat share of 1 does: by ridge regression
/// over the pictures behind the rows above (`docs/measurements.md`). Towards 100 every picture gets what the rows say.
const AVIF_PER_BIT: TrimRows = rows(TRIMMED, [12, 26, 38, 45, 45, 41, 38, 0]);
const AVIF_PER_FLAT: TrimRows = rows(TRIMMED, [106, 123, 131, 127, 106, 88, 78, 0]);
/// The same of WebP's quality in hundredths: nothing did any good at 2000 px, and flat shares nowhere.
const WEBP_PER_BIT: TrimRows = rows(TRIMMED, [-317, -581, -736, -675, -528, -445, -407, 0]);
const NO_CHANGE: TrimRows = [(1, 0); 8];

/// AVIF quantiser at 4:4:4; the rows of 60, 85 and 93 are measured at height 500.
const AVIF_444: [(u8, i32); 6] = [(1, 63), (30, 44), (60, 29), (85, 17), (93, 10), (100, 2)];

/// JPEG quality at 4:2:0 and JPEG 2000 quality in hundredths of a decibel: the same mean score as our own JPEG over 14
/// photographs at height 500 (`docs/measurements.md`); the first row and the last continue the others.
const JPEG_2000_420: [(u8, i32); 11] = rows(
    [1, 10, 20, 30, 40, 60, 75, 85, 92, 97, 100],
    [2800, 3414, 3746, 3941, 4082, 4254, 4454, 4648, 4894, 5190, 5400],
);
/// The same for a JPEG at 4:4:4; the rows of 10 and 20 lie as far above those at 4:2:0 as that of 30.
const JPEG_2000_444: [(u8, i32); 9] =
    [(1, 2850), (10, 3474), (20, 3806), (30, 4001), (60, 4333), (75, 4564), (85, 4806), (93, 5217), (100, 5700)];

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
        assert_eq!(interpolated(&WEBP[0], 0), 0);
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

    /// A picture that takes twice the bits of most is asked for more and more up to 100, where all are asked for the same.
    #[test]
    fn trims_end_at_100() {
        for size in [500, 1000, 2000].map(|w| Size::new(w, w * 3 / 4)) {
            let of = |trim: fn(JpegQuality, Size) -> Trim| (92..=100).map(move |q| trim(JpegQuality(q), size));
            for last in [webp_trim, avif_trim].map(|trim| trim(JpegQuality(100), size)) {
                assert_eq!((last.per_bit, last.per_flat), (0, 0), "{size}");
            }
            let busy = |trim: Trim| trim.usual + trim.per_bit;
            assert!(of(webp_trim).map(busy).is_sorted(), "{size}");
            assert!(of(avif_trim).map(busy).is_sorted_by(|a, b| a >= b), "{size}");
        }
    }

    #[test]
    fn logarithms_are_of_pixels() {
        assert_eq!([1, 2, 3, 1 << 20].map(log2_q8), [0, 256, 384, 20 * 256]);
    }
}
