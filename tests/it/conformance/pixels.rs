//! Replies decoded by other decoders than calotype's own path: straight R G B A.

use calotype::pixel::Size;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::rows::Turn;
use super::wire::Reply;

/// A decoded reply.
#[derive(Clone)]
pub(super) struct Picture {
    size: Size,
    rgba: Vec<[u8; 4]>,
    /// Whether the file has an alpha channel at all.
    pub(super) has_alpha: bool,
}

impl Picture {
    pub(super) fn new(size: Size, has_alpha: bool, at: impl Fn(u32, u32) -> [u8; 4]) -> Self {
        let rgba = (0..size.h).flat_map(|y| (0..size.w).map(move |x| (x, y))).map(|(x, y)| at(x, y)).collect();
        Self { size, rgba, has_alpha }
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    pub(super) fn at(&self, x: u32, y: u32) -> [u8; 4] {
        self.rgba[y as usize * self.size.w as usize + x as usize]
    }

    /// Rec. 601 luma, 0 to 255.
    pub(super) fn luma(&self, x: u32, y: u32) -> f64 {
        let [r, g, b, _] = self.at(x, y).map(f64::from);
        0.299 * r + 0.587 * g + 0.114 * b
    }

    /// As it was before it was turned; `upright` is its size then, where that does not follow.
    pub(super) fn turned_back(&self, turn: Turn, upright: Size) -> Self {
        let Size { w, h } = self.size;
        if let Turn::Degrees(degrees) = turn {
            return self.rotated_back(degrees, upright);
        }
        Self::new(Size::new(h, w), self.has_alpha, |x, y| match turn {
            Turn::Degrees(_) => unreachable!("turned above"),
            Turn::Quarter => self.at(w - 1 - y, x),
            Turn::QuarterThenMirror => self.at(y, x),
            Turn::MirrorThenQuarter => self.at(w - 1 - y, h - 1 - x),
        })
    }

    /// The part of `upright` pixels about the middle, turned back and read between four pixels.
    fn rotated_back(&self, degrees: f64, upright: Size) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let middle = |size: Size| [f64::from(size.w) / 2.0, f64::from(size.h) / 2.0];
        let ([mx, my], [ux, uy]) = (middle(self.size), middle(upright));
        Self::new(upright, false, |x, y| {
            let (dx, dy) = (f64::from(x) + 0.5 - ux, f64::from(y) + 0.5 - uy);
            let (sx, sy) = (dx * cos - dy * sin + mx - 0.5, dx * sin + dy * cos + my - 0.5);
            let (left, top) = (sx.floor().max(0.0), sy.floor().max(0.0));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "inside the picture")]
            let near = |dx: u32, dy: u32| {
                self.at((left as u32 + dx).min(self.size.w - 1), (top as u32 + dy).min(self.size.h - 1)).map(f64::from)
            };
            let (tx, ty) = ((sx - left).clamp(0.0, 1.0), (sy - top).clamp(0.0, 1.0));
            let four = [near(0, 0), near(1, 0), near(0, 1), near(1, 1)];
            std::array::from_fn(|c| {
                let upper = four[0][c] * (1.0 - tx) + four[1][c] * tx;
                let lower = four[2][c] * (1.0 - tx) + four[3][c] * tx;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of bytes")]
                let mean = (upper * (1.0 - ty) + lower * ty).round() as u8;
                // The outermost pixels are half transparent, which no padding of the upright picture is.
                if c == 3 { 255 } else { mean }
            })
        })
    }

    pub(super) fn mirrored(&self) -> Self {
        Self::new(self.size, self.has_alpha, |x, y| self.at(self.size.w - 1 - x, y))
    }

    pub(super) fn swapped(&self) -> Self {
        Self::new(self.size, self.has_alpha, |x, y| {
            let [r, g, b, a] = self.at(x, y);
            [b, g, r, a]
        })
    }
}

pub(super) fn decode(reply: &Reply) -> Result<Picture, String> {
    match reply.header("content-type") {
        Some("image/jpeg") => jpeg(&reply.body),
        Some("image/png") => png(&reply.body),
        Some("image/webp") => webp(&reply.body),
        Some("image/avif") => Ok(avif(&reply.body)),
        Some("image/gif") => gif(&reply.body),
        Some("image/tiff") => tiff(&reply.body),
        mime => Err(format!("a picture of type {mime:?}")),
    }
}

fn jpeg(bytes: &[u8]) -> Result<Picture, String> {
    let (size, data) = match one_by_one(bytes)? {
        Some(picture) => return Ok(picture),
        None => samples(bytes, ColorSpace::RGB)?,
    };
    let rgba = data.chunks_exact(3).map(|px| [px[0], px[1], px[2], 255]).collect();
    Ok(Picture { size, rgba, has_alpha: false })
}

fn samples(bytes: &[u8], space: ColorSpace) -> Result<(Size, Vec<u8>), String> {
    let options = DecoderOptions::default().set_strict_mode(true).jpeg_set_out_colorspace(space);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let data = decoder.decode().map_err(|e| e.to_string())?;
    let (w, h) = decoder.dimensions().ok_or("no size")?;
    let size = Size::new(u32::try_from(w).map_err(|_| "width")?, u32::try_from(h).map_err(|_| "height")?);
    if data.len() != size.samples() * space.num_components() {
        return Err(format!("{} samples for {size}", data.len()));
    }
    Ok((size, data))
}

/// A sequential JPEG whose components come one scan each: the decoder loses its place in these when chroma is half size,
/// so each component is decoded as a grey picture of its own. `None`: components are interleaved.
fn one_by_one(bytes: &[u8]) -> Result<Option<Picture>, String> {
    let be16 = |at: usize| bytes.get(at..at + 2).map(|b| usize::from(b[0]) << 8 | usize::from(b[1])).ok_or("cut short");
    let mut tables = vec![0xff, 0xd8];
    let mut frame = None;
    let mut planes = Vec::new();
    let mut at = 2;
    while let (Some(&marker), length) = (bytes.get(at + 1), be16(at + 2)) {
        let (body, next) = match marker {
            0xd9 => break,
            _ => (at + 4, at + 2 + length?),
        };
        match (marker, frame) {
            (0xc0 | 0xc1, _) if bytes.get(body + 5) == Some(&3) => frame = Some(body),
            (0xc0..=0xc3, _) => return Ok(None),
            (0xda, Some(_)) if bytes.get(body) != Some(&1) => return Ok(None),
            (0xda, Some(frame)) => {
                // The scan's data end at the next marker that is neither stuffing nor a restart.
                let is_end = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff);
                let end = next + bytes[next..].windows(2).position(is_end).ok_or("no end")?;
                let id = *bytes.get(body + 1).ok_or("cut short")?;
                let entry =
                    (0..3).map(|i| frame + 6 + 3 * i).find(|&entry| bytes[entry] == id).ok_or("no such component")?;
                let half =
                    |len: usize| if planes.is_empty() || bytes[frame + 7] == 0x11 { len } else { len.div_ceil(2) };
                let [h, w] = [half(be16(frame + 1)?), half(be16(frame + 3)?)]
                    .map(|n| u16::try_from(n).unwrap_or(0).to_be_bytes());
                let mut grey = tables.clone();
                grey.extend([0xff, 0xc0, 0, 11, 8, h[0], h[1], w[0], w[1], 1, id, 0x11, bytes[entry + 2]]);
                grey.extend(&bytes[at..end]);
                grey.extend([0xff, 0xd9]);
                planes.push(samples(&grey, ColorSpace::Luma)?);
                at = end;
                continue;
            }
            _ => tables.extend(&bytes[at..next]),
        }
        at = next;
    }
    let [(size, luma), (half, cb), (_, cr)] = &planes[..] else { return Err(format!("{} components", planes.len())) };
    let step = size.w.div_ceil(half.w);
    Ok(Some(Picture::new(*size, false, |x, y| {
        let at = (y / step) as usize * half.w as usize + (x / step) as usize;
        let (luma, cb, cr) = (
            f64::from(luma[y as usize * size.w as usize + x as usize]),
            f64::from(cb[at]) - 128.0,
            f64::from(cr[at]) - 128.0,
        );
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
        let level = |v: f64| v.round().clamp(0.0, 255.0) as u8;
        [level(luma + 1.402 * cr), level(luma - 0.344_136 * cb - 0.714_136 * cr), level(luma + 1.772 * cb), 255]
    })))
}

fn png(bytes: &[u8]) -> Result<Picture, String> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    // Palettes to colours.
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    let mut data = vec![0; reader.output_buffer_size().ok_or("too large")?];
    let info = reader.next_frame(&mut data).map_err(|e| e.to_string())?;
    let rgba = match (info.color_type, info.bit_depth) {
        (png::ColorType::Rgba, png::BitDepth::Eight) => {
            data.chunks_exact(4).map(|px| [px[0], px[1], px[2], px[3]]).collect()
        }
        (png::ColorType::Rgb, png::BitDepth::Eight) => {
            data.chunks_exact(3).map(|px| [px[0], px[1], px[2], 255]).collect()
        }
        other => return Err(format!("a PNG of {other:?}")),
    };
    let has_alpha = info.color_type == png::ColorType::Rgba;
    Ok(Picture { size: Size::new(info.width, info.height), rgba, has_alpha })
}

/// A JPEG strip is read as a file of its own: the tiff crate hands its colours out as they are.
fn tiff(bytes: &[u8]) -> Result<Picture, String> {
    use tiff::decoder::DecodingResult;
    let mut decoder = tiff::decoder::Decoder::new(std::io::Cursor::new(bytes)).map_err(|e| e.to_string())?;
    let (w, h) = decoder.dimensions().map_err(|e| e.to_string())?;
    let size = Size::new(w, h);
    if decoder.find_tag_unsigned::<u16>(tiff::tags::Tag::Compression).ok().flatten() == Some(7) {
        let at = decoder.get_tag_u64(tiff::tags::Tag::StripOffsets).map_err(|e| e.to_string())?;
        return jpeg(bytes.get(usize::try_from(at).map_err(|e| e.to_string())?..).ok_or("no strip")?);
    }
    let n = match decoder.colortype().map_err(|e| e.to_string())? {
        tiff::ColorType::Gray(8) => 1,
        tiff::ColorType::RGB(8) => 3,
        tiff::ColorType::RGBA(8) | tiff::ColorType::CMYK(8) => 4,
        other => return Err(format!("a TIFF of {other:?}")),
    };
    let is_inks = matches!(decoder.colortype(), Ok(tiff::ColorType::CMYK(8)));
    let DecodingResult::U8(data) = decoder.read_image().map_err(|e| e.to_string())? else {
        return Err(String::from("not of bytes"));
    };
    let pixel = |px: &[u8]| match *px {
        [v] => [v, v, v, 255],
        [r, g, b] => [r, g, b, 255],
        [c, m, y, k] if is_inks => {
            let light = |ink: u8| u8::try_from(u32::from(255 - ink) * u32::from(255 - k) / 255).expect("a level");
            [light(c), light(m), light(y), 255]
        }
        _ => [px[0], px[1], px[2], px[3]],
    };
    Ok(Picture { size, rgba: data.chunks_exact(n).map(pixel).collect(), has_alpha: n == 4 && !is_inks })
}

fn gif(bytes: &[u8]) -> Result<Picture, String> {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = options.read_info(bytes).map_err(|e| e.to_string())?;
    let size = Size::new(decoder.width().into(), decoder.height().into());
    let page = decoder.read_next_frame().map_err(|e| e.to_string())?.ok_or("no page")?;
    if size != Size::new(page.width.into(), page.height.into()) || page.buffer.len() != 4 * size.samples() {
        return Err(format!("a page of {}x{} on a canvas of {size}", page.width, page.height));
    }
    let rgba = page.buffer.chunks_exact(4).map(|px| [px[0], px[1], px[2], px[3]]).collect();
    Ok(Picture { size, rgba, has_alpha: page.transparent.is_some() })
}

fn avif(bytes: &[u8]) -> Picture {
    let image = crate::codecs::avif::shown(bytes);
    let at = |plane: usize, x: u32, y: u32| image.planes()[plane].row(y as usize)[x as usize];
    let has_alpha = image.format().alpha;
    Picture::new(image.size(), has_alpha, |x, y| {
        [at(0, x, y), at(1, x, y), at(2, x, y), if has_alpha { at(3, x, y) } else { 255 }]
    })
}

fn webp(bytes: &[u8]) -> Result<Picture, String> {
    let decoded = image::load_from_memory_with_format(bytes, image::ImageFormat::WebP).map_err(|e| e.to_string())?;
    let has_alpha = decoded.color().has_alpha();
    let decoded = decoded.into_rgba8();
    let size = Size::new(decoded.width(), decoded.height());
    Ok(Picture { size, rgba: decoded.pixels().map(|px| px.0).collect(), has_alpha })
}
