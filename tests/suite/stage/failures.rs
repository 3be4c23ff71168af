//! Failures of staging are reported with a remedy, and no files are left over.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::fixture::{detfs, packages, source, stage};
use crate::detfs::{PROGRAM, SEED, succeed};
use crate::oracle::shell;

fn refused(command: &mut std::process::Command, parts: &[&str], fixture: &Path) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    let last = said.lines().rfind(|line| line.starts_with("error: ")).unwrap_or_default();
    parts.iter().for_each(|part| assert!(last.contains(part), "{part}: {said}"));
    let left = shell("ls -A $1", &[fixture]);
    assert!(!left.contains("tree"), "{left}");
}

#[test]
fn failures_of_pacman_are_told_with_what_to_do() {
    let fixture = tempfile::tempdir().unwrap();
    let tree = fixture.path().join("tree");
    refused(
        &mut stage(&tree, &["--package=nothing"]),
        &["pacman: cannot ", "target not found: nothing", "--repo"],
        fixture.path(),
    );
    let from = |url: &str| {
        let mut command = detfs([OsStr::new("stage"), OsStr::new("pacman"), tree.as_os_str()]);
        command.args(["--package=app", "--repo=core", "--source-date-epoch=5"]);
        command.arg(format!("--mirror={url}"));
        command
    };
    let dead = "http://127.0.0.1:9";
    refused(&mut from(dead), &["cannot fetch the lists of packages", "--mirror"], fixture.path());

    // A signature of other bytes, a missing signature, and a corrupted signature.
    let add = "add='repo-add -q '${1%/*}'/core.db.tar.gz '${1%.sig}; ";
    for (at, (part, script)) in [
        ("--cache", "printf x | dd of=$1 bs=1 seek=100 conv=notrunc status=none; $add"),
        ("--mirror", "rm $1; $add"),
        ("--cache", "printf x | dd of=${1%.sig} bs=1 seek=1000 conv=notrunc status=none"),
    ]
    .into_iter()
    .enumerate()
    {
        let copy = fixture.path().join(at.to_string());
        shell("cp -a $1/core $2", &[packages(), &fixture.path().join("core")]);
        fs::create_dir(&copy).unwrap();
        fs::rename(fixture.path().join("core"), copy.join("core")).unwrap();
        shell(
            &format!("{add}{script}"),
            &[&copy.join("core/os/x86_64/app-1.0-1-x86_64.pkg.tar.gz.sig")],
        );
        let url = format!("file://{}", copy.display());
        refused(&mut from(&url), &["pacman: cannot ", part], fixture.path());
    }
    let mut keyless = crate::detfs::detfs([OsStr::new("stage"), OsStr::new("pacman")]);
    keyless.arg(&tree).args(source());
    refused(&mut keyless, &["pacman: cannot ", "pacman-key --init"], fixture.path());
    let mut without = detfs([OsStr::new("stage"), OsStr::new("pacman"), tree.as_os_str()]);
    without.args(["--package=app", "--source-date-epoch=5"]);
    let mut hidden = std::process::Command::new("unshare");
    let script = "mount --bind /dev/null \"$(command -v pacman)\"; exec \"$@\"";
    hidden.args(["--mount", "sh", "-euc", script, "sh"]);
    hidden.arg(without.get_program()).args(without.get_args());
    refused(&mut hidden, &["pacman: cannot be started", "install it"], fixture.path());
}

/// Mistakes in arguments are reported before anything is created.
#[test]
fn mistakes_are_told_at_once() {
    let fixture = tempfile::tempdir().unwrap();
    let tree = fixture.path().join("tree");
    let notes = fixture.path().join("notes");
    fs::write(&notes, "mine").unwrap();
    let lock = |path: &Path| format!("--lock={}", path.display());
    let (of_notes, of_tree) = (lock(&notes), lock(&tree));
    let within = format!("--cache={}", tree.join("cache").display());
    for (option, part) in [
        (&*of_notes, "notes exists and is not a lock"),
        (&of_tree, "it is the same path as the tree"),
        ("--source-date-epoch=4000000000", "it is in the future"),
        ("--repo=core", "has a repository twice"),
        ("--lock=/dev/stderr", "/dev/stderr is a symlink"),
        (&within, "it is inside the tree"),
        ("--repo=options", "can't be the name of a repository"),
        ("--repo=a/b", "can't be the name of a repository"),
        ("--architecture=x86_64\nSigLevel = Never", "is not a name"),
    ] {
        let mut command = detfs([OsStr::new("stage"), OsStr::new("pacman"), tree.as_os_str()]);
        let typed = source();
        let kept = |typed: &&String| !(option.starts_with("--so") && typed.starts_with("--so"));
        let output = command.args(typed.iter().filter(kept)).arg(option).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(part), "{option}: {said}");
    }
    let mut command = detfs(["stage", "check", "--rules=nowhere.toml"]);
    let output = command.args(source()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(4), 1), "{said}");
    assert_eq!(fs::read_to_string(&notes).unwrap(), "mine");
    assert_eq!(shell("ls -A $1", &[fixture.path()]), "notes\n");
}

/// A run is killed while it waits for a mirror that never answers, and the next run starts afresh.
#[test]
fn an_interrupted_run_leaves_no_tree() {
    let fixture = tempfile::tempdir().unwrap();
    let tree = fixture.path().join("tree");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = detfs([OsStr::new("stage"), OsStr::new("pacman"), tree.as_os_str()]);
    command.args(["--package=app", "--repo=core", "--source-date-epoch=5"]);
    command.arg(format!("--mirror=http://{}", silent.local_addr().unwrap()));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut connection, _) = silent.accept().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // pacman ends as well: the connection is closed before pacman would time out.
    connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    connection.read_to_end(&mut Vec::new()).unwrap();
    assert!(!tree.exists());
    assert!(fixture.path().join(".tree.stage/content/root").exists());
    succeed(&mut stage(&tree, &[]));
    assert_eq!(shell("ls -A $1", &[fixture.path()]), "tree\n");
    let output = stage(&tree, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("exists; remove it"));
}

/// A run that is ended by a signal removes everything that it created, and ends its pacman.
#[test]
fn a_run_that_is_ended_leaves_nothing() {
    for (signal, build) in
        [(Signal::TERM, false), (Signal::INT, false), (Signal::HUP, true), (Signal::INT, true)]
    {
        let fixture = tempfile::tempdir().unwrap();
        let tree = fixture.path().join("tree");
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mirror = format!("http://{}", silent.local_addr().unwrap());
        let mut command = if build {
            let config = format!(
                "source-date-epoch = 5\n[stage]\npackage = [\"app\"]\nmirror = \"{mirror}\"\n\
                 repo = [\"core\"]\n[image]\nout = \"image\"\n"
            );
            fs::write(fixture.path().join("image.toml"), config).unwrap();
            detfs([OsStr::new("build"), fixture.path().join("image.toml").as_os_str()])
        } else {
            let mut command = detfs([OsStr::new("stage"), OsStr::new("pacman"), tree.as_os_str()]);
            command.args(["--package=app", "--repo=core", "--source-date-epoch=5"]);
            command.arg(format!("--mirror={mirror}"));
            command
        };
        let before = shell("ls -A $1", &[fixture.path()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut connection, _) = silent.accept().unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(signal.as_raw()), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("error: "), "{said}");
        connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        connection.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(shell("ls -A $1", &[fixture.path()]), before);
    }
}

/// Shell script that creates a package which reads from its own FIFO when it is installed.
const WAITING: &str = "
    mkdir $1/package $1/waiting; cd $1/package
    printf 'pkgname = waiting\\npkgver = 1-1\\narch = any\\ndepend = tools\\n' >.PKGINFO
    echo 'post_install() { read line </gate; }' >.INSTALL
    mkfifo gate
    bsdtar -czf $1/waiting/waiting-1-1-any.pkg.tar.gz .PKGINFO .INSTALL gate
    repo-add --quiet $1/waiting/waiting.db.tar.gz $1/waiting/*.pkg.tar.gz
    {
        printf '[options]\\nArchitecture = x86_64\\nSigLevel = Never\\n'
        printf '[waiting]\\nServer = file://%s\\n' $1/waiting
        printf '[core]\\nServer = file://%s\\n' $2/core/os/x86_64
    } >$1/pacman.conf
";

/// Programs inside the tree end with a run that is killed or ended by a signal.
#[test]
fn an_interrupted_installation_goes_with_it() {
    interrupted_installation(Signal::KILL);
    interrupted_installation(Signal::TERM);
}

fn interrupted_installation(signal: Signal) {
    let fixture = tempfile::tempdir().unwrap();
    shell(WAITING, &[fixture.path(), packages()]);
    let tree = fixture.path().join("tree");
    let mut command = detfs([OsStr::new("stage"), OsStr::new("pacman"), tree.as_os_str()]);
    command.args(["--package=waiting", "--source-date-epoch=5", "--pacman-conf"]);
    command.arg(fixture.path().join("pacman.conf"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let gate = fixture.path().join(".tree.stage/content/root/gate");
    // A FIFO can't be opened with these flags before it has a reader, nor be written to after the
    // reader is gone.
    let open = || {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::open(&gate, flags, Mode::empty()).ok()
    };
    let mut write = wait_for("a scriptlet", open);
    kill_process(Pid::from_child(&child), signal).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()));
    assert_eq!(fixture.path().join(".tree.stage").exists(), signal == Signal::KILL);
    let mut closed =
        || matches!(rustix::io::write(&mut write, b" "), Err(Errno::PIPE)).then_some(());
    wait_for("its end", &mut closed);
}

/// Polls `ask` until it returns a value, and panics after half a minute.
fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1500 {
        if let Some(answer) = ask() {
            return answer;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("there is not: {what}")
}

/// Users without privileges can build images: the program becomes root in a user namespace, and the
/// image is the same.
#[test]
fn users_build_what_root_builds() {
    let fixture = tempfile::tempdir().unwrap();
    let source = format!("file://{}", fixture.path().join("packages").display());
    let config = format!(
        "seed = \"{SEED}\"\nsource-date-epoch = 1700000000\n[stage]\npackage = [\"app\"]\n\
         mirror = \"{source}\"\nrepo = [\"core\"]\n[image]\nout = \"image\"\narchitecture = \"x86-64\"\n"
    );
    fs::write(fixture.path().join("image.toml"), config).unwrap();
    // If a user only stages a tree, the message says how to build an image from it.
    let by_user = format!(
        "./detfs build image.toml
         ./detfs stage pacman tree --package app --repo core --mirror {source} \
             --source-date-epoch 1700000000 2>said
         enter=$(sed -n 's/.*, or with `\\(unshare .*\\) detfs mkimage tree OUT`$/\\1/p' said)
         $enter ./detfs mkimage tree by-hand --seed {SEED} --source-date-epoch 1700000000 \
             --architecture x86-64"
    );
    fs::write(fixture.path().join("by-user"), by_user).unwrap();
    let script = r#"
        cp -a $2 $1/packages; cp $3 $1/detfs; chmod 755 $1
        cp /etc/passwd $1/passwd; echo "tester:x:12345:12345::/:/bin/sh" >>$1/passwd
        echo tester:200000:65536 >$1/subuid
        unshare --mount sh -euc '
            mount --bind $1/packages/gnupg /etc/pacman.d/gnupg
            mount --bind $1/passwd /etc/passwd
            for file in /etc/subuid /etc/subgid; do mount --bind $1/subuid $file; done
            cd $1
            ./detfs build image.toml 2>/dev/null >/dev/null
            mv image by-root
            chown -R 12345:12345 . packages
            exec setpriv --reuid 12345 --regid 12345 --clear-groups --inh-caps=-all \
                env -i PATH=/usr/bin:/bin sh -eu by-user' sh $1
        cmp $1/image $1/by-root; cmp $1/by-hand $1/by-root; stat -c %u $1/image"#;
    shell("test -e /etc/subuid || : >/etc/subuid; test -e /etc/subgid || : >/etc/subgid", &[]);
    let said = shell(script, &[fixture.path(), packages(), Path::new(PROGRAM)]);
    assert!(said.ends_with("\n12345\n"), "{said}");
}

/// The kernel does not create user namespaces in a chroot.
#[test]
fn users_in_a_chroot_are_told_what_to_do() {
    let fixture = tempfile::tempdir().unwrap();
    let script = r#"
        mkdir $1/etc $1/usr $1/proc $1/dev
        for link in bin sbin lib lib64; do ln -s usr/$link $1/$link; done
        cp $2 $1/detfs
        echo tester:x:12345:12345::/:/bin/sh >$1/etc/passwd
        for file in subuid subgid; do echo tester:200000:65536 >$1/etc/$file; done
        chmod -R go+rX $1
        unshare --mount --pid --fork sh -euc '
            mount --bind /usr $1/usr; mount --bind /dev $1/dev; mount -t proc proc $1/proc
            timeout 60 chroot --userspec 12345:12345 $1 /detfs stage pacman tree --package app \
                --source-date-epoch 5 2>&1 || test $? = 4
            # A child of unshare that waits would be among the processes for ever.
            for round in $(seq 50); do
                left=$(cat $1/proc/[0-9]*/comm 2>/dev/null || :)
                case $left in *unshare*) sleep 0.1 ;; *) break ;; esac
            done
            echo "$left"' sh $1"#;
    let said = shell(script, &[fixture.path(), Path::new(PROGRAM)]);
    assert!(
        said.contains("error: unshare: ") && said.contains("; cannot create a user namespace"),
        "{said}"
    );
    assert_eq!(said.lines().filter(|line| *line == "unshare").count(), 0, "{said}");
}
