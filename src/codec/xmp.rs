//! XMP packets: where each format keeps them [Adobe, "XMP Specification Part 3", 2020, section 1.1].
//!
//! Hostile bytes are walked by their own lengths, so every step is checked, counted and bounded by
//! `limits::METADATA_BYTES_MAX`; what is cut or makes no sense is no packet.

use std::io::{Read, Seek, SeekFrom};

use super::read_up_to;
use crate::limits;
use crate::plan::SourceFormat;

/// Segments, chunks or entries that are looked at for a packet.
const STEPS_MAX: usize = 4096;
/// Begins the JPEG segment.
const JPEG_NAMESPACE: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
/// Keyword of the PNG chunk; behind it come four fields that an uncompressed packet leaves empty.
const PNG_KEYWORD: &[u8] = b"XML:com.adobe.xmp\0\0\0\0\0";
/// The TIFF tag.
const TIFF_TAG: u16 = 700;

/// The packet of a source, as it is; `None`: it has none that can be read (GIF: none is looked for).
pub(super) fn packet(source: &mut (impl Read + Seek), format: SourceFormat) -> Option<Vec<u8>> {
    source.seek(SeekFrom::Start(0)).ok()?;
    match format {
        SourceFormat::Jpeg => jpeg(source),
        SourceFormat::Png => png(source),
        SourceFormat::Webp => webp(source),
        SourceFormat::Tiff => tiff_tag(source, TIFF_TAG),
        SourceFormat::Gif => None,
    }
}

fn jpeg(source: &mut (impl Read + Seek)) -> Option<Vec<u8>> {
    bytes::<2>(source)?;
    for _ in 0..STEPS_MAX {
        let [mark, kind] = bytes::<2>(source)?;
        // The pixels begin, or what is there is no segment.
        if mark != 0xff || kind == 0xda {
            return None;
        }
        let len = u16::from_be_bytes(bytes(source)?).checked_sub(2)?;
        if kind == 0xe1 {
            let segment = block(source, len.into())?;
            if let Some(packet) = segment.strip_prefix(JPEG_NAMESPACE) {
                return Some(packet.to_vec());
            }
        } else {
            source.seek(SeekFrom::Current(len.into())).ok()?;
        }
    }
    None
}

fn png(source: &mut (impl Read + Seek)) -> Option<Vec<u8>> {
    bytes::<8>(source)?;
    for _ in 0..STEPS_MAX {
        let len = u32::from_be_bytes(bytes(source)?);
        match &bytes::<4>(source)? {
            b"iTXt" => {
                let chunk = block(source, len.into())?;
                if let Some(packet) = chunk.strip_prefix(PNG_KEYWORD) {
                    return Some(packet.to_vec());
                }
                bytes::<4>(source)?;
            }
            b"IEND" => return None,
            _ => drop(source.seek(SeekFrom::Current(i64::from(len) + 4)).ok()?),
        }
    }
    None
}

fn webp(source: &mut (impl Read + Seek)) -> Option<Vec<u8>> {
    bytes::<12>(source)?;
    for _ in 0..STEPS_MAX {
        let name = bytes::<4>(source)?;
        let len = u32::from_le_bytes(bytes(source)?);
        if &name == b"XMP " {
            return block(source, len.into());
        }
        source.seek(SeekFrom::Current(i64::from(len) + i64::from(len % 2))).ok()?;
    }
    None
}

/// The bytes of a tag of the first directory. The classic file alone: with 64-bit offsets none is looked for.
pub(super) fn tiff_tag(source: &mut (impl Read + Seek), wanted: u16) -> Option<Vec<u8>> {
    source.seek(SeekFrom::Start(0)).ok()?;
    let order = bytes::<4>(source)?;
    let little = match &order {
        b"II\x2a\0" => true,
        b"MM\0\x2a" => false,
        _ => return None,
    };
    let short = |b: [u8; 2]| if little { u16::from_le_bytes(b) } else { u16::from_be_bytes(b) };
    let long = |b: [u8; 4]| if little { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) };
    let directory = long(bytes(source)?);
    source.seek(SeekFrom::Start(directory.into())).ok()?;
    let entries = short(bytes(source)?);
    for _ in 0..usize::from(entries).min(STEPS_MAX) {
        let (tag, kind) = (short(bytes(source)?), short(bytes(source)?));
        let (count, value) = (long(bytes(source)?), long(bytes(source)?));
        // Bytes, or bytes of no kind; four of them or fewer are nothing.
        if tag == wanted && matches!(kind, 1 | 7) && count > 4 {
            source.seek(SeekFrom::Start(value.into())).ok()?;
            return block(source, count.into());
        }
    }
    None
}

pub(super) fn bytes<const N: usize>(source: &mut impl Read) -> Option<[u8; N]> {
    let mut buf = [0; N];
    (read_up_to(source, &mut buf).ok()?.len() == N).then_some(buf)
}

/// So many bytes, all of them there; allocated as they come.
pub(super) fn block(source: &mut impl Read, len: u64) -> Option<Vec<u8>> {
    if len > limits::METADATA_BYTES_MAX as u64 {
        return None;
    }
    let mut out = Vec::new();
    let read = source.take(len).read_to_end(&mut out).ok()?;
    (read as u64 == len).then_some(out)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const PACKET: &[u8] = b"<x:xmpmeta/>";

    fn files() -> Vec<(SourceFormat, Vec<u8>)> {
        let len = |n: usize| u16::try_from(n).unwrap();
        let segment = [JPEG_NAMESPACE, PACKET].concat();
        let jpeg = [
            b"\xff\xd8\xff\xe0\0\x04ab\xff\xe1\0\x08Exif\0\0\xff\xe1".as_slice(),
            &len(segment.len() + 2).to_be_bytes(),
            &segment,
            b"\xff\xda",
        ];
        let text = [PNG_KEYWORD, PACKET].concat();
        let png = [
            b"\x89PNG\r\n\x1a\n\0\0\0\x02IHDRxxcccc\0\0".as_slice(),
            &len(text.len()).to_be_bytes(),
            b"iTXt",
            &text,
            b"cccc\0\0\0\0IENDcccc",
        ];
        let webp = [b"RIFF....WEBPVP8X\x03\0\0\0abc\0XMP \x0c\0\0\0".as_slice(), PACKET];
        let tiff = [b"MM\0\x2a\0\0\0\x08\0\x01\x02\xbc\0\x01\0\0\0\x0c\0\0\0\x1a\0\0\0\0".as_slice(), PACKET];
        vec![
            (SourceFormat::Jpeg, jpeg.concat()),
            (SourceFormat::Png, png.concat()),
            (SourceFormat::Webp, webp.concat()),
            (SourceFormat::Tiff, tiff.concat()),
        ]
    }

    #[test]
    fn every_format_s_packet_is_found() {
        for (format, file) in files() {
            assert_eq!(packet(&mut Cursor::new(&file), format).as_deref(), Some(PACKET), "{}", format.name());
        }
    }

    #[test]
    fn cut_and_lying_files_have_none_and_do_no_harm() {
        for (format, file) in files() {
            let whole = file.len();
            for end in 0..whole {
                drop(packet(&mut Cursor::new(&file[..end]), format));
            }
            for at in 0..whole {
                for value in [0, 1, 0x7f, 0xff] {
                    let mut damaged = file.clone();
                    damaged[at] = value;
                    drop(packet(&mut Cursor::new(&damaged), format));
                }
            }
            assert_eq!(packet(&mut Cursor::new(&file[..whole.min(30)]), format), None, "{}", format.name());
        }
    }
}
