//! Definitions of DDIs: a file system with the directories of the image type, its hash
//! tree, and the signature of the root hash.

/// Type of a discoverable disk image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ddi {
    /// A system extension: `/usr` and `/opt`.
    Sysext,
    /// A configuration extension: `/etc`.
    Confext,
    /// A portable service: the whole root.
    Portable,
}

impl Ddi {
    /// Returns the definition files, each with its name.
    #[must_use]
    pub fn files(self) -> [(&'static str, String); 3] {
        let sources: &[&str] = match self {
            Self::Sysext => &["/usr/", "/opt/"],
            Self::Confext => &["/etc/"],
            Self::Portable => &["/"],
        };
        let copied: String = sources.iter().map(|source| format!("CopyFiles={source}\n")).collect();
        let file = |partition_type: &str, part: &str, rest: &str| {
            format!(
                "[Partition]\nType={partition_type}\nVerity={part}\nVerityMatchKey=root\n{rest}"
            )
        };
        let data = format!("Format=erofs\nMinimize=best\n{copied}");
        [
            ("10-root.conf", file("root", "data", &data)),
            ("20-root-verity.conf", file("root-verity", "hash", "Minimize=best\n")),
            ("30-root-verity-sig.conf", file("root-verity-sig", "signature", "")),
        ]
    }
}
