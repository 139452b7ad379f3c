//! Where what happens to the groups is passed on.

use std::sync::Arc;

use stead_journal::JournalEvents;
use stead_model::{LogIndex, LogPosition, NodeId, PartitionId, Term};
use tokio::sync::{mpsc, watch};

use crate::{leadership::Leadership, service::Task};

/// Who is told of what happens to the partitions on this node. Called from the
/// threads of consensus and of the journal; must be quick.
pub trait ConsensusEvents: Send + Sync + 'static {
    /// This node leads a partition from now on, in this term. Its store shows
    /// all that was committed before. What it proposes in another term is
    /// refused.
    fn leads(&self, partition: PartitionId, term: Term);

    /// This node doesn't lead a partition, or doesn't yet.
    fn follows(&self, partition: PartitionId, leader: Option<NodeId>);

    /// A partition's store shows entries up to this one.
    fn applied(&self, partition: PartitionId, through: LogIndex);
}

/// Passes on what the journal tells.
pub(crate) struct Hub {
    pub(crate) events: Arc<dyn ConsensusEvents>,
    pub(crate) leads: Vec<watch::Sender<Option<Term>>>,
    pub(crate) applied: Vec<watch::Sender<LogIndex>>,
    pub(crate) tasks: mpsc::UnboundedSender<Task>,
}

impl Hub {
    pub(crate) fn leadership(&self, partition: PartitionId, leadership: Leadership) {
        let leads = self.leads.get(usize::from(partition.get()));
        let say = |term| {
            if let Some(leads) = leads {
                leads.send_replace(term);
            }
        };
        match leadership {
            Leadership::Here(term) => {
                say(Some(term));
                self.events.leads(partition, term);
                let _ = self.tasks.send(Task::SayLeads);
            }
            Leadership::Elsewhere(leader) => {
                say(None);
                self.events.follows(partition, leader);
            }
        }
    }
}

impl JournalEvents for Hub {
    fn applied(&self, partition: PartitionId, through: LogIndex) {
        if let Some(applied) = self.applied.get(usize::from(partition.get())) {
            applied.send_replace(through);
        }
        self.events.applied(partition, through);
    }

    fn checkpointed(&self, partition: PartitionId, through: LogPosition) {
        // When nobody listens any more, the log is kept.
        let _ = self.tasks.send(Task::Checkpointed(partition, through));
    }
}
