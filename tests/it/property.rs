//! Do laws hold? On every engine, whatever the numbers.

use std::sync::Arc;

use calotype::engine::Engine;
use calotype::engine::scalar;
use calotype::kernel::{Axis, Edge, Kernel};
use calotype::pixel::{Chroma, Image, Model, PixelFormat, Plane, Ratio, Size, WorkingSpace, YcbcrForm};
use calotype::plan::{Grain, Grow, Grown, Morph, Noise, Pass, Point, Rotation, Tint, Turn, Unsharp};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::{
    Content, SplitMix64, Tolerance, assert_close, difference, engines_under_test, picture, plan, render, resample,
};

const SPACES: [WorkingSpace; 2] = [WorkingSpace::Encoded, WorkingSpace::Linear];

fn resized(engine: &dyn Engine, source: &Arc<Image>, dst: Size, kernel: Kernel, space: WorkingSpace) -> Image {
    let size = source.size();
    let passes = vec![
        Pass::Load { space, add_alpha: false },
        Pass::ResizeH(resample(kernel, Axis::whole(size.w, dst.w))),
        Pass::ResizeV(resample(kernel, Axis::whole(size.h, dst.h))),
        Pass::Pack { space },
    ];
    render(engine, source, &[plan(size, dst, passes)]).remove(0).expect("nothing cancels it")
}

fn sharpened(engine: &dyn Engine, source: &Arc<Image>, unsharp: Unsharp) -> Image {
    let passes = vec![Pass::UnsharpH(unsharp), Pass::UnsharpV(unsharp)];
    render(engine, source, &[plan(source.size(), source.size(), passes)]).remove(0).expect("nothing cancels it")
}

fn each_engine(mut law: impl FnMut(&dyn Engine)) {
    engines_under_test().iter().for_each(|engine| law(&**engine));
}

fn map_planes(image: &Image, size: Size, plane: impl Fn(&Plane<u8>) -> Plane<u8>) -> Arc<Image> {
    Arc::new(Image::from_planes(size, image.format(), image.planes().iter().map(plane).collect()))
}

fn flipped(image: &Image) -> Arc<Image> {
    map_planes(image, image.size(), |plane| {
        let mut flipped = plane.clone();
        (0..plane.size().h as usize).for_each(|y| flipped.row_mut(y).reverse());
        flipped
    })
}

fn transposed(image: &Image) -> Arc<Image> {
    map_planes(image, image.size().transposed(), |plane| {
        let size = plane.size();
        let column = |x: usize| (0..size.h as usize).map(move |y| plane.row(y)[x]);
        Plane::from_vec(size.transposed(), (0..size.w as usize).flat_map(column).collect())
    })
}

#[test]
fn a_constant_picture_stays_constant() {
    let levels = [0_u8, 1, 37, 128, 254, 255];
    each_engine(|engine| {
        for (src, dst) in [((37, 23), (11, 40)), ((300, 9), (7, 3)), ((5, 5), (64, 64))] {
            let (src, dst) = (Size::new(src.0, src.1), Size::new(dst.0, dst.1));
            for kernel in Kernel::ALL {
                for space in SPACES {
                    for (i, &level) in levels.iter().enumerate() {
                        let values = [level, levels[(i + 1) % 6], levels[(i + 2) % 6], [255, 3, 90][i % 3]];
                        let of = |size: Size| {
                            let plane = |v: u8| Plane::from_vec(size, vec![v; size.samples()]);
                            Image::from_planes(size, PixelFormat::RGBA, values.map(plane).into())
                        };
                        let got = resized(engine, &Arc::new(of(src)), dst, kernel, space);
                        let name = format!("{} {kernel} {space:?} {values:?} {src} to {dst}", engine.name());
                        assert_close(&name, &of(dst), &got, Tolerance::Exact);
                    }
                }
            }
        }
    });
}

/// Not for `trilin`: its pyramid's cells are counted from the left edge, so they only mirror where they fit.
#[test]
fn flipping_and_resizing_commute() {
    let mut random = SplitMix64::new("flipping_and_resizing_commute");
    let source = Arc::new(picture(Content::Alpha, Size::new(61, 33), PixelFormat::RGBA, &mut random));
    each_engine(|engine| {
        for kernel in Kernel::ALL.into_iter().filter(|kernel| *kernel != Kernel::Trilin) {
            for dst in [Size::new(23, 14), Size::new(100, 35)] {
                let want = flipped(&resized(engine, &source, dst, kernel, WorkingSpace::Encoded));
                let got = resized(engine, &flipped(&source), dst, kernel, WorkingSpace::Encoded);
                let name = format!("{} {kernel} flipped to {dst}", engine.name());
                assert_close(&name, &want, &got, Tolerance::Levels(1));
            }
        }
    });
}

#[test]
fn transposing_swaps_the_directions() {
    let mut random = SplitMix64::new("transposing_swaps_the_directions");
    let source = Arc::new(picture(Content::Alpha, Size::new(61, 33), PixelFormat::RGBA, &mut random));
    each_engine(|engine| {
        for kernel in Kernel::ALL {
            for dst in [Size::new(23, 14), Size::new(100, 8)] {
                let want = transposed(&resized(engine, &source, dst, kernel, WorkingSpace::Encoded));
                let got = resized(engine, &transposed(&source), dst.transposed(), kernel, WorkingSpace::Encoded);
                let name = format!("{} {kernel} turned to {dst}", engine.name());
                assert_close(&name, &want, &got, Tolerance::Levels(1));
            }
        }
    });
}

#[test]
fn the_same_size_is_the_identity() {
    let mut random = SplitMix64::new("the_same_size_is_the_identity");
    let source = Arc::new(picture(Content::Noise, Size::new(61, 33), PixelFormat::RGB, &mut random));
    each_engine(|engine| {
        for kernel in Kernel::ALL {
            for space in SPACES {
                let got = resized(engine, &source, source.size(), kernel, space);
                assert_close(&format!("{} {kernel} {space:?}", engine.name()), &source, &got, Tolerance::Exact);
            }
        }
    });
}

/// Reduced by a whole number, every sample inside weighs the same in all; the margin keeps the edges out of it. Grain is
/// small, so that nothing clamps.
#[test]
fn the_mean_is_kept() {
    let mut random = SplitMix64::new("the_mean_is_kept");
    let size = Size::new(120, 96);
    let mut source = Image::new(size, PixelFormat::GREY);
    for y in 0..96 {
        for x in 0..120 {
            let inside = (30..90).contains(&x) && (24..72).contains(&y);
            source.planes_mut()[0].row_mut(y)[x] = if inside { 100 + random.byte() % 56 } else { 128 };
        }
    }
    let source = Arc::new(source);
    let mean = |image: &Image| {
        let data = image.planes()[0].data();
        data.iter().map(|&v| f64::from(v)).sum::<f64>() / data.len() as f64
    };
    each_engine(|engine| {
        for kernel in Kernel::ALL {
            for dst in [Size::new(60, 48), Size::new(40, 24)] {
                let got = mean(&resized(engine, &source, dst, kernel, WorkingSpace::Encoded));
                let want = mean(&source);
                assert!((got - want).abs() < 0.15, "{} {kernel} to {dst}: mean {want} became {got}", engine.name());
            }
        }
    });
}

/// A clamp between the halves would cut the ringing that the second half needs in order to cancel.
#[test]
fn overshoot_survives_resize_h() {
    let size = Size::new(64, 4);
    let row = |x: u32| if (20..41).contains(&x) { 255 } else { 0 };
    let plane = Plane::from_vec(size, (0..4).flat_map(|_| (0..64).map(row)).collect());
    let loaded = scalar::load(&Image::from_planes(size, PixelFormat::GREY, vec![plane]), WorkingSpace::Encoded, false);
    for kernel in [Kernel::Sharp2, Kernel::Bisharp, Kernel::Bicub] {
        let half = scalar::resize_h(&loaded, &resample(kernel, Axis::whole(64, 25)));
        let data = half.planes[0].data();
        let (least, most) = data.iter().fold((0.0_f32, 0.0_f32), |(a, b), &v| (a.min(v), b.max(v)));
        assert!(least < -1.0 && most > 256.0, "{kernel} rings: {least} to {most}");
    }
}

#[test]
fn unsharp_leaves_flat_areas_alone() {
    let size = Size::new(40, 30);
    let values = [200_u8, 31, 7, 130];
    let plane = |v: u8| Plane::from_vec(size, vec![v; size.samples()]);
    let flat = Arc::new(Image::from_planes(size, PixelFormat::RGBA, values.map(plane).into()));
    each_engine(|engine| {
        for radius_q20 in [1 << 10, 1 << 20, 40 << 20] {
            for mono in [false, true] {
                let unsharp = Unsharp { amount_q10: 5120, radius_q20, threshold: 0, mono };
                let name = format!("{} flat {unsharp:?}", engine.name());
                assert_close(&name, &flat, &sharpened(engine, &flat, unsharp), Tolerance::Exact);
            }
        }
    });
}

/// More amount never moves a sample back towards its surroundings.
#[test]
fn unsharp_is_monotone_in_amount() {
    let mut random = SplitMix64::new("unsharp_is_monotone_in_amount");
    let source = Arc::new(picture(Content::Noise, Size::new(33, 21), PixelFormat::RGB, &mut random));
    each_engine(|engine| {
        for mono in [false, true] {
            let mut before = source.clone();
            for amount_q10 in [0, 1, 100, 700, 1792, 5120] {
                let unsharp = Unsharp { amount_q10, radius_q20: 1 << 20, threshold: 3, mono };
                let after = sharpened(engine, &source, unsharp);
                if amount_q10 == 0 {
                    assert_eq!(difference(&source, &after, Tolerance::Exact).count, 0, "{}: amount 0", engine.name());
                }
                for c in 0..3 {
                    let planes = source.planes()[c].data().iter().zip(before.planes()[c].data());
                    for ((&v, &was), &is) in planes.zip(after.planes()[c].data()) {
                        let (was, is) = (i32::from(was) - i32::from(v), i32::from(is) - i32::from(v));
                        let further = is.abs() >= was.abs() && is * was >= 0;
                        assert!(further, "{} amount {amount_q10}: {v} moved {was}, then {is}", engine.name());
                    }
                }
                before = Arc::new(after);
            }
        }
    });
}

/// Threshold 255 is more than any sample can differ from its surroundings by.
#[test]
fn unsharp_below_the_threshold_changes_nothing() {
    let mut random = SplitMix64::new("unsharp_below_the_threshold_changes_nothing");
    let source = Arc::new(picture(Content::Noise, Size::new(33, 21), PixelFormat::RGBA, &mut random));
    each_engine(|engine| {
        let unsharp = Unsharp { amount_q10: 5120, radius_q20: 1 << 20, threshold: 255, mono: false };
        assert_close(engine.name(), &source, &sharpened(engine, &source, unsharp), Tolerance::Exact);
    });
}

fn operated(engine: &dyn Engine, source: &Arc<Image>, passes: &[Pass]) -> Image {
    render(engine, source, &[plan(source.size(), source.size(), passes.to_vec())])
        .remove(0)
        .expect("nothing cancels it")
}

/// Laws that follow from what the operations mean, not from how they are computed.
#[test]
fn point_operations_keep_their_promises() {
    let mut random = SplitMix64::new("point_operations_keep_their_promises");
    let source = Arc::new(picture(Content::Noise, Size::new(61, 33), PixelFormat::RGBA, &mut random));
    let only = |point: Point| [Pass::Point(point)];
    let none = Point::default();
    each_engine(|engine| {
        let name = engine.name();
        let same = |what: &str, want: &Image, got: &Image, tolerance: Tolerance| {
            assert_close(&format!("{name} {what}"), want, got, tolerance);
        };
        same("nothing", &source, &operated(engine, &source, &only(none)), Tolerance::Exact);
        let negative = Arc::new(operated(engine, &source, &only(Point { invert: true, ..none })));
        let twice = operated(engine, &negative, &only(Point { invert: true, ..none }));
        same("negative of the negative", &source, &twice, Tolerance::Exact);
        assert_eq!(negative.alpha(), source.alpha(), "{name}: alpha");

        // Hues of a full turn in thirds exchange the channels; a turn and its opposite cancel.
        let third = operated(engine, &source, &only(Point { hue: 120, ..none }));
        let [r, g, b, a] = [0, 1, 2, 3].map(|c| source.planes()[c].clone());
        let exchanged = Image::from_planes(source.size(), PixelFormat::RGBA, vec![b, r, g, a]);
        same("a third of a turn", &exchanged, &third, Tolerance::Exact);
        let there = Arc::new(operated(engine, &source, &only(Point { hue: 47, ..none })));
        let back = operated(engine, &there, &only(Point { hue: 313, ..none }));
        same("a turn and back", &source, &back, Tolerance::Levels(2));

        // Without saturation nothing but luma is left, whatever the hue.
        let grey = operated(engine, &source, &only(Point { saturation: -100, hue: 0, ..none }));
        for (i, (&r, &g)) in grey.planes()[0].data().iter().zip(grey.planes()[1].data()).enumerate() {
            let luma = [0.299, 0.587, 0.114].iter().zip(source.planes()).map(|(w, p)| w * f64::from(p.data()[i]));
            let luma: f64 = luma.sum();
            assert!(r == g && (f64::from(r) - luma).abs() <= 0.52, "{name}: {r} {g}, luma {luma}");
        }
        assert_eq!(grey.planes()[1], grey.planes()[2]);

        // What moves up in brightness comes down again where nothing clamped.
        let up = operated(engine, &source, &only(Point { brightness: 20, ..none }));
        for (&v, &up) in source.planes()[0].data().iter().zip(up.planes()[0].data()) {
            assert_eq!(up, v.saturating_add(51), "{name}");
        }
    });
}

/// A tint takes the median to its colour, and only then the picture's luma is its own.
#[test]
fn a_normalised_tint_puts_its_colour_in_the_middle() {
    let mut random = SplitMix64::new("a_normalised_tint_puts_its_colour_in_the_middle");
    let size = Size::new(64, 32);
    // Dark, its luma spread over 20 to 83; the left half is cut out and would move the median if it counted.
    let mut planes: Vec<Plane<u8>> = vec![Plane::new(size); 4];
    for y in 0..32 {
        for x in 0..64 {
            let level = if x < 32 { 250 } else { 20 + random.byte() % 64 };
            (0..3).for_each(|c| planes[c].row_mut(y)[x] = level);
            planes[3].row_mut(y)[x] = if x < 32 { 100 } else { 255 };
        }
    }
    let mut seen: Vec<u8> = (0..32).flat_map(|y| planes[0].row(y)[32..].to_vec()).collect();
    seen.sort_unstable();
    let median = seen[seen.len() / 2 - 1];
    let source = Arc::new(Image::from_planes(size, PixelFormat::RGBA, planes));
    let colour = [180, 90, 20];
    each_engine(|engine| {
        let tint =
            |normalise| Pass::Point(Point { tint: Some(Tint { colour, normalise, contrast: 0 }), ..Point::default() });
        let normalised = operated(engine, &source, &[Pass::Median, tint(true)]);
        let plain = operated(engine, &source, &[tint(false)]);
        let mut there = 0;
        for (i, &v) in source.planes()[0].data().iter().enumerate() {
            let rgb = |image: &Image| [0, 1, 2].map(|c| image.planes()[c].data()[i]);
            if v == median {
                assert_eq!(rgb(&normalised), colour, "{}", engine.name());
                there += 1;
            }
            if v < 128 {
                let want = colour.map(|c| f64::from(c) * f64::from(v) / 127.5);
                let off = rgb(&plain).into_iter().zip(want).map(|(got, want)| (f64::from(got) - want).abs());
                assert!(off.fold(0.0, f64::max) <= 0.52, "{}: {v}", engine.name());
            }
        }
        assert!(there > 4, "no pixel has the median");
    });
}

/// Quarters and mirrors are the symmetries of a square: what they do one after the other is what their sum does at once.
#[test]
fn turns_add_up() {
    let mut random = SplitMix64::new("turns_add_up");
    let source = Arc::new(picture(Content::Noise, Size::new(37, 70), PixelFormat::RGBA, &mut random));
    let turned = |engine: &dyn Engine, source: &Arc<Image>, turn: Turn| {
        let plans = [plan(source.size(), turn.turned(source.size()), vec![Pass::Turn(turn)])];
        Arc::new(render(engine, source, &plans).remove(0).expect("nothing cancels it"))
    };
    let none = Turn::default();
    each_engine(|engine| {
        let name = engine.name();
        let exact = |what: &str, want: &Image, got: &Image| {
            assert_close(&format!("{name} {what}"), want, got, Tolerance::Exact)
        };
        exact("mirrored", &flipped(&source), &turned(engine, &source, none.flipped([true, false])));
        let transposed = Turn { transposed: true, ..none };
        exact("transposed", &self::transposed(&source), &turned(engine, &source, transposed));
        // Clockwise: the first column, read upwards, becomes the first row.
        let quarter = turned(engine, &source, none.quarter());
        let column: Vec<u8> = (0..70).rev().map(|y| source.planes()[1].row(y)[0]).collect();
        assert_eq!(quarter.planes()[1].row(0), column, "{name}");
        for turn in Turn::ALL {
            let once = turned(engine, &source, turn);
            exact("quarter", &turned(engine, &once, none.quarter()), &turned(engine, &source, turn.quarter()));
            for flip in [[true, false], [false, true], [true, true]] {
                exact("flip", &turned(engine, &once, none.flipped(flip)), &turned(engine, &source, turn.flipped(flip)));
            }
        }
    });
}

/// Turning a source and laying it out is laying it out turned: sizes, cuts and margins follow the picture.
#[test]
fn a_turned_request_is_a_request_for_a_turned_picture() {
    let company = crate::commands::company();
    let mut random = SplitMix64::new("a_turned_request_is_a_request_for_a_turned_picture");
    let engine = scalar::Scalar;
    for (size, plain, query, turn) in [
        (Size::new(61, 40), "wid=20&fmt=png", "wid=20&fmt=png&flip=lr", Turn::default().flipped([true, false])),
        (
            Size::new(61, 40),
            "wid=23&hei=31&align=-1,0.5&fmt=png",
            "wid=31&hei=23&align=-0.5,-1&fmt=png&rotate=90",
            Turn::default().quarter(),
        ),
        (
            Size::new(61, 40),
            "crop=3,5,40,30&wid=17&fmt=png-alpha&extend=1,2,3,4",
            "crop=3,5,40,30&hei=17&fmt=png-alpha&rotate=90&extend=4,1,2,3",
            Turn::default().quarter(),
        ),
        (
            Size::new(61, 40),
            "rgn=5,6,30,20&scl=1.7&fmt=png",
            "rgn=26,6,30,20&scl=1.7&fmt=png&flip=lr",
            Turn::default().flipped([true, false]),
        ),
        (
            Size::new(61, 40),
            "extend=7,0,-9,3&scl=2.1&fmt=png-alpha",
            "extend=7,0,-9,3&scl=2.1&fmt=png-alpha&flip=lrud",
            Turn::default().flipped([true, true]),
        ),
        (
            Size::new(61, 40),
            "size=100,0&extend=5,6,7,8&wid=33&fmt=png-alpha",
            "size=100,0&extend=7,8,5,6&wid=33&fmt=png-alpha&rotate=180",
            Turn::default().quarter().quarter(),
        ),
    ] {
        let source = Arc::new(picture(Content::Noise, size, PixelFormat::RGB, &mut random));
        let image = |query: &str| {
            let plan = crate::commands::plan_over(size, query, &company).unwrap_or_else(|e| panic!("{query}: {e}"));
            Arc::new(render(&engine, &source, &[Arc::new(plan)]).remove(0).expect("nothing cancels it"))
        };
        let plain_image = image(plain);
        let plans = [plan(plain_image.size(), turn.turned(plain_image.size()), vec![Pass::Turn(turn)])];
        let want = render(&engine, &plain_image, &plans).remove(0).expect("nothing cancels it");
        assert_close(query, &want, &image(query), Tolerance::Levels(1));
    }
}

/// A tile is what a pair of scissors cuts from the finished view.
#[test]
fn tiles_are_cut_from_the_finished_view() {
    let company = crate::commands::company();
    let mut random = SplitMix64::new("tiles_are_cut_from_the_finished_view");
    let size = Size::new(120, 90);
    let source = Arc::new(picture(Content::Opaque, size, PixelFormat::RGB, &mut random));
    let image = |query: &str| {
        let plan = crate::commands::plan_over(size, query, &company).unwrap_or_else(|e| panic!("{query}: {e}"));
        Arc::new(render(&scalar::Scalar, &source, &[Arc::new(plan)]).remove(0).expect("nothing cancels it"))
    };
    for query in
        ["wid=50&hei=50", "scl=1&op_invert=1", "wid=70&op_usm=2,3", "scl=2&op_blur=4&rotate=90", "wid=60&op_noise=9"]
    {
        let view = image(&format!("{query}&fmt=png"));
        for (x, y) in [(0, 0), (13, 7), (-4, 20), (30, 41)] {
            let canvas = Size::new(31, 23);
            let fill = calotype::plan::Fill::Opaque([255; 3]);
            let cut = [plan(view.size(), canvas, vec![Pass::Place { canvas, x: -x, y: -y, fill }])];
            let want = render(&scalar::Scalar, &view, &cut).remove(0).expect("nothing cancels it");
            let tile = format!("{query}&fmt=png&rect={x},{y},31,23");
            assert_close(&tile, &want, &image(&tile), Tolerance::Levels(1));
        }
    }
    // At another scale coordinates are counted in the scaled view.
    let half = image("wid=60&fmt=png");
    let tile = image("wid=120&fmt=png&rect=0,0,60,45,0.5");
    assert_close("half", &half, &tile, Tolerance::Levels(1));
}

/// Turned there and back, a smooth picture is what it was where nothing of its edges comes in; turned by nothing, all of it.
#[test]
fn rotations_go_there_and_back() {
    let size = Size::new(80, 60);
    let mut source = Image::new(size, PixelFormat::RGB);
    for (c, plane) in source.planes_mut().iter_mut().enumerate() {
        for y in 0..60 {
            for (x, v) in plane.row_mut(y).iter_mut().enumerate() {
                let wave = ((x as f64 + 3.0 * c as f64) / 9.0).sin() + (y as f64 / 7.0).cos();
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "28 to 228")]
                {
                    *v = (128.0 + 50.0 * wave) as u8;
                }
            }
        }
    }
    let source = Arc::new(source);
    #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
    let exact = |v: [f64; 2]| v.map(|v| (v * 4_294_967_296.0).round() as i64);
    // About the middle of the picture, which stays in the middle.
    let about = |degrees: f64| {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let start = [39.5 - 39.5 * cos - 29.5 * sin, 29.5 + 39.5 * sin - 29.5 * cos];
        Rotation { canvas: size, start: exact(start), column: exact([cos, -sin]), row: exact([sin, cos]) }
    };
    each_engine(|engine| {
        let name = engine.name();
        let still = operated(engine, &source, &[Pass::Rotate(about(0.0))]);
        assert_eq!(&still.planes()[..3], source.planes(), "{name}: turned by nothing");
        for degrees in [12.0, -33.3, 90.0] {
            let there = operated(engine, &source, &[Pass::Rotate(about(degrees)), Pass::Rotate(about(-degrees))]);
            for c in 0..3 {
                for y in 22..38 {
                    for x in 32..48 {
                        let (was, is) = (source.planes()[c].row(y)[x], there.planes()[c].row(y)[x]);
                        assert!(was.abs_diff(is) <= 3, "{name} {degrees}: ({x}, {y}) was {was}, is {is}");
                    }
                }
            }
        }
    });
    // Clockwise: what was at the top comes to stand on the right.
    let mut top = Image::new(Size::new(61, 61), PixelFormat::GREY);
    top.planes_mut()[0].row_mut(5)[28..33].fill(200);
    let company = crate::commands::company();
    let turned = |query: &str| {
        let plan = crate::commands::plan_over(top.size(), query, &company).expect("a good query");
        render(&scalar::Scalar, &Arc::new(top.clone()), &[Arc::new(plan)]).remove(0).expect("nothing cancels it")
    };
    for (query, quarter) in [("rotate=89.999999&fmt=png&bgc=0", true), ("rotate=90&fmt=png&bgc=0", true)] {
        let got = turned(query);
        let at = got.planes()[0].data().iter().enumerate().max_by_key(|(_, v)| **v).expect("pixels").0;
        let (x, y) = (at % got.size().w as usize, at / got.size().w as usize);
        assert_eq!(quarter, (54..=57).contains(&x) && (27..=34).contains(&y), "{query}: {x},{y} of {}", got.size());
    }
}

/// The definition itself, pixel by pixel: nothing of runs or halves.
#[test]
fn growing_takes_the_extreme_of_a_disc() {
    let mut random = SplitMix64::new("growing_takes_the_extreme_of_a_disc");
    let size = Size::new(29, 18);
    let source = Arc::new(picture(Content::Alpha, size, PixelFormat::RGBA, &mut random));
    for (radius_px, morph) in [(1, Morph::Dilate), (4, Morph::Erode), (6, Morph::Dilate), (40, Morph::Erode)] {
        let extreme = |c: usize, x: i64, y: i64| {
            let r = i64::from(radius_px);
            let near = (0..i64::from(size.h)).flat_map(|ny| (0..i64::from(size.w)).map(move |nx| (nx, ny)));
            let inside = near.filter(|(nx, ny)| (nx - x).pow(2) + (ny - y).pow(2) <= r * r);
            let at =
                |c: usize, (x, y): (i64, i64)| source.planes()[c].data()[usize::try_from(y * 29 + x).expect("inside")];
            let seen = inside.filter(|px| at(3, *px) > 0).map(|px| at(c, px));
            match morph {
                Morph::Dilate => seen.max().unwrap_or(0),
                Morph::Erode => seen.min().unwrap_or(255),
            }
        };
        each_engine(|engine| {
            let grow = Grow { radius_px, morph, of: Grown::Colours };
            let got = operated(engine, &source, &[Pass::GrowH(grow), Pass::GrowV(grow)]);
            assert_eq!(got.alpha(), source.alpha());
            for c in 0..3 {
                for (i, &v) in got.planes()[c].data().iter().enumerate() {
                    let (x, y) = (i % 29, i / 29);
                    let want = extreme(c, x.try_into().expect("small"), y.try_into().expect("small"));
                    assert_eq!(v, want, "{} {grow:?}: ({x}, {y}) of {c}", engine.name());
                }
            }
        });
    }
}

/// Noise has the spread it says, no pattern in its mean, and is the same whenever it is made.
#[test]
fn noise_is_as_strong_as_it_says() {
    let size = Size::new(301, 200);
    let grey = Plane::from_vec(size, vec![128; size.samples()]);
    let source = Arc::new(Image::from_planes(size, PixelFormat::RGB, vec![grey; 3]));
    for (grain, amount, sigma) in
        [(Grain::Uniform, 40, 40.0 * 1.275 / 3.0_f64.sqrt()), (Grain::Gaussian, 40, 40.0 * 1.275 / 2.0)]
    {
        each_engine(|engine| {
            let noise = Noise { amount, grain, mono: false, seed: 99 };
            let got = operated(engine, &source, &[Pass::Noise(noise)]);
            let again = operated(engine, &source, &[Pass::Noise(noise)]);
            assert_eq!(difference(&got, &again, Tolerance::Exact).count, 0);
            let offsets = |c: usize| got.planes()[c].data().iter().map(|&v| f64::from(v) - 128.0);
            let count = size.samples() as f64;
            for c in 0..3 {
                let mean = offsets(c).sum::<f64>() / count;
                let spread = (offsets(c).map(|d| d * d).sum::<f64>() / count).sqrt();
                // Four standard errors, and a little for the rounding to levels.
                assert!(mean.abs() < 4.0 * sigma / count.sqrt() + 0.02, "{grain:?} {c}: mean {mean}");
                assert!((spread / sigma - 1.0).abs() < 0.02, "{grain:?} {c}: σ {spread} instead of {sigma}");
                for (next, stride) in [(1, "a column"), (301, "a row")] {
                    let products = offsets(c).zip(offsets(c).skip(next)).map(|(a, b)| a * b);
                    let likeness = products.sum::<f64>() / count / (sigma * sigma);
                    assert!(likeness.abs() < 0.02, "{grain:?} {c}: {likeness} like its neighbour {stride} on");
                }
            }
            let likeness = offsets(0).zip(offsets(1)).map(|(a, b)| a * b).sum::<f64>() / count / (sigma * sigma);
            assert!(likeness.abs() < 0.02, "{grain:?}: channels are {likeness} alike");
            let other = operated(engine, &source, &[Pass::Noise(Noise { seed: 100, ..noise })]);
            assert!(difference(&got, &other, Tolerance::Exact).count > size.samples() * 2, "another seed");
            let mono = operated(engine, &source, &[Pass::Noise(Noise { mono: true, ..noise })]);
            assert!(mono.planes()[0] == mono.planes()[1] && mono.planes()[1] == mono.planes()[2], "mono");
        });
    }
}

/// A blurred line is as wide as σ says, however the blur is made, and as bright in all.
#[test]
fn blurs_are_as_wide_as_they_say() {
    let company = crate::commands::company();
    for (radius, mono) in [("0.7", false), ("2", false), ("7.9", true), ("8", true), ("30", true), ("90", true)] {
        let plan =
            crate::commands::plan("G", &format!("op_blur={radius}&scl=1&fmt=png"), &company).expect("a good query");
        // A bright line across a dark picture: source G is 640 × 480, grey.
        let size = plan.source;
        let mut source = Image::new(size, PixelFormat::GREY);
        for y in 0..480 {
            source.planes_mut()[0].row_mut(y).fill(20);
            source.planes_mut()[0].row_mut(y)[310..330].fill(240);
        }
        let source = Arc::new(source);
        let plan = Arc::new(plan);
        each_engine(|engine| {
            let got = render(engine, &source, std::slice::from_ref(&plan)).remove(0).expect("nothing cancels it");
            let row: Vec<f64> = got.planes()[0].row(240).iter().map(|&v| f64::from(v) - 20.0).collect();
            let sum: f64 = row.iter().sum();
            let centre = row.iter().zip(0..).map(|(v, x)| v * f64::from(x)).sum::<f64>() / sum;
            let variance = row.iter().zip(0..).map(|(v, x)| v * (f64::from(x) - centre).powi(2)).sum::<f64>() / sum;
            // The line's own variance, and a pixel's for the integration over it.
            let own = (400.0 - 1.0) / 12.0 + 1.0 / 12.0;
            let (sigma, want) = ((variance - own).max(0.0).sqrt(), radius.parse::<f64>().expect("a number"));
            let name = format!("{} op_blur={radius}", engine.name());
            // Tails below half a level are lost, which costs wide blurs of few levels most.
            let slack = if mono { 0.06 } else { 0.03 };
            assert!((sigma / want - 1.0).abs() < slack, "{name}: σ {sigma}");
            assert!((centre - 319.5).abs() < 0.2, "{name}: moved to {centre}");
            assert!((sum / (20.0 * 220.0) - 1.0).abs() < 0.05, "{name}: {sum}");
        });
    }
    let passes = |query: &str| crate::commands::plan("G", query, &company).expect("a good query").passes;
    assert_eq!(passes("scl=1&op_blur=0"), passes("scl=1"));
    assert_eq!(passes("scl=1&op_blur=0.09"), passes("scl=1"), "a blur of nothing");
}

/// `op_usm`'s radius is meant at full size: reduced by s, it is `op_usmR`'s times s.
#[test]
fn usm_at_scale_s_is_usm_r_with_a_radius_of_s() {
    let company = crate::commands::company();
    let unsharps = |query: &str| {
        let plan = crate::commands::plan("A", query, &company).expect("a good query");
        let of = |pass: &Pass| match pass {
            Pass::UnsharpH(unsharp) | Pass::UnsharpV(unsharp) => Some(*unsharp),
            _ => None,
        };
        plan.passes.iter().filter_map(of).collect::<Vec<_>>()
    };
    // Source A is 3000 × 2000.
    for (wid, radius, scaled) in [(300, "3", "0.3"), (750, "2", "0.5"), (1500, "250", "125"), (600, "0.125", "0.025")] {
        let usm = unsharps(&format!("wid={wid}&op_usm=1.75,{radius},2,0"));
        assert_eq!(usm.len(), 2, "both halves");
        assert_eq!(usm, unsharps(&format!("wid={wid}&op_usmR=1.75,{scaled},2,0")), "wid={wid} radius {radius}");
    }
    assert!(unsharps("wid=300&op_usm=0,3,2,0").is_empty(), "amount 0 needs no pass");
}

/// Whatever the axis, nothing becomes NaN or infinite, no engine panics, and all agree.
#[test]
fn no_axis_breaks_an_engine() {
    let seed = SplitMix64::new("no_axis_breaks_an_engine").next();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let mut runner = TestRunner::new_with_rng(Config { cases, failure_persistence: None, ..Config::default() }, rng);
    let axis = (1_u32..60, 0_u32..60, 1_u32..60, -90_i64..90, 1_i64..4000, 1_u32..70, 0_usize..4);
    let law = |(src_len, first, len, origin, step, dst_len, edge): (u32, u32, u32, i64, i64, u32, usize),
               kernel: usize| {
        let src_first = first % src_len;
        let axis = Axis {
            src_first,
            src_len: len.min(src_len - src_first),
            origin: Ratio::new(origin.into(), 3),
            step: Ratio::new(step.into(), 97),
            dst_len,
            edge: [Edge::Renormalise, Edge::Transparent, Edge::TransparentFirst, Edge::TransparentLast][edge],
        };
        let kernel = Kernel::ALL[kernel];
        let size = Size::new(src_len, 3);
        let mut random = SplitMix64::new("picture");
        let source = Arc::new(picture(Content::Noise, size, PixelFormat::RGBA, &mut random));
        let working = scalar::load(&source, WorkingSpace::Encoded, false);
        let half = scalar::resize_h(&working, &resample(kernel, axis));
        prop_assert!(half.planes.iter().all(|plane| plane.data().iter().all(|v| v.is_finite())), "{axis:?}");
        let space = WorkingSpace::Encoded;
        let passes =
            vec![Pass::Load { space, add_alpha: false }, Pass::ResizeH(resample(kernel, axis)), Pass::Pack { space }];
        let plans = [plan(size, Size::new(dst_len, 3), passes)];
        let mut want = None;
        for engine in engines_under_test() {
            let got = render(&**engine, &source, &plans).remove(0).expect("nothing cancels it");
            let want = want.get_or_insert_with(|| got.clone());
            let found = difference(want, &got, Tolerance::Levels(1));
            prop_assert!(found.max <= 1, "{} {kernel} {axis:?}: {found}", engine.name());
        }
        Ok(())
    };
    runner.run(&(axis, 0_usize..5), |(axis, kernel)| law(axis, kernel)).unwrap_or_else(|e| panic!("{e}"));
}

/// How bright a pixel is: the root of its weighted mean square, in levels.
fn brightness(image: &Image, i: usize) -> f64 {
    let square = |c: usize| f64::from(image.planes()[c].data()[i]).powi(2);
    (0.299 * square(0) + 0.587 * square(1) + 0.114 * square(2)).sqrt()
}

#[test]
fn pixels_that_share_their_chroma_stay_as_bright() {
    // Coloured noise of no extremes: every channel can go up and down.
    let noise = picture(Content::Noise, Size::new(64, 48), PixelFormat::RGB, &mut SplitMix64::new("shared_chroma"));
    let planes = noise.planes().iter().map(|plane| {
        let calm = plane.data().iter().map(|v| 80 + v / 3).collect();
        Plane::from_vec(plane.size(), calm)
    });
    let image = Image::from_planes(noise.size(), PixelFormat::RGB, planes.collect());
    let shown = scalar::ycbcr_to_rgb(&scalar::rgb_to_ycbcr(&image, YcbcrForm::Half));
    let full = scalar::rgb_to_ycbcr(&image, YcbcrForm::Full);
    // The luma of each pixel for itself, with the same shared chroma: what others do.
    let mut planes = scalar::rgb_to_ycbcr(&image, YcbcrForm::Half).into_planes();
    planes[0] = full.planes()[0].clone();
    let format = PixelFormat { model: Model::Ycbcr(Chroma::Half), alpha: false };
    let plain = scalar::ycbcr_to_rgb(&Image::from_planes(image.size(), format, planes));
    let error = |shown: &Image| {
        let of = |i| (brightness(shown, i) - brightness(&image, i)).abs();
        (0..image.size().samples()).map(of).sum::<f64>() / image.size().samples() as f64
    };
    let (ours, others) = (error(&shown), error(&plain));
    println!("brightness is off by {ours:.3} levels, {others:.3} with plain luma");
    assert!(ours < 0.4 && others > 2.0 * ours, "{ours} {others}");
}
