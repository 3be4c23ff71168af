//! The signing key.

use std::fmt;

use der::asn1::{AnyRef, ObjectIdentifier};
use p256::ecdsa::signature::hazmat::PrehashSigner;
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{DecodePrivateKey, EncodePublicKey, PrivateKeyInfoRef};
use rsa::Pkcs1v15Sign;
use rsa::pkcs1::DecodeRsaPrivateKey;
use sha2::Sha256;

use super::pem::{self, Block};
use crate::error::{Error, Result};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// A private key: RSA, or ECDSA with P-256 or P-384.
pub struct PrivateKey(Kind);

enum Kind {
    Rsa(Box<rsa::PrivateKey>),
    P256(p256::SecretKey),
    P384(p384::SecretKey),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey").field(&self.name()).finish()
    }
}

fn refuse(rule: impl Into<String>, remedy: &str) -> Error {
    Error::parameter("signature.key", rule, remedy)
}

const REMEDY: &str = "use an RSA, P-256 or P-384 key in PEM";

fn damaged(error: impl fmt::Display) -> Error {
    refuse(format!("cannot be decoded: {error}"), REMEDY)
}

impl PrivateKey {
    /// Parses the first private key of a PEM file, in PKCS#8 or in the older format of its kind.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the file contains no private key, or one that is encrypted, damaged
    /// or of another kind.
    pub fn from_pem(file: &[u8]) -> Result<Self> {
        let is_key = |block: &Block<'_>| block.label.ends_with("PRIVATE KEY");
        let block = pem::blocks(file)
            .find(is_key)
            .ok_or_else(|| refuse("file contains no private key", REMEDY))?;
        if block.label == "ENCRYPTED PRIVATE KEY" || block.is_encrypted() {
            let remedy = "decrypt it first: openssl pkey -in KEY -out DECRYPTED";
            return Err(refuse("key is encrypted", remedy));
        }
        let der = block.decode().ok_or_else(|| refuse("not valid base64", REMEDY))?;
        let kind = match block.label {
            "PRIVATE KEY" => from_pkcs8(&der)?,
            "RSA PRIVATE KEY" => {
                Kind::Rsa(Box::new(rsa::PrivateKey::from_pkcs1_der(&der).map_err(damaged)?))
            }
            "EC PRIVATE KEY" => match p256::SecretKey::from_sec1_der(&der) {
                Ok(key) => Kind::P256(key),
                Err(_) => Kind::P384(p384::SecretKey::from_sec1_der(&der).map_err(damaged)?),
            },
            label => return Err(refuse(format!("unsupported key type: {label}"), REMEDY)),
        };
        Ok(Self(kind))
    }

    fn name(&self) -> &'static str {
        match self.0 {
            Kind::Rsa(_) => "RSA",
            Kind::P256(_) => "P-256",
            Kind::P384(_) => "P-384",
        }
    }

    /// Returns the corresponding `SubjectPublicKeyInfo` in DER.
    pub(super) fn public_key(&self) -> Vec<u8> {
        let public_key = match &self.0 {
            Kind::Rsa(key) => key.to_public_key().to_public_key_der(),
            Kind::P256(key) => key.public_key().to_public_key_der(),
            Kind::P384(key) => key.public_key().to_public_key_der(),
        };
        public_key.expect("a public key can be encoded").into_vec()
    }

    /// Returns the signature of a SHA-256 digest, and its algorithm.
    pub(super) fn sign(
        &self,
        digest: [u8; 32],
    ) -> Result<(Vec<u8>, AlgorithmIdentifierRef<'static>)> {
        let ecdsa = AlgorithmIdentifierRef { oid: ECDSA_WITH_SHA256, parameters: None };
        let short = |_| refuse("key is too short to sign with", "use an RSA key of 2048 bits");
        Ok(match &self.0 {
            Kind::Rsa(key) => {
                let signature = key.sign(Pkcs1v15Sign::new::<Sha256>(), &digest).map_err(short)?;
                let parameters = Some(AnyRef::NULL);
                (signature, AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters })
            }
            Kind::P256(key) => {
                let signature: p256::ecdsa::Signature =
                    p256::ecdsa::SigningKey::from(key).sign_prehash(&digest).expect(LONG_ENOUGH);
                (signature.to_der().as_bytes().to_vec(), ecdsa)
            }
            Kind::P384(key) => {
                let signature: p384::ecdsa::Signature =
                    p384::ecdsa::SigningKey::from(key).sign_prehash(&digest).expect(LONG_ENOUGH);
                (signature.to_der().as_bytes().to_vec(), ecdsa)
            }
        })
    }
}

const LONG_ENOUGH: &str = "a digest has at least half of the bits of the curve";

fn from_pkcs8(der: &[u8]) -> Result<Kind> {
    let info = PrivateKeyInfoRef::try_from(der).map_err(damaged)?;
    let curve = info.algorithm.parameters_oid().ok();
    match (info.algorithm.oid, curve) {
        (RSA_ENCRYPTION, _) => {
            let key = rsa::PrivateKey::from_pkcs8_der(der).map_err(damaged)?;
            Ok(Kind::Rsa(Box::new(key)))
        }
        (EC_PUBLIC_KEY, Some(<p256::NistP256 as pkcs8::AssociatedOid>::OID)) => {
            p256::SecretKey::from_pkcs8_der(der).map(Kind::P256).map_err(damaged)
        }
        (EC_PUBLIC_KEY, Some(<p384::NistP384 as pkcs8::AssociatedOid>::OID)) => {
            p384::SecretKey::from_pkcs8_der(der).map(Kind::P384).map_err(damaged)
        }
        (oid, curve) => {
            let kind = curve.unwrap_or(oid);
            Err(refuse(format!("unsupported key type: {kind}"), REMEDY))
        }
    }
}
