//! GetFolder, FindFolder, UpdateFolder, and the making and removing of calendars.
//!
//! Promises: elements come in the order of the schema. Must not know: items, but their number.

use super::call::Call;
use super::error::{ExchangeError, schema_violation};
use super::ids::FOLDER_CHANGE_KEY;
use super::item::{Kind, Value};
use super::item_xml::write_rights;
use super::property::PropertyName;
use super::store::{Folder, World};
use super::xml::{Element, Messages, Read, Xml, integer};

/// Folders of one page; a mailbox here has about a dozen.
const PAGE_MAX: usize = 1_000;
/// The place of extended properties among a folder's elements.
const EXTENDED: &str = "ExtendedProperty";

/// Which fields of a folder are shown.
struct FolderShape {
    base: String,
    named: Vec<String>,
    extended: Vec<PropertyName>,
}

impl FolderShape {
    fn read(node: Element<'_>) -> Result<Self, ExchangeError> {
        let base = node.need("BaseShape")?.content().trim().to_owned();
        if !matches!(base.as_str(), "IdOnly" | "Default" | "AllProperties") {
            return Err(schema_violation(format!("{base:?} is not a BaseShape")));
        }
        let paths: Vec<Element<'_>> =
            node.kid("AdditionalProperties").map(|list| list.kids().collect()).unwrap_or_default();
        let named = paths.iter().filter_map(|path| path.attribute("FieldURI")?.strip_prefix("folder:"));
        let extended = paths.iter().filter(|path| path.local() == "ExtendedFieldURI");
        let extended = extended.map(|path| PropertyName::read(*path)).collect::<Result<_, _>>()?;
        Ok(Self { base, named: named.map(str::to_owned).collect(), extended })
    }

    fn shows(&self, name: &str) -> bool {
        let by_default = matches!(name, "FolderId" | "DisplayName" | "TotalCount" | "ChildFolderCount" | "UnreadCount");
        matches!(name, "FolderId" | EXTENDED)
            || self.base == "AllProperties"
            || (self.base == "Default" && by_default)
            || self.named.iter().any(|named| named == name)
    }

    fn write(&self, world: &World, position: usize, folder: &Folder, xml: &mut Xml) {
        let ids =
            |id: &str, name: &str, xml: &mut Xml| xml.empty(name, &[("Id", id), ("ChangeKey", FOLDER_CHANGE_KEY)]);
        let texts = |name: &str| -> Option<String> {
            Some(match name {
                "FolderClass" => folder.class?.to_owned(),
                "DisplayName" => folder.name.clone(),
                "TotalCount" => world.in_folder(position).count().to_string(),
                "ChildFolderCount" => children(world, position).count().to_string(),
                "DistinguishedFolderId" if folder.distinguished.is_empty() => return None,
                "DistinguishedFolderId" => folder.distinguished.to_owned(),
                "UnreadCount" if folder.element == "t:Folder" => unread(world, position).to_string(),
                _ => return None,
            })
        };
        let order = [
            "FolderId",
            "ParentFolderId",
            "FolderClass",
            "DisplayName",
            "TotalCount",
            "ChildFolderCount",
            EXTENDED,
            "EffectiveRights",
            "DistinguishedFolderId",
            "UnreadCount",
        ];
        xml.open(folder.element, |xml| {
            for name in order.into_iter().filter(|name| self.shows(name)) {
                match name {
                    "FolderId" => ids(&folder.id, "t:FolderId", xml),
                    // The root is its own parent.
                    "ParentFolderId" => {
                        ids(world.folder_id(folder.parent.unwrap_or(position)), "t:ParentFolderId", xml);
                    }
                    "EffectiveRights" => xml.open("t:EffectiveRights", write_rights),
                    EXTENDED => {
                        for name in &self.extended {
                            folder.properties.get(name).into_iter().for_each(|value| name.write(value, xml));
                        }
                    }
                    name => {
                        if let Some(text) = texts(name) {
                            xml.text(&format!("t:{name}"), text);
                        }
                    }
                }
            }
        });
    }
}

pub fn get_folder(call: &Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let shape = FolderShape::read(request.need("FolderShape")?)?;
    let mut messages = Messages::new("GetFolder");
    for id in request.need("FolderIds")?.kids() {
        messages.add(call.folder(id), |xml, position| {
            xml.open("m:Folders", |xml| {
                if let Some(folder) = call.world.folders.get(position) {
                    shape.write(call.world, position, folder, xml);
                }
            });
        });
    }
    messages.write("GetFolder", xml);
    Ok(())
}

pub fn find_folder(call: &Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let deep = match request.need_attribute("Traversal")? {
        "Deep" => true,
        "Shallow" | "SoftDeleted" => false,
        other => return Err(schema_violation(format!("{other:?} is not a Traversal"))),
    };
    let wanted = request.kid("Restriction").map(name_wanted).transpose()?;
    let shape = FolderShape::read(request.need("FolderShape")?)?;
    let view = request.kid("IndexedPageFolderView");
    let number = |name: &str, otherwise: usize| -> Result<usize, ExchangeError> {
        let text = view.and_then(|view| view.attribute(name));
        text.map_or(Ok(otherwise), |text| Ok(usize::try_from(integer(text)?).unwrap_or(otherwise)))
    };
    let (most, offset) = (number("MaxEntriesReturned", PAGE_MAX)?, number("Offset", 0)?);
    let mut messages = Messages::new("FindFolder");
    for parent in request.need("ParentFolderIds")?.kids() {
        messages.add(call.folder(parent), |xml, parent| {
            let mut found: Vec<(usize, &Folder)> = match deep {
                true => descendants(call.world, parent),
                false => children(call.world, parent).collect(),
            };
            found.retain(|(_, folder)| wanted.as_ref().is_none_or(|wanted| folder.name.eq_ignore_ascii_case(wanted)));
            let end = (offset + most).min(found.len());
            let (next, total) = (end.to_string(), found.len().to_string());
            let attributes = [
                ("IndexedPagingOffset", next.as_str()),
                ("TotalItemsInView", total.as_str()),
                ("IncludesLastItemInRange", if end == found.len() { "true" } else { "false" }),
            ];
            xml.element("m:RootFolder", &attributes, |xml| {
                xml.open("t:Folders", |xml| {
                    for (position, folder) in found.into_iter().skip(offset).take(most) {
                        shape.write(call.world, position, folder, xml);
                    }
                });
            });
        });
    }
    messages.write("FindFolder", xml);
    Ok(())
}

/// The display name that a restriction asks for, the only one known here.
fn name_wanted(restriction: Element<'_>) -> Result<String, ExchangeError> {
    let equal = restriction.kid("IsEqualTo");
    let is_name = |node: &Element<'_>| {
        node.kid("FieldURI").and_then(|path| path.attribute("FieldURI")) == Some("folder:DisplayName")
    };
    let constant = equal.filter(is_name).and_then(|node| node.kid("FieldURIOrConstant")?.kid("Constant"));
    let value = constant.and_then(|constant| constant.attribute("Value"));
    value.map(str::to_owned).ok_or_else(|| {
        ExchangeError::new("ErrorUnsupportedQueryFilter", "This server searches folders by their name only.")
    })
}

/// Sets and removes extended properties; nothing else of a folder is changed here.
pub fn update_folder(call: &mut Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let mut messages = Messages::new("UpdateFolder");
    for change in request.need("FolderChanges")?.kids() {
        let outcome = change_folder(call, change);
        messages.add(outcome, |xml, place| write_named(call.world, place, xml));
    }
    messages.write("UpdateFolder", xml);
    Ok(())
}

fn change_folder(call: &mut Call<'_>, change: Element<'_>) -> Result<usize, ExchangeError> {
    let id = change.kids().next().ok_or_else(|| schema_violation("FolderChange is empty"))?;
    let place = call.folder(id)?;
    let unknown = || ExchangeError::new("ErrorInvalidPropertySet", "This server changes extended properties only.");
    let mut changes = Vec::new();
    for update in change.need("Updates")?.kids() {
        let name = PropertyName::read(update.kid("ExtendedFieldURI").ok_or_else(unknown)?)?;
        let value = match update.local() {
            "SetFolderField" => {
                let folder = update.kids().nth(1).ok_or_else(|| schema_violation("SetFolderField holds no folder"))?;
                Some(name.read_value(folder.need("ExtendedProperty")?)?)
            }
            "DeleteFolderField" => None,
            _ => return Err(unknown()),
        };
        changes.push((name, value));
    }
    let folder = call.world.folders.get_mut(place).ok_or_else(unknown)?;
    for (name, value) in changes {
        match value {
            Some(value) => folder.properties.insert(name, value),
            None => folder.properties.remove(&name),
        };
    }
    call.world.writes += 1;
    Ok(place)
}

/// Makes calendars; other folders are as they are.
pub fn create_folder(call: &mut Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let parent =
        request.need("ParentFolderId")?.kids().next().ok_or_else(|| schema_violation("ParentFolderId is empty"))?;
    let parent = call.folder(parent)?;
    let mailbox = call.own_mailbox()?;
    let mut messages = Messages::new("CreateFolder");
    for folder in request.need("Folders")?.kids() {
        let is_calendar =
            folder.local() == "CalendarFolder" || folder.kid_text("FolderClass").as_deref() == Some("IPF.Appointment");
        let name = folder.kid_text("DisplayName").unwrap_or_default();
        let outcome = match (is_calendar, name.is_empty()) {
            (true, false) => {
                let place = call.world.add_calendar(mailbox, name);
                if let Some(made) = call.world.folders.get_mut(place) {
                    made.parent = Some(parent);
                }
                Ok(place)
            }
            _ => Err(ExchangeError::new("ErrorInvalidFolderTypeForOperation", "Only calendars are made here.")),
        };
        messages.add(outcome, |xml, place| write_named(call.world, place, xml));
    }
    messages.write("CreateFolder", xml);
    Ok(())
}

pub fn delete_folder(call: &mut Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let mut messages = Messages::new("DeleteFolder");
    for id in request.need("FolderIds")?.kids() {
        let outcome = call.folder(id).and_then(|place| {
            if call.world.remove_calendar(place) {
                return Ok(());
            }
            Err(ExchangeError::new("ErrorDeleteDistinguishedFolder", "A default folder cannot be deleted."))
        });
        messages.add(outcome, |_, ()| {});
    }
    messages.write("DeleteFolder", xml);
    Ok(())
}

/// A calendar, by its id alone.
fn write_named(world: &World, place: usize, xml: &mut Xml) {
    let id = world.folder_id(place);
    xml.open("m:Folders", |xml| {
        xml.open("t:CalendarFolder", |xml| {
            xml.empty("t:FolderId", &[("Id", id), ("ChangeKey", FOLDER_CHANGE_KEY)]);
        });
    });
}

fn children(world: &World, parent: usize) -> impl Iterator<Item = (usize, &Folder)> {
    world.folders.iter().enumerate().filter(move |(_, folder)| folder.parent == Some(parent))
}

fn descendants(world: &World, parent: usize) -> Vec<(usize, &Folder)> {
    let mut found: Vec<(usize, &Folder)> = Vec::new();
    // Parents come before their children in the list.
    for (position, folder) in world.folders.iter().enumerate() {
        let below = |above: usize| above == parent || found.iter().any(|(known, _)| *known == above);
        if folder.parent.is_some_and(below) {
            found.push((position, folder));
        }
    }
    found
}

fn unread(world: &World, folder: usize) -> usize {
    world
        .in_folder(folder)
        .filter(|item| item.kind != Kind::Appointment)
        .filter(|item| item.content.plain.get("IsRead") != Some(&Value::Boolean(true)))
        .count()
}
