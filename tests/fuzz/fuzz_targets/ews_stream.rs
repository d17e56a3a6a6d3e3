//! The endless answer of GetStreamingEvents in pieces: whatever the borders, the same envelopes come out, and no more is held
//! than one may be long.
#![no_main]

use daybridge::connector::ews::stream::Splitter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (bytes, cuts) = input;
    let mut whole = Splitter::default();
    let expected = whole.push(&bytes).unwrap_or_default();
    let (mut splitter, mut found, mut rest) = (Splitter::default(), Vec::new(), bytes.as_slice());
    for cut in cuts {
        let (piece, after) = rest.split_at(rest.len().min(cut.into()));
        found.extend(splitter.push(piece).unwrap_or_default());
        rest = after;
    }
    found.extend(splitter.push(rest).unwrap_or_default());
    assert_eq!(found, expected);
});
