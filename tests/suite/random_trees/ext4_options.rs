//! Arbitrary options of the ext4 planner, and their effects on a tree.

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use detfs::Headroom;
use detfs::Timestamp;
use detfs::ext4::{Options, Profile};
use detfs::tree::FileFlags;
use uuid::Uuid;

use super::arbitrary_tree::{Expected, Grown, Time, Validity, What};

#[derive(Debug, Arbitrary)]
pub struct ArbitraryExt4Options {
    uuid: u16,
    hash_seed: u8,
    label: [u8; 2],
    label_len: u8,
    epoch: Time,
    block_size: u8,
    profile: u8,
    size: Size,
    multiple: u16,
    headroom: Room,
    grow_to: Growth,
    inodes: Option<u16>,
}

#[derive(Debug, Arbitrary)]
enum Size {
    Smallest,
    /// Size in KiB.
    Fixed(u16),
    /// A multiple of 8 MiB, the size of a group of 1024-byte blocks, plus a number of bytes.
    Groups(u8, i16),
    /// The maximum, shifted right.
    Extreme(u8),
}

#[derive(Debug, Arbitrary)]
enum Room {
    Default,
    None,
    Bytes(u32),
    Percent(u8),
    Extreme(u8),
}

#[derive(Debug, Arbitrary)]
enum Growth {
    Default,
    Bytes(u32),
    Extreme(u8),
}

const PROFILES: [Profile; 4] = [Profile::Default, Profile::Modern, Profile::Boot, Profile::Ro];
const BLOCK_SIZES: [u32; 5] = [1024, 2048, 4096, 512, 8192];
/// Number of [`BLOCK_SIZES`] that ext4 supports here.
const VALID: usize = 3;

/// Returns a very large size. Sizes in between take long and are not special.
fn extreme(shift: u8) -> u64 {
    u64::MAX >> (shift % 12)
}

impl ArbitraryExt4Options {
    /// Returns the options, which include invalid ones with [`Validity::Wild`].
    pub fn options(&self, taste: Validity) -> Options {
        let wild = taste == Validity::Wild;
        let block_sizes = if wild { BLOCK_SIZES.len() } else { VALID };
        let mut label = vec![self.label[0]; usize::from(self.label_len) % 18];
        label.extend_from_slice(&self.label[1..]);
        let mut epoch = self.epoch.timestamp(taste);
        if !wild {
            label.truncate(16);
            label.iter_mut().filter(|byte| b"\0\n".contains(byte)).for_each(|byte| *byte = b'_');
            epoch.seconds = epoch.seconds.clamp(-(1 << 31), (1 << 34) - (1 << 31) - 1);
        }
        let size = match self.size {
            Size::Smallest => None,
            Size::Fixed(kib) => Some(u64::from(kib) << 10),
            Size::Groups(groups, more) => {
                Some((u64::from(groups % 36) << 23).saturating_add_signed(i64::from(more) << 6))
            }
            Size::Extreme(shift) => wild.then(|| extreme(shift)),
        };
        let headroom = match self.headroom {
            Room::Default => None,
            Room::None => Some(Headroom::Bytes(0)),
            Room::Bytes(bytes) => Some(Headroom::Bytes(u64::from(bytes >> 6))),
            Room::Percent(percent) => Some(Headroom::Percent(percent.into())),
            Room::Extreme(shift) => wild.then(|| Headroom::Bytes(extreme(shift))),
        };
        let grow_to = match self.grow_to {
            Growth::Default => None,
            Growth::Bytes(bytes) => Some(u64::from(bytes) << 6),
            Growth::Extreme(shift) => wild.then(|| extreme(shift)),
        };
        Options {
            uuid: Uuid::from_u128(u128::from(self.uuid) << 56 | u128::from(self.uuid)),
            hash_seed: Uuid::from_u128(u128::from(self.hash_seed) << 80),
            label,
            epoch,
            block_size: BLOCK_SIZES[usize::from(self.block_size) % block_sizes],
            profile: PROFILES[usize::from(self.profile) % PROFILES.len()],
            size,
            headroom,
            multiple: self.multiple.into(),
            grow_to,
            inodes: self.inodes.map(u64::from),
        }
    }
}

/// First and last time that ext4 can store.
const TIMES: (Timestamp, Timestamp) = (
    Timestamp { seconds: -0x8000_0000, nanoseconds: 0 },
    Timestamp { seconds: 0x3_7fff_ffff, nanoseconds: 999_999_999 },
);

/// Adjusts the expected nodes of a tree to those of its file system.
pub fn adapt(grown: &mut Grown, options: &Options) {
    for node in &mut grown.model {
        node.mtime = node.mtime.clamp(TIMES.0, TIMES.1);
        // Only entries with the tags 2 and 8 have an ID, whatever the format of the system calls
        // contains.
        let acls = node.xattrs.iter_mut().filter(|(name, _)| name.starts_with(b"system."));
        for entry in acls.flat_map(|(_, acl)| acl[4..].chunks_exact_mut(8)) {
            if !matches!(entry[0], 0x02 | 0x08) {
                entry[4..].fill(0xff);
            }
        }
        // An ACL of three entries is equivalent to the mode.
        let access = &b"system.posix_acl_access"[..];
        if node.xattrs.get(access).is_some_and(|acl| acl.len() == 4 + 3 * 8) {
            node.xattrs.remove(access);
        }
    }
    let position = grown.model.len();
    let What::Directory(names) = &mut grown.model[0].what else { unreachable!("it is the root") };
    if options.profile != Profile::Ro && !names.contains_key(&b"lost+found"[..]) {
        names.insert(b"lost+found".to_vec(), position);
        grown.model.push(Expected {
            what: What::Directory(BTreeMap::new()),
            mode: 0o700,
            uid: 0,
            gid: 0,
            mtime: options.epoch,
            flags: FileFlags::empty(),
            xattrs: BTreeMap::new(),
            names: 1,
        });
    }
}
