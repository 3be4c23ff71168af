//! Check that this build's encoders write the bytes of the layout version.
//!
//! A distribution may link its own libzstd (`ZSTD_SYS_USE_PKG_CONFIG`), whose bytes differ if its
//! version or its patches do. The same parameters would then give another image.

use std::sync::OnceLock;

use super::interface::{Codec, Encoder};
use super::sample::Sample;
use super::vectors::{VECTORS, Vector, digest};
use crate::error::{Error, Result};

/// Sample that is encoded at run time; tests encode all of them.
const SAMPLE: Sample = Sample::Mixed;

/// For each of [`VECTORS`], whether this build's encoder writes its bytes; checked at first use.
static MATCHES: [OnceLock<bool>; VECTORS.len()] = [const { OnceLock::new() }; VECTORS.len()];

/// A codec at a level, whose encoders write the bytes of the layout version.
#[derive(Clone, Copy)]
pub(crate) struct VerifiedCodec {
    codec: &'static dyn Codec,
    level: u8,
}

impl VerifiedCodec {
    pub(crate) fn encoder(&self) -> Encoder {
        Encoder::new(self.codec, self.level)
    }
}

/// Returns a codec after checking that its encoders write the bytes of the layout version.
///
/// # Errors
/// The errors of [`verify`].
pub(crate) fn verified(codec: &'static dyn Codec, level: u8) -> Result<VerifiedCodec> {
    verify(codec, level)?;
    Ok(VerifiedCodec { codec, level })
}

/// Checks that this build's encoder writes the bytes of the layout version.
///
/// The first check of a codec and level encodes samples of 192 KiB. In a release build this takes
/// 1 to 3 ms for most of them, 12 ms for zstd:15, 55 ms for zstd:22 and 71 ms for LZO.
///
/// # Errors
/// [`Error::Parameter`] if it writes other bytes.
///
/// # Panics
/// If the codec has no such level.
fn verify(codec: &'static dyn Codec, level: u8) -> Result<()> {
    let is_same = |&(name, of, _): &Vector| (name, of) == (codec.name(), level);
    let index = VECTORS.iter().position(is_same).expect("every level of a codec has a vector");
    verify_vector(codec, codec.linked_version(), &VECTORS[index], &MATCHES[index])
}

/// Checks a vector of `codec`, of which version `linked` is linked, if `matches` is not set yet.
fn verify_vector(
    codec: &'static dyn Codec,
    linked: &str,
    &(name, level, digests): &Vector,
    matches: &OnceLock<bool>,
) -> Result<()> {
    let pinned = codec.version();
    let is_match = || linked == pinned && digest(codec, level, SAMPLE) == digests[SAMPLE as usize];
    if *matches.get_or_init(is_match) {
        return Ok(());
    }
    Err(Error::parameter(
        "compression",
        format!(
            "the {name} encoder of this build (version {linked}) does not write the bytes of the \
             layout version, which are those of {pinned}"
        ),
        format!("build detfs with its bundled {name} encoder, or use another compression"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::ALL;

    #[test]
    fn another_encoder_is_refused() {
        for &codec in ALL {
            let (name, pinned) = (codec.name(), codec.version());
            let frozen = VECTORS.iter().find(|(of, ..)| *of == name).unwrap();
            let mut other = *frozen;
            other.2[SAMPLE as usize] ^= 1;
            for (linked, vector, is_match) in
                [(pinned, frozen, true), (pinned, &other, false), ("0.9", frozen, false)]
            {
                let matches = OnceLock::new();
                // The second result is the remembered one.
                for _ in 0..2 {
                    let result = verify_vector(codec, linked, vector, &matches);
                    let expected = format!(
                        "compression: the {name} encoder of this build (version {linked}) \
                         does not write the bytes of the layout version, which are those of \
                         {pinned}; build detfs with its bundled {name} encoder, or use another \
                         compression"
                    );
                    match is_match {
                        true => result.unwrap(),
                        false => assert_eq!(result.unwrap_err().to_string(), expected),
                    }
                }
            }
        }
    }
}
