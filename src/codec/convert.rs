//! From sRGB to the colours that a file shall have: another RGB, another grey, inks; and the profiles that say so.
//!
//! Profiles are computed, but for that of a press, which is looked for where Debian's free packages put one. Intents count
//! where a profile has tables for them: presses alone. The colour library knows no black-point compensation and no dither.

use std::borrow::Cow;
use std::sync::OnceLock;

use moxcms::{ColorProfile, DataColorSpace, Layout, RenderingIntent, TransformOptions};

use crate::error::{Error, Result};
use crate::limits;
use crate::pixel::{Image, Model, PixelFormat, Plane};
use crate::plan::{Conversion, Intent, Output, Profile};

/// Where profiles of presses are; the first that can be read is taken. `libgs-common` has the first, `icc-profiles` and
/// `colord` have the others.
const PRESSES: [&str; 5] = [
    "/usr/share/color/icc/ghostscript/default_cmyk.icc",
    "/usr/share/color/icc/colord/FOGRA39L_coated.icc",
    "/usr/share/color/icc/ISOcoated_v2_300_bas.ICC",
    "/usr/share/color/icc/ISOcoated_v2_bas.ICC",
    "/usr/share/color/icc/colord/SWOP2006_Coated3v2.icc",
];
/// Pixels that are converted together.
const RUN_PIXELS: usize = 1 << 14;

/// The picture in the colours that `output` asks for.
///
/// # Errors
/// `NotSupported`: no profile of a press is on this machine. `Encode`: the colour library refuses the conversion (a bug).
pub(super) fn converted<'i>(image: &'i Image, output: &Output) -> Result<Cow<'i, Image>> {
    let model = image.format().model;
    if output.conversion.is_some() && !matches!(model, Model::Grey | Model::Rgb) {
        return Err(refuse(format!("planes of {:?}: expected grey or RGB", image.format())));
    }
    match output.conversion {
        None => Ok(Cow::Borrowed(image)),
        Some(Conversion::Inks) => Ok(Cow::Owned(inks(image))),
        Some(Conversion::To { profile, intent }) => managed(image, profile, intent).map(Cow::Owned),
    }
}

/// The profile to embed, if there is one for such a picture.
///
/// # Errors
/// As [`converted`].
pub(super) fn embedded(image: &Image, output: &Output) -> Result<Option<Vec<u8>>> {
    let profile = match (output.conversion, image.format().model) {
        _ if !output.embeds_profile => return Ok(None),
        (Some(Conversion::Inks), _) => return Ok(None),
        (Some(Conversion::To { profile: Profile::Press, .. }), _) => return Ok(Some(press()?.1.clone())),
        (Some(Conversion::To { profile, .. }), _) => of(profile)?,
        (None, Model::Grey) => srgb_grey(),
        (None, Model::Rgb | Model::Ycbcr(_) | Model::Yuv | Model::Cmyk) => ColorProfile::new_srgb(),
    };
    profile.encode().map(Some).map_err(refuse)
}

/// Inks without a profile: the grey part of a colour is black alone. What our decoder makes of them is the same colour.
fn inks(image: &Image) -> Image {
    mapped(image, Model::Cmyk, |rgb, cmyk| {
        for (rgb, inks) in rgb.as_chunks::<3>().0.iter().zip(cmyk.as_chunks_mut::<4>().0) {
            let light = u32::from(rgb[0].max(rgb[1]).max(rgb[2]));
            let ink = |v: u8| {
                let ink = (255 * (light - u32::from(v)) + light / 2).checked_div(light).unwrap_or(0);
                u8::try_from(ink).unwrap_or(u8::MAX)
            };
            *inks = [ink(rgb[0]), ink(rgb[1]), ink(rgb[2]), u8::try_from(255 - light).unwrap_or(0)];
        }
    })
}

fn managed(image: &Image, profile: Profile, intent: Intent) -> Result<Image> {
    let rendering_intent = match intent {
        Intent::Perceptual => RenderingIntent::Perceptual,
        Intent::Relative => RenderingIntent::RelativeColorimetric,
        Intent::Saturation => RenderingIntent::Saturation,
        Intent::Absolute => RenderingIntent::AbsoluteColorimetric,
    };
    let options = TransformOptions { rendering_intent, ..TransformOptions::default() };
    let (from, from_layout, to, to_layout, model) = match profile {
        Profile::LinearGrey | Profile::Gamma22Grey if image.format().model != Model::Grey => {
            return Err(refuse("planes of colours: expected grey"));
        }
        Profile::LinearGrey | Profile::Gamma22Grey => {
            (srgb_grey(), Layout::Gray, of(profile)?, Layout::Gray, Model::Grey)
        }
        Profile::Srgb | Profile::AdobeRgb | Profile::DisplayP3 => {
            (ColorProfile::new_srgb(), Layout::Rgb, of(profile)?, Layout::Rgb, Model::Rgb)
        }
        // The library names four inks by the four-sample layout.
        Profile::Press => (ColorProfile::new_srgb(), Layout::Rgb, of(profile)?, Layout::Rgba, Model::Cmyk),
    };
    let transform = from.create_transform_8bit(from_layout, &to, to_layout, options).map_err(refuse)?;
    Ok(mapped(image, model, |samples, out| {
        // It fails on lengths that do not fit; these do.
        let converted = transform.transform(samples, out);
        debug_assert!(converted.is_ok(), "colour conversion of whole pixels");
    }))
}

/// The picture with other colours, made of runs of interleaved ones: grey of grey, else of R G B. Alpha is copied.
fn mapped(image: &Image, model: Model, mut convert: impl FnMut(&[u8], &mut [u8])) -> Image {
    let format = PixelFormat { model, alpha: image.format().alpha };
    let (from, to) = (if model == Model::Grey { 1 } else { 3 }, format.colour_planes());
    let size = image.size();
    let source: Vec<&[u8]> =
        (0..from).map(|c| image.planes()[c.min(image.format().colour_planes() - 1)].data()).collect();
    let mut planes = vec![Plane::new(size); to];
    let (mut samples, mut made) = (vec![0; RUN_PIXELS * from], vec![0; RUN_PIXELS * to]);
    for first in (0..size.samples()).step_by(RUN_PIXELS) {
        let run = RUN_PIXELS.min(size.samples() - first);
        for (c, plane) in source.iter().enumerate() {
            samples.chunks_exact_mut(from).zip(&plane[first..][..run]).for_each(|(pixel, v)| pixel[c] = *v);
        }
        convert(&samples[..run * from], &mut made[..run * to]);
        for (c, plane) in planes.iter_mut().enumerate() {
            plane.data_mut()[first..][..run].iter_mut().zip(made.chunks_exact(to)).for_each(|(v, pixel)| *v = pixel[c]);
        }
    }
    planes.extend(image.alpha().cloned());
    Image::from_planes(size, format, planes)
}

fn of(profile: Profile) -> Result<ColorProfile> {
    Ok(match profile {
        Profile::Srgb => ColorProfile::new_srgb(),
        Profile::AdobeRgb => ColorProfile::new_adobe_rgb(),
        Profile::DisplayP3 => ColorProfile::new_display_p3(),
        Profile::LinearGrey => ColorProfile::new_gray_with_gamma(1.0),
        Profile::Gamma22Grey => ColorProfile::new_gray_with_gamma(2.2),
        Profile::Press => press()?.0.clone(),
    })
}

/// Grey by the curve of sRGB: what our own grey planes are.
fn srgb_grey() -> ColorProfile {
    let mut profile = ColorProfile::new_gray_with_gamma(1.0);
    profile.gray_trc = ColorProfile::new_srgb().red_trc;
    profile
}

/// The profile of a press that is on this machine, and its bytes.
fn press() -> Result<&'static (ColorProfile, Vec<u8>)> {
    static PRESS: OnceLock<Option<(ColorProfile, Vec<u8>)>> = OnceLock::new();
    let found = PRESS.get_or_init(|| {
        PRESSES.iter().find_map(|path| {
            let is_small = std::fs::metadata(path).ok()?.len() <= limits::METADATA_BYTES_MAX as u64;
            let bytes = is_small.then(|| std::fs::read(path).ok()).flatten()?;
            let profile = ColorProfile::new_from_slice(&bytes).ok()?;
            (profile.color_space == DataColorSpace::Cmyk).then_some((profile, bytes))
        })
    });
    found.as_ref().ok_or_else(|| Error::NotSupported {
        key: "icc",
        got: String::from("CMYK, without a profile on this machine (Debian: libgs-common)"),
    })
}

fn refuse(reason: impl std::fmt::Display) -> Error {
    Error::Encode { format: "icc", reason: reason.to_string() }
}
