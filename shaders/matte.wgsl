// matte: a picture's alpha as a grey picture. One invocation writes one quad.
//
// mirror  engine::scalar::matte         agreement: bit for bit, tests/it/differential.rs
// src     packed levels, encoded, straight     [planes][h][quads]
// dst     packed levels                        [1][h][quads]
// grid    x = quad of the row, y = row

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct MatteUniform {
    src_first: u32,
    dst_first: u32,
    alpha: u32,
    _pad0: u32,
    full: vec4<u32>,
    half: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: MatteUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

@compute @workgroup_size(WG_X, WG_Y)
fn matte(@builtin(global_invocation_id) gid: vec3<u32>) {
    if (gid.x >= u.full.z || gid.y >= u.full.y) { return; }

    let at = gid.y * u.full.z + gid.x;
    // No picture has more planes than five.
    var quad = 0xffffffffu;
    if (u.alpha < 5u) { quad = src[u.src_first + first_of(u.alpha, u.full, u.half) + at]; }
    dst[u.dst_first + at] = quad;
}
