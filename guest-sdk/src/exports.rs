//! The functions a rule's module exports, in terms of the canonical ABI.
//!
//! Promises: a function the rule does not use costs it no code; nothing is exported that gives memory back after an answer
//! was read, since the instance ends with the call. The macro that the bindings generate for it does neither, so theirs is
//! given this one in its place; what they say of the component's type is used as it is.
//! A signature that does not fit the contract does not compile, or is refused when the module becomes a component.

/// Where the generated `export_hooks!` looks for what exports an interface's functions.
#[expect(clippy::module_inception, reason = "the generated code names this path")]
pub mod exports {
    pub mod daybridge {
        pub mod rules {
            pub mod hooks {
                pub use crate::export_functions as __export_daybridge_rules_hooks_0_2_0_cabi;
            }
        }
    }
}

/// The hook a function of [`crate::Rule`] stands for.
#[doc(hidden)]
#[macro_export]
macro_rules! hook {
    (apply) => {
        $crate::Hook::Apply
    };
    (resolve) => {
        $crate::Hook::Resolve
    };
    (explain) => {
        $crate::Hook::Explain
    };
    (match_user) => {
        $crate::Hook::MatchUser
    };
}

/// Exports one function of `hooks`, or a trap in its place where `HOOKS` does not name it.
#[doc(hidden)]
#[macro_export]
macro_rules! export_function {
    ($guest:ident, $name:literal, $function:ident, $hook:expr, $inner:ident($($parameter:ident: $kind:ty),*)) => {
        #[unsafe(export_name = concat!("daybridge:rules/hooks@0.2.0#", $name))]
        unsafe extern "C" fn $function($($parameter: $kind),*) -> *mut u8 {
            const USED: bool = $crate::glue::uses(HOOKS, $hook);
            if USED {
                // SAFETY: the host calls it as the contract says.
                unsafe { $crate::bindings::exports::daybridge::rules::hooks::$inner::<$guest>($($parameter),*) }
            } else {
                $crate::glue::unused()
            }
        }
    };
}

/// Exports all functions of `hooks`. Wants a constant `HOOKS` beside it.
#[doc(hidden)]
#[macro_export]
macro_rules! export_functions {
    ($guest:ident with_types_in $($types:tt)*) => {
        #[unsafe(export_name = "daybridge:rules/hooks@0.2.0#describe")]
        unsafe extern "C" fn describe() -> *mut u8 {
            // SAFETY: the host calls it as the contract says.
            unsafe { $crate::bindings::exports::daybridge::rules::hooks::_export_describe_cabi::<$guest>() }
        }
        $crate::export_function!($guest, "apply", apply, $crate::Hook::Apply, _export_apply_cabi(
            direction: i32, key: *mut u8, key_len: usize, more: *mut u8, more_len: usize,
            source: *mut u8, source_len: usize, draft: *mut u8, draft_len: usize
        ));
        $crate::export_function!($guest, "resolve", resolve, $crate::Hook::Resolve, _export_resolve_cabi(
            direction: i32, key: *mut u8, key_len: usize, more: *mut u8, more_len: usize,
            source: *mut u8, source_len: usize, conflicts: *mut u8, conflicts_len: usize
        ));
        $crate::export_function!($guest, "explain", explain, $crate::Hook::Explain, _export_explain_cabi(
            code: *mut u8, code_len: usize, class: *mut u8, class_len: usize, origin: *mut u8, origin_len: usize,
            message: *mut u8, message_len: usize, hint: *mut u8, hint_len: usize,
            appointment: *mut u8, appointment_len: usize, attempts: i32, more: *mut u8, more_len: usize
        ));
        $crate::export_function!($guest, "match-user", match_user, $crate::Hook::MatchUser, _export_match_user_cabi(
            name: *mut u8, name_len: usize, address: *mut u8, address_len: usize,
            candidates: *mut u8, candidates_len: usize
        ));
    };
}
