//! Is the house clean? The may-import table, the quarantine of crates, the correspondence of passes, and what must not
//! be in the code at all. Every check is a function from text to findings, so that each can be shown to fail.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use calotype::plan::Pass;

/// Who may import whom: room, and the rooms it may name. Changing this table is a design change: its own commit, with
/// the reason.
const MAY_IMPORT: &[(&str, &str)] = &[
    ("error", ""),
    ("limits", ""),
    ("telemetry", "error limits"),
    // The C library's allocator; a leaf.
    ("heap", "limits"),
    ("pixel", "error heap limits"),
    ("kernel", "error limits pixel"),
    ("plan", "error limits pixel kernel"),
    ("engine", "error limits pixel kernel plan telemetry"),
    ("codec", "error limits pixel plan"),
    ("catalog", "error limits pixel kernel"),
    ("request", "error limits pixel kernel plan catalog"),
    ("decide", "error limits pixel plan request catalog"),
    ("store", "error limits telemetry"),
    ("cache", "error limits telemetry"),
    ("sched", "error limits heap pixel plan engine codec telemetry"),
    // plan for one name: the allowlist of formats is a list of plan::SourceFormat.
    ("config", "error limits catalog request pixel plan telemetry"),
    (
        "service",
        "error limits telemetry pixel kernel plan engine codec catalog request decide store cache sched config",
    ),
    (
        "daemon",
        "error limits telemetry pixel kernel plan engine codec catalog request decide store cache sched config service wire",
    ),
    // HTTP manners that daemon and front share; a leaf, so that the front keeps knowing nothing of the service.
    ("wire", "error limits"),
    ("front", "error limits config telemetry wire"),
    ("load", "error"),
    ("cli", "*"),
    ("lib", "*"),
    ("main", "*"),
];

/// Third-party crates that live in some rooms only.
const QUARANTINE: &[(&str, &str)] = &[
    ("wgpu", "engine/gpu"),
    ("bytemuck", "engine/gpu"),
    ("pollster", "engine/gpu"),
    ("image", "codec"),
    ("png", "codec"),
    ("zune_jpeg", "codec"),
    ("zune_core", "codec"),
    ("jpeg_decoder", "codec"),
    ("memchr", "codec"),
    ("gif", "codec"),
    ("tiff", "codec"),
    ("libaom_sys", "codec/ffi"),
    ("libwebp_sys", "codec/ffi"),
    ("openjpeg_sys", "codec/ffi"),
    ("moxcms", "codec"),
    ("crossbeam", "sched"),
    ("regex", "catalog"),
    ("base64", "request"),
    ("mime_guess", "service"),
    ("multer", "daemon"),
    ("httpdate", "daemon"),
    ("hyper", "daemon front load wire"),
    ("hyper_util", "daemon front load wire"),
    ("http_body_util", "daemon front load wire"),
    ("tower", "daemon front wire"),
    ("rustls", "front"),
    ("tokio_rustls", "front"),
    ("cap_std", "store"),
    ("foyer_memory", "cache"),
    ("rustix", "cache"),
    ("hdrhistogram", "load"),
    ("clap", "cli"),
    ("indicatif", "cli"),
    ("roxmltree", "cli"),
];

/// Rooms that may hold `unsafe`, each because its first lines say why.
const UNSAFE_ROOMS: &[&str] = &["engine/simd", "codec/ffi", "daemon", "heap", "pixel/interleave.rs"];

/// Lines of one source file: what one can hold in the head.
const LINES_MAX: usize = 700;

struct File {
    /// Below `src/`, with `/`.
    path: String,
    text: String,
}

fn sources() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                files.push(File { path, text });
            }
        }
    }
    assert!(files.len() > 20, "src/ was not read");
    files
}

/// First path component without `.rs`.
fn room(path: &str) -> &str {
    path.split('/').next().unwrap().trim_end_matches(".rs")
}

fn is_ident(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Code without comments, string contents and the unit tests at the bottom of a file; line breaks kept.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    let mut out = String::with_capacity(text.len());
    let bytes: Vec<char> = text.chars().collect();
    let mut i = 0;
    while i < bytes.len() {
        let rest = |n: usize| bytes.get(i + n).copied().unwrap_or(' ');
        match bytes[i] {
            '/' if rest(1) == '/' => {
                while i < bytes.len() && bytes[i] != '\n' {
                    i += 1;
                }
                continue;
            }
            '"' => {
                out.push('"');
                i += 1;
                while i < bytes.len() && bytes[i] != '"' {
                    if bytes[i] == '\\' {
                        i += 1;
                    }
                    if bytes.get(i) == Some(&'\n') {
                        out.push('\n');
                    }
                    i += 1;
                }
                out.push('"');
            }
            // A quoted character, so that '"' does not open a string.
            '\'' if rest(2) == '\'' || (rest(1) == '\\' && rest(3) == '\'') => {
                i += if rest(1) == '\\' { 3 } else { 2 };
            }
            c => out.push(c),
        }
        i += 1;
    }
    out
}

/// Rooms named as `crate::room` or in `crate::{room, …}`.
fn imported_rooms(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(is_ident) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut word = String::new();
            let mut path_started = false;
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => path_started = false,
                    c if is_ident(c) && depth == 1 && !path_started => word.push(c),
                    ':' if depth == 1 => path_started = true,
                    _ => {}
                }
                if !word.is_empty() && (path_started || !is_ident(c)) {
                    rooms.insert(std::mem::take(&mut word));
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            rooms.insert(rest.chars().take_while(|&c| is_ident(c)).collect());
        }
    }
    rooms
}

fn import_findings(file: &File) -> Vec<String> {
    let room = room(&file.path);
    let Some((_, may)) = MAY_IMPORT.iter().find(|(r, _)| *r == room) else {
        return vec![format!("src/{}: room `{room}` is not in the may-import table (tests/it/tidy.rs)", file.path)];
    };
    let known: BTreeSet<&str> = MAY_IMPORT.iter().map(|(r, _)| *r).collect();
    imported_rooms(&code(&file.text))
        .into_iter()
        .filter(|r| known.contains(r.as_str()) && r != room && *may != "*" && !may.split(' ').any(|m| m == r))
        .map(|r| {
            format!(
                "src/{}: `{room}` may not import `{r}` (it may: {may}). Hands and head share only `plan`; move the code \
                 to the room that may, or hand the value down as plain data",
                file.path
            )
        })
        .collect()
}

fn quarantine_findings(file: &File) -> Vec<String> {
    let code = code(&file.text);
    let mut findings = Vec::new();
    for (name, rooms) in QUARANTINE {
        let used = code.match_indices(name).any(|(at, _)| {
            let before = &code[..at];
            let after = &code[at + name.len()..];
            let path_start = !before.ends_with(is_ident) && !before.ends_with("::") && !before.ends_with('.');
            let used_as_path = after.starts_with("::") && after[2..].starts_with(|c: char| is_ident(c) || c == '{');
            let local = before.ends_with("self::") || before.ends_with("super::");
            let imported = before.trim_end().ends_with("use") && !after.starts_with(is_ident);
            path_start && !local && (used_as_path || imported)
        });
        // A module of ours may have a crate's name (`daemon::image`); where it is imported as ours it is no crate.
        let ours = code.split(';').any(|statement| {
            statement.contains("use super::") && statement.split(|c| !is_ident(c)).any(|word| word == *name)
        });
        let home = ours || rooms.split(' ').any(|room| file.path.starts_with(room));
        if used && !home {
            findings.push(format!(
                "src/{}: `{name}` is quarantined in {rooms}; wrap what you need there and hand out plain data",
                file.path
            ));
        }
    }
    findings
}

fn habit_findings(file: &File) -> Vec<String> {
    let mut findings = Vec::new();
    let code = code(&file.text);
    let lines: Vec<&str> = file.text.lines().collect();
    if lines.len() > LINES_MAX {
        findings.push(format!("src/{}: {} lines; is there a seam? (at most {LINES_MAX})", file.path, lines.len()));
    }
    if !file.text.starts_with("//!") {
        findings.push(format!("src/{}: module docs open every file: what, why here, invariants", file.path));
    }
    for (i, line) in code.lines().enumerate() {
        for word in ["todo!(", "unimplemented!(", "dbg!("] {
            if line.contains(word) {
                findings.push(format!("src/{}:{}: {word} is unfinished work", file.path, i + 1));
            }
        }
        // `main` may; elsewhere a comment within the three lines above (or on the line) states the local invariant.
        if (line.contains(".unwrap()") || line.contains(".expect(")) && room(&file.path) != "main" {
            let explained = lines[i.saturating_sub(3)..=i].iter().any(|l| l.contains("//"));
            if !explained {
                findings.push(format!(
                    "src/{}:{}: unwrap/expect without a comment that states why it cannot fail",
                    file.path,
                    i + 1
                ));
            }
        }
    }
    let opens_unsafe = code.contains("allow(unsafe_code") || code.contains("expect(unsafe_code");
    if opens_unsafe && !UNSAFE_ROOMS.iter().any(|room| file.path.starts_with(room)) {
        findings.push(format!("src/{}: unsafe lives only in {UNSAFE_ROOMS:?}", file.path));
    }
    findings
}

/// Shader file, entry point, scalar function and differential case of every pass.
fn pass_findings(shaders: &BTreeMap<String, String>, scalar: &str, differential: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for name in Pass::ALL {
        match shaders.get(name) {
            None => findings.push(format!("shaders/{name}.wgsl is missing: file = entry point = Pass = label")),
            Some(text) if !text.contains(&format!("fn {name}(")) => {
                findings.push(format!("shaders/{name}.wgsl has no entry point `{name}`"));
            }
            Some(_) => {}
        }
        if !scalar.contains(&format!("pub fn {name}(")) {
            findings.push(format!("engine::scalar::{name} is missing: write the oracle first"));
        }
        if !differential.contains(&format!("\"{name}\"")) {
            findings.push(format!("tests/it/differential.rs has no case \"{name}\""));
        }
    }
    for name in shaders.keys() {
        if name != "common" && !Pass::ALL.contains(&name.as_str()) {
            findings.push(format!("shaders/{name}.wgsl belongs to no Pass"));
        }
    }
    findings
}

/// Every `[dependencies]` and `[dev-dependencies]` crate has its line in docs/dependencies.md.
fn dependency_findings(manifest: &str, docs: &str) -> Vec<String> {
    let mut section = "";
    let mut findings = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if let Some((name, _)) = line.split_once(" = ")
            && section.ends_with("dependencies]")
            && !docs.contains(&format!("| `{name}` |"))
        {
            findings
                .push(format!("docs/dependencies.md has no line for `{name}`: what for, licence, what was rejected"));
        }
    }
    findings
}

fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "{} finding(s):\n  {}", findings.len(), findings.join("\n  "));
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn rooms_import_what_the_table_allows() {
    none(sources().iter().flat_map(import_findings).collect());
}

#[test]
fn crates_stay_in_quarantine() {
    none(sources().iter().flat_map(quarantine_findings).collect());
}

#[test]
fn habits() {
    none(sources().iter().flat_map(habit_findings).collect());
}

#[test]
fn every_pass_has_shader_scalar_and_differential_case() {
    let shaders = fs::read_dir(repository("shaders"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    let scalar: String =
        sources().into_iter().filter(|f| f.path.starts_with("engine/scalar/")).map(|f| f.text).collect();
    let differential = fs::read_to_string(repository("tests/it/differential.rs")).unwrap();
    none(pass_findings(&shaders, &scalar, &differential));
}

#[test]
fn every_dependency_is_accounted_for() {
    let manifest = fs::read_to_string(repository("Cargo.toml")).unwrap();
    let docs = fs::read_to_string(repository("docs/dependencies.md")).unwrap();
    none(dependency_findings(&manifest, &docs));
}

#[test]
fn tests_all_run_and_can_fail() {
    let mut findings = Vec::new();
    for entry in fs::read_dir(repository("tests/it")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tidy.rs") {
            let code = code(&fs::read_to_string(&path).unwrap());
            for word in ["#[ignore", "should_panic", "assert!(true)"] {
                if code.contains(word) {
                    findings.push(format!("{}: {word}", path.display()));
                }
            }
        }
    }
    none(findings);
}

#[test]
fn sabotage_is_found() {
    let file = |path: &str, text: &str| File { path: path.into(), text: format!("//! Docs.\n{text}") };

    let hands_meet_head = file("engine/simd/mod.rs", "use crate::request::Commands;\n");
    assert_eq!(import_findings(&hands_meet_head).len(), 1, "a plain import");
    let grouped = file("codec/png.rs", "use crate::{error::Result, catalog::{Company, Catalog}, plan};\n");
    assert_eq!(import_findings(&grouped).len(), 1, "one of a group");
    let by_path = file("pixel/mod.rs", "fn f() -> crate::plan::Plan { todo() }\n");
    assert_eq!(import_findings(&by_path).len(), 1, "a path in the middle of code");
    assert_eq!(import_findings(&file("novelty.rs", "")).len(), 1, "a room nobody knows");
    let harmless =
        file("engine/mod.rs", "// crate::request\nuse crate::plan::Plan;\nconst S: &str = \"crate::daemon\";\n");
    none(import_findings(&harmless));

    assert_eq!(quarantine_findings(&file("sched/mod.rs", "use wgpu::Device;\n")).len(), 1);
    assert_eq!(quarantine_findings(&file("service.rs", "let x = moxcms::ColorProfile::new_srgb();\n")).len(), 1);
    assert_eq!(quarantine_findings(&file("request/mod.rs", "use image;\n")).len(), 1);
    none(quarantine_findings(&file(
        "service.rs",
        "let image = self.image; let n = image::<u8>(); crate::codec::png::f();\n",
    )));

    assert_eq!(habit_findings(&file("plan.rs", "fn f() { todo!() }\n")).len(), 1);
    assert_eq!(habit_findings(&file("plan.rs", "\n\n\nfn f() { x().unwrap(); }\n")).len(), 1);
    assert_eq!(habit_findings(&file("plan.rs", "#![allow(unsafe_code)]\n")).len(), 1);
    assert_eq!(habit_findings(&file("plan.rs", &"\n".repeat(LINES_MAX + 1))).len(), 1);
    assert_eq!(habit_findings(&File { path: "plan.rs".into(), text: "fn f() {}\n".into() }).len(), 1);
    none(habit_findings(&file(
        "plan.rs",
        "// Cannot fail: x is above 0.\nx.unwrap();\n#[cfg(test)]\nmod tests { fn f() { y.unwrap() } }\n",
    )));

    let all: BTreeMap<String, String> = Pass::ALL.iter().map(|n| ((*n).into(), format!("fn {n}("))).collect();
    let scalar: String = Pass::ALL.iter().map(|n| format!("pub fn {n}(")).collect();
    let cases: String = Pass::ALL.iter().map(|n| format!("\"{n}\"")).collect();
    none(pass_findings(&all, &scalar, &cases));
    let mut without = all.clone();
    without.remove("place");
    assert_eq!(pass_findings(&without, &scalar, &cases).len(), 1, "a shader is missing");
    let mut stray = all.clone();
    stray.insert("vignette".into(), "fn vignette(".into());
    assert_eq!(pass_findings(&stray, &scalar, &cases).len(), 1, "a shader too many");
    assert_eq!(pass_findings(&all, &scalar.replace("pub fn pack(", "fn pack("), &cases).len(), 1, "no oracle");
    assert_eq!(pass_findings(&all, &scalar, &cases.replace("\"load\"", "")).len(), 1, "no differential case");

    assert_eq!(dependency_findings("[dependencies]\nserde = \"1\"\n", "| `toml` |").len(), 1);
}
