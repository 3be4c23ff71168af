//! The content of partitions is the same as that of systemd-repart for the same definitions and the
//! same tree.
//!
//! The tree avoids what mke2fs and mkfs.btrfs lose: the mode, owner and time of the root directory,
//! and fractions of seconds.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::side::{Side, Tool, WORKDIR};
use crate::oracle::{Comparison, Mounted, extract_fat, fsck_fat, mount_ext4, shell};

/// Shell script that creates a tree for the tested settings: directories whose content is excluded,
/// symlinks in paths, hard links, and times after the epoch.
const TREE: &str = r#"
    cd "$1"
    mkdir -p usr/bin usr/lib/x usr/share/drop etc/deep/er proc/1 sys dev run/keep tmp/t var/tmp/t \
        var/lib home/user/d home/other srv/s boot/EFI/BOOT boot/loader efi/EFI opt/gone opt/stays
    for name in usr/bin/one usr/lib/x/file usr/share/drop/file etc/deep/file etc/deep/er/file \
        etc/passwd proc/1/file dev/file run/keep/file tmp/t/file var/tmp/t/file var/lib/file \
        home/user/d/file home/other/file srv/s/file boot/EFI/BOOT/BOOTX64.EFI boot/loader/loader.conf \
        efi/EFI/more opt/gone/file opt/stays/file; do
        echo "$name" >"$name"
    done
    head -c 3000000 /dev/urandom >usr/lib/large
    truncate -s 5M var/lib/sparse; echo end >>var/lib/sparse
    ln usr/bin/one usr/bin/two; ln usr/bin/one opt/stays/three
    ln usr/share/drop/file usr/lib/survivor
    ln -s usr/lib lib; ln -s /etc/deep absolute; ln -s deep/file etc/link; ln -s nowhere etc/dangling
    ln -s /opt/stays etc/down
    mkfifo var/lib/fifo; mknod var/lib/null c 1 3; mknod var/lib/block b 7 9
    chmod 4755 usr/bin/one; chmod 1777 tmp; chmod 750 var/lib; chown 1000:1001 home/user home/user/d
    setfattr -n user.mime_type -v text etc/passwd; setfattr -n user.dir -v 1 usr/lib
    find . -exec touch -hd @1700000000 {} +
    touch -d @1800000000 etc/passwd etc; touch -d @1600000000 usr/bin/one
    touch -d @1750000000 . usr home
"#;

const DEFINITIONS: [(&str, &str); 5] = [
    (
        "10-root",
        "Type=root\nFormat=ext4\nCopyFiles=/\nSizeMinBytes=64M\nSizeMaxBytes=64M\n\
         ExcludeFiles=/etc/deep/\nExcludeFilesTarget=/opt/gone\n\
         MakeDirectories=/made/by/hand /etc/down/made\nMakeSymlinks=/made/link:../usr/bin/one",
    ),
    (
        "20-usr",
        "Type=usr\nFormat=ext4\nSizeMinBytes=64M\nSizeMaxBytes=64M\nMountPoint=/b\nMountPoint=/a\n\
         CopyFiles=/usr:/\nCopyFiles=/lib/x:/second/x\nCopyFiles=/etc:/share\n\
         CopyFiles=/absolute/file:/single/file\nCopyFiles=/etc/link:/single/link\n\
         CopyFiles=/missing:/nothing\nCopyFiles=/tmp/t:/transient\nExcludeFiles=/lib/x/",
    ),
    (
        "30-home",
        "Type=home\nFormat=btrfs\nSizeMinBytes=256M\nSizeMaxBytes=256M\nCopyFiles=/home:/\n\
         MakeDirectories=/made\nSubvolumes=/user /made:ro\nDefaultSubvolume=/user",
    ),
    (
        "40-esp",
        "Type=esp\nFormat=vfat\nSizeMinBytes=260M\nSizeMaxBytes=260M\nCopyFiles=/boot:/\n\
         CopyFiles=/efi:/",
    ),
    (
        "50-swap",
        "Type=swap\nFormat=swap\nSizeMinBytes=1M\nSizeMaxBytes=1M\nLabel=a label that is long",
    ),
];

struct Sides {
    real: Side,
    ours: Side,
    _scratch: tempfile::TempDir,
}

impl Sides {
    /// Builds the same tree with both programs, with each partition also as a split file.
    fn build() -> Self {
        let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
        let [real, ours] = Side::both([Tool::Real, Tool::Detfs], scratch.path());
        let tree = real.path("tree");
        std::fs::create_dir(&tree).unwrap();
        shell(TREE, &[&tree]);
        shell("cp -a \"$1\" \"$2\"", &[&tree, &ours.path("tree")]);
        for side in [&real, &ours] {
            for (name, text) in DEFINITIONS {
                side.write(&format!("repart.d/{name}.conf"), format!("[Partition]\n{text}\n"));
            }
            let answer = side.repart(
                &[
                    "--empty=create",
                    "--size=auto",
                    "--offline=yes",
                    "--split=yes",
                    "--seed=11111111-2222-3333-4444-555555555555",
                    &format!("--copy-source={WORKDIR}/tree"),
                    &format!("--definitions={WORKDIR}/repart.d"),
                    &format!("{WORKDIR}/image.raw"),
                ],
                &[("SOURCE_DATE_EPOCH".to_owned(), "1750000000".to_owned())],
            );
            assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        }
        Self { real, ours, _scratch: scratch }
    }

    fn partition(&self, name: &str) -> [PathBuf; 2] {
        [&self.real, &self.ours].map(|side| side.path(&format!("image.{name}.raw")))
    }
}

/// Returns the output of a shell command about a file.
fn said(command: &str, file: &Path) -> String {
    let output = Command::new("sh").args(["-euc", command, "sh"]).arg(file).output().unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn assert_same_ext4(sides: &Sides, name: &str) {
    let [real, ours] = sides.partition(name);
    let compare =
        |theirs: &Path| mount_ext4(&ours, |mine| Comparison::exact().compare(theirs, mine));
    mount_ext4(&real, compare).unwrap().unwrap().unwrap();
    for query in ["blkid -po export $1 | grep -v '^DEVNAME'", "dumpe2fs -h $1 2>&1 | grep -i seed"]
    {
        assert_eq!(said(query, &real), said(query, &ours), "{name}");
    }
}

fn assert_same_btrfs(sides: &Sides, name: &str) {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let images = sides.partition(name);
    // Two btrfs with the same UUID can't be mounted at the same time.
    let outputs = [0, 1].map(|side| {
        let mounted = Mounted::new("btrfs", "ro,subvolid=5", Some(&images[side])).unwrap();
        let copy = scratch.path().join(side.to_string());
        shell("cp -a \"$1\" \"$2\"", &[mounted.path(), &copy]);
        let list = "btrfs subvolume list -r $1 | sed 's/.* path//'; \
                    btrfs subvolume list $1 | sed 's/.* path//'; \
                    btrfs subvolume get-default $1 | sed 's/.* path//'";
        said(list, mounted.path())
    });
    assert_eq!(outputs[0], outputs[1]);
    assert!(outputs[0].contains("user"), "{outputs:?}");
    let [theirs, mine] = ["0", "1"].map(|side| scratch.path().join(side));
    Comparison::exact().compare(&theirs, &mine).unwrap();
}

fn assert_same_fat(sides: &Sides, name: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let [theirs, mine] = ["theirs", "mine"].map(|side| scratch.path().join(side));
    let [real, ours] = sides.partition(name);
    for (image, to) in [(&real, &theirs), (&ours, &mine)] {
        fsck_fat(image).unwrap();
        std::fs::create_dir(to).unwrap();
        extract_fat(image, to).unwrap();
    }
    Comparison::names_and_content().compare(&theirs, &mine).unwrap();
    // mmd gives all directories the same time.
    let times = "TZ=UTC mdir -/ -a -i $1 :: | grep -v 'bytes free\\|<DIR>'";
    for query in ["blkid -po export $1 | grep -v '^DEVNAME'", times] {
        assert_eq!(said(query, &real), said(query, &ours));
    }
}

#[test]
#[ignore = "makes a Debian sid"]
fn content_is_that_of_systemd_repart() {
    let sides = Sides::build();
    assert_same_ext4(&sides, "root-x86-64");
    assert_same_ext4(&sides, "usr-x86-64");
    assert_same_btrfs(&sides, "home");
    assert_same_fat(&sides, "esp");
    let [real, ours] = sides.partition("swap").map(|path| std::fs::read(path).unwrap());
    assert!(real == ours, "the swap space differs");
}
