//! Rule sets: what is done to a request before it is read (protocol.md 1.9).
//!
//! Expressions are those of `java.util.regex` as far as they can be matched in linear time; the rest is refused when the
//! configuration is read. Invariant: a request that a rule rewrites is bounded, and so is the time it takes.

use std::borrow::Cow;

use regex::{Captures, Regex, RegexBuilder};

use super::{Company, DefaultImageMode, Network};
use crate::error::{Error, Result, shortened};
use crate::limits;
use crate::pixel::Size;

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What of `Company/Asset?query`, as it was sent, it is about; `None`: all of it.
    pub expression: Option<Expression>,
    /// What is put there; `None`: the request stays as it is. Without an expression it is put behind the request.
    pub substitution: Option<Substitution>,
    /// Which matches are replaced.
    pub replace: Replace,
    /// What comes after a match.
    pub on_match: OnMatch,
    /// Whether it is about `/is/image` …
    pub of_images: bool,
    /// … and whether about `/is/content`.
    pub of_content: bool,
    /// Who may send such a request, in the place of what the company says.
    pub address_filter: Option<Vec<Network>>,
    /// Headers of the reply.
    pub headers: Vec<RuleHeader>,
    /// Attributes of the company that are otherwise for such a request.
    pub overrides: Overrides,
}

/// Which matches of a rule are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// The first.
    First,
    /// All of them.
    All,
}

/// What comes after a rule that matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMatch {
    /// No more rules.
    Break,
    /// The next rule.
    Continue,
    /// The request is refused.
    Error,
}

/// A header of the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleHeader {
    /// Its name.
    pub name: String,
    /// Its value, in which variables of the request are put in.
    pub value: String,
    /// It stands beside others of its name, not in their place.
    pub is_added: bool,
}

/// Attributes of a company, where a rule names them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// `default_image_mode`.
    pub default_image_mode: Option<DefaultImageMode>,
    /// `error_image`; empty: none.
    pub error_image: Option<String>,
    /// `expiration_hours`; a record's own stays.
    pub expiration_hours: Option<f64>,
    /// `max_pix`.
    pub max_pix: Option<Size>,
    /// `request_lock`.
    pub request_lock: Option<bool>,
    /// `request_obfuscation`.
    pub request_obfuscation: Option<bool>,
}

impl Overrides {
    /// These, and `later` ones where they say anything.
    #[must_use]
    pub fn then(self, later: &Self) -> Self {
        Self {
            default_image_mode: later.default_image_mode.or(self.default_image_mode),
            error_image: later.error_image.clone().or(self.error_image),
            expiration_hours: later.expiration_hours.or(self.expiration_hours),
            max_pix: later.max_pix.or(self.max_pix),
            request_lock: later.request_lock.or(self.request_lock),
            request_obfuscation: later.request_obfuscation.or(self.request_obfuscation),
        }
    }

    /// These in the place of the company's own.
    pub fn put_into(self, company: &mut Cow<'_, Company>) {
        // Wrappers are off by the time anybody looks at the rest.
        let Self {
            default_image_mode,
            error_image,
            expiration_hours,
            max_pix,
            request_lock: _,
            request_obfuscation: _,
        } = self;
        if let Some(mode) = default_image_mode {
            company.to_mut().default_image_mode = mode;
        }
        if let Some(image) = error_image {
            company.to_mut().error_image = image;
        }
        if let Some(hours) = expiration_hours {
            company.to_mut().expiration_hours = hours;
        }
        if let Some(size) = max_pix {
            company.to_mut().max_pix = size;
        }
    }
}

impl Rule {
    /// The request after this rule; `None`: it does not match.
    ///
    /// # Errors
    /// `Request`: it would be longer than any request, or there are too many matches.
    pub fn applied<'t>(&self, request: &'t str) -> Result<Option<Cow<'t, str>>> {
        let Some(Expression(expression)) = &self.expression else {
            return match &self.substitution {
                None => Ok(Some(Cow::Borrowed(request))),
                Some(substitution) => {
                    let mut out = request.to_owned();
                    substitution.plain(&mut out);
                    fitting(out).map(Some)
                }
            };
        };
        let Some(substitution) = &self.substitution else {
            return Ok(expression.is_match(request).then_some(Cow::Borrowed(request)));
        };
        let (mut out, mut end, mut matches) = (String::new(), 0, 0);
        for captures in expression.captures_iter(request) {
            // Each search is linear, all of them together are not; requests that are meant have a few matches.
            if matches == limits::RULE_MATCHES_MAX {
                let want = format!("at most {} matches of a rule", limits::RULE_MATCHES_MAX);
                return Err(Error::Request { got: shortened(request), want: want.into() });
            }
            matches += 1;
            let whole = captures.get_match();
            out.push_str(&request[end..whole.start()]);
            substitution.expanded(&captures, &mut out);
            end = whole.end();
            if self.replace == Replace::First || out.len() > limits::URL_BYTES_MAX {
                break;
            }
        }
        if matches == 0 {
            return Ok(None);
        }
        out.push_str(&request[end..]);
        fitting(out).map(Some)
    }
}

fn fitting<'t>(request: String) -> Result<Cow<'t, str>> {
    if request.len() <= limits::URL_BYTES_MAX {
        return Ok(Cow::Owned(request));
    }
    let want = format!("at most {} bytes after the rules", limits::URL_BYTES_MAX);
    Err(Error::Request { got: shortened(&request), want: want.into() })
}

/// A regular expression.
#[derive(Clone, Debug)]
pub struct Expression(Regex);

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Expression {
    /// Reads a pattern of `java.util.regex`.
    ///
    /// # Errors
    /// What is wrong with it, or what of it cannot be done, for a person.
    pub fn read(pattern: &str) -> Result<Self, String> {
        if pattern.len() > limits::RULE_BYTES_MAX {
            return Err(format!("expected at most {} bytes", limits::RULE_BYTES_MAX));
        }
        if let Some(what) = meant_otherwise(pattern) {
            return Err(format!("{what}: not supported, as it means something else where time is linear"));
        }
        let compiled = RegexBuilder::new(pattern)
            .size_limit(limits::RULE_PROGRAM_BYTES_MAX)
            .dfa_size_limit(limits::RULE_PROGRAM_BYTES_MAX)
            .nest_limit(limits::RULE_NESTING_MAX)
            .build();
        compiled.map(Self).map_err(|cause| {
            // The last line says what is wrong; those before it draw where.
            let words = cause.to_string();
            let last = words.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        })
    }

    /// How many groups it captures.
    fn groups(&self) -> usize {
        self.0.captures_len() - 1
    }
}

/// What both dialects accept, but do not mean alike.
fn meant_otherwise(pattern: &str) -> Option<&'static str> {
    let bytes = pattern.as_bytes();
    let (mut i, mut classes, mut after_quantifier) = (0, 0_usize, false);
    while let Some(&b) = bytes.get(i) {
        let next = bytes.get(i + 1).copied();
        let was_quantifier = std::mem::take(&mut after_quantifier);
        match b {
            b'\\' => i += 1,
            b'[' => classes += 1,
            b']' => classes = classes.saturating_sub(1),
            b'-' | b'~' if classes > 0 && next == Some(b) => return Some("-- or ~~ in a class"),
            b'+' if classes == 0 && was_quantifier => return Some("possessive quantifier"),
            b'*' | b'+' | b'?' | b'}' if classes == 0 && !was_quantifier => after_quantifier = true,
            _ => {}
        }
        i += 1;
    }
    None
}

/// What is put in the place of a match: `$1` is the match's first group, `\` takes the next character as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substitution(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
}

impl Substitution {
    /// Reads it for the expression whose groups it refers to. A `$` before anything but a digit is a `$`, so that presets
    /// and variables can be put in.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn read(text: &str, expression: Option<&Expression>) -> Result<Self, String> {
        if text.len() > limits::RULE_BYTES_MAX {
            return Err(format!("expected at most {} bytes", limits::RULE_BYTES_MAX));
        }
        let groups = expression.map_or(0, Expression::groups);
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let digit = |c: Option<&char>| c.and_then(|c| c.to_digit(10)).map(|d| d as usize);
            match c {
                '\\' => plain.extend(rest.next()),
                '$' => match digit(rest.peek()) {
                    None => plain.push('$'),
                    Some(mut group) => {
                        rest.next();
                        if group > groups {
                            return Err(format!("${group}: the expression has {groups} groups"));
                        }
                        // As many digits as still name a group.
                        while let Some(longer) = digit(rest.peek()).map(|d| group * 10 + d).filter(|&g| g <= groups) {
                            group = longer;
                            rest.next();
                        }
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                        parts.push(Part::Group(group));
                    }
                },
                c => plain.push(c),
            }
        }
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    fn plain(&self, out: &mut String) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(_) => {}
            }
        }
    }

    fn expanded(&self, captures: &Captures<'_>, out: &mut String) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(group) => out.push_str(captures.get(*group).map_or("", |found| found.as_str())),
            }
            if out.len() > limits::URL_BYTES_MAX {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(expression: &str, substitution: Option<&str>, replace: Replace) -> Rule {
        let expression = (!expression.is_empty()).then(|| Expression::read(expression).unwrap());
        let substitution = substitution.map(|text| Substitution::read(text, expression.as_ref()).unwrap());
        Rule {
            expression,
            substitution,
            replace,
            on_match: OnMatch::Break,
            of_images: true,
            of_content: false,
            address_filter: None,
            headers: Vec::new(),
            overrides: Overrides::default(),
        }
    }

    #[test]
    fn matches_are_replaced_as_the_reference_says() {
        use Replace::{All, First};
        for (expression, substitution, replace, request, want) in [
            ("^Co/old/(.*)$", Some("Co/new/$1"), First, "Co/old/x?wid=1", Some("Co/new/x?wid=1")),
            ("a", Some("bb"), First, "aXa", Some("bbXa")),
            ("a", Some("bb"), All, "aXa", Some("bbXbb")),
            ("a", Some(""), All, "aXa", Some("X")),
            ("a", Some(""), First, "a", Some("")),
            ("a", None, All, "aXa", Some("aXa")),
            ("b", Some("x"), All, "aXa", None),
            ("b", None, First, "aXa", None),
            ("", Some("&wid=3"), First, "Co/A?hei=1", Some("Co/A?hei=1&wid=3")),
            ("", None, First, "Co/A", Some("Co/A")),
            ("(a)(b)?", Some("$2$1\\$1$p$0"), First, "xa", Some("xa$1$pa")),
            ("(.)", Some("$11"), First, "q", Some("q1")),
            ("x*", Some("-"), All, "ab", Some("-a-b-")),
            ("x*", Some("-"), First, "ab", Some("-ab")),
        ] {
            let rule = rule(expression, substitution, replace);
            assert_eq!(rule.applied(request).unwrap().as_deref(), want, "{expression} {substitution:?} {request}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for (pattern, word) in [
            ("(?=a)", "look-around"),
            ("(?<!a)b", "look-around"),
            (r"(a)\1", "backreferences"),
            ("a++", "possessive"),
            ("a*+b", "possessive"),
            ("a{2}+", "possessive"),
            ("[a--b]", "--"),
            ("(?>a)", "unrecognized"),
            ("(", "unclosed"),
            (r"\Qx\E", "escape"),
            ("((a{100}){100}){100}", "size"),
        ] {
            let words = Expression::read(pattern).expect_err(pattern);
            assert!(words.contains(word), "{pattern}: {words}");
        }
        for fine in ["a+", "a+?", r"a\++", "[+*]+", r"^/?Co/(\d+)\.jpg$", "(?i)x", "[a-z&&[^b]]", r"\p{Alpha}"] {
            Expression::read(fine).unwrap_or_else(|words| panic!("{fine}: {words}"));
        }
        assert!(Substitution::read("$1", None).is_err());
        assert!(Substitution::read("$2", Some(&Expression::read("(a)").unwrap())).is_err());
    }

    #[test]
    fn a_hostile_request_costs_linear_time_and_bounded_bytes() {
        // Patterns that take a backtracking matcher for ever.
        let request = "a".repeat(limits::URL_BYTES_MAX);
        for pattern in ["(a+)+$b", "(a|aa)*c", "(.*)*(.*)*x"] {
            assert!(rule(pattern, Some(""), Replace::First).applied(&request).unwrap().is_none(), "{pattern}");
        }
        // Every search of this one looks to the end of the text.
        let quadratic = rule(".*[^a-z]|[a-z]", Some("b"), Replace::All);
        assert!(matches!(quadratic.applied(&request), Err(Error::Request { .. })));
        let swelling = rule("^(.*)$", Some("$1$1$1$1"), Replace::First);
        assert!(matches!(swelling.applied(&request), Err(Error::Request { .. })));
    }
}
