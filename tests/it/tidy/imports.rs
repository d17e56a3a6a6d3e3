//! Which module may know which: the layers of the host, from the centre outwards, and the one home of each crate that
//! speaks to the outside. Cargo cannot hold these lines inside one package, so this table does.

use super::{Source, assert_none, repository};

/// A module of the host and the modules it may name besides itself and its children. A longer name wins: what
/// `connector::http` may name is not what `connector` may.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("clock", &[]),
    ("error", &[]),
    ("lifecycle", &[]),
    ("telemetry", &[]),
    ("rules", &["model"]),
    ("engine", &["model", "rules"]),
    ("connector", &["error", "model"]),
    ("connector::http", &["clock", "connector", "error"]),
    ("connector::auth", &["clock", "connector", "connector::http", "error"]),
    ("connector::exchange", &["connector::property", "model"]),
    ("connector::html", &[]),
    ("connector::pace", &[]),
    ("connector::property", &[]),
    ("connector::zones", &["connector", "model"]),
    ("connector::sage", &["clock", "connector", "connector::http", "connector::zones", "error", "model"]),
    (
        "connector::ews",
        &[
            "clock",
            "connector",
            "connector::auth",
            "connector::exchange",
            "connector::html",
            "connector::http",
            "connector::pace",
            "connector::property",
            "connector::zones",
            "error",
            "model",
        ],
    ),
    (
        "connector::graph",
        &[
            "clock",
            "connector",
            "connector::auth",
            "connector::exchange",
            "connector::html",
            "connector::http",
            "connector::pace",
            "connector::property",
            "connector::zones",
            "error",
            "model",
        ],
    ),
    ("hook", &["connector::graph", "lifecycle"]),
    ("store", &["error", "model"]),
    ("queue", &["clock", "error", "model", "store"]),
    ("identity", &[]),
    ("ledger", &["clock", "error", "model", "queue", "rules", "store"]),
    ("people", &["model"]),
    ("roster", &["model", "people", "store"]),
    ("servers", &["connector", "model", "people"]),
    ("plugin", &["clock", "error", "lifecycle", "model", "rules"]),
    ("notify", &["clock", "error", "model", "queue", "rules"]),
    (
        "worker",
        &[
            "clock",
            "connector",
            "engine",
            "error",
            "identity",
            "ledger",
            "lifecycle",
            "model",
            "notify",
            "people",
            "queue",
            "rules",
            "servers",
            "store",
        ],
    ),
    // Asks servers through the worker, which minds those that are down.
    (
        "feed",
        &[
            "clock",
            "connector",
            "error",
            "ledger",
            "lifecycle",
            "model",
            "notify",
            "people",
            "queue",
            "roster",
            "servers",
            "store",
            "worker",
        ],
    ),
    // Its client sends, too: through the one place that does.
    (
        "control",
        &["clock", "connector::http", "error", "feed", "ledger", "lifecycle", "model", "plugin", "queue", "worker"],
    ),
    (
        "config",
        &[
            "connector",
            "connector::ews",
            "connector::graph",
            "connector::http",
            "connector::sage",
            "engine",
            "error",
            "model",
            "plugin",
            "telemetry",
        ],
    ),
    // Shares nothing with the connectors: a common wire type would carry the same mistake on both sides.
    ("sim", &["clock", "lifecycle"]),
    // Speaks to both servers itself: what a step shows must not be the connectors' own opinion.
    ("demo", &["clock", "connector::http", "control", "error", "lifecycle", "plugin", "sim"]),
];

/// Modules that join everything and may name anything.
const FREE: &[&str] = &["app", "cli", "lib", "main"];

/// Crates that only some modules may name, and why.
const HOMES: &[(&str, &[&str], &str)] = &[
    (
        "reqwest",
        &["connector::http", "sim::crm::doorbell", "sim::exchange::graph::webhook"],
        "one client with limits and redaction; a simulator has its own",
    ),
    ("ring", &["connector::auth", "sim"], "the one place that signs, and the simulator that checks"),
    ("similar", &["connector::html"], "texts are compared for one purpose"),
    ("sled", &["store"], "another engine must be able to take its place"),
    ("wasmtime", &["plugin"], "rules are asked through the trait"),
    ("cel", &["plugin::condition"], "conditions are asked through it"),
    ("jsonschema", &["plugin::schema"], "settings are checked there"),
    ("fs_notify", &["plugin::watch_folder"], "one place that asks the system for changes of files"),
    ("rrule", &["model::recurrence::expand"], "recurrence is reckoned behind one function"),
    ("axum", &["control", "hook", "sim"], "nothing else serves"),
    ("prometheus_client", &["app", "plugin::metrics"], "figures are gathered in one place"),
    ("clap", &["cli", "main"], "nothing else reads the command line"),
    ("quick_xml", &["connector::ews", "sim"], "only EWS speaks XML"),
    ("roxmltree", &["connector::ews", "demo::wire", "sim"], "only EWS speaks XML"),
];

/// Crates that a module must not name, and why.
const AWAY: &[(&str, &[&str], &str)] = &[
    ("serde", &["engine", "model", "rules", "worker"], "what travels or is stored has types of its own"),
    ("tokio", &["clock", "engine", "error", "model", "people", "rules"], "these are pure"),
];

/// Calls that only one file may make, and why.
const CALLS: &[(&str, &str, &str)] = &[
    ("Utc::now(", "host/src/clock.rs", "take a clock::Clock"),
    ("Local::now(", "host/src/clock.rs", "take a clock::Clock"),
    ("SystemTime::now(", "host/src/clock.rs", "take a clock::Clock"),
    ("tokio::spawn(", "host/src/lifecycle.rs", "use lifecycle::Tasks"),
    ("rand::rng(", "host/src/clock.rs", "take a clock::Clock"),
];

/// `host/src/connector/ews/soap.rs` is `["connector", "ews", "soap"]`.
fn module(path: &str) -> Option<Vec<String>> {
    let inside = path.strip_prefix("host/src/")?.strip_suffix(".rs")?;
    Some(inside.split('/').map(str::to_owned).collect())
}

/// The entry of [`LAYERS`] or [`FREE`] a module path belongs to.
fn layer(path: &[String]) -> Option<&'static str> {
    let names = LAYERS.iter().map(|(name, _)| *name).chain(FREE.iter().copied());
    let within = |name: &&str| {
        let mut parts = path.iter();
        name.split("::").all(|part| parts.next().is_some_and(|own| own == part))
    };
    names.filter(within).max_by_key(|name| name.len())
}

/// Every path a file names that begins at `crate` or `super`, as segments from the crate's root, with its line.
fn named(file: &Source, own: &[String]) -> Vec<(usize, Vec<String>)> {
    let code = file.code();
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            // `$crate::`, `super::super::` (met at its first `super`) and names that merely end so.
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | ':')) {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            let (mut base, mut rest) = match start {
                "crate::" => (Vec::new(), &code[at + start.len()..]),
                _ => (own[..own.len() - 1].to_vec(), &code[at + start.len()..]),
            };
            while let Some(further) = rest.strip_prefix("super::") {
                base.pop();
                rest = further;
            }
            let mut paths = Vec::new();
            use_tree(base, rest, &mut paths);
            found.extend(paths.into_iter().map(|path| (line, path)));
        }
    }
    found
}

/// Spreads `a::{b, c::d}` into `a::b` and `a::c::d`; returns what follows.
fn use_tree<'a>(mut base: Vec<String>, text: &'a str, found: &mut Vec<Vec<String>>) -> &'a str {
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if rest.is_empty() {
                return rest;
            }
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
            let before = rest.len();
            rest = use_tree(base.clone(), rest, found);
            // `self as name` and anything else a use tree may hold ends at a comma or brace.
            rest = rest.trim_start_matches(|c: char| !matches!(c, ',' | '}'));
            assert!(rest.len() < before, "cannot read a use tree near {text:.40}");
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    if end > 0 && &text[..end] != "self" {
        base.push(text[..end].to_owned());
    }
    match text[end..].strip_prefix("::") {
        Some(rest) if end > 0 => use_tree(base, rest, found),
        _ => {
            found.push(base);
            &text[end..]
        }
    }
}

fn layers(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        let Some(own) = module(&file.path) else { continue };
        if own.first().is_some_and(|name| name == "bin") {
            continue;
        }
        let Some(own_layer) = layer(&own) else {
            complaints.push(format!("{}: not in the table of layers", file.path));
            continue;
        };
        let Some((_, may)) = LAYERS.iter().find(|(name, _)| *name == own_layer) else { continue };
        for (line, path) in named(file, &own) {
            // A path that leads to no module of the table names an item of the crate's root.
            let Some(other) = layer(&path) else { continue };
            let inside = other == own_layer || other.starts_with(&format!("{own_layer}::"));
            if !inside && !may.contains(&other) {
                complaints.push(format!("{}:{line}: {own_layer} must not know {other}", file.path));
            }
        }
    }
    complaints
}

/// Does `code` use the crate `name` at this place: `name::`, `use name;` or `name!`.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let apart = !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '"' | '-' | ':' | '.'));
        let after = &line[at + name.len()..];
        apart && (after.starts_with("::") || (line.trim_start().starts_with("use ") && after.starts_with(';')))
    })
}

fn homes(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        let Some(own) = module(&file.path) else { continue };
        let own = own.join("::");
        let within =
            |module: &&str| own.strip_prefix(*module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        for (number, line) in file.code().lines().enumerate() {
            for (name, at_home, reason) in HOMES {
                if !at_home.iter().any(within) && names_crate(line, name) {
                    complaints.push(format!("{}:{}: names {name}: {reason}", file.path, number + 1));
                }
            }
            for (name, strangers, reason) in AWAY {
                if strangers.iter().any(within) && names_crate(line, name) {
                    complaints.push(format!("{}:{}: names {name}: {reason}", file.path, number + 1));
                }
            }
            for (call, home, reason) in CALLS {
                if file.path != *home && line.contains(call) {
                    complaints.push(format!("{}:{}: {call}): {reason}", file.path, number + 1));
                }
            }
        }
    }
    complaints
}

#[test]
fn modules_know_only_what_their_layer_may() {
    assert_none(&layers(&repository()));
}

#[test]
fn crates_and_calls_stay_at_home() {
    assert_none(&homes(&repository()));
}

#[test]
fn an_import_out_of_layer_is_noticed() {
    let bad = [
        ("host/src/engine.rs", "use crate::connector::Error;\n"),
        ("host/src/engine/plan.rs", "use crate::{\n    model::Item,\n    queue::Queue,\n};\n"),
        ("host/src/sim/crm.rs", "fn a() -> crate::model::Item {}\n"),
        ("host/src/connector/sage.rs", "use super::ews::Client;\n"),
        ("host/src/connector/ews/soap.rs", "use super::super::sage;\n"),
        ("host/src/connector/sage/map.rs", "use crate::connector::{Error, ews::{self, soap}};\n"),
        ("host/src/surprise.rs", "//! New.\n"),
    ];
    for (path, text) in bad {
        assert!(!layers(&[Source::new(path, text)]).is_empty(), "not noticed in {path}: {text}");
    }
    let good = [
        ("host/src/engine/plan.rs", "// crate::queue\nuse crate::model::{Item, Seen};\nuse super::Op;\n"),
        ("host/src/connector/sage.rs", "use crate::connector::{Error, http::{self, Client}};\nmod map;\n"),
        ("host/src/app.rs", "use crate::store::sled::Store;\n"),
    ];
    for (path, text) in good {
        assert_none(&layers(&[Source::new(path, text)]));
    }
}

#[test]
fn a_crate_or_call_away_from_home_is_noticed() {
    let bad = [
        ("host/src/queue.rs", "use sled::Tree;\n"),
        ("host/src/connector/sage/client.rs", "let c = reqwest::Client::new();\n"),
        ("host/src/model/time.rs", "#[derive(serde::Serialize)]\n"),
        ("host/src/worker.rs", "let now = Utc::now();\n"),
        ("host/src/engine.rs", "tokio::task::yield_now().await;\n"),
    ];
    for (path, text) in bad {
        assert_eq!(homes(&[Source::new(path, text)]).len(), 1, "in {path}: {text}");
    }
    let good = [
        ("host/src/store/sled.rs", "use sled::Tree;\n// tokio::spawn(\n"),
        ("host/src/queue.rs", "use crate::store::sled::Tree;\n"),
        ("host/src/clock.rs", "Utc::now()\n"),
    ];
    for (path, text) in good {
        assert_none(&homes(&[Source::new(path, text)]));
    }
}
