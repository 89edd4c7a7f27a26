//! Rounds, in turns: what is measured of each side, and what is made of it.

use std::fs;

/// Time that one round of one side takes at least, s.
const ROUND_S: f64 = 2.0;
/// Rounds of each side.
const ROUNDS: usize = 5;
/// Rounds of each side with one picture at a time.
const LONE_ROUNDS: usize = 2;

/// Some passes over the files of a job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Round {
    pub(crate) seconds: f64,
    /// Of each source with all its renditions.
    pub(crate) times_ms: Vec<f64>,
    pub(crate) bytes: u64,
    /// Sums of queue, decode, passes, encode over all renditions; of calotype alone.
    pub(crate) stages_ms: [f64; 4],
}

impl Round {
    /// Sources a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.times_ms.len() as f64 / self.seconds
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.times_ms.extend(other.times_ms);
        self.bytes += other.bytes;
        self.stages_ms = std::array::from_fn(|s| self.stages_ms[s] + other.stages_ms[s]);
    }

    /// Bytes that one source became.
    pub(crate) fn bytes_each(&self) -> f64 {
        self.bytes as f64 / self.times_ms.len() as f64
    }
}

/// Whatever can go over a job: passes, in the setting with that number.
pub(crate) struct Side<'a> {
    pub(crate) run: Box<dyn FnMut(usize, usize) -> Round + 'a>,
    /// How many settings with several pictures in flight there are to try; they come first.
    pub(crate) busy: usize,
    /// How many with one picture in flight, after those.
    pub(crate) lone: usize,
}

/// One side of a comparison.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Sources a second with all cores, round by round.
    pub(crate) per_second: Vec<f64>,
    /// With one picture at a time: the median, ms.
    pub(crate) lone_ms: f64,
    pub(crate) bytes_each: f64,
    /// Queue, decode, passes, encode of one source, one at a time, ms.
    pub(crate) stages_ms: [f64; 4],
    /// The number of the setting that was best with several pictures in flight.
    pub(crate) best: usize,
}

impl Figures {
    pub(crate) fn rate(&self) -> f64 {
        median(&self.per_second)
    }
}

/// Ratios of the first side to the second, round by round.
pub(crate) fn ratios(ours: &Figures, other: &Figures) -> Vec<f64> {
    ours.per_second.iter().zip(&other.per_second).map(|(ours, other)| ours / other).collect()
}

/// Every side in its best setting, in turns.
pub(crate) fn in_turns(sides: &mut [Side<'_>]) -> Vec<Figures> {
    let mut figures = vec![Figures::default(); sides.len()];
    let mut passes = Vec::new();
    let mut lone = Vec::new();
    for (side, figures) in sides.iter_mut().zip(&mut figures) {
        // Warm: files in the page cache, buffers grown, code compiled.
        let first = (side.run)(1, 0);
        let enough = |round: &Round, seconds: f64| (seconds / (round.seconds)).ceil().max(1.0);
        // At least half a round each, or the choice is made by chance.
        let tries = whole(enough(&first, ROUND_S / 2.0));
        let best = |settings: std::ops::Range<usize>, run: &mut dyn FnMut(usize, usize) -> Round| {
            settings
                .map(|setting| (setting, run(tries, setting).per_second()))
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .expect("a setting at least")
        };
        let (setting, rate) = best(0..side.busy, &mut side.run);
        figures.best = setting;
        passes.push(whole((ROUND_S * rate / first.times_ms.len() as f64).ceil().max(1.0)));
        lone.push(best(side.busy..side.busy + side.lone, &mut side.run).0);
    }
    for _ in 0..ROUNDS {
        for ((side, figures), passes) in sides.iter_mut().zip(&mut figures).zip(&passes) {
            let round = (side.run)(*passes, figures.best);
            figures.per_second.push(round.per_second());
            figures.bytes_each = round.bytes_each();
        }
    }
    let mut alone = vec![Round::default(); sides.len()];
    for _ in 0..LONE_ROUNDS {
        for ((side, alone), setting) in sides.iter_mut().zip(&mut alone).zip(&lone) {
            alone.add((side.run)(1, *setting));
        }
    }
    for (figures, alone) in figures.iter_mut().zip(alone) {
        figures.stages_ms = alone.stages_ms.map(|sum| sum / alone.times_ms.len() as f64);
        figures.lone_ms = median(&alone.times_ms);
    }
    figures
}

#[expect(clippy::cast_possible_truncation, reason = "few")]
#[expect(clippy::cast_sign_loss, reason = "counts")]
fn whole(count: f64) -> usize {
    count as usize
}

/// The middle one; NaN of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => f64::NAN,
        _ => (values[(n - 1) / 2] + values[n / 2]) / 2.0,
    }
}

/// The lowest and the highest.
pub(crate) fn span(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)))
}

/// The most memory that a process ever held, bytes; 0 where the system does not say.
pub(crate) fn peak_bytes(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
