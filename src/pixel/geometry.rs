//! Sizes, rectangles, exact fractions and the ONLY rounding rules of the product (protocol.md, section 7).
//!
//! The original never states a rounding rule; ours is exact rational arithmetic, halves up, never below one pixel.

use std::cmp::Ordering;
use std::fmt;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Size {
    /// Width, px.
    pub w: u32,
    /// Height, px.
    pub h: u32,
}

impl Size {
    /// `w` × `h` pixels.
    pub const fn new(w: u32, h: u32) -> Self {
        Self { w, h }
    }

    /// `w · h`.
    pub const fn pixels(self) -> u64 {
        self.w as u64 * self.h as u64
    }

    /// `w · h` as a length in memory.
    pub const fn samples(self) -> usize {
        self.w as usize * self.h as usize
    }

    /// Size of a half-size chroma plane: ⌈w/2⌉ × ⌈h/2⌉.
    pub const fn half(self) -> Self {
        Self { w: self.w.div_ceil(2), h: self.h.div_ceil(2) }
    }

    /// Width and height exchanged.
    pub const fn transposed(self) -> Self {
        Self { w: self.h, h: self.w }
    }
}

impl From<Size> for [u32; 2] {
    fn from(size: Size) -> Self {
        [size.w, size.h]
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.w, self.h)
    }
}

/// A rectangle of pixels; the corner may lie outside the picture it refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rect {
    /// Left edge, px, from the picture's left edge.
    pub x: i64,
    /// Top edge, px, from the picture's top edge, downwards.
    pub y: i64,
    /// Width, px.
    pub w: u32,
    /// Height, px.
    pub h: u32,
}

impl Rect {
    /// The whole of a picture.
    pub const fn of(size: Size) -> Self {
        Self { x: 0, y: 0, w: size.w, h: size.h }
    }

    /// Its width and height.
    pub const fn size(self) -> Size {
        Size { w: self.w, h: self.h }
    }

    /// Whether it lies inside a picture of `size`.
    pub const fn lies_in(self, size: Size) -> bool {
        self.x >= 0 && self.y >= 0 && self.x + self.w as i64 <= size.w as i64 && self.y + self.h as i64 <= size.h as i64
    }
}

/// An exact fraction, always reduced, denominator above zero.
///
/// Numbers of URLs have at most [`Ratio::DIGITS_MAX`] digits, so sums and products of a few of them fit; what does not
/// fit is refused by the checked operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ratio {
    num: i128,
    den: i128,
}

const fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Ratio {
    /// Significant digits a decimal of a URL may have: more than any real request needs.
    pub const DIGITS_MAX: usize = 12;
    /// 0.
    pub const ZERO: Self = Self { num: 0, den: 1 };
    /// 1.
    pub const ONE: Self = Self { num: 1, den: 1 };

    /// `num / den`, reduced.
    ///
    /// # Panics
    /// If `den` is 0: a bug in the caller.
    pub const fn new(num: i128, den: i128) -> Self {
        assert!(den != 0, "a fraction with denominator 0");
        let sign = if den < 0 { -1 } else { 1 };
        let g = gcd(num.unsigned_abs(), den.unsigned_abs()) as i128;
        let g = if g == 0 { 1 } else { g };
        Self { num: sign * num / g, den: sign * den / g }
    }

    /// A whole number.
    pub const fn int(n: i64) -> Self {
        Self { num: n as i128, den: 1 }
    }

    /// Reads a plain decimal (`-12`, `.5`, `3.`, `0.125`), exactly. No exponent, no `inf`, no `nan`; `None` when it is
    /// not one or has more than [`Self::DIGITS_MAX`] digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let whole_significant = whole.trim_start_matches('0');
        if digits.len() == usize::from(digits.contains('.'))
            || whole_significant.len() + fraction.len() > Self::DIGITS_MAX
            || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let mut num: i128 = 0;
        for b in whole.bytes().chain(fraction.bytes()) {
            num = num * 10 + i128::from(b - b'0');
        }
        let den = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        Some(Self::new(if negative { -num } else { num }, den))
    }

    /// Numerator of the reduced fraction.
    pub const fn num(self) -> i128 {
        self.num
    }

    /// Denominator of the reduced fraction, above zero.
    pub const fn den(self) -> i128 {
        self.den
    }

    /// The nearest f64.
    pub fn to_f64(self) -> f64 {
        self.num as f64 / self.den as f64
    }

    /// `self + other`.
    pub fn plus(self, other: Self) -> Self {
        Self::new(self.num * other.den + other.num * self.den, self.den * other.den)
    }

    /// `self − other`.
    pub fn minus(self, other: Self) -> Self {
        Self::new(self.num * other.den - other.num * self.den, self.den * other.den)
    }

    /// `self · other`.
    pub fn times(self, other: Self) -> Self {
        let g1 = gcd(self.num.unsigned_abs(), other.den.unsigned_abs()).max(1) as i128;
        let g2 = gcd(other.num.unsigned_abs(), self.den.unsigned_abs()).max(1) as i128;
        Self::new((self.num / g1) * (other.num / g2), (self.den / g2) * (other.den / g1))
    }

    /// `self / other`.
    ///
    /// # Panics
    /// If `other` is 0: a bug in the caller.
    pub fn over(self, other: Self) -> Self {
        self.times(Self::new(other.den, other.num))
    }

    /// ⌊self + ½⌋: halves up, also below zero.
    pub fn round(self) -> i64 {
        clamp_i64((2 * self.num + self.den).div_euclid(2 * self.den))
    }

    /// Towards zero.
    pub fn trunc(self) -> i64 {
        clamp_i64(self.num / self.den)
    }

    /// ⌊self⌋.
    pub fn floor(self) -> i64 {
        clamp_i64(self.num.div_euclid(self.den))
    }

    /// ⌈self⌉.
    pub fn ceil(self) -> i64 {
        clamp_i64(-(-self.num).div_euclid(self.den))
    }

    /// Whether it is above 0.
    pub const fn is_positive(self) -> bool {
        self.num > 0
    }
}

fn clamp_i64(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
}

impl Default for Ratio {
    fn default() -> Self {
        Self::ZERO
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.num * other.den).cmp(&(other.num * self.den))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 { write!(f, "{}", self.num) } else { write!(f, "{}/{}", self.num, self.den) }
    }
}

/// A free dimension: `len` scaled by `factor`, halves up, at least 1 px (protocol.md section 7), saturating at
/// `u32::MAX` so that ceilings are checked by the caller on a number that still says "too large".
pub fn scaled(len: u32, factor: Ratio) -> u32 {
    let n = factor.times(Ratio::int(i64::from(len))).round().max(1);
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Where an image of `scaled` px starts in a view of `view` px for `align` a in −1…1:
/// `trunc((view − scaled)·(1 + a)/2)` (protocol.md 2.2). Positive: padding before it; negative: px cut from its start.
pub fn offset(view: u32, scaled: u32, align: Ratio) -> i64 {
    let room = Ratio::int(i64::from(view) - i64::from(scaled));
    room.times(align.plus(Ratio::ONE)).over(Ratio::int(2)).trunc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_as_protocol_section_7() {
        assert_eq!(scaled(3000, Ratio::new(400, 3000)), 400);
        assert_eq!(scaled(2000, Ratio::new(400, 3000)), 267);
        assert_eq!(scaled(333, Ratio::new(100, 1000)), 33);
        assert_eq!(scaled(335, Ratio::new(100, 1000)), 34);
        assert_eq!(scaled(1, Ratio::new(100, 3000)), 1);
        assert_eq!(scaled(75, Ratio::new(50, 100)), 38);
    }

    #[test]
    fn offsets_cut_and_pad_towards_zero() {
        assert_eq!(offset(400, 267, Ratio::ZERO), 66);
        assert_eq!(offset(400, 600, Ratio::ZERO), -100);
        assert_eq!(offset(1000, 1333, Ratio::ZERO), -166);
        assert_eq!(offset(400, 600, Ratio::int(-1)), 0);
        assert_eq!(offset(400, 267, Ratio::int(1)), 133);
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(Ratio::parse("1.50"), Some(Ratio::new(3, 2)));
        assert_eq!(Ratio::parse("-.125"), Some(Ratio::new(-1, 8)));
        assert_eq!(Ratio::parse("3."), Some(Ratio::int(3)));
        for bad in ["", ".", "-", "+", "1e3", "inf", "nan", "0x1", "1,0", "1234567890123", " 1", "--1", "1.2.3"] {
            assert_eq!(Ratio::parse(bad), None, "{bad:?}");
        }
    }
}
