//! The story itself: what people do on one server, and what must then be seen on the other.
//!
//! Promises: each step acts and looks over the servers' own protocols; the host is asked only how its queue stands and to
//! run a pass. Stops at the first step that does not come true. Must not know: how the host does it.

use std::time::{Duration, Instant};

use chrono::{DateTime, Days, NaiveTime, TimeDelta, TimeZone, Utc};
use serde_json::json;

use super::people::{self, CUSTOMER, Person};
use super::teller::{Seen, Teller};
use super::wait::until;
use super::wire::{Booking, Mails, Meeting, Simulator};
use super::{CRM_ZONE, DemoError, Stage};
use crate::clock::{Clock, SystemClock};
use crate::control::{MailCounts, Status, SyncOrder};

/// From the doorbell's ring to the item in Exchange.
const GOOD_TO_EXCHANGE: Duration = Duration::from_secs(1);
/// From Outlook's write to the row in the CRM.
const GOOD_TO_CRM: Duration = Duration::from_secs(2);
/// How far ahead the story plays: not in the past, not in anyone's way.
const DAYS_AHEAD: u64 = 7;
/// Passes within which the host must come to rest: a write, its echo, and some for retries.
const PASSES_MAX: usize = 10;
/// `cmli_status` of a participant who accepted.
const ACCEPTED: &str = "3";

const REVIEW: &str = "Quarterly review";
const REVIEW_RENAMED: &str = "Quarterly review with figures";
const VISIT: &str = "Site visit";
const VISIT_RENAMED: &str = "Site visit, bring boots";
const OUTAGE: [&str; 2] = ["Call back Acme", "Prepare the offer"];
const CRASH: &str = "Contract signing";
const TAGGED: &str = "After the rule was replaced";

struct Story {
    organizer: Person,
    colleague: Person,
    crm_sim: Simulator,
    exchange_sim: Simulator,
    /// Nine in the morning of the story's first day, by the CRM's clock.
    morning: DateTime<Utc>,
    /// Key of the review's communication.
    review: String,
    /// Key of the visit's communication.
    visit: String,
    /// Mails that people's own Outlook caused; the host declares the others.
    by_people: Mails,
    /// Mails that the host declared before it was killed.
    declared: MailCounts,
}

/// Tells all steps; false as soon as one does not come true.
pub(super) async fn tell(stage: &mut Stage, teller: &Teller) -> bool {
    let mut story = match Story::begin(stage).await {
        Ok(story) => story,
        Err(error) => {
            teller.failed("start", &error);
            return false;
        }
    };
    teller.seen("start", "Both servers and the host are up", &Seen::new("the host signed in and looked at both once"));
    macro_rules! step {
        ($name:literal, $title:literal, $act:expr) => {
            match $act.await {
                Ok(seen) => teller.seen($name, $title, &seen),
                Err(error) => {
                    teller.failed($name, &error);
                    return false;
                }
            }
        };
    }
    step!("crm-to-exchange", "A meeting entered in the CRM is in Exchange", story.crm_to_exchange());
    step!("response", "A colleague accepts in Outlook, and the CRM shows it", story.response());
    step!(
        "both-sides",
        "Moved in Outlook and renamed in the CRM at the same moment: both are kept",
        story.both_sides(stage)
    );
    step!("exchange-to-crm", "An appointment made in Outlook is in the CRM", story.exchange_to_crm());
    step!("cancel", "Cancelled in the CRM, gone everywhere", story.cancel());
    step!("outage", "Exchange goes down while three edits happen; nothing is lost or done twice", story.outage(stage));
    step!("crash", "The host is killed between its write and its ledger; no duplicate", story.crash(stage));
    step!("rule-swap", "A rule's file is replaced; the next appointment shows it", story.rule_swap(stage));
    step!("quiet", "At rest a full pass writes nothing, and every mail was declared", story.quiet(stage));
    true
}

impl Story {
    async fn begin(stage: &Stage) -> Result<Self, DemoError> {
        let crm_sim = Simulator::new(&stage.crm.url())?;
        let (url, token) = stage.host.doorbell();
        crm_sim.set_doorbell(&url, token).await?;
        let day = SystemClock.now().with_timezone(&CRM_ZONE).date_naive() + Days::new(DAYS_AHEAD);
        let nine = day.and_time(NaiveTime::MIN) + TimeDelta::hours(9);
        let morning = CRM_ZONE.from_local_datetime(&nine).earliest();
        Ok(Self {
            organizer: people::organizer(stage).await?,
            colleague: people::colleague(stage).await?,
            crm_sim,
            exchange_sim: Simulator::new(&stage.exchange.url())?,
            morning: morning.ok_or_else(|| DemoError::new("find nine in the morning"))?.to_utc(),
            review: String::new(),
            visit: String::new(),
            by_people: Mails::default(),
            declared: MailCounts::default(),
        })
    }

    async fn crm_to_exchange(&mut self) -> Result<Seen, DemoError> {
        let (organizer, colleague) = (&self.organizer, &self.colleague);
        let booking = Booking {
            subject: REVIEW,
            note: "Room is booked.",
            location: "Room 2",
            start: self.at(0),
            end: self.at(1),
            users: &[organizer.id, colleague.id],
            external: &[CUSTOMER],
        };
        let review = organizer.crm.book(&booking).await?;
        // The last row rings the doorbell before its answer is sent.
        let rung = Instant::now();
        let wanted = |meeting: &Meeting| {
            meeting.start == Some(self.at(0))
                && meeting.end == Some(self.at(1))
                && meeting.location == "Room 2"
                && meeting.attendees.contains(&colleague.address)
                && meeting.attendees.iter().any(|address| address == CUSTOMER)
        };
        let (meeting, took) = until("the meeting is in the organizer's calendar", rung, || async {
            Ok(only(organizer.outlook.with_subject(REVIEW).await?)?.filter(wanted))
        })
        .await?;
        self.colleagues_copy(&meeting.uid).await?;
        self.mails("two invitations were sent", Mails { invitations: 2, ..Mails::default() }).await?;
        let category = meeting.categories.first().map(|name| format!(", with the category {name} from a rule"));
        let detail = format!(
            "{}'s calendar has it{}; exactly 2 invitations, to {} and to the customer",
            organizer.name,
            category.unwrap_or_default(),
            colleague.name
        );
        self.review = review;
        Ok(Seen::timed(detail, took, GOOD_TO_EXCHANGE))
    }

    async fn response(&mut self) -> Result<Seen, DemoError> {
        let uid = self.organizers_review().await?.uid;
        let copy = self.colleagues_copy(&uid).await?;
        self.colleague.outlook.accept(&copy).await?;
        let accepted = Instant::now();
        let (shown, took) = until("the CRM shows the answer", accepted, || async {
            let links = self.organizer.crm.links(&self.review).await?;
            let user = self.colleague.id.to_string();
            let in_link =
                links.iter().any(|link| link.text("CmLi_Comm_UserId") == user && link.text("cmli_status") == ACCEPTED);
            let row = self.organizer.crm.communication(&self.review).await?;
            let responses = row.map(|row| row.text("comm_responses")).unwrap_or_default();
            let in_column = responses.to_lowercase().contains("accepted");
            Ok(match (in_link, in_column) {
                (true, true) => Some("in the participant's row and in the responses column"),
                (true, false) => Some("in the participant's row"),
                (false, true) => Some("in the responses column"),
                (false, false) => None,
            })
        })
        .await?;
        let detail = format!("{} accepted; the CRM shows it {shown}", self.colleague.name);
        Ok(Seen::timed(detail, took, GOOD_TO_CRM))
    }

    async fn both_sides(&mut self, stage: &Stage) -> Result<Seen, DemoError> {
        let meeting = self.organizers_review().await?;
        let (start, end) = (self.at(2), self.at(3));
        let rename = json!({ "Comm_Subject": REVIEW_RENAMED });
        let moved = self.organizer.outlook.reschedule(&meeting, start, end);
        let renamed = self.organizer.crm.change(&self.review, &rename);
        tokio::try_join!(moved, renamed)?;
        self.by_people.updates += 2;
        let done = Instant::now();
        let wall = self.organizer.crm.wall(start);
        until("both servers show both changes", done, || async {
            let row = self.organizer.crm.communication(&self.review).await?;
            let in_crm = row.is_some_and(|row| {
                row.text("Comm_Subject") == REVIEW_RENAMED && row.text("Comm_DateTime").starts_with(&wall)
            });
            let meetings = self.organizer.outlook.with_subject(REVIEW).await?;
            let in_exchange = only(meetings)?
                .is_some_and(|meeting| meeting.subject == REVIEW_RENAMED && meeting.start == Some(start));
            Ok((in_crm && in_exchange).then_some(()))
        })
        .await?;
        self.rest(stage).await?;
        Ok(Seen::new("the new time is in the CRM, the new subject in Exchange, and each kept its own"))
    }

    async fn exchange_to_crm(&mut self) -> Result<Seen, DemoError> {
        self.colleague.outlook.book(VISIT, self.at(5), self.at(6)).await?;
        let booked = Instant::now();
        let wall = self.colleague.crm.wall(self.at(5));
        let (row, took) = until("the appointment is in the CRM", booked, || async {
            let rows = self.colleague.crm.by_subject(VISIT).await?;
            Ok(only(rows)?.filter(|row| row.text("Comm_DateTime").starts_with(&wall)))
        })
        .await?;
        if row.text("Comm_Organizer") != self.colleague.id.to_string() {
            return Err(DemoError::new(format!("the CRM names {} as organizer", row.text("Comm_Organizer"))));
        }
        self.visit = row.key();
        let detail = format!("communication {} belongs to {}", self.visit, self.colleague.name);
        Ok(Seen::timed(detail, took, GOOD_TO_CRM))
    }

    async fn cancel(&mut self) -> Result<Seen, DemoError> {
        let uid = self.organizers_review().await?.uid;
        let before = self.exchange_sim.mails().await?;
        self.organizer.crm.change(&self.review, &json!({ "Comm_Status": "Cancelled" })).await?;
        until("the meeting is gone from both calendars", Instant::now(), || async {
            let own = self.organizer.outlook.calendar().await?.into_iter().any(|meeting| meeting.uid == uid);
            let copies = self.colleague.outlook.calendar().await?;
            let open = copies.into_iter().any(|meeting| meeting.uid == uid && !meeting.cancelled);
            Ok((!own && !open).then_some(()))
        })
        .await?;
        let wanted = Mails { cancellations: before.cancellations + 2, ..before };
        self.mails("each attendee got one cancellation", wanted).await?;
        Ok(Seen::new("the organizer's item is deleted; each of the 2 attendees got exactly 1 cancellation"))
    }

    async fn outage(&mut self, stage: &Stage) -> Result<Seen, DemoError> {
        let crm = &self.organizer.crm;
        self.rest(stage).await?;
        let before = self.exchange_sim.writes().await?;
        self.exchange_sim.set_down(true).await?;
        self.colleague.crm.change(&self.visit, &json!({ "Comm_Subject": VISIT_RENAMED })).await?;
        for (subject, hour) in OUTAGE.into_iter().zip(7..) {
            crm.book(&self.alone(subject, hour)).await?;
        }
        until("the three edits wait in the queue", Instant::now(), || async {
            let status = status(stage).await?;
            Ok((status.queue.waiting + status.queue.leased >= 3).then_some(()))
        })
        .await?;
        self.exchange_sim.set_down(false).await?;
        let up = Instant::now();
        let (_, took) = until("all three are in Exchange", up, || async {
            let renamed = only(self.colleague.outlook.with_subject(VISIT).await?)?
                .is_some_and(|visit| visit.subject == VISIT_RENAMED);
            let calendar = self.organizer.outlook.calendar().await?;
            let created = OUTAGE.iter().all(|subject| calendar.iter().any(|item| item.subject == *subject));
            Ok((renamed && created).then_some(()))
        })
        .await?;
        self.rest(stage).await?;
        for subject in OUTAGE {
            only(self.organizer.outlook.with_subject(subject).await?)?;
        }
        let writes = self.exchange_sim.writes().await? - before;
        if writes != 3 {
            return Err(DemoError::new(format!("Exchange counted {writes} writes for three edits")));
        }
        let detail = format!(
            "3 edits waited in the queue; {:.1} s after Exchange was back all were there, with exactly 3 writes",
            took.as_secs_f64()
        );
        Ok(Seen::new(detail))
    }

    async fn crash(&mut self, stage: &mut Stage) -> Result<Seen, DemoError> {
        self.rest(stage).await?;
        self.exchange_sim.hold("CreateItem").await?;
        let key = self.organizer.crm.book(&self.alone(CRASH, 9)).await?;
        until("the host waits for the answer to its write", Instant::now(), || async {
            Ok((self.exchange_sim.held().await? == 1).then_some(()))
        })
        .await?;
        self.declared += status(stage).await?.mail;
        stage.host.kill().await?;
        self.exchange_sim.clear_faults().await?;
        let made = self.organizer.outlook.with_subject(CRASH).await?.len();
        if made != 1 {
            return Err(DemoError::new(format!("{made} items were made before the host was killed")));
        }
        let writes = self.exchange_sim.writes().await?;
        stage.host.restart().await?;
        let (url, token) = stage.host.doorbell();
        self.crm_sim.set_doorbell(&url, token).await?;
        until("the host knows the pair again", Instant::now(), || async {
            // The host answers "not known" until it has met the appointment.
            let story = stage.host.client().trace(&key).await;
            Ok(story.ok().filter(|story| story.exchange_id.is_some()).map(drop))
        })
        .await?;
        self.rest(stage).await?;
        let found = self.organizer.outlook.with_subject(CRASH).await?.len();
        let more = self.exchange_sim.writes().await? - writes;
        if found != 1 || more != 0 {
            return Err(DemoError::new(format!("{found} items and {more} more writes after the restart")));
        }
        Ok(Seen::new("started again, the host found the item it had made by its stamp: 1 item, no further write"))
    }

    async fn rule_swap(&mut self, stage: &Stage) -> Result<Seen, DemoError> {
        let before = self.generation(stage).await?;
        stage.host.replace_rule()?;
        let (now, took) = until("the host has taken the new rule", Instant::now(), || async {
            Ok(Some(self.generation(stage).await?).filter(|now| *now != before))
        })
        .await?;
        let key = self.organizer.crm.book(&self.alone(TAGGED, 10)).await?;
        let (item, _) = until("an appointment shows the new rule", Instant::now(), || async {
            only(self.organizer.outlook.with_subject(TAGGED).await?)
        })
        .await?;
        if item.subject == TAGGED || !item.categories.is_empty() {
            return Err(DemoError::new("the item in Exchange does not look like the new rule's work"));
        }
        self.rest(stage).await?;
        let row = self.organizer.crm.communication(&key).await?;
        if row.is_none_or(|row| row.text("Comm_Subject") != TAGGED) {
            return Err(DemoError::new("the rule's work came back into the CRM"));
        }
        let detail = format!(
            "generation {now} was in force after {:.1} s; the new item is \"{}\" in Exchange and unchanged in the CRM",
            took.as_secs_f64(),
            item.subject
        );
        Ok(Seen::new(detail))
    }

    async fn quiet(&mut self, stage: &Stage) -> Result<Seen, DemoError> {
        self.rest(stage).await?;
        let before =
            (self.crm_sim.writes().await?, self.exchange_sim.writes().await?, self.exchange_sim.mails().await?);
        let report = pass(stage, true).await?;
        if report != 0 {
            return Err(DemoError::new(format!("a full pass at rest made {report} writes")));
        }
        let after = (self.crm_sim.writes().await?, self.exchange_sim.writes().await?, self.exchange_sim.mails().await?);
        if before != after {
            return Err(DemoError::new(format!("at rest the servers counted {before:?}, then {after:?}")));
        }
        let mut declared = self.declared;
        declared += status(stage).await?.mail;
        let sum = MailCounts {
            invitations: declared.invitations + self.by_people.invitations,
            updates: declared.updates + self.by_people.updates,
            cancellations: declared.cancellations + self.by_people.cancellations,
        };
        let sent = after.2;
        if (sum.invitations, sum.updates, sum.cancellations) != (sent.invitations, sent.updates, sent.cancellations) {
            return Err(DemoError::new(format!("declared with those of people: {sum:?}; sent: {sent:?}")));
        }
        Ok(Seen::new(format!(
            "0 writes on both sides; {} mails sent, {} declared by the host and {} by people in Outlook",
            sent.invitations + sent.updates + sent.cancellations,
            declared.total(),
            self.by_people.updates
        )))
    }

    /// The story's clock: hours after nine.
    fn at(&self, hours: i64) -> DateTime<Utc> {
        self.morning + TimeDelta::hours(hours)
    }

    /// An hour of the organizer's own.
    fn alone<'a>(&'a self, subject: &'a str, hours: i64) -> Booking<'a> {
        Booking {
            subject,
            note: "",
            location: "",
            start: self.at(hours),
            end: self.at(hours + 1),
            users: std::slice::from_ref(&self.organizer.id),
            external: &[],
        }
    }

    async fn organizers_review(&self) -> Result<Meeting, DemoError> {
        let found = only(self.organizer.outlook.with_subject(REVIEW).await?)?;
        found.ok_or_else(|| DemoError::new("the meeting is not in the organizer's calendar"))
    }

    async fn colleagues_copy(&self, uid: &str) -> Result<Meeting, DemoError> {
        let (copy, _) = until("the colleague has a copy", Instant::now(), || async {
            Ok(self.colleague.outlook.calendar().await?.into_iter().find(|meeting| meeting.uid == uid))
        })
        .await?;
        Ok(copy)
    }

    /// Waits until exactly these mails were sent since the start, and makes sure that no more follow.
    async fn mails(&self, state: &str, wanted: Mails) -> Result<(), DemoError> {
        until(state, Instant::now(), || async { Ok((self.exchange_sim.mails().await? == wanted).then_some(())) })
            .await?;
        Ok(())
    }

    /// Passes until one has nothing to do and nothing waits.
    async fn rest(&self, stage: &Stage) -> Result<(), DemoError> {
        for _ in 0..PASSES_MAX {
            let writes = pass(stage, false).await?;
            let queue = status(stage).await?.queue;
            if queue.parked > 0 {
                return Err(DemoError::new(format!(
                    "{} appointments were parked; see: daybridge queue list",
                    queue.parked
                )));
            }
            if writes == 0 && queue.waiting + queue.leased == 0 {
                return Ok(());
            }
        }
        Err(DemoError::new(format!("the host did not come to rest in {PASSES_MAX} passes")))
    }

    async fn generation(&self, stage: &Stage) -> Result<u64, DemoError> {
        let chain =
            stage.host.client().rules().await.map_err(|error| DemoError::caused_by("ask for the rules", error))?;
        Ok(chain.generation.number)
    }
}

async fn status(stage: &Stage) -> Result<Status, DemoError> {
    stage.host.client().status().await.map_err(|error| DemoError::caused_by("ask for the host's status", error))
}

/// Runs a pass; answers how many writes it made.
async fn pass(stage: &Stage, sweep: bool) -> Result<u64, DemoError> {
    let order = SyncOrder { sweep, ..SyncOrder::default() };
    let report =
        stage.host.client().sync(&order).await.map_err(|error| DemoError::caused_by("ask for a pass", error))?;
    Ok(report.writes.crm + report.writes.exchange)
}

/// The one there is, or none.
fn only<T>(mut found: Vec<T>) -> Result<Option<T>, DemoError> {
    if found.len() > 1 {
        return Err(DemoError::new(format!("there are {} where one belongs", found.len())));
    }
    Ok(found.pop())
}
