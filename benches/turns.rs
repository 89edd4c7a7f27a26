//! Two things timed in turns, so that both meet the same machine: shared by benches.

use std::time::{Duration, Instant};

/// Times `a` and `b` in turns, so that whatever else the machine does falls on both; prints both medians and their
/// ratio.
pub(crate) fn alternate(a_name: &str, mut a: impl FnMut(), b_name: &str, mut b: impl FnMut()) {
    const WARM: usize = 3;
    const ROUNDS: usize = 61;
    let (mut a_times, mut b_times) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    for round in 0..WARM + ROUNDS {
        let (at, bt) = (time(&mut a), time(&mut b));
        if round >= WARM {
            a_times.push(at);
            b_times.push(bt);
        }
    }
    let (at, bt) = (median(&mut a_times), median(&mut b_times));
    let (quarter, three) = (ROUNDS / 4, ROUNDS - 1 - ROUNDS / 4);
    println!(
        "  {a_name} {} ({} to {}) | {b_name} {} ({} to {}) | ratio {:.2}",
        ms(at),
        ms(a_times[quarter]),
        ms(a_times[three]),
        ms(bt),
        ms(b_times[quarter]),
        ms(b_times[three]),
        at.as_secs_f64() / bt.as_secs_f64()
    );
}

pub(crate) fn once(name: &str, mut a: impl FnMut()) {
    let mut times: Vec<Duration> = (0..15).map(|_| time(&mut a)).collect();
    println!("  {name}: {}", ms(median(&mut times)));
}

pub(crate) fn time(work: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

pub(crate) fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

pub(crate) fn ms(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}
