//! SOAP envelopes of EWS: writing requests, reading answers, and telling what went wrong.
//!
//! Promises: data is only ever written through an XML writer; answers are read with DTDs off and a bound on nodes; elements
//! are matched by local name, since servers differ in prefixes and even namespaces (`MessageXml`); the server's words are
//! freed of addresses before they go into an error. Must not know: calendar items, HTTP, mailboxes.

use std::fmt;
use std::time::Duration;

use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use roxmltree::{Document, Node, ParsingOptions};

use super::codes;
use crate::connector::Problem;

const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const MESSAGES: &str = "http://schemas.microsoft.com/exchange/services/2006/messages";
const TYPES: &str = "http://schemas.microsoft.com/exchange/services/2006/types";

/// A full page of items with every property has some ten thousand nodes; this bounds what a hostile answer can build.
const NODES_MAX: u32 = 2_000_000;
/// Enough for the longest explanation Exchange gives; more would only fill logs.
const SERVER_TEXT_MAX: usize = 300;
/// A longer BackOffMilliseconds is taken for a mistake: the server is asked again at least once a day.
const BACK_OFF_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Writes one XML text.
pub struct Xml {
    writer: Writer<Vec<u8>>,
}

impl Default for Xml {
    fn default() -> Self {
        Self::new()
    }
}

impl Xml {
    pub fn new() -> Self {
        Self { writer: Writer::new(Vec::new()) }
    }

    pub fn into_string(self) -> String {
        String::from_utf8(self.writer.into_inner()).unwrap_or_default()
    }

    fn write<'a>(&mut self, event: impl Into<Event<'a>>) {
        // Writing to memory cannot fail.
        let _written = self.writer.write_event(event);
    }

    fn start<'a>(name: &'a str, attributes: &[(&str, &str)]) -> BytesStart<'a> {
        let mut start = BytesStart::new(name);
        for (key, value) in attributes {
            start.push_attribute((*key, allowed(value).as_str()));
        }
        start
    }

    /// An element with content.
    pub fn element(&mut self, name: &str, attributes: &[(&str, &str)], content: impl FnOnce(&mut Xml)) {
        self.write(Event::Start(Self::start(name, attributes)));
        content(self);
        self.write(Event::End(BytesEnd::new(name)));
    }

    /// An element with a text.
    pub fn text(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.element(name, attributes, |xml| xml.write(Event::Text(BytesText::new(&allowed(text)))));
    }

    /// An element without content.
    pub fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.write(Event::Empty(Self::start(name, attributes)));
    }
}

/// The text without characters that XML 1.0 cannot carry in any form; one of them would make the whole request void.
fn allowed(text: &str) -> String {
    text.chars()
        .filter(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..))
        .collect()
}

/// What stands in the header of a request.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// RequestServerVersion.
    pub version: &'a str,
    /// Primary address of the mailbox to act in.
    pub impersonate: Option<&'a str>,
    /// Windows zone in which the server reads and aligns the times of this request.
    pub zone: Option<&'a str>,
}

/// A request: envelope, header, and the operation written by `body`.
pub fn envelope(header: Header<'_>, body: impl FnOnce(&mut Xml)) -> String {
    let mut xml = Xml::new();
    xml.element("s:Envelope", &[("xmlns:s", SOAP), ("xmlns:m", MESSAGES), ("xmlns:t", TYPES)], |xml| {
        xml.element("s:Header", &[], |xml| {
            xml.empty("t:RequestServerVersion", &[("Version", header.version)]);
            if let Some(address) = header.impersonate {
                xml.element("t:ExchangeImpersonation", &[], |xml| {
                    xml.element("t:ConnectingSID", &[], |xml| xml.text("t:PrimarySmtpAddress", &[], address));
                });
            }
            if let Some(zone) = header.zone {
                xml.element("t:TimeZoneContext", &[], |xml| xml.empty("t:TimeZoneDefinition", &[("Id", zone)]));
            }
        });
        xml.element("s:Body", &[], body);
    });
    xml.into_string()
}

/// The server's "no": a fault, or a response message of class Error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// ResponseCode, for example `ErrorItemNotFound`.
    pub code: String,
    /// The server's words, without addresses.
    pub text: String,
    /// How long the server wants to be left alone.
    pub back_off: Option<Duration>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, text) = (&self.code, &self.text);
        match (codes::meaning(code), text.is_empty()) {
            (Some(says), false) => write!(f, "{says} ({code}: {text})"),
            (Some(says), true) => write!(f, "{says} ({code})"),
            (None, false) => write!(f, "{code}: {text}"),
            (None, true) => f.write_str(code),
        }
    }
}

impl Refusal {
    pub fn problem(&self) -> Problem {
        codes::problem(&self.code, self.back_off)
    }
}

/// An answer that brings no result.
#[derive(Debug, thiserror::Error)]
pub enum SoapError {
    #[error("the answer is not well-formed XML")]
    NotXml(#[source] roxmltree::Error),
    /// XML, but not what was asked for. Says what was missed.
    #[error("the answer has no {0}")]
    Missing(&'static str),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl SoapError {
    pub fn problem(&self) -> Problem {
        match self {
            SoapError::NotXml(_) | SoapError::Missing(_) => Problem::Malformed,
            SoapError::Refused(refusal) => refusal.problem(),
        }
    }
}

/// Reads an answer: hands the operation's response element to `read`.
///
/// # Errors
/// [`SoapError`] if the text is no SOAP answer or holds a fault, or from `read`.
pub fn answer<T>(text: &str, read: impl FnOnce(Node<'_, '_>) -> Result<T, SoapError>) -> Result<T, SoapError> {
    let options = ParsingOptions { nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    // Exchange begins some answers with a byte order mark.
    let text = text.trim_start_matches('\u{FEFF}');
    let document = Document::parse_with_options(text, options).map_err(SoapError::NotXml)?;
    let root = document.root_element();
    if root.tag_name().name() != "Envelope" {
        return Err(SoapError::Missing("SOAP envelope"));
    }
    let body = child(root, "Body").ok_or(SoapError::Missing("SOAP body"))?;
    let response = body.first_element_child().ok_or(SoapError::Missing("content in its SOAP body"))?;
    if response.tag_name().name() == "Fault" {
        return Err(fault(response).into());
    }
    read(response)
}

/// The response messages of an answer, in the order of the request.
///
/// # Errors
/// [`SoapError::Missing`] if there are none.
pub fn messages<'a, 'input>(response: Node<'a, 'input>) -> Result<Vec<Node<'a, 'input>>, SoapError> {
    let list = child(response, "ResponseMessages").ok_or(SoapError::Missing("ResponseMessages"))?;
    let messages: Vec<_> = list.children().filter(Node::is_element).collect();
    if messages.is_empty() { Err(SoapError::Missing("response message")) } else { Ok(messages) }
}

/// The only response message of an answer to one thing asked, if it is a success.
///
/// # Errors
/// [`SoapError::Refused`] if it is not.
pub fn one_message<'a, 'input>(response: Node<'a, 'input>) -> Result<Node<'a, 'input>, SoapError> {
    let message = messages(response)?.into_iter().next().ok_or(SoapError::Missing("response message"))?;
    accepted(message)?;
    Ok(message)
}

/// Whether a response message is a success. A warning is one too, unless it says that the item was left undone.
///
/// # Errors
/// The [`Refusal`] it carries.
pub fn accepted(message: Node<'_, '_>) -> Result<(), Refusal> {
    let code = child_text(message, "ResponseCode").unwrap_or_default();
    let done = match message.attribute("ResponseClass") {
        Some("Success") => true,
        Some("Warning") => code != "ErrorBatchProcessingStopped",
        Some(_) => false,
        None => code == "NoError",
    };
    if done {
        return Ok(());
    }
    let text = child_text(message, "MessageText").unwrap_or_default();
    Err(refusal(code, &text, child(message, "MessageXml")))
}

/// How long the server wants to be left alone, if it says so with any part of an answer.
pub fn back_off(response: Node<'_, '_>) -> Option<Duration> {
    messages(response).ok()?.into_iter().filter_map(|message| accepted(message).err()?.back_off).max()
}

fn fault(fault: Node<'_, '_>) -> Refusal {
    let detail = child(fault, "detail").or_else(|| child(fault, "Detail"));
    let code = detail.and_then(|detail| child_text(detail, "ResponseCode")).unwrap_or_else(|| {
        // Without a detail only the qualified fault code is left: `a:ErrorServerBusy`.
        let code = child_text(fault, "faultcode").unwrap_or_default();
        code.rsplit(':').next().unwrap_or_default().trim().to_owned()
    });
    let text = detail
        .and_then(|detail| child_text(detail, "Message"))
        .or_else(|| child_text(fault, "faultstring"))
        .unwrap_or_default();
    refusal(code, &text, detail.and_then(|detail| child(detail, "MessageXml")))
}

fn refusal(code: String, text: &str, extra: Option<Node<'_, '_>>) -> Refusal {
    let value = |name: &str| {
        extra?.children().find(|node| node.attribute("Name") == Some(name)).map(|node| content(node).trim().to_owned())
    };
    // An internal error may wrap the real cause, a busy server above all.
    let code = match value("InnerErrorResponseCode") {
        Some(inner) if code == "ErrorInternalServerError" && !inner.is_empty() => inner,
        _ => code,
    };
    let back_off = value("BackOffMilliseconds")
        .and_then(|text| text.parse().ok())
        .map(|count| Duration::from_millis(count).min(BACK_OFF_MAX));
    Refusal {
        code: if code.is_empty() { "fault without a code".to_owned() } else { code },
        text: clean(text),
        back_off,
    }
}

/// The server's words without addresses, on one line, of bounded length.
pub fn clean(text: &str) -> String {
    let words = text.split_whitespace().map(|word| if word.contains('@') { "…" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(SERVER_TEXT_MAX).collect()
}

/// The first child element of that local name.
pub fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.is_element() && child.tag_name().name() == name)
}

/// The child elements of a child element: `ResponseMessages`, `Items`, `Categories`.
pub fn grandchildren<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Vec<Node<'a, 'input>> {
    child(node, name).map(|list| list.children().filter(Node::is_element).collect()).unwrap_or_default()
}

/// The text of a child element, as it stands.
pub fn child_text(node: Node<'_, '_>, name: &str) -> Option<String> {
    child(node, name).map(content)
}

/// All text in an element.
pub fn content(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect()
}
