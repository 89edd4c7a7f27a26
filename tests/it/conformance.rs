//! The examples of the protocol's reference that calotype covers so far.
//!
//! `data/conformance.tsv` has one line an example; each must assert what the reply shows, not only its size. The computed
//! sources carry bars at known places ([`bars`]), which are looked for where the example says they fall.

mod bars;
mod file;
mod pixels;
mod rows;
mod socket;
mod wire;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::http::has_tool;
use rows::{Content, Row};
use socket::{OverSocket, ThroughFront};
use wire::{InProcess, Reply, Server};

/// Examples in the reference.
const EXAMPLES: usize = 116;

fn table() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/conformance.tsv");
    std::fs::read_to_string(path).expect("conformance.tsv")
}

#[test]
fn examples_on_the_oracle() {
    let sources = bars::write_sources();
    examples("on the oracle", &InProcess::new(sources.path()));
}

#[test]
fn examples_over_the_socket_and_through_the_front() {
    let sources = bars::write_sources();
    let daemon = OverSocket::start(sources.path());
    examples("over the socket", &daemon);
    examples("through the front", &ThroughFront::start(&daemon));
}

/// Asks for every example that `server` can be asked for; all must be as their rows say.
fn examples(how: &str, server: &dyn Server) {
    let rows = rows::load(&table()).unwrap_or_else(|e| panic!("{e}"));
    let asked: Vec<&Row> =
        rows.iter().filter(|row| server.has_headers() || !row.content.needs_headers()).filter(can_be_read).collect();
    let failures = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(row) = asked.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(what) = check(server, row) {
                        failures.lock().expect("no panic while held").push((*row, what));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic while held");
    let number = |row: &Row| row.number.trim_end_matches(char::is_alphabetic).to_owned();
    let mut passed: BTreeSet<String> = asked.iter().map(|row| number(row)).collect();
    for (row, _) in &failures {
        passed.remove(&number(row));
    }
    println!("{how}: {} of {EXAMPLES} examples pass, {} requests", passed.len(), asked.len());
    let lines: Vec<String> =
        failures.iter().map(|(row, what)| format!("row {} {}: {what}", row.number, row.request)).collect();
    assert!(lines.is_empty(), "{how}: {} of {} failed\n{}", lines.len(), asked.len(), lines.join("\n"));
}

/// AVIF is read by a tool, which may be missing.
fn can_be_read(row: &&Row) -> bool {
    row.mime.as_deref() != Some("image/avif") || has_tool("avifdec")
}

fn check(server: &dyn Server, row: &Row) -> Result<(), String> {
    let mut headers = row.content.send.clone();
    if let Some(request) = &row.content.revalidates {
        let etag = server.get(request, &[])?.header("etag").ok_or("no ETag")?.to_owned();
        headers.push((String::from("If-None-Match"), etag));
    }
    let reply = server.get(&row.request, &headers)?;
    if reply.status != row.status {
        return Err(format!("status {} instead of {}: {}", reply.status, row.status, reply.text()));
    }
    let mime = reply.header("content-type");
    if mime != row.mime.as_deref() {
        return Err(format!("type {mime:?} instead of {:?}", row.mime));
    }
    if row.status == 304 && !reply.body.is_empty() {
        return Err(String::from("a 304 with a body"));
    }
    shows(&reply, row)?;
    if let Some(other) = &row.content.bilevel {
        bilevel(&pixels::decode(&reply)?, &pixels::decode(&server.get(other, &[])?)?)?;
    }
    let Content { says, same, differs, ignored, vary, reason, smaller, file, bytes_max, coarser, .. } = &row.content;
    let is_said = file::words(&reply);
    if let Some(word) = file.iter().find(|word| !is_said.contains(word)) {
        return Err(format!("a file of {is_said:?}, not {word}"));
    }
    if bytes_max.is_some_and(|bytes_max| reply.body.len() > bytes_max) {
        return Err(format!("{} bytes", reply.body.len()));
    }
    if let Some(other) = coarser {
        let [ours, theirs] = [&reply.body, &server.get(other, &[])?.body].map(|bytes| file::quantisation(bytes));
        let (Some(ours), Some(theirs)) = (ours, theirs) else { return Err(String::from("no JPEG")) };
        if ours.len() != theirs.len() || ours.iter().zip(&theirs).any(|(ours, theirs)| ours < theirs) {
            return Err(format!("finer than {other}"));
        }
    }
    for word in says {
        if !reply.text().contains(word.as_str()) {
            return Err(format!("\"{}\" does not say \"{word}\"", reply.text()));
        }
    }
    if let Some(other) = same
        && server.get(other, &[])?.body != reply.body
    {
        return Err(format!("not the same bytes as {other}"));
    }
    if let Some(other) = differs
        && server.get(other, &[])?.body == reply.body
    {
        return Err(format!("the same bytes as {other}"));
    }
    if let Some(other) = smaller {
        let length = server.get(other, &[])?.body.len();
        if reply.body.len() >= length {
            return Err(format!("{} bytes, {other} has {length}", reply.body.len()));
        }
    }
    if reason.is_some() && reason.as_deref() != reply.header("x-smart-imaging-reason") {
        return Err(format!("reason {:?} instead of {reason:?}", reply.header("x-smart-imaging-reason")));
    }
    let varies = reply.header("vary").map(|names| names.replace(", ", ","));
    if server.has_headers() && varies != *vary {
        return Err(format!("Vary {varies:?} instead of {vary:?}"));
    }
    match (ignored, reply.header("x-image-serving-ignored")) {
        (Some(want), Some(got)) if want == got => Ok(()),
        (None, None) => Ok(()),
        (want, got) => Err(format!("ignored {got:?} instead of {want:?}")),
    }
}

/// Size, place of the bars, padding and holes of a picture.
fn shows(reply: &Reply, row: &Row) -> Result<(), String> {
    let Some(size) = row.size else { return Ok(()) };
    let picture = pixels::decode(reply)?;
    if picture.size() != size {
        return Err(format!("{} instead of {size}", picture.size()));
    }
    if let Some(lossless) = row.content.lossless {
        let chunks = ["VP8 ", "VP8L"].map(|name| reply.body.windows(4).any(|w| w == name.as_bytes()));
        if chunks != [!lossless, lossless] {
            return Err(format!("VP8, VP8L: {chunks:?}"));
        }
    }
    if let Some(corner) = row.content.corner {
        let (right, bottom) = (size.w - 1, size.h - 1);
        for (x, y) in [(0, 0), (right, 0), (0, bottom), (right, bottom)] {
            bars::shows(&picture, x, y, corner)?;
        }
    }
    let upright = row.content.place.as_ref().map_or(size, |place| place.size());
    let picture = row.content.turn.map_or_else(|| picture.clone(), |turn| picture.turned_back(turn, upright));
    match &row.content.place {
        Some(place) if row.content.matte => bars::is_matte(&picture, row.source(), place),
        Some(_) if row.content.bilevel.is_some() => Ok(()),
        Some(place) => bars::check(&picture, row.source(), place, row.mime.as_deref() == Some("image/jpeg")),
        None => Ok(()),
    }
}

/// Black where `full` is dark, white where it is bright, clear where it is more clear than not.
fn bilevel(picture: &pixels::Picture, full: &pixels::Picture) -> Result<(), String> {
    /// As near as this to the middle, either will do.
    const MARGIN: f64 = 3.0;
    let size = full.size();
    for (x, y) in (0..size.h).flat_map(|y| (0..size.w).map(move |x| (x, y))) {
        let (luma, alpha, got) = (full.luma(x, y), f64::from(full.at(x, y)[3]), picture.at(x, y));
        let want = match (alpha < 127.5, luma > 127.5) {
            (true, _) => [got[0], got[1], got[2], 0],
            (false, true) => [255; 4],
            (false, false) => [0, 0, 0, 255],
        };
        let is_clear_cut = (alpha - 127.5).abs() > MARGIN && (luma - 127.5).abs() > MARGIN;
        if got != want && is_clear_cut {
            return Err(format!("{got:?} at {x},{y} instead of {want:?}"));
        }
    }
    Ok(())
}

#[test]
fn a_row_without_an_assertion_on_content_does_not_load() {
    let head = "row\trequest\tstatus\ttype\tsize\tcontent\n";
    let load = |line: &str| rows::load(&format!("{head}{line}\n"));
    let good = "1\tCo/A\t200\timage/jpeg\t1280x853\tdst=0,0,1280x853 src=0,0,3000x2000";
    assert!(load(good).is_ok());
    for (bad, why) in [
        ("1\tCo/A\t200\timage/jpeg\t1280x853\t", "content"),
        ("1\tCo/A\t200\timage/jpeg\t1280x853\tlossy", "content"),
        ("1\tCo/A\t200\timage/jpeg\t1280x853\tdst=0,0,1280x853", "content"),
        ("1\tCo/A\t200\timage/jpeg\t1280x853\tsame=Co/A?wid=1", "content"),
        ("1\tCo/A\t403\ttext/plain\t-\t", "content"),
        ("1\tCo/A\t403\ttext/plain\t-\tdst=0,0,1x1 src=0,0,1x1", "content"),
        ("1\tCo/A\t200\timage/jpeg\t-\tdst=0,0,1280x853 src=0,0,3000x2000", "size"),
        ("1\tCo/A\t200\timage/jpeg\t1280x853\tdst=0,0,1280x853 src=0,0,3000x2000 colour=red", "colour"),
        ("1\tCo/A\t200\timage/jpeg", "columns"),
    ] {
        match load(bad) {
            Err(e) => assert!(e.contains(why), "{bad}: {e}"),
            Ok(_) => panic!("loads: {bad}"),
        }
    }
}

/// The comparator must be able to fail: the right picture under wrong assertions.
#[test]
fn bars_out_of_place_are_noticed() {
    let table = table();
    let rows = rows::load(&table).unwrap_or_else(|e| panic!("{e}"));
    for number in ["12", "15", "34", "35"] {
        let row = rows.iter().find(|row| row.number == number).expect("a row of the table");
        let place = row.content.place.as_ref().expect("a row with bars");
        let picture = bars::ideal(row.source(), place, row.size.expect("a size"));
        bars::check(&picture, row.source(), place, false).unwrap_or_else(|e| panic!("row {number}: {e}"));
        for wrong in place.spoiled() {
            assert!(
                bars::check(&picture, row.source(), &wrong, false).is_err(),
                "row {number}: {wrong:?} goes unnoticed"
            );
        }
        let grey = rows::Place { is_grey: true, ..place.clone() };
        assert!(bars::check(&picture, row.source(), &grey, false).is_err(), "row {number}: colours in a grey picture");
        assert!(bars::check(&picture.mirrored(), row.source(), place, false).is_err(), "row {number}: mirrored");
        assert!(
            bars::check(&picture.swapped(), row.source(), place, false).is_err(),
            "row {number}: red and blue swapped"
        );
    }
}
