//! What the point operations make of a level: tables and curves, computed once and handed to every engine.
//!
//! A value in "q6" is a level times 64, so 0 to [`FULL_Q6`]. Every operation clamps to that range, none rounds to whole
//! levels: that happens once, after the last of them, as `(q6 + 32) >> 6`. Formulas: protocol.md 2.6.

/// 255 levels in q6.
pub const FULL_Q6: i32 = 64 * 255;

/// A channel's levels in q6 after brightness, contrast and shift, each in percent of full scale from −100 to 100.
///
/// `v + 2.55·b`; then `127.5 + (v − 127.5)·k` with k = 1 + c/100 up to contrast 0 and 100/(100 − c) above it, which at
/// 100 is a threshold; then `v + 2.55·shift`. Exact up to the one rounding to q6, halves up.
pub fn curve(brightness: i8, contrast: i8, shift: i8) -> [i16; 256] {
    // In twentieths of a level 2.55 is 51, and the middle is a whole number too.
    const FULL: i64 = 20 * 255;
    let (b, c, s) = (i64::from(brightness), i64::from(contrast), i64::from(shift));
    // The slope as a fraction; a threshold has none.
    let slope = match c {
        ..=0 => Some((100 + c, 100)),
        1..=99 => Some((100, 100 - c)),
        100.. => None,
    };
    let level = |v: i64| {
        let bright = (20 * v + 51 * b).clamp(0, FULL) - FULL / 2;
        // In parts of a twentieth, as many as the slope's denominator.
        let (parts, of) = match slope {
            Some((num, den)) => (((FULL / 2) * den + bright * num).clamp(0, FULL * den), den),
            None => (if bright < 0 { 0 } else { FULL }, 1),
        };
        let shifted = (parts + 51 * s * of).clamp(0, FULL * of);
        (2 * 64 * shifted + 20 * of).div_euclid(2 * 20 * of)
    };
    let mut table = [0; 256];
    for (v, q6) in (0..).zip(&mut table) {
        // At most `FULL_Q6`.
        *q6 = i16::try_from(level(v)).unwrap_or(i16::MAX);
    }
    table
}

/// R G B in q6 of luma `level` (0 to 255) recoloured: black stays black, white stays white, the middle becomes `colour`.
///
/// - `median` (1 to 254), where luma is normalised first: `L·(1−m) / (L·(1−m) + m·(1−L))`, Schlick's bias curve, which
///   takes m to the middle and leaves both ends where they are; then contrast c as [`curve`] has it for c > 0
/// - Arithmetic: integer, every step clamped and rounded as the code says, so that every engine can do the same
/// - Source: Schlick, "Fast Alternatives to Perlin's Bias and Gain Functions", Graphics Gems IV (1994)
pub fn tinted(level: u8, median: Option<u8>, contrast: u8, colour: [u8; 3]) -> [i32; 3] {
    const HALF: i32 = FULL_Q6 / 2;
    let level = i32::from(level);
    let luma = median.map_or(64 * level, |median| {
        let median = i32::from(median.clamp(1, 254));
        let (up, down) = (level * (255 - median), median * (255 - level));
        let moved = (FULL_Q6 * up + (up + down) / 2) / (up + down);
        match 100 - i32::from(contrast) {
            ..=0 if moved < HALF => 0,
            ..=0 => FULL_Q6,
            rest => (HALF + (moved - HALF) * 100 / rest).clamp(0, FULL_Q6),
        }
    });
    colour.map(|c| {
        let c = 64 * i32::from(c);
        if luma <= HALF { (c * luma + HALF / 2) / HALF } else { c + ((FULL_Q6 - c) * (luma - HALF) + HALF / 2) / HALF }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_what_the_formulas_say() {
        let q6 = |b, c, s, v: usize| f64::from(curve(b, c, s)[v]) / 64.0;
        for v in [0, 1, 77, 127, 128, 200, 255] {
            assert_eq!(q6(0, 0, 0, v), v as f64, "no operation");
            let close = |got: f64, want: f64| {
                assert!((got - want.clamp(0.0, 255.0)).abs() <= 0.5 / 64.0 + 1e-9, "{v}: {got} instead of {want}");
            };
            let v6 = v as f64;
            close(q6(10, 0, 0, v), v6 + 25.5);
            close(q6(-37, 0, 0, v), v6 - 37.0 * 2.55);
            close(q6(0, 50, 0, v), 127.5 + (v6 - 127.5) * 2.0);
            close(q6(0, -50, 0, v), 127.5 + (v6 - 127.5) * 0.5);
            close(q6(0, -100, 0, v), 127.5);
            close(q6(0, 100, 0, v), if v < 128 { 0.0 } else { 255.0 });
            close(q6(0, 0, 12, v), v6 + 30.6);
            // Each clamps before the next begins.
            close(q6(100, -50, 0, v), 191.25);
            close(q6(0, 99, -100, v), 0.0);
        }
    }

    #[test]
    fn tints_keep_black_and_white_and_take_the_median_to_the_colour() {
        let colour = [200, 30, 90];
        for contrast in [0, 40, 99, 100] {
            for median in [None, Some(1), Some(80), Some(128), Some(254)] {
                assert_eq!(tinted(0, median, contrast, colour), [0; 3]);
                assert_eq!(tinted(255, median, contrast, colour), [FULL_Q6; 3]);
                let lumas = (0..=255).map(|level| tinted(level, median, contrast, colour));
                let mut before = [0; 3];
                for tinted in lumas {
                    assert!(tinted.iter().zip(before).all(|(a, b)| *a >= b), "{median:?} {contrast}: falls");
                    before = tinted;
                }
            }
        }
        for median in [1, 80, 200, 254] {
            assert_eq!(tinted(median, Some(median), 0, colour), colour.map(|c| 64 * i32::from(c)), "{median}");
        }
    }
}
