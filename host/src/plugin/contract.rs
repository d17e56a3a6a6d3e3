//! The versions of the rule contract, served side by side, and the calls of a rule in the words of the newest.
//!
//! Promises: whoever calls a rule need not know which version it speaks; a rule built for an earlier patch of a version
//! works; what a version has different from the newest stands in a file of its own. A new version is such a file and an arm
//! of each `match` here. Must not know: limits, files, the chain.

mod v0_1;
mod v0_2;

use std::fmt;
use std::sync::{Arc, OnceLock};

use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, Instance, InstancePre, Lift, Linker, Lower, TypedFunc,
};
use wasmtime::{Engine, Store};

use super::bindings::daybridge::rules::types as wit;
use super::bindings::exports::daybridge::rules::compiler::ScriptError;
use super::call::State;
use super::passage::{Passage, Reads};
use super::{renewal, shown};

/// The package of the contract, with what stands between it and the name of an interface.
pub const PACKAGE: &str = "daybridge:rules/";

/// A version of the contract, major and minor number; its patch is the newest of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    V0_1,
    V0_2,
}

impl Version {
    /// Oldest first.
    pub const ALL: [Version; 2] = [Version::V0_1, Version::V0_2];
    pub const NEWEST: Version = Version::V0_2;

    pub fn number(self) -> Number {
        match self {
            Version::V0_1 => Number([0, 1, 0]),
            Version::V0_2 => Number([0, 2, 0]),
        }
    }

    /// The version in which a rule for that number can run: same major and minor number, same or later patch.
    pub fn serving(number: Number) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number().is_patch_of(number) && number <= version.number())
    }

    /// Whether a later host may serve that number: it is newer than all, or a later patch of one that is served.
    pub fn may_come(number: Number) -> bool {
        let later_patch = |version: Self| version.number().is_patch_of(number) && number > version.number();
        number > Self::NEWEST.number() || Self::ALL.into_iter().any(later_patch)
    }

    /// The interfaces a rule may import. `script` is for script engines.
    pub fn imports(self) -> &'static [&'static str] {
        match self {
            Version::V0_1 => &["types", "log", "settings", "lookup"],
            Version::V0_2 => &["types", "log", "settings", "lookup", "script"],
        }
    }
}

/// A version as a rule names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number([u32; 3]);

impl Number {
    /// Reads `major.minor.patch`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        let number = Self([parts.next()??, parts.next()??, parts.next()??]);
        parts.next().is_none().then_some(number)
    }

    fn is_patch_of(self, other: Self) -> bool {
        let (Self([major, minor, _]), Self([other_major, other_minor, _])) = (self, other);
        (major, minor) == (other_major, other_minor)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// All that rules of any version may import.
pub fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    v0_1::imports(&mut linker)?;
    v0_2::imports(&mut linker)?;
    Ok(linker)
}

/// A rule's component, linked, with the functions of the version it speaks.
#[derive(Clone)]
pub struct Linked {
    version: Version,
    instance: InstancePre<State>,
    hooks: Hooks,
    compile: Option<ComponentExportIndex>,
    /// What puts an instance back, if the component has that.
    renew: Option<ComponentExportIndex>,
    /// Set once [`Rule::check`] has held every function against the contract.
    checked: Arc<OnceLock<()>>,
}

/// Where the functions of `hooks` are. Their names are the same in all versions.
#[derive(Clone)]
struct Hooks {
    describe: ComponentExportIndex,
    apply: ComponentExportIndex,
    resolve: ComponentExportIndex,
    explain: ComponentExportIndex,
    match_user: ComponentExportIndex,
}

/// What keeps a component that says it speaks a version from being linked, or the engine's own words for people who mend SDKs.
pub enum Unfit {
    /// A function of the contract is not there.
    Missing(&'static str),
    Engine(wasmtime::Error),
}

impl Linked {
    pub fn new(linker: &Linker<State>, component: &Component, version: Version) -> Result<Self, Unfit> {
        let instance = linker.instantiate_pre(component).map_err(Unfit::Engine)?;
        let interface = format!("{PACKAGE}hooks@{}", version.number());
        let within = component.get_export_index(None, &*interface);
        let find = |name: &'static str| {
            within
                .as_ref()
                .and_then(|within| component.get_export_index(Some(within), name))
                .ok_or(Unfit::Missing(name))
        };
        let hooks = Hooks {
            describe: find("describe")?,
            apply: find("apply")?,
            resolve: find("resolve")?,
            explain: find("explain")?,
            match_user: find("match-user")?,
        };
        let compiler = format!("{PACKAGE}compiler@{}", version.number());
        let compiler = component.get_export_index(None, &*compiler);
        let compile = compiler.and_then(|within| component.get_export_index(Some(&within), "compile"));
        let renew = component.get_export_index(None, renewal::EXPORT);
        Ok(Self { version, instance, hooks, compile, renew, checked: Arc::default() })
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn engine(&self) -> &Engine {
        self.instance.engine()
    }

    /// Whether it runs scripts instead of being a rule itself.
    pub fn is_script_engine(&self) -> bool {
        self.compile.is_some()
    }

    pub fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Rule<'_>> {
        Ok(Rule { linked: self, instance: self.instance.instantiate(store)? })
    }

    /// Whether an instance is one of this.
    pub fn made(&self, sandbox: &Sandbox) -> bool {
        Arc::ptr_eq(&self.checked, &sandbox.of)
    }

    /// The rule in an instance that was kept; `sandbox` must be one this has [made](Self::made).
    pub fn again(&self, sandbox: Sandbox) -> Rule<'_> {
        Rule { linked: self, instance: sandbox.instance }
    }

    /// What `apply` is handed of an appointment, as this version wants it.
    pub fn handed<'a>(&self, passage: &'a Passage, reads: &'a Reads) -> Handed<'a> {
        match self.version {
            Version::V0_1 => Handed { source: passage.source(reads), draft: passage.whole_draft() },
            Version::V0_2 => Handed { source: passage.source(reads), draft: passage.difference(reads) },
        }
    }
}

/// The arguments of `apply` besides the call.
pub struct Handed<'a> {
    pub source: Vec<shown::Field<'a>>,
    pub draft: Vec<shown::Field<'a>>,
}

/// An instance by itself, to be kept. It is of use only with the store it lives in.
pub struct Sandbox {
    instance: Instance,
    /// What it was made of, known by its place in memory, which is held here so that nothing else can come to lie there.
    of: Arc<OnceLock<()>>,
}

/// An instance of a rule, whichever version of the contract it speaks.
pub struct Rule<'a> {
    linked: &'a Linked,
    instance: Instance,
}

type Answer<T> = wasmtime::Result<T>;

impl Rule<'_> {
    pub fn into_sandbox(self) -> Sandbox {
        Sandbox { instance: self.instance, of: Arc::clone(&self.linked.checked) }
    }

    /// Whether [`Self::renew`] can put it back.
    pub fn is_renewable(&self) -> bool {
        self.linked.renew.is_some()
    }

    /// Puts the instance back to what it was before its first call. False if it cannot be put back: it must not be called again.
    ///
    /// # Errors
    /// The engine's; then it must not be called again either.
    pub fn renew(&self, store: &mut Store<State>) -> Answer<bool> {
        match &self.linked.renew {
            Some(export) => self.call(store, export, ()),
            None => Ok(false),
        }
    }

    /// Holds every function against the contract, which is done once per component, when it is loaded.
    ///
    /// # Errors
    /// The name of the first that takes or answers something else.
    pub fn check(&self, store: &mut Store<State>) -> Result<(), &'static str> {
        type Apply<'a> = (&'a wit::Call, &'a [shown::Field<'a>], &'a [shown::Field<'a>]);
        type Resolve<'a> = (&'a wit::Call, &'a [shown::Field<'a>], &'a [shown::Conflict<'a>]);
        let Hooks { describe, apply, resolve, explain, match_user } = &self.linked.hooks;
        let (described, explained) = match self.linked.version {
            Version::V0_1 => (
                self.is::<(), v0_1::Description>(store, describe),
                self.is::<(&wit::Failure,), Option<v0_1::Explanation>>(store, explain),
            ),
            Version::V0_2 => (
                self.is::<(), wit::Description>(store, describe),
                self.is::<(&wit::Failure,), Option<wit::Explanation>>(store, explain),
            ),
        };
        let compiles = |store: &mut Store<State>, export: &ComponentExportIndex| {
            self.is::<(&str, &str), Result<Vec<u8>, ScriptError>>(store, export)
        };
        let checked = [
            ("describe", described),
            ("apply", self.is::<Apply<'_>, wit::Verdict>(store, apply)),
            ("resolve", self.is::<Resolve<'_>, Vec<wit::Resolution>>(store, resolve)),
            ("explain", explained),
            ("match-user", self.is::<(&wit::Person, &[wit::User]), Option<String>>(store, match_user)),
            ("compile", self.linked.compile.as_ref().is_none_or(|export| compiles(store, export))),
            (renewal::EXPORT, self.linked.renew.as_ref().is_none_or(|export| self.is::<(), bool>(store, export))),
        ];
        if let Some((name, _)) = checked.into_iter().find(|(_, fits)| !fits) {
            return Err(name);
        }
        let _ = self.linked.checked.set(());
        Ok(())
    }

    fn is<P, A>(&self, store: &mut Store<State>, export: &ComponentExportIndex) -> bool
    where
        P: ComponentNamedList + Lower,
        (A,): ComponentNamedList + Lift,
    {
        self.instance.get_typed_func::<P, (A,)>(store, export).is_ok()
    }

    pub fn describe(&self, store: &mut Store<State>) -> Answer<wit::Description> {
        let export = &self.linked.hooks.describe;
        match self.linked.version {
            Version::V0_1 => self.call::<_, v0_1::Description>(store, export, ()).map(wit::Description::from),
            Version::V0_2 => self.call(store, export, ()),
        }
    }

    pub fn apply(&self, store: &mut Store<State>, call: &wit::Call, handed: &Handed<'_>) -> Answer<wit::Verdict> {
        self.call(store, &self.linked.hooks.apply, (call, handed.source.as_slice(), handed.draft.as_slice()))
    }

    pub fn resolve(
        &self,
        store: &mut Store<State>,
        call: &wit::Call,
        source: &[shown::Field<'_>],
        conflicts: &[shown::Conflict<'_>],
    ) -> Answer<Vec<wit::Resolution>> {
        self.call(store, &self.linked.hooks.resolve, (call, source, conflicts))
    }

    pub fn explain(&self, store: &mut Store<State>, failure: &wit::Failure) -> Answer<Option<wit::Explanation>> {
        let export = &self.linked.hooks.explain;
        match self.linked.version {
            Version::V0_1 => {
                let answer = self.call::<_, Option<v0_1::Explanation>>(store, export, (failure,))?;
                Ok(answer.map(wit::Explanation::from))
            }
            Version::V0_2 => self.call(store, export, (failure,)),
        }
    }

    pub fn match_user(
        &self,
        store: &mut Store<State>,
        person: &wit::Person,
        candidates: &[wit::User],
    ) -> Answer<Option<String>> {
        self.call(store, &self.linked.hooks.match_user, (person, candidates))
    }

    /// Lets a script engine compile a script.
    pub fn compile(&self, store: &mut Store<State>, name: &str, source: &str) -> Answer<Result<Vec<u8>, ScriptError>> {
        let export = self.linked.compile.as_ref();
        let export = export.ok_or_else(|| wasmtime::Error::msg("it is no script engine"))?;
        self.call(store, export, (name, source))
    }

    fn call<P, A>(&self, store: &mut Store<State>, export: &ComponentExportIndex, parameters: P) -> Answer<A>
    where
        P: ComponentNamedList + Lower,
        (A,): ComponentNamedList + Lift,
    {
        let function = self.function::<P, A>(store, export)?;
        let (answer,) = function.call(store, parameters)?;
        Ok(answer)
    }

    /// A function with its types. Comparing them with the component's takes a tenth of a call, so it is done once.
    #[expect(unsafe_code, reason = "a component's types do not change from one instance to the next")]
    fn function<P, A>(&self, store: &mut Store<State>, export: &ComponentExportIndex) -> Answer<TypedFunc<P, (A,)>>
    where
        P: ComponentNamedList + Lower,
        (A,): ComponentNamedList + Lift,
    {
        if self.linked.checked.get().is_none() {
            return self.instance.get_typed_func(&mut *store, export);
        }
        let function = self.instance.get_func(&mut *store, export);
        let function = function.ok_or_else(|| wasmtime::Error::msg("the function is not there"))?;
        // SAFETY: `check` compared this component's types with `P` and `A`: it goes through every function that this type
        // has a method for, with the types which that method passes on here.
        Ok(unsafe { TypedFunc::new_unchecked(function) })
    }
}
