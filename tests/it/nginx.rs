//! Can a shared cache trust what the daemon says? Debian's nginx before the daemon's socket, with its `proxy_cache`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::http::{Client, has_tool};
use crate::support::Running;

fn start(command: &mut Command, socket: &Path) -> Running {
    let process = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"));
    let begun = Instant::now();
    while std::os::unix::net::UnixStream::connect(socket).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{} does not listen", socket.display());
        std::thread::sleep(Duration::from_millis(5));
    }
    process
}

/// nginx's cache in front of a daemon.
struct Site {
    front: PathBuf,
    _nginx: Running,
    _daemon: Running,
    _dir: tempfile::TempDir,
}

fn site() -> Site {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| dir.path().join(name);
    let (data, front) = (at("data.sock"), at("nginx.sock"));
    std::fs::write(at("calotype.toml"), "[company.Co]\nsource = \"demo:\"\nbfc = true\ndpr = true\n").expect("a file");
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_calotype"));
    daemon.args(["daemon", "--config"]).arg(at("calotype.toml")).arg("--socket").arg(&data);
    let daemon = start(daemon.env("CALOTYPE_DAEMON__ENGINE", "simd"), &data);
    let folder = dir.path().display();
    let conf = format!(
        "daemon off; pid {folder}/pid; error_log {folder}/error.log; user root;
         events {{}}
         http {{
           access_log off;
           client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
           uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
           proxy_cache_path {folder}/cache keys_zone=pictures:1m;
           upstream calotype {{ server unix:{}; }}
           server {{
             listen unix:{};
             location / {{
               proxy_pass http://calotype;
               proxy_cache pictures;
               proxy_cache_key $request_uri;
               add_header X-Cache $upstream_cache_status;
             }}
           }}
         }}",
        data.display(),
        front.display()
    );
    std::fs::write(at("nginx.conf"), conf).expect("a file");
    let mut nginx = Command::new("nginx");
    nginx.arg("-p").arg(dir.path()).arg("-c").arg(at("nginx.conf")).arg("-e").arg(at("error.log"));
    let nginx = start(&mut nginx, &front);
    Site { front, _nginx: nginx, _daemon: daemon, _dir: dir }
}

#[test]
fn clients_behind_a_shared_cache_never_get_each_others_format_or_size() {
    if !has_tool("nginx") {
        return;
    }
    let site = site();
    let mut client = Client::unix(&site.front);
    let clients: [(&[&str], &str); 5] = [
        (&["Accept: image/webp,*/*"], "image/webp"),
        (&["Accept: */*"], "image/jpeg"),
        (&[], "image/jpeg"),
        (&["Accept: image/webp,*/*", "Sec-CH-DPR: 2"], "image/webp"),
        (&["Accept: */*", "Sec-CH-DPR: 2"], "image/jpeg"),
    ];
    let mut first = Vec::new();
    for (headers, mime) in clients {
        let reply = client.ask("GET", "/is/image/Co/Valley?wid=200", headers);
        assert_eq!((reply.status, reply.header("content-type")), (200, mime), "{headers:?}: {reply}");
        assert_eq!(reply.header("vary"), "Accept, Sec-CH-DPR, DPR", "{headers:?}");
        assert_eq!(reply.header("x-cache"), "MISS", "{headers:?}");
        first.push(reply.body);
    }
    assert_ne!(first[0].len(), first[3].len(), "twice the pixels");
    for ((headers, mime), body) in clients.iter().zip(&first) {
        let reply = client.ask("GET", "/is/image/Co/Valley?wid=200", headers);
        assert_eq!(reply.header("x-cache"), "HIT", "{headers:?}: nginx keeps what the daemon lets it keep");
        assert_eq!((reply.header("content-type"), &reply.body), (*mime, body), "{headers:?}");
    }
    // What does not depend on the client is kept once for all.
    for (i, (headers, _)) in clients.iter().enumerate() {
        let reply = client.ask("GET", "/is/image/Co/Valley?wid=200&bfc=off&dpr=off", headers);
        assert_eq!(reply.header("x-cache"), if i == 0 { "MISS" } else { "HIT" }, "{headers:?}");
        assert_eq!(reply.header("content-type"), "image/jpeg");
    }
}
