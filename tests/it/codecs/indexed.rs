//! Pictures by palette: GIF and PNG of at most 256 colours.

use calotype::codec;
use calotype::pixel::{Image, PixelFormat, Plane, Size, testcard};
use calotype::plan::{DecodeAs, EncodeSpec, Output, Palette, PaletteKind};

use super::make::computed;
use super::{GREY_ALPHA, decode_as, mse};

fn palette(kind: PaletteKind, diffuses: bool, colours: u16) -> Palette {
    Palette { kind, diffuses, colours }
}

fn both(palette: Palette) -> [EncodeSpec; 2] {
    [EncodeSpec::Gif { palette }, EncodeSpec::Png8 { palette }]
}

fn back(image: &Image, spec: EncodeSpec, colours: &[[u8; 3]]) -> Image {
    let output = Output { colours: colours.to_vec(), ..Output::default() };
    let bytes = codec::encode_with(image, &spec, &output, None).unwrap_or_else(|e| panic!("{spec:?}: {e}"));
    decode_as(&bytes, DecodeAs::Rgb)
}

/// Every value of a grey picture, and the few colours of a drawing, come back as they were, at each depth of PNG.
#[test]
fn few_colours_are_lossless() {
    for size in [Size::new(1, 1), Size::new(1, 9), Size::new(67, 5), Size::new(300, 200)] {
        for most in [1, 2, 3, 4, 5, 16, 17, 255, 256] {
            let data: Vec<u8> = (0..size.samples())
                .flat_map(|i| {
                    let v = u8::try_from(i * 7 % most).expect("a level");
                    [v, v / 2, 255 - v]
                })
                .collect();
            let image = Image::from_interleaved(size, PixelFormat::RGB, &data);
            for spec in both(palette(PaletteKind::Adaptive, true, 256)) {
                assert_eq!(back(&image, spec, &[]).to_interleaved(), data, "{spec:?} {size} {most}");
            }
        }
        let grey = computed(size, PixelFormat::GREY);
        for spec in both(palette(PaletteKind::Adaptive, true, 256)) {
            let back = back(&grey, spec, &[]);
            assert!((0..3).all(|c| back.planes()[c].data() == grey.planes()[0].data()), "{spec:?} {size}");
        }
    }
}

#[test]
fn what_is_clear_stays_clear() {
    for format in [PixelFormat::RGBA, GREY_ALPHA] {
        let image = computed(Size::new(123, 77), format);
        for spec in both(palette(PaletteKind::Adaptive, true, 256)) {
            let back = back(&image, spec, &[]);
            let alpha = back.alpha().expect("a key");
            for (got, was) in alpha.data().iter().zip(image.alpha().expect("alpha").data()) {
                assert_eq!(*got, if *was < 128 { 0 } else { 255 }, "{spec:?}");
            }
        }
    }
    // All of it is: there is no colour.
    let clear = Image::new(Size::new(3, 2), PixelFormat::RGBA);
    for spec in both(palette(PaletteKind::Adaptive, true, 256)) {
        assert!(back(&clear, spec, &[]).alpha().expect("a key").data().iter().all(|&v| v == 0), "{spec:?}");
    }
    // Nothing is clear: no key.
    let mut planes = testcard::photo(Size::new(20, 20), 1).into_planes();
    planes.push(Plane::from_vec(Size::new(20, 20), vec![255; 400]));
    let opaque = Image::from_planes(Size::new(20, 20), PixelFormat::RGBA, planes);
    for spec in both(palette(PaletteKind::Adaptive, true, 256)) {
        assert!(back(&opaque, spec, &[]).alpha().is_none(), "{spec:?}");
    }
}

/// Median cut as it is in textbooks: the longest box along its longest side, at the median of its pixels.
fn median_cut(image: &Image, most: usize) -> Image {
    let pixels: Vec<[u8; 3]> = image.to_interleaved().as_chunks::<3>().0.to_vec();
    let mut boxes = vec![pixels.clone()];
    let side = |part: &[[u8; 3]], c: usize| {
        let values = || part.iter().map(|px| px[c]);
        values().max().unwrap_or(0) - values().min().unwrap_or(0)
    };
    while boxes.len() < most {
        let longest = |part: &[[u8; 3]]| (0..3).map(|c| (side(part, c), c)).max().expect("three sides");
        let (i, _) = boxes.iter().enumerate().max_by_key(|(_, part)| longest(part).0).expect("a box");
        let axis = longest(&boxes[i]).1;
        let mut part = boxes.swap_remove(i);
        part.sort_unstable_by_key(|px| px[axis]);
        let rest = part.split_off(part.len() / 2);
        boxes.extend([part, rest]);
    }
    let mean = |part: &Vec<[u8; 3]>| {
        std::array::from_fn(|c| {
            let sum: usize = part.iter().map(|px| usize::from(px[c])).sum();
            u8::try_from(sum / part.len()).expect("a mean of bytes")
        })
    };
    let colours: Vec<[u8; 3]> = boxes.iter().map(mean).collect();
    let apart = |a: [u8; 3], b: [u8; 3]| -> u32 { (0..3).map(|c| u32::from(a[c].abs_diff(b[c])).pow(2)).sum() };
    let nearest = |px: &[u8; 3]| *colours.iter().min_by_key(|colour| apart(**colour, *px)).expect("a colour");
    Image::from_interleaved(
        image.size(),
        PixelFormat::RGB,
        pixels.iter().map(nearest).collect::<Vec<_>>().as_flattened(),
    )
}

/// Without diffusion, squared error says which palette is better.
#[test]
fn palettes_are_better_than_by_median_cut() {
    for seed in [1, 2, 3] {
        let image = testcard::photo(Size::new(240, 160), seed);
        for most in [8, 64, 256] {
            let ours = back(&image, EncodeSpec::Png8 { palette: palette(PaletteKind::Adaptive, false, most) }, &[]);
            let theirs = median_cut(&image, usize::from(most));
            let (ours, theirs) = (mse(&ours, &image), mse(&theirs, &image));
            println!("photo {seed}, {most} colours: mean squared error {ours:.1}, by median cut {theirs:.1}");
            assert!(ours < theirs * 0.9, "{seed} {most}: {ours} against {theirs}");
        }
    }
}

#[test]
fn files_of_few_colours_are_small() {
    let size = Size::new(800, 600);
    let mut image = Image::new(size, PixelFormat::GREY);
    image.planes_mut()[0].data_mut().chunks_exact_mut(7).for_each(|run| run[3] = 255);
    let bytes = codec::encode(&image, &EncodeSpec::Png8 { palette: palette(PaletteKind::Adaptive, true, 256) });
    // One bit a pixel before it is compressed.
    assert!(bytes.expect("bytes").len() < size.samples() / 8);
}
