//! Convolution weights and curves: filter functions, tap tables, Gaussian taps, transfer curves, point operations, what
//! paths cover.
//!
//! Computed once, in f64, on the CPU, and handed to every engine unchanged, so that engines can differ only in the
//! order of their sums.

pub mod affine;
mod coverage;
mod disc;
mod gaussian;
pub mod point;
mod taps;
pub mod transfer;

use std::fmt;

pub use coverage::{UNITS_PER_PX, coverage, coverage_bytes_max};
pub use disc::disc;
pub use gaussian::{SigmaPx, UnsharpTaps};
pub use taps::{Axis, Edge, Taps};

/// The filters of `resMode` (protocol.md 2.5), and that of `op_blur`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kernel {
    /// `bilin`: triangle, support 1, stretched on reduction (so less aliasing than the original's).
    Bilin,
    /// `bicub`: Catmull-Rom (B = 0, C = ½), support 2, stretched on reduction.
    Bicub,
    /// `sharp2` and its retired alias `sharp`: Lanczos, support 3, stretched on reduction.
    Sharp2,
    /// `bisharp`: bicubic with B = 0, C = ¾ on reduction, as `bicub` on enlargement.
    Bisharp,
    /// `trilin`: linear blend of the two neighbouring 2× box pyramid levels, bilinear inside each.
    Trilin,
    /// Gaussian of `op_blur`, integrated over each sample; not stretched.
    Gaussian {
        /// Standard deviation in 1/1024 source sample.
        sigma_q10: u32,
    },
}

impl Kernel {
    /// Every filter of `resMode` once.
    pub const ALL: [Self; 5] = [Self::Bilin, Self::Bicub, Self::Sharp2, Self::Bisharp, Self::Trilin];

    /// The protocol's own keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Bilin => "bilin",
            Self::Bicub => "bicub",
            Self::Sharp2 => "sharp2",
            Self::Bisharp => "bisharp",
            Self::Trilin => "trilin",
            Self::Gaussian { .. } => "gaussian",
        }
    }

    /// From the protocol's keyword, case-insensitive.
    pub fn from_keyword(word: &str) -> Option<Self> {
        if word.eq_ignore_ascii_case("sharp") {
            return Some(Self::Sharp2);
        }
        Self::ALL.into_iter().find(|k| k.keyword().eq_ignore_ascii_case(word))
    }

    /// Half-width of the filter in source samples at scale 1 (of the bilinear part, for `trilin`).
    pub fn support(self) -> f64 {
        match self {
            Self::Bilin | Self::Trilin => 1.0,
            Self::Bicub | Self::Bisharp => 2.0,
            Self::Sharp2 => 3.0,
            // Four standard deviations hold all but a 2⁻¹⁴ of the mass.
            Self::Gaussian { sigma_q10 } => 4.0 * f64::from(sigma_q10) / 1024.0 + 0.5,
        }
    }

    /// The continuous filter at `x` source samples from its centre; `reduces` picks `bisharp`'s sharper half.
    ///
    /// - Source: Keys, "Cubic convolution interpolation" (1981), with a = −C; Turkowski, "Filters for Common Resampling
    ///   Tasks", Graphics Gems (1990) for Lanczos
    pub fn weight(self, x: f64, reduces: bool) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilin | Self::Trilin => (1.0 - x).max(0.0),
            Self::Bicub => keys(x, -0.5),
            Self::Bisharp => keys(x, if reduces { -0.75 } else { -0.5 }),
            Self::Sharp2 => lanczos3(x),
            Self::Gaussian { sigma_q10 } => gaussian::mass(x - 0.5, x + 0.5, f64::from(sigma_q10) / 1024.0),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.keyword())?;
        match self {
            Self::Gaussian { sigma_q10 } => write!(f, " {}px", f64::from(*sigma_q10) / 1024.0),
            Self::Bilin | Self::Bicub | Self::Sharp2 | Self::Bisharp | Self::Trilin => Ok(()),
        }
    }
}

fn keys(x: f64, a: f64) -> f64 {
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

/// sinc(x) · sinc(x / 3). One sine serves both: sin 3 y = 3 sin y - 4 sin³ y.
fn lanczos3(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else if x < 3.0 {
        let px = std::f64::consts::PI * x;
        let s2 = (px / 3.0).sin().powi(2);
        3.0 * s2 * (3.0 - 4.0 * s2) / (px * px)
    } else {
        0.0
    }
}
