//! Resize in f32, a strip of 16 output rows at a time: pictures with alpha, linear light, and windows that fixed point
//! cannot keep within 1 level.
//!
//! The same walk as `fixed`: vertical first, turned, then horizontal with 16 rows a vector. Colour is multiplied by
//! alpha (both 0 to 255) as it is read, and divided by the resized alpha as it is written; no plane of products exists.
//! It stays f32 throughout: the division magnifies whatever fixed point would have rounded off under a low alpha.
//!
//! Both halves make two neighbouring outputs at once. Their windows overlap nearly wholly, so a sample that is loaded
//! once serves both, and eight sums in flight hide what one multiply-add waits for another.

use super::lanes::{Lanes, Line};
use super::level::Work;
use super::strip::{BLOCK, Curve, Rows, STRIP, Scratch, put_rows};
use super::windows::{Span, Windows};

/// Output rows from `y` on, as many as each of `dst` holds.
pub(super) struct FloatStrip<'a, 'b> {
    /// Planes of one size: colours, then, if `has_alpha`, alpha.
    pub(super) src: &'a [Rows<'b>],
    pub(super) has_alpha: bool,
    pub(super) curve: Curve,
    pub(super) v: &'a Windows<[f32; 2]>,
    pub(super) h: &'a Windows<[f32; 2]>,
    pub(super) dst_w: usize,
    /// A multiple of [`STRIP`].
    pub(super) y: usize,
    /// One strip of output rows a plane, zeros.
    pub(super) dst: &'a mut [&'b mut [u8]],
    /// Room for what alpha does in each block, with whatever was in it.
    pub(super) veils: &'a mut Vec<Veil>,
    pub(super) scratch: &'a mut Scratch,
}

/// What alpha does to the colours of a block of a strip. Cut-out pictures are clear or opaque nearly everywhere, and
/// then most of the work falls away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Veil {
    /// Alpha is 0: nothing is seen, nothing needs to be read.
    Clear,
    /// Alpha is 255, or there is none: nothing needs to be multiplied.
    Opaque,
    /// Anything else.
    Mixed,
}

impl Veil {
    /// Of rows `top..bottom` of the columns `x .. x + 64` of an alpha plane.
    #[inline(always)]
    fn of(alpha: &Rows<'_>, (top, bottom): (usize, usize), x: usize) -> Self {
        let columns = BLOCK.min(alpha.w - x);
        let mut rows = (top..bottom).map(|y| &alpha.row(y)[x..][..columns]);
        let (veil, level) = match rows.clone().next() {
            None | Some([0, ..]) => (Self::Clear, 0),
            Some([255, ..]) => (Self::Opaque, 255),
            Some(_) => return Self::Mixed,
        };
        if rows.all(|row| *row == [level; BLOCK][..columns]) { veil } else { Self::Mixed }
    }
}

impl Work for FloatStrip<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { src, has_alpha, curve, v, h, dst_w, y, dst, veils, scratch } = self;
        let planes = src.len();
        let alpha = has_alpha.then_some(planes - 1);
        let rows = dst[0].len() / dst_w;
        let (first, end) = h.reach(0, h.dst_len());
        // A last strip of fewer rows repeats its last ones.
        let last = (y + rows - 1) / 2;
        let spans: [Span; STRIP / 2] = std::array::from_fn(|i| v.span((y / 2 + i).min(last)));
        let (top, bottom) = v.reach(y / 2, last + 1);
        // Rows that the next strip reads and this one does not.
        let next = v.reach(last + 1, v.dst_len().min(last + 1 + STRIP / 2));
        let ahead = (bottom.max(next.0), next.1);
        let blocks = (end - first).div_ceil(BLOCK);
        let across = blocks * BLOCK;
        let block_lines = 4 * (bottom - top);
        let (small, strip) = scratch.lines(2 * block_lines + 16 * planes, planes * across);
        let (sums, small) = small.split_at_mut(16 * planes);
        let (opacity, product) = small.split_at_mut(block_lines);

        // What an alpha of 255 comes to in each of the rows.
        let mut solid = Line::default();
        for (rows, span) in solid.0.as_chunks_mut::<2>().0.iter_mut().zip(spans) {
            let [a, b] = v.weights(span).iter().fold([0.0; 2], |sums, w| [sums[0] + w[0], sums[1] + w[1]]);
            *rows = [a, b].map(|sum| (255.0 * sum).to_bits().cast_signed());
        }

        veils.clear();
        for b in 0..blocks {
            let x = first + b * BLOCK;
            for rows in src {
                rows.ask(l, ahead, b, blocks);
            }
            let veil = alpha.map_or(Veil::Opaque, |p| Veil::of(&src[p], (top, bottom), x));
            veils.push(veil);
            // Alpha first: colour is multiplied by it.
            for p in (0..planes).rev() {
                let is_alpha = alpha == Some(p);
                let columns = &mut strip[p * across + b * BLOCK..][..BLOCK];
                if veil == Veil::Clear || veil == Veil::Opaque && is_alpha {
                    columns.fill(if veil == Veil::Clear { Line::default() } else { solid });
                    continue;
                }
                let block = if is_alpha {
                    widen(l, &src[p], None, None, (top, bottom), x, opacity);
                    &*opacity
                } else {
                    let weights = (veil == Veil::Mixed).then_some(&*opacity);
                    widen(l, &src[p], curve.to_light, weights, (top, bottom), x, product);
                    &*product
                };
                let opaque = l.splat_f(if has_alpha && veil == Veil::Opaque { 255.0 } else { 1.0 });
                // Output rows of the four groups of 16 columns.
                let mut turned = [[l.splat(0); STRIP]; 4];
                for (r, span) in spans.into_iter().enumerate() {
                    let mut acc = [[l.splat_f(0.0); 2]; 4];
                    let lines = block[4 * (span.start - top)..].as_chunks::<4>().0;
                    for (w, lines) in v.weights(span).iter().zip(lines) {
                        let w = [l.splat_f(w[0]), l.splat_f(w[1])];
                        for (acc, line) in acc.iter_mut().zip(lines) {
                            let line = l.as_float(l.load(line));
                            *acc = [l.mul_add(acc[0], line, w[0]), l.mul_add(acc[1], line, w[1])];
                        }
                    }
                    for (group, acc) in turned.iter_mut().zip(acc) {
                        group[2 * r] = l.as_int(l.mul(acc[0], opaque));
                        group[2 * r + 1] = l.as_int(l.mul(acc[1], opaque));
                    }
                }
                for (group, columns) in turned.iter().zip(columns.as_chunks_mut::<16>().0) {
                    for (v, line) in l.transpose(group).into_iter().zip(columns) {
                        l.store(line, v);
                    }
                }
            }
        }

        for x in (0..dst_w).step_by(16) {
            let (from, to) = h.reach(x / 2, h.dst_len().min(x / 2 + 8));
            if veils[(from - first) / BLOCK..(to - first).div_ceil(BLOCK)].iter().all(|veil| *veil == Veil::Clear) {
                continue;
            }
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
    h: &Windows<[f32; 2]>,
    x: usize,
    first: usize,
    strip: &[Line],
    sums: &mut [Line],
) {
    let across = strip.len() / P;
    for c in 0..8 {
        let span = h.span((x / 2 + c).min(h.dst_len() - 1));
        let weights = h.weights(span);
        let lines: [&[Line]; P] = std::array::from_fn(|p| &strip[p * across + span.start - first..][..weights.len()]);
        let mut acc = [[l.splat_f(0.0); 2]; P];
        for (t, w) in weights.iter().enumerate() {
            let w = [l.splat_f(w[0]), l.splat_f(w[1])];
            for (acc, lines) in acc.iter_mut().zip(lines) {
                let line = l.as_float(l.load(&lines[t]));
                *acc = [l.mul_add(acc[0], line, w[0]), l.mul_add(acc[1], line, w[1])];
            }
        }
        for (sums, [even, odd]) in sums.chunks_exact_mut(16).zip(acc) {
            l.store(&mut sums[2 * c], l.as_int(even));
            l.store(&mut sums[2 * c + 1], l.as_int(odd));
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
    let mut rest = [0; BLOCK];
    for (y, lines) in (top..bottom).zip(block.as_chunks_mut::<4>().0) {
        let bytes = src.block(y, x, &mut rest);
        let sixteens = bytes.as_chunks::<16>().0;
        for (i, (line, bytes)) in lines.iter_mut().zip(sixteens).enumerate() {
            let mut product = match table {
                None => l.levels(bytes),
                Some(table) => l.look_up(table, bytes),
            };
            if let Some(weights) = weights {
                product = l.mul(product, l.as_float(l.load(&weights[4 * (y - top) + i])));
            }
            l.store(line, l.as_int(product));
        }
    }
}
