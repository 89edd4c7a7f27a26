//! Gaussian taps of the unsharp mask, in fixed point.

use crate::limits;

/// Standard deviation of a Gaussian in output pixels.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct SigmaPx(pub f64);

impl SigmaPx {
    /// σ of the unsharp mask for an effective radius: `sqrt(r² + 1/12)`.
    ///
    /// The 1/12 is the variance of one pixel's footprint. It keeps the tiny radii that the original's own advice uses
    /// (0.3 px at a tenth of full size) effective, where a Gaussian of σ = r would be the identity to 8 bits
    /// (protocol.md 2.6, "Kernel trap"). This is the only place that turns a radius into a σ.
    pub fn from_radius(radius_px: f64) -> Self {
        Self((radius_px * radius_px + 1.0 / 12.0).sqrt())
    }
}

/// One half of a symmetric Gaussian window in fixed point: `half[0]` is the centre, `half[k]` belongs to ±k.
///
/// Invariant: `half[0] + 2·Σ half[1..] == Self::ONE`, so flat areas stay flat bit for bit in every engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsharpTaps {
    half: Vec<i32>,
}

impl UnsharpTaps {
    /// log2 of [`Self::ONE`].
    pub const BITS: u32 = 14;
    /// The sum of all weights.
    pub const ONE: i32 = 1 << Self::BITS;

    /// Weights of a Gaussian of `sigma` integrated over each pixel, cut where a weight falls below half of 2⁻¹⁴.
    ///
    /// Weights are differences of the rounded cumulative sum, so rounding errors never add up in one tap.
    pub fn new(sigma: SigmaPx) -> Self {
        let one = f64::from(Self::ONE);
        let mut half = Vec::new();
        let (mut cumulative, mut taken) = (0.0, 0_i32);
        for k in 0..=limits::UNSHARP_REACH_MAX {
            let mass = if k == 0 { mass(0.0, 0.5, sigma.0) } else { mass(k as f64 - 0.5, k as f64 + 0.5, sigma.0) };
            cumulative += mass;
            #[expect(clippy::cast_possible_truncation, reason = "at most half of ONE")]
            let total = (cumulative * one).round().min(one / 2.0) as i32;
            half.push(if k == 0 { 2 * total } else { total - taken });
            taken = total;
            if taken == Self::ONE / 2 || (0.5 - cumulative.min(0.5)) * one < 0.25 {
                break;
            }
        }
        // What the cut tail held goes to the outermost tap: at most a few units of 2^-14.
        let last = half.len() - 1;
        if last == 0 {
            half[0] = Self::ONE;
        } else {
            half[last] += Self::ONE / 2 - taken;
        }
        while half.len() > 1 && half[half.len() - 1] == 0 {
            half.pop();
        }
        Self { half }
    }

    /// Centre weight, then the weights at ±1, ±2, …
    pub fn half(&self) -> &[i32] {
        &self.half
    }

    /// Pixels the window reaches to either side.
    pub fn reach(&self) -> usize {
        self.half.len() - 1
    }
}

/// Mass of the normal density of standard deviation `sigma` between `from` and `to`, by Simpson's rule with steps of at
/// most a sixteenth of σ (error < 1e-9 for σ ≥ 0.28, below 1e-6 for any). Half of the whole mass lies above 0.
pub(super) fn mass(from: f64, to: f64, sigma: f64) -> f64 {
    // Even, and no more than where σ is small against the interval.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "2 to 64")]
    let steps = 2 * ((8.0 * (to - from) / sigma).ceil() as usize).clamp(1, 32);
    let h = (to - from) / steps as f64;
    let density = |x: f64| (-0.5 * (x / sigma).powi(2)).exp() / (sigma * std::f64::consts::TAU.sqrt());
    let mut sum = density(from) + density(to);
    for i in 1..steps {
        sum += density(from + i as f64 * h) * if i % 2 == 1 { 4.0 } else { 2.0 };
    }
    sum * h / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_centre_as_protocol_says() {
        for (radius, centre) in [(0.03, 0.915), (0.125, 0.888), (0.3, 0.770)] {
            let taps = UnsharpTaps::new(SigmaPx::from_radius(radius));
            assert!((f64::from(taps.half()[0]) / f64::from(UnsharpTaps::ONE) - centre).abs() < 2e-3, "{taps:?}");
        }
        for radius in [0.01, 0.3, 1.0, 7.7, 50.0, 250.0] {
            let taps = UnsharpTaps::new(SigmaPx::from_radius(radius));
            let sum = taps.half()[0] + 2 * taps.half()[1..].iter().sum::<i32>();
            assert_eq!(sum, UnsharpTaps::ONE, "radius {radius}");
            assert!(taps.half().iter().all(|&w| w >= 0), "radius {radius}: {:?}", taps.half());
        }
    }
}
