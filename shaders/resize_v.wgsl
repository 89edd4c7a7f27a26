// resize_v: vertical half of the separable resample. One invocation writes one quad.
//
// mirror  engine::scalar::resize_v      agreement: 1 level after pack, tests/it/differential.rs
// src     f32, working space, premultiplied    [planes][h_src][quads]
// tables  as of resize_h, turned: first source row of each window [h_dst], then f32 weights [taps][h_dst]
// dst     f32, working space, premultiplied    [planes][h_dst][quads]
// grid    x = quad of the row, y = output row, z = plane

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct ResizeVUniform {
    src_first: u32,
    dst_first: u32,
    table_first: u32,
    _pad0: u32,
    src_full: vec4<u32>,
    src_half: vec4<u32>,
    dst_full: vec4<u32>,
    dst_half: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: ResizeVUniform;
@group(0) @binding(1) var<storage, read> src: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read_write> dst: array<vec4<f32>>;

@compute @workgroup_size(WG_X, WG_Y)
fn resize_v(@builtin(global_invocation_id) gid: vec3<u32>) {
    let shape = shape_of(gid.z, u.dst_full, u.dst_half);
    if (gid.x >= shape.z || gid.y >= shape.y) { return; }

    let table = u.table_first + select(0u, 1u, gid.z == 1u || gid.z == 2u);
    let taps = tables[table];
    let windows = u.table_first + tables[table + 2u];
    let top = tables[windows + gid.y];
    let weights = windows + shape.y + gid.y;

    let column = u.src_first + first_of(gid.z, u.src_full, u.src_half) + top * shape.z + gid.x;
    var acc = vec4<f32>(0.0);
    for (var t = 0u; t < taps; t++) {
        acc += bitcast<f32>(tables[weights + t * shape.y]) * src[column + t * shape.z];
    }
    dst[u.dst_first + first_of(gid.z, u.dst_full, u.dst_half) + gid.y * shape.z + gid.x] = acc;
}
