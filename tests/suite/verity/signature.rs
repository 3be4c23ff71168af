//! Signatures of root hashes, with keys that `openssl` makes.

use std::fs;
use std::path::PathBuf;

use detfs::verity::signature::{Certificate, PARTITION_SIZE, PrivateKey, Signature};
use tempfile::TempDir;

use crate::oracle::openssl::verify;
use crate::oracle::shell;

const ROOT_HASH: [u8; 32] = [
    0x05, 0xc9, 0x82, 0x84, 0x18, 0xf5, 0x0f, 0x13, 0xbe, 0xf6, 0x06, 0xef, 0x78, 0xb5, 0xbe, 0x5c,
    0x60, 0x8a, 0xeb, 0x9d, 0x29, 0x2e, 0x66, 0xe8, 0x1f, 0x4a, 0x2b, 0xbd, 0x16, 0x6f, 0xf0, 0x29,
];
const HEX: &str = "05c9828418f50f13bef606ef78b5be5c608aeb9d292e66e81f4a2bbd166ff029";

/// The files of a test.
struct Files(TempDir);

impl Files {
    /// Made by a shell script in an empty directory.
    fn new(script: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        shell(&format!("exec 2>&1; cd $1; {script}"), &[scratch.path()]);
        Self(scratch)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn certificate(&self, name: &str) -> Certificate {
        Certificate::from_pem(&self.read(name)).unwrap()
    }

    fn sign(&self, key: &str, certificate: &str) -> detfs::Result<Signature> {
        let key = PrivateKey::from_pem(&self.read(key))?;
        Signature::sign(ROOT_HASH, &key, &self.certificate(certificate))
    }
}

/// With the same key and certificate, systemd-repart 262.1 made `signature.json`.
#[test]
fn the_partition_is_that_of_systemd_repart() {
    let key = PrivateKey::from_pem(include_bytes!("../../../testdata/verity/key.pem")).unwrap();
    let certificate = include_bytes!("../../../testdata/verity/certificate.pem");
    let certificate = Certificate::from_pem(certificate).unwrap();
    let signature = Signature::sign(ROOT_HASH, &key, &certificate).unwrap();
    let theirs = include_str!("../../../testdata/verity/signature.json");
    assert_eq!(signature.json().unwrap(), theirs);
    let joined = Signature::join(ROOT_HASH, signature.pkcs7().to_vec(), &certificate).unwrap();
    assert_eq!(joined, signature);
}

/// All kinds of keys, in all forms that `openssl` writes them in.
#[test]
#[ignore = "takes seconds"]
fn openssl_verifies_signatures() {
    let files = Files::new(
        "for bits in 1024 2048 3072 4096; do openssl genrsa -out rsa$bits $bits; done
        openssl rsa -in rsa2048 -traditional -out rsa2048-pkcs1
        for curve in prime256v1 secp384r1; do
            openssl ecparam -name $curve -genkey -out $curve
            openssl pkcs8 -topk8 -nocrypt -in $curve -out $curve-pkcs8
        done
        for key in *; do
            openssl req -x509 -text -key $key -out $key.crt -subj '/O=Test Ü/CN='$key -days 36500
        done",
    );
    fs::write(files.path("content"), HEX).unwrap();
    fs::write(files.path("other"), HEX.to_uppercase()).unwrap();
    for key in [
        "rsa1024",
        "rsa2048",
        "rsa2048-pkcs1",
        "rsa3072",
        "rsa4096",
        "prime256v1",
        "prime256v1-pkcs8",
        "secp384r1",
        "secp384r1-pkcs8",
    ] {
        let certificate = format!("{key}.crt");
        let signature = files.sign(key, &certificate).expect(key);
        assert_eq!(signature, files.sign(key, &certificate).unwrap(), "{key}");
        let path = files.path("signature");
        fs::write(&path, signature.pkcs7()).unwrap();
        verify(&path, &files.path("content"), &files.path(&certificate)).expect(key);
        verify(&path, &files.path("other"), &files.path(&certificate)).expect_err(key);

        let json = signature.json().unwrap();
        assert!(json.len() as u64 <= PARTITION_SIZE);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["rootHash"], HEX);
        let fingerprint =
            shell("openssl x509 -in $1 -outform DER | sha256sum", &[&files.path(&certificate)]);
        assert_eq!(json["certificateFingerprint"], fingerprint.split(' ').next().unwrap());
    }
}

#[test]
fn what_can_not_sign_is_refused() {
    let files = Files::new(
        "openssl genrsa -out rsa 2048
        openssl genrsa -out other 2048
        openssl ecparam -name prime256v1 -genkey -noout -out ec
        openssl genpkey -algorithm ed25519 -out ed25519
        openssl ecparam -name secp521r1 -genkey -noout -out p521
        openssl pkcs8 -topk8 -nocrypt -in p521 -out p521-pkcs8
        openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out pss
        openssl dsaparam -genkey -out dsa 1024
        openssl rsa -in rsa -aes128 -passout pass:x -out encrypted
        openssl rsa -in rsa -traditional -aes128 -passout pass:x -out encrypted-pkcs1
        openssl rsa -in rsa -pubout -out public
        echo garbage > garbage; : > empty
        head -c 600 rsa > cut
        sed '3s/^..../AAAA/' rsa > changed
        sed '3s/^./*/' rsa > damaged
        openssl req -x509 -key rsa -out crt -subj /CN=test -days 36500",
    );
    for (key, rule) in [
        ("other", "key does not match the certificate; "),
        ("ec", "key does not match the certificate; "),
        ("ed25519", "unsupported key type: 1.3.101.112; "),
        ("p521", "cannot be decoded: "),
        ("p521-pkcs8", "unsupported key type: 1.3.132.0.35; "),
        ("pss", "unsupported key type: 1.2.840.113549.1.1.10; "),
        ("dsa", "unsupported key type: "),
        ("encrypted", "key is encrypted; decrypt it first: "),
        ("encrypted-pkcs1", "key is encrypted; decrypt it first: "),
        ("public", "file contains no private key; "),
        ("garbage", "file contains no private key; "),
        ("empty", "file contains no private key; "),
        ("cut", "file contains no private key; "),
        ("changed", ""),
        ("damaged", "not valid base64; "),
        ("crt", "file contains no private key; "),
    ] {
        let error = files.sign(key, "crt").expect_err(key);
        let text = error.to_string();
        assert!(text.starts_with(&format!("--private-key: {rule}")), "{key}: {text}");
        assert_eq!(error.exit_code(), 2);
    }
    for (certificate, rule) in
        [("rsa", "file contains no certificate; "), ("empty", "file contains no certificate; ")]
    {
        let error = Certificate::from_pem(&files.read(certificate)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("--certificate: {rule}")), "{error}");
    }
    let damaged = String::from_utf8(files.read("crt")).unwrap();
    for (from, to, rule) in
        [("MII", "M*I", "not valid base64"), ("MII", "MIA", "cannot be decoded")]
    {
        let damaged = damaged.replacen(from, to, 1);
        let error = Certificate::from_pem(damaged.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("--certificate: {rule}")), "{error}");
    }
}

#[test]
fn signatures_that_others_made_are_joined() {
    let files = Files::new(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out crt -subj /CN=a -days 36500
        openssl req -x509 -newkey rsa:2048 -nodes -keyout key2 -out crt2 -subj /CN=b -days 36500
        echo content > content
        sign='openssl smime -sign -binary -in content -inkey key -signer crt -outform'
        $sign DER -out attributes
        $sign DER -noattr -out plain
        $sign DER -noattr -certfile crt2 -out two
        $sign DER -noattr -nocerts -out none
        openssl cms -sign -binary -in content -inkey key -signer crt -outform DER -out cms
        $sign DER -noattr -nodetach -out attached
        $sign PEM -noattr -out pem
        openssl smime -sign -binary -in content -inkey key2 -signer crt2 -outform DER -out other
        openssl smime -encrypt -binary -in content -outform DER -out enveloped crt
        openssl x509 -in crt -outform DER -out crt.der
        head -c 900 plain > cut; : > empty; cat plain content > longer",
    );
    let certificate = files.certificate("crt");
    for name in ["attributes", "plain", "two", "none", "cms"] {
        let pkcs7 = files.read(name);
        let signature = Signature::join(ROOT_HASH, pkcs7.clone(), &certificate).expect(name);
        assert_eq!((signature.root_hash(), signature.pkcs7()), (ROOT_HASH, &*pkcs7), "{name}");
    }
    for (name, rule) in [
        ("attached", "cannot be decoded"),
        ("pem", "cannot be decoded"),
        ("other", "not made with the key of the certificate"),
        ("enveloped", ""),
        ("crt.der", "cannot be decoded"),
        ("cut", "cannot be decoded"),
        ("empty", "cannot be decoded"),
        ("longer", "cannot be decoded"),
    ] {
        let error = Signature::join(ROOT_HASH, files.read(name), &certificate).expect_err(name);
        let text = error.to_string();
        assert!(text.starts_with(&format!("--join-signature: {rule}")), "{name}: {text}");
    }
}
