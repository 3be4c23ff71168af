//! Java key stores of type JKS (as written by `sun.security.provider.JavaKeyStore`): the creation
//! time of each entry, and the digest at the end.

use sha1::{Digest, Sha1};

use crate::time::Timestamp;

const MAGIC: u32 = 0xfeed_feed;
/// Password of all certificate stores.
const PASSWORD: &str = "changeit";
const WHITENER: &[u8] = b"Mighty Aphrodite";
const DIGEST: usize = 20;

/// Returns the content with no entry later than the epoch, and with an updated digest.
///
/// The result is `None` if that does not change the content, or if it is not a store with the
/// default password.
pub(in super::super) fn jks(content: &[u8], epoch: Timestamp) -> Option<Vec<u8>> {
    let (body, given) = content.split_at_checked(content.len().checked_sub(DIGEST)?)?;
    if digest(body) != given {
        return None;
    }
    let latest = u64::try_from(epoch.seconds).unwrap_or(0).saturating_mul(1000);
    let mut changed = body.to_vec();
    for at in times(body)? {
        let time = u64::from_be_bytes(body[at..at + 8].try_into().ok()?);
        changed[at..at + 8].copy_from_slice(&time.min(latest).to_be_bytes());
    }
    let digest = digest(&changed);
    changed.extend_from_slice(&digest);
    (changed != content).then_some(changed)
}

fn digest(body: &[u8]) -> [u8; DIGEST] {
    let mut sha1 = Sha1::new();
    PASSWORD.encode_utf16().for_each(|unit| sha1.update(unit.to_be_bytes()));
    sha1.update(WHITENER);
    sha1.update(body);
    sha1.finalize().into()
}

/// Returns the offsets of the entries' times, or `None` if the content is not a well-formed store.
fn times(body: &[u8]) -> Option<Vec<usize>> {
    let mut reader = Reader { bytes: body, at: 0 };
    let (magic, version) = (reader.u32()?, reader.u32()?);
    if magic != MAGIC || !matches!(version, 1 | 2) {
        return None;
    }
    let mut times = Vec::new();
    for _ in 0..reader.u32()? {
        let tag = reader.u32()?;
        reader.text()?;
        times.push(reader.at);
        reader.skip(8)?;
        let certificates = match tag {
            1 => {
                reader.data()?;
                reader.u32()?
            }
            2 => 1,
            _ => return None,
        };
        for _ in 0..certificates {
            if version == 2 {
                reader.text()?;
            }
            reader.data()?;
        }
    }
    (reader.at == body.len()).then_some(times)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn skip(&mut self, length: usize) -> Option<()> {
        self.at = self.at.checked_add(length).filter(|&at| at <= self.bytes.len())?;
        Some(())
    }

    fn u32(&mut self) -> Option<u32> {
        let at = self.at;
        self.skip(4)?;
        Some(u32::from_be_bytes(self.bytes[at..self.at].try_into().ok()?))
    }

    /// Skips bytes that are preceded by their count.
    fn data(&mut self) -> Option<()> {
        let length = self.u32()?;
        self.skip(usize::try_from(length).ok()?)
    }

    fn text(&mut self) -> Option<()> {
        let at = self.at;
        self.skip(2)?;
        let length = u16::from_be_bytes(self.bytes[at..self.at].try_into().ok()?);
        self.skip(usize::from(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(times: &[u64]) -> Vec<u8> {
        let mut bytes = [MAGIC, 2, 2].map(u32::to_be_bytes).concat();
        for (at, time) in times.iter().enumerate() {
            let is_key = at == 1;
            bytes.extend((if is_key { 1u32 } else { 2 }).to_be_bytes());
            bytes.extend(b"\x00\x02ab");
            bytes.extend(time.to_be_bytes());
            if is_key {
                bytes.extend(b"\x00\x00\x00\x03key\x00\x00\x00\x01");
            }
            bytes.extend(b"\x00\x05X.509\x00\x00\x00\x04cert");
        }
        let digest = digest(&bytes);
        bytes.extend(digest);
        bytes
    }

    #[test]
    fn later_entries_have_the_time_of_the_epoch() {
        let epoch = Timestamp::from_seconds(100);
        let expected = store(&[100_000, 5000]);
        assert_eq!(jks(&store(&[200_001, 5000]), epoch).unwrap(), expected);
        assert_eq!(jks(&expected, epoch), None);
    }

    #[test]
    fn what_is_no_store_stays() {
        let epoch = Timestamp::from_seconds(100);
        let good = store(&[200_000, 5000]);
        let with_digest = |body: &[u8]| [body, &digest(body)].concat();
        let body = &good[..good.len() - DIGEST];
        assert!(jks(&with_digest(body), epoch).is_some());
        for bad in [
            [&good[..], b"x"].concat(),
            with_digest(&body[1..]),
            with_digest(&body[..body.len() - 1]),
            with_digest(&[body, b"x"].concat()),
            with_digest(&[]),
            Vec::new(),
        ] {
            assert_eq!(jks(&bad, epoch), None);
        }
    }
}
