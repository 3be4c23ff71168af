use proptest::prelude::*;

use super::*;
use crate::gpt::{Architecture, PartitionType};
use crate::size::GIB;

fn new(min: u64, max: u64) -> Candidate {
    Candidate {
        partition_type: PartitionType::LinuxGeneric.guid(),
        request: SpaceRequest {
            size: SizeRange { min, max },
            padding: SizeRange::ANY,
            weight: 1000,
            padding_weight: 0,
        },
        priority: 0,
        presence: Presence::New,
        group: None,
        merge: None,
    }
}

/// The remaining words of a line of the test vectors.
struct Line<'a>(std::str::SplitWhitespace<'a>);

impl Line<'_> {
    fn word(&mut self) -> &str {
        self.0.next().unwrap()
    }

    fn number(&mut self) -> u64 {
        self.word().parse().unwrap()
    }

    fn index(&mut self) -> usize {
        usize::try_from(self.number()).unwrap()
    }

    fn slot(&mut self) -> u32 {
        u32::try_from(self.number()).unwrap()
    }

    fn candidate(&mut self, is_there: bool) -> Candidate {
        let kinds = [
            PartitionType::root(Architecture::X86_64),
            PartitionType::LinuxGeneric,
            PartitionType::Home,
            PartitionType::Srv,
            PartitionType::Var,
            PartitionType::Tmp,
            PartitionType::Swap,
        ];
        let name = self.word();
        let kind = kinds.iter().find(|kind| kind.name().starts_with(name)).unwrap();
        let extent = is_there.then(|| Extent {
            slot: self.slot(),
            start: self.number(),
            size: self.number(),
        });
        let mut candidate = Candidate { partition_type: kind.guid(), ..new(0, u64::MAX) };
        if let Some(extent) = extent {
            candidate.presence = Presence::Existing(extent);
        }
        self.settings(&mut candidate);
        candidate
    }

    fn settings(&mut self, candidate: &mut Candidate) {
        for setting in self.0.by_ref() {
            let (name, value) = setting.split_once('=').unwrap();
            if name == "prio" {
                candidate.priority = value.parse().unwrap();
                continue;
            }
            let (value, weight) = (value.parse().unwrap(), value.parse().ok());
            let request = &mut candidate.request;
            match name {
                "min" => request.size.min = value,
                "max" => request.size.max = value,
                "pmin" => request.padding.min = value,
                "pmax" => request.padding.max = value,
                "w" => request.weight = weight.unwrap(),
                "pw" => request.padding_weight = weight.unwrap(),
                _ => panic!("{name}"),
            }
        }
    }
}

#[test]
fn places_are_those_of_systemd_repart() {
    let mut checked = 0;
    for block in include_str!("vectors.txt").split("\n\n") {
        let (mut span, mut grain) = (0..0, 0);
        let (mut candidates, mut expected) = (Vec::new(), Vec::new());
        for line in block.lines().filter(|line| !line.starts_with('#')) {
            let mut line = Line(line.split_whitespace());
            match line.word() {
                "span" => (span, grain) = (line.number()..line.number(), line.number()),
                "new" => candidates.push(line.candidate(false)),
                "old" => candidates.push(line.candidate(true)),
                "foreign" => {
                    let mut candidate = line.candidate(true);
                    let Presence::Existing(extent) = candidate.presence else { unreachable!() };
                    candidate.presence = Presence::Foreign(extent);
                    candidates.push(candidate);
                }
                "merge" => {
                    let (target, supplement) = (line.index(), line.index());
                    let mut merged = new(0, u64::MAX);
                    line.settings(&mut merged);
                    let request = merged.request;
                    candidates[target].merge = Some(Merge { supplement, request });
                }
                "=" => expected.push((
                    line.index(),
                    Place {
                        slot: line.slot(),
                        start: line.number(),
                        size: line.number(),
                        padding: line.number(),
                        old_padding: line.number(),
                    },
                )),
                other => panic!("{other}"),
            }
        }
        if candidates.is_empty() {
            continue;
        }
        let placed = place(span, grain, &candidates).unwrap();
        let found = placed.order.iter().map(|&index| (index, placed.places[index].unwrap()));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{block}");
        checked += 1;
    }
    assert!(checked > 25, "{checked}");
}

#[test]
fn groups_are_left_out_together() {
    let all = |group| {
        let member = Candidate { group, priority: 1, ..new(10 * MIB, u64::MAX) };
        let other = Candidate { priority: 0, ..member };
        [new(10 * MIB, u64::MAX), other, member]
    };
    for (group, expected) in [(None, [true, true, false]), (Some(3), [true, false, false])] {
        let placed = place(MIB..26 * MIB, 4096, &all(group)).unwrap();
        let found: Vec<_> = placed.places.iter().map(Option::is_some).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_supplement_is_made_where_the_merged_one_does_not_fit() {
    let merged = |min| {
        let request = SpaceRequest { size: SizeRange { min, max: u64::MAX }, ..new(0, 0).request };
        let target = Candidate { merge: Some(Merge { supplement: 1, request }), ..new(MIB, MIB) };
        place(MIB..21 * MIB, 4096, &[target, new(2 * MIB, 2 * MIB)]).unwrap()
    };
    let placed = merged(20 * MIB);
    assert_eq!((placed.order, placed.merged), (vec![0], vec![true, false]));
    assert_eq!(placed.places[0].unwrap().size, 20 * MIB);
    let placed = merged(20 * MIB + 1);
    assert_eq!((placed.order, placed.merged), (vec![0, 1], vec![false, false]));
}

/// systemd-repart reports 118.9M and 151M for the same definitions: it counts all free space,
/// including the space that the two earlier candidates take.
#[test]
fn what_does_not_fit_is_told() {
    let candidates = vec![new(50 * MIB, u64::MAX); 3];
    let no_space = place(MIB..125_812_224, 4096, &candidates).unwrap_err();
    let expected = NoSpace { candidate: 2, needed: 50 * MIB, largest: 19_902_464 };
    assert_eq!(no_space, expected);
    let minimal = minimal_size(4096, SectorSize::B512, &candidates);
    assert_eq!(minimal, 151 * MIB + 16384 + 512);
    let error = no_space.error("30-srv.conf", 120 * MIB, minimal).to_string();
    assert!(error.contains("30-srv.conf") && error.contains("50 MiB"), "{error}");
    let extent = Extent { slot: 0, start: MIB, size: MIB };
    let tight = Candidate { presence: Presence::Existing(extent), ..new(3 * MIB, u64::MAX) };
    let no_space = place(MIB..3 * MIB, 4096, &[tight]).unwrap_err();
    assert_eq!(no_space, NoSpace { candidate: 0, needed: 3 * MIB, largest: 2 * MIB });
}

/// Rows of the specification: the sizes that `--size=auto` chose for an ESP, a root, swap and a
/// signature.
#[test]
fn the_size_of_a_disk_is_just_enough() {
    let sizes = [100 * MIB, 32 * MIB, 10 * MIB, 16384];
    let candidates = sizes.map(|size| new(size, u64::MAX));
    for (sector_size, expected) in [(512, 149_979_648), (2048, 149_981_184)] {
        let sector_size = SectorSize::new(sector_size).unwrap();
        assert_eq!(minimal_size(4096, sector_size, &candidates), expected);
    }
    let endless = [new(u64::MAX, u64::MAX), new(u64::MAX, u64::MAX)];
    assert_eq!(minimal_size(4096, SectorSize::B512, &endless), u64::MAX);
}

fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![0..64 * MIB, 0..4 * GIB, Just(0), any::<u64>(), Just(u64::MAX)]
}

fn bounds() -> impl Strategy<Value = SizeRange> {
    (amount(), amount())
        .prop_map(|(one, other)| SizeRange { min: one.min(other), max: one.max(other) })
}

fn modest() -> impl Strategy<Value = SizeRange> {
    (0..40 * MIB, amount()).prop_map(|(min, more)| SizeRange { min, max: min.saturating_add(more) })
}

fn request() -> impl Strategy<Value = SpaceRequest> {
    let size = prop_oneof![6 => modest(), 1 => bounds()];
    let padding = prop_oneof![6 => Just(SizeRange::ANY), 2 => modest(), 1 => bounds()];
    let weight = || prop_oneof![0..3000u32, any::<u32>()];
    (size, padding, weight(), weight()).prop_map(|(size, padding, weight, padding_weight)| {
        SpaceRequest { size, padding, weight, padding_weight }
    })
}

/// Candidates that are new, or that exist one after the other with gaps.
fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (request(), -1..4i32, 0..4u8, 0..8u64, 1..8000u64, prop::option::of(0..2u32));
    prop::collection::vec(one, 1..8).prop_map(|all| {
        let mut at = 2048;
        let mut slot = 9;
        let all = all.into_iter().map(|(request, priority, presence, gap, size, group)| {
            slot -= 1;
            let start = (at + gap * 100) * 512;
            let extent = Extent { slot, start, size: size * 512 };
            let presence = match presence {
                0 => Presence::Existing(extent),
                1 => Presence::Foreign(extent),
                _ => Presence::New,
            };
            if presence != Presence::New {
                at += gap * 100 + size;
            }
            Candidate { request, priority, presence, group, ..new(0, 0) }
        });
        all.collect()
    })
}

proptest! {
    #[test]
    fn places_keep_the_rules(
        candidates in candidates(),
        end in prop_oneof![64 * MIB..GIB, any::<u64>()],
        shift in 12..21u32,
    ) {
        let (span, grain) = (MIB..end.max(64 * MIB), 1 << shift);
        let minimal = minimal_size(grain, SectorSize::B512, &candidates);
        match place(span.clone(), grain, &candidates) {
            Err(no_space) => {
                prop_assert!(no_space.needed > no_space.largest);
                prop_assert!(!no_space.error("it", 0, minimal).to_string().is_empty());
            }
            Ok(placed) => {
                let mut from = span.start;
                let mut slots = std::collections::BTreeSet::new();
                for &index in &placed.order {
                    let Place { slot, start, size, padding, .. } = placed.places[index].unwrap();
                    prop_assert!(start >= from, "one starts at {} within another", start);
                    from = start + size;
                    prop_assert!(from + padding <= span.end);
                    prop_assert!(slots.insert(slot));
                    let Candidate { request, presence, .. } = &candidates[index];
                    let left_alone = placed.left_alone.contains(&index);
                    match presence {
                        Presence::New => {
                            let SizeRange { min, max } = request.size;
                            prop_assert!((min..=max).contains(&size));
                            prop_assert!(start.is_multiple_of(grain));
                            prop_assert!(padding >= request.padding.min);
                        }
                        Presence::Existing(extent) if !left_alone => {
                            prop_assert!((extent.slot, extent.start) == (slot, start));
                            prop_assert!(size >= request.size.min.max(extent.size));
                            prop_assert!(size <= request.size.max.max(extent.size));
                        }
                        Presence::Existing(extent) | Presence::Foreign(extent) => {
                            let Extent { slot: number, start: at, size: bytes } = *extent;
                            prop_assert!((number, at, bytes) == (slot, start, size));
                        }
                    }
                }
                for (candidate, place) in candidates.iter().zip(&placed.places) {
                    let may_go = candidate.priority > 0 || candidate.group.is_some();
                    prop_assert!(place.is_some() || may_go);
                    let is_new = candidate.presence == Presence::New;
                    prop_assert!(place.is_some() || is_new);
                }
            }
        }
    }
}
