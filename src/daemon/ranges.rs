//! `Range` [RFC 9110 14]: which bytes of a file are asked for.

use crate::limits;

/// What a `Range` header comes to for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: there is no such header, it cannot be read, or it asks for more pieces than are worth it.
    Whole,
    /// These pieces, first and last byte of each: at least one, none empty, none over another.
    Pieces(Vec<(u64, u64)>),
    /// None of what is asked for is there.
    Nothing,
}

/// Reads the header for a file of `length` bytes.
pub(super) fn wanted(header: &str, length: u64) -> Wanted {
    let Some((unit, set)) = header.split_once('=') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let mut pieces = Vec::new();
    let mut specs = 0;
    for spec in set.split(',').map(str::trim).filter(|spec| !spec.is_empty()) {
        specs += 1;
        match piece(spec, length) {
            Err(Malformed) => return Wanted::Whole,
            Ok(None) => {}
            Ok(Some(piece)) => pieces.push(piece),
        }
        if specs > limits::CONTENT_RANGES_MAX {
            return Wanted::Whole;
        }
    }
    if specs == 0 {
        return Wanted::Whole;
    }
    // Pieces that overlap are nobody's need, and would make a reply longer than its file [RFC 9110 14.2].
    let overlap = |&(a, b): &(u64, u64), &(c, d): &(u64, u64)| a <= d && c <= b;
    if pieces.iter().enumerate().any(|(i, one)| pieces[..i].iter().any(|other| overlap(one, other))) {
        return Wanted::Whole;
    }
    if pieces.is_empty() { Wanted::Nothing } else { Wanted::Pieces(pieces) }
}

struct Malformed;

/// First and last byte of `first-last`, `first-` or `-length of the end`; `None`: nothing of it is there.
fn piece(spec: &str, length: u64) -> Result<Option<(u64, u64)>, Malformed> {
    let (first, last) = spec.split_once('-').ok_or(Malformed)?;
    let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty() {
        // What no file reaches is as good as the end of any.
        true => Ok(digits.parse().unwrap_or(u64::MAX)),
        false => Err(Malformed),
    };
    let (first, last) = match (first, last) {
        ("", suffix) => match number(suffix)? {
            0 => return Ok(None),
            suffix => (length.saturating_sub(suffix), u64::MAX),
        },
        (first, "") => (number(first)?, u64::MAX),
        (first, last) => (number(first)?, number(last)?),
    };
    if last < first {
        return Err(Malformed);
    }
    Ok((first < length).then(|| (first, last.min(length - 1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_standard() {
        let pieces = |pieces: &[(u64, u64)]| Wanted::Pieces(pieces.to_vec());
        for (header, want) in [
            ("bytes=0-0", pieces(&[(0, 0)])),
            ("bytes=0-9", pieces(&[(0, 9)])),
            ("Bytes=3-", pieces(&[(3, 9)])),
            ("bytes=-3", pieces(&[(7, 9)])),
            ("bytes=-30", pieces(&[(0, 9)])),
            ("bytes=8-99999999999999999999999", pieces(&[(8, 9)])),
            ("bytes=0-1, 4-5,9-", pieces(&[(0, 1), (4, 5), (9, 9)])),
            ("bytes=4-5,0-1", pieces(&[(4, 5), (0, 1)])),
            ("bytes=0-1,20-30", pieces(&[(0, 1)])),
            ("bytes=,0-1,,", pieces(&[(0, 1)])),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=10-20,30-", Wanted::Nothing),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=a-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("bytes=0-4,4-5", Wanted::Whole),
            ("bytes=0-,-1", Wanted::Whole),
            ("bytes=0-1,x", Wanted::Whole),
        ] {
            assert_eq!(wanted(header, 10), want, "{header}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
        let many: Vec<String> = (0..=limits::CONTENT_RANGES_MAX).map(|i| format!("{}-{}", i * 2, i * 2)).collect();
        assert_eq!(wanted(&format!("bytes={}", many.join(",")), 1000), Wanted::Whole);
    }
}
