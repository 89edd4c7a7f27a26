//! Replies, and who gives them: the daemon ([`super::socket`]), or here the same path without socket and lanes, rendered by
//! the oracle.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use calotype::catalog::Catalog;
use calotype::codec::{self, Allow};
use calotype::config::{Config, Flags};
use calotype::decide::{Hints, decide};
use calotype::engine::scalar::Scalar;
use calotype::engine::{Cancel, Job, run};
use calotype::error::Error;
use calotype::plan::{EncodeLadder, SourceFormat};
use calotype::request::{self, Context, Target};
use calotype::sched::climb;

/// A reply, whoever gave it.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Something that answers `GET /is/image/…`.
pub(super) trait Server: Sync {
    /// The reply to a request with these headers.
    fn get(&self, request: &str, headers: &[(String, String)]) -> Result<Reply, String>;

    /// Whether it listens to headers.
    fn has_headers(&self) -> bool;
}

/// The reference's company, and others with what single examples ask for.
const COMPANIES: &str = r#"
[daemon]
errors = "compat"
engine = "simd"
deadline_ms = 60000

[company.Co]
source = "SOURCE"
presets = { small = "wid=240&qlt=70" }
[company.Co.record.A.crop.Large]
rect = [0.25, 0.25, 0.5, 0.5]
size = [600, 400]
[company.Co.record.before]
path = "A.jpg"
modifier = "wid=100"
[company.Co.record.after]
path = "A.jpg"
post_modifier = "wid=100"

[company.Default]
source = "SOURCE"
default_image = "Co/B"
[company.Error]
source = "SOURCE"
error_image = "B"
[company.Locked]
source = "SOURCE"
request_lock = true
[company.Hidden]
source = "SOURCE"
request_lock = true
request_obfuscation = true

[company.ThumbCrop]
source = "SOURCE"
thumb_type = "crop"
[company.ThumbTexture]
source = "SOURCE"
thumb_type = "texture"
thumb_res = 50
resolution = 200

[company.Bfc]
source = "SOURCE"
bfc = true
[company.Dpr]
source = "SOURCE"
dpr = true
[company.DprNet]
source = "SOURCE"
dpr = true
network = true
"#;

/// A configuration of all companies over the sources in `dir`, written there.
pub(super) fn configuration(dir: &Path) -> PathBuf {
    let file = dir.join("calotype.toml");
    let source = format!("file://{}", dir.display());
    std::fs::write(&file, COMPANIES.replace("SOURCE", &source)).expect("writable");
    file
}

/// Parse, decide, plan, decode, the scalar engine, encode: nothing between them.
pub(super) struct InProcess {
    dir: PathBuf,
    catalog: Catalog,
}

impl InProcess {
    pub(super) fn new(dir: &Path) -> Self {
        let file = configuration(dir);
        let config = Config::load(Some(&file), std::iter::empty(), &Flags::default()).expect("a configuration");
        Self { dir: dir.to_owned(), catalog: config.catalog }
    }

    fn rendition(&self, request: &str) -> Result<Reply, Error> {
        let (path, query) = request.split_once('?').unwrap_or((request, ""));
        let target = Target::of_url(&self.catalog, Context::Image, path, query, None)?;
        let missing = || Error::NotFound { id: path.to_owned() };
        let extensions = ["", ".jpg", ".png", ".tif"];
        let names = target.object.files.iter().flat_map(|file| extensions.map(|end| file.join("/") + end));
        let bytes = names.into_iter().find_map(|name| std::fs::read(self.dir.join(name)).ok()).ok_or_else(missing)?;
        let allow = Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: calotype::limits::SOURCE_PIXELS_MAX };

        let header = codec::probe(&mut std::io::Cursor::new(&bytes), &allow)?;
        let (company, mut commands) = (&*target.company, target.commands()?);
        if commands.wants_paths() {
            commands = commands.with_paths(&codec::paths(&mut std::io::Cursor::new(&bytes), &header).into());
        }
        let decision = decide(&commands, &header, company, &Hints::default())?;
        let plan = Arc::new(request::plan(&commands, &header, company, &decision)?);
        let source = Arc::new(codec::decode(&bytes, &header, plan.decode)?);
        let ladder = EncodeLadder { candidates: Vec::new(), ..plan.encode };
        let output = plan.output.clone();
        let xmp = codec::xmp(&mut std::io::Cursor::new(&bytes), header.format);
        let image = run(&Scalar, Job { source, plans: vec![plan], cancel: Cancel::default() }).images.remove(0)?;
        let (body, verdict) =
            climb(&ladder, |_| true, |_| None, |spec| codec::encode_with(&image, spec, &output, xmp.as_deref()))?;
        let mut headers = vec![(String::from("content-type"), verdict.served.mime().to_owned())];
        if !commands.ignored.is_empty() {
            headers.push((String::from("x-image-serving-ignored"), commands.ignored.join(", ")));
        }
        Ok(Reply { status: 200, headers, body: body.to_vec() })
    }
}

impl Server for InProcess {
    fn get(&self, request: &str, _: &[(String, String)]) -> Result<Reply, String> {
        Ok(self.rendition(request).unwrap_or_else(|error| Reply {
            status: 403,
            headers: vec![(String::from("content-type"), String::from("text/plain; charset=utf-8"))],
            body: error.to_string().into_bytes(),
        }))
    }

    fn has_headers(&self) -> bool {
        false
    }
}
