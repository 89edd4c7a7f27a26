//! `rgb_to_ycbcr`, `ycbcr_to_rgb`, `grey`: JFIF's full-range BT.601, in 16-bit fixed point.

use crate::pixel::{Chroma, Image, Model, PixelFormat, Plane, Size, YcbcrForm};

/// R G B to Y Cb Cr, full range; alpha, if any, is copied.
///
/// [`YcbcrForm::Full`]: each pixel for itself, i32 in 2⁻¹⁶, one rounding: `y = (19595 r + 38470 g + 7471 b + 2¹⁵) >> 16`,
/// `cb = (−11059 r − 21709 g + 32768 b + 128·2¹⁶ + 2¹⁵ − 1) >> 16`, `cr` likewise with (32768, −27439, −5329).
///
/// [`YcbcrForm::Half`]: four pixels share a colour, and each gets the luma that makes it as bright with it as it was.
/// Brightness is linear light, for which squares stand in (a gamma of 2):
/// - a channel's share of the 2×2 block (edges repeated) is its root mean square, weighted by alpha:
///   `q = ⌊√(1024 Σ v²)⌋`, levels in 2⁻⁶; with alpha `Σ v²` is `⌊(4 Σ a v² + Σ a / 2) / Σ a⌋` where `Σ a > 0`
/// - `cb = (−11059 qr − 21709 qg + 32768 qb + 128·2²² + 2²¹ − 1) >> 22`, `cr` likewise
/// - of those, with `cb'` and `cr'` raised to full size as [`ycbcr_to_rgb`] does it, less 128, the mean square that a pixel shows is
///   `y² + 0.42748 cb'² + 0.28852 cb' cr' + 0.88708 cr'²`, so
///   `y = (s + 16) >> 5`, at most 255, of `s = ⌊√(306 r² + 601 g² + 117 b² − 438 cb'² − 295 cb' cr' − 908 cr'²)⌋`,
///   where less than 0 counts as 0
///
/// [`YcbcrForm::Video`]: the same, with (−9714, −19070, 28784) and (28784, −24103, −4681) for `cb` and `cr`, (567, 383,
/// 1177) for what they show, and `y = 16 + ((112567 s + 2²¹) >> 22)`, at most 235.
///
/// - Agreement: bit for bit in every engine
/// - Source: JFIF 1.02, section "Conversion to and from RGB"; half size: ours, measured against plain means and libwebp's
///   sharp conversion in `docs/measurements.md`
///
/// Of Y Cb Cr with full-size chroma, pixels come to share theirs the same way: it is what comes of the R G B that
/// [`ycbcr_to_rgb`] makes of it.
///
/// # Panics
/// If `src` is neither R G B nor such Y Cb Cr that is to share: the planner asks for it only there.
pub fn rgb_to_ycbcr(src: &Image, form: YcbcrForm) -> Image {
    if src.format().model == Model::Ycbcr(Chroma::Full) && form != YcbcrForm::Full {
        return rgb_to_ycbcr(&ycbcr_to_rgb(src), form);
    }
    assert_eq!(src.format().model, Model::Rgb);
    let mut planes = match form {
        YcbcrForm::Full => full_chroma(src),
        YcbcrForm::Half => half_chroma(src, [CB, CR], [438, 295, 908], |root| ((root + 16) >> 5).min(255)),
        YcbcrForm::Video => {
            let weights = [[-9714, -19070, 28784], [28784, -24103, -4681]];
            half_chroma(src, weights, [567, 383, 1177], |root| (16 + ((112_567 * root + (1 << 21)) >> 22)).min(235))
        }
    };
    planes.extend(src.alpha().cloned());
    Image::from_planes(src.size(), PixelFormat { model: form.model(), alpha: src.format().alpha }, planes)
}

const LUMA: [i32; 3] = [19595, 38470, 7471];
const CB: [i32; 3] = [-11059, -21709, 32768];
const CR: [i32; 3] = [32768, -27439, -5329];

fn full_chroma(src: &Image) -> Vec<Plane<u8>> {
    let weighed = |weights: [i32; 3], x: usize, y: usize| -> i32 {
        let of = |(plane, weight): (&Plane<u8>, i32)| weight * i32::from(plane.row(y)[x]);
        src.planes().iter().zip(weights).map(of).sum()
    };
    let chroma = |weights| plane(src.size(), |x, y| (weighed(weights, x, y) + (128 << 16) + (1 << 15) - 1) >> 16);
    let luma = plane(src.size(), |x, y| (weighed(LUMA, x, y) + (1 << 15)) >> 16);
    vec![luma, chroma(CB), chroma(CR)]
}

/// `weights` of `cb` and `cr`, what they show, and luma by its root in 2⁻⁵.
fn half_chroma(
    src: &Image,
    weights: [[i32; 3]; 2],
    [bb, br, rr]: [i32; 3],
    luma_of: impl Fn(i32) -> i32,
) -> Vec<Plane<u8>> {
    let Size { w, h } = src.size();
    let (w, h) = (w as usize, h as usize);
    let square = |c: usize, x: usize, y: usize| u32::from(src.planes()[c].row(y)[x]).pow(2);
    let root = |c: usize, x: usize, y: usize| {
        let (x1, y1) = ((2 * x + 1).min(w - 1), (2 * y + 1).min(h - 1));
        let block = [(2 * x, 2 * y), (x1, 2 * y), (2 * x, y1), (x1, y1)];
        let alpha = |(x, y): (usize, usize)| src.alpha().map_or(1, |alpha| u32::from(alpha.row(y)[x]));
        let weight: u32 = block.into_iter().map(alpha).sum();
        let sum: u32 = match (src.alpha(), weight) {
            (None, _) | (_, 0) => block.into_iter().map(|(x, y)| square(c, x, y)).sum(),
            (Some(_), _) => {
                let weighted: u32 = block.into_iter().map(|at| alpha(at) * square(c, at.0, at.1)).sum();
                (4 * weighted + weight / 2) / weight
            }
        };
        (1024 * sum).isqrt().cast_signed()
    };
    let chroma = |weights: [i32; 3]| {
        plane(src.size().half(), |x, y| {
            let sum: i32 = weights.iter().enumerate().map(|(c, weight)| weight * root(c, x, y)).sum();
            (sum + (128 << 22) + (1 << 21) - 1) >> 22
        })
    };
    let [cb, cr] = weights.map(chroma);
    let luma = plane(src.size(), |x, y| {
        let [r, g, b] = [0, 1, 2].map(|c| square(c, x, y).cast_signed());
        let (cb, cr) = (raised(&cb, x, y) - 128, raised(&cr, x, y) - 128);
        let shown = 306 * r + 601 * g + 117 * b - (bb * cb * cb + br * cb * cr + rr * cr * cr);
        luma_of(shown.max(0).isqrt())
    });
    vec![luma, cb, cr]
}

/// Y Cb Cr to R G B; alpha, if any, is copied.
///
/// - Arithmetic: half-size chroma is first raised to full size with weights 9-3-3-1 (`(9a + 3b + 3c + d + 8) >> 4`,
///   edges repeated); then i32 in 2⁻¹⁶ with `cb' = cb − 128`: `r = y + ((91881 cr' + 2¹⁵) >> 16)`,
///   `g = y + ((−22554 cb' − 46802 cr' + 2¹⁵) >> 16)`, `b = y + ((116130 cb' + 2¹⁵) >> 16)`, clamped
/// - Agreement: bit for bit in every engine
/// - Source: JFIF 1.02; the upsampling is the one libjpeg calls fancy
///
/// # Panics
/// If `src` is not Y Cb Cr: the planner asks for it only there.
pub fn ycbcr_to_rgb(src: &Image) -> Image {
    let Model::Ycbcr(chroma) = src.format().model else { unreachable!("{:?}", src.format()) };
    let [y_plane, cb, cr] = [0, 1, 2].map(|i| &src.planes()[i]);
    let sample = |c: &Plane<u8>, x: usize, y: usize| match chroma {
        Chroma::Full => i32::from(c.row(y)[x]) - 128,
        Chroma::Half => raised(c, x, y) - 128,
    };
    let luma = |x: usize, y: usize| i32::from(y_plane.row(y)[x]);
    let half = 1 << 15;
    let r = plane(src.size(), |x, y| luma(x, y) + ((91881 * sample(cr, x, y) + half) >> 16));
    let g =
        plane(src.size(), |x, y| luma(x, y) + ((-22554 * sample(cb, x, y) - 46802 * sample(cr, x, y) + half) >> 16));
    let b = plane(src.size(), |x, y| luma(x, y) + ((116_130 * sample(cb, x, y) + half) >> 16));
    let mut planes = vec![r, g, b];
    planes.extend(src.alpha().cloned());
    Image::from_planes(src.size(), PixelFormat { model: Model::Rgb, alpha: src.format().alpha }, planes)
}

/// R G B to its luma, `y = (19595 r + 38470 g + 7471 b + 2¹⁵) >> 16`; of Y Cb Cr the luma alone. Alpha, if any, is copied.
///
/// - Agreement: bit for bit in every engine
/// - Source: JFIF 1.02; the luma of [`rgb_to_ycbcr`]'s full form
///
/// # Panics
/// If `src` is neither: the planner asks for it only there.
pub fn grey(src: &Image) -> Image {
    let luma = match src.format().model {
        Model::Rgb => {
            let weighed = |c: usize, x: usize, y: usize| LUMA[c] * i32::from(src.planes()[c].row(y)[x]);
            plane(src.size(), |x, y| ((0..3).map(|c| weighed(c, x, y)).sum::<i32>() + (1 << 15)) >> 16)
        }
        Model::Ycbcr(_) => src.planes()[0].clone(),
        Model::Grey | Model::Yuv | Model::Cmyk => unreachable!("{:?}", src.format()),
    };
    let planes = std::iter::once(luma).chain(src.alpha().cloned()).collect();
    Image::from_planes(src.size(), PixelFormat { model: Model::Grey, alpha: src.format().alpha }, planes)
}

/// Half-size chroma at full-size pixel (x, y): three parts of the nearest sample to one of the next, both ways.
fn raised(c: &Plane<u8>, x: usize, y: usize) -> i32 {
    let next = |i: usize, len: u32| {
        let near = i / 2;
        let far = if i.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(len as usize - 1) };
        (near, far)
    };
    let (x0, x1) = next(x, c.size().w);
    let (y0, y1) = next(y, c.size().h);
    let at = |x: usize, y: usize| i32::from(c.row(y)[x]);
    (9 * at(x0, y0) + 3 * at(x1, y0) + 3 * at(x0, y1) + at(x1, y1) + 8) >> 4
}

fn plane(size: Size, value: impl Fn(usize, usize) -> i32) -> Plane<u8> {
    let mut plane = Plane::new(size);
    for y in 0..size.h as usize {
        for (x, out) in plane.row_mut(y).iter_mut().enumerate() {
            *out = value(x, y).clamp(0, 255) as u8;
        }
    }
    plane
}
