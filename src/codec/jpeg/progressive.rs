//! A sequential JPEG of ours made progressive, without loss: its coefficients are read back and written in more scans, by
//! spectral selection and successive approximation, each scan with Huffman tables of its own.
//!
//! One component a scan throughout. Invariant: the coefficients stay as they are, so both files decode to the same pixels.
//! Source: ITU-T T.81, annexes F.1.2, F.2.2, G.1.2, K.2, K.3.

/// Blocks of one component.
type Blocks = Vec<Block>;

/// Coefficients in zigzag order.
struct Block {
    levels: [i16; 64],
    /// A bit for each that is not 0, the first the lowest: most are.
    is_set: u64,
}

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

/// The progressive form of a file that `jpeg_encoder` wrote; `None`: it is of another kind.
///
/// `steps` is in how many it comes, 3 to 5; without it the script is that of libjpeg, which is the smallest.
pub(super) fn from_sequential(file: &[u8], steps: Option<u8>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(file.len());
    let (frame, components) = Frame::read(file, &mut out)?;
    for scan in script(&frame, steps) {
        let blocks = components.get(scan.component)?;
        let mut counts = Counts([0; 256]);
        Coder::new(&mut counts).scan(blocks, scan);
        let is_refined_dc = scan.band == (0, 0) && scan.bits.0 > 0;
        let table = Table::optimal(&counts.0);
        if !is_refined_dc {
            table.write(&mut out, u8::from(scan.band.0 > 0));
        }
        out.extend([0xff, 0xda, 0, 8, 1, *frame.ids.get(scan.component)?, 0]);
        out.extend([scan.band.0, scan.band.1, scan.bits.0 << 4 | scan.bits.1]);
        let mut writer = Writer { out: &mut out, table: &table, held: 0, bits: 0 };
        Coder::new(&mut writer).scan(blocks, scan);
        writer.finish();
    }
    out.extend([0xff, 0xd9]);
    Some(out)
}

/// The scans, in order.
fn script(frame: &Frame, steps: Option<u8>) -> Vec<Scan> {
    let all = 0..frame.ids.len();
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
        None if frame.ids.len() == 3 => {
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

/// What the frame header says.
struct Frame {
    ids: Vec<u8>,
    /// Blocks of each component.
    blocks: Vec<usize>,
}

impl Frame {
    /// Reads a whole file; its segments but tables of Huffman codes and scans go to `out`, the frame as a progressive one.
    fn read(file: &[u8], out: &mut Vec<u8>) -> Option<(Self, Vec<Blocks>)> {
        let mut frame = Self { ids: Vec::new(), blocks: Vec::new() };
        let mut components: Vec<Blocks> = Vec::new();
        let mut tables: [[Option<Lookup>; 4]; 2] = Default::default();
        let mut rest = file.strip_prefix(&[0xff, 0xd8])?;
        out.extend([0xff, 0xd8]);
        loop {
            let [0xff, marker, after @ ..] = rest else { return None };
            if *marker == 0xd9 {
                let is_whole = frame.blocks.iter().zip(&components).all(|(n, blocks)| *n == blocks.len());
                return is_whole.then_some((frame, components));
            }
            let length = usize::from(u16::from_be_bytes([*after.first()?, *after.get(1)?]));
            let body = after.get(2..length)?;
            let segment = rest.get(..2 + length)?;
            rest = rest.get(2 + length..)?;
            match marker {
                0xc0 | 0xc1 => {
                    frame = Self::of(body)?;
                    components = frame.ids.iter().map(|_| Blocks::new()).collect();
                    out.extend([0xff, 0xc2]);
                    out.extend_from_slice(&segment[2..]);
                }
                0xc4 => read_tables(body, &mut tables)?,
                0xda => {
                    let [1, id, selectors, ..] = *body else { return None };
                    let component = frame.ids.iter().position(|known| *known == id)?;
                    let [dc, ac] =
                        [tables[0].get(usize::from(selectors >> 4))?, tables[1].get(usize::from(selectors & 15))?];
                    let mut bits = Bits::new(rest);
                    components[component] = bits.blocks(frame.blocks[component], dc.as_ref()?, ac.as_ref()?)?;
                    rest = bits.rest();
                }
                _ => out.extend_from_slice(segment),
            }
        }
    }

    fn of(body: &[u8]) -> Option<Self> {
        let [8, h1, h0, w1, w0, _, components @ ..] = body else { return None };
        let [w, h] = [[*w1, *w0], [*h1, *h0]].map(|side| usize::from(u16::from_be_bytes(side)));
        let factors: Vec<(usize, usize)> =
            components.chunks_exact(3).map(|c| (usize::from(c[1] >> 4), usize::from(c[1] & 15))).collect();
        let most = |side: fn(&(usize, usize)) -> usize| factors.iter().map(side).max();
        let (h_max, v_max) = (most(|f| f.0)?, most(|f| f.1)?);
        let blocks = factors
            .iter()
            .map(|(across, down)| (w * across).div_ceil(h_max).div_ceil(8) * (h * down).div_ceil(v_max).div_ceil(8));
        Some(Self { ids: components.chunks_exact(3).map(|c| c[0]).collect(), blocks: blocks.collect() })
    }
}

fn read_tables(mut body: &[u8], tables: &mut [[Option<Lookup>; 4]; 2]) -> Option<()> {
    while let [kind, rest @ ..] = body {
        let counts: &[u8; 16] = rest.first_chunk()?;
        let len: usize = counts.iter().map(|&n| usize::from(n)).sum();
        let symbols = rest.get(16..16 + len)?;
        *tables.get_mut(usize::from(kind >> 4))?.get_mut(usize::from(kind & 15))? = Some(Lookup::new(counts, symbols));
        body = &rest[16 + len..];
    }
    Some(())
}

/// Symbols by code.
struct Lookup {
    /// Of codes of each length: the first code, its place in `symbols`, and how many there are.
    lengths: [(u32, usize, u32); 17],
    symbols: Vec<u8>,
    /// By the next bits: symbol and length of codes that are no longer than those; length 0 for the others.
    short: Vec<(u8, u8)>,
}

impl Lookup {
    /// Bits that `short` is asked by.
    const SHORT: u32 = 9;

    fn new(counts: &[u8; 16], symbols: &[u8]) -> Self {
        let mut lengths = [(0, 0, 0); 17];
        let mut short = vec![(0, 0); 1 << Self::SHORT];
        let (mut code, mut at) = (0_u32, 0);
        for (length, &count) in (1..=16).zip(counts) {
            lengths[length as usize] = (code, at, count.into());
            if length <= Self::SHORT {
                let left = Self::SHORT - length;
                for (code, &symbol) in (code..).zip(symbols[at..].iter().take(count.into())) {
                    let codes = short.iter_mut().skip((code << left) as usize).take(1 << left);
                    codes.for_each(|entry| *entry = (symbol, length.to_le_bytes()[0]));
                }
            }
            code = (code + u32::from(count)) << 1;
            at += usize::from(count);
        }
        Self { lengths, symbols: symbols.to_vec(), short }
    }
}

/// The bits of a scan.
struct Bits<'a> {
    bytes: &'a [u8],
    held: u64,
    count: u32,
    /// How many of `count` are made up: the scan has ended.
    made_up: u32,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, held: 0, count: 0, made_up: 0 }
    }

    /// What follows the scan.
    fn rest(self) -> &'a [u8] {
        self.bytes
    }

    /// At least `n` bits are at hand, at most 32.
    #[inline]
    fn fill(&mut self, n: u32) {
        while self.count < n {
            let byte = match *self.bytes {
                [0xff, 0, ref rest @ ..] => {
                    self.bytes = rest;
                    0xff
                }
                [0xff, ..] | [] => {
                    self.made_up += 8;
                    0xff
                }
                [byte, ref rest @ ..] => {
                    self.bytes = rest;
                    byte
                }
            };
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// `n` bits that are at hand are used; `None` if they are made up.
    #[inline]
    fn take(&mut self, n: u32) -> Option<()> {
        self.count -= n;
        (self.count >= self.made_up).then_some(())
    }

    /// The next `n` bits, which are at hand.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most 32 bits")]
    fn next(&self, n: u32) -> u32 {
        (self.held >> (self.count - n) & ((1 << n) - 1)) as u32
    }

    #[inline]
    fn symbol(&mut self, table: &Lookup) -> Option<u8> {
        self.fill(16);
        let (symbol, length) = table.short[self.next(Lookup::SHORT) as usize];
        if length > 0 {
            return self.take(length.into()).map(|()| symbol);
        }
        for length in Lookup::SHORT + 1..=16 {
            let (first, at, count) = table.lengths[length as usize];
            let code = self.next(length);
            if code < first + count {
                self.take(length)?;
                return table.symbols.get(at + code.checked_sub(first)? as usize).copied();
            }
        }
        None
    }

    /// A number of `n` bits: those with a leading 0 are negative.
    #[inline]
    fn number(&mut self, n: u32) -> Option<i32> {
        if n == 0 {
            return Some(0);
        }
        self.fill(n);
        let bits = self.next(n).cast_signed();
        self.take(n)?;
        Some(if bits >> (n - 1) == 0 { bits - (1 << n) + 1 } else { bits })
    }

    fn blocks(&mut self, count: usize, dc: &Lookup, ac: &Lookup) -> Option<Blocks> {
        let mut blocks = Blocks::with_capacity(count);
        let mut level = 0;
        for _ in 0..count {
            let mut levels = [0; 64];
            let mut is_set = 0_u64;
            let size = self.symbol(dc)?;
            level += self.number(size.into())?;
            levels[0] = i16::try_from(level).ok()?;
            let mut k = 1;
            while k < 64 {
                let symbol = self.symbol(ac)?;
                let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
                match (run, size) {
                    (15, 0) => k += 16,
                    (_, 0) => break,
                    _ => {
                        k += run;
                        *levels.get_mut(k)? = i16::try_from(self.number(size)?).ok()?;
                        is_set |= 1 << k;
                        k += 1;
                    }
                }
            }
            blocks.push(Block { levels, is_set });
        }
        Some(blocks)
    }
}

/// Takes what a scan consists of.
trait Sink {
    /// A Huffman symbol.
    fn symbol(&mut self, symbol: u8);
    /// The lowest `n` of these bits as they are.
    fn bits(&mut self, bits: u32, n: u32);
}

/// How often each symbol comes.
struct Counts([u32; 256]);

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

    fn scan(mut self, blocks: &Blocks, scan: Scan) {
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

    fn dc_first(&mut self, blocks: &Blocks, after: u32) {
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

/// Bits of |n|.
fn size_of(n: i32) -> u32 {
    32 - n.unsigned_abs().leading_zeros()
}

/// As T.81 writes them: negative numbers less 1, their lowest bits.
fn bits_of(n: i32) -> u32 {
    if n < 0 { (n - 1).cast_unsigned() } else { n.cast_unsigned() }
}

/// Writes codes and bits.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    table: &'a Table,
    held: u64,
    bits: u32,
}

impl Sink for Writer<'_> {
    fn symbol(&mut self, symbol: u8) {
        let (code, length) = self.table.codes[usize::from(symbol)];
        self.bits(code, length);
    }

    fn bits(&mut self, bits: u32, n: u32) {
        self.held = self.held << n | (u64::from(bits) & ((1 << n) - 1));
        self.bits += n;
        while self.bits >= 8 {
            self.bits -= 8;
            let byte = (self.held >> self.bits).to_le_bytes()[0];
            self.out.push(byte);
            if byte == 0xff {
                self.out.push(0);
            }
        }
    }
}

impl Writer<'_> {
    /// Fills the last byte with ones.
    fn finish(mut self) {
        if self.bits > 0 {
            self.bits(0x7f, 8 - self.bits);
        }
    }
}

/// A Huffman table.
struct Table {
    /// How many codes there are of each length, 1 to 16, and their symbols in order.
    counts: [u8; 16],
    symbols: Vec<u8>,
    /// Code and length of each symbol.
    codes: [(u32, u32); 256],
}

impl Table {
    /// The best one for symbols that come so often, no code longer than 16 bits, none of ones alone (K.2).
    fn optimal(counts: &[u32; 256]) -> Self {
        const LONGEST: usize = 256;
        // Groups of symbols with their count; the last symbol stands for the code of ones.
        let used =
            counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(s, count)| (u64::from(*count), vec![s]));
        let mut groups: Vec<(u64, Vec<usize>)> = used.chain([(1, vec![256])]).collect();
        let mut lengths = [0_usize; 257];
        while groups.len() > 1 {
            // The two rarest, of equals those of the highest symbols.
            groups.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1[0].cmp(&b.1[0])));
            let (Some(a), Some(b)) = (groups.pop(), groups.pop()) else { break };
            let mut merged: Vec<usize> = b.1.into_iter().chain(a.1).collect();
            merged.iter().for_each(|symbol| lengths[*symbol] += 1);
            merged.sort_unstable();
            groups.push((a.0 + b.0, merged));
        }
        // Codes longer than 16 bits: pairs of the longest move up (K.3).
        let mut of_length = [0_usize; LONGEST + 1];
        lengths.iter().filter(|length| **length > 0).for_each(|length| of_length[*length] += 1);
        for length in (17..=LONGEST).rev() {
            while of_length[length] > 0 {
                let shorter = (1..length - 1).rev().find(|shorter| of_length[*shorter] > 0).unwrap_or(1);
                of_length[length] -= 2;
                of_length[length - 1] += 1;
                of_length[shorter + 1] += 2;
                of_length[shorter] -= 1;
            }
        }
        // The code of ones is the last of the longest.
        if let Some(longest) = (1..=16).rev().find(|length| of_length[*length] > 0) {
            of_length[longest] -= 1;
        }
        let mut symbols: Vec<u8> = (0..=255).filter(|symbol| lengths[usize::from(*symbol)] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[usize::from(*symbol)]);
        let mut codes = [(0, 0); 256];
        let (mut code, mut next) = (0_u32, symbols.iter());
        for length in 1..=16_u32 {
            for symbol in next.by_ref().take(of_length[length as usize]) {
                codes[usize::from(*symbol)] = (code, length);
                code += 1;
            }
            code <<= 1;
        }
        let counts = std::array::from_fn(|i| of_length[i + 1].to_le_bytes()[0]);
        Self { counts, symbols, codes }
    }

    /// As a segment, for destination 0 of its class: 0 for DC, 1 for AC.
    fn write(&self, out: &mut Vec<u8>, class: u8) {
        // At most 256 symbols.
        let length = u16::try_from(19 + self.symbols.len()).unwrap_or(u16::MAX).to_be_bytes();
        out.extend([0xff, 0xc4, length[0], length[1], class << 4]);
        out.extend(self.counts);
        out.extend_from_slice(&self.symbols);
    }
}
