//! Interleaved samples from a decoder into the planes of an [`Image`], strip by strip: colours to sRGB, 16 bits to 8.
//!
//! Invariant: the colour conversion runs at the depth of the source, and the reduction to 8 bits rounds once, after
//! it, so that a linear-light or wide-gamut 16-bit source does not band.

use std::borrow::Cow;
use std::sync::Arc;

use moxcms::{Transform8BitExecutor, Transform16BitExecutor};

use crate::codec::icc::Profile;
use crate::pixel::{Chroma, Image, Model, PixelFormat, Plane, Size, interleave};

/// Samples of a strip are converted in runs of about this many, small enough for the second-level cache.
const STRIP_SAMPLES: usize = 1 << 16;

/// What one pixel of the decoder's rows is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Grey, one sample.
    Grey,
    /// Grey and straight alpha.
    GreyAlpha,
    /// R, G, B.
    Rgb,
    /// R, G, B and straight alpha.
    RgbAlpha,
    /// Y, Cb, Cr, kept as they are.
    Ycbcr,
    /// C, M, Y, K, 0 = no ink; converted to R, G, B.
    Cmyk,
}

impl Layout {
    /// Samples a pixel.
    pub(super) fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::GreyAlpha => 2,
            Self::Rgb | Self::Ycbcr => 3,
            Self::RgbAlpha | Self::Cmyk => 4,
        }
    }

    /// Planes that come of it.
    pub(super) fn planes(self) -> PixelFormat {
        match self {
            Self::Grey => PixelFormat::GREY,
            Self::GreyAlpha => PixelFormat { model: Model::Grey, alpha: true },
            Self::Rgb | Self::Cmyk => PixelFormat::RGB,
            Self::RgbAlpha => PixelFormat::RGBA,
            Self::Ycbcr => PixelFormat { model: Model::Ycbcr(Chroma::Full), alpha: false },
        }
    }
}

/// Bits of the samples that will be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// By [`Rows::put8`].
    Eight,
    /// By [`Rows::put16`].
    Sixteen,
}

/// The picture as it grows.
pub(super) struct Rows {
    image: Image,
    layout: Layout,
    to_srgb8: Option<Arc<Transform8BitExecutor>>,
    to_srgb16: Option<Arc<Transform16BitExecutor>>,
    strip8: Vec<u8>,
    strip16: Vec<u16>,
}

impl Rows {
    /// A picture of zeros; `profile` is where its colours will come from, `None` for sRGB.
    pub(super) fn new(size: Size, layout: Layout, depth: Depth, profile: Option<&Profile>) -> Self {
        Self {
            image: Image::new(size, layout.planes()),
            layout,
            to_srgb8: profile.filter(|_| depth == Depth::Eight).and_then(|p| p.to_srgb8(layout)),
            to_srgb16: profile.filter(|_| depth == Depth::Sixteen).and_then(|p| p.to_srgb16(layout)),
            strip8: Vec::new(),
            strip16: Vec::new(),
        }
    }

    /// Puts whole rows of 8-bit samples from row `y` on; rows below the picture are ignored.
    pub(super) fn put8(&mut self, mut y: usize, rows: &[u8]) {
        let row_len = self.image.size().w as usize * self.layout.channels();
        for strip in rows.chunks((STRIP_SAMPLES / row_len).max(1) * row_len) {
            match &self.to_srgb8 {
                Some(to_srgb) => {
                    self.strip8.resize(strip.len() / self.layout.channels() * self.layout.planes().planes(), 0);
                    // It fails on lengths that do not fit, which the line above excludes.
                    let converted = to_srgb.transform(strip, &mut self.strip8);
                    debug_assert!(converted.is_ok(), "colour conversion of a whole strip");
                    spread(&mut self.image, y, &self.strip8);
                }
                None if self.layout == Layout::Cmyk => {
                    self.strip8.resize(strip.len() / 4 * 3, 0);
                    for (rgb, cmyk) in self.strip8.as_chunks_mut::<3>().0.iter_mut().zip(strip.as_chunks::<4>().0) {
                        *rgb = naive_rgb(*cmyk);
                    }
                    spread(&mut self.image, y, &self.strip8);
                }
                None => spread(&mut self.image, y, strip),
            }
            y += strip.len() / row_len;
        }
    }

    /// Puts whole rows of 16-bit samples from row `y` on; rows below the picture are ignored.
    pub(super) fn put16(&mut self, mut y: usize, rows: &[u16]) {
        let row_len = self.image.size().w as usize * self.layout.channels();
        for strip in rows.chunks((STRIP_SAMPLES / row_len).max(1) * row_len) {
            let narrow = &mut self.strip8;
            match &self.to_srgb16 {
                Some(to_srgb) => {
                    self.strip16.resize(strip.len() / self.layout.channels() * self.layout.planes().planes(), 0);
                    let converted = to_srgb.transform(strip, &mut self.strip16);
                    debug_assert!(converted.is_ok(), "colour conversion of a whole strip");
                    narrow.clear();
                    narrow.extend(self.strip16.iter().map(|&v| to_8(v)));
                }
                None if self.layout == Layout::Cmyk => {
                    narrow.clear();
                    narrow.extend(strip.as_chunks::<4>().0.iter().flat_map(|px| naive_rgb(px.map(to_8))));
                }
                None => {
                    narrow.clear();
                    narrow.extend(strip.iter().map(|&v| to_8(v)));
                }
            }
            spread(&mut self.image, y, &self.strip8);
            y += strip.len() / row_len;
        }
    }

    /// Puts row `from` at `to` as well.
    pub(super) fn repeat(&mut self, from: usize, to: usize) {
        let w = self.image.size().w as usize;
        self.image
            .planes_mut()
            .iter_mut()
            .for_each(|plane| plane.data_mut().copy_within(from * w..(from + 1) * w, to * w));
    }

    /// The picture, as stored.
    pub(super) fn finish(self) -> Image {
        self.image
    }

    /// The picture of a damaged file, whose rows from `y` on never came: mid-grey, or transparent if it can be.
    pub(super) fn finish_damaged(mut self, y: usize) -> Image {
        let w = self.image.size().w as usize;
        if self.image.alpha().is_none() {
            self.image.planes_mut().iter_mut().for_each(|plane| plane.data_mut()[y * w..].fill(128));
        }
        self.image
    }
}

/// The picture of all its 8-bit samples at once. Planes that they go to as they are, are not filled with zeros before.
pub(super) fn image8(size: Size, layout: Layout, profile: Option<&Profile>, samples: Vec<u8>) -> Image {
    if profile.is_none() && layout != Layout::Cmyk {
        return Image::of_interleaved(size, layout.planes(), samples);
    }
    let mut rows = Rows::new(size, layout, Depth::Eight, profile);
    rows.put8(0, &samples);
    rows.finish()
}

/// 16 bits to 8, to the nearest: `round(v · 255 / 65535)`.
#[expect(clippy::cast_possible_truncation, reason = "at most 255")]
pub(super) fn to_8(v: u16) -> u8 {
    ((u32::from(v) * 255 + 32_767) / 65_535) as u8
}

/// Ink to light without a profile: `(255 − ink) · (255 − k) / 255`, rounded, as browsers do. A press is darker
/// and less saturated than this, but which press nobody said.
#[expect(clippy::cast_possible_truncation, reason = "at most 255")]
fn naive_rgb([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    [c, m, y].map(|ink| ((u32::from(255 - ink) * u32::from(255 - k) + 127) / 255) as u8)
}

/// De-interleaves whole rows into the planes of `image` from row `y` on.
fn spread(image: &mut Image, y: usize, rows: &[u8]) {
    let w = image.size().w as usize;
    let from = (y * w).min(image.size().samples());
    let n = image.planes().len();
    let pixels = (rows.len() / n).min(image.size().samples() - from);
    let rows = &rows[..pixels * n];
    let mut planes = image.planes_mut().iter_mut().map(|p| &mut p.data_mut()[from..][..pixels]);
    match [planes.next(), planes.next(), planes.next(), planes.next()] {
        [Some(grey), None, ..] => grey.copy_from_slice(rows),
        [Some(a), Some(b), None, _] => interleave::deal(rows, [a, b]),
        [Some(a), Some(b), Some(c), None] => interleave::deal(rows, [a, b, c]),
        [Some(a), Some(b), Some(c), Some(d)] => interleave::deal(rows, [a, b, c, d]),
        [None, ..] => {}
    }
}

/// The planes of a grey, RGB or CMYK picture interleaved, with or without its alpha.
pub(super) fn interleaved(image: &Image, alpha: bool) -> Cow<'_, [u8]> {
    let colours = &image.planes()[..image.format().colour_planes()];
    match (colours, image.alpha().filter(|_| alpha)) {
        ([grey], None) => Cow::Borrowed(grey.data()),
        ([grey], Some(a)) => Cow::Owned(zip_planes([grey, a])),
        ([r, g, b], None) => Cow::Owned(zip_planes([r, g, b])),
        ([r, g, b], Some(a)) => Cow::Owned(zip_planes([r, g, b, a])),
        ([c, m, y, k], None) => Cow::Owned(zip_planes([c, m, y, k])),
        ([c, m, y, k], Some(a)) => Cow::Owned(zip_planes([c, m, y, k, a])),
        (_, _) => unreachable!("grey, RGB or inks: the encoders have checked"),
    }
}

/// Differences of all samples from those right of them and below them: their sum in levels, and how many they are.
pub(super) fn neighbour_differences(plane: &Plane<u8>) -> (u64, u64) {
    over_neighbours(plane, |difference| difference.into())
}

/// Neighbours, right and below, that differ by one level at most: how many, and of how many.
pub(super) fn flat_neighbours(plane: &Plane<u8>) -> (u64, u64) {
    over_neighbours(plane, |difference| u32::from(difference <= 1))
}

/// The sum over all pairs of neighbours of what `of` makes of their difference, and how many pairs they are.
fn over_neighbours(plane: &Plane<u8>, of: impl Fn(u8) -> u32) -> (u64, u64) {
    let Size { w, h } = plane.size();
    let (w, h) = (w as usize, h as usize);
    // Row by row: their sums fit 32 bits, of which a vector holds twice as many.
    let sum = |a: &[u8], b: &[u8]| -> u64 { a.iter().zip(b).map(|(a, b)| of(a.abs_diff(*b))).sum::<u32>().into() };
    let rows = || plane.data().chunks_exact(w);
    let across: u64 = rows().map(|row| sum(row, &row[1..])).sum();
    let down: u64 = rows().zip(rows().skip(1)).map(|(row, next)| sum(row, next)).sum();
    (across + down, (h * (w - 1) + w * (h - 1)) as u64)
}

fn zip_planes<const N: usize>(planes: [&Plane<u8>; N]) -> Vec<u8> {
    let samples = planes[0].size().samples();
    let mut out = vec![0; samples * N];
    interleave::gather(planes.map(Plane::data), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_round_to_the_nearest_eight() {
        for v in 0..=u16::MAX {
            assert_eq!(f64::from(to_8(v)), (f64::from(v) * 255.0 / 65_535.0).round(), "{v}");
        }
    }

    #[test]
    fn rows_below_the_picture_are_ignored() {
        let mut rows = Rows::new(Size::new(2, 2), Layout::Rgb, Depth::Eight, None);
        rows.put8(1, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        rows.put8(5, &[9; 6]);
        assert_eq!(rows.finish().to_interleaved(), [0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6]);
    }
}
