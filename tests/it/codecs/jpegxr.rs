//! JPEG XR out, where it is built in: read back by jxrlib's own `JxrDecApp`.
#![cfg(feature = "jpegxr")]

use std::process::Command;

use calotype::codec;
use calotype::error::Error;
use calotype::pixel::{Image, Model, PixelFormat, Plane, Size, testcard};
use calotype::plan::{EncodeSpec, JpegXrQuantiser};

use super::make::computed;
use super::{GREY_ALPHA, YCBCR, corpus, encode_planes as encode, mse};
use crate::http::has_tool;
use crate::support::SplitMix64;

const FORMATS: [PixelFormat; 4] = [PixelFormat::GREY, GREY_ALPHA, PixelFormat::RGB, PixelFormat::RGBA];
/// Around the macroblocks of 16 samples, and below them.
const SIZES: [Size; 9] = [
    Size::new(1, 1),
    Size::new(1, 17),
    Size::new(17, 1),
    Size::new(3, 2),
    Size::new(15, 31),
    Size::new(16, 16),
    Size::new(33, 48),
    Size::new(65, 129),
    Size::new(255, 67),
];

fn lossy(quantiser: u8) -> EncodeSpec {
    EncodeSpec::JpegXr { quantiser: JpegXrQuantiser(quantiser) }
}

/// What a browser would show.
pub(crate) fn shown(bytes: &[u8]) -> Image {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("in.jxr"), bytes).expect("written");
    let entry = |tag: u16| {
        let mut entries = bytes[10..].chunks_exact(12).take(bytes[8].into());
        entries.find(|e| e[..2] == tag.to_le_bytes()).map(|e| u32::from_le_bytes([e[8], e[9], e[10], e[11]]))
    };
    let size = Size::new(entry(0xbc80).expect("a width"), entry(0xbc81).expect("a height"));
    let format_at = entry(0xbc01).expect("a pixel format") as usize;
    // Its numbers of pixel formats: 24bppRGB, 8bppGray, 32bppBGRA.
    let (number, name, format) = match (bytes[format_at + 15], entry(0xbcc2)) {
        (0x08, None) => ("2", "out.pnm", PixelFormat::GREY),
        (0x0c, None) => ("9", "out.pnm", PixelFormat::RGB),
        (0x0f, Some(_)) => ("22", "out.tif", PixelFormat::RGBA),
        other => panic!("a file of {other:?}"),
    };
    let mut command = Command::new("JxrDecApp");
    command.arg("-i").arg(path("in.jxr")).arg("-o").arg(path(name)).args(["-c", number]);
    let ran = command.output().expect("JxrDecApp runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    let out = std::fs::read(path(name)).expect("what JxrDecApp wrote");
    let length = size.samples() * format.planes();
    // A pixmap's samples come last.
    let samples = if format.alpha { tiff_samples(&out, length) } else { out[out.len() - length..].to_vec() };
    Image::from_interleaved(size, format, &samples)
}

/// The only strip of a little-endian TIFF, R G B A.
fn tiff_samples(tiff: &[u8], length: usize) -> Vec<u8> {
    let u32_at = |at: usize| u32::from_le_bytes(tiff[at..at + 4].try_into().expect("four bytes")) as usize;
    let directory = u32_at(4);
    let count = usize::from(u16::from_le_bytes([tiff[directory], tiff[directory + 1]]));
    let strip = (0..count).map(|i| directory + 2 + 12 * i).find(|at| tiff[*at..at + 2] == 273_u16.to_le_bytes());
    let at = u32_at(strip.expect("a strip") + 8);
    tiff[at..at + length].to_vec()
}

/// As it is written: R G B, or grey without alpha; without an alpha that hides nothing.
fn visible(image: &Image) -> Image {
    let alpha = image.alpha().filter(|_| !image.is_opaque());
    let grey = image.format().model == Model::Grey;
    if grey && alpha.is_none() {
        return Image::from_planes(image.size(), PixelFormat::GREY, vec![image.planes()[0].clone()]);
    }
    let format = PixelFormat { model: Model::Rgb, alpha: alpha.is_some() };
    let colours = (0..3).map(|i| image.planes()[if grey { 0 } else { i }].clone());
    Image::from_planes(image.size(), format, colours.chain(alpha.cloned()).collect())
}

fn colours(image: &Image) -> Image {
    let format = PixelFormat { alpha: false, ..image.format() };
    Image::from_planes(image.size(), format, image.planes()[..format.planes()].to_vec())
}

fn noise(size: Size, format: PixelFormat) -> Image {
    let mut random = SplitMix64::new("noise");
    let planes = (0..format.planes()).map(|_| {
        Plane::from_vec(size, (0..size.samples()).map(|_| if random.next() & 1 == 0 { 0 } else { 255 }).collect())
    });
    Image::from_planes(size, format, planes.collect())
}

#[test]
fn lossless_comes_back_exactly() {
    if !has_tool("JxrDecApp") {
        return;
    }
    for format in FORMATS {
        for size in SIZES {
            for image in [computed(size, format), noise(size, format)] {
                assert!(shown(&encode(&image, &EncodeSpec::JpegXrLossless)) == visible(&image), "{format:?} {size}");
            }
        }
    }
}

#[test]
fn lossy_comes_back_close_in_every_size() {
    if !has_tool("JxrDecApp") {
        return;
    }
    for format in FORMATS {
        for size in SIZES {
            let image = computed(size, format);
            let (back, want) = (shown(&encode(&image, &lossy(16))), visible(&image));
            assert_eq!(back.alpha(), want.alpha(), "alpha is lossless: {format:?} {size}");
            let mse = mse(&colours(&back), &colours(&want));
            assert!(mse < 12.0, "{format:?} {size}: mse {mse:.1}");
        }
    }
}

#[test]
fn finer_is_larger() {
    let photo = testcard::photo(Size::new(300, 200), 3);
    let bytes = |quantiser| {
        let bytes = encode(&photo, &lossy(quantiser));
        assert!(bytes == encode(&photo, &lossy(quantiser)), "two encodings of one picture differ");
        bytes.len()
    };
    let lengths = [2, 8, 16, 30, 45, 60, 90, 140, 255].map(bytes);
    assert!(lengths.is_sorted_by(|a, b| a > b), "{lengths:?}");
    assert!(encode(&photo, &EncodeSpec::JpegXrLossless).len() > lengths[0]);
}

#[test]
fn it_refuses_what_it_cannot_hold() {
    for (size, format, spec) in [
        (Size::new(4, 4), PixelFormat { model: Model::Cmyk, alpha: false }, lossy(20)),
        (Size::new(4, 4), YCBCR, EncodeSpec::JpegXrLossless),
        (Size::new(4, 4), PixelFormat::RGB, lossy(1)),
        (Size::new(0, 4), PixelFormat::RGB, lossy(20)),
        (Size::new(32_769, 1), PixelFormat::GREY, lossy(20)),
    ] {
        let error = codec::encode(&Image::new(size, format), &spec).expect_err("refused");
        assert!(matches!(error, Error::Encode { format: "jpegxr", .. }), "{spec:?}: {error}");
    }
    encode(&Image::new(Size::new(32_768, 1), PixelFormat::GREY), &lossy(20));
}

#[test]
fn photographs_come_back_close() {
    let Some(corpus) = corpus().filter(|_| has_tool("JxrDecApp")) else { return };
    let mut paths: Vec<_> = corpus.join("cid22").read_dir().expect("cid22").flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths.iter().step_by(13) {
        let bytes = std::fs::read(path).expect("a picture");
        let photo = colours(&super::decode_as(&bytes, calotype::plan::DecodeAs::Rgb));
        let psnr = |spec: &EncodeSpec| {
            let bytes = encode(&photo, spec);
            let psnr = 10.0 * (255.0 * 255.0 / mse(&shown(&bytes), &visible(&photo))).log10();
            println!("{}: {spec:?}: {} bytes, {psnr:.1} dB", path.display(), bytes.len());
            psnr
        };
        let (fine, coarse) = (psnr(&lossy(16)), psnr(&lossy(50)));
        assert!(fine > 38.0 && coarse > 24.0 && fine > coarse + 4.0, "{}: {fine:.1}, {coarse:.1}", path.display());
    }
}
