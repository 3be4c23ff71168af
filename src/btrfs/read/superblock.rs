//! The superblock.

use zerocopy::{FromZeros, IntoBytes};

use super::super::address::{DeviceOffset, LogicalAddr};
use super::super::checksum::Checksum;
use super::super::spec::{
    CompatRo, Incompat, LABEL_SIZE, MAGIC, SECTOR, SUPER_FLAGS, SuperBlock, objectid,
};
use super::chunks::Chunks;
use super::device::Device;
use super::root::{MAX_LEVEL, Root};
use crate::violation::{Result, Violation};

/// A superblock with a valid checksum.
#[derive(Debug, Clone)]
pub(super) struct Super {
    pub(super) record: Box<SuperBlock>,
    pub(super) checksum: Checksum,
}

impl Super {
    /// Reads the copy at an offset.
    pub(super) fn read(device: &Device<'_>, at: DeviceOffset) -> Result<Self> {
        let place = || format!("superblock at {at}");
        let mut record = SuperBlock::new_box_zeroed().expect("a superblock is small");
        device.read(at, record.as_mut_bytes())?;
        if record.magic != MAGIC {
            return Err(Violation::new(place(), "wrong magic number"));
        }
        let csum_type = record.csum_type.get();
        let all = [Checksum::Crc32c, Checksum::Xxhash, Checksum::Sha256, Checksum::Blake2b];
        let checksum = all.into_iter().find(|checksum| checksum.csum_type() == csum_type);
        let Some(checksum) = checksum else {
            let rule = format!("csum_type is {csum_type}, at most 3 is supported");
            return Err(Violation::new(place(), rule));
        };
        let (_, summed) = record.as_bytes().split_at(record.csum.len());
        let size = checksum.size();
        if checksum.digest(summed).get(..size) != record.csum.get(..size) {
            return Err(Violation::new(place(), "wrong checksum"));
        }
        if record.bytenr != at.0 {
            let rule = format!("bytenr is {}", record.bytenr);
            return Err(Violation::new(place(), rule));
        }
        Ok(Self { record, checksum })
    }

    /// Returns the size of a tree block, in bytes.
    ///
    /// The size is not validated before [`Super::check`].
    pub(super) fn node_size(&self) -> usize {
        usize::try_from(self.record.nodesize.get()).unwrap_or(usize::MAX)
    }

    pub(super) fn generation(&self) -> u64 {
        self.record.generation.get()
    }

    pub(super) fn incompat(&self) -> Incompat {
        Incompat::from_bits_retain(self.record.incompat_flags.get())
    }

    pub(super) fn compat_ro(&self) -> CompatRo {
        CompatRo::from_bits_retain(self.record.compat_ro_flags.get())
    }

    pub(super) fn root_tree(&self) -> Root {
        Root {
            id: objectid::ROOT_TREE,
            address: LogicalAddr(self.record.root.get()),
            level: self.record.root_level,
            generation: self.generation(),
        }
    }

    pub(super) fn chunk_root(&self) -> Root {
        Root {
            id: objectid::CHUNK_TREE,
            address: LogicalAddr(self.record.chunk_root.get()),
            level: self.record.chunk_root_level,
            generation: self.record.chunk_root_generation.get(),
        }
    }

    /// Returns the chunks that hold the chunk tree.
    pub(super) fn system_chunks(&self) -> Result<Chunks> {
        Chunks::from_array(&self.record)
    }

    /// Checks all fields that can be checked without the trees.
    pub(super) fn check(&self, size: u64) -> Result<()> {
        let sb = &*self.record;
        let require = |holds: bool, rule: &dyn Fn() -> String| {
            if holds { Ok(()) } else { Err(Violation::new("superblock", rule())) }
        };
        let (sectorsize, nodesize) = (u64::from(sb.sectorsize.get()), u64::from(sb.nodesize.get()));
        require(sb.flags.get() == SUPER_FLAGS, &|| format!("flags are {:#x}", sb.flags))?;
        require(sectorsize == SECTOR, &|| format!("sectorsize is {sectorsize}, not 4096"))?;
        require(nodesize.is_power_of_two() && (SECTOR..=64 << 10).contains(&nodesize), &|| {
            format!("nodesize is {nodesize}, not a power of two from 4096 to 65536")
        })?;
        require(sb.unused_leafsize == sb.nodesize, &|| "leafsize is not nodesize".into())?;
        require(sb.stripesize == sb.sectorsize, &|| "stripesize is not sectorsize".into())?;
        require(sb.log_root.get() == 0 && sb.log_root_level == 0, &|| {
            "tree log present, which only a mount can replay".into()
        })?;
        for (what, address, level) in [
            ("root", sb.root.get(), sb.root_level),
            ("chunk_root", sb.chunk_root.get(), sb.chunk_root_level),
        ] {
            require(address.is_multiple_of(SECTOR), &|| format!("{what} is not aligned"))?;
            require(level <= MAX_LEVEL, &|| format!("{what}_level is {level}"))?;
        }
        self.check_features()?;
        require(sb.num_devices.get() == 1, &|| {
            format!("num_devices is {}, only one device is supported", sb.num_devices)
        })?;
        let device = &sb.dev_item;
        require(device.fsid == sb.fsid, &|| "dev_item has a different fsid".into())?;
        require(sb.metadata_uuid == [0; 16] || sb.metadata_uuid == sb.fsid, &|| {
            "metadata_uuid is neither zero nor fsid".into()
        })?;
        require(sb.total_bytes.get() <= size, &|| {
            format!("total_bytes is {}, the device has {size}", sb.total_bytes)
        })?;
        require(sb.total_bytes.get().is_multiple_of(SECTOR), &|| {
            "total_bytes is not aligned".into()
        })?;
        require(device.total_bytes == sb.total_bytes, &|| {
            format!("total_bytes is {}, in dev_item {}", sb.total_bytes, device.total_bytes)
        })?;
        require(sb.bytes_used <= sb.total_bytes, &|| {
            format!("bytes_used is {}, more than total_bytes", sb.bytes_used)
        })?;
        require(sb.bytes_used.get() >= 6 * nodesize, &|| {
            format!("bytes_used is {}, less than six tree blocks", sb.bytes_used)
        })?;
        require(sb.root_dir_objectid.get() == objectid::ROOT_TREE_DIR, &|| {
            format!("root_dir_objectid is {}", sb.root_dir_objectid)
        })?;
        require(sb.generation.get() > 0, &|| "generation is 0".into())?;
        require(sb.chunk_root_generation <= sb.generation, &|| {
            format!("chunk_root_generation is {}, newer than all", sb.chunk_root_generation)
        })?;
        let cache = sb.cache_generation.get();
        require(cache <= sb.generation.get() || cache == u64::MAX, &|| {
            format!("cache_generation is {cache}, newer than all")
        })?;
        require(sb.uuid_tree_generation <= sb.generation, &|| {
            format!("uuid_tree_generation is {}, newer than all", sb.uuid_tree_generation)
        })?;
        require(sb.nr_global_roots.get() == 0, &|| "nr_global_roots is not 0".into())?;
        require(sb.label[LABEL_SIZE - 1] == 0, &|| "label has no end".into())
    }

    fn check_features(&self) -> Result<()> {
        let require = |holds: bool, rule: String| {
            if holds { Ok(()) } else { Err(Violation::new("superblock", rule)) }
        };
        let (incompat, compat_ro) = (self.incompat(), self.compat_ro());
        let unknown = incompat - Incompat::all();
        require(unknown.is_empty(), format!("incompat_flags has unknown {:#x}", unknown.bits()))?;
        let unknown = compat_ro - CompatRo::all();
        require(unknown.is_empty(), format!("compat_ro_flags has unknown {:#x}", unknown.bits()))?;
        let unknown = self.record.compat_flags.get();
        require(unknown == 0, format!("compat_flags has unknown {unknown:#x}"))?;
        let needed = Incompat::MIXED_BACKREF | Incompat::SKINNY_METADATA;
        require(
            incompat.contains(needed),
            "incompat_flags lacks MIXED_BACKREF or SKINNY_METADATA, as old file systems do".into(),
        )?;
        let valid = CompatRo::FREE_SPACE_TREE | CompatRo::FREE_SPACE_TREE_VALID;
        require(
            compat_ro.contains(valid) || !compat_ro.intersects(valid),
            "compat_ro_flags has only one of FREE_SPACE_TREE and FREE_SPACE_TREE_VALID".into(),
        )?;
        require(
            !compat_ro.contains(CompatRo::BLOCK_GROUP_TREE)
                || (compat_ro.contains(valid) && incompat.contains(Incompat::NO_HOLES)),
            "BLOCK_GROUP_TREE needs FREE_SPACE_TREE and NO_HOLES".into(),
        )
    }
}
