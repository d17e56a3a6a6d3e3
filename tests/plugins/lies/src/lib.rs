//! A guest written against the bare contract, whose answers break its rules as the appointment's subject says.
#![allow(unsafe_code, reason = "the bare bindings")]

#[cfg(target_arch = "wasm32")]
mod lies {
    use daybridge_rule::bindings::daybridge::rules::lookup;
    use daybridge_rule::bindings::daybridge::rules::types::{
        Call, Choice, Conflict, Description, Explanation, Failure, Field, Hook, LookupKind, Person, Resolution, User,
        Value, Verdict,
    };
    use daybridge_rule::bindings::exports::daybridge::rules::hooks::Guest;

    struct Lies;

    impl Guest for Lies {
        fn describe() -> Description {
            Description {
                name: "lies".into(),
                version: "9".into(),
                purpose: "Lies".into(),
                hooks: vec![Hook::Apply, Hook::Resolve, Hook::MatchUser],
                directions: vec![daybridge_rule::Direction::CrmToExchange, daybridge_rule::Direction::ExchangeToCrm],
                reads: vec!["subject".into()],
                settings_schema: String::new(),
                lookups: vec![LookupKind::Users],
                more: Vec::new(),
            }
        }

        fn apply(_: Call, source: Vec<Field>, _: Vec<Field>) -> Verdict {
            let edit = |name: &str, value| Verdict::Pass(vec![Field { name: name.into(), value }]);
            let subject = source.into_iter().find(|field| field.name == "subject").map(|field| field.value);
            match subject {
                Some(Value::Text(text)) if text == "unknown" => edit("colour", Value::Text("red".into())),
                Some(Value::Text(text)) if text == "kind" => edit("subject", Value::Flag(true)),
                Some(Value::Text(text)) if text == "mail" => edit("mail-allowed", Value::Flag(true)),
                Some(Value::Text(text)) if text == "look up" => edit("location", look_up()),
                _ => Verdict::Pass(Vec::new()),
            }
        }

        fn resolve(_: Call, _: Vec<Field>, _: Vec<Conflict>) -> Vec<Resolution> {
            vec![
                Resolution { field: "body".into(), choice: Choice::Crm },
                Resolution { field: "subject".into(), choice: Choice::Other(Value::Number(1)) },
            ]
        }

        fn explain(_: Failure) -> Option<Explanation> {
            None
        }

        fn match_user(_: Person, _: Vec<User>) -> Option<String> {
            Some("nobody's id".into())
        }
    }

    fn look_up() -> Value {
        let user = lookup::user_by_address("Terry@Example.com");
        let caption = lookup::caption("comm_status", "Pending");
        Value::Text(format!("{:?} {caption:?}", user.map(|user| user.map(|user| user.logon))))
    }

    daybridge_rule::bindings::export_hooks!(Lies with_types_in daybridge_rule::bindings);
}
