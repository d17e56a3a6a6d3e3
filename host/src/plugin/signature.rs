//! Detached signatures of rule files in [minisign](https://jedisct1.github.io/minisign/)'s format (ed25519).
//!
//! Promises: where signatures are required, a file is a rule only if a key that the operator trusts signed exactly its
//! bytes; what is or was built into this host counts as signed. Keys made here work with the minisign program and the other way
//! round. Must not know: where files and keys lie.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign::{KeyPair, PublicKey, SecretKeyBox, SignatureBox};

use super::entry::{SIGNATURE_BYTES_MAX, Source};
use super::limits::clean;
use super::load::{Refused, digest};

/// Bytes of an ed25519 signature.
const SIGNATURE_BYTES: usize = 64;

/// Why a signature does not stand. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    #[error(
        "is not signed, and gate.signatures is \"required\"; sign it: daybridge rules sign FILE --key KEY, and keep FILE.minisig beside it"
    )]
    Missing,
    #[error("has a signature that cannot be read ({0}); sign it again: daybridge rules sign FILE --key KEY")]
    Unreadable(String),
    #[error(
        "is signed with the key {key}, which is not among gate.trusted_keys; sign it with a trusted key, or trust that one"
    )]
    Key { key: String },
    #[error("is not what was signed with the key {key}; copy file and signature again, or sign it again")]
    Content { key: String },
}

/// A key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{0} is no public key in minisign's format (56 letters that begin with RW)")]
    Public(String),
    #[error("this is no secret key without a password in minisign's format: {0}")]
    Secret(String),
    #[error("the system gave no randomness: {0}")]
    Random(String),
}

/// A key whose signatures the operator accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey(PublicKey);

impl TrustedKey {
    /// Reads the one line that `daybridge rules keygen` prints, and the second line of a minisign `.pub` file.
    ///
    /// # Errors
    /// [`KeyError::Public`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        PublicKey::from_base64(text).map(Self).map_err(|_| KeyError::Public(clean(text)))
    }
}

/// Whose files are rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Whether a file without a good signature is refused; else signatures are not looked at.
    pub required: bool,
    pub keys: Vec<TrustedKey>,
}

impl Trust {
    /// Lets a file through, or says why not.
    ///
    /// # Errors
    /// [`Refused::Signature`].
    pub(super) fn check(&self, source: Source) -> Result<Source, Refused> {
        if !self.required || source.built_in {
            return Ok(source);
        }
        let signature = source.signature.as_deref().ok_or(SignatureError::Missing);
        signature.and_then(|signature| self.verify(&source.bytes, signature)).map_err(Refused::Signature)?;
        Ok(source)
    }

    fn verify(&self, bytes: &[u8], signature: &str) -> Result<(), SignatureError> {
        let (signature, key) = read(signature)?;
        let signer = self.keys.iter().find(|trusted| trusted.0.keynum() == signature.keynum());
        let signer = signer.ok_or_else(|| SignatureError::Key { key: key.clone() })?;
        minisign::verify(&signer.0, &signature, Cursor::new(bytes), true, false, true)
            .map_err(|_| SignatureError::Content { key })
    }
}

/// The signature and the key it names, as people write it. Lengths are checked here, since the library relies on them.
fn read(text: &str) -> Result<(SignatureBox, String), SignatureError> {
    let unreadable = |what: &str| SignatureError::Unreadable(clean(what));
    if text.len() as u64 > SIGNATURE_BYTES_MAX {
        return Err(unreadable("it is longer than a signature is"));
    }
    let whole = text.lines().nth(3).and_then(|line| STANDARD.decode(line.trim()).ok());
    if whole.is_none_or(|bytes| bytes.len() != SIGNATURE_BYTES) {
        return Err(unreadable("it has not the four lines of a minisign signature"));
    }
    let signature = SignatureBox::from_string(text).map_err(|error| unreadable(&error.to_string()))?;
    let key = signature.keynum().iter().rev().map(|byte| format!("{byte:02X}")).collect();
    Ok((signature, key))
}

/// Two texts for two files: the public key and the secret key.
///
/// # Errors
/// [`KeyError::Random`].
pub fn new_key() -> Result<(String, String), KeyError> {
    let random = |error: minisign::PError| KeyError::Random(error.to_string());
    let KeyPair { pk, sk } = KeyPair::generate_unencrypted_keypair().map_err(random)?;
    let public = pk.to_box().map_err(random)?.into_string();
    let secret = sk.to_box(Some("Daybridge rule signing key, without a password")).map_err(random)?.into_string();
    Ok((public, secret))
}

/// The signature over a file's bytes, as the text of its `.minisig` file. `name` is what the comment calls the file.
///
/// # Errors
/// [`KeyError::Secret`].
pub fn sign(bytes: &[u8], secret: &str, name: &str) -> Result<String, KeyError> {
    let bad = |error: minisign::PError| KeyError::Secret(clean(&error.to_string()));
    let key = SecretKeyBox::from_string(secret).and_then(SecretKeyBox::into_unencrypted_secret_key).map_err(bad)?;
    let comment = format!("file:{} sha256:{}", clean(name), digest(bytes));
    let signature =
        minisign::sign(None, &key, Cursor::new(bytes), Some(&comment), Some("signature of a Daybridge rule"));
    Ok(signature.map_err(bad)?.into_string())
}
