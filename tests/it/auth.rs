//! Signing in by OAuth2 client credentials: what is sent, what is kept, and what a refusal means.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use daybridge::clock::FixedClock;
use daybridge::connector::auth::{Application, CODES, Proof, Tokens, meaning};
use daybridge::connector::http::{HttpConfig, Secret};
use daybridge::connector::{Error, Problem};
use daybridge::error::Chain;
use daybridge_tests::answering::{Answer, Answering, Asked};
use ring::signature::{KeyPair as _, RSA_PSS_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("it/auth").join(name)
}

fn now() -> DateTime<Utc> {
    "2027-02-01T08:00:00Z".parse().unwrap()
}

fn application(server: &Answering, proof: Proof) -> Application {
    Application {
        authority: server.url.clone(),
        tenant: "example.test".into(),
        client_id: "11111111-2222-3333-4444-555555555555".into(),
        scope: "https://graph.example.test/.default".into(),
        proof,
    }
}

fn tokens(server: &Answering, proof: Proof, clock: &Arc<FixedClock>) -> Tokens {
    Tokens::new("Online", application(server, proof), HttpConfig::default(), clock.clone()).unwrap()
}

fn secret() -> Proof {
    Proof::Secret(Secret::new("s3cret&more"))
}

/// A service that numbers its tokens, each good for an hour.
async fn service() -> Answering {
    let count = AtomicU32::new(0);
    Answering::start(move |_, _| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        Answer::json(
            200,
            &json!({"token_type": "Bearer", "expires_in": 3599, "access_token": format!("token-{number}")}),
        )
    })
    .await
}

async fn text(tokens: &Tokens) -> String {
    tokens.token().await.unwrap().expose().to_owned()
}

#[tokio::test]
async fn a_secret_is_sent_as_a_form_and_the_token_kept() {
    let (server, clock) = (service().await, Arc::new(FixedClock::new(now(), 1)));
    let tokens = tokens(&server, secret(), &clock);
    assert_eq!((text(&tokens).await, text(&tokens).await), ("token-1".into(), "token-1".into()));
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].method.as_str(), asked[0].target.as_str()), ("POST", "/example.test/oauth2/v2.0/token"));
    assert_eq!(asked[0].header("content-type"), "application/x-www-form-urlencoded");
    let form = asked[0].form();
    let sent: Vec<_> = form.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(
        sent,
        [
            ("client_id", "11111111-2222-3333-4444-555555555555"),
            ("client_secret", "s3cret&more"),
            ("grant_type", "client_credentials"),
            ("scope", "https://graph.example.test/.default"),
        ]
    );
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires_and_after_a_refusal() {
    let (server, clock) = (service().await, Arc::new(FixedClock::new(now(), 1)));
    let tokens = tokens(&server, secret(), &clock);
    assert_eq!(text(&tokens).await, "token-1");
    clock.advance(TimeDelta::seconds(3298));
    assert_eq!(text(&tokens).await, "token-1");
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(text(&tokens).await, "token-2", "five minutes before its end");
    // Several requests were refused with the same token: one renewal.
    let used = tokens.token().await.unwrap();
    for _ in 0..3 {
        tokens.refused(&used);
        assert_eq!(text(&tokens).await, "token-3");
    }
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn many_at_once_cause_one_renewal() {
    let (server, clock) = (service().await, Arc::new(FixedClock::new(now(), 1)));
    let tokens = tokens(&server, secret(), &clock);
    let asked: Vec<_> = (0..20).map(|_| tokens.token()).collect();
    let got: BTreeSet<_> =
        futures_all(asked).await.into_iter().map(|token| token.unwrap().expose().to_owned()).collect();
    assert_eq!((got, server.asked().len()), (BTreeSet::from(["token-1".to_owned()]), 1));
}

async fn futures_all<T>(all: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.into_iter().map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (one, done) in &mut all {
            if done.is_none()
                && let std::task::Poll::Ready(value) = one.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        if all.iter().all(|(_, done)| done.is_some()) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    all.into_iter().filter_map(|(_, done)| done).collect()
}

#[tokio::test]
async fn an_old_token_serves_while_the_service_is_down_and_no_longer() {
    let count = AtomicU32::new(0);
    let server = Answering::start(move |_, _| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::json(200, &json!({"expires_in": "3600", "access_token": "old"})),
        _ => Answer::empty(503),
    })
    .await;
    let clock = Arc::new(FixedClock::new(now(), 1));
    let tokens = tokens(&server, secret(), &clock);
    assert_eq!(text(&tokens).await, "old");
    clock.advance(TimeDelta::minutes(56));
    assert_eq!(text(&tokens).await, "old");
    clock.advance(TimeDelta::minutes(5));
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.problem, Problem::Unreachable { after: None });
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The key's bytes out of its PEM text, without the product's reader.
fn der(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(file(name)).unwrap();
    STANDARD.decode(text.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap()
}

#[tokio::test]
async fn a_certificate_signs_a_statement_that_its_key_verifies() {
    for key in ["key.pem", "key-pkcs1.pem"] {
        let (server, clock) = (service().await, Arc::new(FixedClock::new(now(), 1)));
        let proof = Proof::Certificate { certificate: file("certificate.pem"), key: file(key) };
        let tokens = tokens(&server, proof, &clock);
        tokens.token().await.unwrap();
        let asked: Asked = server.asked().remove(0);
        let form = asked.form();
        assert_eq!(form.get("client_secret"), None);
        assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let parts: Vec<_> = form["client_assertion"].split('.').collect();
        // `openssl x509 -outform der | openssl dgst -sha256` of the certificate.
        let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": "7Hg_IaOwwNyg2aYVHRvQC8MAm3H3WFEcokQt31kxbuI"});
        assert_eq!(decoded(parts[0]), header);
        let claims = decoded(parts[1]);
        assert_eq!(claims["aud"], format!("{}/example.test/oauth2/v2.0/token", server.url));
        assert_eq!(
            (&claims["iss"], &claims["sub"]),
            (&form["client_id"].clone().into(), &form["client_id"].clone().into())
        );
        assert_eq!(claims["iat"], now().timestamp());
        assert_eq!(claims["exp"], now().timestamp() + 600);
        assert!(claims["nbf"].as_i64() < claims["iat"].as_i64());
        assert!(claims["jti"].as_str().is_some_and(|jti| jti.len() == 36));
        let own = RsaKeyPair::from_pkcs8(&der("key.pem")).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, own.public_key());
        let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        let signed = format!("{}.{}", parts[0], parts[1]);
        assert!(public.verify(signed.as_bytes(), &signature).is_ok(), "{key}");
    }
}

#[test]
fn files_that_are_no_certificate_are_told_at_once() {
    let clock = Arc::new(FixedClock::new(now(), 1));
    let make = |certificate: &str, key: &str| {
        let application = Application {
            authority: "https://login.example.test".into(),
            tenant: "example.test".into(),
            client_id: "id".into(),
            scope: "scope".into(),
            proof: Proof::Certificate { certificate: file(certificate), key: file(key) },
        };
        Tokens::new("Online", application, HttpConfig::default(), clock.clone()).unwrap_err()
    };
    for (certificate, key, told) in [
        ("key.pem", "key.pem", "no certificate can be read"),
        ("certificate.pem", "certificate.pem", "no private key can be read"),
        ("missing.pem", "key.pem", "no certificate can be read"),
    ] {
        let error = make(certificate, key);
        assert!(Chain(&error).to_string().contains(told), "{}", Chain(&error));
        assert_eq!(error.problem, Problem::SignIn);
        assert!(error.hint().contains("certificate_file"));
    }
}

async fn refused(status: u16, body: Value) -> Error {
    let server = Answering::start(move |_, _| Answer::json(status, &body).with("Retry-After", "7")).await;
    let clock = Arc::new(FixedClock::new(now(), 1));
    tokens(&server, secret(), &clock).token().await.unwrap_err()
}

#[tokio::test]
async fn a_refusal_tells_what_to_do_and_not_the_secret() {
    let body = json!({
        "error": "invalid_client",
        "error_description": "AADSTS7000222: The provided client secret keys for app 'x' are expired. Trace ID: 1 Correlation ID: 2",
        "error_codes": [7_000_222], "trace_id": "1",
    });
    let error = refused(401, body).await;
    assert_eq!((&error.problem, error.class().name()), (&Problem::SignIn, "auth"));
    let chain = Chain(&error).to_string();
    assert_eq!(chain, "sign in to Online: AADSTS7000222: The provided client secret keys for app 'x' are expired.");
    assert!(error.hint().contains("expired"));
    // Without the list of codes, by its text; without either, by the words of the standard.
    let by_text = refused(400, json!({"error": "invalid_request", "error_description": "AADSTS90002: Tenant"})).await;
    assert!(by_text.hint().contains("tenant"), "{}", by_text.hint());
    let plain = refused(400, json!({"error": "invalid_client"})).await;
    assert_eq!((plain.problem.clone(), Chain(&plain).to_string().contains("invalid_client")), (Problem::SignIn, true));
    let busy = refused(429, json!({"error": "temporarily_unavailable", "error_codes": [50_196]})).await;
    assert_eq!(busy.problem, Problem::Throttled { after: Some(std::time::Duration::from_secs(7)) });
    let wordless = refused(401, json!({})).await;
    assert_eq!(wordless.problem, Problem::SignIn);
    let elsewhere = refused(404, json!({"detail": "no such page"})).await;
    assert_eq!(elsewhere.problem, Problem::Malformed);
}

#[test]
fn every_known_code_has_its_meaning_once() {
    const EXPECTED: &[(u32, &str)] = &[
        (50_196, "retry"),
        (53_003, "auth"),
        (70_011, "auth"),
        (90_002, "auth"),
        (90_012, "down"),
        (90_033, "down"),
        (500_011, "auth"),
        (700_016, "auth"),
        (700_024, "auth"),
        (700_027, "auth"),
        (900_023, "auth"),
        (7_000_112, "auth"),
        (7_000_215, "auth"),
        (7_000_218, "auth"),
        (7_000_222, "auth"),
    ];
    for (code, class) in EXPECTED {
        let (problem, hint) = meaning(*code).unwrap_or_else(|| panic!("{code} is not known"));
        assert_eq!(problem.class().name(), *class, "{code}");
        assert!(!hint.is_empty());
    }
    let mut known: Vec<u32> = CODES.iter().map(|(code, ..)| *code).collect();
    known.sort_unstable();
    assert_eq!(known, EXPECTED.iter().map(|(code, _)| *code).collect::<Vec<_>>());
    assert_eq!(meaning(1), None);
}

#[test]
fn settings_that_cannot_work_are_named() {
    let given = |secret: Option<&str>, certificate: Option<&str>, key: Option<&str>| {
        let secret = secret.map(Secret::new);
        Proof::of(secret.as_ref(), certificate.map(Path::new), key.map(Path::new))
    };
    assert!(given(None, None, None).unwrap_err().starts_with("client_secret"));
    assert!(given(Some("a"), Some("b"), None).unwrap_err().starts_with("certificate_file"));
    assert!(given(Some("a"), None, Some("b")).unwrap_err().starts_with("key_file"));
    let one_file = Proof::Certificate { certificate: "both.pem".into(), key: "both.pem".into() };
    assert_eq!(given(None, Some("both.pem"), None), Ok(one_file));
    let with = |change: fn(&mut Application)| {
        let mut application = Application {
            authority: "https://login.example.test/".into(),
            tenant: "example.test".into(),
            client_id: "id".into(),
            scope: "scope".into(),
            proof: secret(),
        };
        change(&mut application);
        application.token_url().map(|url| url.to_string())
    };
    assert_eq!(with(|_| {}), Ok("https://login.example.test/example.test/oauth2/v2.0/token".to_owned()));
    for (change, key) in [
        ((|a| a.authority = "http://login.example.test".into()) as fn(&mut Application), "authority"),
        (|a| a.authority = "https://me:pass@login.example.test".into(), "authority"),
        (|a| a.authority = "login".into(), "authority"),
        (|a| a.tenant = "a/b".into(), "tenant"),
        (|a| a.tenant.clear(), "tenant"),
        (|a| a.client_id.clear(), "client_id"),
    ] {
        assert!(with(change).unwrap_err().starts_with(key), "{key}");
    }
}
