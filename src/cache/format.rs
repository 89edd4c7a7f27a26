//! One entry as a file.
//!
//! ```text
//! 0   8  "calotype"            24  16  key
//! 8   4  version, 1            40  16  XXH3-128 of the body
//! 12  4  length of the note    56  16  XXH3-128 of bytes 0 to 56 and of the note
//! 16  8  length of the body    72      note, then body, and nothing after it
//! ```
//! Numbers are little-endian. Every byte is under one of the two hashes, so that a file that was cut, torn, exchanged or
//! rotten is known for what it is.

use std::io::{self, Write};

use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// An entry on its way to or from its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: u128,
    pub(super) note: Vec<u8>,
    /// XXH3-128 of `body`.
    pub(super) hash: u128,
    pub(super) body: Bytes,
}

impl Record {
    /// Length of its file.
    pub(super) fn bytes(&self) -> u64 {
        (HEAD_BYTES + self.note.len() + self.body.len()) as u64
    }

    /// # Errors
    /// As the writer.
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut head = Vec::with_capacity(HEAD_BYTES + self.note.len());
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        // A note is some hundred bytes, whoever writes it.
        head.extend_from_slice(&u32::try_from(self.note.len()).unwrap_or(u32::MAX).to_le_bytes());
        head.extend_from_slice(&(self.body.len() as u64).to_le_bytes());
        head.extend_from_slice(&self.key.to_le_bytes());
        head.extend_from_slice(&self.hash.to_le_bytes());
        let hash = head_hash(&head, &self.note);
        head.extend_from_slice(&hash.to_le_bytes());
        head.extend_from_slice(&self.note);
        to.write_all(&head)?;
        to.write_all(&self.body)
    }

    /// The record in a file's bytes; `None`: they are not, or no longer, the entry of `key`.
    pub(super) fn read(bytes: Vec<u8>, key: u128) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let (hashed, head_hash_found) = head.split_at(HASHED_BYTES);
        let number = |at: usize, length: usize| {
            let mut le = [0; 16];
            le[..length].copy_from_slice(&hashed[at..at + length]);
            u128::from_le_bytes(le)
        };
        if &hashed[..8] != MAGIC || number(8, 4) != u128::from(VERSION) || number(24, 16) != key {
            return None;
        }
        let note_length = usize::try_from(number(12, 4)).ok()?;
        let (note, body) = rest.split_at_checked(note_length)?;
        let hash = number(40, 16);
        let is_whole = head_hash(hashed, note).to_le_bytes() == head_hash_found
            && number(16, 8) == body.len() as u128
            && xxh3_128(body) == hash;
        let note = is_whole.then(|| note.to_vec())?;
        let body = Bytes::from(bytes).slice(HEAD_BYTES + note_length..);
        Some(Self { key, note, hash, body })
    }
}

fn head_hash(hashed: &[u8], note: &[u8]) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(hashed);
    hasher.update(note);
    hasher.digest128()
}

const MAGIC: &[u8; 8] = b"calotype";
const VERSION: u32 = 1;
/// What of the head is under its hash.
const HASHED_BYTES: usize = 56;
const HEAD_BYTES: usize = HASHED_BYTES + 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let body = Bytes::from_static(b"the picture");
        Record { key: 7 << 100, note: b"a note".to_vec(), hash: xxh3_128(&body), body }
    }

    fn file(record: &Record) -> Vec<u8> {
        let mut file = Vec::new();
        record.write(&mut file).unwrap();
        file
    }

    #[test]
    fn comes_back_as_it_was_written() {
        let empty = Record { note: Vec::new(), hash: xxh3_128(b""), body: Bytes::new(), ..record() };
        for record in [record(), empty] {
            let file = file(&record);
            assert_eq!(file.len() as u64, record.bytes());
            assert_eq!(Record::read(file, record.key), Some(record));
        }
    }

    #[test]
    fn every_flipped_bit_every_cut_and_every_tail_is_noticed() {
        let record = record();
        let whole = file(&record);
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::read(flipped, record.key), None, "bit {bit}");
        }
        for length in 0..whole.len() {
            assert_eq!(Record::read(whole[..length].to_vec(), record.key), None, "cut to {length}");
        }
        assert_eq!(Record::read([&whole[..], b"x"].concat(), record.key), None, "a tail");
        assert_eq!(Record::read(whole, record.key + 1), None, "the file of another key");
    }
}
