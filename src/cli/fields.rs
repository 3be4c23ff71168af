//! Command-line options in errors and warnings of the library, which names options by their fields.

use crate::error::Error;

/// The options of a command: the first table with a field counts.
pub(super) struct Flags(pub(super) &'static [&'static [(&'static str, &'static str)]]);

/// The options of all commands except `detfs repart`.
pub(super) const FLAGS: Flags = Flags(&[COMMON]);

/// Fields with their options, or with what the user knows them by. An option that ends with `=`
/// keeps it within a sentence.
pub(super) const COMMON: &[(&str, &str)] = &[
    ("architecture", "--architecture"),
    ("boot.cmdline", "--cmdline"),
    ("boot.method", "--boot"),
    ("boot.uki_hook", "--uki-hook"),
    ("btrfs.compression", "--compress"),
    ("btrfs.copy_links", "--copy-links"),
    ("btrfs.default_subvolume", "--default-subvolume"),
    ("btrfs.max_inline", "--btrfs-max-inline"),
    ("btrfs.node_size", "--btrfs-node-size"),
    ("btrfs.subvolumes", "--subvolume"),
    ("compression", "--compress"),
    ("epoch", "--source-date-epoch"),
    ("erofs.cluster_size", "--erofs-cluster-size"),
    ("erofs.compression", "--compress"),
    ("erofs.fragments", "--fragments"),
    ("erofs.profile", "--erofs-profile"),
    ("esp.fat", "--esp-fat"),
    ("esp.from", "--esp-from"),
    ("esp.sector_size", "--esp-sector-size"),
    ("esp.size", "--esp-size"),
    ("esp.tree", "--esp-tree"),
    ("ext4.block_size", "--ext4-block-size"),
    ("ext4.grow_to", "--grow-to"),
    ("ext4.inodes", "--inodes"),
    ("format", "the format"),
    ("gpt", "partition table"),
    ("headroom", "--headroom"),
    ("image.size", "--size"),
    ("image.usr", "--usr-fs"),
    ("image.verity", "--verity"),
    ("image.xbootldr", "--xbootldr"),
    ("image.xbootldr_size", "--xbootldr-size"),
    ("label", "--label"),
    ("normalize", "--normalize"),
    ("normalize.profile", "--normalize"),
    ("normalize.rules", "`detfs normalize --list`"),
    ("output", "the output"),
    ("output.force", "--force"),
    ("root", "--fs"),
    ("sector_size", "--sector-size"),
    ("signature.certificate", "--certificate"),
    ("signature.key", "--private-key"),
    ("single.size", "--size"),
    ("size", "--size"),
    ("spool", "the directory for temporary files"),
    ("squashfs.block_size", "--squashfs-block-size"),
    ("squashfs.compression", "--compress"),
    ("stage.architecture", "--architecture"),
    ("stage.cache", "--cache"),
    ("stage.configuration", "--pacman-conf"),
    ("stage.locked", "--locked"),
    ("stage.mirror", "--mirror"),
    ("stage.packages", "--package"),
    ("stage.repositories", "--repo"),
    ("swapfile", "--swapfile"),
    ("tree", "the tree"),
    ("tree.exclude", "--exclude"),
    ("tree.gids", "--gid-map"),
    ("tree.uids", "--uid-map"),
    ("uuid", "--uuid"),
];

impl Flags {
    /// Returns the option that sets a field.
    pub(super) fn of(&self, field: &str) -> Option<&'static str> {
        let mut all = self.0.iter().copied().flatten();
        all.find_map(|&(name, flag)| (name == field).then_some(flag))
    }

    /// Formats an error.
    pub(super) fn error(&self, error: &Error) -> String {
        match error {
            Error::Parameter { field, rule, remedy } => {
                let option = self.of(field).unwrap_or(field).trim_end_matches('=');
                self.text(&format!("{option}: {rule}; {remedy}"))
            }
            error => self.text(&error.to_string()),
        }
    }

    /// Replaces the fields in a text, which are dotted names in backticks, by their options. A
    /// field may have a value, as in `repart.empty=force`.
    pub(super) fn text(&self, text: &str) -> String {
        let mut replaced = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('`') {
            replaced += before;
            match after.split_once('`').and_then(|(span, end)| Some((self.span(span)?, end))) {
                Some((option, end)) => {
                    replaced += &option;
                    rest = end;
                }
                None => {
                    replaced.push('`');
                    rest = after;
                }
            }
        }
        replaced + rest
    }

    fn span(&self, span: &str) -> Option<String> {
        let (field, value) = match span.split_once('=') {
            Some((field, value)) => (field, Some(value)),
            None => (span, None),
        };
        // Single words may be keys of a definition file.
        let flag = self.of(field).filter(|_| field.contains('.'))?;
        Some(match value {
            Some(value) => format!("{}={value}", flag.trim_end_matches('=')),
            None => flag.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_replaced_by_options() {
        let error = Error::parameter(
            "label",
            "a label like `size` or `~` is too long",
            "use larger nodes (`btrfs.node_size`), or `esp.fat=32`, or `esp.other`",
        );
        assert_eq!(
            FLAGS.error(&error),
            "--label: a label like `size` or `~` is too long; use larger nodes \
             (--btrfs-node-size), or --esp-fat=32, or `esp.other`"
        );
        assert_eq!(FLAGS.text("one ` or `esp.size``esp.tree`"), "one ` or --esp-size--esp-tree");
        let own = Flags(&[&[("label", "Label="), ("esp.size", "--esp=")], COMMON]);
        assert_eq!(own.text("`esp.size` or `esp.size=auto`"), "--esp= or --esp=auto");
        assert_eq!(own.error(&Error::parameter("label", "a", "b")), "Label: a; b");
    }
}
