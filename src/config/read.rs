//! One section of the configuration, taken key by key: each key says what it expects, what is left over is unknown.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml::Value;

use crate::error::{Error, Result, shortened};

/// A value as it was given.
#[derive(Clone, Debug)]
pub(super) enum Given {
    /// In the file.
    File(Value),
    /// In the environment, by the variable named: lists are separated by commas.
    Environment(String, String),
}

impl Given {
    /// The value for a message.
    fn shown(&self) -> String {
        match self {
            Self::File(Value::String(text)) | Self::Environment(_, text) => format!("\"{}\"", shortened(text)),
            Self::File(value @ (Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_))) => {
                value.to_string()
            }
            Self::File(Value::Array(_)) => String::from("a list"),
            Self::File(Value::Table(_)) => String::from("a section"),
        }
    }

    fn integer(&self) -> Option<i64> {
        match self {
            Self::File(Value::Integer(n)) => Some(*n),
            Self::Environment(_, text) => text.trim().parse().ok(),
            Self::File(_) => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::File(Value::String(text)) | Self::Environment(_, text) => Some(text),
            Self::File(_) => None,
        }
    }

    /// Its items, each as a value of its own.
    fn list(&self) -> Option<Vec<Self>> {
        match self {
            Self::File(Value::Array(items)) => Some(items.iter().cloned().map(Self::File).collect()),
            Self::Environment(name, text) => {
                Some(text.split(',').map(|item| Self::Environment(name.clone(), item.trim().to_owned())).collect())
            }
            Self::File(_) => None,
        }
    }
}

/// The keys of one section that are not taken yet.
pub(super) struct Section {
    name: String,
    given: BTreeMap<String, Given>,
    known: Vec<&'static str>,
}

impl Section {
    /// The section `name` of the file; `None`: it is not there.
    ///
    /// # Errors
    /// `Config` if it is a value and no section.
    pub(super) fn from_file(name: impl Into<String>, value: Option<Value>) -> Result<Self> {
        let name = name.into();
        let given = match value {
            None => BTreeMap::new(),
            Some(Value::Table(table)) => table.into_iter().map(|(key, value)| (key, Given::File(value))).collect(),
            Some(other) => {
                return Err(Error::Config {
                    problem: format!("{}: expected a section, as in [{name}]", Given::File(other).shown()),
                    key: name,
                });
            }
        };
        Ok(Self { name, given, known: Vec::new() })
    }

    /// Puts a value of the environment in the place of the file's.
    pub(super) fn override_with(&mut self, key: String, variable: String, text: String) {
        self.given.insert(key, Given::Environment(variable, text));
    }

    /// The value of `key`, which is known from now on.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Given> {
        self.known.push(key);
        self.given.remove(key)
    }

    /// A refusal of `key`'s value.
    pub(super) fn refusal(&self, key: &str, given: &Given, want: impl Display) -> Error {
        let key = match given {
            Given::File(_) => format!("{}.{key}", self.name),
            Given::Environment(variable, _) => format!("{}.{key} ({variable})", self.name),
        };
        Error::Config { key, problem: format!("{}: expected {want}", given.shown()) }
    }

    /// An integer.
    pub(super) fn integer(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Result<Option<u64>> {
        let Some(given) = self.take(key) else { return Ok(None) };
        let n = given.integer().and_then(|n| u64::try_from(n).ok()).filter(|n| range.contains(n));
        let want = || format!("an integer {} to {}", range.start(), range.end());
        n.map(Some).ok_or_else(|| self.refusal(key, &given, want()))
    }

    /// A number, whole or not.
    pub(super) fn number(&mut self, key: &'static str, fits: fn(f64) -> bool, want: &str) -> Result<Option<f64>> {
        let Some(given) = self.take(key) else { return Ok(None) };
        let number = match &given {
            Given::File(Value::Float(number)) => Some(*number),
            // Exact up to 2^53, far beyond every range asked for here.
            Given::File(Value::Integer(n)) => Some(*n as f64),
            Given::Environment(_, text) => text.trim().parse().ok(),
            Given::File(_) => None,
        };
        number.filter(|&n| fits(n)).map(Some).ok_or_else(|| self.refusal(key, &given, want))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str) -> Result<Option<bool>> {
        let Some(given) = self.take(key) else { return Ok(None) };
        let flag = match &given {
            Given::File(Value::Boolean(flag)) => Some(*flag),
            Given::Environment(_, text) => text.trim().parse().ok(),
            Given::File(_) => None,
        };
        flag.map(Some).ok_or_else(|| self.refusal(key, &given, "true or false"))
    }

    /// Any text that `read` understands.
    pub(super) fn text<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
        want: impl Display,
    ) -> Result<Option<T>> {
        let Some(given) = self.take(key) else { return Ok(None) };
        given.text().and_then(read).map(Some).ok_or_else(|| self.refusal(key, &given, want))
    }

    /// One word out of `words`, upper or lower case.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Result<Option<T>> {
        self.text(key, |text| chosen(text, words), listed(words))
    }

    /// A list of texts, each as `read` makes it.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Option<T>,
        want: &str,
    ) -> Result<Option<Vec<T>>> {
        let Some(given) = self.take(key) else { return Ok(None) };
        let items: Option<Vec<T>> =
            given.list().and_then(|items| items.iter().map(|item| item.text().and_then(&read)).collect());
        items.map(Some).ok_or_else(|| self.refusal(key, &given, want))
    }

    /// One or more words out of `words`, each once.
    pub(super) fn choices<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Result<Option<Vec<T>>> {
        let Some(given) = self.take(key) else { return Ok(None) };
        let want = || format!("a list of one or more of {}", listed(words));
        let items = given.list().filter(|items| !items.is_empty());
        let items = items.ok_or_else(|| self.refusal(key, &given, want()))?;
        let mut values = Vec::with_capacity(items.len());
        for item in &items {
            let value = item.text().and_then(|text| chosen(text, words));
            values.push(value.ok_or_else(|| self.refusal(key, item, want()))?);
        }
        Ok(Some(values))
    }

    /// A path, not empty.
    pub(super) fn path(&mut self, key: &'static str) -> Result<Option<PathBuf>> {
        self.text(key, |text| (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text)), "a path")
    }

    /// Bytes: a count, or one with a binary unit as in `"512MiB"`.
    pub(super) fn bytes(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Result<Option<u64>> {
        let Some(given) = self.take(key) else { return Ok(None) };
        let bytes = match &given {
            Given::File(Value::Integer(n)) => u64::try_from(*n).ok(),
            Given::File(Value::String(text)) | Given::Environment(_, text) => bytes_from_text(text),
            Given::File(_) => None,
        };
        let want = || {
            let (low, high) = (bytes_to_text(*range.start()), bytes_to_text(*range.end()));
            format!("bytes as in \"512MiB\" (units B KiB MiB GiB TiB), {low} to {high}")
        };
        bytes.filter(|n| range.contains(n)).map(Some).ok_or_else(|| self.refusal(key, &given, want()))
    }

    /// Two integers, or as few as `least`.
    pub(super) fn integers(
        &mut self,
        key: &'static str,
        least: usize,
        ranges: [RangeInclusive<u64>; 2],
        want: &str,
    ) -> Result<Option<(u64, Option<u64>)>> {
        let Some(given) = self.take(key) else { return Ok(None) };
        // One integer alone needs no brackets.
        let items = given.list().unwrap_or_else(|| vec![given.clone()]);
        let numbers: Option<Vec<u64>> = items
            .iter()
            .zip(&ranges)
            .map(|(item, range)| item.integer().and_then(|n| u64::try_from(n).ok()).filter(|n| range.contains(n)))
            .collect();
        match numbers.as_deref() {
            Some(&[first]) if items.len() == 1 && least <= 1 => Ok(Some((first, None))),
            Some(&[first, second]) if items.len() == 2 => Ok(Some((first, Some(second)))),
            _ => Err(self.refusal(key, &given, want)),
        }
    }

    /// A section inside this one.
    pub(super) fn section(&mut self, key: &'static str) -> Result<Self> {
        let name = format!("{}.{key}", self.name);
        match self.take(key) {
            None => Self::from_file(name, None),
            Some(Given::File(value)) => Self::from_file(name, Some(value)),
            Some(given @ Given::Environment(..)) => Err(self.refusal(key, &given, "a section of the file")),
        }
    }

    /// So many numbers in a list.
    pub(super) fn numbers<const N: usize>(
        &mut self,
        key: &'static str,
        fits: fn(f64) -> bool,
        want: &str,
    ) -> Result<Option<[f64; N]>> {
        let Some(given) = self.take(key) else { return Ok(None) };
        let number = |item: Given| match item {
            Given::File(Value::Float(number)) => Some(number),
            // Exact up to 2^53, far beyond every range asked for here.
            Given::File(Value::Integer(n)) => Some(n as f64),
            Given::Environment(_, text) => text.trim().parse().ok(),
            Given::File(_) => None,
        };
        let numbers: Option<Vec<f64>> =
            given.list().and_then(|items| items.into_iter().map(|item| number(item).filter(|&n| fits(n))).collect());
        let numbers = numbers.and_then(|numbers| <[f64; N]>::try_from(numbers).ok());
        numbers.map(Some).ok_or_else(|| self.refusal(key, &given, want))
    }

    /// Sections in a list, `[[…]]`, called by their place in it, from 1 on.
    pub(super) fn array(&mut self, key: &'static str, most: usize) -> Result<Option<Vec<Self>>> {
        let Some(given) = self.take(key) else { return Ok(None) };
        let want = || format!("sections as in [[{}.{key}]]", self.name);
        let items = given.list().ok_or_else(|| self.refusal(key, &given, want()))?;
        if items.len() > most {
            return Err(fault(
                format!("{}.{key}", self.name),
                format!("{} of them: expected at most {most}", items.len()),
            ));
        }
        let section = |(i, item): (usize, Given)| match item {
            Given::File(value) => Self::from_file(format!("{}.{key}[{}]", self.name, i + 1), Some(value)),
            Given::Environment(..) => Err(self.refusal(key, &item, want())),
        };
        items.into_iter().enumerate().map(section).collect::<Result<_>>().map(Some)
    }

    /// All of a section whose keys are free names: each a section of its own.
    pub(super) fn sections(self) -> Result<Vec<(String, Self)>> {
        let name = self.name;
        let section = |(key, given): (String, Given)| {
            let name = format!("{name}.{}", shortened(&key));
            match given {
                Given::File(value) => Ok((key, Self::from_file(name, Some(value))?)),
                Given::Environment(..) => Err(Error::Config { key: name, problem: "expected a section".into() }),
            }
        };
        self.given.into_iter().map(section).collect()
    }

    /// All of a section whose keys are free names: each with its text.
    pub(super) fn texts(self) -> Result<Vec<(String, String)>> {
        let refuse = |key: &str, given: &Given| self.refusal(key, given, "a text in quotes");
        self.given
            .iter()
            .map(|(key, given)| match given.text() {
                Some(text) => Ok((key.clone(), text.to_owned())),
                None => Err(refuse(key, given)),
            })
            .collect()
    }

    /// Whether nothing is left of it, or it is not there at all.
    pub(super) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// The section's name, as in `company.Co`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// # Errors
    /// `Config` if a key is left that nobody knows: it names the nearest one known.
    pub(super) fn finish(self) -> Result<()> {
        match self.given.first_key_value() {
            None => Ok(()),
            Some((key, given)) => {
                let key = match given {
                    Given::File(_) => format!("{}.{}", self.name, shortened(key)),
                    Given::Environment(variable, _) => format!("{}.{} ({variable})", self.name, shortened(key)),
                };
                Err(unknown(key, self.given.keys().next().map_or("", String::as_str), &self.known))
            }
        }
    }
}

/// A refusal in words of its own.
pub(super) fn fault(key: String, problem: String) -> Error {
    Error::Config { key, problem }
}

/// The refusal of a name that is none of `known`.
pub(super) fn unknown(key: String, name: &str, known: &[&str]) -> Error {
    let near = |word: &&&str| strsim::normalized_damerau_levenshtein(name, word);
    let nearest = known.iter().max_by(|a, b| near(a).total_cmp(&near(b)));
    let problem = match nearest {
        Some(nearest) => format!("unknown key: the nearest known one is {nearest}"),
        None => String::from("unknown key"),
    };
    Error::Config { key, problem }
}

fn chosen<T: Copy>(text: &str, words: &[(&str, T)]) -> Option<T> {
    words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|&(_, value)| value)
}

fn listed<T>(words: &[(&str, T)]) -> String {
    words.iter().map(|&(word, _)| word).collect::<Vec<_>>().join(" | ")
}

const UNITS: [(&str, u32); 5] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

fn bytes_from_text(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let shift = match unit {
        "" => 0,
        _ => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    count.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn bytes_to_text(bytes: u64) -> String {
    let (unit, shift) = UNITS.into_iter().find(|&(_, shift)| bytes >> shift << shift == bytes).unwrap_or(("B", 0));
    format!("{}{unit}", bytes >> shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_binary_units() {
        for (text, bytes) in
            [("0", Some(0)), ("12", Some(12)), ("1GiB", Some(1 << 30)), ("3 mib", Some(3 << 20)), ("7B", Some(7))]
        {
            assert_eq!(bytes_from_text(text), bytes, "{text}");
        }
        for text in ["", "GiB", "1.5GiB", "-1", "1GB", "1 G", "99999999999TiB"] {
            assert_eq!(bytes_from_text(text), None, "{text}");
        }
        assert_eq!(bytes_to_text(16 << 20), "16MiB");
        assert_eq!(bytes_to_text(1500), "1500B");
    }
}
