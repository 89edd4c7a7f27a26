//! TIFFs of our own: read again by us and by libtiff.

use std::io::Cursor;
use std::process::Command;

use calotype::codec;
use calotype::pixel::path::{Outline, Path, Piece};
use calotype::pixel::{Chroma, Density, Image, PixelFormat, Size};
use calotype::plan::{DecodeAs, EncodeSpec, JpegQuality, Output, SourcePath, TiffPacking};

use super::make::computed;
use super::{GREY_ALPHA, decode_as, encode, mse, probe, worst};
use crate::http::has_tool;
use crate::quality::pictures::as_stored;

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

#[test]
fn paths_of_the_source_go_along() {
    let px = |x: i64, y: i64| [x, y].map(|v| v * SourcePath::UNITS_PER_PX);
    let triangle = Outline { start: px(1, 2), pieces: [px(60, 2), px(30, 40), px(1, 2)].map(Piece::Line).into() };
    let path = SourcePath { name: String::from("Bag"), path: Path { outlines: vec![triangle] }, is_closed: true };
    let output = Output { paths: vec![path], ..Output::default() };
    let image = computed(Size::new(64, 48), PixelFormat::RGB);
    for spec in LOSSLESS.map(|packing| EncodeSpec::Tiff { packing }).into_iter().chain([lossy(90, Chroma::Half)]) {
        let stored = as_stored(&image, &spec);
        let file = codec::encode_with(&stored, &spec, &output, None).expect("bytes");
        let [found] = &codec::paths(&mut Cursor::new(&file), &probe(&file))[..] else { panic!("{spec:?}: one path") };
        assert_eq!((found.name.as_str(), found.is_closed), ("Bag", true));
        // Parts of the sides come back as pixels, give or take their own steps.
        let near = |a: [i64; 2], b: [i64; 2]| a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= 2);
        let (was, is) = (&output.paths[0].path.outlines[0], &found.path.outlines[0]);
        assert!(near(was.start, is.start) && was.pieces.len() == is.pieces.len(), "{is:?}");
        assert!(was.pieces.iter().zip(&is.pieces).all(|(a, b)| near(a.end(), b.end())), "{is:?}");
        if let Some(seen) = by_libtiff(&file) {
            assert_eq!(seen.size(), image.size());
        }
    }
}
