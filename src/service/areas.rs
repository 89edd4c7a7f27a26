//! Image maps: where the areas of a source come to lie in a view of it (`req=map`).

use crate::pixel::Ratio;
use crate::request::Layout;

/// HTML `AREA` elements whose coordinates are pixels of the source, with those of the view in their place. What is no
/// number in a list of coordinates leaves that list as it is. `None`: the picture is turned or mirrored, and areas are not
/// yet.
pub(super) fn transformed(areas: &str, layout: &Layout) -> Option<String> {
    let mut out = String::with_capacity(areas.len());
    let mut rest = areas;
    while let Some(at) = rest.find('<') {
        let end = rest[at..].find('>').map_or(rest.len(), |end| at + end + 1);
        out.push_str(&rest[..at]);
        out.push_str(&element(&rest[at..end], layout)?);
        rest = &rest[end..];
    }
    out.push_str(rest);
    Some(out)
}

/// One element, from `<` to `>`.
fn element(text: &str, layout: &Layout) -> Option<String> {
    let Some((before, coords, after)) = attribute(text, "coords") else { return Some(text.to_owned()) };
    let is_circle =
        attribute(text, "shape").is_some_and(|(_, shape, _)| shape.to_ascii_lowercase().starts_with("circ"));
    let numbers: Option<Vec<i64>> = coords.split(',').map(|number| whole(number.trim())).collect();
    match numbers {
        Some(numbers) => {
            let moved: Vec<String> = moved(&numbers, is_circle, layout)?.iter().map(ToString::to_string).collect();
            Some(format!("{before}{}{after}", moved.join(",")))
        }
        None => Some(text.to_owned()),
    }
}

fn moved(numbers: &[i64], is_circle: bool, layout: &Layout) -> Option<Vec<i64>> {
    let place = |(i, &number): (usize, &i64)| {
        let (at, growth) = layout.place(i % 2, number)?;
        Some(if is_circle && i == 2 { Ratio::int(number).times(growth).round() } else { at })
    };
    numbers.iter().enumerate().map(place).collect()
}

/// A number as maps have it; what lies behind a decimal point is less than a pixel.
fn whole(text: &str) -> Option<i64> {
    const MOST: i64 = 1 << 31;
    let text = text.split_once('.').map_or(text, |(whole, _)| whole);
    text.parse().ok().filter(|number| (-MOST..=MOST).contains(number))
}

/// What stands before, in and after the value of an attribute in quotes.
fn attribute<'t>(text: &'t str, name: &str) -> Option<(&'t str, &'t str, &'t str)> {
    // Same length in bytes: only ASCII letters change.
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    loop {
        let at = from + lower[from..].find(name)?;
        from = at + name.len();
        let is_whole = lower[..at].ends_with(|c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\''));
        let value = lower[from..].trim_start().strip_prefix('=').map(str::trim_start);
        let quote = value.and_then(|value| value.chars().next()).filter(|c| matches!(c, '"' | '\''));
        if let (true, Some(value), Some(quote)) = (is_whole, value, quote) {
            let start = text.len() - value.len() + 1;
            let end = start + text[start..].find(quote)?;
            return Some((&text[..start], &text[start..end], &text[end..]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Company, SourceRoot};
    use crate::pixel::Size;
    use crate::request::{self, Screen};

    fn of(query: &str, areas: &str) -> String {
        placed(query, areas).expect("neither turned nor mirrored")
    }

    fn placed(query: &str, areas: &str) -> Option<String> {
        let company = Company::new("Co", SourceRoot::Nothing);
        let commands = request::parse(query, &company).unwrap();
        let screen = Screen { ratio: Ratio::ONE, width_max: None };
        let layout = request::layout(&commands, Size::new(1000, 500), &company, &screen).unwrap();
        transformed(areas, &layout)
    }

    #[test]
    fn coordinates_follow_the_view() {
        let rect = "<AREA shape=\"rect\" coords=\"100, 50,200,100.9\" href=\"x?coords=1\">";
        assert_eq!(of("wid=500", rect), "<AREA shape=\"rect\" coords=\"50,25,100,50\" href=\"x?coords=1\">");
        assert_eq!(of("crop=100,50,100,100&scl=0.5", "<area coords='100,50,150,75'/>"), "<area coords='0,0,100,50'/>");
        // 100 px of padding above and below.
        assert_eq!(of("wid=400&hei=400", "<area coords='0,0,500,250'>"), "<area coords='0,100,200,200'>");
        assert_eq!(of("size=500,0&scl=1", "<area coords='100,50,200,100'>"), "<area coords='50,25,100,50'>");
        assert_eq!(placed("rotate=90", "<area coords='1,2'>"), None);
        assert_eq!(placed("flip=lr", "<area coords='1,2'>"), None);
        assert_eq!(
            of("wid=500", "a<area shape='circle' coords='10,20,30'>b<area SHAPE='poly' COORDS='2,4,6,8,10,12'>c"),
            "a<area shape='circle' coords='5,10,15'>b<area SHAPE='poly' COORDS='1,2,3,4,5,6'>c"
        );
    }

    #[test]
    fn what_is_no_map_stays_as_it_is() {
        for text in
            ["", "plain", "<area>", "<area coords=1,2>", "<area coords='1,x'>", "<area coords='1,2", "<<>>é<é coords"]
        {
            assert_eq!(of("wid=500", text), text);
        }
        assert_eq!(of("wid=500", "<area xcoords='2' coords='2,2'>"), "<area xcoords='2' coords='1,1'>");
    }
}
