//! A house made of closures.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Arc, Mutex, RwLock},
    time::Duration,
};

use futures::future::BoxFuture;
use stead_cluster::api::{
    CallError, CommandCall, CommandReply, ComponentInfo, DeployError, DeployedType, EntityStatus,
    EventPage, NodeStatus, QueryCall, Service, SnapshotView, StoredEvent, VersionInfo,
};
use stead_model::{
    Address, ComponentHash, Description, EntityId, EntityType, EventKind, Manifest, Operation,
    RequestId, SequenceNumber, TimestampMs, TypeVersion,
};
use tokio::sync::watch;

type OnCommand =
    dyn Fn(CommandCall) -> BoxFuture<'static, Result<CommandReply, CallError>> + Send + Sync;
type OnQuery = dyn Fn(QueryCall) -> BoxFuture<'static, Result<Vec<u8>, CallError>> + Send + Sync;

/// A house: unless told otherwise, a command's reply and a query's answer are
/// their own arguments.
#[derive(Clone)]
pub struct House(Arc<Inner>);

struct Inner {
    types: RwLock<Arc<Vec<Arc<DeployedType>>>>,
    on_command: RwLock<Arc<OnCommand>>,
    on_query: RwLock<Arc<OnQuery>>,
    commands: Mutex<Vec<CommandCall>>,
    queries: Mutex<Vec<QueryCall>>,
    events: watch::Sender<BTreeMap<String, Vec<StoredEvent>>>,
    snapshots: Mutex<BTreeMap<String, SnapshotView>>,
    ready: Mutex<bool>,
    knows_all_types: Mutex<bool>,
}

impl House {
    /// A house in which carts are deployed.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            types: RwLock::new(Arc::new(vec![cart()])),
            on_command: RwLock::new(Arc::new(|call| Box::pin(async { Ok(echo(call)) }))),
            on_query: RwLock::new(Arc::new(|call| Box::pin(async move { Ok(call.body.to_vec()) }))),
            commands: Mutex::default(),
            queries: Mutex::default(),
            events: watch::Sender::default(),
            snapshots: Mutex::default(),
            ready: Mutex::new(true),
            knows_all_types: Mutex::new(true),
        }))
    }

    /// A house in which every call fails like this.
    pub fn failing(error: CallError) -> Self {
        let house = Self::new();
        let for_query = error.clone();
        house.on_command(move |_| {
            let error = error.clone();
            async { Err(error) }
        });
        house.on_query(move |_| {
            let error = for_query.clone();
            async { Err(error) }
        });
        house
    }

    pub fn on_command<F>(&self, handle: impl Fn(CommandCall) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<CommandReply, CallError>> + Send + 'static,
    {
        *self.0.on_command.write().unwrap() = Arc::new(move |call| Box::pin(handle(call)));
    }

    pub fn on_query<F>(&self, handle: impl Fn(QueryCall) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<Vec<u8>, CallError>> + Send + 'static,
    {
        *self.0.on_query.write().unwrap() = Arc::new(move |call| Box::pin(handle(call)));
    }

    pub fn set_types(&self, types: Vec<Arc<DeployedType>>) {
        *self.0.types.write().unwrap() = Arc::new(types);
    }

    pub fn set_ready(&self, ready: bool) {
        *self.0.ready.lock().unwrap() = ready;
    }

    pub fn set_knows_all_types(&self, knows: bool) {
        *self.0.knows_all_types.lock().unwrap() = knows;
    }

    pub fn record(&self, address: &str, name: &str, body: &[u8]) {
        self.0.events.send_modify(|events| {
            let history = events.entry(address.into()).or_default();
            let sequence = SequenceNumber(history.len() as u64 + 1);
            let (at, version) = (TimestampMs(1_000 + sequence.get()), TypeVersion(1));
            let (name, body) = (name.into(), body.to_vec());
            history.push(StoredEvent { sequence, name, at, version, body });
        });
    }

    pub fn put_snapshot(&self, address: &str, state: &[u8]) {
        let (sequence, version, at) = (SequenceNumber(7), TypeVersion(1), TimestampMs(5));
        let snapshot = SnapshotView { sequence, version, at, state: state.to_vec() };
        self.0.snapshots.lock().unwrap().insert(address.into(), snapshot);
    }

    /// The commands that reached the house: who, what, and with what.
    pub fn commands(&self) -> Vec<(String, String, String)> {
        let commands = self.0.commands.lock().unwrap();
        commands.iter().map(|c| told(&c.address, &c.name, &c.body)).collect()
    }

    pub fn command_calls(&self) -> Vec<CommandCall> {
        self.0.commands.lock().unwrap().clone()
    }

    /// The queries that reached the house.
    pub fn queries(&self) -> Vec<(String, String, String)> {
        let queries = self.0.queries.lock().unwrap();
        queries.iter().map(|q| told(&q.address, &q.name, &q.body)).collect()
    }
}

fn told(address: &Address, name: &str, body: &[u8]) -> (String, String, String) {
    (address.to_string(), name.to_owned(), String::from_utf8_lossy(body).into_owned())
}

/// The reply that says what the command said.
pub fn echo(call: CommandCall) -> CommandReply {
    let request = call.request.unwrap_or(RequestId::Minted(1));
    let (body, sequence) = (call.body.to_vec(), SequenceNumber(3));
    CommandReply { body, sequence, request, replayed: false }
}

/// A command or query that takes and gives these content types.
pub fn operation(name: &str, request_type: &str, schema: Option<&str>) -> Operation {
    Operation {
        name: name.into(),
        summary: String::new(),
        request_type: request_type.into(),
        request_schema: schema.map(Into::into),
        reply_type: "application/json".into(),
        reply_schema: None,
    }
}

/// A type as if it were deployed.
pub fn deployed(manifest: serde_json::Value, description: Description) -> Arc<DeployedType> {
    Arc::new(DeployedType {
        manifest: serde_json::from_value(manifest).expect("a manifest"),
        version: TypeVersion(1),
        component: ComponentHash([7; 32]),
        component_bytes: 10,
        deployed_at: TimestampMs(1),
        description,
    })
}

/// A type with something of everything.
pub fn cart() -> Arc<DeployedType> {
    let item = r#"{"type": "object", "properties": {
        "sku": {"type": "string"}, "quantity": {"type": "integer"}}}"#;
    let total = r#"{"type": "object", "properties": {
        "limit": {"type": "integer"}, "exact": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}}}}"#;
    let mut picture = operation("picture", "", None);
    picture.reply_type = "image/png".into();
    let description = Description {
        commands: vec![
            operation("add-item", "application/json", Some(item)),
            operation("checkout", "", None),
            operation("import", "text/csv", None),
        ],
        queries: vec![
            operation("total", "application/json", Some(total)),
            operation("search", "text/plain", None),
            picture,
        ],
        events: vec![
            event_kind("item-added", "application/json"),
            event_kind("imported", "text/csv"),
        ],
        state_schema: Some("{}".into()),
        ..Description::default()
    };
    let route = |method: &str, path: &str, kind: &str, name: &str| serde_json::json!({"method": method, "path": path, kind: name});
    let manifest = serde_json::json!({"type": "cart", "route": [
        route("POST", "/carts/{id}/items", "command", "add-item"),
        route("PUT", "/carts/{id}/items/{sku}", "command", "add-item"),
        route("PATCH", "/carts/{id}/items/{sku}/{quantity}", "command", "add-item"),
        route("DELETE", "/carts/{id}", "command", "checkout"),
        route("GET", "/carts/{id}", "query", "total"),
        route("GET", "/carts/{id}/top/{limit}", "query", "total"),
    ]});
    deployed(manifest, description)
}

fn event_kind(name: &str, content_type: &str) -> EventKind {
    EventKind {
        name: name.into(),
        summary: String::new(),
        content_type: content_type.into(),
        schema: None,
    }
}

impl Service for House {
    async fn command(&self, call: CommandCall) -> Result<CommandReply, CallError> {
        self.0.commands.lock().unwrap().push(call.clone());
        let handle = Arc::clone(&self.0.on_command.read().unwrap());
        handle(call).await
    }

    async fn query(&self, call: QueryCall) -> Result<Vec<u8>, CallError> {
        self.0.queries.lock().unwrap().push(call.clone());
        let handle = Arc::clone(&self.0.on_query.read().unwrap());
        handle(call).await
    }

    fn types(&self) -> Arc<Vec<Arc<DeployedType>>> {
        Arc::clone(&self.0.types.read().unwrap())
    }

    fn knows_all_types(&self) -> Result<(), CallError> {
        match *self.0.knows_all_types.lock().unwrap() {
            true => Ok(()),
            false => Err(CallError::Unavailable { reason: "not yet".into(), retry_after_ms: 900 }),
        }
    }

    fn versions(&self, entity_type: &EntityType) -> Result<Vec<VersionInfo>, DeployError> {
        if entity_type.as_str() != "cart" {
            return Err(DeployError::UnknownType(entity_type.clone()));
        }
        Ok([1, 2].map(version).into())
    }

    async fn upload(&self, component: bytes::Bytes) -> Result<ComponentInfo, DeployError> {
        if component.starts_with(b"garbage") {
            return Err(DeployError::Component("it is no WebAssembly".into()));
        }
        let bytes = component.len() as u64;
        let description = cart().description.clone();
        Ok(ComponentInfo { component: ComponentHash([7; 32]), bytes, description })
    }

    async fn deploy(
        &self,
        component: ComponentHash,
        manifest: Manifest,
    ) -> Result<Arc<DeployedType>, DeployError> {
        if component != ComponentHash([7; 32]) {
            return Err(DeployError::UnknownComponent(component));
        }
        if manifest.routes.iter().any(|route| route.path.starts_with("/taken/")) {
            let owner = EntityType::new("owner").expect("a type");
            return Err(DeployError::RouteTaken { path: "/taken/{id}".into(), owner });
        }
        let manifest = serde_json::to_value(manifest).expect("JSON");
        let new = deployed(manifest, cart().description.clone());
        self.set_types(vec![cart(), Arc::clone(&new)]);
        Ok(new)
    }

    async fn rollback(
        &self,
        entity_type: EntityType,
        version: TypeVersion,
    ) -> Result<Arc<DeployedType>, DeployError> {
        match (entity_type.as_str(), version) {
            ("cart", TypeVersion(1 | 2)) => Ok(cart()),
            ("cart", _) => Err(DeployError::UnknownVersion(entity_type, version)),
            _ => Err(DeployError::UnknownType(entity_type)),
        }
    }

    async fn undeploy(&self, entity_type: EntityType) -> Result<(), DeployError> {
        match entity_type.as_str() {
            "cart" => Ok(()),
            "stopping" => Err(DeployError::Stopping),
            _ => Err(DeployError::UnknownType(entity_type)),
        }
    }

    async fn events(
        &self,
        address: Address,
        range: RangeInclusive<u64>,
        count_max: usize,
    ) -> Result<EventPage, CallError> {
        if address.entity_type.as_str() != "cart" {
            return Err(CallError::UnknownType(address.entity_type));
        }
        if address.id.as_str() == "broken" && *range.start() > 1 {
            return Err(CallError::Unreadable { reason: "it is broken".into() });
        }
        let events = self.0.events.borrow();
        let history = events.get(&address.to_string()).cloned().unwrap_or_default();
        let last = SequenceNumber(history.len() as u64);
        let within = history.into_iter().filter(|event| range.contains(&event.sequence.get()));
        Ok(EventPage {
            events: within.take(count_max).collect(),
            last_sequence: last,
            first_stored: SequenceNumber(1),
            life_begins_after: SequenceNumber(0),
        })
    }

    async fn events_after(&self, address: Address, after: SequenceNumber) {
        let mut events = self.0.events.subscribe();
        let grown = events.wait_for(|events| {
            events.get(&address.to_string()).is_some_and(|h| h.len() as u64 > after.get())
        });
        let _ = tokio::time::timeout(Duration::from_secs(1), grown).await;
    }

    async fn snapshot(&self, address: Address) -> Result<Option<SnapshotView>, CallError> {
        Ok(self.0.snapshots.lock().unwrap().get(&address.to_string()).cloned())
    }

    async fn take_snapshot(&self, address: Address) -> Result<SnapshotView, CallError> {
        self.put_snapshot(&address.to_string(), br#"{"taken":true}"#);
        Ok(self.snapshot(address).await?.expect("it was just taken"))
    }

    async fn inspect(&self, address: Address) -> Result<EntityStatus, CallError> {
        if address.entity_type.as_str() != "cart" {
            return Err(CallError::UnknownType(address.entity_type));
        }
        Ok(EntityStatus {
            address: address.to_string(),
            partition: 9,
            live: true,
            last_sequence: SequenceNumber(3),
            snapshot_sequence: None,
            waiting: 0,
            last_replay_events: None,
            last_replay_us: None,
            instance_memory_bytes: None,
            quarantined: false,
            unreadable: None,
        })
    }

    async fn entities(
        &self,
        _: EntityType,
        after: Option<EntityId>,
        count_max: usize,
    ) -> Result<Vec<EntityId>, CallError> {
        let ids = (0..250).map(|n| EntityId::new(&format!("id {n:03}")).expect("an id"));
        Ok(ids.filter(|id| after.as_ref().is_none_or(|after| id > after)).take(count_max).collect())
    }

    fn status(&self) -> NodeStatus {
        let ready = *self.0.ready.lock().unwrap();
        NodeStatus {
            node: "0".repeat(32),
            version: "0.1.0".into(),
            ready,
            problems: if ready { vec![] } else { vec!["the disk is full".into()] },
            started_at: TimestampMs(1),
            recovery_ms: 0,
            recovery_entries: 0,
            partitions: 64,
            types: 1,
            live_entities: 0,
            waiting: 0,
            guest_memory_bytes: 0,
            journal_bytes: 0,
            commands: 0,
            queries: 0,
            events: 0,
            rejections: 0,
            faults: 0,
            activations: 0,
            replayed_events: 0,
            snapshots: 0,
            log_commits: 0,
        }
    }
}

fn version(number: u32) -> VersionInfo {
    VersionInfo {
        version: TypeVersion(number),
        component: ComponentHash([7; 32]),
        deployed_at: TimestampMs(1),
        current: number == 2,
    }
}
