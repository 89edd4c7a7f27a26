//! The encodings of one rendition: its ladder is climbed here, on the lane that made the picture. Where another lane has
//! nothing to do, the first candidate is made meanwhile: it is tried whatever becomes of the format asked for, so nothing
//! is done that would not be done anyway, and the bytes are the same.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use bytes::Bytes;

use super::budget::Permit;
use super::job::{Gate, Pending, caught};
use super::lane::{conversion, convert};
use super::pace::Room;
use super::{Shared, climb, needs};
use crate::codec;
use crate::error::{Error, Result};
use crate::pixel::Image;
use crate::plan::{EncodeLadder, EncodeSpec, Output, Pass, Plan, Traits, Verdict};

/// A picture that was made, and what to encode of it.
struct Picture<'a> {
    shared: &'a Shared,
    gate: &'a Gate,
    plan: &'a Plan,
    image: Arc<Image>,
    xmp: Option<&'a [u8]>,
    of_candidates: Output,
}

/// The bytes that are served of `image`, and why.
///
/// # Errors
/// As [`climb`]; `Cancelled`, `Deadline` and `Busy` of the gate before each encoding.
pub(super) fn encoded(shared: &Shared, pending: &Pending, image: Image) -> Result<(Bytes, Verdict)> {
    let (gate, plan, size) = (&pending.gate, &*pending.plan, image.size());
    let ladder = &plan.encode;
    let picture = Picture {
        shared,
        gate,
        plan,
        image: Arc::new(image),
        xmp: pending.xmp.as_deref(),
        of_candidates: Output { embeds_xmp: plan.output.embeds_xmp, ..Output::default() },
    };
    let fits = |spec: &EncodeSpec| gate.gives_way || shared.pace.fits(spec, size, room(shared, gate));
    let traits = |jpeg_bytes| Some(Traits { size, jpeg_bytes, flat_share: codec::flat_share(&picture.image)? });
    let ahead = ahead(ladder).filter(|spec| !gate.gives_way && shared.has_idle_lane() && fits(spec));
    // Two encodings at once take more than the job was granted. Where that is not to be had, one comes after the other.
    let ahead = ahead.and_then(|spec| Some((spec, picture.permit(spec)?)));
    let begun = ahead.as_ref().map(|(spec, _)| *spec);
    thread::scope(|scope| {
        let mut helper = ahead.map(|(spec, permit)| {
            shared.at_work.fetch_add(1, Ordering::Relaxed);
            let picture = &picture;
            scope.spawn(move || {
                let encoded = caught(|| picture.encode(spec, &mut None));
                shared.at_work.fetch_sub(1, Ordering::Relaxed);
                (encoded, permit)
            })
        });
        let mut converted = None;
        climb(
            ladder,
            // What is begun is waited for.
            |spec| begun == Some(spec) || fits(spec),
            traits,
            |spec| match helper.take_if(|_| begun == Some(spec)) {
                // It has caught its panics.
                Some(helper) => helper.join().map_or_else(|_| Err(picture.panic()), |(encoded, _)| encoded),
                None => picture.encode(spec, &mut converted),
            },
        )
    })
}

/// The candidate that is certain to be tried, as it stands: the first one, unless it follows the bytes of the format asked for.
fn ahead(ladder: &EncodeLadder) -> Option<&EncodeSpec> {
    let follows = |spec: &EncodeSpec| ladder.trims.trims(spec) && ladder.jpeg_bytes_max.is_none();
    ladder.candidates.first().filter(|spec| !follows(spec) && spec.name() != ladder.requested.name())
}

impl Picture<'_> {
    /// One encoding. `converted` is the picture in the planes of the encoding before, and then of this one.
    fn encode(&self, spec: &EncodeSpec, converted: &mut Option<(Vec<Pass>, Image)>) -> Result<Vec<u8>> {
        let Self { shared, gate, plan, image, xmp, of_candidates } = self;
        gate.check(shared, "encode")?;
        let begun = Instant::now();
        let is_candidate = spec.name() != plan.encode.requested.name();
        // Candidates are sRGB, whatever the colours of the format asked for.
        let output = if is_candidate { of_candidates } else { &plan.output };
        let passes = match output.conversion {
            Some(_) => Vec::new(),
            None => conversion(image.format().model, spec),
        };
        if !passes.is_empty() && converted.as_ref().is_none_or(|(done, _)| *done != passes) {
            *converted = Some((passes.clone(), convert(shared, image, &passes, gate)?));
        }
        let converted = converted.as_ref().filter(|_| !passes.is_empty());
        let encoded = codec::encode_with(converted.map_or(&**image, |(_, image)| image), spec, output, *xmp);
        shared.pace.saw(spec, image.size(), begun.elapsed());
        encoded
    }

    /// The memory to encode `spec` beside another, if it is there at once.
    fn permit(&self, spec: &EncodeSpec) -> Option<Permit> {
        let alpha = self.image.format().alpha;
        let xmp = self.xmp.filter(|_| self.of_candidates.embeds_xmp).unwrap_or_default();
        let bytes = needs::helper_bytes_max(self.image.size(), alpha, spec, xmp.len());
        self.shared.budget.request(bytes).ok()?.at_once()
    }

    fn panic(&self) -> Error {
        Error::Panic { message: format!("an encoder of {} ended without a word", self.image.size()) }
    }
}

/// What a candidate has to fit into just now.
fn room(shared: &Shared, gate: &Gate) -> Room {
    let left = gate.deadline.get().saturating_duration_since(Instant::now());
    Room { left, waiting: shared.waiting(), waiting_max: shared.options.queue_jobs_max }
}
