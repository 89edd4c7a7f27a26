// unsharp_h: horizontal blur of the unsharp mask. One invocation writes one sample.
//
// mirror  engine::scalar::unsharp_h     agreement: bit for bit, tests/it/differential.rs
// src     packed levels, encoded, straight     [planes][h][quads]
// tables  from table_first: reach, then the 14-bit weights of 0, ±1, … ±reach
// dst     i32 in q6, the values that engine::scalar::sharpen states   [colours, or luma alone (+ alpha)][h][4 · quads]
// grid    x = column, y = row, z = plane of dst

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct UnsharpHUniform {
    src_first: u32,
    dst_first: u32,
    table_first: u32,
    mono: u32,
    full: vec4<u32>,
    colours: u32,
    alpha: u32,
    _pad0: u32, _pad1: u32,
}

@group(0) @binding(0) var<uniform> u: UnsharpHUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read_write> dst: array<i32>;

// Level of plane `i` at column `x` of the row that begins at quad `row` of a plane.
fn sample(i: u32, row: u32, x: u32) -> i32 {
    return i32(byte_of(src[u.src_first + i * u.full.w + row + (x >> 2u)], x));
}

// What is blurred: q6, or q6 weighted by alpha and brought back to v · a.
fn value(i: u32, row: u32, x: u32) -> i32 {
    if (i >= select(u.colours, 1u, u.mono != 0u)) { return 64 * sample(u.alpha, row, x); }
    var v = 64 * sample(i, row, x);
    if (u.mono != 0u) {
        v = (19595 * sample(0u, row, x) + 38470 * sample(1u, row, x) + 7471 * sample(2u, row, x) + 512) >> 10u;
    }
    if (u.alpha == u.colours) { return (v * sample(u.alpha, row, x) + 32) >> 6u; }
    return v;
}

@compute @workgroup_size(WG_X, WG_Y)
fn unsharp_h(@builtin(global_invocation_id) gid: vec3<u32>) {
    if (gid.x >= u.full.x || gid.y >= u.full.y) { return; }

    let row = gid.y * u.full.z;
    let reach = tables[u.table_first];
    var sum = i32(tables[u.table_first + 1u]) * value(gid.z, row, gid.x);
    for (var k = 1u; k <= reach; k++) {
        let left = value(gid.z, row, gid.x - min(gid.x, k));
        let right = value(gid.z, row, min(gid.x + k, u.full.x - 1u));
        sum += i32(tables[u.table_first + 1u + k]) * (left + right);
    }
    let is_weighted = u.alpha == u.colours && gid.z < select(u.colours, 1u, u.mono != 0u);
    let shift = select(14u, 16u, is_weighted);
    dst[4u * (u.dst_first + gid.z * u.full.w + row) + gid.x] = (sum + (1i << (shift - 1u))) >> shift;
}
