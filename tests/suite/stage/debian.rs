//! Debian: two installations by mmdebstrap.

use std::fs;
use std::path::Path;

use super::ground::{image, rules};
use crate::oracle::shell;

/// The packages have scriptlets that write logs, ids, days and compiled Python modules. The clock is
/// another one for all that runs, so its library must be where it is outside.
const INSTALL: &str = r#"
    clock=$(find /usr/lib/*/faketime -name libfaketime.so.1)
    suite=$(. /etc/os-release; echo "$VERSION_CODENAME")
    NO_FAKE_STAT=1 exec faketime -f "$3" mmdebstrap --quiet --variant=minbase --skip=cleanup/reproducible \
        --aptopt='Acquire::Check-Valid-Until "false"' \
        --setup-hook="install -D $clock \"\$1$clock\"" --customize-hook="rm -r \"\$1${clock%/*}\"" \
        --include="$2" "$suite" "$1""#;

const PACKAGES: &str = "dbus,openssl,python3-minimal,systemd";

#[test]
#[ignore = "installs Debian twice"]
fn two_installs_at_different_times_are_one_image() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let [one, two] = ["+0d", "+400d"].map(|clock| {
        let tree = scratch.path().join(clock);
        shell(INSTALL, &[&tree, Path::new(PACKAGES), Path::new(clock)]);
        tree
    });
    let machine_id = |tree: &Path| fs::read(tree.join("etc/machine-id")).unwrap();
    // Installed systems have one; mmdebstrap's have it from systemd's scriptlet.
    assert_ne!(machine_id(&one), machine_id(&two));
    assert_ne!(image(&one, &["--normalize=none"]).0, image(&two, &["--normalize=none"]).0);
    let (hash, manifest) = image(&one, &[]);
    let (other, other_manifest) = image(&two, &[]);
    let fired = rules(&manifest);
    assert_eq!(manifest["normalization"], other_manifest["normalization"], "{fired:?}");
    assert_eq!(hash, other, "{fired:?}");
    let expected =
        ["machine-id", "dpkg-logs", "apt-lists", "ldconfig-cache", "python-modules", "shadow-day"];
    for rule in expected {
        assert!(fired.iter().any(|fired| fired == rule), "{rule}: {fired:?}");
    }
}
