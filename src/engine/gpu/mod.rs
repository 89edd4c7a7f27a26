//! The GPU engine: WGSL compute shaders through wgpu.
