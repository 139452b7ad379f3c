//! `stead bench`.
use crate::{connection::ConnectionFlags, failure::Failure};
/// x
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub connection: ConnectionFlags,
}
pub fn run(_: &Args) -> Result<(), Failure> {
    Ok(())
}
