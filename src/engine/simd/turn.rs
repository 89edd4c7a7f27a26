//! `turn`, row by row, or in squares that fit the cache where columns become rows.

use super::View;
use super::lanes::Lanes;
use super::level::Work;
use crate::pixel::Image;
use crate::plan::Turn;

/// Side of a square whose columns are read while its rows are written.
const SQUARE: usize = 64;

/// `turn`.
pub(super) struct Turned<'a> {
    pub(super) src: &'a View<'a>,
    pub(super) turn: &'a Turn,
}

impl Work for Turned<'_> {
    type Output = Image;

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> Image {
        let Self { src, turn } = self;
        assert!(!src.format.is_half(1), "turning {:?}", src.format);
        let size = turn.turned(src.size);
        let mut image = Image::new(size, src.format);
        let (w, h) = (size.w as usize, size.h as usize);
        let [mirrored, flipped] = turn.mirrored;
        let row_of = |y: usize| if flipped { h - 1 - y } else { y };
        for (i, plane) in image.planes_mut().iter_mut().enumerate() {
            if turn.transposed {
                for top in (0..h).step_by(SQUARE) {
                    for left in (0..w).step_by(SQUARE) {
                        for y in top..h.min(top + SQUARE) {
                            let column = row_of(y);
                            let out = &mut plane.row_mut(y)[left..w.min(left + SQUARE)];
                            for (x, out) in (left..).zip(out) {
                                *out = src.row(i, if mirrored { w - 1 - x } else { x })[column];
                            }
                        }
                    }
                }
                continue;
            }
            for y in 0..h {
                let out = plane.row_mut(y);
                out.copy_from_slice(src.row(i, row_of(y)));
                if mirrored {
                    out.reverse();
                }
            }
        }
        image
    }
}
