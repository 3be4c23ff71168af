//! The same packages, installed at different times, give the same image.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::fixture::{EPOCH, detfs, image, packages, rules, source, stage};
use crate::detfs::{SEED, mkimage, succeed};
use crate::oracle::{Comparison, disk, mount_ext4, run, sha256, shell};

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}

#[test]
fn two_installs_at_different_times_are_one_image() {
    let scratch = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| scratch.path().join(name));
    succeed(&mut stage(&one, &[]));
    succeed(&mut stage(&two, &["--clock-offset=+400d"]));
    // Nothing of the host is visible to scriptlets, so nothing of it can get into the tree.
    assert_eq!(
        text(&two.join("usr/lib/seen")),
        "/sys/* /run/* /dev/sd* /proc/sys/net/ipv4/conf/all \
         /proc/sys/net/ipv4/conf/default /proc/sys/net/ipv4/conf/lo localhost\n"
    );
    // Three known differences between the installations, and a day that a scriptlet wrote to a
    // file.
    let desc = "var/lib/pacman/local/app-1.0-1/desc";
    for path in [desc, "var/cache/ldconfig/aux-cache", "efi/loader/random-seed", "etc/shadow"] {
        let differ = fs::read(one.join(path)).unwrap() != fs::read(two.join(path)).unwrap();
        assert!(differ, "{path} is the same");
    }
    let mut plain = ["--normalize=none"].to_vec();
    assert_ne!(image(&one, &plain).0, image(&two, &plain).0);
    let (hash, manifest) = image(&one, &[]);
    let (other, other_manifest) = image(&two, &[]);
    assert_eq!(hash, other);
    assert_eq!(manifest, other_manifest);
    let fired = rules(&manifest);
    for rule in ["pacman-install-date", "ldconfig-cache", "random-seed", "shadow-day", "logs"] {
        assert!(fired.iter().any(|fired| fired == rule), "{rule}: {fired:?}");
    }
    let btrfs = ["--fs=btrfs"];
    assert_eq!(image(&one, &btrfs).0, image(&two, &btrfs).0);
    // A disabled rule does not fire, and its difference remains in the image.
    let off = scratch.path().join("off.toml");
    fs::write(&off, "disable = [\"pacman-install-date\"]").unwrap();
    let off = format!("--rules={}", off.display());
    plain = [&*off].to_vec();
    assert_ne!(image(&one, &plain).0, image(&two, &plain).0);
}

/// pacman and ldconfig work in the image as in the tree from which it was built.
#[test]
fn what_is_installed_works_as_before() {
    let scratch = tempfile::tempdir().unwrap();
    let (tree, out) = (scratch.path().join("tree"), scratch.path().join("image"));
    succeed(&mut stage(&tree, &[]));
    shell("touch -r $1 $2; rm $1/random-seed; touch -r $2 $1", &[&tree.join("efi/loader"), &out]);
    fs::remove_file(&out).unwrap();
    let epoch = EPOCH.parse().unwrap();
    let output = succeed(&mut mkimage(&tree, &out, epoch, &["--architecture=x86-64", "--json"]));
    // The image differs from the tree only in the paths that rules changed.
    let comparison = Comparison::exact().without("lost+found").clamped_to(epoch).hollow("efi");
    let differences = format!("{:?}", disk(&out, 512, &tree, &comparison).unwrap_err());
    let manifest: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let changed = manifest["normalization"].as_array().unwrap().iter();
    let changed = changed.filter(|fired| fired["verb"] != "clamp");
    let mut changed: Vec<_> =
        changed.flat_map(|fired| fired["paths"].as_array().unwrap()).collect();
    changed.dedup();
    changed.sort_by_key(|path| path.as_str());
    changed.dedup();
    assert!(differences.starts_with(&format!("{} differences", changed.len())), "{differences}");
    for path in changed {
        assert!(differences.contains(path.as_str().unwrap()), "{path}: {differences}");
    }
    let partition = &manifest["partition_table"]["partitions"][1];
    let root = scratch.path().join("root");
    let script = format!(
        "dd if=$1 of=$2 bs=1M iflag=skip_bytes,count_bytes skip={} count={} status=none",
        partition["start"], partition["size"]
    );
    shell(&script, &[&out, &root]);
    let check = |root: &Path, arguments: &[&str]| {
        let database = root.join("var/lib/pacman");
        let mut all: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        all.extend([OsStr::new("--root"), root.as_os_str()]);
        all.extend([OsStr::new("--dbpath"), database.as_os_str()]);
        let said = run("pacman", all).all();
        let place = root.to_string_lossy().into_owned();
        let mut lines: Vec<_> = said.lines().map(|line| line.replace(&place, "")).collect();
        lines.sort();
        lines
    };
    mount_ext4(&root, |mounted| {
        let installed = check(mounted, &["-Q"]);
        let names = ["app 1.0-1", "filesystem 1.0-1", "glibc 1.0-1", "linux 1.0-1", "tools 1.0-1"];
        assert_eq!(installed, names);
        // pacman reports the same files as changed in both, namely those that scriptlets changed.
        assert_eq!(check(mounted, &["-Qkk"]), check(&tree, &["-Qkk"]));
        let date = check(mounted, &["-Qi", "app"]);
        let date = date.iter().find(|line| line.starts_with("Install Date")).unwrap();
        assert!(date.contains("14 Nov 2023") || date.contains("Nov 14"), "{date}");
        let libraries = shell("chroot $1 /usr/bin/ldconfig -p", &[mounted]);
        assert!(libraries.contains("libc.so.6"), "{libraries}");
        assert_eq!(shell("chroot $1 /usr/bin/cat /etc/os-release", &[mounted]).lines().count(), 3);
    })
    .unwrap();
}

/// A tree is staged from a lock that an earlier run wrote. Packages or options that differ from the
/// lock are refused before anything is installed.
#[test]
fn trees_are_made_of_locks() {
    let scratch = tempfile::tempdir().unwrap();
    let [one, two, lock] = ["one", "two", "lock"].map(|name| scratch.path().join(name));
    let option = format!("--lock={}", lock.display());
    succeed(&mut stage(&one, &[&option]));
    let written = text(&lock);
    let names: Vec<_> = written.lines().filter(|line| line.starts_with("name = ")).collect();
    assert_eq!(names.len(), 5, "{written}");
    let files = packages().join("core/os/x86_64");
    for line in written.lines().filter(|line| line.starts_with("file = ")) {
        let file = line.trim_start_matches("file = ").trim_matches('"');
        assert!(written.contains(&sha256(&files.join(file))), "{file}");
    }
    let locked = |out: &Path, more: &[&str]| {
        let mut command = detfs([OsStr::new("stage"), OsStr::new("pacman"), out.as_os_str()]);
        command.args([&option, "--locked"]).args(more);
        command
    };
    succeed(&mut locked(&two, &[]));
    assert_eq!(image(&one, &[]).0, image(&two, &[]).0);
    assert_eq!(text(&lock), written);

    // Another mirror with the same packages is accepted and reported.
    let (three, copy) = (scratch.path().join("three"), scratch.path().join("copy"));
    shell("cp -a $1 $2", &[packages(), &copy]);
    let mirror = format!("--mirror=file://{}", copy.display());
    let output = succeed(&mut locked(&three, &[&mirror]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("came from file://{}/$repo", copy.display())), "{said}");
    assert_eq!(image(&one, &[]).0, image(&three, &[]).0);
    shell("rm -r $1 $2", &[&three, &copy]);

    let sum = sha256(&files.join("app-1.0-1-x86_64.pkg.tar.gz"));
    let forged = "0".repeat(64);
    for (from, to, what) in [
        ("\"1.0-1\"", "\"0.9-1\"", "app is 1.0-1 instead of 0.9-1"),
        (&*sum, &*forged, "instead of 0000"),
        ("name = \"tools\"", "name = \"tool\"", "tools 1.0-1 would be installed"),
    ] {
        fs::write(&lock, written.replacen(from, to, 1)).unwrap();
        let output = locked(&three, &[]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("the list of packages differs from the lock: ") && said.contains(what),
            "{said}"
        );
        assert!(!said.contains("installing app"), "{said}");
        assert!(!three.exists());
    }
    fs::write(&lock, &written).unwrap();
    let output = locked(&three, &["--package=app"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--package has another value"), "{said}");
    let names: Vec<_> = shell("ls -A $1", &[scratch.path()]).lines().map(str::to_owned).collect();
    assert_eq!(names, ["lock", "one", "two"]);
}

/// Packages are fetched over HTTP from a mirror of the archive, and the epoch is the start of the
/// day of the snapshot.
#[test]
fn packages_come_over_http() {
    let scratch = tempfile::tempdir().unwrap();
    let served = scratch.path().join("served");
    shell("mkdir -p $1/repos/2026/11; ln -s $2 $1/repos/2026/11/23", &[&served, packages()]);
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port().to_string()
    };
    let mut server = std::process::Command::new("python3")
        .args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"])
        .arg(&served)
        .arg(&port)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let up = || std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok();
    while !up() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (tree, lock) = (scratch.path().join("tree"), scratch.path().join("lock"));
    let mut command = detfs([OsStr::new("stage"), OsStr::new("pacman"), tree.as_os_str()]);
    command.args(["--package=app", "--package=linux", "--repo=core", "--snapshot=2026/11/23"]);
    command.arg(format!("--mirror=http://127.0.0.1:{port}")).arg("--lock").arg(&lock);
    let output = command.output();
    server.kill().unwrap();
    server.wait().unwrap();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written = text(&lock);
    assert!(written.contains("/repos/2026/11/23/$repo/os/$arch\""), "{written}");
    assert!(written.contains("source-date-epoch = 1795392000\n"), "{written}");
    // The source of the packages and the time of their installation are not part of the tree.
    let other = scratch.path().join("other");
    succeed(&mut stage(&other, &[]));
    assert_eq!(image(&tree, &[]).0, image(&other, &[]).0);
}

#[test]
fn two_stagings_are_compared() {
    let scratch = tempfile::tempdir().unwrap();
    let check = |more: &[&str]| {
        let mut command = detfs(["stage", "check", "--json"]);
        command.env("TMPDIR", scratch.path()).args(source()).args(more);
        let output = command.output().unwrap();
        let json = serde_json::from_slice::<serde_json::Value>(&output.stdout);
        let json = json.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(json["schema"], 1);
        (output.status.code(), json["differences"].as_array().unwrap().clone())
    };
    let (code, found) = check(&[]);
    assert_eq!(code, Some(0), "{found:?}");
    let covered = |found: &[serde_json::Value], path: &str| {
        let of_path = found.iter().find(|found| found["path"] == path);
        of_path.map(|found| found["covered_by"].to_string())
    };
    for (path, by) in [
        ("var/lib/pacman/local/app-1.0-1/desc", r#"["pacman-install-date"]"#),
        ("var/cache/ldconfig/aux-cache", r#"["ldconfig-cache"]"#),
        ("efi/loader/random-seed", r#"["random-seed"]"#),
        ("boot", r#"["times"]"#),
    ] {
        assert_eq!(covered(&found, path).as_deref(), Some(by), "{path}");
    }
    let off = scratch.path().join("off.toml");
    fs::write(&off, "disable = [\"random-seed\"]").unwrap();
    let (code, found) = check(&[&format!("--rules={}", off.display())]);
    assert_eq!(code, Some(1), "{found:?}");
    assert_eq!(covered(&found, "efi/loader/random-seed").as_deref(), Some("[]"));
    let would = found.iter().find(|found| found["path"] == "efi/loader/random-seed").unwrap();
    assert_eq!(would["would_be_covered_by"].to_string(), r#"["random-seed"]"#);
    let left: Vec<PathBuf> =
        shell("ls -A $1", &[scratch.path()]).lines().map(PathBuf::from).collect();
    assert_eq!(left, [PathBuf::from("off.toml")]);
}

#[test]
fn one_file_says_it_all() {
    let fixture = tempfile::tempdir().unwrap();
    let scratch = fixture.path().join("out");
    fs::create_dir(&scratch).unwrap();
    let config = scratch.join("image.toml");
    let mirror = packages().display();
    let text = format!(
        "schema = 1\nseed = \"{SEED}\"\nsource-date-epoch = {EPOCH}\n[stage]\n\
         package = [\"app\", \"linux\"]\n\
         mirror = \"file://{mirror}\"\nrepo = [\"core\"]\nlock = \"image.lock\"\n[image]\n\
         out = \"image.raw\"\nmanifest = \"image.json\"\narchitecture = \"x86-64\"\n"
    );
    fs::write(&config, &text).unwrap();
    let build = |more: &[&str]| {
        let mut command = detfs([OsStr::new("build"), config.as_os_str()]);
        command.args(more);
        command
    };
    succeed(&mut build(&[]));
    let hash = sha256(&scratch.join("image.raw"));
    // Invalid image options are reported before anything is fetched.
    let hasty = |text: &str, part: &str| {
        fs::write(&config, text).unwrap();
        let output = build(&[]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(2 | 4)), "{said}");
        assert!(said.contains(part) && said.lines().count() == 1, "{said}");
    };
    fs::rename(scratch.join("image.raw"), scratch.join("kept")).unwrap();
    fs::write(scratch.join("image.raw"), "mine").unwrap();
    hasty(&text, "exists; use another name");
    assert_eq!(fs::read(scratch.join("image.raw")).unwrap(), b"mine");
    fs::rename(scratch.join("kept"), scratch.join("image.raw")).unwrap();
    let elsewhere =
        text.replace("\"image.raw", "\"other.raw").replace("\"image.json", "\"other.json");
    hasty(&format!("{elsewhere}esp-size = \"much\"\n"), ":13: `esp-size`: \"much\" is not a size");
    hasty(&format!("{elsewhere}rules = \"none.toml\"\n"), "none.toml");
    hasty(&format!("{elsewhere}normalize = \"plan9\"\n"), "\"plan9\" is not a profile");
    fs::write(&config, &text).unwrap();
    // The second run finds a lock, and the files that a killed run left over.
    let left = scratch.join(".image.raw.build/content/root");
    fs::create_dir_all(&left).unwrap();
    shell("chmod 700 $1/.image.raw.build", &[&scratch]);
    let planned = succeed(&mut build(&["--dry-run"]));
    assert!(String::from_utf8(planned.stdout).unwrap().contains("image.raw"));
    assert_eq!(sha256(&scratch.join("image.raw")), hash);
    // What the build made itself, it replaces.
    succeed(&mut build(&[]));
    assert!(!left.exists() && !scratch.join(".image.raw.build").exists());
    assert_eq!(sha256(&scratch.join("image.raw")), hash);
    let tree = scratch.join("tree");
    succeed(&mut stage(&tree, &[]));
    assert_eq!(image(&tree, &[]).0, hash);

    // The setgid bit and the default ACL of the directory, which new files inherit, have no effect
    // either.
    shell("chgrp 50 $1; chmod g+s $1; setfacl -m d:u:12345:rwx,u:12345:rwx $1", &[&scratch]);
    succeed(&mut build(&["--force"]));
    assert_eq!(sha256(&scratch.join("image.raw")), hash);
    // Without an epoch in the configuration, the image uses the epoch of the lock.
    fs::write(&config, text.replace(&format!("source-date-epoch = {EPOCH}\n"), "")).unwrap();
    succeed(&mut build(&["--force"]));
    assert_eq!(sha256(&scratch.join("image.raw")), hash);
    // With `locked = true`, a missing lock is an error and is not created.
    let insisting = elsewhere.replace("image.lock\"", "other.lock\"\nlocked = true");
    hasty(&insisting, "other.lock: cannot read: No such file");
    fs::write(&config, &text).unwrap();

    let lock = scratch.join("image.lock");
    let written = fs::read_to_string(&lock).unwrap();
    fs::write(&lock, written.replace("1.0-1", "0.9-1")).unwrap();
    assert_eq!(build(&["--force"]).output().unwrap().status.code(), Some(1));
    succeed(&mut build(&["--force", "--update"]));
    assert_eq!(fs::read_to_string(&lock).unwrap(), written);
    // The same packages from a pacman configuration, which also specifies the keys.
    let source = format!("mirror = \"file://{mirror}\"\nrepo = [\"core\"]\n");
    fs::write(&config, text.replace(&source, &format!("pacman-conf = \"{mirror}/pacman.conf\"\n")))
        .unwrap();
    let mut keyless = crate::detfs::detfs([OsStr::new("build"), config.as_os_str()]);
    succeed(keyless.args(["--force", "--update"]));
    assert_eq!(sha256(&scratch.join("image.raw")), hash);
    // The lock is valid on a machine where all files are in other places.
    let elsewhere = scratch.join("elsewhere");
    shell("cp -a $1 $2; sed -i s:$1:$2: $2/pacman.conf", &[packages(), &elsewhere]);
    fs::write(&config, text.replace(&source, "pacman-conf = \"elsewhere/pacman.conf\"\n")).unwrap();
    succeed(crate::detfs::detfs([OsStr::new("build"), config.as_os_str()]).arg("--force"));
    assert_eq!(sha256(&scratch.join("image.raw")), hash);
    for (from, to, part) in [
        ("schema = 1", "schema = 2", "schema 2 is unknown"),
        ("[stage]", "[stages]", "unknown field `stages`"),
        ("repo =", "repos =", ":7: [stage] has no key `repos`; did you mean `repo`?"),
        ("[stage]\n", "[stage]\nsource-date-epoch = 5\n", "`source-date-epoch` must come before"),
        ("[image]\n", "[image]\nforce = true\n", "`force` is an option of `detfs build`"),
        ("image.lock", "image.toml", "`lock` is the configuration"),
        ("image.lock", "../out/image.json", "`lock` is `manifest`"),
        ("image.json", "image.raw", "`manifest` is `out`"),
        ("image.raw", "./image.toml", "`out` is the configuration"),
        ("out =", "outs =", "has no `out`"),
        ("[image]\n", "[image]\ntree = \"x\"\n", "`tree` is given, and [stage]"),
    ] {
        fs::write(&config, text.replace(from, to)).unwrap();
        let output = build(&["--force"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("image.toml:") && said.contains(part), "{said}");
    }
}
