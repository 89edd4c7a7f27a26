//! `noise`: random numbers on top of colours, a function of place and seed alone, equal in every engine to the bit.
//!
//! - Hash of sample (x, y) of channel c: `h = mix(mix(seed + x·0x9E3779B1) + y·0x85EBCA77 + c·0xC2B2AE3D)` in u32 that
//!   wraps; where the noise is mono, c is 0. `mix(h)`: `h ^= h >> 16; h *= 0x7FEB352D; h ^= h >> 15; h *= 0x846CA68B;
//!   h ^= h >> 16`
//! - uniform: `d = ((2·(h >> 16) − 65535)·a) >> 16` with `a = (1632 n + 2) / 5`: ±1.275·n levels in 1/256
//! - gaussian: s = the four bytes of h and of `mix(h + 0x27D4EB2F)`, summed, less 1020: nearly normal, σ = 209.02;
//!   `d = (s·k) >> 12` with `k = (31981 n + 5) / 10`: σ = 0.6375·n levels in 1/256
//! - `out = (256 v + d + 128) >> 8`, clamped
//!
//! Source: protocol.md 2.6; the mixer is Wellons' `lowbias32` ("Prospecting for Hash Functions", 2018).

use crate::pixel::Image;
use crate::plan::{Grain, Noise};

/// Noise on every colour plane; alpha is copied.
///
/// - Shape: `[planes][h][w]` u8 → the same
/// - Space: src and dst encoded, straight
/// - Agreement: integer, bit for bit in every engine
pub fn noise(src: &Image, noise: &Noise) -> Image {
    let mut out = src.clone();
    for (c, plane) in (0..).zip(&mut out.planes_mut()[..src.format().colour_planes()]) {
        for y in 0..plane.size().h {
            for (x, v) in (0..).zip(plane.row_mut(y as usize)) {
                let d = offset(hash(noise, x, y, if noise.mono { 0 } else { c }), noise);
                *v = ((256 * i32::from(*v) + d + 128) >> 8).clamp(0, 255) as u8;
            }
        }
    }
    out
}

fn hash(noise: &Noise, x: u32, y: u32, c: u32) -> u32 {
    let column = mix(noise.seed.wrapping_add(x.wrapping_mul(0x9e37_79b1)));
    mix(column.wrapping_add(y.wrapping_mul(0x85eb_ca77)).wrapping_add(c.wrapping_mul(0xc2b2_ae3d)))
}

/// What is added, in 1/256 level.
fn offset(hash: u32, noise: &Noise) -> i32 {
    match noise.grain {
        Grain::Uniform => {
            // At most 65535 · 32640: below 2³¹.
            let u = (hash >> 16).cast_signed();
            ((2 * u - 65_535) * noise.strength()) >> 16
        }
        Grain::Gaussian => {
            let sum = bytes(hash) + bytes(mix(hash.wrapping_add(0x27d4_eb2f)));
            ((sum - 1020) * noise.strength()) >> 12
        }
    }
}

/// Its four bytes, summed.
fn bytes(h: u32) -> i32 {
    h.to_le_bytes().into_iter().map(i32::from).sum()
}

fn mix(mut h: u32) -> u32 {
    h ^= h >> 16;
    h = h.wrapping_mul(0x7feb_352d);
    h ^= h >> 15;
    h = h.wrapping_mul(0x846c_a68b);
    h ^ (h >> 16)
}
