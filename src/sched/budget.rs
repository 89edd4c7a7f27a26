//! The memory of all jobs in flight: bytes are granted before they are allocated, first come first served.
//!
//! Invariant: the bytes granted never exceed the budget, and whoever waits is granted in the order of asking, so that a
//! large job is not passed for ever by small ones.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::error::{Error, Result};

/// Bytes that all jobs share.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    granted: u64,
    next_ticket: u64,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    bytes: u64,
    granted: Sender<()>,
    look: Sender<()>,
}

/// A place in the line for memory. Dropped, it leaves the line and gives back what it may have been granted.
#[derive(Debug)]
pub(super) struct Request {
    budget: Arc<Budget>,
    ticket: u64,
    bytes: u64,
    is_claimed: bool,
    /// Yields once, when the bytes are ours.
    pub(super) granted: Receiver<()>,
    /// Yields when something else may have changed: look whether you still want them.
    pub(super) look: Receiver<()>,
}

/// Bytes that are ours until this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes_max, state: Mutex::default() })
    }

    /// Bytes granted at this moment.
    pub(super) fn granted(&self) -> u64 {
        self.state().granted
    }

    /// Gets in line for `bytes`.
    ///
    /// # Errors
    /// `TooMuchMemory`: they could never be granted.
    pub(super) fn request(self: &Arc<Self>, bytes: u64) -> Result<Request> {
        if bytes > self.bytes_max {
            return Err(Error::TooMuchMemory { bytes, bytes_max: self.bytes_max });
        }
        let (grant, granted) = bounded(1);
        let (wake, look) = bounded(1);
        let mut state = self.state();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(Waiter { ticket, bytes, granted: grant, look: wake });
        state.serve(self.bytes_max);
        drop(state);
        Ok(Request { budget: Arc::clone(self), ticket, bytes, is_claimed: false, granted, look })
    }

    /// Makes all that wait look whether they still want to.
    pub(super) fn wake(&self) {
        for waiter in &self.state().waiting {
            // Full: it is woken already.
            waiter.look.try_send(()).unwrap_or(());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, and its numbers are right after each statement anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, bytes: u64) {
        let mut state = self.state();
        state.granted -= bytes;
        state.serve(self.bytes_max);
    }
}

impl State {
    /// Grants from the front of the line for as long as it fits.
    fn serve(&mut self, bytes_max: u64) {
        while let Some(waiter) = self.waiting.front() {
            if self.granted + waiter.bytes > bytes_max {
                return;
            }
            self.granted += waiter.bytes;
            // It has room for the one message it will ever get; a receiver that is gone gives back in its `drop`.
            waiter.granted.try_send(()).unwrap_or(());
            self.waiting.pop_front();
        }
    }
}

impl Request {
    /// Its permit, if nobody was before it and the bytes were there; else it leaves the line.
    pub(super) fn at_once(self) -> Option<Permit> {
        self.granted.try_recv().ok()?;
        Some(self.claim())
    }

    /// Turns a request into its permit, once `granted` has yielded.
    pub(super) fn claim(mut self) -> Permit {
        self.is_claimed = true;
        Permit { budget: Arc::clone(&self.budget), bytes: self.bytes }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.is_claimed {
            return;
        }
        let mut state = self.budget.state();
        match state.waiting.iter().position(|waiter| waiter.ticket == self.ticket) {
            // The one behind may fit where this one did not.
            Some(i) => drop(state.waiting.remove(i)),
            None => state.granted -= self.bytes,
        }
        state.serve(self.budget.bytes_max);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_granted(request: &Request) -> bool {
        !request.granted.is_empty()
    }

    #[test]
    fn grants_in_order_and_never_too_much() {
        let budget = Budget::new(100);
        let first = budget.request(60).unwrap();
        let second = budget.request(60).unwrap();
        let third = budget.request(10).unwrap();
        assert!(is_granted(&first));
        assert!(!is_granted(&second) && !is_granted(&third), "the third would fit, but may not pass the second");
        drop(first.claim());
        assert!(is_granted(&second) && is_granted(&third));
        assert_eq!(budget.granted(), 70);
        drop((second.claim(), third.claim()));
        assert_eq!(budget.granted(), 0);
    }

    #[test]
    fn whoever_leaves_the_line_lets_the_next_one_pass() {
        let budget = Budget::new(100);
        let first = budget.request(60).unwrap();
        let second = budget.request(60).unwrap();
        let third = budget.request(40).unwrap();
        drop(second);
        assert!(is_granted(&third));
        // Granted, but never claimed.
        drop(third);
        assert_eq!(budget.granted(), 60);
        assert!(budget.request(41).unwrap().at_once().is_none());
        let at_once = budget.request(40).unwrap().at_once();
        assert_eq!((at_once.is_some(), budget.granted()), (true, 100));
        drop(at_once);
        drop(first.claim());
        assert_eq!(budget.granted(), 0);
    }

    #[test]
    fn more_than_all_is_refused_at_once() {
        let budget = Budget::new(100);
        assert!(matches!(budget.request(101), Err(Error::TooMuchMemory { bytes: 101, bytes_max: 100 })));
        assert!(is_granted(&budget.request(100).unwrap()));
    }

    #[test]
    fn waking_asks_all_that_wait_to_look() {
        let budget = Budget::new(100);
        let first = budget.request(100).unwrap();
        let second = budget.request(1).unwrap();
        budget.wake();
        budget.wake();
        assert!(first.look.is_empty(), "it does not wait");
        assert_eq!(second.look.len(), 1);
    }
}
