//! The third field of `shadow`: the day of the last password change, counted from 1970.

use crate::time::Timestamp;

const DAY: i64 = 24 * 60 * 60;

/// Returns the content with no day later than that of the epoch, or `None` if that does not change
/// it.
///
/// An empty field and 0 have special meanings (no ageing, and a change that is due) and stay.
pub(in super::super) fn shadow_day(content: &[u8], epoch: Timestamp) -> Option<Vec<u8>> {
    // Day 0 would require a new password.
    let latest = epoch.seconds.div_euclid(DAY).max(1);
    let written = latest.to_string();
    let mut changed = Vec::with_capacity(content.len());
    for (at, line) in content.split(|&byte| byte == b'\n').enumerate() {
        if at > 0 {
            changed.push(b'\n');
        }
        let mut fields: Vec<&[u8]> = line.splitn(4, |&byte| byte == b':').collect();
        let day = fields.get(2).and_then(|day| str::from_utf8(day).ok()?.parse::<i64>().ok());
        if day.is_some_and(|day| day > latest) {
            fields[2] = written.as_bytes();
        }
        changed.extend(fields.join(&b':'));
    }
    (changed != content).then_some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_days_become_that_of_the_epoch() {
        let shadow = b"root:*:20000:0:99999:7:::\nbin::10:\na:!:\nb:!::\nc:!:0:\nodd\n";
        let expected = b"root:*:19675:0:99999:7:::\nbin::10:\na:!:\nb:!::\nc:!:0:\nodd\n";
        let epoch = Timestamp::from_seconds(1_700_000_000);
        assert_eq!(shadow_day(shadow, epoch).unwrap(), expected);
        assert_eq!(shadow_day(expected, epoch), None);
        assert_eq!(shadow_day(b"a:!:20000", epoch).unwrap(), b"a:!:19675");
        assert_eq!(shadow_day(b"a:!:5:\n", Timestamp::from_seconds(0)).unwrap(), b"a:!:1:\n");
    }
}
