//! Tests of random trees.

use std::collections::BTreeSet;

use detfs::Error;
use detfs::fat::{Options, Variant, minimal_size, plan};
use detfs::layout::Fill;
use proptest::prelude::*;

use super::image::{Image, expected, extracted};
use super::sample::{Sample, options, pattern};

/// Returns names that every system accepts, of all kinds that FAT stores differently.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Z0-9_~-]{1,8}(\\.[A-Z0-9]{1,3})?",
        "[a-z0-9_]{1,8}(\\.[a-z]{1,3})?",
        "[a-zA-Z]{1,9}\\.[a-zA-Z]{1,4}",
        "[a-c .+=;\\[\\],äÖßéΣд日-]{0,40}[a-cäÖΣд日]",
        "[a-z]{13}|[a-z]{26}|[ab]{25}|[a-z]{255}",
        "same start [0-9]{1,3}",
    ]
    .prop_filter("a device", |name| {
        let base = name.split('.').next().unwrap().to_ascii_uppercase();
        let device = |known: &str| base.trim_end() == known;
        !["CON", "PRN", "AUX", "NUL"].iter().any(|known| device(known))
            && !(base.len() == 4 && (base.starts_with("COM") || base.starts_with("LPT")))
    })
}

/// A node: the index of its parent among the directories so far, its name, and its length if it is
/// a file.
type Step = (prop::sample::Index, String, Option<usize>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let length = prop_oneof![
        3 => (0usize..3).prop_map(|n| n * 512),
        5 => 0usize..6000,
        1 => 20_000usize..90_000,
    ];
    let node = (any::<prop::sample::Index>(), name(), prop::option::weighted(0.7, length));
    prop::collection::vec(node, 0..60)
}

fn grown(steps: &[Step]) -> Sample {
    let mut sample = Sample::new();
    let mut directories = vec![String::new()];
    let mut taken = BTreeSet::new();
    for (salt, (parent, name, length)) in steps.iter().enumerate() {
        let parent = parent.get(&directories);
        let path = if parent.is_empty() { name.clone() } else { format!("{parent}/{name}") };
        if !taken.insert(path.to_uppercase().to_lowercase().replace('ς', "σ").replace("ß", "ss"))
        {
            continue;
        }
        match length {
            Some(length) => drop(sample.file(&path, &pattern(*length, salt))),
            None => {
                sample.directory(&path);
                directories.push(path);
            }
        }
    }
    sample
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    #[ignore = "takes seconds"]
    fn any_tree_comes_out_as_it_went_in(
        steps in steps(),
        variant in prop::option::of(prop::sample::select(
            vec![Variant::Fat12, Variant::Fat16, Variant::Fat32],
        )),
        sector_size in prop::sample::select(vec![512u32, 1024, 2048, 4096]),
        label in prop::option::of("[A-Z]{1,11}"),
        room in prop::option::of(0u64..300),
    ) {
        let sample = grown(&steps);
        let wanted = expected(&sample);
        let mut options = Options { variant, sector_size, label, ..options() };
        let tree = grown(&steps).tree();
        let least = minimal_size(&tree, &options).unwrap();
        options.size = room.map(|room| least + room * 4096);
        if let Err(Error::Parameter { .. }) = plan(&tree, &options) {
            // The size exceeds the maximum of the forced variant.
            prop_assert!(variant.is_some() && room.is_some());
            return Ok(());
        }
        let image = Image::new(sample, &options);
        image.check();
        prop_assert!(extracted(&image) == wanted);
    }

    #[test]
    fn the_minimal_size_is_minimal(
        files in prop::collection::vec(prop_oneof![0u64..100_000, 0u64..(64 << 20)], 0..40),
        variant in prop::option::of(prop::sample::select(
            vec![Variant::Fat12, Variant::Fat16, Variant::Fat32],
        )),
        sector_size in prop::sample::select(vec![512u32, 1024, 2048, 4096]),
    ) {
        let mut sample = Sample::new();
        for (number, size) in files.iter().enumerate() {
            sample.huge(&format!("F{number}"), *size);
        }
        let tree = sample.tree();
        let of = |size| Options { size, variant, sector_size, ..options() };
        let Ok(least) = minimal_size(&tree, &of(None)) else {
            prop_assert!(variant.is_some(), "only the forced ones have so low a maximum");
            return Ok(());
        };
        prop_assert_eq!(plan(&tree, &of(None)).unwrap().layout.size(), least);
        let volume = plan(&tree, &of(Some(least))).unwrap();
        let sealed = volume.layout.seal();
        let boot = sealed.bytes_of(0);
        let cluster = u64::from(boot[13]) * u64::from(sector_size);
        for less in [cluster, 4096, 8192, 65_536, 1 << 20] {
            let refused = least < less || plan(&tree, &of(Some(least - less))).is_err();
            prop_assert!(refused, "{} less than {}", less, least);
        }
        // Larger sizes of the same variant fit as well.
        for more in [4096, 8192, 65_536] {
            match plan(&tree, &of(Some(least + more))) {
                Ok(_) => {}
                Err(Error::Parameter { .. }) => prop_assert!(variant.is_some()),
                Err(error) => {
                    let larger = Options { variant: Some(volume.variant), ..of(Some(least + more)) };
                    prop_assert!(plan(&tree, &larger).is_ok(), "{}", error);
                }
            }
        }
    }

    #[test]
    fn the_order_of_making_does_not_matter(steps in steps(), turn in 0usize..60) {
        let names: Vec<_> = steps.iter().map(|(_, name, length)| (name, length)).collect();
        let flat = |order: &mut dyn Iterator<Item = usize>| {
            let mut sample = Sample::new();
            for at in order {
                let (name, length) = names[at];
                let start: String = name.chars().take(40).collect();
                sample.file(&format!("{start}-{at}"), &pattern(length.unwrap_or(9), at));
            }
            let mut plan = plan(&sample.tree(), &options()).unwrap();
            plan.layout = plan.layout.seal();
            let regions: Vec<_> = plan.layout.regions().iter().map(|region| {
                let bytes = match region.fill {
                    Fill::Bytes(number) => plan.layout.bytes_of(number).to_vec(),
                    Fill::Render(number) => {
                        let mut bytes = vec![0; usize::try_from(region.len).unwrap()];
                        plan.layout.render_of(number).render(0, &mut bytes).unwrap();
                        bytes
                    }
                    Fill::Content { tree, inode } => plan.layout.tree_of(tree).path(inode),
                };
                (region.offset, region.len, bytes)
            }).collect();
            regions
        };
        let len = names.len();
        let turned = &mut (0..len).rev().map(|at| (at + turn) % len);
        prop_assert!(flat(&mut (0..len)) == flat(turned));
    }
}
