//! The key and the certificate that root hashes are signed with.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::name::HostPath;
use crate::verity::signature::{Certificate, PrivateKey};

/// Reads the key and the certificate; `None` unless both are given.
pub(super) fn signer(
    key: Option<&Path>,
    certificate: Option<&Path>,
) -> Result<Option<(PrivateKey, Certificate)>> {
    let key = key.map(|path| PrivateKey::from_pem(&file("--private-key", path)?)).transpose()?;
    let certificate = certificate.map(|path| Certificate::from_pem(&file("--certificate", path)?));
    Ok(key.zip(certificate.transpose()?))
}

/// Reads the file that an option names.
pub(super) fn file(parameter: &'static str, path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        let rule = format!("cannot read {}: {error}", HostPath(path));
        Error::parameter(parameter, rule, "give the path of a file")
    })
}
