//! Partition types by name.

use uuid::Uuid;

use super::values;
use crate::gpt::{Architecture, PartitionType, Role};

/// Returns the type with a name or UUID. `root` and similar names mean the native architecture,
/// `root-secondary` and similar names the other architecture that it can run.
#[must_use]
pub(super) fn parse(name: &str, native: Architecture) -> Option<PartitionType> {
    if let Ok(guid) = name.parse::<Uuid>() {
        return Some(of(guid));
    }
    let plain = PartitionType::all().map(of_named).find(|known| {
        !matches!(known, PartitionType::Of(..) | PartitionType::Other(_)) && known.name() == name
    });
    plain.or_else(|| of_architecture(name, native))
}

/// Returns the type with a UUID; [`PartitionType::Other`] if systemd has no name for it.
#[must_use]
pub fn of(guid: Uuid) -> PartitionType {
    of_named(PartitionType::of(guid))
}

fn of_named(partition_type: PartitionType) -> PartitionType {
    match partition_type {
        PartitionType::BiosBoot => PartitionType::Other(partition_type.guid()),
        named => named,
    }
}

fn of_architecture(name: &str, native: Architecture) -> Option<PartitionType> {
    let (usr, rest) = match (name.strip_prefix("root"), name.strip_prefix("usr")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return None,
    };
    let (part, middle) = if let Some(middle) = rest.strip_suffix("-verity-sig") {
        (2, middle)
    } else if let Some(middle) = rest.strip_suffix("-verity") {
        (1, middle)
    } else {
        (0, rest)
    };
    let architecture = match middle.strip_prefix('-') {
        None if middle.is_empty() => native,
        None => return None,
        Some("secondary") => secondary(native)?,
        Some(name) => values::architecture(name)?,
    };
    let roles = match usr {
        false => [Role::Root, Role::RootVerity, Role::RootVeritySig],
        true => [Role::Usr, Role::UsrVerity, Role::UsrVeritySig],
    };
    Some(PartitionType::Of(roles[part], architecture))
}

/// Returns the other architecture whose programs `native` can run.
fn secondary(native: Architecture) -> Option<Architecture> {
    use Architecture as A;
    Some(match native {
        A::X86_64 => A::X86,
        A::Arm64 => A::Arm,
        A::Mips64 => A::Mips,
        A::Mips64Le => A::MipsLe,
        A::Ppc64Le => A::Ppc64,
        A::Ppc64 => A::Ppc,
        A::Riscv64 => A::Riscv32,
        A::S390x => A::S390,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_systemd() {
        use Architecture as A;
        use PartitionType as T;
        for (name, expected) in [
            ("esp", Some(T::Esp)),
            ("linux-generic", Some(T::LinuxGeneric)),
            ("root", Some(T::root(A::X86_64))),
            ("root-x86-64", Some(T::root(A::X86_64))),
            ("root-secondary", Some(T::root(A::X86))),
            ("root-amd64-verity", Some(T::Of(Role::RootVerity, A::X86_64))),
            ("usr-arm64-verity-sig", Some(T::Of(Role::UsrVeritySig, A::Arm64))),
            ("usr-verity-sig", Some(T::Of(Role::UsrVeritySig, A::X86_64))),
            ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", Some(T::Esp)),
            ("C12A7328F81F11D2BA4B00A0C93EC93B", Some(T::Esp)),
            ("21686148-6449-6e6f-744e-656564454649", Some(T::Other(T::BiosBoot.guid()))),
            ("rootx", None),
            ("root-z80", None),
            ("BIOS boot", None),
            ("linux", None),
            ("", None),
        ] {
            assert_eq!(parse(name, A::X86_64), expected, "{name}");
        }
    }
}
