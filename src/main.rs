//! The `calotype` binary: everything is in the library.

use std::process::ExitCode;

use calotype::heap::Heap;

#[global_allocator]
static HEAP: Heap = Heap;

fn main() -> ExitCode {
    calotype::heap::settle();
    calotype::cli::main()
}
