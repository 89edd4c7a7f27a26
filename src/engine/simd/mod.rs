//! The CPU product path.
//!
//! Kernels are written once, over 512-bit vectors ([`lanes`]), and compiled for each [`Level`]; which one runs is decided
//! at run time, by values that prove the CPU has it. `load`, both resizes and `pack` are one walk over the source, a
//! strip of output rows at a time, and so are both halves of the unsharp mask; the other passes work row by row.
//! Invariants: synchronous, on the calling thread; no whole-picture intermediate but the passes' 8-bit results. The strips
//! of the resizes and the ring of the unsharp mask belong to the thread and are used again; a pass that needs no more than
//! a few rows, or the ring of a disc, takes them anew each time.
#![allow(unsafe_code, reason = "vector instructions, each behind a value that proves the CPU has them")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod chroma;
mod cover;
mod fixed;
mod float;
mod grow;
mod lanes;
mod level;
mod mask;
mod noise;
mod point;
mod resize;
mod rotate;
mod rows;
mod strip;
mod turn;
mod unsharp;
mod windows;

use std::time::Instant;

pub use level::Level;
#[cfg(target_arch = "x86_64")]
pub use level::{Avx2, Avx512};

use cover::Covered;
use grow::Growth;
use mask::Masked;
use noise::Grains;
use point::{Median, PointOperations};
use resize::Resize;
use rotate::Rotated;
use rows::{Grey, Place, RgbToYcbcr, Sharpen, YcbcrToRgb};
use strip::{Rows, Scratch};
use turn::Turned;
use unsharp::UnsharpMask;

use crate::engine::{Cancel, Completion, Done, Engine, Job};
use crate::error::Result;
use crate::pixel::{Image, PixelFormat, RowSource, Size};
use crate::plan::{Pass, Plan};

/// The SIMD engine.
#[derive(Clone, Copy, Debug)]
pub struct Simd {
    level: Level,
}

impl Simd {
    /// With the best instructions of this CPU.
    pub fn new() -> Self {
        Self::with_level(Level::detect())
    }

    /// With the instructions of `level`.
    pub fn with_level(level: Level) -> Self {
        Self { level }
    }

    /// The instructions it uses.
    pub fn level(&self) -> Level {
        self.level
    }
}

impl Default for Simd {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for Simd {
    fn name(&self) -> &'static str {
        "simd"
    }

    fn submit(&self, job: Job, done: Done) {
        let start = Instant::now();
        let images = job.plans.iter().map(|plan| render(self.level, &*job.source, plan, &job.cancel)).collect();
        done(Completion { images, pass_time: start.elapsed() });
    }
}

/// The planes of a source or of an [`Image`], borrowed.
#[derive(Clone, Debug)]
struct View<'a> {
    size: Size,
    format: PixelFormat,
    planes: Vec<&'a [u8]>,
}

impl<'a> View<'a> {
    fn of(source: &'a dyn RowSource) -> Self {
        let (size, format) = (source.size(), source.format());
        let planes = (0..format.planes()).map(|i| source.rows(i, 0, format.plane_size(i, size).h)).collect();
        Self { size, format, planes }
    }

    fn rows(&self, i: usize) -> Rows<'a> {
        let size = self.format.plane_size(i, self.size);
        Rows::new(self.planes[i], size.w as usize, size.h as usize)
    }

    /// Row `y` of plane `i`.
    #[inline(always)]
    fn row(&self, i: usize, y: usize) -> &'a [u8] {
        self.rows(i).row(y)
    }

    fn is_opaque(&self) -> bool {
        self.format.alpha_plane().is_none_or(|i| self.planes[i].iter().all(|&a| a == 255))
    }

    fn to_image(&self) -> Image {
        let mut image = Image::new(self.size, self.format);
        for (plane, data) in image.planes_mut().iter_mut().zip(&self.planes) {
            plane.data_mut().copy_from_slice(data);
        }
        image
    }
}

fn render(level: Level, source: &dyn RowSource, plan: &Plan, cancel: &Cancel) -> Result<Image> {
    let mut image: Option<Image> = None;
    let mut median = None;
    let mut passes = plan.passes.as_slice();
    while let [pass, rest @ ..] = passes {
        cancel.check(pass.name())?;
        let view = View::of(image.as_ref().map_or(source, |image| image));
        let next;
        (next, passes) = match pass {
            Pass::Load { space, add_alpha } => {
                let resize = Resize { loads: *space, add_alpha: *add_alpha, h: None, v: None, packs: *space };
                let (resize, rest) = up_to_pack(resize, rest);
                (resize.run(level, &view, cancel)?, rest)
            }
            Pass::UnsharpH(unsharp) => {
                let [Pass::UnsharpV(_), rest @ ..] = rest else { unreachable!("unsharp_h alone") };
                (Scratch::with(|scratch| level.run(UnsharpMask { src: &view, unsharp, cancel, scratch }))?, rest)
            }
            Pass::YcbcrToRgb => (level.run(YcbcrToRgb { src: &view }), rest),
            Pass::RgbToYcbcr { form } => (level.run(RgbToYcbcr { src: &view, form: *form }), rest),
            Pass::Grey => (level.run(Grey { src: &view }), rest),
            Pass::Turn(turn) => (level.run(Turned { src: &view, turn }), rest),
            Pass::Rotate(rotation) => (level.run(Rotated { src: &view, rotation, cancel })?, rest),
            Pass::Cover(cover) => (level.run(Covered { src: &view, cover }), rest),
            Pass::Mask(mask) => (level.run(Masked { src: &view, mask }), rest),
            Pass::Matte => (mask::matte(&view), rest),
            Pass::Median => {
                median = Some(level.run(Median { src: &view }));
                passes = rest;
                continue;
            }
            Pass::Point(point) => (level.run(PointOperations { src: &view, point, median }), rest),
            Pass::GrowH(grow) => {
                let [Pass::GrowV(_), rest @ ..] = rest else { unreachable!("grow_h alone") };
                (level.run(Growth { src: &view, grow, cancel })?, rest)
            }
            Pass::Noise(noise) => (level.run(Grains { src: &view, noise }), rest),
            Pass::Sharpen => (level.run(Sharpen { src: &view }), rest),
            Pass::Place { canvas, x, y, fill } => {
                (level.run(Place { src: &view, canvas: *canvas, x: *x, y: *y, fill: *fill }), rest)
            }
            // The planner alone writes plans, and a test checks every order it can write.
            Pass::ResizeH(_) | Pass::ResizeV(_) | Pass::Pack { .. } | Pass::GrowV(_) | Pass::UnsharpV(_) => {
                unreachable!("{} out of order", pass.name())
            }
        };
        image = Some(next);
    }
    Ok(image.unwrap_or_else(|| View::of(source).to_image()))
}

/// The passes after `load` up to `pack`, and what follows it.
fn up_to_pack<'a>(mut resize: Resize<'a>, passes: &'a [Pass]) -> (Resize<'a>, &'a [Pass]) {
    let mut passes = passes.iter();
    for pass in passes.by_ref() {
        match pass {
            Pass::ResizeH(h) if resize.h.is_none() => resize.h = Some(h),
            Pass::ResizeV(v) if resize.v.is_none() => resize.v = Some(v),
            Pass::Pack { space } => {
                resize.packs = *space;
                break;
            }
            // The planner alone writes plans, and a test checks every order it can write.
            pass => unreachable!("{} out of order", pass.name()),
        }
    }
    (resize, passes.as_slice())
}
