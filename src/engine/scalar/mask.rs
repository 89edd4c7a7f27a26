//! `mask` and `matte`: a picture clear outside paths, and its alpha as a picture of its own.

use crate::pixel::{Image, PixelFormat, Plane};
use crate::plan::{Mask, masked};

/// The picture with as much of its opacity as its paths leave; it has alpha then.
///
/// - Shape: `[planes][h][w]` u8 → `[planes' + 1][h][w]` u8
/// - Space: src and dst encoded, straight; colours stay as they are
/// - Arithmetic: a picture without alpha has 255; `a' = (a m + 127) / 255` of the coverage m, [`Mask::coverage`]
/// - Agreement: integer, bit for bit in every engine, which all get the same coverage
///
/// # Panics
/// If chroma is half size: the planner converts first.
pub fn mask(src: &Image, mask: &Mask) -> Image {
    assert!(!src.format().is_half(1), "masking {:?}", src.format());
    let left = mask.coverage(src.size());
    let alpha = match src.alpha() {
        Some(alpha) => alpha.data().iter().zip(left.data()).map(|(&a, &m)| masked(a, m)).collect(),
        None => left.into_vec(),
    };
    let colours = src.format().colour_planes();
    let mut planes = src.planes()[..colours].to_vec();
    planes.push(Plane::from_vec(src.size(), alpha));
    Image::from_planes(src.size(), PixelFormat { alpha: true, ..src.format() }, planes)
}

/// The picture's alpha as a grey picture; white without one.
///
/// - Shape: `[planes][h][w]` u8 → `[1][h][w]` u8
/// - Agreement: bit for bit in every engine
pub fn matte(src: &Image) -> Image {
    let white = || Plane::from_vec(src.size(), vec![255; src.size().samples()]);
    let plane = src.alpha().cloned().unwrap_or_else(white);
    Image::from_planes(src.size(), PixelFormat::GREY, vec![plane])
}
