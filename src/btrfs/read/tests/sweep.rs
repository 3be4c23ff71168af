use super::sample;
use std::collections::{BTreeMap, BTreeSet};
#[test]
fn sweep() {
    for mut image in [sample::deep(), sample::flat()] {
        let t = std::time::Instant::now();
        let mut n = 0;
        let mut silent: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for place in image.blocks.clone() {
            let mut spots = vec![];
            for at in 32..101 {
                spots.push((at, "header".to_owned(), at));
            }
            if place.level == 0 {
                for (number, (item, range)) in image.items(&place).into_iter().enumerate() {
                    let head = 101 + 25 * number;
                    for at in head..head + 25 {
                        spots.push((at, "head".to_owned(), at - head));
                    }
                    for at in range.clone() {
                        spots.push((
                            at,
                            format!(
                                "{} {}",
                                if place.tree == 1 { 1 } else { 0 },
                                item.key.item_type
                            ),
                            at - range.start,
                        ));
                    }
                }
            } else {
                for at in 101..101 + 33 * 5 {
                    spots.push((at, "node".to_owned(), (at - 101) % 33));
                }
            }
            for (at, what, off) in spots {
                if image.bytes.len() > 10 << 20 && at % 16 != 0 {
                    continue;
                }
                for bit in 0..8 {
                    n += 1;
                    image.block(&place, |b| b[at] ^= 1 << bit);
                    if image.violations().is_empty() {
                        silent.entry(what.clone()).or_default().insert(off);
                    }
                    image.restore();
                }
            }
        }
        println!("{n} flips {:?}", t.elapsed());
        if image.bytes.len() < 10 << 20 {
            for at in 0..4096 {
                for bit in 0..8 {
                    let mut b = image.bytes[65536..65536 + 4096].to_vec();
                    b[at] ^= 1 << bit;
                    if at >= 32 {
                        let c = crc32c::crc32c(&b[32..]);
                        b[..4].copy_from_slice(&c.to_le_bytes());
                    }
                    image.write(65536, &b);
                    if image.violations().is_empty() {
                        silent.entry("super".into()).or_default().insert(at);
                    }
                    image.restore();
                }
            }
        }
        println!("{n} flips {:?}", t.elapsed());
        for (a, b) in silent {
            let mut r: Vec<(usize, usize)> = vec![];
            for x in b {
                match r.last_mut() {
                    Some(l) if l.1 == x => l.1 += 1,
                    _ => r.push((x, x + 1)),
                }
            }
            println!("{a}: {r:?}");
        }
    }
}
