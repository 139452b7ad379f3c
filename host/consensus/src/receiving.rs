//! Receiving a store that takes the place of this replica's.

use stead_journal::{PartitionLog, Receiving};
use stead_model::{LogPosition, NodeId};
use tokio::sync::Mutex;

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

/// What a group is receiving: from whom, which transfer, and what there is of it.
#[derive(Default)]
pub(crate) struct Incoming(Mutex<Option<(NodeId, u64, Receiving)>>);

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
        let known = incoming.as_ref().is_some_and(|(node, known, _)| (*node, *known) == (from, id));
        if !known && nth == 0 {
            // Given up first: both would be in the same file.
            *incoming = None;
            let (blocking, log) = (Blocking::of(log), log.clone());
            let begun = blocking.run(move || log.receive()).await;
            let begun = begun.map_err(|error| error.to_string())?;
            *incoming = Some((from, id, begun.map_err(|error| error.to_string())?));
        }
        let Some((node, known, mut receiving)) = incoming.take() else {
            return Err(format!("chunk {nth} of a store whose beginning is not here"));
        };
        if (node, known) != (from, id) || nth > receiving.chunks() {
            let taken = receiving.chunks();
            *incoming = Some((node, known, receiving));
            return Err(format!("chunk {nth} of a store is not the next; {taken} were taken"));
        }
        if nth < receiving.chunks() {
            *incoming = Some((node, known, receiving));
            return Ok(Reply::StoreTaken);
        }
        let taken = Blocking::of(log).run(move || {
            let taken = receiving.take(&rows);
            taken.map(|()| receiving)
        });
        let receiving =
            taken.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        *incoming = Some((node, known, receiving));
        Ok(Reply::StoreTaken)
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
        let receiving = {
            let mut incoming = self.0.lock().await;
            match incoming.take() {
                Some((node, known, receiving)) if (node, known) == (from, id) => receiving,
                other => {
                    *incoming = other;
                    return Err("the end of a store that is not here".into());
                }
            }
        };
        let members = encoding::read_members(&members.0).ok_or("its members make no sense")?;
        let finished = Blocking::of(&member.log).run(move || receiving.finish()).await;
        let received = finished.map_err(|error| error.to_string())?;
        let received = received.map_err(|error| error.to_string())?;
        let position: LogPosition = last.into();
        let vote: crate::types::Vote = vote.into();
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
