//! Resize in f32, a strip of 16 output rows at a time: pictures with alpha, linear light, and windows that fixed point
//! cannot keep within 1 level.
//!
//! The same walk as `fixed`: vertical first, turned, then horizontal with 16 rows a vector. Colour is multiplied by
//! alpha (both 0 to 255) as it is read, and divided by the resized alpha as it is written; no plane of products exists.

use super::lanes::{Lanes, Line};
use super::level::Work;
use super::strip::{BLOCK, Curve, Rows, STRIP, Scratch, padded, put_rows};
use super::windows::Windows;

/// Output rows from `y` on, as many as each of `dst` holds.
pub(super) struct FloatStrip<'a, 'b> {
    /// Planes of one size: colours, then, if `has_alpha`, alpha.
    pub(super) src: &'a [Rows<'b>],
    pub(super) has_alpha: bool,
    pub(super) curve: Curve,
    pub(super) v: &'a Windows<f32>,
    pub(super) h: &'a Windows<f32>,
    pub(super) y: usize,
    /// One strip of output rows a plane.
    pub(super) dst: &'a mut [&'b mut [u8]],
    pub(super) scratch: &'a mut Scratch,
}

impl Work for FloatStrip<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { src, has_alpha, curve, v, h, y, dst, scratch } = self;
        let planes = src.len();
        let alpha = has_alpha.then_some(planes - 1);
        let dst_w = h.dst_len();
        let rows = dst[0].len() / dst_w;
        let (first, end) = h.reach(0, dst_w);
        let (top, bottom) = v.reach(y, y + rows);
        let blocks = (end - first).div_ceil(BLOCK);
        let across = blocks * BLOCK;
        let (block, strip) = scratch.lines(4 * (bottom - top), planes * across);

        for b in 0..blocks {
            let x = first + b * BLOCK;
            for p in 0..planes {
                let table = if alpha == Some(p) { None } else { curve.to_light };
                let weight = alpha.filter(|a| *a != p).map(|a| &src[a]);
                widen(l, &src[p], weight, table, (top, bottom), x, block);
                let columns = strip[p * across + b * BLOCK..].as_chunks_mut::<16>().0;
                // Output rows of the four groups of 16 columns.
                let mut turned = [[l.splat(0); STRIP]; 4];
                for r in 0..STRIP {
                    // A last strip of fewer rows repeats its last one.
                    let span = v.span(y + r.min(rows - 1));
                    let mut acc = [l.splat_f(0.0); 4];
                    let lines = block[4 * (span.start - top)..].as_chunks::<4>().0;
                    for (w, lines) in v.weights(span).iter().zip(lines) {
                        let w = l.splat_f(*w);
                        for (acc, line) in acc.iter_mut().zip(lines) {
                            *acc = l.mul_add(*acc, l.as_float(l.load(line)), w);
                        }
                    }
                    for (group, acc) in turned.iter_mut().zip(acc) {
                        group[r] = l.as_int(acc);
                    }
                }
                for (group, columns) in turned.iter().zip(columns) {
                    for (v, line) in l.transpose(group).into_iter().zip(columns) {
                        l.store(line, v);
                    }
                }
            }
        }

        for x in (0..dst_w).step_by(16) {
            let mut opacity = [l.splat_f(1.0); 16];
            // Alpha first: colour is divided by it.
            for p in (0..planes).rev() {
                let mut columns = [l.splat(0); 16];
                for c in 0..16 {
                    let span = h.span((x + c).min(dst_w - 1));
                    let lines = &strip[p * across + span.start - first..];
                    let mut acc = l.splat_f(0.0);
                    for (w, line) in h.weights(span).iter().zip(lines) {
                        acc = l.mul_add(acc, l.as_float(l.load(line)), l.splat_f(*w));
                    }
                    let is_alpha = alpha == Some(p);
                    if is_alpha {
                        opacity[c] = acc;
                    } else if has_alpha {
                        acc = l.ratio(acc, opacity[c]);
                    }
                    columns[c] = match curve.from_light {
                        Some(_) if !is_alpha => {
                            let scaled = l.mul_add(l.splat_f(0.5), acc, l.splat_f(Curve::STEPS_PER_LEVEL));
                            l.floor_within(scaled, Curve::LAST)
                        }
                        _ => l.floor_within(l.mul_add(l.splat_f(0.5), acc, l.splat_f(1.0)), 255.0),
                    };
                }
                match curve.from_light {
                    Some(table) if alpha != Some(p) => {
                        let mut lines = [Line::default(); 16];
                        for (line, v) in lines.iter_mut().zip(columns) {
                            l.store(line, v);
                        }
                        put_rows(dst[p], dst_w, x, &Curve::encode(table, &lines));
                    }
                    _ => put_rows(dst[p], dst_w, x, &l.columns_to_rows(&columns)),
                }
            }
        }
    }
}

/// Rows `top..bottom` of the columns `x .. x + 64` as f32, through `table` if there is one and multiplied by `weight` if
/// there is one: four lines a row.
#[inline(always)]
fn widen<L: Lanes>(
    l: L,
    src: &Rows<'_>,
    weight: Option<&Rows<'_>>,
    table: Option<&[f32; 256]>,
    (top, bottom): (usize, usize),
    x: usize,
    block: &mut [Line],
) {
    for (y, lines) in (top..bottom).zip(block.as_chunks_mut::<4>().0) {
        let rest;
        let row = match src.row(y)[x..].first_chunk::<BLOCK>() {
            Some(row) => row,
            None => {
                rest = padded(&src.row(y)[x..]);
                &rest
            }
        };
        let weights = weight.map(|weight| {
            let row = &weight.row(y)[x..];
            row.first_chunk::<BLOCK>().copied().unwrap_or_else(|| padded(row))
        });
        for (i, (bytes, line)) in row.as_chunks::<16>().0.iter().zip(lines).enumerate() {
            let mut v = match table {
                None => l.levels(bytes),
                Some(table) => l.as_float(l.load(&Line(bytes.map(|b| table[b as usize].to_bits().cast_signed())))),
            };
            if let Some(weights) = &weights {
                v = l.mul(v, l.levels(&weights.as_chunks::<16>().0[i]));
            }
            l.store(line, l.as_int(v));
        }
    }
}
