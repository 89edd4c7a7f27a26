// grey: R G B to its luma; of Y Cb Cr the luma alone. One invocation writes one quad of every plane.
//
// mirror  engine::scalar::grey          agreement: bit for bit, tests/it/differential.rs
// src     packed levels R, G, B or Y, Cb, Cr (+ alpha)   [planes][h][quads]
// dst     packed levels Y (+ alpha)            [planes][h][quads]
// grid    x = quad of the row, y = row

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct GreyUniform {
    src_first: u32,
    dst_first: u32,
    weighs: u32,
    alpha: u32,
    full: vec4<u32>,
    half: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: GreyUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

fn levels(plane: u32, at: u32) -> vec4<i32> {
    return vec4<i32>(bytes_of(src[u.src_first + plane * u.full.w + at]));
}

@compute @workgroup_size(WG_X, WG_Y)
fn grey(@builtin(global_invocation_id) gid: vec3<u32>) {
    if (gid.x >= u.full.z || gid.y >= u.full.y) { return; }

    let at = gid.y * u.full.z + gid.x;
    if (u.weighs != 0u) {
        let sum = 19595 * levels(0u, at) + 38470 * levels(1u, at) + 7471 * levels(2u, at);
        dst[u.dst_first + at] = word_of_levels((sum + 32768) >> vec4<u32>(16u));
    } else {
        dst[u.dst_first + at] = src[u.src_first + at];
    }
    if (u.alpha == 3u) {
        dst[u.dst_first + u.full.w + at] = src[u.src_first + first_of(3u, u.full, u.half) + at];
    }
}
