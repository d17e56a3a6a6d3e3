//! A rule that puts itself back: a component with one more function, which makes its instance what it was before its first call.
//!
//! Making an instance and taking it down again is two fifths of what a call costs that has a new one, so a rule thread keeps
//! instances (see `kept`) and puts each back after its call. The engine offers no way to do that to a component's memory from outside. So the
//! host writes the function into the component, before it is compiled: it clears the whole memory, copies every segment of data to
//! its place again and sets every variable to its first value. It is the host's code, which a rule cannot change, as no
//! program in WebAssembly can change code; and it is all there is to put back, because a component is only taken if nothing
//! else in it can change:
//!
//! - one module of it has all memory and all variables, and there is one instance of that;
//! - nothing in it runs before its first call, writes into a table, or gives up a segment;
//! - it has no resources and no tasks, of which the engine would keep an account;
//! - it uses no feature of WebAssembly beyond those named here, each of which was looked at for state.
//!
//! A memory that has grown cannot shrink: such an instance says so and is thrown away, and so is one whose call failed in any
//! way. Components that do not qualify, or whose memory is larger than is cheaply cleared, get a new instance for every call.
//!
//! Promises: what is added changes nothing for the rule, and costs no more than clearing its memory twice. Must not know: how
//! instances are called or kept.

mod outline;
mod rewrite;

use std::ops::Range;

use wasmparser::{Validator, WasmFeatures};

use outline::Outline;

/// The function that is added. A component that brings one of this name is refused, see `load::shape`.
pub const EXPORT: &str = "daybridge-renew";

/// Changes whenever another function is written, or other components are taken: compiled code is kept under it.
pub const VERSION: u32 = 2;

/// Instances within a component that is taken, of its modules and bundles of exports, and tables. The engine's pool counts on it.
pub const INSTANCES_MAX: usize = 8;

/// Bytes of a page of memory.
const PAGE: u64 = 64 << 10;

/// Pages that are cleared faster than an instance is made. Measured for a chain of five on a processor with half a MiB of
/// level-2 cache: with three pages it takes two thirds of the time of new instances, with nine half as much more than they.
const PAGES_MAX: u64 = 6;

/// Variables and segments of data of a component that is taken; a rule has about five.
const PARTS_MAX: usize = 1000;

/// What a component may use: WebAssembly 2.0, tail calls, constant expressions, components of the first generation. Anything
/// newer may hold state of which nothing is known here.
const KNOWN: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::COMPONENT_MODEL);

/// Why a component cannot be put back, in a few words for its author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("its memory has {pages} pages of 64 KiB at the start, more than {PAGES_MAX}")]
    Large { pages: u64 },
    #[error("{0}")]
    Keeps(&'static str),
    #[error("{0}")]
    Unknown(String),
}

impl From<wasmparser::BinaryReaderError> for Unfit {
    fn from(cause: wasmparser::BinaryReaderError) -> Self {
        Self::Unknown(crate::plugin::limits::clean(cause.message()))
    }
}

/// The component with the function that puts it back. It must be valid.
///
/// # Errors
/// [`Unfit`] if something in it could not be put back.
pub fn renewable(component: &[u8]) -> Result<Vec<u8>, Unfit> {
    let outline = Outline::read(component)?;
    // Which number the next function or type gets is asked of the validator, which knows everything that takes one.
    let known = Validator::new_with_features(KNOWN).validate_all(component)?;
    outline.hold_against(known.as_ref())?;
    let rewritten = rewrite::component(component, &outline, known.as_ref())?;
    Validator::new_with_features(KNOWN).validate_all(&rewritten)?;
    Ok(rewritten)
}

/// A place in a file.
fn at(range: &Range<u64>) -> Range<usize> {
    let offset = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    offset(range.start)..offset(range.end)
}

#[cfg(test)]
mod tests;
