//! Resize of one plane in fixed point, a strip of 16 output rows at a time.
//!
//! Vertical first, straight from the bytes: two source rows are interleaved, so that one multiply-add takes two taps of
//! 32 columns. Its i16 results, 1/64 level and unclamped, since Lanczos rings below 0 and above 255 and the horizontal
//! half needs that, are turned so that a line holds two neighbouring columns of 16 rows; the horizontal half then is the
//! same multiply-add again. The strip and the interleaved block stay in the caches.

use super::lanes::{Lanes, Line};
use super::level::Work;
use super::strip::{BLOCK, Rows, STRIP, Scratch, put_rows};
use super::windows::Fixed;

/// Fractional bits between the halves.
const BETWEEN: u32 = 6;

/// Output rows from `y` on, as many as `dst` holds.
pub(super) struct FixedStrip<'a> {
    pub(super) src: Rows<'a>,
    pub(super) v: &'a Fixed,
    pub(super) h: &'a Fixed,
    pub(super) y: usize,
    pub(super) dst: &'a mut [u8],
    pub(super) scratch: &'a mut Scratch,
}

impl Work for FixedStrip<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { src, v, h, y, dst, scratch } = self;
        let dst_w = h.windows.dst_len();
        let rows = dst.len() / dst_w;
        let (first, end) = h.windows.reach(0, dst_w);
        let (top, bottom) = v.windows.reach(y, y + rows);
        // Rows that the next strip reads and this one does not.
        let next = v.windows.reach(y + rows, v.windows.dst_len().min(y + rows + STRIP));
        let ahead = (2 * bottom.max(next.0), src.h.min(2 * next.1));
        let blocks = (2 * (end - first)).div_ceil(BLOCK);
        let (block, strip) = scratch.lines(4 * (bottom - top), blocks * BLOCK / 2);

        for (b, columns) in strip.as_chunks_mut::<{ BLOCK / 2 }>().0.iter_mut().enumerate() {
            let x = 2 * first + b * BLOCK;
            src.ask(l, ahead, b, blocks);
            interleave(l, &src, (top, bottom), x, block);
            let half = l.splat(1 << (v.bits - BETWEEN - 1));
            let mut low = [l.splat(0); STRIP];
            let mut high = low;
            for r in 0..STRIP {
                // A last strip of fewer rows repeats its last one.
                let span = v.windows.span(y + r.min(rows - 1));
                let mut acc = [half; 4];
                let lines = block[4 * (span.start - top)..].as_chunks::<4>().0;
                for (w, lines) in v.windows.weights(span).iter().zip(lines) {
                    let w = l.splat(*w);
                    for (acc, line) in acc.iter_mut().zip(lines) {
                        *acc = l.madd(*acc, l.load(line), w);
                    }
                }
                let by = v.bits - BETWEEN;
                low[r] = l.pack_i16(l.shift_right(acc[0], by), l.shift_right(acc[1], by));
                high[r] = l.pack_i16(l.shift_right(acc[2], by), l.shift_right(acc[3], by));
            }
            // Quarter q of `low` holds columns 16 q to 16 q + 7, of `high` 16 q + 8 to 16 q + 15.
            let (low, high) = (l.transpose(&low), l.transpose(&high));
            for q in 0..4 {
                for j in 0..4 {
                    l.store(&mut columns[8 * q + j], low[4 * q + j]);
                    l.store(&mut columns[8 * q + 4 + j], high[4 * q + j]);
                }
            }
        }

        let bits = h.bits + BETWEEN;
        let half = l.splat(1 << (bits - 1));
        for x in (0..dst_w).step_by(16) {
            let mut columns = [half; 16];
            for (c, acc) in columns.iter_mut().enumerate() {
                let span = h.windows.span((x + c).min(dst_w - 1));
                let lines = &strip[span.start - first..];
                for (w, line) in h.windows.weights(span).iter().zip(lines) {
                    *acc = l.madd(*acc, l.load(line), l.splat(*w));
                }
                *acc = l.shift_right(*acc, bits);
            }
            put_rows(dst, dst_w, x, &l.columns_to_rows(&columns));
        }
    }
}

/// Rows `2 · top` to `2 · bottom` of the columns `x .. x + 64`, as i16, row pairs interleaved: four lines a pair.
#[inline(always)]
fn interleave<L: Lanes>(l: L, src: &Rows<'_>, (top, bottom): (usize, usize), x: usize, block: &mut [Line]) {
    let zero = l.splat(0);
    let mut rest = [0; BLOCK];
    for (pair, lines) in (top..bottom).zip(block.as_chunks_mut::<4>().0) {
        // The row below the last one has weight 0.
        let even = l.load_u8(src.block(2 * pair, x, &mut rest));
        let odd = l.load_u8(src.block((2 * pair + 1).min(src.h - 1), x, &mut rest));
        let (lo, hi) = (l.unpack_lo_u8(even, odd), l.unpack_hi_u8(even, odd));
        l.store(&mut lines[0], l.unpack_lo_u8(lo, zero));
        l.store(&mut lines[1], l.unpack_hi_u8(lo, zero));
        l.store(&mut lines[2], l.unpack_lo_u8(hi, zero));
        l.store(&mut lines[3], l.unpack_hi_u8(hi, zero));
    }
}
