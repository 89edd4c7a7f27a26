// cover: mask, a colour beneath, opacity. One invocation writes one quad of every plane.
//
// mirror  engine::scalar::cover         agreement: bit for bit, tests/it/differential.rs
// src     packed levels, encoded, straight     [planes][h][quads]
// dst     packed levels, encoded, straight     [planes' + 1][h][quads]
// grid    x = quad of the row, y = row

override WG_X: u32 = 16u;
override WG_Y: u32 = 16u;

struct CoverUniform {
    src_first: u32,
    dst_first: u32,
    colours: u32,
    dst_colours: u32,
    full: vec4<u32>,
    alpha: u32,
    mask: u32,
    opacity: u32,
    _pad0: u32,
    under: vec4<u32>,
}

@group(0) @binding(0) var<uniform> u: CoverUniform;
@group(0) @binding(1) var<storage, read> src: array<u32>;
@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

// Colour `c` over `under` of the same channel; `d` is what both weigh.
fn over(c: vec4<u32>, under: u32, a: vec4<u32>, d: vec4<u32>) -> u32 {
    let is_seen = d > vec4<u32>(0u);
    let n = 255u * c * a + under * u.under.w * (255u - a) + d / 2u;
    return word_of(select(c, n / select(vec4<u32>(1u), d, is_seen), is_seen));
}

@compute @workgroup_size(WG_X, WG_Y)
fn cover(@builtin(global_invocation_id) gid: vec3<u32>) {
    if (gid.x >= u.full.z || gid.y >= u.full.y) { return; }

    let at = gid.y * u.full.z + gid.x;
    // 0 the mask as it is, 1 inverted, 2 off.
    var a = vec4<u32>(255u);
    if (u.alpha == u.colours && u.mask != 2u) {
        a = bytes_of(src[u.src_first + u.alpha * u.full.w + at]);
    }
    if (u.mask == 1u) { a = 255u - a; }
    let d = 255u * a + u.under.w * (255u - a);

    let out = u.dst_first + at;
    let red = bytes_of(src[u.src_first + at]);
    dst[out] = over(red, u.under.x, a, d);
    if (u.dst_colours == 3u) {
        var green = red;
        var blue = red;
        if (u.colours == 3u) {
            green = bytes_of(src[u.src_first + u.full.w + at]);
            blue = bytes_of(src[u.src_first + 2u * u.full.w + at]);
        }
        dst[out + u.full.w] = over(green, u.under.y, a, d);
        dst[out + 2u * u.full.w] = over(blue, u.under.z, a, d);
    }
    let alpha = ((d + 127u) / 255u * u.opacity + 5000u) / 10000u;
    dst[out + u.dst_colours * u.full.w] = word_of(alpha);
}
