//! `turn`: mirrored, or turned by quarters.

use crate::pixel::{Image, Plane};
use crate::plan::Turn;

/// Every sample of every plane in another place, none changed.
///
/// - Shape: `[planes][h][w]` u8 → `[planes][h][w]`, or `[planes][w][h]` where it is transposed
/// - Agreement: bit for bit in every engine
///
/// # Panics
/// If chroma is half size, which a picture of odd sides cannot turn with: the planner converts first.
pub fn turn(src: &Image, turn: &Turn) -> Image {
    assert!(!src.format().is_half(1), "turning {:?}", src.format());
    let size = turn.turned(src.size());
    let [mirrored, flipped] = turn.mirrored;
    let planes = src.planes().iter().map(|plane| {
        let mut turned = Plane::new(size);
        for y in 0..size.h as usize {
            for x in 0..size.w as usize {
                let column = if mirrored { size.w as usize - 1 - x } else { x };
                let row = if flipped { size.h as usize - 1 - y } else { y };
                turned.row_mut(y)[x] = if turn.transposed { plane.row(column)[row] } else { plane.row(row)[column] };
            }
        }
        turned
    });
    Image::from_planes(size, src.format(), planes.collect())
}
