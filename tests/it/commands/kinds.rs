//! Every command of the registry × every kind of bad value: an error that names the command, or it stands in [`ACCEPTED`]
//! that such a value is good.
//!
//! The values are generated: an item of a good value is exchanged, at each place in turn, or items are taken away or put
//! behind. So a command that is new in the registry is in the table without a word.

use std::collections::BTreeSet;

use calotype::error::Error;
use calotype::request::registry::COMMANDS;

use super::values::{ROWS, parse};

/// What can be wrong with a value.
const KINDS: [&str; 12] = [
    "empty",
    "too few",
    "too many",
    "not a number",
    "NaN",
    "inf",
    "1e308",
    "negative",
    "out of range",
    "huge list",
    "unknown keyword",
    "wrong case",
];

/// Values of a kind, made of a good one.
fn values(kind: &str, good: &str) -> Vec<String> {
    let items: Vec<&str> = good.split(',').collect();
    let exchanged = |word: &str| {
        let at =
            |i: usize| items.iter().enumerate().map(|(j, item)| if i == j { word } else { item }).collect::<Vec<_>>();
        (0..items.len()).map(|i| at(i).join(",")).collect()
    };
    let swapped = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    match kind {
        "empty" => vec![String::new()],
        "too few" => (1..items.len()).map(|n| items[..n].join(",")).collect(),
        "too many" => vec![format!("{good},1"), format!("{good},{good}"), format!("{good},")],
        "not a number" => exchanged("12a"),
        "NaN" => exchanged("NaN"),
        "inf" => [exchanged("inf"), exchanged("-Infinity")].concat(),
        "1e308" => exchanged("1e308"),
        "negative" => exchanged("-7"),
        "out of range" => exchanged("99999999999999999999"),
        "huge list" => vec![vec!["1"; 3000].join(","), ",".repeat(3000)],
        "unknown keyword" => exchanged("nonesuch"),
        "wrong case" => vec![good.chars().map(swapped).collect()],
        _ => panic!("no such kind: {kind}"),
    }
}

/// Generated values that are good after all, each because the command's range says so.
const ACCEPTED: &[(&str, &[&str])] = &[
    // Places, corners, margins, percents and angles may be negative.
    ("anchor", &["-2147483647,-7", "-7,2147483647"]),
    ("origin", &["-2147483647,-7", "-7,2147483647"]),
    ("crop", &["-2147483647,-7,65535,65535", "-7,2147483647,65535,65535"]),
    ("cropN", &["-1000,-7,1000,0.000000001", "-7,1000,1000,0.000000001"]),
    ("rgn", &["-2147483647,-7,65535,65535", "-7,2147483647,65535,65535"]),
    ("rgnN", &["-7,.5,1.,1", "0.33333333333333333,-7,1.,1"]),
    ("extend", &["-1,-2,-7,65535", "-1,-2,0,-7", "-1,-7,0,65535", "-7,-2,0,65535"]),
    ("extendN", &["-0.25,-7,0,1000", "-0.25,0,-7,1000", "-0.25,0,0,-7", "-7,0,0,1000"]),
    ("op_brightness", &["-7"]),
    ("op_contrast", &["-7"]),
    ("op_saturation", &["-7"]),
    ("op_hue", &["-7"]),
    ("op_grow", &["-7"]),
    ("op_growMask", &["-7"]),
    ("op_growMaskR", &["-7"]),
    ("op_colorbalance", &["-100,-7,7", "-100,100,-7", "-7,100,7"]),
    ("rotate", &["-7"]),
    // And the scale of a tile may be left out, as other items at the end of a value may.
    ("rect", &["-7,2,3,4,2", "1,-7,3,4,2", "1,2,3,4"]),
    ("cache", &["OFF,ON", "off"]),
    ("dpr", &["ON,1000", "on"]),
    ("fmt", &["TIF-ALPHA", "TIF-ALPHA,gray", "tif-alpha,GRAY,lzw"]),
    (
        "quantize",
        &["ADAPTIVE,OFF,2,000000,ffffff", "adaptive", "adaptive,off", "adaptive,off,2", "adaptive,off,2,000000"],
    ),
    (
        "icc",
        &[
            "Adobe RGB (1998)",
            "Adobe RGB (1998),absolute",
            "Adobe RGB (1998),absolute,0",
            "aDOBE rgb (1998),ABSOLUTE,0,1",
        ],
    ),
    ("op_colorize", &["1,2,3", "1,2,3,4", "1,2,3,4,NORM,100", "1,2,3,4,norm"]),
    ("colorize", &["1,2,3", "1,2,3,4", "1,2,3,4,NORM,100", "1,2,3,4,norm"]),
    ("op_noise", &["20", "20,UNIFORM,0", "20,uniform"]),
    ("op_usm", &["1", "1,1", "1,1,0"]),
    ("op_usmR", &["1", "1,1", "1,1,0"]),
    ("opac", &["90"]),
    ("qlt", &["85"]),
    ("req", &["USERDATA,XML,UTF-16LE", "userdata", "userdata,xml"]),
    // One item is a grey, two a grey with alpha, three a colour; the suffix is in any case.
    ("bgc", &["0", "0,0", "0,0,0", "0,0,0,100K"]),
    ("bgColor", &["0", "0,0", "0,0,0", "0,0,0,100K"]),
    ("color", &["0", "0,0", "0,0,0", "0,0,0,100K"]),
    // Words are in any case.
    ("bfc", &["oFF"]),
    ("flip", &["LRUD"]),
    ("maskUse", &["OFF"]),
    ("imageSet", &["{a,b;c}"]),
    ("network", &["on"]),
    ("resMode", &["TRILIN"]),
    // Names are letters and digits of any kind, or any text.
    ("handler", &["12a", "1e308", "99999999999999999999", "NaN", "hANDLER9", "inf", "nonesuch"]),
    (
        "layer",
        &[
            "0",
            "0,-7",
            "0,-Infinity",
            "0,12a",
            "0,1e308",
            "0,99999999999999999999",
            "0,BACKGROUND",
            "0,NaN",
            "0,inf",
            "0,nonesuch",
        ],
    ),
    // Numbers may be negative, come in pairs, and begin anew.
    ("clipPath", PATHS),
    ("clipXPath", PATHS),
    // What changes nothing is accepted of a command that is not done yet.
    ("effectMask", &["1"]),
];

const PATHS: &[&str] = &["M1,-7,3,4", "M1,2", "M1,2,-7,4", "M1,2,3,-7", "M1,2,3,4,M1,2,3,4", "m1,2,3,4"];

/// Commands whose value is names of somebody else's: what is none is in the table of `values`.
const NAMES: [&str; 4] = ["cropPathE", "clipPathE", "clipXPathE", "mask"];

/// Commands whose value is any text: nothing is wrong with any.
const ANY_TEXT: [&str; 4] = ["id", "locale", "defaultImage", "message"];

#[test]
fn every_kind_of_bad_value_is_refused_by_name_or_said_to_be_good() {
    let mut accepted: BTreeSet<(&str, String)> = BTreeSet::new();
    let mut tried = 0;
    let has_grammar = |name: &str| !ANY_TEXT.contains(&name) && !NAMES.contains(&name);
    for command in COMMANDS.iter().filter(|command| has_grammar(command.name)) {
        // The longest one has every item that there can be; a command that does not work has none, and any value is bad.
        let row = ROWS.iter().find(|row| row.name == command.name);
        let good = row.and_then(|row| row.good.iter().max_by_key(|value| value.matches(',').count()));
        let good = good.copied().unwrap_or("1,1");
        for kind in KINDS {
            for value in values(kind, good) {
                if value == good {
                    // Digits have no case, some lists nothing to take away.
                    continue;
                }
                tried += 1;
                match parse(command.name, &value) {
                    Ok(_) => {
                        accepted.insert((command.name, value));
                    }
                    Err(error @ (Error::Command { key, .. } | Error::NotSupported { key, .. })) => {
                        assert_eq!(key, command.name, "{kind}: {value:?}");
                        assert!(error.to_string().len() < 600, "{kind}: {error}");
                    }
                    Err(other) => panic!("{} {kind}: {other} names no command", command.name),
                }
            }
        }
    }
    println!("{tried} values, {} of them good", accepted.len());
    let said: BTreeSet<(&str, String)> =
        ACCEPTED.iter().flat_map(|(name, values)| values.iter().map(|value| (*name, (*value).to_owned()))).collect();
    let unsaid: Vec<_> = accepted.difference(&said).collect();
    let stale: Vec<_> = said.difference(&accepted).collect();
    assert!(
        unsaid.is_empty() && stale.is_empty(),
        "accepted, but not in the table: {unsaid:?}\nin it, but not accepted: {stale:?}"
    );
    for name in ANY_TEXT {
        for value in KINDS.iter().flat_map(|kind| values(kind, "1,a")) {
            parse(name, &value).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
