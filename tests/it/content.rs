//! Static files over the daemon's socket and through the front: whole, in ranges, conditionally, and never another file.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use calotype::catalog::{Content, ContentRecord, Published, Rule, RuleHeader};
use calotype::config::{Config, ErrorStyle, Flags};
use calotype::limits;

use crate::front::Front;
use crate::http::{Reply, Site, has_tool, head, just_written, settle};
use crate::support::SplitMix64;

const PLAIN: &str = "text/plain; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const VTT: &str = "\u{feff}WEBVTT\n\n00:01.000 --> 00:02.000\n\"A\" </script> é\n";

/// A site with files beside its pictures. `film.mp4` is bytes without a pattern, several chunks of them.
struct Files {
    site: Site,
    film: Vec<u8>,
}

impl Files {
    fn start() -> Self {
        Self::with(|_| {})
    }

    fn with(edit: impl FnOnce(&mut Config)) -> Self {
        let mut rng = SplitMix64::new("film");
        let film: Vec<u8> = (0..5 * limits::CONTENT_CHUNK_BYTES / 2 + 13).map(|_| rng.byte()).collect();
        let site = Site::start(|config| {
            let company = config.catalog.companies.get_mut("Co").expect("the site's company");
            let calotype::catalog::SourceRoot::Dir(images) = &company.source else { panic!("a folder") };
            let root = images.parent().expect("a parent").join("files");
            write_files(&root, &film);
            let mut content = Content { root: Some(root), ..Content::default() };
            for (id, record) in records() {
                content.records.insert(id.to_owned(), record);
            }
            company.content = Arc::new(content);
            edit(config);
        });
        Self { site, film }
    }

    fn ask(&self, target: &str, headers: &[&str]) -> Reply {
        let headers: Vec<&str> = headers.iter().copied().chain(["Connection: close"]).collect();
        self.site.client().ask("GET", &format!("/is/content/{target}"), &headers)
    }
}

fn write_files(root: &Path, film: &[u8]) {
    fs::create_dir_all(root.join("sub/.git")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(root.join(name), bytes).unwrap();
    write("film.mp4", film);
    write("captions.vtt", VTT.as_bytes());
    write("notes.txt", b"0123456789");
    write("empty.txt", b"");
    write("latin.txt", b"caf\xe9");
    write("sub/deep.css", b"a{}");
    write("sub/.git/config", b"secret");
    write(".hidden", b"secret");
    write("long.txt", &vec![b'x'; usize::try_from(limits::SCRIPT_BYTES_MAX).unwrap() + 1]);
    fs::write(root.parent().unwrap().join("secret.txt"), b"secret").unwrap();
    symlink("../secret.txt", root.join("out.txt")).unwrap();
    symlink("/etc/passwd", root.join("passwd.txt")).unwrap();
    symlink("notes.txt", root.join("in.txt")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("ring.txt", root.join("ring.txt")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(root.join("socket.txt")).unwrap());
    // Eight gigabytes that take no room.
    File::create(root.join("huge.bin")).unwrap().set_len(8 << 30).unwrap();
}

fn records() -> [(&'static str, ContentRecord); 4] {
    let of = |path: &str| ContentRecord { path: Some(path.to_owned()), ..ContentRecord::default() };
    [
        (
            "clip",
            ContentRecord {
                kind: String::from("Video"),
                expiration_hours: Some(2.0),
                timestamp_s: Some(784_111_777),
                user_data: Some(String::from("a=1??b=2")),
                ..of("film.mp4")
            },
        ),
        ("for/ever", ContentRecord { expiration_hours: Some(-1.0), ..of("notes.txt") }),
        ("private", ContentRecord { published: Some(false), ..of("notes.txt") }),
        ("lost", of("nothing.txt")),
    ]
}

#[test]
fn a_file_comes_whole_with_all_its_headers() {
    let files = Files::start();
    // What may be half there is not kept for long.
    let notes = files.site.dir.path().join("files/notes.txt");
    let half = just_written(|| fs::write(&notes, "01234").unwrap(), || files.ask("Co/for/ever", &[]));
    assert_eq!((half.status, half.header("cache-control")), (200, "public, max-age=60"), "{half}");
    let known = format!("If-None-Match: {}", half.header("etag"));
    fs::write(&notes, "0123456789").unwrap();
    settle(&files.site.dir.path().join("files"));
    assert_eq!(files.ask("Co/for/ever", &[&known]).status, 200, "nor vouched for unchecked");
    let reply = files.ask("Co/film.mp4", &[]);
    assert_eq!((reply.status, reply.body == files.film), (200, true), "{reply}");
    for (name, want) in [
        ("content-type", "video/mp4"),
        ("accept-ranges", "bytes"),
        ("cache-control", "public, max-age=36000"),
        ("timing-allow-origin", "*"),
        ("x-content-type-options", "nosniff"),
        ("content-length", &files.film.len().to_string()),
    ] {
        assert_eq!(reply.header(name), want, "{name}: {reply}");
    }
    assert!(reply.header("etag").ends_with('"') && reply.header("last-modified").ends_with(" GMT"), "{reply}");
    let head = files.site.client().ask("HEAD", "/is/content/Co/film.mp4", &["Range: bytes=0-1"]);
    assert_eq!((head.status, head.header("content-length")), (200, reply.header("content-length")), "{head}");
    assert!(head.body.is_empty() && !head.has("content-range"), "{head}");

    let recorded = files.ask("Co/clip", &[]);
    assert_eq!((recorded.status, recorded.header("content-type")), (200, "video/mp4"), "{recorded}");
    assert_eq!(recorded.header("cache-control"), "public, max-age=7200");
    assert_eq!(recorded.header("last-modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert!(recorded.body == files.film);
    for (target, mime, body) in [
        ("Co/captions.vtt", "text/vtt; charset=utf-8", VTT),
        ("Co/sub/deep.css", "text/css; charset=utf-8", "a{}"),
        ("Co/in.txt", PLAIN, "0123456789"),
        ("Co/empty.txt", PLAIN, ""),
        ("Co/for/ever", PLAIN, "0123456789"),
        ("Co/notes.txt?wid=300&.v=3&foo=1", PLAIN, "0123456789"),
        ("Co/%6Eotes.txt", PLAIN, "0123456789"),
    ] {
        let reply = files.ask(target, &[]);
        assert_eq!(
            (reply.status, reply.header("content-type"), &*reply.text()),
            (200, mime, body),
            "{target}: {reply}"
        );
    }
    assert_eq!(files.ask("Co/notes.txt?wid=300&foo=1", &[]).header("x-image-serving-ignored"), "wid, foo");
    assert_eq!(files.ask("Co/notes.txt?cache=off", &[]).header("cache-control"), "no-store");
    let never = files.ask("Co/for/ever", &[]).header("cache-control").to_owned();
    assert_eq!(never, "public, max-age=31536000, immutable");
}

#[test]
fn ranges_come_as_they_are_asked_for() {
    let files = Files::start();
    let last = files.film.len() - 1;
    let chunk = limits::CONTENT_CHUNK_BYTES;
    for (header, first, end) in [
        (String::from("bytes=0-0"), 0, 0),
        (format!("bytes={}-{}", chunk - 3, chunk * 2 + 3), chunk - 3, chunk * 2 + 3),
        (format!("bytes={}-", last - 9), last - 9, last),
        (String::from("bytes=-17"), last - 16, last),
        (format!("bytes=-{}", u64::MAX), 0, last),
        (format!("bytes=5-{}", u64::MAX), 5, last),
    ] {
        let reply = files.ask("Co/film.mp4", &[&format!("Range: {header}")]);
        assert_eq!(reply.status, 206, "{header}: {reply}");
        assert_eq!(reply.header("content-range"), format!("bytes {first}-{end}/{}", last + 1), "{header}");
        assert_eq!(reply.header("content-type"), "video/mp4");
        assert!(reply.body == files.film[first..=end], "{header}: other bytes");
    }
    for header in ["bytes=9-2", "lines=0-1", "bytes=x", "bytes=0-4,3-9"] {
        let reply = files.ask("Co/notes.txt", &[&format!("Range: {header}")]);
        assert_eq!((reply.status, &*reply.text()), (200, "0123456789"), "{header}: {reply}");
    }
    for (target, header, length) in
        [("Co/notes.txt", "bytes=10-", 10), ("Co/notes.txt", "bytes=-0", 10), ("Co/empty.txt", "bytes=0-", 0)]
    {
        let reply = files.ask(target, &[&format!("Range: {header}")]);
        assert_eq!((reply.status, reply.header("content-range")), (416, &*format!("bytes */{length}")), "{reply}");
        assert_eq!(reply.header("cache-control"), "no-store");
    }
}

#[test]
fn several_ranges_come_as_one_multipart_reply() {
    let files = Files::start();
    let reply = files.ask("Co/notes.txt", &["Range: bytes=7-8,0-1,-1"]);
    assert_eq!(reply.status, 206, "{reply}");
    let boundary = reply.header("content-type").strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    let part = |range: &str, bytes: &str| {
        format!("\r\n--{boundary}\r\nContent-Type: {PLAIN}\r\nContent-Range: bytes {range}/10\r\n\r\n{bytes}")
    };
    let want = part("7-8", "78") + &part("0-1", "01") + &part("9-9", "9") + &format!("\r\n--{boundary}--\r\n");
    assert_eq!(reply.text(), want);
    assert_eq!(reply.header("content-length"), want.len().to_string());
    assert!(!reply.has("content-range"));
}

/// A tag is strong once the file cannot change unnoticed any more, which takes two seconds.
#[test]
fn conditions_are_met_or_not() {
    let files = Files::start();
    let fresh = files.ask("Co/notes.txt", &[]);
    let tag = fresh.header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "changed just now: {tag}");
    assert_eq!(files.ask("Co/notes.txt", &[&format!("If-None-Match: {tag}")]).status, 304);
    assert_eq!(files.ask("Co/notes.txt", &["Range: bytes=0-1", &format!("If-Range: {tag}")]).status, 200, "weak");
    std::thread::sleep(Duration::from_millis(limits::SETTLED_MS_MIN + 200));
    let settled = files.ask("Co/notes.txt", &[]);
    let (tag, time) = (settled.header("etag"), settled.header("last-modified"));
    assert!(tag.starts_with('"'), "{tag}");
    let other = files.ask("Co/film.mp4", &[]).header("etag").to_owned();
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    let year = Duration::from_secs(31_536_000);
    let late = httpdate::fmt_http_date(SystemTime::now() + year);
    for (headers, status) in [
        (vec![format!("If-None-Match: {tag}")], 304),
        (vec![format!("If-None-Match: W/{tag}, \"x\"")], 304),
        (vec![String::from("If-None-Match: *")], 304),
        (vec![format!("If-None-Match: {other}")], 200),
        (vec![format!("If-Modified-Since: {time}")], 304),
        (vec![format!("If-Modified-Since: {old}")], 200),
        (vec![format!("If-None-Match: {other}"), format!("If-Modified-Since: {late}")], 200),
        (vec![format!("If-None-Match: {tag}"), String::from("Range: bytes=0-1")], 304),
        (vec![format!("If-Range: {tag}"), String::from("Range: bytes=0-1")], 206),
        (vec![format!("If-Range: {time}"), String::from("Range: bytes=0-1")], 206),
        (vec![format!("If-Range: {other}"), String::from("Range: bytes=0-1")], 200),
        (vec![format!("If-Range: {old}"), String::from("Range: bytes=0-1")], 200),
        (vec![format!("If-Range: {other}"), String::from("Range: bytes=99-")], 200),
        (vec![format!("If-Match: {tag}")], 200),
        (vec![format!("If-Match: {other}")], 412),
        (vec![format!("If-Unmodified-Since: {old}")], 412),
        (vec![format!("If-Unmodified-Since: {late}"), String::from("Range: bytes=0-1")], 206),
    ] {
        let lines: Vec<&str> = headers.iter().map(String::as_str).collect();
        let reply = files.ask("Co/notes.txt", &lines);
        assert_eq!(reply.status, status, "{headers:?}: {reply}");
        if status == 304 {
            assert!(reply.body.is_empty() && reply.header("etag") == tag, "{headers:?}: {reply}");
        }
    }
    // What never expires is not looked at again.
    let forever = files.ask("Co/for/ever", &["If-None-Match: \"anything\""]);
    assert_eq!(forever.status, 304, "{forever}");
    // Another state, another tag.
    fs::write(files.site.dir.path().join("files/notes.txt"), b"0123456780").unwrap();
    let changed = files.ask("Co/notes.txt", &[&format!("If-None-Match: {tag}")]);
    assert_eq!((changed.status, &*changed.text()), (200, "0123456780"), "{changed}");
}

#[test]
fn no_path_leads_to_another_file() {
    let files = Files::start();
    for (target, status) in [
        ("Co/../secret.txt", 403),
        ("Co/%2e%2e/secret.txt", 403),
        ("Co/..%2Fsecret.txt", 403),
        ("Co/sub/../notes.txt", 403),
        ("Co/sub%2Fdeep.css", 403),
        ("Co/./notes.txt", 403),
        ("Co//notes.txt", 403),
        ("Co/notes.txt/", 403),
        ("Co/notes.txt%00", 403),
        ("Co//etc/passwd", 403),
        ("Co/out.txt", 403),
        ("Co/passwd.txt", 403),
        ("Co/up/secret.txt", 403),
        ("Co/up/files/notes.txt", 403),
        ("Co/ring.txt", 403),
        ("Co/socket.txt", 403),
        ("Co/.hidden", 403),
        ("Co/sub/.git/config", 403),
        ("Co/.%2e/secret.txt", 403),
        ("Co/%2Fetc%2Fpasswd", 403),
        ("Co/sub", 404),
        ("Co/nothing.txt", 404),
        ("Co/notes.txt/more", 404),
        ("Co/notes", 404),
        ("Co/NOTES.TXT", 404),
        ("Co/private", 404),
        ("Co/lost", 404),
        ("Co", 404),
        ("", 404),
        ("co/notes.txt", 404),
        ("demo/coast", 404),
        ("Co/A.jpg", 404),
        ("Co/%zz", 400),
        ("Co/%ff", 400),
        ("Co/notes.txt?$none$", 400),
        ("Co/notes.txt?req=img", 400),
        ("Co/notes.txt?req=content,xml", 400),
        ("Co/notes.txt?cache=maybe", 400),
        (&format!("Co/{}", "a".repeat(300)), 404),
        (&format!("Co/{}", "a/".repeat(4000)), 403),
        (&format!("Co/{}", "a".repeat(limits::URL_BYTES_MAX)), 414),
    ] {
        let shown: String = target.chars().take(60).collect();
        let reply = files.ask(target, &[]);
        assert_eq!(reply.status, status, "{shown}: {reply}");
        assert!(!reply.text().contains("root:"), "{shown}: {reply}");
        assert!(!reply.body.starts_with(b"secret"), "{shown}: {reply}");
        assert_eq!((reply.header("content-type"), reply.header("cache-control")), (PLAIN, "no-store"), "{shown}");
        assert_eq!(reply.text().lines().count(), 3, "title, detail, advice: {reply}");
    }
    let missing = files.ask("Co/nothing.txt", &[]);
    assert_eq!(missing.text().lines().nth(1), Some("no such file: Co/nothing.txt"), "{missing}");
    for (method, status) in [("POST", 405), ("PUT", 405), ("DELETE", 405), ("OPTIONS", 204)] {
        let reply = files.site.client().ask(method, "/is/content/Co/notes.txt", &[]);
        assert_eq!((reply.status, reply.header("allow")), (status, "GET, HEAD, OPTIONS"), "{method}");
    }
}

#[test]
fn type_is_a_filter() {
    let files = Files::start();
    for (target, status) in [
        ("Co/clip?type=Video", 200),
        ("Co/clip?type=video", 400),
        ("Co/clip?type=", 400),
        ("Co/clip?type=Audio&type=Video", 200),
        ("Co/notes.txt?type=Video", 200),
        ("Co/for/ever?type=Video", 200),
    ] {
        let reply = files.ask(target, &[]);
        assert_eq!(reply.status, status, "{target}: {reply}");
        assert!(status == 200 || reply.text().contains("type=\""), "{reply}");
    }
    // Pictures have none.
    assert_eq!(files.site.get("/is/image/Co/A?type=Video").status, 400);
}

#[test]
fn what_is_known_of_a_file_comes_in_words() {
    let files = Files::start();
    let length = format!("\ncontent.length={}\n", files.film.len());
    for (target, mime, says) in [
        ("Co/clip?req=props", PLAIN, &["#S7Z OK\n", &length, "\ncontent.type=video/mp4\n", "userType=Video"][..]),
        ("Co/notes.txt?req=props,json", SCRIPT, &["s7jsonResponse({\"content.length\":\"10\"", ",\"\");"]),
        ("Co/clip?req=exists", PLAIN, &["\ncatalogRecord.exists=1\n"]),
        ("Co/private?req=exists", PLAIN, &["\ncatalogRecord.exists=0\n"]),
        ("Co/lost?req=exists", PLAIN, &["\ncatalogRecord.exists=0\n"]),
        ("Co/nothing?req=exists", PLAIN, &["\ncatalogRecord.exists=0\n"]),
        ("Co/clip?req=userdata", PLAIN, &["a=1\r\nb=2\r\n"]),
        ("Co/notes.txt?req=userdata", PLAIN, &["\r\n"]),
        ("Co/clip?req=userdata,xml", "text/xml; charset=utf-8", &["<property name=\"b\" value=\"2\"/>"]),
    ] {
        let reply = files.ask(target, &[]);
        assert_eq!((reply.status, reply.header("content-type")), (200, mime), "{target}: {reply}");
        for word in says {
            assert!(reply.text().contains(word), "{target}: no {word:?} in {reply}");
        }
    }
    let lost = files.ask("Co/lost?req=props,json&id=7", &[]);
    let want = "/*jsonp*/s7jsonError({\"message\":\"no such file: Co/lost\",\"title\":\"File not found\"},\"7\");";
    assert_eq!((lost.status, &*lost.text()), (404, want));
}

#[test]
fn texts_come_as_scripts_for_pages_of_other_hosts() {
    let files = Files::start();
    let text = VTT.trim_start_matches('\u{feff}').replace('\n', "\\n").replace('"', "\\\"").replace('<', "\\u003c");
    for (query, handler, id) in [
        ("req=content,json", "s7jsonResponse", ""),
        ("handler=show&id=v7", "show", "v7"),
        ("req=content,json&handler=show", "show", ""),
    ] {
        let reply = files.ask(&format!("Co/captions.vtt?{query}"), &[]);
        assert_eq!((reply.status, reply.header("content-type")), (200, SCRIPT), "{query}: {reply}");
        assert_eq!(reply.text(), format!("/*jsonp*/{handler}({{\"content\":\"{text}\"}},\"{id}\");"), "{query}");
        assert_eq!(reply.header("cache-control"), "public, max-age=36000");
    }
    for (target, status) in [
        ("Co/film.mp4?handler=show", 400),
        ("Co/long.txt?handler=show", 422),
        ("Co/latin.txt?handler=show", 422),
        ("Co/captions.vtt?handler=a.b", 400),
        ("Co/captions.vtt?handler=alert(1)//", 400),
    ] {
        let reply = files.ask(target, &[]);
        assert_eq!((reply.status, reply.header("content-type")), (status, SCRIPT), "{target}: {reply}");
        assert!(reply.text().starts_with("/*jsonp*/s7jsonError("), "{target}: {reply}");
    }
}

/// Eight gigabytes are described, sought in and begun, and the daemon stays as small as it was.
#[test]
fn a_long_file_is_never_in_memory() {
    let files = Files::start();
    let described = files.site.client().ask("HEAD", "/is/content/Co/huge.bin", &[]);
    assert_eq!(described.header("content-length"), (8_u64 << 30).to_string());
    let end = files.ask("Co/huge.bin", &["Range: bytes=-3"]);
    assert_eq!((end.status, end.body), (206, vec![0; 3]));
    assert_eq!(
        end.headers.iter().find(|(name, _)| name == "content-range").unwrap().1,
        "bytes 8589934589-8589934591/8589934592"
    );
    let before = resident_kb();
    let mut clients: Vec<_> = (0..8).map(|_| files.site.client()).collect();
    for client in &mut clients {
        client.send(head("GET", "/is/content/Co/huge.bin", &[]));
        let mut some = vec![0; 4 << 20];
        client.stream.read_exact(&mut some).unwrap();
        assert!(some.starts_with(b"HTTP/1.1 200 OK\r\n"), "{:?}", &some[..40]);
    }
    let more = resident_kb().saturating_sub(before);
    assert!(more < 256 << 10, "{more} kB more for 8 clients of 8 GiB each");
}

/// Resident memory of this process, kB.
fn resident_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_file_that_is_cut_while_it_is_sent_does_not_look_whole() {
    let files = Files::start();
    let path = files.site.dir.path().join("files/cut.bin");
    let bytes = 64 << 20;
    File::create(&path).unwrap().set_len(bytes).unwrap();
    let mut client = files.site.client();
    client.send(head("GET", "/is/content/Co/cut.bin", &["Connection: close"]));
    let mut some = [0; 1000];
    client.stream.read_exact(&mut some).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let mut rest = Vec::new();
    // Reset or closed, as the system has it.
    drop(client.stream.read_to_end(&mut rest));
    assert!((rest.len() as u64) < bytes / 2, "{} bytes came", rest.len());
    assert_eq!(files.ask("Co/notes.txt", &[]).status, 200, "the others are served");
}

#[test]
fn rules_headers_and_ways_of_telling_errors_hold_here_too() {
    let files = Files::with(|config| {
        config.daemon.errors = ErrorStyle::Compat;
        let company = config.catalog.companies.get_mut("Co").expect("the site's company");
        let header = |name: &str| RuleHeader { name: name.to_owned(), value: String::from("$c$"), is_added: false };
        let rule = |of_images| Rule {
            expression: None,
            substitution: None,
            replace: calotype::catalog::Replace::First,
            on_match: calotype::catalog::OnMatch::Continue,
            of_images,
            of_content: !of_images,
            address_filter: None,
            headers: vec![header(if of_images { "X-Picture" } else { "X-File" })],
            overrides: calotype::catalog::Overrides { expiration_hours: Some(1.0), ..Default::default() },
        };
        company.rules = vec![rule(true), rule(false)].into();
    });
    for (target, status) in [("Co/notes.txt?$c=7", 200), ("Co/nothing.txt?$c=7", 403), ("Co/clip?$c=7&type=x", 403)] {
        let reply = files.ask(target, &[]);
        assert_eq!((reply.status, reply.has("x-picture")), (status, false), "{target}: {reply}");
        assert_eq!(reply.header("timing-allow-origin"), "*", "{target}");
        let value = if target.contains("type") { "$c$" } else { "7" };
        assert_eq!(reply.header("x-file"), value, "{target}: {reply}");
    }
    settle(&files.site.dir.path().join("files"));
    assert_eq!(files.ask("Co/notes.txt", &[]).header("cache-control"), "public, max-age=3600");
    // Errors of pictures have the headers of their rules too.
    let missing = files.site.get("/is/image/Co/nothing?$c=7");
    assert_eq!((missing.status, missing.header("x-picture"), missing.has("x-file")), (403, "7", false), "{missing}");

    let listed = Files::with(|config| {
        let company = config.catalog.companies.get_mut("Co").expect("the site's company");
        company.published = Published::Listed;
    });
    assert_eq!(listed.ask("Co/notes.txt", &[]).status, 404);
    let none = Files::with(|config| {
        config.catalog.companies.get_mut("Co").expect("the site's company").content = Arc::default();
    });
    assert_eq!(none.ask("Co/notes.txt", &[]).status, 404);
}

#[test]
fn the_front_passes_files_and_ranges_through() {
    let files = Files::start();
    let front = Front::start(&files.site.data, |_| {});
    let ask = |target: &str, headers: &[&str]| front.client().ask("GET", &format!("/is/content/{target}"), headers);
    let whole = ask("Co/film.mp4", &[]);
    assert_eq!((whole.status, whole.body == files.film), (200, true), "{whole}");
    assert_eq!(whole.header("access-control-allow-origin"), "*");
    let middle = ask("Co/film.mp4", &["Range: bytes=1000-300000"]);
    assert_eq!((middle.status, middle.body == files.film[1000..=300_000]), (206, true), "{middle}");
    assert_eq!(middle.header("content-range"), format!("bytes 1000-300000/{}", files.film.len()));
    assert_eq!(ask("Co/film.mp4", &["Range: bytes=99999999-"]).status, 416);
    let tag = whole.header("etag");
    assert_eq!(ask("Co/film.mp4", &[&format!("If-None-Match: {tag}")]).status, 304);
    assert_eq!(ask("Co/../secret.txt", &[]).status, 403);
    let head = front.client().ask("HEAD", "/is/content/Co/film.mp4", &[]);
    assert_eq!((head.status, head.header("content-length")), (200, whole.header("content-length")), "{head}");
    if !has_tool("curl") {
        return;
    }
    // A download that was broken off goes on where it ended.
    let target = files.site.dir.path().join("got.mp4");
    fs::write(&target, &files.film[..70_000]).unwrap();
    let url = format!("http://{}/is/content/Co/film.mp4", front.addr);
    let curl = Command::new("curl").args(["-sS", "-f", "-C", "-", "-o"]).arg(&target).arg(&url).status();
    assert!(curl.expect("curl starts").success());
    assert!(fs::read(&target).unwrap() == files.film, "curl -C - put together something else");
}

#[test]
fn content_is_configured_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let load = |text: &str| {
        let file = dir.path().join("calotype.toml");
        let text = text.replace("DIR", dir.path().to_str().unwrap());
        File::create(&file).unwrap().write_all_at(text.as_bytes(), 0).unwrap();
        Config::load(Some(&file), std::iter::empty(), &Flags::default())
    };
    let config = load(
        r#"
        [company.default.content]
        source = "file://DIR"
        [company.default.content.record.both]
        type = "default"
        [company.Co]
        source = "demo:"
        [company.Co.content.record.both]
        path = "a/b.pdf"
        type = "Pdf"
        expiration_hours = 24
        timestamp = 1994-11-06T08:49:37Z
        user_data = "x"
        published = true
        [company.Other]
        source = "demo:"
        [company.Other.content.record.own]
        "#,
    )
    .unwrap();
    let co = &config.catalog.companies["Co"].content;
    assert_eq!(co.root.as_deref(), Some(dir.path()));
    let want = ContentRecord {
        path: Some(String::from("a/b.pdf")),
        kind: String::from("Pdf"),
        expiration_hours: Some(24.0),
        timestamp_s: Some(784_111_777),
        user_data: Some(String::from("x")),
        published: Some(true),
    };
    assert_eq!(co.records["both"], want);
    let other = &config.catalog.companies["Other"].content;
    assert_eq!((other.records["both"].kind.as_str(), other.records.len()), ("default", 2));
    for (lines, words) in [
        ("source = \"demo:\"", ["company.Co.content.source", "file:///"]),
        ("source = \"file:///no/such/folder\"", ["company.Co.content.source", "existing"]),
        ("folder = 1", ["company.Co.content.folder", "nearest known one is"]),
        ("record.a.path = \"../x\"", ["content.record.a.path", "without .."]),
        ("record.a.path = \"\"", ["content.record.a.path", "a path below"]),
        ("record.\"a,b\".type = \"x\"", ["a,b", "without , and ?"]),
        ("record.a.expiration_hours = -2", ["record.a.expiration_hours", "hours"]),
        ("record.a.mime = \"x\"", ["record.a.mime", "unknown key"]),
    ] {
        let error = load(&format!("[company.Co]\nsource = \"demo:\"\n[company.Co.content]\n{lines}\n")).unwrap_err();
        for word in words {
            assert!(error.to_string().contains(word), "{lines}: {error}");
        }
    }
}
