//! Rules are changed, and what is there already is made anew when a person asks.

use daybridge::control::{Desk, ReapplyOrder, ReapplyReport, Which};
use daybridge_tests::crm::Booking;
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{SUSAN, WILLIAM};
use serde_json::json;

/// The default chain with a tag before subjects in Exchange.
fn tagged(tag: &str) -> String {
    let mut chain = String::new();
    for rule in daybridge::plugin::default_chain() {
        chain.push_str(&format!("[[rules]]\nfile = \"{}\"\n", rule.file));
    }
    chain.push_str(&format!("[[rules]]\nfile = \"subject-tag.wasm\"\nsettings = {{ tag = \"{tag}\" }}\n"));
    chain
}

/// The chain with a folder for the rule that is not built in.
fn with_folder(folder: &std::path::Path, tag: &str) -> String {
    std::fs::write(folder.join("subject-tag.wasm"), daybridge_tests::guests::component("subject-tag"))
        .expect("written");
    format!("rules_dir = \"{}\"\n{}", folder.display(), tagged(tag))
}

async fn reapply(host: &TestHost, order: ReapplyOrder) -> ReapplyReport {
    host.app.reapply(&order).await.unwrap_or_else(|refusal| panic!("{}: {}", refusal.code, refusal.message))
}

fn yes() -> ReapplyOrder {
    ReapplyOrder { yes: true, ..ReapplyOrder::default() }
}

async fn subjects(host: &TestHost, mailbox: &str) -> Vec<String> {
    let mut subjects: Vec<String> =
        host.outlook(mailbox).calendar().await.into_iter().map(|meeting| meeting.subject).collect();
    subjects.sort();
    subjects
}

#[tokio::test]
async fn a_changed_setting_rewrites_nothing_until_a_person_asks() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut host = TestHost::settled_with(&with_folder(folder.path(), "[CRM] ")).await;
    host.crm().book(&Booking::at("Budget", &day(30), 9, SUSAN).with_external("ann.lee@client.test")).await;
    host.crm().book(&Booking::at("Review", &day(31), 9, SUSAN).note("Bring figures")).await;
    host.crm().book(&Booking::at("Forecast", &day(32), 9, WILLIAM).with("Comm_NotifyDelta", json!(15))).await;
    let outlook = host.outlook("susan.maye");
    outlook.book("Born in Outlook", &utc(&day(33), 9), &utc(&day(33), 10), &[]).await;
    host.settle().await;
    let nothing = reapply(&host, ReapplyOrder::default()).await;
    assert_eq!((nothing.looked_at, nothing.pairs), (4, 0), "under the rules that made them: {:?}", nothing.lines);

    host.reload_with(&with_folder(folder.path(), "CRM: ")).await;
    let writes = host.servers.exchange_writes().await;
    host.settle_with_sweep().await;
    assert_eq!(host.servers.exchange_writes().await, writes, "swapping a rule rewrites nothing");
    assert_eq!(subjects(&host, "susan.maye").await, ["Born in Outlook", "[CRM] Budget", "[CRM] Review"]);

    let preview = reapply(&host, ReapplyOrder::default()).await;
    assert_eq!((preview.done, preview.looked_at, preview.pairs), (false, 4, 3), "{:?}", preview.lines);
    assert_eq!(preview.fields.into_iter().collect::<Vec<_>>(), [("subject".to_owned(), 3)]);
    assert_eq!((preview.mail.invitations, preview.mail.updates, preview.mail.cancellations), (0, 1, 0));
    assert_eq!(host.servers.exchange_writes().await, writes, "a preview writes nothing");
    let one = ReapplyOrder { mailboxes: vec!["william.dolan@example.test".into()], ..ReapplyOrder::default() };
    assert_eq!(reapply(&host, one).await.pairs, 1);
    let limited = reapply(&host, ReapplyOrder { limit: Some(2), ..ReapplyOrder::default() }).await;
    assert_eq!((limited.pairs, limited.more), (2, true));
    let by_rule = |rule: &str| ReapplyOrder { rule: Some(rule.into()), ..ReapplyOrder::default() };
    assert_eq!(reapply(&host, by_rule("subject-tag")).await.pairs, 3);
    assert_eq!(reapply(&host, by_rule("status")).await.pairs, 0);
    assert_eq!(host.app.reapply(&by_rule("nobody")).await.expect_err("no such rule").code, "rule-not-known");

    let done = reapply(&host, yes()).await;
    assert_eq!((done.done, done.pairs, done.writes.crm, done.writes.exchange), (true, 3, 0, 3), "{:?}", done.lines);
    assert_eq!((done.mail.updates, done.unfinished), (1, 0));
    assert_eq!(subjects(&host, "susan.maye").await, ["Born in Outlook", "CRM: Budget", "CRM: Review"]);
    assert_eq!(subjects(&host, "william.dolan").await, ["CRM: Forecast"]);
    let again = reapply(&host, yes()).await;
    assert_eq!((again.pairs, again.writes.exchange, again.writes.crm), (0, 0, 0), "{:?}", again.lines);
    // One invitation when it was booked, one update for the new subject.
    host.oracle(4, Mails::new(1, 1, 0)).await;
}

#[tokio::test]
async fn what_people_changed_meanwhile_stays_and_reaches_the_other_side() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut host = TestHost::settled_with(&with_folder(folder.path(), "[CRM] ")).await;
    host.crm().book(&Booking::at("Budget", &day(30), 9, SUSAN)).await;
    host.crm().book(&Booking::at("Review", &day(31), 9, SUSAN)).await;
    host.settle().await;
    host.reload_with(&with_folder(folder.path(), "CRM: ")).await;
    let outlook = host.outlook("susan.maye");
    let edited = outlook.by_subject("[CRM] Budget").await.expect("in Outlook");
    outlook.set_subject(&edited.id, "Budget, second round").await;
    outlook.set_location(&edited.id, "Room 4").await;
    let preview = reapply(&host, ReapplyOrder::default()).await;
    assert_eq!(preview.kept, 1, "{preview:?}");
    reapply(&host, yes()).await;
    host.settle().await;
    assert_eq!(subjects(&host, "susan.maye").await, ["Budget, second round", "CRM: Review"]);
    let mut rows: Vec<(String, String)> = host
        .crm()
        .appointments()
        .await
        .iter()
        .map(|row| (row.text("Comm_Subject"), row.text("Comm_Location")))
        .collect();
    rows.sort();
    let row = |subject: &str, location: &str| (subject.to_owned(), location.to_owned());
    assert_eq!(rows, [row("Budget, second round", "Room 4"), row("Review", "")]);
    host.oracle(2, Mails::NONE).await;
}

#[tokio::test]
async fn the_mail_cap_holds_what_is_made_anew_and_a_person_lets_it_go() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capped = |tag: &str| format!("{}\n[sync]\nmail_cap = 3\n", with_folder(folder.path(), tag));
    let mut host = TestHost::settled_with(&capped("[CRM] ")).await;
    for (number, subject) in (30..).zip(["One", "Two"]) {
        host.crm().book(&Booking::at(subject, &day(number), 9, SUSAN).with_external("ann.lee@client.test")).await;
    }
    host.settle().await;
    host.reload_with(&capped("CRM: ")).await;
    let done = reapply(&host, yes()).await;
    assert_eq!((done.pairs, done.mail.updates, done.unfinished), (1, 1, 1), "{done:?}");
    assert_eq!(host.parked().await.into_values().collect::<Vec<_>>(), ["mail-cap"]);
    // The wish to make it anew outlasts the parking.
    host.app.queue_retry(&Which::All).await.expect("the queue");
    host.settle().await;
    assert_eq!(subjects(&host, "susan.maye").await, ["CRM: One", "CRM: Two"]);
    assert_eq!(reapply(&host, yes()).await.pairs, 0);
    host.oracle(2, Mails::new(2, 2, 0)).await;
}
