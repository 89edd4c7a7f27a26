//! `[company.*.content]` to the static files of a company.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::company::source_root;
use super::read::{Section, fault};
use super::record::{self, HOURS, is_hours};
use crate::catalog::{Content, ContentRecord, SourceRoot};
use crate::error::{Result, shortened};

/// What the section says over what is inherited; without one that stays as it is.
pub(super) fn read(company: &mut Arc<Content>, mut section: Section) -> Result<()> {
    if section.is_empty() {
        return Ok(());
    }
    let content = Arc::make_mut(company);
    let folder = |text: &str| match source_root(text) {
        Ok(SourceRoot::Dir(path)) => Some(path),
        Ok(SourceRoot::Demo | SourceRoot::Nothing) | Err(_) => None,
    };
    if let Some(root) = section.text("source", folder, "file:///absolute/directory, existing and readable")? {
        content.root = Some(root);
    }
    let records = section.section("record")?;
    section.finish()?;
    content.records.extend(read_records(records)?);
    Ok(())
}

fn read_records(section: Section) -> Result<BTreeMap<String, ContentRecord>> {
    section.sections()?.into_iter().map(|(id, section)| Ok((id.clone(), read_record(&id, section)?))).collect()
}

fn read_record(id: &str, mut section: Section) -> Result<ContentRecord> {
    if !record::is_id(id) {
        return Err(fault(shortened(section.name()), String::from("expected a record's id without , and ?")));
    }
    let path = |text: &str| record::file(text).filter(|path| !path.is_empty());
    let record = ContentRecord {
        path: section.text("path", path, "a path below the company's content, without .. in it")?,
        kind: section.text("type", record::any, "a text")?.unwrap_or_default(),
        expiration_hours: section.number("expiration_hours", is_hours, HOURS)?,
        timestamp_s: record::timestamp_of(&mut section)?,
        user_data: section.text("user_data", record::any, "a text")?,
        published: section.boolean("published")?,
    };
    section.finish()?;
    Ok(record)
}
