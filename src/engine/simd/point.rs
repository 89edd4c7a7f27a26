//! `point` and `median`, row by row; the arithmetic is stated in `engine::scalar::point`, to the bit.
//!
//! Where each channel depends on itself alone, a sample costs one look-up. Else a row goes through i32 scratch rows, one
//! operation after the other, each a plain loop that the compiler turns into vectors.

use super::View;
use super::lanes::Lanes;
use super::level::Work;
use crate::kernel::point::{FULL_Q6, tinted};
use crate::pixel::{Image, Model, PixelFormat};
use crate::plan::Point;

/// `point`.
pub(super) struct PointOperations<'a> {
    pub(super) src: &'a View<'a>,
    pub(super) point: &'a Point,
    /// What [`Median`] gave.
    pub(super) median: Option<u8>,
}

impl Work for PointOperations<'_> {
    type Output = Image;

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> Image {
        let Self { src, point, median } = self;
        let format = PixelFormat { model: point.model(src.format.model), alpha: src.format.alpha };
        let mut out = Image::new(src.size, format);
        let curves = point.curves();
        let colours = colours(src);
        let h = src.size.h as usize;
        // A grey picture that stays grey has neither hue nor saturation.
        if point.is_by_channel() || format.model == Model::Grey {
            let bytes = curves.map(|curve| curve.map(|q6| finished(i32::from(q6), point.invert)));
            for c in 0..format.colour_planes() {
                for y in 0..h {
                    for (out, &v) in out.planes_mut()[c].row_mut(y).iter_mut().zip(src.row(colours[c], y)) {
                        *out = bytes[c][v as usize];
                    }
                }
            }
        } else {
            let tint = point.tint.map(|tint| {
                let median = median.filter(|_| tint.normalise);
                let level = |level: u8| tinted(level, median, tint.contrast, tint.colour);
                std::array::from_fn::<_, 256, _>(|v| level(v.to_le_bytes()[0]).map(|q6| finished(q6, point.invert)))
            });
            let is_plain = curves.iter().all(|curve| (0..).zip(curve).all(|(v, q6)| 64 * v == i32::from(*q6)));
            let w = src.size.w as usize;
            let mut scratch = vec![0_i32; 3 * w];
            let (r, rest) = scratch.split_at_mut(w);
            let (g, b) = rest.split_at_mut(w);
            for y in 0..h {
                for (c, row) in [&mut *r, &mut *g, &mut *b].into_iter().enumerate() {
                    let levels = row.iter_mut().zip(src.row(colours[c], y));
                    if is_plain {
                        levels.for_each(|(out, &v)| *out = 64 * i32::from(v));
                    } else {
                        levels.for_each(|(out, &v)| *out = i32::from(curves[c][v as usize]));
                    }
                }
                if point.hue != 0 {
                    turn(r, g, b, i32::from(point.hue));
                }
                if point.saturation != 0 {
                    saturate(r, g, b, point.saturation_q10());
                }
                let [out_r, out_g, out_b, ..] = out.planes_mut() else { unreachable!("three colours") };
                let (out_r, out_g, out_b) = (out_r.row_mut(y), out_g.row_mut(y), out_b.row_mut(y));
                match &tint {
                    Some(tint) => {
                        let lumas = r.iter().zip(&*g).zip(&*b);
                        let outs = out_r.iter_mut().zip(out_g).zip(out_b);
                        for (((out_r, out_g), out_b), ((&r, &g), &b)) in outs.zip(lumas) {
                            [*out_r, *out_g, *out_b] = tint[((luma(r, g, b) + 32) >> 6) as usize & 255];
                        }
                    }
                    None => {
                        for (out, row) in [(out_r, &*r), (out_g, &*g), (out_b, &*b)] {
                            out.iter_mut().zip(row).for_each(|(out, &q6)| *out = finished(q6, point.invert));
                        }
                    }
                }
            }
        }
        if let Some(i) = src.format.alpha_plane() {
            out.planes_mut()[format.colour_planes()].data_mut().copy_from_slice(src.planes[i]);
        }
        out
    }
}

/// `median`.
pub(super) struct Median<'a> {
    pub(super) src: &'a View<'a>,
}

impl Work for Median<'_> {
    type Output = u8;

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> u8 {
        let src = self.src;
        let planes = colours(src);
        let mut levels = vec![0_u8; src.size.w as usize];
        // Four counters a level in turns: neighbours are alike, and a counter that was just written is slow to read.
        let mut counts = [[0_u32; 256]; 4];
        for y in 0..src.size.h as usize {
            let [r, g, b] = planes.map(|plane| src.row(plane, y));
            for (((level, &r), &g), &b) in levels.iter_mut().zip(r).zip(g).zip(b) {
                *level = finished(luma(64 * i32::from(r), 64 * i32::from(g), 64 * i32::from(b)), false);
            }
            match src.format.alpha_plane() {
                None => {
                    for four in levels.chunks(4) {
                        four.iter().zip(&mut counts).for_each(|(&level, counts)| counts[level as usize] += 1);
                    }
                }
                Some(alpha) => {
                    for (&level, &a) in levels.iter().zip(src.row(alpha, y)) {
                        counts[0][level as usize] += u32::from(a >= 128);
                    }
                }
            }
        }
        let count = |level: usize| counts.iter().map(|counts| u64::from(counts[level])).sum::<u64>();
        let all: u64 = (0..256).map(count).sum();
        let mut seen = 0;
        let median = (0..=255_u8).find(|level| {
            seen += count(usize::from(*level));
            2 * seen >= all
        });
        if all == 0 { 127 } else { median.unwrap_or(255).clamp(1, 254) }
    }
}

/// The planes that R, G and B are read from.
fn colours(src: &View<'_>) -> [usize; 3] {
    match src.format.model {
        Model::Rgb => [0, 1, 2],
        Model::Grey => [0; 3],
        Model::Ycbcr(_) | Model::Yuv | Model::Cmyk => unreachable!("point operations on {:?}", src.format),
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "q6 of 0 to 255")]
fn finished(q6: i32, invert: bool) -> u8 {
    let q6 = if invert { FULL_Q6 - q6 } else { q6 };
    ((q6 + 32) >> 6) as u8
}

#[inline(always)]
fn luma(r: i32, g: i32, b: i32) -> i32 {
    (19595 * r + 38470 * g + 7471 * b + (1 << 15)) >> 16
}

#[inline(always)]
fn saturate(r: &mut [i32], g: &mut [i32], b: &mut [i32], factor_q10: i32) {
    for ((r, g), b) in r.iter_mut().zip(g).zip(b) {
        let y = luma(*r, *g, *b);
        for v in [r, g, b] {
            *v = (y + (((*v - y) * factor_q10 + (1 << 9)) >> 10)).clamp(0, FULL_Q6);
        }
    }
}

#[inline(always)]
fn turn(r: &mut [i32], g: &mut [i32], b: &mut [i32], degrees: i32) {
    for ((r, g), b) in r.iter_mut().zip(g).zip(b) {
        let (vr, vg, vb) = (*r, *g, *b);
        let most = vr.max(vg).max(vb);
        let c = most - vr.min(vg).min(vb);
        let blue = vr - vg + 4 * c;
        let green = if vg == most { vb - vr + 2 * c } else { blue };
        let hue = if vr == most { vg - vb } else { green };
        let turned = 60 * hue + degrees * c;
        // −60 C to 659 C: into 0 to 360 C.
        let turned = if turned < 0 { turned + 360 * c } else { turned };
        let turned = if turned >= 360 * c { turned - 360 * c } else { turned };
        let channel = |n: i32| {
            let k = turned + 60 * n * c;
            let k = if k >= 360 * c { k - 360 * c } else { k };
            let t = k.min(240 * c - k).min(60 * c).max(0);
            // At most 979,200 · 4,369 + 2¹⁷: below 2³².
            most - ((t.cast_unsigned() * 4369 + (1 << 17)) >> 18).cast_signed()
        };
        (*r, *g, *b) = (channel(5), channel(3), channel(1));
    }
}
