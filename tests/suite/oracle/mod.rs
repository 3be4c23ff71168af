//! Independent checks of images: file system checkers, a boot loader's file system code, and the
//! kernel.
//!
//! Every oracle returns a [`Verdict`]. The problems that it finds are returned as an error, so that
//! negative tests can expect them. An oracle that can't run at all panics instead, which can't be
//! mistaken for either result.

mod backhand;
mod blkid;
pub mod btrfs;
mod compare;
pub mod erofs;
mod ext4;
mod fat;
mod gpt;
mod grub;
mod kernel_log;
mod mount;
pub mod openssl;
mod sid;
pub mod squashfs;
mod swap;
mod tool;
pub mod verity;

use std::fmt;
use std::path::Path;

pub use backhand::backhand;
pub use blkid::blkid;
pub use compare::{Comparison, read_xattrs};
pub use ext4::e2fsck;
pub use fat::{extract_fat, fsck_fat, mtools};
pub use gpt::{Partition, extract, gpt, partitions, sfdisk, sgdisk};
pub use grub::{grub_cmp, grub_ls};
pub use kernel_log::KernelLog;
pub use mount::{LoopDevice, Mounted, fingerprint, mount_ext4};
pub use sid::sid;
pub use swap::swap_to;
pub use tool::{flip, require_root, run, sha256, shell};

/// The problems that an oracle found.
pub struct OracleError(pub String);

impl fmt::Debug for OracleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The result of an oracle.
pub type Verdict<T = ()> = Result<T, OracleError>;

fn oracle_error<T>(text: impl Into<String>) -> Verdict<T> {
    Err(OracleError(text.into()))
}

/// Checks an ext4 file system built from the tree at `source` with every oracle.
pub fn ext4(image: &Path, source: &Path, comparison: &Comparison) -> Verdict {
    e2fsck(image)?;
    mount_ext4(image, |root| comparison.compare(source, root))?
}

/// Checks a disk image with every oracle: its partition table, an ESP built from `source/efi` and
/// an ext4 root built from the rest.
///
/// Returns the partitions.
pub fn disk(
    image: &Path,
    sector_size: u64,
    source: &Path,
    comparison: &Comparison,
) -> Verdict<Vec<Partition>> {
    gpt(image, sector_size)?;
    let partitions = partitions(image, sector_size)?;
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("partition");
    let mut roots = 0;
    for partition in &partitions {
        extract(image, partition, &file);
        if partition.is_esp() {
            fsck_fat(&file)?;
            let files = scratch.path().join("files");
            std::fs::create_dir(&files).unwrap();
            extract_fat(&file, &files)?;
            Comparison::names_and_content().compare(&source.join("efi"), &files)?;
        } else if partition.is_bios_boot() {
            if std::fs::read(&file).unwrap() != [0; 1 << 20] {
                return oracle_error("the BIOS boot partition is not 1 MiB of zeros");
            }
        } else {
            roots += 1;
            ext4(&file, source, &comparison.clone().hollow("efi"))?;
        }
    }
    if roots != 1 {
        return oracle_error(format!("{roots} root partitions"));
    }
    Ok(partitions)
}
