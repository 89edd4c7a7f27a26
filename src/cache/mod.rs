//! Derivatives: what was rendered once is served again, from memory or from disk, until its source changes or somebody
//! says that it is no longer valid.
//!
//! Pictures mean nothing here: an [`Entry`] is bytes, their hash, and a [`Note`] that only its owner reads. Invariants:
//! opening and writing never make a request wait; nothing is handed out whose hash does not match; the memory part and
//! what waits to be written never hold more than their bound together; a [`Stamp`] taken before an invalidation never
//! equals one taken after it, not even in another process over the same directory.

mod directory;
mod disk;
mod flight;
mod format;
mod generations;
mod memory;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use self::disk::Disk;
pub use self::flight::{Flights, Seat};
use self::format::Record;
use self::generations::Generations;
pub use self::generations::{Stamp, Target};
use self::memory::Memory;
use crate::error::Result;
use crate::telemetry::{CacheEvent, Telemetry};

/// What a cache may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes in memory: entries, and what waits to be written to disk. 0: nothing is kept.
    pub memory_bytes_max: u64,
    /// The disk part, if there is to be one.
    pub disk: Option<DiskOptions>,
}

/// Where the disk part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// A directory of its own; made if it is missing.
    pub path: PathBuf,
    /// Bytes of all its files.
    pub bytes_max: u64,
}

/// What the owner of a cache wants to know of an entry beside its bytes.
pub trait Note: Clone + Send + Sync + 'static {
    /// As it is stored.
    fn to_bytes(&self) -> Vec<u8>;

    /// What [`Self::to_bytes`] wrote; `None` if another version of the program wrote it.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

/// One derivative.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<N> {
    /// What its owner wants to know of it.
    pub note: N,
    /// The bytes.
    pub body: Bytes,
    /// XXH3-128 of the bytes.
    pub hash: u128,
}

/// Which of the two parts an entry came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Memory.
    Memory,
    /// Disk.
    Disk,
}

/// Both parts, and the generations that are in their keys.
pub struct Cache<N: Note> {
    memory: Memory<N>,
    disk: Option<Disk>,
    generations: Arc<RwLock<Generations>>,
    telemetry: Arc<Telemetry>,
}

impl<N> Entry<N> {
    /// An entry of these bytes. They are copied: what came from an encoder may hold more memory than it shows.
    pub fn new(note: N, body: &[u8]) -> Self {
        Self { note, hash: xxh3_128(body), body: Bytes::copy_from_slice(body) }
    }
}

impl<N: Note> Cache<N> {
    /// An empty memory part; the disk part is opened on a thread of its own and joins when it is ready.
    pub fn new(options: &Options, telemetry: Arc<Telemetry>) -> Self {
        let generations = Arc::new(RwLock::new(Generations::new()));
        // What waits for the disk is in memory too. The memory part gets what is left.
        let waiting_bytes_max = if options.disk.is_some() { options.memory_bytes_max / 4 } else { 0 };
        let disk = options
            .disk
            .clone()
            .map(|options| Disk::open(options, waiting_bytes_max, Arc::clone(&generations), Arc::clone(&telemetry)));
        Self { memory: Memory::new(options.memory_bytes_max - waiting_bytes_max), disk, generations, telemetry }
    }

    /// What has to be in every key of this asset's derivatives. To be taken before the source is looked at, so that an
    /// invalidation from then on makes the key a dead one.
    pub fn stamp(&self, company: &str, asset: &str) -> Stamp {
        self.generations.read().unwrap_or_else(PoisonError::into_inner).stamp(company, asset)
    }

    /// The entry if it is in memory.
    pub fn in_memory(&self, key: u128) -> Option<Arc<Entry<N>>> {
        self.memory.get(key)
    }

    /// Whether there is to be a disk part.
    pub fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// The entry if it is on disk; it is in memory then, too. Blocks.
    pub fn on_disk(&self, key: u128) -> Option<Arc<Entry<N>>> {
        let disk = self.disk.as_ref()?;
        let Record { note, hash, body, .. } = disk.read(key)?;
        let Some(note) = N::from_bytes(&note) else {
            disk.remove(key);
            return None;
        };
        let entry = Arc::new(Entry { note, hash, body });
        self.memory.insert(key, Arc::clone(&entry));
        Some(entry)
    }

    /// Keeps an entry: in memory if it is not too large for it, and on disk as soon as that can be done.
    pub fn insert(&self, key: u128, entry: Arc<Entry<N>>) {
        if let Some(disk) = &self.disk {
            let Entry { note, body, hash } = &*entry;
            disk.write(Record { key, note: note.to_bytes(), hash: *hash, body: body.clone() });
        }
        self.memory.insert(key, entry);
    }

    /// Makes all keys of these targets dead ones, all at once. Blocks until that is on disk.
    ///
    /// # Errors
    /// `Io`: the targets are dead here and now, but a later process may find them alive.
    pub fn invalidate(&self, targets: &[Target]) -> Result<()> {
        self.generations.write().unwrap_or_else(PoisonError::into_inner).bump(targets);
        for _ in targets {
            self.telemetry.cache(CacheEvent::Invalidated);
        }
        match &self.disk {
            Some(disk) => disk.persist(),
            None => Ok(()),
        }
    }

    /// Why there is no disk part just now, or none that is written; `None`: all is well.
    pub fn trouble(&self) -> Option<String> {
        self.disk.as_ref().and_then(Disk::trouble)
    }

    /// Bytes in memory and on disk.
    pub fn bytes(&self) -> (u64, u64) {
        let waiting = self.disk.as_ref().map_or(0, Disk::bytes_waiting);
        (self.memory.bytes() + waiting, self.disk.as_ref().map_or(0, Disk::bytes))
    }

    /// Waits until what was inserted is written, or `patience` is over. Blocks.
    pub fn flush(&self, patience: Duration) {
        if let Some(disk) = &self.disk {
            disk.flush(patience);
        }
    }
}

impl<N: Note> std::fmt::Debug for Cache<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cache({:?} bytes in memory and on disk)", self.bytes())
    }
}
