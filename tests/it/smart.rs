//! Smart Imaging: are the decisions those of the protocol's tables, and is nothing ever larger for it?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use calotype::catalog::{Company, NetworkSignal, SourceRoot};
use calotype::codec;
use calotype::config::{Config, EngineChoice};
use calotype::decide::{self, Hints, decide};
use calotype::pixel::{Chroma, Image, PixelFormat, Size, testcard};
use calotype::plan::{Decision, DecodeAs, EncodeSpec, Header, JpegQuality, SourceFormat};
use calotype::request;
use calotype::service::Service;

use crate::codecs::{corpus, jpeg2000};
use crate::http::{Site, has_tool};
use crate::support::{Content, SplitMix64};

/// A JPEG of 3000×2000, as source A of the protocol's reference.
const HEADER: Header = Header {
    format: SourceFormat::Jpeg,
    size: Size::new(3000, 2000),
    native: PixelFormat::RGB,
    converts_profile: false,
    orientation: 1,
    decoder_bytes: 0,
    density: None,
};

fn company(change: impl FnOnce(&mut Company)) -> Company {
    let mut company = Company::new("Co", SourceRoot::Demo);
    change(&mut company);
    company
}

fn decided(company: &Company, query: &str, headers: &[(&str, &str)]) -> (Decision, String) {
    let commands = request::parse(query, company).expect("a query of ours");
    let hints = Hints::from_headers(headers.iter().copied());
    let decision = decide(&commands, &HEADER, company, &hints).expect("within MaxPix");
    (decision, decide::varies_by(&commands, company).join(","))
}

#[test]
fn pixel_ratios_are_those_of_the_table() {
    let off = company(|_| ());
    let on = company(|company| company.dpr = true);
    let both = company(|company| (company.dpr, company.network) = (true, true));
    let hint = ("Sec-CH-DPR", "2");
    for (company, query, headers, dpr, reason, vary) in [
        // D1
        (&off, "wid=400", &[hint][..], 1.0, "off", ""),
        (&on, "wid=400&dpr=off", &[hint], 1.0, "off", ""),
        // D2: exactly, below 1 too, whatever the company says.
        (&off, "wid=400&dpr=on,2.25", &[], 2.25, "url", ""),
        (&on, "wid=400&dpr=on,0.5", &[hint], 0.5, "url", ""),
        // D3 and completion a, e: detected, up to a step.
        (&on, "wid=400", &[hint], 2.0, "hint", "Sec-CH-DPR,DPR"),
        (&off, "wid=400&dpr=on", &[("DPR", "1.1")], 1.5, "hint", "Sec-CH-DPR,DPR"),
        (&on, "wid=400", &[("DPR", "2.0001")], 2.0, "hint", "Sec-CH-DPR,DPR"),
        (&on, "wid=400", &[("DPR", "2.01")], 3.0, "hint", "Sec-CH-DPR,DPR"),
        (&on, "wid=400", &[("DPR", "7")], 3.0, "hint", "Sec-CH-DPR,DPR"),
        (&on, "wid=400", &[("DPR", "0.5")], 1.0, "hint", "Sec-CH-DPR,DPR"),
        (&on, "wid=400", &[], 1.0, "no-hint", "Sec-CH-DPR,DPR"),
        // D4
        (&both, "wid=400", &[hint, ("Save-Data", "on")], 1.0, "network", "Sec-CH-DPR,DPR,Save-Data,ECT"),
        (&both, "wid=400&dpr=on,2", &[("ECT", "2g")], 1.0, "network", "Save-Data,ECT"),
        (&both, "wid=400&dpr=on,3", &[("ECT", "3g")], 2.0, "network", "Save-Data,ECT"),
        (&both, "wid=400&dpr=on,0.5", &[("ECT", "2g")], 0.5, "url", "Save-Data,ECT"),
        (&both, "wid=400&network=off", &[hint, ("ECT", "2g")], 2.0, "hint", "Sec-CH-DPR,DPR"),
        // Completion c: nothing is enlarged past the source, unless it is asked for.
        (&off, "wid=2000&dpr=on,2", &[], 1.5, "no-enlargement", ""),
        (&off, "wid=2000&dpr=on,2&fit=fit,1", &[], 2.0, "url", ""),
    ] {
        let (decision, varies) = decided(company, query, headers);
        let got = (decision.dpr.to_f64(), decision.dpr_reason.word(), varies.as_str());
        assert_eq!(got, (dpr, reason, vary), "{query} {headers:?}");
    }
}

#[test]
fn display_widths_cap_and_never_enlarge() {
    let on = company(|company| (company.dpr, company.ch_width) = (true, true));
    let widths = "Sec-CH-DPR,DPR,Sec-CH-Width,Width,Sec-CH-Viewport-Width,Viewport-Width";
    for (query, headers, size, vary) in [
        ("", &[][..], Size::new(1280, 853), widths),
        ("", &[("Sec-CH-Width", "500"), ("DPR", "2")], Size::new(640, 427), widths),
        ("", &[("Width", "5000")], Size::new(1280, 853), widths),
        ("", &[("Viewport-Width", "300"), ("DPR", "2")], Size::new(640, 427), widths),
        ("wid=800", &[("Sec-CH-Width", "500")], Size::new(800, 533), "Sec-CH-DPR,DPR"),
        ("scl=2", &[("Sec-CH-Width", "500")], Size::new(1500, 1000), "Sec-CH-DPR,DPR"),
    ] {
        let (decision, varies) = decided(&on, query, headers);
        let commands = request::parse(query, &on).unwrap();
        let plan = request::plan(&commands, &HEADER, &on, &decision).unwrap();
        assert_eq!((plan.size, varies.as_str()), (size, vary), "{query:?} {headers:?}");
    }
}

#[test]
fn networks_are_classed_and_quality_follows() {
    let all = company(|company| (company.network, company.network_signals) = (true, NetworkSignal::ALL.to_vec()));
    let few = company(|company| company.network = true);
    for (company, headers, class, qlt) in [
        (&all, &[][..], "excellent", 80),
        (&all, &[("ECT", "4g")], "excellent", 80),
        (&all, &[("ECT", "4g"), ("Downlink", "4.9")], "good", 75),
        (&all, &[("Downlink", "1.4")], "fair", 65),
        (&all, &[("RTT", "400")], "fair", 65),
        (&all, &[("ECT", "3g"), ("Downlink", "10")], "fair", 65),
        (&all, &[("RTT", "1000")], "poor", 50),
        (&all, &[("Downlink", "0.29")], "poor", 50),
        (&all, &[("ECT", "slow-2g")], "poor", 50),
        (&all, &[("Save-Data", "on"), ("ECT", "4g")], "poor", 50),
        (&few, &[("Downlink", "0.1"), ("RTT", "3000")], "excellent", 80),
        (&few, &[("ECT", "garbage"), ("Downlink", "-1")], "excellent", 80),
    ] {
        let (decision, _) = decided(company, "wid=400", headers);
        let EncodeSpec::Jpeg { quality, .. } = decision.encode.requested else { panic!("a JPEG was asked for") };
        let class_got = decision.network.map(|network| network.word());
        assert_eq!((class_got, quality), (Some(class), JpegQuality(qlt)), "{headers:?}");
    }
    // Never raised, and never below the floor of its class.
    for (asked, want) in [(100, 70), (60, 30), (40, 30), (30, 30), (10, 10)] {
        let (decision, _) = decided(&few, &format!("wid=400&qlt={asked}"), &[("ECT", "2g")]);
        let EncodeSpec::Jpeg { quality, .. } = decision.encode.requested else { panic!("a JPEG was asked for") };
        assert_eq!(quality, JpegQuality(want), "qlt={asked}");
    }
    assert_eq!(decided(&few, "wid=400&network=off", &[("ECT", "2g")]).0.network, None);
}

const SAFARI_13: (&str, &str) = (
    "User-Agent",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 13_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0.4 \
     Mobile/15E148 Safari/604.1",
);
const EDGE_16: (&str, &str) = (
    "User-Agent",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/58.0.3029.110 Safari/537.36 \
     Edge/16.16299",
);
/// What Internet Explorer 11 sends for a picture.
const IE_ACCEPT: (&str, &str) = ("Accept", "image/png, image/svg+xml, image/jxr, image/*;q=0.8, */*;q=0.5");
/// What Safari before 14 sends for a picture.
const OLD_ACCEPT: (&str, &str) = ("Accept", "image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5");

#[test]
fn formats_are_those_of_the_table() {
    let off = company(|_| ());
    let on = company(|company| company.bfc = true);
    let plain = company(|company| (company.bfc, company.avif) = (true, false));
    let old = company(|company| (company.bfc, company.legacy_ua) = (true, true));
    // Only where it is built in.
    let (jpegxr, maybe) =
        if EncodeSpec::HAS_JPEG_XR { (&["jpegxr"][..], "candidates") } else { (&[][..], "unsupported") };
    let (webp, both) = (("Accept", "image/webp,*/*"), ("Accept", "image/avif,image/webp,*/*"));
    for (company, query, headers, candidates, reason, vary) in [
        (&off, "wid=400", &[webp][..], &[][..], "off", ""),
        (&off, "wid=400&bfc=on", &[webp], &["webp"], "candidates", "Accept"),
        (&on, "wid=400", &[webp], &["webp"], "candidates", "Accept"),
        (&on, "wid=400&bfc=off", &[webp], &[], "off", ""),
        (&on, "wid=400&fmt=webp", &[webp], &[], "ineligible", ""),
        (&on, "wid=400&fmt=avif", &[webp], &[], "ineligible", ""),
        (&on, "wid=400&fmt=pjpeg", &[webp], &["webp"], "candidates", "Accept"),
        (&on, "wid=400&fmt=png-alpha", &[webp], &["webp"], "candidates", "Accept"),
        (&on, "wid=400", &[both], &["avif", "webp"], "candidates", "Accept"),
        (&on, "wid=400", &[("Accept", "image/avif")], &["avif"], "candidates", "Accept"),
        (&plain, "wid=400", &[both], &["webp"], "candidates", "Accept"),
        (&on, "wid=400&fmt=png&qlt=100", &[both], &["webp", "avif"], "candidates", "Accept"),
        (&on, "wid=400", &[("Accept", "*/*")], &[], "unsupported", "Accept"),
        // Old browsers: by User-Agent where the company wants it, by what they name wherever they do.
        (&old, "wid=400", &[SAFARI_13, OLD_ACCEPT], &["jpeg2000"], "candidates", "Accept,User-Agent"),
        (&old, "wid=400&fmt=png&qlt=100", &[SAFARI_13], &["jpeg2000"], "candidates", "Accept,User-Agent"),
        (&old, "wid=400", &[SAFARI_13, both], &["avif", "webp"], "candidates", "Accept,User-Agent"),
        (&old, "wid=400", &[("User-Agent", "curl/8"), OLD_ACCEPT], &[], "unsupported", "Accept,User-Agent"),
        (&old, "wid=400&fmt=webp", &[SAFARI_13], &[], "ineligible", ""),
        (&old, "wid=400&bfc=off", &[SAFARI_13], &[], "off", ""),
        (&on, "wid=400", &[SAFARI_13, OLD_ACCEPT], &[], "unsupported", "Accept"),
        (&on, "wid=400", &[("Accept", "image/webp,image/jp2")], &["webp", "jpeg2000"], "candidates", "Accept"),
        (&on, "wid=400", &[("Accept", "image/jp2;q=0")], &[], "unsupported", "Accept"),
        (&old, "wid=400", &[EDGE_16], jpegxr, maybe, "Accept,User-Agent"),
        (&old, "wid=400&fmt=png&qlt=100", &[EDGE_16], jpegxr, maybe, "Accept,User-Agent"),
        (&on, "wid=400", &[EDGE_16], &[], "unsupported", "Accept"),
        (&on, "wid=400", &[IE_ACCEPT], jpegxr, maybe, "Accept"),
        (&on, "wid=400", &[], &[], "unsupported", "Accept"),
    ] {
        let (decision, varies) = decided(company, query, headers);
        let names: Vec<_> = decision.encode.candidates.iter().map(EncodeSpec::name).collect();
        let got = (names.as_slice(), decision.format_reason.word(), varies.as_str());
        assert_eq!(got, (candidates, reason, vary), "{query} {headers:?}");
    }
}

#[test]
fn a_png_at_quality_100_stays_lossless_but_for_a_poor_network() {
    let on = company(|company| (company.bfc, company.network) = (true, true));
    let webp = ("Accept", "image/webp");
    for (query, headers, lossless) in [
        ("fmt=png&qlt=100", &[webp][..], true),
        ("fmt=png&qlt=99", &[webp], false),
        ("fmt=png", &[webp], false),
        ("fmt=jpeg&qlt=100", &[webp], false),
        ("fmt=png&qlt=100", &[webp, ("ECT", "3g")], true),
        ("fmt=png&qlt=100", &[webp, ("ECT", "2g")], false),
    ] {
        let (decision, _) = decided(&on, query, headers);
        assert_eq!(decision.encode.candidates == [EncodeSpec::WebpLossless], lossless, "{query} {headers:?}");
    }
}

/// `Vary` over 128 bytes makes nginx refuse to cache.
#[test]
fn vary_stays_short() {
    let all = company(|company| {
        (company.bfc, company.dpr, company.network) = (true, true, true);
        company.legacy_ua = true;
        company.network_signals = NetworkSignal::ALL.to_vec();
    });
    let (_, varies) = decided(&all, "wid=400", &[]);
    assert!(varies.replace(',', ", ").len() < 120, "{varies}");
}

/// Over the wire: an old Safari gets a JPEG 2000 that is smaller than the JPEG, an old Edge a JPEG XR, and nobody else does.
#[test]
fn old_browsers_are_served_their_formats() {
    let site = Site::start(|config| {
        for (name, legacy_ua) in [("Old", true), ("New", false)] {
            let mut company = Company::new(name, SourceRoot::Demo);
            (company.bfc, company.legacy_ua) = (true, legacy_ua);
            config.catalog.companies.insert(company.root_id.clone(), company);
        }
    });
    let ask = |target: &str, headers: &[(&str, &str)]| {
        let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let reply = site.client().ask("GET", &format!("/is/image/{target}?wid=300"), &lines);
        assert_eq!(reply.status, 200, "{reply}");
        reply
    };
    let old = ask("Old/Valley", &[SAFARI_13, OLD_ACCEPT]);
    assert_eq!(old.header("content-type"), "image/jp2");
    assert_eq!(old.header("vary"), "Accept, User-Agent");
    assert_eq!(old.header("x-smart-imaging-reason"), "jpeg2000");
    let chrome = ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36");
    let jpeg = ask("Old/Valley", &[chrome, OLD_ACCEPT]);
    assert_eq!((jpeg.header("content-type"), jpeg.header("vary")), ("image/jpeg", "Accept, User-Agent"));
    assert!(old.body.len() < jpeg.body.len(), "{} bytes, {} as JPEG", old.body.len(), jpeg.body.len());
    let saved = i64::try_from(jpeg.body.len() - old.body.len()).expect("a few kB");
    assert_eq!(old.header("x-smart-imaging").parse(), Ok(saved));
    #[cfg(feature = "jpegxr")]
    for (target, headers) in [("New/Valley", IE_ACCEPT), ("Old/Valley", EDGE_16)] {
        let reply = ask(target, &[headers]);
        assert_eq!(reply.header("content-type"), "image/vnd.ms-photo");
        assert_eq!(reply.header("x-smart-imaging-reason"), "jpegxr");
        assert!(reply.body.len() < jpeg.body.len(), "{} bytes, {} as JPEG", reply.body.len(), jpeg.body.len());
        if has_tool("JxrDecApp") {
            assert!(difference(&crate::codecs::jpegxr::shown(&reply.body), &jpeg.body) < 4.0);
        }
    }
    let without = ask("New/Valley", &[SAFARI_13, OLD_ACCEPT]);
    assert_eq!((without.header("content-type"), without.header("vary")), ("image/jpeg", "Accept"));
    assert_eq!(without.body, jpeg.body);
    if has_tool("opj_decompress") {
        assert!(difference(&jpeg2000::shown(&old.body), &jpeg.body) < 4.0);
    }
}

/// Mean difference of a picture from a JPEG of the same size, levels.
fn difference(shown: &Image, jpeg: &[u8]) -> f64 {
    let asked = crate::codecs::decode_as(jpeg, DecodeAs::Rgb);
    assert_eq!((shown.size(), shown.format()), (asked.size(), asked.format()));
    let pairs = || shown.planes().iter().zip(asked.planes()).flat_map(|(a, b)| a.data().iter().zip(b.data()));
    let mean = pairs().map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / pairs().count() as f64;
    println!("differs by {mean:.2} levels");
    mean
}

/// 300 random requests over pictures of all kinds: what is served with `bfc=on` is never larger than without, and is what
/// is served without where nothing was smaller.
#[test]
fn no_reply_is_larger_for_smart_imaging() {
    let mut random = SplitMix64::new("no_reply_is_larger_for_smart_imaging");
    let mut config = Config::demo();
    config.daemon.engine = EngineChoice::Simd;
    let service = Service::try_new(&config).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sources = sources();
    let clients =
        ["image/avif,image/webp,*/*", "image/avif,image/webp", "image/webp", "image/avif", "image/jp2", "image/jxr"]
            .map(|accept| Hints::from_headers([("Accept", accept)]));
    let mut served = BTreeMap::new();
    for _ in 0..300 {
        let source = &sources[random.within(0, u32::try_from(sources.len()).unwrap()) as usize];
        let hints = &clients[random.within(0, 6) as usize];
        let query = query(&mut random);
        let queries = [format!("{query}&bfc=on"), format!("{query}&bfc=off")];
        let deadline = Instant::now() + Duration::from_secs(60);
        let renditions = runtime.block_on(service.transcode(None, source.clone(), &queries, hints, deadline)).unwrap();
        let [smart, plain] = <[_; 2]>::try_from(renditions).expect("two renditions").map(|r| r.expect("a picture"));
        assert!(smart.bytes.len() <= plain.bytes.len(), "{query}: {:?}", smart.verdict);
        assert_eq!(smart.meta.size, plain.meta.size, "{query}");
        if smart.meta.mime == plain.meta.mime {
            assert_eq!(smart.bytes, plain.bytes, "{query}");
        } else {
            assert!(smart.bytes.len() < plain.bytes.len(), "{query}: {:?}", smart.verdict);
            let saved = i64::try_from(plain.bytes.len() - smart.bytes.len()).unwrap();
            assert_eq!(smart.meta.saved, Some(saved), "{query}: what the reply says is what it is");
        }
        *served.entry(smart.meta.reason.expect("known")).or_insert(0) += 1;
    }
    println!("{} pictures: {served:?}", sources.len());
    let old = if EncodeSpec::HAS_JPEG_XR { &["jpeg2000", "jpegxr"][..] } else { &["jpeg2000"] };
    for format in ["webp", "avif"].iter().chain(old) {
        assert!(served.contains_key(format), "{served:?}");
    }
}

fn query(random: &mut SplitMix64) -> String {
    let mut pick = |words: &[&str]| words[random.within(0, u32::try_from(words.len()).unwrap()) as usize].to_owned();
    let fmt = pick(&["jpeg", "jpeg", "pjpeg", "png", "png-alpha", "webp", "avif"]);
    let sharpen = pick(&["", "", "&op_usm=1.75,0.3,2,0", "&op_sharpen=1"]);
    let fit = pick(&["", "&fit=crop&align=1,-1", "&fit=stretch", "&fit=constrain"]);
    let part = pick(&["", "", "&rgnN=0.2,0.1,0.05,0.3", "&rgnN=0.4,0.4,0.01,0.01", "&bgc=20a0f0"]);
    // Small ones as often as large ones.
    let mut side = || {
        let most = 2 << random.within(0, 8);
        random.within(1, most)
    };
    let (wid, hei) = (side(), side());
    let qlt = random.within(1, 101);
    let chroma = random.within(0, 2);
    format!("wid={wid}&hei={hei}{fit}&fmt={fmt}&qlt={qlt},{chroma}{sharpen}{part}")
}

/// Computed pictures of all kinds, and some of the corpus.
fn sources() -> Vec<Bytes> {
    let size = Size::new(512, 341);
    let jpeg = |chroma| EncodeSpec::Jpeg { quality: JpegQuality(92), chroma, progressive: false };
    let mut noise = SplitMix64::new("sources");
    let mut grey = |content, size| crate::support::picture(content, size, PixelFormat::GREY, &mut noise);
    let made = [
        (testcard::portrait(Size::new(301, 400), 4), jpeg(Chroma::Half)),
        (testcard::chart(Size::new(400, 300)), EncodeSpec::Png),
        (testcard::photo(Size::new(1, 1), 5), EncodeSpec::Png),
        (testcard::photo(Size::new(600, 1), 6), EncodeSpec::Png),
        (testcard::vase(Size::new(200, 150), 7), EncodeSpec::WebpLossless),
        (grey(Content::Noise, Size::new(129, 127)), EncodeSpec::Png),
        (grey(Content::Full, Size::new(300, 200)), EncodeSpec::Png),
        (grey(Content::Opaque, Size::new(256, 256)), jpeg(Chroma::Half)),
        (testcard::photo(size, 1), jpeg(Chroma::Half)),
        (testcard::photo(size, 2), jpeg(Chroma::Full)),
        (testcard::vase(size, 3), EncodeSpec::Png),
    ];
    let mut sources: Vec<Bytes> =
        made.iter().map(|(image, spec)| Bytes::from(codec::encode(image, spec).expect("a picture of ours"))).collect();
    let folders = corpus().map(|corpus| ["cid22", "pngsuite", "jpeg-variants"].map(|folder| corpus.join(folder)));
    let allow = crate::codecs::allow_all();
    for folder in folders.iter().flatten() {
        let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let bytes = files.into_iter().step_by(5).map(|file| Bytes::from(std::fs::read(file).unwrap()));
        // Small and whole ones: what is broken is a matter of other tests.
        sources.extend(bytes.filter(|bytes| {
            codec::probe(&mut std::io::Cursor::new(bytes), &allow).is_ok_and(|header| {
                header.size.pixels() < 1_000_000 && codec::decode(bytes, &header, DecodeAs::Rgb).is_ok()
            })
        }));
    }
    sources
}
