//! A signature made elsewhere, as specified on the command line.

use std::path::PathBuf;

use base64ct::{Base64, Encoding};

use crate::error::{Error, Result};

/// A signature to join: `HASH:PATH` or `HASH:base64:SIGNATURE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The signed root hash.
    pub root_hash: [u8; 32],
    /// The source of the signature.
    pub origin: Origin,
}

/// The source of a signature made elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file with PKCS#7 in DER.
    File(PathBuf),
    /// The argument itself, with these bytes.
    Argument(Vec<u8>),
}

fn root_hash(hex: &str) -> Option<[u8; 32]> {
    let (pairs, []) = hex.as_bytes().as_chunks() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    bytes?.try_into().ok()
}

impl std::str::FromStr for Joined {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |rule: String| {
            let remedy = "write the root hash in hex, `:`, and a path or `base64:` and a \
                          signature";
            Error::parameter("signature.joined", rule, remedy)
        };
        let (hash, signature) =
            text.split_once(':').ok_or_else(|| refuse(format!("{text:?} has no `:`")))?;
        let root_hash = root_hash(hash)
            .ok_or_else(|| refuse(format!("{hash:?} is not a root hash of 64 hex digits")))?;
        if signature.is_empty() {
            return Err(refuse("the signature is empty".to_owned()));
        }
        let origin = match signature.strip_prefix("base64:") {
            None => Origin::File(signature.into()),
            Some(base64) => Origin::Argument(
                Base64::decode_vec(base64)
                    .map_err(|error| refuse(format!("signature: {error}")))?,
            ),
        };
        Ok(Self { root_hash, origin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_taken_apart() {
        let hex = "00ff".repeat(16);
        let mut root_hash = [0; 32];
        root_hash.iter_mut().skip(1).step_by(2).for_each(|byte| *byte = 0xff);
        for (text, origin) in [
            (format!("{hex}:sig"), Origin::File("sig".into())),
            (format!("{}:/a:b", hex.to_uppercase()), Origin::File("/a:b".into())),
            (format!("{hex}:base64:AQID"), Origin::Argument(vec![1, 2, 3])),
            (format!("{hex}:base64:AQ=="), Origin::Argument(vec![1])),
        ] {
            assert_eq!(text.parse::<Joined>().unwrap(), Joined { root_hash, origin }, "{text}");
        }
        for (text, rule) in [
            (hex.clone(), "has no `:`"),
            (format!("{hex}:"), "the signature is empty"),
            (format!("{}:sig", &hex[1..]), "is not a root hash of 64 hex digits"),
            (format!("{}:sig", &hex[2..]), "is not a root hash of 64 hex digits"),
            (format!("g{}:sig", &hex[1..]), "is not a root hash of 64 hex digits"),
            (format!("+{}:sig", &hex[1..]), "is not a root hash of 64 hex digits"),
            (format!("{hex}:base64:A*ID"), "signature: "),
        ] {
            let error = text.parse::<Joined>().unwrap_err().to_string();
            assert!(error.starts_with("signature.joined: ") && error.contains(rule), "{error}");
        }
    }
}
