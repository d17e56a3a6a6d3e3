//! What the entries of rules say, in the words of the control interface.
//!
//! Promises: pure. Must not know: who asks.

use crate::control::{FailOpen, Reason, RuleInfo, RuleOptions, SetAside, Stopped};
use crate::plugin::{self, Chain, Hook, OnError, Origin};
use crate::worker::Halted;

fn options(options: &plugin::RuleOptions) -> RuleOptions {
    RuleOptions {
        condition: options.condition.clone(),
        on_error: options.on_error.name().to_owned(),
        retry_after_s: match options.on_error {
            OnError::Retry { after } => after.map(|after| after.as_secs()),
            OnError::Park | OnError::Skip | OnError::Stop => None,
        },
        default_message: options.default_message.clone(),
        only_default_message: options.only_default_message,
        log_level: options.log_level.map(|level| level.name().to_owned()),
    }
}

pub(super) fn fail_open(chain: &Chain) -> Vec<FailOpen> {
    chain.fail_open().into_iter().map(|open| FailOpen { rule: open.rule, times: open.times }).collect()
}

pub(super) fn stopped(halted: Halted) -> Stopped {
    let keys: Vec<String> = halted.keys.keys().map(ToString::to_string).collect();
    let first = keys.first().cloned().unwrap_or_default();
    let hint = format!(
        "all appointments wait, none is lost; mend rule {} (new rules try {first} by themselves), or: daybridge queue retry {first}, or to go on without it: daybridge queue discard {first}",
        halted.rule
    );
    let reason = Reason { code: halted.code, message: halted.message, hint };
    Stopped { rule: halted.rule, keys, since: halted.since, reason }
}

pub(super) fn rule_info(rule: &plugin::RuleInfo, set_aside: &[SetAside]) -> RuleInfo {
    RuleInfo {
        name: rule.name.clone(),
        version: rule.version.clone(),
        api: rule.api.clone(),
        purpose: rule.purpose.clone(),
        enabled: rule.enabled,
        directions: rule.directions.iter().map(|direction| direction.name().to_owned()).collect(),
        hooks: rule.hooks.iter().map(|hook| hook_name(*hook).to_owned()).collect(),
        file: match rule.origin {
            Origin::BuiltIn => "built in".to_owned(),
            Origin::Folder => rule.file.clone(),
            Origin::Installed => format!("{} (installed)", rule.file),
        },
        digest: rule.digest.clone(),
        set_aside: set_aside.iter().find(|aside| aside.rule == rule.name && aside.digest == rule.digest).cloned(),
        options: options(&rule.options),
    }
}

/// The contract's name of a function.
fn hook_name(hook: Hook) -> &'static str {
    match hook {
        Hook::Apply => "apply",
        Hook::Resolve => "resolve",
        Hook::Explain => "explain",
        Hook::MatchUser => "match-user",
    }
}
