//! Random queries: nothing panics, nothing swells, and every plan that comes out can be rendered.

use std::sync::Arc;

use calotype::catalog::Company;
use calotype::decide::{Hints, decide};
use calotype::engine::scalar::Scalar;
use calotype::engine::{Cancel, Job, run};
use calotype::error::Result;
use calotype::kernel::Axis;
use calotype::limits;
use calotype::pixel::{Chroma, Image, Model, PixelFormat, Ratio, Size, WorkingSpace};
use calotype::plan::{DecodeAs, EncodeSpec, Header, Pass, Plan, SourceFormat, TiffPacking};
use calotype::request::{self, registry};

use super::{clips, company};
use crate::support::{Content, SplitMix64, picture};

/// A number of rounds, from the environment if it says.
pub(crate) fn rounds(variable: &str, default: u32) -> u32 {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

pub(super) fn pick<'a, T: ?Sized>(random: &mut SplitMix64, from: &[&'a T]) -> &'a T {
    from[random.within(0, u32::try_from(from.len()).expect("a short list")) as usize]
}

/// Values that mean something to some command, and some that mean nothing to any.
const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "2",
    "7",
    "100",
    "400",
    "65535",
    "2147483647",
    "99999999999999999999",
    "-1",
    "0.000001",
    "1000000",
    "0.5",
    "1.5",
    "NaN",
    "1e308",
    "fit",
    "crop,1",
    "stretch",
    "wrap,1",
    ",1",
    "hfit,0",
    "constrain",
    "0,0,1,1",
    "-5,-5,20,20",
    "0,0,65535,65535",
    "2147483647,-2147483647,1,65535",
    "0.1,0.2,0.3,0.4",
    "-1,-1,3,3",
    "999,999,1000,1000",
    "-1,1",
    "1,1",
    "ff0000",
    "1,2,3,4k",
    "sharp2",
    "trilin",
    "bisharp",
    "bilin",
    "1.75,0.3,2,0",
    "5,250,255,1",
    "jpeg",
    "png-alpha",
    "webp-alpha,,lossless",
    "gif",
    "pjpeg",
    "85,1",
    "off",
    "on,2",
    "on,0.001",
    "on,1000",
    "on",
    "img",
    "tmb",
    "Bag",
    "Wedge,Nope",
    "M0,0,L5,0,5,5,Z,m1,1,c9,0,9,9,0,9",
    "M-1000000,-1000000,L1000000,0,0,1000000",
    "$small$",
    "$v$",
    "%24v%24",
    "%zz",
    "%00",
    "%ff",
    "+",
    "&",
    "=",
    "..",
    "é",
];

/// A query of a few modifiers, sometimes damaged.
fn query(random: &mut SplitMix64) -> String {
    let mut out = Vec::new();
    for _ in 0..random.within(0, 9) {
        match random.within(0, 12) {
            0 => out.extend_from_slice(
                pick(random, &["$small$", "$outer$", "$round$", "$v=7", "$v=$v$", ".x", "", "foo=1", "$", "$$"])
                    .as_bytes(),
            ),
            1..4 => {
                let command = registry::COMMANDS
                    [random.within(0, u32::try_from(registry::COMMANDS.len()).expect("few")) as usize];
                out.extend_from_slice(command.name.as_bytes());
                out.push(b'=');
                out.extend_from_slice(pick(random, VALUES).as_bytes());
            }
            _ => {
                out.extend_from_slice(
                    pick(
                        random,
                        &["wid", "hei", "scl", "fit", "align", "rgn", "rgnN", "crop", "cropN", "dpr", "op_usm", "fmt"],
                    )
                    .as_bytes(),
                );
                out.push(b'=');
                out.extend_from_slice(pick(random, VALUES).as_bytes());
            }
        }
        out.push(b'&');
    }
    if random.within(0, 4) == 0 && !out.is_empty() {
        for _ in 0..random.within(1, 4) {
            let at = random.within(0, u32::try_from(out.len()).expect("short")) as usize;
            out[at] = random.byte();
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A source's header; sides from 1 px to the ceiling.
fn header(random: &mut SplitMix64, side_max: u32) -> Header {
    let mut side = || match random.within(0, 4) {
        0 => 1,
        1 => side_max,
        _ => random.within(1, side_max.min(5000) + 1),
    };
    let mut size = Size::new(side(), side());
    if size.pixels() > limits::SOURCE_PIXELS_MAX {
        size.h = 1;
    }
    let model = match random.within(0, 4) {
        0 => Model::Grey,
        1 => Model::Rgb,
        2 => Model::Ycbcr(Chroma::Half),
        _ => Model::Ycbcr(Chroma::Full),
    };
    let alpha = matches!(model, Model::Grey | Model::Rgb) && random.within(0, 2) == 0;
    let native = PixelFormat { model, alpha };
    Header {
        format: SourceFormat::Png,
        size,
        native,
        converts_profile: random.within(0, 8) == 0,
        orientation: 1,
        decoder_bytes: 0,
        density: None,
    }
}

fn planned(query: &str, header: &Header, company: &Company) -> Result<Plan> {
    let commands = request::parse(query, company)?.with_paths(&clips::paths());
    let decision = decide(&commands, header, company, &Hints::default())?;
    request::plan(&commands, header, company, &decision)
}

/// What every plan promises: a view under the ceilings, axes inside their sources, intermediates of a bounded size.
fn assert_sound(plan: &Plan, header: &Header, what: &str) {
    assert!(
        plan.size.w > 0 && plan.size.h > 0 && plan.size.pixels() <= limits::VIEW_PIXELS_MAX,
        "{what}: {}",
        plan.size
    );
    assert!(plan.size.w.max(plan.size.h) <= limits::VIEW_SIDE_MAX, "{what}");
    let mut size = header.size;
    let inside = |axis: &Axis, len: u32| {
        assert!(
            axis.src_len > 0 && axis.dst_len > 0 && axis.src_first + axis.src_len <= len,
            "{what}: {axis:?} of {len}"
        );
        assert!(axis.step.is_positive(), "{what}: {axis:?}");
        // The first and the last output sample are centred on the source, or less than one of their pixels off.
        let centre = |i: u32| axis.origin.plus(axis.step.times(Ratio::new(2 * i128::from(i) + 1, 2)));
        let (near, far) = (Ratio::int(i64::from(axis.src_first)), Ratio::int(i64::from(axis.src_first + axis.src_len)));
        let slack = axis.step.max(Ratio::ONE);
        assert!(centre(0) > near.minus(slack) && centre(axis.dst_len - 1) < far.plus(slack), "{what}: {axis:?}");
    };
    for pass in &plan.passes {
        match pass {
            Pass::ResizeH(resample) => {
                inside(&resample.axis, size.w);
                resample.chroma_axis.iter().for_each(|axis| inside(axis, size.w.div_ceil(2)));
                size.w = resample.axis.dst_len;
            }
            Pass::ResizeV(resample) => {
                inside(&resample.axis, size.h);
                resample.chroma_axis.iter().for_each(|axis| inside(axis, size.h.div_ceil(2)));
                size.h = resample.axis.dst_len;
            }
            Pass::Place { canvas, .. } => size = *canvas,
            Pass::Turn(turn) => size = turn.turned(size),
            Pass::Rotate(rotation) => size = rotation.canvas,
            Pass::YcbcrToRgb
            | Pass::RgbToYcbcr { .. }
            | Pass::Grey
            | Pass::Load { .. }
            | Pass::Pack { .. }
            | Pass::Cover(_)
            | Pass::Mask(_)
            | Pass::Matte
            | Pass::Median
            | Pass::Point(_)
            | Pass::GrowH(_)
            | Pass::GrowV(_)
            | Pass::Noise(_)
            | Pass::UnsharpH(_)
            | Pass::UnsharpV(_)
            | Pass::Sharpen => {}
        }
        assert!(size.pixels() <= 4 * limits::VIEW_PIXELS_MAX, "{what}: {size} after {}", pass.name());
    }
    assert_eq!(size, plan.size, "{what}");
}

#[test]
fn random_queries_never_panic_and_plans_are_sound() {
    let mut random = SplitMix64::new("random_queries");
    let mut plans = 0;
    let rounds = rounds("QUERIES", 1_000_000);
    for _ in 0..rounds {
        let query = query(&mut random);
        let header = header(&mut random, 65_535);
        let mut company = company();
        if random.within(0, 3) == 0 {
            company.max_pix = Size::new(0, 0);
            company.default_pix = Size::new(0, random.within(0, 3));
        }
        if let Ok(plan) = planned(&query, &header, &company) {
            assert_sound(&plan, &header, &format!("{query:?} over {header:?}"));
            plans += 1;
        }
    }
    assert!(plans > rounds / 20, "only {plans} of {rounds} queries gave a plan: the generator has gone blunt");
}

/// Pairs that work over a small source.
fn small_query(random: &mut SplitMix64) -> String {
    let mut out = Vec::new();
    for _ in 0..random.within(1, 7) {
        let (a, b, c) = (random.within(1, 50), random.within(1, 50), random.within(0, 100));
        let (x, y) = (i64::from(random.within(0, 60)) - 20, i64::from(random.within(0, 60)) - 20);
        let mode = pick(random, &["fit", "constrain", "crop", "wrap", "stretch", "hfit", "vfit"]);
        out.push(match random.within(0, 35) {
            0 | 1 => format!("wid={a}"),
            2 | 3 => format!("hei={b}"),
            4 => format!("scl={}.{c}", random.within(0, 4)),
            5 => format!("wid={a}&hei={b}&fit={mode},{}", c % 2),
            6 => format!("align={}.{c:02},-0.{c:02}", i64::from(c % 2) - 1),
            7 => format!("rgn={x},{y},{a},{b}"),
            8 => format!("crop={x},{y},{a},{b}"),
            9 => format!("cropN=-0.{c:02},0.{c:02},0.{b:02},1.{a:02}"),
            10 => format!("op_usm={}.{c},{a}.5,{},{}", c % 5, c, c % 2),
            11 => format!("op_usmR=1.{c},0.{a},{},{}", c % 9, c % 2),
            12 => format!("op_sharpen={}", c % 2),
            13 => format!("resMode={}", pick(random, &["bilin", "bicub", "sharp2", "bisharp", "trilin"])),
            14 => {
                let formats = [
                    "jpeg",
                    "pjpeg",
                    "png",
                    "png-alpha",
                    "webp",
                    "webp-alpha,,lossless",
                    "jpeg2000",
                    "jpeg2000-alpha",
                    "jpeg,gray",
                    "png-alpha,gray",
                    "gif",
                    "gif-alpha,gray",
                    "png8-alpha",
                    "tif,,jpeg",
                    "tif-alpha,,zip",
                    "tif,gray,jpeg",
                    "tif,cmyk",
                    "jpeg,cmyk",
                    "jpeg&icc=AdobeRGB",
                ];
                format!("fmt={}", pick(random, &formats))
            }
            15 => format!("op_brightness={}&op_contrast={x}&op_invert={}", y, c % 2),
            16 => format!("op_hue={x}&op_saturation={y}&op_colorbalance={x},{y},{c}"),
            17 => format!("op_colorize={a},{b},{c},{}", pick(random, &["off", "norm", "norm,40"])),
            18 => format!("op_grow={}&op_noise={c},{},{}", x, pick(random, &["uniform", "gaussian"]), c % 2),
            19 => format!("op_blur={}.{c}", b % 100),
            20 if c % 2 == 0 => format!("rotate={}", 90 * (x / 7)),
            20 => format!("rotate={}.{c:02}", 9 * x),
            21 => format!("flip={}", pick(random, &["lr", "ud", "lrud"])),
            22 => format!("layer=0&flip={}&layer=comp", pick(random, &["lr", "ud", "lrud"])),
            23 => format!("extend={x},{y},{a},{b}"),
            24 => format!("size={a},{}&scale=0.{b}", if c % 3 == 0 { 0 } else { b }),
            25 => format!("rect={x},{y},{a},{b},{}.{c:02}", c % 3),
            26 => format!("color={a},{b},{c},{}&bgColor={c},{a},{b},{}", 5 * (a % 52), 5 * (b % 52)),
            27 => format!("opac={c},{b}&maskUse={}", pick(random, &["norm", "invert", "off"])),
            34 => format!("op_growMask={x}&op_growMaskR={}", y / 9),
            31 => format!("clipPath=M{x},{y},L{a},0,c{b},{c},{x},{a},0,{b},Z"),
            32 => format!("layer=0&clipPath=M{x},{y},L{a},0,{b},{c}&clipXPath=m{a},0,1,2,3,4&layer=comp"),
            33 => format!(
                "{}={}",
                pick(random, &["cropPathE", "clipPathE", "clipXPathE"]),
                pick(random, &["Bag", "Wedge", "No"])
            ),
            29 => format!("req=tmb&size={a},{b}"),
            30 => String::from("req=mask"),
            28 => format!("layer=0&opac={c}&layer=comp&hide={}", u32::from(c % 9 == 0)),
            _ => format!("dpr=on,{}.{c}&bgc=0x{b:02x}", c % 3),
        });
    }
    out.join("&")
}

/// Whether the encoder of a plan takes a picture of this format.
fn encodes(spec: EncodeSpec, format: PixelFormat) -> bool {
    match spec {
        EncodeSpec::Jpeg { .. } => !format.alpha && !matches!(format.model, Model::Yuv | Model::Cmyk),
        EncodeSpec::Tiff { packing: TiffPacking::Jpeg { .. } } => !format.alpha && format.model != Model::Yuv,
        EncodeSpec::Png
        | EncodeSpec::Tiff { .. }
        | EncodeSpec::Png8 { .. }
        | EncodeSpec::Gif { .. }
        | EncodeSpec::WebpLossless
        | EncodeSpec::Jpeg2000 { .. }
        | EncodeSpec::Jpeg2000Lossless
        | EncodeSpec::JpegXr { .. }
        | EncodeSpec::JpegXrLossless => matches!(format.model, Model::Grey | Model::Rgb),
        EncodeSpec::Webp { .. } => matches!(format.model, Model::Grey | Model::Yuv),
        EncodeSpec::Avif { .. } | EncodeSpec::AvifLossless => !matches!(format.model, Model::Yuv | Model::Cmyk),
    }
}

#[test]
fn every_plan_can_be_rendered() {
    let mut random = SplitMix64::new("every_plan_can_be_rendered");
    let mut rendered = 0;
    for _ in 0..rounds("PLANS", 2500) {
        let query = small_query(&mut random);
        let header = header(&mut random, 40);
        let mut company = company();
        company.max_pix = Size::new(90, 90);
        company.default_pix = Size::new(30, 30);
        if random.within(0, 3) == 0 {
            company.working_space = WorkingSpace::Linear;
        }
        let Ok(plan) = planned(&query, &header, &company) else { continue };
        let what = format!("{query:?} over {header:?}: {plan:?}");
        assert_sound(&plan, &header, &what);
        // What the decoder hands out.
        let format = match (plan.decode, header.native.model) {
            (DecodeAs::Rgb, Model::Ycbcr(_)) => PixelFormat::RGB,
            _ => header.native,
        };
        let source: Arc<Image> = Arc::new(picture(Content::Noise, header.size, format, &mut random));
        let job = Job { source, plans: vec![Arc::new(plan.clone())], cancel: Cancel::default() };
        let image = run(&Scalar, job).images.remove(0).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(image.size(), plan.size, "{what}");
        assert!(encodes(plan.encode.requested, image.format()), "{what}: {:?}", image.format());
        let is_grey = query.split('&').rfind(|m| m.starts_with("fmt=")).is_some_and(|m| m.contains(",gray"));
        assert!(!is_grey || image.format().model == Model::Grey, "{what}: {:?}", image.format());
        if query.split('&').rfind(|m| m.starts_with("req=")) == Some("req=mask") {
            assert_eq!(image.format(), PixelFormat::GREY, "{what}");
        }
        let keeps_alpha = query.split('&').rfind(|m| m.starts_with("fmt=")).is_some_and(|m| m.contains("-alpha"));
        assert!(keeps_alpha || !image.format().alpha, "{what}: {:?}", image.format());
        rendered += 1;
    }
    assert!(rendered > 0, "no query gave a plan");
    println!("{rendered} plans rendered");
}
