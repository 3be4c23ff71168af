//! Extended attributes in inodes and in separate blocks, and attributes with a special encoding.

use std::collections::BTreeMap;
use std::path::Path;

use detfs::ext4::{Options, plan};
use detfs::tree::{HoleScan, Metadata, Node, Xattr};

use super::BLOCK_SIZES;
use super::inspect::{inode_field, inode_fields};
use super::sample::{Image, ROOT, Sample, metadata, options, refusal, with_xattr};
use crate::oracle::{read_xattrs, run};

type Set = BTreeMap<Vec<u8>, Vec<u8>>;

fn set<const N: usize>(xattrs: [(&str, Vec<u8>); N]) -> Set {
    xattrs.into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value)).collect()
}

fn with(mode: u16, xattrs: &Set) -> Metadata {
    let list =
        xattrs.iter().map(|(name, value)| Xattr { name: name.clone(), value: value.clone() });
    Metadata { xattrs: list.collect(), ..metadata(mode) }
}

/// Returns the number of inodes that share a block of attributes, according to its header.
fn references(image: &Image, block_size: u32, block: u64) -> u32 {
    let header = image.read(block * u64::from(block_size), 8);
    assert_eq!(header[..4], 0xEA02_0000_u32.to_le_bytes());
    u32::from_le_bytes(header[4..].try_into().unwrap())
}

fn value(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(1 + at % 255).unwrap()).collect()
}

/// An inode has 96 bytes for attributes. The magic, terminator, entry and name leave 68 for the
/// value.
#[test]
fn what_an_inode_holds() {
    for block_size in BLOCK_SIZES {
        let mut sample = Sample::new();
        for len in 0..=96 {
            sample.empty(ROOT, len.to_string(), with_xattr("user.x", value(len)));
        }
        let image = Image::new(&sample.finish(), &Options { block_size, ..options() });
        let look = |root: &Path| {
            for len in 0..=96 {
                let found = read_xattrs(&root.join(len.to_string()));
                assert_eq!(found, set([("user.x", value(len))]), "{len}");
            }
        };
        image.check_with_oracles(look).unwrap();
        let blocks = inode_fields(&image.path, (0..=96).map(|len| format!("/{len}")), "File ACL");
        let inside: Vec<bool> = blocks.iter().map(|&block| block == 0).collect();
        let expected: Vec<bool> = (0..=96).map(|len| len <= 68).collect();
        assert_eq!(inside, expected);
    }
}

/// The inode stores as many attributes as fit, starting with those for access control.
#[test]
fn some_here_and_some_there() {
    let label = b"system_u:object_r:etc_t:s0\0".to_vec();
    let sets = [
        set([("user.a", value(20)), ("user.b", value(60)), ("user.c", value(4))]),
        set([("security.selinux", label), ("user.a", value(68)), ("trusted.t", value(8))]),
        (0..24).map(|at| (format!("user.{at}").into_bytes(), value(at * 5))).collect(),
        (0..100).map(|at| (format!("user.{at}").into_bytes(), Vec::new())).collect(),
    ];
    for block_size in [2048, 4096] {
        let mut sample = Sample::new();
        for (number, set) in sets.iter().enumerate() {
            sample.empty(ROOT, number.to_string(), with(0o644, set));
        }
        let image = Image::new(&sample.finish(), &Options { block_size, ..options() });
        let look = |root: &Path| {
            for (number, set) in sets.iter().enumerate() {
                assert_eq!(read_xattrs(&root.join(number.to_string())), *set);
            }
        };
        image.check_with_oracles(look).unwrap();
    }
}

#[test]
fn a_block_that_is_full_and_one_that_is_too_full() {
    for block_size in BLOCK_SIZES {
        // The header, terminator, entry and name.
        let most = block_size as usize - 32 - 4 - 16 - 4;
        let options = Options { block_size, ..options() };
        let made = |len: usize| {
            let mut sample = Sample::new();
            let directory = sample.directory(ROOT, "d");
            sample.empty(directory, "f", with_xattr("user.x", value(len)));
            sample.finish()
        };
        let image = Image::new(&made(most), &options);
        let found = image.check_with_oracles(|root| read_xattrs(&root.join("d/f"))).unwrap();
        assert_eq!(found, set([("user.x", value(most))]));

        for len in [most + 1, 65_536] {
            let tree = made(len);
            let message = refusal(&tree, &options);
            assert!(message.starts_with("d/f: "), "{message}");
            for word in ["user.x", &len.to_string(), &(block_size - 36).to_string()] {
                assert!(message.contains(word), "{message}");
            }
            let error = plan(&tree, &HoleScan::default(), &options).unwrap_err();
            assert_eq!(error.exit_code(), 3);
        }
    }
}

/// Equal sets of attributes share a block, which the kernel allows for up to 1024 inodes.
#[test]
fn shared_blocks() {
    for (files, expected) in [
        (1, vec![1]),
        (2, vec![2]),
        (1024, vec![1024]),
        (1025, vec![1024, 1]),
        (2049, vec![1024, 1024, 1]),
    ] {
        let mut sample = Sample::new();
        for number in 0..files {
            let name = format!("{number:04}");
            let node = sample.empty(ROOT, &name, with_xattr("user.x", value(300)));
            // A hard link is not a separate inode.
            sample.link(ROOT, format!("z{name}"), node);
        }
        sample.empty(ROOT, "other", with_xattr("user.x", value(301)));
        let image = Image::new(&sample.finish(), &options());
        let look = |root: &Path| {
            for number in 0..files {
                let found = read_xattrs(&root.join(format!("{number:04}")));
                assert_eq!(found, set([("user.x", value(300))]));
            }
            assert_eq!(read_xattrs(&root.join("other")), set([("user.x", value(301))]));
        };
        image.check_with_oracles(look).unwrap();
        let paths = (0..files).map(|number| format!("/{number:04}"));
        let mut users = BTreeMap::new();
        for block in inode_fields(&image.path, paths, "File ACL") {
            *users.entry(block).or_insert(0) += 1;
        }
        assert_eq!(users.values().copied().collect::<Vec<_>>(), expected);
        for (&block, &count) in &users {
            assert_eq!(references(&image, 4096, block), count);
        }
        let other = inode_field(&image.path, "/other", "File ACL");
        assert_eq!(references(&image, 4096, other), 1);
    }
}

/// The kernel unshares the block of a file when it writes the file's attributes.
#[test]
fn shared_blocks_are_written_to() {
    let mut sample = Sample::new();
    for number in 0..1025 {
        sample.empty(ROOT, number.to_string(), with_xattr("user.x", value(300)));
    }
    let image = Image::new(&sample.finish(), &options());
    {
        let mounted = crate::oracle::Mounted::new("ext4", "rw", Some(&image.path)).unwrap();
        let script = "cd $1; setfattr -n user.x -v new 7; setfattr -x user.x 8; rm 9
            setfattr -n user.y -v more 10; : >new; setfattr -n user.x -v x new";
        crate::oracle::shell(script, &[mounted.path()]);
    }
    let found = image.check_with_oracles(|root| {
        ["7", "8", "10", "11"].map(|name| read_xattrs(&root.join(name)).into_keys().count())
    });
    assert_eq!(found.unwrap(), [1, 0, 2, 1]);
}

const NONE: u32 = u32::MAX;
const OWNER: (u16, u32) = (0x01, NONE);
const GROUP: (u16, u32) = (0x04, NONE);
const MASK: (u16, u32) = (0x10, NONE);
const OTHER: (u16, u32) = (0x20, NONE);

const fn user(id: u32) -> (u16, u32) {
    (0x02, id)
}

const fn group(id: u32) -> (u16, u32) {
    (0x08, id)
}

/// Encodes an ACL in the format of the system call.
fn acl(entries: &[((u16, u32), u16)]) -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    for ((tag, id), permissions) in entries {
        value.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        value.extend(id.to_le_bytes());
    }
    value
}

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

#[test]
fn access_control_lists() {
    let minimal = acl(&[(OWNER, 7), (GROUP, 5), (OTHER, 4)]);
    let masked = acl(&[(OWNER, 7), (GROUP, 5), (MASK, 1), (OTHER, 4)]);
    let extended = acl(&[
        (OWNER, 7),
        (user(1), 7),
        (user(4_294_967_294), 0),
        (GROUP, 5),
        (group(0), 2),
        (group(70_000), 6),
        (MASK, 6),
        (OTHER, 0),
    ]);
    let many: Vec<_> = [(OWNER, 7)]
        .into_iter()
        .chain((0..400).map(|id| (user(id), 5)))
        .chain([(GROUP, 5), (MASK, 7), (OTHER, 0)])
        .collect();
    let many = acl(&many);
    let cases = [
        ("minimal", 0o754, set([(ACCESS, minimal.clone())]), set([])),
        ("masked", 0o714, set([(ACCESS, masked.clone())]), set([(ACCESS, masked.clone())])),
        ("extended", 0o4760, set([(ACCESS, extended.clone())]), set([(ACCESS, extended.clone())])),
        ("many", 0o770, set([(ACCESS, many.clone())]), set([(ACCESS, many)])),
        ("default", 0o700, set([(DEFAULT, minimal.clone())]), set([(DEFAULT, minimal.clone())])),
        (
            "both",
            0o2760,
            set([(ACCESS, extended.clone()), (DEFAULT, masked.clone()), ("user.x", value(9))]),
            set([(ACCESS, extended), (DEFAULT, masked), ("user.x", value(9))]),
        ),
    ];
    let mut sample = Sample::new();
    for (name, mode, given, _) in &cases {
        sample.add(ROOT, name, with(*mode, given), Node::Directory);
    }
    let image = Image::new(&sample.finish(), &options());
    let look = |root: &Path| {
        for (name, _, _, expected) in &cases {
            assert_eq!(read_xattrs(&root.join(name)), *expected, "{name}");
        }
        let said = run("getfacl", ["-cnpE".as_ref(), root.join("both").as_os_str()]);
        assert!(said.ok, "{}", said.all());
        said.stdout
    };
    let both = "user::rwx\nuser:1:rwx\nuser:4294967294:---\ngroup::r-x\ngroup:0:-w-\n\
        group:70000:rw-\nmask::rw-\nother::---\n\
        default:user::rwx\ndefault:group::r-x\ndefault:mask::--x\ndefault:other::r--\n\n";
    assert_eq!(image.check_with_oracles(look).unwrap(), both);

    for (mode, value, rule) in [
        (0o755, minimal.clone(), "does not match the mode"),
        (0o754, minimal[..8].to_vec(), "length"),
        (0o754, [&[1], &minimal[1..]].concat(), "version 2"),
        (0o754, acl(&[(OWNER, 7), (user(1), 7), (GROUP, 5), (OTHER, 4)]), "no mask"),
        (0o754, acl(&[(GROUP, 5), (OWNER, 7), (OTHER, 4)]), "order"),
    ] {
        let mut sample = Sample::new();
        sample.empty(ROOT, "file", with(mode, &set([(ACCESS, value)])));
        let message = refusal(&sample.finish(), &options());
        assert!(message.starts_with("file: ") && message.contains(rule), "{message}");
    }
}

/// Capabilities, labels and other attributes that the kernel interprets are stored byte for byte.
#[test]
fn security_attributes() {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let label = b"system_u:object_r:bin_t:s0\0".to_vec();
    let capability = "security.capability";
    let cases: [(&str, Set); 5] = [
        ("v2", set([(capability, words(&[0x0200_0001, 1 << 13, 0, 0, 0]))])),
        ("v2-high", set([(capability, words(&[0x0200_0000, 0, 1, 1 << 7, 0]))])),
        ("v3", set([(capability, words(&[0x0300_0001, 1 << 10, 0, 0, 0, 100_000]))])),
        ("label", set([("security.selinux", label.clone())])),
        (
            "all",
            set([
                (capability, words(&[0x0200_0001, 1 << 13, 0, 0, 0])),
                ("security.selinux", label),
                ("security.ima", value(33)),
                ("trusted.overlay.opaque", b"y".to_vec()),
            ]),
        ),
    ];
    let mut sample = Sample::new();
    for (name, xattrs) in &cases {
        sample.empty(ROOT, name, with(0o755, xattrs));
    }
    let labelled = &cases[3].1;
    sample.add(ROOT, "link", with(0o777, labelled), Node::Symlink(b"v2".to_vec()));
    sample.add(ROOT, "long", with(0o777, labelled), Node::Symlink(vec![b'l'; 100]));
    sample.add(ROOT, "device", with(0o600, labelled), Node::CharDevice(1, 3));
    sample.add(ROOT, "fifo", with(0o600, labelled), Node::Fifo);
    let image = Image::new(&sample.finish(), &options());
    let look = |root: &Path| {
        for (name, xattrs) in &cases {
            assert_eq!(read_xattrs(&root.join(name)), *xattrs, "{name}");
        }
        for name in ["link", "long", "device", "fifo"] {
            assert_eq!(read_xattrs(&root.join(name)), *labelled, "{name}");
        }
    };
    image.check_with_oracles(look).unwrap();
}

#[test]
fn names_that_ext4_does_not_have() {
    for name in ["nfs4.acl", "user.", &format!("user.{}", "n".repeat(256)), "x"] {
        let mut sample = Sample::new();
        sample.empty(ROOT, "file", with_xattr(name, "value"));
        let message = refusal(&sample.finish(), &options());
        assert!(message.starts_with("file: ") && message.contains(name), "{message}");
    }
    let longest = format!("user.{}", "n".repeat(250));
    let mut sample = Sample::new();
    sample.empty(ROOT, "file", with_xattr(&longest, "value"));
    let image = Image::new(&sample.finish(), &options());
    let found = image.check_with_oracles(|root| read_xattrs(&root.join("file"))).unwrap();
    assert_eq!(found, set([(longest.as_str(), b"value".to_vec())]));
}
