//! Our JPEG files against those of another encoder: jpeg-encoder, whose plain transform and tables are libjpeg's, too.

use std::io::Cursor;

use calotype::codec;
use calotype::pixel::{Chroma, Image, Model, PixelFormat, Size};
use calotype::plan::{Conversion, DecodeAs, EncodeSpec, JpegQuality, Output, TiffPacking};
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};

use super::make::computed;
use super::{YCBCR, YCBCR_HALF, corpus, decode_as, jpeg};
use crate::codecs::corpus::files;
use crate::support::SplitMix64;

/// How one file comes about.
#[derive(Clone, Copy, Debug)]
struct Form {
    quality: u8,
    chroma: Chroma,
    /// One scan of all components, with the tables of Annex K.
    is_interleaved: bool,
}

fn by_another(image: &Image, Form { quality, chroma, is_interleaved }: Form) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(match chroma {
        Chroma::Half if image.format().model != Model::Cmyk => SamplingFactor::R_4_2_0,
        Chroma::Half | Chroma::Full => SamplingFactor::R_4_4_4,
    });
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    encoder.set_optimized_huffman_tables(!is_interleaved);
    let mut samples = image.to_interleaved();
    if image.format().model == Model::Rgb {
        // By its own formula; what it makes of R G B itself depends on the processor.
        for px in samples.as_chunks_mut::<3>().0 {
            *px = jpeg_encoder::rgb_to_ycbcr(px[0], px[1], px[2]).into();
        }
    }
    let kind = match image.format().model {
        Model::Grey => ColorType::Luma,
        Model::Rgb | Model::Ycbcr(_) | Model::Yuv => ColorType::Ycbcr,
        Model::Cmyk => ColorType::Cmyk,
    };
    let [w, h] = [image.size().w, image.size().h].map(|side| u16::try_from(side).expect("a small picture"));
    encoder.encode(&samples, w, h, kind).expect("a picture that it takes");
    bytes
}

/// The picture with chroma of full size, each sample of half size four times.
fn doubled(half: &Image) -> Image {
    let planes = half.planes();
    let mut full = Image::new(half.size(), YCBCR);
    for (plane, from) in full.planes_mut().iter_mut().zip(planes) {
        let by = if from.size() == half.size() { 1 } else { 2 };
        for y in 0..half.size().h as usize {
            for (x, v) in plane.row_mut(y).iter_mut().enumerate() {
                *v = from.row(y / by)[x / by];
            }
        }
    }
    full
}

fn noise(size: Size, format: PixelFormat, random: &mut SplitMix64) -> Image {
    let mut image = Image::new(size, format);
    for plane in image.planes_mut() {
        plane.data_mut().iter_mut().for_each(|v| *v = random.next().to_le_bytes()[0]);
    }
    image
}

#[track_caller]
fn assert_same(image: &Image, theirs: &[u8], form: Form) {
    let ours = codec::encode(image, &jpeg(form.quality, form.chroma, false)).expect("bytes");
    let what = format!("{} {:?} {form:?}", image.size(), image.format());
    assert_equal(&what, &ours, theirs);
    assert_eq!(decode_as(&ours, DecodeAs::Rgb).size(), image.size(), "{what}");
}

#[track_caller]
fn assert_equal(what: &str, ours: &[u8], theirs: &[u8]) {
    let at = ours.iter().zip(theirs).position(|(a, b)| a != b);
    assert!(ours == theirs, "{what}: {} and {} bytes, the first to differ {at:?}", ours.len(), theirs.len());
}

/// Every size where blocks and chroma are cut, of noise, which has codes of every kind, and of none.
#[test]
fn files_are_those_of_another_encoder() {
    let mut random = SplitMix64::new("jpeg_out");
    let sides = || (1..=40).flat_map(|w| (1..=40).map(move |h| Size::new(w, h)));
    for size in sides().chain([Size::new(161, 107), Size::new(1, 300), Size::new(300, 1)]) {
        let quality = [1, 30, 49, 50, 85, 97, 100][(size.w + 3 * size.h) as usize % 7];
        for chroma in [Chroma::Half, Chroma::Full] {
            let form = Form { quality, chroma, is_interleaved: false };
            for format in [PixelFormat::GREY, PixelFormat::RGB, YCBCR] {
                let image = match (size.w + size.h) % 5 {
                    0 => Image::new(size, format),
                    1 => computed(size, format),
                    _ => noise(size, format, &mut random),
                };
                assert_same(&image, &by_another(&image, form), form);
            }
            let half = noise(size, YCBCR_HALF, &mut random);
            assert_same(&half, &by_another(&doubled(&half), form), form);
        }
    }
}

/// The extremes of the transform: black, white, and both in stripes and squares, at the finest steps.
#[test]
fn extremes_are_those_of_another_encoder() {
    let size = Size::new(32, 24);
    let patterns: [fn(usize, usize) -> usize; 6] =
        [|_, _| 0, |_, _| 1, |x, _| x & 1, |x, y| (x ^ y) & 1, |x, y| (x ^ y) >> 2 & 1, |_, y| y >> 3 & 1];
    for of in patterns {
        let mut image = Image::new(size, PixelFormat::GREY);
        for (i, v) in image.planes_mut()[0].data_mut().iter_mut().enumerate() {
            *v = if of(i % 32, i / 32) > 0 { 255 } else { 0 };
        }
        for quality in [1, 50, 100] {
            let form = Form { quality, chroma: Chroma::Half, is_interleaved: false };
            assert_same(&image, &by_another(&image, form), form);
        }
    }
}

/// What TIFFs hold.
#[test]
fn strips_are_those_of_another_encoder() {
    let mut random = SplitMix64::new("strips");
    for (w, h) in [(1, 1), (1, 17), (8, 8), (16, 16), (17, 15), (33, 26), (61, 45), (161, 107)] {
        for (quality, chroma) in [(1, Chroma::Half), (85, Chroma::Half), (85, Chroma::Full), (100, Chroma::Full)] {
            let form = Form { quality, chroma, is_interleaved: true };
            for format in [PixelFormat::GREY, PixelFormat::RGB, YCBCR] {
                let image = noise(Size::new(w, h), format, &mut random);
                let strip = by_another(&image, form);
                let spec = EncodeSpec::Tiff { packing: TiffPacking::Jpeg { quality: JpegQuality(quality), chroma } };
                let tiff = codec::encode(&image, &spec).expect("bytes");
                assert!(tiff.windows(strip.len()).any(|part| part == strip), "{w}x{h} {format:?} {form:?}");
            }
        }
    }
}

/// What its scans make of photographs, large enough for codes of every length.
#[test]
fn photographs_are_those_of_another_encoder() {
    let Some(corpus) = corpus() else { return };
    for path in files(&corpus.join("cid22")).into_iter().step_by(9) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let allow = super::allow_all();
        if codec::probe(&mut Cursor::new(&bytes), &allow).is_err() {
            continue;
        }
        let image = decode_as(&bytes, DecodeAs::Rgb);
        if image.format() == PixelFormat::RGB {
            for (quality, chroma) in [(85, Chroma::Half), (97, Chroma::Full)] {
                let form = Form { quality, chroma, is_interleaved: false };
                assert_same(&image, &by_another(&image, form), form);
            }
        }
    }
}

/// Inks: the same file of the same C, M, Y, K.
#[test]
fn inks_are_those_of_another_encoder() {
    let image = computed(Size::new(61, 45), PixelFormat::RGB);
    let spec = EncodeSpec::Jpeg { quality: JpegQuality(85), chroma: Chroma::Half, progressive: false };
    let output = Output { conversion: Some(Conversion::Inks), ..Output::default() };
    let ours = codec::encode_with(&image, &spec, &output, None).expect("bytes");
    let inks = PixelFormat { model: Model::Cmyk, alpha: false };
    // Grey is black alone: what is known of the conversion suffices for a grey ramp.
    let mut ramp = Image::new(Size::new(61, 45), PixelFormat::RGB);
    let mut black = Image::new(Size::new(61, 45), inks);
    for i in 0..61_usize * 45 {
        let v = (7 * i).to_le_bytes()[0];
        ramp.planes_mut().iter_mut().for_each(|plane| plane.data_mut()[i] = v);
        black.planes_mut()[3].data_mut()[i] = 255 - v;
    }
    let of_ramp = codec::encode_with(&ramp, &spec, &output, None).expect("bytes");
    let form = Form { quality: 85, chroma: Chroma::Full, is_interleaved: false };
    assert_equal("a ramp in black", &of_ramp, &by_another(&black, form));
    assert_ne!(ours, of_ramp);
}
