//! The journal as a group's state machine: what is committed is handed over to
//! the partition's store.

use std::io;

use futures::{Stream, StreamExt};
use openraft::{
    OptionalSend, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine, Snapshot, SnapshotMeta},
};
use stead_journal::PartitionLog;
use stead_model::{LogPosition, PartitionId};

use crate::{
    encoding,
    types::{Committed, Group, LogId, StoredMembership, log_id},
};
use openraft::impls::EmptyNode;
use stead_model::NodeId;

/// A partition's store, as it is made durable from time to time: openraft's
/// snapshot. What it holds is read when it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoint {
    pub(crate) partition: PartitionId,
    /// It holds all up to this entry, and maybe more.
    pub(crate) position: LogPosition,
}

type CheckpointSnapshot = Snapshot<Committed, NodeId, EmptyNode, Checkpoint>;

/// A partition's store.
#[derive(Clone)]
pub(crate) struct Machine(pub(crate) PartitionLog);

impl Machine {
    fn members(&self) -> io::Result<StoredMembership> {
        let Some(stored) = self.0.members() else { return Ok(StoredMembership::default()) };
        let members = encoding::read_members(&stored.members).ok_or_else(|| {
            let what = format!("the members of partition {} make no sense", self.0.partition());
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        Ok(StoredMembership::new(log_id(stored.position), members))
    }

    fn checkpoint(&self) -> io::Result<Option<CheckpointSnapshot>> {
        let position = self.0.checkpointed();
        let last_log_id = log_id(position);
        if last_log_id.is_none() {
            return Ok(None);
        }
        let meta = SnapshotMeta { last_log_id, last_membership: self.members()? };
        let snapshot = Checkpoint { partition: self.0.partition(), position };
        Ok(Some(Snapshot { meta, snapshot }))
    }
}

impl RaftStateMachine<Group> for Machine {
    type SnapshotData = Checkpoint;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((log_id(self.0.applied()), self.members()?))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Group>, io::Error>> + Unpin + OptionalSend,
    {
        let mut through = None;
        let mut responders = Vec::new();
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            through = Some(entry.entry.index);
            responders.extend(responder);
        }
        if let Some(through) = through {
            self.0.commit(through);
        }
        for responder in responders {
            responder.send(());
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta<Committed, NodeId, EmptyNode>,
        snapshot: Checkpoint,
    ) -> Result<(), io::Error> {
        // When the group starts, openraft installs the snapshot that it finds if
        // it is ahead of what is applied. A store is never behind its own
        // checkpoint.
        if self.0.applied() >= snapshot.position {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "the store of partition {} is behind its own checkpoint",
            snapshot.partition
        )))
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<CheckpointSnapshot>, io::Error> {
        self.checkpoint()
    }
}

impl RaftSnapshotBuilder<Group> for Machine {
    type SnapshotData = Checkpoint;

    async fn build_snapshot(&mut self) -> Result<CheckpointSnapshot, io::Error> {
        self.checkpoint()?.ok_or_else(|| io::Error::other("nothing is durable in the store yet"))
    }
}
