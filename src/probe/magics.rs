//! Magic numbers at fixed offsets, with libblkid's names for their formats.

/// A magic number and its offset.
pub(super) struct Magic {
    pub(super) kind: &'static str,
    /// Offset from the start, in bytes.
    pub(super) offset: u64,
    pub(super) bytes: &'static [u8],
}

const fn magic(kind: &'static str, offset: u64, bytes: &'static [u8]) -> Magic {
    Magic { kind, offset, bytes }
}

/// Magic numbers at the end of the first page, whose size depends on the machine that wrote it.
pub(super) const FIRST_PAGE: [(&str, &[u8; 10]); 6] = [
    ("swap", b"SWAP-SPACE"),
    ("swap", b"SWAPSPACE2"),
    ("swsuspend", b"S1SUSPEND\0"),
    ("swsuspend", b"S2SUSPEND\0"),
    ("swsuspend", b"ULSUSPEND\0"),
    ("swsuspend", b"LINHIB0001"),
];

/// Possible page sizes, in bytes.
pub(super) const PAGES: [u64; 5] = [0x1000, 0x2000, 0x4000, 0x8000, 0x10000];

/// Magic number of a RAID member of the md driver: in the byte order of the machine that wrote it
/// for version 0.90, little endian for 1.x.
pub(super) const MD: [&[u8]; 2] = [b"\xfc\x4e\x2b\xa9", b"\xa9\x2b\x4e\xfc"];

/// Start of a superblock of nilfs2: revision 2.0 and the magic number.
pub(super) const NILFS2: &[u8] = b"\x02\0\0\0\0\0\x34\x34";

/// Signature of a GPT header.
pub(super) const GPT: &[u8] = b"EFI PART";

/// Magic numbers at fixed offsets from the start.
pub(super) const MAGICS: &[Magic] = &[
    // Partition tables.
    magic("gpt", 512, GPT),
    magic("gpt", 4096, GPT),
    magic("mac", 0x200, b"PM\0\0"),
    magic("sgi", 0, b"\x0b\xe5\xa9\x41"),
    magic("sun", 0x1fc, b"\xda\xbe"),
    magic("bsd", 0x200, b"\x57\x45\x56\x82"),
    // Encryption, volume managers, RAID, caches.
    magic("crypto_LUKS", 0, b"LUKS\xba\xbe"),
    magic("crypto_LUKS", 0x4000, b"SKUL\xba\xbe"),
    magic("crypto_LUKS", 0x8000, b"SKUL\xba\xbe"),
    magic("crypto_LUKS", 0x10000, b"SKUL\xba\xbe"),
    magic("crypto_LUKS", 0x20000, b"SKUL\xba\xbe"),
    magic("crypto_LUKS", 0x40000, b"SKUL\xba\xbe"),
    magic("crypto_LUKS", 0x80000, b"SKUL\xba\xbe"),
    magic("crypto_LUKS", 0x10_0000, b"SKUL\xba\xbe"),
    magic("crypto_LUKS", 0x20_0000, b"SKUL\xba\xbe"),
    magic("crypto_LUKS", 0x40_0000, b"SKUL\xba\xbe"),
    magic("BitLocker", 3, b"-FVE-FS-"),
    magic("LVM1_member", 0, b"HM\x01\0"),
    magic("LVM1_member", 0, b"HM\x02\0"),
    magic("LVM2_member", 0x18, b"LVM2 001"),
    magic("LVM2_member", 0x218, b"LVM2 001"),
    magic("LVM2_member", 0x418, b"LVM2 001"),
    magic("LVM2_member", 0x618, b"LVM2 001"),
    magic("DM_snapshot_cow", 0, b"SnAp"),
    magic("DM_verity_hash", 0, b"verity\0\0"),
    magic("DM_integrity", 0, b"integrt\0"),
    magic("stratis", 0x204, b"!Stra0tis\x86\xff\x02^\x41rh"),
    magic("stratis", 0x1204, b"!Stra0tis\x86\xff\x02^\x41rh"),
    magic("vdo", 0, b"dmvdo001"),
    magic("linux_raid_member", 0, MD[0]),
    magic("linux_raid_member", 0x1000, MD[0]),
    magic("bcache", 0x1018, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
    magic("ceph_bluestore", 0, b"bluestore block device"),
    magic("VMFS_volume_member", 0x10_0000, b"\x0d\xd0\x01\xc0"),
    // File systems.
    magic("xfs", 0, b"XFSB"),
    magic("xfs_external_log", 0, b"\xfe\xed\xba\xbe"),
    magic("btrfs", 0x10040, b"_BHRfS_M"),
    magic("bcachefs", 0x1018, b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"),
    magic("ntfs", 3, b"NTFS    "),
    magic("exfat", 3, b"EXFAT   "),
    magic("ReFS", 0, b"\0\0\0ReFS\0"),
    magic("f2fs", 0x400, b"\x10\x20\xf5\xf2"),
    magic("f2fs", 0x1400, b"\x10\x20\xf5\xf2"),
    magic("jfs", 0x8000, b"JFS1"),
    magic("reiserfs", 0x2034, b"ReIsErFs"),
    magic("reiserfs", 0x10034, b"ReIsErFs"),
    magic("reiserfs", 0x10034, b"ReIsEr2Fs"),
    magic("reiserfs", 0x10034, b"ReIsEr3Fs"),
    magic("reiser4", 0x10000, b"ReIsEr4"),
    magic("nilfs2", 0x400, NILFS2),
    magic("ocfs2", 0x400, b"OCFSV2"),
    magic("ocfs2", 0x800, b"OCFSV2"),
    magic("ocfs2", 0x1000, b"OCFSV2"),
    magic("ocfs2", 0x2000, b"OCFSV2"),
    magic("gfs2", 0x10000, b"\x01\x16\x19\x70\0\0\0\x01"),
    magic("hfs", 0x400, b"BD"),
    magic("hfsplus", 0x400, b"H+\0\x04"),
    magic("hfsplus", 0x400, b"HX\0\x05"),
    magic("apfs", 0x20, b"NXSB"),
    magic("ufs", 0x55c, b"\x54\x19\x01\0"),
    magic("ufs", 0x255c, b"\x54\x19\x01\0"),
    magic("ufs", 0x255c, b"\x19\x01\x54\x19"),
    magic("ufs", 0x1055c, b"\x19\x01\x54\x19"),
    magic("befs", 0x20, b"1SFB"),
    magic("befs", 0x220, b"1SFB"),
    magic("vxfs", 0x400, b"\xf5\xfc\x01\xa5"),
    magic("VMFS", 0x20_0000, b"\x5e\xf1\xab\x2f"),
    magic("zonefs", 0, b"SFOZ"),
    magic("ubi", 0, b"UBI#"),
    magic("ubifs", 0, b"\x31\x18\x10\x06"),
    // Read-only file systems.
    magic("erofs", 0x400, b"\xe2\xe1\xf5\xe0"),
    magic("squashfs", 0, b"hsqs"),
    magic("squashfs", 0, b"sqsh"),
    magic("cramfs", 0, b"\x45\x3d\xcd\x28"),
    magic("cramfs", 0, b"\x28\xcd\x3d\x45"),
    magic("romfs", 0, b"-rom1fs-"),
    magic("iso9660", 0x8001, b"CD001"),
    magic("iso9660", 0x8009, b"CDROM"),
    magic("udf", 0x8001, b"BEA01"),
    magic("udf", 0x8801, b"BEA01"),
    magic("udf", 0x9001, b"BEA01"),
    magic("udf", 0x9801, b"BEA01"),
    magic("udf", 0x8001, b"NSR02"),
    magic("udf", 0x8001, b"NSR03"),
];
