//! TIFFs of our own: read again by us and by libtiff.

use std::process::Command;

use calotype::codec;
use calotype::pixel::{Chroma, Density, Image, PixelFormat, Size};
use calotype::plan::{DecodeAs, EncodeSpec, JpegQuality, Output, TiffPacking};

use super::make::computed;
use super::{GREY_ALPHA, decode_as, encode, mse, probe, worst};
use crate::http::has_tool;

const LOSSLESS: [TiffPacking; 3] = [TiffPacking::None, TiffPacking::Lzw, TiffPacking::Zip];

fn lossy(quality: u8, chroma: Chroma) -> EncodeSpec {
    EncodeSpec::Tiff { packing: TiffPacking::Jpeg { quality: JpegQuality(quality), chroma } }
}

/// What libtiff makes of a file, R G B A; `None`: its tool is not here.
fn by_libtiff(file: &[u8]) -> Option<Image> {
    if !has_tool("tiff2rgba") {
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let [from, to] = ["from.tif", "to.tif"].map(|name| folder.path().join(name));
    std::fs::write(&from, file).expect("writable");
    let ran = Command::new("tiff2rgba").args(["-c", "none"]).arg(&from).arg(&to).output().expect("tiff2rgba");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.is_empty(), "{said}");
    Some(decode_as(&std::fs::read(&to).expect("its output"), DecodeAs::Rgb))
}

fn opaque(image: &Image) -> Image {
    Image::from_planes(image.size(), PixelFormat::RGB, image.planes()[..3].to_vec())
}

#[test]
fn lossless_files_come_back_exactly() {
    for format in [PixelFormat::GREY, GREY_ALPHA, PixelFormat::RGB, PixelFormat::RGBA] {
        for size in [Size::new(1, 1), Size::new(1, 17), Size::new(255, 67), Size::new(3000, 700)] {
            let image = computed(size, format);
            for packing in LOSSLESS {
                let file = codec::encode(&image, &EncodeSpec::Tiff { packing }).expect("bytes");
                assert_eq!(decode_as(&file, DecodeAs::Native), image, "{packing:?} {format:?} {size}");
            }
        }
    }
    let image = computed(Size::new(211, 97), PixelFormat::RGB);
    for packing in LOSSLESS {
        let file = codec::encode(&image, &EncodeSpec::Tiff { packing }).expect("bytes");
        if let Some(seen) = by_libtiff(&file) {
            assert_eq!(opaque(&seen), image, "{packing:?}");
        }
    }
}

#[test]
fn compression_pays() {
    let image = computed(Size::new(600, 400), PixelFormat::RGB);
    let [none, lzw, zip] = LOSSLESS.map(|packing| encode(&image, &EncodeSpec::Tiff { packing }).len());
    let jpeg = encode(&image, &lossy(80, Chroma::Half)).len();
    println!("none {none}, lzw {lzw}, zip {zip}, jpeg {jpeg}");
    assert!(none > lzw && lzw > zip && zip > 2 * jpeg);
}

#[test]
fn jpeg_strips_are_read_by_us_and_by_libtiff() {
    for (format, chroma, mse_max) in [
        (PixelFormat::GREY, Chroma::Half, 4.0),
        (PixelFormat::RGB, Chroma::Half, 6.0),
        (PixelFormat::RGB, Chroma::Full, 4.0),
    ] {
        for size in [Size::new(1, 1), Size::new(33, 17), Size::new(257, 131)] {
            let image = computed(size, format);
            let file = encode(&image, &lossy(95, chroma));
            let back = decode_as(&file, DecodeAs::Rgb);
            if size.w > 100 {
                let mse = mse(&back, &image);
                assert!(mse < mse_max, "{format:?} {chroma:?}: {mse}");
            }
            if let Some(seen) = by_libtiff(&file) {
                let seen = opaque(&seen);
                let ours = match back.planes() {
                    [grey] => Image::from_planes(size, PixelFormat::RGB, vec![grey.clone(); 3]),
                    _ => back,
                };
                assert!(worst(&seen, &ours) <= 6, "{format:?} {chroma:?} {size}: {}", worst(&seen, &ours));
            }
        }
    }
}

#[test]
fn densities_are_written() {
    let image = computed(Size::new(20, 10), PixelFormat::RGB);
    for dpi in [72.0, 300.0, 71.5] {
        let output = Output { density: Density::from_dpi(dpi), ..Output::default() };
        for spec in [EncodeSpec::Tiff { packing: TiffPacking::Zip }, lossy(80, Chroma::Full)] {
            let file = codec::encode_with(&image, &spec, &output, None).expect("bytes");
            assert_eq!(probe(&file).density.map(Density::dpi), Some(dpi), "{spec:?}");
            let plain = codec::encode(&image, &spec).expect("bytes");
            assert_eq!(probe(&plain).density, None, "{spec:?}");
        }
    }
}
