//! GIF by the gif crate: of a file the first page, line by line; out one page.
//!
//! The canvas is the logical screen (the page's own size where a file gives none); the page lies on it at its offset,
//! cut at the edges, and what it does not cover is transparent, as browsers show it. The background colour index and
//! the disposal method speak of later pages. The samples are sRGB unless an `ICCRGBG1` extension says otherwise.
//! Source: GIF89a specification, 18 to 23.

use std::io::{BufRead, Cursor, Read, Seek};
use std::num::NonZeroU64;

use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, Encoder, Frame, MemoryLimit};

use crate::codec::icc::{Profile, Space};
use crate::codec::quantize::{self, Indexed};
use crate::codec::rows::{Depth, Layout, Rows};
use crate::codec::{Facts, bounds, check_size, read_error};
use crate::error::{Error, Result};
use crate::limits;
use crate::pixel::{Image, Model, Size};
use crate::plan::{Output, Palette};

const NAME: &str = "gif";

/// What stands before the first page's pixels. Extensions longer than `METADATA_BYTES_MAX` are not read to their end.
pub(super) fn facts(source: &mut (impl BufRead + Seek), pixels_max: u64) -> Result<Facts> {
    let mut decoder = open(source.take(limits::METADATA_BYTES_MAX as u64))?;
    let page = Page::next(&mut decoder)?;
    check_size(NAME, page.canvas, pixels_max)?;
    // An enormous page on a small canvas costs as much to read as if it were shown.
    check_size(NAME, page.size, pixels_max)?;
    let icc = decoder.icc_profile().unwrap_or_default();
    let profile = Profile::from_icc(icc, Space::Rgb);
    let pixels = bounds::gif(page.canvas, page.size, page.layout());
    let decoder_bytes = bounds::with_constants(pixels, icc.len(), profile.is_some());
    Ok(Facts {
        stored: page.canvas,
        native: page.layout().planes(),
        orientation: 1,
        profile,
        decoder_bytes,
        density: None,
    })
}

fn open<R: Read>(source: R) -> Result<Decoder<R>> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    // Fails only for a ceiling of 0, and at compile time.
    options.set_memory_limit(const { MemoryLimit::Bytes(NonZeroU64::new(limits::METADATA_BYTES_MAX as u64).unwrap()) });
    options.read_info(source).map_err(broken)
}

fn broken(error: DecodingError) -> Error {
    match error {
        DecodingError::Io(e) => read_error(NAME, e),
        other => Error::broken(NAME, other),
    }
}

/// Where the first page lies.
struct Page {
    canvas: Size,
    size: Size,
    left: usize,
    top: usize,
    interlaced: bool,
    has_transparent_index: bool,
}

impl Page {
    fn next(decoder: &mut Decoder<impl Read>) -> Result<Self> {
        let screen = Size::new(decoder.width().into(), decoder.height().into());
        let page =
            decoder.next_frame_info().map_err(broken)?.ok_or_else(|| Error::broken(NAME, "a file without a page"))?;
        let size = Size::new(page.width.into(), page.height.into());
        let is_whole = screen.w == 0 || screen.h == 0;
        Ok(Self {
            canvas: if is_whole { size } else { screen },
            size,
            left: if is_whole { 0 } else { page.left.into() },
            top: if is_whole { 0 } else { page.top.into() },
            interlaced: page.interlaced,
            has_transparent_index: page.transparent.is_some(),
        })
    }

    fn layout(&self) -> Layout {
        let covers = self.left == 0 && self.top == 0 && self.size.w >= self.canvas.w && self.size.h >= self.canvas.h;
        if covers && !self.has_transparent_index { Layout::Rgb } else { Layout::RgbAlpha }
    }

    /// Rows of the page in the order in which the file has them.
    fn row_order(&self) -> impl Iterator<Item = usize> {
        let h = self.size.h as usize;
        let passes: &[(usize, usize)] = if self.interlaced { &[(0, 8), (4, 8), (2, 4), (1, 2)] } else { &[(0, 1)] };
        passes.iter().flat_map(move |&(from, step)| (from..h).step_by(step))
    }
}

/// The first page's pixels. A damaged file gives the rows before the damage.
pub(super) fn decode(bytes: &[u8], facts: &Facts) -> Result<Image> {
    let mut decoder = open(Cursor::new(bytes))?;
    let page = Page::next(&mut decoder)?;
    let (layout, canvas) = (page.layout(), page.canvas);
    let mut rows = Rows::new(canvas, layout, Depth::Eight, facts.profile.as_ref());
    let mut line = vec![0; page.size.w as usize * 4];
    let mut row = vec![0; canvas.w as usize * layout.channels()];
    let shown = (page.size.w as usize).min((canvas.w as usize).saturating_sub(page.left));
    for (nth, y) in page.row_order().enumerate() {
        match decoder.fill_buffer(&mut line) {
            Ok(true) => {}
            Ok(false) | Err(_) if nth > 0 && page.interlaced => {
                // Rows that never came lie between others: each is the one above it, as browsers show it.
                let mut came = vec![false; page.size.h as usize];
                page.row_order().take(nth).for_each(|y| came[y] = true);
                let mut above = 0;
                for y in (0..page.size.h as usize).take_while(|y| page.top + y < canvas.h as usize) {
                    if came[y] { above = y } else { rows.repeat(page.top + above, page.top + y) }
                }
                return Ok(rows.finish());
            }
            Ok(false) | Err(_) if nth > 0 => return Ok(rows.finish_damaged((page.top + y).min(canvas.h as usize))),
            Ok(false) => return Err(Error::broken(NAME, "the file ends before its first row")),
            Err(error) => return Err(broken(error)),
        }
        if page.top + y < canvas.h as usize {
            let pixels = &line.as_chunks::<4>().0[..shown];
            if layout == Layout::RgbAlpha {
                let (from, to) = (page.left.min(canvas.w as usize) * 4, (page.left + shown).min(canvas.w as usize) * 4);
                row[from..to].copy_from_slice(pixels.as_flattened());
            } else {
                row.as_chunks_mut::<3>().0.iter_mut().zip(pixels).for_each(|(to, [r, g, b, _])| *to = [*r, *g, *b]);
            }
            rows.put8(page.top + y, &row);
        } else if !page.interlaced {
            break;
        }
    }
    Ok(rows.finish())
}

/// Encodes grey or RGB planes as one page; what is clear gets a key colour.
pub(super) fn encode(image: &Image, palette: Palette, output: &Output) -> Result<Vec<u8>> {
    if !matches!(image.format().model, Model::Grey | Model::Rgb) {
        return Err(refuse(format!("planes of {:?}: expected grey or RGB", image.format())));
    }
    let Indexed { size, palette, has_key, indices } = quantize::indexed(image, palette, &output.colours);
    let [w, h] = [size.w, size.h].map(|side| u16::try_from(side).map_err(refuse));
    let (width, height) = (w?, h?);
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height, palette.as_flattened()).map_err(refuse)?;
    let transparent = has_key.then_some(0);
    let page = Frame { width, height, buffer: indices.into(), transparent, ..Frame::default() };
    encoder.write_frame(&page).map_err(refuse)?;
    drop(encoder);
    Ok(bytes)
}

fn refuse(reason: impl std::fmt::Display) -> Error {
    Error::Encode { format: NAME, reason: reason.to_string() }
}
