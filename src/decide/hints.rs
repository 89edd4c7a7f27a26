//! What a client tells of itself in request headers, as facts.
//!
//! Invariants: a hint that cannot be understood, is too long or is sent twice is as good as absent, and told of in
//! [`Hints::malformed`]; what is absent never degrades a reply; only what is named counts, so `*/*` and `image/*` prove
//! nothing (protocol.md 4.5).

use crate::limits;
use crate::pixel::Ratio;

/// Facts about one client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `Accept` names `image/avif` and does not refuse it.
    pub avif: bool,
    /// `Accept` names `image/webp` and does not refuse it.
    pub webp: bool,
    /// Device pixels per CSS pixel: `Sec-CH-DPR`, else `DPR`.
    pub dpr: Option<Ratio>,
    /// Width the picture is shown at, device pixels: `Sec-CH-Width`, else `Width`.
    pub width: Option<u32>,
    /// Width of the viewport, CSS pixels: `Sec-CH-Viewport-Width`, else `Viewport-Width`.
    pub viewport_width: Option<u32>,
    /// `Save-Data: on`.
    pub save_data: bool,
    /// `ECT`.
    pub ect: Option<Ect>,
    /// `Downlink`, kbit/s.
    pub downlink_kbps: Option<u32>,
    /// `RTT`, ms.
    pub rtt_ms: Option<u32>,
    /// Those of [`Self::HEADERS`] that were sent and count as absent, each once.
    pub malformed: Vec<&'static str>,
}

/// Effective connection type of the Network Information API, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ect {
    /// `slow-2g`
    Slow2g,
    /// `2g`
    TwoG,
    /// `3g`
    ThreeG,
    /// `4g`
    FourG,
}

impl Hints {
    /// The headers that are read beside `Accept`. Each is one item: a second line of it makes it none [RFC 9651, 4.2].
    pub const HEADERS: [&'static str; 10] = [
        "sec-ch-dpr",
        "dpr",
        "sec-ch-width",
        "width",
        "sec-ch-viewport-width",
        "viewport-width",
        "save-data",
        "ect",
        "downlink",
        "rtt",
    ];

    /// Facts from header lines, names in any case.
    pub fn from_headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut accept = Accept::default();
        let mut lines = Lines::default();
        for (name, value) in headers {
            if name.eq_ignore_ascii_case("accept") {
                accept.read(value);
            } else {
                lines.add(name, value.trim());
            }
        }
        // The names of today win over those they replaced.
        let [dpr, old_dpr] = ["sec-ch-dpr", "dpr"].map(|name| lines.read(name, dpr));
        let [width, old_width] = ["sec-ch-width", "width"].map(|name| lines.read(name, px));
        let [viewport, old_viewport] = ["sec-ch-viewport-width", "viewport-width"].map(|name| lines.read(name, px));
        Self {
            avif: accept.avif == Named::Wanted,
            webp: accept.webp == Named::Wanted,
            dpr: dpr.or(old_dpr),
            width: width.or(old_width),
            viewport_width: viewport.or(old_viewport),
            save_data: lines.read("save-data", switch) == Some(true),
            ect: lines.read("ect", ect),
            // Mbit/s, so its thousandths are kbit/s.
            downlink_kbps: lines.read("downlink", decimal_millis),
            rtt_ms: lines.read("rtt", whole),
            malformed: lines.malformed,
        }
    }
}

/// The lines of each hint that were sent.
#[derive(Debug, Default)]
struct Lines<'a> {
    of: [Sent<'a>; Hints::HEADERS.len()],
    malformed: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Sent<'a> {
    #[default]
    Never,
    Once(&'a str),
    Repeatedly,
}

impl<'a> Lines<'a> {
    fn add(&mut self, name: &str, value: &'a str) {
        let Some(i) = Hints::HEADERS.iter().position(|known| known.eq_ignore_ascii_case(name)) else { return };
        self.of[i] = match self.of[i] {
            Sent::Never => Sent::Once(value),
            Sent::Once(_) | Sent::Repeatedly => Sent::Repeatedly,
        };
    }

    /// What the header says; what cannot be understood is noted and says nothing.
    fn read<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let of_name = Hints::HEADERS.iter().zip(self.of).find(|(known, _)| **known == name);
        let value = match of_name.map_or(Sent::Never, |(_, sent)| sent) {
            Sent::Never => return None,
            Sent::Once(value) if value.len() <= limits::HINT_BYTES_MAX => parse(value),
            Sent::Once(_) | Sent::Repeatedly => None,
        };
        if value.is_none() {
            self.malformed.push(name);
        }
        value
    }
}

/// What `Accept` says of one type. Refused once is refused: nothing is lost by the format asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    #[default]
    Not,
    Wanted,
    Refused,
}

#[derive(Debug, Default)]
struct Accept {
    avif: Named,
    webp: Named,
}

impl Accept {
    /// One line of media ranges [RFC 9110, section 12.5.1].
    fn read(&mut self, line: &str) {
        for range in line.split(',') {
            let mut items = range.split(';');
            let named = match items.next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
                "image/avif" => &mut self.avif,
                "image/webp" => &mut self.webp,
                _ => continue,
            };
            // The first `q` ends the parameters of the type.
            let weight = items.find_map(|item| {
                let (name, value) = item.split_once('=')?;
                name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
            });
            let wanted = weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|q| q > 0.0 && q <= 1.0));
            *named = (*named).max(if wanted { Named::Wanted } else { Named::Refused });
        }
    }
}

/// A ratio above 0, at most [`limits::HINT_DPR_MAX`].
fn dpr(value: &str) -> Option<Ratio> {
    let millis = decimal_millis(value)?;
    (millis > 0 && millis <= limits::HINT_DPR_MAX * 1000).then(|| Ratio::new(i128::from(millis), 1000))
}

/// Whole pixels; fractions are rounded up.
fn px(value: &str) -> Option<u32> {
    let px = decimal_millis(value)?.div_ceil(1000);
    (1..=limits::VIEW_SIDE_MAX).contains(&px).then_some(px)
}

/// Whole numbers of at most nine digits.
fn whole(value: &str) -> Option<u32> {
    let is_whole = (1..=9).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    is_whole.then(|| value.parse().ok()).flatten()
}

/// `Save-Data` as a token, which browsers send, or as a boolean.
fn switch(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "on" | "?1" => Some(true),
        "off" | "?0" => Some(false),
        _ => None,
    }
}

/// A number of at most six digits before the point, in thousandths; later digits are cut off.
fn decimal_millis(value: &str) -> Option<u32> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 6 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let thousandths = fraction.bytes().chain(*b"000").take(3).fold(0, |sum, b| 10 * sum + u32::from(b - b'0'));
    Some(whole.parse::<u32>().ok()? * 1000 + thousandths)
}

fn ect(value: &str) -> Option<Ect> {
    match value {
        "slow-2g" => Some(Ect::Slow2g),
        "2g" => Some(Ect::TwoG),
        "3g" => Some(Ect::ThreeG),
        "4g" => Some(Ect::FourG),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: &str) -> Hints {
        Hints::from_headers([(name, value)])
    }

    #[test]
    fn only_named_types_with_weight_count() {
        for (accept, avif, webp) in [
            ("image/avif,image/webp,image/apng,*/*;q=0.8", true, true),
            ("image/webp;q=0", false, false),
            ("image/webp;q=0.000, image/avif;q=0.001", true, false),
            ("IMAGE/WebP ; Q=1", false, true),
            ("image/webp;v=1;q=0.5", false, true),
            ("*/*", false, false),
            ("image/*", false, false),
            ("", false, false),
            ("image/webp;q=", false, false),
            ("image/webp;q=nan", false, false),
            ("image/webp;q=2", false, false),
            ("image/webp, image/webp;q=0", false, false),
            ("ximage/webp", false, false),
            ("image/webpx", false, false),
            ("text/html;x=\"image/webp\"", false, false),
        ] {
            let hints = of("Accept", accept);
            assert_eq!((hints.avif, hints.webp), (avif, webp), "{accept:?}");
        }
        let two = Hints::from_headers([("accept", "image/avif"), ("ACCEPT", "image/webp")]);
        assert!(two.avif && two.webp, "lines of one header are one list");
    }

    #[test]
    fn what_cannot_be_understood_is_absent_and_told() {
        let digits = format!("2.{}", "0".repeat(64 << 10));
        for bad in ["", "-1", "0", "1e3", "1e9", "nan", "inf", "two", "1,5", "9999999", "101", " ", "+2", &digits] {
            let hints = of("Sec-CH-DPR", bad);
            assert_eq!((hints.dpr, hints.malformed.as_slice()), (None, &["sec-ch-dpr"][..]), "{bad:.40?}");
        }
        for (name, bad) in [
            ("DPR", "abc"),
            ("Sec-CH-Width", "wide"),
            ("Width", "65536"),
            ("Sec-CH-Viewport-Width", "0"),
            ("Viewport-Width", "-1"),
            ("Save-Data", "maybe"),
            ("ECT", "5g"),
            ("Downlink", "fast"),
            ("RTT", "-5"),
            ("RTT", "+5"),
            ("RTT", "9999999999"),
        ] {
            let hints = of(name, bad);
            assert_eq!(hints.malformed, [name.to_ascii_lowercase()], "{bad:?}");
            assert_eq!(Hints { malformed: Vec::new(), ..hints }, Hints::default(), "{name}: {bad:?}");
        }
        for (name, good) in
            [("DPR", "1.5"), ("Width", "640"), ("Downlink", "0.25"), ("RTT", "50"), ("Save-Data", "off")]
        {
            assert!(of(name, good).malformed.is_empty(), "{name}: {good:?}");
        }
        assert_eq!(of("DPR", "1.5").dpr, Some(Ratio::new(3, 2)));
        assert_eq!(of("Sec-CH-DPR", "2.6259999275207523").dpr, Some(Ratio::new(2625, 1000)));
        assert_eq!(of("Width", "640").width, Some(640));
        assert_eq!(of("Downlink", "0.25").downlink_kbps, Some(250));
        assert!(of("Save-Data", "on").save_data && !of("Save-Data", "off").save_data);
    }

    #[test]
    fn names_of_today_win_and_two_lines_of_one_name_are_none() {
        let both = [("DPR", "3"), ("Sec-CH-DPR", "2")];
        assert_eq!(Hints::from_headers(both).dpr, Some(Ratio::int(2)));
        assert_eq!(Hints::from_headers(both.into_iter().rev()).dpr, Some(Ratio::int(2)), "in any order");
        let one_is_bad = Hints::from_headers([("DPR", "3"), ("Sec-CH-DPR", "1e9")]);
        assert_eq!((one_is_bad.dpr, one_is_bad.malformed.as_slice()), (Some(Ratio::int(3)), &["sec-ch-dpr"][..]));
        let twice = Hints::from_headers([("dpr", "2"), ("DPR", "2"), ("Dpr", "x")]);
        assert_eq!((twice.dpr, twice.malformed.as_slice()), (None, &["dpr"][..]), "counted once");
    }
}
