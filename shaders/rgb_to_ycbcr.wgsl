// rgb_to_ycbcr: R G B to Y Cb Cr of either chroma size, Y Cb Cr to Y Cb Cr that share chroma. One invocation writes one quad of Y and alpha, or of Cb and Cr.
//
// mirror  engine::scalar::rgb_to_ycbcr  agreement: bit for bit, tests/it/differential.rs
// src     packed levels R, G, B or Y, Cb, Cr (+ alpha)  [planes][h][quads]
// dst     packed levels Y, Cb, Cr (+ alpha)    [planes][h][quads]; chroma half size where `half` is
// form    0 full range, full-size chroma; 1 full range, half-size; 2 video range, half-size
// is_ycbcr 1 where src is Y, Cb, Cr with full-size chroma; only with half-size chroma out
// grid    x = quad of the row, y = row, z = 0 luma and alpha, 1 chroma

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct RgbToYcbcrUniform {
    src_first: u32,
    dst_first: u32,
    form: u32,
    planes: u32,
    is_ycbcr: u32,
    _pad0: u32,
    _pad1: u32,
    _pad2: u32,
    full: vec4<u32>,
    half: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: RgbToYcbcrUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

// A quad of plane `i` of src.
fn quad(i: u32, at: u32) -> vec4<i32> {
    return vec4<i32>(bytes_of(src[u.src_first + i * u.full.w + at]));
}

// Level of plane `i` at a pixel, whose row and column end at the picture's.
fn level(i: u32, x: u32, y: u32) -> i32 {
    let at = min(y, u.full.y - 1u) * u.full.z * 4u + min(x, u.full.x - 1u);
    return i32((src[u.src_first + i * u.full.w + at / 4u] >> (8u * (at % 4u))) & 255u);
}

// The integer part of the root: `sqrt` may err in its last bits.
fn floor_sqrt(n: i32) -> i32 {
    var root = i32(sqrt(f32(n)));
    for (var i = 0; i < 4 && root * root > n; i++) { root -= 1; }
    for (var i = 0; i < 4 && (root + 1) * (root + 1) <= n; i++) { root += 1; }
    return root;
}

// R, G and B of a pixel; those of Y Cb Cr as ycbcr_to_rgb makes them.
fn colour(x: u32, y: u32) -> vec3<i32> {
    let v = vec3<i32>(level(0u, x, y), level(1u, x, y), level(2u, x, y));
    if (u.is_ycbcr == 0u) { return v; }
    let cb = v.y - 128;
    let cr = v.z - 128;
    let more = vec3<i32>(91881 * cr, -22554 * cb - 46802 * cr, 116130 * cb);
    return clamp(v.x + ((more + 32768) >> vec3<u32>(16u)), vec3<i32>(0), vec3<i32>(255));
}

// Root mean squares of R, G and B over a 2×2 block, in 2^-6 levels, weighted by alpha.
fn block_roots(x: u32, y: u32) -> vec3<i32> {
    var sum = vec3<i32>(0);
    var weighted = vec3<i32>(0);
    var weight = 0;
    for (var p = 0u; p < 4u; p++) {
        let at = vec2<u32>(2u * x + (p & 1u), 2u * y + (p >> 1u));
        let v = colour(at.x, at.y);
        sum += v * v;
        if (u.planes == 4u) {
            let a = level(3u, at.x, at.y);
            weighted += a * v * v;
            weight += a;
        }
    }
    if (weight > 0) { sum = (4 * weighted + weight / 2) / weight; }
    return vec3<i32>(floor_sqrt(1024 * sum.x), floor_sqrt(1024 * sum.y), floor_sqrt(1024 * sum.z));
}

// Cb and Cr, less 128, that the pixels of a block share.
fn shared_chroma(x: u32, y: u32) -> vec2<i32> {
    let q = block_roots(min(x, u.half.x - 1u), min(y, u.half.y - 1u));
    var cb = -11059 * q.x - 21709 * q.y + 32768 * q.z;
    var cr = 32768 * q.x - 27439 * q.y - 5329 * q.z;
    if (u.form == 2u) {
        cb = -9714 * q.x - 19070 * q.y + 28784 * q.z;
        cr = 28784 * q.x - 24103 * q.y - 4681 * q.z;
    }
    cb = (cb + 538968063) >> 22u;
    cr = (cr + 538968063) >> 22u;
    return clamp(vec2<i32>(cb, cr), vec2<i32>(0), vec2<i32>(255));
}

// The luma with which a pixel is as bright in its shared colour as it was.
fn bright_luma(x: u32, y: u32, c: vec2<i32>) -> i32 {
    let v = colour(x, y);
    let square = 306 * v.x * v.x + 601 * v.y * v.y + 117 * v.z * v.z;
    if (u.form == 2u) {
        let shown = square - (567 * c.x * c.x + 383 * c.x * c.y + 1177 * c.y * c.y);
        return min(16 + ((112567 * floor_sqrt(max(shown, 0)) + 2097152) >> 22u), 235);
    }
    let shown = square - (438 * c.x * c.x + 295 * c.x * c.y + 908 * c.y * c.y);
    return min((floor_sqrt(max(shown, 0)) + 16) >> 5u, 255);
}

// Four lumas over half-size chroma.
fn bright_quad(gid: vec3<u32>) -> vec4<i32> {
    let near_y = gid.y / 2u;
    let far_y = select(near_y + 1u, max(near_y, 1u) - 1u, gid.y % 2u == 0u);
    // Chroma of the four columns around these pixels, mixed down the rows: 3 parts to 1.
    let first = 2u * gid.x;
    var mixed: array<vec2<i32>, 4>;
    for (var i = 0u; i < 4u; i++) {
        let x = max(first + i, 1u) - 1u;
        mixed[i] = 3 * shared_chroma(x, near_y) + shared_chroma(x, far_y);
    }
    let c0 = ((3 * mixed[1] + mixed[0] + 8) >> vec2<u32>(4u)) - 128;
    let c1 = ((3 * mixed[1] + mixed[2] + 8) >> vec2<u32>(4u)) - 128;
    let c2 = ((3 * mixed[2] + mixed[1] + 8) >> vec2<u32>(4u)) - 128;
    let c3 = ((3 * mixed[2] + mixed[3] + 8) >> vec2<u32>(4u)) - 128;
    let x = 4u * gid.x;
    return vec4<i32>(
        bright_luma(x, gid.y, c0),
        bright_luma(x + 1u, gid.y, c1),
        bright_luma(x + 2u, gid.y, c2),
        bright_luma(x + 3u, gid.y, c3),
    );
}

@compute @workgroup_size(WG_X, WG_Y)
fn rgb_to_ycbcr(@builtin(global_invocation_id) gid: vec3<u32>) {
    let shape = shape_of(gid.z, u.full, u.half);
    if (gid.x >= shape.z || gid.y >= shape.y) { return; }

    let at = gid.y * shape.z + gid.x;
    if (gid.z == 0u) {
        var luma: vec4<i32>;
        if (u.form != 0u) {
            luma = bright_quad(gid);
        } else {
            luma = (19595 * quad(0u, at) + 38470 * quad(1u, at) + 7471 * quad(2u, at) + 32768) >> vec4<u32>(16u);
        }
        dst[u.dst_first + at] = word_of_levels(luma);
        if (u.planes == 4u) {
            dst[u.dst_first + first_of(3u, u.full, u.half) + at] = src[u.src_first + 3u * u.full.w + at];
        }
        return;
    }
    var cb: vec4<i32>;
    var cr: vec4<i32>;
    if (u.form != 0u) {
        for (var i = 0u; i < 4u; i++) {
            let c = shared_chroma(4u * gid.x + i, gid.y);
            cb[i] = c.x;
            cr[i] = c.y;
        }
    } else {
        let r = quad(0u, at);
        let g = quad(1u, at);
        let b = quad(2u, at);
        cb = (-11059 * r - 21709 * g + 32768 * b + 8421375) >> vec4<u32>(16u);
        cr = (32768 * r - 27439 * g - 5329 * b + 8421375) >> vec4<u32>(16u);
    }
    let out = u.dst_first + at;
    dst[out + first_of(1u, u.full, u.half)] = word_of_levels(cb);
    dst[out + first_of(2u, u.full, u.half)] = word_of_levels(cr);
}
