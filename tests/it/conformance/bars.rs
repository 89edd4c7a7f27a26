//! Sources with bars at known places, and the measurement that finds them again in a reply.
//!
//! A source is grey bars, `64 + 70·X(x) + 70·Y(y)`, X and Y switching between 0 and 1 at edges of irregular distance, so
//! that every stretch looks like no other. Mean columns of a reply show X alone, mean rows Y alone, whatever noise the
//! codec adds. The left half is a little redder, the right half a little bluer, which shows a mirror or an exchange of
//! channels. Where bars are looked for, the mean columns (rows) that the mapping predicts are slid along those measured,
//! in steps of a twentieth of a pixel, for the first and the second half of the picture apart: both must fit best within
//! half a pixel, which bounds offset and scale.

use std::fs;
use std::path::Path;

use calotype::codec;
use calotype::pixel::{Image, PixelFormat, Size};
use calotype::plan::EncodeSpec;
use tempfile::TempDir;
use tiff::encoder::colortype;
use tiff::tags::Tag;

use super::pixels::Picture;
use super::rows::{Place, Rect, Shown};
use crate::codecs::make::photoshop_path;

/// A computed source.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: &'static str,
    file: &'static str,
    size: Size,
    /// Where it is transparent, in parts of its size.
    hole: Option<Rect>,
}

const fn source(name: &'static str, file: &'static str, w: u32, h: u32) -> Source {
    Source { name, file, size: Size::new(w, h), hole: None }
}

/// The sources of the reference's examples.
pub(super) const SOURCES: [Source; 7] = [
    source("A", "A.jpg", 3000, 2000),
    source("B", "B.jpg", 800, 600),
    Source { hole: Some(Rect { x: 0.2, y: 0.4, w: 0.3, h: 0.5 }), ..source("P", "P.png", 1000, 500) },
    source("T", "T.tif", 2000, 3000),
    source("Q", "Q.jpg", 4000, 3000),
    source("S", "S.jpg", 1000, 750),
    source("K", "K.tif", 2000, 2400),
];

/// The difference of red and blue, half of it each way.
const TINT: f64 = 15.0;
/// How far from where they should be the bars of one half may be on average, px; half a pixel at its ends.
const SHIFT_MAX: f64 = 0.25;
/// A measured profile is this close to the predicted one where it fits best, levels (root of the mean square).
const MISFIT_MAX: f64 = 14.0;
/// And this much worse one and a half pixels off, or the profile holds too little to tell.
const CONTRAST_MIN: f64 = 2.0;

impl Source {
    /// Bars along an axis of `len` samples: 0 or 1 each.
    fn bars(&self, horizontal: bool) -> Vec<f64> {
        let len = if horizontal { self.size.w } else { self.size.h };
        let mut seed = u64::from(self.size.w) << 33 | u64::from(self.size.h) << 1 | u64::from(horizontal);
        let mut bars = Vec::with_capacity(len as usize);
        let mut level = 0.0;
        while bars.len() < len as usize {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let width = len / 64 + u32::try_from(seed >> 40).expect("24 bits") % (len / 40);
            bars.extend(std::iter::repeat_n(level, width as usize));
            level = 1.0 - level;
        }
        bars.truncate(len as usize);
        bars
    }

    /// R G B A of every pixel, from the bars of both axes.
    fn pixel(&self, bars: [&[f64]; 2], x: u32, y: u32) -> [u8; 4] {
        let grey = 64.0 + 70.0 * bars[0][x as usize] + 70.0 * bars[1][y as usize];
        let tint = if x < self.size.w / 2 { TINT } else { -TINT };
        let (px, py) = (f64::from(x) / f64::from(self.size.w), f64::from(y) / f64::from(self.size.h));
        let clear = self.hole.is_some_and(|h| px >= h.x && px < h.x + h.w && py >= h.y && py < h.y + h.h);
        [byte(grey + tint), byte(grey), byte(grey - tint), if clear { 0 } else { 255 }]
    }

    fn image(&self) -> Image {
        let (across, down) = (self.bars(true), self.bars(false));
        let format = if self.hole.is_some() { PixelFormat::RGBA } else { PixelFormat::RGB };
        let mut image = Image::new(self.size, format);
        for (channel, plane) in image.planes_mut().iter_mut().enumerate() {
            for y in 0..self.size.h {
                for (x, v) in (0..self.size.w).zip(plane.row_mut(y as usize)) {
                    *v = self.pixel([&across, &down], x, y)[channel];
                }
            }
        }
        image
    }

    /// The hole in pixels of the source.
    fn hole_px(&self) -> Option<Rect> {
        let (w, h) = (f64::from(self.size.w), f64::from(self.size.h));
        self.hole.map(|hole| Rect { x: hole.x * w, y: hole.y * h, w: hole.w * w, h: hole.h * h })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "levels of 49 to 219")]
fn byte(level: f64) -> u8 {
    level.round() as u8
}

/// All sources as files of one folder.
pub(super) fn write_sources() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::thread::scope(|scope| {
        for source in &SOURCES {
            let path = dir.path().join(source.file);
            scope.spawn(move || write(source, &path));
        }
    });
    dir
}

fn write(source: &Source, path: &Path) {
    let image = source.image();
    match source.file.rsplit_once('.') {
        Some((_, "jpg")) => {
            let mut encoder = jpeg_encoder::Encoder::new_file(path, 95).expect("writable");
            encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_2_0);
            let [w, h] = [source.size.w, source.size.h].map(|side| u16::try_from(side).expect("a small source"));
            encoder.encode(&image.to_interleaved(), w, h, jpeg_encoder::ColorType::Rgb).expect("a JPEG");
        }
        Some((_, "png")) => fs::write(path, codec::encode(&image, &EncodeSpec::Png).expect("a PNG")).expect("writable"),
        _ => {
            let file = fs::File::create(path).expect("writable");
            let mut encoder = tiff::encoder::TiffEncoder::new(file).expect("a TIFF");
            let Size { w, h } = source.size;
            if source.name != "K" {
                encoder.write_image::<colortype::RGB8>(w, h, &image.to_interleaved()).expect("a TIFF");
                return;
            }
            // Inks that come out as these colours, and a path called Bag.
            let inks: Vec<u8> = image
                .to_interleaved()
                .as_chunks()
                .0
                .iter()
                .flat_map(|[r, g, b]| [255 - r, 255 - g, 255 - b, 0])
                .collect();
            let mut page = encoder.new_image::<colortype::CMYK8>(w, h).expect("a TIFF");
            let corners = [[600, 700], [1100, 700], [1100, 1300], [600, 1300]];
            let corners = corners.map(|[x, y]| [f64::from(x) / f64::from(w), f64::from(y) / f64::from(h)]);
            page.encoder().write_tag(Tag::Unknown(34_377), &photoshop_path(2000, "Bag", &corners)[..]).expect("a tag");
            page.write_data(&inks).expect("a TIFF");
        }
    }
}

/// What an exact server would show under `place`, without a codec: every view pixel the mean of what it covers.
pub(super) fn ideal(source: &Source, place: &Place, view: Size) -> Picture {
    const PARTS: u32 = 8;
    let (across, down) = (source.bars(true), source.bars(false));
    let mapping = [Mapping::new(place, source, view, true), Mapping::new(place, source, view, false)];
    Picture::new(view, place.pad == Some(Shown::Clear), |x, y| {
        let seen = mapping[0].shows(x) && mapping[1].shows(y);
        match (seen, place.pad) {
            (true, _) => {
                let mut sums = [0; 4];
                for part in 0..PARTS * PARTS {
                    let along = |at: u32, part: u32| f64::from(at) + (f64::from(part) + 0.5) / f64::from(PARTS);
                    let sx = mapping[0].source(along(x, part % PARTS));
                    let sy = mapping[1].source(along(y, part / PARTS));
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "inside the source")]
                    let px = source.pixel([&across, &down], sx as u32, sy as u32);
                    sums = std::array::from_fn(|c| sums[c] + u32::from(px[c]));
                }
                sums.map(|sum| u8::try_from(sum / (PARTS * PARTS)).expect("a mean of bytes"))
            }
            (false, Some(Shown::Colour([r, g, b]))) => [r, g, b, 255],
            (false, _) => [0; 4],
        }
    })
}

/// One axis of a [`Place`].
#[derive(Clone, Copy, Debug)]
struct Mapping {
    /// Where the source rectangle starts in the view, px.
    dst: f64,
    /// Where it starts in the source.
    src: f64,
    /// Source samples per view pixel.
    step: f64,
    /// View pixels that show the picture: from, to.
    seen: [u32; 2],
}

impl Mapping {
    fn new(place: &Place, source: &Source, view: Size, horizontal: bool) -> Self {
        let (dst, dst_len, src, src_len, len, view) = if horizontal {
            (place.dst.x, place.dst.w, place.src.x, place.src.w, source.size.w, view.w)
        } else {
            (place.dst.y, place.dst.h, place.src.y, place.src.h, source.size.h, view.h)
        };
        assert!(src >= 0.0 && src + src_len <= f64::from(len), "a part outside the source");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "inside the view")]
        let seen = [dst.max(0.0) as u32, (dst + dst_len).min(f64::from(view)).max(0.0) as u32];
        Self { dst, src, step: src_len / dst_len, seen }
    }

    /// Source coordinate of a view coordinate.
    fn source(&self, view: f64) -> f64 {
        self.src + (view - self.dst) * self.step
    }

    /// View coordinate of a source coordinate.
    fn view(&self, source: f64) -> f64 {
        self.dst + (source - self.src) / self.step
    }

    fn shows(&self, at: u32) -> bool {
        (self.seen[0]..self.seen[1]).contains(&at)
    }

    /// View pixels well inside source coordinates `from..to`, `margin` px off their ends.
    fn inside(&self, from: f64, to: f64, margin: f64) -> impl Iterator<Item = u32> + Clone {
        let (from, to) = (self.view(from) + margin, self.view(to) - margin);
        (self.seen[0]..self.seen[1]).filter(move |&at| f64::from(at) >= from && f64::from(at + 1) <= to)
    }
}

/// Whether `picture` shows `source` as `place` says.
pub(super) fn check(picture: &Picture, source: &Source, place: &Place, lossy: bool) -> Result<(), String> {
    let view = picture.size();
    let (x, y) = (Mapping::new(place, source, view, true), Mapping::new(place, source, view, false));
    // Bars are read where no hole is.
    let (rows, columns) = match source.hole_px() {
        Some(hole) => (y.inside(0.0, hole.y, 2.0), x.inside(hole.x + hole.w, f64::from(source.size.w), 2.0)),
        None => (y.inside(0.0, f64::from(source.size.h), 0.0), x.inside(0.0, f64::from(source.size.w), 0.0)),
    };
    let (rows, mut columns): (Vec<u32>, Vec<u32>) = (rows.collect(), columns.collect());
    if let (true, Some(hole)) = (columns.is_empty(), source.hole_px()) {
        // To its right nothing is visible.
        columns = x.inside(0.0, hole.x, 2.0).collect();
    }
    if rows.len() < 8 || columns.len() < 8 {
        return Err(String::from("too little of the picture is visible to measure"));
    }
    let across = (x.seen[0]..x.seen[1]).map(|at| mean(rows.iter().map(|&row| picture.luma(at, row))));
    let down = (y.seen[0]..y.seen[1]).map(|at| mean(columns.iter().map(|&column| picture.luma(column, at))));
    fits(&across.collect::<Vec<_>>(), &x, &source.bars(true)).map_err(|e| format!("columns {e}"))?;
    fits(&down.collect::<Vec<_>>(), &y, &source.bars(false)).map_err(|e| format!("rows {e}"))?;
    if place.is_grey {
        colourless(picture)?;
    } else {
        tinted(picture, source, &x, &rows)?;
    }
    padded(picture, place.pad, &x, &y, lossy)?;
    holed(picture, source, place, &x, &y)
}

/// Whether `picture` is the alpha of `source` where `place` says, and black elsewhere.
pub(super) fn is_matte(picture: &Picture, source: &Source, place: &Place) -> Result<(), String> {
    colourless(picture)?;
    let view = picture.size();
    let (x, y) = (Mapping::new(place, source, view, true), Mapping::new(place, source, view, false));
    let hole = source.hole_px().ok_or("a source without a hole")?;
    let (mut dark, mut bright) = (0, 0);
    for row in 0..view.h {
        for column in 0..view.w {
            let (sx, sy) = (x.source(f64::from(column) + 0.5), y.source(f64::from(row) + 0.5));
            // From the hole's nearer edge inwards, in pixels of the view.
            let inside = |at: f64, from: f64, len: f64, step: f64| (at - from).min(from + len - at) / step;
            let depth = inside(sx, hole.x, hole.w, x.step).min(inside(sy, hole.y, hole.h, y.step));
            let got = picture.at(column, row)[0];
            let (dim, want) = (depth > 1.5, if depth > 0.0 { 0 } else { 255 });
            (dark, bright) = (dark + u32::from(dim), bright + u32::from(depth < -1.5));
            // At its edges JPEG rings.
            if depth.abs() > 9.0 && u8::abs_diff(got, want) > 6 || depth.abs() > 1.5 && u8::abs_diff(got, want) > 40 {
                return Err(format!("{got} instead of {want} at {column},{row}"));
            }
        }
    }
    if dark < 100 || bright < 100 { Err(format!("too little to see: {dark}, {bright}")) } else { Ok(()) }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
    sum / count
}

/// Both halves of a measured profile fit the predicted one best within [`SHIFT_MAX`].
fn fits(measured: &[f64], mapping: &Mapping, bars: &[f64]) -> Result<(), String> {
    let sums: Vec<f64> = std::iter::once(0.0)
        .chain(bars.iter().scan(0.0, |sum, v| {
            *sum += 70.0 * v;
            Some(*sum)
        }))
        .collect();
    // The integral of the bars up to a source coordinate; beyond the ends nothing is added.
    let integral = |at: f64| {
        let at = at.clamp(0.0, bars.len() as f64);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the bars")]
        let (whole, part) = (at.floor() as usize, at.fract());
        sums[whole] + if part > 0.0 { part * (sums[whole + 1] - sums[whole]) } else { 0.0 }
    };
    let half = measured.len() / 2;
    for (name, part) in [("first half", 0..half), ("second half", half..measured.len())] {
        let misfit = |shift: f64| {
            let predicted = part.clone().map(|i| {
                let left = f64::from(mapping.seen[0]) + i as f64 - shift;
                (integral(mapping.source(left + 1.0)) - integral(mapping.source(left))) / mapping.step
            });
            let errors: Vec<f64> = predicted.zip(&measured[part.clone()]).map(|(p, m)| m - p).collect();
            // Bars of the other axis add a constant.
            let offset = mean(errors.iter().copied());
            mean(errors.iter().map(|e| (e - offset).powi(2))).sqrt()
        };
        let shifts = (-60..=60).map(|i| f64::from(i) * 0.05);
        let (best, shift) =
            shifts.map(|shift| (misfit(shift), shift)).fold((f64::MAX, 0.0), |a, b| if b.0 < a.0 { b } else { a });
        if shift.abs() > SHIFT_MAX {
            return Err(format!(
                "({name}): bars are {shift:.2} px from where they should be (misfit {best:.1} there, {:.1} here)",
                misfit(0.0)
            ));
        }
        if best > MISFIT_MAX {
            return Err(format!("({name}): not the bars of this source: misfit {best:.1} levels"));
        }
        let contrast = misfit(shift - 1.5).min(misfit(shift + 1.5)) - best;
        if contrast < CONTRAST_MIN {
            return Err(format!("({name}): too few bars to tell (contrast {contrast:.1})"));
        }
    }
    Ok(())
}

/// R = G = B everywhere.
fn colourless(picture: &Picture) -> Result<(), String> {
    let size = picture.size();
    let places = (0..size.h).flat_map(|y| (0..size.w).map(move |x| (x, y)));
    let coloured = places.map(|(x, y)| (x, y, picture.at(x, y))).find(|(.., [r, g, b, _])| r != g || g != b);
    coloured.map_or(Ok(()), |(x, y, px)| Err(format!("colour at {x},{y}: {px:?}")))
}

/// Left half redder, right half bluer.
fn tinted(picture: &Picture, source: &Source, x: &Mapping, rows: &[u32]) -> Result<(), String> {
    let middle = f64::from(source.size.w) / 2.0;
    for (from, to, want) in [(0.0, middle, 2.0 * TINT), (middle, f64::from(source.size.w), -2.0 * TINT)] {
        let columns: Vec<u32> = x.inside(from, to, 4.0).collect();
        if columns.len() < 4 {
            continue;
        }
        let difference = |at: u32, row: u32| {
            let [r, _, b, _] = picture.at(at, row);
            f64::from(r) - f64::from(b)
        };
        let got = mean(columns.iter().flat_map(|&at| rows.iter().map(move |&row| difference(at, row))));
        if (got - want).abs() > 6.0 {
            return Err(format!("red − blue is {got:.1} instead of {want:.1} in source columns {from} to {to}"));
        }
    }
    Ok(())
}

/// Everything outside the picture is padding, and the picture begins exactly where it should.
fn padded(picture: &Picture, pad: Option<Shown>, x: &Mapping, y: &Mapping, lossy: bool) -> Result<(), String> {
    let view = picture.size();
    let sides = [x.seen[0] > 0, x.seen[1] < view.w, y.seen[0] > 0, y.seen[1] < view.h];
    let Some(pad) = pad else {
        return if sides.contains(&true) { Err(format!("no colour given for padding: {sides:?}")) } else { Ok(()) };
    };
    if !sides.contains(&true) {
        return Err(String::from("padding asserted where the picture fills the view"));
    }
    // A JPEG's blocks smear over the picture's edge.
    let (margin, tolerance) = if lossy { (18, 6) } else { (0, 0) };
    for row in 0..view.h {
        for column in 0..view.w {
            let near = |at: u32, seen: [u32; 2]| at + margin >= seen[0] && at < seen[1] + margin;
            if !(near(column, x.seen) && near(row, y.seen) || is(picture.at(column, row), pad, tolerance)) {
                return Err(format!("padding at {column},{row} is {:?} instead of {pad:?}", picture.at(column, row)));
            }
        }
    }
    // The last line of padding is like padding, the first line of picture is not.
    let far = |px: [u8; 4]| match pad {
        Shown::Clear => f64::from(px[3]),
        Shown::Colour(colour) => (0..3).map(|c| (f64::from(px[c]) - f64::from(colour[c])).abs()).sum::<f64>() / 3.0,
    };
    let column = |at: u32| mean((y.seen[0]..y.seen[1]).map(|row| far(picture.at(at, row))));
    let row = |at: u32| mean((x.seen[0]..x.seen[1]).map(|column| far(picture.at(column, at))));
    let [left, right, top, bottom] = sides;
    let borders = [
        left.then(|| (column(x.seen[0] - 1), column(x.seen[0]), "left")),
        right.then(|| (column(x.seen[1]), column(x.seen[1] - 1), "right")),
        top.then(|| (row(y.seen[0] - 1), row(y.seen[0]), "top")),
        bottom.then(|| (row(y.seen[1]), row(y.seen[1] - 1), "bottom")),
    ];
    for (outside, inside, side) in borders.into_iter().flatten() {
        if outside > 24.0 || inside < 36.0 {
            return Err(format!("{side} border: {outside:.0} levels from padding outside, {inside:.0} inside"));
        }
    }
    Ok(())
}

/// Whether one pixel is what it should be, but for what a codec adds.
pub(super) fn shows(picture: &Picture, x: u32, y: u32, want: Shown) -> Result<(), String> {
    let px = picture.at(x, y);
    if is(px, want, 6) { Ok(()) } else { Err(format!("{px:?} at {x},{y} instead of {want:?}")) }
}

fn is(px: [u8; 4], want: Shown, tolerance: u8) -> bool {
    match want {
        Shown::Clear => px[3] == 0,
        Shown::Colour(colour) => px[3] == 255 && (0..3).all(|c| px[c].abs_diff(colour[c]) <= tolerance),
    }
}

/// The source's hole shows what it should, and nothing else is transparent.
fn holed(picture: &Picture, source: &Source, place: &Place, x: &Mapping, y: &Mapping) -> Result<(), String> {
    let hole = match (source.hole_px(), place.hole) {
        (Some(hole), Some(shown)) => Some((hole, shown)),
        (None, None) => None,
        (_, asserted) => return Err(format!("hole of the source and of the row disagree: {asserted:?}")),
    };
    if let Some((hole, shown)) = hole {
        let rows: Vec<u32> = y.inside(hole.y, hole.y + hole.h, 9.0).collect();
        let columns: Vec<u32> = x.inside(hole.x, hole.x + hole.w, 9.0).collect();
        if rows.is_empty() || columns.is_empty() {
            return Err(String::from("too little of the hole is visible"));
        }
        for &row in &rows {
            for &column in &columns {
                if !is(picture.at(column, row), shown, 6) {
                    return Err(format!(
                        "hole at {column},{row} is {:?} instead of {shown:?}",
                        picture.at(column, row)
                    ));
                }
            }
        }
    }
    let clear = place.pad == Some(Shown::Clear) || place.hole == Some(Shown::Clear);
    if picture.has_alpha != clear {
        return Err(format!("an alpha channel: {}", picture.has_alpha));
    }
    for row in y.seen[0]..y.seen[1] {
        for column in x.seen[0]..x.seen[1] {
            let (sx, sy) = (x.source(f64::from(column) + 0.5), y.source(f64::from(row) + 0.5));
            let margin = 4.0;
            let near = hole.is_some_and(|(hole, _)| {
                let within = |at: f64, from: f64, len: f64, step: f64| {
                    at > from - margin * step.max(1.0) && at < from + len + margin * step.max(1.0)
                };
                within(sx, hole.x, hole.w, x.step) && within(sy, hole.y, hole.h, y.step)
            });
            if !near && picture.at(column, row)[3] != 255 {
                return Err(format!("transparent at {column},{row}: {:?}", picture.at(column, row)));
            }
        }
    }
    Ok(())
}
