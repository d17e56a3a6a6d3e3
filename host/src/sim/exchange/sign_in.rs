//! How a request signs in: Basic, or NTLM version 2 on its connection (MS-NLMP), with code and words of its own.
//!
//! Promises: NTLM signs in the connection it was answered on and no other; a challenge is good for one answer; an answer that
//! says it carries a checksum over the three messages (MIC) must carry the right one. Must not know: EWS, HTTP routes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::connect_info::Connected;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac};
use md4::{Digest, Md4};
use md5::Md5;
use tokio::net::TcpListener;

use super::store::{Account, World};

/// A way to sign in that a server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Basic,
    Ntlm,
}

/// One connection, and who is signed in on it.
#[derive(Clone, Debug, Default)]
pub struct Connection(Arc<Mutex<Ntlm>>);

#[derive(Debug, Default)]
enum Ntlm {
    #[default]
    Stranger,
    /// First and second message, and the challenge in the latter.
    Challenged {
        negotiate: Vec<u8>,
        challenge: Vec<u8>,
        nonce: [u8; 8],
    },
    SignedIn(usize),
}

impl Connection {
    fn lock(&self) -> MutexGuard<'_, Ntlm> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected<IncomingStream<'_, TcpListener>> for Connection {
    fn connect_info(_: IncomingStream<'_, TcpListener>) -> Self {
        Self::default()
    }
}

/// The account a request signs in as, or what the server answers instead.
pub fn sign_in(
    world: &World,
    offered: &[Scheme],
    connection: &Connection,
    headers: &HeaderMap,
) -> Result<usize, Response> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((scheme, token)) = given.and_then(|given| given.split_once(' ')) else {
        return match *connection.lock() {
            Ntlm::SignedIn(account) => Ok(account),
            _ => Err(unauthorized(offered, None)),
        };
    };
    let is = |name: &str, scheme_of: Scheme| scheme.eq_ignore_ascii_case(name) && offered.contains(&scheme_of);
    if is("Basic", Scheme::Basic) {
        return basic(world, token).ok_or_else(|| unauthorized(offered, None));
    }
    if is("NTLM", Scheme::Ntlm) {
        return ntlm(world, connection, token).map_err(|challenge| unauthorized(offered, challenge));
    }
    Err(unauthorized(offered, None))
}

fn unauthorized(offered: &[Scheme], challenge: Option<Vec<u8>>) -> Response {
    let mut answer = StatusCode::UNAUTHORIZED.into_response();
    let offers: Vec<String> = match challenge {
        Some(challenge) => vec![format!("NTLM {}", STANDARD.encode(challenge))],
        None => offered
            .iter()
            .map(|scheme| match scheme {
                Scheme::Basic => "Basic realm=\"Exchange simulator\"".to_owned(),
                Scheme::Ntlm => "NTLM".to_owned(),
            })
            .collect(),
    };
    for offer in offers.iter().filter_map(|offer| HeaderValue::from_str(offer).ok()) {
        answer.headers_mut().append(header::WWW_AUTHENTICATE, offer);
    }
    answer
}

fn basic(world: &World, token: &str) -> Option<usize> {
    let decoded = String::from_utf8(STANDARD.decode(token.trim()).ok()?).ok()?;
    let (login, password) = decoded.split_once(':')?;
    let (_, login) = login.split_once('\\').unwrap_or(("", login));
    world.accounts.iter().position(|account| is_login(account, login) && account.password == password)
}

fn is_login(account: &Account, login: &str) -> bool {
    account.login.eq_ignore_ascii_case(login) || account.address.eq_ignore_ascii_case(login)
}

/// One step of the handshake. The error is the next challenge, or nothing for a refusal.
fn ntlm(world: &World, connection: &Connection, token: &str) -> Result<usize, Option<Vec<u8>>> {
    let message = STANDARD.decode(token.trim()).map_err(|_| None)?;
    let kind = message.strip_prefix(SIGNATURE).and_then(|rest| u32_at(rest, 0));
    let mut state = connection.lock();
    match (kind, std::mem::take(&mut *state)) {
        (Some(1), _) => {
            let flags = u32_at(&message, 12).ok_or(None)?;
            let nonce = world.clock.chance().to_bits().to_be_bytes();
            let challenge = challenge(flags, nonce, world.clock.now());
            *state = Ntlm::Challenged { negotiate: message, challenge: challenge.clone(), nonce };
            Err(Some(challenge))
        }
        (Some(3), Ntlm::Challenged { negotiate, challenge, nonce }) => {
            let answer = Answer::read(&message).ok_or(None)?;
            let fits = |account: &Account| {
                is_login(account, &answer.user) && answer.is_right(account, nonce, [&negotiate, &challenge, &message])
            };
            let account = world.accounts.iter().position(fits).ok_or(None)?;
            *state = Ntlm::SignedIn(account);
            Ok(account)
        }
        _ => Err(None),
    }
}

const SIGNATURE: &[u8] = b"NTLMSSP\0";
/// Unicode, target, NTLM, always sign, extended session security, 128 and 56 bit keys.
const SUPPORTED: u32 = 0x0000_0001 | 0x0000_0004 | 0x0000_0200 | 0x0000_8000 | 0x0008_0000 | 0x2000_0000 | 0x8000_0000;
/// The target is a domain; target information and version are there.
const SAID: u32 = 0x0001_0000 | 0x0080_0000 | 0x0200_0000;
const CHALLENGE_HEAD: u32 = 56;
const MIC: std::ops::Range<usize> = 72..88;
const FLAGS_PAIR: u16 = 6;
const HAS_MIC: u32 = 2;

/// The second message.
fn challenge(flags: u32, nonce: [u8; 8], now: DateTime<Utc>) -> Vec<u8> {
    let name = utf16("EXAMPLE");
    let time = (now.timestamp_micros() + 11_644_473_600_000_000) * 10;
    let mut info = Vec::new();
    let pairs: [(u16, Vec<u8>); 5] = [
        (2, name.clone()),
        (1, utf16("EXCHANGE")),
        (4, utf16("example.test")),
        (3, utf16("exchange.example.test")),
        (7, time.to_le_bytes().to_vec()),
    ];
    for (kind, value) in pairs {
        info.extend(kind.to_le_bytes());
        info.extend(u16::try_from(value.len()).unwrap_or_default().to_le_bytes());
        info.extend(value);
    }
    info.extend([0; 4]);
    let buffer = |length: usize, offset: usize| {
        let length = u16::try_from(length).unwrap_or_default().to_le_bytes();
        [&length[..], &length[..], &(CHALLENGE_HEAD + u32::try_from(offset).unwrap_or_default()).to_le_bytes()[..]]
            .concat()
    };
    let mut message = SIGNATURE.to_vec();
    message.extend(2_u32.to_le_bytes());
    message.extend(buffer(name.len(), 0));
    message.extend(((flags & SUPPORTED) | SAID).to_le_bytes());
    message.extend(nonce);
    message.extend([0; 8]);
    message.extend(buffer(info.len(), name.len()));
    // Windows Server 2019, NTLM revision 15.
    message.extend([10, 0, 0x63, 0x45, 0, 0, 0, 15]);
    message.extend(name);
    message.extend(info);
    message
}

/// What counts of a third message.
struct Answer {
    user: String,
    domain: String,
    proof: Vec<u8>,
    /// What the proof is made over, beside the challenge.
    blob: Vec<u8>,
    has_mic: bool,
}

impl Answer {
    fn read(message: &[u8]) -> Option<Self> {
        let field = |at: usize| {
            let length = usize::from(u16::from_le_bytes(message.get(at..at + 2)?.try_into().ok()?));
            let offset = usize::try_from(u32_at(message, at + 4)?).ok()?;
            message.get(offset..offset.checked_add(length)?)
        };
        let (proof, blob) = field(20)?.split_at_checked(16)?;
        // Version 1 answers have 24 bytes and no pairs.
        let pairs = blob.get(28..)?;
        let has_mic = flags_in(pairs).is_some_and(|flags| flags & HAS_MIC != 0);
        let (domain, user) = (from_utf16(field(28)?)?, from_utf16(field(36)?)?);
        Some(Self { user, domain, proof: proof.to_vec(), blob: blob.to_vec(), has_mic })
    }

    fn is_right(&self, account: &Account, nonce: [u8; 8], messages: [&[u8]; 3]) -> bool {
        let hashed = Md4::digest(utf16(&account.password));
        let key = keyed(&hashed, &[&utf16(&self.user.to_uppercase()), &utf16(&self.domain)]);
        let proof = keyed(&key, &[&nonce, &self.blob]);
        if proof != self.proof {
            return false;
        }
        if !self.has_mic {
            return true;
        }
        let [negotiate, challenge, answer] = messages;
        let mut bare = answer.to_vec();
        let Some(place) = bare.get_mut(MIC) else { return false };
        let given = place.to_vec();
        place.fill(0);
        keyed(&keyed(&key, &[&proof]), &[negotiate, challenge, &bare]) == given
    }
}

fn flags_in(mut pairs: &[u8]) -> Option<u32> {
    loop {
        let kind = u16::from_le_bytes(pairs.get(..2)?.try_into().ok()?);
        let length = usize::from(u16::from_le_bytes(pairs.get(2..4)?.try_into().ok()?));
        match kind {
            0 => return None,
            FLAGS_PAIR => return u32_at(pairs, 4),
            _ => pairs = pairs.get(4 + length..)?,
        }
    }
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = <Hmac<Md5> as Mac>::new_from_slice(key) else { return Vec::new() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn from_utf16(bytes: &[u8]) -> Option<String> {
    let units: Vec<u16> =
        bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(u16::from_le_bytes)).collect();
    String::from_utf16(&units).ok()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}
