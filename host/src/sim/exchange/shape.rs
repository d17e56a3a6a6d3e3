//! ItemShape: which fields of an item are answered, and how bodies look.
//!
//! Promises: elements come in the order of the schema. Must not know: operations.

use super::error::{ExchangeError, schema_violation};
use super::item::{BodyShape, View};
use super::property::PropertyName;
use super::schema::{self, Field};
use super::store::World;
use super::xml::{Element, Read, Xml};

/// Fields that BaseShape AllProperties leaves out: they are shown when named.
const NAMED_ONLY: &[&str] =
    &["MimeContent", "UniqueBody", "NormalizedBody", "TextBody", "Preview", "IntendedFreeBusyStatus"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    IdOnly,
    Default,
    AllProperties,
}

/// What is shown of an item.
#[derive(Clone, Debug)]
pub struct Shape {
    base: Base,
    body: BodyShape,
    named: Vec<&'static Field>,
    properties: Vec<PropertyName>,
}

impl Shape {
    pub fn read(node: Element<'_>) -> Result<Self, ExchangeError> {
        let base = match node.need("BaseShape")?.content().trim() {
            "IdOnly" => Base::IdOnly,
            "Default" => Base::Default,
            "AllProperties" => Base::AllProperties,
            other => return Err(schema_violation(format!("{other:?} is not a BaseShape"))),
        };
        let body = match node.kid_text("BodyType").as_deref() {
            None | Some("Best") => BodyShape::Best,
            Some("HTML") => BodyShape::Html,
            Some("Text") => BodyShape::Text,
            Some(other) => return Err(schema_violation(format!("{other:?} is not a BodyType"))),
        };
        let mut shape = Self { base, body, named: Vec::new(), properties: Vec::new() };
        let wants_mime = node.kid_text("IncludeMimeContent").is_some_and(|text| matches!(text.as_str(), "true" | "1"));
        shape.named.extend(schema::by_uri("item:MimeContent").filter(|_| wants_mime));
        for path in node.kid("AdditionalProperties").iter().flat_map(|list| list.kids().collect::<Vec<_>>()) {
            match path.local() {
                "FieldURI" => {
                    let uri = path.need_attribute("FieldURI")?;
                    match schema::by_uri(uri) {
                        Some(field) => shape.named.push(field),
                        None if schema::is_of_other_items(uri) => {}
                        None => return Err(schema_violation(format!("{uri:?} is not a field"))),
                    }
                }
                "ExtendedFieldURI" => shape.properties.push(PropertyName::read(path)?),
                "IndexedFieldURI" => {}
                other => return Err(schema_violation(format!("{other} is not a path"))),
            }
        }
        Ok(shape)
    }

    /// The same for FindItem, which shows no bodies and recipients and cuts long texts.
    pub fn for_finding(mut self) -> Self {
        self.body = BodyShape::Found;
        self
    }

    pub fn write(&self, world: &World, view: View<'_>, xml: &mut Xml) {
        let folder_id = world.folder_id(view.item.folder);
        xml.open(view.item.kind.element(), |xml| {
            for field in schema::fields(view.item.kind) {
                if field.name == "ExtendedProperty" {
                    for name in &self.properties {
                        if let Some(value) = view.property(name) {
                            name.write(&value, xml);
                        }
                    }
                } else if self.shows(field)
                    && let Some(value) = view.get(field, folder_id)
                {
                    value.write(field.name, self.body, xml);
                }
            }
        });
    }

    fn shows(&self, field: &'static Field) -> bool {
        field.name == "ItemId"
            || self.named.contains(&field)
            || match self.base {
                Base::IdOnly => false,
                Base::Default => field.by_default,
                Base::AllProperties => !NAMED_ONLY.contains(&field.name),
            }
    }
}
