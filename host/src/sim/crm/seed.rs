//! What a fresh install holds: the people of the demo company, one customer, the captions of the selection lists.
//!
//! Promises: the same keys at every start. Must not know: HTTP.

use super::PersonOptions;
use super::database::{By, Database, Table};
use super::refusal::Refusal;
use super::schema::{CAPTIONS, COMPANY, Entity, PERSON, USERS};
use super::value::Value;

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub id: i32,
    pub login: String,
    pub name: String,
    pub address: String,
    pub password: String,
    pub role: &'static str,
}

/// Password of everyone in the demo company: a simulator has no secrets.
const PASSWORD: &str = "demo";

/// Key before the first row of each table, so that keys of two tables are not mistaken for each other.
const KEYS: [(&str, i32); 6] =
    [("Communication", 4_700), ("Comm_Link", 9_000), (COMPANY, 27), (PERSON, 29), (CAPTIONS, 100), (USERS, 10)];

/// First name, last name, login, e-mail address.
const PEOPLE: [(&str, &str, &str, &str); 4] = [
    ("Susan", "Maye", "susan.maye", "susan.maye@example.test"),
    ("Terry", "Smith", "terry.smith", "terry.smith@example.test"),
    ("Mary", "Jones", "mary.jones", "mary.jones@example.test"),
    ("William", "Dolan", "william.dolan", "william.dolan@example.test"),
];
/// The account of the sync. It has no address, so that nobody takes it for a person with a calendar.
const SERVICE: (&str, &str, &str, &str) = ("Calendar", "Sync", "daybridge", "");

const LISTS: [(&str, &[&str]); 4] = [
    ("comm_type", &["Appointment", "Task", "Email"]),
    (
        "comm_action",
        &["Meeting", "PhoneIn", "PhoneOut", "LetterIn", "LetterOut", "EmailIn", "EmailOut", "ToDo", "Vacation", "Demo"],
    ),
    ("comm_status", &["Pending", "InProgress", "Complete", "Cancelled"]),
    ("comm_priority", &["Low", "Normal", "High"]),
];

/// The people of the demo company.
pub fn people() -> Vec<PersonOptions> {
    PEOPLE.into_iter().map(PersonOptions::from).collect()
}

/// Makes the tables and fills them.
///
/// # Errors
/// If a name used here is not in the schema.
pub fn fill(entities: Vec<Entity>, people: Vec<PersonOptions>, by: By) -> Result<(Database, Vec<Login>), Refusal> {
    let mut database = Database::default();
    for entity in entities {
        let last_key = KEYS.iter().find(|(name, _)| *name == entity.name).map_or(0, |(_, key)| *key);
        database.add(Table::new(entity, last_key));
    }
    let mut logins = Vec::new();
    for PersonOptions { first_name, last_name, login, address } in people.into_iter().chain([SERVICE.into()]) {
        let id = add(
            &mut database,
            USERS,
            &[
                ("User_Logon", login.as_str().into()),
                ("User_FirstName", first_name.as_str().into()),
                ("User_LastName", last_name.as_str().into()),
                ("User_EmailAddress", if address.is_empty() { Value::Null } else { address.as_str().into() }),
                ("User_PrimaryChannelId", 5.into()),
                ("User_Language", "UK".into()),
                ("User_WebServiceEnabled", "true".into()),
            ],
            by,
        )?;
        let name = format!("{first_name} {last_name}");
        let role = if address.is_empty() { "service" } else { "user" };
        logins.push(Login { id, login, name, address, password: PASSWORD.into(), role });
    }
    let company =
        add(&mut database, COMPANY, &[("Comp_Name", "Acme Ltd".into()), ("Comp_Type", "Customer".into())], by)?;
    add(
        &mut database,
        PERSON,
        &[
            ("Pers_CompanyId", company.into()),
            ("Pers_FirstName", "Ann".into()),
            ("Pers_LastName", "Lee".into()),
            ("Pers_EmailAddress", "ann.lee@client.test".into()),
        ],
        by,
    )?;
    for (family, codes) in LISTS {
        for (order, code) in (1..).zip(codes) {
            let values: [(&str, Value); 5] = [
                ("Capt_Family", family.into()),
                ("Capt_FamilyType", "Choices".into()),
                ("Capt_Code", (*code).into()),
                ("Capt_US", (*code).into()),
                ("Capt_Order", order.into()),
            ];
            add(&mut database, CAPTIONS, &values, by)?;
        }
    }
    Ok((database, logins))
}

fn add(database: &mut Database, table: &str, values: &[(&str, Value)], by: By) -> Result<i32, Refusal> {
    let table = database.table_mut(table)?;
    let values = values
        .iter()
        .map(|(name, value)| {
            let position = table.entity.position(name).ok_or_else(|| Refusal::no_column(table.entity.name, name))?;
            Ok((position, value.clone()))
        })
        .collect::<Result<_, Refusal>>()?;
    table.insert(values, by)
}

impl From<(&str, &str, &str, &str)> for PersonOptions {
    fn from((first_name, last_name, login, address): (&str, &str, &str, &str)) -> Self {
        let [first_name, last_name, login, address] = [first_name, last_name, login, address].map(str::to_owned);
        Self { first_name, last_name, login, address }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Value::Int(number)
    }
}
