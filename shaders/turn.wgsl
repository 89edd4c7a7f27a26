// turn: mirrored, or turned by quarters. One invocation writes one quad.
//
// mirror  engine::scalar::turn          agreement: bit for bit, tests/it/differential.rs
// src     packed levels, encoded, straight     [planes][h][quads]
// dst     packed levels, encoded, straight     [planes][h'][quads']
// grid    x = quad of dst's row, y = row of dst, z = plane

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct TurnUniform {
    src_first: u32,
    dst_first: u32,
    transposed: u32,
    mirrored: u32,
    flipped: u32,
    _pad0: u32, _pad1: u32, _pad2: u32,
    src_full: vec4<u32>,
    dst_full: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: TurnUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

// What comes to column `x` of the row whose source row (column, where it is transposed) is `row`.
fn sample(i: u32, x: u32, row: u32) -> u32 {
    let inside = min(x, u.dst_full.x - 1u);
    let column = select(inside, u.dst_full.x - 1u - inside, u.mirrored != 0u);
    let at = select(vec2<u32>(column, row), vec2<u32>(row, column), u.transposed != 0u);
    return byte_of(src[u.src_first + i * u.src_full.w + at.y * u.src_full.z + (at.x >> 2u)], at.x);
}

@compute @workgroup_size(WG_X, WG_Y)
fn turn(@builtin(global_invocation_id) gid: vec3<u32>) {
    if (gid.x >= u.dst_full.z || gid.y >= u.dst_full.y) { return; }

    let row = select(gid.y, u.dst_full.y - 1u - gid.y, u.flipped != 0u);
    let x = 4u * gid.x;
    let levels = vec4<u32>(
        sample(gid.z, x, row), sample(gid.z, x + 1u, row), sample(gid.z, x + 2u, row), sample(gid.z, x + 3u, row),
    );
    dst[u.dst_first + gid.z * u.dst_full.w + gid.y * u.dst_full.z + gid.x] = word_of(levels);
}
