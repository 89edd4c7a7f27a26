//! Codecs alone: who really owns the time, and how many bytes come out.
//!
//! Sources are computed photographs, or with `CORPUS` the first of its `photos/` as well. Before anything is timed, what
//! is decoded or encoded is read back and compared.

use std::io::Cursor;
use std::path::PathBuf;

use calotype::codec::{self, Allow};
use calotype::limits;
use calotype::pixel::{Chroma, Image, PixelFormat, Size, testcard};
use calotype::plan::{
    AvifEffort, AvifQuantiser, DecodeAs, EncodeSpec, Header, Jpeg2000Quality, JpegQuality, Palette, PaletteKind,
    SourceFormat, WebpQuality,
};
use criterion::{Criterion, Throughput};

mod stored;

use stored::as_stored;

const SOURCE: Size = Size::new(2048, 1358);
const VIEW: Size = Size::new(754, 500);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decoding(&mut criterion);
    encoding(&mut criterion);
    criterion.final_summary();
}

fn jpeg(quality: u8, chroma: Chroma, progressive: bool) -> EncodeSpec {
    EncodeSpec::Jpeg { quality: JpegQuality(quality), chroma, progressive }
}

fn avif(effort: AvifEffort, chroma: Chroma) -> EncodeSpec {
    EncodeSpec::Avif { quantiser: AvifQuantiser(13), effort, chroma }
}

fn decoding(criterion: &mut Criterion) {
    let photo = testcard::photo(SOURCE, 7);
    let mut files: Vec<(String, Vec<u8>)> = [
        ("jpeg/computed", jpeg(92, Chroma::Half, false)),
        ("pjpeg/computed", jpeg(92, Chroma::Half, true)),
        ("png/computed", EncodeSpec::Png),
        ("webp/computed", EncodeSpec::Webp { quality: WebpQuality(9000) }),
    ]
    .into_iter()
    .map(|(name, spec)| {
        let bytes = codec::encode(&as_stored(&photo, &spec), &spec).expect("a picture of ours");
        (String::from(name), bytes)
    })
    .collect();
    files.extend(corpus_photo());
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(20);
    for (name, bytes) in &files {
        let header = probe(bytes);
        group.throughput(Throughput::Elements(header.size.pixels()));
        for (planes, decode_as) in [("native", DecodeAs::Native), ("rgb", DecodeAs::Rgb)] {
            let decoded = codec::decode(bytes, &header, decode_as).expect("a sound picture");
            assert_eq!(decoded.size(), header.size);
            if name.ends_with("computed") && decode_as == DecodeAs::Rgb {
                assert!(psnr(&photo, &decoded) > 32.0, "{name}: {} dB", psnr(&photo, &decoded));
            }
            println!("{name}: {} bytes, {}", bytes.len(), header.size);
            group.bench_function(format!("{name}/{planes}"), |b| {
                b.iter(|| codec::decode(bytes, &header, decode_as).expect("a sound picture"));
            });
        }
    }
    group.finish();
}

fn encoding(criterion: &mut Criterion) {
    let photo = testcard::photo(VIEW, 7);
    let palette = Palette { kind: PaletteKind::Adaptive, diffuses: true, colours: 256 };
    let mut group = criterion.benchmark_group("encode");
    group.sample_size(20).throughput(Throughput::Elements(VIEW.pixels()));
    for (name, spec) in [
        ("jpeg/q80/420", jpeg(80, Chroma::Half, false)),
        ("jpeg/q80/444", jpeg(80, Chroma::Full, false)),
        ("pjpeg/q80/420", jpeg(80, Chroma::Half, true)),
        ("webp/q80", EncodeSpec::Webp { quality: WebpQuality(8000) }),
        ("webp/lossless", EncodeSpec::WebpLossless),
        ("avif/q13/quick", avif(AvifEffort::Quick, Chroma::Half)),
        ("avif/q13/usual", avif(AvifEffort::Usual, Chroma::Half)),
        ("avif/q13/usual/444", avif(AvifEffort::Usual, Chroma::Full)),
        ("avif/q13/thorough", avif(AvifEffort::Thorough, Chroma::Half)),
        ("avif/lossless", EncodeSpec::AvifLossless),
        ("jpeg2000/q46", EncodeSpec::Jpeg2000 { quality: Jpeg2000Quality(4600) }),
        ("jpeg2000/lossless", EncodeSpec::Jpeg2000Lossless),
        ("png", EncodeSpec::Png),
        ("png8", EncodeSpec::Png8 { palette }),
        ("gif", EncodeSpec::Gif { palette }),
    ] {
        let planes = as_stored(&photo, &spec);
        let bytes = codec::encode(&planes, &spec).expect("a picture of ours");
        let psnr = match spec {
            // Not read by us: `avifdec` and `opj_decompress` read these in the tests.
            EncodeSpec::Avif { .. }
            | EncodeSpec::AvifLossless
            | EncodeSpec::Jpeg2000 { .. }
            | EncodeSpec::Jpeg2000Lossless
            | EncodeSpec::JpegXr { .. }
            | EncodeSpec::JpegXrLossless => None,
            EncodeSpec::Png
            | EncodeSpec::Tiff { .. }
            | EncodeSpec::Png8 { .. }
            | EncodeSpec::Gif { .. }
            | EncodeSpec::WebpLossless
            | EncodeSpec::Jpeg { .. }
            | EncodeSpec::Webp { .. } => {
                let again = codec::decode(&bytes, &probe(&bytes), DecodeAs::Rgb).expect("bytes of ours");
                Some(psnr(&photo, &again))
            }
        };
        let least = if matches!(spec, EncodeSpec::Png | EncodeSpec::WebpLossless) { f64::INFINITY } else { 28.0 };
        assert!(psnr.is_none_or(|psnr| psnr >= least), "{name}: {psnr:?} dB");
        println!("encode/{name}: {} bytes, {psnr:.1?} dB", bytes.len());
        group.bench_function(name, |b| b.iter(|| codec::encode(&planes, &spec).expect("a picture of ours")));
    }
    group.finish();
}

fn probe(bytes: &[u8]) -> Header {
    let allow = Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: limits::SOURCE_PIXELS_MAX };
    codec::probe(&mut Cursor::new(bytes), &allow).expect("a picture of ours")
}

/// The first photograph of the corpus, if there is one.
fn corpus_photo() -> Option<(String, Vec<u8>)> {
    let Some(corpus) = std::env::var_os("CORPUS") else {
        println!("CORPUS is not set: computed pictures alone");
        return None;
    };
    let folder = PathBuf::from(corpus).join("photos");
    let mut paths: Vec<PathBuf> = folder.read_dir().ok()?.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let path = paths.first()?;
    Some((format!("jpeg/{}", path.file_name()?.to_string_lossy()), std::fs::read(path).ok()?))
}

/// Peak signal-to-noise ratio of all planes together, dB; infinite for equal pictures.
fn psnr(want: &Image, got: &Image) -> f64 {
    assert_eq!((want.size(), got.format()), (got.size(), PixelFormat::RGB));
    let pairs = || want.planes().iter().zip(got.planes()).flat_map(|(w, g)| w.data().iter().zip(g.data()));
    let squares: f64 = pairs().map(|(w, g)| f64::from(w.abs_diff(*g)).powi(2)).sum();
    10.0 * (255.0_f64.powi(2) * pairs().count() as f64 / squares).log10()
}
