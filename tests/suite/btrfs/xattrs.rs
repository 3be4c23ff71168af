//! Extended attributes up to the largest that fit into a leaf.

use std::fs;
use std::path::Path;

use rustix::fs::XattrFlags;

use super::image::{Image, check_with_oracles, mkfs_btrfs};
use crate::oracle::{Mounted, read_xattrs, run, shell};

/// Mounts a file system that supports long attributes.
fn host() -> Mounted {
    Mounted::new("tmpfs", "size=64m", None).unwrap()
}

fn set(at: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(at, name, value, XattrFlags::empty()).unwrap();
}

/// The limit applies to name and value together. The entry takes 30 bytes and the item header 25
/// bytes of a leaf.
#[test]
fn the_longest_and_one_byte_more() {
    for (node_size, most) in [(4096, 3940), (16_384, 16_228), (32_768, 32_612)] {
        let host = host();
        let options = [format!("--btrfs-node-size={node_size}")];
        let options = options.each_ref().map(String::as_str);
        let file = host.path().join("file");
        fs::write(&file, "x").unwrap();
        for name in ["trusted.x", &format!("trusted.{}", "n".repeat(247))] {
            let value = vec![b'v'; most - name.len()];
            set(&file, name, &value);
            set(host.path(), name, &value);
            let image = check_with_oracles(host.path(), &options);
            image.mounted(|root| assert_eq!(read_xattrs(&root.join("file")).len(), 1));

            set(&file, name, &[&value[..], b"v"].concat());
            let out = image.beside("refused");
            let output = mkfs_btrfs(host.path(), &out, &options).output().unwrap();
            let message = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(3), "{message}");
            for word in ["file: ", name, &most.to_string()] {
                assert!(message.contains(word), "no {word}: {message}");
            }
            rustix::fs::lremovexattr(&file, name).unwrap();
            rustix::fs::lremovexattr(host.path(), name).unwrap();
        }
    }
    // Nodes of 64 KiB can store attributes almost up to the kernel's limit of 64 KiB.
    let host = host();
    fs::write(host.path().join("file"), "x").unwrap();
    set(&host.path().join("file"), "trusted.x", &vec![b'v'; 65_535 - 200]);
    check_with_oracles(host.path(), &["--btrfs-node-size=65536"]);
}

#[test]
fn many_and_empty_ones() {
    let host = host();
    for count in [0, 1, 2, 100, 500] {
        let file = host.path().join(count.to_string());
        fs::write(&file, "x").unwrap();
        for number in 0..count {
            set(&file, &format!("trusted.{number}"), &vec![b'v'; number % 90]);
        }
    }
    fs::create_dir(host.path().join("directory")).unwrap();
    set(&host.path().join("directory"), "trusted.empty", b"");
    check_with_oracles(host.path(), &[]);
    check_with_oracles(host.path(), &["--btrfs-node-size=4096", "--btrfs-compat=old"]);
}

/// ACLs, capabilities and security labels are stored unchanged.
#[test]
fn access_control_and_capabilities() {
    let host = host();
    let script = "cd $1; mkdir directory; echo x >file; echo x >program; ln -s file link
        setfacl -m u:1:rwx,u:4294967294:-,g:70000:rw file; setfacl -d -m u:7:rx,g:8:w directory
        setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 program
        setfattr -h -n security.selinux -v 0x73797374656d00 link
        setfattr -n security.selinux -v 0x73797374656d00 program
        setfattr -n trusted.other -v y directory";
    shell(script, &[host.path()]);
    let image = check_with_oracles(host.path(), &[]);
    let said =
        image.mounted(|root| run("getfacl", ["-cnpE".as_ref(), root.join("file").as_os_str()]));
    assert!(said.stdout.contains("user:4294967294:---\n"), "{}", said.all());
}

#[test]
fn the_kernel_writes_among_them() {
    let host = host();
    let file = host.path().join("file");
    fs::write(&file, "x").unwrap();
    for number in 0..100 {
        set(&file, &format!("user.{number}"), b"value");
    }
    let image = Image::new(host.path(), &[]);
    let script = "cd $1; setfattr -n user.7 -v new file; setfattr -x user.8 file
        setfattr -n user.new -v x file";
    crate::oracle::btrfs::session(&image.path, "rw", |root| shell(script, &[root])).unwrap();
    shell(script, &[host.path()]);
    crate::oracle::btrfs::btrfs_check(&image.path).unwrap();
    image.mounted(|root| assert_eq!(read_xattrs(&root.join("file")), read_xattrs(&file)));
}
