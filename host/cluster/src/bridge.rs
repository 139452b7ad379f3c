//! What consensus and the journal tell, passed on to the partitions.

use std::sync::OnceLock;

use stead_consensus::ConsensusEvents;
use stead_model::{LogIndex, NodeId, PartitionId, Term};

use crate::{partition::Partition, workers::RunQueue};

/// Passes on to the partitions what concerns them, and has them take a turn.
#[derive(Default)]
pub struct Bridge(OnceLock<RunQueue<Partition>>);

impl Bridge {
    /// From now on it has somewhere to pass it on to.
    pub fn begin(&self, partitions: RunQueue<Partition>) {
        // It is set once, when the node is opened.
        let _ = self.0.set(partitions);
    }

    /// Tells a partition something.
    pub fn with(&self, id: PartitionId, tell: impl FnOnce(&Partition)) {
        let Some(queue) = self.0.get() else { return };
        let at = usize::from(id.get());
        if let Some(partition) = queue.task(at) {
            tell(partition);
            queue.schedule(at);
        }
    }
}

impl ConsensusEvents for Bridge {
    fn leads(&self, partition: PartitionId, term: Term) {
        self.with(partition, |partition| partition.leads(Some(term)));
    }

    fn follows(&self, partition: PartitionId, _leader: Option<NodeId>) {
        self.with(partition, |partition| partition.leads(None));
    }

    fn applied(&self, partition: PartitionId, through: LogIndex) {
        self.with(partition, |partition| partition.applied(through));
    }
}
