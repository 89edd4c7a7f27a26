// resize_h: horizontal half of the separable resample. One invocation writes one sample.
//
// mirror  engine::scalar::resize_h      agreement: 1 level after pack, tests/it/differential.rs
// src     f32, working space, premultiplied    [planes][h][4 · quads]
//         with FUSED = 1 what `load` would read: packed levels, encoded, straight [planes][h][quads]
// tables  from table_first: taps of a full-size window, of a half-size one, where each table begins; each table is the
//         first source column of each window [w_dst], then f32 weights [taps][w_dst], computed in f64 on the CPU
// levels  f32 linear light of each level       [256] at the start of `tables`; read with FUSED = 1 in linear space alone
// dst     f32, working space, premultiplied    [planes][h][4 · quads]
// grid    x = output column, y = row, z = plane

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;
// 1: `load` happens while reading, so that the full-size source never exists in f32.
override FUSED: u32 = 0u;

struct ResizeHUniform {
    src_first: u32,
    dst_first: u32,
    table_first: u32,
    linear: u32,
    src_full: vec4<u32>,
    src_half: vec4<u32>,
    dst_full: vec4<u32>,
    dst_half: vec4<u32>,
    colours: u32,
    alpha: u32,
    _pad0: u32, _pad1: u32,
}

@group(0) @binding(0) var<uniform> u: ResizeHUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read_write> dst: array<f32>;

@compute @workgroup_size(WG_X, WG_Y)
fn resize_h(@builtin(global_invocation_id) gid: vec3<u32>) {
    let shape = shape_of(gid.z, u.dst_full, u.dst_half);
    if (gid.x >= shape.x || gid.y >= shape.y) { return; }

    let table = u.table_first + select(0u, 1u, gid.z == 1u || gid.z == 2u);
    let taps = tables[table];
    let windows = u.table_first + tables[table + 2u];
    let left = tables[windows + gid.x];
    let weights = windows + shape.x + gid.x;

    let quads = shape_of(gid.z, u.src_full, u.src_half).z;
    let row = u.src_first + first_of(gid.z, u.src_full, u.src_half) + gid.y * quads;
    let alpha_row = u.src_first + first_of(u.alpha, u.src_full, u.src_half) + gid.y * u.src_full.z;
    let is_colour = gid.z < u.colours;
    let has_alpha = u.alpha == u.colours;

    var acc = 0.0;
    for (var t = 0u; t < taps; t++) {
        let x = left + t;
        var v = 255.0;
        if (FUSED == 0u) {
            v = bitcast<f32>(src[4u * row + x]);
        } else if (is_colour || has_alpha) {
            let level = byte_of(src[row + (x >> 2u)], x);
            v = f32(level);
            if (is_colour) {
                if (u.linear != 0u) { v = bitcast<f32>(tables[level]); }
                if (has_alpha) { v = v * f32(byte_of(src[alpha_row + (x >> 2u)], x)) / 255.0; }
            }
        }
        acc += bitcast<f32>(tables[weights + t * shape.x]) * v;
    }
    dst[4u * (u.dst_first + first_of(gid.z, u.dst_full, u.dst_half) + gid.y * shape.z) + gid.x] = acc;
}
