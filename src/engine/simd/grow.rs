//! `grow_h` and `grow_v` in one walk, plane by plane; what they do is stated in `engine::scalar::grow`.
//!
//! Rows of runs live in a ring as high as the disc. They are padded with zeros, which no maximum feels, by a radius on
//! either side, so that every run of a row is as long as every other and a row of the disc is two rows of vectors.

use super::View;
use super::lanes::Lanes;
use super::level::Work;
use crate::engine::Cancel;
use crate::error::Result;
use crate::kernel::disc;
use crate::pixel::Image;
use crate::plan::{Grow, Grown, Morph};

/// Rows between two looks at the cancel flag.
const ROWS_BETWEEN: usize = 16;

/// Both halves of `grow` on `src`.
pub(super) struct Growth<'a> {
    pub(super) src: &'a View<'a>,
    pub(super) grow: &'a Grow,
    pub(super) cancel: &'a Cancel,
}

impl Work for Growth<'_> {
    type Output = Result<Image>;

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> Result<Image> {
        let Self { src, grow, cancel } = self;
        let discs = disc(grow.radius_px);
        let radius = usize::from(grow.radius_px);
        let (w, h) = (src.size.w as usize, src.size.h as usize);
        let flip = match grow.morph {
            Morph::Dilate => 0,
            Morph::Erode => 255,
        };
        // Runs of all lengths that a row of the disc can need.
        let powers = (2 * radius + 1).ilog2() as usize + 1;
        let stride = w + 2 * radius;
        let ring_rows = h.min(2 * radius + 1);
        let mut ring = vec![0_u8; ring_rows * powers * stride];
        let mut most = vec![0_u8; w];
        let mut image = Image::new(src.size, src.format);
        let grown = grow.planes(src.format);
        let counts = src.format.alpha_plane().filter(|_| grow.of == Grown::Colours);
        for c in grown.clone() {
            let mut next = 0;
            for y in 0..h {
                if y % ROWS_BETWEEN == 0 {
                    cancel.check("grow_v")?;
                }
                while next < h.min(y + radius + 1) {
                    let runs = &mut ring[next % ring_rows * powers * stride..][..powers * stride];
                    keys(&mut runs[radius..radius + w], src, (c, counts), next, flip);
                    for power in 1..powers {
                        let (known, longer) = runs[(power - 1) * stride..].split_at_mut(stride);
                        let half = 1 << (power - 1);
                        let (paired, rest) = longer[..stride].split_at_mut(stride.saturating_sub(half));
                        for ((out, &a), &b) in paired.iter_mut().zip(&*known).zip(&known[half.min(stride)..]) {
                            *out = a.max(b);
                        }
                        let tail = stride - rest.len();
                        rest.copy_from_slice(&known[tail..]);
                    }
                    next += 1;
                }
                most.fill(0);
                for (dy, &half) in discs.iter().enumerate() {
                    let half = usize::from(half);
                    let power = (2 * half + 1).ilog2() as usize;
                    let above = y.checked_sub(dy);
                    let below = Some(y + dy).filter(|below| *below < h && dy > 0);
                    for row in above.into_iter().chain(below) {
                        let runs = &ring[(row % ring_rows * powers + power) * stride..][..stride];
                        let (first, last) = (&runs[radius - half..], &runs[radius + half + 1 - (1 << power)..]);
                        for ((most, &a), &b) in most.iter_mut().zip(first).zip(last) {
                            *most = (*most).max(a).max(b);
                        }
                    }
                }
                for (out, &most) in image.planes_mut()[c].row_mut(y).iter_mut().zip(&most) {
                    *out = most ^ flip;
                }
            }
        }
        for other in (0..src.format.planes()).filter(|i| !grown.contains(i)) {
            image.planes_mut()[other].data_mut().copy_from_slice(src.planes[other]);
        }
        Ok(image)
    }
}

/// Keys of a row of plane `c`; 255 − v is v with every bit flipped. Where `alpha` is 0, nothing counts.
#[inline(always)]
fn keys(out: &mut [u8], src: &View<'_>, (c, alpha): (usize, Option<usize>), y: usize, flip: u8) {
    for (out, &v) in out.iter_mut().zip(src.row(c, y)) {
        *out = v ^ flip;
    }
    if let Some(alpha) = alpha {
        for (out, &a) in out.iter_mut().zip(src.row(alpha, y)) {
            *out = if a == 0 { 0 } else { *out };
        }
    }
}
