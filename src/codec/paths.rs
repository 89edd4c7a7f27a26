//! Paths that Photoshop leaves in JPEG and TIFF files: image resources 2000 to 2997, and the work path.
//!
//! Hostile bytes are walked by their own lengths, so every step is checked, counted and bounded; what is cut or makes no
//! sense ends the walk, and what came before it counts.
//! Source: Adobe Photoshop File Formats Specification, "Image Resource Blocks" and "Path resource format".

use std::io::{Read, Seek, SeekFrom};

use super::xmp::{block, bytes, tiff_tag};
use crate::limits;
use crate::pixel::Size;
use crate::pixel::path::{Outline, Path, Piece, Point};
use crate::plan::{Header, SourceFormat, SourcePath};

/// Begins the JPEG segments whose rests together are the resources.
const JPEG_NAMESPACE: &[u8] = b"Photoshop 3.0\0";
/// The TIFF tag.
pub(super) const TIFF_TAG: u16 = 34_377;
/// The path without a name of its own.
const WORK_PATH: u16 = 1025;
/// Segments or resources that are looked at.
const STEPS_MAX: usize = 4096;
/// Bytes of one record of a path.
const RECORD: usize = 26;

/// The source's paths, in pixels of the upright picture, [`SourcePath::UNITS_PER_PX`] each; none where there are none that
/// can be read, or more points than [`limits::PATH_POINTS_MAX`] in one.
pub(super) fn paths(source: &mut (impl Read + Seek), header: &Header) -> Vec<SourcePath> {
    let resources = match header.format {
        SourceFormat::Jpeg => jpeg(source),
        SourceFormat::Tiff => tiff_tag(source, TIFF_TAG),
        SourceFormat::Png | SourceFormat::Webp | SourceFormat::Gif => None,
    };
    let mut found: Vec<SourcePath> = Vec::new();
    for (id, name, data) in Resources(resources.as_deref().unwrap_or_default()).take(STEPS_MAX) {
        let name = match id {
            WORK_PATH => String::from("Work Path"),
            2000..=2997 => String::from_utf8_lossy(name).into_owned(),
            _ => continue,
        };
        if found.len() < limits::PATH_NAMES_MAX
            && let Some((path, is_closed)) = read(data, |point| placed(point, header))
        {
            found.push(SourcePath { name, path, is_closed });
        }
    }
    found
}

/// The rests of all segments of resources, one after the other: a resource may begin in one and end in the next.
fn jpeg(source: &mut (impl Read + Seek)) -> Option<Vec<u8>> {
    source.seek(SeekFrom::Start(0)).ok()?;
    bytes::<2>(source)?;
    let mut out = Vec::new();
    for _ in 0..STEPS_MAX {
        let Some([0xff, kind]) = bytes::<2>(source) else { break };
        // The pixels begin.
        if kind == 0xda {
            break;
        }
        let len = bytes(source).map(u16::from_be_bytes).and_then(|len| len.checked_sub(2));
        let Some(len) = len else { break };
        if kind == 0xed && out.len() <= limits::METADATA_BYTES_MAX {
            let Some(segment) = block(source, len.into()) else { break };
            out.extend_from_slice(segment.strip_prefix(JPEG_NAMESPACE).unwrap_or_default());
        } else if source.seek(SeekFrom::Current(len.into())).is_err() {
            break;
        }
    }
    Some(out)
}

/// Image resources: id, name, data.
struct Resources<'a>(&'a [u8]);

impl<'a> Iterator for Resources<'a> {
    type Item = (u16, &'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0.strip_prefix(b"8BIM")?;
        let (id, rest) = rest.split_first_chunk::<2>()?;
        let name_len = usize::from(*rest.first()?);
        let name = rest.get(1..=name_len)?;
        // Length byte and name together are even, and so is the data.
        let rest = rest.get((name_len + 1).next_multiple_of(2)..)?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
        let data = rest.get(..len)?;
        self.0 = rest.get(len.next_multiple_of(2)..).unwrap_or_default();
        Some((u16::from_be_bytes(*id), name, data))
    }
}

/// A path from its records, and whether it has closed outlines alone; `None`: none of them has two knots.
fn read(data: &[u8], place: impl Fn([i32; 2]) -> Point) -> Option<(Path, bool)> {
    let mut path = Path::default();
    let mut is_all_closed = true;
    let mut points = 0;
    let mut records = data.chunks_exact(RECORD);
    while let Some(record) = records.next() {
        let selector = u16::from_be_bytes([record[0], record[1]]);
        // 0 and 3: how many knots the closed or open outline has that begins here; others tell of something else.
        if !matches!(selector, 0 | 3) {
            continue;
        }
        let count = usize::from(u16::from_be_bytes([record[2], record[3]]));
        points += 3 * count;
        if points > limits::PATH_POINTS_MAX {
            return None;
        }
        let knots: Vec<[Point; 3]> = records.by_ref().take(count).map(|record| knot(record, &place)).collect();
        if knots.len() < count {
            return None;
        }
        if let Some(outline) = outline(&knots, selector == 0) {
            path.outlines.push(outline);
            is_all_closed &= selector == 0;
        }
    }
    (!path.outlines.is_empty()).then_some((path, is_all_closed))
}

/// Three points, each down and then across, in 2⁻²⁴ of the picture's sides: the control point before the knot, the knot,
/// the one after it.
fn knot(record: &[u8], place: impl Fn([i32; 2]) -> Point) -> [Point; 3] {
    let number = |at: usize| i32::from_be_bytes(std::array::from_fn(|i| record[at + i]));
    std::array::from_fn(|i| place([number(2 + 8 * i + 4), number(2 + 8 * i)]))
}

fn outline(knots: &[[Point; 3]], is_closed: bool) -> Option<Outline> {
    let &[_, start, _] = knots.first().filter(|_| knots.len() > 1)?;
    let next = knots.iter().skip(1).chain(is_closed.then_some(&knots[0]));
    let piece = |(&[_, from, a], &[b, to, _]): (&[Point; 3], &[Point; 3])| match (a == from, b == to) {
        (true, true) => Piece::Line(to),
        _ => Piece::Curve([a, b, to]),
    };
    Some(Outline { start, pieces: knots.iter().zip(next).map(piece).collect() })
}

/// The bodies of JPEG segments that hold `paths` of a picture of `size`; none without a path.
pub(super) fn jpeg_segments(paths: &[SourcePath], size: Size) -> Vec<Vec<u8>> {
    // A segment's length counts itself.
    const MOST: usize = 65_533 - JPEG_NAMESPACE.len();
    resources(paths, size).chunks(MOST).map(|part| [JPEG_NAMESPACE, part].concat()).collect()
}

/// Paths as image resources, numbered from 2000 on.
pub(super) fn resources(paths: &[SourcePath], size: Size) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, SourcePath { name, path, .. }) in (2000_u16..=2997).zip(paths) {
        let name = &name.as_bytes()[..name.len().min(255)];
        let records: Vec<u8> = path.outlines.iter().flat_map(|outline| written(outline, size)).collect();
        let fill = [[0, 6].as_slice(), &[0; RECORD - 2]].concat();
        out.extend_from_slice(b"8BIM");
        out.extend(id.to_be_bytes());
        // No longer than a byte tells, a few lines above; records are bounded by the points of a path.
        out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(name);
        out.extend(name.len().is_multiple_of(2).then_some(0));
        out.extend(u32::try_from(fill.len() + records.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(fill);
        out.extend(records);
    }
    out
}

/// The records of a closed outline: how many knots, then each of them.
fn written(outline: &Outline, size: Size) -> Vec<u8> {
    let Outline { start, pieces } = outline;
    let mut knots = vec![[*start; 3]];
    for piece in pieces {
        let (a, b, to) = match *piece {
            Piece::Line(to) => (knots[knots.len() - 1][1], to, to),
            Piece::Curve([a, b, to]) => (a, b, to),
        };
        let last = knots.len() - 1;
        knots[last][2] = a;
        knots.push([b, to, to]);
    }
    // The last one is the first, where the outline closes itself.
    if let [[_, first, _], .., [before, last, _]] = knots[..]
        && first == last
    {
        knots[0][0] = before;
        knots.pop();
    }
    let sides = [i64::from(size.h), i64::from(size.w)];
    let part = |v: i64, side: i64| {
        let part = v * ((1 << 24) / SourcePath::UNITS_PER_PX) / side;
        i32::try_from(part).unwrap_or(if part < 0 { i32::MIN } else { i32::MAX }).to_be_bytes()
    };
    let count = u16::try_from(knots.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut out = [[0, 0].as_slice(), &count, &[0; RECORD - 4]].concat();
    for knot in knots {
        let is_smooth = knot[0] != knot[1] && knot[2] != knot[1];
        out.extend([0, if is_smooth { 1 } else { 2 }]);
        knot.iter().for_each(|[x, y]| out.extend([part(*y, sides[0]), part(*x, sides[1])].concat()));
    }
    out
}

/// A point of the file, across and down in 2⁻²⁴ of its sides, in the upright picture.
fn placed([x, y]: [i32; 2], header: &Header) -> Point {
    const WHOLE: i64 = 1 << 24;
    let (x, y) = (i64::from(x), i64::from(y));
    let (left, top) = (WHOLE - x, WHOLE - y);
    let upright = match header.orientation {
        2 => [left, y],
        3 => [left, top],
        4 => [x, top],
        5 => [y, x],
        6 => [top, x],
        7 => [top, left],
        8 => [y, left],
        _ => [x, y],
    };
    let Size { w, h } = header.size;
    std::array::from_fn(|i| upright[i] * i64::from([w, h][i]) / (WHOLE / SourcePath::UNITS_PER_PX))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::pixel::PixelFormat;

    fn header(format: SourceFormat, orientation: u8) -> Header {
        let size = if orientation > 4 { Size::new(200, 100) } else { Size::new(100, 200) };
        Header {
            format,
            size,
            native: PixelFormat::RGB,
            converts_profile: false,
            orientation,
            decoder_bytes: 0,
            density: None,
        }
    }

    /// A resource of a closed triangle with one bent side, and of an open line after it.
    fn resource(id: u16, name: &str) -> Vec<u8> {
        #[expect(clippy::cast_possible_truncation, reason = "parts of a picture")]
        let fixed = |part: f64| ((part * f64::from(1 << 24)).round() as i32).to_be_bytes();
        let mut data = [[0, 6].as_slice(), &[0; 24], &[0, 0, 0, 3], &[0; 22]].concat();
        let knot = |selector: u8, points: [[f64; 2]; 3]| {
            let points: Vec<u8> = points.iter().flat_map(|&[x, y]| [fixed(y), fixed(x)].concat()).collect();
            [[0, selector].as_slice(), &points].concat()
        };
        data.extend(knot(1, [[0.1, 0.1], [0.1, 0.1], [0.3, 0.0]]));
        data.extend(knot(2, [[0.7, 0.0], [0.9, 0.1], [0.9, 0.1]]));
        data.extend(knot(2, [[0.5, 0.5]; 3]));
        let name = [&[u8::try_from(name.len()).unwrap()], name.as_bytes(), &[0][..1 - name.len() % 2]].concat();
        let len = u32::try_from(data.len()).unwrap().to_be_bytes();
        [b"8BIM".as_slice(), &id.to_be_bytes(), &name, &len, &data].concat()
    }

    fn jpeg_of(resources: &[u8]) -> Vec<u8> {
        // In two segments, cut inside a resource.
        let segment = |part: &[u8]| {
            let len = u16::try_from(2 + JPEG_NAMESPACE.len() + part.len()).unwrap().to_be_bytes();
            [b"\xff\xed".as_slice(), &len, JPEG_NAMESPACE, part].concat()
        };
        let (first, second) = resources.split_at(resources.len() / 2);
        [b"\xff\xd8\xff\xe0\0\x04ab".as_slice(), &segment(first), b"\xff\xfe\0\x04xx", &segment(second), b"\xff\xda"]
            .concat()
    }

    fn tiff_of(resources: &[u8]) -> Vec<u8> {
        let len = u32::try_from(resources.len()).unwrap().to_be_bytes();
        [b"MM\0\x2a\0\0\0\x08\0\x01\x86\x49\0\x01".as_slice(), &len, b"\0\0\0\x1a\0\0\0\0", resources].concat()
    }

    fn px(path: &SourcePath) -> Vec<[i64; 2]> {
        let outline = &path.path.outlines[0];
        let all = std::iter::once(outline.start).chain(outline.pieces.iter().map(Piece::end));
        all.map(|point| point.map(|v| (v + SourcePath::UNITS_PER_PX / 2).div_euclid(SourcePath::UNITS_PER_PX)))
            .collect()
    }

    #[test]
    fn paths_are_found_by_name() {
        let resources =
            [resource(2000, "Bag"), resource(1036, "thumb"), resource(1025, ""), resource(2999, "Bag")].concat();
        for (format, file) in [(SourceFormat::Jpeg, jpeg_of(&resources)), (SourceFormat::Tiff, tiff_of(&resources))] {
            let found = paths(&mut Cursor::new(&file), &header(format, 1));
            let names: Vec<&str> = found.iter().map(|path| path.name.as_str()).collect();
            assert_eq!(names, ["Bag", "Work Path"], "{}", format.name());
            assert!(found[0].is_closed);
            let outline = &found[0].path.outlines[0];
            assert!(matches!(outline.pieces[..], [Piece::Curve(_), Piece::Line(_), Piece::Line(_)]), "{outline:?}");
            assert_eq!(px(&found[0]), [[10, 20], [90, 20], [50, 100], [10, 20]]);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let file = jpeg_of(&[resource(2000, "Bag"), resource(2001, "Even")].concat());
        let header = header(SourceFormat::Jpeg, 1);
        let found = paths(&mut Cursor::new(&file), &header);
        assert_eq!(found.len(), 2);
        let segments = jpeg_segments(&found, header.size);
        assert_eq!(segments.len(), 1);
        let length = u16::try_from(segments[0].len() + 2).unwrap().to_be_bytes();
        let again = [b"\xff\xd8\xff\xed".as_slice(), &length, &segments[0], b"\xff\xda"].concat();
        let again = paths(&mut Cursor::new(&again), &header);
        for (a, b) in found.iter().zip(&again) {
            assert_eq!((&a.name, a.is_closed, px(a)), (&b.name, b.is_closed, px(b)));
        }
        assert_eq!(again.len(), 2);
        assert!(jpeg_segments(&[], header.size).is_empty());
        // In as many segments as it takes.
        let many: Vec<SourcePath> = found.iter().cycle().take(900).cloned().collect();
        let segments = jpeg_segments(&many, header.size);
        assert!(segments.len() > 1 && segments.iter().all(|segment| segment.len() <= 65_533));
    }

    #[test]
    fn paths_are_turned_upright() {
        let file = jpeg_of(&resource(2000, "A"));
        for (orientation, start) in [
            (2, [90, 20]),
            (3, [90, 180]),
            (4, [10, 180]),
            (5, [20, 10]),
            (6, [180, 10]),
            (7, [180, 90]),
            (8, [20, 90]),
        ] {
            let found = paths(&mut Cursor::new(&file), &header(SourceFormat::Jpeg, orientation));
            assert_eq!(px(&found[0])[0], start, "orientation {orientation}");
        }
    }

    #[test]
    fn cut_and_lying_files_do_no_harm() {
        let resources = [resource(2000, "Bag"), resource(2001, "x")].concat();
        for (format, file) in [(SourceFormat::Jpeg, jpeg_of(&resources)), (SourceFormat::Tiff, tiff_of(&resources))] {
            let header = header(format, 1);
            for end in 0..file.len() {
                drop(paths(&mut Cursor::new(&file[..end]), &header));
            }
            for at in 0..file.len() {
                for value in [0, 1, 0x7f, 0x80, 0xff] {
                    let mut damaged = file.clone();
                    damaged[at] = value;
                    drop(paths(&mut Cursor::new(&damaged), &header));
                }
            }
        }
        // More knots than there are, and more than there may be.
        let mut many = resource(2000, "A");
        let count = many.windows(4).position(|w| w == [0, 0, 0, 3]).unwrap() + 3;
        many[count] = 9;
        assert!(paths(&mut Cursor::new(jpeg_of(&many)), &header(SourceFormat::Jpeg, 1)).is_empty());
    }
}
