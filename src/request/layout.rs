//! Sizes and places, in exact arithmetic: what of the source is shown, how large, and where in the view
//! (protocol.md 2.2, 2.3, 3.1 steps 3 and 11 to 16, 4.3, 7). Rounding happens in `pixel::geometry` alone.

use super::layer::{Layer, boxed, rect};
use super::{Commands, FitMode, Tile};
use crate::catalog::{Company, ThumbType};
use crate::error::{Error, Result};
use crate::pixel::geometry::{self, Ratio, Rect, Size};
use crate::plan::{Rotation, Turn};

/// Where a request's picture goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(super) layer: Layer,
    /// What of the composite `rgn` chooses, in its pixels; all of it without `rgn`. May reach outside.
    pub region: Rect,
    /// View pixels per composite pixel before any rounding, horizontally and vertically.
    pub factor: [Ratio; 2],
    /// Size of the scaled region.
    pub scaled: Size,
    /// Size of the reply; of the view that `rect` cuts it from, until then.
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
    let layer = Layer::new(&commands.layer, within, commands.thumb.as_ref(), &commands.clips)?;
    let region = commands.rgn.map_or(Ok(Rect::of(layer.composite)), |area| rect(area, layer.composite, "rgnN"))?;

    let thumb = commands.thumb.as_ref();
    let default = |side: fn(Size) -> u32| thumb.map(|thumb| side(thumb.size));
    let sides = [commands.wid.or(default(|size| size.w)), commands.hei.or(default(|size| size.h))];
    let sides = sides.map(|side| side.map(|px| geometry::scaled(px, screen.ratio)));
    let (factor, boxed) = match (commands.scl, thumb, sides) {
        (Some(scl), ..) => ([screen.ratio.over(scl); 2], true),
        // A texture's scale is that of its layer, if that has one.
        (None, Some(thumb), _) if thumb.cut == ThumbType::Texture => {
            ([screen.ratio.times(if commands.layer.is_scaled() { Ratio::ONE } else { thumb.scale }); 2], true)
        }
        (None, Some(thumb), [Some(w), Some(h)]) => ([thumb.factor(region.size(), Size::new(w, h)); 2], true),
        (None, ..) => fitted(commands, company, region.size(), sides, screen),
    };
    let scaled = Size::new(geometry::scaled(region.w, factor[0]), geometry::scaled(region.h, factor[1]));
    if scaled.w.max(scaled.h) > SCALED_SIDE_MAX {
        return Err(Error::Request { got: format!("a picture scaled to {scaled}"), want: "a smaller scale".into() });
    }
    let view = if boxed { Size::new(sides[0].unwrap_or(scaled.w), sides[1].unwrap_or(scaled.h)) } else { scaled };
    let stretched = commands.scl.is_none() && commands.fit.is_some_and(|fit| fit.mode == FitMode::Stretch);
    let align = if stretched {
        [Ratio::ZERO; 2]
    } else {
        commands.align.or(thumb.map(|thumb| thumb.align)).unwrap_or_default()
    };
    Ok(Layout { layer, region, factor, scaled, view, offset: [0; 2], align }.placed())
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
        let [x, y] = self.factor.map(|factor| factor.times(self.layer.factor));
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

    /// How many pixels of the source are `length` pixels of the view, halves up; as much of the geometric mean where the
    /// picture is stretched.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates when it is cast")]
    pub(super) fn source_px(&self, length: u32) -> u64 {
        (f64::from(length) / self.scale() + 0.5).floor() as u64
    }

    /// Pixels of the view a pixel of the source, before any rounding.
    pub(super) fn scale(&self) -> f64 {
        let [x, y] = self.factor.map(|factor| factor.times(self.layer.factor).to_f64());
        (x * y).sqrt()
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

    /// The tile of a view that was laid out for the whole of it.
    pub fn tile(self, tile: &Tile) -> Self {
        let whole = self.enlarged(tile);
        let [x, y] = whole.offset;
        Self { view: tile.size, offset: [x - tile.x, y - tile.y], ..whole }
    }

    /// The whole view that a tile is cut from.
    pub fn enlarged(self, tile: &Tile) -> Self {
        let f = tile.scale;
        let larger = |size: Size| Size::new(geometry::scaled(size.w, f), geometry::scaled(size.h, f));
        let factor = self.factor.map(|factor| factor.times(f));
        Self { factor, scaled: larger(self.scaled), view: larger(self.view), ..self }.placed()
    }

    /// What of the view layer 0 covers before its margins are added: first column and row, size.
    pub(super) fn layer_in_view(&self) -> Option<([u32; 2], Size)> {
        let turned = boxed(self.layer.turn.turned(self.layer.size), self.layer.degrees);
        let [x, y] = self.layer.start;
        self.in_view([(x, x + i64::from(turned.w)), (y, y + i64::from(turned.h))])
    }

    /// What of the view the composite covers.
    pub(super) fn composite_in_view(&self) -> Option<([u32; 2], Size)> {
        let Size { w, h } = self.layer.composite;
        self.in_view([(0, i64::from(w)), (0, i64::from(h))])
    }

    /// Where the layer is turned by more than quarters: itself alone at the size that the view shows it in, before that.
    pub(super) fn upright(&self) -> Option<Self> {
        if self.layer.degrees == Ratio::ZERO {
            return None;
        }
        let composite = self.layer.turn.turned(self.layer.size);
        let view =
            Size::new(geometry::scaled(composite.w, self.factor[0]), geometry::scaled(composite.h, self.factor[1]));
        let layer = Layer { degrees: Ratio::ZERO, start: [0; 2], composite, ..self.layer };
        Some(Self { layer, region: Rect::of(composite), scaled: view, view, offset: [0; 2], ..*self })
    }

    /// Where the pixels of a part of the view, its corner at `at`, lie on [`Self::upright`].
    pub(super) fn rotation(&self, upright: &Self, at: [u32; 2], canvas: Size) -> Rotation {
        let (sin, cos) = self.layer.degrees.to_f64().to_radians().sin_cos();
        let Size { w, h } = boxed(upright.layer.composite, self.layer.degrees);
        let sides = |size: Size| [f64::from(size.w), f64::from(size.h)];
        let (boxed, layer, picture) =
            ([f64::from(w), f64::from(h)], sides(upright.layer.composite), sides(upright.view));
        let region = [(self.region.x, self.region.w), (self.region.y, self.region.h)];
        let scaled = [self.scaled.w, self.scaled.h];
        // Composite pixels per view pixel, and the first view pixel's centre from the middle of the box.
        let per_view: [f64; 2] = std::array::from_fn(|i| f64::from(region[i].1) / f64::from(scaled[i]));
        let [x, y] = std::array::from_fn(|i| {
            let pixel = f64::from(at[i]) + 0.5 - self.offset[i] as f64;
            pixel * per_view[i] + region[i].0 as f64 - self.layer.start[i] as f64 - boxed[i] / 2.0
        });
        let back = |[x, y]: [f64; 2]| [x * cos + y * sin, y * cos - x * sin];
        let onto = |[x, y]: [f64; 2]| [x * picture[0] / layer[0], y * picture[1] / layer[1]];
        #[expect(clippy::cast_possible_truncation, reason = "a float saturates when it is cast")]
        let exact = |v: [f64; 2]| v.map(|v| (v * f64::from(1 << 16) * f64::from(1 << 16)).round() as i64);
        let [u, v] = onto(back([x, y]));
        Rotation {
            canvas,
            start: exact([u + picture[0] / 2.0 - 0.5, v + picture[1] / 2.0 - 0.5]),
            column: exact(onto(back([per_view[0], 0.0]))),
            row: exact(onto(back([0.0, per_view[1]]))),
        }
    }

    /// The pixels of the view that a part of the composite touches.
    fn in_view(&self, part: [(i64, i64); 2]) -> Option<([u32; 2], Size)> {
        let along = |axis: usize, region: (i64, u32), composite: u32, scaled: u32, view: u32| {
            let per_view = Ratio::new(i128::from(region.1), i128::from(scaled));
            let offset = Ratio::int(self.offset[axis]);
            let place = |at: i64| Ratio::int(at.clamp(0, i64::from(composite)) - region.0).over(per_view).plus(offset);
            let (from, to) = part[axis];
            let from = u32::try_from(place(from).floor().clamp(0, i64::from(view))).ok()?;
            let to = u32::try_from(place(to).ceil().clamp(0, i64::from(view))).ok()?;
            (from < to).then_some((from, to - from))
        };
        let Self { region, layer, scaled, view, .. } = self;
        let (x, w) = along(0, (region.x, region.w), layer.composite.w, scaled.w, view.w)?;
        let (y, h) = along(1, (region.y, region.h), layer.composite.h, scaled.h, view.h)?;
        Some(([x, y], Size::new(w, h)))
    }

    /// Where a point of the source comes to lie in the view, along one axis (0 across, 1 down), and by how much lengths
    /// grow; `None` where the picture is turned or mirrored.
    pub fn place(&self, axis: usize, at: i64) -> Option<(i64, Ratio)> {
        let Layer { crop, factor, turn, degrees, start, .. } = self.layer;
        if turn != Turn::default() || degrees != Ratio::ZERO {
            return None;
        }
        let of = |rect: Rect| if axis == 0 { rect.x } else { rect.y };
        let composite = Ratio::int(at - of(crop)).times(factor).plus(Ratio::int(start[axis] - of(self.region)));
        Some((composite.times(self.factor[axis]).round() + self.offset[axis], factor.times(self.factor[axis])))
    }

    /// The visible part of the picture; `None` if nothing of it is visible.
    pub(super) fn shown(&self) -> Option<Shown> {
        let turn = self.layer.turn;
        let along = |axis: usize| {
            let source = if turn.transposed { 1 - axis } else { axis };
            let of = |rect: Rect| if source == 0 { (rect.x, rect.w) } else { (rect.y, rect.h) };
            let side = |size: Size, axis: usize| if axis == 0 { size.w } else { size.h };
            Along {
                within: of(self.layer.within),
                crop: of(self.layer.crop),
                len: side(self.layer.size, source),
                mirrored: turn.mirrored[axis],
                start: self.layer.start[axis],
                composite: side(self.layer.composite, axis),
                region: if axis == 0 { (self.region.x, self.region.w) } else { (self.region.y, self.region.h) },
                scaled: side(self.scaled, axis),
                offset: self.offset[axis],
                view: side(self.view, axis),
            }
            .span()
        };
        let (across, down) = (along(0)?, along(1)?);
        let at = [across.first, down.first];
        let spans = if turn.transposed { [down.span, across.span] } else { [across.span, down.span] };
        Some(Shown { spans, turn, at })
    }
}

/// The visible part of the picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    /// As the source stands, horizontally and vertically.
    pub(super) spans: [Span; 2],
    /// How it stands in the view.
    pub(super) turn: Turn,
    /// First column and row of the view that show it, once it is turned.
    pub(super) at: [u32; 2],
}

impl Shown {
    /// Size of what is visible, as the source stands.
    pub(super) fn size(&self) -> Size {
        Size::new(self.spans[0].len, self.spans[1].len)
    }
}

/// Along one axis of the source: which of its samples show in as many pixels of the view.
///
/// Pixel `i` of them is centred on source coordinate `origin + (i + ½)·step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// View pixels that show it, at least 1.
    pub(super) len: u32,
    /// Source coordinate of the first pixel's near edge; outside the source where that edge is soft.
    pub(super) origin: Ratio,
    /// Source samples per view pixel: by the rounded sizes, so that the picture fills its rectangle exactly.
    pub(super) step: Ratio,
    /// First source sample of the composite …
    pub(super) src_first: u32,
    /// … and how many there are.
    pub(super) src_len: u32,
    /// Whether the picture ends inside a view pixel, so that its edge falls off: at the first and at the last pixel.
    pub(super) soft: [bool; 2],
}

impl Span {
    /// Whether every view pixel is one source sample, untouched.
    pub(super) fn is_copy(&self) -> bool {
        self.step == Ratio::ONE && self.origin == Ratio::int(self.origin.floor())
    }
}

/// Everything that [`Span`] follows from, along one axis of the view: first and length of what is in pixels of something
/// else, lengths in their own.
struct Along {
    within: (i64, u32),
    crop: (i64, u32),
    /// Of the scaled layer.
    len: u32,
    mirrored: bool,
    /// Of the layer in the composite.
    start: i64,
    composite: u32,
    region: (i64, u32),
    scaled: u32,
    offset: i64,
    view: u32,
}

/// A [`Span`], and the first view pixel that shows it.
struct Placed {
    span: Span,
    first: u32,
}

impl Along {
    fn span(&self) -> Option<Placed> {
        let int = |n: u32| i64::from(n);
        let per_view = Ratio::new(i128::from(self.region.1), i128::from(self.scaled));
        let per_layer = Ratio::new(i128::from(self.crop.1), i128::from(self.len));
        // What of the source is there, counted from the near edge of the crop as it stands in the composite.
        let end = int(self.crop.1);
        let there = [self.within.0 - self.crop.0, self.within.0 - self.crop.0 + int(self.within.1)];
        let [from, to] = if self.mirrored { [end - there[1], end - there[0]] } else { there };
        // The same in pixels of the composite, and cut by its edges.
        let start = Ratio::int(self.start);
        let edge = |sample: i64| Ratio::int(sample.clamp(0, end)).over(per_layer).plus(start);
        let near = edge(from).max(Ratio::ZERO);
        let far = edge(to).min(Ratio::int(int(self.composite)));
        if near >= far {
            return None;
        }
        // Whole samples: one that is cut in two is seen as a whole by the windows that reach it.
        let sample = |at: Ratio| at.minus(start).times(per_layer);
        let (low, high) = (sample(near).floor(), sample(far).ceil());

        // In view pixels: what the region's own edges do, its neighbours do too.
        let place = |at: Ratio| at.minus(Ratio::int(self.region.0)).over(per_view).plus(Ratio::int(self.offset));
        let (near, far, view) = (place(near), place(far), int(self.view));
        let (first, soft_first) =
            if near <= Ratio::ZERO { (0, false) } else { (near.floor(), near != Ratio::int(near.floor())) };
        let (last, soft_last) =
            if far >= Ratio::int(view) { (view, false) } else { (far.ceil(), far != Ratio::int(far.ceil())) };
        if first >= last {
            return None;
        }
        let step = per_view.times(per_layer);
        let len = u32::try_from(last - first).ok()?;
        let composite = Ratio::int(first - self.offset).times(per_view).plus(Ratio::int(self.region.0));
        let origin = sample(composite);
        let (origin, src_first, soft) = if self.mirrored {
            let far = origin.plus(step.times(Ratio::int(int(len))));
            (Ratio::int(end).minus(far), end - high, [soft_last, soft_first])
        } else {
            (origin, low, [soft_first, soft_last])
        };
        let span = Span {
            len,
            origin: origin.plus(Ratio::int(self.crop.0)),
            step,
            src_first: u32::try_from(src_first + self.crop.0).ok()?,
            src_len: u32::try_from(high - low).ok()?,
            soft,
        };
        Some(Placed { span, first: u32::try_from(first).ok()? })
    }
}
