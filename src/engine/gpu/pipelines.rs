//! The passes as compute pipelines: one row a shader file, one pipeline a row, built once and never again.
//!
//! Invariants: [`TABLE`] is in the order of [`Pass::ALL`], file = entry point = label; `common.wgsl` is prepended as
//! text; workgroups have [`WORKGROUP`] invocations in every pass. `tests/it/shaders.rs` holds table and files together.

use super::uniforms::{
    CoverUniform, GreyUniform, GrowHUniform, GrowVUniform, LoadUniform, MaskUniform, MatteUniform, MedianUniform,
    NoiseUniform, PackUniform, PlaceUniform, PointUniform, ResizeHUniform, ResizeVUniform, RgbToYcbcrUniform,
    RotateUniform, SharpenUniform, TurnUniform, UnsharpHUniform, UnsharpVUniform, YcbcrToRgbUniform,
};
use crate::plan::Pass;

/// Invocations of a workgroup, columns × rows: the rows of two workgroups of NVIDIA's 32 and AMD's 64 lanes stay whole,
/// so that neighbouring lanes read neighbouring memory. 256 is what every adapter offers.
pub const WORKGROUP: [u32; 2] = [32, 8];

/// What a pass' bind group 0 holds at one binding, in order from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The uniform block.
    Uniform,
    /// A storage buffer that is read.
    Read,
    /// A storage buffer that is written.
    Write,
}

/// One pass: its shader and what the shader expects.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// File, entry point, label and name in [`Pass::ALL`].
    pub name: &'static str,
    /// The text of the shader's own file.
    pub text: &'static str,
    /// Bind group 0.
    pub bindings: &'static [Binding],
    /// Bytes of the uniform block.
    pub uniform_bytes: usize,
    /// Name and byte offset of each member of the uniform block.
    pub uniform_members: &'static [(&'static str, usize)],
}

impl Row {
    /// The whole text of the shader.
    pub fn source(&self) -> String {
        [COMMON, self.text].concat()
    }
}

/// `common.wgsl`.
pub const COMMON: &str = include_str!("../../../shaders/common.wgsl");

/// A row from its name, uniform block and bindings; the file's name is spelled once.
macro_rules! row {
    ($name:literal, $uniform:ty, $bindings:expr) => {
        Row {
            name: $name,
            text: include_str!(concat!("../../../shaders/", $name, ".wgsl")),
            bindings: $bindings,
            uniform_bytes: size_of::<$uniform>(),
            uniform_members: <$uniform>::MEMBERS,
        }
    };
}

const SRC_DST: &[Binding] = &[Binding::Uniform, Binding::Read, Binding::Write];
const SRC_TABLES_DST: &[Binding] = &[Binding::Uniform, Binding::Read, Binding::Read, Binding::Write];
const SRC_BESIDE_TABLES_DST: &[Binding] =
    &[Binding::Uniform, Binding::Read, Binding::Read, Binding::Read, Binding::Write];

/// Every pass, in the order of [`Pass::ALL`].
pub const TABLE: [Row; Pass::ALL.len()] = [
    row!("ycbcr_to_rgb", YcbcrToRgbUniform, SRC_DST),
    row!("rgb_to_ycbcr", RgbToYcbcrUniform, SRC_DST),
    row!("grey", GreyUniform, SRC_DST),
    row!("load", LoadUniform, SRC_TABLES_DST),
    row!("resize_h", ResizeHUniform, SRC_TABLES_DST),
    row!("resize_v", ResizeVUniform, SRC_TABLES_DST),
    row!("pack", PackUniform, SRC_DST),
    row!("turn", TurnUniform, SRC_DST),
    row!("rotate", RotateUniform, SRC_TABLES_DST),
    row!("cover", CoverUniform, SRC_DST),
    row!("mask", MaskUniform, SRC_TABLES_DST),
    row!("matte", MatteUniform, SRC_DST),
    row!("median", MedianUniform, SRC_DST),
    row!("point", PointUniform, SRC_BESIDE_TABLES_DST),
    row!("grow_h", GrowHUniform, SRC_DST),
    row!("grow_v", GrowVUniform, SRC_BESIDE_TABLES_DST),
    row!("noise", NoiseUniform, SRC_DST),
    row!("unsharp_h", UnsharpHUniform, SRC_TABLES_DST),
    row!("unsharp_v", UnsharpVUniform, SRC_BESIDE_TABLES_DST),
    row!("sharpen", SharpenUniform, SRC_DST),
    row!("place", PlaceUniform, SRC_DST),
];

/// Which pipeline a step runs: a row of [`TABLE`], or `resize_h` with `load` fused into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shader {
    /// The row of a pass.
    Pass(usize),
    /// `resize_h` that reads 8-bit planes.
    LoadResizeH,
}

impl Shader {
    /// Of a pass of the plan.
    pub(super) fn of(pass: &Pass) -> Self {
        // `Pass::ALL` and `TABLE` list the same names, which the shader tests check.
        Self::Pass(Pass::ALL.iter().position(|name| *name == pass.name()).unwrap_or(0))
    }

    /// The row whose shader it runs.
    pub(super) fn row(self) -> usize {
        match self {
            Self::Pass(row) => row,
            Self::LoadResizeH => RESIZE_H,
        }
    }
}

/// Row of `resize_h`.
const RESIZE_H: usize = 4;
const _: () = assert!(matches!(Pass::ALL[RESIZE_H].as_bytes(), b"resize_h"));

/// All pipelines of one device.
#[derive(Debug)]
pub(super) struct Pipelines {
    layouts: Vec<wgpu::BindGroupLayout>,
    pipelines: Vec<wgpu::ComputePipeline>,
    load_resize_h: wgpu::ComputePipeline,
}

impl Pipelines {
    /// Compiles every shader. Errors come through the device's error scopes.
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let layouts: Vec<wgpu::BindGroupLayout> = TABLE.iter().map(|row| bind_group_layout(device, row)).collect();
        let modules: Vec<wgpu::ShaderModule> = TABLE
            .iter()
            .map(|row| {
                device.create_shader_module(wgpu::ShaderModuleDescriptor {
                    label: Some(row.name),
                    source: wgpu::ShaderSource::Wgsl(row.source().into()),
                })
            })
            .collect();
        let build = |row: usize, label: &str, extra: &[(&str, f64)]| {
            let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(label),
                bind_group_layouts: &[Some(&layouts[row])],
                immediate_size: 0,
            });
            let [x, y] = WORKGROUP;
            let constants = [&[("WG_X", f64::from(x)), ("WG_Y", f64::from(y))], extra].concat();
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(label),
                layout: Some(&layout),
                module: &modules[row],
                entry_point: Some(TABLE[row].name),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    ..wgpu::PipelineCompilationOptions::default()
                },
                cache: None,
            })
        };
        let pipelines = (0..TABLE.len()).map(|row| build(row, TABLE[row].name, &[])).collect();
        let load_resize_h = build(RESIZE_H, "load+resize_h", &[("FUSED", 1.0)]);
        Self { layouts, pipelines, load_resize_h }
    }

    /// The pipeline of a step.
    pub(super) fn pipeline(&self, shader: Shader) -> &wgpu::ComputePipeline {
        match shader {
            Shader::Pass(row) => &self.pipelines[row],
            Shader::LoadResizeH => &self.load_resize_h,
        }
    }

    /// The layout of bind group 0 of a row.
    pub(super) fn layout(&self, row: usize) -> &wgpu::BindGroupLayout {
        &self.layouts[row]
    }
}

fn bind_group_layout(device: &wgpu::Device, row: &Row) -> wgpu::BindGroupLayout {
    let storage = |read_only| wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Storage { read_only },
        has_dynamic_offset: false,
        min_binding_size: None,
    };
    let entries: Vec<wgpu::BindGroupLayoutEntry> = (0..)
        .zip(row.bindings)
        .map(|(binding, kind)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: match kind {
                Binding::Uniform => wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Uniform,
                    has_dynamic_offset: true,
                    min_binding_size: wgpu::BufferSize::new(row.uniform_bytes as u64),
                },
                Binding::Read => storage(true),
                Binding::Write => storage(false),
            },
            count: None,
        })
        .collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(row.name), entries: &entries })
}
