//! Extended properties: the ways to name one, and typed values.
//!
//! Promises: two names of one property (a distinguished set and its GUID, a tag in hex and in decimal) are equal.
//! Must not know: items.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::error::ExchangeError;
use super::xml::{Element, Read, Xml};
use super::zones::{self, Zone};

/// The property set that holds GlobalObjectId (3) and CleanGlobalObjectId (0x23).
const MEETING_SET: &str = "6ed8da90-450b-101b-98da-00aa003f1305";
const APPOINTMENT_SET: &str = "00062002-0000-0000-c000-000000000046";
/// Distinguished sets and their GUIDs (MS-OXPROPS 1.3.2).
const SETS: &[(&str, &str)] = &[
    ("Meeting", MEETING_SET),
    ("Appointment", APPOINTMENT_SET),
    ("Common", "00062008-0000-0000-c000-000000000046"),
    ("PublicStrings", "00020329-0000-0000-c000-000000000046"),
    ("Address", "00062004-0000-0000-c000-000000000046"),
    ("InternetHeaders", "00020386-0000-0000-c000-000000000046"),
    ("CalendarAssistant", "11000e07-b51b-40d6-af21-caa85edab1d0"),
    ("UnifiedMessaging", "4442858e-a9e3-4e80-b900-317a210cc15b"),
    ("Task", "00062003-0000-0000-c000-000000000046"),
    ("Sharing", "00062040-0000-0000-c000-000000000046"),
];
/// The types of the schema; `Error`, `Null`, `Object` exist there too but carry no value.
const TYPES: &[&str] = &[
    "ApplicationTime",
    "Binary",
    "Boolean",
    "CLSID",
    "Currency",
    "Double",
    "Float",
    "Integer",
    "Long",
    "Short",
    "String",
    "SystemTime",
];

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Named { set: String, name: String },
    Numbered { set: String, id: i64 },
    Tag(u32),
}

/// Which property, and of which type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PropertyName {
    name: Name,
    of_type: String,
    /// As the client wrote it, for the answer; not part of the identity.
    attributes: Attributes,
}

/// Attributes are compared as always equal, so that the spelling of a name does not matter.
#[derive(Clone, Debug)]
struct Attributes(Vec<(String, String)>);

impl PartialEq for Attributes {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Attributes {}
impl PartialOrd for Attributes {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Attributes {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl PropertyName {
    /// Reads an `ExtendedFieldURI`.
    pub fn read(node: Element<'_>) -> Result<Self, ExchangeError> {
        let wrong =
            |why: &str| ExchangeError::new("ErrorInvalidExtendedProperty", format!("Extended property: {why}."));
        let of_type = node.attribute("PropertyType").ok_or_else(|| wrong("PropertyType is missing"))?;
        if !TYPES.contains(&of_type.strip_suffix("Array").unwrap_or(of_type)) {
            return Err(wrong("PropertyType is not one of the known types"));
        }
        let set = match (node.attribute("DistinguishedPropertySetId"), node.attribute("PropertySetId")) {
            (Some(name), None) => Some(
                SETS.iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, guid)| (*guid).to_owned())
                    .ok_or_else(|| wrong("DistinguishedPropertySetId is not one of the known sets"))?,
            ),
            (None, Some(guid)) => {
                Some(Uuid::parse_str(guid).map_err(|_| wrong("PropertySetId is not a GUID"))?.to_string())
            }
            (None, None) => None,
            (Some(_), Some(_)) => return Err(wrong("name one property set, not two")),
        };
        let name =
            match (set, node.attribute("PropertyName"), node.attribute("PropertyId"), node.attribute("PropertyTag")) {
                (Some(set), Some(name), None, None) => Name::Named { set, name: name.to_owned() },
                (Some(set), None, Some(id), None) => {
                    Name::Numbered { set, id: id.trim().parse().map_err(|_| wrong("PropertyId is not a number"))? }
                }
                (None, None, None, Some(tag)) => {
                    Name::Tag(tag_number(tag).ok_or_else(|| wrong("PropertyTag is no tag"))?)
                }
                _ => return Err(wrong("it needs a set with a name or an id, or a tag alone")),
            };
        let attributes = node.attributes().map(|at| (at.name().to_owned(), at.value().to_owned())).collect();
        Ok(Self { name, of_type: of_type.to_owned(), attributes: Attributes(attributes) })
    }

    /// Reads the name that Graph gives a single-value property: `{type} {guid} Name {name}`, `{type} {guid} Id {id}` or
    /// `{type} {tag}`, where a tag holds its type in the lower half [extended-properties-overview].
    pub fn from_words(id: &str) -> Result<Self, ExchangeError> {
        let wrong = |why: &str| ExchangeError::new("ErrorInvalidExtendedProperty", format!("{id:?} {why}."));
        let mut words = id.trim().splitn(4, char::is_whitespace);
        let of_type = words.next().unwrap_or_default();
        let of_type = TYPES.iter().find(|known| known.eq_ignore_ascii_case(of_type));
        let of_type = *of_type.ok_or_else(|| wrong("begins with no known type"))?;
        let guid = |text: &str| Uuid::parse_str(text).map_err(|_| wrong("names no GUID"));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let (name, mut attributes) = match (words.next(), words.next(), words.next()) {
            (Some(set), Some(kind), Some(name)) if kind.eq_ignore_ascii_case("Name") => {
                let (set, name) = (guid(set)?.to_string(), name.trim().to_owned());
                let attributes = vec![pair("PropertySetId", &set), pair("PropertyName", &name)];
                (Name::Named { set, name }, attributes)
            }
            (Some(set), Some(kind), Some(id)) if kind.eq_ignore_ascii_case("Id") => {
                let set = guid(set)?.to_string();
                let id = i64::from(tag_number(id).ok_or_else(|| wrong("names no number"))?);
                let attributes = vec![pair("PropertySetId", &set), pair("PropertyId", &id.to_string())];
                (Name::Numbered { set, id }, attributes)
            }
            (Some(tag), None, None) => {
                let tag = tag_number(tag).ok_or_else(|| wrong("names no tag"))?;
                let tag = if tag > 0xffff { tag >> 16 } else { tag };
                (Name::Tag(tag), vec![pair("PropertyTag", &format!("0x{tag:04x}"))])
            }
            _ => return Err(wrong("names no property")),
        };
        attributes.push(pair("PropertyType", of_type));
        Ok(Self { name, of_type: of_type.to_owned(), attributes: Attributes(attributes) })
    }

    /// A single value of this property's type.
    pub fn value(&self, text: &str) -> Result<PropertyValue, ExchangeError> {
        checked(&self.of_type, text).map(PropertyValue::Single)
    }

    /// Which of the properties it is that the server fills, if any (MS-OXPROPS).
    pub fn of_server(&self) -> Option<OfServer> {
        match &self.name {
            Name::Numbered { set, id: 3 | 0x23 } if set == MEETING_SET => Some(OfServer::GlobalObjectId),
            Name::Numbered { set, id: 0x8223 } if set == APPOINTMENT_SET => Some(OfServer::Recurring),
            Name::Tag(0x0e23) => Some(OfServer::ArticleNumber),
            Name::Tag(0x3007) => Some(OfServer::Created),
            Name::Tag(0x3008) => Some(OfServer::Modified),
            Name::Numbered { .. } | Name::Named { .. } | Name::Tag(_) => None,
        }
    }

    /// The type of the value, or of each value of an array.
    pub fn element_type(&self) -> &str {
        self.of_type.strip_suffix("Array").unwrap_or(&self.of_type)
    }

    /// Reads the value beside the name: `Value`, or `Values` for the array types.
    pub fn read_value(&self, node: Element<'_>) -> Result<PropertyValue, ExchangeError> {
        let (array, single) = (node.kid("Values"), node.kid("Value"));
        match (self.of_type.strip_suffix("Array"), single, array) {
            (None, Some(value), None) => Ok(PropertyValue::Single(checked(&self.of_type, &value.content())?)),
            (Some(of_type), None, Some(values)) => values
                .kids()
                .map(|value| checked(of_type, &value.content()))
                .collect::<Result<_, _>>()
                .map(PropertyValue::Array),
            _ => Err(ExchangeError::new(
                "ErrorInvalidExtendedPropertyValue",
                format!("An extended property of type {} needs a Value (Values for arrays).", self.of_type),
            )),
        }
    }

    pub fn write(&self, value: &PropertyValue, xml: &mut Xml) {
        let attributes: Vec<(&str, &str)> =
            self.attributes.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        xml.open("t:ExtendedProperty", |xml| {
            xml.empty("t:ExtendedFieldURI", &attributes);
            match value {
                PropertyValue::Single(text) => xml.text("t:Value", text),
                PropertyValue::Array(texts) => {
                    xml.open("t:Values", |xml| texts.iter().for_each(|text| xml.text("t:Value", text)));
                }
            }
        });
    }
}

/// Properties that the server fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfServer {
    /// GlobalObjectId or CleanGlobalObjectId of a meeting.
    GlobalObjectId,
    /// PidLidRecurring: whether it is a series.
    Recurring,
    /// PidTagInternetArticleNumber: a later item of a folder has a greater one.
    ArticleNumber,
    /// PidTagCreationTime, PidTagLastModificationTime.
    Created,
    Modified,
}

/// A checked value in its canonical text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropertyValue {
    Single(String),
    Array(Vec<String>),
}

fn tag_number(text: &str) -> Option<u32> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn checked(of_type: &str, text: &str) -> Result<String, ExchangeError> {
    let trimmed = text.trim();
    let canonical = match of_type {
        "Integer" | "Short" => trimmed.parse::<i32>().ok().map(|number| number.to_string()),
        "Long" | "Currency" => trimmed.parse::<i64>().ok().map(|number| number.to_string()),
        "Double" | "Float" | "ApplicationTime" => trimmed.parse::<f64>().ok().map(|number| number.to_string()),
        "Boolean" => super::xml::boolean(trimmed).ok().map(|value| value.to_string()),
        "SystemTime" => zones::instant(trimmed, &Zone::utc()).ok().map(zones::written),
        "Binary" => STANDARD.decode(trimmed).ok().map(|bytes| STANDARD.encode(bytes)),
        "CLSID" => Uuid::parse_str(trimmed).ok().map(|guid| guid.to_string()),
        _ => Some(text.to_owned()),
    };
    canonical.ok_or_else(|| {
        ExchangeError::new(
            "ErrorInvalidExtendedPropertyValue",
            format!("An extended property's value is not of type {of_type}."),
        )
    })
}
