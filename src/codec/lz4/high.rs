//! High-compression encoder, which chooses the sequences that take the fewest bytes.
//!
//! First it searches for matches. Only positions that no long match covers are searched: all other
//! ones have the rest of that match. Then it finds the cheapest sequences from the end to the
//! start.

use super::sequence::{Block, CONTINUED, Input, MAX_DISTANCE, MIN_MATCH, hash};

/// Base-2 logarithm of the number of chains.
const HASH_BITS: u32 = 15;

/// Number of positions whose chains are kept: all that a match at the last one can repeat.
const WINDOW: usize = MAX_DISTANCE as usize + 1;

/// End of a chain, which is not in any input.
const NONE: u32 = u32::MAX;

/// Number of lengths that are tried for a match: a shorter match than the longest saves few bytes.
const LENGTHS: u32 = 4;

/// Number of positions before a match to which it is extended.
const MAX_BACK: u32 = 64;

/// Effort of a level.
#[derive(Clone, Copy)]
struct Effort {
    /// Number of earlier positions that are compared.
    attempts: usize,
    /// Length of a match whose inner positions are not searched.
    long: u32,
}

/// Highest level.
pub(super) const MAX_LEVEL: u8 = 12;

/// Effort of each level, from 1 on.
const EFFORTS: [Effort; MAX_LEVEL as usize] = [
    Effort { attempts: 1, long: 4 },
    Effort { attempts: 2, long: 4 },
    Effort { attempts: 4, long: 4 },
    Effort { attempts: 4, long: 8 },
    Effort { attempts: 8, long: 8 },
    Effort { attempts: 12, long: 8 },
    Effort { attempts: 16, long: 8 },
    Effort { attempts: 24, long: 8 },
    Effort { attempts: 32, long: 8 },
    Effort { attempts: 64, long: 16 },
    Effort { attempts: 128, long: 24 },
    Effort { attempts: 512, long: 32 },
];

/// Match, or a literal if it is of one byte.
#[derive(Clone, Copy, Default)]
struct Match {
    len: u32,
    distance: u32,
}

/// Encoder of a level.
pub(super) struct Matches {
    effort: Effort,
    /// Last position with each hash.
    last: Box<[u32; 1 << HASH_BITS]>,
    /// For each position of the window, the last one before with the same hash.
    previous: Box<[u32; WINDOW]>,
    /// For each position, the longest match that was found, and then the cheapest one.
    matches: Vec<Match>,
    /// For each position, the bytes that the rest of the input takes.
    costs: Vec<u32>,
}

impl Matches {
    /// Creates the encoder of a level.
    pub(super) fn new(level: u8) -> Self {
        Self {
            effort: EFFORTS[usize::from(level) - 1],
            last: Box::new([NONE; 1 << HASH_BITS]),
            previous: Box::new([NONE; WINDOW]),
            matches: Vec::new(),
            costs: Vec::new(),
        }
    }

    /// Encodes `raw` into a block and returns its length.
    pub(super) fn encode(&mut self, raw: &[u8], output: &mut [u8]) -> usize {
        self.find_longest(Input::new(raw));
        self.choose_cheapest();
        let mut block = Block::new(raw, output);
        let mut at = 0;
        while let Some(&Match { len, distance }) = self.matches.get(at as usize) {
            if len > 1 {
                block.push(at, distance, len);
            }
            at += len;
        }
        block.finish()
    }

    /// Finds the longest match at each position.
    fn find_longest(&mut self, input: Input<'_>) {
        self.last.fill(NONE);
        self.matches.clear();
        self.matches.resize(input.raw.len(), Match::default());
        let mut best = Match::default();
        let mut search = 0;
        for at in 0..input.starts {
            let last = &mut self.last[hash(input.word(at), HASH_BITS)];
            self.previous[at as usize % WINDOW] = std::mem::replace(last, at);
            best.len = best.len.saturating_sub(1);
            if at >= search {
                let rest = best.len;
                best = self.improve(input, at, best);
                if best.len > rest {
                    self.extend_back(input, at, best);
                }
                let is_long = best.len >= self.effort.long;
                // A match near the end may extend back.
                search = at + if is_long { best.len - 2 } else { 1 };
            }
            self.matches[at as usize] = best;
        }
    }

    /// Returns a longer match than `best` at `at`, or `best`.
    #[inline]
    fn improve(&self, input: Input<'_>, at: u32, mut best: Match) -> Match {
        let first = at.saturating_sub(MAX_DISTANCE);
        let mut longest = best.len.max(MIN_MATCH - 1);
        let Some(mut last_word) = input.last_word(at, longest) else { return best };
        let mut earlier = at;
        for _ in 0..self.effort.attempts {
            earlier = self.previous[earlier as usize % WINDOW];
            if earlier < first {
                break;
            }
            let Some(is_match) = last_word.matches(earlier) else { break };
            if is_match {
                let len = input.match_len(earlier, at);
                if len > longest {
                    longest = len;
                    best = Match { len, distance: at - earlier };
                    let Some(next) = input.last_word(at, longest) else { break };
                    last_word = next;
                }
            }
        }
        best
    }

    /// Extends the match at `start` to the positions before that have a shorter one.
    #[inline]
    fn extend_back(&mut self, input: Input<'_>, start: u32, found: Match) {
        let Match { mut len, distance } = found;
        for at in (start.saturating_sub(MAX_BACK).max(distance)..start).rev() {
            len += 1;
            let (at, earlier) = (at as usize, (at - distance) as usize);
            if input.raw[at] != input.raw[earlier] || self.matches[at].len >= len {
                break;
            }
            self.matches[at] = Match { len, distance };
        }
    }

    /// Chooses the length at each position with which the rest of the input takes the fewest bytes.
    fn choose_cheapest(&mut self) {
        self.costs.clear();
        self.costs.resize(self.matches.len() + 1, 0);
        let mut literals = 0;
        for at in (0..self.matches.len()).rev() {
            literals += 1;
            let mut cheapest = 1;
            let mut cost = self.costs[at + 1] + 1 + u32::from(literals_continue(literals));
            let longest = self.matches[at].len;
            if longest >= MIN_MATCH {
                let shortest = longest.saturating_sub(LENGTHS - 1).max(MIN_MATCH);
                let rests = &self.costs[at + shortest as usize..=at + longest as usize];
                // Of equal costs, the longest match is the fastest to decode.
                for (len, rest) in (shortest..).zip(rests) {
                    let with_match = rest + match_cost(len);
                    if with_match <= cost {
                        (cheapest, cost) = (len, with_match);
                        literals = 0;
                    }
                }
            }
            self.matches[at].len = cheapest;
            self.costs[at] = cost;
        }
    }
}

/// Returns whether the length of `count` literals takes a byte more than one literal less.
fn literals_continue(count: u32) -> bool {
    count >= CONTINUED && (count - CONTINUED).is_multiple_of(255)
}

/// Returns the bytes that the token, the distance and the length of a match take.
fn match_cost(len: u32) -> u32 {
    3 + len.checked_sub(MIN_MATCH + CONTINUED).map_or(0, |rest| 1 + rest / 255)
}
