//! [`Lanes`] as AVX-512 has them.

use std::arch::x86_64::*;

use super::lanes::{Lanes, Line};
use super::level::Avx512;

macro_rules! op {
    ($e:expr) => {
        // SAFETY: an `Avx512` exists only if `detect` saw these instructions on this CPU; loads and stores go through
        // references to arrays of the vector's whole size.
        unsafe { $e }
    };
}

impl Lanes for Avx512 {
    const MULTIPLIES_PAIRS: bool = true;

    type I = __m512i;
    type F = __m512;

    #[inline(always)]
    fn prefetch(self, byte: &u8) {
        op!(_mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast()));
    }

    #[inline(always)]
    fn splat(self, v: i32) -> Self::I {
        op!(_mm512_set1_epi32(v))
    }

    #[inline(always)]
    fn load(self, line: &Line) -> Self::I {
        op!(_mm512_load_si512(std::ptr::from_ref(line).cast()))
    }

    #[inline(always)]
    fn store(self, line: &mut Line, v: Self::I) {
        op!(_mm512_store_si512(std::ptr::from_mut(line).cast(), v));
    }

    #[inline(always)]
    fn load_u8(self, bytes: &[u8; 64]) -> Self::I {
        op!(_mm512_loadu_si512(bytes.as_ptr().cast()))
    }

    #[inline(always)]
    fn load_words(self, words: &[i16; 32]) -> Self::I {
        op!(_mm512_loadu_si512(words.as_ptr().cast()))
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
        op!(_mm512_unpacklo_epi8(a, b))
    }

    #[inline(always)]
    fn unpack_hi_u8(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_unpackhi_epi8(a, b))
    }

    #[inline(always)]
    fn unpack_lo_i16(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_unpacklo_epi16(a, b))
    }

    #[inline(always)]
    fn unpack_hi_i16(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_unpackhi_epi16(a, b))
    }

    #[inline(always)]
    fn unpack_lo_i32(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_unpacklo_epi32(a, b))
    }

    #[inline(always)]
    fn unpack_hi_i32(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_unpackhi_epi32(a, b))
    }

    #[inline(always)]
    fn unpack_lo_i64(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_unpacklo_epi64(a, b))
    }

    #[inline(always)]
    fn unpack_hi_i64(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_unpackhi_epi64(a, b))
    }

    #[inline(always)]
    fn turn_quarters(self, [a, b, c, d]: [Self::I; 4]) -> [Self::I; 4] {
        op!({
            let ab_lo = _mm512_shuffle_i32x4::<0b01_00_01_00>(a, b);
            let ab_hi = _mm512_shuffle_i32x4::<0b11_10_11_10>(a, b);
            let cd_lo = _mm512_shuffle_i32x4::<0b01_00_01_00>(c, d);
            let cd_hi = _mm512_shuffle_i32x4::<0b11_10_11_10>(c, d);
            [
                _mm512_shuffle_i32x4::<0b10_00_10_00>(ab_lo, cd_lo),
                _mm512_shuffle_i32x4::<0b11_01_11_01>(ab_lo, cd_lo),
                _mm512_shuffle_i32x4::<0b10_00_10_00>(ab_hi, cd_hi),
                _mm512_shuffle_i32x4::<0b11_01_11_01>(ab_hi, cd_hi),
            ]
        })
    }

    #[inline(always)]
    fn turn_bytes(self, v: Self::I) -> Self::I {
        op!({
            let turned = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(turned))
        })
    }

    #[inline(always)]
    fn pack_i16(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_packs_epi32(a, b))
    }

    #[inline(always)]
    fn pack_u8(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_packus_epi16(a, b))
    }

    #[inline(always)]
    fn madd(self, acc: Self::I, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_dpwssd_epi32(acc, a, b))
    }

    #[inline(always)]
    fn shift_right(self, v: Self::I, bits: u32) -> Self::I {
        op!(_mm512_sra_epi32(v, _mm_cvtsi32_si128(bits.cast_signed())))
    }

    #[inline(always)]
    fn add(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_add_epi32(a, b))
    }

    #[inline(always)]
    fn add_words(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_add_epi16(a, b))
    }

    #[inline(always)]
    fn mul_words(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_mullo_epi16(a, b))
    }

    #[inline(always)]
    fn to_float(self, v: Self::I) -> Self::F {
        op!(_mm512_cvtepi32_ps(v))
    }

    #[inline(always)]
    fn sqrt(self, v: Self::F) -> Self::F {
        op!(_mm512_sqrt_ps(v))
    }

    #[inline(always)]
    fn splat_f(self, v: f32) -> Self::F {
        op!(_mm512_set1_ps(v))
    }

    #[inline(always)]
    fn levels(self, bytes: &[u8; 16]) -> Self::F {
        op!(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast()))))
    }

    #[inline(always)]
    fn look_up(self, table: &[f32; 256], bytes: &[u8; 16]) -> Self::F {
        // SAFETY: as of `op!`; a byte is an index of the table.
        unsafe {
            let at = _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast()));
            _mm512_i32gather_ps::<4>(at, table.as_ptr())
        }
    }

    #[inline(always)]
    fn as_float(self, v: Self::I) -> Self::F {
        op!(_mm512_castsi512_ps(v))
    }

    #[inline(always)]
    fn as_int(self, v: Self::F) -> Self::I {
        op!(_mm512_castps_si512(v))
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn mul_add(self, acc: Self::F, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_fmadd_ps(a, b, acc))
    }

    #[inline(always)]
    fn reciprocal(self, v: Self::F) -> Self::F {
        op!({
            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(v, _mm512_setzero_ps());
            _mm512_maskz_div_ps(positive, _mm512_set1_ps(1.0), v)
        })
    }

    #[inline(always)]
    fn floor_within(self, v: Self::F, max: f32) -> Self::I {
        // The second operand of `max` is the result for a NaN.
        op!(_mm512_cvttps_epi32(_mm512_min_ps(_mm512_max_ps(v, _mm512_setzero_ps()), _mm512_set1_ps(max))))
    }
}
