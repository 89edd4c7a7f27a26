//! Does Smart Imaging keep the look? The judging half of the corpus, against libjpeg-turbo's JPEG of the same `qlt`.

#[path = "../../benches/calibrate/pictures.rs"]
pub(crate) mod pictures;

use pictures::{Product, Served, at_height, mean, on_all_cores, served, summary};

use crate::codecs::corpus;
use crate::http::has_tool;

#[test]
fn what_is_served_looks_like_the_jpeg_that_was_asked_for() {
    let Some(corpus) = corpus() else { return };
    if !has_tool("cjpeg") || !has_tool("avifdec") {
        return;
    }
    let cases = at_height(&corpus, false, 500);
    assert!(cases.len() > 30, "{}", cases.len());
    let product = Product::new(&corpus);
    for (accept, saved_least) in [("image/webp", 0.2), ("image/avif", 0.35)] {
        let results = on_all_cores(&cases, |case| served(&product, case, accept, 85));
        let results: Vec<&Served> = results.iter().collect();
        println!("{accept}: {}", summary(&results));
        for (case, served) in cases.iter().zip(&results) {
            println!("  {} {:+.2}, {:.1} %", case.name, served.above[0], 100.0 * served.saved[0]);
        }
        let score = mean(results.iter().map(|s| s.above[0]));
        let saved = mean(results.iter().map(|s| s.saved[0]));
        let worse = mean(results.iter().map(|s| f64::from(u8::from(s.above[0] < -2.0))));
        let fine = score >= -0.5 && worse <= 0.05 && saved >= saved_least;
        assert!(fine, "{accept}: {score:+.2}, {worse:.2} worse than -2, {:.1} % saved", 100.0 * saved);
    }
}
