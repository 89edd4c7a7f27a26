//! JPEGs as cameras and most programs write them. Ours have a scan for each component, and another decoder reads those.

use calotype::pixel::{Image, PixelFormat};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// R G B at `quality` as a sequential JPEG: 4:2:0, all components in one scan, tables of the standard.
pub(crate) fn jpeg(image: &Image, quality: u8) -> Vec<u8> {
    assert_eq!(image.format(), PixelFormat::RGB, "a picture for a camera");
    let [r, g, b] = image.planes() else { unreachable!("R G B has three planes") };
    let pixels = r.data().iter().zip(g.data()).zip(b.data());
    let samples: Vec<u8> = pixels.flat_map(|((r, g), b)| [*r, *g, *b]).collect();
    let side = |side: u32| u16::try_from(side).expect("a JPEG's side");
    let size = image.size();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(&samples, side(size.w), side(size.h), ColorType::Rgb).expect("memory to write to");
    bytes
}
