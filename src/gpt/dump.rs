//! Text dump of a partition table, for tests.

use super::spec::{Header, MasterBootRecord, PartitionEntry};
use crate::dump::{Dump, offset};

/// Dumps both tables of a disk with sectors of 512 bytes.
///
/// Returns the offsets of the partitions.
pub(crate) fn dump(dump: &mut Dump<'_>) -> Vec<usize> {
    const SECTOR: usize = 512;
    dump.record::<MasterBootRecord>(0);
    let primary = dump.record::<Header>(SECTOR);
    let backup = dump.record::<Header>(offset(primary.alternate_lba) * SECTOR);
    let [entries, of_backup] =
        [primary, backup].map(|header| offset(header.partition_entry_lba) * SECTOR);
    let count = offset(primary.number_of_partition_entries.get());
    let mut starts = Vec::new();
    for index in 0..count {
        let at = index * size_of::<PartitionEntry>();
        let entry: PartitionEntry = dump.element(entries + at, index as u64);
        if entry.partition_type_guid != [0; 16] {
            starts.push(offset(entry.starting_lba) * SECTOR);
        }
    }
    let len = count * size_of::<PartitionEntry>();
    dump.copy(of_backup, entries, len, "gpt_partition_entry");
    starts
}
