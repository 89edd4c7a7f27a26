//! Source id to bytes, under one root and never outside it.
//!
//! Paths are resolved by the kernel below an open directory (`cap-std`, `openat2`), so that neither `..` nor a symbolic
//! link leads out, whatever changes meanwhile. Invariants: only regular files are opened; nothing here knows what a
//! picture is; everything blocks, so it is called on a lane or a blocking thread.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::error::{Error, Result};
use crate::limits;

/// Extensions that are tried behind an asset's name, in this order, each in lower and then in upper case.
pub const EXTENSIONS: [&str; 7] = ["jpg", "jpeg", "png", "webp", "gif", "tif", "tiff"];

/// Where the sources of one company are.
#[derive(Clone, Debug)]
pub enum Root {
    /// Regular files below this directory. It is opened for each request: a directory that is mounted or exchanged
    /// later is seen at once.
    Dir(PathBuf),
    /// Sources that are computed, by their whole name.
    Computed(fn(&str) -> Option<Bytes>),
}

/// Tells one state of a source from another: a rewritten file differs in time or size, an exchanged one in its inode.
/// Equal versions are equal content once they are [settled](Self::is_settled); different ones may be equal content still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Version {
    /// Length in bytes.
    pub bytes: u64,
    /// Last change, ns since 1970; 0 for computed sources.
    pub modified_ns: i128,
    /// Last change of anything about it, its times included, ns since 1970; 0 for computed sources.
    pub changed_ns: i128,
    /// Device and inode; 0 for computed sources.
    pub node: (u64, u64),
}

/// A static file, found and opened: it is served as it is, however long.
#[derive(Debug)]
pub struct Plain {
    /// Its state when it was opened.
    pub version: Version,
    /// The file, to be read at any place.
    pub file: File,
}

/// One source, found and opened.
#[derive(Debug)]
pub struct Source {
    /// Its state when it was opened.
    pub version: Version,
    content: Content,
}

#[derive(Debug)]
enum Content {
    File(File),
    Memory(Bytes),
}

/// Opens the static file at `path` below the folder `root`: exactly that one. Blocks.
///
/// `id` names it in errors.
///
/// # Errors
/// `Forbidden`: the path leads out of the root, has an element that no file can have or that is hidden (it begins with a
/// dot), or ends at no regular file. `NoFile`, `Io`.
pub fn open_plain(root: &Path, id: &str, path: &[String]) -> Result<Plain> {
    if !path.iter().all(|part| is_element(part) && !part.starts_with('.')) {
        return Err(Error::Forbidden { id: id.to_owned() });
    }
    let missing = || Error::NoFile { id: id.to_owned() };
    if path.is_empty() {
        return Err(missing());
    }
    let dir = open_root(root, id)?;
    let Source { version, content } = open_file(&dir, id, &path.join("/"))?.ok_or_else(missing)?;
    match content {
        Content::File(file) => Ok(Plain { version, file }),
        // A folder holds files alone.
        Content::Memory(_) => Err(missing()),
    }
}

impl Root {
    /// Opens the source of `asset`: the file of that name, else the first that exists with one of [`EXTENSIONS`].
    ///
    /// `id` names it in errors. Blocks.
    ///
    /// # Errors
    /// `Forbidden`: the path leads out of the root, has an element that no file can have, or ends at no regular file.
    /// `NotFound`, `SourceTooLong`, `Io`.
    pub fn open(&self, id: &str, asset: &[String]) -> Result<Source> {
        if !asset.iter().all(|part| is_element(part)) {
            return Err(Error::Forbidden { id: id.to_owned() });
        }
        let missing = || Error::NotFound { id: id.to_owned() };
        if asset.is_empty() {
            return Err(missing());
        }
        let name = asset.join("/");
        let source = match self {
            Self::Computed(compute) => Source::from_bytes(compute(&name).ok_or_else(missing)?),
            Self::Dir(path) => open_below(path, id, &name)?.ok_or_else(missing)?,
        };
        if source.version.bytes > limits::SOURCE_BYTES_MAX {
            return Err(Error::SourceTooLong { bytes_max: limits::SOURCE_BYTES_MAX });
        }
        Ok(source)
    }

    /// The state of the folder that `asset` would be in, if there is one: while it stays the same, nothing comes into it.
    /// What a link in it leads to may still come and go elsewhere. Blocks.
    pub fn folder(&self, asset: &[String]) -> Option<Version> {
        let Self::Dir(path) = self else { return None };
        let (_, folders) = asset.split_last()?;
        let dir = Dir::open_ambient_dir(path, ambient_authority()).ok()?;
        let metadata = if folders.is_empty() { dir.dir_metadata() } else { dir.metadata(folders.join("/")) }.ok()?;
        metadata.is_dir().then(|| Version::of(&metadata))
    }
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        let ns = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
        Self {
            bytes: metadata.len(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
            node: (metadata.dev(), metadata.ino()),
        }
    }

    /// Whether its last change is so long ago that another one would show: two within one tick of the file system's clock
    /// leave the same times.
    pub fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let age_ns = i128::try_from(now).unwrap_or(i128::MAX) - self.changed_ns;
        age_ns.unsigned_abs() > u128::from(limits::SETTLED_MS_MIN) * 1_000_000
    }
}

impl Source {
    /// A source that came with the request.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self { version: Version { bytes: bytes.len() as u64, ..Version::default() }, content: Content::Memory(bytes) }
    }

    /// The bytes from the beginning, for a look at the header.
    pub fn reader(&mut self) -> impl BufRead + Seek {
        match &mut self.content {
            Content::File(file) => Reader::File(BufReader::new(file)),
            Content::Memory(bytes) => Reader::Memory(Cursor::new(&bytes[..])),
        }
    }

    /// XXH3-128 of the bytes that [`Self::read`] will give, unless they change meanwhile.
    ///
    /// # Errors
    /// `Io`.
    pub fn hash(&mut self, id: &str) -> Result<u128> {
        match &mut self.content {
            Content::Memory(bytes) => Ok(xxh3_128(bytes)),
            Content::File(file) => {
                let io = |cause| Error::Io { doing: "read the source", path: PathBuf::from(id), cause };
                let mut hasher = Xxh3::new();
                let mut chunk = vec![0; 128 << 10];
                file.seek(SeekFrom::Start(0)).map_err(io)?;
                let mut file = file.take(self.version.bytes);
                loop {
                    match file.read(&mut chunk) {
                        Ok(0) => return Ok(hasher.digest128()),
                        Ok(n) => hasher.update(&chunk[..n]),
                        Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                        Err(cause) => return Err(io(cause)),
                    }
                }
            }
        }
    }

    /// All bytes. Of a file that grew meanwhile, those that were there when it was opened.
    ///
    /// # Errors
    /// `Io`.
    pub fn read(self, id: &str) -> Result<Bytes> {
        match self.content {
            Content::Memory(bytes) => Ok(bytes),
            Content::File(mut file) => {
                let io = |cause| Error::Io { doing: "read the source", path: PathBuf::from(id), cause };
                let mut bytes = Vec::with_capacity(usize::try_from(self.version.bytes).unwrap_or(0));
                file.seek(SeekFrom::Start(0)).map_err(io)?;
                file.take(self.version.bytes).read_to_end(&mut bytes).map_err(io)?;
                Ok(Bytes::from(bytes))
            }
        }
    }
}

/// A source's bytes, sought and read as they are needed.
enum Reader<'a> {
    File(BufReader<&'a mut File>),
    Memory(Cursor<&'a [u8]>),
}

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::File(file) => file.read(buf),
            Self::Memory(bytes) => bytes.read(buf),
        }
    }
}

impl BufRead for Reader<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        match self {
            Self::File(file) => file.fill_buf(),
            Self::Memory(bytes) => bytes.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        match self {
            Self::File(file) => file.consume(amount),
            Self::Memory(bytes) => bytes.consume(amount),
        }
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Memory(bytes) => bytes.seek(to),
        }
    }
}

/// What a name in a folder can be.
fn is_element(part: &str) -> bool {
    !matches!(part, "" | "." | "..") && !part.contains(['/', '\0'])
}

fn open_root(root: &Path, id: &str) -> Result<Dir> {
    Dir::open_ambient_dir(root, ambient_authority()).map_err(|cause| Error::Io {
        doing: "open the company's directory for",
        path: PathBuf::from(id),
        cause,
    })
}

/// The regular file `name` below `root`, or `name.<extension>`.
fn open_below(root: &Path, id: &str, name: &str) -> Result<Option<Source>> {
    let dir = open_root(root, id)?;
    if let Some(source) = open_file(&dir, id, name)? {
        return Ok(Some(source));
    }
    for extension in EXTENSIONS {
        for extension in [extension.to_owned(), extension.to_ascii_uppercase()] {
            if let Some(source) = open_file(&dir, id, &format!("{name}.{extension}"))? {
                return Ok(Some(source));
            }
        }
    }
    Ok(None)
}

/// The regular file at `path` below `dir`; `None`: there is nothing, or a directory.
fn open_file(dir: &Dir, id: &str, path: &str) -> Result<Option<Source>> {
    let forbidden = || Error::Forbidden { id: id.to_owned() };
    let refused = |cause: std::io::Error| match cause.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => Ok(None),
        // The way out of the root is cap-std's own refusal, with no code of the system's; links in a ring are one more.
        ErrorKind::PermissionDenied if cause.raw_os_error().is_none() => Err(forbidden()),
        _ if cause.raw_os_error() == Some(ELOOP) => Err(forbidden()),
        _ => Err(Error::Io { doing: "open the source", path: PathBuf::from(id), cause }),
    };
    // What it is, before it is opened: to open a device can already do something.
    match dir.metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Ok(None),
        Ok(metadata) if !metadata.is_file() => return Err(forbidden()),
        Ok(_) => {}
        Err(cause) => return refused(cause),
    }
    // Another file may have taken its place since: a pipe must not make us wait.
    let file = match dir.open_with(path, OpenOptions::new().read(true).custom_flags(O_NONBLOCK)) {
        Ok(file) => file,
        Err(cause) => return refused(cause),
    };
    let metadata = match file.metadata() {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => return Err(forbidden()),
        Err(cause) => return refused(cause),
    };
    Ok(Some(Source { version: Version::of(&metadata), content: Content::File(file.into_std()) }))
}

/// `O_NONBLOCK` of `open(2)`; the number is the same on x86-64, aarch64 and riscv64 Linux.
const O_NONBLOCK: i32 = 0o4000;
/// Too many symbolic links, of `errno(3)` on Linux.
const ELOOP: i32 = 40;
