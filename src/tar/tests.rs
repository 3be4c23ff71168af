//! Archives that are built block by block, read as a whole. The numbers of traps are those of a
//! list of what readers of tar get wrong.

use std::fs::File;
use std::io::Write;

use super::Tar;
use super::samples::{archive, changed, header, link, member, pax, signed};
use crate::error::{Error, Result};
use crate::report::Warning;
use crate::tree::dir::DirOptions;
use crate::tree::host_xattrs::HostXattrs;
use crate::tree::{InodeId, Kind, Source, Tree};

fn open(bytes: &[u8]) -> Tar {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let mut tar = Tar::from_file(file, "a.tar").unwrap();
    tar.start = Some(0);
    tar.with_spool(std::env::temp_dir())
}

fn read(members: &[Vec<u8>]) -> Result<(Tree, Vec<Warning>)> {
    open(&archive(members)).read(&DirOptions::default())
}

fn tree(members: &[Vec<u8>]) -> Tree {
    read(members).unwrap().0
}

/// Returns the message for an archive that is refused.
fn refused(members: &[Vec<u8>]) -> String {
    let error = read(members).unwrap_err();
    assert!(matches!(error, Error::Archive { .. }), "{error}");
    error.to_string()
}

#[track_caller]
fn refuses(members: &[Vec<u8>], rule: &str) {
    let said = refused(members);
    assert!(said.contains(rule), "{said}");
}

fn content(tree: &Tree, path: &str) -> Vec<u8> {
    let id = tree.find(path.as_bytes()).unwrap_or_else(|| panic!("no {path}"));
    let Kind::File { size, .. } = tree.inode(id).kind else { panic!("{path} is not a file") };
    let mut bytes = vec![0xAA; usize::try_from(size).unwrap()];
    tree.open(id).unwrap().read(0, &mut bytes).unwrap();
    bytes
}

/// Returns the paths of a tree, one a line, with what is of interest.
fn list(tree: &Tree) -> String {
    let mut lines = Vec::new();
    for (id, inode) in tree.iter() {
        let path = String::from_utf8(tree.path(id)).unwrap();
        let kind = match inode.kind {
            Kind::Directory => "/".to_owned(),
            Kind::File { size, .. } => format!(" {size}"),
            Kind::Symlink => format!(" -> {}", String::from_utf8_lossy(tree.target(id))),
            Kind::Fifo => " fifo".into(),
            Kind::Socket => " socket".into(),
            Kind::CharDevice(major, minor) => format!(" c{major}:{minor}"),
            Kind::BlockDevice(major, minor) => format!(" b{major}:{minor}"),
        };
        let links = if inode.links > 1 { format!(" x{}", inode.links) } else { String::new() };
        lines.push(format!("{path}{kind}{links}"));
    }
    lines.join("\n")
}

fn directory(name: &str) -> Vec<u8> {
    member(name, b'5', b"")
}

fn file(name: &str, bytes: &str) -> Vec<u8> {
    member(name, b'0', bytes.as_bytes())
}

fn gnu(name: &str, typeflag: u8, size: u64) -> [u8; 512] {
    changed(header(name.as_bytes(), typeflag, size), 257, b"ustar  \0")
}

fn long(typeflag: u8, name: &str) -> Vec<u8> {
    let body = [name.as_bytes(), &[0]].concat();
    [&gnu("././@LongLink", typeflag, body.len() as u64)[..], &super::samples::data(&body)].concat()
}

#[test]
fn trap_1_names_by_precedence() {
    let plain = || file("header", "");
    let record = || pax(b'x', &[("path", "first"), ("path", "record")]);
    for (before, expected) in [
        (vec![], "header"),
        (vec![long(b'L', "long")], "long"),
        (vec![record()], "record"),
        (vec![long(b'L', "long"), record()], "record"),
        (vec![record(), long(b'L', "long")], "record"),
        (vec![record(), pax(b'g', &[("comment", "x")])], "record"),
        (vec![pax(b'x', &[("path", "")]), long(b'L', "long")], "long"),
    ] {
        let members = [before, vec![plain(), file("z", "")]].concat();
        assert_eq!(list(&tree(&members)), format!("/\n{expected} 0\nz 0"));
    }
    let prefixed = changed(header(b"name", b'0', 0), 345, b"some/prefix").to_vec();
    assert!(list(&tree(&[prefixed])).ends_with("some/prefix/name 0"));
    let star = changed(header(b"name", b'0', 0), 345, b"prefix");
    let star = changed(changed(star, 476, b"00000000000\x0000000000000\0"), 508, b"tar\0");
    assert!(list(&tree(&[star.to_vec()])).ends_with("prefix/name 0"));
    let symlink = [long(b'K', "long/target"), link("s", b'2', "short")].concat();
    assert_eq!(list(&tree(&[symlink])), "/\ns -> long/target");
    refuses(&[record(), record(), plain()], "a second extended header of type x");
    refuses(&[long(b'L', "a"), long(b'L', "a"), plain()], "of type L");
    refuses(&[plain(), record()], "ends after an extended header");
}

#[test]
fn trap_1_global_records_apply_to_all() {
    let members = [
        pax(b'g', &[("uid", "7"), ("mtime", "1.5")]),
        file("a", ""),
        pax(b'x', &[("uid", "8")]),
        file("b", ""),
        pax(b'g', &[("uid", "")]),
        file("c", ""),
    ];
    let tree = tree(&members);
    let of = |name: &str| *tree.inode(tree.find(name.as_bytes()).unwrap());
    assert_eq!(["a", "b", "c"].map(|name| of(name).uid), [7, 8, 0]);
    assert_eq!(["a", "c"].map(|name| of(name).mtime.nanoseconds), [500_000_000; 2]);
}

#[test]
fn trap_2_numbers_of_headers() {
    let negative = [0xFF; 12];
    let large = [0x80, 0, 0, 0, 0xEE, 0x6B, 0x28, 0];
    let header = changed(changed(header(b"a", b'0', 0), 136, &negative), 108, &large);
    let tree = tree(&[header.to_vec()]);
    let inode = tree.inode(tree.find(b"a").unwrap());
    assert_eq!((inode.mtime.seconds, inode.uid), (-1, 4_000_000_000));
    let blank = changed(super::samples::header(b"a", b'0', 0), 108, b"        ");
    refuses(&[blank.to_vec()], "uid is not a number");
    let size = changed(super::samples::header(b"a", b'0', 0), 124, &negative);
    refuses(&[size.to_vec()], "size is -1");
}

#[test]
fn trap_3_sizes_that_disagree() {
    let data = super::samples::data(b"12345");
    let with = |record: &str, size| {
        let header = header(b"a", b'0', size).to_vec();
        [pax(b'x', &[("size", record)]), header, data.clone()].concat()
    };
    assert_eq!(content(&tree(&[with("5", 5)]), "a"), b"12345");
    refuses(&[with("5", 0)], "size is 0 in its header, but 5 in a record");
    refuses(&[with("0", 5)], "size is 5 in its header, but 0 in a record");
    let twice = pax(b'x', &[("size", "5"), ("size", "5")]);
    refuses(&[twice, file("a", "12345")], "size occurs twice");
    let stored = pax(
        b'x',
        &[
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "dir/real"),
            ("GNU.sparse.realsize", "1000"),
        ],
    );
    let body = [&super::samples::data(b"1\n700\n5\n")[..], b"hello"].concat();
    let found = tree(&[stored, member("GNUSparseFile.1/real", b'0', &body)]);
    let expected = [&[0; 700][..], b"hello", &[0; 295]].concat();
    assert_eq!(content(&found, "dir/real"), expected);
    assert_eq!(list(&found), "/\ndir/\ndir/real 1000");
    for key in ["SCHILY.realsize", "SUN.holesdata"] {
        refuses(&[pax(b'x', &[(key, "5")]), file("a", "")], key);
    }
}

#[test]
fn trap_4_sparse_files_of_gnu_tar() {
    let number = |number: u64| format!("{number:011o}\0");
    let entry = |offset, length| number(offset) + &number(length);
    let old = |entries: &[(u64, u64)], realsize, size, is_extended: bool| {
        let map: String = entries.iter().map(|&(offset, length)| entry(offset, length)).collect();
        let header = changed(gnu("s", b'S', size), 386, map.as_bytes());
        let header = changed(header, 482, &[u8::from(is_extended)]);
        changed(header, 483, number(realsize).as_bytes()).to_vec()
    };
    let short = [old(&[(0, 2), (1024, 3)], 2000, 5, false), super::samples::data(b"abcde")];
    let expected = [b"ab", &[0; 1022][..], b"cde", &[0; 973]].concat();
    assert_eq!(content(&tree(&[short.concat()]), "s"), expected);
    let ranges: Vec<_> = (0..26).map(|at| (at * 10, 1)).collect();
    let block = |entries: &[(u64, u64)], is_extended: bool| {
        let map: String = entries.iter().map(|&(offset, length)| entry(offset, length)).collect();
        let mut block = [0; 512];
        block[..map.len()].copy_from_slice(map.as_bytes());
        block[504] = u8::from(is_extended);
        block.to_vec()
    };
    let letters: Vec<u8> = (b'a'..=b'z').collect();
    let extended = [
        old(&ranges[..4], 300, 26, true),
        block(&ranges[4..25], true),
        block(&ranges[25..], false),
        super::samples::data(&letters),
    ];
    let found = tree(&[extended.concat(), file("after", "x")]);
    let bytes = content(&found, "s");
    assert_eq!(bytes.iter().copied().filter(|&byte| byte != 0).collect::<Vec<_>>(), letters);
    assert_eq!((bytes.len(), bytes[250], content(&found, "after")), (300, b'z', b"x".to_vec()));
    refuses(&[old(&[(0, 2), (1, 3)], 2000, 5, false)], "goes back from 2 to 1");
    refuses(&[old(&[(0, 2), (1999, 3)], 2000, 5, false)], "goes to 2002, its size is 2000");
    refuses(&[old(&[(0, 2)], 2000, 5, false)], "has 2 bytes of data, not 5");
    let posix = header(b"s", b'S', 0).to_vec();
    refuses(&[posix], "not of GNU tar");
}

#[test]
fn trap_4_sparse_files_of_pax() {
    let records = [
        ("GNU.sparse.size", "12"),
        ("GNU.sparse.numblocks", "2"),
        ("GNU.sparse.offset", "1"),
        ("GNU.sparse.numbytes", "2"),
        ("GNU.sparse.offset", "5"),
        ("GNU.sparse.numbytes", "3"),
    ];
    let map = [records[0], records[1], ("GNU.sparse.map", "1,2,5,3"), ("GNU.sparse.name", "s")];
    for records in [&records[..], &map] {
        let tree = tree(&[pax(b'x', records), file("s", "abcde"), file("t", "")]);
        assert_eq!(content(&tree, "s"), b"\0ab\0\0cde\0\0\0\0");
        let reader = tree.open(tree.find(b"s").unwrap()).unwrap();
        let data = |start| reader.next_data(start..12);
        assert_eq!([0, 2, 3, 8].map(data), [Some(1..3), Some(2..3), Some(5..8), None]);
        let mut part = [9; 4];
        reader.read(2, &mut part).unwrap();
        assert_eq!(part, *b"b\0\0c");
    }
    let data = |text: &str| {
        let records =
            [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "1000")];
        vec![pax(b'x', &records), member("s", b'0', &super::samples::data(text.as_bytes()))]
    };
    assert_eq!(content(&tree(&data("0\n")), "s"), [0; 1000]);
    let long: String = "1000\n".to_owned() + &"0\n0\n".repeat(1000);
    assert_eq!(content(&tree(&data(&long)), "s"), [0; 1000]);
    refuses(&data("5\n1\n"), "has no newline");
    refuses(&data("1\n-1\n5\n"), "is not a number");
    refuses(&data(&"0".repeat(600)), "has no newline");
    refuses(&data(&"1\n".repeat(256)), "bytes of data");
    refuses(&data(&("999\n".to_owned() + &"0\n".repeat(254))), "is longer than its data");
}

#[test]
fn trap_5_hard_links() {
    let expected = "/\na 1 x3\nb/";
    for members in [
        [file("a", "1"), link("b/c", b'1', "a"), link("d", b'1', "./a")],
        [link("b/c", b'1', "a"), link("d", b'1', "b/c"), file("a", "1")],
        [link("d", b'1', "b/c"), link("b/c", b'1', "/a"), file("./a", "1")],
    ] {
        let tree = tree(&members);
        assert_eq!(list(&tree), expected);
        assert_eq!(content(&tree, "d"), b"1");
        assert_eq!(tree.entry_count(), 4);
    }
    // The node at that moment.
    let found = tree(&[file("a", "1"), link("b", b'1', "a"), file("a", "22")]);
    assert_eq!(list(&found), "/\na 2\nb 1");
    let symlink = tree(&[link("s", b'2', "x"), link("t", b'1', "s")]);
    assert_eq!(list(&symlink), "/\ns -> x x2");
    // POSIX allows data.
    let again = [pax(b'x', &[("mtime", "0")]), member("b", b'1', b"1")].concat();
    let again = changed(again[1024..1536].try_into().unwrap(), 157, b"a");
    let data = super::samples::data(b"1");
    let with_data = [pax(b'x', &[("mtime", "0")]), [&again[..], &data].concat()].concat();
    assert_eq!(list(&tree(&[file("a", "1"), with_data.clone(), file("z", "")])), "/\na 1 x2\nz 0");
    refuses(&[file("a", "1"), with_data[1024..].to_vec()], "only regular files have data");
    refuses(&[link("b", b'1', "a")], "b at byte 0: a hard link to a, which is not in the archive");
    refuses(&[link("b", b'1', "b")], "a hard link to itself");
    assert_eq!(list(&tree(&[file("b", "1"), link("./b", b'1', "b")])), "/\nb 1");
    refuses(&[link("b", b'1', "c"), link("c", b'1', "b")], "over other links");
    refuses(&[link("b", b'1', "a"), directory("a")], "a hard link to the directory a");
    refuses(&[directory("a"), link("b", b'1', "a")], "a hard link to the directory a");
    refuses(&[link("b", b'1', "../a")], "`..` leads out of the tree");
}

#[test]
fn trap_6_paths() {
    let (found, warnings) = read(&[
        directory("./"),
        directory("/a//"),
        file("./a/./b", ""),
        directory("a"),
        file("a//b", "22"),
        link("c", b'2', "x"),
        directory("c"),
        file("c/d", ""),
    ])
    .unwrap();
    assert_eq!(list(&found), "/\na/\na/b 2\nc/\nc/d 0");
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    let expected = [
        "a: 1 member has: a name that starts with a slash",
        "a: 3 members repeat, first here: an earlier path is replaced",
    ];
    assert_eq!(warnings, expected);
    refuses(&[file("../a", "")], "../a at byte 0: `..` leads out of the tree");
    refuses(&[file("b/../a", "")], "`..` leads");
    refuses(&[link("l", b'2', "/etc"), file("l/passwd", "")], "l is not a directory");
    refuses(&[file("l", ""), file("l/a", "")], "l is not a directory");
    refuses(&[file("l/a", ""), file("l", "")], "a directory with members has this name");
    refuses(&[file("./", "")], "name ends with a slash");
    refuses(&[link(".", b'2', "x")], "the root of the archive is not a directory");
    refuses(&[file(&"n".repeat(256)[..99], ""), file("", "")], "a name that is empty");
    refuses(&[long(b'L', &"n".repeat(256)), file("a", "")], "longer than 255 bytes");
    let empty = tree(&[directory("a"), file("a", "1")]);
    assert_eq!(list(&empty), "/\na 1");
}

#[test]
fn trap_7_missing_parents() {
    let (tree, warnings) = read(&[file("a/b/c", ""), directory("a")]).unwrap();
    let inode = tree.inode(tree.find(b"a/b").unwrap());
    assert_eq!((inode.mode, inode.uid, inode.mtime.seconds), (0o755, 0, 0));
    let inode = tree.inode(tree.find(b"a").unwrap());
    assert_eq!(inode.mode, 0o644);
    let warning = "/: 2 directories have no member, first here; they have mode 0755, owner 0:0 \
                   and time 0";
    assert_eq!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [warning]);
}

#[test]
fn trap_8_types() {
    let device = |typeflag, major: &str, minor: &str| {
        let header = changed(header(b"dev", typeflag, 0), 329, major.as_bytes());
        changed(header, 337, minor.as_bytes()).to_vec()
    };
    let v7 = |name: &[u8], typeflag| changed(header(name, typeflag, 0), 257, &[0; 8]).to_vec();
    for (member, expected) in [
        (file("f", "1"), "f 1"),
        (member("f", 0, b"1"), "f 1"),
        (member("f", b'7', b"1"), "f 1"),
        (link("s", b'2', "/x"), "s -> /x"),
        (device(b'3', "0000001", "0000003"), "dev c1:3"),
        (device(b'4', "0000010\0", "3777777\0"), "dev b8:1048575"),
        (member("p", b'6', b""), "p fifo"),
        (directory("d/"), "d/"),
        (v7(b"d/", 0), "d/"),
        (v7(b"d/", b'0'), "d/"),
        (member("d/", 0, b""), "d/"),
    ] {
        assert_eq!(list(&tree(&[member])), format!("/\n{expected}"));
    }
    for (typeflag, name) in
        [(b'A', "ACL"), (b'D', "incremental"), (b'M', "volume"), (b'N', "list"), (b'X', "Solaris")]
    {
        refuses(&[member("m", typeflag, b"")], name);
    }
    refuses(&[member("m", b'Z', b"")], "its type Z is unknown");
    refuses(&[member("d", b'5', b"x")], "only regular files have data");
    refuses(&[v7(b"c", b'3')], "without device numbers");
    refuses(&[device(b'3', "0010000", "0000000")], "devmajor is 4096, Linux allows 4095");
    let star = [pax(b'x', &[("SCHILY.devminor", "70000")]), device(b'3', "0000001", "0")].concat();
    assert_eq!(list(&tree(&[star])), "/\ndev c1:70000");
    let (_, warnings) = read(&[member("name", b'V', b""), directory(".")]).unwrap();
    assert_eq!(warnings[0].to_string(), "name: its volume label of 1 member is not read");
}

#[test]
fn trap_9_attributes_of_the_host_are_left_out() {
    let records = [
        ("SCHILY.xattr.user.a", "1"),
        ("SCHILY.xattr.trusted.overlay.opaque", "y"),
        ("SCHILY.xattr.system.other", "y"),
    ];
    let (found, warnings) = read(&[directory("."), pax(b'x', &records), file("f", "")]).unwrap();
    let names = |tree: &Tree| -> Vec<_> {
        let xattrs = tree.xattrs(tree.find(b"f").unwrap()).iter();
        xattrs.map(|xattr| String::from_utf8(xattr.name.clone()).unwrap()).collect()
    };
    assert_eq!((names(&found), warnings.len()), (vec!["user.a".to_owned()], 2));
    let host_xattrs = HostXattrs::default().leave_out("user.*").keep("trusted.*");
    let options = DirOptions { host_xattrs, ..DirOptions::default() };
    let (found, _) = open(&archive(&[pax(b'x', &records), file("f", "")])).read(&options).unwrap();
    assert_eq!(names(&found), ["trusted.overlay.opaque"]);
}

#[test]
fn trap_11_names_are_bytes() {
    let mut name = header(b"a\xFF\xFE\n", b'0', 0).to_vec();
    let found = tree(&[name.clone()]);
    assert!(found.find(b"a\xFF\xFE\n").is_some());
    for charset in ["BINARY", "ISO-IR 10646 2000 UTF-8"] {
        name = [pax(b'x', &[("hdrcharset", charset), ("path", "ö")]), file("x", "")].concat();
        assert!(tree(&[name]).find("ö".as_bytes()).is_some());
    }
    let other = pax(b'x', &[("hdrcharset", "ISO-IR 8859 1 1998")]);
    refuses(&[other, file("a", "")], "the character set of its names");
    refuses(&[pax(b'x', &[("path", "a\0b")]), file("a", "")], "has a NUL");
}

#[test]
fn trap_12_ends() {
    let whole = archive(&[file("a", "1234")]);
    let fails = |bytes: &[u8], rule: &str| {
        let error = open(bytes).read(&DirOptions::default()).unwrap_err().to_string();
        assert!(error.contains(rule), "{} bytes: {error}", bytes.len());
    };
    for length in 0..512 {
        fails(&whole[..length], &format!("this is not a tar archive: it has {length} bytes"));
    }
    for length in 512..whole.len() {
        fails(&whole[..length], "ends before its end-of-archive marker");
    }
    let padded = [&whole[..], &[0; 10240]].concat();
    open(&padded).read(&DirOptions::default()).unwrap();
    open(&[0; 1024]).read(&DirOptions::default()).unwrap();
    let joined = [&whole[..], &whole].concat();
    fails(&joined, "at byte 2048: other bytes follow the end-of-archive marker");
    let lone = [&whole[..1536], &whole].concat();
    fails(&lone, "at byte 1536: other bytes follow");
    let mut wrong = whole;
    wrong[0] ^= 1;
    fails(&wrong, "at byte 0: this is not a tar archive: chksum is");
    let mut wrong = archive(&[file("a", "1234"), file("b", "")]);
    wrong[1024] ^= 1;
    fails(&wrong, "at byte 1024: no header where one must be: chksum is");
    // A sum of signed bytes.
    let mut signed_sum = header("ä".as_bytes(), b'0', 0);
    signed_sum[148..156].fill(b' ');
    let sum: i64 = signed_sum.iter().map(|&byte| i64::from(byte.cast_signed())).sum();
    signed_sum[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert!(tree(&[signed_sum.to_vec()]).find("ä".as_bytes()).is_some());
    let version = changed(header(b"a", b'0', 0), 263, b"01");
    refuses(&[version.to_vec()], "the version of its header is unknown");
}

#[test]
fn trap_13_unknown_records_are_reported() {
    let records =
        [("atime", "1"), ("ctime", "1"), ("SCHILY.ino", "5"), ("VENDOR.x", "1"), ("uname", "u")];
    let members = [directory("."), pax(b'x', &records), file("a", ""), pax(b'x', &records)];
    let (_, warnings) = read(&[&members[..], &[file("b", "")]].concat()).unwrap();
    assert_eq!(warnings.len(), 1);
    let warning = "a: VENDOR.x of 2 members, first here is not read";
    assert_eq!(warnings[0].to_string(), warning);
}

#[test]
fn trap_14_headers_are_limited() {
    let large = header(b"pax", b'x', (8 << 20) + 1).to_vec();
    refuses(&[large], "has 8388609 bytes, more than 8388608 are not read");
    let record = [("GNU.sparse.size", "9223372036854775808"), ("GNU.sparse.map", "0,0")];
    refuses(&[pax(b'x', &record), file("a", "")], "is not a number");
    let huge = changed(
        header(b"a", b'0', 0),
        124,
        &[0x80, 0, 0, 0, 0x7F, 255, 255, 255, 255, 255, 255, 255],
    );
    refuses(&[huge.to_vec()], "ends before its end-of-archive marker");
}

#[test]
fn any_order_gives_one_tree() {
    let members = [
        directory("."),
        directory("a"),
        file("a/b", "12"),
        link("c", b'1', "a/b"),
        link("d", b'2', "c"),
        member("p", b'6', b""),
    ];
    let expected = tree(&members);
    for rotation in 0..members.len() {
        let mut members = members.clone();
        members.rotate_left(rotation);
        if rotation % 2 == 0 {
            members.reverse();
        }
        let found = tree(&members);
        assert_eq!(list(&found), list(&expected));
        assert_eq!(content(&found, "c"), b"12");
        assert_eq!(found.inode(InodeId::ROOT).mode, 0o644);
    }
}

#[test]
fn excluded_paths_are_left_out() {
    let members = [file("a/b", "12"), link("c", b'1', "a/b"), file("d", "")];
    let exclude = |path: &[u8]| path == b"a" || path == b"d";
    let options = DirOptions { exclude: Some(&exclude), ..DirOptions::default() };
    let (found, _) = open(&archive(&members)).read(&options).unwrap();
    assert_eq!(list(&found), "/\nc 2");
    assert_eq!(content(&found, "c"), b"12");
}

#[test]
fn a_file_is_read_from_its_position() {
    let bytes = [&b"before"[..], &archive(&[file("a", "1234")])].concat();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar");
    std::fs::write(&path, bytes).unwrap();
    let mut file = File::open(&path).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(6)).unwrap();
    let tar = Tar::from_file(file, &path).unwrap();
    for _ in 0..2 {
        let (tree, _) = tar.read(&DirOptions::default()).unwrap();
        assert_eq!(content(&tree, "a"), b"1234");
    }
    let (tree, _) = tar.read(&DirOptions::default()).unwrap();
    std::fs::write(&path, b"short").unwrap();
    let id = tree.find(b"a").unwrap();
    let reader = tree.open(id).unwrap();
    let mut bytes = [0; 4];
    assert!(matches!(reader.read(0, &mut bytes), Err(Error::Changed { .. })));
    assert!(matches!(reader.verify(), Err(Error::Changed { .. })));
}

#[test]
fn signed_headers_are_right() {
    let block = header(b"name", b'0', 5);
    assert_eq!(signed(block), block);
}
