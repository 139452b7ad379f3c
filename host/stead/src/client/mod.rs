//! The command line's side of a node's HTTP interfaces.

mod body;
mod path;
mod problem;
mod retry;
mod send;
mod url;

pub use body::Upload;
pub use path::{entity, entity_type, operation, segment};
pub use problem::Problem;
pub use retry::send_with_retries;
pub use send::{Answer, Client, Request};
pub use url::NodeUrl;
