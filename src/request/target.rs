//! From a URL to whose request it is, what it names and what it says (protocol.md 1.1, 1.3).
//!
//! Invariant: the path is split before it is decoded, so that `%2F` stays inside its element.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::grammar::{self, Strings};
use super::{Commands, Object, Window, parse_strings};
use crate::catalog::{Catalog, Company};
use crate::error::{Error, Result, shortened};

/// A request, before anything is known of its source.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// Whose it is.
    pub company: Cow<'a, Company>,
    /// What it names.
    pub object: Object<'a>,
    query: Cow<'a, str>,
}

impl<'a> Target<'a> {
    /// The request for `path`, which is what follows `/is/image` and still percent-encoded, as the query is.
    ///
    /// # Errors
    /// `NotFound`: no such company. `Request`, `Command`: as [`Object`]'s look-up, and what no path may hold.
    pub fn of_url(catalog: &'a Catalog, path: &str, query: &'a str) -> Result<Self> {
        let mut elements = path.trim_start_matches('/').split('/').map(decoded);
        let name = elements.next().transpose()?.unwrap_or_default();
        let company = company(catalog, &name)?;
        let elements = elements.collect::<Result<Vec<_>>>()?;
        Self::of_object(catalog, company, elements, query)
    }

    /// A query about an object of a company.
    ///
    /// # Errors
    /// As [`Self::of_url`].
    pub fn of_object(
        catalog: &'a Catalog,
        company: &'a Company,
        elements: Vec<String>,
        query: &'a str,
    ) -> Result<Self> {
        let locale = if company.locale_map.is_empty() { None } else { locale(query, company)? };
        let object = Object::find(company, elements, locale.as_deref())?;
        let target = Self { company: Cow::Borrowed(company), object, query: Cow::Borrowed(query) };
        match &catalog.default {
            // The company is as good as not there: the whole path is one of the default catalog's.
            Some(default)
                if company.full_match
                    && target.object.record.is_none()
                    && !target.object.elements.is_empty()
                    && !std::ptr::eq(company, default) =>
            {
                let elements = [std::slice::from_ref(&company.root_id), &target.object.elements].concat();
                Self::of_object(catalog, default, elements, query)
            }
            _ => Ok(target),
        }
    }

    /// The same object, asked for under the attributes of another company.
    #[must_use]
    pub fn for_company(self, company: Option<&'a Company>) -> Self {
        match company {
            Some(company) => Self { company: Cow::Borrowed(company), ..self },
            None => self,
        }
    }

    /// `Company/Asset`, for people: it is never taken apart again.
    pub fn id(&self) -> String {
        let company = &self.company.root_id;
        self.object.elements.iter().fold(company.clone(), |id, element| id + "/" + element)
    }

    /// All that is asked, the record's own commands around those of the URL.
    ///
    /// # Errors
    /// As [`super::parse`]; `NotSupported`: the record is a template, or has a mask of its own.
    pub fn commands(&self) -> Result<Commands> {
        let id = self.id();
        let (modifier, post_modifier) = self.object.modifiers();
        let strings = Strings { modifier, query: &self.query, post_modifier, object: &id };
        let mut commands = parse_strings(strings, &self.company)?;
        if let Some((id, record)) = self.object.record {
            let not_supported = |key, got: &str| Err(Error::NotSupported { key, got: shortened(got) });
            if record.path.as_deref() == Some("") {
                return not_supported("template", id);
            }
            if let Some(mask) = &record.mask_path {
                return not_supported("mask", mask);
            }
        }
        commands.window = self.object.crop.as_ref().map(Window::of);
        Ok(commands)
    }
}

/// The company of that name.
///
/// # Errors
/// `NotFound`.
pub fn company<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Company> {
    catalog.companies.get(name).ok_or_else(|| Error::NotFound { id: shortened(name) })
}

/// One path element, percent-decoded.
///
/// # Errors
/// `Request`: an escape is cut or not hexadecimal, or the bytes are not UTF-8.
pub fn decoded(element: &str) -> Result<String> {
    let refused = |want| Error::Request { got: shortened(element), want };
    let mut rest = element.as_bytes();
    while let Some(at) = rest.iter().position(|&b| b == b'%') {
        match rest[at + 1..] {
            [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest = &rest[at + 3..],
            _ => return Err(refused("two hexadecimal digits after each %".into())),
        }
    }
    match percent_decode_str(element).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(refused("UTF-8 under the percent escapes".into())),
    }
}

/// The last `locale` of a query.
fn locale(query: &str, company: &Company) -> Result<Option<String>> {
    let mut locale = None;
    grammar::each_command(Strings { query, ..Strings::default() }, company, &mut |name, value| {
        if name.eq_ignore_ascii_case("locale") {
            locale = Some(value.to_owned());
        }
        Ok(())
    })?;
    Ok(locale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::SourceRoot;

    #[test]
    fn elements_are_split_before_they_are_decoded() {
        let mut catalog = Catalog::default();
        catalog.companies.insert(String::from("Co"), Company::new("Co", SourceRoot::Demo));
        let elements = |path: &str| Target::of_url(&catalog, path, "").unwrap().object.elements;
        assert_eq!(elements("/Co/a%2Fb/%2e%2E/c+d%20e"), ["a/b", "..", "c+d e"]);
        assert!(elements("/Co").is_empty());
        assert_eq!(elements("/Co//a"), ["", "a"]);
        assert!(matches!(Target::of_url(&catalog, "/co/a", ""), Err(Error::NotFound { .. })));
    }

    #[test]
    fn cut_and_foreign_escapes_are_refused() {
        for bad in ["%", "a%4", "%zz", "%%20", "%ff", "%c3%28", "ok%2"] {
            assert!(matches!(decoded(bad), Err(Error::Request { .. })), "{bad}");
        }
        assert_eq!(decoded("%E2%82%AC%00").unwrap(), "€\0");
    }
}
