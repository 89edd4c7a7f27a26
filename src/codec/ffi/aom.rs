//! libaom, AV1's reference encoder: the planes of one still picture in, its OBUs out, on the calling thread.
//!
//! The settings are those that need the fewest bytes at equal SSIMULACRA2 for their time (`docs/measurements.md`); each
//! says what it is worth at effort 8 and JPEG quality 85.

use std::ffi::{CStr, c_int, c_uint};
use std::ptr::null_mut;

use libaom_sys as aom;

use crate::pixel::{Chroma, Plane, Size};

/// What to encode. Samples are full range.
pub(in crate::codec) struct Picture<'p> {
    /// Luma or the only plane; its size is the picture's.
    pub(in crate::codec) first: &'p Plane<u8>,
    /// The other two and how they are sampled; `None` for one plane alone.
    pub(in crate::codec) others: Option<([&'p Plane<u8>; 2], Chroma)>,
    /// Primaries, transfer and matrix, as numbered by ITU-T H.273.
    pub(in crate::codec) cicp: [u8; 3],
}

/// How to encode it.
#[derive(Clone, Copy)]
pub(in crate::codec) struct Settings {
    /// 0 to 63, or lossless.
    pub(in crate::codec) quantiser: Option<u8>,
    /// libaom's `cpu-used`, 0 (slow) to 9 (fast).
    pub(in crate::codec) speed: u8,
    /// What it may try.
    pub(in crate::codec) tools: Tools,
}

/// What an encoder may try on a block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::codec) enum Tools {
    /// All that its speed allows.
    All,
    /// No transform but the cosine's and no angles between the eight directions: two thirds of the time for 3 % more bytes,
    /// none more where a picture is busy.
    Few,
}

/// Encodes one picture: a sequence header and a frame, behind a temporal delimiter.
///
/// # Errors
/// What libaom says: a setting it does not know, a size it does not take, no memory.
pub(in crate::codec) fn encode(picture: &Picture, settings: Settings) -> Result<Vec<u8>, String> {
    let mut encoder = Encoder::new(picture, settings.quantiser.unwrap_or(0))?;
    let [primaries, transfer, matrix] = picture.cicp;
    encoder.set(aom::AV1E_SET_COLOR_PRIMARIES, primaries)?;
    encoder.set(aom::AV1E_SET_TRANSFER_CHARACTERISTICS, transfer)?;
    encoder.set(aom::AV1E_SET_MATRIX_COEFFICIENTS, matrix)?;
    encoder.set(aom::AV1E_SET_COLOR_RANGE, 1)?;
    encoder.set(aom::AOME_SET_CPUUSED, settings.speed)?;
    match settings.quantiser {
        None => encoder.set(aom::AV1E_SET_LOSSLESS, 1)?,
        Some(quantiser) => {
            encoder.set(aom::AOME_SET_CQ_LEVEL, quantiser)?;
            // 2 %.
            encoder.set(aom::AOME_SET_TUNING, 1)?;
            // 2 %, and 3 % more with the metric that knows of it. libaom's own choice of matrix flattens with the
            // quantiser; fewer bytes need the opposite.
            let matrix = 8_u8.saturating_sub(quantiser / 8).max(4);
            encoder.set(aom::AV1E_SET_ENABLE_QM, 1)?;
            encoder.set(aom::AV1E_SET_QM_MIN, matrix)?;
            encoder.set(aom::AV1E_SET_QM_MAX, matrix)?;
            encoder.set_by_name(c"dist-metric", c"qm-psnr")?;
            // Photographs with flat parts are taken for screens, and then effort 8 doubles their bytes.
            encoder.set(aom::AV1E_SET_ENABLE_PALETTE, 0)?;
            // 0.2 % and a little time.
            encoder.set(aom::AV1E_SET_ENABLE_FILTER_INTRA, 0)?;
            if settings.speed == 8 {
                // Coefficients are weighed up once, when all is decided: 0.2 % more bytes for seven eighths of the time.
                // At speed 6 it costs 1.6 %, at speed 9 libaom does so anyhow.
                encoder.set(aom::AV1E_SET_DISABLE_TRELLIS_QUANT, 2)?;
            }
            if settings.tools == Tools::Few {
                encoder.set(aom::AV1E_SET_INTRA_DCT_ONLY, 1)?;
                encoder.set(aom::AV1E_SET_ENABLE_ANGLE_DELTA, 0)?;
            }
        }
    }
    encoder.encode(picture)
}

/// A context that was initialised and will be destroyed.
struct Encoder(Box<aom::aom_codec_ctx>);

impl Encoder {
    fn new(picture: &Picture, quantiser: u8) -> Result<Self, String> {
        // SAFETY: both structures are integers, pointers and unions of pointers, for which zeros are values; the calls
        // read and write only what they are given here, and the context keeps a copy of the configuration.
        let (context, status) = unsafe {
            let iface = aom::aom_codec_av1_cx();
            let mut config: aom::aom_codec_enc_cfg = std::mem::zeroed();
            let mut context: Box<aom::aom_codec_ctx> = Box::new(std::mem::zeroed());
            let mut status = aom::aom_codec_enc_config_default(iface, &raw mut config, aom::AOM_USAGE_ALL_INTRA);
            let Size { w, h } = picture.first.size();
            (config.g_w, config.g_h) = (w, h);
            // One picture, so the headers are those of a still one.
            (config.g_limit, config.g_lag_in_frames) = (1, 0);
            // The lanes are the threads.
            config.g_threads = 1;
            config.monochrome = c_uint::from(picture.others.is_none());
            config.g_profile = c_uint::from(matches!(picture.others, Some((_, Chroma::Full))));
            config.rc_end_usage = aom::AOM_Q;
            (config.rc_min_quantizer, config.rc_max_quantizer) = (quantiser.into(), quantiser.into());
            if status == aom::AOM_CODEC_OK {
                let version = aom::AOM_ENCODER_ABI_VERSION.cast_signed();
                status = aom::aom_codec_enc_init_ver(&raw mut *context, iface, &raw const config, 0, version);
            }
            (context, status)
        };
        if status == aom::AOM_CODEC_OK { Ok(Self(context)) } else { Err(format!("libaom: {}", words(status))) }
    }

    fn set(&mut self, control: aom::aome_enc_control_id, value: u8) -> Result<(), String> {
        // SAFETY: the context is initialised, and the controls used here all take one int.
        let status = unsafe { aom::aom_codec_control(&raw mut *self.0, control.cast_signed(), c_int::from(value)) };
        self.check(status)
    }

    fn set_by_name(&mut self, name: &CStr, value: &CStr) -> Result<(), String> {
        // SAFETY: the context is initialised; both strings end in a zero and are read during the call alone.
        let status = unsafe { aom::aom_codec_set_option(&raw mut *self.0, name.as_ptr(), value.as_ptr()) };
        self.check(status)
    }

    fn encode(&mut self, picture: &Picture) -> Result<Vec<u8>, String> {
        let Size { w, h } = picture.first.size();
        let (chroma_planes, chroma) = picture.others.unwrap_or(([picture.first; 2], Chroma::Half));
        let (format, chroma_w) = match chroma {
            Chroma::Full => (aom::AOM_IMG_FMT_I444, w),
            Chroma::Half => (aom::AOM_IMG_FMT_I420, w.div_ceil(2)),
        };
        let stride = |w: u32| c_int::try_from(w).map_err(|_| format!("rows of {w} samples"));
        // SAFETY: as above, zeros are an image; `aom_img_wrap` fills it in and reads no sample.
        let mut image = unsafe {
            let mut image: aom::aom_image = std::mem::zeroed();
            let data = picture.first.data().as_ptr().cast_mut();
            if aom::aom_img_wrap(&raw mut image, format, w, h, 1, data).is_null() {
                return Err(format!("libaom: a picture of {w}x{h} pixels"));
            }
            image
        };
        image.monochrome = c_int::from(picture.others.is_none());
        image.range = aom::AOM_CR_FULL_RANGE;
        // A single plane stands for its chroma too, which libaom does not look at but wants to point somewhere.
        image.planes = [picture.first, chroma_planes[0], chroma_planes[1]].map(|p| p.data().as_ptr().cast_mut());
        image.stride = [stride(w)?, stride(chroma_w)?, stride(chroma_w)?];
        let mut bytes = Vec::new();
        // The picture, then the end of all pictures, which lets go of what is held back.
        for image in [&raw const image, null_mut()] {
            // SAFETY: the context is initialised; the image's planes have the sizes that its format and strides say
            // (`pixel::Image` holds that), outlive the call, and are copied, not written to.
            let status = unsafe { aom::aom_codec_encode(&raw mut *self.0, image, 0, 1, 0) };
            self.check(status)?;
            self.take_packets(&mut bytes);
        }
        if bytes.is_empty() { Err(String::from("libaom: no frame came of the picture")) } else { Ok(bytes) }
    }

    fn take_packets(&mut self, bytes: &mut Vec<u8>) {
        let mut iterator = std::ptr::null();
        // SAFETY: a packet is valid until the next call on the context, and is copied before it; of the union, the
        // member is read that its kind names.
        unsafe {
            while let Some(packet) = aom::aom_codec_get_cx_data(&raw mut *self.0, &raw mut iterator).as_ref() {
                if packet.kind == aom::AOM_CODEC_CX_FRAME_PKT {
                    let frame = packet.data.frame;
                    bytes.extend_from_slice(std::slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz));
                }
            }
        }
    }

    fn check(&mut self, status: aom::aom_codec_err_t) -> Result<(), String> {
        if status == aom::AOM_CODEC_OK {
            return Ok(());
        }
        // SAFETY: the context is initialised; its detail is null or a string that lives until the next call.
        let detail = unsafe {
            let detail = aom::aom_codec_error_detail(&raw const *self.0);
            if detail.is_null() { String::new() } else { format!(": {}", CStr::from_ptr(detail).to_string_lossy()) }
        };
        Err(format!("libaom: {}{detail}", words(status)))
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`, destroyed here alone.
        unsafe { aom::aom_codec_destroy(&raw mut *self.0) };
    }
}

fn words(status: aom::aom_codec_err_t) -> String {
    // SAFETY: a static string for every status, known or not.
    unsafe { CStr::from_ptr(aom::aom_codec_err_to_string(status)) }.to_string_lossy().into_owned()
}
