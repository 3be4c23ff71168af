//! File systems that are mounted inside the tree.

use rustix::fd::BorrowedFd;
use rustix::fs::{Statx, StatxAttributes, fstatfs};

use super::node::{NodeError, refused};

/// File systems whose files the running kernel makes up, by the magic numbers of `linux/magic.h`.
const KERNEL: [(i128, &str); 18] = [
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x1cd1, "devpts"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xcafe_4a11, "bpf"),
    (0x6165_676c, "pstore"),
    (0xde5e_81e4, "efivarfs"),
    (0x6265_6570, "configfs"),
    (0x1980_0202, "mqueue"),
    (0x6573_5543, "fusectl"),
    (0x4249_4e4d, "binfmt_misc"),
    (0x0187, "autofs"),
    (0xf97c_ff8c, "selinuxfs"),
    (0x6e73_6673, "nsfs"),
];

/// Whether a node is the root of a mounted file system, or a file that another one is mounted on.
pub(super) fn is_mounted(status: &Statx) -> bool {
    status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
}

/// Refuses to read a file system of the kernel.
pub(super) fn check(directory: BorrowedFd<'_>) -> Result<(), NodeError> {
    let found = fstatfs(directory).map_err(refused("cannot see what is mounted on it"))?;
    let magic = i128::from(found.f_type) & 0xffff_ffff;
    match KERNEL.iter().find(|(number, _)| *number == magic) {
        Some((_, name)) => Err(NodeError::Kernel(name)),
        None => Ok(()),
    }
}
