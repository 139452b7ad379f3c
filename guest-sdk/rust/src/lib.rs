//! Write stateful entities for Stead in Rust.

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
