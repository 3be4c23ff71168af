//! The certificate of the signing key.

use std::fmt;

use der::{Decode, Encode};
use sha2::{Digest, Sha256};

use super::pem;
use crate::error::{Error, Result};

/// An X.509 certificate.
#[derive(Clone)]
pub struct Certificate {
    /// The original encoding. Re-encoding could change the bytes and thereby invalidate the
    /// certificate's own signature.
    der: Vec<u8>,
    decoded: x509_cert::Certificate,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.decoded.tbs_certificate().subject();
        f.debug_struct("Certificate").field("subject", &subject.to_string()).finish()
    }
}

impl Certificate {
    /// Parses the first certificate of a PEM file.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the file contains no certificate or a damaged one.
    pub fn from_pem(file: &[u8]) -> Result<Self> {
        let refuse = |rule: String| {
            Error::parameter("signature.certificate", rule, "use an X.509 certificate in PEM")
        };
        let block = pem::blocks(file)
            .find(|block| matches!(block.label, "CERTIFICATE" | "X509 CERTIFICATE"))
            .ok_or_else(|| refuse("file contains no certificate".to_owned()))?;
        let der = block.decode().ok_or_else(|| refuse("not valid base64".to_owned()))?;
        let decoded = x509_cert::Certificate::from_der(&der)
            .map_err(|error| refuse(format!("cannot be decoded: {error}")))?;
        Ok(Self { der, decoded })
    }

    /// Returns the SHA-256 of the certificate in DER, by which userspace finds it.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the `SubjectPublicKeyInfo` in DER.
    pub(super) fn public_key(&self) -> Vec<u8> {
        encoded(self.decoded.tbs_certificate().subject_public_key_info())
    }

    /// Returns the issuer's name in DER.
    pub(super) fn issuer(&self) -> Vec<u8> {
        encoded(self.decoded.tbs_certificate().issuer())
    }

    /// Returns the serial number in DER.
    pub(super) fn serial_number(&self) -> Vec<u8> {
        encoded(self.decoded.tbs_certificate().serial_number())
    }
}

fn encoded(value: &impl Encode) -> Vec<u8> {
    value.to_der().expect("decoded values can be encoded")
}
