//! Tap tables: which source samples feed each output sample, and how much.
//!
//! Invariants: each window lies inside the axis' source samples; with [`Edge::Renormalise`] its weights sum to 1
//! (±1e-6), with [`Edge::Transparent`] to the share of the filter that lies inside the source; an edge that is
//! transparent on one side alone shares only what that side lacks.

use super::Kernel;
use crate::pixel::Ratio;

/// What lies beyond the first and the last source sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// Nothing: the window is cut and its weights renormalised.
    Renormalise,
    /// Transparent samples: the window is cut and its weights keep their values, so that alpha falls off with them.
    Transparent,
    /// Transparent samples before the first, nothing after the last.
    TransparentFirst,
    /// Nothing before the first, transparent samples after the last.
    TransparentLast,
}

/// One dimension of a resample, exact: which source coordinate each output sample is centred on.
///
/// Output sample `i` is centred on source coordinate `origin + (i + ½)·step`; source sample `j` covers `j .. j + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Axis {
    /// First source sample that may be read.
    pub src_first: u32,
    /// Number of source samples that may be read, at least 1.
    pub src_len: u32,
    /// Source coordinate of the left (top) edge of output sample 0; may lie outside the source.
    pub origin: Ratio,
    /// Source samples per output sample, above 0.
    pub step: Ratio,
    /// Number of output samples, at least 1.
    pub dst_len: u32,
    /// What lies beyond the source samples.
    pub edge: Edge,
}

impl Axis {
    /// The whole of `src_len` samples onto `dst_len`.
    pub fn whole(src_len: u32, dst_len: u32) -> Self {
        Self {
            src_first: 0,
            src_len,
            origin: Ratio::ZERO,
            step: Ratio::new(i128::from(src_len), i128::from(dst_len)),
            dst_len,
            edge: Edge::Renormalise,
        }
    }

    /// Whether output sample `i` is source sample `i`, for the whole source.
    pub fn is_identity(&self, src_len: u32) -> bool {
        self.src_first == 0
            && self.src_len == src_len
            && self.dst_len == src_len
            && self.origin == Ratio::ZERO
            && self.step == Ratio::ONE
    }
}

/// The tap table of one axis: `dst_len` windows of `taps_per_px` weights each.
#[derive(Clone, Debug, PartialEq)]
pub struct Taps {
    first: Vec<u32>,
    weights: Vec<f32>,
    taps_per_px: usize,
}

impl Taps {
    /// Tap table of `axis` for `kernel`.
    ///
    /// - Units: windows in source samples, absolute (`axis.src_first` included)
    /// - Edges: as `axis.edge` says
    /// - Cost: `2 · support · max(step, 1)` filter evaluations in f64 for each output sample, up to the denominator of
    ///   the step: from there on the windows repeat
    ///
    /// # Panics
    /// If the axis has no source or no output samples, or a step of 0: a bug in the caller.
    pub fn new(kernel: Kernel, axis: &Axis) -> Self {
        assert!(axis.src_len > 0 && axis.dst_len > 0 && axis.step.is_positive(), "{axis:?}");
        let len = axis.src_len as usize;
        let shapes = Shapes::new(kernel, axis);
        let windows: Vec<Window<'_>> = (0..axis.dst_len).map(|i| shapes.get(i).cut(len, axis.edge)).collect();

        let taps_per_px = windows.iter().map(|window| window.weights.len()).max().unwrap_or(1).max(1);
        let mut first = Vec::with_capacity(windows.len());
        let mut weights = vec![0.0; windows.len() * taps_per_px];
        for (window, row) in windows.into_iter().zip(weights.chunks_exact_mut(taps_per_px)) {
            // A short window at the far end starts earlier, its front padded with zeros, so that `first + taps_per_px`
            // never leaves the source and no engine needs a bounds check per tap.
            let start = window.first.min(len - taps_per_px);
            for (out, w) in row[window.first - start..].iter_mut().zip(window.weights) {
                #[expect(clippy::cast_possible_truncation, reason = "weights are handed out in f32")]
                {
                    *out = (w / window.sum) as f32;
                }
            }
            #[expect(clippy::cast_possible_truncation, reason = "an index into u32 samples")]
            first.push(axis.src_first + start as u32);
        }
        Self { first, weights, taps_per_px }
    }

    /// First source sample of each window.
    pub fn first(&self) -> &[u32] {
        &self.first
    }

    /// All weights, `[dst_len][taps_per_px]`; short windows are padded with zeros.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Weights per output sample.
    pub fn taps_per_px(&self) -> usize {
        self.taps_per_px
    }

    /// Number of output samples.
    pub fn dst_len(&self) -> usize {
        self.first.len()
    }

    /// First source sample and weights of output sample `i`.
    pub fn window(&self, i: usize) -> (usize, &[f32]) {
        (self.first[i] as usize, &self.weights[i * self.taps_per_px..][..self.taps_per_px])
    }
}

/// The windows before any edge, each once: after as many output samples as the step has in its denominator, the centres
/// have moved by exactly its numerator, a whole number of source samples, and every filter but `trilin`, whose pyramid
/// stays where it is, takes the same weights again.
#[derive(Debug)]
struct Shapes {
    /// All weights; those of one window sum to 1.
    weights: Vec<f64>,
    /// First sample of each window and where its weights end; they begin where the last one's end.
    windows: Vec<(i64, usize)>,
    /// Source samples from a window to the same one again.
    shift: i64,
}

/// Weights from a first sample on.
#[derive(Clone, Copy, Debug)]
struct Shape<'a> {
    left: i64,
    weights: &'a [f64],
}

/// What an edge leaves of a [`Shape`]: never empty, zeros trimmed at both ends.
#[derive(Clone, Copy, Debug)]
struct Window<'a> {
    first: usize,
    weights: &'a [f64],
    /// What the weights are to be divided by.
    sum: f64,
}

impl Shapes {
    fn new(kernel: Kernel, axis: &Axis) -> Self {
        let (origin, step) = (axis.origin.to_f64() - f64::from(axis.src_first), axis.step.to_f64());
        let repeats = match (u32::try_from(axis.step.den()), i64::try_from(axis.step.num())) {
            (Ok(period), Ok(shift)) if kernel != Kernel::Trilin && period < axis.dst_len => Some((period, shift)),
            _ => None,
        };
        let (period, shift) = repeats.unwrap_or((axis.dst_len, 0));
        let mut shapes = Self { weights: Vec::new(), windows: Vec::with_capacity(period as usize), shift };
        for i in 0..period {
            let centre = origin + (f64::from(i) + 0.5) * step;
            let from = shapes.weights.len();
            let left = match kernel {
                Kernel::Trilin => trilin(centre, step, &mut shapes.weights),
                _ => stretched(kernel, centre, step, &mut shapes.weights),
            };
            let weights = &mut shapes.weights[from..];
            let sum: f64 = weights.iter().sum();
            for w in weights {
                *w /= sum;
            }
            shapes.windows.push((left, shapes.weights.len()));
        }
        shapes
    }

    /// Of output sample `i`.
    fn get(&self, i: u32) -> Shape<'_> {
        let (i, period) = (i as usize, self.windows.len());
        let (left, to) = self.windows[i % period];
        let from = (i % period).checked_sub(1).map_or(0, |before| self.windows[before].1);
        Shape { left: left + (i / period) as i64 * self.shift, weights: &self.weights[from..to] }
    }
}

impl<'a> Shape<'a> {
    /// The part inside `0..len`.
    fn cut(self, len: usize, edge: Edge) -> Window<'a> {
        let Self { left, weights } = self;
        let last = i64::try_from(len).unwrap_or(i64::MAX) - 1;
        // Samples of the window before the first and up to the last.
        let index = |j: i64| usize::try_from(j - left).unwrap_or(0).min(weights.len());
        let (from, to) = (index(0), index(last + 1));
        // What it lost beyond an end with nothing behind it; beyond a transparent end nothing is lost.
        let sum_of = |beyond: &[f64]| beyond.iter().sum::<f64>();
        let lost = match edge {
            Edge::Renormalise => sum_of(&weights[..from]) + sum_of(&weights[to..]),
            Edge::Transparent => 0.0,
            Edge::TransparentFirst => sum_of(&weights[to..]),
            Edge::TransparentLast => sum_of(&weights[..from]),
        };
        let inside = &weights[from..to];
        let seen = inside.iter().position(|w| *w != 0.0).zip(inside.iter().rposition(|w| *w != 0.0));
        let kept = 1.0 - lost;
        match seen {
            _ if kept.abs() < 1e-6 => Self::nearest(left, len),
            None if edge == Edge::Renormalise => Self::nearest(left, len),
            None => Window { first: 0, weights: &[0.0], sum: 1.0 },
            Some((a, b)) => {
                let first = usize::try_from(left).unwrap_or(0) + a;
                Window { first, weights: &inside[a..=b], sum: kept }
            }
        }
    }

    /// A window with nearly nothing inside (an output sample far outside the source) reads the nearest sample.
    fn nearest(left: i64, len: usize) -> Window<'a> {
        let first = usize::try_from(left).unwrap_or(0).min(len - 1);
        Window { first, weights: &[1.0], sum: 1.0 }
    }
}

/// Appends the filter centred on `centre`, stretched on reduction; gives its first sample.
fn stretched(kernel: Kernel, centre: f64, step: f64, weights: &mut Vec<f64>) -> i64 {
    let stretch = match kernel {
        Kernel::Gaussian { .. } => 1.0,
        Kernel::Bilin | Kernel::Bicub | Kernel::Sharp2 | Kernel::Bisharp | Kernel::Trilin => step.max(1.0),
    };
    let reach = kernel.support() * stretch;
    let (left, right) = (floor_i64(centre - reach), floor_i64(centre + reach));
    weights.extend((left..=right).map(|j| kernel.weight((j as f64 + 0.5 - centre) / stretch, step > 1.0)));
    left
}

/// Appends two box pyramid levels blended by log2 of the step, each read bilinearly; gives the first sample.
fn trilin(centre: f64, step: f64, weights: &mut Vec<f64>) -> i64 {
    let lambda = step.max(1.0).log2();
    let level = lambda.floor();
    let mut left = i64::MAX;
    let mut right = i64::MIN;
    let mut cells = Vec::with_capacity(4);
    for (l, share) in [(level, 1.0 - (lambda - level)), (level + 1.0, lambda - level)] {
        if share == 0.0 {
            continue;
        }
        let side = l.exp2();
        let u = centre / side - 0.5;
        let t = u - u.floor();
        for (cell, weight) in [(u.floor(), share * (1.0 - t)), (u.floor() + 1.0, share * t)] {
            if weight > 0.0 {
                let (from, to) = (floor_i64(cell * side), floor_i64((cell + 1.0) * side));
                left = left.min(from);
                right = right.max(to);
                cells.push((from, to, weight / side));
            }
        }
    }
    let at = weights.len();
    weights.resize(at + usize::try_from(right - left).unwrap_or(1), 0.0);
    for (from, to, weight) in cells {
        for j in from..to {
            weights[at + usize::try_from(j - left).unwrap_or(0)] += weight;
        }
    }
    left
}

#[expect(clippy::cast_possible_truncation, reason = "coordinates are bounded by limits::SOURCE_SIDE_MAX")]
fn floor_i64(x: f64) -> i64 {
    x.floor() as i64
}
