//! A CRM user's way to the CRM: rows in, rows out.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::super::DemoError;
use crate::connector::http::{HttpClient, Method, Request, Secret, StatusCode};

/// Signed in as one CRM user.
pub(in super::super) struct Crm {
    http: HttpClient,
    /// Up to `/-/`.
    base: String,
    login: String,
    password: Secret,
    /// The CRM server's zone: rows hold its wall time.
    zone: Tz,
}

/// An appointment as a person enters it.
pub(in super::super) struct Booking<'a> {
    pub subject: &'a str,
    pub note: &'a str,
    pub location: &'a str,
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// Ids of the CRM users who take part; the first is the organizer.
    pub users: &'a [i64],
    /// Addresses of people outside.
    pub external: &'a [&'a str],
}

/// One row; column names are compared without letter case.
pub(in super::super) struct Row(Value);

impl Row {
    pub fn value(&self, column: &str) -> &Value {
        let columns = self.0.as_object();
        let found = columns.and_then(|columns| columns.iter().find(|(name, _)| name.eq_ignore_ascii_case(column)));
        found.map_or(&Value::Null, |(_, value)| value)
    }

    /// The column as text, empty where it is null.
    pub fn text(&self, column: &str) -> String {
        match self.value(column) {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// The row's key.
    pub fn key(&self) -> String {
        self.text("$key")
    }
}

impl Crm {
    pub fn new(base: &str, login: &str, password: &str, zone: Tz) -> Result<Self, DemoError> {
        let http = super::client()?;
        Ok(Self { http, base: base.to_owned(), login: login.to_owned(), password: Secret::new(password), zone })
    }

    /// Enters an appointment with its link rows, as the CRM's own screens do, and answers its key.
    pub async fn book(&self, booking: &Booking<'_>) -> Result<String, DemoError> {
        let row = json!({
            "Comm_Type": "Appointment",
            "Comm_Action": "Meeting",
            "Comm_Status": "Pending",
            "Comm_Priority": "Normal",
            "Comm_Subject": booking.subject,
            "Comm_Note": booking.note,
            "Comm_Location": booking.location,
            "Comm_DateTime": self.wall(booking.start),
            "Comm_ToDateTime": self.wall(booking.end),
            "Comm_Organizer": booking.users.first().map(i64::to_string),
        });
        let key = self.create("Communication", &row).await?;
        let communication: i64 = key.parse().unwrap_or_default();
        for user in booking.users {
            let link = json!({ "CmLi_Comm_CommunicationId": communication, "CmLi_Comm_UserId": user });
            self.create("Comm_Link", &link).await?;
        }
        for address in booking.external {
            let link = json!({
                "CmLi_Comm_CommunicationId": communication,
                "CmLi_IsExternalAttendee": "Y",
                "cmli_recipient": address,
                "cmli_status": 0,
            });
            self.create("Comm_Link", &link).await?;
        }
        Ok(key)
    }

    /// Changes columns of a communication.
    pub async fn change(&self, key: &str, columns: &Value) -> Result<(), DemoError> {
        self.call(Method::PATCH, &format!("Communication('{key}')"), Some(columns)).await.map(drop)
    }

    /// A communication, unless it is deleted.
    pub async fn communication(&self, key: &str) -> Result<Option<Row>, DemoError> {
        let act = format!("read communication {key} in the CRM");
        let (status, answer) = self.send(Method::GET, &format!("Communication('{key}')"), None, &act).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(Row(answer))),
            status => Err(DemoError::new(format!("{act}: HTTP {status}"))),
        }
    }

    /// Communications with that subject.
    pub async fn by_subject(&self, subject: &str) -> Result<Vec<Row>, DemoError> {
        self.find("Communication", &format!("comm_subject eq '{}'", subject.replace('\'', "''"))).await
    }

    /// The participants of a communication.
    pub async fn links(&self, communication: &str) -> Result<Vec<Row>, DemoError> {
        self.find("Comm_Link", &format!("cmli_comm_communicationid eq {communication}")).await
    }

    /// The id of the user with that logon.
    pub async fn user_id(&self, logon: &str) -> Result<i64, DemoError> {
        let found = self.find("users", &format!("user_logon eq '{logon}'")).await?;
        let id = found.first().and_then(|row| row.key().parse().ok());
        id.ok_or_else(|| DemoError::new(format!("the CRM has no user {logon}")))
    }

    /// An instant as a column holds it.
    pub fn wall(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%Y-%m-%dT%H:%M:%S").to_string()
    }

    async fn create(&self, entity: &str, row: &Value) -> Result<String, DemoError> {
        let key = Row(self.call(Method::POST, entity, Some(row)).await?).key();
        if key.is_empty() { Err(DemoError::new(format!("the CRM named no key for a new {entity}"))) } else { Ok(key) }
    }

    async fn find(&self, entity: &str, filter: &str) -> Result<Vec<Row>, DemoError> {
        let filter = percent_encoding::utf8_percent_encode(filter, percent_encoding::NON_ALPHANUMERIC);
        let answer = self.call(Method::GET, &format!("{entity}?where={filter}&count=1000"), None).await?;
        Ok(Row(answer).value("$resources").as_array().cloned().unwrap_or_default().into_iter().map(Row).collect())
    }

    async fn call(&self, method: Method, target: &str, body: Option<&Value>) -> Result<Value, DemoError> {
        let act = format!("{method} {} in the CRM", target.split('?').next().unwrap_or_default());
        let (status, answer) = self.send(method, target, body, &act).await?;
        if status.is_success() { Ok(answer) } else { Err(DemoError::new(format!("{act}: HTTP {status}"))) }
    }

    async fn send(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
        act: &str,
    ) -> Result<(StatusCode, Value), DemoError> {
        let url = format!("{}{target}", self.base).parse().map_err(|error| DemoError::caused_by(act, error))?;
        let mut request = Request::new(method, url).basic(&self.login, &self.password);
        if let Some(body) = body {
            request = request.body("application/json", body.to_string());
        }
        let answer = super::send(&self.http, request, act).await?;
        Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or_default()))
    }
}
