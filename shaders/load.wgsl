// load: 8-bit encoded straight to f32 premultiplied. One invocation writes one quad.
//
// mirror  engine::scalar::load          agreement: 1 level after pack, tests/it/differential.rs
// src     packed levels, encoded, straight     [planes][h][quads]
// tables  f32 linear light of each level       [256] from table_first; read in linear space alone
// dst     f32, working space, premultiplied    [planes (+ alpha)][h][quads]
// grid    x = quad of the row, y = row, z = plane of dst

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct LoadUniform {
    src_first: u32,
    dst_first: u32,
    table_first: u32,
    linear: u32,
    full: vec4<u32>,
    half: vec4<u32>,
    colours: u32,
    alpha: u32,
    _pad0: u32, _pad1: u32,
}

@group(0) @binding(0) var<uniform> u: LoadUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read_write> dst: array<vec4<f32>>;

fn light(level: u32) -> f32 {
    return bitcast<f32>(tables[u.table_first + level]);
}

@compute @workgroup_size(WG_X, WG_Y)
fn load(@builtin(global_invocation_id) gid: vec3<u32>) {
    let shape = shape_of(gid.z, u.full, u.half);
    if (gid.x >= shape.z || gid.y >= shape.y) { return; }

    let at = gid.y * shape.z + gid.x;
    let out = u.dst_first + first_of(gid.z, u.full, u.half) + at;
    // `alpha` is the source's alpha plane; without one it lies past all planes and dst's own is opaque.
    let has_alpha = u.alpha == u.colours;
    if (gid.z == u.colours && !has_alpha) {
        dst[out] = vec4<f32>(255.0);
        return;
    }
    let levels = bytes_of(src[u.src_first + first_of(gid.z, u.full, u.half) + at]);
    var v = vec4<f32>(levels);
    if (gid.z < u.colours) {
        if (u.linear != 0u) {
            v = vec4<f32>(light(levels.x), light(levels.y), light(levels.z), light(levels.w));
        }
        if (has_alpha) {
            let a = bytes_of(src[u.src_first + first_of(u.alpha, u.full, u.half) + at]);
            v = v * vec4<f32>(a) / 255.0;
        }
    }
    dst[out] = v;
}
