//! Signatures of root hashes, which can't be written without the feature `verity-sign`.

use super::options::Options;
use crate::error::Result;

/// The signature of a root hash.
pub(super) struct Signed {
    /// Content of the signature partition.
    pub(super) json: String,
    /// Whether the signature existed before.
    pub(super) is_joined: bool,
}

#[cfg(feature = "verity-sign")]
impl Options {
    /// Returns whether there is a key to sign with or any existing signature.
    pub(super) fn can_sign(&self) -> bool {
        self.signer.is_some() || !self.joined.is_empty()
    }

    /// Returns the existing signature of a root hash, or else a new one. `None` if there is neither
    /// that signature nor a key.
    pub(super) fn signature(&self, root_hash: [u8; 32]) -> Result<Option<Signed>> {
        use crate::verity::signature::Signature;

        let joined = self.joined.iter().find(|joined| joined.root_hash() == root_hash);
        let json = match (joined, &self.signer) {
            (Some(joined), _) => joined.json()?,
            (None, Some((key, certificate))) => {
                Signature::sign(root_hash, key, certificate)?.json()?
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Signed { json, is_joined: joined.is_some() }))
    }
}

#[cfg(not(feature = "verity-sign"))]
impl Options {
    pub(super) fn can_sign(&self) -> bool {
        false
    }

    pub(super) fn signature(&self, _root_hash: [u8; 32]) -> Result<Option<Signed>> {
        Ok(None)
    }
}
