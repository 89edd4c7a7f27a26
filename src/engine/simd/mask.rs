//! `mask` and `matte`, plane by plane; the arithmetic is stated in `engine::scalar::mask`, to the bit.

use super::View;
use super::lanes::Lanes;
use super::level::Work;
use crate::pixel::{Image, PixelFormat, Plane};
use crate::plan::{Mask, masked};

/// `mask`.
pub(super) struct Masked<'a> {
    pub(super) src: &'a View<'a>,
    pub(super) mask: &'a Mask,
}

impl Work for Masked<'_> {
    type Output = Image;

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> Image {
        let Self { src, mask } = self;
        assert!(!src.format.is_half(1), "masking {:?}", src.format);
        let mut left = mask.coverage(src.size);
        if let Some(alpha) = src.format.alpha_plane() {
            for (m, &a) in left.data_mut().iter_mut().zip(src.planes[alpha]) {
                *m = masked(*m, a);
            }
        }
        let colours = src.planes[..src.format.colour_planes()].iter();
        let mut planes: Vec<_> = colours.map(|plane| Plane::from_vec(src.size, plane.to_vec())).collect();
        planes.push(left);
        Image::from_planes(src.size, PixelFormat { alpha: true, ..src.format }, planes)
    }
}

/// `matte`.
pub(super) fn matte(src: &View<'_>) -> Image {
    let plane = match src.format.alpha_plane() {
        Some(alpha) => src.planes[alpha].to_vec(),
        None => vec![255; src.size.samples()],
    };
    Image::from_planes(src.size, PixelFormat::GREY, vec![Plane::from_vec(src.size, plane)])
}
