//! The vector operations that the kernels are written in, and their portable meaning.
//!
//! A vector is 512 bits on every level (two registers on AVX2), seen as 16 i32, 32 i16, 64 u8 or 16 f32. Operations that
//! pair or pack work inside its four 128-bit quarters, as x86 does it, so that each is one instruction there.

/// One vector in memory, on its own cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [i32; 16]);

/// 512-bit vectors of one instruction set.
pub(super) trait Lanes: Copy {
    /// Whether `madd` is an instruction.
    const MULTIPLIES_PAIRS: bool;
    /// 16 i32, 32 i16 or 64 u8.
    type I: Copy;
    /// 16 f32.
    type F: Copy;

    /// Asks for a cache line that will be read soon.
    fn prefetch(self, byte: &u8);

    fn splat(self, v: i32) -> Self::I;
    fn load(self, line: &Line) -> Self::I;
    fn store(self, line: &mut Line, v: Self::I);
    fn load_u8(self, bytes: &[u8; 64]) -> Self::I;
    fn load_words(self, words: &[i16; 32]) -> Self::I;
    /// The 32 i16.
    fn words(self, v: Self::I) -> [i16; 32];
    /// The four quarters, first to last.
    fn to_quarters(self, v: Self::I) -> [[u8; 16]; 4];

    /// Bytes of `a` and `b` in turn, from the lower halves of each quarter.
    fn unpack_lo_u8(self, a: Self::I, b: Self::I) -> Self::I;
    /// … from the upper halves.
    fn unpack_hi_u8(self, a: Self::I, b: Self::I) -> Self::I;
    fn unpack_lo_i16(self, a: Self::I, b: Self::I) -> Self::I;
    fn unpack_hi_i16(self, a: Self::I, b: Self::I) -> Self::I;
    fn unpack_lo_i32(self, a: Self::I, b: Self::I) -> Self::I;
    fn unpack_hi_i32(self, a: Self::I, b: Self::I) -> Self::I;
    fn unpack_lo_i64(self, a: Self::I, b: Self::I) -> Self::I;
    fn unpack_hi_i64(self, a: Self::I, b: Self::I) -> Self::I;
    /// Quarter `q` of result `i` is quarter `i` of `v[q]`.
    fn turn_quarters(self, v: [Self::I; 4]) -> [Self::I; 4];
    /// Each quarter seen as 4 × 4 bytes, turned.
    fn turn_bytes(self, v: Self::I) -> Self::I;
    /// i32 of `a`, then of `b`, to i16 with saturation, quarter by quarter.
    fn pack_i16(self, a: Self::I, b: Self::I) -> Self::I;
    /// i16 of `a`, then of `b`, to u8 with saturation, quarter by quarter.
    fn pack_u8(self, a: Self::I, b: Self::I) -> Self::I;

    /// `acc + a.even · b.even + a.odd · b.odd`: i16 products, i32 sums.
    fn madd(self, acc: Self::I, a: Self::I, b: Self::I) -> Self::I;
    /// Each i32 shifted down, its sign kept.
    fn shift_right(self, v: Self::I, bits: u32) -> Self::I;
    /// Sums of i32.
    fn add(self, a: Self::I, b: Self::I) -> Self::I;
    /// Sums of i16, their lowest 16 bits.
    fn add_words(self, a: Self::I, b: Self::I) -> Self::I;
    /// Products of i16, their lowest 16 bits.
    fn mul_words(self, a: Self::I, b: Self::I) -> Self::I;

    fn splat_f(self, v: f32) -> Self::F;
    /// 16 bytes as 0.0 to 255.0.
    fn levels(self, bytes: &[u8; 16]) -> Self::F;
    /// The table's entries for 16 bytes.
    fn look_up(self, table: &[f32; 256], bytes: &[u8; 16]) -> Self::F;
    /// The nearest f32 to each i32.
    fn to_float(self, v: Self::I) -> Self::F;
    /// Roots, rounded to the nearest; NaN below 0.
    fn sqrt(self, v: Self::F) -> Self::F;
    fn as_float(self, v: Self::I) -> Self::F;
    fn as_int(self, v: Self::F) -> Self::I;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `acc + a · b`, rounded once or twice.
    fn mul_add(self, acc: Self::F, a: Self::F, b: Self::F) -> Self::F;
    /// `1 / v` where `v > 0`, else 0.
    fn reciprocal(self, v: Self::F) -> Self::F;
    /// `⌊v⌋` of `v` brought into `0..=max`; NaN gives 0.
    fn floor_within(self, v: Self::F, max: f32) -> Self::I;

    /// i32 that came of `unpack_lo_i16` and `unpack_hi_i16`, back in the order of the i16.
    #[inline(always)]
    fn natural(self, v: [Self::I; 2]) -> [i32; 32] {
        let [lo, hi] = v.map(|v| self.to_quarters(v));
        let mut out = [0; 32];
        for (eight, (lo, hi)) in out.as_chunks_mut::<8>().0.iter_mut().zip(lo.iter().zip(hi)) {
            for (v, bytes) in eight.iter_mut().zip(lo.as_chunks::<4>().0.iter().chain(hi.as_chunks::<4>().0)) {
                *v = i32::from_le_bytes(*bytes);
            }
        }
        out
    }

    /// 16 vectors of 16 i32 seen as a matrix, turned.
    #[inline(always)]
    fn transpose(self, rows: &[Self::I; 16]) -> [Self::I; 16] {
        let mut out = *rows;
        for g in 0..4 {
            let t0 = self.unpack_lo_i32(rows[4 * g], rows[4 * g + 1]);
            let t1 = self.unpack_hi_i32(rows[4 * g], rows[4 * g + 1]);
            let t2 = self.unpack_lo_i32(rows[4 * g + 2], rows[4 * g + 3]);
            let t3 = self.unpack_hi_i32(rows[4 * g + 2], rows[4 * g + 3]);
            out[g] = self.unpack_lo_i64(t0, t2);
            out[4 + g] = self.unpack_hi_i64(t0, t2);
            out[8 + g] = self.unpack_lo_i64(t1, t3);
            out[12 + g] = self.unpack_hi_i64(t1, t3);
        }
        // out[4 j + g], quarter q, now holds rows 4 g .. 4 g + 4 of column 4 q + j.
        let mut columns = out;
        for j in 0..4 {
            let turned = self.turn_quarters([out[4 * j], out[4 * j + 1], out[4 * j + 2], out[4 * j + 3]]);
            for (q, v) in turned.into_iter().enumerate() {
                columns[4 * q + j] = v;
            }
        }
        columns
    }

    /// 16 columns of 16 i32 brought into 0..=255, as 16 rows of 16 bytes.
    #[inline(always)]
    fn columns_to_rows(self, columns: &[Self::I; 16]) -> [[u8; 16]; 16] {
        let mut four = [columns[0]; 4];
        for (j, v) in four.iter_mut().enumerate() {
            let lo = self.pack_i16(columns[4 * j], columns[4 * j + 1]);
            let hi = self.pack_i16(columns[4 * j + 2], columns[4 * j + 3]);
            *v = self.turn_bytes(self.pack_u8(lo, hi));
        }
        let t0 = self.unpack_lo_i32(four[0], four[1]);
        let t1 = self.unpack_hi_i32(four[0], four[1]);
        let t2 = self.unpack_lo_i32(four[2], four[3]);
        let t3 = self.unpack_hi_i32(four[2], four[3]);
        let rows = [
            self.unpack_lo_i64(t0, t2),
            self.unpack_hi_i64(t0, t2),
            self.unpack_lo_i64(t1, t3),
            self.unpack_hi_i64(t1, t3),
        ];
        let mut out = [[0; 16]; 16];
        for (i, v) in rows.into_iter().enumerate() {
            for (q, bytes) in self.to_quarters(v).into_iter().enumerate() {
                out[4 * q + i] = bytes;
            }
        }
        out
    }
}

/// Plain arrays; what the compiler makes of them is what the target always has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

/// `T` lanes from `N` of them, quarter by quarter: `pick(quarter, lane)`.
macro_rules! by_quarter {
    ($lanes:literal, $pick:expr) => {{
        let mut out = [Default::default(); 4 * $lanes];
        for q in 0..4 {
            for k in 0..$lanes {
                out[$lanes * q + k] = $pick($lanes * q, k);
            }
        }
        out
    }};
}

fn bytes_of(v: [i32; 16]) -> [u8; 64] {
    let mut out = [0; 64];
    for (bytes, v) in out.as_chunks_mut::<4>().0.iter_mut().zip(v) {
        *bytes = v.to_le_bytes();
    }
    out
}

fn from_bytes(v: [u8; 64]) -> [i32; 16] {
    let mut out = [0; 16];
    for (v, bytes) in out.iter_mut().zip(v.as_chunks::<4>().0) {
        *v = i32::from_le_bytes(*bytes);
    }
    out
}

fn words_of(v: [i32; 16]) -> [i16; 32] {
    let mut out = [0; 32];
    for (pair, v) in out.as_chunks_mut::<2>().0.iter_mut().zip(v) {
        *pair = halves(v);
    }
    out
}

fn from_words(v: [i16; 32]) -> [i32; 16] {
    let mut out = [0; 16];
    for (v, pair) in out.iter_mut().zip(v.as_chunks::<2>().0) {
        *v = pair_of(pair[0], pair[1]);
    }
    out
}

/// Two i16 in one i32 lane, the first below.
pub(super) fn pair_of(even: i16, odd: i16) -> i32 {
    let (e, o) = (even.to_le_bytes(), odd.to_le_bytes());
    i32::from_le_bytes([e[0], e[1], o[0], o[1]])
}

fn halves(v: i32) -> [i16; 2] {
    let b = v.to_le_bytes();
    [i16::from_le_bytes([b[0], b[1]]), i16::from_le_bytes([b[2], b[3]])]
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped just before")]
impl Lanes for Portable {
    const MULTIPLIES_PAIRS: bool = false;

    type I = [i32; 16];
    type F = [f32; 16];

    fn prefetch(self, _: &u8) {}

    fn splat(self, v: i32) -> Self::I {
        [v; 16]
    }

    fn load(self, line: &Line) -> Self::I {
        line.0
    }

    fn store(self, line: &mut Line, v: Self::I) {
        line.0 = v;
    }

    fn load_u8(self, bytes: &[u8; 64]) -> Self::I {
        from_bytes(*bytes)
    }

    fn load_words(self, words: &[i16; 32]) -> Self::I {
        from_words(*words)
    }

    fn words(self, v: Self::I) -> [i16; 32] {
        words_of(v)
    }

    fn to_quarters(self, v: Self::I) -> [[u8; 16]; 4] {
        let bytes = bytes_of(v);
        let mut out = [[0; 16]; 4];
        out.copy_from_slice(bytes.as_chunks::<16>().0);
        out
    }

    fn unpack_lo_u8(self, a: Self::I, b: Self::I) -> Self::I {
        let (a, b) = (bytes_of(a), bytes_of(b));
        from_bytes(by_quarter!(16, |q: usize, k: usize| [&a, &b][k % 2][q + k / 2]))
    }

    fn unpack_hi_u8(self, a: Self::I, b: Self::I) -> Self::I {
        let (a, b) = (bytes_of(a), bytes_of(b));
        from_bytes(by_quarter!(16, |q: usize, k: usize| [&a, &b][k % 2][q + 8 + k / 2]))
    }

    fn unpack_lo_i16(self, a: Self::I, b: Self::I) -> Self::I {
        let (a, b) = (words_of(a), words_of(b));
        from_words(by_quarter!(8, |q: usize, k: usize| [&a, &b][k % 2][q + k / 2]))
    }

    fn unpack_hi_i16(self, a: Self::I, b: Self::I) -> Self::I {
        let (a, b) = (words_of(a), words_of(b));
        from_words(by_quarter!(8, |q: usize, k: usize| [&a, &b][k % 2][q + 4 + k / 2]))
    }

    fn unpack_lo_i32(self, a: Self::I, b: Self::I) -> Self::I {
        by_quarter!(4, |q: usize, k: usize| [&a, &b][k % 2][q + k / 2])
    }

    fn unpack_hi_i32(self, a: Self::I, b: Self::I) -> Self::I {
        by_quarter!(4, |q: usize, k: usize| [&a, &b][k % 2][q + 2 + k / 2])
    }

    fn unpack_lo_i64(self, a: Self::I, b: Self::I) -> Self::I {
        by_quarter!(4, |q: usize, k: usize| [&a, &b][k / 2][q + k % 2])
    }

    fn unpack_hi_i64(self, a: Self::I, b: Self::I) -> Self::I {
        by_quarter!(4, |q: usize, k: usize| [&a, &b][k / 2][q + 2 + k % 2])
    }

    fn turn_quarters(self, v: [Self::I; 4]) -> [Self::I; 4] {
        std::array::from_fn(|i| by_quarter!(4, |q: usize, k: usize| v[q / 4][4 * i + k]))
    }

    fn turn_bytes(self, v: Self::I) -> Self::I {
        let v = bytes_of(v);
        from_bytes(by_quarter!(16, |q: usize, k: usize| v[q + 4 * (k % 4) + k / 4]))
    }

    fn pack_i16(self, a: Self::I, b: Self::I) -> Self::I {
        let narrow = |v: i32| v.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        from_words(by_quarter!(8, |q: usize, k: usize| narrow([&a, &b][k / 4][q / 2 + k % 4])))
    }

    fn pack_u8(self, a: Self::I, b: Self::I) -> Self::I {
        let (a, b) = (words_of(a), words_of(b));
        from_bytes(by_quarter!(16, |q: usize, k: usize| [&a, &b][k / 8][q / 2 + k % 8].clamp(0, 255) as u8))
    }

    fn madd(self, acc: Self::I, a: Self::I, b: Self::I) -> Self::I {
        std::array::from_fn(|k| {
            let ([a0, a1], [b0, b1]) = (halves(a[k]), halves(b[k]));
            acc[k] + i32::from(a0) * i32::from(b0) + i32::from(a1) * i32::from(b1)
        })
    }

    fn shift_right(self, v: Self::I, bits: u32) -> Self::I {
        v.map(|v| v >> bits)
    }

    fn add(self, a: Self::I, b: Self::I) -> Self::I {
        std::array::from_fn(|k| a[k].wrapping_add(b[k]))
    }

    fn add_words(self, a: Self::I, b: Self::I) -> Self::I {
        let (a, b) = (words_of(a), words_of(b));
        from_words(std::array::from_fn(|k| a[k].wrapping_add(b[k])))
    }

    fn mul_words(self, a: Self::I, b: Self::I) -> Self::I {
        let (a, b) = (words_of(a), words_of(b));
        from_words(std::array::from_fn(|k| a[k].wrapping_mul(b[k])))
    }

    fn splat_f(self, v: f32) -> Self::F {
        [v; 16]
    }

    fn to_float(self, v: Self::I) -> Self::F {
        v.map(|v| v as f32)
    }

    fn sqrt(self, v: Self::F) -> Self::F {
        v.map(f32::sqrt)
    }

    fn levels(self, bytes: &[u8; 16]) -> Self::F {
        bytes.map(f32::from)
    }

    fn look_up(self, table: &[f32; 256], bytes: &[u8; 16]) -> Self::F {
        bytes.map(|b| table[usize::from(b)])
    }

    fn as_float(self, v: Self::I) -> Self::F {
        v.map(|v| f32::from_bits(v.cast_unsigned()))
    }

    fn as_int(self, v: Self::F) -> Self::I {
        v.map(|v| v.to_bits().cast_signed())
    }

    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|k| a[k] * b[k])
    }

    fn mul_add(self, acc: Self::F, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|k| acc[k] + a[k] * b[k])
    }

    fn reciprocal(self, v: Self::F) -> Self::F {
        v.map(|v| if v > 0.0 { 1.0 / v } else { 0.0 })
    }

    fn floor_within(self, v: Self::F, max: f32) -> Self::I {
        // `max` first: it drops a NaN.
        v.map(|v| v.max(0.0).min(max) as i32)
    }
}
