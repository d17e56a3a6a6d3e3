//! The simulated Exchange server, over a real socket, by what a client of EWS sees on the wire.
#![expect(clippy::disallowed_methods, reason = "a test is its own HTTP client")]

mod faults;
mod items;
mod meetings;
mod notifications;
mod series;
mod sync;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use daybridge::clock::FixedClock;
use daybridge::lifecycle::Tasks;
use daybridge::sim::exchange::{Options, Running, serve};
use reqwest::{RequestBuilder, StatusCode};
use roxmltree::{Document, Node};
use serde_json::Value;

/// No named state takes longer than this on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

const SUSAN: &str = "susan.maye";
const TERRY: &str = "terry.smith";
const MARY: &str = "mary.jones";
const SERVICE: &str = "svc-daybridge";

struct Sim {
    running: Running,
    clock: Arc<FixedClock>,
    http: reqwest::Client,
    tasks: Tasks,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Id {
    id: String,
    key: String,
}

impl Id {
    fn xml(&self) -> String {
        format!("<t:ItemId Id=\"{}\" ChangeKey=\"{}\"/>", self.id, self.key)
    }
}

impl Sim {
    async fn start() -> Self {
        let tasks = Tasks::new();
        let clock = Arc::new(FixedClock::new("2027-01-15T08:00:00Z".parse().unwrap(), 1));
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = serve(listen, Options::default(), clock.clone(), &tasks).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build().unwrap();
        Self { running, clock, http, tasks }
    }

    fn request(&self, login: &str, header: &str, body: &str) -> RequestBuilder {
        let users = self.running.users();
        let user = users.iter().find(|user| user.login == login).unwrap();
        self.http
            .post(self.running.ews_url())
            .basic_auth(&user.login, Some(&user.password))
            .header("Content-Type", "text/xml; charset=utf-8")
            .body(envelope(header, body))
    }

    async fn ask(&self, login: &str, header: &str, body: &str) -> (StatusCode, String) {
        let answer = self.request(login, header, body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// The answer to a request that is no fault.
    async fn call(&self, login: &str, body: &str) -> String {
        let (status, text) = self.ask(login, "", body).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        text
    }

    /// The code of the fault that a request gets.
    async fn fault(&self, login: &str, header: &str, body: &str) -> String {
        let (status, text) = self.ask(login, header, body).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{text}");
        only(&text, "ResponseCode")
    }

    /// The response codes of a request, one for each item.
    async fn codes(&self, login: &str, body: &str) -> Vec<String> {
        texts(&self.call(login, body).await, "ResponseCode")
    }

    async fn create(&self, login: &str, send: &str, inner: &str) -> Id {
        let text = self.call(login, &create(send, inner)).await;
        id_in(&text).unwrap_or_else(|| panic!("not created: {text}"))
    }

    async fn update(&self, login: &str, id: &Id, send: &str, updates: &str) -> Id {
        let text = self.call(login, &update("NeverOverwrite", send, id, updates)).await;
        id_in(&text).unwrap_or_else(|| panic!("not updated: {text}"))
    }

    async fn get(&self, login: &str, id: &Id) -> String {
        self.call(login, &get("AllProperties", "", &id.xml())).await
    }

    /// All items of a folder, oldest first.
    async fn list(&self, login: &str, folder: &str) -> Vec<Id> {
        ids_in(&self.call(login, &find(folder, "")).await)
    }

    /// The only appointment in a calendar.
    async fn only_copy(&self, login: &str) -> Id {
        let [copy] = self.list(login, "calendar").await.try_into().expect("one appointment in the calendar");
        copy
    }

    async fn sim(&self, path: &str) -> Value {
        let url = format!("{}_sim/{path}", self.running.url());
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Counts of mails by kind since the last look.
    async fn mails(&self) -> Value {
        let counts = self.sim("mails").await["counts"].clone();
        let url = format!("{}_sim/mails", self.running.url());
        assert!(self.http.delete(url).send().await.unwrap().status().is_success());
        counts
    }

    async fn stop(self) {
        assert!(self.tasks.finish().await, "the simulator did not stop cleanly");
    }
}

fn envelope(header: &str, body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:m=\"http://schemas.microsoft.com/exchange/services/2006/messages\" \
         xmlns:t=\"http://schemas.microsoft.com/exchange/services/2006/types\">\
         <s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}

fn create(send: &str, inner: &str) -> String {
    format!(
        "<m:CreateItem SendMeetingInvitations=\"{send}\"><m:Items><t:CalendarItem>{inner}</t:CalendarItem></m:Items></m:CreateItem>"
    )
}

fn update(resolution: &str, send: &str, id: &Id, updates: &str) -> String {
    format!(
        "<m:UpdateItem ConflictResolution=\"{resolution}\" SendMeetingInvitationsOrCancellations=\"{send}\"><m:ItemChanges>\
         <t:ItemChange>{}<t:Updates>{updates}</t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>",
        id.xml()
    )
}

fn set(uri: &str, value: &str) -> String {
    format!("<t:SetItemField><t:FieldURI FieldURI=\"{uri}\"/><t:CalendarItem>{value}</t:CalendarItem></t:SetItemField>")
}

fn delete(kind: &str, send: &str, id: &Id) -> String {
    format!(
        "<m:DeleteItem DeleteType=\"{kind}\" SendMeetingCancellations=\"{send}\"><m:ItemIds>{}</m:ItemIds></m:DeleteItem>",
        id.xml()
    )
}

fn get(base: &str, more: &str, ids: &str) -> String {
    format!(
        "<m:GetItem><m:ItemShape><t:BaseShape>{base}</t:BaseShape>{more}</m:ItemShape><m:ItemIds>{ids}</m:ItemIds></m:GetItem>"
    )
}

fn find(folder: &str, restriction: &str) -> String {
    format!(
        "<m:FindItem Traversal=\"Shallow\"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>\
         <m:IndexedPageItemView MaxEntriesReturned=\"100\" Offset=\"0\" BasePoint=\"Beginning\"/>{restriction}\
         <m:ParentFolderIds><t:DistinguishedFolderId Id=\"{folder}\"/></m:ParentFolderIds></m:FindItem>"
    )
}

/// Subject, start, end of a plain appointment.
fn plain(subject: &str) -> String {
    format!("<t:Subject>{subject}</t:Subject>{TIMES}")
}

const TIMES: &str = "<t:Start>2027-02-08T09:00:00Z</t:Start><t:End>2027-02-08T10:00:00Z</t:End>";

fn attendees(list: &str, addresses: &[&str]) -> String {
    let one = |address: &&str| {
        format!("<t:Attendee><t:Mailbox><t:EmailAddress>{address}</t:EmailAddress></t:Mailbox></t:Attendee>")
    };
    format!("<t:{list}>{}</t:{list}>", addresses.iter().map(one).collect::<String>())
}

/// Texts of all elements of that local name, but those of the SOAP frame.
fn texts(text: &str, name: &str) -> Vec<String> {
    let document = Document::parse(text).unwrap();
    let is_frame = |node: &Node<'_, '_>| node.tag_name().namespace().is_some_and(|space| space.contains("soap"));
    let named = |node: &Node<'_, '_>| node.tag_name().name() == name && !is_frame(node);
    let content = |node: Node<'_, '_>| node.text().unwrap_or_default().to_owned();
    document.descendants().filter(named).map(content).collect()
}

fn only(text: &str, name: &str) -> String {
    let [one] = texts(text, name).try_into().unwrap_or_else(|many| panic!("{name} is {many:?} in {text}"));
    one
}

fn ids_in(text: &str) -> Vec<Id> {
    let document = Document::parse(text).unwrap();
    let named = |node: &Node<'_, '_>| node.tag_name().name() == "ItemId";
    let read = |node: Node<'_, '_>| Id {
        id: node.attribute("Id").unwrap().to_owned(),
        key: node.attribute("ChangeKey").unwrap_or_default().to_owned(),
    };
    document.descendants().filter(named).map(read).collect()
}

fn id_in(text: &str) -> Option<Id> {
    ids_in(text).into_iter().next()
}
