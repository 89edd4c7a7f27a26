//! `rotate`, pixel by pixel; the arithmetic is stated in `engine::scalar::rotate`, to the bit.
//!
//! The weights of a pixel serve all its planes.

use super::View;
use super::lanes::Lanes;
use super::level::Work;
use crate::engine::Cancel;
use crate::error::Result;
use crate::kernel::affine::{COORDINATE_BITS, cubic};
use crate::pixel::{Image, PixelFormat};
use crate::plan::Rotation;

/// `rotate`.
pub(super) struct Rotated<'a> {
    pub(super) src: &'a View<'a>,
    pub(super) rotation: &'a Rotation,
    pub(super) cancel: &'a Cancel,
}

impl Work for Rotated<'_> {
    type Output = Result<Image>;

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> Result<Image> {
        let Self { src, rotation, cancel } = self;
        let (columns, rows, weights) = (rotation.columns(), rotation.rows(), cubic());
        let colours = src.format.colour_planes();
        let mut image = Image::new(rotation.canvas, PixelFormat { alpha: true, ..src.format });
        let (w, h) = (src.size.w as usize, src.size.h as usize);
        for (y, [ru, rv]) in rows.into_iter().enumerate() {
            if y % 16 == 0 {
                cancel.check("rotate")?;
            }
            for (x, [cu, cv]) in columns.iter().enumerate() {
                let [u, v] = [cu + ru, cv + rv];
                let phase = |at: i32| &weights[(at >> (COORDINATE_BITS - 8) & 255) as usize];
                let (across, down) = (phase(u), phase(v));
                let [left, top] = [u, v].map(|at| i64::from(at >> COORDINATE_BITS) - 1);
                if left <= -4 || top <= -4 || left >= w as i64 || top >= h as i64 {
                    continue;
                }
                let column = |i: i64| usize::try_from(left + i).ok().filter(|x| *x < w);
                let mut sums = [0_i32; 5];
                for (dy, z) in (0..).zip(down) {
                    let Some(sy) = usize::try_from(top + dy).ok().filter(|y| *y < h) else { continue };
                    let mut row = [0_i32; 5];
                    for (dx, weight) in (0..).zip(across) {
                        let Some(sx) = column(dx) else { continue };
                        let a = weight * src.format.alpha_plane().map_or(255, |a| i32::from(src.row(a, sy)[sx]));
                        for (c, sum) in row.iter_mut().enumerate().take(colours) {
                            *sum += a * i32::from(src.row(c, sy)[sx]);
                        }
                        row[colours] += 255 * a;
                    }
                    for (sum, row) in sums.iter_mut().zip(row) {
                        *sum += z * ((row + (1 << 6)) >> 7);
                    }
                }
                let sums = sums.map(|sum| (sum + (1 << 12)) >> 13);
                let alpha = sums[colours].clamp(0, 255 * 255);
                if alpha == 0 {
                    continue;
                }
                for (plane, sum) in image.planes_mut()[..colours].iter_mut().zip(sums) {
                    plane.row_mut(y)[x] = ((255 * sum.max(0) + alpha / 2) / alpha).clamp(0, 255) as u8;
                }
                image.planes_mut()[colours].row_mut(y)[x] = ((alpha + 127) / 255).clamp(0, 255) as u8;
            }
        }
        Ok(image)
    }
}
