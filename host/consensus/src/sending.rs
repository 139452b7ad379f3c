//! Sending a store to a replica that is further behind than the log goes back.
//!
//! It goes in chunks, at a rate that all transfers of the node share. When a chunk
//! has no answer, because the connection broke or the receiver is late, the receiver
//! is asked how many it has taken, and the transfer goes on there: what is sent is
//! the store at one moment, and stays so for as long as the transfer lasts. A receiver
//! that has forgotten it is sent the store anew, as it is then; so is one whose
//! leader has changed.

use std::{future::Future, sync::Arc, time::Duration};

use openraft::{
    AnyError, ErrorSubject, ErrorVerb, StorageError,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    raft::SnapshotResponse,
};
use stead_journal::StoreExport;
use tokio::time::Instant;

use crate::{
    blocking::Blocking,
    carrier::Lane,
    encoding,
    machine::WholeSnapshot,
    network::Way,
    transfers::Ticket,
    types::{Group, Vote},
    wire::{Reply, Request, WireBytes, unexpected},
};

/// How many bytes a chunk of a store has; one row more may go over.
pub const CHUNK_BYTES: u64 = 512 << 10;
/// The version of the protocol between nodes from which on a receiver tells how many
/// chunks it has.
pub const RESUMES_FROM: u16 = 2;
/// How often a chunk is sent to one that doesn't.
const TRIES: u32 = 4;
/// How long an answer is waited for, before it is asked again.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How long the answer to the end of all is waited for of one that can't be asked how
/// far it has come.
const END_PATIENCE: Duration = Duration::from_secs(120);
/// How long a receiver that can't be reached is waited for, before its store is given
/// up.
const RESUME_PATIENCE: Duration = Duration::from_secs(120);
/// The waits before it is tried again.
const BACKOFF_MS: std::ops::RangeInclusive<u64> = 50..=1_000;

type Failed = StreamingError<Group>;

fn failed(why: impl std::fmt::Display) -> Failed {
    StreamingError::Network(NetworkError::new(&AnyError::error(why)))
}

fn of_call(error: RPCError<Group>) -> Failed {
    match error {
        RPCError::Unreachable(error) => StreamingError::Unreachable(error),
        other => failed(other),
    }
}

/// Sends a store, chunk by chunk, and has it put in place.
pub(crate) async fn send(
    way: &Way,
    vote: &Vote,
    snapshot: WholeSnapshot,
    cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
) -> Result<SnapshotResponse<Group>, Failed> {
    let export = match snapshot.snapshot {
        crate::machine::Whole::Here(export) => export,
        crate::machine::Whole::Received(_) => {
            let error = AnyError::error("a store that was received is not sent on");
            return Err(StreamingError::Unreachable(Unreachable::new(&error)));
        }
    };
    let sending = async {
        let ticket = way.begin_transfer(export.bytes()).await;
        let sender = Sender { way, ticket, id: way.network.transfers.draw_id() };
        let mut nth = 0;
        while let Some(rows) = chunk(way.network.blocking, &export, nth).await? {
            sender.chunk(nth, rows).await?;
            nth += 1;
        }
        let membership = &snapshot.meta.last_membership;
        let end = || Request::StoreEnd {
            id: sender.id,
            vote: vote.into(),
            last: export.position().into(),
            members_at: membership.log_id().as_ref().into(),
            members: WireBytes(encoding::members(membership.membership())),
        };
        let response = sender.end(end).await?;
        sender.ticket.finished();
        Ok(response)
    };
    tokio::select! {
        sent = sending => sent,
        closed = cancel => Err(StreamingError::Closed(closed)),
    }
}

async fn chunk(
    blocking: Blocking,
    export: &Arc<StoreExport>,
    nth: u64,
) -> Result<Option<Vec<u8>>, Failed> {
    let export = Arc::clone(export);
    let read = blocking.run(move || export.chunk(nth, CHUNK_BYTES as usize)).await;
    let read = read.map_err(failed)?;
    read.map_err(|error| {
        StreamingError::StorageError(StorageError::from_io_error(
            ErrorSubject::Snapshot(None),
            ErrorVerb::Read,
            std::io::Error::other(error),
        ))
    })
}

/// One transfer.
struct Sender<'a> {
    way: &'a Way,
    ticket: Ticket,
    id: u64,
}

impl Sender<'_> {
    /// Sends a chunk until it is taken.
    async fn chunk(&self, nth: u64, rows: Vec<u8>) -> Result<(), Failed> {
        let bytes = rows.len() as u64;
        let mut waits = Waits::default();
        loop {
            self.ticket.pace(bytes).await;
            self.ticket.sends();
            // The receiver knows a chunk that it has taken already.
            let request = Request::StoreChunk { id: self.id, nth, rows: WireBytes(rows.clone()) };
            match self.way.ask(Lane::Bulk, request, ANSWER_PATIENCE).await {
                Ok(Reply::StoreTaken) => break,
                Ok(other) => return Err(failed(unexpected(&other))),
                Err(error) => waits.after(error, self.resumes()).await?,
            }
            if self.resumes() && self.has_taken(nth, &mut waits).await? {
                break;
            }
        }
        self.ticket.taken(bytes);
        Ok(())
    }

    /// Whether the receiver has taken a chunk whose answer is missing. It has all
    /// before that, or the transfer is over.
    async fn has_taken(&self, nth: u64, waits: &mut Waits) -> Result<bool, Failed> {
        loop {
            let asked = Request::StoreChunks { id: self.id };
            match self.way.ask(Lane::Bulk, asked, ANSWER_PATIENCE).await {
                Ok(Reply::StoreChunks(taken)) if taken == nth || taken == nth.saturating_add(1) => {
                    self.ticket.resumed();
                    return Ok(taken > nth);
                }
                Ok(Reply::StoreChunks(taken)) => {
                    return Err(failed(format!(
                        "{taken} chunks of a store are there and not {nth}: it is sent anew"
                    )));
                }
                Ok(other) => return Err(failed(unexpected(&other))),
                Err(error) => waits.after(error, true).await?,
            }
        }
    }

    /// Has the store put in place. That may be said again: whoever says it while that
    /// is done hears what comes of it.
    async fn end(&self, end: impl Fn() -> Request) -> Result<SnapshotResponse<Group>, Failed> {
        let mut waits = Waits::default();
        let patience = if self.resumes() { ANSWER_PATIENCE } else { END_PATIENCE };
        let mut is_forgotten = false;
        loop {
            match self.way.ask(Lane::Bulk, end(), patience).await {
                Ok(Reply::StoreInPlace(vote)) => return Ok(SnapshotResponse::new(vote.into())),
                Ok(other) => return Err(failed(unexpected(&other))),
                // One that neither has it nor has put it in place is sent it anew.
                Err(error) if is_forgotten || !self.resumes() => return Err(of_call(error)),
                Err(error) => waits.after(error, true).await?,
            }
            is_forgotten = self.is_forgotten(&mut waits).await?;
            self.ticket.resumed();
        }
    }

    async fn is_forgotten(&self, waits: &mut Waits) -> Result<bool, Failed> {
        loop {
            let asked = Request::StoreChunks { id: self.id };
            match self.way.ask(Lane::Bulk, asked, ANSWER_PATIENCE).await {
                Ok(Reply::StoreChunks(taken)) => return Ok(taken == 0),
                Ok(other) => return Err(failed(unexpected(&other))),
                Err(error) => waits.after(error, true).await?,
            }
        }
    }

    fn resumes(&self) -> bool {
        self.way.version() >= RESUMES_FROM
    }
}

/// The waits of a chunk that isn't taken.
#[derive(Default)]
struct Waits {
    since: Option<Instant>,
    tries: u32,
}

impl Waits {
    /// Waits after an error, or gives up with it.
    async fn after(&mut self, error: RPCError<Group>, resumes: bool) -> Result<(), Failed> {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.tries += 1;
        let over = match resumes {
            true => since.elapsed() >= RESUME_PATIENCE,
            false => self.tries >= TRIES,
        };
        if over {
            return Err(of_call(error));
        }
        let wait = BACKOFF_MS.start() << self.tries.min(10);
        tokio::time::sleep(Duration::from_millis(wait.min(*BACKOFF_MS.end()))).await;
        Ok(())
    }
}
