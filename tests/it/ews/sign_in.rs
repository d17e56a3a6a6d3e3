//! Signing in: NTLM by its documented examples, and over real connections.

use std::time::Duration;

use daybridge::connector::ews::EwsConnector;
use daybridge::connector::ews::config::{EwsConfig, SignIn};
use daybridge::connector::http::Secret;
use daybridge::connector::http::ntlm::{
    Context, NtlmError, NtlmLogin, authenticate, channel_binding, negotiate, owf, respond,
};
use daybridge::connector::{Connector as _, Problem};
use daybridge::model::{Field, Mail, Seen, Value};
use daybridge::sim::exchange::{Options, Scheme};
use daybridge::sim::fault::{Fault, Kind};
use proptest::prelude::*;

use super::answers::{Canned, Say};
use super::sim::{Sim, draft, key, susan, terry};
use crate::http;

/// The example of MS-NLMP 4.2.4: user `User`, domain `Domain`, password `Password`.
#[test]
fn the_documented_example_comes_out() {
    let login = NtlmLogin::new("Domain\\User", Secret::new("Password"));
    let key = owf(&login);
    assert_eq!(hex(&key), "0c868a403bfd7a93a3001ef22ef02e3f");
    let mut info = Vec::new();
    for (kind, name) in [(2_u16, "Domain"), (1, "Server")] {
        info.extend(kind.to_le_bytes());
        info.extend(12_u16.to_le_bytes());
        info.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
    }
    info.extend([0; 4]);
    let nonce = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
    let (proof, response) = respond(&key, nonce, [0xaa; 8], [0; 8], &info);
    assert_eq!(hex(&proof), "68cd0ab851e51c96aabc927bebef6a1c");
    assert!(response.starts_with(&proof));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn answer(challenge: &[u8]) -> Result<Vec<u8>, NtlmError> {
    let context = Context { certificate: None, date: None, chance: [7; 16] };
    authenticate(&NtlmLogin::new("d\\u", Secret::new("p")), &negotiate(), challenge, &context)
}

#[test]
fn a_challenge_that_is_none_is_refused() {
    let head = |flags: u32| {
        let mut message = b"NTLMSSP\0\x02\0\0\0\0\0\0\0\x38\0\0\0".to_vec();
        message.extend(flags.to_le_bytes());
        message.extend([1; 8]);
        message.extend([0; 16]);
        message.extend([0; 8]);
        message
    };
    assert_eq!(answer(b"nonsense").unwrap_err(), NtlmError::NotAChallenge);
    assert_eq!(answer(&negotiate()).unwrap_err(), NtlmError::NotAChallenge);
    assert_eq!(answer(&head(0)).unwrap_err(), NtlmError::NoUnicode);
    assert_eq!(answer(&head(1)[..30]).unwrap_err(), NtlmError::Short);
    // Target information that would lie beyond the end.
    let mut beyond = head(1 | 1 << 23);
    beyond[40..48].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xf0, 0xff, 0xff, 0xff]);
    assert_eq!(answer(&beyond).unwrap_err(), NtlmError::Short);
    answer(&head(1)).unwrap();
}

proptest! {
    /// Whatever a server sends as a challenge is answered or refused.
    #[test]
    fn no_challenge_does_harm(mut message in proptest::collection::vec(any::<u8>(), 0..200), is_one in any::<bool>()) {
        if is_one && message.len() >= 12 {
            message[..12].copy_from_slice(b"NTLMSSP\0\x02\0\0\0");
        }
        let _ = answer(&message);
    }
}

/// RFC 5929: the hash is the one of the certificate's signature, SHA-256 at least.
#[test]
fn the_channel_is_bound_by_the_certificates_own_hash() {
    use sha2::Digest as _;
    let bind = |hash: &[u8]| {
        // The structure of RFC 2744 without addresses, hashed by hand below: the two must differ for another hash.
        [&[0_u8; 16][..], &(21 + hash.len() as u32).to_le_bytes(), b"tls-server-end-point:", hash].concat()
    };
    for (algorithm, hash) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, (|der: &[u8]| sha2::Sha256::digest(der).to_vec()) as fn(&[u8]) -> Vec<u8>),
        (&rcgen::PKCS_ECDSA_P384_SHA384, |der: &[u8]| sha2::Sha384::digest(der).to_vec()),
    ] {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let der = certificate.der().as_ref();
        assert_eq!(channel_binding(der).to_vec(), md5_of(&bind(&hash(der))));
    }
    let _ = [channel_binding(b""), channel_binding(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff])];
}

fn md5_of(data: &[u8]) -> Vec<u8> {
    use md5::Digest as _;
    md5::Md5::digest(data).to_vec()
}

async fn ntlm_sim(schemes: &[Scheme], change: impl FnOnce(&mut EwsConfig)) -> Sim {
    let options = Options { schemes: schemes.to_vec(), ..Options::default() };
    Sim::of(options, |config| {
        config.sign_in = SignIn::Ntlm;
        change(config);
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ntlm_signs_a_connection_in_once_and_works_on_it() {
    let sim = ntlm_sim(&[Scheme::Ntlm], |config| config.login = "EXAMPLE\\svc-daybridge".into()).await;
    let made = sim.create(&draft("by NTLM"), &key(1), Mail::Silent).await;
    let set = [(Field::Location, Value::Text("Plant 3".into()))];
    let updated = sim.update(&made, &set, Mail::Silent).await;
    assert!(matches!(sim.read(&made.at).await, Seen::Present(_)));
    // Create, read back; update, read back; read: five operations over one connection cost two requests more.
    assert_eq!(sim.running.faults().counters().requests, 5 + 2);

    // Many at once: each connection is signed in by itself.
    sim.running.faults().reset_counters();
    let reads = (0..20).map(|_| sim.connector.read(&updated.at));
    for seen in futures(reads).await {
        assert!(matches!(seen.unwrap(), Seen::Present(_)));
    }
    let requests = sim.running.faults().counters().requests;
    assert!((20..=20 + 2 * 3).contains(&requests), "{requests} requests for 20 reads on 3 connections");
}

/// All at once.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in all.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ntlm_signs_in_again_when_the_connection_is_gone() {
    let sim = ntlm_sim(&[Scheme::Basic, Scheme::Ntlm], |_| {}).await;
    let made = sim.create(&draft("kept"), &key(1), Mail::Silent).await;
    for kind in [Kind::DropBefore, Kind::DropAfterCommit] {
        sim.running.faults().add(Fault::new("GetItem", kind)).unwrap();
        let error = sim.connector.read(&made.at).await.unwrap_err();
        assert_eq!(error.problem, Problem::Unreachable { after: None });
        assert!(matches!(sim.read(&made.at).await, Seen::Present(_)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ntlm_says_why_it_did_not_sign_in() {
    let sim = ntlm_sim(&[Scheme::Ntlm], |config| config.password = Secret::new("wrong")).await;
    let error = sim.connector.probe(&susan()).await.unwrap_err();
    assert_eq!((error.problem.clone(), error.class().name()), (Problem::SignIn, "auth"));
    // A wrong password is tried once: each try counts towards locking the account.
    assert_eq!(sim.running.faults().counters().requests, 2);

    let basic_only = Sim::with(|config| config.sign_in = SignIn::Ntlm).await;
    let error = basic_only.connector.probe(&susan()).await.unwrap_err();
    assert_eq!(error.problem, Problem::SignIn);
    let told = daybridge::error::Chain(&error).to_string();
    assert!(told.contains("does not offer to sign in by NTLM"), "{told}");

    let ntlm_only = ntlm_sim(&[Scheme::Ntlm], |config| config.sign_in = SignIn::Basic).await;
    assert_eq!(ntlm_only.connector.probe(&susan()).await.unwrap_err().problem, Problem::SignIn);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ntlm_carries_notifications() {
    let sim = ntlm_sim(&[Scheme::Ntlm], |_| {}).await;
    let both = [susan(), terry()];
    let limit = Duration::from_secs(10);
    let mut rung = Vec::new();
    while rung.len() < 2 {
        rung.extend(sim.connector.doorbell(&both, limit).await.unwrap());
    }
    // The wait begins before the change, or finds it at once: either way it rings.
    let (rung, _) = tokio::join!(sim.connector.doorbell(&both, limit), async {
        sim.create(&draft("ring"), &key(1), Mail::Silent).await
    });
    assert_eq!(rung.unwrap(), [susan()]);
}

/// A token endpoint that gives `t1`, `t2`, and so on, and an EWS that answers these in turn.
async fn by_oauth(answers: Vec<Say>) -> (http::Canned, Canned, EwsConnector) {
    let token = |number: usize| {
        let body = format!(r#"{{"token_type":"Bearer","expires_in":3600,"access_token":"t{number}"}}"#);
        http::answer("200 OK", "Content-Type: application/json\r\n", body)
    };
    let authority = http::Canned::start((1..5).map(token)).await;
    let server = Canned::new(answers);
    let connector = server.connector(|config| {
        config.sign_in = SignIn::Oauth;
        (config.login, config.password) = (String::new(), Secret::default());
        (config.tenant, config.client_id) = ("example.test".into(), "app".into());
        config.client_secret = Some(Secret::new("app secret"));
        config.authority = authority.url.clone();
    });
    (authority, server, connector)
}

fn folder() -> Say {
    Canned::ok(&super::answer(
        r#"<m:X><m:ResponseMessages><m:A ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode><m:Folders>
        <t:CalendarFolder><t:FolderId Id="f"/></t:CalendarFolder></m:Folders></m:A></m:ResponseMessages></m:X>"#,
    ))
}

fn unauthorized() -> Say {
    Say::Whole("401 Unauthorized", String::new())
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let (authority, server, connector) = by_oauth(vec![folder(), unauthorized(), folder(), unauthorized()]).await;
    connector.probe(&susan()).await.unwrap();
    connector.probe(&susan()).await.unwrap();
    let bearer = |number: usize| {
        let request = server.requests.lock().unwrap()[number].to_lowercase();
        assert!(request.contains("x-anchormailbox: susan.maye@example.test"), "{request}");
        assert!(request.contains("<t:primarysmtpaddress>susan.maye@example.test</t:primarysmtpaddress>"), "{request}");
        request.split("authorization: bearer ").nth(1).unwrap().split('\r').next().unwrap().to_owned()
    };
    assert_eq!([bearer(0), bearer(1), bearer(2)], ["t1", "t1", "t2"]);
    // Refused again with a fresh one: then it is the right that is missing, not the time.
    let error = connector.probe(&susan()).await.unwrap_err();
    assert_eq!(error.problem, Problem::SignIn);
    assert_eq!([bearer(3), bearer(4)], ["t2", "t3"]);
    assert_eq!((server.requests.lock().unwrap().len(), authority.requests().len()), (5, 3));
    let asked = authority.requests().concat();
    assert!(asked.contains("scope=https%3A%2F%2F127.0.0.1%2F.default"), "{asked}");
    assert!(!server.requests.lock().unwrap().concat().contains("app secret"), "the secret goes to the authority only");
}

/// The simulator's own tokens, which expire in the middle of the work.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "tests speak HTTP themselves")]
async fn a_token_that_expires_in_the_middle_of_the_work_is_replaced() {
    let app = Options::default().app;
    let sim = Sim::with(|config| {
        config.sign_in = SignIn::Oauth;
        (config.tenant, config.client_id) = (app.tenant.clone(), app.client_id.clone());
        config.client_secret = Some(Secret::new(app.secret.clone()));
        config.authority = config.url.split("/EWS").next().unwrap().to_owned();
        config.scope = Some("https://outlook.office365.com/.default".into());
    })
    .await;
    let made = sim.create(&draft("by token"), &key(1), Mail::Silent).await;
    let revoked = super::sim::http().delete(format!("{}_sim/graph/tokens", sim.running.url())).send().await.unwrap();
    assert!(revoked.status().is_success());
    let updated = sim.update(&made, &[(Field::Location, Value::Text("Plant 3".into()))], Mail::Silent).await;
    assert_eq!(updated.appointment.location, "Plant 3");
}

#[test]
fn what_each_way_needs_is_asked_for() {
    let refused = |change: &dyn Fn(&mut EwsConfig)| {
        let mut config = EwsConfig::new("https://mail.example.test/EWS/Exchange.asmx", "sync", Secret::new("secret"));
        change(&mut config);
        config.check().unwrap_err()
    };
    assert!(refused(&|config| config.login.clear()).starts_with("login is missing"));
    assert!(refused(&|config| config.password = Secret::default()).starts_with("password is missing"));
    let oauth = |config: &mut EwsConfig| {
        config.sign_in = SignIn::Oauth;
        (config.tenant, config.client_id) = ("example.test".into(), "app".into());
    };
    assert!(refused(&|config| oauth(config)).starts_with("client_secret or certificate_file is missing"));
    let with_secret = |config: &mut EwsConfig| {
        oauth(config);
        config.client_secret = Some(Secret::new("x"));
    };
    assert!(refused(&|config| (with_secret(config), config.impersonate = false).1).starts_with("impersonate"));
    assert!(refused(&|config| (with_secret(config), config.tenant.clear()).1).starts_with("tenant"));
    assert!(
        refused(&|config| (with_secret(config), config.authority = "http://x.test".into()).1).starts_with("authority")
    );
    let mut online = EwsConfig::new("", "", Secret::default());
    with_secret(&mut online);
    online.check().unwrap();
    assert_eq!(online.known_url(), Some("https://outlook.office365.com/EWS/Exchange.asmx"));
    assert_eq!(online.application().unwrap().scope, "https://outlook.office365.com/.default");
}

#[test]
fn the_way_to_sign_in_is_set_in_the_settings() {
    let sign_in = |text: &str| {
        let text = format!("url = 'http://127.0.0.1:1/'\nlogin = 'a'\npassword = 'b'\n{text}");
        toml::from_str::<EwsConfig>(&text).map(|config| config.sign_in)
    };
    assert_eq!(sign_in("").unwrap(), SignIn::Basic);
    assert_eq!(sign_in("sign_in = 'ntlm'").unwrap(), SignIn::Ntlm);
    assert!(sign_in("sign_in = 'kerberos'").is_err());
}
