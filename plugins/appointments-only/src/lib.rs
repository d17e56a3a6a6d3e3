//! Leaves out what the sync does not carry: recurring appointments, which are not flattened into single ones by accident.

use daybridge_rule::prelude::*;

struct AppointmentsOnly;

impl Rule for AppointmentsOnly {
    fn describe() -> Description {
        Description::new("Leaves out recurring appointments").reads(["recurrence"])
    }

    fn apply(_: &Context, source: &Appointment, _: &mut Draft) -> Answer {
        if source.recurrence.is_some() {
            return skip("it is a recurring appointment; only single appointments are synchronized");
        }
        pass()
    }
}

export!(AppointmentsOnly);

#[cfg(test)]
mod tests {
    use daybridge_rule::native::Test;

    use super::*;

    #[test]
    fn only_single_appointments_pass() {
        let single = Appointment::new("Budget");
        let series = Appointment { recurrence: Some("FREQ=WEEKLY".into()), ..single.clone() };
        for test in [Test::<AppointmentsOnly>::crm_to_exchange(), Test::exchange_to_crm()] {
            assert_eq!(test.apply(&single), Ok(Draft::of(&single)));
            assert!(matches!(test.apply(&series), Err(Stop::Skip(reason)) if reason.contains("recurring")));
        }
    }
}
