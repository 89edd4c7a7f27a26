//! JPEG files: segments and tables, and in scans what rows of planes come to.
//!
//! Each component has a scan of its own (or the progressive ones): one of them all would be half a percent larger, since it
//! predicts DC across blocks that are no neighbours, and has to be padded. TIFFs get that one all the same.
//! Source: ITU-T T.81, annexes A.2 and B; JFIF 1.02; Adobe TN 5116; ICC.1:2010 B.4.

use super::blocks::{Block, Component, Quantiser, ZIGZAG};
use super::huffman::{Bits, Counts, Sequential, Table};
use super::{NAME, progressive};
use crate::codec::{Beside, paths};
use crate::error::{Error, Result};
use crate::pixel::{Chroma, Image, Model, Plane, Size};
use crate::plan::{JpegQuality, Output};

/// Begins the segment of an XMP packet …
const XMP_NAMESPACE: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
/// … which has no more than this.
const XMP_BYTES_MAX: usize = 65_533 - XMP_NAMESPACE.len();
/// Begins each segment of an ICC profile …
const ICC_NAMESPACE: &[u8] = b"ICC_PROFILE\0";
/// … which has no more than this.
const ICC_BYTES_MAX: usize = 65_533 - ICC_NAMESPACE.len() - 2;

/// Identifiers of the components.
const IDS: [u8; 4] = [0, 1, 2, 3];

const SOI: [u8; 2] = [0xff, 0xd8];
const EOI: [u8; 2] = [0xff, 0xd9];

/// Encodes grey, RGB, Y Cb Cr or inks with the steps of T.81 Annex K, scaled by quality as libjpeg does, and with the best
/// Huffman tables.
pub(in crate::codec) fn encode(
    image: &Image,
    quality: JpegQuality,
    chroma: Chroma,
    is_progressive: bool,
    beside: &Beside<'_>,
) -> Result<Vec<u8>> {
    // Adobe's files hold what is left of white, and so do all others.
    let picture = Picture::new(image, quality, chroma, Inks::Inverted)?;
    let mut out = SOI.to_vec();
    jfif(&mut out, beside.output);
    if image.format().model == Model::Cmyk {
        // No transform; that the segment is there says that inks are inverted.
        segment(&mut out, 0xee, &[b"Adobe", &[0; 7]]);
    }
    metadata(&mut out, image.size(), beside)?;
    let blocks = picture.blocks();
    if is_progressive {
        picture.frame(&mut out, 0xc2);
        progressive::write(&mut out, &IDS[..blocks.len()], &blocks, beside.output.steps);
    } else {
        picture.frame(&mut out, 0xc0);
        picture.sequential(&mut out, &blocks);
    }
    out.extend(EOI);
    Ok(out)
}

/// The same in one scan, with the typical Huffman tables of Annex K and inks as they are: what readers of TIFF expect.
pub(in crate::codec) fn encode_interleaved(image: &Image, quality: JpegQuality, chroma: Chroma) -> Result<Vec<u8>> {
    let picture = Picture::new(image, quality, chroma, Inks::AsTheyAre)?;
    let mut out = SOI.to_vec();
    jfif(&mut out, &Output::default());
    picture.frame(&mut out, 0xc0);
    picture.interleaved(&mut out);
    out.extend(EOI);
    Ok(out)
}

/// How inks stand in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inks {
    AsTheyAre,
    /// As what is left of white.
    Inverted,
}

/// A picture as its file will have it.
struct Picture<'i> {
    size: Size,
    components: Vec<Component<'i>>,
    /// Blocks of each component in a unit of a scan of them all, across and down.
    factors: Vec<usize>,
    /// Which of two sets of tables each has.
    tables: Vec<usize>,
    quantisers: [Quantiser; 2],
}

impl<'i> Picture<'i> {
    fn new(image: &'i Image, JpegQuality(quality): JpegQuality, chroma: Chroma, inks: Inks) -> Result<Self> {
        let format = image.format();
        if !(1..=100).contains(&quality) {
            return Err(refuse(format!("quality {quality}: expected 1 to 100")));
        }
        if format.alpha || format.model == Model::Yuv {
            return Err(refuse(format!("planes of {format:?}: expected opaque grey, RGB, Y Cb Cr or inks")));
        }
        let components = components(image, chroma, inks);
        let (factors, tables) = match (format.model, chroma) {
            (Model::Grey, _) => (vec![1], vec![0]),
            // Black is to inks what luma is to colours.
            (Model::Cmyk, _) => (vec![1; 4], vec![1, 1, 1, 0]),
            (_, Chroma::Full) => (vec![1; 3], vec![0, 1, 1]),
            (_, Chroma::Half) => (vec![2, 1, 1], vec![0, 1, 1]),
        };
        let quantisers = [false, true].map(|is_chroma| Quantiser::new(is_chroma, quality));
        Ok(Self { size: image.size(), components, factors, tables, quantisers })
    }

    /// The frame, for scans of this kind, and the steps.
    fn frame(&self, out: &mut Vec<u8>, marker: u8) {
        // `codec::encode` has checked that sides are below 65536.
        let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX).to_be_bytes();
        let each = IDS.iter().zip(&self.factors).zip(&self.tables);
        // At most two blocks either way, and two tables.
        let low = |n: usize| n.to_le_bytes()[0];
        let each: Vec<u8> = each.flat_map(|((id, by), table)| [*id, low(by << 4 | by), low(*table)]).collect();
        let count = low(self.components.len());
        segment(out, marker, &[&[8], &side(self.size.h), &side(self.size.w), &[count], &each]);
        for (destination, quantiser) in [0, 1].iter().zip(&self.quantisers) {
            segment(out, 0xdb, &[&[*destination], &ZIGZAG.map(|at| quantiser.steps[usize::from(at)])]);
        }
    }

    fn blocks(&self) -> Vec<Vec<Block>> {
        let of = |(component, table): (&Component<'_>, &usize)| {
            let (across, down) = component.blocks();
            let mut blocks = Vec::with_capacity(across * down);
            (0..down).for_each(|y| component.append(y, across, &self.quantisers[*table], &mut blocks));
            blocks
        };
        self.components.iter().zip(&self.tables).map(of).collect()
    }

    /// A scan for each component, and before them the best tables for those that share them.
    fn sequential(&self, out: &mut Vec<u8>, blocks: &[Vec<Block>]) {
        let mut counts = [const { [const { Counts([0; 256]) }; 2] }; 2];
        for (blocks, table) in blocks.iter().zip(&self.tables) {
            let mut coder = Sequential::default();
            blocks.iter().for_each(|block| coder.count(block, &mut counts[*table]));
        }
        let tables = counts.map(|classes| classes.map(|counts| Table::optimal(&counts.0)));
        self.write_tables(out, &tables);
        for ((blocks, id), table) in blocks.iter().zip(IDS).zip(&self.tables) {
            scan(out, &[[id, selector(*table)]]);
            let (mut coder, mut bits) = (Sequential::default(), Bits::new(out));
            blocks.iter().for_each(|block| coder.write(block, &mut bits, &tables[*table]));
            bits.finish();
        }
    }

    /// One scan of all components, unit by unit.
    fn interleaved(&self, out: &mut Vec<u8>) {
        let tables = [false, true].map(Table::typical);
        self.write_tables(out, &tables);
        let selectors: Vec<[u8; 2]> = IDS.iter().zip(&self.tables).map(|(id, t)| [*id, selector(*t)]).collect();
        scan(out, &selectors);
        let side = 8 * self.factors[0];
        let (across, down) = ((self.size.w as usize).div_ceil(side), (self.size.h as usize).div_ceil(side));
        let mut bits = Bits::new(out);
        let mut coders: Vec<Sequential> = self.components.iter().map(|_| Sequential::default()).collect();
        // Of each component, as many rows of blocks as a unit has.
        let mut strips: Vec<Vec<Block>> = self.components.iter().map(|_| Vec::new()).collect();
        for unit_y in 0..down {
            for (c, blocks) in strips.iter_mut().enumerate() {
                let by = self.factors[c];
                blocks.clear();
                for y in unit_y * by..(unit_y + 1) * by {
                    self.components[c].append(y, across * by, &self.quantisers[self.tables[c]], blocks);
                }
            }
            for unit_x in 0..across {
                for ((blocks, coder), (by, table)) in
                    strips.iter().zip(&mut coders).zip(self.factors.iter().zip(&self.tables))
                {
                    for row in blocks.chunks_exact(across * by) {
                        let unit = &row[unit_x * by..][..*by];
                        unit.iter().for_each(|block| coder.write(block, &mut bits, &tables[*table]));
                    }
                }
            }
        }
        bits.finish();
    }

    /// As many as the components have.
    fn write_tables(&self, out: &mut Vec<u8>, tables: &[[Table; 2]; 2]) {
        for (destination, [dc, ac]) in (0..).zip(tables).take(self.components.len().min(2)) {
            dc.write(out, 0, destination);
            ac.write(out, 1, destination);
        }
    }
}

/// The components as the file has them. Chroma of half size goes in as it is.
fn components<'i>(image: &'i Image, chroma: Chroma, inks: Inks) -> Vec<Component<'i>> {
    let size = image.size();
    let as_is = |plane: &'i Plane<u8>, is_halved| Component {
        size: plane.size(),
        is_halved,
        row: Box::new(move |y, out| out.copy_from_slice(plane.row(y))),
    };
    let doubled = |plane: &'i Plane<u8>| Component {
        size,
        is_halved: false,
        row: Box::new(move |y, out| out.chunks_mut(2).zip(plane.row(y / 2)).for_each(|(pair, v)| pair.fill(*v))),
    };
    let inverted = |plane: &'i Plane<u8>| Component {
        size,
        is_halved: false,
        row: Box::new(move |y, out| out.iter_mut().zip(plane.row(y)).for_each(|(out, v)| *out = 255 - v)),
    };
    let is_halved = chroma == Chroma::Half;
    match (image.format().model, image.planes()) {
        (Model::Rgb, [r, g, b]) => {
            let of = |weights: Weights, is_halved| Component {
                size,
                is_halved,
                row: Box::new(move |y, out| weighed([r.row(y), g.row(y), b.row(y)], weights, out)),
            };
            vec![of(LUMA, false), of(CB, is_halved), of(CR, is_halved)]
        }
        (Model::Ycbcr(Chroma::Full), [luma, cb, cr]) => {
            vec![as_is(luma, false), as_is(cb, is_halved), as_is(cr, is_halved)]
        }
        (Model::Ycbcr(Chroma::Half), [luma, cb, cr]) if !is_halved => {
            vec![as_is(luma, false), doubled(cb), doubled(cr)]
        }
        (Model::Cmyk, planes) if inks == Inks::Inverted => planes.iter().map(inverted).collect(),
        (_, planes) => planes.iter().map(|plane| as_is(plane, false)).collect(),
    }
}

/// Of R, G and B in 2⁻¹⁶, and what is added.
type Weights = ([i32; 3], i32);
/// JFIF's full-range BT.601.
const LUMA: Weights = ([19_595, 38_470, 7_471], 0x7fff);
const CB: Weights = ([-11_059, -21_709, 32_768], (128 << 16) + 0x7fff);
const CR: Weights = ([32_768, -27_439, -5_329], (128 << 16) + 0x7fff);

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "weighted means of bytes")]
fn weighed([r, g, b]: [&[u8]; 3], ([of_r, of_g, of_b], plus): Weights, out: &mut [u8]) {
    for (out, ((r, g), b)) in out.iter_mut().zip(r.iter().zip(g).zip(b)) {
        *out = ((of_r * i32::from(*r) + of_g * i32::from(*g) + of_b * i32::from(*b) + plus) >> 16) as u8;
    }
}

/// Version 1.2, unit (0: the ratio of sides alone, 1: inches), columns, rows, no thumbnail.
fn jfif(out: &mut Vec<u8>, output: &Output) {
    let (unit, [d1, d0]) = match output.density {
        Some(density) => (1, density.whole_dpi().to_be_bytes()),
        None => (0, [0, 1]),
    };
    segment(out, 0xe0, &[b"JFIF\0", &[1, 2, unit, d1, d0, d1, d0, 0, 0]]);
}

fn metadata(out: &mut Vec<u8>, size: Size, beside: &Beside<'_>) -> Result<()> {
    // A larger packet has no place in one segment, and few readers put several together.
    if let Some(packet) = beside.xmp.filter(|packet| packet.len() <= XMP_BYTES_MAX) {
        segment(out, 0xe1, &[XMP_NAMESPACE, packet]);
    }
    for paths in paths::jpeg_segments(&beside.output.paths, size) {
        segment(out, 0xed, &[&paths]);
    }
    let chunks = beside.icc.unwrap_or_default().chunks(ICC_BYTES_MAX);
    let count = u8::try_from(chunks.len())
        .map_err(|_| refuse(format!("a profile of {} segments: expected at most 255", chunks.len())))?;
    for (number, chunk) in (1..=count).zip(chunks) {
        segment(out, 0xe2, &[ICC_NAMESPACE, &[number, count], chunk]);
    }
    Ok(())
}

/// A marker, the length of what follows, at most 65,533, and that.
fn segment(out: &mut Vec<u8>, marker: u8, parts: &[&[u8]]) {
    let length = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
    out.extend([0xff, marker]);
    out.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// The header of a scan of all coefficients of components, given by identifier and tables.
fn scan(out: &mut Vec<u8>, components: &[[u8; 2]]) {
    let count = components.len().to_le_bytes()[0];
    segment(out, 0xda, &[&[count], components.as_flattened(), &[0, 63, 0]]);
}

/// The same table for DC and AC.
fn selector(table: usize) -> u8 {
    table.to_le_bytes()[0] * 0x11
}

fn refuse(reason: String) -> Error {
    Error::Encode { format: NAME, reason }
}
