//! The bounds that admission trusts, against what the codecs really hold.
//!
//! Invariant: whatever is decoded or encoded here does so on the thread that asks.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use calotype::codec::{self, Allow};
use calotype::pixel::{Chroma, Image, Model, PixelFormat, Plane, Size, testcard};
#[cfg(feature = "jpegxr")]
use calotype::plan::JpegXrQuantiser;
use calotype::plan::{
    AvifEffort, AvifQuantiser, DecodeAs, EncodeSpec, Jpeg2000Quality, JpegQuality, Palette, PaletteKind, SourceFormat,
    TiffPacking, WebpQuality,
};

use crate::stored::as_stored;
use crate::{count, make};

/// A bound may be so many times what is held, once constants no longer matter.
const WASTE_MAX: u64 = 4;
/// What is held, in bytes, from where that is asked.
const BIG: u64 = 16 << 20;

const SIZES: [Size; 3] = [Size::new(64, 64), Size::new(700, 900), Size::new(3000, 2000)];

#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn compare(&mut self, what: &str, peak: u64, bound: u64, pixels: u64) {
        self.compare_within(what, peak, peak, bound, pixels);
    }

    /// `least` is what the bound is measured by when it seems too high.
    fn compare_within(&mut self, what: &str, peak: u64, least: u64, bound: u64, pixels: u64) {
        let ratio = bound as f64 / least as f64;
        println!("{what}: held {peak}, bound {bound}, ratio {ratio:.2}, {:.2} B/px", peak as f64 / pixels as f64);
        if peak > bound {
            self.0.push(format!("{what}: held {peak} bytes, above the bound of {bound}"));
        }
        if least >= BIG && bound > WASTE_MAX * least {
            self.0.push(format!("{what}: held {peak} bytes, the bound of {bound} is {ratio:.1} times that"));
        }
    }

    fn decode(&mut self, what: &str, bytes: &[u8]) {
        let allow = Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: 100_000_000 };
        let header = codec::probe(&mut Cursor::new(bytes), &allow).unwrap_or_else(|e| panic!("{what}: {e}"));
        let bound = codec::decode_bytes_max(&header, bytes.len() as u64);
        for decode_as in [DecodeAs::Native, DecodeAs::Rgb] {
            let (image, peak) = count::peak(|| codec::decode(bytes, &header, decode_as));
            assert!(image.is_ok(), "{what}: {:?}", image.err());
            self.compare(&format!("decode {what} {decode_as:?}"), peak, bound, header.size.pixels());
        }
    }

    fn assert_none(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

fn jpeg(quality: u8, chroma: Chroma, progressive: bool) -> EncodeSpec {
    EncodeSpec::Jpeg { quality: JpegQuality(quality), chroma, progressive }
}

fn with_alpha(image: &Image) -> Image {
    let mut planes = image.planes().to_vec();
    let alpha = image.planes()[1].data().iter().map(|v| v | 15).collect();
    planes.push(Plane::from_vec(image.size(), alpha));
    Image::from_planes(image.size(), PixelFormat { alpha: true, ..image.format() }, planes)
}

/// Both samples at full swing, by chance: nothing is harder to compress.
fn noise(size: Size) -> Image {
    let mut state = 1_u64;
    let mut plane = || {
        let mut data = vec![0_u8; size.samples()];
        for v in &mut data {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *v = if state >> 63 == 0 { 0 } else { 255 };
        }
        Plane::from_vec(size, data)
    };
    Image::from_planes(size, PixelFormat::RGB, (0..3).map(|_| plane()).collect())
}

/// A picture as the seven passes of Adam7 at 16 bits: each sample's byte twice, which is the value widened.
fn adam7_16(image: &Image) -> Vec<u8> {
    let n = image.planes().len();
    let w = image.size().w as usize;
    let narrow = make::adam7(image);
    let mut out = Vec::with_capacity(2 * narrow.len());
    let mut at = 0;
    for (x0, y0, dx, dy) in
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    {
        for _ in (y0..image.size().h as usize).step_by(dy).filter(|_| x0 < w) {
            out.push(0);
            let row = (w - x0).div_ceil(dx) * n;
            out.extend(narrow[at + 1..][..row].iter().flat_map(|&v| [v, v]));
            at += 1 + row;
        }
    }
    out
}

/// By the jpeg-encoder crate, with settings that our own encoder does not use.
fn foreign_jpeg(image: &Image, factor: jpeg_encoder::SamplingFactor, progressive: bool, optimised: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 90);
    encoder.set_sampling_factor(factor);
    encoder.set_progressive(progressive);
    encoder.set_optimized_huffman_tables(optimised);
    let side = |v| u16::try_from(v).expect("a small picture");
    let colour = if image.planes().len() == 4 { jpeg_encoder::ColorType::Cmyk } else { jpeg_encoder::ColorType::Rgb };
    encoder
        .encode(&image.to_interleaved(), side(image.size().w), side(image.size().h), colour)
        .expect("a picture of ours");
    bytes
}

#[test]
fn a_jpeg_decode_holds_no_more_than_its_bound() {
    use jpeg_encoder::SamplingFactor as Factor;
    let mut findings = Findings::default();
    for size in SIZES {
        let photo = testcard::photo(size, 7);
        let inks = with_alpha(&photo);
        for (name, factor, progressive, optimised) in [
            ("baseline 4:4:4", Factor::F_1_1, false, false),
            ("baseline 4:2:2", Factor::F_2_1, false, false),
            ("baseline 4:4:0", Factor::F_1_2, false, false),
            ("baseline 4:2:0", Factor::F_2_2, false, false),
            ("baseline 4:1:1", Factor::F_4_1, false, false),
            ("by component 4:4:4", Factor::F_1_1, false, true),
            ("by component 4:2:0", Factor::F_2_2, false, true),
            ("progressive 4:4:4", Factor::F_1_1, true, true),
            ("progressive 4:2:0", Factor::F_2_2, true, true),
            ("progressive 4:1:1", Factor::F_4_1, true, true),
        ] {
            let bytes = foreign_jpeg(&photo, factor, progressive, optimised);
            findings.decode(&format!("jpeg {name} {size}"), &bytes);
            let cut = &bytes[..bytes.len() / 2];
            findings.decode(&format!("jpeg {name} {size}, half of it"), cut);
        }
        for progressive in [false, true] {
            let bytes = foreign_jpeg(&inks, Factor::F_1_1, progressive, progressive);
            findings.decode(&format!("jpeg CMYK progressive={progressive} {size}"), &bytes);
            let bytes = make::with_segments(&bytes, &make::icc_segments(&make::cmyk_profile()));
            let bytes = make::with_segments(&bytes, &[(0xe1, make::exif(6, true))]);
            findings.decode(&format!("jpeg CMYK progressive={progressive}, profile, turned {size}"), &bytes);
        }
    }
    findings.assert_none();
}

#[test]
fn a_png_decode_holds_no_more_than_its_bound() {
    let mut findings = Findings::default();
    let p3 = moxcms::ColorProfile::new_display_p3().encode().expect("a profile");
    for size in SIZES {
        let rgba = with_alpha(&testcard::photo(size, 7));
        let png = codec::encode(&rgba, &EncodeSpec::Png).expect("bytes");
        findings.decode(&format!("png {size}"), &png);
        let extra = [(b"iCCP", make::iccp(&p3)), (b"eXIf", make::exif(6, false)[6..].to_vec())];
        findings.decode(&format!("png, profile, turned {size}"), &make::with_chunks(&png, &extra));
        let rows = adam7_16(&rgba);
        findings.decode(&format!("png 16-bit RGBA interlaced {size}"), &make::png(size, [6, 16, 1], &[], &rows));
    }
    findings.assert_none();
}

#[test]
fn a_webp_decode_holds_no_more_than_its_bound() {
    let mut findings = Findings::default();
    for size in [SIZES[0], SIZES[1], Size::new(2000, 1500)] {
        let photo = testcard::photo(size, 7);
        let lossy = EncodeSpec::Webp { quality: WebpQuality(9500) };
        for (name, image, spec) in [
            ("lossy", photo.clone(), lossy),
            ("lossy, alpha", with_alpha(&photo), lossy),
            ("lossless", photo.clone(), EncodeSpec::WebpLossless),
            ("lossless, alpha", with_alpha(&photo), EncodeSpec::WebpLossless),
        ] {
            let image = as_stored(&image, &spec);
            let (bytes, peak) = count::peak(|| codec::encode(&image, &spec));
            let bytes = bytes.expect("bytes");
            let pixels = size.pixels();
            findings.compare(
                &format!("encode webp {name} {size}"),
                peak,
                codec::encode_bytes_max(size, image.alpha().is_some(), &spec),
                pixels,
            );
            findings.decode(&format!("webp {name} {size}"), &bytes);
        }
    }
    findings.assert_none();
}

#[test]
fn a_gif_or_tiff_decode_holds_no_more_than_its_bound() {
    let mut findings = Findings::default();
    for size in SIZES {
        let photo = testcard::photo(size, 7);
        let side = |v| u16::try_from(v).expect("a small picture");
        let mut gif = Vec::new();
        let palette: Vec<u8> = (0..=255).flat_map(|v| [v, v, v]).collect();
        let mut encoder = gif::Encoder::new(&mut gif, side(size.w), side(size.h), &palette).expect("an encoder");
        let page = photo.planes()[0].data().to_vec();
        let page = gif::Frame::from_indexed_pixels(side(size.w), side(size.h), page, Some(3));
        encoder.write_frame(&page).expect("a page");
        drop(encoder);
        findings.decode(&format!("gif {size}"), &gif);
        let bytes = photo.to_interleaved();
        let rows = |n: u32| bytes.chunks((size.w * 3 * n) as usize).map(<[u8]>::to_vec).collect::<Vec<_>>();
        for (name, n) in [("one strip", size.h), ("strips", 16)] {
            let tags = make::tiff_tags(size, &[8, 8, 8], 2, n);
            findings.decode(&format!("tiff {name} {size}"), &make::tiff(false, false, tags, &rows(n)));
        }
        // One strip of four floating-point samples.
        let float: Vec<u8> = bytes
            .chunks_exact(3)
            .flat_map(|px| [px[0], px[1], px[2], 200])
            .flat_map(|v| (f32::from(v) / 255.0).to_le_bytes())
            .collect();
        let mut tags = make::tiff_tags(size, &[32, 32, 32, 32], 2, size.h);
        tags.extend([(338, 3, vec![2]), (339, 3, vec![3, 3, 3, 3])]);
        findings.decode(&format!("tiff float RGBA {size}"), &make::tiff(false, false, tags, &[float]));
    }
    findings.assert_none();
}

#[test]
fn an_encode_holds_no_more_than_its_bound() {
    let mut findings = Findings::default();
    for size in [SIZES[0], SIZES[1], Size::new(1500, 1000)] {
        let photo = testcard::photo(size, 7);
        let hard = noise(size);
        let half = Image::from_planes(
            size,
            PixelFormat { model: Model::Ycbcr(Chroma::Half), alpha: false },
            (0..3)
                .map(|i| {
                    Plane::new(PixelFormat { model: Model::Ycbcr(Chroma::Half), alpha: false }.plane_size(i, size))
                })
                .collect(),
        );
        for (quality, chroma, progressive) in
            [(80, Chroma::Half, false), (80, Chroma::Full, true), (100, Chroma::Half, true), (100, Chroma::Full, false)]
        {
            let spec = jpeg(quality, chroma, progressive);
            for (name, image) in [("photo", &photo), ("noise", &hard), ("4:2:0 planes", &half)] {
                let (bytes, peak) = count::peak(|| codec::encode(image, &spec));
                let len = bytes.expect("bytes").len();
                let what = format!("encode {spec:?} {name} {size} ({len} bytes)");
                findings.compare(
                    &what,
                    peak,
                    codec::encode_bytes_max(size, image.alpha().is_some(), &spec),
                    size.pixels(),
                );
            }
        }
        for (name, image) in [("photo", &photo), ("photo with alpha", &with_alpha(&photo)), ("noise", &hard)] {
            let (bytes, peak) = count::peak(|| codec::encode(image, &EncodeSpec::Png));
            let what = format!("encode png {name} {size} ({} bytes)", bytes.expect("bytes").len());
            findings.compare(
                &what,
                peak,
                codec::encode_bytes_max(size, image.alpha().is_some(), &EncodeSpec::Png),
                size.pixels(),
            );
        }
    }
    let palette = Palette { kind: PaletteKind::Adaptive, diffuses: true, colours: 256 };
    for size in [SIZES[0], SIZES[1], Size::new(1500, 1000)] {
        let photo = testcard::photo(size, 7);
        for (name, image) in [("photo", &photo), ("noise", &noise(size)), ("alpha", &with_alpha(&noise(size)))] {
            let packings =
                [TiffPacking::None, TiffPacking::Lzw, TiffPacking::Zip].map(|packing| EncodeSpec::Tiff { packing });
            let indexed = [EncodeSpec::Png8 { palette }, EncodeSpec::Gif { palette }];
            for spec in indexed.into_iter().chain(packings) {
                let (bytes, peak) = count::peak(|| codec::encode(image, &spec));
                let what = format!("encode {spec:?} {name} {size} ({} bytes)", bytes.expect("bytes").len());
                let bound = codec::encode_bytes_max(size, image.alpha().is_some(), &spec);
                findings.compare(&what, peak, bound, size.pixels());
            }
        }
    }
    for size in [SIZES[0], SIZES[1], Size::new(1500, 1000)] {
        for (name, image) in [("photo", &testcard::photo(size, 7)), ("noise", &noise(size))] {
            for (quality, chroma) in [(80, Chroma::Half), (100, Chroma::Full)] {
                let spec = EncodeSpec::Tiff { packing: TiffPacking::Jpeg { quality: JpegQuality(quality), chroma } };
                let (bytes, peak) = count::peak(|| codec::encode(image, &spec));
                let what = format!("encode {spec:?} {name} {size} ({} bytes)", bytes.expect("bytes").len());
                findings.compare(&what, peak, codec::encode_bytes_max(size, false, &spec), size.pixels());
            }
        }
    }
    // What libwebp holds grows with what it finds to write: noise, which it cannot help writing.
    let size = Size::new(640, 480);
    let lossy = |quality| EncodeSpec::Webp { quality: WebpQuality(quality) };
    for spec in [lossy(7500), lossy(9000), lossy(9500), lossy(10_000), EncodeSpec::WebpLossless] {
        for image in [noise(size), with_alpha(&noise(size))] {
            let image = as_stored(&image, &spec);
            let (bytes, peak) = count::peak(|| codec::encode(&image, &spec));
            let what = format!("encode {spec:?} noise {size} ({} bytes)", bytes.expect("bytes").len());
            findings.compare(&what, peak, codec::encode_bytes_max(size, image.alpha().is_some(), &spec), size.pixels());
        }
    }
    let lossy = |hundredths| EncodeSpec::Jpeg2000 { quality: Jpeg2000Quality(hundredths) };
    for size in [SIZES[0], Size::new(640, 480), Size::new(1500, 1000)] {
        let photo = testcard::photo(size, 7);
        let alpha = with_alpha(&noise(size));
        for (name, image) in [("photo", &photo), ("noise", &noise(size)), ("noise with alpha", &alpha)] {
            for spec in [lossy(3500), lossy(5500), EncodeSpec::Jpeg2000Lossless] {
                let (bytes, peak) = count::peak(|| codec::encode(image, &spec));
                let what = format!("encode {spec:?} {name} {size} ({} bytes)", bytes.expect("bytes").len());
                let bound = codec::encode_bytes_max(size, image.alpha().is_some(), &spec);
                findings.compare(&what, peak, bound, size.pixels());
            }
            #[cfg(feature = "jpegxr")]
            for spec in [
                EncodeSpec::JpegXr { quantiser: JpegXrQuantiser(30) },
                EncodeSpec::JpegXr { quantiser: JpegXrQuantiser(2) },
                EncodeSpec::JpegXrLossless,
            ] {
                let (bytes, peak) = count::peak(|| codec::encode(image, &spec));
                let what = format!("encode {spec:?} {name} {size} ({} bytes)", bytes.expect("bytes").len());
                let bound = codec::encode_bytes_max(size, image.alpha().is_some(), &spec);
                findings.compare(&what, peak, bound, size.pixels());
            }
        }
    }
    findings.assert_none();
}

#[test]
fn an_avif_encode_holds_no_more_than_its_bound() {
    let mut findings = Findings::default();
    let lossy = |quantiser, effort, chroma| EncodeSpec::Avif { quantiser: AvifQuantiser(quantiser), effort, chroma };
    let specs = [
        lossy(0, AvifEffort::Usual, Chroma::Full),
        lossy(0, AvifEffort::Quick, Chroma::Half),
        lossy(20, AvifEffort::Usual, Chroma::Half),
        EncodeSpec::AvifLossless,
    ];
    for size in [SIZES[0], Size::new(500, 751), Size::new(1000, 800)] {
        let photo = testcard::photo(size, 7);
        let alpha = with_alpha(&noise(size));
        for (name, image) in [("photo", &photo), ("noise", &noise(size)), ("noise with alpha", &alpha)] {
            for spec in specs {
                let image = as_stored(image, &spec);
                let bound = codec::encode_bytes_max(size, image.alpha().is_some(), &spec);
                let (bytes, peak) = count::peak(|| codec::encode(&image, &spec).expect("bytes"));
                let what = format!("encode {spec:?} {name} {size} ({} bytes)", bytes.len());
                findings.compare(&what, peak, bound, size.pixels());
            }
        }
    }
    findings.assert_none();
}

/// Real files, and those that were made to break decoders: each that is not refused at its header.
#[test]
fn a_corpus_file_holds_no_more_than_its_bound() {
    let Some(corpus) = std::env::var_os("CORPUS") else {
        println!("CORPUS is not set: computed pictures alone");
        return;
    };
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::from(corpus)]);
    while let Some(folder) = folders.pop() {
        for path in folder.read_dir().expect("CORPUS names a folder").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Findings::default()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut findings = Findings::default();
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let bytes = std::fs::read(path).expect("a file that was just listed");
                    let allow = Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: 40_000_000 };
                    let Ok(header) = codec::probe(&mut Cursor::new(&bytes), &allow) else { continue };
                    let bound = codec::decode_bytes_max(&header, bytes.len() as u64);
                    for decode_as in [DecodeAs::Native, DecodeAs::Rgb] {
                        let (image, peak) = count::peak(|| codec::decode(&bytes, &header, decode_as));
                        // A broken file may be refused long before it holds what a whole one would.
                        let least = if image.is_ok() { peak } else { bound };
                        let what = format!("decode {} {decode_as:?} {}", path.display(), header.size);
                        findings.compare_within(&what, peak, least, bound, header.size.pixels());
                    }
                }
                all.lock().expect("no panic").0.extend(findings.0);
            });
        }
    });
    all.into_inner().expect("no panic").assert_none();
}

/// The daemon's default budget is 1 GiB; a quarter of it is enough for the source and the passes of a reduction.
#[test]
fn the_default_budget_admits_the_largest_pictures() {
    const ROOM: u64 = 768 << 20;
    let photo = testcard::photo(SIZES[0], 7);
    let bound = |chroma, progressive, side: u16, file_bytes: u64| {
        let mut bytes = foreign_jpeg(&photo, chroma, progressive, progressive);
        let frame = bytes.windows(2).position(|w| w == [0xff, if progressive { 0xc2 } else { 0xc0 }]);
        let frame = frame.expect("a frame header");
        bytes[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
        bytes[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
        let allow = Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: 100_000_000 };
        let header = codec::probe(&mut Cursor::new(&bytes), &allow).expect("a header");
        let bound = codec::decode_bytes_max(&header, file_bytes);
        println!("{} progressive={progressive} {chroma:?}, a file of {file_bytes}: {bound} bytes", header.size);
        bound
    };
    use jpeg_encoder::SamplingFactor as Factor;
    assert!(bound(Factor::F_2_2, false, 10_000, 40 << 20) <= ROOM);
    assert!(bound(Factor::F_1_1, false, 10_000, 40 << 20) <= ROOM);
    assert!(bound(Factor::F_2_2, true, 10_000, 40 << 20) <= ROOM);
    assert!(bound(Factor::F_1_1, true, 7071, 40 << 20) <= ROOM);
    // What it does not: nine bytes a pixel.
    assert!(bound(Factor::F_1_1, true, 10_000, 40 << 20) > ROOM);
}

#[test]
fn the_counter_counts_rust_and_c() {
    let (_, peak) = count::peak(|| std::hint::black_box(vec![1_u8; 5_000_000]));
    assert!((5_000_000..5_100_000).contains(&peak), "{peak}");
    // libwebp holds at least its own four bytes a pixel beside ours.
    let image = Image::new(Size::new(1000, 1000), PixelFormat::RGB);
    let (_, peak) = count::peak(|| codec::encode(&image, &EncodeSpec::WebpLossless));
    assert!(peak > 7_000_000, "{peak}: is C counted?");
}
