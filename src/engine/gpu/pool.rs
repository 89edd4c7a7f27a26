//! Every buffer and bind group that batches use, made once for the largest shapes seen and used again and again.
//!
//! A ring of slots, one a batch in flight, holds what the CPU touches or what must survive until it has been read:
//! staging, uniforms, sources, finished pictures, readback. What only passes touch exists once for all slots, since one
//! queue runs batches one after the other. Sizes are classes (four an octave), so that nearly equal jobs share them.
//!
//! Invariants: nothing is allocated unless a job is larger than every job before it; all buffers together stay under
//! the pool's ceiling, with fewer slots if it must be; a slot's bind groups die with its buffers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::fault::Fault;
use super::pipelines::{Binding, Pipelines, Shader, TABLE};
use super::steps::{Role, Step};
use super::tables::Tables;

/// Bytes of what a pass measures of a picture: one word.
pub(super) const MEASURED_BYTES: u64 = 4;

/// Batches in flight, at most: one being staged, one running, one being read back. A mapped buffer may not appear in a
/// submission, so with two the GPU would wait for our copy at the end of every batch.
pub(super) const RING: usize = 3;

/// Bytes of each kind of buffer: what a batch needs, or what there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Uniform blocks, one a step.
    pub(super) uniforms: u64,
    /// Sources of the whole batch.
    pub(super) source: u64,
    /// Finished pictures of the whole batch.
    pub(super) out: u64,
    /// The largest 8-bit picture between two passes.
    pub(super) bytes: u64,
    /// The largest 32-bit picture between two passes.
    pub(super) wide: u64,
}

impl Sizes {
    /// Room for small jobs to travel together.
    const LEAST: Self = Self { uniforms: 256 << 10, source: 16 << 20, out: 4 << 20, bytes: 2 << 20, wide: 8 << 20 };

    /// What one more job adds to a batch.
    pub(super) fn with(self, job: Self) -> Self {
        Self {
            uniforms: self.uniforms + job.uniforms,
            source: self.source + job.source,
            out: self.out + job.out,
            bytes: self.bytes.max(job.bytes),
            wide: self.wide.max(job.wide),
        }
    }

    /// Whether buffers of these sizes hold `need`.
    pub(super) fn hold(self, need: Self) -> bool {
        self.each(need).into_iter().all(|(there, need)| need <= there)
    }

    fn max(self, other: Self) -> Self {
        self.map(other, u64::max)
    }

    fn class(self) -> Self {
        self.map(self, |n, _| class(n))
    }

    fn map(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            uniforms: f(self.uniforms, other.uniforms),
            source: f(self.source, other.source),
            out: f(self.out, other.out),
            bytes: f(self.bytes, other.bytes),
            wide: f(self.wide, other.wide),
        }
    }

    fn each(self, other: Self) -> [(u64, u64); 5] {
        [
            (self.uniforms, other.uniforms),
            (self.source, other.source),
            (self.out, other.out),
            (self.bytes, other.bytes),
            (self.wide, other.wide),
        ]
    }

    /// Bytes of a slot: uniforms, sources and pictures once where the CPU can reach them and once where it cannot.
    fn slot(self) -> u64 {
        2 * (self.uniforms + self.source + self.out)
    }

    /// Bytes of what all slots share.
    fn shared(self) -> u64 {
        2 * (self.bytes + self.wide) + MEASURED_BYTES
    }
}

/// The least of four sizes an octave that is at least `n`, and at least a page.
fn class(n: u64) -> u64 {
    const PAGE: u64 = 4096;
    let n = n.max(PAGE);
    let step = 1 << (n.ilog2() - 2);
    n.div_ceil(step) * step
}

/// How far the mappings of a slot have come.
#[derive(Debug, Default)]
pub(super) struct Maps {
    staging: AtomicU8,
    readback: AtomicU8,
    stamps: AtomicU8,
}

const WAITING: u8 = 0;
const MAPPED: u8 = 1;
const FAILED: u8 = 2;

/// What the mappings of a slot say about its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mapping {
    /// The GPU is not done yet.
    Waiting,
    /// Everything can be read, and staging can be written again.
    Done,
    /// The device is gone.
    Failed,
}

impl Maps {
    pub(super) fn state(&self) -> Mapping {
        let states = [&self.staging, &self.readback, &self.stamps].map(|state| state.load(Ordering::Acquire));
        if states.contains(&FAILED) {
            Mapping::Failed
        } else if states.contains(&WAITING) {
            Mapping::Waiting
        } else {
            Mapping::Done
        }
    }
}

fn outcome(result: Result<(), wgpu::BufferAsyncError>) -> u8 {
    if result.is_ok() { MAPPED } else { FAILED }
}

/// Buffers of one batch in flight.
#[derive(Debug)]
pub(super) struct Slot {
    /// Uniform blocks, then sources, written by the CPU; mapped whenever the slot is free.
    pub(super) staging: wgpu::Buffer,
    /// Uniform blocks on the GPU.
    pub(super) uniforms: wgpu::Buffer,
    /// Sources on the GPU.
    pub(super) source: wgpu::Buffer,
    /// Finished pictures on the GPU.
    pub(super) out: wgpu::Buffer,
    /// Finished pictures for the CPU.
    pub(super) readback: wgpu::Buffer,
    /// Timestamps for the CPU, where the device has any.
    pub(super) stamps: Option<wgpu::Buffer>,
    maps: Arc<Maps>,
    groups: HashMap<Bound, wgpu::BindGroup>,
}

/// What tells one bind group of a slot from another.
type Bound = (usize, Role, Option<Role>, Role);

impl Slot {
    fn new(device: &wgpu::Device, sizes: Sizes, stamps_bytes: Option<u64>) -> Self {
        use wgpu::BufferUsages as Usage;
        let buffer = |label, size, usage, mapped_at_creation| {
            device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation })
        };
        Self {
            staging: buffer("staging", sizes.uniforms + sizes.source, Usage::MAP_WRITE | Usage::COPY_SRC, true),
            uniforms: buffer("uniforms", sizes.uniforms, Usage::UNIFORM | Usage::COPY_DST, false),
            source: buffer("source", sizes.source, Usage::STORAGE | Usage::COPY_DST, false),
            out: buffer("out", sizes.out, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST, false),
            readback: buffer("readback", sizes.out, Usage::MAP_READ | Usage::COPY_DST, false),
            stamps: stamps_bytes.map(|bytes| buffer("stamps", bytes, Usage::MAP_READ | Usage::COPY_DST, false)),
            maps: Arc::new(Maps::default()),
            groups: HashMap::new(),
        }
    }

    /// Asks for all mappings, once the batch was submitted; `out` bytes will be read.
    pub(super) fn map(&self, out: u64) {
        self.maps.staging.store(WAITING, Ordering::Release);
        self.maps.readback.store(WAITING, Ordering::Release);
        let maps = self.maps.clone();
        self.staging.map_async(wgpu::MapMode::Write, .., move |result| {
            maps.staging.store(outcome(result), Ordering::Release);
        });
        let maps = self.maps.clone();
        self.readback.map_async(wgpu::MapMode::Read, ..out, move |result| {
            maps.readback.store(outcome(result), Ordering::Release);
        });
        match &self.stamps {
            None => self.maps.stamps.store(MAPPED, Ordering::Release),
            Some(stamps) => {
                self.maps.stamps.store(WAITING, Ordering::Release);
                let maps = self.maps.clone();
                stamps.map_async(wgpu::MapMode::Read, .., move |result| {
                    maps.stamps.store(outcome(result), Ordering::Release);
                });
            }
        }
    }

    /// Ends what was mapped for reading.
    pub(super) fn unmap(&self) {
        self.readback.unmap();
        if let Some(stamps) = &self.stamps {
            stamps.unmap();
        }
    }

    /// How far the mappings have come.
    pub(super) fn maps(&self) -> &Maps {
        &self.maps
    }
}

/// What passes alone touch.
#[derive(Debug)]
struct Shared {
    bytes: [wgpu::Buffer; 2],
    wide: [wgpu::Buffer; 2],
    measured: wgpu::Buffer,
}

impl Shared {
    fn new(device: &wgpu::Device, sizes: Sizes) -> Self {
        let buffer = |label, size| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        Self {
            bytes: ["bytes 0", "bytes 1"].map(|label| buffer(label, sizes.bytes)),
            wide: ["wide 0", "wide 1"].map(|label| buffer(label, sizes.wide)),
            measured: buffer("measured", MEASURED_BYTES),
        }
    }
}

/// All buffers of one device.
#[derive(Debug)]
pub(super) struct Pool {
    bytes_max: u64,
    buffer_bytes_max: u64,
    /// Bytes of the timestamps of a batch, where the device has any.
    stamps_bytes: Option<u64>,
    sizes: Sizes,
    shared: Option<Shared>,
    slots: Vec<Slot>,
}

impl Pool {
    /// A pool without buffers that will have at most `bytes_max` bytes, none of them larger than what can be bound.
    pub(super) fn new(bytes_max: u64, buffer_bytes_max: u64, stamps_bytes: Option<u64>) -> Self {
        Self { bytes_max, buffer_bytes_max, stamps_bytes, sizes: Sizes::default(), shared: None, slots: Vec::new() }
    }

    /// Sizes of the buffers there are.
    pub(super) fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Batches that can be in flight.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// A slot.
    pub(super) fn slot(&self, i: usize) -> &Slot {
        &self.slots[i]
    }

    /// Replaces all buffers by ones that hold `need`, and what was needed so far if the ceiling allows. Nothing may be
    /// in flight.
    ///
    /// # Errors
    /// If `need` alone is over the ceiling, or the device has no memory left; there are no buffers then.
    pub(super) fn grow(&mut self, device: &wgpu::Device, need: Sizes) -> Result<(), Fault> {
        let seen = self.sizes.max(need);
        let candidates = [seen.max(Sizes::LEAST), seen, need]
            // No class may round a buffer past what the adapter can bind; `need` itself was checked against that.
            .map(|sizes| sizes.class().map(sizes, |class, _| class.min(self.buffer_bytes_max)));
        self.clear();
        let fitting = candidates.into_iter().find_map(|sizes| Some((sizes, self.ring(sizes)?)));
        let Some((sizes, ring)) = fitting else {
            let need = need.slot() + need.shared();
            return Err(Fault::Limit { name: "the GPU pool's bytes_max", need, max: self.bytes_max });
        };
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let invalid = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let shared = Shared::new(device, sizes);
        let slots = (0..ring).map(|_| Slot::new(device, sizes, self.stamps_bytes)).collect();
        // Scopes are popped in reverse order.
        let (invalid, memory) = (pollster::block_on(invalid.pop()), pollster::block_on(memory.pop()));
        if let Some(error) = memory.or(invalid) {
            return Err(Fault::new(error));
        }
        (self.sizes, self.shared, self.slots) = (sizes, Some(shared), slots);
        Ok(())
    }

    /// Gives all buffers back. Nothing may be in flight.
    pub(super) fn clear(&mut self) {
        (self.sizes, self.shared) = (Sizes::default(), None);
        self.slots.clear();
    }

    /// Slots that the ceiling allows; `None` if not even one.
    fn ring(&self, sizes: Sizes) -> Option<usize> {
        let slot = sizes.slot() + self.stamps_bytes.unwrap_or(0);
        (1..=RING).rev().find(|&ring| ring as u64 * slot + sizes.shared() <= self.bytes_max)
    }

    /// The buffer behind `role` for a batch in slot `i`.
    ///
    /// # Panics
    /// If the pool has no buffers: `grow` comes first.
    pub(super) fn buffer(&self, i: usize, role: Role) -> &wgpu::Buffer {
        let slot = &self.slots[i];
        let shared = self.shared.as_ref().expect("a batch is recorded only after `grow`");
        match role {
            Role::Source => &slot.source,
            Role::Out => &slot.out,
            Role::Bytes(n) => &shared.bytes[usize::from(n)],
            Role::Wide(n) => &shared.wide[usize::from(n)],
            Role::Measured => &shared.measured,
        }
    }

    /// The bind group of a step of the batch in slot `i`, made when it is first asked for.
    pub(super) fn group(
        &mut self,
        device: &wgpu::Device,
        pipelines: &Pipelines,
        tables: &Tables,
        i: usize,
        step: &Step,
    ) -> &wgpu::BindGroup {
        let row = step.shader.row();
        let bound = (row, step.src, step.beside, step.dst);
        if !self.slots[i].groups.contains_key(&bound) {
            let group = self.bind(device, pipelines, tables, i, step.shader, bound);
            self.slots[i].groups.insert(bound, group);
        }
        &self.slots[i].groups[&bound]
    }

    fn bind(
        &self,
        device: &wgpu::Device,
        pipelines: &Pipelines,
        tables: &Tables,
        i: usize,
        shader: Shader,
        (row, src, beside, dst): Bound,
    ) -> wgpu::BindGroup {
        let uniform = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.slots[i].uniforms,
            offset: 0,
            size: wgpu::BufferSize::new(TABLE[row].uniform_bytes as u64),
        });
        // What is read comes in this order in every shader, `tables` where the row has one binding more.
        let mut read = vec![self.buffer(i, src)];
        read.extend(beside.map(|role| self.buffer(i, role)));
        let reads = TABLE[row].bindings.iter().filter(|binding| **binding == Binding::Read).count();
        read.extend((read.len() < reads).then(|| tables.buffer()));
        let buffers = read.into_iter().chain([self.buffer(i, dst)]);
        let resources = std::iter::once(uniform).chain(buffers.map(wgpu::Buffer::as_entire_binding));
        let entries: Vec<wgpu::BindGroupEntry<'_>> =
            (0..).zip(resources).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(TABLE[row].name),
            layout: pipelines.layout(shader.row()),
            entries: &entries,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_four_an_octave_and_never_too_small() {
        assert_eq!(
            [0, 4096, 4097, 5120, 5121, 6145, 7169, 8192].map(class),
            [4096, 4096, 5120, 5120, 6144, 7168, 8192, 8192]
        );
        for n in (0..1 << 20).step_by(977) {
            assert!(class(n) >= n && class(class(n)) == class(n), "{n}");
            assert!(class(n) <= (n + n / 4).max(4096), "{n}: {}", class(n));
        }
    }
}
