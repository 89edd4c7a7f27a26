//! `rgb_to_ycbcr`, `ycbcr_to_rgb`: JFIF's full-range BT.601, in 16-bit fixed point.

use crate::pixel::{Chroma, Image, Model, PixelFormat, Plane, Size};

/// R G B to Y Cb Cr, full range; alpha, if any, is copied.
///
/// - Arithmetic: i32, coefficients in 2⁻¹⁶, one rounding: `y = (19595 r + 38470 g + 7471 b + 2¹⁵) >> 16`,
///   `cb = (Σ(−11059 r − 21709 g + 32768 b) + n·(128·2¹⁶) + n·2¹⁵ − 1) >> (16 + log2 n)`, `cr` likewise with
///   (32768, −27439, −5329); n = 1 for [`Chroma::Full`], 4 for [`Chroma::Half`] (the 2×2 block, edges repeated)
/// - Agreement: bit for bit in every engine
/// - Source: JFIF 1.02, section "Conversion to and from RGB"
///
/// # Panics
/// If `src` is not R G B: the planner asks for it only there.
pub fn rgb_to_ycbcr(src: &Image, chroma: Chroma) -> Image {
    assert_eq!(src.format().model, Model::Rgb);
    let [r, g, b] = [0, 1, 2].map(|i| &src.planes()[i]);
    let format = PixelFormat { model: Model::Ycbcr(chroma), alpha: src.format().alpha };
    let at = |x: usize, y: usize| [i32::from(r.row(y)[x]), i32::from(g.row(y)[x]), i32::from(b.row(y)[x])];
    let y_plane = plane(src.size(), |x, y| {
        let [r, g, b] = at(x, y);
        (19595 * r + 38470 * g + 7471 * b + (1 << 15)) >> 16
    });
    let chroma_plane = |c: [i32; 3]| {
        let weigh = |[r, g, b]: [i32; 3]| c[0] * r + c[1] * g + c[2] * b;
        match chroma {
            Chroma::Full => plane(src.size(), |x, y| (weigh(at(x, y)) + (128 << 16) + (1 << 15) - 1) >> 16),
            Chroma::Half => plane(src.size().half(), |x, y| {
                let (x1, y1) = ((2 * x + 1).min(src.size().w as usize - 1), (2 * y + 1).min(src.size().h as usize - 1));
                let sum = weigh(at(2 * x, 2 * y)) + weigh(at(x1, 2 * y)) + weigh(at(2 * x, y1)) + weigh(at(x1, y1));
                (sum + (512 << 16) + (1 << 17) - 1) >> 18
            }),
        }
    };
    let mut planes = vec![y_plane, chroma_plane([-11059, -21709, 32768]), chroma_plane([32768, -27439, -5329])];
    planes.extend(src.alpha().cloned());
    Image::from_planes(src.size(), format, planes)
}

/// Y Cb Cr to R G B; alpha, if any, is copied.
///
/// - Arithmetic: half-size chroma is first raised to full size with weights 9-3-3-1 (`(9a + 3b + 3c + d + 8) >> 4`,
///   edges repeated); then i32 in 2⁻¹⁶ with `cb' = cb − 128`: `r = y + ((91881 cr' + 2¹⁵) >> 16)`,
///   `g = y + ((−22554 cb' − 46802 cr' + 2¹⁵) >> 16)`, `b = y + ((116130 cb' + 2¹⁵) >> 16)`, clamped
/// - Agreement: bit for bit in every engine
/// - Source: JFIF 1.02; the upsampling is the one libjpeg calls fancy
///
/// # Panics
/// If `src` is not Y Cb Cr: the planner asks for it only there.
pub fn ycbcr_to_rgb(src: &Image) -> Image {
    let Model::Ycbcr(chroma) = src.format().model else { unreachable!("{:?}", src.format()) };
    let [y_plane, cb, cr] = [0, 1, 2].map(|i| &src.planes()[i]);
    let sample = |c: &Plane<u8>, x: usize, y: usize| match chroma {
        Chroma::Full => i32::from(c.row(y)[x]) - 128,
        Chroma::Half => raised(c, x, y) - 128,
    };
    let luma = |x: usize, y: usize| i32::from(y_plane.row(y)[x]);
    let half = 1 << 15;
    let r = plane(src.size(), |x, y| luma(x, y) + ((91881 * sample(cr, x, y) + half) >> 16));
    let g =
        plane(src.size(), |x, y| luma(x, y) + ((-22554 * sample(cb, x, y) - 46802 * sample(cr, x, y) + half) >> 16));
    let b = plane(src.size(), |x, y| luma(x, y) + ((116_130 * sample(cb, x, y) + half) >> 16));
    let mut planes = vec![r, g, b];
    planes.extend(src.alpha().cloned());
    Image::from_planes(src.size(), PixelFormat { model: Model::Rgb, alpha: src.format().alpha }, planes)
}

/// Half-size chroma at full-size pixel (x, y): three parts of the nearest sample to one of the next, both ways.
fn raised(c: &Plane<u8>, x: usize, y: usize) -> i32 {
    let next = |i: usize, len: u32| {
        let near = i / 2;
        let far = if i.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(len as usize - 1) };
        (near, far)
    };
    let (x0, x1) = next(x, c.size().w);
    let (y0, y1) = next(y, c.size().h);
    let at = |x: usize, y: usize| i32::from(c.row(y)[x]);
    (9 * at(x0, y0) + 3 * at(x1, y0) + 3 * at(x0, y1) + at(x1, y1) + 8) >> 4
}

fn plane(size: Size, value: impl Fn(usize, usize) -> i32) -> Plane<u8> {
    let mut plane = Plane::new(size);
    for y in 0..size.h as usize {
        for (x, out) in plane.row_mut(y).iter_mut().enumerate() {
            *out = value(x, y).clamp(0, 255) as u8;
        }
    }
    plane
}
