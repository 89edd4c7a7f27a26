// rgb_to_ycbcr: R G B to Y Cb Cr of either chroma size. One invocation writes one quad of Y and alpha, or of Cb and Cr.
//
// mirror  engine::scalar::rgb_to_ycbcr  agreement: bit for bit, tests/it/differential.rs
// src     packed levels R, G, B (+ alpha)      [planes][h][quads]
// dst     packed levels Y, Cb, Cr (+ alpha)    [planes][h][quads]; chroma half size where `half` is
// grid    x = quad of the row, y = row, z = 0 luma and alpha, 1 chroma

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct RgbToYcbcrUniform {
    src_first: u32,
    dst_first: u32,
    halves: u32,
    planes: u32,
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

// Sums of the pixel pairs (0, 1) and (2, 3) of one quad; what lies past the row's end repeats its last pixel.
fn pairs(i: u32, x: u32, y: u32) -> vec2<i32> {
    let at = y * u.full.z + min(x, u.full.z - 1u);
    let v = quad(i, at);
    let last = u.full.x - 1u - 4u * min(x, u.full.z - 1u);
    let second = select(v.y, v.x, last == 0u);
    let fourth = select(v.w, v.z, last == 2u);
    return vec2<i32>(v.x + second, v.z + fourth);
}

// Sums over the 2×2 blocks of one chroma quad, of plane `i`.
fn blocks(i: u32, gid: vec3<u32>) -> vec4<i32> {
    let below = min(2u * gid.y + 1u, u.full.y - 1u);
    let left = pairs(i, 2u * gid.x, 2u * gid.y) + pairs(i, 2u * gid.x, below);
    let right = pairs(i, 2u * gid.x + 1u, 2u * gid.y) + pairs(i, 2u * gid.x + 1u, below);
    return vec4<i32>(left, right);
}

@compute @workgroup_size(WG_X, WG_Y)
fn rgb_to_ycbcr(@builtin(global_invocation_id) gid: vec3<u32>) {
    let shape = shape_of(gid.z, u.full, u.half);
    if (gid.x >= shape.z || gid.y >= shape.y) { return; }

    let at = gid.y * shape.z + gid.x;
    if (gid.z == 0u) {
        let luma = (19595 * quad(0u, at) + 38470 * quad(1u, at) + 7471 * quad(2u, at) + 32768) >> vec4<u32>(16u);
        dst[u.dst_first + at] = word_of_levels(luma);
        if (u.planes == 4u) {
            dst[u.dst_first + first_of(3u, u.full, u.half) + at] = src[u.src_first + 3u * u.full.w + at];
        }
        return;
    }
    var r: vec4<i32>;
    var g: vec4<i32>;
    var b: vec4<i32>;
    // n pixels a sample: n · (128 · 2^16) + n · 2^15 − 1, then a shift by 16 + log2 n.
    var bias = 8421375;
    var shift = vec4<u32>(16u);
    if (u.halves != 0u) {
        r = blocks(0u, gid);
        g = blocks(1u, gid);
        b = blocks(2u, gid);
        bias = 33685503;
        shift = vec4<u32>(18u);
    } else {
        r = quad(0u, at);
        g = quad(1u, at);
        b = quad(2u, at);
    }
    let out = u.dst_first + at;
    dst[out + first_of(1u, u.full, u.half)] = word_of_levels((-11059 * r - 21709 * g + 32768 * b + bias) >> shift);
    dst[out + first_of(2u, u.full, u.half)] = word_of_levels((32768 * r - 27439 * g - 5329 * b + bias) >> shift);
}
