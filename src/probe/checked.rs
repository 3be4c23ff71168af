//! Two-byte signatures, which are valid only together with other fields.

use std::io;

use super::{Disk, Signature};

/// Detects a DOS partition table or a FAT by the first sector. The boot sectors of NTFS and exFAT
/// have magic numbers of their own.
pub(super) fn boot_sector(disk: &Disk<'_>) -> io::Result<Option<Signature>> {
    let Some(sector) = disk.bytes::<512>(0)? else { return Ok(None) };
    if is_fat(&sector) {
        return Ok(Some(Signature { offset: 0, kind: "vfat" }));
    }
    let is_other = matches!(&sector[3..11], b"NTFS    " | b"EXFAT   ");
    let mut entries = sector[0x1be..0x1fe].chunks(16);
    let is_table = entries.clone().all(|entry| matches!(entry[0], 0 | 0x80));
    let is_dos = sector[0x1fe..] == [0x55, 0xaa] && is_table && !is_other;
    // A protective MBR indicates that the disk has a GPT.
    let kind = if entries.any(|entry| entry[4] == 0xee) { "PMBR" } else { "dos" };
    Ok(is_dos.then_some(Signature { offset: 0x1fe, kind }))
}

fn is_fat(sector: &[u8; 512]) -> bool {
    let word = |at: usize| u16::from_le_bytes([sector[at], sector[at + 1]]);
    let (sector_size, cluster_size, reserved) = (word(11), sector[13], word(14));
    let (fats, media) = (sector[16], sector[21]);
    matches!(sector[0], 0xeb | 0xe9)
        && matches!(sector_size, 512 | 1024 | 2048 | 4096)
        && cluster_size.is_power_of_two()
        && reserved != 0
        && fats != 0
        && matches!(media, 0xf0 | 0xf8..)
}

/// Distinguishes ext2, ext3, ext4, their external journals and minix file systems, whose
/// superblocks are at the same offset.
pub(super) fn ext_or_minix(disk: &Disk<'_>) -> io::Result<Option<Signature>> {
    let Some(superblock) = disk.bytes::<512>(0x400)? else { return Ok(None) };
    let word = |at: usize| u16::from_le_bytes([superblock[at], superblock[at + 1]]);
    if word(0x38) == 0xef53 {
        return Ok(Some(Signature { offset: 0x438, kind: ext(&superblock) }));
    }
    let minix = match (word(0x10), word(0x18)) {
        (0x137f | 0x138f | 0x2468 | 0x2478, _) => Some(0x410),
        (_, 0x4d5a) => Some(0x418),
        _ => None,
    };
    Ok(minix.map(|offset| Signature { offset, kind: "minix" }))
}

/// Distinguishes the ext file systems by their features, as libblkid does.
fn ext(superblock: &[u8; 512]) -> &'static str {
    const HAS_JOURNAL: u32 = 0x4;
    const JOURNAL_DEV: u32 = 0x8;
    /// Features of ext3: filetype, recover, meta_bg; sparse_super, large_file, btree_dir.
    const EXT3_INCOMPAT: u32 = 0x2 | 0x4 | 0x10;
    const EXT3_RO_COMPAT: u32 = 0x1 | 0x2 | 0x4;
    let field = |at: usize| {
        let bytes = superblock[at..at + 4].try_into().expect("four bytes");
        u32::from_le_bytes(bytes)
    };
    let (compat, incompat, ro_compat) = (field(0x5c), field(0x60), field(0x64));
    if incompat & JOURNAL_DEV != 0 {
        "jbd"
    } else if incompat & !EXT3_INCOMPAT != 0 || ro_compat & !EXT3_RO_COMPAT != 0 {
        "ext4"
    } else if compat & HAS_JOURNAL != 0 {
        "ext3"
    } else {
        "ext2"
    }
}
