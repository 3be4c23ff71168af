//! Header blocks.

use zerocopy::FromBytes;

use super::fault::{Fault, Result};
use super::number;
use super::spec::{BLOCK, OLDGNU_MAGIC, RawHeader, RawOldGnu, STAR_TRAILER, TMAGIC};

/// Dialect of a header, which decides what is after the device numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Without a magic: Unix version 7.
    V7,
    Posix,
    Gnu,
    Star,
}

/// A header whose checksum is right.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) raw: RawHeader,
    pub(super) dialect: Dialect,
}

impl Header {
    /// Parses a header block.
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self> {
        let raw = RawHeader::read_from_bytes(block).expect("a header has the size of a block");
        let stored = number::of_field("chksum", &raw.chksum)?;
        let bytes = || block[..148].iter().chain(&[b' '; 8]).chain(&block[156..]);
        let unsigned: i64 = bytes().map(|&byte| i64::from(byte)).sum();
        // Some old programs add signed bytes.
        let signed: i64 = bytes().map(|&byte| i64::from(byte.cast_signed())).sum();
        if stored != unsigned && stored != signed {
            return Err(Fault::new(format!("chksum is {stored:#o}, the block has {unsigned:#o}")));
        }
        let dialect = match &raw.magic {
            OLDGNU_MAGIC => Dialect::Gnu,
            TMAGIC if raw.rest.ends_with(STAR_TRAILER) => Dialect::Star,
            TMAGIC => Dialect::Posix,
            magic if magic.starts_with(b"ustar") => {
                return Err(Fault::new("the version of its header is unknown"));
            }
            _ => Dialect::V7,
        };
        Ok(Self { raw, dialect })
    }

    /// Returns the name, with the prefix.
    pub(super) fn name(&self) -> Vec<u8> {
        let prefix = match self.dialect {
            Dialect::Posix => &self.raw.rest[..155],
            Dialect::Star => &self.raw.rest[..131],
            Dialect::V7 | Dialect::Gnu => &[],
        };
        match until_nul(prefix) {
            b"" => until_nul(&self.raw.name).to_vec(),
            prefix => [prefix, until_nul(&self.raw.name)].join(&b'/'),
        }
    }

    /// Returns the target of a hard or symbolic link.
    pub(super) fn linkname(&self) -> Vec<u8> {
        until_nul(&self.raw.linkname).to_vec()
    }

    /// Returns the length of the data.
    pub(super) fn size(&self) -> Result<u64> {
        let size = number::of_field("size", &self.raw.size)?;
        u64::try_from(size).map_err(|_| Fault::new(format!("size is {size}")))
    }

    /// Returns the part of the header that only GNU tar writes.
    pub(super) fn gnu(&self) -> &RawOldGnu {
        RawOldGnu::ref_from_bytes(&self.raw.rest).expect("it is the rest of the block")
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}
