//! Quantised coefficients in progressive scans, by spectral selection and successive approximation, each scan with Huffman
//! tables of its own.
//!
//! One component a scan throughout. Invariant: the coefficients stay as they are, so the file decodes to the same pixels as
//! the sequential one. Source: ITU-T T.81, annexes G.1.2, K.2.

use super::blocks::Block;
use super::huffman::{Bits, Counts, Table, bits_of, size_of};

impl Block {
    /// Places and values of a band that lack `after` bits and are not 0 then.
    fn band(&self, (first, last): (u8, u8), after: u32) -> impl Iterator<Item = (u8, i16, u16)> {
        let mut is_set = self.is_set >> first << first;
        std::iter::from_fn(move || {
            while is_set != 0 {
                let k = is_set.trailing_zeros().to_le_bytes()[0];
                is_set &= is_set - 1;
                if k > last {
                    return None;
                }
                let v = self.levels[usize::from(k)];
                let level = v.unsigned_abs() >> after;
                if level > 0 {
                    return Some((k, v, level));
                }
            }
            None
        })
    }
}

/// One scan of one component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scan {
    component: usize,
    /// First and last coefficient: 0 and 0, or from 1 on.
    band: (u8, u8),
    /// Bits that scans before this one left out, 0 for the first, and that it leaves out itself.
    bits: (u8, u8),
}

/// Appends all scans of components with these identifiers, as many as there are `blocks`.
///
/// `steps` is in how many it comes, 3 to 5; without it the script is that of libjpeg, which is the smallest.
pub(super) fn write(out: &mut Vec<u8>, ids: &[u8], components: &[Vec<Block>], steps: Option<u8>) {
    for scan in script(components.len(), steps) {
        let blocks = &components[scan.component];
        let mut counts = Counts([0; 256]);
        Coder::new(&mut counts).scan(blocks, scan);
        let is_refined_dc = scan.band == (0, 0) && scan.bits.0 > 0;
        let table = Table::optimal(&counts.0);
        if !is_refined_dc {
            table.write(out, u8::from(scan.band.0 > 0), 0);
        }
        out.extend([0xff, 0xda, 0, 8, 1, ids[scan.component], 0]);
        out.extend([scan.band.0, scan.band.1, scan.bits.0 << 4 | scan.bits.1]);
        let mut writer = Writer { bits: Bits::new(out), table: &table };
        Coder::new(&mut writer).scan(blocks, scan);
        writer.bits.finish();
    }
}

/// The scans, in order.
fn script(components: usize, steps: Option<u8>) -> Vec<Scan> {
    let all = 0..components;
    let of = |component, band, bits| Scan { component, band, bits };
    let each = |band, bits| all.clone().map(move |component| of(component, band, bits));
    let (dc, low, high, ac) = ((0, 0), (1, 5), (6, 63), (1, 63));
    let mut scans: Vec<Scan> = Vec::new();
    match steps {
        Some(..=3) => {
            scans.extend(each(dc, (0, 0)));
            scans.extend(each(ac, (0, 1)));
            scans.extend(each(ac, (1, 0)));
        }
        Some(4) => {
            scans.extend(each(dc, (0, 0)));
            scans.extend(each(low, (0, 1)));
            scans.extend(each(high, (0, 1)));
            scans.extend(each(ac, (1, 0)));
        }
        Some(5..) => {
            scans.extend(each(dc, (0, 0)));
            scans.extend(each(low, (0, 2)));
            scans.extend(each(high, (0, 2)));
            scans.extend(each(ac, (2, 1)));
            scans.extend(each(ac, (1, 0)));
        }
        // Luma in five parts, colours in two.
        None if components == 3 => {
            scans.extend(each(dc, (0, 1)));
            scans.extend([of(0, low, (0, 2)), of(2, ac, (0, 1)), of(1, ac, (0, 1)), of(0, high, (0, 2))]);
            scans.push(of(0, ac, (2, 1)));
            scans.extend(each(dc, (1, 0)));
            scans.extend([of(2, ac, (1, 0)), of(1, ac, (1, 0)), of(0, ac, (1, 0))]);
        }
        None => {
            scans.extend(each(dc, (0, 1)));
            scans.extend(each(low, (0, 2)));
            scans.extend(each(high, (0, 2)));
            scans.extend(each(ac, (2, 1)));
            scans.extend(each(dc, (1, 0)));
            scans.extend(each(ac, (1, 0)));
        }
    }
    scans
}

/// Takes what a scan consists of.
trait Sink {
    /// A Huffman symbol.
    fn symbol(&mut self, symbol: u8);
    /// The lowest `n` of these bits as they are.
    fn bits(&mut self, bits: u32, n: u32);
}

impl Sink for Counts {
    fn symbol(&mut self, symbol: u8) {
        self.0[usize::from(symbol)] += 1;
    }

    fn bits(&mut self, _: u32, _: u32) {}
}

/// What a scan makes of blocks.
struct Coder<'s, S> {
    sink: &'s mut S,
    /// Blocks that end here, counted until something follows.
    ended: u32,
    /// Bits that refine coefficients of those blocks.
    refined: Vec<u8>,
}

impl<'s, S: Sink> Coder<'s, S> {
    /// More are not gathered: what readers may have room for.
    const ENDED_MAX: u32 = 0x7fff;
    const REFINED_MAX: usize = 937;

    fn new(sink: &'s mut S) -> Self {
        Self { sink, ended: 0, refined: Vec::new() }
    }

    fn scan(mut self, blocks: &[Block], scan: Scan) {
        let (before, after) = (scan.bits.0, u32::from(scan.bits.1));
        match (scan.band, before) {
            ((0, 0), 0) => self.dc_first(blocks, after),
            ((0, 0), _) => {
                blocks.iter().for_each(|block| self.sink.bits((block.levels[0] >> after).cast_unsigned().into(), 1))
            }
            (_, 0) => blocks.iter().for_each(|block| self.ac_first(block, scan.band, after)),
            (_, _) => blocks.iter().for_each(|block| self.ac_refined(block, scan.band, after)),
        }
        self.end();
    }

    fn dc_first(&mut self, blocks: &[Block], after: u32) {
        let mut last = 0;
        for block in blocks {
            let level = i32::from(block.levels[0] >> after);
            let size = size_of(level - last);
            // At most 12 bits.
            self.sink.symbol(size.to_le_bytes()[0]);
            self.sink.bits(bits_of(level - last), size);
            last = level;
        }
    }

    fn ac_first(&mut self, block: &Block, band: (u8, u8), after: u32) {
        // The first place that no symbol has told of.
        let mut next = band.0;
        for (k, v, level) in block.band(band, after) {
            self.end();
            self.zeros(k - next);
            let level = i32::from(level);
            let size = size_of(level);
            self.sink.symbol(((k - next) % 16) << 4 | size.to_le_bytes()[0]);
            self.sink.bits(bits_of(if v < 0 { -level } else { level }), size);
            next = k + 1;
        }
        if next <= band.1 {
            self.ended += 1;
            if self.ended == Self::ENDED_MAX {
                self.end();
            }
        }
    }

    /// Tells of whole sixteens of zeros.
    fn zeros(&mut self, run: u8) {
        (0..run / 16).for_each(|_| self.sink.symbol(0xf0));
    }

    fn ac_refined(&mut self, block: &Block, band: (u8, u8), after: u32) {
        // Beyond the last coefficient that is new, runs of 16 need not be told.
        let last_new = block.band(band, after).filter(|(.., level)| *level == 1).last().map(|(k, ..)| k);
        // Zeros, and refining bits, since the last symbol.
        let (mut run, mut next) = (0_u8, band.0);
        let mut own: Vec<u8> = Vec::new();
        for (k, v, level) in block.band(band, after) {
            run += k - next;
            next = k + 1;
            while run > 15 && last_new.is_some_and(|last| k <= last) {
                self.end();
                self.sink.symbol(0xf0);
                run -= 16;
                self.refine(&mut own);
            }
            if level > 1 {
                own.push((level & 1).to_le_bytes()[0]);
                continue;
            }
            self.end();
            self.sink.symbol(run << 4 | 1);
            self.sink.bits(u32::from(v >= 0), 1);
            self.refine(&mut own);
            run = 0;
        }
        if run > 0 || next <= band.1 || !own.is_empty() {
            self.ended += 1;
            self.refined.append(&mut own);
            if self.ended == Self::ENDED_MAX || self.refined.len() > Self::REFINED_MAX {
                self.end();
            }
        }
    }

    fn refine(&mut self, bits: &mut Vec<u8>) {
        bits.drain(..).for_each(|bit| self.sink.bits(bit.into(), 1));
    }

    /// Tells of the blocks that ended.
    fn end(&mut self) {
        if self.ended > 0 {
            let size = self.ended.ilog2();
            self.sink.symbol((size << 4).to_le_bytes()[0]);
            self.sink.bits(self.ended, size);
            self.ended = 0;
        }
        let mut bits = std::mem::take(&mut self.refined);
        self.refine(&mut bits);
        self.refined = bits;
    }
}

/// Writes codes and bits.
struct Writer<'a> {
    bits: Bits<'a>,
    table: &'a Table,
}

impl Sink for Writer<'_> {
    fn symbol(&mut self, symbol: u8) {
        let (code, length) = self.table.code(symbol);
        self.bits.put(code, length);
    }

    fn bits(&mut self, bits: u32, n: u32) {
        self.bits.put(bits, n);
    }
}
