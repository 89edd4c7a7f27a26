//! Clipping and cropping to paths (protocol.md 2.4): the commands, and where their paths come to lie in a picture.
//!
//! A path of the URL is in pixels of what it clips: of the composite before it is mirrored, or in `layer=0` of the layer
//! before it is turned. A path of the source follows the picture, whatever is done to it.

use std::sync::Arc;

use super::data::{self, UNITS_PER_PX};
use super::layer::boxed;
use super::layout::Layout;
use super::read::{Answer, switched};
use super::{Commands, Refused};
use crate::error::{Error, Result};
use crate::kernel;
use crate::limits;
use crate::pixel::path::{Path, Point, pixels_around};
use crate::pixel::{Rect, Size};
use crate::plan::{Mask, Side, SourcePath};

/// What is cut away outside paths, and inside.
#[derive(Clone, Debug, Default)]
pub struct Clips {
    /// `cropPathE`: names of paths of the source.
    crop: Vec<String>,
    /// In `layer=0`.
    layer: Clip,
    /// Of the composite.
    composite: Clip,
    /// `pathEmbed`: closed paths of the source go with the reply.
    pub embeds: bool,
    /// The paths of the source, once they are read.
    source: Arc<[SourcePath]>,
}

/// Paths of one scope.
#[derive(Clone, Debug, Default)]
struct Clip {
    /// `clipPath`.
    path: Option<Path>,
    /// `clipXPath`: counts beside `clipPath` alone.
    path_x: Option<Path>,
    /// `clipPathE`: names of paths of the source.
    names: Vec<String>,
    /// `clipXPathE`: counts beside `clipPath` or `clipPathE`.
    names_x: Vec<String>,
}

impl Clips {
    /// Whether it depends on the paths of the source.
    pub(super) fn wants_source(&self) -> bool {
        let named = |clip: &Clip| !clip.names.is_empty() || !clip.names_x.is_empty();
        self.embeds || !self.crop.is_empty() || named(&self.layer) || named(&self.composite)
    }

    pub(super) fn set_source(&mut self, paths: &Arc<[SourcePath]>) {
        self.source = Arc::clone(paths);
    }

    /// Paths of the source by these names, in their order; names that there is no path of do not count.
    fn named<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = &'a Path> {
        names.iter().filter_map(|name| self.source.iter().find(|path| path.name == *name)).map(|found| &found.path)
    }

    /// # Errors
    /// `Command`: paths of more than [`limits::PATH_POINTS_MAX`] points cut one picture, or go with one, which would take
    /// long.
    pub(super) fn check(&self) -> Result<()> {
        let refused = |key, points: usize| {
            let want = format!("paths of at most {} points in all", limits::PATH_POINTS_MAX);
            Err(Error::command(key, &format!("{points} points"), want))
        };
        for clip in [&self.layer, &self.composite] {
            let own = [&clip.path, &clip.path_x].into_iter().flatten();
            let named = [&clip.names, &clip.names_x].into_iter().flat_map(|names| self.named(names));
            let points: usize = own.chain(named).map(Path::points).sum();
            if points > limits::PATH_POINTS_MAX {
                return refused("clipPathE", points);
            }
        }
        let embedded = self.source.iter().filter(|path| self.embeds && path.is_closed);
        let points = embedded.map(|path| path.path.points()).sum();
        if points > limits::PATH_POINTS_MAX { refused("pathEmbed", points) } else { Ok(()) }
    }

    /// `crop` as far as it lies in the boxes of the paths named by `cropPathE`; pixels of the source.
    ///
    /// # Errors
    /// `Command`: nothing is left.
    pub(super) fn cropped(&self, crop: Rect) -> Result<Rect> {
        let boxes = self.named(&self.crop).filter_map(Path::bounds);
        let mut left = Some(crop);
        for bounds in boxes {
            let bounds = bounds.map(|point| point.map(|v| v / UNITS_PER_PX as f64));
            left = left.and_then(|left| common(left, pixels_around(bounds)));
        }
        let want = "paths whose boxes have a part of the picture in common";
        left.ok_or_else(|| Error::command("cropPathE", &self.crop.join(","), want))
    }

    /// The mask of the layer on a part of `upright` pixels, its corner at `at`, of the layout it is upright in.
    pub(super) fn of_layer(&self, layout: &Layout, flip: [bool; 2], at: [u32; 2]) -> Option<Mask> {
        let after =
            Affine::of_layer(layout).then(Affine::of_view(layout)).then(Affine::moved(at.map(|v| -f64::from(v))));
        let own = Affine::flipped(layout.layer.size, flip).then(after);
        self.mask(&self.layer, own, Affine::of_source(layout).then(after))
    }

    /// The mask of the composite on a part of the view, its corner at `at`.
    pub(super) fn of_composite(&self, layout: &Layout, flip: [bool; 2], at: [u32; 2]) -> Option<Mask> {
        let after = Affine::of_view(layout).then(Affine::moved(at.map(|v| -f64::from(v))));
        let own = Affine::flipped(layout.layer.composite, flip).then(after);
        self.mask(&self.composite, own, Affine::of_source(layout).then(Affine::of_layer(layout)).then(after))
    }

    /// Closed paths of the source in pixels of the view's part that begins at `at`, if they go with it.
    pub(super) fn embedded(&self, layout: &Layout, at: [i64; 2]) -> Vec<SourcePath> {
        let part = Affine::moved(at.map(|v| -(v as f64)));
        let to = Affine::of_source(layout).then(Affine::of_layer(layout)).then(Affine::of_view(layout)).then(part);
        let finer = SourcePath::UNITS_PER_PX as f64;
        let closed = self.source.iter().filter(|path| self.embeds && path.is_closed);
        closed
            .map(|path| SourcePath { path: path.path.mapped(|point| to.point(point, finer)), ..path.clone() })
            .collect()
    }

    /// `own` and `source` take paths of the URL and of the source to pixels of the picture.
    fn mask(&self, clip: &Clip, own: Affine, source: Affine) -> Option<Mask> {
        let mut paths = Vec::new();
        let named_x = if clip.path.is_some() || !clip.names.is_empty() { &clip.names_x[..] } else { &[] };
        let path_x = clip.path_x.iter().filter(|_| clip.path.is_some());
        paths.extend(
            clip.path.iter().map(|path| (path.mapped(|point| own.point(point, kernel::UNITS_PER_PX)), Side::Inside)),
        );
        paths.extend(path_x.map(|path| (path.mapped(|point| own.point(point, kernel::UNITS_PER_PX)), Side::Outside)));
        paths.extend(
            self.named(&clip.names)
                .map(|path| (path.mapped(|point| source.point(point, kernel::UNITS_PER_PX)), Side::Inside)),
        );
        paths.extend(
            self.named(named_x)
                .map(|path| (path.mapped(|point| source.point(point, kernel::UNITS_PER_PX)), Side::Outside)),
        );
        (!paths.is_empty()).then_some(Mask { paths })
    }
}

/// What two rectangles have in common.
fn common(a: Rect, b: Rect) -> Option<Rect> {
    let along = |a: (i64, u32), b: (i64, u32)| {
        let (from, to) = (a.0.max(b.0), (a.0 + i64::from(a.1)).min(b.0.saturating_add(i64::from(b.1))));
        u32::try_from(to - from).ok().filter(|&len| len > 0).map(|len| (from, len))
    };
    let ((x, w), (y, h)) = (along((a.x, a.w), (b.x, b.w))?, along((a.y, a.h), (b.y, b.h))?);
    Some(Rect { x, y, w, h })
}

/// `x' = x₀ x + x₁ y + x₂`, and y' likewise.
#[derive(Clone, Copy, Debug)]
struct Affine {
    x: [f64; 3],
    y: [f64; 3],
}

impl Affine {
    fn moved([x, y]: [f64; 2]) -> Self {
        Self { x: [1.0, 0.0, x], y: [0.0, 1.0, y] }
    }

    fn scaled([x, y]: [f64; 2]) -> Self {
        Self { x: [x, 0.0, 0.0], y: [0.0, y, 0.0] }
    }

    /// Mirrored within a picture of `size`.
    fn flipped(size: Size, [x, y]: [bool; 2]) -> Self {
        let along = |flip: bool, len: u32| if flip { (-1.0, f64::from(len)) } else { (1.0, 0.0) };
        let ((x, w), (y, h)) = (along(x, size.w), along(y, size.h));
        Self { x: [x, 0.0, w], y: [0.0, y, h] }
    }

    /// Pixels of the source to those of the scaled layer, before it is turned.
    fn of_source(layout: &Layout) -> Self {
        let layer = &layout.layer;
        let crop = layer.crop;
        let factor = [f64::from(layer.size.w) / f64::from(crop.w), f64::from(layer.size.h) / f64::from(crop.h)];
        Self::moved([-(crop.x as f64), -(crop.y as f64)]).then(Self::scaled(factor))
    }

    /// Pixels of the scaled layer to those of the composite.
    fn of_layer(layout: &Layout) -> Self {
        let layer = &layout.layer;
        let turned = layer.turn.turned(layer.size);
        let axes = Self { x: [0.0, 1.0, 0.0], y: [1.0, 0.0, 0.0] };
        let transposed = if layer.turn.transposed { axes } else { Self::moved([0.0; 2]) };
        let half = |size: Size| [f64::from(size.w) / 2.0, f64::from(size.h) / 2.0];
        let (middle, boxed) = (half(turned), half(boxed(turned, layer.degrees)));
        let (sin, cos) = layer.degrees.to_f64().to_radians().sin_cos();
        let [x, y] = layer.start;
        transposed
            .then(Self::flipped(turned, layer.turn.mirrored))
            .then(Self::moved(middle.map(|v| -v)))
            .then(Self { x: [cos, -sin, 0.0], y: [sin, cos, 0.0] })
            .then(Self::moved([boxed[0] + x as f64, boxed[1] + y as f64]))
    }

    /// Pixels of the composite to those of the view.
    fn of_view(layout: &Layout) -> Self {
        let Layout { region, scaled, offset, .. } = *layout;
        let factor = [f64::from(scaled.w) / f64::from(region.w), f64::from(scaled.h) / f64::from(region.h)];
        Self::moved([-(region.x as f64), -(region.y as f64)])
            .then(Self::scaled(factor))
            .then(Self::moved(offset.map(|v| v as f64)))
    }

    /// This, and then `next`.
    fn then(self, next: Self) -> Self {
        let along = |next: [f64; 3]| {
            let [a, b, c] = next;
            let constant = a * self.x[2] + b * self.y[2] + c;
            [a * self.x[0] + b * self.y[0], a * self.x[1] + b * self.y[1], constant]
        };
        Self { x: along(next.x), y: along(next.y) }
    }

    /// Of a path's units to others.
    #[expect(clippy::cast_possible_truncation, reason = "a float saturates when it is cast")]
    fn point(&self, point: Point, units_per_px: f64) -> Point {
        let [x, y] = point.map(|v| v as f64 / UNITS_PER_PX as f64);
        [self.x, self.y].map(|[a, b, c]| ((a * x + b * y + c) * units_per_px).round() as i64)
    }
}

fn clip(commands: &mut Commands) -> &mut Clip {
    if commands.is_in_layer { &mut commands.clips.layer } else { &mut commands.clips.composite }
}

pub(super) fn clip_path(commands: &mut Commands, value: &str) -> Answer {
    clip(commands).path = Some(data::read(value)?);
    Ok(())
}

pub(super) fn clip_x_path(commands: &mut Commands, value: &str) -> Answer {
    clip(commands).path_x = Some(data::read(value)?);
    Ok(())
}

pub(super) fn clip_path_e(commands: &mut Commands, value: &str) -> Answer {
    clip(commands).names = names(value)?;
    Ok(())
}

pub(super) fn clip_x_path_e(commands: &mut Commands, value: &str) -> Answer {
    clip(commands).names_x = names(value)?;
    Ok(())
}

pub(super) fn path_embed(commands: &mut Commands, value: &str) -> Answer {
    commands.clips.embeds = switched(value)?;
    Ok(())
}

pub(super) fn crop_path_e(commands: &mut Commands, value: &str) -> Answer {
    commands.clips.crop = names(value)?;
    Ok(())
}

/// Names in printable ASCII.
fn names(value: &str) -> Result<Vec<String>, Refused> {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| (b' '..=b'~').contains(&b));
    let mut names: Vec<String> = value.split(',').map(str::to_owned).collect();
    if names.len() > limits::PATH_NAMES_MAX || !names.iter().all(|name| is_name(name)) {
        return Err(Refused::Bad);
    }
    // Twice the same leaves what it leaves once.
    names.sort_unstable();
    names.dedup();
    Ok(names)
}
