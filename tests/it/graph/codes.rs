//! Every status and code a calendar sync can meet, and what the queue is to do about it.

use std::collections::BTreeSet;
use std::time::Duration;

use daybridge::connector::Problem;
use daybridge::connector::graph::codes::{CODES, hint, problem};
use daybridge::connector::http::StatusCode;

/// Code, stable name of the problem, class.
const EXPECTED: &[(&str, &str, &str)] = &[
    ("AccessDenied", "no-right", "park"),
    ("ApplicationThrottled", "throttled", "retry"),
    ("AuthenticationError", "sign-in-refused", "auth"),
    ("Authorization_RequestDenied", "no-right", "park"),
    ("BadRequest", "data-refused", "park"),
    ("ErrorAccessDenied", "no-right", "park"),
    ("ErrorCalendarDurationIsTooLong", "data-refused", "park"),
    ("ErrorCalendarEndDateIsEarlierThanStartDate", "data-refused", "park"),
    ("ErrorCalendarIsNotOrganizer", "data-refused", "park"),
    ("ErrorCalendarOccurrenceIsDeletedFromRecurrence", "not-found", "park"),
    ("ErrorCalendarViewRangeTooBig", "data-refused", "park"),
    ("ErrorChangeKeyRequired", "changed-meanwhile", "conflict"),
    ("ErrorCreateItemAccessDenied", "no-right", "park"),
    ("ErrorDuplicateTransactionId", "changed-meanwhile", "conflict"),
    ("ErrorExceededConnectionCount", "throttled", "retry"),
    ("ErrorFolderNotFound", "mailbox-missing", "park"),
    ("ErrorInsufficientPermissionsInAccessToken", "no-right", "park"),
    ("ErrorInternalServerError", "throttled", "retry"),
    ("ErrorInternalServerTransientError", "throttled", "retry"),
    ("ErrorInvalidArgument", "data-refused", "park"),
    ("ErrorInvalidIdMalformed", "data-refused", "park"),
    ("ErrorInvalidOperation", "data-refused", "park"),
    ("ErrorInvalidProperty", "data-refused", "park"),
    ("ErrorInvalidRecipients", "data-refused", "park"),
    ("ErrorInvalidRequest", "data-refused", "park"),
    ("ErrorInvalidSyncStateData", "feed-restarted", "park"),
    ("ErrorInvalidUser", "mailbox-missing", "park"),
    ("ErrorIrresolvableConflict", "changed-meanwhile", "conflict"),
    ("ErrorItemNotFound", "not-found", "park"),
    ("ErrorMailboxMoveInProgress", "throttled", "retry"),
    ("ErrorMailboxStoreUnavailable", "server-unreachable", "down"),
    ("ErrorMessageSizeExceeded", "data-refused", "park"),
    ("ErrorNonExistentMailbox", "mailbox-missing", "park"),
    ("ErrorOccurrenceCrossingBoundary", "data-refused", "park"),
    ("ErrorPropertyValidationFailure", "data-refused", "park"),
    ("ErrorQuotaExceeded", "mailbox-full", "park"),
    ("ErrorServerBusy", "throttled", "retry"),
    ("ErrorStaleObject", "changed-meanwhile", "conflict"),
    ("ErrorTimeoutExpired", "throttled", "retry"),
    ("ExtensionError", "data-refused", "park"),
    ("Forbidden", "no-right", "park"),
    ("GatewayTimeout", "server-unreachable", "down"),
    ("InvalidAuthenticationToken", "sign-in-refused", "auth"),
    ("MailboxConcurrency", "throttled", "retry"),
    ("MailboxNotEnabledForRESTAPI", "mailbox-missing", "park"),
    ("MailboxNotSupportedForRESTAPI", "mailbox-missing", "park"),
    ("NotImplemented", "not-supported", "park"),
    ("PreconditionFailed", "changed-meanwhile", "conflict"),
    ("RequestBodyRead", "data-refused", "park"),
    ("RequestBroker--ParseUri", "data-refused", "park"),
    ("Request_ResourceNotFound", "mailbox-missing", "park"),
    ("ResourceNotFound", "mailbox-missing", "park"),
    ("ServiceUnavailable", "server-unreachable", "down"),
    ("TokenNotFound", "sign-in-refused", "auth"),
    ("TooManyRequests", "throttled", "retry"),
    ("Unauthorized", "sign-in-refused", "auth"),
    ("UnknownError", "server-unreachable", "down"),
    ("ValidationError", "data-refused", "park"),
    ("activityLimitReached", "throttled", "retry"),
    ("generalException", "server-unreachable", "down"),
    ("invalidRequest", "data-refused", "park"),
    ("itemNotFound", "not-found", "park"),
    ("notSupported", "not-supported", "park"),
    ("resourceModified", "changed-meanwhile", "conflict"),
    ("resyncRequired", "feed-restarted", "park"),
    ("serviceNotAvailable", "server-unreachable", "down"),
    ("syncStateInvalid", "feed-restarted", "park"),
    ("syncStateNotFound", "feed-restarted", "park"),
];

/// Statuses without a code that is known.
const STATUSES: &[(u16, &str, &str)] = &[
    (400, "data-refused", "park"),
    (401, "sign-in-refused", "auth"),
    (403, "no-right", "park"),
    (404, "answer-not-understood", "retry"),
    (405, "data-refused", "park"),
    (408, "server-unreachable", "down"),
    (409, "changed-meanwhile", "conflict"),
    (410, "feed-restarted", "park"),
    (412, "changed-meanwhile", "conflict"),
    (413, "data-refused", "park"),
    (415, "data-refused", "park"),
    (422, "data-refused", "park"),
    (424, "throttled", "retry"),
    (429, "throttled", "retry"),
    (500, "server-unreachable", "down"),
    (501, "not-supported", "park"),
    (502, "server-unreachable", "down"),
    (503, "server-unreachable", "down"),
    (504, "server-unreachable", "down"),
    (507, "mailbox-full", "park"),
    (509, "server-unreachable", "down"),
];

fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap()
}

#[test]
fn every_code_has_its_problem_class_and_hint() {
    for (code, name, class) in EXPECTED {
        let problem = problem(status(400), code, None);
        assert_eq!((problem.code(), problem.class().name()), (*name, *class), "{code}");
        let hint = hint(&problem).unwrap_or_else(|| problem.hint());
        assert!(hint.len() > 20 && !hint.contains("ApplicationImpersonation"), "{code}: {hint}");
    }
}

#[test]
fn the_table_holds_each_code_once_and_none_untested() {
    let listed: Vec<_> = CODES.iter().map(|(code, _)| *code).collect();
    let unique: BTreeSet<_> = listed.iter().map(|code| code.to_lowercase()).collect();
    assert_eq!(unique.len(), listed.len(), "a code stands twice");
    let tested: BTreeSet<_> = EXPECTED.iter().map(|(code, ..)| *code).collect();
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), tested);
}

#[test]
fn every_status_has_its_problem_and_class() {
    for (number, name, class) in STATUSES {
        for code in ["", "ErrorOfTheFuture"] {
            let problem = problem(status(*number), code, None);
            assert_eq!((problem.code(), problem.class().name()), (*name, *class), "{number} {code}");
        }
    }
}

#[test]
fn a_service_that_says_when_to_come_again_is_busy_and_not_gone() {
    let wait = Some(Duration::from_millis(2500));
    assert_eq!(problem(status(503), "", wait), Problem::Throttled { after: wait });
    assert_eq!(problem(status(503), "ServiceUnavailable", wait), Problem::Throttled { after: wait });
    assert_eq!(problem(status(429), "", wait), Problem::Throttled { after: wait });
    assert_eq!(problem(status(500), "toomanyrequests", wait), Problem::Throttled { after: wait }, "letter case");
    assert_eq!(problem(status(404), "ErrorItemNotFound", wait), Problem::NotFound);
}
