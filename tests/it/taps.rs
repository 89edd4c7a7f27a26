//! Are the weights right? `data/taps.txt` holds a few windows of every filter, printed to 6 digits; `UPDATE=1` rewrites
//! it.

use std::fmt::Write as _;
use std::path::Path;

use calotype::kernel::{Axis, Edge, Kernel, Taps};
use calotype::pixel::Ratio;

/// Source and output lengths: enlarged, kept, reduced by a whole number, by a fraction, by a lot, to and from one.
const LENGTHS: [(u32, u32); 9] = [(4, 10), (6, 6), (12, 4), (10, 7), (17, 5), (64, 3), (1, 3), (5, 1), (2048, 754)];

#[test]
fn tables_are_as_written_down() {
    let mut out = String::from("# kernel source→output: output sample: first source sample, weights\n");
    for kernel in Kernel::ALL {
        for (src_len, dst_len) in LENGTHS {
            let taps = Taps::new(kernel, &Axis::whole(src_len, dst_len));
            writeln!(out, "\n{kernel} {src_len}→{dst_len}").expect("a String");
            for i in sample_of(dst_len) {
                let (first, weights) = taps.window(i as usize);
                write!(out, "{i}: {first}").expect("a String");
                for w in weights {
                    // No negative zeros: which sign a vanishing weight has is the last bit's business.
                    let rounded = format!("{w:.6}");
                    write!(out, " {}", if rounded == "-0.000000" { "0.000000" } else { &rounded }).expect("a String");
                }
                out.push('\n');
            }
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/taps.txt");
    if std::env::var_os("UPDATE").is_some_and(|v| v == "1") {
        std::fs::write(&path, &out).expect("tests/data is writable");
    }
    let want = std::fs::read_to_string(&path).expect("tests/data/taps.txt: UPDATE=1 writes it");
    let (mut got_lines, mut want_lines, mut title) = (out.lines(), want.lines(), "");
    loop {
        let (got, want) = (got_lines.next(), want_lines.next());
        title = got.filter(|line| line.contains('→')).unwrap_or(title);
        let (Some(got), Some(want)) = (got, want) else {
            assert_eq!(got, want, "one table is longer");
            break;
        };
        assert!(is_close(got, want), "{title}\n got {got}\nwant {want}");
    }
}

/// Equal words, or numbers a unit of the last digit apart: `sin` differs in its last bit between platforms.
fn is_close(got: &str, want: &str) -> bool {
    let (got, want): (Vec<&str>, Vec<&str>) = (got.split(' ').collect(), want.split(' ').collect());
    got.len() == want.len()
        && got.iter().zip(want).all(|(g, w)| {
            *g == w || matches!((g.parse::<f64>(), w.parse::<f64>()), (Ok(g), Ok(w)) if (g - w).abs() < 1.5e-6)
        })
}

/// The first two, the middle and the last.
fn sample_of(dst_len: u32) -> Vec<u32> {
    let mut samples = vec![0, 1, dst_len / 2, dst_len - 1];
    samples.retain(|i| *i < dst_len);
    samples.sort_unstable();
    samples.dedup();
    samples
}

#[test]
fn windows_lie_inside_the_source_and_sum_to_one() {
    for kernel in Kernel::ALL {
        for (src_len, dst_len) in LENGTHS.into_iter().chain([(4096, 1), (1, 4096), (4095, 4096), (4096, 4095)]) {
            let whole = Axis::whole(src_len, dst_len);
            let shifted = Axis { src_first: 3, origin: Ratio::new(-7, 3), ..whole };
            for axis in [whole, shifted] {
                let taps = Taps::new(kernel, &axis);
                assert_eq!(taps.dst_len(), dst_len as usize);
                for i in 0..taps.dst_len() {
                    let (first, weights) = taps.window(i);
                    let inside = axis.src_first as usize..(axis.src_first + axis.src_len) as usize;
                    assert!(inside.start <= first && first + weights.len() <= inside.end, "{kernel} {axis:?} {i}");
                    let sum: f64 = weights.iter().map(|w| f64::from(*w)).sum();
                    assert!((sum - 1.0).abs() < 1e-5, "{kernel} {axis:?} {i}: sums to {sum}");
                }
            }
        }
    }
}

/// Beyond a transparent end a window keeps its weights, so that what is left sums to the share inside.
#[test]
fn transparent_ends_fall_off() {
    for kernel in Kernel::ALL {
        let sums = |edge| {
            let axis = Axis { origin: Ratio::int(-4), edge, ..Axis::whole(8, 16) };
            let axis = Axis { step: Ratio::ONE, ..axis };
            let taps = Taps::new(kernel, &axis);
            (0..16).map(|i| taps.window(i).1.iter().sum::<f32>()).collect::<Vec<_>>()
        };
        let is_one = |sum: f32| (sum - 1.0).abs() < 1e-5;
        for (edge, first, last) in [
            (Edge::Renormalise, true, true),
            (Edge::Transparent, false, false),
            (Edge::TransparentFirst, false, true),
            (Edge::TransparentLast, true, false),
        ] {
            let sums = sums(edge);
            assert_eq!((is_one(sums[0]), is_one(sums[15])), (first, last), "{kernel} {edge:?}: {sums:?}");
            assert!(is_one(sums[8]), "{kernel} {edge:?}: the middle is inside");
        }
    }
}
