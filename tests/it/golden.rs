//! Did the picture change? The scalar engine on computed pictures, against PNGs in `data/golden/`; `UPDATE=1` rewrites
//! them. The other engines are held to the scalar one elsewhere.

use std::path::Path;
use std::sync::Arc;

use calotype::engine::scalar::Scalar;
use calotype::kernel::{Axis, Kernel};
use calotype::pixel::{Image, Model, PixelFormat, Size, WorkingSpace, testcard};
use calotype::plan::{Fill, Pass, Unsharp};

use crate::support::{Tolerance, assert_close, plan, render, resample, write_png};

fn resize(src: Size, dst: Size, kernel: Kernel, space: WorkingSpace) -> Vec<Pass> {
    vec![
        Pass::Load { space, add_alpha: false },
        Pass::ResizeH(resample(kernel, Axis::whole(src.w, dst.w))),
        Pass::ResizeV(resample(kernel, Axis::whole(src.h, dst.h))),
        Pass::Pack { space },
    ]
}

#[test]
fn pictures_are_as_they_were() {
    // The testcards use `sin` and `exp`, whose last bit differs between platforms, so each golden is a level wide.
    let off_by_one = Tolerance::Levels(1);
    let chart = Arc::new(testcard::chart(Size::new(240, 180)));
    let vase = Arc::new(testcard::vase(Size::new(150, 150), 3));
    let unsharp = Unsharp { amount_q10: 1792, radius_q20: 1 << 19, threshold: 2, mono: false };
    let small = Size::new(80, 60);
    let mut goldens: Vec<(String, &Arc<Image>, Size, Vec<Pass>)> = Kernel::ALL
        .iter()
        .map(|kernel| {
            let passes = resize(chart.size(), small, *kernel, WorkingSpace::Encoded);
            (format!("chart-{kernel}"), &chart, small, passes)
        })
        .collect();
    let linear = resize(chart.size(), small, Kernel::Sharp2, WorkingSpace::Linear);
    goldens.push((String::from("chart-sharp2-linear"), &chart, small, linear));
    let mut sharp = resize(chart.size(), small, Kernel::Bicub, WorkingSpace::Encoded);
    sharp.extend([Pass::UnsharpH(unsharp), Pass::UnsharpV(unsharp)]);
    goldens.push((String::from("chart-bicub-unsharp"), &chart, small, sharp));
    let square = Size::new(50, 50);
    let cut_out = resize(vase.size(), square, Kernel::Sharp2, WorkingSpace::Encoded);
    goldens.push((String::from("vase-sharp2"), &vase, square, cut_out.clone()));
    let view = Size::new(60, 54);
    let mut flat = cut_out;
    flat.extend([Pass::Sharpen, Pass::Place { canvas: view, x: 5, y: 2, fill: Fill::Opaque([250, 240, 220]) }]);
    goldens.push((String::from("vase-flat"), &vase, view, flat));

    for (name, source, size, passes) in goldens {
        let got = render(&Scalar, source, &[plan(source.size(), size, passes)]).remove(0).expect("scalar cannot fail");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden").join(format!("{name}.png"));
        if std::env::var_os("UPDATE").is_some_and(|v| v == "1") {
            write_png(&path, &got);
        }
        assert_close(&format!("golden {name}"), &read_png(&path), &got, off_by_one);
    }
}

fn read_png(path: &Path) -> Image {
    let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}; UPDATE=1 writes it", path.display()));
    let mut reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().expect("a PNG header");
    let mut data = vec![0; reader.output_buffer_size().expect("a small picture")];
    let info = reader.next_frame(&mut data).expect("PNG rows");
    let (model, alpha) = match info.color_type {
        png::ColorType::Grayscale => (Model::Grey, false),
        png::ColorType::GrayscaleAlpha => (Model::Grey, true),
        png::ColorType::Rgb => (Model::Rgb, false),
        png::ColorType::Rgba => (Model::Rgb, true),
        png::ColorType::Indexed => unreachable!("goldens are written without a palette"),
    };
    Image::from_interleaved(Size::new(info.width, info.height), PixelFormat { model, alpha }, &data)
}
