//! What files say beside their pixels, out and in again.

use calotype::codec::{self, Extras};
use calotype::pixel::{Chroma, Density, PixelFormat, Size};
use calotype::plan::EncodeSpec;

use super::make::computed;
use super::{jpeg, probe};

#[test]
fn densities_come_back() {
    let image = computed(Size::new(20, 10), PixelFormat::RGB);
    for (dpi, in_jpeg) in [(2.0, 2.0), (72.0, 72.0), (300.0, 300.0), (71.5, 72.0), (65_535.0, 65_535.0)] {
        let extras = Extras { density: Density::from_dpi(dpi), ..Extras::default() };
        let back = |spec| probe(&codec::encode_with(&image, &spec, &extras).expect("bytes")).density.map(Density::dpi);
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
