//! `req`: what kind of reply is asked for, and in which form (protocol.md 1.10).

use super::Refused;

/// What is asked for, whoever asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Req {
    /// What the reply is.
    pub kind: Kind,
    /// Its form, if it is no picture.
    pub form: Form,
    /// `id`: goes back with a JSON reply.
    pub id: String,
    /// `handler`: the function that a JSON reply calls; empty: the default one.
    pub handler: String,
}

/// What a reply is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A picture.
    #[default]
    Img,
    /// A small picture.
    Tmb,
    /// The alpha of a picture, as a grey picture.
    Mask,
    /// Properties of the picture that the same request would give.
    Props,
    /// Properties of the source.
    ImageProps,
    /// Attributes of the company.
    CatalogProps,
    /// Whether there is such an object.
    Exists,
    /// The record's own text.
    UserData,
    /// The record's zoom targets.
    Targets,
    /// The record's areas, where they are in the picture that the same request would give.
    Map,
    /// The record's members, as they were written.
    ImageSet,
    /// The set, with sizes and named crops.
    Set,
    /// The source's XMP packet.
    Xmp,
    /// Whether the request can be read.
    Validate,
    /// The request once everything is put in.
    Resolve,
    /// The length of the picture, which is made for it.
    LoadCache,
    /// What locale and company make of the object's id.
    Xlate,
    /// Nothing: `message` goes to the log.
    Message,
}

/// The form of a reply that is no picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Java properties, or plain text.
    #[default]
    Text,
    /// Assignments.
    Javascript,
    /// XML, in an encoding.
    Xml(Encoding),
    /// A call of a function with an object.
    Json,
}

/// How an XML reply is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// UTF-16 with a byte order mark, big end first.
    Utf16,
    /// UTF-16, little end first.
    Utf16Le,
    /// UTF-16, big end first.
    Utf16Be,
    /// ISO 8859-1; other characters as references.
    Latin1,
}

impl Encoding {
    /// All of them with their names.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("UTF-8", Self::Utf8),
        ("UTF-16", Self::Utf16),
        ("UTF-16LE", Self::Utf16Le),
        ("UTF-16BE", Self::Utf16Be),
        ("ISO-8859-1", Self::Latin1),
    ];

    /// As in an XML declaration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16 => "UTF-16",
            Self::Utf16Le => "UTF-16LE",
            Self::Utf16Be => "UTF-16BE",
            Self::Latin1 => "ISO-8859-1",
        }
    }
}

impl Kind {
    /// As it stands behind `req=`.
    pub fn keyword(self) -> &'static str {
        // Each has its row.
        ROWS.iter().find(|row| row.kind == Some(self)).map_or("", |row| row.name)
    }

    /// Whether the reply is a picture.
    pub fn is_picture(self) -> bool {
        matches!(self, Self::Img | Self::Tmb | Self::Mask)
    }

    /// Whether the request's commands say what the reply is; else they are not even looked at.
    pub fn reads_commands(self) -> bool {
        match self {
            Self::Img | Self::Tmb | Self::Mask | Self::Props | Self::Map | Self::LoadCache => true,
            Self::ImageProps
            | Self::CatalogProps
            | Self::Exists
            | Self::UserData
            | Self::Targets
            | Self::ImageSet
            | Self::Set
            | Self::Xmp
            | Self::Validate
            | Self::Resolve
            | Self::Xlate
            | Self::Message => false,
        }
    }
}

/// One line of protocol.md 1.10.
struct Row {
    name: &'static str,
    /// `None`: not yet.
    kind: Option<Kind>,
    forms: &'static [&'static str],
    /// Whether `xml` may name an encoding.
    is_encoded: bool,
}

const fn row(name: &'static str, kind: Option<Kind>, forms: &'static [&'static str]) -> Row {
    Row { name, kind, forms, is_encoded: false }
}

const ALL: &[&str] = &["text", "javascript", "xml", "json"];
const LINES: &[&str] = &["text", "xml", "json"];
const TEXT: &[&str] = &["text"];

const ROWS: [Row; 20] = [
    row("img", Some(Kind::Img), &[]),
    row("tmb", Some(Kind::Tmb), &[]),
    row("mask", Some(Kind::Mask), &[]),
    row("props", Some(Kind::Props), ALL),
    row("imageprops", Some(Kind::ImageProps), ALL),
    row("catalogprops", Some(Kind::CatalogProps), ALL),
    row("exists", Some(Kind::Exists), ALL),
    Row { is_encoded: true, ..row("userdata", Some(Kind::UserData), LINES) },
    row("targets", Some(Kind::Targets), LINES),
    row("imageset", Some(Kind::ImageSet), ALL),
    Row { is_encoded: true, ..row("set", Some(Kind::Set), &["json", "xml"]) },
    row("map", Some(Kind::Map), LINES),
    row("xmp", Some(Kind::Xmp), &["xml"]),
    row("validate", Some(Kind::Validate), ALL),
    row("resolve", Some(Kind::Resolve), TEXT),
    row("loadcache", Some(Kind::LoadCache), TEXT),
    row("xlate", Some(Kind::Xlate), ALL),
    row("message", Some(Kind::Message), &[]),
    row("saveToFile", None, TEXT),
    row("mbrSet", None, &["text", "xml"]),
];

/// Reads `type[,form[,encoding]]`.
pub(super) fn read(value: &str) -> Result<(Kind, Form), Refused> {
    let mut items = value.split(',');
    let name = items.next().unwrap_or("");
    let (form, encoding) = (items.next(), items.next());
    let row = ROWS.iter().find(|row| row.name.eq_ignore_ascii_case(name)).ok_or(Refused::Bad)?;
    if items.next().is_some() {
        return Err(Refused::Bad);
    }
    let form = match (form, encoding) {
        (None, _) => Form::Text,
        (Some(form), encoding) => {
            let form = row.forms.iter().find(|known| known.eq_ignore_ascii_case(form)).ok_or(Refused::Bad)?;
            let encoding = match encoding {
                None => Encoding::Utf8,
                Some(name) if row.is_encoded && *form == "xml" => {
                    let known = Encoding::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                    known.ok_or(Refused::Bad)?.1
                }
                Some(_) => return Err(Refused::Bad),
            };
            match *form {
                "javascript" => Form::Javascript,
                "xml" => Form::Xml(encoding),
                "json" => Form::Json,
                _ => Form::Text,
            }
        }
    };
    Ok((row.kind.ok_or(Refused::NotYet)?, form))
}
