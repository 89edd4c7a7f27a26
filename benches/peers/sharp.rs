//! sharp as a library, in a worker of Node.js that lives as long as the jobs it is given.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::measure::Round;

/// Where `./x bench peers` installs them.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers")
}

/// Node.js over one of our scripts, which finds the installed packages beside it.
///
/// # Errors
/// What is missing, in words.
pub(crate) fn node(name: &str, script: &str) -> Result<Command, String> {
    let folder = folder();
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let node = folder.join(format!("node_modules/node-linux-{machine}/bin/node"));
    if !node.exists() {
        return Err(format!("{} is not there: `./x bench peers` installs it", node.display()));
    }
    let path = folder.join(name);
    std::fs::write(&path, script).map_err(|cause| format!("{}: {cause}", path.display()))?;
    let mut command = Command::new(node);
    // A thread for each picture in flight, as sharp's documentation advises for many cores.
    let threads = (2 * crate::cores()).max(4).to_string();
    command.arg(path).env("UV_THREADPOOL_SIZE", threads).stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command)
}

/// How sharp is set: threads for one picture, pictures at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) concurrency: usize,
    pub(crate) in_flight: usize,
    /// It is for the time of one picture alone.
    pub(crate) is_lone: bool,
}

pub(crate) struct Sharp {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Sharp {
    /// # Errors
    /// What is missing, in words.
    pub(crate) fn start() -> Result<Self, String> {
        let mut child = node("worker.mjs", include_str!("worker.mjs"))?
            .spawn()
            .map_err(|cause| format!("Node.js does not start: {cause}"))?;
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut sharp = Self { child, stdin, stdout };
        sharp.ask(&json!({"verb": "versions"}))?;
        Ok(sharp)
    }

    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        writeln!(self.stdin, "{request}").map_err(|cause| format!("sharp's worker is gone: {cause}"))?;
        let mut line = String::new();
        self.stdout.read_line(&mut line).map_err(|cause| format!("sharp's worker is gone: {cause}"))?;
        let reply: Value = serde_json::from_str(&line).map_err(|_| format!("sharp's worker said {line:?}"))?;
        match reply.get("error") {
            Some(error) => Err(format!("sharp: {error}")),
            None => Ok(reply),
        }
    }

    /// For what it has done before.
    fn expect(&mut self, request: &Value) -> Value {
        self.ask(request).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Goes over all tasks once.
    ///
    /// # Errors
    /// What it says of one that it cannot do.
    pub(crate) fn attempt(&mut self, tasks: &Value) -> Result<(), String> {
        self.ask(&json!({"verb": "run", "tasks": tasks, "passes": 1, "in_flight": 1, "concurrency": 1})).map(drop)
    }

    /// Of Node.js, sharp, and what it is made of.
    pub(crate) fn versions(&mut self) -> Value {
        self.expect(&json!({"verb": "versions"}))
    }

    /// Goes over all tasks so many times.
    pub(crate) fn run(&mut self, tasks: &Value, passes: usize, setting: Setting) -> Round {
        let Setting { concurrency, in_flight, .. } = setting;
        let reply = self.expect(&json!({
            "verb": "run", "tasks": tasks, "passes": passes, "in_flight": in_flight, "concurrency": concurrency,
        }));
        let times = reply["times_ms"].as_array().into_iter().flatten();
        Round {
            seconds: reply["seconds"].as_f64().expect("a number"),
            times_ms: times.map(|time| time.as_f64().expect("a number")).collect(),
            bytes: reply["bytes"].as_u64().expect("a number"),
            ..Round::default()
        }
    }

    /// What it makes of each task: a list of files a task.
    pub(crate) fn files(&mut self, tasks: &Value) -> Vec<Vec<Vec<u8>>> {
        let folder = tempfile::tempdir().expect("a folder");
        self.expect(&json!({"verb": "save", "tasks": tasks, "folder": folder.path()}));
        let outputs = |task: &Value| task["outputs"].as_array().map_or(0, Vec::len);
        let read = |i, j| std::fs::read(folder.path().join(format!("{i}-{j}"))).expect("what the worker wrote");
        let tasks = tasks.as_array().expect("a list");
        tasks.iter().enumerate().map(|(i, task)| (0..outputs(task)).map(|j| read(i, j)).collect()).collect()
    }

    /// The most memory its process ever held, bytes.
    pub(crate) fn peak_bytes(&self) -> u64 {
        crate::measure::peak_bytes(self.child.id())
    }
}

impl Drop for Sharp {
    fn drop(&mut self) {
        // It may be gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
