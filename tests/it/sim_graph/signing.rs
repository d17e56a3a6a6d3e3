//! Tokens: by secret, by certificate, and what they open.

use super::*;

#[tokio::test]
async fn a_secret_opens_and_a_wrong_one_does_not() {
    let sim = Sim::start().await;
    let (status, body) = sim.ask_token(&[("client_secret", "wrong")]).await;
    assert_eq!((status, &body["error_codes"]), (StatusCode::UNAUTHORIZED, &json!([7_000_215])));
    let secret = sim.running.client_secret();
    let (_, body) = sim.ask_token(&[("client_secret", &secret), ("client_id", "nobody")]).await;
    assert_eq!(body["error_codes"], json!([700_016]));
    let (_, body) = sim.ask_token(&[("client_secret", &secret), ("scope", "Calendars.ReadWrite")]).await;
    assert_eq!(body["error"], "invalid_scope");
    let no_token = sim.http.get(format!("{}/users", sim.running.graph_url()));
    let answer = sim.send(no_token).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken"));
    assert_eq!(sim.get("/users").await.status, StatusCode::OK);
    sim.stop().await;
}

#[tokio::test]
async fn a_token_expires_by_the_clock_and_can_be_revoked() {
    let mut sim = Sim::start().await;
    sim.sim(Method::POST, "clock", json!({ "advance_s": 3_598 })).await;
    assert_eq!(sim.get("/users").await.status, StatusCode::OK);
    sim.sim(Method::POST, "clock", json!({ "advance_s": 2 })).await;
    assert_eq!(sim.get("/users").await.code(), "InvalidAuthenticationToken");
    sim.sign_in().await;
    assert_eq!(sim.get("/users").await.status, StatusCode::OK);
    sim.sim(Method::DELETE, "graph/tokens", Value::Null).await;
    assert_eq!(sim.get("/users").await.status, StatusCode::UNAUTHORIZED);
    sim.stop().await;
}

#[tokio::test]
async fn the_openid_document_leads_to_the_token_endpoint() {
    let sim = Sim::start().await;
    let url = format!("{}/v2.0/.well-known/openid-configuration", sim.running.authority());
    let document = sim.send(sim.http.get(url)).await.body;
    assert_eq!(document["token_endpoint"], format!("{}/oauth2/v2.0/token", sim.running.authority()));
    sim.stop().await;
}
