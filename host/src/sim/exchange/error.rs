//! What an Exchange server refuses, in its own codes. Both faces speak of them: EWS as response codes, Graph as `code`.
//!
//! Must not know: how either face writes it.

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeError {
    pub code: String,
    pub text: String,
    pub back_off_ms: Option<u64>,
}

impl ExchangeError {
    pub fn new(code: &str, text: impl Into<String>) -> Self {
        Self { code: code.to_owned(), text: text.into(), back_off_ms: None }
    }
}

/// The request breaks the schema: always a failure of the whole request, whichever item it is in.
pub fn schema_violation(text: impl Into<String>) -> ExchangeError {
    ExchangeError::new("ErrorSchemaValidation", format!("The request failed schema validation: {}", text.into()))
}

pub fn not_found() -> ExchangeError {
    ExchangeError::new("ErrorItemNotFound", "The specified object was not found in the store.")
}
