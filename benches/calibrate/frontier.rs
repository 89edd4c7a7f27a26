//! What an effort is worth: bytes at equal score against time, for every effort of every encoder that has some.
//!
//! `./x bench calibrate frontier`: photographs to fit with at a longer side of 500 px, one after the other on one thread.
//! Of a lossy encoding count the bytes that it takes for the score of libjpeg-turbo's JPEG at three qualities, of one
//! without loss the bytes; of two times the lesser. The table goes to the terminal, the plot to `docs/frontier.svg`; below
//! it the time that AVIF takes as the product makes it, pictures of both halves at height 500.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use calotype::codec;
use calotype::pixel::{Chroma, Image};
use calotype::plan::{AvifEffort, AvifQuantiser, EncodeSpec, JpegQuality, WebpQuality};

use crate::at;
use crate::pictures::{Case, as_stored, at_height, cases, cjpeg, mean, reference, score, shown, source, wanted};

const SIDE: u32 = 500;
/// Qualities of the yardstick, and which of them is plotted.
const YARDSTICKS: [u8; 3] = [75, 85, 92];
const PLOTTED: usize = 1;

/// An encoder at one effort.
struct Setting {
    series: &'static str,
    label: String,
    /// Whether it is what the product does.
    is_ours: bool,
    specs: Vec<EncodeSpec>,
    /// As the encoder counts it; none for the product's own choice.
    effort: Option<u8>,
}

/// What came of a setting: of one picture, or means.
#[derive(Clone, Copy)]
struct Worth {
    /// Share of bytes saved at the score of each yardstick.
    saved: [f64; 3],
    /// At the score of the plotted one.
    ms_per_megapixel: f64,
}

fn settings() -> Vec<Setting> {
    let webps: Vec<EncodeSpec> = [4000, 6000, 7500, 8300, 8800, 9300, 9700, 9900, 10000]
        .map(|q| EncodeSpec::Webp { quality: WebpQuality(q) })
        .to_vec();
    let avifs = |chroma| -> Vec<EncodeSpec> {
        let of = |q| EncodeSpec::Avif { quantiser: AvifQuantiser(q), effort: AvifEffort::Usual, chroma };
        [3, 7, 12, 18, 25, 34].map(of).to_vec()
    };
    let jpegs = |progressive| -> Vec<EncodeSpec> {
        let of = |q| EncodeSpec::Jpeg { quality: JpegQuality(q), chroma: Chroma::Half, progressive };
        [55, 70, 80, 86, 92, 96].map(of).to_vec()
    };
    let mut all = vec![
        Setting { series: "JPEG", label: "sequential".into(), is_ours: true, specs: jpegs(false), effort: None },
        Setting { series: "JPEG", label: "progressive".into(), is_ours: true, specs: jpegs(true), effort: None },
    ];
    all.extend((0..=6).map(|method| Setting {
        series: "WebP",
        label: format!("method {method}"),
        is_ours: method == 3,
        specs: webps.clone(),
        effort: Some(method),
    }));
    for (series, chroma) in [("AVIF 4:2:0", Chroma::Half), ("AVIF 4:4:4", Chroma::Full)] {
        all.extend((6..=9).rev().map(|speed| Setting {
            series,
            label: format!("speed {speed}"),
            is_ours: false,
            specs: avifs(chroma),
            effort: Some(speed),
        }));
        all.push(Setting { series, label: "usual".into(), is_ours: true, specs: avifs(chroma), effort: None });
    }
    all
}

/// Encodes one picture twice as a setting has it; the milliseconds that it took at least beside the bytes.
fn encoded(rgb: &Image, spec: &EncodeSpec, effort: Option<u8>) -> (Vec<u8>, f64) {
    let stored = as_stored(rgb, spec);
    let once = || {
        let start = Instant::now();
        let bytes = match effort {
            Some(effort) => codec::encode_at(&stored, spec, effort),
            None => codec::encode(&stored, spec),
        };
        (bytes.expect("bytes"), 1e3 * start.elapsed().as_secs_f64())
    };
    let (bytes, ms) = once();
    (bytes, ms.min(once().1))
}

/// One picture by one setting. Nothing where its qualities do not reach that far.
fn measured(rgb: &Image, setting: &Setting, yardsticks: &[(f64, f64); 3]) -> Option<Worth> {
    let mut curve: Vec<(f64, f64, f64)> = Vec::new();
    for spec in &setting.specs {
        let (bytes, ms) = encoded(rgb, spec, setting.effort);
        curve.push((score(rgb, &shown(&bytes)), (bytes.len() as f64).ln(), ms));
    }
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    let bytes: Vec<(f64, f64)> = curve.iter().map(|(score, bytes, _)| (*score, *bytes)).collect();
    let times: Vec<(f64, f64)> = curve.iter().map(|(score, _, ms)| (*score, *ms)).collect();
    let mut saved = [0.0; 3];
    for (saved, (want, yardstick)) in saved.iter_mut().zip(yardsticks) {
        *saved = 1.0 - at(&bytes, *want)?.exp() / yardstick;
    }
    let megapixels = rgb.size().pixels() as f64 / 1e6;
    Some(Worth { saved, ms_per_megapixel: at(&times, yardsticks[PLOTTED].0)? / megapixels })
}

pub(crate) fn run(corpus: &Path) {
    let mut cases = cases(corpus, true);
    cases.retain(|case| case.side == SIDE);
    let pictures: Vec<Image> = cases.iter().map(picture).collect();
    let lossless = lossless(&pictures);
    let yardsticks: Vec<[(f64, f64); 3]> = pictures.iter().map(|rgb| YARDSTICKS.map(|q| yardstick(rgb, q))).collect();
    println!("{} photographs at {SIDE} px; fewer bytes than cjpeg of {YARDSTICKS:?} at its score, ms/MP", cases.len());
    let settings = settings();
    let lossy: Vec<Dot> = settings
        .chunk_by(|a, b| a.series == b.series)
        .flat_map(|series| self::series(series, &pictures, &yardsticks))
        .collect();
    let title = format!("Bytes saved at the look of libjpeg-turbo's JPEG of {}, %", YARDSTICKS[PLOTTED]);
    let plot = svg(&[(&title, lossy), ("Without loss: bytes in % of our PNG's", lossless)]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/frontier.svg");
    std::fs::write(&path, plot).expect("docs/ is writable");
    println!("plot: {}", path.display());
    pace(corpus);
}

/// What AVIF takes as the product makes it: the time that is promised is that of 99 in 100.
fn pace(corpus: &Path) {
    const QUANTISERS: [u8; 6] = [5, 9, 14, 21, 30, 45];
    let cases: Vec<Case> = [true, false].into_iter().flat_map(|fitting| at_height(corpus, fitting, 500)).collect();
    let mut times: Vec<f64> = Vec::new();
    for rgb in cases.iter().map(picture) {
        let effort = AvifEffort::for_size(rgb.size()).expect("a small picture");
        times.extend(QUANTISERS.map(|q| {
            let spec = EncodeSpec::Avif { quantiser: AvifQuantiser(q), effort, chroma: Chroma::Half };
            encoded(&rgb, &spec, None).1 / (rgb.size().pixels() as f64 / 1e6)
        }));
    }
    times.sort_by(f64::total_cmp);
    let of = |hundredths: usize| times[(times.len() * hundredths).div_ceil(100) - 1];
    let (count, [median, most, all]) = (cases.len(), [50, 99, 100].map(of));
    println!("AVIF at height 500, {count} pictures, quantisers {QUANTISERS:?}, the lesser of two times:");
    println!("median {median:.0}, 99th percentile {most:.0}, at most {all:.0} ms/MP");
}

fn picture(case: &Case) -> Image {
    let (bytes, header) = source(case);
    reference(&bytes, &header, wanted(header.size, case.side))
}

/// Score and bytes of libjpeg-turbo's JPEG.
fn yardstick(rgb: &Image, quality: u8) -> (f64, f64) {
    let bytes = cjpeg(rgb, quality);
    (score(rgb, &shown(&bytes)), bytes.len() as f64)
}

/// All settings of one series, over the pictures that every one of them has the qualities for.
fn series(settings: &[Setting], pictures: &[Image], yardsticks: &[[(f64, f64); 3]]) -> Vec<Dot> {
    let all: Vec<Vec<Option<Worth>>> = settings
        .iter()
        .map(|setting| pictures.iter().zip(yardsticks).map(|(rgb, stick)| measured(rgb, setting, stick)).collect())
        .collect();
    let shared: Vec<usize> = (0..pictures.len()).filter(|i| all.iter().all(|worths| worths[*i].is_some())).collect();
    let mut dots = Vec::new();
    for (setting, worths) in settings.iter().zip(&all) {
        let worths: Vec<Worth> = shared.iter().filter_map(|i| worths[*i]).collect();
        let of = |value: &dyn Fn(&Worth) -> f64| mean(worths.iter().map(value));
        let worth = Worth {
            saved: [0, 1, 2].map(|i| of(&|worth| worth.saved[i])),
            ms_per_megapixel: of(&|worth| worth.ms_per_megapixel),
        };
        let Setting { series, label, is_ours, .. } = setting;
        let shares = worth.saved.map(|share| format!("{:6.1} %", 100.0 * share)).join(" ");
        let ours = if *is_ours { ", ours" } else { "" };
        println!(
            "{series:11} {label:11} | {shares} | {:7.1} | {} pictures{ours}",
            worth.ms_per_megapixel,
            worths.len()
        );
        dots.push(Dot::of(setting, &worth));
    }
    dots
}

/// What has no quality: efforts by bytes, in per cent of our PNG's, and time.
fn lossless(pictures: &[Image]) -> Vec<Dot> {
    let ours: Vec<usize> = pictures.iter().map(|rgb| encoded(rgb, &EncodeSpec::Png, None).0.len()).collect();
    let of_ours = mean(ours.iter().map(|&bytes| bytes as f64));
    let series = [
        ("PNG", "level", EncodeSpec::Png, 0..=9),
        ("WebP", "method", EncodeSpec::WebpLossless, 0..=6),
        ("AVIF", "speed", EncodeSpec::AvifLossless, 7..=9),
    ];
    let mut dots = Vec::new();
    for (series, unit, spec, efforts) in series {
        let usual = encoded(&pictures[0], &spec, None).0.len();
        for effort in efforts {
            let files: Vec<(usize, f64)> = pictures
                .iter()
                .map(|rgb| {
                    let (bytes, ms) = encoded(rgb, &spec, Some(effort));
                    (bytes.len(), ms / (rgb.size().pixels() as f64 / 1e6))
                })
                .collect();
            let (bytes, ms) = (mean(files.iter().map(|f| f.0 as f64)), mean(files.iter().map(|f| f.1)));
            let is_ours = files[0].0 == usual;
            let y = 100.0 * bytes / of_ours;
            println!(
                "{series} without loss, {unit} {effort}: {bytes:8.0} bytes, {y:5.1} % of our PNG's, {ms:7.1} ms/MP{}",
                if is_ours { ", ours" } else { "" }
            );
            dots.push(Dot { series, label: effort.to_string(), is_ours, x: ms, y });
        }
    }
    dots
}

/// A point of a plot.
struct Dot {
    series: &'static str,
    label: String,
    is_ours: bool,
    /// Milliseconds a megapixel.
    x: f64,
    y: f64,
}

impl Dot {
    fn of(setting: &Setting, worth: &Worth) -> Self {
        let Setting { series, label, is_ours, .. } = setting;
        let label = label.split(' ').next_back().unwrap_or(label).to_owned();
        Self { series, label, is_ours: *is_ours, x: worth.ms_per_megapixel, y: 100.0 * worth.saved[PLOTTED] }
    }
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const MARGIN: f64 = 50.0;
const COLOURS: [&str; 5] = ["#7a7a7a", "#1f6fb4", "#c8502b", "#8a4fa3", "#2a8a4a"];

/// Panels one above the other: milliseconds a megapixel by powers of ten from left to right, ours ringed.
fn svg(panels: &[(&str, Vec<Dot>)]) -> String {
    let all_height = HEIGHT * panels.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {all_height}\" font-family=\"sans-serif\" \
         font-size=\"12\"><rect width=\"{WIDTH}\" height=\"{all_height}\" fill=\"#fff\"/>\n"
    );
    for (i, (title, dots)) in panels.iter().enumerate() {
        writeln!(out, "<g transform=\"translate(0 {})\">{}</g>", HEIGHT * i as f64, panel(title, dots)).expect("text");
    }
    out + "</svg>\n"
}

fn panel(title: &str, dots: &[Dot]) -> String {
    let span = |of: fn(&Dot) -> f64| {
        dots.iter().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let ((x0, x1), (y0, y1)) = (span(|dot| dot.x.log10()), span(|dot| dot.y));
    let (x0, x1) = (x0.floor(), x1.ceil().max(x0.floor() + 1.0));
    let (y0, y1) = ((y0 / 10.0).floor() * 10.0, ((y1 / 10.0).ceil() * 10.0).max((y0 / 10.0).floor() * 10.0 + 10.0));
    let x = |v: f64| MARGIN + (v.log10() - x0) / (x1 - x0) * (WIDTH - 3.0 * MARGIN);
    let y = |v: f64| HEIGHT - MARGIN - (v - y0) / (y1 - y0) * (HEIGHT - 2.0 * MARGIN);
    let mut out = format!("<text x=\"{MARGIN}\" y=\"24\" font-weight=\"bold\">{title}</text>\n");
    let mut power = x0;
    while power <= x1 {
        let (at, value) = (x(10_f64.powf(power)), 10_f64.powf(power));
        writeln!(
            out,
            "<path d=\"M{at:.1} {MARGIN}V{:.1}\" stroke=\"#ddd\"/><text x=\"{at:.1}\" y=\"{:.1}\" \
             text-anchor=\"middle\">{value} ms/MP</text>",
            HEIGHT - MARGIN,
            HEIGHT - MARGIN + 18.0
        )
        .expect("text");
        power += 1.0;
    }
    let mut tick = y0;
    while tick <= y1 {
        let at = y(tick);
        writeln!(
            out,
            "<path d=\"M{MARGIN} {at:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{tick}</text>",
            WIDTH - 2.0 * MARGIN,
            MARGIN - 6.0,
            at + 4.0
        )
        .expect("text");
        tick += 10.0;
    }
    let mut names: Vec<&str> = Vec::new();
    for dot in dots {
        if !names.contains(&dot.series) {
            names.push(dot.series);
        }
    }
    for (name, colour) in names.iter().zip(COLOURS) {
        let own: Vec<&Dot> = dots.iter().filter(|dot| dot.series == *name).collect();
        // A setting that no effort of the series has is a dot beside its line.
        let line: Vec<String> = own
            .iter()
            .filter(|dot| dot.label.chars().all(|c| c.is_ascii_digit()))
            .map(|dot| format!("{:.1},{:.1}", x(dot.x), y(dot.y)))
            .collect();
        writeln!(out, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>", line.join(" ")).expect("text");
        for dot in &own {
            let (x, y, ring) = (x(dot.x), y(dot.y), if dot.is_ours { 7 } else { 0 });
            writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/><circle cx=\"{x:.1}\" cy=\"{y:.1}\" \
                 r=\"{ring}\" fill=\"none\" stroke=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}\
                 </text>",
                x + 8.0,
                y + 14.0,
                dot.label
            )
            .expect("text");
        }
        if let Some(last) = own.iter().max_by(|a, b| a.x.total_cmp(&b.x)) {
            writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\" font-weight=\"bold\">{name}</text>",
                x(last.x) + 8.0,
                y(last.y) - 8.0
            )
            .expect("text");
        }
    }
    out
}
