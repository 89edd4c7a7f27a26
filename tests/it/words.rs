//! Replies that are no pictures, over the daemon's socket: what they say, in which form, for how long.

use std::sync::Arc;

use calotype::catalog::{Company, DefaultImageMode, Network, Record, Records, SmartCrop, SourceRoot};
use calotype::pixel::Size;

use crate::http::{Client, Reply, Site, get, settle};

const TEXT: &str = "text/plain; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A site whose company `Co` has records; `A` is a JPEG of 60×40 pixels.
fn site() -> Site {
    Site::start(|config| {
        let company = config.catalog.companies.get_mut("Co").expect("the site's company");
        let mut records = Records::default();
        let crop = SmartCrop { rect: [250_000, 0, 500_000, 1_000_000], size: Size::new(20, 20) };
        records.own.insert(
            String::from("R"),
            Record {
                path: Some(String::from("A.jpg")),
                modifier: String::from("wid=30"),
                post_modifier: String::from("qlt=55"),
                user_data: Some(String::from("a=1??b=<&\">??plain")),
                targets: Some(String::from("target.0.label=x")),
                map: Some(String::from("<area coords='6,4,60,40'>")),
                image_set: Some(String::from("Co/A,Co/B;Co/C")),
                expiration_hours: Some(2.0),
                timestamp_s: Some(1_700_000_000),
                anchor: Some([7, -3]),
                resolution: Some(300.0),
                crops: [(String::from("Half"), crop)].into(),
                ..Record::default()
            },
        );
        records.own.insert(String::from("gone"), Record { published: Some(false), ..Record::default() });
        company.records = Arc::new(records);
        company.non_img_expiration_hours = 0.5;
    })
}

fn ask(site: &Site, request: &str) -> Reply {
    get(&site.data, &format!("/is/image/{request}"))
}

/// Status, type, time to live and the lines that must be in the body.
#[track_caller]
fn check(site: &Site, request: &str, mime: &str, cache: &str, lines: &[&str]) {
    let reply = ask(site, request);
    assert_eq!((reply.status, reply.header("content-type")), (200, mime), "{request}: {reply}");
    assert_eq!(reply.header("cache-control"), cache, "{request}: {reply}");
    assert_eq!(reply.header("x-content-type-options"), "nosniff", "{request}");
    assert_eq!(reply.header("timing-allow-origin"), "*", "{request}");
    let text = reply.text();
    for line in lines {
        assert!(text.contains(line), "{request}: no {line:?} in {text:?}");
    }
}

#[test]
fn sets_are_documents() {
    let site = site();
    let (script, xml, short) = (SCRIPT, "text/xml; charset=utf-8", "public, max-age=1800");
    let relation = r#""relation":[{"n":"Co/R:Half","userdata":{"SmartCropDef":"Half","SmartCropType":"manual","SmartCropWidth":"20.0","SmartCropHeight":"20.0","SmartCropRect":"0.25,0,0.5,1,20,20"}}]"#;
    let single = r#"s7jsonResponse({"set":{"pv":"1.0","type":"img","n":"Co/A","item":[{"dx":"60","dy":"40","i":{"n":"Co/A"}}]}},"");"#;
    let own = format!(
        r#"{{"set":{{"pv":"1.0","type":"img_set","n":"Co/R","item":[{{"dx":"60","dy":"40","i":{{"n":"Co/A"}}}},{{"i":{{"n":"Co/B"}},"s":{{"n":"Co/C"}}}}],{relation}}}}}"#
    );
    for (request, mime, words) in [
        ("Co/A?req=set,json", script, single),
        ("Co/R?req=set,json", script, own.as_str()),
        (
            "Co/A?req=set",
            xml,
            "<set pv=\"1.0\" type=\"img\" n=\"Co/A\"><item dx=\"60\" dy=\"40\"><i n=\"Co/A\"/></item></set>\n",
        ),
        ("Co/R?req=set,xml&imageSet={A;sub/B;two,{A,A},%3C%26}", xml, "type=\"media_set\""),
        (
            "Co/R?req=set,xml&imageSet={A;sub/B;two,{A,A},%3C%26}",
            xml,
            "<item dx=\"60\" dy=\"40\" label=\"two\"><i n=\"A\"/><s n=\"sub/B\"/></item>",
        ),
        ("Co/R?req=set,xml&imageSet={A;sub/B;two,{A,A},%3C%26}", xml, "<item><set type=\"unknown\"><item dx="),
        ("Co/R?req=set,xml&imageSet={A;sub/B;two,{A,A},%3C%26}", xml, "<i n=\"&lt;&amp;\"/>"),
    ] {
        check(&site, request, mime, short, &[words]);
    }
    for (request, status, words) in [
        ("Co/nope?req=set,json", 404, "s7jsonError"),
        ("Co/A?req=set,json&imageSet={a,{b}", 400, "imageSet"),
        ("Co/A?req=set,json&imageSet=A", 400, "imageSet"),
    ] {
        let reply = ask(&site, request);
        assert_eq!(reply.status, status, "{request}: {}", reply.text());
        assert!(reply.text().contains(words), "{request}: {}", reply.text());
    }
}

#[test]
fn every_kind_says_what_it_should() {
    let site = site();
    let (short, own, never) = ("public, max-age=1800", "public, max-age=7200", "no-store");
    let ok = "#S7Z OK\n#2";
    for (request, mime, cache, lines) in [
        (
            "Co/R?req=props&hei=20",
            TEXT,
            short,
            &[
                ok,
                "\nimage.width=30\n",
                "\nimage.height=20\n",
                "\nimage.quality=55\n",
                "\nimage.type=image/jpeg\n",
                "\nimage.mask=0\n",
                "\nimage.bgc=ffffff\n",
                "\nimage.pixTyp=RGB\n",
                "\nimage.version=",
                "\nmetadata.version=",
            ][..],
        ),
        ("Co/A?req=props&fmt=webp-alpha", TEXT, short, &["\nimage.mask=1\n", "\nimage.type=image/webp\n"]),
        // Only what the URL says counts: the pixel ratio of its own, not that of a client.
        ("Co/A?req=props&wid=10&dpr=on,2", TEXT, short, &["\nimage.width=20\n"]),
        (
            "Co/R?req=imageprops&wid=x&fmt=nonsense",
            TEXT,
            short,
            &[
                ok,
                "\nimage.width=60\n",
                "\nimage.height=40\n",
                "\nimage.anchor=7,-3\n",
                "\nimage.modifier=wid=30\n",
                "\nimage.postModifier=qlt=55\n",
                "\nimage.resolution=300\n",
                "\nimage.expiration=2\n",
                "\nimage.timeStamp=2023-11-14T22:13:20Z\n",
                "\nimage.thumbType=2\n",
                "\nimage.translatedId=Co/R\n",
            ],
        ),
        (
            "Co?req=catalogprops",
            TEXT,
            short,
            &[
                ok,
                "\ncatalog.maxPix=3000,3000\n",
                "\ncatalog.jpegQuality=80,0\n",
                "\ncatalog.resMode=sharp2\n",
                "\ncatalog.bkgColor=ffffff\n",
                "\ncatalog.expiration=10\n",
                "\ncatalog.nonImgExpiration=0.5\n",
            ],
        ),
        ("Co/A?req=exists", TEXT, short, &[ok, "\ncatalogRecord.exists=1\n"]),
        ("Co/R?req=exists", TEXT, short, &["\ncatalogRecord.exists=1\n"]),
        ("Co/broken?req=exists", TEXT, short, &["\ncatalogRecord.exists=1\n"]),
        ("Co/nope?req=exists", TEXT, short, &["\ncatalogRecord.exists=0\n"]),
        ("Co/gone?req=exists", TEXT, short, &["\ncatalogRecord.exists=0\n"]),
        ("Co/R:Half?req=exists", TEXT, short, &["\ncatalogRecord.exists=1\n"]),
        ("Co/R:Nope?req=exists", TEXT, short, &["\ncatalogRecord.exists=0\n"]),
        ("Co/R?req=userdata", TEXT, own, &["a=1\r\nb=<&\">\r\nplain\r\n"]),
        (
            "Co/R:Half?req=userdata",
            TEXT,
            own,
            &[
                "a=1\r\n",
                "\r\nSmartCropDef=Half\r\n",
                "SmartCropWidth=20.0\r\nSmartCropHeight=20.0\r\n",
                "SmartCropRect=0.25,0,0.5,1,20,20\r\n",
            ],
        ),
        ("Co/R?req=targets", TEXT, own, &["target.0.label=x\r\n"]),
        ("Co/R?req=imageset", TEXT, short, &["Co/A,Co/B;Co/C\r\n"]),
        ("Co/R?req=map", TEXT, own, &["<area coords='3,2,30,20'>\r\n"]),
        ("Co/A?req=map", TEXT, "public, max-age=36000", &["\r\n"]),
        ("Co/R?req=map,json&wid=60", SCRIPT, own, &["({\"IMAGE_MAP\":\"\\u003carea coords='6,4,60,40'>\"},"]),
        ("Co/A?req=xmp&wid=x", "text/xml; charset=utf-8", "public, max-age=36000", &["<x:xmpmeta"]),
        ("Co/R?req=validate", TEXT, never, &[ok, "\nrequest.isValid=1\n"]),
        ("Co/nope?req=validate&wid=$w$", TEXT, never, &["\nrequest.isValid=1\n"]),
        ("Co/A?$small$&req=resolve&bgc=$c$&$c=x", TEXT, never, &["Co/A?wid=24&qlt=70&bgc=$c$\n"]),
        ("Co/R?$x=a%26b&id=$x$&req=resolve", TEXT, never, &["Co/R?src=A.jpg&wid=30&id=a%26b&qlt=55\n"]),
        ("Co/A?wid=20&req=loadcache", TEXT, never, &[ok, "\nimage.length="]),
        ("Co/R?req=xlate", TEXT, own, &["\nxlate.translatedIds=Co/R\n"]),
        ("Co/R?req=message&message=hello", TEXT, never, &[""]),
        ("Co/R?req=exists,javascript", SCRIPT, short, &["catalogRecord.exists='1'\n"]),
        (
            "Co/R?req=exists,xml",
            "text/xml; charset=utf-8",
            short,
            &["<prop-group name=\"catalogRecord\">", "<property name=\"exists\" value=\"1\"/>"],
        ),
        (
            "Co/R?req=imageset,json&id=7&handler=mine",
            SCRIPT,
            short,
            &["/*jsonp*/mine({\"IMAGE_SET\":\"Co/A,Co/B;Co/C\"},\"7\");"],
        ),
        (
            "Co/R?req=userdata,json",
            SCRIPT,
            own,
            &["/*jsonp*/s7jsonResponse({\"a\":\"1\",\"b\":\"\\u003c&\\\">\",\"plain\":\"\"},\"\");"],
        ),
        (
            "Co/R?req=userdata,xml",
            "text/xml; charset=utf-8",
            own,
            &["<property name=\"b\" value=\"&lt;&amp;&quot;&gt;\"/>"],
        ),
    ] {
        check(&site, request, mime, cache, lines);
    }
    let empty = ask(&site, "Co/nope?req=userdata");
    assert_eq!((empty.status, empty.text().as_str()), (200, "\r\n"), "{empty}");
    let wide = ask(&site, "Co/R?req=userdata,xml,UTF-16LE");
    assert!(wide.body.starts_with(b"<\0?\0x\0"), "{wide}");
    let client_says = ask(&site, "Co/A?req=exists&cache=off");
    assert_eq!(client_says.header("cache-control"), "no-store", "{client_says}");
}

#[test]
fn props_know_what_is_in_the_cache_and_change_with_the_picture() {
    let site = site();
    let value = |request: &str, name: &str| {
        let text = ask(&site, request).text();
        text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")).map(str::to_owned)).expect(name)
    };
    assert_eq!(value("Co/A?wid=31&req=props", "image.length"), "0");
    let length = ask(&site, "Co/A?wid=31").body.len().to_string();
    assert_eq!(value("Co/A?wid=31&req=props", "image.length"), length);
    assert_eq!(value("Co/A?wid=31&req=loadcache", "image.length"), length);
    let version = value("Co/A?wid=31&req=props", "image.version");
    assert_eq!(version, value("Co/A?req=props&wid=31&id=zzz", "image.version"));
    assert_ne!(version, value("Co/A?wid=32&req=props", "image.version"));
}

#[test]
fn errors_come_in_the_form_that_was_asked_for() {
    let site = site();
    for (request, status, mime, words) in [
        ("Co/nope?req=props", 404, TEXT, "Image not found\nno such image: Co/nope\n"),
        (
            "Co/nope?req=props,json&handler=mine&id=3",
            404,
            SCRIPT,
            "/*jsonp*/s7jsonError({\"message\":\"no such image: Co/nope\",\"title\":\"Image not found\"},\"3\");",
        ),
        (
            "Co/nope?req=imageprops,javascript",
            404,
            SCRIPT,
            "error.title='Image not found'\nerror.message='no such image: Co/nope'\n",
        ),
        (
            "Co/nope?req=imageprops,xml",
            404,
            "text/xml; charset=utf-8",
            "<error title=\"Image not found\" message=\"no such image: Co/nope\"/>",
        ),
        ("no/A?req=exists,json", 404, SCRIPT, "\"title\":\"Company not found\""),
        ("Co/A?req=props,json&wid=%3C/script%3E", 400, SCRIPT, "\\u003c/script>"),
        ("Co/A?wid=x&req=validate,json", 400, SCRIPT, "s7jsonError"),
        ("Co/A?req=exists,json&handler=alert(1)//", 400, SCRIPT, "handler"),
        ("Co/A?req=nonsense", 400, TEXT, "expected img, tmb or mask, or props"),
        ("Co/A?req=mbrSet", 400, TEXT, "known, but not supported"),
    ] {
        let reply = ask(&site, request);
        assert_eq!((reply.status, reply.header("content-type")), (status, mime), "{request}: {reply}");
        assert!(reply.text().contains(words), "{request}: no {words:?} in {:?}", reply.text());
        assert_eq!(reply.header("cache-control"), "no-store", "{request}");
        assert!(!reply.text().contains("</script>") || mime == TEXT, "{request}: {:?}", reply.text());
    }
}

#[test]
fn errors_say_as_much_as_the_company_lets_them() {
    let site = Site::start(|config| {
        config.catalog.companies.get_mut("Co").expect("the site's company").error_detail = 1;
    });
    assert_eq!(ask(&site, "Co/nope").text(), "Image not found\n");
    let json = ask(&site, "Co/nope?req=props,json").text();
    assert_eq!(json, "/*jsonp*/s7jsonError({\"message\":\"\",\"title\":\"Image not found\"},\"\");");
}

#[test]
fn the_default_catalog_tells_of_itself_without_a_company() {
    let site = Site::start(|config| {
        let mut default = Company::new("default", SourceRoot::Nothing);
        default.max_pix = Size::new(77, 88);
        config.catalog.default = Some(default);
    });
    let reply = ask(&site, "?req=catalogprops");
    assert!(reply.text().contains("\ncatalog.maxPix=77,88\n"), "{reply}");
    assert_eq!(ask(&site, "?req=exists").status, 404);
    let root = get(&site.data, "/is/image");
    assert!(root.status == 200 && root.text().starts_with("#S7Z OK\n#2"), "{root}");
}

/// The address that a filter looks at is the one that was written last, which before this socket is a proxy's to write.
#[test]
fn an_address_filter_believes_the_proxy_alone() {
    let site = Site::start(|config| {
        let company = config.catalog.companies.get_mut("Co").expect("the site's company");
        company.address_filter = vec![Network::read("127.0.0.0/8").expect("a network")];
        company.error_detail = 2;
    });
    let with = |headers: &[&str]| {
        let headers = [headers, &["Connection: close"]].concat();
        Client::unix(&site.data).ask("GET", "/is/image/Co/A?wid=9", &headers)
    };
    for (headers, status) in [
        (&[][..], 403),
        (&["X-Forwarded-For: 127.0.0.1"], 200),
        (&["X-Forwarded-For: 127.0.0.1, 10.0.0.1"], 403),
        (&["X-Forwarded-For: 10.0.0.1, ::ffff:127.3.2.1"], 200),
        (&["X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 10.0.0.1"], 403),
        (&["X-Forwarded-For: 127.0.0.1, unknown"], 403),
        (&["X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1"], 403),
    ] {
        let reply = with(headers);
        assert_eq!(reply.status, status, "{headers:?}: {reply}");
        assert!(status == 200 || reply.text().contains("client's address"), "{reply}");
    }
    // The other doors to the same picture: words of it, and the admin socket's.
    assert_eq!(ask(&site, "Co/A?req=props").status, 403);
    assert_eq!(get(&site.admin, "/v1/explain/Co/A?wid=9").status, 403);
}

#[test]
fn a_head_is_a_get_without_its_words() {
    let site = site();
    let mut client = Client::unix(&site.data);
    let head = client.ask("HEAD", "/is/image/Co/A?req=exists", &[]);
    let body = ask(&site, "Co/A?req=exists").body;
    assert_eq!((head.status, head.header("content-length")), (200, body.len().to_string().as_str()), "{head}");
}

#[test]
fn what_is_missing_or_wrong_has_a_picture_if_the_company_has_one() {
    let site = Site::start(|config| {
        let base = config.catalog.companies["Co"].clone();
        let with = |root_id: &str, edit: &dyn Fn(&mut Company)| {
            let mut company = Company { root_id: root_id.to_owned(), ..base.clone() };
            edit(&mut company);
            (root_id.to_owned(), company)
        };
        config.catalog.companies.extend([
            with("Def", &|company| company.default_image = String::from("A")),
            with("Swap", &|company| {
                company.default_image = String::from("/Co/A");
                company.default_image_mode = DefaultImageMode::Swap;
            }),
            with("Err", &|company| company.error_image = String::from("A")),
            with("Both", &|company| {
                company.default_image = String::from("nope");
                company.error_image = String::from("nope either");
            }),
        ]);
    });
    let same = |request: &str, other: &str| {
        let (reply, other) = (ask(&site, request), ask(&site, other));
        assert_eq!((reply.status, &reply.body), (200, &other.body), "{request}: {reply}");
        reply
    };
    settle(&site.dir.path().join("images"));
    let shown = same("Def/nope?wid=30&crop=0,0,5,5&fmt=png", "Co/A?wid=30&fmt=png");
    assert_eq!(shown.header("cache-control"), "public, max-age=3600", "the default image's own time to live");
    same("Swap/nope?wid=30&crop=0,0,30,20", "Co/A?wid=30&crop=0,0,30,20");
    same("Co/nope?defaultImage=Co/A&wid=30", "Co/A?wid=30");
    same("Co/nope?defaultImage=/Def/A&wid=30", "Co/A?wid=30");
    assert_eq!(ask(&site, "Def/nope?defaultImage=").status, 404);
    for request in ["Err/nope?wid=30", "Err/A?wid=x", "Err/broken"] {
        let shown = same(request, "Co/A");
        assert_eq!(shown.header("cache-control"), "no-store", "{request}");
        assert!(!shown.has("etag"), "{request}: {shown}");
    }
    // Words are no pictures, and what fails itself stands for nothing.
    assert_eq!(ask(&site, "Err/nope?req=imageprops").status, 404);
    let plain = ask(&site, "Both/nope");
    assert!(plain.status == 404 && plain.text().contains("Both/nope"), "{plain}");
    let mut client = Client::unix(&site.data);
    let head = client.ask("HEAD", "/is/image/Def/nope?wid=30", &[]);
    assert_eq!((head.status, head.header("content-type")), (200, "image/jpeg"), "{head}");
}
