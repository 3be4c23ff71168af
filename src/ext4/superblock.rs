//! The superblock and the group descriptors.

use zerocopy::FromZeros;

use super::Options;
use super::bitmap::AllocationMap;
use super::csum::{CsumSeed, high_16, high_32, low_16, low_32, seal_super};
use super::geometry::LOG_GROUPS_PER_FLEX;
use super::profile::Profile;
use super::spec::{
    CRC32C_CHKSUM, DEFM_ACL, DEFM_XATTR_USER, DESC_SIZE, DYNAMIC_REV, ERRORS_CONTINUE, EXTRA_ISIZE,
    FIRST_INO, FLAGS_SIGNED_HASH, GroupDesc, GroupFlags, HASH_HALF_MD4, INODE_SIZE, Incompat,
    InodeRecord, JNL_BACKUP_BLOCKS, JOURNAL_INO, SUPER_MAGIC, SuperBlock, VALID_FS,
};

/// Returns the descriptors of all groups. `directories` holds the number of directories of each
/// group.
pub(super) fn group_descs(
    allocation: &AllocationMap,
    seed: CsumSeed,
    directories: &[u32],
) -> Vec<GroupDesc> {
    let params = &allocation.geometry.params;
    let mut bitmap = vec![0; usize::try_from(params.block_size).expect("at most 4096")];
    let untouched = seed.bitmap(&bitmap);
    (0u32..)
        .zip(&allocation.geometry.places)
        .zip(directories)
        .map(|((number, place), &directories)| {
            let group = u64::from(number);
            let block_sum = if allocation.is_untouched(group) {
                untouched
            } else {
                bitmap.fill(0);
                allocation.block_bitmap(group, &mut bitmap);
                seed.bitmap(&bitmap)
            };
            bitmap.fill(0);
            allocation.inode_bitmap(group, &mut bitmap);
            let bytes = usize::try_from(params.inodes_per_group / 8).expect("within a block");
            let inode_sum = seed.bitmap(&bitmap[..bytes]);

            let free_blocks = low_32(allocation.free_blocks(group));
            let used_inodes = allocation.used_inodes(group);
            let free_inodes = low_32(params.inodes_per_group - used_inodes);
            // The tables are zeros in the image, so the kernel need not zero them.
            let mut flags = GroupFlags::INODE_ZEROED;
            flags.set(GroupFlags::INODE_UNINIT, used_inodes == 0);
            let mut desc = GroupDesc {
                bg_block_bitmap_lo: low_32(place.block_bitmap.0).into(),
                bg_block_bitmap_hi: high_32(place.block_bitmap.0).into(),
                bg_inode_bitmap_lo: low_32(place.inode_bitmap.0).into(),
                bg_inode_bitmap_hi: high_32(place.inode_bitmap.0).into(),
                bg_inode_table_lo: low_32(place.inode_table.0).into(),
                bg_inode_table_hi: high_32(place.inode_table.0).into(),
                bg_free_blocks_count_lo: low_16(free_blocks).into(),
                bg_free_blocks_count_hi: high_16(free_blocks).into(),
                bg_free_inodes_count_lo: low_16(free_inodes).into(),
                bg_free_inodes_count_hi: high_16(free_inodes).into(),
                bg_used_dirs_count_lo: low_16(directories).into(),
                bg_used_dirs_count_hi: high_16(directories).into(),
                bg_itable_unused_lo: low_16(free_inodes).into(),
                bg_itable_unused_hi: high_16(free_inodes).into(),
                bg_flags: flags.bits().into(),
                bg_block_bitmap_csum_lo: low_16(block_sum).into(),
                bg_block_bitmap_csum_hi: high_16(block_sum).into(),
                bg_inode_bitmap_csum_lo: low_16(inode_sum).into(),
                bg_inode_bitmap_csum_hi: high_16(inode_sum).into(),
                ..GroupDesc::new_zeroed()
            };
            seed.seal_group(number, &mut desc);
            desc
        })
        .collect()
}

/// Inputs of the superblock other than the options and the allocation map.
#[derive(Debug)]
pub(super) struct SuperblockInputs<'a> {
    pub(super) journal: Option<&'a InodeRecord>,
    pub(super) journal_blocks: u64,
    pub(super) orphan_ino: Option<u32>,
    pub(super) large_dir: bool,
    pub(super) seed: CsumSeed,
}

/// Returns the superblock of group 0.
pub(super) fn superblock(
    options: &Options,
    allocation: &AllocationMap,
    inputs: &SuperblockInputs<'_>,
) -> SuperBlock {
    let params = &allocation.geometry.params;
    let profile = options.profile;
    let free_blocks = allocation.all_free_blocks();
    let inodes = low_32(params.inodes_per_group * params.groups);
    // The field counts seconds from 1970 and has 40 bits.
    let epoch = options.epoch.seconds.max(0).cast_unsigned();
    let (time, time_hi) = (low_32(epoch), (high_32(epoch) & 0xFF) as u8);
    let log_block_size = params.block_size.trailing_zeros() - 10;
    let incompat = profile.incompat(inputs.large_dir);

    let mut sb = SuperBlock {
        s_inodes_count: inodes.into(),
        s_blocks_count_lo: low_32(allocation.blocks).into(),
        s_blocks_count_hi: high_32(allocation.blocks).into(),
        s_free_blocks_count_lo: low_32(free_blocks).into(),
        s_free_blocks_count_hi: high_32(free_blocks).into(),
        s_free_inodes_count: (inodes - allocation.last_ino).into(),
        s_first_data_block: low_32(params.first_data_block().0).into(),
        s_log_block_size: log_block_size.into(),
        s_log_cluster_size: log_block_size.into(),
        s_blocks_per_group: low_32(params.blocks_per_group()).into(),
        s_clusters_per_group: low_32(params.blocks_per_group()).into(),
        s_inodes_per_group: low_32(params.inodes_per_group).into(),
        s_wtime: time.into(),
        s_wtime_hi: time_hi,
        s_mkfs_time: time.into(),
        s_mkfs_time_hi: time_hi,
        s_lastcheck: time.into(),
        s_lastcheck_hi: time_hi,
        s_max_mnt_count: u16::MAX.into(), // never: a count makes the kernel ask for a check
        s_magic: SUPER_MAGIC.into(),
        s_state: VALID_FS.into(),
        s_errors: ERRORS_CONTINUE.into(),
        s_rev_level: DYNAMIC_REV.into(),
        s_first_ino: FIRST_INO.into(),
        s_inode_size: INODE_SIZE.into(),
        s_feature_compat: profile.compat(inputs.journal.is_some()).bits().into(),
        s_feature_incompat: incompat.bits().into(),
        s_feature_ro_compat: Profile::ro_compat().bits().into(),
        s_uuid: *options.uuid.as_bytes(),
        s_reserved_gdt_blocks: low_16(low_32(params.reserved_gdt_blocks)).into(),
        s_hash_seed: *options.hash_seed.as_bytes(),
        s_def_hash_version: HASH_HALF_MD4,
        s_flags: FLAGS_SIGNED_HASH.into(),
        s_desc_size: DESC_SIZE.into(),
        s_default_mount_opts: (DEFM_XATTR_USER | DEFM_ACL).into(),
        s_min_extra_isize: EXTRA_ISIZE.into(),
        s_want_extra_isize: EXTRA_ISIZE.into(),
        s_log_groups_per_flex: LOG_GROUPS_PER_FLEX,
        s_checksum_type: CRC32C_CHKSUM,
        s_overhead_clusters: low_32(allocation.overhead(inputs.journal_blocks)).into(),
        ..SuperBlock::new_zeroed()
    };
    sb.s_volume_name[..options.label.len()].copy_from_slice(&options.label);
    if let Some(journal) = inputs.journal {
        sb.s_journal_inum = JOURNAL_INO.into();
        sb.s_jnl_backup_type = JNL_BACKUP_BLOCKS;
        sb.s_jnl_block = journal.i_block;
        sb.s_jnl_size_high = journal.i_size_high;
        sb.s_jnl_size_lo = journal.i_size_lo;
    }
    if incompat.contains(Incompat::CSUM_SEED) {
        sb.s_checksum_seed = inputs.seed.0.into();
    }
    sb.s_orphan_file_inum = inputs.orphan_ino.unwrap_or(0).into();
    seal_super(&mut sb);
    sb
}

/// Returns the backup of a superblock for another group.
pub(super) fn backup(sb: &SuperBlock, group: u64) -> SuperBlock {
    // The field has 16 bits, and the kernel truncates the number in the same way.
    let mut copy = SuperBlock { s_block_group_nr: low_16(low_32(group)).into(), ..*sb };
    seal_super(&mut copy);
    copy
}
