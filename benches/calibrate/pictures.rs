//! Pictures of the corpus, what their renditions look like, and what Smart Imaging makes of them: shared by the program
//! that fits the map of qualities and the test that judges it.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use calotype::catalog::{Company, SourceRoot};
use calotype::codec::{self, Allow};
use calotype::config::{Config, EngineChoice};
use calotype::decide::Hints;
use calotype::engine::scalar;
use calotype::kernel::{Axis, Kernel};
use calotype::limits;
use calotype::pixel::{Image, PixelFormat, Size, WorkingSpace};
use calotype::plan::{DecodeAs, Header, Resample, SourceFormat};
use calotype::service::{ImageRequest, Service};
use tokio::runtime::Runtime;

#[path = "../stored.rs"]
mod stored;

pub(crate) use stored::as_stored;

/// A source and the size it is wanted in.
pub(crate) struct Case {
    pub(crate) name: String,
    path: PathBuf,
    pub(crate) side: u32,
}

pub(crate) fn cases(corpus: &Path, fitting: bool) -> Vec<Case> {
    let files = |folder: &str| -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> =
            corpus.join(folder).read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        paths.sort();
        paths
    };
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut cases = Vec::new();
    for path in files("photos") {
        let name = name(&path);
        if name.starts_with(|c: char| ('0'..='7').contains(&c)) == fitting {
            cases.extend([500, 1000, 2000].map(|side| Case { name: name.clone(), path: path.clone(), side }));
        }
    }
    for path in files("cid22") {
        let name = name(&path);
        let is_even = |digits: &str| digits.parse::<u64>().is_ok_and(|n| n % 2 == 0);
        if !name.starts_with(|c: char| !c.is_ascii_digit()) && is_even(&name) == fitting {
            cases.push(Case { name, path, side: 512 });
        }
    }
    cases
}

/// The pictures of one half once each, so that the rendition has so many lines.
pub(crate) fn at_height(corpus: &Path, fitting: bool, lines: u32) -> Vec<Case> {
    let mut cases = cases(corpus, fitting);
    cases.retain(|case| case.side <= 512);
    for case in &mut cases {
        let (_, Header { size: Size { w, h }, .. }) = source(case);
        case.side = if w > h { (w * lines + h / 2) / h } else { lines };
    }
    cases
}

/// Runs `work` on every case, on all cores; results in the order of the cases.
pub(crate) fn on_all_cores<C: Sync, T: Send>(cases: &[C], work: impl Fn(&C) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((i, case)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, cases.get(i)?)))
                {
                    let result = work(case);
                    let mut done = done.lock().expect("no thread panics");
                    done.push((i, result));
                    eprint!("\r{} of {}", done.len(), cases.len());
                }
            });
        }
    });
    eprintln!();
    let mut done = done.into_inner().expect("no thread panics");
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}

/// A decoded source and its header.
pub(crate) fn source(case: &Case) -> (Vec<u8>, Header) {
    let bytes = std::fs::read(&case.path).expect("a picture of the corpus");
    let header = header(&bytes);
    (bytes, header)
}

/// The header of a file in any format that we read.
pub(crate) fn header(bytes: &[u8]) -> Header {
    let allow = Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: limits::SOURCE_PIXELS_MAX };
    codec::probe(&mut Cursor::new(bytes), &allow).expect("a picture")
}

/// The size with that longer side, none enlarged.
pub(crate) fn wanted(size: Size, side: u32) -> Size {
    let longer = size.w.max(size.h);
    if longer <= side {
        return size;
    }
    let scaled = |v: u32| {
        let twice = 2 * u64::from(v) * u64::from(side) + u64::from(longer);
        u32::try_from(twice / (2 * u64::from(longer))).expect("no larger than it was")
    };
    Size::new(scaled(size.w), scaled(size.h))
}

/// The oracle's downscale of R G B: f32, one rounding at the end.
pub(crate) fn reference(bytes: &[u8], header: &Header, size: Size) -> Image {
    let image = codec::decode(bytes, header, DecodeAs::Rgb).expect("a picture of the corpus");
    let image = as_rgb(image);
    if image.size() == size { image } else { reduced(&image, size) }
}

/// By the oracle's Lanczos-3: f32, premultiplied where there is alpha, one rounding at the end.
pub(crate) fn reduced(image: &Image, size: Size) -> Image {
    let space = WorkingSpace::Encoded;
    let resample = |from, to| Resample { kernel: Kernel::Sharp2, axis: Axis::whole(from, to), chroma_axis: None };
    let working = scalar::load(image, space, false);
    let working = scalar::resize_h(&working, &resample(image.size().w, size.w));
    scalar::pack(&scalar::resize_v(&working, &resample(image.size().h, size.h)), space)
}

/// Grey as three planes, alpha dropped.
pub(crate) fn as_rgb(image: Image) -> Image {
    let size = image.size();
    let planes = match image.planes() {
        [r, g, b, ..] => vec![r.clone(), g.clone(), b.clone()],
        [grey, ..] => vec![grey.clone(); 3],
        [] => unreachable!("a picture has planes"),
    };
    Image::from_planes(size, PixelFormat::RGB, planes)
}

pub(crate) fn score(reference: &Image, shown: &Image) -> f64 {
    use fast_ssim2::{PixelDescriptor, PixelSlice, compute_ssimulacra2};
    let Size { w, h } = reference.size();
    assert_eq!(reference.size(), shown.size());
    let [a, b] = [reference, shown].map(Image::to_interleaved);
    let slice = |bytes| PixelSlice::new(bytes, w, h, w as usize * 3, PixelDescriptor::RGB8_SRGB).expect("whole rows");
    compute_ssimulacra2(&slice(&a), &slice(&b)).expect("pictures of one size")
}

/// What a browser shows of a file.
pub(crate) fn shown(bytes: &[u8]) -> Image {
    if bytes.get(4..12) == Some(b"ftypavif") {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("in.avif"), bytes).expect("written");
        let arguments = ["--codec", "dav1d", "--upsampling", "bilinear", "--png-compress", "0", "--jobs", "1"];
        let ran = Command::new("avifdec").args(arguments).args([path("in.avif"), path("out.png")]).output();
        assert!(ran.is_ok_and(|ran| ran.status.success()), "avifdec");
        return shown(&std::fs::read(path("out.png")).expect("what avifdec wrote"));
    }
    as_rgb(codec::decode(bytes, &header(bytes), DecodeAs::Rgb).expect("bytes of ours"))
}

/// libjpeg-turbo's JPEG of a picture.
pub(crate) fn cjpeg(image: &Image, quality: u8) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let head = format!("P6\n{} {}\n255\n", image.size().w, image.size().h);
    std::fs::write(path("in.ppm"), [head.as_bytes(), &image.to_interleaved()].concat()).expect("written");
    let quality = quality.to_string();
    let ran = Command::new("cjpeg")
        .args(["-optimize", "-sample", "2x2", "-quality", &quality, "-outfile"])
        .args([path("out.jpg"), path("in.ppm")])
        .status();
    assert!(ran.is_ok_and(|ran| ran.success()), "cjpeg");
    std::fs::read(path("out.jpg")).expect("what cjpeg wrote")
}

/// Their mean; 0 of none.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), v| (sum + v, n + 1));
    sum / f64::from(n.max(1))
}

/// What a client gets, against two JPEGs of the quality that was asked for.
pub(crate) struct Served {
    /// Share of bytes saved against libjpeg-turbo's, and against ours.
    pub(crate) saved: [f64; 2],
    /// Score above those.
    pub(crate) above: [f64; 2],
}

/// A service in a runtime of its own.
pub(crate) fn started(config: &Config) -> (Arc<Service>, Runtime) {
    let runtime = Runtime::new().expect("a runtime");
    let inside = runtime.enter();
    let service = Service::try_new(config).expect("a service");
    drop(inside);
    (service, runtime)
}

/// The product over the corpus: a company a folder, nothing cached.
pub(crate) struct Product {
    service: Arc<Service>,
    runtime: Runtime,
}

impl Product {
    pub(crate) fn new(corpus: &Path) -> Self {
        let mut config = Config::demo();
        config.daemon.engine = EngineChoice::Simd;
        for folder in ["photos", "cid22"] {
            let company = Company::new(folder, SourceRoot::Dir(corpus.join(folder)));
            config.catalog.companies.insert(company.root_id.clone(), company);
        }
        let (service, runtime) = started(&config);
        Self { service, runtime }
    }

    fn ask(&self, case: &Case, query: &str, accept: &str) -> Vec<u8> {
        let folder = case.path.parent().and_then(Path::file_name).expect("a folder of the corpus").to_string_lossy();
        let path = format!("/{folder}/{}", case.name);
        let hints = Hints::from_headers([("accept", accept)]);
        let request = ImageRequest { path, query: query.to_owned(), hints, ..ImageRequest::default() };
        let deadline = Instant::now() + Duration::from_secs(600);
        let rendition = self.runtime.block_on(self.service.image(&request, deadline)).expect("a rendition");
        rendition.bytes.to_vec()
    }
}

/// What a client who reads `accept` gets of a case at `quality`.
pub(crate) fn served(product: &Product, case: &Case, accept: &str, quality: u8) -> Served {
    let (bytes, header) = source(case);
    let size = wanted(header.size, case.side);
    let reference = reference(&bytes, &header, size);
    let query = format!("wid={}&hei={}&fit=stretch&qlt={quality}&cache=off,off", size.w, size.h);
    let requested = product.ask(case, &format!("{query}&bfc=off"), accept);
    let served = product.ask(case, &format!("{query}&bfc=on"), accept);
    let score = |bytes: &[u8]| score(&reference, &shown(bytes));
    let own = score(&served);
    let others = [&cjpeg(&reference, quality), &requested];
    Served {
        saved: others.map(|bytes| 1.0 - served.len() as f64 / bytes.len() as f64),
        above: others.map(|bytes| own - score(bytes)),
    }
}

/// Means of some, and the worst.
pub(crate) fn summary(of: &[&Served]) -> String {
    let worse = mean(of.iter().map(|s| f64::from(u8::from(s.above[0] < -2.0))));
    format!(
        "({} pictures) | {:5.1} % {:+5.2} {:+5.2} {:3.0} % | {:5.1} % {:+5.2}",
        of.len(),
        100.0 * mean(of.iter().map(|s| s.saved[0])),
        mean(of.iter().map(|s| s.above[0])),
        of.iter().map(|s| s.above[0]).fold(f64::INFINITY, f64::min),
        100.0 * worse,
        100.0 * mean(of.iter().map(|s| s.saved[1])),
        mean(of.iter().map(|s| s.above[1])),
    )
}
