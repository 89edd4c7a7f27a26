//! Pictures of at most 256 colours: a palette, and for each pixel its place in it.
//!
//! A picture of few enough colours keeps them all. Otherwise colours are counted in cells of 4×4×4 levels (a 64³ histogram,
//! however large the picture), the cells divided again and again where that lowers the squared error most, and the means
//! moved by k-means. Distances are taken in luma and colour differences of the encoded values ([`seen`]). Error is diffused
//! after Floyd and Steinberg, every second row from the right.
//! Sources: Floyd and Steinberg, "An Adaptive Algorithm for Spatial Grey Scale" (1976); X. Wu, "Color Quantization by Dynamic
//! Programming and Principal Analysis" (1992), for the division; Lloyd, "Least Squares Quantization in PCM" (1982).

use std::collections::HashMap;

use crate::pixel::{Image, Size, luma};
use crate::plan::{Palette, PaletteKind};

/// R G B.
type Rgb = [u8; 3];

/// A picture by palette.
pub(super) struct Indexed {
    pub(super) size: Size,
    /// 1 to 256 colours.
    pub(super) palette: Vec<Rgb>,
    /// Whether the first of them stands for "nothing is here".
    pub(super) has_key: bool,
    /// One a pixel, row by row.
    pub(super) indices: Vec<u8>,
}

/// Most entries of a palette.
const ENTRIES_MAX: usize = 256;
/// Less alpha than this is nothing.
const ALPHA_MIN: u8 = 128;
/// Bits of each component that name a cell.
const CELL_BITS: u32 = 6;
const CELLS: usize = 1 << (3 * CELL_BITS);

/// The picture in the colours that `how` asks for; `forced` are among them, whatever the picture holds.
///
/// # Panics
/// If the picture is neither grey nor R G B: the encoders have checked.
pub(super) fn indexed(image: &Image, how: Palette, forced: &[Rgb]) -> Indexed {
    let pixels = Pixels::of(image);
    let has_key = pixels.alpha.is_some_and(|alpha| alpha.iter().any(|&a| a < ALPHA_MIN));
    let room = usize::from(how.colours).clamp(1, ENTRIES_MAX - usize::from(has_key));
    let mut forced = forced.to_vec();
    forced.truncate(room);
    let colours = match how.kind {
        PaletteKind::Adaptive => match pixels.distinct(&forced, room) {
            Some(all) => return exact(&pixels, all, forced.len(), has_key),
            None => adaptive(&Histogram::of(&pixels), &forced, room),
        },
        PaletteKind::Web => fixed(&pixels, web(), &forced, room),
        PaletteKind::Mac => fixed(&pixels, mac(), &forced, room),
    };
    let mut nearest = Nearest::new(&colours);
    let indices = if how.diffuses { diffused(&pixels, &mut nearest) } else { mapped(&pixels, &mut nearest) };
    compacted(&pixels, colours, forced.len(), has_key, indices)
}

/// The samples of a picture.
struct Pixels<'a> {
    size: Size,
    colours: [&'a [u8]; 3],
    alpha: Option<&'a [u8]>,
}

impl<'a> Pixels<'a> {
    fn of(image: &'a Image) -> Self {
        let colours = match image.planes() {
            [grey] | [grey, _] => [grey.data(); 3],
            [r, g, b, ..] => [r.data(), g.data(), b.data()],
            [] => unreachable!("grey or R G B"),
        };
        Self { size: image.size(), colours, alpha: image.alpha().map(|plane| plane.data()) }
    }

    fn len(&self) -> usize {
        self.colours[0].len()
    }

    /// The colour of a pixel, if something is there.
    #[inline]
    fn at(&self, i: usize) -> Option<Rgb> {
        let is_there = self.alpha.is_none_or(|alpha| alpha[i] >= ALPHA_MIN);
        is_there.then(|| self.colours.map(|plane| plane[i]))
    }

    /// `forced` and all colours of the picture, if they are no more than `most`.
    fn distinct(&self, forced: &[Rgb], most: usize) -> Option<Vec<Rgb>> {
        let mut all = forced.to_vec();
        let mut known: HashMap<Rgb, ()> = forced.iter().map(|&colour| (colour, ())).collect();
        let mut last = None;
        for colour in (0..self.len()).filter_map(|i| self.at(i)) {
            if last.replace(colour) != Some(colour) && known.insert(colour, ()).is_none() {
                if all.len() == most {
                    return None;
                }
                all.push(colour);
            }
        }
        Some(all)
    }
}

/// Every colour as it is.
fn exact(pixels: &Pixels<'_>, colours: Vec<Rgb>, forced: usize, has_key: bool) -> Indexed {
    let places: HashMap<Rgb, u8> = colours.iter().zip(0_u8..=255).map(|(&colour, i)| (colour, i)).rev().collect();
    let mut last = ([0; 3], places.get(&[0; 3]).copied().unwrap_or(0));
    let place = |colour: Option<Rgb>| match colour {
        None => 0,
        Some(colour) => {
            if last.0 != colour {
                last = (colour, places.get(&colour).copied().unwrap_or(0));
            }
            last.1
        }
    };
    let indices = (0..pixels.len()).map(|i| pixels.at(i)).map(place).collect();
    compacted(pixels, colours, forced, has_key, indices)
}

/// Leaves out what no pixel has and nobody forced, sorts by luma, puts the key first.
#[expect(clippy::cast_possible_truncation, reason = "at most 256 entries")]
fn compacted(pixels: &Pixels<'_>, colours: Vec<Rgb>, forced: usize, has_key: bool, mut indices: Vec<u8>) -> Indexed {
    let mut is_used: Vec<bool> = (0..colours.len()).map(|i| i < forced).collect();
    for (i, &index) in indices.iter().enumerate() {
        // A picture that is transparent all over has no colours at all.
        if pixels.at(i).is_some() {
            is_used[usize::from(index)] = true;
        }
    }
    let mut kept: Vec<usize> = (0..colours.len()).filter(|&i| is_used[i]).collect();
    kept.sort_by_key(|&i| (luma(colours[i]), colours[i]));
    let mut palette: Vec<Rgb> = has_key.then_some([0; 3]).into_iter().collect();
    let mut places = [0_u8; ENTRIES_MAX];
    for i in kept {
        places[i] = palette.len() as u8;
        palette.push(colours[i]);
    }
    for (i, index) in indices.iter_mut().enumerate() {
        *index = if pixels.at(i).is_some() { places[usize::from(*index)] } else { 0 };
    }
    if palette.is_empty() {
        palette.push([0; 3]);
    }
    Indexed { size: pixels.size, palette, has_key, indices }
}

/// Where colours are compared: luma and the two colour differences of encoded R G B, of which eyes resolve less. Linear in
/// the levels, so that the mean of some colours is the colour of the means.
fn seen([r, g, b]: [f32; 3]) -> [f32; 3] {
    let y = 0.299 * r + 0.587 * g + 0.114 * b;
    [y, COLOUR_WEIGHTS[0] * (b - y), COLOUR_WEIGHTS[1] * (r - y)]
}

/// The colour that is [`seen`] so.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to levels")]
fn shown([y, u, v]: [f32; 3]) -> Rgb {
    let (b, r) = (u / COLOUR_WEIGHTS[0] + y, v / COLOUR_WEIGHTS[1] + y);
    let g = (y - 0.299 * r - 0.114 * b) / 0.587;
    [r, g, b].map(|v| (v + 0.5).clamp(0.0, 255.0) as u8)
}

/// What blue and red differences weigh beside luma.
const COLOUR_WEIGHTS: [f32; 2] = [0.4, 0.55];

fn cell_of(colour: Rgb) -> usize {
    let high = |v: u8| usize::from(v >> (8 - CELL_BITS));
    high(colour[0]) << (2 * CELL_BITS) | high(colour[1]) << CELL_BITS | high(colour[2])
}

/// The colours of a picture, roughly: means of cells that are not empty.
struct Histogram {
    cells: Vec<Cell>,
}

#[derive(Clone, Copy)]
struct Cell {
    at: [f32; 3],
    count: f32,
}

impl Histogram {
    fn of(pixels: &Pixels<'_>) -> Self {
        // Count, and the sums of what the cell's name leaves out: 3 times 10⁸ pixels fit.
        let mut counts = vec![[0_u32; 4]; CELLS];
        let low = |v: u8| u32::from(v & ((1 << (8 - CELL_BITS)) - 1));
        for colour in (0..pixels.len()).filter_map(|i| pixels.at(i)) {
            let [count, r, g, b] = &mut counts[cell_of(colour)];
            *count += 1;
            *r += low(colour[0]);
            *g += low(colour[1]);
            *b += low(colour[2]);
        }
        let cell = |(name, [count, sums @ ..]): (usize, &[u32; 4])| {
            let mean = |c: usize, shift: u32| {
                let base = (name >> shift & ((1 << CELL_BITS) - 1)) << (8 - CELL_BITS);
                base as f32 + sums[c] as f32 / *count as f32
            };
            let at = seen([mean(0, 2 * CELL_BITS), mean(1, CELL_BITS), mean(2, 0)]);
            Cell { at, count: *count as f32 }
        };
        Self { cells: counts.iter().enumerate().filter(|(_, counts)| counts[0] > 0).map(cell).collect() }
    }
}

/// A palette of `room` colours for a picture that has more.
fn adaptive(histogram: &Histogram, forced: &[Rgb], room: usize) -> Vec<Rgb> {
    /// Rounds of k-means: what later ones bring is less than a hundredth of the error.
    const ROUNDS: usize = 10;
    let fixed: Vec<[f32; 3]> = forced.iter().map(|colour| seen(colour.map(f32::from))).collect();
    let mut means = fixed.clone();
    means.extend(divided(&histogram.cells, room - forced.len()));
    for _ in 0..ROUNDS {
        let mut sums = vec![([0.0_f64; 3], 0.0_f64); means.len()];
        let flat = Flat::of(&means);
        for cell in &histogram.cells {
            let (sum, count) = &mut sums[flat.nearest(cell.at)];
            for (sum, at) in sum.iter_mut().zip(cell.at) {
                *sum += f64::from(at * cell.count);
            }
            *count += f64::from(cell.count);
        }
        for (mean, (sum, count)) in means.iter_mut().zip(sums).skip(fixed.len()) {
            if count > 0.0 {
                #[expect(clippy::cast_possible_truncation, reason = "levels")]
                let moved = sum.map(|sum| (sum / count) as f32);
                *mean = moved;
            }
        }
    }
    let mut colours = forced.to_vec();
    colours.extend(means[fixed.len()..].iter().map(|&mean| shown(mean)));
    colours
}

/// A part of the cells, and how much can be gained by dividing it.
struct Part {
    from: usize,
    to: usize,
    /// Squared error that the best cut takes away; 0 where there is none.
    gain: f64,
    /// Axis and first cell of the second half, once sorted along the axis.
    cut: (usize, usize),
}

/// Means of at most `parts` parts of the cells.
fn divided(cells: &[Cell], parts: usize) -> Vec<[f32; 3]> {
    if parts == 0 || cells.is_empty() {
        return Vec::new();
    }
    let mut cells = cells.to_vec();
    let mut done = vec![Part::of(&mut cells, 0)];
    while done.len() < parts {
        let best = done.iter().enumerate().max_by(|a, b| a.1.gain.total_cmp(&b.1.gain));
        let Some((i, part)) = best.filter(|(_, part)| part.gain > 0.0) else { break };
        let (from, to, (axis, middle)) = (part.from, part.to, part.cut);
        sort_along(&mut cells[from..to], axis);
        let halves =
            [from..from + middle, from + middle..to].map(|range| Part::of(&mut cells[range.clone()], range.start));
        done.swap_remove(i);
        done.extend(halves);
    }
    done.iter().map(|part| mean(&cells[part.from..part.to])).collect()
}

fn sort_along(cells: &mut [Cell], axis: usize) {
    cells.sort_unstable_by(|a, b| a.at[axis].total_cmp(&b.at[axis]));
}

#[expect(clippy::cast_possible_truncation, reason = "levels")]
fn mean(cells: &[Cell]) -> [f32; 3] {
    let count: f64 = cells.iter().map(|cell| f64::from(cell.count)).sum();
    std::array::from_fn(|c| (cells.iter().map(|cell| f64::from(cell.at[c] * cell.count)).sum::<f64>() / count) as f32)
}

impl Part {
    /// Of these cells, which begin at `from` of all. Its best cut lies across the axis along which they differ most.
    fn of(cells: &mut [Cell], from: usize) -> Self {
        let mean = mean(cells);
        let spread =
            |c: usize| -> f64 { cells.iter().map(|cell| f64::from(cell.count * (cell.at[c] - mean[c]).powi(2))).sum() };
        let spreads = [0, 1, 2].map(spread);
        let axis = (0..3).max_by(|&a, &b| spreads[a].total_cmp(&spreads[b])).unwrap_or(0);
        sort_along(cells, axis);
        // With the sums of both halves, what a cut gains is n₁ n₂ / n |m₁ − m₂|².
        let total = cells.iter().fold(Sums::default(), Sums::plus);
        let mut first = Sums::default();
        let (mut gain, mut middle) = (0.0, 0);
        for (i, cell) in cells.iter().enumerate().take(cells.len() - 1) {
            first = first.plus(cell);
            let second = total.less(&first);
            let apart: f64 = (0..3).map(|c| (first.at[c] / first.n - second.at[c] / second.n).powi(2)).sum();
            let gained = first.n * second.n / total.n * apart;
            if gained > gain {
                (gain, middle) = (gained, i + 1);
            }
        }
        Self { from, to: from + cells.len(), gain, cut: (axis, middle) }
    }
}

#[derive(Clone, Copy, Default)]
struct Sums {
    at: [f64; 3],
    n: f64,
}

impl Sums {
    fn plus(self, cell: &Cell) -> Self {
        let at = std::array::from_fn(|c| self.at[c] + f64::from(cell.at[c] * cell.count));
        Self { at, n: self.n + f64::from(cell.count) }
    }

    fn less(&self, other: &Self) -> Self {
        Self { at: std::array::from_fn(|c| self.at[c] - other.at[c]), n: self.n - other.n }
    }
}

/// The colours of a palette that everybody knows, beside `forced`: all of them, or those that the picture uses most.
fn fixed(pixels: &Pixels<'_>, known: Vec<Rgb>, forced: &[Rgb], room: usize) -> Vec<Rgb> {
    let mut colours = forced.to_vec();
    let others: Vec<Rgb> = known.into_iter().filter(|colour| !forced.contains(colour)).collect();
    let left = room - forced.len();
    if others.len() <= left {
        colours.extend(others);
        return colours;
    }
    let flat = Flat::of(&others.iter().map(|colour| seen(colour.map(f32::from))).collect::<Vec<_>>());
    let mut counts: Vec<(f32, Rgb)> = others.iter().map(|&colour| (0.0, colour)).collect();
    for cell in Histogram::of(pixels).cells {
        counts[flat.nearest(cell.at)].0 += cell.count;
    }
    counts.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    colours.extend(counts.iter().take(left).map(|(_, colour)| colour));
    colours
}

/// The 216 colours whose components are multiples of 51.
fn web() -> Vec<Rgb> {
    let level = |i: u8| 51 * (i % 6);
    (0..216).map(|i| [level(i / 36), level(i / 6), level(i)]).collect()
}

/// The 256 colours of the Macintosh: those of the Web, and ramps of red, green, blue and grey between them.
fn mac() -> Vec<Rgb> {
    let ramp = [0x11, 0x22, 0x44, 0x55, 0x77, 0x88, 0xaa, 0xbb, 0xdd, 0xee];
    let ramps = ramp.into_iter().flat_map(|v| [[v, 0, 0], [0, v, 0], [0, 0, v], [v; 3]]);
    web().into_iter().chain(ramps).collect()
}

/// A palette by component, for the search of the nearest.
struct Flat {
    y: Vec<f32>,
    u: Vec<f32>,
    v: Vec<f32>,
}

impl Flat {
    fn of(colours: &[[f32; 3]]) -> Self {
        let of = |c: usize| colours.iter().map(|colour| colour[c]).collect();
        Self { y: of(0), u: of(1), v: of(2) }
    }

    /// Index of the nearest, the first of several.
    fn nearest(&self, [y, u, v]: [f32; 3]) -> usize {
        let mut best = (f32::INFINITY, 0);
        for (i, ((py, pu), pv)) in self.y.iter().zip(&self.u).zip(&self.v).enumerate() {
            let distance = (py - y).powi(2) + (pu - u).powi(2) + (pv - v).powi(2);
            if distance < best.0 {
                best = (distance, i);
            }
        }
        best.1
    }
}

/// The nearest colours of a palette, remembered by cell; those of the palette itself exactly.
struct Nearest<'a> {
    colours: &'a [Rgb],
    flat: Flat,
    /// One more than the index; 0: not yet looked for.
    by_cell: Vec<u16>,
}

impl<'a> Nearest<'a> {
    fn new(colours: &'a [Rgb]) -> Self {
        let flat = Flat::of(&colours.iter().map(|colour| seen(colour.map(f32::from))).collect::<Vec<_>>());
        Self { colours, flat, by_cell: vec![0; CELLS] }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most 256 entries")]
    fn of(&mut self, colour: Rgb) -> u8 {
        let known = self.by_cell[cell_of(colour)];
        if known > 0 {
            return (known - 1) as u8;
        }
        let middle = |v: u8| f32::from(v & !((1 << (8 - CELL_BITS)) - 1)) + 1.5;
        let index = self.flat.nearest(seen(colour.map(middle)));
        self.by_cell[cell_of(colour)] = index as u16 + 1;
        index as u8
    }
}

/// Each pixel by its nearest colour.
fn mapped(pixels: &Pixels<'_>, nearest: &mut Nearest<'_>) -> Vec<u8> {
    (0..pixels.len()).map(|i| pixels.at(i).map_or(0, |colour| nearest.of(colour))).collect()
}

/// How much of an error is passed on: all of it makes more grain than the eye needs. By SSIMULACRA2 on 8 photographs, 256
/// colours: 75.6 for all, 81.6 for three quarters, 80.7 for half, 78.1 for none.
const DIFFUSED_QUARTERS: i32 = 3;

/// Each pixel by the nearest colour of what it and the errors so far ask for.
fn diffused(pixels: &Pixels<'_>, nearest: &mut Nearest<'_>) -> Vec<u8> {
    let w = pixels.size.w as usize;
    let mut indices = vec![0; pixels.len()];
    // Errors of this row and the next in 1/64 of a level, a pixel more at each end.
    let mut errors = [vec![[0_i32; 3]; w + 2], vec![[0_i32; 3]; w + 2]];
    for y in 0..pixels.size.h as usize {
        let [now, next] = &mut errors;
        next.fill([0; 3]);
        let backwards = y % 2 == 1;
        for step in 0..w {
            let x = if backwards { w - 1 - step } else { step };
            let Some(colour) = pixels.at(y * w + x) else { continue };
            let wanted: [i32; 3] =
                std::array::from_fn(|c| (i32::from(colour[c]) + ((now[x + 1][c] + 32) >> 6)).clamp(0, 255));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to levels")]
            let index = nearest.of(wanted.map(|v| v as u8));
            indices[y * w + x] = index;
            let got = nearest.colours[usize::from(index)];
            // Places in the rows of errors, which begin a pixel to the left.
            let (ahead, behind) = if backwards { (x, x + 2) } else { (x + 2, x) };
            for c in 0..3 {
                let error = DIFFUSED_QUARTERS * (wanted[c] - i32::from(got[c]));
                now[ahead][c] += 7 * error;
                next[behind][c] += 3 * error;
                next[x + 1][c] += 5 * error;
                next[ahead][c] += error;
            }
        }
        errors.swap(0, 1);
    }
    indices
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::pixel::{PixelFormat, Plane, testcard};

    const ADAPTIVE: Palette = Palette { kind: PaletteKind::Adaptive, diffuses: true, colours: 256 };

    fn back(indexed: &Indexed) -> Vec<Rgb> {
        indexed.indices.iter().map(|&i| indexed.palette[usize::from(i)]).collect()
    }

    fn rgb(image: &Image) -> Vec<Rgb> {
        image.to_interleaved().as_chunks::<3>().0.to_vec()
    }

    #[test]
    fn known_palettes_are_complete() {
        let distinct = |colours: Vec<Rgb>| colours.into_iter().collect::<BTreeSet<_>>().len();
        assert_eq!((distinct(web()), distinct(mac())), (216, 256));
    }

    #[test]
    fn few_colours_stay_as_they_are() {
        let size = Size::new(31, 17);
        let data: Vec<u8> = (0..31 * 17_u16).flat_map(|i| [i % 16, 3, i / 40]).map(|v| v.to_le_bytes()[0]).collect();
        let image = Image::from_interleaved(size, PixelFormat::RGB, &data);
        let all = rgb(&image).into_iter().collect::<BTreeSet<_>>().len();
        let made = indexed(&image, ADAPTIVE, &[[1, 2, 3], [0, 3, 0]]);
        assert_eq!(back(&made), rgb(&image));
        // A forced colour that no pixel has is there nevertheless, and one that some have only once.
        assert!(all > 200 && made.palette.len() == all + 1, "{all}");
    }

    #[test]
    fn palettes_are_no_larger_than_asked_for_and_hold_what_is_forced() {
        let image = testcard::photo(Size::new(80, 60), 3);
        let forced = [[255, 0, 0], [0, 0, 0], [12, 200, 34]];
        for kind in [PaletteKind::Adaptive, PaletteKind::Web, PaletteKind::Mac] {
            for diffuses in [true, false] {
                for colours in [2, 3, 4, 16, 216, 256] {
                    let made = indexed(&image, Palette { kind, diffuses, colours }, &forced);
                    assert!(made.palette.len() <= usize::from(colours), "{kind:?} {colours}: {}", made.palette.len());
                    for colour in forced.iter().take(usize::from(colours)) {
                        assert!(made.palette.contains(colour), "{kind:?} {colours}: no {colour:?}");
                    }
                    assert!(made.indices.iter().all(|&i| usize::from(i) < made.palette.len()));
                    assert!(!made.has_key);
                }
            }
        }
    }

    #[test]
    fn clear_pixels_get_the_key_and_nothing_else_does() {
        let photo = testcard::photo(Size::new(40, 30), 3);
        let mut planes = photo.planes().to_vec();
        let alpha: Vec<u8> = (0..1200_u16).map(|i| (i * 7).to_le_bytes()[0]).collect();
        planes.push(Plane::from_vec(photo.size(), alpha.clone()));
        let image = Image::from_planes(photo.size(), PixelFormat::RGBA, planes);
        for (kind, colours) in [(PaletteKind::Adaptive, 256), (PaletteKind::Adaptive, 2), (PaletteKind::Web, 256)] {
            let made = indexed(&image, Palette { kind, diffuses: true, colours }, &[]);
            assert!(made.has_key && made.palette.len() <= usize::from(colours).min(255) + 1);
            for (i, a) in made.indices.iter().zip(&alpha) {
                assert_eq!(*i == 0, *a < ALPHA_MIN);
            }
        }
    }

    /// Diffusion keeps the mean of an area that no colour of the palette has.
    #[test]
    fn diffusion_keeps_means() {
        let size = Size::new(64, 64);
        let image = Image::from_interleaved(size, PixelFormat::RGB, &[70; 64 * 64 * 3]);
        let made = indexed(&image, Palette { kind: PaletteKind::Web, diffuses: true, colours: 256 }, &[]);
        let mean = back(&made).iter().map(|c| f64::from(c[0])).sum::<f64>() / 4096.0;
        // A quarter of the error stays.
        assert!((mean - 70.0).abs() < 6.0, "{mean}");
        let plain = indexed(&image, Palette { kind: PaletteKind::Web, diffuses: false, colours: 256 }, &[]);
        assert_eq!((plain.palette.len(), plain.palette[0]), (1, [51; 3]));
    }
}
