//! [`Lanes`] as AVX2 has them: two registers a vector.
//!
//! Both are written out, where `map` would be shorter: a closure that is not inlined is compiled without AVX2.

use std::arch::x86_64::*;

use super::lanes::{Lanes, Line};
use super::level::Avx2;

macro_rules! op {
    ($e:expr) => {
        // SAFETY: an `Avx2` exists only if `detect` saw these instructions on this CPU; loads and stores go through
        // references to arrays of the vector's whole size.
        unsafe { $e }
    };
}

macro_rules! both {
    ($f:expr, $a:expr, $b:expr) => {
        op!([$f($a[0], $b[0]), $f($a[1], $b[1])])
    };
}

impl Lanes for Avx2 {
    const MULTIPLIES_PAIRS: bool = true;

    type I = [__m256i; 2];
    type F = [__m256; 2];

    #[inline(always)]
    fn prefetch(self, byte: &u8) {
        op!(_mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast()));
    }

    #[inline(always)]
    fn splat(self, v: i32) -> Self::I {
        op!([_mm256_set1_epi32(v); 2])
    }

    #[inline(always)]
    fn load(self, line: &Line) -> Self::I {
        let at = line.0.as_chunks::<8>().0;
        op!([_mm256_load_si256(at[0].as_ptr().cast()), _mm256_load_si256(at[1].as_ptr().cast())])
    }

    #[inline(always)]
    fn store(self, line: &mut Line, v: Self::I) {
        let at = line.0.as_chunks_mut::<8>().0;
        op!(_mm256_store_si256(at[0].as_mut_ptr().cast(), v[0]));
        op!(_mm256_store_si256(at[1].as_mut_ptr().cast(), v[1]));
    }

    #[inline(always)]
    fn load_u8(self, bytes: &[u8; 64]) -> Self::I {
        let at = bytes.as_chunks::<32>().0;
        op!([_mm256_loadu_si256(at[0].as_ptr().cast()), _mm256_loadu_si256(at[1].as_ptr().cast())])
    }

    #[inline(always)]
    fn load_words(self, words: &[i16; 32]) -> Self::I {
        let at = words.as_chunks::<16>().0;
        op!([_mm256_loadu_si256(at[0].as_ptr().cast()), _mm256_loadu_si256(at[1].as_ptr().cast())])
    }

    #[inline(always)]
    fn words(self, v: Self::I) -> [i16; 32] {
        // SAFETY: both are 64 bytes of plain data.
        unsafe { std::mem::transmute(v) }
    }

    #[inline(always)]
    fn to_quarters(self, v: Self::I) -> [[u8; 16]; 4] {
        // SAFETY: both are 64 bytes of plain data.
        unsafe { std::mem::transmute(v) }
    }

    #[inline(always)]
    fn unpack_lo_u8(self, a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_unpacklo_epi8, a, b)
    }

    #[inline(always)]
    fn unpack_hi_u8(self, a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_unpackhi_epi8, a, b)
    }

    #[inline(always)]
    fn unpack_lo_i16(self, a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_unpacklo_epi16, a, b)
    }

    #[inline(always)]
    fn unpack_hi_i16(self, a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_unpackhi_epi16, a, b)
    }

    #[inline(always)]
    fn unpack_lo_i32(self, a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_unpacklo_epi32, a, b)
    }

    #[inline(always)]
    fn unpack_hi_i32(self, a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_unpackhi_epi32, a, b)
    }

    #[inline(always)]
    fn unpack_lo_i64(self, a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_unpacklo_epi64, a, b)
    }

    #[inline(always)]
    fn unpack_hi_i64(self, a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_unpackhi_epi64, a, b)
    }

    #[inline(always)]
    fn turn_quarters(self, [a, b, c, d]: [Self::I; 4]) -> [Self::I; 4] {
        op!([
            [_mm256_permute2x128_si256::<0x20>(a[0], b[0]), _mm256_permute2x128_si256::<0x20>(c[0], d[0])],
            [_mm256_permute2x128_si256::<0x31>(a[0], b[0]), _mm256_permute2x128_si256::<0x31>(c[0], d[0])],
            [_mm256_permute2x128_si256::<0x20>(a[1], b[1]), _mm256_permute2x128_si256::<0x20>(c[1], d[1])],
            [_mm256_permute2x128_si256::<0x31>(a[1], b[1]), _mm256_permute2x128_si256::<0x31>(c[1], d[1])],
        ])
    }

    #[inline(always)]
    fn turn_bytes(self, v: Self::I) -> Self::I {
        op!({
            let turned = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            let turned = _mm256_broadcastsi128_si256(turned);
            [_mm256_shuffle_epi8(v[0], turned), _mm256_shuffle_epi8(v[1], turned)]
        })
    }

    #[inline(always)]
    fn pack_i16(self, a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_packs_epi32, a, b)
    }

    #[inline(always)]
    fn pack_u8(self, a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_packus_epi16, a, b)
    }

    #[inline(always)]
    fn madd(self, acc: Self::I, a: Self::I, b: Self::I) -> Self::I {
        let products = both!(_mm256_madd_epi16, a, b);
        both!(_mm256_add_epi32, acc, products)
    }

    #[inline(always)]
    fn shift_right(self, v: Self::I, bits: u32) -> Self::I {
        op!({
            let bits = _mm_cvtsi32_si128(bits.cast_signed());
            [_mm256_sra_epi32(v[0], bits), _mm256_sra_epi32(v[1], bits)]
        })
    }

    #[inline(always)]
    fn add(self, a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_add_epi32, a, b)
    }

    #[inline(always)]
    fn add_words(self, a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_add_epi16, a, b)
    }

    #[inline(always)]
    fn mul_words(self, a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_mullo_epi16, a, b)
    }

    #[inline(always)]
    fn to_float(self, v: Self::I) -> Self::F {
        op!([_mm256_cvtepi32_ps(v[0]), _mm256_cvtepi32_ps(v[1])])
    }

    #[inline(always)]
    fn sqrt(self, v: Self::F) -> Self::F {
        op!([_mm256_sqrt_ps(v[0]), _mm256_sqrt_ps(v[1])])
    }

    #[inline(always)]
    fn splat_f(self, v: f32) -> Self::F {
        op!([_mm256_set1_ps(v); 2])
    }

    #[inline(always)]
    fn levels(self, bytes: &[u8; 16]) -> Self::F {
        op!({
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            [
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(bytes, bytes))),
            ]
        })
    }

    #[inline(always)]
    fn look_up(self, table: &[f32; 256], bytes: &[u8; 16]) -> Self::F {
        // SAFETY: as of `op!`; a byte is an index of the table.
        unsafe {
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            let upper = _mm_unpackhi_epi64(bytes, bytes);
            [
                _mm256_i32gather_ps::<4>(table.as_ptr(), _mm256_cvtepu8_epi32(bytes)),
                _mm256_i32gather_ps::<4>(table.as_ptr(), _mm256_cvtepu8_epi32(upper)),
            ]
        }
    }

    #[inline(always)]
    fn as_float(self, v: Self::I) -> Self::F {
        op!([_mm256_castsi256_ps(v[0]), _mm256_castsi256_ps(v[1])])
    }

    #[inline(always)]
    fn as_int(self, v: Self::F) -> Self::I {
        op!([_mm256_castps_si256(v[0]), _mm256_castps_si256(v[1])])
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_mul_ps, a, b)
    }

    #[inline(always)]
    fn mul_add(self, acc: Self::F, a: Self::F, b: Self::F) -> Self::F {
        op!([_mm256_fmadd_ps(a[0], b[0], acc[0]), _mm256_fmadd_ps(a[1], b[1], acc[1])])
    }

    #[inline(always)]
    fn reciprocal(self, v: Self::F) -> Self::F {
        op!({
            let (zero, one) = (_mm256_setzero_ps(), _mm256_set1_ps(1.0));
            let positive = [_mm256_cmp_ps::<_CMP_GT_OQ>(v[0], zero), _mm256_cmp_ps::<_CMP_GT_OQ>(v[1], zero)];
            [_mm256_and_ps(_mm256_div_ps(one, v[0]), positive[0]), _mm256_and_ps(_mm256_div_ps(one, v[1]), positive[1])]
        })
    }

    #[inline(always)]
    fn floor_within(self, v: Self::F, max: f32) -> Self::I {
        // The second operand of `max` is the result for a NaN.
        op!({
            let (zero, max) = (_mm256_setzero_ps(), _mm256_set1_ps(max));
            [
                _mm256_cvttps_epi32(_mm256_min_ps(_mm256_max_ps(v[0], zero), max)),
                _mm256_cvttps_epi32(_mm256_min_ps(_mm256_max_ps(v[1], zero), max)),
            ]
        })
    }
}
