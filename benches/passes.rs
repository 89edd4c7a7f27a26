//! The passes alone: each engine against itself and against the best of others.
//!
//! `cargo bench --bench passes` prints the figures that the project promises, both raw numbers beside each ratio, then
//! criterion's groups, `pass/engine/case`; `-- figures` prints the figures alone, `-- <filter>` runs groups alone. The
//! GPU's figures are those of `benches/gpu`. Each bench checks its answer against the oracle once before it is timed.

mod turns;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use calotype::codec;
use calotype::engine::scalar::Scalar;
use calotype::engine::simd::{Level, Simd};
use calotype::engine::{self, Cancel, Engine, Job};
use calotype::kernel::{Axis, Kernel};
use calotype::pixel::{Chroma, Image, Model, PixelFormat, Plane, Size, WorkingSpace, YcbcrForm, testcard};
use calotype::plan::{
    DecodeAs, EncodeLadder, EncodeSpec, Fill, Output, Pass, Plan, Point, Resample, Tint, Unsharp, WebpQuality,
};
use criterion::{Criterion, Throughput};
use fast_image_resize as fir;
use turns::{alternate, once};

const SOURCE: Size = Size::new(2048, 1358);
const VIEW: Size = Size::new(754, 500);
const YCC_420: PixelFormat = PixelFormat { model: Model::Ycbcr(Chroma::Half), alpha: false };

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let filter = filter.as_deref();
    if filter.is_none_or(|filter| filter == "figures") {
        figures();
    }
    if filter != Some("figures") {
        let mut criterion = Criterion::default().configure_from_args();
        groups(&mut criterion);
        criterion.final_summary();
    }
}

/// The figures, two contestants at a time, in turns.
fn figures() {
    println!("one thread, warm; instructions: {}; medians of rounds A B A B …\n", Level::detect());
    let photo = Arc::new(testcard::photo(SOURCE, 7));
    let simd = Simd::new();

    println!(
        "resize of R G B {SOURCE} to {VIEW}: fast_image_resize 6 Lanczos-3, interleaved U8x3 | calotype sharp2, planar"
    );
    let rgb = plan(&photo, VIEW, resize(PixelFormat::RGB, WorkingSpace::Encoded, false));
    check(&simd, &photo, &rgb);
    let interleaved = fir_image(&photo, fir::PixelType::U8x3);
    let mut peer = Peer::new(fir::PixelType::U8x3);
    peer.check(&interleaved, &scalar(&photo, &rgb));
    alternate("fast_image_resize", || peer.resize(&interleaved), "calotype simd", || work(&simd, &photo, &rgb));
    alternate(
        "fast_image_resize",
        || peer.resize(&interleaved),
        "calotype simd, new thread (tap tables and scratch anew)",
        || std::thread::scope(|s| s.spawn(|| work(&simd, &photo, &rgb)).join().expect("no panic")),
    );
    let bytes = photo.to_interleaved();
    once("de-interleaving the source (decoders hand out planes; only for interleaved ones)", || {
        black_box(Image::from_interleaved(SOURCE, PixelFormat::RGB, &bytes));
    });

    println!(
        "\nresize of R G B A {SOURCE} to {VIEW}, premultiplied: fast_image_resize 6 U8x4 with mul and div | calotype, planar"
    );
    // A cut-out product, as such pictures mostly are, and the worst case: a veil under which nothing can be left out.
    for (name, picture) in [("vase", testcard::vase(SOURCE, 7)), ("veil", veil())] {
        let alpha = picture.planes()[3].data();
        let share = |level| 100 * alpha.iter().filter(|a| **a == level).count() / alpha.len();
        let (clear, opaque) = (share(0), share(255));
        println!("  {name}: {clear} % clear, {opaque} % opaque, {} % between", 100 - clear - opaque);
        let picture = Arc::new(picture);
        let rgba = plan(&picture, VIEW, resize(PixelFormat::RGBA, WorkingSpace::Encoded, false));
        check(&simd, &picture, &rgba);
        let interleaved = fir_image(&picture, fir::PixelType::U8x4);
        let mut peer = Peer::new(fir::PixelType::U8x4);
        alternate("fast_image_resize", || peer.resize(&interleaved), "calotype simd", || work(&simd, &picture, &rgba));
    }

    println!("\nresize of {SOURCE} to {VIEW}, planar both: R G B | Y Cb Cr 4:2:0");
    let ycc = Arc::new(as_420(&photo));
    let halves = plan(&ycc, VIEW, resize(YCC_420, WorkingSpace::Encoded, false));
    check(&simd, &ycc, &halves);
    alternate("R G B", || work(&simd, &photo, &rgb), "Y Cb Cr 4:2:0", || work(&simd, &ycc, &halves));

    println!("\npoint operations on {VIEW} R G B: one | seven, without and with the resize before them");
    let resized = resize(PixelFormat::RGB, WorkingSpace::Encoded, false);
    for (name, source, before) in
        [("alone", Arc::new(scalar(&photo, &rgb)), Vec::new()), ("resized", photo.clone(), resized)]
    {
        let after = |operations: Vec<Pass>| plan(&source, VIEW, [before.clone(), operations].concat());
        let one = after(vec![Pass::Point(Point { brightness: 10, ..Point::default() })]);
        let seven = after(seven_operations());
        check(&simd, &source, &one);
        println!("  {name}:");
        alternate("one", || work(&simd, &source, &one), "seven", || work(&simd, &source, &seven));
    }

    let method = codec::WEBP_METHOD;
    println!(
        "\n{VIEW} R G B: libwebp method {method} quality 80 | unsharp mask, radius 1 px, amount 1.75, threshold 2"
    );
    let view = Arc::new(scalar(&photo, &rgb));
    let sharp = plan(&view, VIEW, unsharp(1.0, false));
    check(&simd, &view, &sharp);
    let planes = scalar(&view, &plan(&view, VIEW, vec![Pass::RgbToYcbcr { form: YcbcrForm::Video }]));
    let webp = EncodeSpec::Webp { quality: WebpQuality(8000) };
    let encode = || drop(black_box(codec::encode(&planes, &webp).expect("a picture")));
    alternate("libwebp", encode, "unsharp", || work(&simd, &view, &sharp));
    println!();
}

/// fast_image_resize, one thread, its best instructions, buffers reused.
struct Peer {
    resizer: fir::Resizer,
    options: fir::ResizeOptions,
    dst: fir::images::Image<'static>,
}

impl Peer {
    fn new(pixel: fir::PixelType) -> Self {
        let lanczos = fir::ResizeAlg::Convolution(fir::FilterType::Lanczos3);
        let options = fir::ResizeOptions::new().resize_alg(lanczos).use_alpha(true);
        Self { resizer: fir::Resizer::new(), options, dst: fir::images::Image::new(VIEW.w, VIEW.h, pixel) }
    }

    fn resize(&mut self, src: &fir::images::Image<'_>) {
        self.resizer.resize(src, &mut self.dst, &self.options).expect("sizes above zero");
        black_box(self.dst.buffer());
    }

    /// The peer does the same work: alike on average (it clamps and rounds to bytes between the halves, so it strays by
    /// some levels where the filter rings).
    fn check(&mut self, src: &fir::images::Image<'_>, want: &Image) {
        self.resize(src);
        let want = want.to_interleaved();
        let off: u64 = self.dst.buffer().iter().zip(&want).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        assert!(2 * off < want.len() as u64, "fast_image_resize is half a level off on average");
    }
}

fn fir_image(image: &Image, pixel: fir::PixelType) -> fir::images::Image<'static> {
    fir::images::Image::from_vec_u8(image.size().w, image.size().h, image.to_interleaved(), pixel).expect("whole rows")
}

/// One job, its result looked at by nobody.
fn work(engine: &dyn Engine, source: &Arc<Image>, plan: &Arc<Plan>) {
    black_box(render(engine, source, plan));
}

fn render(engine: &dyn Engine, source: &Arc<Image>, plan: &Arc<Plan>) -> Image {
    let job = Job { source: source.clone(), plans: vec![plan.clone()], cancel: Cancel::default() };
    engine::run(engine, job).images.remove(0).expect("nobody cancels")
}

fn scalar(source: &Arc<Image>, plan: &Arc<Plan>) -> Image {
    render(&Scalar, source, plan)
}

/// What is timed is right: within a level of the oracle, wherever it can be seen.
fn check(engine: &dyn Engine, source: &Arc<Image>, plan: &Arc<Plan>) {
    let (want, got) = (scalar(source, plan), render(engine, source, plan));
    for (c, (w, g)) in want.planes().iter().zip(got.planes()).enumerate() {
        for (i, (a, b)) in w.data().iter().zip(g.data()).enumerate() {
            let seen = want.format().alpha_plane().is_none_or(|p| p == c || want.planes()[p].data()[i] > 0);
            assert!(!seen || a.abs_diff(*b) <= 1, "{}: sample {i} of plane {c}: want {a}, got {b}", engine.name());
        }
    }
}

fn plan(source: &Image, size: Size, passes: Vec<Pass>) -> Arc<Plan> {
    let encode = EncodeLadder::only(EncodeSpec::Png);
    Arc::new(Plan { source: source.size(), decode: DecodeAs::Native, size, passes, encode, output: Output::default() })
}

/// The whole resize of [`SOURCE`] to [`VIEW`].
fn resize(format: PixelFormat, space: WorkingSpace, add_alpha: bool) -> Vec<Pass> {
    let turn = |src: u32, dst: u32| {
        let axis = Axis::whole(src, dst);
        let half = Axis { src_len: src.div_ceil(2), dst_len: dst.div_ceil(2), ..axis };
        Resample { kernel: Kernel::Sharp2, axis, chroma_axis: (format == YCC_420).then_some(half) }
    };
    vec![
        Pass::Load { space, add_alpha },
        Pass::ResizeH(turn(SOURCE.w, VIEW.w)),
        Pass::ResizeV(turn(SOURCE.h, VIEW.h)),
        Pass::Pack { space },
    ]
}

/// Every point operation there is: brightness, contrast, balance, hue, saturation, a tint by measured luma, invert.
fn seven_operations() -> Vec<Pass> {
    let before =
        Point { brightness: 10, contrast: 15, balance: [5, 0, -5], hue: 20, saturation: 30, ..Point::default() };
    let tint = Some(Tint { colour: [200, 150, 90], normalise: true, contrast: 10 });
    vec![Pass::Point(before), Pass::Median, Pass::Point(Point { tint, invert: true, ..Point::default() })]
}

fn unsharp(radius_px: f64, mono: bool) -> Vec<Pass> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few px")]
    let radius_q20 = (radius_px * f64::from(1 << 20)) as u32;
    let unsharp = Unsharp { amount_q10: 1792, radius_q20, threshold: 2, mono };
    vec![Pass::UnsharpH(unsharp), Pass::UnsharpV(unsharp)]
}

/// The photograph under an alpha that is neither 0 nor 255 anywhere: another photograph's green.
fn veil() -> Image {
    let mut planes = testcard::photo(SOURCE, 7).planes().to_vec();
    let alpha = testcard::photo(SOURCE, 11).planes()[1].data().iter().map(|a| (*a).clamp(1, 254)).collect();
    planes.push(Plane::from_vec(SOURCE, alpha));
    Image::from_planes(SOURCE, PixelFormat::RGBA, planes)
}

fn as_420(rgb: &Arc<Image>) -> Image {
    scalar(rgb, &plan(rgb, rgb.size(), vec![Pass::RgbToYcbcr { form: YcbcrForm::Half }]))
}

/// Criterion's groups: `pass/engine/case`, source pixels a second.
fn groups(criterion: &mut Criterion) {
    let mut engines: Vec<(String, Arc<dyn Engine>)> = Level::NAMES
        .iter()
        .filter_map(|name| Level::named(name))
        .map(|level| (level.to_string(), Arc::new(Simd::with_level(level)) as Arc<dyn Engine>))
        .collect();
    engines.push((String::from("scalar"), Arc::new(Scalar)));

    let photo = Arc::new(testcard::photo(SOURCE, 7));
    let (vase, veil) = (Arc::new(testcard::vase(SOURCE, 7)), Arc::new(veil()));
    let ycc = Arc::new(as_420(&photo));
    let encoded = WorkingSpace::Encoded;
    let view = Arc::new(scalar(&photo, &plan(&photo, VIEW, resize(PixelFormat::RGB, encoded, false))));
    let view_alpha = Arc::new(scalar(&vase, &plan(&vase, VIEW, resize(PixelFormat::RGBA, encoded, false))));
    let view_420 = Arc::new(as_420(&view));
    let only = |space, pass: usize| {
        let passes = resize(PixelFormat::RGB, space, false);
        [0, pass, 3].map(|i| passes[i].clone()).to_vec()
    };
    let place = |fill| vec![Pass::Place { canvas: Size::new(800, 520), x: 20, y: 10, fill }];
    let halved = |len_h: bool| if len_h { Size::new(VIEW.w, SOURCE.h) } else { Size::new(SOURCE.w, VIEW.h) };
    type Case<'a> = (&'a str, &'a str, &'a Arc<Image>, Size, Vec<Pass>);
    let cases: Vec<Case<'_>> = vec![
        ("resize", "rgb/2048x1358→754x500/sharp2", &photo, VIEW, resize(PixelFormat::RGB, encoded, false)),
        (
            "resize",
            "rgb-linear/2048x1358→754x500/sharp2",
            &photo,
            VIEW,
            resize(PixelFormat::RGB, WorkingSpace::Linear, false),
        ),
        ("resize", "rgba/2048x1358→754x500/sharp2", &vase, VIEW, resize(PixelFormat::RGBA, encoded, false)),
        ("resize", "rgba-veil/2048x1358→754x500/sharp2", &veil, VIEW, resize(PixelFormat::RGBA, encoded, false)),
        ("resize", "420/2048x1358→754x500/sharp2", &ycc, VIEW, resize(YCC_420, encoded, false)),
        ("resize_h", "rgb/2048→754/sharp2", &photo, halved(true), only(encoded, 1)),
        ("resize_v", "rgb/1358→500/sharp2", &photo, halved(false), only(encoded, 2)),
        ("unsharp", "rgb/754x500/1px", &view, VIEW, unsharp(1.0, false)),
        ("unsharp", "rgb-mono/754x500/1px", &view, VIEW, unsharp(1.0, true)),
        ("unsharp", "rgba/754x500/1px", &view_alpha, VIEW, unsharp(1.0, false)),
        ("unsharp", "rgb/754x500/20px", &view, VIEW, unsharp(20.0, false)),
        ("sharpen", "rgb/754x500", &view, VIEW, vec![Pass::Sharpen]),
        ("sharpen", "rgba/754x500", &view_alpha, VIEW, vec![Pass::Sharpen]),
        ("place", "rgba/754x500/flatten", &view_alpha, Size::new(800, 520), place(Fill::Opaque([255; 3]))),
        ("place", "rgba/754x500/transparent", &view_alpha, Size::new(800, 520), place(Fill::Transparent)),
        ("ycbcr_to_rgb", "420/754x500", &view_420, VIEW, vec![Pass::YcbcrToRgb]),
        ("rgb_to_ycbcr", "420/754x500", &view, VIEW, vec![Pass::RgbToYcbcr { form: YcbcrForm::Half }]),
    ];
    for (pass, case, source, size, passes) in cases {
        let mut group = criterion.benchmark_group(pass);
        group.throughput(Throughput::Elements(source.size().pixels()));
        group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        let plan = plan(source, size, passes);
        for (name, engine) in &engines {
            check(&**engine, source, &plan);
            group.bench_function(format!("{name}/{case}"), |b| b.iter(|| work(&**engine, source, &plan)));
        }
        group.finish();
    }
}
