//! The two sockets: where they are, who made them, and whose file it is.
//!
//! Invariants: a socket that somebody answers on is never touched; nothing but a socket is ever removed; at exit only
//! the file that we made goes, not the one that a successor put in its place.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use listenfd::ListenFd;
use tokio::net::UnixListener;

use crate::config;
use crate::error::{Error, Result};

/// The two sockets, bound.
#[derive(Debug)]
pub struct Listeners {
    /// Serves `/is/…`, `/v1/transcode`, `/v1/fanout`, `/livez`, `/readyz`.
    pub data: UnixListener,
    /// Serves everything.
    pub admin: UnixListener,
    /// Socket files to remove at the end; none if somebody else made them.
    pub files: Vec<SocketFile>,
}

/// A socket file that we made; removed on drop if it is still ours.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            drop(std::fs::remove_file(&self.path));
        }
    }
}

/// Both sockets: systemd's if it handed any over, else bound at their paths with mode 0660. A stale socket file is
/// replaced. Call it early, inside a tokio runtime: adopting systemd's descriptors edits the environment.
///
/// # Errors
/// `Config`: a path is no socket, both paths are the same, systemd handed over something else than two Unix sockets.
/// `Io`: somebody serves there already, or the system refuses.
///
/// # Panics
/// Outside a tokio runtime.
pub fn bind(daemon: &config::Daemon) -> Result<Listeners> {
    if let Some((data, admin)) = from_systemd()? {
        return Ok(Listeners { data: adopt(data)?, admin: adopt(admin)?, files: Vec::new() });
    }
    let data_path = data_socket(daemon);
    let admin_path = admin_socket(daemon);
    if data_path == admin_path {
        return Err(Error::Config {
            key: String::from("daemon.admin_socket"),
            problem: format!("{} is the data socket too: choose another path", admin_path.display()),
        });
    }
    // Both are looked at before either is touched.
    let data_is_stale = is_stale("daemon.socket", &data_path)?;
    let admin_is_stale = is_stale("daemon.admin_socket", &admin_path)?;
    let (data, data_file) = bind_at(data_path, data_is_stale)?;
    let (admin, admin_file) = bind_at(admin_path, admin_is_stale)?;
    Ok(Listeners { data: adopt(data)?, admin: adopt(admin)?, files: vec![data_file, admin_file] })
}

/// The data socket's path: as configured, else `$XDG_RUNTIME_DIR/calotype.sock`, else `/run/calotype/calotype.sock`.
pub fn data_socket(daemon: &config::Daemon) -> PathBuf {
    daemon.socket.clone().unwrap_or_else(|| match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) if !dir.is_empty() => Path::new(&dir).join("calotype.sock"),
        _ => PathBuf::from("/run/calotype/calotype.sock"),
    })
}

/// The admin socket's path: as configured, else the data socket's with `-admin` before the extension.
pub fn admin_socket(daemon: &config::Daemon) -> PathBuf {
    daemon.admin_socket.clone().unwrap_or_else(|| {
        let data = data_socket(daemon);
        let mut name = data.file_stem().map_or_else(OsString::new, OsString::from);
        name.push("-admin");
        if let Some(extension) = data.extension() {
            name.push(".");
            name.push(extension);
        }
        data.with_file_name(name)
    })
}

/// The sockets that systemd handed over as (data, admin): by the names `data` and `admin`, else in that order.
fn from_systemd() -> Result<Option<(StdListener, StdListener)>> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut handed_over = ListenFd::from_env();
    if handed_over.len() == 0 {
        return Ok(None);
    }
    let wrong = |problem: String| Error::Config { key: String::from("systemd socket"), problem };
    if handed_over.len() != 2 {
        let count = handed_over.len();
        return Err(wrong(format!("{count} handed over: expected two ListenStream= lines, data and admin")));
    }
    let mut take = |index| {
        handed_over
            .take_unix_listener(index)
            .map_err(|cause| wrong(format!("{cause}: expected a Unix stream socket")))?
            .ok_or_else(|| wrong(format!("socket {index} is missing")))
    };
    let (first, second) = (take(0)?, take(1)?);
    let admin_is_first = names.split(':').next() == Some("admin");
    Ok(Some(if admin_is_first { (second, first) } else { (first, second) }))
}

fn adopt(listener: StdListener) -> Result<UnixListener> {
    let path = listener.local_addr().ok().and_then(|addr| addr.as_pathname().map(Path::to_owned)).unwrap_or_default();
    listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener)).map_err(|cause| Error::Io {
        doing: "listen on",
        path,
        cause,
    })
}

/// Whether an abandoned socket file is in the way.
fn is_stale(key: &str, path: &Path) -> Result<bool> {
    let failed = |doing, cause| Error::Io { doing, path: path.to_owned(), cause };
    match std::fs::symlink_metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(cause) => return Err(failed("look at", cause)),
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(Error::Config {
                key: String::from(key),
                problem: format!("{} exists and is no socket: remove it or choose another path", path.display()),
            });
        }
        Ok(_) => {}
    }
    match connect(path) {
        Ok(()) => Err(failed("listen on", io::Error::new(io::ErrorKind::AddrInUse, "another process answers there"))),
        Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        // It went away between the two looks.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(failed("connect to", cause)),
    }
}

/// Whether somebody accepts at `path`. A listener whose backlog is full blocks the connecting side; that counts as an
/// answer after a while.
fn connect(path: &Path) -> io::Result<()> {
    const WAIT: Duration = Duration::from_secs(2);
    let (send, receive) = mpsc::sync_channel(1);
    let path = path.to_owned();
    std::thread::spawn(move || drop(send.send(UnixStream::connect(path).map(drop))));
    receive.recv_timeout(WAIT).unwrap_or(Ok(()))
}

fn bind_at(path: PathBuf, replace: bool) -> Result<(StdListener, SocketFile)> {
    let failed = |doing| {
        let path = path.clone();
        move |cause| Error::Io { doing, path, cause }
    };
    if replace {
        tracing::info!(path = %path.display(), "replacing a socket file that nobody serves");
        std::fs::remove_file(&path).map_err(failed("replace"))?;
    }
    let listener = StdListener::bind(&path).map_err(failed("bind the socket"))?;
    // Connecting takes the right to write, which a usual umask gives to the owner alone: until the next line the
    // socket is closed to the group, never open to the world.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(SOCKET_MODE)).map_err(failed("set the mode of"))?;
    let identity = identity(&path).map_err(failed("look at"))?;
    Ok((listener, SocketFile { path, identity }))
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

/// Owner and group.
const SOCKET_MODE: u32 = 0o660;
