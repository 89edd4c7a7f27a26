//! Masks of pictures, over the daemon's socket: another picture's alpha, or its grey, as alpha.

use std::io::Cursor;
use std::sync::Arc;

use calotype::catalog::{Record, Records, SmartCrop};
use calotype::codec::{self, Allow};
use calotype::limits;
use calotype::pixel::{Image, PixelFormat, Plane, Size};
use calotype::plan::{DecodeAs, EncodeSpec, SourceFormat};

use crate::http::{Reply, Site, get};

const SIZE: Size = Size::new(60, 40);

/// A plane of two levels, left and right.
fn halves(size: Size, left: u8, right: u8) -> Plane<u8> {
    let mut plane = Plane::new(size);
    for y in 0..size.h as usize {
        let row = plane.row_mut(y);
        let (a, b) = row.split_at_mut(size.w as usize / 2);
        a.fill(left);
        b.fill(right);
    }
    plane
}

fn grey(plane: Plane<u8>) -> Vec<u8> {
    codec::encode(&Image::from_planes(plane.size(), PixelFormat::GREY, vec![plane]), &EncodeSpec::Png).unwrap()
}

/// A site whose company has `A`, 60×40 pixels, and masks beside it.
fn site() -> Site {
    Site::start(|config| {
        let company = config.catalog.companies.get_mut("Co").expect("the site's company");
        let calotype::catalog::SourceRoot::Dir(images) = &company.source else { panic!("a folder") };
        std::fs::write(images.join("M.png"), grey(halves(SIZE, 0, 200))).unwrap();
        std::fs::write(images.join("small.png"), grey(halves(Size::new(30, 20), 40, 240))).unwrap();
        let colours = vec![Plane::from_vec(SIZE, vec![77; SIZE.samples()]); 3];
        let planes = colours.into_iter().chain([halves(SIZE, 90, 255)]).collect();
        let clear = Image::from_planes(SIZE, PixelFormat::RGBA, planes);
        std::fs::write(images.join("clear.png"), codec::encode(&clear, &EncodeSpec::Png).unwrap()).unwrap();
        let crop = SmartCrop { rect: [0, 0, 500_000, 1_000_000], size: Size::new(9, 9) };
        let records = [
            ("R", Record { path: Some("A.jpg".into()), mask_path: Some("M.png".into()), ..Record::default() }),
            ("gone", Record { path: Some("M.png".into()), published: Some(false), ..Record::default() }),
            (
                "named",
                Record {
                    path: Some("M.png".into()),
                    crops: [(String::from("Half"), crop)].into(),
                    ..Record::default()
                },
            ),
        ];
        let own = records.map(|(id, record)| (id.to_owned(), record)).into();
        company.records = Arc::new(Records { own, inherited: None });
    })
}

fn ask(site: &Site, request: &str) -> Reply {
    get(&site.data, &format!("/is/image/{request}"))
}

fn shown(site: &Site, request: &str) -> Image {
    let reply = ask(site, request);
    assert_eq!((reply.status, reply.header("content-type")), (200, "image/png"), "{request}: {}", reply.text());
    let allow = Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: limits::SOURCE_PIXELS_MAX };
    let header = codec::probe(&mut Cursor::new(&reply.body), &allow).unwrap();
    codec::decode(&reply.body, &header, DecodeAs::Native).unwrap()
}

/// The alpha of a reply at full size.
fn alpha(site: &Site, query: &str) -> Plane<u8> {
    let image = shown(site, &format!("{query}&scl=1&fmt=png-alpha"));
    image.alpha().unwrap_or_else(|| panic!("{query}: no alpha")).clone()
}

#[test]
fn a_picture_gets_its_alpha_from_another() {
    let site = site();
    assert_eq!(alpha(&site, "Co/A?mask=M"), halves(SIZE, 0, 200));
    assert_eq!(alpha(&site, "Co/A?mask=Co/M.png"), halves(SIZE, 0, 200));
    assert_eq!(alpha(&site, "Co/A?mask=/Co/M"), halves(SIZE, 0, 200));
    assert_eq!(alpha(&site, "Co/A?mask=clear"), halves(SIZE, 90, 255));
    assert_eq!(alpha(&site, "Co/A?mask=M&maskUse=invert"), halves(SIZE, 255, 55));
    // Colours are those of the picture, wherever they are seen.
    let (plain, masked) = (shown(&site, "Co/A?scl=1&fmt=png"), shown(&site, "Co/A?mask=M&scl=1&fmt=png-alpha"));
    for (a, b) in plain.planes().iter().zip(masked.planes()) {
        for y in 0..SIZE.h as usize {
            let (a, b) = (&a.row(y)[30..], &b.row(y)[30..]);
            assert!(a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 2), "row {y}: {a:?} {b:?}");
        }
    }
    // Where it is clear, what is behind shows.
    let flat = shown(&site, "Co/A?mask=M&scl=1&fmt=png&bgc=00ff00");
    assert_eq!([0, 1, 2].map(|c| flat.planes()[c].row(9)[9]), [0, 255, 0]);
    // Opaque again: the format drops an alpha that says nothing.
    assert!(shown(&site, "Co/A?mask=M&maskUse=off&scl=1&fmt=png-alpha").alpha().is_none());
    assert!(shown(&site, "Co/A?mask=nope&maskUse=off&scl=1&fmt=png-alpha").alpha().is_none());
    // Another size is scaled: the edge comes to lie in the middle all the same.
    let scaled = alpha(&site, "Co/A?mask=small");
    assert!(scaled.row(20)[..28].iter().all(|&a| a == 40) && scaled.row(20)[32..].iter().all(|&a| a == 240));
    let reduced = shown(&site, "Co/A?mask=M&wid=30&fmt=png-alpha");
    assert_eq!((reduced.alpha().unwrap().row(9)[3], reduced.alpha().unwrap().row(9)[27]), (0, 200));
    // As a picture of its own, and grown.
    let matte = shown(&site, "Co/A?mask=M&req=mask&scl=1&fmt=png");
    assert_eq!((matte.format(), &matte.planes()[0]), (PixelFormat::GREY, &halves(SIZE, 0, 200)));
    let grown = alpha(&site, "Co/A?mask=M&op_growMask=3");
    assert!(grown.row(20)[..27].iter().all(|&a| a == 0) && grown.row(20)[27..].iter().all(|&a| a == 200));
    let shrunk = alpha(&site, "Co/A?mask=M&op_growMaskR=-3");
    assert!(shrunk.row(20)[..33].iter().all(|&a| a == 0) && shrunk.row(20)[33..].iter().all(|&a| a == 200));
}

#[test]
fn records_have_masks_that_urls_beat() {
    let site = site();
    assert_eq!(alpha(&site, "Co/R?"), halves(SIZE, 0, 200));
    assert_eq!(alpha(&site, "Co/R?mask=clear"), halves(SIZE, 90, 255));
    assert!(ask(&site, "Co/R?req=imageprops").text().contains("\nimage.mask=3\n"));
    assert!(ask(&site, "Co/A?req=imageprops").text().contains("\nimage.mask=0\n"));
}

#[test]
fn what_is_no_mask_is_refused_by_name() {
    let site = site();
    for (query, status, words) in [
        ("mask=nope", 400, "mask=\"nope\": expected an object that is there"),
        ("mask=gone", 400, "mask=\"gone\""),
        ("mask=Other/x", 400, "mask=\"Other/x\""),
        ("mask=named:Half", 400, "known, but not supported"),
        ("mask=is(Co/A)", 400, "known, but not supported"),
        ("mask=", 400, "mask"),
        ("mask=notes", 422, ""),
        ("mask=../secret", 403, ""),
        ("mask=link", 403, ""),
    ] {
        let reply = ask(&site, &format!("Co/A?{query}"));
        assert_eq!(reply.status, status, "{query}: {}", reply.text());
        assert!(reply.text().contains(words), "{query}: {}", reply.text());
    }
    let fanout = br#"{"source":"Co/A","renditions":["mask=M&wid=9","wid=9"]}"#;
    let reply = site.client().post("/v1/fanout", &["Content-Type: application/json"], fanout);
    assert!(reply.text().contains("mask") && reply.text().contains("not supported"), "{}", reply.text());
}

#[test]
fn a_mask_that_changes_makes_another_rendition() {
    let site = site();
    let version = || {
        let text = ask(&site, "Co/A?mask=M&req=props").text();
        text.lines().find(|line| line.starts_with("image.version=")).expect("a version").to_owned()
    };
    let first = version();
    assert_eq!(first, version());
    assert_eq!(alpha(&site, "Co/A?mask=M"), halves(SIZE, 0, 200));
    std::fs::write(site.dir.path().join("images/M.png"), grey(halves(SIZE, 17, 99))).unwrap();
    let second = version();
    assert_ne!(first, second);
    assert_eq!(alpha(&site, "Co/A?mask=M"), halves(SIZE, 17, 99));
    // To invalidate either of them is to invalidate what was made of both.
    for asset in ["Co/M", "Co/A"] {
        let before = version();
        let mut admin = crate::http::Client::unix(&site.admin);
        let body = format!("{{\"assets\":[\"{asset}\"]}}");
        let reply = admin.post("/v1/invalidate", &["Content-Type: application/json"], body.as_bytes());
        assert_eq!(reply.status / 100, 2, "{}", reply.text());
        assert_ne!(before, version(), "{asset}");
    }
}
