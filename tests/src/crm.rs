//! A small client for the CRM's REST API, written for tests.
#![expect(clippy::disallowed_methods, reason = "tests speak HTTP themselves, independent of the product's client")]

use serde_json::{Value, json};

/// Signed in as one CRM user.
#[derive(Clone, Debug)]
pub struct Crm {
    http: reqwest::Client,
    base: String,
    login: String,
    password: String,
}

impl Crm {
    pub fn new(base: &str, login: &str, password: &str) -> Self {
        Self {
            http: crate::http::plain(),
            base: base.to_owned(),
            login: login.to_owned(),
            password: password.to_owned(),
        }
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut request =
            self.http.request(method, format!("{}{path}", self.base)).basic_auth(&self.login, Some(&self.password));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.expect("the CRM simulator answers");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a whole answer");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Creates a row and answers its id.
    pub async fn post(&self, entity: &str, row: &Value) -> String {
        let (status, answer) = self.send(reqwest::Method::POST, entity, Some(row)).await;
        assert!(status < 300, "POST {entity}: {status} {answer}");
        key_of(&answer)
    }

    pub async fn patch(&self, entity: &str, id: &str, row: &Value) {
        let (status, answer) = self.send(reqwest::Method::PATCH, &format!("{entity}('{id}')"), Some(row)).await;
        assert!(status < 300, "PATCH {entity}: {status} {answer}");
    }

    pub async fn delete(&self, entity: &str, id: &str) {
        let (status, answer) = self.send(reqwest::Method::DELETE, &format!("{entity}('{id}')"), None).await;
        assert!(status < 300, "DELETE {entity}: {status} {answer}");
    }

    /// A row, unless it is deleted.
    pub async fn get(&self, entity: &str, id: &str) -> Option<Row> {
        let (status, answer) = self.send(reqwest::Method::GET, &format!("{entity}('{id}')"), None).await;
        (status == 200).then_some(Row(answer))
    }

    /// All rows that `filter` lets through.
    pub async fn find(&self, entity: &str, filter: &str) -> Vec<Row> {
        let filter = filter.replace('%', "%25").replace(' ', "%20").replace('\'', "%27");
        let (status, answer) =
            self.send(reqwest::Method::GET, &format!("{entity}?where={filter}&count=1000"), None).await;
        assert_eq!(status, 200, "GET {entity}: {answer}");
        answer["$resources"].as_array().cloned().unwrap_or_default().into_iter().map(Row).collect()
    }

    /// The ids of all rows that `filter` lets through.
    pub async fn ids(&self, entity: &str, filter: &str, column: &str) -> Vec<String> {
        let filter = filter.replace('%', "%25").replace(' ', "%20").replace('\'', "%27");
        let path = format!("{entity}?where={filter}&count=1000&select={column}");
        let (status, answer) = self.send(reqwest::Method::GET, &path, None).await;
        assert_eq!(status, 200, "GET {entity}: {answer}");
        answer["$resources"].as_array().into_iter().flatten().map(key_of).collect()
    }

    /// How many rows `filter` lets through.
    pub async fn count(&self, entity: &str, filter: &str) -> u64 {
        let filter = filter.replace('%', "%25").replace(' ', "%20").replace('\'', "%27");
        let (status, answer) = self.send(reqwest::Method::GET, &format!("{entity}?where={filter}&count=1"), None).await;
        assert_eq!(status, 200, "GET {entity}: {answer}");
        answer["$totalResults"].as_u64().expect("a number of rows")
    }

    /// Every appointment that is not cancelled.
    pub async fn appointments(&self) -> Vec<Row> {
        let rows = self.find("Communication", "comm_type eq 'Appointment'").await;
        rows.into_iter().filter(|row| row.text("Comm_Status") != "Cancelled").collect()
    }

    /// The link rows of a communication.
    pub async fn links(&self, communication: &str) -> Vec<Row> {
        self.find("Comm_Link", &format!("cmli_comm_communicationid eq {communication}")).await
    }

    /// Creates an appointment with its links, as the CRM's own screens do.
    pub async fn book(&self, booking: &Booking) -> String {
        let id = self.post("Communication", &booking.row()).await;
        for user in &booking.users {
            self.post(
                "Comm_Link",
                &json!({"CmLi_Comm_CommunicationId": number(&id), "CmLi_Comm_UserId": number(user)}),
            )
            .await;
        }
        for address in &booking.external {
            self.post(
                "Comm_Link",
                &json!({"CmLi_Comm_CommunicationId": number(&id), "CmLi_IsExternalAttendee": "Y",
                    "cmli_recipient": address, "cmli_status": 0}),
            )
            .await;
        }
        id
    }
}

/// One row, its columns read without letter case.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Value);

impl Row {
    pub fn value(&self, column: &str) -> Value {
        let object = self.0.as_object();
        let found = object.and_then(|row| row.iter().find(|(name, _)| name.eq_ignore_ascii_case(column)));
        found.map_or(Value::Null, |(_, value)| value.clone())
    }

    /// The column as text; empty for null.
    pub fn text(&self, column: &str) -> String {
        match self.value(column) {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => other.to_string(),
        }
    }

    pub fn id(&self) -> String {
        key_of(&self.0)
    }
}

/// An appointment to be made in the CRM. Times are the CRM server's wall times.
#[derive(Clone, Debug)]
pub struct Booking {
    pub subject: String,
    pub note: String,
    pub start: String,
    pub end: String,
    /// User id of the organizer.
    pub organizer: String,
    /// User ids of all who take part, the organizer included.
    pub users: Vec<String>,
    pub external: Vec<String>,
    pub more: Value,
}

impl Booking {
    /// One hour on a day, from an hour of the CRM's wall clock.
    pub fn at(subject: &str, day: &str, hour: u32, organizer: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            note: String::new(),
            start: format!("{day}T{hour:02}:00:00"),
            end: format!("{day}T{:02}:00:00", hour + 1),
            organizer: organizer.to_owned(),
            users: vec![organizer.to_owned()],
            external: Vec::new(),
            more: json!({}),
        }
    }

    pub fn note(mut self, note: &str) -> Self {
        note.clone_into(&mut self.note);
        self
    }

    pub fn with_user(mut self, id: &str) -> Self {
        self.users.push(id.to_owned());
        self
    }

    pub fn with_external(mut self, address: &str) -> Self {
        self.external.push(address.to_owned());
        self
    }

    pub fn with(mut self, column: &str, value: Value) -> Self {
        self.more[column] = value;
        self
    }

    /// The row of `Communication`.
    pub fn row(&self) -> Value {
        let mut row = json!({
            "Comm_Type": "Appointment", "Comm_Action": "Meeting", "Comm_Status": "Pending", "Comm_Priority": "Normal",
            "Comm_Subject": self.subject, "Comm_Note": self.note,
            "Comm_DateTime": self.start, "Comm_ToDateTime": self.end, "Comm_Organizer": self.organizer,
        });
        for (column, value) in self.more.as_object().into_iter().flatten() {
            row[column] = value.clone();
        }
        row
    }
}

fn key_of(row: &Value) -> String {
    match &row["$key"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Ids travel as numbers.
fn number(id: &str) -> Value {
    id.parse::<i64>().map_or_else(|_| Value::from(id), Value::from)
}
