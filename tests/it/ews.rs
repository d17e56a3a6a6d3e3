//! The EWS connector: mapping, SOAP, event stream as values; the connector against answers nobody should send and against
//! the Exchange simulator.

mod answers;
mod autodiscover;
mod bells;
mod codes;
mod directory;
mod map;
mod meetings;
mod server;
mod sign_in;
mod sim;
mod soap;
mod stream;
mod times;
mod wire;

pub(crate) use times::round_trip_of_days;

use daybridge::connector::ews::config::EwsConfig;
use daybridge::connector::ews::soap as envelope;
use daybridge::connector::ews::wire::CalendarItem;
use daybridge::connector::http::Secret;

const TYPES: &str = "http://schemas.microsoft.com/exchange/services/2006/types";
const MESSAGES: &str = "http://schemas.microsoft.com/exchange/services/2006/messages";

fn config() -> EwsConfig {
    EwsConfig::new("http://127.0.0.1:1/EWS/Exchange.asmx", "sync", Secret::new("secret"))
}

/// A SOAP answer with that body.
fn answer(body: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"
        ><s:Header><t:ServerVersionInfo xmlns:t="{TYPES}" MajorVersion="15" MinorVersion="2"/></s:Header
        ><s:Body xmlns:m="{MESSAGES}" xmlns:t="{TYPES}">{body}</s:Body></s:Envelope>"#
    )
}

/// A calendar item as the connector reads it from an answer; the id and a morning in February are added.
fn item(content: &str) -> CalendarItem {
    let times = if content.contains("<t:Start>") {
        ""
    } else {
        "<t:Start>2027-02-08T09:00:00Z</t:Start><t:End>2027-02-08T10:00:00Z</t:End>"
    };
    let text = answer(&format!(
        r#"<m:X><t:CalendarItem><t:ItemId Id="AAMk1" ChangeKey="DwAAABY1"/>{content}{times}</t:CalendarItem></m:X>"#
    ));
    envelope::answer(&text, |node| Ok(CalendarItem::read(node.first_element_child().unwrap()).unwrap())).unwrap()
}
