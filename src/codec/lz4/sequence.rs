//! Sequences, which a block consists of: literals followed by a match.

/// Length of the shortest match, in bytes.
pub(super) const MIN_MATCH: u32 = 4;

/// Largest distance of a match, in bytes.
pub(super) const MAX_DISTANCE: u32 = 65_535;

/// Length in the four bits of a token that is continued after it.
pub(super) const CONTINUED: u32 = 15;

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
    pub(super) starts: u32,
    /// The bytes that a match may cover.
    covered: &'a [u8],
}

impl<'a> Input<'a> {
    /// Returns the input of these bytes.
    pub(super) fn new(raw: &'a [u8]) -> Self {
        let starts = narrow((raw.len() + 1).saturating_sub(MATCH_FIND_LIMIT));
        Self { raw, starts, covered: &raw[..raw.len().saturating_sub(LAST_LITERALS)] }
    }

    /// Returns the four bytes at `at` as a little-endian number.
    #[inline]
    pub(super) fn word(self, at: u32) -> u32 {
        word(self.raw, at).expect("the last bytes start no match")
    }

    /// Returns a word that every match at `at` of more than `len` bytes covers, or `None` if it is
    /// too near to the end.
    #[inline]
    pub(super) fn last_word(self, at: u32, len: u32) -> Option<Word<'a>> {
        let offset = len + 1 - MIN_MATCH;
        let value = (at + offset < self.starts).then(|| self.word(at + offset))?;
        Some(Word { raw: &self.raw[offset as usize..], value })
    }

    /// Returns how many bytes at `at` are equal to those at `earlier`, as far as a match may cover
    /// them.
    #[inline]
    pub(super) fn match_len(self, earlier: u32, at: u32) -> u32 {
        let mut bytes = &self.covered[at as usize..];
        let mut earlier_bytes = &self.covered[earlier as usize..];
        let mut len = 0;
        while let Some((a, rest)) = bytes.split_first_chunk()
            && let Some((b, earlier_rest)) = earlier_bytes.split_first_chunk()
        {
            let difference = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
            if difference != 0 {
                return len + difference.trailing_zeros() / 8;
            }
            len += 8;
            (bytes, earlier_bytes) = (rest, earlier_rest);
        }
        len + narrow(bytes.iter().zip(earlier_bytes).take_while(|(a, b)| a == b).count())
    }
}

/// Word at a fixed offset from the start of a match.
pub(super) struct Word<'a> {
    /// The input from that offset on.
    raw: &'a [u8],
    value: u32,
}

impl Word<'_> {
    /// Returns whether a match that repeats what is at `earlier` may cover the word, or `None` if
    /// `earlier` is not in the input.
    #[inline]
    pub(super) fn matches(&self, earlier: u32) -> Option<bool> {
        Some(word(self.raw, earlier)? == self.value)
    }
}

/// Returns a hash of `bits` bits.
#[inline]
pub(super) fn hash(word: u32, bits: u32) -> usize {
    // Knuth's multiplicative hash, as in the reference implementation.
    (word.wrapping_mul(2_654_435_761) >> (u32::BITS - bits)) as usize
}

/// Returns the four bytes at `at` as a little-endian number.
#[inline]
fn word(bytes: &[u8], at: u32) -> Option<u32> {
    let at = at as usize;
    // One comparison, unlike for `bytes.get(at..)?.first_chunk()`.
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(*word.first_chunk()?))
}

/// Block that is being written.
pub(super) struct Block<'a> {
    raw: &'a [u8],
    /// Number of bytes of `raw` that have been encoded.
    pub(super) encoded: u32,
    output: &'a mut [u8],
    len: usize,
}

impl<'a> Block<'a> {
    /// Creates an empty block in a buffer that has the size of the bound.
    pub(super) fn new(raw: &'a [u8], output: &'a mut [u8]) -> Self {
        Self { raw, encoded: 0, output, len: 0 }
    }

    /// Appends the literals before `start`, and a match there that repeats what is `distance`
    /// before.
    #[inline]
    pub(super) fn push(&mut self, start: u32, distance: u32, match_len: u32) {
        let len = (match_len - MIN_MATCH) as usize;
        self.push_literals(start as usize, nibble(len));
        let distance = u16::try_from(distance).expect("matches are found within that distance");
        self.append(distance.to_le_bytes());
        self.push_continuation(len);
        self.encoded = start + match_len;
    }

    /// Appends the last literals, and returns the length of the block.
    pub(super) fn finish(mut self) -> usize {
        self.push_literals(self.raw.len(), 0);
        self.len
    }

    /// Appends a token with these lower bits, and the literals before `end`.
    #[inline]
    fn push_literals(&mut self, end: usize, lower: u8) {
        let start = self.encoded as usize;
        let len = end - start;
        self.append([nibble(len) << 4 | lower]);
        self.push_continuation(len);
        let (literals, output) = (&self.raw[start..], &mut self.output[self.len..]);
        match (literals.first_chunk::<16>(), output.first_chunk_mut()) {
            // A copy of a constant length is faster. What it copies too much is overwritten later.
            (Some(literals), Some(output)) if len <= 16 => *output = *literals,
            _ => output[..len].copy_from_slice(&literals[..len]),
        }
        self.len += len;
    }

    /// Appends the rest of a length that a token can't hold.
    #[inline]
    fn push_continuation(&mut self, len: usize) {
        let Some(mut rest) = len.checked_sub(CONTINUED as usize) else { return };
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
#[inline]
pub(super) fn narrow(value: usize) -> u32 {
    u32::try_from(value).expect("a block is shorter than 4 GiB")
}

/// Returns the four bits of a length in a token.
#[inline]
fn nibble(len: usize) -> u8 {
    u8::try_from(len.min(CONTINUED as usize)).expect("15 is below 256")
}
