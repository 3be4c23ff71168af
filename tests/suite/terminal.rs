//! Names, labels and arguments cannot send control characters to a terminal.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::detfs::{SEED, detfs};
use crate::oracle::shell;

/// A colour sequence, a bell, a line break, a delete character, and a colour sequence with the
/// one-character control sequence introducer.
const HOSTILE: &str = "a\u{1b}[31m\u{7}\nb\u{7f}\u{9b}31m";

/// Runs a command whose arguments have `X` replaced by [`HOSTILE`], and returns everything that it
/// prints.
#[track_caller]
fn said(directory: &Path, args: &[&str]) -> String {
    let args = args.iter().map(|arg| arg.replace('X', HOSTILE));
    let mut command: Command = detfs(args);
    let output = command.current_dir(directory).env("SOURCE_DATE_EPOCH", "1").output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!text.contains(obeyed), "{command:?} prints {text:?}");
    // No line begins with the text after the line break in a name.
    assert!(!text.lines().any(|line| line.starts_with('b')), "{command:?} prints {text:?}");
    text
}

#[test]
fn labels_of_an_image_are_escaped() {
    let scratch = tempfile::tempdir().unwrap();
    let script = "cd $1; truncate -s 8M image; mkdir d
        sgdisk -n 1:0:+1M -t 1:8300 -c \"1:$2\" image >/dev/null
        printf '[Partition]\\nType=linux-generic\\nSizeMinBytes=1G\\n' >d/10.conf";
    shell(script, &[scratch.path(), Path::new(HOSTILE)]);
    let run = |args: &[&str]| {
        let all = [&["repart", "image", "--definitions=/"], args].concat();
        said(scratch.path(), &all)
    };
    assert!(run(&[]).contains(r"a\u{1b}[31m\u{7}\nb\u{7f}\u{9b}31m"));
    for json in ["--json=short", "--json=pretty"] {
        // Notices come after the JSON.
        let text = run(&[json]);
        let mut values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        assert_eq!(values.next().unwrap().unwrap()[0]["label"], HOSTILE);
    }
    run(&["--definitions=d", "--dry-run=no"]);
    let create = ["--copy-from=image", "--empty=create", "--size=4K"];
    run(&[&create[..], &["--seed", SEED, "copy"]].concat());
}

#[test]
fn arguments_are_escaped() {
    let scratch = tempfile::tempdir().unwrap();
    let script = "cd $1; mkdir t d \"t/$2\"; echo x >t/file; ln \"t/file\" \"t/$2/file\"; mkfifo f
        printf '[Partition]\\nType=srv\\nWeight=%s\\n%s=1\\nLabel=%s\\n' \"$3\" \"$3\" \"$3\" >d/10.conf";
    let line = HOSTILE.replace('\n', "");
    shell(script, &[scratch.path(), Path::new(HOSTILE), Path::new(&line)]);
    for args in [
        &["X"][..],
        &["mkimage", "t", "--X"],
        &["mkimage", "X", "out"],
        &["mkimage", "t", "X/out"],
        &["mkimage", "t", "t/X"],
        &["mkimage", "t", "X", "--force"],
        &["mkimage", "t", "X"],
        &["mkimage", "t", "out", "--esp-size=X"],
        &["mkimage", "t", "out", "--rules=X"],
        &["mkimage", "t", "out", "--exclude={X"],
        &["mkfs", "ext4", "t", "out", "--label=X"],
        &["mkfs", "X", "t", "out"],
        &["mkfs", "btrfs", "t", "out", "--subvolume=X"],
        &["mkfs", "vfat", "t", "out"],
        &["mkfs", "ext4", "t", "json", "--json"],
        &["normalize", "X"],
        &["normalize", "t", "--check"],
        &["build", "X"],
        &["repart", "X", "--definitions=/"],
        &["repart", "image", "--definitions=X"],
        &["repart", "image", "--definitions=d", "--empty=create", "--size=auto"],
        &["repart", "image2", "--definitions=d", "--copy-from=X"],
        &["repart", "image", "--seed=X"],
        &["repart", "image", "--certificate=X"],
        &["repart", "new.raw", "--definitions=d", "--root=X", "--empty=create", "--size=auto"],
    ] {
        assert!(!said(scratch.path(), args).is_empty(), "{args:?}");
    }
}
