//! Huffman codes: symbols counted, the best codes for them, bits written.
//!
//! Source: ITU-T T.81, annexes C, F.1.2, K.2, K.3.

use std::cmp::Reverse;

use super::blocks::Block;

/// How often each symbol comes.
pub(super) struct Counts(pub(super) [u32; 256]);

/// A Huffman table.
pub(super) struct Table {
    /// How many codes there are of each length, 1 to 16, and their symbols in order.
    counts: [u8; 16],
    symbols: Vec<u8>,
    /// Code and length of each symbol.
    codes: [(u32, u32); 256],
}

impl Table {
    /// From how many codes there are of each length, 1 to 16, and their symbols in order (C.2).
    fn new(counts: [u8; 16], symbols: Vec<u8>) -> Self {
        let mut codes = [(0, 0); 256];
        let (mut code, mut next) = (0_u32, symbols.iter());
        for (length, count) in (1..).zip(counts) {
            for symbol in next.by_ref().take(count.into()) {
                codes[usize::from(*symbol)] = (code, length);
                code += 1;
            }
            code <<= 1;
        }
        Self { counts, symbols, codes }
    }

    /// The typical ones for DC and AC, of luma or of chroma (K.3.3).
    pub(super) fn typical(is_chroma: bool) -> [Self; 2] {
        let [dc, ac] = match is_chroma {
            false => {
                [[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125]]
            }
            true => {
                [[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119]]
            }
        };
        let shorter: &[u8] = match is_chroma {
            false => &[
                0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22,
                0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33,
                0x62, 0x72, 0x82,
            ],
            true => &[
                0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13,
                0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62,
                0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1,
            ],
        };
        // Codes of 16 bits are those of all other symbols, in order.
        let longest = (0..=255).filter(|symbol| (1..=10).contains(&(symbol & 15)) && !shorter.contains(symbol));
        let symbols = shorter.iter().copied().chain(longest).collect();
        [Self::new(dc, (0..=11).collect()), Self::new(ac, symbols)]
    }

    /// The best one for symbols that come so often, no code longer than 16 bits, none of ones alone (K.2).
    pub(super) fn optimal(counts: &[u32; 256]) -> Self {
        const LONGEST: usize = 256;
        // Groups of symbols with how often they come, the rarest last, of equals the one that is named by the highest
        // symbol; the last symbol of all stands for the code of ones.
        let used = (0..256).zip(counts).filter(|(_, count)| **count > 0);
        let mut groups: Vec<(u64, usize, Vec<usize>)> = used
            .map(|(symbol, count)| (u64::from(*count), symbol, vec![symbol]))
            .chain([(1, 256, vec![256])])
            .collect();
        let order = |(count, name, _): &(u64, usize, Vec<usize>)| (Reverse(*count), *name);
        groups.sort_by_key(order);
        let mut lengths = [0_usize; 257];
        while let (Some((count, name, mut symbols)), Some((other, _, others))) = (groups.pop(), groups.pop()) {
            symbols.extend(others);
            symbols.iter().for_each(|symbol| lengths[*symbol] += 1);
            // By the rarest's name, as figure K.1 has it: equals come in an order that decides codes.
            let merged = (count + other, name, symbols);
            groups.insert(groups.partition_point(|group| order(group) < order(&merged)), merged);
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
        Self::new(std::array::from_fn(|i| of_length[i + 1].to_le_bytes()[0]), symbols)
    }

    /// As a segment, for a destination of its class: 0 for DC, 1 for AC.
    pub(super) fn write(&self, out: &mut Vec<u8>, class: u8, destination: u8) {
        // At most 256 symbols.
        let length = u16::try_from(19 + self.symbols.len()).unwrap_or(u16::MAX).to_be_bytes();
        out.extend([0xff, 0xc4, length[0], length[1], class << 4 | destination]);
        out.extend(self.counts);
        out.extend_from_slice(&self.symbols);
    }

    /// Code and length of a symbol that was counted.
    pub(super) fn code(&self, symbol: u8) -> (u32, u32) {
        self.codes[usize::from(symbol)]
    }
}

/// Bits on their way into a scan.
pub(super) struct Bits<'a> {
    out: &'a mut Vec<u8>,
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, held: 0, count: 0 }
    }

    /// The lowest `n` of these, 32 at most.
    #[inline]
    pub(super) fn put(&mut self, bits: u32, n: u32) {
        self.held = self.held << n | (u64::from(bits) & ((1 << n) - 1));
        self.count += n;
        if self.count >= 32 {
            self.count -= 32;
            let bytes = (self.held >> self.count).to_le_bytes();
            let [b3, b2, b1, b0, ..] = bytes;
            if [b0, b1, b2, b3].contains(&0xff) {
                [b0, b1, b2, b3].into_iter().for_each(|byte| self.byte(byte));
            } else {
                self.out.extend([b0, b1, b2, b3]);
            }
        }
    }

    fn byte(&mut self, byte: u8) {
        self.out.push(byte);
        if byte == 0xff {
            self.out.push(0);
        }
    }

    /// Fills the last byte with ones.
    pub(super) fn finish(mut self) {
        let missing = self.count.next_multiple_of(8) - self.count;
        self.held = self.held << missing | ((1 << missing) - 1);
        self.count += missing;
        while self.count > 0 {
            self.count -= 8;
            self.byte((self.held >> self.count).to_le_bytes()[0]);
        }
    }
}

/// Bits of |n|.
pub(super) fn size_of(n: i32) -> u32 {
    32 - n.unsigned_abs().leading_zeros()
}

/// As T.81 writes them: negative numbers less 1, their lowest bits.
pub(super) fn bits_of(n: i32) -> u32 {
    if n < 0 { (n - 1).cast_unsigned() } else { n.cast_unsigned() }
}

/// What a sequential scan makes of blocks of one component, one by one.
#[derive(Default)]
pub(super) struct Sequential {
    /// DC of the block before.
    last: i32,
}

impl Sequential {
    /// Counts the block's symbols, DC's and AC's.
    pub(super) fn count(&mut self, block: &Block, counts: &mut [Counts; 2]) {
        self.block(block, |class, symbol, _, _| counts[class].0[usize::from(symbol)] += 1);
    }

    /// Writes the block in codes of DC and AC.
    #[inline]
    pub(super) fn write(&mut self, block: &Block, out: &mut Bits<'_>, tables: &[Table; 2]) {
        self.block(block, |class, symbol, size, value| {
            let (code, length) = tables[class].code(symbol);
            out.put(code << size | value & ((1 << size) - 1), length + size);
        });
    }

    /// Symbols of class 0 (DC) and 1 (AC), each with how many bits follow it, and those (F.1.2).
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "sizes are 12 at most")]
    fn block(&mut self, block: &Block, mut put: impl FnMut(usize, u8, u32, u32)) {
        let level = i32::from(block.levels[0]);
        let difference = level - std::mem::replace(&mut self.last, level);
        let size = size_of(difference);
        put(0, size as u8, size, bits_of(difference));
        // The first place that no symbol has told of.
        let mut next = 1;
        let mut is_set = block.is_set;
        while is_set != 0 {
            let k = is_set.trailing_zeros();
            is_set &= is_set - 1;
            let run = k - next;
            (0..run / 16).for_each(|_| put(1, 0xf0, 0, 0));
            let level = i32::from(block.levels[k as usize]);
            let size = size_of(level);
            put(1, ((run % 16) << 4 | size) as u8, size, bits_of(level));
            next = k + 1;
        }
        if next < 64 {
            put(1, 0, 0, 0);
        }
    }
}
