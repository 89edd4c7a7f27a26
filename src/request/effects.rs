//! Operations on the composite (protocol.md 2.6): their values, and the passes they come to.
//!
//! Their order is fixed, whatever the order in the URL: brightness, contrast, colour balance, hue, saturation, colorize,
//! invert. They run on the visible part of the composite at the size of the view, which the original allows itself too.

use super::read::{Answer, exactly, integer, keyword, switched};
use super::{Commands, Refused, colour};
use crate::plan::{Pass, Point, Tint};

/// What is done to the composite's colours; the default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Operations on one pixel at a time.
    pub point: Point,
}

impl Effects {
    /// The passes, in order; none for what does nothing.
    pub(super) fn passes(&self) -> Vec<Pass> {
        self.points().collect()
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

fn percent(item: &str) -> Result<i8, Refused> {
    i8::try_from(integer(item, -100, 100)?).map_err(|_| Refused::Bad)
}
