//! What anybody posts to the public address: nothing rings without the secret, whatever else is in it.
#![no_main]

use daybridge::connector::graph::inbox::{Inbox, Reply};
use daybridge::model::Address;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (inbox, mailbox) = (Inbox::new(), Address::new("jo@example.test"));
    inbox.expect("sub-1", &mailbox);
    let _ = inbox.post(None, bytes);
    let (rung, fates) = inbox.take();
    assert!(rung.is_empty() && fates.is_empty());
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Reply::Token(token) = inbox.post(Some(text), &[]) {
        assert_eq!(token, text);
    }
    // The same post by one who knows the secret.
    let _ = inbox.post(None, text.replace("SECRET", inbox.secret()).as_bytes());
    let (rung, fates) = inbox.take();
    assert!(rung.iter().chain(fates.iter().map(|(address, _)| address)).all(|address| *address == mailbox));
});
