//! Block-wise rendering of any part of a region.

/// Fills `out` with the bytes from `offset` on of a sequence of blocks. `make` renders one block
/// into a zeroed buffer.
pub(super) fn render_blocks(
    block_size: usize,
    offset: u64,
    mut out: &mut [u8],
    make: impl Fn(u64, &mut [u8]),
) {
    let mut block = offset / block_size as u64;
    let mut skip = usize::try_from(offset % block_size as u64).expect("less than a block");
    while !out.is_empty() {
        let len = out.len().min(block_size - skip);
        let (part, rest) = out.split_at_mut(len);
        if len == block_size {
            make(block, part);
        } else {
            let mut whole = vec![0; block_size];
            make(block, &mut whole);
            part.copy_from_slice(&whole[skip..skip + len]);
        }
        (out, skip) = (rest, 0);
        block += 1;
    }
}

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
    fn any_part_is_the_same_bytes() {
        let make = |block: u64, out: &mut [u8]| {
            for (byte, at) in out.iter_mut().zip(0u64..) {
                *byte = u8::try_from((block * 31 + at) % 251).unwrap();
            }
        };
        let mut whole = vec![0; 5 * 64];
        render_blocks(64, 0, &mut whole, make);
        for start in 0..5 * 64 {
            for len in [1, 63, 64, 65, 200] {
                let len = len.min(5 * 64 - start);
                let mut part = vec![0; len];
                render_blocks(64, start as u64, &mut part, make);
                assert_eq!(part, whole[start..start + len]);
            }
        }
    }

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
