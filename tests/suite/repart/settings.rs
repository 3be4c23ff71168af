//! Settings as systemd-repart takes them, where detfs once did not.

use std::fs;

use super::ground::Ground;
use super::side::HERE;
use crate::oracle::{Mounted, shell};

const CREATE: [&str; 3] = ["--empty=create", "--size=auto", "--split=yes"];

fn clear(ground: &Ground) {
    shell("rm -f $1/*.raw", &[&ground.side.directory]);
}

#[test]
fn quotes_are_taken_off() {
    let ground = Ground::new("mkdir 'a b'; echo x >'a b/file'");
    ground.define(&[r#"10-part Type=srv; Format=ext4; CopyFiles=/a\x20b:/'c'; MakeDirectories="/d e" /f\ g; MountPoint=/:"subvol=@,zstd:1,noatime"; MountPoint='/x':"#]);
    ground.make(&[&CREATE[..], &["--generate-fstab=/etc/fstab"]].concat(), &[]);
    let fstab = fs::read_to_string(ground.side.path("tree/etc/fstab")).unwrap();
    for line in [
        " / ext4 discard,rw,nodev,suid,exec,subvol=@,zstd:1,noatime 0 2\n",
        " /x ext4 discard,rw,nodev,suid,exec 0 2\n",
    ] {
        assert!(fstab.contains(line), "{fstab}");
    }
    let mounted = Mounted::new("ext4", "ro", Some(&ground.part("srv"))).unwrap();
    // CopyFiles= knows no quotes.
    for path in ["'c'/file", "d e", "f g"] {
        assert!(mounted.path().join(path).exists(), "{path}");
    }
}

/// The subvolumes of a partition, and the default one.
fn subvolumes(ground: &Ground, settings: &str) -> (String, String) {
    clear(ground);
    ground.define(&[&format!("10-part Type=srv; Format=btrfs; CopyFiles=/; {settings}")]);
    let answer = ground.run(&CREATE, &[]);
    assert_eq!(answer.code, Some(0), "{settings}: {}", answer.stderr);
    let mounted = Mounted::new("btrfs", "ro,subvolid=5", Some(&ground.part("srv"))).unwrap();
    let script = "cd $1; btrfs subvolume list . | sed 's/.* path //' | while read -r path; do
            printf '%s ' \"$path\"; btrfs property get $path ro; done
        btrfs subvolume get-default . | sed 's/.* path /default /'";
    (shell(script, &[mounted.path()]), answer.stderr)
}

#[test]
fn the_top_level_is_a_subvolume() {
    let ground = Ground::new("mkdir -p var/lib home");
    for (settings, expected) in [
        ("Subvolumes=/ /var", "var ro=false\nID 5 (FS_TREE)\n"),
        ("Subvolumes=/:ro", "ID 5 (FS_TREE)\n"),
        ("Subvolumes=/ /var; DefaultSubvolume=/", "var ro=false\nID 5 (FS_TREE)\n"),
        ("Subvolumes=/ /var:ro; DefaultSubvolume=/var", "var ro=true\ndefault var\n"),
        ("Subvolumes=/var:bogus /home:ro,bogus", "home ro=false\nvar ro=false\nID 5 (FS_TREE)\n"),
        ("Subvolumes=/var:ro; Subvolumes=/var", "var ro=true\nID 5 (FS_TREE)\n"),
        ("Subvolumes=\"/var\":'ro'", "var ro=true\nID 5 (FS_TREE)\n"),
    ] {
        let (found, said) = subvolumes(&ground, settings);
        assert_eq!(found, expected, "{settings}");
        assert_eq!(settings.contains("bogus"), said.contains("has no flag \"bogus\""), "{said}");
        assert_eq!(settings.contains("/:ro"), said.contains("the top level"), "{said}");
    }
}

#[test]
fn a_subvolume_is_a_directory() {
    let ground = Ground::new("echo x >file");
    for (path, rule) in [("/missing", "is not in the file system"), ("/file", "is not a directory")]
    {
        ground.define(&[&format!(
            "10-part Type=srv; Format=btrfs; CopyFiles=/; Subvolumes=/etc {path}"
        )]);
        let answer = ground.run(&CREATE, &[]);
        assert_eq!(answer.code, Some(1), "{}", answer.stderr);
        let line = format!("10-part.conf:5: Subvolumes=: {path} {rule}; ");
        assert!(answer.stderr.contains(&line), "{}", answer.stderr);
    }
}

#[test]
fn without_an_image_there_is_its_size() {
    let ground = Ground::new("");
    ground.define(&["10-part Type=srv; SizeMinBytes=3M"]);
    for args in [&["-"][..], &["-", "--size=50M"], &["-", "--json=pretty"], &["", "--size=auto"]] {
        let definitions = format!("--definitions={HERE}/repart.d");
        let answer = ground.side.repart(&[args, &[&definitions]].concat(), &[]);
        assert_eq!((answer.code, &*answer.stdout), (Some(0), ""), "{args:?}: {}", answer.stderr);
        let line = "Automatically determined minimal disk image size as 4M.\n";
        assert!(answer.stderr.ends_with(line), "{args:?}: {}", answer.stderr);
    }
    let answer = ground.side.repart(&["-", "--split=yes", "--definitions=/"], &[]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.stderr.contains("--split: there is no image"), "{}", answer.stderr);
}
