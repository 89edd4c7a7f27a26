//! Does a real browser get what Smart Imaging promises? Debian's Chromium, driven over WebDriver, on the page that the
//! real front serves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::has_tool;
use crate::support::Running;

/// A process whose standard output is read.
fn start(command: &mut Command) -> (Running, BufReader<ChildStdout>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    (Running(child), stdout)
}

/// What stands between `before` and `after` in the first line that has it.
fn said(lines: &mut impl BufRead, before: &str, after: &str) -> String {
    for line in lines.lines() {
        let line = line.expect("text");
        if let Some((_, rest)) = line.split_once(before) {
            return rest.split_once(after).expect("the line's end").0.to_owned();
        }
    }
    panic!("never said {before}");
}

/// One session of a browser of its own.
struct Browser {
    port: u16,
    session: String,
    _driver: Running,
    _profile: tempfile::TempDir,
}

impl Browser {
    fn start() -> Self {
        let (driver, mut lines) = start(Command::new("chromedriver").arg("--port=0"));
        let port = said(&mut lines, "started successfully on port ", ".").parse().expect("a port");
        // Nobody reads on, and what it prints later must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let profile = tempfile::tempdir().expect("a temporary folder");
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": args },
            "goog:loggingPrefs": { "performance": "ALL" },
        } } });
        let mut browser = Self { port, session: String::new(), _driver: driver, _profile: profile };
        let session = browser.post("/session", &wanted);
        browser.session = session["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", path, &body.to_string())
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let path = if self.session.is_empty() { path.to_owned() } else { format!("/session/{}{path}", self.session) };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the driver listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).expect("the request is sent");
        // The driver keeps the connection open, whatever it is told.
        let mut stream = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let from = head.len();
            assert!(stream.read_line(&mut head).expect("a head") > 0, "{head}");
            if let Some((_, value)) = head[from..].to_ascii_lowercase().split_once("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut reply = vec![0; length];
        stream.read_exact(&mut reply).expect("a reply");
        assert!(head.starts_with("HTTP/1.1 200"), "{method} {path}: {head}{}", String::from_utf8_lossy(&reply));
        serde_json::from_slice::<Value>(&reply).expect("JSON")["value"].take()
    }

    fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    fn devtools(&self, command: &str, parameters: Value) {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    /// Does something and waits until the page has shown both pictures once more.
    fn shows(&self, what: impl FnOnce(&Self)) {
        let rendered = || self.script("return document.body?.dataset.rendered ?? '0'");
        let before = rendered();
        what(self);
        let begun = Instant::now();
        while rendered() == before {
            assert!(begun.elapsed() < Duration::from_secs(60), "the page shows nothing");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn choose(&self, id: &str, value: &str) {
        self.shows(|browser| {
            let script = format!(
                "const e = document.getElementById('{id}'); e.value = '{value}'; e.dispatchEvent(new Event('change'))"
            );
            browser.script(&script);
        });
    }

    /// Natural width of the picture with Smart Imaging, device pixels.
    fn width(&self) -> u64 {
        self.script("return document.querySelector('#smart img').naturalWidth").as_u64().expect("a width")
    }

    /// The cell called `name` beside the picture with Smart Imaging.
    fn cell(&self, name: &str) -> String {
        let script = format!(
            "return [...document.querySelectorAll('#smart dt')].find((e) => e.textContent === '{name}')\
             ?.nextElementSibling.textContent ?? ''"
        );
        self.script(&script).as_str().expect("text").to_owned()
    }

    /// Bytes of the picture with Smart Imaging.
    fn bytes(&self) -> f64 {
        let text = self.cell("bytes");
        let (number, unit) = text.split_once(' ').expect("a number and its unit");
        number.parse::<f64>().expect("a number") * if unit == "kB" { 1000.0 } else { 1.0 }
    }

    /// Type and URL of every picture that an `<img>` got since this was asked last: the network panel's own record.
    fn pictures(&self) -> Vec<(String, String)> {
        let log = self.post("/se/log", &json!({ "type": "performance" }));
        let messages = log.as_array().expect("a list").iter().filter_map(|entry| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            let received = message["method"] == "Network.responseReceived" && message["params"]["type"] == "Image";
            let response = &message["params"]["response"];
            let text = |key: &str| response[key].as_str().map(str::to_owned);
            received.then(|| Some((text("mimeType")?, text("url")?))).flatten()
        });
        messages.filter(|(_, url)| url.contains("/is/image/")).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; the driver is ended after it. A test that has failed already says why by itself.
        if !std::thread::panicking() {
            self.ask("DELETE", "", "");
        }
    }
}

#[test]
fn chromium_gets_the_best_format_its_pixel_ratio_and_fewer_bytes_to_save_data() {
    if !(has_tool("chromium") && has_tool("chromedriver")) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = dir.path().join("calotype.toml");
    std::fs::write(&config, "[company.Co]\nsource = \"demo:\"\n[company.Plain]\nsource = \"demo:\"\navif = false\n")
        .expect("a file");
    let mut up = Command::new(env!("CARGO_BIN_EXE_calotype"));
    up.args(["up", "--engine", "simd", "--listen", "127.0.0.1:0", "--config"]).arg(&config);
    let (_up, mut lines) = start(&mut up);
    let address = said(&mut lines, "http://", "/");
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    let browser = Browser::start();
    let open = |asset: &str| {
        // A page of its own each time: a change of the fragment alone loads nothing.
        browser.post("/url", &json!({ "url": "about:blank" }));
        browser.shows(|browser| {
            drop(browser.post("/url", &json!({ "url": format!("http://{address}/#{asset}?wid=400") })));
        });
    };
    let served = |asset: &str| {
        open(asset);
        let pictures = browser.pictures();
        let one = |switch: &str| pictures.iter().find(|(_, url)| url.contains(switch)).map(|(mime, _)| mime.clone());
        (one("bfc=off"), one("bfc=on"))
    };

    // The type that the <img> itself got, by its own Accept.
    let jpeg = Some(String::from("image/jpeg"));
    assert_eq!(served("Plain/Valley"), (jpeg.clone(), Some(String::from("image/webp"))));
    assert_eq!((browser.width(), browser.cell("decision").as_str()), (400, "webp"));
    assert_eq!(served("Co/Valley"), (jpeg, Some(String::from("image/avif"))));
    assert_eq!((browser.width(), browser.cell("decision").as_str()), (400, "avif"));

    // A screen of twice the pixels says so in a hint, because the page asked for it.
    let screen = json!({ "width": 1200, "height": 900, "deviceScaleFactor": 2, "mobile": false });
    browser.devtools("Emulation.setDeviceMetricsOverride", screen);
    open("Co/Valley");
    assert_eq!(browser.width(), 400, "nobody asked for the screen's ratio");
    let of_size = browser.bytes();
    browser.choose("dpr", "on");
    assert_eq!(browser.width(), 800, "varies by {}", browser.cell("varies by"));

    // Save-Data: the ratio of 1, and fewer bytes than at that size without it.
    browser.devtools("Network.enable", json!({}));
    browser.devtools("Network.setExtraHTTPHeaders", json!({ "headers": { "Save-Data": "on" } }));
    browser.choose("network", "on");
    assert_eq!(browser.width(), 400);
    let after = browser.bytes();
    assert!(after < of_size * 0.9, "{after} of {of_size} bytes");
}
