//! Sending a store to a replica that is further behind than the log goes back.

use std::{
    future::Future,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use openraft::{
    AnyError, ErrorSubject, ErrorVerb, StorageError,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    raft::SnapshotResponse,
};
use stead_journal::StoreExport;

use crate::{
    blocking::Blocking,
    carrier::Lane,
    encoding,
    machine::WholeSnapshot,
    network::Way,
    types::{Group, Vote},
    wire::{Reply, Request, WireBytes, unexpected},
};

/// How many bytes a chunk of a store has; one row more may go over.
pub const CHUNK_BYTES: u64 = 512 << 10;
/// How often a chunk is sent whose answer is missing.
const TRIES: u32 = 4;
/// How long the answer to a chunk is waited for, and to the end of all.
const CHUNK_PATIENCE: Duration = Duration::from_secs(10);
const END_PATIENCE: Duration = Duration::from_secs(120);

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
    let id = way.network.transfers.fetch_add(1, Ordering::Relaxed);
    let sending = async {
        let mut nth = 0;
        while let Some(rows) = chunk(way.network.blocking, &export, nth).await? {
            send_chunk(way, id, nth, rows).await?;
            nth += 1;
        }
        let membership = &snapshot.meta.last_membership;
        let end = Request::StoreEnd {
            id,
            vote: vote.into(),
            last: export.position().into(),
            members_at: membership.log_id().as_ref().into(),
            members: WireBytes(encoding::members(membership.membership())),
        };
        match way.ask(Lane::Bulk, end, END_PATIENCE).await.map_err(of_call)? {
            Reply::StoreInPlace(vote) => Ok(SnapshotResponse::new(vote.into())),
            other => Err(failed(unexpected(&other))),
        }
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

async fn send_chunk(way: &Way, id: u64, nth: u64, rows: Vec<u8>) -> Result<(), Failed> {
    let mut tries = 0;
    loop {
        tries += 1;
        // The receiver knows a chunk that it has taken already.
        let request = Request::StoreChunk { id, nth, rows: WireBytes(rows.clone()) };
        match way.ask(Lane::Bulk, request, CHUNK_PATIENCE).await {
            Ok(Reply::StoreTaken) => return Ok(()),
            Ok(other) => return Err(failed(unexpected(&other))),
            Err(error) if tries >= TRIES => return Err(of_call(error)),
            Err(_) => tokio::time::sleep(Duration::from_millis(50 << tries)).await,
        }
    }
}
