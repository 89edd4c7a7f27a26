//! Does every engine equal the oracle? Each pass × each engine × hostile sizes × {opaque, alpha, all 0, all 255, noise}.
//!
//! One case is one source and all its plans in one job, so that fan-out is exercised as well.

use std::sync::Arc;

use calotype::engine::Engine;
use calotype::engine::scalar::Scalar;
use calotype::engine::simd::{Level, Simd};
use calotype::kernel::{Axis, Edge, Kernel};
use calotype::pixel::{
    Chroma, Image, Model, Outline, Path, Piece, PixelFormat, Ratio, Size, WorkingSpace, YcbcrForm, testcard,
};
use calotype::plan::{
    Cover, DecodeAs, Fill, Grain, Grow, Grown, Mask, MaskUse, Morph, Noise, Pass, Plan, Point, Resample, Rotation,
    Side, Tint, Turn, Unsharp,
};

use crate::codecs::{corpus, decode_as};
use crate::support::{
    Content, SplitMix64, Tolerance, Worst, assert_close, check, difference, engines_under_test, picture, plan, render,
    resample, resample_half,
};

const GREY_ALPHA: PixelFormat = PixelFormat { model: Model::Grey, alpha: true };
const YCC_420: PixelFormat = PixelFormat { model: Model::Ycbcr(Chroma::Half), alpha: false };
const YCC_444: PixelFormat = PixelFormat { model: Model::Ycbcr(Chroma::Full), alpha: false };
const YCC_444_ALPHA: PixelFormat = PixelFormat { model: Model::Ycbcr(Chroma::Full), alpha: true };
const CMYK: PixelFormat = PixelFormat { model: Model::Cmyk, alpha: false };

/// One source, the plans over it, and how close engines must come.
struct Case {
    name: String,
    source: Arc<Image>,
    plans: Vec<Arc<Plan>>,
    tolerance: Tolerance,
}

#[test]
fn ycbcr_to_rgb() {
    every_engine_equals_scalar("ycbcr_to_rgb");
}

#[test]
fn rgb_to_ycbcr() {
    every_engine_equals_scalar("rgb_to_ycbcr");
}

#[test]
fn grey() {
    every_engine_equals_scalar("grey");
}

#[test]
fn load_and_pack() {
    every_engine_equals_scalar("load");
    every_engine_equals_scalar("pack");
}

#[test]
fn resize_h() {
    every_engine_equals_scalar("resize_h");
}

#[test]
fn resize_v() {
    every_engine_equals_scalar("resize_v");
}

#[test]
fn turns() {
    every_engine_equals_scalar("turn");
}

#[test]
fn rotate() {
    every_engine_equals_scalar("rotate");
}

#[test]
fn cover() {
    every_engine_equals_scalar("cover");
}

#[test]
fn masks() {
    every_engine_equals_scalar("mask");
    every_engine_equals_scalar("matte");
}

#[test]
fn point_operations() {
    every_engine_equals_scalar("median");
    every_engine_equals_scalar("point");
}

#[test]
fn grow() {
    every_engine_equals_scalar("grow_h");
    every_engine_equals_scalar("grow_v");
}

#[test]
fn noise() {
    every_engine_equals_scalar("noise");
}

/// The kernel of `op_blur`, at its own size and while it enlarges.
#[test]
fn blurs() {
    let mut random = SplitMix64::new("blurs");
    for format in [PixelFormat::GREY, PixelFormat::RGB, PixelFormat::RGBA] {
        for (from, to) in [((1, 1), (1, 1)), ((37, 23), (37, 23)), ((40, 30), (157, 117)), ((255, 5), (255, 5))] {
            let (from, to) = (Size::new(from.0, from.1), Size::new(to.0, to.1));
            for content in contents(from, format) {
                let source = Arc::new(picture(content, from, format, &mut random));
                let mut plans = Vec::new();
                for sigma_q10 in [103, 300, 1024, 5000, 40_000] {
                    for space in spaces(format) {
                        let turn = |from, to| resample(Kernel::Gaussian { sigma_q10 }, Axis::whole(from, to));
                        let (h, v) = (Pass::ResizeH(turn(from.w, to.w)), Pass::ResizeV(turn(from.h, to.h)));
                        let passes = vec![Pass::Load { space, add_alpha: false }, h, v, Pass::Pack { space }];
                        plans.push(plan(from, to, passes));
                    }
                }
                let name = format!("blur of {from} {format:?} {content:?}");
                compare("blur", &Case { name, source, plans, tolerance: Tolerance::Levels(1) });
            }
        }
    }
}

#[test]
fn unsharp() {
    every_engine_equals_scalar("unsharp_h");
    every_engine_equals_scalar("unsharp_v");
}

#[test]
fn sharpen() {
    every_engine_equals_scalar("sharpen");
}

#[test]
fn place() {
    every_engine_equals_scalar("place");
}

/// A new pass without a case fails here: `cases` panics on a name it does not know.
#[test]
fn every_pass_has_cases_that_use_it() {
    for pass in Pass::ALL {
        let cases = cases(pass);
        let plans = cases.iter().flat_map(|case| &case.plans);
        let uses = plans.filter(|plan| plan.passes.iter().any(|p| p.name() == pass)).count();
        assert!(uses >= 4, "{pass}: {uses} plans of its cases use it");
    }
}

fn every_engine_equals_scalar(pass: &str) {
    cases(pass).iter().for_each(|case| compare(pass, case));
}

fn compare(pass: &str, case: &Case) {
    let want = render(&Scalar, &case.source, &case.plans);
    for engine in others() {
        for ((want, got), plan) in want.iter().zip(render(&**engine, &case.source, &case.plans)).zip(&case.plans) {
            let name = format!("{pass} on {}: {} {:?}", engine.name(), case.name, plan.passes);
            let got = got.unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_close(&name, want.as_ref().expect("scalar cannot fail"), &got, case.tolerance);
        }
    }
}

/// All engines but the oracle itself.
fn others() -> impl Iterator<Item = &'static Arc<dyn Engine>> {
    engines_under_test().iter().filter(|engine| engine.name() != Scalar.name())
}

/// Sizes where a grid of 16 × 16, a strip or a vector goes wrong first.
const HOSTILE: [Size; 8] = [
    Size::new(1, 1),
    Size::new(1, 17),
    Size::new(17, 1),
    Size::new(16, 16),
    Size::new(16, 17),
    Size::new(37, 23),
    Size::new(101, 67),
    Size::new(255, 257),
];

/// Larger than this, a case takes one content only, or the suite would take minutes.
const SMALL_PX: u64 = 4096;

fn cases(pass: &str) -> Vec<Case> {
    let mut random = SplitMix64::new(pass);
    match pass {
        "ycbcr_to_rgb" => each([YCC_420, YCC_444, YCC_444_ALPHA], &mut random, Tolerance::Exact, |size, _, _| {
            vec![plan(size, size, vec![Pass::YcbcrToRgb])]
        }),
        "rgb_to_ycbcr" => {
            let formats = [PixelFormat::RGB, PixelFormat::RGBA, YCC_444, YCC_444_ALPHA];
            each(formats, &mut random, Tolerance::Exact, |size, format, _| {
                let full = (format.model == Model::Rgb).then_some(YcbcrForm::Full);
                let forms = full.into_iter().chain([YcbcrForm::Half, YcbcrForm::Video]);
                forms.map(|form| plan(size, size, vec![Pass::RgbToYcbcr { form }])).collect()
            })
        }
        "grey" => {
            let formats = [PixelFormat::RGB, PixelFormat::RGBA, YCC_420, YCC_444, YCC_444_ALPHA];
            each(formats, &mut random, Tolerance::Exact, |size, _, _| vec![plan(size, size, vec![Pass::Grey])])
        }
        "load" | "pack" => {
            let formats = [PixelFormat::GREY, GREY_ALPHA, PixelFormat::RGB, PixelFormat::RGBA, YCC_420, YCC_444, CMYK];
            each(formats, &mut random, Tolerance::Levels(1), |size, format, _| {
                let mut plans = Vec::new();
                for space in spaces(format) {
                    for add_alpha in [false, true] {
                        if !(add_alpha && format == YCC_420) {
                            plans.push(plan(size, size, vec![Pass::Load { space, add_alpha }, Pass::Pack { space }]));
                        }
                    }
                }
                plans
            })
        }
        "resize_h" => resizes(&mut random, true),
        "resize_v" => resizes(&mut random, false),
        "turn" => each(MOVED, &mut random, Tolerance::Exact, |size, _, _| {
            Turn::ALL.map(|turn| plan(size, turn.turned(size), vec![Pass::Turn(turn)])).to_vec()
        }),
        "rotate" => each(ON_RGB, &mut random, Tolerance::Exact, |size, _, random| {
            let mut plans = Vec::new();
            for degrees in [1.0_f64, -17.5, 45.0, 80.0] {
                let (sin, cos) = degrees.to_radians().sin_cos();
                #[expect(clippy::cast_possible_truncation, reason = "a few samples a pixel")]
                let exact = |x: f64, y: f64| [x, y].map(|v| (v * f64::from(1_u32 << 31) * 2.0) as i64);
                let canvas = Size::new(size.w + random.within(0, 9), size.h + random.within(0, 5));
                let start = exact(
                    f64::from(random.within(0, 300)) / 100.0 - 2.0,
                    f64::from(random.within(0, 300)) / 70.0 - 2.0,
                );
                let rotation = Rotation { canvas, start, column: exact(cos, -sin), row: exact(sin, 0.7 * cos) };
                plans.push(plan(size, canvas, vec![Pass::Rotate(rotation)]));
            }
            plans
        }),
        "cover" => each(ON_RGB, &mut random, Tolerance::Exact, |size, _, random| {
            let mut plans = Vec::new();
            for mask in [MaskUse::Norm, MaskUse::Invert, MaskUse::Off] {
                for (alpha, opacity) in [(0, 10_000), (0, 6_300), (255, 10_000), (100, 5_000), (1, 0)] {
                    let [r, g, b] = random_colour(random);
                    for under in [[r, g, b, alpha], [r, r, r, alpha]] {
                        plans.push(plan(size, size, vec![Pass::Cover(Cover { mask, under, opacity })]));
                    }
                }
            }
            plans
        }),
        "mask" => each(ON_RGB, &mut random, Tolerance::Exact, |size, _, random| {
            let mut plans: Vec<_> = (0..4)
                .map(|i| plan(size, size, vec![Pass::Mask(Arc::new(random_mask(random, size, i % 3)))]))
                .collect();
            let twice = [0, 1].map(|i| Pass::Mask(Arc::new(random_mask(random, size, i))));
            plans.push(plan(size, size, twice.to_vec()));
            plans
        }),
        "matte" => {
            let formats =
                [PixelFormat::GREY, GREY_ALPHA, PixelFormat::RGB, PixelFormat::RGBA, YCC_420, YCC_444, YCC_444_ALPHA];
            each(formats, &mut random, Tolerance::Exact, |size, _, _| vec![plan(size, size, vec![Pass::Matte])])
        }
        "median" => each(ON_RGB, &mut random, Tolerance::Exact, |size, _, random| {
            let tints = [(random_colour(random), 0), (random_colour(random), 30), ([0, 128, 255], 100)];
            let plans = tints.map(|(colour, contrast)| {
                let tint = Some(Tint { colour, normalise: true, contrast });
                let invert = contrast == 30;
                let before = Point { hue: 77, contrast: -20, ..Point::default() };
                let tinted = Pass::Point(Point { tint, invert, ..Point::default() });
                plan(size, size, vec![Pass::Point(before), Pass::Median, tinted])
            });
            let tint = Some(Tint { colour: [200, 120, 40], normalise: true, contrast: 10 });
            let whole = plan(size, size, vec![Pass::Median, Pass::Point(Point { tint, ..random_point(random) })]);
            plans.into_iter().chain([whole]).collect()
        }),
        "point" => each(ON_RGB, &mut random, Tolerance::Exact, |size, _, random| {
            let mut points = vec![
                Point { brightness: 37, ..Point::default() },
                Point { contrast: 100, ..Point::default() },
                Point { balance: [-100, 3, 60], ..Point::default() },
                Point { hue: 180, ..Point::default() },
                Point { saturation: -100, ..Point::default() },
                Point { tint: Some(Tint { colour: [250, 3, 99], normalise: false, contrast: 0 }), ..Point::default() },
                Point { invert: true, ..Point::default() },
            ];
            points.extend((0..5).map(|_| random_point(random)));
            points.into_iter().map(|point| plan(size, size, vec![Pass::Point(point)])).collect()
        }),
        "grow_h" => grows(&mut random, |size| Size::new(size.samples().try_into().expect("small"), 1)),
        "grow_v" => grows(&mut random, |size| size),
        "noise" => each(ON_RGB, &mut random, Tolerance::Exact, |size, _, random| {
            let mut plans = Vec::new();
            for grain in [Grain::Uniform, Grain::Gaussian] {
                for (amount, mono) in [(1, false), (33, true), (100, false), (100, true)] {
                    let seed = u32::from_le_bytes(std::array::from_fn(|_| random.byte()));
                    plans.push(plan(size, size, vec![Pass::Noise(Noise { amount, grain, mono, seed })]));
                }
            }
            plans
        }),
        "unsharp_h" => unsharps(&mut random, |size| Size::new(size.samples().try_into().expect("small"), 1)),
        "unsharp_v" => unsharps(&mut random, |size| size),
        "sharpen" => {
            each(ON_RGB, &mut random, Tolerance::Exact, |size, _, _| vec![plan(size, size, vec![Pass::Sharpen])])
        }
        "place" => each(MOVED, &mut random, Tolerance::Exact, |size, _, random| {
            let fills = [Fill::Transparent, Fill::Opaque([255; 3]), Fill::Opaque([9, 200, 77])];
            let (w, h) = (size.w.cast_signed(), size.h.cast_signed());
            let mut plans = Vec::new();
            for (canvas, x, y) in [
                (size, 0, 0),
                (Size::new(size.w + 5, size.h + 3), 2, 1),
                (Size::new(size.w.div_ceil(2), size.h.div_ceil(3)), -w / 3, -h / 2),
                (Size::new(19, 33), random.within(0, 40).cast_signed() - 20, -h / 3),
                (Size::new(8, 8), w + 9, h + 9),
            ] {
                plans.extend(fills.map(|fill| plan(size, canvas, vec![Pass::Place { canvas, x, y, fill }])));
            }
            plans
        }),
        other => panic!("{other}: a pass without a differential case"),
    }
}

/// Discs of every size from a pixel to more than the picture.
fn grows(random: &mut SplitMix64, shape: impl Fn(Size) -> Size) -> Vec<Case> {
    let mut cases = Vec::new();
    for format in ON_RGB {
        for size in [(1, 1), (1, 17), (17, 1), (16, 17), (37, 23), (101, 7)].map(|(w, h)| shape(Size::new(w, h))) {
            for content in contents(size, format) {
                let source = Arc::new(picture(content, size, format, random));
                let mut plans = Vec::new();
                for radius_px in [1, 2, 3, 7, 8, 20, 100] {
                    for morph in [Morph::Dilate, Morph::Erode] {
                        let grown = [Grown::Colours, Grown::Alpha].into_iter().take(1 + usize::from(format.alpha));
                        plans.extend(grown.map(|of| {
                            let grow = Grow { radius_px, morph, of };
                            plan(size, size, vec![Pass::GrowH(grow), Pass::GrowV(grow)])
                        }));
                    }
                }
                let name = format!("{size} {format:?} {content:?}");
                cases.push(Case { name, source, plans, tolerance: Tolerance::Exact });
            }
        }
    }
    cases
}

fn random_colour(random: &mut SplitMix64) -> [u8; 3] {
    [random.byte(), random.byte(), random.byte()]
}

/// Some paths of lines and curves in and around a picture, what is left inside or outside of each.
fn random_mask(random: &mut SplitMix64, size: Size, more: u32) -> Mask {
    let point = |random: &mut SplitMix64| {
        [size.w, size.h].map(|side| i64::from(random.within(0, 512 * side)) - i64::from(128 * side))
    };
    let path = |random: &mut SplitMix64| {
        let start = point(random);
        let pieces = (0..5).map(|i| match i % 2 {
            0 => Piece::Line(point(random)),
            _ => Piece::Curve([point(random), point(random), point(random)]),
        });
        Path { outlines: vec![Outline { start, pieces: pieces.collect() }] }
    };
    let sides = [Side::Inside, Side::Outside, Side::Inside];
    Mask { paths: sides.into_iter().take(1 + more as usize).map(|side| (path(random), side)).collect() }
}

/// Every operation in any strength, each left out now and then; the tint is not normalised.
fn random_point(random: &mut SplitMix64) -> Point {
    let is_used = |random: &mut SplitMix64| random.within(0, 4) > 0;
    let percent = |random: &mut SplitMix64| {
        let percent = i8::try_from(random.within(0, 201).cast_signed() - 100).expect("-100 to 100");
        if is_used(random) { percent } else { 0 }
    };
    let balance = [percent(random), percent(random), percent(random)];
    let colour = random_colour(random);
    Point {
        brightness: percent(random),
        contrast: percent(random),
        balance: if is_used(random) { balance } else { [balance[0]; 3] },
        hue: if is_used(random) { u16::try_from(random.within(0, 360)).expect("degrees") } else { 0 },
        saturation: percent(random),
        tint: (!is_used(random)).then_some(Tint { colour, normalise: false, contrast: 0 }),
        invert: is_used(random),
    }
}

const ON_RGB: [PixelFormat; 4] = [PixelFormat::GREY, GREY_ALPHA, PixelFormat::RGB, PixelFormat::RGBA];
/// Of passes that move samples: chroma too, where it is as large as luma.
const MOVED: [PixelFormat; 6] =
    [PixelFormat::GREY, GREY_ALPHA, PixelFormat::RGB, PixelFormat::RGBA, YCC_444, YCC_444_ALPHA];

/// One case for each format, hostile size and content.
fn each<const N: usize>(
    formats: [PixelFormat; N],
    random: &mut SplitMix64,
    tolerance: Tolerance,
    plans: impl Fn(Size, PixelFormat, &mut SplitMix64) -> Vec<Arc<Plan>>,
) -> Vec<Case> {
    let mut cases = Vec::new();
    for format in formats {
        for size in HOSTILE {
            for content in contents(size, format) {
                let source = Arc::new(picture(content, size, format, random));
                let plans = plans(size, format, random);
                cases.push(Case { name: format!("{size} {format:?} {content:?}"), source, plans, tolerance });
            }
        }
    }
    cases
}

/// All contents on small pictures, noise on large ones: it holds every value and every alpha.
fn contents(size: Size, format: PixelFormat) -> Vec<Content> {
    let all = if size.pixels() > SMALL_PX { vec![Content::Noise] } else { Content::ALL.to_vec() };
    all.into_iter().filter(|&content| format.alpha || content != Content::Alpha).collect()
}

fn spaces(format: PixelFormat) -> Vec<WorkingSpace> {
    match format.model {
        Model::Grey | Model::Rgb => vec![WorkingSpace::Encoded, WorkingSpace::Linear],
        Model::Ycbcr(_) | Model::Yuv | Model::Cmyk => vec![WorkingSpace::Encoded],
    }
}

/// Resizes of one direction; `across` is the picture's other side.
fn resizes(random: &mut SplitMix64, horizontal: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    let formats = [PixelFormat::GREY, PixelFormat::RGB, PixelFormat::RGBA, YCC_420];
    for (src_len, across, dst_len) in [
        (1, 1, 1),
        (1, 17, 5),
        (17, 1, 40),
        (16, 16, 16),
        (17, 16, 7),
        (37, 23, 53),
        (255, 257, 101),
        (1, 2, 4096),
        (4096, 2, 1),
    ] {
        let turned = |len| if horizontal { Size::new(len, across) } else { Size::new(across, len) };
        let (size, dst) = (turned(src_len), turned(dst_len));
        for format in formats {
            for content in contents(size, format) {
                let source = Arc::new(picture(content, size, format, random));
                let mut plans = Vec::new();
                for axis in axes(src_len, dst_len, random) {
                    // Four-thousandfold steps make long tap tables: one kernel of each kind is enough there.
                    let kernels =
                        if src_len.max(dst_len) > 4000 { &[Kernel::Sharp2, Kernel::Trilin][..] } else { &Kernel::ALL };
                    for &kernel in kernels {
                        for space in spaces(format) {
                            let add_alpha = axis.edge != Edge::Renormalise && format != YCC_420;
                            plans.push(plan(size, dst, resized(kernel, space, add_alpha, format, horizontal, axis)));
                        }
                    }
                }
                let name = format!("{size} to {dst} {format:?} {content:?}");
                cases.push(Case { name, source, plans, tolerance: Tolerance::Levels(1) });
            }
        }
    }
    cases
}

fn resized(
    kernel: Kernel,
    space: WorkingSpace,
    add_alpha: bool,
    format: PixelFormat,
    horizontal: bool,
    axis: Axis,
) -> Vec<Pass> {
    let direction = if horizontal { Pass::ResizeH } else { Pass::ResizeV };
    vec![Pass::Load { space, add_alpha }, direction(turn(format, kernel, axis)), Pass::Pack { space }]
}

fn turn(format: PixelFormat, kernel: Kernel, axis: Axis) -> Resample {
    if format == YCC_420 { resample_half(kernel, axis) } else { resample(kernel, axis) }
}

/// The whole source, a crop of it at fractional places, and a view that reaches beyond it, both edge kinds.
fn axes(src_len: u32, dst_len: u32, random: &mut SplitMix64) -> Vec<Axis> {
    let whole = Axis::whole(src_len, dst_len);
    let mut axes = vec![whole];
    if src_len.max(dst_len) <= 4000 && src_len > 1 {
        let first = random.within(0, src_len / 2 + 1);
        let len = random.within(1, src_len - first + 1);
        let third = Ratio::new(i128::from(random.within(0, 3)), 3);
        let step = Ratio::new(i128::from(len), i128::from(dst_len));
        let origin = Ratio::int(first.into()).plus(third);
        axes.push(Axis { src_first: first, src_len: len, origin, step, ..whole });
        let wide = Ratio::new(i128::from(len) + 4, i128::from(dst_len));
        let outside = Ratio::int(i64::from(first) - 2);
        // One of the three kinds a picture: all three come up among its contents and formats.
        let kinds = [Edge::Transparent, Edge::TransparentFirst, Edge::TransparentLast];
        let edge = kinds[random.within(0, 3) as usize];
        axes.push(Axis { src_first: first, src_len: len, origin: outside, step: wide, edge, ..whole });
    }
    axes
}

fn unsharps(random: &mut SplitMix64, shape: impl Fn(Size) -> Size) -> Vec<Case> {
    let mut cases = Vec::new();
    for format in ON_RGB {
        for size in
            [Size::new(1, 1), Size::new(1, 17), Size::new(17, 1), Size::new(16, 17), Size::new(37, 23)].map(&shape)
        {
            for content in contents(size, format) {
                let source = Arc::new(picture(content, size, format, random));
                let mut plans = Vec::new();
                for (radius, amount_q10, threshold) in [
                    (0.125, 5120, 5),
                    (0.3, 1792, 0),
                    (1.0, 1024, 2),
                    (3.0, 512, 0),
                    (20.0, 2048, 255),
                    (250.0, 5120, 1),
                ] {
                    for mono in [false, true] {
                        plans.push(unsharp_plan(size, unsharp_of(radius, amount_q10, threshold, mono)));
                    }
                }
                let name = format!("{size} {format:?} {content:?}");
                cases.push(Case { name, source, plans, tolerance: Tolerance::Exact });
            }
        }
        let size = shape(Size::new(255, 57));
        let source = Arc::new(picture(Content::Noise, size, format, random));
        let plans = vec![
            unsharp_plan(size, unsharp_of(1.0, 1792, 3, true)),
            unsharp_plan(size, unsharp_of(2.5, 999, 0, false)),
        ];
        cases.push(Case { name: format!("{size} {format:?}"), source, plans, tolerance: Tolerance::Exact });
    }
    cases
}

fn unsharp_of(radius_px: f64, amount_q10: u16, threshold: u8, mono: bool) -> Unsharp {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 250 px")]
    Unsharp { amount_q10, radius_q20: (radius_px * f64::from(1 << 20)) as u32, threshold, mono }
}

fn unsharp_plan(size: Size, unsharp: Unsharp) -> Arc<Plan> {
    plan(size, size, vec![Pass::UnsharpH(unsharp), Pass::UnsharpV(unsharp)])
}

/// The passes of whole renditions as a planner writes them, from `format` of `source` to `dst`: colour conversion after
/// the reduction, then sharpening, then the view.
fn renditions(source: Size, format: PixelFormat, dst: Size) -> Vec<Vec<Pass>> {
    let mut plans = Vec::new();
    for kernel in [Kernel::Sharp2, Kernel::Bicub] {
        for space in spaces(format) {
            for vertical_first in [false, true] {
                let h = Pass::ResizeH(turn(format, kernel, Axis::whole(source.w, dst.w)));
                let v = Pass::ResizeV(turn(format, kernel, Axis::whole(source.h, dst.h)));
                let mut passes = vec![Pass::Load { space, add_alpha: false }];
                passes.extend(if vertical_first { [v, h] } else { [h, v] });
                passes.push(Pass::Pack { space });
                if matches!(format.model, Model::Ycbcr(_)) {
                    passes.push(Pass::YcbcrToRgb);
                }
                let unsharp = unsharp_of(0.5, 1792, 2, vertical_first);
                passes.extend([Pass::UnsharpH(unsharp), Pass::UnsharpV(unsharp)]);
                let canvas = Size::new(dst.w + 7, dst.h.max(4) - 3);
                passes.push(Pass::Place { canvas, x: 3, y: -1, fill: Fill::Opaque([255, 250, 240]) });
                passes.push(Pass::RgbToYcbcr { form: YcbcrForm::Half });
                plans.push(passes);
            }
        }
    }
    plans
}

/// Whole plans. After `pack` an engine may be 1 level off, and sharpening multiplies that by up to 6 and may decide a
/// threshold the other way; so a plan is held to two bounds that together say everything: up to `pack` within 1 level of
/// scalar, and from there on exactly what scalar makes of the engine's own pixels.
fn assert_rendition(name: &str, engine: &dyn Engine, source: &Arc<Image>, dst: Size, passes: &[Pass]) {
    let packed = 1 + passes.iter().position(|p| matches!(p, Pass::Pack { .. })).expect("a resize");
    let head = plan(source.size(), dst, passes[..packed].to_vec());
    let tail = plan(dst, dst, passes[packed..].to_vec());
    let whole = plan(source.size(), dst, passes.to_vec());
    let one = |engine: &dyn Engine, source: &Arc<Image>, plan: &Arc<Plan>| {
        let mut images = render(engine, source, std::slice::from_ref(plan));
        images.remove(0).unwrap_or_else(|e| panic!("{name}: {e}"))
    };
    let got_head = Arc::new(one(engine, source, &head));
    assert_close(&format!("{name} head"), &one(&Scalar, source, &head), &got_head, Tolerance::Levels(1));
    let got = one(engine, source, &whole);
    assert_close(&format!("{name} whole"), &one(&Scalar, &got_head, &tail), &got, Tolerance::Exact);
}

#[test]
fn whole_renditions() {
    let mut random = SplitMix64::new("whole_renditions");
    let format = [PixelFormat::GREY, PixelFormat::RGB, PixelFormat::RGBA, YCC_420];
    for (source, dst) in [
        (Size::new(203, 131), Size::new(75, 50)),
        (Size::new(60, 95), Size::new(33, 120)),
        (Size::new(1, 33), Size::new(1, 9)),
        (Size::new(64, 48), Size::new(100, 100)),
    ] {
        for format in format {
            let content = if format.alpha { Content::Alpha } else { Content::Opaque };
            let image = Arc::new(picture(content, source, format, &mut random));
            for passes in renditions(source, format, dst) {
                // Sharpening knows one grey plane, the JPEG encoder knows it too: no colour conversion of grey.
                let grey = format.model == Model::Grey;
                let passes: Vec<Pass> = passes
                    .into_iter()
                    .map(|pass| match pass {
                        Pass::Place { canvas, x, y, .. } if grey => {
                            Pass::Place { canvas, x, y, fill: Fill::Opaque([7; 3]) }
                        }
                        other => other,
                    })
                    .filter(|pass| !(grey && matches!(pass, Pass::RgbToYcbcr { .. })))
                    .collect();
                for engine in others() {
                    let name = format!("{}: {source} to {dst} {format:?} {passes:?}", engine.name());
                    assert_rendition(&name, &**engine, &image, dst, &passes);
                }
            }
        }
    }
}

/// Y Cb Cr that stays so: a part of it, within edges that fall off, turned, padded, and as a format stores it.
#[test]
fn renditions_that_stay_ycbcr() {
    let mut random = SplitMix64::new("renditions_that_stay_ycbcr");
    let (source, cut, dst) = (Size::new(203, 131), Size::new(97, 60), Size::new(53, 41));
    let image = Arc::new(picture(Content::Opaque, source, YCC_444, &mut random));
    let space = WorkingSpace::Encoded;
    for (kernel, edge) in [(Kernel::Sharp2, Edge::Renormalise), (Kernel::Bicub, Edge::Transparent)] {
        let along = |src, dst| resample(kernel, Axis { edge, ..Axis::whole(src, dst) });
        for (turn, fill) in Turn::ALL.into_iter().zip([Fill::Opaque([200, 30, 90]), Fill::Transparent].repeat(4)) {
            let turned = turn.turned(dst);
            let canvas = Size::new(turned.w + 9, turned.h - 4);
            for form in [None, Some(YcbcrForm::Half), Some(YcbcrForm::Video)] {
                let mut passes = vec![
                    Pass::Place { canvas: cut, x: -31, y: -44, fill: Fill::Transparent },
                    Pass::Load { space, add_alpha: edge == Edge::Transparent },
                    Pass::ResizeV(along(cut.h, dst.h)),
                    Pass::ResizeH(along(cut.w, dst.w)),
                    Pass::Pack { space },
                    Pass::Turn(turn),
                    Pass::Place { canvas, x: 5, y: -2, fill },
                ];
                passes.extend(form.map(|form| Pass::RgbToYcbcr { form }));
                for engine in others() {
                    let name = format!("{}: {passes:?}", engine.name());
                    assert_rendition(&name, &**engine, &image, dst, &passes);
                }
            }
        }
    }
}

/// What no noise has: flat skies, skin, grain, soft alpha, in the planes that the decoders hand out.
#[test]
fn real_pictures() {
    let Some(corpus) = corpus() else { return };
    for (file, height) in [
        ("photos/0c49a5cc.jpg", 250),
        ("photos/14ab4af2.jpg", 101),
        ("jpeg-variants/down_sampled_grayscale_prog.jpg", 333),
        ("png/28d24b9c-alpha.png", 160),
    ] {
        let bytes = std::fs::read(corpus.join(file)).expect("a picture of the corpus");
        let source = Arc::new(decode_as(&bytes, DecodeAs::Native));
        let (size, format) = (source.size(), source.format());
        let dst = Size::new((size.w * height).div_ceil(size.h), height);
        for passes in renditions(size, format, dst) {
            for engine in others() {
                let name = format!("{}: {file} {size} to {dst} {format:?} {passes:?}", engine.name());
                assert_rendition(&name, &**engine, &source, dst, &passes);
            }
        }
    }
}

/// Each set of instructions that this CPU has, by force; says which. `REQUIRE_SIMD=avx2,avx512` makes it a failure that
/// one of them is missing.
#[test]
fn every_instruction_set_equals_scalar() {
    let required = std::env::var("REQUIRE_SIMD").unwrap_or_default();
    let mut ran = Vec::new();
    for name in Level::NAMES {
        let Some(level) = Level::named(name) else {
            assert!(!required.split(',').any(|r| r == *name), "REQUIRE_SIMD={required}, but this CPU has no {name}");
            println!("{name}: not on this CPU");
            continue;
        };
        let engine = Simd::with_level(level);
        assert_eq!(engine.level().name(), *name);
        for pass in Pass::ALL {
            // All levels run one source text: a part of the cases shows whether an instruction means what it should.
            for case in cases(pass).into_iter().step_by(3) {
                // Of long lists every other plan; a short one is one of forms, each with code of its own.
                let by = if case.plans.len() > 3 { 2 } else { 1 };
                let plans: Vec<Arc<Plan>> = case.plans.into_iter().step_by(by).collect();
                let got = render(&engine, &case.source, &plans);
                for ((want, got), plan) in render(&Scalar, &case.source, &plans).into_iter().zip(got).zip(&plans) {
                    let name = format!("{pass} on {name}: {} {:?}", case.name, plan.passes);
                    let want = want.expect("scalar cannot fail");
                    assert_close(&name, &want, &got.expect("nothing cancels it"), case.tolerance);
                }
            }
        }
        ran.push(*name);
    }
    for name in required.split(',').filter(|name| !name.is_empty()) {
        assert!(ran.contains(&name), "REQUIRE_SIMD={required}: {name} is no set of instructions of this architecture");
    }
    println!("instruction sets that ran: {}", ran.join(", "));
}

/// Cut-out pictures at each level: blocks that are clear, opaque and neither stand side by side, so that windows reach
/// from each kind into each other, down strips of full and of partial height.
#[test]
fn cut_out_pictures() {
    let (source, dst) = (Size::new(463, 151), Size::new(171, 55));
    let mut vase = testcard::vase(source, 5);
    // Hard edges too, one on a block's border, one inside a block.
    for (y, row) in vase.planes_mut()[3].data_mut().chunks_exact_mut(source.w as usize).enumerate() {
        row[320..407].fill(if y % 90 < 70 { 255 } else { 0 });
        row[407..].fill(if y < 100 { 0 } else { 255 });
    }
    let vase = Arc::new(vase);
    for space in spaces(PixelFormat::RGBA) {
        for edge in [Edge::Renormalise, Edge::Transparent] {
            let turn = |src, dst| resample(Kernel::Sharp2, Axis { edge, ..Axis::whole(src, dst) });
            let passes = vec![
                Pass::Load { space, add_alpha: false },
                Pass::ResizeH(turn(source.w, dst.w)),
                Pass::ResizeV(turn(source.h, dst.h)),
                Pass::Pack { space },
            ];
            for level in Level::NAMES.iter().filter_map(|name| Level::named(name)) {
                let name = format!("{level}: {space:?} {edge:?}");
                assert_rendition(&name, &Simd::with_level(level), &vase, dst, &passes);
            }
        }
    }
}

/// A job that nobody waits for ends as `Cancelled`, each of its plans.
#[test]
fn a_cancelled_job_stops() {
    let mut random = SplitMix64::new("a_cancelled_job_stops");
    let source = Arc::new(picture(Content::Noise, Size::new(64, 64), PixelFormat::RGB, &mut random));
    let passes = renditions(source.size(), PixelFormat::RGB, Size::new(20, 20));
    let plans: Vec<Arc<Plan>> = passes.into_iter().map(|p| plan(source.size(), Size::new(20, 20), p)).collect();
    for engine in engines_under_test() {
        let cancel = calotype::engine::Cancel::default();
        cancel.cancel();
        let job = calotype::engine::Job { source: source.clone(), plans: plans.clone(), cancel };
        let images = calotype::engine::run(&**engine, job).images;
        assert_eq!(images.len(), plans.len());
        for image in images {
            assert!(matches!(image, Err(calotype::error::Error::Cancelled { .. })), "{}: {image:?}", engine.name());
        }
    }
}

#[test]
fn the_comparator_catches_one_byte_off_by_two() {
    let mut random = SplitMix64::new("the_comparator_catches_one_byte_off_by_two");
    let want = picture(Content::Noise, Size::new(33, 21), PixelFormat::RGBA, &mut random);
    let mut got = want.clone();
    let (x, y, channel) = (30, 20, 2);
    got.planes_mut()[3].row_mut(y)[x] = 255;
    let mut want = want;
    want.planes_mut()[3].row_mut(y)[x] = 255;
    let was = want.planes()[channel].row(y)[x];
    let off = if was < 2 { was + 2 } else { was - 2 };
    got.planes_mut()[channel].row_mut(y)[x] = off;

    let found = difference(&want, &got, Tolerance::Levels(1));
    assert_eq!((found.max, found.count), (2, 1));
    assert_eq!(found.worst, Some(Worst { x, y, channel, want: was, got: off }));
    let dir = tempfile::tempdir().expect("a temporary folder");
    let report = check(dir.path(), "one byte", &want, &got, Tolerance::Levels(1)).expect_err("two levels are too many");
    assert!(report.contains(&format!("(30, 20) channel 2: want {was}, got {off}")), "{report}");
    for kind in ["want", "got", "diff"] {
        assert!(dir.path().join(format!("one-byte.{kind}.png")).is_file(), "{kind}");
    }
    assert_eq!(check(dir.path(), "same", &want, &want, Tolerance::Exact), Ok(()));

    // Colour that nobody can see: counts for Exact, not for Levels; alpha itself always counts.
    want.planes_mut()[3].row_mut(y)[x] = 0;
    got.planes_mut()[3].row_mut(y)[x] = 0;
    assert_eq!(difference(&want, &got, Tolerance::Levels(1)).count, 0);
    assert_eq!(difference(&want, &got, Tolerance::Exact).count, 1);
    got.planes_mut()[3].row_mut(y)[x] = 1;
    assert_eq!(difference(&want, &got, Tolerance::Levels(1)).count, 2);
}

#[test]
fn the_comparator_catches_a_mirrored_picture() {
    let mut random = SplitMix64::new("the_comparator_catches_a_mirrored_picture");
    let want = picture(Content::Opaque, Size::new(40, 30), PixelFormat::RGB, &mut random);
    let mut got = want.clone();
    for plane in got.planes_mut() {
        for y in 0..30 {
            plane.row_mut(y).reverse();
        }
    }
    let sum = |image: &Image| image.planes().iter().flat_map(|p| p.data()).map(|&v| u64::from(v)).sum::<u64>();
    assert_eq!(sum(&want), sum(&got), "a checksum of bytes sees nothing");
    let dir = tempfile::tempdir().expect("a temporary folder");
    check(dir.path(), "mirrored", &want, &got, Tolerance::Levels(1)).expect_err("mirrored left to right");
}
