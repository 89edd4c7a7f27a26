//! Where the time goes: bars of one source at a time, calotype's by stages, the other side's in one piece.

use std::fmt::Write as _;

/// One job.
pub(crate) struct Bars {
    pub(crate) name: String,
    /// Queue, decode, passes, encode of calotype, ms. None of a fan-out, whose renditions are made side by side.
    pub(crate) stages_ms: Option<[f64; 4]>,
    pub(crate) ours_ms: f64,
    /// None where no peer ran.
    pub(crate) theirs_ms: Option<f64>,
}

const WIDTH: f64 = 930.0;
/// Where bars begin and may end.
const LEFT: f64 = 400.0;
const RIGHT: f64 = 860.0;
const TOP: f64 = 58.0;
const BAR: f64 = 13.0;
const ROW: f64 = 42.0;
const STAGES: [(&str, &str); 4] =
    [("queue", "#b8b8b8"), ("decode", "#1f6fb4"), ("passes", "#2a8a4a"), ("encode", "#c8502b")];
const UNDIVIDED: (&str, &str) = ("all of them", "#4a6070");
const PEER: (&str, &str) = ("sharp", "#c9b458");

/// A page with a scale of its own for each job: the longer of both sides is as long as a bar may be.
pub(crate) fn svg(jobs: &[Bars]) -> String {
    let height = TOP + ROW * jobs.len() as f64 + 10.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\"><rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"22\" font-weight=\"bold\">One source at a time, ms: calotype by stages above, sharp below; \
         each job to a scale of its own</text>\n"
    );
    let mut x = LEFT;
    for (name, colour) in STAGES.into_iter().chain([UNDIVIDED, PEER]) {
        legend(&mut out, x, name, colour);
        x += 85.0;
    }
    for (i, job) in jobs.iter().enumerate() {
        row(&mut out, TOP + ROW * i as f64, job);
    }
    out + "</svg>\n"
}

fn legend(out: &mut String, x: f64, name: &str, colour: &str) {
    bar(out, x, 36.0, 10.0, colour);
    text(out, x + 14.0, 46.0, name);
}

fn row(out: &mut String, top: f64, job: &Bars) {
    let scale = (RIGHT - LEFT) / job.ours_ms.max(job.theirs_ms.unwrap_or(0.0));
    text(out, 10.0, top + 18.0, &job.name);
    bar(out, LEFT, top, job.ours_ms * scale, UNDIVIDED.1);
    // Stages are means over sources, the bar is as long as the median: they share it.
    let sum: f64 = job.stages_ms.iter().flatten().sum();
    let mut x = LEFT;
    for (ms, (_, colour)) in job.stages_ms.iter().flatten().zip(STAGES) {
        let width = ms / sum * job.ours_ms * scale;
        bar(out, x, top, width, colour);
        x += width;
    }
    text(out, LEFT + job.ours_ms * scale + 6.0, top + 11.0, &format!("{:.1}", job.ours_ms));
    if let Some(ms) = job.theirs_ms {
        bar(out, LEFT, top + BAR + 1.0, ms * scale, PEER.1);
        text(out, LEFT + ms * scale + 6.0, top + BAR + 12.0, &format!("{ms:.1}"));
    }
}

fn bar(out: &mut String, x: f64, y: f64, width: f64, colour: &str) {
    writeln!(out, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>")
        .expect("text");
}

fn text(out: &mut String, x: f64, y: f64, what: &str) {
    writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\">{what}</text>").expect("text");
}
