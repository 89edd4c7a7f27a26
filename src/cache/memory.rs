//! The memory part: foyer's S3-FIFO, weighed in bytes.

use std::sync::Arc;

use super::{Entry, Note};

/// Entries by their keys, at most so many bytes of them.
pub(super) struct Memory<N: Note> {
    /// `None`: nothing is kept.
    entries: Option<foyer_memory::Cache<u128, Arc<Entry<N>>>>,
    entry_bytes_max: usize,
}

impl<N: Note> Memory<N> {
    pub(super) fn new(bytes_max: u64) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let shards = if bytes_max >= SHARDED_BYTES_MIN { SHARDS } else { 1 };
        // At most half a shard: one entry never drives out all the others. foyer would keep an entry that is larger than
        // its shard, and go over its bound.
        let entry_bytes_max = bytes_max / (2 * SHARDS);
        let entries = (bytes_max > 0).then(|| {
            foyer_memory::CacheBuilder::new(bytes_max)
                .with_name("derivatives")
                .with_shards(shards)
                // Not LRU: a crawler that asks for everything once must not drive out what all the others ask for.
                .with_eviction_config(foyer_memory::S3FifoConfig::default())
                .with_weighter(|_: &u128, entry: &Arc<Entry<N>>| weight(entry))
                .build()
        });
        Self { entries, entry_bytes_max }
    }

    pub(super) fn get(&self, key: u128) -> Option<Arc<Entry<N>>> {
        Some(Arc::clone(self.entries.as_ref()?.get(&key)?.value()))
    }

    /// Keeps it, unless it is too large.
    pub(super) fn insert(&self, key: u128, entry: Arc<Entry<N>>) {
        let Some(entries) = &self.entries else { return };
        if weight(&entry) <= self.entry_bytes_max {
            // The handle is dropped at once: one that is held would be counted no more, but stay.
            drop(entries.insert(key, entry));
        } else {
            // What was there under this key is older.
            drop(entries.remove(&key));
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.entries.as_ref().map_or(0, |entries| entries.usage() as u64)
    }
}

/// Bytes that an entry counts for.
fn weight<N>(entry: &Entry<N>) -> usize {
    entry.body.len() + OVERHEAD_BYTES
}

/// Keys, links, note, reference counts; rounded up generously.
const OVERHEAD_BYTES: usize = 512;
/// Locks of their own from this size on.
const SHARDED_BYTES_MIN: usize = 64 << 20;
const SHARDS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    impl Note for u8 {
        fn to_bytes(&self) -> Vec<u8> {
            vec![*self]
        }

        fn from_bytes(bytes: &[u8]) -> Option<Self> {
            bytes.first().copied()
        }
    }

    #[test]
    fn never_holds_more_than_its_bound() {
        for bytes_max in [0, 1 << 10, 64 << 10, 1 << 20, 80 << 20] {
            let memory = Memory::<u8>::new(bytes_max);
            for i in 0..2000_u32 {
                let bytes = vec![0; (i as usize * 7919) % (60 << 10)];
                memory.insert(u128::from(i % 700), Arc::new(Entry::new(0, &bytes)));
                assert!(memory.bytes() <= bytes_max, "{} of {bytes_max} after {i}", memory.bytes());
            }
            if bytes_max >= 1 << 20 {
                assert!(memory.bytes() > bytes_max / 8, "{} of {bytes_max}: nothing is kept", memory.bytes());
            }
        }
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_replaces_what_was_there() {
        let memory = Memory::<u8>::new(64 << 10);
        memory.insert(1, Arc::new(Entry::new(1, b"small")));
        assert_eq!(memory.get(1).map(|entry| entry.note), Some(1));
        memory.insert(1, Arc::new(Entry::new(2, &[0; 40 << 10])));
        assert_eq!(memory.get(1), None);
    }
}
