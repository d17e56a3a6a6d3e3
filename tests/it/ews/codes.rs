//! Every response code of the protocol that a calendar sync can meet, and what the queue is to do about it.

use std::collections::BTreeSet;
use std::time::Duration;

use daybridge::connector::Problem;
use daybridge::connector::ews::codes::{CODES, problem};

/// Code, stable name of the problem, class.
const EXPECTED: &[(&str, &str, &str)] = &[
    ("ErrorAccessDenied", "no-right", "park"),
    ("ErrorAccountDisabled", "mailbox-missing", "park"),
    ("ErrorBatchProcessingStopped", "throttled", "retry"),
    ("ErrorCalendarDurationIsTooLong", "data-refused", "park"),
    ("ErrorCalendarEndDateIsEarlierThanStartDate", "data-refused", "park"),
    ("ErrorCalendarInvalidRecurrence", "data-refused", "park"),
    ("ErrorCalendarInvalidTimeZone", "data-refused", "park"),
    ("ErrorCalendarIsCancelledForAccept", "data-refused", "park"),
    ("ErrorCalendarIsCancelledForDecline", "data-refused", "park"),
    ("ErrorCalendarIsCancelledForRemove", "data-refused", "park"),
    ("ErrorCalendarIsCancelledForTentative", "data-refused", "park"),
    ("ErrorCalendarIsNotOrganizer", "data-refused", "park"),
    ("ErrorCalendarIsOrganizerForAccept", "data-refused", "park"),
    ("ErrorCalendarIsOrganizerForDecline", "data-refused", "park"),
    ("ErrorCalendarIsOrganizerForRemove", "data-refused", "park"),
    ("ErrorCalendarIsOrganizerForTentative", "data-refused", "park"),
    ("ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange", "not-found", "park"),
    ("ErrorCalendarOccurrenceIsDeletedFromRecurrence", "not-found", "park"),
    ("ErrorCalendarViewRangeTooBig", "data-refused", "park"),
    ("ErrorCannotUseFolderIdForItemId", "data-refused", "park"),
    ("ErrorChangeKeyRequiredForWriteOperations", "changed-meanwhile", "conflict"),
    ("ErrorConnectionFailed", "server-unreachable", "down"),
    ("ErrorCreateItemAccessDenied", "no-right", "park"),
    ("ErrorDuplicateSOAPHeader", "data-refused", "park"),
    ("ErrorExceededConnectionCount", "throttled", "retry"),
    ("ErrorExceededSubscriptionCount", "throttled", "retry"),
    ("ErrorExpiredSubscription", "feed-restarted", "park"),
    ("ErrorFolderNotFound", "mailbox-missing", "park"),
    ("ErrorImpersonateUserDenied", "no-right", "park"),
    ("ErrorImpersonationDenied", "no-right", "park"),
    ("ErrorImpersonationFailed", "no-right", "park"),
    ("ErrorIncorrectSchemaVersion", "not-supported", "park"),
    ("ErrorIncorrectUpdatePropertyCount", "data-refused", "park"),
    ("ErrorInsufficientResources", "throttled", "retry"),
    ("ErrorInternalServerError", "throttled", "retry"),
    ("ErrorInternalServerTransientError", "throttled", "retry"),
    ("ErrorInvalidChangeKey", "changed-meanwhile", "conflict"),
    ("ErrorInvalidIdMalformed", "data-refused", "park"),
    ("ErrorInvalidOperation", "data-refused", "park"),
    ("ErrorInvalidPropertyRequest", "data-refused", "park"),
    ("ErrorInvalidPropertySet", "data-refused", "park"),
    ("ErrorInvalidRequest", "data-refused", "park"),
    ("ErrorInvalidSchemaVersionForMailboxVersion", "not-supported", "park"),
    ("ErrorInvalidServerVersion", "not-supported", "park"),
    ("ErrorInvalidSubscription", "feed-restarted", "park"),
    ("ErrorInvalidSyncStateData", "feed-restarted", "park"),
    ("ErrorInvalidWatermark", "feed-restarted", "park"),
    ("ErrorIrresolvableConflict", "changed-meanwhile", "conflict"),
    ("ErrorItemNotFound", "not-found", "park"),
    ("ErrorMailboxMoveInProgress", "throttled", "retry"),
    ("ErrorMailboxStoreUnavailable", "server-unreachable", "down"),
    ("ErrorMissingEmailAddress", "mailbox-missing", "park"),
    ("ErrorNameResolutionMultipleResults", "data-refused", "park"),
    ("ErrorNameResolutionNoResults", "not-found", "park"),
    ("ErrorNonExistentMailbox", "mailbox-missing", "park"),
    ("ErrorNonPrimarySmtpAddress", "mailbox-missing", "park"),
    ("ErrorOccurrenceCrossingBoundary", "data-refused", "park"),
    ("ErrorPasswordChangeRequired", "sign-in-refused", "auth"),
    ("ErrorPasswordExpired", "sign-in-refused", "auth"),
    ("ErrorPropertyUpdate", "data-refused", "park"),
    ("ErrorQuotaExceeded", "mailbox-full", "park"),
    ("ErrorReadEventsFailed", "feed-restarted", "park"),
    ("ErrorSchemaValidation", "data-refused", "park"),
    ("ErrorSendMeetingCancellationsRequired", "data-refused", "park"),
    ("ErrorSendMeetingInvitationsOrCancellationsRequired", "data-refused", "park"),
    ("ErrorSendMeetingInvitationsRequired", "data-refused", "park"),
    ("ErrorServerBusy", "throttled", "retry"),
    ("ErrorStaleObject", "changed-meanwhile", "conflict"),
    ("ErrorSubscriptionAccessDenied", "no-right", "park"),
    ("ErrorSubscriptionNotFound", "feed-restarted", "park"),
    ("ErrorSyncFolderNotFound", "mailbox-missing", "park"),
    ("ErrorTimeZone", "data-refused", "park"),
    ("ErrorTimeoutExpired", "throttled", "retry"),
    ("ErrorTooManyObjectsOpened", "throttled", "retry"),
];

#[test]
fn every_code_has_its_problem_and_class() {
    for (code, name, class) in EXPECTED {
        let problem = problem(code, None);
        assert_eq!((problem.code(), problem.class().name()), (*name, *class), "{code}");
    }
}

#[test]
fn the_table_holds_each_code_once_and_none_untested() {
    let listed: Vec<_> = CODES.iter().map(|(code, _)| *code).collect();
    let unique: BTreeSet<_> = listed.iter().copied().collect();
    assert_eq!(unique.len(), listed.len(), "a code stands twice");
    let tested: BTreeSet<_> = EXPECTED.iter().map(|(code, ..)| *code).collect();
    assert_eq!(unique, tested);
}

#[test]
fn an_unknown_code_is_a_refusal() {
    assert_eq!(problem("ErrorOfTheFuture", Some(Duration::from_secs(3))), Problem::Refused);
}

#[test]
fn the_wait_the_server_asks_for_goes_with_what_waiting_helps() {
    let wait = Some(Duration::from_millis(4500));
    assert_eq!(problem("ErrorServerBusy", wait), Problem::Throttled { after: wait });
    assert_eq!(problem("ErrorMailboxStoreUnavailable", wait), Problem::Unreachable { after: wait });
    assert_eq!(problem("ErrorItemNotFound", wait), Problem::NotFound);
}
