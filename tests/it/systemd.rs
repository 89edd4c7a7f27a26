//! The units, against a staged root: valid as systemd reads them, locked down as far as promised, and of one mind about
//! sockets, groups and paths.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::http::has_tool;

const UNITS: [&str; 4] = ["calotype.socket", "calotype-admin.socket", "calotype.service", "calotype-front.service"];

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

fn text(name: &str) -> String {
    let path = units().join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The values of a key, comments left out.
fn values(name: &str, key: &str) -> Vec<String> {
    text(name).lines().filter_map(|line| line.strip_prefix(&format!("{key}="))).map(str::to_owned).collect()
}

/// A root with our units, a stand-in for the binary, and this system's own units, which ours refer to.
fn staged(with_gpu: bool) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let place = |path: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    let own = ["usr/lib/systemd/system", "lib/systemd/system"];
    let of_system =
        own.iter().map(|path| Path::new("/").join(path)).find(|path| path.is_dir()).expect("systemd's units");
    copy(&of_system, &place(own[0]));
    for unit in UNITS {
        fs::copy(units().join(unit), place(&format!("etc/systemd/system/{unit}"))).unwrap();
    }
    if with_gpu {
        let drop_in = "calotype.service.d/gpu.conf";
        fs::copy(units().join(drop_in), place(&format!("etc/systemd/system/{drop_in}"))).unwrap();
    }
    for program in ["usr/local/bin/calotype", "bin/kill"] {
        fs::write(place(program), "#!/bin/sh\n").unwrap();
        fs::set_permissions(place(program), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    root
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, to) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &to);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path()).unwrap(), to).unwrap();
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn analyze(root: &Path, verb: &str, options: &[&str], units: &[&str]) -> (bool, String) {
    let out = Command::new("systemd-analyze")
        .arg(verb)
        .arg(format!("--root={}", root.display()))
        .args(options)
        .args(units)
        .env("SYSTEMD_COLORS", "0")
        .output()
        .unwrap();
    let text = [out.stdout, out.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (out.status.success(), text)
}

/// What `systemd-analyze security` makes of a unit, 0 (best) to 10.
fn exposure(root: &Path, unit: &str) -> f64 {
    let (_, text) = analyze(root, "security", &["--offline=true", "--no-pager"], &[unit]);
    let line = text.lines().find(|line| line.contains("Overall exposure level")).unwrap_or_else(|| panic!("{text}"));
    println!("{line}");
    line.split(": ").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|n| n.parse().ok()).expect(line)
}

#[test]
fn units_are_valid_and_locked_down() {
    if !has_tool("systemd-analyze") {
        return;
    }
    for with_gpu in [false, true] {
        let root = staged(with_gpu);
        let (fine, text) = analyze(root.path(), "verify", &["--man=no"], &UNITS);
        let ours: Vec<_> = text.lines().filter(|line| line.contains("calotype")).collect();
        assert!(fine && ours.is_empty(), "{text}");
        let (front, daemon) =
            (exposure(root.path(), "calotype-front.service"), exposure(root.path(), "calotype.service"));
        assert!(front <= 2.0, "the front is at {front}");
        assert!(daemon <= 2.0, "the daemon is at {daemon}, gpu.conf: {with_gpu}");
    }
    // The check itself can fail.
    let root = staged(false);
    let unit = root.path().join("etc/systemd/system/calotype-front.service");
    let spoilt = fs::read_to_string(&unit).unwrap().replace("ProtectSystem=strict", "ProtectSystem=perhaps");
    fs::write(&unit, spoilt).unwrap();
    let (_, text) = analyze(root.path(), "verify", &["--man=no"], &UNITS);
    assert!(text.contains("perhaps"), "{text}");
}

#[test]
fn units_agree_about_sockets_groups_and_paths() {
    let (data, admin) = (values("calotype.socket", "ListenStream"), values("calotype-admin.socket", "ListenStream"));
    let default =
        calotype::config::Daemon { socket: Some(PathBuf::from(&data[0])), ..calotype::config::Config::demo().daemon };
    assert_eq!(calotype::daemon::admin_socket(&default), Path::new(&admin[0]));
    assert_eq!(values("calotype.socket", "FileDescriptorName"), ["data"]);
    assert_eq!(values("calotype-admin.socket", "FileDescriptorName"), ["admin"]);
    for socket in ["calotype.socket", "calotype-admin.socket"] {
        assert_eq!(values(socket, "SocketMode"), ["0660"]);
    }
    assert_eq!(values("calotype.service", "Sockets"), ["calotype.socket calotype-admin.socket"]);
    let front = values("calotype-front.service", "ExecStart");
    assert!(front[0].contains(&format!("--socket {}", data[0])), "{front:?}");

    let sysusers = text("calotype.sysusers");
    let known: BTreeSet<&str> = sysusers
        .lines()
        .filter(|line| line.starts_with("u ") || line.starts_with("g "))
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    for (unit, key) in [
        ("calotype.socket", "SocketGroup"),
        ("calotype-admin.socket", "SocketGroup"),
        ("calotype.service", "User"),
        ("calotype.service", "Group"),
        ("calotype-front.service", "SupplementaryGroups"),
    ] {
        let value = values(unit, key).concat();
        assert!(known.contains(value.as_str()), "{unit}: {key}={value} is not in calotype.sysusers: {known:?}");
    }
    assert_ne!(
        values("calotype-front.service", "SupplementaryGroups"),
        values("calotype-admin.socket", "SocketGroup"),
        "the front must not reach the admin socket"
    );
    // Room for the drain before systemd loses patience.
    for service in ["calotype.service", "calotype-front.service"] {
        let patience = values(service, "TimeoutStopSec").concat();
        let seconds: u64 = patience.trim_end_matches('s').parse().unwrap();
        assert!(seconds * 1000 > calotype::limits::DRAIN_MS_MAX, "{service}");
    }
}
