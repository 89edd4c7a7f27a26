//! The one thread that owns the device and its queue.
//!
//! It takes jobs off a bounded channel, puts those that wait together into one batch, submits it, and reads finished
//! batches back while the next ones are staged and run. Invariants: an idle engine never waits for company; every job
//! is answered exactly once, also when the device is lost, the driver refuses or this thread panics; a lost device is
//! rebuilt by a timer, never in a loop.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use super::context::{Context, Prepared};
use super::fault::Fault;
use super::pool::Sizes;
use super::{Choice, Options, Shared};
use crate::engine::{Completion, Done, Job};
use crate::error::Error;
use crate::limits;

/// A job on its way to this thread.
pub(super) struct Queued {
    pub(super) job: Job,
    pub(super) reply: Reply,
    pub(super) since: Instant,
}

/// The answer that a job is owed; sent as a failure if it is dropped, so that no panic can lose it.
pub(super) struct Reply {
    done: Option<Done>,
    plans: usize,
}

impl Reply {
    pub(super) fn new(done: Done, plans: usize) -> Self {
        Self { done: Some(done), plans }
    }

    /// Answers with `completion`.
    pub(super) fn send(mut self, completion: Completion) {
        self.call(completion);
    }

    /// Answers every plan with an error.
    pub(super) fn refuse(mut self, error: impl Fn() -> Error) {
        let images = (0..self.plans).map(|_| Err(error())).collect();
        self.call(Completion { images, pass_time: Duration::ZERO });
    }

    fn call(&mut self, completion: Completion) {
        if let Some(done) = self.done.take() {
            // Whoever waits has to live with their own panic; the other jobs of the batch have not.
            if catch_unwind(AssertUnwindSafe(|| done(completion))).is_err() {
                tracing::error!("a completion of the GPU engine panicked");
            }
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let fault = || Err(Fault::Thread(String::from("it dropped the job")).during("running a batch"));
        let images = (0..self.plans).map(|_| fault()).collect();
        self.call(Completion { images, pass_time: Duration::ZERO });
    }
}

/// The thread's own state.
pub(super) struct Worker {
    choice: Choice,
    options: Options,
    shared: Arc<Shared>,
    queue: Receiver<Queued>,
    /// Jobs taken off the channel, in order.
    ready: VecDeque<Queued>,
    context: Option<Context>,
    /// Wait before the next attempt to build a device.
    backoff: Duration,
    retry_at: Instant,
}

enum Turn {
    More,
    End,
}

impl Worker {
    pub(super) fn new(
        choice: Choice,
        options: Options,
        shared: Arc<Shared>,
        queue: Receiver<Queued>,
        context: Context,
    ) -> Self {
        let backoff = options.retry_first;
        Self {
            choice,
            options,
            shared,
            queue,
            ready: VecDeque::new(),
            context: Some(context),
            backoff,
            retry_at: Instant::now(),
        }
    }

    /// Runs until the engine is dropped and everything is answered.
    pub(super) fn run(mut self) {
        loop {
            let turn = catch_unwind(AssertUnwindSafe(|| match self.context {
                Some(_) => self.turn(),
                None => Ok(self.wait_for_device()),
            }));
            match turn {
                Ok(Ok(Turn::More)) => {}
                Ok(Ok(Turn::End)) => break,
                Ok(Err(fault)) => self.lose(&fault),
                Err(panic) => self.lose(&Fault::Thread(message(&*panic))),
            }
        }
    }

    /// One round: take jobs in, start a batch if it is time, finish the oldest one if it is done.
    fn turn(&mut self) -> Result<Turn, Fault> {
        let Some(context) = &mut self.context else { return Ok(Turn::More) };
        if context.is_idle() && self.ready.is_empty() {
            match self.queue.recv_timeout(Duration::from_millis(limits::GPU_IDLE_MS_MAX)) {
                Ok(queued) => self.ready.push_back(queued),
                Err(RecvTimeoutError::Timeout) => context.give_back(),
                Err(RecvTimeoutError::Disconnected) => return Ok(Turn::End),
            }
            // It may have been lost while nobody looked.
            context.check()?;
        }
        while self.ready.len() < limits::BATCH_JOBS_MAX {
            match self.queue.try_recv() {
                Ok(queued) => self.ready.push_back(queued),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }

        let window = Duration::from_micros(limits::BATCH_WAIT_US_MAX);
        let waited = self.ready.front().map(|queued| queued.since.elapsed());
        let is_time = self.ready.len() >= limits::BATCH_JOBS_MAX || waited.is_some_and(|waited| waited >= window);
        if context.has_room() && !self.ready.is_empty() && (context.is_idle() || is_time) {
            Self::start_batch(context, &mut self.ready, &self.shared)?;
        }

        if !context.is_idle() {
            // Long enough not to spin, short enough to see new jobs and, while a slot is free, the end of the window.
            let timeout =
                if context.has_room() { window.saturating_sub(waited.unwrap_or_default()) } else { 8 * window };
            context.poll(timeout.max(Duration::from_micros(50)))?;
            while let Some(batch) = context.finish_oldest()? {
                self.backoff = self.options.retry_first;
                self.shared.totals().add(&batch);
            }
        }
        Ok(Turn::More)
    }

    /// Puts what is ready, as far as it fits, into one submission.
    fn start_batch(context: &mut Context, ready: &mut VecDeque<Queued>, shared: &Shared) -> Result<(), Fault> {
        let mut batch: Vec<Prepared> = Vec::new();
        let mut need = Sizes::default();
        let mut source_bytes = 0;
        while let Some(queued) = ready.pop_front() {
            if queued.job.cancel.is_cancelled() {
                queued.reply.refuse(|| Error::Cancelled { before: "upload" });
                continue;
            }
            let mut prepared = context.prepare(queued);
            if !prepared.has_steps() {
                prepared.answer(None, Duration::ZERO);
                continue;
            }
            let bytes = prepared.need().source;
            let is_big = bytes > limits::GPU_BATCH_SHARED_BYTES_MAX;
            let fits = (!is_big || batch.is_empty())
                && source_bytes + bytes <= limits::BATCH_BYTES_MAX
                && context.holds(need.with(prepared.need()))
                && context.place_tables(&mut prepared);
            if !fits {
                if !batch.is_empty() {
                    ready.push_front(prepared.into_queued());
                    break;
                }
                // The first of a batch makes its own room, once everything in flight is out of the way.
                context.drain(|batch| shared.totals().add(batch))?;
                if let Err(fault) = context.make_room(&mut prepared) {
                    context.check()?;
                    prepared.refuse(&fault, "making room for a job");
                    continue;
                }
            }
            need = need.with(prepared.need());
            source_bytes += bytes;
            batch.push(prepared);
            if is_big || batch.len() == limits::BATCH_JOBS_MAX {
                break;
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        context.submit(batch, need)
    }

    /// Answers everything in hand and gives the device up.
    fn lose(&mut self, fault: &Fault) {
        tracing::warn!(cause = %fault, retry_ms = self.backoff.as_millis(), "the GPU engine lost its device");
        self.shared.set_device(None);
        if let Some(context) = self.context.take() {
            context.fail(fault);
        }
        for queued in self.ready.drain(..) {
            queued.reply.refuse(|| fault.clone().during("waiting for a batch"));
        }
        self.retry_later();
    }

    /// Refuses jobs until the timer says to try a new device.
    fn wait_for_device(&mut self) -> Turn {
        let wait = self.retry_at.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            match self.queue.recv_timeout(wait) {
                Ok(queued) => queued.reply.refuse(lost),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Turn::End,
            }
            return Turn::More;
        }
        match Context::open(self.choice, &self.options) {
            Ok(context) => {
                tracing::info!(adapter = %context.info(), "the GPU engine has a device again");
                self.shared.set_device(Some(context.device().clone()));
                self.context = Some(context);
            }
            Err(error) => {
                tracing::warn!(cause = %error, retry_ms = self.backoff.as_millis(), "no GPU device yet");
                self.retry_later();
            }
        }
        Turn::More
    }

    fn retry_later(&mut self) {
        self.retry_at = Instant::now() + self.backoff;
        self.backoff = (2 * self.backoff).min(self.options.retry_max);
    }
}

/// The answer while there is no device.
pub(super) fn lost() -> Error {
    Fault::Lost(String::from("a new one is tried by a timer")).during("taking a job")
}

/// What a panic said.
pub(super) fn message(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => String::from("a panic without words"),
    }
}
