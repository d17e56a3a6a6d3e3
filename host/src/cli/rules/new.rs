//! `daybridge rules new NAME`: a rule to begin with, that builds, passes its fixtures, and does something small.
//!
//! Promises: writes into a folder of its own or not at all; never over a file that is there. Must not know: how rules are built.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::super::Failure;
use super::super::output::line;
use crate::plugin::script;

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// What the rule is called: small letters, digits and hyphens.
    name: String,
    #[arg(long, value_enum, default_value = "rust")]
    lang: Language,
    /// Folder in which to begin it [default: this one].
    #[arg(long = "in", value_name = "DIR", default_value = ".", hide_default_value = true)]
    folder: PathBuf,
    /// The folder guest-sdk of a clone of Daybridge, for a rule in Rust [default: the one beside this program or around DIR].
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    Js,
}

/// A rule's name in the contract may have 64 letters; a crate's name must begin with a letter.
const NAME_MAX: usize = 64;

const LIB_RS: &str = include_str!("template/lib.rs.txt");
const CARGO_TOML: &str = include_str!("template/Cargo.toml.txt");
const RULE_JS: &str = include_str!("template/rule.js.txt");
const MARKED: &str = include_str!("template/marked.json");
const UNMARKED: &str = include_str!("template/unmarked.json");
const GITIGNORE: &str = "/target\n*.wasm\n";
const JSCONFIG: &str = "{\n  \"compilerOptions\": { \"checkJs\": true, \"strict\": true, \"lib\": [\"es2023\"], \"types\": [] },\n  \"include\": [\"*.js\", \"*.d.ts\"]\n}\n";

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let name = &arguments.name;
    let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if !name.starts_with(|letter: char| letter.is_ascii_lowercase()) || name.len() > NAME_MAX || !name.chars().all(fits)
    {
        return Err(Failure::mendable(
            format!("{name:?} cannot be a rule's name"),
            format!(
                "take small letters, digits and hyphens, a letter first, at most {NAME_MAX}: for example skip-marked"
            ),
        ));
    }
    match arguments.lang {
        Language::Rust => rust(arguments),
        Language::Js => script(arguments),
    }
}

fn rust(arguments: &Arguments) -> Result<(), Failure> {
    let name = &arguments.name;
    let sdk = sdk(arguments)?;
    let folder = arguments.folder.join(name);
    let type_name: String = name.split('-').map(capitalized).collect();
    // A path is written as TOML writes it: quotes and backslashes escaped.
    let sdk_path = format!("{:?}", sdk.display().to_string());
    let written = Files::new(vec![
        (folder.join("Cargo.toml"), CARGO_TOML.replace("{name}", name).replace("{sdk}", &sdk_path)),
        (folder.join("src/lib.rs"), LIB_RS.replace("{Type}", &type_name)),
        (folder.join("fixtures/marked.json"), MARKED.to_owned()),
        (folder.join("fixtures/unmarked.json"), UNMARKED.to_owned()),
        (folder.join(".gitignore"), GITIGNORE.to_owned()),
    ])
    .write()?;
    told(&written);
    let shown = folder.display();
    line(&format!("Try it:     daybridge rules test {shown}"));
    line(&format!("Build it:   daybridge rules build {shown} --out {}", arguments.folder.display()));
    Ok(())
}

fn script(arguments: &Arguments) -> Result<(), Failure> {
    let (name, folder) = (&arguments.name, &arguments.folder);
    let file = folder.join(format!("{name}.js"));
    let fixtures = folder.join(format!("{name}.fixtures"));
    let mut files = Files::new(vec![
        (file.clone(), RULE_JS.to_owned()),
        (fixtures.join("marked.json"), MARKED.to_owned()),
        (fixtures.join("unmarked.json"), UNMARKED.to_owned()),
    ]);
    // One for all scripts of a folder: what is there already is another rule's, and just as good.
    files.shared.push((folder.join("jsconfig.json"), JSCONFIG.to_owned()));
    files.shared.push((folder.join("daybridge.d.ts"), script::types().to_owned()));
    told(&files.write()?);
    line(&format!("Try it:     daybridge rules test {}", file.display()));
    Ok(())
}

fn told(files: &[PathBuf]) {
    files.iter().for_each(|file| line(&format!("Wrote {}", file.display())));
}

/// Files to be written, all or none.
struct Files {
    own: Vec<(PathBuf, String)>,
    /// Written where they are missing.
    shared: Vec<(PathBuf, String)>,
}

impl Files {
    fn new(own: Vec<(PathBuf, String)>) -> Self {
        Self { own, shared: Vec::new() }
    }

    fn write(self) -> Result<Vec<PathBuf>, Failure> {
        if let Some((there, _)) = self.own.iter().find(|(path, _)| path.exists()) {
            return Err(Failure::mendable(
                format!("{} exists already", there.display()),
                "take another name, or another folder with --in",
            ));
        }
        let missing = self.shared.into_iter().filter(|(path, _)| !path.exists());
        let mut written = Vec::new();
        for (path, content) in self.own.into_iter().chain(missing) {
            write_new(&path, &content).map_err(|cause| {
                Failure::mendable(
                    format!("cannot write {}: {cause}", path.display()),
                    "name a folder you may write to with --in",
                )
            })?;
            written.push(path);
        }
        Ok(written)
    }
}

fn write_new(path: &Path, content: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(content.as_bytes())
}

/// Where the SDK is: named, or found around the folder or around this program, which is usually built in a clone.
fn sdk(arguments: &Arguments) -> Result<PathBuf, Failure> {
    const HINT: &str = "clone Daybridge's repository and name its folder guest-sdk: --sdk DIR";
    let whole = |folder: &Path| folder.join("Cargo.toml").is_file().then(|| folder.canonicalize().ok()).flatten();
    if let Some(named) = &arguments.sdk {
        return whole(named).ok_or_else(|| Failure::mendable(format!("there is no SDK in {}", named.display()), HINT));
    }
    let program = std::env::current_exe().ok();
    let begin = [arguments.folder.canonicalize().ok(), program].into_iter().flatten();
    let around = begin.flat_map(|path| path.ancestors().map(Path::to_owned).collect::<Vec<_>>());
    around
        .map(|folder| folder.join("guest-sdk"))
        .find_map(|folder| whole(&folder))
        .ok_or_else(|| Failure::mendable("the SDK for rules in Rust was not found", HINT))
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}
