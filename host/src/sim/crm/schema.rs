//! Entities and their columns, in the letter case in which a Sage CRM shows them.
//!
//! Promises: names are found without regard to case; column 0 is the key. Must not know: rows, HTTP.

use std::collections::HashMap;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A 32-bit number.
    Int,
    /// A wall-clock moment of the server's zone, to the second.
    Time,
    /// Text of at most so many UTF-16 units, or of any length.
    Text(Option<usize>),
}

impl Kind {
    /// The name used by `$prototypes`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Int => "integer",
            Kind::Time => "dateTime",
            Kind::Text(_) => "string",
        }
    }
}

/// One column of an entity.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    /// Key and audit columns: what a client sends for them is ignored.
    pub by_server: bool,
    /// A new row without a value here is refused.
    pub mandatory: bool,
}

/// Where the audit columns of an entity stand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Audit {
    pub created_by: usize,
    pub created_date: usize,
    pub updated_by: usize,
    pub updated_date: usize,
    pub time_stamp: usize,
    pub deleted: usize,
}

/// One entity of the REST API.
#[derive(Clone, Debug)]
pub struct Entity {
    pub name: &'static str,
    pub columns: Vec<Column>,
    pub audit: Audit,
    /// Whether rows may be added and removed over the REST API; users are administered elsewhere.
    pub open: bool,
    by_name: HashMap<String, usize>,
}

impl Entity {
    fn new(name: &'static str, prefix: &str, mandatory: &[&str], stock: &[(&str, Kind)]) -> Self {
        let mut entity =
            Self { name, columns: Vec::new(), audit: Audit::default(), open: name != USERS, by_name: HashMap::new() };
        for (name, kind) in stock {
            let by_server = entity.columns.is_empty();
            entity.push(name, *kind, by_server, mandatory.contains(name));
        }
        entity.audit = Audit {
            created_by: entity.push(&format!("{prefix}_CreatedBy"), Kind::Int, true, false),
            created_date: entity.push(&format!("{prefix}_CreatedDate"), Kind::Time, true, false),
            updated_by: entity.push(&format!("{prefix}_UpdatedBy"), Kind::Int, true, false),
            updated_date: entity.push(&format!("{prefix}_UpdatedDate"), Kind::Time, true, false),
            time_stamp: entity.push(&format!("{prefix}_TimeStamp"), Kind::Time, true, false),
            deleted: entity.push(&format!("{prefix}_Deleted"), Kind::Int, false, false),
        };
        entity
    }

    fn push(&mut self, name: &str, kind: Kind, by_server: bool, mandatory: bool) -> usize {
        let position = self.columns.len();
        self.by_name.insert(name.to_lowercase(), position);
        self.columns.push(Column { name: name.to_owned(), kind, by_server, mandatory });
        position
    }

    /// Adds a column of the install's own. False if the name is taken.
    pub fn add(&mut self, name: &str, kind: Kind) -> bool {
        let free = self.position(name).is_none();
        if free {
            self.push(name, kind, false, false);
        }
        free
    }

    /// Position of a column by its name in any letter case.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.to_lowercase()).copied()
    }

    /// The name of the key column.
    pub fn key(&self) -> &str {
        self.columns.first().map_or("", |column| &column.name)
    }
}

pub const COMMUNICATION: &str = "Communication";
pub const COMM_LINK: &str = "Comm_Link";
pub const COMPANY: &str = "Company";
pub const PERSON: &str = "Person";
pub const CAPTIONS: &str = "Custom_Captions";
pub const USERS: &str = "Users";

const FLAG: Kind = Kind::Text(Some(1));
const CODE: Kind = Kind::Text(Some(40));
const LONG: Kind = Kind::Text(None);

/// The entities of a stock install.
pub fn stock() -> Vec<Entity> {
    vec![
        Entity::new(COMMUNICATION, "Comm", &[], COMMUNICATION_COLUMNS),
        Entity::new(COMM_LINK, "CmLi", &["CmLi_Comm_CommunicationId"], COMM_LINK_COLUMNS),
        Entity::new(COMPANY, "Comp", &["Comp_Name"], COMPANY_COLUMNS),
        Entity::new(PERSON, "Pers", &["Pers_LastName"], PERSON_COLUMNS),
        Entity::new(CAPTIONS, "Capt", &["Capt_Family", "Capt_Code"], CAPTION_COLUMNS),
        Entity::new(USERS, "User", &["User_Logon"], USER_COLUMNS),
    ]
}

const COMMUNICATION_COLUMNS: &[(&str, Kind)] = &[
    ("Comm_CommunicationId", Kind::Int),
    ("Comm_Type", CODE),
    ("Comm_Action", CODE),
    ("Comm_Status", CODE),
    ("Comm_Priority", CODE),
    ("Comm_DateTime", Kind::Time),
    ("Comm_ToDateTime", Kind::Time),
    ("Comm_OriginalDateTime", Kind::Time),
    ("Comm_OriginalToDateTime", Kind::Time),
    ("Comm_IsAllDayEvent", FLAG),
    ("Comm_Subject", Kind::Text(Some(255))),
    ("Comm_Location", Kind::Text(Some(255))),
    ("Comm_Note", LONG),
    ("Comm_Description", LONG),
    ("Comm_Email", LONG),
    ("Comm_Private", FLAG),
    ("Comm_NotifyTime", Kind::Time),
    ("Comm_NotifyDelta", Kind::Int),
    ("comm_taskreminder", FLAG),
    ("Comm_Organizer", Kind::Text(Some(384))),
    ("Comm_RecurrenceId", Kind::Int),
    ("Comm_Exception", FLAG),
    ("Comm_OutlookID", Kind::Text(Some(30))),
    ("Comm_MeetingID", Kind::Text(Some(500))),
    ("Comm_MessageId", Kind::Text(Some(255))),
    ("Comm_IsStub", Kind::Text(Some(2))),
    ("Comm_CRMOnly", FLAG),
    ("Comm_OutCome", CODE),
    ("comm_completedtime", Kind::Time),
    ("comm_percentcomplete", Kind::Int),
    ("Comm_ChannelId", Kind::Int),
    ("Comm_SecTerr", Kind::Int),
    ("Comm_OpportunityId", Kind::Int),
    ("Comm_CaseId", Kind::Int),
    ("Comm_LeadID", Kind::Int),
    ("Comm_QuoteId", Kind::Int),
    ("Comm_OrderId", Kind::Int),
    ("Comm_SolutionId", Kind::Int),
    ("Comm_From", LONG),
    ("Comm_TO", LONG),
    ("Comm_CC", LONG),
    ("Comm_BCC", LONG),
    ("Comm_ReplyTo", LONG),
    ("Comm_HasAttachments", FLAG),
    ("Comm_IsHtml", FLAG),
];

const COMM_LINK_COLUMNS: &[(&str, Kind)] = &[
    ("CmLi_CommLinkId", Kind::Int),
    ("CmLi_Comm_CommunicationId", Kind::Int),
    ("CmLi_Comm_UserId", Kind::Int),
    ("CmLi_Comm_PersonId", Kind::Int),
    ("CmLi_Comm_CompanyId", Kind::Int),
    ("CmLi_Comm_LeadID", Kind::Int),
    ("CmLi_Comm_AccountId", Kind::Int),
    ("CmLi_Comm_QuoteId", Kind::Int),
    ("CmLi_Comm_OrderId", Kind::Int),
    ("CmLi_EntityId", Kind::Int),
    ("CmLi_RecordId", Kind::Int),
    ("CmLi_Comm_NotifyTime", Kind::Time),
    ("cmli_status", Kind::Int),
    ("cmli_recipient", Kind::Text(Some(255))),
    ("cmli_reminder", FLAG),
    ("CmLi_IsExternalAttendee", FLAG),
    ("CmLi_ExternalPersonID", Kind::Int),
    ("Cmli_SMSMessageSent", FLAG),
];

const COMPANY_COLUMNS: &[(&str, Kind)] = &[
    ("Comp_CompanyId", Kind::Int),
    ("Comp_Name", Kind::Text(Some(60))),
    ("Comp_Type", CODE),
    ("Comp_Status", CODE),
    ("Comp_Source", CODE),
    ("Comp_WebSite", Kind::Text(Some(100))),
    ("Comp_EmailAddress", Kind::Text(Some(255))),
    ("Comp_PrimaryPersonId", Kind::Int),
    ("Comp_PrimaryUserId", Kind::Int),
    ("Comp_SecTerr", Kind::Int),
];

const PERSON_COLUMNS: &[(&str, Kind)] = &[
    ("Pers_PersonId", Kind::Int),
    ("Pers_CompanyId", Kind::Int),
    ("Pers_Salutation", Kind::Text(Some(10))),
    ("Pers_FirstName", Kind::Text(Some(30))),
    ("Pers_LastName", Kind::Text(Some(40))),
    ("Pers_Title", CODE),
    ("Pers_EmailAddress", Kind::Text(Some(255))),
    ("Pers_PrimaryUserId", Kind::Int),
    ("Pers_SecTerr", Kind::Int),
];

const CAPTION_COLUMNS: &[(&str, Kind)] = &[
    ("Capt_CaptionId", Kind::Int),
    ("Capt_Family", CODE),
    ("Capt_FamilyType", CODE),
    ("Capt_Code", CODE),
    ("Capt_Order", Kind::Int),
    ("Capt_US", Kind::Text(Some(255))),
    ("Capt_UK", Kind::Text(Some(255))),
    ("Capt_DE", Kind::Text(Some(255))),
    ("Capt_ES", Kind::Text(Some(255))),
    ("Capt_FR", Kind::Text(Some(255))),
];

const USER_COLUMNS: &[(&str, Kind)] = &[
    ("User_UserId", Kind::Int),
    ("User_Logon", Kind::Text(Some(50))),
    ("User_FirstName", Kind::Text(Some(20))),
    ("User_LastName", Kind::Text(Some(35))),
    ("User_EmailAddress", Kind::Text(Some(255))),
    ("User_Disabled", Kind::Text(Some(5))),
    ("User_Resource", Kind::Text(Some(5))),
    ("User_IsTemplate", FLAG),
    ("User_PrimaryChannelId", Kind::Int),
    ("User_PrimaryTerritory", Kind::Int),
    ("User_Language", CODE),
    ("User_WebServiceEnabled", Kind::Text(Some(5))),
    ("User_ExternalLogonAllowed", Kind::Text(Some(5))),
    ("User_ExchangeSync", CODE),
    ("User_ExConflictCount", Kind::Int),
    ("User_ExErrorCount", Kind::Int),
    ("User_ExSkippedItemsCount", Kind::Int),
    ("User_ExLastSyncTime", Kind::Time),
    ("user_title", CODE),
    ("user_location", CODE),
];
