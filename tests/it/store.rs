//! Does the store find what is below its root, and nothing else?

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use bytes::Bytes;
use calotype::error::{Error, Result};
use calotype::limits;
use calotype::store::{EXTENSIONS, Root, Source};
use tempfile::TempDir;

/// A root with `secret` beside it.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: TempDir::new().unwrap() };
        fs::create_dir(place.dir.path().join("root")).unwrap();
        fs::write(place.dir.path().join("secret.jpg"), "secret").unwrap();
        place
    }

    fn file(&self, name: &str) {
        let path = self.dir.path().join("root").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("root").join(name)
    }

    fn open(&self, asset: &[&str]) -> Result<Source> {
        let asset: Vec<String> = asset.iter().map(|&part| part.to_owned()).collect();
        Root::Dir(self.dir.path().join("root")).open("Co/asset", &asset)
    }

    /// The file that `asset` finds, by its content.
    fn found(&self, asset: &[&str]) -> String {
        let bytes = self.open(asset).and_then(|source| source.read("Co/asset")).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }
}

fn check_forbidden(found: Result<Source>, what: &str) {
    assert!(matches!(&found, Err(Error::Forbidden { id }) if id == "Co/asset"), "{what}: {found:?}");
}

fn check_missing(found: Result<Source>, what: &str) {
    assert!(matches!(&found, Err(Error::NotFound { id }) if id == "Co/asset"), "{what}: {found:?}");
}

#[test]
fn the_whole_name_comes_first_then_extensions_in_order() {
    let place = Place::new();
    for extension in EXTENSIONS.iter().rev() {
        for name in [format!("a.{}", extension.to_ascii_uppercase()), format!("a.{extension}")] {
            place.file(&name);
            assert_eq!(place.found(&["a"]), name, "the newest is the first in order");
        }
    }
    place.file("a");
    assert_eq!(place.found(&["a"]), "a");
    assert_eq!(place.found(&["a.png"]), "a.png");
    // A directory of that name does not hide the file.
    place.file("b/c.jpg");
    place.file("b.PNG");
    assert_eq!(place.found(&["b"]), "b.PNG");
    assert_eq!(place.found(&["b", "c"]), "b/c.jpg");
    check_missing(place.open(&["A"]), "names are case-sensitive");
    check_missing(place.open(&["b", "c", "d"]), "a file is no directory");
    check_missing(place.open(&["a.jpg", "d"]), "a file is no directory");
    check_missing(place.open(&["b", "d"]), "not there");
    check_missing(place.open(&[&"x".repeat(300)]), "no file has so long a name");
    check_missing(place.open(&[]), "no name");
}

#[test]
fn no_element_leads_out() {
    let place = Place::new();
    place.file("a.jpg");
    place.file("b/c.jpg");
    for asset in [
        &["..", "secret"][..],
        &["b", "..", "a"],
        &["b", "..", "..", "secret"],
        &["."],
        &["b", ".", "c"],
        &[""],
        &["", "etc", "passwd"],
        &["b", "", "c"],
        &["b/c"],
        &["/etc/passwd"],
        &["../secret"],
        &["a\0"],
        &["a\0.jpg"],
    ] {
        check_forbidden(place.open(asset), &format!("{asset:?}"));
    }
}

#[test]
fn a_symbolic_link_stays_inside_or_is_refused() {
    let place = Place::new();
    place.file("real.jpg");
    place.file("deep/real.png");
    symlink("real.jpg", place.path("inside.jpg")).unwrap();
    symlink("../real.jpg", place.path("deep/up.jpg")).unwrap();
    symlink("deep", place.path("other")).unwrap();
    assert_eq!(place.found(&["inside"]), "real.jpg");
    assert_eq!(place.found(&["deep", "up"]), "real.jpg");
    assert_eq!(place.found(&["other", "real"]), "deep/real.png");
    symlink("../secret.jpg", place.path("relative.jpg")).unwrap();
    symlink(place.dir.path().join("secret.jpg"), place.path("absolute.jpg")).unwrap();
    symlink("..", place.path("above")).unwrap();
    symlink("/", place.path("top")).unwrap();
    symlink("ring.jpg", place.path("ring.jpg")).unwrap();
    for asset in [&["relative"][..], &["absolute"], &["above", "secret"], &["top", "etc", "passwd"], &["ring"]] {
        check_forbidden(place.open(asset), &format!("{asset:?}"));
    }
    symlink("nowhere.jpg", place.path("broken.jpg")).unwrap();
    check_missing(place.open(&["broken"]), "a link to nothing inside");
}

#[test]
fn only_regular_files_are_opened() {
    let place = Place::new();
    assert!(Command::new("mkfifo").arg(place.path("pipe.jpg")).status().unwrap().success());
    let _socket = UnixListener::bind(place.path("socket")).unwrap();
    // Would hang here if the pipe were opened in the ordinary way: nobody writes to it.
    check_forbidden(place.open(&["pipe"]), "a pipe");
    check_forbidden(place.open(&["socket"]), "a socket");
    fs::create_dir(place.path("folder")).unwrap();
    check_missing(place.open(&["folder"]), "a directory");
}

#[test]
fn a_file_over_the_ceiling_is_refused_unread() {
    let place = Place::new();
    File::create(place.path("big.jpg")).unwrap().set_len(limits::SOURCE_BYTES_MAX + 1).unwrap();
    assert!(matches!(place.open(&["big"]), Err(Error::SourceTooLong { bytes_max: limits::SOURCE_BYTES_MAX })));
}

#[test]
fn versions_tell_rewritten_and_exchanged_files_apart() {
    let place = Place::new();
    place.file("a.jpg");
    let first = place.open(&["a"]).unwrap().version;
    assert_eq!(place.open(&["a"]).unwrap().version, first);
    assert_eq!(first.bytes, 5);
    // Same length and, on a coarse clock, the same time; but another file.
    place.file("new");
    fs::write(place.path("new"), "a.JPG").unwrap();
    fs::rename(place.path("new"), place.path("a.jpg")).unwrap();
    assert_ne!(place.open(&["a"]).unwrap().version, first);
    let second = place.open(&["a"]).unwrap().version;
    fs::write(place.path("a.jpg"), "longer than before").unwrap();
    assert_ne!(place.open(&["a"]).unwrap().version, second);
}

#[test]
fn what_grew_since_it_was_opened_is_read_as_it_was() {
    let place = Place::new();
    place.file("a.jpg");
    let mut source = place.open(&["a"]).unwrap();
    let mut start = [0; 2];
    source.reader().read_exact(&mut start).unwrap();
    assert_eq!(&start, b"a.");
    fs::write(place.path("a.jpg"), "a.jpg and more").unwrap();
    assert_eq!(source.read("Co/asset").unwrap(), "a.jpg", "from the start, and no more than there was");
}

#[test]
fn a_root_that_is_gone_is_our_fault_and_one_that_comes_back_is_seen() {
    let place = Place::new();
    place.file("a.jpg");
    fs::rename(place.dir.path().join("root"), place.dir.path().join("moved")).unwrap();
    assert!(matches!(place.open(&["a"]), Err(Error::Io { .. })));
    fs::rename(place.dir.path().join("moved"), place.dir.path().join("root")).unwrap();
    assert_eq!(place.found(&["a"]), "a.jpg");
}

#[test]
fn computed_sources_are_found_by_their_whole_name() {
    let compute = |name: &str| (name == "a/b").then(|| Bytes::from_static(b"computed"));
    let open = |asset: &[&str]| {
        let asset: Vec<String> = asset.iter().map(|&part| part.to_owned()).collect();
        Root::Computed(compute).open("Co/asset", &asset)
    };
    let source = open(&["a", "b"]).unwrap();
    assert_eq!(source.version.bytes, 8);
    assert_eq!(source.read("Co/asset").unwrap(), "computed");
    check_missing(open(&["a"]), "not computed");
    check_forbidden(open(&["a/b"]), "an element with a slash");
}
