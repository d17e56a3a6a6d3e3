//! Named properties of Exchange items and folders: the stamp, the owner, and custom fields. Both protocols reach the same property by its set and name.
//!
//! Promises: the stamp has one place for ever, whichever protocol wrote it. Must not know: how a protocol spells a property.

use serde::Deserialize;

/// The property set of the stamp: a random GUID of this product, fixed for ever, since it finds items of earlier years.
pub const STAMP_SET: &str = "6d1f5f2a-84c7-4c3b-9a57-2b0f6ce1d9e4";
/// The name of the stamp within its property set.
pub const STAMP_NAME: &str = "DaybridgeKey";
/// The name of the property of a calendar folder that says which host keeps it, in the stamp's property set.
pub const OWNER_NAME: &str = "DaybridgeHost";

/// A named property of MAPI: a property set with a name or a number, and a type.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedProperty {
    /// A GUID without braces, or the name of a distinguished set such as `PublicStrings`.
    pub set: String,
    pub name: Option<String>,
    pub id: Option<u32>,
    #[serde(rename = "type", default)]
    pub kind: PropertyKind,
}

/// Types of named properties that a custom field can hold (schema: MapiPropertyTypeType).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum PropertyKind {
    #[default]
    String,
    Integer,
    Boolean,
}

/// Sets that have a name of their own in EWS (DistinguishedPropertySetType), with their ids (MS-OXPROPS 1.3.2).
const DISTINGUISHED_SETS: [(&str, &str); 10] = [
    ("Meeting", "6ed8da90-450b-101b-98da-00aa003f1305"),
    ("Appointment", "00062002-0000-0000-c000-000000000046"),
    ("Common", "00062008-0000-0000-c000-000000000046"),
    ("PublicStrings", "00020329-0000-0000-c000-000000000046"),
    ("Address", "00062004-0000-0000-c000-000000000046"),
    ("InternetHeaders", "00020386-0000-0000-c000-000000000046"),
    ("CalendarAssistant", "11000e07-b51b-40d6-af21-caa85edab1d0"),
    ("UnifiedMessaging", "4442858e-a9e3-4e80-b900-317a210cc15b"),
    ("Task", "00062003-0000-0000-c000-000000000046"),
    ("Sharing", "00062040-0000-0000-c000-000000000046"),
];

impl NamedProperty {
    /// Where the key of the appointment an item was created from is kept, unless the operator says otherwise.
    pub fn stamp() -> Self {
        Self { set: STAMP_SET.to_owned(), name: Some(STAMP_NAME.to_owned()), id: None, kind: PropertyKind::String }
    }

    /// Where a calendar folder says which host keeps it.
    pub fn owner() -> Self {
        Self { name: Some(OWNER_NAME.to_owned()), ..Self::stamp() }
    }

    /// The attributes of its `ExtendedFieldURI`.
    pub fn attributes(&self) -> Vec<(&'static str, String)> {
        let set = if self.is_distinguished() { "DistinguishedPropertySetId" } else { "PropertySetId" };
        let mut attributes = vec![(set, self.set.clone())];
        if let Some(name) = &self.name {
            attributes.push(("PropertyName", name.clone()));
        }
        if let Some(id) = self.id {
            attributes.push(("PropertyId", id.to_string()));
        }
        attributes.push(("PropertyType", self.kind.name().to_owned()));
        attributes
    }

    /// The set's GUID, without braces.
    pub fn set_id(&self) -> &str {
        DISTINGUISHED_SETS.iter().find(|(name, _)| *name == self.set).map_or(self.set.as_str(), |(_, id)| id)
    }

    fn is_distinguished(&self) -> bool {
        DISTINGUISHED_SETS.iter().any(|(name, _)| *name == self.set)
    }

    /// # Errors
    /// A sentence for people.
    pub fn check(&self) -> Result<(), String> {
        if !self.is_distinguished() && self.set.parse::<uuid::Uuid>().is_err() {
            return Err(format!("property set {} is neither a GUID nor a distinguished set", self.set));
        }
        if self.name.is_some() == self.id.is_some() {
            return Err(format!("a property of set {} needs either a name or an id", self.set));
        }
        Ok(())
    }
}

impl PropertyKind {
    /// The schema's word.
    pub fn name(self) -> &'static str {
        match self {
            PropertyKind::String => "String",
            PropertyKind::Integer => "Integer",
            PropertyKind::Boolean => "Boolean",
        }
    }
}
