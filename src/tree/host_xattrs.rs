//! Extended attributes that belong to the host and not to the tree.
//!
//! An image has attributes in the namespaces `user.`, `trusted.` and `security.`, and the two POSIX
//! ACLs. Attributes in these namespaces that a file system, kernel or server of the host keeps for
//! itself carry no information about the tree and would differ from host to host; [`HOST_ONLY`]
//! lists them. Attributes in any other namespace are information of a file system about itself and
//! are never copied.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::name::Escaped;

/// Attributes that only the host's file system, kernel or server adds, each with its description. A
/// `*` at the end of a name matches anything.
pub const HOST_ONLY: &[(&str, &str)] = &[
    // Exists in addition to the ACL that XFS exposes as system.posix_acl_*.
    ("trusted.SGI_ACL_*", "XFS's own form of an ACL"),
    ("trusted.overlay.*", "a mark of overlayfs"),
    ("user.overlay.*", "a mark of overlayfs"),
    ("user.fuseoverlayfs.*", "a mark of fuse-overlayfs"),
    // Owner and mode to show to a container: those of the tree are in its inodes.
    ("user.containers.override_stat", "a mark of rootless container storage"),
    ("user.rootlesscontainers", "a mark of rootless container storage"),
    ("user.virtfs.*", "a mark of QEMU's shared directories"),
    ("user.virtiofsd.*", "a mark of virtiofsd's shared directories"),
    // A keyed hash over the file's inode number and generation on the host.
    ("security.evm", "a seal of the host's kernel on the host's inode"),
    ("trusted.gfid*", "an identifier of GlusterFS"),
    ("trusted.pgfid.*", "an identifier of GlusterFS"),
    ("trusted.glusterfs.*", "state of GlusterFS"),
    ("trusted.afr.*", "state of GlusterFS"),
    ("trusted.ec.*", "state of GlusterFS"),
    ("trusted.bit-rot.*", "state of GlusterFS"),
    ("trusted.fid", "an identifier of Lustre"),
    ("trusted.lov", "state of Lustre"),
    ("trusted.lma", "state of Lustre"),
    ("trusted.lmv", "state of Lustre"),
    ("trusted.dmv", "state of Lustre"),
    ("trusted.link", "state of Lustre"),
    ("trusted.hsm", "state of Lustre"),
    ("trusted.som", "state of Lustre"),
    ("trusted.lfsck_*", "state of Lustre"),
    // Not in a namespace that an image has; listed to explain the attributes in warnings.
    ("system.nfs4_acl", "an NFSv4 ACL, of which the image keeps only the mode bits"),
    ("system.nfs4_dacl", "an NFSv4 ACL, of which the image keeps only the mode bits"),
    ("system.nfs4_sacl", "an NFSv4 ACL, of which the image keeps only the mode bits"),
    ("system.richacl", "a rich ACL, of which the image keeps only the mode bits"),
    ("system.cifs_*", "an answer of an SMB server"),
    ("system.smb3_*", "an answer of an SMB server"),
    ("system.ntfs_*", "a property of NTFS"),
    ("system.dos_attrib", "a property of NTFS"),
    ("btrfs.*", "a property of btrfs"),
    ("bcachefs.*", "a property of bcachefs"),
    ("bcachefs_effective.*", "a property of bcachefs"),
    ("ceph.*", "state of Ceph"),
    ("lustre.*", "state of Lustre"),
    ("glusterfs.*", "state of GlusterFS"),
    ("afs.*", "state of AFS"),
    ("osx.*", "a property of HFS+"),
    ("os2.*", "a property of JFS"),
];

/// Namespaces that an image can hold.
const NAMESPACES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
/// Attribute that only btrfs can hold.
const BTRFS_PROPERTY: &[u8] = b"btrfs.compression";
const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

#[derive(Debug, Clone)]
struct Rule {
    pattern: Cow<'static, [u8]>,
    /// Reason to leave the attribute out. `None` to keep it.
    reason: Option<&'static str>,
    /// Whether the rule has matched a name, shared by clones. `None` for a default rule.
    matched: Option<Arc<AtomicBool>>,
}

impl Rule {
    fn matches(&self, name: &[u8]) -> bool {
        let matches = match self.pattern.strip_suffix(b"*") {
            Some(start) => name.starts_with(start),
            None => name == &*self.pattern,
        };
        if let (true, Some(matched)) = (matches, &self.matched) {
            matched.store(true, Ordering::Relaxed);
        }
        matches
    }
}

/// Selection of the extended attributes that are copied; by default all except [`HOST_ONLY`].
///
/// A pattern is a full name, or the start of a name followed by a `*`. If several patterns match a
/// name, the last one wins.
#[derive(Debug, Clone)]
pub struct HostXattrs {
    rules: Vec<Rule>,
    /// Whether the image can hold [`BTRFS_PROPERTY`].
    btrfs: bool,
}

impl Default for HostXattrs {
    fn default() -> Self {
        let rule = |&(pattern, reason): &(&'static str, _)| Rule {
            pattern: Cow::Borrowed(pattern.as_bytes()),
            reason: Some(reason),
            matched: None,
        };
        Self { rules: HOST_ONLY.iter().map(rule).collect(), btrfs: false }
    }
}

impl HostXattrs {
    /// Also keeps the attribute that only btrfs can hold: the compression of a file.
    #[must_use]
    pub fn for_btrfs(mut self) -> Self {
        let pattern = Cow::Borrowed(BTRFS_PROPERTY);
        self.rules.push(Rule { pattern, reason: None, matched: None });
        Self { btrfs: true, ..self }
    }

    /// Leaves out attributes that match the pattern.
    #[must_use]
    pub fn leave_out(self, pattern: impl Into<Vec<u8>>) -> Self {
        self.with(pattern.into(), Some("as requested"))
    }

    /// Keeps attributes that match the pattern, provided that an image can hold them.
    #[must_use]
    pub fn keep(self, pattern: impl Into<Vec<u8>>) -> Self {
        self.with(pattern.into(), None)
    }

    fn with(mut self, pattern: Vec<u8>, reason: Option<&'static str>) -> Self {
        let matched = Some(Arc::new(AtomicBool::new(false)));
        self.rules.push(Rule { pattern: Cow::Owned(pattern), reason, matched });
        self
    }

    /// Returns the patterns of [`Self::leave_out`] and [`Self::keep`] that have matched no name so
    /// far.
    ///
    /// The flag is true for those of `keep`.
    pub fn unmatched(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let unmatched = self.rules.iter().filter(|rule| {
            rule.matched.as_ref().is_some_and(|matched| !matched.load(Ordering::Relaxed))
        });
        unmatched.map(|rule| (&*rule.pattern, rule.reason.is_none()))
    }

    /// Returns the patterns of [`Self::keep`] if `is_kept` is set, else those of
    /// [`Self::leave_out`].
    pub(crate) fn patterns(&self, is_kept: bool) -> Vec<String> {
        let requested = self.rules.iter().filter(|rule| rule.matched.is_some());
        let patterns = requested.filter(|rule| rule.reason.is_none() == is_kept);
        patterns.map(|rule| Escaped(&rule.pattern).to_string()).collect()
    }

    /// Returns the reason why an attribute is left out, or `None` if it is kept.
    #[must_use]
    pub fn fault(&self, name: &[u8]) -> Option<&'static str> {
        // All rules are evaluated, so that each one records whether it has matched.
        let mut last = None;
        for rule in &self.rules {
            if rule.matches(name) {
                last = Some(rule);
            }
        }
        let storable = ACLS.contains(&name)
            || (self.btrfs && name == BTRFS_PROPERTY)
            || NAMESPACES.iter().any(|space| name.len() > space.len() && name.starts_with(space));
        match last.and_then(|rule| rule.reason) {
            None if !storable => Some("images don't store attributes of this namespace"),
            reason => reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_keeps_what_is_its_own() {
        let host = HostXattrs::default();
        for name in [
            "user.mime_type",
            "user.overlay",
            "user.com.apple.quarantine",
            "trusted.mine",
            "trusted.lova",
            "trusted.SGI_ACL",
            "security.capability",
            "security.selinux",
            "security.ima",
            "security.evmx",
            "system.posix_acl_access",
            "system.posix_acl_default",
        ] {
            assert_eq!(host.fault(name.as_bytes()), None, "{name}");
        }
        for name in [
            "trusted.SGI_ACL_FILE",
            "trusted.SGI_ACL_DEFAULT",
            "trusted.overlay.opaque",
            "user.overlay.origin",
            "security.evm",
            "trusted.gfid",
            "trusted.gfid2path.0123456789abcdef",
            "trusted.lov",
            "system.nfs4_acl",
            "system.posix_acl_other",
            "btrfs.compression",
            "com.apple.quarantine",
            "gnu.translator",
            "user.",
            "user",
            "",
        ] {
            assert!(host.fault(name.as_bytes()).is_some(), "{name}");
        }
    }

    #[test]
    fn btrfs_keeps_how_a_file_is_compressed() {
        let btrfs = HostXattrs::default().for_btrfs();
        assert_eq!(btrfs.fault(b"btrfs.compression"), None);
        assert_eq!(btrfs.fault(b"user.mime_type"), None);
        assert!(btrfs.fault(b"btrfs.other").is_some());
        assert!(btrfs.clone().keep("btrfs.*").fault(b"btrfs.other").is_some());
        assert!(btrfs.leave_out("btrfs.*").fault(b"btrfs.compression").is_some());
    }

    #[test]
    fn the_last_pattern_decides() {
        let host = HostXattrs::default()
            .keep("trusted.overlay.opaque")
            .leave_out("user.*")
            .keep("user.mime*")
            .leave_out("user.mime_b")
            .leave_out("system.posix_acl_default")
            .keep("btrfs.*")
            .leave_out("trusted.none");
        let unmatched: Vec<_> = host.unmatched().collect();
        assert_eq!(unmatched.len(), 7);
        for (name, kept) in [
            ("trusted.overlay.opaque", true),
            ("trusted.overlay.opaque.", false),
            ("trusted.overlay.origin", false),
            ("user.a", false),
            ("user.mime", true),
            ("user.mime_a", true),
            ("user.mime_b", false),
            ("system.posix_acl_access", true),
            ("system.posix_acl_default", false),
            // An image can't hold the attribute, even if it is requested.
            ("btrfs.compression", false),
        ] {
            assert_eq!(host.fault(name.as_bytes()).is_none(), kept, "{name}");
        }
        let unmatched: Vec<_> = host.unmatched().collect();
        assert_eq!(unmatched, [(&b"trusted.none"[..], false)]);
    }
}
