//! What is not accepted as a rule, and the one line that says why.

use std::sync::Arc;

use daybridge::model::{Address, Direction, User, UserId};
use daybridge::plugin::lookup::{Kind, LookupSource, Unavailable};
use daybridge::plugin::{Chain, ChainConfig, Limits, RuleEntry};
use daybridge_tests::guests;
use serde_json::{Value as Json, json};

use super::support::{appointment, chain, engine, entry, lay_out, no_lookups, passed, try_chain};

/// What is said of a file with these bytes.
fn refusal_of(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("x.wasm"), bytes).expect("write");
    let config = ChainConfig { folder: Some(folder.path().to_owned()), rules: vec![RuleEntry::new("x.wasm")] };
    let error = Chain::load(&config, &engine(), &no_lookups()).expect_err("a refusal").to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error.strip_prefix("rule file x.wasm ").expect("names the file").to_owned()
}

#[track_caller]
fn check(bytes: &[u8], expected: &str) {
    assert_eq!(refusal_of(bytes), expected);
}

/// As the engine marks components it has compiled: an ELF file with its own system number and a flag.
pub fn machine_code() -> Vec<u8> {
    let mut elf = vec![0_u8; 64];
    elf[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 200]);
    elf[48] = 2;
    elf
}

/// A good component with some of its names replaced by others of the same length.
pub fn category(from: &str, to: &str) -> Vec<u8> {
    renamed(&guests::component("category"), from, to)
}

fn renamed(component: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = component.to_owned();
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

#[test]
fn r14_files_that_are_no_rules() {
    let not_wasm = "is not WebAssembly; give the .wasm file that `daybridge rules build` makes";
    check(b"", not_wasm);
    check(b"var CopyReminders=false;", not_wasm);
    check(b"\0asm", "is damaged: it ends within its head; build or copy it again");
    check(b"\0asm\x01\0\0\0", "is a core module, not a component; build it with `daybridge rules build`");
    check(
        &machine_code(),
        "is machine code compiled beforehand (.cwasm), which is never accepted; give the .wasm file it was made from",
    );
    let good = guests::component("category");
    let truncated = refusal_of(&good[..good.len() / 2]);
    assert!(truncated.starts_with("is damaged: ") && truncated.ends_with("; build or copy it again"), "{truncated}");
    let large = refusal_of(&vec![0; (16 << 20) + 1]);
    assert_eq!(large, "has 16777217 bytes, more than the 16777216 a rule may have");
}

#[test]
fn r14_components_of_another_world() {
    check(
        b"\0asm\x0d\0\x01\0",
        "does not export daybridge:rules/hooks (it exports nothing); build it for the world `rule` of daybridge:rules 0.2.0",
    );
    check(
        &category("daybridge:rules/hooks@0.2.0", "acme:calendars2/sieve@0.2.0"),
        "does not export daybridge:rules/hooks (it exports acme:calendars2/sieve@0.2.0); build it for the world `rule` of \
         daybridge:rules 0.2.0",
    );
    check(
        &category("daybridge:rules/log@0.2.0", "wasi:filesystem/abc@0.2.0"),
        "imports wasi:filesystem/abc@0.2.0, but a rule may use nothing but log, settings and lookup of daybridge:rules \
         0.2.0; build it for wasm32-unknown-unknown",
    );
    check(
        &category("daybridge:rules/log@0.2.0", "daybridge:rules/net@0.2.0"),
        "imports daybridge:rules/net@0.2.0, but a rule may use nothing but log, settings and lookup of daybridge:rules \
         0.2.0; take out what needs it",
    );
}

#[test]
fn r14_components_that_take_what_is_the_hosts() {
    let mut named = guests::component("category");
    // An export section (11) of one: the instance (5) 0 under a name, without a type.
    named.extend([11, 21, 1, 0, 15]);
    named.extend(b"daybridge-renew");
    named.extend([5, 0, 0]);
    check(&named, "exports daybridge-renew, a name the host keeps for what it adds itself; give it another name");

    let mut many = guests::component("category");
    // A section (1) with an empty module, and one (2) with forty instances of it; it is the fourth module.
    many.extend(b"\x01\x08\0asm\x01\0\0\0");
    many.extend([2, 121, 40]);
    (0..40).for_each(|_| many.extend([0, 3, 0]));
    check(
        &many,
        "cannot be compiled: The component transitively contains 43 core module instances, which exceeds the configured maximum of 32 in the pooling allocator",
    );
}

#[test]
fn r20_a_mismatch_names_both_sides_and_the_remedy() {
    check(
        &category("0.2.0", "0.3.0"),
        "was built for daybridge:rules 0.3.0, but this host offers 0.1.0 and 0.2.0; rebuild it with daybridge-rule 0.2, \
         or update the host to one that offers 0.3.0; missing here: daybridge:rules/log@0.3.0, \
         daybridge:rules/types@0.3.0, daybridge:rules/settings@0.3.0",
    );
    let old = std::fs::read(frozen("0.1.0-messages")).expect("a kept rule");
    check(
        &renamed(&old, "0.1.0", "0.1.7"),
        "was built for daybridge:rules 0.1.7, but this host offers 0.1.0 and 0.2.0; rebuild it with daybridge-rule 0.2, \
         or update the host to one that offers 0.1.7; missing here: daybridge:rules/log@0.1.7, daybridge:rules/types@0.1.7",
    );
    check(
        &renamed(&old, "0.1.0", "0.0.9"),
        "was built for daybridge:rules 0.0.9, but this host offers 0.1.0 and 0.2.0; rebuild it with daybridge-rule 0.2; \
         missing here: daybridge:rules/log@0.0.9, daybridge:rules/types@0.0.9",
    );
    // Stamped with one version, exporting another.
    check(
        &category("daybridge:api0.2.0", "daybridge:api0.1.0"),
        "says that it was built for daybridge:rules 0.1.0, but exports daybridge:rules/hooks@0.2.0; rebuild it with one \
         version of the SDK, best daybridge-rule 0.2",
    );
    // The names of one version with the types of another.
    check(
        &renamed(&old, "0.1.0", "0.2.0"),
        "does not fit daybridge:rules 0.2.0: its function describe takes or answers something else; rebuild it with \
         daybridge-rule 0.2",
    );
    check(
        &renamed(&guests::component("lies"), "daybridge:rules/lookup@0.2.0", "daybridge:rules/script@0.2.0"),
        "does not fit daybridge:rules 0.2.0: what it imports as daybridge:rules/script@0.2.0 is something else there; \
         rebuild it with daybridge-rule 0.2",
    );
    check(
        &category("describe", "describf"),
        "does not fit daybridge:rules 0.2.0: its hooks have no function describe; rebuild it with daybridge-rule 0.2",
    );
}

fn frozen(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("it/plugins/frozen/{name}.wasm"))
}

#[test]
fn r03_rules_that_do_harm_before_they_are_asked_anything() {
    let trap = grafted(&[0x00, 0x00, 0x0b], false);
    check(&trap, "does not start: wasm trap: wasm `unreachable` instruction executed");
    // loop br 0 end
    let endless = grafted(&[0x00, 0x03, 0x40, 0x0c, 0x00, 0x0b, 0x0b], false);
    check(&endless, "does not start: ran longer than 500ms");
    // loop: grow memory 0 by a megabyte, grow memory 1 by a megabyte, again
    let grow = [0x00, 0x03, 0x40, 0x41, 0x10, 0x40, 0x00, 0x1a, 0x41, 0x10, 0x40, 0x01, 0x1a, 0x0c, 0x00, 0x0b, 0x0b];
    let refused = refusal_of(&grafted(&grow, true));
    let asked =
        refused.strip_prefix("does not start: asked for ").and_then(|rest| rest.split_once(" bytes of memory, limit "));
    let (asked, limit) = asked.unwrap_or_else(|| panic!("{refused}"));
    assert_eq!(limit, (32 << 20).to_string());
    // The sum of both is what was over the limit, by less than one step.
    assert!((32 << 20..34 << 20).contains(&asked.parse::<u64>().expect("a number")), "{asked}");
}

#[test]
fn r23_entries_that_do_not_fit_their_rule() {
    let refused = |rule: RuleEntry| try_chain(vec![rule]).expect_err("a refusal").to_string();
    assert_eq!(
        refused(entry("subject-line", json!({"mode": "always"}))),
        "rule file subject-line.wasm setting mode must be one of auto, first-line, field, not \"always\""
    );
    assert_eq!(
        refused(entry("status", json!({"mode": "auto"}))),
        "rule file status.wasm setting mode is unknown; this rule has: none"
    );
    assert_eq!(
        refused(entry("lies", json!({}))),
        "rule file lies.wasm wants to look up users, which is not granted; add lookups = [\"users\"] to its entry if it may"
    );
    let endless = Limits { deadline: std::time::Duration::from_secs(3600), ..Limits::default() };
    assert_eq!(
        refused(RuleEntry { limits: endless, ..entry("status", json!({})) }),
        "rule file status.wasm limit deadline (ms) is 3600000, but must be from 5 to 10000"
    );
    assert_eq!(
        refused(RuleEntry { directions: vec![Direction::ExchangeToCrm], ..entry("category", json!({})) }),
        "rule file category.wasm works in none of the directions its entry names"
    );
    let twice = try_chain(vec![entry("status", json!({})), entry("status", json!({}))]).expect_err("a refusal");
    assert_eq!(
        twice.to_string(),
        "rule file status.wasm has the name status, which another rule of the chain has; give one of them another name"
    );
    let config = ChainConfig { folder: None, rules: vec![RuleEntry::new("gone.wasm")] };
    let missing = Chain::load(&config, &engine(), &no_lookups()).expect_err("a refusal").to_string();
    assert!(missing.starts_with("rule file gone.wasm is not there: no such file in (no rules folder)"), "{missing}");
}

#[test]
fn a_disabled_rule_that_is_broken_does_not_stand_in_the_way() {
    let mut rules = vec![entry("status", json!({"no": "such"})), entry("category", json!({}))];
    rules[0].enabled = false;
    let listed = chain(rules).list()[0].clone();
    assert_eq!(listed.purpose, "not loaded: the file setting no is unknown; this rule has: none");
    assert_eq!((listed.enabled, listed.version.as_str()), (false, ""));
}

struct OneUser;

impl LookupSource for OneUser {
    fn user_by_id(&self, _: &str) -> Result<Option<User>, Unavailable> {
        Err(Unavailable)
    }
    fn user_by_address(&self, address: &Address) -> Result<Option<User>, Unavailable> {
        let user = User {
            id: UserId("4".into()),
            logon: "terry".into(),
            first_name: "Terry".into(),
            last_name: "Smith".into(),
            address: Address::new("terry@example.com"),
            active: true,
            resource: false,
        };
        Ok(Some(user).filter(|user| user.address == *address))
    }
    fn caption(&self, _: &str, _: &str) -> Result<Option<String>, Unavailable> {
        Ok(Some("must not be seen".into()))
    }
    fn key_value(&self, _: &str, _: &str) -> Result<Option<String>, Unavailable> {
        Err(Unavailable)
    }
}

#[tokio::test]
async fn r21_a_look_up_answers_what_was_asked_for_and_granted_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = vec![RuleEntry { lookups: Kind::ALL.to_vec(), ..entry("lies", Json::Object(Default::default())) }];
    lay_out(folder.path(), &rules);
    let config = ChainConfig { folder: Some(folder.path().to_owned()), rules };
    let source: Arc<dyn LookupSource> = Arc::new(OneUser);
    let chain = Chain::load(&config, &engine(), &source).expect("a chain that loads");
    let mut asking = appointment();
    asking.subject = "look up".into();
    let location = passed(&chain, Direction::CrmToExchange, &asking).await.appointment.location;
    assert_eq!(location, "Ok(Some(\"terry\")) Err(LookupError::NotGranted)");
}

/// A good component whose main module has a start function with that body, and a second memory if wanted.
pub fn grafted(body: &[u8], second_memory: bool) -> Vec<u8> {
    let component = guests::component("category");
    let mut sections = sections(&component);
    let main = (0..sections.len()).filter(|&at| sections[at].0 == 1).max_by_key(|&at| sections[at].1.len());
    let (_, module) = &mut sections[main.expect("a core module")];
    *module = with_start(module, body, second_memory);
    joined(&component[..8], sections)
}

fn with_start(module: &[u8], body: &[u8], second_memory: bool) -> Vec<u8> {
    let mut sections = sections(module);
    let count = |id: u8, sections: &[(u8, Vec<u8>)]| {
        sections.iter().find(|(found, _)| *found == id).map_or(0, |(_, content)| number(content).0)
    };
    // All imports of a rule's module are functions, and functions are numbered after them.
    let (new_type, new_function) = (count(1, &sections), count(2, &sections) + count(3, &sections));
    let mut code = Vec::new();
    write_number(&mut code, body.len());
    code.extend(body);
    let mut function = Vec::new();
    write_number(&mut function, new_type);
    let memory: &[u8] = if second_memory { &[0x00, 0x01] } else { &[] };
    for (id, content) in &mut sections {
        match id {
            1 => append(content, &[0x60, 0x00, 0x00]),
            3 => append(content, &function),
            5 if second_memory => append(content, memory),
            10 => append(content, &code),
            _ => {}
        }
    }
    let mut start = Vec::new();
    write_number(&mut start, new_function);
    let after_exports = sections.iter().position(|(id, _)| *id == 7).expect("exports") + 1;
    sections.insert(after_exports, (8, start));
    joined(&module[..8], sections)
}

/// Adds one entry to a section that begins with the number of its entries.
fn append(content: &mut Vec<u8>, entry: &[u8]) {
    let (count, length) = number(content);
    let mut longer = Vec::new();
    write_number(&mut longer, count + 1);
    longer.extend(&content[length..]);
    longer.extend(entry);
    *content = longer;
}

/// Id and content of every section after the eight bytes of the head.
fn sections(module: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut at, mut sections) = (8, Vec::new());
    while at < module.len() {
        let (size, length) = number(&module[at + 1..]);
        let content = at + 1 + length;
        sections.push((module[at], module[content..content + size].to_vec()));
        at = content + size;
    }
    sections
}

fn joined(head: &[u8], sections: Vec<(u8, Vec<u8>)>) -> Vec<u8> {
    let mut module = head.to_vec();
    for (id, content) in sections {
        module.push(id);
        write_number(&mut module, content.len());
        module.extend(content);
    }
    module
}

/// A LEB128 number and how many bytes it takes.
fn number(bytes: &[u8]) -> (usize, usize) {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return (value, at + 1);
        }
    }
    panic!("no number");
}

pub fn write_number(to: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}
