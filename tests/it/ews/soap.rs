//! Envelopes: what goes out is well-formed whatever the data, what comes in is understood or refused.

use std::time::Duration;

use daybridge::connector::Problem;
use daybridge::connector::ews::doorbell::{News, read_news};
use daybridge::connector::ews::soap::{Header, SoapError, accepted, answer as read, child_text, envelope, messages};

use super::answer;

fn fault(detail: &str) -> String {
    answer(&format!(
        r#"<s:Fault><faultcode xmlns:a="urn:x">a:ErrorServerBusy</faultcode><faultstring xml:lang="en-US">The server is
        busy.</faultstring>{detail}</s:Fault>"#
    ))
}

fn refused(text: &str) -> (String, String, Option<Duration>) {
    match read(text, |response| Ok(messages(response)?.into_iter().try_for_each(accepted)?)) {
        Err(SoapError::Refused(refusal)) => (refusal.code, refusal.text, refusal.back_off),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_fault_tells_code_words_and_wait_in_either_namespace() {
    for space in ["types", "errors"] {
        let text = fault(&format!(
            r#"<detail><e:ResponseCode xmlns:e="urn:e">ErrorServerBusy</e:ResponseCode><e:Message xmlns:e="urn:e"
            >Busy, busy.</e:Message><x:MessageXml xmlns:x="http://schemas.microsoft.com/exchange/services/2006/{space}"
            ><x:Value Name="BackOffMilliseconds">4500</x:Value></x:MessageXml></detail>"#
        ));
        let expected = ("ErrorServerBusy".to_owned(), "Busy, busy.".to_owned(), Some(Duration::from_millis(4500)));
        assert_eq!(refused(&text), expected, "{space}");
    }
}

#[test]
fn a_fault_without_detail_has_the_code_of_its_fault_code() {
    assert_eq!(refused(&fault("")), ("ErrorServerBusy".to_owned(), "The server is busy.".to_owned(), None));
}

#[test]
fn a_response_message_may_ask_for_a_wait_too() {
    let text = answer(
        r#"<m:GetItemResponse><m:ResponseMessages><m:GetItemResponseMessage ResponseClass="Error">
        <m:MessageText>Later.</m:MessageText><m:ResponseCode>ErrorServerBusy</m:ResponseCode>
        <m:MessageXml><t:Value Name="Policy">x</t:Value><t:Value Name="BackOffMilliseconds">297749</t:Value></m:MessageXml>
        </m:GetItemResponseMessage></m:ResponseMessages></m:GetItemResponse>"#,
    );
    assert_eq!(refused(&text).2, Some(Duration::from_millis(297_749)));
}

#[test]
fn an_internal_error_shows_what_it_wraps() {
    let text = answer(
        r#"<m:R><m:ResponseMessages><m:M ResponseClass="Error"><m:ResponseCode>ErrorInternalServerError</m:ResponseCode>
        <m:MessageXml><t:Value Name="InnerErrorResponseCode">ErrorServerBusy</t:Value></m:MessageXml></m:M>
        </m:ResponseMessages></m:R>"#,
    );
    assert_eq!(refused(&text).0, "ErrorServerBusy");
}

#[test]
fn an_absurd_wait_is_cut_to_a_day() {
    let text = fault(
        r#"<detail><ResponseCode>ErrorServerBusy</ResponseCode><MessageXml><Value Name="BackOffMilliseconds"
        >99999999999999</Value></MessageXml></detail>"#,
    );
    assert_eq!(refused(&text).2, Some(Duration::from_secs(86_400)));
}

#[test]
fn the_servers_words_lose_their_addresses_and_stay_short() {
    let long = "word ".repeat(500);
    let text = fault(&format!(
        "<detail><ResponseCode>ErrorNonPrimarySmtpAddress</ResponseCode><Message>Use jo@x.test\n instead. {long}</Message></detail>"
    ));
    let (_, words, _) = refused(&text);
    assert!(words.starts_with("Use … instead. word"), "{words}");
    assert!(words.chars().count() <= 300);
}

#[test]
fn a_warning_is_a_success_unless_the_item_was_left_undone() {
    let message = |class: &str, code: &str| {
        answer(&format!(
            r#"<m:R><m:ResponseMessages><m:M{class}><m:ResponseCode>{code}</m:ResponseCode></m:M></m:ResponseMessages></m:R>"#
        ))
    };
    let is_accepted =
        |text: &str| read(text, |response| Ok(messages(response)?.into_iter().try_for_each(accepted).is_ok())).unwrap();
    assert!(is_accepted(&message(r#" ResponseClass="Success""#, "NoError")));
    assert!(is_accepted(&message(r#" ResponseClass="Warning""#, "ErrorNameResolutionMultipleResults")));
    assert!(!is_accepted(&message(r#" ResponseClass="Warning""#, "ErrorBatchProcessingStopped")));
    assert!(!is_accepted(&message(r#" ResponseClass="Error""#, "ErrorItemNotFound")));
    assert!(is_accepted(&message("", "NoError")));
    assert!(!is_accepted(&message("", "ErrorItemNotFound")));
}

#[test]
fn what_is_no_answer_is_malformed() {
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    let billion = r#"<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><s:Envelope>&b;</s:Envelope>"#;
    let cases = [
        "",
        "<html><body>Sign in",
        "<html/>",
        "<s:Envelope xmlns:s='u'/>",
        "<s:Envelope xmlns:s='u'><s:Body/></s:Envelope>",
        "<s:Envelope xmlns:s='u'><s:Body><m:R/></s:Body></s:Envelope>",
        "<s:Envelope xmlns:s='u'><s:Body><R/></s:Body></s:Envelope>",
        "<s:Envelope xmlns:s='u'><s:Body><R><ResponseMessages/></R></s:Body></s:Envelope>",
        billion,
        &deep,
    ];
    for text in cases {
        let error = read(text, |response| messages(response).map(|_| ())).unwrap_err();
        assert_eq!(error.problem(), Problem::Malformed, "{}", text.get(..40).unwrap_or(text));
    }
    let good = answer("<m:R><m:ResponseMessages><m:M/></m:ResponseMessages></m:R>");
    for cut in (0..good.len()).filter(|cut| good.is_char_boundary(*cut)) {
        let error = read(&good[..cut], |response| messages(response).map(|_| ())).unwrap_err();
        assert_eq!(error.problem(), Problem::Malformed);
    }
}

#[test]
fn a_byte_order_mark_is_no_obstacle() {
    let text = format!("\u{FEFF}{}", answer("<m:R/>"));
    assert!(read(&text, |_| Ok(())).is_ok());
}

#[test]
fn data_cannot_break_out_of_a_request() {
    let nasty = "a<b>&\"'\u{0}\u{B}\u{FFFE}]]></t:Subject>\u{1F4C5} ü\n end";
    let header = Header { version: "Exchange2013_SP1", impersonate: Some("o'x&y@x.test"), zone: Some("A\"B") };
    let text = envelope(header, |xml| {
        xml.element("m:Op", &[("Id", nasty)], |xml| xml.text("t:Subject", &[], nasty));
    });
    let document = roxmltree::Document::parse(&text).unwrap();
    let find = |name: &str| document.descendants().find(|node| node.tag_name().name() == name).unwrap();
    assert_eq!(find("Subject").text(), Some("a<b>&\"']]></t:Subject>\u{1F4C5} ü\n end"));
    assert_eq!(find("PrimarySmtpAddress").text(), Some("o'x&y@x.test"));
    assert_eq!(find("TimeZoneDefinition").attribute("Id"), Some("A\"B"));
    let order: Vec<_> = find("Header").children().map(|node| node.tag_name().name().to_owned()).collect();
    assert_eq!(order, ["RequestServerVersion", "ExchangeImpersonation", "TimeZoneContext"]);
}

#[test]
fn text_is_read_whole_across_escapes_and_comments() {
    let text = answer("<m:R><t:Body>a&amp;b<!-- c --><![CDATA[<d>]]>&#xD;&#10;e</t:Body></m:R>");
    let body = read(&text, |response| Ok(child_text(response, "Body"))).unwrap();
    assert_eq!(body.as_deref(), Some("a&b<d>\r\ne"));
}

#[test]
fn news_of_an_event_stream() {
    let news = |body: &str| {
        let text = answer(&format!(
            r#"<m:GetStreamingEventsResponse><m:ResponseMessages><m:GetStreamingEventsResponseMessage {body}
            </m:GetStreamingEventsResponseMessage></m:ResponseMessages></m:GetStreamingEventsResponse>"#
        ));
        read(&text, read_news)
    };
    let success = r#"ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>"#;
    assert_eq!(news(&format!("{success}<m:ConnectionStatus>OK</m:ConnectionStatus>")).unwrap(), News::default());
    let closed = news(&format!("{success}<m:ConnectionStatus>Closed</m:ConnectionStatus>")).unwrap();
    assert!(closed.closed && closed.rung.is_empty());
    let events = news(&format!(
        "{success}<m:Notifications><m:Notification><t:SubscriptionId>one</t:SubscriptionId><t:StatusEvent/></m:Notification>
        <m:Notification><t:SubscriptionId>two</t:SubscriptionId><t:ModifiedEvent><t:Watermark>w</t:Watermark></t:ModifiedEvent>
        </m:Notification></m:Notifications>"
    ));
    assert_eq!(events.unwrap().rung.into_iter().collect::<Vec<_>>(), ["two"]);
    let lost = news(
        r#"ResponseClass="Error"><m:ResponseCode>ErrorInvalidSubscription</m:ResponseCode><m:ErrorSubscriptionIds>
        <m:SubscriptionId>three</m:SubscriptionId></m:ErrorSubscriptionIds>"#,
    );
    assert_eq!(lost.unwrap().lost.into_iter().collect::<Vec<_>>(), ["three"]);
    let busy = news(r#"ResponseClass="Error"><m:ResponseCode>ErrorServerBusy</m:ResponseCode>"#);
    assert_eq!(busy.unwrap_err().problem(), Problem::Throttled { after: None });
}
