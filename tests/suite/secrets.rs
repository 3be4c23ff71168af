//! Secrets do not get into an image unnoticed, whatever distribution the tree is of.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::detfs::{detfs, mkfs, mkimage, succeed};
use crate::oracle::shell;

const EPOCH: i64 = 1_700_000_000;

/// Paths of secrets in the order of the tree, each with its content and the rule that refuses it.
const PLACES: [(&str, &str, &str); 22] = [
    ("etc/NetworkManager/system-connections/home.nmconnection", "psk=secret", "network-secrets"),
    ("etc/credstore/password", "secret", "credentials"),
    ("etc/krb5.keytab", "\x05\x02key", "kerberos-keys"),
    ("etc/letsencrypt/archive/host/privkey1.pem", "key", "tls-keys"),
    ("etc/ssh/ssh_host_rsa_key", "key", "ssh-host-keys-alone"),
    ("etc/ssl/private/host.key", "key", "tls-keys"),
    ("etc/ssl/private/ssl-cert-snakeoil.key", "key", "snakeoil-key"),
    ("etc/wireguard/wg0.conf", "PrivateKey = key", "wireguard-keys"),
    ("etc/wpa_supplicant/wpa_supplicant.conf", "  psk=\"secret\"", "network-secrets"),
    ("home/a/.aws/credentials", "aws_secret_access_key=x", "tokens"),
    ("home/a/.cargo/credentials.toml", "token = \"x\"", "tokens"),
    ("home/a/.config/gh/hosts.yml", "oauth_token: x", "tokens"),
    ("home/a/.docker/config.json", "{\"auths\":{\"r\":{\"auth\":\"eA==\"}}}", "tokens-in-settings"),
    ("home/a/.git-credentials", "https://a:b@c", "tokens"),
    ("home/a/.gnupg/private-keys-v1.d/0.key", "key", "user-keyrings"),
    ("home/a/.kube/config", "token: x", "tokens"),
    ("home/a/.netrc", "machine x password y", "tokens"),
    ("home/a/.ssh/id_rsa", "key", "ssh-keys"),
    ("root/.gnupg/secring.gpg", "key", "user-keyrings"),
    ("root/.ssh/id_ed25519", "key", "ssh-keys"),
    ("srv/a/.ssh/deploy", "key", "ssh-keys"),
    ("var/lib/tailscale/tailscaled.state", "{}", "tailscale-state"),
];

/// Shell script that creates private keys with common programs; they are recognized by their
/// content.
const KEYS: &str = r#"
    mkdir -p $1/opt/keys && cd $1/opt/keys
    openssl genpkey -algorithm ed25519 -out pkcs8
    openssl genpkey -algorithm ed25519 -aes-256-cbc -pass pass:x -out pkcs8-encrypted
    openssl ecparam -name prime256v1 -genkey -noout -out ec
    openssl genrsa -traditional -aes128 -passout pass:x -out rsa-encrypted 2>/dev/null
    openssl req -x509 -new -key pkcs8 -subj /CN=x -out certificate
    cat certificate pkcs8 >with-certificate; rm certificate
    { echo 'key: |'; sed 's/^/    /' pkcs8; } >indented.yaml
    { printf '{"private_key": "'; sed -z 's/\n/\\n/g' pkcs8; echo '"}'; } >escaped.json
    ssh-keygen -q -t ed25519 -N '' -f openssh
    ssh-keygen -q -t ed25519 -N x -f openssh-encrypted
    rm *.pub
    export GNUPGHOME=$(mktemp -d)
    echo s2k-count 65536 >$GNUPGHOME/gpg-agent.conf
    gpg() { command gpg --quiet --batch --pinentry-mode=loopback --passphrase="$pass" "$@"; }
    for pass in '' x; do
        for kind in rsa2048 ed25519; do
            gpg --quick-generate-key "$kind$pass" $kind default never 2>/dev/null
            gpg --export-secret-keys "$kind$pass" >gnupg-$kind$pass
            gpg --armor --export-secret-keys "$kind$pass" >gnupg-$kind$pass.asc
        done
        gpg --export-secret-subkeys >gnupg-subkeys$pass
    done
    for key in $GNUPGHOME/private-keys-v1.d/*; do cp $key gnupg-own-${key##*/}; done
    gpgconf --kill all; rm -r $GNUPGHOME
    echo '# created: 2026-01-01
AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX' >age"#;

/// Creates the tree of a distribution without a profile, with `files`.
fn alpine(files: &[(&str, &str)]) -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    for (path, content) in files.iter().chain(&[("etc/os-release", "ID=alpine\n")]) {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    tree
}

/// Result of building an image of a tree.
struct Attempt {
    code: Option<i32>,
    said: String,
    /// Bytes of the image, if it was written.
    bytes: Option<Vec<u8>>,
}

impl Attempt {
    /// Returns whether `text` occurs anywhere in the image.
    fn holds(&self, text: &str) -> bool {
        let bytes = self.bytes.as_ref().unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

fn attempt(tree: &Path, options: &[&str]) -> Attempt {
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("image");
    let options = [&["--architecture=x86-64", "--json", "--verbose"], options].concat();
    let output = mkimage(tree, &image, EPOCH, &options).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    Attempt { code: output.status.code(), said, bytes: fs::read(image).ok() }
}

#[test]
fn places_of_secrets_are_refused_in_every_tree() {
    let tree = alpine(&PLACES.map(|(path, content, _)| (path, content)));
    for profile in ["auto", "arch", "debian", "systemd"] {
        let Attempt { code, said, bytes } =
            attempt(tree.path(), &[&format!("--normalize={profile}")]);
        assert_eq!((code, bytes.is_some()), (Some(3), false), "{profile}: {said}");
        for (path, _, rule) in PLACES {
            let quoted = format!("{rule:?}");
            assert!(said.contains(path) && said.contains(&quoted), "{profile}, {path}: {said}");
        }
    }
    // Each path is checked in its own tree, so that the refusal can have no other cause.
    for (path, content, rule) in PLACES {
        let report = fired(alpine(&[(path, content)]).path());
        assert_eq!(report, [("refuse".into(), rule.into(), vec![path.into()])], "{path}");
    }
    let rules = tree.path().join("rules.toml");
    let mut names: Vec<_> = PLACES.map(|(.., rule)| format!("{rule:?}")).to_vec();
    names.push("\"private-keys\"".into());
    fs::write(&rules, format!("disable = [{}]", names.join(", "))).unwrap();
    let Attempt { code, said, .. } =
        attempt(tree.path(), &[&format!("--rules={}", rules.display())]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("although the rule"), "{said}");
}

/// Returns the rules that would fire on a tree: verb, name and paths.
fn fired(tree: &Path) -> Vec<(String, String, Vec<String>)> {
    let epoch = format!("--source-date-epoch={EPOCH}");
    let mut command = detfs(["normalize".as_ref(), "--check".as_ref(), tree.as_os_str()]);
    let output = command.args(["--json", &epoch]).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let fired = json["fired"].as_array().unwrap().iter();
    fired
        .map(|fired| {
            let paths = fired["paths"].as_array().unwrap().iter().map(text).collect();
            (text(&fired["verb"]), text(&fired["rule"]), paths)
        })
        .collect()
}

#[test]
fn keys_are_refused_by_their_content() {
    let tree = alpine(&[]);
    shell(KEYS, &[tree.path()]);
    let made = shell("cd $1; find opt -type f | LC_ALL=C sort", &[tree.path()]);
    let made: Vec<_> = made.lines().map(str::to_owned).collect();
    assert_eq!(made.len(), 24, "{made:?}");
    let report = fired(tree.path());
    assert_eq!(report, [("refuse".into(), "private-keys".into(), made.clone())]);
    let Attempt { code, said, .. } = attempt(tree.path(), &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(made.iter().all(|path| said.contains(path)), "{said}");
    let Attempt { code, said, .. } = attempt(tree.path(), &["--exclude=opt/keys"]);
    assert_eq!(code, Some(0), "{said}");
}

/// Public files, empty files and files in unrelated places are not refused.
#[test]
fn no_more_is_refused() {
    let tree = alpine(&[
        ("etc/NetworkManager/system-connections/open.nmconnection", "[wifi]\nssid=x\n"),
        ("etc/letsencrypt/cli.ini", "preconfigured-renewal = True\n"),
        ("opt/docs.md", "A key starts with\n-----BEGIN PRIVATE KEY-----\n...\n"),
        ("opt/reader.py", "START = b'-----BEGIN OPENSSH PRIVATE KEY-----'\nEND = b'-----END'\n"),
        ("root/.aws/config", "[default]\n"),
        ("root/.docker/config.json", "{\"credsStore\":\"pass\"}"),
        ("root/.gnupg/pubring.kbx", "x"),
        ("root/.ssh/authorized_keys", "ssh-ed25519 AAAA a\n"),
        ("root/.ssh/config", "Host *\n"),
        ("root/.ssh/id_empty", ""),
        ("root/.ssh/known_hosts", "h ssh-ed25519 AAAA\n"),
        // Keys that packages of four package managers install.
        ("lib/apk/db/installed", "P:a\nF:opt/apk\nR:key.pem\n"),
        ("usr/lib/opkg/info/a.list", "/opt/opkg/key.pem\n"),
        ("var/lib/dpkg/info/a.list", "/.\n/opt/dpkg\n/opt/dpkg/key.pem\n"),
        ("var/lib/pacman/local/a-1-1/files", "%FILES%\nopt/pacman/key.pem\n"),
    ]);
    let script = r#"
        cd $1
        openssl genpkey -algorithm ed25519 -out key.pem
        for place in opt/apk opt/dpkg opt/opkg opt/pacman usr/lib/test nix/store/x gnu/store/x; do
            mkdir -p $place; cp key.pem $place
        done
        { cat key.pem; head -c 65536 /dev/zero; } >opt/large
        openssl req -x509 -new -key key.pem -subj /CN=x -out opt/certificate.pem
        mkdir -p etc/ssl/private; cp opt/certificate.pem etc/ssl/private
        openssl pkey -in key.pem -pubout -out opt/public.pem
        openssl dhparam -dsaparam -out opt/parameters.pem 512 2>/dev/null
        ssh-keygen -q -t ed25519 -N '' -f id; mv id.pub root/.ssh; rm id
        export GNUPGHOME=$(mktemp -d)
        gpg --quiet --batch --passphrase= --quick-generate-key x ed25519 default never 2>/dev/null
        gpg --export x >opt/public.gpg; gpg --armor --export x >opt/public.asc
        gpgconf --kill all; rm -r $GNUPGHOME key.pem
        ln -s /run/keys/id_rsa root/.ssh/id_rsa"#;
    shell(script, &[tree.path()]);
    assert_eq!(fired(tree.path()), []);
    let Attempt { code, said, .. } = attempt(tree.path(), &[]);
    assert_eq!(code, Some(0), "{said}");
    // `normalize --check` lists the keys of packages.
    let mut check = detfs(["normalize".as_ref(), "--check".as_ref(), tree.path().as_os_str()]);
    let text = String::from_utf8(check.output().unwrap().stdout).unwrap();
    let keys = text.split("suspicious: ").find(|part| part.starts_with("a private key"));
    let keys = keys.unwrap_or_else(|| panic!("{text}"));
    for place in [
        "gnu/store/x",
        "nix/store/x",
        "opt/apk",
        "opt/dpkg",
        "opt/opkg",
        "opt/pacman",
        "usr/lib/test",
    ] {
        assert!(keys.contains(&format!("    {place}/key.pem\n")), "{place}: {text}");
    }
}

#[test]
fn what_is_made_again_is_removed_in_every_tree() {
    const WORD: &str = "word-of-a-secret";
    const ID: &str = "0123456789abcdef0123456789abcdef";
    let tree = alpine(&[
        ("etc/init.d/sshd", "#!/sbin/openrc-run\nstart_pre() { ssh-keygen -A; }\n"),
        ("etc/machine-id", ID),
        ("etc/ssh/ssh_host_rsa_key", WORD),
        ("home/a/.local/share/fish/fish_history", WORD),
        ("home/a/.zsh_history", WORD),
        ("root/.ash_history", WORD),
        ("root/.python_history", WORD),
        ("var/lib/dbus/machine-id", ID),
        ("var/lib/seedrng/kept", "kept"),
        ("var/lib/systemd/random-seed", WORD),
    ]);
    shell(
        "mkdir -p $1/etc/runlevels/default; ln -s ../../init.d/sshd $1/etc/runlevels/default/sshd",
        &[tree.path()],
    );
    let made = attempt(tree.path(), &[]);
    let said = &made.said;
    assert_eq!(made.code, Some(0), "{said}");
    assert_eq!([WORD, ID, "kept"].map(|text| made.holds(text)), [false, false, true], "{said}");
    assert!(said.contains("remove by histories: home/a/.local/share/fish/fish_history"), "{said}");
    let lines = said.lines().filter(|line| line.contains("no profile matches the tree"));
    assert_eq!(lines.count(), 1, "{said}");
    // A user's rule that removes a key has the same effect as if the key were absent.
    fs::write(tree.path().join("key.pem"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
    assert_eq!(attempt(tree.path(), &[]).code, Some(3));
    let rules = tree.path().join("usr.toml");
    fs::write(
        &rules,
        "[[rule]]\nname = \"k\"\npath = \"key.pem\"\nverb = \"remove\"\nreason = \"\"\n",
    )
    .unwrap();
    let rules = format!("--rules={}", rules.display());
    let made = attempt(tree.path(), &[&rules]);
    assert_eq!((made.code, made.holds("BEGIN PRIVATE KEY")), (Some(0), false), "{}", made.said);
}

/// If rules are disabled, secrets are included and reported.
#[test]
fn secrets_that_go_in_are_named() {
    const WORD: &str = "word-of-a-secret";
    let tree = alpine(&[
        ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
        ("root/.bash_history", WORD),
        ("root/.ssh/id_rsa", WORD),
        ("root/.ssh/old", WORD),
    ]);
    let warned = |said: &str| {
        let expected = [
            "warning: etc/machine-id: stays in the image, although the rule machine-id-alone would remove it: ",
            "warning: root/.bash_history: stays in the image, although the rule histories would remove it: ",
            "warning: root/.ssh/id_rsa: stays in the image (and root/.ssh/old), although the rule ssh-keys would refuse it: ",
        ];
        assert_eq!(said.lines().count(), expected.len(), "{said}");
        expected.iter().all(|start| said.lines().any(|line| line.starts_with(start)))
    };
    let made = attempt(tree.path(), &["--normalize=none"]);
    assert_eq!(made.code, Some(0), "{}", made.said);
    assert!(warned(&made.said) && made.holds(WORD), "{}", made.said);
    let scratch = tempfile::tempdir().unwrap();
    for format in ["btrfs", "ext4", "vfat"] {
        let image = scratch.path().join(format);
        let output = succeed(&mut mkfs(format, tree.path(), &image, EPOCH, &[]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(warned(&said), "{format}: {said}");
    }
    let definitions = scratch.path().join("repart.d");
    fs::create_dir(&definitions).unwrap();
    let root = "[Partition]\nType=root-x86-64\nFormat=ext4\nCopyFiles=/\n";
    fs::write(definitions.join("10-root.conf"), root).unwrap();
    let mut repart =
        detfs(["repart", "--empty=create", "--size=64M", "--offline=yes", "--dry-run=no"]);
    repart.arg(format!("--root={}", tree.path().display()));
    repart.arg(format!("--definitions={}", definitions.display()));
    let output = succeed(repart.arg(scratch.path().join("disk")));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let warnings: Vec<_> = said.lines().filter(|line| line.contains("although the rule")).collect();
    assert_eq!(warnings.len(), 3, "{said}");
    // Rules that a rules file disables by name cause no warnings.
    let rules = scratch.path().join("rules.toml");
    fs::write(&rules, "disable = [\"histories\", \"machine-id-alone\", \"ssh-keys\"]").unwrap();
    let options = ["--normalize=none", &format!("--rules={}", rules.display())];
    let Attempt { code, said, .. } = attempt(tree.path(), &options);
    assert_eq!((code, &*said), (Some(0), ""));
}

/// A Debian tree with packages that contain keys for their tests, and packages that create keys
/// when they are installed.
#[test]
#[ignore = "deep: installs a Debian of 250 packages"]
fn deep_nothing_of_debian_is_refused_but_what_it_makes() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let tree = scratch.path().join("tree");
    let script = r#"suite=$(. /etc/os-release; echo "$VERSION_CODENAME")
        mmdebstrap --quiet --variant=important --include=ca-certificates,git,libpython3.11-testsuite,network-manager,openssh-server,openssl,perl,python3,ssl-cert,wpasupplicant,wireguard-tools,xfce4-session,xfce4-terminal "$suite" "$1""#;
    shell(script, &[&tree]);
    let refused: Vec<_> = fired(&tree)
        .into_iter()
        .filter(|(verb, ..)| verb == "refuse")
        .map(|(_, rule, _)| rule)
        .collect();
    assert_eq!(refused, ["snakeoil-key", "ssh-host-keys-alone"]);
}
