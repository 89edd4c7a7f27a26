//! The encodings of one rendition: its ladder is climbed here, on the lane that made the picture. Where another lane has
//! nothing to do, the first candidate is made meanwhile: its bytes have to be known whatever the format asked for takes, so
//! the bytes served are the same. It was made in vain where the format asked for fails, or the client leaves before it is
//! made: an encoder that runs is not stopped, and the lane waits for its end.

use std::sync::Arc;
use std::thread::{self, Scope, ScopedJoinHandle};
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

/// An encoding on a thread of its own, and the memory for it.
type Helper<'scope> = ScopedJoinHandle<'scope, (Result<Vec<u8>>, Permit)>;

/// The bytes that are served of `image`, and why.
///
/// # Errors
/// As [`climb`]; `Cancelled`, `Deadline` and `Busy` of the gate before each encoding.
pub(super) fn encoded(shared: &Shared, pending: &Pending, image: Arc<Image>) -> Result<(Bytes, Verdict)> {
    let (gate, plan, size) = (&pending.gate, &*pending.plan, image.size());
    let ladder = &plan.encode;
    let picture = Picture {
        shared,
        gate,
        plan,
        image,
        xmp: pending.xmp.as_deref(),
        of_candidates: Output { embeds_xmp: plan.output.embeds_xmp, ..Output::default() },
    };
    let fits = |spec: &EncodeSpec| gate.gives_way || shared.pace.fits(spec, size, room(shared, gate));
    let traits = |jpeg_bytes| Some(Traits { size, jpeg_bytes, flat_share: codec::flat_share(&picture.image)? });
    let ahead = ahead(ladder).filter(|spec| !gate.gives_way && fits(spec));
    thread::scope(|scope| {
        let mut helper = ahead.and_then(|spec| picture.helper(scope, spec));
        let begun = ahead.filter(|_| helper.is_some());
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

    /// Begins to encode `spec` on a thread of its own: where a lane has nothing to do, and the memory for two encodings at
    /// once, of which the job was granted one, is there at once. Else, or if the system refuses a thread, one comes after
    /// the other.
    fn helper<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        spec: &'scope EncodeSpec,
    ) -> Option<Helper<'scope>> {
        let at_work = self.shared.idle_lane()?;
        let xmp = self.xmp.filter(|_| self.of_candidates.embeds_xmp).unwrap_or_default();
        let bytes = needs::helper_bytes_max(self.image.size(), self.image.format().alpha, spec, xmp.len());
        let permit = self.shared.budget.request(bytes).ok()?.at_once()?;
        let encode = move || {
            let _at_work = at_work;
            (caught(|| self.encode(spec, &mut None)), permit)
        };
        let helper = thread::Builder::new().name(String::from("ahead")).spawn_scoped(scope, encode).ok()?;
        self.shared.telemetry.encoded_ahead();
        Some(helper)
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
