//! What a job will need at most, before it is begun: the formula behind the memory budget.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::codec;
use crate::limits;
use crate::pixel::{Model, PixelFormat, Size};
use crate::plan::{DecodeAs, EncodeSpec, Fill, Header, Pass, Plan, Resample};

/// Upper bound of the bytes that a job holds at once: its source, the decoder, and for as many renditions as `threads`
/// work on together passes and encoder, beside the encoded rest.
///
/// The passes are counted as the product's engines run them, band by band where nothing forces a whole plane; the
/// oracle, which keeps every plane it makes, takes more.
pub fn job_bytes_max(source_bytes: u64, header: &Header, plans: &[impl AsRef<Plan>], threads: usize) -> u64 {
    let decoders = [DecodeAs::Native, DecodeAs::Rgb]
        .into_iter()
        .filter(|&decode| plans.iter().any(|plan| plan.as_ref().decode == decode))
        .map(|_| codec::decode_bytes_max(header, source_bytes));
    let mut work: Vec<u64> = plans.iter().map(|plan| rendition_bytes_max(header, plan.as_ref())).collect();
    work.sort_unstable_by_key(|&bytes| Reverse(bytes));
    let (together, later) = work.split_at(threads.max(1).min(work.len()));
    // What is encoded is no larger than its pixels were, give or take a header; nor is what waits to be encoded.
    let encoded = later.len() as u64 * ENCODED_EXTRA_BYTES
        + plans.iter().map(|plan| plan.as_ref().size.pixels().saturating_mul(4)).sum::<u64>();
    // The packet as read and shared, then as each encoder takes it, and profiles beside it.
    let metadata = source_bytes.min(limits::METADATA_BYTES_MAX as u64);
    let xmp = if plans.iter().any(|plan| plan.as_ref().output.embeds_xmp) {
        metadata.saturating_mul(2 + 3 * plans.len().min(threads.max(1)) as u64)
    } else {
        0
    };
    [source_bytes, encoded, xmp]
        .into_iter()
        .chain(decoders)
        .chain(together.iter().copied())
        .fold(0, u64::saturating_add)
}

/// The plans without the candidates that would take their job over `bytes_max`, the costliest of all first: a candidate never
/// costs the reply.
pub(super) fn within(
    bytes_max: u64,
    source_bytes: u64,
    header: &Header,
    mut plans: Vec<Arc<Plan>>,
    threads: usize,
) -> Vec<Arc<Plan>> {
    while job_bytes_max(source_bytes, header, &plans, threads) > bytes_max {
        let candidates = plans.iter().enumerate().flat_map(|(i, plan)| {
            let (_, format) = passes_bytes_max(header, plan);
            let finest = |spec| plan.encode.trims.finest(spec);
            let bytes = move |spec| codec::encode_bytes_max(plan.size, format.alpha, &finest(spec));
            plan.encode.candidates.iter().enumerate().map(move |(c, spec)| (bytes(spec), i, c))
        });
        let Some((_, i, c)) = candidates.max() else { break };
        Arc::make_mut(&mut plans[i]).encode.candidates.remove(c);
    }
    plans
}

/// Bytes of a candidate that is encoded while the format asked for is, beside those that [`job_bytes_max`] counts: its own
/// planes, its encoder, and the packet as that takes it.
pub(super) fn helper_bytes_max(size: Size, alpha: bool, spec: &EncodeSpec, xmp_bytes: usize) -> u64 {
    [codec::encode_bytes_max(size, alpha, spec), size.pixels().saturating_mul(3), 3 * xmp_bytes as u64]
        .into_iter()
        .fold(0, u64::saturating_add)
}

/// Profiles and tables of a colour conversion.
const CONVERSION_BYTES: u64 = 8 << 20;

/// What file formats add to pixels that do not compress.
const ENCODED_EXTRA_BYTES: u64 = 64 << 10;

/// Bytes of one rendition's passes and encoder, the source's planes and the encoded bytes not counted.
fn rendition_bytes_max(header: &Header, plan: &Plan) -> u64 {
    let (passes, format) = passes_bytes_max(header, plan);
    let bytes = |spec| codec::encode_bytes_max(plan.size, format.alpha, &spec);
    let candidates = plan.encode.candidates.iter().map(|spec| plan.encode.trims.finest(spec));
    let encode = std::iter::once(plan.encode.requested).chain(candidates).map(bytes).max();
    // Beside the planes to encode: the bytes of the format asked for, or of the best of its qualities so far, and R G B
    // made of Y Cb Cr for the others.
    let beside = match (plan.encode.candidates.is_empty(), plan.encode.jpeg_bytes_max) {
        (true, None) => 0,
        (true, Some(bytes_max)) => bytes_max.min(plan.size.pixels().saturating_mul(4)),
        (false, _) => plan.size.pixels().saturating_mul(3 + 4),
    };
    // Planes of other colours, and the tables that lead there.
    let converted = match plan.output.conversion {
        Some(_) => plan.size.pixels().saturating_mul(5).saturating_add(CONVERSION_BYTES),
        None if plan.output.embeds_profile => CONVERSION_BYTES,
        None => 0,
    };
    passes.saturating_add(encode.unwrap_or(0)).saturating_add(beside).saturating_add(converted)
}

/// Bytes of the planes that passes make (each pass reads its input while it writes its result), and the format that
/// comes of the last.
pub(super) fn passes_bytes_max(header: &Header, plan: &Plan) -> (u64, PixelFormat) {
    let mut size = plan.source;
    let mut format = match plan.decode {
        DecodeAs::Native => header.native,
        DecodeAs::Rgb => match header.native.model {
            Model::Grey => header.native,
            Model::Rgb | Model::Ycbcr(_) | Model::Yuv | Model::Cmyk => {
                PixelFormat { model: Model::Rgb, alpha: header.native.alpha }
            }
        },
    };
    // The source's own planes are the decoder's.
    let (mut held, mut most) = (0_u64, 0_u64);
    let mut sample_bytes = 1;
    for pass in &plan.passes {
        match pass {
            Pass::YcbcrToRgb => format.model = Model::Rgb,
            Pass::RgbToYcbcr { form } => format.model = form.model(),
            Pass::Grey => format.model = Model::Grey,
            // Done on the way into the next pass.
            Pass::Load { add_alpha, .. } => {
                format.alpha |= add_alpha;
                sample_bytes = 4;
                continue;
            }
            Pass::ResizeH(resample) => {
                size.w = resample.axis.dst_len;
                format = resized(format, resample);
            }
            Pass::ResizeV(resample) => {
                size.h = resample.axis.dst_len;
                format = resized(format, resample);
            }
            Pass::Pack { .. } => sample_bytes = 1,
            // The blurred halves, 32 bits each, beside their planes.
            Pass::UnsharpH(_) => {
                most = most.max(held.saturating_add(bytes(format, size, 4)));
                continue;
            }
            Pass::Turn(turn) => size = turn.turned(size),
            Pass::Rotate(rotation) => {
                size = rotation.canvas;
                format.alpha = true;
            }
            Pass::Cover(cover) => format = PixelFormat { model: cover.model(format.model), alpha: true },
            Pass::Mask(mask) => {
                format.alpha = true;
                let made = bytes(format, size, 1).saturating_add(mask.bytes_max(size));
                most = most.max(held.saturating_add(made));
            }
            Pass::Matte => format = PixelFormat::GREY,
            // It writes nothing.
            Pass::Median => continue,
            Pass::Point(point) => format.model = point.model(format.model),
            // The runs of one plane.
            Pass::GrowH(grow) => {
                let runs = size.pixels().saturating_mul(u64::from(grow.powers(u32::MAX)));
                most = most.max(held.saturating_add(bytes(format, size, 1)).saturating_add(2 * runs));
                continue;
            }
            Pass::GrowV(_) | Pass::Noise(_) | Pass::UnsharpV(_) | Pass::Sharpen => {}
            Pass::Place { canvas, fill, .. } => {
                size = *canvas;
                format = PixelFormat { model: fill.model(format.model), alpha: *fill == Fill::Transparent };
            }
        }
        let made = bytes(format, size, sample_bytes);
        most = most.max(held.saturating_add(made));
        held = made;
    }
    (most, format)
}

/// Chroma may come out as large as luma.
fn resized(format: PixelFormat, resample: &Resample) -> PixelFormat {
    match resample.chroma_axis {
        Some(chroma) => {
            let row = |len| Size::new(len, 1);
            format.with_chroma_size(row(resample.axis.dst_len), row(chroma.dst_len))
        }
        None => format,
    }
}

fn bytes(format: PixelFormat, size: Size, sample_bytes: u64) -> u64 {
    format.samples(size).saturating_mul(sample_bytes)
}
