//! Debian, installed twice with mmdebstrap.

use std::fs;
use std::path::{Path, PathBuf};

use super::fixture::{image, rules};
use crate::boot::{MARKER, Outcome, REFUSAL, ROOT_UUID, add_kernel, boot, boots};
use crate::detfs::{mkimage, succeed};
use crate::oracle::{e2fsck, shell};

/// Shell script that installs packages whose scriptlets write logs, IDs, days and compiled Python
/// modules. All programs run with a fake clock, so its library must have the same path inside the
/// tree as outside.
const INSTALL: &str = r#"
    clock=$(find /usr/lib/*/faketime -name libfaketime.so.1)
    suite=$(. /etc/os-release; echo "$VERSION_CODENAME")
    NO_FAKE_STAT=1 exec faketime -f "$3" mmdebstrap --quiet --variant=minbase --skip=cleanup/reproducible \
        --aptopt='Acquire::Check-Valid-Until "false"' \
        --setup-hook="install -D $clock \"\$1$clock\"" --customize-hook="rm -r \"\$1${clock%/*}\"" \
        --include="$2" "$suite" "$1""#;

/// Shell script that installs a service for the first boot, and another one for any later boot. The
/// service checks everything that rules removed or rewrote.
const FIRST_BOOT: &str = r#"
    cd "$1/etc/systemd/system"; mkdir -p multi-user.target.wants ../../../efi/EFI/BOOT
    for first in yes no; do
        printf '[Unit]\nConditionFirstBoot=%s\n[Service]\nExecStart=/etc/boot %s\n' $first $first >$first.service
        ln -s ../$first.service multi-user.target.wants
    done
    cat >"$1/etc/boot" <<'END'
#!/bin/sh -eu
exec >/dev/ttyS0 2>&1
echo
bad() { echo REFUSAL "$*"; systemctl poweroff -ff; }
[ $1 = yes ] || bad this is not the first boot
grep -qxE '[0-9a-f]{32}' /etc/machine-id || bad machine-id
ldconfig && [ -s /var/cache/ldconfig/aux-cache ] || bad ldconfig
python3 -c 'import json, sqlite3' || bad python
/lib/open-iscsi/startup-checks.sh && grep -q '^InitiatorName=.' /etc/iscsi/initiatorname.iscsi || bad iscsi
[ -z "$(dpkg --audit)" ] && apt-get -qq check || bad dpkg
systemd-analyze condition ConditionNeedsUpdate=/etc && bad etc would be updated
systemd-analyze condition ConditionNeedsUpdate=/var || bad var would not be updated
systemd-sysusers --dry-run >/dev/null && pwck -rq && grpck -r || bad users
[ -s /var/log/journal/$(cat /etc/machine-id)/system.journal ] || bad journal
echo MARKER
systemctl poweroff
END
    chmod 755 "$1/etc/boot"
    sed -i "s/MARKER/$2/; s/REFUSAL/$3/" "$1/etc/boot"
    # As if systemd had updated /etc last, and /var before /usr changed.
    seconds=$(stat -c %Y "$1/usr")
    touch -d "@$seconds" "$1/usr"
    echo "TIMESTAMP_NSEC=${seconds}000000000" >"$1/etc/.updated"
    touch -d "@$seconds" "$1/etc/.updated"
    touch -d @1000000000 "$1/var/.updated""#;

const PACKAGES: &str = "dbus,man-db,nvme-cli,open-iscsi,openssl,popularity-contest,python3,systemd";

/// Installs Debian at two times, with the kernel of the boot test.
fn install(scratch: &Path) -> [PathBuf; 2] {
    let [one, two] = ["+0d", "+400d"].map(|clock| {
        let tree = scratch.join(clock);
        shell(INSTALL, &[&tree, Path::new(PACKAGES), Path::new(clock)]);
        tree
    });
    for tree in [&one, &two] {
        shell(FIRST_BOOT, &[tree, MARKER.as_ref(), REFUSAL.as_ref()]);
    }
    add_kernel(&one, ROOT_UUID, "init=/lib/systemd/systemd systemd.firstboot=no");
    shell("cp $1/efi/EFI/BOOT/* $2/efi/EFI/BOOT/", &[&one, &two]);
    [one, two]
}

#[test]
#[ignore = "installs Debian twice"]
fn two_installs_at_different_times_are_one_image() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let [one, two] = install(scratch.path());
    let machine_id = |tree: &Path| fs::read(tree.join("etc/machine-id")).unwrap();
    // Installed systems have a machine ID. In trees of mmdebstrap it comes from systemd's
    // scriptlet.
    assert_ne!(machine_id(&one), machine_id(&two));
    assert_ne!(image(&one, &["--normalize=none"]).0, image(&two, &["--normalize=none"]).0);
    let (hash, manifest) = image(&one, &[]);
    let (other, other_manifest) = image(&two, &[]);
    let fired = rules(&manifest);
    assert_eq!(manifest["normalization"], other_manifest["normalization"], "{fired:?}");
    assert_eq!(hash, other, "{fired:?}");
    let expected = [
        "apt-lists",
        "dpkg-logs",
        "iscsi-name",
        "ldconfig-cache",
        "machine-id",
        "man-caches",
        "nvme-host-id",
        "passwd-order",
        "popularity-contest-id",
        "popularity-contest-time",
        "python-modules",
        "shadow-day",
        "update-stamps",
    ];
    for rule in expected {
        assert!(fired.iter().any(|fired| fired == rule), "{rule}: {fired:?}");
    }
}

#[test]
#[ignore = "installs Debian and boots it"]
fn deep_a_normalized_debian_boots_for_the_first_time() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let [one, _] = install(scratch.path());
    let out = scratch.path().join("image");
    succeed(&mut mkimage(&one, &out, 1_700_000_000, &["--headroom=256M"]));
    boots(&out, &[], scratch.path(), e2fsck);

    let plain = scratch.path().join("plain");
    let options = ["--headroom=256M", "--normalize=none"];
    succeed(&mut mkimage(&one, &plain, 1_700_000_000, &options));
    match boot(&plain, &[]) {
        Outcome::Refused(line) => assert!(line.contains("not the first boot"), "{line}"),
        other => panic!("{other:?}"),
    }
}
