//! Tests of every built-in rule: with the rule, differing trees become the same and nothing else
//! changes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use detfs::Timestamp;
use detfs::normalize::{Profile, Report, Rules, check, normalize};
use detfs::tree::{HoleScanOptions, Metadata, Node, Tree, TreeBuilder, scan_holes};
use globset::GlobBuilder;

use super::cases::{CASES, Case};
use super::make_tree::{EPOCH, Put, make_tree};

fn digest(tree: &Tree) -> [u8; 32] {
    let mut options = HoleScanOptions::default();
    options.digest = true;
    scan_holes(tree, &options).unwrap().digest().unwrap()
}

fn epoch() -> Timestamp {
    Timestamp::from_seconds(EPOCH)
}

/// Returns a single built-in rule.
fn only(rule: &str) -> Rules {
    Rules::none().with_file(Path::new("only"), &format!("enable = [{rule:?}]")).unwrap()
}

fn paths(report: &Report, rule: &str) -> Vec<String> {
    let fired = report.fired.iter().find(|fired| fired.rule == rule);
    let paths = fired.map_or(&[][..], |fired| &fired.paths);
    paths.iter().map(|path| String::from_utf8(path.clone()).unwrap()).collect()
}

#[test]
fn every_rule_has_a_case() {
    let rules: BTreeSet<_> = Rules::all().into_iter().map(|rule| rule.name).collect();
    let cases: BTreeSet<_> = CASES.iter().map(|case| case.rule.to_owned()).collect();
    assert_eq!(rules, cases);
}

/// Every pattern of a rule matches a path of its case, so that wrong patterns are noticed.
#[test]
fn every_pattern_has_a_path() {
    let matches = |pattern: &str, path: &str| {
        let mut glob = GlobBuilder::new(pattern);
        glob.literal_separator(true).empty_alternates(true);
        glob.build().unwrap().compile_matcher().is_match(path)
    };
    let mut untried = Vec::new();
    for rule in Rules::all() {
        let case = CASES.iter().find(|case| case.rule == rule.name).unwrap();
        let fires = || case.fires.iter().chain(case.refused);
        let paths = rule.paths.into_iter();
        untried.extend(paths.filter(|pattern| !fires().any(|path| matches(pattern, path))));
        let except = rule.except.into_iter();
        untried.extend(except.filter(|pattern| {
            !case.spared.iter().any(|(path, ..)| matches(pattern, path.trim_end_matches('@')))
        }));
    }
    assert_eq!(untried, [""; 0]);
}

#[test]
fn rules_make_what_differs_the_same() {
    for case in CASES.iter().filter(|case| case.refused.is_empty()) {
        let Case { rule, both, one, other, fires, .. } = case;
        let [mut a, mut b] = [one, other].map(|own| make_tree(&[*both, *own]));
        assert_ne!(digest(&a), digest(&b), "{rule}: the trees are the same without it");
        let untouched = digest(&a);
        let would = check(&a, &only(rule), epoch()).unwrap();
        assert_eq!(digest(&a), untouched);
        let did = normalize(&mut a, &only(rule), epoch()).unwrap();
        assert_eq!(would, did);
        normalize(&mut b, &only(rule), epoch()).unwrap();
        assert_eq!(digest(&a), digest(&b), "{rule}: the trees differ with it");
        assert_eq!(paths(&did, rule), *fires, "{rule}");

        let again = normalize(&mut a, &only(rule), epoch()).unwrap();
        assert_eq!(again, Report::default(), "{rule}: it fires on its own result");
        let bystanders = make_tree(&[case.spared]);
        let report = check(&bystanders, &only(rule), epoch()).unwrap();
        assert_eq!(report, Report::default(), "{rule}: it fires on what is none of its business");
    }
}

#[test]
fn rules_refuse_and_name_everything() {
    for case in CASES.iter().filter(|case| !case.refused.is_empty()) {
        let Case { rule, both, one, refused, .. } = case;
        let mut tree = make_tree(&[both, one]);
        let untouched = digest(&tree);
        let report = check(&tree, &only(rule), epoch()).unwrap();
        assert_eq!(paths(&report, rule), *refused, "{rule}");
        let error = normalize(&mut tree, &only(rule), epoch()).unwrap_err();
        assert_eq!((error.exit_code(), digest(&tree)), (3, untouched), "{rule}");
        let text = error.to_string();
        for part in refused.iter().chain([rule, &"or disable the rule"]) {
            assert!(text.contains(part), "{rule}: {text}");
        }
        let mut spared = make_tree(&[case.spared]);
        assert_eq!(normalize(&mut spared, &only(rule), epoch()).unwrap(), Report::default());
    }
}

/// Any single path in `when` makes a rule apply.
#[test]
fn every_maker_counts() {
    for rule in Rules::all() {
        let case = CASES.iter().find(|case| case.rule == rule.name).unwrap();
        for path in &rule.when {
            let content = case.both[0].1;
            // A unit that another one wants must exist itself.
            let name = path.rsplit('/').next().unwrap();
            let unit = format!("usr/lib/systemd/system/{name}").leak();
            let wanted = path.contains(".wants/").then_some((&*unit, content, 5));
            let tree =
                make_tree(&[&[(path.clone().leak(), content, 5)], wanted.as_slice(), case.one]);
            let report = check(&tree, &only(&rule.name), epoch()).unwrap();
            assert_eq!(paths(&report, &rule.name), case.fires, "{path}");
        }
    }
}

/// Keys are removed if the first boot creates new ones, and refused otherwise.
#[test]
fn keys_depend_on_the_first_boot() {
    const UNIT: &str = "usr/lib/systemd/system/sshd-keygen.service";
    const PLAIN: &[u8] = b"[Unit]\nConditionPathIsReadWrite=/etc\n";
    const FIRST: &[u8] = b"[Unit]\nConditionFirstBoot=yes\n";
    const OWN: &str = "etc/systemd/system/sshd-keygen.service";
    const OWN_LINK: &str = "etc/systemd/system/sshd-keygen.service@";
    let key: Put = ("etc/ssh/ssh_host_rsa_key", b"1", 5);
    let id: Put = ("etc/machine-id", b"0123456789abcdef0123456789abcdef\n", 5);
    let (empty, uninitialized): (Put, Put) =
        (("etc/machine-id", b"", 5), ("etc/machine-id", b"uninitialized\n", 5));
    let (plain, first) = ((UNIT, PLAIN, 5), (UNIT, FIRST, 5));
    let drop_in =
        |text: &'static [u8]| ("etc/systemd/system/sshd-keygen.service.d/x.conf", text, 5);
    let pi = "usr/lib/systemd/system/regenerate_ssh_host_keys.service";
    let wanted = "etc/systemd/system/multi-user.target.wants/regenerate_ssh_host_keys.service@";
    let far: Put = ("usr/share/x.conf", FIRST, 5);
    let linked = |path: &'static str, target: &'static [u8]| -> Put { (path, target, 5) };
    let packaged = |text: &'static [u8]| -> Put {
        ("usr/lib/systemd/system/sshd-keygen.service.d/x.conf", text, 5)
    };
    let cases: [(&[Put], bool); 30] = [
        (&[], false),
        (&[plain], true),
        (&[plain, empty], true),
        // Units that are masked in every possible way.
        (&[(UNIT, b"", 5)], false),
        (&[plain, (OWN, b"", 5)], false),
        (&[plain, (OWN_LINK, b"/dev/null", 5)], false),
        (&[plain, (OWN_LINK, b"../../../dev/null", 5)], false),
        (&[plain, (OWN_LINK, b"nowhere.service", 5)], false),
        // Units that start on a first boot.
        (&[first], true),
        (&[first, id], true),
        (&[first, uninitialized], true),
        (&[first, empty], false),
        (&[(UNIT, b"[Unit]\nConditionFirstBoot = Yes \r\n", 5), empty], false),
        // Another file replaces or extends the unit.
        (&[first, empty, (OWN, PLAIN, 5)], true),
        (
            &[
                plain,
                empty,
                (OWN_LINK, b"x.service", 5),
                ("etc/systemd/system/x.service", FIRST, 5),
            ],
            false,
        ),
        (&[plain, empty, drop_in(FIRST)], false),
        (&[first, empty, drop_in(b"[Unit]\nConditionFirstBoot=\n")], true),
        (&[first, empty, drop_in(b"[Unit]\nConditionUser=\n")], true),
        (&[plain, empty, drop_in(b"[Unit]\n# \\\nConditionFirstBoot=yes\n")], false),
        (&[plain, empty, drop_in(b"[Unit]\nConditionFirstBoot=! yes\n")], true),
        (&[plain, empty, drop_in(b"[Unit]\nConditionFirstBoot=\\\n !no\n")], false),
        (&[plain, empty, drop_in(b"[Unit]\nConditionFirstBoot=no\n")], true),
        (
            &[
                plain,
                empty,
                far,
                linked("etc/systemd/system/sshd-keygen.service.d@", b"/usr/share"),
            ],
            false,
        ),
        (
            &[
                plain,
                empty,
                far,
                linked("etc/systemd/system/sshd-keygen.service.d/y.conf@", b"/usr/share/x.conf"),
            ],
            false,
        ),
        (&[plain, empty, drop_in(PLAIN), packaged(FIRST)], true),
        (
            &[
                first,
                empty,
                linked("etc/systemd/system/sshd-keygen.service.d/x.conf@", b"/dev/null"),
                packaged(b"[Unit]\nConditionFirstBoot=\n"),
            ],
            false,
        ),
        (&[("usr/sbin/sshd-gen-keys-start", b"", 5)], true),
        // Units that must be wanted by another unit.
        (&[(pi, PLAIN, 5)], false),
        (
            &[(pi, PLAIN, 5), (wanted, b"/lib/systemd/system/regenerate_ssh_host_keys.service", 5)],
            true,
        ),
        (&[(wanted, b"/lib/systemd/system/regenerate_ssh_host_keys.service", 5)], false),
    ];
    for (puts, goes) in cases {
        let mut tree = make_tree(&[&[key], puts]);
        let done = normalize(&mut tree, &Rules::builtin(Some(Profile::Debian)), epoch());
        let gone = tree.find(b"etc/ssh/ssh_host_rsa_key").is_none();
        assert_eq!((done.is_ok(), gone), (goes, goes), "{puts:?}");
    }
    // For other paths in `when`, existence suffices. An instance exists if its template does.
    for (path, put) in [
        (
            "etc/systemd/system/x.target.wants",
            ("etc/systemd/system/x.target.wants/", b"" as &[u8], 5),
        ),
        ("etc/systemd/system/", ("etc/systemd/system/", b"", 5)),
        ("etc/x", ("etc/x@", b"../run/x", 5)),
        ("etc/systemd/system/a@b.service", ("usr/lib/systemd/system/a@.service", PLAIN, 5)),
    ] {
        let rule = format!(
            "[[rule]]\nname = \"r\"\npath = \"y\"\nverb = \"remove\"\nwhen = [{path:?}]\nreason = \"\"\n"
        );
        let rules = Rules::none().with_file(Path::new("f"), &rule).unwrap();
        let report = check(&make_tree(&[&[put, ("y", b"", 5)]]), &rules, epoch()).unwrap();
        assert_eq!(paths(&report, "r"), ["y"], "{path}");
    }
    // The boot is not a first boot if the machine ID stays, or if the rule that would remove it
    // does not apply.
    let tree = make_tree(&[&[key, id, first]]);
    for more in [
        "",
        "[[rule]]\nname = \"r\"\npath = \"etc/machine-id\"\nverb = \"remove\"\nwhen = [\"no\"]\nreason = \"\"\n",
    ] {
        let text = format!("enable = [\"ssh-host-keys\"]\n{more}");
        let kept = Rules::none().with_file(Path::new("f"), &text).unwrap();
        assert_eq!(check(&tree, &kept, epoch()).unwrap(), Report::default());
        let gone = Rules::none()
            .with_file(Path::new("f"), &text.replace("when = [\"no\"]\n", ""))
            .unwrap();
        let fires = !more.is_empty();
        assert_eq!(check(&tree, &gone, epoch()).unwrap() != Report::default(), fires);
    }
}

/// A file is not changed by a rule if the file has other names that no rule covers.
#[test]
fn hard_links_are_not_changed_unseen() {
    let tree = |names: [&str; 2]| {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        let id = builder.content(Arc::new(b"x".to_vec())).unwrap();
        let node = Node::File { size: 1, content: id };
        let root = TreeBuilder::ROOT;
        let late = Metadata { mtime: Timestamp::from_seconds(EPOCH + 1), ..Metadata::default() };
        let file = builder.add(root, names[0].as_bytes(), late, node).unwrap();
        builder.link(root, names[1].as_bytes(), file).unwrap();
        builder.finish().unwrap()
    };
    let rules = Rules::none()
        .with_file(
            Path::new("f"),
            "[[rule]]\nname = \"a\"\npath = \"a-*\"\nverb = \"truncate\"\nreason = \"\"\n\
         [[rule]]\nname = \"b\"\npath = \"b-*\"\nverb = \"truncate\"\nreason = \"\"\n\
         [[rule]]\nname = \"gone\"\npath = \"gone\"\nverb = \"remove\"\nreason = \"\"\n\
         [[rule]]\nname = \"clamp\"\npath = \"a-1\"\nverb = \"clamp\"\nreason = \"\"\n",
        )
        .unwrap();
    for (second, fires) in [("a-2", &["a-1", "a-2"][..]), ("gone", &["a-1"])] {
        let report = normalize(&mut tree(["a-1", second]), &rules, epoch()).unwrap();
        assert_eq!(paths(&report, "a"), fires);
    }
    // The content is rewritten once, not once for each name.
    let twice = "[[rule]]\nname = \"r\"\npath = \"a-*\"\nverb = \"rewrite\"\nmatch = \"x\"\n\
                 with = \"xy\"\nreason = \"\"\n";
    let twice = Rules::none().with_file(Path::new("f"), twice).unwrap();
    let mut linked = tree(["a-1", "a-2"]);
    normalize(&mut linked, &twice, epoch()).unwrap();
    assert_eq!(linked.read(linked.find(b"a-1").unwrap()).unwrap(), b"xy");
    let mut linked = tree(["a-1", "keep"]);
    let report = check(&linked, &rules, epoch()).unwrap();
    let refused = report.fired.iter().find(|fired| fired.verb == "refuse").unwrap();
    assert_eq!((&*refused.rule, &refused.paths[..]), ("a", &[b"keep".to_vec()][..]));
    let error = normalize(&mut linked, &rules, epoch()).unwrap_err().to_string();
    assert!(error.starts_with("keep: refused by the rule a: hard link to a file"), "{error}");
    assert_eq!(linked.read(linked.find(b"keep").unwrap()).unwrap(), b"x");
}

/// Large files are not read. A sparse lastlog, for example, is as long as the largest user ID
/// requires.
#[test]
fn large_files_are_not_read() {
    struct Unread;
    impl detfs::ReadAt for Unread {
        fn read_at(&self, _: u64, _: &mut [u8]) -> std::io::Result<usize> {
            panic!("it is read")
        }
    }
    let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
    let id = builder.content(Arc::new(Unread)).unwrap();
    let node = Node::File { size: 40 << 30, content: id };
    builder.add(TreeBuilder::ROOT, b"a", Metadata::default(), node).unwrap();
    let mut tree = builder.finish().unwrap();
    let rules = |verb: &str| {
        let text = format!("[[rule]]\nname = \"r\"\npath = \"a\"\nreason = \"\"\n{verb}\n");
        Rules::none().with_file(Path::new("f"), &text).unwrap()
    };
    let order = rules("verb = \"order\"\nby = \"line\"");
    assert_eq!(paths(&check(&tree, &order, epoch()).unwrap(), "r"), ["a"]);
    let error = normalize(&mut tree, &order, epoch()).unwrap_err().to_string();
    assert!(error.contains("hold 268435456 bytes") && error.contains("`tree.exclude`"), "{error}");
    let report = normalize(&mut tree, &rules("verb = \"truncate\""), epoch()).unwrap();
    assert_eq!(paths(&report, "r"), ["a"]);
}

/// All changed content shares one budget, so that many files take no more memory than few.
#[test]
fn changed_content_has_a_budget() {
    let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
    let content = Arc::new(vec![b'a'; 60 << 20]);
    for name in ["1", "2", "3", "4", "5"] {
        let id = builder.content(Arc::<Vec<u8>>::clone(&content)).unwrap();
        let node = Node::File { size: 60 << 20, content: id };
        builder.add(TreeBuilder::ROOT, name.as_bytes(), Metadata::default(), node).unwrap();
    }
    let tree = builder.finish().unwrap();
    let rule = "[[rule]]\nname = \"r\"\npath = \"*\"\nverb = \"rewrite\"\nmatch = '\\Aa'\n\
                with = \"b\"\nreason = \"\"\n";
    let rules = Rules::none().with_file(Path::new("f"), rule).unwrap();
    let report = check(&tree, &rules, epoch()).unwrap();
    let paths = report.fired.iter().map(|fired| (fired.verb, fired.paths.concat()));
    let paths: Vec<_> = paths.collect();
    assert_eq!(paths, [("rewrite", b"123".to_vec()), ("refuse", b"45".to_vec())]);
}

/// A tree is normalized by the profile of its distribution, and the resulting content is exactly as
/// expected.
#[test]
fn results_are_exact() {
    let text = |tree: &Tree, path: &str| {
        let id = tree.find(path.as_bytes())?;
        Some(String::from_utf8(tree.read(id).unwrap()).unwrap())
    };
    let arch = Profile::Arch;
    let mut tree = make_tree(&[&[
        ("etc/os-release", b"ID=arch\n", 5),
        ("etc/machine-id", b"0123456789abcdef0123456789abcdef\n", 5),
        (
            "etc/pacman.d/mirrorlist",
            b"# x\nServer = https://archive.archlinux.org/repos/2026/01/02/$repo/os/$arch\n",
            5,
        ),
        ("etc/passwd", b"b:x:2:2::/:\nroot:x:0:0::/root:\n", 5),
        ("etc/shadow", b"b:!:30000::::::\nroot:*:10::::::\n", 5),
        (
            "var/lib/pacman/local/x-1/desc",
            b"%NAME%\nx\n\n%INSTALLDATE%\n1900000000\n\n%SIZE%\n5\n",
            5,
        ),
        ("var/log/pacman.log", b"x", 5),
        ("var/log/journal/0123/system.journal", b"x", 5),
        ("var/log/wtmp", b"x", 5),
        ("var/log/app/", b"", 5),
    ]]);
    let profile = Profile::of(&tree).unwrap();
    assert_eq!(profile, Some(arch));
    normalize(&mut tree, &Rules::builtin(Some(arch)), epoch()).unwrap();
    for (path, expected) in [
        ("etc/machine-id", Some("uninitialized\n")),
        (
            "etc/pacman.d/mirrorlist",
            Some("# x\nServer = https://geo.mirror.pkgbuild.com/$repo/os/$arch\n"),
        ),
        ("etc/passwd", Some("root:x:0:0::/root:\nb:x:2:2::/:\n")),
        ("etc/shadow", Some("root:*:10::::::\nb:!:19675::::::\n")),
        (
            "var/lib/pacman/local/x-1/desc",
            Some("%NAME%\nx\n\n%INSTALLDATE%\n1700000000\n\n%SIZE%\n5\n"),
        ),
        ("var/log/pacman.log", None),
        ("var/log/journal/0123", None),
        ("var/log/wtmp", Some("")),
    ] {
        assert_eq!(text(&tree, path).as_deref(), expected, "{path}");
    }
    assert!(tree.find(b"var/log/journal").is_some() && tree.find(b"var/log/app").is_some());
}
