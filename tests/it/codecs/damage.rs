//! Damaged files: what is there is shown, and is what the whole file shows there.

use calotype::codec;
use calotype::error::Error;
use calotype::pixel::{Chroma, Image, PixelFormat, Plane, Size, testcard};
use calotype::plan::{DecodeAs, EncodeSpec, WebpQuality};

use super::{allow_all, corpus, decode_as, encode, jpeg, make};

/// What a cut file has to show.
#[derive(Clone, Copy, Debug)]
enum Shows {
    /// The rows of the whole picture from the top, one after the other.
    Rows,
    /// The same of its first component; the others may be grey.
    FirstComponent,
    /// The whole picture, in less detail.
    LessDetail,
}

fn by_jpeg_encoder(image: &Image, factor: jpeg_encoder::SamplingFactor, restart: u16, optimised: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 90);
    encoder.set_sampling_factor(factor);
    encoder.set_optimized_huffman_tables(optimised);
    if restart > 0 {
        encoder.set_restart_interval(restart);
    }
    let side = |v| u16::try_from(v).expect("a small picture");
    encoder
        .encode(&image.to_interleaved(), side(image.size().w), side(image.size().h), jpeg_encoder::ColorType::Rgb)
        .expect("bytes");
    bytes
}

fn gif(image: &Image, interlaced: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let side = |v| u16::try_from(v).expect("a small picture");
    let palette: Vec<u8> = (0..=255).flat_map(|v| [v, v, v]).collect();
    let (w, h) = (side(image.size().w), side(image.size().h));
    let mut encoder = gif::Encoder::new(&mut bytes, w, h, &palette).expect("an encoder");
    let passes: &[(u16, usize)] = if interlaced { &[(0, 8), (4, 8), (2, 4), (1, 2)] } else { &[(0, 1)] };
    let order = passes.iter().flat_map(|&(from, step)| (from..h).step_by(step));
    let pixels: Vec<u8> = order.flat_map(|y| image.planes()[0].row(y.into()).to_vec()).collect();
    let mut page = gif::Frame::from_indexed_pixels(w, h, pixels, None);
    page.interlaced = interlaced;
    encoder.write_frame(&page).expect("a page");
    drop(encoder);
    bytes
}

/// Every kind of file that can be cut, and what is left of it.
fn kinds(photo: &Image) -> Vec<(&'static str, Vec<u8>, Shows)> {
    use jpeg_encoder::SamplingFactor as Factor;
    let encode = |image: &Image, spec| encode(image, &spec);
    let grey = Image::from_planes(photo.size(), PixelFormat::GREY, photo.planes()[..1].to_vec());
    let mut planes = photo.planes().to_vec();
    planes.push(Plane::from_vec(photo.size(), photo.planes()[1].data().iter().map(|v| v | 15).collect()));
    let rgba = Image::from_planes(photo.size(), PixelFormat::RGBA, planes);
    let lossy = EncodeSpec::Webp { quality: WebpQuality(9000) };
    vec![
        ("jpeg grey", encode(&grey, jpeg(90, Chroma::Half, false)), Shows::Rows),
        ("jpeg 4:4:4", by_jpeg_encoder(photo, Factor::F_1_1, 0, false), Shows::Rows),
        ("jpeg 4:2:0", by_jpeg_encoder(photo, Factor::F_2_2, 0, false), Shows::Rows),
        ("jpeg 4:2:0 with restarts", by_jpeg_encoder(photo, Factor::F_2_2, 16, false), Shows::Rows),
        ("jpeg by component 4:2:0", encode(photo, jpeg(90, Chroma::Half, false)), Shows::FirstComponent),
        (
            "jpeg by component 4:2:0 with restarts",
            by_jpeg_encoder(photo, Factor::F_2_2, 16, true),
            Shows::FirstComponent,
        ),
        ("jpeg by component 4:4:4", encode(photo, jpeg(90, Chroma::Full, false)), Shows::FirstComponent),
        ("jpeg progressive 4:2:0", encode(photo, jpeg(90, Chroma::Half, true)), Shows::LessDetail),
        ("jpeg progressive 4:4:4", encode(photo, jpeg(90, Chroma::Full, true)), Shows::LessDetail),
        ("png", encode(photo, EncodeSpec::Png), Shows::Rows),
        ("png with alpha", encode(&rgba, EncodeSpec::Png), Shows::Rows),
        ("png interlaced", make::png(photo.size(), [2, 8, 1], &[], &make::adam7(photo)), Shows::LessDetail),
        ("gif", gif(photo, false), Shows::Rows),
        ("gif interlaced", gif(photo, true), Shows::LessDetail),
        ("webp", encode(photo, lossy), Shows::Rows),
    ]
}

/// What codes its tables first may have nothing to show yet; then it says so.
#[test]
fn a_lossless_webp_cut_short_is_a_picture_or_says_that_it_is_broken() {
    let photo = testcard::photo(Size::new(320, 214), 5);
    let whole = codec::encode(&photo, &EncodeSpec::WebpLossless).expect("bytes");
    for tenths in 1..10 {
        let cut = &whole[..whole.len() * tenths / 10];
        let header = codec::probe(&mut std::io::Cursor::new(cut), &allow_all()).expect("a header");
        match codec::decode(cut, &header, DecodeAs::Rgb) {
            Ok(image) => {
                let alike = part_alike(&image, &photo);
                println!("{tenths}/10: {alike:.2} of the rows");
                assert!(alike > 0.0, "{tenths}/10 shows nothing of the picture");
            }
            Err(error) => assert!(error.to_string().starts_with("broken webp source: "), "{error}"),
        }
    }
}

/// Mean difference of two rows of all planes, levels.
fn row_difference(a: &Image, b: &Image, y: usize) -> f64 {
    let pairs = || a.planes().iter().zip(b.planes()).flat_map(|(a, b)| a.row(y).iter().zip(b.row(y)));
    pairs().map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / pairs().count() as f64
}

fn mean_difference(a: &Image, b: &Image) -> f64 {
    (0..a.size().h as usize).map(|y| row_difference(a, b, y)).sum::<f64>() / f64::from(a.size().h)
}

/// The picture of one grey.
fn flat(image: &Image) -> Image {
    let mut flat = image.clone();
    flat.planes_mut().iter_mut().for_each(|plane| plane.data_mut().fill(128));
    flat
}

/// The part of the rows, from the top, that came out as in the whole picture.
fn part_alike(got: &Image, want: &Image) -> f64 {
    let h = want.size().h as usize;
    (0..h).take_while(|&y| row_difference(got, want, y) < 2.0).count() as f64 / h as f64
}

/// Decodes `whole` cut to `part` of its bytes, and checks what it shows.
fn check_cut(what: &str, whole: &[u8], part: f64, shows: Shows) {
    let decode = if matches!(shows, Shows::FirstComponent) { DecodeAs::Native } else { DecodeAs::Rgb };
    let first_alone = |image: Image| match shows {
        Shows::FirstComponent => Image::from_planes(image.size(), PixelFormat::GREY, image.planes()[..1].to_vec()),
        Shows::Rows | Shows::LessDetail => image,
    };
    let want = first_alone(decode_as(whole, decode));
    #[expect(clippy::cast_possible_truncation, reason = "part of a length")]
    let cut = &whole[..(whole.len() as f64 * part) as usize];
    let header = codec::probe(&mut std::io::Cursor::new(cut), &allow_all()).unwrap_or_else(|e| panic!("{what}: {e}"));
    let got = codec::decode(cut, &header, decode).unwrap_or_else(|e| panic!("{what} at {part}: {e}"));
    save(what, part, &got);
    let got = first_alone(got);
    assert_eq!(got.size(), want.size(), "{what}");
    match shows {
        Shows::Rows | Shows::FirstComponent => {
            let alike = part_alike(&got, &want);
            println!("{what}: {alike:.2} of the rows from {part} of the bytes");
            // Bytes are not spread evenly over the rows, and tables come first.
            assert!(alike >= part - 0.25, "{what} at {part}: only {alike:.2} of the rows");
        }
        Shows::LessDetail => {
            let (mean, nothing) = (mean_difference(&got, &want), mean_difference(&flat(&want), &want));
            println!("{what}: {mean:.1} levels from the whole, a flat grey is {nothing:.1}, from {part} of the bytes");
            assert!(mean < nothing / 2.0, "{what} at {part}: {mean} levels from the whole picture, grey {nothing}");
        }
    }
}

/// With `SHOW` set, writes the picture into `target/damage`, for eyes.
fn save(what: &str, part: f64, image: &Image) {
    if std::env::var_os("SHOW").is_some() && image.format().model != calotype::pixel::Model::Ycbcr(Chroma::Full) {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/damage");
        std::fs::create_dir_all(&folder).expect("a folder");
        let png = codec::encode(image, &EncodeSpec::Png).expect("bytes");
        std::fs::write(folder.join(format!("{what} {part}.png").replace([' ', ':'], "_")), png).expect("written");
    }
}

#[test]
fn a_computed_picture_cut_short_shows_what_is_there() {
    for (name, whole, shows) in kinds(&testcard::photo(Size::new(383, 257), 7)) {
        for part in [0.3, 0.6, 0.9] {
            check_cut(name, &whole, part, shows);
        }
    }
}

#[test]
fn photographs_cut_short_show_what_is_there() {
    let Some(corpus) = corpus() else { return };
    for (file, shows, parts) in [
        ("photos/097cb426.jpg", Shows::Rows, &[0.3, 0.6, 0.9][..]),
        // Scans that refine what others began.
        ("jpeg-variants/progressive_420_7680x4320.jpg", Shows::LessDetail, &[0.3, 0.6]),
        ("large/space.jpg", Shows::Rows, &[0.5]),
    ] {
        let Ok(whole) = std::fs::read(corpus.join(file)) else { panic!("{file} is not in the corpus") };
        for &part in parts {
            check_cut(file.rsplit('/').next().unwrap_or(file), &whole, part, shows);
        }
    }
}

/// Cut anywhere, also in the middle of headers and tables: once the first pixels are there, they are shown.
#[test]
fn wherever_a_jpeg_is_cut_it_is_shown() {
    let photo = testcard::photo(Size::new(90, 70), 7);
    for (name, whole, _) in kinds(&photo).into_iter().filter(|kind| kind.0.starts_with("jpeg")) {
        let first = whole.windows(2).position(|w| w == [0xff, 0xda]).expect("a scan") + 14;
        let want = decode_as(&whole, DecodeAs::Rgb);
        let mut refused = Vec::new();
        for end in (first + 40..whole.len()).step_by(7) {
            match codec::probe(&mut std::io::Cursor::new(&whole[..end]), &allow_all())
                .and_then(|header| codec::decode(&whole[..end], &header, DecodeAs::Rgb))
            {
                Ok(image) => assert_eq!(image.size(), want.size()),
                Err(error) => refused.push((end, error.to_string())),
            }
        }
        assert!(refused.is_empty(), "{name}, {} bytes: {refused:?}", whole.len());
    }
}

/// A file of which not one row is left, and one that is damaged rather than short, say so.
#[test]
fn nothing_left_is_an_error_that_names_it() {
    let photo = testcard::photo(Size::new(90, 70), 7);
    for (name, whole, _) in kinds(&photo) {
        for end in [20, 34, 60] {
            let result = codec::probe(&mut std::io::Cursor::new(&whole[..end]), &allow_all())
                .and_then(|header| codec::decode(&whole[..end], &header, DecodeAs::Native));
            match result {
                Err(Error::BrokenSource { format, reason }) => {
                    assert!(name.starts_with(format) && !reason.is_empty(), "{name}: {format}, {reason}");
                }
                other => panic!("{name} cut to {end} bytes: {:?}", other.map(|image| image.size())),
            }
        }
    }
}
