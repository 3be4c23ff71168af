//! Verifies signatures with `openssl`.

use std::ffi::OsStr;
use std::path::Path;

use super::tool::run;
use super::{Verdict, oracle_error};

/// Verifies with `openssl smime` and `openssl cms` that a detached PKCS#7 signature in DER matches
/// `content` and was created with the key of `certificate`.
pub fn verify(signature: &Path, content: &Path, certificate: &Path) -> Verdict {
    for command in ["smime", "cms"] {
        let args: [&OsStr; 15] = [
            command.as_ref(),
            "-verify".as_ref(),
            "-binary".as_ref(),
            "-inform".as_ref(),
            "DER".as_ref(),
            "-purpose".as_ref(),
            "any".as_ref(),
            "-in".as_ref(),
            signature.as_ref(),
            "-content".as_ref(),
            content.as_ref(),
            "-CAfile".as_ref(),
            certificate.as_ref(),
            "-out".as_ref(),
            "/dev/null".as_ref(),
        ];
        let said = run("openssl", args);
        if !said.ok {
            return oracle_error(format!("openssl {command}: {}", said.all()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tool::flip;
    use super::super::tool::shell;
    use super::*;

    #[test]
    fn a_wrong_signature_is_found() {
        let scratch = tempfile::tempdir().unwrap();
        let script = "cd $1
            for name in own other; do
                openssl req -x509 -newkey rsa:2048 -nodes -keyout $name.key -out $name.crt \
                    -subj /CN=$name -days 36500 2>/dev/null
            done
            printf content > content; printf Content > changed
            openssl smime -sign -binary -noattr -in content -inkey own.key -signer own.crt \
                -outform DER -out signature";
        shell(script, &[scratch.path()]);
        let path = |name| scratch.path().join(name);
        verify(&path("signature"), &path("content"), &path("own.crt")).unwrap();
        verify(&path("signature"), &path("changed"), &path("own.crt")).unwrap_err();
        verify(&path("signature"), &path("content"), &path("other.crt")).unwrap_err();
        let len = std::fs::metadata(path("signature")).unwrap().len();
        flip(&path("signature"), len - 1);
        verify(&path("signature"), &path("content"), &path("own.crt")).unwrap_err();
    }
}
