//! The sRGB transfer curve, both ways (IEC 61966-2-1), in levels of 0 to 255.

/// Encoded level (0 to 255) to linear light (0 to 255).
pub fn linear_from_encoded(level: f64) -> f64 {
    let v = level / 255.0;
    255.0 * if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

/// Linear light (0 to 255) to encoded level (0 to 255).
pub fn encoded_from_linear(light: f64) -> f64 {
    let v = light / 255.0;
    255.0 * if v <= 0.003_130_8 { v * 12.92 } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
}

/// Linear light of each of the 256 encoded levels, as every engine reads it.
pub fn linear_table() -> [f32; 256] {
    #[expect(clippy::cast_possible_truncation, reason = "tables are handed out in f32")]
    std::array::from_fn(|i| linear_from_encoded(i as f64) as f32)
}
