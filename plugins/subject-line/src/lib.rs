//! Subject and description: older CRMs have no subject, so the first line of the description is the subject in Exchange and
//! the rest the body. Newer ones have one, which is then used.

use daybridge_rule::prelude::*;

struct SubjectLine;

impl Rule for SubjectLine {
    fn describe() -> Description {
        Description::new("Makes the subject in Exchange from the first line of the CRM description, and back")
            .reads(["subject", "body"])
            .setting(Setting::choice(
                "mode",
                &["auto", "first-line", "field"],
                "auto: the CRM subject, or the first line of the description where it is blank; first-line: always the \
                 first line of the description; field: always the CRM subject",
            ))
    }

    fn apply(context: &Context, source: &Appointment, draft: &mut Draft) -> Answer {
        let mode = context.setting_text("mode");
        match (context.direction, mode.as_str()) {
            (Direction::CrmToExchange, "auto") if source.subject.trim().is_empty() => split(draft),
            (Direction::CrmToExchange, "first-line") => split(draft),
            (Direction::ExchangeToCrm, "first-line") => join(draft),
            _ => {}
        }
        pass()
    }
}

/// First line to the subject, the rest to the body. A blank description leaves the subject alone.
fn split(draft: &mut Draft) {
    let text = draft.body.trim_start();
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    if !first.is_empty() {
        (draft.subject, draft.body) = (first.trim_end().to_owned(), rest.trim_start_matches(['\r', '\n']).to_owned());
    }
}

/// Subject and body as one description.
fn join(draft: &mut Draft) {
    draft.body = match (draft.subject.as_str(), draft.body.as_str()) {
        (subject, "") => subject.to_owned(),
        ("", body) => body.to_owned(),
        (subject, body) => format!("{subject}\n{body}"),
    };
}

export!(SubjectLine);

#[cfg(test)]
mod tests {
    use daybridge_rule::native::Test;

    use super::*;

    fn check(test: &Test<SubjectLine>, subject: &str, body: &str, expected: (&str, &str)) {
        let source = Appointment { body: body.into(), ..Appointment::new(subject) };
        let draft = test.draft(&source);
        assert_eq!((draft.subject.as_str(), draft.body.as_str()), expected, "from {subject:?}, {body:?}");
    }

    #[test]
    fn to_exchange() {
        let auto = Test::<SubjectLine>::crm_to_exchange();
        check(&auto, "Budget", "Room 4\nBring figures", ("Budget", "Room 4\nBring figures"));
        check(&auto, " ", "Budget\r\n\r\nBring figures", ("Budget", "Bring figures"));
        check(&auto, "", "Budget", ("Budget", ""));
        check(&auto, "", "", ("", ""));
        let first = Test::<SubjectLine>::crm_to_exchange().setting("mode", "first-line");
        check(&first, "ignored", "Budget\nBring figures", ("Budget", "Bring figures"));
        check(&first, "Budget", "", ("Budget", ""));
        let field = Test::<SubjectLine>::crm_to_exchange().setting("mode", "field");
        check(&field, "", "Budget\nBring figures", ("", "Budget\nBring figures"));
    }

    #[test]
    fn to_the_crm() {
        check(&Test::exchange_to_crm(), "Budget", "Bring figures", ("Budget", "Bring figures"));
        let first = Test::<SubjectLine>::exchange_to_crm().setting("mode", "first-line");
        check(&first, "Budget", "Bring figures", ("Budget", "Budget\nBring figures"));
        check(&first, "Budget", "", ("Budget", "Budget"));
        check(&first, "", "Bring figures", ("", "Bring figures"));
    }
}
