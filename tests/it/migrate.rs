//! Mailboxes that move from one Exchange server to another: no pair is lost, nothing is written, nobody is mailed.

use daybridge::control::{Desk as _, MailboxMove, MigrateOrder, MigrateReport, Refusal, SyncOrder};
use daybridge_tests::crm::Booking;
use daybridge_tests::ews::{TO_ALL, TO_NONE};
use daybridge_tests::host::{Mails, Reach, Servers, TestHost, post};
use daybridge_tests::program;
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{MARY, SUSAN, TERRY};
use daybridge_tests::wait::wait_for;
use serde_json::{Value, json};

const SUSANS: &str = "susan.maye@example.test";

/// A host that reaches every mailbox by EWS, and has nothing to do.
async fn on_premises() -> TestHost {
    let mut host = TestHost::on(Servers::reached(Reach::Ews).await, "").await;
    host.settle().await;
    host
}

/// The configuration has the mailboxes elsewhere from now on.
async fn route(host: &mut TestHost, reach: Reach) {
    host.servers.reach = reach;
    host.restart().await;
}

fn order(from: &str, to: &str, yes: bool) -> MigrateOrder {
    MigrateOrder { from: from.into(), to: to.into(), mailboxes: Vec::new(), yes }
}

async fn migrate(host: &TestHost, order: &MigrateOrder) -> MigrateReport {
    host.app.migrate(order).await.unwrap_or_else(|refusal| panic!("{}: {}", refusal.code, refusal.message))
}

async fn refused(host: &TestHost, order: &MigrateOrder) -> Refusal {
    host.app.migrate(order).await.expect_err("a refusal")
}

fn of<'a>(report: &'a MigrateReport, mailbox: &str) -> &'a MailboxMove {
    report.mailboxes.iter().find(|one| one.mailbox.starts_with(mailbox)).expect("the mailbox is in the report")
}

/// Pairs looked at, and found by id, UID and stamp.
fn found(report: &MigrateReport) -> (u64, u64, u64, u64) {
    let sum = |count: fn(&MailboxMove) -> u64| report.mailboxes.iter().map(count).sum();
    (sum(|one| one.pairs), sum(|one| one.by_id), sum(|one| one.by_uid), sum(|one| one.by_stamp))
}

async fn writes(host: &TestHost) -> (u64, u64) {
    (host.servers.crm_writes().await, host.servers.exchange_writes().await)
}

async fn fault(host: &TestHost, fault: Value) {
    post(&format!("{}_sim/faults", host.servers.exchange.url()), &fault).await;
}

/// Every call for translations is refused.
async fn without_translation(host: &TestHost) {
    let refusal = json!({"operation": "Graph.TranslateIds", "kind": "error", "code": "ErrorInvalidIdMalformed",
        "status": 400, "times": 100_000});
    fault(host, refusal).await;
}

#[tokio::test]
async fn a_mailbox_that_moved_is_left_alone_until_it_is_carried_over_and_no_edit_is_lost() {
    let mut host = on_premises().await;
    let (crm, outlook) = (host.crm(), host.outlook("susan.maye"));
    let ours = crm.book(&Booking::at("From the CRM", &day(40), 9, SUSAN).with_user(TERRY)).await;
    let theirs = outlook.book("From Outlook", &utc(&day(41), 9), &utc(&day(41), 10), &[]).await;
    host.settle().await;
    route(&mut host, Reach::Graph).await;
    // Edits of both sides, a new item on each, and a deletion, while nobody looks.
    crm.patch("Communication", &ours, &json!({"Comm_Note": "Agenda"})).await;
    outlook.set_location(&theirs, "Room 9").await;
    crm.book(&Booking::at("New in the CRM", &day(42), 9, SUSAN)).await;
    outlook.book("New in Outlook", &utc(&day(43), 9), &utc(&day(43), 10), &[]).await;
    let before = writes(&host).await;
    for sweep in [false, true] {
        let report = host.pass(sweep).await;
        assert!(report.unfinished > 0);
    }
    assert_eq!(writes(&host).await, before, "nothing is done about a mailbox that moved");
    assert_eq!(host.notices().await, ["mailbox-moved"]);
    let status = host.app.status().await.expect("a status");
    let hers = status.containers.iter().find(|place| place.container == SUSANS).expect("her mailbox");
    let reason = &hers.paused.as_ref().expect("it waits").reason;
    assert_eq!(reason.code, "mailbox-moved");
    assert!(reason.hint.contains("daybridge exchange migrate --from ews --to graph"), "{}", reason.hint);

    let report = migrate(&host, &order("ews", "graph", true)).await;
    let hers = of(&report, "susan");
    assert_eq!((hers.done, hers.pairs, hers.by_id, hers.edited), (true, 2, 2, 1));
    assert_eq!((of(&report, "terry").copies, of(&report, "terry").copies_missing), (1, 0));
    assert_eq!(writes(&host).await, before);
    host.settle().await;
    assert_eq!(outlook.by_subject("From the CRM").await.expect("there").body.trim_end(), "Agenda");
    let rows = crm.appointments().await;
    let row = rows.iter().find(|row| row.text("Comm_Subject") == "From Outlook").expect("there");
    assert_eq!((row.text("Comm_Location").as_str(), rows.len()), ("Room 9", 4));
    assert!(outlook.by_subject("New in the CRM").await.is_some());
    outlook.delete(&theirs, TO_NONE).await;
    host.settle().await;
    assert_eq!(crm.appointments().await.len(), 3, "a deletion after the move is one like any other");
    host.oracle(3, Mails::new(1, 1, 0)).await;
}

#[tokio::test]
async fn a_dry_run_tells_how_each_pair_is_found_and_changes_nothing() {
    let mut host = on_premises().await;
    for number in 0..4 {
        host.crm().book(&Booking::at(&format!("Item {number}"), &day(40 + number), 9, SUSAN).with_user(TERRY)).await;
    }
    host.settle().await;
    let id = host.crm().appointments().await[0].id();
    route(&mut host, Reach::Graph).await;
    let before = writes(&host).await;
    for _ in 0..2 {
        let report = migrate(&host, &order("ews", "graph", false)).await;
        assert!(!report.done && report.mailboxes.iter().all(|one| !one.done));
        assert_eq!(found(&report), (4, 4, 0, 0));
        assert_eq!(of(&report, "terry").copies, 4);
    }
    assert_eq!(writes(&host).await, before);
    assert!(!host.trace(&id).await.contains("its item was found there"));
    // Still held: nothing of it was kept.
    assert!(host.pass(false).await.unfinished > 0);
    migrate(&host, &order("ews", "graph", true)).await;
    assert!(host.trace(&id).await.contains("its item was found there"));
    host.oracle(4, Mails::new(4, 0, 0)).await;
}

#[tokio::test]
async fn what_does_not_translate_is_found_by_uid_or_by_our_stamp() {
    let mut host = on_premises().await;
    let outlook = host.outlook("susan.maye");
    host.crm().book(&Booking::at("By UID", &day(40), 9, SUSAN).with_user(TERRY)).await;
    let id = host.crm().book(&Booking::at("By stamp", &day(41), 9, SUSAN)).await;
    host.settle().await;
    route(&mut host, Reach::Graph).await;
    // As an import from a file leaves it: the same appointment with its properties, under another UID.
    let old = outlook.by_subject("By stamp").await.expect("there");
    outlook.delete(&old.id, TO_NONE).await;
    let stamp = "<t:ExtendedFieldURI PropertySetId=\"6d1f5f2a-84c7-4c3b-9a57-2b0f6ce1d9e4\" \
                 PropertyName=\"DaybridgeKey\" PropertyType=\"String\"/>";
    let copy = format!(
        "<t:Subject>By stamp</t:Subject><t:ExtendedProperty>{stamp}<t:Value>crm:{id}</t:Value></t:ExtendedProperty>\
         <t:Start>{}</t:Start><t:End>{}</t:End>",
        old.start, old.end
    );
    outlook.create(TO_NONE, &copy).await;
    without_translation(&host).await;
    let report = migrate(&host, &order("ews", "graph", true)).await;
    assert_eq!(found(&report), (2, 0, 1, 1));
    assert_eq!((of(&report, "terry").copies, of(&report, "terry").copies_missing), (1, 0));
    host.clear_exchange_faults().await;
    host.settle().await;
    assert_eq!((outlook.calendar().await.len(), host.crm().appointments().await.len()), (2, 2));
    host.oracle(2, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn an_appointment_that_is_not_found_leaves_the_crms_copy_alone() {
    let mut host = on_premises().await;
    let outlook = host.outlook("susan.maye");
    for number in 0..3 {
        host.crm().book(&Booking::at(&format!("Item {number}"), &day(40 + number), 9, SUSAN)).await;
    }
    host.settle().await;
    route(&mut host, Reach::Graph).await;
    let gone = outlook.by_subject("Item 1").await.expect("there");
    outlook.delete(&gone.id, TO_NONE).await;
    let before = writes(&host).await;
    let report = migrate(&host, &order("ews", "graph", true)).await;
    let hers = of(&report, "susan");
    assert_eq!((hers.pairs, hers.by_id, hers.missing.values().sum::<u64>()), (3, 2, 1));
    assert_eq!(report.lines.len(), 1);
    assert!(report.lines[0].why.contains("neither its id, its UID nor our stamp"), "{}", report.lines[0].why);
    host.settle_with_sweep().await;
    assert_eq!(writes(&host).await, before);
    let rows = host.crm().appointments().await;
    assert_eq!(rows.len(), 3, "nothing is deleted on the strength of a name nobody knows");
    let row = rows.iter().find(|row| row.text("Comm_Subject") == "Item 1").expect("there");
    let trace = host.trace(&row.id()).await;
    assert!(trace.contains("not carried over") && trace.contains("what the CRM has stays"), "{trace}");
    host.oracle(2, Mails::NONE).await;
}

#[tokio::test]
async fn a_mailbox_that_is_not_at_its_new_server_is_refused_and_the_others_are_carried_over() {
    let mut host = on_premises().await;
    for user in [SUSAN, MARY] {
        host.crm().book(&Booking::at("Item", &day(40), 9, user)).await;
    }
    host.settle().await;
    route(&mut host, Reach::Graph).await;
    fault(
        &host,
        json!({"operation": "Graph.*", "container": SUSANS, "kind": "error", "code": "MailboxNotEnabledForRESTAPI",
            "status": 404, "times": 100_000}),
    )
    .await;
    let report = migrate(&host, &order("ews", "graph", true)).await;
    let hers = of(&report, "susan");
    assert_eq!(hers.refused.as_ref().map(|reason| reason.code.as_str()), Some("mailbox-missing"));
    assert!(!hers.done && of(&report, "mary").done);
    host.clear_exchange_faults().await;
    // The mailbox is there now, without its content.
    let outlook = host.outlook("susan.maye");
    let item = outlook.by_subject("Item").await.expect("there");
    outlook.relocate(&item.id, "deleteditems").await;
    let report = migrate(&host, &order("ews", "graph", true)).await;
    assert_eq!(report.mailboxes.len(), 1, "only she is left");
    assert_eq!(of(&report, "susan").refused.as_ref().map(|reason| reason.code.as_str()), Some("mailbox-not-there"));
    assert!(host.pass(true).await.unfinished > 0, "she is still held");
    assert_eq!(host.crm().appointments().await.len(), 2);
    host.no_story("her mailbox never comes");
}

#[tokio::test]
async fn an_order_that_does_not_fit_is_refused_with_what_to_do() {
    let mut host = on_premises().await;
    host.crm().book(&Booking::at("Hers", &day(40), 9, SUSAN)).await;
    host.crm().book(&Booking::at("His", &day(40), 9, TERRY)).await;
    host.settle().await;
    assert_eq!(refused(&host, &order("ews", "graph", true)).await.code, "server-not-known");
    route(&mut host, Reach::Hybrid).await;
    let unknown = refused(&host, &order("ews", "onlyne", true)).await;
    assert_eq!(unknown.code, "server-not-known");
    assert!(unknown.hint.contains("exchange (ews), online (graph)"), "{}", unknown.hint);
    assert_eq!(refused(&host, &order("graph", "ews", true)).await.code, "nothing-to-migrate");
    let named =
        |mailbox: &str, from: &str| MigrateOrder { mailboxes: vec![mailbox.to_owned()], ..order(from, "online", true) };
    assert_eq!(refused(&host, &named("nobody@example.test", "ews")).await.code, "container-not-known");
    let code = |report: &MigrateReport| report.mailboxes[0].refused.as_ref().map(|reason| reason.code.clone());
    let report = migrate(&host, &named("terry.smith@example.test", "exchange")).await;
    assert_eq!(code(&report).as_deref(), Some("not-routed-there"));
    assert_eq!(code(&migrate(&host, &named(SUSANS, "cloud")).await).as_deref(), Some("another-origin"));
    // One by name, the rest by kind.
    let report = migrate(&host, &named("Susan.Maye@example.test", "exchange")).await;
    assert_eq!((report.mailboxes.len(), of(&report, "susan").done, found(&report)), (1, true, (1, 1, 0, 0)));
    assert_eq!(code(&migrate(&host, &named(SUSANS, "exchange")).await).as_deref(), Some("already-there"));
    assert_eq!(migrate(&host, &order("ews", "graph", true)).await.mailboxes.len(), 1, "Mary");
    assert_eq!(refused(&host, &order("ews", "graph", true)).await.code, "nothing-to-migrate");
    host.oracle(2, Mails::NONE).await;
}

#[tokio::test]
async fn a_move_that_was_cut_off_can_be_turned_back_and_a_whole_one_too() {
    // One full page of pairs and some.
    const PAIRS: i64 = 64;
    let mut host = on_premises().await;
    for number in 0..PAIRS {
        let (day, hour) = (day(30 + number / 8), 8 + u32::try_from(number % 8).expect("small"));
        host.outlook("susan.maye").book(&format!("Item {number}"), &utc(&day, hour), &utc(&day, hour + 1), &[]).await;
    }
    host.pass(false).await;
    host.settle().await;
    let before = writes(&host).await;
    route(&mut host, Reach::Graph).await;
    // Cut off when the first page of pairs is renamed and the second is not.
    let slow = |latency: u64| json!({ "latency_ms": latency });
    post(&format!("{}_sim/graph", host.servers.exchange.url()), &slow(50)).await;
    let (all, begun) = (order("ews", "graph", true), host.servers.requests().await.1);
    tokio::select! {
        _ = migrate(&host, &all) => panic!("it was to be cut off"),
        () = wait_for("the second page is read", || async {
            (host.servers.requests().await.1 >= begun + 57).then_some(())
        }) => {}
    }
    post(&format!("{}_sim/graph", host.servers.exchange.url()), &slow(0)).await;
    route(&mut host, Reach::Ews).await;
    assert!(host.pass(false).await.unfinished > 0, "half of the names are the other server's");
    let report = migrate(&host, &order("graph", "ews", true)).await;
    assert_eq!((of(&report, "susan").pairs, of(&report, "susan").carried()), (64, 64));
    host.settle().await;
    assert_eq!(writes(&host).await, before);
    route(&mut host, Reach::Graph).await;
    assert_eq!(found(&migrate(&host, &all).await), (64, 64, 0, 0));
    host.settle().await;
    route(&mut host, Reach::Ews).await;
    assert_eq!(found(&migrate(&host, &order("graph", "ews", true)).await), (64, 0, 64, 0));
    host.settle().await;
    assert_eq!(writes(&host).await, before);
    host.oracle(64, Mails::NONE).await;
}

#[tokio::test]
async fn what_waits_or_is_parked_follows_its_mailbox() {
    let mut host = on_premises().await;
    host.crm_fault(json!({"operation": "POST Communication", "kind": "status", "status": 422, "times": 100_000})).await;
    host.outlook("susan.maye").book("Refused", &utc(&day(40), 9), &utc(&day(40), 10), &[]).await;
    host.settle().await;
    assert_eq!(host.parked().await.len(), 1, "{:?}", host.parked().await);
    route(&mut host, Reach::Graph).await;
    migrate(&host, &order("ews", "graph", true)).await;
    host.settle().await;
    host.servers.crm.faults().clear();
    host.retry_all().await;
    host.settle().await;
    assert_eq!(host.crm().appointments().await.len(), 1);
    host.oracle(1, Mails::NONE).await;
}

/// A daily series from a day on, as a person's Outlook writes it.
fn daily(start: &str, count: u32) -> String {
    format!(
        "<t:DailyRecurrence><t:Interval>1</t:Interval></t:DailyRecurrence><t:NumberedRecurrence>\
         <t:StartDate>{start}</t:StartDate><t:NumberOfOccurrences>{count}</t:NumberOfOccurrences></t:NumberedRecurrence>"
    )
}

/// What her calendar shows from day 10 to day 40: subject, start and place.
async fn days_shown(host: &TestHost) -> Vec<(String, String, String)> {
    let shown = host.outlook("susan.maye").view(&utc(&day(10), 0), &utc(&day(40), 0)).await;
    let mut shown: Vec<_> = shown.into_iter().map(|one| (one.subject, one.start, one.location)).collect();
    shown.sort();
    shown
}

/// The same by the CRM: subject and start, on its own clock.
async fn days_kept(host: &TestHost) -> Vec<(String, String)> {
    let rows = host.crm().appointments().await;
    let mut kept: Vec<_> = rows.iter().map(|row| (row.text("Comm_Subject"), row.text("Comm_DateTime"))).collect();
    kept.sort();
    kept
}

#[tokio::test]
async fn series_are_carried_over_with_their_exceptions_and_what_was_deleted_of_them_stays_so() {
    let mut host = on_premises().await;
    let (crm, outlook) = (host.crm(), host.outlook("susan.maye"));
    // One made in Outlook, with a guest; one made in the CRM.
    outlook.book_series("Review", &day(10), 9, &daily(&day(10), 6), &["terry.smith@example.test"]).await;
    let mut ids = Vec::new();
    for offset in 20..26 {
        let booking = Booking::at("Stand-up", &day(offset), 9, SUSAN).with("Comm_RecurrenceId", json!(31));
        ids.push(crm.book(&booking).await);
    }
    host.settle().await;
    let second = outlook.view(&utc(&day(11), 0), &utc(&day(12), 0)).await.remove(0);
    outlook.reschedule(&second.id, &utc(&day(11), 14), &utc(&day(11), 15), TO_ALL).await;
    let third = outlook.view(&utc(&day(12), 0), &utc(&day(13), 0)).await.remove(0);
    outlook.delete(&third.id, TO_NONE).await;
    crm.patch("Communication", &ids[1], &json!({"Comm_Location": "Room 7"})).await;
    crm.patch("Communication", &ids[2], &json!({"Comm_Status": "Cancelled"})).await;
    host.people_mailed(Mails::new(1, 1, 0));
    host.settle().await;
    assert_eq!(
        (outlook.calendar().await.len(), days_shown(&host).await.len()),
        (2, 10),
        "two series, five days of each"
    );
    let (pairs, shown, kept) = (host.app.pairs(), days_shown(&host).await, days_kept(&host).await);
    let (before, mails) = (writes(&host).await, host.servers.mails().await);
    route(&mut host, Reach::Graph).await;
    let report = migrate(&host, &order("ews", "graph", true)).await;
    let hers = of(&report, "susan");
    assert_eq!((hers.done, hers.pairs, hers.carried(), hers.edited), (true, pairs, pairs, 0), "{hers:?}");
    assert!(hers.missing.is_empty() && report.lines.is_empty(), "{hers:?}");
    let report = host.pass(true).await;
    assert!(report.looked_at > 0, "each series is looked at by its new name");
    host.settle_with_sweep().await;
    assert_eq!((writes(&host).await, host.servers.mails().await), (before, mails), "{:?}", report.lines);
    assert_eq!((days_shown(&host).await, days_kept(&host).await, host.app.pairs()), (shown, kept, pairs));
    // From now on they are as any others: a day is changed on each side, and what was deleted does not come back.
    crm.patch("Communication", &ids[3], &json!({"Comm_Location": "Room 8"})).await;
    let fourth = outlook.view(&utc(&day(13), 0), &utc(&day(14), 0)).await.remove(0);
    outlook.set_location(&fourth.id, "Hall").await;
    host.settle_with_sweep().await;
    let places: Vec<_> = days_shown(&host).await.into_iter().map(|(_, start, place)| (start, place)).collect();
    assert_eq!(places.len(), 10);
    for (offset, place) in [(13, "Hall"), (21, "Room 7"), (23, "Room 8")] {
        assert!(places.contains(&(utc(&day(offset), 9), place.to_owned())), "day {offset}: {places:?}");
    }
    let rows = crm.appointments().await;
    assert!(rows.iter().any(|row| row.text("Comm_Location") == "Hall"));
    host.oracle(pairs, Mails::new(1, 1, 0)).await;
}

/// The program is killed in the middle at several points, and started again.
#[tokio::test]
async fn five_hundred_pairs_are_carried_over_though_the_program_is_killed_again_and_again() {
    const PAIRS: i64 = 500;
    let mut host = TestHost::on(Servers::reached(Reach::Ews).await, "[sync]\nworkers = 4\nmail_cap = 1000\n").await;
    host.settle().await;
    let (crm, outlook) = (host.crm(), host.outlook("susan.maye"));
    for number in 0..PAIRS {
        let (day, hour) = (day(30 + number / 8), 8 + u32::try_from(number % 8).expect("small"));
        let subject = format!("Item {number}");
        match number % 5 {
            0 => drop(crm.book(&Booking::at(&subject, &day, hour, SUSAN).with_user(TERRY)).await),
            1 | 2 => drop(crm.book(&Booking::at(&subject, &day, hour, SUSAN)).await),
            _ => drop(outlook.book(&subject, &utc(&day, hour), &utc(&day, hour + 1), &[]).await),
        }
    }
    host.pass(false).await;
    host.settle().await;
    assert_eq!(host.app.pairs(), 500);
    let (before, mails) = (writes(&host).await, host.servers.mails().await);
    host.servers.reach = Reach::Graph;
    let _stand_in = host.step_aside().await;
    let folder = host.data.path().to_owned();
    let command =
        ["exchange", "migrate", "--from", "ews", "--to", "graph", "--yes", "--json", "--config", "daybridge.toml"];
    let preview = program::run(&folder, &command[..6].iter().chain(&command[8..]).copied().collect::<Vec<_>>()).await;
    let told = "500 pairs would be carried over. Nothing was changed. To do it: the same with --yes";
    assert!(preview.code == 0 && preview.stdout.contains(told), "{}{}", preview.stdout, preview.stderr);
    // Before the first page of pairs is renamed, amid a later one, and twice further on.
    for requests in [40, 130, 130, 130] {
        let begun = host.servers.requests().await.1;
        let running = program::start(&folder, &command);
        wait_for("the program is in the middle", || async {
            (host.servers.requests().await.1 >= begun + requests).then_some(())
        })
        .await;
        running.kill().await;
    }
    let last = program::run(&folder, &command).await;
    assert_eq!(last.code, 0, "{}{}", last.stdout, last.stderr);
    let report: MigrateReport = serde_json::from_str(&last.stdout).expect("a report");
    let hers = of(&report, "susan");
    assert!(hers.done && hers.pairs < 400, "an earlier run carried over the first of them: {hers:?}");
    assert_eq!((hers.carried(), hers.edited), (hers.pairs, 0));
    host.come_back().await;
    let sweep = SyncOrder { sweep: true, ..SyncOrder::default() };
    let report = host.app.sync(&sweep).await.expect("the first pass");
    assert!(report.looked_at >= 500, "every pair is looked at by its new name: {}", report.looked_at);
    assert_eq!((report.writes.crm, report.writes.exchange, report.mail.total()), (0, 0, 0), "{:?}", report.lines);
    assert_eq!((writes(&host).await, host.servers.mails().await), (before, mails));
    host.oracle(500, Mails::new(100, 0, 0)).await;
}
