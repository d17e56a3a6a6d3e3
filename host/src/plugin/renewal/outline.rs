//! Reads of a component what its renewal needs to know, and refuses it if something in it could not be put back.
//!
//! Must not know: how the function is written.

use std::ops::Range;

use wasmparser::types::TypesRef;
use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentTypeRef, ConstExpr, DataKind, GlobalType, Instance, MemoryType,
    Operator, Parser, Payload, TypeRef,
};

use super::{INSTANCES_MAX, PAGE, PAGES_MAX, PARTS_MAX, Unfit, at};

/// What was read of a component.
pub struct Outline<'a> {
    /// The one module that has state.
    pub module: Module<'a>,
    /// Where that module lies in the component.
    pub range: Range<usize>,
    /// Its only instance.
    pub instance: u32,
    /// How many of each were read.
    modules: u32,
    instances: u32,
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
    tables: usize,
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
        // What a payload lies in, below the outermost component.
        let mut within = Vec::new();
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload?;
            match within.last() {
                None => outermost(&payload, &mut modules, &mut instances)?,
                Some(Inner::Component) => inner(&payload)?,
                Some(Inner::Module) => {}
            }
            match payload {
                Payload::ModuleSection { .. } => within.push(Inner::Module),
                Payload::ComponentSection { .. } => within.push(Inner::Component),
                Payload::End(_) => drop(within.pop()),
                _ => {}
            }
        }
        let mut with_state = Vec::new();
        let mut tables = 0_usize;
        for (index, range) in (0_u32..).zip(&modules) {
            let module = Module::read(component.get(range.clone()).unwrap_or_default())?;
            let made = instances.iter().filter(|module| **module == Some(index)).count();
            tables = tables.saturating_add(made.saturating_mul(module.tables));
            if module.memories > 0 || !module.variables.is_empty() {
                with_state.push((index, range.clone(), module));
            }
        }
        let Ok([(index, range, module)]) = <[_; 1]>::try_from(with_state) else {
            return Err(Unfit::Keeps("not just one of its modules has memory and variables"));
        };
        let mut made = (0_u32..).zip(&instances).filter(|(_, module)| **module == Some(index));
        let (Some((instance, _)), None) = (made.next(), made.next()) else {
            return Err(Unfit::Keeps("its main module has not just one instance"));
        };
        module.check()?;
        if instances.len() > INSTANCES_MAX || tables > INSTANCES_MAX {
            return Err(Unfit::Keeps("it has too many instances or tables within it"));
        }
        Ok(Self { module, range, instance, modules: number(modules.len()), instances: number(instances.len()) })
    }

    /// Whether modules and instances have the numbers that were given to them here: each can have come in one way only.
    pub fn hold_against(&self, types: TypesRef<'_>) -> Result<(), Unfit> {
        if (types.module_count(), types.core_instance_count()) != (self.modules, self.instances) {
            return Err(Unfit::Keeps("it has a module under another name"));
        }
        Ok(())
    }
}

enum Inner {
    Module,
    Component,
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn outermost(
    payload: &Payload<'_>,
    modules: &mut Vec<Range<usize>>,
    instances: &mut Vec<Option<u32>>,
) -> Result<(), Unfit> {
    match payload {
        Payload::ModuleSection { unchecked_range, .. } => modules.push(at(unchecked_range)),
        Payload::InstanceSection(section) => {
            for instance in section.clone() {
                instances.push(match instance? {
                    Instance::Instantiate { module_index, .. } => Some(module_index),
                    Instance::FromExports(_) => None,
                });
            }
        }
        Payload::ComponentImportSection(section) => {
            for import in section.clone() {
                if let ComponentTypeRef::Module(_) | ComponentTypeRef::Component(_) = import?.ty {
                    return Err(Unfit::Keeps("it imports code"));
                }
            }
        }
        Payload::ComponentCanonicalSection(section) => {
            for function in section.clone() {
                plain(&function?)?;
            }
        }
        Payload::ComponentStartSection { .. } => return Err(Unfit::Keeps("it has a start function")),
        _ => {}
    }
    Ok(())
}

/// Components within the component give names to types and functions, and do nothing.
fn inner(payload: &Payload<'_>) -> Result<(), Unfit> {
    match payload {
        Payload::ModuleSection { .. }
        | Payload::InstanceSection(_)
        | Payload::ComponentCanonicalSection(_)
        | Payload::ComponentStartSection { .. } => {
            Err(Unfit::Keeps("a component within it does more than name things"))
        }
        _ => Ok(()),
    }
}

/// Plain functions in and out are all that a rule may have: whatever else the canonical ABI offers keeps an account of
/// something (handles, tasks, streams).
fn plain(function: &CanonicalFunction) -> Result<(), Unfit> {
    let (CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. }) = function else {
        return Err(Unfit::Keeps("it has resources or tasks"));
    };
    let is_plain = |option: &CanonicalOption| {
        matches!(
            option,
            CanonicalOption::UTF8
                | CanonicalOption::UTF16
                | CanonicalOption::CompactUTF16
                | CanonicalOption::Memory(_)
                | CanonicalOption::Realloc(_)
                | CanonicalOption::PostReturn(_)
        )
    };
    if options.iter().all(is_plain) { Ok(()) } else { Err(Unfit::Keeps("it has functions that do not answer at once")) }
}

impl<'a> Module<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, Unfit> {
        let mut module = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        module.types = module.types.saturating_add(number(group?.types().len()));
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        module.import(import?.ty)?;
                    }
                }
                Payload::FunctionSection(section) => {
                    module.functions = module.functions.saturating_add(section.count())
                }
                Payload::TableSection(section) => module.tables = section.count() as usize,
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
        if self.memories != 1 {
            return Err(Unfit::Keeps("it has not just one memory"));
        }
        let pages = u64::from(self.pages);
        if pages > PAGES_MAX {
            return Err(Unfit::Large { pages });
        }
        // What is copied for each call: as a rule far less than what is cleared.
        let bytes: usize = self.placed.iter().map(|placed| placed.data.len()).sum();
        if self.placed.len().saturating_add(self.variables.len()) > PARTS_MAX || bytes as u64 > pages * PAGE {
            return Err(Unfit::Keeps("it has too many variables or too much data"));
        }
        Ok(())
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
