//! What an entity's file usually needs: `use stead_sdk::prelude::*;`.

pub use crate::{
    After, Bytes, Context, Ending, Event, QueryContext, Rejection, debug, entity, error, info,
    trace, warn,
};
pub use schemars::JsonSchema;
pub use serde::{Deserialize, Serialize};
