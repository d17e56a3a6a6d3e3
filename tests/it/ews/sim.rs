//! The connector beside the Exchange simulator, and what Outlook users do meanwhile.
#![expect(clippy::disallowed_methods, reason = "tests speak HTTP themselves")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use daybridge::clock::SystemClock;
use daybridge::connector::Connector as _;
use daybridge::connector::ews::EwsConnector;
use daybridge::connector::ews::config::EwsConfig;
use daybridge::connector::http::Secret;
use daybridge::lifecycle::Tasks;
use daybridge::model::{
    Address, Appointment, Attendee, AttendeeKind, Container, Field, Item, ItemRef, Key, Mail, Patch, Person, Response,
    Seen, Time, Value, Zone,
};
use daybridge::sim::exchange::{Options, Running, serve};

pub struct Sim {
    pub running: Running,
    pub connector: EwsConnector,
    tasks: Tasks,
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

impl Sim {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings of the connector.
    pub async fn with(change: impl FnOnce(&mut EwsConfig)) -> Self {
        Self::of(Options::default(), change).await
    }

    /// With another company, too.
    pub async fn of(options: Options, change: impl FnOnce(&mut EwsConfig)) -> Self {
        let tasks = Tasks::new();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = serve(listen, options, Arc::new(SystemClock), &tasks).await.unwrap();
        let mut config = service(&running);
        change(&mut config);
        Self { connector: EwsConnector::new(config).unwrap(), running, tasks }
    }

    /// Counts of mails sent so far: requests, updates, cancellations, responses.
    pub async fn mails(&self) -> [u64; 4] {
        let url = format!("{}_sim/mails", self.running.url());
        let text = http().get(url).send().await.unwrap().text().await.unwrap();
        let counts: serde_json::Value = serde_json::from_str(&text).unwrap();
        ["request", "update", "cancellation", "response"].map(|kind| counts["counts"][kind].as_u64().unwrap_or(0))
    }

    /// A request in the words of EWS, signed in as that user.
    pub async fn ask(&self, login: &str, operation: &str) -> String {
        let users = self.running.users();
        let user = users.iter().find(|user| user.login == login).unwrap();
        let body = super::answer(operation);
        let request = http().post(self.running.ews_url()).basic_auth(login, Some(&user.password)).body(body);
        let text = request.send().await.unwrap().text().await.unwrap();
        assert!(text.contains("NoError"), "{text}");
        text
    }

    pub async fn create(&self, draft: &Appointment, key: &Key, mail: Mail) -> Item {
        self.connector.create(&susan(), draft, key, mail).await.unwrap()
    }

    pub async fn read(&self, at: &ItemRef) -> Seen {
        self.connector.read(at).await.unwrap()
    }

    /// Writes these values silently.
    pub async fn update(&self, item: &Item, set: &[(Field, Value)], mail: Mail) -> Item {
        let (patch, after) = patched(item, set);
        self.connector.update(&item.at, &item.version, &patch, &after, mail).await.unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test is its own HTTP client")]
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub fn service(running: &Running) -> EwsConfig {
    EwsConfig::new(running.ews_url(), "svc-daybridge", Secret::new("service-demo"))
}

pub fn mailbox(login: &str) -> Container {
    Container::Mailbox(Address::new(&format!("{login}@example.test")))
}

pub fn susan() -> Container {
    mailbox("susan.maye")
}

pub fn terry() -> Container {
    mailbox("terry.smith")
}

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn timed(start: &str, end: &str) -> Time {
    Time::timed(at(start), at(end), Zone::named("Europe/Berlin"))
}

pub fn draft(subject: &str) -> Appointment {
    Appointment::new(subject, timed("2027-02-08T09:00:00Z", "2027-02-08T10:00:00Z"))
}

pub fn invite(draft: &mut Appointment, logins: &[&str]) {
    for login in logins {
        let person = Person { name: (*login).into(), address: Address::new(&format!("{login}@example.test")) };
        let kind = AttendeeKind::Required;
        draft.attendees.push(Attendee { person, user: None, kind, response: Response::None, responded: None });
    }
    draft.attendees.sort_by(|a, b| a.person.address.cmp(&b.person.address));
}

pub fn patched(item: &Item, set: &[(Field, Value)]) -> (Patch, Appointment) {
    let patch = Patch { set: set.iter().cloned().collect() };
    let mut after = item.appointment.clone();
    patch.apply(&mut after).unwrap();
    (patch, after)
}

pub fn key(id: u32) -> Key {
    Key::Crm(id.to_string())
}
