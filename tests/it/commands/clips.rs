//! Do paths cut where they should, whatever else is done to the picture?

use std::sync::Arc;

use calotype::decide::{Hints, decide};
use calotype::engine::scalar::Scalar;
use calotype::engine::{Cancel, Job, run};
use calotype::error::Error;
use calotype::limits;
use calotype::pixel::{Image, Outline, Path, Piece, PixelFormat, Plane, Size};
use calotype::plan::{Header, Mask, Pass, Plan, Side, SourcePath};
use calotype::request::{self, Commands};

use super::random::pick;
use super::{company, header};
use crate::support::SplitMix64;

const SIZE: Size = Size::new(120, 80);

/// A bent outline around the middle of [`SIZE`], not like its own mirror image, in pixels.
fn bag() -> Path {
    let point = |x: i64, y: i64| [x, y].map(|v| v * SourcePath::UNITS_PER_PX);
    let pieces = vec![
        Piece::Line(point(90, 12)),
        Piece::Curve([point(110, 40), point(100, 60), point(70, 70)]),
        Piece::Line(point(20, 50)),
    ];
    Path { outlines: vec![Outline { start: point(30, 20), pieces }] }
}

pub(super) fn paths() -> Arc<[SourcePath]> {
    let triangle = Path {
        outlines: vec![Outline {
            start: [0; 2],
            pieces: [[60, 0], [60, 40]].map(|p| Piece::Line(p.map(|v| v * SourcePath::UNITS_PER_PX))).to_vec(),
        }],
    };
    [("Bag", bag()), ("Wedge", triangle)]
        .map(|(name, path)| SourcePath { name: name.to_owned(), path, is_closed: true })
        .to_vec()
        .into()
}

fn parsed(query: &str) -> Commands {
    let commands = request::parse(query, &company()).unwrap_or_else(|e| panic!("{query}: {e}"));
    assert_eq!(commands.wants_paths(), query.contains("PathE") || query.contains("pathEmbed=1"), "{query}");
    commands.with_paths(&paths())
}

fn planned(query: &str, format: PixelFormat) -> Result<Plan, Error> {
    let header = Header { size: SIZE, native: format, ..header("P") };
    let (commands, company) = (parsed(query), company());
    let decision = decide(&commands, &header, &company, &Hints::default())?;
    request::plan(&commands, &header, &company, &decision)
}

/// A picture, opaque or with this alpha, rendered.
fn rendered(query: &str, alpha: Option<Plane<u8>>) -> Image {
    let format = if alpha.is_some() { PixelFormat::RGBA } else { PixelFormat::RGB };
    let mut planes = vec![Plane::from_vec(SIZE, vec![90; SIZE.samples()]); 3];
    planes.extend(alpha);
    let source = Arc::new(Image::from_planes(SIZE, format, planes));
    let plan = Arc::new(planned(query, format).unwrap_or_else(|e| panic!("{query}: {e}")));
    let job = Job { source, plans: vec![plan], cancel: Cancel::default() };
    run(&Scalar, job).images.remove(0).unwrap_or_else(|e| panic!("{query}: {e}"))
}

/// What the path leaves of the source, at its own size.
fn stencil(path: &Path, side: Side) -> Plane<u8> {
    let path = path.mapped(|point| point.map(|v| v / (SourcePath::UNITS_PER_PX / 256)));
    Mask { paths: vec![(path, side)] }.coverage(SIZE)
}

fn alpha(image: &Image) -> &Plane<u8> {
    image.alpha().expect("a clipped picture has alpha")
}

/// Mean difference of two alphas, levels.
fn apart(a: &Image, b: &Image) -> f64 {
    assert_eq!(a.size(), b.size());
    let sum: u64 = alpha(a).data().iter().zip(alpha(b).data()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.size().pixels() as f64
}

/// Clipped by a path of its own, a picture looks as if it had come with that alpha.
#[test]
fn paths_of_the_source_follow_the_picture() {
    let mut random = SplitMix64::new("paths_of_the_source_follow_the_picture");
    let moves = [
        "rotate=90",
        "rotate=180",
        "rotate=33",
        "rotate=-71&flip=ud",
        "flip=lr",
        "layer=0&flip=ud&layer=comp",
        "layer=0&flip=lr&rotate=90&layer=comp&flip=ud",
        "crop=20,10,80,60",
        "crop=-10,5,150,60",
        "size=70,0",
        "scale=2",
        "extend=5,9,-3,0",
        "rgn=30,20,50,30",
        "wid=60",
        "wid=100&hei=100",
        "scl=2&rect=5,5,40,20",
        "fit=crop,1&wid=200&hei=60",
        "scl=1",
    ];
    for _ in 0..120 {
        let chosen: Vec<&str> = (0..random.within(0, 5)).map(|_| pick(&mut random, &moves[..])).collect();
        let base = format!("{}&fmt=png-alpha", chosen.join("&"));
        let scope = ["", "layer=0&"][random.within(0, 2) as usize];
        let clipped = rendered(&format!("{base}&{scope}clipPathE=Bag"), None);
        let wanted = rendered(&base, Some(stencil(&bag(), Side::Inside)));
        let unlike = apart(&clipped, &wanted);
        assert!(unlike < 3.0, "{scope}{base}: {unlike:.2} levels apart on average");
        // And the comparison can fail.
        let inverted = rendered(&base, Some(stencil(&bag(), Side::Outside)));
        let area = alpha(&wanted).data().iter().filter(|&&a| a > 128).count();
        assert!(area < 200 || apart(&clipped, &inverted) > 10.0, "{base}: says nothing");
    }
}

/// The alpha of a row of the reply, run by run.
fn runs(image: &Image, y: usize) -> Vec<(u8, usize)> {
    let mut runs: Vec<(u8, usize)> = Vec::new();
    for &a in alpha(image).row(y) {
        match runs.last_mut() {
            Some((level, len)) if *level == a => *len += 1,
            _ => runs.push((a, 1)),
        }
    }
    runs
}

#[test]
fn paths_of_the_url_are_in_pixels_of_what_they_clip() {
    let of = |query: &str, y: usize| runs(&rendered(&format!("{query}&fmt=png-alpha"), None), y);
    let half = "clipPath=M0,0,L60,0,60,80,0,80,Z";
    assert_eq!(of(half, 40), [(255, 60), (0, 60)]);
    assert_eq!(of(&format!("{half}&scl=2"), 20), [(255, 30), (0, 30)]);
    assert_eq!(of(&format!("{half}&size=240,0&scl=1"), 20), [(255, 60), (0, 180)]);
    assert_eq!(of(&format!("{half}&extend=10,0,0,0"), 20), [(0, 10), (255, 50), (0, 70)]);
    assert_eq!(of(&format!("{half}&flip=lr"), 20), [(0, 60), (255, 60)]);
    assert_eq!(of(&format!("{half}&crop=30,0,90,80"), 20), [(255, 60), (0, 30)]);
    assert_eq!(of(&format!("{half}&rotate=90&bgColor=ff0000"), 20), [(255, 60), (0, 20)]);
    // In layer 0, before it is turned and extended, after it is mirrored.
    assert_eq!(of(&format!("layer=0&{half}&rotate=90"), 20), [(255, 80)]);
    assert_eq!(alpha(&rendered(&format!("layer=0&{half}&rotate=90&fmt=png-alpha"), None)).row(70)[40], 0);
    assert_eq!(of(&format!("layer=0&{half}&flip=lr&extend=10,0,0,0"), 20), [(0, 10), (255, 60), (0, 60)]);
    assert_eq!(of(&format!("layer=0&{half}&size=60,0&layer=comp&scl=1"), 20), [(255, 60)]);
    // Halves of pixels.
    assert_eq!(of("clipPath=M0,0,L60.5,0,60.5,80,0,80,Z", 40), [(255, 60), (128, 1), (0, 59)]);
}

#[test]
fn several_paths_leave_what_all_of_them_leave() {
    let of = |query: &str, y: usize| runs(&rendered(&format!("{query}&fmt=png-alpha"), None), y);
    let (left, hole) = ("clipPath=M0,0,L60,0,60,80,0,80,Z", "clipXPath=M20,0,L40,0,40,80,20,80,Z");
    assert_eq!(of(&format!("{left}&{hole}"), 9), [(255, 20), (0, 20), (255, 20), (0, 60)]);
    // Without anything to cut out of, nothing is cut out.
    assert!(!planned(hole, PixelFormat::RGB).unwrap().passes.iter().any(|pass| matches!(pass, Pass::Mask(_))));
    assert!(!planned("clipXPathE=Bag", PixelFormat::RGB).unwrap().passes.iter().any(|p| matches!(p, Pass::Mask(_))));
    // Unknown names do not count, known ones all do.
    assert_eq!(of(&format!("{left}&clipPathE=Nope,bag"), 9), [(255, 60), (0, 60)]);
    let both = rendered("clipPathE=Bag,Wedge&fmt=png-alpha", None);
    let (bag, wedge) = (stencil(&bag(), Side::Inside), stencil(&paths()[1].path, Side::Inside));
    let product = bag.data().iter().zip(wedge.data()).map(|(a, b)| a.min(b)).copied();
    assert!(alpha(&both).data().iter().zip(product).all(|(got, most)| *got <= most));
    assert_eq!(alpha(&both).row(30)[55], 255);
    let without = rendered("clipPathE=Bag&clipXPathE=Wedge&fmt=png-alpha", None);
    assert_eq!((alpha(&without).row(30)[55], alpha(&without).row(60)[60]), (0, 255));
    // The last one of a name counts.
    assert_eq!(of(&format!("clipPath=M0,0,L1,0,1,1,Z&{left}"), 9), [(255, 60), (0, 60)]);
    // Without a format that keeps it, what is cut away shows what is behind.
    let flat = rendered(&format!("{left}&bgc=ff0000&fmt=png"), None);
    let at = |x: usize| [0, 1, 2].map(|c| flat.planes()[c].row(9)[x]);
    assert_eq!((at(10), at(100)), ([90; 3], [255, 0, 0]));
}

#[test]
fn paths_are_bounded_together() {
    let points = |count: i64| {
        let pieces = (0..count).map(|i| Piece::Line([i << 16, (i * i % 80) << 16])).collect();
        Path { outlines: vec![Outline { start: [0; 2], pieces }] }
    };
    let source = |name: &str, count| SourcePath { name: name.to_owned(), path: points(count), is_closed: true };
    let paths: Arc<[SourcePath]> = [source("a", 10_000), source("b", 10_000)].to_vec().into();
    let outcome = |query: &str| {
        let (company, header) = (company(), header("P"));
        let commands = request::parse(query, &company).expect(query).with_paths(&paths);
        let decision = decide(&commands, &header, &company, &Hints::default())?;
        request::plan(&commands, &header, &company, &decision)
    };
    assert!(outcome("clipPathE=a,a,a,a").is_ok() && outcome("clipPathE=b&layer=0&clipPathE=a").is_ok());
    for query in ["clipPathE=a,b", "clipPathE=a&clipXPathE=b"] {
        let error = outcome(query).expect_err(query).to_string();
        assert!(error.contains("clipPathE") && error.contains("20002 points"), "{query}: {error}");
    }
    let error = outcome("pathEmbed=1").expect_err("too many").to_string();
    assert!(error.contains("pathEmbed=\"20002 points\""), "{error}");
    let fits = "a,".repeat(limits::PATH_NAMES_MAX - 1) + "a";
    assert!(request::parse(&format!("clipPathE={fits}"), &company()).is_ok());
    assert!(request::parse(&format!("clipPathE={fits},a"), &company()).is_err());
}

#[test]
fn embedded_paths_lie_where_the_picture_does() {
    let of = |query: &str| planned(query, PixelFormat::RGB).unwrap_or_else(|e| panic!("{query}: {e}")).output.paths;
    assert!(of("").is_empty() && of("pathEmbed=0").is_empty());
    let bounds = |query: &str| {
        let paths = of(query);
        assert_eq!(paths.iter().map(|path| path.name.as_str()).collect::<Vec<_>>(), ["Bag", "Wedge"], "{query}");
        let [least, most] = paths[1].path.bounds().expect("points");
        #[expect(clippy::cast_possible_truncation, reason = "small")]
        [least, most].map(|point| point.map(|v| (v / SourcePath::UNITS_PER_PX as f64).round() as i64))
    };
    assert_eq!(bounds("pathEmbed=1"), [[0, 0], [60, 40]]);
    assert_eq!(bounds("pathEmbed=1&wid=60"), [[0, 0], [30, 20]]);
    assert_eq!(bounds("pathEmbed=1&rotate=90"), [[40, 0], [80, 60]]);
    assert_eq!(bounds("pathEmbed=1&flip=lr&extend=10,20,0,0&bgc=ff0000"), [[60, 20], [120, 60]]);
    assert_eq!(bounds("pathEmbed=1&crop=10,0,60,60&hei=120&wid=120"), [[20, 30], [80, 70]]);
    assert_eq!(bounds("pathEmbed=1&rect=10,5,50,50"), [[-10, -5], [50, 35]]);
    assert_eq!(bounds("pathEmbed=1&rect=10,5,50,50&op_sharpen=1"), [[-10, -5], [50, 35]]);
}

#[test]
fn pictures_are_cropped_to_the_boxes_of_paths() {
    let size = |query: &str| planned(query, PixelFormat::RGB).map(|plan| plan.size).map_err(|e| e.to_string());
    // The curve reaches 100.4 px to the right and ends at 70 below.
    assert_eq!(size("cropPathE=Bag"), Ok(Size::new(81, 58)));
    assert_eq!(size("cropPathE=Wedge"), Ok(Size::new(60, 40)));
    assert_eq!(size("cropPathE=Bag,Nope,Wedge"), Ok(Size::new(40, 28)));
    assert_eq!(size("cropPathE=Bag&crop=0,0,50,50"), Ok(Size::new(30, 38)));
    assert_eq!(size("cropPathE=Nope&wid=60"), Ok(Size::new(60, 40)));
    assert_eq!(size("cropPathE=Wedge&rotate=90&wid=20"), Ok(Size::new(20, 30)));
    let nothing = size("cropPathE=Wedge&crop=70,50,10,10").expect_err("nothing in common");
    assert!(nothing.contains("cropPathE=\"Wedge\"") && nothing.contains("in common"), "{nothing}");
    // A crop to a path shows that part: its clip fills the box.
    let clipped = rendered("cropPathE=Wedge&clipPathE=Wedge&fmt=png-alpha", None);
    assert_eq!((alpha(&clipped).row(10)[50], alpha(&clipped).row(35)[10]), (255, 0));
}
