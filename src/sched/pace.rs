//! How long encoders take of late, and which candidates would be ready in time.
//!
//! The format asked for is always encoded first, so a candidate that is left out costs bytes and never a reply. Invariant:
//! pixels are the same whatever is left out (protocol.md 4.5, time budget).

use std::iter;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::pixel::Size;
use crate::plan::{AvifEffort, EncodeSpec, Plan};

/// Time a pixel of each kind of encoding, as it was seen of late. Shared by all lanes.
#[derive(Debug)]
pub(super) struct Pace([AtomicU64; START_PS.len()]);

/// What a candidate has to fit into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// What is left of the deadline.
    pub(super) left: Duration,
    /// Jobs that wait for a lane …
    pub(super) waiting: usize,
    /// … and how many could.
    pub(super) waiting_max: usize,
}

/// What a pixel takes before anything was seen, 10⁻¹² s: rounded up from `docs/measurements.md`, one core, at 500 lines.
const START_PS: [u64; 10] = [110_000, 400_000, 1_310_000, 470_000, 80_000, 500_000, 50_000, 320_000, 150_000, 50_000];

/// Which of [`START_PS`] an encoding is.
fn kind(spec: &EncodeSpec) -> usize {
    match spec {
        EncodeSpec::Avif { effort: AvifEffort::Quick, .. } => 0,
        EncodeSpec::Avif { effort: AvifEffort::Usual, .. } => 1,
        EncodeSpec::Avif { effort: AvifEffort::Thorough, .. } => 2,
        EncodeSpec::AvifLossless => 3,
        EncodeSpec::Webp { .. } => 4,
        EncodeSpec::WebpLossless => 5,
        EncodeSpec::Jpeg { .. } | EncodeSpec::Png | EncodeSpec::JpegXr { .. } | EncodeSpec::JpegXrLossless => 6,
        EncodeSpec::Jpeg2000 { .. } | EncodeSpec::Jpeg2000Lossless => 7,
        EncodeSpec::Png8 { .. } | EncodeSpec::Gif { .. } => 8,
        EncodeSpec::Tiff { .. } => 9,
    }
}

/// Whether it is so much slower than the others that it is the first to go when many wait.
fn is_slow(spec: &EncodeSpec) -> bool {
    match spec {
        EncodeSpec::Avif { .. }
        | EncodeSpec::AvifLossless
        | EncodeSpec::Jpeg2000 { .. }
        | EncodeSpec::Jpeg2000Lossless => true,
        EncodeSpec::Webp { .. }
        | EncodeSpec::WebpLossless
        | EncodeSpec::Jpeg { .. }
        | EncodeSpec::Png
        | EncodeSpec::Png8 { .. }
        | EncodeSpec::Gif { .. }
        | EncodeSpec::Tiff { .. }
        | EncodeSpec::JpegXr { .. }
        | EncodeSpec::JpegXrLossless => false,
    }
}

impl Pace {
    pub(super) fn new() -> Self {
        Self(START_PS.map(AtomicU64::new))
    }

    /// Whether a candidate should be tried: it would be ready in time, and not at the cost of those who wait.
    pub(super) fn fits(&self, spec: &EncodeSpec, size: Size, room: Room) -> bool {
        let Room { left, waiting, waiting_max } = room;
        let is_crowded = 2 * waiting > waiting_max;
        let margin = u32::try_from(MARGIN).unwrap_or(u32::MAX);
        self.estimate(spec, size).saturating_mul(margin) <= left && !(is_crowded && is_slow(spec))
    }

    /// What a plan's encodings are expected to take: of the format asked for, and of the candidate that is tried first.
    pub(super) fn of_plan(&self, plan: &Plan) -> Duration {
        let specs = iter::once(&plan.encode.requested).chain(plan.encode.candidates.first());
        specs.map(|spec| self.estimate(spec, plan.size)).sum()
    }

    /// What an encoding is expected to take.
    fn estimate(&self, spec: &EncodeSpec, size: Size) -> Duration {
        let ps = self.0[kind(spec)].load(Ordering::Relaxed).saturating_mul(counted(size));
        Duration::from_nanos(ps / 1000)
    }

    /// An encoding took so long.
    pub(super) fn saw(&self, spec: &EncodeSpec, size: Size, took: Duration) {
        let seen = took.as_nanos().saturating_mul(1000) / u128::from(counted(size));
        // A tenth of a millisecond a pixel is a machine that stands still: what comes after it must not look hopeless.
        let seen = u64::try_from(seen).unwrap_or(u64::MAX).min(100_000_000);
        let of_kind = &self.0[kind(spec)];
        // Two lanes at once may lose one of two: there will be others.
        let before = of_kind.load(Ordering::Relaxed);
        of_kind.store((before * (WEIGHT - 1) + seen) / WEIGHT, Ordering::Relaxed);
    }
}

/// Pixels, but never so few that what an encoder does once would count.
fn counted(size: Size) -> u64 {
    size.pixels().max(1 << 16)
}

/// The slowest pictures take twice what the mean takes (`docs/measurements.md`: 191 and 395 ms a megapixel).
const MARGIN: u64 = 2;
/// One picture counts an eighth.
const WEIGHT: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::Chroma;
    use crate::plan::{AvifQuantiser, WebpQuality};

    const AVIF: EncodeSpec =
        EncodeSpec::Avif { quantiser: AvifQuantiser(12), effort: AvifEffort::Usual, chroma: Chroma::Half };
    const WEBP: EncodeSpec = EncodeSpec::Webp { quality: WebpQuality(8000) };
    const MEGAPIXEL: Size = Size::new(1000, 1000);

    fn room(left_ms: u64, waiting: usize) -> Room {
        Room { left: Duration::from_millis(left_ms), waiting, waiting_max: 8 }
    }

    /// Whether AVIF and WebP of a picture fit.
    fn fit(pace: &Pace, size: Size, room: Room) -> (bool, bool) {
        (pace.fits(&AVIF, size, room), pace.fits(&WEBP, size, room))
    }

    #[test]
    fn what_would_not_be_ready_is_left_out_the_slowest_first() {
        let pace = Pace::new();
        // 400 and 80 ms a megapixel, twice.
        for (left_ms, fits) in [
            (10_000, (true, true)),
            (800, (true, true)),
            (799, (false, true)),
            (160, (false, true)),
            (159, (false, false)),
            (0, (false, false)),
        ] {
            assert_eq!(fit(&pace, MEGAPIXEL, room(left_ms, 0)), fits, "{left_ms} ms left");
        }
        // Four times the pixels, four times the time; the smallest count as 256×256.
        assert_eq!(fit(&pace, Size::new(2000, 2000), room(3199, 0)), (false, true));
        assert_eq!(fit(&pace, Size::new(2000, 2000), room(3200, 0)), (true, true));
        assert_eq!(fit(&pace, Size::new(1, 1), room(52, 0)), (false, true));
        assert_eq!(fit(&pace, Size::new(1, 1), room(53, 0)), (true, true));
    }

    #[test]
    fn when_half_the_queue_is_taken_what_is_slow_is_left_out() {
        let pace = Pace::new();
        assert_eq!(fit(&pace, MEGAPIXEL, room(60_000, 4)), (true, true));
        assert_eq!(fit(&pace, MEGAPIXEL, room(60_000, 5)), (false, true));
        assert_eq!(fit(&pace, MEGAPIXEL, room(60_000, 8)), (false, true));
    }

    #[test]
    fn the_estimate_follows_what_is_seen_each_kind_for_itself() {
        let pace = Pace::new();
        let follow = |took_ms| {
            for _ in 0..64 {
                pace.saw(&AVIF, MEGAPIXEL, Duration::from_millis(took_ms));
            }
            pace.estimate(&AVIF, MEGAPIXEL).as_millis()
        };
        assert_eq!(follow(1600), 1599, "a busy machine");
        assert_eq!(fit(&pace, MEGAPIXEL, room(3000, 0)), (false, true));
        assert_eq!(follow(20), 20, "and a fast one");
        assert_eq!(fit(&pace, MEGAPIXEL, room(50, 0)), (true, false));
        assert_eq!(pace.estimate(&WEBP, MEGAPIXEL), Duration::from_millis(80), "nobody saw one");
        // One picture does not decide, however long it took.
        pace.saw(&WEBP, MEGAPIXEL, Duration::from_millis(160));
        assert_eq!(pace.estimate(&WEBP, MEGAPIXEL), Duration::from_millis(90));
        pace.saw(&AVIF, Size::new(1, 1), Duration::MAX);
        assert!(pace.estimate(&AVIF, Size::new(65_535, 65_535)) < Duration::from_secs(86_400 * 1000));
        assert!(follow(20) < 100);
    }
}
