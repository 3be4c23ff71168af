//! Tar archives, made by four programs, as sources: an image of an archive is that of the directory
//! that was archived.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::detfs::{detfs, fixed, mkimage, succeed};
use crate::oracle::{Mounted, flip, sha256, shell};
use crate::repart::fixture::Fixture as Repart;

/// An epoch after all times of the trees.
const EPOCH: i64 = 2_000_000_000;

/// A tree with everything that a PAX archive can hold, except for an unnamed ACL.
const RICH: &str = "mkdir -p etc usr/bin dev var/empty 'a space'; echo hi >etc/hostname
    head -c 300000 /dev/urandom >usr/bin/a; ln usr/bin/a usr/bin/b; ln usr/bin/a etc/first
    ln -s a usr/bin/s; ln -P usr/bin/s etc/s; : >etc/empty
    mknod dev/null c 1 3; mknod dev/b b 8 300; mkfifo dev/p
    truncate -s 10M etc/sparse
    printf x | dd of=etc/sparse bs=1 seek=5000000 conv=notrunc status=none
    truncate -s 9G etc/hole; printf x >>etc/hole; for n in $(seq 0 2 90); do
        printf x | dd of=etc/many bs=4096 seek=$n conv=notrunc status=none; done
    n=$(printf 'n%.0s' $(seq 200)); mkdir -p $n/$n; echo deep >$n/$n/$n; ln -s $n/$n/$n $n/link
    chown 3000000000:70 etc/hostname; chmod 4755 usr/bin/a; chmod 1777 var/empty
    setfattr -n user.a -v 'b=
    c' etc/hostname; setfattr -n user.empty etc/hostname; setfattr -n user.a=b%c -v v usr
    setcap cap_net_raw+ep usr/bin/a; setfattr -n trusted.t -v 0x00ff dev/null
    setfacl -m u:2147483000:rwx,g:55:r etc/hostname; setfacl -dm u:71234:rx var/empty";
const RICH_TIMES: &str = "find . -exec touch -hd '2023-11-14 01:02:03.456789012' {} +
    touch -d '1965-01-02 03:04:05.6789' etc/sparse; touch -d '2150-01-01' etc/empty";

/// A tree that every form can hold.
const PLAIN: &str = "mkdir -p etc usr/bin dev; echo hi >etc/hostname; : >etc/empty
    head -c 300000 /dev/urandom >usr/bin/a; ln usr/bin/a usr/bin/b; ln -s a usr/bin/s
    mknod dev/null c 1 3; mknod dev/b b 8 300; mkfifo dev/p; chown 5:70 etc/hostname
    chmod 4755 usr/bin/a; chmod 1777 dev
    n=$(printf 'n%.0s' $(seq 90)); mkdir -p $n; echo 1 >$n/$n";
const PLAIN_TIMES: &str = "find . -exec touch -hd '2023-11-14 01:02:03' {} +";

/// Options of GNU tar for all metadata.
const GNU: &str = "tar --format=posix --xattrs --xattrs-include=* --sparse";

/// A directory with a tree in `tree`.
struct Fixture(TempDir);

impl Fixture {
    fn new(tree: &str, times: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir_all(scratch.path().join("spool")).unwrap();
        let script = format!("mkdir $1/tree; cd $1/tree; {tree}\n{times}");
        shell(&script, &[scratch.path()]);
        Self(scratch)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a script in the directory.
    fn shell(&self, script: &str) {
        shell(&format!("cd $1; {script}"), &[self.0.path()]);
    }

    /// Returns the command that makes an ext4 of a source, with temporary files in `spool`.
    fn mkfs(&self, source: &str, options: &[&str]) -> Command {
        let mut command = detfs(["mkfs", "ext4", source, "image", "--force"]);
        command.args(fixed(EPOCH)).args(options).current_dir(self.0.path());
        command.env("TMPDIR", self.path("spool"));
        command
    }

    /// Makes an image of a source, and returns its hash.
    fn image(&self, source: &str) -> String {
        let output = succeed(&mut self.mkfs(source, &[]));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{source}");
        self.hash()
    }

    fn hash(&self) -> String {
        let image = self.path("image");
        let hash = sha256(&image);
        fs::remove_file(image).unwrap();
        hash
    }

    /// Makes an image of an archive from standard input, and returns its hash.
    fn piped(&self, archive: &str) -> String {
        let mut cat = Command::new("cat");
        let mut cat = cat.arg(self.path(archive)).stdout(Stdio::piped()).spawn().unwrap();
        let pipe = cat.stdout.take().unwrap();
        succeed(self.mkfs("-", &[]).stdin(pipe));
        assert!(cat.wait().unwrap().success());
        self.hash()
    }

    /// Expects that a source is refused with this exit code and message, and that nothing is left.
    #[track_caller]
    fn refuses(&self, command: &mut Command, code: i32, message: &str) {
        let Output { status, stderr, .. } = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(message), "{stderr}");
        assert!(!self.path("image").exists(), "there is an image");
        assert_eq!(fs::read_dir(self.path("spool")).unwrap().count(), 0, "there is a spool");
    }
}

#[test]
fn archives_with_all_metadata_are_the_directory() {
    let fixture = Fixture::new(RICH, RICH_TIMES);
    let expected = fixture.image("tree");
    let touch = |time: &str| fixture.shell(&format!("touch -d '{time}' tree/etc/sparse"));
    for (maker, arguments) in [
        (GNU, "-C tree -cf a.tar ."),
        (GNU, "--sparse-version=0.0 -C tree -cf a.tar ."),
        (GNU, "--sparse-version=0.1 -C tree -cf a.tar ."),
        (GNU, "--acls -C tree -cf a.tar ."),
        (GNU, "-C tree --sort=name -cf a.tar ."),
    ] {
        fixture.shell(&format!("set -f; {maker} {arguments}"));
        assert_eq!(fixture.image("a.tar"), expected, "{maker} {arguments}");
    }
    // Before 1970, bsdtar writes the fraction in the wrong direction.
    touch("1965-01-02 03:04:05");
    let expected = fixture.image("tree");
    fixture.shell("bsdtar --format=pax -C tree -cf a.tar .");
    assert_eq!(fixture.image("a.tar"), expected);
    // A changed byte of content is another image.
    let other = fixture.path("a.tar");
    let at = fs::read(&other).unwrap().windows(3).position(|bytes| bytes == b"hi\n").unwrap();
    flip(&other, at as u64);
    assert_ne!(fixture.image("a.tar"), expected);
}

#[test]
fn archives_of_all_programs_are_the_directory() {
    let fixture = Fixture::new(PLAIN, PLAIN_TIMES);
    let expected = fixture.image("tree");
    let python = |format: &str| {
        format!(
            "python3 -c 'import tarfile; a = tarfile.open(\"a.tar\", \"w\", \
             format=tarfile.{format}_FORMAT); a.add(\"tree\", \".\"); a.close()'"
        )
    };
    for maker in [
        "tar --format=gnu -C tree -cf a.tar .".to_owned(),
        "tar --format=oldgnu --sparse -C tree -cf a.tar .".into(),
        "tar --format=ustar -C tree -cf a.tar .".into(),
        "bsdtar --format=ustar -C tree -cf a.tar .".into(),
        "bsdtar --format=gnutar -C tree -cf a.tar .".into(),
        "busybox tar -C tree -cf a.tar .".into(),
        "(cd tree; tar -cf ../a.tar * .)".into(),
        "(cd tree; tar -Pcf ../a.tar --transform 's,^\\.,/,' .)".into(),
        python("PAX"),
        python("GNU"),
        python("USTAR"),
    ] {
        fixture.shell(&maker);
        let output = succeed(&mut fixture.mkfs("a.tar", &[]));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(fixture.hash(), expected, "{maker}: {stderr}");
        let is_absolute = stderr.contains("members have, first here: a name that starts with a ");
        let repeats = stderr.contains("members repeat, first here: an earlier path is replaced");
        let expected = (maker.contains("-Pcf"), maker.contains("* ."));
        assert_eq!((is_absolute, repeats), expected, "{stderr}");
    }
}

#[test]
fn the_order_of_members_does_not_matter() {
    let fixture = Fixture::new(RICH, RICH_TIMES);
    let expected = fixture.image("tree");
    for order in ["sort", "sort -r", "shuf", "shuf"] {
        fixture.shell(&format!(
            "set -f; (cd tree; find . -print0 | {order} -z) >list
            {GNU} -C tree --null --no-recursion -T list -cf a.tar"
        ));
        assert_eq!(fixture.image("a.tar"), expected, "{order}");
    }
}

#[test]
fn hard_links_may_come_before_their_targets() {
    let fixture = Fixture::new(PLAIN, PLAIN_TIMES);
    let script = "import tarfile
a = tarfile.open('a.tar'); b = tarfile.open('swapped.tar', 'w')
links = [m for m in a if m.islnk()]; assert links
for m in links + [m for m in a if not m.islnk()]:
    b.addfile(m, a.extractfile(m) if m.isfile() else None)
b.close()";
    fs::write(fixture.path("swap.py"), script).unwrap();
    fixture.shell("tar -C tree -cf a.tar .; python3 swap.py");
    assert_eq!(fixture.image("swapped.tar"), fixture.image("tree"));
}

#[test]
fn compressed_and_piped_archives_are_the_directory() {
    let fixture = Fixture::new(RICH, RICH_TIMES);
    let expected = fixture.image("tree");
    fixture.shell(&format!("set -f; {GNU} -C tree -cf a.tar ."));
    fixture.shell(
        "head -c 20000 a.tar >1; tail -c +20001 a.tar >2
        gzip -k a.tar; (gzip <1; gzip <2; head -c 512 /dev/zero) >members.gz
        zstd -q a.tar; printf '\\120\\052\\115\\030\\003\\000\\000\\000abc' >skipped
        (zstd -q <1; cat skipped; zstd -q <2) >frames.zst
        (printf '\\137\\052\\115\\030\\000\\000\\000\\000'; zstd -q <a.tar) >skippable.zst
        zstd -q --ultra -22 a.tar -o ultra.zst; zstd -q --long=27 <a.tar >long.zst
        xz -k a.tar; (xz <1; xz <2) >streams.xz; xz -9 --check=sha256 <a.tar >9.xz",
    );
    for archive in [
        "a.tar",
        "a.tar.gz",
        "members.gz",
        "a.tar.zst",
        "frames.zst",
        "skippable.zst",
        "ultra.zst",
        "long.zst",
        "a.tar.xz",
        "streams.xz",
        "9.xz",
    ] {
        assert_eq!(fixture.image(archive), expected, "{archive}");
        assert_eq!(fixture.piped(archive), expected, "{archive}");
    }
    // A file as standard input is read where it is, without a spool.
    let file = File::open(fixture.path("a.tar")).unwrap();
    succeed(fixture.mkfs("-", &[]).stdin(file).env("TMPDIR", "/nonexistent"));
    assert_eq!(fixture.hash(), expected);
    assert_eq!(fs::read_dir(fixture.path("spool")).unwrap().count(), 0);
}

#[test]
fn an_unprivileged_user_needs_no_more_than_an_archive() {
    let fixture = Fixture::new(RICH, RICH_TIMES);
    let expected = fixture.image("tree");
    fixture
        .shell(&format!("set -f; {GNU} -C tree -cf - . | zstd -q >a.tar.zst; chmod 777 . spool"));
    let native = fixture.mkfs("-", &[]);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=12345", "--regid=12345", "--clear-groups", "--bounding-set=-all"]);
    command.arg(native.get_program()).args(native.get_args());
    command.env("TMPDIR", fixture.path("spool")).current_dir(fixture.0.path());
    succeed(command.stdin(File::open(fixture.path("a.tar.zst")).unwrap()));
    assert_eq!(fixture.hash(), expected);
}

#[test]
fn every_command_takes_an_archive() {
    let fixture = Fixture::new(PLAIN, PLAIN_TIMES);
    fixture.shell(
        "tar -C tree -cf a.tar .; mkdir -p esp/EFI; echo x >esp/EFI/x
        find esp -exec touch -d @1700000000 {} +; tar -C esp -cf e.tar .",
    );
    let disk = |tree: &str, options: &[&str]| {
        let (tree, out) = (fixture.path(tree), fixture.path("disk"));
        let options = [options, &["--architecture=x86-64", "--force"]].concat();
        succeed(mkimage(&tree, &out, EPOCH, &options).current_dir(fixture.0.path()));
        sha256(&out)
    };
    assert_eq!(disk("a.tar", &[]), disk("tree", &[]));
    assert_eq!(disk("a.tar", &["--esp-tree=e.tar"]), disk("tree", &["--esp-tree=esp"]));
    for format in ["btrfs", "erofs", "squashfs", "vfat"] {
        let exclude = "--exclude=/{dev,usr/bin/s}";
        let image = |tree: &str| {
            let mut command = detfs(["mkfs", format, tree, "image", "--force", exclude]);
            succeed(command.args(fixed(EPOCH)).current_dir(fixture.0.path()));
            fixture.hash()
        };
        assert_eq!(image("a.tar"), image("tree"), "{format}");
    }
    let check = |tree: &str| {
        let mut command = detfs(["normalize", "--check", tree, "--normalize=debian"]);
        command.current_dir(fixture.0.path()).output().unwrap()
    };
    assert_eq!(check("a.tar").stdout, check("tree").stdout);
    for tree in ["a.tar", "tree"] {
        let text = format!(
            "[image]\ntree = \"{tree}\"\nout = \"{tree}.raw\"\narchitecture = \"x86-64\"\n"
        );
        fs::write(fixture.path("image.toml"), text).unwrap();
        succeed(detfs(["build", "image.toml"]).current_dir(fixture.0.path()));
    }
    assert_eq!(sha256(&fixture.path("a.tar.raw")), sha256(&fixture.path("tree.raw")));
    let mut own = mkimage(
        &fixture.path("a.tar"),
        &fixture.path("a.tar"),
        EPOCH,
        &["--force", "--format=raw"],
    );
    fixture.refuses(&mut own, 2, "is the archive with the tree; write it elsewhere");
}

#[test]
fn broken_archives_are_refused() {
    let fixture = Fixture::new(PLAIN, PLAIN_TIMES);
    fixture.shell(
        "tar -C tree -cf a.tar .; gzip -k a.tar; zstd -qk a.tar; xz -k a.tar; bzip2 -k a.tar
        lzma -k a.tar; head -c 100000 /dev/urandom >random; : >empty; (cat a.tar; echo) >more
        for z in gz zst xz; do (cat a.tar.$z; echo) >more.$z; done
        (cd tree; tar -cPf ../up.tar ../tree/etc); zstd -q --long=31 --ultra -22 <a.tar >window.zst
        printf '\\050\\265\\057\\375\\000\\240aaaaaaaaaaaaaa' >header.zst",
    );
    let refuses = |name: &str, message| fixture.refuses(&mut fixture.mkfs(name, &[]), 3, message);
    for (name, message) in [
        ("random", "this is not a tar archive: "),
        ("empty", "this is not a tar archive: it has 0 bytes"),
        ("more", "other bytes follow the end-of-archive marker"),
        ("more.gz", "gzip: other bytes follow the last member"),
        ("more.zst", "zstd: "),
        ("more.xz", "xz: "),
        ("a.tar.bz2", "this is bzip2, not tar; give a directory, or a tar archive: plain, or "),
        ("a.tar.lzma", "this is lzma, not tar"),
        ("up.tar", "../tree/etc/ at byte 0: `..` leads out of the tree"),
        ("header.zst", "zstd: a window of 1073741824 bytes, more than 134217728 are not decoded"),
        ("window.zst", "zstd: a window of 2147483648 bytes"),
    ] {
        refuses(name, message);
    }
    for (name, message) in [
        ("a.tar", "ends before its end-of-archive marker"),
        ("a.tar.gz", "gzip: the data ends within a member"),
        ("a.tar.zst", "zstd: the data ends within a frame"),
        ("a.tar.xz", "xz: the data ends within a stream"),
    ] {
        let whole = fs::read(fixture.path(name)).unwrap();
        for length in [600, whole.len() / 2] {
            fs::write(fixture.path("short"), &whole[..length]).unwrap();
            refuses("short", message);
        }
    }
    for name in ["a.tar.gz", "a.tar.zst", "a.tar.xz"] {
        let length = fs::metadata(fixture.path(name)).unwrap().len();
        fs::copy(fixture.path(name), fixture.path("flipped")).unwrap();
        flip(&fixture.path("flipped"), length / 2);
        refuses("flipped", "flipped: at byte ");
    }
    let mut missing = fixture.mkfs("missing.tar", &[]);
    fixture.refuses(&mut missing, 4, "No such file or directory");
}

#[test]
fn a_full_spool_is_named() {
    let fixture = Fixture::new(PLAIN, PLAIN_TIMES);
    fixture.shell(
        "head -c 3000000 /dev/urandom >tree/large
        tar -C tree -cf tree.tar .; gzip -c tree.tar >a.tar.gz",
    );
    let full = Mounted::new("tmpfs", "size=1m", None).unwrap();
    let spool = full.path().to_str().unwrap().to_owned();
    let message = format!("cannot write the temporary file in {spool}: No space left on device");
    fixture.refuses(fixture.mkfs("a.tar.gz", &[]).env("TMPDIR", full.path()), 4, &message);
    assert_eq!(fs::read_dir(full.path()).unwrap().count(), 0);
    // An archive that is not compressed needs none.
    succeed(fixture.mkfs("tree.tar", &[]).env("TMPDIR", full.path()));
    fs::remove_file(fixture.path("image")).unwrap();
    let mut command = fixture.mkfs("a.tar.gz", &[]);
    let message = "cannot create a temporary file in /nonexistent";
    fixture.refuses(command.env("TMPDIR", "/nonexistent"), 4, message);
}

#[test]
fn an_archive_is_copied_to_the_root_of_a_partition() {
    let fixture = Repart::new(
        "mkdir -p sub/etc sub/usr/share sub/proc; echo hi >sub/etc/hostname; ln -s etc sub/link
        echo x >sub/usr/share/x; echo x >sub/proc/x; mkfifo sub/pipe; chown 7:8 sub/etc
        find sub -exec touch -hd '2023-11-14 01:02:03' {} +
        tar -C sub -cf - . | zstd -q >a.tar.zst; cp a.tar.zst sub/inner
        touch -d '2023-11-14 01:02:03' sub",
    );
    let image = |source: &str| {
        let line = format!("CopyFiles={source}:/; ExcludeFilesTarget=/inner");
        fixture.define(&[&format!("10-root Type=root; Format=ext4; {line}")]);
        fixture.make(&["--empty=force", "--size=auto", "--dry-run=no"], &[]);
        sha256(&fixture.side.path("image.raw"))
    };
    fs::write(fixture.side.path("image.raw"), "").unwrap();
    assert_eq!(image("/a.tar.zst"), image("/sub"));
    assert_ne!(image("/sub/etc"), image("/sub"));
    // As with systemd-repart, a file is copied to any other path as it is.
    fixture.define(&["10-root Type=root; Format=ext4; CopyFiles=/a.tar.zst:/etc/hostname"]);
    fixture.make(&["--empty=force", "--size=auto", "--dry-run=no"], &[]);
    fs::write(fixture.side.path("tree/a.tar.zst"), "hi\n").unwrap();
    fixture.define(&["10-root Type=root; Format=ext4; CopyFiles=/a.tar.zst:/"]);
    let refused = fixture.run(&["--empty=force", "--size=auto"], &[]);
    assert!(refused.stderr.contains("this is not a tar archive"), "{}", refused.stderr);
}
