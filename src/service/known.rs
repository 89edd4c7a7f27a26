//! What a client says that it has of a picture or a file already.

use std::time::{SystemTime, UNIX_EPOCH};

/// What the client has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Any state of it.
    Any,
    /// The states of these entity tags, quotes included, without `W/`.
    Tags(Vec<String>),
    /// The state of this time exactly.
    Since(SystemTime),
}

impl Known {
    /// Whether it is what would be sent. Weak comparison [RFC 9110 8.8.3.2]: `W/` does not count; times count in whole
    /// seconds, as headers tell them. A later time than that of what would be sent is another state's: an older file has taken
    /// the place of the one that the client has.
    pub fn is(&self, etag: Option<&str>, last_modified: Option<SystemTime>) -> bool {
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let etag = etag.map(|etag| etag.strip_prefix("W/").unwrap_or(etag));
        match self {
            Self::Any => etag.is_some(),
            Self::Tags(tags) => etag.is_some_and(|etag| tags.iter().any(|tag| tag == etag)),
            Self::Since(since) => last_modified.is_some_and(|changed| seconds(changed) == seconds(*since)),
        }
    }

    /// The tag, if there is one alone.
    pub(super) fn only_tag(&self) -> Option<String> {
        match self {
            Self::Tags(tags) if tags.len() == 1 => tags.first().cloned(),
            Self::Any | Self::Tags(_) | Self::Since(_) => None,
        }
    }
}
