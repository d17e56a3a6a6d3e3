//! Reads of a component what its renewal needs to know, and refuses it if something in it could not be put back.
//!
//! Must not know: how the function is written.

use std::ops::Range;

use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind,
    ComponentTypeRef, ConstExpr, DataKind, ExternalKind, GlobalType, Instance, MemoryType, Operator, Parser, Payload,
    TypeRef,
};

use super::{PAGES_MAX, Unfit};

/// What was read of a component.
pub struct Outline<'a> {
    /// The one module that has state.
    pub module: Module<'a>,
    /// Where that module lies in the component.
    pub range: Range<usize>,
    /// Its only instance.
    pub instance: u32,
    /// How many there are by now, each in its own index space of the component.
    pub counts: Counts,
}

/// Sizes of a component's index spaces.
#[derive(Default)]
pub struct Counts {
    pub core_functions: u32,
    pub types: u32,
    pub functions: u32,
}

/// What was read of a module.
#[derive(Default)]
pub struct Module<'a> {
    pub types: u32,
    pub functions: u32,
    /// Pages of its memory at the start.
    pub pages: u32,
    /// Segments of data, passive ones included.
    pub segments: u32,
    /// Those that lie in memory at the start, in the order they are put there.
    pub placed: Vec<Placed<'a>>,
    pub variables: Vec<Variable>,
    memories: u32,
    globals: u32,
}

/// A segment of data at its place.
pub struct Placed<'a> {
    pub at: i32,
    pub data: &'a [u8],
}

/// A global that can be written.
pub struct Variable {
    pub index: u32,
    pub first: Value,
}

/// The first value of a variable. Floating-point numbers by their bits, so that they come back to the bit.
#[derive(Clone, Copy)]
pub enum Value {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    V128(i128),
}

impl<'a> Outline<'a> {
    pub fn read(component: &'a [u8]) -> Result<Self, Unfit> {
        let mut modules = Vec::new();
        // The module each instance was made of; none for a bundle of exports.
        let mut instances = Vec::new();
        let mut counts = Counts::default();
        let mut within = Vec::new();
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload?;
            match &payload {
                Payload::End(_) => {
                    within.pop();
                    continue;
                }
                Payload::ModuleSection { unchecked_range, .. } => {
                    let outermost = within.is_empty();
                    within.push(Inner::Module);
                    if !outermost {
                        // Of a module's own payloads there is none of this kind.
                        return Err(Unfit::Keeps("a component within it has modules of its own"));
                    }
                    let range = start(unchecked_range)..end(unchecked_range);
                    modules.push(range);
                    continue;
                }
                Payload::ComponentSection { .. } => {
                    within.push(Inner::Component);
                    continue;
                }
                _ => {}
            }
            match within.last() {
                None => counts.take_in(&payload, &mut instances)?,
                Some(Inner::Component) => inner(&payload)?,
                Some(Inner::Module) => {}
            }
        }
        let read = |range: &Range<usize>| Module::read(component.get(range.clone()).unwrap_or_default());
        let mut with_state = Vec::new();
        for (index, range) in modules.iter().enumerate() {
            let module = read(range)?;
            if module.memories > 0 || !module.variables.is_empty() {
                with_state.push((index, range.clone(), module));
            }
        }
        let Ok([(index, range, module)]) = <[_; 1]>::try_from(with_state) else {
            return Err(Unfit::Keeps("not just one of its modules has memory and variables"));
        };
        let mut made = (0_u32..).zip(&instances).filter(|(_, module)| **module == u32::try_from(index).ok());
        let (Some((instance, _)), None) = (made.next(), made.next()) else {
            return Err(Unfit::Keeps("its main module has not just one instance"));
        };
        module.check()?;
        Ok(Self { module, range, instance, counts })
    }
}

/// What a payload lies in, below the outermost component.
enum Inner {
    Module,
    Component,
}

fn start(range: &Range<u64>) -> usize {
    usize::try_from(range.start).unwrap_or(usize::MAX)
}

fn end(range: &Range<u64>) -> usize {
    usize::try_from(range.end).unwrap_or(usize::MAX)
}

/// Components within the component give names to types and functions, and do nothing.
fn inner(payload: &Payload<'_>) -> Result<(), Unfit> {
    match payload {
        Payload::InstanceSection(_) | Payload::ComponentCanonicalSection(_) | Payload::ComponentStartSection { .. } => {
            Err(Unfit::Keeps("a component within it does more than name things"))
        }
        _ => Ok(()),
    }
}

impl Counts {
    fn take_in(&mut self, payload: &Payload<'_>, instances: &mut Vec<Option<u32>>) -> Result<(), Unfit> {
        match payload {
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    instances.push(match instance? {
                        Instance::Instantiate { module_index, .. } => Some(module_index),
                        Instance::FromExports(_) => None,
                    });
                }
            }
            Payload::ComponentTypeSection(section) => self.types += section.count(),
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    match import?.ty {
                        ComponentTypeRef::Type(_) => self.types += 1,
                        ComponentTypeRef::Func(_) => self.functions += 1,
                        ComponentTypeRef::Module(_) => return Err(Unfit::Keeps("it imports a module")),
                        ComponentTypeRef::Component(_) => return Err(Unfit::Keeps("it imports a component")),
                        ComponentTypeRef::Instance(_) | ComponentTypeRef::Value(_) => {}
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    self.one_more(export?.kind);
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section.clone() {
                    match alias? {
                        ComponentAlias::InstanceExport { kind, .. } => self.one_more(kind),
                        ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, .. } => self.core_functions += 1,
                        ComponentAlias::CoreInstanceExport { .. } => {}
                        ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, .. } => self.types += 1,
                        ComponentAlias::Outer { .. } => {}
                    }
                }
            }
            Payload::ComponentCanonicalSection(section) => {
                for function in section.clone() {
                    self.canonical(&function?)?;
                }
            }
            Payload::ComponentStartSection { .. } => return Err(Unfit::Keeps("it has a start function")),
            _ => {}
        }
        Ok(())
    }

    fn one_more(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Type => self.types += 1,
            ComponentExternalKind::Func => self.functions += 1,
            ComponentExternalKind::Module
            | ComponentExternalKind::Value
            | ComponentExternalKind::Instance
            | ComponentExternalKind::Component => {}
        }
    }

    /// Plain functions in and out are all that a rule may have: whatever else the canonical ABI offers keeps an account of
    /// something (handles, tasks, streams).
    fn canonical(&mut self, function: &CanonicalFunction) -> Result<(), Unfit> {
        let (count, options) = match function {
            CanonicalFunction::Lift { options, .. } => (&mut self.functions, options),
            CanonicalFunction::Lower { options, .. } => (&mut self.core_functions, options),
            _ => return Err(Unfit::Keeps("it has resources or tasks")),
        };
        *count += 1;
        let plain = options.iter().all(|option| {
            matches!(
                option,
                CanonicalOption::UTF8
                    | CanonicalOption::UTF16
                    | CanonicalOption::CompactUTF16
                    | CanonicalOption::Memory(_)
                    | CanonicalOption::Realloc(_)
                    | CanonicalOption::PostReturn(_)
            )
        });
        if plain { Ok(()) } else { Err(Unfit::Keeps("it has functions that do not answer at once")) }
    }
}

impl<'a> Module<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, Unfit> {
        let mut module = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        module.types += u32::try_from(group?.types().len()).unwrap_or(u32::MAX);
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        module.import(import?.ty)?;
                    }
                }
                Payload::FunctionSection(section) => module.functions += section.count(),
                Payload::MemorySection(section) => {
                    for memory in section {
                        module.memory(memory?)?;
                    }
                }
                Payload::GlobalSection(section) => {
                    for global in section {
                        let global = global?;
                        module.global(global.ty, &global.init_expr)?;
                    }
                }
                Payload::StartSection { .. } => return Err(Unfit::Keeps("it has a start function")),
                Payload::DataSection(section) => {
                    for segment in section {
                        let segment = segment?;
                        module.segments += 1;
                        if let DataKind::Active { offset_expr, .. } = &segment.kind {
                            module.placed.push(Placed { at: place(offset_expr)?, data: segment.data });
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    for operator in body.get_operators_reader()? {
                        allowed(&operator?)?;
                    }
                }
                _ => {}
            }
        }
        Ok(module)
    }

    fn import(&mut self, import: TypeRef) -> Result<(), Unfit> {
        match import {
            TypeRef::Func(_) | TypeRef::FuncExact(_) => self.functions += 1,
            TypeRef::Global(GlobalType { mutable: true, .. }) => {
                return Err(Unfit::Keeps("a module of it writes variables of another"));
            }
            TypeRef::Global(_) => self.globals += 1,
            TypeRef::Memory(_) => return Err(Unfit::Keeps("a module of it writes into the memory of another")),
            // What is in a table at the start stays there, see `allowed`.
            TypeRef::Table(_) | TypeRef::Tag(_) => {}
        }
        Ok(())
    }

    fn memory(&mut self, memory: MemoryType) -> Result<(), Unfit> {
        self.memories += 1;
        if memory.memory64 || memory.shared || memory.page_size_log2.is_some() {
            return Err(Unfit::Keeps("its memory is of a newer kind"));
        }
        self.pages = u32::try_from(memory.initial).unwrap_or(u32::MAX);
        Ok(())
    }

    fn global(&mut self, global: GlobalType, first: &ConstExpr<'_>) -> Result<(), Unfit> {
        let index = self.globals;
        self.globals += 1;
        if global.mutable {
            let first = constant(first).ok_or(Unfit::Keeps("a variable of it does not begin with a number"))?;
            self.variables.push(Variable { index, first });
        }
        Ok(())
    }

    /// Whether it can be put back, if it is the one with state.
    pub fn check(&self) -> Result<(), Unfit> {
        let pages = u64::from(self.pages);
        match self.memories {
            1 if pages > PAGES_MAX => Err(Unfit::Large { pages }),
            1 => Ok(()),
            _ => Err(Unfit::Keeps("it has not just one memory")),
        }
    }
}

/// Whatever changes what is neither in memory nor in a variable could not be put back.
fn allowed(operator: &Operator<'_>) -> Result<(), Unfit> {
    match operator {
        Operator::TableSet { .. }
        | Operator::TableGrow { .. }
        | Operator::TableFill { .. }
        | Operator::TableCopy { .. }
        | Operator::TableInit { .. } => Err(Unfit::Keeps("it writes into its tables")),
        Operator::ElemDrop { .. } | Operator::DataDrop { .. } => Err(Unfit::Keeps("it gives up segments of its data")),
        _ => Ok(()),
    }
}

fn place(offset: &ConstExpr<'_>) -> Result<i32, Unfit> {
    match constant(offset) {
        Some(Value::I32(at)) => Ok(at),
        _ => Err(Unfit::Keeps("the place of its data is computed")),
    }
}

/// The number an expression is, if it is no more than that.
fn constant(expression: &ConstExpr<'_>) -> Option<Value> {
    let mut reader = expression.get_operators_reader();
    let value = match reader.read().ok()? {
        Operator::I32Const { value } => Value::I32(value),
        Operator::I64Const { value } => Value::I64(value),
        Operator::F32Const { value } => Value::F32(value.bits()),
        Operator::F64Const { value } => Value::F64(value.bits()),
        Operator::V128Const { value } => Value::V128(value.i128()),
        _ => return None,
    };
    matches!(reader.read().ok()?, Operator::End).then_some(value)
}
