//! `load`, `resize_h`, `resize_v`, `pack`: the separable resample in f32.

use crate::kernel::{Taps, transfer};
use crate::pixel::{Image, Model, PixelFormat, Plane, Size, WorkingSpace};
use crate::plan::Resample;

/// f32 planes between `load` and `pack`: levels of 0 to 255, premultiplied, in the working space. Values may leave
/// 0..255: nothing clamps before `pack`.
#[derive(Clone, Debug)]
pub struct Working {
    /// Size of the full-size planes.
    pub size: Size,
    /// Model and alpha, as of the picture that was loaded.
    pub format: PixelFormat,
    /// The planes in order; alpha is 0..255 as well.
    pub planes: Vec<Plane<f32>>,
}

/// 8-bit encoded straight to f32 premultiplied.
///
/// - Shape: `[planes][h][w]` u8 → `[planes (+ alpha)][h][w]` f32
/// - Space: src encoded, straight · dst `space`, premultiplied: `c · a / 255`
/// - Agreement: oracle of `shaders/load.wgsl` and the SIMD loader, ≤ 1 level after `pack`
///
/// # Panics
/// If `space` is linear and the model is Y Cb Cr, or alpha is added to half-size chroma: the planner converts first.
pub fn load(src: &Image, space: WorkingSpace, add_alpha: bool) -> Working {
    let model = src.format().model;
    assert!(space == WorkingSpace::Encoded || matches!(model, Model::Grey | Model::Rgb), "linear {model:?}");
    let table = match space {
        WorkingSpace::Encoded => std::array::from_fn(|i| i as f32),
        WorkingSpace::Linear => transfer::linear_table(),
    };
    let colours = src.format().colour_planes();
    let format = PixelFormat { model, alpha: src.format().alpha || add_alpha };
    let mut planes: Vec<Plane<f32>> = Vec::with_capacity(format.planes());
    for plane in &src.planes()[..colours] {
        let mut data: Vec<f32> = plane.data().iter().map(|&v| table[v as usize]).collect();
        if let Some(alpha) = src.alpha() {
            for (v, &a) in data.iter_mut().zip(alpha.data()) {
                *v = *v * f32::from(a) / 255.0;
            }
        }
        planes.push(Plane::from_vec(plane.size(), data));
    }
    if format.alpha {
        let data = match src.alpha() {
            Some(alpha) => alpha.data().iter().map(|&a| f32::from(a)).collect(),
            None => vec![255.0; src.size().samples()],
        };
        planes.push(Plane::from_vec(src.size(), data));
    }
    Working { size: src.size(), format, planes }
}

/// Horizontal half of the resize: every row resampled to `axis.dst_len` columns.
///
/// - Shape: `[planes][h][w_src]` → `[planes][h][axis.dst_len]`; half-size chroma by `chroma_axis`
/// - Edges: as the axis says; no wrap, no mirror
/// - Agreement: oracle of `shaders/resize_h.wgsl` and the SIMD resize, ≤ 1 level after `pack`
/// - Source: Turkowski, "Filters for Common Resampling Tasks", Graphics Gems (1990)
pub fn resize_h(src: &Working, resample: &Resample) -> Working {
    each_plane(src, resample, |plane, taps, dst_len| {
        let mut dst = Plane::new(Size::new(dst_len, plane.size().h));
        for y in 0..plane.size().h as usize {
            let row = plane.row(y);
            for (x, out) in dst.row_mut(y).iter_mut().enumerate() {
                let (first, weights) = taps.window(x);
                let mut acc = 0.0;
                for (w, v) in weights.iter().zip(&row[first..]) {
                    acc += w * v;
                }
                *out = acc;
            }
        }
        dst
    })
}

/// Vertical half of the resize: every column resampled to `axis.dst_len` rows. As [`resize_h`], turned.
pub fn resize_v(src: &Working, resample: &Resample) -> Working {
    each_plane(src, resample, |plane, taps, dst_len| {
        let mut dst = Plane::<f32>::new(Size::new(plane.size().w, dst_len));
        for y in 0..dst_len as usize {
            let (first, weights) = taps.window(y);
            for (t, w) in weights.iter().enumerate() {
                for (out, v) in dst.row_mut(y).iter_mut().zip(plane.row(first + t)) {
                    *out += w * v;
                }
            }
        }
        dst
    })
}

/// Runs `half` on every plane with the plane's own taps. The new picture's size is that of the full-size planes.
fn each_plane(src: &Working, resample: &Resample, half: impl Fn(&Plane<f32>, &Taps, u32) -> Plane<f32>) -> Working {
    let taps = Taps::new(resample.kernel, &resample.axis);
    let chroma = resample.chroma_axis.map(|axis| (Taps::new(resample.kernel, &axis), axis));
    let planes: Vec<Plane<f32>> = src
        .planes
        .iter()
        .enumerate()
        .map(|(i, plane)| match (&chroma, src.format.is_half(i)) {
            (Some((taps, axis)), true) => half(plane, taps, axis.dst_len),
            _ => half(plane, &taps, resample.axis.dst_len),
        })
        .collect();
    Working { size: planes[0].size(), format: src.format, planes }
}

/// f32 premultiplied to 8-bit encoded straight: the one place that clamps and rounds (⌊v + ½⌋).
///
/// - Shape: `[planes][h][w]` f32 → u8
/// - Space: src `space`, premultiplied · dst encoded, straight; colour under alpha ≤ 0 is 0
/// - Half-size chroma that the resize has made as large as luma is full-size chroma from here on
/// - Agreement: oracle of `shaders/pack.wgsl`
pub fn pack(src: &Working, space: WorkingSpace) -> Image {
    let alpha = src.format.alpha_plane().map(|i| &src.planes[i]);
    let planes = src
        .planes
        .iter()
        .enumerate()
        .map(|(i, plane)| {
            let is_alpha = src.format.alpha_plane() == Some(i);
            let data = plane.data().iter().enumerate().map(|(p, &v)| {
                let straight = match alpha {
                    Some(alpha) if !is_alpha => {
                        let a = alpha.data()[p];
                        if a > 0.0 { v * 255.0 / a } else { 0.0 }
                    }
                    _ => v,
                };
                let encoded = match space {
                    WorkingSpace::Linear if !is_alpha => encode(straight),
                    _ => straight,
                };
                level(encoded)
            });
            Plane::from_vec(plane.size(), data.collect())
        })
        .collect();
    let format = src.format.with_chroma_size(src.size, src.planes[src.planes.len().min(2) - 1].size());
    Image::from_planes(src.size, format, planes)
}

/// Linear light to encoded level, both 0..255; clamped first, since the curve is only defined there.
fn encode(light: f32) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "working precision is f32")]
    {
        transfer::encoded_from_linear(f64::from(light.clamp(0.0, 255.0))) as f32
    }
}

/// ⌊v + ½⌋ clamped to 0..255, NaN to 0: both are what a cast to `u8` does.
#[expect(clippy::cast_possible_truncation, reason = "saturates by intention")]
fn level(v: f32) -> u8 {
    (v + 0.5).floor() as u8
}
