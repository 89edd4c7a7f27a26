//! OpenJPEG: planes of one picture in, its JPEG 2000 codestream out, on the calling thread.
//!
//! The codestream is one tile of one layer, component by component (CPRL), so that those of several pictures of one size
//! can be put together.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;

use openjpeg_sys as opj;

use crate::pixel::{Plane, Size};

/// What may be lost of the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::codec) enum Loss {
    /// Nothing: the reversible transforms.
    None,
    /// As much as leaves this peak signal-to-noise ratio, dB: the irreversible transforms.
    Psnr(f32),
}

/// Levels of the wavelet transform, at most; more than five gain nothing.
const LEVELS_MAX: u32 = 5;
/// Bytes that OpenJPEG collects before it hands them over.
const CHUNK_BYTES: usize = 64 << 10;

/// Encodes planes of one size: grey, grey and alpha, R G B, or R G B and alpha; the first three of three or four are
/// transformed to luma and chroma.
///
/// # Errors
/// What OpenJPEG says: a size it does not take, no memory.
pub(in crate::codec) fn encode(components: &[&Plane<u8>], loss: Loss) -> Result<Vec<u8>, String> {
    let size = components.first().ok_or("a picture without planes")?.size();
    let mut log = Box::new(String::new());
    let mut sink = Box::new(Vec::new());
    let image = Image::new(components, size)?;
    // SAFETY: zeros are a value of every member (integers, floats, null pointers, enums that have a zero); the call fills
    // in what it is given and nothing else.
    let mut settings = unsafe {
        let mut settings: Box<opj::opj_cparameters_t> = Box::new(std::mem::zeroed());
        opj::opj_set_default_encoder_parameters(&raw mut *settings);
        settings
    };
    settings.tcp_numlayers = 1;
    settings.prog_order = opj::OPJ_PROG_ORDER::OPJ_CPRL;
    settings.tcp_mct = c_char::from(components.len() >= 3);
    // A level needs a sample to halve.
    let levels = size.w.min(size.h).ilog2().min(LEVELS_MAX);
    settings.numresolution = 1 + levels.cast_signed();
    match loss {
        Loss::None => settings.cp_disto_alloc = 1,
        Loss::Psnr(db) => {
            settings.irreversible = 1;
            settings.cp_fixed_quality = 1;
            settings.tcp_distoratio[0] = db;
        }
    }
    // SAFETY: every handle is live: `Image`, `Codec` and `Stream` hold it until they are dropped, after these calls. `log`
    // and `sink` are boxed and outlive the codec and the stream that were given their addresses; nothing else touches them
    // before both are dropped. The settings are read during their call alone.
    let done = unsafe {
        let codec = Codec::new(&raw mut *log)?;
        let stream = Stream::new(&raw mut *sink)?;
        let (codec, stream, image) = (codec.0.as_ptr(), stream.0.as_ptr(), image.0.as_ptr());
        opj::opj_setup_encoder(codec, &raw mut *settings, image) != 0
            && opj::opj_start_compress(codec, image, stream) != 0
            && opj::opj_encode(codec, stream) != 0
            && opj::opj_end_compress(codec, stream) != 0
    };
    if done { Ok(*sink) } else { Err(format!("OpenJPEG: {}", log.trim_end())) }
}

/// The samples, copied to where OpenJPEG wants them: it works in their place.
struct Image(NonNull<opj::opj_image_t>);

impl Image {
    fn new(components: &[&Plane<u8>], size: Size) -> Result<Self, String> {
        let parameter =
            opj::opj_image_comptparm { dx: 1, dy: 1, w: size.w, h: size.h, x0: 0, y0: 0, prec: 8, bpp: 8, sgnd: 0 };
        let mut parameters = [parameter; 4];
        let count = u32::try_from(components.len()).unwrap_or(u32::MAX);
        if !(1..=4).contains(&count) || components.iter().any(|plane| plane.size() != size) {
            return Err(format!("{count} planes: expected one to four of one size"));
        }
        let colours = opj::OPJ_COLOR_SPACE::OPJ_CLRSPC_UNSPECIFIED;
        // SAFETY: `count` parameters are there to be read; what comes back is null or an image with as many components,
        // each with room for its size in samples, which nobody else knows yet.
        unsafe {
            let image = opj::opj_image_create(count, parameters.as_mut_ptr(), colours);
            let image = Self(NonNull::new(image).ok_or_else(|| format!("OpenJPEG: no memory for {size} pixels"))?);
            let header = image.0.as_ptr();
            ((*header).x1, (*header).y1) = (size.w, size.h);
            for (i, plane) in components.iter().enumerate() {
                let samples = (*(*header).comps.add(i)).data;
                if samples.is_null() {
                    return Err(format!("OpenJPEG: no memory for {size} pixels"));
                }
                for (at, v) in plane.data().iter().enumerate() {
                    samples.add(at).write(i32::from(*v));
                }
            }
            Ok(image)
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: created by `new`, destroyed here alone.
        unsafe { opj::opj_image_destroy(self.0.as_ptr()) };
    }
}

struct Codec(NonNull<opj::opj_codec_t>);

impl Codec {
    /// A compressor that writes what goes wrong to `log`.
    ///
    /// # Safety
    /// `log` is valid, and nobody else's, until the codec is dropped.
    unsafe fn new(log: *mut String) -> Result<Self, String> {
        // SAFETY: creates a handle or null; the handler is called with `log` alone.
        unsafe {
            let codec = opj::opj_create_compress(opj::OPJ_CODEC_FORMAT::OPJ_CODEC_J2K);
            let codec = Self(NonNull::new(codec).ok_or("OpenJPEG: no memory for an encoder")?);
            opj::opj_set_error_handler(codec.0.as_ptr(), Some(complain), log.cast());
            Ok(codec)
        }
    }
}

impl Drop for Codec {
    fn drop(&mut self) {
        // SAFETY: created by `new`, destroyed here alone.
        unsafe { opj::opj_destroy_codec(self.0.as_ptr()) };
    }
}

struct Stream(NonNull<opj::opj_stream_t>);

impl Stream {
    /// A stream that ends in `sink`.
    ///
    /// # Safety
    /// `sink` is valid, and nobody else's, until the stream is dropped.
    unsafe fn new(sink: *mut Vec<u8>) -> Result<Self, String> {
        // SAFETY: creates a handle or null; the function is called with `sink` alone. A codestream is written from its
        // start to its end: no function to skip or to seek is needed.
        unsafe {
            let stream = opj::opj_stream_create(CHUNK_BYTES, 0);
            let stream = Self(NonNull::new(stream).ok_or("OpenJPEG: no memory for its output")?);
            opj::opj_stream_set_write_function(stream.0.as_ptr(), Some(write));
            opj::opj_stream_set_user_data(stream.0.as_ptr(), sink.cast(), None);
            Ok(stream)
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: created by `new`, destroyed here alone; without a function to free it, `sink` stays.
        unsafe { opj::opj_stream_destroy(self.0.as_ptr()) };
    }
}

/// Lines of the log beyond which it only repeats itself.
const LOG_BYTES_MAX: usize = 500;

unsafe extern "C" fn complain(message: *const c_char, log: *mut c_void) {
    // SAFETY: `log` is what `Codec::new` was given; the message is a string that lives during the call.
    let (log, message) = unsafe { (&mut *log.cast::<String>(), CStr::from_ptr(message)) };
    if log.len() < LOG_BYTES_MAX {
        log.push_str(&message.to_string_lossy());
    }
}

unsafe extern "C" fn write(bytes: *mut c_void, length: usize, sink: *mut c_void) -> usize {
    // SAFETY: `sink` is what `Stream::new` was given; `length` bytes are there during the call.
    let (sink, bytes) = unsafe { (&mut *sink.cast::<Vec<u8>>(), std::slice::from_raw_parts(bytes.cast(), length)) };
    sink.extend_from_slice(bytes);
    length
}
