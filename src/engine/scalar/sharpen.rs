//! `unsharp_h`, `unsharp_v`, `sharpen`: sharpening in fixed point, so that a threshold decides the same in every engine.
//!
//! A value in "q6" is a level times 64. With ω the 14-bit weights of [`UnsharpTaps`], edges repeated:
//!
//! - opaque plane, alpha plane, luma of an opaque picture (v in q6): `h = (Σ ω·v + 2¹³) >> 14`,
//!   `b = (Σ ω·h + 2¹³) >> 14`
//! - colour plane under alpha: blurred weighted by alpha, so that what is transparent lends no colour:
//!   `n = (Σ ω·(v·a) + 2¹⁵) >> 16` with v·a ≤ 65025 (mono: `(y6·a + 32) >> 6`), `N = (Σ ω·n) >> 4`,
//!   `A = (Σ ω·h_alpha) >> 12`, `b = A > 0 ? min((64 N + A/2) / A, 16320) : v6`
//! - `d = v6 − b`; where `|d| ≥ 64·threshold`: `out = (v·2¹⁶ + d·amount_q10 + 2¹⁵) >> 16` clamped, else `v`
//! - mono: one d from luma `y6 = (19595 r + 38470 g + 7471 b + 2⁹) >> 10`, added to all three colours

use crate::kernel::{SigmaPx, UnsharpTaps};
use crate::pixel::{Image, Model, PixelFormat, Plane, Size};
use crate::plan::Unsharp;

/// What `unsharp_h` hands to `unsharp_v`: one plane a colour plane (one alone if mono), then alpha's.
#[derive(Clone, Debug)]
pub struct Blurred {
    /// Horizontally blurred: `h`, or `n` for colour under alpha.
    pub planes: Vec<Plane<i32>>,
}

/// Horizontal blur of the unsharp mask.
///
/// - Shape: `[planes][h][w]` u8 → `[colours or 1 (+ 1)][h][w]` i32, see the module docs for the values
/// - Space: src encoded, straight
/// - Agreement: integer, bit for bit in every engine
///
/// # Panics
/// If the model is neither grey nor R G B: the planner converts first.
pub fn unsharp_h(src: &Image, usm: &Unsharp) -> Blurred {
    let taps = UnsharpTaps::new(SigmaPx::from_radius(usm.radius_px()));
    let inputs: Vec<Plane<i32>> = if is_mono(src.format(), usm) {
        vec![luma(src)]
    } else {
        (0..src.format().colour_planes()).map(|i| map(src.size(), |x, y| 64 * at(&src.planes()[i], x, y))).collect()
    };
    let mut planes: Vec<Plane<i32>> = match src.alpha() {
        None => inputs.iter().map(|plane| blur_h(plane, &taps, 14)).collect(),
        Some(alpha) => inputs
            .iter()
            .map(|plane| {
                let weighted = map(src.size(), |x, y| {
                    let (v, a) = (plane.row(y)[x], at(alpha, x, y));
                    // Without mono v is a whole level times 64, so this is v·a exactly.
                    (v * a + 32) >> 6
                });
                blur_h(&weighted, &taps, 16)
            })
            .collect(),
    };
    if let Some(alpha) = src.alpha() {
        planes.push(blur_h(&map(src.size(), |x, y| 64 * at(alpha, x, y)), &taps, 14));
    }
    Blurred { planes }
}

/// Vertical blur, comparison and sharpening of the unsharp mask.
///
/// - Shape: `[planes][h][w]` u8 and `blurred` → `[planes][h][w]` u8
/// - Agreement: integer, bit for bit in every engine
pub fn unsharp_v(src: &Image, blurred: &Blurred, usm: &Unsharp) -> Image {
    let taps = UnsharpTaps::new(SigmaPx::from_radius(usm.radius_px()));
    let mono = is_mono(src.format(), usm);
    let brightness = mono.then(|| luma(src));
    let colours = src.format().colour_planes();
    let mut out = src.clone();
    for i in 0..src.format().planes() {
        let is_alpha = i == colours;
        let h_plane = &blurred.planes[if is_alpha {
            blurred.planes.len() - 1
        } else if mono {
            0
        } else {
            i
        }];
        let value = |x: usize, y: usize| match (&brightness, is_alpha) {
            (Some(luma), false) => luma.row(y)[x],
            _ => 64 * at(&src.planes()[i], x, y),
        };
        let plane = map(src.size(), |x, y| {
            let v6 = value(x, y);
            let b = if src.alpha().is_some() && !is_alpha {
                let n = sum_v(h_plane, x, y, &taps) >> 4;
                let a = sum_v(&blurred.planes[blurred.planes.len() - 1], x, y, &taps) >> 12;
                if a > 0 { ((64 * n + a / 2) / a).min(16_320) } else { v6 }
            } else {
                (sum_v(h_plane, x, y, &taps) + (1 << 13)) >> 14
            };
            let d = v6 - b;
            let v = at(&src.planes()[i], x, y);
            if d.abs() >= 64 * i32::from(usm.threshold) {
                ((v << 16) + d * i32::from(usm.amount_q10) + (1 << 15)) >> 16
            } else {
                v
            }
        });
        out.planes_mut()[i] = clamped(&plane);
    }
    out
}

/// The fixed sharpening of `op_sharpen`: 3×3, centre 16, others −1, sum divided by 8, edges repeated.
///
/// - Arithmetic: opaque and alpha planes `(16 v − Σ₈ + 4) >> 3`. Colour under alpha: the neighbours' mean weighted by
///   their alpha, `b = (64 Σ₈ v·a + A/2) / A` with `A = Σ₈ a` (no neighbour: `b = v6`), `(128 v − b + 32) >> 6`
/// - Agreement: integer, bit for bit in every engine
pub fn sharpen(src: &Image) -> Image {
    let mut out = src.clone();
    for i in 0..src.format().planes() {
        let plane = &src.planes()[i];
        let weights = src.alpha().filter(|_| src.format().alpha_plane() != Some(i));
        let sharpened = map(src.size(), |x, y| {
            let v = at(plane, x, y);
            match weights {
                None => (16 * v - neighbours(src.size(), x, y).map(|(nx, ny)| at(plane, nx, ny)).sum::<i32>() + 4) >> 3,
                Some(alpha) => {
                    let a: i32 = neighbours(src.size(), x, y).map(|(nx, ny)| at(alpha, nx, ny)).sum();
                    let n: i32 =
                        neighbours(src.size(), x, y).map(|(nx, ny)| at(plane, nx, ny) * at(alpha, nx, ny)).sum();
                    let b = if a > 0 { (64 * n + a / 2) / a } else { 64 * v };
                    (128 * v - b + 32) >> 6
                }
            }
        });
        out.planes_mut()[i] = clamped(&sharpened);
    }
    out
}

/// Brightness alone is only something else than the planes themselves when there is colour.
fn is_mono(format: PixelFormat, usm: &Unsharp) -> bool {
    match format.model {
        Model::Rgb => usm.mono,
        Model::Grey => false,
        Model::Ycbcr(_) | Model::Yuv | Model::Cmyk => unreachable!("sharpening {:?}", format.model),
    }
}

/// Luma in q6: 0 to 16320.
fn luma(src: &Image) -> Plane<i32> {
    let [r, g, b] = [0, 1, 2].map(|i| &src.planes()[i]);
    map(src.size(), |x, y| (19595 * at(r, x, y) + 38470 * at(g, x, y) + 7471 * at(b, x, y) + (1 << 9)) >> 10)
}

fn blur_h(src: &Plane<i32>, taps: &UnsharpTaps, shift: u32) -> Plane<i32> {
    let last = src.size().w as usize - 1;
    map(src.size(), |x, y| {
        let row = src.row(y);
        let mut sum = taps.half()[0] * row[x];
        for (k, w) in taps.half().iter().enumerate().skip(1) {
            sum += w * (row[x.saturating_sub(k)] + row[(x + k).min(last)]);
        }
        (sum + (1 << (shift - 1))) >> shift
    })
}

fn sum_v(src: &Plane<i32>, x: usize, y: usize, taps: &UnsharpTaps) -> i32 {
    let last = src.size().h as usize - 1;
    let mut sum = taps.half()[0] * src.row(y)[x];
    for (k, w) in taps.half().iter().enumerate().skip(1) {
        sum += w * (src.row(y.saturating_sub(k))[x] + src.row((y + k).min(last))[x]);
    }
    sum
}

/// The eight neighbours of (x, y), edges repeated.
fn neighbours(size: Size, x: usize, y: usize) -> impl Iterator<Item = (usize, usize)> {
    let step = |i: usize, d: usize, len: u32| (i + d).saturating_sub(1).min(len as usize - 1);
    (0..9).filter(|&n| n != 4).map(move |n| (step(x, n % 3, size.w), step(y, n / 3, size.h)))
}

fn at(plane: &Plane<u8>, x: usize, y: usize) -> i32 {
    i32::from(plane.row(y)[x])
}

fn map(size: Size, value: impl Fn(usize, usize) -> i32) -> Plane<i32> {
    let mut plane = Plane::new(size);
    for y in 0..size.h as usize {
        for (x, out) in plane.row_mut(y).iter_mut().enumerate() {
            *out = value(x, y);
        }
    }
    plane
}

fn clamped(src: &Plane<i32>) -> Plane<u8> {
    Plane::from_vec(src.size(), src.data().iter().map(|v| (*v).clamp(0, 255) as u8).collect())
}
