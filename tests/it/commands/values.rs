//! Every command of the registry against values of every bad kind.

use std::collections::BTreeSet;

use calotype::error::{Error, shortened};
use calotype::request::registry::{self, COMMANDS, Command, Status};
use calotype::request::{self, Commands};

use super::company;

/// A working command's own values: accepted ones, then refused ones of each kind that its grammar has.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) good: &'static [&'static str],
    /// Too few items, too many, not a number, negative, out of range, unknown keyword.
    bad: &'static [&'static str],
    /// In the protocol, not in calotype.
    later: &'static [&'static str],
}

const fn row(
    name: &'static str,
    good: &'static [&'static str],
    bad: &'static [&'static str],
    later: &'static [&'static str],
) -> Row {
    Row { name, good, bad, later }
}

pub(super) const ROWS: &[Row] = &[
    row(
        "wid",
        &["1", "0400", "2147483647"],
        &["0", "-1", "1,2", "2147483648", "1.5", "4e2", "99999999999999999999"],
        &[],
    ),
    row(
        "hei",
        &["1", "0400", "2147483647"],
        &["0", "-1", "1,2", "2147483648", "1.5", "4e2", "99999999999999999999"],
        &[],
    ),
    row(
        "scl",
        &["1", ".5", "2.", "1000000", "0.000001"],
        &["0", "-1", "1,2", "1000000.1", "0.0000001", ".", "1..2"],
        &[],
    ),
    row(
        "fit",
        &["fit", "constrain", "crop", "wrap", "stretch", "hfit", "vfit", "CROP", "crop,0", "crop,1", ",1", ",0"],
        &["1", "crop,", "crop,2", "crop,1,1", "crop,-1", ",", "cro", "crop 1"],
        &[],
    ),
    row(
        "rgn",
        &["0,0,1,1", "-2147483647,2147483647,65535,65535"],
        &["0,0,1", "0,0,1,1,1", "0,0,0,1", "0,0,1,-1", "0,0,65536,1", "0.5,0,1,1", "2147483648,0,1,1", "a,0,1,1"],
        &[],
    ),
    row(
        "rgnN",
        &["0,0,1,1", "-1000,1000,1000,0.000000001", "0.33333333333333333,.5,1.,1"],
        &["0,0,1", "0,0,1,1,1", "0,0,0,1", "0,0,1,-1", "0,0,1000.5,1", "1001,0,1,1", "a,0,1,1", "0,0,,1"],
        &[],
    ),
    row(
        "crop",
        &["0,0,1,1", "-2147483647,2147483647,65535,65535"],
        &["0,0,1", "0,0,1,1,1", "0,0,0,1", "0,0,1,-1", "0,0,65536,1", "0.5,0,1,1", "2147483648,0,1,1", "a,0,1,1"],
        &[],
    ),
    row(
        "cropN",
        &["0,0,1,1", "-1000,1000,1000,0.000000001"],
        &["0,0,1", "0,0,1,1,1", "0,0,0,1", "0,0,1,-1", "0,0,1000.5,1", "-1001,0,1,1", "a,0,1,1"],
        &[],
    ),
    row("align", &["0,0", "-1,1", "-0.25,.125"], &["0", "0,0,0", "1.1,0", "0,-1.000001", "a,0", "0,"], &[]),
    row(
        "bgc",
        &["ff0000", "FF0000", "0x70", "1,2,3", "50", "0,0,0,100k", "ff000080", "ff0000s"],
        &["ff00", "1,2,3,4,5", "256,0,0", "-1,0,0", "red", "101", "0,0,0,101k", "#ff0000"],
        &[],
    ),
    row(
        "resMode",
        &["bilin", "BICUB", "sharp2", "sharp", "bisharp", "trilin"],
        &["lanczos", "sharp3", "bilin,bicub", "4"],
        &[],
    ),
    row(
        "rect",
        &["0,0,1,1", "-2147483647,0,65535,65535", "0,600,2000,600,0.5", "1,2,3,4,2"],
        &[
            "0,0,1",
            "0,0,0,1",
            "0,0,1,-1",
            "0,0,65536,1",
            "0.5,0,1,1",
            "1,1,1,1,0",
            "1,1,1,1,-1",
            "1,1,1,1,1,1",
            "1,1,1,1,",
        ],
        &[],
    ),
    row("size", &["0,0", "200,0", "0,65535"], &["200", "0,0,0", "-1,0", "65536,1", "0.5,1", "a,0"], &[]),
    row("scale", &["1", ".5", "1000000"], &["0", "-1", "1,1", "1000000.1"], &[]),
    row("cropPathE", NAMES_GOOD, NAMES_BAD, &[]),
    row("clipPathE", NAMES_GOOD, NAMES_BAD, &[]),
    row("clipXPathE", NAMES_GOOD, NAMES_BAD, &[]),
    row("clipPath", PATH_GOOD, PATH_BAD, &[]),
    row("clipXPath", PATH_GOOD, PATH_BAD, &[]),
    row("res", &["1", ".5", "72.125", "1000000"], &["0", "-1", "1,1", "1000000.1", "72dpi"], &[]),
    row("sizeN", &[], &["1,1", "0.5,0.5", "0,0", "1"], &[]),
    row(
        "rotate",
        &["0", "0.0", "90", "-90", "450", "45", "-89.999", "180.000"],
        &["1,1", "90deg", ".", "--90", "12345678"],
        &[],
    ),
    row("flip", &["lr", "UD", "lrud"], &["udlr", "h", "lr,ud", "0", "1"], &[]),
    row(
        "extend",
        &["0,0,0,0", "1,2,3,4", "-1,-2,0,65535"],
        &["1", "1,1,1", "1,1,1,1,1", "0.5,0,0,0", "65536,0,0,0", "a,0,0,0", "1,,1,1"],
        &[],
    ),
    row(
        "extendN",
        &["0,0,0,0", ".1,.1,.1,.1", "-0.25,0,0,1000"],
        &["1", "1,1,1", "1,1,1,1,1", "1000.5,0,0,0", "a,0,0,0", "1,,1,1"],
        &[],
    ),
    row("color", COLOUR_GOOD, COLOUR_BAD, &[]),
    row("bgColor", COLOUR_GOOD, COLOUR_BAD, &[]),
    row("opac", &["0", "100", "90,70"], &["101", "-1", "1,101", "1,1,1", "0.5", "50,"], &[]),
    row("mask", &["M", "Co/M", "/Other/M.png"], &["", "/", "a,b", "a?b"], &["is(x?y)", "IS{x}", "(http://a/b)"]),
    row("imageSet", &["{A}", "{{A},{B}}", "{A,B;C}"], &["A", "{", "{}", "{A", "{A;}", "{A},{B}", "{A}}"], &[]),
    row("pathEmbed", &["0", "1"], &["2", "-1", "1,1", "true", "01"], &[]),
    row("maskUse", &["norm", "INVERT", "off"], &["0", "on", "norm,off"], &[]),
    row("hide", &["0", "1"], &["2", "-1", "1,1", "true", "01"], &[]),
    row("anchor", PLACE_GOOD, PLACE_BAD, &[]),
    row("origin", PLACE_GOOD, PLACE_BAD, &[]),
    row("anchorN", &["0,0", "-0.5,.5"], &["0", "0,0,0", "0.51,0", "0,-0.6", "a,0"], &[]),
    row("originN", &["0,0", "-0.5,.5"], &["0", "0,0,0", "0.51,0", "0,-0.6", "a,0"], &[]),
    row(
        "layer",
        &["comp", "COMP", "0", "0,background"],
        &["-1", "0.5", "0,", "1,", "0,comp", "comp,name", "0,a,b", "1234567890"],
        &["1", "7,name", "12"],
    ),
    row("op_usm", USM_GOOD, USM_BAD, &[]),
    row("op_usmR", USM_GOOD, USM_BAD, &[]),
    row("op_sharpen", &["0", "1"], &["2", "-1", "1,1", "true", "01"], &[]),
    row("op_brightness", PERCENT_GOOD, PERCENT_BAD, &[]),
    row("op_contrast", PERCENT_GOOD, PERCENT_BAD, &[]),
    row("op_saturation", PERCENT_GOOD, PERCENT_BAD, &[]),
    row("op_hue", &["0", "-180", "180", "77"], &["181", "-181", "1.5", "1,2", "90deg"], &[]),
    row(
        "op_colorbalance",
        &["0,0,0", "-100,100,7"],
        &["0,0", "0,0,0,0", "101,0,0", "0,-101,0", "0,0,.5", "0,,0", "1"],
        &[],
    ),
    row("op_colorize", TINT_GOOD, TINT_BAD, &[]),
    row("colorize", TINT_GOOD, TINT_BAD, &[]),
    row("op_grow", PERCENT_GOOD, PERCENT_BAD, &[]),
    row("op_growMask", PERCENT_GOOD, PERCENT_BAD, &[]),
    row("op_growMaskR", PERCENT_GOOD, PERCENT_BAD, &[]),
    row("op_blur", &["0", "0.5", "100", ".25"], &["100.1", "-1", "1,2", "1px"], &[]),
    row(
        "op_noise",
        &["0", "100", "20,uniform", "20,GAUSSIAN,1", "20,uniform,0"],
        &["101", "-1", "1.5", "20,normal", "20,,1", "20,uniform,2", "20,uniform,1,1", "uniform"],
        &[],
    ),
    row("op_invert", &["0", "1"], &["2", "-1", "1,1", "true", "01"], &[]),
    row(
        "fmt",
        &[
            "jpeg",
            "JPG",
            "pjpeg",
            "png",
            "png-alpha",
            "webp",
            "webp-alpha",
            "webp,rgb,lossless",
            "webp,,lossy",
            "avif",
            "avif-alpha,rgb,lossless",
            "jpeg2000",
            "jpeg2000-alpha,,lossless",
            "png,RGB",
            "jpeg,gray",
            "png-alpha,GRAY",
            "jpeg2000,gray,lossless",
            "gif",
            "gif-alpha,gray",
            "png8-alpha,rgb",
            "tif",
            "tif,,jpeg",
            "TIF-ALPHA,gray,LZW",
            "tif,cmyk",
            "jpeg,CMYK",
        ],
        &[
            "bmp",
            "jpeg,rgb,lossy",
            "webp,gray",
            "avif,cmyk",
            "webp,rgb,lossy,1",
            "jpeg,yuv",
            ",rgb",
            "webp,,zip",
            "jp2",
            "png8,gray",
            "gif,,lossy",
            "tif-alpha,,jpeg",
            "tif,,packbits",
        ],
        &["swf", "m3u8"],
    ),
    row("qlt", &["1", "100", "85,0", "85,1"], &["0", "101", "-1", "85,2", "85,0,0", "85,", "8.5", ",1"], &[]),
    row(
        "quantize",
        &["adaptive", "WEB,off", "mac,diffuse,256", "adaptive,off,2,000000,FFFFFF", "web,diffuse,3,010203"],
        &[
            "exact",
            "adaptive,on",
            "adaptive,off,1",
            "adaptive,off,257",
            "adaptive,off,-2",
            "adaptive,off,2,000000,ffffff,ff0000",
            "adaptive,off,9,fff",
            "adaptive,off,9,0xff00",
            "adaptive,,9",
            "adaptive,off,9,",
            "off",
        ],
        &[],
    ),
    row(
        "icc",
        &["sRGB", "sRGB IEC61966-2.1", "adobeRGB,perceptual", "Display P3,relative,1", "Adobe RGB (1998),absolute,0,1"],
        &["sRGB2", "sRGB,best", "sRGB,relative,2", "sRGB,relative,1,2", "sRGB,relative,1,1,1", "sRGB,", "Co/sRGB/x"],
        &[],
    ),
    row("iccEmbed", &["0", "1"], &["2", "-1", "1,1", "true", "01"], &[]),
    row("xmpEmbed", &["0", "1"], &["2", "-1", "1,1", "true", "01"], &[]),
    row("pscan", &["auto", "AUTO", "3", "4", "5"], &["2", "6", "-3", "4.0", "3,4", "off"], &[]),
    row("jpegSize", &["0", "10", "0.5", "1000000", "000"], &["-1", "1000001", "10,1", "10k"], &[]),
    row("printRes", &["72", "300", "1", "65535", "299.5"], &["0", "-1", "0.5", "65536", "300,300"], &[]),
    row(
        "dpr",
        &["off", "on", "on,2", "ON,1.5", "on,0.5", "on,1000"],
        &["on,0", "on,-1", "on,1001", "2", "off,2", "on,2,2", "on,", "on,x"],
        &[],
    ),
    row("network", &["on", "off", "ON"], &["1", "true", "on,off", "maybe"], &[]),
    row("bfc", &["on", "off", "Off"], &["1", "false", "on,avif"], &[]),
    row(
        "cache",
        &["on", "OFF", "validate", "update", "on,off", "off,on"],
        &["", "1", "on,", ",on", "on,off,on", "validate,on", "on,update"],
        &[],
    ),
    row("id", &["", "x", "any thing, at all", "1e308"], &[], &[]),
    // For static files alone.
    row("type", &[], &["", "Video", "1"], &[]),
    row("defaultImage", &["", "Co/B", "B:Large", "/Other/x"], &[], &[]),
    row("locale", &["", "de_AT", "anything"], &[], &[]),
    row(
        "req",
        &[
            "img",
            "IMG",
            "tmb",
            "mask",
            "props",
            "PROPS,JSON",
            "exists,javascript",
            "set",
            "set,xml,UTF-16",
            "set,JSON",
            "userdata,xml,utf-16le",
            "resolve,text",
            "message",
        ],
        &[
            "image",
            "1",
            "img,xml",
            "props,yaml",
            "props,",
            "props,xml,UTF-8",
            "userdata,json,UTF-8",
            "targets,javascript",
            "userdata,xml,ascii",
            "userdata,xml,UTF-8,x",
            "resolve,json",
            "message,text",
        ],
        &["saveToFile", "mbrSet"],
    ),
    row("handler", &["f", "Handler9"], &["", "a-b", "a.b", "a b", "é", "("], &[]),
    row("message", &["", "any text"], &[], &[]),
];

const NAMES_GOOD: &[&str] = &["Bag", "Bag,Path 1,~!\"x", "NaN", " 1"];
const NAMES_BAD: &[&str] = &["", ",", "a,,b", "a,", "é", "a\u{7f}", "\0", "a\tb"];
const PATH_GOOD: &[&str] = &["m0,0", "M9,-.5,Z", "M1,2,3,4"];
const PATH_BAD: &[&str] = &[
    "Z",
    "L1,1",
    "M1",
    "M1,1,L",
    "M1,1,L2",
    "M1,1,C1,1,2,2",
    "M1,1,Q1,1,2,2",
    "M1000001,0",
    "M0,0,l1e3,1",
    "M1 1",
    "M1,1L2,2",
    "M1,1,l900000,0,900000,0",
    "M1,1,2,2,Z,3,3",
];
const PLACE_GOOD: &[&str] = &["0,0", "-2147483647,2147483647"];
const PLACE_BAD: &[&str] = &["0", "0,0,0", "0.5,0", "2147483648,0", "a,0"];
const COLOUR_GOOD: &[&str] = &["ff0000", "FF000080", "0x70", "1,2,3", "1,2,3,4", "50,20", "0,0,0,100k", "ff0000s"];
const COLOUR_BAD: &[&str] = &["ff00", "1,2,3,4,5", "256,0,0", "-1,0,0", "red", "101", "0,0,0,101k", "#ff0000"];
const PERCENT_GOOD: &[&str] = &["0", "-100", "100", "-0", "007"];
const PERCENT_BAD: &[&str] = &["101", "-101", "0.5", "1,2", "+5", "5%"];
const TINT_GOOD: &[&str] =
    &["ff8000", "0xFF8000", "ff800080", "1,2,3", "1,2,3,4", "ff8000,off", "1,2,3,NORM", "1,2,3,4,norm,100"];
const TINT_BAD: &[&str] =
    &["50", "0x70", "0,0,0,100k", "ff8000,20", "ff8000,norm,101", "ff8000,norm,-1", "ff8000,norm,1,1", "off", "red"];

const USM_GOOD: &[&str] = &["0", "5", "1.75,0.3", "1.75,250,255", "1.75,0.3,2,0", "1,1,0,1"];
const USM_BAD: &[&str] =
    &["5.01", "-1", "1,251", "1,-1", "1,1,256", "1,1,1.5", "1,1,-1", "1,1,1,2", "1,1,1,0,0", "1,,1", ",1", "a"];

/// Refused by every working command that reads its value.
fn bad_for_all() -> Vec<String> {
    let mut values: Vec<String> = [
        "", ",", "NaN", "nan", "inf", "-inf", "infinity", "1e308", "-1e308", " 1", "1 ", "\u{0}", "٣", "½", "nope",
        "--1",
    ]
    .map(str::to_owned)
    .to_vec();
    values.push(vec!["1"; 2000].join(","));
    values.push("9".repeat(4000));
    values.push(format!("0.{}", "9".repeat(4000)));
    values.push(",".repeat(4000));
    values
}

/// As a query writer should: everything but letters and digits encoded.
fn encoded(value: &str) -> String {
    value
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02x}") })
        .collect()
}

/// With what else the command needs to stand.
pub(super) fn parse(name: &str, value: &str) -> Result<Commands, Error> {
    let beside = if name.eq_ignore_ascii_case("fit") { "wid=10&" } else { "" };
    request::parse(&format!("{beside}{name}={}", encoded(value)), &company())
}

fn works(command: &Command) -> bool {
    matches!(command.status, Status::Done | Status::Partly)
}

#[test]
fn names_are_unique_and_well_formed() {
    let names: BTreeSet<String> = COMMANDS.iter().map(|c| c.name.to_ascii_lowercase()).collect();
    assert_eq!(names.len(), COMMANDS.len(), "a name stands twice");
    for command in COMMANDS {
        assert!(!command.syntax.is_empty() && !command.range.is_empty(), "{}: blank cells", command.name);
        assert!(
            works(command) == ROWS.iter().any(|row| row.name == command.name),
            "{}: no row in this table",
            command.name
        );
        assert!(
            !works(command) || command.harmless.is_empty(),
            "{}: works, so nothing is merely harmless",
            command.name
        );
    }
}

#[test]
fn good_values_are_accepted_in_any_case_of_the_name() {
    for row in ROWS {
        for value in row.good {
            for name in [row.name.to_owned(), row.name.to_ascii_uppercase(), row.name.to_ascii_lowercase()] {
                let commands = parse(&name, value).unwrap_or_else(|e| panic!("{name}={value}: {e}"));
                assert!(commands.ignored.is_empty(), "{name}={value}: ignored");
            }
        }
    }
}

#[test]
fn bad_values_are_refused_by_name_and_value() {
    let common = bad_for_all();
    for row in ROWS {
        let common =
            if ["id", "locale", "defaultImage", "handler", "message", "cropPathE", "clipPathE", "clipXPathE", "mask"]
                .contains(&row.name)
            {
                &[][..]
            } else {
                &common
            };
        for value in row.bad.iter().copied().chain(common.iter().map(String::as_str)) {
            match parse(row.name, value) {
                Err(error @ Error::Command { .. }) => {
                    let text = error.to_string();
                    let Error::Command { key, got, want } = error else { unreachable!() };
                    assert_eq!((key, got.as_str()), (row.name, shortened(value).as_str()));
                    assert!(want.len() > 2 && text.contains(&format!("{key}=\"{got}\": expected {want}")), "{text}");
                    assert!(text.len() < 600, "{text}");
                }
                other => panic!("{}={}: {other:?}", row.name, shortened(value)),
            }
        }
    }
}

#[test]
fn what_comes_later_is_known_but_not_supported() {
    let refused = |name: &'static str, value: &str| match parse(name, value) {
        Err(Error::NotSupported { key, got }) => assert_eq!((key, got), (name, shortened(value))),
        other => panic!("{name}={value}: {other:?}"),
    };
    for row in ROWS {
        row.later.iter().for_each(|value| refused(row.name, value));
    }
    for command in COMMANDS.iter().filter(|c| !works(c)) {
        refused(command.name, "zzz");
        refused(command.name, "1,2,3,4,5,6,7,8,9");
        for value in command.harmless {
            parse(command.name, value).unwrap_or_else(|e| panic!("{}={value}: {e}", command.name));
        }
        if !command.harmless.contains(&"") {
            refused(command.name, "");
        }
        // Only the last instance counts.
        if let Some(value) = command.harmless.first() {
            let query = format!("{0}=zzz&{0}={value}", command.name);
            assert!(request::parse(&query, &company()).is_ok(), "{query}");
            let query = format!("{0}={value}&{0}=zzz", command.name);
            assert!(request::parse(&query, &company()).is_err(), "{query}");
        }
    }
}

#[test]
fn unknown_names_are_listed_or_refused_with_the_nearest() {
    let query = "foo=1&wd=400&FOO=2&foo=3&a%0d%0ab,c=1&wid=300";
    let commands = request::parse(query, &company()).expect("only unknown names");
    assert_eq!(commands.ignored, ["foo", "wd", "FOO", "a??b?c"]);
    let many: Vec<String> = (0..300).map(|i| format!("{}{i}=1", "x".repeat(40))).collect();
    let commands = request::parse(&many.join("&"), &company()).expect("only unknown names");
    assert_eq!(commands.ignored, ["x".repeat(32)]);
    let many: Vec<String> = (0..300).map(|i| format!("x{i}=1")).collect();
    assert_eq!(request::parse(&many.join("&"), &company()).expect("only unknown names").ignored.len(), 16);

    let strict = calotype::catalog::Company { strict: true, ..company() };
    for (name, near) in
        [("wd", Some("wid")), ("hie", Some("hei")), ("op_ums", Some("op_usm")), ("RESMODES", Some("resMode"))]
    {
        match request::parse(&format!("{name}=1"), &strict) {
            Err(Error::UnknownCommand { name: got, nearest }) => assert_eq!((got.as_str(), nearest), (name, near)),
            other => panic!("{name}: {other:?}"),
        }
    }
    for far in ["foo", "utm_source", "x", &"y".repeat(10_000)] {
        match request::parse(&format!("{far}=1"), &strict) {
            Err(Error::UnknownCommand { nearest: None, name }) => assert!(name.len() <= 32),
            other => panic!("{}: {other:?}", shortened(far)),
        }
    }
}

#[test]
fn queries_are_bounded() {
    let refused = |query: &str, word: &str| match request::parse(query, &bombs()) {
        Err(error @ Error::Request { .. }) => {
            assert!(error.to_string().contains(word), "{error}");
            assert!(error.to_string().len() < 400, "{error}");
        }
        other => panic!("{}: {other:?}", shortened(query)),
    };
    refused(&"wid=1&".repeat(513), "512 modifiers");
    refused(&"a".repeat(17_000), "16384 bytes");
    refused("$self$", "hold themselves");
    refused("$deep0$", "16 deep");
    refused("$wide0$", "modifiers");
    refused("$long0$", "65536 bytes");
    refused(&format!("$v={}&{}", "x".repeat(4000), "id=$v$$v$$v$$v$$v$&".repeat(100)), "65536 bytes");
    assert!(request::parse(&"wid=1&".repeat(512), &bombs()).is_ok());
    assert!(request::parse(&"&".repeat(16_000), &bombs()).is_ok());
    assert!(request::parse("$deep1$", &bombs()).is_ok(), "16 presets inside one another are allowed");
}

/// A company with presets that are out to hurt.
fn bombs() -> calotype::catalog::Company {
    let mut company = company();
    let mut preset = |name: String, body: String| company.presets.insert(name, body);
    preset("self".into(), "wid=1&$SELF$".into());
    for i in 0..17 {
        preset(format!("deep{i}"), if i < 16 { format!("$deep{}$", i + 1) } else { "wid=1".into() });
        preset(format!("wide{i}"), if i < 12 { format!("$wide{}$&", i + 1).repeat(8) } else { String::new() });
        preset(format!("long{i}"), if i < 12 { format!("$long{0}$&$long{0}$", i + 1) } else { ".".repeat(4000) });
    }
    company
}

#[test]
fn nearest_names_need_likeness() {
    assert_eq!(registry::nearest("fmtt"), Some("fmt"));
    assert_eq!(registry::nearest("croppathe"), Some("cropPathE"));
    assert_eq!(registry::nearest("zz"), None);
}
