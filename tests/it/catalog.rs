//! Records, the default catalog, locales: what a request for an object comes to.

use std::fs;

use calotype::catalog::Catalog;
use calotype::config::{Config, Flags};
use calotype::decide::{Hints, decide};
use calotype::error::Error;
use calotype::pixel::{Model, PixelFormat, Size};
use calotype::plan::{Header, Plan, SourceFormat};
use calotype::request::{self, Context, MaskSource, Target};
use tempfile::TempDir;

/// The companies of a configuration; `DIR` in it is an existing folder.
fn catalog(text: &str) -> Result<Catalog, Error> {
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("calotype.toml");
    fs::write(&path, text.replace("DIR", dir.path().to_str().expect("UTF-8"))).expect("writable");
    Config::load(Some(&path), std::iter::empty(), &Flags::default()).map(|config| config.catalog)
}

fn files(catalog: &Catalog, path: &str, query: &str) -> String {
    match Target::of_url(catalog, Context::Image, path, query, None) {
        Ok(target) => target.object.files.iter().map(|file| file.join("/")).collect::<Vec<_>>().join(" "),
        Err(error) => format!("error: {error}"),
    }
}

/// A source of 3000 x 2000 pixels.
fn header() -> Header {
    Header {
        format: SourceFormat::Png,
        size: Size::new(3000, 2000),
        native: PixelFormat { model: Model::Rgb, alpha: false },
        converts_profile: false,
        orientation: 1,
        decoder_bytes: 0,
        density: None,
    }
}

/// The plan over such a source.
fn plan(catalog: &Catalog, path: &str, query: &str) -> Result<Plan, Error> {
    let header = header();
    let target = Target::of_url(catalog, Context::Image, path, query, None)?;
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
        ("/default/shared", "", "error: no such company: default"),
        ("/nope/x", "", "error: no such company: nope"),
    ] {
        assert_eq!(files(&catalog, path, query), want, "{path}?{query}");
    }
    let unknown = files(&catalog, "/Strict/file", "locale=it");
    assert!(unknown.contains("locale=\"it\""), "{unknown}");
    for bad in ["/Co/a,b", "/Co/a%2Cb", "/Co/a%3Fb", "/Co/%zz"] {
        assert!(matches!(Target::of_url(&catalog, Context::Image, bad, "", None), Err(Error::Request { .. })), "{bad}");
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
    let catalog = catalog(text).unwrap();
    let mask = |query: &str| {
        let target = Target::of_url(&catalog, Context::Image, "/Co/K", query, None).expect("a record");
        target.commands().expect("good commands").wanted_mask().cloned()
    };
    assert_eq!(mask(""), Some(MaskSource::File(vec![String::from("m.png")])));
    assert_eq!(mask("mask=other"), Some(MaskSource::Object(String::from("other"))));
    assert_eq!(mask("maskUse=off"), None);
}

/// What a request comes to: `Company/Asset` and the size of its reply, or the error.
fn answer(catalog: &Catalog, path: &str, query: &str, client: Option<&str>) -> String {
    let client = client.map(|client| client.parse().expect("an address"));
    let size = || -> Result<String, Error> {
        let target = Target::of_url(catalog, Context::Image, path, query, client)?;
        let commands = target.commands()?;
        let header = header();
        let decision = decide(&commands, &header, &target.company, &Hints::default())?;
        let plan = request::plan(&commands, &header, &target.company, &decision)?;
        let headers: Vec<_> =
            target.headers(&commands).iter().map(|(name, value)| format!(" {name}={value}")).collect();
        Ok(format!("{} {}{}", target.id(), plan.size, headers.concat()))
    };
    size().unwrap_or_else(|error| error.to_string())
}

const GUARDED: &str = r#"
[company.default]
[[company.default.rule]]
expression = "^virtual/(\\w+)/(.*)$"
substitution = "$1/$2"

[company.Open]
source = "file://DIR"

[company.Locked]
source = "file://DIR"
request_lock = true

[company.Hidden]
source = "file://DIR"
request_obfuscation = true
request_lock = true
[[company.Hidden.rule]]
expression = "^Hidden/plain"
on_match = "continue"
request_obfuscation = false
request_lock = false
[[company.Hidden.rule]]
expression = "wid=7$"
substitution = "wid=8"

[company.Wraps]
source = "file://DIR"
[[company.Wraps.rule]]
expression = "^Wraps/secret"
request_obfuscation = true

[company.Near]
source = "file://DIR"
address_filter = ["10.0.0.0/8", "::1"]
[[company.Near.rule]]
expression = "/far\\b"
address_filter = ["192.168.0.0/16"]
on_match = "continue"
[[company.Near.rule]]
expression = "/all\\b"
address_filter = []

[company.Rules]
source = "file://DIR"
presets = { small = "wid=100" }
[company.Rules.headers]
X-Own = "own"
[[company.Rules.rule]]
name = "old folder"
expression = "^Rules/old/"
substitution = "Rules/new/"
on_match = "continue"
[[company.Rules.rule]]
expression = "forbidden"
on_match = "error"
[[company.Rules.rule]]
expression = "wd="
substitution = "wid="
replace = "all"
on_match = "continue"
[[company.Rules.rule]]
expression = "/to-open/"
substitution = "/../Open/"
on_match = "continue"
[[company.Rules.rule]]
expression = "^Rules/go/(.+)$"
substitution = "Open/$1"
[[company.Rules.rule]]
expression = "limited"
max_pix = [50, 50]
expiration_hours = 2
on_match = "continue"
[[company.Rules.rule]]
expression = "headed"
[[company.Rules.rule.header]]
name = "X-Own"
value = "w is $w$"
[[company.Rules.rule.header]]
name = "X-More"
value = "1"
[[company.Rules.rule.header]]
name = "X-More"
value = "2"
action = "add"
[[company.Rules.rule]]
request_type = ["static", "ir"]
on_match = "error"
[[company.Rules.rule]]
substitution = "&$small$"

[company.Swells]
source = "file://DIR"
[[company.Swells.rule]]
expression = "^(.*)$"
substitution = "$1$1$1$1"
"#;

#[test]
fn wrappers_come_off_in_the_order_they_were_put_on() {
    let catalog = catalog(GUARDED).unwrap();
    for (path, query, want) in [
        ("/Locked/A", "wid=200&4a1f", "Locked/A 200x133"),
        ("/Locked/A", "wid=200", "the query has no lock, or a wrong one"),
        ("/Locked/A", "wid=201&4a1f", "the query has no lock, or a wrong one"),
        ("/Locked/A", "", "the query has no lock, or a wrong one"),
        ("/Hidden/A", "d2lkPTIwMCY0YTFm", "Hidden/A 200x133"),
        // Base64 of a query without its lock, and a lock that is not obfuscated.
        ("/Hidden/A", "d2lkPTIwMA==", "the query has no lock, or a wrong one"),
        ("/Hidden/A", "wid=200&4a1f", "the query is not obfuscated as the company asks"),
        // Rules see what is inside, and may take a wrapper off the requests they match …
        ("/Hidden/plain", "wid=200", "Hidden/plain 200x133"),
        ("/Hidden/plain", "wid=7", "Hidden/plain 8x5"),
        // … or put one on.
        ("/Wraps/A", "wid=200", "Wraps/A 200x133"),
        ("/Wraps/secret", "wid=200", "the query is not obfuscated as the company asks"),
        ("/Wraps/secret", "d2lkPTIwMA==", "Wraps/secret 200x133"),
    ] {
        assert_eq!(answer(&catalog, path, query, None), want, "{path}?{query}");
    }
    assert_eq!(answer(&catalog, "/Hidden/A", &base64("wid=7&", "wid=7"), None), "Hidden/A 8x5");
}

/// `text` and the lock of `locked`, obfuscated.
fn base64(text: &str, locked: &str) -> String {
    let hash = locked.bytes().fold(0_u32, |h, b| (h * 131 + u32::from(b)) % 65_536);
    let bytes = format!("{text}{hash:04x}").into_bytes();
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, &b| word << 8 | u32::from(b)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            out.push(char::from(LETTERS[(word >> (18 - 6 * i) & 63) as usize]));
        }
    }
    out
}

#[test]
fn addresses_are_looked_at_and_unknown_ones_stay_out() {
    let catalog = catalog(GUARDED).unwrap();
    let refused = "the company does not answer this client's address";
    for (path, client, want) in [
        ("/Near/A", Some("10.1.2.3"), "Near/A 1x1"),
        ("/Near/A", Some("::1"), "Near/A 1x1"),
        ("/Near/A", Some("11.1.2.3"), refused),
        ("/Near/A", Some("::2"), refused),
        ("/Near/A", None, refused),
        ("/Near/far", Some("10.1.2.3"), refused),
        ("/Near/far", Some("192.168.3.4"), "Near/far 1x1"),
        ("/Near/all", None, "Near/all 1x1"),
        ("/Open/A", None, "Open/A 1x1"),
    ] {
        assert_eq!(answer(&catalog, path, "wid=1", client), want, "{path} {client:?}");
    }
}

#[test]
fn rules_rewrite_refuse_and_override() {
    let catalog = catalog(GUARDED).unwrap();
    let own = " X-Own=own";
    for (path, query, want) in [
        // The last rule takes all that no rule before it ended.
        ("/Rules/A", "hei=10", format!("Rules/A 100x10{own}")),
        ("/Rules/old/A", "wid=300", format!("Rules/new/A 100x67{own}")),
        ("/Rules/A", "wd=7&wd=9&scl=1", format!("Rules/A 100x2000{own}")),
        ("/Rules/forbidden", "", String::from("rule 2 of the company refuses it")),
        ("/Rules/go/B", "wid=30", String::from("Open/B 30x20")),
        ("/Rules/limited", "hei=60", String::from("reply of 100x60 pixels is over MaxPix 50,50")),
        ("/Rules/headed", "wid=30&$w=7", String::from("Rules/headed 30x20 X-Own=w is 7 X-More=1 X-More=2")),
        ("/Rules/headed", "wid=30&$w=%0a%c3%a9", String::from("Rules/headed 30x20 X-Own=w is ?? X-More=1 X-More=2")),
        // A path that names no company is the default catalog's.
        ("/virtual/Open/B", "wid=30", String::from("Open/B 30x20")),
        ("/other/Open/B", "wid=30", String::from("no such company: other")),
    ] {
        assert_eq!(answer(&catalog, path, query, None), want, "{path}?{query}");
    }
    let swollen = answer(&catalog, "/Swells/A", &format!("x={}", "y".repeat(5000)), None);
    assert!(swollen.contains("bytes after the rules"), "{swollen}");
    // The way out of a company is through the path alone, where it is refused as ever.
    let out = Target::of_url(&catalog, Context::Image, "/Rules/to-open/A", "wid=5", None).unwrap();
    assert_eq!(out.object.files, [["..", "Open", "A"]]);
}

#[test]
fn bad_rules_are_refused_by_name() {
    let refused = |lines: &str| {
        let text =
            format!("[company.Co]\nsource = \"file://DIR\"\n[[company.Co.rule]]\n[[company.Co.rule]]\n{lines}\n");
        catalog(&text).expect_err(lines).to_string()
    };
    for (lines, words) in [
        ("expression = '(?=x)'", ["company.Co.rule[2].expression", "look-around"]),
        ("expression = '(a)\\1'", ["company.Co.rule[2].expression", "backreferences"]),
        ("expression = 'a++'", ["company.Co.rule[2].expression", "possessive"]),
        ("expression = '((a{100}){100}){100}'", ["company.Co.rule[2].expression", "size"]),
        ("expression = '(a)'\nsubstitution = '$2'", ["company.Co.rule[2].substitution", "1 groups"]),
        ("replace = 'some'", ["company.Co.rule[2].replace", "first | all"]),
        ("on_match = 'stop'", ["company.Co.rule[2].on_match", "break | continue | error"]),
        ("request_type = ['web']", ["company.Co.rule[2].request_type", "is | ir | static"]),
        ("address_filter = ['host']", ["company.Co.rule[2].address_filter", "networks"]),
        ("max_pixels = [1, 1]", ["company.Co.rule[2].max_pixels", "nearest known one is max_pix"]),
        ("[[company.Co.rule.header]]\nvalue = 'x'", ["company.Co.rule[2].header[1].name", "missing"]),
        ("[[company.Co.rule.header]]\nname = 'ETag'\nvalue = 'x'", ["rule[2].header[1].name", "itself"]),
    ] {
        let message = refused(lines);
        for word in words {
            assert!(message.contains(word), "{lines}: no \"{word}\" in: {message}");
        }
    }
    let many = "[[company.Co.rule]]\n".repeat(257);
    let message =
        catalog(&format!("[company.Co]\nsource = \"file://DIR\"\n{many}")).expect_err("257 rules").to_string();
    assert!(message.contains("at most 256"), "{message}");
}

#[test]
fn rules_and_wrappers_bear_any_request() {
    let catalog = catalog(GUARDED).unwrap();
    let mut random = crate::support::SplitMix64::new("rules_and_wrappers");
    let mut answered = 0;
    for _ in 0..crate::commands::rounds("QUERIES", 20_000) {
        let mut text = |most: u32| -> String {
            let pieces =
                ["/", "?", "&", "wid=", "7", "$", "%2F", "%", "old/", "virtual/", "é", "=", "Open", "a", "Rules/"];
            (0..random.within(0, most)).map(|_| pieces[random.within(0, 15) as usize]).collect()
        };
        let company = ["Rules", "Hidden", "Locked", "Near", "virtual/Open", "Wraps", "Swells"][text(20).len() % 7];
        let (path, query) = (format!("/{company}/{}", text(6)), text(12));
        let client = Some("10.0.0.1".parse().expect("an address"));
        if let Ok(target) = Target::of_url(&catalog, Context::Image, &path, &query, client) {
            answered += u32::from(target.commands().is_ok());
            // What else looks at a request bears the same.
            let (req, checked, resolved) = (target.readable(), target.check(), target.resolved());
            let bytes_max = 4 * calotype::limits::QUERY_EXPANDED_BYTES_MAX;
            assert!(resolved.as_ref().is_ok_and(|text| text.len() < bytes_max) || resolved.is_err(), "{path}?{query}");
            drop((req, checked));
        }
    }
    assert!(answered > 500, "only {answered} requests were read: the generator has gone blunt");
}
