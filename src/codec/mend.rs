//! JPEGs that end too soon, made whole so that a decoder gives what is there.
//!
//! A sequential file with one component a scan has no picture until its last scan: what is missing of a scan is filled
//! with flat grey blocks in the scan's own Huffman code, and scans that never came are added, grey as well. Only the
//! entropy code is read here, never a sample. Source: ITU-T T.81, B and F.

/// Where each scan begins: the offset of its SOS marker. The walk steps over segments and through entropy-coded data.
pub(super) fn scan_starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 2;
    while let Some((from, marker)) = next_marker(bytes, at) {
        if marker == 0xda {
            starts.push(from);
        }
        let Some(&[high, low]) = bytes.get(from + 2..from + 4) else { break };
        if marker == 0xd9 {
            break;
        }
        at = from + 2 + usize::from(u16::from_be_bytes([high, low])).max(2);
    }
    starts
}

/// Offset and kind of the next marker that has a segment (or ends the picture) from `at` on.
fn next_marker(bytes: &[u8], mut at: usize) -> Option<(usize, u8)> {
    loop {
        at += memchr::memchr(0xff, bytes.get(at..)?)?;
        match *bytes.get(at + 1)? {
            // Fill: the next byte may be the marker's first.
            0xff => at += 1,
            // Stuffing, and markers that stand alone.
            0 | 1 | 0xd0..=0xd8 => at += 2,
            marker => return Some((at, marker)),
        }
    }
}

/// A sequential file with one component a scan, whole again. `None` for any other file, and where nothing is there.
pub(super) fn completed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut file = File { out: Vec::with_capacity(bytes.len() + (64 << 10)), ..File::default() };
    file.out.extend_from_slice(bytes.get(..2)?);
    let mut done: Vec<u8> = Vec::new();
    let mut at = 2;
    while let Some((from, marker)) = next_marker(bytes, at) {
        let length = bytes.get(from + 2..from + 4).map_or(0, |l| usize::from(u16::from_be_bytes([l[0], l[1]])));
        let Some(segment) = bytes.get(from..from + 2 + length).filter(|_| length >= 2 && marker != 0xd9) else { break };
        let body = &segment[4..];
        at = from + segment.len();
        match marker {
            0xc0 | 0xc1 => file.read_frame(body)?,
            0xc2 | 0xc3 | 0xc5..=0xc7 | 0xc9..=0xcf => return None,
            0xc4 => file.read_tables(body)?,
            0xdd => file.restart = usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?])),
            _ => {}
        }
        if marker != 0xda {
            file.out.extend_from_slice(segment);
            continue;
        }
        let &[1, id, tables, ..] = body else { return None };
        // A second scan of one component would be nobody's.
        if done.contains(&id) {
            break;
        }
        let (dc, ac) =
            (file.tables[0][usize::from(tables >> 4 & 3)].clone()?, file.tables[1][usize::from(tables & 3)].clone()?);
        let blocks = file.blocks(id)?;
        file.out.extend_from_slice(segment);
        file.copy_scan(&bytes[at..], blocks, &dc, &ac)?;
        done.push(id);
    }
    if done.is_empty() {
        return None;
    }
    // One code of one bit for "no difference" and "no more coefficients": a block of two zero bits.
    let flat = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let missing: Vec<u8> = file.components.iter().map(|c| c.0).filter(|id| !done.contains(id)).collect();
    for id in missing {
        for class in [0x00, 0x10] {
            file.out.extend([0xff, 0xc4, 0, 20, class]);
            file.out.extend(&flat);
        }
        file.out.extend([0xff, 0xda, 0, 8, 1, id, 0, 0, 63, 0]);
        let blocks = file.blocks(id)?;
        let none = Table::new(&flat[..16], &flat[16..])?;
        file.copy_scan(&[], blocks, &none, &none)?;
    }
    file.out.extend([0xff, 0xd9]);
    Some(file.out)
}

#[derive(Default)]
struct File {
    size: (usize, usize),
    /// Identifier, horizontal and vertical factor.
    components: Vec<(u8, usize, usize)>,
    /// By class (DC, AC) and identifier.
    tables: [[Option<Table>; 4]; 2],
    /// Blocks between restart markers; 0 for none.
    restart: usize,
    out: Vec<u8>,
}

impl File {
    fn read_frame(&mut self, body: &[u8]) -> Option<()> {
        let [_, h1, h0, w1, w0, _, components @ ..] = body else { return None };
        self.size = (u16::from_be_bytes([*w1, *w0]).into(), u16::from_be_bytes([*h1, *h0]).into());
        self.components =
            components.as_chunks().0.iter().map(|&[id, hv, _]| (id, (hv >> 4).into(), (hv & 15).into())).collect();
        Some(())
    }

    fn read_tables(&mut self, mut body: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = body {
            let (counts, rest) = rest.split_at_checked(16)?;
            let (symbols, rest) = rest.split_at_checked(counts.iter().map(|&n| usize::from(n)).sum())?;
            *self.tables.get_mut(usize::from(kind >> 4))?.get_mut(usize::from(kind & 15))? =
                Table::new(counts, symbols);
            body = rest;
        }
        Some(())
    }

    /// Blocks of a component in a scan of its own (T.81 A.2.2): no filling up to whole MCUs.
    fn blocks(&self, id: u8) -> Option<usize> {
        let most = |side: fn(&(u8, usize, usize)) -> usize| self.components.iter().map(side).max();
        let &(_, h, v) = self.components.iter().find(|c| c.0 == id)?;
        let (most_h, most_v) = (most(|c| c.1)?, most(|c| c.2)?);
        if h == 0 || v == 0 {
            return None;
        }
        Some((self.size.0 * h).div_ceil(8 * most_h) * (self.size.1 * v).div_ceil(8 * most_v))
    }

    /// Copies the whole blocks of a scan and fills it up with grey ones.
    fn copy_scan(&mut self, data: &[u8], blocks: usize, dc: &Table, ac: &Table) -> Option<()> {
        let mut read = Bits { data, at: 0, word: 0, left: 0 };
        let mut write = Put { out: &mut self.out, word: 0, held: 0 };
        let mut block = Vec::new();
        let mut level = 0;
        let mut is_whole = true;
        for i in 0..blocks {
            if self.restart > 0 && i > 0 && i % self.restart == 0 {
                write.restart(i / self.restart - 1);
                level = 0;
                is_whole &= read.restart();
            }
            block.clear();
            let difference = if is_whole { read.block(dc, ac, &mut block) } else { None };
            if let Some(difference) = difference {
                level += difference;
                block.iter().for_each(|&(bits, len)| write.bits(bits, len));
                continue;
            }
            is_whole = false;
            // Back to grey, as far as the code has a word for it, then nothing.
            if let Some((code, len, category)) = dc.difference(-level) {
                write.bits(code, len);
                let low = if level > 0 { -level - 1 } else { -level };
                write.bits(low.cast_unsigned() & ((1 << category) - 1), category);
                level = 0;
            } else {
                let (code, len) = dc.code(0)?;
                write.bits(code, len);
            }
            let (code, len) = ac.code(0)?;
            write.bits(code, len);
        }
        write.align();
        Some(())
    }
}

/// A Huffman table both ways.
#[derive(Clone)]
struct Table {
    /// Code, its length in bits and its symbol, in canonical order.
    codes: Vec<(u32, u32, u8)>,
    /// For each length, the first code of it and its place in `codes`, and one past the last code.
    lengths: [(u32, usize, u32); 17],
}

impl Table {
    /// T.81 C.2; `None` when the counts leave no room for the codes.
    fn new(counts: &[u8], symbols: &[u8]) -> Option<Self> {
        let mut table = Self { codes: Vec::new(), lengths: [(0, 0, 0); 17] };
        let mut code = 0_u32;
        let mut symbols = symbols.iter();
        for (len, &count) in (1_u32..).zip(counts) {
            let first = code;
            let place = table.codes.len();
            for symbol in symbols.by_ref().take(count.into()) {
                table.codes.push((code, len, *symbol));
                code += 1;
            }
            if code > 1 << len {
                return None;
            }
            *table.lengths.get_mut(len as usize)? = (first, place, code);
            code <<= 1;
        }
        Some(table)
    }

    fn code(&self, symbol: u8) -> Option<(u32, u32)> {
        self.codes.iter().find(|c| c.2 == symbol).map(|c| (c.0, c.1))
    }

    /// Code, its length and the bits to follow, for a DC difference.
    fn difference(&self, difference: i32) -> Option<(u32, u32, u32)> {
        let category = 32 - difference.unsigned_abs().leading_zeros();
        let (code, len) = self.code(u8::try_from(category).ok()?)?;
        Some((code, len, category))
    }
}

/// Entropy-coded data bit by bit, up to the next marker.
struct Bits<'d> {
    data: &'d [u8],
    at: usize,
    word: u32,
    left: u32,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        if self.left == 0 {
            let byte = *self.data.get(self.at)?;
            if byte == 0xff {
                if *self.data.get(self.at + 1)? != 0 {
                    return None;
                }
                self.at += 1;
            }
            self.at += 1;
            (self.word, self.left) = (byte.into(), 8);
        }
        self.left -= 1;
        Some(self.word >> self.left & 1)
    }

    fn bits(&mut self, len: u32) -> Option<u32> {
        (0..len).try_fold(0, |bits, _| Some(bits << 1 | self.bit()?))
    }

    fn symbol(&mut self, table: &Table, block: &mut Vec<(u32, u32)>) -> Option<u8> {
        let mut code = 0;
        for len in 1..=16 {
            code = code << 1 | self.bit()?;
            let (first, place, end) = table.lengths[len as usize];
            if code < end && code >= first {
                block.push((code, len));
                return Some(table.codes.get(place + (code - first) as usize)?.2);
            }
        }
        None
    }

    /// One block's codes into `block`; its DC difference. `None` when it is not all there, or no block.
    fn block(&mut self, dc: &Table, ac: &Table, block: &mut Vec<(u32, u32)>) -> Option<i32> {
        let category = u32::from(self.symbol(dc, block)?);
        if category > 11 {
            return None;
        }
        let bits = self.bits(category)?;
        block.push((bits, category));
        let mut k = 1;
        while k < 64 {
            let symbol = self.symbol(ac, block)?;
            let (run, category) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            match (run, category) {
                (0, 0) => break,
                (15, 0) => k += 16,
                (_, 0) => return None,
                (run, category) => {
                    k += run + 1;
                    let bits = self.bits(category)?;
                    block.push((bits, category));
                }
            }
        }
        // The bits of a negative difference are those of the number below it.
        let is_negative = category > 0 && bits >> (category - 1) == 0;
        let difference = i64::from(bits) - if is_negative { (1 << category) - 1 } else { 0 };
        if k > 64 { None } else { i32::try_from(difference).ok() }
    }

    /// Over the restart marker that has to come here.
    fn restart(&mut self) -> bool {
        self.left = 0;
        let comes = matches!(self.data.get(self.at..self.at + 2), Some([0xff, 0xd0..=0xd7]));
        self.at += 2;
        comes
    }
}

/// Entropy-coded data as it is written.
struct Put<'o> {
    out: &'o mut Vec<u8>,
    word: u64,
    held: u32,
}

impl Put<'_> {
    /// The lowest `len` bits, at most 16.
    fn bits(&mut self, bits: u32, len: u32) {
        self.word = self.word << len | u64::from(bits);
        self.held += len;
        while self.held >= 8 {
            self.held -= 8;
            let byte = (self.word >> self.held).to_le_bytes()[0];
            self.out.push(byte);
            if byte == 0xff {
                self.out.push(0);
            }
        }
        self.word &= (1 << self.held) - 1;
    }

    /// Ones up to a whole byte.
    fn align(&mut self) {
        let fill = (8 - self.held) % 8;
        self.bits((1 << fill) - 1, fill);
    }

    fn restart(&mut self, nth: usize) {
        self.align();
        self.out.extend([0xff, 0xd0 + (nth % 8).to_le_bytes()[0]]);
    }
}
