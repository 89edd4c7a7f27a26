//! Paths: closed outlines of lines and cubic Bézier curves, in whole units that whoever has one knows.

use super::Rect;

/// A place: across and down.
pub type Point = [i64; 2];

/// Any number of closed outlines. What lies inside is told by the even-odd rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path {
    /// Each of them.
    pub outlines: Vec<Outline>,
}

/// One outline. It ends where it starts, by a line if not by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outline {
    /// Where it starts.
    pub start: Point,
    /// Its pieces, each from where the last one ended.
    pub pieces: Vec<Piece>,
}

/// One piece of an outline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Straight to here.
    Line(Point),
    /// By two control points to the last one.
    Curve([Point; 3]),
}

impl Piece {
    /// Where it ends.
    pub fn end(&self) -> Point {
        match *self {
            Self::Line(end) | Self::Curve([.., end]) => end,
        }
    }
}

impl Path {
    /// The path with every point elsewhere.
    #[must_use]
    pub fn mapped(&self, to: impl Fn(Point) -> Point) -> Self {
        let piece = |piece: &Piece| match *piece {
            Piece::Line(end) => Piece::Line(to(end)),
            Piece::Curve(points) => Piece::Curve(points.map(&to)),
        };
        let outline = |Outline { start, pieces }: &Outline| Outline {
            start: to(*start),
            pieces: pieces.iter().map(piece).collect(),
        };
        Self { outlines: self.outlines.iter().map(outline).collect() }
    }

    /// Points in all, control points among them.
    pub fn points(&self) -> usize {
        let of = |piece: &Piece| if matches!(piece, Piece::Line(_)) { 1 } else { 3 };
        self.outlines.iter().map(|outline| 1 + outline.pieces.iter().map(of).sum::<usize>()).sum()
    }

    /// The box around it, curves and not their control points: least x and y, then largest. `None`: there is no point.
    pub fn bounds(&self) -> Option<[[f64; 2]; 2]> {
        let mut bounds = [[f64::INFINITY; 2], [f64::NEG_INFINITY; 2]];
        for Outline { start, pieces } in &self.outlines {
            let mut from = float(*start);
            reach(&mut bounds, from);
            for piece in pieces {
                if let Piece::Curve(points) = piece {
                    let [a, b, to] = points.map(float);
                    turns([from, a, b, to]).for_each(|point| reach(&mut bounds, point));
                }
                from = float(piece.end());
                reach(&mut bounds, from);
            }
        }
        bounds[0][0].is_finite().then_some(bounds)
    }
}

/// The smallest rectangle of whole pixels around `bounds`, but for what rounding alone has added; a pixel at least.
pub fn pixels_around([least, most]: [[f64; 2]; 2]) -> Rect {
    const ROUNDED: f64 = 1e-3;
    let along = |i: usize| {
        let from = (least[i] + ROUNDED).floor();
        let len = ((most[i] - ROUNDED).ceil() - from).max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float saturates when it is cast"
        )]
        (from as i64, len as u32)
    };
    let ((x, w), (y, h)) = (along(0), along(1));
    Rect { x, y, w, h }
}

fn float([x, y]: Point) -> [f64; 2] {
    [x as f64, y as f64]
}

fn reach([least, most]: &mut [[f64; 2]; 2], point: [f64; 2]) {
    for i in 0..2 {
        least[i] = least[i].min(point[i]);
        most[i] = most[i].max(point[i]);
    }
}

/// The point of a curve at `t`.
pub fn at([p, a, b, q]: [[f64; 2]; 4], t: f64) -> [f64; 2] {
    let s = 1.0 - t;
    std::array::from_fn(|i| s * s * s * p[i] + 3.0 * s * t * (s * a[i] + t * b[i]) + t * t * t * q[i])
}

/// Where a curve stops going left, right, up or down between its ends: zeros of its derivative, a quadratic an axis.
fn turns(curve: [[f64; 2]; 4]) -> impl Iterator<Item = [f64; 2]> {
    let along = move |i: usize| {
        let [p, a, b, q] = curve.map(|point| point[i]);
        let (square, linear, constant) = (q - 3.0 * b + 3.0 * a - p, 2.0 * (b - 2.0 * a + p), a - p);
        let root = (linear * linear - 4.0 * square * constant).max(0.0).sqrt();
        // The form that divides by no difference of near equals; where it divides by 0 there is no zero.
        let sum = -0.5 * (linear + root.copysign(linear));
        [sum / square, constant / sum]
    };
    let inside = |t: &f64| (0.0..=1.0).contains(t);
    [along(0), along(1)].into_iter().flatten().filter(inside).map(move |t| at(curve, t))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curved(points: [Point; 4]) -> Path {
        let [start, a, b, end] = points;
        Path { outlines: vec![Outline { start, pieces: vec![Piece::Curve([a, b, end])] }] }
    }

    #[test]
    fn bounds_are_those_of_the_curve() {
        // A bow: its control points lie at 400, it reaches 300.
        let bounds = curved([[0, 0], [0, 400], [900, 400], [900, 0]]).bounds().unwrap();
        assert_eq!(bounds, [[0.0, 0.0], [900.0, 300.0]]);
        // Straight, whatever its control points are.
        assert_eq!(curved([[0, 0], [1, 0], [2, 0], [9, 0]]).bounds(), Some([[0.0, 0.0], [9.0, 0.0]]));
        assert_eq!(Path::default().bounds(), None);
        let dense = curved([[3, 90], [-700, 20], [500, -800], [10, 40]]);
        let ([least, most], curve) =
            (dense.bounds().unwrap(), [[3.0, 90.0], [-700.0, 20.0], [500.0, -800.0], [10.0, 40.0]]);
        let seen = (0..=10_000).map(|i| at(curve, f64::from(i) / 10_000.0));
        let mut found = [[f64::INFINITY; 2], [f64::NEG_INFINITY; 2]];
        seen.for_each(|point| reach(&mut found, point));
        for i in 0..2 {
            assert!((found[0][i] - least[i]).abs() < 0.01 && (found[1][i] - most[i]).abs() < 0.01, "{found:?}");
        }
    }

    #[test]
    fn boxes_are_rounded_outward() {
        let rect = |x, y, w, h| Rect { x, y, w, h };
        assert_eq!(pixels_around([[1.5, -0.5], [2.0, 7.25]]), rect(1, -1, 1, 9));
        assert_eq!(pixels_around([[0.9999, 3.0], [10.0001, 3.0]]), rect(1, 3, 9, 1));
        assert_eq!(pixels_around([[f64::MIN, 0.0], [f64::MAX, 1.0]]).w, u32::MAX);
    }

    #[test]
    fn mapping_moves_every_point() {
        let path = curved([[1, 2], [3, 4], [5, 6], [7, 8]]);
        let moved = path.mapped(|[x, y]| [10 * x, -y]);
        assert_eq!(moved, curved([[10, -2], [30, -4], [50, -6], [70, -8]]));
        assert_eq!(moved.points(), 4);
    }
}
