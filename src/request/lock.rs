//! Request lock and obfuscation (protocol.md 1.7): wrappers of the whole query. Neither is a secret; both only keep
//! people from editing URLs by hand.

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

/// The query inside an obfuscated one; `None` if it is none. Padding may be missing, and come percent-encoded.
pub(super) fn revealed(query: &str) -> Option<String> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let encoded: Vec<u8> = percent_decode_str(query).collect();
    String::from_utf8(GeneralPurpose::new(&alphabet::STANDARD, LENIENT).decode(encoded).ok()?).ok()
}

/// The query without the lock at its end; `None` if there is none, or a wrong one.
pub(super) fn unlocked(query: &str) -> Option<&str> {
    let (locked, lock) = query.rsplit_once('&')?;
    let is_lock = lock.len() == 4 && lock.bytes().all(|b| b.is_ascii_hexdigit());
    (is_lock && u16::from_str_radix(lock, 16).ok()? == hash(locked)).then_some(locked)
}

/// The original's own hash, over the query as it is sent: bytes count as signed.
fn hash(query: &str) -> u16 {
    query.bytes().fold(0_u16, |hash, byte| hash.wrapping_mul(131).wrapping_add_signed(i16::from(byte.cast_signed())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_those_of_the_reference() {
        for (query, want) in [("wid=200", 0x4a1f), ("wid=200&qlt=60", 0x08ad), ("$view$&wid=480", 0xa176)] {
            assert_eq!(hash(query), want, "{query}");
        }
        // A byte above 127 counts as a negative number: 0xc3 is -61, 0xa9 is -87.
        assert_eq!(i32::from(hash("é")), (-61 * 131 - 87_i32).rem_euclid(65_536));
    }

    #[test]
    fn only_the_right_lock_opens() {
        assert_eq!(unlocked("wid=200&4a1f"), Some("wid=200"));
        assert_eq!(unlocked("wid=200&4A1F"), Some("wid=200"));
        assert_eq!(unlocked("&0000"), Some(""));
        for bad in ["wid=200", "wid=200&4a1e", "wid=201&4a1f", "wid=200&04a1f", "wid=200&+a1f", "4a1f", ""] {
            assert_eq!(unlocked(bad), None, "{bad}");
        }
    }

    #[test]
    fn obfuscation_is_base64() {
        assert_eq!(revealed("d2lkPTIwMCY0YTFm").unwrap(), "wid=200&4a1f");
        assert_eq!(revealed("d2lkPTIwMA==").unwrap(), "wid=200");
        assert_eq!(revealed("d2lkPTIwMA%3D%3D").unwrap(), "wid=200");
        assert_eq!(revealed("d2lkPTIwMA").unwrap(), "wid=200");
        assert_eq!(revealed("").unwrap(), "");
        for bad in ["wid=200", "d2lk PTIw", "_-8=", "/w=="] {
            assert_eq!(revealed(bad), None, "{bad}");
        }
    }
}
