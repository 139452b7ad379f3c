//! `stead call`: sends a command to an entity.

use http::{HeaderName, HeaderValue, Method};
use stead_model::{Address, RequestId, TimestampMs};

use crate::{
    arguments,
    client::{self, Request, send_with_retries},
    connection::ConnectionFlags,
    failure::Failure,
    output::reply,
};

/// Send a command to an entity.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The entity, as in cart/42
    #[arg(value_name = "TYPE/ID", value_parser = arguments::address)]
    address: Address,
    /// The command
    command: String,
    /// Its argument: JSON, @FILE, or - for standard input
    #[arg(value_name = "ARGUMENT", allow_hyphen_values = true)]
    argument: Option<String>,
    /// The idempotency key: the same call under the same key is done once
    #[arg(long)]
    key: Option<String>,
    /// Try again so many times, under the same key, if the node is busy, doesn't
    /// answer or doesn't know the outcome
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    retry: u32,
    /// How long the caller waits for the outcome, in milliseconds
    #[arg(long, value_name = "MS")]
    deadline_ms: Option<u64>,
    /// The argument's content type [default: application/json]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

/// Sends the command and prints the reply.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    let what = format!("{} {}", args.address, args.command);
    let argument = arguments::argument(args.argument.as_deref(), args.content_type.as_deref())?;
    let mut request = Request::new(Method::POST, client::operation(&args.address, &args.command));
    if let Some(argument) = argument {
        request = request.body(argument.content_type, argument.body);
    }
    if let Some(deadline_ms) = args.deadline_ms {
        request = request.header(reply::DEADLINE, HeaderValue::from(deadline_ms));
    }
    if let Some(key) = key(args)? {
        request = request.header(HeaderName::from_static("idempotency-key"), key);
    }
    let answer =
        send_with_retries(&connection.ingress, &what, &request, args.retry, &connection.screen)
            .await?;
    reply::show(&connection.screen, &answer)
}

/// The caller's key. Whoever wants retries has to have one before the first
/// attempt: an answer that never came can't name the id to retry under.
fn key(args: &Args) -> Result<Option<HeaderValue>, Failure> {
    let text = match (&args.key, args.retry) {
        (Some(key), _) => {
            RequestId::parse(key).map_err(|error| Failure::usage(error.to_string()))?.to_string()
        }
        (None, 0) => return Ok(None),
        (None, _) => mint()?.to_string(),
    };
    HeaderValue::from_str(&text)
        .map(Some)
        .map_err(|_| Failure::usage(format!("{text:?} is no idempotency key")))
}

/// An id as the node mints them: its reply is kept as long as retries may come.
fn mint() -> Result<RequestId, Failure> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::failed(format!("the system gave no random bytes: {error}")))?;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let now = TimestampMs(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    Ok(RequestId::mint(now, u128::from_le_bytes(random)))
}
