//! What systemd-boot finds on the boot partitions.

use std::sync::Arc;

use super::ids::DiskIds;
use crate::disk::uefi::{Entry, Firmware, Pe, find, text, without_counter};
use crate::disk::verity::VerityTarget;
use crate::error::Result;
use crate::name::Printable;
use crate::report::Warning;
use crate::tree::{InodeId, Kind, Tree};

/// What systemd-boot finds on the boot partitions.
#[derive(Debug, Default)]
pub(super) struct Menu {
    /// Names of entries and unified kernel images, without their counters.
    names: Vec<String>,
    /// Whether anything can be booted.
    pub(super) is_bootable: bool,
    /// Problems of entries and images, which keep them from booting.
    pub(super) problems: Vec<Warning>,
}

/// Keys of an entry with the path of a file, or with several.
const FILES: [&str; 6] = ["linux", "initrd", "efi", "uki", "devicetree", "devicetree-overlay"];

/// Those of [`FILES`] that the boot loader starts.
const PROGRAMS: [&str; 3] = ["linux", "efi", "uki"];

impl Menu {
    /// Reads the entries and unified kernel images of the boot partitions.
    pub(super) fn read(
        partitions: &[Arc<Tree>],
        firmware: &Firmware,
        ids: &DiskIds,
    ) -> Result<Self> {
        let mut menu = Self::default();
        for tree in partitions {
            for (name, file) in files(tree, b"loader/entries", ".conf") {
                if let Some(text) = text(tree, file)? {
                    let problem = entry_problem(tree, &Entry::parse(&text), firmware, ids)?;
                    menu.add(tree, &name, file, problem);
                }
            }
            for (name, file) in files(tree, b"EFI/Linux", ".efi") {
                menu.add(tree, &name, file, program_problem(tree, file, firmware, ids)?);
            }
        }
        Ok(menu)
    }

    fn add(&mut self, tree: &Tree, name: &str, file: InodeId, problem: Option<String>) {
        self.names.push(without_counter(name).to_ascii_lowercase());
        match problem {
            Some(message) => self.problems.push(Warning { path: tree.path(file), message }),
            None => self.is_bootable = true,
        }
    }

    /// Returns a warning if the default of `loader.conf` does not exist.
    pub(super) fn missing_default(&self, esp: &Tree) -> Result<Option<Warning>> {
        let Some(file) = find(esp, b"loader/loader.conf") else { return Ok(None) };
        let Some(text) = text(esp, file)? else { return Ok(None) };
        let configuration = Entry::parse(&text);
        let Some(pattern) = configuration.value("default") else { return Ok(None) };
        let lower = pattern.to_ascii_lowercase();
        // Names with @ are variables of the firmware, and auto- stands for what is not on the disk.
        let is_special = lower.starts_with('@') || lower.starts_with("auto-");
        let matches = |name: &String| {
            let stem = name.rsplit_once('.').map_or(&**name, |(stem, _)| stem);
            is_match(lower.as_bytes(), name.as_bytes())
                || is_match(lower.as_bytes(), stem.as_bytes())
        };
        if is_special || lower.contains('[') || self.names.iter().any(matches) {
            return Ok(None);
        }
        let message = format!("no entry has the name of the default, {}", Printable(pattern));
        Ok(Some(Warning { path: esp.path(file), message }))
    }
}

/// Returns the files of a directory on FAT whose names have an extension.
fn files(tree: &Tree, directory: &[u8], extension: &str) -> Vec<(String, InodeId)> {
    let directory = find(tree, directory);
    let entries = directory.into_iter().flat_map(|directory| tree.entries(directory));
    let files = entries.filter_map(|entry| {
        let name = String::from_utf8_lossy(tree.name(entry)).into_owned();
        let is_named = name.to_ascii_lowercase().ends_with(extension);
        is_named.then_some((name, entry.inode()))
    });
    files.collect()
}

/// Returns why an entry can't boot, if so.
fn entry_problem(
    tree: &Tree,
    entry: &Entry,
    firmware: &Firmware,
    ids: &DiskIds,
) -> Result<Option<String>> {
    let paths = FILES.iter().flat_map(|&key| {
        let values = entry.values(key);
        values.flat_map(move |value| value.split_whitespace().map(move |path| (key, path)))
    });
    for (key, path) in paths {
        // GRUB's entries may contain variables.
        if path.contains('$') {
            continue;
        }
        let what = format!("its `{key}` {}", Printable(path));
        let Some(file) = find(tree, path.as_bytes()) else {
            let rule = "does not exist on the partition of the entry";
            return Ok(Some(format!("{what} {rule}")));
        };
        match tree.inode(file).kind {
            Kind::File { .. } if PROGRAMS.contains(&key) => {
                if let Some(problem) = program_problem(tree, file, firmware, ids)? {
                    return Ok(Some(format!("{what}: {problem}")));
                }
            }
            Kind::File { size: 1.., .. } => {}
            Kind::File { .. } => return Ok(Some(format!("{what} is empty"))),
            _ => return Ok(Some(format!("{what} is not a file"))),
        }
    }
    if !PROGRAMS.iter().chain(&["uki-url"]).any(|key| entry.value(key).is_some()) {
        return Ok(Some("it has neither `linux` nor `efi` nor `uki`".to_owned()));
    }
    let options: Vec<_> = entry.values("options").collect();
    Ok(options_problem(&options.join(" "), ids))
}

/// Returns why a program on a boot partition can't boot, if so.
pub(super) fn program_problem(
    tree: &Tree,
    file: InodeId,
    firmware: &Firmware,
    ids: &DiskIds,
) -> Result<Option<String>> {
    let Some(program) = Pe::read(tree, file)? else {
        return Ok(Some("it is not an EFI program".to_owned()));
    };
    if !firmware.runs(&program) {
        return Ok(Some("it is an EFI program for another architecture".to_owned()));
    }
    if !program.is_uki() {
        return Ok(None);
    }
    let options = program.text(tree, file, ".cmdline")?;
    // Without a command line inside, that of the boot loader counts, which is not known.
    Ok(options.and_then(|options| options_problem(&options, ids)))
}

/// Returns what is wrong with the devices in the options of a kernel, if anything: one that is not
/// on the disk, or a protected file system that is mounted without its hash tree.
fn options_problem(options: &str, ids: &DiskIds) -> Option<String> {
    match ids.vain_option(options) {
        Some((option, rule)) => Some(format!("its {} {rule}", Printable(option))),
        None => ids.unverified(options).map(|target| {
            let (option, file_system) = match target {
                VerityTarget::Root => (target.option(), "the root"),
                VerityTarget::Usr => (target.option(), "/usr"),
            };
            format!("its command line has no {option}, so nothing would verify {file_system}")
        }),
    }
}

/// Returns whether a pattern with `*` and `?` matches the whole of a name.
///
/// Only the last `*` is ever given more of the name, so that the time is at most the product of the
/// lengths.
fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut name_at) = (0, 0);
    // Positions after the last `*`, and in the name where its part ends.
    let mut star = None;
    while name_at < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, name_at));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[name_at] => {
                at += 1;
                name_at += 1;
            }
            _ => {
                let Some((after, end)) = star else { return false };
                star = Some((after, end + 1));
                (at, name_at) = (after, end + 1);
            }
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names() {
        for (pattern, name, expected) in [
            ("debian-*", "debian-6.1.conf", true),
            ("debian-*.conf", "debian-6.1.conf", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*b*c", "abbcc", true),
            ("*b*c", "abbccd", false),
            ("a*?", "a", false),
            ("a*?**", "ab", true),
            ("*a*a*a*a*a*a*a*a*b", &*"a".repeat(1000), false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("arch-*", "debian-6.1.conf", false),
            ("debian", "debian-6.1.conf", false),
        ] {
            assert_eq!(is_match(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
