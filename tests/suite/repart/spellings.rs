//! Random spellings of every setting with words, quotes or escapes: systemd-repart and `detfs
//! repart` produce the same files, links, subvolumes, fstab and crypttab.
//!
//! Intentional differences are not generated: no word follows an invalid word in an exclude list,
//! and no directory is excluded twice.

use std::fmt::Write;

use serde_json::Value;

use super::differential::numbers;
use super::side::{Answer, Side, Tool, WORKDIR};
use crate::oracle::{Mounted, run, shell, sid};
use crate::tree::Random;

/// Directories of the tree as definitions name them.
const DIRECTORIES: [&str; 10] =
    ["a", "a b", "q'x", "d/e", "x20", "c:d", "ä", "t\\n", "%%", "no\"te"];

fn chance(random: &mut Random, percent: u64) -> bool {
    random.below(100) < percent
}

/// Syntax of a text in a setting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Quotes, and backslashes before any character.
    List,
    /// Quotes and C escapes.
    Parts,
    /// C escapes only.
    Bare,
}

/// Returns a random spelling of `text`. In `bad` of 1000 cases, a suffix is appended that may be
/// invalid or change the text.
fn spell(random: &mut Random, style: Style, text: &str, bad: u64) -> String {
    let (mut out, mut quote) = (String::new(), None);
    for c in text.chars() {
        if quote.is_none() && style != Style::Bare && chance(random, 8) {
            let one = random.pick(&['\'', '"']);
            out.push(one);
            quote = Some(one);
        }
        let special = matches!(c, ' ' | '\'' | '"' | '\\' | ':');
        if !special && !chance(random, 10) {
            out.push(c);
        } else if style == Style::List {
            match random.below(3) {
                0 if quote.is_none() && c != '\'' => write!(out, "'{c}'").unwrap(),
                1 if c != ' ' && chance(random, 50) => out.push(c),
                _ => out.extend(['\\', c]),
            }
        } else {
            match (random.below(4), c.is_ascii()) {
                (0, true) => write!(out, "\\x{:02x}", u32::from(c)).unwrap(),
                (1, true) => write!(out, "\\{:03o}", u32::from(c)).unwrap(),
                (2, _) => write!(out, "\\u{:04x}", u32::from(c)).unwrap(),
                _ if matches!(c, '\'' | '"' | '\\') => out.extend(['\\', c]),
                _ => out.push(c),
            }
        }
        if let Some(end) = quote.filter(|_| chance(random, 15)) {
            out.push(end);
            quote = None;
        }
    }
    out.extend(quote.filter(|_| !chance(random, 2)));
    if random.below(1000) < bad {
        let ends = ["\\", "\"", "'", ":", "\\q", "%", "%Z", "%o", "/..", "//./", ",", " "];
        out += random.pick(&ends);
    }
    out
}

/// Returns a list of words, which may continue on the next line.
fn list(random: &mut Random, words: &[String]) -> String {
    let mut text = String::new();
    for word in words {
        if !text.is_empty() {
            text += random.pick(&[" ", "  ", "\t", " \\\n", " \\\n# note\n  "]);
        }
        text += word;
    }
    text
}

/// Returns words for an exclude list, no two of which refer to the same directory.
fn excludes(random: &mut Random, before: &str, directories: &[&str]) -> String {
    let mut words = Vec::new();
    for (number, directory) in directories.iter().enumerate() {
        let end = random.pick(&["", "", "/"]);
        let bad = if number + 1 == directories.len() { 100 } else { 0 };
        words.push(spell(random, Style::List, &format!("{before}/{directory}{end}"), bad));
    }
    list(random, &words)
}

/// Returns the definition of an ext4 partition with copied files.
fn copied(random: &mut Random) -> String {
    let mut text = "[Partition]\nType=srv\nFormat=ext4\nSplitName=srv\n\
        SizeMinBytes=40M\nSizeMaxBytes=40M\nCopyFiles=/:/all\n"
        .to_owned();
    let mut line = |key: &str, value: String| writeln!(text, "{key}={value}").unwrap();
    for number in 0..1 + random.below(2) {
        let source = format!("/{}", random.pick(&DIRECTORIES));
        let target = random.pick(&["t", "u '\"x"]);
        let source = spell(random, Style::Bare, &source, 5);
        let target = spell(random, Style::Bare, &format!("/{target}{number}"), 5);
        let options =
            random.pick(&["", "", "", ":", ":fsverity=off", ":,fsverity=off,bogus", "::"]);
        line("CopyFiles", format!("{source}:{target}{options}"));
    }
    let at = random.index(DIRECTORIES.len() - 5);
    line("ExcludeFiles", excludes(random, "", &DIRECTORIES[at..at + 2]));
    line("ExcludeFilesTarget", excludes(random, "/all", &DIRECTORIES[at + 2..at + 5]));
    let words: Vec<_> = (0..1 + random.below(3))
        .map(|_| format!("/m{}", random.pick(&["x", " y", "/z", "\"", "'q"])))
        .collect();
    let words: Vec<_> = words.iter().map(|word| spell(random, Style::List, word, 20)).collect();
    line("MakeDirectories", list(random, &words));
    let mut links = Vec::new();
    for number in 0..1 + random.below(3) {
        let name = format!("/l{number}{}", random.pick(&["", " x"]));
        let name = spell(random, Style::List, &name, 5);
        let target = random.pick(&["/usr", "a b", "x:y", "..", "%o"]);
        let target = spell(random, Style::List, target, 20);
        links.push(format!("{name}:{target}{}", random.pick(&["", "", "", ":rest"])));
    }
    line("MakeSymlinks", list(random, &links));
    for _ in 0..1 + random.below(2) {
        let path = random.pick(&["/", "/srv", "/a b", "/ä", "/'", "/%o"]);
        let mut value = spell(random, Style::Parts, path, 20);
        if chance(random, 80) {
            let options = random.pick(&["subvol=@,zstd:1,noatime", "ro", "a b", "x-y=\"z\""]);
            value += random.pick(&[":", ":", "::"]);
            value += &spell(random, Style::Parts, options, 20);
        }
        line("MountPoint", value);
    }
    let label = random.pick(&["la bel", "x\"y\"", "'z'"]);
    line("Label", spell(random, Style::Parts, label, 20));
    text
}

/// Returns the definition of a btrfs partition with subvolumes.
fn divided(random: &mut Random) -> String {
    let mut text = "[Partition]\nType=home\nFormat=btrfs\nCopyFiles=/\nSplitName=home\n".to_owned();
    let mut words = Vec::new();
    for _ in 0..1 + random.below(3) {
        let path = random.pick(&["/a", "/a b", "/d/e", "/x20", "/ä", "/d", "/"]);
        let flags =
            ["", "", ":ro", ":nodatacow", ":\"ro,nodatacow\"", ":bogus", ":ro,", ":", "::ro"];
        let flags = random.pick(&flags);
        words.push(spell(random, Style::List, path, 5) + flags);
    }
    writeln!(text, "Subvolumes={}", list(random, &words)).unwrap();
    if chance(random, 40) {
        let path = random.pick(&["/", "/a", "/a b"]);
        writeln!(text, "Subvolumes=\"{path}\"\nDefaultSubvolume={path}").unwrap();
    }
    let [path, options] = ["/home", "subvol=@home"].map(|one| spell(random, Style::Parts, one, 20));
    writeln!(text, "MountPoint={path}:{options}").unwrap();
    text
}

/// Returns the definition of a deferred partition with a line in crypttab.
fn encrypted(random: &mut Random) -> String {
    let name = random.pick(&["vol", "v ol", ""]);
    let mut value = spell(random, Style::Parts, name, 20);
    match random.below(8) {
        0 => value += ":-:discard",
        1 => value += ":/k::",
        2 => value += ":/k:o:fixate-volume-key:x",
        3 => value += "::a b",
        4 | 5 => {
            value += ":";
            value += &spell(random, Style::Parts, "/key file", 20);
            value += ":";
            value += &spell(random, Style::Parts, "discard,x=y", 20);
        }
        _ => {}
    }
    format!(
        "[Partition]\nType=var\nFormat=ext4\nEncrypt=key-file\nSizeMinBytes=64M\nSplitName=-\n\
         EncryptedVolume={value}\n"
    )
}

/// Returns the definition of a FAT partition that is built from a directory with symlinks.
fn linked(random: &mut Random) -> String {
    let target = random.pick(&["/", "/x", "/EFI/BOOT"]);
    let more = if target == "/" { "MakeSymlinks=/link2:file\n" } else { "" };
    format!(
        "[Partition]\nType=esp\nSizeMinBytes=300M\nSplitName=esp\nCopyFiles=/links:{target}\n{more}"
    )
}

/// Creates the tree of a side.
fn plant(side: &Side, wild: bool) {
    let script = "mkdir -p \"$1/tree\"; cd \"$1/tree\"; mkdir -p etc links
        for name in a 'a b' \"q'x\" d/e x20 c:d ä 't\\n' % 'no\"te'; do
            mkdir -p \"$name\"; echo x >\"$name/f\"; done
        echo ID=tt >etc/os-release; echo x >links/file
        ln -s file links/relative; ln -s /links/file links/absolute";
    shell(script, &[&side.directory]);
    if wild {
        let script = "cd \"$1/tree/links\"; ln -s /nowhere dangling; ln -s /a outside; mkfifo pipe";
        shell(script, &[&side.directory]);
    }
}

/// Returns the content of the partitions of a side and of its generated files.
fn results(side: &Side, answer: &Answer) -> Vec<(&'static str, String)> {
    let text = |name: &str| std::fs::read_to_string(side.path(name)).unwrap_or_default();
    let rows: Vec<Value> = serde_json::from_str(&answer.stdout).unwrap();
    let labels: Vec<_> = rows.iter().map(|row| row["label"].to_string()).collect();
    let mount = |kind, options, script: &str| {
        let part = if kind == "ext4" { "image.srv.raw" } else { "image.home.raw" };
        let mounted = Mounted::new(kind, options, Some(&side.path(part))).unwrap();
        shell(&format!("cd \"$1\"; {script}"), &[mounted.path()])
    };
    let tree = "find . -mindepth 1 -not -path ./lost+found -printf '%P|%l|%y\\n' | sort";
    let volumes = "find . -mindepth 1 | sort
        btrfs subvolume get-default . | sed 's/gen [0-9]*//;s/ID [0-9]*//;s/top level [0-9]*//'
        find . -inum 256 -type d | sort | while read -r path; do
            echo \"$path\"; btrfs property get \"$path\" ro; lsattr -d \"$path\" | cut -c1-22; done";
    let esp = side.path("image.esp.raw");
    let fat = run("mdir", ["-i".as_ref(), esp.as_os_str(), "-/".as_ref(), "-b".as_ref()]);
    vec![
        ("labels", labels.join("\n")),
        ("fstab", text("tree/etc/fstab")),
        ("crypttab", text("tree/etc/crypttab")),
        ("ext4", mount("ext4", "ro", tree)),
        ("btrfs", mount("btrfs", "ro,subvolid=5", volumes)),
        ("FAT", fat.stdout),
    ]
}

/// Checks one case and returns whether both programs refuse it.
fn check_image(number: u64) -> Result<bool, String> {
    let random = &mut Random::new(0x5be1_1000 + number);
    let wild = chance(random, 30);
    let definitions = [copied(random), divided(random), encrypted(random), linked(random)];
    let names = ["10-srv", "20-home", "30-var", "40-esp"];
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
    let sides = Side::both([Tool::Real, Tool::Detfs], scratch.path());
    let mut env = vec![("SOURCE_DATE_EPOCH".to_owned(), "1750000000".to_owned())];
    env.extend(wild.then(|| ("DETFS_REPART_COMPAT".to_owned(), "vfat".to_owned())));
    let args = [
        "--empty=create",
        "--size=auto",
        "--split=yes",
        "--offline=yes",
        "--json=short",
        "--seed=11111111-2222-3333-4444-555555555555",
        "--generate-fstab=/etc/fstab",
        "--generate-crypttab=/etc/crypttab",
        "--defer-partitions=var",
        &format!("--root={WORKDIR}/tree"),
        &format!("--definitions={WORKDIR}/repart.d"),
        &format!("{WORKDIR}/image.raw"),
    ];
    let answers = sides.each_ref().map(|side| {
        plant(side, wild);
        for (name, text) in names.iter().zip(&definitions) {
            side.write(&format!("repart.d/{name}.conf"), text);
        }
        side.repart(&args, &env)
    });
    let [real, ours] = &answers;
    let fail = |what: &str| {
        let texts = definitions.join("");
        let said = format!("--- says the real one\n{}--- says ours\n{}", real.stderr, ours.stderr);
        Err(format!("=== case {number}: {what}\n{texts}{said}"))
    };
    if real.code != ours.code {
        return fail(&format!("the status is {:?} and {:?}", real.code, ours.code));
    }
    if real.code != Some(0) {
        return Ok(true);
    }
    let both = [results(&sides[0], real), results(&sides[1], ours)];
    for (theirs, mine) in both[0].iter().zip(&both[1]) {
        if theirs != mine {
            return fail(&format!("{}\n{}\nand\n{}", theirs.0, theirs.1, mine.1));
        }
    }
    Ok(false)
}

#[test]
#[ignore = "makes a Debian sid, and takes minutes"]
fn random_spellings_have_one_meaning() {
    let standard = sid().describe();
    let numbers = numbers(200);
    let results: Vec<_> = numbers.clone().map(check_image).collect();
    let failures: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    let shown = failures.iter().take(20).map(|text| text.as_str()).collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} cases differ from {standard}\n{shown}", failures.len());
    let refused = results.iter().filter(|result| **result == Ok(true)).count();
    assert!(numbers.count() < 100 || refused * 5 < results.len(), "{refused} cases were refused");
}
