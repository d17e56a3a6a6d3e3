//! A changed text put back into HTML: what changed is changed, everything else is as it was.

use daybridge::connector::html::{text, with_text};
use proptest::prelude::*;

/// The HTML after its text was changed by replacing a part of it.
fn changed(html: &str, from: &str, to: &str) -> String {
    let shown = text(html).unwrap();
    assert!(shown.contains(from), "{shown:?} has no {from:?}");
    let wanted = shown.replacen(from, to, 1);
    let result = with_text(html, &wanted).unwrap();
    assert_eq!(text(&result).unwrap(), wanted.trim_end(), "{result}");
    result
}

const MAIL: &str = "<html><head><style>p {color: red} /* a < b */</style></head><body lang=\"EN-GB\">\
    <p class=\"MsoNormal\">Dear <b>Ann</b>, please bring the <span style=\"color:#c00\">figures</span>.</p>\
    <p class=\"MsoNormal\"><img src=\"cid:logo@01\" alt=\"\"></p>\
    <p class=\"MsoNormal\">See <a href=\"https://wiki.example.test/a?b=1&amp;c=2\">the page</a> &amp; gr&uuml;&szlig;e</p>\
    <p class=\"MsoNormal\">Regards<br>Susan</p></body></html>";

#[test]
fn a_word_is_changed_where_it_stands() {
    assert_eq!(changed(MAIL, "figures", "samples"), MAIL.replace("figures", "samples"));
    assert_eq!(changed(MAIL, "Ann", "Zoe"), MAIL.replace("<b>Ann</b>", "<b>Zoe</b>"));
    assert_eq!(changed(MAIL, "grüße", "greetings"), MAIL.replace("gr&uuml;&szlig;e", "greetings"));
    assert_eq!(changed(MAIL, "figures", "<b>&figures"), MAIL.replace("figures", "&lt;b&gt;&amp;figures"));
    assert_eq!(changed(MAIL, "the page", "this page"), MAIL.replace("the page", "this page"));
}

#[test]
fn words_come_and_go_within_a_line() {
    assert_eq!(changed(MAIL, "please bring", "please do bring"), MAIL.replace("please bring", "please do bring"));
    let without = changed(MAIL, "please bring the ", "bring ");
    assert!(without.contains("<span style=\"color:#c00\">figures</span>") && without.contains("<img"));
    let longer = changed(MAIL, "Susan", "Susan Maye");
    assert!(longer.contains("Regards<br>Susan Maye</p>"), "{longer}");
}

#[test]
fn lines_come_and_go() {
    let more = changed(MAIL, "Regards\n", "Regards\nfrom all of us\n");
    for kept in ["<b>Ann</b>", "cid:logo@01", "https://wiki.example.test/a?b=1&amp;c=2", "color:#c00", "<style>"] {
        assert!(more.contains(kept), "{kept} is lost: {more}");
    }
    let shown = text(MAIL).unwrap();
    let end = with_text(MAIL, &format!("{shown}\nPS: coffee")).unwrap();
    assert!(end.contains("Susan<br>PS: coffee</p>") && end.contains("cid:logo@01"), "{end}");
    let two = "<div>one</div><div>two</div><div><b>three</b></div>";
    assert_eq!(changed(two, "two\n", ""), "<div>one</div><div><b>three</b></div>");
    let item = "<ul><li>one</li><li>two</li><li>three</li></ul>";
    let less = changed(item, "* two\n", "");
    assert!(!less.contains("two") && less.contains("<li>three</li>"), "{less}");
}

#[test]
fn nothing_changed_is_nothing_written() {
    let shown = text(MAIL).unwrap();
    for same in [
        shown.clone(),
        format!("{shown}\n\n"),
        shown.replace('\n', "\r\n"),
        shown.replace("please bring", "please  bring"),
    ] {
        assert_eq!(with_text(MAIL, &same).unwrap(), MAIL);
    }
}

const JOIN: &str = "<div class=\"me-email-text\" lang=\"en-US\"><div>________________________________________</div>\
    <div><span style=\"font-size:24px\">Microsoft Teams meeting</span></div>\
    <div><a href=\"https://teams.microsoft.com/l/meetup-join/19%3ameeting_abc%40thread.v2/0?context=x\">Join</a></div>\
    <div>Meeting ID: 123 456</div></div></body></html>";

#[test]
fn s64_the_part_for_joining_a_meeting_survives_every_change() {
    let html = format!("<html><body><p>Agenda</p><p>One</p>{JOIN}");
    let shown = text(&html).unwrap();
    for wanted in [
        shown.replace("Agenda", "Plan"),
        shown.replace("One", "One\nTwo\n\nThree"),
        shown.replace("Meeting ID: 123 456", "no id"),
        "Something else altogether".to_owned(),
        String::new(),
        format!("{shown}\n{shown}"),
    ] {
        let result = with_text(&html, &wanted).unwrap();
        assert!(result.ends_with(JOIN), "for {wanted:?}: {result}");
    }
    assert!(with_text(&html, &shown.replace("Agenda", "Plan")).unwrap().contains("<p>Plan</p><p>One</p>"));
    let plain = with_text(&html, "All new").unwrap();
    assert!(text(&plain).unwrap().starts_with("All new\n"), "{plain}");
    // Older bodies have a rule alone, without a marked block.
    let older = html.replace(" class=\"me-email-text\"", "");
    assert!(with_text(&older, "All new").unwrap().contains("meetup-join"));
}

#[test]
fn what_cannot_be_edited_in_place_is_still_the_text_that_was_wanted() {
    for html in [
        "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>",
        "<pre>one\n  two\nthree</pre>",
        "plain <",
        "<p>unclosed <b>bold",
        "<!-- <p>hidden</p> --><p>shown</p>",
        "",
    ] {
        let result = with_text(html, "quite\nanother & <text>").unwrap();
        assert_eq!(text(&result).unwrap(), "quite\nanother & <text>", "{html}: {result}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any text put into any of these bodies reads back as that text, up to spacing.
    #[test]
    fn any_text_reads_back(
        words in proptest::collection::vec("[a-zäß&<>*_.|]{1,6}", 0..12),
        breaks in proptest::collection::vec(0..4_usize, 12),
        body in 0..4_usize,
    ) {
        let html = [MAIL, "<div>a</div>", "<p>a&nbsp;b</p><p>c</p>", "<ul><li>a<li>b</ul>"][body];
        let mut wanted = String::new();
        for (word, space) in words.iter().zip(&breaks) {
            wanted.push_str(word);
            wanted.push_str([" ", "\n", "\n\n", " "][*space]);
        }
        let result = with_text(html, &wanted).unwrap();
        let normal = |text: &str| text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("\n").trim().to_owned();
        prop_assert_eq!(normal(&text(&result).unwrap()), normal(&wanted), "{}", result);
    }
}
