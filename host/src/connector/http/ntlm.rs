//! The messages by which a client signs a connection in with NTLM (MS-NLMP), version 2 only.
//!
//! Promises: pure; a challenge is read within its bounds whatever it holds; the weak answers of version 1 are never given.
//! The answer is bound to the server's certificate where there is one (RFC 5929 `tls-server-end-point`), so that it is of no
//! use to somebody in between. Must not know: connections, requests.

use hmac::{Hmac, Mac as _};
use md4::{Digest as _, Md4};
use md5::Md5;
use sha2::{Sha256, Sha384, Sha512};

use super::Secret;

const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";
// MS-NLMP 2.2.2.5.
const UNICODE: u32 = 1;
const REQUEST_TARGET: u32 = 1 << 2;
const NTLM: u32 = 1 << 9;
const ALWAYS_SIGN: u32 = 1 << 15;
const EXTENDED_SESSION_SECURITY: u32 = 1 << 19;
const TARGET_INFO: u32 = 1 << 23;
const KEY_128: u32 = 1 << 29;
const KEY_56: u32 = 1 << 31;
const FLAGS: u32 =
    UNICODE | REQUEST_TARGET | NTLM | ALWAYS_SIGN | EXTENDED_SESSION_SECURITY | TARGET_INFO | KEY_128 | KEY_56;

// Kinds of the pairs in a challenge's target information (MS-NLMP 2.2.2.1).
const AV_END: u16 = 0;
const AV_FLAGS: u16 = 6;
const AV_TIMESTAMP: u16 = 7;
const AV_CHANNEL_BINDINGS: u16 = 10;
/// The answer carries a checksum over all three messages.
const AV_FLAG_MIC: u32 = 2;

/// Where the payload of the answer begins: after head, version and checksum.
const PAYLOAD_AT: usize = 88;
const MIC_AT: usize = 72;
/// 100 ns steps from 1601 to 1970.
const FILETIME_OF_1970: i64 = 116_444_736_000_000_000;

/// Who signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NtlmLogin {
    user: String,
    domain: String,
    password: Secret,
}

impl NtlmLogin {
    /// Reads `DOMAIN\account`; anything else, such as a user principal name, is taken as it stands, without a domain.
    pub fn new(login: &str, password: Secret) -> Self {
        let (domain, user) = login.split_once('\\').unwrap_or(("", login));
        Self { user: user.to_owned(), domain: domain.to_owned(), password }
    }
}

/// What else goes into an answer.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The server's certificate, DER.
    pub certificate: Option<&'a [u8]>,
    /// The `Date` of the challenge's HTTP answer: the server's own time, where the challenge has none.
    pub date: Option<&'a str>,
    /// Half of it is the client's challenge.
    pub chance: [u8; 16],
}

/// A challenge that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NtlmError {
    #[error("the challenge is not an NTLM message")]
    NotAChallenge,
    #[error("the challenge ends too early")]
    Short,
    #[error("the server speaks no Unicode")]
    NoUnicode,
}

/// The first message: what this client can do.
pub fn negotiate() -> Vec<u8> {
    let mut message = SIGNATURE.to_vec();
    message.extend_from_slice(&1_u32.to_le_bytes());
    message.extend_from_slice(&FLAGS.to_le_bytes());
    // Neither domain nor workstation.
    message.extend_from_slice(&[0; 16]);
    message
}

/// The third message: the answer to the server's challenge.
///
/// # Errors
/// [`NtlmError`] if the challenge is none.
pub fn authenticate(
    login: &NtlmLogin,
    negotiate: &[u8],
    challenge: &[u8],
    context: &Context<'_>,
) -> Result<Vec<u8>, NtlmError> {
    let Challenge { flags, nonce, target } = Challenge::read(challenge)?;
    let stamped = target.iter().find(|(kind, _)| *kind == AV_TIMESTAMP);
    let time =
        stamped.and_then(|(_, value)| value.as_slice().try_into().ok()).unwrap_or_else(|| filetime(context.date));
    let has_mic = stamped.is_some();
    let info = target_info(target, has_mic, context.certificate);
    let mut client_nonce = [0; 8];
    client_nonce.copy_from_slice(context.chance.split_at(8).0);

    let key = owf(login);
    let (proof, response) = respond(&key, nonce, client_nonce, time, &info);
    // With a time in the challenge the old field must be empty (MS-NLMP 3.1.5.1.2).
    let old = if has_mic {
        vec![0; 24]
    } else {
        let mut old = hmac(&key, &[&nonce, &client_nonce]).to_vec();
        old.extend_from_slice(&client_nonce);
        old
    };
    let mut message = answer(login, flags & FLAGS, &old, &response);
    if has_mic {
        let session = hmac(&key, &[&proof]);
        let mic = hmac(&session, &[negotiate, challenge, &message]);
        if let Some(place) = message.get_mut(MIC_AT..PAYLOAD_AT) {
            place.copy_from_slice(&mic);
        }
    }
    Ok(message)
}

/// Proof and whole response of version 2 (MS-NLMP 3.3.2).
pub fn respond(
    key: &[u8; 16],
    nonce: [u8; 8],
    client_nonce: [u8; 8],
    time: [u8; 8],
    info: &[u8],
) -> ([u8; 16], Vec<u8>) {
    let mut blob = vec![1, 1, 0, 0, 0, 0, 0, 0];
    blob.extend_from_slice(&time);
    blob.extend_from_slice(&client_nonce);
    blob.extend_from_slice(&[0; 4]);
    blob.extend_from_slice(info);
    blob.extend_from_slice(&[0; 4]);
    let proof = hmac(key, &[&nonce, &blob]);
    let mut response = proof.to_vec();
    response.extend_from_slice(&blob);
    (proof, response)
}

/// The key made of user, domain and password (`NTOWFv2`).
pub fn owf(login: &NtlmLogin) -> [u8; 16] {
    let hashed = Md4::digest(utf16(login.password.expose()));
    hmac(&hashed, &[&utf16(&login.user.to_uppercase()), &utf16(&login.domain)])
}

struct Challenge {
    flags: u32,
    nonce: [u8; 8],
    /// Pairs of kind and value, without the end mark.
    target: Vec<(u16, Vec<u8>)>,
}

impl Challenge {
    fn read(message: &[u8]) -> Result<Self, NtlmError> {
        if !message.starts_with(SIGNATURE) || u32_at(message, 8) != Some(2) {
            return Err(NtlmError::NotAChallenge);
        }
        let flags = u32_at(message, 20).ok_or(NtlmError::Short)?;
        if flags & UNICODE == 0 {
            return Err(NtlmError::NoUnicode);
        }
        let nonce = message.get(24..32).and_then(|bytes| bytes.try_into().ok()).ok_or(NtlmError::Short)?;
        let info = match (flags & TARGET_INFO != 0, u16_at(message, 40), u32_at(message, 44)) {
            (false, ..) => &[],
            (true, Some(length), Some(offset)) => {
                let start = usize::try_from(offset).map_err(|_| NtlmError::Short)?;
                let end = start.checked_add(length.into()).ok_or(NtlmError::Short)?;
                message.get(start..end).ok_or(NtlmError::Short)?
            }
            _ => return Err(NtlmError::Short),
        };
        Ok(Self { flags, nonce, target: pairs(info)? })
    }
}

fn pairs(mut info: &[u8]) -> Result<Vec<(u16, Vec<u8>)>, NtlmError> {
    let mut pairs = Vec::new();
    while let Some(kind) = u16_at(info, 0).filter(|kind| *kind != AV_END) {
        let length = u16_at(info, 2).ok_or(NtlmError::Short)?;
        let end = 4 + usize::from(length);
        pairs.push((kind, info.get(4..end).ok_or(NtlmError::Short)?.to_vec()));
        info = info.get(end..).unwrap_or_default();
    }
    Ok(pairs)
}

/// The target information as it goes into the response.
fn target_info(mut pairs: Vec<(u16, Vec<u8>)>, has_mic: bool, certificate: Option<&[u8]>) -> Vec<u8> {
    if has_mic {
        let known = pairs.iter().position(|(kind, _)| *kind == AV_FLAGS).map(|at| pairs.remove(at));
        let flags = known.and_then(|(_, value)| u32_at(&value, 0)).unwrap_or_default() | AV_FLAG_MIC;
        pairs.push((AV_FLAGS, flags.to_le_bytes().to_vec()));
    }
    if let Some(certificate) = certificate {
        pairs.retain(|(kind, _)| *kind != AV_CHANNEL_BINDINGS);
        pairs.push((AV_CHANNEL_BINDINGS, channel_binding(certificate).to_vec()));
    }
    let mut info = Vec::new();
    for (kind, value) in pairs {
        info.extend_from_slice(&kind.to_le_bytes());
        info.extend_from_slice(&u16::try_from(value.len()).unwrap_or_default().to_le_bytes());
        info.extend_from_slice(&value);
    }
    info.extend_from_slice(&[0; 4]);
    info
}

/// MD5 over a `gss_channel_bindings_struct` (RFC 2744) with the certificate's hash (RFC 5929).
pub fn channel_binding(certificate: &[u8]) -> [u8; 16] {
    // Hashes weaker than SHA-256 are replaced by it; stronger ones are kept.
    let hash = match signature_algorithm(certificate) {
        Some([.., 0x0c] | [.., 0x04, 0x03, 0x03]) => Sha384::digest(certificate).to_vec(),
        Some([.., 0x0d] | [.., 0x04, 0x03, 0x04]) => Sha512::digest(certificate).to_vec(),
        _ => Sha256::digest(certificate).to_vec(),
    };
    let mut data = b"tls-server-end-point:".to_vec();
    data.extend_from_slice(&hash);
    let mut hasher = Md5::new();
    hasher.update([0; 16]);
    hasher.update(u32::try_from(data.len()).unwrap_or_default().to_le_bytes());
    hasher.update(&data);
    hasher.finalize().into()
}

/// The object identifier of a certificate's signature algorithm, as bytes: the first element of the second element.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (inside, _) = element(certificate)?;
    let (_, after) = element(inside)?;
    let (algorithm, _) = element(after)?;
    Some(element(algorithm)?.0)
}

/// The content of the first DER element, and what follows it.
fn element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = *bytes.get(1)?;
    let (length, head) = match first {
        0..=0x7f => (usize::from(first), 2),
        0x81..=0x84 => {
            let count = usize::from(first & 0x7f);
            let digits = bytes.get(2..2 + count)?;
            (digits.iter().fold(0_usize, |all, digit| all << 8 | usize::from(*digit)), 2 + count)
        }
        _ => return None,
    };
    let end = head.checked_add(length)?;
    Some((bytes.get(head..end)?, bytes.get(end..)?))
}

fn answer(login: &NtlmLogin, flags: u32, old: &[u8], response: &[u8]) -> Vec<u8> {
    let fields: [&[u8]; 6] = [old, response, &utf16(&login.domain), &utf16(&login.user), &[], &[]];
    let mut message = SIGNATURE.to_vec();
    message.extend_from_slice(&3_u32.to_le_bytes());
    let mut offset = PAYLOAD_AT;
    for field in fields {
        let length = u16::try_from(field.len()).unwrap_or(u16::MAX).to_le_bytes();
        message.extend_from_slice(&length);
        message.extend_from_slice(&length);
        message.extend_from_slice(&u32::try_from(offset).unwrap_or(u32::MAX).to_le_bytes());
        offset += field.len();
    }
    message.extend_from_slice(&flags.to_le_bytes());
    // No version, no checksum yet.
    message.resize(PAYLOAD_AT, 0);
    fields.iter().for_each(|field| message.extend_from_slice(field));
    message
}

/// A server without a time of its own in the challenge says it in the HTTP answer; clocks of two machines never meet.
fn filetime(date: Option<&str>) -> [u8; 8] {
    let parsed = date.and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok());
    let steps = parsed.and_then(|time| time.timestamp().checked_mul(10_000_000)?.checked_add(FILETIME_OF_1970));
    steps.unwrap_or_default().to_le_bytes()
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    // HMAC takes keys of any length.
    let Ok(mut mac) = <Hmac<Md5> as hmac::Mac>::new_from_slice(key) else { return [0; 16] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}
