//! What the CRM knows and Exchange must not: company, person and case, the responses column, and every custom column.

use daybridge_rule::prelude::*;

struct InsideOnly;

impl Rule for InsideOnly {
    fn describe() -> Description {
        Description::new("Keeps company, person, responses and custom columns inside the CRM")
            .directions([Direction::CrmToExchange])
            .reads(["regarding", "responses", "custom.*"])
    }

    fn apply(_: &Context, _: &Appointment, draft: &mut Draft) -> Answer {
        draft.regarding.clear();
        draft.responses.clear();
        draft.custom.clear();
        pass()
    }
}

export!(InsideOnly);

#[cfg(test)]
mod tests {
    use daybridge_rule::native::Test;

    use super::*;

    #[test]
    fn nothing_of_the_crm_alone_gets_out() {
        let mut source = Appointment::new("Budget");
        source.regarding = vec![Link { entity: "company".into(), id: "7".into(), name: "Acme".into() }];
        source.responses = "Terry Smith: accepted".into();
        source.custom.insert("comm_x", Scalar::Text("secret".into()));
        let draft = Test::<InsideOnly>::crm_to_exchange().draft(&source);
        assert_eq!(draft, Draft::of(&Appointment::new("Budget")));
    }
}
