//! Computed pictures: the demo catalogue, and photograph-like sources for tests and benches.
//!
//! Photograph-like means what makes photographs hard: a 1/f spectrum, edges at every angle, smooth skin and sky, grain,
//! small text. Real pictures measure better; these are always there. Invariants: the same name, size and seed give the
//! same pixels on every machine up to the last bit of `sin` and `exp`; nothing here reads a file.

use super::{Image, PixelFormat, Size};

/// Names of the demo catalogue's pictures.
pub fn demo_names() -> &'static [&'static str] {
    &["Valley", "Portrait", "Vase", "Chart"]
}

/// A picture of the demo catalogue by name; case-sensitive, as asset names are.
pub fn demo_image(name: &str) -> Option<Image> {
    match name {
        "Valley" => Some(valley(Size::new(2400, 1600), 1)),
        "Portrait" => Some(portrait(Size::new(1200, 1600), 2)),
        "Vase" => Some(vase(Size::new(1500, 1500), 3)),
        "Chart" => Some(chart(Size::new(1600, 1200))),
        _ => None,
    }
}

/// A photograph-like opaque picture of any size: [`valley`] with another name for those who only need "a photo".
pub fn photo(size: Size, seed: u32) -> Image {
    valley(size, seed)
}

/// Mountains under a sky, a house, a signpost with small text: texture of all scales, edges, gradients, grain. R G B.
pub fn valley(size: Size, seed: u32) -> Image {
    let aspect = size.w as f32 / size.h.max(1) as f32;
    let noise = Noise(seed);
    // Ridges are functions of x alone: once a column.
    let ridges: Vec<[f32; 3]> = (0..size.w)
        .map(|x| {
            let u = (x as f32 + 0.5) / size.h.max(1) as f32;
            [
                0.46 - 0.22 * noise.fractal(u * 1.7, 10.5, 9),
                0.62 - 0.20 * noise.fractal(u * 2.3 + 7.0, 20.5, 9),
                0.80 - 0.10 * noise.fractal(u * 1.1 + 3.0, 30.5, 6),
            ]
        })
        .collect();
    render(size, PixelFormat::RGB, |px, py| {
        let (u, v) = ((px as f32 + 0.5) / size.h.max(1) as f32, (py as f32 + 0.5) / size.h.max(1) as f32);
        let [far, near, field] = ridges[px as usize];
        let mut c = if v < far {
            let cloud = smooth(0.52, 0.72, noise.fractal(u * 2.0, v * 5.0 + 40.0, 5)) * (1.0 - v);
            let sky = mix([0.24, 0.45, 0.78], [0.86, 0.88, 0.90], smooth(0.0, 0.5, v));
            let sun = (-((u - 0.78 * aspect).powi(2) + (v - 0.16).powi(2)) * 160.0).exp();
            mix(mix(sky, [0.97, 0.97, 0.98], 0.8 * cloud), [1.0, 0.95, 0.80], sun)
        } else if v < near {
            let rock = noise.fractal(u * 14.0, v * 22.0, 6);
            let snow = smooth(0.10, 0.0, v - far) * smooth(0.45, 0.6, rock);
            mix(mix([0.36, 0.40, 0.50], [0.58, 0.60, 0.66], rock), [0.93, 0.95, 0.98], snow)
        } else if v < field {
            let trees = noise.fractal(u * 46.0, v * 30.0, 5);
            mix([0.07, 0.16, 0.10], [0.30, 0.44, 0.20], trees * smooth(0.0, 0.2, v - near).max(0.4))
        } else {
            let depth = (v - field) / (1.0 - field).max(1e-3);
            let blades = noise.fractal(u * 160.0 / (0.3 + depth), v * 60.0, 4);
            let patch = noise.fractal(u * 3.0, v * 9.0, 4);
            mix(mix([0.33, 0.42, 0.12], [0.62, 0.60, 0.24], patch), [0.18, 0.30, 0.08], 0.8 * blades)
        };
        // A house with hard edges, a gable at an angle, windows with bars.
        let (hx, hy) = ((u - 0.22 * aspect) / 0.16, (v - 0.62) / 0.16);
        if (0.0..1.0).contains(&hx) && hy < 1.0 && hy > 0.0 {
            let plaster = 0.92 + 0.06 * noise.fractal(u * 90.0, v * 90.0, 3);
            c = scale([0.93, 0.88, 0.78], plaster * (1.0 - 0.12 * hy));
            let (wx, wy) = ((hx * 4.0).fract(), (hy * 2.2).fract());
            if (0.3..0.75).contains(&wx) && (0.3..0.8).contains(&wy) {
                let bar = (wx - 0.525).abs() < 0.02 || (wy - 0.55).abs() < 0.025;
                c = if bar { [0.95, 0.95, 0.93] } else { mix([0.10, 0.13, 0.18], [0.45, 0.58, 0.70], hy) };
            }
        } else if (-0.5..0.0).contains(&hy) && (hx - 0.5).abs() < 0.6 * (hy + 0.5) + 0.3 {
            let tile = ((hy * 60.0).fract() - 0.5).abs() + 0.5 * ((hx * 40.0).fract() - 0.5).abs();
            c = mix([0.48, 0.16, 0.10], [0.70, 0.28, 0.18], tile);
        }
        // A signpost with small dark text on cream.
        let (sx, sy) = ((u - 0.60 * aspect) / 0.34, (v - 0.74) / 0.11);
        if (0.0..1.0).contains(&sx) && (0.0..1.0).contains(&sy) {
            let ink = text("CALOTYPE 1841\nONE NEGATIVE\nANY PRINT", sx * 1.04 - 0.03, sy * 1.2 - 0.1, 13, 3);
            c = if ink {
                [0.12, 0.10, 0.08]
            } else {
                scale([0.94, 0.90, 0.80], 0.95 + 0.05 * noise.at(u * 80.0, v * 9.0))
            };
        }
        opaque(c, 0.012 * noise.grain(px, py))
    })
}

/// A head before a studio backdrop: skin gradients, hair, a shirt with fine stripes. R G B.
pub fn portrait(size: Size, seed: u32) -> Image {
    let noise = Noise(seed);
    let aspect = size.w as f32 / size.h.max(1) as f32;
    render(size, PixelFormat::RGB, |px, py| {
        let (u, v) = ((px as f32 + 0.5) / size.h.max(1) as f32, (py as f32 + 0.5) / size.h.max(1) as f32);
        let (x, y) = (u - 0.5 * aspect, v - 0.40);
        let light = (-(x + 0.22).powi(2) * 5.0 - (y + 0.10).powi(2) * 4.0).exp();
        let mut c =
            mix([0.18, 0.20, 0.23], [0.52, 0.55, 0.58], light * (0.9 + 0.2 * noise.fractal(u * 3.0, v * 3.0, 4)));
        let shoulders = y - 0.27 - 0.5 * x * x;
        if shoulders > 0.0 && x.abs() < 0.36 + 0.1 * y {
            let stripe = 0.5 + 0.5 * ((x * 420.0 + 30.0 * y).sin() * (1.0 - 0.6 * (x * 9.0).sin().abs()));
            let fold = noise.fractal(u * 7.0, v * 4.0, 5);
            c = scale(mix([0.86, 0.88, 0.92], [0.28, 0.36, 0.55], stripe), 0.55 + 0.6 * fold);
        }
        let skin = |shade: f32| mix([0.42, 0.24, 0.17], [0.93, 0.74, 0.62], shade);
        if x.abs() < 0.085 && (0.10..0.34).contains(&y) {
            c = skin(0.45 - 1.5 * (x - 0.03).abs() + 0.3 * (y - 0.1));
        }
        let hair = (x / 0.205).powi(2) + ((y + 0.06) / 0.26).powi(2);
        if hair < 1.0 && y < 0.12 {
            let strand = noise.fractal(x * 190.0 + 14.0 * y, y * 7.0, 4);
            c = scale(mix([0.10, 0.06, 0.04], [0.42, 0.28, 0.17], strand), 0.6 + 0.6 * light);
        }
        let face = (x / 0.150).powi(2) + (y / 0.205).powi(2);
        if face < 1.0 {
            let shade = (1.0 - face).sqrt() * 0.55 + 0.45 * light - 0.9 * (x - 0.02).max(0.0) * 2.0;
            c = skin((shade + 0.02 * noise.fractal(u * 120.0, v * 120.0, 3)).clamp(0.0, 1.0));
            for side in [-1.0_f32, 1.0] {
                let (ex, ey) = ((x - side * 0.058) / 0.028, (y + 0.022) / 0.013);
                let eye = ex * ex + ey * ey;
                if eye < 1.0 {
                    let iris = ex * ex * 2.2 + ey * ey * 0.45;
                    c = if iris < 0.10 {
                        [0.03; 3]
                    } else if iris < 0.42 {
                        [0.25, 0.36, 0.40]
                    } else {
                        [0.93, 0.91, 0.90]
                    };
                } else if (ey + 2.5 - 0.5 * ex * ex).abs() < 0.28 && ex.abs() < 1.25 {
                    c = scale(c, 0.45);
                }
            }
            let lips = (x / 0.052).powi(2) + ((y - 0.105) / 0.018).powi(2);
            if lips < 1.0 {
                c = mix(c, [0.70, 0.32, 0.30], 0.75 * (1.0 - lips).sqrt());
            }
        }
        opaque(c, 0.016 * noise.grain(px, py))
    })
}

/// A glazed vase on nothing: R G B with soft alpha at the edges and in the shadow.
pub fn vase(size: Size, seed: u32) -> Image {
    let noise = Noise(seed);
    let aspect = size.w as f32 / size.h.max(1) as f32;
    let pixel = 1.5 / size.h.max(1) as f32;
    render(size, PixelFormat::RGBA, |px, py| {
        let (u, v) = ((px as f32 + 0.5) / size.h.max(1) as f32, (py as f32 + 0.5) / size.h.max(1) as f32);
        let x = u - 0.5 * aspect;
        let t = (v - 0.10) / 0.76;
        let radius = 0.10 + 0.20 * (t.clamp(0.0, 1.0) * 2.6 + 0.5).sin().max(0.0).powi(2) - 0.02 * t;
        let inside =
            smooth(-pixel, pixel, radius - x.abs()) * smooth(-pixel, pixel, t) * smooth(-pixel, pixel, 1.0 - t);
        let shadow = 0.55 * smooth(1.0, 0.2, (x / 0.34).powi(2) + ((v - 0.87) / 0.06).powi(2));
        if inside > 0.0 {
            let n = (x / radius).clamp(-1.0, 1.0);
            let shade = (0.35 + 0.65 * (1.0 - (n + 0.35).powi(2)).max(0.0)).min(1.0);
            let band = (t * 9.0 + 0.25 * (n.asin() * 10.0).sin()).fract();
            let glaze = mix([0.10, 0.30, 0.44], [0.16, 0.52, 0.56], noise.fractal(n.asin() * 5.0, t * 9.0, 5));
            let c = if (0.42..0.58).contains(&band) { [0.90, 0.78, 0.48] } else { glaze };
            let shine = (-((n + 0.42) / 0.10).powi(2) - ((t - 0.34) / 0.16).powi(2)).exp();
            let c = mix(scale(c, shade), [1.0, 1.0, 0.98], 0.85 * shine);
            let [r, g, b, _] = opaque(c, 0.006 * noise.grain(px, py));
            [r, g, b, byte(inside.max(shadow))]
        } else {
            [20, 18, 22, byte(shadow)]
        }
    })
}

/// A resolution chart: zone plate, slanted edges, colour patches, grey steps, text down to a pixel a stroke. R G B.
pub fn chart(size: Size) -> Image {
    let (w, h) = (size.w as f32, size.h.max(1) as f32);
    render(size, PixelFormat::RGB, |px, py| {
        let (x, y) = (px as f32 + 0.5, py as f32 + 0.5);
        let (u, v) = (x / w, y / h);
        let c = if v < 0.12 {
            [((u * 12.0).floor() / 11.0).min(1.0); 3]
        } else if v < 0.26 {
            let patch = (px * 12 / size.w.max(1)) as usize;
            std::array::from_fn(|c| [0.08, 0.5, 0.92][(patch / [1, 3, 2][c]) % 3])
        } else if u < 0.62 {
            // Frequency grows with the radius and reaches Nyquist at the panel's edge.
            let (zx, zy) = (x - 0.31 * w, y - 0.63 * h);
            let reach = 0.31 * w;
            [0.5 + 0.5 * (std::f32::consts::PI * (zx * zx + zy * zy) / (2.0 * reach)).cos(); 3]
        } else if v < 0.60 {
            let slant = (x - 0.81 * w) + 0.0875 * (y - 0.43 * h);
            if slant < 0.0 { [0.1; 3] } else { [0.85; 3] }
        } else {
            let (tx, ty) = ((u - 0.64) / 0.34, (v - 0.62) / 0.36);
            let ink = text("HAMBURGEFONTSIV\n0123456789\nTHE QUICK BROWN\nFOX JUMPS OVER\nTHE LAZY DOG", tx, ty, 16, 5);
            if ink { [0.05; 3] } else { [0.97; 3] }
        };
        opaque(c, 0.0)
    })
}

/// Rows computed on all cores; `pixel` gives R G B A bytes for a column and a row.
fn render(size: Size, format: PixelFormat, pixel: impl Fn(u32, u32) -> [u8; 4] + Sync) -> Image {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let n = format.planes();
    let mut data = vec![0; size.samples() * n];
    let row_bytes = size.w as usize * n;
    let rows_each = (size.h as usize).div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        for (strip, y0) in data.chunks_mut((rows_each * row_bytes).max(1)).zip((0_u32..).step_by(rows_each)) {
            let pixel = &pixel;
            scope.spawn(move || {
                for (row, y) in strip.chunks_exact_mut(row_bytes.max(1)).zip(y0..) {
                    for (px, x) in row.chunks_exact_mut(n).zip(0..) {
                        px.copy_from_slice(&pixel(x, y)[..n]);
                    }
                }
            });
        }
    });
    Image::from_interleaved(size, format, &data)
}

/// Lattice noise of a seed.
struct Noise(u32);

impl Noise {
    /// A number of 0 to 1 for a lattice point.
    fn lattice(&self, x: i32, y: i32) -> f32 {
        let mut h = self.0.wrapping_mul(0x9e37_79b9) ^ x.cast_unsigned().wrapping_mul(0x85eb_ca6b);
        h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d) ^ y.cast_unsigned().wrapping_mul(0xc2b2_ae35);
        h = (h ^ (h >> 13)).wrapping_mul(0x297a_2d39);
        ((h ^ (h >> 16)) >> 8) as f32 / 16_777_216.0
    }

    /// Value noise, 0 to 1, features of size 1.
    #[expect(clippy::cast_possible_truncation, reason = "lattice coordinates of a picture")]
    fn at(&self, x: f32, y: f32) -> f32 {
        let (x0, y0) = (x.floor(), y.floor());
        let (tx, ty) = (smooth(0.0, 1.0, x - x0), smooth(0.0, 1.0, y - y0));
        let (x0, y0) = (x0 as i32, y0 as i32);
        let top = self.lattice(x0, y0) * (1.0 - tx) + self.lattice(x0 + 1, y0) * tx;
        let bottom = self.lattice(x0, y0 + 1) * (1.0 - tx) + self.lattice(x0 + 1, y0 + 1) * tx;
        top * (1.0 - ty) + bottom * ty
    }

    /// `octaves` of value noise, amplitude halving as frequency doubles: a 1/f spectrum, 0 to 1, mean ½.
    fn fractal(&self, x: f32, y: f32, octaves: u32) -> f32 {
        let (mut sum, mut amplitude, mut total, mut frequency) = (0.0, 1.0, 0.0, 1.0);
        for octave in 0..octaves {
            // The shift keeps lattice lines of the octaves from coinciding.
            sum += amplitude * self.at(x * frequency + 17.3 * octave as f32, y * frequency + 5.7 * octave as f32);
            total += amplitude;
            amplitude *= 0.5;
            frequency *= 2.0;
        }
        sum / total
    }

    /// Sensor grain of a pixel: −1 to 1, triangular.
    fn grain(&self, x: u32, y: u32) -> f32 {
        let (x, y) = (x.cast_signed(), y.cast_signed());
        self.lattice(x, y.wrapping_add(0x4000_0000)) - self.lattice(x.wrapping_add(0x4000_0000), y)
    }
}

/// Glyphs of 5 × 7 dots, a row a byte, bit 4 at the left.
const GLYPHS: &[(char, [u8; 7])] = &[
    ('A', [14, 17, 17, 31, 17, 17, 17]),
    ('B', [30, 17, 17, 30, 17, 17, 30]),
    ('C', [14, 17, 16, 16, 16, 17, 14]),
    ('D', [30, 17, 17, 17, 17, 17, 30]),
    ('E', [31, 16, 16, 30, 16, 16, 31]),
    ('F', [31, 16, 16, 30, 16, 16, 16]),
    ('G', [14, 17, 16, 23, 17, 17, 15]),
    ('H', [17, 17, 17, 31, 17, 17, 17]),
    ('I', [14, 4, 4, 4, 4, 4, 14]),
    ('J', [7, 2, 2, 2, 2, 18, 12]),
    ('K', [17, 18, 20, 24, 20, 18, 17]),
    ('L', [16, 16, 16, 16, 16, 16, 31]),
    ('M', [17, 27, 21, 21, 17, 17, 17]),
    ('N', [17, 17, 25, 21, 19, 17, 17]),
    ('O', [14, 17, 17, 17, 17, 17, 14]),
    ('P', [30, 17, 17, 30, 16, 16, 16]),
    ('Q', [14, 17, 17, 17, 21, 18, 13]),
    ('R', [30, 17, 17, 30, 20, 18, 17]),
    ('S', [15, 16, 16, 14, 1, 1, 30]),
    ('T', [31, 4, 4, 4, 4, 4, 4]),
    ('U', [17, 17, 17, 17, 17, 17, 14]),
    ('V', [17, 17, 17, 17, 17, 10, 4]),
    ('W', [17, 17, 17, 21, 21, 21, 10]),
    ('X', [17, 17, 10, 4, 10, 17, 17]),
    ('Y', [17, 17, 10, 4, 4, 4, 4]),
    ('Z', [31, 1, 2, 4, 8, 16, 31]),
    ('0', [14, 17, 19, 21, 25, 17, 14]),
    ('1', [4, 12, 4, 4, 4, 4, 14]),
    ('2', [14, 17, 1, 2, 4, 8, 31]),
    ('3', [31, 2, 4, 2, 1, 17, 14]),
    ('4', [2, 6, 10, 18, 31, 2, 2]),
    ('5', [31, 16, 30, 1, 1, 17, 14]),
    ('6', [6, 8, 16, 30, 17, 17, 14]),
    ('7', [31, 1, 2, 4, 8, 8, 8]),
    ('8', [14, 17, 17, 14, 17, 17, 14]),
    ('9', [14, 17, 17, 15, 1, 2, 12]),
];

/// Whether there is ink at (u, v) of a text block `columns` × `rows` characters that fills 0..1 × 0..1.
#[expect(clippy::cast_possible_truncation, reason = "inside the block, checked first")]
fn text(lines: &str, u: f32, v: f32, columns: usize, rows: usize) -> bool {
    if !(0.0..1.0).contains(&u) || !(0.0..1.0).contains(&v) {
        return false;
    }
    let (cx, cy) = (u * columns as f32, v * rows as f32);
    let glyph = lines
        .lines()
        .nth(cy as usize)
        .and_then(|line| line.chars().nth(cx as usize))
        .and_then(|c| GLYPHS.iter().find(|(g, _)| *g == c));
    let (dot_x, dot_y) = ((cx.fract() * 6.0) as usize, (cy.fract() * 9.0) as usize);
    glyph.is_some_and(|(_, dots)| dot_x < 5 && dot_y < 7 && dots[dot_y] >> (4 - dot_x) & 1 == 1)
}

/// 0 below `from`, 1 above `to` (or the other way round), smooth between.
fn smooth(from: f32, to: f32, x: f32) -> f32 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

fn mix(a: [f32; 3], b: [f32; 3], t: f32) -> [f32; 3] {
    let t = t.clamp(0.0, 1.0);
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * t)
}

fn scale(c: [f32; 3], k: f32) -> [f32; 3] {
    c.map(|v| v * k)
}

fn opaque(c: [f32; 3], grain: f32) -> [u8; 4] {
    let [r, g, b] = c.map(|v| byte(v + grain));
    [r, g, b, 255]
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to 0..=255")]
fn byte(v: f32) -> u8 {
    (v.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demo_pictures_exist_and_differ_from_flat() {
        for name in demo_names() {
            let image = demo_image(name).unwrap();
            for plane in &image.planes()[..3] {
                let (min, max) = plane.data().iter().fold((255, 0), |(lo, hi), &v| (v.min(lo), v.max(hi)));
                assert!(max - min > 120, "{name}: {min}..{max}");
            }
        }
        assert!(demo_image("valley").is_none());
        assert!(!demo_image("Vase").unwrap().is_opaque());
    }
}
