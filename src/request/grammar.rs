//! The query's grammar (protocol.md 1.1, 1.4, 1.6): modifiers, comments, presets, variables, percent-decoding.
//!
//! The order is the protocol's: split at `&`, then at the first `=`, and only then decode, so that an encoded `&` stays
//! data. Everything is bounded: modifiers, depth of presets, and bytes, those of expanded presets and variables included.

use std::borrow::Cow;

use super::variables::Variables;
use crate::catalog::Company;
use crate::error::{Error, Result, shortened};
use crate::limits;

/// What a request's commands are read from, in their order (protocol.md 1.5), and the object that its path names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Strings<'a> {
    /// The record's commands that the URL beats.
    pub(super) modifier: &'a str,
    /// The URL's query.
    pub(super) query: &'a str,
    /// The record's commands that beat the URL.
    pub(super) post_modifier: &'a str,
    /// `$object$`; empty: there is none.
    pub(super) object: &'a str,
}

/// Calls `command(name, value)` for every command in order, presets expanded in place, variables put in. Returns the
/// variables as they are at the end.
pub(super) fn each_command(
    strings: Strings<'_>,
    company: &Company,
    command: &mut dyn FnMut(&str, &str) -> Result<()>,
) -> Result<Variables> {
    let Strings { modifier, query, post_modifier, object } = strings;
    if query.len() > limits::URL_BYTES_MAX {
        return Err(Error::Request {
            got: format!("{} bytes of query", query.len()),
            want: Cow::Owned(format!("at most {} bytes", limits::URL_BYTES_MAX)),
        });
    }
    let mut variables = Variables::of_object(object);
    if modifier.contains('$') && query.contains('$') {
        // The record's commands come first and may refer to what the URL defines.
        let mut none = |_: &str, _: &str| Ok(());
        let mut of_url = Expansion::new(company, &mut none, Variables::default());
        of_url.modifiers(query)?;
        variables.fix(of_url.variables);
    }
    let mut expansion = Expansion::new(company, command, variables);
    expansion.modifiers(modifier)?;
    expansion.variables.release();
    expansion.modifiers(query)?;
    expansion.modifiers(post_modifier)?;
    Ok(expansion.variables)
}

struct Expansion<'a> {
    company: &'a Company,
    command: &'a mut dyn FnMut(&str, &str) -> Result<()>,
    variables: Variables,
    /// Presets being expanded, outermost first.
    open: Vec<String>,
    bytes_left: usize,
    modifiers_left: usize,
}

impl<'a> Expansion<'a> {
    fn new(company: &'a Company, command: &'a mut dyn FnMut(&str, &str) -> Result<()>, variables: Variables) -> Self {
        Self {
            company,
            command,
            variables,
            open: Vec::new(),
            bytes_left: limits::QUERY_EXPANDED_BYTES_MAX,
            modifiers_left: limits::MODIFIERS_MAX,
        }
    }

    fn modifiers(&mut self, query: &str) -> Result<()> {
        self.spend(query.len())?;
        for modifier in query.split('&') {
            // Empty modifiers occur in the protocol's own examples; one that begins with a dot is a comment.
            if modifier.is_empty() || modifier.starts_with('.') {
                continue;
            }
            self.modifiers_left = self.modifiers_left.checked_sub(1).ok_or_else(|| Error::Request {
                got: shortened(modifier),
                want: Cow::Owned(format!("at most {} modifiers, presets included", limits::MODIFIERS_MAX)),
            })?;
            self.modifier(modifier)?;
        }
        Ok(())
    }

    fn modifier(&mut self, modifier: &str) -> Result<()> {
        let (name, value) = modifier.split_once('=').unwrap_or((modifier, ""));
        let name = decoded(name, modifier, false)?;
        let value = decoded(value, modifier, true)?;
        match name.strip_prefix('$') {
            None => {
                let value = self.substituted(&name, value)?;
                (self.command)(&name, &value)
            }
            Some(rest) => match rest.strip_suffix('$') {
                // Form encoders write `$name$=`.
                Some(preset) if is_name(preset) && value.is_empty() => self.preset(preset),
                None if is_name(rest) => {
                    self.variables.define(rest, value.into_owned());
                    Ok(())
                }
                _ => Err(Error::Request {
                    got: shortened(modifier),
                    want: Cow::Borrowed("$preset$ or $variable=value, names of letters, digits, - _ and ."),
                }),
            },
        }
    }

    fn preset(&mut self, name: &str) -> Result<()> {
        let name = name.to_ascii_lowercase();
        let company = self.company;
        let Some(body) = company.presets.get(&name) else {
            return Err(Error::UnknownPreset { name: shortened(&name) });
        };
        if self.open.contains(&name) || self.open.len() == limits::PRESET_DEPTH_MAX {
            return Err(Error::Request {
                got: shortened(&format!("${}$", self.open.first().unwrap_or(&name))),
                want: Cow::Owned(format!(
                    "presets that do not hold themselves, at most {} deep (at ${}$)",
                    limits::PRESET_DEPTH_MAX,
                    shortened(&name)
                )),
            });
        }
        self.open.push(name);
        let done = self.modifiers(body);
        self.open.pop();
        done
    }

    /// `value` with its variables put in.
    fn substituted<'v>(&mut self, name: &str, value: Cow<'v, str>) -> Result<Cow<'v, str>> {
        let fixed = name.eq_ignore_ascii_case("layer") || name.eq_ignore_ascii_case("effect");
        if fixed || !value.contains('$') {
            return Ok(value);
        }
        match self.variables.substituted(value, self.bytes_left) {
            Some(value) => self.spend(value.len()).map(|()| value),
            None => self.spend(usize::MAX).map(|()| Cow::Borrowed("")),
        }
    }

    fn spend(&mut self, bytes: usize) -> Result<()> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or_else(|| Error::Request {
            got: self.open.first().map_or_else(|| String::from("query"), |name| shortened(&format!("${name}$"))),
            want: Cow::Owned(format!(
                "at most {} bytes once presets and variables are put in",
                limits::QUERY_EXPANDED_BYTES_MAX
            )),
        })?;
        Ok(())
    }
}

/// Letters, digits, `-`, `_`, `.`, at least one.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Percent-decoded; in values `+` is a space.
fn decoded<'a>(text: &'a str, modifier: &str, plus_is_space: bool) -> Result<Cow<'a, str>> {
    let encoded = |c: char| c == '%' || (plus_is_space && c == '+');
    if !text.contains(encoded) {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'%' => {
                let pair = tail.first_chunk::<2>().filter(|pair| pair.iter().all(u8::is_ascii_hexdigit));
                let byte = pair.and_then(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
                bytes.push(byte.ok_or_else(|| Error::Request {
                    got: shortened(modifier),
                    want: Cow::Borrowed("two hexadecimal digits after every %"),
                })?);
                rest = &tail[2..];
            }
            b'+' if plus_is_space => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| Error::Request { got: shortened(modifier), want: Cow::Borrowed("percent-encoded UTF-8") })
}
