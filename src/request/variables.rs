//! Substitution variables (protocol.md 1.6): `$name=value` defines, `$name$` in a later value refers.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// What is defined so far, names in lower case.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables {
    defined: BTreeMap<String, String>,
    /// Beats what is defined: what the URL defines holds in its record's commands, whatever those define.
    fixed: BTreeMap<String, String>,
}

impl Variables {
    /// With `$object$`, the object of the request's path.
    pub(super) fn of_object(object: &str) -> Self {
        let mut variables = Self::default();
        if !object.is_empty() {
            variables.define("object", object.to_owned());
        }
        variables
    }

    pub(super) fn define(&mut self, name: &str, value: String) {
        self.defined.insert(name.to_ascii_lowercase(), value);
    }

    /// Until [`Self::release`], these hold whatever is defined.
    pub(super) fn fix(&mut self, others: Self) {
        self.fixed = others.defined;
    }

    /// From now on what is defined holds.
    pub(super) fn release(&mut self) {
        self.fixed.clear();
    }

    fn value(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        self.fixed.get(&name).or_else(|| self.defined.get(&name)).map(String::as_str)
    }

    /// `text` with every `$name$` of a variable replaced, in one pass; unknown ones stay as they are. `None`: that would be
    /// more than `bytes_max`.
    pub(super) fn substituted<'t>(&self, text: Cow<'t, str>, bytes_max: usize) -> Option<Cow<'t, str>> {
        if (self.defined.is_empty() && self.fixed.is_empty()) || !text.contains('$') {
            return Some(text);
        }
        let mut out = String::new();
        let mut rest: &str = &text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            match after.split_once('$').and_then(|(name, tail)| Some((self.value(name)?, tail))) {
                Some((value, tail)) => {
                    out.push_str(value);
                    rest = tail;
                }
                None => {
                    out.push('$');
                    rest = after;
                }
            }
            if out.len() > bytes_max {
                return None;
            }
        }
        out.push_str(rest);
        (out.len() <= bytes_max).then_some(Cow::Owned(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_and_unknown_names_stay() {
        let mut variables = Variables::of_object("Co/A");
        variables.define("X", String::from("$y$"));
        variables.define("y", String::from("7"));
        let of = |text: &'static str| variables.substituted(Cow::Borrowed(text), 100).map(Cow::into_owned);
        assert_eq!(of("$x$,$Y$,$z$,$object$,$").unwrap(), "$y$,7,$z$,Co/A,$");
        assert_eq!(of("$z$y$").unwrap(), "$z7");
        assert_eq!(variables.substituted(Cow::Borrowed("$x$$x$$x$"), 8), None);
    }

    #[test]
    fn fixed_ones_win_until_they_are_released() {
        let mut url = Variables::default();
        url.define("w", String::from("300"));
        let mut variables = Variables::default();
        variables.fix(url);
        variables.define("w", String::from("100"));
        assert_eq!(variables.substituted(Cow::Borrowed("$w$"), 9).unwrap(), "300");
        variables.release();
        assert_eq!(variables.substituted(Cow::Borrowed("$w$"), 9).unwrap(), "100");
    }
}
