//! Numbers of partitions in the partition table.

use super::fit::Assignment;

/// Returns the slot of each candidate.
///
/// An existing partition keeps its slot. A new one gets the lowest free slot after all partitions
/// of its type, or the lowest free slot of all if there is no other of its type. New partitions are
/// numbered area by area, the smallest area first, and within an area in disk order.
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
