//! Steps of the passes on transparency: cover, mask, matte.

use std::sync::Arc;

use super::{Recorder, Role};
use crate::engine::gpu::outcomes::misplanned;
use crate::engine::gpu::shape::Shape;
use crate::engine::gpu::tables::Table;
use crate::engine::gpu::uniforms::{CoverUniform, MaskUniform, MatteUniform, Uniform};
use crate::error::Result;
use crate::pixel::{Model, PixelFormat};
use crate::plan::{Cover, Mask, MaskUse, Pass};

impl Recorder<'_> {
    pub(super) fn cover(&mut self, pass: &Pass, src: Shape, at: Role, cover: &Cover, is_last: bool) -> Result<()> {
        if !matches!(src.format.model, Model::Grey | Model::Rgb) {
            return Err(misplanned(pass.name()));
        }
        let dst = Shape::of(src.full, PixelFormat { model: cover.model(src.format.model), alpha: true });
        let uniform = Uniform::new(&CoverUniform {
            src_first: 0,
            dst_first: 0,
            colours: src.colours(),
            dst_colours: dst.colours(),
            full: src.full(),
            alpha: src.alpha(),
            mask: match cover.mask {
                MaskUse::Norm => 0,
                MaskUse::Invert => 1,
                MaskUse::Off => 2,
            },
            opacity: u32::from(cover.opacity),
            _pad0: 0,
            under: cover.under.map(u32::from),
        });
        let [x, y, _] = dst.quad_grid();
        self.packed(pass, uniform, None, (at, None), dst, [x, y, 1], is_last)
    }

    pub(super) fn mask(&mut self, pass: &Pass, src: Shape, at: Role, mask: &Arc<Mask>, is_last: bool) -> Result<()> {
        if src.half_planes() {
            return Err(misplanned(pass.name()));
        }
        let dst = Shape::of(src.full, PixelFormat { alpha: true, ..src.format });
        let uniform = Uniform::new(&MaskUniform {
            src_first: 0,
            dst_first: 0,
            table_first: 0,
            colours: src.colours(),
            full: src.full(),
            alpha: src.alpha(),
            _pad0: 0,
            _pad1: 0,
            _pad2: 0,
        });
        let table = Table::Coverage(Arc::clone(mask), src.full);
        self.packed(pass, uniform, Some(table), (at, None), dst, dst.quad_grid(), is_last)
    }

    pub(super) fn matte(&mut self, pass: &Pass, src: Shape, at: Role, is_last: bool) -> Result<()> {
        let dst = Shape::of(src.full, PixelFormat::GREY);
        let uniform = Uniform::new(&MatteUniform {
            src_first: 0,
            dst_first: 0,
            alpha: src.alpha(),
            _pad0: 0,
            full: src.full(),
            half: src.half(),
        });
        self.packed(pass, uniform, None, (at, None), dst, dst.quad_grid(), is_last)
    }
}
