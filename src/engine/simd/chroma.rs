//! `rgb_to_ycbcr` where four pixels share a colour: two rows of pixels at a time, first the colours that they share, then,
//! a pair of rows later, the luma that goes with them. R G B of a Y Cb Cr source exists for four rows alone.
//!
//! Where no instruction multiplies pairs of i16 and adds them up, it is plain loops, which take a third of the time there.
//! Products of two bytes fill 16 bits without a sign, and what multiplies pairs has one: squares are kept 32,768 lower, and
//! weights that need 16 bits and a sign are given in two halves.

use super::View;
use super::lanes::{Lanes, pair_of};
use super::rows::{CB, CR, raise, to_rgb};
use crate::pixel::{Image, Model};

/// Columns of one step.
const COLUMNS: usize = 64;
/// R G B rows that a Y Cb Cr source needs at once.
const RING: usize = 4;

/// Weights of R, G and B for Cb and Cr, full range and video range.
const CHROMA: [[[i32; 3]; 2]; 2] = [[CB, CR], [[-9714, -19070, 28784], [28784, -24103, -4681]]];
/// What `cb'²`, `cb' cr'` and `cr'²` take off.
const SHOWN: [[i16; 3]; 2] = [[-438, -295, -908], [-567, -383, -1177]];

/// Y, Cb and Cr of `out`, chroma of half size, from R G B or from Y Cb Cr of full-size chroma.
#[inline(always)]
pub(super) fn share<L: Lanes, const IS_VIDEO: bool>(l: L, src: &View<'_>, out: &mut Image) {
    let (w, h) = (src.size.w as usize, src.size.h as usize);
    let [luma, cb, cr, ..] = out.planes_mut() else { unreachable!("three planes") };
    let across = w.next_multiple_of(COLUMNS);
    let mut roots = [const { Vec::new() }; 3].map(|_: Vec<i16>| vec![0_i16; across / 2]);
    let mut raised = [vec![0_u8; across], vec![0_u8; across]];
    let mut mixed = vec![0_i16; w.div_ceil(2) + 2];
    let converts = src.format.model != Model::Rgb;
    let mut ring = vec![0_u8; if converts { 3 * RING * w } else { 0 }];
    let chroma_h = h.div_ceil(2);
    for y in 0..=chroma_h {
        if converts {
            for row in (2 * y).min(h)..(2 * y + 2).min(h) {
                let rgb = ring[row % RING * 3 * w..][..3 * w].split_at_mut(w);
                let (g, b) = rgb.1.split_at_mut(w);
                to_rgb([rgb.0, g, b], [0, 1, 2].map(|c| src.row(c, row)));
            }
        }
        let rgb = |c: usize, row: usize| {
            if converts { &ring[(row % RING * 3 + c) * w..][..w] } else { src.row(c, row) }
        };
        if y < chroma_h {
            let rows = [2 * y, (2 * y + 1).min(h - 1)];
            for (c, roots) in roots.iter_mut().enumerate() {
                let colours = rows.map(|row| rgb(c, row));
                match src.format.alpha_plane() {
                    None if L::MULTIPLIES_PAIRS => block_roots(l, roots, colours),
                    None => plain::block_roots(roots, colours),
                    Some(a) => plain::weighted_roots(roots, colours, rows.map(|row| src.row(a, row))),
                }
            }
            let [cb_weights, cr_weights] = CHROMA[usize::from(IS_VIDEO)];
            for (out, weights) in [(cb.row_mut(y), cb_weights), (cr.row_mut(y), cr_weights)] {
                match L::MULTIPLIES_PAIRS {
                    true => shared(l, out, &roots, weights),
                    false => plain::shared(out, &roots, weights),
                }
            }
        }
        // Row 2y - 1 lies between chroma rows y - 1 and y, row 2y - 2 between y - 2 and y - 1.
        for row in (2 * y).saturating_sub(2)..(2 * y).min(h) {
            let near = row / 2;
            let far = if row % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(chroma_h - 1) };
            raise(&mut raised[0], &mut mixed, cb.row(near), cb.row(far));
            raise(&mut raised[1], &mut mixed, cr.row(near), cr.row(far));
            let rgb = [0, 1, 2].map(|c| rgb(c, row));
            let (out, chroma) = (luma.row_mut(row), [raised[0].as_slice(), raised[1].as_slice()]);
            match L::MULTIPLIES_PAIRS {
                true => as_bright::<L, IS_VIDEO>(l, out, rgb, chroma),
                false => plain::as_bright::<IS_VIDEO>(out, rgb, chroma),
            }
        }
    }
}

/// 64 samples from `x` on, the last one repeated behind the row's end; `rest` is room for them.
#[inline(always)]
fn block<'a>(row: &'a [u8], x: usize, rest: &'a mut [u8; COLUMNS]) -> &'a [u8; COLUMNS] {
    let row = &row[x..];
    row.first_chunk().unwrap_or_else(|| {
        rest[..row.len()].copy_from_slice(row);
        rest[row.len()..].fill(row[row.len() - 1]);
        rest
    })
}

/// i16 of bytes: the first eight of each quarter, then the others.
#[inline(always)]
fn words<L: Lanes>(l: L, bytes: L::I) -> [L::I; 2] {
    [l.unpack_lo_u8(bytes, l.splat(0)), l.unpack_hi_u8(bytes, l.splat(0))]
}

/// Pairs of i16: of the first four of each quarter, then of the others.
#[inline(always)]
fn pairs<L: Lanes>(l: L, a: L::I, b: L::I) -> [L::I; 2] {
    [l.unpack_lo_i16(a, b), l.unpack_hi_i16(a, b)]
}

/// ⌊√n⌋ of i32 up to 2²⁸, where above 2²⁶ n is a multiple of 1024: the root of the nearest f32, rounded to the nearest, is
/// never below an integer that √n reaches, and one too large at most. Below 0 it is -1.
#[inline(always)]
fn root<L: Lanes>(l: L, n: L::I) -> L::I {
    let root = l.floor_within(l.sqrt(l.to_float(n)), 16_384.0);
    let left = l.madd(n, root, l.mul_words(root, l.splat(-1)));
    l.add(root, l.shift_right(left, 31))
}

/// Root mean squares of the 2×2 blocks of two rows, in 2⁻⁶ levels.
#[inline(always)]
fn block_roots<L: Lanes>(l: L, roots: &mut [i16], [top, bottom]: [&[u8]; 2]) {
    let mut rest = [[0; COLUMNS]; 2];
    let [rest_top, rest_bottom] = &mut rest;
    for (i, out) in roots.as_chunks_mut::<{ COLUMNS / 2 }>().0.iter_mut().enumerate() {
        let top = words(l, l.load_u8(block(top, i * COLUMNS, rest_top)));
        let bottom = words(l, l.load_u8(block(bottom, i * COLUMNS, rest_bottom)));
        let mut halves = [l.splat(0); 2];
        for (half, (top, bottom)) in halves.iter_mut().zip(top.into_iter().zip(bottom)) {
            // Times 32, so that squares are times 1024.
            let by = l.splat(pair_of(32, 32));
            let (top, bottom) = (l.mul_words(top, by), l.mul_words(bottom, by));
            *half = root(l, l.madd(l.madd(l.splat(0), top, top), bottom, bottom));
        }
        *out = l.words(l.pack_i16(halves[0], halves[1]));
    }
}

/// One row of Cb or Cr.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "each sum lies within 0..=255")]
fn shared<L: Lanes>(l: L, out: &mut [u8], roots: &[Vec<i16>; 3], weights: [i32; 3]) {
    const STEP: usize = COLUMNS / 2;
    for (i, out) in out.chunks_mut(STEP).enumerate() {
        let mut halves = [l.splat((128 << 22) + (1 << 21) - 1); 2];
        for (roots, weight) in roots.iter().zip(weights) {
            let v = l.load_words(&roots.as_chunks::<STEP>().0[i]);
            let weight = l.splat(pair_of((weight / 2) as i16, (weight - weight / 2) as i16));
            let [lo, hi] = pairs(l, v, v);
            halves = [l.madd(halves[0], lo, weight), l.madd(halves[1], hi, weight)];
        }
        let [lo, hi] = halves;
        let levels = l.words(l.pack_i16(l.shift_right(lo, 22), l.shift_right(hi, 22))).map(|v| v as u8);
        out.copy_from_slice(&levels[..out.len()]);
    }
}

/// The luma with which pixels are as bright in their shared colours as they were.
#[inline(always)]
fn as_bright<L: Lanes, const IS_VIDEO: bool>(l: L, luma: &mut [u8], rgb: [&[u8]; 3], chroma: [&[u8]; 2]) {
    let [bb, br, rr] = SHOWN[usize::from(IS_VIDEO)];
    let (w_rg, w_b, w_r) = (l.splat(pair_of(306, 601)), l.splat(pair_of(117, bb)), l.splat(pair_of(br, rr)));
    let (down, minus_128) = (l.splat(pair_of(i16::MIN, i16::MIN)), l.splat(pair_of(-128, -128)));
    let mut rest = [0; COLUMNS];
    for (i, out) in luma.chunks_mut(COLUMNS).enumerate() {
        let x = i * COLUMNS;
        let [r, g, b] = rgb;
        let r = words(l, l.load_u8(block(r, x, &mut rest)));
        let g = words(l, l.load_u8(block(g, x, &mut rest)));
        let b = words(l, l.load_u8(block(b, x, &mut rest)));
        let cb = words(l, l.load_u8(block(chroma[0], x, &mut rest)));
        let cr = words(l, l.load_u8(block(chroma[1], x, &mut rest)));
        let mut halves = [l.splat(0); 2];
        for (k, half) in halves.iter_mut().enumerate() {
            let (cb, cr) = (l.add_words(cb[k], minus_128), l.add_words(cr[k], minus_128));
            let r = l.add_words(l.mul_words(r[k], r[k]), down);
            let g = l.add_words(l.mul_words(g[k], g[k]), down);
            let b = l.add_words(l.mul_words(b[k], b[k]), down);
            let rg = pairs(l, r, g);
            let b = pairs(l, b, l.mul_words(cb, cb));
            let c = pairs(l, l.mul_words(cb, cr), l.mul_words(cr, cr));
            let mut roots = [l.splat(0); 2];
            for (j, out) in roots.iter_mut().enumerate() {
                // The weights of R G B come to 1024.
                let sum = l.madd(l.splat(32_768 * 1024), rg[j], w_rg);
                *out = root(l, l.madd(l.madd(sum, b[j], w_b), c[j], w_r));
            }
            *half = if IS_VIDEO { video_luma(l, roots) } else { full_luma(l, roots) };
        }
        let bytes = l.to_quarters(l.pack_u8(halves[0], halves[1]));
        out.copy_from_slice(&bytes.as_flattened()[..out.len()]);
    }
}

/// i16 of `(root + 16) >> 5`. What is shown in a colour is never more than white, so none is above 255.
#[inline(always)]
fn full_luma<L: Lanes>(l: L, [lo, hi]: [L::I; 2]) -> L::I {
    let half = l.splat(16);
    l.pack_i16(l.shift_right(l.add(lo, half), 5), l.shift_right(l.add(hi, half), 5))
}

/// i16 of `16 + ((112567 root + 2²¹) >> 22)`, for the same reason never above 235.
#[inline(always)]
fn video_luma<L: Lanes>(l: L, [lo, hi]: [L::I; 2]) -> L::I {
    let v = l.pack_i16(lo, hi);
    let mut sums = pairs(l, v, v);
    for sum in &mut sums {
        let start = l.splat((16 << 22) + (1 << 21));
        let weighed = l.madd(start, *sum, l.splat(pair_of(28_142, 28_142)));
        *sum = l.shift_right(l.madd(weighed, *sum, l.splat(pair_of(28_142, 28_141))), 22);
    }
    l.pack_i16(sums[0], sums[1])
}

/// The same steps as plain loops, which the compiler turns into whatever vectors there are.
mod plain {
    use super::SHOWN;

    /// ⌊√n⌋ as [`super::root`], of 0 and more.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 2¹⁴")]
    fn root(n: i32) -> i32 {
        let root = (n as f32).sqrt() as i32;
        root - i32::from(root * root > n)
    }

    #[inline(always)]
    fn square(v: u8) -> i32 {
        i32::from(v) * i32::from(v)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 16320")]
    pub(super) fn block_roots(roots: &mut [i16], [top, bottom]: [&[u8]; 2]) {
        let (top, bottom) = (top.as_chunks::<2>(), bottom.as_chunks::<2>());
        for ((out, [a, b]), [c, d]) in roots.iter_mut().zip(top.0).zip(bottom.0) {
            *out = root(1024 * (square(*a) + square(*b) + square(*c) + square(*d))) as i16;
        }
        if let ([a], [b]) = (top.1, bottom.1) {
            roots[top.0.len()] = root(2048 * (square(*a) + square(*b))) as i16;
        }
    }

    /// Weighted by alpha.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 16320")]
    pub(super) fn weighted_roots(roots: &mut [i16], [top, bottom]: [&[u8]; 2], [alpha_top, alpha_bottom]: [&[u8]; 2]) {
        for (x, out) in roots[..top.len().div_ceil(2)].iter_mut().enumerate() {
            let (left, right) = (2 * x, (2 * x + 1).min(top.len() - 1));
            let squares = [top[left], top[right], bottom[left], bottom[right]].map(square);
            let weights = [alpha_top[left], alpha_top[right], alpha_bottom[left], alpha_bottom[right]];
            let weight: i32 = weights.iter().map(|&a| i32::from(a)).sum();
            let weighted: i32 = squares.iter().zip(weights).map(|(v, a)| v * i32::from(a)).sum();
            let sum = if weight == 0 { squares.iter().sum() } else { (4 * weighted + weight / 2) / weight };
            *out = root(1024 * sum) as i16;
        }
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "each sum lies within 0..=255")]
    pub(super) fn shared(out: &mut [u8], [r, g, b]: &[Vec<i16>; 3], [kr, kg, kb]: [i32; 3]) {
        for (((out, &r), &g), &b) in out.iter_mut().zip(r).zip(g).zip(b) {
            let sum = kr * i32::from(r) + kg * i32::from(g) + kb * i32::from(b);
            *out = ((sum + (128 << 22) + (1 << 21) - 1) >> 22) as u8;
        }
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 255")]
    pub(super) fn as_bright<const IS_VIDEO: bool>(luma: &mut [u8], [r, g, b]: [&[u8]; 3], [cb, cr]: [&[u8]; 2]) {
        let [bb, br, rr] = SHOWN[usize::from(IS_VIDEO)].map(i32::from);
        for (((((out, &r), &g), &b), &cb), &cr) in luma.iter_mut().zip(r).zip(g).zip(b).zip(cb).zip(cr) {
            let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
            let square = 306 * square(r) + 601 * square(g) + 117 * square(b);
            let root = root((square + bb * cb * cb + br * cb * cr + rr * cr * cr).max(0));
            *out = match IS_VIDEO {
                true => (16 + ((112_567 * root + (1 << 21)) >> 22)) as u8,
                false => ((root + 16) >> 5) as u8,
            };
        }
    }
}
