//! TIFF: depths, models, planes, strips, tiles, byte orders, compressions.

use calotype::pixel::{Image, PixelFormat, Size};
use calotype::plan::DecodeAs;

use super::{GREY_ALPHA, decode_as, make, probe, worst};

fn strips(bytes: &[u8], len: usize) -> Vec<Vec<u8>> {
    bytes.chunks(len).map(<[u8]>::to_vec).collect()
}

#[test]
fn eight_bit_models_in_strips_tiles_and_planes() {
    let size = Size::new(37, 29);
    for is_big in [false, true] {
        for (format, photometric, extra) in [
            (PixelFormat::GREY, 1, None),
            (PixelFormat::RGB, 2, None),
            (PixelFormat::RGBA, 2, Some(2)),
            (GREY_ALPHA, 1, Some(2)),
        ] {
            let image = make::computed(size, format);
            let n = format.planes();
            let mut tags = make::tiff_tags(size, &vec![8; n], photometric, 10);
            tags.extend(extra.map(|v| (338, 3, vec![v])));
            let pixels = image.to_interleaved();
            let file = make::tiff(is_big, false, tags.clone(), &strips(&pixels, 37 * n * 10));
            assert_eq!(decode_as(&file, DecodeAs::Native), image, "strips {format:?}");
            // Tiles of 16×16, filled up at the right and lower edges.
            let mut tiled = tags.clone();
            tiled.retain(|t| t.0 != 278);
            tiled.extend([(322, 3, vec![16]), (323, 3, vec![16])]);
            let tile = |tx: usize, ty: usize| -> Vec<u8> {
                let at = |x: usize, y: usize| {
                    if x < 37 && y < 29 { pixels[(y * 37 + x) * n..][..n].to_vec() } else { vec![77; n] }
                };
                (0..256).flat_map(|i| at(tx * 16 + i % 16, ty * 16 + i / 16)).collect()
            };
            let tiles: Vec<Vec<u8>> = (0..6).map(|i| tile(i % 3, i / 3)).collect();
            let file = make::tiff(is_big, true, tiled, &tiles);
            assert_eq!(decode_as(&file, DecodeAs::Native), image, "tiles {format:?}");
            // One plane after the other.
            if n > 1 {
                let mut planar = tags;
                planar.push((284, 3, vec![2]));
                let chunks: Vec<Vec<u8>> = image.planes().iter().flat_map(|p| strips(p.data(), 370)).collect();
                let file = make::tiff(is_big, false, planar, &chunks);
                assert_eq!(decode_as(&file, DecodeAs::Native), image, "planes {format:?}");
            }
        }
    }
}

#[test]
fn depths_from_one_bit_to_floating_point() {
    let one = |bits, photometric, format: Option<u32>, bytes: Vec<u8>, w| {
        let mut tags = make::tiff_tags(Size::new(w, 1), &[bits], photometric, 1);
        tags.extend(format.map(|v| (339, 3, vec![v])));
        decode_as(&make::tiff(true, false, tags, &[bytes]), DecodeAs::Native).to_interleaved()
    };
    assert_eq!(one(1, 1, None, vec![0b1010_0000], 4), [255, 0, 255, 0]);
    assert_eq!(one(1, 0, None, vec![0b1010_0000], 4), [0, 255, 0, 255], "white is zero");
    assert_eq!(one(2, 1, None, vec![0b0001_1011], 4), [0, 85, 170, 255]);
    assert_eq!(one(4, 1, None, vec![0x0f, 0x80], 3), [0, 255, 136]);
    assert_eq!(one(8, 0, None, vec![0, 100], 2), [255, 155]);
    assert_eq!(one(16, 1, None, vec![0, 128, 0, 129, 0xff, 0xff], 3), [0, 1, 255]);
    assert_eq!(one(32, 1, None, vec![0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], 2), [128, 255]);
    let floats: Vec<u8> = [-1.0_f32, 0.0, 0.5, 1.0, 7.0, f32::NAN].iter().flat_map(|v| v.to_be_bytes()).collect();
    assert_eq!(one(32, 1, Some(3), floats, 6), [0, 0, 128, 255, 255, 0]);
}

#[test]
fn palettes_inks_and_premultiplied_alpha() {
    for is_big in [false, true] {
        let map = |reds: [u32; 4]| [reds, reds.map(|v| v / 2), [65_535; 4]].concat();
        let mut tags = make::tiff_tags(Size::new(4, 1), &[2], 3, 1);
        tags.push((320, 3, map([0, 10_000, 65_535, 40_000])));
        let file = make::tiff(is_big, false, tags, &[vec![0b1101_1000]]);
        let want = [156, 78, 255, 39, 19, 255, 255, 127, 255, 0, 0, 255];
        assert_eq!(decode_as(&file, DecodeAs::Native).to_interleaved(), want);
        // 8-bit values in a 16-bit map, as some writers do.
        let mut tags = make::tiff_tags(Size::new(1, 1), &[2], 3, 1);
        tags.push((320, 3, [[0, 200, 0, 0], [0, 100, 0, 0], [0, 50, 0, 0]].concat()));
        let file = make::tiff(is_big, false, tags, &[vec![0b0100_0000]]);
        assert_eq!(decode_as(&file, DecodeAs::Native).to_interleaved(), [200, 100, 50]);
        // Four inks, without and with a profile.
        let tags = make::tiff_tags(Size::new(2, 1), &[8, 8, 8, 8], 5, 1);
        let inks = vec![0, 0, 0, 0, 255, 51, 0, 51];
        let file = make::tiff(is_big, false, tags.clone(), std::slice::from_ref(&inks));
        assert_eq!(decode_as(&file, DecodeAs::Native).to_interleaved(), [255, 255, 255, 0, 163, 204]);
        let mut with_profile = tags;
        let profile = make::cmyk_profile().into_iter().map(u32::from).collect();
        with_profile.push((34_675, 7, profile));
        let file = make::tiff(is_big, false, with_profile, &[inks]);
        assert!(probe(&file).converts_profile);
        assert_ne!(decode_as(&file, DecodeAs::Native).to_interleaved(), [255, 255, 255, 0, 163, 204]);
        // Associated alpha is divided out.
        let mut tags = make::tiff_tags(Size::new(3, 1), &[8, 8, 8, 8], 2, 1);
        tags.push((338, 3, vec![1]));
        let file = make::tiff(is_big, false, tags, &[vec![100, 50, 0, 128, 255, 10, 1, 255, 9, 9, 9, 0]]);
        let got = decode_as(&file, DecodeAs::Native).to_interleaved();
        assert_eq!(got[..8], [199, 100, 0, 128, 255, 10, 1, 255]);
        assert_eq!(got[11], 0);
    }
}

#[test]
fn compressions_and_sixteen_bits_as_the_crate_writes_them() {
    use tiff::encoder::{Compression, DeflateLevel, Predictor, TiffEncoder, colortype};
    let size = Size::new(40, 30);
    let image = make::computed(size, PixelFormat::RGB);
    let pixels = image.to_interleaved();
    let deep: Vec<u16> = pixels.iter().map(|&v| u16::from(v) * 257).collect();
    for (name, compression) in [
        ("none", Compression::Uncompressed),
        ("lzw", Compression::Lzw),
        ("deflate", Compression::Deflate(DeflateLevel::Fast)),
        ("packbits", Compression::Packbits),
    ] {
        for predictor in [Predictor::None, Predictor::Horizontal] {
            let (mut file, mut deep_file) = (std::io::Cursor::new(Vec::new()), std::io::Cursor::new(Vec::new()));
            let encoder = |file| {
                TiffEncoder::new(file).expect("an encoder").with_compression(compression).with_predictor(predictor)
            };
            encoder(&mut file).write_image::<colortype::RGB8>(size.w, size.h, &pixels).expect("written");
            encoder(&mut deep_file).write_image::<colortype::RGB16>(size.w, size.h, &deep).expect("written");
            assert_eq!(decode_as(file.get_ref(), DecodeAs::Native), image, "{name} {predictor:?}");
            assert_eq!(decode_as(deep_file.get_ref(), DecodeAs::Native), image, "16 bits {name} {predictor:?}");
        }
    }
}

#[test]
fn a_jpeg_inside_is_read_and_kept_to_its_size() {
    let image = make::computed(Size::new(64, 48), PixelFormat::RGB);
    let jpeg = calotype::codec::encode(&image, &super::jpeg(95, calotype::pixel::Chroma::Full, false)).expect("bytes");
    let file = |size: Size| {
        let mut tags = make::tiff_tags(size, &[8, 8, 8], 6, size.h);
        tags.retain(|t| t.0 != 259);
        tags.push((259, 3, vec![7]));
        make::tiff(false, false, tags, std::slice::from_ref(&jpeg))
    };
    let got: Image = decode_as(&file(Size::new(64, 48)), DecodeAs::Rgb);
    assert!(worst(&got, &decode_as(&jpeg, DecodeAs::Rgb)) <= 3);
    // One that is far larger than its strip.
    let small = calotype::codec::encode(
        &Image::new(Size::new(900, 900), PixelFormat::RGB),
        &super::jpeg(50, calotype::pixel::Chroma::Half, false),
    );
    let mut tags = make::tiff_tags(Size::new(8, 8), &[8, 8, 8], 6, 8);
    tags.retain(|t| t.0 != 259);
    tags.push((259, 3, vec![7]));
    let file = make::tiff(false, false, tags, &[small.expect("bytes")]);
    let error = calotype::codec::decode(&file, &probe(&file), DecodeAs::Rgb).expect_err("refused");
    assert!(error.to_string().contains("a JPEG of 900x900 pixels"), "{error}");
}

#[test]
fn strips_after_the_damage_are_left_out() {
    let size = Size::new(16, 40);
    let image = make::computed(size, PixelFormat::GREY);
    let mut chunks = strips(image.planes()[0].data(), 160);
    chunks[2].truncate(3);
    let mut tags = make::tiff_tags(size, &[8], 1, 10);
    tags.retain(|t| t.0 != 259);
    // PackBits of a strip that is too short cannot be read beyond it.
    tags.push((259, 3, vec![32_773]));
    let packed: Vec<Vec<u8>> = chunks
        .iter()
        .map(|c| {
            c.chunks(128).flat_map(|run| [&[u8::try_from(run.len() - 1).expect("short")][..], run].concat()).collect()
        })
        .collect();
    let got = decode_as(&make::tiff(false, false, tags, &packed), DecodeAs::Native);
    for y in 0..20 {
        assert_eq!(got.planes()[0].row(y), image.planes()[0].row(y), "row {y}");
    }
    assert!((20..40).all(|y| got.planes()[0].row(y).iter().all(|&v| v == 128)), "the rest is grey");
}
