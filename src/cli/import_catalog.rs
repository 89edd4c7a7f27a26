//! `calotype import-catalog`: the original's catalogs to our configuration.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::import;
use crate::error::{Error, Result};

#[derive(Args, Clone, Debug)]
pub(super) struct ImportArgs {
    /// Folder of the original's catalogs: attribute files (*.ini), and the files that they name
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Where the configuration goes [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Folder below which each catalog's RootPath is taken [default: RootPath as it is, below DIR if it is relative]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Say only what was left out
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn run(args: ImportArgs) -> Result<ExitCode> {
    let imported = import::read(&args.folder, args.images.as_deref())?;
    let mut stderr = std::io::stderr().lock();
    for line in &imported.lines {
        if line.is_left_out() || !args.quiet {
            // Whoever closed stderr does not want to read it.
            writeln!(stderr, "{line}").unwrap_or(());
        }
    }
    let left_out = imported.lines.iter().filter(|line| line.is_left_out()).count();
    let taken = imported.lines.len() - left_out;
    writeln!(stderr, "{taken} taken, {left_out} left out").unwrap_or(());
    let io = |path: PathBuf| move |cause| Error::Io { doing: "write", path, cause };
    match args.out {
        Some(path) => std::fs::write(&path, imported.toml).map_err(io(path))?,
        None => std::io::stdout().lock().write_all(imported.toml.as_bytes()).map_err(io("stdout".into()))?,
    }
    Ok(if left_out == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
