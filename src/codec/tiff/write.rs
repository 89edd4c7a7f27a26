//! TIFF out, by the tiff crate: one page in strips, little-endian; what JPEG needs beside its bytes is written here.
//!
//! A JPEG is one strip, its scan interleaved with the tables of T.81 Annex K: what every reader of Compression 7 takes.
//! Sources: TIFF 6.0; TIFF Technical Note 2 (JPEG).

use std::io::Cursor;

use tiff::encoder::colortype::{CMYK8, ColorType, Gray8, RGB8};
use tiff::encoder::{
    Compression, DeflateLevel, DirectoryEncoder, ImageEncoder, Rational, TiffEncoder, TiffKindStandard,
};
use tiff::tags::{PhotometricInterpretation, Predictor, ResolutionUnit, SampleFormat, Tag, Type};
use tiff::{Directory, TiffError};

use super::NAME;
use crate::codec::{Beside, jpeg, paths, rows};
use crate::error::{Error, Result};
use crate::pixel::{Chroma, Density, Image, Model, Size};
use crate::plan::{JpegQuality, TiffPacking};

/// Encodes planes of grey, R G B or C M Y K, with alpha unless it is opaque everywhere; Y Cb Cr as JPEG alone.
pub(in crate::codec) fn encode(image: &Image, packing: TiffPacking, beside: &Beside<'_>) -> Result<Vec<u8>> {
    let compression = match packing {
        TiffPacking::None => return write_plain(image, beside),
        TiffPacking::Lzw => Compression::Lzw,
        TiffPacking::Zip => Compression::Deflate(DeflateLevel::Balanced),
        TiffPacking::Jpeg { quality, chroma } => return write_jpeg(image, quality, chroma, beside),
    };
    let alpha = !image.is_opaque();
    match (image.format().model, alpha) {
        (Model::Grey, false) => write_packed::<Gray8>(image, alpha, compression, beside),
        (Model::Grey, true) => write_packed::<GreyAlpha8>(image, alpha, compression, beside),
        (Model::Rgb, false) => write_packed::<RGB8>(image, alpha, compression, beside),
        (Model::Rgb, true) => write_packed::<RgbAlpha8>(image, alpha, compression, beside),
        (Model::Cmyk, false) => write_packed::<CMYK8>(image, alpha, compression, beside),
        (Model::Cmyk, true) => write_packed::<CmykAlpha8>(image, alpha, compression, beside),
        (Model::Ycbcr(_) | Model::Yuv, _) => Err(refuse(format!("planes of {:?}", image.format()))),
    }
}

/// As the crate compresses it.
fn write_packed<C: ColorType<Inner = u8>>(
    image: &Image,
    alpha: bool,
    compression: Compression,
    beside: &Beside<'_>,
) -> Result<Vec<u8>> {
    let samples = rows::interleaved(image, alpha);
    let mut file = Cursor::new(Vec::new());
    let encoder = TiffEncoder::new(&mut file).map_err(refuse)?.with_compression(compression);
    let mut encoder = encoder.with_predictor(Predictor::Horizontal);
    let mut page: ImageEncoder<'_, _, C, TiffKindStandard> =
        encoder.new_image(image.size().w, image.size().h).map_err(refuse)?;
    if alpha {
        page.encoder().write_tag(Tag::ExtraSamples, STRAIGHT_ALPHA).map_err(refuse)?;
    }
    tagged(page.encoder(), image.size(), beside).map_err(refuse)?;
    page.write_data(&samples).map_err(refuse)?;
    Ok(file.into_inner())
}

/// Not compressed: the crate would name a predictor, of which readers complain.
fn write_plain(image: &Image, beside: &Beside<'_>) -> Result<Vec<u8>> {
    let alpha = !image.is_opaque();
    let (photometric, colours) = match image.format().model {
        Model::Grey => (PhotometricInterpretation::BlackIsZero, 1),
        Model::Rgb => (PhotometricInterpretation::RGB, 3),
        Model::Cmyk => (PhotometricInterpretation::CMYK, 4),
        Model::Ycbcr(_) | Model::Yuv => return Err(refuse(format!("planes of {:?}", image.format()))),
    };
    let samples = colours + usize::from(alpha);
    let row_bytes = image.size().w as usize * samples;
    let rows = (STRIP_BYTES / row_bytes).max(1);
    let data = rows::interleaved(image, alpha);
    let strips: Vec<&[u8]> = data.chunks(rows * row_bytes).collect();
    write_page(image.size(), photometric, samples, beside, |page| {
        strips_of(page, &strips, NONE, u32::try_from(rows)?.min(image.size().h))?;
        if alpha { page.write_tag(Tag::ExtraSamples, STRAIGHT_ALPHA) } else { Ok(()) }
    })
}

fn write_jpeg(image: &Image, quality: JpegQuality, chroma: Chroma, beside: &Beside<'_>) -> Result<Vec<u8>> {
    let (photometric, samples) = match image.format().model {
        Model::Grey => (PhotometricInterpretation::BlackIsZero, 1),
        Model::Rgb | Model::Ycbcr(_) => (PhotometricInterpretation::YCbCr, 3),
        Model::Cmyk => (PhotometricInterpretation::CMYK, 4),
        Model::Yuv => return Err(refuse(format!("planes of {:?}", image.format()))),
    };
    let strip = jpeg::encode_interleaved(image, quality, chroma)?;
    write_page(image.size(), photometric, samples, beside, |page| {
        strips_of(page, &[&strip], JPEG, image.size().h)?;
        if photometric == PhotometricInterpretation::YCbCr {
            let step: u16 = match chroma {
                Chroma::Full => 1,
                Chroma::Half => 2,
            };
            page.write_tag(Tag::ChromaSubsampling, &[step; 2][..])?;
            page.write_tag(Tag::Unknown(YCBCR_POSITIONING), CENTRED)?;
            let range = [0, 255, 128, 255, 128, 255].map(|n| Rational { n, d: 1 });
            page.write_tag(Tag::Unknown(REFERENCE_BLACK_WHITE), &range[..])?;
        }
        Ok(())
    })
}

type Page<'a, 'f> = DirectoryEncoder<'a, &'f mut Cursor<Vec<u8>>, TiffKindStandard>;

/// A page of what `more` writes, and what every page has.
fn write_page(
    size: Size,
    photometric: PhotometricInterpretation,
    samples: usize,
    beside: &Beside<'_>,
    more: impl FnOnce(&mut Page<'_, '_>) -> Result<(), TiffError>,
) -> Result<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).map_err(refuse)?;
    let mut page = encoder.image_directory().map_err(refuse)?;
    let write = || -> Result<(), TiffError> {
        page.write_tag(Tag::ImageWidth, size.w)?;
        page.write_tag(Tag::ImageLength, size.h)?;
        page.write_tag(Tag::BitsPerSample, &[8_u16; 5][..samples])?;
        page.write_tag(Tag::PhotometricInterpretation, photometric.to_u16())?;
        page.write_tag(Tag::SamplesPerPixel, u16::try_from(samples)?)?;
        page.write_tag(Tag::ResolutionUnit, ResolutionUnit::None.to_u16())?;
        page.write_tag(Tag::XResolution, Rational { n: 1, d: 1 })?;
        page.write_tag(Tag::YResolution, Rational { n: 1, d: 1 })?;
        more(&mut page)?;
        tagged(&mut page, size, beside)
    };
    write().map_err(refuse)?;
    page.finish().map_err(refuse)?;
    Ok(file.into_inner())
}

/// Strips of `rows` rows each. `limits::VIEW_PIXELS_MAX` keeps files far below 4 GiB.
fn strips_of(page: &mut Page<'_, '_>, strips: &[&[u8]], compression: u16, rows: u32) -> Result<(), TiffError> {
    let mut offsets = Vec::with_capacity(strips.len());
    let mut lengths = Vec::with_capacity(strips.len());
    for strip in strips {
        offsets.push(u32::try_from(page.write_data(*strip)?)?);
        lengths.push(u32::try_from(strip.len())?);
    }
    page.write_tag(Tag::Compression, compression)?;
    page.write_tag(Tag::StripOffsets, offsets.as_slice())?;
    page.write_tag(Tag::RowsPerStrip, rows)?;
    page.write_tag(Tag::StripByteCounts, lengths.as_slice())
}

/// What is not compressed comes in strips of about this many bytes.
const STRIP_BYTES: usize = 1 << 20;
/// ExtraSamples: alpha that colours are not multiplied by.
const STRAIGHT_ALPHA: u16 = 2;
/// Compression.
const NONE: u16 = 1;
const JPEG: u16 = 7;
const YCBCR_POSITIONING: u16 = 531;
const CENTRED: u16 = 1;
const REFERENCE_BLACK_WHITE: u16 = 532;
const XMP: u16 = 700;

/// What a page says beside its pixels.
fn tagged(page: &mut Page<'_, '_>, size: Size, beside: &Beside<'_>) -> Result<(), TiffError> {
    if let Some(density) = beside.output.density {
        page.write_tag(Tag::ResolutionUnit, ResolutionUnit::Inch.to_u16())?;
        page.write_tag(Tag::XResolution, dpi(density))?;
        page.write_tag(Tag::YResolution, dpi(density))?;
    }
    if let Some(packet) = beside.xmp {
        page.write_tag(Tag::Unknown(XMP), packet)?;
    }
    if !beside.output.paths.is_empty() {
        let resources = paths::resources(&beside.output.paths, size);
        page.write_tag(Tag::Unknown(paths::TIFF_TAG), resources.as_slice())?;
    }
    if let Some(icc) = beside.icc {
        // Bytes of no kind, which the crate's values are not.
        let entry = page.write_entry_bytes(Type::UNDEFINED, icc)?;
        page.extend_from(&[(Tag::IccProfile, entry)].into_iter().collect::<Directory>());
    }
    Ok(())
}

fn dpi(density: Density) -> Rational {
    let [n, d] = density.dpi_ratio();
    Rational { n, d }
}

fn refuse(reason: impl std::fmt::Display) -> Error {
    Error::Encode { format: NAME, reason: reason.to_string() }
}

/// Grey and alpha, which the crate has no name for.
struct GreyAlpha8;

/// R G B and alpha: the crate's own does not say what the fourth sample is, and predicts by three.
struct RgbAlpha8;

/// Inks and alpha.
struct CmykAlpha8;

macro_rules! with_alpha {
    ($($name:ty, $value:ident, $samples:literal;)*) => {$(
        impl ColorType for $name {
            type Inner = u8;
            const TIFF_VALUE: PhotometricInterpretation = PhotometricInterpretation::$value;
            const BITS_PER_SAMPLE: &'static [u16] = &[8; $samples];
            const SAMPLE_FORMAT: &'static [SampleFormat] = &[SampleFormat::Uint; $samples];

            fn horizontal_predict(row: &[u8], result: &mut Vec<u8>) {
                result.extend_from_slice(&row[..row.len().min($samples)]);
                result.extend(row.iter().zip(&row[row.len().min($samples)..]).map(|(left, v)| v.wrapping_sub(*left)));
            }
        }
    )*};
}

with_alpha! {
    GreyAlpha8, BlackIsZero, 2;
    RgbAlpha8, RGB, 4;
    CmykAlpha8, CMYK, 5;
}
