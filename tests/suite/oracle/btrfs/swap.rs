//! Swaps to a file on btrfs.

use std::path::Path;

use super::super::Verdict;
use super::super::swap::swap_to;
use super::mount::session;
use super::{btrfs_check, copied};

/// Mounts a copy of an image, and enables and disables swapping to a file in it.
///
/// Returns the number of bytes that the kernel uses for swapping, which is one page less than the
/// file size.
pub fn swap_on(image: &Path, options: &str, path: &str) -> Verdict<u64> {
    let (_scratch, copy) = copied(image);
    let size = session(&copy, options, |root| swap_to(&root.join(path)))??;
    btrfs_check(&copy)?;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Sample;
    use super::*;

    #[test]
    fn only_what_can_be_swapped_to_is() {
        let sample = Sample::new();
        sample.change(
            "cd $1; : >good; : >copied; mkdir holes; chattr +C good holes; : >holes/file
            fallocate -l 8M good; truncate -s 8M holes/file; head -c 8M /dev/zero >copied
            chmod 600 good copied holes/file; mkswap -q good; mkswap -q holes/file
            mkswap -q copied",
        );
        assert_eq!(swap_on(&sample.image, "rw", "good").unwrap(), (8 << 20) - 4096);
        for path in ["copied", "holes/file", "dir/big", "dir/missing"] {
            swap_on(&sample.image, "rw", path).expect_err(path);
        }
    }
}
