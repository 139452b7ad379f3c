//! What the deployed types offer, prepared for requests.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use http::HeaderValue;
use stead_cluster::api::DeployedType;
use stead_model::{EntityType, Operation};

use super::routes::Routes;
use crate::arguments::Fields;

/// The types as the house tells them. Another value whenever one changed.
pub type Types = Arc<Vec<Arc<DeployedType>>>;

/// All that is looked up for a request. Never changed, only replaced.
#[derive(Default)]
pub struct Table {
    source: Option<Types>,
    types: HashMap<Box<str>, Arc<TypeEntry>>,
    /// The types' own routes.
    pub routes: Routes,
    /// The types' names, for those who ask for another.
    pub type_names: Vec<String>,
}

/// One type.
pub struct TypeEntry {
    deployed: Arc<DeployedType>,
    /// Its name.
    pub entity_type: EntityType,
    operations: HashMap<Box<str>, Arc<OperationEntry>>,
    /// The names of its commands.
    pub commands: Vec<String>,
    /// The names of its queries.
    pub queries: Vec<String>,
}

/// A command or a query.
pub struct OperationEntry {
    /// Which of the two.
    pub kind: OperationKind,
    /// Its name.
    pub name: Arc<str>,
    /// The content type of its argument without parameters, in lower case;
    /// empty if it takes none.
    pub request_type: Box<str>,
    /// Whether its argument is JSON.
    pub takes_json: bool,
    /// The content type of its reply, if it says.
    pub reply_type: Option<HeaderValue>,
    /// The fields of its argument.
    pub fields: Fields,
}

/// A command or a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// May record events; asked with `POST`.
    Command,
    /// Records nothing; asked with `GET`.
    Query,
}

impl Table {
    /// The type of this name.
    pub fn entity_type(&self, name: &str) -> Option<&Arc<TypeEntry>> {
        self.types.get(name)
    }

    /// A table for these types. What has not changed since `former` is taken
    /// over from it: reading a schema is the dear part.
    fn build(source: Types, former: &Self) -> Self {
        let mut types = HashMap::with_capacity(source.len());
        for deployed in source.iter() {
            let name = deployed.manifest.entity_type.as_str();
            let entry = match former.types.get(name) {
                Some(entry) if Arc::ptr_eq(&entry.deployed, deployed) => Arc::clone(entry),
                _ => Arc::new(TypeEntry::new(deployed)),
            };
            types.insert(name.into(), entry);
        }
        let mut routes = Routes::default();
        for (entry, deployed) in source.iter().filter_map(|deployed| {
            Some((types.get(deployed.manifest.entity_type.as_str())?, deployed))
        }) {
            routes.add(entry, &deployed.manifest);
        }
        let mut type_names: Vec<String> =
            source.iter().map(|deployed| deployed.manifest.entity_type.to_string()).collect();
        type_names.sort_unstable();
        Self { source: Some(source), types, routes, type_names }
    }
}

impl TypeEntry {
    fn new(deployed: &Arc<DeployedType>) -> Self {
        let description = &deployed.description;
        let names = |operations: &[Operation]| {
            operations.iter().map(|operation| operation.name.clone()).collect::<Vec<_>>()
        };
        let commands = description.commands.iter().map(|o| (OperationKind::Command, o));
        let queries = description.queries.iter().map(|o| (OperationKind::Query, o));
        let operations = commands.chain(queries).map(|(kind, operation)| {
            (operation.name.as_str().into(), Arc::new(OperationEntry::new(kind, operation)))
        });
        Self {
            entity_type: deployed.manifest.entity_type.clone(),
            operations: operations.collect(),
            commands: names(&description.commands),
            queries: names(&description.queries),
            deployed: Arc::clone(deployed),
        }
    }

    /// The command or query of this name; one name is never both.
    pub fn operation(&self, name: &str) -> Option<&Arc<OperationEntry>> {
        self.operations.get(name)
    }
}

impl OperationEntry {
    fn new(kind: OperationKind, operation: &Operation) -> Self {
        let request_type = essence(&operation.request_type);
        let reply_type = Some(operation.reply_type.as_str()).filter(|text| !text.is_empty());
        Self {
            kind,
            name: operation.name.as_str().into(),
            takes_json: is_json(&request_type),
            request_type,
            reply_type: reply_type.and_then(|text| HeaderValue::from_str(text).ok()),
            fields: Fields::of(operation.request_schema.as_deref()),
        }
    }
}

/// A content type without its parameters, in lower case.
pub fn essence(content_type: &str) -> Box<str> {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase().into()
}

/// Whether a content type, as [`essence`] gives it, is JSON.
pub fn is_json(essence: &str) -> bool {
    essence == "application/json" || essence.ends_with("+json")
}

/// The present table. Reading it takes a lock that is only ever held for the
/// time of a reference count.
#[derive(Default)]
pub struct TableCell(RwLock<Arc<Table>>);

impl TableCell {
    /// The table for these types, built if they changed since the last call.
    pub fn for_types(&self, types: Types) -> Arc<Table> {
        let present = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        if present.source.as_ref().is_some_and(|source| Arc::ptr_eq(source, &types)) {
            return present;
        }
        // Two requests may build at once; both tables are right for the types
        // that their request saw, and the next request sees to the last word.
        let table = Arc::new(Table::build(types, &present));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&table);
        table
    }
}
