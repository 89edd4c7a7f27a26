//! One job in hand: its gate, its renditions, its answer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::budget::Permit;
use super::lane::Busy;
use super::{Deadline, Done, Outcome, Rendered, Shared, Slot, Work};
use crate::engine::Cancel;
use crate::engine::placement::Placement;
use crate::error::{Error, Result};
use crate::pixel::Image;
use crate::plan::{Pass, Plan};
use crate::telemetry::Timings;

/// A job in line.
pub(super) struct Queued {
    pub(super) slot: Slot,
    pub(super) work: Work,
    pub(super) done: Done,
    pub(super) submitted: Instant,
}

/// Whether a job is still wanted.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub(super) deadline: Deadline,
    pub(super) cancel: Cancel,
    /// Nobody waits for it: it takes no lane that somebody needs.
    pub(super) gives_way: bool,
}

impl Gate {
    /// To be passed before each stage.
    ///
    /// # Errors
    /// `Cancelled`, `Deadline`; `Busy` if it has to give way.
    pub(super) fn check(&self, shared: &Shared, before: &'static str) -> Result<()> {
        if self.gives_way && !shared.has_spare_lane() {
            return Err(shared.busy());
        }
        self.cancel.check(before)?;
        if Instant::now() >= self.deadline.get() { Err(Error::Deadline { before }) } else { Ok(()) }
    }
}

/// What is left to do for one rendition.
pub(super) struct Step {
    /// The rendition it is for …
    pub(super) pending: Pending,
    /// … and others that are alike: what they have in common is done once.
    pub(super) others: Vec<Pending>,
    /// The decoded source: for the passes, or for their replay.
    pub(super) source: Arc<Image>,
    /// What was made so far; `None`: the passes are still to be run.
    pub(super) passed: Option<Passed>,
    /// When this step got in line.
    pub(super) since: Instant,
    /// What it is expected to take, for as long as it is in line.
    pub(super) waits: Option<Busy>,
}

/// A picture on its way, and the time in its passes.
pub(super) enum Passed {
    /// The GPU's result of all passes.
    Gpu(Result<Image>, Duration),
    /// The passes that are [`alike`] are done.
    Alike((Arc<Image>, Duration)),
}

impl Step {
    /// A rendition that is begun now.
    pub(super) fn new(pending: Pending, source: &Arc<Image>) -> Self {
        let source = Arc::clone(source);
        Self { pending, others: Vec::new(), source, passed: None, since: Instant::now(), waits: None }
    }

    /// Whether `plan` makes the same picture, whatever its format stores of it.
    pub(super) fn is_alike(&self, plan: &Plan) -> bool {
        let own = &self.pending.plan;
        own.decode == plan.decode && alike(own).is_some_and(|passes| alike(plan) == Some(passes))
    }
}

/// The passes of a plan up to what its format stores of the picture, if there are any.
pub(super) fn alike(plan: &Plan) -> Option<&[Pass]> {
    match plan.passes.as_slice() {
        [] | [Pass::RgbToYcbcr { .. }] => None,
        [passes @ .., Pass::RgbToYcbcr { .. }] | passes => Some(passes),
    }
}

/// The duty to answer for one job that is begun.
pub(super) struct Answer {
    shared: Arc<Shared>,
    slot: Slot,
    permit: Option<Permit>,
    done: Done,
}

impl Answer {
    pub(super) fn new(shared: Arc<Shared>, slot: Slot, done: Done) -> Self {
        if !slot.is_spare {
            shared.running.fetch_add(1, Ordering::Relaxed);
        }
        Self { shared, slot, permit: None, done }
    }

    /// Keeps the job's memory until it is answered.
    pub(super) fn hold(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// Counts, gives everything back, and answers last: whoever hears of it finds the place free and the count right.
    pub(super) fn send(self, outcome: Outcome) {
        let Self { shared, slot, permit, done } = self;
        if !slot.is_spare {
            shared.running.fetch_sub(1, Ordering::Relaxed);
        }
        if is_cancelled(&outcome) {
            shared.telemetry.cancelled();
        }
        drop((permit, slot));
        caught_callback(|| done(outcome));
    }
}

/// Whether somebody left while it was in hand.
fn is_cancelled(outcome: &Outcome) -> bool {
    let is_cancelled = |error: &Error| matches!(error, Error::Cancelled { .. });
    match outcome {
        Err(error) => is_cancelled(error),
        Ok(results) => results.iter().filter_map(|result| result.as_ref().err()).any(is_cancelled),
    }
}

/// The answers of one job, gathered. The last one sends them off.
struct Answers {
    state: Mutex<State>,
    left: AtomicUsize,
}

struct State {
    results: Vec<Option<Result<Rendered>>>,
    answer: Option<Answer>,
}

/// The duty to answer for one rendition. Dropped unanswered, it answers that someone broke off.
pub(super) struct Pending {
    answers: Arc<Answers>,
    i: usize,
    is_answered: bool,
    /// Its plan.
    pub(super) plan: Arc<Plan>,
    /// Whether it is still wanted.
    pub(super) gate: Gate,
    /// Where it was sent, if there was a choice.
    pub(super) placement: Option<Placement>,
    /// Where the time went so far.
    pub(super) timings: Timings,
    /// The source's XMP packet, where a plan wants it.
    pub(super) xmp: Option<Arc<[u8]>>,
}

impl Pending {
    /// One for each plan, in order.
    pub(super) fn all(
        plans: Vec<Arc<Plan>>,
        gate: &Gate,
        timings: Timings,
        xmp: Option<Arc<[u8]>>,
        answer: Answer,
    ) -> Vec<Self> {
        let answers = Arc::new(Answers {
            left: AtomicUsize::new(plans.len()),
            state: Mutex::new(State { results: plans.iter().map(|_| None).collect(), answer: Some(answer) }),
        });
        let pending = |(i, plan)| Self {
            answers: Arc::clone(&answers),
            i,
            is_answered: false,
            plan,
            gate: gate.clone(),
            placement: None,
            timings,
            xmp: xmp.clone(),
        };
        plans.into_iter().enumerate().map(pending).collect()
    }

    /// Its answer.
    pub(super) fn answer(mut self, result: Result<Rendered>) {
        self.send(result);
    }

    fn send(&mut self, result: Result<Rendered>) {
        self.is_answered = true;
        let mut state = self.answers.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.results[self.i] = Some(result);
        if self.answers.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        // `flatten` drops nothing: each has counted itself down once, after it was put.
        let results = state.results.drain(..).flatten().collect();
        let answer = state.answer.take();
        drop(state);
        if let Some(answer) = answer {
            answer.send(Ok(results));
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_answered {
            self.send(Err(Error::Panic { message: String::from("a rendition was dropped by its engine") }));
        }
    }
}

/// A panic inside becomes an error, and the lane lives on.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    // What it touched is dropped with it or guarded by its own lock.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Error::Panic { message: message(&*panic) }))
}

/// The same where there is nothing to answer, or what is dropped answers for itself.
pub(super) fn caught_callback(work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        tracing::error!(message = message(&*panic), "a callback panicked");
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    crate::error::shortened(text.unwrap_or("a panic without words"))
}
