//! jxrlib, Microsoft's JPEG XR library, as Debian ships it (`libjxr-dev`): rows of one picture in, its codestream out, on
//! the calling thread.
//!
//! The declarations are our own, after `windowsmediaphoto.h` of jxrlib 1.2 (SONAME 0); members that nobody here sets are
//! zero. One tile in spatial order: with others jxrlib would go through temporary files.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;

use crate::pixel::Size;

/// How samples lie in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::codec) enum Layout {
    /// One byte a pixel.
    Grey,
    /// R, G and B; encoded as luma and full-size chroma.
    Rgb,
}

/// Quantisers of the three bands: means of macroblocks, of blocks, the rest. 1 everywhere is lossless, 255 the coarsest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::codec) struct Quantisers {
    pub(in crate::codec) luma: [u8; 3],
    pub(in crate::codec) chroma: [u8; 3],
}

/// Encodes rows without padding between them.
///
/// # Errors
/// What jxrlib refuses: no memory.
pub(in crate::codec) fn encode(
    samples: &[u8],
    size: Size,
    layout: Layout,
    steps: Quantisers,
) -> Result<Vec<u8>, String> {
    let (outside, inside, channels) = match layout {
        Layout::Grey => (Y_ONLY, Y_ONLY, 1),
        Layout::Rgb => (RGB, YUV_444, 3),
    };
    let (w, h) = (size.w as usize, size.h as usize);
    let stride = w * channels;
    if samples.is_empty() || samples.len() != stride * h {
        return Err(format!("{} samples for {size} pixels of {channels}", samples.len()));
    }
    let mut sink: Box<Vec<u8>> = Box::default();
    let mut stream = Box::new(Stream {
        sink: (&raw mut *sink).cast(),
        unused: [0; 3],
        is_memory: 0,
        close: never_close,
        is_at_end: never_at_end,
        read: never_read,
        write,
        set_position: never_move,
        position,
    });
    let mut info = Info { width: w, height: h, colours: outside, depth: BD_8, bits: 8 * channels, ..Info::default() };
    info.is_rgb = 1;
    // SAFETY: zeros are a value of every member: integers and a null pointer.
    let mut settings: Box<Settings> = unsafe { Box::new(std::mem::zeroed()) };
    settings.quantisers = [steps.luma, steps.chroma, steps.chroma];
    settings.colours = inside;
    settings.depth = BD_LONG;
    settings.overlap = OL_ONE;
    settings.channels = channels;
    settings.stream = &raw mut *stream;
    let mut encoder = Encoder(null_mut());
    // SAFETY: `info`, `settings`, `stream` and `sink` have the layout that the header says and outlive the encoder, which
    // copies the first two and keeps the address of the third.
    let status = unsafe { ImageStrEncInit(&raw mut info, &raw mut *settings, &raw mut encoder.0) };
    if status != 0 || encoder.0.is_null() {
        return Err(format!("jxrlib: no encoder for {size} pixels"));
    }
    for rows in samples.chunks(BLOCK * stride) {
        let rows =
            Rows { samples: rows.as_ptr(), count: rows.len() / stride, stride, first: 0, last: 0, lines_decoded: 0 };
        // SAFETY: the encoder is live; it reads `count` rows of `stride` bytes, all of which are there, and repeats the last
        // where it wants sixteen.
        if unsafe { ImageStrEncEncode(encoder.0, &raw const rows) } != 0 {
            return Err(String::from("jxrlib: the picture was not taken"));
        }
    }
    let done = encoder.finish();
    drop(stream);
    if done && !sink.is_empty() { Ok(*sink) } else { Err(String::from("jxrlib: the end was not written")) }
}

/// Rows that are encoded together.
const BLOCK: usize = 16;

/// An encoder that was set up, and is freed by writing what it still holds.
struct Encoder(*mut c_void);

impl Encoder {
    fn finish(mut self) -> bool {
        self.terminate()
    }

    fn terminate(&mut self) -> bool {
        let encoder = std::mem::replace(&mut self.0, null_mut());
        // SAFETY: a live encoder, used no more: there is none left after this.
        !encoder.is_null() && unsafe { ImageStrEncTerm(encoder) } == 0
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.terminate();
    }
}

/// `WMPStream`, which encoders write through.
#[repr(C)]
struct Stream {
    /// A union of 32 bytes that is the implementation's own.
    sink: *mut c_void,
    unused: [usize; 3],
    is_memory: c_int,
    close: unsafe extern "C" fn(*mut *mut Stream) -> c_int,
    is_at_end: unsafe extern "C" fn(*mut Stream) -> c_int,
    read: unsafe extern "C" fn(*mut Stream, *mut c_void, usize) -> c_int,
    write: unsafe extern "C" fn(*mut Stream, *const c_void, usize) -> c_int,
    set_position: unsafe extern "C" fn(*mut Stream, usize) -> c_int,
    position: unsafe extern "C" fn(*mut Stream, *mut usize) -> c_int,
}

unsafe extern "C" fn write(stream: *mut Stream, bytes: *const c_void, length: usize) -> c_int {
    // SAFETY: the stream is the one of `encode`, whose sink nothing else touches meanwhile; `length` bytes are there.
    unsafe { (*(*stream).sink.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(bytes.cast(), length)) };
    0
}

unsafe extern "C" fn position(stream: *mut Stream, to: *mut usize) -> c_int {
    // SAFETY: as above; `to` is the caller's to be written.
    unsafe { to.write((*(*stream).sink.cast::<Vec<u8>>()).len()) };
    0
}

// A codestream of one tile is written from its start to its end, and the stream is ours to free.
unsafe extern "C" fn never_close(_: *mut *mut Stream) -> c_int {
    FAILED
}

unsafe extern "C" fn never_at_end(_: *mut Stream) -> c_int {
    0
}

unsafe extern "C" fn never_read(_: *mut Stream, _: *mut c_void, _: usize) -> c_int {
    FAILED
}

unsafe extern "C" fn never_move(_: *mut Stream, _: usize) -> c_int {
    FAILED
}

const FAILED: c_int = -1;

/// `CWMImageInfo`: what comes in.
#[repr(C)]
#[derive(Default)]
struct Info {
    width: usize,
    height: usize,
    colours: c_int,
    depth: c_int,
    bits: usize,
    leading_padding: usize,
    is_rgb: c_int,
    chroma_centering: [u8; 2],
    region: [usize; 4],
    skips_flexbits: c_int,
    thumbnail: [usize; 2],
    orientation: c_int,
    post_processing: u8,
    is_padded: c_int,
}

/// `CWMIStrCodecParam`: how it is encoded.
#[repr(C)]
struct Settings {
    is_verbose: c_int,
    /// Of the bands of luma, U, V.
    quantisers: [[u8; 3]; 3],
    alpha_quantiser: u8,
    colours: c_int,
    depth: c_int,
    overlap: c_int,
    /// 0: spatial.
    order: c_int,
    channels: usize,
    alpha: u8,
    bands: c_int,
    trimmed_flexbits: u8,
    stream: *mut Stream,
    stream_bytes: usize,
    columns_minus_1: c_uint,
    column_widths: [c_uint; TILES_MAX],
    rows_minus_1: c_uint,
    row_heights: [c_uint; TILES_MAX],
    mantissa_bits: u8,
    exponent_bias: i8,
    is_black_white: c_int,
    has_hard_tiles: c_int,
    is_progressive: c_int,
    is_yuv: c_int,
    is_unscaled: c_int,
    measures: c_int,
}

/// `CWMImageBufferInfo`: rows to encode.
#[repr(C)]
struct Rows {
    samples: *const u8,
    count: usize,
    stride: usize,
    first: c_uint,
    last: c_uint,
    lines_decoded: usize,
}

const TILES_MAX: usize = 1 << 12;
/// `COLORFORMAT`
const Y_ONLY: c_int = 0;
const YUV_444: c_int = 3;
const RGB: c_int = 7;
/// `BITDEPTH_BITS`
const BD_8: c_int = 1;
/// `BITDEPTH`
const BD_LONG: c_int = 1;
/// `OVERLAP`: one level saves 10 % over none and 6 % over two (`docs/measurements.md`).
const OL_ONE: c_int = 1;

#[link(name = "jpegxr")]
unsafe extern "C" {
    fn ImageStrEncInit(info: *mut Info, settings: *mut Settings, encoder: *mut *mut c_void) -> c_int;
    fn ImageStrEncEncode(encoder: *mut c_void, rows: *const Rows) -> c_int;
    fn ImageStrEncTerm(encoder: *mut c_void) -> c_int;
}
