//! Our own certificate, and whom we trust.
//!
//! Everything lies in one folder of the data directory: `own/cert.der` and `private/private.pem`
//! are ours, `trusted` holds the certificates of servers that people accepted, `rejected` those
//! that came and were not accepted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use opcua_crypto::{CertificateStore, X509, X509Data};
use opcua_types::ByteString;

use crate::OpcUaError;

/// Stands in our certificate and in every session.
pub(crate) const APPLICATION_URI: &str = "urn:plainview:client";
pub(crate) const APPLICATION_NAME: &str = "Plainview";
pub(crate) const CERTIFICATE: &str = "own/cert.der";
pub(crate) const PRIVATE_KEY: &str = "private/private.pem";
const KEY_BITS: u32 = 2_048;
const VALID_DAYS: u32 = 5 * 365;

/// Makes the folders, and our certificate when there is none.
pub(crate) fn prepare(folder: &Path) -> Result<(), OpcUaError> {
    let fail = |error: io::Error| OpcUaError::Certificate(error.to_string());
    for part in ["own", "private", "trusted", "rejected"] {
        fs::create_dir_all(folder.join(part)).map_err(fail)?;
    }
    // The key is never readable by others, not even while it is written.
    restrict(&folder.join("private"), 0o700).map_err(fail)?;
    let (certificate, key) = (folder.join(CERTIFICATE), folder.join(PRIVATE_KEY));
    if certificate.exists() && key.exists() {
        return Ok(());
    }
    let data = X509Data {
        key_size: KEY_BITS,
        common_name: APPLICATION_NAME.to_owned(),
        organization: APPLICATION_NAME.to_owned(),
        organizational_unit: String::new(),
        country: String::new(),
        state: String::new(),
        alt_host_names: X509Data::alt_host_names(APPLICATION_URI, None, false, true, false),
        certificate_duration_days: VALID_DAYS,
    };
    CertificateStore::create_certificate_and_key(&data, true, &certificate, &key)
        .map_err(OpcUaError::Certificate)?;
    restrict(&key, 0o600).map_err(fail)
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn restrict(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Looks whether people have accepted this certificate, by its thumbprint in the settings or by
/// putting it among the trusted. One that is new is put among the rejected, to be looked at.
pub(crate) fn trust(
    folder: &Path,
    certificate: &ByteString,
    accepted: Option<&str>,
) -> Result<(), OpcUaError> {
    let refused = |reason: &dyn std::fmt::Display| OpcUaError::Connect(reason.to_string());
    let certificate = X509::from_byte_string(certificate).map_err(|error| refused(&error))?;
    let thumbprint = certificate.thumbprint().as_hex_string();
    let name = CertificateStore::cert_file_name(&certificate);
    let (trusted, rejected) =
        (folder.join("trusted").join(&name), folder.join("rejected").join(&name));
    let der = certificate.to_der().map_err(|_| refused(&"the server's certificate is damaged"))?;
    let same = |path: &PathBuf| fs::read(path).is_ok_and(|kept| kept == der);
    if let Some(accepted) = accepted {
        if !accepted.eq_ignore_ascii_case(&thumbprint) {
            fs::write(&rejected, &der).map_err(|error| refused(&error))?;
            return Err(OpcUaError::Thumbprint(thumbprint));
        }
        fs::write(&trusted, &der).map_err(|error| refused(&error))?;
    }
    if same(&trusted) {
        // Who copied it over need not also delete it there.
        if rejected.exists() {
            fs::remove_file(&rejected).map_err(|error| refused(&error))?;
        }
        return Ok(());
    }
    fs::write(&rejected, &der).map_err(|error| refused(&error))?;
    let folder = folder.join("rejected").display().to_string();
    Err(OpcUaError::Untrusted { thumbprint, folder })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_trust_is_given_by_people() {
        let dir = tempfile::tempdir().unwrap();
        let ours = dir.path().join("ours");
        prepare(&ours).unwrap();
        let made = fs::read(ours.join(CERTIFICATE)).unwrap();
        prepare(&ours).unwrap();
        assert_eq!(fs::read(ours.join(CERTIFICATE)).unwrap(), made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(ours.join(PRIVATE_KEY)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }

        let theirs = dir.path().join("theirs");
        prepare(&theirs).unwrap();
        let server = ByteString::from(fs::read(theirs.join(CERTIFICATE)).unwrap());
        let Err(OpcUaError::Untrusted { thumbprint, .. }) = trust(&ours, &server, None) else {
            panic!("trusted without being asked");
        };
        assert_eq!(fs::read_dir(ours.join("rejected")).unwrap().count(), 1);
        let other = "0".repeat(40);
        assert!(matches!(trust(&ours, &server, Some(&other)), Err(OpcUaError::Thumbprint(_))));
        trust(&ours, &server, Some(&thumbprint.to_uppercase())).unwrap();
        trust(&ours, &server, None).unwrap();
        assert_eq!(fs::read_dir(ours.join("rejected")).unwrap().count(), 0);
    }
}
