//! Single flight: those who want the same thing at the same time wait for one that fetches it.
//!
//! Invariants: at most one flight a key; its work is dropped when the last who waited has left, and not before; whoever
//! joins after that begins a new one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Flights by their keys. `S` is what all who wait share with the work while it goes on, `T` what it comes to.
pub struct Flights<K, S, T> {
    open: Mutex<Open<K, S, T>>,
}

struct Open<K, S, T>(HashMap<K, Arc<Flight<S, T>>>);

struct Flight<S, T> {
    share: S,
    /// Changed under the lock of `Flights::open` alone.
    state: Mutex<State>,
    outcome: watch::Receiver<Option<T>>,
}

#[derive(Default)]
struct State {
    seats: usize,
    work: Option<AbortHandle>,
}

/// A place in a flight. Dropped, it is given up.
pub struct Seat<K: Eq + Hash, S, T> {
    flights: Arc<Flights<K, S, T>>,
    key: K,
    flight: Arc<Flight<S, T>>,
}

impl<K, S, T> Default for Flights<K, S, T> {
    fn default() -> Self {
        Self { open: Mutex::new(Open(HashMap::new())) }
    }
}

/// Dropped, whether the work is done or has panicked, nobody joins its flight any more.
struct Closing<K: Eq + Hash, S, T> {
    flights: Arc<Flights<K, S, T>>,
    key: K,
    flight: Arc<Flight<S, T>>,
}

impl<K: Eq + Hash, S, T> Drop for Closing<K, S, T> {
    fn drop(&mut self) {
        self.flights.open().close(&self.key, &self.flight);
    }
}

impl<K, S, T> Flights<K, S, T>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    S: Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// A seat in the flight of `key`, and whether it was under way. If it was not, `begin` says what is shared and what
    /// is to be done; that is done by a task of its own, so call it inside a tokio runtime.
    pub fn join<F>(self: &Arc<Self>, key: K, begin: impl FnOnce() -> (S, F)) -> (Seat<K, S, T>, bool)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut open = self.open();
        if let Some(flight) = open.0.get(&key) {
            flight.state().seats += 1;
            return (Seat { flights: Arc::clone(self), key, flight: Arc::clone(flight) }, true);
        }
        let (share, work) = begin();
        let (land, outcome) = watch::channel(None);
        let flight = Arc::new(Flight { share, state: Mutex::new(State { seats: 1, work: None }), outcome });
        open.0.insert(key.clone(), Arc::clone(&flight));
        let task = {
            let closing = Closing { flights: Arc::clone(self), key: key.clone(), flight: Arc::clone(&flight) };
            tokio::spawn(async move {
                let outcome = work.await;
                drop(closing);
                // Everybody may have left at this very moment.
                drop(land.send(Some(outcome)));
            })
        };
        // The map is still locked, so nobody can have left yet.
        flight.state().work = Some(task.abort_handle());
        drop(open);
        (Seat { flights: Arc::clone(self), key, flight }, false)
    }
}

impl<K, S, T> Flights<K, S, T> {
    fn open(&self) -> MutexGuard<'_, Open<K, S, T>> {
        // Nothing panics while it is held but an allocation.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, S, T> Open<K, S, T> {
    /// Nobody joins `flight` any more.
    fn close(&mut self, key: &K, flight: &Arc<Flight<S, T>>) {
        if self.0.get(key).is_some_and(|other| Arc::ptr_eq(other, flight)) {
            self.0.remove(key);
        }
    }
}

impl<S, T> Flight<S, T> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, S, T: Clone> Seat<K, S, T> {
    /// What all who wait share with the work.
    pub fn share(&self) -> &S {
        &self.flight.share
    }

    /// What it came to; `None`: the work broke off.
    pub async fn landed(self) -> Option<T> {
        let mut outcome = self.flight.outcome.clone();
        let landed = outcome.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }
}

impl<K: Eq + Hash, S, T> Drop for Seat<K, S, T> {
    fn drop(&mut self) {
        let mut open = self.flights.open();
        let mut state = self.flight.state();
        state.seats -= 1;
        if state.seats > 0 {
            return;
        }
        open.close(&self.key, &self.flight);
        let work = state.work.take();
        drop((state, open));
        if let Some(work) = work {
            // Without effect if it is done.
            work.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{Notify, oneshot};

    use super::*;

    /// Sends when it is dropped.
    struct Tell(Option<oneshot::Sender<()>>);

    impl Drop for Tell {
        fn drop(&mut self) {
            if let Some(tell) = self.0.take() {
                tell.send(()).unwrap_or(());
            }
        }
    }

    #[tokio::test]
    async fn many_wait_for_one() {
        let flights = Arc::new(Flights::<u8, AtomicUsize, usize>::default());
        let (go, begun) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let join = || {
            let (go, begun) = (Arc::clone(&go), Arc::clone(&begun));
            flights.join(1, || {
                let n = begun.fetch_add(1, Ordering::Relaxed);
                (AtomicUsize::new(0), async move {
                    go.notified().await;
                    n
                })
            })
        };
        let seats: Vec<_> = (0..100).map(|_| join()).collect();
        assert_eq!(seats.iter().filter(|(_, joined)| *joined).count(), 99);
        for (seat, _) in &seats {
            seat.share().fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(seats[0].0.share().load(Ordering::Relaxed), 100, "they share one value");
        // Those who leave take nothing from those who stay.
        let mut seats = seats.into_iter();
        drop(seats.by_ref().take(50).collect::<Vec<_>>());
        go.notify_one();
        for (seat, _) in seats {
            assert_eq!(seat.landed().await, Some(0));
        }
        let (next, joined) = join();
        assert!(!joined, "a flight that has landed is over");
        go.notify_one();
        assert_eq!(next.landed().await, Some(1));
        assert!(flights.open().0.is_empty());
    }

    #[tokio::test]
    async fn the_last_to_leave_ends_the_work() {
        let flights = Arc::new(Flights::<u8, (), ()>::default());
        let (dropped, was_dropped) = oneshot::channel();
        let tell = Tell(Some(dropped));
        let (first, _) = flights.join(1, || {
            ((), async move {
                std::future::pending::<()>().await;
                drop(tell);
            })
        });
        let (second, joined) = flights.join(1, || ((), async {}));
        assert!(joined);
        drop(first);
        tokio::task::yield_now().await;
        assert_eq!(flights.open().0.len(), 1, "one is still waiting");
        drop(second);
        was_dropped.await.expect("the work is dropped");
        let (third, joined) = flights.join(1, || ((), async {}));
        assert!(!joined, "the abandoned flight takes nobody");
        assert_eq!(third.landed().await, Some(()));
    }

    #[tokio::test]
    async fn a_panic_reaches_those_who_wait() {
        let flights = Arc::new(Flights::<u8, (), ()>::default());
        let (seat, _) = flights.join(1, || ((), async { panic!("on purpose") }));
        assert_eq!(seat.landed().await, None);
    }
}
