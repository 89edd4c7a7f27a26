//! `calotype import-catalog`: catalogs of the original, written by us, become a configuration that the real daemon serves.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use calotype::config::{Config, Flags};
use calotype::pixel::Size;

use crate::http::{fill, get, settle};
use crate::support::Running;

const DEFAULT: &str = "# what all inherit\n\
    MaxPix = 2000, 2000\n\
    DefaultPix=640,640\n\
    JpegQuality=85,1\n\
    ResMode=3\n\
    MacroFile=shared.dat\n\
    Watermark=logo\n";

const CO: &str = "RootId=Co\r\nRootPath=images\r\nCatalogFile=co.dat\r\nMacroFile=macros.dat\r\nRuleSetFile=rules.xml\r\n\
    MaxPix=400,\\\r\n300\r\nattribute::Expiration=24\r\nBkgColor=0xF0F0F0\r\nThumbType=1\r\nClientAddressFilter=\r\nDefaultImage=\r\n\
    nonsense\r\nMaxPix=500,500\r\nFavouriteColour=blue\r\nErrorDetail=9\r\nRequestLock=maybe\r\nDefaultExt=.jpg\r\nDefaultLocale=\r\n";

const SHARED: &str = "Name\tDefinition\nweb\tfmt=webp&qlt=70\n";

const MACROS: &str =
    "name\tdefinition\n$small$\twid=24&$web$\nlate\t$later$\nlater\twid=9\nSMALL\twid=1\nbad name\twid=1\nodd\twid=x\n";

const DATA: &str = "Id\tPath\tModifier\tPostModifier\tExpiration\tTimeStamp\tAnchor\tUserData\tSize\t.note\tColour\n\
    K\tA.jpg\t$small$\t\t48\t1994-11-06 08:49:37\t7,-3\t\"a=1??b=\"\"2\"\"\"\t60,40\tx\tred\n\
    L\tsub/B.jpg\twid=x\tqlt=55\t-2\tyesterday\t\tplain\t\t\t\n\
    K\tA.jpg\n\
    \tA.jpg\n\
    M\t../secret.jpg\t\t\t-7\t784111777\n\
    N,O\tA.jpg\n\
    P\ta\tb\tc\td\te\tf\tg\th\ti\tj\tk\n";

const RULES: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ruleset>
  <rule Name="old" OnMatch="continue"><expression>^Co/old/(.*)$</expression><substitution>Co/$1</substitution></rule>
  <rule Name="head" MaxPix="100,100"><expression>K\?head</expression><header Name="X-From" Action="add">rules</header></rule>
  <rule Name="look"><expression>(?=x)</expression></rule>
  <rule Name="mark" Watermark="logo"/>
  <rule Name="never" OnMatch="explode"/>
  <note/>
</ruleset>
"#;

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("default.ini", DEFAULT),
        ("co.ini", CO),
        ("shared.dat", SHARED),
        ("macros.dat", MACROS),
        ("co.dat", DATA),
        ("rules.xml", RULES),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    fill(&dir.path().join("images"));
    dir
}

fn import(folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_calotype"));
    command.arg("import-catalog").arg(folder).args(more).stdin(Stdio::null()).output().expect("the binary starts")
}

#[test]
fn every_line_is_taken_or_left_out_with_a_reason() {
    let dir = folder();
    let output = import(dir.path(), &[]);
    let report = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "something was left out: {report}");
    for line in [
        "default.ini:2: MaxPix: taken as company.default.max_pix",
        "default.ini:7: Watermark: left out: calotype has no such attribute",
        "co.ini:1: RootId: taken as company.Co",
        "co.ini:6: MaxPix: left out: it stands again below, which counts",
        "co.ini:14: MaxPix: taken as company.Co.max_pix",
        "co.ini:8: Expiration: taken as company.Co.expiration_hours",
        "co.ini:11: ClientAddressFilter: taken as company.Co.address_filter",
        "co.ini:12: DefaultImage: taken as company.Co.default_image",
        "co.ini:13: nonsense: left out: expected name=value",
        "co.ini:15: FavouriteColour: left out: no attribute that is known",
        "co.ini:16: ErrorDetail: left out: company.Co.error_detail: 9: expected an integer 0 to 3",
        "co.ini:17: RequestLock: left out: \"maybe\" is none of its values",
        "co.ini:19: DefaultLocale: taken as what is inherited: it is empty",
        "macros.dat:2: small: taken as company.Co.presets.small",
        "macros.dat:3: late: left out: $later$: the company has no preset of that name",
        "macros.dat:5: SMALL: left out: a macro of that name stands above",
        "macros.dat:6: bad name: left out: company.Co.presets.bad name: not a preset name",
        "macros.dat:7: odd: left out: wid=\"x\"",
        "co.dat:1: Colour: left out: calotype has nothing for this column",
        "co.dat:2: K: taken as company.Co.record.K",
        "co.dat:3: L modifier: left out: wid=\"x\"",
        "co.dat:3: L timestamp: left out: \"yesterday\" cannot be read",
        "co.dat:4: K: left out: a record of that Id stands above",
        "co.dat:5: : left out: it has no Id",
        "co.dat:6: M path: left out: company.Co.record.M.path",
        "co.dat:6: M expiration: left out: company.Co.record.M.expiration_hours",
        "co.dat:7: N,O: left out: ",
        "co.dat:8: P: left out: 12 fields under 11 columns",
        "rules.xml:3: old: taken as company.Co.rule[1]",
        "rules.xml:4: head: taken as company.Co.rule[2]",
        "rules.xml:5: look: left out: company.Co.rule[1].expression: look-around",
        "rules.xml:6: mark: left out: calotype has nothing for Watermark=\"logo\"",
        "rules.xml:7: never: left out: company.Co.rule[1].on_match",
        "rules.xml:8: note: left out: expected <rule>",
    ] {
        assert!(report.lines().any(|got| got.starts_with(line)), "no \"{line}\" in\n{report}");
    }
    assert!(!report.contains(".note"), "columns with a dot are nobody's business: {report}");
    let quiet = String::from_utf8(import(dir.path(), &["--quiet"]).stderr).unwrap();
    assert!(!quiet.contains("taken as") && quiet.contains("left out"), "{quiet}");
}

#[test]
fn the_configuration_says_what_the_catalog_said() {
    let dir = folder();
    let out = dir.path().join("calotype.toml");
    let output = import(dir.path(), &["--out", out.to_str().unwrap()]);
    assert!(output.stdout.is_empty());
    let config = Config::load(Some(&out), std::iter::empty(), &Flags::default()).unwrap();
    let co = &config.catalog.companies["Co"];
    assert_eq!((co.max_pix, co.default_pix), (Size::new(500, 500), Size::new(640, 640)));
    assert_eq!((co.jpeg_quality, co.res_mode.keyword(), co.bkg_color), (85, "bicub", [0xf0; 3]));
    assert_eq!((co.expiration_hours, co.default_ext.as_deref()), (24.0, Some("jpg")));
    assert_eq!(co.presets["small"], "wid=24&$web$");
    assert_eq!(co.presets["web"], "fmt=webp&qlt=70");
    let (_, record) = co.records.find("K").unwrap();
    assert_eq!((record.expiration_hours, record.timestamp_s), (Some(48.0), Some(784_111_777)));
    assert_eq!((record.anchor, record.user_data.as_deref()), (Some([7, -3]), Some("a=1??b=\"2\"")));
    let (_, other) = co.records.find("L").unwrap();
    assert_eq!((other.modifier.as_str(), other.post_modifier.as_str()), ("", "qlt=55"));
    assert_eq!((other.expiration_hours, other.timestamp_s), (None, None));
    assert_eq!(co.rules.len(), 2);
}

#[test]
fn the_daemon_serves_what_was_imported() {
    let dir = folder();
    let (out, socket) = (dir.path().join("calotype.toml"), dir.path().join("data.sock"));
    import(dir.path(), &["-o", out.to_str().unwrap(), "-q"]);
    let arguments = ["daemon", "--config", out.to_str().unwrap(), "--socket", socket.to_str().unwrap()];
    let daemon = Command::new(env!("CARGO_BIN_EXE_calotype")).args(arguments).stderr(Stdio::null()).spawn();
    let _daemon = Running(daemon.expect("the binary starts"));
    let begun = Instant::now();
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the daemon does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    let props = get(&socket, "/is/image/Co/K?req=props");
    let text = props.text();
    assert!(text.contains("\nimage.width=24\n") && text.contains("\nimage.type=image/webp\n"), "{props}");
    settle(dir.path());
    let picture = get(&socket, "/is/image/Co/K");
    assert_eq!((picture.status, picture.header("content-type")), (200, "image/webp"), "{picture}");
    assert_eq!(picture.header("cache-control"), "public, max-age=172800");
    let old = get(&socket, "/is/image/Co/old/K");
    assert_eq!((old.status, old.body), (200, picture.body), "by its rule");
    assert_eq!(get(&socket, "/is/image/Co/L?req=userdata").text(), "plain\r\n");
    let headed = get(&socket, "/is/image/Co/K?head=1");
    assert_eq!(headed.header("x-from"), "rules", "{headed}");
    assert_eq!(get(&socket, "/is/image/Co/M").status, 404);
}

/// Nothing panics, hangs or swells, whatever stands in the files.
#[test]
fn hostile_catalogs_are_reported() {
    let bomb: String = (0..12)
        .map(|i| format!("<!ENTITY e{} \"{}\">", i + 1, format!("&e{i};").repeat(10)))
        .fold(String::from("<!DOCTYPE ruleset [<!ENTITY e0 \"ha\">"), |all, one| all + &one)
        + "]><ruleset><rule Name=\"x\"><expression>&e12;</expression></rule></ruleset>";
    let deep = format!("{}{}", "<rule>".repeat(20_000), "</rule>".repeat(20_000));
    for (rules, data) in [
        (bomb.as_str(), "Id\n"),
        ("", ""),
        ("<ruleset>", "Path\nA\n"),
        ("<rules/>", "\"Id\n"),
        (&format!("<ruleset>{deep}</ruleset>"), "Id\tId\nA\tB\n"),
        ("\u{0}\u{1}", "Id\tModifier\nA\t$self$\n\u{0}\t\u{1}\n"),
        (&"<".repeat(10_000), &format!("Id\n{}\n", "\t".repeat(100_000))),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("c.ini"),
            "RootId=C\nRuleSetFile=r.xml\nCatalogFile=d.dat\nMacroFile=none.dat\n=\n\\\n",
        )
        .unwrap();
        fs::write(dir.path().join("r.xml"), rules).unwrap();
        fs::write(dir.path().join("d.dat"), data).unwrap();
        let output = import(dir.path(), &[]);
        let report = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{report}");
        assert!(report.len() < 20_000 && !report.contains("panicked"), "{report}");
        assert!(report.contains("c.ini:4: MacroFile: left out: cannot read none.dat"), "{report}");
        Config::from_text(&String::from_utf8(output.stdout).unwrap()).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let nothing = import(dir.path(), &[]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no attribute file"), "{nothing:?}");
    for text in ["RootId=../x\n", "RootId=\n", "MaxPix=1,1\n", "\u{feff}"] {
        fs::write(dir.path().join("c.ini"), text).unwrap();
        let output = import(dir.path(), &[]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("company."), "{text}: {output:?}");
    }
    fs::write(dir.path().join("c.ini"), b"RootId=caf\xe9\n").unwrap();
    assert!(String::from_utf8_lossy(&import(dir.path(), &[]).stderr).contains("c.ini is not UTF-8"));
}
