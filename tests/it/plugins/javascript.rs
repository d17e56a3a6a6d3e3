//! Rules that are scripts: what they can do, what stops them, what their author is told, and how soon a saved one is in force.

mod mistakes;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybridge::lifecycle::Tasks;
use daybridge::model::{
    Address, Appointment, Body, Direction, Field, Link, Person, Response, Scalar, ShowAs, Time, User, UserId, Value,
};
use daybridge::plugin::lookup::{Kind, LookupSource, Unavailable};
use daybridge::plugin::{Chain, ChainConfig, Compiler, Engine, EngineOptions, Live, Observers, RuleEntry, script};
use daybridge::rules::{Call, Conflict, Draft, Failure, FaultKind, NextStep, Resolution, Rules, Verdict};
use daybridge_tests::wait::{LIMIT, wait_for};
use daybridge_tests::{guests, program, typescript};
use serde_json::{Value as Json, json};

use super::support::{appointment, attendee, chain, engine, entry as rust_entry, judge, no_lookups, passed, settings};

use Direction::{CrmToExchange, ExchangeToCrm};

fn entry(given: Json) -> RuleEntry {
    RuleEntry { settings: settings(given), ..RuleEntry::new("x.js") }
}

fn load_with(source: impl AsRef<[u8]>, rule: RuleEntry, lookups: Arc<dyn LookupSource>) -> Result<Chain, String> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(&rule.file), source).expect("write a script");
    let config = ChainConfig { folder: Some(folder.path().to_owned()), rules: vec![rule] };
    Chain::load(&config, &engine(), &lookups).map_err(|error| error.to_string())
}

fn load(source: impl AsRef<[u8]>, rule: RuleEntry) -> Result<Chain, String> {
    load_with(source, rule, no_lookups())
}

#[track_caller]
fn script(source: &str) -> Chain {
    load(source, entry(json!({}))).unwrap_or_else(|refused| panic!("{refused}"))
}

/// A script whose `apply` has this body, which begins in line 2.
fn body(of: &str) -> String {
    format!("export default {{ apply(appointment, draft, context) {{\n{of}\n}} }};\n")
}

#[track_caller]
fn applying(of: &str) -> Chain {
    script(&body(of))
}

async fn fault(chain: &Chain, source: &Appointment) -> FaultKind {
    judge(chain, CrmToExchange, source).await.expect_err("a fault").kind
}

/// An appointment with something in every kind of field.
fn full() -> Appointment {
    let mut full = appointment();
    full.body = Body::plain("Room 4");
    full.organizer = Some(Person { name: "Susan".into(), address: Address::new("susan@example.com") });
    full.attendees = vec![attendee("Terry Smith", Response::Accepted), attendee("Mary Jones", Response::None)];
    full.reminder_minutes = Some(15);
    full.categories = vec!["Red".into()];
    full.regarding = vec![Link { entity: "case".into(), id: "7".into(), name: "Printer".into() }];
    full.custom.insert("comm_area".into(), Scalar::Text("North".into()));
    full.custom.insert("comm_level".into(), Scalar::Number(3));
    full.custom.insert("comm_done".into(), Scalar::Flag(true));
    full
}

/// What a script makes of the full appointment, against the same done in Rust.
async fn edited(of: &str, change: impl Fn(&mut Draft)) {
    let mut expected = Draft { appointment: full(), removed: false, mail_allowed: true };
    change(&mut expected);
    assert_eq!(passed(&applying(of), CrmToExchange, &full()).await, expected, "{of}");
}

#[tokio::test]
async fn a_script_reads_and_changes_every_kind_of_field() {
    edited("", |_| {}).await;
    // Looking at everything, and setting everything to what it is, changes nothing.
    edited(
        "for (const name in draft) { const value = draft[name]; if (name !== 'bodyHtml') draft[name] = value; }",
        |_| {},
    )
    .await;
    edited("draft.subject = `${appointment.subject}: ${appointment.regarding[0].name}`;", |draft| {
        draft.appointment.subject = "Budget: Printer".into();
    })
    .await;
    edited("draft.body = ''; draft.reminder = null; draft.organizer = null; draft.attendees = null;", |draft| {
        (draft.appointment.body, draft.appointment.reminder_minutes) = (Body::plain(""), None);
        (draft.appointment.organizer, draft.appointment.attendees) = (None, Vec::new());
    })
    .await;
    edited("draft.categories.push('CRM'); draft.showAs = 'out-of-office'; draft.reminder += 5;", |draft| {
        // The host keeps categories in order.
        draft.appointment.categories.insert(0, "CRM".into());
        (draft.appointment.show_as, draft.appointment.reminder_minutes) = (ShowAs::OutOfOffice, Some(20));
    })
    .await;
    edited("draft.custom.comm_area += '!'; draft.custom.comm_level++; delete draft.custom.comm_done; draft.custom.x = false;", |draft| {
        let custom = &mut draft.appointment.custom;
        custom.insert("comm_area".into(), Scalar::Text("North!".into()));
        custom.insert("comm_level".into(), Scalar::Number(4));
        custom.insert("x".into(), Scalar::Flag(false));
        custom.remove("comm_done");
    })
    .await;
    edited(
        "draft.attendees.push({ address: 'new@example.com' }); draft.attendees[0].response = 'declined';",
        |draft| {
            // Likewise attendees.
            let mut new = attendee("new", Response::None);
            new.person.name.clear();
            let mary = attendee("Mary Jones", Response::None);
            draft.appointment.attendees = vec![mary, new, attendee("Terry Smith", Response::Declined)];
        },
    )
    .await;
    edited("draft.removed = true; draft.mailAllowed = false;", |draft| {
        (draft.removed, draft.mail_allowed) = (true, false)
    })
    .await;
    let days = "draft.time = { first: '2026-11-24', last: '2026-11-25' };";
    let Time::AllDay { first, last } = passed(&applying(days), CrmToExchange, &full()).await.appointment.time else {
        panic!("not all day")
    };
    assert_eq!((first.to_string(), last.to_string()), ("2026-11-24".into(), "2026-11-25".into()));
    what_is_not_read_can_be_set().await;
    verdicts().await;
    a_rule_after_another_sees_its_draft().await;
}

async fn what_is_not_read_can_be_set() {
    let blind = script(
        "export default { reads: ['subject'], apply(appointment, draft) {\n\
         draft.body = null; draft.custom.comm_area = null; draft.custom.comm_level = 4; draft.reminder = null;\n} };",
    );
    let mut expected = Draft { appointment: full(), removed: false, mail_allowed: true };
    (expected.appointment.body, expected.appointment.reminder_minutes) = (Body::plain(""), None);
    expected.appointment.custom.remove("comm_area");
    expected.appointment.custom.insert("comm_level".into(), Scalar::Number(4));
    assert_eq!(passed(&blind, CrmToExchange, &full()).await, expected);
}

async fn verdicts() {
    let verdict =
        |of: &'static str| async move { judge(&applying(of), CrmToExchange, &full()).await.expect("a verdict") };
    let Verdict::Skip { reason, .. } = verdict("try { skip('private'); } catch {} draft.subject = 'not this';").await
    else {
        panic!("not skipped")
    };
    assert_eq!(reason, "private");
    let Verdict::Hold { after, reason, .. } = verdict("hold(90, 'not yet');").await else { panic!("not held") };
    assert_eq!((after, reason.as_str()), (Duration::from_secs(90), "not yet"));
    let refused = verdict("refuse('no-case', 'Choose a case', { field: 'showAs', retry: true });").await;
    let Verdict::Refuse(refusal) = refused else { panic!("not refused") };
    assert_eq!((refusal.code.as_str(), refusal.message.as_str()), ("no-case", "Choose a case"));
    assert_eq!((refusal.field.as_deref(), refusal.retry, refusal.rule.as_str()), (Some("show-as"), true, "x"));
}

async fn a_rule_after_another_sees_its_draft() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, of: &str| std::fs::write(folder.path().join(name), body(of)).expect("write");
    write(
        "a.js",
        "draft.subject = 'A'; draft.location = 'Room 4'; draft.custom.comm_area = null; draft.custom.new = 1;",
    );
    let seen =
        "[appointment.subject, draft.subject, draft.location, JSON.stringify(draft.custom), draft.reminder].join(' ')";
    write("b.js", &format!("draft.body = {seen}; draft.location = appointment.location;"));
    let rules = vec![RuleEntry::new("a.js"), RuleEntry::new("b.js")];
    let config = ChainConfig { folder: Some(folder.path().to_owned()), rules };
    let chain = Chain::load(&config, &engine(), &no_lookups()).expect("a chain");
    let draft = passed(&chain, CrmToExchange, &full()).await.appointment;
    assert_eq!(draft.body.text, r#"Budget A Room 4 {"comm_done":true,"comm_level":3,"new":1} 15"#);
    assert_eq!((draft.subject.as_str(), draft.location.as_str()), ("A", ""));
}

struct Users;

impl LookupSource for Users {
    fn user_by_id(&self, id: &str) -> Result<Option<User>, Unavailable> {
        Ok((id == "4").then(terry))
    }
    fn user_by_address(&self, _: &Address) -> Result<Option<User>, Unavailable> {
        Err(Unavailable)
    }
    fn caption(&self, family: &str, code: &str) -> Result<Option<String>, Unavailable> {
        Ok(Some(format!("{family}/{code}")))
    }
    fn key_value(&self, _: &str, _: &str) -> Result<Option<String>, Unavailable> {
        Ok(None)
    }
}

fn terry() -> User {
    User {
        id: UserId("4".into()),
        logon: "terry".into(),
        first_name: "Terry".into(),
        last_name: "Smith".into(),
        address: Address::new("terry@example.com"),
        active: true,
        resource: false,
    }
}

const EVERYTHING: &str = r#"
export default {
  name: "everything", version: "2.1.0", purpose: "Uses all there is",
  directions: ["crm-to-exchange"],
  settings: { word: "a", list: ["x"], flag: true, number: { type: "integer", default: 3, description: "How many" } },
  lookups: ["users", "captions"],
  apply(appointment, draft, { settings, lookup, key }) {
    console.warn("look", { at: 1 }, settings.list);
    const user = lookup.userById("4");
    draft.subject = [user.logon, lookup.userById("5"), lookup.caption("Comm_Area", "N"), key].join(" ");
    draft.body = JSON.stringify(settings);
    try { lookup.userByAddress("a@example.com"); } catch (error) { draft.location = error.message; }
  },
  resolve(conflict) {
    if (conflict.field === "subject") return { value: `${conflict.crm} / ${conflict.exchange} / ${conflict.base}` };
    if (conflict.field === "showAs") return "exchange";
    if (conflict.field === "custom.comm_level") return { value: conflict.crm + conflict.exchange };
  },
  explain({ code, attempts }) {
    if (code === "mailbox-full") return { title: `Full after ${attempts}`, next: "park" };
  },
  matchUser(person, candidates) {
    return candidates.find((user) => user.firstName + " " + user.lastName === person.name);
  },
};
"#;

#[tokio::test]
async fn a_script_has_settings_look_ups_the_log_and_all_hooks() {
    let mut rule = entry(json!({"word": "b"}));
    let refused = load(EVERYTHING, rule.clone()).expect_err("a refusal");
    assert!(refused.contains("wants to look up users, which is not granted"), "{refused}");
    rule.lookups = vec![Kind::Users, Kind::Captions];
    let chain = load_with(EVERYTHING, rule, Arc::new(Users)).expect("a chain");
    let about = &chain.list()[0];
    assert_eq!(
        (about.name.as_str(), about.version.as_str(), about.purpose.as_str()),
        ("everything", "2.1.0", "Uses all there is")
    );
    assert_eq!(
        (about.hooks.len(), about.directions.as_slice(), about.digest.len()),
        (4, [CrmToExchange].as_slice(), 64)
    );

    let trace = chain.trace(Call { id: "crm:4711", direction: CrmToExchange, source: &full() }).await;
    let lines: Vec<_> = trace.steps[0].lines.iter().map(|line| (line.level, line.text.as_str())).collect();
    assert_eq!(lines, [("warn", r#"look {"at":1} ["x"]"#)]);
    let Ok(Verdict::Pass(draft)) = trace.verdict else { panic!("{:?}", trace.verdict) };
    assert_eq!(draft.appointment.subject, "terry  Comm_Area/N crm:4711");
    let given: Json = serde_json::from_str(&draft.appointment.body.text).expect("JSON");
    assert_eq!(given, json!({"word": "b", "list": ["x"], "flag": true, "number": 3}));
    assert_eq!(draft.appointment.location, "the host cannot look up users at the moment");

    let text = |text: &str| Value::Text(text.into());
    let conflict = |field, base, crm, exchange| Conflict { field, base, crm, exchange };
    let number = |number| Value::Scalar(Scalar::Number(number));
    let conflicts = [
        conflict(Field::Subject, text("a"), text("b"), text("c")),
        conflict(
            Field::ShowAs,
            Value::ShowAs(ShowAs::Busy),
            Value::ShowAs(ShowAs::Free),
            Value::ShowAs(ShowAs::Tentative),
        ),
        conflict(Field::Custom("comm_level".into()), number(1), number(2), number(3)),
        conflict(Field::Location, text("a"), text("b"), text("c")),
    ];
    let decided = chain.resolve(&conflicts, Call { id: "crm:1", direction: CrmToExchange, source: &full() }).await;
    let decided = decided.expect("an answer");
    assert_eq!(decided.len(), 3);
    assert_eq!(decided[&Field::Subject], Resolution::Value(text("b / c / a")));
    assert_eq!(decided[&Field::ShowAs], Resolution::Exchange);
    assert_eq!(decided[&Field::Custom("comm_level".into())], Resolution::Value(number(5)));

    let explained = chain.explain(&failure("mailbox-full")).await.expect("an answer").expect("words");
    assert_eq!((explained.title.as_str(), explained.next), ("Full after 2", Some(NextStep::Park)));
    assert_eq!(chain.explain(&failure("throttled")).await, Ok(None));

    let known = |name: &str| Person { name: name.into(), address: Address::new("x@example.com") };
    let matched = chain.match_user(&known("Terry Smith"), &[terry()]).await;
    assert_eq!(matched, Ok(Some(UserId("4".into()))));
    assert_eq!(chain.match_user(&known("Mary Jones"), &[terry()]).await, Ok(None));
    the_examples_do_what_they_say().await;
}

fn failure(code: &str) -> Failure {
    Failure {
        code: code.into(),
        class: "park".into(),
        origin: "exchange".into(),
        message: "the server's words".into(),
        hint: String::new(),
        appointment: "crm:1".into(),
        attempts: 2,
    }
}

async fn the_examples_do_what_they_say() {
    let example = |name: &str, given: Json| {
        let source = std::fs::read(guests::plugins().join("javascript/examples").join(name)).expect("an example");
        load(source, RuleEntry { settings: settings(given), ..RuleEntry::new(name) })
            .unwrap_or_else(|refused| panic!("{refused}"))
    };
    let message = example("custom-message.js", json!({"helpdesk": "Anna (117)"}));
    let words = message.explain(&failure("mailbox-full")).await.expect("an answer").expect("words");
    assert_eq!((words.title.as_str(), words.text.as_str()), ("Your mailbox is full", "the server's words"));
    assert_eq!(words.hint, "Empty the folder Deleted Items, then ask Anna (117) to try again.");
    assert_eq!(message.explain(&failure("throttled")).await, Ok(None));
    let mut visit = full();
    visit.subject = "Support: printer".into();
    assert_eq!(passed(&message, CrmToExchange, &visit).await.appointment, visit);
    visit.regarding.clear();
    let verdict = judge(&message, CrmToExchange, &visit).await;
    assert!(matches!(&verdict, Ok(Verdict::Refuse(refusal)) if refusal.code == "no-case"), "{verdict:?}");

    let column = example("custom-column.js", json!({}));
    let there = passed(&column, CrmToExchange, &full()).await.appointment;
    assert_eq!(there.categories, ["Area: North", "Red"]);
    let mut moved = full();
    moved.categories = vec!["Area: South".into(), "Red".into()];
    let back = passed(&column, ExchangeToCrm, &moved).await.appointment;
    assert_eq!(
        (back.custom.get("comm_area"), back.categories),
        (Some(&Scalar::Text("South".into())), vec!["Red".to_owned()])
    );
}

#[tokio::test]
async fn nothing_carries_over_and_the_same_call_gives_the_same_answer() {
    let of = "globalThis.count = (globalThis.count ?? 0) + 1; Array.prototype.extra = (Array.prototype.extra ?? 0) + 1;\n\
              const names = Object.getOwnPropertyNames(globalThis).sort().join();\n\
              const order = [...new Map([[{}, 1], ['b', 2], [3, 3]]).values()].join();\n\
              draft.subject = [globalThis.count, [].extra, Date.UTC(2026, 0), new Date(0).toString(), order].join(' ');\n\
              draft.body = names;";
    let chain = applying(of);
    let first = passed(&chain, CrmToExchange, &appointment()).await;
    assert_eq!(first.appointment.subject, "1 1 1767225600000 Thu Jan 01 1970 00:00:00 GMT+0000 1,2,3");
    let names: Vec<&str> = first.appointment.body.text.split(',').collect();
    for name in ["console", "skip", "hold", "refuse"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for name in ["performance", "WeakRef", "setTimeout", "fetch", "require", "process", "std", "os"] {
        assert!(!names.contains(&name), "{name}");
    }
    for _ in 0..20 {
        assert_eq!(passed(&chain, CrmToExchange, &appointment()).await, first);
    }
    the_same_rule_in_both_languages_says_the_same().await;
}

/// The default rule `subject-line`, in JavaScript.
const SUBJECT_LINE: &str = r#"
export default {
  settings: { mode: { enum: ["auto", "first-line", "field"], default: "auto" } },
  apply(appointment, draft, { direction, settings: { mode } }) {
    if (direction === "crm-to-exchange") {
      if (mode === "first-line" || (mode === "auto" && appointment.subject.trim() === "")) split(draft);
    } else if (mode === "first-line") {
      draft.body = [draft.subject, draft.body].filter((text) => text !== "").join("\n");
    }
  },
};

function split(draft) {
  const text = draft.body.trimStart();
  const end = text.includes("\n") ? text.indexOf("\n") : text.length;
  if (text === "") return;
  draft.subject = text.slice(0, end).trimEnd();
  draft.body = text.slice(end).replace(/^[\r\n]+/, "");
}
"#;

async fn the_same_rule_in_both_languages_says_the_same() {
    for mode in ["auto", "first-line", "field"] {
        let script = load(SUBJECT_LINE, entry(json!({"mode": mode}))).expect("a chain");
        let rust = chain(vec![rust_entry("subject-line", json!({"mode": mode}))]);
        for direction in [CrmToExchange, ExchangeToCrm] {
            for (subject, text) in [
                ("Budget", "Room 4\nBring figures"),
                (" ", "Budget\r\n\r\nBring figures"),
                ("", "  Budget  "),
                ("", ""),
                ("Budget", ""),
                ("", "\n\nBring figures\nä"),
            ] {
                let mut source = full();
                (source.subject, source.body) = (subject.into(), Body::plain(text));
                let said = judge(&script, direction, &source).await;
                assert_eq!(said, judge(&rust, direction, &source).await, "{mode} {direction:?} {subject:?} {text:?}");
            }
        }
    }
    // Rough figures for whoever reads the test's output; the benchmark measures.
    let script = load(SUBJECT_LINE, entry(json!({}))).expect("a chain");
    let rust = chain(vec![rust_entry("subject-line", json!({}))]);
    for (name, chain) in [("JavaScript", &script), ("Rust", &rust), ("JavaScript", &script), ("Rust", &rust)] {
        let (started, worked) = (Instant::now(), processor_time());
        for _ in 0..200 {
            passed(chain, CrmToExchange, &full()).await;
        }
        let worked = (processor_time() - worked) / 200;
        println!("{name}: {:?} a call, {worked:?} of it on the processor", started.elapsed() / 200);
    }
    for number in 0..3 {
        let started = Instant::now();
        load(format!("{SUBJECT_LINE}// {number}"), entry(json!({}))).expect("a chain");
        println!("a new script loaded in {:?}", started.elapsed());
    }
}

/// What all threads of this process used of the processor, as Linux counts it; nothing elsewhere.
fn processor_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let used = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
    used.filter_map(|text| Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))).sum()
}

/// What takes a second is done before anybody saves a script.
#[tokio::test]
async fn the_engine_for_scripts_is_compiled_when_the_host_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Some(folder.path().join("compiled"));
    let options = EngineOptions { cache, compiler: Compiler::Program(program::path()), ..EngineOptions::default() };
    let engine = Engine::with(options).expect("an engine");
    let config = ChainConfig { folder: Some(folder.path().to_owned()), rules: Vec::new() };
    let live = Live::new(config, engine.clone(), no_lookups(), Observers::default()).expect("a chain without rules");
    assert_eq!(engine.compiled_count(), 0);
    let tasks = Tasks::new();
    live.watch(&tasks);
    wait_for("the engine is compiled", || async { (engine.compiled_count() == 1).then_some(()) }).await;
    // Waits for what is under way, and compiles nothing itself.
    std::fs::write(folder.path().join("x.js"), body("draft.subject = 'now';")).expect("write");
    let config = ChainConfig { folder: Some(folder.path().to_owned()), rules: vec![RuleEntry::new("x.js")] };
    live.configure(config).expect("a script");
    in_force(&live, "now").await;
    assert_eq!(engine.compiled_count(), 1);
    assert!(tasks.finish().await);
}

#[tokio::test]
async fn a_saved_script_is_in_force_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.js");
    let setting = |subject: &str| body(&format!("draft.subject = {subject:?};"));
    std::fs::write(&file, setting("first")).expect("write");
    let config = ChainConfig { folder: Some(folder.path().to_owned()), rules: vec![RuleEntry::new("x.js")] };
    let live = Live::new(config, engine(), no_lookups(), Observers::default()).expect("a chain");
    let tasks = Tasks::new();
    live.watch(&tasks);
    // The watch begins in a task of its own; the first save may be found by a look.
    std::fs::write(&file, setting("watched")).expect("write");
    in_force(&live, "watched").await;

    let written = |path: &Path, text: String| std::fs::write(path, text).expect("write");
    for round in 0..5 {
        let before = live.current().generation().number;
        let (subject, started) = (format!("round {round}"), Instant::now());
        if round % 2 == 0 {
            written(&file, setting(&subject));
        } else {
            // As editors do: another file, moved into place.
            written(&folder.path().join("x.js.new"), setting(&subject));
            std::fs::rename(folder.path().join("x.js.new"), &file).expect("rename");
        }
        while live.current().generation().number == before {
            assert!(started.elapsed() < LIMIT, "{subject} is not in force");
            tokio::task::yield_now().await;
        }
        println!("in force {:?} after saving", started.elapsed());
        in_force(&live, &subject).await;
    }

    let before = live.current().generation();
    written(&file, "export default { apply() { let = 1 } };".into());
    let refused = live.reload().expect_err("a refusal").to_string();
    assert_eq!(refused, "rule file x.js has a mistake at x.js:1:32: SyntaxError: variable name expected");
    assert_eq!(live.current().generation(), before);
    in_force(&live, "round 4").await;
    written(&file, setting("mended"));
    in_force(&live, "mended").await;
    assert!(tasks.finish().await);
}

async fn in_force(live: &Live, subject: &str) {
    let state = format!("the subject becomes {subject}");
    wait_for(&state, || async {
        let draft = passed(&live.current(), CrmToExchange, &appointment()).await;
        (draft.appointment.subject == subject).then_some(())
    })
    .await;
}

#[test]
fn the_types_and_fields_that_are_shipped_are_those_of_the_contract() {
    let types = typescript::types().expect("the contract");
    assert_eq!(script::types(), types, "run: cargo run -p daybridge-tests --bin types");
    let file = guests::plugins().join("javascript/fields.json");
    let fields: Vec<Json> = serde_json::from_slice(&std::fs::read(file).expect("read")).expect("JSON");
    let names: Vec<&str> = fields.iter().map(|field| field["name"].as_str().expect("a name")).collect();
    let mut expected: Vec<String> = Field::FIXED.iter().map(Field::name).collect();
    expected.extend(["body-html", "removed", "mail-allowed"].map(str::to_owned));
    assert!(names.len() == expected.len() && expected.iter().all(|name| names.contains(&name.as_str())), "{names:?}");
}
