//! The directory of the disk part: one file an entry, named after its key.
//!
//! ```text
//! format        the layout's name; a directory that has another one, or anything else in it, is left alone
//! lock          held by the process that uses the directory
//! lost+found    the file system's own, where the directory is one of its own
//! generations   see there; written anew and renamed into place
//! tmp/          files that are being written
//! 00/ … ff/     entries: the first byte of the key, then the other fifteen
//! ```
//! A file appears by a rename, so that a reader finds all of it or nothing; what a crash of the system tears in spite of
//! that, its hashes tell. The time of a file's last change is that of its last use, give or take [`TOUCH_AFTER`]: what is
//! used least goes first, across restarts too.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use super::DiskOptions;
use super::format::Record;
use super::generations::Generations;
use crate::limits;

/// A directory that is ours alone.
pub(super) struct Directory {
    path: PathBuf,
    bytes_max: u64,
    /// The disk has less room than that: it is smaller, or full of other things.
    is_tight: AtomicBool,
    ledger: Mutex<Ledger>,
    /// Held while the generations are written.
    generations: Mutex<()>,
    /// Locked for as long as it is open.
    lock: File,
}

/// What is known of the files. Only the writing thread changes it.
#[derive(Debug, Default)]
struct Ledger {
    /// Of all entries.
    bytes: u64,
    /// The files that were used least when they were last looked at, the least first.
    victims: VecDeque<Victim>,
    /// Files written so far, for their temporary names.
    written: u64,
}

/// A file that may go.
#[derive(Debug)]
struct Victim {
    used: SystemTime,
    path: PathBuf,
}

/// What reading came to.
pub(super) enum Found {
    Record(Record),
    Nothing,
    /// There is a file, but its bytes are not those that were written.
    Damaged,
    Failed(io::Error),
}

impl Directory {
    /// Opens it, or makes it, and joins what it remembers of the generations. `was_ours`: this process had it open before,
    /// so that what is left in it without its format is known.
    ///
    /// # Errors
    /// Why it cannot be used, in words.
    pub(super) fn open(
        options: &DiskOptions,
        was_ours: bool,
        generations: &RwLock<Generations>,
    ) -> Result<Self, String> {
        let path = options.path.clone();
        let at = |name: &str| path.join(name);
        let failed = |doing: &'static str| move |cause: io::Error| format!("cannot {doing}: {cause}");
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed("make the directory"))?;
        let is_new = is_new(&path, was_ours)?;
        let lock = OpenOptions::new().create(true).append(true).open(at("lock")).map_err(failed("write into it"))?;
        lock.try_lock().map_err(|_| String::from("another process uses the directory"))?;
        if is_new {
            replace(&path, "format", FORMAT.as_bytes()).map_err(failed("write into it"))?;
        }
        // Left there by a crash.
        if let Err(cause) = fs::remove_dir_all(at("tmp"))
            && cause.kind() != ErrorKind::NotFound
        {
            return Err(failed("write into it")(cause));
        }
        DirBuilder::new().mode(0o700).create(at("tmp")).map_err(failed("write into it"))?;
        let directory = Self {
            bytes_max: options.bytes_max,
            is_tight: AtomicBool::new(false),
            ledger: Mutex::default(),
            generations: Mutex::new(()),
            lock,
            path,
        };
        // Without them nothing that is there can be trusted any more: the epoch of this process leaves it all behind.
        let remembered = match fs::read_to_string(directory.path.join(GENERATIONS)) {
            Ok(text) => Generations::from_text(&text),
            Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => None,
            Err(cause) => return Err(failed("read its generations")(cause)),
        };
        match remembered {
            Some(remembered) => generations.write().unwrap_or_else(PoisonError::into_inner).join(remembered),
            None if is_new || was_ours => {}
            None => {
                tracing::warn!(path = %directory.path.display(), "the cache's generations are lost: beginning anew")
            }
        }
        directory.write_generations(generations).map_err(failed("write its generations"))?;
        Ok(directory)
    }

    /// Whether somebody has removed what makes it ours, or put another directory in its place: what is written to it would
    /// be refused by the next process, and the lock keeps nobody out.
    pub(super) fn is_lost(&self) -> bool {
        let node = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let is_missing = |cause: io::Error| cause.kind() == ErrorKind::NotFound;
        let is_locked = match (fs::metadata(self.path.join("lock")), self.lock.metadata()) {
            (Ok(there), Ok(own)) => node(there) == node(own),
            (Err(cause), _) | (_, Err(cause)) => !is_missing(cause),
        };
        !is_locked || fs::metadata(self.path.join("format")).is_err_and(is_missing)
    }

    /// The entry of `key`.
    pub(super) fn read(&self, key: u128) -> Found {
        match self.try_read(key) {
            Ok(Some(record)) => Found::Record(record),
            Ok(None) => Found::Damaged,
            Err(cause) => match cause.kind() {
                ErrorKind::NotFound => Found::Nothing,
                // Shorter than it was a moment ago.
                ErrorKind::UnexpectedEof => Found::Damaged,
                _ => Found::Failed(cause),
            },
        }
    }

    fn try_read(&self, key: u128) -> io::Result<Option<Record>> {
        let mut file = File::open(self.entry(key))?;
        let metadata = file.metadata()?;
        let length = metadata.len();
        // Before there is memory for it.
        if length > limits::CACHE_ENTRY_BYTES_MAX {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact(&mut bytes)?;
        let now = SystemTime::now();
        if metadata.modified().is_ok_and(|used| now.duration_since(used).is_ok_and(|since| since > TOUCH_AFTER)) {
            // If it cannot be noted, the file just looks older than it is.
            drop(file.set_modified(now));
        }
        Ok(Record::read(bytes, key))
    }

    /// Writes an entry, having made room for it; one that would fill a good part of the directory, or that the disk has no
    /// room for, is left out.
    ///
    /// # Errors
    /// As the file system says.
    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        let bytes = on_disk(record.bytes());
        if bytes > (self.bytes_max / 4).min(limits::CACHE_ENTRY_BYTES_MAX) {
            return Ok(());
        }
        let mut ledger = self.ledger();
        self.make_room(&mut ledger, self.bytes_max.saturating_sub(bytes))?;
        let lacking = (bytes + FREE_BYTES_MIN).saturating_sub(self.free()?);
        self.judge(&ledger, lacking);
        match ledger.bytes.checked_sub(lacking) {
            // Other files have the disk, and they may be worth more.
            None => return Ok(()),
            Some(left) if lacking > 0 => self.make_room(&mut ledger, left)?,
            Some(_) => {}
        }
        ledger.written += 1;
        let temporary = self.path.join("tmp").join(ledger.written.to_string());
        let target = self.entry(record.key);
        let written = File::create_new(&temporary).and_then(|mut file| {
            // Not synced: a file that a power cut tears is noticed and rendered anew.
            record.write(&mut file)?;
            let before = fs::metadata(&target).map_or(0, |metadata| on_disk(metadata.len()));
            match fs::rename(&temporary, &target) {
                Err(cause) if cause.kind() == ErrorKind::NotFound => {
                    DirBuilder::new().recursive(true).mode(0o700).create(target.parent().unwrap_or(&self.path))?;
                    fs::rename(&temporary, &target)?;
                }
                renamed => renamed?,
            }
            ledger.bytes = (ledger.bytes + bytes).saturating_sub(before);
            Ok(())
        });
        if written.is_err() {
            // It is in the way of nobody but for its bytes, and goes when the directory is next opened.
            drop(fs::remove_file(&temporary));
        }
        written
    }

    /// Removes the entry of `key`, if it is there.
    ///
    /// # Errors
    /// As the file system says.
    pub(super) fn remove(&self, key: u128) -> io::Result<()> {
        remove(&mut self.ledger(), &self.entry(key))
    }

    /// Bytes of all entries, as far as they are known.
    pub(super) fn bytes(&self) -> u64 {
        self.ledger().bytes
    }

    /// Whether the disk has less room than the bound, so that the cache keeps less.
    pub(super) fn is_tight(&self) -> bool {
        self.is_tight.load(Ordering::Relaxed)
    }

    /// Looks whether the disk has room again.
    pub(super) fn recheck(&self) {
        if let Ok(free) = self.free() {
            let ledger = self.ledger();
            self.judge(&ledger, FREE_BYTES_MIN.saturating_sub(free));
        }
    }

    /// Notes and says whether the disk is full, and whether it is no longer: then a good deal must be free, so that this is
    /// not said at every other file.
    fn judge(&self, ledger: &Ledger, lacking: u64) {
        let is_tight = match self.is_tight() {
            false => lacking > 0,
            true => {
                lacking > 0 || !self.free().is_ok_and(|free| free > 2 * FREE_BYTES_MIN + ledger.bytes / VICTIMS_PART)
            }
        };
        if self.is_tight.swap(is_tight, Ordering::Relaxed) != is_tight {
            let path = self.path.display();
            if is_tight {
                tracing::warn!(%path, bytes = ledger.bytes, "the disk is full: the cache keeps what fits");
            } else {
                tracing::info!(%path, "the disk has room again");
            }
        }
    }

    /// Bytes that may still be written to the disk.
    fn free(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.path)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Looks at every file, and makes room if there are too many. Bytes of all that is there.
    pub(super) fn survey(&self, is_ending: &dyn Fn() -> bool) -> u64 {
        let mut ledger = self.ledger();
        self.look(&mut ledger, is_ending);
        if let Err(cause) = self.make_room(&mut ledger, self.bytes_max) {
            tracing::warn!(path = %self.path.display(), %cause, "cannot remove old files of the cache");
        }
        ledger.bytes
    }

    /// Removes what was used least until all that is left has at most so many bytes.
    fn make_room(&self, ledger: &mut Ledger, bytes_max: u64) -> io::Result<()> {
        let mut looked = false;
        while ledger.bytes > bytes_max {
            let Some(Victim { used, path }) = ledger.victims.pop_front() else {
                if looked {
                    // All that was there has gone, or was used meanwhile.
                    return Ok(());
                }
                looked = true;
                self.look(ledger, &|| false);
                continue;
            };
            looked = false;
            // Used since: it has earned another round.
            if fs::metadata(&path).and_then(|metadata| metadata.modified()).is_ok_and(|now| now == used) {
                remove(ledger, &path)?;
            }
        }
        Ok(())
    }

    /// Counts all bytes anew and finds the next victims: enough of them that this is not done too often.
    fn look(&self, ledger: &mut Ledger, is_ending: &dyn Fn() -> bool) {
        let mut files = Vec::new();
        ledger.bytes = 0;
        for byte in 0..=u8::MAX {
            if is_ending() {
                return;
            }
            let Ok(entries) = fs::read_dir(self.path.join(format!("{byte:02x}"))) else { continue };
            for entry in entries.flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                let bytes = on_disk(metadata.len());
                ledger.bytes += bytes;
                files.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), bytes, entry.path()));
            }
        }
        files.sort_unstable();
        let enough = ledger.bytes.saturating_sub(self.bytes_max) + self.bytes_max.min(ledger.bytes) / VICTIMS_PART;
        let mut bytes = 0;
        let victims = files.into_iter().take_while(|(_, of_file, _)| {
            let is_wanted = bytes <= enough;
            bytes += of_file;
            is_wanted
        });
        ledger.victims = victims.map(|(used, _, path)| Victim { used, path }).collect();
    }

    /// Writes the generations so that they survive a power cut.
    ///
    /// # Errors
    /// As the file system says, and nothing else could be done to make a later process forget what it must not serve.
    pub(super) fn write_generations(&self, generations: &RwLock<Generations>) -> io::Result<()> {
        let _one_at_a_time = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let text = generations.read().unwrap_or_else(PoisonError::into_inner).to_text();
        replace(&self.path, GENERATIONS, text.as_bytes()).or_else(|cause| {
            // A full disk refuses new bytes, but still removes: without the file the next process begins anew.
            fs::remove_file(self.path.join(GENERATIONS))
                .and_then(|()| File::open(&self.path)?.sync_all())
                .map_err(|_| cause)
        })
    }

    fn entry(&self, key: u128) -> PathBuf {
        let name = format!("{key:032x}");
        let (folder, name) = name.split_at(2);
        self.path.join(folder).join(name)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes one entry's file.
fn remove(ledger: &mut Ledger, path: &Path) -> io::Result<()> {
    let bytes = fs::metadata(path).map_or(0, |metadata| on_disk(metadata.len()));
    match fs::remove_file(path) {
        Ok(()) => ledger.bytes = ledger.bytes.saturating_sub(bytes),
        Err(cause) if cause.kind() == ErrorKind::NotFound => {}
        Err(cause) => return Err(cause),
    }
    Ok(())
}

/// Whether there is nothing in it yet; `was_ours`: or nothing but what this process had put there.
///
/// # Errors
/// It is another format's, or nobody knows whose.
fn is_new(path: &Path, was_ours: bool) -> Result<bool, String> {
    match fs::read_to_string(path.join("format")) {
        Ok(format) if format == FORMAT => Ok(false),
        Ok(format) => {
            let format = crate::error::shortened(format.trim_end());
            Err(format!("its format is \"{format}\", not \"{}\": empty it or choose another", FORMAT.trim_end()))
        }
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            let entries = fs::read_dir(path).map_err(|cause| format!("cannot look into it: {cause}"))?;
            let is_folder = |name: &str| name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_known = |name: &OsString| match name.to_str() {
                Some("lock" | "tmp" | "lost+found") => true,
                Some(name) => was_ours && (name == GENERATIONS || is_folder(name)),
                None => false,
            };
            match entries.flatten().map(|entry| entry.file_name()).find(|name| !is_known(name)) {
                None => Ok(true),
                Some(name) => {
                    let name = crate::error::shortened(&name.to_string_lossy());
                    Err(format!("\"{name}\" in it is none of ours: name a directory that is empty or not there"))
                }
            }
        }
        Err(cause) => Err(format!("cannot read its format: {cause}")),
    }
}

/// A file that is there whole or as it was before, whatever happens.
fn replace(path: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.join("tmp").join(name);
    DirBuilder::new().recursive(true).mode(0o700).create(path.join("tmp"))?;
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path.join(name))?;
        File::open(path)?.sync_all()
    });
    if written.is_err() {
        drop(fs::remove_file(&temporary));
    }
    written
}

/// Bytes that a file of this length takes: file systems hand out blocks.
fn on_disk(length: u64) -> u64 {
    length.next_multiple_of(limits::CACHE_BLOCK_BYTES)
}

const FORMAT: &str = "calotype cache 1\n";
const GENERATIONS: &str = "generations";
/// A use is noted if the last one that was is older than this.
const TOUCH_AFTER: Duration = Duration::from_secs(3600);
/// What the disk keeps free, for the file system's own bookkeeping and for others.
const FREE_BYTES_MIN: u64 = 64 << 10;
/// What part of all bytes is found to go at a time.
const VICTIMS_PART: u64 = 16;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    fn open(path: &Path, bytes_max: u64) -> Directory {
        let options = DiskOptions { path: path.to_owned(), bytes_max };
        Directory::open(&options, false, &RwLock::new(Generations::new())).unwrap()
    }

    fn record(key: u128, length: usize) -> Record {
        let body = Bytes::from(vec![key.to_le_bytes()[0]; length]);
        Record { key, note: b"note".to_vec(), hash: xxh3_128(&body), body }
    }

    fn is_there(directory: &Directory, key: u128) -> bool {
        matches!(directory.read(key), Found::Record(found) if found.key == key)
    }

    /// Key `i`: spread over all folders.
    fn key(i: u64) -> u128 {
        xxh3_128(&i.to_le_bytes())
    }

    #[test]
    fn what_is_used_least_goes_first_and_the_bound_holds() {
        let dir = tempfile::tempdir().unwrap();
        let directory = open(dir.path(), 100 * 4096);
        let old = SystemTime::now() - Duration::from_secs(100_000);
        for i in 0..1000 {
            directory.write(&record(key(i), 3000)).unwrap();
            assert!(directory.bytes() <= 100 * 4096, "{} after {i}", directory.bytes());
            // Each a second younger than the one before; the first is in use all the time.
            let path = directory.entry(key(i));
            File::open(path).unwrap().set_modified(old + Duration::from_secs(i)).unwrap();
            assert!(is_there(&directory, key(0)), "what is in use went, after {i}");
        }
        let left: Vec<u64> = (0..1000).filter(|&i| directory.entry(key(i)).exists()).collect();
        assert!(left.len() > 80, "{} left", left.len());
        assert_eq!(directory.survey(&|| false), left.len() as u64 * 4096);
        assert!(left[1..].iter().all(|&i| i >= 890), "older ones are left: {left:?}");

        // A smaller bound is kept from the first look on.
        drop(directory);
        let directory = open(dir.path(), 10 * 4096);
        assert!(is_there(&directory, key(999)), "served before anything is counted");
        assert!(directory.survey(&|| false) <= 10 * 4096);
        directory.write(&record(key(2000), 20_000)).unwrap();
        assert!(!is_there(&directory, key(2000)), "one that takes half of all is left out");
    }

    #[test]
    fn replacing_and_removing_keep_the_count() {
        let dir = tempfile::tempdir().unwrap();
        let directory = open(dir.path(), 1 << 20);
        for length in [10, 5000, 0] {
            directory.write(&record(7, length)).unwrap();
            assert_eq!(directory.bytes(), on_disk(record(7, length).bytes()));
        }
        // A file that is far longer than any entry is not even read.
        File::options().write(true).open(directory.entry(7)).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(directory.read(7), Found::Damaged));
        directory.write(&record(7, 0)).unwrap();
        directory.remove(7).unwrap();
        directory.remove(7).unwrap();
        assert_eq!(directory.bytes(), 0);
        assert!(matches!(directory.read(7), Found::Nothing));
    }

    #[test]
    fn only_one_uses_it_and_leftovers_go() {
        let dir = tempfile::tempdir().unwrap();
        let options = DiskOptions { path: dir.path().join("a/b"), bytes_max: 1 << 20 };
        let first = open(&options.path, 1 << 20);
        let generations = RwLock::new(Generations::new());
        let refused = Directory::open(&options, false, &generations).err().unwrap();
        assert!(refused.contains("another process"), "{refused}");
        drop(first);
        fs::write(options.path.join("tmp/9"), "half an entry").unwrap();
        Directory::open(&options, false, &generations).unwrap();
        assert!(!options.path.join("tmp/9").exists());
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let options = DiskOptions { path: dir.path().to_owned(), bytes_max: 1 << 20 };
        let open = || Directory::open(&options, false, &RwLock::new(Generations::new())).err();
        fs::write(dir.path().join("holiday.jpg"), "precious").unwrap();
        let refused = open().unwrap();
        assert!(refused.contains("holiday.jpg"), "{refused}");
        fs::write(dir.path().join("format"), "calotype cache 0\n").unwrap();
        let refused = open().unwrap();
        assert!(refused.contains("\"calotype cache 0\"") && refused.contains("\"calotype cache 1\""), "{refused}");
        assert_eq!(fs::read(dir.path().join("holiday.jpg")).unwrap(), b"precious");
        fs::write(dir.path().join("format"), FORMAT).unwrap();
        assert_eq!(open(), None);
    }

    #[test]
    fn a_file_system_of_its_own_is_fine_and_leftovers_are_known_to_their_process_alone() {
        let dir = tempfile::tempdir().unwrap();
        let options = DiskOptions { path: dir.path().to_owned(), bytes_max: 1 << 20 };
        let open = |was_ours| Directory::open(&options, was_ours, &RwLock::new(Generations::new()));
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        let directory = open(false).unwrap();
        directory.write(&record(key(1), 10)).unwrap();
        assert!(!directory.is_lost());
        fs::remove_file(dir.path().join("format")).unwrap();
        assert!(directory.is_lost());
        drop(directory);
        let refused = open(false).err().unwrap();
        assert!(refused.contains("is none of ours"), "{refused}");
        let directory = open(true).unwrap();
        assert!(!directory.is_lost() && is_there(&directory, key(1)));
        // Somebody else's lock.
        fs::remove_file(dir.path().join("lock")).unwrap();
        assert!(directory.is_lost());
        fs::write(dir.path().join("lock"), "").unwrap();
        assert!(directory.is_lost());
        fs::write(dir.path().join("holiday.jpg"), "precious").unwrap();
        fs::remove_file(dir.path().join("format")).unwrap();
        assert!(open(true).err().unwrap().contains("holiday.jpg"));
    }
}
