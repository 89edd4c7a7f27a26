// rotate: by any angle. One invocation writes one quad of every plane.
//
// mirror  engine::scalar::rotate        agreement: bit for bit, tests/it/differential.rs
// src     packed levels, encoded, straight     [planes][h][quads]
// tables  from table_first: cubic weights [256][4], coordinates of columns [canvas w][2], of rows [canvas h][2], i32
// dst     packed levels, encoded, straight     [colours + 1][canvas h][canvas quads]
// grid    x = quad of the canvas' row, y = row of the canvas

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct RotateUniform {
    src_first: u32,
    dst_first: u32,
    table_first: u32,
    colours: u32,
    src_full: vec4<u32>,
    dst_full: vec4<u32>,
    alpha: u32,
    _pad0: u32, _pad1: u32, _pad2: u32,
}

@group(0) @binding(0) var<uniform> u: RotateUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read_write> dst: array<u32>;

fn sample(i: u32, x: u32, y: u32) -> i32 {
    return i32(byte_of(src[u.src_first + i * u.src_full.w + y * u.src_full.z + (x >> 2u)], x));
}

fn weight(phase: u32, tap: u32) -> i32 {
    return bitcast<i32>(tables[u.table_first + 4u * phase + tap]);
}

fn coordinate(at: u32) -> vec2<i32> {
    return vec2<i32>(bitcast<i32>(tables[at]), bitcast<i32>(tables[at + 1u]));
}

// Red (or grey), green, blue and alpha of column `x` of row `y` of the canvas.
fn pixel(x: u32, y: u32) -> vec4<u32> {
    let columns = u.table_first + 1024u;
    let at = coordinate(columns + 2u * min(x, u.dst_full.x - 1u)) + coordinate(columns + 2u * (u.dst_full.x + y));
    let phase = vec2<u32>((at >> vec2<u32>(4u)) & vec2<i32>(255));
    let first = (at >> vec2<u32>(12u)) - 1;

    var n = vec4<i32>(0);
    for (var dy = 0u; dy < 4u; dy++) {
        // What is above the first row wraps to something far below the last.
        let sy = bitcast<u32>(first.y + i32(dy));
        var row = vec4<i32>(0);
        for (var dx = 0u; dx < 4u; dx++) {
            let sx = bitcast<u32>(first.x + i32(dx));
            if (sx < u.src_full.x && sy < u.src_full.y) {
                var a = 255;
                if (u.alpha == u.colours) { a = sample(u.alpha, sx, sy); }
                var c = vec4<i32>(sample(0u, sx, sy), 0, 0, 255);
                if (u.colours == 3u) { c = vec4<i32>(c.x, sample(1u, sx, sy), sample(2u, sx, sy), 255); }
                row += weight(phase.x, dx) * a * c;
            }
        }
        n += weight(phase.y, dy) * ((row + 64) >> vec4<u32>(7u));
    }
    let sums = max((n + 4096) >> vec4<u32>(13u), vec4<i32>(0));
    let alpha = min(sums.w, 65025);
    if (alpha == 0) { return vec4<u32>(0u); }
    let colour = min((255 * sums.xyz + alpha / 2) / alpha, vec3<i32>(255));
    return vec4<u32>(vec3<u32>(colour), u32(alpha + 127) / 255u);
}

@compute @workgroup_size(WG_X, WG_Y)
fn rotate(@builtin(global_invocation_id) gid: vec3<u32>) {
    if (gid.x >= u.dst_full.z || gid.y >= u.dst_full.y) { return; }

    let x = 4u * gid.x;
    let a = pixel(x, gid.y);
    let b = pixel(x + 1u, gid.y);
    let c = pixel(x + 2u, gid.y);
    let d = pixel(x + 3u, gid.y);
    let out = u.dst_first + gid.y * u.dst_full.z + gid.x;
    dst[out] = word_of(vec4<u32>(a.x, b.x, c.x, d.x));
    if (u.colours == 3u) {
        dst[out + u.dst_full.w] = word_of(vec4<u32>(a.y, b.y, c.y, d.y));
        dst[out + 2u * u.dst_full.w] = word_of(vec4<u32>(a.z, b.z, c.z, d.z));
    }
    dst[out + u.colours * u.dst_full.w] = word_of(vec4<u32>(a.w, b.w, c.w, d.w));
}
