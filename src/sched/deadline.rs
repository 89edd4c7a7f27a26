//! A deadline that can be put off by those who join while the work goes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A moment that only ever moves to a later one. Clones share it.
#[derive(Clone, Debug)]
pub struct Deadline(Arc<AtomicU64>);

impl Deadline {
    /// The moment as it stands.
    pub fn get(&self) -> Instant {
        epoch() + Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// Puts it off to `moment`, if that is later.
    pub fn put_off(&self, moment: Instant) {
        self.0.fetch_max(since_epoch_ns(moment), Ordering::Relaxed);
    }
}

impl From<Instant> for Deadline {
    fn from(moment: Instant) -> Self {
        Self(Arc::new(AtomicU64::new(since_epoch_ns(moment))))
    }
}

/// A moment before any deadline.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// 64 bits of nanoseconds are five hundred years.
fn since_epoch_ns(moment: Instant) -> u64 {
    u64::try_from(moment.saturating_duration_since(epoch()).as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_it_and_it_never_comes_nearer() {
        let now = Instant::now() + Duration::from_secs(1);
        let deadline = Deadline::from(now);
        let clone = deadline.clone();
        assert_eq!(deadline.get(), now);
        clone.put_off(now + Duration::from_secs(5));
        clone.put_off(now);
        assert_eq!(deadline.get(), now + Duration::from_secs(5));
    }
}
