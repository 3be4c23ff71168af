//! Content of files, as inodes refer to it.

use super::super::super::address::LogicalAddr;
use super::super::super::spec::{
    FileExtentHead, FileExtentItem, Incompat, InodeFlags, InodeItem, MAX_EXTENT_SIZE, SECTOR,
    extent_type, file_type,
};
use super::super::decompress::{MOST, decompress};
use super::super::items::{FileExtent, ItemPlace, file_extent};
use super::super::reader::Reader;
use super::super::superblock::Super;
use super::extent::Extent;
use super::report::Report;
use super::root_record::RootRecord;
use crate::size::round_up;
use crate::violation::Result;

/// A range of a file that is stored in an extent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    /// Location of the item, whose extent is not a hole.
    pub(super) place: ItemPlace,
    pub(super) item: FileExtentItem,
    /// Whether the inode is nodatasum.
    pub(super) nodatasum: bool,
}

impl Use {
    /// Returns the extent.
    pub(super) fn extent(&self) -> Extent {
        let start = LogicalAddr(self.item.disk_bytenr.get());
        Extent { start, len: self.item.disk_num_bytes.get() }
    }

    /// Returns the file offset at which the extent would start, as in back references.
    pub(super) fn origin(&self) -> u64 {
        self.place.key.offset.wrapping_sub(self.item.offset.get())
    }
}

/// Contents of the files of all subvolumes.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// File extents that refer to an extent.
    pub(super) uses: Vec<Use>,
    /// Subvolumes found in directories.
    pub(super) subvolumes: Vec<RootRecord>,
}

/// State of the checks of one file.
#[derive(Debug, Default)]
pub(super) struct FileState {
    /// Number of extents, and the number of inline extents among them.
    extents: u64,
    inline: u64,
    /// End of the last extent.
    end: u64,
    /// Number of bytes that are not holes.
    nbytes: u64,
    /// Whether there is a range without an extent before `end`.
    gap: bool,
}

impl FileState {
    /// Checks the extents of an inode that is not a directory.
    pub(super) fn finish(
        &self,
        superblock: &Super,
        place: ItemPlace,
        item: &InodeItem,
        kind: u8,
    ) -> Result<()> {
        let size = item.size.get();
        place.require(item.nbytes == self.nbytes, || {
            format!("nbytes is {}, its extents have {}", item.nbytes, self.nbytes)
        })?;
        place.require(
            self.inline == 0 || self.extents == 1,
            || "has an inline extent and another extent",
        )?;
        if kind == file_type::SYMLINK {
            let whole = self.inline == 1 && self.end == size;
            return place.require(whole && (1..SECTOR).contains(&size), || {
                format!("symlink target is not one inline extent of {size} bytes, fewer than 4096")
            });
        }
        let whole = superblock.incompat().contains(Incompat::NO_HOLES)
            || self.inline == 1
            || (!self.gap && self.end >= round_up(size, SECTOR));
        place.require(whole, || "a hole has no extent, and incompat_flags lacks NO_HOLES")
    }
}

impl Files {
    /// Checks and records a file extent.
    pub(super) fn extent(
        &mut self,
        superblock: &Super,
        place: ItemPlace,
        data: &[u8],
        inode: &InodeItem,
        kind: u8,
        file: &mut FileState,
    ) -> Result<()> {
        let content = [file_type::REG_FILE, file_type::SYMLINK].contains(&kind);
        place.require(content, || "its inode has no content")?;
        let extent = file_extent(data).ok_or_else(|| place.breaks("not an extent"))?;
        let head = match extent {
            FileExtent::Inline(head, _) => head,
            FileExtent::Regular(item) => &item.head,
        };
        check_head(superblock, place, head)?;
        place.require(place.key.offset >= file.end, || "overlaps the previous one")?;
        file.gap |= place.key.offset > file.end;
        file.extents += 1;
        match extent {
            FileExtent::Inline(head, bytes) => inline(place, head, bytes, inode, kind, file),
            FileExtent::Regular(item) => {
                place.require(kind == file_type::REG_FILE, || "a target is not inline")?;
                regular(place, item, inode, file)?;
                let flags = InodeFlags::from_bits_retain(inode.flags.get());
                let nodatasum = flags.contains(InodeFlags::NODATASUM);
                place.require(
                    !nodatasum || item.head.compression == 0,
                    || "compressed, but its inode has no checksums",
                )?;
                if item.disk_bytenr != 0 {
                    self.uses.push(Use { place, item: *item, nodatasum });
                }
                Ok(())
            }
        }
    }
}

fn check_head(superblock: &Super, place: ItemPlace, head: &FileExtentHead) -> Result<()> {
    place.require(head.generation.get() <= superblock.generation(), || {
        format!("generation is {}, newer than all", head.generation)
    })?;
    let flag = match head.compression {
        0 | 1 => Incompat::empty(),
        2 => Incompat::COMPRESS_LZO,
        3 => Incompat::COMPRESS_ZSTD,
        other => return Err(place.breaks(format_args!("compression is {other}"))),
    };
    place.require(superblock.incompat().contains(flag), || {
        format!("compression is {}, which incompat_flags lacks", head.compression)
    })?;
    place.require(head.encryption == 0, || format!("encryption is {}", head.encryption))?;
    place.require(head.other_encoding == 0, || format!("other_encoding is {}", head.other_encoding))
}

fn inline(
    place: ItemPlace,
    head: &FileExtentHead,
    bytes: &[u8],
    inode: &InodeItem,
    kind: u8,
    file: &mut FileState,
) -> Result<()> {
    let len = head.ram_bytes.get();
    place.require(place.key.offset == 0, || "an inline extent is not at the start")?;
    if head.compression == 0 {
        place.require(bytes.len() as u64 == len, || {
            format!("ram_bytes is {len}, the content is {} bytes", bytes.len())
        })?;
        place.require((1..SECTOR).contains(&len), || format!("ram_bytes is {len}"))?;
    } else {
        place.require(kind != file_type::SYMLINK, || "a target is compressed")?;
        place.require((1..=SECTOR).contains(&len), || format!("ram_bytes is {len}"))?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let decompressed = decompress(head.compression, bytes, len);
        place.require(decompressed.is_some(), || "cannot be decompressed")?;
    }
    place.require(len <= inode.size.get(), || {
        format!("ram_bytes is {len}, and the size of the file {}", inode.size)
    })?;
    (file.inline, file.end, file.nbytes) = (1, len, len);
    Ok(())
}

fn regular(
    place: ItemPlace,
    item: &FileExtentItem,
    inode: &InodeItem,
    file: &mut FileState,
) -> Result<()> {
    let FileExtentItem { head, .. } = item;
    let (ram_bytes, offset, num_bytes) =
        (head.ram_bytes.get(), item.offset.get(), item.num_bytes.get());
    let (disk_bytenr, disk_num_bytes) = (item.disk_bytenr.get(), item.disk_num_bytes.get());
    let values = [place.key.offset, ram_bytes, offset, num_bytes, disk_bytenr, disk_num_bytes];
    place.require(values.iter().all(|value| value.is_multiple_of(SECTOR)), || {
        format!("not all of its file offset and its fields are aligned: {values:?}")
    })?;
    place.require(num_bytes > 0, || "num_bytes is 0")?;
    let end = place.key.offset.checked_add(num_bytes);
    let end = end.ok_or_else(|| place.breaks("end is not a valid offset"))?;
    file.end = end;
    let prealloc = head.extent_type == extent_type::PREALLOC;
    if disk_bytenr == 0 {
        let empty = disk_num_bytes == 0 && head.compression == 0;
        return place.require(empty && !prealloc, || "hole with an address on disk");
    }
    file.nbytes = file.nbytes.saturating_add(num_bytes);
    place.require(disk_num_bytes > 0, || "disk_num_bytes is 0")?;
    place.require(offset.checked_add(num_bytes).is_some_and(|end| end <= ram_bytes), || {
        format!("offset {offset} and num_bytes {num_bytes} are beyond ram_bytes {ram_bytes}")
    })?;
    if head.compression == 0 {
        place.require(ram_bytes == disk_num_bytes, || {
            format!("ram_bytes is {ram_bytes}, and disk_num_bytes {disk_num_bytes}")
        })?;
        // Preallocated extents may be twice as long.
        place.require(disk_num_bytes <= 2 * MAX_EXTENT_SIZE, || {
            format!("disk_num_bytes is {disk_num_bytes}")
        })?;
    } else {
        place.require(!prealloc, || "preallocated extent is compressed")?;
        let most = MOST as u64;
        place.require(ram_bytes <= most && disk_num_bytes <= most, || {
            format!("ram_bytes is {ram_bytes}, and disk_num_bytes {disk_num_bytes}")
        })?;
    }
    let behind = prealloc || end <= round_up(inode.size.get(), SECTOR);
    place.require(behind, || format!("after the end of the file, {}", inode.size))
}

/// Decompresses compressed extents, each only once if several files describe it in the same way.
pub(super) fn check_compressed(reader: &Reader<'_>, uses: &[Use], report: &mut Report) {
    let mut last = None;
    for one in uses.iter().filter(|one| one.item.head.compression != 0) {
        let this = Some((one.extent(), one.item.head));
        if std::mem::replace(&mut last, this) == this {
            continue;
        }
        let ram_bytes = one.item.head.ram_bytes.get();
        match report.keep(reader.decompressed(&one.item)) {
            Some(Some(bytes)) if round_up(bytes.len() as u64, SECTOR) != ram_bytes => {
                let rule = format!("ram_bytes is {ram_bytes}, the content is {}", bytes.len());
                report.add(one.place.breaks(rule));
            }
            Some(None) => report.add(one.place.breaks("cannot be decompressed")),
            _ => {}
        }
    }
}
