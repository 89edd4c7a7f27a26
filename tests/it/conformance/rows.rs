//! Lines of `data/conformance.tsv`.

use calotype::pixel::Size;

use super::bars::{self, Source};

/// One request and all that its reply must be.
pub(super) struct Row {
    /// Number of the example, with a letter where it has several requests.
    pub(super) number: String,
    /// Below `/is/image/`.
    pub(super) request: String,
    pub(super) status: u16,
    /// `Content-Type`.
    pub(super) mime: Option<String>,
    /// Size of the picture.
    pub(super) size: Option<Size>,
    pub(super) content: Content,
}

/// What the reply shows.
#[derive(Default)]
pub(super) struct Content {
    /// `dst=… src=… pad=… hole=…`, `grey`: where the source's bars fall, and that no colour is left of them.
    pub(super) place: Option<Place>,
    /// `matte`: the reply is the alpha of what would be at `dst`, white on black.
    pub(super) matte: bool,
    /// `of=A`: the source that is shown, where the asset has another name.
    pub(super) of: Option<String>,
    /// `turn=90`, `turn=90lr`, `turn=lr90`, `turn=30`: the picture is turned clockwise, and mirrored after or before that;
    /// `dst` is where it would be without.
    pub(super) turn: Option<Turn>,
    /// `corner=`: what shows in each corner of the reply.
    pub(super) corner: Option<Shown>,
    /// `says=a,b`: words of the error's text.
    pub(super) says: Vec<String>,
    /// `same=request`: byte for byte the reply to that request.
    pub(super) same: Option<String>,
    /// `differs=request`: not the reply to that request.
    pub(super) differs: Option<String>,
    /// `ignored=names`: the header that lists unknown commands.
    pub(super) ignored: Option<String>,
    /// `lossy`, `lossless`: the kind of WebP.
    pub(super) lossless: Option<bool>,
    /// `send=name:value`: request headers, as many as there are such words.
    pub(super) send: Vec<(String, String)>,
    /// `vary=names`: the request headers that the reply depends on; none without the word.
    pub(super) vary: Option<String>,
    /// `reason=word`: why this format is served.
    pub(super) reason: Option<String>,
    /// `smaller=request`: fewer bytes than the reply to that request, sent without headers.
    pub(super) smaller: Option<String>,
    /// `file=a,b`: what the file says of itself, [`super::file::words`].
    pub(super) file: Vec<String>,
    /// `bytes=n`: it has no more.
    pub(super) bytes_max: Option<usize>,
    /// `coarser=request`: quantised no finer than the reply to that request.
    pub(super) coarser: Option<String>,
    /// `bilevel=request`: the reply to that request in black and white, which shows no bars.
    pub(super) bilevel: Option<String>,
    /// `served`: it takes the whole service, not the oracle's path alone.
    pub(super) served: bool,
    /// `revalidates=request`: sent with the ETag of that request's reply.
    pub(super) revalidates: Option<String>,
}

impl Content {
    /// Whether it can only be asked of a server with headers.
    pub(super) fn needs_headers(&self) -> bool {
        self.served || self.revalidates.is_some() || self.reason.is_some() || !self.send.is_empty()
    }
}

/// How a source stands in a reply.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    Quarter,
    QuarterThenMirror,
    MirrorThenQuarter,
    /// About the middle, the picture as large as `dst`.
    Degrees(f64),
}

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) w: f64,
    pub(super) h: f64,
}

/// Where a part of the source comes to lie in the view, and what shows elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// In the view; may reach outside.
    pub(super) dst: Rect,
    /// In the source.
    pub(super) src: Rect,
    /// Around the picture.
    pub(super) pad: Option<Shown>,
    /// Where the source is transparent.
    pub(super) hole: Option<Shown>,
    /// Whether the picture has lost its colours.
    pub(super) is_grey: bool,
}

/// What shows where the picture does not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shown {
    Colour([u8; 3]),
    Clear,
}

impl Place {
    /// Size of the part in the view, px.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole pixels")]
    pub(super) fn size(&self) -> Size {
        Size::new(self.dst.w as u32, self.dst.h as u32)
    }

    /// Assertions that differ by little, each of which must fail where the original holds.
    pub(super) fn spoiled(&self) -> Vec<Self> {
        let Rect { x, y, w, h } = self.dst;
        let moved = [
            Rect { x: x + 1.0, ..self.dst },
            Rect { x: x - 1.0, ..self.dst },
            Rect { y: y + 1.0, ..self.dst },
            Rect { y: y - 1.0, ..self.dst },
            Rect { x: x - 1.0, w: w + 2.0, ..self.dst },
            Rect { y: y + 1.0, h: h - 2.0, ..self.dst },
        ];
        let mut wrong: Vec<Self> = moved.iter().map(|&dst| Self { dst, ..self.clone() }).collect();
        if self.pad.is_some() {
            wrong.push(Self { pad: Some(Shown::Colour([255, 0, 0])), ..self.clone() });
            wrong.push(Self { pad: Some(Shown::Clear), ..self.clone() });
            wrong.push(Self { pad: None, ..self.clone() });
        }
        wrong
    }
}

impl Row {
    /// The source it is about.
    pub(super) fn source(&self) -> &'static Source {
        let name = self.content.of.as_deref().or(asset(&self.request)).unwrap_or_default();
        bars::SOURCES.iter().find(|source| source.name == name).expect("checked when the row was loaded")
    }
}

fn is_picture(mime: &str) -> bool {
    mime.starts_with("image/")
}

/// What comes after the company.
fn asset(request: &str) -> Option<&str> {
    request.split('?').next()?.split_once('/').map(|(_, asset)| asset)
}

pub(super) fn load(table: &str) -> Result<Vec<Row>, String> {
    let mut lines = table.lines();
    if lines.next() != Some("row\trequest\tstatus\ttype\tsize\tcontent") {
        return Err(String::from("no heading"));
    }
    lines.filter(|line| !line.is_empty()).map(|line| row(line).map_err(|e| format!("{line}: {e}"))).collect()
}

fn row(line: &str) -> Result<Row, String> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [number, request, status, mime, size, content] = columns[..] else {
        return Err(format!("{} columns instead of 6", columns.len()));
    };
    let given = |cell: &str| (cell != "-").then(|| cell.to_owned());
    let row = Row {
        number: number.to_owned(),
        request: request.to_owned(),
        status: status.parse().map_err(|_| "status")?,
        mime: given(mime),
        size: given(size).map(|text| pair(&text, 'x').map(|[w, h]| Size::new(w, h))).transpose()?,
        content: self::content(content)?,
    };
    let Content { place, says, revalidates, .. } = &row.content;
    let asserts = match row.status {
        200 if row.size.is_none() => place.is_none() && !says.is_empty() && !row.mime.as_deref().is_none_or(is_picture),
        200 => place.is_some() && row.size.is_some() && says.is_empty(),
        304 => revalidates.is_some(),
        _ => !says.is_empty() && place.is_none(),
    };
    if !asserts {
        return Err(String::from("needs a size and content: dst and src of a picture, says of an error"));
    }
    if place.is_some() {
        let name = row.content.of.as_deref().or(asset(&row.request));
        if !bars::SOURCES.iter().any(|source| Some(source.name) == name) {
            return Err(format!("no source {name:?}"));
        }
    }
    Ok(row)
}

fn content(text: &str) -> Result<Content, String> {
    let mut content = Content::default();
    let (mut dst, mut src, mut pad, mut hole, mut is_grey) = (None, None, None, None, false);
    // Values hold spaces only in `says`, which therefore takes the rest of the line.
    let (words, says) = match text.find("says=") {
        Some(at) => (&text[..at], Some(&text[at + 5..])),
        None => (text, None),
    };
    if let Some(says) = says {
        content.says = says.split(',').map(str::to_owned).collect();
    }
    for word in words.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "dst" => dst = Some(rect(value)?),
            "src" => src = Some(rect(value)?),
            "pad" => pad = Some(shown(value)?),
            "hole" => hole = Some(shown(value)?),
            "grey" => is_grey = true,
            "matte" => content.matte = true,
            "corner" => content.corner = Some(shown(value)?),
            "turn" => {
                content.turn = Some(match value {
                    "90" => Turn::Quarter,
                    "90lr" => Turn::QuarterThenMirror,
                    "lr90" => Turn::MirrorThenQuarter,
                    degrees => Turn::Degrees(degrees.parse().map_err(|_| format!("unknown turn {value}"))?),
                });
            }
            "of" => content.of = Some(value.to_owned()),
            "served" => content.served = true,
            "same" => content.same = Some(value.to_owned()),
            "differs" => content.differs = Some(value.to_owned()),
            "ignored" => content.ignored = Some(value.to_owned()),
            "lossy" => content.lossless = Some(false),
            "lossless" => content.lossless = Some(true),
            "send" => {
                let (name, value) = value.split_once(':').ok_or_else(|| format!("{value}: no header"))?;
                content.send.push((name.to_owned(), value.to_owned()));
            }
            "vary" => content.vary = Some(value.to_owned()),
            "reason" => content.reason = Some(value.to_owned()),
            "smaller" => content.smaller = Some(value.to_owned()),
            "file" => content.file = value.split(',').map(str::to_owned).collect(),
            "bytes" => content.bytes_max = Some(value.parse().map_err(|_| format!("{value}: no number"))?),
            "coarser" => content.coarser = Some(value.to_owned()),
            "bilevel" => content.bilevel = Some(value.to_owned()),
            "revalidates" => content.revalidates = Some(value.to_owned()),
            _ => return Err(format!("unknown word {key}")),
        }
    }
    if let (Some(dst), Some(src)) = (dst, src) {
        content.place = Some(Place { dst, src, pad, hole, is_grey });
    }
    Ok(content)
}

fn pair<T: std::str::FromStr>(text: &str, between: char) -> Result<[T; 2], String> {
    let (a, b) = text.split_once(between).ok_or_else(|| format!("{text}: no {between}"))?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text}: no number"));
    Ok([number(a)?, number(b)?])
}

/// `x,y,wxh`
fn rect(text: &str) -> Result<Rect, String> {
    let (corner, size) = text.rsplit_once(',').ok_or_else(|| format!("{text}: no rectangle"))?;
    let ([x, y], [w, h]) = (pair(corner, ',')?, pair(size, 'x')?);
    Ok(Rect { x, y, w, h })
}

fn shown(text: &str) -> Result<Shown, String> {
    if text == "clear" {
        return Ok(Shown::Clear);
    }
    let number = u32::from_str_radix(text, 16).map_err(|_| format!("{text}: no colour"))?;
    let [_, r, g, b] = number.to_be_bytes();
    Ok(Shown::Colour([r, g, b]))
}
