//! Broken, lying and random files: each gives a picture or a clear error, in bounded time, and never a panic.
//!
//! Odd files are made here, each by the rule that makes it odd; real ones found by fuzzing come from the corpus.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use calotype::codec::{self, Allow};
use calotype::error::{Blame, Error};
use calotype::pixel::{Chroma, PixelFormat, Size};
use calotype::plan::{DecodeAs, EncodeSpec, JpegQuality, SourceFormat, WebpQuality};

use crate::codecs::corpus::files;
use crate::codecs::{corpus, encode, make};

/// Nobody's time is asserted, only that it has an end: this is hundreds of times what the slowest file needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pixels of the largest source here, so that a lie about the size is caught without the memory it asks for.
const PIXELS_MAX: u64 = 40_000_000;

/// Decodes both ways; what comes is a whole picture or the source's own fault.
fn try_decode(what: &str, bytes: &[u8]) -> bool {
    let allow = Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: PIXELS_MAX };
    let began = Instant::now();
    let result = codec::probe(&mut Cursor::new(bytes), &allow).and_then(|header| {
        let native = codec::decode(bytes, &header, DecodeAs::Native)?;
        assert_eq!((native.size(), native.format()), (header.size, header.native), "{what}");
        let rgb = codec::decode(bytes, &header, DecodeAs::Rgb)?;
        assert_eq!(rgb.size(), header.size, "{what}");
        Ok(())
    });
    assert!(began.elapsed() < PATIENCE, "{what} took {:?}", began.elapsed());
    match result {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.blame(), Blame::Source, "{what}: {error}");
            assert!(
                !matches!(&error, Error::BrokenSource { reason, .. } if reason.contains("panicked")),
                "{what}: {error}"
            );
            false
        }
    }
}

/// Runs `check` over the numbers below `count` on all cores.
fn on_all_cores(count: usize, check: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= count {
                        break;
                    }
                    check(i);
                }
            });
        }
    });
}

fn try_files(paths: &[PathBuf]) {
    let pictures = Mutex::new(0);
    on_all_cores(paths.len(), |i| {
        let bytes = std::fs::read(&paths[i]).expect("read");
        if try_decode(&paths[i].display().to_string(), &bytes) {
            *pictures.lock().expect("not poisoned") += 1;
        }
    });
    println!("{} files: {} give a picture", paths.len(), pictures.lock().expect("not poisoned"));
}

#[test]
fn files_found_by_fuzzing_decoders() {
    let Some(corpus) = corpus() else { return };
    let paths = files(&corpus.join("hostile"));
    assert!(paths.len() > 1000, "{} files", paths.len());
    try_files(&paths);
}

/// What the reply's text has to name.
fn reason(bytes: &[u8]) -> String {
    let allow = Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: PIXELS_MAX };
    let result = codec::probe(&mut Cursor::new(bytes), &allow)
        .and_then(|header| codec::decode(bytes, &header, DecodeAs::Native));
    match result {
        Ok(image) => format!("a picture of {}", image.size()),
        Err(error) => {
            assert_eq!(error.blame(), Blame::Source, "{error}");
            error.to_string()
        }
    }
}

#[test]
fn odd_files_say_what_is_wrong() {
    let size = Size::new(40, 30);
    let rgb = make::computed(size, PixelFormat::RGB);
    let encode = |spec| encode(&rgb, &spec);
    let jpeg = encode(EncodeSpec::Jpeg { quality: JpegQuality(80), chroma: Chroma::Full, progressive: false });
    let png = encode(EncodeSpec::Png);
    let webp = encode(EncodeSpec::Webp { quality: WebpQuality(8000) });
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).expect("a frame header");
    let with_frame = |at: usize, bytes: &[u8]| {
        let mut lie = jpeg.clone();
        lie[frame + at..][..bytes.len()].copy_from_slice(bytes);
        lie
    };
    let rows =
        |h: u32, there: usize| make::png(Size::new(8, h), [0, 8, 0], &[], &[0, 1, 2, 3, 4, 5, 6, 7, 8].repeat(there));
    let mut wrong = Vec::new();
    let zip = b"PK\x03\x04\x14\0\0\0\x08\0holiday.jpg".to_vec();
    for (what, bytes, names) in [
        ("nothing", Vec::new(), "not a picture in a known format"),
        ("a web page", b"<!DOCTYPE html><title>404</title>".to_vec(), "\"<!DOCTYPE html>"),
        ("an archive that says jpg", zip, "\"PK"),
        ("a vector picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "\"<svg "),
        ("a page description", b"%PDF-1.7\n".to_vec(), "\"%PDF-1.7"),
        ("zeros", vec![0; 4096], "not a picture"),
        ("a start without an end", jpeg[..20].to_vec(), "broken jpeg source: the file ends before its header does"),
        ("an end without a start", [&jpeg[..2], &[0xff, 0xd9]].concat(), "the file ends before its header does"),
        ("no rows", with_frame(5, &[0, 0]), "broken jpeg source: a picture of 40x0"),
        ("rows without end", with_frame(5, &[0xff, 0xff, 0xff, 0xff]), "at most 40000000 pixels are allowed"),
        ("twelve bits", with_frame(4, &[12]), "12 bits a sample"),
        ("lossless jpeg", with_frame(1, &[0xc3]), "lossless"),
        ("more rows than there are", with_frame(5, &[0, 200]), "broken jpeg source"),
        ("fewer rows than there are", with_frame(5, &[0, 10]), "a picture of 40x10"),
        ("png of fewer rows than it says", rows(100, 10), "a picture of 8x100"),
        ("png of more rows than it says", rows(5, 10), "a picture of 8x5"),
        ("png of no rows at all", rows(5, 0), "broken png source"),
        ("png of no width", make::png(Size::new(0, 8), [0, 8, 0], &[], &[0; 8]), "broken png source"),
        ("png of a huge picture", make::png(Size::new(60_000, 60_000), [2, 8, 0], &[], &[]), "60000x60000 pixels"),
        ("png of an unknown colour type", make::png(Size::new(8, 8), [5, 8, 0], &[], &[0; 80]), "broken png source"),
        ("webp with somebody else's inside", [&webp[..12], &png].concat(), "a first chunk that is no picture"),
        ("jpeg called webp", [&webp[..12], &jpeg].concat(), "a first chunk that is no picture"),
        ("gif without a page", b"GIF89a\x08\0\x08\0\0\0\0;".to_vec(), "broken gif source"),
        ("tiff that points outside", b"II\x2a\0\xff\xff\xff\x7f".to_vec(), "broken tiff source"),
        ("tiff that points at itself", b"MM\0\x2a\0\0\0\0".to_vec(), "broken tiff source"),
    ] {
        let said = reason(&bytes);
        println!("{what}: {said}");
        if !said.contains(names) {
            wrong.push(format!("{what}: \"{said}\" lacks \"{names}\""));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn things_that_are_no_pictures() {
    for bytes in
        [&b""[..], b"\xff", b"GIF", b"hello, world\n", b"<!DOCTYPE html><html><body>404</body></html>", &[0; 4096]]
    {
        assert!(!try_decode("no picture", bytes));
    }
    // The first bytes of every format and nothing else.
    for magic in
        [&b"\xff\xd8\xff"[..], b"\x89PNG\r\n\x1a\n", b"RIFF\xff\xff\xff\xffWEBP", b"GIF89a", b"II\x2a\0", b"MM\0\x2b"]
    {
        assert!(!try_decode("magic alone", magic));
        assert!(!try_decode("magic and zeros", &[magic, &[0; 64]].concat()));
        assert!(!try_decode("magic and ones", &[magic, &[0xff; 64]].concat()));
    }
}

#[test]
fn a_progressive_jpeg_of_a_thousand_scans_is_cut() {
    let image = make::computed(Size::new(64, 64), PixelFormat::GREY);
    let spec = EncodeSpec::Jpeg { quality: JpegQuality(90), chroma: Chroma::Half, progressive: true };
    let jpeg = codec::encode(&image, &spec).expect("bytes");
    let last_scan = jpeg.windows(2).rposition(|w| w == [0xff, 0xda]).expect("a scan");
    let scan = &jpeg[last_scan..jpeg.len() - 2];
    let many = [&jpeg[..jpeg.len() - 2], &scan.repeat(1000), &[0xff, 0xd9]].concat();
    assert!(try_decode("a thousand scans", &many), "the first hundred are a picture");
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// Small whole files of every format and kind.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let size = Size::new(40, 30);
    let rgb = make::computed(size, PixelFormat::RGB);
    let rgba = make::computed(size, PixelFormat::RGBA);
    let jpeg = |chroma, progressive| {
        let spec = EncodeSpec::Jpeg { quality: JpegQuality(80), chroma, progressive };
        codec::encode(&rgb, &spec).expect("bytes")
    };
    let png = codec::encode(&rgba, &EncodeSpec::Png).expect("bytes");
    let profile = make::cmyk_profile();
    let p3 = moxcms::ColorProfile::new_display_p3().encode().expect("a profile");
    let mut gif = Vec::new();
    let mut encoder = gif::Encoder::new(&mut gif, 40, 30, &[0, 0, 0, 255, 255, 255, 9, 9, 9]).expect("an encoder");
    let pixels: Vec<u8> = rgb.planes()[0].data().iter().map(|v| v % 3).collect();
    let mut page = gif::Frame::from_indexed_pixels(40, 30, pixels, Some(1));
    page.interlaced = true;
    encoder.write_frame(&page).expect("a page");
    drop(encoder);
    let palette = (b"PLTE", vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let mut tiled = make::tiff_tags(size, &[8, 8, 8], 2, 30);
    tiled.retain(|t| t.0 != 278);
    tiled.extend([(322, 3, vec![16]), (323, 3, vec![16])]);
    let mut map = make::tiff_tags(size, &[8], 3, 7);
    map.push((320, 3, (0..768).collect()));
    let cmyk = make::cmyk_jpeg(size, true).0;
    vec![
        ("jpeg by component", jpeg(Chroma::Half, false)),
        ("jpeg 4:4:4", jpeg(Chroma::Full, false)),
        ("jpeg progressive", make::with_segments(&jpeg(Chroma::Half, true), &[(0xe1, make::exif(6, true))])),
        ("jpeg ycck with a profile", make::with_segments(&cmyk, &make::icc_segments(&profile))),
        ("png", make::with_chunks(&png, &[(b"iCCP", make::iccp(&p3)), (b"eXIf", make::exif(5, false)[6..].to_vec())])),
        ("png interlaced", make::png(size, [2, 8, 1], &[], &make::adam7(&rgb))),
        ("png palette", make::png(Size::new(8, 8), [3, 2, 0], &[palette], &[0, 0x1b, 0xe4].repeat(8))),
        ("webp lossy", encode(&rgba, &EncodeSpec::Webp { quality: WebpQuality(7000) })),
        ("webp lossless", codec::encode(&rgb, &EncodeSpec::WebpLossless).expect("bytes")),
        ("gif", gif),
        ("tiff strips", make::tiff(false, false, make::tiff_tags(size, &[8, 8, 8], 2, 7), &vec![vec![50; 840]; 5])),
        ("tiff tiles", make::tiff(true, true, tiled, &vec![vec![60; 768]; 6])),
        ("tiff palette", make::tiff(true, false, map, &vec![vec![70; 280]; 5])),
    ]
}

/// One to four of: a bit flipped, a byte replaced, a run cut out, a run from elsewhere put in, a length that lies.
fn mutated(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.byte(),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..(at + 1 + random.below(64)).min(bytes.len()))),
            4 => {
                let from = random.below(other.len());
                let run = other[from..(from + random.below(64)).min(other.len())].to_vec();
                bytes.splice(at..at, run);
            }
            _ => {
                let lie = [[0xff; 4], [0; 4], [0x7f, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0x7f]][random.below(4)];
                let end = (at + 4).min(bytes.len());
                bytes[at..end].copy_from_slice(&lie[..end - at]);
            }
        }
    }
    bytes
}

#[test]
fn mutations_of_whole_files() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    let iterations: usize = number("FUZZ_ITERS").unwrap_or(3000);
    let seed = number("SEED").unwrap_or(1) as u64;
    println!("SEED={seed} FUZZ_ITERS={iterations}");
    let seeds = seeds();
    for (name, bytes) in &seeds {
        assert!(try_decode(name, bytes), "{name} itself is a picture");
    }
    let pictures = AtomicUsize::new(0);
    on_all_cores(iterations, |i| {
        let mut random = Random(seed.wrapping_mul(1 << 32).wrapping_add(i as u64));
        let (name, bytes) = &seeds[i % seeds.len()];
        let other = &seeds[random.below(seeds.len())].1;
        let bytes = mutated(bytes, other, &mut random);
        if try_decode(&format!("SEED={seed} iteration {i} of {name}"), &bytes) {
            pictures.fetch_add(1, Ordering::Relaxed);
        }
    });
    println!("{} of {iterations} gave a picture", pictures.load(Ordering::Relaxed));
}
