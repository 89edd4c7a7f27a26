//! libwebp's encoder: planes of one picture in, a WebP file out, on the calling thread.

use std::borrow::Cow;
use std::ffi::{c_int, c_void};

use libwebp_sys as webp;

use crate::pixel::{Plane, Size};

/// Samples as libwebp encodes them. It changes those under an alpha of 0: what is lent is copied then.
pub(in crate::codec) enum Samples<'p> {
    /// Lossy: Y of 16 to 235, U and V of 16 to 240 at half size, alpha at full size.
    Yuv { planes: [Cow<'p, Plane<u8>>; 3], alpha: Option<&'p Plane<u8>> },
    /// Lossless: `a << 24 | r << 16 | g << 8 | b` by rows.
    Argb { size: Size, pixels: Vec<u32> },
}

/// How to encode them.
#[derive(Clone, Copy)]
pub(in crate::codec) struct Settings {
    /// 0 to 100, and of lossless files how hard to try.
    pub(in crate::codec) quality: f32,
    /// 0 (fast) to 6 (small).
    pub(in crate::codec) method: u8,
}

/// Encodes one picture; without loss if it is given as ARGB.
///
/// # Errors
/// What libwebp says: a setting it does not know, a size it does not take, no memory.
pub(in crate::codec) fn encode(mut samples: Samples<'_>, settings: Settings) -> Result<Vec<u8>, String> {
    // SAFETY: both structures are integers, floats, pointers and optional functions, for which zeros are values, and the
    // calls fill them in; they fail if they were compiled for another layout.
    let (mut config, mut picture, is_known) = unsafe {
        let mut config: webp::WebPConfig = std::mem::zeroed();
        let mut picture: webp::WebPPicture = std::mem::zeroed();
        let version = webp::WEBP_ENCODER_ABI_VERSION.cast_signed();
        let preset = webp::WebPPreset::WEBP_PRESET_DEFAULT;
        let is_known = webp::WebPConfigInitInternal(&raw mut config, preset, settings.quality, version) != 0
            && webp::WebPPictureInitInternal(&raw mut picture, version) != 0;
        (config, picture, is_known)
    };
    if !is_known {
        return Err(String::from("libwebp does not fit its header"));
    }
    config.method = c_int::from(settings.method);
    let int = |n: u32| c_int::try_from(n).map_err(|_| format!("a side of {n} pixels"));
    match &mut samples {
        Samples::Yuv { planes: [y, u, v], alpha } => {
            // Fewer bytes at equal SSIMULACRA2: 2 % on average, for no time.
            config.filter_sharpness = 7;
            (picture.width, picture.height) = (int(y.size().w)?, int(y.size().h)?);
            (picture.y_stride, picture.uv_stride) = (picture.width, int(u.size().w)?);
            picture.colorspace = webp::WebPEncCSP::WEBP_YUV420;
            let planes = [y, u, v];
            [picture.y, picture.u, picture.v] = match alpha {
                // Read alone: without alpha nothing but `show_compressed`, which stays off, writes to them.
                None => planes.map(|plane| plane.data().as_ptr().cast_mut()),
                Some(_) => planes.map(|plane| plane.to_mut().data_mut().as_mut_ptr()),
            };
            if let Some(alpha) = alpha {
                picture.colorspace = webp::WebPEncCSP::WEBP_YUV420A;
                // Read alone: libwebp changes colours by alpha, never alpha itself.
                (picture.a, picture.a_stride) = (alpha.data().as_ptr().cast_mut(), picture.width);
            }
        }
        Samples::Argb { size, pixels } => {
            config.lossless = 1;
            picture.use_argb = 1;
            (picture.width, picture.height) = (int(size.w)?, int(size.h)?);
            (picture.argb, picture.argb_stride) = (pixels.as_mut_ptr(), picture.width);
        }
    }
    let mut bytes: Vec<u8> = Vec::new();
    picture.writer = Some(append);
    picture.custom_ptr = (&raw mut bytes).cast();
    // SAFETY: both structures are initialised; every plane has the rows that width, height and stride say
    // (`pixel::Plane` holds that for planes, `webp::encode` makes `w · h` pixels) and outlives the call, and so does
    // `bytes`. What it writes to is ours alone; what is lent it only reads, as said above. The picture owns nothing that
    // would have to be given back.
    let is_encoded = unsafe { webp::WebPEncode(&raw const config, &raw mut picture) != 0 };
    drop(samples);
    if is_encoded { Ok(bytes) } else { Err(format!("libwebp: {:?}", picture.error_code)) }
}

/// Appends what libwebp has written to the vector behind `custom_ptr`.
extern "C" fn append(data: *const u8, len: usize, picture: *const webp::WebPPicture) -> c_int {
    let custom = |picture: *const webp::WebPPicture| -> *mut c_void {
        // SAFETY: libwebp hands back the picture that it was given.
        unsafe { (*picture).custom_ptr }
    };
    // SAFETY: `encode` put a vector there that outlives its call and is not touched otherwise; `data` has `len` bytes.
    unsafe { (*custom(picture).cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(data, len)) };
    1
}
