//! What stands on replies: are the headers of Smart Imaging and of caching those of the protocol's tables, on every kind
//! of reply to a URL? The real daemon over its real sockets.

use std::time::{Duration, SystemTime};

use calotype::catalog::{Company, NetworkSignal};
use calotype::decide::Hints;
use calotype::limits;

use crate::daemon::Process;
use crate::http::{Client, Reply, Site, head, just_written, settle};

type Change = fn(&mut Company);

/// The site of `http.rs`, with company `Co` changed and kept under other names too.
fn site(companies: &[(&str, Change)]) -> Site {
    Site::start(|config| {
        for (name, change) in companies {
            let mut company = config.catalog.companies["Co"].clone();
            company.root_id = (*name).to_owned();
            change(&mut company);
            config.catalog.companies.insert(company.root_id.clone(), company);
        }
    })
}

#[test]
fn malformed_hints_are_absent_and_counted() {
    let site = site(&[("Hints", |company| {
        (company.dpr, company.network, company.ch_width) = (true, true, true);
        company.network_signals = NetworkSignal::ALL.to_vec();
    })]);
    let counted = || Hints::HEADERS.map(|name| site.metric(&format!("calotype_malformed_hints{{header=\"{name}\"}}")));
    let (fixed, free) = ("/is/image/Hints/big?wid=100", "/is/image/Hints/big?");
    let plain = |target| site.client().ask("GET", target, &[]);
    let (fixed_plain, free_plain) = (plain(fixed), plain(free));
    assert_eq!(counted(), [0; Hints::HEADERS.len()], "nothing was sent yet");
    let long = format!("DPR: 2.{}", "0".repeat(64 << 10));
    let rows: [(&str, &[&str], &str); 18] = [
        (fixed, &["DPR: abc"], "dpr"),
        (fixed, &["DPR:"], "dpr"),
        (fixed, &["DPR: caf\u{e9}"], "dpr"),
        (fixed, &[&long], "dpr"),
        (fixed, &["Sec-CH-DPR: 1e9"], "sec-ch-dpr"),
        (fixed, &["Sec-CH-DPR: 0"], "sec-ch-dpr"),
        (fixed, &["Sec-CH-DPR: -2"], "sec-ch-dpr"),
        (fixed, &["Sec-CH-DPR: 2", "Sec-CH-DPR: 2"], "sec-ch-dpr"),
        (fixed, &["sec-ch-dpr: 2, 2"], "sec-ch-dpr"),
        (free, &["Sec-CH-Width: wide"], "sec-ch-width"),
        (free, &["Width: 0"], "width"),
        (free, &["Sec-CH-Viewport-Width: 1e3"], "sec-ch-viewport-width"),
        (free, &["Viewport-Width: 300", "Viewport-Width: 200"], "viewport-width"),
        (fixed, &["Save-Data: on", "Save-Data: on"], "save-data"),
        (fixed, &["Save-Data: maybe"], "save-data"),
        (fixed, &["ECT: 2G"], "ect"),
        (fixed, &["Downlink: -0.1"], "downlink"),
        (fixed, &["RTT: 1e9"], "rtt"),
    ];
    for (target, headers, name) in rows {
        let before = counted();
        let reply = site.client().ask("GET", target, headers);
        let plain = if target == fixed { &fixed_plain } else { &free_plain };
        assert_eq!((reply.status, &reply.body), (200, &plain.body), "{headers:.60?}: {reply}");
        assert_eq!(reply.header("vary"), plain.header("vary"));
        let grown: Vec<_> =
            Hints::HEADERS.into_iter().zip(before.into_iter().zip(counted())).filter(|(_, (a, b))| a != b).collect();
        let [(grown, (from, to))] = grown[..] else { panic!("{headers:.60?}: one counter grows, not {grown:?}") };
        assert_eq!((grown, to - from), (name, 1), "{headers:.60?}");
    }
    // Each of them does count where it can be understood, and one that cannot takes nothing from the others.
    let before = counted();
    for (target, headers) in [
        (fixed, &["Sec-CH-DPR: x", "DPR: 2"][..]),
        (free, &["Sec-CH-Width: x", "Viewport-Width: 300"]),
        (fixed, &["ECT: x", "Save-Data: on"]),
        (fixed, &["RTT: x", "Downlink: 0.1"]),
    ] {
        let reply = site.client().ask("GET", target, headers);
        let plain = if target == fixed { &fixed_plain } else { &free_plain };
        assert_eq!(reply.status, 200, "{headers:?}: {reply}");
        assert_ne!(reply.body, plain.body, "{headers:?} changes nothing");
    }
    assert_eq!(counted().iter().sum::<u64>(), before.iter().sum::<u64>() + 4);
    // In the other routes that read them, too.
    let picture = std::fs::read(site.dir.path().join("images/A.jpg")).unwrap();
    assert_eq!(site.client().post("/v1/transcode?company=Hints", &["ECT: x"], &picture).status, 200);
    let order = br#"{"source": "Hints/A", "renditions": ["wid=8", "wid=9"]}"#;
    let headers = ["Content-Type: application/json", "ECT: x"];
    assert_eq!(site.client().post("/v1/fanout", &headers, order).status, 200);
    assert_eq!(counted().iter().sum::<u64>(), before.iter().sum::<u64>() + 6, "once a request");
}

/// What a reply to one URL is expected to say.
struct Row {
    target: &'static str,
    asks: &'static [&'static str],
    mime: &'static str,
    reason: &'static str,
    /// Of `X-Smart-Imaging`: above 0, below 0, or none.
    saved: Option<bool>,
    kept: &'static str,
    vary: &'static str,
    hints: &'static str,
    dated: bool,
}

const BOTH: &str = "Accept: image/avif,image/webp,*/*";

const ROWS: [Row; 10] = [
    Row {
        target: "Plain/A?wid=30",
        asks: &[BOTH, "Sec-CH-DPR: 2", "Save-Data: on"],
        mime: "image/jpeg",
        reason: "off",
        saved: None,
        kept: "public, max-age=36000",
        vary: "",
        hints: "",
        dated: false,
    },
    Row {
        target: "Smart/big?wid=300",
        asks: &[BOTH],
        mime: "image/avif",
        reason: "avif",
        saved: Some(true),
        kept: "public, max-age=3600, stale-while-revalidate=600",
        vary: "Accept, Sec-CH-DPR, DPR, Save-Data, ECT",
        hints: "Sec-CH-DPR, ECT",
        dated: true,
    },
    Row {
        target: "Smart/big?wid=300&cache=off,on",
        asks: &["Accept: image/webp", "DPR: 2"],
        mime: "image/webp",
        reason: "webp",
        saved: Some(true),
        kept: "no-store",
        vary: "Accept, Sec-CH-DPR, DPR, Save-Data, ECT",
        hints: "Sec-CH-DPR, ECT",
        dated: true,
    },
    // Nothing that the client reads: not converted, and it depends on Accept all the same.
    Row {
        target: "Smart/A?wid=30&dpr=on,1.5",
        asks: &["Accept: */*", "ECT: 2g"],
        mime: "image/jpeg",
        reason: "unsupported",
        saved: None,
        kept: "public, max-age=3600, stale-while-revalidate=600",
        vary: "Accept, Save-Data, ECT",
        hints: "ECT",
        dated: true,
    },
    Row {
        target: "Smart/A?wid=30&fmt=webp&dpr=off&network=off",
        asks: &[BOTH],
        mime: "image/webp",
        reason: "ineligible",
        saved: None,
        kept: "public, max-age=3600, stale-while-revalidate=600",
        vary: "",
        hints: "",
        dated: true,
    },
    // An AVIF file of one pixel has more bytes than the PNG of it.
    Row {
        target: "Smart/A?wid=1&hei=1&fmt=png&dpr=off&network=off",
        asks: &["Accept: image/avif"],
        mime: "image/png",
        reason: "larger",
        saved: Some(false),
        kept: "public, max-age=3600, stale-while-revalidate=600",
        vary: "Accept",
        hints: "",
        dated: true,
    },
    Row {
        target: "Plain/A?wid=31&bfc=on&dpr=on&network=on",
        asks: &["Accept: image/webp"],
        mime: "image/webp",
        reason: "webp",
        saved: Some(true),
        kept: "public, max-age=36000",
        vary: "Accept, Sec-CH-DPR, DPR, Save-Data, ECT",
        hints: "Sec-CH-DPR, ECT",
        dated: false,
    },
    Row {
        target: "Width/big?",
        asks: &["Sec-CH-Width: 400"],
        mime: "image/jpeg",
        reason: "off",
        saved: None,
        kept: "no-cache",
        vary: "Sec-CH-Width, Width, Sec-CH-Viewport-Width, Viewport-Width",
        hints: "Sec-CH-Width, Sec-CH-Viewport-Width",
        dated: false,
    },
    Row {
        target: "Width/big?wid=20&cache=off",
        asks: &[],
        mime: "image/jpeg",
        reason: "off",
        saved: None,
        kept: "no-store",
        vary: "",
        hints: "",
        dated: false,
    },
    Row {
        target: "Ever/A?wid=30",
        asks: &[BOTH],
        mime: "image/webp",
        reason: "webp",
        saved: Some(true),
        kept: "public, max-age=31536000, immutable",
        vary: "Accept",
        hints: "",
        dated: true,
    },
];

#[test]
fn every_kind_of_reply_says_the_same_of_its_url() {
    let site = site(&[
        ("Plain", |_| {}),
        ("Smart", |company| {
            (company.bfc, company.dpr, company.network) = (true, true, true);
            (company.expiration_hours, company.stale_while_revalidate_s, company.use_last_modified) = (1.0, 600, true);
            company.headers.push((String::from("X-Robots-Tag"), String::from("noindex")));
        }),
        ("Width", |company| (company.ch_width, company.expiration_hours) = (true, 0.0)),
        ("Ever", |company| {
            (company.bfc, company.avif, company.expiration_hours, company.use_last_modified) =
                (true, false, -1.0, true);
        }),
    ]);
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    for name in ["A", "big"] {
        let file = std::fs::File::options().append(true).open(site.dir.path().join(format!("images/{name}.jpg")));
        file.unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)).unwrap();
    }
    settle(&site.dir.path().join("images"));
    for row in &ROWS {
        let target = format!("/is/image/{}", row.target);
        let ask = |method, more: &[&str]| site.client().ask(method, &target, &[row.asks, more].concat());
        // What is so whatever became of it.
        let common = |reply: &Reply, what: &str| {
            let of = |name| reply.header(name);
            assert_eq!(of("vary"), row.vary, "{what}: {target}");
            assert_eq!(of("timing-allow-origin"), "*", "{what}: {target}");
            assert_eq!(of("x-robots-tag").is_empty(), !row.target.starts_with("Smart"), "{what}: {target}");
            assert!(!reply.has("content-dpr") && !reply.has("x-adobe-smart-imaging"), "{what}: {target}: {reply}");
        };
        let described = |reply: &Reply, what: &str| {
            common(reply, what);
            let of = |name| reply.header(name);
            assert_eq!((of("cache-control"), of("accept-ch")), (row.kept, row.hints), "{what}: {target}");
            assert_eq!(of("last-modified"), if row.dated { date } else { "" }, "{what}: {target}");
        };
        let rendered = |reply: &Reply, what: &str| {
            described(reply, what);
            let of = |name| reply.header(name);
            assert_eq!((of("content-type"), of("x-smart-imaging-reason")), (row.mime, row.reason), "{what}: {target}");
            let saved = of("x-smart-imaging").parse::<i64>().ok().map(|bytes| bytes > 0);
            assert_eq!(saved, row.saved, "{what}: {target}: {reply}");
        };
        let head = ask("HEAD", &[]);
        assert_eq!(head.status, 200, "{target}: {head}");
        described(&head, "HEAD before it is there");
        let first = ask("GET", &[]);
        assert_eq!(first.status, 200, "{target}: {first}");
        rendered(&first, "GET");
        let etag = first.header("etag");
        assert_eq!((etag.len(), first.header("content-length")), (34, first.body.len().to_string().as_str()));
        let again = ask("GET", &[]);
        rendered(&again, "GET of a hit");
        assert_eq!((&again.body, again.header("etag")), (&first.body, etag), "{target}");
        let is_kept_here = !row.target.ends_with("cache=off");
        let head = ask("HEAD", &[]);
        if is_kept_here {
            rendered(&head, "HEAD of a hit");
            assert_eq!((head.header("content-length"), head.header("etag")), (first.header("content-length"), etag));
        }
        let same = ask("GET", &[&format!("If-None-Match: {etag}")]);
        assert_eq!((same.status, same.header("etag"), same.body.len()), (304, etag, 0), "{target}: {same}");
        common(&same, "304");
        assert_eq!(same.header("cache-control"), row.kept, "{target}");
        assert!(!same.has("content-type"), "{target}: {same}");
        let since = ask("GET", &[&format!("If-Modified-Since: {date}")]);
        assert_eq!(since.status, if row.dated { 304 } else { 200 }, "{target}: {since}");
        common(&since, "If-Modified-Since");
        // The same URL with a value that cannot be read.
        let bad = site.client().ask("GET", &format!("{target}&rotate=x"), row.asks);
        assert_eq!((bad.status, bad.header("cache-control")), (400, "no-store"), "{bad}");
        common(&bad, "400");
        // The same URL of an asset that is not there.
        let missing = target.replace("/A?", "/Nope?").replace("/big?", "/Nope?");
        for method in ["GET", "HEAD"] {
            let error = site.client().ask(method, &missing, row.asks);
            assert_eq!((error.status, error.header("cache-control")), (404, "no-store"), "{error}");
            common(&error, "404");
            assert!(!error.has("etag") && !error.has("accept-ch") && !error.has("x-smart-imaging-reason"), "{error}");
        }
    }
}

#[test]
fn what_never_expires_is_told_apart_by_what_it_varies_by() {
    let site = site(&[("Ever", |company| (company.bfc, company.expiration_hours) = (true, -1.0))]);
    settle(&site.dir.path().join("images"));
    let ask = |headers: &[&str]| site.client().ask("GET", "/is/image/Ever/big?wid=300", headers);
    let avif = ask(&["Accept: image/avif"]);
    assert_eq!((avif.status, avif.header("content-type")), (200, "image/avif"), "{avif}");
    let known = format!("If-None-Match: {}", avif.header("etag"));
    let same = ask(&["Accept: image/avif", &known]);
    assert_eq!((same.status, same.header("etag")), (304, avif.header("etag")), "{same}");
    let other = ask(&["Accept: image/png", &known]);
    assert_eq!((other.status, other.header("content-type")), (200, "image/jpeg"), "{other}");
    assert_ne!(other.header("etag"), avif.header("etag"));
}

#[test]
fn a_source_that_may_be_half_there_is_kept_for_a_minute_at_most() {
    let site = site(&[
        ("Dated", |company| company.use_last_modified = true),
        ("Ever", |company| (company.expiration_hours, company.use_last_modified) = (-1.0, true)),
        ("Now", |company| company.expiration_hours = 0.0),
    ]);
    let images = site.dir.path().join("images");
    let whole = std::fs::read(images.join("big.jpg")).unwrap();
    let upload = images.join("upload.jpg");
    // Each: (Cache-Control, whether there is an ETag, whether there is a Last-Modified).
    let ask = || {
        ["Co", "Dated", "Ever", "Now"].map(|company| {
            let target = format!("/is/image/{company}/upload?wid=100");
            let replies = ["GET", "HEAD"].map(|method| {
                let reply = site.client().ask(method, &target, &[]);
                assert_eq!(reply.status, 200, "{target}: {reply}");
                (reply.header("cache-control").to_owned(), reply.has("etag"), reply.has("last-modified"))
            });
            assert_eq!(replies[0], replies[1], "{target}");
            replies[0].clone()
        })
    };
    let say = |rows: [(&str, bool, bool); 4]| rows.map(|(kept, etag, dated)| (kept.to_owned(), etag, dated));
    let brief = "public, max-age=60";
    // Of the one that never expires, nobody may ask whether it is still right: he would be told yes, unchecked.
    let unsettled = say([(brief, true, false), (brief, true, false), (brief, false, false), ("no-cache", true, false)]);
    for bytes in [&whole[..whole.len() * 3 / 4], &whole] {
        assert_eq!(just_written(|| std::fs::write(&upload, bytes).unwrap(), ask), unsettled);
    }
    settle(&images);
    let (long, ever) = ("public, max-age=36000", "public, max-age=31536000, immutable");
    assert_eq!(ask(), say([(long, true, false), (long, true, true), (ever, true, true), ("no-cache", true, false)]));
}

#[test]
fn refusals_have_the_company_s_headers() {
    let site = site(&[("Smart", |company| {
        company.bfc = true;
        company.headers.push((String::from("X-Robots-Tag"), String::from("noindex")));
    })]);
    let long = "x".repeat(limits::URL_BYTES_MAX);
    let large = format!("Cookie: {}", "c".repeat(limits::HEADERS_BYTES_MAX));
    for (root, company) in [("image", "Smart"), ("image", "%53mart"), ("content", "Smart"), ("image", "Nope")] {
        let target = format!("/is/{root}/{company}/A?wid=30");
        let ask = |method, target: &str, headers: &[&str]| site.client().ask(method, target, headers);
        for (status, reply) in [
            (405, ask("PUT", &target, &[])),
            (414, ask("GET", &format!("{target}&.{long}"), &[])),
            (431, ask("GET", &target, &[&large])),
            (431, ask("GET", &target, &vec!["A: b"; limits::HEADERS_MAX])),
        ] {
            assert_eq!((reply.status, reply.header("cache-control")), (status, "no-store"), "{target}: {reply}");
            let want = if company == "Nope" { ("", "") } else { ("*", "noindex") };
            let got = (reply.header("timing-allow-origin"), reply.header("x-robots-tag"));
            assert_eq!(got, want, "{target}: {reply}");
            assert_eq!(reply.header("x-content-type-options"), "nosniff", "{target}: {reply}");
        }
    }
    // Which request headers a reply depends on shows through the mistake beside it.
    for (target, vary) in [
        ("Co/A?wid=x", ""),
        ("Co/A?wid=x&bfc=on&network=on&dpr=on", "Accept, Sec-CH-DPR, DPR, Save-Data, ECT"),
        ("Smart/A?wid=30&rotate=x", "Accept"),
        ("Smart/A?rotate=x&bfc=off", ""),
        ("Smart/A?rotate=x&fmt=webp", ""),
    ] {
        let reply = site.get(&format!("/is/image/{target}"));
        assert_eq!((reply.status, reply.header("vary")), (400, vary), "{target}: {reply}");
    }
}

#[test]
fn the_originals_header_name_is_said_where_it_is_wanted() {
    let site = Site::start(|config| {
        config.daemon.compat_headers = true;
        config.catalog.companies.get_mut("Co").unwrap().bfc = true;
    });
    for _ in ["rendered", "a hit"] {
        let reply = site.client().ask("GET", "/is/image/Co/A?wid=30", &["Accept: image/webp"]);
        assert!(reply.header("x-smart-imaging").parse::<i64>().unwrap() > 0, "{reply}");
        assert_eq!(reply.header("x-adobe-smart-imaging"), reply.header("x-smart-imaging"));
    }
    assert!(!site.get("/is/image/Co/A?wid=30&bfc=off").has("x-adobe-smart-imaging"));
}

#[test]
fn a_crowd_gets_webp_for_a_minute_and_avif_when_it_is_gone() {
    let mut process = Process::stopped("");
    process.configure("threads = 1\nqueue_jobs_max = 4", "bfc = true\nexpiration_hours = -1\nuse_last_modified = true");
    process.run();
    settle(&process.dir.path().join("images"));
    let begin = |target: &str| {
        let mut client = Client::unix(&process.data);
        client.send(head("GET", &format!("/is/image/Co/{target}"), &[BOTH]));
        client
    };
    let target = "big?wid=1190&op_usm=5,10,0,0&qlt=40";
    let mut first = begin(target);
    process.until("at work", || process.metric("calotype_jobs_running") == 1);
    let crowd = ["A?wid=20", "A?wid=21", "A?wid=22"].map(begin);
    process.until("a crowd", || process.metric("calotype_jobs_waiting") == 3);
    let first = first.reply(false);
    let of = |name| first.header(name);
    assert_eq!((first.status, of("content-type"), of("x-smart-imaging-reason")), (200, "image/webp", "deadline"));
    assert!(of("x-smart-imaging").parse::<i64>().unwrap() > 0, "{first}");
    assert_eq!((of("cache-control"), of("vary")), ("public, max-age=60", "Accept"));
    // The better one will have the same date, but another tag.
    assert!(first.has("etag") && !first.has("last-modified"), "{first}");
    for mut client in crowd {
        let reply = client.reply(false);
        assert_eq!(
            (reply.status, reply.header("cache-control")),
            (200, "public, max-age=31536000, immutable"),
            "{reply}"
        );
    }
    process.until("made anew", || process.metric("calotype_upgrades") == 1);
    let renders = process.metric("calotype_renders");
    let known = format!("If-None-Match: {}", of("etag"));
    let better = Client::unix(&process.data).ask("GET", &format!("/is/image/Co/{target}"), &[BOTH, &known]);
    let of = |name| better.header(name);
    assert_eq!((better.status, of("content-type"), of("x-smart-imaging-reason")), (200, "image/avif", "avif"));
    assert_eq!(of("cache-control"), "public, max-age=31536000, immutable");
    assert!(better.has("etag") && better.has("last-modified") && better.body.len() < first.body.len(), "{better}");
    assert_eq!((process.metric("calotype_renders"), process.metric("calotype_hurried")), (renders, 1));
    let explained = Client::unix(&process.admin).ask("GET", &format!("/v1/explain/Co/{target}"), &[BOTH]).text();
    assert!(explained.contains("\"skipped\": []"), "{explained}");
}
