//! Sequences, which a block consists of: literals followed by a match.

/// Length of the shortest match, in bytes.
pub(super) const MIN_MATCH: usize = 4;

/// Largest distance of a match, in bytes.
pub(super) const MAX_DISTANCE: usize = 65_535;

/// Length in the four bits of a token that is continued after it.
pub(super) const CONTINUED: usize = 15;

/// Number of bytes at the end of a block that no match covers.
const LAST_LITERALS: usize = 5;

/// Number of bytes at the end of a block among which no match starts, except at the first one.
const MATCH_FIND_LIMIT: usize = 12;

/// Input of an encoder.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    /// All bytes.
    pub(super) raw: &'a [u8],
    /// End of the positions at which a match may start.
    pub(super) starts: usize,
    /// The bytes that a match may cover.
    covered: &'a [u8],
}

impl<'a> Input<'a> {
    /// Returns the input of these bytes.
    pub(super) fn new(raw: &'a [u8]) -> Self {
        let starts = (raw.len() + 1).saturating_sub(MATCH_FIND_LIMIT);
        Self { raw, starts, covered: &raw[..raw.len().saturating_sub(LAST_LITERALS)] }
    }

    /// Returns the four bytes at `at` as a little-endian number.
    #[inline]
    pub(super) fn word(self, at: usize) -> u32 {
        let word = self.raw[at..].first_chunk().expect("the last bytes start no match");
        u32::from_le_bytes(*word)
    }

    /// Returns a hash of `bits` bits of the four bytes at `at`.
    #[inline]
    pub(super) fn hash(self, at: usize, bits: u32) -> usize {
        // Knuth's multiplicative hash, as in the reference implementation.
        (self.word(at).wrapping_mul(2_654_435_761) >> (u32::BITS - bits)) as usize
    }

    /// Returns how many bytes at `at` are equal to those at `earlier`, as far as a match may cover
    /// them.
    #[inline]
    pub(super) fn match_len(self, earlier: usize, at: usize) -> usize {
        let (words, rest) = self.covered[at..].as_chunks::<8>();
        let (earlier_words, _) = self.covered[earlier..].as_chunks::<8>();
        let mut len = 0;
        for (a, b) in words.iter().zip(earlier_words) {
            let difference = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
            if difference != 0 {
                return len + difference.trailing_zeros() as usize / 8;
            }
            len += 8;
        }
        let earlier_rest = &self.covered[earlier + len..];
        len + rest.iter().zip(earlier_rest).take_while(|(a, b)| a == b).count()
    }
}

/// Block that is being written.
pub(super) struct Block<'a> {
    output: &'a mut [u8],
    len: usize,
}

impl<'a> Block<'a> {
    /// Creates an empty block in a buffer that has the size of the bound.
    pub(super) fn new(output: &'a mut [u8]) -> Self {
        Self { output, len: 0 }
    }

    /// Appends literals, and a match of `match_len` bytes that repeats those `distance` before.
    pub(super) fn push(&mut self, literals: &[u8], distance: usize, match_len: usize) {
        let len = match_len - MIN_MATCH;
        self.push_literals(literals, nibble(len));
        let distance = u16::try_from(distance).expect("matches are found within that distance");
        self.append(distance.to_le_bytes());
        self.push_continuation(len);
    }

    /// Appends the last literals, and returns the length of the block.
    pub(super) fn finish(mut self, literals: &[u8]) -> usize {
        self.push_literals(literals, 0);
        self.len
    }

    /// Appends a token with these lower bits, and literals.
    fn push_literals(&mut self, literals: &[u8], lower: u8) {
        self.append([nibble(literals.len()) << 4 | lower]);
        self.push_continuation(literals.len());
        self.output[self.len..][..literals.len()].copy_from_slice(literals);
        self.len += literals.len();
    }

    /// Appends the rest of a length that a token can't hold.
    fn push_continuation(&mut self, len: usize) {
        let Some(mut rest) = len.checked_sub(CONTINUED) else { return };
        while rest >= 255 {
            self.append([255]);
            rest -= 255;
        }
        self.append([u8::try_from(rest).expect("the rest is below 255")]);
    }

    #[inline]
    fn append<const N: usize>(&mut self, bytes: [u8; N]) {
        *self.output[self.len..].first_chunk_mut().expect("the output has the size of the bound") =
            bytes;
        self.len += N;
    }
}

/// Returns a position, a length or a distance as the tables of the encoders store it.
pub(super) fn narrow(value: usize) -> u32 {
    u32::try_from(value).expect("a block is shorter than 4 GiB")
}

/// Returns the four bits of a length in a token.
fn nibble(len: usize) -> u8 {
    u8::try_from(len.min(CONTINUED)).expect("15 is below 256")
}
