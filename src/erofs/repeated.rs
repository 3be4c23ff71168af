//! Pieces of content that occur more than once.

use std::collections::BTreeMap;

use crate::tree::InodeId;

/// Digest of a piece.
pub(super) type Digest = [u8; 32];

/// Pieces of files, in the order of the tree, some of which are equal.
#[derive(Debug, Default)]
pub(super) struct PieceNumbers {
    numbers: BTreeMap<Digest, u32>,
    /// Whether the piece of each number occurs more than once.
    is_repeated: Vec<bool>,
    files: BTreeMap<InodeId, Vec<u32>>,
}

impl PieceNumbers {
    /// Adds a piece to those of a file.
    pub(super) fn add(&mut self, file: InodeId, digest: Digest) {
        let next = u32::try_from(self.is_repeated.len()).expect("pieces are in memory");
        let number = *self.numbers.entry(digest).or_insert(next);
        match self.is_repeated.get_mut(number as usize) {
            Some(is_repeated) => *is_repeated = true,
            None => self.is_repeated.push(false),
        }
        self.files.entry(file).or_default().push(number);
    }

    /// Returns the pieces of each file that has repeated ones: equal pieces have the same number,
    /// and those that occur once have none.
    pub(super) fn repeated(self) -> BTreeMap<InodeId, Box<[Option<u32>]>> {
        let number = |number: u32| self.is_repeated[number as usize].then_some(number);
        let files = self.files.into_iter();
        let files = files.map(|(id, numbers)| (id, numbers.into_iter().map(number).collect()));
        files.filter(|(_, numbers): &(_, Box<[_]>)| numbers.iter().any(Option::is_some)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_that_occur_once_have_no_number() {
        let mut numbers = PieceNumbers::default();
        for (file, digests) in [(3, &[1, 2, 1][..]), (4, &[5]), (7, &[6, 2])] {
            for &digest in digests {
                numbers.add(InodeId::new(file), [digest; 32]);
            }
        }
        let repeated = numbers.repeated();
        assert_eq!(repeated.len(), 2);
        assert_eq!(*repeated[&InodeId::new(3)], [Some(0), Some(1), Some(0)]);
        assert_eq!(*repeated[&InodeId::new(7)], [None, Some(1)]);
    }
}
