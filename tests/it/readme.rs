//! The README tells the truth: its command table is printed from the registry. `UPDATE=1` rewrites it.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use calotype::request::registry::{COMMANDS, Command, Status};

const BEGIN: &str =
    "<!-- commands: printed from src/request/registry.rs by `UPDATE=1 cargo test --test it readme` -->\n";
const END: &str = "<!-- end of commands -->\n";

fn table() -> String {
    let mut text = String::from("| command | value | accepted | default | state |\n|---|---|---|---|---|\n");
    let cell = |text: &str| text.replace('|', "\\|");
    for c in COMMANDS.iter().filter(|c| matches!(c.status, Status::Done | Status::Partly)) {
        let state = if c.status == Status::Done { "done" } else { "partly" };
        let (syntax, range, default) = (cell(c.syntax), cell(c.range), cell(c.default));
        writeln!(text, "| `{}` | {syntax} | {range} | {default} | {state} |", c.name).unwrap();
    }
    let names = |status: Status| {
        let of: Vec<String> =
            COMMANDS.iter().filter(|c: &&Command| c.status == status).map(|c| format!("`{}`", c.name)).collect();
        of.join(" ")
    };
    writeln!(
        text,
        "\nKnown, but not yet done (refused, unless the value changes nothing): {}.\nNever: {}.",
        names(Status::NotYet),
        names(Status::Never)
    )
    .unwrap();
    text
}

#[test]
fn command_table_is_that_of_the_registry() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the README has the table's first marker");
    let (old, after) = rest.split_once(END).expect("the README has the table's last marker");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
    } else {
        assert_eq!(old, table(), "README.md: run UPDATE=1 cargo test --test it readme");
    }
}
