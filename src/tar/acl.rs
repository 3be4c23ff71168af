//! POSIX ACLs: from the text of an archive to the extended attribute of Linux.

use super::fault::{Fault, Result};
use super::number;
use crate::name::Escaped;

/// `POSIX_ACL_XATTR_VERSION`.
const VERSION: u32 = 2;

/// Tags of entries: `ACL_USER_OBJ` and so on.
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// `ACL_UNDEFINED_ID`, the id of entries that name neither a user nor a group.
const UNDEFINED: u32 = u32::MAX;

/// Entries of an ACL, sorted by tag and id.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Acl(Vec<(u16, u32, u16)>);

impl Acl {
    /// Parses the text of an ACL: entries such as `user:name:rwx:1000`, separated by commas or
    /// newlines.
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        let entries = text.split(|byte| matches!(byte, b',' | b'\n'));
        // Comments show which permissions the mask leaves.
        let entries = entries.map(|entry| {
            let end = entry.iter().position(|&byte| byte == b'#').unwrap_or(entry.len());
            entry[..end].trim_ascii()
        });
        let entries = entries.filter(|entry| !entry.is_empty()).map(entry);
        let mut entries = entries.collect::<Result<Vec<_>>>()?;
        entries.sort_unstable();
        let acl = Self(entries);
        acl.check()?;
        Ok(acl)
    }

    fn check(&self) -> Result<()> {
        let fail = |rule: &str| Err(Fault::new(format!("an ACL {rule}")));
        if self.0.windows(2).any(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1)) {
            return fail("has an entry twice");
        }
        let has = |tag| self.permissions(tag).is_some();
        if !(has(USER_OBJ) && has(GROUP_OBJ) && has(OTHER)) {
            return fail("lacks the entry of the owner, the group or others");
        }
        if (has(USER) || has(GROUP)) && !has(MASK) {
            return fail("names a user or group, but has no mask");
        }
        Ok(())
    }

    fn permissions(&self, tag: u16) -> Option<u16> {
        self.0.iter().find(|entry| entry.0 == tag).map(|entry| entry.2)
    }

    /// Returns the permission bits of the mode of a file with this ACL. Those of the group are the
    /// mask, if there is one.
    pub(super) fn mode(&self) -> u16 {
        self.mode_with(self.permissions(MASK))
    }

    fn mode_with(&self, group: Option<u16>) -> u16 {
        let of = |tag| self.permissions(tag).unwrap_or_default();
        of(USER_OBJ) << 6 | group.unwrap_or_else(|| of(GROUP_OBJ)) << 3 | of(OTHER)
    }

    /// Returns whether a header may have a mode for this ACL: libarchive takes the bits of the
    /// group from the entry of the group.
    pub(super) fn fits(&self, mode: u16) -> bool {
        [self.mode(), self.mode_with(None)].contains(&(mode & 0o777))
    }

    /// Returns whether the ACL says the same as its [mode](Self::mode).
    pub(super) fn is_minimal(&self) -> bool {
        self.0.len() == 3
    }

    /// Returns the value of the extended attribute.
    pub(super) fn to_xattr(&self) -> Vec<u8> {
        let mut value = VERSION.to_le_bytes().to_vec();
        for (tag, id, permissions) in &self.0 {
            value.extend_from_slice(&tag.to_le_bytes());
            value.extend_from_slice(&permissions.to_le_bytes());
            value.extend_from_slice(&id.to_le_bytes());
        }
        value
    }
}

fn entry(entry: &[u8]) -> Result<(u16, u32, u16)> {
    let fail =
        || Fault::new(format!("an ACL has an entry that is not TAG:NAME:rwx: {}", Escaped(entry)));
    let fields: Vec<&[u8]> = entry.split(|&byte| byte == b':').collect();
    let (tag, name, permissions, id) = match *fields {
        [tag, name, permissions] => (tag, name, permissions, None),
        [tag, name, permissions, id] => (tag, name, permissions, Some(id)),
        _ => return Err(fail()),
    };
    let tag = match (tag, name) {
        (b"user" | b"u", b"") => USER_OBJ,
        (b"user" | b"u", _) => USER,
        (b"group" | b"g", b"") => GROUP_OBJ,
        (b"group" | b"g", _) => GROUP,
        (b"mask" | b"m", b"") => MASK,
        (b"other" | b"o", b"") => OTHER,
        _ => return Err(fail()),
    };
    let id = match (tag, id) {
        (USER | GROUP, id) => named_id(entry, name, id)?,
        (_, None) => UNDEFINED,
        (_, Some(_)) => return Err(fail()),
    };
    let [read, write, execute] = *permissions else { return Err(fail()) };
    let bit = |found: u8, letter: u8, bit: u16| match found {
        b'-' => Ok(0),
        found if found == letter => Ok(bit),
        _ => Err(fail()),
    };
    Ok((tag, id, bit(read, b'r', 4)? | bit(write, b'w', 2)? | bit(execute, b'x', 1)?))
}

/// Returns the id of an entry for a user or group. Names are never looked up.
fn named_id(entry: &[u8], name: &[u8], id: Option<&[u8]>) -> Result<u32> {
    let text = id.unwrap_or(name);
    // libarchive writes 0 for an id that it can't hold, after the number in place of a name.
    if name != text && number::decimal("name", name).is_ok() {
        let rule = format!("an ACL has an entry with two ids: {}", Escaped(entry));
        return Err(Fault::new(rule));
    }
    match number::decimal("id", text) {
        Ok(id) => number::id("id", i64::try_from(id).expect("a decimal number has 63 bits")),
        Err(_) => Err(Fault::new(format!("an ACL has a name without an id: {}", Escaped(entry)))
            .with_remedy(
                "use bsdtar, or GNU tar without --acls and with --xattrs --xattrs-include='*'",
            )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_9_acls_become_attributes() {
        let expected = [
            &[2, 0, 0, 0][..],
            &[1, 0, 7, 0, 0xFF, 0xFF, 0xFF, 0xFF],
            &[2, 0, 4, 0, 5, 0, 0, 0],
            &[2, 0, 6, 0, 0xE8, 3, 0, 0],
            &[4, 0, 5, 0, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0x10, 0, 7, 0, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0x20, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF],
        ]
        .concat();
        for text in [
            "user::rwx,user:lisa:rw-:1000,user:5:r--,group::r-x,mask::rwx,other::---",
            "user::rwx\nuser:1000:rw-\t#effective:rw-\nuser:5:r--\ngroup::r-x\nmask::rwx\n\
             other::---\n",
            "o::---,m::rwx,g::r-x,u:5:r--:5,u:lisa:rw-:1000,u::rwx",
        ] {
            let acl = Acl::parse(text.as_bytes()).unwrap();
            assert_eq!(acl.to_xattr(), expected, "{text}");
            assert_eq!((acl.mode(), acl.is_minimal()), (0o770, false));
            assert_eq!([0o4770, 0o750, 0o740].map(|mode| acl.fits(mode)), [true, true, false]);
        }
        let minimal = Acl::parse(b"user::rw-,group::r--,other::r--").unwrap();
        assert_eq!((minimal.mode(), minimal.is_minimal()), (0o644, true));
    }

    #[test]
    fn trap_9_wrong_acls_are_refused() {
        for (text, rule) in [
            ("user::rwx,user:lisa:rw-,group::r-x,mask::rwx,other::---", "a name without an id"),
            ("user::rwx,user:5:rw-,group::r-x,other::---", "no mask"),
            ("user::rwx,group::r-x", "lacks"),
            ("user::rwx,user::r--,group::r-x,other::---", "twice"),
            ("user::rwx,group::r-x,other::--", "not TAG:NAME:rwx"),
            ("user::rwx,group::r-x,other::7", "not TAG:NAME:rwx"),
            ("user::rwx:5,group::r-x,other::---", "not TAG:NAME:rwx"),
            ("user::xwr,group::r-x,other::---", "not TAG:NAME:rwx"),
            ("owner@:rwx::allow", "not TAG:NAME:rwx"),
            ("mask:5:rwx", "not TAG:NAME:rwx"),
            ("user::rwx,user:4294967000:rwx:0,group::r--,mask::rwx,other::---", "two ids"),
            ("", "lacks"),
        ] {
            let fault = Acl::parse(text.as_bytes()).unwrap_err();
            assert!(fault.rule.contains(rule), "{text}: {}", fault.rule);
        }
    }
}
