//! Attribute files: `name = value` a line.

use std::collections::BTreeMap;
use std::path::Path;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use toml::{Table, Value};

use super::{Import, check, text};

/// The attributes of one file: by name in lower case, their place, name and value. The last of a name counts.
pub(super) struct Attributes(BTreeMap<String, (String, String, String)>);

/// Read by `super::catalog`.
const FILES: [&str; 4] = ["rootid", "catalogfile", "macrofile", "rulesetfile"];

/// Attributes that calotype has nothing for; the rest of the world is unknown to the original too.
const NOT_HERE: [&str; 30] = [
    "allowdirectaccess",
    "allowdirecturls",
    "applyeffectmask",
    "cachevalidationpolicy",
    "defaultfont",
    "defaultlocalestr",
    "digimarc",
    "fontfile",
    "iccblackpointcompensation",
    "iccdither",
    "iccprofilecmyk",
    "iccprofilegray",
    "iccprofilergb",
    "iccprofilesrccmyk",
    "iccprofilesrcgray",
    "iccprofilesrcrgb",
    "iccrenderintent",
    "localestrmap",
    "maxbytes",
    "network",
    "profilefile",
    "publishinfo",
    "rooturl",
    "savepath",
    "securityuserkey",
    "staticcatalogfile",
    "synthesizefontstyles",
    "trustedclients",
    "usefontfile",
    "watermark",
];

impl Attributes {
    pub(super) fn read(import: &mut Import<'_>, name: &str, text: &str) -> Self {
        let mut attributes = BTreeMap::new();
        for (number, line) in text::lines(text) {
            let place = format!("{name}:{number}");
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    let key = key.trim();
                    // Some write the prefix that the reference uses in its text.
                    let key = key.strip_prefix("attribute::").unwrap_or(key);
                    let given = (place, key.to_owned(), value.trim().to_owned());
                    if let Some((place, key, _)) = attributes.insert(key.to_ascii_lowercase(), given) {
                        import.left_out(&place, &key, "it stands again below, which counts");
                    }
                }
                _ => import.left_out(&place, &line, "expected name=value"),
            }
        }
        Self(attributes)
    }

    /// Place and value of an attribute.
    pub(super) fn value(&self, name: &str) -> Option<(String, String)> {
        self.0.get(&name.to_ascii_lowercase()).map(|(place, _, value)| (place.clone(), value.clone()))
    }

    /// All that has a key of ours, into the company's section.
    pub(super) fn write(
        &self,
        import: &mut Import<'_>,
        root_id: &str,
        is_default: bool,
        images: Option<&Path>,
        table: &mut Table,
    ) {
        let folder = std::path::absolute(import.folder).unwrap_or_else(|_| import.folder.to_owned());
        if let Some((place, root)) = self.value("RootPath") {
            let path = match images {
                Some(images) => images.join(root.trim_start_matches('/')),
                None => folder.join(&root),
            };
            let path = std::path::absolute(&path).unwrap_or(path);
            let source = format!("file://{}", utf8_percent_encode(&path.to_string_lossy(), IN_PATHS));
            import.taken(&place, "RootPath", format!("company.{root_id}.source = \"{source}\""));
            table.insert(String::from("source"), Value::from(source));
        } else if let Some(images) = images.filter(|_| !is_default) {
            let path = std::path::absolute(images).unwrap_or_else(|_| images.to_owned());
            let source = format!("file://{}", utf8_percent_encode(&path.to_string_lossy(), IN_PATHS));
            table.insert(String::from("source"), Value::from(source));
        } else if !is_default {
            let source = format!("file://{}", utf8_percent_encode(&folder.to_string_lossy(), IN_PATHS));
            table.insert(String::from("source"), Value::from(source));
        }
        for (lower, (place, name, value)) in &self.0 {
            if FILES.contains(&lower.as_str()) || lower == "rootpath" {
                continue;
            }
            let Some((key, converted)) = converted(lower, value) else {
                let reason = if NOT_HERE.contains(&lower.as_str()) {
                    "calotype has no such attribute"
                } else {
                    "no attribute that is known"
                };
                import.left_out(place, name, reason);
                continue;
            };
            let inherits = value.is_empty() && !MAY_BE_EMPTY.contains(&key);
            if inherits {
                import.taken(place, name, "what is inherited: it is empty");
                continue;
            }
            let alone =
                converted.map(|value| (check(root_id, Table::from_iter([(key.to_owned(), value.clone())])), value));
            match alone {
                Some((Ok(()), value)) => {
                    import.taken(place, name, format!("company.{root_id}.{key}"));
                    table.insert(key.to_owned(), value);
                }
                Some((Err(error), _)) => import.left_out(place, name, error),
                None => import.left_out(place, name, format!("\"{value}\" is none of its values")),
            }
        }
    }
}

/// Keys that say something by being empty: nothing, whatever is inherited.
const MAY_BE_EMPTY: [&str; 5] = ["default_image", "error_image", "default_ext", "address_filter", "locale_map"];

/// What would end a path in a URL, or mean something else in one.
const IN_PATHS: &AsciiSet = &CONTROLS.add(b' ').add(b'#').add(b'%').add(b'?').add(b'"');

/// Our key and value of an attribute; the value is `None` if it cannot be read.
fn converted(name: &str, value: &str) -> Option<(&'static str, Option<Value>)> {
    Some(match name {
        "fullmatch" => ("full_match", switch(value)),
        "defaultext" => ("default_ext", Some(Value::from(value.trim_start_matches('.')))),
        "maxpix" => ("max_pix", integers(value)),
        "defaultpix" => ("default_pix", integers(value)),
        "defaultthumbpix" => ("default_thumb_pix", integers(value)),
        "bkgcolor" => ("bkg_color", colour(value)),
        "jpegquality" => ("jpeg_quality", integers(value)),
        "resmode" => ("res_mode", word(value, &[("1", "sharp2"), ("2", "bilin"), ("3", "bicub"), ("4", "sharp2")])),
        "bfc" => ("bfc", switch(value)),
        "dpr" => ("dpr", switch(value)),
        "expiration" => ("expiration_hours", number(value)),
        "defaultexpiration" => ("default_expiration_hours", number(value)),
        "nonimgexpiration" => ("non_img_expiration_hours", number(value)),
        "defaultimage" => ("default_image", Some(Value::from(value))),
        "defaultimagemode" => ("default_image_mode", image_mode(value)),
        "errorimage" => ("error_image", Some(Value::from(value))),
        "errordetail" => ("error_detail", integers(value)),
        "resolution" => ("resolution", number(value)),
        "printresolution" => ("print_resolution", number(value)),
        "requestobfuscation" => ("request_obfuscation", switch(value)),
        "requestlock" => ("request_lock", switch(value)),
        "clientaddressfilter" => ("address_filter", Some(list(value))),
        "localemap" => ("locale_map", Some(Value::from(value))),
        "defaultlocale" => ("default_locale", Some(Value::from(value))),
        "uselastmodified" => ("use_last_modified", switch(value)),
        "thumbtype" => ("thumb_type", thumb_type(value)),
        "thumbres" => ("thumb_res", number(value)),
        "thumbhorizalign" => ("thumb_horiz_align", word(value, &[("1", "left"), ("2", "centre"), ("3", "right")])),
        "thumbvertalign" => ("thumb_vert_align", word(value, &[("1", "top"), ("2", "centre"), ("3", "bottom")])),
        "thumbbkgcolor" => ("thumb_bkg_color", colour(value)),
        _ => return None,
    })
}

pub(super) fn switch(value: &str) -> Option<Value> {
    match value.to_ascii_lowercase().as_str() {
        "0" | "false" | "off" => Some(Value::from(false)),
        "1" | "true" | "on" => Some(Value::from(true)),
        _ => None,
    }
}

/// One integer, or several as a list.
pub(super) fn integers(value: &str) -> Option<Value> {
    let items: Option<Vec<i64>> = value.split(',').map(|item| item.trim().parse().ok()).collect();
    items.map(|items| if items.len() == 1 { Value::from(items[0]) } else { Value::from(items) })
}

pub(super) fn number(value: &str) -> Option<Value> {
    value.trim().parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from)
}

pub(super) fn image_mode(value: &str) -> Option<Value> {
    word(value, &[("0", "replace"), ("1", "swap")])
}

pub(super) fn thumb_type(value: &str) -> Option<Value> {
    let words =
        [("1", "crop"), ("2", "fit"), ("3", "texture"), ("crop", "crop"), ("fit", "fit"), ("texture", "texture")];
    word(&value.to_ascii_lowercase(), &words)
}

/// The networks of an address filter.
pub(super) fn list(value: &str) -> Value {
    let items = value.split([',', ' ', '\n', '\t', ';']).map(str::trim).filter(|item| !item.is_empty());
    Value::Array(items.map(Value::from).collect())
}

fn word(value: &str, words: &[(&str, &str)]) -> Option<Value> {
    words.iter().find(|(theirs, _)| *theirs == value.trim()).map(|&(_, ours)| Value::from(ours))
}

fn colour(value: &str) -> Option<Value> {
    let digits = value.trim().trim_start_matches("0x").trim_start_matches('#');
    (!digits.is_empty()).then(|| Value::from(digits))
}
