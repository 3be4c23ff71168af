//! Records of PAX extended headers.

use std::collections::BTreeMap;

use super::fault::{Fault, Result};
use super::number;
use crate::name::Escaped;

/// Maximum size of an extended header, of all values of global ones, and of the body of a long
/// name, in bytes.
pub(super) const HEADER_MAX: u64 = 8 << 20;

/// Prefixes of records that hold extended attributes. An empty value is the value of the attribute.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";
pub(super) const XATTR_BASE64: &[u8] = b"LIBARCHIVE.xattr.";

/// Records that are read, apart from extended attributes and `GNU.sparse.`.
const READ: [&str; 11] = [
    "RHT.security.selinux",
    "SCHILY.acl.access",
    "SCHILY.acl.default",
    "SCHILY.devmajor",
    "SCHILY.devminor",
    "SCHILY.fflags",
    "gid",
    "hdrcharset",
    "mtime",
    "size",
    "uid",
];

/// Records that describe something that no tree has, or something that is read from another place.
const IGNORED: [&str; 20] = [
    "LIBARCHIVE.creationtime",
    "LIBARCHIVE.symlinktype",
    "MSWINDOWS.fileattr",
    "SCHILY.archtype",
    "SCHILY.dev",
    "SCHILY.filetype",
    "SCHILY.ino",
    "SCHILY.nlink",
    "SCHILY.release",
    "SCHILY.tarfiletype",
    "SCHILY.volhdr.blockoff",
    "SCHILY.volhdr.blocksize",
    "SCHILY.volhdr.dumpdate",
    "SCHILY.volhdr.hostname",
    "atime",
    "charset",
    "comment",
    "ctime",
    "gname",
    "uname",
];

/// Records that change how the data is read, or that hold metadata that can't be converted.
const REFUSED: [(&str, &str); 5] = [
    ("GNU.dumpdir", "an incremental backup; create the archive without --listed-incremental"),
    ("GNU.volume.", "a part of a volume; join the volumes first"),
    ("SCHILY.acl.ace", "an NFSv4 ACL, which Linux does not store"),
    ("SCHILY.realsize", "a sparse file of star; use GNU tar --sparse"),
    ("SUN.holesdata", "a sparse file of Solaris; use GNU tar --sparse"),
];

/// What becomes of a record.
#[derive(Debug, PartialEq, Eq)]
enum Treatment {
    Read,
    Ignored,
    Refused(&'static str),
    Unknown,
}

fn treatment(key: &[u8]) -> Treatment {
    let is = |known: &&str| known.as_bytes() == key;
    let has_prefix = |prefix: &[u8]| key.starts_with(prefix);
    if let Some((_, reason)) = REFUSED.iter().find(|(name, _)| has_prefix(name.as_bytes())) {
        Treatment::Refused(reason)
    } else if READ.iter().any(is)
        || matches!(key, b"path" | b"linkpath")
        || [XATTR, XATTR_BASE64, b"GNU.sparse."].into_iter().any(has_prefix)
    {
        Treatment::Read
    } else if IGNORED.iter().any(is) {
        Treatment::Ignored
    } else {
        Treatment::Unknown
    }
}

fn is_xattr(key: &[u8]) -> bool {
    key.starts_with(XATTR) || key.starts_with(XATTR_BASE64)
}

/// The records of an extended header, or of all global ones so far.
#[derive(Debug, Default)]
pub(super) struct Records {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Offsets and lengths of `GNU.sparse.offset` and `GNU.sparse.numbytes`, whose order matters.
    pub(super) sparse: Vec<(u64, u64)>,
    /// Keys that are not known.
    pub(super) unknown: Vec<Vec<u8>>,
}

impl Records {
    /// Parses the body of an extended header.
    pub(super) fn parse(mut body: &[u8]) -> Result<Self> {
        let mut records = Self::default();
        let mut offset = None;
        while !body.is_empty() {
            let (key, value, rest) = record(body)?;
            body = rest;
            match treatment(key) {
                Treatment::Ignored => continue,
                Treatment::Unknown => {
                    records.unknown.push(key.to_vec());
                    continue;
                }
                Treatment::Refused(reason) => {
                    let rule = format!("{} is {reason}", Escaped(key));
                    return Err(Fault::new(rule).with_remedy("leave the member out"));
                }
                Treatment::Read => {}
            }
            match key {
                b"GNU.sparse.offset" if offset.is_none() => {
                    offset = Some(number::decimal("GNU.sparse.offset", value)?);
                }
                b"GNU.sparse.numbytes" => {
                    let Some(offset) = offset.take() else {
                        return Err(Fault::new("GNU.sparse.numbytes comes without its offset"));
                    };
                    let length = number::decimal("GNU.sparse.numbytes", value)?;
                    records.sparse.push((offset, length));
                }
                b"GNU.sparse.offset" => {
                    return Err(Fault::new("GNU.sparse.offset comes without its length"));
                }
                _ => {
                    let there = records.values.insert(key.to_vec(), value.to_vec());
                    if key == b"size" && there.is_some() {
                        return Err(Fault::new("size occurs twice in an extended header"));
                    }
                }
            }
        }
        if offset.is_some() {
            return Err(Fault::new("GNU.sparse.offset comes without its length"));
        }
        Ok(records)
    }

    /// Adds the records of another global header.
    pub(super) fn update(&mut self, other: Self) -> Result<()> {
        for (key, value) in other.values {
            if matches!(&*key, b"path" | b"linkpath" | b"size") || key.starts_with(b"GNU.sparse.") {
                let rule = format!("a global header has {} for all members", Escaped(&key));
                return Err(Fault::new(rule));
            }
            match value.is_empty() && !is_xattr(&key) {
                true => self.values.remove(&key),
                false => self.values.insert(key, value),
            };
        }
        if !other.sparse.is_empty() {
            return Err(Fault::new("a global header has a sparse map for all members"));
        }
        let size: u64 =
            self.values.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        match size {
            ..=HEADER_MAX => Ok(()),
            size => Err(Fault::new(format!("global headers have {size} bytes, not {HEADER_MAX}"))),
        }
    }
}

/// Splits the first record, `LENGTH KEY=VALUE` and a newline, from a body.
fn record(body: &[u8]) -> Result<(&[u8], &[u8], &[u8])> {
    let fail = || Fault::new("an extended header has a record that is not LENGTH KEY=VALUE");
    let space = body.iter().take(20).position(|&byte| byte == b' ').ok_or_else(fail)?;
    let length = number::decimal("length of a record", &body[..space])?;
    let length = usize::try_from(length).map_err(|_| fail())?;
    let (record, rest) = body.split_at_checked(length).ok_or_else(fail)?;
    let [text @ .., b'\n'] = record.get(space + 1..).ok_or_else(fail)? else { return Err(fail()) };
    let equals = text.iter().position(|&byte| byte == b'=').ok_or_else(fail)?;
    if equals == 0 {
        return Err(fail());
    }
    Ok((&text[..equals], &text[equals + 1..], rest))
}

/// The records that apply to a member: its own come before global ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes<'a> {
    pub(super) own: &'a Records,
    pub(super) global: &'a Records,
}

impl<'a> Attributes<'a> {
    /// Returns the value of a record. An empty value counts as none, and hides a global one.
    pub(super) fn get(&self, key: &str) -> Option<&'a [u8]> {
        let of = |records: &'a Records| records.values.get(key.as_bytes());
        let value = of(self.own).or_else(|| of(self.global))?;
        (!value.is_empty()).then_some(value)
    }

    /// Returns the decimal number of a record.
    pub(super) fn number(&self, key: &str) -> Result<Option<u64>> {
        self.get(key).map(|value| number::decimal(key, value)).transpose()
    }

    /// Returns the records whose keys start with `prefix`, without it, by key.
    pub(super) fn with_prefix(&self, prefix: &[u8]) -> BTreeMap<&'a [u8], &'a [u8]> {
        let of = |records: &'a Records| {
            let from = records.values.range(prefix.to_vec()..);
            let prefix = prefix.to_vec();
            from.map_while(move |(key, value)| Some((key.strip_prefix(&*prefix)?, &**value)))
        };
        of(self.global).chain(of(self.own)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(records: &[(&str, &str)]) -> Vec<u8> {
        records.iter().flat_map(|(key, value)| super::super::samples::record(key, value)).collect()
    }

    fn parse(records: &[(&str, &str)]) -> Records {
        Records::parse(&body(records)).unwrap()
    }

    #[test]
    fn trap_1_own_records_hide_global_ones() {
        let mut global = parse(&[("uid", "1"), ("gid", "2"), ("SCHILY.xattr.user.a", "x")]);
        global.update(parse(&[("gid", "3"), ("uid", "")])).unwrap();
        let own = parse(&[("gid", "4"), ("gid", "5"), ("SCHILY.xattr.user.a", "")]);
        let with_own = Attributes { own: &own, global: &global };
        assert_eq!((with_own.get("uid"), with_own.get("gid")), (None, Some(&b"5"[..])));
        assert_eq!(with_own.with_prefix(XATTR)[&b"user.a"[..]], b"");
        let none = Records::default();
        let global = Attributes { own: &none, global: &global };
        assert_eq!((global.get("uid"), global.get("gid")), (None, Some(&b"3"[..])));
        let deleted = parse(&[("gid", "")]);
        assert_eq!(Attributes { own: &deleted, ..global }.get("gid"), None);
    }

    #[test]
    fn trap_4_the_order_of_a_sparse_map_is_kept() {
        let map = [
            ("GNU.sparse.offset", "512"),
            ("GNU.sparse.numbytes", "7"),
            ("GNU.sparse.offset", "0"),
            ("GNU.sparse.numbytes", "8"),
        ];
        assert_eq!(parse(&map).sparse, [(512, 7), (0, 8)]);
        for wrong in [&map[1..], &map[..3], &[map[0], map[0]]] {
            Records::parse(&body(wrong)).unwrap_err();
        }
    }

    #[test]
    fn trap_9_values_may_have_any_bytes() {
        let records = Records::parse(b"28 SCHILY.xattr.user.n=\n\0=5\n").unwrap();
        assert_eq!(records.values[&b"SCHILY.xattr.user.n"[..]], b"\n\0=5");
    }

    #[test]
    fn trap_13_other_records_are_ignored_or_reported() {
        let records = parse(&[("atime", "x"), ("SCHILY.ino", "1"), ("VENDOR.key", "v")]);
        assert!(records.values.is_empty());
        assert_eq!(records.unknown, [b"VENDOR.key"]);
        for key in ["SCHILY.realsize", "SUN.holesdata", "GNU.volume.size", "GNU.dumpdir"] {
            Records::parse(&body(&[(key, "1")])).unwrap_err();
        }
    }

    #[test]
    fn trap_14_sizes_are_limited() {
        let long = "x".repeat(5 << 20);
        let mut global = parse(&[("SCHILY.xattr.user.a", &long)]);
        let error = global.update(parse(&[("SCHILY.xattr.user.b", &long)])).unwrap_err();
        assert!(error.rule.starts_with("global headers have 10485"), "{}", error.rule);
    }

    #[test]
    fn ambiguous_records_are_refused() {
        for wrong in [
            &b"5 a=b\n"[..],
            b"7 a=b\n",
            b" 6 a=b\n",
            b"6 a=bc",
            b"6 abc\n",
            b"5 =b\n",
            b"0 a=b\n",
            b"99999999999999999999 a=b\n",
            b"6 a=b\n\0\0",
        ] {
            Records::parse(wrong).unwrap_err();
        }
        Records::parse(&body(&[("size", "1"), ("size", "1")])).unwrap_err();
        for key in ["path", "linkpath", "size", "GNU.sparse.map"] {
            Records::default().update(parse(&[(key, "1")])).unwrap_err();
        }
    }
}
