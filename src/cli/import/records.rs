//! Data files: a table of records, and a table of macros, each with its columns' names in the first row.

use toml::{Table, Value, value::Datetime};

use super::attributes::{number, thumb_type};
use super::{Import, check, text};
use crate::catalog::Company;
use crate::error::{Error, Result};
use crate::limits;
use crate::request;

/// Fills `[company.*.presets]`.
pub(super) fn macros(import: &mut Import<'_>, file: &str, text: &str, company: &mut Company, table: &mut Table) {
    let mut presets = Table::new();
    for (place, fields) in table_rows(import, file, text, &["name", "definition"]) {
        let field =
            |name: &str| fields.iter().find(|(column, _)| column == name).map_or("", |(_, field)| field.as_str());
        let (name, body) = (field("name").trim_matches('$').to_owned(), field("definition").to_owned());
        if presets.contains_key(&name) || presets.keys().any(|known| known.eq_ignore_ascii_case(&name)) {
            import.left_out(&place, &name, "a macro of that name stands above");
            continue;
        }
        let one = Table::from_iter([(name.clone(), Value::from(body.clone()))]);
        // Its own grammar first; what it refers to must stand above it, or in the default catalog.
        let known = check_macro(&company.root_id, &one).and_then(|()| request::check(&body, company));
        match known {
            Ok(()) | Err(Error::NotSupported { .. }) => {
                import.taken(&place, &name, format!("company.{}.presets.{name}", company.root_id));
                company.presets.insert(name.to_ascii_lowercase(), body.clone());
                presets.insert(name, Value::from(body));
            }
            Err(error) => import.left_out(&place, &name, error),
        }
    }
    table.insert(String::from("presets"), Value::Table(presets));
}

/// Whether the name can be one; the body is looked at with what it refers to.
fn check_macro(root_id: &str, one: &Table) -> Result<()> {
    let empty: Table = one.iter().map(|(name, _)| (name.clone(), Value::from(""))).collect();
    check(root_id, Table::from_iter([(String::from("presets"), Value::Table(empty))]))
}

/// Fills `[company.*.record]`.
pub(super) fn records(import: &mut Import<'_>, file: &str, text: &str, company: &Company, table: &mut Table) {
    let mut records = Table::new();
    for (place, fields) in table_rows(import, file, text, &["id"]) {
        let id = fields.iter().find(|(name, _)| name == "id").map_or("", |(_, field)| field.as_str()).to_owned();
        if id.is_empty() || records.contains_key(&id) {
            import.left_out(
                &place,
                &id,
                if id.is_empty() { "it has no Id" } else { "a record of that Id stands above" },
            );
            continue;
        }
        let name = |id: &str, record: Table| {
            Table::from_iter([(
                String::from("record"),
                Value::Table(Table::from_iter([(id.to_owned(), Value::Table(record))])),
            )])
        };
        if let Err(error) = check(&company.root_id, name(&id, Table::new())) {
            import.left_out(&place, &id, error);
            continue;
        }
        import.taken(&place, &id, format!("company.{}.record.{id}", company.root_id));
        let mut record = Table::new();
        for (column, field) in fields.iter().filter(|(column, field)| column != "id" && !field.is_empty()) {
            let what = format!("{id} {column}");
            let (key, value) = match converted(column, field) {
                Some((_, Some(Converted::Inherited))) => continue,
                Some((key, Some(Converted::Value(value)))) => (key, value),
                Some((_, None)) => {
                    import.left_out(&place, &what, format!("\"{field}\" cannot be read"));
                    continue;
                }
                // Said once, of the whole column.
                None => continue,
            };
            let fits = match (key, &value) {
                // With the macros that it may refer to.
                ("modifier" | "post_modifier", Value::String(commands)) => match request::check(commands, company) {
                    Err(Error::NotSupported { .. }) => Ok(()),
                    checked => checked,
                },
                _ => check(&company.root_id, name(&id, Table::from_iter([(key.to_owned(), value.clone())]))),
            };
            match fits {
                Ok(()) => {
                    record.insert(key.to_owned(), value);
                }
                Err(error) => import.left_out(&place, &what, error),
            }
        }
        records.insert(id, Value::Table(record));
    }
    table.insert(String::from("record"), Value::Table(records));
}

enum Converted {
    Value(Value),
    /// What is said is what holds without a word.
    Inherited,
}

/// Our key and value of a field; `None`: there is no key for its column.
fn converted(column: &str, field: &str) -> Option<(&'static str, Option<Converted>)> {
    let text = || Some(Converted::Value(Value::from(field)));
    let value = |value: Option<Value>| value.map(Converted::Value);
    Some(match column {
        "path" => ("path", text()),
        "maskpath" => ("mask_path", text()),
        "modifier" => ("modifier", text()),
        "postmodifier" => ("post_modifier", text()),
        "expiration" if field.trim() == "-2" => ("expiration_hours", Some(Converted::Inherited)),
        "expiration" => ("expiration_hours", value(number(field))),
        "timestamp" => ("timestamp", value(timestamp(field))),
        // Read from the picture itself.
        "size" => ("size", Some(Converted::Inherited)),
        "resolution" => ("resolution", value(number(field))),
        "printresolution" => ("print_resolution", value(number(field))),
        "anchor" => ("anchor", value(super::attributes::integers(field))),
        "thumbtype" => ("thumb_type", value(thumb_type(field))),
        "thumbres" => ("thumb_res", value(number(field))),
        "imageset" => ("image_set", text()),
        "assettype" => ("asset_type", text()),
        "userdata" => ("user_data", text()),
        "targets" => ("targets", text()),
        "map" => ("map", text()),
        _ => return None,
    })
}

/// Seconds or milliseconds since 1970, or a date with a time, without a zone in UTC.
fn timestamp(field: &str) -> Option<Value> {
    /// A number above it counts milliseconds: as seconds it would be in the year 5138.
    const SECONDS_MAX: i64 = 100_000_000_000;
    if let Ok(number) = field.trim().parse::<i64>() {
        return (number >= 0).then(|| Value::from(if number > SECONDS_MAX { number / 1000 } else { number }));
    }
    let text = field.trim().replacen(' ', "T", 1);
    let zoned = |text: &str| text.parse::<Datetime>().ok().filter(|when| when.offset.is_some());
    zoned(&text).or_else(|| zoned(&format!("{text}Z"))).map(Value::Datetime)
}

/// Place and fields of each row, columns in lower case. Columns that nobody needs are said once.
fn table_rows(
    import: &mut Import<'_>,
    file: &str,
    text: &str,
    needed: &[&str],
) -> Vec<(String, Vec<(String, String)>)> {
    let mut rows = text::rows(text).into_iter();
    let Some((line, head)) = rows.next() else {
        import.left_out(file, "table", "it is empty");
        return Vec::new();
    };
    let place = format!("{file}:{line}");
    let names: Vec<String> =
        head.iter().map(|name| name.trim().trim_start_matches("catalog::").to_ascii_lowercase()).collect();
    for name in needed {
        if !names.iter().any(|known| known == name) {
            import.left_out(&place, "table", format!("it has no column {name}"));
            return Vec::new();
        }
    }
    for (name, shown) in names.iter().zip(&head) {
        let is_needed = needed.contains(&name.as_str()) || (needed == ["id"] && converted(name, "").is_some());
        // The original ignores columns that begin with a dot, on purpose.
        if !is_needed && !name.starts_with('.') {
            import.left_out(&place, shown, "calotype has nothing for this column");
        }
    }
    let mut out = Vec::new();
    for (line, row) in rows {
        let place = format!("{file}:{line}");
        if out.len() == limits::IMPORT_RECORDS_MAX {
            import.left_out(&place, "the rest", format!("more than {} rows", limits::IMPORT_RECORDS_MAX));
            break;
        }
        if row.len() > names.len() {
            let first = row.first().cloned().unwrap_or_default();
            import.left_out(&place, &first, format!("{} fields under {} columns", row.len(), names.len()));
            continue;
        }
        out.push((place, names.iter().cloned().zip(row).collect()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_in_several_ways() {
        for (field, want) in [
            ("784111777", Some("784111777")),
            ("784111777000", Some("784111777")),
            ("1994-11-06T08:49:37Z", Some("1994-11-06T08:49:37Z")),
            ("1994-11-06 08:49:37", Some("1994-11-06T08:49:37Z")),
            ("1994-11-06T08:49:37+01:00", Some("1994-11-06T08:49:37+01:00")),
            ("yesterday", None),
            ("-1", None),
            ("1994-11-06", None),
        ] {
            assert_eq!(timestamp(field).map(|value| value.to_string()).as_deref(), want, "{field}");
        }
    }
}
