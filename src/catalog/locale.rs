//! Locales: which records stand for an asset in which language (protocol.md 1.3).

/// `LocaleMap`: for each locale the suffixes that are tried behind a record's id, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocaleMap {
    /// Locale in lower case, and its suffixes; an empty locale stands for those that are not in the map.
    pub rows: Vec<(String, Vec<String>)>,
}

impl LocaleMap {
    /// As written: `locale,suffix[,suffix]*` rows separated by `|`. `None` if a row has no suffix, or a locale two rows.
    pub fn read(text: &str) -> Option<Self> {
        let mut rows: Vec<(String, Vec<String>)> = Vec::new();
        for row in text.split('|').filter(|_| !text.is_empty()) {
            let (locale, suffixes) = row.split_once(',')?;
            let locale = locale.trim().to_ascii_lowercase();
            if rows.iter().any(|(known, _)| *known == locale) {
                return None;
            }
            rows.push((locale, suffixes.split(',').map(|suffix| suffix.trim().to_owned()).collect()));
        }
        Some(Self { rows })
    }

    /// Whether nothing is translated.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The suffixes of a locale; `None`: it is unknown, and there is no row for unknown ones.
    pub fn suffixes(&self, locale: &str) -> Option<&[String]> {
        let row = |wanted: &str| self.rows.iter().find(|(known, _)| known.eq_ignore_ascii_case(wanted));
        row(locale).or_else(|| row("")).map(|(_, suffixes)| suffixes.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_s_own_example_is_read() {
        let map = LocaleMap::read("en,_E,|en_us,_E,|fr,_F,|de,_D,|de_de,_D,|,_E,").unwrap();
        assert_eq!(map.suffixes("DE_de").unwrap(), ["_D", ""]);
        assert_eq!(map.suffixes("it").unwrap(), ["_E", ""]);
        assert_eq!(LocaleMap::read("de,_D").unwrap().suffixes("it"), None);
        assert!(LocaleMap::read("").unwrap().is_empty());
        assert_eq!(LocaleMap::read("de"), None);
        assert_eq!(LocaleMap::read("de,_D|DE,_E"), None);
    }
}
