//! Timestamps: what the copies and the passes of a batch took on the device, where the adapter can tell.
//!
//! Four of them a batch, written into one query set, resolved into one buffer and read back with the pictures. Invariant: a
//! clock is made once with the device; a batch allocates nothing for it.

use std::time::Duration;

use super::DeviceTimes;
use super::pool::RING;

/// Timestamps of one batch: its start, and the ends of upload, passes and readback.
const STAMPS: u32 = 4;
/// Bytes between the stamps of two batches: what a resolve must be aligned to.
const STRIDE: u64 = wgpu::QUERY_RESOLVE_BUFFER_ALIGNMENT;
/// Bytes of the stamps of one batch.
pub(super) const STAMPS_BYTES: u64 = STAMPS as u64 * wgpu::QUERY_SIZE as u64;

/// What an adapter must offer.
pub(super) const FEATURES: wgpu::Features =
    wgpu::Features::TIMESTAMP_QUERY.union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);

/// The query set of a device, and where it is resolved to.
#[derive(Debug)]
pub(super) struct Clock {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    /// Length of a tick, ns.
    tick_ns: f64,
}

impl Clock {
    /// For a device that was opened with [`FEATURES`]; `None` for one without.
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Option<Self> {
        if !device.features().contains(FEATURES) {
            return None;
        }
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("stamps"),
            ty: wgpu::QueryType::Timestamp,
            count: STAMPS * u32::try_from(RING).unwrap_or(u32::MAX),
        });
        let resolved = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("stamps"),
            size: STRIDE * RING as u64,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        Some(Self { queries, resolved, tick_ns: f64::from(queue.get_timestamp_period()) })
    }

    /// Writes stamp `n` of the batch in `slot` after what was recorded so far.
    pub(super) fn stamp(&self, encoder: &mut wgpu::CommandEncoder, slot: usize, n: u32) {
        encoder.write_timestamp(&self.queries, first(slot) + n);
    }

    /// Copies the stamps of the batch in `slot` to where the CPU will read them.
    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder, slot: usize, readback: &wgpu::Buffer) {
        let at = STRIDE * slot as u64;
        encoder.resolve_query_set(&self.queries, first(slot)..first(slot) + STAMPS, &self.resolved, at);
        encoder.copy_buffer_to_buffer(&self.resolved, at, readback, 0, STAMPS_BYTES);
    }

    /// What the stamps of a batch say.
    pub(super) fn times(&self, stamps: &[u8]) -> DeviceTimes {
        let mut ticks = stamps.chunks_exact(8).map(|bytes| u64::from_ne_bytes(bytes.try_into().unwrap_or_default()));
        let mut last = ticks.next().unwrap_or(0);
        let [upload, passes, readback] = std::array::from_fn(|_| {
            let next = ticks.next().unwrap_or(last);
            // Some drivers let a clock step back between command buffers.
            let ns = next.saturating_sub(std::mem::replace(&mut last, next)) as f64 * self.tick_ns;
            Duration::from_nanos(whole(ns))
        });
        DeviceTimes { upload, passes, readback }
    }
}

/// The first stamp of a slot.
fn first(slot: usize) -> u32 {
    STAMPS * u32::try_from(slot).unwrap_or(0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates when it is cast")]
fn whole(ns: f64) -> u64 {
    ns.round() as u64
}
