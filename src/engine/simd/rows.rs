//! The passes that work row by row: colour conversion, the fixed sharpening, placing. Their arithmetic is stated in
//! `engine::scalar`, to the bit; here it is plain loops over rows, which the compiler turns into each level's vectors.

use super::View;
use super::chroma;
use super::lanes::Lanes;
use super::level::Work;
use crate::pixel::{Chroma, Image, Model, PixelFormat, Size, YcbcrForm};
use crate::plan::Fill;

/// `rgb_to_ycbcr`.
pub(super) struct RgbToYcbcr<'a> {
    pub(super) src: &'a View<'a>,
    pub(super) form: YcbcrForm,
}

impl Work for RgbToYcbcr<'_> {
    type Output = Image;

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> Image {
        let Self { src, form } = self;
        let mut out = Image::new(src.size, PixelFormat { model: form.model(), alpha: src.format.alpha });
        match (src.format.model, form) {
            (Model::Rgb, YcbcrForm::Full) => full_chroma(src, &mut out),
            (Model::Rgb | Model::Ycbcr(Chroma::Full), YcbcrForm::Half) => chroma::share::<L, false>(l, src, &mut out),
            (Model::Rgb | Model::Ycbcr(Chroma::Full), YcbcrForm::Video) => chroma::share::<L, true>(l, src, &mut out),
            (model, form) => unreachable!("{model:?} to {form:?}"),
        }
        copy_alpha(src, &mut out);
        out
    }
}

const LUMA: [i32; 3] = [19595, 38470, 7471];
pub(super) const CB: [i32; 3] = [-11059, -21709, 32768];
pub(super) const CR: [i32; 3] = [32768, -27439, -5329];

#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "each sum lies within 0..=255")]
fn full_chroma(src: &View<'_>, out: &mut Image) {
    let offset = (128 << 16) + (1 << 15) - 1;
    for (plane, ([kr, kg, kb], offset)) in
        out.planes_mut().iter_mut().zip([(LUMA, 1 << 15), (CB, offset), (CR, offset)])
    {
        for y in 0..plane.size().h as usize {
            let [r, g, b] = [0, 1, 2].map(|c| src.row(c, y));
            for (((out, &r), &g), &b) in plane.row_mut(y).iter_mut().zip(r).zip(g).zip(b) {
                *out = ((kr * i32::from(r) + kg * i32::from(g) + kb * i32::from(b) + offset) >> 16) as u8;
            }
        }
    }
}

/// `grey`.
pub(super) struct Grey<'a> {
    pub(super) src: &'a View<'a>,
}

impl Work for Grey<'_> {
    type Output = Image;

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a weighted mean of bytes")]
    fn run<L: Lanes>(self, _: L) -> Image {
        let src = self.src;
        let mut out = Image::new(src.size, PixelFormat { model: Model::Grey, alpha: src.format.alpha });
        let luma = &mut out.planes_mut()[0];
        match src.format.model {
            Model::Rgb => {
                let [kr, kg, kb] = LUMA;
                let rgb = src.planes[0].iter().zip(src.planes[1]).zip(src.planes[2]);
                for (out, ((&r, &g), &b)) in luma.data_mut().iter_mut().zip(rgb) {
                    *out = ((kr * i32::from(r) + kg * i32::from(g) + kb * i32::from(b) + (1 << 15)) >> 16) as u8;
                }
            }
            Model::Ycbcr(_) => luma.data_mut().copy_from_slice(src.planes[0]),
            Model::Grey | Model::Yuv | Model::Cmyk => unreachable!("{:?}", src.format),
        }
        copy_alpha(src, &mut out);
        out
    }
}

/// `ycbcr_to_rgb`.
pub(super) struct YcbcrToRgb<'a> {
    pub(super) src: &'a View<'a>,
}

impl Work for YcbcrToRgb<'_> {
    type Output = Image;

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> Image {
        let src = self.src;
        let Model::Ycbcr(chroma) = src.format.model else { unreachable!("{:?}", src.format) };
        let mut out = Image::new(src.size, PixelFormat { model: Model::Rgb, alpha: src.format.alpha });
        let w = src.size.w as usize;
        let mut raised = [vec![0_u8; w.next_multiple_of(2)], vec![0_u8; w.next_multiple_of(2)]];
        let mut mixed = vec![0_i16; w.div_ceil(2) + 2];
        for y in 0..src.size.h as usize {
            if chroma == Chroma::Half {
                let far = if y % 2 == 0 { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(src.rows(1).h - 1) };
                for (c, row) in raised.iter_mut().enumerate() {
                    raise(row, &mut mixed, src.row(1 + c, y / 2), src.row(1 + c, far));
                }
            }
            let (cb, cr) = match chroma {
                Chroma::Half => (&raised[0][..w], &raised[1][..w]),
                Chroma::Full => (src.row(1, y), src.row(2, y)),
            };
            let [r, g, b, ..] = out.planes_mut() else { unreachable!("three planes") };
            to_rgb([r.row_mut(y), g.row_mut(y), b.row_mut(y)], [src.row(0, y), cb, cr]);
        }
        copy_alpha(src, &mut out);
        out
    }
}

/// One row of R, G and B from one of Y, Cb and Cr, all of one length.
#[inline(always)]
#[expect(clippy::cast_sign_loss, reason = "clamped to 0..=255")]
pub(super) fn to_rgb([r, g, b]: [&mut [u8]; 3], [luma, cb, cr]: [&[u8]; 3]) {
    let half = 1 << 15;
    for ((out, &v), &cr) in r.iter_mut().zip(luma).zip(cr) {
        *out = (i32::from(v) + ((91881 * (i32::from(cr) - 128) + half) >> 16)).clamp(0, 255) as u8;
    }
    for (((out, &v), &cb), &cr) in g.iter_mut().zip(luma).zip(cb).zip(cr) {
        let sum = -22554 * (i32::from(cb) - 128) - 46802 * (i32::from(cr) - 128);
        *out = (i32::from(v) + ((sum + half) >> 16)).clamp(0, 255) as u8;
    }
    for ((out, &v), &cb) in b.iter_mut().zip(luma).zip(cb) {
        *out = (i32::from(v) + ((116_130 * (i32::from(cb) - 128) + half) >> 16)).clamp(0, 255) as u8;
    }
}

/// One full-size chroma row from the nearest and the next half-size row: 3 : 1 down, then 3 : 1 across. `row` has two
/// samples or more for each of half size, `mixed` two more than there are of those.
#[inline(always)]
pub(super) fn raise(row: &mut [u8], mixed: &mut [i16], near: &[u8], far: &[u8]) {
    for ((mixed, &near), &far) in mixed[1..].iter_mut().zip(near).zip(far) {
        *mixed = 3 * i16::from(near) + i16::from(far);
    }
    mixed[0] = mixed[1];
    mixed[near.len() + 1] = mixed[near.len()];
    for (pair, [left, near, right]) in row.as_chunks_mut::<2>().0.iter_mut().zip(mixed.array_windows()) {
        // At most 255 each.
        let [left, right] = [left, right].map(|next| (3 * near + next + 8) >> 4);
        *pair = (left | right << 8).to_le_bytes();
    }
}

/// `sharpen`.
pub(super) struct Sharpen<'a> {
    pub(super) src: &'a View<'a>,
}

impl Work for Sharpen<'_> {
    type Output = Image;

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
    fn run<L: Lanes>(self, _: L) -> Image {
        let src = self.src;
        let (w, h) = (src.size.w as usize, src.size.h as usize);
        let mut out = Image::new(src.size, src.format);
        // Sums of three rows, one more at each end; of alpha and of colour times alpha where there is one.
        let mut columns = vec![0_i32; w + 2];
        let mut weights = vec![0_i32; w + 2];
        for y in 0..h {
            let near = [y.saturating_sub(1), y, (y + 1).min(h - 1)];
            if let Some(a) = src.format.alpha_plane() {
                column_sums(&mut weights, near.map(|y| src.row(a, y)), None);
            }
            for i in 0..src.format.planes() {
                let row = src.row(i, y);
                let alpha = src.format.alpha_plane().filter(|a| *a != i);
                let alphas = alpha.map(|a| near.map(|y| src.row(a, y)));
                column_sums(&mut columns, near.map(|y| src.row(i, y)), alphas);
                let out = out.planes_mut()[i].row_mut(y).iter_mut().zip(row);
                match alpha {
                    None => {
                        for ((out, &v), [a, b, c]) in out.zip(columns.array_windows()) {
                            *out = ((17 * i32::from(v) - (a + b + c) + 4) >> 3).clamp(0, 255) as u8;
                        }
                    }
                    Some(p) => {
                        let sums = columns.array_windows().zip(weights.array_windows());
                        for (((out, &v), &va), ([a, b, c], [wa, wb, wc])) in out.zip(src.row(p, y)).zip(sums) {
                            let (v, va) = (i32::from(v), i32::from(va));
                            let (n, weight) = (a + b + c - v * va, wa + wb + wc - va);
                            // Exact: see `unsharp::quotients`; here A is below 2¹¹.
                            let quotient = (f64::from(64 * n + weight / 2) / f64::from(weight)) as i32;
                            let b = if weight > 0 { quotient } else { 64 * v };
                            *out = ((128 * v - b + 32) >> 6).clamp(0, 255) as u8;
                        }
                    }
                }
            }
        }
        out
    }
}

/// `sums[x + 1]` = the three rows at x, weighted by `alphas` if there are any; both ends repeated.
#[inline(always)]
fn column_sums(sums: &mut [i32], rows: [&[u8]; 3], alphas: Option<[&[u8]; 3]>) {
    let w = rows[0].len();
    let inner = sums[1..=w].iter_mut();
    match alphas {
        None => {
            for (((sum, &a), &b), &c) in inner.zip(rows[0]).zip(rows[1]).zip(rows[2]) {
                *sum = i32::from(a) + i32::from(b) + i32::from(c);
            }
        }
        Some(alphas) => {
            inner.for_each(|sum| *sum = 0);
            for (row, alpha) in rows.into_iter().zip(alphas) {
                for ((sum, &v), &a) in sums[1..=w].iter_mut().zip(row).zip(alpha) {
                    *sum += i32::from(v) * i32::from(a);
                }
            }
        }
    }
    sums[0] = sums[1];
    sums[w + 1] = sums[w];
}

/// `place`.
pub(super) struct Place<'a> {
    pub(super) src: &'a View<'a>,
    pub(super) canvas: Size,
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) fill: Fill,
}

impl Work for Place<'_> {
    type Output = Image;

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> Image {
        let Self { src, canvas, x, y, fill } = self;
        let model = match src.format.model {
            model @ (Model::Grey | Model::Rgb | Model::Ycbcr(Chroma::Full)) => fill.model(model),
            model @ (Model::Ycbcr(Chroma::Half) | Model::Yuv | Model::Cmyk) => unreachable!("placing {model:?}"),
        };
        // Columns and rows of the canvas that the picture covers, and its own first ones there.
        let across = overlap(x, src.size.w, canvas.w);
        let down = overlap(y, src.size.h, canvas.h);
        let covers = across.len == canvas.w as usize && down.len == canvas.h as usize;
        let alpha = fill == Fill::Transparent && (src.format.alpha || !covers);
        let format = PixelFormat { model, alpha };
        let colour = fill.levels(model);
        let mut out = Image::new(canvas, format);
        for (i, plane) in out.planes_mut().iter_mut().enumerate() {
            let is_alpha = format.alpha_plane() == Some(i);
            let background = if is_alpha { 0 } else { colour[i] };
            if background > 0 && !covers {
                plane.data_mut().fill(background);
            }
            for r in 0..down.len {
                let row = &mut plane.row_mut(down.dst + r)[across.dst..][..across.len];
                let of = |plane: usize| &src.row(plane, down.src + r)[across.src..][..across.len];
                match (is_alpha, src.format.alpha_plane()) {
                    (true, Some(a)) => row.copy_from_slice(of(a)),
                    (true, None) => row.fill(255),
                    (false, Some(a)) if !alpha => {
                        over(row, of(i.min(src.format.colour_planes() - 1)), of(a), background)
                    }
                    (false, _) => row.copy_from_slice(of(i.min(src.format.colour_planes() - 1))),
                }
            }
        }
        out
    }
}

/// A run of samples that source and canvas share.
struct Overlap {
    src: usize,
    dst: usize,
    len: usize,
}

/// Of `src_len` samples that begin at `at` of a canvas of `len`.
fn overlap(at: i32, src_len: u32, len: u32) -> Overlap {
    let from = i64::from(at).max(0);
    let to = (i64::from(at) + i64::from(src_len)).min(i64::from(len));
    let index = |v: i64| usize::try_from(v).unwrap_or(0);
    if to <= from {
        return Overlap { src: 0, dst: 0, len: 0 };
    }
    Overlap { src: index(from - i64::from(at)), dst: index(from), len: index(to - from) }
}

/// Colour with its alpha over an opaque background.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a weighted mean of two bytes")]
fn over(out: &mut [u8], colour: &[u8], alpha: &[u8], background: u8) {
    let background = u32::from(background);
    for ((out, &c), &a) in out.iter_mut().zip(colour).zip(alpha) {
        let (c, a) = (u32::from(c), u32::from(a));
        *out = ((c * a + background * (255 - a) + 127) / 255) as u8;
    }
}

fn copy_alpha(src: &View<'_>, out: &mut Image) {
    if let (Some(from), Some(to)) = (src.format.alpha_plane(), out.format().alpha_plane()) {
        out.planes_mut()[to].data_mut().copy_from_slice(src.planes[from]);
    }
}
