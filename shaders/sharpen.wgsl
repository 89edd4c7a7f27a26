// sharpen: the fixed 3×3 of op_sharpen. One invocation writes one quad.
//
// mirror  engine::scalar::sharpen       agreement: bit for bit, tests/it/differential.rs
// src     packed levels, encoded, straight     [planes][h][quads]
// dst     packed levels, encoded, straight     [planes][h][quads]
// grid    x = quad of the row, y = row, z = plane

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct SharpenUniform {
    src_first: u32,
    dst_first: u32,
    colours: u32,
    alpha: u32,
    full: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: SharpenUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

// One row of a plane around a quad: the quad, and the same moved by one column either way, edges repeated.
struct Neighbours {
    left: vec4<i32>,
    here: vec4<i32>,
    right: vec4<i32>,
}

fn neighbours(i: u32, x: u32, y: u32) -> Neighbours {
    let row = u.src_first + i * u.full.w + y * u.full.z;
    let last = u.full.x - 1u;
    let here = vec4<i32>(bytes_of(src[row + x]));
    let before = max(4u * x, 1u) - 1u;
    let after = min(4u * x + 4u, last);
    let left = i32(byte_of(src[row + (before >> 2u)], before));
    let right = i32(byte_of(src[row + (after >> 2u)], after));
    let is_last = vec4<u32>(4u * x) + vec4<u32>(0u, 1u, 2u, 3u) >= vec4<u32>(last);
    return Neighbours(vec4<i32>(left, here.xyz), here, select(vec4<i32>(here.yzw, right), here, is_last));
}

@compute @workgroup_size(WG_X, WG_Y)
fn sharpen(@builtin(global_invocation_id) gid: vec3<u32>) {
    if (gid.x >= u.full.z || gid.y >= u.full.y) { return; }

    let is_weighted = u.alpha == u.colours && gid.z < u.colours;
    let v = vec4<i32>(bytes_of(src[u.src_first + gid.z * u.full.w + gid.y * u.full.z + gid.x]));
    // Sums over the eight neighbours: of v, or of v · a and of a.
    var n = vec4<i32>(0);
    var a = vec4<i32>(0);
    for (var dy = 0u; dy < 3u; dy++) {
        let y = min(max(gid.y + dy, 1u) - 1u, u.full.y - 1u);
        let values = neighbours(gid.z, gid.x, y);
        if (is_weighted) {
            let alphas = neighbours(u.alpha, gid.x, y);
            n += values.left * alphas.left + values.right * alphas.right;
            a += alphas.left + alphas.right;
            if (dy != 1u) {
                n += values.here * alphas.here;
                a += alphas.here;
            }
        } else {
            n += values.left + values.right;
            if (dy != 1u) { n += values.here; }
        }
    }
    var levels = (16 * v - n + 4) >> vec4<u32>(3u);
    if (is_weighted) {
        let is_seen = a > vec4<i32>(0);
        let b = select(64 * v, (64 * n + a / 2) / select(vec4<i32>(1), a, is_seen), is_seen);
        levels = (128 * v - b + 32) >> vec4<u32>(6u);
    }
    dst[u.dst_first + gid.z * u.full.w + gid.y * u.full.z + gid.x] = word_of_levels(levels);
}
