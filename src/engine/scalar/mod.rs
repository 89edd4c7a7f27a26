//! The oracle: every pass as plainly as it can be written, one thread, no unsafe. It never gets faster.
//!
//! Invariants: `load`, `resize_h`, `resize_v` and `pack` work in f32 with f64-computed taps, sum in tap order and round
//! once, in `pack`; all other passes are integer arithmetic stated to the bit, so that every engine can match them
//! exactly.

mod convert;
mod cover;
mod grow;
mod mask;
mod noise;
mod place;
mod point;
mod resize;
mod rotate;
mod sharpen;
mod turn;

use std::time::Instant;

pub use convert::{grey, rgb_to_ycbcr, ycbcr_to_rgb};
pub use cover::cover;
pub use grow::{Runs, grow_h, grow_v};
pub use mask::{mask, matte};
pub use noise::noise;
pub use place::place;
pub use point::{median, point};
pub use resize::{Working, load, pack, resize_h, resize_v};
pub use rotate::rotate;
pub use sharpen::{Blurred, sharpen, unsharp_h, unsharp_v};
pub use turn::turn;

use crate::engine::{Completion, Done, Engine, Job};
use crate::error::Result;
use crate::pixel::{Image, RowSource};
use crate::plan::{Pass, Plan};

/// The scalar engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scalar;

impl Engine for Scalar {
    fn name(&self) -> &'static str {
        "scalar"
    }

    fn submit(&self, job: Job, done: Done) {
        let start = Instant::now();
        let images = job.plans.iter().map(|plan| render(&*job.source, plan, &job)).collect();
        done(Completion { images, pass_time: start.elapsed() });
    }
}

/// What stands between two passes.
enum State {
    Packed(Image),
    Working(Working),
    Blurred(Image, Blurred),
    Grown(Image, Runs),
}

fn render(source: &dyn RowSource, plan: &Plan, job: &Job) -> Result<Image> {
    let mut state = State::Packed(whole(source));
    let mut measured = None;
    for pass in &plan.passes {
        job.cancel.check(pass.name())?;
        state = match (state, pass) {
            (State::Packed(image), Pass::YcbcrToRgb) => State::Packed(ycbcr_to_rgb(&image)),
            (State::Packed(image), Pass::RgbToYcbcr { form }) => State::Packed(rgb_to_ycbcr(&image, *form)),
            (State::Packed(image), Pass::Grey) => State::Packed(grey(&image)),
            (State::Packed(image), Pass::Load { space, add_alpha }) => State::Working(load(&image, *space, *add_alpha)),
            (State::Working(planes), Pass::ResizeH(resample)) => State::Working(resize_h(&planes, resample)),
            (State::Working(planes), Pass::ResizeV(resample)) => State::Working(resize_v(&planes, resample)),
            (State::Working(planes), Pass::Pack { space }) => State::Packed(pack(&planes, *space)),
            (State::Packed(image), Pass::Turn(how)) => State::Packed(turn(&image, how)),
            (State::Packed(image), Pass::Rotate(how)) => State::Packed(rotate(&image, how)),
            (State::Packed(image), Pass::Cover(how)) => State::Packed(cover(&image, how)),
            (State::Packed(image), Pass::Mask(what)) => State::Packed(mask(&image, what)),
            (State::Packed(image), Pass::Matte) => State::Packed(matte(&image)),
            (State::Packed(image), Pass::Median) => {
                measured = Some(median(&image));
                State::Packed(image)
            }
            (State::Packed(image), Pass::Point(operations)) => State::Packed(point(&image, operations, measured)),
            (State::Packed(image), Pass::UnsharpH(usm)) => {
                let blurred = unsharp_h(&image, usm);
                State::Blurred(image, blurred)
            }
            (State::Blurred(image, blurred), Pass::UnsharpV(usm)) => State::Packed(unsharp_v(&image, &blurred, usm)),
            (State::Packed(image), Pass::GrowH(grow)) => {
                let runs = grow_h(&image, grow);
                State::Grown(image, runs)
            }
            (State::Grown(image, runs), Pass::GrowV(grow)) => State::Packed(grow_v(&image, &runs, grow)),
            (State::Packed(image), Pass::Noise(grains)) => State::Packed(noise(&image, grains)),
            (State::Packed(image), Pass::Sharpen) => State::Packed(sharpen(&image)),
            (State::Packed(image), Pass::Place { canvas, x, y, fill }) => {
                State::Packed(place(&image, *canvas, *x, *y, *fill))
            }
            // The planner alone writes plans, and a test checks every order it can write.
            (_, pass) => unreachable!("{} out of order", pass.name()),
        };
    }
    match state {
        State::Packed(image) => Ok(image),
        State::Working(_) | State::Blurred(..) | State::Grown(..) => unreachable!("a plan ends packed"),
    }
}

/// All rows of a source as an image.
fn whole(source: &dyn RowSource) -> Image {
    let mut image = Image::new(source.size(), source.format());
    for (i, plane) in image.planes_mut().iter_mut().enumerate() {
        let rows = plane.size().h;
        plane.data_mut().copy_from_slice(source.rows(i, 0, rows));
    }
    image
}
