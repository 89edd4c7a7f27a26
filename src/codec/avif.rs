//! AVIF: planes through libaom, its frames into the boxes of a still picture.
//!
//! Colour is full-range BT.601 with sRGB's primaries and curve, which is what JPEG means, so the planes of a JPEG go in as
//! they are; R G B is converted by the same formula, or kept in lossless files (identity matrix). Alpha is a second,
//! lossless picture beside straight colour.
//! Sources: AV1 Image File Format 1.1.0; ISO/IEC 14496-12 (boxes) and 23008-12 (items); AV1 specification 5.5 (sequence
//! header); ITU-T H.273 (colour numbers).

use std::borrow::Cow;

use crate::codec::boxes::{boxed, u32_be, versioned};
use crate::codec::ffi::aom::{self, Picture, Settings, Tools};
use crate::codec::rows::neighbour_differences;
use crate::error::{Error, Result};
use crate::pixel::{Chroma, Image, Model, Plane, Size};
use crate::plan::{AvifEffort, AvifQuantiser};

const NAME: &str = "avif";
/// BT.709 primaries, sRGB transfer, BT.601 matrix.
const YCBCR: [u8; 3] = [1, 13, 6];
/// The same primaries and transfer, G B R as it is.
const IDENTITY: [u8; 3] = [1, 13, 0];
/// Nothing: alpha has no colour.
const UNSPECIFIED: [u8; 3] = [2, 2, 2];
/// libaom's speed for planes without loss: its fastest.
pub(super) const LOSSLESS_SPEED: u8 = 9;

/// Encodes grey, RGB or Y Cb Cr planes, with alpha unless it is opaque everywhere. Planes that come with half-size chroma
/// keep it, whatever `chroma` asks for.
pub(super) fn encode(image: &Image, quantiser: AvifQuantiser, effort: AvifEffort, chroma: Chroma) -> Result<Vec<u8>> {
    encode_by(image, quantiser, chroma, |luma| match effort {
        AvifEffort::Quick => (9, Tools::All),
        AvifEffort::Usual => usual(luma, quantiser),
        AvifEffort::Thorough => (6, Tools::All),
    })
}

/// The same at one of libaom's speeds, 0 to 9, whatever the picture.
pub(super) fn encode_at(image: &Image, quantiser: AvifQuantiser, speed: u8, chroma: Chroma) -> Result<Vec<u8>> {
    encode_by(image, quantiser, chroma, |_| (speed, Tools::All))
}

fn encode_by(
    image: &Image,
    AvifQuantiser(quantiser): AvifQuantiser,
    chroma: Chroma,
    how: impl Fn(&Plane<u8>) -> (u8, Tools),
) -> Result<Vec<u8>> {
    if quantiser > 63 {
        return Err(refuse(format!("quantiser {quantiser}: expected 0 to 63")));
    }
    let planes = image.planes();
    let size = image.size();
    let halved = |plane: &Plane<u8>| resampled(size, chroma, |i| i32::from(plane.data()[i]) << 16);
    let (first, others) = match (image.format().model, planes, chroma) {
        (Model::Grey, [grey, ..], _) => (Cow::Borrowed(grey), None),
        (Model::Ycbcr(Chroma::Full), [y, cb, cr, ..], Chroma::Half) => {
            (Cow::Borrowed(y), Some(([Cow::Owned(halved(cb)), Cow::Owned(halved(cr))], Chroma::Half)))
        }
        (Model::Ycbcr(stored), [y, cb, cr, ..], _) => {
            (Cow::Borrowed(y), Some(([Cow::Borrowed(cb), Cow::Borrowed(cr)], stored)))
        }
        (Model::Rgb, [r, g, b, ..], _) => {
            let [y, cb, cr] = ycbcr_of([r, g, b], chroma);
            (Cow::Owned(y), Some(([Cow::Owned(cb), Cow::Owned(cr)], chroma)))
        }
        (_, _, _) => return Err(refuse(format!("planes of {:?}: expected grey, RGB or Y Cb Cr", image.format()))),
    };
    let (speed, tools) = how(&first);
    let others = others.as_ref().map(|([cb, cr], chroma)| ([&**cb, &**cr], *chroma));
    let colour = Picture { first: &first, others, cicp: YCBCR };
    pack(image, &colour, Settings { quantiser: Some(quantiser), speed, tools })
}

/// Encodes the same planes without loss at one of libaom's speeds, 0 to 9, none of them converted.
pub(super) fn encode_lossless(image: &Image, speed: u8) -> Result<Vec<u8>> {
    let colour = match (image.format().model, image.planes()) {
        (Model::Grey, [grey, ..]) => Picture { first: grey, others: None, cicp: YCBCR },
        (Model::Ycbcr(chroma), [y, cb, cr, ..]) => Picture { first: y, others: Some(([cb, cr], chroma)), cicp: YCBCR },
        (Model::Rgb, [r, g, b, ..]) => Picture { first: g, others: Some(([b, r], Chroma::Full)), cicp: IDENTITY },
        (_, _) => return Err(refuse(format!("planes of {:?}: expected grey, RGB or Y Cb Cr", image.format()))),
    };
    pack(image, &colour, lossless(speed))
}

fn lossless(speed: u8) -> Settings {
    Settings { quantiser: None, speed, tools: Tools::All }
}

/// Colour and alpha of `image` into a file.
fn pack(image: &Image, colour: &Picture, settings: Settings) -> Result<Vec<u8>> {
    let alpha = image.alpha().filter(|_| !image.is_opaque());
    let alpha = alpha.map(|plane| {
        let alpha = Picture { first: plane, others: None, cicp: UNSPECIFIED };
        Item::new(&alpha, lossless(LOSSLESS_SPEED))
    });
    Ok(file(image.size(), &Item::new(colour, settings)?, alpha.transpose()?.as_ref()))
}

/// The usual effort, as far as it takes at most 400 ms a megapixel: its time follows the mean difference of neighbours
/// (r = 0.9 over photographs of 250 and 500 lines), the more steeply the finer the quantiser. Where they differ much, fewer
/// tools take two thirds of the time for next to no bytes (`docs/measurements.md`).
fn usual(luma: &Plane<u8>, AvifQuantiser(quantiser): AvifQuantiser) -> (u8, Tools) {
    let (differences, _) = neighbour_differences(luma);
    // Whether they are above so many levels and half the quantiser.
    let is_above = |levels: u64| 2 * differences > (2 * levels + u64::from(quantiser)) * luma.size().pixels();
    if is_above(16) {
        (9, Tools::All)
    } else if is_above(8) {
        (8, Tools::Few)
    } else {
        (8, Tools::All)
    }
}

fn refuse(reason: String) -> Error {
    Error::Encode { format: NAME, reason }
}

/// Y Cb Cr of R G B: JFIF's full-range BT.601 in 2⁻¹⁶, rounded once.
fn ycbcr_of(rgb: [&Plane<u8>; 3], chroma: Chroma) -> [Plane<u8>; 3] {
    let [r, g, b] = rgb.map(Plane::data);
    let weighed = |i: usize, [kr, kg, kb]: [i32; 3]| kr * i32::from(r[i]) + kg * i32::from(g[i]) + kb * i32::from(b[i]);
    let size = rgb[0].size();
    [
        resampled(size, Chroma::Full, |i| weighed(i, [19595, 38470, 7471])),
        resampled(size, chroma, |i| weighed(i, [-11059, -21709, 32768]) + (128 << 16)),
        resampled(size, chroma, |i| weighed(i, [32768, -27439, -5329]) + (128 << 16)),
    ]
}

/// A plane from samples in 2⁻¹⁶: each rounded, or every 2×2 of them averaged, edges repeated.
fn resampled(size: Size, chroma: Chroma, sample: impl Fn(usize) -> i32) -> Plane<u8> {
    let (step, mut plane) = match chroma {
        Chroma::Full => (1, Plane::new(size)),
        Chroma::Half => (2, Plane::new(size.half())),
    };
    let (w, h) = (size.w as usize, size.h as usize);
    for y in 0..plane.size().h as usize {
        let rows = [step * y, (step * y + step - 1).min(h - 1)].map(|y| y * w);
        for (x, out) in plane.row_mut(y).iter_mut().enumerate() {
            let [x0, x1] = [step * x, (step * x + step - 1).min(w - 1)];
            let sum: i32 = rows.iter().map(|row| sample(row + x0) + sample(row + x1)).sum();
            *out = ((sum + (1 << 17)) >> 18).clamp(0, 255) as u8;
        }
    }
    plane
}

/// One picture of a file: colour or alpha.
struct Item {
    /// Sequence header and frame.
    obus: Vec<u8>,
    /// Body of `av1C`.
    config: [u8; 4],
    /// Planes.
    channels: u8,
    cicp: [u8; 3],
}

impl Item {
    fn new(picture: &Picture, settings: Settings) -> Result<Self> {
        let mut obus = aom::encode(picture, settings).map_err(refuse)?;
        // Items have no temporal units to delimit.
        if obus.starts_with(&[0x12, 0]) {
            obus.drain(..2);
        }
        let (subsampling, channels) = match picture.others {
            None => (0b111, 1),
            Some((_, Chroma::Half)) => (0b011, 3),
            Some((_, Chroma::Full)) => (0b000, 3),
        };
        // What the configuration repeats of the sequence header: profile and level. Its length is one byte.
        let [0x0a, _, b0, b1, ..] = obus[..] else { return Err(refuse(String::from("no sequence header"))) };
        if b0 & 0b0001_1000 != 0b0001_1000 {
            return Err(refuse(String::from("the sequence header is not that of a still picture")));
        }
        let (profile, level) = (b0 >> 5, (b0 & 7) << 2 | b1 >> 6);
        Ok(Self { config: [0x81, profile << 5 | level, subsampling << 2, 0], channels, cicp: picture.cicp, obus })
    }

    /// The brand of the profile that readers may check: baseline up to level 5.1, advanced up to 6.0.
    fn brand(&self) -> &'static [u8] {
        match (self.config[1] >> 5, self.config[1] & 31) {
            (0, ..=13) => b"MA1B",
            (0 | 1, ..=16) => b"MA1A",
            (_, _) => b"",
        }
    }

    fn properties(&self) -> [Vec<u8>; 2] {
        let depths = &[8; 3][..self.channels.into()];
        [boxed(b"av1C", &[&self.config]), versioned(b"pixi", 0, &[&[self.channels], depths])]
    }
}

/// The file: `ftyp`, `meta` with the properties of each item, `mdat`.
fn file(size: Size, colour: &Item, alpha: Option<&Item>) -> Vec<u8> {
    let kind = boxed(b"ftyp", &[b"avif\0\0\0\0avifmif1miaf", colour.brand()]);
    // Where the items lie depends on how long `meta` is, which does not depend on where they lie.
    let data_start = kind.len() + meta(size, colour, alpha, 0).len() + 8;
    let data = [&colour.obus[..], alpha.map_or(&[], |alpha| &alpha.obus)];
    [kind, meta(size, colour, alpha, data_start), boxed(b"mdat", &data)].concat()
}

fn meta(size: Size, colour: &Item, alpha: Option<&Item>, data_start: usize) -> Vec<u8> {
    let items = || [1_u8, 2].into_iter().zip(std::iter::once(colour).chain(alpha));
    let count = [0, 1 + u8::from(alpha.is_some())];

    // Offsets and lengths of four bytes; each item is one extent of this file.
    let mut locations = vec![0x44, 0];
    locations.extend(count);
    let mut offset = data_start;
    for (id, item) in items() {
        locations.extend([0, id, 0, 0, 0, 1]);
        locations.extend([offset, item.obus.len()].map(u32_be).concat());
        offset += item.obus.len();
    }
    let infos: Vec<u8> = items().flat_map(|(id, _)| versioned(b"infe", 2, &[&[0, id, 0, 0], b"av01\0"])).collect();

    // Properties are numbered from 1; readers must know `av1C`.
    let extent = versioned(b"ispe", 0, &[&size.w.to_be_bytes(), &size.h.to_be_bytes()]);
    let [primaries, transfer, matrix] = colour.cicp;
    let nclx = boxed(b"colr", &[b"nclx", &[0, primaries, 0, transfer, 0, matrix, 0x80]]);
    let mut properties = [extent, colour.properties().concat(), nclx].concat();
    let mut associations = vec![0, 1, 4, 1, 0x80 | 2, 3, 4];
    let mut references = Vec::new();
    if let Some(alpha) = alpha {
        properties.extend(alpha.properties().concat());
        properties.extend(versioned(b"auxC", 0, &[b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"]));
        associations.extend([0, 2, 4, 1, 0x80 | 5, 6, 7]);
        references = versioned(b"iref", 0, &[&boxed(b"auxl", &[&[0, 2, 0, 1, 0, 1]])]);
    }
    let associations = versioned(b"ipma", 0, &[&[0, 0], &count, &associations]);
    versioned(
        b"meta",
        0,
        &[
            &versioned(b"hdlr", 0, &[&[0; 4], b"pict", &[0; 13]]),
            &versioned(b"pitm", 0, &[&[0, 1]]),
            &versioned(b"iloc", 0, &[&locations]),
            &versioned(b"iinf", 0, &[&count, &infos]),
            &references,
            &boxed(b"iprp", &[&boxed(b"ipco", &[&properties]), &associations]),
        ],
    )
}
