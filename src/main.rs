//! The `calotype` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    calotype::heap::settle();
    calotype::cli::main()
}
