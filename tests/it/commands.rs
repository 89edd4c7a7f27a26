//! Does the URL mean this plan? `data/commands.txt` holds `source query ⇒ plan` lines; `UPDATE=1` rewrites them.

mod clips;
mod kinds;
mod random;
mod values;

pub(crate) use random::rounds;

use std::fmt::Write as _;
use std::path::PathBuf;

use calotype::catalog::{Company, SourceRoot};
use calotype::decide::{Hints, decide};
use calotype::error::Error;
use calotype::kernel::{Axis, Edge};
use calotype::pixel::{Chroma, Model, PixelFormat, Size};
use calotype::plan::{
    Conversion, DecodeAs, EncodeSpec, Fill, Header, Pass, Plan, Point, Resample, SourceFormat, TiffPacking,
};
use calotype::request::{self, OutputFormat};

/// The sources of protocol.md section 7 and a few more: letter, format, size, model.
pub(crate) const SOURCES: [(&str, SourceFormat, Size, PixelFormat); 9] = [
    ("A", SourceFormat::Jpeg, Size::new(3000, 2000), YCBCR_420),
    ("B", SourceFormat::Jpeg, Size::new(800, 600), YCBCR_420),
    ("P", SourceFormat::Png, Size::new(1000, 500), PixelFormat::RGBA),
    ("T", SourceFormat::Tiff, Size::new(2000, 3000), PixelFormat::RGB),
    ("Q", SourceFormat::Jpeg, Size::new(4000, 3000), YCBCR_420),
    ("S", SourceFormat::Jpeg, Size::new(1000, 750), YCBCR_420),
    ("G", SourceFormat::Jpeg, Size::new(640, 480), PixelFormat::GREY),
    ("F", SourceFormat::Jpeg, Size::new(641, 479), YCBCR_444),
    ("V", SourceFormat::Png, Size::new(1, 65_535), PixelFormat::RGB),
];

const YCBCR_420: PixelFormat = PixelFormat { model: Model::Ycbcr(Chroma::Half), alpha: false };
const YCBCR_444: PixelFormat = PixelFormat { model: Model::Ycbcr(Chroma::Full), alpha: false };

/// The reference company of protocol.md, with presets.
pub(crate) fn company() -> Company {
    let mut company = Company::new("Co", SourceRoot::Demo);
    for (name, body) in [
        ("small", "wid=240&qlt=70"),
        ("outer", "$small$&hei=100"),
        ("encoded", "wid%3D300"),
        ("round", "wid=1&$about$"),
        ("about", "$round$"),
        ("empty", ""),
        ("bad", "wid=x"),
        ("unsharp", "op_usm=1.75,0.3,2,0&resMode=sharp2&fmt=jpg&qlt=85,0"),
    ] {
        company.presets.insert(name.to_owned(), body.to_owned());
    }
    company
}

pub(crate) fn header(source: &str) -> Header {
    let (_, format, size, native) = SOURCES.into_iter().find(|(name, ..)| *name == source).expect("a known source");
    Header { format, size, native, converts_profile: false, orientation: 1, decoder_bytes: 0, density: None }
}

/// A plan over an R G B picture of `size`.
pub(crate) fn plan_over(size: Size, query: &str, company: &Company) -> Result<Plan, Error> {
    planned(&Header { size, ..header("T") }, query, company)
}

pub(crate) fn plan(source: &str, query: &str, company: &Company) -> Result<Plan, Error> {
    planned(&header(source), query, company)
}

/// A plan over a picture of this header.
pub(crate) fn planned(header: &Header, query: &str, company: &Company) -> Result<Plan, Error> {
    let commands = request::parse(query, company)?;
    let decision = decide(&commands, header, company, &Hints::default())?;
    request::plan(&commands, header, company, &decision)
}

/// A plan on one line.
fn shown(plan: &Plan) -> String {
    let mut out = format!("{} ", plan.size);
    let spec = plan.encode.requested;
    out += spec.name();
    match spec {
        EncodeSpec::Jpeg { quality, chroma, progressive } => {
            write!(out, " q{}", quality.0).expect("a String");
            out += if chroma == Chroma::Full { " 444" } else { "" };
            out += if progressive { " progressive" } else { "" };
        }
        EncodeSpec::Webp { quality } => write!(out, " q{}", quality.0).expect("a String"),
        EncodeSpec::Png => {}
        EncodeSpec::Tiff { packing } => {
            write!(out, " {}", packing.keyword()).expect("a String");
            if let TiffPacking::Jpeg { quality, .. } = packing {
                write!(out, " q{}", quality.0).expect("a String");
            }
        }
        EncodeSpec::Png8 { palette } | EncodeSpec::Gif { palette } => {
            let diffuses = if palette.diffuses { " diffuse" } else { "" };
            write!(out, " {}{diffuses} {}", palette.kind.keyword(), palette.colours).expect("a String");
        }
        EncodeSpec::Avif { quantiser, .. } => write!(out, " q{}", quantiser.0).expect("a String"),
        EncodeSpec::Jpeg2000 { quality } => write!(out, " q{}", quality.0).expect("a String"),
        EncodeSpec::JpegXr { quantiser, .. } => write!(out, " q{}", quantiser.0).expect("a String"),
        EncodeSpec::WebpLossless
        | EncodeSpec::AvifLossless
        | EncodeSpec::Jpeg2000Lossless
        | EncodeSpec::JpegXrLossless => out += " lossless",
    }
    if let Some(bytes) = plan.encode.jpeg_bytes_max {
        write!(out, " <={bytes}").expect("a String");
    }
    if let Some(steps) = plan.output.steps {
        write!(out, " in {steps}").expect("a String");
    }
    for [r, g, b] in &plan.output.colours {
        write!(out, " {r:02x}{g:02x}{b:02x}").expect("a String");
    }
    match plan.output.conversion {
        None => {}
        Some(Conversion::Inks) => out += " inks",
        Some(Conversion::To { profile, intent }) => {
            write!(out, " {} {}", profile.name(), intent.keyword()).expect("a String");
        }
    }
    out += if plan.output.embeds_profile { " +profile" } else { "" };
    out += if plan.output.embeds_xmp { " +xmp" } else { "" };
    if let Some(density) = plan.output.density {
        write!(out, " {} dpi", density.dpi()).expect("a String");
    }
    out += if plan.decode == DecodeAs::Native { " | native" } else { " | rgb" };
    for pass in &plan.passes {
        out += ", ";
        out += pass.name();
        match pass {
            Pass::Mask(mask) => {
                for (path, side) in &mask.paths {
                    write!(out, " {side:?} {} {:?}", path.points(), path.outlines.first().map(|first| first.start))
                        .expect("a String");
                }
            }
            Pass::YcbcrToRgb
            | Pass::Grey
            | Pass::Matte
            | Pass::Median
            | Pass::Sharpen
            | Pass::Pack { .. }
            | Pass::RgbToYcbcr { .. } => {}
            Pass::Rotate(rotation) => {
                let scaled = |[x, y]: [i64; 2]| [x, y].map(|v| v as f64 / 4_294_967_296.0);
                let ([x, y], [u, v]) = (scaled(rotation.start), scaled(rotation.column));
                write!(out, " {} from {x:.4},{y:.4} by {u:.4},{v:.4}", rotation.canvas).expect("a String");
            }
            Pass::Cover(cover) => {
                let [r, g, b, a] = cover.under;
                write!(out, " {:?} {r:02x}{g:02x}{b:02x}{a:02x} {}", cover.mask, cover.opacity).expect("a String");
            }
            Pass::Turn(turn) => {
                let words = [(turn.transposed, " transposed"), (turn.mirrored[0], " lr"), (turn.mirrored[1], " ud")];
                words.iter().filter(|(is, _)| *is).for_each(|(_, word)| out += word);
            }
            Pass::Point(point) => operations(&mut out, point),
            Pass::GrowH(grow) | Pass::GrowV(grow) => {
                write!(out, " {:?} {}px", grow.morph, grow.radius_px).expect("a String")
            }
            Pass::Noise(noise) => {
                let mono = if noise.mono { " mono" } else { "" };
                write!(out, " {} {:?}{mono}", noise.amount, noise.grain).expect("a String");
            }
            Pass::Load { add_alpha, .. } => out += if *add_alpha { " +alpha" } else { "" },
            Pass::ResizeH(resample) | Pass::ResizeV(resample) => resampled(&mut out, resample),
            Pass::UnsharpH(usm) | Pass::UnsharpV(usm) => {
                write!(out, " {}/1024 {}px {} {}", usm.amount_q10, usm.radius_px(), usm.threshold, u8::from(usm.mono))
                    .expect("a String");
            }
            Pass::Place { canvas, x, y, fill } => {
                write!(out, " {canvas}{x:+}{y:+}").expect("a String");
                match fill {
                    Fill::Transparent => out += " transparent",
                    Fill::Opaque([r, g, b]) => write!(out, " {r:02x}{g:02x}{b:02x}").expect("a String"),
                }
            }
        }
    }
    out
}

/// What of a `point` does something.
fn operations(out: &mut String, point: &Point) {
    let &Point { brightness, contrast, balance, hue, saturation, tint, invert } = point;
    for (name, percent) in [("brightness", brightness), ("contrast", contrast), ("saturation", saturation)] {
        if percent != 0 {
            write!(out, " {name} {percent}").expect("a String");
        }
    }
    if balance != [0; 3] {
        write!(out, " balance {balance:?}").expect("a String");
    }
    if hue != 0 {
        write!(out, " hue {hue}").expect("a String");
    }
    if let Some(tint) = tint {
        let [r, g, b] = tint.colour;
        let how = if tint.normalise { "normalised" } else { "as it is" };
        write!(out, " tint {r:02x}{g:02x}{b:02x} {how} {}", tint.contrast).expect("a String");
    }
    *out += if invert { " invert" } else { "" };
}

fn resampled(out: &mut String, resample: &Resample) {
    write!(out, " {}", resample.kernel).expect("a String");
    let mut axis = |axis: &Axis| {
        let &Axis { src_first, src_len, origin, step, dst_len, edge } = axis;
        write!(out, " {src_first}+{src_len} from {origin} by {step} to {dst_len}").expect("a String");
        *out += match edge {
            Edge::Renormalise => "",
            Edge::Transparent => " soft",
            Edge::TransparentFirst => " soft first",
            Edge::TransparentLast => " soft last",
        };
    };
    axis(&resample.axis);
    if let Some(chroma) = &resample.chroma_axis {
        axis(chroma);
    }
}

fn outcome(source: &str, query: &str) -> String {
    match plan(source, query, &company()) {
        Ok(plan) => shown(&plan),
        Err(error) => format!("error: {error}"),
    }
}

/// Whatever the build, the name is known.
#[test]
fn jpeg_xr_is_what_the_build_makes_it() {
    let company = Company::new("Co", SourceRoot::Demo);
    for query in ["fmt=jpegxr", "fmt=jpegxr-alpha,rgb,lossless"] {
        let built_in = match request::parse(query, &company) {
            Ok(commands) => commands.fmt.format == OutputFormat::JpegXr,
            Err(error) => {
                assert!(error.to_string().contains("known, but not supported"), "{error}");
                false
            }
        };
        assert_eq!(built_in, EncodeSpec::HAS_JPEG_XR, "{query}");
    }
    assert!(request::parse("fmt=jpegxr,cmyk", &company).is_err());
}

#[test]
fn queries_mean_these_plans() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/commands.txt");
    let text = std::fs::read_to_string(&path).expect("commands.txt");
    let mut rewritten = String::new();
    let mut wrong = Vec::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            rewritten += line;
            rewritten.push('\n');
            continue;
        }
        let (asked, want) = line.split_once(" ⇒").unwrap_or((line, ""));
        let (source, query) = asked.split_once('?').expect("source?query");
        let got = outcome(source, query);
        writeln!(rewritten, "{asked} ⇒ {got}").expect("a String");
        if want.trim() != got {
            wrong.push(format!("{asked}\n  want {}\n  got  {got}", want.trim()));
        }
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, rewritten).expect("writable");
        return;
    }
    assert!(wrong.is_empty(), "{}\n(UPDATE=1 rewrites)", wrong.join("\n"));
}
