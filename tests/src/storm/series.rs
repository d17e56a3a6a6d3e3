//! What the four do with series, in Outlook and in the CRM.

use serde_json::json;

use super::act::{Act, Set};
use super::people::attendees;
use super::stage::{Slot, Stage};
use super::truth::PEOPLE;
use crate::crm::Booking;
use crate::ews::Meeting;
use crate::time::{day, utc};

/// Days between two occurrences, and how many there are; without a number the series is endless.
const PATTERNS: [(i64, Option<i64>); 5] = [(1, Some(3)), (1, Some(4)), (7, Some(3)), (14, Some(2)), (7, None)];

impl Stage {
    pub(super) async fn book_series(&mut self, act: &Act) {
        let Act::BookSeries { who, day: ahead, hour, people, pattern } = act else { return };
        let (step, count) = PATTERNS[pattern % PATTERNS.len()];
        let (subject, text) = (self.text("Subject"), self.text("Text"));
        let (list, send) = attendees(*who, *people, false);
        let first = day(*ahead);
        let last = count.map(|count| day(ahead + step * (count - 1)));
        let range = match (last, *hour % 2) {
            (None, _) => format!("<t:NoEndRecurrence><t:StartDate>{first}</t:StartDate></t:NoEndRecurrence>"),
            (Some(last), 0) => format!(
                "<t:EndDateRecurrence><t:StartDate>{first}</t:StartDate><t:EndDate>{last}</t:EndDate></t:EndDateRecurrence>"
            ),
            (Some(_), _) => format!(
                "<t:NumberedRecurrence><t:StartDate>{first}</t:StartDate><t:NumberOfOccurrences>{}</t:NumberOfOccurrences>\
                 </t:NumberedRecurrence>",
                count.unwrap_or(1)
            ),
        };
        let zone = "W. Europe Standard Time";
        let item = format!(
            "<t:Subject>{subject}</t:Subject><t:Body BodyType=\"Text\">{text}</t:Body><t:Start>{}</t:Start><t:End>{}</t:End>{list}\
             <t:Recurrence><t:DailyRecurrence><t:Interval>{step}</t:Interval></t:DailyRecurrence>{range}</t:Recurrence>\
             <t:StartTimeZone Id=\"{zone}\"/><t:EndTimeZone Id=\"{zone}\"/>",
            utc(&first, *hour),
            utc(&first, hour + 1),
        );
        self.outlooks[*who].create(send, &item).await;
    }

    /// Each occurrence that is as the series follows it; one that differs by itself keeps what it has.
    pub(super) async fn set_series_in_outlook(&mut self, who: usize, series: &Meeting, subject: String, what: Set) {
        self.spread.insert(subject.clone());
        let (id, outlook) = (&series.id, self.outlooks[who].clone());
        match what {
            Set::Subject => {
                let text = self.text("Subject");
                outlook.set_subject(id, &text).await;
                self.kin.push([subject, text.clone()]);
                self.spread.insert(text);
            }
            Set::Location => outlook.set_location(id, &self.text("Room")).await,
            Set::Text => outlook.set_body(id, &self.text("Text")).await,
            Set::Time { .. } | Set::AllDay { .. } | Set::Private(_) | Set::Reminder(_) => {}
        }
    }

    pub(super) async fn crm_book_series(&mut self, act: &Act) {
        let Act::CrmBookSeries { who, day: ahead, hour, people, pattern } = act else { return };
        let (step, count) = PATTERNS[pattern % PATTERNS.len()];
        let (subject, text) = (self.text("Subject"), self.text("Text"));
        self.recurrences += 1;
        for number in 0..count.unwrap_or(3) {
            let date = day(ahead + step * number);
            let mut booking = Booking::at(&subject, &date, *hour, PEOPLE[*who].1).note(&text);
            for (other, (_, id)) in PEOPLE.iter().enumerate() {
                if other != *who && people & (1 << other) != 0 {
                    booking = booking.with_user(id);
                }
            }
            let id = self.crm.book(&booking.with("Comm_RecurrenceId", json!(self.recurrences))).await;
            self.typed(Slot::Crm(id)).subjects.insert(subject.clone());
        }
    }

    pub(super) async fn crm_set_series(&mut self, pick: usize) {
        let all = "comm_type eq 'Appointment' and comm_status ne 'Cancelled' and comm_recurrenceid gt 0";
        let mut rows = self.crm.find("Communication", all).await;
        rows.sort_by_key(crate::crm::Row::id);
        if rows.is_empty() {
            return;
        }
        let series = rows[pick % rows.len()].text("Comm_RecurrenceId");
        let place = self.text("Room");
        for row in rows.iter().filter(|row| row.text("Comm_RecurrenceId") == series) {
            self.spread.insert(row.text("Comm_Subject"));
            self.crm.patch("Communication", &row.id(), &json!({"Comm_Location": place})).await;
        }
    }
}
