//! `grow_h`, `grow_v`: dilation and erosion by a disc. Comparisons alone, so equal in every engine to the bit.
//!
//! A disc is a run of samples in each of its rows. The largest of any run is the larger of two runs whose length is a
//! power of two, one from each end, which overlap; so the first half finds those of all powers, and the second takes
//! two of them a row. What is taken into account of a sample is its key: the level, 255 less it for an erosion, and 0,
//! which no maximum feels, where the pixel is clear.

use crate::kernel::disc;
use crate::pixel::{Image, Plane};
use crate::plan::{Grow, Grown, Morph};

/// What `grow_h` hands to `grow_v`: for each power of two from 1 up to what the disc's widest row needs, a plane a colour
/// plane, `plane[y][x]` being the largest key of as many samples from x on; runs end with the row.
#[derive(Clone, Debug)]
pub struct Runs {
    /// By power, then by plane of those that grow.
    pub powers: Vec<Vec<Plane<u8>>>,
}

/// Horizontal half of [`Grow`]: maxima of runs.
///
/// - Shape: `[planes][h][w]` u8 → `[powers][grown planes][h][w]` u8
/// - Space: src encoded, straight
/// - Agreement: bit for bit in every engine
pub fn grow_h(src: &Image, grow: &Grow) -> Runs {
    let w = src.size().w as usize;
    let keys: Vec<Plane<u8>> = grow
        .planes(src.format())
        .map(|c| {
            let mut plane = src.planes()[c].clone();
            for (i, v) in plane.data_mut().iter_mut().enumerate() {
                let is_clear = grow.of == Grown::Colours && src.alpha().is_some_and(|alpha| alpha.data()[i] == 0);
                *v = if is_clear { 0 } else { keyed(*v, grow.morph) };
            }
            plane
        })
        .collect();
    let powers = (0..grow.powers(src.size().w)).map(|power| {
        let run = |plane: &Plane<u8>| {
            let mut runs = Plane::new(plane.size());
            for y in 0..plane.size().h as usize {
                let row = plane.row(y);
                for (x, out) in runs.row_mut(y).iter_mut().enumerate() {
                    *out = row[x..w.min(x + (1 << power))].iter().copied().max().unwrap_or(0);
                }
            }
            runs
        };
        keys.iter().map(run).collect()
    });
    Runs { powers: powers.collect() }
}

/// Vertical half of [`Grow`]: the largest (smallest) level of the disc around each pixel; what does not grow is
/// copied.
///
/// - Shape: `[planes][h][w]` u8 and `runs` → `[planes][h][w]` u8
/// - Edges: what lies outside the picture does not count, nor do clear pixels; where nothing counts, 0 of a dilation,
///   255 of an erosion
/// - Agreement: bit for bit in every engine
/// - Source: van Droogenbroeck, Talbot, "Fast computation of morphological operations with arbitrary structuring
///   elements", Pattern Recognition Letters 17 (1996), for runs; Serra, "Image Analysis and Mathematical Morphology" (1982)
pub fn grow_v(src: &Image, runs: &Runs, grow: &Grow) -> Image {
    let reach = disc(grow.radius_px);
    let (w, h) = (src.size().w as usize, src.size().h as usize);
    let mut out = src.clone();
    for (i, c) in grow.planes(src.format()).enumerate() {
        for y in 0..h {
            for x in 0..w {
                let mut most = 0;
                for (dy, half) in reach.iter().enumerate() {
                    let (first, last) = (x.saturating_sub(usize::from(*half)), (x + usize::from(*half)).min(w - 1));
                    let power = (last - first + 1).ilog2() as usize;
                    let run = &runs.powers[power][i];
                    let rows = [y.checked_sub(dy), Some(y + dy).filter(|y| *y < h)];
                    for row in rows.into_iter().flatten().map(|y| run.row(y)) {
                        most = most.max(row[first]).max(row[last + 1 - (1 << power)]);
                    }
                }
                out.planes_mut()[c].row_mut(y)[x] = keyed(most, grow.morph);
            }
        }
    }
    out
}

/// A level's key, and a key's level.
fn keyed(v: u8, morph: Morph) -> u8 {
    match morph {
        Morph::Dilate => v,
        Morph::Erode => 255 - v,
    }
}
