//! A guest that does what its setting `act` says, mostly harm.

use std::cell::Cell;

use daybridge_rule::prelude::*;

struct Misbehaves;

thread_local! {
    /// Must never be seen above 1: nothing is kept from one call to the next.
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
            #[cfg(target_arch = "wasm32")]
            "hoard" => memory::hoard(usize::try_from(number).unwrap_or(0)),
            #[cfg(target_arch = "wasm32")]
            "recall" => draft.location = memory::recall().to_string(),
            #[cfg(target_arch = "wasm32")]
            "fingerprint" => draft.location = memory::fingerprint(),
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

/// What a rule can do to remember, and to see whether it does.
#[cfg(target_arch = "wasm32")]
mod memory {
    #![expect(unsafe_code, reason = "looks where no rule is meant to look")]

    use std::hint::black_box;
    use std::sync::atomic::{AtomicU64, Ordering};

    static KEPT: [AtomicU64; 512] = [const { AtomicU64::new(0) }; 512];
    const MARK: u64 = 0x5ca1_ab1e_c0ff_ee11;

    /// Writes a mark wherever it can: into variables, onto the stack, and onto the heap so many words of it.
    pub fn hoard(words: usize) {
        let mark = black_box(MARK);
        KEPT.iter().for_each(|kept| kept.store(mark, Ordering::Relaxed));
        std::mem::forget(vec![mark; words]);
        deep(mark, 64);
    }

    #[inline(never)]
    fn deep(mark: u64, depth: u32) {
        let marks = black_box([mark; 64]);
        if depth > 0 {
            deep(mark, depth - 1);
        }
        black_box(marks);
    }

    /// How many marks there are in all of its memory. The mark itself is never in memory here.
    pub fn recall() -> usize {
        words().filter(|word| word.rotate_left(9) == MARK.rotate_left(9)).count()
    }

    /// A number that depends on all of its memory, on how much there is, and on where its stack is.
    pub fn fingerprint() -> String {
        let here = 0_u8;
        let stack = black_box(&raw const here).addr() as u64;
        let hash = words().fold(stack, |hash, word| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3));
        format!("{hash:016x}")
    }

    /// All of its memory but for its first two words, which no Rust program can read: 0 is no address.
    fn words() -> impl Iterator<Item = u64> {
        let size = core::arch::wasm32::memory_size(0) * 65536;
        // SAFETY: aligned, and within the memory; whatever lies there is a number.
        (16..size).step_by(8).map(|at| unsafe { (at as *const u64).read_volatile() })
    }
}

export!(Misbehaves, apply, resolve, explain, match_user);
