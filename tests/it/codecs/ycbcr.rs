//! Pictures that stay Y Cb Cr from the decoder to the encoder are those that went through R G B.

use std::path::PathBuf;
use std::sync::Arc;

use calotype::codec;
use calotype::engine::Engine;
use calotype::engine::scalar::{self, Scalar};
use calotype::engine::simd::Simd;
use calotype::pixel::{self, Chroma, Image, Model, PixelFormat, Plane, Size, YcbcrForm, testcard};
use calotype::plan::{DecodeAs, EncodeSpec, JpegQuality, Pass, Plan};

use super::corpus::files;
use super::{corpus, decode_as, probe};
use crate::commands::{company, planned};
use crate::support::{engines_under_test, render};

/// What it may come to away from the edges of colours, in levels: on average and at most.
const BOUND: (f64, u8) = (0.5, 3);
/// Chroma that differs by more than this from a neighbour's is at an edge.
const EDGE: u8 = 4;
/// Share of samples that must lie away from them: in each rendition of a computed picture, …
const CALM: f64 = 0.3;
/// … and in all of real ones, which have busy parts.
const CALM_OF_ALL: f64 = 0.4;

/// What leaves colours as they are, in each form that is stored: all of a picture, parts of it, turned, padded.
const QUERIES: [&str; 16] = [
    "hei=150",
    "hei=150&fmt=webp",
    "hei=150&fmt=avif",
    "hei=150&qlt=90,1",
    "hei=500&fmt=webp",
    "rgnN=0.3,0.2,0.4,0.5&hei=150&fmt=webp",
    "rgnN=0.3,0.2,0.4,0.5&hei=500&fit=fit,1",
    "rgn=101,33,200,151&scl=1&fmt=webp",
    "crop=51,77,250,203&fmt=avif",
    "cropN=0.25,0.25,0.5,0.5&hei=120&qlt=90,1",
    "wid=120&hei=170&fit=crop&fmt=webp",
    "flip=lr&hei=150&fmt=webp",
    "rotate=90&crop=51,77,250,203&flip=ud",
    "extend=31,17,0,45&bgc=c83214&hei=150&fmt=webp",
    "extend=31,17,0,45&bgc=3264c8&crop=51,77,250,203",
    "wid=250&hei=250&bgc=28a05a&fmt=avif",
];

fn plan(bytes: &[u8], query: &str) -> Plan {
    planned(&probe(bytes), query, &company()).expect("a plan")
}

fn rendered(engine: &dyn Engine, bytes: &[u8], decode: DecodeAs, plans: &[Arc<Plan>]) -> Vec<Image> {
    let source = Arc::new(decode_as(bytes, decode));
    render(engine, &source, plans).into_iter().map(|image| image.expect("a rendition")).collect()
}

/// Whether chroma is calm around each of its samples, two of them either way.
fn calm(chroma: &Plane<u8>) -> Vec<bool> {
    let (w, h) = (chroma.size().w as usize, chroma.size().h as usize);
    let near = |at: usize, len: usize| at.saturating_sub(2)..(at + 3).min(len);
    let is_calm = |x: usize, y: usize| {
        let around = || near(y, h).flat_map(|y| chroma.row(y)[near(x, w)].iter());
        around().max().zip(around().min()).is_some_and(|(most, least)| most - least <= EDGE)
    };
    (0..h).flat_map(|y| (0..w).map(move |x| (x, y))).map(|(x, y)| is_calm(x, y)).collect()
}

/// Mean and greatest difference where both chroma planes of `want` are calm, and the share of samples that is.
fn difference(want: &Image, got: &Image) -> (f64, u8, f64) {
    assert_eq!((want.size(), want.format()), (got.size(), got.format()));
    let (cb, cr) = (calm(&want.planes()[1]), calm(&want.planes()[2]));
    let chroma_w = want.planes()[1].size().w as usize;
    let (mut sum, mut most, mut count, mut all) = (0, 0, 0, 0);
    for (want, got) in want.planes().iter().zip(got.planes()) {
        let by = if want.size().w as usize == chroma_w { 1 } else { 2 };
        for y in 0..want.size().h as usize {
            for (x, (a, b)) in want.row(y).iter().zip(got.row(y)).enumerate() {
                all += 1;
                let at = y / by * chroma_w + x / by;
                if cb[at] && cr[at] {
                    (sum, most, count) = (sum + u64::from(a.abs_diff(*b)), most.max(a.abs_diff(*b)), count + 1);
                }
            }
        }
    }
    (sum as f64 / f64::from(count.max(1)), most, f64::from(count) / f64::from(all))
}

/// The shares of calm samples in all renditions.
fn check(name: &str, bytes: &[u8], engines: &[&dyn Engine]) -> Vec<f64> {
    let mut shares = Vec::new();
    let direct = QUERIES.map(|query| Arc::new(plan(bytes, query)));
    let detour = direct.each_ref().map(|direct| {
        let is_through = direct.passes.iter().any(|pass| matches!(pass, Pass::YcbcrToRgb));
        assert!(direct.decode == DecodeAs::Native && !is_through, "{name}: {direct:?}");
        let mut detour = Plan { decode: DecodeAs::Rgb, ..Plan::clone(direct) };
        let form = direct.encode.requested.form().filter(|form| form.model() == Model::Ycbcr(Chroma::Full));
        detour.passes.extend(form.map(|form| Pass::RgbToYcbcr { form }));
        Arc::new(detour)
    });
    for engine in engines {
        let want = rendered(*engine, bytes, DecodeAs::Rgb, &detour);
        let got = rendered(*engine, bytes, DecodeAs::Native, &direct);
        for ((query, want), got) in QUERIES.iter().zip(&want).zip(&got) {
            let (mean, most, share) = difference(want, got);
            let name = format!("{name} {query} on {}", engine.name());
            println!("{name}: {mean:.3} levels on average, {most} at most, {:.0} % calm", 100.0 * share);
            assert!(mean <= BOUND.0 && most <= BOUND.1, "{name}: {mean} and {most} levels");
            shares.push(share);
        }
    }
    shares
}

#[test]
fn staying_ycbcr_is_going_through_rgb() {
    let engines = engines_under_test().iter().map(|engine| &**engine);
    let engines: Vec<&dyn Engine> = engines.filter(|engine| engine.name() != Scalar.name()).collect();
    for chroma in [Chroma::Half, Chroma::Full] {
        let spec = EncodeSpec::Jpeg { quality: JpegQuality(92), chroma, progressive: false };
        let photo = testcard::photo(Size::new(811, 607), 3);
        let shares = check(chroma.name(), &codec::encode(&photo, &spec).expect("a JPEG"), &engines);
        assert!(shares.iter().all(|share| *share >= CALM), "{}: too little to compare: {shares:?}", chroma.name());
    }
    let Some(corpus) = corpus() else { return };
    let photos = files(&corpus.join("photos")).into_iter().filter(|path| path.extension().is_some_and(|e| e == "jpg"));
    // Software adapters take seconds a photograph: one is for all engines.
    let shares = |(i, path): (usize, PathBuf)| {
        let engines = if i == 0 { &engines[..] } else { &engines[..1] };
        check(&path.display().to_string(), &std::fs::read(&path).expect("read"), engines)
    };
    let shares: Vec<f64> = photos.step_by(6).enumerate().flat_map(shares).collect();
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    println!("photos: {:.0} % calm", 100.0 * mean);
    assert!(mean >= CALM_OF_ALL, "too little to compare: {mean} of all samples");
}

/// The colour that surrounds a picture is the one that it would be as a picture.
#[test]
fn a_colour_is_what_the_pass_makes_of_it() {
    let levels: Vec<u8> = (0..=255).step_by(15).collect();
    let rest = || levels.iter().flat_map(|&g| levels.iter().map(move |&b| [g, b]));
    let colours: Vec<[u8; 3]> = levels.iter().flat_map(|&r| rest().map(move |[g, b]| [r, g, b])).collect();
    let size = Size::new(u32::try_from(colours.len()).expect("a few thousand"), 1);
    let picture = Image::from_interleaved(size, PixelFormat::RGB, colours.as_flattened());
    let made = scalar::rgb_to_ycbcr(&picture, YcbcrForm::Full).to_interleaved();
    for (rgb, want) in colours.iter().zip(made.as_chunks::<3>().0) {
        assert_eq!(pixel::ycbcr(*rgb), *want, "{rgb:?}");
    }
}

/// What is wrong is seen: colours a few levels off, or planes that have changed places.
#[test]
fn the_comparison_sees_what_is_wrong() {
    let spec = EncodeSpec::Jpeg { quality: JpegQuality(92), chroma: Chroma::Half, progressive: false };
    let bytes = codec::encode(&testcard::photo(Size::new(311, 207), 3), &spec).expect("a JPEG");
    let plans = [Arc::new(plan(&bytes, "hei=150"))];
    let want = rendered(&Simd::new(), &bytes, DecodeAs::Native, &plans).remove(0);
    assert_eq!(difference(&want, &want).1, 0);
    let mut off = want.clone();
    off.planes_mut()[1].data_mut().iter_mut().for_each(|v| *v = v.saturating_add(4));
    assert!(difference(&want, &off).1 > BOUND.1);
    let mut swapped = want.clone();
    swapped.planes_mut().swap(1, 2);
    assert!(difference(&want, &swapped).1 > BOUND.1);
}
