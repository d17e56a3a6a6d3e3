//! Finding the server: what the answers say, and where the login goes while it is looked for.

use daybridge::connector::ews::EwsConnector;
use daybridge::connector::ews::autodiscover::{Form, Told, candidates, domain_of, read};
use daybridge::connector::ews::config::{EwsConfig, SignIn};
use daybridge::connector::http::Secret;
use daybridge::connector::{Connector as _, Error, Problem};
use daybridge::error::Chain;
use daybridge::sim::exchange::{Options, Scheme};
use daybridge_tests::gateway::{Gateway, Route};

use super::sim::{Sim, susan};

#[test]
fn the_places_come_in_their_order() {
    let places: Vec<_> = candidates("example.test").into_iter().map(|(url, form)| (url.to_string(), form)).collect();
    let place = |text: &str, form| (format!("https://{text}"), form);
    assert_eq!(
        places,
        [
            place("example.test/autodiscover/autodiscover.svc", Form::Soap),
            place("example.test/autodiscover/autodiscover.xml", Form::Pox),
            place("autodiscover.example.test/autodiscover/autodiscover.svc", Form::Soap),
            place("autodiscover.example.test/autodiscover/autodiscover.xml", Form::Pox),
        ]
    );
    assert_eq!(domain_of("Jo@Example.TEST").as_deref(), Some("example.test"));
    for bad in ["jo", "jo@", "jo@a/b", "jo@evil.test:1", "jo@a b"] {
        assert_eq!(domain_of(bad), None, "{bad}");
    }
}

fn soap(code: &str, more: &str) -> String {
    format!(
        r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><GetUserSettingsResponseMessage
        xmlns="http://schemas.microsoft.com/exchange/2010/Autodiscover"><Response><ErrorCode>NoError</ErrorCode><UserResponses>
        <UserResponse><ErrorCode>{code}</ErrorCode>{more}</UserResponse></UserResponses></Response>
        </GetUserSettingsResponseMessage></s:Body></s:Envelope>"#
    )
}

fn settings(pairs: &[(&str, &str)]) -> String {
    let list: String = pairs
        .iter()
        .map(|(name, value)| format!("<UserSetting><Name>{name}</Name><Value>{value}</Value></UserSetting>"))
        .collect();
    format!("<UserSettings>{list}</UserSettings>")
}

fn pox(inside: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"><Response
        xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a">{inside}</Response></Autodiscover>"#
    )
}

#[test]
fn answers_are_read_in_both_forms() {
    let nothing = |why: &str| Some(Told::Nothing(why.to_owned()));
    let ews = |url: &str| Some(Told::Ews(url.to_owned()));
    let (inside, outside) = (("InternalEwsUrl", "https://in/"), ("ExternalEwsUrl", "https://out/"));
    for (text, told) in [
        (soap("NoError", &settings(&[inside, outside])), ews("https://out/")),
        (soap("NoError", &settings(&[inside])), ews("https://in/")),
        (soap("NoError", ""), nothing("it knows no EWS for this mailbox")),
        (soap("InvalidUser", ""), nothing("it answered InvalidUser")),
        (soap("RedirectUrl", "<RedirectTarget>https://b/</RedirectTarget>"), Some(Told::Url("https://b/".into()))),
        (soap("RedirectAddress", "<RedirectTarget>a@b</RedirectTarget>"), Some(Told::Address("a@b".into()))),
        (soap("RedirectAddress", ""), None),
        ("<html/>".to_owned(), None),
        ("no xml".to_owned(), None),
    ] {
        assert_eq!(read(&text, Form::Soap), told, "{text}");
    }
    let protocol = |kind: &str, url: &str| format!("<Protocol><Type>{kind}</Type><EwsUrl>{url}</EwsUrl></Protocol>");
    let both = protocol("EXCH", "https://in/") + &protocol("EXPR", "https://out/");
    for (text, told) in [
        (pox(&format!("<Account><Action>settings</Action>{both}</Account>")), ews("https://out/")),
        (pox(&format!("<Account>{}</Account>", protocol("EXCH", "https://in/"))), ews("https://in/")),
        (pox("<Account><Action>settings</Action></Account>"), nothing("it knows no EWS for this mailbox")),
        (
            pox("<Error><ErrorCode>500</ErrorCode><Message>jo@b is unknown</Message></Error>"),
            nothing("it answered: … is unknown"),
        ),
        (
            pox("<Account><Action>redirectUrl</Action><RedirectUrl>https://b/</RedirectUrl></Account>"),
            Some(Told::Url("https://b/".into())),
        ),
        (
            pox("<Account><Action>redirectAddr</Action><RedirectAddr>a@b</RedirectAddr></Account>"),
            Some(Told::Address("a@b".into())),
        ),
        ("<html/>".to_owned(), None),
    ] {
        assert_eq!(read(&text, Form::Pox), told, "{text}");
    }
}

/// A connector that is told nothing but the login, in a network of these names.
async fn connector(gateway: &Gateway, change: impl FnOnce(&mut EwsConfig)) -> EwsConnector {
    let mut config = EwsConfig::new("", "svc-daybridge", Secret::new("service-demo"));
    config.http.proxy = Some(Secret::new(gateway.url()));
    config.http.ca_file = Some(gateway.ca_file.clone());
    change(&mut config);
    EwsConnector::new(config).unwrap()
}

fn answer(status: &str, headers: &str, body: &str) -> Route {
    let length = body.len();
    Route::Say(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"))
}

fn moved(to: &str) -> Route {
    answer("302 Found", &format!("Location: {to}\r\n"), "")
}

fn text(error: &Error) -> String {
    Chain(error).to_string()
}

fn is_signed(text: &str) -> bool {
    text.to_lowercase().contains("authorization:")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_found_where_the_settings_name_none() {
    for (sign_in, scheme) in [(SignIn::Basic, Scheme::Basic), (SignIn::Ntlm, Scheme::Ntlm)] {
        let sim = Sim::of(Options { schemes: vec![scheme], ..Options::default() }, |_| {}).await;
        let here = Route::To(sim.running.address);
        let gateway = Gateway::start([
            // A web site that knows nothing of Exchange.
            ("https://example.test", answer("404 Not Found", "", "")),
            ("https://autodiscover.example.test", here),
        ])
        .await;
        let connector = connector(&gateway, |config| config.sign_in = sign_in).await;
        connector.probe(&susan()).await.unwrap_or_else(|error| panic!("{}", text(&error)));
        // Found once; nothing is looked for again.
        let before = gateway.sent_to("https://example.test");
        connector.changed_since(&susan(), None).await.unwrap();
        assert_eq!(gateway.sent_to("https://example.test"), before);
        assert!(gateway.sent().iter().all(|sent| !sent.origin.starts_with("http:")), "all over TLS");
    }
}

#[tokio::test]
async fn a_plain_redirect_is_asked_without_the_login() {
    let sim = Sim::start().await;
    let gateway = Gateway::start([
        ("http://autodiscover.example.test", moved("https://mail.example.test/autodiscover/autodiscover.xml")),
        ("https://mail.example.test", Route::To(sim.running.address)),
    ])
    .await;
    connector(&gateway, |_| {}).await.probe(&susan()).await.unwrap();
    let plain = gateway.sent_to("http://autodiscover.example.test");
    assert!(plain.contains("GET /autodiscover/autodiscover.xml") && !is_signed(&plain), "{plain}");
    assert!(is_signed(&gateway.sent_to("https://mail.example.test")));
}

#[tokio::test]
async fn the_login_goes_to_confirmed_hosts_only() {
    let sim = Sim::start().await;
    let here = || Route::To(sim.running.address);
    let elsewhere = "https://hosting.test";
    let redirect =
        pox("<Account><Action>redirectUrl</Action><RedirectUrl>https://hosting.test/x.xml</RedirectUrl></Account>");
    let ews = pox(
        "<Account><Protocol><Type>EXPR</Type><EwsUrl>https://hosting.test/EWS/Exchange.asmx</EwsUrl></Protocol></Account>",
    );
    let address = pox("<Account><Action>redirectAddr</Action><RedirectAddr>jo@hosting.test</RedirectAddr></Account>");
    for (origin, route) in [
        ("https://autodiscover.example.test", moved("https://hosting.test/autodiscover/autodiscover.svc")),
        ("https://autodiscover.example.test", answer("200 OK", "", &redirect)),
        ("https://autodiscover.example.test", answer("200 OK", "", &ews)),
        ("https://autodiscover.example.test", answer("200 OK", "", &address)),
        ("http://autodiscover.example.test", moved("https://hosting.test/autodiscover/autodiscover.xml")),
    ] {
        let gateway = Gateway::start([(origin, route), (elsewhere, here())]).await;
        let error = connector(&gateway, |_| {}).await.probe(&susan()).await.unwrap_err();
        assert_eq!(error.problem, Problem::Refused, "{}", text(&error));
        assert!(text(&error).contains("it leads to https://hosting.test"), "{}", text(&error));
        assert_eq!(gateway.sent_to(elsewhere), "", "nothing is sent there");
    }
    // Named by the operator.
    let gateway = Gateway::start([
        ("https://autodiscover.example.test", moved("https://hosting.test/autodiscover/autodiscover.svc")),
        (elsewhere, here()),
    ])
    .await;
    let named = |config: &mut EwsConfig| config.autodiscover_hosts = vec!["Hosting.test".into()];
    connector(&gateway, named).await.probe(&susan()).await.unwrap();
    // A name that only ends like the domain is another's.
    let gateway =
        Gateway::start([("https://autodiscover.example.test", moved("https://evil-example.test/x.xml"))]).await;
    let error = connector(&gateway, |_| {}).await.probe(&susan()).await.unwrap_err();
    assert!(text(&error).contains("it leads to https://evil-example.test"), "{}", text(&error));
}

#[tokio::test]
async fn the_login_is_never_sent_in_the_clear() {
    for to in ["http://autodiscover.example.test/x.xml", "http://mail.example.test/x.xml"] {
        let gateway = Gateway::start([
            ("https://example.test", moved(to)),
            ("http://mail.example.test", answer("200 OK", "", "")),
            ("http://autodiscover.example.test", moved(to)),
        ])
        .await;
        let error = connector(&gateway, |_| {}).await.probe(&susan()).await.unwrap_err();
        assert_eq!(error.problem, Problem::Refused, "{}", text(&error));
        assert!(text(&error).contains("which is not https"), "{}", text(&error));
        let plain: String =
            gateway.sent().into_iter().filter(|sent| sent.origin.starts_with("http:")).map(|s| s.text).collect();
        assert!(!is_signed(&plain), "{plain}");
        assert_eq!(gateway.sent_to("http://mail.example.test"), "");
    }
}

#[tokio::test]
async fn what_was_tried_is_told() {
    let gateway = Gateway::start([
        ("https://example.test", moved("https://example.test/autodiscover/autodiscover.xml")),
        ("https://autodiscover.example.test", answer("401 Unauthorized", "", "")),
    ])
    .await;
    let error = connector(&gateway, |_| {}).await.probe(&susan()).await.unwrap_err();
    assert_eq!(error.problem, Problem::SignIn);
    let told = text(&error);
    for part in [
        "https://example.test/autodiscover/autodiscover.svc: it leads from place to place without end",
        "https://autodiscover.example.test/autodiscover/autodiscover.xml: it answered HTTP 401",
        "http://autodiscover.example.test/autodiscover/autodiscover.xml",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("susan"), "{told}");
    let nowhere = Gateway::start([]).await;
    let error = connector(&nowhere, |_| {}).await.probe(&susan()).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Unreachable { .. }), "{}", text(&error));
}
