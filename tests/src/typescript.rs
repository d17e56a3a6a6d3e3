//! The TypeScript description of what scripts find, made from the contract: records and words from `wit`, the appointment's
//! fields from `plugins/javascript/fields.json`, and around them the functions of the engine's prelude.
//!
//! Promises: every record and word of the contract that a script can meet is described with the contract's own words. Must not know:
//! how the engine converts values.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;
use wit_parser::{Docs, Resolve, Type, TypeDefKind};

use crate::guests;

/// Types of the contract that appear in TypeScript under their own name, in this order.
const SHOWN: [&str; 11] = [
    "direction",
    "span",
    "days",
    "person",
    "attendee-kind",
    "response",
    "attendee",
    "link",
    "user",
    "failure",
    "next-step",
];

const HEAD: &str = "\
// What a Daybridge rule in JavaScript finds and gives. Made from the rule contract: do not edit, `daybridge rules new` writes it again.
//
// An editor checks and completes a script that is written so:
//
//   // @ts-check
//   /// <reference path=\"./daybridge.d.ts\" />
//   /** @type {Daybridge.Rule} */
//   export default { apply(appointment, draft, context) { ... } };

declare namespace Daybridge {
  /** When the appointment is: two instants, or whole days. */
  type Time = (Span & { allDay: false }) | (Days & { allDay: true });

  /** A new time: `zone` is an IANA name. The host writes the local texts itself. */
  type NewTime = { start: number; end: number; zone: string } | Days | Time;

  /** An attendee in a draft: who is not said to be anything is required and has not answered. */
  type NewAttendee = Partial<Attendee> & { address: string };

  /** The value of a custom field. */
  type Scalar = string | number | boolean | null;

  /** A kind of look-up. The operator must grant it, too. */
  type Lookup = \"users\" | \"captions\" | \"key-values\";
";

const FOOT: &str = "
  /** A field that both sides changed to different values since they last agreed. */
  interface Conflict {
    /** The field's name as in `Appointment`, or `custom.NAME`. */
    readonly field: string;
    /** What both last agreed on. */
    readonly base: any;
    readonly crm: any;
    readonly exchange: any;
  }

  /** A rule's wording of a failure. */
  interface Explanation {
    /** One line: what happened. */
    title: string;
    /** Probable causes, for people. */
    text?: string;
    /** What to do. */
    hint?: string;
    /** What becomes of the entry, where the rule knows better than the host. */
    next?: NextStep;
  }

  /** What is known of the call besides the appointment. */
  interface Context {
    /** Which way the appointment travels; null in `explain` and `matchUser`. */
    readonly direction: Direction;
    /** The appointment's lasting key, for messages. */
    readonly key: string;
    /** The settings as the operator gave them, or their defaults. */
    readonly settings: { readonly [name: string]: any };
    readonly lookup: {
      /** The CRM user with that id. Needs `lookups: [\"users\"]`. */
      userById(id: string): User | null;
      /** The CRM user with that address, whatever its letter case. Needs `lookups: [\"users\"]`. */
      userByAddress(address: string): User | null;
      /** The text people see for a code of a CRM option list. Needs `lookups: [\"captions\"]`. */
      caption(family: string, code: string): string | null;
      /** A value kept with this appointment's pair. Needs `lookups: [\"key-values\"]`. */
      keyValue(name: string): string | null;
    };
  }

  /** A setting the operator can change: its default, or more about it. */
  type Setting =
    | string
    | number
    | boolean
    | string[]
    | {
        type?: \"string\" | \"boolean\" | \"integer\" | \"number\" | \"array\";
        default?: string | number | boolean | string[];
        description?: string;
        /** The words it can be, for a text. */
        enum?: string[];
      };

  /** What a script exports: `export default { ... }`. It needs one function; all else has a default. */
  interface Rule {
    /** Letters, digits, `-` and `_`; else the file's name. */
    name?: string;
    version?: string;
    /** One sentence for people. */
    purpose?: string;
    /** Names of the fields it looks at; else all. It is shown no others, which is what makes a call cheap. */
    reads?: string[];
    settings?: { [name: string]: Setting };
    lookups?: Lookup[];
    /** Else both. */
    directions?: Direction[];
    /** Judges an appointment: change the draft, or call `skip`, `hold` or `refuse`. */
    apply?(appointment: Appointment, draft: Draft, context: Context): void;
    /** Says who wins where both sides changed a field; nothing leaves it to the next rule. */
    resolve?(conflict: Conflict, appointment: Appointment, context: Context): \"crm\" | \"exchange\" | { value: any } | null | void;
    /** Puts a failure into words for people; nothing leaves it to the next rule. */
    explain?(failure: Failure, context: Context): Explanation | null | void;
    /** Chooses the CRM user for somebody of the Exchange directory: a candidate or its id, or nobody. */
    matchUser?(person: Person, candidates: readonly User[], context: Context): User | string | null | void;
  }
}

/** Ends the rule: none of the sync's business. Nothing is written, a copy that exists is left alone. */
declare function skip(reason: string): never;

/** Ends the rule: look again after so many seconds. */
declare function hold(seconds: number, reason: string): never;

/** Ends the rule: not to be synchronized as it is, with a stable code of your own and words for people. */
declare function refuse(code: string, message: string, more?: { field?: string; retry?: boolean }): never;

/** Lines for the operator. */
interface Console {
  debug(...parts: any[]): void;
  log(...parts: any[]): void;
  info(...parts: any[]): void;
  warn(...parts: any[]): void;
  error(...parts: any[]): void;
}
declare var console: Console;
";

/// Where the description is kept.
pub fn file() -> PathBuf {
    guests::plugins().join("javascript/daybridge.d.ts")
}

/// The description as the contract is now.
///
/// # Errors
/// If the contract or the list of fields cannot be read or holds something this does not know.
pub fn types() -> Result<String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(guests::plugins().join("../wit/v0.2"))?;
    let package = resolve.packages.get(package).context("the contract's package")?;
    let types =
        package.interfaces.get("types").and_then(|id| resolve.interfaces.get(*id)).context("interface types")?;
    let mut out = HEAD.to_owned();
    for name in SHOWN {
        let id = types.types.get(name).with_context(|| format!("the contract has no {name}"))?;
        let definition = resolve.types.get(*id).context("a type")?;
        out.push('\n');
        doc(&mut out, "  ", &definition.docs);
        match &definition.kind {
            TypeDefKind::Enum(words) => {
                let words: Vec<String> = words.cases.iter().map(|case| format!("{:?}", case.name)).collect();
                writeln!(out, "  type {} = {};", pascal(name), words.join(" | "))?;
            }
            TypeDefKind::Record(record) => {
                writeln!(out, "  interface {} {{", pascal(name))?;
                // What comes from the host alone; the rest may stand in a draft and be changed there.
                let only = if ["user", "failure"].contains(&name) { "readonly " } else { "" };
                for field in record.fields.iter().filter(|field| field.name != "more") {
                    doc(&mut out, "    ", &field.docs);
                    writeln!(out, "    {only}{}: {};", camel(&field.name), typescript(&resolve, &field.ty)?)?;
                }
                out.push_str("  }\n");
            }
            _ => bail!("{name} is neither a record nor an enumeration"),
        }
    }
    fields(&mut out)?;
    out.push_str(FOOT);
    Ok(out)
}

/// The interfaces `Appointment` and `Draft`.
fn fields(out: &mut String) -> Result<()> {
    let path = guests::plugins().join("javascript/fields.json");
    let list: Vec<Json> = serde_json::from_slice(&std::fs::read(&path).context("read fields.json")?)?;
    let flag = |field: &Json, name: &str| field.get(name).and_then(Json::as_bool) == Some(true);
    out.push_str("\n  /** What the sending side shows. For reading. */\n  interface Appointment {\n");
    for field in list.iter().filter(|field| !flag(field, "draft")) {
        member(out, field, false)?;
    }
    out.push_str("    /** CRM columns and Exchange named properties, by name. */\n");
    out.push_str("    readonly custom: { readonly [name: string]: Scalar | undefined };\n  }\n");
    out.push_str("\n  /** What the other side will hold. Change it; null clears a field. */\n  interface Draft {\n");
    for field in &list {
        member(out, field, !flag(field, "reading"))?;
    }
    out.push_str("    /** CRM columns and Exchange named properties, by name; null or `delete` clears one. */\n");
    out.push_str("    custom: { [name: string]: Scalar | undefined };\n  }\n");
    Ok(())
}

fn member(out: &mut String, field: &Json, writable: bool) -> Result<()> {
    let text = |name: &str| field.get(name).and_then(Json::as_str).with_context(|| format!("a field has no {name}"));
    let name = camel(text("name")?);
    let reading = match text("kind")? {
        "text" => "string".to_owned(),
        "flag" => "boolean".to_owned(),
        "number" => "number".to_owned(),
        "texts" => "readonly string[]".to_owned(),
        "time" => "Time".to_owned(),
        "person" => "Person".to_owned(),
        "people" => "readonly Attendee[]".to_owned(),
        "links" => "readonly Link[]".to_owned(),
        "choice" => {
            let words = field.get("words").and_then(Json::as_array).context("a choice without words")?;
            words.iter().map(Json::to_string).collect::<Vec<_>>().join(" | ")
        }
        kind => bail!("a field of kind {kind}"),
    };
    let optional = field.get("optional").and_then(Json::as_bool) == Some(true);
    let or_null = if optional { " | null" } else { "" };
    writeln!(out, "    /** {} */", text("doc")?)?;
    if !writable {
        writeln!(out, "    readonly {name}: {reading}{or_null};")?;
        return Ok(());
    }
    // What is read can be changed from within; what is set may be less complete.
    match text("kind")? {
        "time" => writeln!(out, "    get {name}(): Time;\n    set {name}(to: NewTime);")?,
        "texts" => writeln!(out, "    get {name}(): string[];\n    set {name}(to: readonly string[] | null);")?,
        "people" => {
            writeln!(out, "    get {name}(): NewAttendee[];\n    set {name}(to: readonly NewAttendee[] | null);")?
        }
        "links" => writeln!(out, "    get {name}(): Link[];\n    set {name}(to: readonly Link[] | null);")?,
        "text" if !optional => writeln!(out, "    get {name}(): string;\n    set {name}(to: string | null);")?,
        _ => writeln!(out, "    {name}: {reading}{or_null};")?,
    }
    Ok(())
}

fn typescript(resolve: &Resolve, of: &Type) -> Result<String> {
    Ok(match of {
        Type::String => "string".to_owned(),
        Type::Bool => "boolean".to_owned(),
        Type::U32 | Type::S64 | Type::F64 => "number".to_owned(),
        Type::Id(id) => {
            let definition = resolve.types.get(*id).context("a type")?;
            match (&definition.kind, &definition.name) {
                (TypeDefKind::Option(inner), _) => format!("{} | null", typescript(resolve, inner)?),
                (TypeDefKind::List(inner), _) => format!("readonly {}[]", typescript(resolve, inner)?),
                (_, Some(name)) => pascal(name),
                (kind, None) => bail!("a type without a name: {kind:?}"),
            }
        }
        other => bail!("no TypeScript for {other:?}"),
    })
}

fn doc(out: &mut String, indent: &str, docs: &Docs) {
    if let Some(text) = &docs.contents {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(out, "{indent}/** {text} */");
    }
}

fn camel(name: &str) -> String {
    let mut parts = name.split('-');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| name + &pascal(part))
}

fn pascal(name: &str) -> String {
    let capital = |part: &str| {
        let mut letters = part.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    name.split('-').map(capital).collect()
}
