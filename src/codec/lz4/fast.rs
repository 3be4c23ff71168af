//! Fast encoder, which takes the first match that it finds.

use super::sequence::{Block, Input, MAX_DISTANCE, MIN_MATCH, hash};

/// Base-2 logarithm of the entries of the table, which then takes half of a level-1 cache.
const HASH_BITS: u32 = 12;

/// Base-2 logarithm of the positions without a match after which the step grows by one byte.
const SKIP_BITS: u32 = 6;

/// Last position with each hash.
pub(super) struct Table(Box<[u32; 1 << HASH_BITS]>);

impl Table {
    /// Creates an empty table.
    pub(super) fn new() -> Self {
        Self(Box::new([0; 1 << HASH_BITS]))
    }

    /// Encodes `raw` into a block and returns its length.
    pub(super) fn encode(&mut self, raw: &[u8], output: &mut [u8]) -> usize {
        self.0.fill(0);
        let input = Input::new(raw);
        let mut block = Block::new(raw, output);
        while let Some((mut start, mut earlier)) = self.find(input, block.encoded) {
            let next = start + MIN_MATCH + input.match_len(earlier + MIN_MATCH, start + MIN_MATCH);
            while start > block.encoded
                && earlier > 0
                && raw[start as usize - 1] == raw[earlier as usize - 1]
            {
                start -= 1;
                earlier -= 1;
            }
            block.push(start, start - earlier, next - start);
            if next < input.starts {
                self.replace(input.word(next - 2), next - 2);
            }
        }
        block.finish()
    }

    /// Returns the start of the first match from `at` on, and the position that it repeats.
    #[inline]
    fn find(&mut self, input: Input<'_>, mut at: u32) -> Option<(u32, u32)> {
        let mut tries = 1 << SKIP_BITS;
        while at < input.starts {
            let word = input.word(at);
            let earlier = self.replace(word, at);
            // At the start, the table has the position itself.
            let is_near = (1..=MAX_DISTANCE).contains(&(at - earlier));
            if is_near && input.word(earlier) == word {
                return Some((at, earlier));
            }
            at += tries >> SKIP_BITS;
            tries += 1;
        }
        None
    }

    /// Sets the last position with the hash of `word`, and returns the one before.
    #[inline]
    fn replace(&mut self, word: u32, at: u32) -> u32 {
        std::mem::replace(&mut self.0[hash(word, HASH_BITS)], at)
    }
}
