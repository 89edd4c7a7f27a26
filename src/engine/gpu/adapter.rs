//! Adapters: which there are, which one is used, and the device that is opened on it.

use std::fmt;

use super::clock;
use super::fault::Fault;
use super::steps::Limits;
use crate::error::Result;

/// Which adapters an engine may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// Discrete, integrated or virtual ones alone: `engine = "auto"`. A software adapter is never chosen, since the SIMD
    /// engine beats it.
    Hardware,
    /// Hardware first, else whatever there is: `engine = "gpu"`, tests.
    Any,
}

/// What an adapter is, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AdapterKind {
    /// A card of its own.
    Discrete,
    /// Shares its memory with the CPU.
    Integrated,
    /// A GPU lent by a hypervisor.
    Virtual,
    /// Software on the CPU.
    Cpu,
    /// The driver does not say.
    Other,
}

impl AdapterKind {
    /// Whether [`Choice::Hardware`] may use it.
    pub fn is_hardware(self) -> bool {
        match self {
            Self::Discrete | Self::Integrated | Self::Virtual => true,
            Self::Cpu | Self::Other => false,
        }
    }

    /// Lower-case name, as `doctor` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Cpu => "cpu",
            Self::Other => "other",
        }
    }
}

/// One adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterInfo {
    /// The driver's name for it.
    pub name: String,
    /// What it is.
    pub kind: AdapterKind,
    /// The interface it is reached by, lower case.
    pub backend: String,
    /// Driver and its version.
    pub driver: String,
}

impl AdapterInfo {
    fn new(info: &wgpu::AdapterInfo) -> Self {
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
            wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
            wgpu::DeviceType::Cpu => AdapterKind::Cpu,
            wgpu::DeviceType::Other => AdapterKind::Other,
        };
        let driver = format!("{} {}", info.driver, info.driver_info);
        Self { name: info.name.clone(), kind, backend: info.backend.to_string(), driver: driver.trim().to_owned() }
    }
}

impl fmt::Display for AdapterInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {}, {})", self.name, self.kind.name(), self.backend, self.driver)
    }
}

/// Every adapter of this machine, best first; none is no error.
pub fn adapters() -> Vec<AdapterInfo> {
    found().into_iter().map(|(info, _)| info).collect()
}

/// The adapter that `choice` picks among `adapters`, if any: the first of the best kind.
pub fn choose(choice: Choice, adapters: &[AdapterInfo]) -> Option<usize> {
    let may_use = |kind: AdapterKind| match choice {
        Choice::Hardware => kind.is_hardware(),
        Choice::Any => true,
    };
    (0..adapters.len()).filter(|&i| may_use(adapters[i].kind)).min_by_key(|&i| adapters[i].kind)
}

/// A device of our own.
pub(super) struct Opened {
    pub(super) info: AdapterInfo,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) limits: Limits,
    /// Bytes from one uniform block to the next.
    pub(super) uniform_stride: u32,
}

/// Opens a device on the adapter that `choice` picks.
///
/// # Errors
/// `Error::Device` if there is no such adapter or it gives no device.
pub(super) fn open(choice: Choice) -> Result<Opened> {
    const DOING: &str = "opening an adapter";
    // Without a device node there is no hardware adapter, and the Vulkan loader, which software drivers make slow and
    // talkative, is not worth waking.
    if choice == Choice::Hardware && !has_device_node() {
        return Err(Fault::NoAdapter { found: 0 }.during(DOING));
    }
    let mut found = found();
    let infos: Vec<AdapterInfo> = found.iter().map(|(info, _)| info.clone()).collect();
    let Some(i) = choose(choice, &infos) else {
        return Err(Fault::NoAdapter { found: infos.len() }.during(DOING));
    };
    let (info, adapter) = found.swap_remove(i);
    let offered = adapter.limits();
    // What the passes need and no more, but buffers as large as the adapter gives.
    let required_limits = wgpu::Limits {
        max_buffer_size: offered.max_buffer_size,
        max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
        ..wgpu::Limits::downlevel_defaults().using_resolution(offered)
    };
    // All of them or none: half a clock is none.
    let has_clock = adapter.features().contains(clock::FEATURES);
    let required_features = if has_clock { clock::FEATURES } else { wgpu::Features::empty() };
    let request = adapter.request_device(&wgpu::DeviceDescriptor {
        label: Some("calotype"),
        required_features,
        required_limits,
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        ..wgpu::DeviceDescriptor::default()
    });
    let (device, queue) = pollster::block_on(request).map_err(|e| Fault::Refused(e.to_string()).during(DOING))?;
    let granted = device.limits();
    let (binding, buffer) = (granted.max_storage_buffer_binding_size, granted.max_buffer_size);
    // Shaders count 32-bit words of one buffer in a u32.
    let (buffer_limit, buffer_bytes_max) = if binding <= buffer {
        ("max_storage_buffer_binding_size", binding.min(u64::from(u32::MAX)))
    } else {
        ("max_buffer_size", buffer.min(u64::from(u32::MAX)))
    };
    let limits = Limits { buffer_bytes_max, buffer_limit, groups_max: granted.max_compute_workgroups_per_dimension };
    let uniform_stride = granted.min_uniform_buffer_offset_alignment.max(128);
    Ok(Opened { info, device, queue, limits, uniform_stride })
}

/// Whether the kernel offers any GPU: DRM render nodes, NVIDIA's own, or WSL's. Elsewhere than on Linux: perhaps.
fn has_device_node() -> bool {
    const NODES: [&str; 4] = ["/dev/dri", "/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg"];
    !cfg!(target_os = "linux") || NODES.iter().any(|node| std::path::Path::new(node).exists())
}

fn found() -> Vec<(AdapterInfo, wgpu::Adapter)> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::VULKAN,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut found: Vec<(AdapterInfo, wgpu::Adapter)> =
        pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN))
            .into_iter()
            .map(|adapter| (AdapterInfo::new(&adapter.get_info()), adapter))
            .collect();
    found.sort_by_key(|(info, _)| info.kind);
    found
}
