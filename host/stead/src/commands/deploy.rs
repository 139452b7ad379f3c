//! `stead deploy`.
use crate::{connection::ConnectionFlags, failure::Failure};
/// x
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub connection: ConnectionFlags,
}
pub async fn run(_: &Args) -> Result<(), Failure> {
    Ok(())
}
