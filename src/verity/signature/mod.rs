//! The signature of a root hash, and the partition that contains it.
//!
//! The signature is a detached PKCS#7 signature of the root hash in hex, without signed attributes
//! and with the certificate, as the kernel and userspace verify it. RSA uses PKCS#1 v1.5 and ECDSA
//! uses nonces according to RFC 6979, so the same key always produces the same bytes.

mod certificate;
mod joined;
mod key;
mod pem;
mod pkcs7;

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};

pub use certificate::Certificate;
pub use joined::{Joined, Origin};
pub use key::PrivateKey;

use crate::error::{Error, Result};
use crate::hex::hex;

/// Size of a signature partition, in bytes.
pub const PARTITION_SIZE: u64 = 16 << 10;

/// A signature of a root hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    root_hash: [u8; 32],
    fingerprint: [u8; 32],
    /// PKCS#7 in DER.
    pkcs7: Vec<u8>,
}

impl Signature {
    /// Signs a root hash.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the certificate is for another key.
    pub fn sign(root_hash: [u8; 32], key: &PrivateKey, certificate: &Certificate) -> Result<Self> {
        if key.public_key() != certificate.public_key() {
            return Err(Error::parameter(
                "signature.key",
                "key does not match the certificate",
                "use the key and certificate of the same pair",
            ));
        }
        let (signature, algorithm) = key.sign(Sha256::digest(hex(&root_hash)).into())?;
        let pkcs7 = pkcs7::encode(certificate, algorithm, &signature)
            .expect("all parts of a signature can be encoded");
        Ok(Self { root_hash, fingerprint: certificate.fingerprint(), pkcs7 })
    }

    /// Wraps a PKCS#7 signature of a root hash that another program has made.
    ///
    /// The signature is not verified, which is left to those who trust the certificate. It is only
    /// checked to the extent that a wrong file is rejected.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `pkcs7` is not a detached PKCS#7 signature in DER, or if its signer
    /// is not `certificate`.
    pub fn join(root_hash: [u8; 32], pkcs7: Vec<u8>, certificate: &Certificate) -> Result<Self> {
        pkcs7::check(&pkcs7, certificate)?;
        Ok(Self { root_hash, fingerprint: certificate.fingerprint(), pkcs7 })
    }

    /// Returns the signed root hash.
    #[must_use]
    pub fn root_hash(&self) -> [u8; 32] {
        self.root_hash
    }

    /// Returns the signature alone, as PKCS#7 in DER.
    #[must_use]
    pub fn pkcs7(&self) -> &[u8] {
        &self.pkcs7
    }

    /// Returns the content of the partition: a JSON object, to be padded with zeros to
    /// [`PARTITION_SIZE`].
    ///
    /// # Errors
    /// [`Error::Parameter`] if the certificate is too large for the partition.
    pub fn json(&self) -> Result<String> {
        let [root_hash, fingerprint] = [self.root_hash, self.fingerprint].map(|hash| hex(&hash));
        let signature = Base64::encode_string(&self.pkcs7);
        let json = format!(
            r#"{{"rootHash":"{root_hash}","certificateFingerprint":"{fingerprint}","signature":"{signature}"}}"#
        );
        if json.len() as u64 > PARTITION_SIZE {
            return Err(Error::parameter(
                "signature.certificate",
                format!(
                    "the signature is {} bytes, its partition holds {PARTITION_SIZE}",
                    json.len()
                ),
                "use a smaller certificate",
            ));
        }
        Ok(json)
    }
}
