//! Layer 0, which is the composite: what of the source, how large, how turned, with what margins (protocol.md 2.4, 3.1
//! steps 3 to 9), in exact arithmetic.
//!
//! The order is the protocol's: crop, scale, flip (if in `layer=0`), rotate, extend; a flip outside mirrors all of that.

use super::effects::percent;
use super::read::{Answer, exactly, integer, keyword, positive, real, switched};
use super::{Area, Clips, Commands, MaskSource, Refused, Thumb, colour};
use crate::error::{Error, Result};
use crate::limits;
use crate::pixel::geometry::{self, Ratio, Rect, Size};
use crate::plan::{MaskUse, Turn};

/// What the URL says of layer 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerCommands {
    /// What of the source it is.
    pub crop: Option<Area>,
    /// `size`: the box it is scaled to stay within; a side of 0 follows the other.
    pub size: Option<Size>,
    /// `scale`, where there is no `size`.
    pub scale: Option<Ratio>,
    /// `res`: pixels an inch it is scaled to, where there is neither.
    pub res: Option<Ratio>,
    /// Pixels an inch that it has, if the configuration says.
    pub resolution: Option<Ratio>,
    /// `flip` in `layer=0`.
    pub flip: [bool; 2],
    /// `rotate`: degrees clockwise, 0 to 360.
    pub rotate: Ratio,
    /// `extend` and `extendN`.
    pub extend: Margins,
    /// `flip` of the composite.
    pub flip_composite: [bool; 2],
    /// `maskUse`.
    pub mask: MaskUse,
    /// `color`: beneath what is transparent of the layer, before its margins. R, G, B, alpha.
    pub colour: [u8; 4],
    /// `bgColor`: beneath what is transparent of it, margins included.
    pub background: [u8; 4],
    /// `opac` in `layer=0`, of 10,000.
    pub opacity: u16,
    /// `opac` of the composite, of 10,000.
    pub opacity_composite: u16,
    /// `op_growMask`: px of the source, −100 to 100.
    pub grow_mask: i8,
    /// `op_growMaskR`: px of the view, −100 to 100.
    pub grow_mask_r: i8,
    /// `hide`.
    pub is_hidden: bool,
}

impl Default for LayerCommands {
    fn default() -> Self {
        Self {
            crop: None,
            size: None,
            scale: None,
            res: None,
            resolution: None,
            flip: [false; 2],
            rotate: Ratio::ZERO,
            extend: Margins::default(),
            flip_composite: [false; 2],
            mask: MaskUse::Norm,
            colour: [0; 4],
            background: [0; 4],
            opacity: 10_000,
            opacity_composite: 10_000,
            grow_mask: 0,
            grow_mask_r: 0,
            is_hidden: false,
        }
    }
}

impl LayerCommands {
    /// Whether one of its commands says how much it is scaled.
    pub(super) fn is_scaled(&self) -> bool {
        let Self { size, scale, res, .. } = self;
        size.is_some_and(|size| size.w.max(size.h) > 0) || scale.is_some() || res.is_some()
    }
}

/// Margins: left, top, right, bottom; negative: cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Margins {
    /// In pixels of the layer.
    Pixels([i64; 4]),
    /// In parts of its width and height.
    Parts([Ratio; 4]),
}

impl Default for Margins {
    fn default() -> Self {
        Self::Pixels([0; 4])
    }
}

/// Layer 0, laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    /// What of the source can be seen at all, in its pixels: all of it, but for a named crop.
    pub(super) within: Rect,
    /// What `crop` cuts out, in pixels of the source; may reach outside it.
    pub(super) crop: Rect,
    /// Its size once scaled, before it is turned.
    pub(super) size: Size,
    /// Layer pixels per source pixel before any rounding.
    pub(super) factor: Ratio,
    /// How the source stands in the composite …
    pub(super) turn: Turn,
    /// … and how much it is turned beyond that, clockwise: less than 90 degrees either way.
    pub(super) degrees: Ratio,
    /// Where the turned layer starts in the composite; below 0: pixels cut off.
    pub(super) start: [i64; 2],
    /// Size of the composite.
    pub(super) composite: Size,
}

impl Layer {
    /// Lays layer 0 out over what of the source is there.
    ///
    /// # Errors
    /// `Command`: a layer without or with too many pixels, or of a resolution that nobody knows.
    pub(super) fn new(commands: &LayerCommands, within: Rect, thumb: Option<&Thumb>, clips: &Clips) -> Result<Self> {
        let cut = commands.crop.map_or(Ok(Rect::of(within.size())), |area| rect(area, within.size(), "cropN"))?;
        let crop = clips.cropped(Rect { x: within.x + cut.x, y: within.y + cut.y, ..cut })?;
        let (crop, size, factor) = match (thumb, commands.size) {
            (Some(thumb), Some(size)) if size.w > 0 && size.h > 0 => {
                let (crop, factor) = thumb.layer(crop, size);
                check(crop.size(), "size")?;
                (crop, size, factor)
            }
            _ => {
                let (factor, key) = factor(commands, crop.size())?;
                let size = Size::new(geometry::scaled(crop.w, factor), geometry::scaled(crop.h, factor));
                check(size, key)?;
                (crop, size, factor)
            }
        };

        let mut turn = Turn::default().flipped(commands.flip);
        let quarters = commands.rotate.over(Ratio::int(90)).floor();
        (0..quarters).for_each(|_| turn = turn.quarter());
        let mut degrees = commands.rotate.minus(Ratio::int(90 * quarters));
        let turned = boxed(turn.turned(size), degrees);
        check(turned, "rotate")?;
        let mut margins = match commands.extend {
            Margins::Pixels(margins) => margins,
            Margins::Parts(parts) => {
                let sides = [turned.w, turned.h, turned.w, turned.h];
                std::array::from_fn(|i| parts[i].times(Ratio::int(i64::from(sides[i]))).round())
            }
        };
        let [mirrored, flipped] = commands.flip_composite;
        if mirrored {
            margins.swap(0, 2);
        }
        if flipped {
            margins.swap(1, 3);
        }
        // What is mirrored turns the other way.
        if mirrored != flipped {
            degrees = Ratio::ZERO.minus(degrees);
        }
        let [left, top, right, bottom] = margins;
        let side = |len: u32, before: i64, after: i64| {
            let side = i64::from(len) + before + after;
            u32::try_from(side).ok().filter(|side| (1..=limits::COMPOSITE_SIDE_MAX).contains(side)).ok_or_else(|| {
                let want = format!("margins that leave 1 to {} pixels a side", limits::COMPOSITE_SIDE_MAX);
                Error::command("extend", &side.to_string(), want)
            })
        };
        let composite = Size::new(side(turned.w, left, right)?, side(turned.h, top, bottom)?);
        let turn = turn.flipped(commands.flip_composite);
        Ok(Self { within, crop, size, factor, turn, degrees, start: [left, top], composite })
    }
}

/// The box that a turned rectangle grows to, so that nothing is cut (protocol.md 2.4): up to whole pixels, but for what
/// rounding alone has added.
pub(super) fn boxed(size: Size, degrees: Ratio) -> Size {
    if degrees == Ratio::ZERO {
        return size;
    }
    let (sin, cos) = degrees.to_f64().to_radians().sin_cos();
    let side = |along: u32, across: u32| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the sum of two sides")]
        {
            ((f64::from(along) * cos.abs() + f64::from(across) * sin.abs() - 1e-6).ceil() as u32).max(1)
        }
    };
    Size::new(side(size.w, size.h), side(size.h, size.w))
}

/// How much the layer is scaled, and the command that says so: `size` before `scale` before `res`.
fn factor(commands: &LayerCommands, crop: Size) -> Result<(Ratio, &'static str)> {
    let along = |px: u32, of: u32| (px > 0).then(|| Ratio::new(i128::from(px), i128::from(of)));
    if let Some(size) = commands.size
        && let Some(factor) = along(size.w, crop.w).into_iter().chain(along(size.h, crop.h)).min()
    {
        return Ok((factor, "size"));
    }
    match (commands.scale, commands.res, commands.resolution) {
        (Some(factor), ..) => Ok((factor, "scale")),
        (None, Some(res), Some(resolution)) => Ok((res.over(resolution), "res")),
        (None, Some(res), None) => {
            let want = "a picture whose record or company has a resolution";
            Err(Error::command("res", &res.to_f64().to_string(), want))
        }
        (None, None, _) => Ok((Ratio::ONE, "crop")),
    }
}

fn check(size: Size, key: &'static str) -> Result<()> {
    if size.w.max(size.h) > limits::COMPOSITE_SIDE_MAX {
        let want = format!("a layer of at most {} pixels a side", limits::COMPOSITE_SIDE_MAX);
        return Err(Error::command(key, &size.to_string(), want));
    }
    Ok(())
}

/// A rectangle in pixels of a picture of `size`; parts are rounded each, halves up, sides at least 1.
pub(super) fn rect(area: Area, size: Size, key: &'static str) -> Result<Rect> {
    match area {
        Area::Pixels { x, y, w, h } => Ok(Rect { x, y, w, h }),
        Area::Parts { x, y, w, h } => {
            let at = |part: Ratio, of: u32| part.times(Ratio::int(i64::from(of))).round();
            let side = |part: Ratio, of: u32| match geometry::scaled(of, part) {
                px if px <= limits::COMPOSITE_SIDE_MAX => Ok(px),
                px => Err(Error::command(key, &format!("{px} px"), "at most 65535 pixels a side")),
            };
            Ok(Rect { x: at(x, size.w), y: at(y, size.h), w: side(w, size.w)?, h: side(h, size.h)? })
        }
    }
}

pub(super) fn size(commands: &mut Commands, value: &str) -> Answer {
    let [w, h] = exactly::<2>(value)?;
    let side = |item| u32::try_from(integer(item, 0, i64::from(limits::COMPOSITE_SIDE_MAX))?).map_err(|_| Refused::Bad);
    commands.layer.size = Some(Size::new(side(w)?, side(h)?));
    Ok(())
}

pub(super) fn scale(commands: &mut Commands, value: &str) -> Answer {
    commands.layer.scale = Some(positive(value, 1_000_000)?);
    Ok(())
}

/// Of layer 0 there is none: it is what the others' sizes are parts of.
pub(super) fn size_n(_: &mut Commands, _: &str) -> Answer {
    Err(Refused::Bad)
}

pub(super) fn res(commands: &mut Commands, value: &str) -> Answer {
    const DECIMALS: usize = 3;
    let res = real(value, DECIMALS).filter(|n| n.is_positive() && *n <= Ratio::int(1_000_000));
    commands.layer.res = Some(res.ok_or(Refused::Bad)?);
    Ok(())
}

pub(super) fn rotate(commands: &mut Commands, value: &str) -> Answer {
    let degrees = real(value, 6).ok_or(Refused::Bad)?;
    let turns = degrees.over(Ratio::int(360)).floor();
    commands.layer.rotate = degrees.minus(Ratio::int(360 * turns));
    Ok(())
}

pub(super) fn flip(commands: &mut Commands, value: &str) -> Answer {
    let ways = [("lr", [true, false]), ("ud", [false, true]), ("lrud", [true, true])];
    let flip = keyword(value, &ways)?;
    if commands.is_in_layer {
        commands.layer.flip = flip;
    } else {
        commands.layer.flip_composite = flip;
    }
    Ok(())
}

pub(super) fn extend(commands: &mut Commands, value: &str) -> Answer {
    let most = i64::from(limits::COMPOSITE_SIDE_MAX);
    let margins: Vec<i64> =
        exactly::<4>(value)?.iter().map(|item| integer(item, -most, most)).collect::<Result<_, _>>()?;
    commands.layer.extend = Margins::Pixels(margins.try_into().map_err(|_| Refused::Bad)?);
    Ok(())
}

pub(super) fn extend_n(commands: &mut Commands, value: &str) -> Answer {
    let most = Ratio::int(1000);
    let part = |item: &&str| real(item, 9).filter(|n| (Ratio::int(-1000)..=most).contains(n)).ok_or(Refused::Bad);
    let margins: Vec<Ratio> = exactly::<4>(value)?.iter().map(part).collect::<Result<_, _>>()?;
    commands.layer.extend = Margins::Parts(margins.try_into().map_err(|_| Refused::Bad)?);
    Ok(())
}

pub(super) fn color(commands: &mut Commands, value: &str) -> Answer {
    commands.layer.colour = with_alpha(value)?;
    Ok(())
}

pub(super) fn bg_color(commands: &mut Commands, value: &str) -> Answer {
    commands.layer.background = with_alpha(value)?;
    Ok(())
}

/// R, G, B and alpha; the same for everything that is fully transparent.
fn with_alpha(value: &str) -> Result<[u8; 4], Refused> {
    let colour = colour::parse(value).ok_or(Refused::Bad)?;
    let [r, g, b] = colour.rgb;
    Ok(if colour.alpha == 0 { [0; 4] } else { [r, g, b, colour.alpha] })
}

pub(super) fn opac(commands: &mut Commands, value: &str) -> Answer {
    let (opacity, fill) = value.split_once(',').unwrap_or((value, "100"));
    let share = integer(opacity, 0, 100)? * integer(fill, 0, 100)?;
    let share = u16::try_from(share).map_err(|_| Refused::Bad)?;
    if commands.is_in_layer {
        commands.layer.opacity = share;
    } else {
        commands.layer.opacity_composite = share;
    }
    Ok(())
}

pub(super) fn mask(commands: &mut Commands, value: &str) -> Answer {
    let nested = ["is(", "is{", "ir(", "ir{", "fxg(", "fxg{", "(", "{"];
    let begins = |begin: &str| value.get(..begin.len()).is_some_and(|own| own.eq_ignore_ascii_case(begin));
    if nested.iter().any(|begin| begins(begin)) {
        return Err(Refused::NotYet);
    }
    if value.trim_matches('/').is_empty() || value.contains([',', '?']) {
        return Err(Refused::Bad);
    }
    commands.mask = Some(MaskSource::Object(value.to_owned()));
    Ok(())
}

pub(super) fn mask_use(commands: &mut Commands, value: &str) -> Answer {
    let uses = [("norm", MaskUse::Norm), ("invert", MaskUse::Invert), ("off", MaskUse::Off)];
    commands.layer.mask = keyword(value, &uses)?;
    Ok(())
}

pub(super) fn op_grow_mask(commands: &mut Commands, value: &str) -> Answer {
    commands.layer.grow_mask = percent(value)?;
    Ok(())
}

pub(super) fn op_grow_mask_r(commands: &mut Commands, value: &str) -> Answer {
    commands.layer.grow_mask_r = percent(value)?;
    Ok(())
}

pub(super) fn hide(commands: &mut Commands, value: &str) -> Answer {
    commands.layer.is_hidden = switched(value)?;
    Ok(())
}

/// Of a single layer neither `anchor` nor `origin` shows: it turns within a box that grows around it, and is aligned to
/// nothing. So they are read, and that is all.
pub(super) fn place_px(_: &mut Commands, value: &str) -> Answer {
    const FAR: i64 = 2_147_483_647;
    exactly::<2>(value)?.iter().try_for_each(|item| integer(item, -FAR, FAR).map(drop))
}

/// As [`place_px`], in parts.
pub(super) fn place_n(_: &mut Commands, value: &str) -> Answer {
    let half = Ratio::new(1, 2);
    let inside = |n: &Ratio| (Ratio::ZERO.minus(half)..=half).contains(n);
    exactly::<2>(value)?.iter().try_for_each(|item| real(item, 9).filter(inside).map(drop).ok_or(Refused::Bad))
}

/// `layer`: to what the commands after it belong. Only layer 0 and the composite exist.
pub(super) fn layer(commands: &mut Commands, value: &str) -> Answer {
    let (number, name) = value.split_once(',').map_or((value, None), |(number, name)| (number, Some(name)));
    let is_number = (1..=9).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let is_name = |name: &str| !name.is_empty() && !name.contains(',') && !name.eq_ignore_ascii_case("comp");
    match name {
        None if number.eq_ignore_ascii_case("comp") => commands.is_in_layer = false,
        name if is_number && name.is_none_or(is_name) => {
            if number.bytes().any(|digit| digit != b'0') {
                return Err(Refused::NotYet);
            }
            commands.is_in_layer = true;
        }
        None | Some(_) => return Err(Refused::Bad),
    }
    Ok(())
}
