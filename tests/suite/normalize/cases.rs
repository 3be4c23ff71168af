//! Test cases for each built-in rule: two trees that differ only in what the rule normalizes.

use super::make_tree::Put;

pub struct Case {
    pub rule: &'static str,
    /// Nodes of both trees.
    pub both: &'static [Put],
    pub one: &'static [Put],
    pub other: &'static [Put],
    /// Paths on which the rule fires in the tree with `one`.
    pub fires: &'static [&'static str],
    /// Paths that the rule refuses in the tree with `one`.
    pub refused: &'static [&'static str],
    /// Nodes that the rule must not change.
    pub spared: &'static [Put],
}

/// Files that both trees have, with different content.
macro_rules! differs {
    ($($path:literal)*) => {
        (&[$(($path, b"\x01one\xff", 5)),*], &[$(($path, b"another", 5)),*], &[$($path),*])
    };
}

type Pair = (&'static [Put], &'static [Put], &'static [&'static str]);

const fn same(rule: &'static str, pair: Pair, spared: &'static [Put]) -> Case {
    let (one, other, fires) = pair;
    Case { rule, both: &[], one, other, fires, refused: &[], spared }
}

/// A case of two texts in the same file.
const fn text(
    rule: &'static str,
    one: &'static [Put],
    other: &'static [Put],
    fires: &'static [&'static str],
    spared: &'static [Put],
) -> Case {
    Case { rule, both: &[], one, other, fires, refused: &[], spared }
}

const fn refused(rule: &'static str, pair: Pair, spared: &'static [Put]) -> Case {
    let (one, other, refused) = pair;
    Case { rule, both: &[], one, other, fires: &[], refused, spared }
}

const ID: &[u8] = b"0123456789abcdef0123456789abcdef\n";
const OTHER_ID: &[u8] = b"fedcba9876543210fedcba9876543210\n";

const UNIT: &[u8] = b"[Service]\n";

/// Beginning of a PEM private key, by which keys are recognized.
pub const KEY: &[u8] = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEB\n";
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUAQEBAQEBAQEBAQEBAQEB\n-----END CERTIFICATE-----\n";
const CERTIFICATE_AND_KEY: &[u8] =
    b"-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUAQEBAQEBAQEBAQEBAQEB\n-----END CERTIFICATE-----\n\
      -----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n";

const STAMP: &[u8] = b"TIMESTAMP_NSEC=1800000000000000000\n";
const OTHER_STAMP: &[u8] = b"TIMESTAMP_NSEC=1900000000000000000\n";

const LS_R: &[u8] = b"% ls-R\n\n./b:\nx\n\n./a:\ny\n";
const OTHER_LS_R: &[u8] = b"% ls-R\n\n./a:\ny\n\n./b:\nx\n";

const JKS: &[u8] = include_bytes!("java-1800000000.jks");
const OTHER_JKS: &[u8] = include_bytes!("java-1900000000.jks");

/// Returns a compiled module of CPython 3.11 that is validated by `time`.
const fn pyc(time: [u8; 4]) -> [u8; 20] {
    let [a, b, c, d] = time;
    [0xa7, 13, 13, 10, 0, 0, 0, 0, a, b, c, d, 1, 0, 0, 0, b'c', b'o', b'd', b'e']
}

/// Modules with the times 1,800,000,000 and 1,900,000,000 seconds.
const PYC: [u8; 20] = pyc([0x00, 0xd2, 0x49, 0x6b]);
const OTHER_PYC: [u8; 20] = pyc([0x00, 0xb3, 0x3f, 0x71]);

pub const CASES: &[Case] = &[
    text(
        "pacman-install-date",
        &[("var/lib/pacman/local/x-1/desc", b"%NAME%\nx\n\n%INSTALLDATE%\n1800000000\n", 5)],
        &[("var/lib/pacman/local/x-1/desc", b"%NAME%\nx\n\n%INSTALLDATE%\n1900000000\n", 5)],
        &["var/lib/pacman/local/x-1/desc"],
        &[("var/lib/pacman/local/x-1/files", b"%INSTALLDATE%\n1800000000\n", 5)],
    ),
    same("pacman-log", differs!("var/log/pacman.log"), &[("var/log/other.log", b"", 5)]),
    same(
        "pacman-sockets",
        differs!("etc/pacman.d/gnupg/S.gpg-agent"),
        &[("etc/pacman.d/gnupg/pubring.gpg", b"", 5)],
    ),
    Case {
        rule: "pacman-keyring",
        both: &[("usr/lib/systemd/system/pacman-init.service", UNIT, 5)],
        one: &[("etc/pacman.d/gnupg/private-keys-v1.d/a.key", b"1", 5)],
        other: &[("etc/pacman.d/gnupg/private-keys-v1.d/b.key", b"2", 5)],
        fires: &["etc/pacman.d/gnupg"],
        refused: &[],
        spared: &[("etc/pacman.d/gnupg/private-keys-v1.d/a.key", b"1", 5)],
    },
    refused(
        "pacman-private-keys",
        differs!("etc/pacman.d/gnupg/private-keys-v1.d/a.key" "etc/pacman.d/gnupg/secring.gpg"),
        &[("etc/pacman.d/gnupg/pubring.gpg", b"", 5), ("etc/pacman.d/gnupg/private-keys-v1.d/", b"", 5)],
    ),
    same("pacman-databases", differs!("var/lib/pacman/sync/core.db"), &[("var/lib/pacman/local/ALPM_DB_VERSION", b"9\n", 5)]),
    same("pacman-cache", differs!("var/cache/pacman/pkg/x-1-1-any.pkg.tar.zst"), &[("var/cache/other", b"", 5)]),
    text(
        "pacman-archive-mirror",
        &[
            ("etc/pacman.conf", b"[core]\nServer = https://archive.archlinux.org/repos/2026/01/02/$repo/os/$arch\n", 5),
            ("etc/pacman.d/mirrorlist", b"Server = https://archive.archlinux.org/repos/2026/01/02/$repo/os/$arch\n", 5),
        ],
        &[
            ("etc/pacman.conf", b"[core]\nServer = https://archive.archlinux.org/repos/2026/01/03/$repo/os/$arch\n", 5),
            ("etc/pacman.d/mirrorlist", b"Server = https://archive.archlinux.org/repos/2026/01/03/$repo/os/$arch\n", 5),
        ],
        &["etc/pacman.conf", "etc/pacman.d/mirrorlist"],
        &[("etc/pacman.d/mirrorlist", b"#Server = https://archive.archlinux.org/repos/2026/01/02/$repo/os/$arch\nServer = https://mirror.example/$repo/os/$arch\n", 5)],
    ),
    same(
        "dpkg-logs",
        differs!("var/log/alternatives.log" "var/log/apt/history.log" "var/log/bootstrap.log" "var/log/dpkg.log"),
        &[("var/log/other.log", b"", 5)],
    ),
    same(
        "dpkg-backups",
        differs!("var/cache/debconf/config.dat-old" "var/lib/dpkg/status-old"),
        &[("var/cache/debconf/config.dat", b"", 5), ("var/lib/dpkg/status", b"", 5)],
    ),
    same(
        "apt-lists",
        differs!("var/cache/apt/pkgcache.bin" "var/lib/apt/lists/deb_InRelease" "var/lib/apt/lists/partial/x"),
        &[("var/lib/apt/extended_states", b"", 5), ("var/lib/apt/lists/partial/", b"", 5)],
    ),
    text(
        "apt-snapshot-mirror",
        &[
            ("etc/apt/sources.list", b"deb http://snapshot.debian.org/archive/debian/20260102T030405Z sid main\n", 5),
            ("etc/apt/sources.list.d/x.sources", b"URIs: https://snapshot.debian.org/archive/debian-security/20260102T030405Z\n", 5),
        ],
        &[
            ("etc/apt/sources.list", b"deb http://snapshot.debian.org/archive/debian/20260103T030405Z sid main\n", 5),
            ("etc/apt/sources.list.d/x.sources", b"URIs: https://snapshot.debian.org/archive/debian-security/20260103T030405Z\n", 5),
        ],
        &["etc/apt/sources.list", "etc/apt/sources.list.d/x.sources"],
        &[("etc/apt/sources.list", b"deb http://deb.debian.org/debian sid main\n", 5)],
    ),
    same("ucf-backups", differs!("var/lib/ucf/hashfile.0" "var/lib/ucf/registry.10"), &[("var/lib/ucf/hashfile", b"", 5)]),
    text(
        "ucf-order",
        &[("var/lib/ucf/hashfile", b"b  /etc/b\na  /etc/a\n", 5), ("var/lib/ucf/registry", b"b  /etc/b\na  /etc/a\n", 5)],
        &[("var/lib/ucf/hashfile", b"a  /etc/a\nb  /etc/b\n", 5), ("var/lib/ucf/registry", b"a  /etc/a\nb  /etc/b\n", 5)],
        &["var/lib/ucf/hashfile", "var/lib/ucf/registry"],
        &[("var/lib/ucf/other", b"b  /etc/b\na  /etc/a\n", 5)],
    ),
    text(
        "popularity-contest-id",
        &[("etc/popularity-contest.conf", b"PARTICIPATE=\"no\"\nMY_HOSTID=\"1\"\nDAY=\"6\"\n", 5)],
        &[("etc/popularity-contest.conf", b"PARTICIPATE=\"no\"\nMY_HOSTID=\"2\"\nDAY=\"2\"", 5)],
        &["etc/popularity-contest.conf"],
        &[("etc/popularity-contest.conf", b"PARTICIPATE=\"no\"\n", 5)],
    ),
    text(
        "popularity-contest-time",
        &[("etc/cron.d/popularity-contest", b"SHELL=/bin/sh\n59 7 * * *   root    x\n", 5)],
        &[("etc/cron.d/popularity-contest", b"SHELL=/bin/sh\n4 16 * * *   root    x\n", 5)],
        &["etc/cron.d/popularity-contest"],
        &[("etc/cron.d/other", b"59 7 * * * root x\n", 5)],
    ),
    Case {
        rule: "apt-snapshot-ubuntu",
        both: &[("var/lib/dpkg/info/libc6:amd64.list", b"", 5)],
        one: &[
            ("etc/apt/sources.list", b"deb https://snapshot.ubuntu.com/ubuntu/20260102T030405Z noble main\n", 5),
            ("etc/apt/sources.list.d/x.sources", b"URIs: https://snapshot.ubuntu.com/ubuntu/20260102T030405Z\n", 5),
        ],
        other: &[
            ("etc/apt/sources.list", b"deb https://snapshot.ubuntu.com/ubuntu/20260103T030405Z noble main\n", 5),
            ("etc/apt/sources.list.d/x.sources", b"URIs: https://snapshot.ubuntu.com/ubuntu/20260103T030405Z\n", 5),
        ],
        fires: &["etc/apt/sources.list", "etc/apt/sources.list.d/x.sources"],
        refused: &[],
        // The tree has no libc6 for the architecture of the rule.
        spared: &[("etc/apt/sources.list", b"deb https://snapshot.ubuntu.com/ubuntu/20260102T030405Z noble main\n", 5)],
    },
    Case {
        rule: "iscsi-name",
        both: &[("usr/lib/open-iscsi/startup-checks.sh", b"# GenerateName=yes\n", 5)],
        one: &[("etc/iscsi/initiatorname.iscsi", b"InitiatorName=iqn.1\n", 5)],
        other: &[("etc/iscsi/initiatorname.iscsi", b"# x\nInitiatorName=iqn.2\n", 5)],
        fires: &["etc/iscsi/initiatorname.iscsi"],
        refused: &[],
        // This script would not generate a name.
        spared: &[
            ("etc/iscsi/initiatorname.iscsi", b"InitiatorName=iqn.1\n", 5),
            ("usr/lib/open-iscsi/startup-checks.sh", b"grep -q '^InitiatorName=.'\n", 5),
        ],
    },
    refused(
        "iscsi-name-alone",
        (
            &[("etc/iscsi/initiatorname.iscsi", b"# x\nInitiatorName=iqn.1\n", 5)],
            &[("etc/iscsi/initiatorname.iscsi", b"# x\nInitiatorName=iqn.2\n", 5)],
            &["etc/iscsi/initiatorname.iscsi"],
        ),
        &[("etc/iscsi/initiatorname.iscsi", b"GenerateName=yes\n", 5)],
    ),
    same(
        "rpm-leftovers",
        differs!("usr/lib/sysimage/rpm/.rpm.lock" "var/lib/dnf/repos/fedora-1/countme"),
        &[("usr/lib/sysimage/rpm/rpmdb.sqlite", b"", 5)],
    ),
    Case {
        rule: "snakeoil-key-anew",
        both: &[("usr/lib/systemd/system/ssl-cert.service", b"[Service]\nExecStart=make-ssl-cert generate-default-snakeoil\n", 5)],
        one: &[("etc/ssl/certs/ssl-cert-snakeoil.pem", b"1", 5), ("etc/ssl/private/ssl-cert-snakeoil.key", b"1", 5)],
        other: &[("etc/ssl/certs/ssl-cert-snakeoil.pem", b"2", 5), ("etc/ssl/private/ssl-cert-snakeoil.key", b"2", 5)],
        fires: &["etc/ssl/certs/ssl-cert-snakeoil.pem", "etc/ssl/private/ssl-cert-snakeoil.key"],
        refused: &[],
        // This unit does not create a key.
        spared: &[("etc/ssl/private/ssl-cert-snakeoil.key", b"1", 5), ("usr/lib/systemd/system/ssl-cert.service", UNIT, 5)],
    },
    refused("snakeoil-key", differs!("etc/ssl/private/ssl-cert-snakeoil.key"), &[("etc/ssl/private/other.key", b"1", 5)]),
    refused(
        "service-keys",
        differs!(
            "etc/bind/rndc.key" "etc/dovecot/private/dovecot.key" "etc/munge/munge.key" "etc/pki/dovecot/private/dovecot.pem"
            "etc/pki/tls/private/localhost.key"
        ),
        // The symlink is that of Debian's package.
        &[("etc/dovecot/private/mail.key", b"", 5), ("etc/dovecot/private/dovecot.key@", b"/etc/ssl/private/ssl-cert-snakeoil.key", 5)],
    ),
    text(
        "machine-id",
        &[("etc/machine-id", ID, 5)],
        &[("etc/machine-id", b"FEDCBA9876543210FEDCBA9876543210\r\n", 5)],
        &["etc/machine-id"],
        // An empty machine ID has another meaning: the boot is not a first boot.
        &[("etc/machine-id", b"", 5)],
    ),
    text(
        "machine-id-alone",
        &[("etc/machine-id", ID, 5)],
        &[("etc/machine-id", OTHER_ID, 5)],
        &["etc/machine-id"],
        &[("etc/machine-id", b"uninitialized\n", 5)],
    ),
    text(
        "dbus-machine-id",
        &[("var/lib/dbus/machine-id", ID, 5)],
        &[("var/lib/dbus/machine-id", OTHER_ID, 5)],
        &["var/lib/dbus/machine-id"],
        &[("var/lib/dbus/machine-id/", b"", 5)],
    ),
    text(
        "kernel-machine-id",
        &[("etc/machine-info", b"CHASSIS=vm\nKERNEL_INSTALL_MACHINE_ID=1\n", 5)],
        &[("etc/machine-info", b"CHASSIS=vm\nKERNEL_INSTALL_MACHINE_ID=2\n", 5)],
        &["etc/machine-info"],
        &[("etc/machine-info", b"CHASSIS=vm\n", 5)],
    ),
    text(
        "kernel-entry-token",
        &[("etc/kernel/entry-token", ID, 5)],
        &[("etc/kernel/entry-token", OTHER_ID, 5)],
        &["etc/kernel/entry-token"],
        &[("etc/kernel/entry-token", b"arch\n", 5)],
    ),
    refused(
        "boot-entries",
        differs!(
            "boot/0123456789abcdef0123456789abcdef/6.1/linux"
            "efi/EFI/Linux/0123456789abcdef0123456789abcdef-6.1.efi"
            "efi/EFI/Linux/0123456789abcdef0123456789abcdef-6.1.efi.extra.d/x.cred"
            "efi/loader/entries/0123456789abcdef0123456789abcdef-6.1.conf"
        ),
        &[("boot/arch/6.1/linux", b"", 5), ("efi/EFI/Linux/arch-6.1.efi", b"", 5), ("efi/loader/entries/arch-6.1.conf", b"", 5)],
    ),
    Case {
        rule: "ssh-host-keys",
        both: &[("usr/lib/systemd/system/sshdgenkeys.service", UNIT, 5)],
        one: &[("etc/ssh/ssh_host_rsa_key", b"1", 5), ("etc/ssh/ssh_host_rsa_key.pub", b"1", 5)],
        other: &[("etc/ssh/ssh_host_rsa_key", b"2", 5)],
        fires: &["etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_rsa_key.pub"],
        refused: &[],
        spared: &[("etc/ssh/ssh_host_rsa_key", b"1", 5)],
    },
    Case {
        rule: "ssh-host-keys-script",
        both: &[("etc/init.d/S50sshd", b"# keys\n/usr/bin/ssh-keygen -A\n", 5)],
        one: &[("etc/ssh/ssh_host_rsa_key", b"1", 5), ("etc/ssh/ssh_host_rsa_key.pub", b"1", 5)],
        other: &[("etc/ssh/ssh_host_rsa_key", b"2", 5)],
        fires: &["etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_rsa_key.pub"],
        refused: &[],
        spared: &[("etc/ssh/ssh_host_rsa_key", b"1", 5), ("etc/init.d/S50sshd", b"# no ssh-keygen\n", 5)],
    },
    refused(
        "ssh-host-keys-alone",
        differs!("etc/ssh/ssh_host_rsa_key"),
        &[("etc/ssh/ssh_host_ed25519_key", b"", 5), ("etc/ssh/ssh_host_rsa_key@", b"/persist/key", 5), ("etc/ssh/ssh_host_rsa_key.pub", b"1", 5)],
    ),
    refused(
        "dropbear-host-keys",
        differs!("etc/dropbear/dropbear_ed25519_host_key" "etc/dropbear/initramfs/dropbear_rsa_host_key" "etc/dropbear-initramfs/dropbear_rsa_host_key"),
        &[("etc/dropbear/authorized_keys", b"", 5)],
    ),
    same(
        "random-seed",
        differs!("boot/efi/loader/random-seed" "efi/loader/random-seed" "root/.gnupg/random_seed" "var/lib/random-seed" "var/lib/systemd/random-seed" "var/lib/urandom/random-seed"),
        &[("efi/loader/loader.conf", b"", 5)],
    ),
    same("credential-secret", differs!("var/lib/systemd/credential.secret"), &[("var/lib/systemd/other", b"", 5)]),
    same("nvme-host-id", differs!("etc/nvme/hostid" "etc/nvme/hostnqn"), &[("etc/nvme/discovery.conf", b"", 5)]),
    same(
        "host-identities",
        differs!(
            "etc/hostid" "etc/insights-client/machine-id" "var/lib/NetworkManager/internal-1-eth0.lease" "var/lib/NetworkManager/secret_key"
            "var/lib/dhclient/dhclient.leases" "var/lib/dhcp/dhclient.eth0.leases" "var/lib/dhcpcd/eth0.lease"
            "var/lib/zypp/AnonymousUniqueId"
        ),
        &[("var/lib/NetworkManager/timestamps", b"", 5)],
    ),
    Case {
        rule: "iscsi-name-anew",
        both: &[("usr/lib/systemd/system/iscsi-init.service", UNIT, 5)],
        one: &[("etc/iscsi/initiatorname.iscsi", b"InitiatorName=iqn.1\n", 5)],
        other: &[("etc/iscsi/initiatorname.iscsi", b"InitiatorName=iqn.2\n", 5)],
        fires: &["etc/iscsi/initiatorname.iscsi"],
        refused: &[],
        // Nothing in the tree would create the name.
        spared: &[("etc/iscsi/initiatorname.iscsi", b"InitiatorName=iqn.1\n", 5)],
    },
    same("user-backups", differs!("etc/gshadow-" "etc/passwd-" "etc/subuid-"), &[("etc/passwd", b"", 5)]),
    text(
        "shadow-day",
        &[("etc/shadow", b"root:*:20000::::::\n", 5)],
        &[("etc/shadow", b"root:*:20001::::::\n", 5)],
        &["etc/shadow"],
        &[("etc/shadow", b"root:*:19675::::::\n", 5)],
    ),
    Case {
        rule: "shadow-order",
        both: &[("etc/passwd", b"b:x:1:1::/:\na:x:2:2::/:\n", 5)],
        one: &[("etc/shadow", b"a:*:1::::::\nb:*:1::::::\n", 5)],
        other: &[("etc/shadow", b"b:*:1::::::\na:*:1::::::\n", 5)],
        fires: &["etc/shadow"],
        refused: &[],
        spared: &[("etc/shadow", b"b:*:1::::::\na:*:1::::::\n", 5)],
    },
    Case {
        rule: "gshadow-order",
        both: &[("etc/group", b"b:x:1:\na:x:2:\n", 5)],
        one: &[("etc/gshadow", b"a:*::\nb:*::\n", 5)],
        other: &[("etc/gshadow", b"b:*::\na:*::\n", 5)],
        fires: &["etc/gshadow"],
        refused: &[],
        spared: &[("etc/gshadow", b"b:*::\na:*::\n", 5)],
    },
    text(
        "passwd-order",
        &[("etc/group", b"a:x:2:\nb:x:1:\n", 5), ("etc/passwd", b"a:x:2:2::/:\nb:x:1:1::/:\n", 5)],
        &[("etc/group", b"b:x:1:\na:x:2:\n", 5), ("etc/passwd", b"b:x:1:1::/:\na:x:2:2::/:\n", 5)],
        &["etc/group", "etc/passwd"],
        &[("etc/passwd", b"b:x:1:1::/:\na:x:2:2::/:\n+::::::\n", 5)],
    ),
    text(
        "update-stamps",
        &[("etc/.updated", STAMP, 1_800_000_000), ("var/.updated", STAMP, 1_800_000_000), ("usr/", b"", 1_700_000_000)],
        &[("etc/.updated", OTHER_STAMP, 1_900_000_000), ("var/.updated", OTHER_STAMP, 1_900_000_000), ("usr/", b"", 1_700_000_000)],
        &["etc/.updated", "var/.updated"],
        &[("etc/.updated", b"TIMESTAMP_NSEC=5000000000\n", 5), ("usr/", b"", 5)],
    ),
    text("usr-time", &[("usr/", b"", 1_800_000_000)], &[("usr/", b"", 1_900_000_000)], &["usr"], &[("usr/", b"", 5)]),
    text(
        "mount-points",
        &[("proc/", b"", 1_800_000_000), ("var/tmp/", b"", 1_800_000_000)],
        &[("proc/", b"", 1_900_000_000), ("var/tmp/", b"", 1_900_000_000)],
        &["proc", "var/tmp"],
        &[("proc/", b"", 5)],
    ),
    Case {
        rule: "python-modules",
        both: &[],
        one: &[("usr/lib/a.py", b"1", 5), ("usr/lib/b.pyc", &PYC, 5)],
        other: &[("usr/lib/a.py", b"1", 5), ("usr/lib/b.pyc", &OTHER_PYC, 5)],
        fires: &["usr/lib/b.pyc"],
        refused: &[],
        // The time differs from that of its source: Python compiles the module again, as it must.
        spared: &[("usr/lib/b.py", b"1", 1_900_000_000), ("usr/lib/b.pyc", &PYC, 5)],
    },
    text(
        "java-key-stores",
        &[
            ("etc/ca-certificates/extracted/java-cacerts.jks", JKS, 5),
            ("etc/pki/ca-trust/extracted/java/cacerts", JKS, 5),
            ("etc/pki/java/cacerts", JKS, 5),
            ("etc/ssl/certs/java/cacerts", JKS, 5),
            ("var/lib/ca-certificates/java-cacerts", JKS, 5),
        ],
        &[
            ("etc/ca-certificates/extracted/java-cacerts.jks", OTHER_JKS, 5),
            ("etc/pki/ca-trust/extracted/java/cacerts", OTHER_JKS, 5),
            ("etc/pki/java/cacerts", OTHER_JKS, 5),
            ("etc/ssl/certs/java/cacerts", OTHER_JKS, 5),
            ("var/lib/ca-certificates/java-cacerts", OTHER_JKS, 5),
        ],
        &[
            "etc/ca-certificates/extracted/java-cacerts.jks",
            "etc/pki/ca-trust/extracted/java/cacerts",
            "etc/pki/java/cacerts",
            "etc/ssl/certs/java/cacerts",
            "var/lib/ca-certificates/java-cacerts",
        ],
        &[("etc/ssl/certs/java/cacerts", b"a PKCS#12 store", 5)],
    ),
    same("ldconfig-cache", differs!("var/cache/ldconfig/aux-cache"), &[("etc/ld.so.cache", b"", 5)]),
    same("font-caches", differs!("usr/share/fonts/truetype/.uuid" "var/cache/fontconfig/x.cache-8"), &[("usr/share/fonts/a.ttf", b"", 5)]),
    same("man-caches", differs!("var/cache/man/de/index.db"), &[("usr/share/man/man1/a.1", b"", 5)]),
    same("software-caches", differs!("var/cache/app-info/x.xb" "var/cache/swcatalog/cache/x.xb"), &[("var/cache/x", b"", 5)]),
    same(
        "caches",
        differs!("var/cache/a/b/c" "var/cache/d"),
        &[("var/cache/debconf/config.dat", b"", 5), ("var/cache/cracklib/cracklib_dict.pwd", b"", 5), ("var/cache/dictionaries-common/x.el", b"", 5), ("var/cache/postgresql/dicts/en_us.dict", b"", 5), ("var/cache/a/", b"", 5), ("var/cache/b@", b"/srv/b", 5)],
    ),
    same("vlc-plugins", differs!("usr/lib/x86_64-linux-gnu/vlc/plugins/plugins.dat" "usr/lib64/vlc/plugins/plugins.dat"), &[("usr/lib/vlc/plugins/a.so", b"", 5)]),
    text(
        "info-menu",
        &[("usr/share/info/dir", b"* Menu:\n\nB\n* b: (b).\n\nA\n* a: (a).\n", 5)],
        &[("usr/share/info/dir", b"* Menu:\n\nA\n* a: (a).\n\nB\n* b: (b).\n", 5)],
        &["usr/share/info/dir"],
        &[("usr/share/info/dir", b"* b\n* a\n", 5)],
    ),
    same("info-menu-backup", differs!("usr/share/info/dir.old"), &[("usr/share/info/dir", b"* Menu:\n", 5)]),
    text(
        "tex-listings",
        &[("usr/share/texlive/texmf-dist/ls-R", LS_R, 5), ("usr/share/texmf/ls-R", LS_R, 5), ("var/lib/texmf/ls-R-TEXLIVE", LS_R, 5)],
        &[
            ("usr/share/texlive/texmf-dist/ls-R", OTHER_LS_R, 5),
            ("usr/share/texmf/ls-R", OTHER_LS_R, 5),
            ("var/lib/texmf/ls-R-TEXLIVE", OTHER_LS_R, 5),
        ],
        &["usr/share/texlive/texmf-dist/ls-R", "usr/share/texmf/ls-R", "var/lib/texmf/ls-R-TEXLIVE"],
        &[("usr/share/texlive/texmf-dist/ls-R", b"./a:\ny\n\n./b:\nx\n", 5)],
    ),
    same("tex-logs", differs!("var/lib/texmf/web2c/pdftex/pdftex.log"), &[("var/lib/texmf/web2c/pdftex/pdftex.fmt", b"", 5)]),
    same("dkms-logs", differs!("var/lib/dkms/zfs/2.2/6.1/x86_64/log/make.log" "var/lib/dkms/zfs/2.2/build/make.log"), &[("var/lib/dkms/zfs/2.2/source", b"", 5)]),
    text(
        "journal",
        &[("var/log/journal/a/system.journal", b"1", 5), ("var/log/journal/x", b"1", 5)],
        &[("var/log/journal/b/system.journal", b"2", 5)],
        &["var/log/journal/a", "var/log/journal/x"],
        &[("var/log/journal/", b"", 5)],
    ),
    same("login-records", differs!("var/log/btmp" "var/log/faillog" "var/log/lastlog" "var/log/wtmp"), &[("var/log/wtmp", b"", 5)]),
    same(
        "logs",
        differs!("var/log/a/b.log" "var/log/c.log"),
        &[("var/log/wtmp", b"1", 5), ("var/log/README", b"1", 5), ("var/log/a/", b"", 5), ("var/log/nginx@", b"/srv/log", 5)],
    ),
    text(
        "temporary-files",
        &[("run/lock/", b"", 5), ("tmp/a/b", b"1", 5), ("var/tmp/c", b"1", 5)],
        &[("run/", b"", 0), ("tmp/d", b"2", 5), ("var/tmp/", b"", 0)],
        &["run/lock", "tmp/a", "var/tmp/c"],
        &[("run/", b"", 5), ("tmp/", b"", 5)],
    ),
    same("root-leftovers", differs!("root/.wget-hsts"), &[("root/.bashrc", b"", 5)]),
    text("root-cache", &[("root/.cache/a", b"1", 5)], &[("root/.cache/b", b"2", 5)], &["root/.cache"], &[("root/.config/a", b"", 5)]),
    same(
        "histories",
        differs!("home/a/.history" "home/a/.local/share/fish/fish_history" "home/a/.psql_history" "root/.bash_history"),
        &[("root/.bashrc", b"", 5), ("usr/share/doc/x/.bash_history", b"", 5), ("root/.zsh_history/", b"", 5)],
    ),
    refused(
        "ssh-keys",
        differs!("home/a/.ssh/old/key" "root/.ssh/id_ed25519"),
        &[
            ("root/.ssh/allowed_signers", b"x", 5),
            ("root/.ssh/authorized_keys", b"x", 5),
            ("root/.ssh/authorized_keys2", b"x", 5),
            ("root/.ssh/config", b"x", 5),
            ("root/.ssh/config.d/a", b"x", 5),
            ("root/.ssh/environment", b"x", 5),
            ("root/.ssh/id_ed25519-cert.pub", b"x", 5),
            ("root/.ssh/id_empty", b"", 5),
            ("root/.ssh/id_link@", b"/run/key", 5),
            ("root/.ssh/known_hosts.old", b"x", 5),
            ("root/.ssh/old/key.pub", b"x", 5),
            ("root/.ssh/rc", b"x", 5),
            ("usr/share/doc/x/.ssh/id_rsa", b"x", 5),
        ],
    ),
    refused(
        "user-keyrings",
        differs!("home/a/.gnupg/openpgp-revocs.d/1.rev" "home/a/.gnupg/private-keys-v1.d/1.key" "root/.gnupg/secring.gpg"),
        &[("root/.gnupg/pubring.kbx", b"1", 5), ("root/.gnupg/secring.gpg", b"", 5), ("usr/share/x/.gnupg/secring.gpg", b"1", 5)],
    ),
    refused(
        "tokens",
        differs!(
            "home/a/.aws/credentials" "home/a/.azure/msal_token_cache.json" "home/a/.cargo/credentials.toml" "home/a/.config/gcloud/credentials.db"
            "home/a/.config/gh/hosts.yml" "home/a/.gem/credentials" "home/a/.git-credentials" "home/a/.kube/config" "home/a/.netrc"
            "home/a/.subversion/auth/svn.simple/0" "home/a/.terraform.d/credentials.tfrc.json"
        ),
        &[
            ("root/.aws/config", b"1", 5),
            ("root/.cargo/config.toml", b"1", 5),
            ("root/.config/gh/config.yml", b"1", 5),
            ("root/.kube/cache/x", b"1", 5),
            ("root/.netrc", b"\n", 5),
            ("usr/share/doc/x/.netrc", b"1", 5),
        ],
    ),
    refused(
        "tokens-in-settings",
        (
            &[
                ("etc/rancher/k3s/k3s.yaml", b"users:\n- user:\n    client-key-data: eA==\n", 5),
                ("root/.config/containers/auth.json", b"{\"auths\":{\"r\":{\"auth\":\"eA==\"}}}", 5),
                ("root/.docker/config.json", b"{\n\t\"auths\": {\n\t\t\"r\": {\n\t\t\t\"auth\" : \"eA==\"\n}}}", 5),
                ("root/.m2/settings.xml", b"<server><password>x</password></server>", 5),
                ("root/.npmrc", b"//registry.npmjs.org/:_authToken=npm_x\n", 5),
            ],
            &[],
            &["etc/rancher/k3s/k3s.yaml", "root/.config/containers/auth.json", "root/.docker/config.json", "root/.m2/settings.xml", "root/.npmrc"],
        ),
        &[
            ("etc/kubernetes/proxy.conf", b"clientConnection:\n  kubeconfig: /x\n", 5),
            ("home/a/.npmrc", b"//registry.npmjs.org/:_authToken=${TOKEN}\n#_auth=x\n", 5),
            ("root/.docker/config.json", b"{\"auths\":{\"r\":{}},\"credsStore\":\"pass\"}", 5),
            ("root/.m2/settings.xml", b"<password>${env.X}</password>", 5),
            ("root/.npmrc", b"fund=false\n", 5),
            ("usr/share/x/.my.cnf", b"password=x\n", 5),
        ],
    ),
    refused(
        "login-secrets",
        (
            &[
                ("etc/apt/auth.conf", b"machine example.org login a password b\n", 5),
                ("etc/apt/auth.conf.d/a.conf", b"machine example.org\nlogin a\npassword b\n", 5),
                ("etc/ipsec.d/a.secrets", b"@a @b : EAP \"x\"\n", 5),
                ("etc/ipsec.secrets", b": PSK \"x\"\n", 5),
                ("etc/ppp/chap-secrets", b"a * \"b\"\n", 5),
                ("etc/ppp/pap-secrets", b"# x\na * b *\n", 5),
            ],
            &[],
            &["etc/apt/auth.conf", "etc/apt/auth.conf.d/a.conf", "etc/ipsec.d/a.secrets", "etc/ipsec.secrets", "etc/ppp/chap-secrets", "etc/ppp/pap-secrets"],
        ),
        &[
            ("etc/apt/auth.conf", b"# machine x login a password b\n", 5),
            ("etc/ipsec.d/a.secrets", b": RSA key.pem\n@a @b : RSA key.pem\na : RSA key.pem\n", 5),
            ("etc/ipsec.secrets", b"# : PSK x\ninclude /var/lib/strongswan/ipsec.secrets.inc\n", 5),
            ("etc/ppp/chap-secrets", b"# client\tserver\tsecret\tIP addresses\n", 5),
            ("etc/ppp/pap-secrets", b"*\thost\t\"\"\t*\nguest\thost\t\"*\"\t-\n", 5),
        ],
    ),
    refused(
        "bluetooth-keys",
        (&[("var/lib/bluetooth/a/b/info", b"[LinkKey]\nKey=00112233445566778899AABBCCDDEEFF\n", 5)], &[], &["var/lib/bluetooth/a/b/info"]),
        &[("var/lib/bluetooth/a/b/info", b"[General]\nName=Some Key\n", 5)],
    ),
    refused(
        "network-secrets",
        (
            &[
                ("etc/NetworkManager/system-connections/a.nmconnection", b"[wifi-security]\nkey-mgmt=wpa-psk\npsk=x\n", 5),
                ("etc/NetworkManager/system-connections/b.nmconnection", b"[802-1x]\nphase2-private-key-password=x\n", 5),
                ("etc/NetworkManager/system-connections/c.nmconnection", b"[vpn-secrets]\nIPSec secret=x\n", 5),
                ("etc/NetworkManager/system-connections/d.nmconnection", b"[wireguard]\nprivate-key=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 5),
                ("etc/hostapd/hostapd.conf", b"wpa_passphrase=x\n", 5),
                ("etc/netplan/50.yaml", b"      access-points:\n        \"n\":\n          password: \"x\"\n", 5),
                ("etc/network/interfaces", b"iface wlan0 inet dhcp\n    wpa-psk x\n", 5),
                ("etc/systemd/network/wg.netdev", b"[WireGuard]\nPrivateKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 5),
                ("etc/wpa_supplicant.conf", b"network={\n\tpsk=\"x\"\n}\n", 5),
                ("etc/wpa_supplicant/wpa_supplicant-wlan0.conf", b"  wep_key0=x\n", 5),
                ("var/lib/iwd/n.psk", b"[Security]\nPreSharedKey=x\n", 5),
            ],
            &[],
            &[
                "etc/NetworkManager/system-connections/a.nmconnection",
                "etc/NetworkManager/system-connections/b.nmconnection",
                "etc/NetworkManager/system-connections/c.nmconnection",
                "etc/NetworkManager/system-connections/d.nmconnection",
                "etc/hostapd/hostapd.conf",
                "etc/netplan/50.yaml",
                "etc/network/interfaces",
                "etc/systemd/network/wg.netdev",
                "etc/wpa_supplicant/wpa_supplicant-wlan0.conf",
                "etc/wpa_supplicant.conf",
                "var/lib/iwd/n.psk",
            ],
        ),
        &[
            ("etc/NetworkManager/system-connections/a.nmconnection", b"[wifi-security]\nkey-mgmt=wpa-psk\npsk-flags=1\npsk=\n#psk=x\n", 5),
            ("etc/NetworkManager/system-connections/b.nmconnection", b"[802-1x]\nprivate-key=/etc/x.pem\npassword-flags=1\n", 5),
            ("etc/netplan/50.yaml", b"auth:\n  key-management: psk\n", 5),
            ("etc/systemd/network/wg.netdev", b"PrivateKeyFile=/etc/wg.key\nPublicKey=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 5),
            // The file is that of Alpine's package.
            ("etc/wpa_supplicant/wpa_supplicant.conf", b"network={\n\tpsk=\"very secret passphrase\"\n}\n", 5),
            ("lib/apk/db/installed", b"P:wpa_supplicant\nF:etc\nF:etc/wpa_supplicant\nR:wpa_supplicant.conf\nZ:Q1x\n", 5),
        ],
    ),
    refused(
        "wireguard-keys",
        differs!("etc/wireguard/a/privatekey" "etc/wireguard/wg0.conf"),
        &[("etc/wireguard/a.pub", b"1", 5), ("etc/wireguard/publickey", b"1", 5), ("etc/wireguard/wg0.conf", b"", 5)],
    ),
    refused("tailscale-state", differs!("var/lib/tailscale/tailscaled.state"), &[("var/lib/tailscale/", b"", 5)]),
    refused("kerberos-keys", differs!("etc/krb5.keytab" "etc/x/http.keytab"), &[("etc/krb5.conf", b"1", 5)]),
    refused(
        "tls-keys",
        (
            &[
                ("etc/ipsec.d/private/a.der", b"\x30\x82-", 5),
                ("etc/letsencrypt/archive/x/privkey1.pem", b"-----BEGIN PRIVATE KEY-----\n", 5),
                ("etc/ssl/private/a.key", b"text", 5),
                ("etc/ssl/private/b.pem", CERTIFICATE_AND_KEY, 5),
            ],
            &[],
            &["etc/ipsec.d/private/a.der", "etc/letsencrypt/archive/x/privkey1.pem", "etc/ssl/private/a.key", "etc/ssl/private/b.pem"],
        ),
        &[
            ("etc/letsencrypt/archive/x/fullchain1.pem", CERTIFICATE, 5),
            ("etc/letsencrypt/live/README", b"This directory", 5),
            ("etc/ssl/private/a.pem", CERTIFICATE, 5),
            ("etc/ssl/private/empty.key", b"", 5),
            // Other rules cover these paths.
            ("etc/pki/tls/private/localhost.key", b"1", 5),
            ("etc/ssl/private/ssl-cert-snakeoil.key", b"1", 5),
        ],
    ),
    refused("disk-keys", differs!("etc/cryptsetup-keys.d/root.key"), &[("etc/crypttab", b"1", 5)]),
    refused("credentials", differs!("etc/credstore/db.password"), &[("etc/credstore/", b"", 5)]),
    refused("credentials-encrypted", differs!("etc/credstore.encrypted/db.password"), &[("etc/credstore/x", b"1", 5)]),
    refused(
        "private-keys",
        (
            &[("opt/a/key.pem", KEY, 5), ("root/key", CERTIFICATE_AND_KEY, 5)],
            &[],
            &["opt/a/key.pem", "root/key"],
        ),
        &[
            ("etc/ssl/certs/a.pem", CERTIFICATE, 5),
            ("etc/letsencrypt/keys/0.pem", KEY, 5),
            ("etc/ssh/ssh_host_rsa_key", KEY, 5),
            ("etc/ssl/private/a.pem", KEY, 5),
            ("gnu/store/a/key.pem", KEY, 5),
            ("nix/store/a/key.pem", KEY, 5),
            ("opt/link.pem@", b"key.pem", 5),
            ("ostree/deploy/x/deploy/0.0/usr/lib/a.pem", KEY, 5),
            ("ostree/repo/objects/aa/bb.file", KEY, 5),
            ("root/.ssh/id_rsa", KEY, 5),
            ("sysroot/ostree/repo/objects/aa/bb.file", KEY, 5),
            ("usr/lib/python3/test/key.pem", KEY, 5),
            ("var/lib/docker/overlay2/0/diff/usr/lib/a.pem", KEY, 5),
            ("var/lib/dpkg/info/a.postinst", KEY, 5),
            ("var/lib/flatpak/runtime/x/files/a.pem", KEY, 5),
            ("var/lib/pacman/local/a-1/install", KEY, 5),
        ],
    ),
    text("hostname", &[("etc/hostname", b"one\n", 5)], &[("etc/hostname", b"two\n", 5)], &["etc/hostname"], &[("etc/hostname", b"localhost\n", 5)]),
    text(
        "hosts",
        &[("etc/hosts", b"127.0.0.1 one\n", 5)],
        &[("etc/hosts", b"127.0.0.1 two\n127.0.0.2 x\n", 5)],
        &["etc/hosts"],
        &[("etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n", 5)],
    ),
    same("resolv-conf", differs!("etc/resolv.conf"), &[("etc/resolv.conf", b"", 5)]),
    text(
        "build-id",
        &[("etc/os-release", b"BUILD_ID=1\n", 5), ("usr/lib/os-release", b"ID=x\nBUILD_ID=1\nIMAGE_VERSION=1\n", 5)],
        &[("etc/os-release", b"BUILD_ID=2\n", 5), ("usr/lib/os-release", b"ID=x\nBUILD_ID=2\nIMAGE_VERSION=2\n", 5)],
        &["etc/os-release", "usr/lib/os-release"],
        &[("usr/lib/os-release", b"ID=x\nBUILD_ID=rolling\n", 5)],
    ),
];
