//! `stead query`: asks an entity.

use http::{HeaderValue, Method};
use stead_model::Address;

use crate::{
    arguments,
    client::{self, Request, send_with_retries},
    connection::ConnectionFlags,
    failure::Failure,
    output::reply,
};

/// Ask an entity.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The entity, as in cart/42
    #[arg(value_name = "TYPE/ID", value_parser = arguments::address)]
    address: Address,
    /// The query
    query: String,
    /// Its argument: JSON, @FILE, or - for standard input
    #[arg(value_name = "ARGUMENT", allow_hyphen_values = true)]
    argument: Option<String>,
    /// Try again so many times if the node is busy or doesn't answer
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    retry: u32,
    /// How long the caller waits for the answer, in milliseconds
    #[arg(long, value_name = "MS")]
    deadline_ms: Option<u64>,
    /// The argument's content type [default: application/json]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

/// Sends the query and prints the answer.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    let what = format!("{} {}", args.address, args.query);
    let argument = arguments::argument(args.argument.as_deref(), args.content_type.as_deref())?;
    let mut request = Request::new(Method::GET, client::operation(&args.address, &args.query));
    if let Some(argument) = argument {
        request = request.body(argument.content_type, argument.body);
    }
    if let Some(deadline_ms) = args.deadline_ms {
        request = request.header(reply::DEADLINE, HeaderValue::from(deadline_ms));
    }
    let answer =
        send_with_retries(&connection.ingress, &what, &request, args.retry, &connection.screen)
            .await?;
    reply::show(&connection.screen, &answer)
}
