// mask: clear outside paths. One invocation writes one quad of one plane.
//
// mirror  engine::scalar::mask          agreement: bit for bit, tests/it/differential.rs
// src     packed levels, encoded, straight     [planes][h][quads]
// tables  packed shares that are left          [h][quads]
// dst     packed levels, encoded, straight     [colours + 1][h][quads]
// grid    x = quad of the row, y = row, z = plane of dst

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct MaskUniform {
    src_first: u32,
    dst_first: u32,
    table_first: u32,
    colours: u32,
    full: vec4<u32>,
    alpha: u32,
    _pad0: u32, _pad1: u32, _pad2: u32,
}

@group(0) @binding(0) var<uniform> u: MaskUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read_write> dst: array<u32>;

@compute @workgroup_size(WG_X, WG_Y)
fn mask(@builtin(global_invocation_id) gid: vec3<u32>) {
    if (gid.x >= u.full.z || gid.y >= u.full.y) { return; }

    let at = gid.y * u.full.z + gid.x;
    let here = gid.z * u.full.w + at;
    if (gid.z < u.colours) {
        dst[u.dst_first + here] = src[u.src_first + here];
        return;
    }
    var a = vec4<u32>(255u);
    if (u.alpha == u.colours) { a = bytes_of(src[u.src_first + here]); }
    let left = bytes_of(tables[u.table_first + at]);
    dst[u.dst_first + here] = word_of((a * left + 127u) / 255u);
}
