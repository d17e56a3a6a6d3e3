//! A guest that does what its setting `act` says, mostly harm.

use std::cell::Cell;

use daybridge_rule::prelude::*;

struct Misbehaves;

thread_local! {
    /// Must never be seen above 1: an instance lives for one call.
    static CALLS: Cell<i64> = const { Cell::new(0) };
}

impl Rule for Misbehaves {
    fn describe() -> Description {
        Description::new("Does harm").setting(Setting::text("act", "nothing", "What to do")).setting(Setting::number(
            "number",
            0,
            "How much of it",
        ))
    }

    fn apply(context: &Context, source: &Appointment, draft: &mut Draft) -> Answer {
        let number = context.setting_number("number");
        let act = context.setting_text("act");
        let act = if act == "as-told" { source.subject.clone() } else { act };
        match act.as_str() {
            "loop" => loop {
                std::hint::black_box(());
            },
            "allocate" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(std::hint::black_box(vec![1_u8; 1 << 20]));
                }
            }
            "recurse" => draft.location = recurse(number).to_string(),
            "recurse-wide" => draft.location = recurse_wide([number; 512]).to_string(),
            "panic" => panic!("no such \u{202e}case: {number}"),
            #[cfg(target_arch = "wasm32")]
            "trap" => core::arch::wasm32::unreachable(),
            "overflow" => draft.location = "x".as_bytes()[usize::try_from(number).unwrap_or(9)].to_string(),
            // Harm at some appointments only.
            "poison" if source.subject.contains("poison") => panic!("poison"),
            "log" => (0..number).for_each(|line| context.info(&format!("line {line} of a very talkative rule"))),
            "log-long" => context.info(&"x".repeat(usize::try_from(number).unwrap_or(0))),
            "talk" => {
                context.debug("a detail");
                context.info("a fact");
                context.warn("a doubt");
            }
            "answer" => draft.body = "x".repeat(usize::try_from(number).unwrap_or(0)),
            "answer-many" => draft.categories = (0..number).map(|n| n.to_string()).collect(),
            "count" => {
                CALLS.set(CALLS.get() + 1);
                draft.custom.insert("calls", Scalar::Number(CALLS.get()));
            }
            "skip" => return skip("it says \u{1b}[31mso"),
            "hold" => return hold(90, "not yet"),
            "refuse" => return Err(Refusal::new("no-case", "There is no case").field("regarding").retry().into()),
            "refuse-for-good" => return Err(Refusal::new("no-case", "There is no case").into()),
            "lookup" => draft.location = format!("{:?}", context.user("4")),
            _ => draft.add_category("seen"),
        }
        pass()
    }

    fn resolve(_: &Context, _: &Appointment, conflict: &Conflict) -> Option<Choice> {
        match conflict.field.as_str() {
            "subject" => Some(Choice::Crm),
            "location" => Some(Choice::Other(Value::Text("both".into()))),
            _ => None,
        }
    }

    fn explain(context: &Context, failure: &Failure) -> Option<Explanation> {
        assert!(context.setting_text("act") != "speechless", "no words");
        (failure.code == "no-case").then(|| Explanation::new("No case", "It has none", "Give it one"))
    }

    fn match_user<'a>(_: &Context, person: &Person, candidates: &'a [User]) -> Option<&'a User> {
        candidates.iter().find(|user| user.logon == person.name)
    }
}

#[inline(never)]
fn recurse(depth: i64) -> i64 {
    if std::hint::black_box(depth) < 0 {
        return depth;
    }
    depth + recurse(std::hint::black_box(depth + 1)) % 7
}

/// As above, with so much on the stack in memory that this one is used up first.
#[inline(never)]
fn recurse_wide(mut values: [i64; 512]) -> i64 {
    std::hint::black_box(&mut values)[0] += 1;
    let below = if std::hint::black_box(values[0]) < 0 { 0 } else { recurse_wide(values) };
    std::hint::black_box(&values)[1] + below % 7
}

export!(Misbehaves, apply, resolve, explain, match_user);
