//! File + environment + flags to one checked [`Config`]; reload.
//!
//! Later beats earlier: defaults, the file, the environment (`CALOTYPE_DAEMON__THREADS=4`), flags. Invariants: a
//! `Config` exists only if every value in it was checked; a key that nobody knows is an error, never ignored.

mod company;
mod content;
mod read;
mod record;
mod rules;

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use self::read::{Section, unknown};
use crate::catalog::{Catalog, Company, DEFAULT_COMPANY, SourceRoot};
use crate::error::{Error, Result};
use crate::limits;
use crate::plan::SourceFormat;

/// RootId of the computed demo pictures that are served when nothing is configured.
pub const DEMO_COMPANY: &str = "demo";
/// RootId of the directory given as a flag (`--images`).
pub const IMAGES_COMPANY: &str = "images";

/// Everything a site owner can set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[daemon]`.
    pub daemon: Daemon,
    /// `[cache]`.
    pub cache: Cache,
    /// `[front]`.
    pub front: Front,
    /// `[company.*]`.
    pub catalog: Catalog,
}

/// Which engine renders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    /// A hardware GPU where it pays, else SIMD.
    Auto,
    /// The GPU, a software adapter included.
    Gpu,
    /// SIMD on the CPU.
    Simd,
    /// The oracle.
    Scalar,
}

/// Status codes of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorStyle {
    /// 404, 400, …
    Semantic,
    /// The original's 403.
    Compat,
}

/// `[daemon]`.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// Data socket; `None`: `$XDG_RUNTIME_DIR/calotype.sock`, else `/run/calotype/calotype.sock`.
    pub socket: Option<PathBuf>,
    /// Admin socket; `None`: the data socket's name with `-admin` before the extension.
    pub admin_socket: Option<PathBuf>,
    /// CPU lane threads; 0 = all cores.
    pub threads: usize,
    /// Which engine renders.
    pub engine: EngineChoice,
    /// Status codes of errors.
    pub errors: ErrorStyle,
    /// Whether `X-Smart-Imaging` is also sent under the name that the original gives it, `X-Adobe-Smart-Imaging`.
    pub compat_headers: bool,
    /// Jobs waiting or running at most.
    pub queue_jobs_max: usize,
    /// Longest time from acceptance to reply, ms.
    pub deadline_ms: u64,
    /// Bytes for decoder, pixel and encoder buffers of all jobs in flight.
    pub memory_bytes_max: u64,
    /// Pixels of the largest source.
    pub source_pixels_max: u64,
    /// Formats that are read.
    pub formats: Vec<SourceFormat>,
}

/// `[cache]`.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Bytes of derivatives in memory; 0: none are kept there.
    pub memory_bytes_max: u64,
    /// Directory of the disk part; `None`: memory only.
    pub disk: Option<PathBuf>,
    /// Bytes of all files in it.
    pub disk_bytes_max: u64,
}

/// `[front]`.
#[derive(Clone, Debug)]
pub struct Front {
    /// Address to listen on.
    pub listen: String,
    /// The daemon's data socket; `None` as for the daemon.
    pub socket: Option<PathBuf>,
    /// PEM file of the certificate chain; HTTPS when both are set.
    pub tls_cert: Option<PathBuf>,
    /// PEM file of the key.
    pub tls_key: Option<PathBuf>,
    /// Open client connections at most.
    pub connections_max: usize,
    /// How long a GET is retried while the daemon restarts, ms.
    pub retry_ms: u64,
    /// `Company/Asset`s that the Snapshot page at `/` offers; without any there is no page.
    pub snapshot: Vec<String>,
}

/// What the command line sets; a flag beats environment and file.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--socket`: the data socket, for the daemon and for the front.
    pub socket: Option<PathBuf>,
    /// `--admin-socket`.
    pub admin_socket: Option<PathBuf>,
    /// `--threads`.
    pub threads: Option<usize>,
    /// `--engine`.
    pub engine: Option<EngineChoice>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--tls-cert`.
    pub tls_cert: Option<PathBuf>,
    /// `--tls-key`.
    pub tls_key: Option<PathBuf>,
    /// `--images`: one more company, [`IMAGES_COMPANY`], over this directory.
    pub images: Option<PathBuf>,
}

impl Config {
    /// Everything from the file (if one is given), the environment and the flags. With no file and no `--images` there
    /// is one company, [`DEMO_COMPANY`].
    ///
    /// # Errors
    /// `Config`: names the key, its value and what was expected. `Io`: the file cannot be read.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &Flags,
    ) -> Result<Self> {
        let table = match file {
            Some(path) => read_file(path)?,
            None => Table::new(),
        };
        let mut config = Self::from_table(table, environment, flags)?;
        if let Some(images) = &flags.images {
            let root = company::directory(images.clone()).map_err(|want| Error::Config {
                key: String::from("--images"),
                problem: format!("\"{}\": expected {want}", images.display()),
            })?;
            let company = Company::new(IMAGES_COMPANY, SourceRoot::Dir(root));
            config.catalog.companies.insert(company.root_id.clone(), company);
        } else if file.is_none() {
            config.catalog = demo_catalog();
        }
        Ok(config)
    }

    /// What a file of this text says, and nothing else.
    ///
    /// # Errors
    /// `Config`, as [`Self::load`].
    pub fn from_text(text: &str) -> Result<Self> {
        let fault = |cause: toml::de::Error| Error::Config {
            key: String::from("text"),
            problem: cause.message().lines().collect::<Vec<_>>().join(", "),
        };
        Self::from_table(text.parse::<Table>().map_err(fault)?, std::iter::empty(), &Flags::default())
    }

    /// Defaults, and the computed demo pictures as the only company.
    pub fn demo() -> Self {
        Self { daemon: Daemon::default(), cache: Cache::default(), front: Front::default(), catalog: demo_catalog() }
    }

    /// The companies of a configuration read anew and checked whole, for a running daemon: all or nothing.
    ///
    /// # Errors
    /// As [`Self::load`]; whoever asked keeps what it has.
    pub fn reload(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &Flags,
    ) -> Result<Catalog> {
        Self::load(file, environment, flags).map(|config| config.catalog)
    }

    fn from_table(
        mut table: Table,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &Flags,
    ) -> Result<Self> {
        let mut daemon = Section::from_file("daemon", table.remove("daemon"))?;
        let mut cache = Section::from_file("cache", table.remove("cache"))?;
        let mut front = Section::from_file("front", table.remove("front"))?;
        let companies = table.remove("company");
        if let Some(name) = table.keys().next() {
            return Err(unknown(name.clone(), name, &["daemon", "cache", "front", "company"]));
        }
        override_from(environment, [&mut daemon, &mut cache, &mut front])?;
        Ok(Self {
            daemon: Daemon::read(daemon, flags)?,
            cache: Cache::read(cache)?,
            front: Front::read(front, flags)?,
            catalog: read_catalog(companies)?,
        })
    }
}

impl Default for Daemon {
    fn default() -> Self {
        Self {
            socket: None,
            admin_socket: None,
            threads: 0,
            engine: EngineChoice::Auto,
            errors: ErrorStyle::Semantic,
            compat_headers: false,
            queue_jobs_max: 256,
            deadline_ms: 10_000,
            memory_bytes_max: 1 << 30,
            source_pixels_max: limits::SOURCE_PIXELS_MAX,
            formats: SourceFormat::ALL.to_vec(),
        }
    }
}

impl Daemon {
    fn read(mut section: Section, flags: &Flags) -> Result<Self> {
        let mut daemon = Self {
            socket: flags.socket.clone().or(section.path("socket")?),
            admin_socket: flags.admin_socket.clone().or(section.path("admin_socket")?),
            ..Self::default()
        };
        if let Some(threads) = section.integer("threads", 0..=limits::THREADS_MAX)? {
            daemon.threads = to_usize(threads);
        }
        if let Some(engine) = section.choice("engine", &EngineChoice::WORDS)? {
            daemon.engine = engine;
        }
        let styles = [("semantic", ErrorStyle::Semantic), ("compat", ErrorStyle::Compat)];
        if let Some(errors) = section.choice("errors", &styles)? {
            daemon.errors = errors;
        }
        daemon.compat_headers = section.boolean("compat_headers")?.unwrap_or(daemon.compat_headers);
        if let Some(jobs) = section.integer("queue_jobs_max", 1..=limits::QUEUE_JOBS_MAX)? {
            daemon.queue_jobs_max = to_usize(jobs);
        }
        if let Some(deadline) = section.integer("deadline_ms", 1..=limits::DEADLINE_MS_MAX)? {
            daemon.deadline_ms = deadline;
        }
        if let Some(memory) = section.bytes("memory", limits::MEMORY_BYTES_MIN..=limits::MEMORY_BYTES_MAX)? {
            daemon.memory_bytes_max = memory;
        }
        if let Some(pixels) = section.integer("source_pixels_max", 1..=limits::SOURCE_PIXELS_MAX)? {
            daemon.source_pixels_max = pixels;
        }
        let formats = SourceFormat::ALL.map(|format| (format.name(), format));
        if let Some(formats) = section.choices("formats", &formats)? {
            daemon.formats = formats;
        }
        section.finish()?;
        if let Some(threads) = flags.threads {
            if threads > to_usize(limits::THREADS_MAX) {
                let problem = format!("\"{threads}\": expected an integer 0 to {}", limits::THREADS_MAX);
                return Err(Error::Config { key: String::from("--threads"), problem });
            }
            daemon.threads = threads;
        }
        if let Some(engine) = flags.engine {
            daemon.engine = engine;
        }
        Ok(daemon)
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self { memory_bytes_max: 256 << 20, disk: None, disk_bytes_max: 10 << 30 }
    }
}

impl Cache {
    fn read(mut section: Section) -> Result<Self> {
        let mut cache = Self { disk: section.path("disk")?, ..Self::default() };
        if let Some(memory) = section.bytes("memory", 0..=limits::MEMORY_BYTES_MAX)? {
            cache.memory_bytes_max = memory;
        }
        let sizes = limits::CACHE_DISK_BYTES_MIN..=limits::CACHE_DISK_BYTES_MAX;
        if let Some(size) = section.bytes("disk_size", sizes)? {
            cache.disk_bytes_max = size;
        }
        section.finish()?;
        let least = limits::CACHE_MEMORY_WITH_DISK_BYTES_MIN;
        if cache.disk.is_some() && cache.memory_bytes_max < least {
            let problem = format!(
                "{} bytes beside cache.disk: expected at least {}MiB, where entries wait to be written",
                cache.memory_bytes_max,
                least >> 20
            );
            return Err(Error::Config { key: String::from("cache.memory"), problem });
        }
        Ok(cache)
    }
}

impl EngineChoice {
    /// Every choice with its word, as in the file and after `--engine`.
    pub const WORDS: [(&'static str, Self); 4] =
        [("auto", Self::Auto), ("gpu", Self::Gpu), ("simd", Self::Simd), ("scalar", Self::Scalar)];

    /// Its word in [`Self::WORDS`].
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Gpu => "gpu",
            Self::Simd => "simd",
            Self::Scalar => "scalar",
        }
    }
}

impl Default for Front {
    fn default() -> Self {
        Self {
            listen: String::from("127.0.0.1:8080"),
            socket: None,
            tls_cert: None,
            tls_key: None,
            connections_max: 1024,
            retry_ms: 2000,
            snapshot: Vec::new(),
        }
    }
}

impl Front {
    fn read(mut section: Section, flags: &Flags) -> Result<Self> {
        let mut front = Self {
            socket: flags.socket.clone().or(section.path("socket")?),
            tls_cert: flags.tls_cert.clone().or(section.path("tls_cert")?),
            tls_key: flags.tls_key.clone().or(section.path("tls_key")?),
            ..Self::default()
        };
        if let Some(listen) = section.text("listen", listen_address, LISTEN_WANT)? {
            front.listen = listen;
        }
        if let Some(connections) = section.integer("connections_max", 1..=limits::CONNECTIONS_MAX)? {
            front.connections_max = to_usize(connections);
        }
        if let Some(retry) = section.integer("retry_ms", 0..=limits::RETRY_MS_MAX)? {
            front.retry_ms = retry;
        }
        let asset = |text: &str| {
            let (company, asset) = text.split_once('/')?;
            (!company.is_empty() && !asset.is_empty()).then(|| text.to_owned())
        };
        if let Some(assets) = section.list("snapshot", asset, "a list of assets as in [\"Company/Asset\"]")? {
            front.snapshot = assets;
        }
        section.finish()?;
        if let Some(listen) = &flags.listen {
            front.listen = listen_address(listen).ok_or_else(|| Error::Config {
                key: String::from("--listen"),
                problem: format!("\"{listen}\": expected {LISTEN_WANT}"),
            })?;
        }
        match (&front.tls_cert, &front.tls_key) {
            (Some(_), None) => Err(Error::Config {
                key: String::from("front.tls_key"),
                problem: String::from("missing: expected the key of front.tls_cert"),
            }),
            (None, Some(_)) => Err(Error::Config {
                key: String::from("front.tls_cert"),
                problem: String::from("missing: expected the certificate of front.tls_key"),
            }),
            _ => Ok(front),
        }
    }
}

const LISTEN_WANT: &str = "an address and a port as in 127.0.0.1:8080, [::1]:8080 or localhost:8080";

/// `text` if it is an address or a host name with a port.
fn listen_address(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let is_name = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    let is_address = text.parse::<std::net::SocketAddr>().is_ok();
    (is_address || (is_name && port.parse::<u16>().is_ok())).then(|| text.to_owned())
}

fn demo_catalog() -> Catalog {
    let mut company = Company::new(DEMO_COMPANY, SourceRoot::Demo);
    company.presets.insert(String::from("small"), String::from("wid=240&qlt=70"));
    company.presets.insert(String::from("large"), String::from("wid=1200&op_usm=1.2,1,6,0"));
    Catalog { companies: [(company.root_id.clone(), company)].into(), default: None }
}

fn read_catalog(companies: Option<Value>) -> Result<Catalog> {
    let mut table = match companies {
        None => Table::new(),
        Some(Value::Table(table)) => table,
        Some(_) => {
            let problem = String::from("expected sections named after companies, as in [company.Co]");
            return Err(Error::Config { key: String::from("company"), problem });
        }
    };
    let section = |root_id: &str, value| Section::from_file(format!("company.{root_id}"), Some(value));
    let mut catalog = Catalog::default();
    if let Some(value) = table.remove(DEFAULT_COMPANY) {
        catalog.default = Some(company::read(DEFAULT_COMPANY, section(DEFAULT_COMPANY, value)?, None)?);
    }
    for (root_id, value) in table {
        let company = company::read(&root_id, section(&root_id, value)?, catalog.default.as_ref())?;
        catalog.companies.insert(root_id, company);
    }
    Ok(catalog)
}

/// The file as a table; bounded, so that a wrong path (a disk, a pipe without end) does not swell.
fn read_file(path: &Path) -> Result<Table> {
    let io = |cause| Error::Io { doing: "read the configuration", path: path.to_owned(), cause };
    let fault = |problem: String| Error::Config { key: path.display().to_string(), problem };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(io)?;
    file.take(limits::CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limits::CONFIG_BYTES_MAX {
        return Err(fault(format!("expected at most {} bytes", limits::CONFIG_BYTES_MAX)));
    }
    let text = String::from_utf8(bytes).map_err(|_| fault(String::from("expected text in UTF-8")))?;
    text.parse::<Table>().map_err(|cause| {
        let before = cause.span().map_or("", |span| text.get(..span.start).unwrap_or(""));
        let line = before.matches('\n').count() + 1;
        let message = cause.message().lines().collect::<Vec<_>>().join(", ");
        fault(format!("line {line}: {message}"))
    })
}

/// Lays `CALOTYPE_SECTION__KEY` over the sections. Other variables are not ours, but one that was meant to be is an
/// error.
fn override_from(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    sections: [&mut Section; 3],
) -> Result<()> {
    let [daemon, cache, front] = sections;
    for (name, value) in environment {
        let Some(name) = name.to_str() else { continue };
        let Some(rest) = name.strip_prefix("CALOTYPE_") else { continue };
        let fault = |problem: &str| Err(Error::Config { key: name.to_owned(), problem: problem.to_owned() });
        let Some((section, key)) = rest.split_once("__") else {
            if ["DAEMON_", "CACHE_", "FRONT_", "COMPANY_"].iter().any(|start| rest.starts_with(start)) {
                return fault("expected two underscores between section and key, as in CALOTYPE_DAEMON__THREADS");
            }
            continue;
        };
        let Some(value) = value.to_str() else { return fault("expected text in UTF-8") };
        let section = match section {
            "DAEMON" => &mut *daemon,
            "CACHE" => &mut *cache,
            "FRONT" => &mut *front,
            "COMPANY" => return fault("companies are configured in the file alone"),
            _ => return Err(unknown(name.to_owned(), section, &["DAEMON", "CACHE", "FRONT"])),
        };
        section.override_with(key.to_ascii_lowercase(), name.to_owned(), value.to_owned());
    }
    Ok(())
}

/// For values whose range was checked against a ceiling of `limits`.
fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
