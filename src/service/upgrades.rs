//! Renditions that left a candidate out for lack of time wait here to be made anew while no client waits.
//!
//! Invariants: one at a time; each waits once; where a client comes first, it waits once more; what is forgotten, because too
//! many wait, is asked for again by the next hit on it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::sources::Found;
use crate::cache::Stamp;
use crate::error::Result;
use crate::limits;
use crate::plan::Plan;

/// Finds the source of a request, now or later. Blocks.
pub(super) type Finder = Arc<dyn Fn() -> Result<Found> + Send + Sync>;

/// A rendition to be made anew.
#[derive(Clone)]
pub(super) struct Upgrade {
    /// What it is kept under.
    pub(super) key: u128,
    /// `Company/Asset`, for people.
    pub(super) id: String,
    pub(super) stamp: Stamp,
    pub(super) find: Finder,
    pub(super) plan: Arc<Plan>,
}

/// All that wait.
#[derive(Default)]
pub(super) struct Upgrades(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Upgrade>,
    /// The key of the one that is being made.
    at_work: Option<u128>,
    has_worker: bool,
}

impl Upgrades {
    /// Puts one in line unless it is there already or too many are. Whether somebody has to begin with the line: then
    /// nobody was at it.
    pub(super) fn add(&self, upgrade: Upgrade) -> bool {
        let mut state = self.state();
        let is_known = state.at_work == Some(upgrade.key) || state.waiting.iter().any(|known| known.key == upgrade.key);
        if is_known || state.waiting.len() >= limits::UPGRADES_WAITING_MAX {
            return false;
        }
        state.waiting.push_back(upgrade);
        !std::mem::replace(&mut state.has_worker, true)
    }

    /// The next one, for whoever is at it; with `None` he is no longer.
    pub(super) fn next(&self) -> Option<Upgrade> {
        let mut state = self.state();
        let next = state.waiting.pop_front();
        state.at_work = next.as_ref().map(|next| next.key);
        state.has_worker = next.is_some();
        next
    }

    /// What [`Self::next`] gave is no longer being made: it may be put in line again.
    pub(super) fn done(&self) {
        self.state().at_work = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held but an allocation.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::pixel::Size;
    use crate::plan::{DecodeAs, EncodeLadder, EncodeSpec, Output};

    fn upgrade(key: u128) -> Upgrade {
        let size = Size::new(1, 1);
        let encode = EncodeLadder::only(EncodeSpec::Png);
        let plan =
            Plan { source: size, decode: DecodeAs::Rgb, size, passes: Vec::new(), encode, output: Output::default() };
        let find: Finder = Arc::new(|| Err(Error::NotFound { id: String::new() }));
        Upgrade { key, id: String::new(), stamp: Stamp::default(), find, plan: Arc::new(plan) }
    }

    #[test]
    fn each_waits_once_and_one_works_at_a_time() {
        let upgrades = Upgrades::default();
        let next = || upgrades.next().map(|upgrade| upgrade.key);
        assert!(upgrades.add(upgrade(1)), "somebody has to begin");
        assert!(!upgrades.add(upgrade(2)) && !upgrades.add(upgrade(1)));
        assert_eq!(next(), Some(1));
        assert!(!upgrades.add(upgrade(1)), "it is being made");
        upgrades.done();
        assert!(!upgrades.add(upgrade(1)), "a client came first; somebody is at the line");
        assert_eq!((next(), next(), next()), (Some(2), Some(1), None));
        assert!(upgrades.add(upgrade(3)), "nobody is any more");
        for key in 10..10 + limits::UPGRADES_WAITING_MAX as u128 {
            assert!(!upgrades.add(upgrade(key)));
        }
        let line: Vec<_> = std::iter::from_fn(next).collect();
        assert_eq!(line.len(), limits::UPGRADES_WAITING_MAX);
        assert_eq!(line[..2], [3, 10]);
    }
}
