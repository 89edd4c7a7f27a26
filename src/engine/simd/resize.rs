//! `load`, `resize_h`, `resize_v` and `pack` in one walk over the source: which kernel, in which order.

use std::rc::Rc;

use super::View;
use super::fixed::FixedStrip;
use super::float::FloatStrip;
use super::level::Level;
use super::strip::{Curve, Rows, STRIP, Scratch};
use super::windows::{Fixed, Prepared};
use crate::engine::Cancel;
use crate::error::Result;
use crate::pixel::{Image, Model, PixelFormat, Plane, Size, WorkingSpace};
use crate::plan::Resample;

/// A run of passes from `load` to `pack`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resize<'a> {
    /// Of `load`.
    pub(super) loads: WorkingSpace,
    /// Of `load`.
    pub(super) add_alpha: bool,
    /// `resize_h`, if there is one.
    pub(super) h: Option<&'a Resample>,
    /// `resize_v`, if there is one.
    pub(super) v: Option<&'a Resample>,
    /// Of `pack`.
    pub(super) packs: WorkingSpace,
}

impl Resize<'_> {
    /// Runs it on `src`.
    pub(super) fn run(&self, level: Level, src: &View<'_>, cancel: &Cancel) -> Result<Image> {
        let (model, had_alpha) = (src.format.model, src.format.alpha);
        let is_linear = |space| space == WorkingSpace::Linear;
        assert!(
            matches!(model, Model::Grey | Model::Rgb) || !(is_linear(self.loads) || is_linear(self.packs)),
            "linear {model:?}"
        );
        let format = PixelFormat { model, alpha: had_alpha || self.add_alpha };
        let curve = Curve::new(is_linear(self.loads), is_linear(self.packs));
        let colours = format.colour_planes();
        let full = self.axes(false, src.rows(0));
        let size = full.dst_size();
        // Under an alpha of 255 everywhere nothing needs to be multiplied or divided.
        let stays_opaque = full.h.is_unit && full.v.is_unit && (!had_alpha || src.is_opaque());

        let mut planes;
        if format.alpha && !stays_opaque {
            let opaque = vec![255; src.size.w as usize];
            let mut rows: Vec<Rows<'_>> = (0..colours).map(|i| src.rows(i)).collect();
            rows.push(if had_alpha { src.rows(colours) } else { Rows::repeated(&opaque, src.size.h as usize) });
            planes = full.resize(level, &rows, true, curve, cancel)?;
        } else {
            planes = Vec::with_capacity(format.planes());
            for i in 0..colours {
                let rows = src.rows(i);
                let axes = if format.is_half(i) { &self.axes(true, rows) } else { &full };
                planes.append(&mut axes.resize(level, &[rows], false, curve, cancel)?);
            }
            if format.alpha {
                planes.push(Plane::from_vec(size, vec![255; size.samples()]));
            }
        }
        let format = format.with_chroma_size(size, planes[planes.len().min(2) - 1].size());
        Ok(Image::from_planes(size, format, planes))
    }

    /// The axes of a plane with these rows.
    fn axes(&self, is_half: bool, rows: Rows<'_>) -> Axes {
        let of = |resample: Option<&Resample>, len| match resample {
            Some(r) => Prepared::of(r.kernel, r.chroma_axis.as_ref().filter(|_| is_half).unwrap_or(&r.axis)),
            None => Rc::new(Prepared::identity(len)),
        };
        Axes { h: of(self.h, rows.w), v: of(self.v, rows.h) }
    }
}

/// The windows of both directions.
#[derive(Clone, Debug)]
struct Axes {
    h: Rc<Prepared>,
    v: Rc<Prepared>,
}

impl Axes {
    #[expect(clippy::cast_possible_truncation, reason = "lengths come from an Axis or a plane, both u32")]
    fn dst_size(&self) -> Size {
        Size::new(self.h.float.dst_len() as u32, self.v.float.dst_len() as u32)
    }

    /// Resizes planes of one size, the last of them alpha if `has_alpha`.
    fn resize(
        &self,
        level: Level,
        src: &[Rows<'_>],
        has_alpha: bool,
        curve: Curve,
        cancel: &Cancel,
    ) -> Result<Vec<Plane<u8>>> {
        if self.is_better_turned(src[0].w, src[0].h) {
            let turned: Vec<Vec<u8>> = src.iter().map(|rows| turned(*rows)).collect();
            let rows: Vec<Rows<'_>> = turned.iter().map(|data| Rows::new(data, src[0].h, src[0].w)).collect();
            let axes = Self { h: self.v.clone(), v: self.h.clone() };
            let planes = axes.resize_v_first(level, &rows, has_alpha, curve, cancel)?;
            let back = |plane: &Plane<u8>| {
                let (w, h) = (plane.size().w as usize, plane.size().h as usize);
                Plane::from_vec(plane.size().transposed(), self::turned(Rows::new(plane.data(), w, h)))
            };
            return Ok(planes.iter().map(back).collect());
        }
        self.resize_v_first(level, src, has_alpha, curve, cancel)
    }

    /// Whether horizontal first, which is this walk on the turned picture, costs less than half. The kernels are
    /// written for vertical first; for pictures that keep their shape, both orders cost about the same.
    fn is_better_turned(&self, w: usize, h: usize) -> bool {
        let (dst_w, dst_h) = (self.h.float.dst_len() as u64, self.v.float.dst_len() as u64);
        let (h_count, v_count) = (self.h.float.count() as u64, self.v.float.count() as u64);
        let (w, h) = (w as u64, h as u64);
        let v_first = w * v_count + dst_h * h_count;
        let h_first = h * h_count + dst_w * v_count + 4 * (w * h + dst_w * dst_h);
        v_first > 2 * h_first
    }

    fn resize_v_first(
        &self,
        level: Level,
        src: &[Rows<'_>],
        has_alpha: bool,
        curve: Curve,
        cancel: &Cancel,
    ) -> Result<Vec<Plane<u8>>> {
        let size = self.dst_size();
        let strip_len = STRIP * size.w as usize;
        let mut planes: Vec<Plane<u8>> = src.iter().map(|_| Plane::new(size)).collect();
        let is_fixed =
            level.multiplies_pairs() && !has_alpha && curve.is_none() && Fixed::suits(self.v.fixed(), self.h.fixed());
        Scratch::with(|scratch| {
            if is_fixed {
                for (src, plane) in src.iter().zip(&mut planes) {
                    for (i, dst) in plane.data_mut().chunks_mut(strip_len).enumerate() {
                        cancel.check("resize")?;
                        let (v, h) = (self.v.fixed(), self.h.fixed());
                        level.run(FixedStrip { src: *src, v, h, y: i * STRIP, dst, scratch });
                    }
                }
                return Ok(planes);
            }
            let mut strips: Vec<_> = planes.iter_mut().map(|plane| plane.data_mut().chunks_mut(strip_len)).collect();
            let mut veils = Vec::new();
            for y in (0..size.h as usize).step_by(STRIP) {
                cancel.check("resize")?;
                let mut dst: Vec<&mut [u8]> = strips.iter_mut().filter_map(Iterator::next).collect();
                let (v, h) = (self.v.pairs(), self.h.pairs());
                let dst_w = size.w as usize;
                level.run(FloatStrip {
                    src,
                    has_alpha,
                    curve,
                    v,
                    h,
                    dst_w,
                    y,
                    dst: &mut dst,
                    veils: &mut veils,
                    scratch,
                });
            }
            drop(strips);
            Ok(planes)
        })
    }
}

/// Rows as columns.
fn turned(src: Rows<'_>) -> Vec<u8> {
    const TILE: usize = 16;
    let mut out = vec![0; src.w * src.h];
    for y in (0..src.h).step_by(TILE) {
        for x in (0..src.w).step_by(TILE) {
            for y in y..(y + TILE).min(src.h) {
                for (x, &v) in src.row(y).iter().enumerate().skip(x).take(TILE) {
                    out[x * src.h + y] = v;
                }
            }
        }
    }
    out
}
