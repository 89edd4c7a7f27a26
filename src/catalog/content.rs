//! Static files: what a site owner says of what is served as it is (protocol.md 1.1, 6).

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The static files of a company.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// Folder of the files; `None`: there are none.
    pub root: Option<PathBuf>,
    /// By id, case-sensitive, those of the default catalog among them.
    pub records: BTreeMap<String, ContentRecord>,
}

/// What is said of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContentRecord {
    /// File below the root, elements separated by `/`; `None`: named as the record.
    pub path: Option<String>,
    /// What `type=` must be equal to; empty: it does not matter.
    pub kind: String,
    /// Time to live, hours, in the place of the company's; −1 never expires.
    pub expiration_hours: Option<f64>,
    /// When it was changed last, s since 1970; `None`: as its file says.
    pub timestamp_s: Option<u64>,
    /// Any text of the site's; `??` ends a line.
    pub user_data: Option<String>,
    /// Whether the world may see it; `None`: as the company's `published` says of assets without a word.
    pub published: Option<bool>,
}
