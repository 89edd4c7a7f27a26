// pack: f32 premultiplied to 8-bit encoded straight. Clamps and rounds, once. One invocation writes one quad.
//
// mirror  engine::scalar::pack          agreement: 1 level, tests/it/differential.rs
// src     f32, working space, premultiplied    [planes][h][quads]
// dst     packed levels, encoded, straight     [planes][h][quads]
// grid    x = quad of the row, y = row, z = plane

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct PackUniform {
    src_first: u32,
    dst_first: u32,
    linear: u32,
    alpha: u32,
    full: vec4<u32>,
    half: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: PackUniform;
@group(0) @binding(1) var<storage, read> src: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

// The sRGB curve (IEC 61966-2-1) in levels; clamped first, since it is only defined there.
fn encoded(light: vec4<f32>) -> vec4<f32> {
    let v = min(max(light, vec4<f32>(0.0)), vec4<f32>(255.0)) / 255.0;
    let curve = 1.055 * pow(v, vec4<f32>(1.0 / 2.4)) - 0.055;
    return 255.0 * select(curve, v * 12.92, v <= vec4<f32>(0.0031308));
}

@compute @workgroup_size(WG_X, WG_Y)
fn pack(@builtin(global_invocation_id) gid: vec3<u32>) {
    let shape = shape_of(gid.z, u.full, u.half);
    if (gid.x >= shape.z || gid.y >= shape.y) { return; }

    let at = gid.y * shape.z + gid.x;
    let plane = first_of(gid.z, u.full, u.half);
    var v = src[u.src_first + plane + at];
    // Without an alpha plane `alpha` lies past all planes, so that every plane is colour.
    if (gid.z != u.alpha) {
        if (u.alpha < 5u) {
            let a = src[u.src_first + first_of(u.alpha, u.full, u.half) + at];
            let is_seen = a > vec4<f32>(0.0);
            v = select(vec4<f32>(0.0), v * 255.0 / select(vec4<f32>(1.0), a, is_seen), is_seen);
        }
        if (u.linear != 0u) { v = encoded(v); }
    }
    let level = min(max(floor(v + 0.5), vec4<f32>(0.0)), vec4<f32>(255.0));
    dst[u.dst_first + plane + at] = word_of(vec4<u32>(level));
}
