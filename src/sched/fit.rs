//! A JPEG of at most so many bytes: the best quality that fits, by bisection over one set of pixels.

use crate::error::{Error, Result};
use crate::plan::{EncodeSpec, JpegQuality};

/// Encodes `spec`, and if that is more than `bytes_max`, at the best of the qualities below it that is not: eight encodings
/// at most. Where a worse quality happens to take more bytes than a better one, a few qualities may be overlooked; what is
/// returned fits in every case. Other formats than JPEG are encoded as they are.
///
/// # Errors
/// `Command`: even the worst quality takes more. What `encode` says.
pub(super) fn fitted(
    spec: EncodeSpec,
    bytes_max: u64,
    mut encode: impl FnMut(&EncodeSpec) -> Result<Vec<u8>>,
) -> Result<(EncodeSpec, Vec<u8>)> {
    let fits = |bytes: &[u8]| bytes.len() as u64 <= bytes_max;
    let bytes = encode(&spec)?;
    let EncodeSpec::Jpeg { quality: JpegQuality(asked), chroma, progressive } = spec else { return Ok((spec, bytes)) };
    if fits(&bytes) {
        return Ok((spec, bytes));
    }
    let mut least = bytes.len();
    drop(bytes);
    let mut best = None;
    let (mut low, mut high) = (1, asked - 1);
    while low <= high {
        let quality = low.midpoint(high);
        let spec = EncodeSpec::Jpeg { quality: JpegQuality(quality), chroma, progressive };
        let bytes = encode(&spec)?;
        least = least.min(bytes.len());
        if fits(&bytes) {
            best = Some((spec, bytes));
            low = quality + 1;
        } else {
            high = quality - 1;
        }
    }
    best.ok_or_else(|| {
        let want =
            format!("at least {} kB for this picture, whose worst quality takes {least} bytes", least.div_ceil(1024));
        Error::command("jpegSize", &format!("{}", bytes_max as f64 / 1024.0), want)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::Chroma;

    fn jpeg(quality: u8) -> EncodeSpec {
        EncodeSpec::Jpeg { quality: JpegQuality(quality), chroma: Chroma::Half, progressive: false }
    }

    /// An encoder whose quality `q` takes `100 q + 50` bytes; what came of it, and how often it was called.
    fn of(asked: u8, bytes_max: u64) -> (Result<(u8, usize)>, usize) {
        let mut calls = 0;
        let made = fitted(jpeg(asked), bytes_max, |spec| {
            calls += 1;
            let EncodeSpec::Jpeg { quality, .. } = spec else { unreachable!("a JPEG") };
            assert!((1..=asked).contains(&quality.0));
            Ok(vec![0; 100 * usize::from(quality.0) + 50])
        });
        let quality = |(spec, bytes): (EncodeSpec, Vec<u8>)| match spec {
            EncodeSpec::Jpeg { quality, .. } => (quality.0, bytes.len()),
            _ => unreachable!("a JPEG"),
        };
        (made.map(quality), calls)
    }

    #[test]
    fn the_best_quality_that_fits_is_found() {
        for asked in [1, 2, 3, 50, 99, 100] {
            for bytes_max in (150..=10_200).step_by(49) {
                let (made, calls) = of(asked, bytes_max);
                let (quality, bytes) = made.unwrap();
                assert_eq!(u64::from(quality), ((bytes_max - 50) / 100).min(asked.into()), "{asked} {bytes_max}");
                assert!(bytes as u64 <= bytes_max && calls <= 8, "{asked} {bytes_max}: {calls} calls");
            }
        }
        assert_eq!(of(80, 1 << 20).1, 1, "what fits is made once");
    }

    #[test]
    fn what_cannot_fit_is_refused_by_name() {
        for asked in [1, 2, 100] {
            let Err(error) = of(asked, 128).0 else { panic!("{asked}: it fits") };
            assert!(matches!(error, Error::Command { key: "jpegSize", .. }));
            let text = error.to_string();
            assert!(text.contains("jpegSize=\"0.125\": expected at least 1 kB"), "{text}");
        }
    }
}
