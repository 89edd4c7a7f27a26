//! Profiles that can be computed by hand, inks without one, and broken ones.

use calotype::codec;
use calotype::pixel::{Chroma, Image, PixelFormat, Size};
use calotype::plan::{DecodeAs, EncodeSpec};
use moxcms::ColorProfile;

use super::{GREY_ALPHA, decode_as, jpeg, make, probe, worst};

const COLOURS: [[u8; 3]; 8] = [
    [0, 0, 0],
    [255, 255, 255],
    [128, 128, 128],
    [200, 100, 50],
    [50, 100, 200],
    [20, 180, 90],
    [255, 200, 190],
    [90, 80, 70],
];

fn colours() -> Image {
    Image::from_interleaved(Size::new(8, 1), PixelFormat::RGB, COLOURS.as_flattened())
}

fn png_with(profile: &[u8]) -> Vec<u8> {
    let png = codec::encode(&colours(), &EncodeSpec::Png).expect("bytes");
    make::with_chunks(&png, &[(b"iCCP", make::iccp(profile))])
}

fn linear(v: u8) -> f64 {
    let v = f64::from(v) / 255.0;
    if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to 0..=255")]
fn encoded(light: f64) -> u8 {
    let light = light.clamp(0.0, 1.0);
    let v = if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
    (v * 255.0 + 0.5) as u8
}

/// Display P3 to sRGB: both D65, sRGB's curve. Source: CSS Color 4, section 17, its two matrices multiplied.
fn p3_to_srgb(rgb: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = rgb.map(linear);
    [
        1.224_940_2 * r - 0.224_940_2 * g,
        -0.042_056_9 * r + 1.042_056_9 * g,
        -0.019_637_6 * r - 0.078_636_1 * g + 1.098_273_5 * b,
    ]
    .map(encoded)
}

#[test]
fn display_p3_becomes_srgb() {
    let p3 = ColorProfile::new_display_p3().encode().expect("a profile");
    let want: Vec<u8> = COLOURS.iter().flat_map(|c| p3_to_srgb(*c)).collect();
    let want = Image::from_interleaved(Size::new(8, 1), PixelFormat::RGB, &want);
    let png = png_with(&p3);
    assert!(probe(&png).converts_profile);
    assert!(worst(&decode_as(&png, DecodeAs::Native), &want) <= 1);
    // The same at 16 bits, where the conversion comes before the rounding.
    let samples: Vec<u8> = COLOURS.iter().flatten().flat_map(|v| [*v, *v]).collect();
    let deep = make::png(Size::new(8, 1), [2, 16, 0], &[(b"iCCP", make::iccp(&p3))], &[&[0][..], &samples].concat());
    assert!(worst(&decode_as(&deep, DecodeAs::Native), &want) <= 1);
    // With alpha, which stays as it is.
    let alpha: Vec<u8> = COLOURS.iter().flat_map(|[r, g, b]| [*r, *g, *b, *g]).collect();
    let file = make::png(Size::new(8, 1), [6, 8, 0], &[(b"iCCP", make::iccp(&p3))], &[&[0][..], &alpha].concat());
    let image = decode_as(&file, DecodeAs::Native);
    assert_eq!(image.planes()[3].data(), colours().planes()[1].data());
    assert!(image.planes()[0].data().iter().zip(want.planes()[0].data()).all(|(a, b)| a.abs_diff(*b) <= 1));
    // A JPEG that would be handed out as Y Cb Cr is RGB instead, and says so beforehand.
    let flat = Image::from_interleaved(Size::new(16, 16), PixelFormat::RGB, &[200, 100, 50].repeat(256));
    let plain = codec::encode(&flat, &jpeg(100, Chroma::Full, false)).expect("bytes");
    let file = make::with_segments(&plain, &make::icc_segments(&p3));
    assert_eq!(probe(&file).native, PixelFormat::RGB);
    let got = decode_as(&file, DecodeAs::Native).to_interleaved();
    assert!(got[..3].iter().zip(p3_to_srgb([200, 100, 50])).all(|(a, b)| a.abs_diff(b) <= 2), "{:?}", &got[..3]);
}

#[test]
fn srgb_is_known_by_its_colours_and_not_by_its_name() {
    let renamed = |profile: ColorProfile, name: &str| {
        let mut profile = profile;
        profile.cicp = None;
        let name = moxcms::LocalizableString::new("en".to_owned(), "US".to_owned(), name.to_owned());
        profile.description = Some(moxcms::ProfileText::Localizable(vec![name]));
        profile.encode().expect("a profile")
    };
    let srgb = png_with(&renamed(ColorProfile::new_srgb(), "some other name"));
    assert!(!probe(&srgb).converts_profile);
    assert_eq!(decode_as(&srgb, DecodeAs::Native), colours());
    let liar = png_with(&renamed(ColorProfile::new_adobe_rgb(), "sRGB IEC61966-2.1"));
    assert!(probe(&liar).converts_profile);
    assert!(worst(&decode_as(&liar, DecodeAs::Native), &colours()) > 5);
    let grey = codec::encode(&make::computed(Size::new(9, 9), PixelFormat::GREY), &EncodeSpec::Png).expect("bytes");
    for (gamma, converts) in [(1.0, true), (1.8, true)] {
        let profile = ColorProfile::new_gray_with_gamma(gamma).encode().expect("a profile");
        assert_eq!(probe(&make::with_chunks(&grey, &[(b"iCCP", make::iccp(&profile))])).converts_profile, converts);
    }
}

#[test]
fn grey_profiles_bend_the_grey() {
    let profile = ColorProfile::new_gray_with_gamma(1.0).encode().expect("a profile");
    for format in [PixelFormat::GREY, GREY_ALPHA] {
        let image = make::computed(Size::new(31, 9), format);
        let png = codec::encode(&image, &EncodeSpec::Png).expect("bytes");
        let got = decode_as(&make::with_chunks(&png, &[(b"iCCP", make::iccp(&profile))]), DecodeAs::Native);
        assert_eq!(got.format(), format);
        for (got, v) in got.planes()[0].data().iter().zip(image.planes()[0].data()) {
            assert!(got.abs_diff(encoded(f64::from(*v) / 255.0)) <= 1, "{v} became {got}");
        }
        assert_eq!(got.alpha(), image.alpha());
    }
}

#[test]
fn a_broken_or_foreign_profile_is_ignored() {
    let p3 = ColorProfile::new_display_p3().encode().expect("a profile");
    let grey = ColorProfile::new_gray_with_gamma(1.0).encode().expect("a profile");
    let mut no_tags = p3.clone();
    no_tags.truncate(200);
    for profile in [&b""[..], b"no profile at all", &no_tags, &p3[..130], &grey, &make::cmyk_profile()] {
        let file = png_with(profile);
        assert!(!probe(&file).converts_profile);
        assert_eq!(decode_as(&file, DecodeAs::Native), colours());
    }
    // A stream that is not zlib at all, and one that swells to 64 MB.
    let png = codec::encode(&colours(), &EncodeSpec::Png).expect("bytes");
    let bomb = make::zlib(&[0; 40]).repeat(4);
    for body in [b"x\0\0garbage".to_vec(), [&b"x\0\0"[..], &bomb].concat()] {
        assert_eq!(decode_as(&make::with_chunks(&png, &[(b"iCCP", body)]), DecodeAs::Native), colours());
    }
}

#[test]
fn png_says_its_colours_in_four_ways() {
    let png = codec::encode(&colours(), &EncodeSpec::Png).expect("bytes");
    let with = |chunks: &[(&[u8; 4], Vec<u8>)]| decode_as(&make::with_chunks(&png, chunks), DecodeAs::Native);
    let gama = |v: u32| (b"gAMA", v.to_be_bytes().to_vec());
    let chrm = |values: [u32; 8]| (b"cHRM", values.iter().flat_map(|v| v.to_be_bytes()).collect::<Vec<u8>>());
    let srgb_xy = chrm([31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6000]);
    let p3_xy = chrm([31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6000]);
    // What every old file says, and what says nothing.
    for same in [vec![gama(45_455)], vec![gama(45_455), srgb_xy.clone()], vec![p3_xy.clone()], vec![gama(0)]] {
        assert_eq!(with(&same), colours(), "{same:?}");
    }
    // Linear light.
    let bright = with(&[gama(100_000)]);
    for (got, v) in bright.to_interleaved().iter().zip(COLOURS.as_flattened()) {
        assert!(got.abs_diff(encoded(f64::from(*v) / 255.0)) <= 1, "{v} became {got}");
    }
    let p3: Vec<u8> = COLOURS.iter().flat_map(|c| p3_to_srgb(*c)).collect();
    let p3 = Image::from_interleaved(Size::new(8, 1), PixelFormat::RGB, &p3);
    assert!(worst(&with(&[gama(45_455), p3_xy.clone()]), &p3) <= 1, "cHRM and the usual gAMA");
    let cicp = with(&[(b"cICP", vec![12, 13, 0, 1])]);
    assert!(worst(&cicp, &p3) <= 1, "cICP: {:?} {:?}", cicp.to_interleaved(), p3.to_interleaved());
    // The stronger chunk wins.
    assert_eq!(with(&[(b"cICP", vec![1, 13, 0, 1]), gama(100_000)]), colours(), "cICP over gAMA");
    assert_eq!(with(&[(b"sRGB", vec![0]), gama(100_000)]), colours(), "sRGB over gAMA");
    // PQ needs tone mapping: left as it is.
    assert_eq!(with(&[(b"cICP", vec![9, 16, 0, 1])]), colours());
}

#[test]
fn inks_without_a_profile_multiply() {
    for is_ycck in [false, true] {
        let (file, inks) = make::cmyk_jpeg(Size::new(64, 48), is_ycck);
        let header = probe(&file);
        assert_eq!((header.native, header.converts_profile), (PixelFormat::RGB, false));
        let got = decode_as(&file, DecodeAs::Native).to_interleaved();
        let mut sum = 0.0;
        for (got, [c, m, y, k]) in got.as_chunks::<3>().0.iter().zip(&inks) {
            for (got, ink) in got.iter().zip([c, m, y]) {
                let want = (255.0 - f64::from(*ink)) * (255.0 - f64::from(*k)) / 255.0;
                sum += (f64::from(*got) - want).abs();
            }
        }
        let mean = sum / got.len() as f64;
        println!("YCCK {is_ycck}: {mean:.2} levels off on average");
        assert!(mean < 1.5, "YCCK {is_ycck}: {mean} levels off on average");
    }
}
