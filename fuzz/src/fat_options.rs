//! Arbitrary options of the FAT planner.

use arbitrary::Arbitrary;
use detfs::fat::{Options, Variant};

use crate::arbitrary_tree::{Time, Validity};

#[derive(Debug, Arbitrary)]
pub struct ArbitraryFatOptions {
    size: Size,
    sector_size: u8,
    hidden_sectors: u32,
    volume_id: u32,
    label: Option<([u8; 2], u8)>,
    epoch: Time,
    variant: Option<u8>,
}

#[derive(Debug, Arbitrary)]
enum Size {
    Smallest,
    /// Size in units of 4096 bytes.
    Small(u8),
    Middle(u16),
    Extreme(u8, u16),
}

const SECTOR_SIZES: [u32; 6] = [512, 1024, 2048, 4096, 256, 8192];
/// Number of [`SECTOR_SIZES`] that FAT supports.
const VALID: usize = 4;
const VARIANTS: [Variant; 3] = [Variant::Fat12, Variant::Fat16, Variant::Fat32];

impl ArbitraryFatOptions {
    /// Returns the options, which include invalid ones with [`Validity::Wild`].
    pub fn options(&self, taste: Validity) -> Options {
        let wild = taste == Validity::Wild;
        let size = match self.size {
            Size::Smallest => None,
            Size::Small(units) => Some(u64::from(units) << 12),
            Size::Middle(units) => Some(u64::from(units) << 12),
            Size::Extreme(shift, less) => {
                wild.then(|| (u64::MAX >> (shift % 40)) - u64::from(less))
            }
        };
        let label = self.label.map(|(bytes, len)| match wild {
            true => String::from_utf8_lossy(&bytes.repeat(usize::from(len) % 8)).into_owned(),
            false => bytes.iter().map(|byte| char::from(b'A' + byte % 26)).collect(),
        });
        let sector_sizes = if wild { SECTOR_SIZES.len() } else { VALID };
        Options {
            size,
            sector_size: SECTOR_SIZES[usize::from(self.sector_size) % sector_sizes],
            hidden_sectors: self.hidden_sectors,
            volume_id: self.volume_id,
            label,
            epoch: self.epoch.timestamp(taste),
            variant: self.variant.map(|which| VARIANTS[usize::from(which) % VARIANTS.len()]),
        }
    }
}
