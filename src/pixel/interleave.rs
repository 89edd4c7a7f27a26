//! Interleaved samples into planes and back: plain loops, which compilers turn into shuffles where the processor has them.
//!
//! Three bytes a pixel take instructions that not every x86-64 has, so these loops are compiled twice.
#![allow(
    unsafe_code,
    reason = "vector instructions, where the processor has been seen to have them; planes written once"
)]

use std::mem::MaybeUninit;

use crate::heap;
use crate::limits;

/// Pixels dealt out between two calls of the system: a few megabytes.
const PIXELS_AT_ONCE: usize = 1 << 20;

/// Deals interleaved samples out to their planes: sample `c` of pixel `i` is `pixels[N * i + c]`.
///
/// # Panics
/// If a plane has not as many samples as there are pixels: a bug in the caller.
pub fn deal<const N: usize>(pixels: &[u8], planes: [&mut [u8]; N]) {
    let len = pixels.len() / N;
    assert!(planes.iter().all(|plane| plane.len() == len), "planes of {len} samples");
    deal_as(pixels, planes, |v| v);
}

/// The same into planes of their own, of as many samples as there are whole pixels, which are written once: not filled with
/// zeros before.
pub fn dealt<const N: usize>(pixels: &[u8]) -> [Vec<u8>; N] {
    let len = pixels.len() / N;
    let mut planes = [const { Vec::new() }; N].map(|_: Vec<u8>| Vec::with_capacity(len));
    let spare = planes.each_mut().map(|plane| &mut plane.spare_capacity_mut()[..len]);
    deal_as(pixels, spare, MaybeUninit::new);
    for plane in &mut planes {
        // SAFETY: `deal_as` has written to all of the first `len` samples: there are that many whole pixels.
        unsafe { plane.set_len(len) };
    }
    planes
}

/// The same of pixels that nobody needs any more, `N` bytes each. Those of a block over `HEAP_BLOCK_BYTES_MAX` go back to the
/// system while the planes grow.
pub fn dealt_out<const N: usize>(mut pixels: Vec<u8>) -> [Vec<u8>; N] {
    if pixels.capacity() <= limits::HEAP_BLOCK_BYTES_MAX {
        return dealt(&pixels);
    }
    let len = pixels.len() / N;
    let mut planes = [const { Vec::new() }; N].map(|_: Vec<u8>| Vec::with_capacity(len));
    for from in (0..len).step_by(PIXELS_AT_ONCE) {
        let to = (from + PIXELS_AT_ONCE).min(len);
        let spare = planes.each_mut().map(|plane| &mut plane.spare_capacity_mut()[from..to]);
        let part = &mut pixels[N * from..N * to];
        deal_as(part, spare, MaybeUninit::new);
        heap::discard(part);
    }
    for plane in &mut planes {
        // SAFETY: the parts tile the first `len` samples, and `deal_as` has written to all of each.
        unsafe { plane.set_len(len) };
    }
    planes
}

/// The opposite of [`deal`].
///
/// # Panics
/// If a plane has not as many samples as there are pixels: a bug in the caller.
pub fn gather<const N: usize>(planes: [&[u8]; N], pixels: &mut [u8]) {
    let len = pixels.len() / N;
    assert!(planes.iter().all(|plane| plane.len() == len), "planes of {len} samples");
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[target_feature(enable = "avx2")]
        fn with_avx2<const N: usize>(planes: [&[u8]; N], pixels: &mut [u8]) {
            gather_up(planes, pixels);
        }
        // SAFETY: this processor has AVX2.
        return unsafe { with_avx2(planes, pixels) };
    }
    gather_up(planes, pixels);
}

/// Sample by sample by way of `as_sample`, one to each element of the planes.
fn deal_as<const N: usize, T>(pixels: &[u8], planes: [&mut [T]; N], as_sample: impl Fn(u8) -> T) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[target_feature(enable = "avx2")]
        fn with_avx2<const N: usize, T>(pixels: &[u8], planes: [&mut [T]; N], as_sample: impl Fn(u8) -> T) {
            deal_out(pixels, planes, as_sample);
        }
        // SAFETY: this processor has AVX2.
        return unsafe { with_avx2(pixels, planes, as_sample) };
    }
    deal_out(pixels, planes, as_sample);
}

#[inline(always)]
fn deal_out<const N: usize, T>(pixels: &[u8], mut planes: [&mut [T]; N], as_sample: impl Fn(u8) -> T) {
    match &mut planes[..] {
        [a, b, c] => {
            let planes = a.iter_mut().zip(b.iter_mut()).zip(c.iter_mut());
            for (pixel, ((a, b), c)) in pixels.as_chunks::<3>().0.iter().zip(planes) {
                [*a, *b, *c] = [as_sample(pixel[0]), as_sample(pixel[1]), as_sample(pixel[2])];
            }
        }
        planes => {
            for (c, plane) in planes.iter_mut().enumerate() {
                for (v, pixel) in plane.iter_mut().zip(pixels.as_chunks::<N>().0) {
                    *v = as_sample(pixel[c]);
                }
            }
        }
    }
}

#[inline(always)]
fn gather_up<const N: usize>(planes: [&[u8]; N], pixels: &mut [u8]) {
    match planes[..] {
        [a, b, c] => {
            for (pixel, ((a, b), c)) in pixels.as_chunks_mut::<3>().0.iter_mut().zip(a.iter().zip(b).zip(c)) {
                *pixel = [*a, *b, *c];
            }
        }
        ref planes => {
            for (c, plane) in planes.iter().enumerate() {
                for (pixel, v) in pixels.as_chunks_mut::<N>().0.iter_mut().zip(*plane) {
                    pixel[c] = *v;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PIXELS_AT_ONCE, deal, deal_out, dealt, dealt_out, gather, gather_up};
    use crate::limits;

    fn plainly<const N: usize>(pixels: &[u8], planes: [&mut [u8]; N]) {
        deal_out(pixels, planes, |v| v);
    }

    /// By the processor's instructions, and by those that every one has.
    fn check<const N: usize>(len: usize) {
        let pixels: Vec<u8> = (0..N * len).map(|i| (i * 7 + i / 251).to_le_bytes()[0]).collect();
        for deal in [deal::<N>, plainly::<N>] {
            let mut planes = vec![vec![0xaa; len]; N];
            let mut rest = planes.iter_mut();
            deal(&pixels, std::array::from_fn::<&mut [u8], N, _>(|_| rest.next().unwrap()));
            for (c, plane) in planes.iter().enumerate() {
                let want: Vec<u8> = pixels.chunks_exact(N).map(|pixel| pixel[c]).collect();
                assert_eq!(*plane, want, "plane {c} of {N}, {len} pixels");
            }
            assert_eq!(dealt::<N>(&pixels).as_slice(), planes);
            assert_eq!(dealt_out::<N>(pixels.clone()).as_slice(), planes);
            for gather in [gather::<N>, gather_up::<N>] {
                let mut back = vec![0xaa; N * len];
                gather(std::array::from_fn::<&[u8], N, _>(|c| planes[c].as_slice()), &mut back);
                assert_eq!(back, pixels, "{N} planes, {len} pixels");
            }
        }
    }

    #[test]
    fn large_pictures_are_dealt_out_part_by_part() {
        let len = limits::HEAP_BLOCK_BYTES_MAX / 3 + PIXELS_AT_ONCE / 3;
        let pixels: Vec<u8> = (0..3 * len).map(|i| (i * 7 + i / 251).to_le_bytes()[0]).collect();
        assert!(dealt::<3>(&pixels) == dealt_out::<3>(pixels), "{len} pixels");
    }

    #[test]
    fn every_sample_goes_to_its_plane_and_back() {
        for len in [0, 1, 15, 16, 17, 31, 33, 256, 1000] {
            check::<1>(len);
            check::<2>(len);
            check::<3>(len);
            check::<4>(len);
            check::<5>(len);
        }
    }
}
