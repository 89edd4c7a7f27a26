//! `calotype up`: daemon and front in one process.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tokio::sync::watch;

use super::front::listen;
use super::{ConfigArg, EngineArg, log, runtime, stop_signal};
use crate::catalog::{Company, SourceRoot};
use crate::config::{Config, Flags};
use crate::error::{Error, Result};
use crate::pixel::testcard;
use crate::service::Service;
use crate::{daemon, front};

#[derive(Args, Clone, Debug)]
pub(super) struct UpArgs {
    /// Serve the pictures below this directory as company "Images" [default: the computed demo catalogue]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
    /// Address to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The daemon's data socket [default: one in a private temporary directory]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Which engine renders [default: auto]
    #[arg(long, value_enum)]
    engine: Option<EngineArg>,
}

pub(super) fn run(args: UpArgs) -> Result<ExitCode> {
    let flags = Flags {
        socket: args.socket,
        engine: args.engine.map(Into::into),
        listen: args.listen,
        images: args.images,
        ..Flags::default()
    };
    let file = args.config.config;
    let mut config = Config::load(file.as_deref(), std::env::vars_os(), &flags)?;
    let private = if config.daemon.socket.is_none() { Some(PrivateDir::try_new()?) } else { None };
    if let Some(dir) = &private {
        config.daemon.socket = Some(dir.0.join("calotype.sock"));
    }
    if config.front.snapshot.is_empty() {
        config.front.snapshot = known_assets(&config);
    }
    log::to_stderr();
    runtime()?.block_on(serve(&config, move || Config::load(file.as_deref(), std::env::vars_os(), &flags)))?;
    Ok(ExitCode::SUCCESS)
}

/// Front before daemon: at the end the front finishes its requests while the daemon still answers them.
async fn serve(config: &Config, load: impl Fn() -> Result<Config> + Send + Sync + 'static) -> Result<()> {
    let stop = stop_signal()?;
    // The address first: it is what is taken most often, and the error should come at once.
    let listener = listen(&config.front.listen).await?;
    let address = listener.local_addr().map_or_else(|_| config.front.listen.clone(), |a| a.to_string());
    let listeners = daemon::bind(&config.daemon)?;
    let service = Service::try_new(config)?;
    let reload = daemon::reload_on_hup(service.clone(), load)?;
    let (front_done, mut wait_front) = watch::channel(false);
    greet(config, &address, &service);
    let socket = daemon::data_socket(&config.daemon);
    let front = async {
        let served = front::serve(&config.front, socket, listener, stop).await;
        front_done.send_replace(true);
        served
    };
    let daemon = daemon::serve(service, config, listeners, async move {
        // Fails only when the sender is gone, which means the same.
        drop(wait_front.wait_for(|done| *done).await);
    });
    tokio::select! {
        served = async { tokio::try_join!(front, daemon) } => served.map(|_| ()),
        () = reload => Ok(()),
    }
}

/// What is served where, and three URLs to try.
fn greet(config: &Config, address: &str, service: &Service) {
    let scheme = if config.front.tls_cert.is_some() { "https" } else { "http" };
    let base = format!("{scheme}://{address}");
    println!("calotype {} serves {base}/ (engine: {})", env!("CARGO_PKG_VERSION"), service.engine_name());
    let urls: Vec<String> = known_assets(config).iter().map(|asset| format!("{base}/is/image/{asset}")).collect();
    let tries =
        ["wid=800&fmt=webp&op_usm=1.75,0.3,2,0", "wid=400&hei=400&fit=crop&dpr=on,2", "hei=500&qlt=85&fmt=png-alpha"];
    if urls.is_empty() {
        println!("no pictures found yet; put some where the configuration says");
    } else {
        println!("try");
        for (url, query) in urls.iter().cycle().zip(tries) {
            println!("  {url}?{query}");
        }
    }
    println!("stop with Ctrl-C");
}

/// A few pictures of each company, as `Company/Asset`.
fn known_assets(config: &Config) -> Vec<String> {
    const SHOWN: usize = 24;
    let of_company = |company: &Company| {
        let names = match &company.source {
            SourceRoot::Demo => testcard::demo_names().iter().map(ToString::to_string).collect(),
            SourceRoot::Dir(dir) => pictures(dir),
            SourceRoot::Nothing => Vec::new(),
        };
        let root_id = company.root_id.clone();
        names.into_iter().take(SHOWN).map(move |name| format!("{root_id}/{name}"))
    };
    config.catalog.companies.values().flat_map(of_company).collect()
}

/// Names of the pictures directly in a directory, as assets, sorted; those that need no escaping in a URL.
fn pictures(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.path().file_name()?.to_str().map(str::to_owned))
        .filter_map(|name| {
            let (stem, extension) = name.rsplit_once('.')?;
            let known =
                ["jpg", "jpeg", "png", "webp", "gif", "tif", "tiff"].contains(&extension.to_ascii_lowercase().as_str());
            let plain = stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            (known && plain).then(|| stem.to_owned())
        })
        .collect();
    names.sort();
    names
}

/// A directory only this user can enter, for a try-out's sockets; gone at the end.
struct PrivateDir(PathBuf);

impl PrivateDir {
    fn try_new() -> Result<Self> {
        let base = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let path = base.join(format!("calotype-up-{}", std::process::id()));
        // A leftover of a crashed process that had our number.
        drop(fs::remove_dir_all(&path));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(cause) => Err(Error::Io { doing: "create (name a socket with --socket)", path, cause }),
        }
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
