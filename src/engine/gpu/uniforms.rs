//! Uniform blocks of the passes: the Rust halves of the structs at the top of each shader.
//!
//! Invariants: `u32`, `i32` and vectors of two or four alone, padded by hand to a multiple of 16 bytes; the first word
//! is the first quad of `src`, the second that of `dst`, and where the pass reads tables the third is the first word of
//! its table: these three are known only when a batch is put together. `tests/it/shaders.rs` compares every offset.

use std::mem::offset_of;

use bytemuck::{Pod, Zeroable};

/// Plane index that no picture has: "there is no alpha plane".
pub(super) const NO_PLANE: u32 = 8;

/// Declares uniform blocks, each with its members' names and offsets for the pipeline table.
macro_rules! uniforms {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Pod, Zeroable)]
        pub(super) struct $name { $(pub(super) $field: $type,)* }

        impl $name {
            /// Name and byte offset of every member, in order.
            pub(super) const MEMBERS: &'static [(&'static str, usize)] =
                &[$((stringify!($field), offset_of!($name, $field)),)*];
        }

        const _: () = assert!(size_of::<$name>().is_multiple_of(16) && size_of::<$name>() <= BYTES_MAX);
    )*};
}

/// Bytes of the largest uniform block.
pub(super) const BYTES_MAX: usize = 112;

uniforms! {
    /// Of `load`.
    LoadUniform {
        src_first: u32,
        dst_first: u32,
        table_first: u32,
        linear: u32,
        full: [u32; 4],
        half: [u32; 4],
        colours: u32,
        alpha: u32,
        _pad0: u32,
        _pad1: u32,
    }
    /// Of `resize_h`.
    ResizeHUniform {
        src_first: u32,
        dst_first: u32,
        table_first: u32,
        linear: u32,
        src_full: [u32; 4],
        src_half: [u32; 4],
        dst_full: [u32; 4],
        dst_half: [u32; 4],
        colours: u32,
        alpha: u32,
        _pad0: u32,
        _pad1: u32,
    }
    /// Of `resize_v`.
    ResizeVUniform {
        src_first: u32,
        dst_first: u32,
        table_first: u32,
        _pad0: u32,
        src_full: [u32; 4],
        src_half: [u32; 4],
        dst_full: [u32; 4],
        dst_half: [u32; 4],
    }
    /// Of `pack`.
    PackUniform {
        src_first: u32,
        dst_first: u32,
        linear: u32,
        alpha: u32,
        full: [u32; 4],
        half: [u32; 4],
    }
    /// Of `ycbcr_to_rgb`.
    YcbcrToRgbUniform {
        src_first: u32,
        dst_first: u32,
        halves: u32,
        planes: u32,
        full: [u32; 4],
        half: [u32; 4],
    }
    /// Of `rgb_to_ycbcr`.
    RgbToYcbcrUniform {
        src_first: u32,
        dst_first: u32,
        form: u32,
        planes: u32,
        is_ycbcr: u32,
        _pad0: u32,
        _pad1: u32,
        _pad2: u32,
        full: [u32; 4],
        half: [u32; 4],
    }
    /// Of `grey`.
    GreyUniform {
        src_first: u32,
        dst_first: u32,
        weighs: u32,
        alpha: u32,
        full: [u32; 4],
        half: [u32; 4],
    }
    /// Of `turn`.
    TurnUniform {
        src_first: u32,
        dst_first: u32,
        transposed: u32,
        mirrored: u32,
        flipped: u32,
        _pad0: u32,
        _pad1: u32,
        _pad2: u32,
        src_full: [u32; 4],
        dst_full: [u32; 4],
    }
    /// Of `rotate`.
    RotateUniform {
        src_first: u32,
        dst_first: u32,
        table_first: u32,
        colours: u32,
        src_full: [u32; 4],
        dst_full: [u32; 4],
        alpha: u32,
        _pad0: u32,
        _pad1: u32,
        _pad2: u32,
    }
    /// Of `cover`.
    CoverUniform {
        src_first: u32,
        dst_first: u32,
        colours: u32,
        dst_colours: u32,
        full: [u32; 4],
        alpha: u32,
        mask: u32,
        opacity: u32,
        _pad0: u32,
        under: [u32; 4],
    }
    /// Of `mask`.
    MaskUniform {
        src_first: u32,
        dst_first: u32,
        table_first: u32,
        colours: u32,
        full: [u32; 4],
        alpha: u32,
        _pad0: u32,
        _pad1: u32,
        _pad2: u32,
    }
    /// Of `matte`.
    MatteUniform {
        src_first: u32,
        dst_first: u32,
        alpha: u32,
        _pad0: u32,
        full: [u32; 4],
        half: [u32; 4],
    }
    /// Of `median`.
    MedianUniform {
        src_first: u32,
        dst_first: u32,
        colours: u32,
        alpha: u32,
        full: [u32; 4],
    }
    /// Of `point`.
    PointUniform {
        src_first: u32,
        dst_first: u32,
        table_first: u32,
        hue: i32,
        full: [u32; 4],
        colours: u32,
        dst_colours: u32,
        alpha: u32,
        saturation_q10: i32,
        tint: u32,
        contrast: i32,
        invert: u32,
        _pad0: u32,
        colour: [i32; 4],
    }
    /// Of `grow_h`.
    GrowHUniform {
        src_first: u32,
        dst_first: u32,
        grown: u32,
        alpha: u32,
        full: [u32; 4],
        flip: u32,
        first: u32,
        _pad0: u32,
        _pad1: u32,
    }
    /// Of `grow_v`.
    GrowVUniform {
        src_first: u32,
        dst_first: u32,
        table_first: u32,
        grown: u32,
        full: [u32; 4],
        flip: u32,
        first: u32,
        _pad0: u32,
        _pad1: u32,
    }
    /// Of `noise`.
    NoiseUniform {
        src_first: u32,
        dst_first: u32,
        colours: u32,
        seed: u32,
        full: [u32; 4],
        gaussian: u32,
        mono: u32,
        strength: i32,
        _pad0: u32,
    }
    /// Of `unsharp_h`.
    UnsharpHUniform {
        src_first: u32,
        dst_first: u32,
        table_first: u32,
        mono: u32,
        full: [u32; 4],
        colours: u32,
        alpha: u32,
        _pad0: u32,
        _pad1: u32,
    }
    /// Of `unsharp_v`.
    UnsharpVUniform {
        src_first: u32,
        dst_first: u32,
        table_first: u32,
        mono: u32,
        full: [u32; 4],
        colours: u32,
        alpha: u32,
        threshold_q6: i32,
        amount_q10: i32,
    }
    /// Of `sharpen`.
    SharpenUniform {
        src_first: u32,
        dst_first: u32,
        colours: u32,
        alpha: u32,
        full: [u32; 4],
    }
    /// Of `place`.
    PlaceUniform {
        src_first: u32,
        dst_first: u32,
        colours: u32,
        alpha: u32,
        src_full: [u32; 4],
        dst_full: [u32; 4],
        offset: [i32; 2],
        dst_alpha: u32,
        _pad0: u32,
        fill: [u32; 4],
    }
}

/// One uniform block, ready to be copied, its first words still open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uniform {
    words: [u32; BYTES_MAX / 4],
}

impl Uniform {
    /// The bytes of `block`.
    pub(super) fn new<T: Pod>(block: &T) -> Self {
        let mut words = [0; BYTES_MAX / 4];
        bytemuck::cast_slice_mut::<u32, u8>(&mut words)[..size_of::<T>()].copy_from_slice(bytemuck::bytes_of(block));
        Self { words }
    }

    /// Closes the open words: first quads of `src` and `dst`, first word of the table if the pass reads one.
    pub(super) fn at(mut self, src_first: u32, dst_first: u32, table_first: Option<u32>) -> Self {
        self.words[0] = src_first;
        self.words[1] = dst_first;
        if let Some(first) = table_first {
            self.words[2] = first;
        }
        self
    }

    /// The block as the GPU reads it.
    pub(super) fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words)
    }
}
