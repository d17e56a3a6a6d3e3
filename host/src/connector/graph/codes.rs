//! What each status and error code of Graph means for the sync: one table.
//!
//! Promises: a code is looked up here and nowhere else; a code that is not in the table means what its HTTP status means.
//! Source: Microsoft Graph error responses, Outlook's throttling limits, and codes met by those who call it.
//! Must not know: JSON, requests.

use std::time::Duration;

use crate::connector::Problem;
use crate::connector::http::StatusCode;

const UNREACHABLE: Problem = Problem::Unreachable { after: None };
/// Also what concerns one mailbox for a while. Calling the whole service unreachable for it would stop every other mailbox.
const BUSY: Problem = Problem::Throttled { after: None };

/// A create was repeated under a `transactionId` the server knows.
pub const DUPLICATE: &str = "ErrorDuplicateTransactionId";

/// Every code this connector knows; letter case is not regarded, since services differ in it.
pub const CODES: &[(&str, Problem)] = &[
    // Sign-in and rights.
    ("InvalidAuthenticationToken", Problem::SignIn),
    ("AuthenticationError", Problem::SignIn),
    ("Unauthorized", Problem::SignIn),
    ("TokenNotFound", Problem::SignIn),
    ("ErrorAccessDenied", Problem::Forbidden),
    ("AccessDenied", Problem::Forbidden),
    ("Forbidden", Problem::Forbidden),
    ("Authorization_RequestDenied", Problem::Forbidden),
    ("ErrorInsufficientPermissionsInAccessToken", Problem::Forbidden),
    ("ErrorCreateItemAccessDenied", Problem::Forbidden),
    // The mailbox.
    ("MailboxNotEnabledForRESTAPI", Problem::NoMailbox),
    ("MailboxNotSupportedForRESTAPI", Problem::NoMailbox),
    ("ErrorInvalidUser", Problem::NoMailbox),
    ("ErrorNonExistentMailbox", Problem::NoMailbox),
    ("ErrorFolderNotFound", Problem::NoMailbox),
    ("Request_ResourceNotFound", Problem::NoMailbox),
    ("ResourceNotFound", Problem::NoMailbox),
    ("ErrorQuotaExceeded", Problem::Full),
    // For a while.
    ("TooManyRequests", BUSY),
    ("ApplicationThrottled", BUSY),
    ("MailboxConcurrency", BUSY),
    ("activityLimitReached", BUSY),
    ("ErrorExceededConnectionCount", BUSY),
    ("ErrorServerBusy", BUSY),
    ("ErrorTimeoutExpired", BUSY),
    ("ErrorMailboxMoveInProgress", BUSY),
    ("ErrorInternalServerError", BUSY),
    ("ErrorInternalServerTransientError", BUSY),
    ("ErrorMailboxStoreUnavailable", UNREACHABLE),
    ("ServiceUnavailable", UNREACHABLE),
    ("serviceNotAvailable", UNREACHABLE),
    ("GatewayTimeout", UNREACHABLE),
    ("UnknownError", UNREACHABLE),
    ("generalException", UNREACHABLE),
    // The item.
    ("ErrorItemNotFound", Problem::NotFound),
    ("itemNotFound", Problem::NotFound),
    ("ErrorCalendarOccurrenceIsDeletedFromRecurrence", Problem::NotFound),
    ("ErrorIrresolvableConflict", Problem::Stale),
    ("ErrorStaleObject", Problem::Stale),
    ("ErrorChangeKeyRequired", Problem::Stale),
    ("PreconditionFailed", Problem::Stale),
    ("resourceModified", Problem::Stale),
    // Met again after it was made: reading both sides finds it.
    (DUPLICATE, Problem::Stale),
    // The feed.
    ("syncStateNotFound", Problem::CursorLost),
    ("syncStateInvalid", Problem::CursorLost),
    ("resyncRequired", Problem::CursorLost),
    ("ErrorInvalidSyncStateData", Problem::CursorLost),
    // The request or its data.
    ("ErrorOccurrenceCrossingBoundary", Problem::Refused),
    ("ErrorPropertyValidationFailure", Problem::Refused),
    ("ErrorInvalidRequest", Problem::Refused),
    ("ErrorInvalidIdMalformed", Problem::Refused),
    ("ErrorInvalidArgument", Problem::Refused),
    ("ErrorInvalidRecipients", Problem::Refused),
    ("ErrorInvalidOperation", Problem::Refused),
    ("ErrorInvalidProperty", Problem::Refused),
    ("ErrorCalendarIsNotOrganizer", Problem::Refused),
    ("ErrorCalendarEndDateIsEarlierThanStartDate", Problem::Refused),
    ("ErrorCalendarDurationIsTooLong", Problem::Refused),
    ("ErrorCalendarViewRangeTooBig", Problem::Refused),
    ("ErrorMessageSizeExceeded", Problem::Refused),
    ("RequestBodyRead", Problem::Refused),
    ("RequestBroker--ParseUri", Problem::Refused),
    ("BadRequest", Problem::Refused),
    ("invalidRequest", Problem::Refused),
    ("ValidationError", Problem::Refused),
    ("ExtensionError", Problem::Refused),
    ("NotImplemented", Problem::Unsupported),
    ("notSupported", Problem::Unsupported),
];

/// What an answer means; `after` is the wait the server asked for. Without a code that is known, its status counts.
pub fn problem(status: StatusCode, code: &str, after: Option<Duration>) -> Problem {
    let known = CODES.iter().find(|(name, _)| name.eq_ignore_ascii_case(code)).map(|(_, problem)| problem);
    match known {
        Some(Problem::Throttled { .. }) => Problem::Throttled { after },
        Some(Problem::Unreachable { .. }) => unavailable(after),
        Some(other) => other.clone(),
        None => by_status(status, after),
    }
}

fn by_status(status: StatusCode, after: Option<Duration>) -> Problem {
    match status.as_u16() {
        401 => Problem::SignIn,
        403 => Problem::Forbidden,
        // Said of an item only by a code. A bare 404 comes from a wrong address.
        404 => Problem::Malformed,
        409 | 412 => Problem::Stale,
        410 => Problem::CursorLost,
        // A part of a batch whose forerunner failed; nothing here depends on another part, so it is the server's trouble.
        424 | 429 => Problem::Throttled { after },
        501 => Problem::Unsupported,
        507 => Problem::Full,
        408 | 500..=599 => unavailable(after),
        400..=499 => Problem::Refused,
        _ => Problem::Malformed,
    }
}

/// A service that says when to come again is there: it has had enough of this mailbox (inferred: too many at once in one
/// mailbox are refused with 503 and `Retry-After`).
fn unavailable(after: Option<Duration>) -> Problem {
    match after {
        Some(_) => Problem::Throttled { after },
        None => UNREACHABLE,
    }
}

/// What to do about a problem with Graph, where that differs from other servers.
pub fn hint(problem: &Problem) -> Option<&'static str> {
    match problem {
        Problem::SignIn => Some(
            "the token was refused: check that url, authority and tenant belong to one cloud, and that the application is enabled",
        ),
        Problem::Forbidden => Some(
            "give the application Calendars.ReadWrite (application permission with an administrator's consent, or the RBAC role over this mailbox); new grants take up to two hours",
        ),
        Problem::NoMailbox => Some(
            "check that the address is a mailbox of this tenant in Exchange Online with a licence; a mailbox that is still on premises belongs to a server with kind = \"ews\"",
        ),
        Problem::Malformed => {
            Some("check url: it ends in the version, like https://graph.microsoft.com/v1.0, and leads to Graph itself")
        }
        _ => None,
    }
}
