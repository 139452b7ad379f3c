//! `stead undeploy`: takes a type out of service.

use http::Method;
use serde_json::json;
use stead_model::EntityType;

use crate::{
    client::{self, Request},
    connection::ConnectionFlags,
    failure::Failure,
};

/// Take an entity type out of service; its entities' journals stay.
///
/// Deploying the type again brings its entities back as they were.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The type
    #[arg(value_name = "TYPE")]
    entity_type: EntityType,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

/// Takes the type out of service.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    let what = format!("undeploying {}", args.entity_type);
    let request = Request::new(Method::DELETE, client::entity_type(&args.entity_type));
    connection.admin.send(&what, request).await?;
    if connection.screen.json {
        return connection.screen.json(&json!({"undeployed": args.entity_type}));
    }
    connection.screen.line(format_args!(
        "{} is out of service; its entities' journals stay, and deploying it again brings them back",
        args.entity_type
    ))
}
