//! The kernel's command line.

use uuid::Uuid;

use crate::disk::uefi;
use crate::disk::verity::VerityTarget;
use crate::error::{Error, Result};
use crate::hex::hex;
use crate::name::Printable;
use crate::report::Warning;
use crate::tree::Tree;

/// Files with the command line, in the order of `kernel-install`.
const PLACES: [&[u8]; 2] = [b"etc/kernel/cmdline", b"usr/lib/kernel/cmdline"];

/// What the kernel mounts as its root.
#[derive(Debug, Clone, Copy)]
pub(in crate::disk) enum RootDevice {
    /// The partition with this GUID.
    Partition(Uuid),
    /// The file system with this root hash.
    Verity([u8; 32]),
    /// The partition with this GUID, and at `/usr` the file system with this root hash.
    PartitionAndUsr(Uuid, [u8; 32]),
}

/// Returns the options of the kernel: the root, and `given` or else those of the tree.
///
/// A root partition is mounted writable, because without an entry in `fstab` nothing would remount
/// it. It and `rw` are left out if the other options set them.
pub(super) fn options(
    tree: &Tree,
    given: Option<&str>,
    root: RootDevice,
) -> Result<(String, Option<Warning>)> {
    let (path, text) = match given {
        Some(text) => (None, text.to_owned()),
        None => from_tree(tree)?,
    };
    let words: Vec<_> = text.split_whitespace().collect();
    let check = |target| check_verity(target, path.as_deref(), &words);
    let (root, usr_hash) = match root {
        RootDevice::Partition(root) => (root, None),
        RootDevice::PartitionAndUsr(root, usr_hash) => {
            check(VerityTarget::Usr)?;
            // systemd mounts /dev/mapper/usr, read-only, if there is no mount.usr=.
            (root, Some(format!("usrhash={}", hex(&usr_hash))))
        }
        RootDevice::Verity(root_hash) => {
            check(VerityTarget::Root)?;
            // systemd mounts /dev/mapper/root, read-only, if there is no other root.
            let root_hash = format!("roothash={}", hex(&root_hash));
            let all: Vec<_> = [&*root_hash].into_iter().chain(words).collect();
            return Ok((all.join(" "), None));
        }
    };
    let own_root = words.iter().rfind(|word| word.starts_with("root="));
    let warning = own_root.map(|word| {
        let subject = if given.is_some() { "`boot.cmdline` has" } else { "it has" };
        let message = format!("{subject} {word}, so the root= of this image is not added");
        Warning { path: path.unwrap_or_default(), message }
    });
    let root = own_root.is_none().then(|| format!("root=PARTUUID={root}"));
    let has_mode = words.iter().any(|word| ["ro", "rw"].contains(word));
    let mode = (!has_mode).then(|| "rw".to_owned());
    let words = words.into_iter().map(str::to_owned);
    let all: Vec<_> = root.into_iter().chain(mode).chain(usr_hash).chain(words).collect();
    Ok((all.join(" "), warning))
}

/// Rejects options that contradict a root hash: another device, another hash, and a writable root.
fn check_verity(target: VerityTarget, path: Option<&[u8]>, words: &[&str]) -> Result<()> {
    let keys = match target {
        VerityTarget::Root => ["root=", "systemd.verity_root_data=", "systemd.verity_root_hash="],
        VerityTarget::Usr => ["mount.usr=", "systemd.verity_usr_data=", "systemd.verity_usr_hash="],
    };
    let keys = [target.option(), "systemd.verity="].into_iter().chain(keys);
    let contradicts = |word: &&&str| {
        (target == VerityTarget::Root && **word == "rw")
            || keys.clone().any(|key| word.starts_with(key))
    };
    let Some(word) = words.iter().find(contradicts) else { return Ok(()) };
    let rule = format!("{} contradicts the root hash, which is added", Printable(word));
    match path {
        Some(path) => {
            Err(Error::unrepresentable(path, rule, "leave it out, or give `boot.cmdline`"))
        }
        None => Err(Error::parameter("boot.cmdline", rule, "leave it out")),
    }
}

/// Returns the first file of the tree with a command line, and its text without comments.
fn from_tree(tree: &Tree) -> Result<(Option<Vec<u8>>, String)> {
    for path in PLACES {
        let Some(file) = tree.resolve(path) else { continue };
        if let Some(text) = uefi::text(tree, file)? {
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            return Ok((Some(path.to_vec()), lines.collect::<Vec<_>>().join(" ")));
        }
    }
    Ok((None, String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Metadata, TreeBuilder};

    #[test]
    fn root_and_mode_are_added_where_they_are_missing() {
        let root = "root=PARTUUID=00000000-0000-0000-0000-000000000000";
        for (of_tree, given, expected, warns) in [
            (None, None, format!("{root} rw"), false),
            (Some("quiet\n# x\n a=b\n"), None, format!("{root} rw quiet a=b"), false),
            (Some("quiet"), Some("ro splash"), format!("{root} ro splash"), false),
            (Some("quiet"), Some(""), format!("{root} rw"), false),
            (Some("root=/dev/sda2 ro"), None, "root=/dev/sda2 ro".into(), true),
            (None, Some("root=LABEL=x"), "rw root=LABEL=x".into(), true),
            (None, Some("rootwait"), format!("{root} rw rootwait"), false),
        ] {
            let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
            if let Some(text) = of_tree {
                builder.file("etc/kernel/cmdline", text, Metadata::default()).unwrap();
            }
            let tree = builder.finish().unwrap();
            let root = RootDevice::Partition(Uuid::nil());
            let (found, warning) = options(&tree, given, root).unwrap();
            assert_eq!(found, expected);
            assert_eq!(warning.is_some(), warns, "{expected}");
        }
    }

    #[test]
    fn nothing_contradicts_a_root_hash() {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        builder.file("etc/kernel/cmdline", "quiet rw\n", Metadata::default()).unwrap();
        let tree = builder.finish().unwrap();
        let options = |given| options(&tree, given, RootDevice::Verity([0xa5; 32]));
        let (found, warning) = options(Some("quiet rootwait")).unwrap();
        assert_eq!(found, format!("roothash={} quiet rootwait", "a5".repeat(32)));
        assert!(warning.is_none());
        for (given, expected) in [
            (None, "etc/kernel/cmdline: rw contradicts the root hash"),
            (Some("a rw"), "boot.cmdline: rw contradicts"),
            (Some("root=/dev/sda2"), "boot.cmdline: root=/dev/sda2 contradicts"),
            (Some("roothash=00"), "boot.cmdline: roothash=00 contradicts"),
            (Some("systemd.verity=no"), "boot.cmdline: systemd.verity=no contradicts"),
        ] {
            let error = options(given).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn the_hash_of_usr_is_added_to_the_root() {
        let tree = TreeBuilder::new(Metadata::default()).unwrap().finish().unwrap();
        let device = RootDevice::PartitionAndUsr(Uuid::nil(), [0xa5; 32]);
        let options = |given| options(&tree, Some(given), device);
        let (root, usr) = (format!("root=PARTUUID={}", Uuid::nil()), "a5".repeat(32));
        for (given, expected) in [
            ("quiet", format!("{root} rw usrhash={usr} quiet")),
            ("ro", format!("{root} usrhash={usr} ro")),
            ("root=/dev/sda2", format!("rw usrhash={usr} root=/dev/sda2")),
        ] {
            assert_eq!(options(given).unwrap().0, expected);
        }
        for given in ["usrhash=00", "mount.usr=/dev/sda3", "systemd.verity=no"] {
            let error = options(given).unwrap_err().to_string();
            let expected = format!("boot.cmdline: {given} contradicts the root hash");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
