//! Receiving a store that takes the place of this replica's.

use std::{sync::Arc, time::Duration};

use stead_journal::{PartitionLog, Receiving};
use stead_model::{LogPosition, NodeId};
use tokio::{sync::Mutex, time::Instant};

use openraft::storage::{Snapshot, SnapshotMeta};

use crate::{
    PlantedBug,
    blocking::Blocking,
    encoding,
    machine::Whole,
    member::Member,
    types::{StoredMembership, log_id},
    wire::{Reply, WireBytes, WirePosition, WireVote},
};

/// How long a transfer of which nothing more comes is kept, so that it can go on:
/// longer than its sender tries.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// What a group is receiving, if anything.
#[derive(Default)]
pub(crate) struct Incoming(Arc<Mutex<Option<Transfer>>>);

struct Transfer {
    from: NodeId,
    /// Which of its transfers.
    id: u64,
    receiving: Receiving,
    /// When something of it came last.
    at: Instant,
}

impl Transfer {
    fn is(&self, from: NodeId, id: u64) -> bool {
        (self.from, self.id) == (from, id)
    }
}

impl Incoming {
    /// Takes a chunk. The first of a transfer takes the place of one that was
    /// under way.
    pub(crate) async fn chunk(
        &self,
        log: &PartitionLog,
        from: NodeId,
        (id, nth): (u64, u64),
        rows: Vec<u8>,
    ) -> Result<Reply, String> {
        let mut incoming = self.0.lock().await;
        if nth == 0 && !incoming.as_ref().is_some_and(|known| known.is(from, id)) {
            // Given up first: both would be in the same file.
            *incoming = None;
            let (blocking, log) = (Blocking::of(log), log.clone());
            let begun = blocking.run(move || log.receive()).await;
            let begun = begun.map_err(|error| error.to_string())?;
            let receiving = begun.map_err(|error| error.to_string())?;
            *incoming = Some(Transfer { from, id, receiving, at: Instant::now() });
            self.forget_when_idle();
        }
        let Some(mut transfer) = incoming.take() else {
            return Err(format!("chunk {nth} of a store whose beginning is not here"));
        };
        let taken = transfer.receiving.chunks();
        if !transfer.is(from, id) || nth > taken {
            *incoming = Some(transfer);
            return Err(format!("chunk {nth} of a store is not the next; {taken} were taken"));
        }
        transfer.at = Instant::now();
        if nth < taken {
            *incoming = Some(transfer);
            return Ok(Reply::StoreTaken);
        }
        let taken = Blocking::of(log).run(move || {
            let taken = transfer.receiving.take(&rows);
            taken.map(|()| transfer)
        });
        let transfer =
            taken.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        *incoming = Some(transfer);
        Ok(Reply::StoreTaken)
    }

    /// How many chunks of a transfer were taken; none of one that isn't known.
    pub(crate) async fn chunks(&self, from: NodeId, id: u64) -> u64 {
        // One that is being written is waited for.
        let mut incoming = self.0.lock().await;
        let known = incoming.as_mut().filter(|known| known.is(from, id));
        known.map_or(0, |known| {
            known.at = Instant::now();
            known.receiving.chunks()
        })
    }

    /// Gives up what is received when nothing more comes of it: it has a file and a
    /// cache.
    fn forget_when_idle(&self) {
        let incoming = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(IDLE_MAX / 4).await;
                let Some(incoming) = incoming.upgrade() else { return };
                let mut incoming = incoming.lock().await;
                match &*incoming {
                    None => return,
                    Some(transfer) if transfer.at.elapsed() >= IDLE_MAX => {
                        tracing::info!(
                            from = %transfer.from.short(),
                            chunks = transfer.receiving.chunks(),
                            "a store of which nothing more came is given up"
                        );
                        *incoming = None;
                        return;
                    }
                    Some(_) => {}
                }
            }
        });
    }

    /// Puts a store in place of which all chunks were taken.
    pub(crate) async fn end(
        &self,
        member: &Member,
        (from, id): (NodeId, u64),
        vote: WireVote,
        last: WirePosition,
        (members_at, members): (WirePosition, &WireBytes),
    ) -> Result<Reply, String> {
        let position: LogPosition = last.into();
        let vote: crate::types::Vote = vote.into();
        // Held to the end, so that whoever says it again hears what came of it.
        let mut incoming = self.0.lock().await;
        if !incoming.as_ref().is_some_and(|known| known.is(from, id)) {
            let _installing = member.installing.write().await;
            if position.index <= member.log.state().committed {
                return Ok(Reply::StoreInPlace((&vote).into()));
            }
            return Err("the end of a store that is not here".into());
        }
        let members = encoding::read_members(&members.0).ok_or("its members make no sense")?;
        let Some(Transfer { receiving, .. }) = incoming.take() else {
            return Err("the end of a store that is not here".into());
        };
        let finished = Blocking::of(&member.log).run(move || receiving.finish()).await;
        let received = finished.map_err(|error| error.to_string())?;
        let received = received.map_err(|error| error.to_string())?;
        // openraft takes these for granted.
        if received.position() != position || position.term.get() > vote.leader_id.term {
            return Err(format!("it is at {}, not at {position}", received.position()));
        }
        // Entries that go on behind it wait until it is in place.
        let _installing = member.installing.write().await;
        let committed = member.log.state().committed;
        if position.index <= committed {
            // It was not needed any more.
            return Ok(Reply::StoreInPlace((&vote).into()));
        }
        let mut counted = position;
        if member.planted == Some(PlantedBug::StoresCountedAhead) {
            counted.index = counted.index.next();
        }
        let meta = SnapshotMeta {
            last_log_id: log_id(counted),
            last_membership: StoredMembership::new(log_id(members_at.into()), members),
        };
        let snapshot = Snapshot { meta, snapshot: Whole::Received(received) };
        let installed = member.raft.install_full_snapshot(vote, snapshot).await;
        match installed {
            Ok(response) => {
                tracing::info!(
                    partition = %member.log.partition(),
                    from = %from.short(),
                    %position,
                    "a store was received"
                );
                Ok(Reply::StoreInPlace((&response.vote).into()))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}
