//! How a candidate's quality follows the picture that it is made of.

use super::{AvifQuantiser, EncodeSpec, WebpQuality};
use crate::pixel::Size;

/// A straight line through what is known of a picture before a candidate is encoded: what its JPEG took, and how much of it
/// is flat. Of WebP in hundredths of quality, of AVIF in tenths of the quantiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trim {
    /// For a picture like most.
    pub usual: i32,
    /// log₂ of the bits a pixel that the JPEG takes of a picture like most, 1/1000.
    pub bits_milli: i32,
    /// Change for one more of that log₂.
    pub per_bit: i32,
    /// Share of flat neighbours (`codec::flat_share`) in a picture like most, 1/1000.
    pub flat_milli: i32,
    /// Change for one more of that share, which would be all of a picture.
    pub per_flat: i32,
}

/// Trims of the candidates that have one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Trims {
    /// Of lossy WebP.
    pub webp: Option<Trim>,
    /// Of lossy AVIF.
    pub avif: Option<Trim>,
}

/// What is known of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traits {
    /// Its size.
    pub size: Size,
    /// What the JPEG asked for takes.
    pub jpeg_bytes: u64,
    /// Share of flat neighbours, 0 to 1.
    pub flat_share: f64,
}

/// How far a trim goes: WebP's hundredths, AVIF's tenths. No picture that was measured went further.
const WEBP_REACH: f64 = 700.0;
const AVIF_REACH: f64 = 60.0;

impl Trims {
    /// Whether a candidate has one.
    pub fn trims(&self, spec: &EncodeSpec) -> bool {
        match spec {
            EncodeSpec::Webp { .. } => self.webp.is_some(),
            EncodeSpec::Avif { .. } => self.avif.is_some(),
            EncodeSpec::Jpeg { .. }
            | EncodeSpec::Png
            | EncodeSpec::Png8 { .. }
            | EncodeSpec::Gif { .. }
            | EncodeSpec::Tiff { .. }
            | EncodeSpec::WebpLossless
            | EncodeSpec::AvifLossless
            | EncodeSpec::Jpeg2000 { .. }
            | EncodeSpec::Jpeg2000Lossless
            | EncodeSpec::JpegXr { .. }
            | EncodeSpec::JpegXrLossless => false,
        }
    }

    /// The candidate `spec` as it is made of this picture.
    pub fn of(&self, spec: &EncodeSpec, traits: &Traits) -> EncodeSpec {
        self.made(spec, |trim| trim.change(traits))
    }

    /// The finest that the candidate `spec` can become.
    pub fn finest(&self, spec: &EncodeSpec) -> EncodeSpec {
        let finer = if matches!(spec, EncodeSpec::Avif { .. }) { f64::NEG_INFINITY } else { f64::INFINITY };
        self.made(spec, |_| finer)
    }

    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    fn made(&self, spec: &EncodeSpec, change: impl Fn(&Trim) -> f64) -> EncodeSpec {
        let of = |trim: &Trim, reach: f64| f64::from(trim.usual) + change(trim).clamp(-reach, reach);
        match (*spec, &self.webp, &self.avif) {
            (EncodeSpec::Webp { .. }, Some(trim), _) => {
                let hundredths = of(trim, WEBP_REACH).clamp(100.0, 10_000.0).round();
                EncodeSpec::Webp { quality: WebpQuality(hundredths as u16) }
            }
            (EncodeSpec::Avif { effort, chroma, .. }, _, Some(trim)) => {
                let steps = (of(trim, AVIF_REACH) / 10.0).clamp(0.0, 63.0).round();
                EncodeSpec::Avif { quantiser: AvifQuantiser(steps as u8), effort, chroma }
            }
            (spec, _, _) => spec,
        }
    }
}

impl Trim {
    fn change(&self, traits: &Traits) -> f64 {
        let bits = 8.0 * traits.jpeg_bytes.max(1) as f64 / traits.size.pixels().max(1) as f64;
        let more_bits = bits.log2() - f64::from(self.bits_milli) / 1000.0;
        let more_flat = traits.flat_share - f64::from(self.flat_milli) / 1000.0;
        more_bits * f64::from(self.per_bit) + more_flat * f64::from(self.per_flat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::Chroma;
    use crate::plan::AvifEffort;

    const TRIM: Trim = Trim { usual: 8000, bits_milli: 0, per_bit: -500, flat_milli: 500, per_flat: 0 };

    fn avif(quantiser: u8) -> EncodeSpec {
        EncodeSpec::Avif { quantiser: AvifQuantiser(quantiser), effort: AvifEffort::Usual, chroma: Chroma::Half }
    }

    /// 1000 pixels.
    fn traits(jpeg_bytes: u64, flat_share: f64) -> Traits {
        Traits { size: Size::new(50, 20), jpeg_bytes, flat_share }
    }

    #[test]
    fn quality_follows_the_bits_of_the_jpeg() {
        let webp = |hundredths| EncodeSpec::Webp { quality: WebpQuality(hundredths) };
        let trims = Trims { webp: Some(TRIM), avif: None };
        let of = |bytes| trims.of(&webp(1), &traits(bytes, 0.9));
        // A bit a pixel, two, four, an eighth, none.
        assert_eq!([125, 250, 500, 16, 0].map(of), [8000, 7500, 7300, 8700, 8700].map(webp));
        assert_eq!((trims.finest(&webp(1)), trims.finest(&avif(20))), (webp(8700), avif(20)));
        assert_eq!(trims.of(&avif(20), &traits(250, 0.9)), avif(20), "it has none");
        assert!(trims.trims(&webp(1)) && !trims.trims(&avif(20)) && !trims.trims(&EncodeSpec::Png));
    }

    #[test]
    fn quantisers_follow_flat_parts_too() {
        let trim = Trim { usual: 132, bits_milli: 0, per_bit: 40, flat_milli: 500, per_flat: 97 };
        let trims = Trims { webp: None, avif: Some(trim) };
        let of = |bytes, flat| trims.of(&avif(1), &traits(bytes, flat));
        assert_eq!(of(125, 0.5), avif(13));
        assert_eq!([of(250, 0.5), of(125, 0.9), of(125, 0.1)], [avif(17), avif(17), avif(9)]);
        assert_eq!([of(1 << 40, 1.0), of(1, 0.0)], [avif(19), avif(7)], "no further");
        assert_eq!(trims.finest(&avif(1)), avif(7));
    }
}
