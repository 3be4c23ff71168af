//! The same tree gives the same image, whatever differs about the machine that builds it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::detfs::{SEED, copy_program, detfs, mkfs, mkimage, native, succeed};
use crate::oracle::{LoopDevice, Mounted, fingerprint, sha256, shell};
use crate::tree::{LATEST, Sparseness, Stress, add_efi, copy, debian, make, set_mtime, stress};

/// Kind of image that is built from a tree.
#[derive(Debug, Clone, Copy)]
enum Target {
    Disk,
    /// btrfs with all options for which many threads examine the content.
    Btrfs,
}

/// A tree that every user can read, in a directory where every user can write.
struct Fixture {
    target: Target,
    scratch: TempDir,
    tree: PathBuf,
}

impl Fixture {
    fn new(target: Target) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).unwrap();
        make(&tree, &stress(Stress { seed: 3, entries: 1000, readable: true }), 1);
        add_efi(&tree);
        // The same content twice, for deduplication, in extents that compress.
        shell("mkdir $1/twice; cp $1/large-file $1/twice; seq 99999 >$1/twice/seq", &[&tree]);
        shell(
            "cp $1/twice/seq $1/twice/more; find $1/twice -exec touch -d @1600000000 {} +",
            &[&tree],
        );
        set_mtime(&tree, (1_600_000_000, 7));
        Self { target, scratch, tree }
    }

    fn out(&self) -> PathBuf {
        self.scratch.path().join("image")
    }

    fn command(&self, tree: &Path) -> Command {
        match self.target {
            Target::Disk => mkimage(tree, &self.out(), LATEST, &["--architecture=x86-64"]),
            Target::Btrfs => mkfs("btrfs", tree, &self.out(), LATEST, &BTRFS),
        }
    }

    /// Builds an image and returns its hash.
    fn hash(&self, command: &mut Command) -> String {
        succeed(command);
        let hash = sha256(&self.out());
        fs::remove_file(self.out()).unwrap();
        hash
    }

    fn copied(&self, to: &Path, order: u64, sparseness: Sparseness) {
        copy(&self.tree, to, order, sparseness);
    }
}

const BTRFS: [&str; 6] = [
    "--compress=zstd",
    "--dedup",
    "--subvolume=nested:ro",
    "--subvolume=sparse",
    "--default-subvolume=nested",
    "--btrfs-checksum=sha256",
];

/// Creates and mounts a btrfs, on which the tree is stored differently.
fn btrfs(scratch: &Path) -> Mounted {
    let image = scratch.join("btrfs");
    shell("truncate -s 2G $1; mkfs.btrfs -q $1", &[&image]);
    Mounted::new("btrfs", "rw", Some(&image)).unwrap()
}

/// Returns a command that runs `command` by means of another program: `prefix... program args...`.
fn wrapped(prefix: &[&str], command: &Command) -> Command {
    let mut wrapper = Command::new(prefix[0]);
    wrapper.args(&prefix[1..]).arg(command.get_program()).args(command.get_args());
    wrapper
}

fn the_surroundings_do_not_matter(target: Target) {
    let fixture = Fixture::new(target);
    let tree = fixture.tree.as_path();
    let expected = fixture.hash(&mut fixture.command(tree));
    let check = |what: &str, command: &mut Command| {
        assert_eq!(fixture.hash(command), expected, "{what}");
    };
    check("the same again", &mut fixture.command(tree));
    for threads in ["1", "2", "3", "16"] {
        check(threads, fixture.command(tree).args(["--threads", threads]));
    }
    let locale = [("TZ", "Asia/Kathmandu"), ("LANG", "tr_TR.UTF-8"), ("LC_ALL", "tr_TR.UTF-8")];
    check("time zone and locale", fixture.command(tree).envs(locale));
    let others = [("HOME", "/"), ("E2FSPROGS_FAKE_TIME", "1"), ("SOURCE_DATE_EPOCH", "1")];
    check("environment", fixture.command(tree).envs(others));
    let umask = ["sh", "-c", "umask 077; exec \"$0\" \"$@\""];
    check("umask", &mut wrapped(&umask, &fixture.command(tree)));
    check("working directory", fixture.command(Path::new(".")).current_dir(tree));
    check("relative path", fixture.command(Path::new("tree")).current_dir(fixture.scratch.path()));
    let time = ["faketime", "2031-07-09 03:04:05"];
    // File times are part of the image and must not be faked.
    check("clock", wrapped(&time, &fixture.command(tree)).env("NO_FAKE_STAT", "1"));

    // A place where another user can run the program.
    let program = fixture.scratch.path().join("detfs");
    copy_program(&program);
    let mut command = Command::new(program);
    command.args(fixture.command(tree).get_args()).uid(65_534).gid(65_534);
    check("user", &mut command);
}

fn the_copy_of_the_tree_does_not_matter(target: Target) {
    let fixture = Fixture::new(target);
    let expected = fixture.hash(&mut fixture.command(&fixture.tree));
    let tmpfs = Mounted::new("tmpfs", "size=1g", None).unwrap();
    fixture.copied(tmpfs.path(), 7, Sparseness::Most);
    assert_eq!(fixture.hash(&mut fixture.command(tmpfs.path())), expected, "tmpfs");
    let btrfs = btrfs(fixture.scratch.path());
    fixture.copied(btrfs.path(), 8, Sparseness::Least);
    assert_eq!(fixture.hash(&mut fixture.command(btrfs.path())), expected, "btrfs");
}

/// The previous content of a device does not show in the image.
fn what_was_there_before_does_not_matter(target: Target) {
    let fixture = Fixture::new(target);
    succeed(&mut fixture.command(&fixture.tree));
    let size = fs::metadata(fixture.out()).unwrap().len();
    // An image of a given size differs from the default one: ext4 has fewer inodes then.
    let sized = ["--force".to_owned(), format!("--size={size}")];
    let expected = fixture.hash(fixture.command(&fixture.tree).args(&sized));
    let dirty = fixture.scratch.path().join("dirty");
    shell("tr '\\0' '\\252' </dev/zero | head -c $2 >$1", &[&dirty, Path::new(&size.to_string())]);
    {
        let device = LoopDevice::attach(&dirty, &[]);
        let command = fixture.command(&fixture.tree);
        let out = fixture.out();
        let args = command.get_args().map(|arg| match arg == out.as_os_str() {
            true => device.path().as_os_str(),
            false => arg,
        });
        succeed(detfs(args).args(&sized));
    }
    assert_eq!(sha256(&dirty), expected);
}

mod disk {
    use super::Target::Disk;

    #[test]
    fn the_surroundings_do_not_matter() {
        super::the_surroundings_do_not_matter(Disk);
    }

    #[test]
    fn the_copy_of_the_tree_does_not_matter() {
        super::the_copy_of_the_tree_does_not_matter(Disk);
    }

    #[test]
    fn what_was_there_before_does_not_matter() {
        super::what_was_there_before_does_not_matter(Disk);
    }
}

mod btrfs_with_everything {
    use super::Target::Btrfs;

    #[test]
    fn the_surroundings_do_not_matter() {
        super::the_surroundings_do_not_matter(Btrfs);
    }

    #[test]
    fn the_copy_of_the_tree_does_not_matter() {
        super::the_copy_of_the_tree_does_not_matter(Btrfs);
    }

    #[test]
    fn what_was_there_before_does_not_matter() {
        super::what_was_there_before_does_not_matter(Btrfs);
    }
}

#[test]
fn what_is_part_of_the_image_does_matter() {
    let fixture = Fixture::new(Target::Disk);
    let tree = fixture.tree.as_path();
    let before = fixture.hash(&mut fixture.command(tree));
    let file = tree.join("links/many");

    set_mtime(&tree.join("modes/0111"), (1_600_000_000, 5));
    let one = fixture.hash(&mut fixture.command(tree));
    assert_ne!(one, before);
    set_mtime(&tree.join("modes/0111"), (1_600_000_000, 6));
    let two = fixture.hash(&mut fixture.command(tree));
    assert_ne!(two, one, "a nanosecond of one mtime");

    let script = "touch -r $1 $2; printf z | dd of=$1 bs=1 seek=50 conv=notrunc status=none
        touch -r $2 $1";
    shell(script, &[&file, &fixture.scratch.path().join("reference")]);
    let three = fixture.hash(&mut fixture.command(tree));
    assert_ne!(three, two, "one byte");

    let seed = SEED.replace('1', "2");
    let args = ["--seed", &seed, "--architecture=x86-64", "--source-date-epoch=15032385535"];
    let mut command = detfs(["mkimage"]);
    command.arg(tree).arg(fixture.out()).args(args);
    assert_ne!(fixture.hash(&mut command), three, "the seed");
}

/// Without options, the seed and the epoch come from the tree; the environment can set the epoch,
/// too.
#[test]
fn parameters_that_are_not_given_come_from_the_tree() {
    let fixture = Fixture::new(Target::Disk);
    let tmpfs = Mounted::new("tmpfs", "size=1g", None).unwrap();
    fixture.copied(tmpfs.path(), 9, Sparseness::Most);
    let command = |tree: &Path, epoch: &[(&str, &str)], options: &[&str]| {
        let mut command = detfs(["mkimage"]);
        command.arg(tree).arg(fixture.out()).arg("--architecture=x86-64");
        command.args(options).envs(epoch.iter().copied());
        fixture.hash(&mut command)
    };
    let bare = command(&fixture.tree, &[], &[]);
    assert_eq!(command(tmpfs.path(), &[], &[]), bare);
    let epoch = [("SOURCE_DATE_EPOCH", "1500000000")];
    let with_epoch = command(&fixture.tree, &epoch, &[]);
    assert_ne!(with_epoch, bare);
    assert_eq!(command(tmpfs.path(), &[], &["--source-date-epoch=1500000000"]), with_epoch);
    assert_eq!(
        command(tmpfs.path(), &[("SOURCE_DATE_EPOCH", "1")], &["--source-date-epoch=1500000000"]),
        with_epoch,
        "the option goes before the environment"
    );
}

#[test]
#[ignore = "takes minutes"]
fn a_real_tree_and_its_copy_make_one_image() {
    let scratch = tempfile::tempdir().unwrap();
    let build = |tree: &Path, threads: &str| {
        let out = scratch.path().join("image");
        let hash = |command: &mut Command| {
            succeed(command.args(["--threads", threads]));
            let hash = sha256(&out);
            fs::remove_file(&out).unwrap();
            hash
        };
        let options = ["--compress=zstd:3", "--dedup"];
        let ext4 = hash(&mut mkimage(tree, &out, 1_700_000_000, &[]));
        (ext4, hash(&mut mkfs("btrfs", tree, &out, 1_700_000_000, &options)))
    };
    let expected = build(debian(), "2");
    let btrfs = btrfs(scratch.path());
    copy(debian(), btrfs.path(), 5, Sparseness::Least);
    assert_eq!(build(btrfs.path(), "1"), expected);
}

/// Compares what the golden images do not cover: files that rules rewrite, a seed that is derived
/// from the tree, the printed description of an image, and lengths and offsets that exceed 32 bits.
#[test]
#[ignore = "deep: there is no other program unless tests/deep/architectures builds one"]
fn deep_same_images_from_another_program() {
    let fixture = Fixture::new(Target::Disk);
    let script = "mkdir -p $1/etc $1/usr/lib/m $1/var/lib/pacman/local/p
        echo ID=arch >$1/etc/os-release
        echo 'root:*:19999::::::' >$1/etc/shadow
        echo TIMESTAMP_NSEC=1700000000123456789 | tee $1/etc/.updated >$1/var/.updated
        printf '%%INSTALLDATE%%\n1700000000\n' >$1/var/lib/pacman/local/p/desc
        echo 'value = 7' >$1/usr/lib/m/m.py; python3 -m compileall -q $1/usr/lib/m
        for at in 0 4294967295 4831838208; do
            printf end | dd of=$1/long bs=1 seek=$at conv=notrunc status=none
        done";
    shell(script, &[&fixture.tree]);
    let (tree, out) = (fixture.tree.as_path(), fixture.out());
    let seedless = |words: &[&str], options: &[&str]| {
        let mut command = detfs(words);
        command.arg(tree).arg(&out).args(options).arg("--source-date-epoch=1600000000");
        command
    };
    let x86 = "--architecture=x86-64";
    let dedup = ["--compress=zstd", "--dedup", "--headroom=0", "--json"];
    let rules = ["pacman-install-date", "shadow-day", "update-stamps", "python-modules"];
    // Without JSON no hash of 7 GiB is computed, which would take minutes under an emulator.
    for (mut command, rules) in [
        (mkimage(tree, &out, 1_600_000_000, &[x86, "--size=7G"]), &[][..]),
        (seedless(&["mkimage"], &[x86, "--json"]), &rules[..]),
        (seedless(&["mkfs", "btrfs"], &dedup), &[][..]),
    ] {
        let outcome = |command: &mut Command| {
            let said = String::from_utf8(succeed(command).stdout).unwrap();
            let hash = fingerprint(&out);
            fs::remove_file(&out).unwrap();
            (said, hash)
        };
        let expected = outcome(&mut native(&command));
        for rule in rules {
            assert!(expected.0.contains(rule), "{rule}: {}", expected.0);
        }
        assert_eq!(outcome(&mut command), expected, "{command:?}");
    }
}
