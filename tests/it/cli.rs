//! The command line, through the real binary.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use calotype::codec;
use calotype::pixel::{Size, testcard};
use calotype::plan::SourceFormat;

use crate::support::Running;

pub(crate) fn calotype(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_calotype")).args(args).env_remove("CALOTYPE_LOG").output().unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Writes the computed photograph as a PNG.
fn photo(path: &Path, size: Size) {
    let image = testcard::photo(size, 5);
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), size.w, size.h);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(&image.to_interleaved()).unwrap();
}

fn size_of(path: &Path) -> (u32, u32) {
    let allow = codec::Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: 1 << 20 };
    let header = codec::probe(&mut BufReader::new(fs::File::open(path).unwrap()), &allow).unwrap();
    (header.size.w, header.size.h)
}

#[test]
fn help_names_every_subcommand_and_default() {
    let help = calotype(&["--help"]);
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.status.success());
    for word in ["up", "daemon", "front", "render", "doctor", "bench", "--images", "127.0.0.1:8080"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    for command in ["daemon", "front", "render", "doctor", "bench"] {
        assert!(calotype(&[command, "--help"]).status.success());
    }
}

#[test]
fn exit_codes_tell_usage_configuration_and_work_apart() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(calotype(&["no-such-command"]).status.code(), Some(2));

    let config = dir.path().join("c.toml");
    fs::write(&config, "[daemon]\nthread = 4\n").unwrap();
    let bad = calotype(&["daemon", "--check", "--config", config.to_str().unwrap()]);
    assert_eq!(bad.status.code(), Some(78), "{}", stderr(&bad));
    let text = stderr(&bad);
    assert!(text.contains("daemon.thread") && text.contains("threads") && text.trim().lines().count() == 1, "{text}");

    fs::write(&config, "[daemon]\nthreads = 1\n").unwrap();
    let fine = calotype(&["daemon", "--check", "--config", config.to_str().unwrap()]);
    assert_eq!(fine.status.code(), Some(0), "{}", stderr(&fine));

    let missing = dir.path().join("nothing.jpg");
    let failed = calotype(&["render", missing.to_str().unwrap(), "wid=10", "-o", "-"]);
    assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
    assert!(stderr(&failed).contains("nothing.jpg"), "{}", stderr(&failed));
}

#[test]
fn render_one_file_by_extension_and_by_fmt() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("a.png");
    photo(&source, Size::new(300, 200));
    for (name, query, kind) in [
        ("o.webp", "hei=100&op_usm=5,0.125,5,0", &b"WEBP"[..]),
        ("o.jpg", "hei=100", &b"\xff\xd8\xff"[..]),
        ("o.png", "hei=100", &b"PNG"[..]),
        ("forced.png", "hei=100&fmt=jpeg", &b"\xff\xd8\xff"[..]),
    ] {
        let out = dir.path().join(name);
        let run = calotype(&["render", source.to_str().unwrap(), query, "-o", out.to_str().unwrap(), "--json"]);
        assert!(run.status.success(), "{}", stderr(&run));
        let bytes = fs::read(&out).unwrap();
        assert!(bytes[..16].windows(kind.len()).any(|w| w == kind), "{name}: {:?}", &bytes[..16]);
        assert_eq!(size_of(&out), (150, 100), "{name}");
        let report: serde_json::Value = serde_json::from_str(stderr(&run).trim()).unwrap();
        assert_eq!((&report["width"], &report["height"]), (&150.into(), &100.into()), "{report}");
        assert_eq!(report["bytes"], bytes.len(), "{report}");
    }
    let stdout = calotype(&["render", source.to_str().unwrap(), "wid=30", "-o", "-"]);
    assert!(stdout.stdout.starts_with(b"\xff\xd8\xff"), "{}", stderr(&stdout));
}

#[test]
fn render_many_files_reports_each_failure_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut args = vec![String::from("render")];
    for i in 0..3 {
        let path = dir.path().join(format!("p{i}.png"));
        photo(&path, Size::new(120 + i, 80));
        args.push(path.to_str().unwrap().into());
    }
    let broken = dir.path().join("broken.jpg");
    fs::write(&broken, b"this is no picture").unwrap();
    args.push(broken.to_str().unwrap().into());
    let out = dir.path().join("out/");
    args.extend(["wid=60".into(), "-o".into(), format!("{}/", out.display())]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let run = calotype(&args);
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(stderr(&run).lines().count(), 1, "one line for the one failure: {}", stderr(&run));
    assert!(stderr(&run).contains("broken.jpg"), "{}", stderr(&run));
    for i in 0..3 {
        assert_eq!(size_of(&out.join(format!("p{i}.jpg"))).0, 60);
    }
}

#[test]
fn render_names_the_command_the_value_and_the_expectation() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("a.png");
    photo(&source, Size::new(30, 20));
    let run = calotype(&["render", source.to_str().unwrap(), "wid=10&qlt=900", "-o", "-"]);
    let text = stderr(&run);
    assert_eq!(run.status.code(), Some(1));
    assert!(
        text.contains("qlt") && text.contains("900") && text.contains("100") && text.lines().count() == 1,
        "{text}"
    );
    // A browser's hint that means nothing is left out; one that somebody types is not.
    for hint in ["dpr=abc", "save-data=perhaps", "screen=2"] {
        let run = calotype(&["render", source.to_str().unwrap(), "wid=10", "-o", "-", "--hint", hint]);
        let text = stderr(&run);
        assert_eq!(run.status.code(), Some(1), "{text}");
        let name = hint.split('=').next().unwrap();
        assert!(text.contains(name) && text.contains("expected") && text.lines().count() == 1, "{text}");
    }
}

#[test]
fn every_engine_renders_the_same_within_a_level() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("a.png");
    photo(&source, Size::new(211, 157));
    let pixels = |engine: &str| {
        let out = dir.path().join(format!("{engine}.png"));
        let query = "wid=100&op_usm=1.75,0.3,2,0&fmt=png";
        let run =
            calotype(&["render", source.to_str().unwrap(), query, "-o", out.to_str().unwrap(), "--engine", engine]);
        assert!(run.status.success(), "{engine}: {}", stderr(&run));
        let mut reader = png::Decoder::new(BufReader::new(fs::File::open(&out).unwrap())).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        pixels
    };
    let scalar = pixels("scalar");
    for engine in ["simd", "auto"] {
        // Sharpening follows the resize and multiplies its last level: amount 1.75 makes 1 level at most 4.
        let worst = scalar.iter().zip(pixels(engine)).map(|(a, b)| a.abs_diff(b)).max();
        assert!(worst <= Some(4), "{engine}: {worst:?}");
    }
}

#[test]
fn doctor_checks_engines_and_exits_0_on_a_sound_machine() {
    let run = calotype(&["doctor"]);
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{text}{}", stderr(&run));
    for word in ["simd", "agrees with the oracle", "codec", "limits"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
}

fn get(address: &str, target: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    let end = reply.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    (String::from_utf8_lossy(&reply[..end]).into_owned(), reply[end + 4..].to_vec())
}

#[test]
fn up_serves_the_demo_catalogue_prints_three_urls_and_stops_on_sigterm() {
    let mut up = Running(
        Command::new(env!("CARGO_BIN_EXE_calotype"))
            .args(["up", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(up.0.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
    let mut urls = Vec::new();
    for line in lines {
        let line = line.unwrap();
        if let Some(target) = line.trim().strip_prefix(&format!("http://{address}")) {
            urls.push(target.to_owned());
        }
        if line.contains("Ctrl-C") {
            break;
        }
    }
    assert_eq!(urls.len(), 3, "{urls:?}");
    for url in &urls {
        let (head, body) = get(&address, url);
        assert!(head.starts_with("HTTP/1.1 200"), "{url}: {head}");
        assert!(head.to_ascii_lowercase().contains("content-type: image/") && body.len() > 1000, "{url}: {head}");
    }
    // The shell's own `kill`: a bare system has no other.
    let kill = format!("kill -TERM {}", up.0.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let begun = Instant::now();
    let status = loop {
        match up.0.try_wait().unwrap() {
            Some(status) => break status,
            None if begun.elapsed() > Duration::from_secs(20) => panic!("did not stop"),
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_taken_address_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = calotype(&["up", "--listen", &address]);
    assert_eq!(run.status.code(), Some(1));
    let text = stderr(&run);
    assert!(text.contains(&address) && text.contains("--listen"), "{text}");
}
