//! What users mistype, with the messages that they see.
//!
//! The messages are in `snapshots/mistakes.snap`. After a change of a message,
//! `INSTA_UPDATE=always cargo test --test suite mistakes` writes that file again.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::detfs::PROGRAM;
use crate::oracle::shell;

/// Command lines for a shell, in a directory with the files of [`FILES`].
const MISTAKES: &str = "\
detfs
detfs mkimag tree disk.raw
detfs mkimage
detfs mkimage tree
detfs mkimage tree disk.raw more
detfs mkimage tree disk.raw -o other.raw
detfs mkimage tree disk.raw --sorce-date-epoch 1
detfs mkimage tree disk.raw --fs xfs
detfs mkfs ext3 tree root.ext3
detfs mkfs ext4 tree root.ext4 --fs ext4
detfs mkfs vfat tree esp.img --architecture amd64
detfs mkimage nowhere disk.raw
detfs mkimage tree/etc/hostname disk.raw
detfs mkimage tree tree/disk.raw
detfs mkimage tree there.raw
detfs mkimage tree efi
detfs mkimage tree disk.qcow2
detfs mkimage tree nowhere/disk.raw
detfs mkimage tree - --json
detfs mkimage tree disk.raw --manifest disk.raw
detfs mkimage tree disk.raw --architecture x86_65
detfs mkimage tree disk.raw
detfs mkimage tree disk.raw --seed random
detfs mkimage tree disk.raw --seed 11111111-2222-3333-4444-55555555555
detfs mkimage tree disk.raw --seed \"$UNSET\"
detfs mkimage tree disk.raw --seed 00000000-0000-0000-0000-000000000000
detfs mkimage tree disk.raw --seed-string \"$UNSET\"
detfs mkimage tree disk.raw --seed 11111111-2222-3333-4444-555555555555 --seed-string x
detfs mkimage tree disk.raw --source-date-epoch yesterday
detfs mkimage tree disk.raw --source-date-epoch 30.11.2026
detfs mkimage tree disk.raw --source-date-epoch 2026-11-30T12:00:00
detfs mkimage tree disk.raw --source-date-epoch 2600-01-01
SOURCE_DATE_EPOCH=2026-11-30 detfs mkimage tree disk.raw
detfs mkimage tree disk.raw --size 10GB
detfs mkimage tree disk.raw --size 10g
detfs mkimage tree disk.raw --size 1.3K
detfs mkimage tree disk.raw --size ten
detfs mkimage tree disk.raw --architecture amd64 --size 10M --esp-size 40M
detfs mkimage tree disk.raw --architecture amd64 --esp-size 1M
detfs mkimage tree disk.raw --size 64M --headroom 10%
detfs mkimage tree disk.raw --architecture amd64 --size 64M --grow-to 32M
detfs mkimage tree disk.raw --ext4-profile ro --grow-to 1G
detfs mkimage tree disk.raw --headroom 10.5%
detfs mkimage tree disk.raw --ext4-block-size 8192
detfs mkimage tree disk.raw --sector-size 520
detfs mkimage tree disk.raw --architecture amd64 --sector-size 4096 --esp-sector-size 512
detfs mkimage tree disk.raw --swapfile /swapfile
detfs mkimage tree disk.raw --architecture amd64 --swapfile /swap/swapfile:512M
detfs mkimage tree disk.raw --architecture amd64 --swapfile /swapfile:1K
detfs mkimage tree disk.raw -j 0
detfs mkimage tree disk.raw --compress zstd
detfs mkimage tree disk.raw --fs btrfs --compress gzip
detfs mkimage tree disk.raw --fs btrfs --compress zstd:22
detfs mkimage tree disk.raw --fs btrfs --inodes 5
detfs mkimage tree disk.raw --architecture amd64 --fs btrfs --subvolume /home
detfs mkimage tree disk.raw --architecture amd64 --label 'the root of example'
detfs mkimage tree disk.raw --architecture amd64 --fs btrfs --label 0123456789012345678901234567890123456
detfs mkimage tree disk.raw --exclude '['
detfs mkimage tree disk.raw --drop-xattr user.a --keep-xattr user.a
detfs mkimage tree disk.raw --normalize ubuntu
detfs mkimage tree disk.raw --rules nowhere.toml
detfs mkimage tree disk.raw --rules rules.toml
detfs mkimage tree disk.raw --esp-from /efi --esp-tree efi
detfs mkimage tree disk.raw --architecture amd64 --esp-from /efi
detfs mkfs ext4 tree root.ext4 --size 10K
detfs mkfs ext4 tree root.ext4 --uuid 877A-9082
detfs mkfs ext4 tree root.ext4 --label 'two
lines'
detfs mkfs btrfs tree root.btrfs --size 1M
detfs mkfs vfat tree esp.img --label my.esp
detfs mkfs vfat tree esp.img --size 1000
detfs normalize tree
detfs normalize --check
detfs normalize --check nowhere
detfs stage pacman root
detfs stage pacman root --package base
detfs stage pacman root --package base --snapshot 2026-11-23
detfs stage pacman root --locked
detfs stage pacman root --lock nowhere.lock --locked
detfs stage check
detfs build
detfs build nowhere.toml
detfs build colour.toml
detfs build seed.toml
detfs build syntax.toml
detfs build both.toml --source-date-epoch 1
detfs repart
detfs repart disk.raw --sizee 1G
detfs repart disk.raw --empty create
detfs repart disk.raw --empty create --size auto --seed x
detfs repart nowhere.raw --definitions efi
";

const FILES: &str =
    "cd $1; mkdir -p tree/etc efi; echo scratch >tree/etc/hostname; echo x >there.raw
    printf '[[rule]]\\nname = \"x\"\\npath = \"y\"\\naction = \"remove\"\\n' >rules.toml
    printf '[image]\\ntree = \"tree\"\\nout = \"disk.raw\"\\n' >plain
    (cat plain; echo 'colour = \"red\"') >colour.toml
    (cat plain; echo 'seed = \"11111111-2222-3333-4444-555555555555\"') >seed.toml
    (cat plain; echo 'size = 64M') >syntax.toml
    (echo 'source-date-epoch = 0'; cat plain) >both.toml; rm plain";

fn names(directory: &Path) -> BTreeSet<OsString> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

/// Splits the lines of a shell, of which some have quotes that end on the next line.
fn commands() -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for line in MISTAKES.lines() {
        match commands.last_mut() {
            Some(last) if last.matches('\'').count() % 2 == 1 => *last += &format!("\n{line}"),
            _ => commands.push(line.to_owned()),
        }
    }
    commands
}

#[test]
fn mistakes_have_messages() {
    let scratch = tempfile::tempdir().unwrap();
    shell(FILES, &[scratch.path()]);
    let before = names(scratch.path());
    let program = Path::new(PROGRAM).parent().unwrap().to_owned();
    let path = env::join_paths([program, "/usr/bin".into(), "/bin".into()]).unwrap();
    let mut text = String::new();
    let commands = commands();
    assert!(commands.len() >= 45);
    for command in commands {
        let mut sh = Command::new("sh");
        sh.env_clear().env("PATH", &path).args(["-c", &command]).current_dir(scratch.path());
        let output = sh.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let code = output.status.code().unwrap();
        assert!(code != 0 && !stderr.is_empty(), "{command}: {stderr}");
        assert!(output.stdout.is_empty(), "{command}");
        assert_eq!(names(scratch.path()), before, "{command}");
        writeln!(text, "$ {command}\n{}\n=> {code}\n", stderr.trim_end()).unwrap();
    }
    let mut settings = insta::Settings::new();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("mistakes", text));
}
