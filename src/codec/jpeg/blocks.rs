//! Rows of samples into quantised coefficients, block by block: the transform is the accurate integer one of libjpeg
//! ("islow"), to the bit, in 16 bits where that is enough.
//!
//! Source: Loeffler, Ligtenberg and Moschytz, "Practical Fast 1-D DCT Algorithms with 11 Multiplications" (1989), figure 1;
//! ITU-T T.81, annexes A.3 and K.1.

use crate::pixel::Size;

/// Places of the zigzag sequence in rows of eight (T.81, figure A.6).
pub(super) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Steps for luma (T.81, table K.1) and for chroma (table K.2).
const STEPS: [[u8; 64]; 2] = [
    [
        16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29,
        51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121,
        120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
    ],
    [
        17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99,
    ],
];

/// Quantised coefficients in zigzag order.
pub(super) struct Block {
    pub(super) levels: [i16; 64],
    /// A bit for each but the first that is not 0, the first the lowest: most are 0.
    pub(super) is_set: u64,
}

/// Division by the steps of one quality.
pub(super) struct Quantiser {
    /// In rows, as the file says them.
    pub(super) steps: [u8; 64],
    /// Twice the reciprocals of eight steps in 2⁻¹⁵, and what is added before they multiply, which rounds.
    reciprocals: [u16; 64],
    corrections: [u16; 64],
}

impl Quantiser {
    /// For luma or chroma, scaled by quality (1 to 100) as libjpeg does it.
    #[expect(clippy::cast_possible_truncation, reason = "steps are 1 to 255, reciprocals of 8 or more")]
    pub(super) fn new(is_chroma: bool, quality: u8) -> Self {
        let scale = if quality < 50 { 5000 / u32::from(quality) } else { 200 - 2 * u32::from(quality) };
        let steps =
            STEPS[usize::from(is_chroma)].map(|step| ((u32::from(step) * scale + 50) / 100).clamp(1, 255) as u8);
        let (mut reciprocals, mut corrections) = ([0; 64], [0; 64]);
        for (i, step) in steps.iter().enumerate() {
            // Coefficients come times 8.
            let step = 8 * u32::from(*step);
            let (whole, rest) = ((1 << 15) / step, (1 << 15) % step);
            // What the cut reciprocal lacks is made up for, above or below.
            let (reciprocal, correction) = match rest {
                0 => (whole, step / 2),
                rest if rest <= step / 2 => (whole, step / 2 + 1),
                _ => (whole + 1, step / 2),
            };
            (reciprocals[i], corrections[i]) = (2 * reciprocal as u16, correction as u16);
        }
        Self { steps, reciprocals, corrections }
    }
}

/// One component: where its samples come from, and whether its blocks are made of fewer.
pub(super) struct Component<'i> {
    /// Of its samples.
    pub(super) size: Size,
    /// Whether blocks are made of means of 2×2 samples.
    pub(super) is_halved: bool,
    pub(super) row: Row<'i>,
}

/// Writes a row of samples, from the top.
pub(super) type Row<'i> = Box<dyn Fn(usize, &mut [u8]) + 'i>;

impl Component<'_> {
    /// Columns and rows of blocks that cover it.
    pub(super) fn blocks(&self) -> (usize, usize) {
        let Size { w, h } = if self.is_halved { self.size.half() } else { self.size };
        (w.div_ceil(8) as usize, h.div_ceil(8) as usize)
    }

    /// Appends row `y` of blocks, `across` of them; where they go beyond the samples, the last ones are repeated.
    pub(super) fn append(&self, y: usize, across: usize, quantiser: &Quantiser, out: &mut Vec<Block>) {
        let mut strip = vec![[0; 8]; 8 * across];
        let mut pair = vec![0; if self.is_halved { 32 * across } else { 0 }];
        for (y, line) in (8 * y..).zip(strip.chunks_exact_mut(across)) {
            let line = line.as_flattened_mut();
            if self.is_halved {
                let (top, bottom) = pair.split_at_mut(16 * across);
                self.line(2 * y, top);
                self.line(2 * y + 1, bottom);
                halve(top, bottom, line);
            } else {
                self.line(y, line);
            }
        }
        out.extend((0..across).map(|x| block(std::array::from_fn(|i| strip[i * across + x]), quantiser)));
    }

    fn line(&self, y: usize, out: &mut [u8]) {
        let (w, h) = (self.size.w as usize, self.size.h as usize);
        let (row, beyond) = out.split_at_mut(w);
        (self.row)(y.min(h - 1), row);
        beyond.fill(row[w - 1]);
    }
}

/// Means of 2×2; halves are rounded down and up in turn, as libjpeg does.
#[expect(clippy::cast_possible_truncation, reason = "means of bytes")]
fn halve(top: &[u8], bottom: &[u8], out: &mut [u8]) {
    let pairs = top.as_chunks::<4>().0.iter().zip(bottom.as_chunks::<4>().0);
    for (out, (top, bottom)) in out.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
        let columns: [u16; 4] = std::array::from_fn(|i| u16::from(top[i]) + u16::from(bottom[i]));
        *out = [((columns[0] + columns[1] + 1) / 4) as u8, ((columns[2] + columns[3] + 2) / 4) as u8];
    }
}

fn block(rows: [[u8; 8]; 8], quantiser: &Quantiser) -> Block {
    let centred: [[i16; 8]; 8] = std::array::from_fn(|x| std::array::from_fn(|y| i16::from(rows[y][x]) - 128));
    let coefficients = transformed::<15>(&turned(&transformed::<11>(&centred)));
    let levels = quantised(coefficients.as_flattened(), quantiser);
    let (mut zigzag, mut is_set) = ([0; 64], 0_u64);
    for (k, (out, at)) in zigzag.iter_mut().zip(ZIGZAG).enumerate() {
        *out = levels[usize::from(at)];
        is_set |= u64::from(*out != 0) << k;
    }
    Block { levels: zigzag, is_set: is_set & !1 }
}

#[inline(always)]
fn turned(v: &[[i16; 8]; 8]) -> [[i16; 8]; 8] {
    std::array::from_fn(|i| std::array::from_fn(|j| v[j][i]))
}

/// Eight transforms side by side: column `i` holds the input of the `i`th. Sums stay below 2¹⁵. `BITS` are those by which
/// products are too large: after the first of two transforms two are kept, after the second they go.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "islow's results fit 16 bits")]
fn transformed<const BITS: u32>(v: &[[i16; 8]; 8]) -> [[i16; 8]; 8] {
    let mut out = [[0; 8]; 8];
    let narrowed = |v: i32| ((v + (1 << (BITS - 1))) >> BITS) as i16;
    let plain = |v: i16| if BITS == 11 { v << 2 } else { v.wrapping_add(2) >> 2 };
    let pair = |a: i16, ka: i32, b: i16, kb: i32| i32::from(a) * ka + i32::from(b) * kb;
    for i in 0..8 {
        let (sum, difference) = (|k: usize| v[k][i] + v[7 - k][i], |k: usize| v[k][i] - v[7 - k][i]);
        let [s0, s1, s2, s3] = [sum(0), sum(1), sum(2), sum(3)];
        let [d0, d1, d2, d3] = [difference(0), difference(1), difference(2), difference(3)];
        let (even0, even1, even2, even3) = (s0 + s3, s1 + s2, s1 - s2, s0 - s3);
        out[0][i] = plain(even0.wrapping_add(even1));
        out[4][i] = plain(even0 - even1);
        out[2][i] = narrowed(pair(even2, 4433, even3, 10703));
        out[6][i] = narrowed(pair(even2, -10704, even3, 4433));
        let (z3, z4) = (d3 + d1, d2 + d0);
        let (odd3, odd4) = (pair(z3, -6436, z4, 9633), pair(z3, 9633, z4, 6437));
        out[7][i] = narrowed(pair(d3, -4927, d0, -7373) + odd3);
        out[5][i] = narrowed(pair(d2, -4176, d1, -20995) + odd4);
        out[3][i] = narrowed(pair(d1, 4177, d2, -20995) + odd3);
        out[1][i] = narrowed(pair(d0, 4926, d3, -7373) + odd4);
    }
    out
}

#[inline(always)]
fn quantised(coefficients: &[i16], quantiser: &Quantiser) -> [i16; 64] {
    let mut levels = [0; 64];
    let by = quantiser.reciprocals.iter().zip(&quantiser.corrections);
    for ((out, v), (&reciprocal, &correction)) in levels.iter_mut().zip(coefficients).zip(by) {
        let level = (u32::from(v.unsigned_abs() + correction) * u32::from(reciprocal)) >> 16;
        let sign = v >> 15;
        *out = (level as i16 ^ sign) - sign;
    }
    levels
}
