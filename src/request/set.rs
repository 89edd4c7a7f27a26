//! Media sets (protocol.md 6): what `ImageSet` of a record and `imageSet` of a URL say, taken apart.
//!
//! Commas separate items, semicolons and colons their parts; a part is an object, a text or, in braces, a set of its own.

use crate::error::{Error, Result};
use crate::limits;

/// A set, or one inside another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSet {
    /// What kind it is, by its separators.
    pub kind: SetKind,
    /// Its items, in order.
    pub items: Vec<Vec<SetPart>>,
}

/// A part of an item: what is shown, then a swatch, then a label, as far as there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetPart {
    /// An object or a text.
    Text(String),
    /// A set in braces.
    Set(MediaSet),
}

/// Kinds of sets, as far as their separators tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetKind {
    /// Pages: a colon somewhere.
    Catalog,
    /// Items of three parts.
    Media,
    /// Items of two parts: a picture and its swatch.
    Images,
    /// Sets alone: rows of a spin.
    Spin,
    /// A list.
    Plain,
}

impl SetKind {
    /// As in a document.
    pub fn word(self) -> &'static str {
        match self {
            Self::Catalog => "ecatalog",
            Self::Media => "media_set",
            Self::Images => "img_set",
            Self::Spin => "spin",
            Self::Plain => "unknown",
        }
    }
}

impl MediaSet {
    /// Whether a text is one set in braces.
    pub(super) fn is_braced(text: &str) -> bool {
        text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).is_some_and(is_balanced)
    }

    /// Takes a set apart, in its outer braces or without.
    ///
    /// # Errors
    /// `Command`, under the name `imageSet`: braces that do not match, an empty part, sets nested deeper than
    /// [`limits::SET_DEPTH_MAX`], more than [`limits::SET_ITEMS_MAX`] items in all, a media set in a media set.
    pub fn read(text: &str) -> Result<Self> {
        let refused = |want: &str| Error::command("imageSet", text, want.to_owned());
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).filter(|text| is_balanced(text));
        let mut left = limits::SET_ITEMS_MAX;
        let set = read(inner.unwrap_or(text), limits::SET_DEPTH_MAX, &mut left).map_err(refused)?;
        set.check().map_err(refused)?;
        Ok(set)
    }

    fn check(&self) -> Result<(), &'static str> {
        for part in self.items.iter().flatten() {
            if let SetPart::Set(set) = part {
                if self.kind == SetKind::Media && set.kind == SetKind::Media {
                    return Err("no media set in a media set");
                }
                set.check()?;
            }
        }
        Ok(())
    }
}

/// Whether every brace closes one that was opened before.
fn is_balanced(text: &str) -> bool {
    let depths = text.bytes().try_fold(0_u32, |depth, b| match b {
        b'{' => Some(depth + 1),
        b'}' => depth.checked_sub(1),
        _ => Some(depth),
    });
    depths == Some(0)
}

fn read(text: &str, depth: usize, left: &mut usize) -> Result<MediaSet, &'static str> {
    if depth == 0 {
        return Err("sets in sets at most 10 deep");
    }
    let mut items = Vec::new();
    let mut has_colon = false;
    for item in split(text, b",")? {
        *left = left.checked_sub(1).ok_or("a set of at most 1000 items")?;
        has_colon |= split(item, b":")?.len() > 1;
        let parts = split(item, b";:")?.into_iter().map(|part| {
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(inner) => read(inner, depth - 1, left).map(SetPart::Set),
                None if part.is_empty() || part.contains(['{', '}']) => {
                    Err("objects, or sets in braces, between , ; and :")
                }
                None => Ok(SetPart::Text(part.to_owned())),
            }
        });
        items.push(parts.collect::<Result<Vec<_>, _>>()?);
    }
    let most = items.iter().map(Vec::len).max().unwrap_or(0);
    let kind = match most {
        _ if has_colon => SetKind::Catalog,
        3.. => SetKind::Media,
        2 => SetKind::Images,
        _ if items.iter().flatten().all(|part| matches!(part, SetPart::Set(_))) => SetKind::Spin,
        _ => SetKind::Plain,
    };
    Ok(MediaSet { kind, items })
}

/// The parts between separators that stand in no braces.
fn split<'t>(text: &'t str, separators: &[u8]) -> Result<Vec<&'t str>, &'static str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, b) in text.bytes().enumerate() {
        match b {
            b'{' => depth += 1,
            b'}' => depth = depth.checked_sub(1).ok_or("a } for each {")?,
            b if depth == 0 && separators.contains(&b) => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err("a } for each {");
    }
    parts.push(&text[from..]);
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> &'static str {
        MediaSet::read(text).unwrap_or_else(|e| panic!("{text}: {e}")).kind.word()
    }

    #[test]
    fn separators_tell_the_kind() {
        for (text, want) in [
            ("Co/A,Co/B", "unknown"),
            ("{Co/A,Co/B}", "unknown"),
            ("Co/A;Co/S,Co/B", "img_set"),
            ("Co/A;Co/S;2", "media_set"),
            ("Co/A:Co/B,Co/C;page", "ecatalog"),
            ("{Co/A,Co/B},{Co/C,Co/D}", "spin"),
            ("{{Co/A,Co/B},{Co/C}}", "spin"),
            ("{Co/A;Co/S},Co/B", "unknown"),
        ] {
            assert_eq!(kind(text), want, "{text}");
        }
        let set = MediaSet::read("a;{b,c;d},e").unwrap();
        let SetPart::Set(nested) = &set.items[0][1] else { panic!("{set:?}") };
        assert_eq!(
            nested.items,
            [vec![SetPart::Text("b".into())], vec![SetPart::Text("c".into()), SetPart::Text("d".into())]]
        );
    }

    #[test]
    fn what_is_no_set_is_refused() {
        let deep = format!("{}a{}", "{".repeat(12), "}".repeat(12));
        let long = vec!["a"; limits::SET_ITEMS_MAX + 1].join(",");
        for text in ["", ",", "a,", "a;;b", "{", "}", "{a", "a}", "{}", "a{b}", "}{", "{a;b;{c;d;e}}", &deep, &long] {
            let error = MediaSet::read(text).expect_err(text).to_string();
            assert!(error.contains("imageSet"), "{text}: {error}");
        }
        assert!(MediaSet::read(&vec!["a"; limits::SET_ITEMS_MAX].join(",")).is_ok());
        assert!(MediaSet::read("a;{b;c};d").is_ok());
    }
}
