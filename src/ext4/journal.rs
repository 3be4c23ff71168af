//! Sizes of the journal and the orphan file, and their initial content.

use zerocopy::{FromZeros, IntoBytes};

use super::block_no::BlockNo;
use super::csum::{CsumSeed, crc};
use super::spec::{
    JBD2_MAGIC, JBD2_SUPERBLOCK_V2, JournalSuperBlock, ORPHAN_BLOCK_MAGIC, OrphanBlockTail,
};

/// Special files, whose sizes depend on the size of the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SpecialFiles {
    pub(super) journal_blocks: u64,
    pub(super) orphan_blocks: u64,
}

impl SpecialFiles {
    /// Returns the number of blocks of the orphan file and the resize inode, or 0 without an orphan
    /// file.
    pub(super) fn pinned_blocks(self) -> u64 {
        match self.orphan_blocks {
            0 => 0,
            blocks => 1 + blocks,
        }
    }
}

/// Minimum number of blocks of a file system with a journal.
pub(super) const JOURNALED_FROM: u64 = 2048;

/// Returns the number of journal blocks of a file system of `blocks` blocks: the table of mke2fs,
/// whose smallest file systems have no journal.
pub(super) fn journal_blocks(blocks: u64) -> u64 {
    const K: u64 = 1 << 10;
    const M: u64 = 1 << 20;
    match blocks {
        0..JOURNALED_FROM => 0,
        JOURNALED_FROM..32_768 => K,
        _ if blocks < 256 * K => 4 * K,
        _ if blocks < 512 * K => 8 * K,
        _ if blocks < 4 * M => 16 * K,
        _ if blocks < 8 * M => 32 * K,
        _ if blocks < 16 * M => 64 * K,
        _ if blocks < 32 * M => 128 * K,
        _ => 256 * K,
    }
}

/// Returns the number of orphan file blocks of a file system of `blocks` blocks, as in mke2fs.
pub(super) fn orphan_blocks(blocks: u64) -> u64 {
    (blocks / 4096).clamp(32, 512)
}

/// Encodes the superblock of an empty journal.
pub(super) fn journal_superblock(blocks: u64, block_size: u64) -> Box<[u8]> {
    let word = |value: u64| u32::try_from(value).expect("a journal has few blocks").into();
    let sb = JournalSuperBlock {
        h_magic: JBD2_MAGIC.into(),
        h_blocktype: JBD2_SUPERBLOCK_V2.into(),
        s_blocksize: word(block_size),
        s_maxlen: word(blocks),
        s_first: 1.into(),
        s_sequence: 1.into(),
        s_nr_users: 1.into(),
        ..JournalSuperBlock::new_zeroed()
    };
    sb.as_bytes().into()
}

/// Returns the tail of an empty block of the orphan file. `seed` is the checksum seed of its inode.
pub(super) fn orphan_tail(seed: CsumSeed, block: BlockNo, block_size: usize) -> OrphanBlockTail {
    let entries = vec![0; block_size - size_of::<OrphanBlockTail>()];
    OrphanBlockTail {
        ob_magic: ORPHAN_BLOCK_MAGIC.into(),
        ob_checksum: crc(seed.block(block), &entries).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from `mke2fs -t ext4` of e2fsprogs 1.47.0, by number of 4 KiB blocks.
    #[test]
    fn journals_are_as_large_as_those_of_mke2fs() {
        for (blocks, journal) in [
            (2047, 0),
            (2048, 1024),
            (32_767, 1024),
            (32_768, 4096),
            (262_143, 4096),
            (262_144, 8192),
            (524_288, 16_384),
            (4 << 20, 32_768),
            (8 << 20, 65_536),
            (16 << 20, 131_072),
            (32 << 20, 262_144),
        ] {
            assert_eq!(journal_blocks(blocks), journal, "{blocks}");
        }
    }

    #[test]
    fn orphan_files_are_as_large_as_those_of_mke2fs() {
        for (blocks, orphan) in
            [(1024, 32), (128 << 10, 32), (256 << 10, 64), (2 << 20, 512), (1 << 30, 512)]
        {
            assert_eq!(orphan_blocks(blocks), orphan, "{blocks}");
        }
    }
}
