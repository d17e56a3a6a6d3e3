//! `daybridge rules test ...`: rules on their fixtures.

mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::Failure;
use crate::config::{Config, environment};
use crate::plugin::fixture::{self, Fixture};
use crate::plugin::lookup::NoLookups;
use crate::plugin::{Chain, Engine, RuleEntry, package};

const FIXTURE_HINT: &str = "the message names the place and what to write there; plugins/README.md has the form";

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Rule files (.wasm, .js), folders of such files, or the folder of a rule's crate, which is built first.
    #[arg(required_unless_present = "chain", value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,
    /// Take these fixtures instead of the rule's own: a .json file, or a folder of them.
    #[arg(long, value_name = "FILE|DIR")]
    fixtures: Option<PathBuf>,
    /// Instead of single rules, try the whole chain of this configuration on the fixtures given.
    #[arg(long, value_name = "CONFIG", requires = "fixtures", conflicts_with = "rules")]
    chain: Option<PathBuf>,
    /// Write what the rules answer into the fixtures' files as what is expected from now on.
    #[arg(long)]
    bless: bool,
    /// Show time, memory and edits of each step.
    #[arg(long)]
    trace: bool,
    /// Print one JSON object per fixture.
    #[arg(long)]
    json: bool,
    /// Cargo's target folder for crates, if not the usual one.
    #[arg(long, value_name = "DIR")]
    target: Option<PathBuf>,
}

/// A rule that was accepted, or a whole chain, and what it is tried on.
pub(super) struct Rule {
    title: String,
    chain: Chain,
    cases: Vec<Case>,
}

/// A fixture, and its file where it has one.
struct Case {
    fixture: Fixture,
    file: Option<PathBuf>,
}

pub(super) fn engine() -> Result<Engine, Failure> {
    Engine::new().map_err(|error| {
        Failure::from_error(
            &error,
            "rules need a 64-bit processor that wasmtime supports, and memory for their instances",
        )
    })
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let engine = engine()?;
    let given = arguments.fixtures.as_deref().map(given).transpose()?;
    let mut rules = Vec::new();
    if let Some(config) = &arguments.chain {
        rules.push(Rule::chain(&engine, config, given.as_deref().unwrap_or_default())?);
    }
    for file in files(&arguments.rules)? {
        let rule = Rule::load(&engine, &file, arguments.target.as_deref())?;
        rules.push(match &given {
            Some(given) => Rule { cases: given.iter().map(Case::again).collect(), ..rule },
            None => rule,
        });
    }
    if rules.iter().all(|rule| rule.cases.is_empty()) {
        return Err(Failure::mendable(
            "there are no fixtures to try",
            "write one: fixtures/NAME.json in a crate, NAME.fixtures/*.json beside a script; `daybridge rules new` shows the form, \
             `daybridge rules capture` makes one of a real appointment",
        ));
    }
    report::run(arguments, &rules)
}

impl Case {
    fn again(&self) -> Self {
        Self { fixture: self.fixture.clone(), file: self.file.clone() }
    }
}

impl Rule {
    /// Loads a rule file, or builds the crate in a folder and loads that, with its own fixtures.
    pub(super) fn load(engine: &Engine, path: &Path, target: Option<&Path>) -> Result<Self, Failure> {
        let (bytes, cases) = if path.is_dir() {
            (build(path, target)?, folder(&path.join("fixtures"))?)
        } else {
            let bytes = super::inspect::read(path)?;
            let beside = folder(&path.with_extension("fixtures"))?;
            let mut cases = fixture::carried(&bytes)
                .map_err(|error| Failure::from_error(&error, FIXTURE_HINT))?
                .into_iter()
                .map(|fixture| Case { fixture, file: None })
                .collect::<Vec<_>>();
            cases.retain(|case| !beside.iter().any(|other| other.fixture.name == case.fixture.name));
            cases.extend(beside);
            (bytes, cases)
        };
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let chain = Chain::of_rule(engine, &RuleEntry::new(file), &bytes).map_err(|refused| {
            Failure::mendable(format!("rule file {} {refused}", path.display()), "the message says what to do")
        })?;
        let title = chain.list().first().map(|rule| format!("{} {}", rule.name, rule.version)).unwrap_or_default();
        Ok(Self { title, chain, cases })
    }

    fn chain(engine: &Engine, config: &Path, given: &[Case]) -> Result<Self, Failure> {
        let config = Config::load(config, &environment)?;
        let lookups: Arc<dyn crate::plugin::lookup::LookupSource> = Arc::new(NoLookups);
        let chain = Chain::load(&config.chain(), engine, &lookups)
            .map_err(|error| Failure::from_error(&error, "the message names the file and what to do"))?;
        let title = format!("the chain of {}", config.file.display());
        Ok(Self { title, chain, cases: given.iter().map(Case::again).collect() })
    }

    /// Hex SHA-256 of the rule's file.
    pub(super) fn digest(&self) -> &str {
        self.chain.list().first().map(|rule| rule.digest.as_str()).unwrap_or_default()
    }
}

fn build(folder: &Path, target: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let failed = |cause: std::io::Error| {
        Failure::mendable(format!("cannot write a temporary file: {cause}"), "make room in the temporary folder")
    };
    let out = tempfile::tempdir().map_err(failed)?;
    let file = out.path().join("rule.wasm");
    package::build_rule(folder, &file, target)
        .map_err(|error| Failure::from_error(&error, "mend the rule as the compiler says, then try it again"))?;
    std::fs::read(&file).map_err(failed)
}

/// What is meant by the paths given: a folder that is no crate stands for the rule files in it.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() || path.join("Cargo.toml").is_file() {
            files.push(path.clone());
            continue;
        }
        let unreadable = |cause: std::io::Error| {
            Failure::mendable(format!("cannot read {}: {cause}", path.display()), "name a folder that you may read")
        };
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?.path();
            if entry.is_file() && entry.extension().is_some_and(|end| end == "wasm" || end == "js") {
                inside.push(entry);
            }
        }
        if inside.is_empty() {
            let hint = "name a .wasm or .js file, a folder of them, or the folder of a rule's crate";
            return Err(Failure::mendable(format!("no rules in {}", path.display()), hint));
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

fn given(path: &Path) -> Result<Vec<Case>, Failure> {
    if path.is_dir() {
        return folder(path);
    }
    let bytes = super::inspect::read(path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let fixture = Fixture::parse(&name, &bytes).map_err(|error| Failure::from_error(&error, FIXTURE_HINT))?;
    Ok(vec![Case { fixture, file: Some(path.to_owned()) }])
}

fn folder(path: &Path) -> Result<Vec<Case>, Failure> {
    let fixtures = fixture::read_folder(path).map_err(|error| Failure::from_error(&error, FIXTURE_HINT))?;
    let case = |fixture: Fixture| Case { file: Some(path.join(format!("{}.json", fixture.name))), fixture };
    Ok(fixtures.into_iter().map(case).collect())
}
