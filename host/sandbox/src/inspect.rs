//! A first, cheap look at a component's bytes, before anything costly is done
//! with them: is it a component, of this contract, and of a size to compile?
//!
//! Only the structure is walked; function bodies are measured and not read.
//! Whether the bytes are valid is found out when they are compiled.

use wasmparser::{Encoding, Parser, Payload};

use crate::{
    contract::{INSECURE_SEED, Standing, export_standing, import_standing},
    load_error::LoadError,
    options::LoadLimits,
};

/// The most local variables in all functions together: they are declared in a
/// few bytes and cost memory to compile.
const LOCALS_MAX: u64 = 10_000_000;
/// The most names that an error lists.
const NAMES_LISTED_MAX: usize = 8;

/// What the first look found.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    /// Whether it imports what Rust's standard library seeds its hash maps
    /// from on `wasm32-wasip2`.
    pub(crate) imports_insecure_seed: bool,
}

/// Looks at a component.
pub(crate) fn inspect(bytes: &[u8], limits: &LoadLimits) -> Result<Inspection, LoadError> {
    check_kind(bytes)?;
    let mut walk = Walk::new(limits);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| LoadError::Invalid(error.to_string()))?;
        walk.take(payload)?;
    }
    walk.finish()
}

/// The first eight bytes tell a component from a core module and from
/// everything else.
fn check_kind(bytes: &[u8]) -> Result<(), LoadError> {
    let not_wasm = |text: &str| Err(LoadError::NotWasm(text.into()));
    if bytes.is_empty() {
        return not_wasm("the file is empty");
    }
    if !Parser::is_component(bytes) && !Parser::is_core_wasm(bytes) {
        return match bytes.starts_with(b"\0asm") {
            true if bytes.len() < 8 => not_wasm("the file ends within its first eight bytes"),
            true => not_wasm("it is of a version of WebAssembly that is not known here"),
            false => not_wasm("it does not begin as WebAssembly does"),
        };
    }
    if Parser::is_core_wasm(bytes) { Err(LoadError::CoreModule) } else { Ok(()) }
}

struct Walk<'a> {
    limits: &'a LoadLimits,
    depth: u32,
    modules: u32,
    functions: u32,
    locals: u64,
    items: u32,
    imports: Vec<String>,
    exports: Vec<String>,
}

impl<'a> Walk<'a> {
    fn new(limits: &'a LoadLimits) -> Self {
        Self {
            limits,
            depth: 0,
            modules: 0,
            functions: 0,
            locals: 0,
            items: 0,
            imports: Vec::new(),
            exports: Vec::new(),
        }
    }

    fn take(&mut self, payload: Payload<'_>) -> Result<(), LoadError> {
        let invalid = |error: wasmparser::BinaryReaderError| LoadError::Invalid(error.to_string());
        match payload {
            Payload::Version { encoding: Encoding::Component | Encoding::Module, .. } => {
                self.depth += 1;
                self.modules += 1;
                at_most("levels of nesting", self.depth, self.limits.depth_max)?;
                at_most("modules and components", self.modules, self.limits.modules_max)?;
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::CodeSectionStart { count, .. } => {
                self.functions = self.functions.saturating_add(count);
                at_most("functions", self.functions, self.limits.functions_max)?;
            }
            Payload::CodeSectionEntry(body) => {
                let bytes = u32::try_from(body.range().len()).unwrap_or(u32::MAX);
                at_most("bytes in one function", bytes, self.limits.function_bytes_max)?;
                for locals in body.get_locals_reader().map_err(invalid)? {
                    let (count, _) = locals.map_err(invalid)?;
                    self.locals = self.locals.saturating_add(count.into());
                }
                at_most("local variables", self.locals, LOCALS_MAX)?;
            }
            Payload::ComponentImportSection(section) => {
                self.count(section.count())?;
                if self.depth == 1 {
                    for import in section {
                        self.imports.push(import.map_err(invalid)?.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                self.count(section.count())?;
                if self.depth == 1 {
                    for export in section {
                        self.exports.push(export.map_err(invalid)?.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentTypeSection(section) => self.count(section.count())?,
            Payload::ComponentInstanceSection(section) => self.count(section.count())?,
            Payload::ComponentAliasSection(section) => self.count(section.count())?,
            Payload::ComponentCanonicalSection(section) => self.count(section.count())?,
            Payload::CoreTypeSection(section) => self.count(section.count())?,
            Payload::InstanceSection(section) => self.count(section.count())?,
            Payload::TypeSection(section) => self.count(section.count())?,
            Payload::ImportSection(section) => self.count(section.count())?,
            Payload::ExportSection(section) => self.count(section.count())?,
            Payload::GlobalSection(section) => self.count(section.count())?,
            Payload::ElementSection(section) => self.count(section.count())?,
            Payload::DataSection(section) => self.count(section.count())?,
            // The rest is bounded by the component's size.
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, items: u32) -> Result<(), LoadError> {
        self.items = self.items.saturating_add(items);
        at_most("types, imports, exports and the like", self.items, self.limits.items_max)
    }

    fn finish(self) -> Result<Inspection, LoadError> {
        let of = |names: &[String], wanted: Standing, standing: fn(&str) -> Standing| {
            names.iter().filter(|name| standing(name) == wanted).cloned().collect::<Vec<_>>()
        };
        let mut others = of(&self.exports, Standing::OtherVersion, export_standing);
        others.extend(of(&self.imports, Standing::OtherVersion, import_standing));
        if !others.is_empty() {
            return Err(LoadError::OtherVersion { found: listed(&others) });
        }
        if of(&self.exports, Standing::Served, export_standing).is_empty() {
            return Err(LoadError::OtherWorld { exports: exports_in_words(&self.exports) });
        }
        let foreign = of(&self.imports, Standing::Foreign, import_standing);
        if !foreign.is_empty() {
            return Err(LoadError::UnknownImports(listed(&foreign)));
        }
        let imports_insecure_seed = self.imports.iter().any(|name| name.starts_with(INSECURE_SEED));
        Ok(Inspection { imports_insecure_seed })
    }
}

fn at_most<N: PartialOrd + std::fmt::Display>(what: &str, has: N, max: N) -> Result<(), LoadError> {
    if has <= max {
        return Ok(());
    }
    Err(LoadError::TooComplex(format!("it has {has} {what} or more, where {max} may be")))
}

fn exports_in_words(exports: &[String]) -> String {
    if exports.iter().any(|name| name.starts_with("wasi:cli/run@")) {
        return "wasi:cli/run: it is a program with a `main`. Make it a library with \
                `crate-type = [\"cdylib\"]`"
            .into();
    }
    if exports.is_empty() { "nothing".into() } else { listed(exports) }
}

/// Some of the names, each cut to what an error can show.
fn listed(names: &[String]) -> String {
    let mut shown: Vec<String> = names
        .iter()
        .take(NAMES_LISTED_MAX)
        .map(|name| crate::lines::printable(&crate::lines::cut(name, 100)))
        .collect();
    if names.len() > NAMES_LISTED_MAX {
        shown.push(format!("{} more", names.len() - NAMES_LISTED_MAX));
    }
    shown.join(", ")
}
