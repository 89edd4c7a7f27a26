//! From a plan to the list of dispatches that carry it out: pure arithmetic, no device.
//!
//! All planes of a picture lie in one buffer, rows padded to whole quads of four samples, so that one dispatch runs a
//! pass over every plane and no invocation writes half a word. Between passes a picture moves from one of a handful of
//! buffers to another ([`Role`]), so that a fixed set of bind groups serves every plan.
//!
//! Invariants: a recording was checked against the limits before anything is uploaded; a plan whose passes are out of
//! order or whose axes leave the picture is an error here, never an out-of-range read there.

mod alpha;

use super::fault::Fault;
use super::outcomes::{Direction, flip, grown, is_mono, loaded, misplanned, placed, resized};
use super::pipelines::{Shader, WORKGROUP};
use super::pool::MEASURED_BYTES;
use super::shape::{Shape, quads};
use super::tables::Table;
use super::uniforms::{
    GreyUniform, GrowHUniform, GrowVUniform, LoadUniform, MedianUniform, NO_PLANE, NoiseUniform, PackUniform,
    PlaceUniform, PointUniform, ResizeHUniform, ResizeVUniform, RgbToYcbcrUniform, RotateUniform, SharpenUniform,
    TurnUniform, Uniform, UnsharpHUniform, UnsharpVUniform, YcbcrToRgbUniform,
};
use crate::error::Result;
use crate::pixel::{Chroma, Model, PixelFormat, Size, WorkingSpace, YcbcrForm};
use crate::plan::{Fill, Grain, Grow, Grown, Noise, Pass, Plan, Point, Resample, Rotation, Turn, Unsharp};

/// The buffers a step can read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// The uploaded sources of the batch: packed quads.
    Source,
    /// Packed quads between passes, one of two.
    Bytes(u8),
    /// 32-bit quads between passes, one of two.
    Wide(u8),
    /// What a pass measured of the picture.
    Measured,
    /// The finished pictures of the batch: packed quads.
    Out,
}

/// One dispatch.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// What runs.
    pub(super) shader: Shader,
    /// Its uniform block, first words open.
    pub(super) uniform: Uniform,
    /// The table it reads.
    pub(super) table: Option<Table>,
    /// First word of the table, once it is on the GPU.
    pub(super) table_first: Option<u32>,
    /// Bound to `src`.
    pub(super) src: Role,
    /// Bound to what is read beside `src`: `blurred`, `measured`.
    pub(super) beside: Option<Role>,
    /// Bound to `dst`.
    pub(super) dst: Role,
    /// Bytes it writes, from the first quad of `dst`.
    pub(super) dst_bytes: u64,
    /// Workgroups to dispatch.
    pub(super) groups: [u32; 3],
}

/// The dispatches of one plan.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    /// In order; none if the plan leaves the source as it is.
    pub(super) steps: Vec<Step>,
    /// The finished picture.
    pub(super) out: Shape,
    /// Bytes of the largest 8-bit picture between passes.
    pub(super) bytes_max: u64,
    /// Bytes of the largest 32-bit picture between passes.
    pub(super) wide_max: u64,
}

/// What an adapter can bind and dispatch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of one storage binding, and of one buffer.
    pub(super) buffer_bytes_max: u64,
    /// Which of the adapter's limits that is.
    pub(super) buffer_limit: &'static str,
    /// Workgroups in one direction.
    pub(super) groups_max: u32,
}

impl Limits {
    /// # Errors
    /// `Error::Device` if a buffer of `bytes` is more than the adapter can bind.
    pub(super) fn check(&self, bytes: u64) -> Result<()> {
        if bytes <= self.buffer_bytes_max {
            return Ok(());
        }
        Err(Fault::Limit { name: self.buffer_limit, need: bytes, max: self.buffer_bytes_max }.during(PLANNING))
    }
}

const PLANNING: &str = "planning the passes";

impl Recording {
    /// The dispatches of `plan` over a source of `size` and `format`.
    ///
    /// # Errors
    /// `Error::Device` if the adapter's limits are too low, `Error::Panic` if no planner could have written the plan.
    pub(super) fn try_new(plan: &Plan, size: Size, format: PixelFormat, limits: &Limits) -> Result<Self> {
        let source = Shape::of(size, format);
        limits.check(4 * source.quads())?;
        let mut recorder = Recorder {
            limits,
            state: State::Packed(source, Role::Source),
            is_measured: false,
            recording: Self { steps: Vec::new(), out: source, bytes_max: 0, wide_max: 0 },
        };
        let mut passes = plan.passes.as_slice();
        while let [pass, rest @ ..] = passes {
            passes = match (pass, rest) {
                // The one fusion: a source that is read straight into the horizontal resize.
                (Pass::Load { space, add_alpha }, [Pass::ResizeH(resample), rest @ ..]) => {
                    recorder.load_resize_h(*space, *add_alpha, resample)?;
                    rest
                }
                _ => {
                    recorder.pass(pass, rest.is_empty())?;
                    rest
                }
            };
        }
        recorder.finish()
    }
}

/// What stands between two passes, and where.
#[derive(Clone, Copy, Debug)]
enum State {
    Packed(Shape, Role),
    Working(Shape, Role),
    Blurred(Shape, Role, Role),
    Grown(Shape, Role, Role),
}

struct Recorder<'a> {
    limits: &'a Limits,
    state: State,
    /// Whether [`Role::Measured`] holds something.
    is_measured: bool,
    recording: Recording,
}

impl Recorder<'_> {
    fn finish(self) -> Result<Recording> {
        match self.state {
            State::Packed(out, _) => Ok(Recording { out, ..self.recording }),
            State::Working(..) | State::Blurred(..) | State::Grown(..) => {
                Err(misplanned("the plan does not end packed"))
            }
        }
    }

    fn pass(&mut self, pass: &Pass, is_last: bool) -> Result<()> {
        match (self.state, pass) {
            (State::Packed(src, at), Pass::YcbcrToRgb) => self.ycbcr_to_rgb(pass, src, at, is_last),
            (State::Packed(src, at), Pass::RgbToYcbcr { form }) => self.rgb_to_ycbcr(pass, src, at, *form, is_last),
            (State::Packed(src, at), Pass::Grey) => self.grey(pass, src, at, is_last),
            (State::Packed(src, at), Pass::Load { space, add_alpha }) => self.load(pass, src, at, *space, *add_alpha),
            (State::Working(src, at), Pass::ResizeH(resample)) => {
                let dst = resized(src, resample, Direction::Horizontal)?;
                self.resize_h(Shader::of(pass), src, at, dst, WorkingSpace::Encoded, false, resample)
            }
            (State::Working(src, at), Pass::ResizeV(resample)) => self.resize_v(pass, src, at, resample),
            (State::Working(src, at), Pass::Pack { space }) => self.pack(pass, src, at, *space, is_last),
            (State::Packed(src, at), Pass::UnsharpH(usm)) => self.unsharp_h(pass, src, at, usm),
            (State::Blurred(src, at, blurred), Pass::UnsharpV(usm)) => {
                self.unsharp_v(pass, src, at, blurred, usm, is_last)
            }
            (State::Packed(src, at), Pass::Turn(turn)) => self.turn(pass, src, at, *turn, is_last),
            (State::Packed(src, at), Pass::Rotate(rotation)) => self.rotate(pass, src, at, rotation, is_last),
            (State::Packed(src, at), Pass::Cover(cover)) => self.cover(pass, src, at, cover, is_last),
            (State::Packed(src, at), Pass::Mask(mask)) => self.mask(pass, src, at, mask, is_last),
            (State::Packed(src, at), Pass::Matte) => self.matte(pass, src, at, is_last),
            (State::Packed(src, at), Pass::Median) if !is_last => self.median(pass, src, at),
            (State::Packed(src, at), Pass::Point(point)) => self.point(pass, src, at, point, is_last),
            (State::Packed(src, at), Pass::GrowH(grow)) => self.grow_h(pass, src, at, grow),
            (State::Grown(src, at, runs), Pass::GrowV(grow)) => self.grow_v(pass, src, [at, runs], grow, is_last),
            (State::Packed(src, at), Pass::Noise(noise)) => self.noise(pass, src, at, noise, is_last),
            (State::Packed(src, at), Pass::Sharpen) => self.sharpen(pass, src, at, is_last),
            (State::Packed(src, at), Pass::Place { canvas, x, y, fill }) => {
                self.place(pass, src, at, *canvas, [*x, *y], *fill, is_last)
            }
            (State::Packed(..) | State::Working(..) | State::Blurred(..) | State::Grown(..), _) => {
                Err(misplanned(pass.name()))
            }
        }
    }

    fn ycbcr_to_rgb(&mut self, pass: &Pass, src: Shape, at: Role, is_last: bool) -> Result<()> {
        let Model::Ycbcr(chroma) = src.format.model else { return Err(misplanned(pass.name())) };
        let dst = Shape::of(src.full, PixelFormat { model: Model::Rgb, alpha: src.format.alpha });
        let uniform = Uniform::new(&YcbcrToRgbUniform {
            src_first: 0,
            dst_first: 0,
            halves: u32::from(chroma == Chroma::Half),
            planes: src.planes(),
            full: src.full(),
            half: src.half(),
        });
        let [x, y, _] = dst.quad_grid();
        self.packed(pass, uniform, None, (at, None), dst, [x, y, 1], is_last)
    }

    fn rgb_to_ycbcr(&mut self, pass: &Pass, src: Shape, at: Role, form: YcbcrForm, is_last: bool) -> Result<()> {
        let is_ycbcr = match (src.format.model, form) {
            (Model::Rgb, _) => false,
            (Model::Ycbcr(Chroma::Full), YcbcrForm::Half | YcbcrForm::Video) => true,
            (_, _) => return Err(misplanned(pass.name())),
        };
        let dst = Shape::of(src.full, PixelFormat { model: form.model(), alpha: src.format.alpha });
        let uniform = Uniform::new(&RgbToYcbcrUniform {
            src_first: 0,
            dst_first: 0,
            form: match form {
                YcbcrForm::Full => 0,
                YcbcrForm::Half => 1,
                YcbcrForm::Video => 2,
            },
            planes: dst.planes(),
            is_ycbcr: is_ycbcr.into(),
            _pad0: 0,
            _pad1: 0,
            _pad2: 0,
            full: dst.full(),
            half: dst.half(),
        });
        let [x, y, _] = dst.quad_grid();
        self.packed(pass, uniform, None, (at, None), dst, [x, y, 2], is_last)
    }

    fn grey(&mut self, pass: &Pass, src: Shape, at: Role, is_last: bool) -> Result<()> {
        let weighs = match src.format.model {
            Model::Rgb => 1,
            Model::Ycbcr(_) => 0,
            Model::Grey | Model::Yuv | Model::Cmyk => return Err(misplanned(pass.name())),
        };
        let dst = Shape::of(src.full, PixelFormat { model: Model::Grey, alpha: src.format.alpha });
        let uniform = Uniform::new(&GreyUniform {
            src_first: 0,
            dst_first: 0,
            weighs,
            alpha: src.alpha(),
            full: src.full(),
            half: src.half(),
        });
        let [x, y, _] = dst.quad_grid();
        self.packed(pass, uniform, None, (at, None), dst, [x, y, 1], is_last)
    }

    fn load(&mut self, pass: &Pass, src: Shape, at: Role, space: WorkingSpace, add_alpha: bool) -> Result<()> {
        let dst = loaded(src, space, add_alpha)?;
        let linear = space == WorkingSpace::Linear;
        let uniform = Uniform::new(&LoadUniform {
            src_first: 0,
            dst_first: 0,
            table_first: 0,
            linear: u32::from(linear),
            full: src.full(),
            half: src.half(),
            colours: src.colours(),
            alpha: src.alpha(),
            _pad0: 0,
            _pad1: 0,
        });
        self.wide(Shader::of(pass), uniform, Some(Table::Levels), at, dst, dst.quad_grid())?;
        Ok(())
    }

    fn load_resize_h(&mut self, space: WorkingSpace, add_alpha: bool, resample: &Resample) -> Result<()> {
        let State::Packed(src, at) = self.state else { return Err(misplanned("load")) };
        let dst = resized(loaded(src, space, add_alpha)?, resample, Direction::Horizontal)?;
        self.resize_h(Shader::LoadResizeH, src, at, dst, space, true, resample)
    }

    #[expect(clippy::too_many_arguments, reason = "the two forms of one dispatch")]
    fn resize_h(
        &mut self,
        shader: Shader,
        src: Shape,
        at: Role,
        dst: Shape,
        space: WorkingSpace,
        fused: bool,
        resample: &Resample,
    ) -> Result<()> {
        let uniform = Uniform::new(&ResizeHUniform {
            src_first: 0,
            dst_first: 0,
            table_first: 0,
            linear: u32::from(space == WorkingSpace::Linear),
            src_full: src.full(),
            src_half: src.half(),
            dst_full: dst.full(),
            dst_half: dst.half(),
            colours: src.colours(),
            alpha: if fused { src.alpha() } else { NO_PLANE },
            _pad0: 0,
            _pad1: 0,
        });
        self.wide(shader, uniform, Some(Table::Taps(*resample)), at, dst, dst.sample_grid())
    }

    fn resize_v(&mut self, pass: &Pass, src: Shape, at: Role, resample: &Resample) -> Result<()> {
        let dst = resized(src, resample, Direction::Vertical)?;
        let uniform = Uniform::new(&ResizeVUniform {
            src_first: 0,
            dst_first: 0,
            table_first: 0,
            _pad0: 0,
            src_full: src.full(),
            src_half: src.half(),
            dst_full: dst.full(),
            dst_half: dst.half(),
        });
        self.wide(Shader::of(pass), uniform, Some(Table::Taps(*resample)), at, dst, dst.quad_grid())
    }

    fn pack(&mut self, pass: &Pass, src: Shape, at: Role, space: WorkingSpace, is_last: bool) -> Result<()> {
        let format = src.format.with_chroma_size(src.full, src.half);
        if src.half != format.plane_size(1, src.full) {
            return Err(misplanned("chroma planes of another size than the picture's"));
        }
        let src = Shape { format, ..src };
        let uniform = Uniform::new(&PackUniform {
            src_first: 0,
            dst_first: 0,
            linear: u32::from(space == WorkingSpace::Linear),
            alpha: src.alpha(),
            full: src.full(),
            half: src.half(),
        });
        self.packed(pass, uniform, None, (at, None), src, src.quad_grid(), is_last)
    }

    fn unsharp_h(&mut self, pass: &Pass, src: Shape, at: Role, usm: &Unsharp) -> Result<()> {
        let mono = is_mono(src.format, usm).ok_or_else(|| misplanned(pass.name()))?;
        let planes = if mono { 1 } else { src.colours() } + u32::from(src.format.alpha);
        let uniform = Uniform::new(&UnsharpHUniform {
            src_first: 0,
            dst_first: 0,
            table_first: 0,
            mono: u32::from(mono),
            full: src.full(),
            colours: src.colours(),
            alpha: src.alpha(),
            _pad0: 0,
            _pad1: 0,
        });
        let blurred = Role::Wide(0);
        let bytes = 16 * quads(src.full) * u64::from(planes);
        let grid = [src.full.w, src.full.h, planes];
        self.push(Shader::of(pass), uniform, Some(Table::Gaussian(usm.radius_q20)), (at, None), blurred, bytes, grid)?;
        self.state = State::Blurred(src, at, blurred);
        Ok(())
    }

    fn unsharp_v(
        &mut self,
        pass: &Pass,
        src: Shape,
        at: Role,
        blurred: Role,
        usm: &Unsharp,
        is_last: bool,
    ) -> Result<()> {
        let mono = is_mono(src.format, usm).ok_or_else(|| misplanned(pass.name()))?;
        let uniform = Uniform::new(&UnsharpVUniform {
            src_first: 0,
            dst_first: 0,
            table_first: 0,
            mono: u32::from(mono),
            full: src.full(),
            colours: src.colours(),
            alpha: src.alpha(),
            threshold_q6: 64 * i32::from(usm.threshold),
            amount_q10: i32::from(usm.amount_q10),
        });
        let table = Some(Table::Gaussian(usm.radius_q20));
        self.packed(pass, uniform, table, (at, Some(blurred)), src, src.quad_grid(), is_last)
    }

    fn turn(&mut self, pass: &Pass, src: Shape, at: Role, turn: Turn, is_last: bool) -> Result<()> {
        if src.half_planes() {
            return Err(misplanned(pass.name()));
        }
        let dst = Shape::of(turn.turned(src.full), src.format);
        let [mirrored, flipped] = turn.mirrored.map(u32::from);
        let uniform = Uniform::new(&TurnUniform {
            src_first: 0,
            dst_first: 0,
            transposed: u32::from(turn.transposed),
            mirrored,
            flipped,
            _pad0: 0,
            _pad1: 0,
            _pad2: 0,
            src_full: src.full(),
            dst_full: dst.full(),
        });
        self.packed(pass, uniform, None, (at, None), dst, dst.quad_grid(), is_last)
    }

    fn rotate(&mut self, pass: &Pass, src: Shape, at: Role, rotation: &Rotation, is_last: bool) -> Result<()> {
        if !matches!(src.format.model, Model::Grey | Model::Rgb) {
            return Err(misplanned(pass.name()));
        }
        let dst = Shape::of(rotation.canvas, PixelFormat { alpha: true, ..src.format });
        let uniform = Uniform::new(&RotateUniform {
            src_first: 0,
            dst_first: 0,
            table_first: 0,
            colours: src.colours(),
            src_full: src.full(),
            dst_full: dst.full(),
            alpha: src.alpha(),
            _pad0: 0,
            _pad1: 0,
            _pad2: 0,
        });
        let [x, y, _] = dst.quad_grid();
        self.packed(pass, uniform, Some(Table::Rotation(*rotation)), (at, None), dst, [x, y, 1], is_last)
    }

    /// The picture stays where it is.
    fn median(&mut self, pass: &Pass, src: Shape, at: Role) -> Result<()> {
        if !matches!(src.format.model, Model::Grey | Model::Rgb) {
            return Err(misplanned(pass.name()));
        }
        let uniform = Uniform::new(&MedianUniform {
            src_first: 0,
            dst_first: 0,
            colours: src.colours(),
            alpha: src.alpha(),
            full: src.full(),
        });
        self.is_measured = true;
        self.push(Shader::of(pass), uniform, None, (at, None), Role::Measured, MEASURED_BYTES, [1; 3])
    }

    fn point(&mut self, pass: &Pass, src: Shape, at: Role, point: &Point, is_last: bool) -> Result<()> {
        let needs_median = point.tint.is_some_and(|tint| tint.normalise);
        if !matches!(src.format.model, Model::Grey | Model::Rgb) || needs_median && !self.is_measured {
            return Err(misplanned(pass.name()));
        }
        let format = PixelFormat { model: point.model(src.format.model), alpha: src.format.alpha };
        let dst = Shape::of(src.full, format);
        let tint = point.tint.map_or([0; 4], |tint| {
            let [r, g, b] = tint.colour.map(i32::from);
            [r, g, b, 0]
        });
        let uniform = Uniform::new(&PointUniform {
            src_first: 0,
            dst_first: 0,
            table_first: 0,
            hue: i32::from(point.hue),
            full: src.full(),
            colours: src.colours(),
            dst_colours: dst.colours(),
            alpha: src.alpha(),
            saturation_q10: point.saturation_q10(),
            tint: point.tint.map_or(0, |tint| if tint.normalise { 2 } else { 1 }),
            contrast: point.tint.map_or(0, |tint| i32::from(tint.contrast)),
            invert: u32::from(point.invert),
            _pad0: 0,
            colour: tint,
        });
        let Point { brightness, contrast, balance, .. } = *point;
        let table = Table::Curves(Point { brightness, contrast, balance, ..Point::default() });
        let [x, y, _] = dst.quad_grid();
        self.packed(pass, uniform, Some(table), (at, Some(Role::Measured)), dst, [x, y, 1], is_last)
    }

    fn grow_h(&mut self, pass: &Pass, src: Shape, at: Role, grow: &Grow) -> Result<()> {
        let (first, grown) = grown(src, grow).ok_or_else(|| misplanned(pass.name()))?;
        let uniform = Uniform::new(&GrowHUniform {
            src_first: 0,
            dst_first: 0,
            grown,
            alpha: if grow.of == Grown::Colours { src.alpha() } else { NO_PLANE },
            full: src.full(),
            flip: flip(grow),
            first,
            _pad0: 0,
            _pad1: 0,
        });
        let runs = Role::Wide(0);
        let planes = grow.powers(src.full.w) * grown;
        let [x, y, _] = src.quad_grid();
        let bytes = 4 * quads(src.full) * u64::from(planes);
        self.push(Shader::of(pass), uniform, None, (at, None), runs, bytes, [x, y, planes])?;
        self.state = State::Grown(src, at, runs);
        Ok(())
    }

    fn grow_v(&mut self, pass: &Pass, src: Shape, [at, runs]: [Role; 2], grow: &Grow, is_last: bool) -> Result<()> {
        let (first, grown) = grown(src, grow).ok_or_else(|| misplanned(pass.name()))?;
        let uniform = Uniform::new(&GrowVUniform {
            src_first: 0,
            dst_first: 0,
            table_first: 0,
            grown,
            full: src.full(),
            flip: flip(grow),
            first,
            _pad0: 0,
            _pad1: 0,
        });
        let table = Some(Table::Disc(grow.radius_px));
        self.packed(pass, uniform, table, (at, Some(runs)), src, src.quad_grid(), is_last)
    }

    fn noise(&mut self, pass: &Pass, src: Shape, at: Role, noise: &Noise, is_last: bool) -> Result<()> {
        if !matches!(src.format.model, Model::Grey | Model::Rgb) {
            return Err(misplanned(pass.name()));
        }
        let uniform = Uniform::new(&NoiseUniform {
            src_first: 0,
            dst_first: 0,
            colours: src.colours(),
            seed: noise.seed,
            full: src.full(),
            gaussian: u32::from(noise.grain == Grain::Gaussian),
            mono: u32::from(noise.mono),
            strength: noise.strength(),
            _pad0: 0,
        });
        self.packed(pass, uniform, None, (at, None), src, src.quad_grid(), is_last)
    }

    fn sharpen(&mut self, pass: &Pass, src: Shape, at: Role, is_last: bool) -> Result<()> {
        if src.half != src.full {
            return Err(misplanned(pass.name()));
        }
        let uniform = Uniform::new(&SharpenUniform {
            src_first: 0,
            dst_first: 0,
            colours: src.colours(),
            alpha: src.alpha(),
            full: src.full(),
        });
        self.packed(pass, uniform, None, (at, None), src, src.quad_grid(), is_last)
    }

    #[expect(clippy::too_many_arguments, reason = "the members of one pass")]
    fn place(
        &mut self,
        pass: &Pass,
        src: Shape,
        at: Role,
        canvas: Size,
        offset: [i32; 2],
        fill: Fill,
        is_last: bool,
    ) -> Result<()> {
        let format = placed(src, canvas, offset, fill).ok_or_else(|| misplanned(pass.name()))?;
        let dst = Shape::of(canvas, format);
        let [a, b, c] = fill.levels(format.model).map(u32::from);
        let uniform = Uniform::new(&PlaceUniform {
            src_first: 0,
            dst_first: 0,
            colours: src.colours(),
            alpha: src.alpha(),
            src_full: src.full(),
            dst_full: dst.full(),
            offset,
            dst_alpha: dst.alpha(),
            _pad0: 0,
            fill: [a, b, c, 0],
        });
        self.packed(pass, uniform, None, (at, None), dst, dst.quad_grid(), is_last)
    }

    /// A step that writes an 8-bit picture.
    #[expect(clippy::too_many_arguments, reason = "the members of one step")]
    fn packed(
        &mut self,
        pass: &Pass,
        uniform: Uniform,
        table: Option<Table>,
        src: (Role, Option<Role>),
        dst: Shape,
        grid: [u32; 3],
        is_last: bool,
    ) -> Result<()> {
        let role = match src.0 {
            _ if is_last => Role::Out,
            Role::Bytes(0) => Role::Bytes(1),
            Role::Bytes(_) | Role::Source | Role::Wide(_) | Role::Measured | Role::Out => Role::Bytes(0),
        };
        self.push(Shader::of(pass), uniform, table, src, role, 4 * dst.quads(), grid)?;
        self.state = State::Packed(dst, role);
        Ok(())
    }

    /// A step that writes a 32-bit picture.
    fn wide(
        &mut self,
        shader: Shader,
        uniform: Uniform,
        table: Option<Table>,
        src: Role,
        dst: Shape,
        grid: [u32; 3],
    ) -> Result<()> {
        let role = if src == Role::Wide(0) { Role::Wide(1) } else { Role::Wide(0) };
        self.push(shader, uniform, table, (src, None), role, 16 * dst.quads(), grid)?;
        self.state = State::Working(dst, role);
        Ok(())
    }

    /// One more dispatch of `grid` invocations.
    #[expect(clippy::too_many_arguments, reason = "the members of one step")]
    fn push(
        &mut self,
        shader: Shader,
        uniform: Uniform,
        table: Option<Table>,
        (src, beside): (Role, Option<Role>),
        dst: Role,
        dst_bytes: u64,
        grid: [u32; 3],
    ) -> Result<()> {
        self.limits.check(dst_bytes)?;
        if grid.contains(&0) {
            return Err(misplanned("an empty picture"));
        }
        match dst {
            Role::Bytes(_) => self.recording.bytes_max = self.recording.bytes_max.max(dst_bytes),
            Role::Wide(_) => self.recording.wide_max = self.recording.wide_max.max(dst_bytes),
            Role::Source | Role::Measured | Role::Out => {}
        }
        let groups = [grid[0].div_ceil(WORKGROUP[0]), grid[1].div_ceil(WORKGROUP[1]), grid[2]];
        if let Some(most) = groups.into_iter().find(|&n| n > self.limits.groups_max) {
            let (need, max) = (u64::from(most), u64::from(self.limits.groups_max));
            return Err(Fault::Limit { name: "max_compute_workgroups_per_dimension", need, max }.during(PLANNING));
        }
        self.recording.steps.push(Step {
            shader,
            uniform,
            table,
            table_first: None,
            src,
            beside,
            dst,
            dst_bytes,
            groups,
        });
        Ok(())
    }
}
