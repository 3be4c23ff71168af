//! Options of systemd-repart for the fields of the library.

use crate::cli::fields::{COMMON, Flags};

/// The options of `detfs repart`.
pub(in crate::cli) const FLAGS: Flags = Flags(&[OWN, COMMON]);

/// Fields that only `detfs repart` has, or that it has other options for.
const OWN: &[(&str, &str)] = &[
    ("el_torito", "--el-torito"),
    ("el_torito.publisher", "--el-torito-publisher"),
    ("el_torito.system", "--el-torito-system"),
    ("el_torito.volume", "--el-torito-volume"),
    ("epoch", "SOURCE_DATE_EPOCH"),
    ("output.force", "--empty=force"),
    ("repart.copy_from", "--copy-from"),
    ("repart.crypttab", "--generate-crypttab"),
    ("repart.deferred", "--defer-partitions="),
    ("repart.dry_run", "--dry-run="),
    ("repart.empty", "--empty="),
    ("repart.fstab", "--generate-fstab"),
    ("repart.fstab.append", "--append-fstab="),
    ("repart.image", "IMAGE"),
    ("repart.root", "--root="),
    ("repart.size", "--size="),
    ("repart.split", "--split"),
    ("signature.certificate", "--certificate="),
    ("signature.joined", "--join-signature="),
    ("signature.key", "--private-key="),
    ("verity.data_block_size", "VerityDataBlockSizeBytes="),
    ("verity.data_size", "Verity=data"),
    ("verity.hash_block_size", "VerityHashBlockSizeBytes="),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Appends the text of the library's files, without comments and tests.
    #[expect(clippy::disallowed_methods, reason = "a test may list a directory")]
    fn append_sources(directory: &Path, sources: &mut String) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if name != "cli" && name != "tests" {
                    append_sources(&path, sources);
                }
            } else if name != "tests.rs" {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                lines.for_each(|line| *sources += &format!("{line}\n"));
            }
        }
    }

    /// Returns the name that `text` starts with, up to `end`.
    fn name(text: &str, end: &[char]) -> Option<String> {
        let name = &text[..text.find(end)?];
        let is_part = |part: &str| {
            let is_legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            !part.is_empty() && part.chars().all(is_legal)
        };
        name.split('.').all(is_part).then(|| name.to_owned())
    }

    /// Returns the fields that the library names in its errors and warnings.
    fn fields() -> BTreeSet<String> {
        let mut sources = String::new();
        append_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
        let arguments = ["Error::parameter(", "refuse("].into_iter().flat_map(|call| {
            let after = sources.split(call).skip(1);
            let literals = after.filter_map(|text| text.trim_start().strip_prefix('"'));
            // A rule comes first in some calls of `refuse`.
            literals.filter_map(move |text| {
                let name = name(text, &['"']);
                assert!(call == "refuse(" || name.is_some(), "not a field: {}", &text[..20]);
                name
            })
        });
        // Names of files have dots too, but no such first part.
        let groups: BTreeSet<_> =
            OWN.iter().chain(COMMON).filter_map(|(field, _)| field.split_once('.')).collect();
        let is_field =
            |name: &String| groups.iter().any(|(group, _)| name.split('.').next() == Some(group));
        let literals = sources.split('"').filter_map(|text| name(&format!("{text}\""), &['"']));
        let dotted = literals.filter(|name| name.contains('.')).filter(is_field);
        let spans = sources.split('`').filter_map(|text| name(&format!("{text}`"), &['`', '=']));
        arguments.chain(dotted).chain(spans.filter(|name| name.contains('.'))).collect()
    }

    #[test]
    fn every_field_of_the_library_has_an_option() {
        let fields = fields();
        for known in ["label", "gpt", "esp.size", "repart.empty", "output.force", "tree.exclude"] {
            assert!(fields.contains(known), "{known} is not found");
        }
        let unknown: Vec<_> = fields.iter().filter(|field| FLAGS.of(field).is_none()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        for (field, _) in OWN.iter().chain(COMMON) {
            assert!(fields.contains(*field), "the library does not name {field}");
        }
    }
}
