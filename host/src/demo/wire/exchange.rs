//! A mailbox owner's way to Exchange: what Outlook would do, as SOAP.

use chrono::{DateTime, Utc};
use roxmltree::{Document, Node};

use super::super::DemoError;
use crate::connector::http::{HttpClient, Request, Secret, Url};

const TYPES: &str = "http://schemas.microsoft.com/exchange/services/2006/types";
const MESSAGES: &str = "http://schemas.microsoft.com/exchange/services/2006/messages";
/// A demo calendar holds a handful of items.
const ITEMS_MAX: usize = 500;

/// Signed in as the owner of one mailbox.
pub(in super::super) struct Outlook {
    http: HttpClient,
    url: Url,
    login: String,
    password: Secret,
}

/// A calendar item as its owner sees it.
#[derive(Clone, Debug)]
pub(in super::super) struct Meeting {
    pub id: String,
    pub change_key: String,
    pub uid: String,
    pub subject: String,
    pub location: String,
    pub start: Option<DateTime<Utc>>,
    pub end: Option<DateTime<Utc>>,
    pub cancelled: bool,
    pub categories: Vec<String>,
    /// Addresses of the people asked to come, in lower case.
    pub attendees: Vec<String>,
}

impl Outlook {
    pub fn new(url: &str, login: &str, password: &str) -> Result<Self, DemoError> {
        let url = url.parse().map_err(|error| DemoError::caused_by("read the address of Exchange", error))?;
        Ok(Self { http: super::client()?, url, login: login.to_owned(), password: Secret::new(password) })
    }

    /// Everything in the calendar.
    pub async fn calendar(&self) -> Result<Vec<Meeting>, DemoError> {
        let answer = self
            .call(
                "FindItem",
                &format!(
                    "<m:FindItem Traversal=\"Shallow\"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>\
                     <m:IndexedPageItemView MaxEntriesReturned=\"{ITEMS_MAX}\" Offset=\"0\" BasePoint=\"Beginning\"/>\
                     <m:ParentFolderIds><t:DistinguishedFolderId Id=\"calendar\"/></m:ParentFolderIds></m:FindItem>"
                ),
            )
            .await?;
        let document = parse(&answer)?;
        let ids: String = document
            .descendants()
            .filter(|node| node.has_tag_name((TYPES, "ItemId")))
            .map(|node| format!("<t:ItemId Id=\"{}\"/>", escape(node.attribute("Id").unwrap_or_default())))
            .collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self
            .call(
                "GetItem",
                &format!(
                    "<m:GetItem><m:ItemShape><t:BaseShape>AllProperties</t:BaseShape><t:BodyType>Text</t:BodyType>\
                     </m:ItemShape><m:ItemIds>{ids}</m:ItemIds></m:GetItem>"
                ),
            )
            .await?;
        let document = parse(&answer)?;
        Ok(document.descendants().filter(|node| node.has_tag_name((TYPES, "CalendarItem"))).map(meeting).collect())
    }

    /// Items whose subject holds that text.
    pub async fn with_subject(&self, text: &str) -> Result<Vec<Meeting>, DemoError> {
        Ok(self.calendar().await?.into_iter().filter(|meeting| meeting.subject.contains(text)).collect())
    }

    /// Enters an appointment that concerns the owner alone.
    pub async fn book(&self, subject: &str, start: DateTime<Utc>, end: DateTime<Utc>) -> Result<(), DemoError> {
        let item = format!(
            "<t:Subject>{}</t:Subject><t:Start>{}</t:Start><t:End>{}</t:End>",
            escape(subject),
            utc(start),
            utc(end)
        );
        self.done(
            "CreateItem",
            &format!(
                "<m:CreateItem SendMeetingInvitations=\"SendToNone\"><m:SavedItemFolderId><t:DistinguishedFolderId \
                 Id=\"calendar\"/></m:SavedItemFolderId><m:Items><t:CalendarItem>{item}</t:CalendarItem></m:Items>\
                 </m:CreateItem>"
            ),
        )
        .await
    }

    /// Moves a meeting; both ends in one change, as Outlook does, and Exchange mails an update to every attendee.
    pub async fn reschedule(
        &self,
        meeting: &Meeting,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Result<(), DemoError> {
        let set = |path: &str, element: &str, at: DateTime<Utc>| {
            format!(
                "<t:SetItemField><t:FieldURI FieldURI=\"calendar:{path}\"/><t:CalendarItem><t:{element}>{}</t:{element}>\
                 </t:CalendarItem></t:SetItemField>",
                utc(at)
            )
        };
        self.done(
            "UpdateItem",
            &format!(
                "<m:UpdateItem ConflictResolution=\"AutoResolve\" SendMeetingInvitationsOrCancellations=\"SendToAllAndSaveCopy\">\
                 <m:ItemChanges><t:ItemChange>{}<t:Updates>{}{}</t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>",
                item_id("ItemId", meeting),
                set("Start", "Start", start),
                set("End", "End", end),
            ),
        )
        .await
    }

    /// Accepts a meeting from the owner's own copy.
    pub async fn accept(&self, copy: &Meeting) -> Result<(), DemoError> {
        self.done(
            "CreateItem",
            &format!(
                "<m:CreateItem MessageDisposition=\"SendAndSaveCopy\"><m:Items><t:AcceptItem>{}</t:AcceptItem></m:Items>\
                 </m:CreateItem>",
                item_id("ReferenceItemId", copy)
            ),
        )
        .await
    }

    async fn done(&self, operation: &str, body: &str) -> Result<(), DemoError> {
        let answer = self.call(operation, body).await?;
        let document = parse(&answer)?;
        let classes: Vec<&str> = document.descendants().filter_map(|node| node.attribute("ResponseClass")).collect();
        if !classes.is_empty() && classes.iter().all(|class| *class == "Success") {
            return Ok(());
        }
        let code = document.descendants().find(|node| node.tag_name().name() == "ResponseCode");
        let code = code.and_then(|node| node.text()).unwrap_or("no response code");
        Err(DemoError::new(format!("{operation} in Exchange: {code}")))
    }

    async fn call(&self, operation: &str, body: &str) -> Result<String, DemoError> {
        let envelope = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             xmlns:m=\"{MESSAGES}\" xmlns:t=\"{TYPES}\"><s:Header><t:RequestServerVersion Version=\"Exchange2013_SP1\"/>\
             </s:Header><s:Body>{body}</s:Body></s:Envelope>"
        );
        let request = Request::post(self.url.clone())
            .basic(&self.login, &self.password)
            .body("text/xml; charset=utf-8", envelope);
        let act = format!("{operation} in Exchange");
        let answer = super::send(&self.http, request, &act).await?;
        if !answer.status.is_success() {
            return Err(DemoError::new(format!("{act}: HTTP {}", answer.status)));
        }
        String::from_utf8(answer.body.to_vec()).map_err(|error| DemoError::caused_by(&act, error))
    }
}

fn parse(answer: &str) -> Result<Document<'_>, DemoError> {
    Document::parse(answer).map_err(|error| DemoError::caused_by("read Exchange's answer", error))
}

fn meeting(item: Node<'_, '_>) -> Meeting {
    let child = |name: &str| item.children().find(|node| node.has_tag_name((TYPES, name)));
    let text = |name: &str| child(name).and_then(|node| node.text()).unwrap_or_default().to_owned();
    let id = |name: &str| child("ItemId").and_then(|node| node.attribute(name)).unwrap_or_default().to_owned();
    let instant = |name: &str| DateTime::parse_from_rfc3339(&text(name)).ok().map(|at| at.to_utc());
    let texts = |parent: &str, name: &str| -> Vec<String> {
        let inside = child(parent).into_iter().flat_map(|node| node.descendants());
        inside
            .filter(|node| node.has_tag_name((TYPES, name)))
            .filter_map(|node| node.text())
            .map(str::to_owned)
            .collect()
    };
    let attendees = ["RequiredAttendees", "OptionalAttendees", "Resources"];
    Meeting {
        id: id("Id"),
        change_key: id("ChangeKey"),
        uid: text("UID"),
        subject: text("Subject"),
        location: text("Location"),
        start: instant("Start"),
        end: instant("End"),
        cancelled: text("IsCancelled") == "true",
        categories: texts("Categories", "String"),
        attendees: attendees
            .iter()
            .flat_map(|list| texts(list, "EmailAddress"))
            .map(|address| address.to_lowercase())
            .collect(),
    }
}

fn item_id(element: &str, meeting: &Meeting) -> String {
    format!("<t:{element} Id=\"{}\" ChangeKey=\"{}\"/>", escape(&meeting.id), escape(&meeting.change_key))
}

fn utc(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
