//! Text dump of a FAT file system, for tests.

use super::cluster_no::ClusterNo;
use super::spec::{
    ATTR_DIRECTORY, ATTR_LONG_NAME, ATTR_VOLUME_ID, BootSector16, BootSector32, FsInfo, LongSlot,
    SLOT, ShortSlot,
};
use super::variant::Variant;
use crate::dump::{Dump, offset};

/// Positions of the parts of a volume, in bytes, and its FAT.
struct Volume {
    variant: Variant,
    data: usize,
    cluster_size: usize,
    /// Entries of the FAT.
    next: Vec<u32>,
}

/// Dumps a volume.
pub(crate) fn dump(dump: &mut Dump<'_>) {
    let boot: BootSector16 = dump.read(0);
    let bpb = boot.bpb;
    let sector = usize::from(bpb.BPB_BytsPerSec.get());
    let (mut fat_sectors, mut root_cluster) = (offset(bpb.BPB_FATSz16), None);
    if fat_sectors == 0 {
        let boot: BootSector32 = dump.record(0);
        fat_sectors = offset(boot.bpb32.BPB_FATSz32);
        root_cluster = Some(boot.bpb32.BPB_RootClus.get());
        dump.record::<FsInfo>(offset(boot.bpb32.BPB_FSInfo) * sector);
        dump.bytes_field(2 * sector + 510, 2, "boot_sector[2]", "BS_Sig");
        let backup = offset(boot.bpb32.BPB_BkBootSec) * sector;
        dump.copy(backup, 0, 3 * sector, "boot_sector");
    } else {
        dump.record::<BootSector16>(0);
    }
    let fat = offset(bpb.BPB_RsvdSecCnt) * sector;
    let fat_size = fat_sectors * sector;
    let root = fat + usize::from(bpb.BPB_NumFATs) * fat_size;
    let root_slots = offset(bpb.BPB_RootEntCnt);
    let total = match bpb.BPB_TotSec16.get() {
        0 => offset(bpb.BPB_TotSec32),
        short => short.into(),
    };
    let data = root + (root_slots * SLOT).next_multiple_of(sector);
    let cluster_size = usize::from(bpb.BPB_SecPerClus) * sector;
    let clusters = (total * sector - data) / cluster_size;
    let variant = match (root_cluster, clusters) {
        (Some(_), _) => Variant::Fat32,
        (None, 0..4085) => Variant::Fat12,
        (None, _) => Variant::Fat16,
    };
    let next = entries(dump, variant, fat, clusters + 2);
    for copy in 1..usize::from(bpb.BPB_NumFATs) {
        dump.copy(fat + copy * fat_size, fat, fat_size, "fat");
    }
    let volume = Volume { variant, data, cluster_size, next };
    match root_cluster {
        Some(cluster) => volume.directory(dump, cluster),
        None => _ = volume.slots(dump, root, root_slots),
    }
}

/// Dumps the entries of a FAT and returns them.
fn entries(dump: &mut Dump<'_>, variant: Variant, fat: usize, count: usize) -> Vec<u32> {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
    let entry = |index: usize| match variant {
        Variant::Fat12 => {
            let pair = number(dump.bytes(fat + index * 3 / 2, 2));
            if index.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 }
        }
        Variant::Fat16 => number(dump.bytes(fat + index * 2, 2)),
        Variant::Fat32 => number(dump.bytes(fat + index * 4, 4)),
    };
    let next: Vec<u32> = (0..count).map(entry).collect();
    for (index, &entry) in next.iter().enumerate().filter(|(_, entry)| **entry != 0) {
        let (at, size, digits) = match variant {
            Variant::Fat12 => (index * 3 / 2, 2, 5),
            Variant::Fat16 => (index * 2, 2, 6),
            Variant::Fat32 => (index * 4, 4, 10),
        };
        dump.value(fat + at, size, &format!("fat[{index}]"), &format!("{entry:#0digits$x}"));
    }
    next
}

impl Volume {
    /// Returns the clusters of a chain.
    fn chain(&self, first: u32) -> impl Iterator<Item = u32> {
        let end = match self.variant {
            Variant::Fat12 => 0xff8,
            Variant::Fat16 => 0xfff8,
            Variant::Fat32 => 0x0fff_fff8,
        };
        let next = move |cluster: &u32| self.next.get(offset(*cluster)).copied();
        std::iter::successors((first != 0).then_some(first), next)
            .take_while(move |cluster| (ClusterNo::FIRST.0..end).contains(cluster))
    }

    fn at(&self, cluster: u32) -> usize {
        self.data + offset(cluster - ClusterNo::FIRST.0) * self.cluster_size
    }

    fn directory(&self, dump: &mut Dump<'_>, first: u32) {
        for cluster in self.chain(first) {
            if !self.slots(dump, self.at(cluster), self.cluster_size / SLOT) {
                break;
            }
        }
    }

    /// Dumps slots of a directory, and everything below it. Returns whether all are in use.
    fn slots(&self, dump: &mut Dump<'_>, at: usize, count: usize) -> bool {
        for at in (0..count).map(|slot| at + slot * SLOT) {
            let slot: ShortSlot = dump.read(at);
            if slot.DIR_Name[0] == 0 {
                return false;
            }
            if slot.DIR_Attr == ATTR_LONG_NAME {
                dump.record::<LongSlot>(at);
                continue;
            }
            dump.record::<ShortSlot>(at);
            let high = u32::from(slot.DIR_FstClusHI.get()) << 16;
            let first = high | u32::from(slot.DIR_FstClusLO.get());
            if slot.DIR_Attr & ATTR_DIRECTORY != 0 {
                if slot.DIR_Name[0] != b'.' {
                    self.directory(dump, first);
                }
            } else if slot.DIR_Attr & ATTR_VOLUME_ID == 0 {
                self.content(dump, first, offset(slot.DIR_FileSize));
            }
        }
        true
    }

    fn content(&self, dump: &mut Dump<'_>, first: u32, mut left: usize) {
        for cluster in self.chain(first) {
            let len = left.min(self.cluster_size);
            dump.content(self.at(cluster), len, &format!("cluster[{cluster}]"));
            left -= len;
        }
    }
}
