//! Pictures in and out: every format both ways, upright, in sRGB.

pub(crate) mod avif;
mod cmyk;
mod colour;
pub(crate) mod corpus;
mod damage;
mod extras;
mod indexed;
pub(crate) mod jpeg2000;
mod jpeg_out;
pub(crate) mod jpegxr;
pub(crate) mod make;
mod progressive;
mod ycbcr;

mod tiff;
mod tiff_out;

use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;

use calotype::codec::{self, Allow};
use calotype::error::Error;
use calotype::pixel::{Chroma, Image, Model, PixelFormat, Size};
use calotype::plan::{DecodeAs, EncodeSpec, Header, JpegQuality, SourceFormat, WebpQuality};

use make::computed;

use crate::quality::pictures::as_stored;

const GREY_ALPHA: PixelFormat = PixelFormat { model: Model::Grey, alpha: true };
const YCBCR: PixelFormat = PixelFormat { model: Model::Ycbcr(Chroma::Full), alpha: false };
const YCBCR_HALF: PixelFormat = PixelFormat { model: Model::Ycbcr(Chroma::Half), alpha: false };

pub(crate) fn allow_all() -> Allow {
    Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: 100_000_000 }
}

pub(crate) fn probe(bytes: &[u8]) -> Header {
    codec::probe(&mut Cursor::new(bytes), &allow_all()).expect("a header")
}

pub(crate) fn decode_as(bytes: &[u8], decode_as: DecodeAs) -> Image {
    let header = probe(bytes);
    let image = codec::decode(bytes, &header, decode_as).expect("a picture");
    assert_eq!(image.size(), header.size);
    if decode_as == DecodeAs::Native {
        assert_eq!(image.format(), header.native);
    }
    image
}

/// The folder of real pictures, if there is one.
pub(crate) fn corpus() -> Option<PathBuf> {
    let corpus = std::env::var_os("CORPUS").map(PathBuf::from);
    if corpus.is_none() {
        println!("CORPUS is not set: computed pictures only");
    }
    corpus
}

/// The file of R G B (or grey) by `spec`.
pub(crate) fn encode(image: &Image, spec: &EncodeSpec) -> Vec<u8> {
    codec::encode(&as_stored(image, spec), spec).expect("bytes")
}

fn jpeg(quality: u8, chroma: Chroma, progressive: bool) -> EncodeSpec {
    EncodeSpec::Jpeg { quality: JpegQuality(quality), chroma, progressive }
}

/// Mean squared difference of two pictures of one format, in levels squared.
fn mse(a: &Image, b: &Image) -> f64 {
    assert_eq!((a.size(), a.format()), (b.size(), b.format()));
    let pairs = || a.planes().iter().zip(b.planes()).flat_map(|(a, b)| a.data().iter().zip(b.data()));
    pairs().map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum::<f64>() / pairs().count() as f64
}

/// Largest difference of two pictures of one format, in levels.
fn worst(a: &Image, b: &Image) -> u8 {
    assert_eq!((a.size(), a.format()), (b.size(), b.format()));
    let pairs = a.planes().iter().zip(b.planes()).flat_map(|(a, b)| a.data().iter().zip(b.data()));
    pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

/// Encodes planes as they are.
fn encode_planes(image: &Image, spec: &EncodeSpec) -> Vec<u8> {
    codec::encode(image, spec).unwrap_or_else(|e| panic!("{spec:?} {:?} {}: {e}", image.format(), image.size()))
}

#[test]
fn lossless_formats_come_back_exactly() {
    for format in [PixelFormat::GREY, GREY_ALPHA, PixelFormat::RGB, PixelFormat::RGBA] {
        for size in [Size::new(1, 1), Size::new(1, 17), Size::new(255, 67)] {
            let image = computed(size, format);
            let png = codec::encode(&image, &EncodeSpec::Png).expect("bytes");
            assert_eq!(decode_as(&png, DecodeAs::Native), image, "png {format:?} {size}");
            let webp = codec::encode(&image, &EncodeSpec::WebpLossless).expect("bytes");
            let back = decode_as(&webp, DecodeAs::Native);
            assert_eq!(back.alpha(), image.alpha(), "webp {format:?} {size}");
            // Colours under fully transparent pixels are nobody's.
            let seen = |i: usize| image.alpha().is_none_or(|a| a.data()[i] > 0);
            for (c, plane) in back.planes()[..3].iter().enumerate() {
                let want = &image.planes()[c.min(image.format().colour_planes() - 1)];
                for (i, (got, want)) in plane.data().iter().zip(want.data()).enumerate().filter(|(i, _)| seen(*i)) {
                    assert_eq!(got, want, "webp {format:?} {size} plane {c} sample {i}");
                }
            }
        }
    }
}

/// libwebp is lent planes to which it could write: it never does.
#[test]
fn planes_stay_as_they_are() {
    let size = Size::new(75, 53);
    for format in [PixelFormat::GREY, PixelFormat::RGB, PixelFormat::RGBA] {
        let mut image = computed(size, format);
        if let Some(alpha) = format.alpha_plane() {
            // Colours under it are what libwebp would change.
            image.planes_mut()[alpha].data_mut()[..53 * 40].fill(0);
        }
        for quality in [0, 7500, 10_000] {
            let spec = EncodeSpec::Webp { quality: WebpQuality(quality) };
            let image = as_stored(&image, &spec);
            let before: Vec<Vec<u8>> = image.planes().iter().map(|plane| plane.data().to_vec()).collect();
            for method in 0..=6 {
                codec::encode_at(&image, &spec, method).expect("bytes");
                let is_same = image.planes().iter().zip(&before).all(|(plane, before)| plane.data() == *before);
                assert!(is_same, "{format:?} {quality} by method {method}");
            }
        }
    }
}

#[test]
fn lossy_formats_come_back_close() {
    let size = Size::new(123, 77);
    for (format, spec, mse_max) in [
        (PixelFormat::GREY, jpeg(90, Chroma::Half, false), 3.0),
        (PixelFormat::RGB, jpeg(95, Chroma::Full, false), 3.0),
        (PixelFormat::RGB, jpeg(95, Chroma::Half, false), 4.0),
        (PixelFormat::RGB, jpeg(95, Chroma::Half, true), 4.0),
        (PixelFormat::RGB, jpeg(95, Chroma::Full, true), 3.0),
        (PixelFormat::RGB, EncodeSpec::Webp { quality: WebpQuality(9500) }, 7.0),
        (PixelFormat::RGBA, EncodeSpec::Webp { quality: WebpQuality(9500) }, 60.0),
    ] {
        let image = computed(size, format);
        let bytes = encode(&image, &spec);
        let back = decode_as(&bytes, DecodeAs::Rgb);
        let mse = mse(&back, &image);
        println!("{spec:?} {format:?}: {} bytes, mse {mse:.2}", bytes.len());
        assert!(mse < mse_max, "{spec:?} {format:?}: mse {mse}");
        assert_eq!(back.alpha(), image.alpha(), "alpha is lossless");
    }
}

#[test]
fn ycbcr_planes_go_through_a_jpeg_without_a_detour() {
    let full = computed(Size::new(61, 45), YCBCR);
    let bytes = codec::encode(&full, &jpeg(100, Chroma::Full, false)).expect("bytes");
    assert!(worst(&decode_as(&bytes, DecodeAs::Native), &full) <= 2);
    // Half-size chroma comes back as the encoder got it: each sample, four times, up to the decoder's smooth filter.
    let half = Image::from_planes(
        Size::new(33, 17),
        YCBCR_HALF,
        [90, 60, 200]
            .into_iter()
            .enumerate()
            .map(|(i, v)| {
                let mut plane = calotype::pixel::Plane::new(YCBCR_HALF.plane_size(i, Size::new(33, 17)));
                plane.data_mut().fill(v);
                plane
            })
            .collect(),
    );
    let bytes = codec::encode(&half, &jpeg(100, Chroma::Half, false)).expect("bytes");
    let back = decode_as(&bytes, DecodeAs::Native);
    for (plane, want) in back.planes().iter().zip([90_u8, 60, 200]) {
        assert!(plane.data().iter().all(|v| v.abs_diff(want) <= 1), "{want}");
    }
}

#[test]
fn jpeg_quality_means_what_libjpeg_means() {
    // T.81 table K.1 in zigzag order, first eight; libjpeg's jcparam.c scales them so.
    const LUMA: [u32; 8] = [16, 11, 12, 14, 12, 10, 16, 14];
    let image = computed(Size::new(16, 16), PixelFormat::RGB);
    for quality in [1, 10, 49, 50, 75, 80, 95, 100] {
        let bytes = codec::encode(&image, &jpeg(quality, Chroma::Half, false)).expect("bytes");
        let at = bytes.windows(5).position(|w| w == [0xff, 0xdb, 0, 67, 0]).expect("a table of 8-bit luma steps") + 5;
        let quality = u32::from(quality);
        let scale = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
        let want = LUMA.map(|v| ((v * scale + 50) / 100).clamp(1, 255));
        assert_eq!(bytes[at..at + 8].iter().map(|&v| u32::from(v)).collect::<Vec<_>>(), want, "quality {quality}");
    }
}

#[test]
fn encoders_refuse_what_their_formats_cannot_hold() {
    let encode = |size: Size, format, spec: &EncodeSpec| codec::encode(&Image::new(size, format), spec);
    let small = Size::new(4, 4);
    let webp = EncodeSpec::Webp { quality: WebpQuality(8000) };
    for (size, format, spec) in [
        (small, PixelFormat::RGBA, jpeg(80, Chroma::Half, false)),
        (small, PixelFormat { model: Model::Cmyk, alpha: true }, jpeg(80, Chroma::Half, false)),
        (small, PixelFormat { model: Model::Cmyk, alpha: false }, EncodeSpec::Png),
        (small, PixelFormat::RGB, jpeg(0, Chroma::Half, false)),
        (small, PixelFormat::RGB, jpeg(101, Chroma::Half, false)),
        (small, PixelFormat::RGB, EncodeSpec::Webp { quality: WebpQuality(10_001) }),
        (small, YCBCR, EncodeSpec::Png),
        (small, YCBCR, webp),
        (small, PixelFormat::RGB, webp),
        (small, PixelFormat { model: Model::Yuv, alpha: false }, EncodeSpec::Png),
        (small, PixelFormat { model: Model::Yuv, alpha: false }, jpeg(80, Chroma::Half, false)),
        (Size::new(16_384, 1), PixelFormat::GREY, webp),
        (Size::new(1, 65_536), PixelFormat::GREY, jpeg(80, Chroma::Half, false)),
        (Size::new(0, 4), PixelFormat::GREY, EncodeSpec::Png),
    ] {
        let error = encode(size, format, &spec).expect_err("refused");
        assert!(matches!(error, Error::Encode { .. }), "{spec:?}: {error}");
    }
    assert!(encode(Size::new(16_383, 1), PixelFormat::GREY, &webp).is_ok());
}

#[test]
fn alpha_that_hides_nothing_is_dropped() {
    let opaque = computed(Size::new(20, 20), PixelFormat::RGB);
    let mut planes = opaque.planes().to_vec();
    planes.push(calotype::pixel::Plane::from_vec(opaque.size(), vec![255; 400]));
    let with_alpha = Image::from_planes(opaque.size(), PixelFormat::RGBA, planes);
    for spec in [EncodeSpec::Png, EncodeSpec::Webp { quality: WebpQuality(8000) }, EncodeSpec::WebpLossless] {
        assert_eq!(encode(&with_alpha, &spec), encode(&opaque, &spec), "{spec:?}");
    }
}

/// Where a pixel of the upright picture lies in the stored one (EXIF 2.32, 4.6.4.A).
fn stored_at(orientation: u8, stored: Size, x: u32, y: u32) -> (u32, u32) {
    let (right, bottom) = (stored.w - 1, stored.h - 1);
    match orientation {
        1 => (x, y),
        2 => (right - x, y),
        3 => (right - x, bottom - y),
        4 => (x, bottom - y),
        5 => (y, x),
        6 => (y, bottom - x),
        7 => (right - y, bottom - x),
        _ => (right - y, x),
    }
}

#[test]
fn exif_turns_every_format_upright() {
    let stored = computed(Size::new(70, 131), PixelFormat::RGB);
    let png = codec::encode(&stored, &EncodeSpec::Png).expect("bytes");
    let jpeg = codec::encode(&stored, &jpeg(90, Chroma::Half, false)).expect("bytes");
    let webp = codec::encode(&stored, &EncodeSpec::WebpLossless).expect("bytes");
    for orientation in 1..=8 {
        let is_big = orientation % 2 == 0;
        let exif = make::exif(orientation, is_big);
        let tiff = {
            let mut tags = make::tiff_tags(stored.size(), &[8, 8, 8], 2, 131);
            tags.push((274, 3, vec![orientation.into()]));
            make::tiff(is_big, false, tags, &[stored.to_interleaved()])
        };
        for (name, plain, turned) in [
            ("png", &png, make::with_chunks(&png, &[(b"eXIf", exif[6..].to_vec())])),
            ("jpeg", &jpeg, make::with_segments(&jpeg, &[(0xe1, exif.clone())])),
            ("webp", &webp, extended_webp(&webp, stored.size(), &exif)),
            ("tiff", &png, tiff),
        ] {
            let header = probe(&turned);
            assert_eq!(header.orientation, orientation, "{name}");
            let size = if orientation >= 5 { stored.size().transposed() } else { stored.size() };
            assert_eq!(header.size, size, "{name} {orientation}");
            let (plain, upright) = (decode_as(plain, DecodeAs::Native), decode_as(&turned, DecodeAs::Native));
            for (c, plane) in upright.planes().iter().enumerate() {
                for (y, x) in (0..size.h).flat_map(|y| (0..size.w).map(move |x| (y, x))) {
                    let (from_x, from_y) = stored_at(orientation, stored.size(), x, y);
                    let want = plain.planes()[c].row(from_y as usize)[from_x as usize];
                    assert_eq!(plane.row(y as usize)[x as usize], want, "{name} {orientation} {c} {x},{y}");
                }
            }
        }
    }
}

/// A simple lossless WebP as an extended one with EXIF behind the pixels.
fn extended_webp(webp: &[u8], size: Size, exif: &[u8]) -> Vec<u8> {
    let chunk = |tag: &[u8; 4], body: &[u8]| {
        let length = u32::try_from(body.len()).expect("small");
        let pad = vec![0; body.len() % 2];
        [tag.as_slice(), &length.to_le_bytes(), body, &pad].concat()
    };
    let side = |v: u32| (v - 1).to_le_bytes()[..3].to_vec();
    let header = [&[0x08, 0, 0, 0][..], &side(size.w), &side(size.h)].concat();
    let body = [b"WEBP", &chunk(b"VP8X", &header)[..], &webp[12..], &chunk(b"EXIF", exif)].concat();
    chunk(b"RIFF", &body)
}

#[test]
fn only_allowed_formats_are_known() {
    let png = codec::encode(&computed(Size::new(3, 3), PixelFormat::GREY), &EncodeSpec::Png).expect("bytes");
    let allow = Allow { formats: vec![SourceFormat::Jpeg], pixels_max: 100 };
    for (bytes, starts) in [(&png[..], ".PNG........IHDR"), (b"<!doctype html>", "<!doctype html>"), (b"", "")] {
        match codec::probe(&mut Cursor::new(bytes), &allow) {
            Err(Error::UnknownFormat { starts_with }) => assert_eq!(starts_with, starts),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn huge_dimensions_are_refused_on_the_header() {
    let png = make::png(Size::new(60_000, 60_000), [2, 8, 0], &[], &[]);
    let mut jpeg =
        codec::encode(&computed(Size::new(8, 8), PixelFormat::RGB), &jpeg(80, Chroma::Half, false)).expect("bytes");
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).expect("a frame header");
    jpeg[frame + 5..frame + 9].fill(0xff);
    let gif = [b"GIF89a".as_slice(), &[0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0, 0, 0, 255, 255, 255]].concat();
    let gif = [&gif[..], &[0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x4c, 1, 0, 0x3b]].concat();
    let tiff = make::tiff(false, false, make::tiff_tags(Size::new(70_000, 2), &[8], 1, 2), &[vec![0; 9]]);
    for bytes in [png, jpeg, gif, tiff] {
        let error = codec::probe(&mut Cursor::new(&bytes), &allow_all()).expect_err("too large");
        assert!(matches!(error, Error::SourceTooLarge { .. }), "{error}");
    }
}

/// Counts the bytes that a probe takes from a file.
struct Counting<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = self.inner.read(buf)?;
        self.bytes += len as u64;
        Ok(len)
    }
}

impl<R: Seek> Seek for Counting<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(to)
    }
}

fn bytes_probed(bytes: &[u8]) -> u64 {
    let mut source = BufReader::new(Counting { inner: Cursor::new(bytes), bytes: 0 });
    codec::probe(&mut source, &allow_all()).expect("a header");
    assert!(source.fill_buf().is_ok());
    source.get_ref().bytes
}

#[test]
fn a_probe_reads_the_header_alone() {
    let image = computed(Size::new(700, 500), PixelFormat::RGB);
    // 6 MB of other people's metadata before the picture, and as much behind it.
    let junk = vec![0x55; 60_000];
    let jpeg = codec::encode(&image, &jpeg(90, Chroma::Half, false)).expect("bytes");
    let jpeg = make::with_segments(&jpeg, &vec![(0xed, junk.clone()); 100]);
    let png = codec::encode(&image, &EncodeSpec::Png).expect("bytes");
    let png = [&png[..], &vec![0x55; 6 << 20]].concat();
    let mut webp = codec::encode(&image, &EncodeSpec::WebpLossless).expect("bytes");
    webp.extend(vec![0x55; 6 << 20]);
    let tiff =
        make::tiff(true, false, make::tiff_tags(Size::new(2000, 1000), &[8, 8, 8], 2, 1000), &[vec![9; 6_000_000]]);
    for (name, bytes) in [("jpeg", jpeg), ("png", png), ("webp", webp), ("tiff", tiff)] {
        let read = bytes_probed(&bytes);
        println!("{name}: {read} of {} bytes", bytes.len());
        // Each skipped segment of the JPEG costs a refilled buffer of 8 kB.
        let most = if name == "jpeg" { 101 * 8192 + 65_536 } else { 65_536 };
        assert!(read <= most, "{name}: {read} bytes read");
    }
    if let Some(corpus) = corpus() {
        for file in ["large_no_samp_7680_4320.jpg", "progressive_420_7680x4320.jpg"] {
            let bytes = std::fs::read(corpus.join("jpeg-variants").join(file)).expect(file);
            let read = bytes_probed(&bytes);
            println!("{file}: {read} of {} bytes", bytes.len());
            assert!(read < 256 << 10);
        }
    }
}

#[test]
fn png_depths_palettes_and_interlace() {
    // 16-bit grey: every row one value, to be rounded to the nearest level.
    let values: [u16; 6] = [0, 128, 129, 32_767, 65_406, 65_535];
    let rows: Vec<u8> = values.iter().flat_map(|v| [&[0][..], &v.to_be_bytes()].concat()).collect();
    let grey = decode_as(&make::png(Size::new(1, 6), [0, 16, 0], &[], &rows), DecodeAs::Native);
    assert_eq!(grey.to_interleaved(), [0, 0, 1, 127, 254, 255]);
    // Two bits of palette, the second colour half transparent.
    let palette = (b"PLTE", vec![10, 20, 30, 40, 50, 60, 70, 80, 90]);
    let file = make::png(Size::new(3, 1), [3, 2, 0], &[palette, (b"tRNS", vec![255, 128])], &[0, 0b0001_1000]);
    assert_eq!(
        decode_as(&file, DecodeAs::Native).to_interleaved(),
        [10, 20, 30, 255, 40, 50, 60, 128, 70, 80, 90, 255]
    );
    // One bit of grey.
    let file = make::png(Size::new(5, 1), [0, 1, 0], &[], &[0, 0b1010_0000]);
    assert_eq!(decode_as(&file, DecodeAs::Native).to_interleaved(), [255, 0, 255, 0, 0]);
    for (format, colour) in [(PixelFormat::RGB, 2), (PixelFormat::RGBA, 6), (PixelFormat::GREY, 0)] {
        for size in [Size::new(1, 1), Size::new(9, 5), Size::new(33, 70)] {
            let image = computed(size, format);
            let file = make::png(size, [colour, 8, 1], &[], &make::adam7(&image));
            assert_eq!(decode_as(&file, DecodeAs::Native), image, "{format:?} {size}");
        }
    }
}

#[test]
fn gif_pages_lie_where_they_should() {
    let page = |left, top, w: u16, h: u16, transparent, interlaced: bool| {
        let mut bytes = Vec::new();
        let mut encoder = gif::Encoder::new(&mut bytes, 6, 20, &[9, 9, 9, 200, 100, 50]).expect("an encoder");
        // Odd rows take the second colour; the file has interlaced rows in its own order.
        let order: Vec<u16> = if interlaced {
            [(0, 8), (4, 8), (2, 4), (1, 2)].iter().flat_map(|&(from, step)| (from..h).step_by(step)).collect()
        } else {
            (0..h).collect()
        };
        let pixels = order.iter().flat_map(|y| vec![u8::from(y % 2 == 1); w.into()]).collect::<Vec<u8>>();
        let mut frame = gif::Frame::from_indexed_pixels(w, h, pixels, transparent);
        (frame.left, frame.top, frame.interlaced) = (left, top, interlaced);
        encoder.write_frame(&frame).expect("a page");
        drop(encoder);
        decode_as(&bytes, DecodeAs::Native)
    };
    for interlaced in [false, true] {
        let whole = page(0, 0, 6, 20, None, interlaced);
        assert_eq!(whole.format(), PixelFormat::RGB);
        for y in 0..20 {
            assert!(whole.planes()[0].row(y).iter().all(|&v| v == if y % 2 == 1 { 200 } else { 9 }), "row {y}");
        }
        // Over the right and lower edge.
        let part = page(4, 15, 9, 9, Some(0), interlaced);
        assert_eq!(part.format(), PixelFormat::RGBA);
        for (y, x) in (0..20).flat_map(|y| (0..6).map(move |x| (y, x))) {
            let shown = x >= 4 && y >= 15 && (y - 15) % 2 == 1;
            assert_eq!(part.planes()[3].row(y)[x], if shown { 255 } else { 0 }, "{x},{y}");
            assert!(!shown || part.planes()[1].row(y)[x] == 100);
        }
    }
}

#[test]
fn versions_are_what_the_lock_file_pins() {
    let versions = codec::versions();
    // What follows a plus sign is the version of a library inside.
    let parts = |v: &str| v.split('+').next().map(|v| v.split('.').count());
    assert!(versions.iter().all(|(_, v)| parts(v) == Some(3)), "{versions:?}");
    assert!(versions.iter().any(|(name, v)| *name == "moxcms" && v.starts_with("0.9.")), "{versions:?}");
}
