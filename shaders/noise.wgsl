// noise: random numbers on top of colours, by place and seed alone. One invocation writes one quad.
//
// mirror  engine::scalar::noise         agreement: bit for bit, tests/it/differential.rs
// src     packed levels, encoded, straight     [planes][h][quads]
// dst     packed levels, encoded, straight     [planes][h][quads]
// grid    x = quad of the row, y = row, z = plane

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct NoiseUniform {
    src_first: u32,
    dst_first: u32,
    colours: u32,
    seed: u32,
    full: vec4<u32>,
    gaussian: u32,
    mono: u32,
    strength: i32,
    _pad0: u32,
}

@group(0) @binding(0) var<uniform> u: NoiseUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

fn mixed(v: vec4<u32>) -> vec4<u32> {
    var h = (v ^ (v >> vec4<u32>(16u))) * 0x7feb352du;
    h = (h ^ (h >> vec4<u32>(15u))) * 0x846ca68bu;
    return h ^ (h >> vec4<u32>(16u));
}

fn byte_sum(h: vec4<u32>) -> vec4<i32> {
    let low = (h & vec4<u32>(255u)) + ((h >> vec4<u32>(8u)) & vec4<u32>(255u));
    return vec4<i32>(low + ((h >> vec4<u32>(16u)) & vec4<u32>(255u)) + (h >> vec4<u32>(24u)));
}

@compute @workgroup_size(WG_X, WG_Y)
fn noise(@builtin(global_invocation_id) gid: vec3<u32>) {
    if (gid.x >= u.full.z || gid.y >= u.full.y) { return; }

    let at = gid.z * u.full.w + gid.y * u.full.z + gid.x;
    let word = src[u.src_first + at];
    if (gid.z >= u.colours) {
        dst[u.dst_first + at] = word;
        return;
    }
    let x = vec4<u32>(4u * gid.x) + vec4<u32>(0u, 1u, 2u, 3u);
    let channel = select(gid.z, 0u, u.mono != 0u);
    let h = mixed(mixed(u.seed + x * 0x9e3779b1u) + gid.y * 0x85ebca77u + channel * 0xc2b2ae3du);
    var d = ((2 * vec4<i32>(h >> vec4<u32>(16u)) - 65535) * u.strength) >> vec4<u32>(16u);
    if (u.gaussian != 0u) {
        d = ((byte_sum(h) + byte_sum(mixed(h + 0x27d4eb2fu)) - 1020) * u.strength) >> vec4<u32>(12u);
    }
    dst[u.dst_first + at] = word_of_levels((256 * vec4<i32>(bytes_of(word)) + d + 128) >> vec4<u32>(8u));
}
