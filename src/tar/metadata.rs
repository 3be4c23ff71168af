//! Metadata of members: mode, owner, time, file flags and extended attributes.

use std::collections::BTreeMap;

use base64ct::{Base64Unpadded, Encoding};

use super::acl::Acl;
use super::fault::{Fault, Result};
use super::header::Header;
use super::number;
use super::records::{Attributes, XATTR, XATTR_BASE64};
use crate::name::Escaped;
use crate::time::Timestamp;
use crate::tree::{FileFlags, Metadata, Xattr};

/// `XATTR_NAME_MAX`.
const NAME_MAX: usize = 255;
/// `XATTR_SIZE_MAX`.
const VALUE_MAX: usize = 64 << 10;

const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";

/// Names of file flags, in the spellings of libarchive.
const FLAGS: [(&str, FileFlags); 14] = [
    ("dirsync", FileFlags::DIRSYNC),
    ("noatime", FileFlags::NOATIME),
    ("nocow", FileFlags::NOCOW),
    ("nodump", FileFlags::NODUMP),
    ("sappend", FileFlags::APPEND),
    ("sappnd", FileFlags::APPEND),
    ("schange", FileFlags::IMMUTABLE),
    ("schg", FileFlags::IMMUTABLE),
    ("simmutable", FileFlags::IMMUTABLE),
    ("sync", FileFlags::SYNC),
    ("uappend", FileFlags::APPEND),
    ("uappnd", FileFlags::APPEND),
    ("uchg", FileFlags::IMMUTABLE),
    ("uimmutable", FileFlags::IMMUTABLE),
];

/// Returns the metadata of a member, and the names of file flags that a tree does not have.
pub(super) fn metadata(
    header: &Header,
    attributes: Attributes<'_>,
    is_directory: bool,
) -> Result<(Metadata, Vec<Vec<u8>>)> {
    let raw = &header.raw;
    let mode = number::of_field("mode", &raw.mode)?;
    let mode = u16::try_from(mode).map_err(|_| Fault::new(format!("mode is {mode:#o}")))?;
    // Some programs add the type of the file.
    let mut mode = mode & 0o7777;
    let owner = |key, field| {
        let number = match attributes.number(key)? {
            Some(number) => i64::try_from(number).expect("a decimal number has 63 bits"),
            None => number::of_field(key, field)?,
        };
        number::id(key, number)
    };
    let mtime = match attributes.get("mtime") {
        Some(text) => number::time(text)?,
        None => Timestamp::from_seconds(number::of_field("mtime", &raw.mtime)?),
    };
    let mut unknown = Vec::new();
    let mut flags = FileFlags::empty();
    let names = attributes.get("SCHILY.fflags").unwrap_or_default();
    for name in names.split(|&byte| byte == b',').filter(|name| !name.is_empty()) {
        match FLAGS.iter().find(|(known, _)| known.as_bytes() == name) {
            Some((_, flag)) => flags |= *flag,
            None => unknown.push(name.to_vec()),
        }
    }
    let xattrs = xattrs(attributes, &mut mode, is_directory)?;
    let (uid, gid) = (owner("uid", &raw.uid)?, owner("gid", &raw.gid)?);
    Ok((Metadata { mode, uid, gid, mtime, flags, xattrs }, unknown))
}

/// Extended attributes by name.
#[derive(Default)]
struct Xattrs(BTreeMap<Vec<u8>, Vec<u8>>);

impl Xattrs {
    /// Adds an attribute, which several records may hold with the same value.
    fn add(&mut self, name: Vec<u8>, value: Vec<u8>) -> Result<()> {
        let fail = |rule: &str| Err(Fault::new(format!("xattr {} {rule}", Escaped(&name))));
        if name.is_empty() || name.len() > NAME_MAX || name.contains(&0) {
            return fail("has a name that is not 1 to 255 bytes without NUL");
        }
        if value.len() > VALUE_MAX {
            return fail(&format!("has {} bytes, Linux allows {VALUE_MAX}", value.len()));
        }
        match self.0.get(&name) {
            Some(there) if *there != value => fail("has two values"),
            _ => {
                self.0.insert(name, value);
                Ok(())
            }
        }
    }
}

/// Returns the extended attributes. An ACL sets bits of the mode as well.
fn xattrs(attributes: Attributes<'_>, mode: &mut u16, is_directory: bool) -> Result<Vec<Xattr>> {
    let mut xattrs = Xattrs::default();
    for (name, value) in attributes.with_prefix(XATTR) {
        xattrs.add(unescaped(name), value.to_vec())?;
    }
    for (name, value) in attributes.with_prefix(XATTR_BASE64) {
        let fail = || {
            let rule = format!("LIBARCHIVE.xattr.{} is not URL and base64 encoded", Escaped(name));
            Fault::new(rule)
        };
        let text = std::str::from_utf8(value).map_err(|_| fail())?;
        let value = Base64Unpadded::decode_vec(text.trim_end_matches('='));
        xattrs.add(url_decoded(name).ok_or_else(fail)?, value.map_err(|_| fail())?)?;
    }
    if let Some(label) = attributes.get("RHT.security.selinux") {
        // The attribute that setfilecon(3) sets ends with a NUL.
        let label = [label.strip_suffix(&[0]).unwrap_or(label), &[0]].concat();
        xattrs.add(b"security.selinux".to_vec(), label)?;
    }
    // The attribute is the same ACL with numbers instead of names.
    let text = attributes.get("SCHILY.acl.access");
    if let Some(text) = text.filter(|_| !xattrs.0.contains_key(ACL_ACCESS)) {
        let acl = Acl::parse(text)?;
        if !acl.fits(*mode) {
            let (mode, of_acl) = (*mode & 0o777, acl.mode());
            return Err(Fault::new(format!("mode is {mode:#o}, its ACL has {of_acl:#o}")));
        }
        *mode = *mode & 0o7000 | acl.mode();
        if !acl.is_minimal() {
            xattrs.add(ACL_ACCESS.to_vec(), acl.to_xattr())?;
        }
    }
    let text = attributes.get("SCHILY.acl.default");
    if text.is_some() && !is_directory {
        return Err(Fault::new("a default ACL, but the member is not a directory"));
    }
    if let Some(text) = text.filter(|_| !xattrs.0.contains_key(ACL_DEFAULT)) {
        xattrs.add(ACL_DEFAULT.to_vec(), Acl::parse(text)?.to_xattr())?;
    }
    Ok(xattrs.0.into_iter().map(|(name, value)| Xattr { name, value }).collect())
}

/// Decodes `%3D` and `%25`, by which GNU tar and star write `=` and `%` in a name.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = name;
    while let [first, after @ ..] = rest {
        (decoded, rest) = match rest {
            [b'%', b'3', b'D', after @ ..] => ([&*decoded, b"="].concat(), after),
            [b'%', b'2', b'5', after @ ..] => ([&*decoded, b"%"].concat(), after),
            _ => {
                decoded.push(*first);
                (decoded, after)
            }
        };
    }
    decoded
}

fn url_decoded(name: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut rest = name;
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                (u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?, after)
            }
            (b'%', _) => return None,
            _ => (*first, after),
        };
        decoded.push(byte);
        rest = after;
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::records::Records;
    use crate::tar::samples::{self, record};

    fn of(records: &[(&str, &str)], is_directory: bool) -> Result<Metadata> {
        let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        let header = Header::parse(&samples::header(b"a", b'0', 0)).unwrap();
        let attributes =
            Attributes { own: &Records::parse(&body).unwrap(), global: &Records::default() };
        metadata(&header, attributes, is_directory).map(|(metadata, _)| metadata)
    }

    fn names(metadata: &Metadata) -> Vec<(String, Vec<u8>)> {
        let text = |xattr: &Xattr| String::from_utf8(xattr.name.clone()).unwrap();
        metadata.xattrs.iter().map(|xattr| (text(xattr), xattr.value.clone())).collect()
    }

    #[test]
    fn trap_9_extended_attributes() {
        let metadata = of(
            &[
                ("LIBARCHIVE.xattr.user.a%3Db", "AP8"),
                ("RHT.security.selinux", "a:b:c"),
                ("SCHILY.xattr.user.25%25%3d%3D", "v"),
                ("SCHILY.xattr.user.empty", ""),
                ("LIBARCHIVE.xattr.user.empty", ""),
                ("SCHILY.fflags", "nodump,schg,compress"),
            ],
            false,
        )
        .unwrap();
        let expected = [
            ("security.selinux", &b"a:b:c\0"[..]),
            ("user.25%%3d=", b"v"),
            ("user.a=b", b"\0\xFF"),
            ("user.empty", b""),
        ];
        assert_eq!(names(&metadata), expected.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(metadata.flags, FileFlags::NODUMP | FileFlags::IMMUTABLE);
    }

    #[test]
    fn trap_9_two_values_are_refused() {
        for (records, rule) in [
            (&[("SCHILY.xattr.user.a", "x"), ("LIBARCHIVE.xattr.user.a", "eQ")][..], "two values"),
            (&[("LIBARCHIVE.xattr.user.a", "?")], "base64"),
            (&[("LIBARCHIVE.xattr.user.a%3", "eQ")], "URL"),
            (&[("SCHILY.xattr.", "x")], "1 to 255 bytes"),
            (&[("SCHILY.acl.access", "user::rwx,group::r--,other::r--")], "its ACL has 0o744"),
            (&[("SCHILY.acl.default", "user::rw-,group::r--,other::r--")], "not a directory"),
        ] {
            let fault = of(records, false).unwrap_err();
            assert!(fault.rule.contains(rule), "{}", fault.rule);
        }
    }

    #[test]
    fn trap_9_a_minimal_acl_is_the_mode() {
        let acl = "user::rw-,group::r--,other::r--";
        assert_eq!(of(&[("SCHILY.acl.access", acl)], false).unwrap().xattrs, []);
        let default = of(&[("SCHILY.acl.default", acl)], true).unwrap();
        assert_eq!(default.xattrs[0].value.len(), 4 + 3 * 8);
        let names = "user::rw-,user:lisa:rwx,group::r--,mask::rwx,other::r--";
        let both = [("SCHILY.acl.access", names), ("SCHILY.xattr.system.posix_acl_access", "x")];
        assert_eq!(of(&both, false).unwrap().xattrs[0].value, b"x");
        let masked = "user::rw-,user:5:rwx,group::r--,mask::rwx,other::r--";
        assert_eq!(of(&[("SCHILY.acl.access", masked)], false).unwrap().mode, 0o674);
    }

    #[test]
    fn trap_10_owners_are_numbers() {
        let metadata = of(&[("uname", "daemon"), ("uid", "3000000000")], false).unwrap();
        assert_eq!((metadata.uid, metadata.gid), (3_000_000_000, 0));
        of(&[("uid", "4294967295")], false).unwrap_err();
        of(&[("gid", "daemon")], false).unwrap_err();
    }

    #[test]
    fn trap_14_values_are_limited() {
        let long = "x".repeat((64 << 10) + 1);
        let fault = of(&[("SCHILY.xattr.user.a", &long)], false).unwrap_err();
        assert!(fault.rule.contains("65537 bytes, Linux allows 65536"), "{}", fault.rule);
        of(&[("SCHILY.xattr.user.a", &long[1..])], false).unwrap();
    }
}
