//! Small files made here: what the encoders cannot write is spliced together by hand.

use calotype::pixel::{Image, PixelFormat, Size};

/// Smooth colours with some texture; alpha, where there is one, from clear to opaque.
#[expect(clippy::cast_possible_truncation, reason = "clamped to 0..=255")]
pub(crate) fn computed(size: Size, format: PixelFormat) -> Image {
    let mut image = Image::new(size, format);
    for (c, plane) in image.planes_mut().iter_mut().enumerate() {
        let size = plane.size();
        for y in 0..size.h as usize {
            for (x, v) in plane.row_mut(y).iter_mut().enumerate() {
                let (fx, fy) = (x as f64 / f64::from(size.w), y as f64 / f64::from(size.h));
                let wave = ((fx * (7.0 + c as f64) + fy * 5.0) * 3.0).sin() * 40.0;
                *v = (128.0 + 80.0 * (fx - fy) + wave).clamp(0.0, 255.0) as u8;
            }
        }
    }
    image
}

/// Puts segments (marker, body without its length) right after a JPEG's first marker.
pub(crate) fn with_segments(jpeg: &[u8], segments: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut out = jpeg[..2].to_vec();
    for (marker, body) in segments {
        let length = u16::try_from(body.len() + 2).expect("a segment below 64 kB");
        out.extend([0xff, *marker]);
        out.extend(length.to_be_bytes());
        out.extend(body);
    }
    out.extend(&jpeg[2..]);
    out
}

/// An ICC profile as the APP2 segments of a JPEG.
pub(crate) fn icc_segments(profile: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let parts: Vec<&[u8]> = profile.chunks(60_000).collect();
    let count = u8::try_from(parts.len()).expect("a profile below 15 MB");
    (1..).zip(parts).map(|(i, part)| (0xe2, [b"ICC_PROFILE\0".as_slice(), &[i, count], part].concat())).collect()
}

/// An EXIF payload with nothing but the orientation, in either byte order.
pub(crate) fn exif(orientation: u8, is_big: bool) -> Vec<u8> {
    if is_big {
        [b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[orientation, 0, 0, 0, 0, 0, 0]]
            .concat()
    } else {
        [b"Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), &[orientation, 0, 0, 0, 0, 0, 0, 0]]
            .concat()
    }
}

/// An image resource of Photoshop: a closed polygon, its corners in parts of the picture's sides.
pub(crate) fn photoshop_path(id: u16, name: &str, corners: &[[f64; 2]]) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "parts of a picture")]
    let fixed = |part: f64| ((part * f64::from(1 << 24)).round() as i32).to_be_bytes();
    let count = u16::try_from(corners.len()).expect("a few corners").to_be_bytes();
    // What fills it, then how many knots the outline has.
    let mut data = [[0, 6].as_slice(), &[0; 24], &[0, 0], &count, &[0; 22]].concat();
    for &[x, y] in corners {
        data.extend([0, 1]);
        (0..3).for_each(|_| data.extend([fixed(y), fixed(x)].concat()));
    }
    let length = u32::try_from(data.len()).expect("a few corners").to_be_bytes();
    let name_length = u8::try_from(name.len()).expect("a short name");
    let mut out = [b"8BIM".as_slice(), &id.to_be_bytes(), &[name_length], name.as_bytes()].concat();
    out.extend(name.len().is_multiple_of(2).then_some(0));
    [out, length.to_vec(), data].concat()
}

/// One chunk of a PNG.
pub(crate) fn png_chunk(tag: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a small chunk");
    let tagged = [tag.as_slice(), body].concat();
    [&length.to_be_bytes()[..], &tagged, &crc32(&tagged).to_be_bytes()].concat()
}

/// Puts chunks right after the PNG's header.
pub(crate) fn with_chunks(png: &[u8], chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let chunks: Vec<u8> = chunks.iter().flat_map(|(tag, body)| png_chunk(tag, body)).collect();
    [&png[..33], &chunks, &png[33..]].concat()
}

/// The body of an iCCP chunk.
pub(crate) fn iccp(profile: &[u8]) -> Vec<u8> {
    [b"profile\0\0".as_slice(), &zlib(profile)].concat()
}

/// A PNG of these filtered bytes: `kind` is colour type, depth and interlace method.
pub(crate) fn png(size: Size, kind: [u8; 3], chunks: &[(&[u8; 4], Vec<u8>)], filtered: &[u8]) -> Vec<u8> {
    let [colour, depth, interlace] = kind;
    let header = [&size.w.to_be_bytes()[..], &size.h.to_be_bytes(), &[depth, colour, 0, 0, interlace]].concat();
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    out.extend(png_chunk(b"IHDR", &header));
    chunks.iter().for_each(|(tag, body)| out.extend(png_chunk(tag, body)));
    out.extend(png_chunk(b"IDAT", &zlib(filtered)));
    out.extend(png_chunk(b"IEND", b""));
    out
}

/// A picture of 8-bit samples as the seven passes of Adam7, unfiltered.
pub(crate) fn adam7(image: &Image) -> Vec<u8> {
    let (w, h, n) = (image.size().w as usize, image.size().h as usize, image.planes().len());
    let samples = image.to_interleaved();
    let mut out = Vec::new();
    for (x0, y0, dx, dy) in
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    {
        for y in (y0..h).step_by(dy).filter(|_| x0 < w) {
            out.push(0);
            (x0..w).step_by(dx).for_each(|x| out.extend(&samples[(y * w + x) * n..][..n]));
        }
    }
    out
}

/// A zlib stream of stored blocks (RFC 1950, RFC 1951 3.2.4).
pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let blocks: Vec<&[u8]> = if bytes.is_empty() { vec![&[]] } else { bytes.chunks(60_000).collect() };
    for (i, block) in blocks.iter().enumerate() {
        let length = u16::try_from(block.len()).expect("at most 60000");
        out.push(u8::from(i + 1 == blocks.len()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(*block);
    }
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    out.extend((b << 16 | a).to_be_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

/// One number of a TIFF tag: its type (3 SHORT, 4 LONG, 7 UNDEFINED) and its values.
pub(crate) type TiffTag = (u16, u16, Vec<u32>);

/// A TIFF of one page with its strips or tiles (`chunks`), in either byte order. The tags for offsets and lengths are
/// added; all others are the caller's.
pub(crate) fn tiff(is_big: bool, is_tiled: bool, mut tags: Vec<TiffTag>, chunks: &[Vec<u8>]) -> Vec<u8> {
    let n16 = |v: u32| {
        let v = u16::try_from(v).expect("a SHORT");
        if is_big { v.to_be_bytes() } else { v.to_le_bytes() }
    };
    let n32 = |v: u32| if is_big { v.to_be_bytes() } else { v.to_le_bytes() };
    let as_u32 = |n: usize| u32::try_from(n).expect("a small file");
    let mut out = if is_big { b"MM\0\x2a\0\0\0\0".to_vec() } else { b"II\x2a\0\0\0\0\0".to_vec() };
    let mut offsets = Vec::new();
    for chunk in chunks {
        offsets.push(as_u32(out.len()));
        out.extend(chunk);
        out.resize(out.len().next_multiple_of(2), 0);
    }
    let (offset_tag, length_tag) = if is_tiled { (324, 325) } else { (273, 279) };
    tags.push((offset_tag, 4, offsets));
    tags.push((length_tag, 4, chunks.iter().map(|c| as_u32(c.len())).collect()));
    tags.sort();
    let mut entries = Vec::new();
    for (tag, kind, values) in &tags {
        let value: Vec<u8> = match kind {
            3 => values.iter().flat_map(|&v| n16(v)).collect(),
            7 => values.iter().map(|&v| u8::try_from(v).expect("a byte")).collect(),
            _ => values.iter().flat_map(|&v| n32(v)).collect(),
        };
        entries.extend([n16((*tag).into()), n16((*kind).into())].concat());
        entries.extend(n32(as_u32(values.len())));
        if value.len() <= 4 {
            entries.extend((0..4).map(|i| value.get(i).copied().unwrap_or(0)));
        } else {
            entries.extend(n32(as_u32(out.len())));
            out.extend(value);
            out.resize(out.len().next_multiple_of(2), 0);
        }
    }
    let directory = as_u32(out.len());
    out[4..8].copy_from_slice(&n32(directory));
    out.extend(n16(as_u32(tags.len())));
    out.extend(entries);
    out.extend([0; 4]);
    out
}

/// Tags that every page needs.
pub(crate) fn tiff_tags(size: Size, bits: &[u32], photometric: u32, rows_per_strip: u32) -> Vec<TiffTag> {
    vec![
        (256, 4, vec![size.w]),
        (257, 4, vec![size.h]),
        (258, 3, bits.to_vec()),
        (259, 3, vec![1]),
        (262, 3, vec![photometric]),
        (277, 3, vec![u32::try_from(bits.len()).expect("few")]),
        (278, 4, vec![rows_per_strip]),
    ]
}

/// A profile for four inks (ICC.1:2001-04, lut16Type): a press that gains in the middle tones and prints a
/// warm black, so that it differs from every shortcut.
#[expect(clippy::cast_possible_truncation, reason = "clamped to the range of what they are written as")]
pub(crate) fn cmyk_profile() -> Vec<u8> {
    const GRID: usize = 7;
    let mut lut = b"mft2\0\0\0\0".to_vec();
    lut.extend([4, 3, GRID as u8, 0]);
    (0..9).for_each(|i| lut.extend(if i % 4 == 0 { 0x0001_0000_u32 } else { 0 }.to_be_bytes()));
    lut.extend([0, 2, 0, 2]);
    (0..4).for_each(|_| lut.extend([0, 0, 0xff, 0xff]));
    for i in 0..GRID.pow(4) {
        let ink = |power: u32| ((i / GRID.pow(power) % GRID) as f64 / (GRID - 1) as f64).powf(0.8);
        let (c, m, y, k) = (ink(3), ink(2), ink(1), ink(0));
        let light = (1.0 - 0.95 * k) * (1.0 - 0.3 * c) * (1.0 - 0.45 * m) * (1.0 - 0.08 * y);
        let lab = [
            95.0 * light.cbrt(),
            ((-20.0 * c + 40.0 * m - 3.0 * y) * (1.0 - k) + 2.0 * k).clamp(-120.0, 120.0),
            ((-27.0 * c - 2.0 * m + 45.0 * y) * (1.0 - k) + 3.0 * k).clamp(-120.0, 120.0),
        ];
        // The 16-bit Lab of version 2: L* 100 is ff00, a* and b* 0 are 8000.
        lut.extend(((lab[0] * 652.8) as u16).to_be_bytes());
        lut.extend((((lab[1] + 128.0) * 256.0) as u16).to_be_bytes());
        lut.extend((((lab[2] + 128.0) * 256.0) as u16).to_be_bytes());
    }
    (0..3).for_each(|_| lut.extend([0, 0, 0xff, 0xff]));
    let mut profile = vec![0; 128];
    profile[8..12].copy_from_slice(&[2, 0x40, 0, 0]);
    profile[12..24].copy_from_slice(b"prtrCMYKLab ");
    profile[36..40].copy_from_slice(b"acsp");
    // The illuminant of the connection space, D50, in 1/65536.
    profile[68..80].copy_from_slice(&[0, 0, 0xf6, 0xd6, 0, 1, 0, 0, 0, 0, 0xd3, 0x2d]);
    profile.extend([0, 0, 0, 1]);
    profile.extend(b"A2B0");
    profile.extend(144_u32.to_be_bytes());
    profile.extend((lut.len() as u32).to_be_bytes());
    profile.extend(lut);
    let length = profile.len() as u32;
    profile[..4].copy_from_slice(&length.to_be_bytes());
    profile
}

/// A CMYK JPEG (0 = no ink) of a smooth sweep through the inks, which the encoder writes as Adobe does: inverted.
pub(crate) fn cmyk_jpeg(size: Size, is_ycck: bool) -> (Vec<u8>, Vec<[u8; 4]>) {
    let mut inks = Vec::new();
    for y in 0..size.h {
        for x in 0..size.w {
            let level = |n: u32, of: u32| u8::try_from(n * 255 / of.max(1)).expect("at most 255");
            inks.push([
                level(x, size.w - 1),
                level(y, size.h - 1),
                level(size.w - 1 - x, size.w - 1),
                level(y, size.h - 1) / 2,
            ]);
        }
    }
    let samples = inks.as_flattened();
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 100);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_1_1);
    let kind = if is_ycck { jpeg_encoder::ColorType::CmykAsYcck } else { jpeg_encoder::ColorType::Cmyk };
    let side = |v| u16::try_from(v).expect("a small picture");
    encoder.encode(samples, side(size.w), side(size.h), kind).expect("bytes");
    (bytes, inks)
}
