//! JPEG XR: planes through jxrlib, its codestreams into the tagged file that Internet Explorer and the first Edge read.
//!
//! Colour is transformed by the format's own steps. Alpha is a second, lossless picture beside straight colour. A grey picture
//! with alpha becomes R G B: there is no such pixel format.
//! Sources: ITU-T T.832 | ISO/IEC 29199-2, annex A (file).

use crate::codec::ffi::jxr::{self, Layout, Quantisers};
use crate::codec::rows::interleaved;
use crate::error::{Error, Result};
use crate::pixel::{Image, Model, PixelFormat, Size};
use crate::plan::JpegXrQuantiser;

const NAME: &str = "jpegxr";

/// Encodes grey or RGB planes, with alpha unless it is opaque everywhere.
pub(super) fn encode(image: &Image, JpegXrQuantiser(quantiser): JpegXrQuantiser) -> Result<Vec<u8>> {
    if quantiser < 2 {
        return Err(refuse(format!("quantiser {quantiser}: expected 2 to 255")));
    }
    // Coarse bands weigh more for their bytes, chroma's details less: against one quantiser for all, 20 to 40 % fewer bytes
    // at equal SSIMULACRA2 (`docs/measurements.md`).
    let finer = |by: u8| quantiser.saturating_sub(by).max(2);
    let luma = [finer(24), finer(16), quantiser];
    pack(image, Quantisers { luma, chroma: luma.map(|q| q.saturating_add(24)) })
}

/// Encodes the same planes without loss.
pub(super) fn encode_lossless(image: &Image) -> Result<Vec<u8>> {
    pack(image, LOSSLESS)
}

const LOSSLESS: Quantisers = Quantisers { luma: [1; 3], chroma: [1; 3] };

fn pack(image: &Image, steps: Quantisers) -> Result<Vec<u8>> {
    let alpha = image.alpha().filter(|_| !image.is_opaque());
    let size = image.size();
    let stream = |samples: &[u8], layout, steps| jxr::encode(samples, size, layout, steps).map_err(refuse);
    let (colour, format) = match (image.format().model, alpha) {
        (Model::Grey, None) => (stream(&interleaved(image, false), Layout::Grey, steps)?, GREY),
        (Model::Grey, Some(_)) => {
            let grey = &image.planes()[0];
            let rgb = Image::from_planes(size, PixelFormat::RGB, vec![grey.clone(), grey.clone(), grey.clone()]);
            (stream(&interleaved(&rgb, false), Layout::Rgb, steps)?, BGRA)
        }
        (Model::Rgb, alpha) => {
            let format = if alpha.is_some() { BGRA } else { BGR };
            (stream(&interleaved(image, false), Layout::Rgb, steps)?, format)
        }
        (_, _) => return Err(refuse(format!("planes of {:?}: expected grey or RGB", image.format()))),
    };
    let alpha = alpha.map(|plane| stream(plane.data(), Layout::Grey, LOSSLESS)).transpose()?;
    Ok(file(size, format, &colour, alpha.as_deref()))
}

fn refuse(reason: String) -> Error {
    Error::Encode { format: NAME, reason }
}

/// Pixel formats as GUIDs: 8bppGray, 24bppBGR, 32bppBGRA. They say in which order a reader should hand out the channels; these
/// orders are the oldest, which every reader knows.
const GREY: [u8; 16] = family(0x08);
const BGR: [u8; 16] = family(0x0c);
const BGRA: [u8; 16] = family(0x0f);

/// GUIDs that differ in their last byte alone.
const fn family(last: u8) -> [u8; 16] {
    [0x24, 0xc3, 0xdd, 0x6f, 0x03, 0x4e, 0xfe, 0x4b, 0xb1, 0x85, 0x3d, 0x77, 0x76, 0x8d, 0xc9, last]
}

/// The file: a header, one directory, the pixel format it points at, the codestreams.
fn file(size: Size, format: [u8; 16], colour: &[u8], alpha: Option<&[u8]>) -> Vec<u8> {
    const BYTES: u16 = 1;
    const LONG: u16 = 4;
    const ENTRY_BYTES: u32 = 12;
    let count: u8 = if alpha.is_some() { 7 } else { 5 };
    let directory = 8;
    let format_at = directory + 2 + ENTRY_BYTES * u32::from(count) + 4;
    let colour_at = format_at + 16;
    // `limits::VIEW_PIXELS_MAX` keeps files far below 4 GiB.
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0);
    // Codestreams start at even offsets.
    let alpha_at = (colour_at + length(colour)).next_multiple_of(2);
    let alpha_entries = alpha.map(|alpha| [(0xbcc2, LONG, 1, alpha_at), (0xbcc3, LONG, 1, length(alpha))]);
    let entries: [(u16, u16, u32, u32); 5] = [
        (0xbc01, BYTES, 16, format_at),
        (0xbc80, LONG, 1, size.w),
        (0xbc81, LONG, 1, size.h),
        (0xbcc0, LONG, 1, colour_at),
        (0xbcc1, LONG, 1, length(colour)),
    ];
    let mut out = b"II\xbc\x01".to_vec();
    out.extend(directory.to_le_bytes());
    out.extend([count, 0]);
    for (tag, kind, items, value) in entries.into_iter().chain(alpha_entries.into_iter().flatten()) {
        out.extend(tag.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(items.to_le_bytes());
        out.extend(value.to_le_bytes());
    }
    // No further directory.
    out.extend([0; 4]);
    out.extend(format);
    out.extend(colour);
    if let Some(alpha) = alpha {
        out.resize(alpha_at as usize, 0);
        out.extend(alpha);
    }
    out
}
