//! Every real file gives a picture or a clear reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use calotype::codec;
use calotype::pixel::Image;
use calotype::plan::DecodeAs;

use super::{allow_all, corpus, decode_as};

/// Files below a folder, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn every_variant_of_jpeg_decodes() {
    let Some(corpus) = corpus() else { return };
    for path in files(&corpus.join("jpeg-variants")).into_iter().chain(files(&corpus.join("image-rs/jpg"))) {
        let is_jpeg = path.extension().is_some_and(|e| e != "bin");
        // The largest are decoded in the bench; probing them is a test of its own.
        if is_jpeg && !path.to_string_lossy().contains("7680") {
            decode_as(&std::fs::read(&path).expect("read"), DecodeAs::Native);
        }
    }
}

#[test]
fn eight_orientations_show_one_picture() {
    let Some(corpus) = corpus() else { return };
    let load =
        |n: u8| decode_as(&std::fs::read(corpus.join(format!("orientation/{n}.jpg"))).expect("read"), DecodeAs::Rgb);
    // The first four are one size, the last four another; a digit in the middle differs, the corners say which side
    // is which.
    for (first, rest) in [(1, 2..=4), (5, 6..=8)] {
        let want = load(first);
        for n in rest {
            let got = load(n);
            assert_eq!(got.size(), want.size(), "{n}.jpg");
            let mean = outside_the_middle(&got, &want);
            println!("{n}.jpg against {first}.jpg: {mean:.2} levels");
            let upside_down = outside_the_middle(&got, &turned_around(&want));
            assert!(
                mean < 30.0 && upside_down > 2.0 * mean,
                "{n}.jpg: {mean} and {upside_down} levels from {first}.jpg"
            );
        }
    }
}

fn turned_around(image: &Image) -> Image {
    let mut image = image.clone();
    image.planes_mut().iter_mut().for_each(|plane| plane.data_mut().reverse());
    image
}

/// Mean difference in levels, but for the middle third, which differs by design.
fn outside_the_middle(a: &Image, b: &Image) -> f64 {
    let (w, h) = (a.size().w as usize, a.size().h as usize);
    let (mut sum, mut count) = (0, 0);
    for (a, b) in a.planes().iter().zip(b.planes()) {
        for y in (0..h).filter(|y| !(h / 3..2 * h / 3).contains(y)) {
            for x in 0..w {
                sum += u32::from(a.row(y)[x].abs_diff(b.row(y)[x]));
                count += 1;
            }
        }
    }
    f64::from(sum) / f64::from(count)
}

#[test]
fn pngsuite_decodes_and_its_corrupt_files_say_why() {
    let Some(corpus) = corpus() else { return };
    let mut pictures = BTreeMap::new();
    for path in files(&corpus.join("pngsuite")).into_iter().filter(|p| p.extension().is_some_and(|e| e == "png")) {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).expect("read");
        let result = codec::probe(&mut std::io::Cursor::new(&bytes), &allow_all())
            .and_then(|header| codec::decode(&bytes, &header, DecodeAs::Native));
        // Its only fault is a wrong checksum behind the pixels, which are all there by then.
        if name == "xcsn0g01" {
            assert!(result.is_ok());
        } else if name.starts_with('x') {
            let error = result.expect_err(&name);
            println!("{name}: {error}");
        } else {
            let image = result.unwrap_or_else(|e| panic!("{name}: {e}"));
            pictures.insert(name, image);
        }
    }
    // Interlaced and not: the same pictures.
    let mut pairs = 0;
    for (name, image) in pictures.iter().filter(|(name, _)| name.starts_with("basn")) {
        if let Some(interlaced) = pictures.get(&name.replacen("basn", "basi", 1)) {
            assert_eq!(interlaced, image, "{name}");
            pairs += 1;
        }
    }
    assert!(pairs >= 14, "{pairs} pairs");
    // One picture stored for gammas 0.35 to 2.5: converted by gAMA, they look alike.
    for kind in ["n0g16", "n2c08"] {
        let [want, others @ ..] = ["g04", "g03", "g05", "g07", "g10", "g25"].map(|g| &pictures[&format!("{g}{kind}")]);
        for other in others {
            let mean = outside_the_middle(other, want);
            println!("gAMA {kind}: {mean:.2} levels");
            assert!(mean < 16.0, "{kind}: {mean} levels");
        }
    }
}

#[test]
fn other_formats_of_the_corpus_decode() {
    let Some(corpus) = corpus() else { return };
    for folder in ["gif", "png", "tiff", "webp"] {
        for path in files(&corpus.join("image-rs").join(folder)) {
            if path.extension().is_some_and(|e| e == folder) {
                decode_as(&std::fs::read(&path).expect("read"), DecodeAs::Native);
            }
        }
    }
}
