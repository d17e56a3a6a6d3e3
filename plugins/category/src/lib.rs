//! Marks what comes from the CRM with a category in Exchange. An example; not in the default chain.

use daybridge_rule::prelude::*;

struct Category;

impl Rule for Category {
    fn describe() -> Description {
        Description::new("Adds a category to what goes to Exchange")
            .directions([Direction::CrmToExchange])
            .reads(["categories"])
            .setting(Setting::text("name", "CRM", "The category to add"))
    }

    fn apply(context: &Context, _: &Appointment, draft: &mut Draft) -> Answer {
        draft.add_category(context.setting_text("name"));
        pass()
    }
}

export!(Category);

#[cfg(test)]
mod tests {
    use daybridge_rule::native::Test;

    use super::*;

    #[test]
    fn adds_its_category_once() {
        let source = Appointment { categories: vec!["Sales".into()], ..Appointment::new("Budget") };
        let draft = Test::<Category>::crm_to_exchange().draft(&source);
        assert_eq!(draft.categories, ["Sales", "CRM"]);
        let draft = Test::<Category>::crm_to_exchange().setting("name", "Sales").draft(&source);
        assert_eq!(draft.categories, ["Sales"]);
    }
}
