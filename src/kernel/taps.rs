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
    /// - Cost: about `2 · support · max(src_len, dst_len)` filter evaluations in f64
    ///
    /// # Panics
    /// If the axis has no source or no output samples, or a step of 0: a bug in the caller.
    pub fn new(kernel: Kernel, axis: &Axis) -> Self {
        assert!(axis.src_len > 0 && axis.dst_len > 0 && axis.step.is_positive(), "{axis:?}");
        let (origin, step) = (axis.origin.to_f64() - f64::from(axis.src_first), axis.step.to_f64());
        let len = axis.src_len as usize;
        let windows: Vec<(usize, Vec<f64>)> = (0..axis.dst_len)
            .map(|i| {
                let centre = origin + (f64::from(i) + 0.5) * step;
                let window =
                    if kernel == Kernel::Trilin { trilin(centre, step) } else { stretched(kernel, centre, step) };
                cut(window, len, axis.edge)
            })
            .collect();

        let taps_per_px = windows.iter().map(|(_, w)| w.len()).max().unwrap_or(1).max(1);
        let mut first = Vec::with_capacity(windows.len());
        let mut weights = vec![0.0; windows.len() * taps_per_px];
        for ((left, window), row) in windows.into_iter().zip(weights.chunks_exact_mut(taps_per_px)) {
            // A short window at the far end starts earlier, its front padded with zeros, so that `first + taps_per_px`
            // never leaves the source and no engine needs a bounds check per tap.
            let start = left.min(len - taps_per_px);
            for (t, w) in window.into_iter().enumerate() {
                #[expect(clippy::cast_possible_truncation, reason = "weights are handed out in f32")]
                {
                    row[left - start + t] = w as f32;
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

/// The filter centred on `centre`, stretched on reduction, as (first sample, weights summing to 1) before any edge.
fn stretched(kernel: Kernel, centre: f64, step: f64) -> (i64, Vec<f64>) {
    let stretch = step.max(1.0);
    let reach = kernel.support() * stretch;
    let (left, right) = (floor_i64(centre - reach), floor_i64(centre + reach));
    let weights: Vec<f64> =
        (left..=right).map(|j| kernel.weight((j as f64 + 0.5 - centre) / stretch, step > 1.0)).collect();
    normalised(left, weights)
}

/// Two box pyramid levels blended by log2 of the step, each read bilinearly.
fn trilin(centre: f64, step: f64) -> (i64, Vec<f64>) {
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
    let mut weights = vec![0.0; usize::try_from(right - left).unwrap_or(1)];
    for (from, to, weight) in cells {
        for j in from..to {
            weights[usize::try_from(j - left).unwrap_or(0)] += weight;
        }
    }
    normalised(left, weights)
}

fn normalised(left: i64, mut weights: Vec<f64>) -> (i64, Vec<f64>) {
    let sum: f64 = weights.iter().sum();
    for w in &mut weights {
        *w /= sum;
    }
    (left, weights)
}

/// The part of a window inside `0..len`: never empty, zeros trimmed at both ends.
fn cut((left, weights): (i64, Vec<f64>), len: usize, edge: Edge) -> (usize, Vec<f64>) {
    let last = i64::try_from(len).unwrap_or(i64::MAX) - 1;
    // What the window lost beyond an end with nothing behind it; beyond a transparent end nothing is lost.
    let mut lost = 0.0;
    let mut inside: Vec<(usize, f64)> = Vec::new();
    for (j, w) in (left..).zip(weights) {
        let transparent = match edge {
            Edge::Renormalise => false,
            Edge::Transparent => true,
            Edge::TransparentFirst => j < 0,
            Edge::TransparentLast => j > last,
        };
        match usize::try_from(j) {
            Ok(at) if j <= last && w != 0.0 => inside.push((at, w)),
            Ok(_) if j <= last => {}
            _ if transparent => {}
            _ => lost += w,
        }
    }
    let kept = 1.0 - lost;
    if kept.abs() < 1e-6 || (inside.is_empty() && edge == Edge::Renormalise) {
        // A window with nearly nothing inside (an output sample far outside the source) reads the nearest sample.
        let nearest = if left > last { len - 1 } else { usize::try_from(left.max(0)).unwrap_or(0).min(len - 1) };
        return (nearest, vec![1.0]);
    }
    if inside.is_empty() {
        return (0, vec![0.0]);
    }
    for (_, w) in &mut inside {
        *w /= kept;
    }
    let first = inside[0].0;
    let mut window = vec![0.0; inside[inside.len() - 1].0 - first + 1];
    for (j, w) in inside {
        window[j - first] = w;
    }
    (first, window)
}

#[expect(clippy::cast_possible_truncation, reason = "coordinates are bounded by limits::SOURCE_SIDE_MAX")]
fn floor_i64(x: f64) -> i64 {
    x.floor() as i64
}
