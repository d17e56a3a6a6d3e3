//! Failures in plain words: what happened, why that may be, what to do. Put a rule of your own before this one in the chain
//! to word some of them differently.

use daybridge_rule::prelude::*;

struct Messages;

impl Rule for Messages {
    fn describe() -> Description {
        Description::new("Explains failures in plain words, with what to do")
    }

    fn explain(_: &Context, failure: &Failure) -> Option<Explanation> {
        let (_, title, text, hint) = WORDS.iter().find(|(code, ..)| *code == failure.code)?;
        let fill = |text: &str| text.replace("{where}", place(failure)).replace("{rule}", &failure.origin);
        Some(Explanation::new(fill(title), fill(text), fill(hint)))
    }
}

/// Where it happened, as people call it.
fn place(failure: &Failure) -> &str {
    match failure.origin.as_str() {
        "crm" => "the CRM",
        "exchange" => "Exchange",
        other => other,
    }
}

/// Code, what happened, probable causes, what to do.
#[rustfmt::skip]
const WORDS: &[(&str, &str, &str, &str)] = &[
    ("server-unreachable", "{where} does not answer",
     "The server is down or restarting, its address has changed, or a network, proxy or firewall between it and this host is in the way.",
     "Nothing is lost: the work waits and goes on by itself when the server answers. If it lasts, open the server's address in a browser on this machine."),
    ("throttled", "{where} asked for fewer requests",
     "Many appointments changed at once, or other programs use the same account.",
     "Nothing to do: the work goes on by itself after the time the server asked for. If it happens every day, give the sync an account of its own."),
    ("sign-in-refused", "{where} refused the sign-in",
     "The password or secret of the account has expired or was changed, the account is locked or disabled, or it may not log on in this way.",
     "Sign in by hand with the same account. Then set a password that does not expire, and correct it in the configuration: the work goes on by itself."),
    ("no-right", "The account may not do this in {where}",
     "In Exchange the account lacks the right to impersonate this mailbox; in the CRM its profile may not read or edit communications, or those of this team.",
     "In Exchange, give the account the role ApplicationImpersonation over this mailbox. In the CRM, give it a profile that may see and edit communications. Then: daybridge queue retry"),
    ("mailbox-missing", "There is no such mailbox in Exchange",
     "The mailbox does not exist, is hidden or disabled, has been moved to another server, or the CRM user's e-mail address is not its address.",
     "Look for the user in the Exchange administration: the mailbox must be enabled and not hidden. Compare its address with the CRM user's. Then: daybridge queue retry"),
    ("mailbox-full", "The mailbox is full",
     "Exchange takes no more items into a mailbox beyond its quota.",
     "Have its owner empty it, or raise the quota. Then: daybridge queue retry"),
    ("changed-meanwhile", "The appointment was changed at the same moment",
     "Somebody saved it in {where} while it was being written.",
     "Nothing to do: both sides are read again."),
    ("not-found", "The appointment is no longer in {where}",
     "It was deleted or moved while it was being synchronized.",
     "Nothing to do: the next pass settles it."),
    ("feed-restarted", "{where} no longer knows where the sync had got to",
     "The server was restored or moved, or the sync stood still for a long time.",
     "Nothing to do: everything is looked at again, and what is known is recognised."),
    ("data-refused", "{where} refused the appointment's data",
     "A value is too long or not allowed there, a required column is blank, or a table script in the CRM stopped the save.",
     "See the server's own words below. Correct the appointment, or the rule that made the value, then: daybridge queue retry"),
    ("answer-not-understood", "{where} gave an answer that makes no sense",
     "The address leads to a proxy or a sign-in page instead of the server, or the server is of a version that answers differently.",
     "Open the address of the configuration in a browser and see who answers. It is tried again by itself."),
    ("certificate-not-trusted", "The certificate of {where} is not trusted",
     "It has expired, was made for another name, or was issued by an authority of your own that this machine does not know.",
     "Renew the certificate, or set ca_file for this server to the certificate of its issuer."),
    ("not-supported", "{where} cannot do this",
     "This kind or version of server does not offer it.",
     "Turn the feature off in the configuration, or update the server."),
    ("rule-deadline", "Rule {rule} took too long and was stopped",
     "It repeats something without end, or the appointment is unusually large.",
     "The appointment is kept. Mend the rule or raise its deadline in the configuration, then: daybridge queue retry"),
    ("rule-memory", "Rule {rule} wanted too much memory and was stopped",
     "It collects more than it needs, or the appointment is unusually large.",
     "The appointment is kept. Mend the rule or raise its memory limit, then: daybridge queue retry"),
    ("rule-table", "Rule {rule} wanted too large a table and was stopped",
     "It was built by a tool that needs more than the limit allows.",
     "The appointment is kept. Raise the rule's table limit, then: daybridge queue retry"),
    ("rule-stack", "Rule {rule} called itself too deeply and was stopped",
     "A function calls itself without end.",
     "The appointment is kept. Mend the rule and put the new file in its place, then: daybridge queue retry"),
    ("rule-output", "Rule {rule} gave too large an answer",
     "It writes more into a field than the limit allows.",
     "The appointment is kept. Mend the rule or raise its answer limit, then: daybridge queue retry"),
    ("rule-panic", "Rule {rule} stopped with a mistake of its own",
     "The message names the place in its source.",
     "The appointment is kept. Mend the rule at that place and put the new file in its place, then: daybridge queue retry"),
    ("rule-trap", "Rule {rule} did something WebAssembly forbids",
     "It has a mistake, or was damaged or built badly.",
     "The appointment is kept. Build the rule again and put the new file in its place, then: daybridge queue retry"),
    ("rule-answer", "Rule {rule} gave an answer that cannot be used",
     "It sets a field to something the field cannot hold; the message names it.",
     "The appointment is kept. Mend the rule and put the new file in its place, then: daybridge queue retry"),
    ("rule-condition", "The condition of rule {rule} cannot be evaluated",
     "It asks about something this appointment does not have, such as a column that is blank.",
     "The appointment is kept. Correct the condition in the rule's entry (ask with has(...) first), then: daybridge rules reload, daybridge queue retry"),
    ("rule-start", "Rule {rule} could not be started",
     "It fails before it looks at the appointment, or the host has no room for it.",
     "The appointment is kept. See the message; then: daybridge queue retry"),
];

export!(Messages, explain);

#[cfg(test)]
mod tests {
    use daybridge_rule::native::Test;

    use super::*;

    #[test]
    fn words_name_the_place_and_leave_other_codes_alone() {
        let test = Test::<Messages>::exchange_to_crm();
        let failure =
            |code: &str, origin: &str| Failure { code: code.into(), origin: origin.into(), ..Failure::default() };
        let explained = |code, origin| test.explain(&failure(code, origin)).map(|words| words.title);
        assert_eq!(explained("sign-in-refused", "exchange").as_deref(), Some("Exchange refused the sign-in"));
        assert_eq!(
            explained("rule-panic", "category").as_deref(),
            Some("Rule category stopped with a mistake of its own")
        );
        assert_eq!(explained("no-case-number", "our-rule"), None);
        assert!(WORDS.iter().all(|(_, title, text, hint)| ![*title, text, hint].iter().any(|words| words.is_empty())));
    }
}
