//! High-compression encoder, which chooses the sequences that take the fewest bytes.
//!
//! First it searches for matches. Only positions that no long match covers are searched: all other
//! ones have the rest of that match. Then it finds the cheapest sequences from the end to the
//! start.

use super::sequence::{Block, CONTINUED, Input, MAX_DISTANCE, MIN_MATCH, narrow};

/// Base-2 logarithm of the number of chains.
const HASH_BITS: u32 = 15;

/// End of a chain.
const NONE: u32 = u32::MAX;

/// Number of lengths that are tried for a match: a shorter match than the longest saves few bytes.
const LENGTHS: usize = 4;

/// Number of positions before a match to which it is extended.
const MAX_BACK: usize = 64;

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
    last: Vec<u32>,
    /// For each position, the last one before with the same hash.
    previous: Vec<u32>,
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
            last: Vec::new(),
            previous: Vec::new(),
            matches: Vec::new(),
            costs: Vec::new(),
        }
    }

    /// Encodes `raw` into a block and returns its length.
    pub(super) fn encode(&mut self, raw: &[u8], output: &mut [u8]) -> usize {
        self.find_longest(Input::new(raw));
        self.choose_cheapest();
        let mut block = Block::new(output);
        let (mut at, mut end) = (0, 0);
        while at < raw.len() {
            let Match { len, distance } = self.matches[at];
            let next = at + len as usize;
            if len > 1 {
                block.push(&raw[end..at], distance as usize, len as usize);
                end = next;
            }
            at = next;
        }
        block.finish(&raw[end..])
    }

    /// Finds the longest match at each position.
    fn find_longest(&mut self, input: Input<'_>) {
        for (positions, len) in
            [(&mut self.last, 1 << HASH_BITS), (&mut self.previous, input.starts)]
        {
            positions.clear();
            positions.resize(len, NONE);
        }
        self.matches.clear();
        self.matches.resize(input.raw.len(), Match::default());
        let mut best = Match::default();
        let mut search = 0;
        for at in 0..input.starts {
            let last = &mut self.last[input.hash(at, HASH_BITS)];
            self.previous[at] = std::mem::replace(last, narrow(at));
            best.len = best.len.saturating_sub(1);
            if at >= search {
                let rest = best.len;
                best = self.improve(input, at, best);
                if best.len > rest {
                    self.extend_back(input, at, best);
                }
                let is_long = best.len >= self.effort.long;
                // A match near the end may extend back.
                search = at + if is_long { best.len as usize - 2 } else { 1 };
            }
            self.matches[at] = best;
        }
    }

    /// Returns a longer match than `best` at `at`, or `best`.
    fn improve(&self, input: Input<'_>, at: usize, mut best: Match) -> Match {
        let mut longest = (best.len as usize).max(MIN_MATCH - 1);
        let mut earlier = self.previous[at];
        for _ in 0..self.effort.attempts {
            let distance = at.wrapping_sub(earlier as usize);
            // A longer match would end in the same word or after it.
            let last = longest + 1 - MIN_MATCH;
            if earlier == NONE || distance > MAX_DISTANCE || at + last >= input.starts {
                break;
            }
            let earlier_at = earlier as usize;
            if input.word(earlier_at + last) == input.word(at + last) {
                let len = input.match_len(earlier_at, at);
                if len > longest {
                    longest = len;
                    best = Match { len: narrow(len), distance: narrow(distance) };
                }
            }
            earlier = self.previous[earlier_at];
        }
        best
    }

    /// Extends the match at `start` to the positions before that have a shorter one.
    fn extend_back(&mut self, input: Input<'_>, start: usize, found: Match) {
        let Match { mut len, distance } = found;
        for at in (start.saturating_sub(MAX_BACK)..start).rev() {
            len += 1;
            let Some(earlier) = at.checked_sub(distance as usize) else { break };
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
            let longest = self.matches[at].len as usize;
            let shortest = longest.saturating_sub(LENGTHS - 1).max(MIN_MATCH);
            let rests = self.costs[at..].iter().take(longest + 1).skip(shortest);
            // Of equal costs, the longest match is the fastest to decode.
            for (len, rest) in (shortest..).zip(rests) {
                let with_match = rest + match_cost(len);
                if with_match <= cost {
                    (cheapest, cost) = (len, with_match);
                }
            }
            if cheapest > 1 {
                literals = 0;
            }
            self.matches[at].len = narrow(cheapest);
            self.costs[at] = cost;
        }
    }
}

/// Returns whether the length of `count` literals takes a byte more than one literal less.
fn literals_continue(count: usize) -> bool {
    count >= CONTINUED && (count - CONTINUED).is_multiple_of(255)
}

/// Returns the bytes that the token, the distance and the length of a match take.
fn match_cost(len: usize) -> u32 {
    3 + len.checked_sub(MIN_MATCH + CONTINUED).map_or(0, |rest| 1 + narrow(rest / 255))
}
