// unsharp_v: vertical blur, comparison and sharpening of the unsharp mask. One invocation writes one quad.
//
// mirror  engine::scalar::unsharp_v     agreement: bit for bit, tests/it/differential.rs
// src     packed levels, encoded, straight     [planes][h][quads]
// blurred i32 that unsharp_h wrote             [colours, or luma alone (+ alpha)][h][quads]
// tables  from table_first: reach, then the 14-bit weights of 0, ±1, … ±reach
// dst     packed levels, encoded, straight     [planes][h][quads]
// grid    x = quad of the row, y = row, z = plane of dst

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct UnsharpVUniform {
    src_first: u32,
    dst_first: u32,
    table_first: u32,
    mono: u32,
    full: vec4<u32>,
    colours: u32,
    alpha: u32,
    threshold_q6: i32,
    amount_q10: i32,
}

@group(0) @binding(0) var<uniform> u: UnsharpVUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read> blurred: array<vec4<i32>>;
@group(0) @binding(3) var<storage, read> tables: array<u32>;
@group(0) @binding(4) var<storage, read_write> dst: array<u32>;

fn quad(i: u32, at: u32) -> vec4<i32> {
    return vec4<i32>(bytes_of(src[u.src_first + i * u.full.w + at]));
}

// Weighted sum of the column through (x, y) of plane `i` of `blurred`, edges repeated.
fn column(i: u32, x: u32, y: u32) -> vec4<i32> {
    let plane = i * u.full.w + x;
    let reach = tables[u.table_first];
    var sum = i32(tables[u.table_first + 1u]) * blurred[plane + y * u.full.z];
    for (var k = 1u; k <= reach; k++) {
        let above = blurred[plane + (y - min(y, k)) * u.full.z];
        let below = blurred[plane + min(y + k, u.full.y - 1u) * u.full.z];
        sum += i32(tables[u.table_first + 1u + k]) * (above + below);
    }
    return sum;
}

@compute @workgroup_size(WG_X, WG_Y)
fn unsharp_v(@builtin(global_invocation_id) gid: vec3<u32>) {
    if (gid.x >= u.full.z || gid.y >= u.full.y) { return; }

    let at = gid.y * u.full.z + gid.x;
    let is_alpha = gid.z == u.colours;
    let blurred_colours = select(u.colours, 1u, u.mono != 0u);
    let v = quad(gid.z, at);
    var v6 = 64 * v;
    if (u.mono != 0u && !is_alpha) {
        v6 = (19595 * quad(0u, at) + 38470 * quad(1u, at) + 7471 * quad(2u, at) + 512) >> vec4<u32>(10u);
    }
    let sum = column(select(min(gid.z, blurred_colours - 1u), blurred_colours, is_alpha), gid.x, gid.y);
    var b = (sum + 8192) >> vec4<u32>(14u);
    if (u.alpha == u.colours && !is_alpha) {
        let n = sum >> vec4<u32>(4u);
        let a = column(blurred_colours, gid.x, gid.y) >> vec4<u32>(12u);
        let is_seen = a > vec4<i32>(0);
        let mean = (64 * n + a / 2) / select(vec4<i32>(1), a, is_seen);
        b = select(v6, min(mean, vec4<i32>(16320)), is_seen);
    }
    let d = v6 - b;
    let sharpened = ((v << vec4<u32>(16u)) + d * u.amount_q10 + 32768) >> vec4<u32>(16u);
    let levels = select(v, sharpened, abs(d) >= vec4<i32>(u.threshold_q6));
    dst[u.dst_first + gid.z * u.full.w + at] = word_of_levels(levels);
}
