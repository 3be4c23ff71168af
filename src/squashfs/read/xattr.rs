//! Extended attributes.

use std::rc::Rc;
use std::sync::Arc;

use zerocopy::little_endian::U64;
use zerocopy::{FromZeros, IntoBytes};

use super::super::spec::{XattrEntry, XattrId, XattrIdTable, XattrVal, xattr_type};
use super::image::Image;
use super::metadata::{Cursor, Metadata};
use super::table::Table;
use crate::tree::Xattr;
use crate::violation::{Result, Violation};

/// Longest value, in bytes.
const VALUE_MAX: u32 = 64 << 10;

/// Maximum size of all sets that are read, in bytes. Values can be stored once for many sets.
const TOTAL_MAX: usize = 256 << 20;

/// Sets of extended attributes.
#[derive(Debug)]
pub(super) struct Xattrs {
    values: Metadata,
    sets: Vec<XattrId>,
    /// Start of the values, where the previous table ends.
    pub(super) start: u64,
}

/// Sets that have been read.
#[derive(Debug, Default)]
pub(super) struct ReadSets {
    sets: Vec<Option<Rc<[Xattr]>>>,
    total: usize,
}

fn breaks(rule: impl std::fmt::Display) -> Violation {
    Violation::new("extended attributes", rule)
}

impl Xattrs {
    /// Reads the table of sets at `start`, which ends the used part of the image.
    pub(super) fn read(image: &Arc<Image>, start: u64, end: u64) -> Result<Self> {
        let mut header = XattrIdTable::new_zeroed();
        image.read(&(image.data.start..end), start, header.as_mut_bytes())?;
        if header.xattr_ids == 0 || header.unused != 0 {
            return Err(breaks("an invalid table of sets"));
        }
        let index = start + size_of::<XattrIdTable>() as u64..end;
        let sets =
            Table::<XattrId>::read("table of sets", image, start, index, header.xattr_ids.get())?;
        let start = header.xattr_table_start.get();
        if start > sets.start || start < image.data.end {
            return Err(breaks(format_args!("values at byte {start}")));
        }
        let values =
            Metadata::open("values of extended attributes", Arc::clone(image), start..sets.start)?;
        Ok(Self { values, sets: sets.records, start })
    }

    /// Returns the set at an index.
    pub(super) fn set(&self, index: u32, known: &mut ReadSets) -> Result<Rc<[Xattr]>> {
        known.sets.resize(self.sets.len(), None);
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let (Some(id), Some(slot)) = (self.sets.get(at), known.sets.get_mut(at)) else {
            return Err(breaks(format_args!("no set {index}")));
        };
        if let Some(set) = slot {
            return Ok(Rc::clone(set));
        }
        let mut cursor = self.values.cursor(self.values.position_of(id.xattr.get())?);
        let mut xattrs: Vec<Xattr> = Vec::new();
        let mut size = 0;
        for _ in 0..id.count.get() {
            let xattr = self.read_xattr(&mut cursor)?;
            // Names are counted with the NUL that ends them in a system call.
            size += xattr.name.len() + 1 + xattr.value.len();
            if known.total + size > TOTAL_MAX {
                return Err(breaks("more than 256 MiB"));
            }
            xattrs.push(xattr);
        }
        xattrs.sort();
        if xattrs.windows(2).any(|pair| pair[0].name == pair[1].name) {
            return Err(breaks(format_args!("set {index} has a name twice")));
        }
        if size != id.size.get() as usize {
            return Err(breaks(format_args!("set {index} has {size} bytes, not {}", id.size)));
        }
        known.total += size;
        let set: Rc<[Xattr]> = xattrs.into();
        *slot = Some(Rc::clone(&set));
        Ok(set)
    }

    fn read_xattr(&self, cursor: &mut Cursor<'_>) -> Result<Xattr> {
        let entry: XattrEntry = cursor.record()?;
        let r#type = entry.r#type.get();
        let prefix: &[u8] = match r#type & !xattr_type::VALUE_OOL {
            xattr_type::USER => b"user.",
            xattr_type::TRUSTED => b"trusted.",
            xattr_type::SECURITY => b"security.",
            _ => return Err(breaks(format_args!("type {}", entry.r#type))),
        };
        let mut name = prefix.to_vec();
        name.extend(cursor.bytes(entry.size.get().into())?);
        let value = if r#type & xattr_type::VALUE_OOL == 0 {
            read_value(cursor)?
        } else {
            let size: XattrVal = cursor.record()?;
            if size.vsize.get() as usize != size_of::<U64>() {
                return Err(breaks(format_args!("a reference of {} bytes", size.vsize)));
            }
            let reference: U64 = cursor.record()?;
            read_value(&mut self.values.cursor(self.values.position_of(reference.get())?))?
        };
        Ok(Xattr { name, value })
    }
}

fn read_value(cursor: &mut Cursor<'_>) -> Result<Vec<u8>> {
    let XattrVal { vsize } = cursor.record()?;
    match vsize.get() {
        len @ 0..=VALUE_MAX => cursor.bytes(len.into()),
        len => Err(breaks(format_args!("a value of {len} bytes"))),
    }
}
