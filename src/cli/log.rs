//! Log lines on stderr: `key=value`, one a line, filtered by `CALOTYPE_LOG` (default `info`).

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// Sends log lines to stderr: with colours on a terminal, without the time where the journal adds its own.
pub(super) fn to_stderr() {
    let filter = EnvFilter::try_from_env("CALOTYPE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_target(false)
        .with_ansi(stderr().is_terminal());
    if std::env::var_os("JOURNAL_STREAM").is_some() { lines.without_time().init() } else { lines.init() }
}

/// Warnings alone, for commands whose own output matters.
pub(super) fn warnings_to_stderr() {
    let filter = EnvFilter::try_from_env("CALOTYPE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_target(false).without_time().init();
}
