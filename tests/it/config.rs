//! Is a configuration understood exactly, or refused with words that help?

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use calotype::catalog::{Kernel, NetworkSignal, SourceRoot};
use calotype::config::{Config, DEMO_COMPANY, EngineChoice, ErrorStyle, Flags, IMAGES_COMPANY};
use calotype::error::{Blame, Error};
use calotype::pixel::{Chroma, Size, WorkingSpace};
use calotype::plan::SourceFormat;
use tempfile::TempDir;

const NO_ENVIRONMENT: [(OsString, OsString); 0] = [];

/// A file of that text, in a directory that has `images/` beside it; `DIR` in the text stands for that directory.
fn file(text: &str) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("images")).unwrap();
    let path = dir.path().join("calotype.toml");
    fs::write(&path, text.replace("DIR", dir.path().to_str().unwrap())).unwrap();
    (dir, path)
}

fn load(text: &str) -> Result<Config, Error> {
    let (_dir, path) = file(text);
    Config::load(Some(&path), NO_ENVIRONMENT, &Flags::default())
}

fn with_environment(text: &str, variables: &[(&str, &str)]) -> Result<Config, Error> {
    let (_dir, path) = file(text);
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::load(Some(&path), variables, &Flags::default())
}

/// Refused as the site owner's fault, and the message holds all of `words`.
fn check_refused(refused: Result<Config, Error>, words: &[&str]) {
    let error = refused.expect_err(&format!("expected a refusal with {words:?}"));
    let message = error.to_string();
    assert_eq!(error.blame(), Blame::Config, "{message}");
    assert!(!message.contains('\n'), "more than one line: {message}");
    for word in words {
        assert!(message.contains(word), "no \"{word}\" in: {message}");
    }
}

/// One company with these lines in it.
fn company(lines: &str) -> String {
    format!("[company.Co]\nsource = \"file://DIR/images\"\n{lines}\n")
}

#[test]
fn every_key_is_read() {
    let (dir, path) = file(
        r#"
        [daemon]
        socket = "/run/c/c.sock"
        admin_socket = "/run/c/a.sock"
        threads = 3
        engine = "simd"
        errors = "compat"
        compat_headers = true
        queue_jobs_max = 7
        deadline_ms = 1234
        memory = "2GiB"
        source_pixels_max = 1_000_000
        formats = ["jpeg", "png"]
        [cache]
        memory = "32MiB"
        disk = "/var/c"
        disk_size = "1TiB"
        [front]
        listen = "[::1]:8081"
        socket = "/run/c/f.sock"
        tls_cert = "cert.pem"
        tls_key = "key.pem"
        connections_max = 9
        retry_ms = 0
        [company.Co]
        source = "file://DIR/images"
        max_pix = [0, 2000]
        default_pix = [640, 0]
        jpeg_quality = [77, 1]
        res_mode = "bicub"
        bkg_color = "0aF0ff"
        working_space = "linear"
        upscale_without_fit = true
        expiration_hours = 0.5
        stale_while_revalidate_s = 60
        use_last_modified = true
        strict = true
        bfc = true
        dpr = true
        network = true
        network_signals = ["rtt", "save-data"]
        avif = false
        legacy_ua = true
        ch_width = true
        width_step = 200
        [company.Co.headers]
        Timing-Allow-Origin = "*"
        [company."A b"]
        source = "demo:"
        jpeg_quality = 55
        expiration_hours = -1
        "#,
    );
    let config = Config::load(Some(&path), NO_ENVIRONMENT, &Flags::default()).unwrap();
    let daemon = &config.daemon;
    assert_eq!(daemon.socket.as_deref(), Some(Path::new("/run/c/c.sock")));
    assert_eq!(daemon.admin_socket.as_deref(), Some(Path::new("/run/c/a.sock")));
    assert_eq!((daemon.threads, daemon.engine, daemon.errors), (3, EngineChoice::Simd, ErrorStyle::Compat));
    assert!(daemon.compat_headers);
    assert_eq!((daemon.queue_jobs_max, daemon.deadline_ms), (7, 1234));
    assert_eq!((daemon.memory_bytes_max, daemon.source_pixels_max), (2 << 30, 1_000_000));
    assert_eq!(daemon.formats, [SourceFormat::Jpeg, SourceFormat::Png]);
    let cache = &config.cache;
    assert_eq!((cache.memory_bytes_max, cache.disk_bytes_max), (32 << 20, 1 << 40));
    assert_eq!(cache.disk.as_deref(), Some(Path::new("/var/c")));
    let front = &config.front;
    assert_eq!((front.listen.as_str(), front.connections_max, front.retry_ms), ("[::1]:8081", 9, 0));
    assert_eq!(front.socket.as_deref(), Some(Path::new("/run/c/f.sock")));
    assert_eq!(front.tls_cert.as_deref(), Some(Path::new("cert.pem")));
    assert_eq!(front.tls_key.as_deref(), Some(Path::new("key.pem")));
    let co = &config.catalog.companies["Co"];
    assert_eq!(co.source, SourceRoot::Dir(dir.path().join("images")));
    assert_eq!((co.max_pix, co.default_pix), (Size::new(0, 2000), Size::new(640, 0)));
    assert_eq!((co.jpeg_quality, co.jpeg_chroma), (77, Chroma::Full));
    assert_eq!((co.res_mode, co.working_space), (Kernel::Bicub, WorkingSpace::Linear));
    assert_eq!((co.bkg_color, co.expiration_hours), ([0x0a, 0xf0, 0xff], 0.5));
    assert!(co.upscale_without_fit && co.strict && co.use_last_modified);
    assert_eq!(co.stale_while_revalidate_s, 60);
    assert!(co.bfc && co.dpr && co.network && !co.avif && co.legacy_ua && co.ch_width);
    assert_eq!(co.network_signals, [NetworkSignal::SaveData, NetworkSignal::Rtt], "in the order of Vary");
    assert_eq!(co.width_step, 200);
    assert_eq!(co.headers, [(String::from("Timing-Allow-Origin"), String::from("*"))]);
    let other = &config.catalog.companies["A b"];
    assert_eq!((&other.source, other.jpeg_quality, other.jpeg_chroma), (&SourceRoot::Demo, 55, Chroma::Half));
    assert_eq!(other.expiration_hours, -1.0);
}

#[test]
fn nothing_configured_is_the_demo() {
    let config = Config::load(None, NO_ENVIRONMENT, &Flags::default()).unwrap();
    assert_eq!(config.catalog.companies.keys().collect::<Vec<_>>(), [DEMO_COMPANY]);
    assert_eq!(config.catalog, Config::demo().catalog);
    assert_eq!(config.daemon.memory_bytes_max, 1 << 30);
    assert_eq!((config.cache.memory_bytes_max, &config.cache.disk), (256 << 20, &None));
    // An empty file is a configuration without companies, as a front's is.
    assert!(load("").unwrap().catalog.companies.is_empty());
}

#[test]
fn later_beats_earlier() {
    let (dir, path) = file("[daemon]\nthreads = 1\ndeadline_ms = 10\nqueue_jobs_max = 4\n");
    let environment = [("CALOTYPE_DAEMON__THREADS", "2"), ("CALOTYPE_DAEMON__DEADLINE_MS", "20"), ("HOME", "/")]
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let flags = Flags { threads: Some(3), images: Some(dir.path().join("images")), ..Flags::default() };
    let config = Config::load(Some(&path), environment, &flags).unwrap();
    assert_eq!((config.daemon.threads, config.daemon.deadline_ms, config.daemon.queue_jobs_max), (3, 20, 4));
    assert_eq!(config.catalog.companies.keys().collect::<Vec<_>>(), [IMAGES_COMPANY]);
}

#[test]
fn the_environment_sets_every_kind_of_value() {
    let config = with_environment(
        "",
        &[
            ("CALOTYPE_DAEMON__SOCKET", "/s"),
            ("CALOTYPE_DAEMON__ENGINE", "Scalar"),
            ("CALOTYPE_DAEMON__MEMORY", "64MiB"),
            ("CALOTYPE_DAEMON__FORMATS", "png, webp"),
            ("CALOTYPE_CACHE__MEMORY", "0"),
            ("CALOTYPE_FRONT__LISTEN", "localhost:1"),
            ("CALOTYPE_LOG", "debug"),
        ],
    )
    .unwrap();
    assert_eq!(config.daemon.socket.as_deref(), Some(Path::new("/s")));
    assert_eq!((config.daemon.engine, config.daemon.memory_bytes_max), (EngineChoice::Scalar, 64 << 20));
    assert_eq!(config.daemon.formats, [SourceFormat::Png, SourceFormat::Webp]);
    assert_eq!(config.cache.memory_bytes_max, 0);
    assert_eq!(config.front.listen, "localhost:1");
}

#[test]
fn an_unknown_key_names_the_nearest() {
    check_refused(load("[daemon]\nthraeds = 1"), &["daemon.thraeds", "unknown key", "threads"]);
    check_refused(load("[deamon]"), &["deamon", "daemon"]);
    check_refused(load(&company("bkgcolor = \"ffffff\"")), &["company.Co.bkgcolor", "bkg_color"]);
    check_refused(load(&company("[company.Co.preset]\na = \"wid=1\"")), &["company.Co.preset", "presets"]);
    // Keys of features that are not there yet are as unknown as any.
    check_refused(load("[cache]\nmemroy = \"1GiB\""), &["cache.memroy", "unknown key", "memory"]);
    check_refused(with_environment("", &[("CALOTYPE_CACHE_MEMORY", "1")]), &["two underscores"]);
    check_refused(load(&company("watermark = \"x\"")), &["company.Co.watermark", "unknown key"]);
    check_refused(with_environment("", &[("CALOTYPE_DAEMON__THREAD", "1")]), &["CALOTYPE_DAEMON__THREAD", "threads"]);
    check_refused(with_environment("", &[("CALOTYPE_DEAMON__THREADS", "1")]), &["CALOTYPE_DEAMON__THREADS", "DAEMON"]);
    check_refused(with_environment("", &[("CALOTYPE_DAEMON_THREADS", "1")]), &["two underscores"]);
    check_refused(with_environment("", &[("CALOTYPE_COMPANY__CO", "1")]), &["in the file alone"]);
}

#[test]
fn a_wrong_value_names_key_value_and_expectation() {
    for (line, words) in [
        ("threads = \"four\"", ["daemon.threads", "\"four\"", "an integer 0 to 1024"]),
        ("threads = 4.0", ["daemon.threads", "4", "an integer"]),
        ("threads = -1", ["daemon.threads", "-1", "an integer"]),
        ("queue_jobs_max = 0", ["daemon.queue_jobs_max", "0", "1 to 65536"]),
        ("deadline_ms = 0", ["daemon.deadline_ms", "0", "1 to 600000"]),
        ("memory = \"1GB\"", ["daemon.memory", "\"1GB\"", "16MiB"]),
        ("memory = \"1MiB\"", ["daemon.memory", "\"1MiB\"", "16MiB"]),
        ("memory = true", ["daemon.memory", "true", "bytes"]),
        ("engine = \"cuda\"", ["daemon.engine", "\"cuda\"", "auto | gpu | simd | scalar"]),
        ("compat_headers = 1", ["daemon.compat_headers", "1", "true or false"]),
        ("errors = 404", ["daemon.errors", "404", "semantic | compat"]),
        ("source_pixels_max = 100_000_001", ["daemon.source_pixels_max", "100000001", "1 to 100000000"]),
        ("formats = []", ["daemon.formats", "a list", "jpeg | png | webp | gif | tiff"]),
        ("formats = [\"jpeg\", \"bmp\"]", ["daemon.formats", "\"bmp\"", "jpeg | png"]),
        ("formats = \"jpeg\"", ["daemon.formats", "\"jpeg\"", "a list"]),
        ("socket = \"\"", ["daemon.socket", "\"\"", "a path"]),
    ] {
        check_refused(load(&format!("[daemon]\n{line}\n")), &words);
    }
    for (line, words) in [
        ("listen = \"8080\"", ["front.listen", "\"8080\"", "127.0.0.1:8080"]),
        ("listen = \"localhost:99999\"", ["front.listen", "99999", "a port"]),
        ("tls_cert = \"c.pem\"", ["front.tls_key", "missing", "front.tls_cert"]),
        ("tls_key = \"k.pem\"", ["front.tls_cert", "missing", "front.tls_key"]),
        ("connections_max = 0", ["front.connections_max", "0", "1 to"]),
    ] {
        check_refused(load(&format!("[front]\n{line}\n")), &words);
    }
    for (line, words) in [
        ("memory = -1", ["cache.memory", "-1", "bytes"]),
        ("disk = \"/c\"\nmemory = \"15MiB\"", ["cache.memory", "15728640 bytes", "16MiB"]),
        ("disk_size = \"1MiB\"", ["cache.disk_size", "\"1MiB\"", "16MiB"]),
        ("disk = 7", ["cache.disk", "7", "a path"]),
    ] {
        check_refused(load(&format!("[cache]\n{line}\n")), &words);
    }
    check_refused(load("daemon = 3"), &["daemon", "3", "[daemon]"]);
    check_refused(load("company = \"Co\""), &["company", "[company.Co]"]);
    let variable = [("CALOTYPE_DAEMON__THREADS", "many")];
    check_refused(with_environment("", &variable), &["CALOTYPE_DAEMON__THREADS", "\"many\"", "an integer"]);
}

#[test]
fn a_wrong_company_names_key_value_and_expectation() {
    for (line, words) in [
        ("bfc = \"on\"", ["company.Co.bfc", "\"on\"", "true or false"]),
        (
            "network_signals = [\"ping\"]",
            ["company.Co.network_signals", "\"ping\"", "save-data | ect | downlink | rtt"],
        ),
        ("width_step = 0", ["company.Co.width_step", "0", "1 to 65535"]),
        ("headers = { X-Smart-Imaging = \"1\" }", ["company.Co.headers.X-Smart-Imaging", "calotype itself", "another"]),
        ("max_pix = [1, 2, 3]", ["company.Co.max_pix", "a list", "[width, height]"]),
        ("max_pix = 3000", ["company.Co.max_pix", "3000", "[width, height]"]),
        ("default_pix = [1, -2]", ["company.Co.default_pix", "a list", "[width, height]"]),
        ("jpeg_quality = 0", ["company.Co.jpeg_quality", "0", "1 to 100"]),
        ("jpeg_quality = [80, 2]", ["company.Co.jpeg_quality", "a list", "0 | 1"]),
        ("res_mode = \"lanczos\"", ["company.Co.res_mode", "\"lanczos\"", "sharp2"]),
        ("bkg_color = \"fff\"", ["company.Co.bkg_color", "\"fff\"", "six hexadecimal digits"]),
        ("bkg_color = \"+fffff\"", ["company.Co.bkg_color", "\"+fffff\"", "six hexadecimal digits"]),
        ("working_space = \"p3\"", ["company.Co.working_space", "\"p3\"", "encoded | linear"]),
        ("strict = 1", ["company.Co.strict", "1", "true or false"]),
        ("expiration_hours = -0.5", ["company.Co.expiration_hours", "-0.5", "-1"]),
        ("expiration_hours = nan", ["company.Co.expiration_hours", "nan", "hours"]),
        ("stale_while_revalidate_s = -1", ["company.Co.stale_while_revalidate_s", "-1", "0 to 31536000"]),
        ("use_last_modified = 1", ["company.Co.use_last_modified", "1", "true or false"]),
        ("headers = \"a\"", ["company.Co.headers", "\"a\"", "a section"]),
        ("headers.\"Bad Name\" = \"x\"", ["company.Co.headers.Bad Name", "not a header name", "letters"]),
        ("headers.X-A = \"a\\r\\nSet-Cookie: b\"", ["company.Co.headers.X-A", "not a header value", "line breaks"]),
        ("headers.X-A = 1", ["company.Co.headers.X-A", "1", "a text"]),
        ("headers.etag = \"1\"", ["company.Co.headers.etag", "calotype itself", "another"]),
        ("headers.X-A = \"1\"\nheaders.x-a = \"2\"", ["company.Co.headers.", "twice", "case"]),
        ("presets.\"a b\" = \"wid=1\"", ["company.Co.presets.a b", "not a preset name", "letters"]),
        ("presets.A = \"wid=1\"\npresets.a = \"wid=2\"", ["company.Co.presets.", "twice", "case"]),
    ] {
        check_refused(load(&company(line)), &words);
    }
    check_refused(load("[company.\"a/b\"]\nsource = \"demo:\""), &["company", "a/b", "letters"]);
    check_refused(load("[company.\"..\"]\nsource = \"demo:\""), &["company", "..", "dot"]);
}

#[test]
fn a_source_is_a_directory_or_the_demo() {
    for (source, words) in [
        ("s3://bucket/x", ["company.Co.source", "s3", "not supported yet"]),
        ("https://host/x", ["company.Co.source", "https", "not supported yet"]),
        ("ftp://host/x", ["company.Co.source", "ftp", "file:///"]),
        ("DIR/images", ["company.Co.source", "images", "file:///"]),
        ("file://images", ["company.Co.source", "images", "three slashes"]),
        ("file://DIR/missing", ["company.Co.source", "missing", "existing, readable directory"]),
        ("file://DIR/calotype.toml", ["company.Co.source", "toml", "existing, readable directory"]),
    ] {
        check_refused(load(&format!("[company.Co]\nsource = \"{source}\"")), &words);
    }
    check_refused(load("[company.Co]"), &["company.Co.source", "missing", "file:///"]);
    let encoded = load("[company.Co]\nsource = \"file://DIR/%69mages\"").unwrap();
    assert!(matches!(&encoded.catalog.companies["Co"].source, SourceRoot::Dir(path) if path.ends_with("images")));
}

#[test]
fn a_file_that_is_no_configuration_is_refused() {
    check_refused(load("[daemon]\nthreads = \n"), &["calotype.toml", "line 2"]);
    check_refused(load("[daemon]\nthreads = 1\nthreads = 2\n"), &["calotype.toml", "line 3"]);
    check_refused(load(&format!("#{}", "x".repeat(65 << 20))), &["calotype.toml", "67108864 bytes"]);
    let (_dir, path) = file("");
    fs::write(&path, [0xff, 0xfe]).unwrap();
    check_refused(Config::load(Some(&path), NO_ENVIRONMENT, &Flags::default()), &["calotype.toml", "UTF-8"]);
    fs::remove_file(&path).unwrap();
    let missing = Config::load(Some(&path), NO_ENVIRONMENT, &Flags::default()).unwrap_err();
    assert!(matches!(missing, Error::Io { .. }), "{missing}");
}

#[test]
fn a_flag_is_checked_as_the_file_is() {
    let load = |flags: Flags| Config::load(None, NO_ENVIRONMENT, &flags);
    check_refused(load(Flags { threads: Some(5000), ..Flags::default() }), &["--threads", "5000", "1024"]);
    check_refused(load(Flags { listen: Some("x".into()), ..Flags::default() }), &["--listen", "\"x\"", "port"]);
    check_refused(load(Flags { images: Some("/no/such".into()), ..Flags::default() }), &["--images", "/no/such"]);
}

#[test]
fn a_reload_is_all_or_nothing() {
    let (dir, path) = file(&company("jpeg_quality = 70"));
    let reload = || Config::reload(Some(&path), NO_ENVIRONMENT, &Flags::default());
    assert_eq!(reload().unwrap().companies["Co"].jpeg_quality, 70);
    let broken = company("jpeg_quality = 71") + "[company.Other]\nsource = \"file://DIR/gone\"\n";
    fs::write(&path, broken.replace("DIR", dir.path().to_str().unwrap())).unwrap();
    let refused = reload().unwrap_err().to_string();
    assert!(refused.contains("company.Other.source"), "{refused}");
}
