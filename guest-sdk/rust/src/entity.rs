//! The trait that `#[stead_sdk::entity]` implements.

use crate::{Answer, Context, Description, Event, QueryContext, Rejection};

/// An entity: a state, and how commands, queries and events meet it.
///
/// Nobody implements it by hand: [`macro@crate::entity`] does, from the methods
/// of a plain `impl`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no entity",
    note = "put `#[stead_sdk::entity]` above the `impl` with its commands, queries and `apply`"
)]
pub trait Entity: Default + 'static {
    /// Its events.
    type Event: Event;

    /// What the type offers.
    fn describe() -> Description;

    /// Decides a command: reads the argument, calls the method, and puts the
    /// events into the context.
    ///
    /// # Errors
    /// The rejection, if the entity says no or the body is malformed.
    fn decide(
        &self,
        context: &mut Context<Self>,
        command: &str,
        body: &[u8],
    ) -> Result<Answer<Self>, Rejection>;

    /// Answers a query.
    ///
    /// # Errors
    /// The rejection, if the entity says no or the body is malformed.
    fn answer(
        &self,
        context: &QueryContext,
        query: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, Rejection>;

    /// Folds one event into the state.
    fn fold(&mut self, event: Self::Event);

    /// The state as bytes.
    fn snapshot(&self) -> Vec<u8>;

    /// The state from bytes that [`snapshot`](Self::snapshot) gave, perhaps in
    /// an earlier version.
    ///
    /// # Errors
    /// Why they can't be read; the host then replays all events.
    fn restore(snapshot: &[u8]) -> Result<Self, String>;
}
