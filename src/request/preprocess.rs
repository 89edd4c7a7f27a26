//! What is done to a URL before it is read: wrappers off, rules applied, the client's address looked at (protocol.md 1.7,
//! 1.9).
//!
//! The order is the reverse of how a URL is made (encode, lock, obfuscate), and rules see what was inside. A rule may
//! switch a wrapper on or off for the requests it matches, so nothing is refused for its wrapper before the rules have
//! spoken.

use std::borrow::Cow;
use std::net::IpAddr;

use super::lock;
use crate::catalog::{Company, Network, OnMatch, Overrides, Rule, RuleHeader};
use crate::error::{Error, Refusal, Result};

/// Which root context a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// `/is/image`.
    Image,
    /// `/is/content`.
    Content,
}

/// A URL that may be read, and what the rules said of it.
pub(super) struct Preprocessed<'a> {
    /// What follows the root context, still percent-encoded.
    pub(super) path: Cow<'a, str>,
    /// The query, still percent-encoded.
    pub(super) query: Cow<'a, str>,
    pub(super) overrides: Overrides,
    pub(super) headers: Vec<&'a RuleHeader>,
    /// The address filter of the last rule that has one.
    pub(super) address_filter: Option<&'a [Network]>,
}

/// Takes a request through the wrappers and rules of `company`.
///
/// # Errors
/// `Refused`: a wrapper that is missing or wrong, a rule that says so. `Request`: as [`Rule::applied`].
pub(super) fn preprocess<'a>(
    company: &'a Company,
    context: Context,
    path: &'a str,
    query: &'a str,
) -> Result<Preprocessed<'a>> {
    let mut wrapped = Wrapped { query: Cow::Borrowed(query), is_revealed: false, is_unlocked: false };
    if company.request_obfuscation {
        wrapped.reveal();
    }
    if company.request_lock {
        wrapped.unlock();
    }
    let mut done = Preprocessed {
        path: Cow::Borrowed(path.trim_start_matches('/')),
        query: Cow::Borrowed(""),
        overrides: Overrides::default(),
        headers: Vec::new(),
        address_filter: None,
    };
    if !company.rules.is_empty() {
        let request = match &*wrapped.query {
            "" => done.path.clone().into_owned(),
            query => format!("{}?{query}", done.path),
        };
        let request = done.by_rules(&company.rules, context, request)?;
        let (path, query) = request.split_once('?').unwrap_or((&request, ""));
        (done.path, wrapped.query) =
            (Cow::Owned(path.trim_start_matches('/').to_owned()), Cow::Owned(query.to_owned()));
    }
    if done.overrides.request_obfuscation.unwrap_or(company.request_obfuscation) && !wrapped.is_revealed {
        wrapped.reveal();
        if !wrapped.is_revealed {
            return Err(Error::Refused { because: Refusal::Obfuscation });
        }
    }
    if done.overrides.request_lock.unwrap_or(company.request_lock) && !wrapped.is_unlocked {
        wrapped.unlock();
        if !wrapped.is_unlocked {
            return Err(Error::Refused { because: Refusal::Lock });
        }
    }
    Ok(Preprocessed { query: wrapped.query, ..done })
}

impl<'a> Preprocessed<'a> {
    /// The request after the rules.
    fn by_rules(&mut self, rules: &'a [Rule], context: Context, request: String) -> Result<String> {
        let mut request = request;
        for (i, rule) in rules.iter().enumerate() {
            let applies = match context {
                Context::Image => rule.of_images,
                Context::Content => rule.of_content,
            };
            if !applies {
                continue;
            }
            let rewritten = match rule.applied(&request)? {
                None => continue,
                Some(Cow::Borrowed(_)) => None,
                Some(Cow::Owned(rewritten)) => Some(rewritten),
            };
            if rule.on_match == OnMatch::Error {
                return Err(Error::Refused { because: Refusal::Rule { number: i + 1 } });
            }
            request = rewritten.unwrap_or(request);
            self.overrides = std::mem::take(&mut self.overrides).then(&rule.overrides);
            self.headers.extend(&rule.headers);
            self.address_filter = rule.address_filter.as_deref().or(self.address_filter);
            if rule.on_match == OnMatch::Break {
                break;
            }
        }
        Ok(request)
    }
}

/// A query, and which of its wrappers are off.
struct Wrapped<'a> {
    query: Cow<'a, str>,
    is_revealed: bool,
    is_unlocked: bool,
}

impl Wrapped<'_> {
    fn reveal(&mut self) {
        if let Some(inner) = lock::revealed(&self.query) {
            (self.query, self.is_revealed) = (Cow::Owned(inner), true);
        }
    }

    fn unlock(&mut self) {
        if let Some(inner) = lock::unlocked(&self.query) {
            (self.query, self.is_unlocked) = (Cow::Owned(inner.to_owned()), true);
        }
    }
}

/// Whether a client may ask, by the networks that may; empty: all may. Whose address is not known may not.
pub(super) fn check_address(networks: &[Network], client: Option<IpAddr>) -> Result<()> {
    let may = networks.is_empty() || client.is_some_and(|client| networks.iter().any(|network| network.holds(client)));
    if may { Ok(()) } else { Err(Error::Refused { because: Refusal::Address }) }
}
