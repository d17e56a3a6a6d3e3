//! Copies reminders, or keeps them where they were set.

use daybridge_rule::prelude::*;

struct Reminders;

impl Rule for Reminders {
    fn describe() -> Description {
        Description::new("Copies reminders to the other side, if wanted").reads(["reminder"]).setting(Setting::flag(
            "copy-reminders",
            true,
            "Copy Reminders: the other side reminds too",
        ))
    }

    fn apply(context: &Context, _: &Appointment, draft: &mut Draft) -> Answer {
        if !context.setting_flag("copy-reminders") {
            draft.reminder = None;
        }
        pass()
    }
}

export!(Reminders);

#[cfg(test)]
mod tests {
    use daybridge_rule::native::Test;

    use super::*;

    #[test]
    fn copies_only_if_wanted() {
        let source = Appointment { reminder: Some(15), ..Appointment::new("Budget") };
        for test in [Test::<Reminders>::crm_to_exchange(), Test::exchange_to_crm()] {
            assert_eq!(test.draft(&source).reminder, Some(15));
            assert_eq!(test.setting("copy-reminders", false).draft(&source).reminder, None);
        }
    }
}
