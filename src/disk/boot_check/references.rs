//! References to devices in `fstab` and in configurations of GRUB.

use super::ids::{DiskIds, NOWHERE, unescape};

/// Returns the devices of an `fstab` that must exist and are not on the disk, each with its mount
/// point.
pub(super) fn in_fstab<'a>(text: &'a str, ids: &DiskIds) -> Vec<(&'a str, &'a str)> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter_map(|fields| match *fields {
            [device, place, _, options, ..] => {
                let is_optional =
                    options.split(',').any(|option| ["noauto", "nofail"].contains(&option));
                let is_comment = device.starts_with('#');
                let is_foreign = ids.is_foreign(&unescape(device, "\\", 8));
                (is_foreign && !is_optional && !is_comment).then_some((device, place))
            }
            [device, place, _] if !device.starts_with('#') => {
                ids.is_foreign(&unescape(device, "\\", 8)).then_some((device, place))
            }
            _ => None,
        })
        .collect()
}

/// Returns the references of a `grub.cfg` that are in vain, each once and with what is wrong with
/// it: what it searches for, and `root=` and the like in the options of kernels.
pub(super) fn in_grub_cfg(text: &str, ids: &DiskIds) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let reference = match words.first() {
            Some(command) if command.starts_with("search") => {
                let reference = searched(&words).filter(|reference| ids.is_foreign(reference));
                reference.map(|reference| (reference, NOWHERE))
            }
            Some(command) if command.starts_with("linux") => {
                ids.vain_option(line).map(|(option, rule)| (option.to_owned(), rule))
            }
            _ => None,
        };
        if let Some(reference) = reference
            && !found.contains(&reference)
        {
            found.push(reference);
        }
    }
    found
}

/// Returns the reference of a `search` command: `UUID=...` or `LABEL=...`. Variables are unknown.
fn searched(words: &[&str]) -> Option<String> {
    let (command, arguments) = words.split_first()?;
    let has = |names: &[&str]| arguments.iter().any(|word| names.contains(word));
    let (tag, value) = match *command {
        "search.fs_uuid" => ("UUID", arguments.first()?),
        "search.fs_label" => ("LABEL", arguments.first()?),
        "search" if has(&["--fs-uuid", "-u"]) => ("UUID", arguments.last()?),
        "search" if has(&["--label", "-l"]) => ("LABEL", arguments.last()?),
        _ => return None,
    };
    let value = value.trim_matches(['"', '\'']);
    (!value.contains('$')).then(|| format!("{tag}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_lines_of_an_fstab_are_found() {
        let fstab = "# UUID=1 / ext4 defaults 0 0\r\n\
                     UUID=2 / ext4 defaults 0 1\r\n\
                     LABEL=a\\040b /home ext4\n\
                     UUID=3 /srv ext4 nofail,ro 0 2\n\
                     UUID=4 /mnt ext4 ro,noauto 0 2\n\
                     /dev/sda3 none swap sw 0 0\n\
                     tmpfs /tmp tmpfs\nx\n";
        let found = in_fstab(fstab, &DiskIds::default());
        assert_eq!(found, [("UUID=2", "/"), ("LABEL=a\\040b", "/home")]);
    }

    #[test]
    fn foreign_lines_of_a_grub_cfg_are_found() {
        let grub = "search --no-floppy --fs-uuid --set=root 1234\r\n\
                    \tsearch --no-floppy --fs-uuid --set=root --hint-bios=hd0,gpt2 1234\n\
                    search.fs_uuid 5678 root hd0,gpt2\n\
                    search --label --set root \"a\"\n\
                    search --fs-uuid --set=root $uuid\n\
                    search --file --set=root /boot/x\n\
                    \tlinux /boot/vmlinuz root=UUID=9 ro\n\
                    \tlinux /boot/vmlinuz root=$root ro\n\
                    \tlinuxefi /boot/vmlinuz root=/dev/sda2\n\
                    echo root=UUID=8\n";
        let found = in_grub_cfg(grub, &DiskIds::default());
        let expected = ["UUID=1234", "UUID=5678", "LABEL=a", "root=UUID=9"];
        assert_eq!(found, expected.map(|reference| (reference.to_owned(), NOWHERE)));
    }
}
