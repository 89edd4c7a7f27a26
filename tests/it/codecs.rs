//! Pictures in and out: every format both ways, upright, in sRGB.

use std::io::Cursor;

use calotype::codec::{self, Allow};
use calotype::pixel::{Chroma, Image, PixelFormat, Size};
use calotype::plan::{DecodeAs, EncodeSpec, Header, JpegQuality, SourceFormat, WebpQuality};

fn allow_all() -> Allow {
    Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: 100_000_000 }
}

fn probe(bytes: &[u8]) -> Header {
    codec::probe(&mut Cursor::new(bytes), &allow_all()).expect("a header")
}

fn decode_as(bytes: &[u8], decode_as: DecodeAs) -> Image {
    codec::decode(bytes, &probe(bytes), decode_as).expect("a picture")
}

/// Smooth colours with some texture; alpha, where there is one, from clear to opaque.
#[expect(clippy::cast_possible_truncation, reason = "clamped to 0..=255")]
fn computed(size: Size, format: PixelFormat) -> Image {
    let mut image = Image::new(size, format);
    for (c, plane) in image.planes_mut().iter_mut().enumerate() {
        let size = plane.size();
        for y in 0..size.h as usize {
            for (x, v) in plane.row_mut(y).iter_mut().enumerate() {
                let (fx, fy) = (x as f64 / f64::from(size.w), y as f64 / f64::from(size.h));
                let wave = ((fx * (7.0 + c as f64) + fy * 5.0) * 3.0).sin() * 40.0;
                *v = (128.0 + 80.0 * (fx - fy) + wave).clamp(0.0, 255.0) as u8;
            }
        }
    }
    image
}

#[test]
fn lossless_formats_come_back_exactly() {
    for format in
        [PixelFormat::GREY, PixelFormat { alpha: true, ..PixelFormat::GREY }, PixelFormat::RGB, PixelFormat::RGBA]
    {
        for size in [Size::new(1, 1), Size::new(1, 17), Size::new(255, 67)] {
            let image = computed(size, format);
            let bytes = codec::encode(&image, &EncodeSpec::Png).expect("bytes");
            assert_eq!(decode_as(&bytes, DecodeAs::Native), image);
            let bytes = codec::encode(&image, &EncodeSpec::WebpLossless).expect("bytes");
            assert_eq!(decode_as(&bytes, DecodeAs::Native).size(), size);
        }
    }
}

#[test]
fn lossy_formats_come_back_close() {
    let image = computed(Size::new(123, 77), PixelFormat::RGB);
    for spec in [
        EncodeSpec::Jpeg { quality: JpegQuality(95), chroma: Chroma::Full, progressive: false },
        EncodeSpec::Jpeg { quality: JpegQuality(95), chroma: Chroma::Half, progressive: true },
        EncodeSpec::Webp { quality: WebpQuality(9500) },
    ] {
        let bytes = codec::encode(&image, &spec).expect("bytes");
        let back = decode_as(&bytes, DecodeAs::Rgb);
        let worst: u64 = back
            .planes()
            .iter()
            .zip(image.planes())
            .flat_map(|(a, b)| a.data().iter().zip(b.data()).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)))
            .sum();
        let mse = worst as f64 / (123.0 * 77.0 * 3.0);
        println!("{spec:?}: {} bytes, mse {mse}", bytes.len());
        assert!(mse < 12.0, "{spec:?}: mse {mse}");
    }
}
