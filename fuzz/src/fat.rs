//! A small checker of FAT volumes for everything that the independent reader does not expose:
//!
//! - Both FATs are the same.
//! - Their chains belong to exactly the existing files and directories, and have the right lengths.
//! - FSInfo is exact, and the boot sector has its copy.
//! - Short names are unique, and `.` and `..` are in their places.

use std::collections::BTreeSet;

use detfs::fat::Options;

use crate::Verdict;
use crate::bytes::{slice, u16_at, u32_at};

/// Checks a volume that was planned with `options`.
pub fn check(image: &[u8], options: &Options) -> Verdict {
    let volume = Volume::read(image, options)?;
    let mut walk = Walk { volume: &volume, owned: vec![false; volume.table.len()] };
    if volume.bits == 32 {
        let root = walk.take(volume.root_cluster)?;
        walk.directory(&root, 0, 0)?;
    } else {
        let root = slice(image, volume.root_at, volume.root_len)?;
        walk.directory(root, 0, 0)?;
    }
    let free = volume.table[2..].iter().filter(|&&entry| entry == 0).count();
    let owned = walk.owned.iter().filter(|owned| **owned).count();
    if free + owned + 2 != volume.table.len() {
        return Err(format!("{free} clusters are free and {owned} owned"));
    }
    volume.check_fsinfo(free)
}

struct Volume<'a> {
    image: &'a [u8],
    sector: usize,
    cluster: usize,
    bits: usize,
    /// First value of an entry that ends a chain.
    end: u32,
    /// Entries of the FAT, beginning with that of cluster 0.
    table: Vec<u32>,
    root_at: usize,
    root_len: usize,
    root_cluster: u32,
    data_at: usize,
}

fn size(value: u32) -> usize {
    usize::try_from(value).expect("at least 32 bits")
}

impl<'a> Volume<'a> {
    fn read(image: &'a [u8], options: &Options) -> Verdict<Self> {
        let boot = slice(image, 0, 512)?;
        if u16_at(boot, 510) != 0xaa55 {
            return Err("no boot sector".into());
        }
        let sector = usize::from(u16_at(boot, 11));
        let cluster = usize::from(boot[13]) * sector;
        let reserved = usize::from(u16_at(boot, 14)) * sector;
        let root_len = usize::from(u16_at(boot, 17)) * 32;
        let sectors = match u16_at(boot, 19) {
            0 => size(u32_at(boot, 32)),
            few => usize::from(few),
        };
        let fat = sector
            * match u16_at(boot, 22) {
                0 => size(u32_at(boot, 36)),
                few => usize::from(few),
            };
        if sectors * sector != image.len() {
            return Err(format!("{sectors} sectors in {} bytes", image.len()));
        }
        let root_at = reserved + 2 * fat;
        let data_at = root_at + root_len;
        let clusters = (image.len() - data_at) / cluster;
        let bits = match clusters {
            0..4085 => 12,
            4085..65_525 => 16,
            _ => 32,
        };
        let id_at = if bits == 32 { 67 } else { 39 };
        let found = (boot[16], u32_at(boot, 28), u32_at(boot, id_at));
        let expected = (2, options.hidden_sectors, options.volume_id);
        if found != expected {
            return Err(format!("FATs, hidden sectors, id: {found:?}, not {expected:?}"));
        }
        let first = slice(image, reserved, fat)?;
        if first != slice(image, reserved + fat, fat)? {
            return Err("the FATs differ".into());
        }
        let entry = |cluster: usize| match bits {
            12 => {
                let pair = u32::from(u16_at(first, cluster * 3 / 2));
                if cluster.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 }
            }
            16 => u16_at(first, cluster * 2).into(),
            _ => u32_at(first, cluster * 4) & 0x0fff_ffff,
        };
        slice(first, 0, ((clusters + 2) * bits).div_ceil(8))?;
        Ok(Self {
            image,
            sector,
            cluster,
            bits,
            end: match bits {
                12 => 0xff8,
                16 => 0xfff8,
                _ => 0x0fff_fff8,
            },
            table: (0..clusters + 2).map(entry).collect(),
            root_at,
            root_len,
            root_cluster: if bits == 32 { u32_at(boot, 44) } else { 0 },
            data_at,
        })
    }

    fn check_fsinfo(&self, free: usize) -> Verdict {
        if self.bits != 32 {
            return Ok(());
        }
        let info = slice(self.image, self.sector, 512)?;
        let backup = slice(self.image, 6 * self.sector, 512)?;
        if backup != slice(self.image, 0, 512)? {
            return Err("the copy of the boot sector is another".into());
        }
        let first_free = self.table[2..].iter().position(|&entry| entry == 0).map(|at| at + 2);
        let says = (u32_at(info, 488), u32_at(info, 492));
        if size(says.0) != free || first_free.is_some_and(|first| size(says.1) != first) {
            return Err(format!("FSInfo says {says:?}, not {free} and {first_free:?}"));
        }
        Ok(())
    }
}

struct Walk<'a> {
    volume: &'a Volume<'a>,
    owned: Vec<bool>,
}

impl Walk<'_> {
    /// Marks the chain that begins at `first` as owned, and returns its bytes.
    fn take(&mut self, first: u32) -> Verdict<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut at = first;
        while at < self.volume.end {
            match self.owned.get_mut(size(at)) {
                Some(owned) if !*owned && at >= 2 => *owned = true,
                _ => return Err(format!("cluster {at} has two owners or is none")),
            }
            let offset = self.volume.data_at + (size(at) - 2) * self.volume.cluster;
            bytes.extend_from_slice(slice(self.volume.image, offset, self.volume.cluster)?);
            at = self.volume.table[size(at)];
        }
        Ok(bytes)
    }

    /// Checks the entries of the directory at cluster `own` with the parent `parent`, and marks
    /// their chains as owned. 0 is the root.
    fn directory(&mut self, bytes: &[u8], own: u32, parent: u32) -> Verdict {
        let mut names = BTreeSet::new();
        let mut slots = bytes.chunks_exact(32).take_while(|slot| slot[0] != 0);
        if own != 0 {
            for (name, cluster) in [(b".          ", own), (b"..         ", parent)] {
                let slot = slots.next().ok_or("it ends before its dots")?;
                let at = u32::from(u16_at(slot, 20)) << 16 | u32::from(u16_at(slot, 26));
                if &slot[..11] != name || slot[11] != 0x10 || at != cluster {
                    return Err(format!("no dots but {slot:x?}"));
                }
            }
        }
        for slot in slots {
            const LONG: u8 = 0x0f;
            const LABEL: u8 = 0x08;
            const DIRECTORY: u8 = 0x10;
            let (name, attr) = (&slot[..11], slot[11]);
            if attr == LONG {
                continue;
            }
            if name[0] == 0xe5 || !names.insert((attr & LABEL, name.to_vec())) {
                return Err(format!("the short name {name:x?} is deleted or there twice"));
            }
            let first = u32::from(u16_at(slot, 20)) << 16 | u32::from(u16_at(slot, 26));
            let len = size(u32_at(slot, 28));
            let oracle_error = |error_text| format!("{}: {error_text}", name.escape_ascii());
            if attr & LABEL != 0 {
                continue;
            } else if attr & DIRECTORY != 0 {
                let bytes = self.take(first).map_err(oracle_error)?;
                self.directory(&bytes, first, own).map_err(oracle_error)?;
            } else if len == 0 {
                if first != 0 {
                    return Err(oracle_error("an empty file with a cluster".into()));
                }
            } else {
                let chain = self.take(first).map_err(oracle_error)?.len();
                if chain != len.next_multiple_of(self.volume.cluster) {
                    return Err(oracle_error(format!("{chain} bytes of clusters for {len}")));
                }
            }
        }
        Ok(())
    }
}
