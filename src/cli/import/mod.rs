//! From a folder of the original's catalogs to a configuration and a report (protocol.md 1.4, 1.9, 5).
//!
//! Invariants: a value is in the configuration only if the configuration's own reader takes it, alone and with all
//! others; every line, column and element of the folder that means anything is in the report, as taken or as left out.

mod attributes;
mod records;
mod rules;
mod text;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::catalog::{Company, DEFAULT_COMPANY, SourceRoot};
use crate::config::Config;
use crate::error::{Error, Result, shortened};
use crate::limits;

use attributes::Attributes;

/// A configuration and how it came to be.
pub(super) struct Imported {
    pub(super) toml: String,
    pub(super) lines: Vec<Line>,
}

/// What became of one line, field or element.
pub(super) struct Line {
    /// File and line, as in `co.ini:7`.
    place: String,
    /// What stands there.
    what: String,
    became: Became,
}

/// What became of something.
enum Became {
    /// This key.
    Key(String),
    /// Nothing, for this reason.
    Nothing(String),
}

impl Line {
    pub(super) fn is_left_out(&self) -> bool {
        matches!(self.became, Became::Nothing(_))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, what, became } = self;
        match became {
            Became::Key(key) => write!(f, "{place}: {what}: taken as {key}"),
            Became::Nothing(reason) => write!(f, "{place}: {what}: left out: {reason}"),
        }
    }
}

/// What is being written, and the report on it.
pub(super) struct Import<'a> {
    folder: &'a Path,
    lines: Vec<Line>,
}

impl Import<'_> {
    fn taken(&mut self, place: &str, what: &str, key: impl Into<String>) {
        let (place, what) = (place.to_owned(), shortened(what));
        self.lines.push(Line { place, what, became: Became::Key(key.into()) });
    }

    fn left_out(&mut self, place: &str, what: &str, reason: impl fmt::Display) {
        let (place, what) = (place.to_owned(), shortened(what));
        self.lines.push(Line { place, what, became: Became::Nothing(shortened(&reason.to_string())) });
    }

    /// A file that a catalog names, as text; `None`: it is left out, and why is said.
    fn file(&mut self, place: &str, what: &str, name: &str) -> Option<(String, String)> {
        let path = self.folder.join(name);
        match read_text(&path) {
            Ok(text) => Some((name.to_owned(), text)),
            Err(reason) => {
                self.left_out(place, what, reason);
                None
            }
        }
    }
}

/// Reads every attribute file of `folder`; `images` is where RootPath is taken below.
///
/// # Errors
/// `Io`: the folder cannot be read, or there is no attribute file in it. `Config`: what came out is no configuration, which
/// is our fault.
pub(super) fn read(folder: &Path, images: Option<&Path>) -> Result<Imported> {
    let io = |cause| Error::Io { doing: "read the catalogs in", path: folder.to_owned(), cause };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if let Some(name) = name.to_str().filter(|name| name.to_ascii_lowercase().ends_with(".ini")) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    names.truncate(limits::IMPORT_CATALOGS_MAX);
    if names.is_empty() {
        return Err(io(std::io::Error::new(std::io::ErrorKind::NotFound, "no attribute file (*.ini) is there")));
    }
    let mut import = Import { folder, lines: Vec::new() };
    let mut companies = Table::new();
    // The default catalog first: macros of the others may refer to its own.
    names.sort_by_key(|name| !name.eq_ignore_ascii_case("default.ini"));
    let mut default = Company::new(DEFAULT_COMPANY, SourceRoot::Demo);
    for name in names {
        let text = match read_text(&folder.join(&name)) {
            Ok(text) => text,
            Err(reason) => {
                import.left_out(&name, "attribute file", reason);
                continue;
            }
        };
        let is_default = name.eq_ignore_ascii_case("default.ini");
        let known = default.clone();
        let Some((root_id, table, company)) = catalog(&mut import, &name, &text, is_default, &known, images) else {
            continue;
        };
        if companies.contains_key(&root_id) {
            import.left_out(&name, &root_id, "another attribute file has the same RootId");
            continue;
        }
        if is_default {
            default = company;
        }
        companies.insert(root_id, Value::Table(table));
    }
    let toml = written(companies.clone())?;
    check_whole(companies)?;
    Ok(Imported { toml, lines: import.lines })
}

/// One catalog: its RootId, its section, and as much of it as its own records must know.
fn catalog(
    import: &mut Import<'_>,
    name: &str,
    text: &str,
    is_default: bool,
    default: &Company,
    images: Option<&Path>,
) -> Option<(String, Table, Company)> {
    let attributes = Attributes::read(import, name, text);
    let root_id = match attributes.value("RootId") {
        _ if is_default => DEFAULT_COMPANY.to_owned(),
        Some((place, root_id)) => {
            import.taken(&place, "RootId", format!("company.{root_id}"));
            root_id
        }
        None => {
            import.left_out(name, "attribute file", "it has no RootId");
            return None;
        }
    };
    if let Err(error) = check(&root_id, Table::new()) {
        import.left_out(name, &root_id, error);
        return None;
    }
    let mut table = Table::new();
    attributes.write(import, &root_id, is_default, images, &mut table);
    let mut company = Company { root_id: root_id.clone(), ..default.clone() };
    if let Some((place, file)) = attributes.value("MacroFile").filter(|(_, file)| !file.is_empty())
        && let Some((file, text)) = import.file(&place, "MacroFile", &file)
    {
        import.taken(&place, "MacroFile", format!("company.{root_id}.presets"));
        records::macros(import, &file, &text, &mut company, &mut table);
    }
    if let Some((place, file)) = attributes.value("RuleSetFile").filter(|(_, file)| !file.is_empty())
        && let Some((file, text)) = import.file(&place, "RuleSetFile", &file)
    {
        import.taken(&place, "RuleSetFile", format!("company.{root_id}.rule"));
        rules::rules(import, &file, &text, &root_id, &mut table);
    }
    if let Some((place, file)) = attributes.value("CatalogFile").filter(|(_, file)| !file.is_empty())
        && let Some((file, text)) = import.file(&place, "CatalogFile", &file)
    {
        import.taken(&place, "CatalogFile", format!("company.{root_id}.record"));
        records::records(import, &file, &text, &company, &mut table);
    }
    Some((root_id, table, company))
}

/// Whether a company of these keys alone could be configured.
fn check(root_id: &str, mut table: Table) -> Result<()> {
    table.entry("source").or_insert_with(|| Value::from("demo:"));
    check_whole([(root_id.to_owned(), Value::Table(table))].into_iter().collect())
}

/// Whether these companies could be configured; folders that are not here yet do not count.
fn check_whole(mut companies: Table) -> Result<()> {
    for company in companies.iter_mut().filter_map(|(_, company)| company.as_table_mut()) {
        company.insert(String::from("source"), Value::from("demo:"));
    }
    Config::from_text(&written(companies)?).map(drop)
}

fn written(companies: Table) -> Result<String> {
    let mut table = Table::new();
    table.insert(String::from("company"), Value::Table(companies));
    let unwritable =
        |cause: toml::ser::Error| Error::Config { key: String::from("company"), problem: cause.to_string() };
    toml::to_string(&table).map_err(unwritable)
}

/// A whole file of text, if it is one; else what is wrong with it.
fn read_text(path: &Path) -> std::result::Result<String, String> {
    let mut bytes = Vec::new();
    let shown = || PathBuf::from(path.file_name().unwrap_or_default());
    let file = File::open(path).map_err(|cause| format!("cannot read {}: {cause}", shown().display()))?;
    let most = limits::CONFIG_BYTES_MAX;
    file.take(most + 1).read_to_end(&mut bytes).map_err(|cause| format!("{}: {cause}", shown().display()))?;
    if bytes.len() as u64 > most {
        return Err(format!("{} has more than {most} bytes", shown().display()));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", shown().display()))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
