//! Profiles against Little CMS: its `jpgicc` converts the same files, CIEDE2000 says how far apart we are.

use std::path::Path;
use std::process::Command;

use calotype::pixel::{Image, Size};
use calotype::plan::DecodeAs;

use super::{corpus, decode_as, make};

#[test]
fn ciede2000_agrees_with_the_published_pairs() {
    // Sharma, Wu, Dalal: The CIEDE2000 Color-Difference Formula (2005), table 1.
    let pairs: [([f64; 3], [f64; 3], f64); 34] = [
        ([50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485], 2.0425),
        ([50.0, 3.1571, -77.2803], [50.0, 0.0, -82.7485], 2.8615),
        ([50.0, 2.8361, -74.0200], [50.0, 0.0, -82.7485], 3.4412),
        ([50.0, -1.3802, -84.2814], [50.0, 0.0, -82.7485], 1.0000),
        ([50.0, -1.1848, -84.8006], [50.0, 0.0, -82.7485], 1.0000),
        ([50.0, -0.9009, -85.5211], [50.0, 0.0, -82.7485], 1.0000),
        ([50.0, 0.0, 0.0], [50.0, -1.0, 2.0], 2.3669),
        ([50.0, -1.0, 2.0], [50.0, 0.0, 0.0], 2.3669),
        ([50.0, 2.4900, -0.0010], [50.0, -2.4900, 0.0009], 7.1792),
        ([50.0, 2.4900, -0.0010], [50.0, -2.4900, 0.0010], 7.1792),
        ([50.0, 2.4900, -0.0010], [50.0, -2.4900, 0.0011], 7.2195),
        ([50.0, 2.4900, -0.0010], [50.0, -2.4900, 0.0012], 7.2195),
        ([50.0, -0.0010, 2.4900], [50.0, 0.0009, -2.4900], 4.8045),
        ([50.0, -0.0010, 2.4900], [50.0, 0.0010, -2.4900], 4.8045),
        ([50.0, -0.0010, 2.4900], [50.0, 0.0011, -2.4900], 4.7461),
        ([50.0, 2.5, 0.0], [50.0, 0.0, -2.5], 4.3065),
        ([50.0, 2.5, 0.0], [73.0, 25.0, -18.0], 27.1492),
        ([50.0, 2.5, 0.0], [61.0, -5.0, 29.0], 22.8977),
        ([50.0, 2.5, 0.0], [56.0, -27.0, -3.0], 31.9030),
        ([50.0, 2.5, 0.0], [58.0, 24.0, 15.0], 19.4535),
        ([50.0, 2.5, 0.0], [50.0, 3.1736, 0.5854], 1.0000),
        ([50.0, 2.5, 0.0], [50.0, 3.2972, 0.0], 1.0000),
        ([50.0, 2.5, 0.0], [50.0, 1.8634, 0.5757], 1.0000),
        ([50.0, 2.5, 0.0], [50.0, 3.2592, 0.3350], 1.0000),
        ([60.2574, -34.0099, 36.2677], [60.4626, -34.1751, 39.4387], 1.2644),
        ([63.0109, -31.0961, -5.8663], [62.8187, -29.7946, -4.0864], 1.2630),
        ([61.2901, 3.7196, -5.3901], [61.4292, 2.2480, -4.9620], 1.8731),
        ([35.0831, -44.1164, 3.7933], [35.0232, -40.0716, 1.5901], 1.8645),
        ([22.7233, 20.0904, -46.6940], [23.0331, 14.9730, -42.5619], 2.0373),
        ([36.4612, 47.8580, 18.3852], [36.2715, 50.5065, 21.2231], 1.4146),
        ([90.8027, -2.0831, 1.4410], [91.1528, -1.6435, 0.0447], 1.4441),
        ([90.9257, -0.5406, -0.9208], [88.6381, -0.8985, -0.7239], 1.5381),
        ([6.7747, -0.2908, -2.4247], [5.8714, -0.0985, -2.2286], 0.6377),
        ([2.0776, 0.0795, -1.1350], [0.9033, -0.0636, -0.5514], 0.9082),
    ];
    for (a, b, want) in pairs {
        let got = ciede2000(a, b);
        assert!((got - want).abs() < 0.000_06, "{a:?} {b:?}: {got}, published {want}");
    }
}

#[test]
fn profiles_agree_with_little_cms() {
    if Command::new("jpgicc").output().is_err() {
        let required = ["CI", "REQUIRE_TOOLS"].iter().any(|v| std::env::var(v).is_ok_and(|v| v == "1" || v == "true"));
        assert!(!required, "jpgicc (Debian: liblcms2-utils) is not installed, and CI or REQUIRE_TOOLS says it must be");
        println!("jpgicc (Debian: liblcms2-utils) is not installed: nothing is compared");
        return;
    }
    let profile = make::cmyk_profile();
    let mut files = Vec::new();
    for (name, is_ycck) in [("computed CMYK", false), ("computed YCCK", true)] {
        let (jpeg, _) = make::cmyk_jpeg(Size::new(97, 83), is_ycck);
        files.push((name.to_owned(), make::with_segments(&jpeg, &make::icc_segments(&profile))));
    }
    if let Some(corpus) = corpus() {
        let read = |path: &str| std::fs::read(corpus.join(path)).expect(path);
        let own =
            ["jpeg-variants/Kiara_limited_progressive_four_components.jpg", "jpeg-variants/weird_sampling_2.jpeg"];
        files.extend(own.map(|path| (path.to_owned(), read(path))));
        // Without a profile jpgicc refuses inks, so both sides get the same one: that of the picture which has one.
        let press = icc_of(&read(own[0]));
        for path in ["jpeg-variants/cymk.jpg", "jpeg-variants/four_components.jpg"] {
            files.push((path.to_owned(), make::with_segments(&read(path), &make::icc_segments(&press))));
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    for (name, jpeg) in files {
        let (source, result) = (folder.path().join("source.jpg"), folder.path().join("result.jpg"));
        std::fs::write(&source, &jpeg).expect("written");
        let theirs = jpgicc(&source, &result);
        let ours = decode_as(&jpeg, DecodeAs::Rgb);
        let (mean, max) = distance(&ours, &theirs);
        println!("{name}: CIEDE2000 mean {mean:.3} max {max:.3}");
        assert!(mean <= 2.0, "{name}: mean CIEDE2000 {mean}");
        // What makes the comparison able to fail: another rendering of the inks is far away.
        let plain = decode_as(&without_icc(&jpeg), DecodeAs::Rgb);
        let (wrong, _) = distance(&plain, &theirs);
        assert!(wrong > mean * 2.0, "{name}: without its profile it is {wrong} away, with it {mean}");
    }
}

fn jpgicc(source: &Path, result: &Path) -> Image {
    let output = Command::new("jpgicc").arg("-q100").arg(source).arg(result).output().expect("jpgicc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    decode_as(&std::fs::read(result).expect("jpgicc's result"), DecodeAs::Rgb)
}

/// The profile in the APP2 segments of a JPEG.
fn icc_of(jpeg: &[u8]) -> Vec<u8> {
    segments(jpeg).filter_map(|(_, body)| body.strip_prefix(b"ICC_PROFILE\0")).flat_map(|b| b[2..].to_vec()).collect()
}

fn without_icc(jpeg: &[u8]) -> Vec<u8> {
    let mut out = jpeg.to_vec();
    for (at, body) in segments(jpeg) {
        if body.starts_with(b"ICC_PROFILE\0") {
            out[at] = b'X';
        }
    }
    out
}

/// Offsets and bodies of the segments before the first scan.
fn segments(jpeg: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 2;
    std::iter::from_fn(move || {
        while jpeg[at] == 0xff && jpeg[at + 1] == 0xff {
            at += 1;
        }
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        let body = (at + 4, &jpeg[at + 4..at + 2 + length]);
        let is_scan = jpeg[at + 1] == 0xda;
        at += 2 + length;
        (!is_scan).then_some(body)
    })
}

/// Mean and largest CIEDE2000 of two RGB pictures.
fn distance(a: &Image, b: &Image) -> (f64, f64) {
    assert_eq!(a.size(), b.size());
    let (a, b) = (a.to_interleaved(), b.to_interleaved());
    let (mut sum, mut max) = (0.0, 0.0_f64);
    for (a, b) in a.as_chunks::<3>().0.iter().zip(b.as_chunks::<3>().0) {
        let d = ciede2000(lab(*a), lab(*b));
        sum += d;
        max = max.max(d);
    }
    (sum / (a.len() / 3) as f64, max)
}

/// CIELAB under D65 of an sRGB colour (IEC 61966-2-1).
fn lab(rgb: [u8; 3]) -> [f64; 3] {
    let [r, g, b] = rgb.map(|v| {
        let v = f64::from(v) / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    });
    let f =
        |t: f64| if t > (6.0_f64 / 29.0).powi(3) { t.cbrt() } else { t * (29.0_f64 / 6.0).powi(2) / 3.0 + 4.0 / 29.0 };
    let x = f((0.412_456_4 * r + 0.357_576_1 * g + 0.180_437_5 * b) / 0.950_47);
    let y = f(0.212_672_9 * r + 0.715_152_2 * g + 0.072_175 * b);
    let z = f((0.019_333_9 * r + 0.119_192 * g + 0.950_304_1 * b) / 1.088_83);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// Source: Sharma, Wu, Dalal (2005), equations 2 to 22.
fn ciede2000([l1, a1, b1]: [f64; 3], [l2, a2, b2]: [f64; 3]) -> f64 {
    let seventh = |c: f64| (c.powi(7) / (c.powi(7) + 25_f64.powi(7))).sqrt();
    let g = 0.5 * (1.0 - seventh((a1.hypot(b1) + a2.hypot(b2)) / 2.0));
    let (a1, a2) = (a1 * (1.0 + g), a2 * (1.0 + g));
    let (c1, c2) = (a1.hypot(b1), a2.hypot(b2));
    let hue = |a: f64, b: f64| if a == 0.0 && b == 0.0 { 0.0 } else { b.atan2(a).to_degrees().rem_euclid(360.0) };
    let (h1, h2) = (hue(a1, b1), hue(a2, b2));
    let is_grey = c1 * c2 == 0.0;
    let dh = match h2 - h1 {
        _ if is_grey => 0.0,
        d if d > 180.0 => d - 360.0,
        d if d < -180.0 => d + 360.0,
        d => d,
    };
    let h_mean = match h1 + h2 {
        sum if is_grey => sum,
        sum if (h1 - h2).abs() <= 180.0 => sum / 2.0,
        sum if sum < 360.0 => (sum + 360.0) / 2.0,
        sum => (sum - 360.0) / 2.0,
    };
    let (dl, dc) = (l2 - l1, c2 - c1);
    let dh = 2.0 * (c1 * c2).sqrt() * (dh / 2.0).to_radians().sin();
    let (l_mean, c_mean) = ((l1 + l2) / 2.0, (c1 + c2) / 2.0);
    let cos = |degrees: f64| degrees.to_radians().cos();
    let t = 1.0 - 0.17 * cos(h_mean - 30.0) + 0.24 * cos(2.0 * h_mean) + 0.32 * cos(3.0 * h_mean + 6.0)
        - 0.20 * cos(4.0 * h_mean - 63.0);
    let turn = 30.0 * (-((h_mean - 275.0) / 25.0).powi(2)).exp();
    let rt = -2.0 * seventh(c_mean) * (2.0 * turn).to_radians().sin();
    let sl = 1.0 + 0.015 * (l_mean - 50.0).powi(2) / (20.0 + (l_mean - 50.0).powi(2)).sqrt();
    let (dl, dc, dh) = (dl / sl, dc / (1.0 + 0.045 * c_mean), dh / (1.0 + 0.015 * c_mean * t));
    (dl * dl + dc * dc + dh * dh + rt * dc * dh).sqrt()
}
