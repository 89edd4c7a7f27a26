//! `cover`, row by row; the arithmetic is stated in `engine::scalar::cover`, to the bit.

use super::View;
use super::lanes::Lanes;
use super::level::Work;
use crate::pixel::{Image, PixelFormat};
use crate::plan::{Cover, MaskUse};

/// `cover`.
pub(super) struct Covered<'a> {
    pub(super) src: &'a View<'a>,
    pub(super) cover: &'a Cover,
}

impl Work for Covered<'_> {
    type Output = Image;

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "weighted means of bytes")]
    fn run<L: Lanes>(self, _: L) -> Image {
        let Self { src, cover } = self;
        let format = PixelFormat { model: cover.model(src.format.model), alpha: true };
        let mut image = Image::new(src.size, format);
        let (w, colours) = (src.size.w as usize, src.format.colour_planes());
        let [under @ .., veil] = cover.under.map(u32::from);
        let opacity = u32::from(cover.opacity);
        let mut alphas = vec![0_u8; w];
        for y in 0..src.size.h as usize {
            match (src.format.alpha_plane(), cover.mask) {
                (_, MaskUse::Off) | (None, MaskUse::Norm) => alphas.fill(255),
                (None, MaskUse::Invert) => alphas.fill(0),
                (Some(a), MaskUse::Norm) => alphas.copy_from_slice(src.row(a, y)),
                (Some(a), MaskUse::Invert) => {
                    alphas.iter_mut().zip(src.row(a, y)).for_each(|(out, &a)| *out = 255 - a);
                }
            }
            for (c, &u) in under.iter().enumerate().take(format.colour_planes()) {
                let (row, out) = (src.row(c.min(colours - 1), y), image.planes_mut()[c].row_mut(y));
                if veil == 0 {
                    out.copy_from_slice(row);
                    continue;
                }
                for ((out, &v), &a) in out.iter_mut().zip(row).zip(&alphas) {
                    let (v, a) = (u32::from(v), u32::from(a));
                    let d = 255 * a + veil * (255 - a);
                    let n = 255 * v * a + u * veil * (255 - a) + d / 2;
                    // Exact: both are below 2²⁵, so a quotient that is no integer is at least 2⁻¹⁶ away from one.
                    *out = (f64::from(n) / f64::from(d)) as u8;
                }
            }
            let out = image.planes_mut()[format.colour_planes()].row_mut(y);
            for (out, &a) in out.iter_mut().zip(&alphas) {
                let a = u32::from(a);
                let d = 255 * a + veil * (255 - a);
                *out = (((d + 127) / 255 * opacity + 5000) / 10_000) as u8;
            }
        }
        image
    }
}
