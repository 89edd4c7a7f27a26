//! Tap tables as the kernels read them: zeros trimmed, in f32 and in fixed point, remembered per thread.

use std::cell::{OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::lanes::pair_of;
use crate::kernel::{Axis, Kernel, Taps};

/// One window: `len` weights from index `at`, over source units from `start`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) start: usize,
    at: usize,
    len: usize,
}

impl Span {
    /// Source unit after the last.
    pub(super) fn end(self) -> usize {
        self.start + self.len
    }
}

/// The windows of one axis. A unit is one source sample for f32 weights, two for pairs of i16.
#[derive(Clone, Debug, Default)]
pub(super) struct Windows<T> {
    spans: Vec<Span>,
    weights: Vec<T>,
}

impl<T> Windows<T> {
    pub(super) fn dst_len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn span(&self, i: usize) -> Span {
        self.spans[i]
    }

    pub(super) fn weights(&self, span: Span) -> &[T] {
        &self.weights[span.at..][..span.len]
    }

    /// First source unit that any of the windows `from..to` reads, and the one after the last.
    pub(super) fn reach(&self, from: usize, to: usize) -> (usize, usize) {
        let spans = &self.spans[from..to];
        let end = spans.iter().map(|s| s.end()).max().unwrap_or(0);
        (spans.iter().map(|s| s.start).min().unwrap_or(0).min(end), end)
    }

    /// All weights of all windows.
    pub(super) fn count(&self) -> usize {
        self.weights.len()
    }

    fn push(&mut self, start: usize, window: impl IntoIterator<Item = T>) {
        let at = self.weights.len();
        self.weights.extend(window);
        self.spans.push(Span { start, at, len: self.weights.len() - at });
    }
}

impl Windows<f32> {
    /// Neighbouring windows 2 i and 2 i + 1 as one: the weights of both over all samples that either reads.
    fn paired(&self) -> Windows<[f32; 2]> {
        let mut pairs = Windows::default();
        for pair in self.spans.chunks(2) {
            let (a, b) = (pair[0], pair[pair.len() - 1]);
            let start = a.start.min(b.start);
            let at = pairs.weights.len();
            pairs.push(start, (start..a.end().max(b.end())).map(|_| [0.0; 2]));
            for (i, span) in [a, b].into_iter().enumerate() {
                for (pair, w) in pairs.weights[at + span.start - start..].iter_mut().zip(self.weights(span)) {
                    pair[i] = *w;
                }
            }
        }
        pairs
    }
}

/// Windows in fixed point, two i16 weights in each i32: the even source sample's below, the odd one's above.
#[derive(Clone, Debug, Default)]
pub(super) struct Fixed {
    pub(super) windows: Windows<i32>,
    /// A weight of 1 is `1 << bits`.
    pub(super) bits: u32,
    /// Largest sum of |weights|.
    gain: f32,
    /// Most that the weights' rounding can do to samples within a range of 1.
    error: f32,
}

impl Fixed {
    /// Whether vertical windows `v` and then horizontal ones `h` stay within reach of 1 level of the exact resize, with
    /// i16 values in 1/64 level between the two.
    pub(super) fn suits(v: &Self, h: &Self) -> bool {
        // Two values less than 1 apart round to levels at most 1 apart; the oracle's own f32 sums need little of it.
        const ERROR_MAX: f32 = 0.9;
        let between = 255.0 * v.error + 0.5 / 64.0;
        v.gain <= GAIN_MAX && between * h.gain + 255.0 * v.gain * h.error <= ERROR_MAX
    }
}

/// Above this, levels × 64 of the vertical half would leave i16.
const GAIN_MAX: f32 = 2.0;

/// One axis, ready.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) float: Windows<f32>,
    pairs: OnceCell<Windows<[f32; 2]>>,
    fixed: OnceCell<Fixed>,
    /// Largest |weight|, and largest sum of |weights| of a window.
    largest: f32,
    gain: f32,
    /// Whether every window sums to 1.
    pub(super) is_unit: bool,
}

impl Prepared {
    /// The windows of `axis`, remembered: pictures of one size and one preset come in crowds, and tables cost as much
    /// as a good part of a small resize.
    pub(super) fn of(kernel: Kernel, axis: &Axis) -> Rc<Self> {
        // As many as a page of renditions takes: two axes, or four with chroma, for each size that it shows.
        const TABLES_MAX: usize = 32;
        // Of one table, and of all together: with pairs and fixed-point ones a weight takes up to 16 bytes.
        const WEIGHTS_MAX: usize = 1 << 18;
        const WEIGHTS_KEPT_MAX: usize = 1 << 20;
        thread_local! {
            static TABLES: RefCell<VecDeque<(Kernel, Axis, Rc<Prepared>)>> = const { RefCell::new(VecDeque::new()) };
        }
        TABLES.with_borrow_mut(|tables| {
            if let Some(at) = tables.iter().position(|(k, a, _)| *k == kernel && a == axis) {
                // What was asked for last stays longest.
                tables.make_contiguous()[..=at].rotate_right(1);
                return tables[0].2.clone();
            }
            let taps = Taps::new(kernel, axis);
            let prepared = Rc::new(Self::new((0..taps.dst_len()).map(|i| taps.window(i))));
            if prepared.float.count() <= WEIGHTS_MAX {
                tables.push_front((kernel, *axis, prepared.clone()));
                let mut weights = 0;
                let fits = |(.., table): &(Kernel, Axis, Rc<Self>)| {
                    weights += table.float.count();
                    weights <= WEIGHTS_KEPT_MAX
                };
                let kept = tables.iter().take(TABLES_MAX).map(fits).take_while(|fits| *fits).count();
                tables.truncate(kept);
            }
            prepared
        })
    }

    /// The windows of leaving `len` samples as they are.
    pub(super) fn identity(len: usize) -> Self {
        Self::new((0..len).map(|i| (i, &[1.0][..])))
    }

    fn new<'a>(windows: impl Iterator<Item = (usize, &'a [f32])>) -> Self {
        let mut float = Windows::default();
        let (mut largest, mut gain, mut is_unit) = (0.0_f32, 0.0_f32, true);
        for (first, window) in windows {
            let zeros = window.iter().take_while(|w| **w == 0.0).count();
            let len = window.iter().rposition(|w| *w != 0.0).map_or(zeros, |last| last + 1);
            let window = &window[zeros..len];
            largest = window.iter().fold(largest, |m, w| m.max(w.abs()));
            gain = gain.max(window.iter().map(|w| w.abs()).sum());
            is_unit &= (window.iter().sum::<f32>() - 1.0).abs() < 1e-4;
            // A window with nothing in it stays beside its neighbours, or they would seem to reach that far.
            let start = float.spans.last().filter(|_| window.is_empty()).map_or(first + zeros, |span| span.start);
            float.push(start, window.iter().copied());
        }
        Self { float, pairs: OnceCell::new(), fixed: OnceCell::new(), largest, gain, is_unit }
    }

    /// The windows as `float` reads them; made when first asked for, as each picture takes one way alone.
    pub(super) fn pairs(&self) -> &Windows<[f32; 2]> {
        self.pairs.get_or_init(|| self.float.paired())
    }

    /// The windows as `fixed` reads them; made when first asked for.
    pub(super) fn fixed(&self) -> &Fixed {
        self.fixed.get_or_init(|| fixed(&self.float, self.largest, self.gain))
    }
}

/// Rounds weights to as many bits as keep each in i16 and each sum of products with i16 samples in i32. What rounding
/// takes from one weight goes to the next, so that a window still sums to what it did.
#[expect(clippy::cast_possible_truncation, reason = "rounded numbers within the range of their type")]
fn fixed(float: &Windows<f32>, largest: f32, gain: f32) -> Fixed {
    let mut bits = 15;
    while bits > 6 && (largest * (1_u32 << bits) as f32 > 32_766.0 || gain * (1_u32 << bits) as f32 > 65_000.0) {
        bits -= 1;
    }
    let one = (1_u32 << bits) as f32;
    let mut windows = Windows::default();
    let mut pairs = Vec::new();
    let mut error = 0.0_f32;
    for &span in &float.spans {
        let first = span.start / 2;
        pairs.clear();
        pairs.resize(span.end().div_ceil(2) - first, [0_i16; 2]);
        let (mut carry, mut above, mut below) = (0.0, 0.0, 0.0_f32);
        for (i, w) in float.weights(span).iter().enumerate() {
            let exact = w * one;
            let rounded = (exact + carry).round();
            carry += exact - rounded;
            let off = (rounded - exact) / one;
            above += off.max(0.0);
            below -= off.min(0.0);
            pairs[(span.start + i) / 2 - first][(span.start + i) % 2] = rounded as i16;
        }
        error = error.max(above.max(below));
        windows.push(first, pairs.iter().map(|[even, odd]| pair_of(*even, *odd)));
    }
    Fixed { windows, bits, gain, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(dst: u32) -> Rc<Prepared> {
        Prepared::of(Kernel::Sharp2, &Axis::whole(1000, dst))
    }

    #[test]
    fn tables_that_are_asked_for_are_kept() {
        let first: Vec<_> = (1..=32).map(table).collect();
        let is_kept = |dst: u32| Rc::ptr_eq(&first[dst as usize - 1], &table(dst));
        assert!((1..=32).all(is_kept), "all of them, in turn");
        // One more takes the place of what was asked for longest ago.
        assert!(is_kept(1));
        table(33);
        assert!(is_kept(1) && (3..=32).all(is_kept));
        assert!(!is_kept(2));
    }

    #[test]
    fn large_tables_leave_together() {
        let long = |dst| Prepared::of(Kernel::Sharp2, &Axis::whole(20_000, dst));
        let first = long(15_000);
        assert!(Rc::ptr_eq(&first, &long(15_000)), "{} weights", first.float.count());
        (15_001..15_020).for_each(|dst| drop(long(dst)));
        assert!(!Rc::ptr_eq(&first, &long(15_000)));
    }
}
