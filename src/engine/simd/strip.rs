//! What both resizes share: rows to read, rows to write, scratch memory, the transfer curve.

use std::cell::RefCell;
use std::sync::LazyLock;

use super::lanes::{Lanes, Line};
use crate::kernel::transfer;

/// Columns that the vertical half takes at once: one cache line of bytes.
pub(super) const BLOCK: usize = 64;
/// Output rows of one strip: the lanes of the horizontal half.
pub(super) const STRIP: usize = 16;

/// The rows of one plane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    data: &'a [u8],
    stride: usize,
    pub(super) w: usize,
    pub(super) h: usize,
}

impl<'a> Rows<'a> {
    /// `h` packed rows of `w` samples.
    pub(super) fn new(data: &'a [u8], w: usize, h: usize) -> Self {
        assert_eq!(data.len(), w * h);
        Self { data, stride: w, w, h }
    }

    /// `h` times the same row.
    pub(super) fn repeated(row: &'a [u8], h: usize) -> Self {
        Self { data: row, stride: 0, w: row.len(), h }
    }

    /// Asks for part `part` of `parts` of the rows `from..to`. The kernels walk down a column of rows, 64 bytes of each,
    /// which no hardware prefetcher follows; so while one strip is worked on, the next one's new rows are fetched in
    /// their own order (without it half of the time went into waiting for them).
    #[inline(always)]
    pub(super) fn ask<L: Lanes>(&self, l: L, (from, to): (usize, usize), part: usize, parts: usize) {
        let rows = &self.data[from.min(to) * self.stride..to * self.stride];
        let len = rows.len().div_ceil(parts);
        for line in rows.chunks(len.max(1)).nth(part).unwrap_or_default().chunks(64) {
            l.prefetch(&line[0]);
        }
    }

    /// Row `y`.
    #[inline(always)]
    pub(super) fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.stride..][..self.w]
    }

    /// Columns `x .. x + 64` of row `y`. What lies beyond its end is never weighed; `rest` is room for such a block.
    #[inline(always)]
    pub(super) fn block<'b>(&'b self, y: usize, x: usize, rest: &'b mut [u8; BLOCK]) -> &'b [u8; BLOCK] {
        let row = &self.row(y)[x..];
        row.first_chunk().unwrap_or_else(|| {
            rest[..row.len()].copy_from_slice(row);
            rest
        })
    }
}

/// Writes 16 columns from `x` on of a strip's rows, as many as there are.
#[inline(always)]
pub(super) fn put_rows(dst: &mut [u8], dst_w: usize, x: usize, rows: &[[u8; 16]; STRIP]) {
    let columns = (dst_w - x).min(16);
    for (dst, row) in dst.chunks_exact_mut(dst_w).zip(rows) {
        match dst[x..].first_chunk_mut() {
            Some(dst) => *dst = *row,
            None => dst[x..].copy_from_slice(&row[..columns]),
        }
    }
}

/// Lines that a thread keeps between jobs, so that no strip and no job allocates once warm.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    lines: Vec<Line>,
    words: Vec<i16>,
}

impl Scratch {
    /// Two runs of lines, with whatever was in them.
    pub(super) fn lines(&mut self, a: usize, b: usize) -> (&mut [Line], &mut [Line]) {
        if self.lines.len() < a + b {
            self.lines.resize(a + b, Line::default());
        }
        let (a, rest) = self.lines.split_at_mut(a);
        (a, &mut rest[..b])
    }

    /// Two runs of i16, with whatever was in them.
    pub(super) fn words(&mut self, a: usize, b: usize) -> (&mut [i16], &mut [i16]) {
        if self.words.len() < a + b {
            self.words.resize(a + b, 0);
        }
        let (a, rest) = self.words.split_at_mut(a);
        (a, &mut rest[..b])
    }

    /// Lends the thread's scratch memory to `work`.
    pub(super) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        /// A strip of 4,000 columns of four planes fits many times; what one giant needed is given back.
        const BYTES_KEPT_MAX: usize = 16 << 20;
        thread_local! {
            static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch { lines: Vec::new(), words: Vec::new() }) };
        }
        let mut scratch = SCRATCH.take();
        let result = work(&mut scratch);
        if size_of_val(scratch.lines.as_slice()) + size_of_val(scratch.words.as_slice()) <= BYTES_KEPT_MAX {
            SCRATCH.set(scratch);
        }
        result
    }
}

/// The way into the working space and back; no tables when it is the encoded one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curve {
    pub(super) to_light: Option<&'static [f32; 256]>,
    pub(super) from_light: Option<&'static [u8]>,
}

impl Curve {
    /// Entries of the way back a level of light, 64 and a bit. The curve is steepest at black, 12.92, so half a step
    /// moves the result by at most a tenth of a level.
    pub(super) const STEPS_PER_LEVEL: f32 = Self::LAST / 255.0;
    /// Index of the last entry.
    pub(super) const LAST: f32 = 16_383.0;

    /// Linear light on the way in, on the way out.
    pub(super) fn new(loads_linear: bool, packs_linear: bool) -> Self {
        static TO_LIGHT: LazyLock<[f32; 256]> = LazyLock::new(transfer::linear_table);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0.5 to 255.5")]
        static FROM_LIGHT: LazyLock<Vec<u8>> = LazyLock::new(|| {
            let light = |i: u16| f64::from(i) / f64::from(Curve::STEPS_PER_LEVEL);
            (0..=16_383).map(|i| (transfer::encoded_from_linear(light(i)) + 0.5) as u8).collect()
        });
        Self { to_light: loads_linear.then(|| &*TO_LIGHT), from_light: packs_linear.then(|| FROM_LIGHT.as_slice()) }
    }

    /// Whether values stay as they are.
    pub(super) fn is_none(self) -> bool {
        self.to_light.is_none() && self.from_light.is_none()
    }

    /// Levels of 16 columns of table indices, as 16 rows.
    pub(super) fn encode(table: &[u8], columns: &[Line; 16]) -> [[u8; 16]; 16] {
        let mut rows = [[0; 16]; 16];
        for (x, column) in columns.iter().enumerate() {
            for (row, i) in rows.iter_mut().zip(column.0) {
                row[x] = table[usize::try_from(i).unwrap_or(0).min(table.len() - 1)];
            }
        }
        rows
    }
}
