//! A challenge of NTLM, and a certificate to bind its answer to.
#![no_main]

use daybridge::connector::http::Secret;
use daybridge::connector::http::ntlm::{Context, NtlmLogin, authenticate, negotiate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (challenge, certificate) = input;
    let login = NtlmLogin::new("EXAMPLE\\sync", Secret::new("secret"));
    let context = Context { certificate: Some(&certificate), date: None, chance: [7; 16] };
    for challenge in [challenge.clone(), [b"NTLMSSP\0\x02\0\0\0".as_slice(), &challenge].concat()] {
        if let Ok(answer) = authenticate(&login, &negotiate(), &challenge, &context) {
            assert!(answer.len() < 200_000);
        }
    }
});
