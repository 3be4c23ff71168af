//! Settings as systemd-repart takes them, where detfs once did not.

use std::fs;

use super::ground::Ground;
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
