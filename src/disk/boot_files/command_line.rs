//! The kernel's command line.

use uuid::Uuid;

use crate::disk::uefi;
use crate::error::Result;
use crate::report::Warning;
use crate::tree::Tree;

/// Files with the command line, in the order of `kernel-install`.
const PLACES: [&[u8]; 2] = [b"etc/kernel/cmdline", b"usr/lib/kernel/cmdline"];

/// Returns the options of the kernel: the root partition, `rw`, and `given` or else those of the
/// tree. Root and `rw` are left out if the others set them.
///
/// The root is mounted writable, because without an entry in `fstab` nothing would remount it.
pub(super) fn options(
    tree: &Tree,
    given: Option<&str>,
    root: Uuid,
) -> Result<(String, Option<Warning>)> {
    let (path, text) = match given {
        Some(text) => (None, text.to_owned()),
        None => from_tree(tree)?,
    };
    let words: Vec<_> = text.split_whitespace().collect();
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
    let all: Vec<_> = root.into_iter().chain(mode).chain(words).collect();
    Ok((all.join(" "), warning))
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
            let (found, warning) = options(&tree, given, Uuid::nil()).unwrap();
            assert_eq!(found, expected);
            assert_eq!(warning.is_some(), warns, "{expected}");
        }
    }
}
