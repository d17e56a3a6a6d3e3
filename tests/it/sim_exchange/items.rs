//! Items: what is refused, what is kept, what is shown.

use reqwest::StatusCode;

use super::{
    Id, MARY, SERVICE, SUSAN, Sim, TERRY, TIMES, create, delete, find, get, id_in, ids_in, only, plain, set, texts,
    update,
};

#[tokio::test]
async fn a_stale_change_key_is_a_conflict() {
    let sim = Sim::start().await;
    let old = sim.create(SUSAN, "SendToNone", &plain("One")).await;
    let subject = |text: &str| set("item:Subject", &format!("<t:Subject>{text}</t:Subject>"));
    let new = sim.update(SUSAN, &old, "SendToNone", &subject("Two")).await;
    assert_eq!(new.id, old.id);
    assert_ne!(new.key, old.key);
    let change = |resolution: &str, id: &Id, text: &str| update(resolution, "SendToNone", id, &subject(text));
    assert_eq!(sim.codes(SUSAN, &change("NeverOverwrite", &old, "Three")).await, ["ErrorIrresolvableConflict"]);
    assert_eq!(only(&sim.get(SUSAN, &new).await, "Subject"), "Two");
    let without = change("NeverOverwrite", &old, "Three").replace(&format!(" ChangeKey=\"{}\"", old.key), "");
    assert_eq!(sim.codes(SUSAN, &without).await, ["ErrorChangeKeyRequiredForWriteOperations"]);
    let mangled = Id { key: "nonsense".into(), ..old.clone() };
    assert_eq!(sim.codes(SUSAN, &change("NeverOverwrite", &mangled, "Three")).await, ["ErrorInvalidChangeKey"]);
    assert_eq!(sim.codes(SUSAN, &change("AutoResolve", &old, "Four")).await, ["NoError"]);
    assert_eq!(sim.codes(SUSAN, &change("AlwaysOverwrite", &old, "Five")).await, ["NoError"]);
    assert_eq!(only(&sim.get(SUSAN, &new).await, "Subject"), "Five");
    sim.stop().await;
}

#[tokio::test]
async fn a_request_against_the_schema_is_a_fault_and_changes_nothing() {
    let sim = Sim::start().await;
    let id = sim.create(SUSAN, "SendToNone", &plain("One")).await;
    let twice = format!("<t:Subject>a</t:Subject><t:Subject>b</t:Subject>{TIMES}");
    let late = format!("{TIMES}<t:Subject>late</t:Subject>");
    let unknown = format!("<t:Colour>red</t:Colour>{TIMES}");
    let choice = format!("<t:Sensitivity>Secret</t:Sensitivity>{TIMES}");
    for wrong in [late, twice, unknown, choice, "<t:Start>tomorrow</t:Start>".into()] {
        // The first of two items is right, and still not created.
        let both = create("SendToNone", &plain("Right"))
            .replace("</m:Items>", &format!("<t:CalendarItem>{wrong}</t:CalendarItem></m:Items>"));
        assert_eq!(sim.fault(SUSAN, "", &both).await, "ErrorSchemaValidation", "{wrong}");
    }
    let bad_value = set("calendar:LegacyFreeBusyStatus", "<t:LegacyFreeBusyStatus>Away</t:LegacyFreeBusyStatus>");
    let bad_path = set("calendar:Colour", "<t:Subject>red</t:Subject>");
    for wrong in [bad_value, bad_path] {
        let request = update("AlwaysOverwrite", "SendToNone", &id, &wrong);
        assert_eq!(sim.fault(SUSAN, "", &request).await, "ErrorSchemaValidation", "{wrong}");
    }
    assert_eq!(sim.list(SUSAN, "calendar").await, std::slice::from_ref(&id));
    // Wrong in ways that concern the one item only.
    let two = set("item:Subject", "<t:Subject>a</t:Subject><t:Location>b</t:Location>");
    let other = set("item:Subject", "<t:Location>b</t:Location>");
    let read_only = set("calendar:IsMeeting", "<t:IsMeeting>true</t:IsMeeting>");
    let backwards = set("calendar:End", "<t:End>2027-02-08T08:00:00Z</t:End>");
    for (wrong, code) in [
        (two, "ErrorIncorrectUpdatePropertyCount"),
        (other, "ErrorUpdatePropertyMismatch"),
        (read_only, "ErrorInvalidPropertySet"),
        (backwards, "ErrorCalendarEndDateIsEarlierThanStartDate"),
    ] {
        assert_eq!(sim.codes(SUSAN, &update("AlwaysOverwrite", "SendToNone", &id, &wrong)).await, [code]);
    }
    let zone = format!("{TIMES}<t:StartTimeZone Id=\"Nowhere Standard Time\"/>");
    assert_eq!(sim.codes(SUSAN, &create("SendToNone", &zone)).await, ["ErrorTimeZone"]);
    assert_eq!(sim.list(SUSAN, "calendar").await, [id]);
    sim.stop().await;
}

#[tokio::test]
async fn calendar_items_need_a_send_attribute() {
    let sim = Sim::start().await;
    let id = sim.create(SUSAN, "SendToNone", &plain("One")).await;
    let without = |request: String, attribute: &str| request.replace(&format!(" {attribute}=\"SendToNone\""), "");
    let subject = set("item:Subject", "<t:Subject>Two</t:Subject>");
    let requests = [
        (create("SendToNone", TIMES), "SendMeetingInvitations", "ErrorSendMeetingInvitationsRequired"),
        (
            update("AlwaysOverwrite", "SendToNone", &id, &subject),
            "SendMeetingInvitationsOrCancellations",
            "ErrorSendMeetingInvitationsOrCancellationsRequired",
        ),
        (delete("HardDelete", "SendToNone", &id), "SendMeetingCancellations", "ErrorSendMeetingCancellationsRequired"),
    ];
    for (request, attribute, code) in requests {
        assert_eq!(sim.codes(SUSAN, &without(request.clone(), attribute)).await, [code]);
        let wrong = request.replace("SendToNone", "SendToSome");
        assert_eq!(sim.fault(SUSAN, "", &wrong).await, "ErrorSchemaValidation");
    }
    assert_eq!(sim.list(SUSAN, "calendar").await, [id]);
    sim.stop().await;
}

#[tokio::test]
async fn whole_requests_are_refused_as_faults() {
    let sim = Sim::start().await;
    let list = find("calendar", "");
    assert_eq!(sim.fault(SUSAN, "", "<m:MakeCoffee/>").await, "ErrorInvalidRequest");
    assert_eq!(sim.fault(SUSAN, "", "").await, "ErrorInvalidRequest");
    let version = "<t:RequestServerVersion Version=\"Exchange5\"/>";
    assert_eq!(sim.fault(SUSAN, version, &list).await, "ErrorInvalidServerVersion");
    let twice = "<t:RequestServerVersion Version=\"Exchange2016\"/>".repeat(2);
    assert_eq!(sim.fault(SUSAN, &twice, &list).await, "ErrorDuplicateSOAPHeader");
    let as_user = |kind: &str, who: &str| {
        format!(
            "<t:ExchangeImpersonation><t:ConnectingSID><t:{kind}>{who}</t:{kind}></t:ConnectingSID></t:ExchangeImpersonation>"
        )
    };
    for (login, kind, who, code) in [
        (TERRY, "PrimarySmtpAddress", "susan.maye@example.test", "ErrorImpersonateUserDenied"),
        (SERVICE, "PrimarySmtpAddress", "nobody@example.test", "ErrorNonExistentMailbox"),
        (SERVICE, "PrimarySmtpAddress", "smaye@example.test", "ErrorNonPrimarySmtpAddress"),
    ] {
        assert_eq!(sim.fault(login, &as_user(kind, who), &list).await, code, "{login} as {who}");
    }
    for (kind, who) in [("SmtpAddress", "smaye@example.test"), ("PrincipalName", "susan.maye")] {
        let (status, text) = sim.ask(SERVICE, &as_user(kind, who), &list).await;
        assert_eq!((status, only(&text, "ResponseCode").as_str()), (StatusCode::OK, "NoError"), "{who}");
    }
    let dtd = "<!DOCTYPE x [<!ENTITY a \"b\">]><x/>";
    let user = sim.running.users().remove(0);
    let request = sim.http.post(sim.running.ews_url()).basic_auth(user.login, Some(user.password)).body(dtd);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    let unsigned = sim.http.post(sim.running.ews_url()).send().await.unwrap();
    assert_eq!(unsigned.status(), StatusCode::UNAUTHORIZED);
    assert!(unsigned.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic realm="));
    sim.stop().await;
}

#[tokio::test]
async fn mailboxes_are_kept_apart() {
    let sim = Sim::start().await;
    let id = sim.create(SUSAN, "SendToNone", &plain("Private")).await;
    let of = |address: &str| {
        let mailbox = format!("<t:Mailbox><t:EmailAddress>{address}</t:EmailAddress></t:Mailbox>");
        find("calendar", "")
            .replace("Id=\"calendar\"/>", &format!("Id=\"calendar\">{mailbox}</t:DistinguishedFolderId>"))
    };
    assert_eq!(sim.codes(TERRY, &of("susan.maye@example.test")).await, ["ErrorAccessDenied"]);
    assert_eq!(sim.codes(TERRY, &of("nobody@example.test")).await, ["ErrorNonExistentMailbox"]);
    assert_eq!(sim.codes(SUSAN, &of("smaye@example.test")).await, ["ErrorNonPrimarySmtpAddress"]);
    assert_eq!(sim.codes(SUSAN, &of("Susan.Maye@example.test")).await, ["NoError"]);
    assert_eq!(sim.codes(SERVICE, &find("calendar", "")).await, ["ErrorMissingEmailAddress"]);
    // One message for each item, in order: a foreign one looks like a missing one.
    let lower = Id { id: id.id.to_lowercase(), key: id.key.clone() };
    let ids = [id.xml(), lower.xml(), "<t:ItemId Id=\"AAMk\"/>".into()].concat();
    let codes = sim.codes(SUSAN, &get("IdOnly", "", &ids)).await;
    assert_eq!(codes, ["NoError", "ErrorInvalidIdMalformed", "ErrorInvalidIdMalformed"]);
    assert_eq!(sim.codes(TERRY, &get("IdOnly", "", &id.xml())).await, ["ErrorItemNotFound"]);
    assert_eq!(sim.codes(TERRY, &delete("HardDelete", "SendToNone", &id)).await, ["ErrorItemNotFound"]);
    assert_eq!(sim.list(SUSAN, "calendar").await, [id]);
    sim.stop().await;
}

#[tokio::test]
async fn times_without_offset_are_read_in_their_zone() {
    let sim = Sim::start().await;
    let context = "<t:TimeZoneContext><t:TimeZoneDefinition Id=\"Pacific Standard Time\"/></t:TimeZoneContext>";
    let local = "<t:Start>2027-07-01T09:00:00</t:Start><t:End>2027-07-01T10:00:00</t:End>";
    let zoned =
        format!("{local}<t:StartTimeZone Id=\"Romance Standard Time\"/><t:EndTimeZone Id=\"Romance Standard Time\"/>");
    for (header, inner, start, zone) in [
        ("", local, "2027-07-01T09:00:00Z", "UTC"),
        (context, local, "2027-07-01T16:00:00Z", "Pacific Standard Time"),
        (context, &zoned, "2027-07-01T07:00:00Z", "Romance Standard Time"),
        ("", &zoned, "2027-07-01T07:00:00Z", "Romance Standard Time"),
    ] {
        let (_, text) = sim.ask(SUSAN, header, &create("SendToNone", inner)).await;
        let shown = sim.get(SUSAN, &id_in(&text).unwrap()).await;
        assert_eq!((only(&shown, "Start").as_str(), only(&shown, "TimeZone").as_str()), (start, zone), "{inner}");
    }
    sim.stop().await;
}

#[tokio::test]
async fn all_day_events_grow_to_midnight_in_their_zone() {
    let sim = Sim::start().await;
    let inner = "<t:Start>2027-03-28T11:00:00Z</t:Start><t:End>2027-03-28T12:00:00Z</t:End>\
                 <t:IsAllDayEvent>true</t:IsAllDayEvent><t:StartTimeZone Id=\"Romance Standard Time\"/>";
    let id = sim.create(SUSAN, "SendToNone", inner).await;
    let shown = sim.get(SUSAN, &id).await;
    // The clocks go forward that day, so it has 23 hours.
    assert_eq!(
        (only(&shown, "Start").as_str(), only(&shown, "End").as_str()),
        ("2027-03-27T23:00:00Z", "2027-03-28T22:00:00Z")
    );
    // Two whole days given exactly stay two days.
    let exact =
        inner.replace("28T11", "28T00").replace("28T12:00:00Z", "30T00:00:00Z").replace("Romance Standard Time", "UTC");
    let shown = sim.get(SUSAN, &sim.create(SUSAN, "SendToNone", &exact).await).await;
    assert_eq!(
        (only(&shown, "Start").as_str(), only(&shown, "End").as_str()),
        ("2027-03-28T00:00:00Z", "2027-03-30T00:00:00Z")
    );
    sim.stop().await;
}

#[tokio::test]
async fn bodies_are_kept_and_projected() {
    let sim = Sim::start().await;
    let html = "&lt;p&gt;One &amp;lt;two&amp;gt;&lt;/p&gt;&lt;ul&gt;&lt;li&gt;three&lt;/li&gt;&lt;/ul&gt;";
    let inner = format!("<t:Subject>a</t:Subject><t:Body BodyType=\"HTML\">{html}</t:Body>{TIMES}");
    let id = sim.create(SUSAN, "SendToNone", &inner).await;
    let body = |kind: &str| get("AllProperties", &format!("<t:BodyType>{kind}</t:BodyType>"), &id.xml());
    let best = sim.call(SUSAN, &body("Best")).await;
    assert_eq!(only(&best, "Body"), "<p>One &lt;two&gt;</p><ul><li>three</li></ul>");
    let text = only(&sim.call(SUSAN, &body("Text")).await, "Body");
    assert!(text.contains("One <two>") && text.contains("three") && !text.contains("<p>"), "{text:?}");
    let lines = "one&#xD;\ntwo\n\nthree &lt;x&gt;";
    let inner = format!("<t:Body BodyType=\"Text\">{lines}</t:Body>{TIMES}");
    let id = sim.create(SUSAN, "SendToNone", &inner).await;
    assert_eq!(only(&sim.get(SUSAN, &id).await, "Body"), "one\r\ntwo\n\nthree <x>");
    // FindItem shows no bodies, whatever is asked for.
    let found = find("calendar", "").replace("IdOnly", "AllProperties");
    assert!(texts(&sim.call(SUSAN, &found).await, "Body").is_empty());
    sim.stop().await;
}

#[tokio::test]
async fn a_meeting_is_found_by_its_global_object_id_not_by_its_uid() {
    let sim = Sim::start().await;
    let uid = "<t:Subject>a</t:Subject><t:UID>7f3e@elsewhere.test</t:UID>";
    let foreign = sim.create(SUSAN, "SendToNone", &format!("{uid}{TIMES}")).await;
    let own = sim.create(SUSAN, "SendToNone", &plain("b")).await;
    assert_eq!(only(&sim.get(SUSAN, &foreign).await, "UID"), "7f3e@elsewhere.test");
    let equal = |path: &str, value: &str| {
        find(
            "calendar",
            &format!(
                "<m:Restriction><t:IsEqualTo>{path}<t:FieldURIOrConstant><t:Constant Value=\"{value}\"/>\
             </t:FieldURIOrConstant></t:IsEqualTo></m:Restriction>"
            ),
        )
    };
    let by_uid = equal("<t:FieldURI FieldURI=\"calendar:UID\"/>", "7f3e@elsewhere.test");
    assert_eq!(sim.codes(SUSAN, &by_uid).await, ["ErrorUnsupportedPathForQuery"]);
    for id in [foreign, own] {
        // Named by GUID when read, by distinguished name when searched: one property.
        let property =
            "PropertySetId=\"6ED8DA90-450B-101B-98DA-00AA003F1305\" PropertyId=\"3\" PropertyType=\"Binary\"";
        let more = format!("<t:AdditionalProperties><t:ExtendedFieldURI {property}/></t:AdditionalProperties>");
        let binary = only(&sim.call(SUSAN, &get("IdOnly", &more, &id.xml())).await, "Value");
        let path =
            "<t:ExtendedFieldURI DistinguishedPropertySetId=\"Meeting\" PropertyId=\"35\" PropertyType=\"Binary\"/>";
        assert_eq!(ids_in(&sim.call(SUSAN, &equal(path, &binary)).await), [id]);
    }
    sim.stop().await;
}

#[tokio::test]
async fn extended_properties_of_every_type_come_back() {
    let sim = Sim::start().await;
    let set = "PropertySetId=\"66f5a359-4659-4638-81a3-d1d2b2f5c5b4\"";
    let cases = [
        ("String", "a &lt; b", "a < b"),
        ("Integer", "-7", "-7"),
        ("Boolean", "1", "true"),
        ("SystemTime", "2027-02-08T10:00:00+01:00", "2027-02-08T09:00:00Z"),
        ("Binary", "AAEC", "AAEC"),
        ("CLSID", "66F5A359-4659-4638-81A3-D1D2B2F5C5B4", "66f5a359-4659-4638-81a3-d1d2b2f5c5b4"),
    ];
    let uri = |kind: &str| format!("<t:ExtendedFieldURI {set} PropertyName=\"p-{kind}\" PropertyType=\"{kind}\"/>");
    let mut written = String::new();
    let mut paths = String::new();
    for (kind, value, _) in cases {
        written += &format!("<t:ExtendedProperty>{}<t:Value>{value}</t:Value></t:ExtendedProperty>", uri(kind));
        let array = uri(&format!("{kind}Array"));
        written += &format!(
            "<t:ExtendedProperty>{array}<t:Values><t:Value>{value}</t:Value><t:Value>{value}</t:Value></t:Values></t:ExtendedProperty>"
        );
        paths += &(uri(kind) + &array);
    }
    let id = sim.create(SUSAN, "SendToNone", &format!("<t:Subject>a</t:Subject>{written}{TIMES}")).await;
    // They are shown only when named.
    assert!(texts(&sim.get(SUSAN, &id).await, "ExtendedProperty").is_empty());
    let named = get("IdOnly", &format!("<t:AdditionalProperties>{paths}</t:AdditionalProperties>"), &id.xml());
    let expected: Vec<&str> = cases.iter().flat_map(|(_, _, shown)| [*shown; 3]).collect();
    assert_eq!(texts(&sim.call(SUSAN, &named).await, "Value"), expected);
    let wrong = format!("<t:ExtendedProperty>{}<t:Value>seven</t:Value></t:ExtendedProperty>{TIMES}", uri("Integer"));
    assert_eq!(sim.codes(SUSAN, &create("SendToNone", &wrong)).await, ["ErrorInvalidExtendedPropertyValue"]);
    sim.stop().await;
}

#[tokio::test]
async fn the_page_shows_calendars_and_mails_as_text() {
    let sim = Sim::start().await;
    let inner = format!(
        "{}{}",
        plain("&lt;script&gt;alert(1)&lt;/script&gt;"),
        super::attendees("RequiredAttendees", &["mary.jones@example.test"])
    );
    sim.create(SUSAN, "SendToAllAndSaveCopy", &inner).await;
    let page = sim.http.get(sim.running.url()).send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("<script>") && page.matches("&lt;script&gt;alert(1)").count() == 3, "{page}");
    for shown in [
        "Susan Maye",
        "Mary Jones: Unknown",
        "my answer: NoResponseReceived",
        "http-equiv=\"refresh\"",
        "<td>request</td>",
    ] {
        assert!(page.contains(shown), "{shown} is missing in {page}");
    }
    assert_eq!(sim.list(MARY, "calendar").await.len(), 1);
    sim.stop().await;
}
