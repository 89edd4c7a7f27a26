//! How the planes of a picture lie in a buffer of quads: all in one buffer, rows padded to whole quads of four samples.

use super::uniforms::NO_PLANE;
use crate::pixel::{Image, PixelFormat, Plane, Size};

/// A picture's planes in a buffer of quads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Model and alpha.
    pub(super) format: PixelFormat,
    /// Size of the full-size planes.
    pub(super) full: Size,
    /// Size of the half-size planes; that of the full-size ones where there are none.
    pub(super) half: Size,
}

impl Shape {
    /// A whole picture.
    pub(super) fn of(size: Size, format: PixelFormat) -> Self {
        Self { format, full: size, half: format.plane_size(1, size) }
    }

    /// Size of plane `i`.
    pub(super) fn plane(&self, i: usize) -> Size {
        if self.format.is_half(i) { self.half } else { self.full }
    }

    /// Quads of all planes.
    pub(super) fn quads(&self) -> u64 {
        (0..self.format.planes()).map(|i| quads(self.plane(i))).sum()
    }

    /// Rows of plane `i` as they lie in a buffer of bytes: first byte, bytes from row to row.
    pub(super) fn rows(&self, i: usize) -> (usize, usize) {
        let first: u64 = (0..i).map(|i| quads(self.plane(i))).sum();
        // Bounded by `Limits::check`.
        (usize::try_from(4 * first).unwrap_or(usize::MAX), 4 * self.plane(i).w.div_ceil(4) as usize)
    }

    /// The picture from its packed quads in `bytes`.
    pub(super) fn image(&self, bytes: &[u8]) -> Image {
        let planes = (0..self.format.planes())
            .map(|i| {
                let size = self.plane(i);
                let (first, stride) = self.rows(i);
                let rows = bytes[first..][..stride * size.h as usize].chunks_exact(stride);
                let mut data = Vec::with_capacity(size.samples());
                if stride == size.w as usize {
                    data.extend_from_slice(&bytes[first..][..size.samples()]);
                } else {
                    rows.for_each(|row| data.extend_from_slice(&row[..size.w as usize]));
                }
                Plane::from_vec(size, data)
            })
            .collect();
        Image::from_planes(self.full, self.format, planes)
    }

    /// As the shaders take it: width, height, quads a row, quads a plane.
    pub(super) fn full(&self) -> [u32; 4] {
        plane_words(self.full)
    }

    /// As [`Self::full`], of the half-size planes.
    pub(super) fn half(&self) -> [u32; 4] {
        plane_words(self.half)
    }

    /// Colour planes, as the shaders take it.
    pub(super) fn colours(&self) -> u32 {
        small(self.format.colour_planes())
    }

    /// All planes, as the shaders take it.
    pub(super) fn planes(&self) -> u32 {
        small(self.format.planes())
    }

    /// The alpha plane, or [`NO_PLANE`].
    pub(super) fn alpha(&self) -> u32 {
        self.format.alpha_plane().map_or(NO_PLANE, small)
    }

    /// Invocations that own a quad each.
    pub(super) fn quad_grid(&self) -> [u32; 3] {
        [self.widest().div_ceil(4), self.highest(), self.planes()]
    }

    /// Invocations that own a sample each.
    pub(super) fn sample_grid(&self) -> [u32; 3] {
        [self.widest(), self.highest(), self.planes()]
    }

    fn widest(&self) -> u32 {
        self.full.w.max(self.half.w)
    }

    fn highest(&self) -> u32 {
        self.full.h.max(self.half.h)
    }

    /// Whether chroma is half size.
    pub(super) fn half_planes(&self) -> bool {
        self.format.is_half(1)
    }
}

/// Quads of one plane.
pub(super) fn quads(size: Size) -> u64 {
    u64::from(size.w.div_ceil(4)) * u64::from(size.h)
}

fn plane_words(size: Size) -> [u32; 4] {
    // The last saturates only above what `Limits::check` lets pass.
    [size.w, size.h, size.w.div_ceil(4), u32::try_from(quads(size)).unwrap_or(u32::MAX)]
}

#[expect(clippy::cast_possible_truncation, reason = "at most five planes")]
fn small(planes: usize) -> u32 {
    planes as u32
}
