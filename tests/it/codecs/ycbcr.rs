//! Pictures that stay Y Cb Cr from the decoder to the encoder are those that went through R G B.

use std::sync::Arc;

use calotype::catalog::{Company, SourceRoot};
use calotype::codec;
use calotype::decide::{self, Hints};
use calotype::engine::simd::Simd;
use calotype::engine::{self, Cancel, Job};
use calotype::pixel::{Chroma, Image, Model, Plane, Size, testcard};
use calotype::plan::{DecodeAs, EncodeSpec, JpegQuality, Pass, Plan};
use calotype::request;

use super::corpus::files;
use super::{corpus, decode_as, probe};

/// What it may come to away from the edges of colours, in levels: on average and at most.
const BOUND: (f64, u8) = (0.5, 3);
/// Chroma that differs by more than this from a neighbour's is at an edge.
const EDGE: u8 = 4;

fn plan(bytes: &[u8], query: &str) -> Plan {
    let company = Company::new("C", SourceRoot::Demo);
    let commands = request::parse(query, &company).expect("a query");
    let header = probe(bytes);
    let decision = decide::decide(&commands, &header, &company, &Hints::default()).expect("a decision");
    request::plan(&commands, &header, &company, &decision).expect("a plan")
}

fn rendered(bytes: &[u8], plan: &Plan) -> Image {
    let source = Arc::new(decode_as(bytes, plan.decode));
    let job = Job { source, plans: vec![Arc::new(plan.clone())], cancel: Cancel::default() };
    engine::run(&Simd::new(), job).images.remove(0).expect("a rendition")
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
    (sum as f64 / count as f64, most, f64::from(count) / f64::from(all))
}

fn check(name: &str, bytes: &[u8]) {
    for query in ["hei=150", "hei=150&fmt=webp", "hei=150&fmt=avif", "hei=150&qlt=90,1"] {
        let direct = plan(bytes, query);
        let through: Vec<&Pass> = direct.passes.iter().filter(|pass| matches!(pass, Pass::YcbcrToRgb)).collect();
        assert!(direct.decode == DecodeAs::Native && through.is_empty(), "{query}: {direct:?}");
        let mut detour = Plan { decode: DecodeAs::Rgb, ..direct.clone() };
        if let Some(form) = direct.encode.requested.form().filter(|form| form.model() == Model::Ycbcr(Chroma::Full)) {
            detour.passes.push(Pass::RgbToYcbcr { form });
        }
        let (mean, most, share) = difference(&rendered(bytes, &detour), &rendered(bytes, &direct));
        println!("{name} {query}: {mean:.3} levels on average, {most} at most, {:.0} % calm", 100.0 * share);
        assert!(share > 0.01, "{name} {query}: nothing to compare");
        assert!(mean <= BOUND.0 && most <= BOUND.1, "{name} {query}: {mean} and {most} levels");
    }
}

#[test]
fn staying_ycbcr_is_going_through_rgb() {
    for chroma in [Chroma::Half, Chroma::Full] {
        let spec = EncodeSpec::Jpeg { quality: JpegQuality(92), chroma, progressive: false };
        let photo = testcard::photo(Size::new(611, 407), 3);
        check(chroma.name(), &codec::encode(&photo, &spec).expect("a JPEG"));
    }
    let Some(corpus) = corpus() else { return };
    let photos = files(&corpus.join("photos")).into_iter().filter(|path| path.extension().is_some_and(|e| e == "jpg"));
    for path in photos.step_by(6) {
        check(&path.display().to_string(), &std::fs::read(&path).expect("read"));
    }
}

/// What is wrong is seen: colours a few levels off, or planes that have changed places.
#[test]
fn the_comparison_sees_what_is_wrong() {
    let spec = EncodeSpec::Jpeg { quality: JpegQuality(92), chroma: Chroma::Half, progressive: false };
    let bytes = codec::encode(&testcard::photo(Size::new(311, 207), 3), &spec).expect("a JPEG");
    let want = rendered(&bytes, &plan(&bytes, "hei=150"));
    assert_eq!(difference(&want, &want).1, 0);
    let mut off = want.clone();
    off.planes_mut()[1].data_mut().iter_mut().for_each(|v| *v = v.saturating_add(4));
    assert!(difference(&want, &off).1 > BOUND.1);
    let mut swapped = want.clone();
    swapped.planes_mut().swap(1, 2);
    assert!(difference(&want, &swapped).1 > BOUND.1);
}
