//! What one call of a rule may use, and the record of which limit stopped it.
//!
//! Promises: memory and tables are summed over everything the instance holds, start functions included; the cause of a
//! stop is recorded when it happens and never guessed from the trap it looks like; no limit can be switched off.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// Limits of one call. Every field is checked against a range; there is no value for "none".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wall time from before there is a sandbox to the answer. A call usually takes a twentieth of a millisecond, but on a
    /// machine with seven times the work it can do some took 130 ms: the default is beyond that.
    pub deadline: Duration,
    /// Bytes of all memories together.
    pub memory: u64,
    /// Elements of all tables together.
    pub table_elements: u64,
    /// Bytes of texts and numbers in an answer.
    pub answer: u64,
    /// Bytes of log lines kept per call; the rest is counted and dropped.
    pub log: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(500),
            memory: 32 << 20,
            table_elements: 10_000,
            answer: 1 << 20,
            log: 16 << 10,
        }
    }
}

impl Limits {
    /// The most an operator can allow. Memory and tables are what the engine's pool has slots for.
    pub const MAXIMUM: Limits = Limits {
        deadline: Duration::from_secs(10),
        memory: 128 << 20,
        table_elements: 20_000,
        answer: 16 << 20,
        log: 1 << 20,
    };

    /// Less than this and no rule could start.
    pub const MINIMUM: Limits =
        Limits { deadline: Duration::from_millis(5), memory: 2 << 20, table_elements: 100, answer: 1 << 10, log: 0 };

    /// Checks each limit against its range.
    ///
    /// # Errors
    /// One readable line naming the limit and its range.
    pub fn check(&self) -> Result<(), String> {
        let (least, most) = (&Self::MINIMUM, &Self::MAXIMUM);
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let ranges = [
            ("deadline (ms)", millis(self.deadline), millis(least.deadline), millis(most.deadline)),
            ("memory (bytes)", self.memory, least.memory, most.memory),
            ("table elements", self.table_elements, least.table_elements, most.table_elements),
            ("answer (bytes)", self.answer, least.answer, most.answer),
            ("log (bytes)", self.log, least.log, most.log),
        ];
        match ranges.into_iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            Some((name, value, least, most)) => {
                Err(format!("limit {name} is {value}, but must be from {least} to {most}"))
            }
            None => Ok(()),
        }
    }
}

/// The limit that stopped a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    Deadline,
    Memory { asked: u64 },
    Table { asked: u64 },
}

/// Sums what an instance takes and remembers what it was refused.
#[derive(Debug)]
pub struct Meter {
    memory_limit: u64,
    table_limit: u64,
    memory: u64,
    tables: u64,
    /// What the instance took when it was made.
    at_first: (u64, u64),
    /// Set at most once: what stopped the call.
    pub cause: Option<Cause>,
}

impl Meter {
    pub fn new(limits: &Limits) -> Self {
        let (memory_limit, table_limit) = (limits.memory, limits.table_elements);
        Self { memory_limit, table_limit, memory: 0, tables: 0, at_first: (0, 0), cause: None }
    }

    /// The instance is made: what it has taken by now is what it has again when it was put back.
    pub fn made(&mut self) {
        self.at_first = (self.memory, self.tables);
    }

    /// For one more call of an instance that was put back.
    pub fn anew(&self, limits: &Limits) -> Self {
        let (memory, tables) = self.at_first;
        Self { memory, tables, at_first: self.at_first, ..Self::new(limits) }
    }

    /// Whether an instance that was put back could be had under these limits.
    pub fn is_within(&self, limits: &Limits) -> bool {
        self.at_first.0 <= limits.memory && self.at_first.1 <= limits.table_elements
    }

    /// Bytes of memory held now, which is also the most ever held: WebAssembly memory never shrinks.
    pub fn memory_peak(&self) -> u64 {
        self.memory
    }

    /// Records the cause and gives the error that unwinds the guest.
    pub fn stop(&mut self, cause: Cause) -> wasmtime::Error {
        self.cause.get_or_insert(cause);
        wasmtime::Error::msg("stopped by a limit")
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // It will not be had, so it does not count.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let asked = self.memory.saturating_add(desired.saturating_sub(current) as u64);
        if asked > self.memory_limit {
            return Err(self.stop(Cause::Memory { asked }));
        }
        self.memory = asked;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let asked = self.tables.saturating_add(desired.saturating_sub(current) as u64);
        if asked > self.table_limit {
            return Err(self.stop(Cause::Table { asked }));
        }
        self.tables = asked;
        Ok(true)
    }
}

/// Log lines of one call, up to a number of bytes.
#[derive(Debug, Default)]
pub struct Lines {
    left: u64,
    kept: u64,
    dropped: u64,
    lines: Vec<Line>,
}

/// A line a rule wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    pub text: String,
}

/// Counted for every line beside its text, so that empty lines are not free.
const LINE_COST: u64 = 16;

impl Lines {
    pub fn new(limits: &Limits) -> Self {
        Self { left: limits.log, kept: 0, dropped: 0, lines: Vec::new() }
    }

    pub fn push(&mut self, level: &'static str, text: &str) {
        let cost = text.len() as u64 + LINE_COST;
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                self.kept += text.len() as u64;
                self.lines.push(Line { level, text: clean(text) });
            }
            None => {
                // Once something was dropped, nothing later is shown as if it followed.
                self.left = 0;
                self.dropped += text.len() as u64;
            }
        }
    }

    /// Bytes of the lines that were kept, and of those that were not.
    pub fn bytes(&self) -> (u64, u64) {
        (self.kept, self.dropped)
    }

    /// The lines, and at the end how many bytes were dropped.
    pub fn finish(mut self) -> Vec<Line> {
        if self.dropped > 0 {
            self.lines.push(Line { level: "warn", text: format!("{} bytes dropped", self.dropped) });
        }
        self.lines
    }
}

/// The longest text of a rule that is shown to people, in bytes.
pub const TEXT_MAX: usize = 4096;

/// A rule's words, fit for a screen and a log: no control characters, none that turn the reading direction, and short.
pub fn clean(text: &str) -> String {
    let mut cleaned: String = text
        .chars()
        .filter_map(|letter| match letter {
            '\n' => Some('\n'),
            '\t' => Some(' '),
            letter if letter.is_control() => None,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => None,
            letter => Some(letter),
        })
        .collect();
    if cleaned.len() > TEXT_MAX {
        let end = (0..=TEXT_MAX).rev().find(|&end| cleaned.is_char_boundary(end)).unwrap_or(0);
        cleaned.truncate(end);
        cleaned.push('…');
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_rule_are_cleaned_and_cut() {
        assert_eq!(clean("a\u{202e}b\u{1b}[31m\tc\nd"), "ab[31m c\nd");
        let long = clean(&"ü".repeat(3000));
        assert_eq!((long.len(), long.chars().last()), (TEXT_MAX + '…'.len_utf8(), Some('…')));
    }

    #[test]
    fn memory_that_is_not_had_does_not_count_and_what_was_added_is_gone_when_it_was_put_back() {
        let mut meter = Meter::new(&Limits::default());
        assert!(meter.memory_growing(0, 3 << 16, Some(8 << 16)).unwrap());
        meter.made();
        assert!(meter.memory_growing(3 << 16, 8 << 16, Some(8 << 16)).unwrap());
        assert!(!meter.memory_growing(8 << 16, 64 << 20, Some(8 << 16)).unwrap());
        assert_eq!((meter.memory_peak(), &meter.cause), (8 << 16, &None));
        assert_eq!(meter.anew(&Limits::default()).anew(&Limits::default()).memory_peak(), 3 << 16);
    }

    #[test]
    fn limits_have_a_range() {
        assert_eq!(Limits::default().check(), Ok(()));
        let endless = Limits { deadline: Duration::from_secs(3600), ..Limits::default() };
        assert_eq!(endless.check(), Err("limit deadline (ms) is 3600000, but must be from 5 to 10000".to_owned()));
        let none = Limits { memory: u64::MAX, ..Limits::default() };
        assert!(none.check().is_err());
    }
}
