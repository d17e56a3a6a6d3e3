//! A small EWS client, written for tests: what a person does in Outlook, as SOAP.
#![expect(clippy::disallowed_methods, reason = "tests speak HTTP themselves, independent of the product's client")]

use roxmltree::{Document, Node};

const TYPES: &str = "http://schemas.microsoft.com/exchange/services/2006/types";
const MESSAGES: &str = "http://schemas.microsoft.com/exchange/services/2006/messages";

/// Signed in as the owner of one mailbox.
#[derive(Clone, Debug)]
pub struct Outlook {
    http: reqwest::Client,
    url: String,
    pub address: String,
    login: String,
    password: String,
}

/// A calendar item as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    pub id: String,
    pub change_key: String,
    pub uid: String,
    pub subject: String,
    pub body: String,
    pub location: String,
    /// As sent, in UTC.
    pub start: String,
    pub end: String,
    pub all_day: bool,
    pub sensitivity: String,
    /// `None` if no reminder is set.
    pub reminder: Option<u32>,
    pub my_response: String,
    /// `Single`, `Occurrence`, `Exception` or `RecurringMaster`.
    pub kind: String,
    pub organizer: String,
    /// Address and response type, sorted.
    pub attendees: Vec<(String, String)>,
    pub categories: Vec<String>,
}

/// Whom a write by Outlook mails.
pub const TO_NONE: &str = "SendToNone";
pub const TO_ALL: &str = "SendToAllAndSaveCopy";

impl Outlook {
    pub fn new(url: &str, address: &str, login: &str, password: &str) -> Self {
        Self {
            http: crate::http::plain(),
            url: url.to_owned(),
            address: address.to_owned(),
            login: login.to_owned(),
            password: password.to_owned(),
        }
    }

    /// Sends a request body and answers the response envelope.
    pub async fn call(&self, body: &str) -> String {
        let envelope = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             xmlns:m=\"{MESSAGES}\" xmlns:t=\"{TYPES}\"><s:Header><t:RequestServerVersion Version=\"Exchange2013_SP1\"/>\
             </s:Header><s:Body>{body}</s:Body></s:Envelope>"
        );
        let response = self
            .http
            .post(&self.url)
            .basic_auth(&self.login, Some(&self.password))
            .header("Content-Type", "text/xml; charset=utf-8")
            .body(envelope)
            .send()
            .await
            .expect("the Exchange simulator answers");
        response.text().await.expect("a whole answer")
    }

    async fn done(&self, body: &str) -> String {
        let answer = self.call(body).await;
        assert!(answer.contains("ResponseClass=\"Success\""), "request: {body}\nanswer: {answer}");
        answer
    }

    /// Creates an item from the inner XML of a CalendarItem (schema order) and answers its id.
    pub async fn create(&self, send: &str, item: &str) -> String {
        let answer = self
            .done(&format!(
                "<m:CreateItem SendMeetingInvitations=\"{send}\"><m:SavedItemFolderId><t:DistinguishedFolderId \
                 Id=\"calendar\"/></m:SavedItemFolderId><m:Items><t:CalendarItem>{item}</t:CalendarItem></m:Items></m:CreateItem>"
            ))
            .await;
        item_id(&answer).0
    }

    /// Creates many plain appointments (subject, start and end in UTC) in one request, and mails nobody.
    pub async fn book_all(&self, appointments: &[(String, String, String)]) {
        let item = |(subject, start, end): &(String, String, String)| {
            format!(
                "<t:CalendarItem><t:Subject>{}</t:Subject><t:Start>{start}</t:Start><t:End>{end}</t:End></t:CalendarItem>",
                escape(subject)
            )
        };
        let items: String = appointments.iter().map(item).collect();
        let answer = self
            .done(&format!(
                "<m:CreateItem SendMeetingInvitations=\"{TO_NONE}\"><m:SavedItemFolderId><t:DistinguishedFolderId \
                 Id=\"calendar\"/></m:SavedItemFolderId><m:Items>{items}</m:Items></m:CreateItem>"
            ))
            .await;
        assert_eq!(answer.matches("ResponseClass=\"Success\"").count(), appointments.len());
    }

    /// A plain appointment in UTC, for example `2027-02-08T09:00:00Z`.
    pub async fn book(&self, subject: &str, start: &str, end: &str, attendees: &[&str]) -> String {
        let send = if attendees.is_empty() { TO_NONE } else { TO_ALL };
        self.book_telling(send, subject, (start, end), attendees).await
    }

    /// The same, and whom it tells of it.
    pub async fn book_telling(
        &self,
        send: &str,
        subject: &str,
        (start, end): (&str, &str),
        attendees: &[&str],
    ) -> String {
        let required = required(attendees);
        let item = format!(
            "<t:Subject>{}</t:Subject><t:Start>{start}</t:Start><t:End>{end}</t:End>{required}",
            escape(subject)
        );
        self.create(send, &item).await
    }

    /// Sets one field of an item, with the change key it has now.
    pub async fn set(&self, id: &str, path: &str, element: &str, send: &str) {
        let key = self.meeting(id).await.expect("the item is there").change_key;
        let body = format!(
            "<m:UpdateItem ConflictResolution=\"AutoResolve\" SendMeetingInvitationsOrCancellations=\"{send}\">\
             <m:ItemChanges><t:ItemChange><t:ItemId Id=\"{id}\" ChangeKey=\"{key}\"/><t:Updates><t:SetItemField>\
             <t:FieldURI FieldURI=\"{path}\"/><t:CalendarItem>{element}</t:CalendarItem></t:SetItemField></t:Updates>\
             </t:ItemChange></m:ItemChanges></m:UpdateItem>"
        );
        self.done(&body).await;
    }

    pub async fn set_subject(&self, id: &str, subject: &str) {
        self.set(id, "item:Subject", &format!("<t:Subject>{}</t:Subject>", escape(subject)), TO_NONE).await;
    }

    /// Makes these the attendees, whoever was invited before.
    pub async fn invite(&self, id: &str, people: &[&str], send: &str) {
        self.set(id, "calendar:RequiredAttendees", &required(people), send).await;
    }

    pub async fn set_location(&self, id: &str, location: &str) {
        self.set(id, "calendar:Location", &format!("<t:Location>{}</t:Location>", escape(location)), TO_NONE).await;
    }

    pub async fn set_body(&self, id: &str, text: &str) {
        self.set(id, "item:Body", &format!("<t:Body BodyType=\"Text\">{}</t:Body>", escape(text)), TO_NONE).await;
    }

    /// Sets the place of many items in one request, whatever their change keys.
    pub async fn set_locations(&self, ids: &[String], location: &str) {
        let change = |id: &String| {
            format!(
                "<t:ItemChange><t:ItemId Id=\"{id}\"/><t:Updates><t:SetItemField><t:FieldURI FieldURI=\"calendar:Location\"/>\
                 <t:CalendarItem><t:Location>{}</t:Location></t:CalendarItem></t:SetItemField></t:Updates></t:ItemChange>",
                escape(location)
            )
        };
        let changes: String = ids.iter().map(change).collect();
        let answer = self
            .done(&format!(
                "<m:UpdateItem ConflictResolution=\"AlwaysOverwrite\" SendMeetingInvitationsOrCancellations=\"{TO_NONE}\">\
                 <m:ItemChanges>{changes}</m:ItemChanges></m:UpdateItem>"
            ))
            .await;
        assert_eq!(answer.matches("ResponseClass=\"Success\"").count(), ids.len());
    }

    /// Moves an item; both ends in one change, as Outlook does.
    pub async fn reschedule(&self, id: &str, start: &str, end: &str, send: &str) {
        let key = self.meeting(id).await.expect("the item is there").change_key;
        let body = format!(
            "<m:UpdateItem ConflictResolution=\"AutoResolve\" SendMeetingInvitationsOrCancellations=\"{send}\">\
             <m:ItemChanges><t:ItemChange><t:ItemId Id=\"{id}\" ChangeKey=\"{key}\"/><t:Updates>\
             <t:SetItemField><t:FieldURI FieldURI=\"calendar:Start\"/><t:CalendarItem><t:Start>{start}</t:Start></t:CalendarItem></t:SetItemField>\
             <t:SetItemField><t:FieldURI FieldURI=\"calendar:End\"/><t:CalendarItem><t:End>{end}</t:End></t:CalendarItem></t:SetItemField>\
             </t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>"
        );
        self.done(&body).await;
    }

    /// Sets both ends and whether it lasts all day, in one change.
    pub async fn set_times(&self, id: &str, start: &str, end: &str, all_day: bool) {
        let key = self.meeting(id).await.expect("the item is there").change_key;
        let set = |path: &str, element: &str| {
            format!(
                "<t:SetItemField><t:FieldURI FieldURI=\"calendar:{path}\"/><t:CalendarItem>{element}</t:CalendarItem>\
                 </t:SetItemField>"
            )
        };
        let body = format!(
            "<m:UpdateItem ConflictResolution=\"AutoResolve\" SendMeetingInvitationsOrCancellations=\"{TO_NONE}\">\
             <m:ItemChanges><t:ItemChange><t:ItemId Id=\"{id}\" ChangeKey=\"{key}\"/><t:Updates>{}{}{}</t:Updates>\
             </t:ItemChange></m:ItemChanges></m:UpdateItem>",
            set("Start", &format!("<t:Start>{start}</t:Start>")),
            set("End", &format!("<t:End>{end}</t:End>")),
            set("IsAllDayEvent", &format!("<t:IsAllDayEvent>{all_day}</t:IsAllDayEvent>")),
        );
        self.done(&body).await;
    }

    pub async fn delete(&self, id: &str, send: &str) {
        let body = format!(
            "<m:DeleteItem DeleteType=\"MoveToDeletedItems\" SendMeetingCancellations=\"{send}\"><m:ItemIds>\
             <t:ItemId Id=\"{id}\"/></m:ItemIds></m:DeleteItem>"
        );
        self.done(&body).await;
    }

    /// Moves an item to another folder and answers its id there.
    pub async fn relocate(&self, id: &str, folder: &str) -> String {
        let body = format!(
            "<m:MoveItem><m:ToFolderId><t:DistinguishedFolderId Id=\"{folder}\"/></m:ToFolderId><m:ItemIds>\
             <t:ItemId Id=\"{id}\"/></m:ItemIds></m:MoveItem>"
        );
        item_id(&self.done(&body).await).0
    }

    /// Answers a meeting from the owner's own copy: `Accept`, `TentativelyAccept` or `Decline`.
    pub async fn respond(&self, id: &str, answer: &str) {
        let key = self.meeting(id).await.expect("the copy is there").change_key;
        let body = format!(
            "<m:CreateItem MessageDisposition=\"SendAndSaveCopy\"><m:Items><t:{answer}Item><t:ReferenceItemId \
             Id=\"{id}\" ChangeKey=\"{key}\"/></t:{answer}Item></m:Items></m:CreateItem>"
        );
        self.done(&body).await;
    }

    /// One item, or nothing if it does not exist (any more).
    pub async fn meeting(&self, id: &str) -> Option<Meeting> {
        let answer = self.call(&get_item(&[id.to_owned()])).await;
        meetings(&answer).into_iter().next()
    }

    /// The body of an item as it is stored, HTML with its tags.
    pub async fn raw_body(&self, id: &str) -> String {
        let request =
            get_item(&[id.to_owned()]).replace("<t:BodyType>Text</t:BodyType>", "<t:BodyType>Best</t:BodyType>");
        let answer = self.call(&request).await;
        meetings(&answer).into_iter().next().expect("the item is there").body
    }

    /// Everything in the calendar folder.
    pub async fn calendar(&self) -> Vec<Meeting> {
        let ids = self.ids().await;
        if ids.is_empty() {
            return Vec::new();
        }
        meetings(&self.call(&get_item(&ids)).await)
    }

    /// The ids of everything in the calendar folder.
    pub async fn ids(&self) -> Vec<String> {
        let answer = self
            .done(
                "<m:FindItem Traversal=\"Shallow\"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>\
                 <m:IndexedPageItemView MaxEntriesReturned=\"1000\" Offset=\"0\" BasePoint=\"Beginning\"/>\
                 <m:ParentFolderIds><t:DistinguishedFolderId Id=\"calendar\"/></m:ParentFolderIds></m:FindItem>",
            )
            .await;
        item_ids(&answer)
    }

    /// A weekly or other series of one hour in Berlin's time. `recurrence` is the inner XML of its element.
    pub async fn book_series(
        &self,
        subject: &str,
        day: &str,
        hour: u32,
        recurrence: &str,
        attendees: &[&str],
    ) -> String {
        let required = required(attendees);
        let send = if attendees.is_empty() { TO_NONE } else { TO_ALL };
        let (start, end) = (crate::time::utc(day, hour), crate::time::utc(day, hour + 1));
        let item = format!(
            "<t:Subject>{}</t:Subject><t:Start>{start}</t:Start><t:End>{end}</t:End>{required}\
             <t:Recurrence>{recurrence}</t:Recurrence><t:StartTimeZone Id=\"W. Europe Standard Time\"/>\
             <t:EndTimeZone Id=\"W. Europe Standard Time\"/>",
            escape(subject)
        );
        self.create(send, &item).await
    }

    /// What the calendar shows between two instants, occurrences of series each by itself, in the order of their start.
    pub async fn view(&self, from: &str, until: &str) -> Vec<Meeting> {
        let ids = self.ids_between(from, until).await;
        if ids.is_empty() {
            return Vec::new();
        }
        let mut shown = meetings(&self.call(&get_item(&ids)).await);
        shown.sort_by(|one, other| one.start.cmp(&other.start));
        shown
    }

    /// The ids of what the calendar shows between two instants, occurrences of series each by itself.
    pub async fn ids_between(&self, from: &str, until: &str) -> Vec<String> {
        let answer = self
            .done(&format!(
                "<m:FindItem Traversal=\"Shallow\"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>\
                 <m:CalendarView MaxEntriesReturned=\"1000\" StartDate=\"{from}\" EndDate=\"{until}\"/>\
                 <m:ParentFolderIds><t:DistinguishedFolderId Id=\"calendar\"/></m:ParentFolderIds></m:FindItem>"
            ))
            .await;
        item_ids(&answer)
    }

    /// The calendar item with this subject; panics if there are several.
    pub async fn by_subject(&self, subject: &str) -> Option<Meeting> {
        let mut found: Vec<_> =
            self.calendar().await.into_iter().filter(|meeting| meeting.subject == subject).collect();
        assert!(found.len() <= 1, "{} items have the subject {subject:?}", found.len());
        found.pop()
    }
}

fn get_item(ids: &[String]) -> String {
    let ids: String = ids.iter().map(|id| format!("<t:ItemId Id=\"{id}\"/>")).collect();
    format!(
        "<m:GetItem><m:ItemShape><t:BaseShape>AllProperties</t:BaseShape><t:BodyType>Text</t:BodyType></m:ItemShape>\
         <m:ItemIds>{ids}</m:ItemIds></m:GetItem>"
    )
}

fn meetings(answer: &str) -> Vec<Meeting> {
    let document = Document::parse(answer).expect("well-formed answer");
    document.descendants().filter(|node| node.has_tag_name((TYPES, "CalendarItem"))).map(meeting).collect()
}

fn meeting(item: Node<'_, '_>) -> Meeting {
    let child = |name: &str| item.children().find(|node| node.has_tag_name((TYPES, name)));
    let text = |name: &str| child(name).and_then(|node| node.text()).unwrap_or_default().to_owned();
    let id = child("ItemId").expect("an item has an id");
    let mut attendees: Vec<(String, String)> = ["RequiredAttendees", "OptionalAttendees", "Resources"]
        .iter()
        .filter_map(|name| child(name))
        .flat_map(|list| list.children().filter(|node| node.has_tag_name((TYPES, "Attendee"))))
        .map(|node| (inner(node, "EmailAddress").to_lowercase(), inner(node, "ResponseType")))
        .collect();
    attendees.sort();
    Meeting {
        id: attribute(id, "Id"),
        change_key: attribute(id, "ChangeKey"),
        uid: text("UID"),
        subject: text("Subject"),
        body: text("Body"),
        location: text("Location"),
        start: text("Start"),
        end: text("End"),
        all_day: text("IsAllDayEvent") == "true",
        sensitivity: text("Sensitivity"),
        reminder: (text("ReminderIsSet") == "true").then(|| text("ReminderMinutesBeforeStart").parse().unwrap_or(0)),
        my_response: text("MyResponseType"),
        kind: text("CalendarItemType"),
        organizer: child("Organizer").map(|node| inner(node, "EmailAddress").to_lowercase()).unwrap_or_default(),
        attendees,
        categories: child("Categories")
            .map(|list| {
                list.children()
                    .filter_map(|node| node.text())
                    .map(str::to_owned)
                    .filter(|text| !text.trim().is_empty())
                    .collect()
            })
            .unwrap_or_default(),
    }
}

fn inner(node: Node<'_, '_>, name: &str) -> String {
    node.descendants()
        .find(|node| node.has_tag_name((TYPES, name)))
        .and_then(|node| node.text())
        .unwrap_or_default()
        .to_owned()
}

fn attribute(node: Node<'_, '_>, name: &str) -> String {
    node.attribute(name).unwrap_or_default().to_owned()
}

fn item_ids(answer: &str) -> Vec<String> {
    let document = Document::parse(answer).expect("well-formed answer");
    document
        .descendants()
        .filter(|node| node.has_tag_name((TYPES, "ItemId")))
        .map(|node| attribute(node, "Id"))
        .collect()
}

fn item_id(answer: &str) -> (String, String) {
    let document = Document::parse(answer).expect("well-formed answer");
    let id = document.descendants().find(|node| node.has_tag_name((TYPES, "ItemId"))).expect("an id in the answer");
    (attribute(id, "Id"), attribute(id, "ChangeKey"))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The element of an item that names its attendees; nothing if there are none.
fn required(people: &[&str]) -> String {
    let attendee = |address: &&str| {
        let address = escape(address);
        format!("<t:Attendee><t:Mailbox><t:EmailAddress>{address}</t:EmailAddress></t:Mailbox></t:Attendee>")
    };
    match people.iter().map(attendee).collect::<String>() {
        none if none.is_empty() => none,
        people => format!("<t:RequiredAttendees>{people}</t:RequiredAttendees>"),
    }
}
