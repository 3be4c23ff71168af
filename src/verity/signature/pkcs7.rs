//! PKCS#7 signed data (RFC 2315, and RFC 5652 for data from other programs), with the field names
//! of the RFCs.

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, SetOfVec};
use der::{Decode, Encode, Sequence};
use pkcs8::spki::AlgorithmIdentifierRef;

use super::certificate::Certificate;
use crate::error::{Error, Result};

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

#[derive(Sequence)]
struct ContentInfo<'a> {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: SignedData<'a>,
}

#[derive(Sequence)]
struct SignedData<'a> {
    version: u8,
    digest_algorithms: SetOfVec<AlgorithmIdentifierRef<'a>>,
    content_info: DetachedContent,
    /// A set, but not every program sorts it.
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    certificates: Option<Vec<AnyRef<'a>>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    crls: Option<Vec<AnyRef<'a>>>,
    /// Each element is a [`SignerInfo`].
    signer_infos: SetOfVec<AnyRef<'a>>,
}

/// A `ContentInfo` without content.
#[derive(Sequence)]
struct DetachedContent {
    content_type: ObjectIdentifier,
}

#[derive(Sequence)]
struct SignerInfo<'a> {
    version: u8,
    issuer_and_serial_number: IssuerAndSerialNumber<'a>,
    digest_algorithm: AlgorithmIdentifierRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    authenticated_attributes: Option<Vec<AnyRef<'a>>>,
    digest_encryption_algorithm: AlgorithmIdentifierRef<'a>,
    encrypted_digest: &'a OctetStringRef,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    unauthenticated_attributes: Option<Vec<AnyRef<'a>>>,
}

#[derive(Sequence)]
struct IssuerAndSerialNumber<'a> {
    issuer: AnyRef<'a>,
    serial_number: AnyRef<'a>,
}

/// Encodes signed data with one signature, detached, and with the certificate.
pub(super) fn encode(
    certificate: &Certificate,
    algorithm: AlgorithmIdentifierRef<'_>,
    signature: &[u8],
) -> Result<Vec<u8>, der::Error> {
    let sha_256 = AlgorithmIdentifierRef { oid: SHA_256, parameters: Some(AnyRef::NULL) };
    let signer_info = SignerInfo {
        version: 1,
        issuer_and_serial_number: IssuerAndSerialNumber {
            issuer: AnyRef::from_der(&certificate.issuer())?,
            serial_number: AnyRef::from_der(&certificate.serial_number())?,
        },
        digest_algorithm: sha_256,
        authenticated_attributes: None,
        digest_encryption_algorithm: algorithm,
        encrypted_digest: OctetStringRef::new(signature)?,
        unauthenticated_attributes: None,
    }
    .to_der()?;
    let content = SignedData {
        version: 1,
        digest_algorithms: SetOfVec::try_from(vec![sha_256])?,
        content_info: DetachedContent { content_type: DATA },
        certificates: Some(vec![AnyRef::from_der(certificate.der())?]),
        crls: None,
        signer_infos: SetOfVec::try_from(vec![AnyRef::from_der(&signer_info)?])?,
    };
    ContentInfo { content_type: SIGNED_DATA, content }.to_der()
}

/// Checks that bytes are signed data of the required form, with `certificate` as a signer.
pub(super) fn check(pkcs7: &[u8], certificate: &Certificate) -> Result<()> {
    let refuse = |rule: String| {
        let remedy =
            "use a detached PKCS#7 signature in DER, made with the key of `signature.certificate`";
        Error::parameter("signature.joined", rule, remedy)
    };
    let damaged = |error| refuse(format!("cannot be decoded: {error}"));
    let info = ContentInfo::from_der(pkcs7).map_err(damaged)?;
    if info.content_type != SIGNED_DATA {
        return Err(refuse(format!("not signed data but {}", info.content_type)));
    }
    for signer_info in info.content.signer_infos.iter() {
        let signer: SignerInfo<'_> = signer_info.decode_as().map_err(damaged)?;
        let IssuerAndSerialNumber { issuer, serial_number } = signer.issuer_and_serial_number;
        let [issuer, serial_number] = [issuer, serial_number].map(|value| value.to_der());
        if issuer.as_ref() == Ok(&certificate.issuer())
            && serial_number.as_ref() == Ok(&certificate.serial_number())
        {
            return Ok(());
        }
    }
    Err(refuse("not made with the key of the certificate".to_owned()))
}
