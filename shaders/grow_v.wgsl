// grow_v: vertical half of a dilation or erosion by a disc. One invocation writes one quad.
//
// mirror  engine::scalar::grow_v        agreement: bit for bit, tests/it/differential.rs
// src     packed levels, encoded, straight     [planes][h][quads]; what does not grow is copied
// runs    packed keys that grow_h wrote        [powers][grown][h][quads]
// tables  from table_first: radius, then the half-width of the disc's rows ±0, ±1, … ±radius
// dst     packed levels, encoded, straight     [planes][h][quads]
// grid    x = quad of the row, y = row, z = plane

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct GrowVUniform {
    src_first: u32,
    dst_first: u32,
    table_first: u32,
    grown: u32,
    full: vec4<u32>,
    flip: u32,
    first: u32,
    _pad0: u32, _pad1: u32,
}

@group(0) @binding(0) var<uniform> u: GrowVUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read> runs: array<u32>;
@group(0) @binding(3) var<storage, read> tables: array<u32>;
@group(0) @binding(4) var<storage, read_write> dst: array<u32>;

// The largest key of `half` samples either side of column `x`, in a row of plane `i` of those that grow.
fn row_most(i: u32, y: u32, x: u32, half: u32) -> u32 {
    let first = x - min(x, half);
    let last = min(x + half, u.full.x - 1u);
    let power = firstLeadingBit(last - first + 1u);
    let row = (power * u.grown + i) * u.full.w + y * u.full.z;
    let end = last + 1u - (1u << power);
    return max(byte_of(runs[row + (first >> 2u)], first), byte_of(runs[row + (end >> 2u)], end));
}

fn quad_most(i: u32, y: u32, x: u32, half: u32) -> vec4<u32> {
    // Past the row's end nothing is looked at again.
    let last = u.full.x - 1u;
    return vec4<u32>(
        row_most(i, y, x, half),
        row_most(i, y, min(x + 1u, last), half),
        row_most(i, y, min(x + 2u, last), half),
        row_most(i, y, min(x + 3u, last), half),
    );
}

@compute @workgroup_size(WG_X, WG_Y)
fn grow_v(@builtin(global_invocation_id) gid: vec3<u32>) {
    if (gid.x >= u.full.z || gid.y >= u.full.y) { return; }

    let at = gid.z * u.full.w + gid.y * u.full.z + gid.x;
    if (gid.z < u.first || gid.z >= u.first + u.grown) {
        dst[u.dst_first + at] = src[u.src_first + at];
        return;
    }
    let plane = gid.z - u.first;
    let radius = tables[u.table_first];
    var most = vec4<u32>(0u);
    for (var dy = 0u; dy <= radius; dy++) {
        let half = tables[u.table_first + 1u + dy];
        if (dy <= gid.y) { most = max(most, quad_most(plane, gid.y - dy, 4u * gid.x, half)); }
        if (gid.y + dy < u.full.y) { most = max(most, quad_most(plane, gid.y + dy, 4u * gid.x, half)); }
    }
    dst[u.dst_first + at] = word_of(most ^ vec4<u32>(u.flip));
}
