//! What a pass makes of a picture's size and format, or that no planner asks for it there.

use super::shape::Shape;
use crate::error::{Error, Result};
use crate::kernel::Axis;
use crate::pixel::{Chroma, Model, PixelFormat, Size, WorkingSpace};
use crate::plan::{Fill, Grow, Morph, Resample, Unsharp};

/// Shape after `load`.
pub(super) fn loaded(src: Shape, space: WorkingSpace, add_alpha: bool) -> Result<Shape> {
    let format = PixelFormat { alpha: src.format.alpha || add_alpha, ..src.format };
    let linear_is_defined = matches!(format.model, Model::Grey | Model::Rgb);
    if (space == WorkingSpace::Linear && !linear_is_defined) || (format.alpha && src.half != src.full) {
        return Err(misplanned("load"));
    }
    Ok(Shape { format, ..src })
}

#[derive(Clone, Copy)]
pub(super) enum Direction {
    Horizontal,
    Vertical,
}

/// Shape after one half of the resize.
pub(super) fn resized(src: Shape, resample: &Resample, direction: Direction) -> Result<Shape> {
    let turn = |size: Size, axis: &Axis| {
        let (from, to) = match direction {
            Direction::Horizontal => (size.w, Size::new(axis.dst_len, size.h)),
            Direction::Vertical => (size.h, Size::new(size.w, axis.dst_len)),
        };
        let is_inside = axis.src_len > 0 && axis.src_first.checked_add(axis.src_len).is_some_and(|end| end <= from);
        let is_plan = is_inside && axis.dst_len > 0 && axis.step.is_positive();
        if is_plan { Ok(to) } else { Err(misplanned("an axis outside the picture")) }
    };
    let full = turn(src.full, &resample.axis)?;
    let half = match resample.chroma_axis {
        Some(axis) if src.half_planes() => turn(src.half, &axis)?,
        None if src.half_planes() => return Err(misplanned("half-size chroma without an axis")),
        Some(_) | None => full,
    };
    Ok(Shape { full, half, ..src })
}

/// The bits of a level that its key has the other way round.
pub(super) fn flip(grow: &Grow) -> u32 {
    match grow.morph {
        Morph::Dilate => 0,
        Morph::Erode => 255,
    }
}

/// Whether brightness alone is sharpened; `None` where sharpening is not defined.
pub(super) fn is_mono(format: PixelFormat, usm: &Unsharp) -> Option<bool> {
    match format.model {
        Model::Rgb => Some(usm.mono),
        Model::Grey => Some(false),
        Model::Ycbcr(_) | Model::Yuv | Model::Cmyk => None,
    }
}

/// Format of a placed picture, as `scalar::place` says; `None` where placing is not defined.
pub(super) fn placed(src: Shape, canvas: Size, offset: [i32; 2], fill: Fill) -> Option<PixelFormat> {
    let model = match src.format.model {
        model @ (Model::Grey | Model::Rgb | Model::Ycbcr(Chroma::Full)) => fill.model(model),
        Model::Ycbcr(Chroma::Half) | Model::Yuv | Model::Cmyk => return None,
    };
    let covers = |offset: i32, len: u32, view: u32| offset <= 0 && i64::from(offset) + i64::from(len) >= view.into();
    let covers = covers(offset[0], src.full.w, canvas.w) && covers(offset[1], src.full.h, canvas.h);
    Some(PixelFormat { model, alpha: fill == Fill::Transparent && (src.format.alpha || !covers) })
}

/// A plan that no planner writes: our bug, answered like a panic so that its neighbours live.
pub(super) fn misplanned(what: &str) -> Error {
    Error::Panic { message: format!("gpu: not a plan: {what}") }
}

/// First plane that grows and how many do; `None` where none does, or chroma would with luma.
pub(super) fn grown(src: Shape, grow: &Grow) -> Option<(u32, u32)> {
    let planes = grow.planes(src.format);
    let is_plain = matches!(src.format.model, Model::Grey | Model::Rgb);
    let first = u32::try_from(planes.start).ok()?;
    u32::try_from(planes.len()).ok().filter(|&len| is_plain && len > 0).map(|len| (first, len))
}
