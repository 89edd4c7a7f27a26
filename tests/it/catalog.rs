//! Records, the default catalog, locales: what a request for an object comes to.

use std::fs;

use calotype::catalog::Catalog;
use calotype::config::{Config, Flags};
use calotype::decide::{Hints, decide};
use calotype::error::Error;
use calotype::pixel::{Model, PixelFormat, Size};
use calotype::plan::{Header, Plan, SourceFormat};
use calotype::request::{self, Target};
use tempfile::TempDir;

/// The companies of a configuration; `DIR` in it is an existing folder.
fn catalog(text: &str) -> Result<Catalog, Error> {
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("calotype.toml");
    fs::write(&path, text.replace("DIR", dir.path().to_str().expect("UTF-8"))).expect("writable");
    Config::load(Some(&path), std::iter::empty(), &Flags::default()).map(|config| config.catalog)
}

fn files(catalog: &Catalog, path: &str, query: &str) -> String {
    match Target::of_url(catalog, path, query) {
        Ok(target) => target.object.files.iter().map(|file| file.join("/")).collect::<Vec<_>>().join(" "),
        Err(error) => format!("error: {error}"),
    }
}

/// The plan over a source of 3000 x 2000 pixels.
fn plan(catalog: &Catalog, path: &str, query: &str) -> Result<Plan, Error> {
    let header = Header {
        format: SourceFormat::Png,
        size: Size::new(3000, 2000),
        native: PixelFormat { model: Model::Rgb, alpha: false },
        converts_profile: false,
        orientation: 1,
        decoder_bytes: 0,
    };
    let target = Target::of_url(catalog, path, query)?;
    let commands = target.commands()?;
    let decision = decide(&commands, &header, &target.company, &Hints::default())?;
    request::plan(&commands, &header, &target.company, &decision)
}

fn size(catalog: &Catalog, path: &str, query: &str) -> String {
    plan(catalog, path, query).map_or_else(|error| format!("error: {error}"), |plan| plan.size.to_string())
}

const COMPANIES: &str = r#"
[company.default]
max_pix = [500, 500]
default_ext = "tif"
expiration_hours = 3
[company.default.headers]
X-One = "default"
X-Two = "default"
[company.default.presets]
small = "wid=100"
large = "wid=400"
[company.default.record.shared]
path = "shared/file.png"
[company.default.record.both]
path = "default.png"

[company.Co]
source = "file://DIR"
default_ext = ""
[company.Co.headers]
x-two = "Co"
[company.Co.presets]
large = "wid=300"
[company.Co.record.both]
path = "own.png"
[company.Co.record.K]
path = "folder/k.tif"
modifier = "wid=100&$small$"
[company.Co.record."in/folder"]
published = true
[company.Co.record.hidden]
published = false
[company.Co.record.var]
modifier = "$w=100&$h=50&wid=$w$&hei=$h$&fit=stretch,1"
[company.Co.record.post]
post_modifier = "wid=$w$"
[company.Co.record.A.crop.Half]
rect = [0.5, 0, 0.5, 1]
size = [300, 300]

[company.Ext]
source = "file://DIR"
max_pix = [0, 0]

[company.Full]
source = "file://DIR"
full_match = true
published = "listed"
[company.Full.record.R]
published = true
[company.Full.record.S]

[company.Loc]
source = "file://DIR"
locale_map = "de,_D,|fr,_F|,_E"
default_locale = "de"
[company.Loc.record.a_D]
[company.Loc.record.b]
[company.Loc.record.c_E]
[company.Loc.record.c_F.crop.X]
rect = [0, 0, 1, 1]
size = [9, 9]

[company.Strict]
source = "file://DIR"
locale_map = "de,_D"
"#;

#[test]
fn objects_are_records_or_files() {
    let catalog = catalog(COMPANIES).unwrap();
    for (path, query, want) in [
        ("/Co/A", "", "A"),
        ("/Co/K", "", "folder/k.tif"),
        ("/Co/k", "", "k"),
        ("/Co/shared", "", "shared/file.png"),
        ("/Co/both", "", "own.png"),
        ("/Co/in/folder", "", "in/folder"),
        ("/Co/other/folder", "", "other/folder"),
        ("/Co/hidden", "", ""),
        ("/Co", "", ""),
        // A slash that came encoded is part of a name, and no record has such a name.
        ("/Co/in%2Ffolder", "", "in/folder"),
        ("/Co/A:Half", "", "A"),
        ("/Co/A%3aHalf", "", "A"),
        ("/Co/A:half", "", "A:half"),
        ("/Co/B:Half", "", "B:Half"),
        ("/Ext/A", "", "A.tif A"),
        ("/Ext/A.png", "", "A.png"),
        ("/Ext/a.b/c", "", "a.b/c.tif a.b/c"),
        ("/Ext/shared", "", "shared/file.png"),
        ("/Full/R", "", "R.tif R"),
        ("/Full/S", "", ""),
        ("/Full/shared", "", ""),
        ("/Loc/a", "", "a_D.tif a_D"),
        ("/Loc/b", "locale=DE", "b.tif b"),
        ("/Loc/b", "locale=fr", ""),
        ("/Loc/c", "locale=it", "c_E.tif c_E"),
        ("/Loc/c", "locale=it&locale=fr", "c_F.tif c_F"),
        ("/Loc/c:X", "locale=fr", "c_F.tif c_F"),
        ("/Loc/c", "$l=fr&locale=$l$", "c_F.tif c_F"),
        // Names of files are in no language: only where the locale may stay without a suffix.
        ("/Loc/file", "", "file.tif file"),
        ("/Loc/file", "locale=fr", ""),
        ("/Strict/file", "", "file.tif file"),
        ("/default/shared", "", "error: no such image: default"),
        ("/nope/x", "", "error: no such image: nope"),
    ] {
        assert_eq!(files(&catalog, path, query), want, "{path}?{query}");
    }
    let unknown = files(&catalog, "/Strict/file", "locale=it");
    assert!(unknown.contains("locale=\"it\""), "{unknown}");
    for bad in ["/Co/a,b", "/Co/a%2Cb", "/Co/a%3Fb", "/Co/%zz"] {
        assert!(matches!(Target::of_url(&catalog, bad, ""), Err(Error::Request { .. })), "{bad}");
    }
}

#[test]
fn a_company_is_as_the_default_catalog_but_for_its_own_words() {
    let catalog = catalog(COMPANIES).unwrap();
    let (co, ext) = (&catalog.companies["Co"], &catalog.companies["Ext"]);
    assert_eq!((co.max_pix, ext.max_pix), (Size::new(500, 500), Size::new(0, 0)));
    assert_eq!(co.default_ext, None, "defined, but empty");
    assert!((co.expiration_hours - 3.0).abs() < 1e-9);
    let headers: Vec<_> = co.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(headers, ["X-One=default", "x-two=Co"]);
    for (path, query, want) in [
        ("/Co/A", "$small$", "100x67"),
        ("/Co/A", "$large$", "300x200"),
        ("/Ext/A", "$large$", "400x267"),
        ("/Ext/A", "wid=3000", "3000x2000"),
    ] {
        assert_eq!(size(&catalog, path, query), want, "{path}?{query}");
    }
    assert!(size(&catalog, "/Co/A", "wid=501").contains("MaxPix 500,500"));
}

#[test]
fn records_speak_before_and_after_the_url() {
    let catalog = catalog(COMPANIES).unwrap();
    for (path, query, want) in [
        ("/Co/K", "", "100x67"),
        ("/Co/K", "wid=300", "300x200"),
        // What the URL defines holds in the record's commands, whatever those define.
        ("/Co/var", "", "100x50"),
        ("/Co/var", "$w=300", "300x50"),
        ("/Co/var", "hei=60&$W=7", "7x60"),
        ("/Co/post", "wid=300&$w=40", "40x27"),
        ("/Co/A:Half", "", "225x300"),
        ("/Co/A:Half", "wid=150", "150x200"),
        ("/Co/A:Half", "crop=0,0,1500,1000&wid=150", "150x100"),
        ("/Co/A:Half", "scl=10", "150x200"),
    ] {
        assert_eq!(size(&catalog, path, query), want, "{path}?{query}");
    }
    let undefined = size(&catalog, "/Co/post", "wid=300");
    assert!(undefined.contains("wid=\"$w$\""), "{undefined}");
    let object = size(&catalog, "/Co/A", "wid=$object$");
    assert!(object.contains("wid=\"Co/A\""), "{object}");
    assert_eq!(size(&catalog, "/Co/A", "$object=30&wid=$object$"), "30x20");
}

#[test]
fn a_crop_beyond_its_named_crop_shows_nothing_of_the_rest() {
    let catalog = catalog(COMPANIES).unwrap();
    // 100 px to the left of the named crop, which begins in the middle of the source: empty, not the source's left half.
    let beyond = plan(&catalog, "/Co/A:Half", "crop=-100,0,200,200&scl=1").unwrap();
    let words = format!("{:?}", beyond.passes);
    assert!(words.contains("x: 100") && words.contains("Opaque"), "{words}");
    assert_eq!(beyond.size, Size::new(200, 200));
}

#[test]
fn bad_records_are_refused_by_name() {
    let refused = |lines: &str| {
        let text = format!("[company.Co]\nsource = \"file://DIR\"\n[company.Co.record.K]\n{lines}\n");
        catalog(&text).expect_err(lines).to_string()
    };
    for (lines, words) in [
        ("path = \"../x\"", ["company.Co.record.K.path", "without .."]),
        ("path = \"/x\"", ["company.Co.record.K.path", "below"]),
        ("modifier = \"wid=x\"", ["company.Co.record.K.modifier", "wid=\"x\""]),
        ("post_modifier = \"$nope$\"", ["company.Co.record.K.post_modifier", "preset"]),
        ("resolution = 0", ["company.Co.record.K.resolution", "above 0"]),
        ("expiration_hours = -2", ["company.Co.record.K.expiration_hours", "-1"]),
        ("timestamp = 2025-01-01", ["company.Co.record.K.timestamp", "a time"]),
        ("thumb_type = \"round\"", ["company.Co.record.K.thumb_type", "crop | fit | texture"]),
        ("anchor = [1.5, 0]", ["company.Co.record.K.anchor", "[x, y]"]),
        ("pth = \"x\"", ["company.Co.record.K.pth", "nearest known one is path"]),
        ("[company.Co.record.K.crop.X]\nsize = [1, 1]", ["company.Co.record.K.crop.X.rect", "missing"]),
        ("[company.Co.record.K.crop.X]\nrect = [0, 0, 1, 1]", ["company.Co.record.K.crop.X.size", "missing"]),
        ("[company.Co.record.K.crop.X]\nrect = [0.5, 0, 0.6, 1]\nsize = [1, 1]", ["crop.X.rect", "inside"]),
        ("[company.Co.record.K.crop.X]\nrect = [0, 0, 1]\nsize = [1, 1]", ["crop.X.rect", "inside"]),
        ("[company.Co.record.K.crop.\"a:b\"]\nrect = [0, 0, 1, 1]\nsize = [1, 1]", ["crop", "without :"]),
    ] {
        let message = refused(lines);
        for word in words {
            assert!(message.contains(word), "{lines}: no \"{word}\" in: {message}");
        }
    }
    // What cannot be done yet is for the request that meets it.
    let text =
        "[company.Co]\nsource = \"file://DIR\"\n[company.Co.record.K]\npath = \"\"\nmodifier = \"layer=1&src=x\"\n";
    let with_layers = catalog(text).unwrap();
    assert!(matches!(plan(&with_layers, "/Co/K", ""), Err(Error::NotSupported { .. })));
}

#[test]
fn a_mask_of_its_own_is_not_left_out_in_silence() {
    let text = "[company.Co]\nsource = \"file://DIR\"\n[company.Co.record.K]\nmask_path = \"m.png\"\n";
    let error = plan(&catalog(text).unwrap(), "/Co/K", "").expect_err("no masks yet");
    assert!(matches!(error, Error::NotSupported { key: "mask", .. }), "{error}");
}
