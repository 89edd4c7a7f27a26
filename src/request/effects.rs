//! Operations on the composite (protocol.md 2.6): their values, and the passes they come to.
//!
//! Their order is fixed, whatever the order in the URL: brightness, contrast, colour balance, hue, saturation, colorize,
//! invert, grow, blur, noise. They run on the visible part of the composite at the size of the view, which the original allows itself too.

use super::layout::Layout;
use super::read::{Answer, between, exactly, integer, keyword, switched};
use super::{Commands, Refused, colour};
use crate::error::{Error, Result};
use crate::kernel::{Axis, Kernel};
use crate::limits;
use crate::pixel::{Ratio, Size, WorkingSpace};
use crate::plan::{Grain, Grow, Grown, Morph, Noise, Pass, Point, Resample, Tint};

/// What is done to the composite's colours; the default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Operations on one pixel at a time.
    pub point: Point,
    /// Radius of a disc in pixels of the composite, −100 to 100: above 0 the largest level within it, below 0 the
    /// smallest.
    pub grow: i8,
    /// σ in pixels of the composite, 0 to 100.
    pub blur: Ratio,
    /// Its seed is 0 here.
    pub noise: Option<Noise>,
}

impl Effects {
    /// The passes on a picture of `visible` pixels, in order; none for what does nothing.
    pub(super) fn passes(&self, layout: &Layout, visible: Size, space: WorkingSpace) -> Vec<Pass> {
        let mut passes: Vec<Pass> = self.points().collect();
        // Of a disc larger than the picture only what covers it counts.
        let diagonal = u64::from(visible.w) + u64::from(visible.h);
        let radius_px = u16::try_from(self.grow_px(layout).min(diagonal)).unwrap_or(u16::MAX);
        if radius_px > 0 {
            let morph = if self.grow > 0 { Morph::Dilate } else { Morph::Erode };
            let grow = Grow { radius_px, morph, of: Grown::Colours };
            passes.extend([Pass::GrowH(grow), Pass::GrowV(grow)]);
        }
        passes.extend(blurred(layout.length_q10(self.blur), visible, space));
        passes.extend(self.noise.map(Pass::Noise));
        passes
    }

    /// # Errors
    /// `Command`: a disc that the view enlarges past [`limits::GROW_RADIUS_PX_MAX`].
    pub(super) fn check(&self, layout: &Layout) -> Result<()> {
        if self.grow_px(layout) > u64::from(limits::GROW_RADIUS_PX_MAX) {
            let want = format!("a radius of at most {} px in the view", limits::GROW_RADIUS_PX_MAX);
            return Err(Error::command("op_grow", &self.grow.to_string(), want));
        }
        Ok(())
    }

    /// Radius of the disc in pixels of the view, halves up.
    fn grow_px(&self, layout: &Layout) -> u64 {
        (layout.length_q10(Ratio::int(i64::from(self.grow).abs())) + 512) >> 10
    }

    /// One `Point`; where a tint is normalised, what comes before it, the measurement, and the rest.
    fn points(&self) -> impl Iterator<Item = Pass> + use<> {
        let point = self.point;
        let measured = point.tint.filter(|tint| tint.normalise).map(|_| {
            let before = Point { tint: None, invert: false, ..point };
            let after = Point { tint: point.tint, invert: point.invert, ..Point::default() };
            [before, after]
        });
        let works = |point: Point| (point != Point::default()).then_some(Pass::Point(point));
        match measured {
            None => [works(point), None, None],
            Some([before, after]) => [works(before), Some(Pass::Median), works(after)],
        }
        .into_iter()
        .flatten()
    }
}

/// A Gaussian blur of a σ in 1/1024 px: resizes of a picture to its own size.
///
/// A wide one first reduces the picture to where σ is 4 to 8 px, which takes nothing from it that the blur would leave, and
/// then blurs and enlarges at once: the same work a pixel, however wide it is.
fn blurred(sigma_q10: u64, size: Size, space: WorkingSpace) -> Vec<Pass> {
    // A window of a single tap to 14 bits.
    const SIGMA_Q10_MIN: u64 = 102;
    if sigma_q10 < SIGMA_Q10_MIN {
        return Vec::new();
    }
    let [(w, across), (h, down)] = [size.w, size.h].map(|len| narrowed(sigma_q10, len));
    let both = |from: Size, to: Size, [h, v]: [Kernel; 2]| {
        let turn = |kernel, from, to| Resample { kernel, axis: Axis::whole(from, to), chroma_axis: None };
        [
            Pass::Load { space, add_alpha: false },
            Pass::ResizeH(turn(h, from.w, to.w)),
            Pass::ResizeV(turn(v, from.h, to.h)),
            Pass::Pack { space },
        ]
    };
    let small = Size::new(w, h);
    let mut passes = Vec::new();
    if small != size {
        passes.extend(both(size, small, [Kernel::Bilin; 2]));
    }
    passes.extend(both(small, size, [across, down]));
    passes
}

/// To how many samples an axis of `len` is reduced before a blur of that σ, and the kernel that does the rest there.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "σ of at most four sides")]
fn narrowed(sigma_q10: u64, len: u32) -> (u32, Kernel) {
    // Over samples that are all much closer than σ it is flat; a wider one is not flatter.
    let sigma = (sigma_q10 as f64 / 1024.0).min(4.0 * f64::from(len));
    let parts = if sigma < 8.0 { 1 } else { 1_u32 << (sigma / 4.0).log2().floor() as u32 };
    let reduced = len.div_ceil(parts);
    let step = f64::from(len) / f64::from(reduced);
    // The triangle of the reduction has blurred by a variance of a sixth of a sample already.
    let before = if reduced == len { 0.0 } else { 1.0 / 6.0 };
    let sigma_q10 = (1024.0 * ((sigma / step).powi(2) - before).sqrt()).round() as u32;
    (reduced, Kernel::Gaussian { sigma_q10 })
}

pub(super) fn op_brightness(commands: &mut Commands, value: &str) -> Answer {
    commands.effects.point.brightness = percent(value)?;
    Ok(())
}

pub(super) fn op_contrast(commands: &mut Commands, value: &str) -> Answer {
    commands.effects.point.contrast = percent(value)?;
    Ok(())
}

pub(super) fn op_colorbalance(commands: &mut Commands, value: &str) -> Answer {
    let [r, g, b] = exactly::<3>(value)?;
    commands.effects.point.balance = [percent(r)?, percent(g)?, percent(b)?];
    Ok(())
}

pub(super) fn op_hue(commands: &mut Commands, value: &str) -> Answer {
    let degrees = integer(value, -180, 180)?.rem_euclid(360);
    commands.effects.point.hue = u16::try_from(degrees).map_err(|_| Refused::Bad)?;
    Ok(())
}

pub(super) fn op_saturation(commands: &mut Commands, value: &str) -> Answer {
    commands.effects.point.saturation = percent(value)?;
    Ok(())
}

pub(super) fn op_colorize(commands: &mut Commands, value: &str) -> Answer {
    // A colour may hold commas itself; the keyword ends it.
    let items: Vec<&str> = value.split(',').collect();
    let word = items.iter().position(|item| keyword(item, &NORMALISE).is_ok());
    let (written, rest) = items.split_at(word.unwrap_or(items.len()));
    let (normalise, contrast) = match rest {
        [] => (true, 0),
        [word] => (keyword(word, &NORMALISE)?, 0),
        [word, contrast] => (keyword(word, &NORMALISE)?, integer(contrast, 0, 100)?),
        _ => return Err(Refused::Bad),
    };
    let colour = colour::parse(&written.join(",")).filter(|colour| colour.is_rgb).ok_or(Refused::Bad)?;
    // Without normalising there is no contrast.
    let contrast = if normalise { u8::try_from(contrast).map_err(|_| Refused::Bad)? } else { 0 };
    commands.effects.point.tint = Some(Tint { colour: colour.rgb, normalise, contrast });
    Ok(())
}

const NORMALISE: [(&str, bool); 2] = [("off", false), ("norm", true)];

pub(super) fn op_invert(commands: &mut Commands, value: &str) -> Answer {
    commands.effects.point.invert = switched(value)?;
    Ok(())
}

pub(super) fn op_grow(commands: &mut Commands, value: &str) -> Answer {
    commands.effects.grow = percent(value)?;
    Ok(())
}

pub(super) fn op_blur(commands: &mut Commands, value: &str) -> Answer {
    commands.effects.blur = between(value, Ratio::ZERO, Ratio::int(100))?;
    Ok(())
}

pub(super) fn op_noise(commands: &mut Commands, value: &str) -> Answer {
    let mut items = value.split(',');
    let amount = integer(items.next().unwrap_or(""), 0, 100)?;
    let grains = [("uniform", Grain::Uniform), ("gaussian", Grain::Gaussian)];
    let grain = items.next().map_or(Ok(Grain::Uniform), |word| keyword(word, &grains))?;
    let mono = items.next().map_or(Ok(false), switched)?;
    if items.next().is_some() {
        return Err(Refused::Bad);
    }
    let amount = u8::try_from(amount).map_err(|_| Refused::Bad)?;
    commands.effects.noise = (amount > 0).then_some(Noise { amount, grain, mono, seed: 0 });
    Ok(())
}

pub(super) fn percent(item: &str) -> Result<i8, Refused> {
    i8::try_from(integer(item, -100, 100)?).map_err(|_| Refused::Bad)
}
