//! What a handler is given beside the state.

use crate::{Answer, Entity, Reply, answer::Encode, host};

/// How an entity's life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Its events stay in the journal and can be read there, but are no longer
    /// its state: the next command to this address begins a new life.
    KeepEvents,
    /// Its events and snapshots are deleted. Its sequence numbers are not given
    /// out again.
    PurgeEvents,
}

/// What a command is given: who the entity is, what time it is, and where its
/// events go.
///
/// The host lets a command ask for time and randomness because only its events
/// are kept: put what it found into an event, and replay finds the same.
pub struct Context<E: Entity> {
    common: QueryContext,
    pub(crate) events: Vec<E::Event>,
    pub(crate) ending: Option<Ending>,
}

impl<E: Entity> Context<E> {
    pub(crate) fn new(common: QueryContext) -> Self {
        Self { common, events: Vec::new(), ending: None }
    }

    pub(crate) fn into_parts(self) -> (QueryContext, Vec<E::Event>, Option<Ending>) {
        (self.common, self.events, self.ending)
    }

    /// Records an event. The state changes when the command has returned: then
    /// the events are folded, in the order in which they were recorded. If it
    /// returns a rejection, they are dropped.
    pub fn record(&mut self, event: E::Event) {
        self.events.push(event);
    }

    /// The events that this command has recorded so far.
    #[must_use]
    pub fn recorded(&self) -> &[E::Event] {
        &self.events
    }

    /// Ends the entity's life with this command, after its events. A rejection
    /// takes this back too.
    pub fn end(&mut self, ending: Ending) {
        self.ending = Some(ending);
    }

    /// A reply that is worked out from the state that the events lead to:
    /// `Ok(ctx.after(|cart| cart.total()))`, or shorter `Ok(ctx.after(Self::total))`.
    pub fn after<T: Reply>(&self, reply: impl FnOnce(&E) -> T + 'static) -> After<E, T> {
        let encode = move |state: &E| reply(state).encode();
        After { encode: Box::new(encode), reply: std::marker::PhantomData }
    }

    /// A reply that is the whole state that the events lead to.
    pub fn new_state(&self) -> After<E, E>
    where
        E: Reply,
    {
        After { encode: Box::new(E::encode), reply: std::marker::PhantomData }
    }

    /// The entity's id within its type.
    #[must_use]
    pub fn id(&self) -> &str {
        self.common.id()
    }

    /// The type under which the component is deployed.
    #[must_use]
    pub fn entity_type(&self) -> String {
        self.common.entity_type()
    }

    /// Milliseconds since 1970-01-01T00:00:00Z. The same throughout a command.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.common.now_ms()
    }

    /// Random bytes from the node's secure source.
    ///
    /// # Panics
    /// If more than 65,536 are asked for.
    #[must_use]
    pub fn random_bytes<const LENGTH: usize>(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        host::random(&mut bytes);
        bytes
    }

    /// A random number from the node's secure source.
    #[must_use]
    pub fn random_u64(&self) -> u64 {
        u64::from_le_bytes(self.random_bytes())
    }

    /// A random UUID (version 4): `0b6d6e7c-…`.
    #[must_use]
    pub fn random_uuid(&self) -> String {
        let mut bits = u128::from_be_bytes(self.random_bytes());
        bits = (bits & !(0xf << 76)) | (0x4 << 76);
        bits = (bits & !(0x3 << 62)) | (0x2 << 62);
        let part = |shift: u32, digits: u32| (bits >> shift) & ((1 << (digits * 4)) - 1);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 8),
            part(80, 4),
            part(64, 4),
            part(48, 4),
            part(0, 12)
        )
    }
}

/// What a query is given, if it asks for it: who the entity is and what time it
/// is.
pub struct QueryContext {
    id: Box<str>,
}

impl QueryContext {
    pub(crate) fn new(id: String) -> Self {
        Self { id: id.into() }
    }

    /// The entity's id within its type.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The type under which the component is deployed.
    #[must_use]
    pub fn entity_type(&self) -> String {
        host::entity_type()
    }

    /// Milliseconds since 1970-01-01T00:00:00Z. The same throughout a query.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        host::now_ms()
    }
}

/// A reply that is worked out after the events have been folded; made by
/// [`Context::after`].
#[must_use = "it is the reply: return it"]
pub struct After<E, T: ?Sized> {
    encode: Encode<E>,
    reply: std::marker::PhantomData<fn(&E) -> Box<T>>,
}

impl<E: Entity, T: ?Sized> From<After<E, T>> for Answer<E> {
    fn from(after: After<E, T>) -> Self {
        Self::After(after.encode)
    }
}
