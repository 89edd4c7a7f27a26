//! The disk part: its handle, which any thread may use, and the one thread that writes.
//!
//! Reading needs no index: an entry's path follows from its key, so that a directory of any size serves as soon as it is
//! open. All that changes the directory is done by the thread `cache`, in order. What cannot be written is left out, said
//! once, and tried again later; nobody ever waits for it. A directory that is emptied or replaced under the thread is
//! opened anew.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use super::DiskOptions;
use super::directory::{Directory, Found};
use super::format::Record;
use super::generations::Generations;
use crate::error::{Error, Result};
use crate::limits;
use crate::telemetry::{CacheEvent, Telemetry};

/// A handle; dropped, the thread writes what waits and ends.
pub(super) struct Disk {
    shared: Arc<Shared>,
}

struct Shared {
    options: DiskOptions,
    waiting_bytes_max: u64,
    generations: Arc<RwLock<Generations>>,
    telemetry: Arc<Telemetry>,
    queue: Mutex<Queue>,
    /// Something has changed in `queue`.
    changed: Condvar,
    /// Bytes of all files, as far as they are known.
    bytes: AtomicU64,
}

struct Queue {
    state: State,
    waiting: VecDeque<Task>,
    waiting_bytes: u64,
    is_at_work: bool,
    is_ending: bool,
}

enum State {
    /// The directory is not open yet, or is to be opened anew.
    Opening,
    /// There is no disk part; it is tried again.
    Off(String),
    Open(Arc<Directory>),
    /// Read, but not written: that is tried again.
    ReadOnly(Arc<Directory>, String),
}

enum Task {
    Write(Record),
    Remove(u128),
    /// Write the generations as they are then.
    Generations,
}

/// Why the thread no longer works on a directory.
enum Left {
    /// It is to be opened anew.
    Lost,
    /// This is the end.
    Ending,
}

impl Disk {
    /// Returns at once; the directory is opened by the thread that will write to it.
    pub(super) fn open(
        options: DiskOptions,
        waiting_bytes_max: u64,
        generations: Arc<RwLock<Generations>>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        let queue = Queue {
            state: State::Opening,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            is_at_work: false,
            is_ending: false,
        };
        let shared = Arc::new(Shared {
            options,
            waiting_bytes_max,
            generations,
            telemetry,
            queue: Mutex::new(queue),
            changed: Condvar::new(),
            bytes: AtomicU64::new(0),
        });
        let of_thread = Arc::clone(&shared);
        if let Err(cause) = thread::Builder::new().name(String::from("cache")).spawn(move || of_thread.run()) {
            shared.off(format!("no thread to write it: {cause}"));
        }
        Self { shared }
    }

    /// The entry of `key`, whole. Blocks.
    pub(super) fn read(&self, key: u128) -> Option<Record> {
        let directory = self.shared.queue().state.directory()?;
        match directory.read(key) {
            Found::Record(record) => Some(record),
            Found::Nothing => None,
            Found::Damaged => {
                self.shared.telemetry.cache(CacheEvent::Corrupt);
                tracing::warn!(key = format_args!("{key:032x}"), "a damaged file in the cache: rendered anew");
                self.remove(key);
                None
            }
            Found::Failed(cause) => {
                tracing::warn!(key = format_args!("{key:032x}"), %cause, "cannot read from the cache's directory");
                None
            }
        }
    }

    /// Writes it as soon as that can be done, or leaves it out if too much waits already.
    pub(super) fn write(&self, record: Record) {
        self.shared.put(Task::Write(record));
    }

    /// Removes it, likewise.
    pub(super) fn remove(&self, key: u128) {
        self.shared.put(Task::Remove(key));
    }

    /// Writes the generations as they are now. Blocks, for a while even until the directory is open.
    ///
    /// # Errors
    /// `Io`: a process that follows soon might not hear of them; it is tried again.
    pub(super) fn persist(&self) -> Result<()> {
        let patience = Duration::from_millis(limits::CACHE_OPEN_WAIT_MS_MAX);
        let failed = |cause| Error::Io {
            doing: "remember the invalidation (it holds until a restart, and this is tried again) in",
            path: self.shared.options.path.clone(),
            cause,
        };
        let mut queue = self.shared.queue();
        if queue.state.directory().is_some_and(|directory| directory.is_lost()) {
            queue.state = State::Opening;
            self.shared.changed.notify_all();
        }
        let opening = |queue: &mut Queue| matches!(queue.state, State::Opening);
        let (queue, _) =
            self.shared.changed.wait_timeout_while(queue, patience, opening).unwrap_or_else(PoisonError::into_inner);
        let directory = match &queue.state {
            State::Open(directory) | State::ReadOnly(directory, _) => Arc::clone(directory),
            State::Off(reason) => return Err(failed(io::Error::other(reason.clone()))),
            State::Opening => return Err(failed(io::Error::other("the directory takes too long to open"))),
        };
        drop(queue);
        directory.write_generations(&self.shared.generations).map_err(|cause| {
            self.shared.put(Task::Generations);
            failed(cause)
        })
    }

    /// Why there is no disk part just now, or none that is written.
    pub(super) fn trouble(&self) -> Option<String> {
        match &self.shared.queue().state {
            State::Opening => Some(String::from("opening")),
            State::Off(reason) => Some(format!("off: {reason}")),
            State::ReadOnly(_, reason) => Some(format!("not written: {reason}")),
            State::Open(directory) if directory.is_tight() => Some(String::from("the disk is full: keeping what fits")),
            State::Open(_) => None,
        }
    }

    /// Bytes that wait to be written.
    pub(super) fn bytes_waiting(&self) -> u64 {
        self.shared.queue().waiting_bytes
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Waits until nothing waits, or `patience` is over.
    pub(super) fn flush(&self, patience: Duration) {
        let queue = self.shared.queue();
        let at_work = |queue: &mut Queue| queue.is_at_work || !queue.waiting.is_empty();
        drop(self.shared.changed.wait_timeout_while(queue, patience, at_work));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.shared.queue().is_ending = true;
        self.shared.changed.notify_all();
    }
}

impl State {
    fn directory(&self) -> Option<Arc<Directory>> {
        match self {
            Self::Open(directory) | Self::ReadOnly(directory, _) => Some(Arc::clone(directory)),
            Self::Opening | Self::Off(_) => None,
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it is held but an allocation.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, task: Task) {
        let mut queue = self.queue();
        let bytes = task.bytes();
        let takes_tasks = matches!(queue.state, State::Open(_)) && !queue.is_ending;
        let has_room = queue.waiting_bytes + bytes <= self.waiting_bytes_max
            && queue.waiting.len() < limits::CACHE_TASKS_WAITING_MAX;
        if takes_tasks && has_room {
            queue.waiting_bytes += bytes;
            queue.waiting.push_back(task);
            self.changed.notify_all();
        } else {
            drop(queue);
            self.telemetry.cache(CacheEvent::NotWritten);
        }
    }

    /// There is no disk part for now.
    fn off(&self, reason: String) {
        let mut queue = self.queue();
        let is_news = !matches!(&queue.state, State::Off(known) if *known == reason);
        if is_news {
            tracing::warn!(path = %self.options.path.display(), reason, "serving without the disk part of the cache");
        }
        queue.state = State::Off(reason);
        self.changed.notify_all();
    }

    /// The life of the thread.
    fn run(&self) {
        let mut was_ours = false;
        while let Some(directory) = self.opened(was_ours) {
            was_ours = true;
            match self.work_on(&Arc::new(directory)) {
                Left::Ending => return,
                Left::Lost => {
                    let path = self.options.path.display();
                    tracing::warn!(%path, "the cache's directory was emptied or replaced: opening it anew");
                    // Nobody holds the old one for long now.
                    self.give_up(State::Opening);
                }
            }
        }
    }

    /// The directory, sooner or later; `None`: the end.
    fn opened(&self, was_ours: bool) -> Option<Directory> {
        loop {
            match Directory::open(&self.options, was_ours, &self.generations) {
                Ok(directory) => return Some(directory),
                Err(reason) => self.off(reason),
            }
            if self.rests(RETRY) {
                return None;
            }
        }
    }

    /// Does what there is to do in a directory.
    fn work_on(&self, directory: &Arc<Directory>) -> Left {
        tracing::info!(path = %self.options.path.display(), "the disk part of the cache serves");
        self.queue().state = State::Open(Arc::clone(directory));
        self.changed.notify_all();
        self.note_bytes(directory.survey(&|| self.queue().is_ending));
        loop {
            let task = match self.next(directory) {
                Ok(task) => task,
                Err(left) => return left,
            };
            let mut done = task.run(directory, &self.generations);
            let mut said = String::new();
            while let Err(cause) = done {
                if directory.is_lost() {
                    return Left::Lost;
                }
                let reason = cause.to_string();
                if reason != said {
                    tracing::warn!(path = %self.options.path.display(), reason, "the cache is not written");
                    said.clone_from(&reason);
                }
                self.give_up(State::ReadOnly(Arc::clone(directory), reason));
                if self.rests(RETRY) {
                    return Left::Ending;
                }
                // The same again: only what can be done now is worth a word. And what could not be remembered meanwhile.
                done = task
                    .run(directory, &self.generations)
                    .and_then(|()| directory.write_generations(&self.generations));
            }
            if !said.is_empty() {
                tracing::info!(path = %self.options.path.display(), "the cache is written again");
                self.queue().state = State::Open(Arc::clone(directory));
            }
            self.note_bytes(directory.bytes());
        }
    }

    /// The next task. While the disk is full, it looks now and then whether it still is.
    fn next(&self, directory: &Directory) -> Result<Task, Left> {
        let mut queue = self.queue();
        queue.is_at_work = false;
        self.changed.notify_all();
        let idle =
            |queue: &mut Queue| queue.waiting.is_empty() && !queue.is_ending && !matches!(queue.state, State::Opening);
        while directory.is_tight() {
            let waited = self.changed.wait_timeout_while(queue, RETRY, idle).unwrap_or_else(PoisonError::into_inner);
            queue = waited.0;
            if !waited.1.timed_out() {
                break;
            }
            drop(queue);
            directory.recheck();
            queue = self.queue();
        }
        let mut queue = self.changed.wait_while(queue, idle).unwrap_or_else(PoisonError::into_inner);
        let is_lost = matches!(queue.state, State::Opening);
        let Some(task) = queue.waiting.pop_front().filter(|_| !is_lost) else {
            return Err(if queue.is_ending { Left::Ending } else { Left::Lost });
        };
        queue.waiting_bytes -= task.bytes();
        queue.is_at_work = true;
        drop(queue);
        // What is written from here on must be found again.
        if directory.is_lost() { Err(Left::Lost) } else { Ok(task) }
    }

    /// Drops all tasks.
    fn give_up(&self, state: State) {
        let mut queue = self.queue();
        queue.state = state;
        queue.waiting.clear();
        queue.waiting_bytes = 0;
        queue.is_at_work = false;
        self.changed.notify_all();
    }

    /// Waits for so long; whether it is the end.
    fn rests(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut queue = self.queue();
        while !queue.is_ending {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            queue = self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn note_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

impl Task {
    fn run(&self, directory: &Directory, generations: &RwLock<Generations>) -> io::Result<()> {
        match self {
            Self::Write(record) => directory.write(record),
            Self::Remove(key) => directory.remove(*key),
            Self::Generations => directory.write_generations(generations),
        }
    }

    /// Bytes it holds while it waits.
    fn bytes(&self) -> u64 {
        match self {
            Self::Write(record) => record.bytes(),
            Self::Remove(_) | Self::Generations => 0,
        }
    }
}

/// When what could not be done is tried again.
const RETRY: Duration = Duration::from_millis(limits::CACHE_RETRY_MS);
