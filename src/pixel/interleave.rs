//! Interleaved samples into planes and back: plain loops, which compilers turn into shuffles where the processor has them.
//!
//! Three bytes a pixel take instructions that not every x86-64 has, so these loops are compiled twice.
#![allow(unsafe_code, reason = "vector instructions, called where the processor has been seen to have them")]

/// Deals interleaved samples out to their planes: sample `c` of pixel `i` is `pixels[N * i + c]`.
///
/// # Panics
/// If a plane has not as many samples as there are pixels: a bug in the caller.
pub fn deal<const N: usize>(pixels: &[u8], planes: [&mut [u8]; N]) {
    let len = pixels.len() / N;
    assert!(planes.iter().all(|plane| plane.len() == len), "planes of {len} samples");
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[target_feature(enable = "avx2")]
        fn with_avx2<const N: usize>(pixels: &[u8], planes: [&mut [u8]; N]) {
            deal_out(pixels, planes);
        }
        // SAFETY: this processor has AVX2.
        return unsafe { with_avx2(pixels, planes) };
    }
    deal_out(pixels, planes);
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

#[inline(always)]
fn deal_out<const N: usize>(pixels: &[u8], mut planes: [&mut [u8]; N]) {
    match &mut planes[..] {
        [a, b, c] => {
            let planes = a.iter_mut().zip(b.iter_mut()).zip(c.iter_mut());
            for (pixel, ((a, b), c)) in pixels.as_chunks::<3>().0.iter().zip(planes) {
                [*a, *b, *c] = *pixel;
            }
        }
        planes => {
            for (c, plane) in planes.iter_mut().enumerate() {
                for (v, pixel) in plane.iter_mut().zip(pixels.as_chunks::<N>().0) {
                    *v = pixel[c];
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
    use super::{deal, gather};

    fn check<const N: usize>(len: usize) {
        let pixels: Vec<u8> = (0..N * len).map(|i| (i * 7 + i / 251).to_le_bytes()[0]).collect();
        let mut planes = vec![vec![0xaa; len]; N];
        let mut rest = planes.iter_mut();
        deal(&pixels, std::array::from_fn::<&mut [u8], N, _>(|_| rest.next().unwrap()));
        for (c, plane) in planes.iter().enumerate() {
            let want: Vec<u8> = pixels.chunks_exact(N).map(|pixel| pixel[c]).collect();
            assert_eq!(*plane, want, "plane {c} of {N}, {len} pixels");
        }
        let mut back = vec![0xaa; N * len];
        gather(std::array::from_fn::<&[u8], N, _>(|c| planes[c].as_slice()), &mut back);
        assert_eq!(back, pixels, "{N} planes, {len} pixels");
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
