//! Checks across definitions.

use super::{Definition, Minimize, Verity};
use crate::error::Result;

/// Checks the rules that involve several definitions.
///
/// # Errors
/// [`Error::Definition`](crate::Error::Definition) for the first definition that contradicts the
/// others.
pub(super) fn check(definitions: &[Definition]) -> Result<()> {
    check_verity(definitions)?;
    check_supplements(definitions)
}

/// Checks that each key has exactly one data and one hash partition, and at most one signature.
fn check_verity(definitions: &[Definition]) -> Result<()> {
    for one in definitions {
        let Some(key) = &one.verity_match_key else { continue };
        let siblings = |part: Verity| {
            let same = |other: &&Definition| {
                other.verity == part && other.verity_match_key.as_ref() == Some(key)
            };
            definitions.iter().filter(same).collect::<Vec<_>>()
        };
        for (part, name) in [(Verity::Data, "data"), (Verity::Hash, "hash")] {
            if siblings(part).len() != 1 {
                return Err(one.fault(
                    &["VerityMatchKey"],
                    format!(
                        "not exactly one partition has Verity={name} with VerityMatchKey={key}"
                    ),
                    "define one data partition and one hash partition for each key",
                ));
            }
        }
        if siblings(Verity::Signature).len() > 1 {
            return Err(one.fault(
                &["VerityMatchKey"],
                format!("two signature partitions have VerityMatchKey={key}"),
                "define at most one",
            ));
        }
        let [data] = *siblings(Verity::Data) else { continue };
        if one.verity == Verity::Hash && one.minimize != Minimize::Off {
            let fixed = data.minimize != Minimize::Off || data.copy_blocks.is_some();
            if !fixed || data.encrypt.is_some() {
                return Err(one.fault(
                    &["Minimize"],
                    "a hash tree is minimized, and the size of its data is not fixed",
                    "minimize the data too, or give a SizeMinBytes= for the hash tree",
                ));
            }
        }
        if one.partition.size.priority != data.partition.size.priority {
            return Err(one.fault(
                &["Priority", "VerityMatchKey"],
                format!("the partitions with VerityMatchKey={key} differ in Priority="),
                "give them the same Priority=",
            ));
        }
    }
    Ok(())
}

/// Checks that each supplemented definition exists and is not a supplement itself.
fn check_supplements(definitions: &[Definition]) -> Result<()> {
    let name = |one: &Definition| {
        one.file.as_ref().and_then(|file| file.file_stem()?.to_str().map(ToOwned::to_owned))
    };
    for (at, one) in definitions.iter().enumerate() {
        let Some(wanted) = &one.supplement_for else { continue };
        let fault = |rule: &str| {
            one.fault(
                &["SupplementFor"],
                format!("SupplementFor={wanted}: {rule}"),
                "name another definition",
            )
        };
        if one.copy_blocks.is_some() || one.encrypt.is_some() || one.verity != Verity::Off {
            return Err(fault("a supplement has no CopyBlocks=, Encrypt= or Verity="));
        }
        let target = definitions.iter().position(|other| name(other).as_ref() == Some(wanted));
        let target = target.ok_or_else(|| fault("no such definition"))?;
        if target == at {
            return Err(fault("a definition can't supplement itself"));
        }
        let other = &definitions[target];
        if other.supplement_for.is_some() {
            return Err(fault("that definition is a supplement too"));
        }
        if other.copy_blocks.is_some() || other.encrypt.is_some() || other.verity != Verity::Off {
            return Err(fault("that definition has CopyBlocks=, Encrypt= or Verity="));
        }
        let twice =
            definitions.iter().filter(|third| third.supplement_for.as_ref() == Some(wanted));
        if twice.count() > 1 {
            return Err(fault("that definition has two supplements"));
        }
    }
    Ok(())
}
