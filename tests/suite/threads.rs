//! Images are the same if the system refuses to create more threads.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::detfs::{SEED, detfs, fixed, succeed};
use crate::oracle::{sha256, shell};

const EPOCH: i64 = 1_700_000_000;

/// A user who runs no other processes.
const USER: u32 = 12_345;

/// Creates a tree that needs every kind of thread, and definitions of two partitions: data and its
/// hash tree.
fn fixture() -> TempDir {
    let fixture = tempfile::tempdir().unwrap();
    fs::set_permissions(&fixture, fs::Permissions::from_mode(0o777)).unwrap();
    let script = r#"
        cd $1; mkdir -p tree/etc tree/d d; echo NAME=test >tree/etc/os-release
        seq 30000 >tree/text; truncate -s 40M tree/text; seq 9 >>tree/text
        for n in $(seq 200); do seq $n >tree/d/$n; done
        printf '[Partition]\nType=root-x86-64\nFormat=ext4\nCopyFiles=/\nVerity=data\n\
        VerityMatchKey=a\nMinimize=best\n' >d/1.conf
        printf '[Partition]\nType=root-x86-64-verity\nVerity=hash\n\
        VerityMatchKey=a\nMinimize=best\n' >d/2.conf
    "#;
    shell(script, &[fixture.path()]);
    fixture
}

/// Returns the arguments of every kind of build with the output `out`, and whether the build writes
/// to standard output.
fn cases(at: &Path) -> Vec<(Vec<String>, bool)> {
    let at = at.display();
    let (tree, out) = (format!("{at}/tree"), format!("{at}/out"));
    let words = |text: &str, to: &str| {
        let words = text.replace("TREE", &tree);
        words.split(' ').map(String::from).chain([to.into()]).chain(fixed(EPOCH)).collect()
    };
    let manifest = format!("--manifest={at}/manifest");
    let mut digests: Vec<_> = words("mkimage --architecture=x86-64 TREE", &out);
    digests.push(manifest);
    let repart = format!(
        "repart --dry-run=no --empty=create --size=auto --seed={SEED} --architecture=x86-64 \
         --definitions={at}/d --copy-source={tree} {out}"
    );
    vec![
        (words("mkfs ext4 TREE", &out), false),
        (words("mkfs btrfs --compress=zstd --dedup TREE", &out), false),
        (digests, false),
        (words("mkimage --architecture=x86-64 --fs btrfs TREE", "-"), true),
        (repart.split(' ').map(String::from).collect(), false),
    ]
}

/// Runs a build with the command prefix `before`, and returns the hash of the image and the
/// manifest.
fn made(at: &Path, before: &[String], case: &(Vec<String>, bool), threads: Option<u32>) -> String {
    let (arguments, is_piped) = case;
    let program = detfs([] as [&str; 0]);
    let mut command = match before {
        [] => Command::new(program.get_program()),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program.get_program());
            command
        }
    };
    command.env_clear().env("PATH", "/usr/bin:/bin").env("SOURCE_DATE_EPOCH", EPOCH.to_string());
    command.args(arguments);
    if arguments[0] != "repart" {
        command.args(threads.map(|count| format!("--threads={count}")));
    }
    let output = succeed(&mut command);
    let out = at.join("out");
    if *is_piped {
        fs::write(&out, output.stdout).unwrap();
    }
    let sum = sha256(&out);
    let manifest = fs::read_to_string(at.join("manifest")).unwrap_or_default();
    shell("rm -f $1/out $1/manifest", &[at]);
    format!("{sum} {manifest}")
}

#[test]
#[ignore = "takes seconds"]
fn a_limit_on_processes_changes_nothing() {
    let fixture = fixture();
    let at = fixture.path();
    for case in cases(at) {
        let expected = made(at, &[], &case, None);
        for limit in [1, 2, 4] {
            let before = format!(
                "setpriv --reuid {USER} --regid {USER} --clear-groups prlimit --nproc={limit}"
            );
            let before: Vec<_> = before.split(' ').map(String::from).collect();
            assert_eq!(made(at, &before, &case, Some(4)), expected, "{case:?}, {limit}");
        }
    }
}

#[test]
#[ignore = "takes half a minute"]
fn a_thread_that_cannot_be_made_changes_nothing() {
    let fixture = fixture();
    let at = fixture.path();
    for case in cases(at) {
        let expected = made(at, &[], &case, None);
        let log = at.join("log");
        for number in 1..8 {
            let before = ["strace", "-f", "-qq", "-e", "trace=clone3", "-o"].map(OsStr::new);
            let mut before: Vec<_> = before.map(|it| it.to_str().unwrap().to_string()).into();
            before.push(log.to_str().unwrap().into());
            before.extend(["-e".into(), format!("inject=clone3:error=EAGAIN:when={number}")]);
            assert_eq!(made(at, &before, &case, Some(4)), expected, "{case:?}, {number}");
            let traced = fs::read_to_string(&log).unwrap();
            assert_eq!(traced.matches("INJECTED").count() > 0, traced.lines().count() >= number);
        }
    }
}

#[test]
fn any_number_of_threads_may_be_asked_for() {
    let fixture = fixture();
    let at = fixture.path();
    for case in cases(at) {
        let expected = made(at, &[], &case, Some(1));
        assert_eq!(made(at, &[], &case, Some(100_000)), expected, "{case:?}");
    }
}
