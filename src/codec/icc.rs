//! Colour profiles: from whatever a file embeds to sRGB.
//!
//! A profile counts as sRGB when converting from it would move no colour by more than a level, whatever its name
//! says. A broken profile, or one for another model than the pixels have, is ignored, as browsers do: the picture
//! is then taken as sRGB (or, for inks, as [`Layout::Cmyk`] says).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, DataColorSpace, MatrixCoefficients, RenderingIntent, ToneReprCurve,
    TransferCharacteristics, Transform8BitExecutor, Transform16BitExecutor, TransformOptions,
};

use crate::codec::rows::Layout;
use crate::limits;

/// Colour space of the samples that a profile has to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// Grey.
    Grey,
    /// R, G, B, also when stored as Y Cb Cr or by palette.
    Rgb,
    /// C, M, Y, K.
    Cmyk,
}

/// A profile other than sRGB.
pub(super) struct Profile(Box<ColorProfile>);

impl Profile {
    /// An embedded ICC profile, if it is sound, fits `space` and is not sRGB.
    pub(super) fn from_icc(bytes: &[u8], space: Space) -> Option<Self> {
        if bytes.len() > limits::METADATA_BYTES_MAX {
            return None;
        }
        let profile = quietly(|| ColorProfile::new_from_slice(bytes).ok())?;
        let fits = match profile.color_space {
            DataColorSpace::Gray => space == Space::Grey && profile.gray_trc.is_some(),
            DataColorSpace::Rgb => space == Space::Rgb,
            DataColorSpace::Cmyk => space == Space::Cmyk,
            _ => false,
        };
        fits.then_some(profile).and_then(Self::unless_srgb)
    }

    /// Full-range R G B by code points of ITU-T H.273, if they name a colour space for a screen. The curves for
    /// high dynamic range (PQ, HLG) need tone mapping, which we do not do: such a picture is shown as it is.
    pub(super) fn from_cicp(primaries: u8, transfer: u8, space: Space) -> Option<Self> {
        let transfer_characteristics = TransferCharacteristics::try_from(transfer).ok()?;
        let color_primaries = CicpColorPrimaries::try_from(primaries).ok()?;
        if matches!(transfer_characteristics, TransferCharacteristics::Smpte2084 | TransferCharacteristics::Hlg)
            || space != Space::Rgb
        {
            return None;
        }
        let mut profile = ColorProfile::new_srgb();
        profile.cicp = None;
        // Its answer is always false; what it leaves behind says whether it knew the numbers.
        profile.update_rgb_colorimetry_from_cicp(CicpProfile {
            color_primaries,
            transfer_characteristics,
            matrix_coefficients: MatrixCoefficients::Identity,
            full_range: true,
        });
        profile.cicp.is_some().then_some(profile).and_then(Self::unless_srgb)
    }

    /// A pure power curve (`samples = light ^ gamma`, PNG's way round) with the primaries given as x, y of white,
    /// red, green and blue, or sRGB's. `None` where that is sRGB to the eye.
    #[expect(clippy::cast_possible_truncation, reason = "what moxcms takes as f32 has seven good digits in f64")]
    pub(super) fn from_gamma(gamma: f64, xy: Option<[(f64, f64); 4]>, space: Space) -> Option<Self> {
        // 1/2.2 is how files have always said "sRGB" in a gAMA chunk; libpng's threshold for a difference is 5 %.
        let is_srgb_curve = (gamma * 2.2 - 1.0).abs() <= 0.05;
        if !(0.01..=10.0).contains(&gamma) {
            return None;
        }
        let mut profile = match space {
            Space::Grey => ColorProfile::new_gray_with_gamma(1.0),
            Space::Rgb => ColorProfile::new_srgb(),
            Space::Cmyk => return None,
        };
        profile.cicp = None;
        if !is_srgb_curve {
            // A parametric curve: the table form of ICC holds its exponent in 1/256 only.
            let curve = Some(ToneReprCurve::Parametric(vec![(1.0 / gamma) as f32]));
            match space {
                Space::Grey => profile.gray_trc = curve,
                Space::Rgb | Space::Cmyk => {
                    (profile.red_trc, profile.green_trc, profile.blue_trc) = (curve.clone(), curve.clone(), curve);
                }
            }
        } else if space == Space::Grey {
            return None;
        }
        if let (Space::Rgb, Some([white, red, green, blue])) = (space, xy) {
            // Lines and points without an inverse would give NaN: the three primaries must span an area.
            let area = (red.0 - blue.0) * (green.1 - blue.1) - (green.0 - blue.0) * (red.1 - blue.1);
            if area.abs() < 1e-3 || [white, red, green, blue].iter().any(|p| p.1 < 1e-3) {
                return None;
            }
            let chromaticity = |p: (f64, f64)| moxcms::Chromaticity { x: p.0 as f32, y: p.1 as f32 };
            profile.update_rgb_colorimetry(
                chromaticity(white).to_xyyb(),
                moxcms::ColorPrimaries { red: chromaticity(red), green: chromaticity(green), blue: chromaticity(blue) },
            );
        }
        Self::unless_srgb(profile)
    }

    fn unless_srgb(profile: ColorProfile) -> Option<Self> {
        let same = quietly(|| deviation_from_srgb(&profile)).is_some_and(|levels| levels <= 1.0);
        (!same).then(|| Self(Box::new(profile)))
    }

    /// The conversion for rows of `layout` (which must be of the profile's colour space), 8 or 16 bits deep;
    /// `None` if the profile turns out to be of no use.
    fn executor<E: ?Sized>(
        &self,
        layout: Layout,
        make: impl Fn(&ColorProfile, moxcms::Layout, &ColorProfile, moxcms::Layout) -> Option<Arc<E>>,
    ) -> Option<Arc<E>> {
        let (from, to) = match layout {
            Layout::Grey => (moxcms::Layout::Gray, moxcms::Layout::Gray),
            Layout::GreyAlpha => (moxcms::Layout::GrayAlpha, moxcms::Layout::GrayAlpha),
            Layout::Rgb => (moxcms::Layout::Rgb, moxcms::Layout::Rgb),
            Layout::RgbAlpha => (moxcms::Layout::Rgba, moxcms::Layout::Rgba),
            // The library names four inks by the four-sample layout.
            Layout::Cmyk => (moxcms::Layout::Rgba, moxcms::Layout::Rgb),
            Layout::Ycbcr => return None,
        };
        let mut srgb = ColorProfile::new_srgb();
        if matches!(layout, Layout::Grey | Layout::GreyAlpha) {
            let curve = srgb.red_trc.take();
            srgb = ColorProfile::new_gray_with_gamma(1.0);
            srgb.gray_trc = curve;
        }
        quietly(|| make(&self.0, from, &srgb, to))
    }

    /// Conversion of 8-bit rows.
    pub(super) fn to_srgb8(&self, layout: Layout) -> Option<Arc<Transform8BitExecutor>> {
        self.executor(layout, |from, from_layout, to, to_layout| {
            from.create_transform_8bit(from_layout, to, to_layout, options()).ok()
        })
    }

    /// Conversion of 16-bit rows.
    pub(super) fn to_srgb16(&self, layout: Layout) -> Option<Arc<Transform16BitExecutor>> {
        self.executor(layout, |from, from_layout, to, to_layout| {
            from.create_transform_16bit(from_layout, to, to_layout, options()).ok()
        })
    }
}

fn options() -> TransformOptions {
    TransformOptions { rendering_intent: RenderingIntent::Perceptual, ..TransformOptions::default() }
}

/// Largest error, in levels, of taking the profile's samples as sRGB: over 9³ colours (RGB) or all greys.
/// `None` if that cannot be said without a table lookup; such a profile is converted.
fn deviation_from_srgb(profile: &ColorProfile) -> Option<f64> {
    let encode = |light: f64| {
        let light = light.clamp(0.0, 1.0);
        255.0 * if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
    };
    let light_of = |curve: &Option<ToneReprCurve>| -> Option<Vec<f64>> {
        let curve = curve.as_ref()?.make_linear_evaluator().ok()?;
        Some((0..=255).map(|v| f64::from(curve.evaluate_value(v as f32 / 255.0))).collect())
    };
    let mut worst = 0.0_f64;
    if profile.color_space == DataColorSpace::Gray {
        for (v, light) in light_of(&profile.gray_trc)?.into_iter().enumerate() {
            worst = worst.max((encode(light) - v as f64).abs());
        }
        return Some(worst);
    }
    if !profile.is_matrix_shaper() || profile.lut_a_to_b_perceptual.is_some() {
        return None;
    }
    let m = profile.transform_matrix(&ColorProfile::new_srgb()).v;
    let curves = [light_of(&profile.red_trc)?, light_of(&profile.green_trc)?, light_of(&profile.blue_trc)?];
    for v in 0..=255 {
        for curve in &curves {
            worst = worst.max((encode(curve[v]) - v as f64).abs());
        }
    }
    let step = |i: usize| (i * 255 / 8).min(255);
    for (r, g, b) in (0..9 * 9 * 9).map(|i| (step(i % 9), step(i / 9 % 9), step(i / 81))) {
        let light = [curves[0][r], curves[1][g], curves[2][b]];
        for (row, v) in m.iter().zip([r, g, b]) {
            let out: f64 = row.iter().zip(light).map(|(m, l)| m * l).sum();
            worst = worst.max((encode(out) - v as f64).abs());
        }
    }
    // NaN compares as "not within a level".
    Some(worst)
}

/// A panic in the colour library means a broken profile.
fn quietly<T>(run: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok().flatten()
}
