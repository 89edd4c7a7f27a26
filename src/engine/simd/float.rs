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
        // Rows that the next strip reads and this one does not.
        let next = v.reach(y + rows, v.dst_len().min(y + rows + STRIP));
        let ahead = (bottom.max(next.0), next.1);
        let blocks = (end - first).div_ceil(BLOCK);
        let across = blocks * BLOCK;
        let block_lines = 4 * (bottom - top);
        let (small, strip) = scratch.lines(2 * block_lines + 16 * planes, planes * across);
        let (sums, small) = small.split_at_mut(16 * planes);
        let (opacity, product) = small.split_at_mut(block_lines);

        for b in 0..blocks {
            let x = first + b * BLOCK;
            for rows in src {
                rows.ask(l, ahead, b, blocks);
            }
            // Alpha first: colour is multiplied by it.
            for p in (0..planes).rev() {
                let block = if alpha == Some(p) {
                    widen(l, &src[p], None, None, (top, bottom), x, opacity);
                    &*opacity
                } else {
                    let weights = has_alpha.then_some(&*opacity);
                    widen(l, &src[p], curve.to_light, weights, (top, bottom), x, product);
                    &*product
                };
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
            match planes {
                4 => across_columns::<L, 4>(l, h, x, first, strip, sums),
                _ => {
                    for (strip, sums) in strip.chunks_exact(across).zip(sums.chunks_exact_mut(16)) {
                        across_columns::<L, 1>(l, h, x, first, strip, sums);
                    }
                }
            }
            let mut opacity = [l.splat_f(1.0); 16];
            // Alpha first: colour is divided by it.
            for (p, sums) in sums.chunks_exact(16).enumerate().rev() {
                let mut columns = [l.splat(0); 16];
                if alpha == Some(p) {
                    for ((column, opacity), sum) in columns.iter_mut().zip(&mut opacity).zip(sums) {
                        let sum = l.as_float(l.load(sum));
                        *opacity = l.reciprocal(sum);
                        *column = l.floor_within(l.mul_add(l.splat_f(0.5), sum, l.splat_f(1.0)), 255.0);
                    }
                    put_rows(dst[p], dst_w, x, &l.columns_to_rows(&columns));
                    continue;
                }
                let (steps, last) = curve.from_light.map_or((1.0, 255.0), |_| (Curve::STEPS_PER_LEVEL, Curve::LAST));
                for ((column, opacity), sum) in columns.iter_mut().zip(&opacity).zip(sums) {
                    let straight = l.mul(l.as_float(l.load(sum)), *opacity);
                    *column = l.floor_within(l.mul_add(l.splat_f(0.5), straight, l.splat_f(steps)), last);
                }
                match curve.from_light {
                    None => put_rows(dst[p], dst_w, x, &l.columns_to_rows(&columns)),
                    Some(table) => {
                        let mut lines = [Line::default(); 16];
                        for (line, v) in lines.iter_mut().zip(columns) {
                            l.store(line, v);
                        }
                        put_rows(dst[p], dst_w, x, &Curve::encode(table, &lines));
                    }
                }
            }
        }
    }
}

/// The horizontal half of 16 columns of `P` planes at once, which share each weight: 16 lines a plane.
#[inline(always)]
fn across_columns<L: Lanes, const P: usize>(
    l: L,
    h: &Windows<f32>,
    x: usize,
    first: usize,
    strip: &[Line],
    sums: &mut [Line],
) {
    let across = strip.len() / P;
    for c in 0..16 {
        let span = h.span((x + c).min(h.dst_len() - 1));
        let weights = h.weights(span);
        let lines: [&[Line]; P] = std::array::from_fn(|p| &strip[p * across + span.start - first..][..weights.len()]);
        let mut acc = [l.splat_f(0.0); P];
        for (t, w) in weights.iter().enumerate() {
            let w = l.splat_f(*w);
            for p in 0..P {
                acc[p] = l.mul_add(acc[p], l.as_float(l.load(&lines[p][t])), w);
            }
        }
        for p in 0..P {
            l.store(&mut sums[16 * p + c], l.as_int(acc[p]));
        }
    }
}

/// Rows `top..bottom` of the columns `x .. x + 64` as f32, through `table` if there is one and multiplied by `weights`,
/// lines like those it writes, if there are any: four lines a row.
#[inline(always)]
fn widen<L: Lanes>(
    l: L,
    src: &Rows<'_>,
    table: Option<&[f32; 256]>,
    weights: Option<&[Line]>,
    (top, bottom): (usize, usize),
    x: usize,
    block: &mut [Line],
) {
    for (y, lines) in (top..bottom).zip(block.as_chunks_mut::<4>().0) {
        let row = src.row(y);
        let rest;
        let bytes = match row[x..].first_chunk::<BLOCK>() {
            Some(bytes) => bytes,
            None => {
                rest = padded(&row[x..]);
                &rest
            }
        };
        let sixteens = bytes.as_chunks::<16>().0;
        match (table, weights) {
            (None, None) => {
                for (line, bytes) in lines.iter_mut().zip(sixteens) {
                    l.store(line, l.as_int(l.levels(bytes)));
                }
            }
            (None, Some(weights)) => {
                let weights = &weights[4 * (y - top)..];
                for ((line, bytes), weight) in lines.iter_mut().zip(sixteens).zip(weights) {
                    l.store(line, l.as_int(l.mul(l.levels(bytes), l.as_float(l.load(weight)))));
                }
            }
            (Some(table), _) => {
                for (line, bytes) in lines.iter_mut().zip(sixteens) {
                    for (v, b) in line.0.iter_mut().zip(bytes) {
                        *v = table[usize::from(*b)].to_bits().cast_signed();
                    }
                }
                for (line, weight) in lines.iter_mut().zip(weights.map(|w| &w[4 * (y - top)..]).unwrap_or_default()) {
                    l.store(line, l.as_int(l.mul(l.as_float(l.load(line)), l.as_float(l.load(weight)))));
                }
            }
        }
    }
}
