//! `detfs normalize`, and the normalization reports of image builds.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::detfs::{PROGRAM, detfs, mkimage, succeed};
use crate::oracle::shell;

const EPOCH: i64 = 1_700_000_000;

/// Shell script that creates an Arch Linux tree with a random seed, a host key and its server, an
/// fstab, and files newer than the epoch.
const TREE: &str = "
    mkdir -p $1/etc/ssh $1/usr/lib/systemd/system $1/efi/loader $1/var/log
    echo ID=arch >$1/etc/os-release
    echo host >$1/etc/hostname
    echo 'UUID=1234 / ext4' >$1/etc/fstab
    echo made >$1/etc/made
    echo '[Unit]' >$1/usr/lib/systemd/system/sshdgenkeys.service
    for kind in dsa ecdsa ed25519 rsa; do
        echo key | tee $1/etc/ssh/ssh_host_${kind}_key >$1/etc/ssh/ssh_host_${kind}_key.pub
    done
    echo key >$1/etc/ssh/ssh_host_extra_key
    head -c 32 /dev/zero >$1/efi/loader/random-seed
    touch -d @1600000000 $1/etc/hostname $1/etc/fstab";

fn fixture_tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    shell(TREE, &[tree.path()]);
    tree
}

fn check(tree: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = detfs([OsStr::new("normalize"), OsStr::new("--check"), tree.as_os_str()]);
    let output = command.arg(format!("--source-date-epoch={EPOCH}")).args(more).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_check_tells_all_and_changes_nothing() {
    let tree = fixture_tree();
    // Includes the times of inode changes.
    let state = || shell("cd $1; find . -printf '%p %i %s %m %T@ %C@\\n' | sort", &[tree.path()]);
    let before = state();
    let (code, text) = check(tree.path(), &[]);
    assert_eq!(code, Some(1), "{text}");
    for part in [
        "remove by random-seed: entropy",
        "\n    efi/loader/random-seed\n",
        "\n    etc/ssh/ssh_host_extra_key\n",
        "clamp by usr-time: ",
        "suspicious: the rule hostname is disabled: ",
        "suspicious: ids and names of disks",
        "\n    etc/made\n",
        "profile arch, source date epoch 1700000000: ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (code, json) = check(tree.path(), &["--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json["profile"].as_str()), (Some(1), Some("arch")));
    assert_eq!(json["schema"], 1);
    let fired = json["fired"].as_array().unwrap();
    let keys = fired.iter().find(|fired| fired["rule"] == "ssh-host-keys").unwrap();
    assert_eq!(keys["paths"].as_array().unwrap().len(), 9, "{keys}");
    let suspicions = json["suspicions"].as_array().unwrap();
    assert!(suspicions.iter().any(|found| found["path"] == "etc/fstab"), "{suspicions:?}");
    assert_eq!(state(), before);
    // Without rules, no rule would apply.
    let (code, text) = check(tree.path(), &["--normalize=none"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("profile none, ") && text.contains(": 0 rules would apply"), "{text}");
}

/// Rules can be read from a pipe, which can be read only once.
#[test]
fn rules_come_from_anywhere() {
    let tree = fixture_tree();
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("rules.toml");
    let rule =
        "[[rule]]\nname = \"mine\"\npath = \"etc/made\"\nverb = \"remove\"\nreason = \"r\"\n";
    fs::write(&file, rule).unwrap();
    let hash = |out: &str, rules: &str| {
        let out = scratch.path().join(out);
        let options = ["--architecture=x86-64", &format!("--rules={rules}"), "--json"];
        let mut command = mkimage(tree.path(), &out, EPOCH, &options);
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(rule.as_bytes()).unwrap();
        drop(writer);
        let output = succeed(command.stdin(reader));
        let manifest: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(manifest["normalization"].to_string().contains("\"mine\""), "{manifest}");
        (manifest["sha256"].clone(), manifest["parameters"]["rules"].clone())
    };
    let named = hash("named", file.to_str().unwrap());
    assert_eq!(hash("piped", "/dev/stdin"), named);
    assert!(named.0.is_string() && named.1.is_string(), "{named:?}");
}

/// A rules file without an end is not read to its end, and a file that is not text is not held in
/// memory.
#[test]
fn files_of_rules_are_bounded() {
    let scratch = tempfile::tempdir().unwrap();
    let (long, longest) = (scratch.path().join("long"), scratch.path().join("longest"));
    let text = format!("enable = [\"hosts\"]{}", "\n".repeat(4 << 20));
    fs::write(&long, &text).unwrap();
    fs::write(&longest, &text[..4 << 20]).unwrap();
    let list = |rules: &str| {
        confined(&["normalize", "--list", "--normalize=arch", "--rules", rules].map(OsStr::new))
    };
    for (rules, fault) in [
        ("/dev/zero", "neither a regular file nor a pipe"),
        ("/dev", "neither a regular file nor a pipe"),
        (long.to_str().unwrap(), "larger than 4194304 bytes"),
    ] {
        let output = list(rules);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{rules}: {said}");
        assert!(said.contains(rules) && said.contains(fault), "{said}");
    }
    let output = list(longest.to_str().unwrap());
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("name = \"hosts\""));
    // The same holds for a configuration of `detfs build`.
    let output = confined(&["build", "/dev/zero"].map(OsStr::new));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn a_replacement_is_bounded() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("blown"), vec![b'a'; 20 << 20]).unwrap();
    let rules = tree.path().with_extension("rules");
    let image = tree.path().with_extension("image");
    let options = format!("--rules={}", rules.display());
    let words =
        [OsStr::new("mkimage"), tree.path().as_os_str(), image.as_os_str(), options.as_ref()];
    let more = ["--architecture=x86-64", "--threads=1"].map(OsStr::new);
    for (pattern, with) in [("a", "b".repeat(550)), ("a*", "$0".repeat(550))] {
        let rule = format!(
            "[[rule]]\nname = \"blow\"\npath = \"blown\"\nverb = \"rewrite\"\nreason = \"\"\n\
             match = \"{pattern}\"\nwith = \"{with}\"\n"
        );
        fs::write(&rules, rule).unwrap();
        let output = confined(&[&words[..], &more].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), image.exists()), (Some(3), false), "{said}");
        assert!(
            said.contains("blown: refused by the rule blow: rules may hold 268435456 "),
            "{said}"
        );
    }
    fs::remove_file(rules).unwrap();
}

#[test]
fn what_is_done_is_told_with_every_secret() {
    let tree = fixture_tree();
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("image");
    let options = ["--architecture=x86-64", "--json", "--force"];
    let listed = ["--architecture=x86-64", "--verbose"];
    let output = succeed(&mut mkimage(tree.path(), &out, EPOCH, &listed));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for kind in ["dsa", "ecdsa", "ed25519", "extra", "rsa"] {
        assert!(said.contains(&format!("etc/ssh/ssh_host_{kind}_key")), "{kind}: {said}");
    }
    assert!(said.contains("normalized: remove by random-seed: efi/loader/random-seed"), "{said}");
    let output = succeed(&mut mkimage(tree.path(), &out, EPOCH, &options));
    let manifest: Value = serde_json::from_slice(&output.stdout).unwrap();
    let fired = manifest["normalization"].as_array().unwrap().clone();
    let (_, json) = check(tree.path(), &["--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["fired"].as_array().unwrap(), &fired, "a check and an image are at one");
    // Without the unit that creates host keys, an image with such keys is refused.
    fs::remove_file(tree.path().join("usr/lib/systemd/system/sshdgenkeys.service")).unwrap();
    let output = mkimage(tree.path(), &out, EPOCH, &options).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    for part in ["ssh_host_dsa_key", "ssh_host_rsa_key", "ssh-host-keys-alone", "ssh-keygen -A"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// The listed rules can be passed back as a rules file.
#[test]
fn the_list_is_a_file_of_rules() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("rules.toml");
    for profile in ["arch", "debian", "systemd"] {
        let profile = format!("--normalize={profile}");
        let list =
            |more: &[&str]| succeed(detfs(["normalize", "--list", &profile]).args(more)).stdout;
        fs::write(&file, list(&[])).unwrap();
        let rules = format!("--rules={}", file.display());
        assert_eq!(list(&["--json", &rules]), list(&["--json"]));
        assert_eq!(list(&[&rules]), list(&[]));
        let record: Value = serde_json::from_slice(&list(&["--json"])).unwrap();
        assert!(
            record["schema"] == 1 && record["rules"].as_array().unwrap().len() > 30,
            "{record}"
        );
    }
    let all = String::from_utf8(succeed(&mut detfs(["normalize", "--list"])).stdout).unwrap();
    assert!(all.contains("name = \"hostname\"") && all.contains("enabled = false"), "{all}");
}

/// Runs the program with at most 1 GiB of memory.
fn confined(words: &[&OsStr]) -> Output {
    let script = "ulimit -v 1048576; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-euc", script, "sh", PROGRAM]).args(words);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("MALLOC_ARENA_MAX", "1");
    command.output().unwrap()
}

/// Sparse files take no disk space, but their content has its full length.
#[test]
fn long_files_take_bounded_memory() {
    let tree = tempfile::tempdir().unwrap();
    let script = "cd $1; mkdir -p etc; echo ID=arch >etc/os-release
        for n in a b c d e f g h i j k l; do
            mkdir -p var/lib/pacman/local/$n-1-1; cd var/lib/pacman/local/$n-1-1
            printf '%%NAME%%\\n%s\\n\\n%%INSTALLDATE%%\\n1800000000\\n' $n >desc
            truncate -s 200M desc
            cd $1
        done";
    shell(script, &[tree.path()]);
    let image = tree.path().with_extension("image");
    let (tree, epoch) = (tree.path().as_os_str(), format!("--source-date-epoch={EPOCH}"));
    let epoch = OsStr::new(&epoch);
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let [mkimage, check] = [
        &[OsStr::new("mkimage"), tree, image.as_os_str(), epoch, OsStr::new("--threads=1")][..],
        &[OsStr::new("normalize"), OsStr::new("--check"), tree, epoch],
    ]
    .map(confined);
    assert_eq!((mkimage.status.code(), image.exists()), (Some(3), false), "{mkimage:?}");
    assert_eq!(check.status.code(), Some(1), "{check:?}");
    for text in [mkimage.stderr, check.stdout] {
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("rules may hold 268435456 bytes"), "{text}");
        for name in names {
            assert!(text.contains(&format!("var/lib/pacman/local/{name}-1-1/desc")), "{text}");
        }
    }
}
