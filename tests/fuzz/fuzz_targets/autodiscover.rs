//! An answer of autodiscover, in both forms.
#![no_main]

use daybridge::connector::ews::autodiscover::{Form, candidates, domain_of, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for form in [Form::Soap, Form::Pox] {
        let _ = read(text, form);
    }
    if let Some(domain) = domain_of(text) {
        for (url, _) in candidates(&domain) {
            assert_eq!(url.scheme(), "https");
        }
    }
});
