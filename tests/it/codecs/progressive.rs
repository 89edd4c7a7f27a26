//! Progressive JPEGs: made of sequential ones without loss.

use std::process::Command;

use calotype::codec;
use calotype::pixel::{Chroma, Image, PixelFormat, Size, testcard};
use calotype::plan::{Conversion, DecodeAs, EncodeSpec, Output};

use super::make::computed;
use super::{corpus, decode_as, encode, jpeg, worst};
use crate::http::has_tool;
use crate::quality::pictures::as_stored;

/// Of each form that a script knows.
const STEPS: [Option<u8>; 4] = [None, Some(3), Some(4), Some(5)];

fn in_steps(image: &Image, spec: EncodeSpec, steps: Option<u8>, conversion: Option<Conversion>) -> Vec<u8> {
    let output = Output { steps, conversion, ..Output::default() };
    let image = if conversion.is_some() { image.clone() } else { as_stored(image, &spec) };
    codec::encode_with(&image, &spec, &output, None).unwrap_or_else(|e| panic!("{spec:?} {steps:?}: {e}"))
}

/// By another decoder; `None`: it is not here.
fn by_djpeg(file: &[u8]) -> Option<Vec<u8>> {
    if !has_tool("djpeg") {
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.jpg");
    std::fs::write(&path, file).expect("writable");
    let ran = Command::new("djpeg").arg("-pnm").arg(&path).output().expect("djpeg");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.is_empty(), "{said}");
    Some(ran.stdout)
}

fn scans(file: &[u8]) -> usize {
    file.windows(2).filter(|pair| *pair == [0xff, 0xda]).count()
}

/// Every form, every size where blocks are cut: the pixels are those of the sequential file.
#[test]
fn pixels_are_those_of_the_sequential_file() {
    for (format, chroma, conversion) in [
        (PixelFormat::GREY, Chroma::Half, None),
        (PixelFormat::RGB, Chroma::Half, None),
        (PixelFormat::RGB, Chroma::Full, None),
        (PixelFormat::RGB, Chroma::Full, Some(Conversion::Inks)),
    ] {
        for (w, h) in [(1, 1), (1, 17), (16, 16), (17, 16), (33, 25), (161, 107)] {
            let image = computed(Size::new(w, h), format);
            for quality in [1, 85, 100] {
                let sequential = in_steps(&image, jpeg(quality, chroma, false), None, conversion);
                let want = decode_as(&sequential, DecodeAs::Native);
                // Inks it would convert in its own way.
                let by_others = conversion.is_none().then(|| by_djpeg(&sequential)).flatten();
                for steps in STEPS {
                    let file = in_steps(&image, jpeg(quality, chroma, true), steps, conversion);
                    let what = format!("{format:?} {chroma:?} {conversion:?} {w}x{h} q{quality} {steps:?}");
                    if by_others.is_some() {
                        assert!(by_djpeg(&file) == by_others, "{what}");
                    }
                    // Two decoders of ours read the two, which agree but for chroma between samples.
                    if chroma == Chroma::Full || format == PixelFormat::GREY {
                        assert!(worst(&decode_as(&file, DecodeAs::Native), &want) <= 4, "{what}");
                    }
                    let most = match steps {
                        None => 24,
                        Some(steps) => 4 * usize::from(steps),
                    };
                    assert!(scans(&file) > 2 && scans(&file) <= most, "{what}: {} scans", scans(&file));
                }
            }
        }
    }
}

/// Noise at the best quality has the longest codes and the longest runs of neither kind; black has nothing but blocks that end.
#[test]
fn extremes_come_back() {
    let size = Size::new(800, 610);
    let black = Image::new(size, PixelFormat::GREY);
    let mut noise = Image::new(size, PixelFormat::GREY);
    let mut state = 1_u64;
    for v in noise.planes_mut()[0].data_mut() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *v = if state >> 62 == 0 { 0 } else { 255 };
    }
    // Long runs of zeros: a lone spot in a block now and then.
    let mut spots = Image::new(size, PixelFormat::GREY);
    spots.planes_mut()[0].data_mut().iter_mut().step_by(1097).for_each(|v| *v = 255);
    for image in [black, noise, spots] {
        for quality in [5, 90, 100] {
            let want = decode_as(&encode(&image, &jpeg(quality, Chroma::Half, false)), DecodeAs::Native);
            for steps in STEPS {
                let file = in_steps(&image, jpeg(quality, Chroma::Half, true), steps, None);
                assert_eq!(decode_as(&file, DecodeAs::Native), want, "q{quality} {steps:?}");
            }
        }
    }
}

/// Progressive is what photographs are smaller by, as libjpeg's own form is.
#[test]
fn photographs_are_smaller() {
    let mut pictures = vec![testcard::photo(Size::new(752, 500), 7)];
    if let Some(corpus) = corpus() {
        let bytes = std::fs::read(corpus.join("photos/0c49a5cc.jpg")).expect("a picture of the corpus");
        pictures.push(decode_as(&bytes, DecodeAs::Rgb));
    }
    for image in pictures {
        let sequential = encode(&image, &jpeg(85, Chroma::Half, false));
        let ours = encode(&image, &jpeg(85, Chroma::Half, true)).len();
        println!("{}: sequential {}, progressive {ours}", image.size(), sequential.len());
        assert!(ours < sequential.len());
        if has_tool("jpegtran") {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("x.jpg");
            std::fs::write(&path, &sequential).expect("writable");
            let ran =
                Command::new("jpegtran").args(["-progressive", "-copy", "all"]).arg(&path).output().expect("jpegtran");
            println!("by jpegtran {}", ran.stdout.len());
            assert!(ours * 100 <= ran.stdout.len() * 101);
        }
    }
}
