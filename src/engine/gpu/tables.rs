//! Tables that shaders read: tap tables, Gaussian taps and the transfer curve, in one buffer.
//!
//! They are computed by `kernel`, in f64, as for every other engine, and stay on the GPU until the buffer is full.
//! Invariant: a table that a recorded but not yet submitted batch reads is never overwritten; the batch is submitted
//! first, and the queue keeps the order.

use std::collections::HashMap;
use std::sync::Arc;

use crate::kernel::{SigmaPx, Taps, UnsharpTaps, affine, disc, transfer};
use crate::limits;
use crate::pixel::Size;
use crate::plan::{Mask, Point, Resample, Rotation, Unsharp};

/// What identifies a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Table {
    /// Linear light of each of the 256 levels; always the first words of the buffer.
    Levels,
    /// Tap tables of one direction, full-size planes and half-size ones.
    Taps(Resample),
    /// Gaussian taps of an unsharp radius, 2⁻²⁰ px.
    Gaussian(u32),
    /// Levels after brightness, contrast and balance, q6; nothing else of the operations is set.
    Curves(Point),
    /// Cubic weights, then where columns and rows of a canvas lie.
    Rotation(Rotation),
    /// Half-widths of the rows of a disc of so many px.
    Disc(u16),
    /// What paths leave of a picture of that size: packed quads.
    Coverage(Arc<Mask>, Size),
}

impl Table {
    /// The table as the shaders read it; their headers say how.
    fn words(&self) -> Vec<u32> {
        match self {
            Self::Levels => transfer::linear_table().map(f32::to_bits).to_vec(),
            Self::Taps(resample) => {
                let full = Taps::new(resample.kernel, &resample.axis);
                let half = resample.chroma_axis.map(|axis| Taps::new(resample.kernel, &axis));
                let mut words = vec![word(full.taps_per_px()), 0, 4, 4];
                words[1] = word(half.as_ref().unwrap_or(&full).taps_per_px());
                push_taps(&mut words, &full);
                if let Some(half) = half {
                    words[3] = word(words.len());
                    push_taps(&mut words, &half);
                }
                words
            }
            Self::Gaussian(radius_q20) => {
                let usm = Unsharp { amount_q10: 0, radius_q20: *radius_q20, threshold: 0, mono: false };
                let taps = UnsharpTaps::new(SigmaPx::from_radius(usm.radius_px()));
                let mut words = vec![word(taps.reach())];
                words.extend(taps.half().iter().map(|w| w.cast_unsigned()));
                words
            }
            Self::Rotation(rotation) => {
                let (weights, columns, rows) = (affine::cubic(), rotation.columns(), rotation.rows());
                let coordinates = columns.as_flattened().iter().chain(rows.as_flattened());
                weights.as_flattened().iter().chain(coordinates).map(|n| n.cast_unsigned()).collect()
            }
            Self::Disc(radius_px) => {
                let rows = disc(*radius_px);
                std::iter::once(u32::from(*radius_px)).chain(rows.into_iter().map(u32::from)).collect()
            }
            Self::Coverage(mask, size) => {
                let plane = mask.coverage(*size);
                let quad = |samples: &[u8]| {
                    let mut bytes = [0; 4];
                    bytes[..samples.len()].copy_from_slice(samples);
                    u32::from_le_bytes(bytes)
                };
                (0..size.h as usize).flat_map(|y| plane.row(y).chunks(4).map(quad)).collect()
            }
            Self::Curves(point) => {
                point.curves().as_flattened().iter().map(|q6| i32::from(*q6).cast_unsigned()).collect()
            }
        }
    }
}

/// First source sample of each window, then the weights turned round, so that neighbouring outputs read neighbouring
/// words.
fn push_taps(words: &mut Vec<u32>, taps: &Taps) {
    words.extend_from_slice(taps.first());
    for t in 0..taps.taps_per_px() {
        words.extend(taps.weights().iter().skip(t).step_by(taps.taps_per_px()).map(|w| w.to_bits()));
    }
}

#[expect(clippy::cast_possible_truncation, reason = "bounded by limits::TAPS_MAX and the sides of a picture")]
fn word(n: usize) -> u32 {
    n as u32
}

/// No room for a table of so many words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full {
    /// Words the table has.
    pub(super) words: usize,
}

/// The buffer of tables and what lies where in it.
#[derive(Debug)]
pub(super) struct Tables {
    buffer: wgpu::Buffer,
    first_words: HashMap<Table, u32>,
    used_words: usize,
}

impl Tables {
    /// Words of the whole buffer.
    pub(super) const WORDS_MAX: usize = limits::GPU_TABLES_BYTES_MAX / 4;

    /// An empty buffer but for [`Table::Levels`].
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("tables"),
            size: limits::GPU_TABLES_BYTES_MAX as u64,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut tables = Self { buffer, first_words: HashMap::new(), used_words: 0 };
        // 256 words into an empty buffer.
        let _fits = tables.first_word(Table::Levels, queue);
        tables
    }

    /// Where `table` begins, uploaded if it was not there yet.
    ///
    /// # Errors
    /// [`Full`] if there is no room for it: submit what is recorded, [`Self::clear`], and ask again.
    pub(super) fn first_word(&mut self, table: Table, queue: &wgpu::Queue) -> Result<u32, Full> {
        if let Some(first) = self.first_words.get(&table) {
            return Ok(*first);
        }
        let words = table.words();
        let end = self.used_words + words.len();
        if end > Self::WORDS_MAX {
            return Err(Full { words: words.len() });
        }
        queue.write_buffer(&self.buffer, 4 * self.used_words as u64, bytemuck::cast_slice(&words));
        let first = word(self.used_words);
        self.first_words.insert(table, first);
        self.used_words = end;
        Ok(first)
    }

    /// Forgets every table but [`Table::Levels`].
    pub(super) fn clear(&mut self) {
        self.first_words.retain(|table, _| *table == Table::Levels);
        self.used_words = transfer::linear_table().len();
    }

    /// The buffer to bind.
    pub(super) fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }
}
