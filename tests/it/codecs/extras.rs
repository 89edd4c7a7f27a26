//! What files say beside their pixels, out and in again.

use calotype::codec;
use calotype::error::Error;
use calotype::pixel::{Chroma, Density, Image, PixelFormat, Size};
use calotype::plan::{
    Conversion, DecodeAs, EncodeSpec, Intent, JpegQuality, Output, Palette, PaletteKind, Profile, SourceFormat,
    TiffPacking, WebpQuality,
};

use super::make::computed;
use super::{GREY_ALPHA, decode_as, encode, jpeg, mse, probe};

#[test]
fn densities_come_back() {
    let image = computed(Size::new(20, 10), PixelFormat::RGB);
    for (dpi, in_jpeg) in [(2.0, 2.0), (72.0, 72.0), (300.0, 300.0), (71.5, 72.0), (65_535.0, 65_535.0)] {
        let output = Output { density: Density::from_dpi(dpi), ..Output::default() };
        let back =
            |spec| probe(&codec::encode_with(&image, &spec, &output, None).expect("bytes")).density.map(Density::dpi);
        assert_eq!(back(jpeg(80, Chroma::Half, false)), Some(in_jpeg), "{dpi}");
        // PNG counts in whole pixels a metre.
        let png = back(EncodeSpec::Png).expect("a density");
        assert!((png - dpi).abs() <= 0.02, "{dpi}: {png}");
        assert_eq!(back(EncodeSpec::WebpLossless), None);
    }
    for spec in [jpeg(80, Chroma::Half, false), EncodeSpec::Png] {
        assert_eq!(probe(&codec::encode(&image, &spec).expect("bytes")).density, None);
    }
}

#[test]
fn jpegs_count_by_inch_or_centimetre() {
    let image = computed(Size::new(20, 10), PixelFormat::RGB);
    let file = codec::encode(&image, &jpeg(80, Chroma::Half, false)).expect("bytes");
    assert_eq!(&file[6..11], b"JFIF\0");
    for (unit, columns, want) in [
        (1, 300_u16, Some(300.0)),
        (2, 100, Some(254.0)),
        (2, 1, Some(2.54)),
        (0, 1, None),
        (1, 0, None),
        (2, 65_535, None),
        (9, 300, None),
    ] {
        let mut file = file.clone();
        file[13] = unit;
        file[14..16].copy_from_slice(&columns.to_be_bytes());
        assert_eq!(probe(&file).density.map(Density::dpi), want, "{unit} {columns}");
    }
}

#[test]
fn densities_of_tiffs_are_read() {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).expect("a TIFF");
    let mut image = encoder.new_image::<tiff::encoder::colortype::Gray8>(4, 4).expect("an image");
    image.resolution_unit(tiff::tags::ResolutionUnit::Centimeter);
    image.x_resolution(tiff::encoder::Rational { n: 2362, d: 20 });
    image.write_data(&[7; 16]).expect("pixels");
    assert_eq!(probe(&bytes.into_inner()).density.map(Density::dpi), Some(299.97));
}

const PACKET: &[u8] =
    b"<?xpacket begin=''?><x:xmpmeta xmlns:x='adobe:ns:meta/'>caf\xc3\xa9</x:xmpmeta><?xpacket end='w'?>";

fn palette() -> Palette {
    Palette { kind: PaletteKind::Adaptive, diffuses: false, colours: 16 }
}

/// Lossless JPEGs there are none of: 4:4:4 at the best quality.
fn formats() -> Vec<(SourceFormat, EncodeSpec)> {
    let packings =
        [TiffPacking::None, TiffPacking::Zip, TiffPacking::Jpeg { quality: JpegQuality(100), chroma: Chroma::Full }];
    let mut all = vec![
        (SourceFormat::Jpeg, jpeg(100, Chroma::Full, false)),
        (SourceFormat::Jpeg, jpeg(90, Chroma::Half, true)),
        (SourceFormat::Png, EncodeSpec::Png),
        (SourceFormat::Png, EncodeSpec::Png8 { palette: palette() }),
        (SourceFormat::Webp, EncodeSpec::Webp { quality: WebpQuality(8000) }),
        (SourceFormat::Webp, EncodeSpec::WebpLossless),
    ];
    all.extend(packings.map(|packing| (SourceFormat::Tiff, EncodeSpec::Tiff { packing })));
    all
}

/// A packet goes through every format that has a place for it, and what is seen stays the same.
#[test]
fn packets_come_back() {
    for (source, spec) in formats() {
        for format in [PixelFormat::GREY, PixelFormat::RGB, PixelFormat::RGBA, GREY_ALPHA] {
            let is_jpeg =
                matches!(spec, EncodeSpec::Jpeg { .. } | EncodeSpec::Tiff { packing: TiffPacking::Jpeg { .. } });
            if is_jpeg && format.alpha {
                continue;
            }
            let image = computed(Size::new(61, 35), format);
            let image = crate::quality::pictures::as_stored(&image, &spec);
            let output = Output { embeds_xmp: true, ..Output::default() };
            for packet in [PACKET, &PACKET[..PACKET.len() - 1]] {
                let file = codec::encode_with(&image, &spec, &output, Some(packet)).expect("bytes");
                let back = codec::xmp(&mut std::io::Cursor::new(&file), source);
                assert_eq!(back.as_deref(), Some(packet), "{spec:?} {format:?}");
                let plain = codec::encode_with(&image, &spec, &Output::default(), Some(packet)).expect("bytes");
                assert_eq!(codec::xmp(&mut std::io::Cursor::new(&plain), source), None, "{spec:?} {format:?}");
                assert_eq!(decode_as(&file, DecodeAs::Rgb), decode_as(&plain, DecodeAs::Rgb), "{spec:?} {format:?}");
                let none = codec::encode_with(&image, &spec, &output, None).expect("bytes");
                assert_eq!(none, plain, "{spec:?} {format:?}: no packet, no place for one");
            }
        }
    }
}

#[test]
fn a_packet_too_large_for_a_segment_is_left_out() {
    let image = computed(Size::new(8, 8), PixelFormat::RGB);
    let output = Output { embeds_xmp: true, ..Output::default() };
    for (len, fits) in [(65_504, true), (65_505, false), (1 << 20, false)] {
        let packet = vec![b'x'; len];
        let file = codec::encode_with(&image, &jpeg(80, Chroma::Full, false), &output, Some(&packet)).expect("bytes");
        let back = codec::xmp(&mut std::io::Cursor::new(&file), SourceFormat::Jpeg);
        assert_eq!(back.is_some(), fits, "{len}");
    }
}

fn to(profile: Profile) -> Output {
    let conversion = Some(Conversion::To { profile, intent: Intent::Relative });
    Output { conversion, embeds_profile: true, ..Output::default() }
}

fn converted(image: &Image, spec: EncodeSpec, output: &Output) -> Vec<u8> {
    codec::encode_with(image, &spec, output, None).unwrap_or_else(|e| panic!("{spec:?} {output:?}: {e}"))
}

/// Converted, tagged, read again by its profile: the same colours. Without the profile they are others.
#[test]
fn profiles_say_what_the_colours_are() {
    for (profile, format) in [
        (Profile::AdobeRgb, PixelFormat::RGB),
        (Profile::DisplayP3, PixelFormat::RGB),
        (Profile::DisplayP3, PixelFormat::RGBA),
        (Profile::AdobeRgb, PixelFormat::GREY),
        (Profile::LinearGrey, PixelFormat::GREY),
        (Profile::Gamma22Grey, GREY_ALPHA),
    ] {
        let image = computed(Size::new(160, 120), format);
        let rgb = |image: &Image| match image.planes() {
            [grey, ..] if image.format().colour_planes() == 1 => vec![grey.clone(); 3],
            planes => planes[..3].to_vec(),
        };
        let rgb = |image: &Image| Image::from_planes(image.size(), PixelFormat::RGB, rgb(image));
        for (_, spec) in formats() {
            if !matches!(spec, EncodeSpec::Png | EncodeSpec::Tiff { packing: TiffPacking::None | TiffPacking::Zip }) {
                continue;
            }
            let file = converted(&image, spec, &to(profile));
            // 8 bits of linear light hold few dark levels.
            let most = if profile == Profile::LinearGrey { 60.0 } else { 2.0 };
            let off = mse(&rgb(&decode_as(&file, DecodeAs::Rgb)), &rgb(&image));
            assert!(off < most, "{profile:?} {format:?} {spec:?}: {off}");
            let untagged = Output { embeds_profile: false, ..to(profile) };
            let off = mse(&rgb(&decode_as(&converted(&image, spec, &untagged), DecodeAs::Rgb)), &rgb(&image));
            assert!(profile == Profile::Gamma22Grey || off > 1.5, "{profile:?} {format:?} {spec:?}: {off}");
        }
    }
}

#[test]
fn srgb_is_tagged_without_a_change() {
    for format in [PixelFormat::GREY, PixelFormat::RGB] {
        let image = computed(Size::new(40, 30), format);
        let tagged = Output { embeds_profile: true, ..Output::default() };
        for (_, spec) in formats() {
            let image = crate::quality::pictures::as_stored(&image, &spec);
            let (file, plain) = (converted(&image, spec, &tagged), encode(&image, &spec));
            assert!(!probe(&file).converts_profile, "{spec:?}");
            let takes = !matches!(spec, EncodeSpec::Webp { .. } | EncodeSpec::WebpLossless);
            assert!(!takes || file.len() > plain.len() + 100, "{spec:?}: {} and {}", file.len(), plain.len());
        }
    }
}

/// Inks by arithmetic come back as the colours they were made of; those of a press nearly.
#[test]
fn inks_come_back_as_colours() {
    let image = computed(Size::new(160, 120), PixelFormat::RGB);
    let lossy = jpeg(100, Chroma::Half, false);
    let lossy_strip =
        EncodeSpec::Tiff { packing: TiffPacking::Jpeg { quality: JpegQuality(100), chroma: Chroma::Half } };
    let lossless = [TiffPacking::None, TiffPacking::Lzw, TiffPacking::Zip].map(|packing| EncodeSpec::Tiff { packing });
    for spec in lossless.into_iter().chain([lossy, lossy_strip]) {
        let inks = Output { conversion: Some(Conversion::Inks), ..Output::default() };
        let back = decode_as(&converted(&image, spec, &inks), DecodeAs::Rgb);
        let most = if spec == lossy || spec == lossy_strip { 4.0 } else { 0.5 };
        assert!(mse(&back, &image) < most, "{spec:?}: {}", mse(&back, &image));
        match codec::encode_with(&image, &spec, &to(Profile::Press), None) {
            Ok(file) => {
                assert!(probe(&file).converts_profile, "{spec:?}");
                let off = mse(&decode_as(&file, DecodeAs::Rgb), &image);
                println!("{spec:?} by a press: mean squared error {off:.0}");
                assert!(off < 600.0, "{spec:?}: {off}");
            }
            Err(Error::NotSupported { key: "icc", got }) => println!("{got}"),
            Err(error) => panic!("{spec:?}: {error}"),
        }
    }
    let grey = computed(Size::new(30, 20), PixelFormat::GREY);
    let inks = Output { conversion: Some(Conversion::Inks), ..Output::default() };
    let file = converted(&grey, EncodeSpec::Tiff { packing: TiffPacking::None }, &inks);
    let back = decode_as(&file, DecodeAs::Rgb);
    assert!(back.planes().iter().all(|plane| plane.data() == grey.planes()[0].data()), "grey is black alone");
}
