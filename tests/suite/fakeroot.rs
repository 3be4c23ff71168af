//! Trees whose owners, modes, devices and extended attributes a preloaded library fakes for an
//! ordinary user: their images are the same as those of a tree that root creates.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::bad_input::USAGE;
use crate::detfs::{PROGRAM, SEED, copy_program};
use crate::oracle::{require_root, sha256, shell};

/// Shell script that creates a tree of everything that only root can create, and images of it in
/// every way.
const SCRIPT: &str = r#"
mkdir -p $tree/bin $tree/dev $tree/etc/secret; cd $tree
echo NAME=test >etc/os-release
echo su >bin/su; chown 0:0 bin/su; chmod 4755 bin/su
echo mail >bin/mail; chown 0:8 bin/mail; chmod 2755 bin/mail
echo x >etc/shadow; chown 0:42 etc/shadow; chmod 0640 etc/shadow
echo none >etc/none; chmod 0000 etc/none
chown 12:13 etc/secret; chmod 1700 etc/secret
echo one >etc/one; chown 7:4000000000 etc/one; ln etc/one etc/two
mknod -m 600 dev/console c 5 1; mknod -m 660 dev/sda b 8 0; chown 0:6 dev/sda
mknod -m 666 dev/null c 1 3; ln dev/null dev/null-too
mkfifo -m 620 dev/pipe; chown 3:4 dev/pipe
ln -s su bin/link; chown -h 3:4 bin/link
echo ping >bin/ping; chown 0:0 bin/ping; chmod 755 bin/ping; setcap cap_net_raw+ep bin/ping
# An ACL that lets user 99 read it.
acl=0x0200000001000600ffffffff0200040063000000
acl=${acl}04000400ffffffff10000400ffffffff20000000ffffffff
echo acl >etc/acl; chown 0:0 etc/acl; chmod 640 etc/acl
setfattr -n system.posix_acl_access -v $acl etc/acl
setfattr -n trusted.note -v text etc/acl
find . -exec touch -h -d @1600000000 {} +
cd /
export SOURCE_DATE_EPOCH=1700000000
for run in 1 2; do # The second one replaces the images of the first.
    $detfs mkfs ext4 $tree $images.ext4 --seed $seed --force
    $detfs mkfs btrfs $tree $images.btrfs --seed $seed --force
    $detfs mkimage $tree $images.disk --seed $seed --architecture x86-64 --force
done
$detfs repart --definitions=$images.d --root=$tree --seed=$seed --empty=create --size=auto \
    --offline=yes $images.repart
"#;

/// Command prefix that runs a program as an ordinary user.
const USER: [&str; 6] = [
    "setpriv",
    "--reuid=12345",
    "--regid=12345",
    "--clear-groups",
    "--inh-caps=-all",
    "--bounding-set=-all",
];

/// A directory that an ordinary user may write to, with a copy of the program.
struct Fixture(tempfile::TempDir);

impl Fixture {
    fn new() -> Self {
        require_root();
        let fixture = Self(tempfile::tempdir_in("/var/tmp").unwrap());
        fixture.open_to_all("");
        copy_program(&fixture.path("detfs"));
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open_to_all(&self, name: &str) {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }

    /// Runs the script with `words` as its prefix and returns the hashes of the images.
    fn images(&self, name: &str, words: &[&str]) -> [String; 4] {
        let images = self.path(&format!("{name}-images"));
        self.open_to_all(&format!("{name}-images.d"));
        let definition = "[Partition]\nType=root\nFormat=ext4\nCopyFiles=/\n";
        fs::write(images.with_extension("d").join("root.conf"), definition).unwrap();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(["sh", "-euc", SCRIPT]).env("seed", SEED);
        command.env("tree", self.path(name)).env("images", &images);
        command.env("detfs", self.path("detfs"));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        ["ext4", "btrfs", "disk", "repart"].map(|kind| sha256(&images.with_extension(kind)))
    }
}

#[test]
fn faked_trees_have_the_images_of_real_ones() {
    let fixture = Fixture::new();
    let real = fixture.images("real", &["env"]);
    for faker in ["fakeroot-sysv", "fakeroot-tcp"] {
        assert_eq!(fixture.images(faker, &[&USER[..], &[faker]].concat()), real, "{faker}");
    }
    fixture.open_to_all("pseudo-state");
    let state = format!("PSEUDO_LOCALSTATEDIR={}", fixture.path("pseudo-state").display());
    let library = shell("dpkg -L libpseudo | grep /libpseudo.so", &[]);
    let library = library.trim().trim_end_matches("/libpseudo.so");
    let library = format!("PSEUDO_LIBDIR={library}");
    let pseudo = ["env", "PSEUDO_PREFIX=/usr", &library, &state, "pseudo"];
    assert_eq!(fixture.images("pseudo", &[&USER[..], &pseudo].concat()), real, "pseudo");
}

/// Runs a program that must be refused because the library of its environment is missing, and
/// returns its error message.
fn refused(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {said}");
    said
}

#[test]
fn a_library_that_is_not_loaded_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let (tree, image) = (scratch.path().join("tree"), scratch.path().join("image"));
    fs::create_dir(&tree).unwrap();
    let definitions = format!("--definitions={}", tree.display());
    let (tree, out) = (tree.to_str().unwrap(), image.to_str().unwrap());
    let repart = ["repart", &definitions, "--empty=create", "--size=auto", "--offline=yes", out];
    let words: [(&[&str], i32); 5] = [
        (&["mkfs", "ext4", tree, out], USAGE),
        (&["mkimage", tree, out], USAGE),
        (&["normalize", "--check", tree], USAGE),
        (&["stage", "pacman", "--lock", "lock", tree], USAGE),
        (&repart, 1),
    ];
    for (name, value) in [
        // As in a statically linked program, which has the variable but not the library.
        ("FAKEROOTKEY", "12345"),
        ("LD_PRELOAD", "/nowhere/libfakeroot-sysv.so"),
        ("LD_PRELOAD", "libpseudo.so:/nowhere/other.so"),
    ] {
        for (words, code) in words {
            let said = refused(Command::new(PROGRAM).args(words).env(name, value), code);
            let line = said.lines().find(|line| line.contains("is requested but not loaded"));
            let line = line.unwrap_or_else(|| panic!("{name}={value} {words:?}: {said}"));
            assert!(line.contains(&format!("{name}: lib")), "{line}");
            assert!(line.contains("or unset the variable"), "{line}");
            assert!(!image.exists());
        }
    }
}

#[test]
fn nothing_is_staged_under_fakeroot() {
    let fixture = Fixture::new();
    let mut command = Command::new(USER[0]);
    command.args(&USER[1..]).arg("fakeroot").arg(fixture.path("detfs"));
    command.args(["stage", "pacman", "--package=base"]).arg(fixture.path("tree"));
    let said = refused(&mut command, USAGE);
    assert!(said.contains("run detfs without fakeroot"), "{said}");
}

/// Runs the program as an ordinary user with libfakeroot and `key` as the key of a server.
fn with_key(fixture: &Fixture, key: &str) -> String {
    let library = shell("dpkg -L libfakeroot | grep /libfakeroot-sysv.so", &[]);
    let mut command = Command::new(USER[0]);
    command.args(&USER[1..]).arg("env").arg(format!("FAKEROOTKEY={key}"));
    command.arg(format!("LD_PRELOAD={}", library.trim())).arg(fixture.path("detfs"));
    command.args(["mkfs", "ext4", "/etc"]).arg(fixture.path("image"));
    refused(&mut command, USAGE)
}

#[test]
fn a_server_of_another_user_is_no_answer() {
    // The server would listen on two message queues. They can't be opened here, so that calls
    // return the values on disk.
    let queues = "import ctypes; libc = ctypes.CDLL(None)
for key in (34567, 34568): assert libc.msgget(key, 0o1600) >= 0";
    shell("python3 -c \"$1\"", &[queues.as_ref()]);
    let said = with_key(&Fixture::new(), "34567");
    shell("ipcrm -Q 34567 -Q 34568", &[]);
    assert!(said.contains("does not answer"), "{said}");
}

#[test]
#[ignore = "deep: waits for a server that is not there"]
fn deep_a_server_that_is_gone_is_no_answer() {
    let said = with_key(&Fixture::new(), "12345");
    shell("ipcrm -Q 12345 -Q 12346 -S 12347", &[]);
    assert!(said.contains("does not answer"), "{said}");
}
