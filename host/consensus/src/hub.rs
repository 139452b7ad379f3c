//! Where what happens to the groups is passed on.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use openraft::errors::Fatal;
use stead_journal::JournalEvents;
use stead_model::{LogIndex, LogPosition, NodeId, PartitionId, Term};
use tokio::sync::{mpsc, watch};

use crate::{leadership::Leadership, service::Task, types::Group};

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
    /// Whether a group has stopped here. One that has still says what it said last.
    pub(crate) has_stopped: Vec<AtomicBool>,
    /// The groups that have, and why.
    pub(crate) stopped: Mutex<BTreeMap<PartitionId, String>>,
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
                tracing::debug!(%partition, %term, "this node leads");
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

impl Hub {
    /// A group has ended. If that isn't because the node stops, it takes no part any more.
    pub(crate) fn has_ended(&self, partition: PartitionId, fatal: &Fatal<Group>) {
        let why = match fatal {
            Fatal::Stopped => return,
            Fatal::Panicked => "a rule of its protocol did not hold".to_owned(),
            Fatal::StorageError(error) => error.to_string(),
        };
        self.has_failed(partition, why);
    }

    /// A group can take no part any more, or is about to be told to stop.
    pub(crate) fn has_failed(&self, partition: PartitionId, why: String) {
        if let Some(has_stopped) = self.has_stopped.get(usize::from(partition.get())) {
            has_stopped.store(true, Ordering::Release);
        }
        if let Entry::Vacant(vacant) = self.stopped().entry(partition) {
            tracing::error!(%partition, %why, "a replica has stopped: it takes no part any more");
            vacant.insert(why);
        }
    }

    /// Whether a group takes part here still.
    pub(crate) fn takes_part(&self, partition: PartitionId) -> bool {
        let has_stopped = self.has_stopped.get(usize::from(partition.get()));
        !has_stopped.is_some_and(|has_stopped| has_stopped.load(Ordering::Acquire))
    }

    pub(crate) fn stopped(&self) -> MutexGuard<'_, BTreeMap<PartitionId, String>> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
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
