//! Marks subjects that come from the CRM. An example; not in the default chain.

use daybridge_rule::prelude::*;

struct SubjectTag;

impl Rule for SubjectTag {
    fn describe() -> Description {
        Description::new("Puts a tag before subjects in Exchange, and takes it off on the way back")
            .reads(["subject"])
            .setting(Setting::text("tag", "[CRM] ", "Text before the subject"))
    }

    fn apply(context: &Context, _: &Appointment, draft: &mut Draft) -> Answer {
        let tag = context.setting_text("tag");
        let bare = draft.subject.strip_prefix(&tag).unwrap_or(&draft.subject);
        draft.subject = match context.direction {
            Direction::CrmToExchange => format!("{tag}{bare}"),
            Direction::ExchangeToCrm => bare.to_owned(),
        };
        pass()
    }
}

export!(SubjectTag);

#[cfg(test)]
mod tests {
    use daybridge_rule::native::Test;

    use super::*;

    #[test]
    fn there_and_back() {
        let there = Test::<SubjectTag>::crm_to_exchange().draft(&Appointment::new("Budget"));
        assert_eq!(there.subject, "[CRM] Budget");
        assert_eq!(Test::<SubjectTag>::crm_to_exchange().draft(&there).subject, "[CRM] Budget");
        assert_eq!(Test::<SubjectTag>::exchange_to_crm().draft(&there).subject, "Budget");
        let other = Test::<SubjectTag>::crm_to_exchange().setting("tag", "Sage: ");
        assert_eq!(other.draft(&Appointment::new("Budget")).subject, "Sage: Budget");
    }
}
