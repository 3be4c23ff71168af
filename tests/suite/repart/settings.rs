//! Settings that detfs used to treat differently from systemd-repart.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::fixture::Fixture;
use super::side::WORKDIR;
use crate::detfs::{mkfs, mkimage};
use crate::oracle::{Mounted, fsck_fat, run, shell};

const CREATE: [&str; 3] = ["--empty=create", "--size=auto", "--split=yes"];

fn clear(fixture: &Fixture) {
    shell("rm -f $1/*.raw", &[&fixture.side.directory]);
}

#[test]
fn quotes_are_taken_off() {
    let fixture = Fixture::new("mkdir 'a b'; echo x >'a b/file'");
    fixture.define(&[r#"10-part Type=srv; Format=ext4; CopyFiles=/a\x20b:/'c'; MakeDirectories="/d e" /f\ g; MountPoint=/:"subvol=@,zstd:1,noatime"; MountPoint='/x':"#]);
    fixture.make(&[&CREATE[..], &["--generate-fstab=/etc/fstab"]].concat(), &[]);
    let fstab = fs::read_to_string(fixture.side.path("tree/etc/fstab")).unwrap();
    for line in [
        " / ext4 discard,rw,nodev,suid,exec,subvol=@,zstd:1,noatime 0 2\n",
        " /x ext4 discard,rw,nodev,suid,exec 0 2\n",
    ] {
        assert!(fstab.contains(line), "{fstab}");
    }
    let mounted = Mounted::new("ext4", "ro", Some(&fixture.part("srv"))).unwrap();
    // `CopyFiles=` does not interpret quotes.
    for path in ["'c'/file", "d e", "f g"] {
        assert!(mounted.path().join(path).exists(), "{path}");
    }
}

/// Returns the subvolumes and the default subvolume of a partition, and standard error.
fn subvolumes(fixture: &Fixture, settings: &str) -> (String, String) {
    clear(fixture);
    fixture.define(&[&format!("10-part Type=srv; Format=btrfs; CopyFiles=/; {settings}")]);
    let answer = fixture.run(&CREATE, &[]);
    assert_eq!(answer.code, Some(0), "{settings}: {}", answer.stderr);
    let mounted = Mounted::new("btrfs", "ro,subvolid=5", Some(&fixture.part("srv"))).unwrap();
    let script = "cd $1; btrfs subvolume list . | sed 's/.* path //' | while read -r path; do
            printf '%s ' \"$path\"; btrfs property get $path ro; done
        btrfs subvolume get-default . | sed 's/.* path /default /'";
    (shell(script, &[mounted.path()]), answer.stderr)
}

#[test]
fn the_top_level_is_a_subvolume() {
    let fixture = Fixture::new("mkdir -p var/lib home");
    for (settings, expected) in [
        ("Subvolumes=/ /var", "var ro=false\nID 5 (FS_TREE)\n"),
        ("Subvolumes=/:ro", "ID 5 (FS_TREE)\n"),
        ("Subvolumes=/ /var; DefaultSubvolume=/", "var ro=false\nID 5 (FS_TREE)\n"),
        ("Subvolumes=/ /var:ro; DefaultSubvolume=/var", "var ro=true\ndefault var\n"),
        ("Subvolumes=/var:bogus /home:ro,bogus", "home ro=false\nvar ro=false\nID 5 (FS_TREE)\n"),
        ("Subvolumes=/var:ro; Subvolumes=/var", "var ro=true\nID 5 (FS_TREE)\n"),
        ("Subvolumes=\"/var\":'ro'", "var ro=true\nID 5 (FS_TREE)\n"),
    ] {
        let (found, said) = subvolumes(&fixture, settings);
        assert_eq!(found, expected, "{settings}");
        assert_eq!(
            settings.contains("bogus"),
            said.contains("unknown subvolume flag \"bogus\""),
            "{said}"
        );
        assert_eq!(settings.contains("/:ro"), said.contains("the top level"), "{said}");
    }
}

#[test]
fn a_subvolume_is_a_directory() {
    let fixture = Fixture::new("echo x >file");
    for (path, rule) in [("/missing", "is not in the file system"), ("/file", "is not a directory")]
    {
        fixture.define(&[&format!(
            "10-part Type=srv; Format=btrfs; CopyFiles=/; Subvolumes=/etc {path}"
        )]);
        let answer = fixture.run(&CREATE, &[]);
        assert_eq!(answer.code, Some(1), "{}", answer.stderr);
        let line = format!("10-part.conf:5: Subvolumes=: {path} {rule}; ");
        assert!(answer.stderr.contains(&line), "{}", answer.stderr);
    }
}

#[test]
fn without_an_image_there_is_its_size() {
    let fixture = Fixture::new("");
    fixture.define(&["10-part Type=srv; SizeMinBytes=3M"]);
    for args in [&["-"][..], &["-", "--size=50M"], &["-", "--json=pretty"], &["", "--size=auto"]] {
        let definitions = format!("--definitions={WORKDIR}/repart.d");
        let answer = fixture.side.repart(&[args, &[&definitions]].concat(), &[]);
        assert_eq!((answer.code, &*answer.stdout), (Some(0), ""), "{args:?}: {}", answer.stderr);
        let line = "Automatically determined minimal disk image size as 4M.\n";
        assert!(answer.stderr.ends_with(line), "{args:?}: {}", answer.stderr);
    }
    let answer = fixture.side.repart(&["-", "--split=yes", "--definitions=/"], &[]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.stderr.contains("--split: no image"), "{}", answer.stderr);
}

/// Creates a boot directory as on Ubuntu, with one more node.
fn boot(more: &str) -> Fixture {
    Fixture::new(&format!(
        "mkdir -p boot/EFI usr/lib; cd boot; echo kernel >vmlinuz-1; ln -s vmlinuz-1 vmlinuz
        ln -s /boot/vmlinuz EFI/absolute; ln -s ../vmlinuz EFI/chain; echo x >../usr/lib/kernel
        {more}"
    ))
}

/// Returns the names of the files in a FAT.
fn names(image: &Path) -> String {
    fsck_fat(image).unwrap();
    let said = run("mdir", ["-i".as_ref(), image.as_os_str(), "-/".as_ref(), "-b".as_ref()]);
    assert!(said.ok, "{}", said.all());
    said.stdout
}

const WITHOUT_LINKS: &str = "::/EFI/\n::/vmlinuz-1\n";

#[test]
fn links_to_what_is_in_a_fat_are_left_out() {
    let fixture = boot("");
    fixture.define(&["10-part Type=esp; CopyFiles=/boot:/"]);
    let answer = fixture.run(&CREATE, &[]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    for (path, target) in [("vmlinuz", ""), ("EFI/absolute", ""), ("EFI/chain", "")] {
        let line = format!(
            "{path}: symlink is left out, because FAT has no symlinks; \
             its target /vmlinuz-1 is kept{target}"
        );
        assert!(answer.stderr.contains(&line), "{}", answer.stderr);
    }
    assert_eq!(names(&fixture.part("esp")), WITHOUT_LINKS);
    // mkimage and mkfs leave out the same links. Only mkimage can resolve absolute links.
    let (tree, out) = (fixture.side.path("tree"), fixture.side.path("out"));
    let options = ["--force", "--architecture=x86-64"];
    let output = mkimage(&tree, &out, 1, &options).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("its target /boot/vmlinuz-1 is kept").count(), 3, "{said}");
    let boot = tree.join("boot");
    let refused = mkfs("vfat", &boot, &out, 1, &["--force"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    fs::remove_file(boot.join("EFI/absolute")).unwrap();
    let output = mkfs("vfat", &boot, &out, 1, &["--force"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(names(&out), WITHOUT_LINKS);
}

#[test]
fn other_nodes_are_refused_or_left_out_as_systemd_repart_does() {
    for (script, what) in [
        ("ln -s ../usr/lib/kernel outside", "a symbolic link"),
        ("ln -s /usr/lib/kernel outside", "a symbolic link"),
        ("ln -s nothing outside", "a symbolic link"),
        ("ln -s outside outside", "a symbolic link"),
        ("mkfifo outside", "a named pipe"),
        ("mknod outside c 1 3", "a character device"),
    ] {
        let fixture = boot(script);
        fixture.define(&["10-part Type=esp; CopyFiles=/boot:/"]);
        let answer = fixture.run(&CREATE, &[]);
        assert_eq!(answer.code, Some(1), "{script}: {}", answer.stderr);
        let line = format!("outside: FAT can't store {what}");
        assert!(answer.stderr.contains(&line), "{script}: {}", answer.stderr);
        let answer = fixture.run(&CREATE, &[("DETFS_REPART_COMPAT", "vfat")]);
        assert_eq!(answer.code, Some(0), "{script}: {}", answer.stderr);
        let line = "outside: left out, because FAT can't store it";
        assert!(answer.stderr.contains(line), "{script}: {}", answer.stderr);
        assert_eq!(names(&fixture.part("esp")), WITHOUT_LINKS, "{script}");
    }
}

/// Runs without `--root`, since systemd-repart copies from devices only then.
fn copy_blocks(fixture: &Fixture, path: &Path, more: &str) -> (Option<i32>, String) {
    clear(fixture);
    fixture.define(&[&format!("10-part Type=srv; CopyBlocks={}; {more}", path.to_str().unwrap())]);
    let mut args = CREATE.map(str::to_owned).to_vec();
    args.push(format!("--definitions={WORKDIR}/repart.d"));
    args.push("--seed=11111111-2222-3333-4444-555555555555".to_owned());
    args.push(format!("{WORKDIR}/image.raw"));
    let answer = fixture.side.repart(&args, &[]);
    (answer.code, answer.stderr)
}

#[test]
fn blocks_are_copied_from_devices() {
    let fixture = Fixture::new("head -c 1M /dev/urandom >../blocks");
    let blocks = fixture.side.path("blocks");
    let device = shell("losetup --find --show --read-only $1", &[&blocks]);
    let device = Path::new(device.trim());
    assert!(fs::metadata(device).unwrap().file_type().is_block_device());
    let (code, said) = copy_blocks(&fixture, device, "SizeMaxBytes=1M");
    shell("losetup --detach $1", &[device]);
    assert_eq!(code, Some(0), "{said}");
    let part = fs::read(fixture.part("srv")).unwrap();
    assert!(part[..1 << 20] == fs::read(&blocks).unwrap());
    let (code, said) = copy_blocks(&fixture, Path::new("/dev/zero"), "SizeMinBytes=2M");
    assert_eq!(code, Some(0), "{said}");
    assert!(fs::read(fixture.part("srv")).unwrap().iter().all(|&byte| byte == 0));
    for device in ["/dev/urandom", "/dev/null"] {
        let (code, said) = copy_blocks(&fixture, Path::new(device), "");
        assert_eq!(code, Some(1));
        assert!(said.contains("different bytes each time; copy from it to a file"), "{said}");
    }
    shell("mkdir $1/dev; mknod $1/dev/zero c 1 5", &[&fixture.side.path("tree")]);
    fixture.define(&["10-part Type=srv; CopyBlocks=/dev/zero"]);
    let answer = fixture.run(&CREATE, &[]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.stderr.contains("is a device, and --root= is given"), "{}", answer.stderr);
}

/// Data of a deleted partition is cleared if the free space borders on a new partition.
#[test]
fn deleted_partitions_leave_nothing() {
    let fixture = Fixture::new("head -c 1M /dev/urandom >blocks");
    let path = fixture.side.path("image.raw");
    let first = |path: &Path| fs::read(path).unwrap()[1 << 20..2 << 20].to_vec();
    for (discard, cleared) in [("--discard=yes", true), ("--discard=no", false)] {
        clear(&fixture);
        fixture.define(&[
            "10-part Type=srv; CopyBlocks=/blocks; SizeMinBytes=1M; SizeMaxBytes=1M",
            "20-part Type=home; SizeMinBytes=1M; SizeMaxBytes=1M",
        ]);
        fixture.make(&["--empty=create", "--size=20M"], &[]);
        let blocks = fs::read(fixture.side.path("tree/blocks")).unwrap();
        assert!(first(&path) == blocks);
        shell("sfdisk -q --delete $1 1", &[&path]);
        fixture.define(&["10-part Type=swap; SizeMinBytes=4M"]);
        fixture.make(&["--dry-run=no", discard], &[]);
        assert_eq!(first(&path) == [0; 1 << 20], cleared, "{discard}");
        assert_eq!(first(&path) == blocks, !cleared, "{discard}");
    }
}
