//! What each EWS response code means for the sync: one table.
//!
//! Promises: a code is looked up here and nowhere else; a code that is not in the table is a refusal that shows the code.
//! Source: ResponseCode in Microsoft's EWS reference, and the throttling article for the busy shapes.
//! Must not know: XML, HTTP.

use std::time::Duration;

use crate::connector::Problem;

const UNREACHABLE: Problem = Problem::Unreachable { after: None };
/// Also what concerns one mailbox or one item for a while: a move, a time-out. Calling the whole server unreachable for
/// it would stop every other mailbox.
const BUSY: Problem = Problem::Throttled { after: None };

/// Every code this connector knows.
pub const CODES: &[(&str, Problem)] = &[
    // Sign-in and rights.
    ("ErrorPasswordExpired", Problem::SignIn),
    ("ErrorPasswordChangeRequired", Problem::SignIn),
    ("ErrorAccessDenied", Problem::Forbidden),
    ("ErrorCreateItemAccessDenied", Problem::Forbidden),
    ("ErrorImpersonateUserDenied", Problem::Forbidden),
    ("ErrorImpersonationDenied", Problem::Forbidden),
    ("ErrorImpersonationFailed", Problem::Forbidden),
    ("ErrorSubscriptionAccessDenied", Problem::Forbidden),
    // The mailbox.
    ("ErrorNonExistentMailbox", Problem::NoMailbox),
    ("ErrorNonPrimarySmtpAddress", Problem::NoMailbox),
    ("ErrorMissingEmailAddress", Problem::NoMailbox),
    ("ErrorAccountDisabled", Problem::NoMailbox),
    ("ErrorFolderNotFound", Problem::NoMailbox),
    ("ErrorSyncFolderNotFound", Problem::NoMailbox),
    ("ErrorQuotaExceeded", Problem::Full),
    // For a while.
    ("ErrorServerBusy", BUSY),
    ("ErrorExceededConnectionCount", BUSY),
    ("ErrorExceededSubscriptionCount", BUSY),
    ("ErrorTooManyObjectsOpened", BUSY),
    ("ErrorInsufficientResources", BUSY),
    ("ErrorBatchProcessingStopped", BUSY),
    ("ErrorMailboxMoveInProgress", BUSY),
    ("ErrorTimeoutExpired", BUSY),
    ("ErrorInternalServerTransientError", BUSY),
    ("ErrorInternalServerError", BUSY),
    ("ErrorMailboxStoreUnavailable", UNREACHABLE),
    ("ErrorConnectionFailed", UNREACHABLE),
    // The item.
    ("ErrorItemNotFound", Problem::NotFound),
    ("ErrorCalendarOccurrenceIsDeletedFromRecurrence", Problem::NotFound),
    ("ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange", Problem::NotFound),
    ("ErrorIrresolvableConflict", Problem::Stale),
    ("ErrorStaleObject", Problem::Stale),
    ("ErrorChangeKeyRequiredForWriteOperations", Problem::Stale),
    ("ErrorInvalidChangeKey", Problem::Stale),
    // The feed and its doorbell.
    ("ErrorInvalidSyncStateData", Problem::CursorLost),
    ("ErrorSubscriptionNotFound", Problem::CursorLost),
    ("ErrorInvalidSubscription", Problem::CursorLost),
    ("ErrorInvalidWatermark", Problem::CursorLost),
    ("ErrorReadEventsFailed", Problem::CursorLost),
    ("ErrorExpiredSubscription", Problem::CursorLost),
    // The server is of another age.
    ("ErrorInvalidServerVersion", Problem::Unsupported),
    ("ErrorIncorrectSchemaVersion", Problem::Unsupported),
    ("ErrorInvalidSchemaVersionForMailboxVersion", Problem::Unsupported),
    // The request or its data.
    ("ErrorSchemaValidation", Problem::Refused),
    ("ErrorInvalidRequest", Problem::Refused),
    ("ErrorInvalidOperation", Problem::Refused),
    ("ErrorDuplicateSOAPHeader", Problem::Refused),
    ("ErrorSendMeetingInvitationsRequired", Problem::Refused),
    ("ErrorSendMeetingInvitationsOrCancellationsRequired", Problem::Refused),
    ("ErrorSendMeetingCancellationsRequired", Problem::Refused),
    ("ErrorIncorrectUpdatePropertyCount", Problem::Refused),
    ("ErrorInvalidPropertySet", Problem::Refused),
    ("ErrorInvalidPropertyRequest", Problem::Refused),
    ("ErrorPropertyUpdate", Problem::Refused),
    ("ErrorCalendarEndDateIsEarlierThanStartDate", Problem::Refused),
    ("ErrorCalendarDurationIsTooLong", Problem::Refused),
    ("ErrorCalendarInvalidRecurrence", Problem::Refused),
    ("ErrorCalendarInvalidTimeZone", Problem::Refused),
    ("ErrorTimeZone", Problem::Refused),
    ("ErrorCalendarIsNotOrganizer", Problem::Refused),
    ("ErrorCalendarIsCancelledForAccept", Problem::Refused),
    ("ErrorCalendarIsCancelledForDecline", Problem::Refused),
    ("ErrorCalendarIsCancelledForRemove", Problem::Refused),
    ("ErrorCalendarIsCancelledForTentative", Problem::Refused),
    ("ErrorCalendarIsOrganizerForAccept", Problem::Refused),
    ("ErrorCalendarIsOrganizerForDecline", Problem::Refused),
    ("ErrorCalendarIsOrganizerForRemove", Problem::Refused),
    ("ErrorCalendarIsOrganizerForTentative", Problem::Refused),
    ("ErrorCalendarViewRangeTooBig", Problem::Refused),
    ("ErrorOccurrenceCrossingBoundary", Problem::Refused),
    ("ErrorInvalidIdMalformed", Problem::Refused),
    ("ErrorCannotUseFolderIdForItemId", Problem::Refused),
    ("ErrorNameResolutionNoResults", Problem::NotFound),
    ("ErrorNameResolutionMultipleResults", Problem::Refused),
];

/// What a response code means, with the wait the server asked for where waiting helps.
pub fn problem(code: &str, back_off: Option<Duration>) -> Problem {
    let known = CODES.iter().find(|(name, _)| *name == code).map_or(&Problem::Refused, |(_, problem)| problem);
    match known {
        Problem::Throttled { .. } => Problem::Throttled { after: back_off },
        Problem::Unreachable { .. } => Problem::Unreachable { after: back_off },
        other => other.clone(),
    }
}
