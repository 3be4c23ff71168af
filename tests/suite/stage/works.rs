//! Rewritten or removed files still serve their purpose, as the programs that use them confirm.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::fixture::image;
use crate::detfs::{SEED, detfs, mkimage, succeed};
use crate::oracle::{mount_ext4, run, shell};

const EPOCH: i64 = 1_600_000_000;

/// Builds an image of a tree with the rules of a profile, mounts it and calls `look`.
fn normalized<T>(tree: &Path, profile: &str, look: impl FnOnce(&Path) -> T) -> T {
    let scratch = tempfile::tempdir().unwrap();
    let (image, root) = (scratch.path().join("image"), scratch.path().join("root"));
    let mut command = detfs([OsStr::new("mkimage"), tree.as_os_str(), image.as_os_str()]);
    command.args([&format!("--seed={SEED}"), &format!("--source-date-epoch={EPOCH}")]);
    command.args(["--architecture=x86-64", &format!("--normalize={profile}"), "--headroom=4M"]);
    succeed(&mut command);
    shell("dd if=$1 of=$2 bs=1M skip=1 status=none; truncate -s -1M $2", &[&image, &root]);
    mount_ext4(&root, look).unwrap()
}

/// Python uses the compiled modules and does not compile them again.
#[test]
fn python_imports_what_was_compiled() {
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path().join("tree");
    shell(
        "mkdir -p $1/usr/lib/m; echo 'value = 7' >$1/usr/lib/m/mod.py; python3 -m compileall -q $1/usr/lib/m",
        &[&tree],
    );
    // With `-v`, Python reports every file that it uses or skips.
    let script = "PYTHONPATH=$1/usr/lib/m python3 -v -B -c 'import mod; print(mod.value)' 2>&1";
    let taken = "matches ";
    let imported = |root: &Path| shell(script, &[root]);
    let is_taken = |said: &str| {
        let line = said.lines().find(|line| line.contains("mod.cpython") && line.contains(taken));
        assert!(said.contains("7\n"), "{said}");
        line.is_some()
    };
    assert!(is_taken(&imported(&tree)));
    assert!(normalized(&tree, "systemd", |root| is_taken(&imported(root))));
    // Without the rule, the clamped time of the source does not match the compiled module.
    assert!(!normalized(&tree, "none", |root| is_taken(&imported(root))));
}

/// Host keys are removed, and `ssh-keygen -A`, which a unit in the tree runs, creates new ones.
#[test]
fn ssh_makes_new_keys() {
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path().join("tree");
    shell(
        "mkdir -p $1/etc/ssh $1/etc/systemd/system; ssh-keygen -q -A -f $1
         echo '[Service]\nExecStart=/usr/bin/ssh-keygen -A' >$1/etc/systemd/system/ssh-keygen.service",
        &[&tree],
    );
    assert!(tree.join("etc/ssh/ssh_host_ed25519_key").exists());
    normalized(&tree, "systemd", |root| {
        assert_eq!(fs::read_dir(root.join("etc/ssh")).unwrap().count(), 0);
        let copy = scratch.path().join("copy");
        shell(
            "cp -a $1 $2; ssh-keygen -q -A -f $2; ssh-keygen -l -f $2/etc/ssh/ssh_host_ed25519_key.pub",
            &[root, &copy],
        );
    });
}

/// The keyring of pacman is removed, and `pacman-key --init`, which a unit in the tree runs,
/// creates a new one. Without the unit, the tree is refused.
#[test]
fn pacman_makes_a_new_keyring() {
    let scratch = tempfile::tempdir().unwrap();
    let unit = "etc/systemd/system/pacman-init.service";
    let init =
        "mkdir -p $1/etc/pacman.d/gnupg; pacman-key --gpgdir $1/etc/pacman.d/gnupg --init 2>&1
        gpgconf --homedir $1/etc/pacman.d/gnupg --kill all";
    let [one, two] = ["one", "two"].map(|name| {
        let tree = scratch.path().join(name);
        let add = "mkdir -p $1/${2%/*}; printf '[Service]\\nExecStart=/usr/bin/pacman-key --init\\n' >$1/$2
            find $1 -exec touch -hd @1500000000 {} +";
        shell(&format!("{init}; {add}"), &[&tree, Path::new(unit)]);
        tree
    });
    let keys = |root: &Path| shell("ls -A $1/etc/pacman.d/gnupg/private-keys-v1.d", &[root]);
    assert!(!keys(&one).is_empty() && keys(&one) != keys(&two));
    let hash = |tree: &Path, profile: &str| image(tree, &[&format!("--normalize={profile}")]).0;
    assert_ne!(hash(&one, "none"), hash(&two, "none"));
    assert_eq!(hash(&one, "arch"), hash(&two, "arch"));
    normalized(&one, "arch", |root| {
        assert_eq!(shell("ls -A $1/etc/pacman.d", &[root]), "");
        let copy = scratch.path().join("copy");
        shell("cp -a $1 $2", &[root, &copy]);
        shell(init, &[&copy]);
        assert!(!keys(&copy).is_empty() && keys(&copy) != keys(&one));
    });
    fs::remove_file(one.join(unit)).unwrap();
    let out = scratch.path().join("image");
    let options = ["--architecture=x86-64", "--normalize=arch"];
    let output = mkimage(&one, &out, EPOCH, &options).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    for part in keys(&one).lines().chain(["pacman-private-keys", "pacman-init.service"]) {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!out.exists());
}

/// The machine ID has the value that machine-id(5) requires for a first boot, and systemd replaces
/// it. The `debian` tests check that the boot itself is a first boot.
#[test]
fn machines_get_their_own_id() {
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path().join("tree");
    shell("mkdir -p $1/etc; echo 0123456789abcdef0123456789abcdef >$1/etc/machine-id", &[&tree]);
    normalized(&tree, "systemd", |root| {
        // According to machine-id(5), the file is either missing or contains this word.
        assert_eq!(fs::read_to_string(root.join("etc/machine-id")).unwrap(), "uninitialized\n");
        let copy = scratch.path().join("copy");
        shell("cp -a $1 $2; systemd-machine-id-setup --root=$2", &[root, &copy]);
        let id = fs::read_to_string(copy.join("etc/machine-id")).unwrap();
        assert_eq!(id.trim().len(), 32, "{id}");
    });
}

/// The user databases are sorted as shadow's own checkers sort them, and these find no errors.
#[test]
fn users_are_consistent() {
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path().join("tree");
    shell(
        "mkdir -p $1/etc $1/root $1/home/a $1/home/b
         printf 'root:x:0:0::/root:/bin/sh\nb:x:2000:2000::/home/b:/bin/sh\na:x:1000:1000::/home/a:/bin/sh\n' >$1/etc/passwd
         printf 'root:x:0:\nb:x:2000:\na:x:1000:\n' >$1/etc/group
         printf 'root:*:19000:0:99999:7:::\nb:!:19900:0:99999:7:::\na:!:19900:0:99999:7:::\n' >$1/etc/shadow
         printf 'root:*::\nb:!::\na:!::\n' >$1/etc/gshadow; chmod 600 $1/etc/*shadow",
        &[&tree],
    );
    normalized(&tree, "debian", |root| {
        let copy = scratch.path().join("copy");
        shell("cp -a $1 $2; pwck -r -q -R $2; grpck -r -R $2", &[root, &copy]);
        let before = shell("cd $1/etc; cat passwd group shadow gshadow", &[&copy]);
        shell("pwck -s -R $1; grpck -s -R $1", &[&copy]);
        assert_eq!(shell("cd $1/etc; cat passwd group shadow gshadow", &[&copy]), before);
        assert!(before.contains("a:!:18518:"), "{before}");
    });
}

/// The menu of info pages is independent of the order in which entries were added, and
/// `install-info`, which created the menu, finds its entries.
#[test]
fn menus_of_info_are_understood() {
    let scratch = tempfile::tempdir().unwrap();
    let pages = scratch.path().join("pages");
    // install-info treats these titles as different, and does not sort them.
    let page = "mkdir -p $1; page() {
            printf 'INFO-DIR-SECTION %s\nSTART-INFO-DIR-ENTRY\n* %s: (%s). About\n  it.\nEND-INFO-DIR-ENTRY\n' \
                $2 $1 $1 >$pages/$1.info
        }
        pages=$1; page a Two; page b One; page c one";
    shell(page, &[&pages]);
    let menu = |order: &str| {
        let tree = scratch.path().join(order.replace(' ', ""));
        let add = format!(
            "mkdir -p $1/usr/share/info; for page in {order}; do
                install-info --dir-file=$1/usr/share/info/dir $2/$page.info
            done"
        );
        shell(&add, &[&tree, &pages]);
        let plain = fs::read_to_string(tree.join("usr/share/info/dir")).unwrap();
        let sorted = normalized(&tree, "systemd", |root| {
            let copy = scratch.path().join("dir");
            fs::copy(root.join("usr/share/info/dir"), &copy).unwrap();
            let sorted = fs::read_to_string(&copy).unwrap();
            shell("install-info --delete --dir-file=$1 $2/b.info", &[&copy, &pages]);
            let without = fs::read_to_string(&copy).unwrap();
            assert!(!without.contains("(b)") && without.contains("(c)"), "{without}");
            sorted
        });
        (plain, sorted)
    };
    let (one, two) = (menu("a b c"), menu("c b a"));
    assert_ne!(one.0, two.0);
    assert_eq!(one.1, two.1);
}

/// Java accepts a key store whose times were rewritten, because its digest matches.
#[test]
fn java_trusts_its_key_store() {
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path().join("tree");
    let certificate = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/verity/certificate.pem");
    shell(
        "mkdir -p $1/etc/ssl/certs/java
         keytool -importcert -noprompt -storetype JKS -storepass changeit -alias authority -file $2 \
             -keystore $1/etc/ssl/certs/java/cacerts 2>&1",
        &[&tree, &certificate],
    );
    let listed = |store: &Path| {
        let options = ["-list", "-v", "-storepass", "changeit", "-keystore"];
        run("keytool", options.map(OsStr::new).into_iter().chain([store.as_os_str()]))
    };
    let place = "etc/ssl/certs/java/cacerts";
    let before = listed(&tree.join(place)).all();
    let created = |said: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix("Creation date: "));
        line.unwrap_or_else(|| panic!("{said}")).to_owned()
    };
    normalized(&tree, "systemd", |root| {
        let after = listed(&root.join(place));
        assert!(after.ok, "{}", after.all());
        // Output of `date -u -d @1600000000`.
        assert_eq!(created(&after.all()), "Sep 13, 2020");
        let (old, new) = (created(&before), created(&after.all()));
        assert_eq!(before.replace(&old, &new), after.all());
    });
    // Java rejects a key store in which only a time was changed.
    let spoiled = scratch.path().join("spoiled");
    let mut store = fs::read(tree.join(place)).unwrap();
    let name = store.windows(9).position(|bytes| bytes == b"authority").unwrap();
    store[name + 9 + 7] ^= 1;
    fs::write(&spoiled, store).unwrap();
    let said = listed(&spoiled);
    assert!(!said.ok && said.all().contains("tampered"), "{}", said.all());
}
