//! What the passes on finished pixels are told: sharpening, point operations, turns, covers, growing, noise.

use std::ops::Range;

use crate::kernel::{affine, coverage, coverage_bytes_max, point};
use crate::pixel::{Model, Path, PixelFormat, Plane, Size, ycbcr};

/// Parameters of the unsharp mask, ready for the engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unsharp {
    /// Amount in 1/1024: 0 to 5120.
    pub amount_q10: u16,
    /// Effective radius in output pixels, in 2⁻²⁰ px.
    pub radius_q20: u32,
    /// Threshold in levels, 0 to 255.
    pub threshold: u8,
    /// Whether brightness alone is sharpened.
    pub mono: bool,
}

impl Unsharp {
    /// Effective radius in output pixels.
    pub fn radius_px(&self) -> f64 {
        f64::from(self.radius_q20) / f64::from(1 << 20)
    }
}

/// Operations on one pixel at a time, in this order, one rounding after the last (protocol.md 2.6). The default does
/// nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Point {
    /// −100 to 100.
    pub brightness: i8,
    /// −100 to 100.
    pub contrast: i8,
    /// Shift of R, G and B, −100 to 100 each.
    pub balance: [i8; 3],
    /// Turn of the hue, 0 to 359 degrees.
    pub hue: u16,
    /// −100 (grey) to 100.
    pub saturation: i8,
    /// New colours by luma.
    pub tint: Option<Tint>,
    /// Negative.
    pub invert: bool,
}

impl Point {
    /// Levels of R, G and B in q6 after brightness, contrast and balance.
    pub fn curves(&self) -> [[i16; 256]; 3] {
        self.balance.map(|shift| point::curve(self.brightness, self.contrast, shift))
    }

    /// Saturation as a factor in 1/1024: 0 to 2048.
    pub fn saturation_q10(&self) -> i32 {
        (1024 * (100 + i32::from(self.saturation)) + 50) / 100
    }

    /// Whether each channel depends on itself alone.
    pub fn is_by_channel(&self) -> bool {
        self.hue == 0 && self.saturation == 0 && self.tint.is_none()
    }

    /// What it makes of a picture of `model`: grey stays grey unless something gives it colour.
    pub fn model(&self, model: Model) -> Model {
        let [r, g, b] = self.balance;
        let is_grey = self.tint.is_none() && r == g && g == b;
        if model == Model::Grey && is_grey { Model::Grey } else { Model::Rgb }
    }
}

/// `op_colorize`: new colours by luma.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tint {
    /// What middle luma becomes: R G B.
    pub colour: [u8; 3],
    /// Whether luma is moved first so that its median is in the middle; [`Pass::Median`](super::Pass::Median) comes before it then.
    pub normalise: bool,
    /// Contrast after that, 0 to 100; 0 without it.
    pub contrast: u8,
}

/// How a picture is turned: its axes exchanged, if at all, and then mirrored left to right and top to bottom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Turn {
    /// Columns become rows.
    pub transposed: bool,
    /// Left and right exchanged, top and bottom exchanged, after that.
    pub mirrored: [bool; 2],
}

impl Turn {
    /// Every one of them.
    pub const ALL: [Self; 8] = {
        let mut all = [Self { transposed: false, mirrored: [false; 2] }; 8];
        let mut i = 0;
        while i < 8 {
            all[i] = Self { transposed: i & 4 != 0, mirrored: [i & 1 != 0, i & 2 != 0] };
            i += 1;
        }
        all
    };

    /// Whether it leaves the picture as it is.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Then mirrored: left to right, top to bottom.
    #[must_use]
    pub fn flipped(self, [x, y]: [bool; 2]) -> Self {
        let [mx, my] = self.mirrored;
        Self { mirrored: [mx != x, my != y], ..self }
    }

    /// Then turned by a quarter, clockwise: transposed, then mirrored left to right.
    #[must_use]
    pub fn quarter(self) -> Self {
        let [mx, my] = self.mirrored;
        Self { transposed: !self.transposed, mirrored: [!my, mx] }
    }

    /// Size of a turned picture.
    pub fn turned(&self, size: Size) -> Size {
        if self.transposed { size.transposed() } else { size }
    }
}

/// Turned by any angle onto a canvas: where each of the canvas' pixels lies on the picture, in samples from the centre of
/// its first, all in 2⁻³².
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rotation {
    /// Size of the result.
    pub canvas: Size,
    /// Column and row of the canvas' first pixel.
    pub start: [i64; 2],
    /// What a column of the canvas adds to both.
    pub column: [i64; 2],
    /// What a row adds.
    pub row: [i64; 2],
}

impl Rotation {
    /// What each column of the canvas adds to its pixels' coordinates, in 2⁻¹².
    pub fn columns(&self) -> Vec<[i32; 2]> {
        affine::coordinates(self.start, self.column, self.canvas.w)
    }

    /// What each row adds.
    pub fn rows(&self) -> Vec<[i32; 2]> {
        affine::coordinates([0; 2], self.row, self.canvas.h)
    }
}

/// What becomes of a picture's transparency: mask, then a colour beneath, then opacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cover {
    /// What of its own alpha counts.
    pub mask: MaskUse,
    /// R, G, B and alpha of what shows through; alpha 0 for nothing.
    pub under: [u8; 4],
    /// How much of all that is left, of 10,000.
    pub opacity: u16,
}

impl Cover {
    /// Everything stays as it is, but that there is alpha.
    pub const NONE: Self = Self { mask: MaskUse::Norm, under: [0; 4], opacity: 10_000 };

    /// What it makes of a picture of `model`: grey stays grey over grey.
    pub fn model(&self, model: Model) -> Model {
        let [r, g, b, alpha] = self.under;
        if model == Model::Grey && (alpha == 0 || r == g && g == b) { Model::Grey } else { Model::Rgb }
    }
}

/// What shows where the picture does not, or shines through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fill {
    /// Nothing: transparent, alpha is kept.
    Transparent,
    /// An opaque colour, R G B; the result is opaque.
    Opaque([u8; 3]),
}

impl Fill {
    /// What it makes of a picture of `model`: grey stays grey on grey.
    pub fn model(self, model: Model) -> Model {
        match self {
            Self::Opaque([r, g, b]) if model == Model::Grey && (r != g || g != b) => Model::Rgb,
            Self::Opaque(_) | Self::Transparent => model,
        }
    }

    /// Its levels in the colour planes of a picture that comes out as `model`; black where nothing shows.
    pub fn levels(self, model: Model) -> [u8; 3] {
        let rgb = match self {
            Self::Opaque(rgb) => rgb,
            Self::Transparent => [0; 3],
        };
        match model {
            Model::Ycbcr(_) => ycbcr(rgb),
            Model::Grey | Model::Rgb | Model::Yuv | Model::Cmyk => rgb,
        }
    }
}

/// A path that a source's file holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourcePath {
    /// Its name.
    pub name: String,
    /// Points in [`Self::UNITS_PER_PX`] of the upright picture.
    pub path: Path,
    /// Whether all of its outlines were drawn closed.
    pub is_closed: bool,
}

impl SourcePath {
    /// Units of a path's points in a pixel.
    pub const UNITS_PER_PX: i64 = 1 << 16;
}

/// What [`Pass::Mask`](super::Pass::Mask) leaves of a picture's opacity: what lies on the right side of every path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mask {
    /// Paths in 1/256 px of the picture, and which side of each is left.
    pub paths: Vec<(Path, Side)>,
}

impl Mask {
    /// How much of each pixel is left, 0 to 255: the product of what every path leaves, `(a b + 127) / 255`.
    pub fn coverage(&self, size: Size) -> Plane<u8> {
        let mut all: Option<Plane<u8>> = None;
        for (path, side) in &self.paths {
            let mut one = coverage(path, size);
            if *side == Side::Outside {
                one.data_mut().iter_mut().for_each(|v| *v = 255 - *v);
            }
            all = Some(match all {
                None => one,
                Some(mut all) => {
                    for (a, &b) in all.data_mut().iter_mut().zip(one.data()) {
                        *a = masked(*a, b);
                    }
                    all
                }
            });
        }
        all.unwrap_or_else(|| Plane::from_vec(size, vec![255; size.samples()]))
    }
}

impl Mask {
    /// Upper bound of what [`Self::coverage`] holds, its result included, bytes.
    pub fn bytes_max(&self, size: Size) -> u64 {
        let lines = self.paths.iter().map(|(path, _)| coverage_bytes_max(path, size)).max().unwrap_or(0);
        2 * size.pixels() + lines
    }
}

/// A share of a share, both of 255: `(a b + 127) / 255`.
#[expect(clippy::cast_possible_truncation, reason = "a product of shares")]
pub fn masked(a: u8, b: u8) -> u8 {
    ((u32::from(a) * u32::from(b) + 127) / 255) as u8
}

/// One of the two sides of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// What it encloses.
    Inside,
    /// The rest.
    Outside,
}

/// `maskUse`: what of a picture's alpha counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MaskUse {
    /// It as it is.
    #[default]
    Norm,
    /// Its negative; without alpha nothing is seen.
    Invert,
    /// None of it: all is opaque.
    Off,
}

/// `op_grow`, `op_growMask`: the largest or smallest level of each component within a disc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grow {
    /// Radius of the disc, px, above 0.
    pub radius_px: u16,
    /// Which of the two.
    pub morph: Morph,
    /// What grows.
    pub of: Grown,
}

/// What of a picture grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grown {
    /// Its colours; those of clear pixels do not count.
    Colours,
    /// Its alpha, and nothing else.
    Alpha,
}

impl Grow {
    /// The planes of a picture of `format` that grow.
    pub fn planes(&self, format: PixelFormat) -> Range<usize> {
        let colours = format.colour_planes();
        match self.of {
            Grown::Colours => 0..colours,
            Grown::Alpha => colours..format.planes(),
        }
    }

    /// Powers of two, from 1 on, that a run of the disc's widest row can hold in a picture `w` px wide.
    pub fn powers(&self, w: u32) -> u32 {
        (2 * u32::from(self.radius_px) + 1).min(w).ilog2() + 1
    }
}

/// What is taken of a disc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Morph {
    /// The largest level: bright grows.
    Dilate,
    /// The smallest: dark grows.
    Erode,
}

/// `op_noise`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Noise {
    /// 1 to 100.
    pub amount: u8,
    /// How it is spread.
    pub grain: Grain,
    /// The same in all colours.
    pub mono: bool,
    /// What tells one picture's noise from another's.
    pub seed: u32,
}

impl Noise {
    /// The factor of the engines' formulas, `engine::scalar::noise`.
    pub fn strength(&self) -> i32 {
        let amount = i32::from(self.amount);
        match self.grain {
            Grain::Uniform => (1632 * amount + 2) / 5,
            Grain::Gaussian => (31_981 * amount + 5) / 10,
        }
    }
}

/// How noise is spread around 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grain {
    /// Every offset up to ±1.275 levels a percent is as likely.
    Uniform,
    /// As the normal distribution has it, σ half as large.
    Gaussian,
}
