//! What the four do, in the CRM and in Outlook.

use std::collections::BTreeSet;

use serde_json::json;

use super::act::{Act, Set};
use super::stage::{Slot, Stage};
use super::truth::{self, Field, GUEST, PEOPLE};
use crate::crm::Booking;
use crate::ews::{TO_ALL, TO_NONE};
use crate::time::{day, utc};

/// What an item is called that is part of no series.
const SINGLE: &str = "Single";
const ZONES: [&str; 6] = [
    "W. Europe Standard Time",
    "Eastern Standard Time",
    "UTC",
    "Line Islands Standard Time",
    "India Standard Time",
    "Hawaiian Standard Time",
];

impl Stage {
    pub(super) async fn crm_book(&mut self, act: &Act) {
        let Act::CrmBook { who, day: ahead, hour, people, guest, all_day } = act else { return };
        let subject = self.text("Subject");
        let date = day(*ahead);
        let mut booking = Booking::at(&subject, &date, *hour, PEOPLE[*who].1).note(&self.text("Text"));
        for (other, (_, id)) in PEOPLE.iter().enumerate() {
            if other != *who && people & (1 << other) != 0 {
                booking = booking.with_user(id);
            }
        }
        if *guest {
            booking = booking.with_external(GUEST);
        }
        if *all_day {
            (booking.start, booking.end) = (format!("{date}T00:00:00"), format!("{date}T23:59:00"));
            booking = booking.with("Comm_IsAllDayEvent", json!("Y"));
        }
        let time = if *all_day { truth::days(&date, &date) } else { wall(&booking.start, &booking.end) };
        let id = self.crm.book(&booking).await;
        self.note(Slot::Crm(id.clone()), Field::Subject, subject);
        self.note(Slot::Crm(id), Field::Time, time);
    }

    pub(super) async fn crm_set(&mut self, pick: usize, what: Set) {
        let Some(id) = self.crm_pick(pick).await else { return };
        let slot = Slot::Crm(id.clone());
        let row = self.crm.get("Communication", &id).await;
        if let Some(row) = &row {
            self.typed(slot.clone()).subjects.insert(row.text("Comm_Subject"));
        }
        let occurrence = row.filter(|row| !row.text("Comm_RecurrenceId").is_empty());
        let what = match what {
            Set::AllDay { .. } if occurrence.is_some() => Set::Location,
            other => other,
        };
        let columns = match what {
            Set::Subject => {
                let text = self.text("Subject");
                self.note(slot, Field::Subject, text.clone());
                json!({"Comm_Subject": text})
            }
            Set::Location => {
                let text = self.text("Room");
                self.note(slot, Field::Location, text.clone());
                json!({"Comm_Location": text})
            }
            Set::Text => {
                let text = self.text("Text");
                self.note(slot, Field::Text, text.clone());
                json!({"Comm_Note": text})
            }
            Set::Time { day: ahead, hour } => {
                // An occurrence stays on its day: Exchange lets none pass another.
                let date = occurrence.map_or_else(|| day(ahead), |row| row.text("Comm_DateTime")[..10].to_owned());
                let (start, end) = (format!("{date}T{hour:02}:00:00"), format!("{date}T{hour:02}:45:00"));
                self.note(slot, Field::Time, wall(&start, &end));
                json!({"Comm_DateTime": start, "Comm_ToDateTime": end, "Comm_IsAllDayEvent": null})
            }
            Set::AllDay { day: ahead } => {
                let date = day(ahead);
                self.note(slot, Field::Time, truth::days(&date, &date));
                json!({"Comm_DateTime": format!("{date}T00:00:00"), "Comm_ToDateTime": format!("{date}T23:59:00"),
                    "Comm_IsAllDayEvent": "Y"})
            }
            Set::Private(private) => json!({"Comm_Private": if private { json!("Y") } else { json!(null) }}),
            Set::Reminder(minutes) => json!({"Comm_NotifyDelta": minutes}),
        };
        self.crm.patch("Communication", &id, &columns).await;
    }

    pub(super) async fn crm_invite(&mut self, pick: usize, who: usize, come: bool) {
        let Some(id) = self.crm_pick(pick).await else { return };
        let user = PEOPLE[who].1;
        let Some(row) = self.crm.get("Communication", &id).await else { return };
        if !row.text("Comm_RecurrenceId").is_empty() {
            // Whoever comes to a series comes to all of it.
            return;
        }
        let links = self.crm.links(&id).await;
        let own = links.iter().find(|link| link.text("CmLi_Comm_UserId") == user);
        match (own, come) {
            (None, true) => {
                let number = |text: &str| text.parse::<i64>().unwrap_or_default();
                let link = json!({"CmLi_Comm_CommunicationId": number(&id), "CmLi_Comm_UserId": number(user)});
                self.crm.post("Comm_Link", &link).await;
            }
            (Some(link), false) if row.text("Comm_Organizer") != user => self.crm.delete("Comm_Link", &link.id()).await,
            _ => {}
        }
    }

    pub(super) async fn book(&mut self, act: &Act) {
        let Act::Book { who, day: ahead, hour, people, guest, zone, all_day } = act else { return };
        let (subject, text) = (self.text("Subject"), self.text("Text"));
        let (list, send) = attendees(*who, *people, *guest);
        let zone = ZONES[zone % ZONES.len()];
        let (start, end) = (utc(&day(*ahead), *hour), utc(&day(*ahead), hour + 1));
        let (times, time) = if *all_day {
            let zone = ZONES[0];
            let times = format!(
                "<t:Start>{}T00:00:00</t:Start><t:End>{}T00:00:00</t:End><t:IsAllDayEvent>true</t:IsAllDayEvent>\
                 {list}<t:StartTimeZone Id=\"{zone}\"/><t:EndTimeZone Id=\"{zone}\"/>",
                day(*ahead),
                day(ahead + 1)
            );
            (times, truth::days(&day(*ahead), &day(*ahead)))
        } else {
            let times = format!(
                "<t:Start>{start}</t:Start><t:End>{end}</t:End>{list}<t:StartTimeZone Id=\"{zone}\"/><t:EndTimeZone \
                 Id=\"{zone}\"/>"
            );
            (times, truth::hours(start.parse().unwrap_or_default(), end.parse().unwrap_or_default()))
        };
        let item = format!("<t:Subject>{subject}</t:Subject><t:Body BodyType=\"Text\">{text}</t:Body>{times}");
        let id = self.outlooks[*who].create(send, &item).await;
        self.note(Slot::Exchange(*who, id.clone()), Field::Subject, subject);
        self.note(Slot::Exchange(*who, id), Field::Time, time);
    }

    pub(super) async fn set_in_outlook(&mut self, pick: usize, what: Set) {
        let Some((who, item)) = self.pick(pick, pick.is_multiple_of(3)).await else { return };
        let what = match what {
            Set::Time { .. } | Set::AllDay { .. } if item.kind == truth::MASTER => Set::Location,
            other => other,
        };
        let (slot, outlook) = (Slot::Exchange(who, item.id.clone()), self.outlooks[who].clone());
        let subject = truth::of_item(&item, who).subject;
        if item.kind == truth::MASTER {
            return self.set_series_in_outlook(who, &item, subject, what).await;
        }
        self.typed(slot.clone()).subjects.insert(subject);
        // An occurrence stays on its day: Exchange lets none pass another.
        let single = item.kind == SINGLE;
        let id = item.id;
        match what {
            Set::Subject => {
                let text = self.text("Subject");
                outlook.set_subject(&id, &text).await;
                self.note(slot, Field::Subject, text);
            }
            Set::Location => {
                let text = self.text("Room");
                outlook.set_location(&id, &text).await;
                self.note(slot, Field::Location, text);
            }
            Set::Text => {
                let text = self.text("Text");
                outlook.set_body(&id, &text).await;
                self.note(slot, Field::Text, text);
            }
            Set::Time { day: ahead, hour } => {
                let date = if single { day(ahead) } else { truth::date(&item.start) };
                let (start, end) = (utc(&date, hour), utc(&date, hour + 1));
                outlook.set_times(&id, &start, &end, false).await;
                let time = truth::hours(start.parse().unwrap_or_default(), end.parse().unwrap_or_default());
                self.note(slot, Field::Time, time);
            }
            Set::AllDay { .. } | Set::Private(_) | Set::Reminder(_) => {}
        }
    }

    pub(super) async fn people_in_outlook(&mut self, pick: usize, people: u8, guest: bool) {
        let Some((who, item)) = self.pick(pick, true).await else { return };
        let (list, _) = attendees(who, people, guest);
        if !list.is_empty() {
            self.outlooks[who].set(&item.id, "calendar:RequiredAttendees", &list, TO_ALL).await;
        }
    }
}

fn wall(start: &str, end: &str) -> String {
    truth::hours(truth::instant(start).unwrap_or_default(), truth::instant(end).unwrap_or_default())
}

/// The element with the people, and whom to tell.
pub(super) fn attendees(organizer: usize, people: u8, guest: bool) -> (String, &'static str) {
    let others = (0..PEOPLE.len()).filter(|who| *who != organizer && people & (1 << who) != 0).map(truth::address);
    let all: BTreeSet<String> = others.chain(guest.then(|| GUEST.to_owned())).collect();
    if all.is_empty() {
        return (String::new(), TO_NONE);
    }
    let list: String = all
        .iter()
        .map(|address| {
            format!("<t:Attendee><t:Mailbox><t:EmailAddress>{address}</t:EmailAddress></t:Mailbox></t:Attendee>")
        })
        .collect();
    (format!("<t:RequiredAttendees>{list}</t:RequiredAttendees>"), TO_ALL)
}
