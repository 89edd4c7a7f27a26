//! Colours of URLs (protocol.md 2.1): hexadecimal, decimal, grey, CMYK, with their suffixes.
//!
//! Grey and CMYK become R G B naively, as the original does where no profile is at hand.

/// A colour as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour {
    /// R, G, B.
    pub(super) rgb: [u8; 3],
    /// 255 where it has none.
    pub(super) alpha: u8,
    /// Whether it was written as R G B.
    pub(super) is_rgb: bool,
}

/// R, G, B of a colour whose alpha does not matter; `None` if it is not one.
pub(super) fn rgb(text: &str) -> Option<[u8; 3]> {
    parse(text).map(|colour| colour.rgb)
}

/// A colour; `None` if it is not one.
///
/// | form | meaning |
/// |---|---|
/// | `RRGGBB`, `RRGGBBAA`, with or without `0x`, suffix `r` | R G B, 00 to FF |
/// | `0xGG`, `0xGGAA`, suffix `g` | grey, 00 (black) to FF |
/// | `CCMMYYKKk`, `CCMMYYKKAAk` | inks, 00 to FF (full) |
/// | `r,g,b`, `r,g,b,a` | 0 to 255 |
/// | `g`, `g,a` | percent of white |
/// | `c,m,y,kk`, `c,m,y,k,ak` | percent of ink |
///
/// A last suffix `s` ("in the source's colour space") is ignored.
pub(super) fn parse(text: &str) -> Option<Colour> {
    let text = text.to_ascii_lowercase();
    let text = text.strip_suffix('s').unwrap_or(&text);
    let (body, suffix) = match text.as_bytes().last()? {
        last @ (b'r' | b'g' | b'k') => (&text[..text.len() - 1], Some(*last)),
        _ => (text, None),
    };
    if body.contains(',') { decimal(body, suffix) } else { single(body, suffix) }
}

fn single(body: &str, suffix: Option<u8>) -> Option<Colour> {
    let (digits, prefixed) = match body.strip_prefix("0x") {
        Some(digits) => (digits, true),
        None => (body, false),
    };
    match (digits.len(), suffix) {
        (8 | 10, Some(b'k')) => {
            let [c, m, y, k, ref alpha @ ..] = bytes(digits)?[..] else { return None };
            Some(converted(from_inks([c, m, y, k].map(u32::from), 255), alpha.first().copied()))
        }
        (6 | 8, None | Some(b'r')) => {
            let [r, g, b, ref alpha @ ..] = bytes(digits)?[..] else { return None };
            Some(Colour { rgb: [r, g, b], alpha: alpha.first().copied().unwrap_or(255), is_rgb: true })
        }
        (2 | 4, None | Some(b'g')) if prefixed => {
            let [grey, ref alpha @ ..] = bytes(digits)?[..] else { return None };
            Some(converted([grey; 3], alpha.first().copied()))
        }
        (1..=3, None | Some(b'g')) if !prefixed => decimal(digits, suffix),
        _ => None,
    }
}

/// A colour that was not written as R G B.
fn converted(rgb: [u8; 3], alpha: Option<u8>) -> Colour {
    Colour { rgb, alpha: alpha.unwrap_or(255), is_rgb: false }
}

/// Pairs of hexadecimal digits.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(digits.get(i..i + 2)?, 16).ok()).collect()
}

fn decimal(body: &str, suffix: Option<u8>) -> Option<Colour> {
    const ITEMS_MAX: usize = 5;
    if body.split(',').count() > ITEMS_MAX {
        return None;
    }
    let items: Vec<u32> = body.split(',').map(plain).collect::<Option<_>>()?;
    let all = |most: u32| items.iter().all(|&item| item <= most);
    let percent = |item: Option<&u32>| item.map(|&part| share(part, 100));
    match (items.as_slice(), suffix) {
        ([rgb @ .., alpha], None | Some(b'r')) if rgb.len() == 3 && all(255) => {
            Some(Colour { rgb: level3(rgb)?, alpha: u8::try_from(*alpha).ok()?, is_rgb: true })
        }
        (rgb, None | Some(b'r')) if rgb.len() == 3 && all(255) => {
            Some(Colour { rgb: level3(rgb)?, alpha: 255, is_rgb: true })
        }
        ([grey] | [grey, _], None | Some(b'g')) if all(100) => {
            Some(converted([share(*grey, 100); 3], percent(items.get(1))))
        }
        ([c, m, y, k, alpha @ ..], Some(b'k')) if all(100) => {
            Some(converted(from_inks([*c, *m, *y, *k], 100), percent(alpha.first())))
        }
        _ => None,
    }
}

fn level3(items: &[u32]) -> Option<[u8; 3]> {
    let [r, g, b] = items else { return None };
    Some([u8::try_from(*r).ok()?, u8::try_from(*g).ok()?, u8::try_from(*b).ok()?])
}

fn plain(item: &str) -> Option<u32> {
    (item.len() <= 3 && !item.is_empty() && item.bytes().all(|b| b.is_ascii_digit())).then(|| item.parse().ok())?
}

/// `255 · (1 − ink) · (1 − black)`, halves up.
fn from_inks([c, m, y, k]: [u32; 4], full: u32) -> [u8; 3] {
    [c, m, y].map(|ink| share((full - ink) * (full - k), full * full))
}

/// `255 · part / whole`, halves up; `part` is at most `whole`.
fn share(part: u32, whole: u32) -> u8 {
    u8::try_from((2 * 255 * part + whole) / (2 * whole)).unwrap_or(255)
}

#[cfg(test)]
mod tests {
    use super::{parse, rgb};

    #[test]
    fn alpha_of_every_form() {
        for (text, alpha, is_rgb) in [
            ("ff8000", 255, true),
            ("ff800080", 128, true),
            ("1,2,3", 255, true),
            ("1,2,3,4", 4, true),
            ("0x70", 255, false),
            ("0x7011g", 17, false),
            ("50,20", 51, false),
            ("0,0,0,0k", 255, false),
            ("0,0,0,0,40k", 102, false),
            ("ff00000080k", 128, false),
        ] {
            let colour = parse(text).expect("a colour");
            assert_eq!((colour.alpha, colour.is_rgb), (alpha, is_rgb), "{text}");
        }
    }

    #[test]
    fn colours_of_every_form() {
        for (text, want) in [
            ("ff8000", [255, 128, 0]),
            ("FF800080", [255, 128, 0]),
            ("0xff8000", [255, 128, 0]),
            ("ff8000r", [255, 128, 0]),
            ("ff8000s", [255, 128, 0]),
            ("0x70", [0x70; 3]),
            ("0x70g", [0x70; 3]),
            ("0x70FFg", [0x70; 3]),
            ("255,128,0", [255, 128, 0]),
            ("255,128,0,255", [255, 128, 0]),
            ("1,2,3rs", [1, 2, 3]),
            ("50", [128; 3]),
            ("50,100g", [128; 3]),
            ("0,0,0,100k", [0; 3]),
            ("100,0,0,0k", [0, 255, 255]),
            ("50,0,0,50,100k", [64, 128, 128]),
            ("00000000k", [255; 3]),
            ("ff000000k", [0, 255, 255]),
            ("ff00000080k", [0, 255, 255]),
        ] {
            assert_eq!(rgb(text), Some(want), "{text}");
        }
        for bad in [
            "",
            "s",
            "k",
            "fff",
            "fffff",
            "gggggg",
            "0x",
            "0x7",
            "256,0,0",
            "1,2,3,4,5",
            "-1,0,0",
            "101",
            "1,2,3k",
            "ff80000",
            "1,,2",
            "1,2,3,",
            "0,0,0,101k",
            "ff8000g",
            "+1,0,0",
            "ffé",
        ] {
            assert_eq!(rgb(bad), None, "{bad}");
        }
    }
}
