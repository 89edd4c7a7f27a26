//! `cover`: what the picture's own opacity is, and a colour beneath it.

use crate::pixel::{Image, PixelFormat, Plane};
use crate::plan::{Cover, MaskUse};

/// Mask, then a colour beneath, then opacity, on every pixel; the result has alpha.
///
/// - Shape: `[planes][h][w]` u8 → `[planes' + 1][h][w]` u8; grey becomes R G B where a colour comes beneath it
/// - Space: src and dst encoded, straight
/// - Arithmetic: a picture without alpha has 255. The mask leaves a, makes it 255 − a (0 where there is none) or 255. A
///   colour u of alpha b beneath: `D = 255 a + b (255 − a)`, `a' = (D + 127) / 255`,
///   `c' = (255 c a + u b (255 − a) + D/2) / D`, or c where D is 0. Opacity o of 10,000: `(a'·o + 5000) / 10000`
/// - Agreement: integer, bit for bit in every engine
/// - Source: Porter, Duff, "Compositing Digital Images", SIGGRAPH 1984 ("over")
///
/// # Panics
/// If the model is neither grey nor R G B: the planner converts first.
pub fn cover(src: &Image, cover: &Cover) -> Image {
    let format = PixelFormat { model: cover.model(src.format().model), alpha: true };
    let colours = src.format().colour_planes();
    let [red, green, blue, under] = cover.under.map(u32::from);
    let mut planes = vec![Plane::new(src.size()); format.planes()];
    for y in 0..src.size().h as usize {
        for x in 0..src.size().w as usize {
            let a = match (src.alpha(), cover.mask) {
                (_, MaskUse::Off) | (None, MaskUse::Norm) => 255,
                (None, MaskUse::Invert) => 0,
                (Some(alpha), MaskUse::Norm) => u32::from(alpha.row(y)[x]),
                (Some(alpha), MaskUse::Invert) => 255 - u32::from(alpha.row(y)[x]),
            };
            let d = 255 * a + under * (255 - a);
            for (c, u) in [red, green, blue].into_iter().enumerate().take(format.colour_planes()) {
                let v = u32::from(src.planes()[c.min(colours - 1)].row(y)[x]);
                let mixed = (255 * v * a + u * under * (255 - a) + d / 2).checked_div(d).unwrap_or(v);
                planes[c].row_mut(y)[x] = byte(mixed);
            }
            let seen = ((d + 127) / 255 * u32::from(cover.opacity) + 5000) / 10_000;
            planes[format.colour_planes()].row_mut(y)[x] = byte(seen);
        }
    }
    Image::from_planes(src.size(), format, planes)
}

#[expect(clippy::cast_possible_truncation, reason = "a weighted mean of bytes")]
fn byte(v: u32) -> u8 {
    v as u8
}
