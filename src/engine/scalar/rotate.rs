//! `rotate`: by any angle.
//!
//! Pixel (x, y) of the canvas lies at `(u, v) = columns[x] + rows[y]` of the picture, in 2⁻¹² samples from the centre of
//! its first one ([`Rotation::columns`]). With i and j the whole parts and w, z the Catmull-Rom weights (2¹⁰) of the next
//! eight bits, over samples premultiplied as p = c·a (alpha as 255·a), 0 outside the picture:
//!
//! - a row: `h = (Σ w·p + 2⁶) >> 7`; of four rows: `n = (Σ z·h + 2¹²) >> 13`
//! - alpha: `A = min(max(n, 0), 65025)`, `(A + 127) / 255`
//! - colour: `min((255·max(n, 0) + A/2) / A, 255)`, 0 where A is 0

use crate::kernel::affine::{COORDINATE_BITS, cubic};
use crate::pixel::{Image, PixelFormat, Plane};
use crate::plan::Rotation;

/// A picture turned about a point, onto a canvas; what it does not cover is clear.
///
/// - Shape: `[planes][h][w]` u8 → `[colours + 1][canvas h][canvas w]`
/// - Space: src and dst encoded, straight; in between encoded, premultiplied
/// - Edges: fall off within a sample of the picture's
/// - Agreement: integer, bit for bit in every engine
/// - Source: Keys, "Cubic convolution interpolation" (1981)
pub fn rotate(src: &Image, rotation: &Rotation) -> Image {
    let (columns, rows, weights) = (rotation.columns(), rotation.rows(), cubic());
    let colours = src.format().colour_planes();
    let format = PixelFormat { alpha: true, ..src.format() };
    let mut planes = vec![Plane::new(rotation.canvas); format.planes()];
    let (w, h) = (i32::try_from(src.size().w).unwrap_or(i32::MAX), i32::try_from(src.size().h).unwrap_or(i32::MAX));
    for (y, [ru, rv]) in rows.into_iter().enumerate() {
        for (x, [cu, cv]) in columns.iter().enumerate() {
            let [u, v] = [cu + ru, cv + rv];
            let phase = |at: i32| weights[(at >> (COORDINATE_BITS - 8) & 255) as usize];
            let (across, down) = (phase(u), phase(v));
            // n of a colour plane, or of alpha.
            let sum = |c: usize| {
                let mut n = 0;
                for (dy, z) in (-1..).zip(down) {
                    let mut row = 0;
                    for (dx, w_x) in (-1..).zip(across) {
                        let (sx, sy) = ((u >> COORDINATE_BITS) + dx, (v >> COORDINATE_BITS) + dy);
                        if (0..w).contains(&sx) && (0..h).contains(&sy) {
                            let at = |plane: &Plane<u8>| i32::from(plane.row(sy as usize)[sx as usize]);
                            let a = src.alpha().map_or(255, at);
                            row += w_x * a * if c == colours { 255 } else { at(&src.planes()[c]) };
                        }
                    }
                    n += z * ((row + (1 << 6)) >> 7);
                }
                (n + (1 << 12)) >> 13
            };
            let alpha = sum(colours).clamp(0, 255 * 255);
            for (c, plane) in planes.iter_mut().enumerate() {
                plane.row_mut(y)[x] = if c == colours {
                    ((alpha + 127) / 255).clamp(0, 255) as u8
                } else {
                    (255 * sum(c).max(0) + alpha / 2).checked_div(alpha).unwrap_or(0).clamp(0, 255) as u8
                };
            }
        }
    }
    Image::from_planes(rotation.canvas, format, planes)
}
