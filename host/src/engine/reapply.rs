//! What the rules in force would make different in a pair that nobody changed: rules were replaced, or their settings.
//!
//! A merge carries over what moved, and swapping a rule moves nothing. Here the target's copy is held against the rules' draft itself. A field
//! is made anew if a rule sets it (the draft differs from the source), or if the source has this field at all, so that its copy is the
//! rules' to make; never if the target's people changed it since both sides last agreed, and not what only the target has.
//! Promises: pure; a value the target already shows is never written. Must not know: who runs the rules, when this is asked for.

use std::collections::BTreeSet;

use super::merge::{carried, moved, people, same_people, same_value};
use crate::model::{Appointment, Field, Patch, Side, Value};

/// One way of a pair.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    pub to: Side,
    pub source: &'a Appointment,
    /// What the rules in force make of the source.
    pub draft: &'a Appointment,
    /// The target's copy as it is.
    pub target: &'a Appointment,
    /// The target's copy as last agreed.
    pub agreed: &'a Appointment,
    /// Fields that the sides cannot hold or let nobody write.
    pub source_unwritable: &'a [Field],
    pub target_unwritable: &'a [Field],
    /// The appointment was born on the source's side. On the way back only what a rule sets is made anew, and of that only what the other
    /// side does not hold: a text of the attendees' answers in the CRM, for example.
    pub from_birth: bool,
}

/// What would be written, and what is left as the target's people have it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Anew {
    pub patch: Patch,
    pub kept: BTreeSet<Field>,
}

/// The fields of the target that the rules in force make different.
pub fn anew(way: &Way<'_>) -> Anew {
    let mut anew = Anew::default();
    for field in moved(way.target, way.draft) {
        let (value, shown) = (way.draft.get(&field), way.target.get(&field));
        let set_by_rule = !same_value(&value, &way.source.get(&field));
        let custom = matches!(field, Field::Custom(_));
        let source_has = !way.source_unwritable.contains(&field);
        let wanted = match (&field, way.from_birth) {
            (Field::Attendees, _) => attendees(way),
            (Field::Categories, true) if !source_has => set_by_rule.then(|| categories(way)),
            (_, true) => (set_by_rule || (source_has && !custom)).then_some(value),
            // What the side of birth has of its own goes the first way alone.
            (_, false) => (set_by_rule && (!source_has || custom)).then_some(value),
        };
        let Some(value) = wanted else { continue };
        if way.target_unwritable.contains(&field) || same_value(&value, &shown) || same_words(&value, &shown) {
            continue;
        }
        let agreed = way.agreed.get(&field);
        if same_value(&shown, &agreed) {
            anew.patch.set.insert(field, value);
        } else if !same_value(&value, &agreed) && !same_words(&value, &agreed) {
            // Somebody changed it, and the rules would have, too: the merge gives it to whom it belongs.
            anew.kept.insert(field);
        }
    }
    anew
}

/// The people the rules add to the source's or leave out of them; the target's other people stay. What the source's people are is the
/// merge's affair, so that nobody is invited again who was taken off a list.
fn attendees(way: &Way<'_>) -> Option<Value> {
    if !way.from_birth || same_people(&way.source.attendees, &way.draft.attendees) {
        return None;
    }
    let list = carried(Some(&way.source.attendees), &way.draft.attendees, &way.target.attendees, way.to);
    Some(people(list))
}

/// The target's own categories, with those the rules add and without those they take away: people put categories on what is theirs.
fn categories(way: &Way<'_>) -> Value {
    let [source, draft, target] =
        [way.source, way.draft, way.target].map(|one| one.categories.iter().cloned().collect::<BTreeSet<String>>());
    let kept = target.into_iter().filter(|category| draft.contains(category) || !source.contains(category));
    let all: BTreeSet<String> = kept.chain(draft.difference(&source).cloned()).collect();
    if all.is_empty() { Value::Empty } else { Value::Texts(all.into_iter().collect()) }
}

/// Texts that differ in white space alone: servers keep line ends and blanks as they like.
fn same_words(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (text(a), text(b)) else { return false };
    a.split_whitespace().eq(b.split_whitespace())
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Empty => Some(""),
        Value::Text(text) => Some(text),
        Value::Body(body) => Some(&body.text),
        _ => None,
    }
}
