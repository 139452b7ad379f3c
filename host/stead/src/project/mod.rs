//! What is done with an entity's sources: made from a template, built,
//! watched, and deployed.

mod builder;
mod component;
mod deployment;
mod embedded;
mod example;
mod layout;
mod manifest;
mod template;
mod watch;

pub use builder::Builder;
pub use component::{Component, read_component};
pub use deployment::{DEPLOY_TIMEOUT_MIN, Deployment, deploy};
pub use example::first_calls;
pub use layout::Project;
pub use manifest::{MANIFEST_FILE, read_manifest};
pub use template::{Names, unpack};
pub use watch::Sources;
