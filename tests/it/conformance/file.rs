//! What a reply's file says of itself, read without calotype's own codecs: words such as `components:1` and `dpi:300`.

use super::wire::Reply;

/// Everything that is known of a file.
pub(super) fn words(reply: &Reply) -> Vec<String> {
    let words = match reply.header("content-type") {
        Some("image/jpeg") => jpeg(&reply.body),
        Some("image/png") => png(&reply.body),
        Some("image/gif") => gif(&reply.body),
        Some("image/tiff") => tiff(&reply.body),
        _ => Some(Vec::new()),
    };
    words.unwrap_or_else(|| vec![String::from("cut short")])
}

fn be16(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(*bytes.get(at)?) << 8 | usize::from(*bytes.get(at + 1)?))
}

/// Segments of a JPEG: marker and body; of a scan the header alone.
fn segments(bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut out = Vec::new();
    let mut at = 2;
    loop {
        let (0xff, marker) = (*bytes.get(at)?, *bytes.get(at + 1)?) else { return None };
        if marker == 0xd9 {
            return Some(out);
        }
        let end = at + 2 + be16(bytes, at + 2)?;
        out.push((marker, bytes.get(at + 4..end)?));
        at = end;
        if marker == 0xda {
            let is_end = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff);
            at += bytes[end..].windows(2).position(is_end)?;
        }
    }
}

fn jpeg(bytes: &[u8]) -> Option<Vec<String>> {
    let segments = segments(bytes)?;
    let mut out = vec![format!("scans:{}", segments.iter().filter(|(marker, _)| *marker == 0xda).count())];
    for (marker, body) in &segments {
        match marker {
            0xc0..=0xc2 => {
                out.push(format!("components:{}", body.get(5)?));
                out.push(String::from(if *marker == 0xc2 { "progressive" } else { "sequential" }));
            }
            0xe0 if body.starts_with(b"JFIF\0") && body.get(7) == Some(&1) => {
                out.push(format!("dpi:{}", be16(body, 8)?));
            }
            _ => {}
        }
    }
    Some(out)
}

fn png(bytes: &[u8]) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut at = 8;
    while at < bytes.len() {
        let len = be16(bytes, at)? << 16 | be16(bytes, at + 2)?;
        let (name, body) = (bytes.get(at + 4..at + 8)?, bytes.get(at + 8..at + 8 + len)?);
        match name {
            b"IHDR" => out.extend([format!("depth:{}", body.get(8)?), format!("colour:{}", body.get(9)?)]),
            b"PLTE" => out.push(format!("colours:{}", len / 3)),
            b"tRNS" => out.push(String::from("key")),
            b"pHYs" => {
                let per_metre = be16(body, 0)? << 16 | be16(body, 2)?;
                out.push(format!("dpi:{:.1}", per_metre as f64 * 0.0254));
            }
            _ => {}
        }
        at += 12 + len;
    }
    Some(out)
}

/// Entries of the global palette that pixels have, the key left out; whether there is a key.
fn gif(bytes: &[u8]) -> Option<Vec<String>> {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::Indexed);
    let mut decoder = options.read_info(bytes).ok()?;
    let page = decoder.read_next_frame().ok()??;
    let used: std::collections::BTreeSet<u8> = page.buffer.iter().copied().collect();
    let colours = used.iter().filter(|index| Some(**index) != page.transparent).count();
    Some([format!("colours:{colours}")].into_iter().chain(page.transparent.map(|_| String::from("key"))).collect())
}

/// Compression, samples a pixel, photometric interpretation, density of the first page.
fn tiff(bytes: &[u8]) -> Option<Vec<String>> {
    let mut decoder = tiff::decoder::Decoder::new(std::io::Cursor::new(bytes)).ok()?;
    let mut number = |tag| decoder.find_tag_unsigned::<u32>(tag).ok().flatten();
    let numbers = [
        ("compression", number(tiff::tags::Tag::Compression)),
        ("components", number(tiff::tags::Tag::SamplesPerPixel)),
        ("photometric", number(tiff::tags::Tag::PhotometricInterpretation)),
        ("unit", number(tiff::tags::Tag::ResolutionUnit)),
    ];
    let mut out: Vec<String> =
        numbers.into_iter().filter_map(|(name, number)| Some(format!("{name}:{}", number?))).collect();
    if let Some(tiff::decoder::ifd::Value::Rational(n, d)) = decoder.find_tag(tiff::tags::Tag::XResolution).ok()? {
        out.push(format!("dpi:{}", f64::from(n) / f64::from(d)));
    }
    Some(out)
}

/// Levels of the quantisation tables of a JPEG, all of them: no quality is better in one place and worse in another.
pub(super) fn quantisation(bytes: &[u8]) -> Option<Vec<u8>> {
    let tables = segments(bytes)?.into_iter().filter(|(marker, _)| *marker == 0xdb);
    Some(tables.flat_map(|(_, body)| body.to_vec()).collect())
}
