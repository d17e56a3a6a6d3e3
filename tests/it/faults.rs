//! What networks and machines in between do to an Exchange server's answers, over real sockets: whatever it is, nothing is
//! lost, nothing is doubled, nobody is mailed twice, and no credential goes elsewhere. One story, told for each harm and each
//! protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use daybridge::control::{Desk, SyncOrder};
use daybridge_tests::crm::Booking;
use daybridge_tests::ews::TO_NONE;
use daybridge_tests::gateway::{Gateway, Route};
use daybridge_tests::host::{Mails, Reach, Servers, TestHost, delete, post};
use daybridge_tests::rogue::{Harm, Rogue, When};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{SUSAN, TERRY};
use serde_json::json;
use tokio::net::TcpListener;

/// Largest answer the host takes in these stories.
const LIMIT: u64 = 4 << 20;

/// How the host speaks to Exchange.
const PROTOCOLS: [Reach; 2] = [Reach::Ews, Reach::Graph];

/// Settings of the server that a story needs.
fn settings() -> String {
    format!("[exchange.http]\nrequest_timeout = 1\nbody_limit = {LIMIT}\n")
}

/// A host that reaches Exchange, and where it signs in, through the front only.
async fn behind_a_front(protocol: Reach) -> (TestHost, Rogue) {
    let mut servers = Servers::reached(protocol).await;
    let rogue = Rogue::before(servers.exchange.address).await;
    servers.exchange_front = Some(format!("http://{}", rogue.address));
    let mut host = TestHost::on(servers, &settings()).await;
    host.settle().await;
    (host, rogue)
}

/// Every token issued so far is no longer good.
async fn end_tokens(host: &TestHost) {
    delete(&format!("{}_sim/graph/tokens", host.servers.exchange.url())).await;
}

/// Meetings and appointments are made, changed and removed on both sides while the front does harm.
async fn story(host: &mut TestHost, rogue: &Rogue, what: &str) {
    let review = Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY).with_external("ann.lee@client.test");
    let review = host.crm().book(&review).await;
    let mut made = Vec::new();
    for number in 0..4 {
        made.push(host.crm().book(&Booking::at(&format!("Made {number}"), &day(42 + number), 11, SUSAN)).await);
    }
    let mary = host.outlook("mary.jones");
    let dentist = mary.book("Dentist", &utc(&day(41), 9), &utc(&day(41), 10), &[]).await;
    let gone = mary.book("Gone", &utc(&day(43), 9), &utc(&day(43), 10), &[]).await;
    end_tokens(host).await;
    host.settle().await;

    end_tokens(host).await;
    host.crm().patch("Communication", &review, &json!({"Comm_Note": "New agenda"})).await;
    host.crm().patch("Communication", &made[0], &json!({"Comm_Note": "Mine"})).await;
    host.crm().patch("Communication", &made[1], &json!({"Comm_Status": "Cancelled"})).await;
    mary.set_location(&dentist, "High Street").await;
    mary.delete(&gone, TO_NONE).await;
    host.settle_with_sweep().await;
    let (requests, harmed) = rogue.counts();
    assert!(harmed > 0, "{what}: none of {requests} requests was harmed");

    rogue.behave();
    let mut susan: Vec<_> = host
        .outlook("susan.maye")
        .calendar()
        .await
        .into_iter()
        .map(|m| (m.subject, m.body.trim_end().to_owned()))
        .collect();
    susan.sort();
    let wanted = [("Made 0", "Mine"), ("Made 2", ""), ("Made 3", ""), ("Review", "New agenda")];
    assert_eq!(susan, wanted.map(|(subject, body)| (subject.to_owned(), body.to_owned())), "{what}");
    assert_eq!(host.outlook("terry.smith").calendar().await.len(), 1, "{what}");
    let mut rows: Vec<_> = host
        .crm()
        .appointments()
        .await
        .iter()
        .map(|row| (row.text("Comm_Subject"), row.text("Comm_Location")))
        .collect();
    rows.sort();
    let place = |subject: &str| if subject == "Dentist" { "High Street" } else { "" };
    let wanted = ["Dentist", "Made 0", "Made 2", "Made 3", "Review"];
    assert_eq!(rows, wanted.map(|subject| (subject.to_owned(), place(subject).to_owned())), "{what}");
    // What a lost answer had mailed is not among the mails the host counts; Exchange counts them all.
    host.rests(5, Mails::new(2, 2, 0)).await;
}

async fn harmed(harm: Harm, most: u64) {
    for protocol in PROTOCOLS {
        // Two strides, so that other requests are met.
        for count in [3, 5] {
            let (mut host, rogue) = behind_a_front(protocol).await;
            rogue.harm(harm.clone(), When::Every { count, most });
            story(&mut host, &rogue, &format!("{protocol:?}, {harm:?}")).await;
        }
    }
}

#[tokio::test]
async fn a_connection_cut_after_the_commit() {
    harmed(Harm::CutAfterCommit, 12).await;
}

#[tokio::test]
async fn a_connection_cut_before() {
    harmed(Harm::CutBefore, 12).await;
}

#[tokio::test]
async fn an_answer_that_stalls() {
    harmed(Harm::Stall, 3).await;
}

#[tokio::test]
async fn an_answer_cut_in_half() {
    harmed(Harm::Truncate, 10).await;
}

#[tokio::test]
async fn a_page_for_people_instead_of_an_answer() {
    harmed(Harm::WrongType, 10).await;
}

#[tokio::test]
async fn a_page_for_people_where_nothing_was_carried_out() {
    harmed(Harm::Intercept, 10).await;
}

#[tokio::test]
async fn an_answer_that_unpacks_without_end() {
    harmed(Harm::Bomb(LIMIT), 4).await;
}

#[tokio::test]
async fn a_sign_in_refused_for_a_moment() {
    harmed(Harm::SignInRefused, 6).await;
}

#[tokio::test]
async fn a_redirect_to_another_host() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = format!("http://{}/EWS/Exchange.asmx", listener.local_addr().expect("an address"));
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = visits.clone();
    #[expect(clippy::disallowed_methods, reason = "a test's own server ends with the test")]
    let task = tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    harmed(Harm::Redirect(to), 10).await;
    assert_eq!(visits.load(Ordering::SeqCst), 0, "somebody came to the other host");
    task.abort();
}

#[tokio::test]
async fn one_server_error_in_a_hundred() {
    for protocol in PROTOCOLS {
        let mut met = 0;
        for seed in [3, 14, 15, 92] {
            let (mut host, rogue) = behind_a_front(protocol).await;
            for number in 0..40 {
                host.crm().book(&Booking::at(&format!("More {number}"), &day(60 + number), 9, TERRY)).await;
            }
            rogue.harm(Harm::ServerError, When::OneInHundred { seed });
            host.settle().await;
            met += rogue.counts().1;
            rogue.behave();
            let mut subjects: Vec<_> =
                host.outlook("terry.smith").calendar().await.into_iter().map(|meeting| meeting.subject).collect();
            subjects.sort();
            subjects.dedup();
            assert_eq!(subjects.len(), 40, "seed {seed}");
            host.rests(40, Mails::NONE).await;
        }
        assert!(met > 0, "{protocol:?}: not one request was harmed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_trusted() {
    for protocol in PROTOCOLS {
        let mut servers = Servers::reached(protocol).await;
        post(&format!("{}_sim/graph", servers.exchange.url()), &json!({"scheme": "https"})).await;
        let routes = || [("https://exchange.example.test", Route::To(servers.exchange.address))];
        let (trusted, other) = (Gateway::start(routes()).await, Gateway::start(routes()).await);
        servers.exchange_front = Some("https://exchange.example.test".to_owned());
        let settings = |proxy: &Gateway| {
            format!("[exchange.http]\nproxy = \"{}\"\nca_file = \"{}\"\n", proxy.url(), trusted.ca_file.display())
        };
        let mut host = TestHost::on(servers, &settings(&trusted)).await;
        host.settle().await;
        host.crm().book(&Booking::at("Review", &day(40), 9, SUSAN)).await;
        host.restart_with(&settings(&other)).await;
        let report = host.app.sync(&SyncOrder::default()).await;
        assert!(
            report.is_err() || report.is_ok_and(|report| report.unfinished > 0),
            "nothing goes over such a connection"
        );
        assert!(other.sent().iter().all(|sent| sent.text.is_empty()), "{protocol:?}: something was sent over it");
        host.restart_with(&settings(&trusted)).await;
        host.settle().await;
        assert_eq!(host.outlook("susan.maye").calendar().await.len(), 1);
        host.oracle(1, Mails::NONE).await;
    }
}
