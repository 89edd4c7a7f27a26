//! Property replies: names and values in the forms of the protocol (protocol.md 2.9).
//!
//! What comes out goes into scripts and documents of other sites, so every value is escaped for where it stands.

use std::fmt::Write;

use crate::request::{Encoding, Form, Req};

/// Names with a dot, `group.name`, and their values, in order.
pub(super) type Properties = Vec<(String, String)>;

/// A text with its MIME type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) mime: &'static str,
    pub(super) body: Vec<u8>,
}

impl Text {
    /// Plain text in UTF-8.
    pub(super) fn plain(words: impl Into<String>) -> Self {
        Self { mime: PLAIN, body: words.into().into_bytes() }
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Properties in the form asked for.
pub(super) fn written(properties: &Properties, req: &Req, now_s: u64) -> Text {
    match req.form {
        Form::Text => {
            let mut out = format!("#S7Z OK\n#{}\n", utc(now_s));
            for (name, value) in properties {
                line(&mut out, name, value);
            }
            Text::plain(out)
        }
        Form::Javascript => Text { mime: SCRIPT, body: assignments(properties).into_bytes() },
        Form::Xml(encoding) => {
            Text { mime: xml_mime(encoding), body: encoded(&groups(properties, encoding), encoding) }
        }
        Form::Json => {
            let fields: Vec<String> =
                properties.iter().map(|(name, value)| format!("{}:{}", quoted(name), quoted(value))).collect();
            call(handler(req), &fields.join(","), &req.id)
        }
    }
}

/// A text as it is; as properties, each line `name=value`, in the forms that have names.
pub(super) fn lines(group: &str, text: &str, req: &Req, now_s: u64) -> Text {
    if req.form == Form::Text {
        return Text::plain(text);
    }
    let named = |line: &str| match line.split_once('=') {
        Some((name, value)) => (name.trim().to_owned(), value.trim().to_owned()),
        None => (line.to_owned(), String::new()),
    };
    let properties: Properties = text.lines().filter(|line| !line.is_empty()).map(named).collect();
    match req.form {
        Form::Xml(encoding) => {
            let mut out = declaration(encoding);
            out += &group_of(group, properties.iter().map(|(name, value)| (name.as_str(), value.as_str())), 0);
            Text { mime: xml_mime(encoding), body: encoded(&out, encoding) }
        }
        Form::Text | Form::Javascript | Form::Json => written(&properties, req, now_s),
    }
}

/// An error in the form that its request asked for; `None`: as an error of a picture.
pub fn error_in_form(title: &str, message: &str, req: &Req) -> Option<(&'static str, Vec<u8>)> {
    match req.form {
        Form::Text => None,
        Form::Javascript => {
            let properties =
                [("error.title", title), ("error.message", message)].map(|(n, v)| (n.to_owned(), v.to_owned()));
            Some((SCRIPT, assignments(&properties).into_bytes()))
        }
        Form::Xml(encoding) => {
            let (title, message) = (for_xml(title, encoding), for_xml(message, encoding));
            let text = format!("{}<error title=\"{title}\" message=\"{message}\"/>\n", declaration(encoding));
            Some((xml_mime(encoding), encoded(&text, encoding)))
        }
        // Under this name whatever the handler, and in this order, as clients of the original have it.
        Form::Json => {
            let text =
                call("s7jsonError", &format!("\"message\":{},\"title\":{}", quoted(message), quoted(title)), &req.id);
            Some((text.mime, text.body))
        }
    }
}

/// One text as the argument of a call.
pub(super) fn script(name: &str, text: &str, req: &Req) -> Text {
    call(handler(req), &format!("{}:{}", quoted(name), quoted(text)), &req.id)
}

/// The function that a reply calls.
fn handler(req: &Req) -> &str {
    if req.handler.is_empty() { "s7jsonResponse" } else { &req.handler }
}

pub(super) fn call(handler: &str, fields: &str, id: &str) -> Text {
    let words = format!("/*jsonp*/{handler}({{{fields}}},{});", quoted(id));
    Text { mime: SCRIPT, body: words.into_bytes() }
}

/// A line of Java properties: `\` before what would mean something else, other characters than ASCII as `\uXXXX`.
fn line(out: &mut String, name: &str, value: &str) {
    for c in name.chars() {
        escaped(out, c, matches!(c, ' ' | '=' | ':' | '#' | '!'));
    }
    out.push('=');
    for (i, c) in value.chars().enumerate() {
        escaped(out, c, i == 0 && c == ' ');
    }
    out.push('\n');
}

fn escaped(out: &mut String, c: char, is_special: bool) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        ' '..='~' => {
            if is_special {
                out.push('\\');
            }
            out.push(c);
        }
        c => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // A String takes all that is written to it.
                write!(out, "\\u{unit:04x}").unwrap_or(());
            }
        }
    }
}

/// `name='value'` a line; a quote inside is doubled, as the original's clients expect it.
fn assignments(properties: &[(String, String)]) -> String {
    let mut out = String::new();
    for (name, value) in properties {
        out.push_str(name);
        out.push_str("='");
        for c in value.chars() {
            match c {
                '\'' => out.push_str("''"),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                // Would end the script around it, or the line.
                '<' => out.push_str("\\u003c"),
                '\u{2028}' => out.push_str("\\u2028"),
                '\u{2029}' => out.push_str("\\u2029"),
                c => out.push(c),
            }
        }
        out.push_str("'\n");
    }
    out
}

/// A JSON string that can stand in any script.
pub(super) fn quoted(text: &str) -> String {
    // Strings always are JSON.
    let json = serde_json::to_string(text).unwrap_or_default();
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// `<prop-group>` of a group for each name before a dot, in order.
fn groups(properties: &Properties, encoding: Encoding) -> String {
    let split = |name: &str| name.split_once('.').map(|(group, rest)| (group.to_owned(), rest.to_owned()));
    let mut groups: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for (name, value) in properties {
        let (group, name) = split(name).unwrap_or((String::new(), name.clone()));
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, members)) => members.push((name, value.clone())),
            None => groups.push((group, vec![(name, value.clone())])),
        }
    }
    let mut out = declaration(encoding) + "<prop-group>\n";
    for (group, members) in &groups {
        out += &group_of(group, members.iter().map(|(name, value)| (name.as_str(), value.as_str())), 1);
    }
    out + "</prop-group>\n"
}

fn group_of<'p>(group: &str, members: impl Iterator<Item = (&'p str, &'p str)>, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    let mut out = format!("{indent}<prop-group name=\"{}\">\n", for_xml(group, Encoding::Latin1));
    for (name, value) in members {
        let (name, value) = (for_xml(name, Encoding::Latin1), for_xml(value, Encoding::Latin1));
        out += &format!("{indent}  <property name=\"{name}\" value=\"{value}\"/>\n");
    }
    out + &indent + "</prop-group>\n"
}

pub(super) fn declaration(encoding: Encoding) -> String {
    format!("<?xml version=\"1.0\" encoding=\"{}\"?>\n", encoding.name())
}

pub(super) fn xml_mime(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Utf8 => "text/xml; charset=utf-8",
        Encoding::Utf16 => "text/xml; charset=utf-16",
        Encoding::Utf16Le => "text/xml; charset=utf-16le",
        Encoding::Utf16Be => "text/xml; charset=utf-16be",
        Encoding::Latin1 => "text/xml; charset=iso-8859-1",
    }
}

/// Text as the value of an attribute; what the narrowest encoding lacks is a reference, what XML lacks is left out.
pub(super) fn for_xml(text: &str, encoding: Encoding) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\r' | '\t' => out.push_str(&format!("&#{};", u32::from(c))),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c if encoding == Encoding::Latin1 && u32::from(c) > 0xff => out.push_str(&format!("&#{};", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

pub(super) fn encoded(text: &str, encoding: Encoding) -> Vec<u8> {
    let wide = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    match encoding {
        Encoding::Utf8 => text.as_bytes().to_vec(),
        Encoding::Utf16 => [vec![0xfe, 0xff], wide(u16::to_be_bytes)].concat(),
        Encoding::Utf16Le => wide(u16::to_le_bytes),
        Encoding::Utf16Be => wide(u16::to_be_bytes),
        // Others are references already.
        Encoding::Latin1 => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect(),
    }
}

/// Seconds since 1970 as `2026-01-31T23:59:59Z`.
pub fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that the leap day is the last of its year; day 0 is 0000-03-01.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Kind;

    fn req(form: Form) -> Req {
        Req { kind: Kind::Props, form, id: String::new(), handler: String::new() }
    }

    fn text(properties: &[(&str, &str)], req: &Req) -> String {
        let properties = properties.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        String::from_utf8(written(&properties, req, 0).body).unwrap()
    }

    #[test]
    fn forms_are_those_of_the_reference() {
        let size = [("image.width", "400"), ("image.height", "267")];
        assert_eq!(
            text(&size, &req(Form::Text)),
            "#S7Z OK\n#1970-01-01T00:00:00Z\nimage.width=400\nimage.height=267\n"
        );
        assert_eq!(text(&size, &req(Form::Javascript)), "image.width='400'\nimage.height='267'\n");
        assert_eq!(
            text(&size, &req(Form::Json)),
            r#"/*jsonp*/s7jsonResponse({"image.width":"400","image.height":"267"},"");"#
        );
        let named = Req { id: String::from("7\"x"), handler: String::from("mine"), ..req(Form::Json) };
        assert_eq!(text(&[("a.b", "c")], &named), r#"/*jsonp*/mine({"a.b":"c"},"7\"x");"#);
        assert_eq!(
            text(&[("image.width", "400"), ("metadata.version", "1")], &req(Form::Xml(Encoding::Utf8))),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<prop-group>\n  <prop-group name=\"image\">\n    \
             <property name=\"width\" value=\"400\"/>\n  </prop-group>\n  <prop-group name=\"metadata\">\n    \
             <property name=\"version\" value=\"1\"/>\n  </prop-group>\n</prop-group>\n"
        );
    }

    #[test]
    fn values_cannot_leave_where_they_stand() {
        let hostile = [("a.b", "it's </script>\\\n\u{2028}é\u{1f600}")];
        assert!(text(&hostile, &req(Form::Text)).ends_with("a.b=it's </script>\\\\\\n\\u2028\\u00e9\\ud83d\\ude00\n"));
        assert_eq!(text(&hostile, &req(Form::Javascript)), "a.b='it''s \\u003c/script>\\\\\\n\\u2028é\u{1f600}'\n");
        assert!(text(&hostile, &req(Form::Json)).contains("it's \\u003c/script>\\\\\\n\\u2028é"));
        let xml = text(&[("a.b", "\"<&>'\u{1}")], &req(Form::Xml(Encoding::Utf8)));
        assert!(xml.contains("value=\"&quot;&lt;&amp;&gt;'\""), "{xml}");
        assert!(text(&[("a b:c", " x")], &req(Form::Text)).ends_with("a\\ b\\:c=\\ x\n"));
    }

    #[test]
    fn xml_comes_in_the_encodings_of_the_reference() {
        let of = |encoding| lines("userdata", "k=é€", &req(Form::Xml(encoding)), 0);
        assert!(of(Encoding::Utf16).body.starts_with(&[0xfe, 0xff, 0, b'<']));
        assert!(of(Encoding::Utf16Le).body.starts_with(b"<\0?\0"));
        assert!(of(Encoding::Utf16Be).body.starts_with(b"\0<\0?"));
        let latin = of(Encoding::Latin1).body;
        assert!(latin.windows(13).any(|w| w == b"value=\"\xe9&#836"), "{latin:?}");
    }

    #[test]
    fn dates_agree_with_the_calendar() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(utc(4_107_542_400), "2100-03-01T00:00:00Z");
        assert_eq!(utc(1_767_225_599), "2025-12-31T23:59:59Z");
    }
}
