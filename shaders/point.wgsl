// point: operations on one pixel at a time. One invocation writes one quad of every plane.
//
// mirror  engine::scalar::point         agreement: bit for bit, tests/it/differential.rs
// src     packed levels, encoded, straight     [planes][h][quads]
// measured what median wrote                   [1]; read where a tint is normalised
// tables  from table_first: q6 of R, of G, of B after the curves [3][256]
// dst     packed levels, encoded, straight     [planes'][h][quads]
// grid    x = quad of the row, y = row

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct PointUniform {
    src_first: u32,
    dst_first: u32,
    table_first: u32,
    hue: i32,
    full: vec4<u32>,
    colours: u32,
    dst_colours: u32,
    alpha: u32,
    saturation_q10: i32,
    tint: u32,
    contrast: i32,
    invert: u32,
    _pad0: u32,
    colour: vec4<i32>,
}

@group(0) @binding(0) var<uniform> u: PointUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read> measured: array<u32>;
@group(0) @binding(3) var<storage, read> tables: array<u32>;
@group(0) @binding(4) var<storage, read_write> dst: array<u32>;

// Four pixels in q6.
struct Pixels {
    r: vec4<i32>,
    g: vec4<i32>,
    b: vec4<i32>,
}

const FULL = 16320;
const HALF = 8160;

// Channel `c` of four pixels after its curve; a grey picture lends its one plane to all three.
fn curved(c: u32, at: u32) -> vec4<i32> {
    let levels = bytes_of(src[u.src_first + min(c, u.colours - 1u) * u.full.w + at]);
    let curve = u.table_first + 256u * c;
    return vec4<i32>(vec4<u32>(
        tables[curve + levels.x], tables[curve + levels.y], tables[curve + levels.z], tables[curve + levels.w],
    ));
}

// One channel of the turned hue: n = 5, 3, 1 for R, G, B; `turned` is the hue in sixtieths of `c`, 0 to 360 c.
fn channel(n: i32, turned: vec4<i32>, most: vec4<i32>, c: vec4<i32>) -> vec4<i32> {
    var k = turned + 60 * n * c;
    k = select(k, k - 360 * c, k >= 360 * c);
    let t = max(min(min(k, 240 * c - k), 60 * c), vec4<i32>(0));
    return most - vec4<i32>((vec4<u32>(t) * 4369u + 131072u) >> vec4<u32>(18u));
}

fn turn(p: Pixels) -> Pixels {
    let most = max(max(p.r, p.g), p.b);
    let c = most - min(min(p.r, p.g), p.b);
    let green = select(p.r - p.g + 4 * c, p.b - p.r + 2 * c, p.g == most);
    let hue = select(green, p.g - p.b, p.r == most);
    var turned = 60 * hue + u.hue * c;
    turned = select(turned, turned + 360 * c, turned < vec4<i32>(0));
    turned = select(turned, turned - 360 * c, turned >= 360 * c);
    return Pixels(channel(5, turned, most, c), channel(3, turned, most, c), channel(1, turned, most, c));
}

fn saturate_from(y: vec4<i32>, v: vec4<i32>) -> vec4<i32> {
    let spread = ((v - y) * u.saturation_q10 + 512) >> vec4<u32>(10u);
    return clamp(y + spread, vec4<i32>(0), vec4<i32>(FULL));
}

// Luma in q6, normalised and given contrast where the tint says so.
fn normalised(levels: vec4<i32>) -> vec4<i32> {
    if (u.tint != 2u) { return 64 * levels; }
    let median = clamp(i32(measured[0]), 1, 254);
    let up = levels * (255 - median);
    let down = median * (255 - levels);
    let moved = (FULL * up + (up + down) / 2) / (up + down);
    if (u.contrast >= 100) { return select(vec4<i32>(FULL), vec4<i32>(0), moved < vec4<i32>(HALF)); }
    return clamp(HALF + (moved - HALF) * 100 / (100 - u.contrast), vec4<i32>(0), vec4<i32>(FULL));
}

// Black to `level` to white by luma.
fn tinted(luma: vec4<i32>, level: i32) -> vec4<i32> {
    let c = 64 * level;
    let below = (c * luma + HALF / 2) / HALF;
    let above = c + ((FULL - c) * (luma - HALF) + HALF / 2) / HALF;
    return select(above, below, luma <= vec4<i32>(HALF));
}

fn finished(v: vec4<i32>) -> u32 {
    let q6 = select(v, FULL - v, vec4<bool>(u.invert != 0u));
    return word_of_levels((q6 + 32) >> vec4<u32>(6u));
}

@compute @workgroup_size(WG_X, WG_Y)
fn point(@builtin(global_invocation_id) gid: vec3<u32>) {
    if (gid.x >= u.full.z || gid.y >= u.full.y) { return; }

    let at = gid.y * u.full.z + gid.x;
    var p = Pixels(curved(0u, at), curved(1u, at), curved(2u, at));
    if (u.hue != 0) { p = turn(p); }
    if (u.saturation_q10 != 1024) {
        let y = luma_q6(p.r, p.g, p.b);
        p = Pixels(saturate_from(y, p.r), saturate_from(y, p.g), saturate_from(y, p.b));
    }
    if (u.tint != 0u) {
        let luma = normalised(vec4<i32>(luma_levels(p.r, p.g, p.b)));
        p = Pixels(tinted(luma, u.colour.x), tinted(luma, u.colour.y), tinted(luma, u.colour.z));
    }
    let out = u.dst_first + at;
    dst[out] = finished(p.r);
    if (u.dst_colours == 3u) {
        dst[out + u.full.w] = finished(p.g);
        dst[out + 2u * u.full.w] = finished(p.b);
    }
    if (u.alpha == u.colours) {
        dst[out + u.dst_colours * u.full.w] = src[u.src_first + u.alpha * u.full.w + at];
    }
}
