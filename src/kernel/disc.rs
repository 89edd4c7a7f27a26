//! The disc of `op_grow`.

/// Half-widths of a disc's rows: `reach[d]` belongs to rows ±d from its middle, so that a pixel belongs to it if
/// dx² + dy² ≤ r².
///
/// - Units: px; `radius_px + 1` entries, the first the radius itself, the last 0
pub fn disc(radius_px: u16) -> Vec<u16> {
    let r = u32::from(radius_px);
    // At most the radius.
    (0..=r).map(|d| u16::try_from((r * r - d * d).isqrt()).unwrap_or(radius_px)).collect()
}

#[cfg(test)]
mod tests {
    use super::disc;

    #[test]
    fn a_disc_is_round() {
        assert_eq!(disc(0), [0]);
        assert_eq!(disc(1), [1, 0]);
        assert_eq!(disc(5), [5, 4, 4, 4, 3, 0]);
        for radius in [2_u16, 17, 100, 1000] {
            let reach = disc(radius);
            assert_eq!(reach.len(), usize::from(radius) + 1);
            let r = u64::from(radius);
            for (dy, &dx) in (0_u64..).zip(&reach) {
                let dx = u64::from(dx);
                assert!(dx * dx + dy * dy <= r * r && (dx + 1) * (dx + 1) + dy * dy > r * r, "{radius}: {dx},{dy}");
            }
        }
    }
}
