//! Private stays private on both sides.

use daybridge_rule::prelude::*;

struct Privacy;

impl Rule for Privacy {
    fn describe() -> Description {
        Description::new("Private stays private; personal and confidential in Exchange are private in the CRM")
            .reads(["sensitivity", "body"])
            .setting(Setting::flag("mask-body", false, "Keep the description of private appointments inside the CRM"))
    }

    fn apply(context: &Context, source: &Appointment, draft: &mut Draft) -> Answer {
        if source.is_private() {
            // The CRM knows private or not, nothing between.
            draft.sensitivity = Sensitivity::Private;
            if context.direction == Direction::CrmToExchange && context.setting_flag("mask-body") {
                draft.body.clear();
            }
        }
        pass()
    }
}

export!(Privacy);

#[cfg(test)]
mod tests {
    use daybridge_rule::native::Test;

    use super::*;

    fn source(sensitivity: Sensitivity) -> Appointment {
        Appointment { sensitivity, body: "Salary".into(), ..Appointment::new("Talk") }
    }

    #[test]
    fn whatever_is_not_normal_is_private() {
        for (from, to) in [
            (Sensitivity::Normal, Sensitivity::Normal),
            (Sensitivity::Personal, Sensitivity::Private),
            (Sensitivity::Private, Sensitivity::Private),
            (Sensitivity::Confidential, Sensitivity::Private),
        ] {
            let draft = Test::<Privacy>::exchange_to_crm().draft(&source(from));
            assert_eq!((draft.sensitivity, draft.body.as_str()), (to, "Salary"), "{from:?}");
        }
    }

    #[test]
    fn a_masked_body_stays_in_the_crm() {
        let test = Test::<Privacy>::crm_to_exchange().setting("mask-body", true);
        assert_eq!(test.draft(&source(Sensitivity::Private)).body, "");
        assert_eq!(test.draft(&source(Sensitivity::Normal)).body, "Salary");
        assert_eq!(Test::<Privacy>::crm_to_exchange().draft(&source(Sensitivity::Private)).body, "Salary");
        let back = Test::<Privacy>::exchange_to_crm().setting("mask-body", true);
        assert_eq!(back.draft(&source(Sensitivity::Private)).body, "Salary");
    }
}
