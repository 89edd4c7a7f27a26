//! What a client tells of itself in request headers, as facts.
//!
//! Invariants: a header that cannot be understood is as good as absent, and what is absent never degrades a reply;
//! only what is named counts, so `*/*` and `image/*` prove nothing (protocol.md 4.5).

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
    /// Facts from header lines, names in any case.
    pub fn from_headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut hints = Self::default();
        // The names of today win over those they replaced, whatever the order.
        let mut old = Self::default();
        let mut accept = Accept::default();
        for (name, value) in headers {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "accept" => accept.read(value),
                "sec-ch-dpr" => hints.dpr = dpr(value),
                "dpr" => old.dpr = dpr(value),
                "sec-ch-width" => hints.width = px(value),
                "width" => old.width = px(value),
                "sec-ch-viewport-width" => hints.viewport_width = px(value),
                "viewport-width" => old.viewport_width = px(value),
                "save-data" => hints.save_data = value.eq_ignore_ascii_case("on") || value == "?1",
                "ect" => hints.ect = ect(value),
                "downlink" => hints.downlink_kbps = kbps(value),
                "rtt" => hints.rtt_ms = value.parse().ok(),
                _ => {}
            }
        }
        hints.avif = accept.avif == Named::Wanted;
        hints.webp = accept.webp == Named::Wanted;
        hints.dpr = hints.dpr.or(old.dpr);
        hints.width = hints.width.or(old.width);
        hints.viewport_width = hints.viewport_width.or(old.viewport_width);
        hints
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

/// Mbit/s to kbit/s.
fn kbps(value: &str) -> Option<u32> {
    decimal_millis(value)
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
    fn what_cannot_be_understood_is_absent() {
        for bad in ["", "-1", "0", "1e3", "nan", "inf", "two", "1,5", "9999999", "101", " ", "+2"] {
            assert_eq!(of("Sec-CH-DPR", bad).dpr, None, "{bad:?}");
        }
        assert_eq!(of("DPR", "1.5").dpr, Some(Ratio::new(3, 2)));
        assert_eq!(of("Sec-CH-DPR", "2.6259999275207523").dpr, Some(Ratio::new(2625, 1000)));
        let both = [("DPR", "3"), ("Sec-CH-DPR", "2")];
        assert_eq!(Hints::from_headers(both).dpr, Some(Ratio::int(2)));
        assert_eq!(Hints::from_headers(both.into_iter().rev()).dpr, Some(Ratio::int(2)), "in any order");
        assert_eq!(of("Width", "640").width, Some(640));
        assert_eq!(of("Width", "65536").width, None);
        assert_eq!(of("Downlink", "0.25").downlink_kbps, Some(250));
        assert_eq!(of("RTT", "-5").rtt_ms, None);
        assert_eq!(of("ECT", "5g").ect, None);
        assert!(of("Save-Data", "on").save_data && !of("Save-Data", "off").save_data);
    }
}
