// median: the median luma of what is seen. One workgroup counts the whole picture.
//
// mirror  engine::scalar::median        agreement: bit for bit, tests/it/differential.rs
// src     packed levels, encoded, straight     [planes][h][quads]
// dst     the median, 1 to 254                 [1]
// grid    one workgroup; an invocation counts every quad that is as many after its own as the workgroup has

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct MedianUniform {
    src_first: u32,
    dst_first: u32,
    colours: u32,
    alpha: u32,
    full: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: MedianUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

var<workgroup> counts: array<atomic<u32>, 256>;

fn quad(i: u32, at: u32) -> vec4<i32> {
    return vec4<i32>(bytes_of(src[u.src_first + i * u.full.w + at]));
}

@compute @workgroup_size(WG_X, WG_Y)
fn median(@builtin(local_invocation_index) index: u32) {
    let step = WG_X * WG_Y;
    let green = select(0u, 1u, u.colours == 3u);
    let blue = select(0u, 2u, u.colours == 3u);
    for (var at = index; at < u.full.w; at += step) {
        let levels = luma_levels(64 * quad(0u, at), 64 * quad(green, at), 64 * quad(blue, at));
        var is_seen = vec4<u32>(4u * (at % u.full.z)) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(u.full.x);
        if (u.alpha == u.colours) {
            is_seen = is_seen & (quad(u.alpha, at) >= vec4<i32>(128));
        }
        if (is_seen.x) { atomicAdd(&counts[levels.x], 1u); }
        if (is_seen.y) { atomicAdd(&counts[levels.y], 1u); }
        if (is_seen.z) { atomicAdd(&counts[levels.z], 1u); }
        if (is_seen.w) { atomicAdd(&counts[levels.w], 1u); }
    }
    workgroupBarrier();

    if (index != 0u) { return; }
    var all = 0u;
    for (var level = 0u; level < 256u; level++) { all += atomicLoad(&counts[level]); }
    var found = 127u;
    var seen = 0u;
    for (var level = 0u; level < 256u; level++) {
        let before = seen;
        seen += atomicLoad(&counts[level]);
        if (2u * before < all && 2u * seen >= all) { found = clamp(level, 1u, 254u); }
    }
    dst[u.dst_first] = found;
}
