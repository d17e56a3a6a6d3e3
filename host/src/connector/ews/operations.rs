//! The EWS operations a calendar sync needs, one function each: what is asked, what is read from the answer.
//!
//! Promises: folders are always named with their mailbox, so a mix-up of mailboxes is impossible even without
//! impersonation; every list has a limit. Must not know: appointments, cursors' keepers, retries.

use roxmltree::Node;

use super::client::{Act, Client};
use super::config::NamedProperty;
use super::soap::{Refusal, SoapError, Xml, accepted, child, child_text, messages, one_message};
use super::wire::{self, CalendarItem, ItemId, Property, write_extended_uri};
use crate::connector::Error;
use crate::model::{Address, Mail, Response};

/// Rows per page of FindItem; Exchange's own default limit is 1,000.
pub const FIND_PAGE: u32 = 500;
/// More items at one minute than a calendar view is asked for.
const VIEW_MAX: u32 = 1_000;

/// How much of an item GetItem is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// All that an appointment is made of.
    Full,
    /// The same, and of the master of a series its changed occurrences.
    Series,
    /// What leads an item to its pair: UID and stamp, and the folder it lies in.
    Keys,
}

/// One page of SyncFolderItems.
#[derive(Clone, Debug, Default)]
pub struct Synced {
    /// Created or changed.
    pub present: Vec<ItemId>,
    pub deleted: Vec<String>,
    pub state: String,
    pub more: bool,
}

/// What FindItem looks for in the calendar.
#[derive(Clone, Debug)]
pub enum Search<'a> {
    /// Everything, from this row on, so many rows.
    All { offset: u32, count: u32 },
    /// Items with this value in a named property.
    Extended { property: &'a NamedProperty, value: &'a str },
    /// Items with this iCalendar UID.
    Uid(&'a str),
    /// Items of this binary `CleanGlobalObjectId` (base64).
    GlobalObjectId(&'a str),
    /// Items, occurrences too, that touch the time between two instants (`2027-02-08T09:00:00Z`).
    Between { start: &'a str, end: &'a str },
}

/// How an invitation is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Accept,
    Tentative,
    Decline,
}

impl Answer {
    /// The answer that stands for a response; nothing where the response is none.
    pub fn of(response: Response) -> Option<Self> {
        match response {
            Response::Accepted => Some(Answer::Accept),
            Response::Tentative => Some(Answer::Tentative),
            Response::Declined => Some(Answer::Decline),
            Response::None | Response::Organizer => None,
        }
    }
}

/// One page of FindItem.
#[derive(Clone, Debug, Default)]
pub struct FoundPage {
    pub items: Vec<CalendarItem>,
    /// Where the next page begins.
    pub next: Option<u32>,
    /// There is more than the answer holds.
    pub cut: bool,
}

/// Writes the calendar of a mailbox as a folder id.
pub fn write_calendar(xml: &mut Xml, mailbox: &Address) {
    xml.element("t:DistinguishedFolderId", &[("Id", "calendar")], |xml| {
        xml.element("t:Mailbox", &[], |xml| xml.text("t:EmailAddress", &[], mailbox.as_str()));
    });
}

fn write_shape(xml: &mut Xml, body: bool, fields: &[&str], extended: &[&NamedProperty]) {
    xml.element("m:ItemShape", &[], |xml| {
        xml.text("t:BaseShape", &[], "IdOnly");
        if body {
            // The stored form: text comes back as the text that was written, HTML as it is.
            xml.text("t:BodyType", &[], "Best");
        }
        xml.element("t:AdditionalProperties", &[], |xml| {
            fields.iter().for_each(|field| xml.empty("t:FieldURI", &[("FieldURI", field)]));
            extended.iter().for_each(|property| write_extended_uri(xml, property));
        });
    });
}

fn ids_of<'a, 'input: 'a>(list: Option<Node<'a, 'input>>) -> impl Iterator<Item = Node<'a, 'input>> {
    list.into_iter().flat_map(|list| list.children()).filter(Node::is_element)
}

impl Client {
    /// GetItem for up to one batch of ids, answered in their order. `None` for an item that is no calendar item.
    pub async fn get_items(
        &self,
        act: Act<'_>,
        ids: &[String],
        shape: Shape,
    ) -> Result<Vec<Result<Option<CalendarItem>, Refusal>>, Error> {
        let config = self.config();
        let write = |xml: &mut Xml| {
            xml.element("m:GetItem", &[], |xml| {
                match shape {
                    Shape::Full | Shape::Series => {
                        let mut extended = vec![&config.stamp];
                        extended.extend(config.fields.values());
                        let mut fields = wire::FIELDS.to_vec();
                        if shape == Shape::Series {
                            fields.push("calendar:ModifiedOccurrences");
                        }
                        write_shape(xml, true, &fields, &extended);
                    }
                    Shape::Keys => write_shape(xml, false, &["item:ParentFolderId", "calendar:UID"], &[&config.stamp]),
                }
                xml.element("m:ItemIds", &[], |xml| ids.iter().for_each(|id| xml.empty("t:ItemId", &[("Id", id)])));
            });
        };
        let read = |response: Node<'_, '_>| {
            let messages = messages(response)?;
            if messages.len() != ids.len() {
                return Err(SoapError::Missing("response message for every item"));
            }
            let read = |message: Node<'_, '_>| match accepted(message) {
                Err(refusal) => Ok(Err(refusal)),
                Ok(()) => {
                    let item = child(message, "Items").and_then(|items| items.first_element_child());
                    Ok(Ok(CalendarItem::read(item.ok_or(SoapError::Missing("item"))?)))
                }
            };
            messages.into_iter().map(read).collect()
        };
        self.call(act, write, read).await
    }

    /// FindItem in the calendar.
    pub async fn find_items(&self, act: Act<'_>, search: Search<'_>) -> Result<FoundPage, Error> {
        let stamp = &self.config().stamp;
        let write = |xml: &mut Xml| {
            xml.element("m:FindItem", &[("Traversal", "Shallow")], |xml| {
                let times = [
                    "calendar:UID",
                    "calendar:Start",
                    "calendar:End",
                    "calendar:IsAllDayEvent",
                    "calendar:CalendarItemType",
                ];
                match search {
                    Search::Between { .. } => write_shape(xml, false, &times, &[]),
                    _ => write_shape(xml, false, &["calendar:UID"], &[stamp]),
                }
                write_search(xml, &search);
                xml.element("m:ParentFolderIds", &[], |xml| write_calendar(xml, act.mailbox));
            });
        };
        let read = |response: Node<'_, '_>| {
            let root = child(one_message(response)?, "RootFolder").ok_or(SoapError::Missing("RootFolder"))?;
            let items = ids_of(child(root, "Items")).filter_map(CalendarItem::read).collect();
            let next = root.attribute("IndexedPagingOffset").and_then(|text| text.parse().ok());
            let is_last = root.attribute("IncludesLastItemInRange") != Some("false");
            Ok(FoundPage { items, next: if is_last { None } else { next }, cut: !is_last })
        };
        self.call(act, write, read).await
    }

    /// SyncFolderItems on the calendar.
    pub async fn sync(&self, act: Act<'_>, state: Option<&str>) -> Result<Synced, Error> {
        let page = self.config().page.to_string();
        let write = |xml: &mut Xml| {
            xml.element("m:SyncFolderItems", &[], |xml| {
                xml.element("m:ItemShape", &[], |xml| xml.text("t:BaseShape", &[], "IdOnly"));
                xml.element("m:SyncFolderId", &[], |xml| write_calendar(xml, act.mailbox));
                if let Some(state) = state {
                    xml.text("m:SyncState", &[], state);
                }
                xml.text("m:MaxChangesReturned", &[], &page);
            });
        };
        self.call(act, write, read_sync).await
    }

    /// CreateItem in the calendar.
    pub async fn create_item(&self, act: Act<'_>, properties: &[Property], mail: Mail) -> Result<ItemId, Error> {
        let send = match mail {
            Mail::Silent => "SendToNone",
            Mail::Changed | Mail::All => "SendToAllAndSaveCopy",
        };
        let write = |xml: &mut Xml| {
            xml.element("m:CreateItem", &[("SendMeetingInvitations", send)], |xml| {
                xml.element("m:SavedItemFolderId", &[], |xml| write_calendar(xml, act.mailbox));
                xml.element("m:Items", &[], |xml| wire::write_item(xml, properties));
            });
        };
        self.call(act, write, read_written).await
    }

    /// UpdateItem, if the item still has that change key.
    pub async fn update_item(
        &self,
        act: Act<'_>,
        item: &ItemId,
        properties: &[Property],
        mail: Mail,
    ) -> Result<ItemId, Error> {
        let send = match mail {
            Mail::Silent => "SendToNone",
            Mail::Changed => "SendToChangedAndSaveCopy",
            Mail::All => "SendToAllAndSaveCopy",
        };
        let attributes = [("ConflictResolution", "NeverOverwrite"), ("SendMeetingInvitationsOrCancellations", send)];
        let write = |xml: &mut Xml| {
            xml.element("m:UpdateItem", &attributes, |xml| {
                xml.element("m:ItemChanges", &[], |xml| {
                    xml.element("t:ItemChange", &[], |xml| {
                        xml.empty("t:ItemId", &[("Id", &item.id), ("ChangeKey", &item.change_key)]);
                        wire::write_updates(xml, properties);
                    });
                });
            });
        };
        self.call(act, write, read_written).await
    }

    /// DeleteItem to the mailbox's own Deleted Items, where its owner can fetch it back.
    pub async fn delete_item(&self, act: Act<'_>, item: &ItemId, mail: Mail) -> Result<(), Error> {
        let send = match mail {
            Mail::Silent => "SendToNone",
            Mail::Changed | Mail::All => "SendToAllAndSaveCopy",
        };
        let attributes = [("DeleteType", "MoveToDeletedItems"), ("SendMeetingCancellations", send)];
        let write = |xml: &mut Xml| {
            xml.element("m:DeleteItem", &attributes, |xml| {
                xml.element("m:ItemIds", &[], |xml| {
                    xml.empty("t:ItemId", &[("Id", &item.id), ("ChangeKey", &item.change_key)]);
                });
            });
        };
        self.call(act, write, |response| one_message(response).map(|_| ())).await
    }

    /// CreateItem of an answer to the invitation behind a copy. `SaveOnly` answers without a mail to the organizer.
    pub async fn answer_meeting(&self, act: Act<'_>, item: &ItemId, answer: Answer, mail: Mail) -> Result<(), Error> {
        let send = match mail {
            Mail::Silent => "SaveOnly",
            Mail::Changed | Mail::All => "SendAndSaveCopy",
        };
        let element = match answer {
            Answer::Accept => "t:AcceptItem",
            Answer::Tentative => "t:TentativelyAcceptItem",
            Answer::Decline => "t:DeclineItem",
        };
        let write = |xml: &mut Xml| {
            xml.element("m:CreateItem", &[("MessageDisposition", send)], |xml| {
                xml.element("m:Items", &[], |xml| {
                    xml.element(element, &[], |xml| {
                        xml.empty("t:ReferenceItemId", &[("Id", &item.id), ("ChangeKey", &item.change_key)]);
                    });
                });
            });
        };
        self.call(act, write, |response| one_message(response).map(|_| ())).await
    }

    /// GetFolder for the calendar and, if given, one more folder: their ids as the server writes them now.
    pub async fn folder_ids(
        &self,
        act: Act<'_>,
        other: Option<&str>,
    ) -> Result<(String, Option<Result<String, Refusal>>), Error> {
        let write = |xml: &mut Xml| {
            xml.element("m:GetFolder", &[], |xml| {
                xml.element("m:FolderShape", &[], |xml| xml.text("t:BaseShape", &[], "IdOnly"));
                xml.element("m:FolderIds", &[], |xml| {
                    write_calendar(xml, act.mailbox);
                    if let Some(id) = other {
                        xml.empty("t:FolderId", &[("Id", id)]);
                    }
                });
            });
        };
        let read = |response: Node<'_, '_>| {
            let mut messages = messages(response)?.into_iter();
            let mut next = || messages.next().ok_or(SoapError::Missing("response message for every folder"));
            let calendar = next()?;
            accepted(calendar)?;
            let calendar = folder_id(calendar)?;
            let other = match other {
                None => None,
                Some(_) => {
                    let message = next()?;
                    Some(match accepted(message) {
                        Ok(()) => Ok(folder_id(message)?),
                        Err(refusal) => Err(refusal),
                    })
                }
            };
            Ok((calendar, other))
        };
        self.call(act, write, read).await
    }
}

impl Client {
    /// GetFolder: a named property of the calendar.
    pub async fn calendar_property(&self, act: Act<'_>, property: &NamedProperty) -> Result<Option<String>, Error> {
        let write = |xml: &mut Xml| {
            xml.element("m:GetFolder", &[], |xml| {
                xml.element("m:FolderShape", &[], |xml| {
                    xml.text("t:BaseShape", &[], "IdOnly");
                    xml.element("t:AdditionalProperties", &[], |xml| write_extended_uri(xml, property));
                });
                xml.element("m:FolderIds", &[], |xml| write_calendar(xml, act.mailbox));
            });
        };
        // No other property was asked for.
        let read = |response: Node<'_, '_>| {
            let folder = ids_of(child(one_message(response)?, "Folders")).next();
            let folder = folder.ok_or(SoapError::Missing("folder"))?;
            Ok(child(folder, "ExtendedProperty").and_then(|property| child_text(property, "Value")))
        };
        self.call(act, write, read).await
    }

    /// UpdateFolder: sets a named property of the calendar.
    pub async fn set_calendar_property(
        &self,
        act: Act<'_>,
        property: &NamedProperty,
        value: &str,
    ) -> Result<(), Error> {
        let write = |xml: &mut Xml| {
            xml.element("m:UpdateFolder", &[], |xml| {
                xml.element("m:FolderChanges", &[], |xml| {
                    xml.element("t:FolderChange", &[], |xml| {
                        write_calendar(xml, act.mailbox);
                        xml.element("t:Updates", &[], |xml| {
                            xml.element("t:SetFolderField", &[], |xml| {
                                write_extended_uri(xml, property);
                                xml.element("t:CalendarFolder", &[], |xml| {
                                    xml.element("t:ExtendedProperty", &[], |xml| {
                                        write_extended_uri(xml, property);
                                        xml.text("t:Value", &[], value);
                                    });
                                });
                            });
                        });
                    });
                });
            });
        };
        self.call(act, write, |response| one_message(response).map(|_| ())).await
    }
}

fn folder_id(message: Node<'_, '_>) -> Result<String, SoapError> {
    let folder = ids_of(child(message, "Folders")).next();
    let id = folder.and_then(|folder| child(folder, "FolderId")).and_then(|id| id.attribute("Id"));
    id.map(str::to_owned).ok_or(SoapError::Missing("FolderId"))
}

/// View and restriction of a FindItem, in the schema's order.
fn write_search(xml: &mut Xml, search: &Search<'_>) {
    let page = |xml: &mut Xml, offset: u32, count: u32| {
        let (count, offset) = (count.to_string(), offset.to_string());
        let attributes = [("MaxEntriesReturned", count.as_str()), ("Offset", &offset), ("BasePoint", "Beginning")];
        xml.empty("m:IndexedPageItemView", &attributes);
    };
    let equal = |xml: &mut Xml, path: &dyn Fn(&mut Xml), value: &str| {
        page(xml, 0, FIND_PAGE);
        xml.element("m:Restriction", &[], |xml| {
            xml.element("t:IsEqualTo", &[], |xml| {
                path(xml);
                xml.element("t:FieldURIOrConstant", &[], |xml| xml.empty("t:Constant", &[("Value", value)]));
            });
        });
    };
    match search {
        Search::All { offset, count } => page(xml, *offset, *count),
        Search::Extended { property, value } => equal(xml, &|xml| write_extended_uri(xml, property), value),
        Search::Uid(uid) => equal(xml, &|xml| xml.empty("t:FieldURI", &[("FieldURI", "calendar:UID")]), uid),
        Search::GlobalObjectId(id) => {
            // MS-OXCICAL: PidLidCleanGlobalObjectId is property 0x23 of the Meeting set.
            let path = [("DistinguishedPropertySetId", "Meeting"), ("PropertyId", "35"), ("PropertyType", "Binary")];
            equal(xml, &|xml| xml.empty("t:ExtendedFieldURI", &path), id);
        }
        Search::Between { start, end } => {
            let count = VIEW_MAX.to_string();
            xml.empty("m:CalendarView", &[("MaxEntriesReturned", &count), ("StartDate", start), ("EndDate", end)]);
        }
    }
}

fn read_sync(response: Node<'_, '_>) -> Result<Synced, SoapError> {
    let message = one_message(response)?;
    let state = child_text(message, "SyncState").filter(|state| !state.is_empty());
    let last = child_text(message, "IncludesLastItemInRange");
    let mut synced = Synced {
        state: state.ok_or(SoapError::Missing("SyncState"))?,
        more: last.is_some_and(|last| last.trim() == "false"),
        ..Synced::default()
    };
    for change in ids_of(child(message, "Changes")) {
        match change.tag_name().name() {
            "Create" | "Update" => {
                // Messages and the like that lie in a calendar are no appointments.
                let item = change.first_element_child().filter(|item| item.tag_name().name() == "CalendarItem");
                synced.present.extend(item.and_then(ItemId::of));
            }
            "Delete" => synced.deleted.extend(ItemId::of(change).map(|item| item.id)),
            // ReadFlagChange and what later servers add say nothing about an appointment.
            _ => {}
        }
    }
    Ok(synced)
}

/// The id and new change key in the answer to a write.
fn read_written(response: Node<'_, '_>) -> Result<ItemId, SoapError> {
    let message = one_message(response)?;
    let item = ids_of(child(message, "Items")).next();
    item.and_then(ItemId::of).ok_or(SoapError::Missing("ItemId of the written item"))
}
