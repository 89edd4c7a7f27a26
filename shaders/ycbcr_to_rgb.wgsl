// ycbcr_to_rgb: Y Cb Cr of either chroma size to R G B. One invocation writes one quad of every plane.
//
// mirror  engine::scalar::ycbcr_to_rgb  agreement: bit for bit, tests/it/differential.rs
// src     packed levels Y, Cb, Cr (+ alpha)    [planes][h][quads]; chroma half size where `half` is
// dst     packed levels R, G, B (+ alpha)      [planes][h][quads]
// grid    x = quad of the row, y = row

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct YcbcrToRgbUniform {
    src_first: u32,
    dst_first: u32,
    halves: u32,
    planes: u32,
    full: vec4<u32>,
    half: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: YcbcrToRgbUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

fn sample(row: u32, x: u32) -> i32 {
    return i32(byte_of(src[row + (x >> 2u)], x));
}

// The four columns of half-size chroma that a luma quad touches, each clamped into the row.
fn columns(row: u32, x: u32) -> vec4<i32> {
    let last = u.half.x - 1u;
    return vec4<i32>(
        sample(row, max(x, 1u) - 1u), sample(row, x), sample(row, min(x + 1u, last)), sample(row, min(x + 2u, last)),
    );
}

// Half-size chroma raised to a luma quad: three parts of the nearest sample to one of the next, both ways.
fn raised(i: u32, gid: vec3<u32>) -> vec4<i32> {
    let plane = u.src_first + first_of(i, u.full, u.half);
    let near_y = gid.y / 2u;
    let far_y = select(min(near_y + 1u, u.half.y - 1u), max(near_y, 1u) - 1u, (gid.y & 1u) == 0u);
    let near = columns(plane + near_y * u.half.z, 2u * gid.x);
    let far = columns(plane + far_y * u.half.z, 2u * gid.x);
    let near_sum = 9 * near.yyzz + 3 * near.xzyw;
    let far_sum = 3 * far.yyzz + far.xzyw;
    return (near_sum + far_sum + 8) >> vec4<u32>(4u);
}

fn chroma(i: u32, gid: vec3<u32>) -> vec4<i32> {
    if (u.halves != 0u) { return raised(i, gid) - 128; }
    return vec4<i32>(bytes_of(src[u.src_first + i * u.full.w + gid.y * u.full.z + gid.x])) - 128;
}

@compute @workgroup_size(WG_X, WG_Y)
fn ycbcr_to_rgb(@builtin(global_invocation_id) gid: vec3<u32>) {
    if (gid.x >= u.full.z || gid.y >= u.full.y) { return; }

    let at = gid.y * u.full.z + gid.x;
    let y = vec4<i32>(bytes_of(src[u.src_first + at]));
    let cb = chroma(1u, gid);
    let cr = chroma(2u, gid);
    let shift = vec4<u32>(16u);
    let out = u.dst_first + at;
    dst[out] = word_of_levels(y + ((91881 * cr + 32768) >> shift));
    dst[out + u.full.w] = word_of_levels(y + ((-22554 * cb - 46802 * cr + 32768) >> shift));
    dst[out + 2u * u.full.w] = word_of_levels(y + ((116130 * cb + 32768) >> shift));
    if (u.planes == 4u) {
        dst[out + 3u * u.full.w] = src[u.src_first + first_of(3u, u.full, u.half) + at];
    }
}
