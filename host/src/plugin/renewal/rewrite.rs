//! Writes the function that puts a component back into it. All that is there stays where and as it is, byte for byte; what is
//! added stands at the end of its section, so that no number given before changes its meaning.
//!
//! Must not know: which components may be put back.

use std::ops::Range;

use wasm_encoder::{
    Alias, CanonicalFunctionSection, Component, ComponentAliasSection, ComponentExportKind, ComponentExportSection,
    ComponentSectionId, ComponentTypeSection, ComponentValType, Encode, ExportKind, Function, Ieee32, Ieee64,
    Instruction, Module, PrimitiveValType, RawSection, SectionId, ValType,
};
use wasmparser::types::TypesRef;
use wasmparser::{BinaryReader, Parser, Payload};

use super::outline::{self, Outline, Value};
use super::{EXPORT, PAGE, Unfit, at};

/// The component with the function added to its module, lifted and exported. `types` is what is known of the component as it is: how
/// many functions and types there are says which numbers the new ones get.
pub fn component(bytes: &[u8], outline: &Outline<'_>, types: TypesRef<'_>) -> Result<Vec<u8>, Unfit> {
    let mut component = Component::new();
    for (id, range) in sections(bytes)? {
        let data = bytes.get(range.clone()).unwrap_or_default();
        if id == ComponentSectionId::CoreModule as u8 && range == outline.range {
            component.section(&RawSection { id, data: &module(data, &outline.module)? });
        } else {
            component.section(&RawSection { id, data });
        }
    }
    let mut alias = ComponentAliasSection::new();
    alias.alias(Alias::CoreInstanceExport { instance: outline.instance, kind: ExportKind::Func, name: EXPORT });
    let mut kind = ComponentTypeSection::new();
    let answer = ComponentValType::Primitive(PrimitiveValType::Bool);
    kind.function().params([] as [(&str, ComponentValType); 0]).result(Some(answer));
    let mut lift = CanonicalFunctionSection::new();
    lift.lift(types.function_count(), types.component_type_count(), []);
    let mut export = ComponentExportSection::new();
    export.export(EXPORT, ComponentExportKind::Func, types.component_function_count(), None);
    component.section(&alias).section(&kind).section(&lift).section(&export);
    Ok(component.finish())
}

/// The sections of a component or module, those of what lies within it not among them.
fn sections(bytes: &[u8]) -> Result<Vec<(u8, Range<usize>)>, Unfit> {
    let mut sections = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        if depth == 0
            && let Some((id, range)) = payload.as_section()
        {
            sections.push((id, at(&range)));
        }
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(sections)
}

/// The module with the function added and exported.
pub(super) fn module(bytes: &[u8], outline: &outline::Module<'_>) -> Result<Vec<u8>, Unfit> {
    let placed = u32::try_from(outline.placed.len()).unwrap_or(u32::MAX);
    let mut added = Vec::new();
    let mut module = Module::new();
    for (id, range) in sections(bytes)? {
        let data = bytes.get(range).unwrap_or_default();
        let more = |count: u32, entry: &dyn Fn(&mut Vec<u8>)| longer(data, count, entry);
        let data = match id {
            id if id == SectionId::Type as u8 => more(1, &|to| {
                // () -> i32 (core specification, "Function Types")
                to.extend([0x60, 0, 1]);
                ValType::I32.encode(to);
            })?,
            id if id == SectionId::Function as u8 => more(1, &|to| outline.types.encode(to))?,
            id if id == SectionId::Export as u8 => more(1, &|to| {
                EXPORT.encode(to);
                ExportKind::Func.encode(to);
                outline.functions.encode(to);
            })?,
            // It is written anew before the code, with as many more.
            id if id == SectionId::DataCount as u8 => continue,
            id if id == SectionId::Code as u8 => {
                let mut count = Vec::new();
                outline.segments.saturating_add(placed).encode(&mut count);
                module.section(&RawSection { id: SectionId::DataCount as u8, data: &count });
                more(1, &|to| function(outline).encode(to))?
            }
            id if id == SectionId::Data as u8 => more(placed, &|to| {
                for segment in &outline.placed {
                    // A passive segment (core specification, "Data Section").
                    to.push(1);
                    segment.data.encode(to);
                }
            })?,
            _ => data.to_vec(),
        };
        added.push(id);
        module.section(&RawSection { id, data: &data });
    }
    let needed = [SectionId::Type, SectionId::Function, SectionId::Export, SectionId::Code];
    if needed.iter().any(|section| !added.contains(&(*section as u8))) {
        return Err(Unfit::Keeps("its main module has no functions or no exports"));
    }
    Ok(module.finish())
}

/// A section that is a list, with more entries at its end.
fn longer(section: &[u8], more: u32, entries: &dyn Fn(&mut Vec<u8>)) -> Result<Vec<u8>, Unfit> {
    let mut reader = BinaryReader::new(section, 0);
    let count = reader.read_var_u32()?;
    let rest = reader.read_bytes(reader.bytes_remaining())?;
    let mut data = Vec::with_capacity(section.len() + 16);
    count.saturating_add(more).encode(&mut data);
    data.extend_from_slice(rest);
    entries(&mut data);
    Ok(data)
}

/// Puts everything back and answers whether it is as it was: not if the memory has grown.
fn function(module: &outline::Module<'_>) -> Function {
    let number = |number: u32| Instruction::I32Const(number.cast_signed());
    let mut function = Function::new([]);
    let mut say = |instruction: Instruction<'_>| {
        function.instruction(&instruction);
    };
    // Cleared in any case: what a call left is not to lie about.
    say(number(0));
    say(number(0));
    say(number(module.pages.saturating_mul(PAGE as u32)));
    say(Instruction::MemoryFill(0));
    for (segment, placed) in (module.segments..).zip(&module.placed) {
        say(Instruction::I32Const(placed.at));
        say(number(0));
        say(number(u32::try_from(placed.data.len()).unwrap_or(u32::MAX)));
        say(Instruction::MemoryInit { mem: 0, data_index: segment });
    }
    for variable in &module.variables {
        say(match variable.first {
            Value::I32(value) => Instruction::I32Const(value),
            Value::I64(value) => Instruction::I64Const(value),
            Value::F32(bits) => Instruction::F32Const(Ieee32::new(bits)),
            Value::F64(bits) => Instruction::F64Const(Ieee64::new(bits)),
            Value::V128(value) => Instruction::V128Const(value),
        });
        say(Instruction::GlobalSet(variable.index));
    }
    say(Instruction::MemorySize(0));
    say(number(module.pages));
    say(Instruction::I32Eq);
    say(Instruction::End);
    function
}
