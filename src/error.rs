//! What can go wrong, and whose fault it is.
//!
//! Status code, retry and log level are each one `match` on [`Blame`] or [`Error`] elsewhere; no variant is a free text.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who can do something about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The request is wrong; sending it again will not help.
    Client,
    /// The source is missing, broken or over a limit.
    Source,
    /// Too much to do just now; the client may try again.
    Load,
    /// The GPU failed; the job is safe to run elsewhere.
    Device,
    /// The site's configuration is wrong.
    Config,
    /// We are wrong.
    Bug,
}

/// Why a request is refused whatever it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The company wants obfuscated queries, and this is none.
    Obfuscation,
    /// The company wants locked queries, and this one has no lock, or a wrong one.
    Lock,
    /// The company answers some networks alone, and the client is in none of them, or its address is not known.
    Address,
    /// A rule says so.
    Rule {
        /// Its place in the rule set, from 1 on.
        number: usize,
    },
}

/// Every error of the product.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A command does not parse, is out of range, or breaks a rule of its own. Names it and what was expected.
    Command {
        /// The command in the protocol's spelling.
        key: &'static str,
        /// Its value as it was sent, decoded, shortened to a readable length.
        got: String,
        /// What would have been right.
        want: Cow<'static, str>,
    },
    /// A command nobody knows, in strict mode.
    UnknownCommand {
        /// The name as it was sent.
        name: String,
        /// The known name nearest to it.
        nearest: Option<&'static str>,
    },
    /// A command or value of the protocol that calotype does not do (yet).
    NotSupported {
        /// The command in the protocol's spelling.
        key: &'static str,
        /// Its value.
        got: String,
    },
    /// `$name$` names no preset.
    UnknownPreset {
        /// The name between the dollars.
        name: String,
    },
    /// The request breaks a rule that belongs to no single command (too many modifiers, a path that is no asset, …).
    Request {
        /// The part that is wrong, shortened.
        got: String,
        /// What would have been right.
        want: Cow<'static, str>,
    },
    /// The reply would be larger than MaxPix.
    MaxPix {
        /// Width and height asked for, px.
        size: [u32; 2],
        /// The company's MaxPix, px.
        max: [u32; 2],
    },
    /// No company of that name.
    NoCompany {
        /// The name as asked for, shortened.
        name: String,
    },
    /// No asset of that name.
    NotFound {
        /// `Company/Asset` as asked for.
        id: String,
    },
    /// No static file of that name.
    NoFile {
        /// `Company/file` as asked for.
        id: String,
    },
    /// The company does not answer such a request.
    Refused {
        /// Why not.
        because: Refusal,
    },
    /// A path that leaves the company's root, or is no regular file.
    Forbidden {
        /// `Company/Asset` as asked for.
        id: String,
    },
    /// The source is no picture in a known, allowed format.
    UnknownFormat {
        /// Its first bytes, as text for a person.
        starts_with: String,
    },
    /// The source is of a known format, but broken beyond use.
    BrokenSource {
        /// The format, lower case.
        format: &'static str,
        /// The decoder's reason.
        reason: String,
    },
    /// The source's header claims more pixels than allowed.
    SourceTooLarge {
        /// Width and height in the header, px.
        size: [u32; 2],
        /// Pixels allowed.
        pixels_max: u64,
    },
    /// The source has more bytes than allowed.
    SourceTooLong {
        /// Bytes allowed.
        bytes_max: u64,
    },
    /// One job would need more memory than all jobs may have.
    TooMuchMemory {
        /// Bytes the job needs.
        bytes: u64,
        /// Bytes all jobs may have (`daemon.memory`).
        bytes_max: u64,
    },
    /// The queue is full; nothing was started.
    Busy {
        /// Which queue.
        lane: &'static str,
        /// Its depth.
        depth: usize,
    },
    /// The deadline passed before the stage named.
    Deadline {
        /// The stage that was not begun.
        before: &'static str,
    },
    /// The client left; the job stopped before the stage named. Nobody reads this.
    Cancelled {
        /// The stage that was not begun.
        before: &'static str,
    },
    /// The daemon is draining and takes no more work.
    Draining,
    /// The GPU was lost, ran out of memory or refused the submission.
    Device {
        /// What it was doing.
        doing: &'static str,
        /// The driver's or wgpu's words.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An encoder refused our own pixels.
    Encode {
        /// The format, lower case.
        format: &'static str,
        /// The encoder's reason.
        reason: String,
    },
    /// A job panicked; it was caught at the lane's edge.
    Panic {
        /// The panic's message.
        message: String,
    },
    /// The configuration is wrong; nothing was started.
    Config {
        /// `section.key`, or the file.
        key: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A file or socket operation failed.
    Io {
        /// What was being done, a verb phrase.
        doing: &'static str,
        /// To which file or socket.
        path: PathBuf,
        /// The system's words.
        cause: std::io::Error,
    },
}

impl Error {
    /// Who can fix it. Status, retry and log level each read this in exactly one `match`.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Command { .. }
            | Self::UnknownCommand { .. }
            | Self::NotSupported { .. }
            | Self::UnknownPreset { .. }
            | Self::Request { .. }
            | Self::MaxPix { .. }
            | Self::Refused { .. }
            | Self::Forbidden { .. } => Blame::Client,
            Self::NoCompany { .. }
            | Self::NotFound { .. }
            | Self::NoFile { .. }
            | Self::UnknownFormat { .. }
            | Self::BrokenSource { .. }
            | Self::SourceTooLarge { .. }
            | Self::SourceTooLong { .. }
            | Self::TooMuchMemory { .. } => Blame::Source,
            Self::Busy { .. } | Self::Deadline { .. } | Self::Cancelled { .. } | Self::Draining => Blame::Load,
            Self::Device { .. } => Blame::Device,
            Self::Config { .. } => Blame::Config,
            Self::Encode { .. } | Self::Panic { .. } | Self::Io { .. } => Blame::Bug,
        }
    }

    /// A command's bad value, shortened so that no reply or log line grows with it.
    pub fn command(key: &'static str, got: &str, want: impl Into<Cow<'static, str>>) -> Self {
        Self::Command { key, got: shortened(got), want: want.into() }
    }

    /// The same error for one more who waited for the same work. Causes keep their words and, of the system's, their
    /// codes.
    pub fn repeated(&self) -> Self {
        match self {
            Self::Command { key, got, want } => Self::Command { key, got: got.clone(), want: want.clone() },
            Self::UnknownCommand { name, nearest } => Self::UnknownCommand { name: name.clone(), nearest: *nearest },
            Self::NotSupported { key, got } => Self::NotSupported { key, got: got.clone() },
            Self::UnknownPreset { name } => Self::UnknownPreset { name: name.clone() },
            Self::Request { got, want } => Self::Request { got: got.clone(), want: want.clone() },
            Self::MaxPix { size, max } => Self::MaxPix { size: *size, max: *max },
            Self::NoCompany { name } => Self::NoCompany { name: name.clone() },
            Self::NotFound { id } => Self::NotFound { id: id.clone() },
            Self::NoFile { id } => Self::NoFile { id: id.clone() },
            Self::Refused { because } => Self::Refused { because: *because },
            Self::Forbidden { id } => Self::Forbidden { id: id.clone() },
            Self::UnknownFormat { starts_with } => Self::UnknownFormat { starts_with: starts_with.clone() },
            Self::BrokenSource { format, reason } => Self::BrokenSource { format, reason: reason.clone() },
            Self::SourceTooLarge { size, pixels_max } => Self::SourceTooLarge { size: *size, pixels_max: *pixels_max },
            Self::SourceTooLong { bytes_max } => Self::SourceTooLong { bytes_max: *bytes_max },
            Self::TooMuchMemory { bytes, bytes_max } => Self::TooMuchMemory { bytes: *bytes, bytes_max: *bytes_max },
            Self::Busy { lane, depth } => Self::Busy { lane, depth: *depth },
            Self::Deadline { before } => Self::Deadline { before },
            Self::Cancelled { before } => Self::Cancelled { before },
            Self::Draining => Self::Draining,
            Self::Device { doing, cause } => Self::Device { doing, cause: cause.to_string().into() },
            Self::Encode { format, reason } => Self::Encode { format, reason: reason.clone() },
            Self::Panic { message } => Self::Panic { message: message.clone() },
            Self::Config { key, problem } => Self::Config { key: key.clone(), problem: problem.clone() },
            Self::Io { doing, path, cause } => {
                let cause = match cause.raw_os_error() {
                    Some(code) => std::io::Error::from_raw_os_error(code),
                    None => std::io::Error::new(cause.kind(), cause.to_string()),
                };
                Self::Io { doing, path: path.clone(), cause }
            }
        }
    }

    /// A broken source.
    pub fn broken(format: &'static str, reason: impl fmt::Display) -> Self {
        Self::BrokenSource { format, reason: shortened(&reason.to_string()) }
    }
}

/// Control characters out, at most 80 characters.
pub fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut out: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(CHARS_MAX).collect();
    if text.chars().count() > CHARS_MAX {
        out.push('…');
    }
    out
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { key, got, want } => write!(f, "{key}=\"{got}\": expected {want}"),
            Self::UnknownCommand { name, nearest: Some(near) } => {
                write!(f, "unknown command \"{name}\": did you mean {near}?")
            }
            Self::UnknownCommand { name, nearest: None } => write!(f, "unknown command \"{name}\""),
            Self::NotSupported { key, got } => {
                write!(f, "{key}=\"{got}\": known, but not supported by calotype")
            }
            Self::UnknownPreset { name } => {
                write!(f, "${name}$: the company has no preset of that name")
            }
            Self::Request { got, want } => write!(f, "request \"{got}\": expected {want}"),
            Self::MaxPix { size: [w, h], max: [max_w, max_h] } => {
                write!(f, "reply of {w}x{h} pixels is over MaxPix {max_w},{max_h}")
            }
            Self::NoCompany { name } => write!(f, "no such company: {name}"),
            Self::NotFound { id } => write!(f, "no such image: {id}"),
            Self::NoFile { id } => write!(f, "no such file: {id}"),
            Self::Refused { because: Refusal::Obfuscation } => {
                write!(f, "the query is not obfuscated as the company asks")
            }
            Self::Refused { because: Refusal::Lock } => write!(f, "the query has no lock, or a wrong one"),
            Self::Refused { because: Refusal::Address } => {
                write!(f, "the company does not answer this client's address")
            }
            Self::Refused { because: Refusal::Rule { number } } => write!(f, "rule {number} of the company refuses it"),
            Self::Forbidden { id } => write!(f, "not a path inside the company's folder: {id}"),
            Self::UnknownFormat { starts_with } => {
                write!(f, "not a picture in a known format (it starts with \"{starts_with}\")")
            }
            Self::BrokenSource { format, reason } => write!(f, "broken {format} source: {reason}"),
            Self::SourceTooLarge { size: [w, h], pixels_max } => {
                write!(f, "source of {w}x{h} pixels: at most {pixels_max} pixels are allowed")
            }
            Self::SourceTooLong { bytes_max } => {
                write!(f, "source too long: at most {bytes_max} bytes are allowed")
            }
            Self::TooMuchMemory { bytes, bytes_max } => {
                write!(f, "needs {bytes} bytes of memory: all jobs together may have {bytes_max}")
            }
            Self::Busy { lane, depth } => write!(f, "busy: the {lane} queue of {depth} is full"),
            Self::Deadline { before } => write!(f, "deadline passed before {before}"),
            Self::Cancelled { before } => write!(f, "client left before {before}"),
            Self::Draining => write!(f, "shutting down"),
            Self::Device { doing, cause } => write!(f, "gpu failed while {doing}: {cause}"),
            Self::Encode { format, reason } => write!(f, "{format} encoder: {reason}"),
            Self::Panic { message } => write!(f, "internal error: {message}"),
            Self::Config { key, problem } => write!(f, "{key}: {problem}"),
            Self::Io { doing, path, cause } => {
                write!(f, "cannot {doing} {}: {cause}", path.display())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Device { cause, .. } => Some(&**cause),
            Self::Io { cause, .. } => Some(cause),
            _ => None,
        }
    }
}
