//! What the tests share: random numbers, computed pictures, plans, the engines of this machine, the comparator.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use calotype::engine::gpu::{self, Choice, Gpu};
use calotype::engine::scalar::Scalar;
use calotype::engine::simd::Simd;
use calotype::engine::{self, Cancel, Engine, Job};
use calotype::error::Result;
use calotype::kernel::{Axis, Kernel};
use calotype::pixel::{Image, Model, PixelFormat, Plane, Size};
use calotype::plan::{DecodeAs, EncodeLadder, EncodeSpec, Output, Pass, Plan, Resample};

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator of its own for the test `name`; `SEED=` replays a run. The seed is printed, which shows when a test
    /// fails.
    pub(crate) fn new(name: &str) -> Self {
        let seed = match std::env::var("SEED") {
            Ok(text) => text.parse().expect("SEED is a decimal number of 64 bits"),
            Err(_) => 0x00ca_1071_9e5e_ed01,
        };
        println!("{name}: SEED={seed}");
        let mixed = name.bytes().fold(seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self(mixed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }

    /// Evenly spread over `from..to`.
    pub(crate) fn within(&mut self, from: u32, to: u32) -> u32 {
        from + u32::try_from(self.next() % u64::from(to - from)).expect("below a u32")
    }
}

/// Kinds of content that engines tend to differ on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Gradients, hard edges and a little grain; alpha 255.
    Opaque,
    /// The same under an alpha that falls to 0, with a band of alpha 1 to 3 and a hard edge.
    Alpha,
    /// Every sample 0, alpha too.
    Zero,
    /// Every sample 255, alpha too.
    Full,
    /// Every sample random, alpha too.
    Noise,
}

impl Content {
    pub(crate) const ALL: [Self; 5] = [Self::Opaque, Self::Alpha, Self::Zero, Self::Full, Self::Noise];
}

/// A computed picture.
pub(crate) fn picture(content: Content, size: Size, format: PixelFormat, random: &mut SplitMix64) -> Image {
    let mut image = Image::new(size, format);
    for (c, plane) in image.planes_mut().iter_mut().enumerate() {
        let is_alpha = format.alpha_plane() == Some(c);
        let (w, h) = (plane.size().w, plane.size().h);
        for y in 0..h {
            for (x, v) in (0..w).zip(plane.row_mut(y as usize)) {
                *v = match content {
                    Content::Zero => 0,
                    Content::Full => 255,
                    Content::Noise => random.byte(),
                    Content::Opaque if is_alpha => 255,
                    Content::Alpha if is_alpha => match (5 * x + 3 * y) / w.max(h).max(1) {
                        0 => 255,
                        1 => [0, 255][usize::from((x / 3 + y / 5) % 2 == 0)],
                        2 => u8::try_from(1 + (x + y) % 3).expect("at most 3"),
                        3 => 0,
                        _ => (x * 255 / w).to_le_bytes()[0],
                    },
                    Content::Opaque | Content::Alpha => {
                        let slope = (x * (90 + 40 * u32::try_from(c).expect("a few planes")) / w) + y * 70 / h;
                        let edge = if (x / 7 + y / 11) % 3 == 0 { 60 } else { 0 };
                        (slope + edge + u32::from(random.byte() % 8)).min(255).to_le_bytes()[0]
                    }
                };
            }
        }
    }
    image
}

/// A plan of `passes` that ends at `size`.
pub(crate) fn plan(source: Size, size: Size, passes: Vec<Pass>) -> Arc<Plan> {
    let encode = EncodeLadder::only(EncodeSpec::Png);
    Arc::new(Plan { source, decode: DecodeAs::Native, size, passes, encode, output: Output::default() })
}

/// One direction over full-size planes alone.
pub(crate) fn resample(kernel: Kernel, axis: Axis) -> Resample {
    Resample { kernel, axis, chroma_axis: None }
}

/// One direction over a picture with half-size chroma, which stays half size: chroma sample i lies over output samples
/// 2i and 2i + 1, so it keeps the step.
pub(crate) fn resample_half(kernel: Kernel, axis: Axis) -> Resample {
    let chroma = Axis {
        src_first: axis.src_first / 2,
        src_len: (axis.src_first + axis.src_len).div_ceil(2) - axis.src_first / 2,
        origin: axis.origin.over(calotype::pixel::Ratio::int(2)),
        dst_len: axis.dst_len.div_ceil(2),
        ..axis
    };
    Resample { kernel, axis, chroma_axis: Some(chroma) }
}

/// Runs one job and hands out its results.
pub(crate) fn render(engine: &dyn Engine, source: &Arc<Image>, plans: &[Arc<Plan>]) -> Vec<Result<Image>> {
    let job = Job { source: source.clone(), plans: plans.to_vec(), cancel: Cancel::default() };
    engine::run(engine, job).images
}

/// A process that ends with its owner, however that ends.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Asked first: some end processes of their own only then. Whoever does not listen is killed.
        let ask = format!("kill -TERM {}", self.0.id());
        drop(Command::new("sh").args(["-c", &ask]).status());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The engines this machine has, once for all tests; says which. With `REQUIRE_GPU=1` a missing adapter is a failure.
pub(crate) fn engines_under_test() -> &'static [Arc<dyn Engine>] {
    static ENGINES: OnceLock<Vec<Arc<dyn Engine>>> = OnceLock::new();
    let engines = ENGINES.get_or_init(|| {
        let mut engines: Vec<Arc<dyn Engine>> = vec![Arc::new(Scalar), Arc::new(Simd::new())];
        match gpu() {
            Ok(gpu) => engines.push(gpu),
            Err(reason) => {
                assert!(std::env::var_os("REQUIRE_GPU").is_none_or(|v| v != "1"), "REQUIRE_GPU=1, but {reason}");
                println!("gpu: {reason}");
            }
        }
        engines
    });
    println!("engines under test: {}", engines.iter().map(|e| e.name()).collect::<Vec<_>>().join(", "));
    engines
}

/// The GPU engine on any adapter, software ones too.
fn gpu() -> Result<Arc<dyn Engine>, String> {
    let options = gpu::Options { poison: true, ..gpu::Options::default() };
    match Gpu::try_with(Choice::Any, options) {
        Ok(gpu) => Ok(Arc::new(gpu)),
        Err(error) => Err(error.to_string()),
    }
}

/// How far two pictures may be apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tolerance {
    /// Every byte equal, colour under alpha 0 too.
    Exact,
    /// So many levels in every sample that can be seen: alpha always, colour wherever one of the two pictures has
    /// alpha above 0.
    ///
    /// Colour under alpha 1 already counts in full: the oracle divides by an alpha of at least ½ level there, and the
    /// f32 sums of two engines differ by some 10⁻⁵ levels, so the quotients agree within a hundredth of a level. Under
    /// alpha 0 the exact sum may be 0, reached by cancelling lobes: whether its f32 value is −10⁻⁶ (colour 0) or 10⁻⁶
    /// (any colour) is decided by the order of the sum, and nobody ever sees it.
    Levels(u8),
}

/// Where two pictures differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Largest difference, levels.
    pub(crate) max: u8,
    /// Samples that differ at all.
    pub(crate) count: usize,
    /// The first sample with the largest difference, if any differs.
    pub(crate) worst: Option<Worst>,
}

/// One sample that differs; coordinates of its own plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Worst {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) channel: usize,
    pub(crate) want: u8,
    pub(crate) got: u8,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.worst {
            None => write!(f, "no difference"),
            Some(Worst { x, y, channel, want, got }) => write!(
                f,
                "{} samples differ, at most by {}: ({x}, {y}) channel {channel}: want {want}, got {got}",
                self.count, self.max
            ),
        }
    }
}

/// Compares every sample that `tolerance` looks at.
///
/// # Panics
/// If the pictures have different sizes or formats.
pub(crate) fn difference(want: &Image, got: &Image, tolerance: Tolerance) -> Difference {
    assert_eq!((want.size(), want.format()), (got.size(), got.format()), "different shapes");
    let unseen: Option<Vec<bool>> = match (tolerance, want.alpha(), got.alpha()) {
        (Tolerance::Levels(_), Some(a), Some(b)) => {
            Some(a.data().iter().zip(b.data()).map(|(&a, &b)| a == 0 && b == 0).collect())
        }
        _ => None,
    };
    let mut found = Difference::default();
    for (channel, (w, g)) in want.planes().iter().zip(got.planes()).enumerate() {
        let is_colour = want.format().alpha_plane() != Some(channel);
        for (i, (&want, &got)) in w.data().iter().zip(g.data()).enumerate() {
            let by = want.abs_diff(got);
            if by == 0 || (is_colour && unseen.as_ref().is_some_and(|u| u.len() == w.data().len() && u[i])) {
                continue;
            }
            found.count += 1;
            if by > found.max {
                let across = w.size().w as usize;
                found.max = by;
                found.worst = Some(Worst { x: i % across, y: i / across, channel, want, got });
            }
        }
    }
    found
}

/// Fails with a report and three PNGs in `target/it-failures/` if `got` is further from `want` than `tolerance`.
#[track_caller]
pub(crate) fn assert_close(name: &str, want: &Image, got: &Image, tolerance: Tolerance) {
    if let Err(report) = check(&failures_dir(), name, want, got, tolerance) {
        panic!("{report}");
    }
}

/// As [`assert_close`], with the report as a value and the PNGs in `dir`.
pub(crate) fn check(dir: &Path, name: &str, want: &Image, got: &Image, tolerance: Tolerance) -> Result<(), String> {
    if (want.size(), want.format()) != (got.size(), got.format()) {
        let shape = |i: &Image| format!("{} {:?}", i.size(), i.format());
        return Err(format!("{name}: want {}, got {}", shape(want), shape(got)));
    }
    let found = difference(want, got, tolerance);
    let max = match tolerance {
        Tolerance::Exact => 0,
        Tolerance::Levels(levels) => levels,
    };
    if found.max <= max {
        return Ok(());
    }
    let stem: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    std::fs::create_dir_all(dir).expect("target is writable");
    write_png(&dir.join(format!("{stem}.want.png")), want);
    write_png(&dir.join(format!("{stem}.got.png")), got);
    write_png(&dir.join(format!("{stem}.diff.png")), &amplified(want, got));
    Err(format!("{name} ({tolerance:?}): {found}\n  pictures: {}", dir.join(stem).display()))
}

fn failures_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("inside target").join("it-failures")
}

/// Grey where equal, 32 times the difference away from it elsewhere.
fn amplified(want: &Image, got: &Image) -> Image {
    let planes = want.planes().iter().zip(got.planes()).map(|(w, g)| {
        let data = w.data().iter().zip(g.data()).map(|(&w, &g)| {
            let by = 128 + 32 * (i32::from(g) - i32::from(w));
            u8::try_from(by.clamp(0, 255)).expect("clamped")
        });
        Plane::from_vec(w.size(), data.collect())
    });
    Image::from_planes(want.size(), want.format(), planes.collect())
}

/// Grey and R G B pictures as they are, with or without alpha; planes of other models one below the other, as grey.
pub(crate) fn write_png(path: &Path, image: &Image) {
    let (colour, size, data) = match (image.format().model, image.format().alpha) {
        (Model::Grey, false) => (png::ColorType::Grayscale, image.size(), image.to_interleaved()),
        (Model::Grey, true) => (png::ColorType::GrayscaleAlpha, image.size(), image.to_interleaved()),
        (Model::Rgb, false) => (png::ColorType::Rgb, image.size(), image.to_interleaved()),
        (Model::Rgb, true) => (png::ColorType::Rgba, image.size(), image.to_interleaved()),
        (Model::Ycbcr(_) | Model::Yuv | Model::Cmyk, _) => {
            let (w, mut h, mut data) = (image.size().w, 0, Vec::new());
            for plane in image.planes() {
                h += plane.size().h;
                for y in 0..plane.size().h as usize {
                    data.extend_from_slice(plane.row(y));
                    data.resize(data.len() + (w - plane.size().w) as usize, 0);
                }
            }
            (png::ColorType::Grayscale, Size::new(w, h), data)
        }
    };
    let file = std::io::BufWriter::new(std::fs::File::create(path).expect("target is writable"));
    let mut encoder = png::Encoder::new(file, size.w, size.h);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().expect("a PNG header");
    writer.write_image_data(&data).expect("PNG rows");
}
