//! The component's side of the contract: the exports, as a thin cover over
//! [`Live`].

use std::{cell::RefCell, marker::PhantomData};

use crate::{Ending, Entity, live::Live};

/// What `wit-bindgen` makes of the contract.
#[expect(missing_docs, reason = "generated; the contract has the documentation")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "entity-type",
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "stead_sdk::__private::bindings",
    });
}

use bindings::{
    exports::stead::entity::guest::{self, Guest, GuestEntity},
    stead::entity::types,
};

pub use bindings::export_component;

/// The component of an entity type.
pub struct Component<E>(PhantomData<E>);

/// An entity behind a handle. The host calls one method at a time.
pub struct Handle<E>(RefCell<Live<E>>);

impl<E: Entity> Guest for Component<E> {
    type Entity = Handle<E>;

    fn describe() -> types::Description {
        let description = E::describe();
        types::Description {
            summary: description.summary,
            sdk: description.sdk.into(),
            commands: description.commands.into_iter().map(Into::into).collect(),
            queries: description.queries.into_iter().map(Into::into).collect(),
            events: description.events.into_iter().map(Into::into).collect(),
            effects: Vec::new(),
            state_schema: description.state_schema,
        }
    }
}

impl<E: Entity> GuestEntity for Handle<E> {
    fn new(id: String) -> Self {
        Self(RefCell::new(Live::new(id)))
    }

    fn restore(id: String, snapshot: Vec<u8>) -> Result<guest::Entity, String> {
        let live = Live::<E>::restore(id, &snapshot)?;
        Ok(guest::Entity::new(Self(RefCell::new(live))))
    }

    fn handle(&self, command: types::Request) -> Result<types::Outcome, types::Rejection> {
        let outcome = self.0.borrow_mut().handle(&command.name, &command.body)?;
        let events = outcome.events.into_iter();
        Ok(types::Outcome {
            events: events
                .map(|event| types::Event { name: event.name.into(), body: event.body })
                .collect(),
            reply: outcome.reply,
            lifecycle: match outcome.ending {
                None => types::Lifecycle::Continues,
                Some(Ending::KeepEvents) => types::Lifecycle::EndsKeepingEvents,
                Some(Ending::PurgeEvents) => types::Lifecycle::EndsPurgingEvents,
            },
            effects: Vec::new(),
        })
    }

    fn apply(&self, events: Vec<types::Event>) -> Result<(), String> {
        let events = events.iter().map(|event| (event.name.as_str(), event.body.as_slice()));
        self.0.borrow_mut().apply(events)
    }

    fn snapshot(&self) -> Vec<u8> {
        self.0.borrow().snapshot()
    }

    fn query(&self, query: types::Request) -> Result<Vec<u8>, types::Rejection> {
        Ok(self.0.borrow().query(&query.name, &query.body)?)
    }
}

impl From<crate::Rejection> for types::Rejection {
    fn from(rejection: crate::Rejection) -> Self {
        Self {
            status: rejection.status,
            code: rejection.code,
            message: rejection.message,
            details: rejection.details,
        }
    }
}

impl From<crate::Operation> for types::Operation {
    fn from(operation: crate::Operation) -> Self {
        Self {
            name: operation.name.into(),
            summary: operation.summary.into(),
            request_type: operation.request_type.into(),
            request_schema: operation.request_schema,
            reply_type: operation.reply_type.into(),
            reply_schema: operation.reply_schema,
        }
    }
}

impl From<crate::EventKind> for types::EventKind {
    fn from(kind: crate::EventKind) -> Self {
        Self {
            name: kind.name.into(),
            summary: kind.summary,
            content_type: kind.content_type.into(),
            schema: kind.schema,
        }
    }
}
