//! `calotype render`: renditions without a server.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{ConfigArg, EngineArg, log, runtime};
use crate::config::{Cache, Config, Flags};
use crate::decide::Hints;
use crate::error::{Error, Result};
use crate::limits;
use crate::service::{Rendition, Service, explain};
use crate::telemetry::ms;

/// How long a run may take before it shows how far it is.
const QUIET: Duration = Duration::from_secs(1);

#[derive(Args, Clone, Debug)]
pub(super) struct RenderArgs {
    /// Pictures, then the commands of the URL, e.g.: photo.jpg 'hei=500&op_usm=5,0.125,5,0&fmt=webp'
    #[arg(value_name = "SOURCE… [QUERY]", required = true)]
    words: Vec<PathBuf>,
    /// A file, a folder (of one file per source), or - for stdout. Without fmt= its extension names the format
    #[arg(short, long, value_name = "OUT")]
    out: PathBuf,
    /// Which engine renders
    #[arg(long, value_enum, default_value = "auto")]
    engine: EngineArg,
    /// Defaults and presets of this company of --config
    #[arg(long, value_name = "NAME", requires = "config")]
    company: Option<String>,
    /// What the client says it can read: the Accept header, e.g. image/avif,image/webp
    #[arg(long, value_name = "TYPES")]
    accept: Option<String>,
    /// A client hint, e.g.: --hint dpr=2 --hint save-data=on (dpr, width, viewport-width, save-data, ect, downlink, rtt)
    #[arg(long, value_name = "NAME=VALUE")]
    hint: Vec<String>,
    #[command(flatten)]
    config: ConfigArg,
    /// Print the decision, sizes, bytes, the plan's key and stage times as JSON, a line a rendition, to stderr
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: RenderArgs) -> Result<ExitCode> {
    let (sources, query) = split_query(&args.words)?;
    let target = Target::of(&args.out, sources.len())?;
    let query = with_format(query, &target)?;
    let hints = hints(args.accept.as_deref(), &args.hint)?;
    let flags = Flags { engine: Some(args.engine.into()), ..Flags::default() };
    let mut config = Config::load(args.config.config.as_deref(), std::env::vars_os(), &flags)?;
    config.daemon.queue_jobs_max = config.daemon.queue_jobs_max.max(sources.len());
    // Each rendition is asked for once.
    config.cache = Cache { memory_bytes_max: 0, disk: None, ..Cache::default() };
    log::warnings_to_stderr();
    let service = Service::try_new(&config)?;
    let failed = runtime()?.block_on(render_all(&service, &args, sources, query, hints, &target))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All words but the query, which is the last word if it is no file and reads like one.
fn split_query(words: &[PathBuf]) -> Result<(Vec<PathBuf>, String)> {
    let (last, before) = words.split_last().unwrap_or((const { &PathBuf::new() }, &[]));
    let text = last.to_string_lossy();
    let is_query = !last.exists() && (text.contains('=') || text.starts_with('$') || text.is_empty());
    let (sources, query) =
        if is_query { (before, text.trim_start_matches('?').to_owned()) } else { (words, String::new()) };
    if sources.is_empty() {
        return Err(Error::Request { got: text.into_owned(), want: "a picture before the commands".into() });
    }
    Ok((sources.to_vec(), query))
}

/// Where renditions go.
enum Target {
    Stdout,
    File(PathBuf),
    Folder(PathBuf),
}

impl Target {
    fn of(out: &Path, sources: usize) -> Result<Self> {
        if out == Path::new("-") {
            return if sources == 1 {
                Ok(Self::Stdout)
            } else {
                Err(Error::Request { got: "-o -".into(), want: "a folder for several sources: -o out/".into() })
            };
        }
        let folder = out.is_dir() || out.as_os_str().as_encoded_bytes().ends_with(b"/");
        if sources > 1 && !folder {
            let got = format!("-o {}", out.display());
            return Err(Error::Request { got, want: "a folder for several sources: -o out/".into() });
        }
        if folder {
            std::fs::create_dir_all(out).map_err(|cause| Error::Io { doing: "create", path: out.into(), cause })?;
            return Ok(Self::Folder(out.into()));
        }
        Ok(Self::File(out.into()))
    }

    fn path(&self, source: &Path, mime: &str) -> Option<PathBuf> {
        match self {
            Self::Stdout => None,
            Self::File(path) => Some(path.clone()),
            Self::Folder(folder) => {
                let extension = match mime {
                    "image/jpeg" => "jpg",
                    _ => mime.trim_start_matches("image/"),
                };
                let mut name = source.file_stem().unwrap_or(OsStr::new("rendition")).to_owned();
                name.push(".");
                name.push(extension);
                Some(folder.join(name))
            }
        }
    }
}

/// Facts of a client that only exists on this command line.
fn hints(accept: Option<&str>, hints: &[String]) -> Result<Hints> {
    const NAMES: [&str; 7] = ["dpr", "width", "viewport-width", "save-data", "ect", "downlink", "rtt"];
    let mut headers: Vec<(&str, &str)> = accept.map(|accept| ("accept", accept)).into_iter().collect();
    for hint in hints {
        match hint.split_once('=').filter(|(name, _)| NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))) {
            Some(header) => headers.push(header),
            None => {
                let want = format!("a hint NAME=VALUE, NAME one of {}", NAMES.join(", "));
                return Err(Error::Request { got: format!("--hint {hint}"), want: want.into() });
            }
        }
    }
    let hints = Hints::from_headers(headers);
    match hints.malformed.first() {
        None => Ok(hints),
        // Typed by somebody who wants it, unlike what browsers send.
        Some(name) => {
            let want = "one value that the hint can have, as in dpr=2, save-data=on, ect=3g";
            Err(Error::Request { got: format!("--hint {name}=…"), want: want.into() })
        }
    }
}

/// The query with `fmt=` from the output file's extension, if the query says nothing of it.
fn with_format(query: String, target: &Target) -> Result<String> {
    let says = query.split('&').any(|modifier| {
        modifier.split('=').next().is_some_and(|name| name.eq_ignore_ascii_case("fmt")) || modifier.starts_with('$')
    });
    let Target::File(path) = target else { return Ok(query) };
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    let format = match extension.as_deref() {
        _ if says => return Ok(query),
        None | Some("jpg" | "jpeg") => return Ok(query),
        Some("png") => "png-alpha",
        Some("webp") => "webp-alpha",
        Some("avif") => "avif-alpha",
        Some("jp2") => "jpeg2000-alpha",
        Some("jxr") => "jpegxr-alpha",
        Some(other) => {
            let want = "a file named .jpg, .png, .webp, .avif, .jp2 or .jxr, or fmt= in the query";
            return Err(Error::Request { got: format!("-o {} (.{other})", path.display()), want: want.into() });
        }
    };
    let joint = if query.is_empty() { "" } else { "&" };
    Ok(format!("{query}{joint}fmt={format}"))
}

/// Renders every source, a few at a time; prints what fails and goes on. The number that failed.
async fn render_all(
    service: &Arc<Service>,
    args: &RenderArgs,
    sources: Vec<PathBuf>,
    query: String,
    hints: Hints,
    target: &Target,
) -> Result<usize> {
    // Two a core: one is read or written while the other is rendered.
    let at_once = Arc::new(Semaphore::new(2 * std::thread::available_parallelism().map_or(1, usize::from)));
    let bar = ProgressBar::with_draw_target(Some(sources.len() as u64), ProgressDrawTarget::hidden());
    bar.set_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} {per_sec}, {eta} left")
            .unwrap_or(ProgressStyle::default_bar()),
    );
    let shown = bar.clone();
    let show = tokio::spawn(async move {
        tokio::time::sleep(QUIET).await;
        // Draws nothing when stderr is no terminal.
        shown.set_draw_target(ProgressDrawTarget::stderr());
    });
    let mut tasks = JoinSet::new();
    for source in sources {
        let (service, at_once, company, query, hints) =
            (service.clone(), at_once.clone(), args.company.clone(), query.clone(), hints.clone());
        tasks.spawn(async move {
            // Fails only when the semaphore is closed, which nobody does.
            let _permit = at_once.acquire_owned().await;
            let rendered = render(&service, &source, company.as_deref(), query, &hints).await;
            (source, rendered)
        });
    }
    let mut failed = 0;
    while let Some(task) = tasks.join_next().await {
        let (source, rendered) = task.map_err(|panic| Error::Panic { message: panic.to_string() })?;
        let written = match rendered {
            Ok(rendition) => write(target, &source, &rendition).map(|to| (rendition, to)),
            Err(error) => Err(error),
        };
        match written {
            Ok((rendition, to)) => {
                if args.json {
                    bar.suspend(|| eprintln!("{}", report(&source, &to, &rendition)));
                }
            }
            Err(error) => {
                failed += 1;
                bar.suspend(|| eprintln!("calotype: {}: {error}", source.display()));
            }
        }
        bar.inc(1);
    }
    show.abort();
    bar.finish_and_clear();
    Ok(failed)
}

async fn render(
    service: &Service,
    source: &Path,
    company: Option<&str>,
    query: String,
    hints: &Hints,
) -> Result<Rendition> {
    let io = |doing| move |cause| Error::Io { doing, path: source.into(), cause };
    let length = tokio::fs::metadata(source).await.map_err(io("read"))?.len();
    if length > limits::SOURCE_BYTES_MAX {
        return Err(Error::SourceTooLong { bytes_max: limits::SOURCE_BYTES_MAX });
    }
    let bytes = Bytes::from(tokio::fs::read(source).await.map_err(io("read"))?);
    // Nobody waits at the other end of a wire; the bound only ends what would never end.
    let deadline = Instant::now() + Duration::from_secs(600);
    let mut renditions = service.transcode(company, bytes, &[query], hints, deadline).await?;
    renditions.pop().ok_or(Error::Panic { message: String::from("no rendition came back") })?
}

/// Writes a rendition; the path as text.
fn write(target: &Target, source: &Path, rendition: &Rendition) -> Result<String> {
    let Some(path) = target.path(source, rendition.meta.mime.unwrap_or_default()) else {
        let mut stdout = std::io::stdout().lock();
        return stdout
            .write_all(&rendition.bytes)
            .and_then(|()| stdout.flush())
            .map(|()| String::from("-"))
            .map_err(|cause| Error::Io { doing: "write to", path: "stdout".into(), cause });
    };
    std::fs::write(&path, &rendition.bytes).map(|()| path.display().to_string()).map_err(|cause| Error::Io {
        doing: "write",
        path,
        cause,
    })
}

fn report(source: &Path, to: &str, rendition: &Rendition) -> serde_json::Value {
    let meta = &rendition.meta;
    // Microseconds are as fine as it gets.
    let ms = |time| (ms(time) * 1e3).round() / 1e3;
    json!({
        "source": source.display().to_string(),
        "out": to,
        "type": meta.mime,
        "width": meta.size.w,
        "height": meta.size.h,
        "bytes": rendition.bytes.len(),
        "etag": meta.etag,
        "ignored": meta.ignored,
        "plan": format!("{:016x}", meta.plan_key),
        "decision": explain::decision(&rendition.decision),
        "verdict": explain::verdict(&rendition.verdict, &rendition.decision),
        "reason": meta.reason,
        "engine": rendition.engine,
        "decode_ms": ms(rendition.timings.decode),
        "pass_ms": ms(rendition.timings.pass),
        "encode_ms": ms(rendition.timings.encode),
    })
}
