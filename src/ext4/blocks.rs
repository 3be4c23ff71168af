//! Sequences of blocks on disk.

/// Location of a sequence of blocks on disk, as runs in ascending order.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<Run>);

#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// First block within the sequence.
    pub(super) logical: u64,
    /// First block on disk.
    pub(super) start: u64,
    pub(super) len: u64,
}

impl Runs {
    /// Appends `len` blocks, from `start` on, to the sequence.
    pub(super) fn add(&mut self, start: u64, len: u64) {
        let logical = self.len();
        match self.0.last_mut() {
            Some(last) if last.start + last.len == start => last.len += len,
            _ => self.0.push(Run { logical, start, len }),
        }
    }

    /// Returns the number of blocks of the sequence.
    pub(super) fn len(&self) -> u64 {
        self.0.last().map_or(0, |run| run.logical + run.len)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Run> {
        self.0.iter().copied()
    }

    /// Returns the block on disk of block `logical` of the sequence.
    pub(super) fn block(&self, logical: u64) -> u64 {
        let run = self.0[self.0.partition_point(|run| run.logical <= logical) - 1];
        run.start + (logical - run.logical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_find_their_blocks() {
        let mut runs = Runs::default();
        runs.add(10, 2);
        runs.add(12, 1);
        runs.add(20, 5);
        assert_eq!(runs.iter().count(), 2);
        assert_eq!(runs.len(), 8);
        let found: Vec<u64> = (0..8).map(|block| runs.block(block)).collect();
        assert_eq!(found, [10, 11, 12, 20, 21, 22, 23, 24]);
    }
}
