//! Free space of a device, divided among chunks.

use super::chunks::{Chunk, Device};
use super::spec::{BlockGroupFlags, STRIPE_LEN};
use super::{DATA_CHUNK, METADATA_CHUNK, Metadata};
use crate::size::{MIB, round_up};

/// Minimum of free space if no headroom is requested, in bytes. With less, a kernel that boots from
/// the file system has no space for its first files.
pub(super) const LEAST_HEADROOM: u64 = 128 * MIB;

/// Free space in chunks, in bytes; the rest of the device is unallocated.
///
/// A kernel that finds no free space in any chunk allocates new chunks, metadata first, and each
/// takes a tenth of the device. On a device with little unallocated space, none is left for data.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FreeReserve {
    pub(super) data: u64,
    pub(super) metadata: u64,
    pub(super) system: u64,
}

impl FreeReserve {
    /// Divides `available` free bytes of a device; returns `None` for less than 4 MiB.
    ///
    /// Metadata takes a quarter, limited to a tenth of the device and to 128 MiB per copy. Each
    /// copy has at least 16 MiB, as far as three quarters of the bytes suffice for that. With less
    /// than 12 MiB of free metadata, Linux 6.18 refuses to create files: it reserves several MiB
    /// for itself.
    pub(super) fn within(available: u64, device: u64, metadata: Metadata) -> Option<Self> {
        const LEAST: u64 = 4 * MIB;
        if available < LEAST {
            return None;
        }
        let copies = match metadata {
            Metadata::Dup => 2,
            Metadata::Single => 1,
        };
        let whole = |bytes: u64| bytes / STRIPE_LEN * STRIPE_LEN;
        let each = available / copies;
        let share = (each / 4).min(device / 10 / copies);
        let metadata = whole(share.clamp(16 * MIB, 128 * MIB).min(each / 4 * 3));
        let system = whole((each / 64).min(MIB));
        let rest = available - copies * (metadata + system);
        // To balance, a kernel needs unallocated space for a chunk. On a mostly empty device, it
        // also allocates chunks from that space as needed: many small files need more metadata.
        // From a few MiB, it allocates nothing.
        let halved = available >= 512 * MIB || available >= 64 * MIB && available > device / 5 * 2;
        let chunks = if halved { rest / 2 } else { rest };
        Some(Self { data: whole(chunks).min(DATA_CHUNK), metadata, system })
    }
}

/// Allocates chunks for `used` bytes of tree blocks, with `reserve` free bytes in the last one.
pub(super) fn allocate(
    device: &mut Device,
    flags: BlockGroupFlags,
    mut used: u64,
    reserve: u64,
) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    while used > 0 {
        let most = match used <= METADATA_CHUNK {
            true => round_up(used, STRIPE_LEN) + reserve,
            false => METADATA_CHUNK,
        };
        let mut chunk = device.chunk(flags, 0, most);
        chunk.used = used.min(chunk.len);
        used -= chunk.used;
        chunks.push(chunk);
    }
    chunks
}
