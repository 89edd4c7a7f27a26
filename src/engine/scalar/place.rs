//! `place`: onto the view.

use crate::pixel::{Chroma, Image, Model, PixelFormat, Plane, Size};
use crate::plan::Fill;

/// Crops, pads and flattens a picture onto a view of `canvas` pixels.
///
/// - Shape: `[planes][h][w]` → `[planes'][canvas.h][canvas.w]`; source pixel (0, 0) comes to (`x`, `y`)
/// - Alpha: [`Fill::Opaque`] flattens, `(c·a + fill·(255 − a) + 127) / 255`, and drops the alpha plane;
///   [`Fill::Transparent`] keeps it and adds one where the picture is opaque and does not cover the view
/// - Model: grey becomes R G B under a coloured fill, else each stays what it is; of Y Cb Cr the fill is too, by
///   [`Fill::levels`]
/// - Agreement: integer, bit for bit in every engine
///
/// # Panics
/// If chroma is half size, which no odd offset suits, or the model is an encoder's: the planner converts first.
pub fn place(src: &Image, canvas: Size, x: i32, y: i32, fill: Fill) -> Image {
    let model = match src.format().model {
        model @ (Model::Grey | Model::Rgb | Model::Ycbcr(Chroma::Full)) => fill.model(model),
        model @ (Model::Ycbcr(Chroma::Half) | Model::Yuv | Model::Cmyk) => unreachable!("placing {model:?}"),
    };
    let covers = x <= 0
        && y <= 0
        && i64::from(x) + i64::from(src.size().w) >= i64::from(canvas.w)
        && i64::from(y) + i64::from(src.size().h) >= i64::from(canvas.h);
    let alpha = fill == Fill::Transparent && (src.format().alpha || !covers);
    let format = PixelFormat { model, alpha };
    let colour = fill.levels(model);
    let inside = |cx: usize, cy: usize| {
        let (sx, sy) = (cx as i64 - i64::from(x), cy as i64 - i64::from(y));
        let inside = (0..i64::from(src.size().w)).contains(&sx) && (0..i64::from(src.size().h)).contains(&sy);
        inside.then(|| (usize::try_from(sx).unwrap_or(0), usize::try_from(sy).unwrap_or(0)))
    };
    let planes = (0..format.planes())
        .map(|i| {
            let mut plane = Plane::new(canvas);
            for cy in 0..canvas.h as usize {
                for (cx, out) in plane.row_mut(cy).iter_mut().enumerate() {
                    *out = match inside(cx, cy) {
                        Some((sx, sy)) => {
                            let a = src.alpha().map_or(255, |a| a.row(sy)[sx]);
                            if format.alpha_plane() == Some(i) {
                                a
                            } else {
                                let c = src.planes()[i.min(src.format().colour_planes() - 1)].row(sy)[sx];
                                if alpha { c } else { over(c, a, colour[i]) }
                            }
                        }
                        None if format.alpha_plane() == Some(i) => 0,
                        None => colour[i],
                    };
                }
            }
            plane
        })
        .collect();
    Image::from_planes(canvas, format, planes)
}

/// `c` with alpha `a` over an opaque background, halves rounded as integers say.
fn over(c: u8, a: u8, background: u8) -> u8 {
    let (c, a, b) = (u32::from(c), u32::from(a), u32::from(background));
    #[expect(clippy::cast_possible_truncation, reason = "a weighted mean of two bytes")]
    {
        ((c * a + b * (255 - a) + 127) / 255) as u8
    }
}
