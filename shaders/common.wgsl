// common: what the passes share. Functions only; prepended as text to every pass by pipelines.rs.
//
// A quad is four samples of one row, side by side: one u32 of an 8-bit plane (first sample in the lowest byte) or one
// vec4 of a 32-bit plane. Rows start on a quad, planes follow each other without a gap. A plane's shape is
// (width in samples, height, quads per row, quads of the plane). `half` is the shape of the chroma planes 1 and 2 where
// they are half size and equals `full` everywhere else, so that no pass asks which picture it has.

// Shape of plane `i`.
fn shape_of(i: u32, full: vec4<u32>, half: vec4<u32>) -> vec4<u32> {
    return select(full, half, vec4<bool>(i == 1u || i == 2u));
}

// First quad of plane `i`, from the picture's first.
fn first_of(i: u32, full: vec4<u32>, half: vec4<u32>) -> u32 {
    return full.w * (min(i, 1u) + max(i, 3u) - 3u) + half.w * (clamp(i, 1u, 3u) - 1u);
}

// The four samples of a packed quad.
fn bytes_of(word: u32) -> vec4<u32> {
    return (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u);
}

// The sample of a packed quad that belongs to column `x`.
fn byte_of(word: u32, x: u32) -> u32 {
    return (word >> (8u * (x & 3u))) & 255u;
}

// Four samples, each 0 to 255, as a packed quad.
fn word_of(bytes: vec4<u32>) -> u32 {
    let placed = bytes << vec4<u32>(0u, 8u, 16u, 24u);
    return placed.x | placed.y | placed.z | placed.w;
}

// Four integers clamped to levels, as a packed quad.
fn word_of_levels(levels: vec4<i32>) -> u32 {
    return word_of(vec4<u32>(clamp(levels, vec4<i32>(0), vec4<i32>(255))));
}

// Luma of R, G and B in q6 (a level times 64), in q6.
fn luma_q6(r: vec4<i32>, g: vec4<i32>, b: vec4<i32>) -> vec4<i32> {
    return (19595 * r + 38470 * g + 7471 * b + 32768) >> vec4<u32>(16u);
}

// Luma of R, G and B in q6, as whole levels.
fn luma_levels(r: vec4<i32>, g: vec4<i32>, b: vec4<i32>) -> vec4<u32> {
    return vec4<u32>((luma_q6(r, g, b) + 32) >> vec4<u32>(6u));
}
