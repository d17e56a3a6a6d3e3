//! The identity platform: the OpenID document and tokens for an application, by secret or by a signed assertion.
//!
//! Promises: an assertion counts only if a known certificate's key signed it, for this endpoint, and it has not expired.
//! Must not know: mailboxes.

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::digest;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use serde_json::{Value, json};
use url::form_urlencoded;
use webpki::EndEntityCert;
use webpki::ring::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256_LEGACY_KEY};

use super::answer::{Answer, Refused};
use super::{Face, State};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The scope that stands for all rights granted to the application.
const SCOPE_SUFFIX: &str = "/.default";
/// Tokens kept; a host asks for one an hour.
const TOKENS_MAX: usize = 10_000;

/// The document at `{authority}/v2.0/.well-known/openid-configuration`.
pub fn openid(origin: &str, tenant: &str) -> Value {
    let authority = format!("{origin}/{tenant}");
    json!({
        "token_endpoint": format!("{authority}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "authorization_endpoint": format!("{authority}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{authority}/oauth2/v2.0/devicecode"),
        "jwks_uri": format!("{authority}/discovery/v2.0/keys"),
        "issuer": format!("{authority}/v2.0"),
        "response_types_supported": ["code", "id_token", "token id_token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "tenant_region_scope": "EU",
        "cloud_instance_name": "example.test",
        "msgraph_host": "graph.example.test",
    })
}

/// The document at `/common/discovery/instance`: which names the platform goes by. Here it has one.
pub fn instances(origin: &str, tenant: &str) -> Value {
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    json!({
        "tenant_discovery_endpoint": format!("{origin}/{tenant}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{ "preferred_network": host, "preferred_cache": host, "aliases": [host] }],
    })
}

/// Answers a token request; `endpoint` is the URL it came to.
pub fn issue(face: &Face, tenant: &str, endpoint: &str, body: &[u8], now: DateTime<Utc>) -> Answer {
    match grant(face, tenant, endpoint, body, now) {
        Ok((token, lifetime_s)) => Answer::ok(json!({
            "token_type": "Bearer", "expires_in": lifetime_s, "ext_expires_in": lifetime_s, "access_token": token,
        })),
        Err(denied) => {
            let number = denied.number;
            let trace = face.request_id();
            let body = json!({
                "error": denied.error,
                "error_description": format!("AADSTS{number}: {} Trace ID: {trace}", denied.text),
                "error_codes": [number],
                "timestamp": now.format("%Y-%m-%d %H:%M:%SZ").to_string(),
                "trace_id": trace,
                "correlation_id": face.request_id(),
            });
            let status =
                if denied.error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
            Answer::json(status, body)
        }
    }
}

/// Why no token is issued, in the platform's words.
struct Denied {
    error: &'static str,
    number: u32,
    text: String,
}

fn denied(error: &'static str, number: u32, text: impl Into<String>) -> Denied {
    Denied { error, number, text: text.into() }
}

fn grant(face: &Face, tenant: &str, endpoint: &str, body: &[u8], now: DateTime<Utc>) -> Result<(String, i64), Denied> {
    let form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let field = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let mut state = face.state();
    if !tenant.eq_ignore_ascii_case(&state.app.tenant) {
        return Err(denied("invalid_request", 90_002, format!("Tenant '{tenant}' not found.")));
    }
    if field("grant_type") != Some("client_credentials") {
        return Err(denied("unsupported_grant_type", 70_003, "The app requested an unsupported grant type."));
    }
    let client = field("client_id").unwrap_or_default();
    if client != state.app.client_id {
        let text = format!("Application with identifier '{client}' was not found in the directory.");
        return Err(denied("unauthorized_client", 700_016, text));
    }
    if !field("scope").unwrap_or_default().split_whitespace().any(|scope| scope.ends_with(SCOPE_SUFFIX)) {
        let text = "The provided value for the input parameter 'scope' is not valid: it must end in /.default.";
        return Err(denied("invalid_scope", 1_002_012, text));
    }
    match (field("client_secret"), field("client_assertion_type"), field("client_assertion")) {
        (Some(secret), _, _) if secret == state.app.secret => {}
        (Some(_), _, _) => return Err(denied("invalid_client", 7_000_215, "Invalid client secret provided.")),
        (None, Some(ASSERTION_TYPE), Some(assertion)) => {
            check_assertion(&state, endpoint, assertion, now).map_err(|why| {
                denied("invalid_client", 700_027, format!("The certificate assertion is not valid: {why}."))
            })?
        }
        _ => {
            let text = "The request body must contain client_assertion or client_secret.";
            return Err(denied("invalid_client", 7_000_218, text));
        }
    }
    let lifetime_s = state.settings.token_lifetime_s;
    let token = mint(&mut state, now, lifetime_s);
    Ok((token, lifetime_s))
}

/// A token in the shape of a JWT. Only this server reads it, and by looking it up.
fn mint(state: &mut State, now: DateTime<Utc>, lifetime_s: i64) -> String {
    state.minted += 1;
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let expires = now + TimeDelta::seconds(lifetime_s);
    let claims = json!({
        "aud": "https://graph.microsoft.com", "iss": state.app.tenant, "appid": state.app.client_id,
        "exp": expires.timestamp(), "iat": now.timestamp(), "roles": ["Calendars.ReadWrite", "User.Read.All"],
        "uti": state.minted,
    });
    let signed = format!("{}.{}", encode(json!({ "typ": "JWT", "alg": "none" })), encode(claims));
    let seal = digest::digest(&digest::SHA256, format!("{}/{signed}", state.salt).as_bytes());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(seal));
    if state.tokens.len() >= TOKENS_MAX {
        state.tokens.retain(|_, expires| *expires > now);
    }
    state.tokens.insert(token.clone(), expires);
    token
}

/// Checks the bearer token of a request.
pub fn check(face: &Face, headers: &HeaderMap, now: DateTime<Utc>) -> Result<(), Refused> {
    let refused = |text: &str| {
        Refused::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", text)
            .with(header::WWW_AUTHENTICATE, "Bearer realm=\"\"".into())
    };
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) =
        given.and_then(|given| given.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
    else {
        return Err(refused("Access token is empty."));
    };
    match face.state().tokens.get(token.1.trim()) {
        Some(expires) if *expires > now => Ok(()),
        Some(_) => Err(refused("Lifetime validation failed, the token is expired.")),
        None => Err(refused("Access token validation failure.")),
    }
}

/// An assertion: who signed it, for whom, until when.
fn check_assertion(state: &State, endpoint: &str, assertion: &str, now: DateTime<Utc>) -> Result<(), &'static str> {
    let mut parts = assertion.split('.');
    let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("it is not a signed JWT");
    };
    let signed = format!("{header}.{claims}");
    let decode = |part: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
    let (header, claims) = (decode(header).ok_or("its header")?, decode(claims).ok_or("its claims")?);
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "its signature is not base64url")?;
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    // PS256 goes with a SHA-256 thumbprint, RS256 with a SHA-1 one.
    let (algorithm, of, name): (&dyn SignatureVerificationAlgorithm, _, _) = match text(&header, "alg").as_deref() {
        Some("PS256") => (RSA_PSS_2048_8192_SHA256_LEGACY_KEY, &digest::SHA256, "x5t#S256"),
        Some("RS256") => (RSA_PKCS1_2048_8192_SHA256, &digest::SHA1_FOR_LEGACY_USE_ONLY, "x5t"),
        _ => return Err("its algorithm is neither PS256 nor RS256"),
    };
    // Some clients name the other thumbprint beside that algorithm.
    let (of, thumbprint) = match (text(&header, name), text(&header, "x5t"), text(&header, "x5t#S256")) {
        (Some(thumbprint), _, _) => (of, thumbprint),
        (None, Some(thumbprint), _) => (&digest::SHA1_FOR_LEGACY_USE_ONLY, thumbprint),
        (None, None, Some(thumbprint)) => (&digest::SHA256, thumbprint),
        (None, None, None) => return Err("it names no thumbprint"),
    };
    let thumbprint = URL_SAFE_NO_PAD.decode(thumbprint.trim_end_matches('=')).map_err(|_| "its thumbprint")?;
    let known = state.app.certificates.iter().find(|der| digest::digest(of, der).as_ref() == thumbprint.as_slice());
    let der = CertificateDer::from(known.ok_or("no certificate has that thumbprint")?.as_slice());
    let certificate = EndEntityCert::try_from(&der).map_err(|_| "the certificate cannot be read")?;
    certificate.verify_signature(algorithm, signed.as_bytes(), &signature).map_err(|_| "its signature is wrong")?;
    if text(&claims, "aud").as_deref() != Some(endpoint) {
        return Err("its audience is not this endpoint");
    }
    let is_client = |name: &str| text(&claims, name).as_deref() == Some(state.app.client_id.as_str());
    if !is_client("iss") || !is_client("sub") {
        return Err("its issuer and subject are not the application");
    }
    // A number of seconds that need not be whole [RFC 7519, NumericDate]; MSAL sends parts of them.
    let expires = claims.get("exp").and_then(Value::as_f64).ok_or("it never expires")?;
    if expires <= now.timestamp() as f64 {
        return Err("it has expired");
    }
    Ok(())
}
