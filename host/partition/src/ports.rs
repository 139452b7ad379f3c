//! What the engine needs from the rooms below: guests to run, and a store to
//! read. Both are called in the middle of a step and answer at once; whatever
//! takes a disk's time or must be durable is an effect instead.

use stead_model::{
    Address, Event, Outcome, Rejection, RequestDigest, RequestId, SequenceNumber, TimestampMs,
    TypeVersion,
};

/// Runs guests. The sandbox stands behind it, or native code under simulation.
pub trait Guests {
    /// A loaded component, as a version of a type. Cheap to clone.
    type Component: Clone;
    /// A component instance with the entities that live in it.
    type Instance;
    /// An entity in an instance.
    type Entity;

    /// A new instance, without entities.
    fn instantiate(&mut self, component: &Self::Component) -> Result<Self::Instance, GuestFault>;

    /// An entity without events.
    fn create(
        &mut self,
        instance: &mut Self::Instance,
        address: &Address,
    ) -> Result<Self::Entity, GuestFault>;

    /// An entity as it was when the snapshot was taken; the inner error is the
    /// component's own word that it can't read these bytes, and harmless.
    fn restore(
        &mut self,
        instance: &mut Self::Instance,
        address: &Address,
        snapshot: &[u8],
    ) -> Result<Result<Self::Entity, String>, GuestFault>;

    /// Folds recorded events. The inner error is the component's own word that
    /// it can't apply one of them; the entity is useless then, the instance is not.
    fn apply(
        &mut self,
        instance: &mut Self::Instance,
        entity: &mut Self::Entity,
        address: &Address,
        events: &[Event],
    ) -> Result<Result<(), String>, GuestFault>;

    /// Handles a command and folds its events.
    fn handle(
        &mut self,
        instance: &mut Self::Instance,
        entity: &mut Self::Entity,
        address: &Address,
        command: &str,
        body: &[u8],
    ) -> Result<Result<Outcome, Rejection>, GuestFault>;

    /// Answers a query.
    fn query(
        &mut self,
        instance: &mut Self::Instance,
        entity: &mut Self::Entity,
        address: &Address,
        query: &str,
        body: &[u8],
    ) -> Result<Result<Vec<u8>, Rejection>, GuestFault>;

    /// The entity's state.
    fn snapshot(
        &mut self,
        instance: &mut Self::Instance,
        entity: &mut Self::Entity,
        address: &Address,
    ) -> Result<Vec<u8>, GuestFault>;

    /// Lets an entity go.
    fn release(
        &mut self,
        instance: &mut Self::Instance,
        entity: Self::Entity,
    ) -> Result<(), GuestFault>;

    /// The linear memory that an instance has, in bytes.
    fn memory_bytes(&self, instance: &Self::Instance) -> usize;

    /// Microseconds since some moment, to tell people how long a replay took. Nothing
    /// depends on it; where there is no clock it stands still.
    fn clock_us(&self) -> u64 {
        0
    }
}

/// Why a guest call did not return. After any of these but `Refused` the
/// instance, with every entity in it, is to be discarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestFault {
    /// It trapped: a panic, an exception, an instruction that can't go on.
    #[error("the entity's code trapped: {0}")]
    Trap(String),
    /// It ran past its deadline.
    #[error("the entity's code ran for over {0} ms")]
    Deadline(u64),
    /// It wanted more memory than it may have.
    #[error("the entity's code ran out of the memory that it may use: {0}")]
    Memory(String),
    /// It ran out of stack.
    #[error("the entity's code ran out of stack")]
    Stack,
    /// It gave back more than it may: the outcome, reply or snapshot is over a
    /// limit. The instance is sound, but this entity's state is not to be trusted.
    #[error("the entity's code gave back more than it may: {0}")]
    Refused(String),
    /// The host could not do its part: no instance could be made, say.
    #[error("the host could not run the entity's code: {0}")]
    Host(String),
}

/// Reads what has been applied to the partition's store.
pub trait StoreReader {
    /// What is known of an entity; `None` if it never recorded anything.
    fn entity(&self, address: &Address) -> Result<Option<EntityRecord>, StoreFault>;

    /// The newest snapshot of the entity's present life at or below a number.
    fn snapshot(
        &self,
        address: &Address,
        at_most: SequenceNumber,
    ) -> Result<Option<StoredSnapshot>, StoreFault>;

    /// Events from `from` to `to`, both included, in order, as many as fit in
    /// both bounds, at least one if there is one. Errors if one in between is
    /// missing or damaged.
    fn events(
        &self,
        address: &Address,
        from: SequenceNumber,
        to: SequenceNumber,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Event>, StoreFault>;

    /// The reply recorded under a request id. One that has expired may still be
    /// there; the engine looks at the time, but for minted ids.
    fn reply(
        &self,
        address: &Address,
        request: &RequestId,
    ) -> Result<Option<RecordedReply>, StoreFault>;
}

/// What the store knows of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityRecord {
    /// Its last event's number.
    pub last_sequence: SequenceNumber,
    /// The last number of its earlier lives: its present state is the fold of
    /// the events after this one. Equal to `last_sequence` if it has ended and
    /// not begun again.
    pub life_begins_after: SequenceNumber,
    /// The lowest number still stored; events below were dropped or purged.
    pub first_stored: SequenceNumber,
}

/// A stored snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// The number of the last event that it holds.
    pub sequence: SequenceNumber,
    /// The version of the type that made it.
    pub version: TypeVersion,
    /// The state.
    pub state: Vec<u8>,
}

/// A reply kept for retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedReply {
    /// What the request was.
    pub digest: RequestDigest,
    /// The reply.
    pub reply: Vec<u8>,
    /// The entity's last sequence number after it.
    pub sequence: SequenceNumber,
    /// From when on the request id is as good as new.
    pub expires: TimestampMs,
}

/// The store could not be read. It is not served any more; the text says what
/// happened and to which file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreFault(pub String);
