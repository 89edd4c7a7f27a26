//! `unsharp_h` and `unsharp_v` in one walk down the picture; the arithmetic is stated in `engine::scalar::sharpen`, to
//! the bit.
//!
//! Blurred rows are i16 and live in a ring as tall as the window, so no whole plane of them exists. Products of samples
//! and alpha, up to 65,025, are kept 32,768 lower: the weights sum to 2¹⁴ exactly, so a sum is 2²⁹ lower.

use super::View;
use super::lanes::Lanes;
use super::level::Work;
use super::strip::Scratch;
use crate::engine::Cancel;
use crate::error::Result;
use crate::kernel::{SigmaPx, UnsharpTaps};
use crate::pixel::{Image, Model};
use crate::plan::Unsharp;

/// i16 lanes of a vector.
const WORDS: usize = 32;
/// Rows between two looks at the cancel flag.
const ROWS_BETWEEN: usize = 16;

/// The unsharp mask on `src`.
pub(super) struct UnsharpMask<'a> {
    pub(super) src: &'a View<'a>,
    pub(super) unsharp: &'a Unsharp,
    pub(super) cancel: &'a Cancel,
    pub(super) scratch: &'a mut Scratch,
}

impl Work for UnsharpMask<'_> {
    type Output = Result<Image>;

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> Result<Image> {
        let Self { src, unsharp, cancel, scratch } = self;
        let mono = match src.format.model {
            Model::Rgb => unsharp.mono,
            Model::Grey => false,
            Model::Ycbcr(_) | Model::Yuv | Model::Cmyk => unreachable!("sharpening {:?}", src.format),
        };
        let taps = UnsharpTaps::new(SigmaPx::from_radius(unsharp.radius_px()));
        let (weights, reach) = (taps.half(), taps.reach());
        let (w, h) = (src.size.w as usize, src.size.h as usize);
        let colours = src.format.colour_planes();
        let has_alpha = src.format.alpha;
        let inputs = if mono { 1 } else { colours };
        let planes = inputs + usize::from(has_alpha);

        let stride = w.next_multiple_of(WORDS);
        let ring_rows = h.min(2 * reach + 1);
        let mut image = Image::new(src.size, src.format);
        let (ring, rest) = scratch.words(planes * ring_rows * stride, 2 * reach + 3 * stride);
        let (padded, rest) = rest.split_at_mut(2 * reach + stride);
        let (values, blurred) = rest.split_at_mut(stride);
        let mut sums = vec![[0_i32; WORDS]; if has_alpha { 2 * stride / WORDS } else { 0 }];
        let half = sums.len() / 2;
        let (colour_sums, alpha_sums) = sums.split_at_mut(half);
        let mut at = vec![(0, 0); reach + 1];
        let mut next = 0;
        for y in 0..h {
            if y % ROWS_BETWEEN == 0 {
                cancel.check("unsharp_v")?;
            }
            while next < h.min(y + reach + 1) {
                for p in 0..planes {
                    let (middle, row) =
                        (&mut padded[reach..], &mut ring[(p * ring_rows + next % ring_rows) * stride..]);
                    let is_alpha = p == inputs;
                    let (add, shift) = match (is_alpha, has_alpha, mono) {
                        (false, true, _) => (1 << 15 | 1 << 29, 16),
                        (false, false, true) => (1 << 13, 14),
                        // Whole levels, not yet times 64.
                        _ => (1 << 7, 8),
                    };
                    match (is_alpha, mono) {
                        (true, _) => levels(middle, src.row(colours, next)),
                        (false, true) => luma(middle, src, next),
                        (false, false) => levels(middle, src.row(p, next)),
                    }
                    if has_alpha && !is_alpha {
                        weighted(&mut middle[..w], src.row(colours, next), mono);
                    }
                    let (first, last) = (padded[reach], padded[reach + w - 1]);
                    padded[..reach].fill(first);
                    padded[reach + w..].fill(last);
                    for (x, out) in row[..stride].as_chunks_mut::<WORDS>().0.iter_mut().enumerate() {
                        let x = x * WORDS;
                        let mut acc = start(l, weights[0], words(padded, x + reach), add);
                        for (k, weight) in weights.iter().enumerate().skip(1) {
                            acc = step(l, acc, *weight, words(padded, x + reach - k), words(padded, x + reach + k));
                        }
                        *out = narrowed(l, acc, shift);
                    }
                }
                next += 1;
            }
            for (k, at) in at.iter_mut().enumerate() {
                *at = (y.saturating_sub(k) % ring_rows * stride, (y + k).min(h - 1) % ring_rows * stride);
            }
            if has_alpha {
                let ring = &ring[inputs * ring_rows * stride..];
                for (x, sums) in alpha_sums.iter_mut().enumerate() {
                    *sums = l.natural(down(l, ring, &at, weights, x * WORDS, 0)).map(|v| v >> 12);
                }
            }
            for p in 0..planes {
                let ring = &ring[p * ring_rows * stride..];
                let is_alpha = p == inputs;
                if has_alpha && !is_alpha {
                    for (x, sums) in colour_sums.iter_mut().enumerate() {
                        *sums = l.natural(down(l, ring, &at, weights, x * WORDS, 0)).map(|v| v >> 4);
                    }
                } else {
                    for (x, out) in blurred.as_chunks_mut::<WORDS>().0.iter_mut().enumerate() {
                        *out = narrowed(l, down(l, ring, &at, weights, x * WORDS, 1 << 13), 14);
                    }
                }
                let outputs = if is_alpha {
                    colours..colours + 1
                } else if mono {
                    0..colours
                } else {
                    p..p + 1
                };
                for c in outputs {
                    if !mono || c == 0 || is_alpha {
                        if mono && !is_alpha {
                            luma(values, src, y);
                        } else {
                            levels(values, src.row(c, y));
                            values[..w].iter_mut().for_each(|v| *v *= 64);
                        }
                        if has_alpha && !is_alpha {
                            quotients(blurred, colour_sums.as_flattened(), alpha_sums.as_flattened(), values);
                        }
                    }
                    sharpened(image.planes_mut()[c].row_mut(y), src.row(c, y), values, blurred, unsharp);
                }
            }
        }
        Ok(image)
    }
}

/// 32 samples from `x` on.
#[inline(always)]
fn words(row: &[i16], x: usize) -> &[i16; WORDS] {
    // Rows are as long as their last whole vector.
    row[x..].first_chunk().expect("a padded row")
}

/// The centre tap of 32 columns, on top of `add`.
#[inline(always)]
fn start<L: Lanes>(l: L, weight: i32, centre: &[i16; WORDS], add: i32) -> [L::I; 2] {
    let (v, zero) = (l.load_words(centre), l.splat(0));
    let acc = l.splat(add);
    // A weight of 1 is 16,384: it fits the even half, and the odd half meets zeros.
    let w = l.splat(weight);
    [l.madd(acc, l.unpack_lo_i16(v, zero), w), l.madd(acc, l.unpack_hi_i16(v, zero), w)]
}

/// The taps at ±k of 32 columns.
#[inline(always)]
fn step<L: Lanes>(l: L, acc: [L::I; 2], weight: i32, a: &[i16; WORDS], b: &[i16; WORDS]) -> [L::I; 2] {
    let (a, b, w) = (l.load_words(a), l.load_words(b), l.splat(weight | weight << 16));
    [l.madd(acc[0], l.unpack_lo_i16(a, b), w), l.madd(acc[1], l.unpack_hi_i16(a, b), w)]
}

/// All taps of 32 columns from `x` on, down the ring.
#[inline(always)]
fn down<L: Lanes>(l: L, ring: &[i16], at: &[(usize, usize)], weights: &[i32], x: usize, add: i32) -> [L::I; 2] {
    let mut acc = start(l, weights[0], words(ring, at[0].0 + x), add);
    for (weight, (above, below)) in weights.iter().zip(at).skip(1) {
        acc = step(l, acc, *weight, words(ring, above + x), words(ring, below + x));
    }
    acc
}

#[inline(always)]
fn narrowed<L: Lanes>(l: L, acc: [L::I; 2], shift: u32) -> [i16; WORDS] {
    l.words(l.pack_i16(l.shift_right(acc[0], shift), l.shift_right(acc[1], shift)))
}

#[inline(always)]
fn levels(out: &mut [i16], row: &[u8]) {
    for (out, &v) in out.iter_mut().zip(row) {
        *out = i16::from(v);
    }
}

/// Luma in 1/64 level.
#[inline(always)]
fn luma(out: &mut [i16], src: &View<'_>, y: usize) {
    let rgb = src.row(0, y).iter().zip(src.row(1, y)).zip(src.row(2, y));
    for (out, ((&r, &g), &b)) in out.iter_mut().zip(rgb) {
        #[expect(clippy::cast_possible_truncation, reason = "at most 16320")]
        {
            *out = ((19595 * i32::from(r) + 38470 * i32::from(g) + 7471 * i32::from(b) + (1 << 9)) >> 10) as i16;
        }
    }
}

/// Levels, or luma in 1/64 level if `mono`, times alpha, less 32,768.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "0 to 65025, less 32768")]
fn weighted(values: &mut [i16], alpha: &[u8], mono: bool) {
    if mono {
        for (v, &a) in values.iter_mut().zip(alpha) {
            *v = (((i32::from(*v) * i32::from(a) + 32) >> 6) - 32_768) as i16;
        }
    } else {
        for (v, &a) in values.iter_mut().zip(alpha) {
            *v = (i32::from(*v) * i32::from(a) - 32_768) as i16;
        }
    }
}

/// `min((64 N + A/2) / A, 16320)` where A > 0, else the value itself. The f64 quotient truncates to the integer one: the
/// numerator is below 2³¹ and A below 2¹⁷, so a quotient that is no integer is at least 2⁻¹⁷ away from one.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "at most 16320 after the comparison")]
fn quotients(blurred: &mut [i16], colour: &[i32], alpha: &[i32], values: &[i16]) {
    for (((b, &n), &a), &v) in blurred.iter_mut().zip(colour).zip(alpha).zip(values) {
        let quotient = (f64::from(64 * n + a / 2) / f64::from(a)).min(16_320.0);
        *b = if a > 0 { quotient as i16 } else { v };
    }
}

/// `v + d · amount`, clamped, where d reaches the threshold.
#[inline(always)]
#[expect(clippy::cast_sign_loss, reason = "clamped to 0..=255")]
fn sharpened(out: &mut [u8], row: &[u8], values: &[i16], blurred: &[i16], unsharp: &Unsharp) {
    let (amount, threshold) = (i32::from(unsharp.amount_q10), 64 * i16::from(unsharp.threshold));
    for (((out, &v), &v6), &b) in out.iter_mut().zip(row).zip(values).zip(blurred) {
        let d = v6 - b;
        let sharp = i32::from(v) + ((i32::from(d) * amount + (1 << 15)) >> 16);
        *out = if d.abs() >= threshold { sharp.clamp(0, 255) as u8 } else { v };
    }
}
