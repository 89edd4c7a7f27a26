//! How much of each pixel lies inside a path.
//!
//! Computed here once, in f64, and handed to every engine unchanged. Exact areas: every edge adds to each pixel that it
//! crosses the signed area to its right, and what edges further left have added runs along the row. Even-odd is that sum
//! folded at whole numbers, which is exact but where a path crosses itself inside a pixel.
//! Source: FreeType's smooth rasteriser, by Raph Levien's `font-rs` form of it.

use crate::pixel::{Path, Piece, Plane, Size, path};

/// Units of a path's points in a pixel here.
pub const UNITS_PER_PX: f64 = 256.0;
/// A curve's lines lie no further from it than this, px, unless it is so long that [`EDGES_MAX`] forbids it.
const FLATNESS_PX: f64 = 1.0 / 32.0;
/// Lines of all curves of a path together, roughly.
const EDGES_MAX: usize = 1 << 19;

/// Shares of the pixels of a picture of `size` that lie inside `path` by the even-odd rule, 0 to 255; points in
/// 1/256 px from the picture's corner.
pub fn coverage(path: &Path, size: Size) -> Plane<u8> {
    let mut plane = Plane::new(size);
    let mut edges = edges(path, size);
    edges.sort_unstable_by(|a, b| a.top.total_cmp(&b.top));
    let mut edges = edges.into_iter().peekable();
    let mut active: Vec<Edge> = Vec::new();
    let mut areas = vec![0.0; size.w as usize + 2];
    for y in 0..size.h {
        let (top, bottom) = (f64::from(y), f64::from(y + 1));
        active.retain(|edge| edge.bottom > top);
        while let Some(edge) = edges.next_if(|edge| edge.top < bottom) {
            active.push(edge);
        }
        if active.is_empty() {
            continue;
        }
        areas.fill(0.0);
        active.iter().for_each(|edge| edge.add(top, bottom, &mut areas));
        let mut sum = 0.0;
        for (out, area) in plane.row_mut(y as usize).iter_mut().zip(&areas) {
            sum += area;
            *out = even_odd(sum);
        }
    }
    plane
}

/// Upper bound of what [`coverage`] holds beside its result, bytes.
pub fn coverage_bytes_max(path: &Path, size: Size) -> u64 {
    let pieces = path.outlines.iter().flat_map(|outline| &outline.pieces);
    let curves = pieces.clone().filter(|piece| matches!(piece, Piece::Curve(_))).count();
    let lines = pieces.count() + path.outlines.len() + curves * most_lines(curves);
    // Each may be cut in three; a vector that grows holds its old self too, and so may the one of those at work.
    let edges = 3 * 3 * lines as u64 * size_of::<Edge>() as u64;
    edges + (u64::from(size.w) + 2) * 8
}

/// Into how many lines one of so many curves may be cut.
fn most_lines(curves: usize) -> usize {
    (EDGES_MAX / curves.max(1)).clamp(8, 1024)
}

/// A sum of signed areas as a share of 255: whole numbers of times around are in or out in turn.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
fn even_odd(sum: f64) -> u8 {
    let twice = sum.abs() % 2.0;
    let share = if twice > 1.0 { 2.0 - twice } else { twice };
    (share * 255.0 + 0.5) as u8
}

/// A line that is not level, from its upper to its lower end, px.
#[derive(Clone, Copy, Debug)]
struct Edge {
    top: f64,
    bottom: f64,
    /// Column at `top`.
    x: f64,
    /// Columns a row.
    slope: f64,
    /// 1 if it goes down as it was drawn, −1 if up.
    sign: f64,
}

impl Edge {
    /// Adds its part between two rows' tops, which it crosses: the area to its right, in the pixel of each column, less
    /// what the columns before it have had.
    fn add(&self, top: f64, bottom: f64, areas: &mut [f64]) {
        let (top, bottom) = (top.max(self.top), bottom.min(self.bottom));
        let height = (bottom - top) * self.sign;
        let at = |y: f64| (self.x + (y - self.top) * self.slope).clamp(0.0, (areas.len() - 2) as f64);
        let (a, b) = (at(top), at(bottom));
        let (left, right) = (a.min(b), a.max(b));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the row")]
        let (first, last) = (left as usize, right as usize);
        if first == last {
            let middle = f64::midpoint(left, right) - left.floor();
            areas[first] += height * (1.0 - middle);
            areas[first + 1] += height * middle;
            return;
        }
        // Height that it goes in one column.
        let per_column = height / (right - left);
        let mut before = 0.0;
        for (column, out) in (first..).zip(&mut areas[first..=last]) {
            let column = column as f64;
            let (from, to) = (left.max(column), right.min(column + 1.0));
            let here = per_column * (to - from);
            let area = here * (column + 1.0 - f64::midpoint(from, to));
            *out += area + before;
            // What is left of this column's height fills the next one.
            before = here - area;
        }
        areas[last + 1] += before;
    }
}

/// The lines of a path between the first and the last row of a picture, cut where they leave it to the left or right: what
/// is beyond these sides goes straight up or down along them.
fn edges(path: &Path, size: Size) -> Vec<Edge> {
    let curves =
        path.outlines.iter().flat_map(|outline| &outline.pieces).filter(|piece| matches!(piece, Piece::Curve(_)));
    let lines_max = most_lines(curves.count()) as f64;
    let mut edges = Vec::new();
    let px = |point: path::Point| point.map(|v| v as f64 / UNITS_PER_PX);
    for outline in &path.outlines {
        let start = px(outline.start);
        let mut from = start;
        for piece in &outline.pieces {
            let to = px(piece.end());
            if let Piece::Curve([a, b, _]) = piece {
                let curve = [from, px(*a), px(*b), to];
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 1024")]
                let lines = lines(curve).clamp(1.0, lines_max) as u32;
                for i in 1..lines {
                    let point = path::at(curve, f64::from(i) / f64::from(lines));
                    push(&mut edges, from, point, size);
                    from = point;
                }
            }
            push(&mut edges, from, to, size);
            from = to;
        }
        push(&mut edges, from, start, size);
    }
    edges
}

/// Into how many equal steps of its parameter a curve must be cut to be flat; the second derivative bounds the distance.
fn lines([p, a, b, q]: [[f64; 2]; 4]) -> f64 {
    let bend = |p: [f64; 2], a: [f64; 2], b: [f64; 2]| (p[0] - 2.0 * a[0] + b[0]).hypot(p[1] - 2.0 * a[1] + b[1]);
    (0.75 * bend(p, a, b).max(bend(a, b, q)) / FLATNESS_PX).sqrt().ceil()
}

/// One line, its parts outside the picture's sides put onto them.
fn push(edges: &mut Vec<Edge>, from: [f64; 2], to: [f64; 2], size: Size) {
    let (w, h) = (f64::from(size.w), f64::from(size.h));
    let (sign, upper, lower) = if from[1] < to[1] { (1.0, from, to) } else { (-1.0, to, from) };
    let slope = (lower[0] - upper[0]) / (lower[1] - upper[1]);
    let (first, last) = (upper[1].max(0.0), lower[1].min(h));
    if first >= last {
        return;
    }
    let x = |y: f64| upper[0] + (y - upper[1]) * slope;
    // The rows where it crosses the sides, between its ends.
    let row = |side: f64| (upper[1] + (side - upper[0]) / slope).clamp(first, last);
    let mut cuts = if slope == 0.0 { [first; 2] } else { [row(0.0), row(w)] };
    cuts.sort_unstable_by(f64::total_cmp);
    for (top, bottom) in [(first, cuts[0]), (cuts[0], cuts[1]), (cuts[1], last)] {
        if top >= bottom {
            continue;
        }
        let middle = x(f64::midpoint(top, bottom));
        let (x, slope) = if middle <= 0.0 {
            (0.0, 0.0)
        } else if middle >= w {
            (w, 0.0)
        } else {
            (x(top), slope)
        };
        edges.push(Edge { top, bottom, x, slope, sign });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::path::{Outline, Point};

    fn polygon(points: &[Point]) -> Path {
        let pieces = points[1..].iter().map(|&point| Piece::Line(point)).collect();
        Path { outlines: vec![Outline { start: points[0], pieces }] }
    }

    fn sum(plane: &Plane<u8>) -> f64 {
        plane.data().iter().map(|&v| f64::from(v) / 255.0).sum()
    }

    /// Whether a point is inside, by the edges right of it.
    fn is_inside(path: &Path, [x, y]: [f64; 2]) -> bool {
        let mut inside = false;
        for outline in &path.outlines {
            let points: Vec<Point> =
                std::iter::once(outline.start).chain(outline.pieces.iter().map(Piece::end)).collect();
            for (i, &p) in points.iter().enumerate() {
                let q = points[(i + 1) % points.len()];
                let [px, py] = p.map(|v| v as f64 / UNITS_PER_PX);
                let [qx, qy] = q.map(|v| v as f64 / UNITS_PER_PX);
                if (py > y) != (qy > y) && x < px + (y - py) / (qy - py) * (qx - px) {
                    inside = !inside;
                }
            }
        }
        inside
    }

    #[test]
    fn whole_half_and_quarter_pixels() {
        // From 1.5, 0.25 to 3, 2.
        let plane = coverage(&polygon(&[[384, 64], [768, 64], [768, 512], [384, 512]]), Size::new(4, 3));
        assert_eq!(plane.row(0), [0, 96, 191, 0]);
        assert_eq!(plane.row(1), [0, 128, 255, 0]);
        assert_eq!(plane.row(2), [0; 4]);
        // Clockwise or not.
        let other = coverage(&polygon(&[[384, 512], [768, 512], [768, 64], [384, 64]]), Size::new(4, 3));
        assert_eq!(plane, other);
    }

    #[test]
    fn what_lies_outside_counts_where_it_should() {
        let far = 1 << 40;
        let all = coverage(&polygon(&[[-far, -far], [far, -far], [far, far], [-far, far]]), Size::new(5, 3));
        assert!(all.data().iter().all(|&v| v == 255), "{:?}", all.data());
        for side in
            [[[far, 0], [2 * far, 0], [2 * far, 768], [far, 768]], [[0, far], [9, far], [9, 2 * far], [0, 2 * far]]]
        {
            assert!(coverage(&polygon(&side), Size::new(5, 3)).data().iter().all(|&v| v == 0));
        }
        // A wedge whose tip is far left: above the diagonal.
        let wedge = coverage(&polygon(&[[-2560, -2560], [2560, -2560], [2560, 2560]]), Size::new(10, 10));
        assert_eq!((wedge.row(3)[2], wedge.row(3)[3], wedge.row(3)[4]), (0, 128, 255));
    }

    #[test]
    fn overlaps_are_holes() {
        let mut path = polygon(&[[0, 0], [2560, 0], [2560, 2560], [0, 2560]]);
        path.outlines.extend(polygon(&[[512, 512], [1536, 512], [1536, 1536], [512, 1536]]).outlines);
        let plane = coverage(&path, Size::new(10, 10));
        assert_eq!((plane.row(1)[1], plane.row(3)[3], plane.row(7)[7]), (255, 0, 255));
        assert!((sum(&plane) - 84.0).abs() < 1e-9);
    }

    /// By 16×16 points a pixel; a line through a pixel is off by a sixteenth at most.
    #[test]
    fn random_polygons_have_the_areas_that_points_have() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |most: i64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from(seed >> 33).unwrap() % most
        };
        for round in 0..40 {
            let points: Vec<Point> =
                (0..3 + round % 3).map(|_| [random(30 * 256) - 5 * 256, random(30 * 256) - 5 * 256]).collect();
            let path = polygon(&points);
            let size = Size::new(20, 20);
            let plane = coverage(&path, size);
            let mut off = 0.0;
            for y in 0..size.h {
                for x in 0..size.w {
                    let part = |i: u32| (f64::from(i) + 0.5) / 16.0;
                    let points = (0..256).map(|i| [f64::from(x) + part(i % 16), f64::from(y) + part(i / 16)]);
                    let share = points.filter(|&point| is_inside(&path, point)).count() as f64 / 256.0;
                    let got = f64::from(plane.row(y as usize)[x as usize]) / 255.0;
                    off += (share - got).abs();
                    // Where lines cross inside a pixel, folding cannot tell.
                    assert!(
                        (share - got).abs() < 0.12 || points_cross(&points_of(&path), x, y),
                        "{x},{y}: {share} {got}"
                    );
                }
            }
            assert!(off < 8.0, "{points:?}: {off}");
        }
    }

    fn points_of(path: &Path) -> Vec<[f64; 2]> {
        let outline = &path.outlines[0];
        std::iter::once(outline.start)
            .chain(outline.pieces.iter().map(Piece::end))
            .map(|point| point.map(|v| v as f64 / UNITS_PER_PX))
            .collect()
    }

    /// Whether two of a polygon's lines come into a pixel.
    fn points_cross(points: &[[f64; 2]], x: u32, y: u32) -> bool {
        let within = |from: [f64; 2], to: [f64; 2]| {
            (0..=2000).any(|i| {
                let t = f64::from(i) / 2000.0;
                let at = |k: usize| from[k] + t * (to[k] - from[k]);
                (at(0) - f64::from(x) - 0.5).abs() < 0.6 && (at(1) - f64::from(y) - 0.5).abs() < 0.6
            })
        };
        (0..points.len()).filter(|&i| within(points[i], points[(i + 1) % points.len()])).count() > 1
    }

    #[test]
    fn a_circle_of_curves_has_its_area() {
        // Four quarters; their area is π r² to 2.7 in 10,000.
        let (r, k) = (100.0 * 256.0, 0.552_284_75 * 100.0 * 256.0);
        #[expect(clippy::cast_possible_truncation, reason = "small")]
        let at = |x: f64, y: f64| [(128.0 * 256.0 + x) as i64, (128.0 * 256.0 + y) as i64];
        let pieces = vec![
            Piece::Curve([at(r, k), at(k, r), at(0.0, r)]),
            Piece::Curve([at(-k, r), at(-r, k), at(-r, 0.0)]),
            Piece::Curve([at(-r, -k), at(-k, -r), at(0.0, -r)]),
            Piece::Curve([at(k, -r), at(r, -k), at(r, 0.0)]),
        ];
        let path = Path { outlines: vec![Outline { start: at(r, 0.0), pieces }] };
        let area = sum(&coverage(&path, Size::new(256, 256)));
        assert!((area - std::f64::consts::PI * 10_000.0).abs() < 20.0, "{area}");
    }
}
