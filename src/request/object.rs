//! From the path of a request to a record, or to a file by its name (protocol.md 1.3).

use crate::catalog::{Company, Published, Record, SmartCrop, SourceRoot};
use crate::error::{Error, Result, shortened};

/// What a request names inside its company.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    /// Where its files are …
    pub source: &'a SourceRoot,
    /// … and whose they are.
    pub root_id: &'a str,
    /// The path as it was asked for, element by element, decoded; empty: the company alone.
    pub elements: Vec<String>,
    /// Its record, if it has one, and the record's id.
    pub record: Option<(&'a str, &'a Record)>,
    /// The record's named crop.
    pub crop: Option<SmartCrop>,
    /// Whether the world may see it.
    pub is_published: bool,
    /// Files that are tried in order, each element by element, below the company's source. None: there is no picture.
    pub files: Vec<Vec<String>>,
}

impl<'a> Object<'a> {
    /// Looks `elements` up in a company, for a locale; `None`: the request names none.
    ///
    /// What the company does not publish, does not know and what no locale leads to has no files.
    ///
    /// # Errors
    /// `Command`: an unknown locale, and the company has no row for such. `Request`: no asset's name.
    pub(super) fn find(company: &'a Company, elements: Vec<String>, locale: Option<&str>) -> Result<Self> {
        // protocol.md 1.1: neither is permitted in an object, not even encoded.
        if elements.iter().any(|element| element.contains([',', '?'])) {
            let got = shortened(&elements.join("/"));
            return Err(Error::Request { got, want: "an asset's name without , and ?".into() });
        }
        let locale = locale.filter(|locale| !locale.is_empty()).unwrap_or(&company.default_locale);
        let asked = !company.locale_map.is_empty() && !locale.is_empty();
        let suffixes = match (asked, company.locale_map.suffixes(locale)) {
            (false, _) => &[String::new()][..],
            (true, Some(suffixes)) => suffixes,
            (true, None) => return Err(Error::command("locale", locale, "a locale of the company's locale_map")),
        };
        let id = elements.join("/");
        // A slash that came encoded belongs to its element and separates nothing.
        let is_plain = !elements.is_empty() && !elements.iter().any(|element| element.contains('/'));
        let (source, root_id) = (&company.source, company.root_id.as_str());
        let mut found = suffixes.iter().filter(|_| is_plain).filter_map(|suffix| recorded(company, &id, suffix));
        let object = match found.next() {
            Some((id, record, crop)) => {
                let is_published = is_published(company, Some(record));
                let files = if is_published { files(company, id, record) } else { Vec::new() };
                Self { source, root_id, elements, record: Some((id, record)), crop, is_published, files }
            }
            None => {
                let is_published = is_published(company, None);
                let by_name = !company.full_match
                    && !elements.is_empty()
                    && is_published
                    // Names of files are in no language.
                    && suffixes.iter().any(String::is_empty);
                let files = if by_name { with_extension(company, elements.clone()) } else { Vec::new() };
                Self { source, root_id, elements, record: None, crop: None, is_published, files }
            }
        };
        Ok(object)
    }

    /// What stands for it in keys and in lists of assets: its record's id, else its name.
    pub fn name(&self) -> String {
        self.record.map_or_else(|| self.elements.join("/"), |(id, _)| id.to_owned())
    }

    /// The record's commands before and after those of the URL.
    pub(super) fn modifiers(&self) -> (&'a str, &'a str) {
        self.record.map_or(("", ""), |(_, record)| (&record.modifier, &record.post_modifier))
    }
}

type Recorded<'a> = (&'a str, &'a Record, Option<SmartCrop>);

/// The record of `id` in one language, or the one whose crop it is.
fn recorded<'a>(company: &'a Company, id: &str, suffix: &str) -> Option<Recorded<'a>> {
    let find = |id: &str| company.records.find(&format!("{id}{suffix}"));
    if let Some((id, record)) = find(id) {
        return Some((id, record, None));
    }
    let (id, crop) = id.rsplit_once(':')?;
    let (id, record) = find(id)?;
    Some((id, record, Some(*record.crops.get(crop)?)))
}

fn is_published(company: &Company, record: Option<&Record>) -> bool {
    let listed = record.and_then(|record| record.published);
    listed.unwrap_or(company.published == Published::All)
}

fn files(company: &Company, id: &str, record: &Record) -> Vec<Vec<String>> {
    match record.path.as_deref() {
        Some("") => Vec::new(),
        path => with_extension(company, path.unwrap_or(id).split('/').map(str::to_owned).collect()),
    }
}

/// `file`, and before it the one with the company's own extension, if it has none.
fn with_extension(company: &Company, file: Vec<String>) -> Vec<Vec<String>> {
    let last = file.last().map_or("", String::as_str);
    match &company.default_ext {
        Some(extension) if !last.contains('.') => {
            let mut longer = file.clone();
            if let Some(last) = longer.last_mut() {
                *last = format!("{last}.{extension}");
            }
            vec![longer, file]
        }
        _ => vec![file],
    }
}
