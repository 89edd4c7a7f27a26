//! Climbs an [`EncodeLadder`]: the one place where bytes decide what is served.

use bytes::Bytes;

use super::fit::fitted;
use crate::error::Result;
use crate::plan::{EncodeLadder, EncodeSpec, Traits, Verdict};

/// Encodes the format asked for, then the candidates in order until one is strictly smaller: that one is served.
///
/// `fits` says whether there is time for a candidate: one that does not fit is left out, and the next one looked at.
/// `traits` tells of the picture, whose JPEG takes so many bytes, for the candidates that follow it. `encode` makes one
/// encoding; it is called at most once a rung, but for a JPEG that has to fit (`fit::fitted`).
///
/// # Errors
/// What `encode` says of any rung that is tried. `Command`: no quality fits into `jpeg_bytes_max`.
pub fn climb(
    ladder: &EncodeLadder,
    fits: impl Fn(&EncodeSpec) -> bool,
    traits: impl Fn(u64) -> Option<Traits>,
    mut encode: impl FnMut(&EncodeSpec) -> Result<Vec<u8>>,
) -> Result<(Bytes, Verdict)> {
    let (spec, requested) = match ladder.jpeg_bytes_max {
        Some(bytes_max) => fitted(ladder.requested, bytes_max, &mut encode)?,
        None => (ladder.requested, encode(&ladder.requested)?),
    };
    let tried = vec![(spec, requested.len() as u64)];
    let mut verdict = Verdict { tried, served: spec, skipped: Vec::new() };
    let mut known = None;
    for spec in &ladder.candidates {
        if !fits(spec) {
            verdict.skipped.push(*spec);
            continue;
        }
        // What a JPEG takes that had to fit says nothing of the picture.
        if known.is_none() && ladder.trims.trims(spec) && ladder.jpeg_bytes_max.is_none() {
            known = traits(requested.len() as u64);
        }
        let spec = known.as_ref().map_or(*spec, |traits| ladder.trims.of(spec, traits));
        let bytes = encode(&spec)?;
        verdict.tried.push((spec, bytes.len() as u64));
        if bytes.len() < requested.len() {
            verdict.served = spec;
            return Ok((Bytes::from(bytes), verdict));
        }
    }
    Ok((Bytes::from(requested), verdict))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::pixel::{Chroma, Size};
    use crate::plan::{JpegQuality, Trim, Trims, WebpQuality};

    const JPEG: EncodeSpec = EncodeSpec::Jpeg { quality: JpegQuality(80), chroma: Chroma::Half, progressive: false };
    const WEBP: EncodeSpec = EncodeSpec::Webp { quality: WebpQuality(8000) };
    const LOSSLESS: EncodeSpec = EncodeSpec::WebpLossless;

    /// Serves `want` after trying `tried`, when each format has the length given.
    fn check(candidates: &[EncodeSpec], lengths: &[(EncodeSpec, usize)], tried: &[EncodeSpec], want: EncodeSpec) {
        let ladder = EncodeLadder { candidates: candidates.to_vec(), ..EncodeLadder::only(JPEG) };
        let length = |spec: &EncodeSpec| lengths.iter().find(|(known, _)| known == spec).unwrap().1;
        let (bytes, verdict) = climb(&ladder, |_| true, |_| None, |spec| Ok(vec![7; length(spec)])).unwrap();
        assert_eq!((verdict.served, verdict.skipped.as_slice()), (want, &[][..]));
        assert_eq!(bytes.len(), length(&want));
        let sizes: Vec<_> = tried.iter().map(|spec| (*spec, length(spec) as u64)).collect();
        assert_eq!(verdict.tried, sizes);
    }

    #[test]
    fn only_the_format_asked_for() {
        check(&[], &[(JPEG, 10)], &[JPEG], JPEG);
    }

    #[test]
    fn a_smaller_candidate_is_served_and_ends_the_climb() {
        check(&[WEBP, LOSSLESS], &[(JPEG, 10), (WEBP, 9), (LOSSLESS, 1)], &[JPEG, WEBP], WEBP);
    }

    #[test]
    fn an_equal_candidate_is_not_smaller() {
        check(&[WEBP, LOSSLESS], &[(JPEG, 10), (WEBP, 10), (LOSSLESS, 9)], &[JPEG, WEBP, LOSSLESS], LOSSLESS);
        check(&[WEBP], &[(JPEG, 10), (WEBP, 10)], &[JPEG, WEBP], JPEG);
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_the_next_one_tried() {
        let ladder = EncodeLadder { candidates: vec![WEBP, LOSSLESS], ..EncodeLadder::only(JPEG) };
        let of = |fits: &[EncodeSpec], lossless: usize| {
            let encode = |spec: &EncodeSpec| match spec {
                EncodeSpec::WebpLossless => Ok(vec![0; lossless]),
                _ => Ok(vec![0; 10]),
            };
            let (bytes, verdict) = climb(&ladder, |spec| fits.contains(spec), |_| None, encode).unwrap();
            (bytes.len(), verdict.tried.len(), verdict.reason(), verdict.served, verdict.skipped)
        };
        assert_eq!(of(&[LOSSLESS], 9), (9, 2, "deadline", LOSSLESS, vec![WEBP]));
        assert_eq!(of(&[LOSSLESS], 10), (10, 2, "deadline", JPEG, vec![WEBP]));
        assert_eq!(of(&[], 9), (10, 1, "deadline", JPEG, vec![WEBP, LOSSLESS]));
        assert_eq!(of(&[WEBP], 9), (10, 2, "deadline", JPEG, vec![LOSSLESS]));
    }

    /// A candidate has to beat what fits, not what was asked for.
    #[test]
    fn a_jpeg_that_has_to_fit_is_what_candidates_are_compared_with() {
        let of = |webp: usize| {
            let ladder = EncodeLadder { candidates: vec![WEBP], jpeg_bytes_max: Some(50), ..EncodeLadder::only(JPEG) };
            let encode = |spec: &EncodeSpec| match spec {
                EncodeSpec::Jpeg { quality, .. } => Ok(vec![0; usize::from(quality.0)]),
                _ => Ok(vec![0; webp]),
            };
            let (bytes, verdict) = climb(&ladder, |_| true, |_| None, encode).unwrap();
            (bytes.len(), verdict.reason(), verdict.saved())
        };
        assert_eq!(of(60), (50, "larger", Some(-10)));
        assert_eq!(of(50), (50, "larger", Some(0)));
        assert_eq!(of(49), (49, "webp", Some(1)));
    }

    #[test]
    fn a_candidate_follows_the_picture_but_not_a_jpeg_that_had_to_fit() {
        let trim = Trim { usual: 8000, bits_milli: 0, per_bit: -500, flat_milli: 500, per_flat: 1000 };
        let of = |jpeg_bytes_max| {
            let trims = Trims { webp: Some(trim), avif: None };
            let ladder = EncodeLadder { candidates: vec![WEBP], jpeg_bytes_max, trims, ..EncodeLadder::only(JPEG) };
            let encode = |spec: &EncodeSpec| match spec {
                EncodeSpec::Webp { quality } => Ok(vec![0; usize::from(quality.0) / 100]),
                _ => Ok(vec![0; 250]),
            };
            let traits = |jpeg_bytes| Some(Traits { size: Size::new(50, 20), jpeg_bytes, flat_share: 0.7 });
            climb(&ladder, |_| true, traits, encode).unwrap().1.served
        };
        // Two bits a pixel, and flatter than most.
        assert_eq!(of(None), EncodeSpec::Webp { quality: WebpQuality(7700) });
        assert_eq!(of(Some(250)), WEBP);
    }

    #[test]
    fn an_encoder_that_fails_is_an_error() {
        let ladder = EncodeLadder { candidates: vec![WEBP], ..EncodeLadder::only(JPEG) };
        let encode = |spec: &EncodeSpec| match spec {
            EncodeSpec::Jpeg { .. } => Ok(vec![0; 4]),
            _ => Err(Error::Encode { format: "webp", reason: String::from("no") }),
        };
        let failed = climb(&ladder, |_| true, |_| None, encode);
        assert!(matches!(failed, Err(Error::Encode { format: "webp", .. })));
    }
}
