//! The journal as a group's state machine: what is committed is handed over to
//! the partition's store.

use std::{io, sync::Arc};

use futures::{Stream, StreamExt};
use openraft::{
    OptionalSend, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine, Snapshot, SnapshotMeta},
};
use stead_journal::{PartitionLog, Received, StoreExport, StoredMembers};
use stead_model::LogPosition;

use crate::{
    blocking::Blocking,
    encoding,
    error::io as io_error,
    types::{Committed, Group, LogId, StoredMembership, log_id},
};
use openraft::impls::EmptyNode;
use stead_model::NodeId;

/// A partition's store as a whole: openraft's snapshot.
#[derive(Debug)]
pub(crate) enum Whole {
    /// This node's, to be sent.
    Here(Arc<StoreExport>),
    /// Another node's, to take the place of this one's.
    Received(Received),
}

pub(crate) type WholeSnapshot = Snapshot<Committed, NodeId, EmptyNode, Whole>;

/// A partition's store.
#[derive(Clone)]
pub(crate) struct Machine(pub(crate) PartitionLog);

impl Machine {
    fn membership(&self, stored: Option<&StoredMembers>) -> io::Result<StoredMembership> {
        let Some(stored) = stored else { return Ok(StoredMembership::default()) };
        let members = encoding::read_members(&stored.members).ok_or_else(|| {
            let what = format!("the members of partition {} make no sense", self.0.partition());
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        Ok(StoredMembership::new(log_id(stored.position), members))
    }

    /// The store as it is now; `None` if nothing was ever applied.
    fn whole(&self) -> io::Result<Option<WholeSnapshot>> {
        if self.0.applied() == LogPosition::default() {
            return Ok(None);
        }
        let export = self.0.reader().export().map_err(io_error)?;
        let last_log_id = log_id(export.position());
        let last_membership = self.membership(export.members())?;
        let meta = SnapshotMeta { last_log_id, last_membership };
        Ok(Some(Snapshot { meta, snapshot: Whole::Here(Arc::new(export)) }))
    }
}

impl RaftStateMachine<Group> for Machine {
    type SnapshotData = Whole;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let members = self.membership(self.0.members().as_ref())?;
        Ok((log_id(self.0.applied()), members))
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
        snapshot: Whole,
    ) -> Result<(), io::Error> {
        match snapshot {
            // When the group starts, openraft installs the snapshot that it finds.
            Whole::Here(export) if export.position() <= self.0.applied() => Ok(()),
            Whole::Here(export) => {
                Err(io::Error::other(format!("{export:?} is ahead of the store that it is of")))
            }
            Whole::Received(received) => {
                let log = self.0.clone();
                let replace = move || log.replace(&received);
                Blocking::of(&self.0).run(replace).await?.map_err(io_error)
            }
        }
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<WholeSnapshot>, io::Error> {
        self.whole()
    }
}

impl RaftSnapshotBuilder<Group> for Machine {
    type SnapshotData = Whole;

    async fn build_snapshot(&mut self) -> Result<WholeSnapshot, io::Error> {
        self.whole()?.ok_or_else(|| io::Error::other("nothing is in the store yet"))
    }
}
