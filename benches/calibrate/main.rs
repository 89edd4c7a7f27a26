//! Which WebP and AVIF look like which JPEG: measures the curves behind `decide/quality.rs` and judges the map.
//!
//! `./x bench calibrate` measures the fitting half of `CORPUS` (photographs whose names begin with 0 to 7 at longer sides of
//! 500, 1000 and 2000 px, pictures of even number in `cid22/` as they are), fits the rows of the map, prints them, and
//! judges the map as it stands on the other half. `-- judge` does the last alone. Every encoding that was scored stands in
//! `target/calibrate.tsv`. `frontier` is a program of its own beside it.
//!
//! A score is SSIMULACRA2 (fast-ssim2) against the oracle's float downscale of the source, decoded as R G B. AVIF is read
//! by libavif's `avifdec`; the yardstick is libjpeg-turbo's `cjpeg -optimize -sample 2x2` of that downscale, read by us.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use calotype::codec;
use calotype::pixel::{Chroma, Image};
use calotype::plan::{AvifEffort, AvifQuantiser, EncodeSpec, JpegQuality, WebpQuality};

mod frontier;
mod pictures;

use pictures::{
    Case, Product, Served, as_stored, at_height, cases, cjpeg, mean, on_all_cores, reference, score, served, shown,
    source, summary, wanted,
};

/// What is judged.
const QUALITY: u8 = 85;
const HEIGHT: u32 = 500;
const JPEGS: [u8; 9] = [10, 20, 30, 50, 65, 75, 85, 92, 96];
const WEBPS: [u16; 14] = [0, 300, 700, 1200, 2000, 4000, 5500, 6800, 7600, 8200, 8700, 9100, 9500, 9900];
const AVIFS: [u8; 12] = [2, 5, 8, 12, 16, 21, 27, 34, 42, 48, 54, 60];

/// One encoding of one case.
#[derive(Clone)]
struct Sample {
    case: String,
    side: u32,
    kind: &'static str,
    quality: u16,
    bytes: usize,
    pixels: u64,
    score: f64,
    /// [`codec::flat_share`] of the picture.
    flat: f64,
}

fn main() {
    let Some(corpus) = std::env::var_os("CORPUS").map(PathBuf::from) else {
        return println!("CORPUS is not set: there is nothing to calibrate with");
    };
    for tool in ["avifdec", "cjpeg"] {
        if Command::new(tool).arg("-version").output().is_err() {
            return println!("{tool} is missing (Debian: libavif-bin, libjpeg-turbo-progs)");
        }
    }
    let is_asked = |word: &str| std::env::args().any(|arg| arg == word);
    if is_asked("frontier") {
        return frontier::run(&corpus);
    }
    let only_judge = is_asked("judge");
    if !only_judge {
        let samples = measured(&cases(&corpus, true));
        write_table(&samples);
        fit(&samples);
        fit_trims(&samples);
    }
    judge(&corpus);
}

fn jpeg(quality: u8) -> EncodeSpec {
    EncodeSpec::Jpeg { quality: JpegQuality(quality), chroma: Chroma::Half, progressive: false }
}

/// The file of R G B by `spec`.
fn encoded(rgb: &Image, spec: &EncodeSpec) -> Vec<u8> {
    codec::encode(&as_stored(rgb, spec), spec).expect("bytes")
}

/// All encodings of all cases.
fn measured(cases: &[Case]) -> Vec<Sample> {
    let of = |case: &Case| -> Vec<Sample> {
        let (bytes, header) = source(case);
        let size = wanted(header.size, case.side);
        let reference = reference(&bytes, &header, size);
        let flat = codec::flat_share(&reference).expect("more than a pixel");
        let effort = AvifEffort::for_size(size).expect("a small picture");
        let avif = |q: u8| EncodeSpec::Avif { quantiser: AvifQuantiser(q), effort, chroma: Chroma::Half };
        let webp = |q: u16| EncodeSpec::Webp { quality: WebpQuality(q) };
        let others = JPEGS.map(|q| ("cjpeg", u16::from(q), cjpeg(&reference, q))).into_iter();
        let jpegs = JPEGS.map(|q| ("jpeg", u16::from(q), jpeg(q))).into_iter();
        let webps = WEBPS.map(|q| ("webp", q, webp(q))).into_iter();
        let avifs = AVIFS.map(|q| ("avif", u16::from(q), avif(q))).into_iter();
        let ours = jpegs.chain(webps).chain(avifs);
        others
            .chain(ours.map(|(kind, quality, spec)| (kind, quality, encoded(&reference, &spec))))
            .map(|(kind, quality, bytes)| {
                let score = score(&reference, &shown(&bytes));
                let (case, side) = (case.name.clone(), case.side);
                Sample { case, side, kind, quality, bytes: bytes.len(), pixels: size.pixels(), score, flat }
            })
            .collect()
    };
    on_all_cores(cases, of).concat()
}

fn write_table(samples: &[Sample]) {
    let mut table = String::from("case\tside\tkind\tquality\tbytes\tpixels\tscore\tflat\n");
    for s in samples {
        let Sample { case, side, kind, quality, bytes, pixels, score, flat } = s;
        writeln!(table, "{case}\t{side}\t{kind}\t{quality}\t{bytes}\t{pixels}\t{score:.3}\t{flat:.4}")
            .expect("a String");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/calibrate.tsv");
    std::fs::write(&path, table).expect("target/ is writable");
    println!("{} encodings: {}", samples.len(), path.display());
}

/// How far above the yardstick's mean score a candidate's is to be.
const MARGIN: f64 = 0.1;

/// `y` where `x` is reached by points with rising `x`; `None` outside of them.
fn at(points: &[(f64, f64)], x: f64) -> Option<f64> {
    points.windows(2).find(|two| (two[0].0..=two[1].0).contains(&x)).map(|two| {
        let [(x0, y0), (x1, y1)] = [two[0], two[1]];
        if x1 > x0 { y0 + (y1 - y0) * (x - x0) / (x1 - x0) } else { y0 }
    })
}

/// Rows of the map: for each size and JPEG quality, the candidate's quality with the yardstick's mean score.
fn fit(samples: &[Sample]) {
    for (sides, kind) in [[500, 512], [1000, 1000], [2000, 2000]].into_iter().flat_map(|s| [(s, "webp"), (s, "avif")]) {
        let of = |kind: &'static str, quality: u16| {
            samples.iter().filter(move |s| s.kind == kind && s.quality == quality && sides.contains(&s.side))
        };
        let mean_of = |kind, quality| mean(of(kind, quality).map(|s| s.score));
        let qualities = if kind == "webp" { WEBPS.to_vec() } else { AVIFS.map(u16::from).to_vec() };
        let mut curve: Vec<(f64, f64)> = qualities.iter().map(|q| (mean_of(kind, *q), f64::from(*q))).collect();
        curve.sort_by(|a, b| a.0.total_cmp(&b.0));
        println!(
            "\n{kind} at {}: JPEG quality | mean score of cjpeg, of ours | quality | fewer bytes than cjpeg",
            sides[0]
        );
        for jpeg in JPEGS.map(u16::from) {
            let want = mean_of("cjpeg", jpeg);
            let scores = format!("{want:6.2} {:6.2}", mean_of("jpeg", jpeg));
            let Some(quality) = at(&curve, want + MARGIN) else {
                println!("{jpeg:3} | {scores} | beyond the curve");
                continue;
            };
            let saved = of("cjpeg", jpeg).filter_map(|j| {
                let own = |q: &u16| of(kind, *q).find(|s| s.case == j.case && s.side == j.side);
                let mut bytes: Vec<(f64, f64)> =
                    qualities.iter().filter_map(own).map(|s| (f64::from(s.quality), (s.bytes as f64).ln())).collect();
                bytes.sort_by(|a, b| a.0.total_cmp(&b.0));
                Some(1.0 - at(&bytes, quality)?.exp() / j.bytes as f64)
            });
            println!("{jpeg:3} | {scores} | {quality:7.1} | {:5.1} %", 100.0 * mean(saved));
        }
    }
}

/// What a candidate of one picture needs, and the picture's traits, all less the means of its cell: those of a size and a
/// JPEG quality.
struct Need {
    jpeg: u16,
    quality: f64,
    traits: [f64; 2],
}

/// Rows of the trims: mean traits, and by ridge regression what they change. Each row leans on its neighbours.
fn fit_trims(samples: &[Sample]) {
    const RIDGE: f64 = 3.0;
    const REACH: f64 = 12.0;
    let groups: [&[u32]; 3] = [&[500, 512], &[1000], &[2000]];
    let of = |s: &Sample, kind: &str, quality: u16| s.kind == kind && s.quality == quality;
    println!("\nmean log2 of the bits a pixel of the JPEG, flat share");
    for sides in groups {
        let here = || samples.iter().filter(|s| sides.contains(&s.side));
        let bits = JPEGS.map(|q| mean(here().filter(|s| of(s, "jpeg", q.into())).map(bits)));
        println!("{} | {bits:.3?} | {:.3}", sides[0], mean(here().filter(|s| of(s, "jpeg", 85)).map(|s| s.flat)));
    }
    // Flat shares make WebP no better, and nothing does at 2000 px.
    for (kind, sizes, n, unit) in [("avif", 3, 2, 10.0), ("webp", 2, 1, 1.0)] {
        let mut needs = Vec::new();
        for (sides, jpeg) in groups[..sizes].iter().flat_map(|sides| JPEGS.map(|q| (*sides, u16::from(q)))) {
            let here = || samples.iter().filter(|s| sides.contains(&s.side));
            let cell = here().filter(|s| of(s, "jpeg", jpeg)).filter_map(|ours| {
                let own = || here().filter(|s| s.case == ours.case && s.side == ours.side);
                let want = own().find(|s| of(s, "cjpeg", jpeg))?.score + MARGIN;
                let mut curve: Vec<(f64, f64)> =
                    own().filter(|s| s.kind == kind).map(|s| (s.score, f64::from(s.quality))).collect();
                curve.sort_by(|a, b| a.0.total_cmp(&b.0));
                Some(Need { jpeg, quality: at(&curve, want)? * unit, traits: [bits(ours), ours.flat] })
            });
            let mut cell: Vec<Need> = cell.collect();
            let middle = mean(cell.iter().map(|need| need.quality));
            let centre = [0, 1].map(|t| mean(cell.iter().map(|need| need.traits[t])));
            for need in &mut cell {
                need.quality -= middle;
                need.traits = [0, 1].map(|t| need.traits[t] - centre[t]);
            }
            needs.append(&mut cell);
        }
        let scale = [0, 1].map(|t| mean(needs.iter().map(|need| need.traits[t].powi(2))).sqrt());
        println!("{kind}: JPEG quality | change a bit, a flat share of 1");
        for jpeg in JPEGS {
            let weight = |need: &Need| (-((f64::from(need.jpeg) - f64::from(jpeg)) / REACH).powi(2)).exp();
            let sum = |of: &dyn Fn(&Need) -> f64| needs.iter().map(|need| weight(need) * of(need)).sum::<f64>();
            let x = |need: &Need, t: usize| if t < n { need.traits[t] / scale[t] } else { 0.0 };
            let [a, b, d] = [(0, 0), (0, 1), (1, 1)].map(|(t, u)| sum(&|need| x(need, t) * x(need, u)));
            let [y0, y1] = [0, 1].map(|t| sum(&|need| x(need, t) * need.quality));
            let (a, d) = (a + RIDGE, d + RIDGE);
            let determinant = a * d - b * b;
            let change = [(d * y0 - b * y1) / determinant / scale[0], (a * y1 - b * y0) / determinant / scale[1]];
            println!("{jpeg:3} | {change:.1?}");
        }
    }
}

/// log₂ of bits a pixel.
fn bits(sample: &Sample) -> f64 {
    (8.0 * sample.bytes as f64 / sample.pixels as f64).log2()
}

/// What clients get for each case of the judging half.
fn judge(corpus: &Path) {
    let (product, cases, lines) = (Product::new(corpus), cases(corpus, false), at_height(corpus, false, HEIGHT));
    println!("\njudging half, qlt={QUALITY}; a candidate that is not smaller counts as nothing saved");
    println!("format, size | against cjpeg: bytes, score, worst, worse than -2 | against our JPEG: bytes, score");
    for accept in ["image/webp", "image/avif"] {
        let results = on_all_cores(&lines, |case| served(&product, case, accept, QUALITY));
        println!("{accept} height {HEIGHT} {}", summary(&results.iter().collect::<Vec<_>>()));
        let results = on_all_cores(&cases, |case| (case.side, served(&product, case, accept, QUALITY)));
        for side in [500, 512, 1000, 2000] {
            let of: Vec<&Served> = results.iter().filter(|(s, _)| *s == side).map(|(_, served)| served).collect();
            println!("{accept} longer side {side} {}", summary(&of));
        }
    }
}
