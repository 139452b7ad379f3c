//! Write stateful entities for Stead in Rust.
//!
//! An entity is one stateful thing with an address, `counter/a`. It handles one
//! command at a time: it *decides* by its state, *records* events, and its state
//! is what the events lead to, and nothing else. Stead keeps the events; where
//! the entity lives, and on how many machines it has lived, the entity never
//! knows.
//!
//! # The whole of a small entity
//!
//! ```
//! use stead_sdk::prelude::*;
//!
//! /// A number that is counted up.
//! #[derive(Default, Serialize, Deserialize, JsonSchema)]
//! pub struct Counter {
//!     value: u64,
//! }
//!
//! #[derive(Event)]
//! pub enum CounterEvent {
//!     /// It went up.
//!     Incremented { by: u64 },
//! }
//!
//! #[derive(Rejection)]
//! pub enum CounterError {
//!     #[reject(status = 409, message = "{value} and {by} more is too much to count.")]
//!     TooMuch { value: u64, by: u64 },
//! }
//!
//! #[stead_sdk::entity]
//! impl Counter {
//!     /// Counts up, by one if it isn't said by how many.
//!     #[command]
//!     fn increment(
//!         &self,
//!         ctx: &mut Context<Self>,
//!         #[serde(default = "one")] by: u64,
//!     ) -> Result<After<Self, u64>, CounterError> {
//!         if self.value.checked_add(by).is_none() {
//!             return Err(CounterError::TooMuch { value: self.value, by });
//!         }
//!         ctx.record(CounterEvent::Incremented { by });
//!         Ok(ctx.after(Self::value))
//!     }
//!
//!     /// The number as it is.
//!     #[query]
//!     fn value(&self) -> u64 {
//!         self.value
//!     }
//!
//!     fn apply(&mut self, event: CounterEvent) {
//!         match event {
//!             CounterEvent::Incremented { by } => self.value += by,
//!         }
//!     }
//! }
//!
//! fn one() -> u64 {
//!     1
//! }
//!
//! stead_sdk::export!(Counter);
//! # fn main() {}
//! ```
//!
//! `POST /entities/counter/a/increment` with `{"by": 2}` answers `2`, and
//! `GET /entities/counter/a/value` does so ever after. The crate is a `cdylib` that
//! depends on this one, `serde` and `schemars`, and is built with
//! `cargo build --release --target wasm32-wasip2` or `cargo component build
//! --release`.
//!
//! # Commands
//!
//! A command takes `&self` and a [`Context`]: it can't change the state, only
//! [record](Context::record) events. When it has returned, they are folded with
//! `apply`, and only then is a reply made with [`Context::after`] worked out; so
//! `Ok(ctx.after(Self::value))` answers with what the command led to. A plain value
//! is a reply too, made before the events are folded. A command that returns
//! nothing has an empty reply.
//!
//! If it returns an error, nothing was recorded, whatever it did before. The error
//! is a [`Rejection`](struct@Rejection), by hand or derived, with an HTTP status from 400 to 499, a
//! code for programs, a sentence for people, and its fields as details.
//!
//! [`Context::end`] ends the entity's life with the command's events. The next
//! command under its id finds an empty state.
//!
//! **Arguments** are the fields of a JSON object, one for each parameter. They may
//! carry serde's attributes, and an `Option` may be left out. Fields that no
//! parameter names are refused: an optional one that a caller misspelt would
//! otherwise be ignored in silence. A body that doesn't fit is rejected with
//! status 400, code `malformed-body`, and a message that says in which field and
//! why, before the method is called. `#[body] order: Order` takes the whole body
//! as one value, by serde's own rules for it, and `#[body] picture: Bytes` takes
//! it as it is; [`Bytes`] does that for replies and events, too.
//!
//! # Queries
//!
//! A query takes `&self`, and a [`QueryContext`] if it wants to know who it is or
//! what time it is. It may return a reference into the state.
//!
//! # Events, and what folding may see
//!
//! Replay must lead to the same state, on another machine and in another year. So
//! `apply` sees the state and the event, and nothing else: no clock, no chance, no
//! statics. The host refuses them there and ends the call. A command may ask for
//! [the time](Context::now_ms) and for [randomness](Context::random_u64), and puts
//! what it found into its events. `apply` can't fail either: whether something may
//! happen is the command's to decide, and an event has happened.
//!
//! Equal states must have equal snapshots, byte for byte: `BTreeMap` and
//! `BTreeSet`, never `HashMap` and `HashSet`, whose order is another each time. The
//! host compares snapshots with replays, and takes no more snapshots of a type
//! that fails. Floating point numbers are safe as long as they are finite; JSON has
//! no infinity, so an event with one stops the command, and a state with one can't
//! be restored. Amounts of money are integers of minor units.
//!
//! What is folded is always what was written: an event is encoded and read back
//! before the state sees it, so what serde skips is gone at once and not only after
//! the first replay.
//!
//! # Testing
//!
//! [`test::given`] tests an entity without a node and without WebAssembly: given
//! these events, when this command, then these events and this reply. It checks
//! with each request what the last section asks for.
//!
//! # Changing an entity that has journals
//!
//! Events live as long as the journal, and the new code must read what the old one
//! wrote. A component that forgets a kind of event can't bring back entities that
//! have recorded it.
//!
//! - **A new field**: `#[serde(default)]`, or an `Option`.
//! - **A field that goes**: remove it. Unknown fields of events are ignored.
//! - **A field that is renamed**: `#[serde(alias = "old")]`, or keep the old name
//!   in the journal with `#[serde(rename = "old")]`.
//! - **A kind that is renamed**: `#[event(alias = "old-name")]` reads the old ones,
//!   or `#[event(name = "old-name")]` goes on writing them.
//! - **A kind that is no longer recorded**: keep the variant, and let `apply` do what
//!   it did. If it need do nothing, a variant without fields reads all its bodies.
//! - **A kind whose meaning changes**: that is another kind. Give it a new name.
//! - **What `apply` does with an event** can be changed as long as all decisions taken
//!   by the old state stand: a balance that replay makes negative is nobody's wish.
//!   Snapshots taken before hold what the old code made of the events; let the new
//!   state refuse them (a field without a default will), and the host replays.
//! - **The state** can be changed at will: a snapshot that can't be restored is
//!   replaced by a replay of all events. `#[serde(default)]` on its new fields saves
//!   the replay, if a default is right for entities that have lived. A type whose
//!   `entity.toml` drops events behind snapshots has no more to replay, and must
//!   read its old snapshots.
//!
//! # Limits
//!
//! The host limits what one call may use; the defaults are a second of time, 64 MiB
//! of growth, 1,000 events and 4 MiB in an outcome, 1 MiB in a reply, 4 MiB in a
//! snapshot. A call that passes one is ended, as is one that panics: the caller
//! gets a 500, nothing is recorded, and the entity is rebuilt from its journal.
//! Keep the state small: bound every collection, and reject what would pass the
//! bound.
//!
//! Do not block, spawn threads, or keep anything in statics: many entities share
//! one instance, and an instance can go at any time. [`info!`] and its sisters write
//! to the node's log.

extern crate self as stead_sdk;

mod answer;
mod body;
mod context;
mod description;
mod entity;
mod event;
#[cfg(target_arch = "wasm32")]
mod guest;
mod host;
mod live;
mod log;
mod payload;
pub mod prelude;
mod rejection;
mod schema;
#[cfg(not(target_arch = "wasm32"))]
pub mod test;

pub use answer::Answer;
pub use context::{After, Context, Ending, QueryContext};
pub use description::{Description, EventKind, Operation};
pub use entity::Entity;
pub use event::{Event, Recorded};
pub use log::{Level, log};
pub use payload::{Argument, Bytes, Reply};
pub use rejection::Rejection;
/// Makes events of an enum.
pub use stead_sdk_macros::Event;
/// Makes rejections of an enum.
pub use stead_sdk_macros::Rejection;
/// Makes an entity of a plain `impl`.
pub use stead_sdk_macros::entity;

/// For the macros; no part of the interface.
#[doc(hidden)]
pub mod __private;

/// Makes the crate the component of an entity type: `stead_sdk::export!(Cart);`,
/// once in a crate. On targets other than WebAssembly it only checks that the
/// type is an entity.
#[macro_export]
macro_rules! export {
    ($entity:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Component = $crate::__private::Component<$entity>;
            $crate::__private::export_component!(
                Component with_types_in $crate::__private::bindings
            );
        };
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = $crate::__private::assert_entity::<$entity>;
    };
}
