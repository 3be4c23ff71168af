//! Fast encoder, which takes the first match that it finds.

use super::sequence::{Block, Input, MAX_DISTANCE, MIN_MATCH, narrow};

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
        let mut block = Block::new(output);
        let mut end = 0;
        while let Some((mut start, mut earlier)) = self.find(input, end) {
            let next = start + MIN_MATCH + input.match_len(earlier + MIN_MATCH, start + MIN_MATCH);
            while start > end && earlier > 0 && raw[start - 1] == raw[earlier - 1] {
                start -= 1;
                earlier -= 1;
            }
            block.push(&raw[end..start], start - earlier, next - start);
            if next < input.starts {
                self.replace(input, next - 2);
            }
            end = next;
        }
        block.finish(&raw[end..])
    }

    /// Returns the start of the first match from `at` on, and the position that it repeats.
    fn find(&mut self, input: Input<'_>, mut at: usize) -> Option<(usize, usize)> {
        let mut tries = 1 << SKIP_BITS;
        while at < input.starts {
            let earlier = self.replace(input, at);
            // At the start, the table has the position itself.
            let is_near = earlier < at && at - earlier <= MAX_DISTANCE;
            if is_near && input.word(earlier) == input.word(at) {
                return Some((at, earlier));
            }
            at += tries >> SKIP_BITS;
            tries += 1;
        }
        None
    }

    /// Sets the last position with the hash of `at`, and returns the one before.
    #[inline]
    fn replace(&mut self, input: Input<'_>, at: usize) -> usize {
        let last = &mut self.0[input.hash(at, HASH_BITS)];
        std::mem::replace(last, narrow(at)) as usize
    }
}
