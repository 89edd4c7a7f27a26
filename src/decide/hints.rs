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
    /// `Accept` names `image/jp2` and does not refuse it.
    pub jpeg2000: bool,
    /// `Accept` names `image/jxr` or `image/vnd.ms-photo` and does not refuse it: Internet Explorer 11 and the first Edge.
    pub jpegxr: bool,
    /// What `User-Agent` tells of an old browser, whose `Accept` does not.
    pub legacy: Option<Legacy>,
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

/// Browsers that read a format of their own and name it nowhere (protocol.md 4.2, F6 and F7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Legacy {
    /// Safari before iOS 14 and before macOS 11: JPEG 2000.
    Safari,
    /// Edge before 18, Internet Explorer 9 and later: JPEG XR.
    Edge,
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
        let mut agent = "";
        let mut lines = Lines::default();
        for (name, value) in headers {
            if name.eq_ignore_ascii_case("accept") {
                accept.read(value);
            } else if name.eq_ignore_ascii_case("user-agent") {
                agent = value;
            } else {
                lines.add(name, value.trim());
            }
        }
        // The names of today win over those they replaced.
        let [dpr, old_dpr] = ["sec-ch-dpr", "dpr"].map(|name| lines.read(name, dpr));
        let [width, old_width] = ["sec-ch-width", "width"].map(|name| lines.read(name, px));
        let [viewport, old_viewport] = ["sec-ch-viewport-width", "viewport-width"].map(|name| lines.read(name, px));
        let (avif, webp) = (accept.avif == Named::Wanted, accept.webp == Named::Wanted);
        Self {
            avif,
            webp,
            jpeg2000: accept.jpeg2000 == Named::Wanted,
            jpegxr: accept.jpegxr == Named::Wanted,
            // Whoever names one of these is newer than he says, or is not who he says.
            legacy: legacy(agent).filter(|_| !avif && !webp),
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
    jpeg2000: Named,
    jpegxr: Named,
}

impl Accept {
    /// One line of media ranges [RFC 9110, section 12.5.1].
    fn read(&mut self, line: &str) {
        for range in line.split(',') {
            let mut items = range.split(';');
            let named = match items.next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
                "image/avif" => &mut self.avif,
                "image/webp" => &mut self.webp,
                "image/jp2" => &mut self.jpeg2000,
                "image/jxr" | "image/vnd.ms-photo" => &mut self.jpegxr,
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

/// The old browser that `User-Agent` names, if it is one of those that matter.
fn legacy(agent: &str) -> Option<Legacy> {
    // Crawlers call themselves telephones.
    if agent.to_ascii_lowercase().contains("bot") {
        return None;
    }
    let version = |after: &str| -> Option<u32> {
        let rest = &agent[agent.find(after)? + after.len()..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    };
    // Trident 5 is the engine of Internet Explorer 9; version 11 no longer says MSIE, or says 7 where it imitates it.
    if version("Edge/").is_some_and(|v| v < 18)
        || version("MSIE ").is_some_and(|v| v >= 9)
        || version("Trident/").is_some_and(|v| v >= 5)
    {
        return Some(Legacy::Edge);
    }
    // Every browser of iOS is Safari underneath.
    let ios = version("CPU iPhone OS ").or_else(|| version("CPU OS "));
    // On the Mac only Safari says Version/, and iPads say that they are Macs. Versions 14 and 15 ran on macOS 10 too, where
    // they read no WebP, and call both systems 10: what tells them apart is that only the newer names WebP in `Accept`.
    let mac = version("Version/").filter(|_| agent.contains("Macintosh") && agent.contains("Safari/"));
    let mac = mac.filter(|_| !agent.contains("Chrome/") && version("Mac OS X ").is_none_or(|system| system < 11));
    (ios.is_some_and(|v| v < 14) || mac.is_some_and(|v| v < 16)).then_some(Legacy::Safari)
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

    #[test]
    fn old_browsers_are_known_by_their_names() {
        use Legacy::{Edge, Safari};
        for (agent, want) in [
            // Safari on macOS 10: 5 to 13, and 14 and 15 on systems that have no WebP.
            (
                "(Macintosh; Intel Mac OS X 10_6_8) AppleWebKit/534.59.10 (KHTML, like Gecko) Version/5.1.9 Safari/534.59.10",
                Some(Safari),
            ),
            (
                "(Macintosh; Intel Mac OS X 10_15_4) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.1 Safari/605.1.15",
                Some(Safari),
            ),
            (
                "(Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.6.1 Safari/605.1.15",
                Some(Safari),
            ),
            (
                "(Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.0 Safari/605.1.15",
                None,
            ),
            // Some call macOS 11 by its name.
            (
                "(Macintosh; Intel Mac OS X 11_2_3) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/14.0.3 Safari/605.1.15",
                None,
            ),
            // iOS, whatever browser stands before it.
            (
                "(iPhone; CPU iPhone OS 13_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0.4 Mobile/15E148 Safari/604.1",
                Some(Safari),
            ),
            (
                "(iPad; CPU OS 9_3_5 like Mac OS X) AppleWebKit/601.1.46 (KHTML, like Gecko) Version/9.0 Mobile/13G36 Safari/601.1",
                Some(Safari),
            ),
            (
                "(iPhone; CPU iPhone OS 12_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/83.0.4103.88 Mobile/15E148 Safari/604.1",
                Some(Safari),
            ),
            (
                "(iPhone; CPU iPhone OS 14_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/14.0 Mobile/15E148 Safari/604.1",
                None,
            ),
            (
                "(iPad; CPU OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Mobile/15E148 Safari/604.1",
                None,
            ),
            // Others that call themselves Safari.
            (
                "(Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
                None,
            ),
            (
                "(Macintosh; Intel Mac OS X 10_11_6) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/31.0.1650.63 Safari/537.36",
                None,
            ),
            (
                "(Linux; U; Android 4.0.3; de-de) AppleWebKit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30",
                None,
            ),
            ("(Windows NT 6.1) AppleWebKit/534.57.2 (KHTML, like Gecko) Version/5.1.7 Safari/534.57.2", None),
            ("(Macintosh; Intel Mac OS X 10.15; rv:120.0) Gecko/20100101 Firefox/120.0", None),
            (
                "(iPhone; CPU iPhone OS 8_3 like Mac OS X) AppleWebKit/600.1.4 (KHTML, like Gecko) Version/8.0 Mobile/12F70 Safari/600.1.4 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                None,
            ),
            // Edge before it was Chromium, and Internet Explorer.
            (
                "(Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246",
                Some(Edge),
            ),
            (
                "(Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/58.0.3029.110 Safari/537.36 Edge/16.16299",
                Some(Edge),
            ),
            (
                "(Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763",
                None,
            ),
            (
                "(Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0",
                None,
            ),
            ("(Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", Some(Edge)),
            ("(compatible; MSIE 7.0; Windows NT 6.1; WOW64; Trident/7.0)", Some(Edge)),
            ("(compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)", Some(Edge)),
            ("(compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0)", Some(Edge)),
            ("(compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)", None),
            ("(compatible; MSIE 6.0; Windows NT 5.1)", None),
            ("(compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", None),
            // Nobody.
            ("(MSIE 99999999999; Edge/; Trident/x; CPU OS _; Macintosh Safari/ Version/)", None),
            ("", None),
        ] {
            let agent = format!("Mozilla/5.0 {agent}");
            assert_eq!(of("User-Agent", &agent).legacy, want, "{agent}");
            for modern in ["image/webp,image/png,*/*;q=0.8", "image/avif,*/*"] {
                let both = Hints::from_headers([("User-Agent", agent.as_str()), ("Accept", modern)]);
                assert_eq!(both.legacy, None, "{agent} {modern}");
            }
            let safari = "image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5";
            let both = Hints::from_headers([("Accept", safari), ("User-Agent", agent.as_str())]);
            assert_eq!(both.legacy, want, "{agent} {safari}");
        }
        for agent in ["curl/8.5.0", "calotype", "\u{e9}"] {
            assert_eq!(of("User-Agent", agent).legacy, None);
        }
    }

    #[test]
    fn old_formats_must_be_named_too() {
        for (accept, jpeg2000, jpegxr) in [
            ("image/png, image/svg+xml, image/jxr, image/*;q=0.8, */*;q=0.5", false, true),
            ("image/vnd.ms-photo", false, true),
            ("image/jp2, image/*", true, false),
            ("image/jp2;q=0, image/jxr;q=0.0", false, false),
            ("image/jpx, image/jpeg, image/*, */*", false, false),
        ] {
            let hints = of("Accept", accept);
            assert_eq!((hints.jpeg2000, hints.jpegxr), (jpeg2000, jpegxr), "{accept}");
        }
    }
}
