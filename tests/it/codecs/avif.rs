//! AVIF out: read back by libavif's `avifdec` with dav1d, neither of which wrote it.

use std::path::Path;
use std::process::Command;

use calotype::codec;
use calotype::error::Error;
use calotype::pixel::{Chroma, Image, Model, PixelFormat, Plane, Size, testcard};
use calotype::plan::{AvifEffort, AvifQuantiser, DecodeAs, EncodeSpec};

use super::make::computed;
use super::{GREY_ALPHA, YCBCR, YCBCR_HALF, corpus, decode_as, encode_planes as encode, mse};
use crate::http::has_tool;
use crate::support::SplitMix64;

const YCBCR_HALF_ALPHA: PixelFormat = PixelFormat { model: Model::Ycbcr(Chroma::Half), alpha: true };
/// Around the block sizes of AV1 and below them.
const SIZES: [Size; 6] =
    [Size::new(1, 1), Size::new(1, 17), Size::new(17, 1), Size::new(64, 64), Size::new(65, 129), Size::new(255, 67)];

fn lossy(quantiser: u8, chroma: Chroma) -> EncodeSpec {
    EncodeSpec::Avif { quantiser: AvifQuantiser(quantiser), effort: AvifEffort::Usual, chroma }
}

/// Runs `avifdec` on a file; what it writes, and what it says.
fn avifdec(bytes: &[u8], arguments: &[&str], output: Option<&str>) -> (Vec<u8>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("in.avif"), bytes).expect("written");
    let mut command = Command::new("avifdec");
    command.args(["--codec", "dav1d"]).args(arguments).arg(path("in.avif")).args(output.map(path));
    let ran = command.output().expect("avifdec runs");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    let read = |name: &str| std::fs::read(Path::new(&path(name))).expect("what avifdec wrote");
    (output.map(read).unwrap_or_default(), said)
}

/// What a browser would show: R G B, with alpha if there is one.
pub(crate) fn shown(bytes: &[u8]) -> Image {
    let (png, _) = avifdec(bytes, &["--upsampling", "bilinear", "--png-compress", "0"], Some("out.png"));
    as_rgb(&decode_as(&png, DecodeAs::Rgb))
}

/// The planes themselves: `avifdec` writes them behind two lines of text.
fn stored(bytes: &[u8], format: PixelFormat, size: Size) -> Image {
    let (y4m, _) = avifdec(bytes, &[], Some("out.y4m"));
    let frame = y4m.windows(6).position(|w| w == b"FRAME\n").expect("a frame") + 6;
    let mut rest = &y4m[frame..];
    let planes = (0..format.planes()).map(|i| {
        let size = format.plane_size(i, size);
        let (plane, after) = rest.split_at(size.samples());
        rest = after;
        Plane::from_vec(size, plane.to_vec())
    });
    Image::from_planes(size, format, planes.collect())
}

/// `image` as R G B with its alpha.
fn as_rgb(image: &Image) -> Image {
    let format = PixelFormat { model: Model::Rgb, alpha: image.format().alpha };
    let grey = image.format().model == Model::Grey;
    let colours = (0..3).map(|i| image.planes()[if grey { 0 } else { i }].clone());
    Image::from_planes(image.size(), format, colours.chain(image.alpha().cloned()).collect())
}

#[test]
fn lossless_comes_back_exactly() {
    if !has_tool("avifdec") {
        return;
    }
    for format in [PixelFormat::GREY, GREY_ALPHA, PixelFormat::RGB, PixelFormat::RGBA] {
        for size in SIZES {
            let image = computed(size, format);
            let back = shown(&encode(&image, &EncodeSpec::AvifLossless));
            let want = if image.is_opaque() && format.alpha { drop_alpha(&as_rgb(&image)) } else { as_rgb(&image) };
            assert!(back == want, "{format:?} {size}");
        }
    }
    for format in [YCBCR, YCBCR_HALF] {
        for size in SIZES {
            let image = computed(size, format);
            let back = stored(&encode(&image, &EncodeSpec::AvifLossless), format, size);
            assert!(back == image, "{format:?} {size}");
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a mean of levels")]
fn luma(image: &Image) -> Image {
    let [r, g, b, ..] = image.planes() else { panic!("{:?}", image.format()) };
    let rgb = r.data().iter().zip(g.data()).zip(b.data());
    let y =
        rgb.map(|((r, g), b)| (0.299 * f64::from(*r) + 0.587 * f64::from(*g) + 0.114 * f64::from(*b)).round() as u8);
    Image::from_planes(image.size(), PixelFormat::GREY, vec![Plane::from_vec(image.size(), y.collect())])
}

fn drop_alpha(image: &Image) -> Image {
    Image::from_planes(image.size(), PixelFormat::RGB, image.planes()[..3].to_vec())
}

#[test]
fn lossy_comes_back_close_in_every_size() {
    if !has_tool("avifdec") {
        return;
    }
    for format in [PixelFormat::GREY, GREY_ALPHA, PixelFormat::RGB, PixelFormat::RGBA] {
        for (chroma, mse_max) in [(Chroma::Full, 6.0), (Chroma::Half, 12.0)] {
            for size in SIZES {
                let image = computed(size, format);
                let back = shown(&encode(&image, &lossy(8, chroma)));
                let want = as_rgb(&image);
                if !image.is_opaque() {
                    assert_eq!(back.alpha(), want.alpha(), "alpha is lossless: {format:?} {size}");
                }
                // 17 columns have a colour every few pixels, which half-size chroma cannot hold; brightness stays.
                let (seen, want) = if chroma == Chroma::Half && size.w < 64 {
                    (luma(&back), luma(&want))
                } else {
                    (drop_alpha(&back), drop_alpha(&want))
                };
                let mse = mse(&seen, &want);
                assert!(mse < mse_max, "{format:?} {chroma:?} {size}: mse {mse:.1}");
            }
        }
    }
}

#[test]
fn ycbcr_planes_go_in_without_a_detour() {
    if !has_tool("avifdec") {
        return;
    }
    let size = Size::new(123, 77);
    for (format, chroma, kept) in
        [(YCBCR, Chroma::Full, YCBCR), (YCBCR_HALF, Chroma::Half, YCBCR_HALF), (YCBCR_HALF, Chroma::Full, YCBCR_HALF)]
    {
        let image = computed(size, format);
        let mse = mse(&stored(&encode(&image, &lossy(4, chroma)), kept, size), &image);
        assert!(mse < 3.0, "{format:?} {chroma:?}: mse {mse:.1}");
    }
    // Full-size chroma is averaged 2×2 where half is asked for.
    let full = computed(size, YCBCR);
    let back = stored(&encode(&full, &lossy(4, Chroma::Half)), YCBCR_HALF, size);
    let mean = |c: usize, x: usize, y: usize| {
        let plane = &full.planes()[c];
        let at = |x: usize, y: usize| f64::from(plane.row(y.min(76))[x.min(122)]);
        (at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) / 4.0
    };
    for c in 1..3 {
        let plane = &back.planes()[c];
        let squares: f64 = (0..39)
            .flat_map(|y| (0..62).map(move |x| (x, y)))
            .map(|(x, y)| (f64::from(plane.row(y)[x]) - mean(c, 2 * x, 2 * y)).powi(2))
            .sum();
        assert!(squares / (39.0 * 62.0) < 3.0, "plane {c}: mse {:.1}", squares / (39.0 * 62.0));
    }
}

#[test]
fn files_say_what_they_are() {
    if !has_tool("avifdec") {
        return;
    }
    let size = Size::new(70, 50);
    for (format, spec, samples, matrix) in [
        (PixelFormat::RGB, lossy(20, Chroma::Half), "YUV420", 6),
        (PixelFormat::RGBA, lossy(20, Chroma::Full), "YUV444", 6),
        (YCBCR_HALF_ALPHA, lossy(20, Chroma::Half), "YUV420", 6),
        (PixelFormat::GREY, lossy(20, Chroma::Half), "YUV400", 6),
        (PixelFormat::RGBA, EncodeSpec::AvifLossless, "YUV444", 0),
    ] {
        let (_, said) = avifdec(&encode(&computed(size, format), &spec), &["--info"], None);
        let alpha = if format.alpha { "Not premultiplied" } else { "Absent" };
        for (key, value) in [
            ("Resolution", "70x50"),
            ("Bit Depth", "8"),
            ("Format", samples),
            ("Alpha", alpha),
            ("Range", "Full"),
            ("Color Primaries", "1"),
            ("Transfer Char.", "13"),
            ("Matrix Coeffs.", &matrix.to_string()),
        ] {
            let line = said.lines().find(|line| line.trim_start_matches([' ', '*']).starts_with(key));
            let line = line.unwrap_or_else(|| panic!("no {key} in {said}"));
            assert_eq!(line.split_once(':').map(|(_, v)| v.trim()), Some(value), "{format:?} {spec:?}: {said}");
        }
    }
}

/// Boxes of a file or of a box's body: type and body.
pub(crate) fn boxes(mut bytes: &[u8]) -> Vec<(&str, &[u8])> {
    let mut found = Vec::new();
    while let [l0, l1, l2, l3, k0, k1, k2, k3, ..] = *bytes {
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        assert!((8..=bytes.len()).contains(&length), "a box of {length} bytes in {}", bytes.len());
        assert!([k0, k1, k2, k3].is_ascii());
        found.push((std::str::from_utf8(&bytes[4..8]).expect("ASCII"), &bytes[8..length]));
        bytes = &bytes[length..];
    }
    assert!(bytes.is_empty(), "{} bytes after the last box", bytes.len());
    found
}

#[test]
fn boxes_tile_the_file_and_point_at_the_pictures() {
    for (format, items) in [(PixelFormat::RGB, 1), (PixelFormat::RGBA, 2), (GREY_ALPHA, 2)] {
        let file = encode(&computed(Size::new(33, 20), format), &lossy(30, Chroma::Half));
        let [("ftyp", kind), ("meta", meta), ("mdat", data)] = boxes(&file)[..] else { panic!("{:?}", boxes(&file)) };
        assert!(kind.starts_with(b"avif") && kind.ends_with(b"MA1B"), "{kind:?}");
        let meta = boxes(&meta[4..]);
        let names: Vec<&str> = meta.iter().map(|(name, _)| *name).collect();
        let references: &[&str] = if items == 2 { &["iref"] } else { &[] };
        assert_eq!(names, [&["hdlr", "pitm", "iloc", "iinf"], references, &["iprp"]].concat());
        let extents = meta[2].1[8..].chunks_exact(14);
        assert_eq!(extents.len(), items);
        let mut end = file.len() - data.len();
        for extent in extents {
            let number = |at: usize| u32::from_be_bytes(extent[at..at + 4].try_into().expect("four bytes")) as usize;
            assert_eq!(number(6), end, "items follow one another");
            assert_eq!(file[end] >> 3, 1, "an item starts with its sequence header");
            end += number(10);
        }
        assert_eq!(end, file.len(), "the last item ends where the file does");
    }
}

#[test]
fn finer_and_slower_are_what_they_say() {
    let photo = testcard::photo(Size::new(300, 200), 3);
    let bytes = |quantiser, effort| {
        let spec = EncodeSpec::Avif { quantiser: AvifQuantiser(quantiser), effort, chroma: Chroma::Half };
        let bytes = encode(&photo, &spec);
        assert!(bytes == encode(&photo, &spec), "{spec:?}: two encodings of one picture differ");
        bytes.len()
    };
    let lengths: Vec<usize> = [0, 1, 5, 13, 25, 40, 63].map(|q| bytes(q, AvifEffort::Quick)).to_vec();
    assert!(lengths.is_sorted_by(|a, b| a > b), "{lengths:?}");
    let efforts = [AvifEffort::Quick, AvifEffort::Usual, AvifEffort::Thorough].map(|e| bytes(20, e));
    assert!(efforts.is_sorted_by(|a, b| a != b), "{efforts:?}");
}

#[test]
fn usual_is_quick_where_a_picture_is_too_busy() {
    let size = Size::new(200, 150);
    let effort = |image: &Image, effort| {
        encode(image, &EncodeSpec::Avif { quantiser: AvifQuantiser(13), effort, chroma: Chroma::Half })
    };
    let noise = |amplitude: u32| {
        let mut random = SplitMix64::new("usual_is_quick_where_a_picture_is_too_busy");
        let data = (0..size.samples()).map(|_| 128 + u8::try_from(random.within(0, amplitude)).expect("a level"));
        Image::from_planes(size, PixelFormat::GREY, vec![Plane::from_vec(size, data.collect())])
    };
    // Neighbours of evenly spread noise differ by a third of its amplitude, both ways: at 14.5 levels it does with fewer
    // tools, at 22.5 it is quick.
    for (amplitude, is_quick) in [(18, false), (28, false), (40, true), (120, true)] {
        let (quick, usual) =
            (effort(&noise(amplitude), AvifEffort::Quick), effort(&noise(amplitude), AvifEffort::Usual));
        assert_eq!(quick == usual, is_quick, "amplitude {amplitude}");
    }
}

#[test]
fn effort_follows_size() {
    for (w, h, effort) in [
        (1, 1, Some(AvifEffort::Quick)),
        (128, 127, Some(AvifEffort::Quick)),
        (128, 128, Some(AvifEffort::Usual)),
        (754, 500, Some(AvifEffort::Usual)),
        (2048, 2047, Some(AvifEffort::Usual)),
        (2048, 2048, Some(AvifEffort::Quick)),
        (4096, 8704, Some(AvifEffort::Quick)),
        (4097, 8704, None),
        (16_385, 1, None),
        (1, 8705, None),
    ] {
        assert_eq!(AvifEffort::for_size(Size::new(w, h)), effort, "{w}x{h}");
    }
}

#[test]
fn it_refuses_what_it_cannot_hold() {
    let cmyk = PixelFormat { model: Model::Cmyk, alpha: false };
    for (size, format, spec) in [
        (Size::new(4, 4), cmyk, lossy(20, Chroma::Half)),
        (Size::new(4, 4), cmyk, EncodeSpec::AvifLossless),
        (Size::new(4, 4), PixelFormat::RGB, lossy(64, Chroma::Half)),
        (Size::new(0, 4), PixelFormat::RGB, lossy(20, Chroma::Half)),
        (Size::new(32_769, 1), PixelFormat::GREY, lossy(20, Chroma::Half)),
    ] {
        let error = codec::encode(&Image::new(size, format), &spec).expect_err("refused");
        assert!(matches!(error, Error::Encode { format: "avif", .. }), "{spec:?}: {error}");
    }
    encode(&Image::new(Size::new(32_768, 1), PixelFormat::GREY), &lossy(20, Chroma::Half));
}

#[test]
fn photographs_come_back_close() {
    let Some(corpus) = corpus().filter(|_| has_tool("avifdec")) else { return };
    let mut paths: Vec<_> = corpus.join("cid22").read_dir().expect("cid22").flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths.iter().step_by(13) {
        let photo = decode_as(&std::fs::read(path).expect("a picture"), DecodeAs::Rgb);
        let psnr = |spec: &EncodeSpec| {
            let bytes = encode(&photo, spec);
            let psnr = 10.0 * (255.0 * 255.0 / mse(&shown(&bytes), &drop_alpha(&photo))).log10();
            println!("{}: {spec:?}: {} bytes, {psnr:.1} dB", path.display(), bytes.len());
            psnr
        };
        let (fine, coarse) = (psnr(&lossy(6, Chroma::Full)), psnr(&lossy(30, Chroma::Half)));
        assert!(fine > 36.0 && coarse > 24.0 && fine > coarse + 4.0, "{}: {fine:.1}, {coarse:.1}", path.display());
    }
}
