//! JPEG 2000 out: read back by OpenJPEG's own `opj_decompress`, of another release than the one that wrote it.

use std::process::Command;

use calotype::codec;
use calotype::error::Error;
use calotype::pixel::{Image, Model, PixelFormat, Plane, Size, testcard};
use calotype::plan::{DecodeAs, EncodeSpec, Jpeg2000Quality};

use super::avif::boxes;
use super::make::computed;
use super::{GREY_ALPHA, YCBCR, corpus, decode_as, encode_planes as encode, mse, worst};
use crate::http::has_tool;
use crate::support::SplitMix64;

const FORMATS: [PixelFormat; 4] = [PixelFormat::GREY, GREY_ALPHA, PixelFormat::RGB, PixelFormat::RGBA];
/// Around the code blocks of 64 samples, and too small for all levels of the transform.
const SIZES: [Size; 7] = [
    Size::new(1, 1),
    Size::new(1, 17),
    Size::new(17, 1),
    Size::new(3, 2),
    Size::new(64, 64),
    Size::new(65, 129),
    Size::new(255, 67),
];

fn lossy(hundredths: u16) -> EncodeSpec {
    EncodeSpec::Jpeg2000 { quality: Jpeg2000Quality(hundredths) }
}

/// Runs one of OpenJPEG's tools on a file; what it writes, and what it says.
fn opj(tool: &str, bytes: &[u8], output: &str) -> (Vec<u8>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("in.jp2"), bytes).expect("written");
    let ran = Command::new(tool).arg("-i").arg(path("in.jp2")).arg("-o").arg(path(output)).output();
    let ran = ran.unwrap_or_else(|e| panic!("{tool}: {e}"));
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && !said.contains("WARNING"), "{tool}: {said}");
    (std::fs::read(path(output)).unwrap_or_else(|e| panic!("{tool}: {e}: {said}")), said)
}

/// What a browser would show.
pub(crate) fn shown(bytes: &[u8]) -> Image {
    let (png, _) = opj("opj_decompress", bytes, "out.png");
    decode_as(&png, DecodeAs::Rgb)
}

/// `image` without an alpha that hides nothing.
fn visible(image: &Image) -> Image {
    if image.is_opaque() { colours(image) } else { image.clone() }
}

fn colours(image: &Image) -> Image {
    let format = PixelFormat { alpha: false, ..image.format() };
    Image::from_planes(image.size(), format, image.planes()[..format.planes()].to_vec())
}

#[test]
fn lossless_comes_back_exactly() {
    if !has_tool("opj_decompress") {
        return;
    }
    for format in FORMATS {
        for size in SIZES {
            let image = computed(size, format);
            assert!(shown(&encode(&image, &EncodeSpec::Jpeg2000Lossless)) == visible(&image), "{format:?} {size}");
        }
    }
}

#[test]
fn lossy_comes_back_close_in_every_size() {
    if !has_tool("opj_decompress") {
        return;
    }
    for format in FORMATS {
        for size in SIZES {
            let flat = Image::new(size, PixelFormat { alpha: false, ..format });
            for image in [computed(size, format), flat] {
                let back = shown(&encode(&image, &lossy(5600)));
                assert_eq!(back.alpha(), visible(&image).alpha(), "alpha is lossless: {format:?} {size}");
                let mse = mse(&colours(&back), &colours(&image));
                // Pictures of a few pixels lose nothing.
                let mse_max = if size.pixels() < 64 { 0.1 } else { 4.0 };
                assert!(mse < mse_max, "{format:?} {size}: mse {mse:.1}");
            }
        }
    }
}

#[test]
fn quality_is_a_ratio_that_falls_with_busyness() {
    if !has_tool("opj_decompress") {
        return;
    }
    let size = Size::new(300, 200);
    let mut random = SplitMix64::new("quality_is_a_ratio_that_falls_with_busyness");
    let noise: Vec<u8> = (0..size.samples()).map(|_| random.byte() / 2 + 64).collect();
    let noise = Image::from_planes(size, PixelFormat::GREY, vec![Plane::from_vec(size, noise)]);
    for (name, image) in
        [("photo", testcard::photo(size, 3)), ("noise", noise), ("waves", computed(size, PixelFormat::RGB))]
    {
        let (w, h) = (size.w as usize, size.h as usize);
        let differences: Vec<f64> = image
            .planes()
            .iter()
            .flat_map(|plane| {
                let at = |x: usize, y: usize| f64::from(plane.row(y)[x]);
                let across = (0..h).flat_map(move |y| (1..w).map(move |x| (at(x, y) - at(x - 1, y)).abs()));
                let down = (1..h).flat_map(move |y| (0..w).map(move |x| (at(x, y) - at(x, y - 1)).abs()));
                across.chain(down).collect::<Vec<_>>()
            })
            .collect();
        let busyness = (differences.iter().sum::<f64>() / differences.len() as f64).clamp(1.0 / 64.0, 16.0);
        for hundredths in [3600, 4200, 4800] {
            let want = f64::from(hundredths) / 100.0 - 2.7 * busyness.log2();
            let got = 10.0 * (255.0 * 255.0 / mse(&shown(&encode(&image, &lossy(hundredths))), &image)).log10();
            println!("{name}, neighbours differ by {busyness:.2}: {got:.2} dB, asked for {want:.2}");
            assert!((got - want).abs() < 0.7, "{name} {hundredths}: {got:.2} dB instead of {want:.2}");
        }
    }
}

/// A ratio over a whole picture must not be spent on its few lines.
#[test]
fn lines_on_an_empty_ground_stay_sharp() {
    if !has_tool("opj_decompress") {
        return;
    }
    for size in [Size::new(120, 80), Size::new(900, 600)] {
        let mut plane = Plane::from_vec(size, vec![255; size.samples()]);
        for (y, x) in (20..60).flat_map(|y| (20..100).step_by(7).map(move |x| (y, x))) {
            plane.row_mut(y)[x + y / 10] = 20;
        }
        let image = Image::from_planes(size, PixelFormat::GREY, vec![plane]);
        let bytes = encode(&image, &lossy(4648));
        let worst = worst(&shown(&bytes), &image);
        println!("{size}: {} bytes, off by {worst} levels at most", bytes.len());
        assert!(worst < 40, "{size}: off by {worst} levels");
    }
}

#[test]
fn finer_is_larger() {
    let photo = testcard::photo(Size::new(300, 200), 3);
    let bytes = |spec: &EncodeSpec| {
        let bytes = encode(&photo, spec);
        assert!(bytes == encode(&photo, spec), "{spec:?}: two encodings of one picture differ");
        bytes.len()
    };
    let mut lengths: Vec<usize> = [2800, 3200, 3600, 4000, 4400, 4800, 5200].map(|q| bytes(&lossy(q))).to_vec();
    lengths.push(bytes(&EncodeSpec::Jpeg2000Lossless));
    assert!(lengths.is_sorted_by(|a, b| a < b), "{lengths:?}");
}

#[test]
fn files_say_what_they_are() {
    let size = Size::new(70, 50);
    for (format, spec) in FORMATS.into_iter().flat_map(|f| [(f, lossy(4400)), (f, EncodeSpec::Jpeg2000Lossless)]) {
        let file = encode(&computed(size, format), &spec);
        let [("jP  ", signature), ("ftyp", kind), ("jp2h", header), ("jp2c", codestream)] = boxes(&file)[..] else {
            panic!("{:?}", boxes(&file))
        };
        assert_eq!((signature, kind), (&b"\r\n\x87\n"[..], &b"jp2 \0\0\0\0jp2 "[..]));
        let header = boxes(header);
        let colours = format.colour_planes();
        let count = u8::try_from(format.planes()).expect("at most four");
        assert_eq!(header[0], ("ihdr", &[0, 0, 0, 50, 0, 0, 0, 70, 0, count, 7, 7, 0, 0][..]));
        let space = if colours == 1 { 17 } else { 16 };
        assert_eq!(header[1], ("colr", &[1, 0, 0, 0, 0, 0, space][..]));
        let channels: &[u8] = match (format.alpha, colours) {
            (false, _) => &[],
            (true, 1) => &[0, 2, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0],
            (true, _) => &[0, 4, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 2, 0, 2, 0, 0, 0, 3, 0, 3, 0, 1, 0, 0],
        };
        assert_eq!(
            header.get(2).map_or(&[][..], |(name, body)| {
                assert_eq!(*name, "cdef");
                body
            }),
            channels
        );
        // Marker segments of the main header: alpha that is coded apart says so, and nobody signs.
        let apart: &[u8] = if format.alpha && spec != EncodeSpec::Jpeg2000Lossless { &[0x53, 0x5d] } else { &[] };
        let mut markers = Vec::new();
        let mut at = 2;
        while codestream[at + 1] != 0x90 {
            markers.push(codestream[at + 1]);
            at += 2 + usize::from(u16::from_be_bytes([codestream[at + 2], codestream[at + 3]]));
        }
        assert_eq!(markers, [&[0x51, 0x52, 0x5c], apart].concat(), "{format:?} {spec:?}");
        // The tile part ends where the codestream does.
        let length = u32::from_be_bytes(codestream[at + 6..at + 10].try_into().expect("four bytes")) as usize;
        assert_eq!(at + length + 2, codestream.len());
        assert!(codestream.ends_with(&[0xff, 0xd9]));
        if has_tool("opj_dump") {
            let (_, said) = opj("opj_dump", &file, "out.txt");
            assert!(!said.contains("ERROR"), "{said}");
        }
    }
}

#[test]
fn it_refuses_what_it_cannot_hold() {
    for (size, format) in [
        (Size::new(4, 4), PixelFormat { model: Model::Cmyk, alpha: false }),
        (Size::new(4, 4), YCBCR),
        (Size::new(0, 4), PixelFormat::RGB),
        (Size::new(32_769, 1), PixelFormat::GREY),
    ] {
        for spec in [lossy(4400), EncodeSpec::Jpeg2000Lossless] {
            let error = codec::encode(&Image::new(size, format), &spec).expect_err("refused");
            assert!(matches!(error, Error::Encode { format: "jpeg2000", .. }), "{spec:?}: {error}");
        }
    }
    for spec in [lossy(4400), EncodeSpec::Jpeg2000Lossless] {
        encode(&Image::new(Size::new(32_768, 1), PixelFormat::GREY), &spec);
    }
}

#[test]
fn photographs_come_back_close() {
    let Some(corpus) = corpus().filter(|_| has_tool("opj_decompress")) else { return };
    let mut paths: Vec<_> = corpus.join("cid22").read_dir().expect("cid22").flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths.iter().step_by(17) {
        let photo = colours(&decode_as(&std::fs::read(path).expect("a picture"), DecodeAs::Rgb));
        let psnr = |spec: &EncodeSpec| {
            let bytes = encode(&photo, spec);
            let psnr = 10.0 * (255.0 * 255.0 / mse(&shown(&bytes), &photo)).log10();
            println!("{}: {spec:?}: {} bytes, {psnr:.1} dB", path.display(), bytes.len());
            psnr
        };
        let (fine, coarse) = (psnr(&lossy(5000)), psnr(&lossy(4000)));
        assert!(coarse > 25.0 && (fine - coarse - 10.0).abs() < 1.0, "{}: {fine:.1}, {coarse:.1}", path.display());
    }
}
