//! Path data of `clipPath` and `clipXPath`: SVG's `M L C Z` and their small forms, separated by commas (protocol.md 2.4).

use super::Refused;
use super::read::real;
use crate::limits;
use crate::pixel::Ratio;
use crate::pixel::path::{Outline, Path, Piece, Point};
use crate::plan::SourcePath;

/// Units of a path in a pixel of what it clips, as in one of the source.
pub(super) const UNITS_PER_PX: i64 = SourcePath::UNITS_PER_PX;
/// No coordinate is further away than this, px: no picture is larger.
const FAR_PX: i64 = 1_000_000;

/// Reads path data; points in [`UNITS_PER_PX`].
///
/// A letter stands before its first number, and goes on for as many numbers as follow; what follows `M` is `L`. The first
/// `m` counts from 0,0, a later one from where the last outline started if it was closed, else from its last point.
pub(super) fn read(text: &str) -> Result<Path, Refused> {
    let mut reader = Reader::default();
    for item in text.split(',') {
        let (letter, number) = match item.chars().next() {
            Some(letter) if letter.is_ascii_alphabetic() => (Some(letter), &item[1..]),
            _ => (None, item),
        };
        if let Some(letter) = letter {
            reader.command(letter)?;
        }
        match (number, letter) {
            ("", Some(_)) => {}
            (number, _) => reader.number(number)?,
        }
    }
    reader.finish()
}

/// What one letter asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Move,
    Line,
    Curve,
}

#[derive(Default)]
struct Reader {
    outlines: Vec<Outline>,
    /// What the next numbers belong to, and whether they count from the point before.
    verb: Option<(Verb, bool)>,
    /// Whether none of its numbers has come yet.
    is_waiting: bool,
    /// Numbers of a verb that is not complete yet.
    numbers: Vec<i64>,
    at: Point,
    /// Whether the next line or curve begins an outline where the last one began.
    is_closed: bool,
    points: usize,
}

impl Reader {
    fn command(&mut self, letter: char) -> Result<(), Refused> {
        let verb = match letter.to_ascii_lowercase() {
            'm' => Verb::Move,
            'l' => Verb::Line,
            'c' => Verb::Curve,
            'z' => return self.close(),
            _ => return Err(Refused::Bad),
        };
        self.end()?;
        // A path begins somewhere.
        if self.outlines.is_empty() && verb != Verb::Move {
            return Err(Refused::Bad);
        }
        (self.verb, self.is_waiting) = (Some((verb, letter.is_ascii_lowercase())), true);
        Ok(())
    }

    /// The end of a letter's numbers: some, and as many as it takes.
    fn end(&self) -> Result<(), Refused> {
        if self.is_waiting || !self.numbers.is_empty() { Err(Refused::Bad) } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), Refused> {
        self.end()?;
        let outline = self.outlines.last().filter(|_| !self.is_closed).ok_or(Refused::Bad)?;
        (self.at, self.is_closed, self.verb) = (outline.start, true, None);
        Ok(())
    }

    fn number(&mut self, text: &str) -> Result<(), Refused> {
        const DECIMALS: usize = 6;
        let (verb, is_relative) = self.verb.ok_or(Refused::Bad)?;
        let units = real(text, DECIMALS).ok_or(Refused::Bad)?.times(Ratio::int(UNITS_PER_PX)).round();
        self.numbers.push(units);
        let wanted = if verb == Verb::Curve { 6 } else { 2 };
        if self.numbers.len() < wanted {
            return Ok(());
        }
        self.is_waiting = false;
        let from = if is_relative { self.at } else { [0; 2] };
        let numbers = std::mem::take(&mut self.numbers);
        let points: Vec<Point> = numbers.as_chunks::<2>().0.iter().map(|[x, y]| [from[0] + x, from[1] + y]).collect();
        let far = FAR_PX * UNITS_PER_PX;
        self.points += points.len();
        if self.points > limits::PATH_POINTS_MAX || points.as_flattened().iter().any(|v| v.abs() > far) {
            return Err(Refused::Bad);
        }
        match (verb, points.as_slice()) {
            (Verb::Move, &[to]) => {
                self.outlines.push(Outline { start: to, pieces: Vec::new() });
                (self.at, self.is_closed, self.verb) = (to, false, Some((Verb::Line, is_relative)));
            }
            (Verb::Line, &[to]) => self.piece(Piece::Line(to))?,
            (Verb::Curve, &[a, b, to]) => self.piece(Piece::Curve([a, b, to]))?,
            // As many points as the verb has.
            (Verb::Move | Verb::Line | Verb::Curve, _) => return Err(Refused::Bad),
        }
        Ok(())
    }

    fn piece(&mut self, piece: Piece) -> Result<(), Refused> {
        if self.is_closed {
            self.outlines.push(Outline { start: self.at, pieces: Vec::new() });
            self.is_closed = false;
        }
        self.at = piece.end();
        self.outlines.last_mut().ok_or(Refused::Bad)?.pieces.push(piece);
        Ok(())
    }

    fn finish(mut self) -> Result<Path, Refused> {
        self.end()?;
        if self.outlines.is_empty() {
            return Err(Refused::Bad);
        }
        self.outlines.retain(|outline| !outline.pieces.is_empty());
        Ok(Path { outlines: self.outlines })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In pixels, as SVG path data with absolute coordinates.
    fn shown(text: &str) -> String {
        let point = |[x, y]: Point| format!("{},{}", x as f64 / 65_536.0, y as f64 / 65_536.0);
        let path = read(text).unwrap_or_else(|_| panic!("{text}"));
        let outline = |outline: &Outline| {
            let pieces = outline.pieces.iter().map(|piece| match *piece {
                Piece::Line(to) => format!("L{}", point(to)),
                Piece::Curve([a, b, to]) => format!("C{},{},{}", point(a), point(b), point(to)),
            });
            format!("M{}{}", point(outline.start), pieces.collect::<String>())
        };
        path.outlines.iter().map(outline).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn letters_mean_what_the_reference_says() {
        for (text, want) in [
            ("M10,10,L90,10,L50,80,Z", "M10,10L90,10L50,80"),
            ("m10,10,l80,0,-40,70", "M10,10L90,10L50,80"),
            ("M0,0,L500,0,L500,500,L0,500,Z", "M0,0L500,0L500,500L0,500"),
            ("M1,2,3,4,c1,0,2,0,3,1.5", "M1,2L3,4C4,4,5,4,6,5.5"),
            // A later m counts from the start of an outline that was closed, else from its last point.
            ("M10,10,l5,0,0,5,z,m1,1,l9,9", "M10,10L15,10L15,15 M11,11L20,20"),
            ("M10,10,l5,0,0,5,m1,1,l9,9", "M10,10L15,10L15,15 M16,16L25,25"),
            ("M10,10,l5,0,0,5,Z,l-3,1", "M10,10L15,10L15,15 M10,10L7,11"),
            ("M-1000000,1000000,L.5,-.25", "M-1000000,1000000L0.5,-0.25"),
            ("M7,7", ""),
            ("M,1,1,L,2,2", "M1,1L2,2"),
            ("M1,1,L.5,-.25,c0,0,1,1,2,2,z,l1,1", "M1,1L0.5,-0.25C0.5,-0.25,1.5,0.75,2.5,1.75 M1,1L2,2"),
            ("M7,7,Z,M-1,-.5,L2,2,1,0", "M-1,-0.5L2,2L1,0"),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "",
            ",",
            "M",
            "M,",
            "Z",
            "L1,1",
            "10,10",
            "M1",
            "M1,1,L2",
            "M1,1,C1,1,2,2",
            "M1,1,Q1,1,2,2",
            "M1,1,2,2,Z,Z",
            "M1,1,2,2,Z,3,3",
            "M1 1",
            "M1,1L2,2",
            "M1,1,,2,2",
            "M1e3,1",
            "MM1,1",
            "M1000001,0",
            "M900000,0,l200000,0",
            "M1,1,L",
            "MNaN,1",
            "M1,1,é",
            "M1,1,L2,2,",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
        let long = format!("M0,0{}", ",1,1".repeat(limits::PATH_POINTS_MAX));
        assert!(read(&long).is_err() && read(&long[..long.len() - 4]).is_ok());
    }
}
