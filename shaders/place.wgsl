// place: crop, pad and flatten onto the view. One invocation writes one quad.
//
// mirror  engine::scalar::place         agreement: bit for bit, tests/it/differential.rs
// src     packed levels, encoded, straight     [planes][h][quads]; chroma, if any, as large as luma
// dst     packed levels, encoded, straight     [planes'][canvas h][canvas quads]
// grid    x = quad of the view's row, y = row of the view, z = plane of dst

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct PlaceUniform {
    src_first: u32,
    dst_first: u32,
    colours: u32,
    alpha: u32,
    src_full: vec4<u32>,
    dst_full: vec4<u32>,
    offset: vec2<i32>,
    dst_alpha: u32,
    _pad0: u32,
    // Levels of the colour planes.
    fill: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: PlaceUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

fn sample(i: u32, row: u32, x: u32) -> u32 {
    return byte_of(src[u.src_first + i * u.src_full.w + row + (x >> 2u)], x);
}

// Level of plane `i` of the view at column `x`, given the source row, if the view's row has one.
fn placed(i: u32, x: u32, row: u32, has_row: bool) -> u32 {
    let is_alpha = i == u.dst_alpha;
    let background = select(u.fill[min(i, 3u)], 0u, is_alpha);
    // Wraps below 0 to something far outside: one comparison covers both edges.
    let sx = x - bitcast<u32>(u.offset.x);
    if (!has_row || sx >= u.src_full.x) { return background; }

    var a = 255u;
    if (u.alpha == u.colours) { a = sample(u.alpha, row, sx); }
    if (is_alpha) { return a; }
    let c = sample(min(i, u.colours - 1u), row, sx);
    // With an alpha plane of its own (index below 5) the view keeps straight colour.
    if (u.dst_alpha < 5u) { return c; }
    return (c * a + background * (255u - a) + 127u) / 255u;
}

@compute @workgroup_size(WG_X, WG_Y)
fn place(@builtin(global_invocation_id) gid: vec3<u32>) {
    if (gid.x >= u.dst_full.z || gid.y >= u.dst_full.y) { return; }

    let sy = gid.y - bitcast<u32>(u.offset.y);
    let has_row = sy < u.src_full.y;
    let row = sy * u.src_full.z;
    let x = 4u * gid.x;
    let levels = vec4<u32>(
        placed(gid.z, x, row, has_row),
        placed(gid.z, x + 1u, row, has_row),
        placed(gid.z, x + 2u, row, has_row),
        placed(gid.z, x + 3u, row, has_row),
    );
    dst[u.dst_first + gid.z * u.dst_full.w + gid.y * u.dst_full.z + gid.x] = word_of(levels);
}
