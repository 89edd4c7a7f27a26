// grow_h: horizontal half of a dilation or erosion by a disc: maxima of runs. One invocation writes one quad.
//
// mirror  engine::scalar::grow_h        agreement: bit for bit, tests/it/differential.rs
// src     packed levels, encoded, straight     [planes][h][quads]
// dst     packed keys                          [powers][grown][h][quads]; power p: the largest of 2^p samples from x on
// grid    x = quad of the row, y = row, z = power · grown + plane of those that grow

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct GrowHUniform {
    src_first: u32,
    dst_first: u32,
    grown: u32,
    alpha: u32,
    full: vec4<u32>,
    flip: u32,
    first: u32,
    _pad0: u32, _pad1: u32,
}

@group(0) @binding(0) var<uniform> u: GrowHUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

// Keys of a quad: 255 less the level for an erosion, 0 where the pixel is clear and past the row's end.
fn keys(plane: u32, row: u32, x: u32) -> vec4<u32> {
    if (x >= u.full.z) { return vec4<u32>(0u); }
    var v = bytes_of(src[u.src_first + (u.first + plane) * u.full.w + row + x]) ^ vec4<u32>(u.flip);
    // What grows beside an alpha are colours, all before it.
    if (u.alpha == u.grown) {
        let a = bytes_of(src[u.src_first + u.alpha * u.full.w + row + x]);
        v = select(v, vec4<u32>(0u), a == vec4<u32>(0u));
    }
    let is_past = vec4<u32>(4u * x) + vec4<u32>(0u, 1u, 2u, 3u) >= vec4<u32>(u.full.x);
    return select(v, vec4<u32>(0u), is_past);
}

fn largest(v: vec4<u32>) -> u32 {
    return max(max(v.x, v.y), max(v.z, v.w));
}

@compute @workgroup_size(WG_X, WG_Y)
fn grow_h(@builtin(global_invocation_id) gid: vec3<u32>) {
    if (gid.x >= u.full.z || gid.y >= u.full.y) { return; }

    let plane = gid.z % u.grown;
    let power = gid.z / u.grown;
    let row = gid.y * u.full.z;
    let here = keys(plane, row, gid.x);
    let next = keys(plane, row, gid.x + 1u);
    var runs = here;
    if (power == 1u) {
        runs = max(here, vec4<u32>(here.yzw, next.x));
    } else if (power >= 2u) {
        // The quads between the first and the last belong to all four runs whole.
        let quads = (1u << power) / 4u;
        var between = 0u;
        for (var i = 1u; i < quads; i++) { between = max(between, largest(keys(plane, row, gid.x + i))); }
        let last = keys(plane, row, gid.x + quads);
        let left = vec4<u32>(largest(here), max(here.y, max(here.z, here.w)), max(here.z, here.w), here.w);
        let right = vec4<u32>(0u, last.x, max(last.x, last.y), max(last.x, max(last.y, last.z)));
        runs = max(max(left, right), vec4<u32>(between));
    }
    dst[u.dst_first + gid.z * u.full.w + row + gid.x] = word_of(runs);
}
