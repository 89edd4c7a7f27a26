//! The daemon as a process: its sockets, its signals, its manager, and what it does when there is too much to do.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::http::{Client, PATIENCE, Reply, fill, get, head, metric};

/// `calotype daemon` with sockets, images and a configuration in a folder of its own.
pub(crate) struct Process {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) data: PathBuf,
    pub(crate) admin: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// A folder and a configuration, nothing running.
    pub(crate) fn stopped(daemon: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fill(&dir.path().join("images"));
        let at = |name: &str| dir.path().join(name);
        let process = Self { data: at("data.sock"), admin: at("data-admin.sock"), child: None, dir };
        process.configure(daemon, "");
        process
    }

    pub(crate) fn start(daemon: &str) -> Self {
        let mut process = Self::stopped(daemon);
        process.run();
        process
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, daemon: &str, company: &str) {
        let images = self.dir.path().join("images");
        let engine = if daemon.contains("threads = 1") { "scalar" } else { "simd" };
        let text = format!(
            "[daemon]\nengine = \"{engine}\"\ndeadline_ms = 60000\n{daemon}\n[company.Co]\nsource = \"file://{}\"\n{company}\n",
            images.display()
        );
        fs::write(self.dir.path().join("calotype.toml"), text).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_calotype"));
        command.arg("daemon").arg("--config").arg(self.dir.path().join("calotype.toml"));
        command.arg("--socket").arg(&self.data);
        let log = fs::File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).env_remove("RUST_LOG");
        command
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn run(&mut self) {
        let mut command = self.command();
        self.child = Some(command.spawn().unwrap());
        self.wait_ready();
    }

    pub(crate) fn wait_ready(&self) {
        self.until("ready", || match UnixStream::connect(&self.admin) {
            Ok(_) => get(&self.admin, "/readyz").status == 200,
            Err(_) => false,
        });
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn until(&self, what: &str, fact: impl Fn() -> bool) {
        let start = Instant::now();
        while !fact() {
            assert!(start.elapsed() < PATIENCE, "not {what} in {PATIENCE:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id();
        let kill = format!("kill -{signal} {pid}");
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Kills it outright, socket files and all.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "still running after {PATIENCE:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    pub(crate) fn metric(&self, name: &str) -> u64 {
        metric(&self.admin, name)
    }

    /// Sends a request and returns at once.
    pub(crate) fn begin(&self, target: &str) -> Client<UnixStream> {
        let mut client = Client::unix(&self.data);
        client.send(head("GET", target, &[]));
        client
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

#[test]
fn a_stale_socket_is_replaced_and_both_go_at_the_end() {
    let mut process = Process::stopped("");
    drop(UnixListener::bind(&process.data).unwrap());
    drop(UnixListener::bind(&process.admin).unwrap());
    assert!(process.data.exists(), "a listener that is gone leaves its file");
    process.run();
    for socket in [&process.data, &process.admin] {
        let mode = fs::metadata(socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660, "{}", socket.display());
    }
    assert_eq!(get(&process.data, "/is/image/Co/A?wid=30").status, 200);
    assert_eq!(process.stop().code(), Some(0), "{}", process.log());
    assert!(!process.data.exists() && !process.admin.exists());

    // Killed, it leaves them, and the next one starts all the same.
    process.run();
    process.kill();
    assert!(process.data.exists());
    process.run();
    assert_eq!(get(&process.data, "/livez").status, 200);
}

#[test]
fn a_live_socket_and_a_file_that_is_none_are_left_alone() {
    let first = Process::start("");
    let second = first.command().output().unwrap();
    assert_eq!(second.status.code(), Some(1), "{}", first.log());
    assert!(first.log().contains("another process answers there"), "{}", first.log());
    assert_eq!(get(&first.data, "/livez").status, 200);

    // The admin socket is looked at before the data socket is touched.
    let mut process = Process::stopped("");
    drop(UnixListener::bind(&process.data).unwrap());
    fs::write(&process.admin, "precious").unwrap();
    let mut child = process.command();
    process.child = Some(child.spawn().unwrap());
    assert_eq!(process.wait().code(), Some(78), "{}", process.log());
    assert_eq!(fs::read(&process.admin).unwrap(), b"precious");
    assert!(process.log().contains("is no socket"), "{}", process.log());
    assert!(process.data.exists(), "nothing was removed");
}

#[test]
fn a_successor_keeps_its_socket_when_the_predecessor_ends() {
    let mut first = Process::start("");
    for socket in [&first.data, &first.admin] {
        fs::remove_file(socket).unwrap();
    }
    let mut command = first.command();
    let mut second = command.spawn().unwrap();
    first.wait_ready();
    assert_eq!(first.stop().code(), Some(0));
    assert_eq!(get(&first.data, "/livez").status, 200, "the second one serves on");
    second.kill().unwrap();
    second.wait().unwrap();
}

#[test]
fn hangup_reloads_all_or_nothing() {
    let process = Process::start("");
    let mut client = Client::unix(&process.data);
    assert_eq!(client.ask("GET", "/is/image/Co/A?$p$", &[]).status, 400);
    process.configure("", "[company.Co.presets]\np = \"wid=10\"");
    process.signal("HUP");
    process.until("reloaded", || get(&process.data, "/is/image/Co/A?$p$").status == 200);
    assert_eq!(client.ask("GET", "/is/image/Co/A?$p$", &[]).status, 200, "an open connection too");

    process.configure("", "[company.Co.presets]\nq = \"wid=10\"\n[company.Bad]\nsource = 7");
    process.signal("HUP");
    process.until("told", || process.log().contains("reload refused"));
    assert_eq!(process.log().matches("reload refused").count(), 1);
    assert_eq!(client.ask("GET", "/is/image/Co/A?$p$", &[]).status, 200, "the old catalog serves on");
    assert_eq!(client.ask("GET", "/is/image/Co/A?$q$", &[]).status, 400, "nothing of the new one came in");

    process.configure("", "[company.Co.presets]\nq = \"wid=10\"");
    process.signal("HUP");
    process.until("reloaded", || get(&process.data, "/is/image/Co/A?$q$").status == 200);
}

#[test]
fn term_finishes_what_is_in_hand() {
    let mut process = Process::start("threads = 1");
    let mut busy = process.begin(&slow_targets()[0]);
    process.until("at work", || process.metric("calotype_jobs_running") == 1);
    let mut idle = Client::unix(&process.data);
    assert_eq!(idle.ask("GET", "/livez", &[]).status, 200);
    process.signal("TERM");
    assert!(idle.is_closed(), "idle connections are closed");
    let ready = get(&process.admin, "/readyz");
    assert_eq!((ready.status, ready.header("retry-after")), (503, "1"), "{ready}");
    assert!(ready.text().contains("shutting down"), "{ready}");
    assert!(UnixStream::connect(&process.data).is_err(), "nobody accepts any more");
    let reply = busy.reply(false);
    assert_eq!((reply.status, reply.header("connection")), (200, "close"), "{reply}");
    assert!(reply.body.ends_with(b"IEND\xaeB`\x82"), "the picture is whole");
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
    assert!(!process.data.exists());
}

#[test]
fn a_full_queue_sheds_at_once_and_probes_answer() {
    let process = Process::start("threads = 1\nqueue_jobs_max = 2");
    let slow = slow_targets();
    let mut running = process.begin(&slow[0]);
    process.until("at work", || process.metric("calotype_jobs_running") == 1);
    let mut waiting = process.begin(&slow[1]);
    process.until("queued", || process.metric("calotype_jobs_waiting") == 1);

    let start = Instant::now();
    let refused = get(&process.data, &slow[2]);
    let took = start.elapsed();
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"), "{refused}");
    assert_eq!(refused.header("cache-control"), "no-store");
    assert_eq!(get(&process.data, "/livez").status, 200);
    let ready = get(&process.data, "/readyz");
    assert_eq!(ready.status, 503, "{ready}");
    assert!(ready.text().contains("queue"), "{ready}");
    let head = Client::unix(&process.data).ask("HEAD", "/is/image/Co/A?wid=9", &[]);
    assert_eq!(head.status, 200, "HEAD needs no lane");
    assert!(process.metric("calotype_shed") >= 1);
    assert_eq!(process.metric("calotype_jobs_running"), 1, "all this while the first was at work");
    println!("refused in {took:?}");

    assert_eq!(running.reply(false).status, 200);
    assert_eq!(waiting.reply(false).status, 200);
    process.until("ready again", || get(&process.data, "/readyz").status == 200);
    assert_eq!(get(&process.data, "/is/image/Co/A?wid=9").status, 200);
}

#[test]
fn a_client_that_leaves_takes_its_work_along() {
    let process = Process::start("threads = 1");
    let slow = slow_targets();
    let mut running = process.begin(&slow[0]);
    process.until("at work", || process.metric("calotype_jobs_running") == 1);
    let left = process.begin(&slow[1]);
    process.until("queued", || process.metric("calotype_jobs_waiting") == 1);
    drop(left);
    process.until("cancelled", || process.metric("calotype_open_requests") == 1);
    let first: Reply = running.reply(false);
    assert_eq!(first.status, 200);
    // It may have left before its job was in the queue, so that nothing had to be cancelled there.
    let jobs = || process.metric("calotype_jobs_running") + process.metric("calotype_jobs_waiting");
    process.until("idle", || jobs() == 0);
    let cancelled = process.metric("calotype_cancelled");
    assert!(cancelled <= 1, "{cancelled}");
    assert_eq!(process.metric("calotype_bytes"), first.body.len() as u64, "the second was never rendered");

    // In the middle of its work.
    let left = process.begin(&slow[2]);
    process.until("at work", || process.metric("calotype_jobs_running") == 1);
    drop(left);
    process.until("cancelled", || process.metric("calotype_cancelled") == cancelled + 1);
    assert_eq!(process.metric("calotype_bytes"), first.body.len() as u64);
}

/// Renditions that take a while on one core; each a different one.
pub(crate) fn slow_targets() -> [String; 3] {
    [1190, 1191, 1192].map(|w| format!("/is/image/Co/big?wid={w}&op_usm=5,10,0,0&fmt=png"))
}

#[test]
fn sockets_may_come_from_systemd() {
    for (names, first_is_data) in [("data:admin", true), ("admin:data", false), ("", true)] {
        let mut process = Process::stopped("");
        let data: OwnedFd = UnixListener::bind(&process.data).unwrap().into();
        let admin: OwnedFd = UnixListener::bind(&process.admin).unwrap().into();
        let (third, fourth) = if first_is_data { (data, admin) } else { (admin, data) };
        let script = r#"exec 3<&0 4<&1; LISTEN_PID=$$ LISTEN_FDS=2 exec "$@" </dev/null >/dev/null"#;
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_calotype"), "daemon", "--config"]);
        command.arg(process.dir.path().join("calotype.toml")).env("LISTEN_FDNAMES", names);
        command.stdin(Stdio::from(third)).stdout(Stdio::from(fourth));
        command.stderr(fs::File::create(process.dir.path().join("log")).unwrap());
        process.child = Some(command.spawn().unwrap());
        drop(command);
        process.wait_ready();
        assert_eq!(get(&process.data, "/is/image/Co/A?wid=30").status, 200, "{names}: {}", process.log());
        assert_eq!(get(&process.data, "/metrics").status, 404, "{names}");
        assert_eq!(get(&process.admin, "/metrics").status, 200, "{names}");
        assert_eq!(process.stop().code(), Some(0));
        assert!(process.data.exists() && process.admin.exists(), "the files are systemd's");
    }
}

#[test]
fn the_service_manager_hears_of_everything() {
    let mut process = Process::stopped("");
    let path = process.dir.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = process.command();
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000");
    process.child = Some(command.spawn().unwrap());
    let hear = |wanted: &str| {
        let start = Instant::now();
        let mut heard = Vec::new();
        while start.elapsed() < PATIENCE {
            let mut message = [0; 4096];
            let n = manager.recv(&mut message).unwrap_or_else(|e| panic!("{wanted}: {e}; heard {heard:?}"));
            let message = String::from_utf8_lossy(&message[..n]).into_owned();
            if message.lines().any(|line| line == wanted) {
                return message;
            }
            heard.push(message);
        }
        panic!("{wanted}: heard only {heard:?}");
    };
    assert!(hear("READY=1").contains("STATUS=serving"));
    assert_eq!(get(&process.data, "/readyz").status, 200, "READY=1 is said when it is so");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    process.signal("HUP");
    let reloading = hear("RELOADING=1");
    let usec = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("a time");
    assert!(usec.parse::<u64>().unwrap() > 0);
    hear("READY=1");
    process.signal("TERM");
    hear("STOPPING=1");
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn the_admin_socket_is_named_after_the_data_socket() {
    let of = |socket: &str| {
        let daemon = calotype::config::Daemon { socket: Some(PathBuf::from(socket)), ..Default::default() };
        calotype::daemon::admin_socket(&daemon)
    };
    assert_eq!(of("/run/calotype/calotype.sock"), Path::new("/run/calotype/calotype-admin.sock"));
    assert_eq!(of("/run/x"), Path::new("/run/x-admin"));
    assert_eq!(of("a.b.sock"), Path::new("a.b-admin.sock"));
}
