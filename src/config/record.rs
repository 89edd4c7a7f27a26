//! `[company.*.record.*]` to checked records.

use std::collections::BTreeMap;

use toml::Value;

use super::read::{Given, Section};
use crate::catalog::{Company, Record, SmartCrop, ThumbType};
use crate::error::{Error, Result, shortened};
use crate::limits;
use crate::pixel::Size;
use crate::request;

/// All records of a company.
pub(super) fn read_all(section: Section) -> Result<BTreeMap<String, Record>> {
    section.sections()?.into_iter().map(|(id, section)| Ok((id.clone(), read(&id, section)?))).collect()
}

fn read(id: &str, mut section: Section) -> Result<Record> {
    if !is_id(id) {
        return Err(Error::Config {
            key: shortened(section.name()),
            problem: String::from("expected a record's id without , and ?"),
        });
    }
    let mut record = Record {
        path: section.text("path", file, "a path below the company's source, without .. in it")?,
        mask_path: section.text("mask_path", file, "a path below the company's source, without .. in it")?,
        anchor: None,
        resolution: section.number("resolution", is_dpi, DPI)?,
        print_resolution: section.number("print_resolution", is_dpi, DPI)?,
        expiration_hours: section.number("expiration_hours", is_hours, HOURS)?,
        thumb_type: section.choice("thumb_type", &ThumbType::WORDS)?,
        thumb_res: section.number("thumb_res", is_dpi, DPI)?,
        published: section.boolean("published")?,
        ..Record::default()
    };
    if let Some([x, y]) = section.numbers("anchor", is_coordinate, "[x, y] in whole pixels of the source")? {
        #[expect(clippy::cast_possible_truncation, reason = "whole numbers of 32 bits: is_coordinate")]
        let anchor = [x as i32, y as i32];
        record.anchor = Some(anchor);
    }
    for (key, text) in [("modifier", &mut record.modifier), ("post_modifier", &mut record.post_modifier)] {
        if let Some(commands) = section.text(key, any, "a text")? {
            *text = commands;
        }
    }
    for (key, text) in [
        ("image_set", &mut record.image_set),
        ("user_data", &mut record.user_data),
        ("targets", &mut record.targets),
        ("map", &mut record.map),
        ("asset_type", &mut record.asset_type),
    ] {
        *text = section.text(key, any, "a text")?;
    }
    record.timestamp_s = timestamp_of(&mut section)?;
    let crops = section.section("crop")?;
    section.finish()?;
    record.crops = crops.sections()?.into_iter().map(crop).collect::<Result<_>>()?;
    Ok(record)
}

fn crop((name, mut section): (String, Section)) -> Result<(String, SmartCrop)> {
    let missing = |section: &Section, key: &str, want: &str| Error::Config {
        key: format!("{}.{key}", section.name()),
        problem: format!("missing: expected {want}"),
    };
    if name.is_empty() || name.contains([':', '/', ',', '?']) {
        return Err(Error::Config {
            key: shortened(section.name()),
            problem: String::from("expected a crop's name without : / , and ?"),
        });
    }
    let want = "[x, y, width, height] in parts of the source, inside it";
    let rect: [f64; 4] = section
        .numbers("rect", |part| (0.0..=1.0).contains(&part), want)?
        .ok_or_else(|| missing(&section, "rect", want))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "parts of 0 to 1")]
    let rect = rect.map(|part| (part * f64::from(SmartCrop::WHOLE)).round() as u32);
    let [x, y, w, h] = rect;
    if w == 0 || h == 0 || x + w > SmartCrop::WHOLE || y + h > SmartCrop::WHOLE {
        return Err(Error::Config { key: format!("{}.rect", section.name()), problem: format!("expected {want}") });
    }
    let side_max = u64::from(limits::VIEW_SIDE_MAX);
    let want = format!("[width, height], each 1 to {side_max}");
    let size = section.integers("size", 2, [1..=side_max, 1..=side_max], &want)?;
    let Some((w, Some(h))) = size else { return Err(missing(&section, "size", &want)) };
    let side = |n: u64| u32::try_from(n).unwrap_or(limits::VIEW_SIDE_MAX);
    let size = Size::new(side(w), side(h));
    section.finish()?;
    Ok((name, SmartCrop { rect, size }))
}

/// Whether the commands of all records of a company can be what requests are made of. What is not supported is left to
/// the request that meets it.
pub(super) fn check_all(company: &Company, prefix: &str) -> Result<()> {
    for (id, record) in &company.records.own {
        for (key, commands) in [("modifier", &record.modifier), ("post_modifier", &record.post_modifier)] {
            match request::check(commands, company) {
                Ok(()) | Err(Error::NotSupported { .. }) => {}
                Err(cause) => {
                    let key = format!("{prefix}.record.{}.{key}", shortened(id));
                    return Err(Error::Config { key, problem: cause.to_string() });
                }
            }
        }
    }
    Ok(())
}

pub(super) const HOURS: &str = "hours, at most 876600; 0: at once; -1: never";

/// A time to live.
pub(super) fn is_hours(hours: f64) -> bool {
    hours == -1.0 || (0.0..=limits::EXPIRATION_HOURS_MAX).contains(&hours)
}

pub(super) const DPI: &str = "pixels an inch, above 0, at most 1000000";

pub(super) fn is_dpi(dpi: f64) -> bool {
    dpi > 0.0 && dpi <= 1e6
}

fn is_coordinate(at: f64) -> bool {
    at.fract() == 0.0 && at.abs() <= f64::from(i32::MAX)
}

/// What can stand in a URL as one name: neither `,` nor `?` can, not even encoded (protocol.md 1.1).
pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| !c.is_control() && !matches!(c, ',' | '?'))
}

pub(super) fn any(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A path that stays below where it begins; empty: none.
pub(super) fn file(text: &str) -> Option<String> {
    let is_element = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    (text.is_empty() || text.split('/').all(is_element)).then(|| text.to_owned())
}

/// The end of the year 9999, as HTTP's dates end there.
const TIMESTAMP_S_MAX: u64 = 253_402_300_799;

/// `timestamp`: when something was changed last, s since 1970.
pub(super) fn timestamp_of(section: &mut Section) -> Result<Option<u64>> {
    let Some(given) = section.take("timestamp") else { return Ok(None) };
    let time = timestamp(&given).filter(|&s| s <= TIMESTAMP_S_MAX);
    let want = "a time as in 2026-01-31T12:00:00Z, or seconds since 1970";
    time.map(Some).ok_or_else(|| section.refusal("timestamp", &given, want))
}

fn timestamp(given: &Given) -> Option<u64> {
    match given {
        Given::File(Value::Integer(seconds)) => u64::try_from(*seconds).ok(),
        Given::File(Value::Datetime(when)) => {
            let (date, time) = (when.date?, when.time?);
            let offset_min = match when.offset? {
                toml::value::Offset::Z => 0,
                toml::value::Offset::Custom { minutes } => i64::from(minutes),
            };
            // Years begin in March here, so that the leap day is the last of its year; day 0 is 0000-03-01.
            let (year, month) = (i64::from(date.year), i64::from(date.month));
            let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
            let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + i64::from(date.day)
                - 1
                - 719_468;
            let seconds = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + time.second.map_or(0, i64::from);
            u64::try_from(days * 86_400 + seconds - offset_min * 60).ok()
        }
        Given::File(_) | Given::Environment(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_agree_with_the_calendar() {
        let of = |text: &str| timestamp(&Given::File(Value::Datetime(text.parse().unwrap())));
        assert_eq!(of("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(of("2000-02-29T00:00:00Z"), Some(951_782_400));
        assert_eq!(of("2100-03-01T01:00:00+01:00"), Some(4_107_542_400));
        assert_eq!(of("2025-12-31T23:59:59Z"), Some(1_767_225_599));
        assert_eq!(of("1969-12-31T23:59:59Z"), None);
        assert_eq!(of("2025-12-31"), None);
        assert_eq!(timestamp(&Given::File(Value::Integer(7))), Some(7));
    }
}
