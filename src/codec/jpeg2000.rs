//! JPEG 2000: planes through OpenJPEG, its codestream into the boxes of a JP2 file.
//!
//! R G B goes through the standard's own colour transform, at full resolution. Alpha is a channel beside straight colour
//! and without loss: where colour is lossy the two are encoded apart and put together, each component with the transform
//! and the steps it was encoded with.
//! Sources: ITU-T T.800 | ISO/IEC 15444-1, annexes A (codestream) and I (JP2).

use crate::codec::boxes::boxed;
use crate::codec::ffi::openjpeg::{self, Loss};
use crate::codec::rows::neighbour_differences;
use crate::error::{Error, Result};
use crate::pixel::{Image, Model, Plane, Size};
use crate::plan::Jpeg2000Quality;

const NAME: &str = "jpeg2000";
/// Pixels of the smallest picture that may lose anything: below, OpenJPEG's estimate of what it loses is far off.
const LOSSY_PIXELS_MIN: u64 = 64;

/// Encodes grey or RGB planes, with alpha unless it is opaque everywhere; lossless without a quality.
pub(super) fn encode(image: &Image, quality: Option<Jpeg2000Quality>) -> Result<Vec<u8>> {
    let colours: Vec<&Plane<u8>> = match (image.format().model, image.planes()) {
        (Model::Grey, [grey, ..]) => vec![grey],
        (Model::Rgb, [r, g, b, ..]) => vec![r, g, b],
        (_, _) => return Err(refuse(format!("planes of {:?}: expected grey or RGB", image.format()))),
    };
    let alpha = image.alpha().filter(|_| !image.is_opaque());
    let quality = quality.filter(|_| image.size().pixels() >= LOSSY_PIXELS_MIN);
    let stream = |planes: &[&Plane<u8>], loss| openjpeg::encode(planes, loss).map_err(refuse);
    let (codestream, count) = match (quality, alpha) {
        (None, alpha) => {
            let planes: Vec<&Plane<u8>> = colours.iter().copied().chain(alpha).collect();
            (Codestream::read(&stream(&planes, Loss::None)?)?.write(), planes.len())
        }
        (Some(quality), None) => {
            (Codestream::read(&stream(&colours, loss(&colours, quality))?)?.write(), colours.len())
        }
        (Some(quality), Some(alpha)) => {
            let colour = stream(&colours, loss(&colours, quality))?;
            let alpha = stream(&[alpha], Loss::None)?;
            (Codestream::read(&colour)?.write_with(&Codestream::read(&alpha)?), colours.len() + 1)
        }
    };
    Ok(file(image.size(), count, alpha.is_some(), &codestream))
}

fn refuse(reason: String) -> Error {
    Error::Encode { format: NAME, reason }
}

/// What that quality means for these planes: 2.7 dB less for every doubling of the mean difference of neighbours. Loss
/// hides in busy pictures (`docs/measurements.md`), and where half of a picture is empty the other half has all of it.
fn loss(colours: &[&Plane<u8>], Jpeg2000Quality(hundredths): Jpeg2000Quality) -> Loss {
    let (differences, pairs) = colours
        .iter()
        .map(|plane| neighbour_differences(plane))
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    // One colour alone, which costs nothing to keep.
    if differences == 0 {
        return Loss::None;
    }
    #[expect(clippy::cast_precision_loss, reason = "a mean of levels")]
    let mean = (differences as f64 / pairs as f64).clamp(MEAN_MIN, MEAN_MAX);
    #[expect(clippy::cast_possible_truncation, reason = "tens of decibels")]
    Loss::Psnr((f64::from(hundredths) / 100.0 - 2.7 * mean.log2()) as f32)
}

/// Levels by which neighbours differ, at least and at most: less is an empty picture, more is noise.
const MEAN_MIN: f64 = 1.0 / 64.0;
const MEAN_MAX: f64 = 16.0;

/// The parts of a codestream as OpenJPEG writes it: one tile in one part, no marker segments but these and a comment.
struct Codestream<'s> {
    /// Body of SIZ: sizes, then three bytes a component.
    size: &'s [u8],
    /// Body of COD: style, progression, layers, colour transform; then what a component has of its own.
    coding: &'s [u8],
    /// Body of QCD: steps.
    quantisation: &'s [u8],
    /// Packets.
    data: &'s [u8],
}

/// Bytes of COD before what a component has of its own.
const CODING_SHARED: usize = 5;
/// Bytes of SIZ before the number of components.
const SIZE_SHARED: usize = 34;

const SOC: [u8; 2] = [0xff, 0x4f];
const SIZ: u8 = 0x51;
const COD: u8 = 0x52;
const COC: u8 = 0x53;
const QCD: u8 = 0x5c;
const QCC: u8 = 0x5d;
const SOT: u8 = 0x90;
const SOD: [u8; 2] = [0xff, 0x93];
const EOC: [u8; 2] = [0xff, 0xd9];

impl<'s> Codestream<'s> {
    fn read(stream: &'s [u8]) -> Result<Self> {
        let broken = || refuse(String::from("OpenJPEG wrote an unknown codestream"));
        let mut parts = Self { size: &[], coding: &[], quantisation: &[], data: &[] };
        let mut rest = stream.strip_prefix(&SOC).and_then(|s| s.strip_suffix(&EOC)).ok_or_else(broken)?;
        while let [0xff, marker, high, low, after @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*high, *low])).saturating_sub(2);
            let (body, after) = after.split_at_checked(length).ok_or_else(broken)?;
            match *marker {
                SIZ if body.len() > SIZE_SHARED + 2 => parts.size = body,
                COD if body.len() > CODING_SHARED => parts.coding = body,
                QCD => parts.quantisation = body,
                SOT => {
                    parts.data = after.strip_prefix(&SOD).ok_or_else(broken)?;
                    let whole = [parts.size, parts.coding, parts.quantisation].iter().all(|part| !part.is_empty());
                    return if whole { Ok(parts) } else { Err(broken()) };
                }
                // Comments; whatever else is a marker that nobody asked for.
                0x64 => {}
                _ => return Err(broken()),
            }
            rest = after;
        }
        Err(broken())
    }

    fn write(&self) -> Vec<u8> {
        let shared = [segment(SIZ, &[self.size]), segment(COD, &[self.coding]), segment(QCD, &[self.quantisation])];
        with_tile(&shared.concat(), &[self.data])
    }

    /// These components and, behind them, the one of `last`. Both are written component by component, so are both
    /// together.
    fn write_with(&self, last: &Codestream) -> Vec<u8> {
        let (sizes, components) = self.size.split_at(SIZE_SHARED + 2);
        let index = components.len() / 3;
        // At most four components: COC and QCC number them in one byte.
        let index = [u8::try_from(index).unwrap_or(3)];
        let count = [0, index[0] + 1];
        let header = [
            segment(SIZ, &[&sizes[..SIZE_SHARED], &count, components, &last.size[SIZE_SHARED + 2..]]),
            segment(COD, &[self.coding]),
            segment(QCD, &[self.quantisation]),
            segment(COC, &[&index, &last.coding[..1], &last.coding[CODING_SHARED..]]),
            segment(QCC, &[&index, last.quantisation]),
        ];
        with_tile(&header.concat(), &[self.data, last.data])
    }
}

/// A marker segment: marker, length, body.
fn segment(marker: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    // At most a few dozen bytes.
    let [.., high, low] = (2 + body.len()).to_be_bytes();
    [&[0xff, marker, high, low], &body[..]].concat()
}

/// A main header and the only tile.
fn with_tile(header: &[u8], data: &[&[u8]]) -> Vec<u8> {
    // SOT and SOD count, 14 bytes.
    let length: usize = 14 + data.iter().map(|part| part.len()).sum::<usize>();
    // `limits::VIEW_PIXELS_MAX` keeps files far below 4 GiB.
    let length = u32::try_from(length).unwrap_or(0).to_be_bytes();
    let tile = segment(SOT, &[&[0, 0], &length, &[0, 1]]);
    [&SOC, header, &tile, &SOD, &data.concat(), &EOC].concat()
}

/// The file: signature, `ftyp`, `jp2h` (size, colour space, which channel is what), `jp2c`.
fn file(size: Size, count: usize, alpha: bool, codestream: &[u8]) -> Vec<u8> {
    let count = u8::try_from(count).unwrap_or(4);
    let colours = count - u8::from(alpha);
    // Eight bits each, compressed by the only method, a known colour space, no rights.
    let header = boxed(b"ihdr", &[&size.h.to_be_bytes(), &size.w.to_be_bytes(), &[0, count, 7, 7, 0, 0]]);
    // Enumerated: 16 is sRGB, 17 its grey.
    let space = boxed(b"colr", &[&[1, 0, 0, 0, 0, 0, if colours == 1 { 17 } else { 16 }]]);
    // Channel, 0 for colour or 1 for straight alpha, the colour from 1 on or 0 for all.
    let definition = |i: u8| [0, i, 0, u8::from(i == colours), 0, if i == colours { 0 } else { i + 1 }];
    let channels = match alpha {
        true => boxed(b"cdef", &[&[0, count], &(0..count).flat_map(definition).collect::<Vec<u8>>()]),
        false => Vec::new(),
    };
    [
        boxed(b"jP  ", &[&[0x0d, 0x0a, 0x87, 0x0a]]),
        boxed(b"ftyp", &[b"jp2 \0\0\0\0jp2 "]),
        boxed(b"jp2h", &[&header, &space, &channels]),
        boxed(b"jp2c", &[codestream]),
    ]
    .concat()
}
