//! Replies, and who gives them: the daemon ([`super::socket`]), or here the same path without socket and lanes, rendered by
//! the oracle.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use calotype::catalog::{Company, SourceRoot};
use calotype::codec::{self, Allow};
use calotype::decide::{Hints, decide};
use calotype::engine::scalar::Scalar;
use calotype::engine::{Cancel, Job, run};
use calotype::error::Error;
use calotype::plan::SourceFormat;
use calotype::request;

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

/// Company `Co` of the reference.
const PRESET: (&str, &str) = ("small", "wid=240&qlt=70");

/// Parse, decide, plan, decode, the scalar engine, encode: nothing between them.
pub(super) struct InProcess {
    dir: PathBuf,
    company: Company,
}

impl InProcess {
    pub(super) fn new(dir: &Path) -> Self {
        let mut company = Company::new("Co", SourceRoot::Dir(dir.to_owned()));
        company.presets.insert(PRESET.0.to_owned(), PRESET.1.to_owned());
        Self { dir: dir.to_owned(), company }
    }

    fn rendition(&self, request: &str) -> Result<Reply, Error> {
        let (path, query) = request.split_once('?').unwrap_or((request, ""));
        let missing = || Error::NotFound { id: path.to_owned() };
        let name = path.strip_prefix("Co/").ok_or_else(missing)?;
        let files = ["jpg", "png", "tif"].map(|extension| self.dir.join(format!("{name}.{extension}")));
        let bytes = files.iter().find_map(|file| std::fs::read(file).ok()).ok_or_else(missing)?;
        let allow = Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: calotype::limits::SOURCE_PIXELS_MAX };

        let header = codec::probe(&mut std::io::Cursor::new(&bytes), &allow)?;
        let commands = request::parse(query, &self.company)?;
        let decision = decide(&commands, &header, &self.company, &Hints::default())?;
        let plan = Arc::new(request::plan(&commands, &header, &self.company, &decision)?);
        let source = Arc::new(codec::decode(&bytes, &header, plan.decode)?);
        let spec = plan.encode.requested;
        let image = run(&Scalar, Job { source, plans: vec![plan], cancel: Cancel::default() }).images.remove(0)?;
        let mut headers = vec![(String::from("content-type"), spec.mime().to_owned())];
        if !commands.ignored.is_empty() {
            headers.push((String::from("x-image-serving-ignored"), commands.ignored.join(", ")));
        }
        Ok(Reply { status: 200, headers, body: codec::encode(&image, &spec)? })
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
