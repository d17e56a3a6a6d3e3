//! XML in and out: reading by local name, writing with the prefixes `s`, `m`, `t`, and the SOAP frame around answers.
//!
//! Promises: what is written is well-formed whatever the text holds. Must not know: what operations mean.

use std::fmt::Display;

use quick_xml::Writer;
use quick_xml::escape::escape;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use roxmltree::{Document, Node, ParsingOptions};

use super::error::{ExchangeError, schema_violation};

/// Elements, attributes and texts of one request: some hundred items of a hundred fields each, and room.
const NODES_MAX: u32 = 500_000;
const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const MESSAGES: &str = "http://schemas.microsoft.com/exchange/services/2006/messages";
pub const TYPES: &str = "http://schemas.microsoft.com/exchange/services/2006/types";
const ERRORS: &str = "http://schemas.microsoft.com/exchange/services/2006/errors";

/// A schema violation fails the whole request; any other error only its item, and is handed back.
pub fn reject_schema<T>(outcome: Result<T, ExchangeError>) -> Result<Result<T, ExchangeError>, ExchangeError> {
    match outcome {
        Err(error) if error.code == "ErrorSchemaValidation" => Err(error),
        other => Ok(other),
    }
}

/// Reads a request. Document type definitions are refused.
pub fn read(text: &str) -> Result<Document<'_>, ExchangeError> {
    Document::parse_with_options(text, ParsingOptions { nodes_limit: NODES_MAX, ..ParsingOptions::default() })
        .map_err(|error| schema_violation(error.to_string()))
}

/// An element of a request.
pub type Element<'a> = Node<'a, 'a>;

/// Reading by local name: clients choose their own prefixes.
pub trait Read<'a>: Sized {
    fn local(&self) -> &'a str;
    fn kids(&self) -> impl Iterator<Item = Element<'a>>;
    fn kid(&self, name: &str) -> Option<Element<'a>>;
    /// All text directly inside.
    fn content(&self) -> String;
    /// The trimmed text of a child.
    fn kid_text(&self, name: &str) -> Option<String> {
        self.kid(name).map(|kid| kid.content().trim().to_owned())
    }
    fn need(&self, name: &str) -> Result<Element<'a>, ExchangeError> {
        self.kid(name).ok_or_else(|| schema_violation(format!("element {} lacks {name}", self.local())))
    }
    fn need_attribute(&self, name: &str) -> Result<&'a str, ExchangeError>;
}

impl<'a> Read<'a> for Element<'a> {
    fn local(&self) -> &'a str {
        self.tag_name().name()
    }

    fn kids(&self) -> impl Iterator<Item = Element<'a>> {
        self.children().filter(Node::is_element)
    }

    fn kid(&self, name: &str) -> Option<Element<'a>> {
        self.kids().find(|kid| kid.tag_name().name() == name)
    }

    fn content(&self) -> String {
        self.children().filter(Node::is_text).filter_map(|text| text.text()).collect()
    }

    fn need_attribute(&self, name: &str) -> Result<&'a str, ExchangeError> {
        self.attribute(name)
            .ok_or_else(|| schema_violation(format!("element {} lacks the attribute {name}", self.local())))
    }
}

/// Reads a boolean in any of its four forms.
pub fn boolean(text: &str) -> Result<bool, ExchangeError> {
    match text.trim() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(schema_violation(format!("{other:?} is not a boolean"))),
    }
}

/// Reads a whole number.
pub fn integer(text: &str) -> Result<i64, ExchangeError> {
    text.trim().parse().map_err(|_| schema_violation(format!("{text:?} is not a whole number")))
}

/// XML being written.
pub struct Xml(Writer<Vec<u8>>);

impl Xml {
    pub fn new() -> Self {
        Self(Writer::new(Vec::new()))
    }

    /// An element with children.
    pub fn element(&mut self, name: &str, attributes: &[(&str, &str)], inner: impl FnOnce(&mut Self)) {
        self.event(Event::Start(start(name, attributes)));
        inner(self);
        self.event(Event::End(BytesEnd::new(name)));
    }

    /// An element without attributes, with children.
    pub fn open(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        self.element(name, &[], inner);
    }

    pub fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.event(Event::Empty(start(name, attributes)));
    }

    /// An element with text. A carriage return is written as a reference, as it would be read as a line feed otherwise.
    pub fn text(&mut self, name: &str, value: impl Display) {
        self.text_with(name, &[], value);
    }

    pub fn text_with(&mut self, name: &str, attributes: &[(&str, &str)], value: impl Display) {
        let value = value.to_string();
        let escaped = escape(value.as_str()).replace('\r', "&#xD;");
        self.element(name, attributes, |xml| xml.event(Event::Text(BytesText::from_escaped(escaped))));
    }

    /// Takes over what another writer wrote.
    pub fn raw(&mut self, other: Xml) {
        self.0.get_mut().extend_from_slice(&other.0.into_inner());
    }

    pub fn into_string(self) -> String {
        String::from_utf8_lossy(&self.0.into_inner()).into_owned()
    }

    fn event(&mut self, event: Event<'_>) {
        // Writing to memory does not fail.
        let _ = self.0.write_event(event);
    }
}

/// A complete answer around a body.
pub fn envelope(body: impl FnOnce(&mut Xml)) -> String {
    let mut xml = Xml::new();
    xml.element("s:Envelope", &[("xmlns:s", SOAP), ("xmlns:m", MESSAGES), ("xmlns:t", TYPES)], |xml| {
        xml.open("s:Header", |xml| {
            let version = [
                ("MajorVersion", "15"),
                ("MinorVersion", "2"),
                ("MajorBuildNumber", "1544"),
                ("MinorBuildNumber", "4"),
                ("Version", "V2017_07_11"),
            ];
            xml.empty("t:ServerVersionInfo", &version);
        });
        xml.open("s:Body", body);
    });
    format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>{}", xml.into_string())
}

/// A SOAP fault.
pub fn fault(error: &ExchangeError) -> String {
    envelope(|xml| {
        xml.open("s:Fault", |xml| {
            xml.text_with("faultcode", &[("xmlns:a", TYPES)], format_args!("a:{}", error.code));
            xml.text_with("faultstring", &[("xml:lang", "en-US")], &error.text);
            xml.open("detail", |xml| {
                xml.text_with("e:ResponseCode", &[("xmlns:e", ERRORS)], &error.code);
                xml.text_with("e:Message", &[("xmlns:e", ERRORS)], &error.text);
                message_xml(xml, error);
            });
        });
    })
}

/// The response messages of one answer, in request order.
pub struct Messages {
    message: String,
    xml: Xml,
}

impl Messages {
    pub fn new(operation: &str) -> Self {
        Self { message: format!("m:{operation}ResponseMessage"), xml: Xml::new() }
    }

    /// One message: the payload, or why there is none.
    pub fn add<T>(&mut self, outcome: Result<T, ExchangeError>, payload: impl FnOnce(&mut Xml, T)) {
        let Self { message, xml } = self;
        match outcome {
            Ok(value) => xml.element(message, &[("ResponseClass", "Success")], |xml| {
                xml.text("m:ResponseCode", "NoError");
                payload(xml, value);
            }),
            Err(error) => xml.element(message, &[("ResponseClass", "Error")], |xml| error_payload(xml, &error)),
        }
    }

    /// A message of class `Warning` with a payload.
    pub fn warn(&mut self, warning: &ExchangeError, payload: impl FnOnce(&mut Xml)) {
        let Self { message, xml } = self;
        xml.element(message, &[("ResponseClass", "Warning")], |xml| {
            error_payload(xml, warning);
            payload(xml);
        });
    }

    pub fn write(self, operation: &str, xml: &mut Xml) {
        xml.open(&format!("m:{operation}Response"), |xml| xml.open("m:ResponseMessages", |xml| xml.raw(self.xml)));
    }
}

/// What an error message holds besides its class.
pub fn error_payload(xml: &mut Xml, error: &ExchangeError) {
    xml.text("m:MessageText", &error.text);
    xml.text("m:ResponseCode", &error.code);
    xml.text("m:DescriptiveLinkKey", 0);
    message_xml(xml, error);
}

fn message_xml(xml: &mut Xml, error: &ExchangeError) {
    if let Some(back_off) = error.back_off_ms {
        xml.open("t:MessageXml", |xml| xml.text_with("t:Value", &[("Name", "BackOffMilliseconds")], back_off));
    }
}

fn start<'a>(name: &'a str, attributes: &[(&'a str, &'a str)]) -> BytesStart<'a> {
    let mut start = BytesStart::new(name);
    for attribute in attributes {
        start.push_attribute(*attribute);
    }
    start
}
