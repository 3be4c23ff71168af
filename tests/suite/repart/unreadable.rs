//! An error does not count as absence: a definition or a source that can't be read ends the run.

use std::fs;
use std::path::Path;

use super::fixture::Fixture;
use super::side::WORKDIR;
use crate::detfs::{PROGRAM, SEED};
use crate::oracle::{run, shell};

/// Runs the program with an input error injected into every `stat` call on `path`.
fn run_with_error(fixture: &Fixture, path: &str, env: &str, args: &[&str]) -> (bool, String) {
    let here = fixture.side.directory.to_str().unwrap();
    let path = fixture.side.path(path);
    let mut all = vec!["-f", "-qqq", "-o", "/dev/null", "-P", path.to_str().unwrap()];
    all.push("-einject=stat,lstat,newfstatat,statx:error=EIO");
    all.extend(["env", "-i", env, PROGRAM, "repart", "--empty=create", "--size=auto"]);
    let args: Vec<_> = args.iter().map(|arg| arg.replace(WORKDIR, here)).collect();
    all.extend(args.iter().map(String::as_str));
    let image = fixture.side.path("image.raw");
    all.push(image.to_str().unwrap());
    let said = run("strace", all);
    assert_eq!(said.ok, image.exists(), "{}", said.stderr);
    let _ = fs::remove_file(&image);
    (said.ok, said.stderr)
}

#[test]
fn an_error_of_stat_names_its_file() {
    let fixture = Fixture::new("mkdir d; echo x >d/one; ln d/one two");
    fixture.side.write("tree/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    let (definitions, root) =
        (format!("--definitions={WORKDIR}/repart.d"), format!("--root={WORKDIR}/tree"));
    let seed = format!("--seed={SEED}");
    let plain = "10-part Type=srv; SizeMaxBytes=1M";
    for (path, definition, args) in [
        ("repart.d/10-part.conf", plain, &[&*seed, &definitions][..]),
        ("repart.d", plain, &[&seed, &definitions]),
        ("tree/etc/machine-id", plain, &[&root, &definitions]),
        ("tree/etc/machine-id", &format!("{plain}; Label=%m"), &[&root, &definitions, &seed]),
        ("tree/etc/os-release", &format!("{plain}; Label=%o"), &[&root, &definitions, &seed]),
        (
            "tree/two",
            "10-part Type=srv; CopyFiles=/; ExcludeFiles=/d/one",
            &[&root, &definitions, &seed],
        ),
    ] {
        fixture.define(&[definition]);
        let env = "DETFS_REPART_COMPAT=excludes";
        let (ok, said) = run_with_error(&fixture, path, env, args);
        let name = path.trim_start_matches("tree/");
        assert!(!ok && said.contains(name) && said.contains("error"), "{path}: {said}");
        let (ok, said) = run_with_error(&fixture, "elsewhere", env, args);
        assert!(ok, "{said}");
    }
}

#[test]
fn symlinks_that_lead_nowhere() {
    let fixture = Fixture::new("");
    for (script, name) in [
        ("ln -s nowhere 20.conf", "repart.d/20.conf"),
        ("ln -s 20.conf 20.conf", "repart.d/20.conf"),
        ("ln -s 10-part.conf/x 20.conf", "repart.d/20.conf"),
        ("ln -s nowhere 10-part.conf.d", "repart.d/10-part.conf.d"),
        ("mkdir 10-part.conf.d; ln -s nowhere 10-part.conf.d/a.conf", "part.conf.d/a.conf"),
        ("mkfifo 20.conf", "repart.d/20.conf"),
    ] {
        fixture.define(&["10-part Type=srv; SizeMaxBytes=1M"]);
        shell(&format!("cd $1; {script}"), &[&fixture.side.path("repart.d")]);
        let answer = fixture.run(&["--empty=create", "--size=auto"], &[]);
        assert_eq!(answer.code, Some(1), "{script}: {}", answer.stderr);
        assert!(answer.stderr.contains(name), "{script}: {}", answer.stderr);
        assert!(!fixture.side.path("image.raw").exists());
    }
    let missing = format!("--definitions={WORKDIR}/missing");
    let answer = fixture.run(&["--empty=create", "--size=auto", &missing], &[]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    assert!(answer.stderr.contains("missing: no such directory"), "{}", answer.stderr);
}

/// Definitions in a root are read from that root, wherever symlinks lead.
#[test]
fn symlinks_of_a_root_stay_in_it() {
    let script = "mkdir -p usr/lib/repart.d usr/share; cd usr
        printf '[Partition]\\nType=srv\\nSizeMaxBytes=1M\\nLabel=%%o\\n' >share/srv
        ln -s /usr/share/srv lib/repart.d/10-srv.conf
        ln -s /dev/null lib/repart.d/20-null.conf; ln -s ../usr/lib/repart.d ../etc
        mv ../etc/os-release share; ln -s /usr/share/os-release ../etc
        echo 0123456789abcdef0123456789abcdef >share/id; ln -s /usr/share/id ../etc/machine-id";
    let fixture = Fixture::new(script);
    let rows = fixture.make(&["--empty=create", "--size=auto", "--definitions="], &[]);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows["srv"]["label"], "test");
    assert_eq!(Path::new(rows["srv"]["file"].as_str().unwrap()).extension().unwrap(), "conf");
}

#[test]
fn hidden_files_are_no_definitions() {
    let fixture = Fixture::new(":");
    fixture.define(&["10-part Type=srv; SizeMinBytes=1M", ".20-part Type=home; SizeMinBytes=1M"]);
    fixture.side.write("repart.d/10-part.conf.d/.x.conf", "[Partition]\nType=tmp\n");
    shell("ln -s nobody@nowhere.1:1 $1/.#10-part.conf", &[&fixture.side.path("repart.d")]);
    let made = fixture.make(&["--empty=create", "--size=auto"], &[]);
    assert_eq!(made.keys().collect::<Vec<_>>(), ["srv"]);

    fs::create_dir(fixture.side.path("repart.d/30-part.conf")).unwrap();
    let answer = fixture.run(&["--empty=create", "--size=auto"], &[]);
    assert_eq!(answer.code, Some(1));
    assert!(
        answer.stderr.contains("30-part.conf: cannot read: is a directory"),
        "{}",
        answer.stderr
    );
}
