//! The numbers of partitions in the table.

use super::fit::Assignment;

/// The slot of each candidate. One that is there keeps its own. A new one gets the lowest free slot
/// behind all of its type, or the lowest of all: in the smallest area first, and there in the order
/// of the disk.
pub(super) fn slots(fit: &Assignment<'_>, order: &[usize]) -> Vec<u32> {
    let mut slots: Vec<_> =
        (0..fit.len()).map(|index| fit.extent(index).map(|extent| extent.slot)).collect();
    for area in fit.areas_by_size() {
        for &index in order.iter().filter(|&&index| fit.is_in(index, area)) {
            let of_type = |&other: &usize| {
                fit.candidate(other).partition_type == fit.candidate(index).partition_type
            };
            let last = (0..fit.len()).filter(of_type).filter_map(|other| slots[other]).max();
            let mut free = last.map_or(0, |last| last.saturating_add(1))..;
            slots[index] = free.find(|&slot| !slots.contains(&Some(slot)));
        }
    }
    slots.into_iter().map(|slot| slot.unwrap_or(0)).collect()
}
