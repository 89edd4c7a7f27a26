//! `noise`, row by row; the arithmetic is stated in `engine::scalar::noise`, to the bit.

use super::View;
use super::lanes::Lanes;
use super::level::Work;
use crate::pixel::Image;
use crate::plan::{Grain, Noise};

/// `noise`.
pub(super) struct Grains<'a> {
    pub(super) src: &'a View<'a>,
    pub(super) noise: &'a Noise,
}

impl Work for Grains<'_> {
    type Output = Image;

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> Image {
        let Self { src, noise } = self;
        let (w, h) = (src.size.w as usize, src.size.h as usize);
        let colours = src.format.colour_planes();
        let mut image = src.to_image();
        // The part of the hash that a column has in all rows and channels.
        let mut seed = noise.seed;
        let columns: Vec<u32> = std::iter::repeat_with(|| {
            let column = mix(seed);
            seed = seed.wrapping_add(0x9e37_79b1);
            column
        })
        .take(w)
        .collect();
        let mut offsets = vec![0_i32; w];
        let mut row_seed = 0_u32;
        for y in 0..h {
            let mut channel_seed = row_seed;
            for c in 0..colours {
                if c == 0 || !noise.mono {
                    fill(&mut offsets, &columns, channel_seed, noise);
                }
                for (v, &d) in image.planes_mut()[c].row_mut(y).iter_mut().zip(&offsets) {
                    *v = ((256 * i32::from(*v) + d + 128) >> 8).clamp(0, 255) as u8;
                }
                channel_seed = channel_seed.wrapping_add(0xc2b2_ae3d);
            }
            row_seed = row_seed.wrapping_add(0x85eb_ca77);
        }
        image
    }
}

#[inline(always)]
fn fill(offsets: &mut [i32], columns: &[u32], seed: u32, noise: &Noise) {
    let strength = noise.strength();
    match noise.grain {
        Grain::Uniform => {
            for (out, &column) in offsets.iter_mut().zip(columns) {
                let u = (mix(column.wrapping_add(seed)) >> 16).cast_signed();
                *out = ((2 * u - 65_535) * strength) >> 16;
            }
        }
        Grain::Gaussian => {
            for (out, &column) in offsets.iter_mut().zip(columns) {
                let h = mix(column.wrapping_add(seed));
                let sum = bytes(h) + bytes(mix(h.wrapping_add(0x27d4_eb2f)));
                *out = ((sum - 1020) * strength) >> 12;
            }
        }
    }
}

#[inline(always)]
fn bytes(h: u32) -> i32 {
    ((h & 255) + (h >> 8 & 255) + (h >> 16 & 255) + (h >> 24)).cast_signed()
}

#[inline(always)]
fn mix(h: u32) -> u32 {
    let h = (h ^ (h >> 16)).wrapping_mul(0x7feb_352d);
    let h = (h ^ (h >> 15)).wrapping_mul(0x846c_a68b);
    h ^ (h >> 16)
}
