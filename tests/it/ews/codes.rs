//! Every response code of the protocol that a calendar sync can meet, and what the queue is to do about it.

use std::collections::BTreeSet;
use std::time::Duration;

use daybridge::connector::Problem;
use daybridge::connector::ews::codes::{CODES, problem};
use daybridge::connector::ews::soap::Refusal;

/// Stable name of the problem, class, a part of the hint, codes without their `Error`.
const EXPECTED: &[(&str, &str, &str, &str)] = &[
    (
        "sign-in-refused",
        "auth",
        "check login and password",
        "CallerIsInvalidADAccount InvalidAuthorizationContext InvalidClientSecurityContext InvalidSerializedAccessToken InvalidUserSid PasswordChangeRequired PasswordExpired TokenSerializationDenied",
    ),
    (
        "no-right",
        "park",
        "ApplicationImpersonation",
        "AccessDenied CreateItemAccessDenied CreateSubfolderAccessDenied ImpersonateUserDenied ImpersonationDenied ImpersonationFailed NoFreeBusyAccess NotDelegate PermissionNotAllowedByPolicy ProxyRequestNotAllowed RecoverableItemsAccessDenied SendAsDenied SubscriptionAccessDenied SubscriptionDelegateAccessNotSupported UserNotAllowedByPolicy",
    ),
    (
        "mailbox-missing",
        "park",
        "primary address",
        "AccountDisabled AddressSpaceNotFound CrossSiteRequest FolderCorrupt FolderNotFound InvalidMailbox InvalidSmtpAddress InvalidUserPrincipalName MailRecipientNotFound MailboxConfiguration MailboxVersionNotSupported MissingEmailAddress NoCalendar NonExistentMailbox NonPrimarySmtpAddress ParentFolderNotFound SavedItemFolderNotFound SyncFolderNotFound ToFolderNotFound UserWithoutFederatedProxyAddress",
    ),
    ("mailbox-full", "park", "free space in the mailbox", "MessagePerFolderCountReceiveQuotaExceeded QuotaExceeded"),
    (
        "throttled",
        "retry",
        "waits as long as it was told",
        "ADOperation ADSessionFilter AutoDiscoverFailed BatchProcessingStopped ClientDisconnected DataSourceOperation ExceededConnectionCount ExceededSubscriptionCount FreeBusyGenerationFailed IndividualMailboxLimitReached InsufficientResources InternalServerError InternalServerTransientError ItemSave LogonAsNetworkServiceFailed MailboxFailover MailboxLogonFailed MailboxMoveInProgress NoApplicableProxyCASServersAvailable NoDestinationCASDueToKerberosRequirements NoDestinationCASDueToSSLRequirements NoDestinationCASDueToVersionMismatch NoRespondingCASInDestinationSite NotEnoughMemory ProxiedSubscriptionCallFailure ProxyCallFailed ProxyGroupSidLimitExceeded ProxyRequestProcessingFailed ProxyServiceDiscoveryFailed ProxyTokenExpired RequestAborted ServerBusy ServiceDiscoveryFailed SubmissionQuotaExceeded TimeoutExpired TooManyObjectsOpened WebRequestInInvalidState Win32InteropError",
    ),
    (
        "server-unreachable",
        "down",
        "nothing is lost",
        "ADUnavailable ConnectionFailed ConnectionFailedTransientError LocalServerObjectNotFound MailboxStoreUnavailable",
    ),
    (
        "not-found",
        "park",
        "the next pass settles it",
        "CalendarCannotUpdateDeletedItem CalendarOccurrenceIndexIsOutOfRecurrenceRange CalendarOccurrenceIsDeletedFromRecurrence ItemNotFound NameResolutionNoMailbox NameResolutionNoResults",
    ),
    (
        "changed-meanwhile",
        "conflict",
        "reads both sides again",
        "CalendarMeetingRequestIsOutOfDate ChangeKeyRequired ChangeKeyRequiredForWriteOperations InvalidChangeKey IrresolvableConflict ObjectTypeChanged StaleObject",
    ),
    (
        "feed-restarted",
        "park",
        "the feed starts over",
        "EventNotFound ExpiredSubscription InvalidPullSubscriptionId InvalidSubscription InvalidSyncStateData InvalidWatermark MissedNotificationEvents NewEventStreamConnectionOpened ReadEventsFailed SubscriptionNotFound SubscriptionUnsubsribed",
    ),
    (
        "not-supported",
        "park",
        "does not offer it",
        "IncorrectSchemaVersion InvalidLicense InvalidSchemaVersionForMailboxVersion InvalidServerVersion OrganizationNotFederated UnsupportedCulture UnsupportedPathForQuery UnsupportedPropertyDefinition UnsupportedQueryFilter UnsupportedRecurrence WrongServerVersion WrongServerVersionDelegate",
    ),
    (
        "data-refused",
        "park",
        "see the server's words",
        "AffectedTaskOccurrencesRequired AttachmentSizeLimitExceeded CalendarCannotMoveOrCopyOccurrence CalendarCannotUseIdForOccurrenceId CalendarCannotUseIdForRecurringMasterId CalendarDurationIsTooLong CalendarEndDateIsEarlierThanStartDate CalendarFolderIsInvalidForCalendarView CalendarInvalidAttributeValue CalendarInvalidDayForTimeChangePattern CalendarInvalidDayForWeeklyRecurrence CalendarInvalidPropertyState CalendarInvalidPropertyValue CalendarInvalidRecurrence CalendarInvalidTimeZone CalendarIsCancelledForAccept CalendarIsCancelledForDecline CalendarIsCancelledForRemove CalendarIsCancelledForTentative CalendarIsDelegatedForAccept CalendarIsDelegatedForDecline CalendarIsDelegatedForRemove CalendarIsDelegatedForTentative CalendarIsNotOrganizer CalendarIsOrganizerForAccept CalendarIsOrganizerForDecline CalendarIsOrganizerForRemove CalendarIsOrganizerForTentative CalendarOutOfRange CalendarViewRangeTooBig CannotCreateCalendarItemInNonCalendarFolder CannotDeleteObject CannotUseFolderIdForItemId CannotUseItemIdForFolderId ContentConversionFailed CorruptData DataSizeLimitExceeded DeleteItemsFailed DuplicateSOAPHeader ExceededFindCountLimit FreeBusyDLLimitReached IncorrectUpdatePropertyCount InvalidArgument InvalidExchangeImpersonationHeaderData InvalidExtendedProperty InvalidExtendedPropertyValue InvalidFolderId InvalidFreeBusyViewType InvalidId InvalidIdEmpty InvalidIdMalformed InvalidIdMalformedEwsLegacyIdFormat InvalidIdMonikerTooLong InvalidIdStoreObjectIdTooLong InvalidIdXml InvalidIndexedPagingParameters InvalidItemForOperationAcceptItem InvalidItemForOperationCancelItem InvalidItemForOperationCreateItem InvalidItemForOperationDeclineItem InvalidItemForOperationExpandDL InvalidItemForOperationRemoveItem InvalidItemForOperationTentative InvalidMergedFreeBusyInterval InvalidNameForNameResolution InvalidOperation InvalidPagingMaxRows InvalidPropertyAppend InvalidPropertyDelete InvalidPropertyForOperation InvalidPropertyRequest InvalidPropertySet InvalidPropertyUpdateSentMessage InvalidRecipients InvalidReferenceItem InvalidRequest InvalidRestriction InvalidRoutingType InvalidSubscriptionRequest InvalidTimeInterval InvalidValueForProperty ItemCorrupt ItemPropertyRequestFailed ItemSavePropertyError MailboxDataArrayEmpty MailboxDataArrayTooBig MessageDispositionRequired MessageSizeExceeded MimeContentConversionFailed MimeContentInvalid MimeContentInvalidBase64String MissingArgument MissingRecipients MoveCopyFailed NameResolutionMultipleResults NoPropertyTagForCustomProperties OccurrenceCrossingBoundary OccurrenceTimeSpanTooBig PropertyUpdate PropertyValidationFailure RecurrenceEndDateTooBig RecurrenceHasNoOccurrence RequestStreamTooBig RequiredPropertyMissing ResponseSchemaValidation RestrictionTooComplex RestrictionTooLong ResultSetTooBig SchemaValidation SendMeetingCancellationsRequired SendMeetingInvitationsOrCancellationsRequired SendMeetingInvitationsRequired TimeIntervalTooBig TimeZone UnsupportedMapiPropertyType UpdatePropertyMismatch ValueOutOfRange VirusDetected VirusMessageDeleted WorkingHoursXmlMalformed",
    ),
];

fn expected() -> impl Iterator<Item = (&'static str, [&'static str; 3])> {
    EXPECTED
        .iter()
        .flat_map(|(name, class, hint, codes)| codes.split_whitespace().map(|code| (code, [*name, *class, *hint])))
}

#[test]
fn every_code_has_its_problem_class_and_hint() {
    for (code, [name, class, hint]) in expected() {
        let problem = problem(&format!("Error{code}"), None);
        assert_eq!((problem.code(), problem.class().name()), (name, class), "{code}");
        assert!(problem.hint().contains(hint), "{code}: {}", problem.hint());
    }
}

#[test]
fn the_table_holds_each_code_once_and_none_untested() {
    let listed: Vec<_> = CODES.iter().map(|(code, ..)| *code).collect();
    let unique: BTreeSet<_> = listed.iter().copied().collect();
    assert_eq!(unique.len(), listed.len(), "a code stands twice");
    let tested: BTreeSet<_> = expected().map(|(code, _)| code).collect();
    assert_eq!(unique, tested);
}

/// A refusal reads as a sentence of ours with the server's code and words behind it.
#[test]
fn every_code_is_told_in_words() {
    for (code, _, says) in CODES {
        let refusal = Refusal { code: format!("Error{code}"), text: "The server's words.".into(), back_off: None };
        let told = refusal.to_string();
        assert_eq!(told, format!("{says} (Error{code}: The server's words.)"));
        assert!(says.len() > 10 && !says.ends_with('.') && !says.contains("Error"), "{code}: {says}");
    }
    let unknown = |text: &str| Refusal { code: "ErrorOfTheFuture".into(), text: text.into(), back_off: None };
    assert_eq!(unknown("Words.").to_string(), "ErrorOfTheFuture: Words.");
    assert_eq!(unknown("").to_string(), "ErrorOfTheFuture");
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
