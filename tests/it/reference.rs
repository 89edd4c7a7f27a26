//! `docs/commands.md` tells the truth: it is printed from the registry, and its pictures are what the demo catalogue
//! answers. `UPDATE=1` rewrites both.

mod entries;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use calotype::codec::{self, Allow};
use calotype::config::{Config, EngineChoice};
use calotype::limits;
use calotype::pixel::Image;
use calotype::plan::{DecodeAs, SourceFormat};
use calotype::request::registry::{COMMANDS, Command, Scope, Status};
use calotype::service::{ImageRequest, Service};

use entries::{ENTRIES, Entry, Example};

/// All pictures together, bytes.
const PICTURES_BYTES_MAX: u64 = 1 << 20;
/// How far a stored picture may be from a new one on average, levels: encoders may add in another order elsewhere.
const DIFFERENCE_MAX: f64 = 2.0;

const HEAD: &str = "\
# Commands

<!-- printed from src/request/registry.rs by `UPDATE=1 cargo test --test it reference` -->

Every command of the protocol. A request is `/is/image/{Company}/{Asset}?{commands}`, commands separated by `&`; of one that stands
more than once the last counts, names and words are in any case. The examples are answered by `calotype up`, and the pictures are
its answers, as WebP.

| ![Valley](commands/Valley.webp) | ![Portrait](commands/Portrait.webp) | ![Vase](commands/Vase.webp) | ![Chart](commands/Chart.webp) |
|---|---|---|---|
| `demo/Valley` 2400×1600 | `demo/Portrait` 1200×1600 | `demo/Vase` 1500×1500, transparent around it | `demo/Chart` 1600×1200 |

";

/// The pictures without any command but their size.
const PLAIN: [(&str, &str); 4] = [
    ("Valley", "Valley?wid=180"),
    ("Portrait", "Portrait?hei=120"),
    ("Vase", "Vase?wid=120"),
    ("Chart", "Chart?wid=160"),
];

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn updates() -> bool {
    std::env::var_os("UPDATE").is_some()
}

fn works(command: &Command) -> bool {
    matches!(command.status, Status::Done | Status::Partly)
}

/// The entry of a command that works, and the request whose reply is shown for it.
fn shown() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of = |entry: &'static Entry| match entry.example {
        Example::Picture(request) => Some((entry.name, request)),
        Example::Url(_) | Example::None => None,
    };
    let works = |name: &str| COMMANDS.iter().any(|command| command.name == name && works(command));
    PLAIN.into_iter().chain(ENTRIES.iter().filter(move |entry| works(entry.name)).filter_map(of))
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Request => "the whole request",
        Scope::View => "the view",
        Scope::Layer0 => "layer 0",
        Scope::Composite => "the composite",
        Scope::Layer => "a layer",
    }
}

fn page() -> String {
    let mut page = String::from(HEAD);
    for (command, entry) in COMMANDS.iter().zip(ENTRIES) {
        let Command { name, syntax, range, default, .. } = command;
        let state = match command.status {
            Status::Done => "",
            Status::Partly => " Some of it works.",
            Status::NotYet => " Known, but not supported yet.",
            Status::Never => " Known, and not supported.",
        };
        let says = entry.says;
        writeln!(page, "## `{name}`\n\n{says}{state}\n").expect("a String");
        writeln!(page, "- value: `{syntax}`; accepted: {range}").expect("a String");
        if !default.is_empty() {
            writeln!(page, "- default: {default}").expect("a String");
        }
        writeln!(page, "- of {}", scope(command.scope)).expect("a String");
        match entry.example {
            Example::Picture(request) if works(command) => {
                writeln!(page, "- `/is/image/demo/{request}`\n\n  ![{name}](commands/{name}.webp)").expect("a String");
            }
            Example::Url(request) if works(command) => {
                writeln!(page, "- `/is/image/demo/{request}`").expect("a String");
            }
            Example::Picture(_) | Example::Url(_) | Example::None => {}
        }
        page.push('\n');
    }
    page
}

#[test]
fn the_page_is_that_of_the_registry() {
    for (command, entry) in COMMANDS.iter().zip(ENTRIES) {
        assert_eq!(command.name, entry.name, "tests/it/reference/entries.rs has the registry's order");
    }
    assert_eq!(COMMANDS.len(), ENTRIES.len(), "tests/it/reference/entries.rs has a sentence for every command");
    let path = repository("docs/commands.md");
    if updates() {
        fs::write(path, page()).unwrap();
        return;
    }
    let same = fs::read_to_string(path).is_ok_and(|old| old == page());
    assert!(same, "docs/commands.md is not the registry's: run UPDATE=1 cargo test --test it reference");
}

/// Renditions of the catalogue that `calotype up` serves.
struct Demo {
    service: std::sync::Arc<Service>,
    runtime: tokio::runtime::Runtime,
}

impl Demo {
    fn start() -> Self {
        let mut config = Config::demo();
        config.daemon.engine = EngineChoice::Simd;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let service = runtime.block_on(async { Service::try_new(&config) }).unwrap();
        Self { service, runtime }
    }

    /// The reply to a request; WebP where that is not what it is about.
    fn picture(&self, request: &str) -> Vec<u8> {
        let (asset, query) = request.split_once('?').expect("a query");
        let quality = if query.contains("qlt=") { "" } else { "&qlt=70" };
        let query = format!("{query}{quality}&fmt=webp");
        let request = ImageRequest { path: format!("/demo/{asset}"), query, ..ImageRequest::default() };
        let deadline = Instant::now() + Duration::from_secs(300);
        let rendition = self.runtime.block_on(self.service.image(&request, deadline));
        rendition.unwrap_or_else(|error| panic!("{}: {error}", request.query)).bytes.to_vec()
    }
}

fn decoded(bytes: &[u8]) -> Image {
    let allow = Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: limits::SOURCE_PIXELS_MAX };
    let header = codec::probe(&mut std::io::Cursor::new(bytes), &allow).expect("a picture");
    codec::decode(bytes, &header, DecodeAs::Rgb).expect("a picture")
}

/// Mean difference of two pictures, levels; none if their sizes differ.
fn difference(a: &Image, b: &Image) -> Option<f64> {
    if (a.size(), a.format()) != (b.size(), b.format()) {
        return None;
    }
    let pairs = a.planes().iter().zip(b.planes()).flat_map(|(a, b)| a.data().iter().zip(b.data()));
    let (sum, count) = pairs.fold((0_u64, 0_u64), |(sum, n), (a, b)| (sum + u64::from(a.abs_diff(*b)), n + 1));
    Some(sum as f64 / count as f64)
}

#[test]
fn the_pictures_are_what_the_demo_catalogue_answers() {
    let folder = repository("docs/commands");
    fs::create_dir_all(&folder).unwrap();
    let demo = Demo::start();
    let path = |name: &str| folder.join(format!("{name}.webp"));
    let mut stale = Vec::new();
    for (name, request) in shown() {
        let new = demo.picture(request);
        if updates() {
            fs::write(path(name), new).unwrap();
            continue;
        }
        let old = fs::read(path(name)).ok();
        let off = old.and_then(|old| difference(&decoded(&old), &decoded(&new)));
        if off.is_none_or(|off| off > DIFFERENCE_MAX) {
            stale.push(format!("{name} ({off:?} levels)"));
        }
    }
    assert!(stale.is_empty(), "run UPDATE=1 cargo test --test it reference: {}", stale.join(", "));
    let named: BTreeSet<String> = shown().map(|(name, _)| format!("{name}.webp")).collect();
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap());
    let mut bytes = 0;
    for file in files {
        let name = file.file_name().into_string().unwrap();
        if updates() && !named.contains(&name) {
            fs::remove_file(file.path()).unwrap();
            continue;
        }
        assert!(named.contains(&name), "docs/commands/{name} is shown nowhere");
        bytes += file.metadata().unwrap().len();
    }
    println!("{} pictures, {bytes} bytes", named.len());
    assert!(bytes < PICTURES_BYTES_MAX, "{bytes} bytes of pictures");
}

/// An example shows something: its picture is not the one without its command.
#[test]
fn every_picture_shows_its_command() {
    let demo = Demo::start();
    for (name, request) in shown().filter(|(name, _)| !PLAIN.iter().any(|(plain, _)| plain == name)) {
        let (asset, query) = request.split_once('?').expect("a query");
        let others: Vec<&str> = query
            .split('&')
            .filter(|modifier| !modifier.split('=').next().is_some_and(|n| n.eq_ignore_ascii_case(name)))
            .collect();
        assert!(others.len() < query.split('&').count(), "{name}: {request} does not say {name}");
        let without = decoded(&demo.picture(&format!("{asset}?{}", others.join("&"))));
        let off = difference(&decoded(&demo.picture(request)), &without);
        assert!(off.is_none_or(|off| off > 0.2), "{name}: {request} shows {off:?} levels of it");
    }
}
