//! Cuts the endless answer of GetStreamingEvents into complete SOAP envelopes.
//!
//! Promises: works for any chunk borders, holds at most one envelope of bounded size. Must not know: XML beyond the end tag
//! of the envelope, HTTP.

/// An envelope with the events of 200 mailboxes stays far below this; an answer without end tags stops here.
pub const ENVELOPE_MAX: usize = 4 << 20;

const NAME: &[u8] = b"Envelope";

/// Gathers bytes and hands out envelopes.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
    /// Up to here no end tag begins.
    searched: usize,
}

/// More than [`ENVELOPE_MAX`] bytes came without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event message is longer than {ENVELOPE_MAX} bytes")]
pub struct TooLong;

impl Splitter {
    /// Takes the next piece of the answer and gives the envelopes that are now complete.
    ///
    /// # Errors
    /// [`TooLong`]; nothing more can be read from this answer then.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<String>, TooLong> {
        self.buffer.extend_from_slice(piece);
        let mut envelopes = Vec::new();
        while let Some(end) = self.find_end() {
            let rest = self.buffer.split_off(end);
            let envelope = std::mem::replace(&mut self.buffer, rest);
            self.searched = 0;
            envelopes.push(String::from_utf8_lossy(&envelope).trim().to_owned());
        }
        if self.buffer.len() > ENVELOPE_MAX { Err(TooLong) } else { Ok(envelopes) }
    }

    /// The position after the first end tag `</Envelope>`, with any prefix. A `<` inside text is always escaped, so the
    /// first one found is the real one.
    fn find_end(&mut self) -> Option<usize> {
        while let Some(offset) = self.buffer.get(self.searched..)?.windows(2).position(|pair| pair == b"</") {
            let start = self.searched + offset;
            let tag = self.buffer.get(start..)?;
            let Some(length) = tag.iter().position(|byte| *byte == b'>') else {
                // The tag is not complete yet: look here again when more has come.
                self.searched = start;
                return None;
            };
            let name = tag.get(2..length).unwrap_or_default().trim_ascii_end();
            let local = name.rsplit(|byte| *byte == b':').next().unwrap_or_default();
            self.searched = start + length + 1;
            if local == NAME {
                return Some(self.searched);
            }
        }
        // The last byte may be the `<` of a tag that goes on in the next piece.
        self.searched = self.buffer.len().saturating_sub(1).max(self.searched);
        None
    }
}
