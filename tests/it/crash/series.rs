//! The host dies at every request by which it changes a series, and starts again.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use daybridge::control::SyncOrder;
use daybridge_tests::crm::Booking;
use daybridge_tests::ews::TO_NONE;
use daybridge_tests::guests;
use daybridge_tests::host::{Mails, Reach, Servers, post};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{SUSAN, TERRY};
use serde_json::json;

use super::{Dying, REQUESTS, Stage};

/// A series made in Outlook, and one made in the CRM: the master's id, and the communications'.
struct Both {
    master: String,
    rows: Vec<String>,
}

impl Stage {
    async fn book_both(&self) -> Both {
        let pattern = format!(
            "<t:DailyRecurrence><t:Interval>1</t:Interval></t:DailyRecurrence><t:NumberedRecurrence><t:StartDate>{}\
             </t:StartDate><t:NumberOfOccurrences>3</t:NumberOfOccurrences></t:NumberedRecurrence>",
            day(10)
        );
        let master = self.servers.outlook("susan.maye").book_series("Review", &day(10), 9, &pattern, &[]).await;
        let mut rows = Vec::new();
        for offset in 20..23 {
            let booking = Booking::at("Stand-up", &day(offset), 9, SUSAN).with("Comm_RecurrenceId", json!(17));
            rows.push(self.servers.crm().book(&booking).await);
        }
        Both { master, rows }
    }

    /// One occurrence moved and one renamed in Outlook, one given a place in the CRM.
    async fn change_both(&self, both: &Both) {
        let outlook = self.servers.outlook("susan.maye");
        let second = outlook.view(&utc(&day(11), 0), &utc(&day(12), 0)).await.remove(0);
        outlook.reschedule(&second.id, &utc(&day(11), 14), &utc(&day(11), 15), TO_NONE).await;
        let last = outlook.view(&utc(&day(22), 0), &utc(&day(23), 0)).await.remove(0);
        outlook.set_location(&last.id, "Gate 4").await;
        self.servers.crm().patch("Communication", &both.rows[1], &json!({"Comm_Location": "Room 7"})).await;
    }

    /// One occurrence deleted in Outlook, one cancelled in the CRM, and then the whole of Outlook's series.
    async fn remove_some(&self, both: &Both) {
        let outlook = self.servers.outlook("susan.maye");
        let first = outlook.view(&utc(&day(10), 0), &utc(&day(11), 0)).await.remove(0);
        outlook.delete(&first.id, TO_NONE).await;
        self.servers.crm().patch("Communication", &both.rows[0], &json!({"Comm_Status": "Cancelled"})).await;
    }

    /// Both sides show these days and hours, and places where there are any; so many series are in the calendar.
    async fn check_days(&self, step: &str, days: &[(i64, u32, &str)], series: usize) {
        self.recover().await;
        let outlook = self.servers.outlook("susan.maye");
        let shown = outlook.view(&utc(&day(9), 0), &utc(&day(30), 0)).await;
        let shown: Vec<(String, String)> = shown.into_iter().map(|one| (one.start, one.location)).collect();
        let expected: Vec<(String, String)> =
            days.iter().map(|(offset, hour, place)| (utc(&day(*offset), *hour), (*place).to_owned())).collect();
        assert_eq!(shown, expected, "{step}: Exchange");
        let mut rows: Vec<(String, String)> = self
            .servers
            .crm()
            .appointments()
            .await
            .iter()
            .map(|row| (row.text("Comm_DateTime"), row.text("Comm_Location")))
            .collect();
        rows.sort();
        let expected: Vec<(String, String)> = days
            .iter()
            .map(|(offset, hour, place)| (format!("{}T{hour:02}:00:00", day(*offset)), (*place).to_owned()))
            .collect();
        assert_eq!(rows, expected, "{step}: CRM");
        assert_eq!(outlook.calendar().await.len(), series, "{step}: series in the calendar");
        assert_eq!(self.servers.mails().await, Mails::NONE, "{step}");
    }

    /// Dies at the host's `nth` request of this name, if it makes so many.
    async fn live_until_nth(&self, (operation, exchange): (&str, bool), nth: u32) -> bool {
        let url = if exchange { self.servers.exchange.url() } else { self.servers.crm.url() };
        let faults = format!("{url}_sim/faults");
        if nth > 1 {
            let earlier = json!({"operation": operation, "kind": "delay", "delay_ms": 0, "times": nth - 1});
            post(&faults, &earlier).await;
        }
        post(&faults, &json!({"operation": operation, "kind": "hold"})).await;
        self.live_until_held().await
    }
}

#[tokio::test]
async fn killed_between_any_write_to_a_series_and_its_answer() {
    let engine = guests::engine();
    let mut killed = 0;
    for request in REQUESTS {
        for nth in 1.. {
            let step = format!("{} {nth}", request.0);
            let stage = Stage::set(&engine).await;
            let both = stage.book_both().await;
            let mut died = stage.live_until_nth(request, nth).await;
            let days = [(10, 9, ""), (11, 9, ""), (12, 9, ""), (20, 9, ""), (21, 9, ""), (22, 9, "")];
            stage.check_days(&step, &days, 2).await;
            stage.change_both(&both).await;
            died |= stage.live_until_nth(request, nth).await;
            let days = [(10, 9, ""), (11, 14, ""), (12, 9, ""), (20, 9, ""), (21, 9, "Room 7"), (22, 9, "Gate 4")];
            stage.check_days(&step, &days, 2).await;
            stage.remove_some(&both).await;
            died |= stage.live_until_nth(request, nth).await;
            stage.check_days(&step, &[(11, 14, ""), (12, 9, ""), (21, 9, "Room 7"), (22, 9, "Gate 4")], 2).await;
            stage.servers.outlook("susan.maye").delete(&both.master, TO_NONE).await;
            died |= stage.live_until_nth(request, nth).await;
            stage.check_days(&step, &[(21, 9, "Room 7"), (22, 9, "Gate 4")], 1).await;
            if !died {
                break;
            }
            killed += 1;
        }
    }
    assert!(killed > 10, "the host died {killed} times only");
}

#[tokio::test]
async fn what_was_typed_after_a_series_was_cut_off_is_a_change_whatever_commit_it_was_cut_off_at() {
    let engine = guests::engine();
    for left in 0.. {
        let stage = Stage::between(Servers::reached(Reach::Graph).await, &engine).await;
        let mut ids = Vec::new();
        for offset in 20..23 {
            let booking = Booking::at("Stand-up", &day(offset), 9, SUSAN).with_user(TERRY);
            ids.push(stage.servers.crm().book(&booking.with("Comm_RecurrenceId", json!(17))).await);
        }
        let dying = Arc::new(Dying { inner: stage.store.clone(), left: AtomicUsize::new(left) });
        let done = stage.live(dying, &SyncOrder::default()).await;
        for id in &ids {
            stage.servers.crm().patch("Communication", id, &json!({"Comm_Location": "Room 7"})).await;
        }
        stage.recover().await;
        let outlook = stage.servers.outlook("susan.maye");
        let shown = outlook.view(&utc(&day(19), 0), &utc(&day(24), 0)).await;
        let places: Vec<&str> = shown.iter().map(|one| one.location.as_str()).collect();
        assert_eq!((places, outlook.calendar().await.len()), (vec!["Room 7"; 3], 1), "commit {left}");
        if done {
            assert!(left > 5, "the story must have commits to die at");
            return;
        }
    }
}
