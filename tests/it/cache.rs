//! Is what was rendered once served again, and only for as long as it is right? The real daemon over its real sockets.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use calotype::catalog::{Record, Records};
use calotype::codec;
use calotype::pixel::{Chroma, PixelFormat, Size, testcard};
use calotype::plan::{EncodeSpec, JpegQuality};
use rustix::fs::{CWD, RenameFlags};

use crate::daemon::{Process, slow_targets};
use crate::http::{Client, Reply, Site, ask_http2, get, has_tool, head, http2, settle};
use crate::support::{Content, SplitMix64, picture};

const MEMORY_HITS: &str = "calotype_cache_hits{part=\"memory\"}";
const DISK_HITS: &str = "calotype_cache_hits{part=\"disk\"}";
const RENDERS: &str = "calotype_renders";
const TARGET: &str = "/is/image/Co/A?wid=30";

fn jpeg(w: u32, h: u32, seed: u32) -> Vec<u8> {
    let spec = EncodeSpec::Jpeg { quality: JpegQuality(90), chroma: Chroma::Half, progressive: false };
    codec::encode(&testcard::photo(Size::new(w, h), seed), &spec).unwrap()
}

fn invalidate(admin: &Path, body: &str) -> Reply {
    Client::unix(admin).post("/v1/invalidate", &["Content-Type: application/json"], body.as_bytes())
}

#[test]
fn what_was_rendered_once_is_served_again() {
    let site = Site::start(|_| {});
    let first = site.get(TARGET);
    assert_eq!((site.metric(RENDERS), site.metric("calotype_cache_misses"), site.metric(MEMORY_HITS)), (1, 1, 0));
    for same in [TARGET, "/is/image/Co/A?qlt=80&wid=0030&id=7&.c&foo=1", "/is/image/Co/A.jpg?wid=30"] {
        let reply = site.get(same);
        assert_eq!((reply.status, &reply.body), (200, &first.body), "{same}: {reply}");
        for name in ["etag", "content-type", "cache-control", "timing-allow-origin", "content-length"] {
            assert_eq!(reply.header(name), first.header(name), "{same} {name}");
        }
    }
    // A.jpg is another name, but the same asset, source and plan.
    assert_eq!((site.metric(RENDERS), site.metric(MEMORY_HITS)), (1, 3));
    assert!(site.metric("calotype_cache_memory_bytes") >= first.body.len() as u64);
    // In a fan-out only what is missing is rendered.
    let order = r#"{"source": "Co/A", "renditions": ["wid=30", "wid=31", "wid=30&cache=off"]}"#;
    let json = ["Content-Type: application/json"];
    assert_eq!(site.client().post("/v1/fanout", &json, order.as_bytes()).status, 200);
    assert_eq!((site.metric(RENDERS), site.metric(MEMORY_HITS)), (3, 4));
    assert_eq!(site.get("/is/image/Co/A?wid=31").status, 200);
    assert_eq!((site.metric(RENDERS), site.metric(MEMORY_HITS)), (3, 5), "what a fan-out renders is kept");
    let explained = get(&site.admin, "/v1/explain/Co/A?wid=30").text();
    assert!(explained.contains("\"tried\""), "the stored verdict is told: {explained}");
}

#[test]
fn a_thousand_identical_requests_render_once() {
    let site = Site::start(|config| config.daemon.queue_jobs_max = 1);
    let data = site.data.clone();
    let replies = site.runtime.block_on(async {
        let mut asked = Vec::new();
        for _ in 0..8 {
            let client = http2(tokio::net::UnixStream::connect(&data).await.unwrap()).await;
            let ask = || ask_http2(&client, "GET", "localhost", "/is/image/Co/big?wid=700&op_usm=2,9,0,0");
            asked.extend((0..125).map(|_| tokio::spawn(ask())));
        }
        let mut replies = Vec::new();
        for reply in asked {
            replies.push(reply.await.unwrap());
        }
        replies
    });
    assert_eq!(replies.len(), 1000);
    for reply in &replies {
        assert_eq!((reply.status, &reply.body), (200, &replies[0].body), "{reply}");
    }
    assert_eq!(site.metric(RENDERS), 1);
    let (joined, hits) = (site.metric("calotype_cache_joined"), site.metric(MEMORY_HITS));
    println!("{joined} joined, {hits} came later");
    assert_eq!(joined + hits + 1, 1000);
}

#[test]
fn hits_are_served_while_the_queue_is_full() {
    let process = Process::start("threads = 1\nqueue_jobs_max = 1");
    let first = get(&process.data, TARGET);
    let mut running = process.begin(&slow_targets()[0]);
    process.until("at work", || process.metric("calotype_jobs_running") == 1);
    assert_eq!(get(&process.data, "/is/image/Co/A?wid=31").status, 503, "the queue is full");
    let hit = get(&process.data, TARGET);
    assert_eq!((hit.status, hit.body), (200, first.body.clone()));
    let head = Client::unix(&process.data).ask("HEAD", TARGET, &[]);
    assert_eq!((head.status, head.header("etag")), (200, first.header("etag")));
    let known = format!("If-None-Match: {}", first.header("etag"));
    assert_eq!(Client::unix(&process.data).ask("GET", TARGET, &[&known]).status, 304);
    assert_eq!(process.metric("calotype_jobs_running"), 1, "all this while it was at work");
    assert_eq!(running.reply(false).status, 200);
}

#[test]
fn a_flight_goes_on_while_one_waits_and_ends_with_the_last() {
    let process = Process::start("threads = 1");
    let [target, other, _] = slow_targets();
    let joined = |n| process.until("joined", || process.metric("calotype_cache_joined") == n);
    let first = process.begin(&target);
    process.until("at work", || process.metric("calotype_jobs_running") == 1);
    let mut second = process.begin(&target);
    joined(1);
    drop(first);
    assert_eq!(second.reply(false).status, 200, "the one who began it has left");
    assert_eq!((process.metric(RENDERS), process.metric("calotype_cancelled")), (1, 0));

    let first = process.begin(&other);
    process.until("at work", || process.metric("calotype_jobs_running") == 1);
    let second = process.begin(&other);
    joined(2);
    drop((first, second));
    process.until("cancelled", || process.metric("calotype_cancelled") == 1);
    assert_eq!(process.metric(RENDERS), 1);
}

#[test]
fn a_source_that_changes_is_noticed_and_one_that_is_touched_is_not_rendered_again() {
    let site = Site::start(|_| {});
    let path = site.dir.path().join("images/A.jpg");
    let first = site.get(TARGET);
    let touch = |seconds| {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    };
    touch(1_000_000_000);
    assert_eq!(site.get(TARGET).body, first.body);
    let again = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, again).unwrap();
    assert_eq!(site.get(TARGET).body, first.body);
    assert_eq!(site.metric(RENDERS), 1, "the content was the same all the time");

    // Another picture of the same length and the same time.
    let mut other = jpeg(60, 40, 8);
    let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap().max(other.len());
    let mut same = fs::read(&path).unwrap();
    // Bytes behind the end of the picture are nobody's.
    same.resize(length, 0);
    other.resize(length, 0);
    fs::write(&path, &same).unwrap();
    touch(1_000_000_000);
    assert_eq!(site.get(TARGET).body, first.body);
    let renders = site.metric(RENDERS);
    fs::write(&path, &other).unwrap();
    touch(1_000_000_000);
    let changed = site.get(TARGET);
    assert_ne!(changed.body, first.body);
    assert_eq!(site.metric(RENDERS), renders + 1);
    let known = format!("If-None-Match: {}", first.header("etag"));
    assert_eq!(site.client().ask("GET", TARGET, &[&known]).status, 200, "the old tag is no longer good");
    // What was there before is still there.
    fs::write(&path, &same).unwrap();
    assert_eq!(site.get(TARGET).body, first.body);
    assert_eq!(site.metric(RENDERS), renders + 1);
    fs::remove_file(&path).unwrap();
    assert_eq!(site.get(TARGET).status, 404, "a source that is gone is gone");
}

#[test]
fn failures_are_remembered_until_the_source_changes() {
    let site = Site::start(|_| {});
    let path = site.dir.path().join("images/rotten.png");
    let png = codec::encode(&testcard::photo(Size::new(64, 64), 3), &EncodeSpec::Png).unwrap();
    // A header that is fine, and not one row that can be read behind it.
    let mut broken = png.clone();
    let data = broken.windows(4).position(|four| four == b"IDAT").unwrap() + 4;
    broken[data..].fill(0xff);
    fs::write(&path, broken).unwrap();
    let target = "/is/image/Co/rotten?wid=16";
    for hits in 0..3 {
        let reply = site.get(target);
        assert_eq!((reply.status, reply.header("cache-control")), (422, "no-store"), "{reply}");
        assert_eq!(site.metric("calotype_cache_negative_hits"), hits);
    }
    fs::write(&path, &png).unwrap();
    assert_eq!(site.get(target).status, 200, "at once");
    // A header that is broken is looked at again for as long as the file may still be written, and then not.
    let notes = site.dir.path().join("images/notes.jpg");
    let images = site.dir.path().join("images");
    let time = fs::metadata(&images).unwrap().modified().unwrap() + Duration::from_millis(2_100);
    std::thread::sleep(time.duration_since(SystemTime::now()).unwrap_or_default());
    for hits in 2..5 {
        assert_eq!(site.get("/is/image/Co/notes").status, 422);
        assert_eq!(site.metric("calotype_cache_negative_hits"), hits);
    }
    fs::write(&notes, jpeg(60, 40, 1)).unwrap();
    assert_eq!(site.get("/is/image/Co/notes").status, 200);
    // What is not there is not looked for again, until something comes into its folder.
    for hits in 4..7 {
        assert_eq!(site.get("/is/image/Co/Later").status, 404);
        assert_eq!(site.metric("calotype_cache_negative_hits"), hits);
    }
    fs::write(images.join("Later.jpg"), jpeg(60, 40, 1)).unwrap();
    assert_eq!(site.get("/is/image/Co/Later").status, 200, "at once");
}

#[test]
fn invalidation_is_one_step_and_hits_nobody_else() {
    let site = Site::start(|config| {
        let mut company = config.catalog.companies["Co"].clone();
        company.root_id = String::from("Do");
        config.catalog.companies.insert(company.root_id.clone(), company);
    });
    let targets = ["Co/A?wid=30", "Co/A.jpg?wid=20&fmt=png", "Co/sub/B?wid=30", "Do/A?wid=30"];
    let rendered = |expected: [bool; 4], what: &str| {
        for (target, expected) in targets.iter().zip(expected) {
            let before = site.metric(RENDERS);
            assert_eq!(site.get(&format!("/is/image/{target}")).status, 200);
            assert_eq!(site.metric(RENDERS) - before, u64::from(expected), "{target} after {what}");
        }
    };
    rendered([true; 4], "nothing");
    rendered([false; 4], "once");
    let reply = invalidate(&site.admin, r#"{"assets": ["Co/A"]}"#);
    let counted = "{\"invalidated\":{\"assets\":1},\"unknown\":[]}\n";
    assert_eq!((reply.status, reply.text().as_str()), (200, counted), "{reply}");
    rendered([true, true, false, false], "Co/A");
    assert_eq!(invalidate(&site.admin, r#"{"assets": ["Co/A.jpg", "Co/sub/B.JPG"]}"#).status, 200);
    rendered([true, true, true, false], "Co/A.jpg and Co/sub/B.JPG");
    assert_eq!(invalidate(&site.admin, r#"{"company": "Co"}"#).status, 200);
    rendered([true, true, true, false], "all of Co");
    assert_eq!(site.metric("calotype_cache_invalidations"), 4);

    let many: Vec<String> = (0..10_001).map(|i| format!("Co/{i}")).collect();
    let many = serde_json::json!({ "assets": many }).to_string();
    for (body, status) in [
        (r#"{"assets": ["Co/A", "Nope/A"]}"#, 404),
        (r#"{"company": "Nope"}"#, 404),
        (r#"{"assets": ["A"]}"#, 400),
        (r#"{"assets": ["Co/"]}"#, 400),
        (r#"{"assets": []}"#, 400),
        (r#"{"assets": ["Co/A"], "company": "Co"}"#, 400),
        (r#"{"asset": ["Co/A"]}"#, 400),
        ("{}", 400),
        ("", 400),
        (many.as_str(), 400),
    ] {
        let reply = invalidate(&site.admin, body);
        assert_eq!(reply.status, status, "{body:.60}: {reply}");
    }
    rendered([false; 4], "refusals: all or nothing");
    // Head and body in one piece: these are refused before the body is looked at.
    let refused = |socket: &Path, headers: &[&str]| {
        let headers = [headers, &["Content-Length: 17"]].concat();
        let request = head("POST", "/v1/invalidate", &headers) + r#"{"company": "Co"}"#;
        Client::unix(socket).send(request).reply(false).status
    };
    assert_eq!(refused(&site.admin, &[]), 415);
    assert_eq!(refused(&site.data, &["Content-Type: application/json"]), 404, "fronts cannot");
}

#[test]
fn names_are_invalidated_as_they_stand_and_as_urls_mean_them() {
    let site = Site::start(|config| {
        let company = config.catalog.companies.get_mut("Co").unwrap();
        let record = |path: Option<&str>| Record { path: path.map(str::to_owned), ..Record::default() };
        let own = [("Rec", record(Some("sub/B.jpg"))), ("Own", record(Some("A.jpg")))];
        let own = own.map(|(id, record)| (id.to_owned(), record)).into();
        company.records = Arc::new(Records { own, inherited: None });
    });
    let images = site.dir.path().join("images");
    for name in ["Ünï code.jpg", "100%25.jpg"] {
        fs::copy(images.join("A.jpg"), images.join(name)).unwrap();
    }
    let assets = ["A", "sub/B", "Rec", "%C3%9Cn%C3%AF%20code", "100%2525", "Own"];
    let renders = || {
        assets.map(|asset| {
            let before = site.metric(RENDERS);
            let reply = site.get(&format!("/is/image/Co/{asset}?wid=30"));
            assert_eq!(reply.status, 200, "{asset}: {reply}");
            site.metric(RENDERS) > before
        })
    };
    assert_eq!(renders(), [true; 6]);
    assert_eq!(renders(), [false; 6]);
    for (name, rendered) in [
        ("Co/%C3%9Cn%C3%AF%20code", [3, 3]),
        ("Co/Ünï code.jpg", [3, 3]),
        ("/is/image/Co/100%2525", [4, 4]),
        ("Co/100%25", [4, 4]),
        // A record is rendered from a file: it goes with it, and not the other way round.
        ("/is/image/Co/sub/B", [1, 2]),
        ("Co/A.jpg", [0, 5]),
        ("Co/Rec", [2, 2]),
    ] {
        let reply = invalidate(&site.admin, &serde_json::json!({ "assets": [name] }).to_string());
        assert_eq!(reply.text(), "{\"invalidated\":{\"assets\":1},\"unknown\":[]}\n", "{name}: {reply}");
        let want: Vec<bool> = (0..assets.len()).map(|i| rendered.contains(&i)).collect();
        assert_eq!(renders().to_vec(), want, "{name}");
    }
    // What is not there may have been there: it is invalidated, and named.
    let reply = invalidate(&site.admin, r#"{"assets": ["Co/A", "Co/nothere", "Co/link", "Co/broken"]}"#);
    assert_eq!(reply.text(), "{\"invalidated\":{\"assets\":4},\"unknown\":[\"Co/nothere\",\"Co/link\"]}\n");
    assert_eq!(renders(), [true, false, false, false, false, true]);
    let known = site.metric("calotype_cache_invalidations");
    for name in [
        "Co/A?wid=3",
        "Co/*",
        "Co/sub/*",
        "Co/../secret",
        "Co/%2e%2E/secret",
        "Co/sub//B",
        "Co/sub/",
        "Co/.",
        "/is/image/Co/A?",
        "/is/image/Co",
        "http://host/is/image/Co/A",
    ] {
        let reply = invalidate(&site.admin, &serde_json::json!({ "assets": ["Co/A", name] }).to_string());
        assert_eq!(reply.status, 400, "{name}: {reply}");
        assert!(reply.text().contains(&format!("\"{name}\": expected ")), "{name}: {reply}");
    }
    assert_eq!(site.metric("calotype_cache_invalidations"), known, "all or nothing");
    assert_eq!(renders(), [false; 6]);
}

#[test]
fn a_flight_that_began_before_an_invalidation_does_not_land_after_it() {
    let process = Process::start("threads = 1");
    let target = &slow_targets()[0];
    let mut begun = process.begin(target);
    process.until("at work", || process.metric("calotype_jobs_running") == 1);
    assert_eq!(invalidate(&process.admin, r#"{"assets": ["Co/big"]}"#).status, 200);
    let mut after = process.begin(target);
    assert_eq!(begun.reply(false).status, 200, "who came before is answered");
    assert_eq!(after.reply(false).status, 200);
    assert_eq!((process.metric(RENDERS), process.metric("calotype_cache_joined")), (2, 0));
    assert_eq!(get(&process.data, target).status, 200);
    assert_eq!((process.metric(RENDERS), process.metric(MEMORY_HITS)), (2, 1));
}

#[test]
fn the_cache_command() {
    let site = Site::start(|_| {});
    settle(&site.dir.path().join("images"));
    let kept = "public, max-age=36000";
    for (value, control, renders) in [
        // (value, Cache-Control, renderings)
        ("on", kept, 1),
        ("on", kept, 0),
        ("ON,on", kept, 0),
        ("off", "no-store", 1),
        ("off,off", "no-store", 1),
        ("off,on", "no-store", 0),
        ("on,off", kept, 1),
        ("validate", kept, 0),
        ("update", kept, 1),
        ("update", kept, 1),
        ("on", kept, 0),
    ] {
        let before = site.metric(RENDERS);
        let reply = site.get(&format!("/is/image/Co/A?wid=30&cache={value}"));
        assert_eq!((reply.status, reply.header("cache-control")), (200, control), "cache={value}: {reply}");
        assert_eq!(site.metric(RENDERS) - before, renders, "cache={value}");
    }
    for bad in ["", "yes", "on,", ",on", "on,off,on", "validate,on", "on,update"] {
        let reply = site.get(&format!("/is/image/Co/A?wid=30&cache={bad}"));
        assert_eq!(reply.status, 400, "cache={bad}: {reply}");
        assert!(reply.text().contains("cache="), "{reply}");
    }
    // What off renders is not kept.
    assert_eq!(site.get("/is/image/Co/A?wid=44&cache=off").status, 200);
    let before = site.metric(RENDERS);
    assert_eq!(site.get("/is/image/Co/A?wid=44").status, 200);
    assert_eq!(site.metric(RENDERS) - before, 1);
}

#[test]
fn times_to_live_and_conditional_requests() {
    let site = Site::start(|config| {
        for (name, hours, stale, says) in
            [("Stale", 1.0, 600, false), ("Now", 0.0, 600, false), ("Ever", -1.0, 0, false), ("Dated", 1.0, 0, true)]
        {
            let mut company = config.catalog.companies["Co"].clone();
            (company.root_id, company.expiration_hours) = (name.to_owned(), hours);
            (company.stale_while_revalidate_s, company.use_last_modified) = (stale, says);
            config.catalog.companies.insert(name.to_owned(), company);
        }
    });
    let images = site.dir.path().join("images");
    settle(&images);
    let ask =
        |company: &str, headers: &[&str]| site.client().ask("GET", &format!("/is/image/{company}/A?wid=30"), headers);
    assert_eq!(ask("Stale", &[]).header("cache-control"), "public, max-age=3600, stale-while-revalidate=600");
    let now = ask("Now", &[]);
    assert_eq!(now.header("cache-control"), "no-cache");
    let known = format!("If-None-Match: W/\"nothing\", {}", now.header("etag"));
    let same = ask("Now", &[&known]);
    assert_eq!((same.status, same.header("cache-control"), same.header("timing-allow-origin")), (304, "no-cache", "*"));

    // Whoever has a picture that never expires has the right one, whatever it says (protocol.md 5).
    let renders = site.metric(RENDERS);
    for condition in ["If-None-Match: \"x\"", "If-Modified-Since: Thu, 01 Jan 2015 00:00:00 GMT"] {
        let reply = ask("Ever", &[condition]);
        assert_eq!((reply.status, reply.header("timing-allow-origin")), (304, "*"), "{condition}: {reply}");
        assert_eq!(reply.header("cache-control"), "public, max-age=31536000, immutable");
    }
    assert_eq!(ask("Ever", &["If-None-Match: \"x\""]).header("etag"), "\"x\"");
    assert_eq!(site.metric(RENDERS), renders, "unchecked");
    assert_eq!(ask("Ever", &[]).status, 200);
    let reply = site.client().ask("GET", "/is/image/Ever/A?wid=x", &["If-None-Match: \"x\""]);
    assert_eq!(reply.status, 400, "{reply}");

    let path = images.join("A.jpg");
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_900);
    File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    settle(&images);
    let dated = ask("Dated", &[]);
    assert_eq!(dated.header("last-modified"), date);
    assert!(!now.has("last-modified"));
    for (condition, status) in [
        (format!("If-Modified-Since: {date}"), 304),
        (String::from("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT"), 200),
        (String::from("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"), 304),
        // Of a newer file that was here before.
        (String::from("If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT"), 200),
        (String::from("If-Modified-Since: yesterday"), 200),
        // The tag has the last word.
        (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}"), 200),
        (format!("If-None-Match: {}\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT", dated.header("etag")), 304),
    ] {
        let reply = ask("Dated", &[&condition]);
        assert_eq!(reply.status, status, "{condition}: {reply}");
        assert_eq!(reply.header("last-modified"), date, "{condition}");
    }
    assert_eq!(ask("Stale", &[&format!("If-Modified-Since: {date}")]).status, 200, "it says no dates");
    // An invalidation is a modification.
    assert_eq!(invalidate(&site.admin, r#"{"assets": ["Dated/A"]}"#).status, 200);
    let reply = ask("Dated", &[&format!("If-Modified-Since: {date}")]);
    assert_eq!(reply.status, 200);
    assert_ne!(reply.header("last-modified"), date);
}

#[test]
fn memory_is_never_over_its_bound_and_may_be_none() {
    let site = Site::start(|config| config.cache.memory_bytes_max = 64 << 10);
    for wid in 8..60 {
        assert_eq!(site.get(&format!("/is/image/Co/A?wid={wid}")).status, 200);
        let bytes = site.metric("calotype_cache_memory_bytes");
        assert!(bytes <= 64 << 10, "{bytes} after wid={wid}");
    }
    assert!(site.metric("calotype_cache_memory_bytes") > 16 << 10, "little is kept");
    let site = Site::start(|config| config.cache.memory_bytes_max = 0);
    let first = site.get(TARGET);
    assert_eq!(site.get(TARGET).body, first.body);
    assert_eq!((site.metric(RENDERS), site.metric("calotype_cache_memory_bytes")), (2, 0));
}

/// A daemon with a disk part.
fn with_disk() -> Process {
    let mut process = Process::stopped("");
    process.configure(&format!("[cache]\ndisk = \"{}\"\nmemory = \"16MiB\"", cache_dir(&process).display()), "");
    process.run();
    wait_open(&process);
    process
}

fn cache_dir(process: &Process) -> PathBuf {
    process.dir.path().join("cache")
}

fn readyz(process: &Process) -> String {
    get(&process.admin, "/readyz").text()
}

fn wait_open(process: &Process) {
    process.until("open", || readyz(process) == "ready\n");
}

fn restart(process: &mut Process) {
    assert_eq!(process.stop().code(), Some(0), "{}", process.log());
    process.run();
    wait_open(process);
}

/// The files of all entries.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        if !folder.ends_with("tmp") {
            files.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    files.sort();
    files
}

#[test]
fn a_restart_loses_nothing_and_revives_nothing() {
    let mut process = with_disk();
    let targets = ["Co/A?wid=30", "Co/A?wid=31&fmt=png", "Co/sub/B?wid=32"].map(|target| format!("/is/image/{target}"));
    let first: Vec<Reply> = targets.iter().map(|target| get(&process.data, target)).collect();
    restart(&mut process);
    // What a client has is known without a rendering, too.
    let known = format!("If-None-Match: {}", first[0].header("etag"));
    assert_eq!(Client::unix(&process.data).ask("GET", &targets[0], &[&known]).status, 304);
    let head = Client::unix(&process.data).ask("HEAD", &targets[1], &[]);
    assert_eq!((head.status, head.header("etag")), (200, first[1].header("etag")), "{head}");
    for (target, first) in targets.iter().zip(&first) {
        let reply = get(&process.data, target);
        assert_eq!(reply.body, first.body, "{target}");
        for name in ["etag", "content-type", "cache-control"] {
            assert_eq!(reply.header(name), first.header(name), "{target} {name}");
        }
    }
    assert_eq!((process.metric(RENDERS), process.metric(DISK_HITS)), (0, 3));
    process.until("counted", || process.metric("calotype_cache_disk_bytes") == 3 * 4096);

    assert_eq!(invalidate(&process.admin, r#"{"assets": ["Co/A"]}"#).status, 200);
    // Outright: what was answered was on disk before.
    process.kill();
    process.run();
    wait_open(&process);
    for (target, first) in targets.iter().zip(&first) {
        assert_eq!(get(&process.data, target).body, first.body, "{target}");
    }
    assert_eq!((process.metric(RENDERS), process.metric(DISK_HITS)), (2, 1), "Co/A alone is rendered anew");
    assert_eq!(invalidate(&process.admin, r#"{"company": "Co"}"#).status, 200);
    restart(&mut process);
    assert_eq!(get(&process.data, &targets[2]).body, first[2].body);
    assert_eq!((process.metric(RENDERS), process.metric(DISK_HITS)), (1, 0));
}

#[test]
fn damaged_files_are_noticed_and_never_served() {
    let mut random = SplitMix64::new("damaged_files");
    let mut process = with_disk();
    let targets: Vec<String> = (20..60).map(|wid| format!("/is/image/Co/A?wid={wid}")).collect();
    let first: Vec<Reply> = targets.iter().map(|target| get(&process.data, target)).collect();
    assert_eq!(process.stop().code(), Some(0));
    let files = entries(&cache_dir(&process));
    assert_eq!(files.len(), targets.len());
    for (i, file) in files.iter().enumerate() {
        let mut bytes = fs::read(file).unwrap();
        let at = random.within(0, u32::try_from(bytes.len()).unwrap()) as usize;
        match i % 4 {
            0 => bytes[at] ^= 1 << random.within(0, 8),
            1 => bytes.truncate(at),
            // A block that was never written, as after a power cut.
            2 => bytes[at..].fill(0),
            // Somebody else's.
            _ => bytes = fs::read(&files[(i + 4) % files.len()]).unwrap(),
        }
        fs::write(file, bytes).unwrap();
    }
    process.run();
    wait_open(&process);
    for (target, first) in targets.iter().zip(&first) {
        let reply = get(&process.data, target);
        assert_eq!((reply.status, &reply.body), (200, &first.body), "{target}");
    }
    // Zeros may have fallen on zeros.
    let (corrupt, hits) = (process.metric("calotype_cache_corrupt"), process.metric(DISK_HITS));
    assert!(corrupt >= 30 && corrupt + hits == targets.len() as u64, "{corrupt} corrupt, {hits} hits");
    assert_eq!(process.metric(RENDERS), corrupt);
    // They were replaced.
    restart(&mut process);
    assert_eq!(get(&process.data, &targets[0]).body, first[0].body);
    assert_eq!((process.metric(RENDERS), process.metric(DISK_HITS)), (0, 1));

    // Without its generations nobody knows what was invalidated: all of it is left behind.
    assert_eq!(process.stop().code(), Some(0));
    let path = cache_dir(&process).join("generations");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, bytes).unwrap();
    process.run();
    wait_open(&process);
    assert_eq!(get(&process.data, &targets[0]).body, first[0].body);
    assert_eq!((process.metric(RENDERS), process.metric(DISK_HITS)), (1, 0));
    assert_eq!(process.log().matches("generations are lost").count(), 1, "{}", process.log());
}

#[test]
fn without_its_directory_the_daemon_serves_and_says_so_once() {
    let mut process = Process::stopped("");
    let dir = cache_dir(&process);
    let configure = |process: &Process, dir: &Path| {
        process.configure(&format!("[cache]\ndisk = \"{}\"\ndisk_size = \"16MiB\"", dir.display()), "");
    };
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("format"), "calotype cache 0\n").unwrap();
    fs::write(process.dir.path().join("file"), "").unwrap();
    fs::create_dir(process.dir.path().join("photos")).unwrap();
    fs::write(process.dir.path().join("photos/p.jpg"), "precious").unwrap();
    for (name, reason) in [
        ("file/cache", "Not a directory"),
        ("photos", "\"p.jpg\" in it is none of ours"),
        ("cache", "its format is \"calotype cache 0\""),
    ] {
        let at = process.dir.path().join(name);
        configure(&process, &at);
        drop(fs::remove_file(process.dir.path().join("log")));
        process.run();
        process.until("off", || readyz(&process).contains(reason));
        assert_eq!(get(&process.admin, "/readyz").status, 200, "it serves");
        assert_eq!(get(&process.data, TARGET).status, 200);
        assert_eq!(get(&process.data, TARGET).status, 200);
        assert_eq!(process.metric(MEMORY_HITS), 1, "{name}");
        let refused = invalidate(&process.admin, r#"{"company": "Co"}"#);
        assert_eq!(refused.status, 500, "it would not survive a restart: {refused}");
        assert!(refused.text().contains("until a restart"), "{refused}");
        assert_eq!(get(&process.data, TARGET).status, 200);
        assert_eq!(process.metric(RENDERS), 2, "but it holds here and now");
        let said = "serving without the disk part of the cache";
        assert_eq!(process.log().matches(said).count(), 1, "{name}: {}", process.log());
        assert_eq!(process.stop().code(), Some(0));
    }
    assert_eq!(fs::read(process.dir.path().join("photos/p.jpg")).unwrap(), b"precious");
    assert_eq!(fs::read_dir(process.dir.path().join("photos")).unwrap().count(), 1, "nothing of ours beside it");

    // One directory, two daemons: the second waits for its turn.
    fs::remove_dir_all(&dir).unwrap();
    configure(&process, &dir);
    process.run();
    wait_open(&process);
    let mut second = Process::stopped("");
    configure(&second, &dir);
    second.run();
    second.until("off", || readyz(&second).contains("another process uses the directory"));
    assert_eq!(get(&second.data, TARGET).status, 200);
    process.kill();
    wait_open(&second);
    assert_eq!(get(&second.data, TARGET).status, 200);
}

/// A small file system in memory, unmounted at the end.
struct Small(PathBuf);

impl Small {
    fn try_new(path: PathBuf) -> Option<Self> {
        if !has_tool("mount") {
            return None;
        }
        fs::create_dir_all(&path).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "none"]).arg(&path).output().ok()?;
        if !mount.status.success() {
            println!("no right to mount a small file system: {}", String::from_utf8_lossy(&mount.stderr).trim());
            println!("THIS TEST DID NOT RUN");
            return None;
        }
        Some(Self(path))
    }

    /// Read-only or not.
    fn remount(&self, how: &str) {
        let mount = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.0).status().unwrap();
        assert!(mount.success(), "{how}");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[test]
fn a_full_disk_is_said_once_keeps_what_fits_and_is_recovered_from() {
    let mut process = Process::stopped("");
    let Some(small) = Small::try_new(process.dir.path().join("small")) else { return };
    let dir = small.0.join("cache");
    process.configure(&format!("[cache]\ndisk = \"{}\"", dir.display()), "");
    process.run();
    wait_open(&process);
    // Somebody else takes most of it.
    let other = small.0.join("other");
    fs::write(&other, vec![0; 160 << 10]).unwrap();
    // A full disk is nobody's fault: each of these is another rendition, and each is answered.
    let target = |i: u32| format!("/is/image/Co/A?wid={}&qlt={}", 8 + i % 50, 1 + i / 50 % 100);
    let asked = Cell::new(0);
    let ask = || {
        asked.set(asked.get() + 1);
        assert_eq!(get(&process.data, &target(asked.get())).status, 200);
    };
    process.until("full", || {
        ask();
        readyz(&process).contains("the disk is full")
    });
    assert_eq!(get(&process.admin, "/readyz").status, 200);
    // It goes on: what is new takes the place of what is old, and others keep what they have.
    for _ in 0..60 {
        ask();
    }
    assert!(readyz(&process).contains("the disk is full: keeping what fits"), "{}", readyz(&process));
    assert_eq!(fs::metadata(&other).unwrap().len(), 160 << 10);
    process.until("the newest is written", || {
        ask();
        entries(&dir)
            .iter()
            .filter_map(|file| file.metadata().ok()?.modified().ok()?.elapsed().ok())
            .any(|age| age < Duration::from_millis(500))
    });
    // Everything: one that does not fit is left out, and that is no news.
    let all = small.0.join("all");
    let full = fs::File::create(&all).and_then(|mut file| std::io::copy(&mut std::io::repeat(0), &mut file));
    assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    for _ in 0..10 {
        ask();
    }
    assert_eq!(process.log().matches("the disk is full").count(), 1, "{}", process.log());
    assert_eq!(process.log().matches("is not written").count(), 0, "{}", process.log());
    for file in [&other, &all] {
        fs::remove_file(file).unwrap();
    }
    // Nobody has to ask for anything.
    wait_open(&process);
    assert_eq!(process.log().matches("the disk has room again").count(), 1, "{}", process.log());
    let written = || entries(&dir).len();
    let before = written();
    process.until("written again", || {
        ask();
        written() > before + 5
    });
    let last = get(&process.data, &target(asked.get()));
    restart(&mut process);
    assert_eq!(get(&process.data, &target(asked.get())).body, last.body);
    assert_eq!((process.metric(RENDERS), process.metric(DISK_HITS)), (0, 1));
    assert_eq!(process.stop().code(), Some(0));
}

#[test]
fn a_read_only_disk_is_said_once_and_opened_when_it_can_be_written() {
    let mut process = Process::stopped("");
    let Some(small) = Small::try_new(process.dir.path().join("small")) else { return };
    small.remount("ro");
    process.configure(&format!("[cache]\ndisk = \"{}\"", small.0.join("cache").display()), "");
    process.run();
    process.until("off", || readyz(&process).contains("Read-only file system"));
    assert_eq!(get(&process.admin, "/readyz").status, 200, "it serves");
    let first = get(&process.data, TARGET);
    assert_eq!((first.status, get(&process.data, TARGET).body), (200, first.body));
    assert_eq!((process.metric(RENDERS), process.metric(MEMORY_HITS)), (1, 1));
    small.remount("rw");
    wait_open(&process);
    assert_eq!(process.log().matches("Read-only file system").count(), 1, "{}", process.log());
    assert_eq!(get(&process.data, "/is/image/Co/A?wid=31").status, 200);
    restart(&mut process);
    assert_eq!(get(&process.data, "/is/image/Co/A?wid=31").status, 200);
    assert_eq!((process.metric(RENDERS), process.metric(DISK_HITS)), (0, 1));
    // Before the file system goes.
    assert_eq!(process.stop().code(), Some(0));
}

#[test]
fn a_directory_that_cannot_be_written_is_read_said_once_and_written_again() {
    let mut process = with_disk();
    let dir = cache_dir(&process);
    let first = get(&process.data, TARGET);
    restart(&mut process);
    // Where files are written before they get their names: a file now, so that nothing can be.
    fs::remove_dir_all(dir.join("tmp")).unwrap();
    fs::write(dir.join("tmp"), "").unwrap();
    assert_eq!(get(&process.data, "/is/image/Co/A?wid=31").status, 200);
    process.until("not written", || readyz(&process).contains("cache on disk: not written: Not a directory"));
    assert_eq!(get(&process.data, TARGET).body, first.body);
    assert_eq!((process.metric(RENDERS), process.metric(DISK_HITS)), (1, 1), "what is there is read");
    // It is tried more than once, and each time there is more to write.
    let tried = SystemTime::now();
    while tried.elapsed().unwrap() < Duration::from_millis(5_000) {
        let wid = 40 + tried.elapsed().unwrap().as_millis() / 50;
        assert_eq!(get(&process.data, &format!("/is/image/Co/A?wid={wid}")).status, 200);
    }
    assert!(readyz(&process).contains("not written"), "{}", readyz(&process));
    assert_eq!(process.log().matches("the cache is not written").count(), 1, "{}", process.log());
    fs::remove_file(dir.join("tmp")).unwrap();
    fs::create_dir(dir.join("tmp")).unwrap();
    wait_open(&process);
    assert_eq!(process.log().matches("the cache is written again").count(), 1, "{}", process.log());
    restart(&mut process);
    assert_eq!(get(&process.data, "/is/image/Co/A?wid=31").status, 200);
    assert_eq!((process.metric(RENDERS), process.metric(DISK_HITS)), (0, 1), "what could not be written then, was now");

    // An invalidation that could not be written down is, as soon as that can be done, even if nothing else is to be
    // written: something is in the place of its file, and in the way.
    let (generations, before) = (dir.join("generations"), dir.join("tmp/before"));
    fs::rename(&generations, &before).unwrap();
    fs::create_dir_all(generations.join("in the way")).unwrap();
    let refused = invalidate(&process.admin, r#"{"company": "Co"}"#);
    assert_eq!(refused.status, 500, "{refused}");
    process.until("not written", || readyz(&process).contains("not written: Is a directory"));
    // At one stroke, so that it cannot be written in between.
    rustix::fs::renameat_with(CWD, &before, CWD, &generations, RenameFlags::EXCHANGE).unwrap();
    wait_open(&process);
    assert_eq!(process.log().matches("the cache is written again").count(), 2, "{}", process.log());
    process.kill();
    process.run();
    wait_open(&process);
    assert_eq!(get(&process.data, "/is/image/Co/A?wid=31").status, 200);
    assert_eq!((process.metric(RENDERS), process.metric(DISK_HITS)), (1, 0), "what was invalidated stays dead");
}

#[test]
fn a_directory_that_is_emptied_is_opened_anew() {
    let mut process = with_disk();
    let dir = cache_dir(&process);
    // Each is another rendition.
    let target = |i: u32| format!("/is/image/Co/A?wid={}&qlt={}", 8 + i % 50, 1 + i / 50 % 100);
    let asked = Cell::new(0);
    let ask = || {
        asked.set(asked.get() + 1);
        assert_eq!(get(&process.data, &target(asked.get())).status, 200);
    };
    let is_locked = || File::open(dir.join("lock")).is_ok_and(|lock| lock.try_lock().is_err());
    let is_whole = || dir.join("format").exists() && dir.join("generations").exists() && is_locked();
    for (i, how) in
        ["rm -rf cache/*", "rm -rf cache", "rm cache/format", "rm -rf cache/tmp cache/lock"].into_iter().enumerate()
    {
        ask();
        process.until("written", || !entries(&dir).is_empty());
        let removed = || {
            // By then what was asked for last is written, most likely; if not, the end is the same.
            std::thread::sleep(Duration::from_millis(100));
            let ended = Command::new("sh").args(["-c", how]).current_dir(process.dir.path()).status().unwrap();
            println!("{how}: {ended}");
        };
        removed();
        process.until("opened anew", || {
            ask();
            is_whole() && readyz(&process) == "ready\n" && !entries(&dir).is_empty()
        });
        // An invalidation notices it, too, and waits for the new one.
        removed();
        let reply = invalidate(&process.admin, r#"{"assets": ["Co/sub/B"]}"#);
        assert_eq!(reply.status, 200, "{how}: {reply}");
        assert!(is_whole(), "{how}");
        let said = process.log().matches("the cache's directory was emptied").count();
        assert!(said >= 2 * (i + 1), "{how}: {}", process.log());
    }
    ask();
    let last = target(asked.get());
    restart(&mut process);
    assert_eq!(get(&process.data, &last).status, 200);
    assert_eq!((process.metric(RENDERS), process.metric(DISK_HITS)), (0, 1));
    // Memory was never in doubt.
    assert_eq!(process.log().matches("generations are lost").count(), 0, "{}", process.log());
}

/// Many clients, more renditions than fit, and an end without warning in the middle of it, again and again: no bound is
/// passed, and nothing but the right bytes is ever served.
#[test]
fn churn_and_sudden_ends_keep_every_bound_and_every_byte() {
    const DISK_MAX: u64 = 16 << 20;
    let mut random = SplitMix64::new("churn_and_sudden_ends");
    let mut process = Process::stopped("");
    let dir = cache_dir(&process);
    // Noise, which no encoder makes small: a few hundred kB a rendition.
    let noise = picture(Content::Noise, Size::new(700, 500), PixelFormat::RGB, &mut random);
    let spec = EncodeSpec::Jpeg { quality: JpegQuality(100), chroma: Chroma::Full, progressive: false };
    fs::write(process.dir.path().join("images/noise.jpg"), codec::encode(&noise, &spec).unwrap()).unwrap();
    let cache = format!("[cache]\ndisk = \"{}\"\nmemory = \"16MiB\"\ndisk_size = \"16MiB\"", dir.display());
    process.configure(&cache, "");
    let known: Mutex<BTreeMap<u32, Vec<u8>>> = Mutex::default();
    let (written_max, mut disk_hits, mut renders) = (Cell::new(0), 0, 0);
    for round in 0..5 {
        process.run();
        wait_open(&process);
        let (answers, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        // Set whatever happens, or a failure would wait for its clients for ever.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let end_after = 60 + random.within(0, 80) as usize;
        std::thread::scope(|scope| {
            let _stop = Stop(&stop);
            for seed in 0..3 {
                let (process, known, answers, stop) = (&process, &known, &answers, &stop);
                let mut random = SplitMix64::new(&format!("round {round} client {seed}"));
                scope.spawn(move || {
                    let mut client = Client::unix(&process.data);
                    while !stop.load(Ordering::Relaxed) {
                        let wid = 500 + random.within(0, 100);
                        let request = head("GET", &format!("/is/image/Co/noise?wid={wid}&qlt=100,1"), &[]);
                        if client.stream.write_all(request.as_bytes()).is_err() {
                            return;
                        }
                        // It may end while it answers.
                        let Some(reply) = client.try_reply(false) else { return };
                        assert_eq!(reply.status, 200, "{reply}");
                        let mut known = known.lock().unwrap();
                        let right = known.entry(wid).or_insert_with(|| reply.body.clone());
                        assert!(*right == reply.body, "wid={wid} in round {round} is not what it was");
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            process.until("asked often enough", || {
                // A walk that crosses a file's going and another one's coming counts both.
                let walks = std::iter::repeat_with(|| bytes_below(&dir)).take(5);
                let on_disk = walks.min().unwrap_or(0);
                written_max.set(on_disk.max(written_max.get()));
                let memory = process.metric("calotype_cache_memory_bytes");
                assert!(on_disk <= DISK_MAX && memory <= 16 << 20, "{on_disk} bytes on disk, {memory} in memory");
                answers.load(Ordering::Relaxed) >= end_after
            });
            (disk_hits, renders) = (disk_hits + process.metric(DISK_HITS), renders + process.metric(RENDERS));
            assert_eq!(process.metric("calotype_cache_corrupt"), 0, "a file that was half written has no name");
            // In the middle of it.
            process.signal("KILL");
        });
        process.kill();
    }
    let known = known.into_inner().unwrap();
    let written_max = written_max.get();
    println!("{renders} renders, {disk_hits} hits on disk, {written_max} bytes there at most, {} targets", known.len());
    assert!(written_max > DISK_MAX / 2 && disk_hits > 0, "too little for a bound to show");
    process.run();
    wait_open(&process);
    assert!(entries(&dir.join("tmp")).is_empty() && fs::read_dir(dir.join("tmp")).unwrap().count() == 0, "leftovers");
    assert_eq!(process.stop().code(), Some(0));
}

/// Bytes of all files below a folder; a file may go while it is looked at.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some(if metadata.is_dir() { bytes_below(&entry.path()) } else { metadata.len() })
    });
    bytes.sum()
}

#[test]
fn opening_the_directory_delays_nobody() {
    // A directory that never opens: reading its format waits for somebody to write into a pipe.
    let mut process = Process::stopped("");
    let dir = cache_dir(&process);
    fs::create_dir(&dir).unwrap();
    let made = Command::new("mkfifo").arg(dir.join("format")).status().unwrap();
    assert!(made.success());
    process.configure(&format!("[cache]\ndisk = \"{}\"", dir.display()), "");
    process.run();
    assert_eq!(readyz(&process), "ready\ncache on disk: opening\n");
    let first = get(&process.data, TARGET);
    assert_eq!((first.status, get(&process.data, TARGET).body), (200, first.body));
    assert_eq!(process.metric(MEMORY_HITS), 1);
    // Once it can be read, it is one more directory of another format.
    fs::write(dir.join("format"), "something\n").unwrap();
    process.until("read", || readyz(&process).contains("its format is \"something\""));
    drop(UnixStream::connect(&process.data).unwrap());
}
