//! The signed statement by which an application with a certificate signs in instead of sending a secret.
//!
//! Promises: the key never leaves this module; a statement is good for ten minutes and one use. PS256 with the certificate's
//! SHA-256 thumbprint, the form Microsoft asks for. Must not know: how it is sent.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::connector::http::Secret;

/// The value of `client_assertion_type` (RFC 7523, 2.2).
pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// What to do about a certificate or key that cannot be used.
pub const HINT: &str = "certificate_file must be the PEM certificate that is registered with the application, key_file its unencrypted RSA key as PEM";

/// Microsoft's advice is five to ten minutes.
const LIFE: TimeDelta = TimeDelta::minutes(10);
/// Clocks differ: a statement is dated back by so much.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// A certificate or key that cannot be used. Names files, never their content.
#[derive(Debug, thiserror::Error)]
pub enum AssertionError {
    #[error("no certificate can be read from {}", file.display())]
    Certificate {
        file: PathBuf,
        #[source]
        cause: rustls::pki_types::pem::Error,
    },
    #[error("no private key can be read from {}", file.display())]
    Key {
        file: PathBuf,
        #[source]
        cause: rustls::pki_types::pem::Error,
    },
    #[error("the key in {} is no RSA key of 2048 to 8192 bits: {reason}", file.display())]
    Unfit { file: PathBuf, reason: String },
    #[error("the statement could not be signed")]
    Unsigned,
}

/// A key with the thumbprint of its certificate.
pub struct Signer {
    key: RsaKeyPair,
    thumbprint: String,
}

impl Signer {
    /// Reads both files.
    ///
    /// # Errors
    /// [`AssertionError`].
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, AssertionError> {
        let der = CertificateDer::from_pem_file(certificate)
            .map_err(|cause| AssertionError::Certificate { file: certificate.to_owned(), cause })?;
        let private =
            PrivateKeyDer::from_pem_file(key).map_err(|cause| AssertionError::Key { file: key.to_owned(), cause })?;
        let unfit = |reason: String| AssertionError::Unfit { file: key.to_owned(), reason };
        let pair = match &private {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(unfit("another kind of key".to_owned())),
        };
        let key = pair.map_err(|error| unfit(error.to_string()))?;
        Ok(Self { key, thumbprint: URL_SAFE_NO_PAD.encode(Sha256::digest(&der)) })
    }

    /// A statement for that token address by that application (RFC 7519 in RFC 7515's compact form).
    ///
    /// # Errors
    /// [`AssertionError::Unsigned`].
    pub fn sign(&self, audience: &str, client_id: &str, now: DateTime<Utc>) -> Result<Secret, AssertionError> {
        let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint });
        let claims = json!({
            "aud": audience,
            "iss": client_id,
            "sub": client_id,
            "jti": uuid::Uuid::new_v4().to_string(),
            "iat": now.timestamp(),
            "nbf": (now - SKEW).timestamp(),
            "exp": (now + LIFE).timestamp(),
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| AssertionError::Unsigned)?;
        Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}
