//! `point` and `median`: operations on one pixel at a time, in fixed point, equal in every engine to the bit.
//!
//! On straight R G B in q6 (a level times 64, 0 to 16,320), in this order, each clamped, none rounded to whole levels:
//!
//! - brightness, contrast, balance: a table a channel, [`Point::curves`]
//! - hue: with M and m the largest and smallest channel, C = M − m and H the hue in sixtieths of C, turned by the angle:
//!   `v = M − ((t·4369 + 2¹⁷) >> 18)`, `t = max(0, min(k, 240 C − k, 60 C))`, `k = (H + 60 n C) mod 360 C` with
//!   n = 5, 3, 1. Lightness and saturation of HSL depend on M and m alone, so they stay
//! - saturation: `y + (((v − y)·s + 2⁹) >> 10)` with luma `y = (19595 r + 38470 g + 7471 b + 2¹⁵) >> 16`
//! - tint: luma as a whole level `(y + 32) >> 6` through [`tinted`], with the measured median where it is normalised
//! - invert: `16320 − v`
//! - level: `(v + 32) >> 6`
//!
//! Source: protocol.md 2.6; hue by Smith, "Color Gamut Transform Pairs", SIGGRAPH 1978.

use crate::kernel::point::{FULL_Q6, tinted};
use crate::pixel::{Image, Model, PixelFormat, Plane};
use crate::plan::Point;

/// The operations of one `point` on every pixel; alpha is copied.
///
/// - Shape: `[planes][h][w]` u8 → `[planes'][h][w]` u8; grey becomes R G B where [`Point::model`] says so
/// - Space: src and dst encoded, straight
/// - `median`: what [`median`] gave, for a tint that is normalised
/// - Agreement: integer, bit for bit in every engine
///
/// # Panics
/// If the model is neither grey nor R G B, or a normalised tint has no median: the planner sees to both.
pub fn point(src: &Image, point: &Point, median: Option<u8>) -> Image {
    let format = PixelFormat { model: point.model(src.format().model), alpha: src.format().alpha };
    let tint = point.tint.map(|tint| {
        assert!(!tint.normalise || median.is_some(), "a normalised tint without a median");
        (tint, median.filter(|_| tint.normalise))
    });
    let curves = point.curves();
    let colours = colours(src);
    let mut out = Image::new(src.size(), format);
    for y in 0..src.size().h as usize {
        for x in 0..src.size().w as usize {
            let mut rgb = [0, 1, 2].map(|c| i32::from(curves[c][colours[c].row(y)[x] as usize]));
            if point.hue != 0 {
                rgb = turned(rgb, i32::from(point.hue));
            }
            if point.saturation != 0 {
                let luma = luma(rgb);
                rgb = rgb.map(|v| (luma + (((v - luma) * point.saturation_q10() + (1 << 9)) >> 10)).clamp(0, FULL_Q6));
            }
            if let Some((tint, median)) = tint {
                rgb = tinted(luma_level(rgb), median, tint.contrast, tint.colour);
            }
            if point.invert {
                rgb = rgb.map(|v| FULL_Q6 - v);
            }
            for (plane, q6) in out.planes_mut()[..format.colour_planes()].iter_mut().zip(rgb) {
                plane.row_mut(y)[x] = level(q6);
            }
        }
    }
    if let (Some(i), Some(alpha)) = (format.alpha_plane(), src.alpha()) {
        out.planes_mut()[i] = alpha.clone();
    }
    out
}

/// The median luma of the pixels that are more opaque than not: the least level that half of them do not exceed,
/// brought into 1 to 254; 127 where there are none.
///
/// - Agreement: integer, bit for bit in every engine
///
/// # Panics
/// As [`point`].
pub fn median(src: &Image) -> u8 {
    let colours = colours(src);
    let mut counts = [0_u64; 256];
    for y in 0..src.size().h as usize {
        for x in 0..src.size().w as usize {
            if src.alpha().is_none_or(|alpha| alpha.row(y)[x] >= 128) {
                let rgb = [0, 1, 2].map(|c| 64 * i32::from(colours[c].row(y)[x]));
                counts[luma_level(rgb) as usize] += 1;
            }
        }
    }
    let all: u64 = counts.iter().sum();
    if all == 0 {
        return 127;
    }
    let mut seen = 0;
    for (level, count) in (0..=255).zip(counts) {
        seen += count;
        if 2 * seen >= all {
            return u8::clamp(level, 1, 254);
        }
    }
    unreachable!("half of all is reached before all is")
}

/// The planes that R, G and B are read from.
fn colours(src: &Image) -> [&Plane<u8>; 3] {
    match src.format().model {
        Model::Rgb => [0, 1, 2].map(|c| &src.planes()[c]),
        Model::Grey => [&src.planes()[0]; 3],
        Model::Ycbcr(_) | Model::Yuv | Model::Cmyk => unreachable!("point operations on {:?}", src.format()),
    }
}

/// The hue turned by `degrees`.
fn turned([r, g, b]: [i32; 3], degrees: i32) -> [i32; 3] {
    let most = r.max(g).max(b);
    let c = most - r.min(g).min(b);
    let hue = if r == most {
        60 * (g - b)
    } else if g == most {
        60 * (b - r + 2 * c)
    } else {
        60 * (r - g + 4 * c)
    };
    [5, 3, 1].map(|n| {
        let k = if c == 0 { 0 } else { (hue + degrees * c + 60 * n * c).rem_euclid(360 * c) };
        let t = k.min(240 * c - k).min(60 * c).max(0);
        most - rounded_sixtieth(t)
    })
}

/// t / 60, as `(t·4369 + 2¹⁷) >> 18`: exact at multiples of 60 up to [`FULL_Q6`], a quarter of 1/64 level off at most.
#[expect(clippy::cast_possible_truncation, reason = "at most 16,320")]
fn rounded_sixtieth(t: i32) -> i32 {
    ((i64::from(t) * 4369 + (1 << 17)) >> 18) as i32
}

fn luma([r, g, b]: [i32; 3]) -> i32 {
    (19595 * r + 38470 * g + 7471 * b + (1 << 15)) >> 16
}

fn luma_level(rgb: [i32; 3]) -> u8 {
    level(luma(rgb))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "q6 of 0 to 255")]
fn level(q6: i32) -> u8 {
    ((q6 + 32) >> 6) as u8
}
