//! Events: what they are called and how they are written and read.

mod decode;
mod encode;

pub use decode::decode_variant;
pub use encode::encode_variant;

use crate::EventKind;

/// The facts that an entity records: an enum with `#[derive(Event)]`.
///
/// In the journal an event is a name and a body. The name is the variant's, in
/// lower case with hyphens (`ItemAdded` is `item-added`), and the body is the
/// JSON object of its fields; a variant without fields has an empty body.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no event",
    note = "put `#[derive(Event)]` above the enum of the entity's events"
)]
pub trait Event: Sized + 'static {
    /// All kinds, older names among them.
    fn kinds() -> Vec<EventKind>;

    /// The name in the journal.
    fn name(&self) -> &'static str;

    /// The body in the journal.
    ///
    /// # Errors
    /// If a value has no JSON form: a map whose keys are not texts, say.
    fn encode(&self) -> Result<Vec<u8>, String>;

    /// The event that was recorded under this name with this body.
    ///
    /// # Errors
    /// If the name is unknown or the body doesn't fit.
    fn decode(name: &str, body: &[u8]) -> Result<Self, String>;
}

/// An event as the journal has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The kind.
    pub name: &'static str,
    /// The data.
    pub body: Vec<u8>,
}

impl Recorded {
    /// Writes an event, and reads it again. What is folded is what was read: an
    /// entity that lives on is then made of the same bytes as one that is
    /// replayed, and an event that can't be read back (a number that isn't
    /// finite has no JSON form) stops the command instead of spoiling the
    /// journal.
    pub(crate) fn from_event<E: Event>(event: &E) -> (Self, E) {
        let name = event.name();
        let body = match event.encode() {
            Ok(body) => body,
            Err(error) => panic!("the event {name:?} can't be written: {error}"),
        };
        match E::decode(name, &body) {
            Ok(event) => (Self { name, body }, event),
            Err(error) => panic!(
                "the event {name:?} was written as {} and can't be read back: {error}",
                String::from_utf8_lossy(&body)
            ),
        }
    }
}

impl std::fmt::Debug for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, String::from_utf8_lossy(&self.body))
    }
}
