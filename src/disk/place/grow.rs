//! Distribution of the free space among the partitions.

use super::area::Area;
use super::candidate::{SizeRange, SpaceRequest};
use super::fit::Assignment;
use crate::size::round_up;

/// A partition's size and padding in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PartitionSpace {
    pub(super) size: u64,
    pub(super) padding: u64,
}

/// A phase of the distribution, in which some shares are granted. `Over` and `Under` are repeated
/// until they grant nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Shares of partitions that don't change: they keep their size.
    Fixed,
    /// Shares whose minimum exceeds the fair share: they get just the minimum.
    Over,
    /// Shares whose maximum is below the fair share: they get just the maximum.
    Under,
    /// All other shares: they get the fair share.
    Distribute,
}

/// A size or a padding that takes part in the distribution.
#[derive(Debug)]
struct Share {
    /// Index of the candidate.
    of: usize,
    is_fixed: bool,
    bounds: SizeRange,
    weight: u64,
    given: Option<u64>,
}

/// Space and weight that are not yet distributed.
#[derive(Debug)]
struct Rest {
    grain: u64,
    span: u64,
    weight: u64,
}

impl Rest {
    fn share(&self, weight: u64) -> u64 {
        proportion(self.span, weight, self.weight)
    }

    fn charge(&mut self, amount: u64) {
        self.span = self.span.saturating_sub(round_up(amount, self.grain));
    }
}

/// Returns `value * weight / sum`.
///
/// If the product does not fit in 64 bits, the weights are halved until it does, which makes the
/// result less exact.
fn proportion(value: u64, mut weight: u64, mut sum: u64) -> u64 {
    loop {
        if weight == 0 || weight == sum {
            return if weight == 0 { 0 } else { value };
        }
        if let Some(product) = value.checked_mul(weight) {
            return product / sum;
        }
        weight /= 2;
        sum = sum.div_ceil(2);
    }
}

/// Returns the size and padding of each candidate.
///
/// `order` lists the candidates in disk order.
pub(super) fn share(fit: &Assignment<'_>, order: &[usize]) -> Vec<PartitionSpace> {
    let mut spaces = vec![PartitionSpace::default(); fit.len()];
    for &index in order {
        if let Some(extent) = fit.extent(index) {
            spaces[index].size = extent.size;
        }
    }
    for area in fit.areas_by_size() {
        share_area(fit, order, area, &mut spaces);
    }
    spaces
}

fn share_area(fit: &Assignment<'_>, order: &[usize], area: &Area, spaces: &mut [PartitionSpace]) {
    let grain = fit.grain();
    let is_member = |index: usize| area.after == Some(index) || fit.is_in(index, area);
    let among: Vec<_> = order.iter().copied().filter(|&index| is_member(index)).collect();
    // The partition before the area may grow into the area, so its own bytes are distributed too.
    let own = area.after.and_then(|after| fit.extent(after)).map_or(0, |extent| {
        round_up(extent.start.saturating_add(extent.size), grain) - extent.start
    });
    let mut shares: Vec<_> = among
        .iter()
        .flat_map(|&of| {
            let SpaceRequest { size, padding, weight, padding_weight } = fit.request(of);
            let share = |is_fixed, bounds, weight: u32| {
                let weight = weight.into();
                Share { of, is_fixed, bounds, weight, given: None }
            };
            [share(fit.is_fixed(of), size, weight), share(false, padding, padding_weight)]
        })
        .collect();
    let weight = shares.iter().map(|share| share.weight).sum();
    let mut rest = Rest { grain, span: area.size.saturating_add(own), weight };
    for phase in [Phase::Fixed, Phase::Over, Phase::Under, Phase::Distribute] {
        while walk(&mut shares, phase, &mut rest) {}
    }
    for pair in shares.chunks_exact(2) {
        let given = |share: &Share| share.given.expect("the last phase gives to all");
        spaces[pair[0].of] = PartitionSpace { size: given(&pair[0]), padding: given(&pair[1]) };
    }

    for &index in among.iter().filter(|&&index| !fit.is_fixed(index)) {
        let PartitionSpace { size, .. } = &mut spaces[index];
        let most = (size.saturating_add(rest.span) / grain * grain).max(*size);
        let grown = most.min(fit.request(index).size.max).max(*size);
        rest.charge(grown - *size);
        *size = grown;
    }
    if let Some(&last) = among.last() {
        let PartitionSpace { padding, .. } = &mut spaces[last];
        *padding = padding.saturating_add(rest.span / grain * grain);
    }
}

/// Grants the shares that `phase` applies to, and returns whether the phase has to be repeated.
fn walk(shares: &mut [Share], phase: Phase, rest: &mut Rest) -> bool {
    let mut again = false;
    for share in shares.iter_mut().filter(|share| share.given.is_none()) {
        let (fair, bounds) = (rest.share(share.weight), share.bounds);
        let given = match phase {
            Phase::Fixed if share.is_fixed => bounds.min,
            Phase::Over if bounds.min > fair => bounds.min,
            Phase::Under if bounds.max < fair => bounds.max,
            Phase::Distribute => bounds.clamp(fair / rest.grain * rest.grain),
            _ => continue,
        };
        share.given = Some(given);
        rest.charge(given);
        rest.weight -= share.weight;
        again |= matches!(phase, Phase::Over | Phase::Under);
    }
    again
}
