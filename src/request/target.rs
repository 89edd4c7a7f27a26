//! From a URL to whose request it is, what it names and what it says (protocol.md 1.1, 1.3).
//!
//! Invariant: the path is split before it is decoded, so that `%2F` stays inside its element.

use std::borrow::Cow;
use std::net::IpAddr;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::grammar::{self, Strings};
use super::preprocess::{Context, check_address, preprocess};
use super::variables::Variables;
use super::{Commands, Kind, MaskSource, Object, Req, Thumb, Window, parse_strings};
use crate::catalog::{Catalog, Company, Overrides, RuleHeader, SourceRoot};
use crate::error::{Error, Result, shortened};
use crate::pixel::Density;

/// A request, before anything is known of its source.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// Whose attributes hold, a rule's overrides in them.
    pub company: Cow<'a, Company>,
    /// What it names.
    pub object: Object<'a>,
    query: Cow<'a, str>,
    headers: Vec<&'a RuleHeader>,
}

impl<'a> Target<'a> {
    /// The request for `path`, which is what follows the root context and still percent-encoded, as the query is, from a
    /// client whose address may be known.
    ///
    /// # Errors
    /// `NoCompany`. `Refused`: the company's wrappers, rules or address filter. `Request`, `Command`: as
    /// [`Object`]'s look-up, and what no path may hold.
    pub fn of_url(
        catalog: &'a Catalog,
        context: Context,
        path: &'a str,
        query: &'a str,
        client: Option<IpAddr>,
    ) -> Result<Self> {
        let Ruled { company, elements, query, headers, overrides } =
            Ruled::of_url(catalog, context, path, query, client)?;
        let mut target = Self::of_object(catalog, company, elements, query)?;
        target.headers = headers;
        overrides.put_into(&mut target.company);
        Ok(target)
    }

    /// A query about an object of a company.
    ///
    /// # Errors
    /// `Request`, `Command`: as [`Object`]'s look-up.
    pub fn of_object(
        catalog: &'a Catalog,
        company: &'a Company,
        elements: Vec<String>,
        query: impl Into<Cow<'a, str>>,
    ) -> Result<Self> {
        let query = query.into();
        let locale = if company.locale_map.is_empty() { None } else { locale(&query, company)? };
        let object = Object::find(company, elements, locale.as_deref())?;
        match &catalog.default {
            // The company is as good as not there: the whole path is one of the default catalog's.
            Some(default)
                if company.full_match
                    && object.record.is_none()
                    && !object.elements.is_empty()
                    && !std::ptr::eq(company, default) =>
            {
                let elements = [std::slice::from_ref(&company.root_id), &object.elements].concat();
                Self::of_object(catalog, default, elements, query)
            }
            _ => Ok(Self { company: Cow::Borrowed(company), object, query, headers: Vec::new() }),
        }
    }

    /// The same request for the object that `text` names in a command or an attribute (protocol.md 1.3): a record of the
    /// company, else `RootId/ObjId`, else a file of the company; `/RootId/ObjId` is never one of its records.
    ///
    /// # Errors
    /// As [`Self::of_object`].
    pub fn for_object(&self, catalog: &'a Catalog, text: &str) -> Result<Self> {
        let locale = if self.company.locale_map.is_empty() { None } else { locale(&self.query, &self.company)? };
        let find = |company: &'a Company, text: &str| {
            Object::find(company, text.split('/').map(str::to_owned).collect(), locale.as_deref())
        };
        let (own, text) = match text.strip_prefix('/') {
            Some(rest) => (None, rest),
            None => (catalog.companies.get(&self.company.root_id), text),
        };
        let own = own.map(|company| find(company, text)).transpose()?;
        let other = text.split_once('/').and_then(|(name, rest)| Some((catalog.companies.get(name)?, rest)));
        let object = match (own, other) {
            (Some(own), _) if own.record.is_some() => own,
            (_, Some((company, rest))) => find(company, rest)?,
            (Some(own), None) => own,
            (None, None) => return Err(Error::NotFound { id: shortened(text) }),
        };
        Ok(Self { object, ..self.clone() })
    }

    /// The same without the URL's own commands.
    #[must_use]
    pub fn without_query(self) -> Self {
        Self { query: Cow::Borrowed(""), ..self }
    }

    /// The headers of its reply: the company's own, and over them those of the rules, with variables put in.
    pub fn headers(&self, commands: &Commands) -> Vec<(String, String)> {
        ruled_headers(&self.company, &self.headers, &commands.variables)
    }

    /// What is asked, as far as it can be read, where something in it is wrong.
    pub fn readable(&self) -> Commands {
        let id = self.id();
        let (modifier, post_modifier) = self.object.modifiers();
        let strings = Strings { modifier, query: &self.query, post_modifier, object: &id };
        let mut commands = readable(strings, &self.company);
        if commands.req.kind == Kind::Tmb {
            commands.thumb = Some(Thumb::new(&self.company, self.object.record.map(|(_, record)| record)));
        }
        commands
    }

    /// Whether the URL's own commands can be read. Variables may come to mean anything.
    ///
    /// # Errors
    /// As [`super::parse`].
    pub fn check(&self) -> Result<()> {
        // What is asked for here stands among them, and asks for no look at the others.
        super::check(&format!("{}&req=img", self.query), &self.company)
    }

    /// The request once presets, records and variables are put in, for people.
    ///
    /// # Errors
    /// As [`super::parse`], but for values.
    pub fn resolved(&self) -> Result<String> {
        let id = self.id();
        let (modifier, post_modifier) = self.object.modifiers();
        let mut commands = Vec::new();
        if let Some(path) = self.object.record.and_then(|(_, record)| record.path.as_ref()) {
            commands.push(format!("src={}", utf8_percent_encode(path, IN_VALUES)));
        }
        let strings = Strings { modifier, query: &self.query, post_modifier, object: &id };
        grammar::each_command(strings, &self.company, &mut |name, value| {
            if !name.eq_ignore_ascii_case("req") {
                let value = utf8_percent_encode(value, IN_VALUES);
                commands.push(format!("{}={value}", utf8_percent_encode(name, IN_VALUES)));
            }
            Ok(())
        })?;
        Ok(format!("{id}?{}", commands.join("&")))
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
        self.object.elements.iter().fold(self.object.root_id.to_owned(), |id, element| id + "/" + element)
    }

    /// All that is asked, the record's own commands around those of the URL.
    ///
    /// # Errors
    /// As [`super::parse`]; `NotSupported`: the record is a template, or has a mask of its own.
    pub fn commands(&self) -> Result<Commands> {
        let id = self.id();
        let (modifier, post_modifier) = self.object.modifiers();
        let strings = Strings { modifier, query: &self.query, post_modifier, object: &id };
        let mut commands = parse_strings(strings, &self.company, self.object.record.map(|(_, record)| record))?;
        if let (true, Some((id, record))) = (commands.req.kind.reads_commands(), self.object.record) {
            let not_supported = |key, got: &str| Err(Error::NotSupported { key, got: shortened(got) });
            if record.path.as_deref() == Some("") {
                return not_supported("template", id);
            }
            if let Some(file) = record.mask_path.as_ref().filter(|file| !file.is_empty()) {
                let elements = || file.split('/').map(str::to_owned).collect();
                commands.mask.get_or_insert_with(|| MaskSource::File(elements()));
            }
        }
        let of_record = self.object.record.and_then(|(_, record)| record.print_resolution);
        commands.print_res = commands.print_res.or(of_record.and_then(Density::from_dpi));
        commands.window = self.object.crop.as_ref().map(Window::of);
        Ok(commands)
    }
}

/// A request that its company's rules let through, before anything is looked up for it.
pub(super) struct Ruled<'a> {
    /// The company that the path names after the rules.
    pub(super) company: &'a Company,
    /// What follows it in the path, element by element, decoded.
    pub(super) elements: Vec<String>,
    pub(super) query: Cow<'a, str>,
    pub(super) headers: Vec<&'a RuleHeader>,
    pub(super) overrides: Overrides,
}

impl<'a> Ruled<'a> {
    /// As [`Target::of_url`].
    ///
    /// # Errors
    /// As [`Target::of_url`], but for the look-up of objects.
    pub(super) fn of_url(
        catalog: &'a Catalog,
        context: Context,
        path: &'a str,
        query: &'a str,
        client: Option<IpAddr>,
    ) -> Result<Self> {
        let asked = first(path)?;
        let ruling = match (catalog.companies.get(&asked), &catalog.default) {
            (Some(company), _) => company,
            (None, Some(default)) => default,
            (None, None) => return Err(Error::NoCompany { name: shortened(&asked) }),
        };
        let done = preprocess(ruling, context, path, query)?;
        let company = company(catalog, &first(&done.path)?)?;
        match done.address_filter {
            Some(networks) => check_address(networks, client)?,
            None => {
                check_address(&ruling.address_filter, client)?;
                check_address(&company.address_filter, client)?;
            }
        }
        let elements = done.path.split('/').skip(1).map(decoded).collect::<Result<Vec<_>>>()?;
        Ok(Self { company, elements, query: done.query, headers: done.headers, overrides: done.overrides })
    }
}

/// The company's own headers, and over them those of rules, with variables put in.
pub(super) fn ruled_headers(company: &Company, rules: &[&RuleHeader], variables: &Variables) -> Vec<(String, String)> {
    let mut headers = company.headers.clone();
    for RuleHeader { name, value, is_added } in rules {
        let value = variables.substituted(Cow::Borrowed(value), HEADER_BYTES_MAX).unwrap_or_default();
        // Variables are the client's words.
        let printable = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
        let value = value.trim().chars().map(printable).collect();
        if !is_added {
            headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        }
        headers.push((name.clone(), value));
    }
    headers
}

/// What kind of reply a query asks for, as far as that can be read without knowing whose it is.
pub fn lenient_req(query: &str) -> Req {
    readable(Strings { query, ..Strings::default() }, &Company::new("", SourceRoot::Nothing)).req
}

fn readable(strings: Strings<'_>, company: &Company) -> Commands {
    let mut commands = Commands::default();
    // It ends where nothing more can be read; what was read before counts.
    drop(grammar::each_command(strings, company, &mut |name, value| {
        // What is refused here is refused again where the request is read.
        commands.take(name, value, false, &mut Vec::new()).or(Ok(()))
    }));
    commands
}

/// What would mean something else inside a value.
const IN_VALUES: &AsciiSet = &CONTROLS.add(b' ').add(b'#').add(b'%').add(b'&').add(b'+').add(b'=');

/// The company of that name.
///
/// # Errors
/// `NoCompany`.
pub fn company<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Company> {
    catalog.companies.get(name).ok_or_else(|| Error::NoCompany { name: shortened(name) })
}

/// The company that a path names.
fn first(path: &str) -> Result<String> {
    decoded(path.trim_start_matches('/').split('/').next().unwrap_or_default())
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

/// A rule's header is no longer than this with its variables.
const HEADER_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_split_before_they_are_decoded() {
        let mut catalog = Catalog::default();
        catalog.companies.insert(String::from("Co"), Company::new("Co", SourceRoot::Demo));
        let elements = |path: &str| Target::of_url(&catalog, Context::Image, path, "", None).unwrap().object.elements;
        assert_eq!(elements("/Co/a%2Fb/%2e%2E/c+d%20e"), ["a/b", "..", "c+d e"]);
        assert!(elements("/Co").is_empty());
        assert_eq!(elements("/Co//a"), ["", "a"]);
        assert!(matches!(Target::of_url(&catalog, Context::Image, "/co/a", "", None), Err(Error::NoCompany { .. })));
    }

    #[test]
    fn cut_and_foreign_escapes_are_refused() {
        for bad in ["%", "a%4", "%zz", "%%20", "%ff", "%c3%28", "ok%2"] {
            assert!(matches!(decoded(bad), Err(Error::Request { .. })), "{bad}");
        }
        assert_eq!(decoded("%E2%82%AC%00").unwrap(), "€\0");
    }
}
