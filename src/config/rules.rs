//! `[[company.*.rule]]` to checked rules, and the filters of addresses.

use super::company::{HEADERS_OF_OURS, is_token, sides};
use super::read::{Section, fault};
use super::record::{HOURS, is_hours};
use crate::catalog::{
    DefaultImageMode, Expression, Network, OnMatch, Overrides, Replace, Rule, RuleHeader, Substitution,
};
use crate::error::Result;
use crate::limits;

/// The rules of a company; `None`: it says nothing of rules.
pub(super) fn read_all(section: &mut Section) -> Result<Option<Vec<Rule>>> {
    let Some(sections) = section.array("rule", limits::RULES_MAX)? else { return Ok(None) };
    sections.into_iter().map(read).collect::<Result<_>>().map(Some)
}

fn read(mut section: Section) -> Result<Rule> {
    let name = section.name().to_owned();
    let refused = |key: &str, problem: String| fault(format!("{name}.{key}"), problem);
    let text = |text: &str| Some(text.to_owned());
    // For people: it names the rule in the configuration.
    section.text("name", text, "a text")?;
    let expression = match section.text("expression", text, "a regular expression")? {
        Some(pattern) if !pattern.is_empty() => {
            Some(Expression::read(&pattern).map_err(|problem| refused("expression", problem))?)
        }
        Some(_) | None => None,
    };
    let substitution = section.text("substitution", text, "a text")?;
    let substitution = substitution
        .map(|text| Substitution::read(&text, expression.as_ref()))
        .transpose()
        .map_err(|problem| refused("substitution", problem))?;
    let replace = section.choice("replace", &[("first", Replace::First), ("all", Replace::All)])?;
    let on_match = [("break", OnMatch::Break), ("continue", OnMatch::Continue), ("error", OnMatch::Error)];
    let on_match = section.choice("on_match", &on_match)?;
    let contexts = [("is", Of::Images), ("ir", Of::Renderings), ("static", Of::Content)];
    let contexts = section.choices("request_type", &contexts)?.unwrap_or(vec![Of::Images]);
    let address_filter = networks(&mut section, "address_filter")?;
    let overrides = Overrides {
        default_image_mode: section.choice("default_image_mode", &DEFAULT_IMAGE_MODES)?,
        error_image: section.text("error_image", text, "an object, or nothing")?,
        expiration_hours: section.number("expiration_hours", is_hours, HOURS)?,
        max_pix: sides(&mut section, "max_pix")?,
        request_lock: section.boolean("request_lock")?,
        request_obfuscation: section.boolean("request_obfuscation")?,
    };
    let headers = section.array("header", limits::COMPANY_HEADERS_MAX)?.unwrap_or_default();
    let headers = headers.into_iter().map(header).collect::<Result<_>>()?;
    section.finish()?;
    Ok(Rule {
        expression,
        substitution,
        replace: replace.unwrap_or(Replace::First),
        on_match: on_match.unwrap_or(OnMatch::Break),
        of_images: contexts.contains(&Of::Images),
        of_content: contexts.contains(&Of::Content),
        address_filter,
        headers,
        overrides,
    })
}

/// A root context; renderings are another product's, and rules for them alone never apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Images,
    Renderings,
    Content,
}

pub(super) const DEFAULT_IMAGE_MODES: [(&str, DefaultImageMode); 2] =
    [("replace", DefaultImageMode::Replace), ("swap", DefaultImageMode::Swap)];

fn header(mut section: Section) -> Result<RuleHeader> {
    let place = section.name().to_owned();
    let want = "a header's name that calotype does not set itself";
    let fits = |name: &str| {
        let is_ours = HEADERS_OF_OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name));
        (!name.is_empty() && name.bytes().all(is_token) && !is_ours).then(|| name.to_owned())
    };
    let missing = |key: &str, want: &str| fault(format!("{place}.{key}"), format!("missing: expected {want}"));
    let name = section.text("name", fits, want)?.ok_or_else(|| missing("name", want))?;
    let want = "printable ASCII";
    let fits = |value: &str| value.bytes().all(|b| matches!(b, b' '..=b'~')).then(|| value.to_owned());
    let value = section.text("value", fits, want)?.ok_or_else(|| missing("value", want))?;
    let is_added = section.choice("action", &[("set", false), ("add", true)])?.unwrap_or(false);
    section.finish()?;
    Ok(RuleHeader { name, value, is_added })
}

/// A list of networks.
pub(super) fn networks(section: &mut Section, key: &'static str) -> Result<Option<Vec<Network>>> {
    let want = "a list of networks as in [\"10.0.0.0/8\", \"::1\"]";
    let networks = section.list(key, Network::read, want)?;
    match &networks {
        Some(networks) if networks.len() > limits::ADDRESS_FILTER_MAX => {
            let problem = format!("{} networks: expected at most {}", networks.len(), limits::ADDRESS_FILTER_MAX);
            Err(fault(format!("{}.{key}", section.name()), problem))
        }
        _ => Ok(networks),
    }
}
