//! An answer of an EWS server: the envelope, every reader of one, and the mapping of what was read.
#![no_main]

use daybridge::connector::ews::config::EwsConfig;
use daybridge::connector::ews::directory::read_resolutions;
use daybridge::connector::ews::doorbell::read_news;
use daybridge::connector::ews::soap::{self, accepted, messages};
use daybridge::connector::ews::{map, wire::CalendarItem};
use daybridge::connector::http::Secret;
use daybridge::model::Address;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let config = EwsConfig::new("http://127.0.0.1:1/", "sync", Secret::new("secret"));
    let mailbox = Address::new("jo@example.test");
    let read = soap::answer(text, |response| {
        for node in response.descendants() {
            if let Some(item) = CalendarItem::read(node) {
                let _ = (map::item(&item, &mailbox, &config), map::stamp(&item, &config), map::role(&item, &mailbox));
            }
        }
        for message in messages(response)? {
            let _ = accepted(message).map_err(|refusal| (refusal.problem(), refusal.to_string()));
        }
        let _ = (read_resolutions(response), read_news(response));
        Ok(())
    });
    let _ = read.map_err(|error| (error.problem(), error.to_string()));
});
