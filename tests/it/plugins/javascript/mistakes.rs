//! What an author is told of a mistake, and what ends a script that does not end by itself.

use daybridge::model::Direction::CrmToExchange;
use daybridge::plugin::{Limits, RuleEntry};
use daybridge::rules::{Call, FaultKind};
use serde_json::json;

use super::super::support::{appointment, passed};
use super::{applying, body, entry, fault, full, load, script};

fn panic_at(message: &str, place: &str) -> FaultKind {
    FaultKind::Panic { message: message.into(), place: place.into() }
}

/// What an author is told of a mistake that shows in a call.
#[tokio::test]
async fn r09_a_mistake_in_a_call_names_file_line_and_column() {
    for (of, message, place) in [
        ("const a = null;\n  a.here;", "TypeError: cannot read property 'here' of null", "x.js:3:5"),
        ("const f = () => nowhere();\nf();", "ReferenceError: nowhere is not defined", "x.js:2:17"),
        ("throw new Error('own words');", "own words", "x.js:2:11"),
        ("throw 'words';", "words", "x.js"),
        ("draft.subjct = 'a';", "draft has no subjct; did you mean subject?", "x.js:2:1"),
        ("if (appointment.show_as) skip('a');", "appointment has no show_as; did you mean showAs?", "x.js:2:17"),
        ("appointment.subject = 'a';", "appointment.subject is for reading; change draft.subject", "x.js:2:1"),
        ("draft.subject = 7;", "draft.subject must be a text, not 7", "x.js:2:1"),
        ("draft.reminder = '15';", "draft.reminder must be a whole number of minutes, or null, not a text", "x.js:2:1"),
        (
            "draft.showAs = 'Busy';",
            r#"draft.showAs must be one of "busy", "free", "tentative", "out-of-office", "working-elsewhere", not "Busy""#,
            "x.js:2:1",
        ),
        ("draft.location = undefined;", "draft.location must be a value, or null for none, not undefined", "x.js:2:1"),
        (
            "draft.custom.level = 1.5;",
            "draft.custom.level must be a text, a whole number, true, false, or null for none, not 1.5",
            "x.js:2:1",
        ),
        (
            "draft.attendees = [{ address: 'a', kind: 'req' }];",
            r#"draft.attendees[0].kind must be one of "required", "optional", "resource", not "req""#,
            "x.js:2:1",
        ),
        // Found after the function ended: its own place is what can be named.
        ("draft.categories.push(7);", "draft.categories[1] must be a text, not 7", "x.js:1:18"),
        ("context.settings.word;", "context.settings has no word; there are: ", "x.js:2:1"),
        (
            "refuse('Choose a case');",
            r#"refuse() needs a code and words for people: refuse("no-case", "Choose a case"), not undefined"#,
            "x.js:2:1",
        ),
        ("new Date();", "a rule has no clock: the same appointment must give the same answer at any time", "x.js:2:1"),
        ("Date.now();", "a rule has no clock: the same appointment must give the same answer at any time", "x.js:2:1"),
        (
            "Math.random();",
            "a rule has no chance: the same appointment must give the same answer every time",
            "x.js:2:1",
        ),
        (
            "context.lookup.userById('4');",
            "looking up users was not asked for: add lookups: [\"users\"] to the rule, and to its entry in the configuration",
            "x.js:2:1",
        ),
        ("return Promise.resolve();", "apply must not be async: a rule has nothing to wait for", "x.js:1:18"),
        ("const f = (n) => 1 + f(n + 1);\nf(0);", "RangeError: Maximum call stack size exceeded", "x.js:2:"),
    ] {
        let kind = fault(&applying(of), &full()).await;
        let FaultKind::Panic { message: said, place: at } = &kind else { panic!("{of}: {kind:?}") };
        println!("{of} -> {said} ({at})");
        assert_eq!(said, message, "{of}");
        // The column within a statement is the engine's affair; the line is what an author needs.
        let line = |place: &str| place.rsplit_once(':').map_or(place.to_owned(), |(line, _)| line.to_owned());
        assert_eq!(line(at), line(place), "{of}");
        assert_eq!(at.matches(':').count(), place.matches(':').count(), "{of}: {at}");
    }
    let reads = script(
        "export default {\n  reads: ['subject'],\n  apply(appointment, draft) { draft.subject = appointment.body; }\n};",
    );
    let told = "appointment.body is not shown to this rule: name it in reads";
    assert_eq!(fault(&reads, &full()).await, panic_at(told, "x.js:3:47"));
}

#[test]
fn a_script_that_is_refused_is_told_where_in_one_line() {
    let refused = |source: &[u8]| {
        let refused = load(source, entry(json!({}))).map(|_| ()).expect_err("a refusal");
        assert_eq!(refused.lines().count(), 1, "{refused}");
        refused.strip_prefix("rule file x.js ").expect("names the file").to_owned()
    };
    let mistakes = [
        ("export default {\n  apply() { let = 1; }\n};", "x.js:2:17: SyntaxError: variable name expected"),
        ("const a = ;", "x.js:1:11: SyntaxError: unexpected token in expression: ';'"),
        ("", "x.js: the script must export the rule: export default { apply(appointment, draft) { ... } }"),
        ("export default {\n  aply() {}\n};", "x.js:2:3: the rule has no aply; did you mean apply?"),
        ("export default { setings: {}, apply() {} };", "x.js:1:30: the rule has no setings; did you mean settings?"),
        (
            "export default { name: 'a' };",
            "x.js: the rule does nothing: give it one of apply, resolve, explain, matchUser",
        ),
        ("export default { name: 7, apply() {} };", "x.js:1:26: name must be a text, not 7"),
        (
            "export default { settings: { a: null }, apply() {} };",
            "x.js:1:40: settings.a must be a default (a text, a number, true, false or a list of texts) or { type, default, description }, not null",
        ),
        (
            "export default { reads: ['show_as'], apply() {} };",
            "x.js:1:37: reads has no field show_as; did you mean showAs?",
        ),
        ("x.y;\nexport default { apply() {} };", "x.js:1:1: ReferenceError: x is not defined"),
        (
            "import x from './y.js';\nexport default { apply() {} };",
            "x.js: a script is one file and cannot import another: 'y.js'",
        ),
        (
            "await new Promise(() => {});\nexport default { apply() {} };",
            "x.js: a script cannot await: a rule has nothing to wait for",
        ),
    ];
    for (source, told) in mistakes {
        assert_eq!(refused(source.as_bytes()), format!("has a mistake at {told}"), "{source}");
    }
    assert_eq!(refused(b"while (true);"), "does not start: ran longer than 500ms");
    assert_eq!(refused(b"// \xff"), "is not text in UTF-8 (its byte 3 is not); save it with that encoding");
    let large = format!("// {}", "x".repeat(256 << 10));
    assert_eq!(refused(large.as_bytes()), "has 262147 bytes, more than the 262144 a script may have");
    assert!(load(format!("\u{feff}{}", body("")), entry(json!({}))).is_ok(), "a byte order mark is no mistake");
    // Whatever the compiler is given, it ends and says so.
    for deep in ["(".repeat(200_000), "[".repeat(200_000), format!("a{}", "+a".repeat(100_000)), "{".repeat(200_000)] {
        let told = refused(deep.as_bytes());
        assert!(told.len() < 300, "{told}");
    }
}

#[tokio::test]
async fn whatever_a_script_does_a_limit_ends_it() {
    let memory = Limits::default().memory;
    let long = Limits { deadline: Limits::MAXIMUM.deadline, ..Limits::default() };
    let check = |of: &'static str, limits: Limits| async move {
        let chain = load(body(of), RuleEntry { limits, ..entry(json!({})) }).expect("a chain");
        let kind = fault(&chain, &appointment()).await;
        println!("{of}: {kind:?}");
        kind
    };
    let deadline = FaultKind::Deadline { limit: Limits::default().deadline };
    assert_eq!(check("while (true);", Limits::default()).await, deadline);
    assert_eq!(check("try { while (true); } finally { while (true); }", Limits::default()).await, deadline);
    assert_eq!(check("/(a+)+$/.test('a'.repeat(40) + 'b');", Limits::default()).await, deadline);
    for of in ["const a = []; while (true) a.push(new Array(1000).fill(1));", "new Uint8Array(1e9);"] {
        let kind = check(of, long.clone()).await;
        assert!(matches!(kind, FaultKind::Memory { limit, .. } if limit == memory), "{kind:?}");
    }
    let kind = check("JSON.parse('['.repeat(100000));", long.clone()).await;
    assert!(matches!(kind, FaultKind::Stack { .. } | FaultKind::Panic { .. }), "{kind:?}");
    let output = FaultKind::Output { limit: Limits::default().answer };
    assert_eq!(check("draft.body = 'a'.repeat(2e6);", long.clone()).await, output);

    // What a script throws away is used again: this makes far more than its memory of garbage, in circles and not.
    let busy = "for (let i = 0; i < 3e5; i++) { const a = { i }; a.a = a; }\ndraft.subject = 'done';";
    let chain = load(body(busy), RuleEntry { limits: long.clone(), ..entry(json!({})) }).expect("a chain");
    assert_eq!(passed(&chain, CrmToExchange, &appointment()).await.appointment.subject, "done");

    let flood = load(
        body("for (let i = 0; i < 1000; i++) console.log(`line ${i} of a talkative rule`);"),
        RuleEntry { limits: long, ..entry(json!({})) },
    );
    let trace =
        flood.expect("a chain").trace(Call { id: "crm:1", direction: CrmToExchange, source: &appointment() }).await;
    let (last, kept) = trace.steps[0].lines.split_last().expect("lines");
    assert!(last.text.ends_with(" bytes dropped") && kept.len() < 1000, "{last:?}");
}
