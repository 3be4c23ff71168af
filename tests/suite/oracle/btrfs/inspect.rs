//! Parses the output of `btrfs inspect-internal` and checks the space accounting.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::super::tool::run;
use super::super::{Verdict, oracle_error};

/// Offsets of the superblocks, as far as the device reaches.
///
/// No stripe may overlap the `STRIPE` bytes from such an offset on.
pub const MIRRORS: [u64; 3] = [64 << 10, 64 << 20, 256 << 30];
const STRIPE: u64 = 64 << 10;
const SUPERBLOCK: u64 = 4096;

/// The fields of a superblock, by the names that dump-super prints.
pub type Superblock = BTreeMap<String, String>;

/// Returns the superblocks of an image.
///
/// Every superblock must be present and valid.
pub fn superblocks(image: &Path) -> Verdict<Vec<Superblock>> {
    let said = inspect(["dump-super", "-fa"], image)?;
    let mut found: Vec<Superblock> = Vec::new();
    for line in said.lines() {
        if line.starts_with("superblock: ") {
            found.push(Superblock::new());
        }
        if let (Some((name, value)), Some(superblock)) = (line.split_once('\t'), found.last_mut())
            && !name.is_empty()
        {
            superblock.entry(name.to_owned()).or_insert_with(|| value.trim().to_owned());
        }
    }
    let len = fs::metadata(image).unwrap().len();
    let expected = MIRRORS.iter().filter(|&&at| at + SUPERBLOCK <= len).count();
    if found.len() != expected {
        return oracle_error(format!("{} superblocks, not {expected}: {said}", found.len()));
    }
    for (superblock, at) in found.iter().zip(MIRRORS) {
        for name in ["csum", "magic", "dev_item.fsid"] {
            if !superblock.get(name).is_some_and(|value| value.ends_with(" [match]")) {
                return oracle_error(format!("{name} of the superblock at {at}: {superblock:?}"));
            }
        }
        if number(superblock, "bytenr") != at {
            return oracle_error(format!("bytenr of the superblock at {at}: {superblock:?}"));
        }
        for (name, value) in superblock {
            if !["csum", "bytenr"].contains(&name.as_str()) && found[0].get(name) != Some(value) {
                return oracle_error(format!("the superblocks have other values for {name}"));
            }
        }
    }
    Ok(found)
}

/// Returns the decimal number in a field of a superblock.
pub fn number(superblock: &Superblock, name: &str) -> u64 {
    superblock[name].parse().unwrap_or_else(|error| panic!("{name}: {error}: {superblock:?}"))
}

/// Runs `btrfs inspect-internal` on an image.
///
/// Any message on stderr is an error.
fn inspect<const N: usize>(words: [&str; N], image: &Path) -> Verdict<String> {
    let mut args = vec![OsStr::new("inspect-internal")];
    args.extend(words.iter().map(OsStr::new));
    args.push(image.as_os_str());
    let said = run("btrfs", args);
    if said.ok && said.stderr.is_empty() {
        Ok(said.stdout)
    } else {
        oracle_error(format!("btrfs inspect-internal: {}", said.all()))
    }
}

/// Returns the dump of one tree.
pub fn dump_tree(image: &Path, tree: &str) -> Verdict<String> {
    inspect(["dump-tree", "-t", tree], image)
}

/// A chunk: a range of logical addresses and its location on the device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunk {
    pub length: u64,
    /// Type and profile, for example `METADATA|DUP`.
    pub kind: String,
    /// The device offset of each copy.
    pub stripes: Vec<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockGroup {
    pub length: u64,
    pub used: u64,
    pub kind: String,
}

/// The content of the trees that account for space.
///
/// Maps are keyed by address.
#[derive(Debug, Clone, Default)]
pub struct DumpedTrees {
    pub total_bytes: u64,
    pub bytes_used: u64,
    pub node_size: u64,
    /// Size of all dev extents, according to the superblock and to the chunk tree.
    pub device_used: Vec<u64>,
    pub chunks: BTreeMap<u64, Chunk>,
    /// Chunk and length of each dev extent, by device offset.
    pub dev_extents: BTreeMap<u64, (u64, u64)>,
    pub block_groups: BTreeMap<u64, BlockGroup>,
    /// Lengths of data extents and tree blocks.
    pub extents: BTreeMap<u64, u64>,
    /// Lengths of free space extents, if there is a free space tree.
    pub free: Option<BTreeMap<u64, u64>>,
    /// Block group length and extent count of each free space info.
    pub free_infos: BTreeMap<u64, (u64, u64)>,
}

/// Parses the key of a line like `item 3 key (22036480 METADATA_ITEM 0) itemoff 16149 itemsize 33`.
pub fn key(line: &str) -> Option<(&str, &str, &str)> {
    let (_, behind) = line.trim_start().strip_prefix("item ")?.split_once("key (")?;
    let (key, _) = behind.split_once(')')?;
    let mut words = key.split(' ');
    Some((words.next()?, words.next()?, words.next()?))
}

/// Returns the word after `word`.
pub fn behind<'a>(line: &'a str, word: &str) -> &'a str {
    let mut words = line.split_whitespace();
    words.find(|&found| found == word);
    words.next().unwrap_or_else(|| panic!("no {word} in {line}"))
}

pub fn decimal(text: &str) -> u64 {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

impl DumpedTrees {
    pub fn read(image: &Path) -> Verdict<Self> {
        let superblock = &superblocks(image)?[0];
        let mut dumped = Self {
            total_bytes: number(superblock, "total_bytes"),
            bytes_used: number(superblock, "bytes_used"),
            node_size: number(superblock, "nodesize"),
            device_used: vec![number(superblock, "dev_item.bytes_used")],
            ..Self::default()
        };
        let flags = number_of_hex(&superblock["compat_ro_flags"]);
        let mut trees = vec!["chunk", "dev", "extent"];
        if flags & BLOCK_GROUP_TREE != 0 {
            trees.push("11");
        }
        if flags & FREE_SPACE_TREE != 0 {
            trees.push("10");
            dumped.free = Some(BTreeMap::new());
        }
        for tree in trees {
            dumped.take(&dump_tree(image, tree)?)?;
        }
        Ok(dumped)
    }

    fn take(&mut self, text: &str) -> Verdict {
        let mut at = 0;
        let mut is = "";
        for line in text.lines() {
            if let Some((objectid, kind, offset)) = key(line) {
                is = kind;
                match kind {
                    "CHUNK_ITEM" | "DEV_EXTENT" => at = decimal(offset),
                    "BLOCK_GROUP_ITEM" => {
                        at = decimal(objectid);
                        self.block_groups.entry(at).or_default().length = decimal(offset);
                    }
                    "EXTENT_ITEM" => {
                        self.extents.insert(decimal(objectid), decimal(offset));
                    }
                    "METADATA_ITEM" => {
                        self.extents.insert(decimal(objectid), self.node_size);
                    }
                    "FREE_SPACE_INFO" => {
                        at = decimal(objectid);
                        self.free_infos.insert(at, (decimal(offset), 0));
                    }
                    "FREE_SPACE_EXTENT" => {
                        let free = self.free.as_mut().expect("its tree is read");
                        free.insert(decimal(objectid), decimal(offset));
                    }
                    "FREE_SPACE_BITMAP" => return oracle_error("a bitmap of free space"),
                    _ => {}
                }
                continue;
            }
            let line = line.trim();
            match is {
                "DEV_ITEM" if line.starts_with("devid ") => {
                    self.device_used.push(decimal(behind(line, "bytes_used")));
                }
                "CHUNK_ITEM" if line.starts_with("length ") => {
                    let chunk = self.chunks.entry(at).or_default();
                    chunk.length = decimal(behind(line, "length"));
                    chunk.kind = behind(line, "type").to_owned();
                }
                "CHUNK_ITEM" if line.starts_with("stripe ") => {
                    let chunk = self.chunks.entry(at).or_default();
                    chunk.stripes.push(decimal(behind(line, "offset")));
                }
                "DEV_EXTENT" if line.starts_with("chunk_objectid ") => {
                    let chunk = decimal(behind(line, "chunk_offset"));
                    self.dev_extents.insert(at, (chunk, decimal(behind(line, "length"))));
                }
                "BLOCK_GROUP_ITEM" if line.starts_with("block group used ") => {
                    let group = self.block_groups.entry(at).or_default();
                    group.used = decimal(behind(line, "used"));
                    group.kind = behind(line, "flags").to_owned();
                }
                "FREE_SPACE_INFO" if line.starts_with("free space info ") => {
                    let info = self.free_infos.get_mut(&at).expect("its key came before");
                    info.1 = decimal(behind(line, "count"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks the chunks, the space accounting and the superblock mirrors.
    pub fn sound(&self) -> Verdict {
        self.chunks_are_dev_extents()?;
        self.space_adds_up()?;
        self.mirrors_are_spared()
    }

    /// Checks that dev extents and stripes correspond, and that chunks and block groups correspond.
    fn chunks_are_dev_extents(&self) -> Verdict {
        let mut stripes = BTreeMap::new();
        for (&start, chunk) in &self.chunks {
            for &stripe in &chunk.stripes {
                if stripes.insert(stripe, (start, chunk.length)).is_some() {
                    return oracle_error(format!("two stripes at {stripe}"));
                }
            }
            let group = self.block_groups.get(&start);
            if group.is_none_or(|group| (group.length, &group.kind) != (chunk.length, &chunk.kind))
            {
                return oracle_error(format!("{chunk:?} at {start} is the block group {group:?}"));
            }
        }
        if stripes != self.dev_extents {
            return oracle_error(format!(
                "stripes {stripes:?}, dev extents {:?}",
                self.dev_extents
            ));
        }
        if self.block_groups.len() != self.chunks.len() {
            return oracle_error(format!("{:?}, but {:?}", self.chunks, self.block_groups));
        }
        let mut end = 1 << 20;
        for (&start, &(_, length)) in &self.dev_extents {
            if start < end {
                return oracle_error(format!("a dev extent at {start}, below {end}"));
            }
            end = start + length;
        }
        if end > self.total_bytes {
            return oracle_error(format!("dev extents to {end} of {}", self.total_bytes));
        }
        let used: u64 = self.dev_extents.values().map(|(_, length)| length).sum();
        match self.device_used[..] {
            [one, two] if (one, two) == (used, used) => Ok(()),
            _ => oracle_error(format!("dev extents of {used}, said are {:?}", self.device_used)),
        }
    }

    /// Checks that used and free space fill every block group without overlap.
    fn space_adds_up(&self) -> Verdict {
        let used: u64 = self.block_groups.values().map(|group| group.used).sum();
        if used != self.bytes_used {
            return oracle_error(format!("block groups use {used}, all {}", self.bytes_used));
        }
        let mut extents = 0;
        for (&start, group) in &self.block_groups {
            let end = start + group.length;
            let inside = self.extents.range(start..end);
            extents += inside.clone().count();
            let sum: u64 = inside.clone().map(|(_, length)| length).sum();
            if sum != group.used {
                return oracle_error(format!("extents of {sum} in {start}: {group:?}"));
            }
            let Some(free) = &self.free else { continue };
            let runs = free.range(start..end);
            let info = self.free_infos.get(&start).copied();
            if info != Some((group.length, runs.clone().count() as u64)) {
                return oracle_error(format!("free space {info:?} in {start}: {group:?}"));
            }
            let mut all: Vec<(u64, u64)> =
                inside.chain(runs).map(|(&at, &len)| (at, len)).collect();
            all.sort_unstable();
            let mut next = start;
            for (at, len) in all {
                if at != next {
                    return oracle_error(format!(
                        "used or free is {next}, and then {at}: {group:?}"
                    ));
                }
                next = at + len;
            }
            if next != end {
                return oracle_error(format!("used and free to {next} of {end}: {group:?}"));
            }
        }
        if extents != self.extents.len() {
            return oracle_error("extents outside of block groups");
        }
        let infos = self.free_infos.len();
        if self.free.is_some() && infos != self.block_groups.len() {
            return oracle_error(format!(
                "free space in {infos} block groups: {:?}",
                self.block_groups
            ));
        }
        Ok(())
    }

    /// Checks that no stripe of a chunk overlaps a superblock mirror.
    fn mirrors_are_spared(&self) -> Verdict {
        for (&start, &(_, length)) in &self.dev_extents {
            for mirror in MIRRORS {
                if start < mirror + STRIPE && mirror < start + length {
                    return oracle_error(format!(
                        "{length} from {start} on reach the mirror {mirror}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Returns the chunks of a type: `DATA`, `METADATA` or `SYSTEM`.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (u64, &'a Chunk)> {
        let is = move |chunk: &Chunk| chunk.kind.split('|').next() == Some(kind);
        self.chunks.iter().filter(move |(_, chunk)| is(chunk)).map(|(&at, chunk)| (at, chunk))
    }
}

const FREE_SPACE_TREE: u64 = 1;
const BLOCK_GROUP_TREE: u64 = 8;

/// Parses a number like `0xb`, ignoring any words after it.
fn number_of_hex(text: &str) -> u64 {
    let digits = text.split_whitespace().next().and_then(|word| word.strip_prefix("0x"));
    u64::from_str_radix(digits.unwrap_or_else(|| panic!("{text}")), 16).unwrap()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::super::super::tool::flip;
    use super::super::super::tool::shell;
    use super::super::tests::Sample;
    use super::*;

    #[test]
    fn what_the_kernel_wrote_adds_up() {
        for options in ["-m dup", "-m single", "-n 4096 -m dup"] {
            let sample = Sample::with(options);
            // With more free space extents than this leaves, the kernel may switch to bitmaps,
            // which dump-tree does not show.
            sample.change("for n in $(seq 60); do echo $n >$1/$n; done; sync; rm $1/1 $1/second");
            let dumped = DumpedTrees::read(&sample.image).unwrap();
            dumped.chunks_are_dev_extents().unwrap();
            dumped.space_adds_up().unwrap();
            assert!(dumped.chunks.len() >= 3 && dumped.extents.len() > 8, "{dumped:?}");
            assert!(dumped.of_kind("SYSTEM").count() == 1);
        }
    }

    #[test]
    fn every_mirror_must_be_there() {
        let sample = Sample::new();
        assert_eq!(superblocks(&sample.image).unwrap().len(), 2);
        for at in [65_536 + 64, (64 << 20) + 64, (64 << 20) + 4095, 65_536 + 0x78] {
            flip(&sample.image, at);
            superblocks(&sample.image).unwrap_err();
            flip(&sample.image, at);
        }
        // A mirror that is valid, but is not a copy of the primary superblock.
        let other = Sample::new();
        let script =
            "dd if=$1 of=$2 bs=4096 skip=16384 seek=16384 count=1 conv=notrunc status=none";
        shell(script, &[&other.image, &sample.image]);
        superblocks(&sample.image).unwrap_err();
        // A file that ends after the offset of the last mirror.
        let file = File::options().write(true).open(&other.image).unwrap();
        file.set_len((256 << 30) + 8192).unwrap();
        superblocks(&other.image).unwrap_err();
    }

    #[test]
    fn a_sum_that_is_wrong_is_found() {
        type Change = fn(&mut DumpedTrees);
        let sample = Sample::new();
        let changes: [(&str, Change); 14] = [
            ("bytes_used", |dumped| dumped.bytes_used += 4096),
            ("device's bytes_used", |dumped| dumped.device_used[1] += 4096),
            ("a dev extent moved", |dumped| {
                let (at, extent) = dumped.dev_extents.pop_last().unwrap();
                dumped.dev_extents.insert(at + STRIPE, extent);
            }),
            ("a dev extent too many", |dumped| {
                dumped.dev_extents.insert(400 << 20, (1 << 30, STRIPE));
            }),
            ("a dev extent in the first MiB", |dumped| {
                let (start, extent) = dumped.dev_extents.pop_first().unwrap();
                dumped.dev_extents.insert(0, extent);
                let chunk = dumped.chunks.get_mut(&extent.0).unwrap();
                chunk.stripes.iter_mut().filter(|at| **at == start).for_each(|at| *at = 0);
            }),
            ("dev extents beyond the end", |dumped| dumped.total_bytes = 100 << 20),
            ("a block group of another length", |dumped| {
                dumped.block_groups.first_entry().unwrap().get_mut().length -= STRIPE;
            }),
            ("a block group too many", |dumped| {
                dumped.block_groups.insert(1 << 40, BlockGroup::default());
            }),
            ("another use", |dumped| {
                dumped.block_groups.first_entry().unwrap().get_mut().used += 4096;
                dumped.bytes_used += 4096;
            }),
            ("an extent too many", |dumped| {
                dumped.extents.insert(1 << 40, 4096);
            }),
            ("an extent less", |dumped| {
                dumped.extents.pop_last();
            }),
            ("free space too much", |dumped| {
                *dumped.free.as_mut().unwrap().first_entry().unwrap().get_mut() += 4096;
            }),
            ("free space too little", |dumped| {
                *dumped.free.as_mut().unwrap().last_entry().unwrap().get_mut() -= 4096;
            }),
            ("free space of no block group", |dumped| {
                dumped.free_infos.insert(1 << 40, (STRIPE, 0));
            }),
        ];
        let sound = DumpedTrees::read(&sample.image).unwrap();
        for (what, change) in changes {
            let mut dumped = sound.clone();
            change(&mut dumped);
            let verdict = dumped.chunks_are_dev_extents().and_then(|()| dumped.space_adds_up());
            verdict.expect_err(what);
        }
    }

    #[test]
    fn a_stripe_on_a_mirror_is_found() {
        let with = |start, length| {
            let dev_extents = BTreeMap::from([(start, (start, length))]);
            DumpedTrees { dev_extents, ..DumpedTrees::default() }.mirrors_are_spared()
        };
        for mirror in [64 << 20, 256 << 30] {
            with(mirror - STRIPE, STRIPE).unwrap();
            with(mirror + STRIPE, STRIPE).unwrap();
            with(mirror - STRIPE, STRIPE + 4096).unwrap_err();
            with(mirror - STRIPE, 1 << 30).unwrap_err();
            with(mirror, 4096).unwrap_err();
            with(mirror + STRIPE - 4096, STRIPE).unwrap_err();
        }
    }
}
