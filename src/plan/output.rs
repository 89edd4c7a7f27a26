//! What goes with the pixels into a file, and what becomes of their colours on the way.

use super::SourcePath;
use crate::pixel::Density;

/// What an encoder is told beside its [`EncodeSpec`](super::EncodeSpec), as far as the format has a place for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Output {
    /// How large the picture is printed: JPEG, PNG, TIFF.
    pub density: Option<Density>,
    /// Closed paths of the source where they lie in the reply, points in [`SourcePath::UNITS_PER_PX`]: JPEG, TIFF.
    pub paths: Vec<SourcePath>,
    /// Steps in which a progressive JPEG comes, 3 to 5; `None`: as many as the encoder likes best.
    pub steps: Option<u8>,
    /// Colours that a palette holds in any case, at most 256: R G B.
    pub colours: Vec<[u8; 3]>,
    /// What the colours of the format asked for become; `None`: they stay sRGB, as those of candidates do.
    pub conversion: Option<Conversion>,
    /// Whether the profile of the colours goes with them, if there is one: JPEG, PNG, TIFF.
    pub embeds_profile: bool,
    /// Whether the source's XMP packet does: JPEG, PNG, TIFF, WebP.
    pub embeds_xmp: bool,
}

/// What colours become at the end of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Conversion {
    /// Inks by plain arithmetic, without a profile.
    Inks,
    /// Colours of a profile.
    To {
        /// Which.
        profile: Profile,
        /// What is kept of colours that it lacks.
        intent: Intent,
    },
}

/// Profiles of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// sRGB.
    Srgb,
    /// Adobe RGB (1998).
    AdobeRgb,
    /// Display P3.
    DisplayP3,
    /// Grey, linear light.
    LinearGrey,
    /// Grey, gamma 2.2.
    Gamma22Grey,
    /// C M Y K of the press whose profile is on the machine.
    Press,
}

impl Profile {
    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Srgb => "sRGB",
            Self::AdobeRgb => "AdobeRGB",
            Self::DisplayP3 => "DisplayP3",
            Self::LinearGrey => "LinearGray",
            Self::Gamma22Grey => "GrayGamma2.2",
            Self::Press => "CMYK",
        }
    }
}

/// What a conversion keeps of colours that the profile lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Intent {
    /// How they look beside each other.
    Perceptual,
    /// All that can be kept, white as paper.
    Relative,
    /// Their strength.
    Saturation,
    /// All that can be kept, white as it was.
    Absolute,
}

impl Intent {
    /// The protocol's own keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Perceptual => "perceptual",
            Self::Relative => "relative",
            Self::Saturation => "saturation",
            Self::Absolute => "absolute",
        }
    }
}
