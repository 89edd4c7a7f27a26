//! Sizes and places, in exact arithmetic: what of the source is shown, how large, and where in the view
//! (protocol.md 2.2, 2.3, 3.1 steps 3 and 11 to 16, 4.3, 7). Rounding happens in `pixel::geometry` alone.

use super::{Area, Commands, FitMode};
use crate::catalog::Company;
use crate::error::{Error, Result};
use crate::pixel::geometry::{self, Ratio, Rect, Size};

/// Where a request's picture goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What of the source can be seen at all, in its pixels: all of it, but for a named crop.
    pub within: Rect,
    /// What `crop` cuts out, in pixels of the source: layer 0, and so the composite. May reach outside the source.
    pub composite: Rect,
    /// What of it `rgn` chooses, in pixels of the source too; the whole composite without `rgn`. May reach outside.
    pub region: Rect,
    /// View pixels per source pixel before any rounding, horizontally and vertically.
    pub factor: [Ratio; 2],
    /// Size of the scaled region.
    pub scaled: Size,
    /// Size of the reply.
    pub view: Size,
    /// Where the scaled region starts in the view, horizontally and vertically; below 0: pixels cut from its start.
    pub offset: [i64; 2],
    align: [Ratio; 2],
}

/// Scaled sides above this cannot be laid out; no view shows more than a few pixels of such a picture.
const SCALED_SIDE_MAX: u32 = 4_294_900_000;

/// The client's screen, as far as sizes depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Device pixels per CSS pixel; 1 changes nothing.
    pub ratio: Ratio,
    /// Width that DefaultPix is narrowed to, px, before the ratio.
    pub width_max: Option<u32>,
}

/// Lays out a request over a source of `source` pixels for a screen.
///
/// Its ratio multiplies `wid` and `hei` (each rounded), divides `scl`, or multiplies DefaultPix (protocol.md 4.3 b). MaxPix
/// is not looked at: see [`Layout::check`] and [`Layout::clamped`].
///
/// # Errors
/// `Command`: a `crop` or `rgn` of more than [`limits::COMPOSITE_SIDE_MAX`](crate::limits::COMPOSITE_SIDE_MAX) a side.
/// `Request`: scaled beyond all measure.
pub fn layout(commands: &Commands, source: Size, company: &Company, screen: &Screen) -> Result<Layout> {
    let within = commands.window.map_or(Ok(Rect::of(source)), |window| rect(window.area, source, "cropN"))?;
    let cut = commands.crop.map_or(Ok(Rect::of(within.size())), |area| rect(area, within.size(), "cropN"))?;
    let composite = Rect { x: within.x + cut.x, y: within.y + cut.y, ..cut };
    let chosen = commands.rgn.map_or(Ok(Rect::of(composite.size())), |area| rect(area, composite.size(), "rgnN"))?;
    let region = Rect { x: composite.x + chosen.x, y: composite.y + chosen.y, ..chosen };

    let sides = [commands.wid, commands.hei].map(|side| side.map(|px| geometry::scaled(px, screen.ratio)));
    let (factor, boxed) = match commands.scl {
        Some(scl) => ([screen.ratio.over(scl); 2], true),
        None => fitted(commands, company, region.size(), sides, screen),
    };
    let scaled = Size::new(geometry::scaled(region.w, factor[0]), geometry::scaled(region.h, factor[1]));
    if scaled.w.max(scaled.h) > SCALED_SIDE_MAX {
        return Err(Error::Request { got: format!("a picture scaled to {scaled}"), want: "a smaller scale".into() });
    }
    let view = if boxed { Size::new(sides[0].unwrap_or(scaled.w), sides[1].unwrap_or(scaled.h)) } else { scaled };
    let stretched = commands.scl.is_none() && commands.fit.is_some_and(|fit| fit.mode == FitMode::Stretch);
    let align = if stretched { [Ratio::ZERO; 2] } else { commands.align };
    Ok(Layout { within, composite, region, factor, scaled, view, offset: [0; 2], align }.placed())
}

/// The factors of `fit` and of DefaultPix, and whether the reply has the sides asked for (protocol.md 2.3).
fn fitted(
    commands: &Commands,
    company: &Company,
    size: Size,
    sides: [Option<u32>; 2],
    screen: &Screen,
) -> ([Ratio; 2], bool) {
    let upscales = commands.upscales(company);
    let ratio = |px: u32, of: u32| Ratio::new(i128::from(px), i128::from(of));
    let limited = |factor: Ratio| if upscales { factor } else { factor.min(Ratio::ONE) };
    match sides {
        [Some(wid), Some(hei)] => {
            let (x, y) = (limited(ratio(wid, size.w)), limited(ratio(hei, size.h)));
            match commands.fit.map_or(FitMode::Fit, |fit| fit.mode) {
                FitMode::Fit => ([x.min(y); 2], true),
                FitMode::Constrain => ([x.min(y); 2], false),
                FitMode::Crop => ([x.max(y); 2], true),
                FitMode::Wrap => ([x.max(y); 2], false),
                FitMode::Stretch => ([x, y], true),
                FitMode::Hfit => ([x; 2], true),
                FitMode::Vfit => ([y; 2], true),
            }
        }
        [Some(wid), None] => ([limited(ratio(wid, size.w)); 2], false),
        [None, Some(hei)] => ([limited(ratio(hei, size.h)); 2], false),
        [None, None] => {
            let free = |limit: u32, of: u32| {
                if limit == 0 { Ratio::ONE } else { ratio(geometry::scaled(limit, screen.ratio), of) }
            };
            let Size { w, h } = commands.window.map_or(company.default_pix, |window| window.size);
            let w = screen.width_max.map_or(w, |most| if w == 0 { most } else { w.min(most) });
            let (x, y) = (free(w, size.w), free(h, size.h));
            ([Ratio::ONE.min(x).min(y); 2], false)
        }
    }
}

/// A rectangle in pixels of a picture of `size`; parts are rounded each, halves up, sides at least 1.
fn rect(area: Area, size: Size, key: &'static str) -> Result<Rect> {
    match area {
        Area::Pixels { x, y, w, h } => Ok(Rect { x, y, w, h }),
        Area::Parts { x, y, w, h } => {
            let at = |part: Ratio, of: u32| part.times(Ratio::int(i64::from(of))).round();
            let side = |part: Ratio, of: u32| match geometry::scaled(of, part) {
                px if px <= crate::limits::COMPOSITE_SIDE_MAX => Ok(px),
                px => Err(Error::command(key, &format!("{px} px"), "at most 65535 pixels a side")),
            };
            Ok(Rect { x: at(x, size.w), y: at(y, size.h), w: side(w, size.w)?, h: side(h, size.h)? })
        }
    }
}

impl Layout {
    /// With its offset by the size of view and picture.
    fn placed(self) -> Self {
        let offset = [
            geometry::offset(self.view.w, self.scaled.w, self.align[0]),
            geometry::offset(self.view.h, self.scaled.h, self.align[1]),
        ];
        Self { offset, ..self }
    }

    /// Whether the view fits in `max`; a side of 0 is no limit.
    ///
    /// # Errors
    /// `MaxPix`.
    pub fn check(&self, max: Size) -> Result<()> {
        let over = |side: u32, limit: u32| limit != 0 && side > limit;
        if over(self.view.w, max.w) || over(self.view.h, max.h) {
            return Err(Error::MaxPix { size: [self.view.w, self.view.h], max: [max.w, max.h] });
        }
        Ok(())
    }

    /// Reduced so that the view fits in `max`: what a pixel ratio may cause is no error (protocol.md 4.3, D6).
    pub fn clamped(self, max: Size) -> Self {
        let share = |limit: u32, side: u32| {
            if limit == 0 { Ratio::ONE } else { Ratio::new(i128::from(limit), i128::from(side)) }
        };
        let f = Ratio::ONE.min(share(max.w, self.view.w)).min(share(max.h, self.view.h));
        if f == Ratio::ONE {
            return self;
        }
        let reduced = |size: Size| Size::new(geometry::scaled(size.w, f), geometry::scaled(size.h, f));
        let factor = self.factor.map(|factor| factor.times(f));
        Self { factor, scaled: reduced(self.scaled), view: reduced(self.view), ..self }.placed()
    }

    /// The pixel ratio up to which nothing is enlarged that this layout does not enlarge (protocol.md 4.3 c).
    pub fn ratio_max(&self) -> Ratio {
        Ratio::ONE.max(Ratio::ONE.over(self.factor[0].max(self.factor[1])))
    }

    /// `radius · min(1, s)` in 2⁻²⁰ px of the view, s being the factor, or the geometric mean of both where the picture
    /// is stretched (protocol.md 2.6).
    pub fn radius_q20(&self, radius: Ratio) -> u32 {
        let [x, y] = self.factor;
        let q20 = if x == y {
            radius.times(x.min(Ratio::ONE)).times(Ratio::int(1 << 20)).round()
        } else {
            let s = (x.to_f64() * y.to_f64()).sqrt().min(1.0);
            #[expect(clippy::cast_possible_truncation, reason = "at most 250 · 2^20")]
            {
                (radius.to_f64() * s * f64::from(1 << 20)).round() as i64
            }
        };
        u32::try_from(q20).unwrap_or(u32::MAX)
    }

    /// A length of the composite in 1/1024 px of the view, halves up.
    pub fn length_q10(&self, length: Ratio) -> u64 {
        let [x, y] = self.factor;
        let q10 = if x == y {
            length.times(x).times(Ratio::int(1 << 10)).round()
        } else {
            let s = (x.to_f64() * y.to_f64()).sqrt();
            #[expect(clippy::cast_possible_truncation, reason = "a float saturates when it is cast")]
            {
                (length.to_f64() * s * f64::from(1 << 10)).round() as i64
            }
        };
        u64::try_from(q10).unwrap_or(0)
    }

    /// The visible part of the picture along both axes; `None` if nothing of it is visible.
    pub fn spans(&self) -> Option<[Span; 2]> {
        let (c, r, all) = (self.composite, self.region, self.within);
        Some([
            Span::new((c.x, c.w), (r.x, r.w), (all.x, all.w), self.scaled.w, self.offset[0], self.view.w)?,
            Span::new((c.y, c.h), (r.y, r.h), (all.y, all.h), self.scaled.h, self.offset[1], self.view.h)?,
        ])
    }
}

/// Along one axis: which samples of the source show in which pixels of the view.
///
/// View pixel `first + i` is centred on source coordinate `origin + (i + ½)·step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First view pixel that shows the picture.
    pub first: u32,
    /// View pixels that show it, at least 1.
    pub len: u32,
    /// Source coordinate of the first view pixel's near edge; outside the source where that edge is soft.
    pub origin: Ratio,
    /// Source samples per view pixel: by the rounded size, so that the picture fills its rectangle exactly.
    pub step: Ratio,
    /// First source sample of the composite …
    pub src_first: u32,
    /// … and how many there are.
    pub src_len: u32,
    /// Whether the picture ends inside a view pixel, so that its edge falls off: at the first and at the last pixel.
    pub soft: [bool; 2],
}

impl Span {
    fn new(
        composite: (i64, u32),
        region: (i64, u32),
        within: (i64, u32),
        scaled: u32,
        offset: i64,
        view: u32,
    ) -> Option<Self> {
        let step = Ratio::new(i128::from(region.1), i128::from(scaled));
        let src_first = composite.0.max(within.0);
        let src_end = (composite.0 + i64::from(composite.1)).min(within.0 + i64::from(within.1));
        if src_first >= src_end {
            return None;
        }
        // A source coordinate in view pixels: what the region's own edges do, its neighbours do too.
        let place = |edge: i64| Ratio::int(edge - region.0).over(step).plus(Ratio::int(offset));
        let (near, far) = (place(src_first), place(src_end));
        let view = i64::from(view);
        let (first, soft_first) =
            if near <= Ratio::ZERO { (0, false) } else { (near.floor(), near != Ratio::int(near.floor())) };
        let (end, soft_last) =
            if far >= Ratio::int(view) { (view, false) } else { (far.ceil(), far != Ratio::int(far.ceil())) };
        if first >= end {
            return None;
        }
        Some(Self {
            first: u32::try_from(first).ok()?,
            len: u32::try_from(end - first).ok()?,
            origin: Ratio::int(first - offset).times(step).plus(Ratio::int(region.0)),
            step,
            src_first: u32::try_from(src_first).ok()?,
            src_len: u32::try_from(src_end - src_first).ok()?,
            soft: [soft_first, soft_last],
        })
    }

    /// Whether every view pixel is one source sample, untouched.
    pub fn is_copy(&self) -> bool {
        self.step == Ratio::ONE
    }

    /// Whether it shows in all `view` pixels.
    pub fn covers(&self, view: u32) -> bool {
        self.first == 0 && self.len == view && self.soft == [false; 2]
    }
}
