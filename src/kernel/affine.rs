//! Where the pixels of a rotated picture lie on the upright one, and how they are read between its samples.

/// Bits of a coordinate behind the point.
pub const COORDINATE_BITS: u32 = 12;
/// Bits of a cubic weight: four of them sum to `1 << WEIGHT_BITS`.
pub const WEIGHT_BITS: u32 = 10;
/// Phases between two samples that have weights of their own.
pub const PHASES: usize = 256;

/// Coordinates along one side of a canvas: what column (row) i adds to both coordinates of a pixel, `start + i·step`, in
/// 2⁻¹², from fractions of 2⁻³². The sum of a column's and a row's is off by 2⁻¹² px at most, wherever it lies.
pub fn coordinates(start: [i64; 2], step: [i64; 2], len: u32) -> Vec<[i32; 2]> {
    const SHIFT: u32 = 32 - COORDINATE_BITS;
    let along = |i: u32, axis: usize| {
        let exact = start[axis].saturating_add(step[axis].saturating_mul(i64::from(i)));
        // Far outside is outside.
        let rounded = (exact.saturating_add(1 << (SHIFT - 1)) >> SHIFT).clamp(-(1 << 29), 1 << 29);
        i32::try_from(rounded).unwrap_or(i32::MAX / 4)
    };
    (0..len).map(|i| [along(i, 0), along(i, 1)]).collect()
}

/// Catmull-Rom weights of the samples −1, 0, 1 and 2 for every phase.
///
/// - Source: Keys, "Cubic convolution interpolation" (1981), a = −½
pub fn cubic() -> Vec<[i32; 4]> {
    let one = 1_i32 << WEIGHT_BITS;
    let weight = |x: f64| {
        let w = super::keys(x.abs(), -0.5) * f64::from(one);
        #[expect(clippy::cast_possible_truncation, reason = "at most 1024")]
        {
            w.round() as i32
        }
    };
    (0..PHASES)
        .map(|phase| {
            let t = phase as f64 / PHASES as f64;
            let [a, b, d] = [weight(1.0 + t), weight(t), weight(2.0 - t)];
            // Whatever rounding takes or gives, the third makes up for.
            [a, b, one - a - b - d, d]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_mirror() {
        let weights = cubic();
        assert_eq!(weights[0], [0, 1024, 0, 0]);
        for (phase, w) in weights.iter().enumerate() {
            assert_eq!(w.iter().sum::<i32>(), 1024, "{phase}");
            if phase > 0 {
                let mut mirrored = weights[PHASES - phase];
                mirrored.reverse();
                assert!(w.iter().zip(mirrored).all(|(a, b)| (a - b).abs() <= 2), "{phase}: {w:?} {mirrored:?}");
            }
        }
    }

    #[test]
    fn coordinates_are_exact_to_their_last_bit() {
        let at = coordinates([1 << 31, -(1 << 32)], [(1 << 32) / 3, 0], 60_000);
        for (i, [x, y]) in at.iter().enumerate() {
            let want = (0.5 + i as f64 / 3.0) * 4096.0;
            assert!((f64::from(*x) - want).abs() < 0.6 && *y == -4096, "{i}: {x}");
        }
    }
}
