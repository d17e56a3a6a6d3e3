//! The people of the server's directory: who has an address or a name, who is on a list, who is busy when.
//!
//! Promises: what is looked for is compared again here, since the server matches beginnings; lists within lists are followed
//! with a bound. Must not know: CRM users, items.
//!
//! The sync itself looks people up only. It opens no list, since an attendee that is one stays one (members written back would be invited
//! once more), and asks nobody's free and busy times, which are no part of an appointment: [`EwsConnector::list_members`] and
//! [`EwsConnector::availability`] are there for programs that build on this crate.
//!
//! Source: ResolveNames, ExpandDL and GetUserAvailability in Microsoft's EWS reference.

use std::collections::{BTreeSet, VecDeque};

use chrono::{DateTime, NaiveDateTime, Utc};
use roxmltree::Node;

use super::EwsConnector;
use super::client::{Act, Client};
use super::soap::{Refusal, SoapError, Xml, accepted, child, child_text, content, grandchildren, messages};
use crate::connector::{Error, Problem};
use crate::model::{Address, Container, DirectoryEntry, ShowAs};

/// Lists within lists, and people on them: far beyond what a meeting has.
const LISTS_MAX: usize = 50;
const MEMBERS_MAX: usize = 1_000;
/// GetUserAvailability takes fewer than a hundred mailboxes.
const MAILBOXES_MAX: usize = 99;
/// How times without a zone are written; the request names UTC as their zone.
const CLOCK: &str = "%Y-%m-%dT%H:%M:%S";

/// A time at which somebody is not free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    pub show_as: ShowAs,
}

/// One member of a list, as the server tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Member {
    Person(DirectoryEntry),
    List(Address),
}

impl EwsConnector {
    /// The people whose address (any of theirs) or whose name is the text. `within` is a mailbox the host may act in.
    pub async fn look_up(&self, within: &Container, wanted: &str) -> Result<Vec<DirectoryEntry>, Error> {
        let act = Act::new("look into the directory", self.mailbox(within)?);
        let found = self.client.resolve_names(act, wanted).await?;
        Ok(found.into_iter().filter(|entry| entry.answers_to(wanted)).collect())
    }

    /// Everybody on a list, lists within it opened; each person once.
    ///
    /// # Errors
    /// [`Problem::Refused`] for a list beyond the bounds.
    pub async fn list_members(&self, within: &Container, list: &Address) -> Result<Vec<DirectoryEntry>, Error> {
        let what = "read the members of a list";
        let act = Act::new(what, self.mailbox(within)?);
        let (mut waiting, mut opened) = (VecDeque::from([list.clone()]), BTreeSet::new());
        let (mut people, mut met) = (Vec::new(), BTreeSet::new());
        while let Some(list) = waiting.pop_front() {
            if !opened.insert(list.folded()) {
                continue;
            }
            for member in self.client.expand(act, &list).await? {
                match member {
                    Member::Person(person) if met.insert(person.address.folded()) => people.push(person),
                    Member::Person(_) => {}
                    Member::List(inner) => waiting.push_back(inner),
                }
            }
            if opened.len() > LISTS_MAX || people.len() > MEMBERS_MAX {
                let error = Error::new(self.client.name_act(what), Problem::Refused);
                return Err(error.caused_by(format!("it has more than {MEMBERS_MAX} people or {LISTS_MAX} lists")));
            }
        }
        Ok(people)
    }

    /// When each of the mailboxes is not free between two instants, in their order; or why the server does not say.
    ///
    /// # Errors
    /// For the request as a whole.
    pub async fn availability(
        &self,
        within: &Container,
        mailboxes: &[Address],
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Vec<Result<Vec<Busy>, Refusal>>, Error> {
        let act = Act::new("ask who is busy", self.mailbox(within)?);
        let mut answers = Vec::new();
        for group in mailboxes.chunks(MAILBOXES_MAX) {
            answers.extend(self.client.busy(act, group, from, to).await?);
        }
        Ok(answers)
    }
}

impl Client {
    async fn resolve_names(&self, act: Act<'_>, wanted: &str) -> Result<Vec<DirectoryEntry>, Error> {
        let attributes = [
            ("ReturnFullContactData", "true"),
            ("SearchScope", "ActiveDirectory"),
            ("ContactDataShape", "AllProperties"),
        ];
        let write = |xml: &mut Xml| {
            xml.element("m:ResolveNames", &attributes, |xml| xml.text("m:UnresolvedEntry", &[], wanted));
        };
        self.call(act, write, read_resolutions).await
    }

    async fn expand(&self, act: Act<'_>, list: &Address) -> Result<Vec<Member>, Error> {
        let write = |xml: &mut Xml| {
            xml.element("m:ExpandDL", &[], |xml| {
                xml.element("m:Mailbox", &[], |xml| xml.text("t:EmailAddress", &[], list.as_str()));
            });
        };
        let read = |response: Node<'_, '_>| {
            let message = messages(response)?.into_iter().next().ok_or(SoapError::Missing("response message"))?;
            accepted(message)?;
            Ok(grandchildren(message, "DLExpansion").into_iter().filter_map(member).collect())
        };
        self.call(act, write, read).await
    }

    async fn busy(
        &self,
        act: Act<'_>,
        mailboxes: &[Address],
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Vec<Result<Vec<Busy>, Refusal>>, Error> {
        let write = |xml: &mut Xml| {
            xml.element("m:GetUserAvailabilityRequest", &[], |xml| {
                write_utc(xml);
                xml.element("m:MailboxDataArray", &[], |xml| mailboxes.iter().for_each(|one| write_mailbox(xml, one)));
                xml.element("t:FreeBusyViewOptions", &[], |xml| {
                    xml.element("t:TimeWindow", &[], |xml| {
                        xml.text("t:StartTime", &[], &from.format(CLOCK).to_string());
                        xml.text("t:EndTime", &[], &to.format(CLOCK).to_string());
                    });
                    xml.text("t:MergedFreeBusyIntervalInMinutes", &[], "30");
                    xml.text("t:RequestedView", &[], "FreeBusy");
                });
            });
        };
        let read = |response: Node<'_, '_>| {
            let answers = grandchildren(response, "FreeBusyResponseArray");
            if answers.len() != mailboxes.len() {
                return Err(SoapError::Missing("answer for every mailbox"));
            }
            answers.into_iter().map(read_busy).collect()
        };
        self.call(act, write, read).await
    }
}

/// The zone of the request's times. The operation takes none by name.
fn write_utc(xml: &mut Xml) {
    xml.element("t:TimeZone", &[], |xml| {
        xml.text("t:Bias", &[], "0");
        for name in ["t:StandardTime", "t:DaylightTime"] {
            xml.element(name, &[], |xml| {
                for (part, value) in [
                    ("t:Bias", "0"),
                    ("t:Time", "00:00:00"),
                    ("t:DayOrder", "1"),
                    ("t:Month", "1"),
                    ("t:DayOfWeek", "Sunday"),
                ] {
                    xml.text(part, &[], value);
                }
            });
        }
    });
}

fn write_mailbox(xml: &mut Xml, mailbox: &Address) {
    xml.element("t:MailboxData", &[], |xml| {
        xml.element("t:Email", &[], |xml| xml.text("t:Address", &[], mailbox.as_str()));
        xml.text("t:AttendeeType", &[], "Required");
        xml.text("t:ExcludeConflicts", &[], "false");
    });
}

/// Reads a ResolveNames answer: nobody found is an empty list, several found are all of them.
///
/// # Errors
/// [`SoapError`] for other refusals.
pub fn read_resolutions(response: Node<'_, '_>) -> Result<Vec<DirectoryEntry>, SoapError> {
    let message = messages(response)?.into_iter().next().ok_or(SoapError::Missing("response message"))?;
    match accepted(message) {
        Err(refusal) if refusal.problem() == Problem::NotFound => return Ok(Vec::new()),
        other => other?,
    }
    Ok(grandchildren(message, "ResolutionSet").into_iter().filter_map(entry).collect())
}

/// Somebody with an SMTP address; others cannot be written to.
fn entry(resolution: Node<'_, '_>) -> Option<DirectoryEntry> {
    let mailbox = child(resolution, "Mailbox")?;
    let contact = child(resolution, "Contact");
    let text = |name: &str| contact.and_then(|contact| child_text(contact, name)).unwrap_or_default().trim().to_owned();
    let entries = contact.map(|contact| grandchildren(contact, "EmailAddresses")).unwrap_or_default();
    let mut addresses: Vec<Address> = Vec::new();
    // The mailbox's own address may be an internal one; the one marked `SMTP:` is primary, `smtp:` marks the others.
    let listed: Vec<String> = entries.into_iter().map(content).collect();
    let marked = |mark: &str| {
        listed.iter().filter_map(|text| text.trim().strip_prefix(mark)).map(Address::new).collect::<Vec<_>>()
    };
    addresses.extend(marked("SMTP:"));
    addresses.extend(smtp(mailbox));
    addresses.extend(marked("smtp:"));
    let mut known = BTreeSet::new();
    addresses.retain(|address| known.insert(address.folded()));
    let address = addresses.first().cloned()?;
    addresses.remove(0);
    Some(DirectoryEntry {
        name: child_text(mailbox, "Name").unwrap_or_default(),
        first_name: text("GivenName"),
        last_name: text("Surname"),
        address,
        aliases: addresses,
    })
}

fn smtp(mailbox: Node<'_, '_>) -> Option<Address> {
    let routing = child_text(mailbox, "RoutingType").unwrap_or_default();
    let address = child_text(mailbox, "EmailAddress").filter(|text| text.contains('@'))?;
    (routing.is_empty() || routing.trim().eq_ignore_ascii_case("SMTP")).then(|| Address::new(address.trim()))
}

fn member(mailbox: Node<'_, '_>) -> Option<Member> {
    let address = smtp(mailbox)?;
    let kind = child_text(mailbox, "MailboxType").unwrap_or_default();
    if matches!(kind.trim(), "PublicDL" | "PrivateDL") {
        return Some(Member::List(address));
    }
    let name = child_text(mailbox, "Name").unwrap_or_default();
    Some(Member::Person(DirectoryEntry { name, address, ..DirectoryEntry::default() }))
}

fn read_busy(response: Node<'_, '_>) -> Result<Result<Vec<Busy>, Refusal>, SoapError> {
    let message = child(response, "ResponseMessage").ok_or(SoapError::Missing("ResponseMessage"))?;
    if let Err(refusal) = accepted(message) {
        return Ok(Err(refusal));
    }
    let view = child(response, "FreeBusyView").ok_or(SoapError::Missing("FreeBusyView"))?;
    let events = grandchildren(view, "CalendarEventArray").into_iter().map(|event| {
        let time = |name: &str| {
            let text = child_text(event, name)?;
            let text = text.trim();
            let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()).ok();
            zoned.or_else(|| NaiveDateTime::parse_from_str(text, CLOCK).ok().map(|time| time.and_utc()))
        };
        let show_as = match child_text(event, "BusyType").as_deref() {
            Some("Free") => ShowAs::Free,
            Some("Tentative") => ShowAs::Tentative,
            Some("OOF") => ShowAs::OutOfOffice,
            Some("WorkingElsewhere") => ShowAs::WorkingElsewhere,
            _ => ShowAs::Busy,
        };
        let (start, end) = time("StartTime").zip(time("EndTime")).ok_or(SoapError::Missing("time of an event"))?;
        Ok(Busy { start, end, show_as })
    });
    let events: Result<Vec<_>, SoapError> = events.collect();
    events.map(|events| Ok(events.into_iter().filter(|event| event.show_as != ShowAs::Free).collect()))
}
