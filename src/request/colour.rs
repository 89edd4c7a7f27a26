//! Colours of URLs (protocol.md 2.1): hexadecimal, decimal, grey, CMYK, with their suffixes.
//!
//! Grey and CMYK become R G B naively, as the original does where no profile is at hand. Alpha is checked and dropped:
//! `bgc` is opaque.

/// R, G, B of a colour; `None` if it is not one.
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
pub(super) fn rgb(text: &str) -> Option<[u8; 3]> {
    let text = text.to_ascii_lowercase();
    let text = text.strip_suffix('s').unwrap_or(&text);
    let (body, suffix) = match text.as_bytes().last()? {
        last @ (b'r' | b'g' | b'k') => (&text[..text.len() - 1], Some(*last)),
        _ => (text, None),
    };
    if body.contains(',') { decimal(body, suffix) } else { single(body, suffix) }
}

fn single(body: &str, suffix: Option<u8>) -> Option<[u8; 3]> {
    let (digits, prefixed) = match body.strip_prefix("0x") {
        Some(digits) => (digits, true),
        None => (body, false),
    };
    match (digits.len(), suffix) {
        (8 | 10, Some(b'k')) => {
            let [c, m, y, k, ..] = bytes(digits)?[..] else { return None };
            Some(from_inks([c, m, y, k].map(u32::from), 255))
        }
        (6 | 8, None | Some(b'r')) => {
            let [r, g, b, ..] = bytes(digits)?[..] else { return None };
            Some([r, g, b])
        }
        (2 | 4, None | Some(b'g')) if prefixed => Some([bytes(digits)?[0]; 3]),
        (1..=3, None | Some(b'g')) if !prefixed => decimal(digits, suffix),
        _ => None,
    }
}

/// Pairs of hexadecimal digits.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(digits.get(i..i + 2)?, 16).ok()).collect()
}

fn decimal(body: &str, suffix: Option<u8>) -> Option<[u8; 3]> {
    const ITEMS_MAX: usize = 5;
    if body.split(',').count() > ITEMS_MAX {
        return None;
    }
    let items: Vec<u32> = body.split(',').map(plain).collect::<Option<_>>()?;
    let all = |most: u32| items.iter().all(|&item| item <= most);
    match (items.len(), suffix) {
        (3 | 4, None | Some(b'r')) if all(255) => {
            let mut channels = items[..3].iter().map(|&v| u8::try_from(v).ok());
            Some([channels.next()??, channels.next()??, channels.next()??])
        }
        (1 | 2, None | Some(b'g')) if all(100) => Some([share(items[0], 100); 3]),
        (4 | 5, Some(b'k')) if all(100) => Some(from_inks([items[0], items[1], items[2], items[3]], 100)),
        _ => None,
    }
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
    use super::rgb;

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
