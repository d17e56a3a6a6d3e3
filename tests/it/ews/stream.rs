//! Cutting an endless answer into envelopes, whatever the chunk borders.

use daybridge::connector::ews::stream::{ENVELOPE_MAX, Splitter, TooLong};

const ONE: &str =
    r#"<?xml version="1.0"?><soap11:Envelope xmlns:soap11="u"><a b="</">ü &lt;/Envelope&gt;</a></soap11:Envelope>"#;
const TWO: &str = "<Envelope><Enveloped></Enveloped></Envelope\n >";

#[test]
fn any_borders_give_the_same_envelopes() {
    let stream = format!("{ONE}\r\n{TWO}{ONE}");
    for size in 1..=stream.len() {
        let mut splitter = Splitter::default();
        let mut found = Vec::new();
        for piece in stream.as_bytes().chunks(size) {
            found.extend(splitter.push(piece).unwrap());
        }
        assert_eq!(found, [ONE, TWO, ONE], "pieces of {size}");
    }
}

#[test]
fn an_unfinished_envelope_waits() {
    let mut splitter = Splitter::default();
    let (head, tail) = ONE.split_at(ONE.len() - 1);
    assert_eq!(splitter.push(head.as_bytes()), Ok(vec![]));
    assert_eq!(splitter.push(tail.as_bytes()), Ok(vec![ONE.to_owned()]));
}

#[test]
fn an_endless_envelope_ends_the_stream() {
    let mut splitter = Splitter::default();
    let piece = vec![b'x'; 64 << 10];
    let pushed = (0..).map(|_| splitter.push(&piece)).take_while(Result::is_ok).count();
    assert_eq!(pushed, ENVELOPE_MAX / piece.len());
    assert_eq!(Splitter::default().push(&vec![b'<'; ENVELOPE_MAX + 1]), Err(TooLong));
}
