//! How fast an adapter moves bytes at its best: plain copies of one large buffer, to measure the engine's own transfers by.

use std::time::{Duration, Instant};

use super::adapter::{self, Opened};
use super::fault::Fault;
use super::{AdapterInfo, Choice};
use crate::error::Result;

/// Bytes a second of plain copies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bandwidth {
    /// From memory that the CPU writes to the device's own.
    pub upload: f64,
    /// From the device's own memory to it; each byte is read once and written once.
    pub copy: f64,
    /// From the device's own memory to where the CPU reads.
    pub readback: f64,
}

/// Copies in one submission: what the submission itself takes is shared by them.
const COPIES: u32 = 8;
/// Submissions; the fastest counts, since everything else in the machine only ever adds.
const RUNS: usize = 5;

impl Bandwidth {
    /// Measures the adapter that `choice` picks with buffers of `bytes`, a multiple of 4.
    ///
    /// # Errors
    /// `Error::Device` if there is no such adapter, or it cannot hold three such buffers.
    pub fn measure(choice: Choice, bytes: u64) -> Result<(AdapterInfo, Self)> {
        use wgpu::BufferUsages as Usage;
        let Opened { info, device, queue, .. } = adapter::open(choice)?;
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let invalid = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let buffer = |label, usage| {
            let mapped_at_creation = false;
            device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size: bytes, usage, mapped_at_creation })
        };
        let staging = buffer("staging", Usage::MAP_WRITE | Usage::COPY_SRC);
        let [one, other] = ["one", "other"].map(|label| buffer(label, Usage::COPY_SRC | Usage::COPY_DST));
        let readback = buffer("readback", Usage::MAP_READ | Usage::COPY_DST);
        let best = |from: &wgpu::Buffer, to: &wgpu::Buffer| {
            let mut shortest = Duration::MAX;
            for _ in 0..RUNS {
                let descriptor = wgpu::CommandEncoderDescriptor { label: Some("copies") };
                let mut encoder = device.create_command_encoder(&descriptor);
                (0..COPIES).for_each(|_| encoder.copy_buffer_to_buffer(from, 0, to, 0, bytes));
                let start = Instant::now();
                let submission_index = Some(queue.submit([encoder.finish()]));
                let waited = device.poll(wgpu::PollType::Wait { submission_index, timeout: None });
                waited.map_err(|error| Fault::Lost(error.to_string()).during("measuring copies"))?;
                shortest = shortest.min(start.elapsed());
            }
            Ok(bytes as f64 * f64::from(COPIES) / shortest.as_secs_f64())
        };
        let measured = [(&staging, &one), (&one, &other), (&one, &readback)].map(|(from, to)| best(from, to));
        // Scopes are popped in reverse order.
        let (invalid, memory) = (pollster::block_on(invalid.pop()), pollster::block_on(memory.pop()));
        if let Some(error) = memory.or(invalid) {
            return Err(Fault::new(error).during("measuring copies"));
        }
        let [upload, copy, readback] = measured;
        Ok((info, Self { upload: upload?, copy: copy?, readback: readback? }))
    }
}
